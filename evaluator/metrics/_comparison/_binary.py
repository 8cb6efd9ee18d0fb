"""Binary classifiers compared on the same cases, which are independent or in clusters."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evaluator.metrics import _means as means
from evaluator.metrics._binary import (
    MIN_FOR_A_LOSS,
    BinaryCounted,
    BinaryLoss,
    BinaryRanked,
    LinearisedScores,
    paired_form,
)
from evaluator.metrics._binary_levels import count_cells
from evaluator.metrics._catalogue import CELLS, POSITIVES, none_of
from evaluator.metrics._comparison._differences import (
    CandidatePair,
    Difference,
    Differences,
    DiscordantCounts,
    PairedRateDifference,
    StudentisedDifference,
    concat_levels,
    linear_difference,
    mark_few_flips,
    mean_difference,
)
from evaluator.metrics._comparison._roc_auc import (
    mark_few_of_a_class,
    roc_auc_difference,
)
from evaluator.metrics._estimates import (
    MIN_OF_EACH_CLASS,
    NO_ROWS,
    Estimate,
    FloatArray,
    LinearisedEstimate,
    divide,
)
from evaluator.metrics._inputs import BinaryRows
from evaluator.metrics._levels import IntArray, Level, Slicing
from evaluator.metrics._linear import SurveyDesign
from evaluator.metrics._means import Moments
from evaluator.metrics._ranking import CellLayout, Placements

MIN_CASES = 30
# A quarter of a case in each cell, two cases in all: A. Agresti, Y. Min, Statistics in Medicine 24
# (2005) 729 do the same for a difference of rates.
_ADDED = 0.25
_CELLS = np.array(list(product((0, 1), repeat=3)))
_LABEL, _CANDIDATE, _BASELINE = _CELLS.T
# Of each of the eight cells, the candidate's and the baseline's cell of 2 label + decision.
OF_CANDIDATE = 2 * _LABEL + _CANDIDATE
OF_BASELINE = 2 * _LABEL + _BASELINE


class BinaryCases:
    """The same cases as several candidates treat them; arrays (rows,) in the layout's order."""

    def __init__(self, rows: Mapping[str, BinaryRows], slicing: Slicing, error: float) -> None:
        label = next(iter(rows.values())).label
        self.layout = CellLayout(label, slicing)
        order = self.layout.order
        self.cell = slicing.cell[order]
        self.label = label[order]
        self.predictions = {name: one.prediction[order] for name, one in rows.items()}
        self.scores = {
            name: one.score[order] for name, one in rows.items() if one.score is not None
        }
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

    def compare(self, pairs: Sequence[CandidatePair], metrics: Sequence[str]) -> Differences:
        """Compare pairs of candidates by all metrics, in all groups of all levels."""
        forms = {name: paired_form(name) for name in metrics}
        ranked = {name: form for name, form in forms.items() if isinstance(form, BinaryRanked)}
        found: Differences = {}
        if ranked:
            found = concat_levels(
                self._ranked(level, pairs, ranked) for level in self.slicing.levels
            )
        counts = {pair: self.counts(pair) for pair in pairs}
        for name, form in forms.items():
            if isinstance(form, BinaryLoss):
                of_pairs = self._means(form, pairs)
                found |= {(pair, name): difference for pair, difference in of_pairs.items()}
            elif isinstance(form, BinaryCounted):
                for pair in pairs:
                    found[pair, name] = counted_difference(form, counts[pair], pair, self.error)
        return found

    def _means(
        self, form: BinaryLoss, pairs: Sequence[CandidatePair]
    ) -> dict[CandidatePair, Difference]:
        """Compare mean losses, the losses of each candidate computed once."""
        names = sorted({name for pair in pairs for name in pair})

        def measured(rows: slice) -> list[NDArray[Any]]:
            losses = {
                name: form.losses(self.scores[name][rows], self.label[rows]) for name in names
            }
            numbers: list[NDArray[Any]] = []
            for one, other in pairs:
                gap = losses[one] - losses[other]
                square = gap * gap
                numbers += [gap, square, square * gap, gap < 0, gap > 0]
            return numbers

        sums = self.slicing.add_up(self.layout.of_cells(measured)).sum(axis=1)
        negatives, positives = self.slicing.add_up(self.layout.sizes).astype(float).T
        found = {}
        for position, pair in enumerate(pairs):
            own = sums[:, 5 * position : 5 * position + 5]
            moments = Moments.of_sums(positives + negatives, own[:, :3])
            estimate = _mean_estimate(moments.mean, positives, negatives)
            flips = DiscordantCounts(own[:, 3], own[:, 4])
            found[pair] = mean_difference(estimate, flips, moments)
        return found

    def _ranked(
        self, level: Level, pairs: Sequence[CandidatePair], forms: Mapping[str, BinaryRanked]
    ) -> Differences:
        """Compare what depends on the scores' order, at one level."""
        names = sorted({name for pair in pairs for name in pair})
        placed = {name: self.placements.of_level(level, name) for name in names}
        found = {}
        for pair in pairs:
            area = roc_auc_difference(self.layout, level, (placed[pair[0]], placed[pair[1]]))
            for name, form in forms.items():
                found[pair, name] = area
                if form.linear is not None:
                    design = SurveyDesign(level, self.cell)
                    found[pair, name] = _ranked_difference(
                        form.linear, design, self, pair, area.flips
                    )
        return found


def compare_clustered(
    cases: BinaryCases, cluster: IntArray, pairs: Sequence[CandidatePair], metrics: Sequence[str]
) -> Differences:
    """Compare pairs of candidates by all metrics, with the clusters as independent units."""
    levels = cases.slicing.levels
    bounds = np.cumsum([level.groups for level in levels])[:-1]
    counts = {pair: np.split(cases.counts(pair), bounds) for pair in pairs}
    ordered = cluster[cases.layout.order]

    def at_level(number: int, level: Level) -> Differences:
        design = SurveyDesign(level, cases.cell, cluster=ordered)
        ats = {
            pair: _ClusteredLevel(cases, design, level, pair, counts[pair][number])
            for pair in pairs
        }
        return {(pair, name): at.difference(name) for pair, at in ats.items() for name in metrics}

    return concat_levels(at_level(number, level) for number, level in enumerate(levels))


@dataclass(frozen=True)
class _ClusteredLevel:
    """A pair of candidates at one level."""

    cases: BinaryCases
    design: SurveyDesign
    level: Level
    pair: CandidatePair
    counts: FloatArray

    def difference(self, metric: str) -> Difference:
        """Compare by one metric."""
        form = paired_form(metric)
        if isinstance(form, BinaryCounted):
            return self._counted(form)
        if isinstance(form, BinaryLoss):
            return self._mean(form)
        placements = self.cases.placements
        one, other = (placements.of_level(self.level, name) for name in self.pair)
        area = roc_auc_difference(self.cases.layout, self.level, (one, other))
        if form.linear is not None:
            return _ranked_difference(form.linear, self.design, self.cases, self.pair, area.flips)
        return self._area(area, one - other)

    def _counted(self, form: BinaryCounted) -> Difference:
        design, label = self.design, self.cases.label
        n = self.counts.sum(axis=1)
        flips, effective = flips_of(form, self.counts)
        four = dict(zip(self.pair, candidate_counts(self.counts), strict=True))
        parts = []
        for name, counts in four.items():
            value, slopes = form.value_and_slopes(divide(counts, n[:, None]))
            code = 2 * label + self.cases.predictions[name]
            influence = np.nan_to_num(slopes)[design.group, code] / n[design.group]
            parts.append(LinearisedEstimate(value, influence))
        estimate = Estimate(parts[0].value - parts[1].value, effective)
        mark_undefined(estimate, form, four)
        among = None
        if form.rate is not None:
            among = np.array(form.rate.weights[1])[2 * label.astype(np.intp)] > 0
        else:
            estimate.mark_shortfall(MIN_CASES, "cases", n)
        mark_few_flips(estimate, flips, self.cases.error)
        pair = parts[0], parts[1]
        return linear_difference(design, pair, estimate, flips, among=among, largest=form.largest)

    def _mean(self, form: BinaryLoss) -> Difference:
        design, label = self.design, self.cases.label
        one, other = (form.losses(self.cases.scores[name], label) for name in self.pair)
        # The mean of the difference, so that equal losses leave exactly nothing.
        gap = design.mean(one - other)
        estimate = _mean_estimate(gap.value, design.total(label), design.total(~label))
        flips = DiscordantCounts(design.total(one < other), design.total(one > other))
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
    form: BinaryCounted, counts: FloatArray, names: tuple[str, str], error: float
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
    flips, cases = flips_of(form, counts)
    of_candidate, _ = form.value_and_slopes(candidate)
    of_baseline, _ = form.value_and_slopes(baseline)
    estimate = Estimate(of_candidate - of_baseline, cases)
    mark_undefined(estimate, form, dict(zip(names, (candidate, baseline), strict=True)))
    if form.rate is not None:
        hits, among = (np.array(weights) > 0 for weights in form.rate.weights)
        more, fewer = (
            counts[:, hits[own] & ~hits[other] & among[own]].sum(axis=1)
            for own, other in ((OF_CANDIDATE, OF_BASELINE), (OF_BASELINE, OF_CANDIDATE))
        )
        # The difference of two rounded quotients would not be that of their counts.
        estimate.value = divide(more - fewer, cases)
        mark_few_flips(estimate, flips, error)
        return Difference(estimate, flips, PairedRateDifference(more, fewer, np.maximum(cases, 1)))
    estimate.mark_shortfall(MIN_CASES, "cases", n)
    mark_few_flips(estimate, flips, error)
    padded = counts + _ADDED
    shares = padded / padded.sum(axis=1, keepdims=True)
    value_one, slopes_one = form.value_and_slopes(_margin(shares, OF_CANDIDATE))
    value_two, slopes_two = form.value_and_slopes(_margin(shares, OF_BASELINE))
    influence = slopes_one[:, OF_CANDIDATE] - slopes_two[:, OF_BASELINE]
    # Shares add up to 1, so that the mean influence is 0 for a function of shares.
    variance = (shares * influence**2).sum(axis=1)
    spare = np.maximum(n - 1, 1)
    distribution = StudentisedDifference(
        value_one - value_two, np.sqrt(variance / spare), spare, np.zeros(len(n)), form.largest
    )
    return Difference(estimate, flips, distribution)


def candidate_counts(counts: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Give the candidate's and the baseline's counts by 2 label + decision, shape (groups, 4)."""
    return _margin(counts, OF_CANDIDATE), _margin(counts, OF_BASELINE)


def flips_of(form: BinaryCounted, counts: FloatArray) -> tuple[DiscordantCounts, FloatArray]:
    """Count the cases that were decided better and worse, and all that the metric rests on."""
    among = np.ones(8, dtype=bool)
    if form.rate is not None:
        among = np.array(form.rate.weights[1])[OF_CANDIDATE] > 0
    right, was_right = _CANDIDATE == _LABEL, _BASELINE == _LABEL
    better = counts[:, among & right & ~was_right].sum(axis=1)
    worse = counts[:, among & ~right & was_right].sum(axis=1)
    return DiscordantCounts(better, worse), counts[:, among].sum(axis=1)


def mark_undefined(estimate: Estimate, form: BinaryCounted, four: Mapping[str, FloatArray]) -> None:
    """Say of which candidate the metric does not exist, by its counts."""
    for name, counts in four.items():
        for cells in (CELLS, *form.needed):
            reason = none_of(cells)
            own = reason if "predicted" not in reason else f"{reason} of {name!r}"
            estimate.mark_undefined(count_cells(counts, cells) == 0, own)


def _margin(counts: FloatArray, cells: np.ndarray[tuple[int], np.dtype[np.int64]]) -> FloatArray:
    """Add up the eight cells to the four of one candidate."""
    margin: FloatArray = counts @ np.eye(4)[cells]
    return margin


def _mean_estimate(value: FloatArray, positives: FloatArray, negatives: FloatArray) -> Estimate:
    """Estimate the difference of two mean losses, and say of which groups' cases are too few."""
    n = positives + negatives
    estimate = Estimate(value.copy(), n)
    estimate.mark_undefined(n == 0, NO_ROWS)
    estimate.mark_shortfall(means.MIN_CASES, "cases", n)
    mark_few_of_a_class(estimate, positives, negatives, MIN_FOR_A_LOSS)
    return estimate


def _ranked_difference(
    linear: LinearisedScores,
    design: SurveyDesign,
    cases: BinaryCases,
    pair: CandidatePair,
    flips: DiscordantCounts,
) -> Difference:
    """Compare by the infinitesimal jackknife, over rows or clusters.

    The influences of a case on both are subtracted.
    """
    one, other = (linear(design, cases.scores[name], cases.label) for name in pair)
    positives, negatives = design.total(cases.label), design.total(~cases.label)
    estimate = Estimate(one.value - other.value, positives)
    estimate.mark_undefined(positives == 0, none_of(POSITIVES))
    mark_few_of_a_class(estimate, positives, negatives, MIN_OF_EACH_CLASS)
    return linear_difference(design, (one, other), estimate, flips, largest=1.0)
