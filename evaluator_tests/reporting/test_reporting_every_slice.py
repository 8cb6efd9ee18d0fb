"""Every metric of every slice stands on the page, all candidates side by side."""

from dataclasses import replace

import pandas as pd
import pytest

from evaluator.reporting import DashboardContent, _every_slice, render_dashboard
from evaluator.reporting._every_slice import every_slice
from evaluator_tests.reporting.conftest import CANDIDATES, CRASHED, GEOGRAPHIES, METRICS, SEGMENTS
from evaluator_tests.reporting.shown import section


def test_each_scope_has_a_row_for_each_metric_with_all_candidates(
    content: DashboardContent,
) -> None:
    every = every_slice(content)
    scopes = 1 + len(GEOGRAPHIES) + len(SEGMENTS) + len(GEOGRAPHIES) * len(SEGMENTS)
    assert len(every.rows) == scopes * len(METRICS)
    assert every.candidates == list(CANDIDATES)
    first = every.rows[0]
    inner = next(r for r in every.rows if (r.geography, r.segment) == ("Pacific", "network"))
    assert (first.geography, first.segment, first.cases) == (None, None, 8_939)
    table = content.scorecard.measurements
    for row in (first, inner):
        for name, cell in zip(every.candidates, row.cells, strict=True):
            if cell is None or cell.value is None:
                continue
            own = table[(table["candidate"] == name) & (table["metric"] == row.metric)]
            levels = sum(part is not None for part in (row.geography, row.segment))
            level = ["overall", "", "geography x segment"][levels]
            own = own[own["level"] == level]
            if levels:
                own = own[(own["geography"] == row.geography) & (own["segment"] == row.segment)]
            assert cell.value == own["value"].iloc[0]


def test_on_the_page_few_cases_are_grey_and_what_is_missing_is_empty(
    content: DashboardContent,
) -> None:
    words = section(content, "slices")
    rows = every_slice(content).rows
    assert f"{len(rows)} rows of figures" in words
    crashed = next(r for r in rows if (r.geography, r.segment) == (CRASHED[1], CRASHED[2]))
    assert f"{crashed.geography} {crashed.segment} accuracy" in words
    assert 'class="num few"' in render_dashboard(content)


def test_of_very_many_values_the_headline_metrics_are_shown(
    content: DashboardContent, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_every_slice, "MOST_CELLS", 100)
    few = replace(content, headline_metrics=["recall"])
    every = every_slice(few)
    assert {row.metric for row in every.rows} == {"recall"}
    assert not every.is_whole
    assert "Each headline metric of each slice" in section(few, "slices")


def test_each_class_has_a_row_of_its_own(content: DashboardContent) -> None:
    table = content.scorecard.measurements
    recall = table[table["metric"] == "recall"].assign(metric="class_recall")
    of_classes = [recall.assign(**{"class": name}) for name in ("ckb", "kmr")]
    scorecard = replace(content.scorecard, measurements=pd.concat([table, *of_classes]))
    whole = replace(content, scorecard=scorecard)
    more = [row for row in every_slice(whole).rows if row.of_class is not None]
    assert len(more) == 2 * sum(row.metric == "recall" for row in every_slice(content).rows)
    words = section(whole, "slices")
    assert "all all recall of class ckb" in words
    assert "Pacific network recall of class kmr" in words
