"""The metrics of a binary classifier, over all groups of all levels at once."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from evaluator.metrics.agreement import FEWEST_CASES as FEWEST_FOR_MATTHEWS
from evaluator.metrics.agreement import matthews, matthews_interval
from evaluator.metrics.area import FEWEST_OF_EACH_CLASS, area_interval
from evaluator.metrics.calibration import (
    BINS,
    FEWEST_CASES_IN_BINS,
    NO_RECALIBRATION,
    bins_of,
    calibration_error_interval,
    expected_calibration_error,
    log_odds,
    recalibrate,
)
from evaluator.metrics.checks import MetricsInputError
from evaluator.metrics.estimates import (
    NO_ROWS,
    BoolArray,
    Estimate,
    FloatArray,
    Settings,
    divide,
    needs,
)
from evaluator.metrics.levels import Level, Slicing
from evaluator.metrics.linear import Sample
from evaluator.metrics.losses import LARGEST_LOG_LOSS, log_losses, power_sums
from evaluator.metrics.means import estimate_mean, log_odds_interval
from evaluator.metrics.ranking import Area, RankedRows, Runs, area, average_precision
from evaluator.metrics.rates import mean_of_rates_interval, rate_interval

NO_POSITIVES = "no positive labels"
NO_NEGATIVES = "no negative labels"
NO_PREDICTED_POSITIVES = "no predicted positives"
NO_PREDICTED_NEGATIVES = "no predicted negatives"

# What the simulations in benchmarks/coverage.py ask for, so that the intervals keep their promise.
FEWEST_FOR_A_LOSS = 5
FEWEST_SURPRISES = 3
FEWEST_FOR_RECALIBRATION = 20


@dataclass(frozen=True)
class BinaryRows:
    """The rows of one candidate.

    Parameters
    ----------
    label
        Truth, shape (rows,).
    prediction
        Decision, shape (rows,), or None where the candidate has none.
    score
        Score of the positive class, shape (rows,), or None where the candidate has none.
    slicing
        The cells and levels of the rows.
    ranking_metrics
        Which metrics of the scores' order are wanted.
    """

    label: BoolArray
    prediction: BoolArray | None
    score: FloatArray | None
    slicing: Slicing
    ranking_metrics: frozenset[str]

    @cached_property
    def counts(self) -> NDArray[np.int64]:
        """Cases by cell, label and prediction, shape (cells, 2, 2)."""
        code = self.slicing.cell * 4 + self.label * 2
        if self.prediction is not None:
            code += self.prediction
        return np.bincount(code, minlength=self.slicing.cells * 4).reshape(-1, 2, 2)

    @property
    def scores(self) -> FloatArray:
        """The scores; metrics of the score are only asked for where there are some."""
        if self.score is None:
            raise MetricsInputError("this metric needs a score column")
        return self.score

    @property
    def decisions(self) -> BoolArray:
        """The predictions; metrics of them are only asked for where there are some."""
        if self.prediction is None:
            raise MetricsInputError("this metric needs a prediction")
        return self.prediction

    @cached_property
    def ranked(self) -> RankedRows:
        """The rows ready for sorting."""
        return RankedRows(self.scores, self.label, self.slicing)

    @cached_property
    def log_loss(self) -> FloatArray:
        """Power sums of the log loss by cell, cut as scikit-learn cuts it, shape (cells, 3)."""
        return power_sums(self.slicing, self.scores, self.label, log_losses)

    @cached_property
    def surprises(self) -> FloatArray:
        """Count, by cell, the labels that were held less probable than not, shape (cells,)."""
        wrong = (self.scores >= 0.5) ^ self.label  # noqa: PLR2004 - an even chance
        return np.bincount(self.slicing.cell, wrong, minlength=self.slicing.cells).astype(float)

    @cached_property
    def squared_error(self) -> FloatArray:
        """Power sums of the squared error by cell, shape (cells, 3)."""
        return power_sums(
            self.slicing, self.scores, self.label, lambda score, label: (score - label) ** 2
        )

    @cached_property
    def bins(self) -> FloatArray:
        """Cases, summed scores and positives by cell and bin, shape (cells, bins, 3)."""
        code = self.slicing.cell * BINS + bins_of(self.scores)
        size = self.slicing.cells * BINS
        sums = [
            np.bincount(code, values, size).astype(float)
            for values in (None, self.scores, self.label)
        ]
        stacked: FloatArray = np.stack(sums, axis=-1).reshape(-1, BINS, 3)
        return stacked

    @cached_property
    def log_odds(self) -> FloatArray:
        """Log-odds of the scores, shape (rows,)."""
        return log_odds(self.scores)


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

    @cached_property
    def ranking(self) -> list[FloatArray]:
        """Area with variance and freedom, average precision with variance: one sort for all."""
        wanted = self.rows.ranking_metrics

        def of_block(runs: Runs) -> tuple[FloatArray, ...]:
            empty = np.full(len(runs.positives), np.nan)
            found = area(runs) if "roc_auc" in wanted else Area(empty, empty, empty)
            precision = average_precision(runs) if "average_precision" in wanted else (empty, empty)
            return found.value, found.variance, found.freedom, *precision

        def measured(level: Level) -> tuple[FloatArray, ...]:
            parts = [of_block(runs) for runs in self.rows.ranked.blocks(level)]
            return tuple(np.concatenate(one) for one in zip(*parts, strict=True))

        return self.of_levels(measured)

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
    estimate.low, estimate.high = matthews_interval(np.column_stack(four), at.settings.confidence)
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
    value, variance, freedom, _, _ = at.ranking
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
    _, _, _, value, variance = at.ranking
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
