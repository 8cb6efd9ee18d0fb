"""Comparison, fairness, weak slices and verdicts on the page and in the terminal."""

import dataclasses
import re
from typing import Any

import numpy as np
import pandas as pd
import pytest

from evaluator.reporting import DashboardContent, render_dashboard, summary_lines
from evaluator.reporting.comparison import MOST_PLACES, comparison_groups, rank_table
from evaluator.reporting.fairness import MOST_GAPS, MOST_GROUPS, fairness_groups
from evaluator.reporting.numbers import interval_words, p_words, rough
from evaluator.reporting.verdicts import verdict_groups
from evaluator.reporting.weak_slices import weak_groups, worsened_groups
from evaluator_tests.reporting.made_findings import make_verdict

BASELINE = "logistic_regression"
EMPTY: dict[str, Any] = {
    "comparisons": pd.DataFrame(),
    "ranks": pd.DataFrame(),
    "fairness": pd.DataFrame(),
    "weak_slices": pd.DataFrame(),
    "weak_searches": {},
    "worsened": pd.DataFrame(),
}


def names_of(content: DashboardContent) -> list[str]:
    return [candidate.name for candidate in content.candidates]


def section(content: DashboardContent, name: str) -> str:
    """Give the words of one section of the page."""
    html = render_dashboard(content)
    inside = html[html.index(f'<section id="{name}"') :]
    inside = inside[: inside.index("</section>")]
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", inside)).strip()


def lines_of(content: DashboardContent) -> str:
    return "\n".join(
        summary_lines(
            outcomes=content.outcomes,
            verdicts=content.verdicts,
            scorecard=content.scorecard,
            slices=content.slices,
            headline_metrics=content.headline_metrics,
            standout_metrics=content.standout_metrics,
            comparisons=content.comparisons,
            fairness=content.fairness,
            weak_slices=content.weak_slices,
            weak_searches=content.weak_searches,
            worsened=content.worsened,
        )
    )


def test_what_nobody_asked_for_has_no_section_and_no_line(content: DashboardContent) -> None:
    without = dataclasses.replace(content, **EMPTY)
    html = render_dashboard(without)
    for name in ("comparison", "fairness", "weak"):
        assert f'id="{name}"' not in html
        assert f'href="#{name}"' not in html
    for heading in ("Compared with", "Fairness", "Weak slices"):
        assert heading not in lines_of(without)
    # Empty frames that have their columns mean the same.
    no_rows = {name: getattr(content, name).iloc[:0] for name in EMPTY if name != "weak_searches"}
    assert render_dashboard(dataclasses.replace(content, weak_searches={}, **no_rows)) == html


def test_a_comparison_says_each_figure_of_its_row(content: DashboardContent) -> None:
    row = content.comparisons[
        (content.comparisons["candidate"] == "random_forest")
        & (content.comparisons["level"] == "overall")
        & (content.comparisons["metric"] == "recall")
    ].iloc[0]
    (group,) = (
        g
        for g in comparison_groups(content.comparisons, names_of(content), ["recall"])
        if g.candidate == "random_forest"
    )
    first = group.overall[0]
    assert (first.metric, first.conclusion) == ("recall", row["conclusion"])
    assert (first.difference, first.low, first.high) == (
        row["difference"],
        row["low_adjusted"],
        row["high_adjusted"],
    )
    assert (first.better, first.worse, first.n) == (row["better"], row["worse"], row["n"])
    words = section(content, "comparison")
    assert f"Comparison with {BASELINE}" in words
    assert f"{row['better']:,} {row['worse']:,} {row['p_adjusted']:.3f} {row['n']:,}" in words


def test_the_middle_of_every_drawing_is_no_difference(content: DashboardContent) -> None:
    for group in comparison_groups(content.comparisons, names_of(content), []):
        for row in (*group.overall, *group.places):
            assert row.plot is not None
            assert row.difference is not None
            assert row.plot.mark == 50
            assert (row.plot.dot > 50) == (row.difference > 0) or abs(row.plot.dot - 50) < 0.1
            assert row.plot.low is None or row.plot.low <= row.plot.dot


def test_the_baseline_is_not_compared_with_itself_and_nobody_else_is_left_out(
    content: DashboardContent,
) -> None:
    groups = comparison_groups(content.comparisons, [*names_of(content), "crashed"], [])
    assert [group.candidate for group in groups] == [
        "gradient_boosting",
        "random_forest",
        "schedule_only",
        "crashed",
    ]
    assert groups[-1].overall == []
    without = content.comparisons[content.comparisons["candidate"] != "random_forest"]
    left = dataclasses.replace(content, comparisons=without)
    assert "random_forest Not compared; the remarks say why." in section(left, "comparison")
    assert "  random_forest: not compared" in lines_of(left)


def test_slices_where_a_candidate_is_worse_come_first_and_are_counted(
    content: DashboardContent,
) -> None:
    (group,) = (
        g
        for g in comparison_groups(content.comparisons, names_of(content), ["roc_auc"])
        if g.candidate == "schedule_only"
    )
    elsewhere = content.comparisons[
        (content.comparisons["candidate"] == "schedule_only")
        & (content.comparisons["level"] != "overall")
    ]
    worse = elsewhere[elsewhere["conclusion"] == "worse"]
    assert group.counts["worse"] == len(worse) == group.shown
    assert sum(group.counts.values()) == len(elsewhere)
    assert next(iter(group.counts)) == "worse"
    assert len(group.places) == MOST_PLACES < group.shown
    sizes = [abs(row.difference or 0) for row in group.places if row.metric == "ROC AUC"]
    assert group.places[0].metric == "ROC AUC"
    assert sizes == sorted(sizes, reverse=True)
    left_out = f"{MOST_PLACES} of {group.shown} differences; {group.shown - MOST_PLACES} left out"
    assert left_out in section(content, "comparison")


@pytest.mark.parametrize(
    ("conclusion", "kind"),
    [
        ("better", "good"),
        ("worse", "bad"),
        ("worse, within the margin", "same"),
        ("equivalent", "same"),
        ("not worse", "same"),
        ("higher", "same"),
        ("no difference shown", "open"),
        ("not compared", "open"),
    ],
)
def test_only_a_difference_that_matters_is_coloured_good_or_bad(
    content: DashboardContent, conclusion: str, kind: str
) -> None:
    frame = content.comparisons.assign(conclusion=conclusion)
    (first, *_) = comparison_groups(frame, names_of(content), [])
    assert {row.kind for row in first.overall} == {kind}


def test_a_comparison_without_a_difference_shows_its_reason_and_no_number(
    content: DashboardContent,
) -> None:
    frame = content.comparisons.copy()
    numbers = ["difference", "low_adjusted", "high_adjusted", "p_adjusted"]
    frame[numbers] = np.nan
    frame["conclusion"] = "not compared"
    frame["reason"] = "no positive label"
    words = section(dataclasses.replace(content, comparisons=frame), "comparison")
    assert "not compared No positive label. \N{EN DASH}" in words.replace("&ndash;", "\N{EN DASH}")
    assert "nan" not in words.lower()


def test_ranks_say_what_the_data_leave_open(content: DashboardContent) -> None:
    table = rank_table(content.ranks, names_of(content), ["recall"])
    assert table is not None
    assert table.metrics[0] == "recall"
    cells = {name: row[0] for name, row in table.rows}
    assert list(cells) == names_of(content)
    second = cells["random_forest"]
    assert second is not None
    assert (second.best, second.worst) == (1, 3)
    assert "1 to 3 not told apart from gradient_boosting, logistic_regression" in section(
        content, "comparison"
    )


def test_the_worst_gap_of_each_measure_stands_with_groups_and_verdict(
    content: DashboardContent,
) -> None:
    (group,) = (
        g
        for g in fairness_groups(content.fairness, names_of(content))
        if g.candidate == "random_forest"
    )
    assert group.gaps == 18
    assert len(group.worst) == MOST_GAPS
    assert group.rows == (content.fairness["candidate"] == "random_forest").sum()
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
    own = content.fairness[content.fairness["candidate"] == "random_forest"]
    many = pd.concat([own.assign(group=own["group"] + f" {n}") for n in range(3)])
    (group,) = fairness_groups(many, ["random_forest"])
    assert len(group.groups) == MOST_GROUPS < group.rows == 3 * len(own)
    words = section(dataclasses.replace(content, fairness=many), "fairness")
    assert f"{group.rows - MOST_GROUPS:,} left out here, all are in the scorecard" in words
    assert "gradient_boosting Not measured; the remarks say why." in words


def test_a_gap_that_is_undefined_is_never_shown_as_fair(content: DashboardContent) -> None:
    frame = content.fairness.assign(
        value=np.nan,
        low=np.nan,
        high=np.nan,
        group_value=np.nan,
        reference_value=np.nan,
        verdict="INSUFFICIENT EVIDENCE",
        needed_cases=pd.array([pd.NA] * len(content.fairness), dtype="Int64"),
        status="undefined",
        reason="no positive labels",
    )
    shown = dataclasses.replace(content, fairness=frame)
    words = section(shown, "fairness")
    assert "INSUFFICIENT EVIDENCE No positive labels." in words
    assert "undefined at most 0.1" in words
    table = words[words.index("Worst gaps by candidate") :]
    assert "PASS" not in table
    assert "nan" not in table.lower()
    assert "undefined; no positive labels" in lines_of(shown)


def test_a_ratio_without_an_upper_end_says_so(content: DashboardContent) -> None:
    ratios = content.fairness[content.fairness["comparison"] == "ratio"]
    endless = dataclasses.replace(
        content, fairness=ratios.assign(value=2.0, low=1.25, high=np.inf, verdict="PASS")
    )
    words = section(endless, "fairness")
    assert "1.250 or more" in words
    assert "inf" not in words.lower().replace("insufficient", "")
    (group, *_) = fairness_groups(endless.fairness, names_of(content))
    assert group.worst[0].plot is not None
    assert group.worst[0].plot.high is not None
    assert group.worst[0].plot.high > group.worst[0].plot.dot


def test_half_and_twice_are_drawn_equally_far_from_no_gap(content: DashboardContent) -> None:
    ratios = content.fairness[content.fairness["comparison"] == "ratio"].iloc[:2]
    ratios = ratios.assign(value=[0.5, 2.0], low=[0.4, 1.6], high=[0.625, 2.5])
    (group,) = fairness_groups(ratios, [ratios["candidate"].iloc[0]])
    low, high = sorted(row.plot.dot for row in group.groups if row.plot is not None)
    assert low + high == pytest.approx(100, abs=0.11)
    assert low < 50


def test_weak_slices_are_those_that_no_other_explains(content: DashboardContent) -> None:
    groups = weak_groups(content.weak_slices, content.weak_searches, names_of(content))
    (group,) = (g for g in groups if g.candidate == "gradient_boosting")
    table = content.weak_slices[content.weak_slices["candidate"] == "gradient_boosting"]
    confirmed = table[table["status"] == "confirmed"]
    own = confirmed[confirmed["explained_by"].isna()]
    assert len(own) > 0
    assert [row.words for row in group.rows] == own["slice"].tolist()
    assert group.explained == len(confirmed) - len(own)
    words = section(content, "weak")
    assert f"{own['slice'].iloc[0].replace('>', '&gt;')} {own['n_all'].iloc[0]:,}" in words
    assert "carrier = WN" in lines_of(content)
    assert re.search(
        r"gradient_boosting: \d confirmed\. carrier = WN.*error rate 0\.\d+", lines_of(content)
    )


def test_nothing_confirmed_is_a_result_that_says_how_hard_was_looked(
    content: DashboardContent,
) -> None:
    search = content.weak_searches["schedule_only"] | {"tested": 14, "confirmed": 0}
    nothing = dataclasses.replace(
        content,
        weak_slices=content.weak_slices.iloc[:0],
        weak_searches={
            "schedule_only": search,
            "random_forest": search | {"reason": "all cases that were searched have the same loss"},
        },
    )
    words = section(nothing, "weak")
    assert f"None was confirmed. Of {search['possible']} possible slices" in words
    assert "14 were tested on the other 4,470, and none confirmed." in words
    assert "Nothing could be searched: all cases that were searched have the same loss." in words
    assert "gradient_boosting loss None was confirmed. Not searched." in words
    assert "  schedule_only: none confirmed. Of " in lines_of(nothing)


def test_what_got_worse_since_the_last_certificate_stands_with_both_losses(
    content: DashboardContent,
) -> None:
    groups = worsened_groups(content.worsened, names_of(content))
    (group,) = (g for g in groups if g.candidate == "random_forest")
    table = content.worsened[content.worsened["candidate"] == "random_forest"]
    row = table[table["slice"] == "carrier = AA"].iloc[0]
    shown = {row.words: row for row in group.rows}["carrier = AA"]
    assert (shown.loss, shown.other_loss) == (row["loss_after"], row["loss_before"])
    assert group.looked_at == len(table) > group.found
    calm = dataclasses.replace(content, worsened=content.worsened.assign(status="not_shown"))
    assert f"None of {len(table)} slices was shown to be worse." in section(calm, "weak")
    assert f"in any of {len(table)} slices" in lines_of(calm)


def test_a_verdict_shows_its_interval_against_the_limit_and_what_would_decide(
    content: DashboardContent,
) -> None:
    unsure = make_verdict(
        value=0.81,
        low=0.75,
        high=0.86,
        verdict="INSUFFICIENT EVIDENCE",
        needed_cases=21_416,
        says="It tells late from punctual",
        reason="the limit lies within the interval",
    )
    changed = dataclasses.replace(content, verdicts=[unsure])
    words = section(changed, "verdicts")
    assert "It tells late from punctual ROC AUC overall at least 0.8" in words
    assert "About 22,000 cases would decide." in words
    assert "0.750 to 0.860" in words
    assert "on the value alone" not in words
    line = "It tells late from punctual: the limit lies within the interval; about 22,000 cases"
    assert line in lines_of(changed)
    (row,) = verdict_groups(changed)["gradient_boosting"]
    assert row.plot is not None
    assert row.plot.mark == 50
    assert (row.plot.low or 0) < 50 < row.plot.dot < (row.plot.high or 0)


def test_what_would_decide_is_said_once(content: DashboardContent) -> None:
    told = make_verdict(
        verdict="INSUFFICIENT EVIDENCE",
        needed_cases=21_416,
        reason="the limit lies within; about 21,416 cases there would decide it",
    )
    changed = dataclasses.replace(content, verdicts=[told])
    assert section(changed, "verdicts").count("would decide") == 1
    assert lines_of(changed).count("would decide it") == lines_of(changed).count("21,416")


def test_an_interval_with_one_end_is_drawn_to_the_edge(content: DashboardContent) -> None:
    weak = make_verdict(value=0.1, low=0.06, high=None, limit=0.05, minimum=None, maximum=0.05)
    changed = dataclasses.replace(content, verdicts=[weak])
    (row,) = verdict_groups(changed)["gradient_boosting"]
    assert row.plot is not None
    assert row.plot.low is not None
    assert row.plot.high == 95
    assert 50 < row.plot.low < row.plot.dot
    assert "0.060 or more &le;&nbsp;0.05" in section(changed, "verdicts")


def test_a_verdict_on_the_value_alone_is_shown_as_such(content: DashboardContent) -> None:
    verdict = make_verdict(decided_on="value", required=False)
    words = section(dataclasses.replace(content, verdicts=[verdict]), "verdicts")
    assert "PASS on the value alone, whatever its interval" in words
    assert "not required" in words


def test_a_verdict_without_a_value_has_no_drawing(content: DashboardContent) -> None:
    nothing = make_verdict(
        value=None, low=None, high=None, n=None, limit=None, verdict="INSUFFICIENT EVIDENCE"
    )
    groups = verdict_groups(dataclasses.replace(content, verdicts=[nothing]))
    assert [row.plot for row in groups["gradient_boosting"]] == [None]


def test_the_terminal_spends_three_lines_a_candidate_and_finding_at_most(
    content: DashboardContent,
) -> None:
    text = lines_of(content)
    for heading in (f"Compared with {BASELINE}", "Fairness", "Weak slices"):
        block = text[text.index(f"\n{heading}\n") + 1 :].split("\n\n")[0].split("\n")
        assert 1 < len(block) <= 1 + 3 * len(content.candidates)


@pytest.mark.parametrize(
    ("count", "said"), [(1, "1"), (74, "74"), (101, "110"), (64_363, "65,000"), (99_500, "100,000")]
)
def test_a_guess_at_the_cases_needed_is_rounded_up(count: int, said: str) -> None:
    assert rough(count) == said


def test_small_p_values_and_missing_ends_are_said_in_words() -> None:
    assert [p_words(p) for p in (None, 0.0004, 0.0312)] == ["\N{EN DASH}", "< 0.001", "0.031"]
    assert interval_words(None, None, has_sign=False) == ""
    assert interval_words(0.2, None, has_sign=False) == "0.200 or more"
    assert interval_words(None, 0.2, has_sign=True) == "+0.200 or less"
    assert interval_words(-0.339, -0.154, has_sign=True) == (
        "\N{MINUS SIGN}0.339 to \N{MINUS SIGN}0.154"
    )


def test_a_long_list_of_slices_without_evidence_is_cut_and_counted(
    content: DashboardContent,
) -> None:
    many = pd.concat(
        [
            content.slices.assign(geography=f"place {n}", state="missing", error="it crashed")
            for n in range(5)
        ],
        ignore_index=True,
    )
    words = section(dataclasses.replace(content, slices=many), "gaps")
    assert words.count("it crashed") == 200
    assert "300 of 300 slices are not current" in words
    assert "the first 200, all are in the scorecard" in words
