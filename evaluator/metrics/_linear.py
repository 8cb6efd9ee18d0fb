"""Weighted and clustered estimates, by linearisation.

A smooth estimate moves, when a case's weight moves a little, by that case's *influence*. The
influences of a case, or of all cases of a cluster together, are what the estimate's variance is
made of: the sum of their squares. Every metric that can be written with weights gets its
variance in this way.

Source: D. Binder, International Statistical Review 51 (1983) 279; for its use with any
statistic, J.-C. Deville, Survey Methodology 25 (1999) 193.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import special

from evaluator.metrics._estimates import (
    BoolArray,
    Estimate,
    FloatArray,
    LinearisedEstimate,
    divide,
    shortfall_reasons,
)
from evaluator.metrics._levels import IntArray, Level
from evaluator.metrics._rates import balanced_rate_interval, effective_rate_interval

MIN_CLUSTERS = 10
# As many clusters of one size as clusters of different sizes have to be as good as.
MIN_EQUAL_CLUSTERS = 3
# A table of all pairs of group and cluster may be so much longer than the rows.
_DENSE = 4
# Divides where there is nothing to be divided; its square is no zero either.
TINY = 1e-150
_EVEN = 0.5
_HARDLY_CLUSTERED = 1.05
# How many times more skewed than cases clusters may be of which hardly any fails completely.
_LOPSIDED = 12


@dataclass(frozen=True)
class UnitSums:
    """What the rows of each independent unit (a cluster, or a row) have; arrays of shape (units,).

    A row's mass is the share of its group's estimate that it carries: its weight over all of
    the group's, so that the masses of a group add up to 1.
    """

    group: IntArray
    # Sums of the rows' influences and of their squares.
    influence: FloatArray
    squares: FloatArray
    # Sums of the rows' masses and of their squares.
    mass: FloatArray
    mass_squares: FloatArray
    # How many units each stands for that are alike; None for one.
    alike: FloatArray | None = None


@dataclass(frozen=True)
class Spread:
    """How far an estimate may be from the truth, as its units tell; arrays of shape (groups,)."""

    variance: FloatArray
    freedom: FloatArray
    # Third moment of the estimate over its cubed deviation.
    lean: FloatArray
    # What the different sizes of the units leave of their number: 1 / sum of squared masses.
    units: FloatArray
    # How many units carry the spread: as many normal ones would have its fourth moment.
    carriers: FloatArray
    # How near each unit is to being as good as one case: the variance as a share of that which
    # cases would have that are all alike in a unit.
    alone: FloatArray
    # How alike the cases of a unit are, from 0 to 1, and the variance that follows from it.
    correlation: FloatArray
    modelled: FloatArray
    # The design effect if they were all alike, which is known before any outcome.
    largest: FloatArray
    # As many independent cases of one weight as the units' cases are, being so alike.
    cases: FloatArray

    @classmethod
    def of_units(cls, units: UnitSums, groups: int) -> "Spread":
        """Learn the spread of every group's estimate from its units.

        The variance is Bell and McCaffrey's: a unit that carries the share h of the estimate pulls
        it along, so that the square of its influence is divided by 1 - h. The degrees of freedom
        are Satterthwaite's, where cases of a unit are correlated alike; the correlation is learned
        from the products of their influences. The variance is no smaller than that correlation,
        or none where it is negative, makes it: dependent cases do not say more than independent.

        Sources: R. Bell, D. McCaffrey, Survey Methodology 28 (2002) 169; G. Imbens, M. Kolesar,
        Review of Economics and Statistics 98 (2016) 701, for a working correlation.
        """

        def total(values: FloatArray) -> FloatArray:
            counted = values if units.alike is None else units.alike * values
            return np.bincount(units.group, counted, minlength=groups).astype(float)

        h, a, b = units.mass, units.mass_squares, units.mass**2
        square = units.influence**2
        freed = np.nan_to_num(divide(1, np.maximum(1 - h, 0)))
        rows = np.nan_to_num(divide(b, a), nan=1.0)
        possible = total((rows - 1) * units.squares)
        common = total(freed * square - units.squares)
        alike = np.clip(np.nan_to_num(divide(common, possible)), 0, 1)
        correlation = alike[units.group]
        modelled = (1 - correlation) * a + correlation * b
        least = total(units.squares * (1 - correlation + correlation * rows))
        found = total(freed * square)
        # trace(AC) and trace(ACAC), where C is the model's covariance of the units' influences
        # around their common mean, and A what divides their squares.
        scale = total(modelled)
        own = h * h * scale[units.group] - 2 * h * modelled
        diagonal = modelled + own
        hh, hm, mm = (total(freed * one) for one in (h * h, h * modelled, modelled * modelled))
        squared = 2 * hh * mm + 2 * hm**2 + scale**2 * hh**2 - 4 * scale * hh * hm
        squared += total(freed**2 * (diagonal**2 - own**2))
        freedom = np.maximum(np.nan_to_num(divide(total(freed * diagonal) ** 2, squared)), 1)
        third = total(units.influence * square)
        variance = np.maximum(found, least)
        alone = np.nan_to_num(divide(variance, total(units.squares * rows)), nan=1.0)
        return cls(
            variance,
            freedom,
            np.nan_to_num(divide(third, variance**1.5)),
            np.nan_to_num(divide(1, total(b))),
            3 * np.nan_to_num(divide(total(square) ** 2, total(square**2))),
            np.minimum(alone, 1),
            alike,
            least,
            np.nan_to_num(divide(total(b), total(a)), nan=1.0),
            np.nan_to_num(divide(1, scale)),
        )

    @classmethod
    def of_cases(cls, n: FloatArray, second: FloatArray, third: FloatArray) -> "Spread":
        """Learn it from the summed powers of the influences of so many equally weighted cases."""
        variance = second * np.nan_to_num(divide(n, np.maximum(n - 1, 0)))
        lean = np.nan_to_num(divide(third, variance**1.5))
        one, none = np.ones(len(n)), np.zeros(len(n))
        return cls(variance, np.maximum(n - 1, 1), lean, n, n, one, none, variance, one, n)

    def take(self, positions: IntArray) -> "Spread":
        """Give the groups at these positions."""
        return Spread(*(getattr(self, one.name)[positions] for one in fields(self)))

    def known(self, carriers: FloatArray) -> FloatArray:
        """Give degrees of freedom that also heed how few units carry what varies.

        They matter where units are clusters: how much these differ is learned from them alone,
        while what cases differ by follows from their rate.
        """
        few = np.minimum(self.freedom, np.maximum(carriers - 1, 2))
        freedom: FloatArray = self.alone * self.freedom + (1 - self.alone) * few
        return freedom

    def quantile(self, confidence: float, carriers: FloatArray | None = None) -> FloatArray:
        """Give Student's quantile."""
        freedom = self.known(self.carriers if carriers is None else carriers)
        quantile: FloatArray = special.stdtrit(freedom, (1 + confidence) / 2)
        return quantile

    def half_width(self, confidence: float, carriers: FloatArray | None = None) -> FloatArray:
        """Give half the width of Student's interval around an estimate without bounds."""
        return self.quantile(confidence, carriers) * np.sqrt(self.variance)

    def reaches(
        self, confidence: float, carriers: FloatArray | None = None
    ) -> tuple[FloatArray, FloatArray]:
        """Give how far Student's interval reaches down and up, further where an estimate leans.

        P. Hall, Journal of the Royal Statistical Society B 54 (1992) 221, to the first order, and
        never inwards: skewness that is learned may be too small, and that of few too large.
        """
        quantile = self.quantile(confidence, carriers)
        more = (1 + 2 * quantile**2) / 6
        below, above = (
            np.sqrt(self.variance) * (quantile + more * np.maximum(lean, 0))
            for lean in (-self.lean, self.lean)
        )
        return below, above

    def widened(self, confidence: float, carriers: FloatArray | None = None) -> FloatArray:
        """Give the variance with which the normal quantile does what Student's does.

        Where units are as good as cases, what their variance is follows from the estimate.
        """
        normal = special.ndtri((1 + confidence) / 2)
        wider = (self.quantile(confidence, carriers) / normal) ** 2
        widened: FloatArray = self.variance * (1 + (1 - self.alone) * (wider - 1))
        return widened


class Pairs:
    """The pairs of finest cell and cluster that occur; where there are no clusters, the rows."""

    def __init__(self, cell: IntArray, cluster: IntArray | None) -> None:
        self.cell = cell
        self.cluster = cluster
        # The pair of each row; None where it is the row.
        self.of_row: IntArray | None = None
        if cluster is not None:
            size = int(cluster.max()) + 1 if len(cluster) else 1
            self.of_row, pairs = number_codes(cell * size + cluster, len(cell))
            self.cell, self.cluster = np.divmod(pairs, size)

    @property
    def row_pairs(self) -> IntArray:
        """The pair of each row."""
        return np.arange(len(self.cell)) if self.of_row is None else self.of_row

    def add_up(
        self, values: Sequence[NDArray[Any] | None], kind: IntArray | None = None, kinds: int = 1
    ) -> FloatArray:
        """Add up what rows have, by kind; None counts them. Shape (pairs, values, kinds)."""
        shape = len(self.cell), kinds
        code = self.row_pairs if kind is None else self.row_pairs * kinds + kind
        # What comes several times is added up once.
        sums = {id(one): np.bincount(code, one, shape[0] * kinds) for one in values}
        return np.stack([sums[id(one)].reshape(shape) for one in values], axis=1).astype(float)


def number_codes(code: IntArray, rows: int) -> tuple[IntArray, IntArray]:
    """Give each code's number among those that occur, and these in their order."""
    largest = int(code.max()) + 1 if len(code) else 0
    if largest > max(_DENSE * rows, 1024):
        different, number = np.unique(code, return_inverse=True)
        return number, different
    there = np.bincount(code, minlength=largest) > 0
    return (np.cumsum(there) - 1)[code], np.flatnonzero(there)


def weigh(
    weight: FloatArray | None, values: FloatArray | None = None
) -> tuple[FloatArray | None, FloatArray | None, FloatArray | None]:
    """Give 1, w and w^2 of each row, or w v, w^2 v and w^2 v^2; None stands for 1."""
    if values is None:
        return (None, None, None) if weight is None else (None, weight, weight**2)
    if weight is None:
        return values, values, values**2
    return weight * values, weight**2 * values, weight**2 * values**2


class SurveyDesign:
    """The rows of one level: each one's group, weight and cluster, arrays of shape (rows,)."""

    def __init__(
        self,
        level: Level,
        cell: IntArray,
        weight: FloatArray | None = None,
        cluster: IntArray | None = None,
        pairs: Pairs | None = None,
    ) -> None:
        self.groups = level.groups
        self.unweighted = weight is None
        self.cluster = cluster
        self.plain = weight is None and cluster is None
        self._level, self._cell, self._weight, self._given = level, cell, weight, pairs

    @cached_property
    def group(self) -> IntArray:
        """Each row's group."""
        group: IntArray = self._level.group_of_cell[self._cell]
        return group

    @cached_property
    def weight(self) -> FloatArray:
        """Each row's weight."""
        return np.ones(len(self._cell)) if self._weight is None else self._weight

    @cached_property
    def pairs(self) -> Pairs:
        """The pairs of finest cell and cluster."""
        return self._given or Pairs(self._cell, self.cluster)

    def total(self, values: NDArray[Any]) -> FloatArray:
        """Add up the values of each group's rows."""
        return np.bincount(self.group, values, minlength=self.groups).astype(float)

    def of_kinds(self, kind: IntArray, kinds: int) -> FloatArray:
        """Add up the weights of each group's rows by kind, shape (groups, kinds)."""
        sums = np.bincount(self.group * kinds + kind, self.weight, self.groups * kinds)
        return sums.reshape(-1, kinds).astype(float)

    @cached_property
    def n(self) -> FloatArray:
        """Number of rows of each group."""
        return self.total(np.ones(len(self.group)))

    @cached_property
    def unit(self) -> IntArray:
        """Each row's unit: its pair of group and cluster, or itself."""
        number, of_row = self._units[0], self.pairs.of_row
        return number if of_row is None else number[of_row]

    @property
    def group_of_unit(self) -> IntArray:
        """Each unit's group, shape (units,)."""
        return self._units[1]

    @cached_property
    def _units(self) -> tuple[IntArray, IntArray]:
        """Each pair's unit, and each unit's group."""
        pairs = self.pairs
        group = self._level.group_of_cell[pairs.cell]
        if pairs.cluster is None:
            return np.arange(len(group)), group
        size = int(pairs.cluster.max()) + 1 if len(group) else 1
        unit, codes = number_codes(group * size + pairs.cluster, len(self._cell))
        return unit, codes // size

    def of_pairs(self, values: FloatArray) -> FloatArray:
        """Add up what the pairs of each unit have, shape (units, ...) of (pairs, ...)."""
        if self.cluster is None:
            return values
        total = np.zeros((len(self.group_of_unit), *values.shape[1:]))
        np.add.at(total, self._units[0], values)
        return total

    def of_units(self, values: NDArray[Any]) -> FloatArray:
        """Add up the values of each unit's rows, shape (units,)."""
        if self.cluster is None:
            return values.astype(float)
        return np.bincount(self.unit, values, minlength=len(self.group_of_unit)).astype(float)

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
        seen = self.of_units(there) > 0
        return np.bincount(self.group_of_unit, seen, minlength=self.groups).astype(float)

    def moments(self, influence: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Add up second and third powers of the units' influences."""
        if self.cluster is None:
            return self.total(influence**2), self.total(influence**3)
        of_unit = self.of_units(influence)
        second, third = (
            np.bincount(self.group_of_unit, of_unit**power, minlength=self.groups).astype(float)
            for power in (2, 3)
        )
        return second, third

    def furthest(self, influence: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Give how far one unit moves an estimate at most, down and up."""
        of_unit = self.of_units(influence)
        # Influences add up to 0, so that there is one on either side of it.
        below, above = np.zeros(self.groups), np.zeros(self.groups)
        np.maximum.at(below, self.group_of_unit, -of_unit)
        np.maximum.at(above, self.group_of_unit, of_unit)
        return below, above

    def variance(self, influence: FloatArray) -> FloatArray:
        """Give the variance of an estimate from the influences of its rows."""
        return self.total(influence**2) if self.cluster is None else self.moments(influence)[0]

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
            estimate.mark_shortfall(MIN_CLUSTERS, "clusters", self.units(among))

    def measure(self, linear: LinearisedEstimate, *among: BoolArray) -> "UnitEstimate":
        """Learn from the rows' influences how well an estimate is known.

        It rests on all rows, or on several sets of them alike: of an area under the ROC curve, on
        the positives and the negatives.
        """
        sets = among or (np.ones(len(self.group), dtype=bool),)
        rows = np.min([self.total(chosen) for chosen in sets], axis=0)
        if self.plain:
            moments = self.moments(linear.influence)
            return UnitEstimate(linear.value, Spread.of_cases(rows, *moments), rows, rows, None)
        shares = [self.share(chosen) for chosen in sets]
        mass, squares = np.mean(shares, axis=0), linear.influence**2
        parts = [self.of_units(part) for part in (linear.influence, squares, mass, mass**2)]
        found = self.found(linear.value, UnitSums(self.group_of_unit, *parts), rows)
        if len(sets) == 1:
            return found
        # It rests on the smallest set.
        alike, each = found.spread.correlation, [self.of_units(one) for one in shares]
        known = np.min(
            [
                modelled_cases(alike, self.total(one**2), self.of_groups(own**2))
                for one, own in zip(shares, each, strict=True)
            ],
            axis=0,
        )
        counted = np.min([self.of_groups_effective(own) for own in each], axis=0)
        return found.with_cases(known * found.spread.modelled, counted)

    def share(self, among: BoolArray) -> FloatArray:
        """Give each row's share of the weight of some rows of its group, shape (rows,)."""
        weight = self.weight * among
        share: FloatArray = np.nan_to_num(divide(weight, self.total(weight)[self.group]))
        return share

    def found(self, value: FloatArray, sums: UnitSums, rows: FloatArray) -> "UnitEstimate":
        """Learn from the units how well an estimate is known that rests on so many rows."""
        spread = Spread.of_units(sums, self.groups)
        clusters = None if self.cluster is None else self.of_groups(sums.mass > 0)
        found = UnitEstimate(value, spread, rows, rows, clusters)
        return found.with_cases(spread.cases * spread.modelled, spread.units)

    def of_groups(self, of_units: NDArray[Any]) -> FloatArray:
        """Add up what the units of each group have."""
        return np.bincount(self.group_of_unit, of_units, minlength=self.groups).astype(float)

    def unit_rate(self, hits: FloatArray, misses: FloatArray) -> "UnitRate":
        """Measure a rate from the rows, weights and squared weights of each unit, (units, 3)."""
        units = self.group_of_unit
        hits, misses = hits.T, misses.T
        rows, weight, _ = hits + misses
        all_weight = self.of_groups(weight)
        value = divide(self.of_groups(hits[1]), all_weight)
        rate, below = np.nan_to_num(value)[units], np.maximum(all_weight, TINY)[units]
        influence = (hits[1] * (1 - rate) - misses[1] * rate) / below
        squares = (hits[2] * (1 - rate) ** 2 + misses[2] * rate**2) / below**2
        mass_squares = (hits[2] + misses[2]) / below**2
        sums = UnitSums(units, influence, squares, weight / below, mass_squares)
        found = self.found(value, sums, self.of_groups(rows))
        found = found.with_cases(np.nan_to_num(value * (1 - value)), found.spread.units)
        carriers = self.of_groups_effective(np.where(rate > _EVEN, misses[1], hits[1]))
        return UnitRate(**vars(found), influence=influence, carriers=carriers)

    def of_groups_effective(self, of_units: FloatArray) -> FloatArray:
        """Count the units that have what units have, one that has more of it as more than one.

        Kish's effective number: the square of the sum over the sum of squares.
        """
        return np.nan_to_num(divide(self.of_groups(of_units) ** 2, self.of_groups(of_units**2)))

    def rate(
        self, numerator: BoolArray, among: BoolArray, reason: str, confidence: float
    ) -> Estimate:
        """Estimate a rate: exactly, or from units where there are weights or clusters."""
        found, limits = self.rate_limits(numerator, among, confidence)
        cases = self.total(among)
        if found is None:
            estimate = Estimate(divide(self.total(numerator & among), cases), cases)
            estimate.low, estimate.high = limits
        else:
            estimate = found.estimate(limits)
        estimate.mark_undefined(cases == 0, reason)
        return estimate

    def rate_limits(
        self, numerator: BoolArray, among: BoolArray, confidence: float
    ) -> tuple["UnitRate | None", tuple[FloatArray, FloatArray]]:
        """Give a rate's limits, and the rate where there are weights or clusters."""
        if self.plain:
            hits, cases = self.total(numerator & among), self.total(among)
            return None, balanced_rate_interval(hits, cases, confidence)
        kind = np.where(among, 1 + numerator, 0)
        table = self.of_pairs(self.pairs.add_up(weigh(self._weight), kind, 3))
        found = self.unit_rate(table[..., 2], table[..., 1])
        mass = table[:, 1, 1:].sum(axis=1)
        return found, self._unit_rate_limits(found, mass, confidence)

    def _unit_rate_limits(
        self, found: "UnitRate", mass: FloatArray, confidence: float
    ) -> tuple[FloatArray, FloatArray]:
        """Give the limits of a rate whose clusters may be far from alike, as unseen ones may be.

        Clusters that fail completely are too few to be in each sample, and the rate is that much
        more skewed than it looks; with weights it is as skewed as they are, which is known. On
        neither side the interval is shorter than Student's with Hall's correction for what
        skewness is seen.
        """
        spread, value = found.spread, found.value
        by_weight = self.of_groups(mass) * self.of_groups(mass**3)
        skewness = np.nan_to_num(divide(by_weight, self.of_groups(mass**2) ** 2), nan=1.0)
        skewness = np.maximum(skewness, 1 + _LOPSIDED * (1 - spread.alone))
        low, high = unit_rate_interval(value, spread, found.carriers, confidence, skewness=skewness)
        below, above = spread.reaches(confidence, found.carriers)
        clustered = 1 - spread.alone
        low = low + clustered * np.minimum(np.maximum(value - below, 0) - low, 0)
        high = high + clustered * np.maximum(np.minimum(value + above, 1) - high, 0)
        return low, high


@dataclass(frozen=True)
class UnitEstimate:
    """An estimate and what its units tell of it, shape (groups,)."""

    value: FloatArray
    spread: Spread
    # As many independent rows of one weight would know it as well.
    effective: FloatArray
    rows: FloatArray
    # None where rows are independent.
    clusters: FloatArray | None

    def with_cases(self, alone: FloatArray, counted: FloatArray) -> "UnitEstimate":
        """Count the cases that know the estimate as well, if one alone has such a variance.

        Where all rows are alike nothing is known of how they vary: the units are counted.
        """
        spread = replace(self.spread, units=counted)
        known = np.where(spread.variance > 0, divide(alone, spread.variance), counted)
        return replace(self, spread=spread, effective=np.fmin(known, self.rows))

    def resting_on(self, rows: FloatArray) -> "UnitEstimate":
        """Count other rows, with the same design effect."""
        share = np.nan_to_num(divide(self.effective, self.rows))
        return replace(self, rows=rows, effective=rows * share)

    def estimate(
        self, interval: tuple[FloatArray, FloatArray], fewest: int = MIN_EQUAL_CLUSTERS
    ) -> Estimate:
        """Give it its interval, where the clusters are as good as so many of one size."""
        clusters, equal = self.clusters, self.spread.units
        estimate = Estimate(
            self.value.copy(),
            self.effective.copy(),
            self.rows.copy(),
            None if clusters is None else clusters.copy(),
        )
        estimate.low, estimate.high = interval
        if clusters is None:
            return estimate
        # Clusters that are hardly more than cases are counted as such.
        grouped = self.spread.largest > _HARDLY_CLUSTERED
        short = shortfall_reasons(MIN_CLUSTERS, "clusters", clusters)
        estimate.mark_too_few(grouped & (clusters < MIN_CLUSTERS), short)
        reason = np.full(len(equal), None, dtype=object)
        unequal = grouped & (equal < fewest)
        for group in np.flatnonzero(unequal):
            reason[group] = (
                f"needs as many clusters as {fewest} of one size,"
                f" has {clusters[group]:.0f} that are as good as {equal[group]:.2g}"
            )
        estimate.mark_too_few(unequal, reason)
        return estimate


@dataclass(frozen=True)
class UnitRate(UnitEstimate):
    """A rate, and what its units tell of it."""

    # Shape (units,).
    influence: FloatArray
    # The effective number of units that have the rarer of hits and misses.
    carriers: FloatArray

    def rate(self, reason: str, confidence: float) -> Estimate:
        """Give it its interval; the reason says what there is none of where it is undefined."""
        estimate = self.estimate(self.interval(confidence))
        estimate.mark_undefined(self.rows == 0, reason)
        return estimate

    def interval(self, confidence: float) -> tuple[FloatArray, FloatArray]:
        """Give the interval, whose variance holds what it is not known by."""
        return unit_rate_interval(self.value, self.spread, self.carriers, confidence)


def unit_rate_interval(
    value: FloatArray,
    spread: Spread,
    carriers: FloatArray,
    confidence: float,
    *,
    skewness: FloatArray | None = None,
) -> tuple[FloatArray, FloatArray]:
    """Give the interval of rates from the spread of their units, so many of which carry hits.

    Student's quantile takes the place of the normal one. Where hardly any unit carries the
    rarer outcome nothing tells how alike the cases of a unit are, and the variance goes over
    to that of cases that are all alike. The skewness is that of `effective_rate_interval`.
    """
    rate = np.nan_to_num(value)
    variance = spread.widened(confidence, carriers)
    # What the estimated rate takes from the spread of units that are as good as cases, exact
    # intervals hold already.
    variance = variance * (1 - spread.alone * np.nan_to_num(divide(1, spread.units)))
    alike = np.maximum(np.nan_to_num(divide(rate * (1 - rate), spread.units)), variance)
    blind = blindness(carriers)
    variance = (1 - blind) * variance + blind * alike
    return effective_rate_interval(
        value, variance, spread.units, spread.alone, confidence, skewness=skewness
    )


def modelled_cases(alike: FloatArray, alone: FloatArray, together: FloatArray) -> FloatArray:
    """Count as many independent cases as cases are that are so alike in their units.

    Given are the sums of squared shares of the rows, and of the units.
    """
    return np.nan_to_num(divide(1, (1 - alike) * alone + alike * together))


def blindness(carriers: FloatArray) -> FloatArray:
    """Say how little so many units tell of how alike the cases of a unit are: 1 for nothing."""
    blind: FloatArray = np.exp(-carriers / 2)
    return blind
