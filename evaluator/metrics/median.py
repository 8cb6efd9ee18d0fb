"""The median of a loss, plain or weighted, and its interval."""

import numpy as np
from scipy import special

from evaluator.metrics.estimates import FloatArray, divide
from evaluator.metrics.linear import Sample

# Sums of weights are rounded: weights are equal when twelve digits are.
_SLACK = 1e-12


def weighted_median(sample: Sample, values: FloatArray) -> FloatArray:
    """Give each group's median; where half the weight falls between two values, their mean."""
    half = sample.total(sample.weight) / 2
    return (_reaching(sample, values, half) + _passing(sample, values, half)) / 2


def median_interval(
    sample: Sample, values: FloatArray, median: FloatArray, confidence: float
) -> tuple[FloatArray, FloatArray]:
    """Give the interval of the median between two of the ordered values.

    The number of n independent cases below the true median is binomial with rate 1/2, whatever
    the distribution; the r-th smallest and the r-th largest value hold the median with at least
    the nominal probability when P(fewer than r below) is at most half the error probability.
    With weights or clusters n is the effective number of cases of the share below the median.

    Sources: W. R. Thompson, Annals of Mathematical Statistics 7 (1936) 122; with weights,
    R. Woodruff, Journal of the American Statistical Association 47 (1952) 635.

    Returns
    -------
    low, high
        NaN where even the extreme values do not hold the median often enough.
    """
    cases = sample.cases()
    effective = cases
    if not sample.plain:
        below = values <= median[sample.group]
        share = sample.ratio(below, np.ones(len(values)))
        variance = sample.variance(share.influence)
        found = divide(share.value * (1 - share.value), variance)
        effective = np.fmin(cases, found)
    n = np.floor(np.nan_to_num(effective))
    rank = np.array([_rank(int(one), confidence) for one in n], dtype=float)
    total = sample.total(sample.weight)
    cut = np.nan_to_num(divide(rank, effective)) * total
    # The r-th smallest: the first value at which the weight reaches the cut; the r-th largest by
    # the same from above.
    low = _reaching(sample, values, cut)
    high = -_reaching(sample, -values, cut)
    impossible = rank < 1
    return np.where(impossible, np.nan, low), np.where(impossible, np.nan, high)


def _rank(n: int, confidence: float) -> int:
    """Give the largest r with P(Binomial(n, 1/2) < r) at most half the error probability."""
    if n == 0:
        return 0
    tail = (1 - confidence) / 2
    # Start from the normal approximation and step to the exact rank.
    rank = max(int(n / 2 + special.ndtri(tail) * np.sqrt(n) / 2), 0)
    while special.betaincc(rank + 1, n - rank, 0.5) <= tail:
        rank += 1
    while rank > 0 and special.betaincc(rank, n - rank + 1, 0.5) > tail:
        rank -= 1
    return rank


def _reaching(sample: Sample, values: FloatArray, cut: FloatArray) -> FloatArray:
    """Give the first value of each group at which the weight reaches the cut."""
    return _pick(sample, values, cut, -_SLACK)


def _passing(sample: Sample, values: FloatArray, cut: FloatArray) -> FloatArray:
    """Give the first value of each group at which the weight exceeds the cut."""
    return _pick(sample, values, cut, _SLACK)


def _pick(sample: Sample, values: FloatArray, cut: FloatArray, slack: float) -> FloatArray:
    """Give each group's first value whose cumulative weight is above the cut and the slack."""
    if not len(values):
        return np.full(sample.groups, np.nan)
    order = np.lexsort((values, sample.group))
    group, weight = sample.group[order], sample.weight[order]
    # Rows without weight can be no quantile.
    counts = weight > 0
    order, group, weight = order[counts], group[counts], weight[counts]
    bounds = np.searchsorted(group, np.arange(sample.groups + 1))
    cumulative = np.concatenate([[0.0], np.cumsum(weight)])
    target = cumulative[bounds[:-1]] + cut + slack * cumulative[-1]
    found = np.searchsorted(cumulative[1:], target)
    inside = np.clip(found, bounds[:-1], np.maximum(bounds[1:] - 1, 0))
    occupied = np.diff(bounds) > 0
    result = np.full(sample.groups, np.nan)
    result[occupied] = values[order[inside[occupied]]]
    return result
