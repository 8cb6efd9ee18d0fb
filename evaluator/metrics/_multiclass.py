"""The metrics of a classifier of more than two classes, each with all its forms."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import special

from evaluator.metrics._calibration import (
    calibration_error_of_classes,
    sum_bins,
    surveyed_error_of_classes,
)
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
from evaluator.metrics._levels import IntArray, Level, Slicing
from evaluator.metrics._linear import (
    TINY,
    Spread,
    SurveyDesign,
    UnitEstimate,
    UnitSums,
    blindness,
    number_codes,
    weigh,
)
from evaluator.metrics._means import (
    EVEN,
    MAX_LOG_LOSS,
    MIN_CASES,
    CaseGroups,
    clipped_log,
    linear_mean,
    log_odds_interval,
    survey_mean,
)
from evaluator.metrics._ranking import areas_of_classes
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

    @property
    def probabilities(self) -> FloatArray:
        """The scores; metrics of them are only asked for where there are some."""
        if self.scores is None:
            raise MetricsInputError("this metric needs score columns, one a class")
        return self.scores

    @property
    def given(self) -> FloatArray:
        """The probability that each row's label was given."""
        # The probabilities of a class lie together.
        place = self.label * len(self.label)
        place += np.arange(len(place))
        return self.probabilities.T.reshape(-1)[place]

    def against_rest(self, value: Any) -> tuple[BoolArray, BoolArray, FloatArray | None]:
        """Give of a class which rows have it, which were predicted so, and its scores."""
        # One that only another candidate ever predicts is none of these.
        is_known = value in self.classes
        number = self.classes.index(value) if is_known else len(self.classes)
        scores = self.scores[:, number] if is_known and self.scores is not None else None
        return self.label == number, self.prediction == number, scores


_Losses = Callable[[MulticlassRows], FloatArray]
_Hits = Callable[[MulticlassRows], BoolArray]
# The probabilities of some classes, and which rows are of each.
_Calibrated = Callable[[MulticlassRows], tuple[list[FloatArray], list[BoolArray]]]


class MulticlassLevel:
    """The rows at one level, and what several metrics need of them."""

    def __init__(self, rows: MulticlassRows, design: SurveyDesign, confidence: float) -> None:
        self.rows = rows
        self.design = design
        self.confidence = confidence
        self.all = np.ones(len(rows.label), dtype=bool)
        self.numbers = range(len(rows.classes))
        # What several averages take alike.
        self._limits: dict[Rate, tuple[FloatArray, FloatArray]] = {}

    @cached_property
    def of_class(self) -> list[BoolArray]:
        """Which rows have each class as their label."""
        return [self.rows.label == number for number in self.numbers]

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
    def right(self) -> BoolArray:
        """Which predictions are the label."""
        right: BoolArray = self.rows.prediction == self.rows.label
        return right

    def of_each_class(self, rate: Rate) -> tuple[FloatArray, FloatArray]:
        """Measure a rate of each class against the rest, shape (groups, classes).

        Beside it, what a false positive, a missed case and a right one of the class move it by,
        shape (3, groups, classes).
        """
        hits, among = (np.array(weights)[1:, None, None] for weights in rate.weights)
        below = (among * self.counts).sum(axis=0)
        value = divide((hits * self.counts).sum(axis=0), below)
        return value, np.nan_to_num(divide(hits - value * among, below))

    @cached_property
    def counts(self) -> FloatArray:
        """The weights of false positives, missed cases and right ones, shape (3, groups, classes).

        No rate that is averaged counts true negatives.
        """
        many, label = len(self.numbers), self.rows.label
        # An abstention is no false positive; the last kind is of all others.
        kinds = (
            np.where(self.right, many, self.rows.prediction % (many + 1)),
            np.where(self.right, many, label),
            np.where(self.right, label, many),
        )
        return np.stack([self.design.of_kinds(kind, many + 1)[:, :many] for kind in kinds])

    def influence(self, moves: FloatArray, shares: FloatArray) -> FloatArray:
        """Give the rows' influences on a sum over classes of their rates, so much of each."""
        group, label = self.design.group, self.rows.label
        wrong, missed, right = shares * moves
        # An abstention, whose number is that of the last column, is no false positive.
        wrong = np.pad(wrong, ((0, 0), (0, 1)))[group, self.rows.prediction]
        of_row = np.where(self.right, right[group, label], missed[group, label] + wrong)
        influence: FloatArray = self.design.weight * of_row
        return influence

    def average_limits(
        self,
        rate: Rate,
        linear: LinearisedEstimate,
        shares: FloatArray,
        of_shares: FloatArray | None = None,
    ) -> tuple[FloatArray, FloatArray]:
        """Give the limits of an average over classes from those of each class's rate.

        Each class counts as a share, (groups, classes), and what these are not known by, (rows,),
        as well. The distances of the limits add up as deviations that correlate as the influences
        do; where there are none, as independent ones.
        Source: G. Y. Zou, Psychological Methods 12 (2007) 399.
        """
        design, (value, moves) = self.design, self.of_each_class(rate)
        deviation = self.deviations(moves)
        common, alone = np.zeros(len(self.all)), np.zeros(design.groups)
        if of_shares is not None:
            of_them = design.measure(LinearisedEstimate(linear.value, of_shares))
            half, own = of_them.spread.half_width(self.confidence), design.variance(of_shares)
            common = np.nan_to_num(divide(half, np.sqrt(own)))[design.group] * of_shares
            alone = np.where(own > 0, 0, half**2)
        if rate not in self._limits:
            self._limits[rate] = self.limits(rate)
        students = design.measure(linear).spread.reaches(self.confidence)
        reaches = []
        for limit, student in zip(self._limits[rate], students, strict=True):
            # From Jaccard's index to F1.
            own_limit = 2 * limit / (1 + limit) if rate.twice else limit
            distance = shares * np.nan_to_num(np.abs(value - own_limit))
            together = common + self.influence(moves, np.nan_to_num(divide(distance, deviation)))
            apart = alone + np.where(deviation > 0, 0, distance**2).sum(axis=1)
            reaches.append(np.maximum(np.sqrt(design.variance(together) + apart), student))
        below, above = reaches
        return np.maximum(linear.value - below, 0), np.minimum(linear.value + above, 1)

    def deviations(self, moves: FloatArray) -> FloatArray:
        """Give the deviation of each class's rate, shape (groups, classes)."""
        each = np.eye(len(self.numbers))
        variances = [self.design.variance(self.influence(moves, own)) for own in each]
        return np.sqrt(np.stack(variances, axis=1))

    def limits(self, rate: Rate) -> tuple[FloatArray, FloatArray]:
        """Give the limits of each class's rate, shape (groups, classes), hits counted once.

        Of independent cases they are Clopper and Pearson's, for which nothing is searched.
        """
        limits, design = [], self.design
        for truth, decision in zip(self.of_class, self.decided, strict=True):
            cell = 2 * truth.astype(np.intp) + decision
            hits, among = (np.array(weights)[cell] > 0 for weights in rate.weights)
            if design.plain:
                counts = design.total(hits & among), design.total(among)
                limits.append(clopper_pearson(*counts, self.confidence))
            else:
                limits.append(design.rate_limits(hits, among, self.confidence)[1])
        low, high = (np.stack(one, axis=1) for one in zip(*limits, strict=True))
        return low, high

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
        found: UnitEstimate,
        among: list[BoolArray],
        limits: tuple[FloatArray, FloatArray] | None = None,
    ) -> Estimate:
        """Estimate a mean over classes, which rests on the class of the fewest cases."""
        estimate = found.estimate(limits or log_odds_interval(found, self.confidence))
        fewest = np.min([self.design.cases(rows) for rows in among], axis=0)
        estimate.mark_shortfall(MIN_OF_EACH_CLASS, "cases of each class", fewest)
        return estimate

    def rate(self, hits: _Hits) -> Estimate:
        """Estimate the share of all cases that are hits by their scores."""
        return self.design.rate(hits(self.rows), self.all, NO_ROWS, self.confidence)

    def mean(self, losses: _Losses, largest: float) -> Estimate:
        """Estimate the mean of a loss from 0 to the largest."""
        return linear_mean(self.design, losses(self.rows), self.confidence, (0.0, largest))

    def calibration_error(self, of_rows: _Calibrated) -> Estimate:
        """Estimate the mean over some classes of their calibration errors."""
        return surveyed_error_of_classes(self.design, *of_rows(self.rows), self.confidence)

    def linear_areas(self, *, pairs: bool) -> LinearisedEstimate:
        """Give the mean area of each class against the rest, or of each pair of classes."""
        return areas_of_classes(self.design, self.rows.probabilities, self.rows.label, pairs=pairs)

    def areas(self, *, pairs: bool) -> UnitEstimate:
        """Learn how well the mean area over classes, or pairs of them, is known."""
        return self.design.measure(self.linear_areas(pairs=pairs), *self.of_class)


class _CountedDesign(SurveyDesign):
    """Rows each of which stands for so many independent cases of one weight that are alike."""

    def __init__(self, group: IntArray, groups: int, count: NDArray[Any]) -> None:
        super().__init__(Level("", (), np.zeros((groups, 0), np.intp), np.arange(groups)), group)
        self._count = count

    def total(self, values: NDArray[Any]) -> FloatArray:
        return super().total(self._count * values)

    def of_groups(self, of_units: NDArray[Any]) -> FloatArray:
        return self.total(of_units)

    def of_kinds(self, kind: IntArray, kinds: int) -> FloatArray:
        sums = np.bincount(self.group * kinds + kind, self._count, self.groups * kinds)
        return sums.reshape(-1, kinds).astype(float)

    def found(self, value: FloatArray, sums: UnitSums, rows: FloatArray) -> UnitEstimate:
        return super().found(value, replace(sums, alike=self._count), rows)


class MulticlassGroups(MulticlassLevel):
    """The groups of all levels at once, where cases are independent and of one weight.

    Rows are the pairs of label and prediction that occur in a group, since all of their cases have
    the same influence. What scores are needed for goes through the cases.
    """

    def __init__(self, rows: MulticlassRows, slicing: Slicing, confidence: float) -> None:
        self._cases = rows
        self._slicing = slicing
        predictions = len(rows.classes) + 1
        kinds = len(rows.classes) * predictions
        kind = rows.label * predictions
        kind += np.where(rows.prediction == ABSTAINED, len(rows.classes), rows.prediction)
        number, codes = number_codes(slicing.cell * kinds + kind, len(kind))
        count = np.bincount(number, minlength=len(codes))
        # From the finest cells to the groups of all levels.
        cell, kind = np.divmod(codes, kinds)
        group = slicing.group_of_cell[:, cell]
        number, codes = number_codes((group * kinds + kind).ravel(), group.size)
        count = np.bincount(number, np.tile(count, len(group)), len(codes))
        group, kind = np.divmod(codes, kinds)
        label, prediction = np.divmod(kind, predictions)
        prediction = np.where(prediction == len(rows.classes), ABSTAINED, prediction)
        counted = replace(rows, label=label, prediction=prediction, scores=None)
        groups = sum(level.groups for level in slicing.levels)
        super().__init__(counted, _CountedDesign(group, groups, count), confidence)

    def deviations(self, moves: FloatArray) -> FloatArray:
        """Give the deviation of each class's rate, shape (groups, classes)."""
        deviations: FloatArray = np.sqrt((self.counts * moves**2).sum(axis=0))
        return deviations

    def limits(self, rate: Rate) -> tuple[FloatArray, FloatArray]:
        """Give the limits of each class's rate, shape (groups, classes), hits counted once."""
        hits, among = (
            self.counts[np.array(weights)[1:] > 0].sum(axis=0) for weights in rate.weights
        )
        limits = clopper_pearson(hits.ravel(), among.ravel(), self.confidence)
        low, high = (limit.reshape(hits.shape) for limit in limits)
        return low, high

    @cached_property
    def _groups(self) -> CaseGroups:
        return CaseGroups(self._slicing)

    def rate(self, hits: _Hits) -> Estimate:
        """Estimate the share of all cases that are hits by their scores."""
        return self._groups.rate(hits(self._cases)[self._groups.order], self.confidence)

    def mean(self, losses: _Losses, largest: float) -> Estimate:
        """Estimate the mean of a loss from 0 to the largest."""
        found = self._groups.skewed_mean(losses(self._cases))
        n, bounds = self.design.n, (0.0, largest)
        return survey_mean(found, None, cases=n, confidence=self.confidence, bounds=bounds)

    def calibration_error(self, of_rows: _Calibrated) -> Estimate:
        """Estimate the mean over some classes of their calibration errors."""
        cell, cells = self._slicing.cell, self._slicing.cells
        bins = [
            sum_bins(cell, cells, score, (None, score, hit))
            for score, hit in zip(*of_rows(self._cases), strict=True)
        ]
        of_groups = self._slicing.add_up(np.concatenate(bins, axis=1))
        return calibration_error_of_classes(of_groups, len(bins), self.confidence)

    def areas(self, *, pairs: bool) -> UnitEstimate:
        """Learn how well the mean area over classes, or pairs of them, is known."""
        values, squares = [], []
        # Where the rows of a cell lie together, so do those of a group nearly.
        order = self._groups.order
        cell, label = self._slicing.cell[order], self._cases.label[order]
        scores = np.stack([score[order] for score in self._cases.probabilities.T])
        for level in self._slicing.levels:
            design = SurveyDesign(level, cell)
            linear = areas_of_classes(design, scores.T, label, pairs=pairs)
            values.append(linear.value)
            squares.append(design.total(linear.influence**2))
        rows = self.design.of_kinds(self.rows.label, len(self.numbers)).min(axis=1)
        value, second = np.concatenate(values), np.concatenate(squares)
        spread = Spread.of_cases(rows, second, np.zeros(len(rows)))
        return UnitEstimate(value, spread, rows, rows, None)


_Linear = Callable[[MulticlassLevel], LinearisedEstimate]


def _right(at: MulticlassLevel) -> FloatArray:
    return at.right.astype(float)


def _right_or_silent(at: MulticlassLevel) -> FloatArray:
    # An abstention is better than a wrong answer.
    return np.where(at.answered, 2.0 * at.right - 1, 0.0)


def _share(hits: Callable[[MulticlassLevel], BoolArray]) -> LevelMetric[MulticlassLevel]:
    """Give all forms of a share of all cases."""
    return LevelMetric(
        lambda at: at.design.rate(hits(at), at.all, NO_ROWS, at.confidence),
        PairedTest(
            linear=lambda at: at.design.mean(hits(at)),
            merit=lambda at: hits(at).astype(float),
            hits=True,
            largest=1.0,
        ),
    )


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


def _in_top(count: int) -> LevelMetric[MulticlassLevel]:
    """Give all forms of the share of cases with the label among so many classes."""

    def hits(rows: MulticlassRows) -> BoolArray:
        own = rows.given
        ahead = np.zeros(len(own), dtype=np.intp)
        for number, scores in enumerate(rows.probabilities.T):
            # Among equal scores the later class comes first, as scikit-learn has it.
            ahead += np.where(number > rows.label, scores >= own, scores > own)
        inside: BoolArray = ahead < count
        return inside

    def measure(at: MulticlassLevel) -> Estimate:
        estimate = at.rate(hits)
        if count >= len(at.numbers):
            every = np.ones(at.design.groups, dtype=bool)
            estimate.mark_undefined(every, f"there are only {len(at.numbers)} classes")
        return estimate

    return LevelMetric(
        measure,
        PairedTest(
            linear=lambda at: at.design.mean(hits(at.rows)),
            merit=lambda at: hits(at.rows).astype(float),
            hits=True,
            largest=1.0,
        ),
    )


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

    def of_classes(at: MulticlassLevel) -> FloatArray:
        """Give each class's share, (classes,)."""
        return np.isin(at.numbers, chosen(at)) / len(chosen(at))

    def linear(at: MulticlassLevel) -> LinearisedEstimate:
        value, moves = at.of_each_class(rate)
        mean = value[:, list(chosen(at))].mean(axis=1)
        return LinearisedEstimate(mean, at.influence(moves, of_classes(at)))

    def measure(at: MulticlassLevel) -> Estimate:
        among, what = at.of_class, _NO_LABEL
        if rate.among == PREDICTED_POSITIVES:
            among, what = at.decided, _NEVER_PREDICTED
        elif rate.twice and not at.rows.declared:
            either = zip(at.of_class, at.decided, strict=True)
            among, what = [label | decided for label, decided in either], _NEVER_SEEN
        average = linear(at)
        limits = at.average_limits(rate, average, of_classes(at))
        needed = [among[number] for number in chosen(at)]
        estimate = at.interval(at.design.measure(average, *needed), needed, limits)
        at.mark_absent(estimate, among, what, chosen(at))
        return estimate

    return _over_classes(measure, linear)


def _weighted(rate: Rate) -> LevelMetric[MulticlassLevel]:
    """Give the mean over the classes, each as often as it is a label."""

    def shares_and_rates(
        at: MulticlassLevel,
    ) -> tuple[FloatArray, FloatArray, FloatArray, LinearisedEstimate]:
        """Give shares and rates, (groups, classes), the former's influences, and the average."""
        design, label = at.design, at.rows.label
        value, moves = at.of_each_class(rate)
        labels, all_weight = design.of_kinds(label, len(at.numbers)), design.total(design.weight)
        shares, own = np.nan_to_num(divide(labels, all_weight[:, None])), np.nan_to_num(value)
        # A class of no label counts nothing, though it has no rate; any other's is missed.
        mean = np.where(shares > 0, shares * value, 0).sum(axis=1)
        apart = own[design.group, label] - (shares * own).sum(axis=1)[design.group]
        of_shares = divide(design.weight * apart, all_weight[design.group])
        linear = LinearisedEstimate(mean, at.influence(moves, shares) + of_shares)
        return shares, value, of_shares, linear

    def measure(at: MulticlassLevel) -> Estimate:
        shares, value, of_shares, linear = shares_and_rates(at)
        limits = at.average_limits(rate, linear, shares, of_shares)
        estimate = at.design.measure(linear).estimate(limits)
        estimate.mark_undefined(at.design.n == 0, NO_ROWS)
        absent = (shares > 0) & np.isnan(value)
        for name, missing in zip(at.rows.classes, absent.T, strict=True):
            estimate.mark_undefined(missing, _NEVER_PREDICTED.format(name))
        least = MIN_OF_EACH_CLASS * len(at.numbers)
        estimate.mark_shortfall(least, "cases", at.design.cases())
        return estimate

    return _over_classes(measure, lambda at: shares_and_rates(at)[3])


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

    of_labels, of_predictions = (
        divide(design.of_kinds(number, many), design.total(design.weight)[:, None])
        for number, many in ((label, labels), (prediction, predictions))
    )
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
    _, furthest = design.furthest(found.kappa.influence)
    unseen = spread.variance + (2 * furthest) ** 2
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


def _log_loss(rows: MulticlassRows) -> FloatArray:
    return clipped_log(rows.given)


def _squared_error(rows: MulticlassRows) -> FloatArray:
    # G. W. Brier, Monthly Weather Review 78 (1950) 1.
    squares = np.zeros(len(rows.label))
    for number, scores in enumerate(rows.probabilities.T):
        squares += (scores - (rows.label == number)) ** 2
    return squares


def _mean(losses: _Losses, largest: float, merit: _Losses) -> LevelMetric[MulticlassLevel]:
    """Give all forms of the mean of a loss from 0 to the largest."""
    return LevelMetric(
        lambda at: at.mean(losses, largest),
        PairedTest(
            linear=lambda at: at.design.mean(losses(at.rows)),
            merit=lambda at: merit(at.rows),
            fewest=MIN_CASES,
            skewed=True,
        ),
    )


def _top_label(rows: MulticlassRows) -> tuple[list[FloatArray], list[BoolArray]]:
    top = rows.probabilities.argmax(axis=1)
    return [rows.probabilities.max(axis=1)], [top == rows.label]


def _each_class(rows: MulticlassRows) -> tuple[list[FloatArray], list[BoolArray]]:
    # M. Kull et al., Advances in Neural Information Processing Systems 32 (2019) 12316.
    hits = [rows.label == number for number in range(len(rows.classes))]
    return list(rows.probabilities.T), hits


def _class_calibration_error(at: MulticlassLevel) -> dict[Any, Estimate]:
    def of_rows(number: int) -> _Calibrated:
        return lambda rows: ([rows.probabilities[:, number]], [rows.label == number])

    return {
        value: at.calibration_error(of_rows(number)) for number, value in enumerate(at.rows.classes)
    }


def _roc_auc(*, pairs: bool) -> LevelMetric[MulticlassLevel]:
    # Of pairs: D. Hand, R. Till, Machine Learning 45 (2001) 171.
    def measure(at: MulticlassLevel) -> Estimate:
        estimate = at.interval(at.areas(pairs=pairs), at.of_class)
        at.mark_absent(estimate, at.of_class, _NO_LABEL, at.numbers)
        return estimate

    def linear(at: MulticlassLevel) -> LinearisedEstimate:
        return at.linear_areas(pairs=pairs)

    return _over_classes(measure, linear, lambda at: at.rows.given)


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
    "roc_auc_ovr": _roc_auc(pairs=False),
    "roc_auc_ovo": _roc_auc(pairs=True),
    "log_loss": _mean(_log_loss, MAX_LOG_LOSS, lambda rows: rows.given),
    "brier": _mean(_squared_error, _MAX_BRIER, lambda rows: -_squared_error(rows)),
    "top_label_calibration_error": LevelMetric(lambda at: at.calibration_error(_top_label)),
    "classwise_calibration_error": LevelMetric(lambda at: at.calibration_error(_each_class)),
    "class_calibration_error": LevelMetric(_class_calibration_error),
}

MULTICLASS: Mapping[str, LevelMetric[MulticlassLevel]] = ByName(
    _OF_CLASSES, {"top_{k}_accuracy": _in_top}
)
"""All metrics of a multiclass classifier, by name."""
