"""How headline metrics moved over evaluation sets, with the limits of gates, and with gaps."""

from dataclasses import replace
from datetime import UTC, date, datetime

import pytest

from evaluator.reporting import DashboardContent, EarlierFigures, render_dashboard
from evaluator.reporting._history import candidate_histories
from evaluator_tests.reporting.conftest import CANDIDATES
from evaluator_tests.reporting.shown import section


@pytest.fixture
def followed(content: DashboardContent) -> DashboardContent:
    """Give the content with two earlier sets, of which the first knew one candidate less."""
    table = content.scorecard.measurements
    overall = table[table["level"] == "overall"]
    worse = overall.assign(**{name: overall[name] - 0.05 for name in ("value", "low", "high")})
    history = [
        EarlierFigures(
            created_at=datetime(2013, 9, 30, tzinfo=UTC),
            last_day=date(2013, 9, 28),
            cases=8_000,
            measurements=worse[worse["candidate"] != "random_forest"],
        ),
        EarlierFigures(
            created_at=datetime(2013, 10, 30, tzinfo=UTC),
            last_day=None,
            cases=8_500,
            measurements=overall,
        ),
    ]
    return replace(content, history=history)


def test_each_step_is_drawn_on_the_scale_of_its_metric_with_the_limits_of_its_gates(
    followed: DashboardContent,
) -> None:
    first = candidate_histories(followed)[0]
    assert first.name == "gradient_boosting"
    by_metric = {one.metric: one for one in first.metrics}
    assert list(by_metric) == list(followed.headline_metrics)
    areas = by_metric["roc_auc"]
    assert areas.last == pytest.approx(areas.first + 0.05)
    assert [step.cases for step in areas.steps] == [8_000, 8_500, 8_939]
    # Where a set is of no day, the day on which it was measured.
    days = [step.day for step in areas.steps]
    assert days == [date(2013, 9, 28), date(2013, 10, 30), date(2013, 11, 28)]
    lows = [step.y for step in areas.steps]
    assert lows[0] > lows[1] == lows[2]  # type: ignore[operator] # all are known
    (limit,) = areas.limits
    assert 0 <= limit <= 100
    assert areas.gates == ["≥ 0.8"]
    assert section(followed, "history").count("≥ 0.8 ") == len(CANDIDATES)
    assert by_metric["f1"].limits == []


def test_a_candidate_that_was_not_there_begins_later(followed: DashboardContent) -> None:
    forest = next(one for one in candidate_histories(followed) if one.name == "random_forest")
    steps = forest.metrics[0].steps
    assert steps[0].y is None
    assert forest.metrics[0].line.count(",") == 2
    words = section(followed, "history")
    assert "random_forest accuracy 28 September 2013 8,000 \N{EN DASH}" in words


def test_the_page_tells_first_and_last_value(followed: DashboardContent) -> None:
    html = render_dashboard(followed)
    first = candidate_histories(followed)[0].metrics[0]
    told = (
        f"accuracy of gradient_boosting: {first.first:.3f} on 28 September 2013, {first.last:.3f}"
    )
    assert told in html


def test_without_earlier_certificates_there_is_no_history(content: DashboardContent) -> None:
    assert candidate_histories(content) == []
    assert '<section id="history"' not in render_dashboard(content)
