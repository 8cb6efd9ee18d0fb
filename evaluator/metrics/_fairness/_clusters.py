"""What weights and clusters leave of the cases of two groups, for many pairs at once."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cache, cached_property
from typing import Any, TypeVar

import numpy as np

from evaluator.metrics._estimates import FloatArray, divide
from evaluator.metrics._levels import IntArray
from evaluator.metrics._linear import Spread, UnitSums, unit_rate_interval
from evaluator.metrics._two_sample import Limits

_Found = TypeVar("_Found")
# A sparse array of scipy, which ships no types.
Sparse = Any
_EVEN = 0.5
# Where the sums of clusters are among each other.
_VALUES, _CASES, _ZEROTH, _FIRST, _SECOND = range(5)
# What cancellation leaves of a sum of weights, as a share of the largest.
_ROUNDING = 1e-12


@dataclass(frozen=True)
class Influences:
    """How the clusters move the quantities of groups, or of one side of pairs."""

    # One unit for each row (group or pair) and cluster with cases.
    units: UnitSums
    # Of each unit the cluster, and what it has of the values in shares of the quantity.
    cluster: IntArray
    carried: FloatArray
    # Numbers of rows and of clusters.
    shape: tuple[int, int]

    @cached_property
    def known(self) -> "Known":
        """What the units tell of the quantities, shape (rows,)."""

        def effective(carried: FloatArray) -> FloatArray:
            return np.nan_to_num(divide(self.total(carried) ** 2, self.total(carried**2)))

        spread = Spread.of_units(self.units, self.shape[0])
        carriers = effective(self.carried), effective(self.units.mass - self.carried)
        found = self.total(self.units.influence**2)
        return Known(spread, carriers[0], carriers[1], found, self.total(self.units.mass > 0))

    def total(self, of_units: Any) -> FloatArray:
        """Add up what the units of each row have."""
        return np.bincount(self.units.group, of_units, self.shape[0]).astype(float)

    def matrices(self, at: IntArray | None) -> tuple[Sparse, Sparse]:
        """Give the influences, and a one for each unit, of the rows at these positions."""
        moved, there = self._matrices
        return (moved, there) if at is None else (moved[at], there[at])

    @cached_property
    def between(self) -> tuple[FloatArray, FloatArray]:
        """The products of every group with every other, shape (groups, groups) each."""
        moved, there = self._matrices
        return (moved @ moved.T).toarray(), (there @ there.T).toarray()

    @cached_property
    def _matrices(self) -> tuple[Sparse, Sparse]:
        """The influences, and a one for each unit, shape (rows, clusters) each."""
        from scipy.sparse import csr_array

        ends = np.searchsorted(self.units.group, np.arange(self.shape[0] + 1))
        moved, there = (
            csr_array((of, self.cluster, ends), shape=self.shape)
            for of in (self.units.influence, np.ones(len(self.cluster)))
        )
        return moved, there


@dataclass(frozen=True)
class Known:
    """What the units tell of quantities; arrays of shape (rows,)."""

    spread: Spread
    # The effective numbers of units that carry hits, and of those that carry misses.
    hits: FloatArray
    misses: FloatArray
    # The sums of the squared influences.
    found: FloatArray
    # How many clusters have cases; NaN without clusters.
    clusters: FloatArray

    def take(self, positions: IntArray) -> "Known":
        """Give the rows at these positions."""
        arrays = (self.hits, self.misses, self.found, self.clusters)
        return Known(self.spread.take(positions), *(of_rows[positions] for of_rows in arrays))


@dataclass(frozen=True)
class ClusterSums:
    """Sums of the values and of the cases of all groups by stratum and cluster."""

    # Of shape (groups x strata, clusters).
    values: Sparse
    cases: Sparse
    # Of the squared weights, and of these times values and times squared values.
    squares: tuple[Sparse, Sparse, Sparse]
    strata: int

    def influences(
        self, slope: FloatArray, rate: FloatArray, positions: IntArray, *, rest: bool
    ) -> Influences:
        """Add up slope x (values - rate x cases) over the strata of groups, or of all others.

        Slopes and rates have the shape (positions, strata).
        """
        from scipy.sparse import csr_array

        rows, all_strata = self.cases.shape[0], np.arange(self.strata)
        columns = (positions[:, None] * self.strata + all_strata).ravel()
        starts = np.arange(len(slope) + 1) * self.strata

        @cache
        def of_one_stratum(which: int) -> FloatArray:
            own: FloatArray = self._sums[which][positions].toarray()
            return self._of_all[which] - own if rest else own

        def over_strata(slope: FloatArray, which: int) -> FloatArray:
            if self.strata == 1:
                return slope * of_one_stratum(self._first_alike[which])
            places = csr_array((slope.ravel(), columns, starts), shape=(len(slope), rows))
            own: FloatArray = (places @ self._sums[which]).toarray()
            return slope @ self._of_all[which] - own if rest else own

        square = slope**2
        share = over_strata(slope, _CASES)
        least = _ROUNDING * share.max(axis=1, keepdims=True, initial=0.0)
        row, cluster = np.nonzero(share > least)

        def of_units(slope: FloatArray, which: int) -> FloatArray:
            return over_strata(slope, which)[row, cluster]

        carried = of_units(slope, _VALUES)
        squares = of_units(square, _SECOND) - 2 * of_units(square * rate, _FIRST)
        units = UnitSums(
            row,
            carried - of_units(slope * rate, _CASES),
            np.maximum(squares + of_units(square * rate**2, _ZEROTH), 0),
            share[row, cluster],
            of_units(square, _ZEROTH),
        )
        return Influences(units, cluster, carried, share.shape)

    @cached_property
    def counts(self) -> FloatArray:
        """How many clusters each group has cases in, shape (groups,)."""
        from scipy.sparse import csr_array

        rows = np.arange(self.cases.shape[0])
        groups = csr_array((np.ones(len(rows)), (rows // self.strata, rows)))
        there, _ = (groups @ self.cases).nonzero()
        return np.bincount(there, minlength=groups.shape[0]).astype(float)

    @property
    def _sums(self) -> tuple[Sparse, ...]:
        return (self.values, self.cases, *self.squares)

    @property
    def _first_alike(self) -> list[int]:
        """Where each of the sums is found first: without weights some are the same."""
        same = [id(sums) for sums in self._sums]
        return [same.index(one) for one in same]

    @cached_property
    def _of_all(self) -> list[FloatArray]:
        """The sums of all groups together, shape (strata, clusters) each."""
        from scipy.sparse import csr_array

        rows = np.arange(self.cases.shape[0])
        strata = csr_array((np.ones(len(rows)), (rows % self.strata, rows)))
        return [(strata @ sums).toarray() for sums in self._sums]

    @cached_property
    def of_groups(self) -> Influences:
        """The influences on the means of all groups' values, in one stratum."""
        there = np.flatnonzero(self.cases.data > 0)
        row = np.repeat(np.arange(self.cases.shape[0]), np.diff(self.cases.indptr))[there]
        cluster = self.cases.indices[there]
        values, cases, zeroth, first, second = (sums.data[there] for sums in self._sums)
        below, above = (np.bincount(row, of, self.cases.shape[0])[row] for of in (cases, values))
        rate = above / below
        squares = second - 2 * rate * first + rate**2 * zeroth
        units = UnitSums(
            row,
            (values - rate * cases) / below,
            np.maximum(squares, 0) / below**2,
            cases / below,
            zeroth / below**2,
        )
        return Influences(units, cluster, values / below, self.cases.shape)


@dataclass(frozen=True)
class SurveySums:
    """What weights and clusters add to the sums of groups."""

    # Sums of squared weights, and of these times values and times squared values, shape
    # (groups, strata, 3).
    squares: FloatArray
    clusters: ClusterSums | None
    # Which of the groups of the clusters' sums these are, and whether their rests are meant.
    positions: IntArray
    is_rest: bool = False
    # What was found of the same groups before, by what was looked for.
    memory: dict[tuple[Any, ...], Any] = field(default_factory=dict)

    def remember(self, find: Callable[[], _Found], *key: Any) -> _Found:
        """Give what was found of these groups before, or find it."""
        key = (self.is_rest, *key)
        if key not in self.memory:
            self.memory[key] = find()
        found: _Found = self.memory[key]
        return found

    def take(self, positions: IntArray) -> "SurveySums":
        """Give the groups at these positions."""
        return replace(self, squares=self.squares[positions], positions=self.positions[positions])

    def rest(self) -> "SurveySums":
        """Give, for every group, all other groups together."""
        return replace(self, squares=self.squares.sum(axis=0) - self.squares, is_rest=True)

    def count_clusters(self) -> FloatArray:
        """Count the clusters in which each group has cases; NaN without clusters."""
        if self.clusters is None:
            return np.full(len(self.squares), np.nan)
        return self.clusters.counts[self.positions]


@dataclass(frozen=True)
class Side:
    """How the cases of one side move a gap, in pairs; arrays of shape (pairs, strata)."""

    survey: SurveySums
    # Sums of weights.
    cases: FloatArray
    # The side's quantity, shape (pairs,), which moves by slope x (value - rate) with a case's
    # weight; slopes times cases add up to 1. In one stratum the rate is that of the group.
    value: FloatArray
    slope: FloatArray
    rate: FloatArray
    # The variance of a single case's value, and the skewness of the cases', shape (pairs,).
    spread: FloatArray
    skewness: FloatArray
    # By how much the gap moves with the quantity, shape (pairs,).
    scale: FloatArray

    @property
    def alike(self) -> bool:
        """Whether a group moves alike in all its pairs."""
        return len(self.slope.T) == 1

    @cached_property
    def influences(self) -> Influences | None:
        """How the clusters move the quantity, or, where they move alike, that of all groups."""
        survey = self.survey
        if survey.clusters is None:
            return None
        if self.alike and not survey.is_rest:
            return survey.clusters.of_groups
        return survey.clusters.influences(
            self.slope, self.rate, survey.positions, rest=survey.is_rest
        )

    @property
    def at(self) -> IntArray | None:
        """Where the influences on the quantity are among all; None where they are its own."""
        return self.survey.positions if self.alike and not self.survey.is_rest else None

    @cached_property
    def single(self) -> FloatArray:
        """The variance of a single case, shape (pairs,)."""
        square = self.slope**2 * self.cases
        return divide((square * self.spread).sum(axis=1), square.sum(axis=1))

    @cached_property
    def independent(self) -> FloatArray:
        """The variance of the quantity if cases were independent, shape (pairs,)."""
        return self.single * self.per_case

    @cached_property
    def per_case(self) -> FloatArray:
        """One over what weights leave of the cases, shape (pairs,)."""
        per_case: FloatArray = (self.slope**2 * self.survey.squares[:, :, 0]).sum(axis=1)
        return per_case

    def known(self) -> Known:
        """Say what the units tell of the quantity: the clusters, or the cases by their weights."""
        if self.influences is not None:
            known = self.influences.known
            return known if self.at is None else known.take(self.at)
        square = self.slope**2
        zeroth, first, second = np.moveaxis(self.survey.squares, -1, 0)
        deviations = second - 2 * self.rate * first + self.rate**2 * zeroth
        found = np.nan_to_num(np.maximum((square * deviations).sum(axis=1), 0))
        third = self.skewness * found**1.5 * np.sqrt(self.per_case)
        units = np.nan_to_num(divide(1, self.per_case))
        hits, misses = (
            np.nan_to_num(divide(share**2, (square * squares).sum(axis=1)))
            for share, squares in ((self.value, first), (1 - self.value, zeroth - first))
        )
        spread = Spread.of_cases(units, found, np.nan_to_num(third))
        return Known(spread, hits, misses, found, np.full(len(units), np.nan))


@dataclass(frozen=True)
class SideEstimate:
    """The quantities of one side, and what is known of them; arrays of shape (pairs,)."""

    value: FloatArray
    known: Known
    # The survey, where a group has the same quantity in all its pairs.
    survey: SurveySums | None
    # By how much the gap moves with the quantity.
    scale: FloatArray
    # The effective number of cases, whatever the side is compared with.
    cases: FloatArray
    # The variance of the quantity if cases were independent.
    independent: FloatArray

    @classmethod
    def of(cls, side: Side, known: Known) -> "SideEstimate":
        """Count the cases of a side from what its units tell of it."""
        variance = known.spread.variance
        # Where all cases are alike, nothing is known of how they vary: the units are counted.
        cases = np.where(variance > 0, divide(side.single, variance), known.spread.units)
        cases = np.nan_to_num(cases)
        survey = side.survey if side.alike else None
        return cls(side.value, known, survey, side.scale, cases, side.independent)

    def rate_limits(self, confidence: float) -> Limits:
        """Give the quantity, a rate, and its interval."""
        known, value, survey = self.known, self.value, self.survey
        carriers = np.where(value > _EVEN, known.misses, known.hits)
        if survey is None:
            return value, *unit_rate_interval(value, known.spread, carriers, confidence)
        groups, first, back = np.unique(survey.positions, return_index=True, return_inverse=True)

        def find() -> tuple[FloatArray, FloatArray]:
            spread = known.spread.take(first)
            return unit_rate_interval(value[first], spread, carriers[first], confidence)

        low, high = survey.remember(find, confidence, groups.tobytes())
        return value, low[back], high[back]


@dataclass(frozen=True)
class Remainder:
    """What weights and clusters leave; arrays of shape (pairs,)."""

    own: SideEstimate
    other: SideEstimate
    # Clusters with cases on one of the two sides at least; NaN without clusters.
    clusters: FloatArray
    # Of the two quantities.
    correlation: FloatArray

    @property
    def variance(self) -> FloatArray:
        """The variance of the gap."""
        own, other = (
            side.scale * np.sqrt(side.known.spread.variance) for side in (self.own, self.other)
        )
        return own**2 + other**2 - 2 * self.correlation * own * other

    def half_width(self, confidence: float) -> FloatArray:
        """Give half the width of Student's interval of the gap."""
        own, other = (
            side.scale * side.known.spread.half_width(confidence) for side in (self.own, self.other)
        )
        root: FloatArray = np.sqrt(own**2 + other**2 - 2 * self.correlation * own * other)
        return root


def remainder(one: Side, two: Side) -> Remainder:
    """Say what weights and clusters leave of the cases that gaps rest on.

    Each side is known as well as its own clusters tell, whatever the other one is like: where the
    sides depend on their clusters unlike, what they have in common says too little of the one that
    depends more. A cluster that has cases on both sides makes the two correlated. As far as the
    correlation is positive it is adjusted for few clusters, as a share of explained variance is;
    it is no larger for what the variance of a side was raised by, nor than leaves the gap the
    variance of independent cases.

    Source: D. Binder, International Statistical Review 51 (1983) 279, for influences.
    """
    known, (product, common) = _known(one, two)
    own, other = (SideEstimate.of(side, of) for side, of in zip((one, two), known, strict=True))
    found = np.sqrt(own.known.found * other.known.found)
    units = np.minimum(own.known.spread.units, other.known.spread.units)
    correlation = _adjusted(divide(product, found), units)
    variance, other_variance = (side.scale**2 * side.known.spread.variance for side in (own, other))
    independent = one.scale**2 * own.independent + two.scale**2 * other.independent
    both = np.sqrt(variance * other_variance)
    raised = divide(one.scale * two.scale * found, both)
    most = np.maximum(divide(variance + other_variance - independent, 2 * both), 0)
    correlation = np.where(
        correlation > 0, np.fmin(correlation * np.fmin(raised, 1), most), correlation
    )
    clusters = own.known.clusters + other.known.clusters - common
    return Remainder(own, other, clusters, np.nan_to_num(correlation))


_Together = tuple[FloatArray, FloatArray]


def _known(one: Side, two: Side) -> tuple[tuple[Known, Known], _Together]:
    """Say what is known of both sides, and of both together."""
    if not (one.alike and two.survey.is_rest):
        return (one.known(), two.known()), _together(one, two)
    # What all other groups are like needs all clusters, and is the same in all gaps.
    return two.survey.remember(
        lambda: ((one.known(), two.known()), _together(one, two)), two.survey.positions.tobytes()
    )


def _together(one: Side, two: Side) -> _Together:
    """Add up the products of the clusters' influences on both sides, and count what is common."""
    first, second = one.influences, two.influences
    if first is None or second is None:
        nothing = np.zeros(len(one.value))
        return nothing, nothing
    if one.at is not None and two.at is not None and first is second:
        product, common = (found[one.at, two.at] for found in first.between)
        return product, common
    product, common = (
        np.asarray(own.multiply(other).sum(axis=1))
        for own, other in zip(first.matrices(one.at), second.matrices(two.at), strict=True)
    )
    return product, common


def _adjusted(correlation: FloatArray, units: FloatArray) -> FloatArray:
    """Shrink what is positive of a correlation over so many units."""
    correlation = np.clip(np.nan_to_num(correlation), -1, 1)
    left = (1 - correlation**2) * divide(units - 1, np.maximum(units - 3, 0))
    explained = np.sqrt(np.maximum(1 - np.nan_to_num(left, nan=1.0), 0))
    return np.where(correlation > 0, explained, correlation)
