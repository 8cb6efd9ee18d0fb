"""The gap between a group and what it is compared with, for many pairs at once.

Ratios are handled as logarithms throughout, so that a ratio and its inverse are alike.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, field, fields, replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy import special

from evaluator.metrics._catalogue import Comparison
from evaluator.metrics._estimates import NO_SPREAD, BoolArray, Estimate, FloatArray, divide
from evaluator.metrics._fairness._clusters import (
    Remainder,
    Side,
    SideEstimate,
    SurveySums,
    remainder,
)
from evaluator.metrics._levels import IntArray
from evaluator.metrics._linear import MIN_CLUSTERS, UnitEstimate
from evaluator.metrics._means import Moments, estimate_mean, survey_mean
from evaluator.metrics._two_sample import (
    TwoRates,
    log_odds_ratio,
    newcombe,
    recovered_difference,
    recovered_log_ratio,
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
class GroupSummary(ABC):
    """What the groups of one level are compared by."""

    # Cases of each group, shape (groups,).
    rows: FloatArray
    # The cases (their weights) that the compared quantity rests on, shape (groups, strata).
    cases: FloatArray
    # What these cases are, such as "positive labels".
    what: str
    # None where cases are independent and count alike.
    survey: SurveySums | None = field(default=None, kw_only=True)

    def take(self, positions: IntArray) -> Self:
        """Give the groups at these positions."""
        survey = None if self.survey is None else self.survey.take(positions)
        arrays = {name: sums[positions] for name, sums in self._arrays()}
        return replace(self, survey=survey, **arrays)

    def rest(self) -> Self:
        """Give, for every group, all other groups together."""
        survey = None if self.survey is None else self.survey.rest()
        arrays = {name: sums.sum(axis=0) - sums for name, sums in self._arrays()}
        return replace(self, survey=survey, **arrays)

    def count_cases(self, strata: BoolArray) -> FloatArray:
        """Count the cases of each group in some of its strata; with weights what they leave."""
        cases: FloatArray = np.where(strata, self.cases, 0).sum(axis=1)
        if self.survey is None:
            return cases
        squares = np.where(strata, self.survey.squares[:, :, 0], 0).sum(axis=1)
        return np.nan_to_num(divide(cases**2, squares))

    def is_supported(self, minimum_support: int) -> BoolArray:
        """Say which groups have enough cases, and clusters if there are any."""
        enough = self.count_cases(np.ones(self.cases.shape, dtype=bool)) >= minimum_support
        if self.survey is None:
            return enough
        return enough & ~(self.survey.count_clusters() < MIN_CLUSTERS)

    @property
    def width(self) -> int:
        """How many numbers a group has in the widest of the arrays that a comparison makes."""
        strata: int = self.cases.shape[1]
        clusters = None if self.survey is None else self.survey.clusters
        # In one stratum a group's clusters are looked at once, in whatever pairs it is.
        if self.survey is None or clusters is None or (strata == 1 and not self.survey.is_rest):
            return strata
        return max(strata, int(clusters.cases.shape[1]))

    @property
    @abstractmethod
    def totals(self) -> FloatArray:
        """Sums of what is compared, shape (groups, strata)."""

    @abstractmethod
    def spread(self, rate: FloatArray) -> FloatArray:
        """Give the variance of a single case around a rate or mean, shape (groups, strata)."""

    @property
    def skewness(self) -> FloatArray:
        """The skewness of the cases' values, shape (groups,), where an interval needs it."""
        return np.zeros(len(self.cases))

    def _arrays(self) -> Iterator[tuple[str, Any]]:
        for one in fields(self):
            if isinstance(value := getattr(self, one.name), np.ndarray):
                yield one.name, value


@dataclass(frozen=True)
class RateSummary(GroupSummary):
    """Groups compared by a rate."""

    # How many of the cases are hits, shape (groups, strata).
    hits: FloatArray
    # Whether a ratio is one of hits over misses, and not of rates.
    odds: bool = False

    @property
    def totals(self) -> FloatArray:
        """Sums of what is compared, shape (groups, strata)."""
        return self.hits

    def spread(self, rate: FloatArray) -> FloatArray:
        """Give the variance of a single case around a rate, shape (groups, strata)."""
        rate = np.clip(rate, 0, 1)
        return rate * (1 - rate)


@dataclass(frozen=True)
class MeanSummary(GroupSummary):
    """Groups compared by a mean."""

    # Sums of first, second and third powers, shape (groups, strata, 3).
    sums: FloatArray
    # The smallest and the largest possible value of a case.
    bounds: tuple[float, float]

    @property
    def totals(self) -> FloatArray:
        """Sums of what is compared, shape (groups, strata)."""
        first: FloatArray = self.sums[:, :, 0]
        return first

    def spread(self, rate: FloatArray) -> FloatArray:
        """Give the variance of a single case around a mean, shape (groups, strata)."""
        first, second = (np.nan_to_num(divide(self.sums[:, :, p], self.cases)) for p in (0, 1))
        variance = second - 2 * rate * first + rate**2
        return np.where(variance <= NO_SPREAD * second, 0.0, variance)

    @property
    def skewness(self) -> FloatArray:
        """The skewness of the cases' values, shape (groups,)."""
        weight = self.cases.sum(axis=1)
        known = self.count_cases(self.cases > 0)
        factor = np.nan_to_num(divide(known, weight))[:, None]
        return Moments.of_sums(known, self.sums.sum(axis=1) * factor).skewness


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
    # What each of the two rests on, in the strata that hold cases of both: their effective number.
    cases: FloatArray
    other_cases: FloatArray
    # Clusters with such cases of either; NaN without clusters.
    clusters: FloatArray
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
        return Gap(*(getattr(self, one.name)[positions] for one in fields(self)))

    @classmethod
    def concat(cls, parts: "list[Gap]") -> "Gap":
        """Put the pairs of several gaps one after the other."""
        return cls(
            *(np.concatenate([getattr(part, one.name) for part in parts]) for one in fields(cls))
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


def what_remains(one: GroupSummary, two: GroupSummary, comparison: Comparison) -> Remainder | None:
    """Say what weights and clusters leave of the cases of the groups at the same positions."""
    if one.survey is None or two.survey is None:
        return None
    pair = _pair_of(one, two)
    odds = isinstance(one, RateSummary) and one.odds
    sides = []
    for group, survey, value, (slope, rate) in zip(
        (one, two),
        (one.survey, two.survey),
        pair.standardised(),
        _slopes(pair, comparison, odds=odds),
        strict=True,
    ):
        scale = (slope * group.cases).sum(axis=1)
        if group.cases.shape[1] == 1:
            # The same to the last bit in whatever pair the group is.
            own_slope, own_rate = divide(1, group.cases), divide(group.totals, group.cases)
        else:
            own_slope, own_rate = divide(slope, scale[:, None]), rate
        own_slope, own_rate = np.nan_to_num(own_slope), np.nan_to_num(own_rate)
        spread, skewness = group.spread(own_rate), group.skewness
        sides.append(Side(survey, group.cases, value, own_slope, own_rate, spread, skewness, scale))
    return remainder(*sides)


def _pair_of(one: GroupSummary, two: GroupSummary) -> TwoRates:
    """Put the sums of two groups side by side."""
    return TwoRates(one.totals, one.cases, two.totals, two.cases)


def _slopes(
    pair: TwoRates, comparison: Comparison, *, odds: bool
) -> list[tuple[FloatArray, FloatArray]]:
    """Say how a case of either side moves the gap: by slope x (value - rate).

    Over strata a gap is a quotient of sums; it moves by the numerator's derivative less the gap
    times the denominator's, over the denominator. That is a slope times the distance of the value
    from a rate that its stratum has if all strata have this gap. So it holds as well where each
    stratum lies in one cluster: from the stratum's own rate no distance would be left.
    """
    n, m, y, x = (
        np.where(pair.informative, sums, 0.0)
        for sums in (pair.cases, pair.other_cases, pair.hits, pair.other_hits)
    )
    total = np.where(pair.informative, n + m, 1.0)

    def over_strata(products: FloatArray) -> FloatArray:
        added: FloatArray = (products / total).sum(axis=1, keepdims=True)
        return added

    own, other = (side[:, None] for side in pair.standardised())
    gap, whole = own - other, over_strata(n * m)
    usual = [
        (divide(m / total, whole), (y + x + gap * m) / total),
        (divide(n / total, whole), (y + x - gap * n) / total),
    ]
    if comparison == "difference":
        return usual
    if odds:
        misses, other_misses = n - y, m - x
        agree, differ = over_strata(y * other_misses), over_strata(misses * x)
        ratio = divide(agree, differ)
        apart = (y * other_misses - ratio * misses * x) / total
        first, second = other_misses + ratio * x, y + ratio * misses
        found = [
            (divide(first / total, agree), divide(ratio * x + apart, first)),
            (divide(second / total, agree), divide(y - apart, second)),
        ]
    else:
        agree, differ = over_strata(y * m), over_strata(x * n)
        ratio = divide(agree, differ)
        rate = (y + ratio * x) / total
        found = [(divide(m / total, agree), rate), (divide(n / total, differ), divide(rate, ratio))]
    # The logarithm of a ratio of nothing does not move; the difference then stands for it.
    known = (agree > 0) & (differ > 0)
    return [
        (np.where(known, slope, usual_slope), np.where(known, rate, usual_rate))
        for (slope, rate), (usual_slope, usual_rate) in zip(found, usual, strict=True)
    ]


def rate_gaps(
    one: RateSummary, two: RateSummary, request: GapRequest, left: Remainder | None
) -> Gap:
    """Give the gaps of rates, or of odds, of the groups at the same positions.

    In one stratum a difference has Newcombe's interval, and in several that of Miettinen and
    Nurminen, which a ratio of rates has in any case. With weights or clusters it is recovered from
    the intervals of both rates; but for an odds ratio over strata, which has as many cases as make
    its interval as wide as Student's.
    """
    pair = _pair_of(one, two)
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
    low, high = _rate_limits(pair, request.comparison, request.confidence_low, left, odds=one.odds)
    if request.confidence_high != request.confidence_low:
        _, high = _rate_limits(
            pair, request.comparison, request.confidence_high, left, odds=one.odds
        )
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
        *count_compared(one, two, request, left),
        undefined,
        empty_reasons(len(own)),
    )


def _log_ratio(own: FloatArray, other: FloatArray) -> FloatArray:
    """Give the logarithm of a ratio, infinite where one of the two is zero, NaN where both are."""
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio: FloatArray = np.log(own) - np.log(other)
    return ratio


def _rate_limits(
    pair: TwoRates, comparison: Comparison, confidence: float, left: Remainder | None, *, odds: bool
) -> tuple[FloatArray, FloatArray]:
    one_stratum, odds = pair.cases.shape[1] == 1, odds and comparison == "ratio"
    if left is not None and (one_stratum or not odds):
        own, other = (side.rate_limits(confidence) for side in (left.own, left.other))
        if comparison == "difference":
            return recovered_difference(own, other, left.correlation)
        if not odds:
            return recovered_log_ratio(own, other, left.correlation)
        of_odds = [[divide(limit, 1 - limit) for limit in limits] for limits in (own, other)]
        low, high = recovered_log_ratio(of_odds[0], of_odds[1], left.correlation)
        # Of a side without misses nothing is known.
        known = (own[0] < 1) & (other[0] < 1)
        return np.where(known, low, -np.inf), np.where(known, high, np.inf)
    if comparison == "difference":
        return newcombe(pair, confidence) if one_stratum else score_difference(pair, confidence)
    if not odds:
        return score_log_ratio(pair, confidence)
    _, low, high, variance = log_odds_ratio(pair, confidence)
    if left is not None:
        # As many cases as give Student's interval the same width.
        deviation = left.half_width(confidence) / special.ndtri((1 + confidence) / 2)
        _, low, high, _ = log_odds_ratio(pair.scaled(divide(variance, deviation**2)), confidence)
    return low, high


def to_overall(gap: FloatArray, share: FloatArray, comparison: Comparison) -> FloatArray:
    """Turn a gap to the rest into one to the overall, of which the group is a share."""
    if comparison == "difference":
        return (1 - share) * gap
    # A gap that is not known stays unknown, and a share of 1 leaves none.
    with np.errstate(divide="ignore", invalid="ignore"):
        whole: FloatArray = -np.logaddexp(np.log(share), np.log1p(-share) - gap)
    return whole


def count_compared(
    one: GroupSummary, two: GroupSummary, request: GapRequest, left: Remainder | None
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray, FloatArray, FloatArray, FloatArray]:
    """Count the cases and clusters that are compared, all rows on both sides, and the strata."""
    here, there = one.cases > 0, two.cases > 0
    both = here & there
    if left is None:
        cases, other_cases = one.count_cases(both), two.count_cases(both)
        clusters = np.full(len(cases), np.nan)
    else:
        cases, other_cases, clusters = (
            np.where(both.any(axis=1), found, 0 * found)
            for found in (
                np.fmin(left.own.cases, one.rows),
                np.fmin(left.other.cases, two.rows),
                left.clusters,
            )
        )
    other_rows = two.rows
    if request.overall:
        other_cases, other_rows = other_cases + cases, two.rows + one.rows
    left_out = (here ^ there).sum(axis=1).astype(float)
    strata = both.sum(axis=1).astype(float)
    return cases, other_cases, clusters, one.rows, other_rows, strata, left_out


def mean_gaps(
    one: MeanSummary, two: MeanSummary, request: GapRequest, left: Remainder | None
) -> Gap:
    """Give the differences of the means of the groups at the same positions."""
    pair = _pair_of(one, two)
    own, other = pair.standardised()
    share = (pair.weights * np.nan_to_num(divide(one.cases, one.cases + two.cases))).sum(axis=1)
    if one.cases.shape[1] == 1:
        low, _, too_few = _mean_limits(one, two, request.confidence_low, left)
        _, high, _ = _mean_limits(one, two, request.confidence_high, left)
    else:
        low, _, too_few = _stratified_mean_limits(one, two, pair, request.confidence_low, left)
        _, high, _ = _stratified_mean_limits(one, two, pair, request.confidence_high, left)
    value = own - other
    whole = other
    if request.overall:
        whole = share * own + (1 - share) * other
        others = 1 - np.nan_to_num(share)
        value, low, high = value * others, low * others, high * others
    return Gap(
        value,
        low,
        high,
        own,
        whole,
        *count_compared(one, two, request, left),
        empty_reasons(len(value)),
        too_few,
    )


def _mean_limits(
    one: MeanSummary, two: MeanSummary, confidence: float, left: Remainder | None
) -> tuple[FloatArray, FloatArray, Reasons]:
    """Give the interval of the difference of two means from the interval of each.

    Without clusters the two are independent.
    """
    if left is None:
        own, other = (
            estimate_mean(side.cases[:, 0], side.sums[:, 0], confidence, side.bounds)
            for side in (one, two)
        )
    else:
        own = _mean_of(one, left.own, confidence)
        other = _mean_of(two, left.other, confidence)
    both = [(side.value, side.low, side.high) for side in (own, other)]
    low, high = recovered_difference(both[0], both[1], 0.0 if left is None else left.correlation)
    reasons = empty_reasons(len(low))
    for estimate, where in ((other, OF_THE_REFERENCE), (own, "")):
        for pair in np.flatnonzero(estimate.status == "too_few"):
            reasons[pair] = estimate.reason[pair] + where
    return low, high, reasons


def _mean_of(side: MeanSummary, found: SideEstimate, confidence: float) -> Estimate:
    """Estimate means from what their units tell of them."""
    cases, known = side.count_cases(side.cases > 0), found.known
    clusters = None if side.survey is None or side.survey.clusters is None else known.clusters
    units = UnitEstimate(found.value, known.spread, found.cases, cases, clusters)
    return survey_mean(units, None, cases=cases, confidence=confidence, bounds=side.bounds)


def _stratified_mean_limits(
    one: MeanSummary,
    two: MeanSummary,
    pair: TwoRates,
    confidence: float,
    left: Remainder | None,
) -> tuple[FloatArray, FloatArray, Reasons]:
    """Give Student's interval of the weighted difference of means over strata.

    The variance is sum w^2 (s1^2 / n1 + s2^2 / n2), s being a stratum's own standard deviation,
    or in a stratum of a single case the one within the group's other strata. Degrees of freedom
    are those of Welch and Satterthwaite: F. E. Satterthwaite, Biometrics Bulletin 2 (1946) 110.
    With weights or clusters both come from what they leave.
    """
    own, other = pair.standardised()
    if left is not None:
        half = left.half_width(confidence)
        return own - other - half, own - other + half, _without_spread(left.variance)
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
    return own - other - half, own - other + half, _without_spread(variance)


def _without_spread(variance: FloatArray) -> Reasons:
    """Say of which pairs nothing is known of their variance."""
    reasons = empty_reasons(len(variance))
    reasons[~(variance > 0)] = "within the strata all cases are equal or alone"
    return reasons


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
