"""How often the verdicts of many places err, simulated with seeds."""

import math
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from evaluator.certification._bounds import (
    Bools,
    BoundDecisions,
    Floats,
    Intervals,
    decide_bounds,
    decide_values,
)
from evaluator.metrics._rates import rate_interval, wilson

CONFIDENCE = 0.95
ERROR = (1 - CONFIDENCE) / 2
SAMPLES = 1500


class Draws(NamedTuple):
    """What gates decided; shape (samples, places)."""

    passed: Bools
    failed: Bools
    failed_alone: Bools


def _decided(true: Floats, cases: int, at_least: float, at_most: float) -> Draws:
    """Draw rates at several places again and again, and decide each draw as one gate."""
    rng = np.random.default_rng(20260309)
    hits = rng.binomial(cases, true, size=(SAMPLES, len(true))).astype(float)
    ends = rate_interval(hits.ravel(), np.full(hits.size, float(cases)), CONFIDENCE)
    low, high = (end.reshape(hits.shape) for end in ends)

    def decide(samples: slice | int, *, simultaneous: bool = False) -> BoundDecisions:
        value = (hits[samples] / cases).ravel()
        each = np.ones(len(value))
        return decide_bounds(
            Intervals(
                value=value,
                low=low[samples].ravel(),
                high=high[samples].ravel(),
                at_least=at_least * each,
                at_most=at_most * each,
                n=cases * each,
                simultaneous=simultaneous,
            ),
            CONFIDENCE,
        )

    # Each place of each sample looked at alone; then the correction, which is one of a sample, for
    # those samples in which there is something to take back.
    alone = decide(slice(None), simultaneous=True)
    failed_alone = alone.failed_alone.reshape(hits.shape)
    failed = failed_alone.copy()
    for sample in np.flatnonzero(failed_alone.any(axis=1)):
        failed[sample] = decide(sample).failed
    return Draws(alone.passed.reshape(hits.shape), failed, failed_alone)


def _beyond_chance(error: float) -> float:
    """Give what a share of the samples exceeds in 1 of 1,000 simulations if its mean is this."""
    return error + 3.09 * math.sqrt(error * (1 - error) / SAMPLES)


@pytest.mark.parametrize(
    ("places", "cases", "limit"), [(20, 60, 0.6), (20, 60, 0.95), (20, 1000, 0.5), (100, 60, 0.9)]
)
def test_a_failure_is_named_where_there_is_none_no_more_often_than_promised(
    places: int, cases: int, limit: float
) -> None:
    # The worst case: every place is exactly as good as it has to be.
    draws = _decided(np.full(places, limit), cases, limit, math.inf)
    named = draws.failed.any(axis=1).mean()
    without_correction = draws.failed_alone.any(axis=1).mean()
    assert named <= _beyond_chance(ERROR)
    # The correction is needed: without it at least every third certificate would be refused.
    assert without_correction > 0.33


@pytest.mark.parametrize("limit", [0.05, 0.4, 0.95])
def test_the_same_holds_for_a_limit_from_above(limit: float) -> None:
    draws = _decided(np.full(20, limit), 60, -math.inf, limit)
    assert draws.failed.any(axis=1).mean() <= _beyond_chance(ERROR)


@pytest.mark.parametrize("bad_places", [1, 5])
def test_a_gate_with_a_bad_place_passes_no_more_often_than_promised_without_correction(
    bad_places: int,
) -> None:
    # As bad as can be while it is still hard to see, among places that nobody could doubt.
    true = np.full(20, 0.95)
    true[:bad_places] = 0.5999
    draws = _decided(true, 400, 0.6, math.inf)
    assert draws.passed.all(axis=1).mean() <= _beyond_chance(ERROR**bad_places)


def test_a_place_that_is_clearly_bad_is_named_in_spite_of_the_correction() -> None:
    true = np.full(20, 0.7)
    true[3] = 0.3
    draws = _decided(true, 200, 0.6, math.inf)
    assert draws.failed[:, 3].mean() > 0.99
    assert np.delete(draws.failed, 3, axis=1).any(axis=1).mean() < ERROR


def test_the_cases_that_are_asked_for_decide_as_often_as_they_promise() -> None:
    def one(value: float, cases: int) -> Intervals:
        ends = wilson(np.array([value * cases]), np.array([float(cases)]), CONFIDENCE)
        return Intervals(
            value=np.array([value]),
            low=ends[0],
            high=ends[1],
            at_least=np.array([0.6]),
            at_most=np.array([np.inf]),
            n=np.array([float(cases)]),
        )

    for value in (0.65, 0.55):
        needed = int(decide_bounds(one(value, 100), CONFIDENCE).needed_cases[0])
        draws = _decided(np.array([value]), needed, 0.6, math.inf)
        assert 0.76 < (draws.passed if value > 0.6 else draws.failed).mean() < 0.84


_ENDS = st.floats(min_value=0, max_value=1)


@settings(max_examples=100)
@given(
    places=st.lists(st.tuples(_ENDS, _ENDS, _ENDS), min_size=1, max_size=6),
    limit=_ENDS,
    wider=st.floats(min_value=0, max_value=1),
)
def test_a_wider_interval_never_decides_more_and_both_limits_are_treated_alike(
    places: list[tuple[float, float, float]], limit: float, wider: float
) -> None:
    low, value, high = np.array([sorted(place) for place in places]).T
    each = np.ones(len(places))

    def decide(sign: int, width: float) -> BoundDecisions:
        least, most = (limit, math.inf) if sign == 1 else (-math.inf, -limit)
        ends = (sign * (low - width), sign * (high + width))
        return decide_bounds(
            Intervals(
                value=sign * value,
                low=np.minimum(*ends),
                high=np.maximum(*ends),
                at_least=least * each,
                at_most=most * each,
                n=100 * each,
            ),
            CONFIDENCE,
        )

    narrow, mirrored, wide = decide(1, 0), decide(-1, 0), decide(1, wider)
    assert (narrow.passed == mirrored.passed).all()
    assert (narrow.failed == mirrored.failed).all()
    assert (narrow.passed >= wide.passed).all()
    assert (narrow.failed_alone >= wide.failed_alone).all()
    assert not (narrow.passed & narrow.failed_alone).any()
    assert (narrow.failed_alone >= narrow.failed).all()
    decided = narrow.passed | narrow.failed
    assert np.isnan(narrow.needed_cases[decided]).all()
    asked = narrow.needed_cases[~np.isnan(narrow.needed_cases)]
    assert (asked > 100).all()


def test_intervals_that_hold_together_already_are_not_corrected_again() -> None:
    each = np.ones(50)
    intervals = Intervals(
        value=0.2 * each,
        low=0.11 * each,
        high=0.3 * each,
        at_least=-np.inf * each,
        at_most=0.1 * each,
        n=100 * each,
        simultaneous=True,
    )
    assert decide_bounds(intervals, CONFIDENCE).failed.all()


def test_deciding_on_the_value_errs_every_second_time_at_the_limit() -> None:
    rng = np.random.default_rng(20260309)
    values = rng.binomial(1001, 0.6, size=SAMPLES) / 1001
    each = np.ones(SAMPLES)
    intervals = Intervals(
        value=values,
        low=np.nan * each,
        high=np.nan * each,
        at_least=0.6 * each,
        at_most=np.inf * each,
        n=1001 * each,
    )
    assert 0.45 < decide_values(intervals).passed.mean() < 0.55
