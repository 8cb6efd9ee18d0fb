"""Intervals for a rate: k hits among n cases."""

import numpy as np
from scipy import special

from evaluator.metrics.estimates import FloatArray, Interval

# Each step halves the bracket, which is never wider than one.
_STEPS = 48


def rate_interval(
    hits: FloatArray, cases: FloatArray, confidence: float, interval: Interval
) -> tuple[FloatArray, FloatArray]:
    """Give the limits of rates by the method that the caller's promise asks for.

    Parameters
    ----------
    hits, cases
        Whole numbers, shape (groups,). Where `cases` is zero the limits are NaN.
    confidence
        Nominal coverage, such as 0.95.
    interval
        "guaranteed": Blaker's exact interval, which never covers less than nominal. "average":
        Wilson's, which covers nominally on average over rates, and less at some.

    Returns
    -------
    low, high
        The limits, shape (groups,).
    """
    low = np.full(len(hits), np.nan)
    high = np.full(len(hits), np.nan)
    there = np.flatnonzero(cases > 0)
    if len(there):
        # The same few pairs come again and again in small slices: solve each pair once.
        pairs = hits[there] + 1j * cases[there]
        unique, back = np.unique(pairs, return_inverse=True)
        method = blaker if interval == "guaranteed" else wilson
        some_low, some_high = method(unique.real, unique.imag, confidence)
        low[there], high[there] = some_low[back], some_high[back]
    return low, high


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
    jump, or the one crossing before it, and both are found by bisection.

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

    def upper(p: FloatArray) -> FloatArray:
        tail: FloatArray = special.betainc(k, n - k + 1, p)
        return tail

    def lower(j: FloatArray, p: FloatArray) -> FloatArray:
        # There is no outcome below zero.
        return np.where(j < 0, 0.0, _at_most(np.maximum(j, 0), n, p))

    opposite = _largest_opposite(k, n, low, error / 2)
    # The jump: where one more outcome is exactly as probable as the tail beyond k.
    left, right = low.copy(), k / n
    for _ in range(_STEPS):
        middle = (left + right) / 2
        before = lower(opposite + 1, middle) > upper(middle)
        left, right = np.where(before, middle, left), np.where(before, right, middle)
    jump = left
    crosses = upper(jump) + lower(opposite, jump) > error
    left, right = low.copy(), jump.copy()
    for _ in range(_STEPS):
        middle = (left + right) / 2
        kept = upper(middle) + lower(opposite, middle) > error
        left, right = np.where(kept, left, middle), np.where(kept, middle, right)
    limit[some] = np.where(crosses, left, jump)
    return limit


def _at_most(j: FloatArray, n: FloatArray, p: FloatArray) -> FloatArray:
    """Give the probability of at most j hits among n cases at rate p."""
    probability: FloatArray = special.betaincc(j + 1, n - j, p)
    return probability


def _largest_opposite(
    k: FloatArray, n: FloatArray, p: FloatArray, probability: float
) -> FloatArray:
    """Give the largest j whose lower tail at p is at most the probability; -1 if none is."""
    below, above = np.full(len(k), -1.0), k.copy()
    while np.any(above - below > 1):
        middle = np.floor((below + above) / 2)
        fits = _at_most(np.maximum(middle, 0), n, p) <= probability
        fits &= middle >= 0
        below, above = np.where(fits, middle, below), np.where(fits, above, middle)
    return below


def mean_of_rates_interval(
    rates: tuple[FloatArray, FloatArray],
    lows: tuple[FloatArray, FloatArray],
    highs: tuple[FloatArray, FloatArray],
) -> tuple[FloatArray, FloatArray]:
    """Give the interval of the mean of two independent rates from the intervals of each.

    The distance of each limit from the mean is the root of the summed squares of the single
    distances, halved: variance estimates recovered at the limits.
    Source: G. Y. Zou, A. Donner, Statistics in Medicine 27 (2008) 1693.
    """
    middle = (rates[0] + rates[1]) / 2
    below = np.hypot(rates[0] - lows[0], rates[1] - lows[1]) / 2
    above = np.hypot(highs[0] - rates[0], highs[1] - rates[1]) / 2
    return np.maximum(middle - below, 0.0), np.minimum(middle + above, 1.0)
