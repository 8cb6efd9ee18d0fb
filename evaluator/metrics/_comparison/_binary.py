"""Binary classifiers compared on the same cases, which are independent or in clusters."""

from collections.abc import Callable, Mapping, Sequence
from functools import cache, cached_property
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evaluator.metrics import _binary as binary, _means as means
from evaluator.metrics._comparison._differences import (
    CandidatePair,
    Difference,
    DiscordantCounts,
    PairedRateDifference,
    StudentisedDifference,
    concat_differences,
    fewest_discordant,
    linear_difference,
    mean_difference,
)
from evaluator.metrics._comparison._pairing import CellLayout
from evaluator.metrics._comparison._roc_auc import (
    Placements,
    mark_few_of_a_class,
    roc_auc_difference,
)
from evaluator.metrics._estimates import (
    NO_ROWS,
    BoolArray,
    Estimate,
    FloatArray,
    divide,
    shortfall_reasons,
)
from evaluator.metrics._levels import IntArray, Level, Slicing
from evaluator.metrics._linear import LinearisedEstimate, SurveyDesign, weighted_average_precision

MIN_CASES = 30
# A quarter of a case in each cell, two cases in all: A. Agresti, Y. Min, Statistics in Medicine 24
# (2005) 729 do the same for a difference of rates.
_ADDED = 0.25
_CELLS = np.array(list(product((0, 1), repeat=3)))
_LABEL, _CANDIDATE, _BASELINE = _CELLS.T
# Of each of the eight cells, the candidate's and the baseline's cell of 2 label + decision.
OF_CANDIDATE = 2 * _LABEL + _CANDIDATE
OF_BASELINE = 2 * _LABEL + _BASELINE
# By metric the weights of true negatives, false positives, false negatives and true positives in
# numerator and denominator.
RATIOS: Mapping[str, tuple[tuple[float, ...], tuple[float, ...]]] = {
    "accuracy": ((1, 0, 0, 1), (1, 1, 1, 1)),
    "recall": ((0, 0, 0, 1), (0, 0, 1, 1)),
    "specificity": ((1, 0, 0, 0), (1, 1, 0, 0)),
    "false_positive_rate": ((0, 1, 0, 0), (1, 1, 0, 0)),
    "false_negative_rate": ((0, 0, 1, 0), (0, 0, 1, 1)),
    "selection_rate": ((0, 1, 0, 1), (1, 1, 1, 1)),
    "precision": ((0, 0, 0, 1), (0, 1, 0, 1)),
    "false_discovery_rate": ((0, 1, 0, 0), (0, 1, 0, 1)),
    "f1": ((0, 0, 0, 1), (0, 0.5, 0.5, 1)),
}
# Those whose denominator is the same cases for both candidates, whatever they decide.
RATES = tuple(RATIOS)[:6]
COUNTED = (*RATIOS, "balanced_accuracy", "matthews_correlation")
RANKED = ("roc_auc", "average_precision")
LOSSES: Mapping[str, Callable[[FloatArray, BoolArray], FloatArray]] = {
    "log_loss": means.log_losses,
    "brier": lambda score, label: (score - label) ** 2,
}
SUPPORTED = (*COUNTED, *RANKED, *LOSSES)
"""The metrics of binary classifiers of which there is a paired test."""


class BinaryCases:
    """The same cases as several candidates treat them; arrays (rows,) in the layout's order."""

    def __init__(
        self,
        label: BoolArray,
        predictions: Mapping[str, BoolArray],
        scores: Mapping[str, FloatArray],
        slicing: Slicing,
        error: float,
    ) -> None:
        self.layout = CellLayout(label, slicing)
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

    def counts(self, pair: CandidatePair) -> FloatArray:
        """Count the cases of all groups by label and both decisions, shape (groups, 8)."""
        n = self.slicing.add_up(self.layout.sizes)
        one, other = (self._positive(name) for name in pair)
        both = self.layout.cases(self.predictions[pair[0]] & self.predictions[pair[1]])
        counts = np.stack([n - one - other + both, other - both, one - both, both], axis=-1)
        return counts.reshape(-1, 8)

    def compare(
        self, pairs: Sequence[CandidatePair], metrics: Sequence[str]
    ) -> dict[CandidatePair, dict[str, Difference]]:
        """Compare pairs of candidates by all metrics, in all groups of all levels."""
        found: dict[CandidatePair, dict[str, Difference]] = {pair: {} for pair in pairs}
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

    def _means(
        self, metric: str, pairs: Sequence[CandidatePair]
    ) -> dict[CandidatePair, Difference]:
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
        least = binary.MIN_FOR_A_LOSS
        negatives, positives = self.slicing.add_up(self.layout.sizes).astype(float).T
        classes = {"positive labels": (least, positives), "negative labels": (least, negatives)}
        found = {}
        for position, pair in enumerate(pairs):
            own = sums[:, 5 * position : 5 * position + 5]
            flips = DiscordantCounts.of(own[:, 3], own[:, 4])
            found[pair] = mean_difference(positives + negatives, own[:, :3], flips, classes)
        return found

    def _ranked(
        self, pairs: Sequence[CandidatePair], metrics: Sequence[str]
    ) -> dict[tuple[CandidatePair, str], Difference]:
        """Compare what depends on the scores' order, level by level."""
        parts: dict[tuple[CandidatePair, str], list[Difference]] = {
            (pair, name): [] for pair in pairs for name in metrics
        }
        names = sorted({name for pair in pairs for name in pair})
        for level in self.slicing.levels if metrics else ():
            placed = {name: self.placements.of_level(level, name) for name in names}
            for pair in pairs:
                area = roc_auc_difference(self.layout, level, (placed[pair[0]], placed[pair[1]]))
                for name in metrics:
                    if name == "average_precision":
                        group = level.group_of_cell[self.slicing.cell[self.layout.order]]
                        design = SurveyDesign(group, level.groups, weight=None, cluster=None)
                        precision = average_precision_difference(design, self, pair, area.flips)
                        parts[pair, name].append(precision)
                    else:
                        parts[pair, name].append(area)
        return {key: concat_differences(levels) for key, levels in parts.items()}


def compare_clustered(
    cases: BinaryCases, cluster: IntArray, pairs: Sequence[CandidatePair], metrics: Sequence[str]
) -> dict[CandidatePair, dict[str, Difference]]:
    """Compare pairs of candidates by all metrics, with the clusters as independent units."""
    levels = cases.slicing.levels
    bounds = np.concatenate([[0], np.cumsum([level.groups for level in levels])])
    cell = cases.slicing.cell[cases.layout.order]
    ordered = cluster[cases.layout.order]
    parts: dict[tuple[CandidatePair, str], list[Difference]] = {
        (pair, name): [] for pair in pairs for name in metrics
    }
    all_counts = {pair: cases.counts(pair) for pair in pairs}
    for number, level in enumerate(levels):
        design = SurveyDesign(level.group_of_cell[cell], level.groups, None, ordered)
        for pair in pairs:
            counts = all_counts[pair][bounds[number] : bounds[number + 1]]
            at = _ClusteredLevel(cases, design, level, pair, counts)
            for name in metrics:
                parts[pair, name].append(at.difference(name))
    return {
        pair: {name: concat_differences(parts[pair, name]) for name in metrics} for pair in pairs
    }


class _ClusteredLevel:
    """A pair of candidates at one level."""

    def __init__(
        self,
        cases: BinaryCases,
        design: SurveyDesign,
        level: Level,
        pair: CandidatePair,
        counts: FloatArray,
    ) -> None:
        self.cases = cases
        self.design = design
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
        area = roc_auc_difference(self.cases.layout, self.level, (one, other))
        if metric == "average_precision":
            return average_precision_difference(self.design, self.cases, self.pair, area.flips)
        return self._area(area, one - other)

    def _counted(self, metric: str) -> Difference:
        design, label = self.design, self.cases.label
        n = self.counts.sum(axis=1)
        flips, effective = flips_of(metric, self.counts)
        four = dict(zip(self.pair, candidate_counts(self.counts), strict=True))
        parts = []
        for name, counts in four.items():
            value, slopes = value_and_slopes(metric, divide(counts, n[:, None]))
            code = 2 * label + self.cases.predictions[name]
            influence = np.nan_to_num(slopes)[design.group, code] / n[design.group]
            parts.append(LinearisedEstimate(value, influence))
        estimate = Estimate(parts[0].value - parts[1].value, effective)
        mark_undefined(estimate, metric, four)
        among = None
        if metric in RATES:
            among = np.array(RATIOS[metric][1])[2 * label.astype(np.intp)] > 0
        else:
            estimate.mark_too_few(n < MIN_CASES, shortfall_reasons(MIN_CASES, "cases", n))
        mark_few_flips(estimate, flips, self.cases.error)
        largest = 2.0 if metric == "matthews_correlation" else 1.0
        pair = parts[0], parts[1]
        return linear_difference(design, pair, estimate, flips, among=among, largest=largest)

    def _mean(self, metric: str) -> Difference:
        design, label = self.design, self.cases.label
        one, other = (LOSSES[metric](self.cases.scores[name], label) for name in self.pair)
        every = np.ones(len(label))
        # The ratio of the difference, so that equal losses leave exactly nothing.
        gap = design.ratio(one - other, every)
        estimate = Estimate(gap.value.copy(), design.n)
        estimate.mark_undefined(design.n == 0, NO_ROWS)
        estimate.mark_too_few(
            design.n < means.MIN_CASES, shortfall_reasons(means.MIN_CASES, "cases", design.n)
        )
        classes = design.total(label), design.total(~label)
        mark_few_of_a_class(estimate, *classes, binary.MIN_FOR_A_LOSS)
        flips = DiscordantCounts.of(design.total(one < other), design.total(one > other))
        return linear_difference(design, gap, estimate, flips, skewed=True)

    def _area(self, area: Difference, gained: NDArray[np.int32]) -> Difference:
        """Take DeLong's influences of the cases together by cluster.

        Source: N. Obuchowski, Biometrics 53 (1997) 567.
        """
        design, label = self.design, self.cases.label
        positives, negatives = design.total(label), design.total(~label)
        own = np.where(label, positives[design.group], negatives[design.group])
        others = np.where(label, negatives[design.group], positives[design.group])
        value = np.nan_to_num(area.estimate.value)
        share = np.nan_to_num(divide(gained, 2 * others)) - value[design.group]
        influence = np.where(others > 0, divide(share, own), 0.0)
        linear = LinearisedEstimate(value, influence)
        return linear_difference(design, linear, area.estimate, area.flips, largest=1.0)


def counted_difference(
    metric: str, counts: FloatArray, names: tuple[str, str], error: float
) -> Difference:
    """Compare a metric of decisions, from the joint counts alone.

    Where both rates have the same denominator, McNemar's exact test and Tango's interval.
    Otherwise the linearised difference with a quarter of a case added to each of the eight
    counts, over its standard error from the same counts, follows Student's distribution with
    n - 1 degrees of freedom. A bootstrap of the counts has the same standard error, but the
    p-values of a few thousand draws end where those that survive an adjustment begin.

    In simulation this test errs in 0.01 to 0.06 of the samples at level 0.05 from 60 cases on,
    and in less than 0.01 at level 0.005 (`benchmarks/comparison.py --errors`).
    """
    n = counts.sum(axis=1)
    candidate, baseline = candidate_counts(counts)
    flips, cases = flips_of(metric, counts)
    of_candidate, _ = value_and_slopes(metric, candidate)
    of_baseline, _ = value_and_slopes(metric, baseline)
    estimate = Estimate(of_candidate - of_baseline, cases)
    mark_undefined(estimate, metric, dict(zip(names, (candidate, baseline), strict=True)))
    if metric in RATES:
        hits, among = (np.array(weights) > 0 for weights in RATIOS[metric])
        more, fewer = (
            counts[:, hits[own] & ~hits[other] & among[own]].sum(axis=1)
            for own, other in ((OF_CANDIDATE, OF_BASELINE), (OF_BASELINE, OF_CANDIDATE))
        )
        # The difference of two rounded quotients would not be that of their counts.
        estimate.value = divide(more - fewer, cases)
        mark_few_flips(estimate, flips, error)
        return Difference(estimate, flips, PairedRateDifference(more, fewer, np.maximum(cases, 1)))
    estimate.mark_too_few(n < MIN_CASES, shortfall_reasons(MIN_CASES, "cases", n))
    mark_few_flips(estimate, flips, error)
    padded = counts + _ADDED
    shares = padded / padded.sum(axis=1, keepdims=True)
    value_one, slopes_one = value_and_slopes(metric, _margin(shares, OF_CANDIDATE))
    value_two, slopes_two = value_and_slopes(metric, _margin(shares, OF_BASELINE))
    influence = slopes_one[:, OF_CANDIDATE] - slopes_two[:, OF_BASELINE]
    # Shares add up to 1, so that the mean influence is 0 for a function of shares.
    variance = (shares * influence**2).sum(axis=1)
    spare = np.maximum(n - 1, 1)
    largest = 2.0 if metric == "matthews_correlation" else 1.0
    distribution = StudentisedDifference(
        value_one - value_two, np.sqrt(variance / spare), spare, np.zeros(len(n)), largest
    )
    return Difference(estimate, flips, distribution)


def candidate_counts(counts: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Give the candidate's and the baseline's counts by 2 label + decision, shape (groups, 4)."""
    return _margin(counts, OF_CANDIDATE), _margin(counts, OF_BASELINE)


def flips_of(metric: str, counts: FloatArray) -> tuple[DiscordantCounts, FloatArray]:
    """Count the cases that were decided better and worse, and all that the metric rests on."""
    among = np.ones(8, dtype=bool)
    if metric in RATES:
        among = np.array(RATIOS[metric][1])[OF_CANDIDATE] > 0
    right, was_right = _CANDIDATE == _LABEL, _BASELINE == _LABEL
    better = counts[:, among & right & ~was_right].sum(axis=1)
    worse = counts[:, among & ~right & was_right].sum(axis=1)
    return DiscordantCounts.of(better, worse), counts[:, among].sum(axis=1)


def value_and_slopes(metric: str, four: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Give a metric and its slopes by the shares of the four cells of 2 label + decision."""
    if metric == "balanced_accuracy":
        recall, of_recall = value_and_slopes("recall", four)
        specificity, of_specificity = value_and_slopes("specificity", four)
        return (recall + specificity) / 2, (of_recall + of_specificity) / 2
    if metric == "matthews_correlation":
        return _matthews_and_slopes(four)
    hits, among = (np.array(weights, dtype=float) for weights in RATIOS[metric])
    below = four @ among
    value = divide(four @ hits, below)
    return value, divide(hits - value[:, None] * among, np.repeat(below[:, None], 4, axis=1))


def _matthews_and_slopes(four: FloatArray) -> tuple[FloatArray, FloatArray]:
    tn, fp, fn, tp = four.T
    value = binary.matthews_correlation(tn, fp, fn, tp)
    spread = np.sqrt((tp + fp) * (tp + fn) * (tn + fp) * (tn + fn))
    one = np.ones(len(value))
    predicted, positive, negative, other = (
        divide(one, 2 * total) for total in (tp + fp, tp + fn, tn + fp, tn + fn)
    )
    slopes = (
        divide(tp, spread) - value * (negative + other),
        -divide(fn, spread) - value * (predicted + negative),
        -divide(fp, spread) - value * (positive + other),
        divide(tn, spread) - value * (predicted + positive),
    )
    return value, np.column_stack(slopes)


def mark_undefined(estimate: Estimate, metric: str, four: Mapping[str, FloatArray]) -> None:
    """Say of which candidate the metric does not exist, by its counts."""
    for name, counts in four.items():
        for there, reason in undefined_reasons(metric, counts):
            own = reason if "predicted" not in reason else f"{reason} of {name!r}"
            estimate.mark_undefined(there == 0, own)


def undefined_reasons(metric: str, counts: FloatArray) -> list[tuple[FloatArray, str]]:
    """Give, for one candidate, the counts that must not be zero, and what to say if they are."""
    tn, fp, fn, tp = counts.T
    required = {
        "positive": (tp + fn, binary.NO_POSITIVES),
        "negative": (tn + fp, binary.NO_NEGATIVES),
        "predicted": (tp + fp, binary.NO_PREDICTED_POSITIVES),
        "other": (tn + fn, binary.NO_PREDICTED_NEGATIVES),
        "union": (tp + fp + fn, f"{binary.NO_POSITIVES} and {binary.NO_PREDICTED_POSITIVES}"),
    }
    wanted = {
        "recall": ["positive"],
        "false_negative_rate": ["positive"],
        "specificity": ["negative"],
        "false_positive_rate": ["negative"],
        "precision": ["predicted"],
        "false_discovery_rate": ["predicted"],
        "f1": ["union"],
        "balanced_accuracy": ["positive", "negative"],
        "matthews_correlation": ["positive", "negative", "predicted", "other"],
    }.get(metric, [])
    return [(tn + fp + fn + tp, NO_ROWS), *(required[one] for one in wanted)]


def mark_few_flips(estimate: Estimate, flips: DiscordantCounts, error: float) -> None:
    """Mark groups in which too few cases were decided differently for any test."""
    least = fewest_discordant(error)
    few = flips.discordant < least
    estimate.mark_too_few(
        few, shortfall_reasons(least, "cases that are decided differently", flips.discordant)
    )


def _margin(counts: FloatArray, cells: np.ndarray[tuple[int], np.dtype[np.int64]]) -> FloatArray:
    """Add up the eight cells to the four of one candidate."""
    margin: FloatArray = counts @ np.eye(4)[cells]
    return margin


def average_precision_difference(
    design: SurveyDesign, cases: BinaryCases, pair: CandidatePair, flips: DiscordantCounts
) -> Difference:
    """Compare average precision by the infinitesimal jackknife, over rows or clusters.

    The influences of a case on both are subtracted; their source: `weighted_average_precision`.
    """
    one, other = (
        weighted_average_precision(design, cases.scores[name], cases.label) for name in pair
    )
    positives, negatives = design.total(cases.label), design.total(~cases.label)
    estimate = Estimate(one.value - other.value, positives)
    estimate.mark_undefined(positives == 0, binary.NO_POSITIVES)
    mark_few_of_a_class(estimate, positives, negatives, binary.MIN_OF_EACH_CLASS)
    return linear_difference(design, (one, other), estimate, flips, largest=1.0)
