"""The metrics of a binary classifier, over all groups of all levels at once."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from scipy import special

from evaluator.metrics._calibration import (
    MIN_CASES_IN_BINS,
    NO_RECALIBRATION,
    calibration_error_interval,
    expected_calibration_error,
    recalibrate,
)
from evaluator.metrics._estimates import (
    NO_ROWS,
    BoolArray,
    Estimate,
    FloatArray,
    divide,
    shortfall_reasons,
)
from evaluator.metrics._inputs import BinaryRows
from evaluator.metrics._levels import Level
from evaluator.metrics._linear import SurveyDesign
from evaluator.metrics._means import MAX_LOG_LOSS, estimate_mean, log_odds_interval
from evaluator.metrics._ranking import average_precision, roc_auc
from evaluator.metrics._rates import mean_of_rates_interval, rate_interval

NO_POSITIVES = "no positive labels"
NO_NEGATIVES = "no negative labels"
NO_PREDICTED_POSITIVES = "no predicted positives"
NO_PREDICTED_NEGATIVES = "no predicted negatives"

# What the simulations in benchmarks/coverage.py ask for, so that the intervals keep their promise.
MIN_FOR_A_LOSS = 5
MIN_SURPRISES = 3
MIN_FOR_RECALIBRATION = 20
MIN_FOR_MATTHEWS = 30
MIN_OF_EACH_CLASS = 10
# Draws for Matthews' correlation, and halvings for the area under the ROC curve.
_DRAWS = 2000
_STEPS = 45
_JACCARD = "jaccard"


def measure(rows: BinaryRows, metrics: Sequence[str], confidence: float) -> dict[str, Estimate]:
    """Measure all groups of all levels."""
    at = BinaryGroups(rows, confidence)
    rates = at.rates(
        [_JACCARD if name == "f1" else name for name in metrics if name in {*RATES, "f1"}]
    )
    if "f1" in metrics:
        rates["f1"] = _make_f1(rates[_JACCARD], at)
    return {name: rates[name] if name in rates else MEASURES[name](at) for name in metrics}


class BinaryGroups:
    """What is counted in all groups of all levels; every array has shape (groups,)."""

    def __init__(self, rows: BinaryRows, confidence: float) -> None:
        self.rows = rows
        self.confidence = confidence
        counts = rows.slicing.add_up(rows.counts).astype(float)
        (self.true_negatives, self.false_positives) = counts[:, 0, 0], counts[:, 0, 1]
        (self.false_negatives, self.true_positives) = counts[:, 1, 0], counts[:, 1, 1]
        self.negatives = counts[:, 0].sum(axis=1)
        self.positives = counts[:, 1].sum(axis=1)
        self.predicted_positives = self.false_positives + self.true_positives
        self.predicted_negatives = self.true_negatives + self.false_negatives
        self.n = self.positives + self.negatives

    def of_levels(self, measured: Callable[[Level], tuple[FloatArray, ...]]) -> list[FloatArray]:
        """Measure level by level what has to go through the rows, and join the levels."""
        parts = [measured(level) for level in self.rows.slicing.levels]
        return [np.concatenate(one) for one in zip(*parts, strict=True)]

    def rates(self, names: Sequence[str]) -> dict[str, Estimate]:
        """Estimate several rates; their intervals are solved together, since that is faster."""
        wanted = {name: RATES[name](self) for name in names}
        if not wanted:
            return {}
        low, high = rate_interval(
            np.concatenate([hits for hits, _, _ in wanted.values()]),
            np.concatenate([cases for _, cases, _ in wanted.values()]),
            self.confidence,
        )
        result = {}
        for position, (name, (hits, cases, reason)) in enumerate(wanted.items()):
            own = slice(position * len(self.n), (position + 1) * len(self.n))
            estimate = Estimate(divide(hits, cases), cases)
            estimate.low, estimate.high = low[own], high[own]
            estimate.mark_undefined(cases == 0, reason)
            result[name] = estimate
        return result

    def needs_both_classes(self, estimate: Estimate, least: int = 0) -> None:
        """Mark groups of one class undefined, and those of few cases of a class too few."""
        estimate.mark_undefined(self.positives == 0, NO_POSITIVES)
        estimate.mark_undefined(self.negatives == 0, NO_NEGATIVES)
        for what, cases in (("positive", self.positives), ("negative", self.negatives)):
            estimate.mark_too_few(cases < least, shortfall_reasons(least, f"{what} labels", cases))


# Hits, cases, and why there is no rate where there are no cases.
_Rate = tuple[FloatArray, FloatArray, str]

RATES: Mapping[str, Callable[[BinaryGroups], _Rate]] = {
    "accuracy": lambda at: (at.true_positives + at.true_negatives, at.n, NO_ROWS),
    "precision": lambda at: (at.true_positives, at.predicted_positives, NO_PREDICTED_POSITIVES),
    "recall": lambda at: (at.true_positives, at.positives, NO_POSITIVES),
    "specificity": lambda at: (at.true_negatives, at.negatives, NO_NEGATIVES),
    "false_positive_rate": lambda at: (at.false_positives, at.negatives, NO_NEGATIVES),
    "false_negative_rate": lambda at: (at.false_negatives, at.positives, NO_POSITIVES),
    "false_discovery_rate": lambda at: (
        at.false_positives,
        at.predicted_positives,
        NO_PREDICTED_POSITIVES,
    ),
    "selection_rate": lambda at: (at.predicted_positives, at.n, NO_ROWS),
    "base_rate": lambda at: (at.positives, at.n, NO_ROWS),
    # Of the cases that are positive or predicted positive, the share that is both.
    _JACCARD: lambda at: (
        at.true_positives,
        at.n - at.true_negatives,
        f"{NO_POSITIVES} and {NO_PREDICTED_POSITIVES}",
    ),
}


def _balanced_accuracy(at: BinaryGroups) -> Estimate:
    recall, specificity = at.rates(["recall", "specificity"]).values()
    estimate = Estimate(
        (recall.value + specificity.value) / 2, np.minimum(at.positives, at.negatives)
    )
    estimate.low, estimate.high = mean_of_rates_interval(
        (recall.value, specificity.value),
        (recall.low, specificity.low),
        (recall.high, specificity.high),
    )
    at.needs_both_classes(estimate)
    return estimate


def _make_f1(jaccard: Estimate, at: BinaryGroups) -> Estimate:
    """Turn Jaccard's index J into F1 = 2 J / (1 + J), which grows with it."""
    twice = 2 * at.true_positives
    jaccard.value = divide(twice, twice + at.false_positives + at.false_negatives)
    jaccard.low, jaccard.high = (2 * edge / (1 + edge) for edge in (jaccard.low, jaccard.high))
    return jaccard


def _matthews_correlation(at: BinaryGroups) -> Estimate:
    four = (at.true_negatives, at.false_positives, at.false_negatives, at.true_positives)
    estimate = Estimate(matthews_correlation(*four), at.n)
    low, high = matthews_interval(np.column_stack(four), at.confidence)
    # The draws never reach 1, which a faultless candidate has.
    estimate.low, estimate.high = np.fmin(low, estimate.value), np.fmax(high, estimate.value)
    at.needs_both_classes(estimate)
    estimate.mark_undefined(at.predicted_positives == 0, NO_PREDICTED_POSITIVES)
    estimate.mark_undefined(at.predicted_negatives == 0, NO_PREDICTED_NEGATIVES)
    estimate.mark_too_few(
        at.n < MIN_FOR_MATTHEWS, shortfall_reasons(MIN_FOR_MATTHEWS, "cases", at.n)
    )
    return estimate


def _roc_auc(at: BinaryGroups) -> Estimate:
    def measured(level: Level) -> tuple[FloatArray, ...]:
        found = roc_auc(at.rows.ranked, level)
        return found.value, found.variance, found.freedom

    value, variance, freedom = at.of_levels(measured)
    estimate = Estimate(value.copy(), np.minimum(at.positives, at.negatives))
    enough = np.flatnonzero((at.positives > 1) & (at.negatives > 1))
    estimate.low[enough], estimate.high[enough] = roc_auc_interval(
        value[enough],
        variance[enough],
        np.nan_to_num(freedom[enough], nan=1.0),
        classes=(at.positives[enough], at.negatives[enough]),
        confidence=at.confidence,
    )
    at.needs_both_classes(estimate, MIN_OF_EACH_CLASS)
    return estimate


def _average_precision(at: BinaryGroups) -> Estimate:
    value, variance = at.of_levels(lambda level: average_precision(at.rows.ranked, level))
    estimate = Estimate(value.copy(), at.positives)
    estimate.low, estimate.high = log_odds_interval(value, variance, at.positives, at.confidence)
    estimate.mark_undefined(at.positives == 0, NO_POSITIVES)
    for what, cases in (("positive", at.positives), ("negative", at.negatives)):
        estimate.mark_too_few(
            cases < MIN_OF_EACH_CLASS, shortfall_reasons(MIN_OF_EACH_CLASS, f"{what} labels", cases)
        )
    return estimate


def _loss(at: BinaryGroups, sums: FloatArray, largest: float) -> Estimate:
    total = at.rows.slicing.add_up
    estimate = estimate_mean(at.n, total(sums), at.confidence, (0.0, largest))
    classes = {"positive labels": at.positives, "negative labels": at.negatives}
    mark_unlearned(estimate, classes, total(at.rows.surprises))
    return estimate


def mark_unlearned(
    estimate: Estimate, classes: Mapping[str, FloatArray], surprises: FloatArray
) -> None:
    """Mark the losses of groups that show too little of what makes a loss large.

    A loss is carried by the labels that were held improbable. Where hardly any occurred, the
    spread that is seen says nothing about those that will.
    """
    for what, found in classes.items():
        estimate.mark_too_few(
            found < MIN_FOR_A_LOSS, shortfall_reasons(MIN_FOR_A_LOSS, what, found)
        )
    estimate.mark_too_few(
        surprises < MIN_SURPRISES,
        shortfall_reasons(MIN_SURPRISES, "labels that were held less probable than not", surprises),
    )


def _log_loss(at: BinaryGroups) -> Estimate:
    return _loss(at, at.rows.log_loss, MAX_LOG_LOSS)


def _brier(at: BinaryGroups) -> Estimate:
    return _loss(at, at.rows.squared_error, 1.0)


def _expected_calibration_error(at: BinaryGroups) -> Estimate:
    bins = at.rows.slicing.add_up(at.rows.bins)
    estimate = Estimate(expected_calibration_error(bins), at.n)
    enough = np.flatnonzero(at.n >= MIN_CASES_IN_BINS)
    estimate.low[enough], estimate.high[enough] = calibration_error_interval(
        bins[enough], at.confidence
    )
    estimate.mark_undefined(at.n == 0, NO_ROWS)
    estimate.mark_too_few(
        at.n < MIN_CASES_IN_BINS, shortfall_reasons(MIN_CASES_IN_BINS, "cases", at.n)
    )
    return estimate


def _recalibration(at: BinaryGroups, *, slope: bool) -> Estimate:
    def measured(level: Level) -> tuple[FloatArray, ...]:
        group = level.group_of_cell[at.rows.slicing.cell]
        design = SurveyDesign(group, level.groups, weight=None, cluster=None)
        fit = recalibrate(design, at.rows.log_odds, at.rows.label, slope=slope)
        half = design.student(fit.linear, at.confidence)
        return fit.linear.value, half, fit.exists.astype(float)

    value, half, exists = at.of_levels(measured)
    estimate = Estimate(value, np.minimum(at.positives, at.negatives))
    estimate.low, estimate.high = value - half, value + half
    at.needs_both_classes(estimate)
    estimate.mark_undefined(exists == 0, NO_RECALIBRATION)
    at.needs_both_classes(estimate, MIN_FOR_RECALIBRATION)
    return estimate


def _calibration_intercept(at: BinaryGroups) -> Estimate:
    return _recalibration(at, slope=False)


def _calibration_slope(at: BinaryGroups) -> Estimate:
    return _recalibration(at, slope=True)


MEASURES: Mapping[str, Callable[[BinaryGroups], Estimate]] = {
    "balanced_accuracy": _balanced_accuracy,
    "matthews_correlation": _matthews_correlation,
    "roc_auc": _roc_auc,
    "average_precision": _average_precision,
    "log_loss": _log_loss,
    "brier": _brier,
    "expected_calibration_error": _expected_calibration_error,
    "calibration_intercept": _calibration_intercept,
    "calibration_slope": _calibration_slope,
}


def matthews_correlation(
    true_negatives: FloatArray,
    false_positives: FloatArray,
    false_negatives: FloatArray,
    true_positives: FloatArray,
) -> FloatArray:
    """Give the correlation, NaN where prediction or label has only one value.

    (TP TN - FP FN) / sqrt((TP + FP) (TP + FN) (TN + FP) (TN + FN)).
    Source: B. W. Matthews, Biochimica et Biophysica Acta 405 (1975) 442.
    """
    # Shares, so that the product of four sums stays far from overflowing.
    n = true_negatives + false_positives + false_negatives + true_positives
    n = np.maximum(n, np.finfo(float).tiny)
    tn, fp, fn, tp = (
        count / n for count in (true_negatives, false_positives, false_negatives, true_positives)
    )
    spread = np.sqrt(tp + fp) * np.sqrt(tp + fn) * np.sqrt(tn + fp) * np.sqrt(tn + fn)
    result = np.full(np.shape(spread), np.nan)
    np.divide(tp * tn - fp * fn, spread, out=result, where=spread > 0)
    # Rounding may lead beyond the bounds.
    bounded: FloatArray = np.clip(result, -1, 1)
    return bounded


def matthews_interval(counts: FloatArray, confidence: float) -> tuple[FloatArray, FloatArray]:
    """Give the interval of Matthews' correlation by draws of the four shares.

    The shares are drawn from their Dirichlet distribution given the counts and Jeffreys' prior
    (half a case in each): a Bayesian bootstrap over the counts, so that its cost does not
    depend on the number of rows. Each draw's seed is the counts themselves: equal counts have
    equal intervals, whatever else is measured with them. A multinomial bootstrap covers 0.64
    where this covers 0.92 (20 cases, both rates 0.95).
    """
    limits = np.full((len(counts), 2), np.nan)
    probabilities = [(1 - confidence) / 2, (1 + confidence) / 2]
    unique, back = np.unique(counts, axis=0, return_inverse=True)
    drawn = np.empty((len(unique), 2))
    for position, four in enumerate(unique):
        generator = np.random.default_rng(four.astype(np.uint64))
        shares = generator.standard_gamma(four + 0.5, size=(_DRAWS, 4))
        drawn[position] = np.quantile(matthews_correlation(*shares.T), probabilities)
    if len(unique):
        limits = drawn[back.ravel()]
    return limits[:, 0], limits[:, 1]


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

    limits = []
    for edge in (0.0, 1.0):
        outer, inner = np.full(len(area), edge), area.copy()
        for _ in range(_STEPS):
            middle = (outer + inner) / 2
            out = contradicted(middle)
            outer, inner = np.where(out, middle, outer), np.where(out, inner, middle)
        limits.append(np.where(area == edge, edge, outer))
    return limits[0], limits[1]


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
