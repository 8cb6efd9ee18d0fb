"""What weights and clusters leave of the cases of two groups, for many pairs at once."""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from scipy import special

from evaluator.metrics._estimates import FloatArray, divide
from evaluator.metrics._levels import IntArray

# A sparse array of scipy, which ships no types.
Sparse = Any
# Of the clusters' influences the squared sum, one over the clusters' effective number, and their
# number, shape (pairs,) each.
_Moved = tuple[FloatArray, FloatArray, FloatArray] | None
# What cancellation leaves of a sum of weights, as a share of the largest.
_ROUNDING = 1e-12


@dataclass(frozen=True)
class Influences:
    """How the clusters move the quantities of groups, or of one side of pairs."""

    # By how much the clusters move them, and their shares of the cases: shape (groups, clusters).
    moved: Sparse
    share: Sparse

    @cached_property
    def found(self) -> FloatArray:
        """The sums of the squared influences, shape (groups,)."""
        return np.asarray(self.moved.power(2).sum(axis=1))

    @cached_property
    def per_unit(self) -> FloatArray:
        """One over the effective numbers of clusters, shape (groups,)."""
        return np.asarray(self.share.power(2).sum(axis=1))

    @property
    def clusters(self) -> FloatArray:
        """How many clusters have cases, shape (groups,)."""
        counts: FloatArray = np.diff(self.share.indptr).astype(float)
        return counts

    def products(self, other: "Influences") -> tuple[FloatArray, FloatArray]:
        """Add up the products of influences, and count the common clusters, row by row."""
        moved = self.moved.multiply(other.moved).sum(axis=1)
        common = self.share.sign().multiply(other.share.sign()).sum(axis=1)
        return np.asarray(moved), np.asarray(common)

    @cached_property
    def between(self) -> tuple[FloatArray, FloatArray]:
        """The products of every group with every other, shape (groups, groups) each."""
        there = self.share.sign()
        return (self.moved @ self.moved.T).toarray(), (there @ there.T).toarray()


@dataclass(frozen=True)
class ClusterSums:
    """Sums of the values and of the cases of all groups by stratum and cluster."""

    # Of shape (groups x strata, clusters).
    values: Sparse
    cases: Sparse
    strata: int

    def influences(
        self, slope: FloatArray, rate: FloatArray, positions: IntArray, *, rest: bool
    ) -> Influences:
        """Add up slope x (values - rate x cases) over the strata of groups, or of all others.

        Slopes and rates have the shape (positions, strata).
        """
        by_slope = self._over_strata(slope, positions, rest=rest)
        by_both = self._over_strata(slope * rate, positions, rest=rest)
        moved = by_slope @ self.values - by_both @ self.cases
        return Influences(moved, _without_nothing(by_slope @ self.cases))

    def _over_strata(self, slope: FloatArray, positions: IntArray, *, rest: bool) -> Sparse:
        from scipy.sparse import csr_array

        pairs, rows = len(slope), self.values.shape[0]
        if rest:
            others = np.tile(slope, (1, rows // self.strata)).reshape(pairs, -1, self.strata)
            others[np.arange(pairs), positions] = 0.0
            return csr_array(others.reshape(pairs, rows))
        columns = positions[:, None] * self.strata + np.arange(self.strata)
        starts = np.arange(pairs + 1) * self.strata
        return csr_array((slope.ravel(), columns.ravel(), starts), shape=(pairs, rows))

    @cached_property
    def of_groups(self) -> Influences:
        """The influences on the means of all groups' values, in one stratum."""
        values, cases = self._totals
        row = np.repeat(np.arange(len(cases)), np.diff(self.cases.indptr))
        slope, rate = (np.nan_to_num(divide(by, cases))[row] for by in (1, values))
        moved, share = self.values.copy(), self.cases.copy()
        moved.data = slope * (moved.data - rate * share.data)
        share.data = slope * share.data
        return Influences(moved, _without_nothing(share))

    @cached_property
    def of_rests(self) -> Influences:
        """The influences on the means of all that each group leaves, in one stratum."""
        values, cases = (sums.sum() - sums for sums in self._totals)
        slope, rate = (np.nan_to_num(divide(by, cases))[:, None] for by in (1, values))
        return self.influences(slope, rate, np.arange(len(cases)), rest=True)

    @property
    def _totals(self) -> tuple[FloatArray, FloatArray]:
        return np.asarray(self.values.sum(axis=1)), np.asarray(self.cases.sum(axis=1))


def _without_nothing(share: Sparse) -> Sparse:
    """Leave out what is no share but rounding, in place."""
    share.data[share.data <= _ROUNDING * share.data.max(initial=0.0)] = 0.0
    share.eliminate_zeros()
    return share


@dataclass(frozen=True)
class SurveySums:
    """What weights and clusters add to the sums of groups."""

    # Sums of squared weights, and of these times values and times squared values, shape
    # (groups, strata, 3).
    squares: FloatArray
    # Squared deviations from the clusters' means, and their degrees of freedom, which are 0
    # without clusters; shape (groups, strata, 2).
    within: FloatArray
    clusters: ClusterSums | None
    # Which of the groups of the clusters' sums these are, and whether their rests are meant.
    positions: IntArray
    is_rest: bool = False

    def take(self, positions: IntArray) -> "SurveySums":
        """Give the groups at these positions."""
        return replace(
            self,
            squares=self.squares[positions],
            within=self.within[positions],
            positions=self.positions[positions],
        )

    def rest(self) -> "SurveySums":
        """Give, for every group, all other groups together."""
        squares, within = (sums.sum(axis=0) - sums for sums in (self.squares, self.within))
        return replace(self, squares=squares, within=within, is_rest=True)

    def count_clusters(self) -> FloatArray:
        """Count the clusters in which each group has cases; NaN without clusters."""
        if self.clusters is None:
            return np.full(len(self.squares), np.nan)
        if self.clusters.strata == 1:
            return self.clusters.of_groups.clusters[self.positions]
        ones = np.ones(self.squares.shape[:2])
        return self.clusters.influences(ones, ones, self.positions, rest=self.is_rest).clusters


@dataclass(frozen=True)
class Side:
    """How the cases of one side move a gap, in pairs; arrays of shape (pairs, strata)."""

    survey: SurveySums
    # Sums of weights.
    cases: FloatArray
    # The side's quantity moves by slope x (value - rate) with a case's weight; slopes times cases
    # add up to 1. In one stratum the rate is that of the group.
    slope: FloatArray
    rate: FloatArray
    # The variance of a single case's value.
    spread: FloatArray
    # By how much the gap moves with the quantity, shape (pairs,).
    scale: FloatArray

    def influences(self, clusters: ClusterSums) -> Influences:
        """Give how the clusters move the quantity."""
        survey = self.survey
        return clusters.influences(self.slope, self.rate, survey.positions, rest=survey.is_rest)


@dataclass(frozen=True)
class Remainder:
    """What weights and clusters leave; arrays of shape (pairs,)."""

    # Effective numbers of cases of each side, whatever it is compared with.
    cases: FloatArray
    other_cases: FloatArray
    # Clusters with cases on each side, and on one of the two at least; NaN without clusters.
    clusters: FloatArray
    other_clusters: FloatArray
    all_clusters: FloatArray
    # What turns sums of weights into cases that move the gap as independent ones do: on each side,
    # and on both alike.
    factor: FloatArray
    other_factor: FloatArray
    common_factor: FloatArray
    # The variance of the gap, and how many units of equal size would be in the side of the fewest.
    variance: FloatArray
    units: FloatArray

    def quantile(self, confidence: float) -> FloatArray:
        """Give Student's quantile with as many degrees of freedom as units, less one."""
        found: FloatArray = special.stdtrit(np.maximum(self.units - 1, 1), (1 + confidence) / 2)
        return found


class _SideVariance:
    """What one side adds to the variance of a gap; arrays of shape (pairs,)."""

    def __init__(self, side: Side, moved: _Moved) -> None:
        square, survey = side.slope**2, side.survey
        plain = (square * side.cases).sum(axis=1)
        # One over the effective numbers of cases, of units, and how many units there are.
        self.per_case = (square * survey.squares[:, :, 0]).sum(axis=1)
        if moved is None:
            zeroth, first, second = (survey.squares[:, :, power] for power in range(3))
            deviations = second - 2 * side.rate * first + side.rate**2 * zeroth
            missing = np.full(len(plain), np.nan)
            found = np.maximum((square * deviations).sum(axis=1), 0)
            moved = found, self.per_case, missing
        self.found, self.per_unit, self.clusters = moved
        # The variance of a single case, and that of the quantity: of independent cases, and as
        # the influences make it.
        single = divide((square * side.cases * side.spread).sum(axis=1), plain)
        self.has_spread = single > 0
        self.independent = single * self.per_case
        # As many cases is one of average weight.
        self.average = divide(self.per_case, plain)
        # The variance of a single case within clusters, and what it would be of independent ones.
        freedom = survey.within[:, :, 1]
        all_freedom = freedom.sum(axis=1)
        self.within = np.nan_to_num(divide(survey.within[:, :, 0].sum(axis=1), all_freedom))
        self.expected = np.nan_to_num(divide((freedom * side.spread).sum(axis=1), all_freedom))
        self.weight = side.scale**2

    def inflation(self, correlation: FloatArray) -> FloatArray:
        """Give by how much the quantity varies more than with independent cases."""
        together = divide(self.per_unit, self.per_case)
        least = 1 + correlation * (together - 1)
        # For k units the squares come out (k - 1) / k as large.
        corrected = divide(self.found, np.maximum(1 - self.per_unit, 0))
        seen = np.fmax(divide(corrected, self.independent), least)
        return np.where(self.has_spread, seen, together)


def remainder(one: Side, two: Side) -> Remainder:
    """Say what weights and clusters leave of the cases that gaps rest on.

    The variance of a side is the sum of the squares of its clusters' influences, times
    k / (k - 1) for an effective number of k clusters. Where hits are few it may come out far too
    small. So it is no less than what the correlation of a cluster's cases makes of it, which both
    sides together show by how little values differ within clusters; and where a side has no
    spread at all, its clusters count as its cases. The variance of the gap is that of both sides
    less twice their covariance, since a cluster may have cases on both, and no less than that of
    independent cases. As far as the correlation of the two sides is positive it is adjusted for
    few clusters, as a share of explained variance is.

    Sources: D. Binder, International Statistical Review 51 (1983) 279, for influences; L. Kish,
    Survey Sampling (1965), 11.7, for effective numbers; M. S. Ridout, C. G. B. Demétrio,
    D. Firth, Biometrics 55 (1999) 137, for the correlation within clusters.
    """
    moved, (product, common) = _moved(one, two)
    a, b = (_SideVariance(side, of) for side, of in zip((one, two), moved, strict=True))
    alike = _correlation(a.within + b.within, a.expected + b.expected)
    by, other_by = a.inflation(alike), b.inflation(alike)
    independent = a.weight * a.independent + b.weight * b.independent
    parts = a.weight * by * a.independent, b.weight * other_by * b.independent
    units = divide(1, np.maximum(a.per_unit, b.per_unit))
    correlation = _adjusted(divide(product, np.sqrt(a.found * b.found)), units)
    alone = parts[0] + parts[1]
    variance = np.fmax(alone - 2 * correlation * np.sqrt(parts[0] * parts[1]), independent)
    shared = np.nan_to_num(divide(variance, alone), nan=1.0)
    factor, other_factor = (
        np.nan_to_num(divide(1, side.average * inflation * shared))
        for side, inflation in ((a, by), (b, other_by))
    )
    of_sums = [divide(side.weight * side.independent, side.average) for side in (a, b)]
    common_factor = divide(of_sums[0] + of_sums[1], variance)
    cases, other_cases = (
        np.nan_to_num(
            divide(1, side.per_case * side.inflation(_correlation(side.within, side.expected)))
        )
        for side in (a, b)
    )
    return Remainder(
        cases=cases,
        other_cases=other_cases,
        clusters=a.clusters,
        other_clusters=b.clusters,
        all_clusters=a.clusters + b.clusters - common,
        factor=factor,
        other_factor=other_factor,
        common_factor=np.where(
            np.isnan(common_factor), np.minimum(factor, other_factor), common_factor
        ),
        variance=variance,
        units=units,
    )


def _moved(one: Side, two: Side) -> tuple[list[_Moved], tuple[FloatArray, FloatArray]]:
    """Give what the clusters' influences on each side come to, and those on both together."""
    clusters, others = one.survey.clusters, two.survey.clusters
    if clusters is None or others is None:
        missing = np.full(len(one.cases), np.nan)
        return [None, None], (np.zeros(len(one.cases)), missing)
    if clusters.strata > 1 or clusters is not others:
        first, second = one.influences(clusters), two.influences(others)
        moved = [(of.found, of.per_unit, of.clusters) for of in (first, second)]
        return [*moved], first.products(second)
    # In one stratum a group moves alike in all pairs.
    first = clusters.of_groups
    positions = one.survey.positions, two.survey.positions
    if two.survey.is_rest:
        second = clusters.of_rests
        product, common = (found[positions[0]] for found in first.products(second))
    else:
        second = first
        product, common = (found[positions] for found in first.between)
    moved = [
        (of.found[at], of.per_unit[at], of.clusters[at])
        for of, at in zip((first, second), positions, strict=True)
    ]
    return [*moved], (product, common)


def _correlation(within: FloatArray, expected: FloatArray) -> FloatArray:
    """Give the correlation of a cluster's cases, 0 where none has two of them."""
    return np.clip(np.nan_to_num(1 - divide(within, expected)), 0, 1)


def _adjusted(correlation: FloatArray, units: FloatArray) -> FloatArray:
    """Shrink what is positive of a correlation over so many units."""
    correlation = np.clip(np.nan_to_num(correlation), -1, 1)
    left = (1 - correlation**2) * divide(units - 1, np.maximum(units - 3, 0))
    explained = np.sqrt(np.maximum(1 - np.nan_to_num(left, nan=1.0), 0))
    return np.where(correlation > 0, explained, correlation)
