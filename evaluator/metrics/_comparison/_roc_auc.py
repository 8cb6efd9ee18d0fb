"""The difference of two areas under the ROC curve over the same cases."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evaluator.metrics._catalogue import NEGATIVES, POSITIVES, none_of
from evaluator.metrics._comparison._differences import (
    Difference,
    DiscordantCounts,
    StudentisedDifference,
)
from evaluator.metrics._comparison._pairing import CellLayout
from evaluator.metrics._estimates import MIN_OF_EACH_CLASS, NO_SPREAD, Estimate, FloatArray, divide
from evaluator.metrics._levels import IntArray, Level
from evaluator.metrics._ranking import (
    KeyArray,
    cut_parts,
    dense_ranks,
    is_one_block,
    sorted_blocks,
    variance_of_area,
)

# A key's 64 bits: 32 of the score's rank, one for a positive label, 31 of the row's place.
_RANK = np.uint64(32)
_POSITIVE = np.uint64(1 << 31)
_PLACEMENT = np.uint64((1 << 32) - 1)

_NOT_RANKED_DIFFERENTLY = "no case is ranked differently"


class Placements:
    """Where every case of a level stands among the cases of the other class.

    A positive's placement is twice the number of the group's negatives that it outranks, and a
    negative's twice the number of positives that outrank it; a tie counts one. All of it is whole
    numbers, so that candidates that rank alike differ by exactly nothing.

    A row's key holds its score's rank, its label and its place; sorting the keys of a group is
    then all that is needed.
    """

    def __init__(self, layout: CellLayout, scores: Mapping[str, FloatArray]) -> None:
        self._sizes = layout.sizes.sum(axis=1)
        place = np.arange(len(layout.order), dtype=np.uint64)
        alternating = np.tile([False, True], len(layout.sizes))
        place[np.repeat(alternating, layout.sizes.ravel())] += _POSITIVE
        self._keys, self._tied = {}, {}
        for name, score in scores.items():
            keys = dense_ranks(score)
            self._tied[name] = len(keys) > 0 and int(keys.max()) < len(keys) - 1
            keys <<= _RANK
            keys |= place
            self._keys[name] = keys

    def of_level(self, level: Level, name: str) -> NDArray[np.int32]:
        """Give the placements of a candidate's cases, in the layout's order."""
        keys, tied = self._keys[name], self._tied[name]
        placed = np.empty(len(keys), dtype=np.int32)
        for _, own, bounds in sorted_blocks(keys, self._sizes, level):
            _place(own, bounds, placed, tied=tied)
        return placed


def _place(keys: KeyArray, bounds: IntArray, placed: NDArray[np.int32], *, tied: bool) -> None:
    """Place the sorted rows of some groups; a single large group's part by part."""
    if is_one_block(keys, bounds):
        _place_part(keys, bounds, placed, (0, 0, None), tied=tied)
        return
    positives = int(np.count_nonzero((keys & _PLACEMENT) >= _POSITIVE))
    below = 0
    for start, stop in cut_parts(keys, _PLACEMENT):
        part = np.array([0, stop - start])
        offset = below, start - below, positives
        below += _place_part(keys[start:stop], part, placed, offset, tied=tied)


def _place_part(
    keys: KeyArray,
    bounds: IntArray,
    placed: NDArray[np.int32],
    offset: tuple[int, int, int | None],
    *,
    tied: bool,
) -> int:
    """Place sorted rows; with an offset they are part of one group."""
    rows = (keys & _PLACEMENT).view(np.int64)
    is_positive = rows >= int(_POSITIVE)
    positive, negative = np.flatnonzero(is_positive), np.flatnonzero(~is_positive)
    first_positive = np.searchsorted(positive, bounds)
    first_negative = bounds - first_positive
    # Twice the other class below each row, in this block.
    negatives_below = 2 * (positive - np.arange(len(positive)))
    positives_below = 2 * (negative - np.arange(len(negative)))
    if tied:
        starts = np.ones(len(keys) + 1, dtype=bool)
        np.not_equal(keys[1:] >> _RANK, keys[:-1] >> _RANK, out=starts[1:-1])
        starts[bounds] = True
        edges = np.flatnonzero(starts)
        run = np.cumsum(starts[:-1]) - 1
        seen = np.searchsorted(positive, edges)
        twice_positives = (seen[:-1] + seen[1:])[run]
        negatives_below = (edges[:-1] + edges[1:])[run][positive] - twice_positives[positive]
        positives_below = twice_positives[negative]
    begin, end = 2 * first_negative[:-1], 2 * first_positive[1:]
    if offset[2] is not None:
        begin, end = np.array([-2 * offset[1]]), np.array([2 * (offset[2] - offset[0])])
    negatives_below -= np.repeat(begin, np.diff(first_positive))
    placed[rows[positive] - int(_POSITIVE)] = negatives_below
    placed[rows[negative]] = np.repeat(end, np.diff(first_negative)) - positives_below
    return len(positive)


def roc_auc_difference(
    layout: CellLayout, level: Level, placed: tuple[NDArray[np.int32], NDArray[np.int32]]
) -> Difference:
    """Compare two areas under the ROC curve by DeLong's paired method.

    The difference of the areas is the mean, over either class, of the difference of the
    placements as shares of the other class; its variance is the sum over both classes of the
    variance of these differences over their number. Student's distribution with Satterthwaite's
    degrees of freedom takes the place of the normal one.

    Sources: E. DeLong, D. DeLong, D. Clarke-Pearson, Biometrics 44 (1988) 837; X. Sun, W. Xu,
    IEEE Signal Processing Letters 21 (2014) 1389, for placements by sorting.
    """
    cases = level.add_up(layout.sizes).astype(float)
    negatives, positives = cases[:, 0], cases[:, 1]

    def measured(rows: slice) -> list[NDArray[Any]]:
        gained = placed[0][rows] - placed[1][rows]
        square = np.multiply(gained, gained, dtype=np.float64)
        return [gained, square, gained > 0, gained < 0]

    found = level.add_up(layout.of_cells(measured))
    sums, squares = found[:, :, 0], found[:, :, 1]
    better, worse = found[:, :, 2].sum(axis=1), found[:, :, 3].sum(axis=1)
    value = divide(sums[:, 1], 2 * positives * negatives)
    of_classes = []
    for column, own, others in ((1, positives, negatives), (0, negatives, positives)):
        second = divide(squares[:, column], 4 * others**2)
        centred = second - own * value**2
        # What is left by cancellation is no spread.
        of_classes.append(np.where(centred <= NO_SPREAD * second, 0, centred))
    variance, freedom = variance_of_area(of_classes, (positives, negatives))
    estimate = Estimate(value.copy(), np.minimum(positives, negatives))
    flips = DiscordantCounts(better, worse)
    estimate.mark_undefined(positives == 0, none_of(POSITIVES))
    estimate.mark_undefined(negatives == 0, none_of(NEGATIVES))
    mark_few_of_a_class(estimate, positives, negatives, MIN_OF_EACH_CLASS)
    estimate.mark_too_few(flips.discordant == 0, _NOT_RANKED_DIFFERENTLY)
    estimate.mark_too_few(
        variance == 0, "all cases are ranked differently alike, so that the spread is unknown"
    )
    freedom = np.maximum(np.nan_to_num(freedom, nan=1.0), 1)
    no_skewness = np.zeros(len(value))
    distribution = StudentisedDifference(value, np.sqrt(variance), freedom, no_skewness, 1.0)
    return Difference(estimate, flips, distribution)


def mark_few_of_a_class(
    estimate: Estimate, positives: FloatArray, negatives: FloatArray, least: int
) -> None:
    """Mark groups with fewer than `least` cases of either class."""
    for what, cases in (("positive", positives), ("negative", negatives)):
        estimate.mark_shortfall(least, f"{what} labels", cases)
