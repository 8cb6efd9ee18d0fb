"""The metrics of a regression, each with all its forms."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from scipy import special

from evaluator.metrics._catalogue import PINBALL_PERCENTS
from evaluator.metrics._checks import MetricsInputError
from evaluator.metrics._estimates import (
    CARRIED,
    NO_ROWS,
    NO_SPREAD,
    BoolArray,
    Estimate,
    FloatArray,
    LevelMetric,
    LinearisedEstimate,
    PairedTest,
    Unseen,
    divide,
    shortfall_reasons,
)
from evaluator.metrics._levels import IntArray, Slicing
from evaluator.metrics._linear import SurveyDesign, UnitEstimate
from evaluator.metrics._means import EVEN, MIN_CASES, CaseGroups, Learned

# Squares have longer tails than errors.
MIN_FOR_SQUARES = 50
MIN_OUTSIDE = 10
# How much further than half of an unseen cluster may be on one side of the median.
_OF_UNSEEN = 0.25
# Sums of weights are rounded, and so may labels be: they are equal when twelve digits are.
_SLACK = 1e-12
# Beyond it the exponential is beyond any float.
_MAX_EXPONENT = 700.0


@dataclass(frozen=True)
class RegressionRows:
    """The rows of one candidate; arrays of shape (rows,)."""

    label: FloatArray
    prediction: FloatArray
    # How large an error is tolerated.
    tolerance: float | None
    # The limits that the candidate gives, and with which probability they are meant to hold.
    limits: tuple[FloatArray, FloatArray] | None
    limits_level: float

    @cached_property
    def error(self) -> FloatArray:
        """Prediction minus label."""
        return self.prediction - self.label

    def take(self, order: IntArray) -> "RegressionRows":
        """Give the rows in another order."""
        limits = None if self.limits is None else (self.limits[0][order], self.limits[1][order])
        label, prediction = self.label[order], self.prediction[order]
        return replace(self, label=label, prediction=prediction, limits=limits)


_Losses = Callable[[RegressionRows], FloatArray]


class RegressionCases(ABC):
    """What all metrics are measured from."""

    def __init__(self, rows: RegressionRows, confidence: float) -> None:
        self.rows = rows
        self.confidence = confidence

    @abstractmethod
    def cases(self, among: BoolArray | None = None) -> FloatArray:
        """Count what weights leave of the cases of each group, or of some of them."""

    @abstractmethod
    def rate(self, hits: BoolArray) -> Estimate:
        """Estimate the share of all cases that are hits."""

    @abstractmethod
    def mean(self, values: FloatArray) -> Learned:
        """Learn how well the mean of what cases have is known."""

    @abstractmethod
    def unexplained(self) -> Learned:
        """Learn how well the unexplained share of the labels' variance is known."""

    @abstractmethod
    def equal_labels(self) -> BoolArray:
        """Say which groups' labels do not differ but for rounding.

        A sum of squares would not know.
        """

    @abstractmethod
    def median(self, values: FloatArray) -> Estimate:
        """Estimate the median of what cases have."""


class RegressionLevel(RegressionCases):
    """The rows at one level."""

    def __init__(self, rows: RegressionRows, design: SurveyDesign, confidence: float) -> None:
        super().__init__(rows, confidence)
        self.design = design

    @property
    def outputs(self) -> list[FloatArray]:
        """The predictions, as a comparison takes them."""
        return [self.rows.prediction]

    @property
    def parts(self) -> list[BoolArray]:
        """None: no metric has a bound but for shares of all cases."""
        return []

    def cases(self, among: BoolArray | None = None) -> FloatArray:
        """Count what weights leave of the cases of each group, or of some of them."""
        return self.design.cases(among)

    def rate(self, hits: BoolArray) -> Estimate:
        """Estimate the share of all cases that are hits."""
        return self.design.rate(hits, np.ones(len(hits), dtype=bool), NO_ROWS, self.confidence)

    def mean(self, values: FloatArray) -> Learned:
        """Learn how well the mean of what cases have is known."""
        return self._learn(self.design.mean(values))

    def unexplained(self) -> Learned:
        """Learn how well the unexplained share of the labels' variance is known."""
        return self._learn(self.linear_unexplained())

    def linear_unexplained(self) -> LinearisedEstimate:
        """Give the unexplained share of the labels' variance with the rows' influences on it."""
        # Q = sum(w error^2) / sum(w (label - mean)^2), as `CaseGroups.ratio_of_squares` has it.
        design, label = self.design, self.rows.label
        mean = np.nan_to_num(design.mean(label).value)
        return design.ratio(_squared_error(self.rows), (label - mean[design.group]) ** 2)

    def _learn(self, linear: LinearisedEstimate) -> Learned:
        return Learned(self.design.measure(linear), self.design.furthest(linear.influence))

    def equal_labels(self) -> BoolArray:
        """Say which groups' labels do not differ but for rounding."""
        design, label = self.design, self.rows.label
        lowest, highest = np.full(design.groups, np.inf), np.full(design.groups, -np.inf)
        counts = design.weight > 0
        np.minimum.at(lowest, design.group[counts], label[counts])
        np.maximum.at(highest, design.group[counts], label[counts])
        return _are_equal(lowest, highest)

    def median(self, values: FloatArray) -> Estimate:
        """Estimate the median of what cases have."""
        design = self.design
        median = weighted_median(design, values)
        below = values <= median[design.group]
        found = design.measure(design.mean(below))
        interval = median_interval(design, values, below, found, self.confidence)
        return replace(found, value=median).estimate(interval)


def _are_equal(lowest: FloatArray, highest: FloatArray) -> BoolArray:
    slack = _SLACK * np.maximum(np.abs(lowest), np.abs(highest))
    return np.asarray(highest <= lowest + slack, dtype=bool)


class RegressionGroups(RegressionCases):
    """The groups of all levels, where cases are independent and of one weight."""

    def __init__(self, rows: RegressionRows, slicing: Slicing, confidence: float) -> None:
        self._groups = CaseGroups(slicing)
        super().__init__(rows.take(self._groups.order), confidence)

    def cases(self, among: BoolArray | None = None) -> FloatArray:
        """Count the cases of each group, or some of them."""
        return self._groups.n if among is None else self._groups.total(among)

    def rate(self, hits: BoolArray) -> Estimate:
        """Estimate the share of all cases that are hits."""
        return self._groups.rate(hits, self.confidence)

    def mean(self, values: FloatArray) -> Learned:
        """Learn how well the mean of what cases have is known."""
        return self._groups.mean(values)

    def unexplained(self) -> Learned:
        """Learn how well the unexplained share of the labels' variance is known."""
        label = self.rows.label
        return self._groups.ratio_of_squares(_squared_error(self.rows), label, self._labels.found)

    @cached_property
    def _labels(self) -> Learned:
        return self._groups.mean(self.rows.label)

    def equal_labels(self) -> BoolArray:
        """Say which groups' labels do not differ but for rounding."""
        learned, n = self._labels, self._groups.n
        down, up = learned.furthest
        return _are_equal(learned.found.value - n * down, learned.found.value + n * up)

    def median(self, values: FloatArray) -> Estimate:
        """Estimate the median of what cases have.

        The number of n independent cases below the true median is binomial with rate 1/2, whatever
        the distribution; the r-th smallest and the r-th largest value hold the median with at least
        the nominal probability when P(fewer than r below) is at most half the error probability.
        Source: W. R. Thompson, Annals of Mathematical Statistics 7 (1936) 122.
        """
        n = self._groups.n
        different, back = np.unique(n, return_inverse=True)
        rank = np.array([_rank(int(one), self.confidence) for one in different])[back]
        places = np.stack([(n - 1) // 2, n // 2, rank - 1, n - rank], axis=1).astype(np.intp)
        below, above, low, high = self._groups.at_places(values, places).T
        estimate = Estimate((below + above) / 2, n.copy())
        estimate.low, estimate.high = low, high
        return estimate


@dataclass(frozen=True)
class _Tails:
    """What an interval assumes of cases that were not seen, as benchmarks/coverage.py asks for."""

    # They may lie `times + more / cases` times as far out as the furthest one.
    times: float
    more: float
    fewest: int
    # What a single case may carry, and what then says more.
    carried: str
    instead: str
    # Of what all may be alike.
    of: str = "errors"


_WITHIN = " and the share of cases within a tolerance"
_OF_ERRORS = _Tails(2.0, 0.0, MIN_CASES, "the mean", f"the median absolute error{_WITHIN}")
_OF_SQUARES = _Tails(
    2.5, 80.0, MIN_FOR_SQUARES, "the mean square", f"the mean absolute error{_WITHIN}"
)
# Errors and labels both have tails; few cases show neither.
_OF_SHARES = _Tails(2.5, 200.0, MIN_FOR_SQUARES, "R2", f"the mean absolute error{_WITHIN}")
# How far the few labels lie that are outside is what makes a score large.
_COVERAGE = "the coverage of the limits"
_OF_WIDTHS = _Tails(1.5, 0.0, MIN_CASES, "the mean", _COVERAGE, "widths")
_OF_SCORES = _Tails(3.0, 0.0, MIN_FOR_SQUARES, "the mean", _COVERAGE, "scores")
# As these, for paired differences; `--errors regression` of benchmarks/comparison.py asks for them.
_INSTEAD = "the mean absolute error and the share of cases within a tolerance"
_OF_PAIRED_ERRORS = Unseen(2.0)
_OF_PAIRED_SQUARES = Unseen(4.0, near=0.3, instead=_INSTEAD)
_OF_PAIRED_SHARES = Unseen(4.0, more=200.0, near=0.3, instead=_INSTEAD)
_OF_PAIRED_SCORES = Unseen(4.0, near=0.3, instead=_COVERAGE)


def _estimate(
    at: RegressionCases, learned: Learned, tails: _Tails, *, signed: bool = False
) -> Estimate:
    """Estimate a mean or a share by Student's interval, as if one case more had been seen.

    What is carried by a few units is seen too small in most samples, and its variance with it:
    those that lack the few. No interval without an assumption of what was not seen holds for all
    distributions. What cannot be negative has the interval of its logarithm.
    Source: R. Bahadur, L. Savage, Annals of Mathematical Statistics 27 (1956) 1115.
    """
    found = learned.found
    value, variance = found.value, found.spread.variance
    times = tails.times + tails.more / np.maximum(found.effective, 1)
    scale = np.ones(len(value)) if signed else np.where(value > 0, value, np.nan)
    quantile = found.spread.quantile(at.confidence)
    moved = [times * one for one in learned.furthest]
    down, up = ((beyond + quantile * np.sqrt(variance + beyond**2)) / scale for beyond in moved)
    if signed:
        estimate = found.estimate((value - down, value + up))
    else:
        up = np.minimum(up, _MAX_EXPONENT)
        estimate = found.estimate((value * np.exp(-down), value * np.exp(up)))
    cases = at.cases()
    instead = tails.instead
    few, reasons = cases < tails.fewest, shortfall_reasons(tails.fewest, "cases", cases)
    reasons[few] += f"; {instead} need fewer"
    alike = variance * cases <= NO_SPREAD * value**2
    carried = np.maximum(*moved) ** 2 > CARRIED * times**2 * variance
    one = "case" if found.clusters is None else "cluster"
    estimate.mark_undefined(cases == 0, NO_ROWS)
    estimate.mark_too_few(few, reasons)
    estimate.mark_too_few(alike, f"all {tails.of} are alike, so that their spread is unknown")
    estimate.mark_too_few(carried, f"one {one} carries {tails.carried}; {instead} say more")
    return estimate


def _mean(
    losses: _Losses,
    tails: _Tails = _OF_ERRORS,
    *,
    signed: bool = False,
    unseen: Unseen = _OF_PAIRED_ERRORS,
) -> LevelMetric[RegressionLevel]:
    """Give all forms of the mean of a loss without an upper bound."""
    return LevelMetric(
        lambda at: _estimate(at, at.mean(losses(at.rows)), tails, signed=signed),
        PairedTest(
            linear=lambda at: at.design.mean(losses(at.rows)),
            merit=lambda at: -np.abs(losses(at.rows)),
            fewest=tails.fewest,
            skewed=True,
            unseen=unseen,
        ),
    )


def _share(hits: Callable[[RegressionRows], BoolArray]) -> LevelMetric[RegressionLevel]:
    """Give all forms of a share of all cases."""
    return LevelMetric(
        lambda at: at.rate(hits(at.rows)),
        PairedTest(
            linear=lambda at: at.design.mean(hits(at.rows)),
            merit=lambda at: hits(at.rows).astype(float),
            hits=True,
            largest=1.0,
        ),
    )


def _absolute_error(rows: RegressionRows) -> FloatArray:
    return np.abs(rows.error)


def _squared_error(rows: RegressionRows) -> FloatArray:
    return rows.error**2


def _relative_error(rows: RegressionRows) -> FloatArray:
    return np.nan_to_num(divide(np.abs(rows.error), np.abs(rows.label)))


def _pinball_loss(percent: int) -> _Losses:
    # R. Koenker, G. Bassett, Econometrica 46 (1978) 33.
    share = percent / 100
    return lambda rows: np.maximum(-share * rows.error, (1 - share) * rows.error)


def _within_tolerance(rows: RegressionRows) -> BoolArray:
    if rows.tolerance is None:
        raise MetricsInputError("this metric needs `tolerance` to be given")
    inside: BoolArray = np.abs(rows.error) <= rows.tolerance
    return inside


def _limits(rows: RegressionRows) -> tuple[FloatArray, FloatArray]:
    if rows.limits is None:
        raise MetricsInputError("this metric needs limits columns")
    return rows.limits


def _within_limits(rows: RegressionRows) -> BoolArray:
    low, high = _limits(rows)
    inside: BoolArray = (low <= rows.label) & (rows.label <= high)
    return inside


def _width(rows: RegressionRows) -> FloatArray:
    low, high = _limits(rows)
    return high - low


def _interval_score(rows: RegressionRows) -> FloatArray:
    # R. L. Winkler, Journal of the American Statistical Association 67 (1972) 187; T. Gneiting,
    # A. Raftery, ibidem 102 (2007) 359, equation 43.
    low, high = _limits(rows)
    outside = np.maximum(low - rows.label, 0) + np.maximum(rows.label - high, 0)
    score: FloatArray = high - low + 2 / (1 - rows.limits_level) * outside
    return score


def _root_mean_squared_error(at: RegressionCases) -> Estimate:
    estimate = _estimate(at, at.mean(_squared_error(at.rows)), _OF_SQUARES)
    estimate.value, estimate.low, estimate.high = (
        np.sqrt(part) for part in (estimate.value, estimate.low, estimate.high)
    )
    return estimate


def _linear_root(at: RegressionLevel) -> LinearisedEstimate:
    square = at.design.mean(_squared_error(at.rows))
    root = np.sqrt(square.value)
    slope = np.nan_to_num(divide(1, 2 * root))
    return LinearisedEstimate(root, square.influence * slope[at.design.group])


def _median_absolute_error(at: RegressionCases) -> Estimate:
    estimate = at.median(_absolute_error(at.rows))
    estimate.mark_undefined(at.cases() == 0, NO_ROWS)
    # Below this number all cases may lie on one side of the median too often.
    least = int(np.ceil(1 - np.log2(1 - at.confidence)))
    estimate.mark_shortfall(least, "cases", at.cases())
    return estimate


def _r2(at: RegressionCases) -> Estimate:
    estimate = _estimate(at, at.unexplained(), _OF_SHARES)
    estimate.value, estimate.low, estimate.high = (
        1 - part for part in (estimate.value, estimate.high, estimate.low)
    )
    estimate.mark_undefined(at.equal_labels(), "the labels are all equal")
    return estimate


def _linear_r2(at: RegressionLevel) -> LinearisedEstimate:
    quotient = at.linear_unexplained()
    return LinearisedEstimate(1 - quotient.value, -quotient.influence)


def _mean_absolute_percentage_error(at: RegressionCases) -> Estimate:
    estimate = _estimate(at, at.mean(_relative_error(at.rows)), _OF_ERRORS)
    estimate.mark_undefined(at.cases(at.rows.label == 0) > 0, "some labels are 0")
    return estimate


_SCORED = _mean(_interval_score, _OF_SCORES, unseen=_OF_PAIRED_SCORES)


def _mean_interval_score(at: RegressionCases) -> Estimate:
    estimate = _estimate(at, at.mean(_interval_score(at.rows)), _OF_SCORES)
    # So many are expected; of limits that hold more than they are meant to, nothing is known that
    # ends above where fewer are seen.
    expected = at.cases() * (1 - at.rows.limits_level)
    estimate.mark_shortfall(MIN_OUTSIDE, "labels expected outside the limits", expected)
    outside = at.cases(~_within_limits(at.rows))
    estimate.mark_shortfall(MIN_OUTSIDE, "labels outside the limits", outside)
    return estimate


REGRESSION: Mapping[str, LevelMetric[RegressionLevel]] = {
    "mean_absolute_error": _mean(_absolute_error),
    "root_mean_squared_error": LevelMetric(
        _root_mean_squared_error,
        PairedTest(
            _linear_root,
            lambda at: -_squared_error(at.rows),
            fewest=MIN_FOR_SQUARES,
            unseen=_OF_PAIRED_SQUARES,
        ),
    ),
    "median_absolute_error": LevelMetric(_median_absolute_error),
    "bias": _mean(lambda rows: rows.error, signed=True),
    "r2": LevelMetric(
        _r2,
        PairedTest(
            _linear_r2,
            lambda at: -_squared_error(at.rows),
            fewest=MIN_FOR_SQUARES,
            unseen=_OF_PAIRED_SHARES,
        ),
    ),
    "mean_absolute_percentage_error": LevelMetric(
        _mean_absolute_percentage_error, _mean(_relative_error).paired
    ),
    **{f"pinball_loss_{percent}": _mean(_pinball_loss(percent)) for percent in PINBALL_PERCENTS},
    "within_tolerance": _share(_within_tolerance),
    "limits_coverage": _share(_within_limits),
    "limits_width": _mean(_width, _OF_WIDTHS),
    "interval_score": LevelMetric(_mean_interval_score, _SCORED.paired),
}
"""All metrics of a regression, by name."""


def weighted_median(design: SurveyDesign, values: FloatArray) -> FloatArray:
    """Give each group's median; where half the weight falls between two values, their mean."""
    half = design.total(design.weight) / 2
    return (_reaching(design, values, half) + _passing(design, values, half)) / 2


def median_interval(
    design: SurveyDesign,
    values: FloatArray,
    below: BoolArray,
    share: UnitEstimate,
    confidence: float,
) -> tuple[FloatArray, FloatArray]:
    """Give the interval of the median of cases that have weights or come in clusters.

    It lies where the limits of the share below it hold 1/2, with the variance that a cluster more
    would bring of which three quarters lie on one side.
    Source: R. Woodruff, Journal of the American Statistical Association 47 (1952) 635.
    """
    _, limits = design.rate_limits(below, np.ones(len(values), dtype=bool), confidence)
    spread = share.spread
    unseen = (1 - spread.alone) * (_OF_UNSEEN / (spread.units + 1)) ** 2
    wider = np.sqrt(1 + np.nan_to_num(divide(unseen, spread.variance)))
    cuts = [EVEN - np.abs(limit - share.value) * wider for limit in reversed(limits)]
    total = design.total(design.weight)
    # The lower limit: the first value at which the weight reaches the cut; the upper one by
    # the same from above.
    low, high = (
        sign * _reaching(design, sign * values, np.nan_to_num(cut) * total)
        for sign, cut in zip((1, -1), cuts, strict=True)
    )
    return low, high


def _rank(n: int, confidence: float) -> int:
    """Give the largest r with P(Binomial(n, 1/2) < r) at most half the error probability."""
    if n == 0:
        return 0
    tail = (1 - confidence) / 2
    # Start from the normal approximation and step to the exact rank.
    rank = max(int(n / 2 + special.ndtri(tail) * np.sqrt(n) / 2), 0)
    while special.betaincc(rank + 1, n - rank, 0.5) <= tail:
        rank += 1
    while rank > 0 and special.betaincc(rank, n - rank + 1, 0.5) > tail:
        rank -= 1
    return rank


def _reaching(design: SurveyDesign, values: FloatArray, cut: FloatArray) -> FloatArray:
    """Give the first value of each group at which the weight reaches the cut."""
    return _pick(design, values, cut, -_SLACK)


def _passing(design: SurveyDesign, values: FloatArray, cut: FloatArray) -> FloatArray:
    """Give the first value of each group at which the weight exceeds the cut."""
    return _pick(design, values, cut, _SLACK)


def _pick(design: SurveyDesign, values: FloatArray, cut: FloatArray, slack: float) -> FloatArray:
    """Give each group's first value whose cumulative weight is above the cut and the slack."""
    if not len(values):
        return np.full(design.groups, np.nan)
    order = np.lexsort((values, design.group))
    group, weight = design.group[order], design.weight[order]
    # Rows without weight can be no quantile.
    counts = weight > 0
    order, group, weight = order[counts], group[counts], weight[counts]
    bounds = np.searchsorted(group, np.arange(design.groups + 1))
    cumulative = np.concatenate([[0.0], np.cumsum(weight)])
    target = cumulative[bounds[:-1]] + cut + slack * cumulative[-1]
    found = np.searchsorted(cumulative[1:], target)
    inside = np.clip(found, bounds[:-1], np.maximum(bounds[1:] - 1, 0))
    occupied = np.diff(bounds) > 0
    result = np.full(design.groups, np.nan)
    result[occupied] = values[order[inside[occupied]]]
    return result
