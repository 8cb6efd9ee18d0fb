"""Binary classifiers compared on the same cases, which may have weights and come in clusters."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property, partial
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evaluator.metrics import _means as means
from evaluator.metrics._binary import (
    MIN_FOR_A_LOSS,
    BinaryCounted,
    BinaryLoss,
    BinaryPaired,
    BinaryRanked,
    LinearisedScores,
    paired_form,
)
from evaluator.metrics._binary_levels import count_cells
from evaluator.metrics._catalogue import CELLS, NEGATIVES, POSITIVES, none_of
from evaluator.metrics._comparison._differences import (
    BundledRows,
    CandidatePair,
    Difference,
    Differences,
    Discordance,
    DiscordantCounts,
    FewDiscordant,
    PairedRateDifference,
    StudentisedDifference,
    concat_levels,
    decided_differently,
    different_outputs,
    effective_units,
    linear_difference,
    mean_difference,
)
from evaluator.metrics._comparison._roc_auc import (
    RANKED_DIFFERENTLY,
    SAME_ORDER,
    carriers_of,
    few_carriers,
    mark_few_of_a_class,
    roc_auc_difference,
    unseen_carrier,
)
from evaluator.metrics._estimates import (
    MIN_OF_EACH_CLASS,
    NO_ROWS,
    BoolArray,
    Estimate,
    FloatArray,
    LinearisedEstimate,
    Unseen,
    divide,
)
from evaluator.metrics._inputs import BinaryRows
from evaluator.metrics._levels import IntArray, Level, Slicing
from evaluator.metrics._linear import SurveyDesign
from evaluator.metrics._means import Moments
from evaluator.metrics._ranking import CellLayout, Placements, weighted_roc_auc

MIN_CASES = 30
# A quarter of a case in each cell, two cases in all: A. Agresti, Y. Min, Statistics in Medicine 24
# (2005) 729 do the same for a difference of rates.
_ADDED = 0.25
_CELLS = np.array(list(product((0, 1), repeat=3)))
_LABEL, _CANDIDATE, _BASELINE = _CELLS.T
# Of each of the eight cells, the candidate's and the baseline's cell of 2 label + decision.
OF_CANDIDATE = 2 * _LABEL + _CANDIDATE
OF_BASELINE = 2 * _LABEL + _BASELINE
_DISCORDANT = _CANDIDATE != _BASELINE


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
        self._alike = cache(self._alike_everywhere)

    @cached_property
    def placements(self) -> Placements:
        """Every case's rank among the other class."""
        return Placements(self.layout, self.scores)

    def _count_positive(self, name: str) -> FloatArray:
        return self.layout.cases(self.predictions[name])

    def _alike_everywhere(self, pair: CandidatePair) -> FloatArray:
        return np.concatenate([self.alike(level, pair) for level in self.slicing.levels])

    def alike(
        self, level: Level, pair: CandidatePair, ranked: BoolArray | None = None
    ) -> FloatArray:
        """Count the different scores of groups in which both candidates' scores are equal.

        Or, of groups in which no case is ranked differently, where they have the same order.
        """
        if any(name not in self.scores for name in pair):
            return np.zeros(level.groups)
        one, other = (self.scores[name] for name in pair)
        group = level.group_of_cell[self.cell]
        chosen = ranked
        if chosen is None:
            chosen = np.bincount(group, one != other, level.groups) == 0
        return different_outputs(group, chosen, [(one, other)], ordered=ranked is not None)

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
                    found[pair, name] = counted_difference(
                        form, counts[pair], pair, self.error, self._alike(pair)
                    )
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
        n = positives + negatives
        found = {}
        for position, pair in enumerate(pairs):
            own = sums[:, 5 * position : 5 * position + 5]
            moments = Moments.of_sums(n, own[:, :3])
            estimate = _mean_estimate(moments.mean, n, positives, negatives)
            flips = DiscordantCounts(own[:, 3], own[:, 4])
            few = FewDiscordant.of_units(flips.discordant, n, _reach_of_loss(form))
            discordance = Discordance(flips, few, self._alike(pair))
            found[pair] = mean_difference(estimate, discordance, moments)
        return found

    def _ranked(
        self, level: Level, pairs: Sequence[CandidatePair], forms: Mapping[str, BinaryRanked]
    ) -> Differences:
        """Compare what depends on the scores' order, at one level."""
        names = sorted({name for pair in pairs for name in pair})
        placed = {name: self.placements.of_level(level, name) for name in names}
        at = _Level(_Survey(self, None, None), level)
        found: Differences = {}
        for pair in pairs:
            both = placed[pair[0]], placed[pair[1]]
            alike = partial(self.alike, level, pair)
            area = roc_auc_difference(self.layout, level, both, alike, error=self.error)
            for name, form in forms.items():
                found[pair, name] = area
                if form.linear is not None:
                    found[pair, name] = at.precision(form.linear, pair, area.flips, area.few.found)
        return found


def compare_designed(
    cases: BinaryCases,
    pairs: Sequence[CandidatePair],
    metrics: Sequence[str],
    *,
    weight: FloatArray | None,
    cluster: IntArray | None,
) -> Differences:
    """Compare pairs of candidates by all metrics, with weights, or clusters as independent units.

    Counts of what is treated differently are of cases, whatever their weights.
    """
    survey = _Survey(cases, weight, cluster)
    forms = {name: paired_form(name) for name in metrics}

    def at_level(level: Level) -> Differences:
        at = _Level(survey, level)
        return {
            (pair, name): at.difference(form, pair)
            for pair in pairs
            for name, form in forms.items()
        }

    return concat_levels(at_level(level) for level in cases.slicing.levels)


@dataclass(frozen=True)
class _Bundles:
    """Rows that have cell, cluster and code in common, or else single rows; arrays (bundles,)."""

    cell: IntArray
    cluster: IntArray | None
    code: IntArray
    weight: FloatArray
    # Add up what is given for every row, shape (rows,).
    total: Callable[[NDArray[Any]], FloatArray]


class _Survey:
    """The cases' weights and clusters, in the layout's order, and what is alike at all levels."""

    def __init__(
        self, cases: BinaryCases, weight: FloatArray | None, cluster: IntArray | None
    ) -> None:
        order = cases.layout.order
        self.cases = cases
        self.weight = None if weight is None else weight[order]
        self.cluster = None if cluster is None else cluster[order]
        if self.cluster is not None:
            self._clusters = int(self.cluster.max(initial=0)) + 1
            both = cases.cell * self._clusters + self.cluster
            self._number, self._bundle = np.unique(both, return_inverse=True)
        self.decided = cache(self._decided)
        self.lost = cache(self._lost)
        self._losses = cache(lambda form, name: form.losses(cases.scores[name], cases.label))

    def bundles(self, code: IntArray) -> _Bundles:
        """Add up the rows that have cell, cluster and a code below 8 in common.

        What is linearised does not change by it, since clusters are added up whole in the end.
        """
        weight = np.ones(len(code)) if self.weight is None else self.weight
        if self.cluster is None:
            return _Bundles(self.cases.cell, None, code, weight, lambda of_rows: of_rows * 1.0)
        key = 8 * self._bundle + code
        there = np.flatnonzero(np.bincount(key))
        number = self._number[there // 8]

        def total(of_rows: NDArray[Any]) -> FloatArray:
            return np.bincount(key, of_rows)[there].astype(float)

        cell, cluster = np.divmod(number, self._clusters)
        return _Bundles(cell, cluster, there % 8, total(weight), total)

    def _decided(self, pair: CandidatePair) -> tuple[_Bundles, FloatArray]:
        """Bundle cases by label and both decisions, and count them."""
        one, other = (self.cases.predictions[name] for name in pair)
        bundles = self.bundles(4 * self.cases.label.astype(np.intp) + 2 * one + other)
        return bundles, bundles.total(np.ones(len(one)))

    def _lost(self, form: BinaryLoss, pair: CandidatePair) -> tuple[_Bundles, list[FloatArray]]:
        """Give the mean difference d of losses; how many cases lose less, more, and are there.

        And the sums of w^2 d, w^2 d^2 and w^2.
        """
        gap = self._losses(form, pair[0]) - self._losses(form, pair[1])
        bundles = self.bundles(np.zeros(len(gap), dtype=np.intp))
        weight = np.ones(len(gap)) if self.weight is None else self.weight
        mean = bundles.total(gap * weight) / bundles.weight
        of_rows = (gap < 0, gap > 0, np.ones(len(gap)))
        squares = (weight**2 * gap, (weight * gap) ** 2, weight**2)
        return bundles, [mean, *(bundles.total(one) for one in (*of_rows, *squares))]


class _Level:
    """One level of the cases, with weights or clusters."""

    def __init__(self, survey: _Survey, level: Level) -> None:
        self.survey = survey
        self.cases = survey.cases
        self.level = level
        self.design = SurveyDesign(level, self.cases.cell, survey.weight, survey.cluster)
        label = self.cases.label
        self._parts = {"all": label | ~label, "positive": label, "negative": ~label}
        self._linear = cache(self._linearised)
        self._placed = cache(lambda name: self.cases.placements.of_level(level, name))
        self._alike = cache(partial(self.cases.alike, level))
        self._cases = cache(lambda part: self.design.cases(self._parts[part]))
        self._units = cache(lambda part: effective_units(self.design, self._parts[part]))

    def difference(self, form: BinaryPaired, pair: CandidatePair) -> Difference:
        """Compare by one metric."""
        if isinstance(form, BinaryCounted):
            return self._counted(form, pair)
        if isinstance(form, BinaryLoss):
            return self._mean(form, pair)
        return self._ordered(form, pair)

    def _linearised(self, linear: LinearisedScores, name: str) -> LinearisedEstimate:
        return linear(self.design, self.cases.scores[name], self.cases.label)

    def _bundled(self, bundles: _Bundles) -> SurveyDesign:
        return SurveyDesign(self.level, bundles.cell, bundles.weight, bundles.cluster)

    def _counted(self, form: BinaryCounted, pair: CandidatePair) -> Difference:
        bundles, cases = self.survey.decided(pair)
        design = self._bundled(bundles)
        place = 8 * design.group + bundles.code
        counts, weights = (
            np.bincount(place, added, 8 * design.groups).astype(float).reshape(-1, 8)
            for added in (cases, bundles.weight)
        )
        four = candidate_counts(weights)
        total = weights.sum(axis=1)[:, None]
        parts = []
        for own, cells in zip(four, (OF_CANDIDATE, OF_BASELINE), strict=True):
            value, slopes = form.value_and_slopes(divide(own, total))
            influence = np.nan_to_num(divide(slopes, total))[design.group, cells[bundles.code]]
            parts.append(LinearisedEstimate(value, influence * bundles.weight))
        among = _among(form)
        part = "all" if among.all() else "positive" if among[-1] else "negative"
        estimate = Estimate(parts[0].value - parts[1].value, self._cases(part))
        mark_undefined(estimate, form, dict(zip(pair, four, strict=True)))
        units = self._units(part)
        if form.rate is None:
            estimate.mark_shortfall(MIN_CASES, "cases", self._cases("all"))
            units = np.minimum(self._units("positive"), self._units("negative"))
        found = design.units((among & _DISCORDANT)[bundles.code])
        clustered = design.cluster is not None
        discordance = Discordance(
            flips_of(form, counts)[0],
            _counted_few(form, weights, found, units, self.cases.error, clustered=clustered),
            self._alike(pair) * _decided_alike(counts),
            **decided_differently(self.cases.error, clustered=clustered),
        )
        rests_on = None if among.all() else among[bundles.code]
        both = parts[0], parts[1]
        apart = both[0].influence - both[1].influence
        bundled = BundledRows(cases, apart**2 / cases)
        return linear_difference(
            design,
            both,
            estimate,
            discordance,
            among=rests_on,
            bundled=bundled,
            largest=form.largest,
        )

    def _mean(self, form: BinaryLoss, pair: CandidatePair) -> Difference:
        bundles, (gap, better, worse, rows, *squares) = self.survey.lost(form, pair)
        design = self._bundled(bundles)
        # The mean of the difference, so that equal losses leave exactly nothing.
        linear = design.mean(gap)
        cases = (self._cases(part) for part in ("all", "positive", "negative"))
        estimate = _mean_estimate(linear.value, *cases)
        found = design.units(better + worse > 0)
        few = FewDiscordant.of_units(found, self._units("all"), _reach_of_loss(form))
        flips = DiscordantCounts(design.total(better), design.total(worse))
        discordance = Discordance(flips, few, self._alike(pair))
        mean = np.nan_to_num(linear.value)[design.group]
        all_weight = design.total(bundles.weight)[design.group]
        once, twice, weight = squares
        spread = np.maximum(twice - 2 * mean * once + mean**2 * weight, 0)
        bundled = BundledRows(rows, spread / all_weight**2)
        return linear_difference(
            design, linear, estimate, discordance, bundled=bundled, skewed=True
        )

    def _ordered(self, form: BinaryRanked, pair: CandidatePair) -> Difference:
        gained = self._placed(pair[0]) - self._placed(pair[1])
        bundles = self.survey.bundles(self.cases.label.astype(np.intp))
        design = self._bundled(bundles)
        better, worse = bundles.total(gained > 0), bundles.total(gained < 0)
        flips = DiscordantCounts(design.total(better), design.total(worse))
        found = design.units(better + worse > 0)
        if form.linear is not None:
            return self.precision(form.linear, pair, flips, found)
        linear: LinearisedEstimate | tuple[LinearisedEstimate, LinearisedEstimate]
        bundled = None
        if self.survey.weight is None:
            linear, bundled = self._gain_of_area(bundles, design, gained)
            value = linear.value.copy()
        else:
            one, other = (self._linear(weighted_roc_auc, name) for name in pair)
            design, linear, value = self.design, (one, other), one.value - other.value
        # Half as many pairs of clusters as there are clusters have none in common.
        units = np.minimum(self._units("positive"), self._units("negative"))
        few = FewDiscordant.of_units(found, units / (1 if design.cluster is None else 2), 1.0)
        fewer = np.minimum(self._cases("positive"), self._cases("negative"))
        estimate = Estimate(value, fewer)
        return self._by_order(pair, design, linear, estimate, flips=flips, few=few, bundled=bundled)

    def _gain_of_area(
        self, bundles: _Bundles, design: SurveyDesign, gained: NDArray[np.int32]
    ) -> tuple[LinearisedEstimate, BundledRows]:
        """Give the difference of two areas, and what cases gain on it by DeLong's placements.

        Source: N. Obuchowski, Biometrics 53 (1997) 567, for their sums over clusters.
        """
        positive = bundles.code == 1
        counts = design.total(bundles.weight * positive), design.total(bundles.weight * ~positive)
        own, others = (
            np.where(positive, counts[one][design.group], counts[1 - one][design.group])
            for one in (0, 1)
        )
        sums = bundles.total(gained)
        value = divide(design.total(sums * positive), 2 * counts[0] * counts[1])
        mean, rows = np.nan_to_num(value)[design.group], bundles.weight
        once = divide(sums, 2 * others)
        twice = divide(bundles.total(np.multiply(gained, gained, dtype=float)), 4 * others**2)
        squares = np.nan_to_num(divide(twice - 2 * mean * once + rows * mean**2, own**2))
        linear = LinearisedEstimate(value, np.nan_to_num(divide(once - rows * mean, own)))
        return linear, BundledRows(rows, np.maximum(squares, 0))

    def precision(
        self,
        linear: LinearisedScores,
        pair: CandidatePair,
        flips: DiscordantCounts,
        found: FloatArray,
    ) -> Difference:
        """Compare average precision by the infinitesimal jackknife, over rows or clusters."""
        one, other = (self._linear(linear, name) for name in pair)
        unseen = None
        if self.design.plain:
            square = (one.influence - other.influence) ** 2
            carriers = carriers_of(self.design.total(square), self.design.total(square**2))
            unseen, found = unseen_carrier(carriers), np.minimum(found, carriers)
        few = FewDiscordant.of_units(found, self._units("all"), 1.0)
        prevalence = self.design.mean(self._parts["positive"]).value
        few = replace(few, reach=_reach_of_precision(few.share(self.cases.error), prevalence))
        estimate = Estimate(one.value - other.value, self._cases("positive"))
        both = one, other
        return self._by_order(
            pair, self.design, both, estimate, flips=flips, few=few, unseen=unseen
        )

    def _by_order(
        self,
        pair: CandidatePair,
        design: SurveyDesign,
        linear: LinearisedEstimate | tuple[LinearisedEstimate, LinearisedEstimate],
        estimate: Estimate,
        *,
        flips: DiscordantCounts,
        few: FewDiscordant,
        bundled: BundledRows | None = None,
        unseen: Unseen | None = None,
    ) -> Difference:
        positives, negatives = self._cases("positive"), self._cases("negative")
        estimate.mark_undefined(positives == 0, none_of(POSITIVES))
        estimate.mark_undefined(np.isnan(estimate.value), none_of(NEGATIVES))
        mark_few_of_a_class(estimate, positives, negatives, MIN_OF_EACH_CLASS)
        alike = self.cases.alike(self.level, pair, flips.discordant == 0)
        settings = {} if unseen is None else few_carriers(self.cases.error)
        discordance = Discordance(
            flips, few, alike, how=RANKED_DIFFERENTLY, same=SAME_ORDER, **settings
        )
        return linear_difference(
            design, linear, estimate, discordance, bundled=bundled, largest=1.0, unseen=unseen
        )


def counted_difference(
    form: BinaryCounted,
    counts: FloatArray,
    names: tuple[str, str],
    error: float,
    alike: FloatArray | None = None,
) -> Difference:
    """Compare a metric of decisions, from the joint counts alone.

    Where both rates have the same denominator, McNemar's exact test and Tango's interval.
    Otherwise the linearised difference with a quarter of a case added to each of the eight
    counts, over its standard error from the same counts, follows Student's distribution with
    n - 1 degrees of freedom. A bootstrap of the counts has the same standard error, but the
    p-values of a few thousand draws end where those that survive an adjustment begin.

    In simulation this test errs in 0.01 to 0.06 of the samples at level 0.05 from 60 cases on,
    and in less than 0.01 at level 0.005 (`benchmarks/comparison.py --errors`).

    `alike` are the different scores where both candidates' are equal, as `Discordance` has them.
    """
    n = counts.sum(axis=1)
    candidate, baseline = candidate_counts(counts)
    flips, cases = flips_of(form, counts)
    of_candidate, _ = form.value_and_slopes(candidate)
    of_baseline, _ = form.value_and_slopes(baseline)
    estimate = Estimate(of_candidate - of_baseline, cases)
    mark_undefined(estimate, form, dict(zip(names, (candidate, baseline), strict=True)))
    discordance = Discordance(
        flips,
        _counted_few(form, counts, flips.discordant, cases, error, clustered=False),
        np.zeros(len(n)) if alike is None else alike * _decided_alike(counts),
        **decided_differently(error, clustered=False),
    )
    if form.rate is not None:
        hits, among = (np.array(weights) > 0 for weights in form.rate.weights)
        more, fewer = (
            counts[:, hits[own] & ~hits[other] & among[own]].sum(axis=1)
            for own, other in ((OF_CANDIDATE, OF_BASELINE), (OF_BASELINE, OF_CANDIDATE))
        )
        # The difference of two rounded quotients would not be that of their counts.
        estimate.value = divide(more - fewer, cases)
        distribution = PairedRateDifference(more, fewer, np.maximum(cases, 1))
        return discordance.settle(estimate, distribution)
    estimate.mark_shortfall(MIN_CASES, "cases", n)
    padded = counts + _ADDED
    shares = padded / padded.sum(axis=1, keepdims=True)
    value_one, slopes_one = form.value_and_slopes(_margin(shares, OF_CANDIDATE))
    value_two, slopes_two = form.value_and_slopes(_margin(shares, OF_BASELINE))
    influence = slopes_one[:, OF_CANDIDATE] - slopes_two[:, OF_BASELINE]
    # Shares add up to 1, so that the mean influence is 0 for a function of shares.
    variance = (shares * influence**2).sum(axis=1)
    spare = np.maximum(n - 1, 1)
    studentised = StudentisedDifference(
        value_one - value_two, np.sqrt(variance / spare), spare, np.zeros(len(n)), form.largest
    )
    return discordance.settle(estimate, studentised)


def _counted_few(
    form: BinaryCounted,
    weights: FloatArray,
    found: FloatArray,
    units: FloatArray,
    error: float,
    *,
    clustered: bool,
) -> FewDiscordant:
    """Say what few discordant units leave open of a metric of decisions, by the joint counts.

    As many cases as may be discordant take the place of some that both decide alike: all in the
    class where that changes the metric most, and in one direction. Clusters have cases of both
    classes, and may be discordant as a whole: in either class in whichever direction is farther.
    """
    few = FewDiscordant.of_units(found, units, 1.0, form.largest)
    share = few.share(error)
    agreed = weights * (_among(form) & ~_DISCORDANT)
    agreed = np.nan_to_num(divide(agreed, agreed.sum(axis=1, keepdims=True)))
    of_negatives, of_positives = (
        share * agreed[:, :4].sum(axis=1),
        share * agreed[:, 4:].sum(axis=1),
    )
    # By the cells of label, candidate's and baseline's decision.
    ways = ({2: share}, {6: share})
    if clustered:
        ways = ({2: of_negatives, 6: of_positives}, {1: of_negatives, 6: of_positives})
    farthest = np.zeros(len(share))
    for way in ways:
        moved = agreed * (1 - share)[:, None]
        for cell, mass in way.items():
            moved[:, cell] = mass
        one, other = (form.value_and_slopes(four)[0] for four in candidate_counts(moved))
        farthest = np.maximum(farthest, np.nan_to_num(np.abs(one - other), nan=form.largest))
    return replace(few, reach=farthest / share)


def _among(form: BinaryCounted) -> NDArray[np.bool_]:
    """Say which of the eight cells a metric rests on, where it is the same for both candidates."""
    if form.rate is None:
        return np.ones(8, dtype=bool)
    among: NDArray[np.bool_] = np.array(form.rate.weights[1])[OF_CANDIDATE] > 0
    return among


def _decided_alike(counts: FloatArray) -> BoolArray:
    """Say in which groups both candidates decide all cases alike."""
    alike: BoolArray = counts[:, _DISCORDANT].sum(axis=1) == 0
    return alike


def candidate_counts(counts: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Give the candidate's and the baseline's counts by 2 label + decision, shape (groups, 4)."""
    return _margin(counts, OF_CANDIDATE), _margin(counts, OF_BASELINE)


def flips_of(form: BinaryCounted, counts: FloatArray) -> tuple[DiscordantCounts, FloatArray]:
    """Count the cases that were decided better and worse, and all that the metric rests on."""
    among = _among(form)
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


def _mean_estimate(
    value: FloatArray, n: FloatArray, positives: FloatArray, negatives: FloatArray
) -> Estimate:
    """Estimate the difference of two mean losses, and say of which groups' cases are too few."""
    estimate = Estimate(value.copy(), n)
    estimate.mark_undefined(n == 0, NO_ROWS)
    estimate.mark_shortfall(means.MIN_CASES, "cases", n)
    mark_few_of_a_class(estimate, positives, negatives, MIN_FOR_A_LOSS)
    return estimate


def _reach_of_loss(form: BinaryLoss) -> float:
    """Give how far one case can move a mean loss; what is cut at a huge value has no bound."""
    return np.inf if form.losses is means.log_losses else 1.0


def _reach_of_precision(share: FloatArray, prevalence: FloatArray) -> FloatArray:
    """Give how far average precision moves at most, by the share of cases scored differently.

    With v of them for each positive, precision at the share t of the positives loses at most
    v / (t + v), and v of the positives may lose all: v + v log(1 + 1 / v) together.
    """
    of_each = np.maximum(np.nan_to_num(divide(share, prevalence), nan=1.0), 1e-300)
    reach: FloatArray = np.minimum(of_each * (1 + np.log1p(1 / of_each)), 1.0) / share
    return reach
