"""What rests on few cases is neither good nor bad, and stands in no list of the worst."""

from dataclasses import replace

import pandas as pd
import pytest

from evaluator.reporting import DashboardContent, render_dashboard
from evaluator.reporting._fairness import fairness_groups
from evaluator.reporting._slices import (
    HeatCell,
    additional_slice_tables,
    heat_maps,
    map_finding,
    more_finding,
)
from evaluator_tests.reporting.shown import section, with_scorecard

METRIC = "roc_auc"


def _cells(content: DashboardContent) -> list[HeatCell]:
    maps = heat_maps(content, METRIC)
    return [cell for one in maps for _, cells, _ in one.rows for cell in cells]


def test_a_slice_of_fewer_cases_than_the_audit_asks_for_has_no_colour(
    content: DashboardContent,
) -> None:
    cases = sorted({cell.n for cell in _cells(content) if cell.shade is not None and cell.n})
    asked = replace(content, headline_metrics=[METRIC], minimum_support=cases[3])
    few = [cell for cell in _cells(asked) if cell.n and cell.n < cases[3]]
    assert len(few) > 3
    assert {cell.shade for cell in few} == {None}
    assert {cell.label for cell in few} <= {"too few", "missing", "outdated"}
    assert all(cell.shade is not None for cell in _cells(asked) if cell.n and cell.n >= cases[3])
    words = section(asked, "map")
    assert " too few " in words[words.index("or no value") + 12 :]
    assert '<td class="blank"><span class="value">' in render_dashboard(asked)


def test_the_worst_slice_of_the_maps_is_one_of_enough_cases(content: DashboardContent) -> None:
    few = replace(content, minimum_support=10_000)
    assert map_finding(heat_maps(few, METRIC), METRIC) == "no slice has enough cases for ROC AUC"
    assert "lowest on" in map_finding(heat_maps(content, METRIC), METRIC)


def test_a_group_of_few_cases_stands_behind_all_others_and_is_marked(
    content: DashboardContent,
) -> None:
    tail = content.scorecard.additional_measurements
    counts = tail[(tail["level"] == "tail") & (tail["metric"] == METRIC)]["n"].dropna()
    middle = int(counts.median())
    asked = replace(content, headline_metrics=[METRIC], minimum_support=middle)
    table, _ = additional_slice_tables(asked, METRIC)
    first = [cells[0] for _, cells in table.rows]
    assert [cell.few for cell in first] == sorted(cell.few for cell in first)
    for cell in first:
        assert cell.measurement is not None
        assert cell.few == ((cell.measurement.n or 0) < middle)
    finding = more_finding([table], METRIC, "gradient_boosting")
    worst = min(
        (cell.measurement.value or 1, str(cell.measurement.segment))
        for cell in first
        if cell.measurement is not None and not cell.few
    )
    assert finding.endswith(f"is lowest on {worst[1]}: {worst[0]:.3f}")
    assert "too few" in section(asked, "more")


def test_a_gap_of_few_cases_is_marked_and_stands_behind_those_that_are_the_worst(
    content: DashboardContent,
) -> None:
    own = [gap for gap in content.fairness_gaps if gap.candidate == "random_forest"]
    widest = replace(
        own[0], group="few", value=-0.9, status="too_few", verdict="INSUFFICIENT EVIDENCE"
    )
    (group, *_) = fairness_groups([widest, *own], ["random_forest"])
    assert [row.few for row in group.groups] == sorted(row.few for row in group.groups)
    assert group.groups[-1].group != group.groups[0].group
    shown = replace(content, fairness_gaps=[widest])
    assert "INSUFFICIENT EVIDENCE too few" in section(shown, "fairness")


@pytest.mark.parametrize(("columns", "is_narrow"), [(3, False), (12, True)])
def test_a_map_shows_every_column_whatever_their_number(
    content: DashboardContent, columns: int, *, is_narrow: bool
) -> None:
    scorecard = content.scorecard
    names = [f"segment {number}" for number in range(columns)]
    first = {
        name: getattr(scorecard, name)[getattr(scorecard, name)["segment"] == "network"]
        for name in ("measurements", "slices")
    }
    wide = with_scorecard(
        content,
        **{
            key: pd.concat([table.assign(segment=name) for name in names], ignore_index=True)
            for key, table in first.items()
        },
    )
    words = section(wide, "map")
    assert all(f" {name} " in words for name in names)
    assert ('class="heat narrow"' in render_dashboard(wide)) == is_narrow
