"""The metrics of a classifier of more than two classes, each with all its forms."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import permutations
from typing import Any

import numpy as np

from evaluator.metrics._catalogue import (
    AVERAGED,
    METRICS,
    PREDICTED_POSITIVES,
    RECALL,
    TOP_COUNTS,
    Rate,
)
from evaluator.metrics._checks import MetricsInputError
from evaluator.metrics._estimates import (
    MIN_OF_EACH_CLASS,
    NO_ROWS,
    BoolArray,
    Estimate,
    FloatArray,
    LevelMetric,
    LinearisedEstimate,
    PairedTest,
)
from evaluator.metrics._levels import IntArray
from evaluator.metrics._linear import SurveyDesign, mean_of
from evaluator.metrics._means import (
    MAX_LOG_LOSS,
    MIN_CASES,
    clipped_log,
    linear_mean,
    log_odds_interval,
)
from evaluator.metrics._ranking import weighted_roc_auc

_NO_LABEL = "no label of class {!r}"
_NEVER_PREDICTED = "class {!r} is never predicted"
_NEVER_SEEN = "class {!r} is neither a label nor predicted"


@dataclass(frozen=True)
class MulticlassRows:
    """The rows of one candidate; classes are numbered by their position among `classes`."""

    classes: tuple[Any, ...]
    # Numbers of classes, shape (rows,).
    label: IntArray
    prediction: IntArray
    # One column a class, shape (rows, classes).
    scores: FloatArray | None
    # The numbers of the classes that a case may have: those declared, or that some label has. The
    # others are only ever predicted.
    possible: tuple[int, ...]


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

    @property
    def given(self) -> FloatArray:
        """The probability that each row's label was given."""
        given: FloatArray = self.scores[np.arange(len(self.all)), self.rows.label]
        return given

    @cached_property
    def right(self) -> BoolArray:
        """Which predictions are the label."""
        right: BoolArray = np.logical_or.reduce(
            [truth & decision for truth, decision in zip(self.of_class, self.decided, strict=True)]
        )
        return right

    def of_each_class(self, rate: Rate) -> list[LinearisedEstimate]:
        """Measure a rate of each class against the rest."""
        result = []
        for truth, decision in zip(self.of_class, self.decided, strict=True):
            cell = 2 * truth.astype(np.intp) + decision
            hits, among = (np.array(weights)[cell] for weights in rate.weights)
            result.append(self.design.ratio(hits, among))
        return result

    def mark_absent(
        self, estimate: Estimate, among: list[BoolArray], what: str, classes: Iterable[int]
    ) -> None:
        """Mark groups undefined where one of the classes has none of the rows that it needs."""
        estimate.mark_undefined(self.design.n == 0, NO_ROWS)
        for number in classes:
            estimate.mark_undefined(
                self.design.cases(among[number]) == 0, what.format(self.rows.classes[number])
            )

    def interval(self, linear: LinearisedEstimate, among: list[BoolArray]) -> Estimate:
        """Estimate a mean over classes, which rests on the class of the fewest cases."""
        found = self.design.measure(linear, *among)
        estimate = found.estimate(log_odds_interval(found, self.confidence))
        fewest = np.min([self.design.cases(rows) for rows in among], axis=0)
        estimate.mark_shortfall(MIN_OF_EACH_CLASS, "cases of each class", fewest)
        return estimate


_Linear = Callable[[MulticlassLevel], LinearisedEstimate]


def _right(at: MulticlassLevel) -> FloatArray:
    return at.right.astype(float)


def _share(
    hits: Callable[[MulticlassLevel], BoolArray], classes: int = 0
) -> LevelMetric[MulticlassLevel]:
    """Give all forms of a share of all cases, which needs more than so many classes."""

    def measure(at: MulticlassLevel) -> Estimate:
        estimate = at.design.rate(hits(at), at.all, NO_ROWS, at.confidence)
        if classes >= len(at.numbers):
            every = np.ones(at.design.groups, dtype=bool)
            estimate.mark_undefined(every, f"there are only {len(at.numbers)} classes")
        return estimate

    def linear(at: MulticlassLevel) -> LinearisedEstimate:
        return at.design.mean(hits(at))

    def merit(at: MulticlassLevel) -> FloatArray:
        return hits(at).astype(float)

    return LevelMetric(measure, PairedTest(linear, merit, hits=True, largest=1.0))


def _in_top(count: int) -> Callable[[MulticlassLevel], BoolArray]:
    def hits(at: MulticlassLevel) -> BoolArray:
        label = at.rows.label[:, None]
        own = np.take_along_axis(at.scores, label, axis=1)
        later = np.arange(len(at.numbers)) > label
        # Among equal scores the later class comes first, as scikit-learn has it.
        ahead = ((at.scores > own) | ((at.scores == own) & later)).sum(axis=1)
        inside: BoolArray = ahead < count
        return inside

    return hits


def _over_classes(
    measure: Callable[[MulticlassLevel], Estimate],
    linear: _Linear,
    merit: Callable[[MulticlassLevel], FloatArray] = _right,
) -> LevelMetric[MulticlassLevel]:
    """Give all forms of an average over the classes."""
    return LevelMetric(measure, PairedTest(linear, merit, MIN_OF_EACH_CLASS, largest=1.0))


def _macro(rate: Rate, *, possible: bool = False) -> LevelMetric[MulticlassLevel]:
    """Give the mean over the classes, or over the possible ones alone.

    A class's recall needs a case with that label, its precision one that was predicted so, and
    its F1 either; without it the mean is undefined.
    """

    def chosen(at: MulticlassLevel) -> tuple[int, ...]:
        return at.rows.possible if possible else tuple(at.numbers)

    def linear(at: MulticlassLevel) -> LinearisedEstimate:
        parts = at.of_each_class(rate)
        return mean_of([parts[number] for number in chosen(at)])

    def measure(at: MulticlassLevel) -> Estimate:
        among, what = at.of_class, _NO_LABEL
        if rate.among == PREDICTED_POSITIVES:
            among, what = at.decided, _NEVER_PREDICTED
        elif rate.twice:
            either = zip(at.of_class, at.decided, strict=True)
            among, what = [label | decided for label, decided in either], _NEVER_SEEN
        estimate = at.interval(linear(at), [among[number] for number in chosen(at)])
        at.mark_absent(estimate, among, what, chosen(at))
        return estimate

    return _over_classes(measure, linear)


def _weighted(rate: Rate) -> LevelMetric[MulticlassLevel]:
    def linear_and_absent(at: MulticlassLevel) -> tuple[LinearisedEstimate, list[BoolArray]]:
        value, influence = np.zeros(at.design.groups), np.zeros(len(at.all))
        absent = []
        for truth, part in zip(at.of_class, at.of_each_class(rate), strict=True):
            share = at.design.mean(truth)
            counted, own = np.nan_to_num(share.value), np.nan_to_num(part.value)
            absent.append((counted > 0) & np.isnan(part.value))
            value += counted * own
            influence += counted[at.design.group] * part.influence
            influence += own[at.design.group] * share.influence
        return LinearisedEstimate(value, influence), absent

    def measure(at: MulticlassLevel) -> Estimate:
        linear, absent = linear_and_absent(at)
        found = at.design.measure(linear)
        estimate = found.estimate(log_odds_interval(found, at.confidence))
        estimate.mark_undefined(at.design.n == 0, NO_ROWS)
        for number, missing in zip(at.numbers, absent, strict=True):
            estimate.mark_undefined(missing, _NEVER_PREDICTED.format(at.rows.classes[number]))
        least = MIN_OF_EACH_CLASS * len(at.numbers)
        estimate.mark_shortfall(least, "cases", at.design.cases())
        return estimate

    return _over_classes(measure, lambda at: linear_and_absent(at)[0])


def _log_loss(at: MulticlassLevel) -> Estimate:
    return linear_mean(at.design, clipped_log(at.given), at.confidence, (0.0, MAX_LOG_LOSS))


def _roc_auc(linear: _Linear) -> LevelMetric[MulticlassLevel]:
    def measure(at: MulticlassLevel) -> Estimate:
        estimate = at.interval(linear(at), at.of_class)
        at.mark_absent(estimate, at.of_class, _NO_LABEL, at.numbers)
        return estimate

    return _over_classes(measure, linear, lambda at: at.given)


def _one_vs_rest(at: MulticlassLevel) -> LinearisedEstimate:
    return mean_of(
        [weighted_roc_auc(at.design, at.scores[:, n], at.of_class[n]) for n in at.numbers]
    )


def _one_vs_one(at: MulticlassLevel) -> LinearisedEstimate:
    # D. Hand, R. Till, Machine Learning 45 (2001) 171.
    areas = []
    for one, other in permutations(at.numbers, 2):
        both = at.of_class[one] | at.of_class[other]
        areas.append(weighted_roc_auc(at.design, at.scores[:, one], at.of_class[one], both))
    return mean_of(areas)


def _confusion(at: MulticlassLevel) -> dict[str, Estimate]:
    """Give, of each class, the share that was predicted as each class."""
    classes = at.rows.classes
    return {
        f"confusion_matrix[{classes[one]} as {classes[other]}]": at.design.rate(
            at.of_class[one] & at.decided[other],
            at.of_class[one],
            _NO_LABEL.format(classes[one]),
            at.confidence,
        )
        for one in at.numbers
        for other in at.numbers
    }


# Each case has one label and one prediction, so that precision, recall and F1 over all classes
# pooled are the accuracy, too.
_ACCURACY = _share(lambda at: at.right)
_RATES = {name: rate for name in AVERAGED if (rate := METRICS[name].rate)}

MULTICLASS: Mapping[str, LevelMetric[MulticlassLevel]] = {
    "accuracy": _ACCURACY,
    "balanced_accuracy": _macro(RECALL, possible=True),
    **{f"{name}_macro": _macro(rate) for name, rate in _RATES.items()},
    **{f"{name}_micro": _ACCURACY for name in ("precision", "recall", "f1")},
    **{f"{name}_weighted": _weighted(rate) for name, rate in _RATES.items()},
    "roc_auc_ovr": _roc_auc(_one_vs_rest),
    "roc_auc_ovo": _roc_auc(_one_vs_one),
    "log_loss": LevelMetric(
        _log_loss,
        PairedTest(
            linear=lambda at: at.design.mean(clipped_log(at.given)),
            merit=lambda at: at.given,
            fewest=MIN_CASES,
            skewed=True,
        ),
    ),
    **{f"top_{count}_accuracy": _share(_in_top(count), count) for count in TOP_COUNTS},
    "confusion_matrix": LevelMetric(_confusion),
}
"""All metrics of a multiclass classifier, by name."""
