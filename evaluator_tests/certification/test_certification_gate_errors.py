"""How often verdicts err, and how often what would decide does: by enumeration and with seeds."""

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import example, given, settings, strategies as st
from scipy import stats

from evaluator.certification._bounds import (
    Bools,
    BoundDecisions,
    Floats,
    Intervals,
    decide_bounds,
    decide_values,
)
from evaluator.metrics._comparison._differences import PairedRateDifference
from evaluator.metrics._means import Moments, mean_interval
from evaluator.metrics._rates import rate_interval

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


def _hold(
    value: Floats,
    ends: tuple[Floats, Floats],
    at_least: float,
    n: float,
    *,
    simultaneous: bool = False,
    **more: float,
) -> BoundDecisions:
    """Hold intervals against a least value; `more` is one number of each scope."""
    each = np.ones(len(value))
    arrays = {name: number * each for name, number in more.items()}
    return decide_bounds(
        Intervals(
            value=value,
            low=ends[0],
            high=ends[1],
            at_least=at_least * each,
            at_most=np.inf * each,
            n=n * each,
            simultaneous=simultaneous,
            **arrays,
        ),
        CONFIDENCE,
    )


def _exact(hits: Floats, cases: float) -> tuple[Floats, Floats]:
    return rate_interval(hits, np.full(len(hits), cases), CONFIDENCE)


@pytest.mark.parametrize(
    ("hits", "cases", "at_least"),
    [
        (46, 50, 0.95),
        (24, 25, 0.90),
        (97, 100, 0.95),
        (190, 200, 0.96),
        (15, 30, 0.4),
        (15, 30, 0.6),
        (45, 50, 0.8),
        (3, 60, 0.1),
        (99, 100, 0.97),
        (9, 10, 0.6),
        (700, 1000, 0.72),
    ],
)
def test_the_cases_that_would_decide_a_rate_do_so_as_often_as_promised(
    hits: int, cases: int, at_least: float
) -> None:
    rate = hits / cases
    ends = _exact(np.array([float(hits)]), cases)
    needed = int(_hold(np.array([rate]), ends, at_least, cases).needed_cases[0])

    def power(among: int) -> float:
        """Add up the outcomes that decide."""
        outcomes = np.arange(among + 1.0)
        chance = stats.binom.pmf(outcomes, among, rate)
        likely = chance > 1e-9
        decided = _hold(
            outcomes[likely] / among,
            _exact(outcomes[likely], among),
            at_least,
            among,
        )
        right = decided.passed if rate > at_least else decided.failed_alone
        return float(chance[likely][right].sum())

    assert 0.8 <= power(needed) <= 0.9
    # It goes up and down with the number of cases, and stays near.
    assert min(power(needed + math.ceil(needed * more)) for more in (0.01, 0.03, 0.1)) >= 0.76
    # Two figures, so that nobody takes it for more than it is.
    assert len(str(needed).rstrip("0")) <= 2


def test_the_cases_that_would_decide_count_all_of_a_place_and_not_those_of_the_rate_alone() -> None:
    ends = _exact(np.array([46.0]), 50)
    alone = _hold(np.array([0.92]), ends, 0.95, 50).needed_cases
    some = _hold(np.array([0.92]), ends, 0.95, 400, n_effective=50).needed_cases
    assert some == pytest.approx(8 * alone, rel=0.1)


def test_a_rate_among_many_places_fails_as_often_as_promised_in_spite_of_the_correction() -> None:
    def beside_good(hits: Floats, cases: int) -> BoundDecisions:
        good = np.full(19, 0.9)
        low, high = _exact(hits, cases)
        ends = np.append(low, good - 0.01), np.append(high, good + 0.01)
        return _hold(np.append(hits / cases, good), ends, 0.6, cases)

    needed = int(beside_good(np.array([110.0]), 200).needed_cases[0])
    outcomes = np.arange(needed + 1.0)
    chance = stats.binom.pmf(outcomes, needed, 0.55)
    likely = np.flatnonzero(chance > 1e-6)
    failed = [beside_good(outcomes[[one]], needed).failed[0] for one in likely]
    assert 0.8 <= chance[likely][failed].sum() <= 0.85


def test_a_rate_between_two_limits_is_shown_within_both_as_often_as_promised() -> None:
    def between(hits: Floats, cases: int) -> BoundDecisions:
        each = np.ones(len(hits))
        low, high = _exact(hits, cases)
        return decide_bounds(
            Intervals(
                value=hits / cases,
                low=low,
                high=high,
                at_least=0.5 * each,
                at_most=0.66 * each,
                n=cases * each,
            ),
            CONFIDENCE,
        )

    needed = int(between(np.array([60.0]), 100).needed_cases[0])
    outcomes = np.arange(needed + 1.0)
    passed = between(outcomes, needed).passed
    assert 0.8 <= stats.binom.pmf(outcomes, needed, 0.6)[passed].sum() <= 0.85


def _mean(losses: Floats) -> tuple[Floats, tuple[Floats, Floats]]:
    """Give means and intervals of samples, shape (samples, cases)."""
    value, deviation = losses.mean(axis=1), losses.std(axis=1, ddof=1)
    skewness = ((losses - value[:, None]) ** 3).mean(axis=1) / deviation**3
    n = np.full(len(losses), float(losses.shape[1]))
    return value, mean_interval(Moments(n, value, deviation, skewness), CONFIDENCE)


def _paired(differences: Floats) -> tuple[Floats, tuple[Floats, Floats]]:
    """Give means of differences and Student's intervals of samples."""
    value, n = differences.mean(axis=1), differences.shape[1]
    half = stats.t.ppf((1 + CONFIDENCE) / 2, n - 1) * stats.sem(differences, axis=1)
    return value, (value - half, value + half)


def _hits(differences: Floats) -> tuple[Floats, tuple[Floats, Floats]]:
    """Give differences of paired rates and intervals of samples whose cases are -1, 0 or 1."""
    more, fewer = (differences > 0).sum(axis=1), (differences < 0).sum(axis=1)
    n = np.full(len(more), float(differences.shape[1]))
    found = PairedRateDifference(more.astype(float), fewer.astype(float), n)
    return (more - fewer) / n, found.interval(np.full(len(more), 1 - CONFIDENCE))


@pytest.mark.parametrize("share", [0.7, 0.5, -0.5, -0.7])
@pytest.mark.parametrize("estimate", [_mean, _paired, _hits])
def test_the_cases_that_would_decide_a_mean_or_a_difference_do_so_as_often_as_promised(
    estimate: Callable[[Floats], tuple[Floats, tuple[Floats, Floats]]], share: float
) -> None:
    rng = np.random.default_rng(20260309)
    cases = {
        _mean: rng.exponential(size=200),
        _paired: rng.normal(0.3, 1, 200),
        _hits: np.repeat([-1.0, 0.0, 1.0], [16, 150, 34]),
    }[estimate]
    value, (low, high) = estimate(cases[None, :])
    # As far from the value as a share of the interval's half on that side.
    limit = float((value - share * (value - low if share > 0 else high - value))[0])
    needed = int(_hold(value, (low, high), limit, 200).needed_cases[0])
    # The observed value is the true one.
    decided = _hold(*estimate(rng.choice(cases, size=(SAMPLES, needed))), limit, needed)
    assert 0.76 < (decided.passed if share > 0 else decided.failed_alone).mean() < 0.85


@pytest.mark.parametrize("share", [0.6, -0.6])
def test_the_clusters_that_would_decide_do_so_as_often_as_promised(share: float) -> None:
    # Days of a hundred cases each, that differ.
    rng = np.random.default_rng(20260309)
    days = rng.normal(0.6, 0.1, 14)

    def held(samples: Floats, limit: float) -> BoundDecisions:
        units = samples.shape[1]
        value, error = samples.mean(axis=1), samples.std(axis=1, ddof=1) / math.sqrt(units)
        half = stats.t.ppf((1 + CONFIDENCE) / 2, units - 1) * error
        ends = value - half, value + half
        return _hold(value, ends, limit, 100 * units, n_effective=90 * units, clusters=units)

    half = stats.t.ppf((1 + CONFIDENCE) / 2, 13) * days.std(ddof=1) / math.sqrt(14)
    limit = days.mean() - share * half
    found = held(days[None, :], limit)
    more = int(found.more_clusters[0])
    assert found.needed_cases[0] == pytest.approx(100 * (14 + more), rel=0.1)
    decided = held(rng.choice(days, size=(4 * SAMPLES, 14 + more)), limit)
    assert 0.77 < (decided.passed if share > 0 else decided.failed_alone).mean() < 0.86


def test_intervals_that_hold_together_need_fewer_cases_than_their_width_alone_tells() -> None:
    # Each of 20 errs on a side with a twentieth of 0.05, and is so much wider.
    quantile = stats.norm.isf(0.05 / 20)
    values, error = np.full(20, 0.6), 0.02
    ends = values - quantile * error, values + quantile * error
    found = _hold(values, ends, 0.57, 1000, simultaneous=True)
    exact = 1000 * ((quantile + 0.8416) * error / 0.03) ** 2
    assert found.needed_cases == pytest.approx(math.ceil(exact / 100) * 100)


def test_a_value_that_more_than_twenty_times_the_data_would_decide_is_too_near() -> None:
    each = np.array([0.6])
    for half, limit in ((0.05, 0.585), (0.05, 0.584), (0.05, 0.6)):
        found = _hold(each, (each - half, each + half), limit, 1000).needed_cases[0]
        # The half shrinks to (1 + 0.84 / 1.96)^-1 of the distance.
        would = 1000 * (half * (1 + 0.8416 / 1.96) / max(0.6 - limit, 1e-9)) ** 2
        assert np.isinf(found) == (would > 20_000)


_ENDS = st.floats(min_value=0, max_value=1)


@settings(max_examples=100)
@given(
    places=st.lists(st.tuples(_ENDS, _ENDS, _ENDS), min_size=1, max_size=6),
    limit=_ENDS,
    wider=st.floats(min_value=0, max_value=1),
)
@example([(0.0, 0.0, 1.0)], 1.1125369292536007e-308, 0.0)
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
