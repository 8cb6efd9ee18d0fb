"""Binary classifiers compared on the same independent cases, all levels at once."""

from collections.abc import Callable, Mapping, Sequence
from functools import cache, cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evaluator.metrics import binary
from evaluator.metrics.area import FEWEST_OF_EACH_CLASS
from evaluator.metrics.estimates import BoolArray, Estimate, FloatArray, needs
from evaluator.metrics.influence import weighted_average_precision
from evaluator.metrics.levels import Slicing
from evaluator.metrics.linear import Sample
from evaluator.metrics.losses import log_losses
from evaluator.metrics.paired import Difference, Flips, joined
from evaluator.metrics.paired_areas import Placements, area_difference
from evaluator.metrics.paired_counts import COUNTED, counted_difference
from evaluator.metrics.paired_layout import Layout
from evaluator.metrics.paired_means import linear_difference, mean_difference

Pair = tuple[str, str]
LOSSES: Mapping[str, Callable[[FloatArray, BoolArray], FloatArray]] = {
    "log_loss": log_losses,
    "brier": lambda score, label: (score - label) ** 2,
}


class BinaryCases:
    """The same cases, as several candidates treat them; all arrays are in the layout's order.

    Parameters
    ----------
    label
        Truth, shape (rows,).
    predictions
        By candidate, the decisions, shape (rows,).
    scores
        By candidate, the scores of the positive class; of some, of all or of none.
    slicing
        The cells and levels of the rows.
    error
        Error probability that decides how many discordant cases are too few.
    """

    def __init__(
        self,
        label: BoolArray,
        predictions: Mapping[str, BoolArray],
        scores: Mapping[str, FloatArray],
        slicing: Slicing,
        error: float,
    ) -> None:
        self.layout = Layout(label, slicing)
        order = self.layout.order
        self.label = label[order]
        self.predictions = {name: decided[order] for name, decided in predictions.items()}
        self.scores = {name: score[order] for name, score in scores.items()}
        self.slicing = slicing
        self.error = error
        self._positive = cache(self._count_positive)

    @cached_property
    def placements(self) -> Placements:
        """Every case's rank among the other class."""
        return Placements(self.layout, self.scores)

    def _count_positive(self, name: str) -> FloatArray:
        return self.layout.cases(self.predictions[name])

    def counts(self, pair: Pair) -> FloatArray:
        """Count the cases of all groups by label and both decisions, shape (groups, 8)."""
        n = self.slicing.add_up(self.layout.sizes)
        one, other = (self._positive(name) for name in pair)
        both = self.layout.cases(self.predictions[pair[0]] & self.predictions[pair[1]])
        counts = np.stack([n - one - other + both, other - both, one - both, both], axis=-1)
        return counts.reshape(-1, 8)

    def compare(
        self, pairs: Sequence[Pair], metrics: Sequence[str]
    ) -> dict[Pair, dict[str, Difference]]:
        """Compare pairs of candidates by all metrics, in all groups of all levels."""
        found: dict[Pair, dict[str, Difference]] = {pair: {} for pair in pairs}
        ranked = self._ranked(pairs, [name for name in metrics if name in RANKED])
        means = {name: self._means(name, pairs) for name in metrics if name in LOSSES}
        for pair in pairs:
            counts = self.counts(pair)
            for name in metrics:
                if name in COUNTED:
                    found[pair][name] = counted_difference(name, counts, pair, self.error)
                elif name in LOSSES:
                    found[pair][name] = means[name][pair]
                else:
                    found[pair][name] = ranked[pair, name]
        return found

    def _means(self, metric: str, pairs: Sequence[Pair]) -> dict[Pair, Difference]:
        """Compare mean losses, the losses of each candidate computed once."""
        loss = LOSSES[metric]
        names = sorted({name for pair in pairs for name in pair})

        def measured(rows: slice) -> list[NDArray[Any]]:
            losses = {name: loss(self.scores[name][rows], self.label[rows]) for name in names}
            numbers: list[NDArray[Any]] = []
            for one, other in pairs:
                gap = losses[one] - losses[other]
                square = gap * gap
                numbers += [gap, square, square * gap, gap < 0, gap > 0]
            return numbers

        sums = self.slicing.add_up(self.layout.of_cells(measured)).sum(axis=1)
        least = binary.FEWEST_FOR_A_LOSS
        negatives, positives = self.slicing.add_up(self.layout.sizes).astype(float).T
        classes = {"positive labels": (least, positives), "negative labels": (least, negatives)}
        found = {}
        for place, pair in enumerate(pairs):
            own = sums[:, 5 * place : 5 * place + 5]
            flips = Flips.of(own[:, 3], own[:, 4])
            found[pair] = mean_difference(positives + negatives, own[:, :3], flips, classes)
        return found

    def _ranked(
        self, pairs: Sequence[Pair], metrics: Sequence[str]
    ) -> dict[tuple[Pair, str], Difference]:
        """Compare what depends on the scores' order, level by level."""
        parts: dict[tuple[Pair, str], list[Difference]] = {
            (pair, name): [] for pair in pairs for name in metrics
        }
        names = sorted({name for pair in pairs for name in pair})
        for level in self.slicing.levels if metrics else ():
            placed = {name: self.placements.of_level(level, name) for name in names}
            for pair in pairs:
                area = area_difference(self.layout, level, (placed[pair[0]], placed[pair[1]]))
                for name in metrics:
                    if name == "average_precision":
                        group = level.group_of_cell[self.slicing.cell[self.layout.order]]
                        sample = Sample(group, level.groups, weight=None, cluster=None)
                        precision = average_precision_difference(sample, self, pair, area.flips)
                        parts[pair, name].append(precision)
                    else:
                        parts[pair, name].append(area)
        return {key: joined(levels) for key, levels in parts.items()}


RANKED = ("roc_auc", "average_precision")
SUPPORTED = (*COUNTED, *RANKED, *LOSSES)


def average_precision_difference(
    sample: Sample, cases: BinaryCases, pair: Pair, flips: Flips
) -> Difference:
    """Compare average precision by the infinitesimal jackknife, over rows or clusters.

    Source: as `ranking.average_precision`; the influences of a case on both are subtracted.
    """
    one, other = (
        weighted_average_precision(sample, cases.scores[name], cases.label) for name in pair
    )
    positives, negatives = sample.total(cases.label), sample.total(~cases.label)
    estimate = Estimate(one.value - other.value, positives)
    estimate.mark_undefined(positives == 0, binary.NO_POSITIVES)
    for what, there in (("positive", positives), ("negative", negatives)):
        least = FEWEST_OF_EACH_CLASS
        estimate.mark_too_few(there < least, needs(least, f"{what} labels", there))
    return linear_difference(sample, (one, other), estimate, flips, largest=1.0)
