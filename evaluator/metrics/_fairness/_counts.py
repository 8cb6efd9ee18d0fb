"""What is counted of the cases of groups, in strata and clusters."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from evaluator.metrics._binary_levels import count_cells
from evaluator.metrics._catalogue import FairnessMeasure, Rate, names_of
from evaluator.metrics._estimates import FloatArray
from evaluator.metrics._fairness._clusters import ClusterSums, SurveySums
from evaluator.metrics._fairness._gaps import GroupSummary, MeanSummary, RateSummary
from evaluator.metrics._levels import IntArray, Level, combine_codes


@dataclass(frozen=True)
class ClusterCounts:
    """What is counted in every cluster of which a cell and stratum have cases."""

    # Where it is, shape (entries,), in order: cell (or group) x strata + stratum, and cluster.
    row: IntArray
    cluster: IntArray
    strata: int
    # How many clusters there are.
    clusters: int
    # As of `GroupCounts`, with entries in place of cells and strata; of the excess the sums, and of
    # the squared weights times it and times its square, shape (entries, 3).
    confusion: FloatArray
    squares: FloatArray
    excess: Mapping[int, FloatArray]

    def of(self, level: Level, groups: int) -> "ClusterCounts":
        """Add up the cells of a level's groups."""
        cell, stratum = np.divmod(self.row, self.strata)
        row = level.group_of_cell[cell] * self.strata + stratum
        entry, codes = combine_codes([row, self.cluster], [groups * self.strata, self.clusters])

        def added(of_entries: FloatArray) -> FloatArray:
            columns = of_entries.reshape(len(entry), -1).T
            sums = [np.bincount(entry, column, len(codes)).astype(float) for column in columns]
            # With the entries last in memory, as numpy is fastest in adding up few of many.
            stacked = np.array(sums).reshape(*of_entries.shape[1:], len(codes))
            return np.moveaxis(stacked, -1, 0)

        confusion = added(self.confusion)
        return replace(
            self,
            row=codes[:, 0],
            cluster=codes[:, 1],
            confusion=confusion,
            squares=confusion if self.squares is self.confusion else added(self.squares),
            excess={number: added(sums) for number, sums in self.excess.items()},
        )


@dataclass(frozen=True)
class GroupCounts:
    """What is counted in every cell, or every group, by strata of the control columns."""

    # How many cases there are, shape (cells,).
    rows: FloatArray
    # Cases by label and prediction, shape (cells, strata, classes, classes); a regression's are
    # positive, and predicted so where they are right. With weights their sums.
    confusion: FloatArray
    # Power sums of score minus label, or of prediction minus label for a regression, by class; each
    # of shape (cells, strata, 3). A class without scores is absent.
    excess: Mapping[int, FloatArray]
    # Sums of squared weights, as the cases are, and times the powers 0, 1 and 2 of the excess;
    # None where cases are independent and count alike.
    squares: FloatArray | None = None
    excess_squares: Mapping[int, FloatArray] = field(default_factory=dict)
    clusters: ClusterCounts | None = None
    # What the cases of a mean are.
    what: str = "cases"

    def of(self, level: Level, more: int) -> "GroupCounts":
        """Add up the cells of a level's groups, and append so many groups without cases."""

        def added(of_cells: FloatArray) -> FloatArray:
            of_groups = level.add_up(of_cells)
            empty = np.zeros((more, *of_groups.shape[1:]))
            return np.concatenate([of_groups, empty])

        clusters = self.clusters
        return GroupCounts(
            added(self.rows),
            added(self.confusion),
            {number: added(sums) for number, sums in self.excess.items()},
            None if self.squares is None else added(self.squares),
            {number: added(sums) for number, sums in self.excess_squares.items()},
            None if clusters is None else clusters.of(level, level.groups),
            self.what,
        )

    def parts(self, measure: FairnessMeasure, number: int) -> list[GroupSummary]:
        """Give what a measure compares: rates, or a mean."""
        if measure.rates:
            return [self._rate(measure, rate, number) for rate in measure.rates]
        cases, sums = self.confusion.sum(axis=(2, 3)), self.excess[number]
        survey = None
        if self.squares is not None:
            survey = self._survey(
                self.excess_squares[number],
                lambda entries: (
                    entries.excess[number][:, 0],
                    entries.confusion.sum(axis=(1, 2)),
                    entries.squares.sum(axis=(1, 2)),
                    *entries.excess[number][:, 1:].T,
                ),
            )
        return [MeanSummary(self.rows, cases, self.what, sums, measure.bounds, survey=survey)]

    def _rate(self, measure: FairnessMeasure, rate: Rate, number: int) -> RateSummary:
        def count(confusion: FloatArray) -> tuple[FloatArray, FloatArray]:
            four = _four_cells(confusion, number if measure.per_class else None)
            return count_cells(four, rate.among), count_cells(four, rate.hits)

        def of_entries(entries: ClusterCounts) -> tuple[FloatArray, ...]:
            found = count(entries.confusion)
            square = found if entries.squares is entries.confusion else count(entries.squares)
            return (found[1], found[0], square[0], square[1], square[1])

        cases, hits = count(self.confusion)
        survey = None
        if self.squares is not None:
            of_cases, of_hits = count(self.squares)
            survey = self._survey(
                np.stack([of_cases, of_hits, of_hits], axis=-1),
                of_entries,
            )
        what = " or ".join(names_of(rate.among))
        return RateSummary(
            self.rows, cases, what, hits, odds=measure.odds is not None, survey=survey
        )

    def _survey(
        self, squares: FloatArray, of_entries: Callable[[ClusterCounts], tuple[FloatArray, ...]]
    ) -> SurveySums:
        """Say what weights and clusters do to groups.

        Of the groups the squares are given, and of the clusters' entries the summed values, the
        cases, the squared weights, and these times values and times squared values.
        """
        from scipy.sparse import csr_array

        groups = np.arange(len(squares))
        if self.clusters is None:
            return SurveySums(squares, None, groups)
        entries, rows = self.clusters, squares.shape[0] * squares.shape[1]
        ends = np.searchsorted(entries.row, np.arange(rows + 1))
        found = of_entries(entries)
        laid_out = {
            id(sums): csr_array((sums, entries.cluster, ends), shape=(rows, entries.clusters))
            for sums in found
        }
        values, cases, zeroth, first, second = (laid_out[id(sums)] for sums in found)
        sums = ClusterSums(values, cases, (zeroth, first, second), entries.strata)
        return SurveySums(squares, sums, groups)


def _four_cells(confusion: FloatArray, number: int | None) -> FloatArray:
    """Give the cells of a class against the rest, or, of all classes at once, right and wrong."""
    cases = confusion.sum(axis=(-2, -1))
    if number is not None:
        hits = confusion[..., number, number]
        missed = confusion[..., number, :].sum(axis=-1) - hits
        false = confusion[..., :, number].sum(axis=-1) - hits
    else:
        hits = np.trace(confusion, axis1=-2, axis2=-1)
        missed, false = np.zeros_like(hits), cases - hits
    return np.moveaxis(np.array([cases - hits - missed - false, false, missed, hits]), 0, -1)


@dataclass(frozen=True)
class Counter:
    """Counts cases, or adds up their weights, by cell, stratum and cluster."""

    # Numbers of cells and of strata.
    shape: tuple[int, int]
    # Each case's cell and stratum in one number, its weight, and its cluster, shape (rows,).
    place: IntArray
    weight: FloatArray | None
    cluster: IntArray | None

    def mean(self, values: FloatArray, what: str = "cases") -> GroupCounts:
        """Add up the powers of a value of each case; of NaN there is none."""
        there, rows = ~np.isnan(values), self.place // self.shape[1]
        counter = replace(
            self,
            place=self.place[there],
            weight=None if self.weight is None else self.weight[there],
            cluster=None if self.cluster is None else self.cluster[there],
        )
        nothing = np.zeros(len(counter.place), np.intp)
        counted = counter.count(nothing, nothing, 1, {0: values[there]})
        every = np.bincount(rows, minlength=self.shape[0]).astype(float)
        return replace(counted, rows=every, what=what)

    def count(
        self,
        label: IntArray,
        prediction: IntArray,
        classes: int,
        excess: Mapping[int, FloatArray],
    ) -> GroupCounts:
        """Count cases by label and prediction, and add up the powers of each class's excess."""
        outcome, weight = label * classes + prediction, self.weight
        places = self.shape[0] * self.shape[1]

        def confusion(place: IntArray, size: int, of_cases: FloatArray | None) -> FloatArray:
            length = size * classes**2
            counts = np.bincount(place * classes**2 + outcome, of_cases, length).astype(float)
            return counts.reshape(size, classes, classes)

        def in_cells(of_places: FloatArray) -> FloatArray:
            return of_places.reshape(*self.shape, *of_places.shape[1:])

        def power_sums(powers: Sequence[int], of_cases: FloatArray | None) -> dict[int, FloatArray]:
            found = {}
            for number, values in excess.items():
                raised = (_times(values**power, of_cases) for power in powers)
                sums = [np.bincount(self.place, power, places).astype(float) for power in raised]
                found[number] = in_cells(np.stack(sums, axis=-1))
            return found

        cases = in_cells(confusion(self.place, places, weight))
        rows, sums = cases.sum(axis=(1, 2, 3)), power_sums((1, 2, 3), weight)
        if weight is None and self.cluster is None:
            return GroupCounts(rows, cases, sums)
        square = None if weight is None else weight**2
        squares, square_sums = cases, power_sums((0, 1, 2), square)
        if weight is not None:
            rows = np.bincount(self.place // self.shape[1], weight > 0, self.shape[0])
            squares = in_cells(confusion(self.place, places, square))
        clusters = None
        if self.cluster is not None:
            count = int(self.cluster.max(initial=-1)) + 1
            entry, codes = combine_codes([self.place, self.cluster], [places, count])
            of_entries = confusion(entry, len(codes), weight)
            clusters = ClusterCounts(
                codes[:, 0],
                codes[:, 1],
                self.shape[1],
                count,
                of_entries,
                of_entries if square is None else confusion(entry, len(codes), square),
                {
                    number: np.stack(
                        [
                            np.bincount(entry, _times(powers, of_cases), len(codes)).astype(float)
                            for powers, of_cases in (
                                (values, weight),
                                (values, square),
                                (values**2, square),
                            )
                        ],
                        axis=-1,
                    )
                    for number, values in excess.items()
                },
            )
        return GroupCounts(rows, cases, sums, squares, square_sums, clusters)


def _times(values: FloatArray, weight: FloatArray | None) -> FloatArray:
    return values if weight is None else values * weight
