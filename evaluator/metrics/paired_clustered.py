"""Binary classifiers compared on cases that come in clusters, by linearisation."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from evaluator.metrics import binary
from evaluator.metrics.estimates import NO_ROWS, Estimate, FloatArray, divide, needs
from evaluator.metrics.levels import IntArray, Level
from evaluator.metrics.linear import Linear, Sample
from evaluator.metrics.means import FEWEST_CASES as FEWEST_FOR_A_MEAN
from evaluator.metrics.paired import Difference, Flips, joined
from evaluator.metrics.paired_areas import area_difference
from evaluator.metrics.paired_binary import (
    LOSSES,
    BinaryCases,
    Pair,
    average_precision_difference,
)
from evaluator.metrics.paired_counts import (
    COUNTED,
    FEWEST_CASES,
    RATES,
    RATIOS,
    candidate_counts,
    flips_of,
    mark_few_flips,
    mark_undefined,
    value_and_slopes,
)
from evaluator.metrics.paired_means import linear_difference


def compare_clustered(
    cases: BinaryCases, cluster: IntArray, pairs: Sequence[Pair], metrics: Sequence[str]
) -> dict[Pair, dict[str, Difference]]:
    """Compare pairs of candidates by all metrics, with the clusters as independent units.

    Parameters
    ----------
    cases
        The cases.
    cluster
        Each row's cluster, numbered from 0, in the frame's order.
    pairs, metrics
        What to compare.
    """
    levels = cases.slicing.levels
    bounds = np.concatenate([[0], np.cumsum([level.groups for level in levels])])
    cell = cases.slicing.cell[cases.layout.order]
    ordered = cluster[cases.layout.order]
    parts: dict[tuple[Pair, str], list[Difference]] = {
        (pair, name): [] for pair in pairs for name in metrics
    }
    all_counts = {pair: cases.counts(pair) for pair in pairs}
    for number, level in enumerate(levels):
        sample = Sample(level.group_of_cell[cell], level.groups, None, ordered)
        for pair in pairs:
            counts = all_counts[pair][bounds[number] : bounds[number + 1]]
            at = _ClusteredLevel(cases, sample, level, pair, counts)
            for name in metrics:
                parts[pair, name].append(at.difference(name))
    return {pair: {name: joined(parts[pair, name]) for name in metrics} for pair in pairs}


class _ClusteredLevel:
    """A pair of candidates at one level."""

    def __init__(
        self, cases: BinaryCases, sample: Sample, level: Level, pair: Pair, counts: FloatArray
    ) -> None:
        self.cases = cases
        self.sample = sample
        self.level = level
        self.pair = pair
        self.counts = counts

    def difference(self, metric: str) -> Difference:
        """Compare by one metric."""
        if metric in COUNTED:
            return self._counted(metric)
        if metric in LOSSES:
            return self._mean(metric)
        placements = self.cases.placements
        one, other = (placements.of_level(self.level, name) for name in self.pair)
        area = area_difference(self.cases.layout, self.level, (one, other))
        if metric == "average_precision":
            return average_precision_difference(self.sample, self.cases, self.pair, area.flips)
        return self._area(area, one - other)

    def _counted(self, metric: str) -> Difference:
        sample, label = self.sample, self.cases.label
        n = self.counts.sum(axis=1)
        flips, effective = flips_of(metric, self.counts)
        four = dict(zip(self.pair, candidate_counts(self.counts), strict=True))
        parts = []
        for name, counts in four.items():
            value, slopes = value_and_slopes(metric, divide(counts, n[:, None]))
            code = 2 * label + self.cases.predictions[name]
            influence = np.nan_to_num(slopes)[sample.group, code] / n[sample.group]
            parts.append(Linear(value, influence))
        estimate = Estimate(parts[0].value - parts[1].value, effective)
        mark_undefined(estimate, metric, four)
        among = None
        if metric in RATES:
            among = np.array(RATIOS[metric][1])[2 * label.astype(np.intp)] > 0
        else:
            estimate.mark_too_few(n < FEWEST_CASES, needs(FEWEST_CASES, "cases", n))
        mark_few_flips(estimate, flips, self.cases.error)
        largest = 2.0 if metric == "matthews_correlation" else 1.0
        pair = parts[0], parts[1]
        return linear_difference(sample, pair, estimate, flips, among=among, largest=largest)

    def _mean(self, metric: str) -> Difference:
        sample, label = self.sample, self.cases.label
        one, other = (LOSSES[metric](self.cases.scores[name], label) for name in self.pair)
        every = np.ones(len(label))
        # The ratio of the difference, so that equal losses leave exactly nothing.
        gap = sample.ratio(one - other, every)
        estimate = Estimate(gap.value.copy(), sample.n)
        estimate.mark_undefined(sample.n == 0, NO_ROWS)
        estimate.mark_too_few(
            sample.n < FEWEST_FOR_A_MEAN, needs(FEWEST_FOR_A_MEAN, "cases", sample.n)
        )
        for what, chosen in (("positive", label), ("negative", ~label)):
            there, least = sample.total(chosen), binary.FEWEST_FOR_A_LOSS
            estimate.mark_too_few(there < least, needs(least, f"{what} labels", there))
        flips = Flips.of(sample.total(one < other), sample.total(one > other))
        return linear_difference(sample, gap, estimate, flips, skewed=True)

    def _area(self, area: Difference, gained: NDArray[np.int32]) -> Difference:
        """Take DeLong's influences of the cases together by cluster.

        Source: N. Obuchowski, Biometrics 53 (1997) 567.
        """
        sample, label = self.sample, self.cases.label
        positives, negatives = sample.total(label), sample.total(~label)
        own = np.where(label, positives[sample.group], negatives[sample.group])
        others = np.where(label, negatives[sample.group], positives[sample.group])
        value = np.nan_to_num(area.estimate.value)
        share = np.nan_to_num(divide(gained, 2 * others)) - value[sample.group]
        influence = np.where(others > 0, divide(share, own), 0.0)
        linear = Linear(value, influence)
        return linear_difference(sample, linear, area.estimate, area.flips, largest=1.0)
