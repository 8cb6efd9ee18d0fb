"""Gaps between means."""

import numpy as np
from scipy import special

from evaluator.metrics.estimates import FloatArray, divide
from evaluator.metrics.fairness_gaps import (
    OF_THE_REFERENCE,
    Asked,
    Gap,
    Reasons,
    bookkeeping,
    no_reasons,
    planned_cases,
)
from evaluator.metrics.fairness_intervals import TwoRates
from evaluator.metrics.fairness_summaries import Means
from evaluator.metrics.means import estimate_mean

_NO_SPREAD = 1e-14


def mean_gaps(one: Means, two: Means, asked: Asked) -> Gap:
    """Give the differences of the means of the groups at the same positions."""
    pair = TwoRates(one.sums[:, :, 0], one.cases, two.sums[:, :, 0], two.cases)
    own, other = pair.standardised()
    share = (pair.weights * np.nan_to_num(divide(one.cases, one.cases + two.cases))).sum(axis=1)
    if one.cases.shape[1] == 1:
        low, _, too_few = _mean_limits(one, two, asked.confidence_low)
        _, high, _ = _mean_limits(one, two, asked.confidence_high)
    else:
        low, _, too_few = _stratified_mean_limits(one, two, pair, asked.confidence_low)
        _, high, _ = _stratified_mean_limits(one, two, pair, asked.confidence_high)
    value = own - other
    variances = [_pooled_variance(side) for side in (one, two)]
    cases, other_cases = planned_cases(one, two)
    known = [np.where(np.isnan(v), w, v) for v, w in (variances, variances[::-1])]
    variance = divide(known[0], cases) + divide(known[1], other_cases)
    whole = other
    if asked.overall:
        whole = share * own + (1 - share) * other
        left = 1 - np.nan_to_num(share)
        value, low, high, variance = value * left, low * left, high * left, variance * left**2
    return Gap(
        value,
        low,
        high,
        own,
        whole,
        *bookkeeping(one, two, asked),
        no_reasons(len(value)),
        too_few,
        np.nan_to_num(value),
        variance,
    )


def _mean_limits(
    one: Means, two: Means, confidence: float
) -> tuple[FloatArray, FloatArray, Reasons]:
    """Give the interval of the difference of two means from the interval of each.

    The distance of each limit from the difference is the root of the summed squares of the single
    distances: variance estimates recovered at the limits.
    Source: G. Y. Zou, A. Donner, Statistics in Medicine 27 (2008) 1693.
    """
    own, other = (
        estimate_mean(side.cases[:, 0], side.sums[:, 0], confidence, side.bounds)
        for side in (one, two)
    )
    difference = own.value - other.value
    below = np.hypot(own.value - own.low, other.high - other.value)
    above = np.hypot(own.high - own.value, other.value - other.low)
    reasons = no_reasons(len(difference))
    for estimate, where in ((other, OF_THE_REFERENCE), (own, "")):
        for pair in np.flatnonzero(estimate.status == "too_few"):
            reasons[pair] = estimate.reason[pair] + where
    return difference - below, difference + above, reasons


def _pooled_variance(side: Means) -> FloatArray:
    """Give the variance within strata, shape (groups,); NaN where no stratum holds two cases."""
    within = _squares_within(side).sum(axis=1)
    return divide(within, np.maximum(side.cases - 1, 0).sum(axis=1))


def _squares_within(side: Means) -> FloatArray:
    """Give the squared deviations from each stratum's mean, shape (groups, strata)."""
    mean = np.nan_to_num(divide(side.sums[:, :, 0], side.cases))
    squares: FloatArray = np.maximum(side.sums[:, :, 1] - side.cases * mean**2, 0)
    # What is left by cancellation is no spread.
    return np.where(squares <= _NO_SPREAD * side.sums[:, :, 1], 0.0, squares)


def _stratified_mean_limits(
    one: Means, two: Means, pair: TwoRates, confidence: float
) -> tuple[FloatArray, FloatArray, Reasons]:
    """Give Student's interval of the weighted difference of means over strata.

    The variance is sum w^2 (s1^2 / n1 + s2^2 / n2), s being a stratum's own standard deviation,
    or in a stratum of a single case the one within the group's other strata. Degrees of freedom
    are those of Welch and Satterthwaite: F. E. Satterthwaite, Biometrics Bulletin 2 (1946) 110.
    """
    own, other = pair.standardised()
    variances, freedoms = [], []
    for side in (one, two):
        pooled = _pooled_variance(side)[:, None]
        single = divide(_squares_within(side), np.maximum(side.cases - 1, 0))
        each = divide(np.where(np.isnan(single), pooled, single), side.cases)
        variances.append(np.where(pair.informative, pair.weights**2 * each, 0.0).sum(axis=1))
        freedoms.append(np.maximum(side.cases - 1, 0).sum(axis=1))
    variance = variances[0] + variances[1]
    parts = divide(variances[0] ** 2, freedoms[0]) + divide(variances[1] ** 2, freedoms[1])
    freedom = np.maximum(np.nan_to_num(divide(variance**2, parts), nan=1.0), 1.0)
    half = special.stdtrit(freedom, (1 + confidence) / 2) * np.sqrt(variance)
    reasons = no_reasons(len(own))
    reasons[~(variance > 0)] = "within the strata all cases are equal or alone"
    return own - other - half, own - other + half, reasons
