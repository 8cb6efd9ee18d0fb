"""The metrics of a classifier of more than two classes, each with all its forms."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import permutations
from typing import Any

import numpy as np
from scipy import special

from evaluator.metrics._calibration import calibration_error_of_classes
from evaluator.metrics._catalogue import (
    AVERAGED,
    METRICS,
    PREDICTED_POSITIVES,
    RECALL,
    ByName,
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
    divide,
)
from evaluator.metrics._levels import IntArray
from evaluator.metrics._linear import (
    TINY,
    SurveyDesign,
    UnitEstimate,
    blindness,
    mean_of,
    weigh,
)
from evaluator.metrics._means import (
    EVEN,
    MAX_LOG_LOSS,
    MIN_CASES,
    clipped_log,
    linear_mean,
    log_odds_interval,
)
from evaluator.metrics._ranking import weighted_roc_auc
from evaluator.metrics._rates import clopper_pearson, lopsided_interval

_NO_LABEL = "no label of class {!r}"
_NEVER_PREDICTED = "class {!r} is never predicted"
_NEVER_SEEN = "class {!r} is neither a label nor predicted"
_NO_ANSWER = "no case was answered"
# Stands for the number of a class where the candidate abstained.
ABSTAINED = -1
# As binary precision asks for, whose cases are the candidate's own choice, too.
_MIN_ANSWERED = 30
# All of the probability given to one class, and none to the label.
_MAX_BRIER = 2.0
# What the simulations in benchmarks/coverage.py ask for.
MIN_FOR_KAPPA = 30


@dataclass(frozen=True)
class MulticlassRows:
    """The rows of one candidate; classes are numbered by their position among `classes`."""

    classes: tuple[Any, ...]
    # Numbers of classes, shape (rows,); the prediction's is `ABSTAINED` where there is none.
    label: IntArray
    prediction: IntArray
    # One column a class, shape (rows, classes).
    scores: FloatArray | None
    # The numbers of the classes that a case may have: those declared, or that some label has. The
    # others are only ever predicted.
    possible: tuple[int, ...]
    declared: bool

    def against_rest(self, value: Any) -> tuple[BoolArray, BoolArray, FloatArray | None]:
        """Give of a class which rows have it, which were predicted so, and its scores."""
        # One that only another candidate ever predicts is none of these.
        is_known = value in self.classes
        number = self.classes.index(value) if is_known else len(self.classes)
        scores = self.scores[:, number] if is_known and self.scores is not None else None
        return self.label == number, self.prediction == number, scores


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
    def outputs(self) -> list[FloatArray]:
        """The scores, and last the predictions, as a comparison takes them."""
        scores = [] if self.rows.scores is None else list(self.rows.scores.T)
        return [*scores, self.rows.prediction.astype(float)]

    @property
    def parts(self) -> list[BoolArray]:
        """The rows of each class, and those that were predicted as it."""
        return [*self.of_class, *self.decided]

    @property
    def answered(self) -> BoolArray:
        """Which cases have a prediction; of the others the candidate abstained."""
        answered: BoolArray = self.rows.prediction != ABSTAINED
        return answered

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
        return [self.design.ratio(*weights) for weights in self._weights(rate)]

    def average_limits(
        self,
        rate: Rate,
        linear: LinearisedEstimate,
        shares: list[FloatArray],
        of_shares: FloatArray | None = None,
    ) -> tuple[FloatArray, FloatArray]:
        """Give the limits of an average over classes from those of each class's rate.

        Each class counts as a share, (groups,), and what these are not known by, (rows,), as well.
        """
        design = self.design
        parts = []
        if of_shares is not None:
            of_them = design.measure(LinearisedEstimate(linear.value, of_shares))
            half = of_them.spread.half_width(self.confidence)
            parts.append((of_shares, half, half))
        for share, (hits, among) in zip(shares, self._weights(rate), strict=True):
            part = design.ratio(hits, among)
            _, limits = design.rate_limits(hits > 0, among > 0, self.confidence)
            below, above = (
                share * np.nan_to_num(np.abs(part.value - limit))
                # From Jaccard's index to F1.
                for limit in (2 * one / (1 + one) if rate.twice else one for one in limits)
            )
            parts.append((share[design.group] * part.influence, below, above))
        found = design.measure(linear)
        below, above = (
            np.maximum(joined, student)
            for joined, student in zip(
                design.joined(parts), found.spread.reaches(self.confidence), strict=True
            )
        )
        return np.maximum(linear.value - below, 0), np.minimum(linear.value + above, 1)

    def _weights(self, rate: Rate) -> Iterator[list[FloatArray]]:
        """Give what each row counts in numerator and denominator of the rate of each class."""
        for truth, decision in zip(self.of_class, self.decided, strict=True):
            cell = 2 * truth.astype(np.intp) + decision
            yield [np.array(weights)[cell] for weights in rate.weights]

    def mark_absent(
        self, estimate: Estimate, among: list[BoolArray], what: str, classes: Iterable[int]
    ) -> None:
        """Mark groups undefined where one of the classes has none of the rows that it needs."""
        estimate.mark_undefined(self.design.n == 0, NO_ROWS)
        for number in classes:
            estimate.mark_undefined(
                self.design.cases(among[number]) == 0, what.format(self.rows.classes[number])
            )

    def interval(
        self,
        linear: LinearisedEstimate,
        among: list[BoolArray],
        limits: tuple[FloatArray, FloatArray] | None = None,
    ) -> Estimate:
        """Estimate a mean over classes, which rests on the class of the fewest cases."""
        found = self.design.measure(linear, *among)
        estimate = found.estimate(limits or log_odds_interval(found, self.confidence))
        fewest = np.min([self.design.cases(rows) for rows in among], axis=0)
        estimate.mark_shortfall(MIN_OF_EACH_CLASS, "cases of each class", fewest)
        return estimate


_Linear = Callable[[MulticlassLevel], LinearisedEstimate]


def _right(at: MulticlassLevel) -> FloatArray:
    return at.right.astype(float)


def _right_or_silent(at: MulticlassLevel) -> FloatArray:
    # An abstention is better than a wrong answer.
    return np.where(at.answered, 2.0 * at.right - 1, 0.0)


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


def _selective_accuracy() -> LevelMetric[MulticlassLevel]:
    """Give all forms of the share of right answers, which both parts of are a candidate's own."""

    def measure(at: MulticlassLevel) -> Estimate:
        return at.design.rate(at.right, at.answered, _NO_ANSWER, at.confidence)

    return LevelMetric(
        measure,
        PairedTest(
            lambda at: at.design.ratio(at.right, at.answered),
            _right_or_silent,
            _MIN_ANSWERED,
            skewed=True,
            largest=1.0,
        ),
    )


def _f1_micro() -> LevelMetric[MulticlassLevel]:
    """Give all forms of F1 of all classes pooled, which is a share of answers and of labels."""

    def of_rows(at: MulticlassLevel) -> FloatArray:
        # A wrong answer is one too many and one too few; where there is none, one too few.
        return (1 + at.answered) / 2

    def measure(at: MulticlassLevel) -> Estimate:
        design = at.design
        weight = weigh(design.weight * of_rows(at))
        sums = design.of_pairs(design.pairs.add_up(weight, at.right.astype(np.intp), 2))
        return design.unit_rate(sums[..., 1], sums[..., 0]).rate(NO_ROWS, at.confidence)

    return LevelMetric(
        measure,
        PairedTest(
            lambda at: at.design.ratio(at.right, of_rows(at)),
            _right_or_silent,
            _MIN_ANSWERED,
            skewed=True,
            largest=1.0,
        ),
    )


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
    its F1 either, or of a declared class a label; without it the mean is undefined.
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
        elif rate.twice and not at.rows.declared:
            either = zip(at.of_class, at.decided, strict=True)
            among, what = [label | decided for label, decided in either], _NEVER_SEEN
        average = linear(at)
        shares = np.zeros((len(at.numbers), at.design.groups))
        shares[list(chosen(at))] = 1 / len(chosen(at))
        limits = at.average_limits(rate, average, list(shares))
        estimate = at.interval(average, [among[number] for number in chosen(at)], limits)
        at.mark_absent(estimate, among, what, chosen(at))
        return estimate

    return _over_classes(measure, linear)


def _weighted(rate: Rate) -> LevelMetric[MulticlassLevel]:
    """Give the mean over the classes, each as often as it is a label."""

    def of_shares_and_rates(
        at: MulticlassLevel,
    ) -> tuple[FloatArray, FloatArray, LinearisedEstimate]:
        """Give the classes' shares, (classes, groups), their influences, and the average."""
        shares, of_shares = np.zeros((len(at.numbers), at.design.groups)), np.zeros(len(at.all))
        value, of_rates = np.zeros(at.design.groups), np.zeros(len(at.all))
        for number, part in enumerate(at.of_each_class(rate)):
            share = at.design.mean(at.of_class[number])
            shares[number] = np.nan_to_num(share.value)
            # A class of no label counts nothing, though it has no rate; any other's is missed.
            value += np.where(shares[number] > 0, shares[number] * part.value, 0)
            of_rates += shares[number][at.design.group] * part.influence
            of_shares += np.nan_to_num(part.value)[at.design.group] * share.influence
        return shares, of_shares, LinearisedEstimate(value, of_rates + of_shares)

    def measure(at: MulticlassLevel) -> Estimate:
        shares, of_shares, linear = of_shares_and_rates(at)
        limits = at.average_limits(rate, linear, list(shares), of_shares)
        estimate = at.design.measure(linear).estimate(limits)
        estimate.mark_undefined(at.design.n == 0, NO_ROWS)
        for number, share in enumerate(shares):
            absent = (share > 0) & (at.design.cases(at.decided[number]) == 0)
            absent &= rate.among == PREDICTED_POSITIVES
            estimate.mark_undefined(absent, _NEVER_PREDICTED.format(at.rows.classes[number]))
        least = MIN_OF_EACH_CLASS * len(at.numbers)
        estimate.mark_shortfall(least, "cases", at.design.cases())
        return estimate

    return _over_classes(measure, lambda at: of_shares_and_rates(at)[2])


@dataclass(frozen=True)
class _Agreement:
    """How far predictions are from labels, beside what chance alone would give; (groups,)."""

    # From 0 to 1, as shares of the largest disagreement there can be.
    disagreement: FloatArray
    by_chance: FloatArray
    kappa: LinearisedEstimate
    # Of each row, shape (rows,).
    of_row: FloatArray
    # The share of the commonest label.
    commonest: FloatArray


def _agreement(at: MulticlassLevel, weights: FloatArray) -> _Agreement:
    """Measure weighted kappa, 1 - disagreement / disagreement by chance.

    The weights say how far each prediction is from each label, shape (classes, classes + 1); the
    last column is of abstentions. For independent cases the variance that follows from the
    influences is the published one.

    Sources: J. Cohen, Psychological Bulletin 70 (1968) 213; for the variance, J. Fleiss, J. Cohen,
    B. Everitt, Psychological Bulletin 72 (1969) 323.
    """
    design, label = at.design, at.rows.label
    labels, predictions = weights.shape
    weights = weights / weights.max()
    prediction = at.rows.prediction % predictions

    def shares(number: IntArray, many: int) -> FloatArray:
        sums = np.bincount(design.group * many + number, design.weight, design.groups * many)
        return divide(sums.reshape(-1, many), design.total(design.weight)[:, None])

    of_labels, of_predictions = shares(label, labels), shares(prediction, predictions)
    of_row = weights[label, prediction]
    found = design.mean(of_row)
    # How far the predictions of all other cases are from a label on average, and the other way.
    from_label, from_prediction = of_predictions @ weights.T, of_labels @ weights
    chance = (of_labels * from_label).sum(axis=1)
    moved = design.mean(from_label[design.group, label]).influence
    moved = moved + design.mean(from_prediction[design.group, prediction]).influence
    ratio = divide(found.value, chance)
    influence = divide(found.influence - ratio[design.group] * moved, chance[design.group])
    kappa = LinearisedEstimate(1 - ratio, -np.nan_to_num(influence))
    return _Agreement(found.value, chance, kappa, of_row, of_labels.max(axis=1, initial=0))


def _kappa(distance: Callable[[IntArray, IntArray], IntArray]) -> LevelMetric[MulticlassLevel]:
    """Give all forms of weighted kappa, by how far the number of a class is from another one's."""

    def weights(at: MulticlassLevel) -> FloatArray:
        numbers = np.array(at.numbers)
        between = distance(numbers[:, None], numbers)
        # An abstention is as far from the label as a class can be.
        return np.column_stack([between, between.max(axis=1)]).astype(float)

    def measure(at: MulticlassLevel) -> Estimate:
        design, found = at.design, _agreement(at, weights(at))
        known = design.measure(found.kappa)
        estimate = known.estimate(_kappa_interval(at, found, known))
        estimate.mark_undefined(design.n == 0, NO_ROWS)
        alike = found.by_chance == 0
        estimate.mark_undefined(alike, "all labels and predictions are of one class")
        cases = design.cases()
        estimate.mark_shortfall(MIN_FOR_KAPPA, "cases", cases)
        others = cases * (1 - np.nan_to_num(found.commonest, nan=1.0))
        what = "cases of other classes than the commonest"
        estimate.mark_shortfall(MIN_OF_EACH_CLASS, what, others)
        return estimate

    return LevelMetric(
        measure,
        PairedTest(
            lambda at: _agreement(at, weights(at)).kappa,
            lambda at: -_agreement(at, weights(at)).of_row,
            MIN_FOR_KAPPA,
            skewed=True,
            largest=2.0,
        ),
    )


def _kappa_interval(
    at: MulticlassLevel, found: _Agreement, known: UnitEstimate
) -> tuple[FloatArray, FloatArray]:
    """Give the interval from that of the disagreement with kappa's own variance.

    It is Clopper and Pearson's, of as many cases as would have this variance, so that it holds
    where hardly a case disagrees; with none of them the cases are counted.
    """
    design, spread = at.design, known.spread
    share = np.nan_to_num(found.disagreement)
    carriers = design.of_groups_effective(design.of_units(design.weight * found.of_row))
    # Of rare classes a few cases may carry all of the spread.
    few = design.of_groups_effective(design.of_units(found.kappa.influence) ** 2)
    tail = (1 + at.confidence) / 2
    wider = (special.stdtrit(np.maximum(few - 1, 2), tail) / special.ndtri(tail)) ** 2
    variance = spread.widened(at.confidence, carriers) * found.by_chance**2
    variance = np.nan_to_num(variance * wider)
    # What is seen of few disagreements says little of how large they may be.
    blind = blindness(carriers)
    largest = np.maximum(np.nan_to_num(divide(share * (1 - share), spread.units)), variance)
    variance = (1 - blind) * variance + blind * largest

    def limits(variance: FloatArray) -> tuple[FloatArray, FloatArray]:
        cases = np.where(variance > 0, divide(share * (1 - share), variance), spread.units)
        return clopper_pearson(share * cases, np.maximum(cases, TINY), at.confidence)

    least, most = lopsided_interval(limits, share, variance, spread.alone, share < EVEN)
    # Rare classes that were not seen may agree better than those that were.
    twice = np.full(design.groups, 2.0)
    _, (_, unseen) = design.one_more(found.kappa.influence, spread.variance, twice)
    below, above = spread.reaches(at.confidence)
    above = np.maximum(above, spread.quantile(at.confidence) * np.sqrt(unseen))
    low = np.minimum(1 - divide(most, found.by_chance), known.value - below)
    high = np.maximum(1 - divide(least, found.by_chance), known.value + above)
    return np.maximum(low, -1), np.minimum(high, 1)


def _of_classes(
    hits_among: Callable[[BoolArray, BoolArray], tuple[BoolArray, BoolArray]],
    what: str,
    *,
    twice: bool = False,
) -> LevelMetric[MulticlassLevel]:
    """Give a rate of every class, by the cases that have its label and that were predicted so."""

    def measure(at: MulticlassLevel) -> dict[Any, Estimate]:
        found = {}
        for value, label, decided in zip(at.rows.classes, at.of_class, at.decided, strict=True):
            reason = what.format(value)
            estimate = at.design.rate(*hits_among(label, decided), reason, at.confidence)
            if twice:
                # From Jaccard's index to F1, which has no value either where there is no recall.
                for name in ("value", "low", "high"):
                    share = getattr(estimate, name)
                    setattr(estimate, name, 2 * share / (1 + share))
                estimate.mark_undefined(at.design.cases(label) == 0, reason)
            found[value] = estimate
        return found

    return LevelMetric(measure)


def _log_loss(at: MulticlassLevel) -> Estimate:
    return linear_mean(at.design, clipped_log(at.given), at.confidence, (0.0, MAX_LOG_LOSS))


def _squared_error(at: MulticlassLevel) -> FloatArray:
    # G. W. Brier, Monthly Weather Review 78 (1950) 1.
    squares = ((at.scores - np.eye(len(at.numbers))[at.rows.label]) ** 2).sum(axis=1)
    return np.asarray(squares, dtype=np.float64)


def _top_label_calibration_error(at: MulticlassLevel) -> Estimate:
    top = at.scores.argmax(axis=1)
    return calibration_error_of_classes(
        at.design, [at.scores.max(axis=1)], [top == at.rows.label], at.confidence
    )


def _classwise_calibration_error(at: MulticlassLevel) -> Estimate:
    # M. Kull et al., Advances in Neural Information Processing Systems 32 (2019) 12316.
    return calibration_error_of_classes(at.design, list(at.scores.T), at.of_class, at.confidence)


def _class_calibration_error(at: MulticlassLevel) -> dict[Any, Estimate]:
    return {
        value: calibration_error_of_classes(at.design, [score], [label], at.confidence)
        for value, score, label in zip(at.rows.classes, at.scores.T, at.of_class, strict=True)
    }


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


_RATES = {name: rate for name in AVERAGED if (rate := METRICS[name].rate)}

_OF_CLASSES: dict[str, LevelMetric[MulticlassLevel]] = {
    "accuracy": _share(lambda at: at.right),
    "cohen_kappa": _kappa(lambda one, other: (one != other).astype(np.intp)),
    "quadratic_weighted_kappa": _kappa(lambda one, other: (one - other) ** 2),
    "class_recall": _of_classes(lambda label, decided: (decided, label), _NO_LABEL),
    "class_precision": _of_classes(lambda label, decided: (label, decided), _NEVER_PREDICTED),
    "class_f1": _of_classes(
        lambda label, decided: (label & decided, label | decided), _NO_LABEL, twice=True
    ),
    "class_share": _of_classes(
        lambda _, decided: (decided, np.ones(len(decided), dtype=bool)), NO_ROWS
    ),
    "coverage": _share(lambda at: at.answered),
    "selective_accuracy": _selective_accuracy(),
    "precision_micro": _selective_accuracy(),
    "recall_micro": _share(lambda at: at.right),
    "f1_micro": _f1_micro(),
    "balanced_accuracy": _macro(RECALL, possible=True),
    **{f"{name}_macro": _macro(rate) for name, rate in _RATES.items()},
    **{f"{name}_weighted": _weighted(rate) for name, rate in _RATES.items()},
    # The classes' recalls, each as often as it is a label: that is the share of all right answers.
    "recall_weighted": _share(lambda at: at.right),
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
    "brier": LevelMetric(
        lambda at: linear_mean(at.design, _squared_error(at), at.confidence, (0.0, _MAX_BRIER)),
        PairedTest(
            linear=lambda at: at.design.mean(_squared_error(at)),
            merit=lambda at: -_squared_error(at),
            fewest=MIN_CASES,
            skewed=True,
        ),
    ),
    "top_label_calibration_error": LevelMetric(_top_label_calibration_error),
    "classwise_calibration_error": LevelMetric(_classwise_calibration_error),
    "class_calibration_error": LevelMetric(_class_calibration_error),
}

MULTICLASS: Mapping[str, LevelMetric[MulticlassLevel]] = ByName(
    _OF_CLASSES, {"top_{k}_accuracy": lambda k: _share(_in_top(k), k)}
)
"""All metrics of a multiclass classifier, by name."""
