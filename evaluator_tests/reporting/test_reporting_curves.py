"""Curves, calibration, scores by label and decisions: drawn, told in words, marked where few."""

import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from evaluator.reporting import DashboardContent, render_dashboard
from evaluator.reporting._curves import MOST_POINTS, MOST_SHOWN, SIDE, candidate_curves
from evaluator.scorecard import OperatingPoint, ScoreBin, to_frame
from evaluator_tests.reporting.conftest import CANDIDATES
from evaluator_tests.reporting.made_findings import BINS, point, points_of
from evaluator_tests.reporting.shown import section, with_scorecard


@pytest.fixture
def drawn(content: DashboardContent) -> DashboardContent:
    """Three candidates have curves, the fourth decisions alone."""
    *scored, last = CANDIDATES
    points = [one for name in scored for one in points_of(name)]
    points.append(point(last, 0, None, 1, 0, 49, 50))
    return with_scorecard(
        content,
        operating_points=to_frame(points, OperatingPoint),
        score_bins=to_frame(BINS, ScoreBin),
    )


def test_a_curve_goes_from_the_strictest_threshold_to_the_most_lenient(
    drawn: DashboardContent,
) -> None:
    first, *_, last = candidate_curves(drawn)
    assert first.roc == "0,100 10,60 40,20 100,0"
    assert first.precision_recall == "40,20 80,33.3 100,50"
    assert first.decides_at == (20.0, 40.0)
    assert first.decides_with == (60.0, 25.0)
    assert first.in_words == (
        "where it takes at most 10% of the negative cases for positive, it finds 40% of the"
        " positive ones"
    )
    assert (last.name, last.roc, last.marks, last.bars) == ("schedule_only", "", [], [])
    assert last.in_words == "there are no scores of both classes"


def test_bins_are_drawn_with_their_intervals_and_few_cases_are_marked(
    drawn: DashboardContent,
) -> None:
    first = candidate_curves(drawn)[0]
    assert [(mark.x, mark.y, mark.low, mark.high) for mark in first.marks] == [
        (8.0, 90.0, 95.0, 82.0),
        (97.0, 0.0, 63.0, 0.0),
    ]
    assert [mark.few for mark in first.marks] == [False, True]
    tallest = max(bar.positive + bar.negative for bar in first.bars)
    assert tallest == SIDE / 2
    html = render_dashboard(drawn)
    assert html.count('class="error few"') == 1


def test_the_page_tells_decisions_and_bins_in_tables_and_a_curve_in_words(
    drawn: DashboardContent,
) -> None:
    words = section(drawn, "curves")
    assert "positive 30 20 negative 10 40" in words
    assert "as it decides 0.200 0.600 0.750 30 10 0.800 0.100 0.400 0.800 20 5" in words
    assert "0.050 to 0.100 0.080 10 90 0.100 0.050 to 0.180" in words
    html = render_dashboard(drawn)
    assert 'aria-label="ROC curve of gradient_boosting: where it takes at most 10%' in html
    # A drawing is one line that all others refer to.
    assert len(re.findall(r'<polyline id="roc-\d+"', html)) == len(CANDIDATES)
    assert html.count('class="other" href="#roc-0"') == len(CANDIDATES) - 2


def test_of_many_thresholds_the_table_has_some_with_both_ends_and_the_decision(
    drawn: DashboardContent,
) -> None:
    many = [
        point("gradient_boosting", number, number / 100 if number else None, 50, 50, 0, 0)
        for number in range(100)
    ]
    one = with_scorecard(drawn, operating_points=to_frame(many, OperatingPoint))
    thresholds = [place.threshold for place in candidate_curves(one)[0].points]
    assert thresholds[:2] == [None, 0.99]
    assert thresholds[-1] == 0.01
    assert len(set(thresholds)) == MOST_POINTS + 1


def test_a_scorecard_without_such_tables_has_no_such_section(content: DashboardContent) -> None:
    assert '<section id="curves"' not in render_dashboard(content)


def test_of_many_candidates_the_first_are_drawn_and_the_rest_is_counted(
    drawn: DashboardContent,
) -> None:
    names = [f"candidate_{number}" for number in range(MOST_SHOWN + 3)]
    points = pd.concat(
        [to_frame(points_of(name), OperatingPoint) for name in names], ignore_index=True
    )
    summaries = [replace(drawn.candidates[0], name=name, baseline=False) for name in names]
    many = replace(
        drawn,
        candidates=summaries,
        outcomes=[replace(drawn.outcomes[0], candidate=name) for name in names],
        scorecard=replace(drawn.scorecard, operating_points=points),
    )
    assert len(candidate_curves(many)) == MOST_SHOWN
    assert "3 candidates more are in the scorecard." in section(many, "curves")


def test_without_positive_cases_there_is_no_rate_and_no_line(drawn: DashboardContent) -> None:
    none = [
        point("gradient_boosting", 0, None, 0, 3, 0, 7),
        point("gradient_boosting", 1, 0.5, 0, 3, 0, 7),
    ]
    only = with_scorecard(drawn, operating_points=to_frame(none, OperatingPoint))
    (curves,) = candidate_curves(only)
    assert curves.roc == "0,100"
    assert curves.precision_recall == ""
    assert curves.decides_at is None
    assert np.isfinite(curves.bars[0].positive)
