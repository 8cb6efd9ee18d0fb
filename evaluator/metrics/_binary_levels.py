"""What a binary classifier is measured from: the counts of groups, or the rows of a level."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from evaluator.metrics._catalogue import CELLS, NEGATIVES, POSITIVES, Cells, Rate, names_of, none_of
from evaluator.metrics._estimates import Estimate, FloatArray, divide
from evaluator.metrics._inputs import BinaryRows
from evaluator.metrics._levels import Level
from evaluator.metrics._linear import SurveyDesign, UnitEstimate, UnitRate, UnitSums
from evaluator.metrics._rates import rate_interval


class _BinaryCases(ABC):
    """What is undefined or rests on too few cases, by the cells of the confusion matrix."""

    # What stands before the cases that are too few.
    counted: ClassVar[str] = ""

    @abstractmethod
    def cases(self, cells: Cells = CELLS) -> FloatArray:
        """Count the cases of some cells, shape (groups,)."""

    def fewer(self) -> FloatArray:
        """Count the cases of the rarer class."""
        return np.minimum(self.cases(POSITIVES), self.cases(NEGATIVES))

    def mark_undefined(self, estimate: Estimate, *needed: Cells) -> None:
        """Mark groups undefined that have no cases in what is needed."""
        for cells in needed:
            estimate.mark_undefined(self.cases(cells) == 0, none_of(cells))

    def mark_few(self, estimate: Estimate, least: int, cells: Cells = CELLS) -> None:
        """Mark groups of too few cases."""
        (what,) = names_of(cells)
        estimate.mark_shortfall(least, f"{self.counted}{what}", self.cases(cells))

    def mark_few_of_a_class(self, estimate: Estimate, least: int) -> None:
        """Mark groups of too few cases of either class."""
        for cells in (POSITIVES, NEGATIVES):
            self.mark_few(estimate, least, cells)


class BinaryGroups(_BinaryCases):
    """The counts of all groups of all levels."""

    def __init__(self, rows: BinaryRows, confidence: float) -> None:
        self.rows = rows
        self.confidence = confidence
        # By the confusion matrix's cells, shape (groups, 4).
        self.counts = rows.slicing.add_up(rows.counts).astype(float).reshape(-1, len(CELLS))

    def cases(self, cells: Cells = CELLS) -> FloatArray:
        """Count the cases of some cells, shape (groups,)."""
        return count_cells(self.counts, cells)

    def of_levels(
        self, measured: Callable[[Level], tuple[NDArray[Any], ...]]
    ) -> list[NDArray[Any]]:
        """Measure level by level what has to go through the rows, and join the levels."""
        parts = [measured(level) for level in self.rows.slicing.levels]
        return [np.concatenate(one) for one in zip(*parts, strict=True)]

    def rates(self, rates: Sequence[Rate]) -> list[Estimate]:
        """Estimate several rates; their intervals are solved together, since that is faster."""
        if not rates:
            return []
        hits = [self.cases(rate.hits) for rate in rates]
        cases = [self.cases(rate.among) for rate in rates]
        limits = rate_interval(np.concatenate(hits), np.concatenate(cases), self.confidence)
        lows, highs = (np.split(limit, len(rates)) for limit in limits)
        found = []
        for rate, h, n, low, high in zip(rates, hits, cases, lows, highs, strict=True):
            estimate = Estimate(divide(h, n), n)
            estimate.low, estimate.high = low, high
            if rate.twice:
                _count_twice(estimate, h, n)
            self.mark_undefined(estimate, rate.among)
            found.append(estimate)
        return found


class BinaryLevel(_BinaryCases):
    """The rows of one level, which have weights or come in clusters."""

    counted = "effective "

    def __init__(self, rows: BinaryRows, design: SurveyDesign, confidence: float) -> None:
        self.rows = rows
        self.design = design
        self.confidence = confidence

    @cached_property
    def units(self) -> FloatArray:
        """Rows, weights and squared weights of each unit by cell, shape (3, units, 4)."""
        cell = 2 * self.rows.label.astype(np.intp) + self.rows.prediction
        return self.design.table(cell, len(CELLS))

    @cached_property
    def _sums(self) -> FloatArray:
        """The same of each group, shape (3, groups, 4)."""
        flat = self.units.transpose(1, 0, 2)
        sums = np.zeros((self.design.groups, *flat.shape[1:]))
        np.add.at(sums, self.design.group_of_unit, flat)
        return sums.transpose(1, 0, 2)

    def weight(self, cells: Cells) -> FloatArray:
        """Add up the weights of some cells, shape (groups,)."""
        return count_cells(self._sums[1], cells)

    @property
    def weights(self) -> FloatArray:
        """The weights of all cells, shape (groups, 4)."""
        weights: FloatArray = self._sums[1]
        return weights

    def cases(self, cells: Cells = CELLS) -> FloatArray:
        """Count what the weights leave of the cases of some cells, shape (groups,)."""
        squares = count_cells(self._sums[2], cells)
        return np.nan_to_num(divide(self.weight(cells) ** 2, squares))

    def of_shares(self, value: FloatArray, slopes: FloatArray) -> tuple[UnitEstimate, FloatArray]:
        """Learn how well a function of the cells' shares is known, from its slopes (groups, 4).

        Beside it, what the variance of one independent case would be.
        """
        design, of_unit = self.design, slopes[self.design.group_of_unit]
        rows, weight, square = self.units
        below = np.maximum(self.weight(CELLS), np.finfo(float).tiny)
        own = below[design.group_of_unit]
        sums = UnitSums(
            design.group_of_unit,
            (of_unit * weight).sum(axis=1) / own,
            (of_unit**2 * square).sum(axis=1) / own**2,
            weight.sum(axis=1) / own,
            square.sum(axis=1) / own**2,
        )
        alone: FloatArray = (slopes**2 * self.weights).sum(axis=1) / below
        found = design.found(value, sums, design.of_groups(rows.sum(axis=1)))
        return found.with_cases(alone, found.spread.units), alone

    def unit_rate(self, rate: Rate) -> UnitRate:
        """Measure a rate."""
        misses = tuple(cell for cell in rate.among if cell not in rate.hits)
        return self.design.unit_rate(
            count_cells(self.units, rate.hits), count_cells(self.units, misses)
        )

    def rate(self, rate: Rate) -> Estimate:
        """Estimate a rate."""
        estimate = self.unit_rate(rate).rate(none_of(rate.among), self.confidence)
        if rate.twice:
            _count_twice(estimate, self.weight(rate.hits), self.weight(rate.among))
        return estimate


def count_cells(counts: FloatArray, cells: Cells) -> FloatArray:
    """Add up some of the confusion matrix's cells, which the last of several axes is of."""
    of_cells: FloatArray = counts[..., [CELLS.index(cell) for cell in cells]].sum(axis=-1)
    return of_cells


def _count_twice(estimate: Estimate, hits: FloatArray, cases: FloatArray) -> None:
    """Turn a rate h / n into 2 h / (n + h), which grows with it: Jaccard's index into F1."""
    estimate.value = divide(2 * hits, cases + hits)
    estimate.low, estimate.high = (2 * edge / (1 + edge) for edge in (estimate.low, estimate.high))
