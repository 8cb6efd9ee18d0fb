"""The metrics of a classifier of more than two classes, over all groups of all levels."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import permutations
from typing import Any

import numpy as np

from evaluator.metrics._checks import MetricsInputError
from evaluator.metrics._estimates import (
    MIN_OF_EACH_CLASS,
    NO_ROWS,
    BoolArray,
    Estimate,
    FloatArray,
    concat_levels,
)
from evaluator.metrics._levels import IntArray
from evaluator.metrics._linear import LinearisedEstimate, SurveyDesign, weighted_roc_auc
from evaluator.metrics._means import MAX_LOG_LOSS, clipped_log, linear_mean, log_odds_interval

_CONFUSION = "confusion_matrix"
_NO_LABEL = "no label of class {!r}"
_NEVER_PREDICTED = "class {!r} is never predicted"


@dataclass(frozen=True)
class MulticlassRows:
    """The rows of one candidate; classes are numbered by their position among `classes`."""

    classes: tuple[Any, ...]
    # Numbers of classes, shape (rows,).
    label: IntArray
    prediction: IntArray
    # One column a class, shape (rows, classes).
    scores: FloatArray | None


def measure(
    rows: MulticlassRows, designs: Sequence[SurveyDesign], metrics: Sequence[str], confidence: float
) -> dict[str, Estimate]:
    """Measure every level; the confusion matrix is one metric for each pair of classes."""
    results = []
    for design in designs:
        at = MulticlassLevel(rows, design, confidence)
        measured: dict[str, Estimate] = {}
        for name in metrics:
            if name == _CONFUSION:
                measured |= _confusion(at)
            else:
                measured[name] = MEASURES[name](at)
        results.append(measured)
    return concat_levels(results)


class MulticlassLevel:
    """The rows at one level, and what several metrics need of them."""

    def __init__(self, rows: MulticlassRows, design: SurveyDesign, confidence: float) -> None:
        self.rows = rows
        self.design = design
        self.confidence = confidence
        self.all = np.ones(len(rows.label), dtype=bool)
        self.numbers = range(len(rows.classes))
        self.of_class = [rows.label == number for number in self.numbers]

    @cached_property
    def decided(self) -> list[BoolArray]:
        """Which rows were predicted as each class."""
        return [self.rows.prediction == number for number in self.numbers]

    @property
    def scores(self) -> FloatArray:
        """The scores, shape (rows, classes)."""
        if self.rows.scores is None:
            raise MetricsInputError("this metric needs score columns, one a class")
        return self.rows.scores

    @cached_property
    def right(self) -> BoolArray:
        """Which predictions are the label."""
        right: BoolArray = np.logical_or.reduce(
            [truth & decision for truth, decision in zip(self.of_class, self.decided, strict=True)]
        )
        return right

    def rate(self, hits: BoolArray, among: BoolArray, reason: str) -> Estimate:
        """Estimate the share of hits among the chosen rows."""
        return self.design.rate(hits, among, reason, self.confidence)

    def of_each_class(self, kind: str) -> list[LinearisedEstimate]:
        """Measure precision, recall or F1 of each class."""
        result = []
        for truth, decision in zip(self.of_class, self.decided, strict=True):
            among = {
                "precision": decision.astype(float),
                "recall": truth.astype(float),
                "f1": (truth.astype(float) + decision) / 2,
            }[kind]
            result.append(self.design.ratio(truth & decision, among))
        return result

    def mark_absent(self, estimate: Estimate, among: list[BoolArray], what: str) -> None:
        """Mark groups undefined where a class has none of the rows that it needs."""
        estimate.mark_undefined(self.design.n == 0, NO_ROWS)
        for number in self.numbers:
            estimate.mark_undefined(
                self.design.cases(among[number]) == 0, what.format(self.rows.classes[number])
            )

    def interval(self, linear: LinearisedEstimate, among: list[BoolArray]) -> Estimate:
        """Estimate a mean over classes, which rests on the class of the fewest cases."""
        fewest: FloatArray = np.min([self.design.cases(rows) for rows in among], axis=0)
        units: FloatArray = np.min([self.design.units(rows) for rows in among], axis=0)
        estimate = Estimate(linear.value, fewest)
        estimate.low, estimate.high = log_odds_interval(
            linear.value, self.design.variance(linear.influence), units, self.confidence
        )
        estimate.mark_shortfall(MIN_OF_EACH_CLASS, "cases of each class", fewest)
        self.design.mark_few_clusters(estimate)
        return estimate


def _mean(parts: Sequence[LinearisedEstimate]) -> LinearisedEstimate:
    value: FloatArray = np.mean([part.value for part in parts], axis=0)
    influence: FloatArray = np.mean([part.influence for part in parts], axis=0)
    return LinearisedEstimate(value, influence)


def _macro(kind: str) -> Callable[[MulticlassLevel], Estimate]:
    def measure_level(at: MulticlassLevel) -> Estimate:
        among = at.decided if kind == "precision" else at.of_class
        estimate = at.interval(_mean(at.of_each_class(kind)), among)
        at.mark_absent(estimate, among, _NEVER_PREDICTED if kind == "precision" else _NO_LABEL)
        return estimate

    return measure_level


def _weighted(kind: str) -> Callable[[MulticlassLevel], Estimate]:
    def measure_level(at: MulticlassLevel) -> Estimate:
        value, influence = np.zeros(at.design.groups), np.zeros(len(at.all))
        absent = []
        for number, part in zip(at.numbers, at.of_each_class(kind), strict=True):
            share = at.design.ratio(at.of_class[number], at.all)
            counted = np.nan_to_num(share.value)
            own = np.nan_to_num(part.value)
            absent.append((counted > 0) & np.isnan(part.value))
            value += counted * own
            influence += counted[at.design.group] * part.influence
            influence += own[at.design.group] * share.influence
        cases = at.design.cases()
        estimate = Estimate(value, cases)
        estimate.low, estimate.high = log_odds_interval(
            value, at.design.variance(influence), at.design.units(), at.confidence
        )
        estimate.mark_undefined(at.design.n == 0, NO_ROWS)
        for number, missing in zip(at.numbers, absent, strict=True):
            estimate.mark_undefined(missing, _NEVER_PREDICTED.format(at.rows.classes[number]))
        least = MIN_OF_EACH_CLASS * len(at.numbers)
        estimate.mark_shortfall(least, "cases", cases)
        at.design.mark_few_clusters(estimate)
        return estimate

    return measure_level


def _accuracy(at: MulticlassLevel) -> Estimate:
    # Each case has one label and one prediction, so that precision, recall and F1 over all
    # classes pooled are the accuracy, too.
    return at.rate(at.right, at.all, NO_ROWS)


def _log_loss(at: MulticlassLevel) -> Estimate:
    given = at.scores[np.arange(len(at.all)), at.rows.label]
    return linear_mean(at.design, clipped_log(given), at.confidence, (0.0, MAX_LOG_LOSS))


def _one_vs_rest(at: MulticlassLevel) -> Estimate:
    areas = [weighted_roc_auc(at.design, at.scores[:, n], at.of_class[n]) for n in at.numbers]
    estimate = at.interval(_mean(areas), at.of_class)
    at.mark_absent(estimate, at.of_class, _NO_LABEL)
    return estimate


def _one_vs_one(at: MulticlassLevel) -> Estimate:
    # D. Hand, R. Till, Machine Learning 45 (2001) 171.
    areas = []
    for one, other in permutations(at.numbers, 2):
        both = at.of_class[one] | at.of_class[other]
        areas.append(weighted_roc_auc(at.design, at.scores[:, one], at.of_class[one], both))
    estimate = at.interval(_mean(areas), at.of_class)
    at.mark_absent(estimate, at.of_class, _NO_LABEL)
    return estimate


def _top(count: int) -> Callable[[MulticlassLevel], Estimate]:
    def measure_level(at: MulticlassLevel) -> Estimate:
        label = at.rows.label[:, None]
        own = np.take_along_axis(at.scores, label, axis=1)
        later = np.arange(len(at.rows.classes)) > label
        # Among equal scores the later class comes first, as scikit-learn has it.
        ahead = ((at.scores > own) | ((at.scores == own) & later)).sum(axis=1)
        estimate = at.rate(ahead < count, at.all, NO_ROWS)
        if count >= len(at.rows.classes):
            every = np.ones(at.design.groups, dtype=bool)
            estimate.mark_undefined(every, f"there are only {len(at.rows.classes)} classes")
        return estimate

    return measure_level


MEASURES: Mapping[str, Callable[[MulticlassLevel], Estimate]] = {
    "accuracy": _accuracy,
    "balanced_accuracy": _macro("recall"),
    **{
        f"{kind}_{how}": {"macro": _macro(kind), "micro": _accuracy, "weighted": _weighted(kind)}[
            how
        ]
        for kind in ("precision", "recall", "f1")
        for how in ("macro", "micro", "weighted")
    },
    "roc_auc_ovr": _one_vs_rest,
    "roc_auc_ovo": _one_vs_one,
    "log_loss": _log_loss,
    "top_2_accuracy": _top(2),
    "top_3_accuracy": _top(3),
    "top_5_accuracy": _top(5),
}


def _confusion(at: MulticlassLevel) -> dict[str, Estimate]:
    """Give, of each class, the share that was predicted as each class."""
    classes = at.rows.classes
    return {
        f"{_CONFUSION}[{classes[one]} as {classes[other]}]": at.rate(
            at.of_class[one] & at.decided[other],
            at.of_class[one],
            _NO_LABEL.format(classes[one]),
        )
        for one in at.numbers
        for other in at.numbers
    }
