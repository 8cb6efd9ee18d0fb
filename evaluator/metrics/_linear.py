"""Weighted and clustered estimates, by linearisation.

A smooth estimate moves, when a case's weight moves a little, by that case's *influence*. The
influences of a case, or of all cases of a cluster together, are what the estimate's variance is
made of: the sum of their squares. Every metric that can be written with weights gets its
variance in this way.

Source: D. Binder, International Statistical Review 51 (1983) 279; for its use with any
statistic, J.-C. Deville, Survey Methodology 25 (1999) 193.
"""

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import special

from evaluator.metrics._estimates import BoolArray, Estimate, FloatArray, LinearisedEstimate, divide
from evaluator.metrics._levels import IntArray, Level
from evaluator.metrics._rates import clopper_pearson, rate_interval

MIN_CLUSTERS = 10


class SurveyDesign:
    """The rows of one level: each one's group, weight and cluster, arrays of shape (rows,)."""

    def __init__(
        self,
        level: Level,
        cell: IntArray,
        weight: FloatArray | None = None,
        cluster: IntArray | None = None,
    ) -> None:
        self.group = level.group_of_cell[cell]
        self.groups = level.groups
        self.weight = np.ones(len(cell)) if weight is None else weight
        self.cluster = cluster
        self.plain = weight is None and cluster is None

    def total(self, values: NDArray[Any]) -> FloatArray:
        """Add up the values of each group's rows."""
        return np.bincount(self.group, values, minlength=self.groups).astype(float)

    @cached_property
    def n(self) -> FloatArray:
        """Number of rows of each group."""
        return self.total(np.ones(len(self.group)))

    @cached_property
    def _pair(self) -> tuple[IntArray, IntArray]:
        """Each row's pair of group and cluster, and each pair's group."""
        cluster = np.arange(len(self.group)) if self.cluster is None else self.cluster
        size = int(cluster.max()) + 1 if len(cluster) else 1
        pairs, pair = np.unique(self.group * size + cluster, return_inverse=True)
        return pair, pairs // size

    def cases(self, among: BoolArray | None = None) -> FloatArray:
        """Count what the weights leave of the rows: (sum w)^2 / sum w^2.

        Source: L. Kish, Survey Sampling (1965), 11.7.
        """
        weight = self.weight if among is None else self.weight * among
        return np.nan_to_num(divide(self.total(weight) ** 2, self.total(weight**2)))

    def units(self, among: BoolArray | None = None) -> FloatArray:
        """Count the independent units (clusters or rows) with weight among the chosen rows."""
        there = self.weight > 0 if among is None else (self.weight > 0) & among
        if self.cluster is None:
            return self.total(there)
        pair, group_of_pair = self._pair
        seen = np.bincount(pair, there, minlength=len(group_of_pair)) > 0
        return np.bincount(group_of_pair, seen, minlength=self.groups).astype(float)

    def moments(self, influence: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Add up second and third powers of the units' influences."""
        if self.cluster is None:
            return self.total(influence**2), self.total(influence**3)
        pair, group_of_pair = self._pair
        of_unit = np.bincount(pair, influence, minlength=len(group_of_pair))
        second = np.bincount(group_of_pair, of_unit**2, minlength=self.groups).astype(float)
        third = np.bincount(group_of_pair, of_unit**3, minlength=self.groups).astype(float)
        return second, third

    def variance(self, influence: FloatArray) -> FloatArray:
        """Give the variance of an estimate from the influences of its rows."""
        return self.moments(influence)[0]

    def ratio(self, numerator: NDArray[Any], denominator: NDArray[Any]) -> LinearisedEstimate:
        """Give sum(w numerator) / sum(w denominator) and the rows' influences on it."""
        below = self.total(self.weight * denominator)
        value = divide(self.total(self.weight * numerator), below)
        of_row = np.nan_to_num(value)[self.group]
        influence = divide(self.weight * (numerator - of_row * denominator), below[self.group])
        return LinearisedEstimate(value, np.nan_to_num(influence))

    def mean(self, values: NDArray[Any]) -> LinearisedEstimate:
        """Give the weighted mean of each group's rows and their influences on it."""
        return self.ratio(values, np.ones(len(values)))

    def mark_few_clusters(self, estimate: Estimate, among: BoolArray | None = None) -> None:
        """Mark groups whose clusters are too few to learn from how much they differ."""
        if self.cluster is not None:
            units = self.units(among)
            estimate.mark_shortfall(MIN_CLUSTERS, "clusters", units)

    def rate(
        self, numerator: BoolArray, among: BoolArray, reason: str, confidence: float
    ) -> Estimate:
        """Estimate a rate: exactly as a count, or, with weights or clusters, as follows.

        The interval is Clopper and Pearson's for the effective number of cases, since Blaker's
        exists for whole numbers alone. The effective number of cases is the one at which
        independent cases would have the variance that was found, no larger than Kish's; with
        clusters it shrinks by the squared ratio of Student's quantiles as well. Where the rate is
        0 or 1 no variance is found, and the clusters are counted instead.

        Source: E. Korn, B. Graubard, Survey Methodology 24 (1998) 193.
        """
        if self.plain:
            hits, all_cases = self.total(numerator & among), self.total(among)
            estimate = Estimate(divide(hits, all_cases), all_cases)
            estimate.low, estimate.high = rate_interval(hits, all_cases, confidence)
            estimate.mark_undefined(all_cases == 0, reason)
            return estimate
        linear = self.ratio(numerator & among, among)
        cases, units = self.cases(among), self.units(among)
        variance = self.variance(linear.influence)
        if self.cluster is not None:
            variance = variance * np.nan_to_num(divide(units, np.maximum(units - 1, 0)))
        value = np.nan_to_num(linear.value)
        inside = (value > 0) & (value < 1) & (variance > 0)
        found = np.where(inside, divide(value * (1 - value), variance), units)
        effective = np.minimum(found, cases)
        if self.cluster is not None:
            tail = (1 + confidence) / 2
            wide, usual = (special.stdtrit(np.maximum(f - 1, 1), tail) for f in (units, cases))
            effective = effective * np.minimum(1, (usual / wide) ** 2)
        estimate = Estimate(linear.value, cases)
        there = np.flatnonzero(effective > 0)
        hits = np.minimum(value * effective, effective)
        estimate.low[there], estimate.high[there] = clopper_pearson(
            hits[there], effective[there], confidence
        )
        estimate.mark_undefined(self.total(self.weight * among) == 0, reason)
        self.mark_few_clusters(estimate, among)
        return estimate

    def student(self, linear: LinearisedEstimate, confidence: float) -> FloatArray:
        """Give half the width of Student's interval around an estimate without bounds."""
        return student_half(self.variance(linear.influence), self.units(), confidence)


def mean_of(parts: Sequence[LinearisedEstimate]) -> LinearisedEstimate:
    """Give the mean of several estimates."""
    value: FloatArray = np.mean([part.value for part in parts], axis=0)
    influence: FloatArray = np.mean([part.influence for part in parts], axis=0)
    return LinearisedEstimate(value, influence)


def student_half(variance: FloatArray, units: FloatArray, confidence: float) -> FloatArray:
    """Give half the width of Student's interval from the variance that so many units have."""
    spare = np.maximum(units - 1, 1)
    quantile = special.stdtrit(spare, (1 + confidence) / 2)
    half: FloatArray = quantile * np.sqrt(variance * units / spare)
    return half


class _Ordered:
    """Rows sorted by group and score, with sums over all rows of lower and equal score."""

    def __init__(self, design: SurveyDesign, score: FloatArray) -> None:
        self.order = np.lexsort((score, design.group))
        self.group = design.group[self.order]
        ordered = score[self.order]
        starts = np.ones(len(score), dtype=bool)
        starts[1:] = (ordered[1:] != ordered[:-1]) | (self.group[1:] != self.group[:-1])
        self._first = np.flatnonzero(starts)
        self._run = np.cumsum(starts) - 1
        self._group_first = np.searchsorted(self.group, np.arange(design.groups))

    def below_and_equal(self, values: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Add the values of the rows below each row, and of those that tie with it."""
        if not len(values):
            return values, values
        cumulative = np.concatenate([[0.0], np.cumsum(values)])
        equal = np.add.reduceat(values, self._first)[self._run]
        below = cumulative[self._first][self._run] - cumulative[self._group_first[self.group]]
        return below, equal

    def back(self, values: FloatArray) -> FloatArray:
        """Put sorted values back in the rows' order."""
        result = np.empty_like(values)
        result[self.order] = values
        return result


def weighted_roc_auc(
    design: SurveyDesign, score: FloatArray, label: BoolArray, among: BoolArray | None = None
) -> LinearisedEstimate:
    """Give the weighted area under the ROC curve and each row's influence on it."""
    weight = design.weight if among is None else design.weight * among
    ordered = _Ordered(design, score)
    truth = label[ordered.order]
    positive = weight[ordered.order] * truth
    negative = weight[ordered.order] * ~truth
    all_positive = design.total(weight * label)
    all_negative = design.total(weight * ~label)
    below, equal = ordered.below_and_equal(negative)
    outranked = below + equal / 2
    pairs = all_positive * all_negative
    value = divide(np.bincount(ordered.group, positive * outranked, design.groups), pairs)
    below, equal = ordered.below_and_equal(positive)
    above = all_positive[ordered.group] - below - equal / 2
    missing = np.nan_to_num(value)[ordered.group]
    of_positive = positive * (divide(outranked, all_negative[ordered.group]) - missing)
    of_negative = negative * (divide(above, all_positive[ordered.group]) - missing)
    influence = divide(of_positive, all_positive[ordered.group])
    influence += divide(of_negative, all_negative[ordered.group])
    # Without both classes the area is undefined, whatever the influence.
    return LinearisedEstimate(value, np.nan_to_num(ordered.back(influence)))


def weighted_average_precision(
    design: SurveyDesign, score: FloatArray, label: BoolArray
) -> LinearisedEstimate:
    """Give weighted average precision and each row's influence on it.

    Source: as of `_ranking.average_precision`.
    """
    ordered = _Ordered(design, score)
    truth = label[ordered.order]
    weight = design.weight[ordered.order]
    positive = weight * truth
    all_weight, all_positive = design.total(design.weight), design.total(design.weight * label)
    below, _ = ordered.below_and_equal(weight)
    positives_below, _ = ordered.below_and_equal(positive)
    # Rows of no weight at the top have nothing at or above them.
    chosen = np.maximum(all_weight[ordered.group] - below, 0)
    precision = np.nan_to_num(divide(all_positive[ordered.group] - positives_below, chosen))
    sums = np.bincount(ordered.group, positive * precision, design.groups)
    value = divide(sums, all_positive)
    of_group = all_positive[ordered.group]

    def up_to(values: NDArray[np.float64]) -> FloatArray:
        under, tied = ordered.below_and_equal(np.nan_to_num(divide(values, of_group * chosen)))
        return under + tied

    of_positive = up_to(positive * (1 - precision))
    of_positive += divide(precision - np.nan_to_num(value)[ordered.group], of_group)
    of_negative = -up_to(positive * precision)
    influence = weight * np.where(truth, of_positive, of_negative)
    return LinearisedEstimate(value, np.nan_to_num(ordered.back(influence)))
