"""Gaps between groups, on the page and in the terminal."""

import re

import numpy as np
import pandas as pd
import pytest

from evaluator.reporting import DashboardContent
from evaluator.reporting._fairness import MAX_GAPS, MAX_GROUPS, fairness_groups
from evaluator_tests.reporting.shown import lines_of, names_of, section, with_scorecard


def test_the_worst_gap_of_each_measure_stands_with_groups_and_verdict(
    content: DashboardContent,
) -> None:
    (group,) = (
        g
        for g in fairness_groups(content.scorecard.fairness, names_of(content))
        if g.candidate == "random_forest"
    )
    assert group.gaps == 18
    assert len(group.worst) == MAX_GAPS
    assert group.rows == (content.scorecard.fairness["candidate"] == "random_forest").sum()
    verdicts = [row.verdict for row in group.worst]
    assert verdicts == sorted(verdicts)
    assert verdicts[0] == "FAIL"
    first = group.worst[0]
    assert sum(count or 0 for count in (first.failed, first.open, first.passed)) == 5
    words = section(content, "fairness")
    assert f"{first.group} against {first.reference}" in words
    assert re.search(
        r"INSUFFICIENT EVIDENCE About \d+,\d00 cases of the group would decide\.", words
    )
    assert "True positive rate: the share of the positives" in words


def test_all_groups_are_there_up_to_a_number_and_the_rest_is_counted(
    content: DashboardContent,
) -> None:
    own = content.scorecard.fairness[content.scorecard.fairness["candidate"] == "random_forest"]
    many = pd.concat([own.assign(group=own["group"] + f" {n}") for n in range(3)])
    (group,) = fairness_groups(many, ["random_forest"])
    assert len(group.groups) == MAX_GROUPS < group.rows == 3 * len(own)
    words = section(with_scorecard(content, fairness=many), "fairness")
    assert f"{group.rows - MAX_GROUPS:,} left out here, all are in the scorecard" in words
    assert "gradient_boosting Not measured; the remarks say why." in words


def test_a_gap_that_is_undefined_is_never_shown_as_fair(content: DashboardContent) -> None:
    frame = content.scorecard.fairness.assign(
        value=np.nan,
        low=np.nan,
        high=np.nan,
        group_value=np.nan,
        reference_value=np.nan,
        verdict="INSUFFICIENT EVIDENCE",
        needed_cases=pd.array([pd.NA] * len(content.scorecard.fairness), dtype="Int64"),
        status="undefined",
        reason="no positive labels",
    )
    shown = with_scorecard(content, fairness=frame)
    words = section(shown, "fairness")
    assert "INSUFFICIENT EVIDENCE No positive labels." in words
    assert "undefined at most 0.1" in words
    table = words[words.index("Worst gaps by candidate") :]
    assert "PASS" not in table
    assert "nan" not in table.lower()
    assert "undefined; no positive labels" in lines_of(shown)


def test_a_ratio_without_an_upper_end_says_so(content: DashboardContent) -> None:
    ratios = content.scorecard.fairness[content.scorecard.fairness["comparison"] == "ratio"]
    endless = with_scorecard(
        content, fairness=ratios.assign(value=2.0, low=1.25, high=np.inf, verdict="PASS")
    )
    words = section(endless, "fairness")
    assert "1.250 or more" in words
    assert "inf" not in words.lower().replace("insufficient", "")
    (group, *_) = fairness_groups(endless.scorecard.fairness, names_of(content))
    assert group.worst[0].plot is not None
    assert group.worst[0].plot.high is not None
    assert group.worst[0].plot.high > group.worst[0].plot.dot


def test_half_and_twice_are_drawn_equally_far_from_no_gap(content: DashboardContent) -> None:
    ratios = content.scorecard.fairness[content.scorecard.fairness["comparison"] == "ratio"].iloc[
        :2
    ]
    ratios = ratios.assign(value=[0.5, 2.0], low=[0.4, 1.6], high=[0.625, 2.5])
    (group,) = fairness_groups(ratios, [ratios["candidate"].iloc[0]])
    low, high = sorted(row.plot.dot for row in group.groups if row.plot is not None)
    assert low + high == pytest.approx(100, abs=0.11)
    assert low < 50
