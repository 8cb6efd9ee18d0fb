"""Weighted metrics of the order of scores, with the influence of each row."""

import numpy as np
from numpy.typing import NDArray

from evaluator.metrics.estimates import BoolArray, FloatArray, divide
from evaluator.metrics.linear import Linear, Sample


class _Ordered:
    """Rows sorted by group and score, with sums over all rows of lower and equal score."""

    def __init__(self, sample: Sample, score: FloatArray) -> None:
        self.order = np.lexsort((score, sample.group))
        self.group = sample.group[self.order]
        ordered = score[self.order]
        starts = np.ones(len(score), dtype=bool)
        starts[1:] = (ordered[1:] != ordered[:-1]) | (self.group[1:] != self.group[:-1])
        self._first = np.flatnonzero(starts)
        self._run = np.cumsum(starts) - 1
        self._group_first = np.searchsorted(self.group, np.arange(sample.groups))

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


def weighted_area(
    sample: Sample, score: FloatArray, label: BoolArray, among: BoolArray | None = None
) -> Linear:
    """Give the weighted area under the ROC curve and each row's influence on it.

    Parameters
    ----------
    sample
        Groups, weights and clusters.
    score, label
        Score and truth, shape (rows,).
    among
        Which rows count, or None for all.

    Source: as `ranking.area`; the influence of a row is its placement value less the area, times
    its share of its class's weight.
    """
    weight = sample.weight if among is None else sample.weight * among
    ordered = _Ordered(sample, score)
    truth = label[ordered.order]
    positive = weight[ordered.order] * truth
    negative = weight[ordered.order] * ~truth
    all_positive = sample.total(weight * label)
    all_negative = sample.total(weight * ~label)
    below, equal = ordered.below_and_equal(negative)
    outranked = below + equal / 2
    pairs = all_positive * all_negative
    value = divide(np.bincount(ordered.group, positive * outranked, sample.groups), pairs)
    below, equal = ordered.below_and_equal(positive)
    above = all_positive[ordered.group] - below - equal / 2
    missing = np.nan_to_num(value)[ordered.group]
    of_positive = positive * (divide(outranked, all_negative[ordered.group]) - missing)
    of_negative = negative * (divide(above, all_positive[ordered.group]) - missing)
    influence = divide(of_positive, all_positive[ordered.group])
    influence += divide(of_negative, all_negative[ordered.group])
    # Without both classes the area is undefined, whatever the influence.
    return Linear(value, np.nan_to_num(ordered.back(influence)))


def weighted_average_precision(sample: Sample, score: FloatArray, label: BoolArray) -> Linear:
    """Give weighted average precision and each row's influence on it.

    Source: as `ranking.average_precision`.
    """
    ordered = _Ordered(sample, score)
    truth = label[ordered.order]
    weight = sample.weight[ordered.order]
    positive = weight * truth
    all_weight, all_positive = sample.total(sample.weight), sample.total(sample.weight * label)
    below, _ = ordered.below_and_equal(weight)
    positives_below, _ = ordered.below_and_equal(positive)
    # Rows of no weight at the top have nothing at or above them.
    chosen = np.maximum(all_weight[ordered.group] - below, 0)
    precision = np.nan_to_num(divide(all_positive[ordered.group] - positives_below, chosen))
    sums = np.bincount(ordered.group, positive * precision, sample.groups)
    value = divide(sums, all_positive)
    of_group = all_positive[ordered.group]

    def up_to(values: NDArray[np.float64]) -> FloatArray:
        under, tied = ordered.below_and_equal(np.nan_to_num(divide(values, of_group * chosen)))
        return under + tied

    of_positive = up_to(positive * (1 - precision))
    of_positive += divide(precision - np.nan_to_num(value)[ordered.group], of_group)
    of_negative = -up_to(positive * precision)
    influence = weight * np.where(truth, of_positive, of_negative)
    return Linear(value, np.nan_to_num(ordered.back(influence)))
