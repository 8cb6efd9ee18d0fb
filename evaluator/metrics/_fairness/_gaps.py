"""The gap between a group and what it is compared with, for many pairs at once.

Ratios are handled as logarithms throughout, so that a ratio and its inverse are alike.
"""

from dataclasses import dataclass, fields, replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy import special

from evaluator.metrics._catalogue import Comparison
from evaluator.metrics._estimates import NO_SPREAD, BoolArray, FloatArray, divide
from evaluator.metrics._levels import IntArray
from evaluator.metrics._means import estimate_mean
from evaluator.metrics._two_sample import (
    TwoRates,
    log_odds_ratio,
    newcombe,
    score_difference,
    score_log_ratio,
)

OF_THE_REFERENCE = " in the reference"
ALONE = "there is no other group to compare with"
NO_COMMON_STRATUM = "no stratum of the control columns holds cases of both"
NO_FALSE_POSITIVES = "no false positives"
NO_RATIO = "no missed positives in the reference"
ZERO_REFERENCE = "the rate of the reference is 0, so that there is no ratio"
BOTH_ZERO = "both rates are 0, so that there is no ratio"
# Why something is not there; an empty text where nothing is wrong.
Reasons = NDArray[np.object_]


@dataclass(frozen=True)
class GroupSummary:
    """What the groups of one level are compared by."""

    # Cases of each group, shape (groups,).
    rows: FloatArray
    # The cases that the compared quantity rests on, shape (groups, strata).
    cases: FloatArray
    # What these cases are, such as "positive labels".
    what: str

    def take(self, positions: IntArray) -> Self:
        """Give the groups at these positions."""
        return replace(
            self,
            **{
                field.name: getattr(self, field.name)[positions]
                for field in fields(self)
                if isinstance(getattr(self, field.name), np.ndarray)
            },
        )

    def rest(self) -> Self:
        """Give, for every group, all other groups together."""
        return replace(
            self,
            **{
                field.name: getattr(self, field.name).sum(axis=0) - getattr(self, field.name)
                for field in fields(self)
                if isinstance(getattr(self, field.name), np.ndarray)
            },
        )


@dataclass(frozen=True)
class RateSummary(GroupSummary):
    """Groups compared by a rate."""

    # How many of the cases are hits, shape (groups, strata).
    hits: FloatArray
    # Whether a ratio is one of hits over misses, and not of rates.
    odds: bool = False


@dataclass(frozen=True)
class MeanSummary(GroupSummary):
    """Groups compared by a mean."""

    # Sums of first, second and third powers, shape (groups, strata, 3).
    sums: FloatArray
    # The smallest and the largest possible value of a case.
    bounds: tuple[float, float]


@dataclass(frozen=True)
class Gap:
    """The gaps of pairs; every array has shape (pairs,)."""

    # The gap and its limits: a difference, or the logarithm of a ratio.
    value: FloatArray
    low: FloatArray
    high: FloatArray
    # The quantity in the group, and in what it is compared with.
    own: FloatArray
    other: FloatArray
    # What each of the two rests on, in the strata that hold cases of both.
    cases: FloatArray
    other_cases: FloatArray
    # All cases of each of the two.
    rows: FloatArray
    other_rows: FloatArray
    # How many strata hold cases of both, and how many of one alone.
    strata: FloatArray
    left_out: FloatArray
    # Why there is no gap, and why it has no interval; empty otherwise.
    undefined: Reasons
    too_few: Reasons

    def take(self, positions: Any) -> "Gap":
        """Give the pairs at these positions."""
        return Gap(*(getattr(self, field.name)[positions] for field in fields(self)))

    @classmethod
    def concat(cls, parts: "list[Gap]") -> "Gap":
        """Put the pairs of several gaps one after the other."""
        return cls(
            *(
                np.concatenate([getattr(part, field.name) for part in parts])
                for field in fields(cls)
            )
        )


@dataclass(frozen=True)
class GapRequest:
    """How gaps are wanted."""

    comparison: Comparison
    # Nominal coverage of the two-sided intervals that the lower and the upper limit are from.
    confidence_low: float
    confidence_high: float
    # The fewest cases that either side of an interval rests on.
    minimum_support: int
    # Whether the gap is wanted to all groups together; the second group then is the rest.
    overall: bool = False


def rate_gaps(one: RateSummary, two: RateSummary, request: GapRequest) -> Gap:
    """Give the gaps of rates, or of odds, of the groups at the same positions.

    In one stratum a difference has Newcombe's interval, and in several that of Miettinen and
    Nurminen, which a ratio of rates has in any case.
    """
    pair = TwoRates(one.hits, one.cases, two.hits, two.cases)
    own, other = pair.standardised()
    undefined = empty_reasons(len(own))
    share = (pair.weights * np.nan_to_num(divide(one.cases, one.cases + two.cases))).sum(axis=1)
    whole = share * own + (1 - share) * other if request.overall else other
    if request.comparison == "difference":
        value = own - other
    elif one.odds:
        value = log_odds_ratio(pair, request.confidence_low)[0]
        misses, other_misses = one.cases - one.hits, two.cases - two.hits
        share = np.nan_to_num(divide(misses.sum(axis=1), (misses + other_misses).sum(axis=1)))
        undefined[~(value < np.inf)] = NO_RATIO
        undefined[other_misses.sum(axis=1) == 0] = NO_FALSE_POSITIVES + OF_THE_REFERENCE
        undefined[misses.sum(axis=1) == 0] = NO_FALSE_POSITIVES
    else:
        value = _log_ratio(own, other)
        undefined[value == np.inf] = ZERO_REFERENCE
        undefined[(own == 0) & (other == 0)] = BOTH_ZERO
    low, high = _rate_limits(pair, request.comparison, request.confidence_low, odds=one.odds)
    if request.confidence_high != request.confidence_low:
        _, high = _rate_limits(pair, request.comparison, request.confidence_high, odds=one.odds)
    if request.overall:
        share = np.nan_to_num(share)
        value, low, high = (
            to_overall(gap, share, request.comparison) for gap in (value, low, high)
        )
    if one.odds and request.comparison == "ratio":
        own, whole = divide(own, 1 - own), divide(whole, 1 - whole)
    return Gap(
        value,
        low,
        high,
        own,
        whole,
        *count_compared(one, two, request),
        undefined,
        empty_reasons(len(own)),
    )


def _log_ratio(own: FloatArray, other: FloatArray) -> FloatArray:
    """Give the logarithm of a ratio, infinite where one of the two is zero, NaN where both are."""
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio: FloatArray = np.log(own) - np.log(other)
    return ratio


def _rate_limits(
    pair: TwoRates, comparison: Comparison, confidence: float, *, odds: bool
) -> tuple[FloatArray, FloatArray]:
    if comparison == "difference":
        one_stratum = pair.cases.shape[1] == 1
        return newcombe(pair, confidence) if one_stratum else score_difference(pair, confidence)
    if odds:
        _, low, high, _ = log_odds_ratio(pair, confidence)
        return low, high
    return score_log_ratio(pair, confidence)


def to_overall(gap: FloatArray, share: FloatArray, comparison: Comparison) -> FloatArray:
    """Turn a gap to the rest into one to the overall, of which the group is a share."""
    if comparison == "difference":
        return (1 - share) * gap
    # A gap that is not known stays unknown, and a share of 1 leaves none.
    with np.errstate(divide="ignore", invalid="ignore"):
        whole: FloatArray = -np.logaddexp(np.log(share), np.log1p(-share) - gap)
    return whole


def count_compared(
    one: GroupSummary, two: GroupSummary, request: GapRequest
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray, FloatArray, FloatArray]:
    """Count the cases that are compared and all rows on both sides, and the strata."""
    here, there = one.cases > 0, two.cases > 0
    both = here & there
    cases, other_cases = (np.where(both, side.cases, 0).sum(axis=1) for side in (one, two))
    other_rows = two.rows
    if request.overall:
        other_cases, other_rows = other_cases + cases, two.rows + one.rows
    left_out = (here ^ there).sum(axis=1).astype(float)
    return cases, other_cases, one.rows, other_rows, both.sum(axis=1).astype(float), left_out


def mean_gaps(one: MeanSummary, two: MeanSummary, request: GapRequest) -> Gap:
    """Give the differences of the means of the groups at the same positions."""
    pair = TwoRates(one.sums[:, :, 0], one.cases, two.sums[:, :, 0], two.cases)
    own, other = pair.standardised()
    share = (pair.weights * np.nan_to_num(divide(one.cases, one.cases + two.cases))).sum(axis=1)
    if one.cases.shape[1] == 1:
        low, _, too_few = _mean_limits(one, two, request.confidence_low)
        _, high, _ = _mean_limits(one, two, request.confidence_high)
    else:
        low, _, too_few = _stratified_mean_limits(one, two, pair, request.confidence_low)
        _, high, _ = _stratified_mean_limits(one, two, pair, request.confidence_high)
    value = own - other
    whole = other
    if request.overall:
        whole = share * own + (1 - share) * other
        left = 1 - np.nan_to_num(share)
        value, low, high = value * left, low * left, high * left
    return Gap(
        value,
        low,
        high,
        own,
        whole,
        *count_compared(one, two, request),
        empty_reasons(len(value)),
        too_few,
    )


def _mean_limits(
    one: MeanSummary, two: MeanSummary, confidence: float
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
    reasons = empty_reasons(len(difference))
    for estimate, where in ((other, OF_THE_REFERENCE), (own, "")):
        for pair in np.flatnonzero(estimate.status == "too_few"):
            reasons[pair] = estimate.reason[pair] + where
    return difference - below, difference + above, reasons


def _stratified_mean_limits(
    one: MeanSummary, two: MeanSummary, pair: TwoRates, confidence: float
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
    reasons = empty_reasons(len(own))
    reasons[~(variance > 0)] = "within the strata all cases are equal or alone"
    return own - other - half, own - other + half, reasons


def _pooled_variance(side: MeanSummary) -> FloatArray:
    """Give the variance within strata, shape (groups,); NaN where no stratum holds two cases."""
    within = _squares_within(side).sum(axis=1)
    return divide(within, np.maximum(side.cases - 1, 0).sum(axis=1))


def _squares_within(side: MeanSummary) -> FloatArray:
    """Give the squared deviations from each stratum's mean, shape (groups, strata)."""
    mean = np.nan_to_num(divide(side.sums[:, :, 0], side.cases))
    squares: FloatArray = np.maximum(side.sums[:, :, 1] - side.cases * mean**2, 0)
    # What is left by cancellation is no spread.
    return np.where(squares <= NO_SPREAD * side.sums[:, :, 1], 0.0, squares)


def empty_reasons(pairs: int) -> Reasons:
    """Say nothing of any pair."""
    return np.full(pairs, "", dtype=object)


def is_set(reasons: Reasons) -> BoolArray:
    """Say of which pairs there is a reason."""
    return np.array([reason != "" for reason in reasons], dtype=bool)
