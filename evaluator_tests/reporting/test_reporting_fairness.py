"""Gaps between groups, on the page and in the terminal."""

import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from evaluator.reporting import DashboardContent
from evaluator.reporting._fairness import MAX_GAPS, MAX_GROUPS, fairness_groups
from evaluator_tests.reporting.made_findings import decide
from evaluator_tests.reporting.shown import lines_of, names_of, section, with_scorecard


def test_the_worst_gap_of_each_measure_stands_with_groups_and_verdict(
    content: DashboardContent,
) -> None:
    (group,) = (
        g
        for g in fairness_groups(content.fairness_gaps, names_of(content))
        if g.candidate == "random_forest"
    )
    assert group.gaps == 18
    assert len(group.worst) == MAX_GAPS
    assert group.rows == (content.scorecard.fairness["candidate"] == "random_forest").sum()
    verdicts = [row.verdict or "" for row in group.worst]
    assert verdicts == sorted(verdicts)
    assert verdicts[0] == "FAIL"
    first = group.worst[0]
    assert sum(count or 0 for count in (first.failed, first.open, first.passed)) == 5
    words = section(content, "fairness")
    assert f"{first.group} against {first.reference}" in words
    assert re.search(
        r"INSUFFICIENT EVIDENCE The limit 0.1 lies within; about [\d,]+ cases there in all", words
    )
    assert "True positive rate: the share of the positives" in words


def test_all_groups_are_there_up_to_a_number_and_the_rest_is_counted(
    content: DashboardContent,
) -> None:
    own = content.scorecard.fairness[content.scorecard.fairness["candidate"] == "random_forest"]
    many = pd.concat([own.assign(group=own["group"] + f" {n}") for n in range(3)])
    shown = with_scorecard(content, fairness=many)
    (group,) = fairness_groups(shown.fairness_gaps, ["random_forest"])
    assert len(group.groups) == MAX_GROUPS < group.rows == 3 * len(own)
    words = section(shown, "fairness")
    assert f"{group.rows - MAX_GROUPS:,} left out here, all are in the scorecard" in words
    assert "gradient_boosting Not measured; the remarks say why." in words


def test_a_gap_that_is_undefined_is_never_shown_as_fair(content: DashboardContent) -> None:
    frame = content.scorecard.fairness.assign(
        value=np.nan,
        low=np.nan,
        high=np.nan,
        group_value=np.nan,
        reference_value=np.nan,
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
    endless = with_scorecard(content, fairness=ratios.assign(value=2.0, low=1.25, high=np.inf))
    words = section(endless, "fairness")
    assert "1.250 or more" in words
    assert "inf" not in words.lower().replace("insufficient", "")
    (group, *_) = fairness_groups(endless.fairness_gaps, names_of(content))
    assert group.worst[0].plot is not None
    assert group.worst[0].plot.high is not None
    assert group.worst[0].plot.high > group.worst[0].plot.dot


def test_half_and_twice_are_drawn_equally_far_from_no_gap(content: DashboardContent) -> None:
    gap = next(gap for gap in content.fairness_gaps if gap.is_ratio)
    half = replace(gap, value=0.5, low=0.4, high=0.625)
    twice = replace(gap, value=2.0, low=1.6, high=2.5)
    (group,) = fairness_groups([half, twice], [gap.candidate])
    low, high = sorted(row.plot.dot for row in group.groups if row.plot is not None)
    assert low + high == pytest.approx(100, abs=0.11)
    assert low < 50


def test_a_gap_shows_whose_limit_it_is_held_against(content: DashboardContent) -> None:
    words = section(content, "fairness")
    assert "at most 0.05, gate" in words
    assert "at most 0.1, no gate" in words
    assert "at least 0.8, no gate" in words


def test_of_two_gates_the_page_names_the_one_whose_verdict_it_shows(
    content: DashboardContent,
) -> None:
    gaps = [replace(gap, gates=2, gate="recall at most so") for gap in content.fairness_gaps]
    twice = replace(content, fairness_gaps=gaps)
    assert "the worst of 2 gates: recall at most so" in section(twice, "fairness")


def test_without_a_limit_a_gap_is_shown_and_not_judged(content: DashboardContent) -> None:
    frame = content.scorecard.fairness
    measured = replace(content.scorecard, fairness=frame[frame["measure"] == "equalised_odds"])
    plain = replace(content, scorecard=measured, fairness_gaps=decide(measured, {}))
    (group, *_) = fairness_groups(plain.fairness_gaps, names_of(content))
    assert (group.verdicts, group.without_limit) == ({}, group.gaps)
    row = group.worst[0]
    assert row.verdict is None
    assert row.plot is not None
    assert row.plot.limits == []
    words = section(plain, "fairness")
    table = words[words.index("Worst gaps by candidate") :]
    assert not re.search("PASS|FAIL|EVIDENCE|at most|at least|gate|None|nan", table)
    assert re.search(r"difference by \w+ &ndash; ", table)
    assert f"{group.gaps} gaps, none of them with a limit" in lines_of(plain)
