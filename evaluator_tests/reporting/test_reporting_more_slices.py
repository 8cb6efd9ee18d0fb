"""The page's section on the further columns that an audit measures by."""

import dataclasses
import re

import pandas as pd
import pytest

from evaluator.reporting import DashboardContent, render_dashboard
from evaluator.reporting._slices import MAX_GROUPS, additional_slice_tables, sorting_candidate
from evaluator_tests.reporting.shown import section, with_scorecard

METRIC = "roc_auc"


@pytest.fixture(scope="module")
def content_by_area(content: DashboardContent) -> DashboardContent:
    """Give the audit with the area, whose intervals need cases, as its first metric."""
    return dataclasses.replace(content, headline_metrics=[METRIC, "recall"])


def words_of(content: DashboardContent) -> str:
    html = render_dashboard(content)
    body = html[html.index("<body>") :]
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", body))


def test_there_is_one_table_a_level_and_one_column_a_candidate(
    content_by_area: DashboardContent,
) -> None:
    tables = additional_slice_tables(content_by_area, METRIC)
    assert [table.level for table in tables] == ["tail", "device"]
    for table in tables:
        assert {len(cells) for _, cells in table.rows} == {len(content_by_area.candidates)}


def test_groups_come_worst_first_and_those_without_an_interval_last(
    content_by_area: DashboardContent,
) -> None:
    tail, device = additional_slice_tables(content_by_area, METRIC)
    first = [cells[0].measurement for _, cells in tail.rows]
    values = [f.value for f in first if f is not None and f.value is not None]
    assert all(f is not None and f.status == "ok" for f in first)
    assert values == sorted(values)
    # Nobody used a phone: it stands there, after all that were measured.
    assert [group for group, _ in device.rows][-1] == "device = phone"
    phone = device.rows[-1][1][0].measurement
    assert phone is not None
    assert (phone.status, phone.reason, phone.n) == ("undefined", "no rows", 0)


def test_a_loss_is_worst_where_it_is_largest(content: DashboardContent) -> None:
    tail, _ = additional_slice_tables(content, "log_loss")
    found = [cells[0].measurement for _, cells in tail.rows]
    values = [f.value for f in found if f is not None and f.status == "ok" and f.value]
    assert values == sorted(values, reverse=True)


def test_a_group_of_too_few_cases_stands_behind_every_interval(
    content_by_area: DashboardContent,
) -> None:
    few = content_by_area.scorecard.additional_measurements
    few = few[(few["level"] == "tail") & few["group"].isin(["tail = N007", "tail = N008"])]
    (table,) = additional_slice_tables(
        with_scorecard(content_by_area, additional_measurements=few), METRIC
    )
    assert [group for group, _ in table.rows] == ["tail = N008", "tail = N007"]


def test_the_certified_candidate_decides_the_order(content: DashboardContent) -> None:
    certified = [o.candidate for o in content.outcomes if o.outcome == "certified"]
    assert sorting_candidate(content) == certified[0]
    assert sorting_candidate(dataclasses.replace(content, outcomes=[])) == "gradient_boosting"
    second = [
        dataclasses.replace(
            o, outcome="certified" if o.candidate == "random_forest" else "undecided"
        )
        for o in content.outcomes
    ]
    assert sorting_candidate(dataclasses.replace(content, outcomes=second)) == "random_forest"


def test_what_is_left_out_is_counted(content_by_area: DashboardContent) -> None:
    tail, device = additional_slice_tables(content_by_area, METRIC)
    assert (len(tail.rows), tail.groups) == (MAX_GROUPS, 70)
    assert (len(device.rows), device.groups) == (3, 3)
    words = words_of(content_by_area)
    assert "50 of 70 groups; 20 left out here, all are in the scorecard" in words


def test_each_cell_says_value_interval_and_cases(content_by_area: DashboardContent) -> None:
    words = section(content_by_area, "more")
    frame = content_by_area.scorecard.additional_measurements
    row = frame[(frame["group"] == "device = tablet") & (frame["metric"] == METRIC)].iloc[0]
    shown = f"{row.value:.3f} n {row.n:,} {row.low:.3f} to {row.high:.3f}"
    assert f"device = tablet {shown}" in words


def test_a_group_that_a_candidate_was_not_run_on_has_no_number(
    content_by_area: DashboardContent,
) -> None:
    frame = content_by_area.scorecard.additional_measurements
    (table,) = additional_slice_tables(
        with_scorecard(
            content_by_area, additional_measurements=frame[frame["group"] == "tail = N069"]
        ),
        METRIC,
    )
    assert [cell.measurement is None for cell in table.rows[0][1]] == [False, True, True, True]


def test_a_candidate_with_gaps_says_so_above_its_column(content_by_area: DashboardContent) -> None:
    words = words_of(content_by_area)
    assert "logistic_regression 1 of 15 slices is missing schedule_only" in words


def test_an_audit_without_further_columns_has_no_such_section(content: DashboardContent) -> None:
    without = with_scorecard(
        content, additional_measurements=content.scorecard.additional_measurements.iloc[:0]
    )
    assert "More slices" not in words_of(without)
    nothing = pd.DataFrame(
        columns=content.scorecard.additional_measurements.columns, dtype="object"
    )
    assert "More slices" not in words_of(with_scorecard(content, additional_measurements=nothing))


@pytest.mark.parametrize(
    ("confidence", "said"), [(0.95, "95\xa0%"), (0.999, "99.9\xa0%"), (0.57, "57\xa0%")]
)
def test_every_interval_is_named_with_the_audits_confidence(
    content: DashboardContent, confidence: float, said: str
) -> None:
    html = render_dashboard(dataclasses.replace(content, confidence=confidence))
    assert html.count(f"{said} confidence interval") == 5
    assert html.count("confidence interval") == 5
