"""Intervals for a rate: k hits among n cases."""

from collections.abc import Callable

import numpy as np
from scipy import special

from evaluator.metrics._estimates import BoolArray, Estimate, FloatArray, divide

_MAX_STEPS = 60
# How many times more skewed than cases clusters may be; what benchmarks/coverage.py asks for.
_LOPSIDED = 3
# The part of the error probability that balanced intervals leave to a side at most.
_ON_A_SIDE = 0.7
# Relative error that the search for a limit may leave.
_ROUNDING = 1e-11
_HALF = 0.5
# Below it a probability that is taken from 1 loses digits that the search needs.
_LITTLE = 1e-3


def rate_interval(
    hits: FloatArray, cases: FloatArray, confidence: float
) -> tuple[FloatArray, FloatArray]:
    """Give the limits of rates by Blaker's exact interval, each pair of counts solved once.

    Parameters
    ----------
    hits, cases
        Whole numbers, shape (rates,).
    confidence
        The least probability with which the interval holds the true rate.

    Returns
    -------
    low, high
        Limits of each rate; NaN where there are no cases.
    """
    low = np.full(len(hits), np.nan)
    high = np.full(len(hits), np.nan)
    there = np.flatnonzero(cases > 0)
    if len(there):
        # The same few pairs come again and again in small slices.
        pairs = hits[there] + 1j * cases[there]
        unique, back = np.unique(pairs, return_inverse=True)
        some_low, some_high = blaker(unique.real, unique.imag, confidence)
        low[there], high[there] = some_low[back], some_high[back]
    return low, high


def balanced_rate_interval(
    hits: FloatArray, cases: FloatArray, confidence: float
) -> tuple[FloatArray, FloatArray]:
    """Give Blaker's interval, made wider where one side misses too often.

    Where few hits are expected, none of them contradicts nothing, and Blaker's interval may miss on
    the other side alone, with all of the error probability. The limits lie at least where Clopper
    and Pearson's would that leave 0.7 of it in each tail.
    """
    low, high = rate_interval(hits, cases, confidence)
    outer = clopper_pearson(hits, cases, 1 - 2 * _ON_A_SIDE * (1 - confidence))
    return np.minimum(low, outer[0]), np.maximum(high, outer[1])


def wilson(hits: FloatArray, cases: FloatArray, confidence: float) -> tuple[FloatArray, FloatArray]:
    """Give Wilson's score interval.

    The rates p with (k/n - p)^2 <= z^2 p (1 - p) / n.
    Source: E. B. Wilson, Journal of the American Statistical Association 22 (1927) 209.
    """
    z = special.ndtri((1 + confidence) / 2)
    middle = (hits + z * z / 2) / (cases + z * z)
    half = z / (cases + z * z) * np.sqrt(hits * (cases - hits) / cases + z * z / 4)
    low = np.where(hits == 0, 0.0, middle - half)
    high = np.where(hits == cases, 1.0, middle + half)
    return low, high


def clopper_pearson(
    hits: FloatArray, cases: FloatArray, confidence: float
) -> tuple[FloatArray, FloatArray]:
    """Give the interval whose limits leave half the error probability in each tail.

    Cases need not be whole, so that effective numbers of cases may stand for them.
    Source: C. J. Clopper, E. S. Pearson, Biometrika 26 (1934) 404.
    """
    tail = (1 - confidence) / 2
    low = np.zeros(len(hits))
    high = np.ones(len(hits))
    some, all_but = hits > 0, hits < cases
    low[some] = special.betaincinv(hits[some], (cases - hits + 1)[some], tail)
    high[all_but] = special.betainccinv((hits + 1)[all_but], (cases - hits)[all_but], tail)
    return low, high


def blaker(hits: FloatArray, cases: FloatArray, confidence: float) -> tuple[FloatArray, FloatArray]:
    """Give Blaker's exact interval: it never covers less than nominal at any true rate.

    A rate p is kept when the probability of the tail beyond k, plus that of the largest opposite
    tail that is no more probable, exceeds the error probability. The interval is the hull of the
    rates that are kept; it lies inside Clopper and Pearson's.

    Going up from Clopper and Pearson's limit, the acceptability is continuous until the opposite
    tail takes in one more outcome. There both tails are equally probable, so that the
    acceptability is twice a tail that is at least half the error probability: the rate is kept.
    Between such jumps the acceptability falls and then rises. The limit therefore is the first
    jump, or the one crossing before it; Newton's method finds both in a few steps.

    Sources: H. Blaker, Canadian Journal of Statistics 28 (2000) 783; J. Klaschka,
    J. Reiczigel, Computational Statistics 36 (2021) 1775, for the shape between jumps.
    """
    low, _ = clopper_pearson(hits, cases, confidence)
    low = _raised(hits, cases, low, 1 - confidence)
    mirrored = cases - hits
    other, _ = clopper_pearson(mirrored, cases, confidence)
    return low, 1 - _raised(mirrored, cases, other, 1 - confidence)


def _raised(hits: FloatArray, cases: FloatArray, start: FloatArray, error: float) -> FloatArray:
    """Raise lower limits from Clopper and Pearson's to Blaker's."""
    limit = start.copy()
    some = np.flatnonzero(hits > 0)
    k, n, low = hits[some], cases[some], start[some]
    opposite = _largest_opposite(k, n, low, error / 2)
    jump = _where_tails_are_equal(k, opposite + 1, n)
    # Mirrored tails are equal at 1/2, which no search finds to the last bit.
    mirrored = opposite + 1 == n - k
    jump[mirrored] = _HALF
    crosses = _tails(k, opposite, n, jump) > error
    found = jump.copy()
    found[crosses] = _crossing(
        k[crosses], opposite[crosses], n[crosses], (low[crosses], jump[crosses]), error
    )
    # What was searched for goes outwards by more than was rounded.
    searched = ~mirrored | crosses
    found[searched] *= 1 - _ROUNDING
    limit[some] = np.maximum(found, low)
    return limit


def _at_least(k: FloatArray, n: FloatArray, p: FloatArray) -> FloatArray:
    """Give the probability of at least k hits among n cases at rate p."""
    probability: FloatArray = special.betainc(k, n - k + 1, p)
    return probability


def _at_most(j: FloatArray, n: FloatArray, p: FloatArray) -> FloatArray:
    """Give the probability of at most j hits among n cases at rate p; there is none below 0."""
    known = np.maximum(j, 0)
    # The function of the complement takes four times as long, and is needed where little is left.
    probability: FloatArray = 1 - special.betainc(known + 1, n - known, p)
    small = np.flatnonzero(probability < _LITTLE)
    probability[small] = special.betaincc(known[small] + 1, (n - known)[small], p[small])
    probability[j < 0] = 0.0
    return probability


def _tails(k: FloatArray, j: FloatArray, n: FloatArray, p: FloatArray) -> FloatArray:
    """Give the probability of at least k or at most j hits."""
    return _at_least(k, n, p) + _at_most(j, n, p)


def _log_slope(hits: FloatArray, n: FloatArray) -> FloatArray:
    """Give the constant part of the logarithm of the derivative of P(at least hits) by p."""
    slope: FloatArray = -special.betaln(hits, n - hits + 1)
    return slope


def _slope(constant: FloatArray, hits: FloatArray, n: FloatArray, p: FloatArray) -> FloatArray:
    """Give the derivative of P(at least hits) by p."""
    slope: FloatArray = np.exp(
        constant + special.xlogy(hits - 1, p) + special.xlog1py(n - hits, -p)
    )
    return slope


def _largest_opposite(
    k: FloatArray, n: FloatArray, p: FloatArray, probability: float
) -> FloatArray:
    """Give the largest j whose lower tail at p is at most the probability; -1 if none is."""
    # Both tails are nearly as far from the mean: a few steps from there lead to the exact j.
    j = np.clip(np.floor(2 * n * p - k), -1, k - 1)
    moving = np.flatnonzero(_at_most(j, n, p) > probability)
    while len(moving):
        j[moving] -= 1
        moving = moving[_at_most(j[moving], n[moving], p[moving]) > probability]
    moving = np.arange(len(j))
    while len(moving):
        moving = moving[_at_most(j[moving] + 1, n[moving], p[moving]) <= probability]
        j[moving] += 1
    return j


def _where_tails_are_equal(k: FloatArray, j: FloatArray, n: FloatArray) -> FloatArray:
    """Give the rate at which at least k and at most j hits are equally probable, j < k."""
    # The difference of the tails' logarithms is nearly straight, and zero near the middle.
    p = (j + k) / (2 * n)
    constants = _log_slope(k, n), _log_slope(j + 1, n)
    settled = np.zeros(len(p), dtype=bool)
    for _ in range(_MAX_STEPS):
        upper, lower = _at_least(k, n, p), _at_most(j, n, p)
        difference = np.log(upper) - np.log(lower)
        slope = _slope(constants[0], k, n, p) / upper + _slope(constants[1], j + 1, n, p) / lower
        step = difference / slope
        # At the ends of [0, 1] Newton's step may leave it: go half the way instead.
        moved = np.where(p - step <= 0, p / 2, np.where(p - step >= 1, (1 + p) / 2, p - step))
        p, settled = _move(p, moved, settled)
        if settled.all():
            break
    return p


def _crossing(
    k: FloatArray,
    j: FloatArray,
    n: FloatArray,
    bracket: tuple[FloatArray, FloatArray],
    error: float,
) -> FloatArray:
    """Give the rate in the bracket from which on the two tails exceed the error probability."""
    low, high = bracket
    p = high
    constants = _log_slope(k, n), _log_slope(j + 1, n)
    settled = np.zeros(len(p), dtype=bool)
    for _ in range(_MAX_STEPS):
        excess = _tails(k, j, n, p) - error
        low, high = np.where(excess > 0, low, p), np.where(excess > 0, p, high)
        slope = _slope(constants[0], k, n, p)
        slope -= np.where(j < 0, 0.0, _slope(constants[1], j + 1, n, p))
        target = p - divide(excess, np.maximum(slope, 0))
        # Outside the bracket, or where the tails still fall, halve the bracket instead.
        moved = np.where((target > low) & (target <= high), target, (low + high) / 2)
        p, settled = _move(p, moved, settled)
        if settled.all():
            break
    return p


def _move(p: FloatArray, moved: FloatArray, settled: BoolArray) -> tuple[FloatArray, BoolArray]:
    """Take a step of a search; a limit that has settled stays, so that it depends on no other.

    Otherwise a slice's interval would change in its last digits with what is measured beside it.
    """
    moved = np.where(settled, p, moved)
    return moved, settled | (np.abs(moved - p) <= _ROUNDING / 4 * p)


def effective_rate_interval(
    value: FloatArray,
    variance: FloatArray,
    units: FloatArray,
    alone: FloatArray,
    confidence: float,
    *,
    skewness: FloatArray | None = None,
) -> tuple[FloatArray, FloatArray]:
    """Give the interval of a rate that has another variance than as many independent cases.

    The effective number of cases is the one at which independent cases would have the variance,
    which holds what it is not known by; Korn and Graubard put it in Clopper and Pearson's interval.
    Clusters have more than two outcomes, so that their rate needs no correction for continuity,
    and Jeffreys' limits take the place of these. Where units are as good as cases the interval is
    Blaker's, or the balanced one where the skewness is told.

    Parameters
    ----------
    value, variance
        The rates and their variances, shape (groups,).
    units
        The effective number of units (clusters, or weighted cases), by their sizes alone.
    alone
        How near each unit is to being as good as one case, from 0 to 1.
    confidence
        Nominal coverage.
    skewness
        How many times more skewed a rate may be than that of as many cases, shape (groups,).

    Source: E. Korn, B. Graubard, Survey Methodology 24 (1998) 193, for the effective number.
    """
    low, high = np.full(len(value), np.nan), np.full(len(value), np.nan)
    there = np.flatnonzero((value >= 0) & (units > 0))
    p, of_p, units, alone = (one[there] for one in (value, variance, units, alone))
    tail = (1 + confidence) / 2
    half = (1 - alone) / 2

    def limits(variance: FloatArray) -> tuple[FloatArray, FloatArray]:
        # Where all outcomes are alike no variance is found, and the units are counted.
        n = np.where(variance > 0, divide(p * (1 - p), variance), units)
        hits, misses = p * n, (1 - p) * n
        lower, upper = np.zeros(len(n)), np.ones(len(n))
        some, all_but = p > 0, p < 1
        lower[some] = special.betaincinv((hits + half)[some], (misses + 1 - half)[some], 1 - tail)
        upper[all_but] = special.betainccinv(
            (hits + 1 - half)[all_but], (misses + half)[all_but], 1 - tail
        )
        return lower, upper

    skewed = None if skewness is None else skewness[there]
    lopsided = lopsided_interval(limits, p, of_p, alone, p < 0.5, skewness=skewed)  # noqa: PLR2004 - the middle
    whole = np.maximum(np.round(units), 1)
    counted = np.round(p * whole), whole
    of_cases = rate_interval if skewness is None else balanced_rate_interval
    exact, outer = of_cases(*counted, confidence), clopper_pearson(*counted, confidence)
    low[there], high[there] = (
        np.clip(limit + alone * (inner - wide), 0, 1)
        for limit, inner, wide in zip(lopsided, exact, outer, strict=True)
    )
    return np.fmin(low, value), np.fmax(high, value)


def lopsided_interval(
    interval: Callable[[FloatArray], tuple[FloatArray, FloatArray]],
    value: FloatArray,
    variance: FloatArray,
    alone: FloatArray,
    rising: BoolArray,
    *,
    skewness: FloatArray | None = None,
) -> tuple[FloatArray, FloatArray]:
    """Give an interval from variances for clusters, which are more skewed than cases.

    The limit on the side of the longer tail (the upper one where it is rising) is at least that of
    an estimate with the same variance and up to four times the skewness, or so many times. A rate
    that differs between clusters by a beta distribution has up to twice the skewness of as many
    independent cases, by a logistic normal one more, and variance and skewness are learned from few
    clusters.
    """
    stretch = 1 + _LOPSIDED * (1 - alone) if skewness is None else skewness
    low, high = interval(variance)
    far_low, far_high = (value + (far - value) / stretch for far in interval(variance * stretch**2))
    return np.where(rising, low, np.fmin(low, far_low)), np.where(
        rising, np.fmax(high, far_high), high
    )


def halve_towards(
    edge: float,
    observed: FloatArray,
    contradicted: Callable[[FloatArray], BoolArray],
    steps: int,
) -> FloatArray:
    """Halve the way from what was observed to an edge, to where the data begin to contradict."""
    outer, inner = np.full(len(observed), edge), observed.copy()
    for _ in range(steps):
        middle = (outer + inner) / 2
        out = contradicted(middle)
        outer, inner = np.where(out, middle, outer), np.where(out, inner, middle)
    return np.where(observed == edge, edge, outer)


def mean_of_rates_interval(
    one: Estimate, other: Estimate, correlation: float | FloatArray = 0.0
) -> tuple[FloatArray, FloatArray]:
    """Give the interval of the mean of two rates from the intervals of each.

    The distance of each limit from the mean is the root of the summed squares of the single
    distances, and of twice their product where the rates are correlated, halved: variance
    estimates recovered at the limits.
    Sources: G. Y. Zou, A. Donner, Statistics in Medicine 27 (2008) 1693; G. Y. Zou, Psychological
    Methods 12 (2007) 399, for correlated estimates.
    """
    middle = (one.value + other.value) / 2

    def together(a: FloatArray, b: FloatArray) -> FloatArray:
        root: FloatArray = np.sqrt(np.maximum(a * a + b * b + 2 * correlation * a * b, 0))
        return root / 2

    below = together(one.value - one.low, other.value - other.low)
    above = together(one.high - one.value, other.high - other.value)
    return np.maximum(middle - below, 0.0), np.minimum(middle + above, 1.0)
