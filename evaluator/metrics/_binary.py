"""The metrics of a binary classifier that are no rates, each with all its forms."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import special

from evaluator.metrics._binary_levels import (
    BinaryGroups,
    BinaryLevel,
    BinarySurvey,
    Losses,
)
from evaluator.metrics._calibration import (
    MIN_CASES_IN_BINS,
    NO_RECALIBRATION,
    calibration_error_interval,
    expected_calibration_error,
    recalibrate,
    sum_bins,
    surveyed_calibration_error,
)
from evaluator.metrics._catalogue import (
    CELLS,
    METRICS,
    NEGATIVES,
    POSITIVES,
    PREDICTED_NEGATIVES,
    PREDICTED_POSITIVES,
    RECALL,
    SPECIFICITY,
    Cells,
    Rate,
)
from evaluator.metrics._checks import MetricsInputError
from evaluator.metrics._estimates import (
    MIN_OF_EACH_CLASS,
    BoolArray,
    Estimate,
    FloatArray,
    LinearisedEstimate,
    divide,
    measure_levels,
)
from evaluator.metrics._inputs import BinaryRows, Survey
from evaluator.metrics._levels import Level
from evaluator.metrics._linear import (
    MIN_EQUAL_CLUSTERS,
    TINY,
    Pairs,
    Spread,
    SurveyDesign,
    UnitEstimate,
    UnitSums,
    blindness,
    modelled_cases,
)
from evaluator.metrics._means import (
    EVEN,
    MAX_LOG_LOSS,
    estimate_mean,
    log_losses,
    log_odds_interval,
    power_sums,
    squared_errors,
    survey_mean,
)
from evaluator.metrics._multiclass import (
    MULTICLASS,
    MulticlassGroups,
    MulticlassLevel,
    MulticlassRows,
)
from evaluator.metrics._ranking import average_precision, roc_auc, weighted_average_precision
from evaluator.metrics._rates import halve_towards, lopsided_interval, mean_of_rates_interval

# What the simulations in benchmarks/coverage.py ask for, so that the intervals keep their promise.
MIN_FOR_A_LOSS = 5
MIN_SURPRISES = 3
MIN_FOR_RECALIBRATION = 20
MIN_FOR_MATTHEWS = 30
MIN_CLUSTERS_FOR_A_SLOPE = 25
_ACCURACY = Rate(hits=("tn", "tp"), among=CELLS)
_POSITIVE = Rate(hits=POSITIVES, among=CELLS)
_LOPSIDED_SLOPE = 4
_MAX_EXPONENT = 700.0
# Draws for Matthews' correlation, and halvings for the area under the ROC curve.
_DRAWS = 10_000
_SEED = 405
_STEPS = 45
_Cases = BinaryGroups | BinaryLevel
LinearisedScores = Callable[[SurveyDesign, FloatArray, BoolArray], LinearisedEstimate]


@dataclass(frozen=True)
class BinaryCounted:
    """A metric of decisions, which is compared by both candidates' counts."""

    # Its value and slopes by counts or shares of the confusion matrix's cells, shape (groups, 4).
    value_and_slopes: Callable[[FloatArray], tuple[FloatArray, FloatArray]]
    # Where there must be cases for it to be defined.
    needed: tuple[Cells, ...]
    # The largest difference of two candidates.
    largest: float = 1.0
    # What it is, where the cases are the same for both candidates whatever they decide.
    rate: Rate | None = None

    @classmethod
    def of_rate(cls, rate: Rate) -> "BinaryCounted":
        """Give the form of a rate."""

        def value_and_slopes(four: FloatArray) -> tuple[FloatArray, FloatArray]:
            return rate_and_slopes(rate, four)

        own = rate if rate.of_same_cases else None
        return cls(value_and_slopes, (rate.among,), rate=own)


@dataclass(frozen=True)
class BinaryLoss:
    """A mean loss, which is compared case by case."""

    losses: Losses


@dataclass(frozen=True)
class BinaryRanked:
    """A metric of the scores' order, which is compared by the influences of cases."""

    # From scores and labels; the area under the ROC curve itself does without, since the ranks of
    # cases among the other class are its influences.
    linear: LinearisedScores | None = None


BinaryPaired = BinaryCounted | BinaryLoss | BinaryRanked


@dataclass(frozen=True)
class BinaryMetric:
    """All forms of a metric that is no rate."""

    plain: Callable[[BinaryGroups], Estimate]
    # With weights or clusters.
    weighted: Callable[[BinaryLevel], Estimate]
    # None where the catalogue says why there is no paired test.
    paired: BinaryPaired | None = None


def measure(rows: BinaryRows, metrics: Sequence[str], confidence: float) -> dict[str, Estimate]:
    """Measure all groups of all levels."""
    at = BinaryGroups(rows, confidence)
    rates = {name: rate for name in metrics if (rate := METRICS[name].rate)}
    found = dict(zip(rates, at.rates(list(rates.values())), strict=True))
    return {name: found[name] if name in found else BINARY[name].plain(at) for name in metrics}


def measure_survey(
    rows: BinaryRows, survey: Survey, metrics: Sequence[str], confidence: float
) -> dict[str, Estimate]:
    """Measure every level, where cases have weights or come in clusters."""
    cell, pairs = rows.slicing.cell, Pairs(rows.slicing.cell, survey.cluster)
    shared = BinarySurvey(rows, pairs, survey.weight)
    levels = (
        BinaryLevel(
            shared, SurveyDesign(at, cell, survey.weight, survey.cluster, pairs), at, confidence
        )
        for at in rows.slicing.levels
    )
    return measure_levels(levels, {name: weighted_form(name) for name in metrics})


def weighted_form(metric: str) -> Callable[[BinaryLevel], Estimate]:
    """Give how a metric is measured where cases have weights or come in clusters."""
    rate = METRICS[metric].rate
    return (lambda at: at.rate(rate)) if rate else BINARY[metric].weighted


def paired_form(metric: str) -> BinaryPaired:
    """Give how candidates are compared by a metric."""
    info = METRICS[metric]
    form = BinaryCounted.of_rate(info.rate) if info.rate else BINARY[metric].paired
    if info.no_paired_test or form is None:
        raise MetricsInputError(f"there is no paired test for {metric}: {info.no_paired_test}")
    return form


def rate_and_slopes(rate: Rate, four: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Give a rate and its slopes by the shares of the confusion matrix's cells."""
    hits, among = (np.array(weights) for weights in rate.weights)
    below = four @ among
    value = divide(four @ hits, below)
    return value, divide(hits - value[:, None] * among, below[:, None])


# Balanced accuracy


def _balanced_accuracy(at: BinaryGroups) -> Estimate:
    recall, specificity = at.rates([RECALL, SPECIFICITY])
    estimate = Estimate((recall.value + specificity.value) / 2, at.fewer())
    estimate.low, estimate.high = mean_of_rates_interval(recall, specificity)
    at.mark_undefined(estimate, POSITIVES, NEGATIVES)
    return estimate


def _weighted_balanced_accuracy(at: BinaryLevel) -> Estimate:
    both = [at.unit_rate(rate) for rate in (RECALL, SPECIFICITY)]
    recall, specificity = (rate.rate("", at.confidence) for rate in both)
    # How much the units pull both the same way.
    together, *alone = (
        at.design.of_groups(one.influence * other.influence)
        for one, other in (both, both[:1] * 2, both[1:] * 2)
    )
    correlation = np.nan_to_num(divide(together, np.sqrt(alone[0] * alone[1])))
    rarer = np.argmin([rate.rows for rate in both], axis=0)
    rest = [np.choose(rarer, [getattr(r, name) for r in both]) for name in ("effective", "rows")]
    estimate = Estimate((both[0].value + both[1].value) / 2, *rest)
    estimate.low, estimate.high = mean_of_rates_interval(recall, specificity, correlation)
    if recall.clusters is not None and specificity.clusters is not None:
        estimate.clusters = np.choose(rarer, [recall.clusters, specificity.clusters])
    for single in (recall, specificity):
        estimate.mark_too_few(single.status == "too_few", single.reason)
    at.mark_undefined(estimate, POSITIVES, NEGATIVES)
    return estimate


def _balanced_accuracy_and_slopes(four: FloatArray) -> tuple[FloatArray, FloatArray]:
    recall, of_recall = rate_and_slopes(RECALL, four)
    specificity, of_specificity = rate_and_slopes(SPECIFICITY, four)
    return (recall + specificity) / 2, (of_recall + of_specificity) / 2


# Matthews' correlation


def _matthews_correlation(at: BinaryGroups) -> Estimate:
    estimate = Estimate(matthews_correlation(at.counts), at.cases())
    low, high = matthews_interval(at.counts, at.confidence)
    # The draws never reach 1, which a faultless candidate has.
    estimate.low, estimate.high = np.fmin(low, estimate.value), np.fmax(high, estimate.value)
    at.mark_undefined(estimate, *_MATTHEWS.needed)
    at.mark_few(estimate, MIN_FOR_MATTHEWS)
    return estimate


def _weighted_matthews_correlation(at: BinaryLevel) -> Estimate:
    shares = divide(at.weights, at.weight(CELLS)[:, None])
    value, slopes = _matthews_and_slopes(shares)
    found, alone = at.of_shares(value, np.nan_to_num(slopes))
    spread = found.spread
    # Where hardly any unit has a wrong decision, units are counted instead of cases.
    carriers = at.unit_rate(_ACCURACY).carriers
    blind = blindness(carriers)
    cases = np.fmin(divide(alone, spread.widened(at.confidence, carriers)), found.rows)
    cases = np.where(spread.variance > 0, cases, spread.units)
    known = (1 - blind) / np.maximum(cases, 1) + blind / np.maximum(spread.units, 1)

    def interval(variance: FloatArray) -> tuple[FloatArray, FloatArray]:
        # Draws of as many independent cases as have the variance, and what it is not known by.
        counts = np.nan_to_num(shares) / variance[:, None]
        low, high = matthews_interval(counts, at.confidence)
        return (low + 1) / 2, (high + 1) / 2

    low, high = lopsided_interval(interval, (value + 1) / 2, known, spread.alone, value < 0)
    estimate = found.estimate((np.fmin(2 * low - 1, value), np.fmax(2 * high - 1, value)))
    at.mark_undefined(estimate, *_MATTHEWS.needed)
    at.mark_few(estimate, MIN_FOR_MATTHEWS)
    return estimate


def _matthews_and_slopes(four: FloatArray) -> tuple[FloatArray, FloatArray]:
    tn, fp, fn, tp = four.T
    value = matthews_correlation(four)
    spread = np.sqrt((tp + fp) * (tp + fn) * (tn + fp) * (tn + fn))
    predicted, positive, negative, other = (
        divide(1, 2 * total) for total in (tp + fp, tp + fn, tn + fp, tn + fn)
    )
    slopes = (
        divide(tp, spread) - value * (negative + other),
        -divide(fn, spread) - value * (predicted + negative),
        -divide(fp, spread) - value * (positive + other),
        divide(tn, spread) - value * (predicted + positive),
    )
    return value, np.column_stack(slopes)


_MATTHEWS = BinaryCounted(
    _matthews_and_slopes,
    (POSITIVES, NEGATIVES, PREDICTED_POSITIVES, PREDICTED_NEGATIVES),
    largest=2.0,
)


# Cohen's kappa


def _kappa() -> BinaryMetric:
    """Give all forms of the agreement beyond chance, as of any classes."""
    measure = MULTICLASS["cohen_kappa"].measure

    def rows_of(at: _Cases) -> MulticlassRows:
        label, prediction = (one.astype(np.intp) for one in (at.rows.label, at.rows.prediction))
        return MulticlassRows((0, 1), label, prediction, None, possible=(0, 1), declared=True)

    def plain(at: BinaryGroups) -> Estimate:
        return marked(at, MulticlassGroups(rows_of(at), at.rows.slicing, at.confidence))

    def weighted(at: BinaryLevel) -> Estimate:
        return marked(at, MulticlassLevel(rows_of(at), at.design, at.confidence))

    def marked(at: _Cases, level: MulticlassLevel) -> Estimate:
        estimate = measure(level)
        if not isinstance(estimate, Estimate):
            raise TypeError("kappa has one value over all classes")
        at.mark_undefined(estimate, POSITIVES, NEGATIVES)
        return estimate

    compared = BinaryCounted(_kappa_and_slopes, (POSITIVES, NEGATIVES), largest=2.0)
    return BinaryMetric(plain, weighted, compared)


def _kappa_and_slopes(four: FloatArray) -> tuple[FloatArray, FloatArray]:
    tn, fp, fn, tp = four.T
    negative, positive, other, predicted = tn + fp, fn + tp, tn + fn, fp + tp
    chance = positive * other + negative * predicted
    cases = negative + positive
    ratio = divide(cases * (fp + fn), chance)
    # By how much each cell moves the disagreement by chance.
    moves = (positive + predicted, predicted + negative, other + positive, other + negative)
    slopes = [
        -divide((fp + fn) + cases * is_wrong - ratio * moved, chance)
        for is_wrong, moved in zip((0, 1, 1, 0), moves, strict=True)
    ]
    return 1 - ratio, np.column_stack(slopes)


# Of the scores' order


def _roc_auc(at: BinaryGroups) -> Estimate:
    value, variance, freedom = at.of_levels(lambda level: roc_auc(at.rows.ranked, level))
    freedom = np.nan_to_num(freedom, nan=1.0)
    positives, negatives = at.cases(POSITIVES), at.cases(NEGATIVES)
    estimate = Estimate(value.copy(), np.minimum(positives, negatives))
    enough = np.flatnonzero((positives > 1) & (negatives > 1))
    estimate.low[enough], estimate.high[enough] = roc_auc_interval(
        value[enough],
        variance[enough],
        freedom[enough],
        classes=(positives[enough], negatives[enough]),
        confidence=at.confidence,
    )
    at.mark_undefined(estimate, POSITIVES, NEGATIVES)
    at.mark_few_of_a_class(estimate, MIN_OF_EACH_CLASS)
    return estimate


def _weighted_roc_auc(at: BinaryLevel) -> Estimate:
    # Of each unit and class: weights, squared weights, and w c, w^2 c and w^2 c^2, where c is the
    # share of the other class that a case outranks, or that outranks it; shape (units, 5, 2).
    weight, square, linear, once, twice = at.ranked_units().transpose(1, 0, 2)
    design, group = at.design, at.design.group_of_unit
    totals = np.stack([at.weight(NEGATIVES), at.weight(POSITIVES)], axis=-1)
    known = np.maximum(totals, TINY)[group]
    area = divide(design.of_groups(linear[:, 1]), totals[:, 1])
    area = np.where((totals > 0).all(axis=1), area, np.nan)
    own = np.nan_to_num(area)[group][:, None]
    influence = (linear - own * weight) / known
    squares = np.maximum(twice - 2 * own * once + own**2 * square, 0) / known**2
    share, share_squares = weight / known, square / known**2
    sums = UnitSums(
        group,
        influence.sum(axis=1),
        squares.sum(axis=1),
        share.sum(axis=1) / 2,
        share_squares.sum(axis=1) / 4,
    )
    rows = np.fmin(at.row_count(POSITIVES), at.row_count(NEGATIVES))
    found = design.found(area, sums, rows)
    # The units that have what the area lacks, or what it has, if that is less.
    has = (linear / known).sum(axis=1)
    rarer = np.where(own[:, 0] > EVEN, share.sum(axis=1) - has, has)
    carriers = design.of_groups_effective(np.maximum(rarer, 0))
    # Where hardly any unit has a pair in the wrong order, units are counted instead of cases.
    blind = blindness(carriers)
    cases, counted, classes = [], [], []
    for one in (1, 0):
        alone = design.of_groups(share_squares[:, one])
        alike = found.spread.correlation
        cases.append(modelled_cases(alike, alone, design.of_groups(share[:, one] ** 2)))
        counted.append(design.of_groups_effective(share[:, one]))
        apart = (1 - blind) / np.maximum(cases[-1], 1) + blind / np.maximum(counted[-1], 1)
        classes.append(1 / apart)
    fewer = np.min(cases, axis=0)
    found = found.with_cases(fewer * found.spread.modelled, np.min(counted, axis=0))

    def interval(variance: FloatArray) -> tuple[FloatArray, FloatArray]:
        return roc_auc_interval(
            area,
            variance,
            np.maximum(fewer - 1, 1),
            classes=(classes[0], classes[1]),
            confidence=at.confidence,
        )

    variance = found.spread.widened(at.confidence, carriers)
    estimate = found.estimate(
        lopsided_interval(interval, area, variance, found.spread.alone, area < EVEN)
    )
    at.mark_undefined(estimate, POSITIVES, NEGATIVES)
    at.mark_few_of_a_class(estimate, MIN_OF_EACH_CLASS)
    return estimate


def _average_precision(at: BinaryGroups) -> Estimate:
    value, variance = at.of_levels(lambda level: average_precision(at.rows.ranked, level))
    positives = at.cases(POSITIVES)
    spread = Spread.of_cases(positives, variance, np.zeros(len(value)))
    found = UnitEstimate(value, spread, positives, positives, None)
    return _average_precision_estimate(at, found)


def _weighted_average_precision(at: BinaryLevel) -> Estimate:
    label = at.rows.label
    linear = weighted_average_precision(at.design, at.rows.scores, label)
    found = at.design.measure(linear, label, np.ones(len(label), dtype=bool))
    return _average_precision_estimate(at, found)


def _average_precision_estimate(at: _Cases, found: UnitEstimate) -> Estimate:
    # A positive counts in the precision at its own score, by which the value is too high by about
    # 1 / positives: by that root of its own error, which the variance does not show.
    more = (1 + 1 / np.sqrt(np.maximum(found.effective, 1))) ** 2
    spread = replace(found.spread, variance=found.spread.variance * more)
    interval = log_odds_interval(replace(found, spread=spread), at.confidence)
    estimate = found.estimate(interval)
    at.mark_undefined(estimate, POSITIVES)
    at.mark_few_of_a_class(estimate, MIN_OF_EACH_CLASS)
    return estimate


# Losses


def _mean_loss(losses: Losses, largest: float) -> BinaryMetric:
    """Give all forms of the mean of a loss from 0 to the largest."""

    def plain(at: BinaryGroups) -> Estimate:
        rows, total = at.rows, at.rows.slicing.add_up
        sums = total(power_sums(rows.slicing, rows.scores, rows.label, losses))
        estimate = estimate_mean(at.cases(), sums, at.confidence, (0.0, largest))
        _mark_unlearned(at, estimate, total(rows.surprises))
        return estimate

    def weighted(at: BinaryLevel) -> Estimate:
        found, carried = at.of_mean(losses)
        estimate = survey_mean(
            found,
            at.design.of_groups_effective(carried),
            cases=at.cases(),
            confidence=at.confidence,
            bounds=(0.0, largest),
        )
        _mark_unlearned(at, estimate, at.surprises())
        return estimate

    return BinaryMetric(plain, weighted, BinaryLoss(losses))


def _mark_unlearned(at: _Cases, estimate: Estimate, surprises: FloatArray) -> None:
    """Mark the losses of groups that show too little of what makes a loss large.

    A loss is carried by the labels that were held improbable. Where hardly any occurred, the
    spread that is seen says nothing about those that will.
    """
    at.mark_few_of_a_class(estimate, MIN_FOR_A_LOSS)
    what = "labels that were held less probable than not"
    estimate.mark_shortfall(MIN_SURPRISES, what, surprises)


# Calibration


def _expected_calibration_error(at: BinaryGroups) -> Estimate:
    bins = at.rows.slicing.add_up(at.rows.bins)
    estimate = Estimate(expected_calibration_error(bins), at.cases())
    estimate.low, estimate.high = calibration_error_interval(bins, at.confidence)
    return _mark_calibration_error(at, estimate, at.cases())


def _weighted_expected_calibration_error(at: BinaryLevel) -> Estimate:
    design, scores, label = at.design, at.rows.scores, at.rows.label
    weight = design.weight
    bins = sum_bins(design.group, design.groups, scores, (weight, weight * scores, weight * label))
    found = design.measure(design.mean(label - scores))
    estimate, drawn = surveyed_calibration_error(design, found, bins, at.confidence)
    return _mark_calibration_error(at, estimate, drawn)


def _mark_calibration_error(at: _Cases, estimate: Estimate, drawn: FloatArray) -> Estimate:
    at.mark_undefined(estimate, CELLS)
    estimate.mark_shortfall(MIN_CASES_IN_BINS, f"{at.counted}cases", drawn)
    return estimate


def _recalibration(*, slope: bool) -> BinaryMetric:
    """Give the forms of the intercept or the slope of a recalibration."""

    def fit(at: _Cases, design: SurveyDesign) -> tuple[UnitEstimate, BoolArray]:
        linear, exists = recalibrate(design, at.rows.log_odds, at.rows.label, slope=slope)
        return design.measure(linear), exists

    def plain(at: BinaryGroups) -> Estimate:
        def measured(level: Level) -> tuple[FloatArray, FloatArray, BoolArray]:
            found, exists = fit(at, SurveyDesign(level, at.rows.slicing.cell))
            return found.value, found.spread.half_width(at.confidence), exists

        value, half, exists = at.of_levels(measured)
        estimate = Estimate(value, at.fewer())
        estimate.low, estimate.high = value - half, value + half
        return marked(at, estimate, exists)

    def weighted(at: BinaryLevel) -> Estimate:
        found, exists = fit(at, at.design)
        # Few clusters whose scores mislead move it most, and a slope down: what was not drawn of
        # them is on the lower side.
        spread = found.spread
        carriers = np.fmin(spread.carriers / 3, at.unit_rate(_POSITIVE).carriers)
        half = spread.half_width(at.confidence, carriers)
        rows = np.fmin(at.design.total(at.rows.label), at.design.total(~at.rows.label))
        fewest = MIN_CLUSTERS_FOR_A_SLOPE if slope else MIN_EQUAL_CLUSTERS
        low = found.value - half
        if slope:
            relative = _LOPSIDED_SLOPE * half / np.maximum(np.abs(found.value), TINY)
            far = half * np.expm1(np.minimum(relative, _MAX_EXPONENT)) / np.maximum(relative, TINY)
            low -= (1 - spread.alone) * np.maximum(far - half, 0)
        estimate = found.resting_on(rows).estimate((low, found.value + half), fewest)
        return marked(at, estimate, exists)

    def marked(at: _Cases, estimate: Estimate, exists: BoolArray) -> Estimate:
        at.mark_undefined(estimate, POSITIVES, NEGATIVES)
        estimate.mark_undefined(~exists, NO_RECALIBRATION)
        at.mark_few_of_a_class(estimate, MIN_FOR_RECALIBRATION)
        return estimate

    return BinaryMetric(plain, weighted)


BINARY: Mapping[str, BinaryMetric] = {
    "balanced_accuracy": BinaryMetric(
        _balanced_accuracy,
        _weighted_balanced_accuracy,
        BinaryCounted(_balanced_accuracy_and_slopes, (POSITIVES, NEGATIVES)),
    ),
    "matthews_correlation": BinaryMetric(
        _matthews_correlation, _weighted_matthews_correlation, _MATTHEWS
    ),
    "cohen_kappa": _kappa(),
    "roc_auc": BinaryMetric(_roc_auc, _weighted_roc_auc, BinaryRanked()),
    "average_precision": BinaryMetric(
        _average_precision, _weighted_average_precision, BinaryRanked(weighted_average_precision)
    ),
    "log_loss": _mean_loss(log_losses, MAX_LOG_LOSS),
    "brier": _mean_loss(squared_errors, 1.0),
    "expected_calibration_error": BinaryMetric(
        _expected_calibration_error, _weighted_expected_calibration_error
    ),
    "calibration_intercept": _recalibration(slope=False),
    "calibration_slope": _recalibration(slope=True),
}
"""The metrics that are no rates, by name."""


def matthews_correlation(four: FloatArray) -> FloatArray:
    """Give the correlation by the cells' counts, NaN where prediction or label has only one value.

    (TP TN - FP FN) / sqrt((TP + FP) (TP + FN) (TN + FP) (TN + FN)).
    Source: B. W. Matthews, Biochimica et Biophysica Acta 405 (1975) 442.
    """
    # Shares, so that the product of four sums stays far from overflowing.
    tn, fp, fn, tp = four.T
    n = np.maximum(tn + fp + fn + tp, np.finfo(float).tiny)
    tn, fp, fn, tp = (count / n for count in (tn, fp, fn, tp))
    spread = np.sqrt(tp + fp) * np.sqrt(tp + fn) * np.sqrt(tn + fp) * np.sqrt(tn + fn)
    # Rounding may lead beyond the bounds.
    bounded: FloatArray = np.clip(divide(tp * tn - fp * fn, spread), -1, 1)
    return bounded


def matthews_interval(counts: FloatArray, confidence: float) -> tuple[FloatArray, FloatArray]:
    """Give the interval of Matthews' correlation by draws of the four shares.

    The shares are drawn from their Dirichlet distribution given the counts and Jeffreys' prior
    (half a case in each): a Bayesian bootstrap over the counts, so that its cost does not
    depend on the number of rows. The draws have the same seed always: equal counts have equal
    intervals, and nearly equal ones nearly equal, whatever else is measured with them. A
    multinomial bootstrap covers 0.64 where this covers 0.92 (20 cases, both rates 0.95).
    """
    probabilities = [(1 - confidence) / 2, (1 + confidence) / 2]
    unique, back = np.unique(counts, axis=0, return_inverse=True)
    drawn = np.empty((len(unique), 2))
    for position, four in enumerate(unique):
        generator = np.random.default_rng(_SEED)
        shares = generator.standard_gamma(four + 0.5, size=(_DRAWS, 4))
        drawn[position] = np.quantile(matthews_correlation(shares), probabilities)
    low, high = drawn[back.ravel()].T
    return low, high


def roc_auc_interval(
    area: FloatArray,
    variance: FloatArray,
    freedom: FloatArray,
    *,
    classes: tuple[FloatArray, FloatArray],
    confidence: float,
) -> tuple[FloatArray, FloatArray]:
    """Give the areas that the data do not contradict.

    As Wilson's interval does for a rate, the variance is taken at each area in question rather
    than at the one observed, so that an area of 0 or 1 has an interval, too. The variance is
    Newcombe's model times the ratio, at the observed area, of DeLong's variance to the model's.
    A ratio above 1 is taken as it is, with Student's quantile. A ratio below 1 counts only as
    far as there are disagreements e to learn it from, by the weight e / (e + 2): near the edges
    DeLong's variance is too small to be trusted (0 at an area of 1).

    In simulation it covers where the logit interval does not: with 10 positives, 200 negatives
    and an area of 0.95, in 0.97 of the samples against 0.86 (benchmarks/coverage.py).
    """
    positives, negatives = classes
    pairs = positives * negatives
    inside = (area * pairs + 0.5) / (pairs + 1)
    ratio = variance / _model_variance(inside, positives, negatives)
    disagreements = np.minimum(positives, negatives) * np.minimum(area, 1 - area)
    trusted = 1 + (ratio - 1) * disagreements / (disagreements + 2)
    scale = np.where(ratio < 1, trusted, ratio)
    tail = (1 + confidence) / 2
    quantile = np.where(
        ratio > 1, special.stdtrit(np.maximum(freedom, 1), tail), special.ndtri(tail)
    )

    def contradicted(candidate: FloatArray) -> BoolArray:
        spread = scale * _model_variance(candidate, positives, negatives)
        return np.asarray((candidate - area) ** 2 > quantile**2 * spread, dtype=bool)

    low, high = (halve_towards(edge, area, contradicted, _STEPS) for edge in (0.0, 1.0))
    return low, high


def _model_variance(area: FloatArray, positives: FloatArray, negatives: FloatArray) -> FloatArray:
    """Give the variance that an area has when both classes' scores are exponential.

    A (1 - A) / (m n) [1 + ((m + n) / 2 - 1) ((1 - A) / (2 - A) + A / (1 + A))], with m positives
    and n negatives.
    Sources: J. Hanley, B. McNeil, Radiology 143 (1982) 29; symmetrised by R. Newcombe, Statistics
    in Medicine 25 (2006) 559, method 5.
    """
    size = (positives + negatives) / 2 - 1
    spread = (1 - area) / (2 - area) + area / (1 + area)
    return area * (1 - area) / (positives * negatives) * (1 + size * spread)
