"""Metrics of the order of scores: area under the ROC curve and average precision.

Each row becomes one unsigned integer that sorts as its score does and carries its label in the
lowest bit. Sorting these keys is then all that is needed: no index, no gathering.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evaluator.metrics.estimates import BoolArray, FloatArray, divide
from evaluator.metrics.levels import IntArray, Level, Slicing

KeyArray = NDArray[np.uint64]
_ONE = np.uint64(1)
_BLOCK = 1 << 18


def sortable_keys(score: FloatArray, label: BoolArray) -> KeyArray:
    """Give keys whose order is the scores' order, with the label in the lowest bit.

    The bit pattern of a float that is not negative grows with its value and leaves the highest
    bit free, so that shifting it by one loses nothing. Where scores are negative, dense ranks
    take the place of bit patterns.
    """
    if score.size == 0 or score.min() >= 0:
        # Adding zero turns -0.0 into 0.0, whose bit pattern is the smallest.
        keys = (score + 0.0).view(np.uint64)
    else:
        order = np.argsort(score)
        ordered = score[order]
        ranks = np.zeros(len(score), np.uint64)
        np.cumsum(ordered[1:] != ordered[:-1], out=ranks[1:])
        keys = np.empty_like(ranks)
        keys[order] = ranks
    keys = keys << _ONE
    keys |= label.astype(np.uint64)
    return keys


class RankedRows:
    """The keys of all rows, laid out cell by cell, ready to be sorted for any level."""

    def __init__(self, score: FloatArray, label: BoolArray, slicing: Slicing) -> None:
        # Numpy sorts integers of 16 bits or fewer by radix, in one pass.
        small = slicing.cell.astype(np.uint16) if slicing.cells <= 1 << 16 else slicing.cell
        order = np.argsort(small, kind="stable")
        self._keys = sortable_keys(score, label)[order]
        self._sizes = np.bincount(slicing.cell, minlength=slicing.cells)
        self._starts = np.concatenate([[0], np.cumsum(self._sizes)])

    def blocks(self, level: Level) -> Iterator["Runs"]:
        """Give the sorted rows of a level, some groups at a time.

        A block holds as many groups as have some hundred thousand rows together (or one group
        that has more), so that what is computed from it stays in the processor's cache.
        """
        sizes = level.add_up(self._sizes)
        order = np.argsort(level.group_of_cell, kind="stable")
        first_cell = np.searchsorted(level.group_of_cell[order], np.arange(level.groups + 1))
        block = np.cumsum(sizes) // _BLOCK
        starts = [0, *(np.flatnonzero(np.diff(block)) + 1), level.groups]
        for start, stop in pairwise(starts):
            cells = order[first_cell[start] : first_cell[stop]]
            bounds = np.concatenate([[0], np.cumsum(sizes[start:stop])])
            pieces = [self._keys[self._starts[c] : self._starts[c + 1]] for c in cells]
            keys = np.concatenate(pieces) if pieces else self._keys[:0]
            for group in np.flatnonzero(np.diff(bounds) > 1):
                keys[bounds[group] : bounds[group + 1]].sort()
            yield Runs(keys, bounds)


class Runs:
    """The sorted rows of some groups of a level, tied scores drawn together into runs.

    Arrays named `run_...` have one element a run, the others one a group.

    Parameters
    ----------
    keys
        Keys group by group, sorted inside each, shape (rows,).
    bounds
        Where the groups begin, and where the last one ends, shape (groups + 1,).
    """

    def __init__(self, keys: KeyArray, bounds: IntArray) -> None:
        # Half the width is half the time, and enough for two thousand million rows.
        whole = np.int32 if len(keys) <= np.iinfo(np.int32).max // 2 else np.int64
        bounds = bounds.astype(whole, copy=False)
        starts = np.ones(len(keys) + 1, dtype=bool)
        if len(keys):
            # Keys of one score differ in the lowest bit at most.
            np.greater(keys[1:] ^ keys[:-1], _ONE, out=starts[1:-1])
        self._occupied = np.flatnonzero(np.diff(bounds))
        starts[bounds[self._occupied]] = True
        # The bounds of runs, the last one included.
        first = np.flatnonzero(starts).astype(whole)
        cumulative = np.zeros(len(keys) + 1, dtype=whole)
        np.cumsum((keys & _ONE).astype(np.int8), out=cumulative[1:])
        before = cumulative[first]
        cumulative_groups = cumulative[bounds]
        self._bounds = np.searchsorted(first, bounds)
        self._sizes = np.diff(self._bounds)

        self.positives = np.diff(cumulative_groups)
        self.negatives = np.diff(bounds) - self.positives
        self.run_positives = np.diff(before)
        self.run_negatives = np.diff(first) - self.run_positives
        self.run_positives_below = before[:-1] - self.spread(cumulative_groups[:-1])
        self.run_negatives_below = first[:-1] - self.spread(bounds[:-1]) - self.run_positives_below

    def spread(self, of_groups: NDArray[Any]) -> NDArray[Any]:
        """Repeat a group's number for each of its runs; a single group's fits all as it is."""
        return of_groups if len(of_groups) == 1 else np.repeat(of_groups, self._sizes)

    def add_up(self, of_runs: NDArray[Any]) -> FloatArray:
        """Add the runs of each group."""
        total = np.zeros(len(self.positives))
        if len(self._occupied):
            total[self._occupied] = np.add.reduceat(of_runs, self._bounds[self._occupied])
        return total

    def add_up_to(self, of_runs: FloatArray) -> FloatArray:
        """Add, for each run, the runs of its group from the lowest score up to itself."""
        cumulative = np.concatenate([[0.0], np.cumsum(of_runs)])
        before: FloatArray = self.spread(cumulative[self._bounds[:-1]])
        return cumulative[1:] - before


@dataclass(frozen=True)
class Area:
    """The area under the ROC curve of every group; arrays of shape (groups,).

    Parameters
    ----------
    value
        Probability that a positive scores above a negative, ties counting half.
    variance
        DeLong's variance of it; NaN where a class has fewer than two cases.
    freedom
        Degrees of freedom of that variance.
    """

    value: FloatArray
    variance: FloatArray
    freedom: FloatArray


def area(runs: Runs) -> Area:
    """Measure the area under the ROC curve and its variance.

    The placement value of a positive is the share of negatives that it outranks, that of a
    negative the share of positives that outrank it; the area is the mean of either, and its
    variance is the sum, over both classes, of the variance of the placement values over their
    number. The degrees of freedom are Satterthwaite's.

    Sources: E. DeLong, D. DeLong, D. Clarke-Pearson, Biometrics 44 (1988) 837; X. Sun, W. Xu,
    IEEE Signal Processing Letters 21 (2014) 1389, for doing it by one sort.
    """
    positives, negatives = runs.positives.astype(float), runs.negatives.astype(float)
    # Twice, so that half a pair stays a whole number and the sum is exact.
    twice_outranked = 2 * runs.run_negatives_below + runs.run_negatives
    summed = runs.add_up(runs.run_positives.astype(np.int64) * twice_outranked)
    value = divide(summed, 2 * positives * negatives)
    # Squares of whole numbers would overflow, so that the deviations are taken first.
    deviation = twice_outranked / 2 - runs.spread(value * negatives)
    positive_variance = divide(
        runs.add_up(runs.run_positives * deviation**2), negatives**2 * np.maximum(positives - 1, 0)
    )
    twice_above = 2 * (runs.spread(runs.positives) - runs.run_positives_below) - runs.run_positives
    deviation = twice_above / 2 - runs.spread(value * positives)
    negative_variance = divide(
        runs.add_up(runs.run_negatives * deviation**2), positives**2 * np.maximum(negatives - 1, 0)
    )
    parts = divide(positive_variance, positives), divide(negative_variance, negatives)
    variance = parts[0] + parts[1]
    freedom = divide(
        variance**2,
        divide(parts[0] ** 2, np.maximum(positives - 1, 0))
        + divide(parts[1] ** 2, np.maximum(negatives - 1, 0)),
    )
    return Area(value, variance, freedom)


def average_precision(runs: Runs) -> tuple[FloatArray, FloatArray]:
    """Measure average precision and its variance.

    AP is the mean over positives of the precision at their score as the threshold. The variance
    is the infinitesimal jackknife's: the sum of squares of AP's derivatives by each case's
    weight.
    Source: L. Jaeckel, Bell Laboratories Memorandum MM72-1215-11 (1972).

    Returns
    -------
    value, variance
        NaN where a group has no positives.
    """
    positives = runs.positives.astype(float)
    hits = runs.spread(runs.positives) - runs.run_positives_below
    chosen = hits + runs.spread(runs.negatives) - runs.run_negatives_below
    precision = hits / chosen
    value = divide(runs.add_up(runs.run_positives * precision), positives)
    of_group = runs.spread(positives)
    share = divide(runs.run_positives, of_group)
    of_positive = runs.add_up_to(share * (1 - precision) / chosen)
    of_positive += divide(precision - runs.spread(value), of_group)
    of_negative = runs.add_up_to(share * precision / chosen)
    squares = runs.run_positives * of_positive**2 + runs.run_negatives * of_negative**2
    variance = np.where(positives > 0, runs.add_up(np.nan_to_num(squares)), np.nan)
    return value, variance
