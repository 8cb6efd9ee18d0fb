"""The metrics of a binary classifier, over all groups of all levels at once."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from evaluator.metrics.agreement import FEWEST_CASES as FEWEST_FOR_MATTHEWS
from evaluator.metrics.agreement import matthews, matthews_interval
from evaluator.metrics.area import FEWEST_OF_EACH_CLASS, area_interval
from evaluator.metrics.binary_rows import BinaryRows
from evaluator.metrics.calibration import (
    FEWEST_CASES_IN_BINS,
    NO_RECALIBRATION,
    calibration_error_interval,
    expected_calibration_error,
    recalibrate,
)
from evaluator.metrics.estimates import (
    NO_ROWS,
    Estimate,
    FloatArray,
    Settings,
    divide,
    needs,
)
from evaluator.metrics.levels import Level
from evaluator.metrics.linear import Sample
from evaluator.metrics.losses import LARGEST_LOG_LOSS
from evaluator.metrics.means import estimate_mean, log_odds_interval
from evaluator.metrics.ranking import area, average_precision
from evaluator.metrics.rates import mean_of_rates_interval, rate_interval

NO_POSITIVES = "no positive labels"
NO_NEGATIVES = "no negative labels"
NO_PREDICTED_POSITIVES = "no predicted positives"
NO_PREDICTED_NEGATIVES = "no predicted negatives"

# What the simulations in benchmarks/coverage.py ask for, so that the intervals keep their promise.
FEWEST_FOR_A_LOSS = 5
FEWEST_SURPRISES = 3
FEWEST_FOR_RECALIBRATION = 20


class BinaryGroups:
    """What is counted in all groups of all levels; every array has shape (groups,)."""

    def __init__(self, rows: BinaryRows, settings: Settings) -> None:
        self.rows = rows
        self.settings = settings
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

    def rate(self, hits: FloatArray, cases: FloatArray, reason: str) -> Estimate:
        """Estimate hits / cases, undefined for the reason where there are no cases."""
        estimate = Estimate(divide(hits, cases), cases)
        estimate.low, estimate.high = rate_interval(
            hits, cases, self.settings.confidence, self.settings.interval
        )
        estimate.mark_undefined(cases == 0, reason)
        return estimate

    def needs_both_classes(self, estimate: Estimate, least: int = 0) -> None:
        """Mark groups of one class undefined, and those of few cases of a class too few."""
        estimate.mark_undefined(self.positives == 0, NO_POSITIVES)
        estimate.mark_undefined(self.negatives == 0, NO_NEGATIVES)
        for what, cases in (("positive", self.positives), ("negative", self.negatives)):
            estimate.mark_too_few(cases < least, needs(least, f"{what} labels", cases))


def _accuracy(at: BinaryGroups) -> Estimate:
    return at.rate(at.true_positives + at.true_negatives, at.n, NO_ROWS)


def _balanced_accuracy(at: BinaryGroups) -> Estimate:
    recall, specificity = _recall(at), _specificity(at)
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


def _precision(at: BinaryGroups) -> Estimate:
    return at.rate(at.true_positives, at.predicted_positives, NO_PREDICTED_POSITIVES)


def _recall(at: BinaryGroups) -> Estimate:
    return at.rate(at.true_positives, at.positives, NO_POSITIVES)


def _specificity(at: BinaryGroups) -> Estimate:
    return at.rate(at.true_negatives, at.negatives, NO_NEGATIVES)


def _false_positive_rate(at: BinaryGroups) -> Estimate:
    return at.rate(at.false_positives, at.negatives, NO_NEGATIVES)


def _false_negative_rate(at: BinaryGroups) -> Estimate:
    return at.rate(at.false_negatives, at.positives, NO_POSITIVES)


def _false_discovery_rate(at: BinaryGroups) -> Estimate:
    return at.rate(at.false_positives, at.predicted_positives, NO_PREDICTED_POSITIVES)


def _f1(at: BinaryGroups) -> Estimate:
    # Of the cases that are positive or predicted positive, the share that is both (Jaccard's
    # index J) is a rate with an exact interval, and F1 = 2 J / (1 + J) grows with it.
    union = at.n - at.true_negatives
    jaccard = at.rate(at.true_positives, union, f"{NO_POSITIVES} and {NO_PREDICTED_POSITIVES}")
    value = divide(2 * at.true_positives, union + at.true_positives)
    low, high = (2 * limit / (1 + limit) for limit in (jaccard.low, jaccard.high))
    jaccard.value, jaccard.low, jaccard.high = value, low, high
    return jaccard


def _matthews_correlation(at: BinaryGroups) -> Estimate:
    four = (at.true_negatives, at.false_positives, at.false_negatives, at.true_positives)
    estimate = Estimate(matthews(*four), at.n)
    low, high = matthews_interval(np.column_stack(four), at.settings.confidence)
    # The draws never reach 1, which a faultless candidate has.
    estimate.low, estimate.high = np.fmin(low, estimate.value), np.fmax(high, estimate.value)
    at.needs_both_classes(estimate)
    estimate.mark_undefined(at.predicted_positives == 0, NO_PREDICTED_POSITIVES)
    estimate.mark_undefined(at.predicted_negatives == 0, NO_PREDICTED_NEGATIVES)
    estimate.mark_too_few(at.n < FEWEST_FOR_MATTHEWS, needs(FEWEST_FOR_MATTHEWS, "cases", at.n))
    return estimate


def _selection_rate(at: BinaryGroups) -> Estimate:
    return at.rate(at.predicted_positives, at.n, NO_ROWS)


def _base_rate(at: BinaryGroups) -> Estimate:
    return at.rate(at.positives, at.n, NO_ROWS)


def _roc_auc(at: BinaryGroups) -> Estimate:
    def measured(level: Level) -> tuple[FloatArray, ...]:
        found = area(at.rows.ranked, level)
        return found.value, found.variance, found.freedom

    value, variance, freedom = at.of_levels(measured)
    estimate = Estimate(value.copy(), np.minimum(at.positives, at.negatives))
    enough = np.flatnonzero((at.positives > 1) & (at.negatives > 1))
    estimate.low[enough], estimate.high[enough] = area_interval(
        value[enough],
        variance[enough],
        np.nan_to_num(freedom[enough], nan=1.0),
        classes=(at.positives[enough], at.negatives[enough]),
        confidence=at.settings.confidence,
    )
    at.needs_both_classes(estimate, FEWEST_OF_EACH_CLASS)
    return estimate


def _average_precision(at: BinaryGroups) -> Estimate:
    value, variance = at.of_levels(lambda level: average_precision(at.rows.ranked, level))
    estimate = Estimate(value.copy(), at.positives)
    estimate.low, estimate.high = log_odds_interval(
        value, variance, at.positives, at.settings.confidence
    )
    estimate.mark_undefined(at.positives == 0, NO_POSITIVES)
    for what, cases in (("positive", at.positives), ("negative", at.negatives)):
        estimate.mark_too_few(
            cases < FEWEST_OF_EACH_CLASS, needs(FEWEST_OF_EACH_CLASS, f"{what} labels", cases)
        )
    return estimate


def _loss(at: BinaryGroups, sums: FloatArray, largest: float) -> Estimate:
    total = at.rows.slicing.add_up
    estimate = estimate_mean(at.n, total(sums), at.settings.confidence, (0.0, largest))
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
        estimate.mark_too_few(found < FEWEST_FOR_A_LOSS, needs(FEWEST_FOR_A_LOSS, what, found))
    estimate.mark_too_few(
        surprises < FEWEST_SURPRISES,
        needs(FEWEST_SURPRISES, "labels that were held less probable than not", surprises),
    )


def _log_loss(at: BinaryGroups) -> Estimate:
    return _loss(at, at.rows.log_loss, LARGEST_LOG_LOSS)


def _brier(at: BinaryGroups) -> Estimate:
    return _loss(at, at.rows.squared_error, 1.0)


def _expected_calibration_error(at: BinaryGroups) -> Estimate:
    bins = at.rows.slicing.add_up(at.rows.bins)
    estimate = Estimate(expected_calibration_error(bins), at.n)
    enough = np.flatnonzero(at.n >= FEWEST_CASES_IN_BINS)
    estimate.low[enough], estimate.high[enough] = calibration_error_interval(
        bins[enough], at.settings.confidence
    )
    estimate.mark_undefined(at.n == 0, NO_ROWS)
    estimate.mark_too_few(at.n < FEWEST_CASES_IN_BINS, needs(FEWEST_CASES_IN_BINS, "cases", at.n))
    return estimate


def _recalibration(at: BinaryGroups, *, slope: bool) -> Estimate:
    def measured(level: Level) -> tuple[FloatArray, ...]:
        group = level.group_of_cell[at.rows.slicing.cell]
        sample = Sample(group, level.groups, weight=None, cluster=None)
        fit = recalibrate(sample, at.rows.log_odds, at.rows.label, slope=slope)
        half = sample.student(fit.linear, at.settings.confidence)
        return fit.linear.value, half, fit.exists.astype(float)

    value, half, exists = at.of_levels(measured)
    estimate = Estimate(value, np.minimum(at.positives, at.negatives))
    estimate.low, estimate.high = value - half, value + half
    at.needs_both_classes(estimate)
    estimate.mark_undefined(exists == 0, NO_RECALIBRATION)
    at.needs_both_classes(estimate, FEWEST_FOR_RECALIBRATION)
    return estimate


def _calibration_intercept(at: BinaryGroups) -> Estimate:
    return _recalibration(at, slope=False)


def _calibration_slope(at: BinaryGroups) -> Estimate:
    return _recalibration(at, slope=True)


MEASURES: Mapping[str, Callable[[BinaryGroups], Estimate]] = {
    "accuracy": _accuracy,
    "balanced_accuracy": _balanced_accuracy,
    "precision": _precision,
    "recall": _recall,
    "specificity": _specificity,
    "false_positive_rate": _false_positive_rate,
    "false_negative_rate": _false_negative_rate,
    "false_discovery_rate": _false_discovery_rate,
    "f1": _f1,
    "matthews_correlation": _matthews_correlation,
    "selection_rate": _selection_rate,
    "base_rate": _base_rate,
    "roc_auc": _roc_auc,
    "average_precision": _average_precision,
    "log_loss": _log_loss,
    "brier": _brier,
    "expected_calibration_error": _expected_calibration_error,
    "calibration_intercept": _calibration_intercept,
    "calibration_slope": _calibration_slope,
}


def measure(rows: BinaryRows, metrics: Sequence[str], settings: Settings) -> dict[str, Estimate]:
    """Measure all groups of all levels."""
    at = BinaryGroups(rows, settings)
    return {name: MEASURES[name](at) for name in metrics}
