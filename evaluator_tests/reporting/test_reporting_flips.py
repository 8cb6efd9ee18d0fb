"""Cases that change sides against the baseline are counted, and some are listed."""

from dataclasses import replace

import pytest

from evaluator.reporting import DashboardContent, FlippedCase, Flips, render_dashboard
from evaluator_tests.reporting.shown import section


def flipped(number: int, score: float | None) -> FlippedCase:
    return FlippedCase(
        id=f"<c{number}>",
        geography="Pacific",
        segment="regional",
        label="negative" if number % 2 else "positive",
        prediction="<said>",
        score=score,
        baseline_score=0.75,
    )


@pytest.fixture
def changed(content: DashboardContent) -> DashboardContent:
    some = [flipped(1, 0.125), flipped(2, None)]
    one = Flips(
        candidate="random_forest", cases=8_900, newly_right=310, newly_wrong=120, shown=some
    )
    other = replace(one, candidate="schedule_only", newly_wrong=2, shown=[])
    return replace(content, flips=[one, other])


def test_both_directions_are_counted_and_some_cases_listed_as_text(
    changed: DashboardContent,
) -> None:
    words = section(changed, "flips")
    assert "random_forest 310 120 8,900 schedule_only 310 2 8,900" in words
    assert "random_forest: 2 of 120 cases that it newly gets wrong" in words
    assert "&lt;c1&gt; Pacific regional negative &lt;said&gt; 0.125 0.750" in words
    assert "&lt;c2&gt; Pacific regional positive &lt;said&gt; \N{EN DASH} 0.750" in words
    assert "<c1>" not in render_dashboard(changed)
    # Where ids are withheld there are counts alone.
    assert "schedule_only: " not in words


def test_of_numbers_it_says_that_errors_are_meant(changed: DashboardContent) -> None:
    flips = [replace(one, figure="error", does_right="gives well") for one in changed.flips]
    words = section(replace(changed, flips=flips), "flips")
    assert "Cases that only one of a candidate and logistic_regression gives well." in words
    assert "those first whose errors are furthest apart" in words
    assert "Its error Error of logistic_regression" in words


def test_where_nothing_is_compared_there_is_no_such_section(content: DashboardContent) -> None:
    assert '<section id="flips"' not in render_dashboard(content)
