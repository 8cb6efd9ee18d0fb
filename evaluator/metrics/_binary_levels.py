"""What a binary classifier is measured from: the counts of groups, or the rows of a level."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from evaluator.metrics._catalogue import CELLS, NEGATIVES, POSITIVES, Cells, Rate, names_of, none_of
from evaluator.metrics._estimates import BoolArray, Estimate, FloatArray, divide
from evaluator.metrics._inputs import BinaryRows
from evaluator.metrics._levels import IntArray, Level
from evaluator.metrics._linear import (
    TINY,
    Pairs,
    SurveyDesign,
    UnitEstimate,
    UnitRate,
    UnitSums,
    weigh,
)
from evaluator.metrics._ranking import CellLayout, Placements, outranked_weight
from evaluator.metrics._rates import rate_interval

# The losses from scores and labels, all of shape (rows,).
Losses = Callable[[FloatArray, BoolArray], FloatArray]


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


class BinarySurvey:
    """The rows that have weights or come in clusters, and what all levels need of them."""

    def __init__(self, rows: BinaryRows, pairs: Pairs, weight: FloatArray | None) -> None:
        self.rows = rows
        self._pairs = pairs
        self._weight = weight
        self._loss_sums: dict[Losses, FloatArray] = {}

    @cached_property
    def cells(self) -> FloatArray:
        """Rows, weights and squared weights of each pair by cell, shape (pairs, 3, 4)."""
        cell = 2 * self.rows.label.astype(np.intp) + self.rows.prediction
        return self._pairs.add_up(weigh(self._weight), cell, len(CELLS))

    def loss_sums(self, losses: Losses) -> FloatArray:
        """Add up w v, w^2 v and w^2 v^2 of each pair, v being its loss, shape (pairs, 3)."""
        if losses not in self._loss_sums:
            values = losses(self.rows.scores, self.rows.label)
            self._loss_sums[losses] = self._pairs.add_up(weigh(self._weight, values))[..., 0]
        return self._loss_sums[losses]

    @cached_property
    def surprises(self) -> FloatArray:
        """Add up w and w^2 of each pair's labels that were held improbable, shape (pairs, 2)."""
        surprising = self.rows.surprising.astype(float)
        return self._pairs.add_up(weigh(self._weight, surprising))[:, :2, 0]

    @cached_property
    def _placements(self) -> tuple[Placements, IntArray]:
        """Give every case's rank among the other class, and its pair and label, in one order."""
        layout = CellLayout(self.rows.label, self.rows.slicing)
        code = 2 * self._pairs.row_pairs + self.rows.label
        return Placements(layout, {"": self.rows.scores[layout.order]}), code[layout.order]

    def placed_sums(self, level: Level) -> FloatArray:
        """Add up the placements of each pair's cases, and their squares, shape (pairs, 2, 2)."""
        placements, code = self._placements
        placed = placements.of_level(level, "").astype(float)
        size = len(self._pairs.cell)
        sums = [np.bincount(code, one, 2 * size).reshape(size, 2) for one in (placed, placed**2)]
        return np.stack(sums, axis=1)


class BinaryLevel(_BinaryCases):
    """The rows of one level, which have weights or come in clusters."""

    counted = "effective "

    def __init__(
        self, survey: BinarySurvey, design: SurveyDesign, level: Level, confidence: float
    ) -> None:
        self.survey = survey
        self.rows = survey.rows
        self.design = design
        self.level = level
        self.confidence = confidence

    @cached_property
    def units(self) -> FloatArray:
        """Rows, weights and squared weights of each unit by cell, shape (units, 3, 4)."""
        return self.design.of_pairs(self.survey.cells)

    @cached_property
    def _sums(self) -> FloatArray:
        """The same of each group, shape (groups, 3, 4)."""
        sums = np.zeros((self.design.groups, *self.units.shape[1:]))
        np.add.at(sums, self.design.group_of_unit, self.units)
        return sums

    @property
    def weights(self) -> FloatArray:
        """The weights of all cells, shape (groups, 4)."""
        weights: FloatArray = self._sums[:, 1]
        return weights

    def weight(self, cells: Cells) -> FloatArray:
        """Add up the weights of some cells, shape (groups,)."""
        return count_cells(self.weights, cells)

    def row_count(self, cells: Cells = CELLS) -> FloatArray:
        """Count the rows of some cells, shape (groups,)."""
        return count_cells(self._sums[:, 0], cells)

    def cases(self, cells: Cells = CELLS) -> FloatArray:
        """Count what the weights leave of the cases of some cells, shape (groups,)."""
        squares = count_cells(self._sums[:, 2], cells)
        return np.nan_to_num(divide(self.weight(cells) ** 2, squares))

    def of_shares(self, value: FloatArray, slopes: FloatArray) -> tuple[UnitEstimate, FloatArray]:
        """Learn how well a function of the cells' shares is known, from its slopes (groups, 4).

        Beside it, what the variance of one independent case would be.
        """
        of_unit = slopes[self.design.group_of_unit]
        _, weight, square = self.units.transpose(1, 0, 2)
        alone = (slopes**2 * self.weights).sum(axis=1) / np.maximum(self.weight(CELLS), TINY)
        found = self._of_all(
            value, (of_unit * weight).sum(axis=1), (of_unit**2 * square).sum(axis=1)
        )
        return found.with_cases(alone, found.spread.units), alone

    def surprises(self) -> FloatArray:
        """Count what the weights leave of the labels that were held improbable, (groups,)."""
        weight, square = self.design.of_pairs(self.survey.surprises).T
        total = self.design.of_groups
        return np.nan_to_num(divide(total(weight) ** 2, total(square)))

    def of_mean(self, losses: Losses) -> tuple[UnitEstimate, FloatArray]:
        """Learn how well the mean of a loss is known; beside it each unit's sum of w v."""
        design = self.design
        linear, once, twice = design.of_pairs(self.survey.loss_sums(losses)).T
        mean = divide(design.of_groups(linear), self.weight(CELLS))
        own = np.nan_to_num(mean)[design.group_of_unit]
        _, weight, square = self.units.sum(axis=2).T
        influence = linear - own * weight
        # What is left by cancellation is no spread.
        squares = np.maximum(twice - 2 * own * once + own**2 * square, 0)
        return self._of_all(mean, influence, squares), linear

    def _of_all(
        self, value: FloatArray, influence: FloatArray, squares: FloatArray
    ) -> UnitEstimate:
        """Learn how well an estimate of all cases is known, from sums of w v and of w^2 v^2."""
        design = self.design
        rows, weight, square = self.units.sum(axis=2).T
        own = np.maximum(self.weight(CELLS), TINY)[design.group_of_unit]
        sums = UnitSums(
            design.group_of_unit, influence / own, squares / own**2, weight / own, square / own**2
        )
        return design.found(value, sums, design.of_groups(rows))

    def ranked_units(self) -> FloatArray:
        """Add up w, w^2, w c, w^2 c and w^2 c^2 of each unit by label, shape (units, 5, 2).

        The value c of a positive is the share of the negatives that it outranks, that of a
        negative the share of the positives that outrank it; ties count half.
        """
        design, label = self.design, self.rows.label
        others = np.stack([self.weight(POSITIVES), self.weight(NEGATIVES)], axis=-1)
        if design.unweighted:
            n = self.units[:, 0].reshape(-1, 2, 2).sum(axis=2)
            once, twice = design.of_pairs(self.survey.placed_sums(self.level)).transpose(1, 0, 2)
            share = divide(0.5, others)[design.group_of_unit]
            own = [once * share, once * share, twice * share**2]
            ranked: FloatArray = np.nan_to_num(np.stack([n, n, *own], axis=1))
            return ranked
        outranked = outranked_weight(design, self.rows.scores, label)
        of_row = np.where(label, *(others[design.group, one] for one in (1, 0)))
        value = np.nan_to_num(divide(outranked, of_row))
        weight = design.weight
        code, size = 2 * design.unit + label, len(design.group_of_unit)
        parts = (weight, weight**2, weight * value, weight**2 * value, weight**2 * value**2)
        sums = [np.bincount(code, part, 2 * size).reshape(size, 2) for part in parts]
        return np.stack(sums, axis=1).astype(float)

    def unit_rate(self, rate: Rate) -> UnitRate:
        """Measure a rate."""
        misses = tuple(cell for cell in rate.among if cell not in rate.hits)
        of_cells = (count_cells(self.units, cells) for cells in (rate.hits, misses))
        return self.design.unit_rate(*of_cells)

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
