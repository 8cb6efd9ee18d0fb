"""The metrics of a binary classifier where cases have weights or come in clusters."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from scipy import special

from evaluator.metrics._binary import (
    MIN_FOR_MATTHEWS,
    MIN_FOR_RECALIBRATION,
    MIN_OF_EACH_CLASS,
    NO_NEGATIVES,
    NO_POSITIVES,
    NO_PREDICTED_NEGATIVES,
    NO_PREDICTED_POSITIVES,
    mark_unlearned,
    matthews_correlation,
    roc_auc_interval,
)
from evaluator.metrics._calibration import (
    BINS,
    MIN_CASES_IN_BINS,
    NO_RECALIBRATION,
    bins_of,
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
from evaluator.metrics._linear import (
    LinearisedEstimate,
    SurveyDesign,
    weighted_average_precision,
    weighted_roc_auc,
)
from evaluator.metrics._means import MAX_LOG_LOSS, linear_mean, log_losses, log_odds_interval


def measure(
    rows: BinaryRows, designs: Sequence[SurveyDesign], metrics: Sequence[str], confidence: float
) -> dict[str, Estimate]:
    """Measure every level."""
    results = []
    for design in designs:
        at = WeightedLevel(rows, design, confidence)
        results.append({name: MEASURES[name](at) for name in metrics})
    return {name: Estimate.concat([one[name] for one in results]) for name in results[0]}


class WeightedLevel:
    """The rows of a binary classifier at one level."""

    def __init__(self, rows: BinaryRows, design: SurveyDesign, confidence: float) -> None:
        self.rows = rows
        self.design = design
        self.confidence = confidence
        self.label = rows.label
        self.prediction = rows.prediction
        self.all = np.ones(len(rows.label), dtype=bool)

    def rate(self, hits: BoolArray, among: BoolArray, reason: str) -> Estimate:
        """Estimate the weighted share of hits among the chosen rows."""
        return self.design.rate(hits, among, reason, self.confidence)

    def mark_classes(self, estimate: Estimate, least: int, *, undefined: bool = True) -> None:
        """Mark groups of one class undefined, and those of few cases of a class too few."""
        classes = (
            ("positive", self.label, NO_POSITIVES),
            ("negative", ~self.label, NO_NEGATIVES),
        )
        if undefined:
            for _, among, reason in classes:
                estimate.mark_undefined(self.design.cases(among) == 0, reason)
        for what, among, _ in classes:
            cases = self.design.cases(among)
            estimate.mark_too_few(
                cases < least, shortfall_reasons(least, f"effective {what} labels", cases)
            )
        self.design.mark_few_clusters(estimate)

    def fewer(self) -> FloatArray:
        """Count the effective cases of the rarer class."""
        return np.minimum(self.design.cases(self.label), self.design.cases(~self.label))


def _balanced_accuracy(at: WeightedLevel) -> Estimate:
    recall = at.design.ratio(at.prediction & at.label, at.label)
    specificity = at.design.ratio(~at.prediction & ~at.label, ~at.label)
    value = (recall.value + specificity.value) / 2
    influence = (recall.influence + specificity.influence) / 2
    estimate = Estimate(value, at.fewer())
    estimate.low, estimate.high = log_odds_interval(
        value, at.design.variance(influence), at.design.units(), at.confidence
    )
    at.mark_classes(estimate, MIN_OF_EACH_CLASS)
    return estimate


def _f1(at: WeightedLevel) -> Estimate:
    union = at.label | at.prediction
    both = at.label & at.prediction
    estimate = at.rate(both, union, f"{NO_POSITIVES} and {NO_PREDICTED_POSITIVES}")
    weight = at.design.weight
    hits, either = at.design.total(weight * both), at.design.total(weight * union)
    estimate.value = divide(2 * hits, hits + either)
    estimate.low = 2 * estimate.low / (1 + estimate.low)
    estimate.high = 2 * estimate.high / (1 + estimate.high)
    return estimate


def _matthews_correlation(at: WeightedLevel) -> Estimate:
    design = at.design
    four = [
        (at.label == truth) & (at.prediction == decision)
        for truth in (False, True)
        for decision in (False, True)
    ]
    shares = [design.ratio(cell, at.all) for cell in four]
    tn, fp, fn, tp = (share.value for share in shares)
    value = matthews_correlation(tn, fp, fn, tp)
    spread = np.sqrt((tp + fp) * (tp + fn) * (tn + fp) * (tn + fn))
    margins = {
        name: divide(np.ones(len(value)), 2 * total)
        for name, total in (
            ("predicted", tp + fp),
            ("positive", tp + fn),
            ("negative", tn + fp),
            ("other", tn + fn),
        )
    }
    slopes = (
        divide(tp, spread) - value * (margins["negative"] + margins["other"]),
        -divide(fn, spread) - value * (margins["predicted"] + margins["negative"]),
        -divide(fp, spread) - value * (margins["positive"] + margins["other"]),
        divide(tn, spread) - value * (margins["predicted"] + margins["positive"]),
    )
    influence = np.zeros(len(at.label))
    for slope, share in zip(slopes, shares, strict=True):
        influence += np.nan_to_num(slope)[design.group] * share.influence
    # Fisher's transformation keeps the limits inside [-1, 1].
    inside = np.clip(value, -1 + 1e-12, 1 - 1e-12)
    half = design.student(LinearisedEstimate(value, influence), at.confidence) / (1 - inside**2)
    estimate = Estimate(value, design.cases())
    estimate.low = np.tanh(np.arctanh(inside) - half)
    estimate.high = np.tanh(np.arctanh(inside) + half)
    for among, reason in (
        (at.label, NO_POSITIVES),
        (~at.label, NO_NEGATIVES),
        (at.prediction, NO_PREDICTED_POSITIVES),
        (~at.prediction, NO_PREDICTED_NEGATIVES),
    ):
        estimate.mark_undefined(design.cases(among) == 0, reason)
    cases = design.cases()
    estimate.mark_too_few(
        cases < MIN_FOR_MATTHEWS,
        shortfall_reasons(MIN_FOR_MATTHEWS, "effective cases", cases),
    )
    estimate.mark_too_few(half == 0, "no two cases differ, so that the spread is unknown")
    design.mark_few_clusters(estimate)
    return estimate


def _roc_auc(at: WeightedLevel) -> Estimate:
    linear = weighted_roc_auc(at.design, at.rows.scores, at.label)
    estimate = Estimate(linear.value.copy(), at.fewer())
    positives, negatives = at.design.cases(at.label), at.design.cases(~at.label)
    units = at.design.units()
    variance = at.design.variance(linear.influence)
    freedom = np.maximum(np.minimum(positives, negatives) - 1, 1)
    if at.design.cluster is not None:
        tail = (1 + at.confidence) / 2
        freedom = np.maximum(units - 1, 1)
        # With clusters the quantile is always Student's.
        wider = (special.stdtrit(freedom, tail) / special.ndtri(tail)) ** 2
        variance = variance * units / freedom * wider
        freedom = np.full(len(units), np.inf)
    enough = np.flatnonzero((positives > 1) & (negatives > 1))
    estimate.low[enough], estimate.high[enough] = roc_auc_interval(
        linear.value[enough],
        variance[enough],
        freedom[enough],
        classes=(positives[enough], negatives[enough]),
        confidence=at.confidence,
    )
    at.mark_classes(estimate, MIN_OF_EACH_CLASS)
    return estimate


def _average_precision(at: WeightedLevel) -> Estimate:
    linear = weighted_average_precision(at.design, at.rows.scores, at.label)
    cases = at.design.cases(at.label)
    estimate = Estimate(linear.value, cases)
    units = cases if at.design.cluster is None else np.minimum(cases, at.design.units())
    estimate.low, estimate.high = log_odds_interval(
        linear.value, at.design.variance(linear.influence), units, at.confidence
    )
    estimate.mark_undefined(cases == 0, NO_POSITIVES)
    at.mark_classes(estimate, MIN_OF_EACH_CLASS, undefined=False)
    return estimate


def _loss(at: WeightedLevel, losses: FloatArray, largest: float) -> Estimate:
    estimate = linear_mean(at.design, losses, at.confidence, (0.0, largest))
    classes = {
        "effective positive labels": at.design.cases(at.label),
        "effective negative labels": at.design.cases(~at.label),
    }
    mark_unlearned(estimate, classes, at.design.cases(at.rows.surprising))
    at.design.mark_few_clusters(estimate)
    return estimate


def _log_loss(at: WeightedLevel) -> Estimate:
    return _loss(at, log_losses(at.rows.scores, at.label), MAX_LOG_LOSS)


def _brier(at: WeightedLevel) -> Estimate:
    return _loss(at, (at.rows.scores - at.label) ** 2, 1.0)


def _expected_calibration_error(at: WeightedLevel) -> Estimate:
    design, scores = at.design, at.rows.scores
    code = design.group * BINS + bins_of(scores)
    bins = np.stack(
        [
            np.bincount(code, design.weight * values, design.groups * BINS).astype(float)
            for values in (at.all, scores, at.label)
        ],
        axis=-1,
    ).reshape(-1, BINS, 3)
    cases = design.cases()
    # The interval's draws are of independent cases: as many as give the gap between mean
    # probability and base rate the variance that it has here, and no more than Kish's.
    gap = design.ratio(at.label - scores, at.all)
    alone = divide(
        design.total(design.weight * (at.label - scores) ** 2), design.total(design.weight)
    )
    found = divide(alone - np.nan_to_num(gap.value) ** 2, design.variance(gap.influence))
    effective = np.fmin(cases, found)
    scaled = bins * np.nan_to_num(divide(effective, design.total(design.weight)))[:, None, None]
    estimate = Estimate(expected_calibration_error(bins), cases)
    enough = np.flatnonzero(effective >= MIN_CASES_IN_BINS)
    estimate.low[enough], estimate.high[enough] = calibration_error_interval(
        scaled[enough], at.confidence
    )
    estimate.mark_undefined(cases == 0, NO_ROWS)
    estimate.mark_too_few(
        effective < MIN_CASES_IN_BINS,
        shortfall_reasons(MIN_CASES_IN_BINS, "effective cases", effective),
    )
    design.mark_few_clusters(estimate)
    return estimate


def _recalibration(at: WeightedLevel, *, slope: bool) -> Estimate:
    fit = recalibrate(at.design, at.rows.log_odds, at.label, slope=slope)
    estimate = Estimate(fit.linear.value, at.fewer())
    half = at.design.student(fit.linear, at.confidence)
    estimate.low, estimate.high = fit.linear.value - half, fit.linear.value + half
    at.mark_classes(estimate, 0)
    estimate.mark_undefined(~fit.exists, NO_RECALIBRATION)
    at.mark_classes(estimate, MIN_FOR_RECALIBRATION)
    return estimate


MEASURES: Mapping[str, Callable[[WeightedLevel], Estimate]] = {
    "accuracy": lambda at: at.rate(at.prediction == at.label, at.all, NO_ROWS),
    "balanced_accuracy": _balanced_accuracy,
    "precision": lambda at: at.rate(at.label, at.prediction, NO_PREDICTED_POSITIVES),
    "recall": lambda at: at.rate(at.prediction, at.label, NO_POSITIVES),
    "specificity": lambda at: at.rate(~at.prediction, ~at.label, NO_NEGATIVES),
    "false_positive_rate": lambda at: at.rate(at.prediction, ~at.label, NO_NEGATIVES),
    "false_negative_rate": lambda at: at.rate(~at.prediction, at.label, NO_POSITIVES),
    "false_discovery_rate": lambda at: at.rate(~at.label, at.prediction, NO_PREDICTED_POSITIVES),
    "f1": _f1,
    "matthews_correlation": _matthews_correlation,
    "selection_rate": lambda at: at.rate(at.prediction, at.all, NO_ROWS),
    "base_rate": lambda at: at.rate(at.label, at.all, NO_ROWS),
    "roc_auc": _roc_auc,
    "average_precision": _average_precision,
    "log_loss": _log_loss,
    "brier": _brier,
    "expected_calibration_error": _expected_calibration_error,
    "calibration_intercept": lambda at: _recalibration(at, slope=False),
    "calibration_slope": lambda at: _recalibration(at, slope=True),
}
