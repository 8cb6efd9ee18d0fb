"""The comparison with the baseline, on the page and in the terminal."""

from dataclasses import replace

import numpy as np
import pytest

from evaluator.reporting import DashboardContent, difference_lines
from evaluator.reporting._comparison import MAX_SCOPES, comparison_groups, rank_table
from evaluator.reporting._formatting import format_signed
from evaluator_tests.reporting.shown import lines_of, names_of, section, with_scorecard

BASELINE = "logistic_regression"


def test_a_comparison_says_each_figure_of_its_row(content: DashboardContent) -> None:
    compared = content.scorecard.comparisons
    row = compared[
        (compared["candidate"] == "random_forest")
        & (compared["level"] == "overall")
        & (compared["metric"] == "recall")
    ].iloc[0]
    (group,) = (
        g
        for g in comparison_groups(content.scorecard, names_of(content), ["recall"])
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
    assert f"Comparison With {BASELINE} over all cases:" in words
    assert f"{row['better']:,} {row['worse']:,} {row['p_adjusted']:.3f} {row['n']:,}" in words


def test_the_middle_of_every_drawing_is_no_difference(content: DashboardContent) -> None:
    for group in comparison_groups(content.scorecard, names_of(content), []):
        for row in (*group.overall, *group.scopes):
            assert row.plot is not None
            assert row.difference is not None
            assert row.plot.mark == 50
            assert (row.plot.dot > 50) == (row.difference > 0) or abs(row.plot.dot - 50) < 0.1
            assert row.plot.low is None or row.plot.low <= row.plot.dot


def test_the_baseline_is_not_compared_with_itself_and_nobody_else_is_left_out(
    content: DashboardContent,
) -> None:
    groups = comparison_groups(content.scorecard, [*names_of(content), "crashed"], [])
    assert [group.candidate for group in groups] == [
        "gradient_boosting",
        "random_forest",
        "schedule_only",
        "crashed",
    ]
    assert groups[-1].overall == []
    compared = content.scorecard.comparisons
    left = with_scorecard(content, comparisons=compared[compared["candidate"] != "random_forest"])
    assert "random_forest Not compared; the remarks say why." in section(left, "comparison")
    assert "  random_forest: not compared" in lines_of(left)


def test_slices_where_a_candidate_is_worse_come_first_and_are_counted(
    content: DashboardContent,
) -> None:
    (group,) = (
        g
        for g in comparison_groups(content.scorecard, names_of(content), ["roc_auc"])
        if g.candidate == "schedule_only"
    )
    compared = content.scorecard.comparisons
    elsewhere = compared[
        (compared["candidate"] == "schedule_only") & (compared["level"] != "overall")
    ]
    worse = elsewhere[elsewhere["conclusion"] == "worse"]
    assert group.counts["worse"] == len(worse) == group.shown
    assert sum(group.counts.values()) == len(elsewhere)
    assert next(iter(group.counts)) == "worse"
    assert len(group.scopes) == MAX_SCOPES < group.shown
    sizes = [abs(row.difference or 0) for row in group.scopes if row.metric == "ROC AUC"]
    assert group.scopes[0].metric == "ROC AUC"
    assert sizes == sorted(sizes, reverse=True)
    left_out = f"{MAX_SCOPES} of {group.shown} differences; {group.shown - MAX_SCOPES} left out"
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
    frame = content.scorecard.comparisons.assign(conclusion=conclusion)
    card = replace(content.scorecard, comparisons=frame)
    (first, *_) = comparison_groups(card, names_of(content), [])
    assert {row.kind for row in first.overall} == {kind}


def test_a_comparison_without_a_difference_shows_its_reason_and_no_number(
    content: DashboardContent,
) -> None:
    frame = content.scorecard.comparisons.copy()
    numbers = ["difference", "low_adjusted", "high_adjusted", "p_adjusted"]
    frame[numbers] = np.nan
    frame["conclusion"] = "not compared"
    frame["reason"] = "no positive label"
    words = section(with_scorecard(content, comparisons=frame), "comparison")
    assert "not compared No positive label. \N{EN DASH}" in words.replace("&ndash;", "\N{EN DASH}")
    assert "nan" not in words.lower()


def test_ranks_say_what_the_data_leave_open(content: DashboardContent) -> None:
    table = rank_table(content.scorecard, names_of(content), ["recall"])
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


def test_harm_comes_before_gain_and_what_hardly_matters_comes_last(
    content: DashboardContent,
) -> None:
    compared = content.scorecard.comparisons
    frame = compared[compared["candidate"] == "schedule_only"]
    by_metric = {"roc_auc": "better", "recall": "worse, within the margin"}
    frame = frame.assign(conclusion=frame["metric"].map(by_metric).fillna("worse"))
    own = frame[(frame["level"] != "segment") | (frame["metric"] != "accuracy")]
    own = own[own["level"] != "geography x segment"]
    card = replace(content.scorecard, comparisons=own)
    (group,) = comparison_groups(card, [], ["roc_auc"])
    conclusions = [row.conclusion for row in group.scopes]
    assert len(set(conclusions)) == 3
    order = ["worse", "better", "worse, within the margin"]
    assert conclusions == sorted(conclusions, key=order.index)


def test_of_two_candidates_each_row_of_the_page_is_a_line(content: DashboardContent) -> None:
    compared = content.scorecard.comparisons
    own = replace(content.scorecard, comparisons=compared[compared["candidate"] == "random_forest"])
    (group,) = comparison_groups(own, [], ["recall"])
    lines = difference_lines(own, ["recall"])
    assert len(lines) == 1 + len(group.overall) + len(group.scopes) + 1
    first = group.overall[0]
    assert first.difference is not None
    words = " ".join(lines[1].split())
    assert words.startswith(f"recall overall {format_signed(first.difference)} (")
    assert words.endswith(f"{first.better:,} {first.worse:,} {first.conclusion}")
    assert lines[-1].startswith("  by slice and metric: ")
