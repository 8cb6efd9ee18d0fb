"""Metrics of the order of scores: area under the ROC curve and average precision.

Each row becomes one unsigned integer that sorts as its score does and carries its label in the
lowest bit. Sorting these keys is then all that is needed: no index, no gathering. Rows that have
weights are sorted by an index instead.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from evaluator.metrics._estimates import (
    NO_SPREAD,
    BoolArray,
    FloatArray,
    LinearisedEstimate,
    divide,
)
from evaluator.metrics._levels import IntArray, Level, Slicing
from evaluator.metrics._linear import SurveyDesign

KeyArray = NDArray[np.uint64]
_ONE = np.uint64(1)
_BLOCK = 1 << 16
# A key's 64 bits: 32 of the score's rank, one for a positive label, 31 of the row's place.
_RANK = np.uint64(32)
_POSITIVE = np.uint64(1 << 31)
_PLACEMENT = np.uint64((1 << 32) - 1)
# What sums of shares are known to.
_ROUNDING = 1e-10


def stable_order(codes: IntArray, different: int) -> IntArray:
    """Give the rows in the order of their codes, of which there are so many different ones."""
    # Numpy sorts integers of 16 bits or fewer by radix, in one pass.
    small = codes.astype(np.uint16) if different <= 1 << 16 else codes
    return np.argsort(small, kind="stable")


def cut_blocks(sizes: IntArray) -> Iterator[tuple[int, int]]:
    """Cut groups of these numbers of rows into blocks, each from a group to before another.

    A block holds as many groups as have some ten thousand rows together (or one group that has
    more), so that what is computed from it stays in the processor's cache.
    """
    block = np.cumsum(sizes) // _BLOCK
    return pairwise([0, *(np.flatnonzero(np.diff(block)) + 1), len(sizes)])


def sorted_blocks(
    keys: KeyArray, cell_sizes: IntArray, level: Level
) -> Iterator[tuple[slice, KeyArray, IntArray]]:
    """Sort keys that are laid out cell by cell within the groups of a level, block by block."""
    sizes = level.add_up(cell_sizes)
    cell_starts = np.concatenate([[0], np.cumsum(cell_sizes)])
    order = np.argsort(level.group_of_cell, kind="stable")
    first_cell = np.searchsorted(level.group_of_cell[order], np.arange(level.groups + 1))
    for start, stop in cut_blocks(sizes):
        cells = order[first_cell[start] : first_cell[stop]]
        bounds = np.concatenate([[0], np.cumsum(sizes[start:stop])])
        pieces = [keys[cell_starts[c] : cell_starts[c + 1]] for c in cells]
        own = np.concatenate(pieces) if pieces else keys[:0]
        for group in np.flatnonzero(np.diff(bounds) > 1):
            own[bounds[group] : bounds[group + 1]].sort()
        yield slice(start, stop), own, bounds


def is_one_block(keys: KeyArray, bounds: IntArray) -> bool:
    """Say whether a block need not be cut into parts: it has several groups, or few rows."""
    return len(bounds) > 2 or len(keys) <= _BLOCK  # noqa: PLR2004 - the bounds of one group


def cut_parts(keys: KeyArray, tied: np.uint64) -> Iterator[tuple[int, int]]:
    """Cut a single large group's sorted keys into parts, never parting a tie.

    Keys of one score differ in the bits of `tied` at most.
    """
    start = 0
    while start < len(keys):
        stop = min(start + _BLOCK, len(keys))
        stop += int(np.searchsorted(keys[stop:], keys[stop - 1] | tied, side="right"))
        yield start, stop
        start = stop


def dense_ranks(score: FloatArray) -> KeyArray:
    """Give equal scores equal ranks, from 0 on; numpy's `unique` takes half as long again."""
    order = np.argsort(score)
    ordered = score[order]
    risen = np.zeros(len(score), dtype=np.uint64)
    np.cumsum(ordered[1:] != ordered[:-1], out=risen[1:])
    ranks = np.empty_like(risen)
    ranks[order] = risen
    return ranks


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
        keys = dense_ranks(score)
    keys = keys << _ONE
    keys |= label.astype(np.uint64)
    return keys


class RankedRows:
    """The keys of all rows, laid out cell by cell, ready to be sorted for any level."""

    def __init__(self, score: FloatArray, label: BoolArray, slicing: Slicing) -> None:
        order = stable_order(slicing.cell, slicing.cells)
        self._keys = sortable_keys(score, label)[order]
        self._sizes = np.bincount(slicing.cell, minlength=slicing.cells)

    def blocks(self, level: Level) -> Iterator[tuple[slice, KeyArray, IntArray]]:
        """Give the sorted keys of a level, some groups at a time."""
        return sorted_blocks(self._keys, self._sizes, level)


class Runs:
    """The sorted rows of some groups of a level, tied scores drawn together into runs.

    Arrays named `run_...` have one element a run, the others one a group.
    """

    def __init__(self, keys: KeyArray, bounds: IntArray) -> None:
        # Half the width is half the time, and enough for two thousand million rows.
        whole = np.int32 if len(keys) <= np.iinfo(np.int32).max // 2 else np.int64
        bounds = bounds.astype(whole, copy=False)
        starts = np.ones(len(keys) + 1, dtype=bool)
        if len(keys):
            # Keys of one score differ in the lowest bit at most.
            np.greater(keys[1:] ^ keys[:-1], _ONE, out=starts[1:-1])
        occupied = np.flatnonzero(np.diff(bounds))
        starts[bounds[occupied]] = True
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
        """Repeat a group's number for each of its runs."""
        return _spread(of_groups, self._sizes)

    def add_up(self, of_runs: NDArray[Any]) -> NDArray[Any]:
        """Add the runs of each group."""
        return _add_up(of_runs, self._bounds)

    def add_up_to(self, of_runs: FloatArray) -> FloatArray:
        """Add, for each run, the runs of its group from the lowest score up to itself."""
        cumulative = np.empty(len(of_runs))
        # Each group by itself: one sum over all of them would round by what stands before.
        for start, stop in pairwise(self._bounds):
            np.cumsum(of_runs[start:stop], out=cumulative[start:stop])
        return cumulative


def roc_auc(rows: RankedRows, level: Level) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Measure the area under the ROC curve, its variance and its degrees of freedom by group.

    The placement value of a positive is the share of negatives that it outranks, that of a
    negative the share of positives that outrank it; the area is the mean of either, and its
    variance is the sum, over both classes, of the variance of the placement values over their
    number; NaN where a class has fewer than two cases. The degrees of freedom are Satterthwaite's.

    Sources: E. DeLong, D. DeLong, D. Clarke-Pearson, Biometrics 44 (1988) 837; X. Sun, W. Xu,
    IEEE Signal Processing Letters 21 (2014) 1389, for doing it by one sort.
    """
    positives, negatives = np.zeros(level.groups), np.zeros(level.groups)
    lost = np.zeros(level.groups, dtype=np.int64)
    short_of_positives, short_of_negatives = np.zeros(level.groups), np.zeros(level.groups)
    for groups, keys, bounds in rows.blocks(level):
        for short in _parts(keys, bounds):
            positives[groups] += short.positives
            negatives[groups] += short.negatives
            lost[groups] += short.twice
            short_of_positives[groups] += short.positive_squares
            short_of_negatives[groups] += short.negative_squares
    pairs = positives * negatives
    value, missing = divide(2 * pairs - lost, 2 * pairs), divide(lost, 2 * pairs)
    squares = []
    for shortfalls, cases, others in (
        (short_of_positives, positives, negatives),
        (short_of_negatives, negatives, positives),
    ):
        centred = divide(shortfalls, others**2) - cases * missing**2
        # What is left by cancellation is no spread.
        squares.append(np.where(centred < NO_SPREAD * cases, 0, centred))
    return value, *variance_of_area(squares, (positives, negatives))


def variance_of_area(
    squares: Sequence[FloatArray], cases: Sequence[FloatArray]
) -> tuple[FloatArray, FloatArray]:
    """Give DeLong's variance and Satterthwaite's degrees of freedom, from what either class gives.

    That is the sum of squares of its placement values around their mean, and its cases.
    """
    one, other = (divide(s, n * np.maximum(n - 1, 0)) for s, n in zip(squares, cases, strict=True))
    spare, other_spare = (np.maximum(n - 1, 0) for n in cases)
    variance = one + other
    return variance, divide(variance**2, divide(one**2, spare) + divide(other**2, other_spare))


class _Shortfalls(NamedTuple):
    """How far the placements of the cases of some groups fall short; arrays of shape (groups,).

    A positive falls short by the negatives that it does not outrank, a negative by the positives
    that do not outrank it; a tie counts half.
    """

    positives: IntArray
    negatives: IntArray
    twice: IntArray
    """Twice the sum over the positives, so that half a pair stays a whole number: exact."""
    positive_squares: FloatArray
    """Sum of the squares over the positives."""
    negative_squares: FloatArray
    """Sum of the squares over the negatives."""


def _shortfalls(
    keys: KeyArray, bounds: IntArray, offset: tuple[int, int] | None = None
) -> _Shortfalls:
    """Add up shortfalls: as if no score were tied, and then what the ties change."""
    is_positive = (keys & _ONE).astype(bool)
    positive, negative = np.flatnonzero(is_positive), np.flatnonzero(~is_positive)
    first_positive = np.searchsorted(positive, bounds)
    first_negative = bounds - first_positive
    positives, negatives = np.diff(first_positive), np.diff(first_negative)
    # Among the block's positives where each group begins, among its negatives where it ends.
    begin, end = first_positive[:-1], first_negative[1:]
    if offset is not None:
        begin, end = np.array([-offset[0]]), np.array([offset[1]])
    # A key has as many negatives below it as its rank in the block exceeds that among positives.
    above = _spread(end, positives) - (positive - np.arange(len(positive)))
    below = (negative - np.arange(len(negative))) - _spread(begin, negatives)
    twice = 2 * _add_up(above, first_positive)
    positive_squares = _add_up(np.multiply(above, above, dtype=float), first_positive)
    negative_squares = _add_up(np.multiply(below, below, dtype=float), first_negative)

    # A positive right behind a negative of the same score: both classes tie here.
    last = np.flatnonzero((keys[1:] ^ keys[:-1]) == _ONE)
    group = np.searchsorted(bounds, last, side="right") - 1
    inside = last + 1 < bounds[group + 1]
    last, group = last[inside], group[inside]
    if len(last):
        begins = np.ones(len(keys) + 1, dtype=bool)
        np.not_equal(keys[1:], keys[:-1], out=begins[1:-1])
        begins[bounds] = True
        starts = np.flatnonzero(begins)
        run = np.searchsorted(starts, last, side="right") - 1
        tied_negatives = last + 1 - starts[run]
        tied_positives = starts[run + 2] - starts[run + 1]
        among = np.searchsorted(positive, last + 1)
        beyond = end[group] - (last + 1 - among)
        beneath = among - begin[group]
        pairs = tied_negatives * tied_positives
        size = len(positives)
        twice += np.bincount(group, pairs, size).astype(np.int64)
        positive_squares += np.bincount(group, pairs * (beyond + tied_negatives / 4), size)
        negative_squares += np.bincount(group, pairs * (beneath + tied_positives / 4), size)
    return _Shortfalls(positives, negatives, twice, positive_squares, negative_squares)


def _spread(of_groups: NDArray[Any], sizes: IntArray) -> NDArray[Any]:
    """Repeat a group's number for each of its parts; a single group's fits all as it is."""
    return of_groups if len(of_groups) == 1 else np.repeat(of_groups, sizes)


def _add_up(of_parts: NDArray[Any], bounds: IntArray) -> NDArray[Any]:
    """Add the parts of each group."""
    total = np.zeros(len(bounds) - 1, dtype=of_parts.dtype)
    occupied = np.flatnonzero(np.diff(bounds))
    if len(occupied):
        total[occupied] = np.add.reduceat(of_parts, bounds[occupied])
    return total


def _parts(keys: KeyArray, bounds: IntArray) -> Iterator[_Shortfalls]:
    """Give the shortfalls of a block; a single large group's part by part."""
    if is_one_block(keys, bounds):
        yield _shortfalls(keys, bounds)
        return
    negatives = len(keys) - int(np.count_nonzero(keys & _ONE))
    below = 0
    for start, stop in cut_parts(keys, _ONE):
        offset = below, negatives - (start - below)
        part = _shortfalls(keys[start:stop], np.array([0, stop - start]), offset)
        yield part
        below += int(part.positives[0])


def average_precision(rows: RankedRows, level: Level) -> tuple[FloatArray, FloatArray]:
    """Measure average precision and its variance, for all groups of a level.

    AP is the mean over positives of the precision at their score as the threshold. The variance
    is the infinitesimal jackknife's: the sum of squares of AP's derivatives by each case's
    weight.
    Source: L. Jaeckel, Bell Laboratories Memorandum MM72-1215-11 (1972).
    """
    parts = [_average_precision(Runs(keys, bounds)) for _, keys, bounds in rows.blocks(level)]
    values, variances = zip(*parts, strict=True)
    return np.concatenate(values), np.concatenate(variances)


def _average_precision(runs: Runs) -> tuple[FloatArray, FloatArray]:
    """Measure average precision and its variance for the groups of a block."""
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


class CellLayout:
    """An order of the rows in which those of a cell and class stand side by side."""

    def __init__(self, label: BoolArray, slicing: Slicing) -> None:
        code = slicing.cell * 2 + label
        self.order = stable_order(code, 2 * slicing.cells)
        self.slicing = slicing
        self.sizes = np.bincount(code, minlength=2 * slicing.cells).reshape(-1, 2)
        self._there = np.flatnonzero(self.sizes)
        self._starts = np.concatenate([[0], np.cumsum(self.sizes.ravel()[self._there])])

    def of_cells(self, measured: Callable[[slice], Sequence[NDArray[Any]]]) -> FloatArray:
        """Add up by cell and class what is measured of the rows.

        Some ten thousand rows are measured at a time, so that they stay in the processor's cache.
        """
        parts = []
        for first, last in cut_blocks(np.diff(self._starts)):
            start, stop = self._starts[first], self._starts[last]
            own = self._starts[first:last] - start
            parts.append([_add_runs(values, own) for values in measured(slice(start, stop))])
        numbers = len(parts[0])
        total = np.zeros((self.sizes.size, numbers))
        for number in range(numbers):
            total[self._there, number] = np.concatenate([part[number] for part in parts])
        return total.reshape(-1, 2, numbers)

    def cases(self, chosen: BoolArray) -> FloatArray:
        """Count the chosen rows in the groups of all levels, by class, shape (groups, 2)."""
        counted: FloatArray = self.slicing.add_up(self.of_cells(lambda rows: [chosen[rows]]))
        return counted[:, :, 0]


def _add_runs(values: NDArray[Any], starts: IntArray) -> FloatArray:
    """Add up runs of values; whole numbers exactly."""
    if not len(starts):
        return np.zeros(0)
    dtype = np.float64 if values.dtype.kind == "f" else np.int64
    return np.add.reduceat(values, starts, dtype=dtype).astype(float)


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


def _order(score: FloatArray) -> IntArray:
    """Give the rows in the order of their scores, tied ones as they come.

    Numpy's stable sort takes five times as long.
    """
    order = np.argsort(score)
    ordered = score[order]
    risen = ordered[1:] != ordered[:-1]
    if not risen.all():
        keys = np.zeros(len(score), dtype=np.uint64)
        np.cumsum(risen, out=keys[1:])
        keys <<= _RANK
        keys |= order.astype(np.uint64)
        keys.sort()
        order = (keys & _PLACEMENT).astype(np.intp)
    return order


class _Ordered:
    """Rows sorted by group and score, with sums over all rows of lower and equal score."""

    def __init__(self, group: IntArray, groups: int, score: FloatArray) -> None:
        self.order = _order(score)
        self._sizes = np.bincount(group, minlength=groups)
        if groups > 1:
            self.order = self.order[stable_order(group[self.order], groups)]
        ordered = score[self.order]
        starts = np.ones(len(score), dtype=bool)
        np.not_equal(ordered[1:], ordered[:-1], out=starts[1:])
        self._group_first = np.cumsum(self._sizes) - self._sizes
        starts[self._group_first[self._sizes > 0]] = True
        self._first = np.flatnonzero(starts)
        # None where no score is tied.
        self._run = None if starts.all() else np.cumsum(starts) - 1

    @cached_property
    def group(self) -> IntArray:
        """Each row's group."""
        return np.repeat(np.arange(len(self._sizes)), self._sizes)

    def spread(self, of_groups: NDArray[Any], code: IntArray | None = None) -> NDArray[Any]:
        """Repeat a group's number for each of its rows, or that of the code that a row has."""
        return _spread(of_groups, self._sizes) if code is None else of_groups.ravel()[code]

    def below_and_equal(self, values: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Add the values of the rows below each row, and of those that tie with it."""
        if not len(values):
            return values, values
        cumulative = np.zeros(len(values) + 1)
        np.cumsum(values, out=cumulative[1:])
        # A last group without rows begins where the rows end.
        of_group = self.spread(cumulative[self._group_first])
        if self._run is None:
            return cumulative[:-1] - of_group, values
        equal = np.add.reduceat(values, self._first)[self._run]
        return cumulative[self._first][self._run] - of_group, equal

    def back(self, values: FloatArray) -> FloatArray:
        """Put sorted values back in the rows' order."""
        result = np.empty_like(values)
        result[self.order] = values
        return result


def outranked_weight(design: SurveyDesign, score: FloatArray, label: BoolArray) -> FloatArray:
    """Give the weight that each row ranks rightly against: of negatives below, or positives above.

    A tie counts half.
    """
    ordered = _Ordered(design.group, design.groups, score)
    truth, weight = label[ordered.order], design.weight[ordered.order]
    below, equal = ordered.below_and_equal(weight * ~truth)
    outranked = below + equal / 2
    below, equal = ordered.below_and_equal(weight * truth)
    above = design.total(design.weight * label)[ordered.group] - below - equal / 2
    return ordered.back(np.where(truth, outranked, above))


def weighted_roc_auc(
    design: SurveyDesign, score: FloatArray, label: BoolArray
) -> LinearisedEstimate:
    """Give the weighted area under the ROC curve and each row's influence on it."""
    weight = design.weight
    outranked = outranked_weight(design, score, label)
    positives, negatives = design.total(weight * label), design.total(weight * ~label)
    value = divide(design.total(weight * label * outranked), positives * negatives)
    own = np.where(label, positives[design.group], negatives[design.group])
    others = np.where(label, negatives[design.group], positives[design.group])
    apart = divide(outranked, others) - np.nan_to_num(value)[design.group]
    # Without both classes the area is undefined, whatever the influence.
    return LinearisedEstimate(value, np.nan_to_num(weight * divide(apart, own)))


def areas_of_classes(
    design: SurveyDesign, scores: FloatArray, label: IntArray, *, pairs: bool
) -> LinearisedEstimate:
    """Give the mean weighted area of each class against the rest, or of all pairs of classes.

    Scores have a column a class, shape (rows, classes). One sort a class does for all of its pairs:
    a case of the class outranks the same cases, whatever classes they are counted by.
    """
    group = design.group
    weight = None if design.unweighted else design.weight
    # Half the digits are gathered in half the time.
    label = label.astype(np.int32)
    value, influence = np.empty(design.groups), np.empty(len(label))
    rows = stable_order(group, design.groups)
    starts = np.concatenate([[0], np.cumsum(np.bincount(group, minlength=design.groups))])
    for first, last in cut_blocks(np.diff(starts)):
        block = rows[starts[first] : starts[last]]
        value[first:last], influence[block] = _areas_of_block(
            group[block] - first,
            last - first,
            None if weight is None else weight[block],
            [score[block] for score in scores.T],
            label[block],
            pairs=pairs,
        )
    return LinearisedEstimate(value, influence)


def _areas_of_block(
    group: IntArray,
    groups: int,
    weight: FloatArray | None,
    scores: Sequence[FloatArray],
    label: IntArray,
    *,
    pairs: bool,
) -> tuple[FloatArray, FloatArray]:
    """Give the areas of some groups and their rows' influences on them."""
    many = len(scores)

    def of_kinds(code: IntArray, values: FloatArray | None) -> FloatArray:
        sums = np.bincount(code, values, groups * many)
        return sums.reshape(-1, many).astype(float)

    of_classes = of_kinds(group * many + label, weight)
    value, influence = np.zeros(groups), np.zeros(len(label))
    for number, score in enumerate(scores):
        ordered = _Ordered(group, groups, score)
        kind, own = label[ordered.order], of_classes[:, number]
        of_row = 1.0 if weight is None else weight[ordered.order]
        # What a case of the other classes counts, each by itself or all alike, and all of them do.
        counts, others = np.ones(groups), np.delete(of_classes, number, axis=1).sum(axis=1)
        code = None
        if pairs:
            code = kind + ordered.spread(np.arange(groups) * many)
            counts = np.nan_to_num(divide(1, of_classes))
            counts[:, number] = 0
            others = (counts * of_classes).sum(axis=1)
        is_own = kind == number
        rows = np.flatnonzero(is_own)
        its_group = ordered.group[rows]
        its_weight = 1.0 if weight is None else weight[ordered.order[rows]]
        counted = ~is_own * of_row * ordered.spread(counts, code)
        below, equal = ordered.below_and_equal(counted)
        outranked = (below[rows] + equal[rows] / 2) / np.where(others > 0, others, 1)[its_group]
        below, equal = ordered.below_and_equal(is_own * of_row)
        moves = 1 - (below + equal / 2) / ordered.spread(np.where(own > 0, own, 1))
        if code is None:
            area = divide(np.bincount(its_group, its_weight * outranked, groups), own)
            centre = area
        else:
            centre = divide(of_kinds(code, moves * of_row * ~is_own), of_classes)
            area = divide((counts * of_classes * np.nan_to_num(centre)).sum(axis=1), others)
        moves -= ordered.spread(centre, code)
        outranked -= area[its_group]
        if pairs:
            # Shares of classes add up to what they would be but for rounding.
            outranked[np.abs(outranked) < _ROUNDING] = 0
        moves *= ordered.spread(divide(counts.T, others).T, code)
        moves *= of_row
        moves[rows] = its_weight * outranked / own[its_group]
        influence[ordered.order] += moves
        value += np.where((own > 0) & (others > 0), area, np.nan) / many
    # Without a class the mean is undefined, whatever the influence.
    return value, np.nan_to_num(influence) / many


def weighted_average_precision(
    design: SurveyDesign, score: FloatArray, label: BoolArray
) -> LinearisedEstimate:
    """Give weighted average precision and each row's influence on it.

    Source: as of `average_precision`.
    """
    ordered = _Ordered(design.group, design.groups, score)
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
