"""Residuals and what is true of predicted numbers: drawn on one scale, and told in a table."""

import re

import pytest

from evaluator.reporting import DashboardContent, render_dashboard
from evaluator.reporting._residuals import candidate_residuals
from evaluator.scorecard import PredictedBin, to_frame
from evaluator_tests.reporting.conftest import CANDIDATES
from evaluator_tests.reporting.made_findings import predicted_bins
from evaluator_tests.reporting.shown import section, with_scorecard

FIRST, SECOND, *_ = CANDIDATES


@pytest.fixture
def drawn(content: DashboardContent) -> DashboardContent:
    rows = [*predicted_bins(FIRST), *predicted_bins(SECOND, off=30.0)]
    return with_scorecard(content, predicted_bins=to_frame(rows, PredictedBin))


def test_bins_are_drawn_on_one_scale_for_all_candidates(drawn: DashboardContent) -> None:
    first, second = candidate_residuals(drawn)
    assert [mark.x for mark in first.marks] == [mark.x for mark in second.marks]
    assert first.marks[:3] == second.marks[:3]
    assert first.diagonal == second.diagonal
    ups = [mark.y for mark in first.marks]
    assert ups == sorted(ups, reverse=True)
    # It is 30 lower, and lower is further from above.
    assert second.marks[3].y > first.marks[3].y
    assert [mark.few for mark in first.marks] == [False, False, False, True]
    for box in first.boxes:
        assert box.most[0] < box.half[0] < box.median < box.half[1] < box.most[1]
        assert box.most[0] < first.zero < box.most[1]
        assert box.median < first.zero
        assert box.width > 0


def test_the_finding_counts_the_bins_that_are_off_and_the_table_says_all(
    drawn: DashboardContent,
) -> None:
    words = section(drawn, "residuals")
    assert words.startswith(
        f"Residuals Off on average by more than chance in 0 of 4 bins with {FIRST},"
        f" 1 of 4 bins with {SECOND}."
    )
    assert (
        "10.000 to 19.000 1,250 15.000 15.000 13.000 to 17.000"
        " -8.000 -3.000 0.500 3.500 9.000 ok" in words
    )
    html = render_dashboard(drawn)
    charts = re.findall(r'data-chart="(actual|residuals)" data-number="(\d)"', html)
    assert charts == [(chart, n) for n in "01" for chart in ("actual", "residuals")]


def test_one_number_alone_is_drawn_too(content: DashboardContent) -> None:
    one = PredictedBin(
        candidate=FIRST,
        low=5.0,
        high=5.0,
        mean_predicted=5.0,
        n=3,
        residual_5=0.0,
        residual_25=0.0,
        residual_50=0.0,
        residual_75=0.0,
        residual_95=0.0,
        status="too_few",
    )
    (found,) = candidate_residuals(
        with_scorecard(content, predicted_bins=to_frame([one], PredictedBin))
    )
    assert found.marks == []
    assert found.boxes[0].width > 0
    assert found.off == 0
