"""The metrics of a regression, each with all its forms."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

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
from evaluator.metrics._linear import SurveyDesign
from evaluator.metrics._means import EVEN, MIN_CASES

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


@dataclass(frozen=True)
class RegressionLevel:
    """The rows at one level."""

    rows: RegressionRows
    design: SurveyDesign
    confidence: float

    @property
    def outputs(self) -> list[FloatArray]:
        """The predictions, as a comparison takes them."""
        return [self.rows.prediction]

    @property
    def parts(self) -> list[BoolArray]:
        """None: no metric has a bound but for shares of all cases."""
        return []

    @property
    def error(self) -> FloatArray:
        """Prediction minus label, shape (rows,)."""
        return self.rows.prediction - self.rows.label

    @property
    def tolerance(self) -> float:
        """The tolerated error; metrics of it are only asked for where there is one."""
        if self.rows.tolerance is None:
            raise MetricsInputError("this metric needs `tolerance` to be given")
        return self.rows.tolerance

    @property
    def limits(self) -> tuple[FloatArray, FloatArray]:
        """The candidate's lower and upper limits, shape (rows,) each."""
        if self.rows.limits is None:
            raise MetricsInputError("this metric needs limits columns")
        return self.rows.limits


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
_Losses = Callable[[RegressionLevel], FloatArray]


def _estimate(
    at: RegressionLevel, linear: LinearisedEstimate, tails: _Tails, *, signed: bool = False
) -> Estimate:
    """Estimate a mean or a share by Student's interval, as if one case more had been seen.

    What cannot be negative has the interval of its logarithm.
    """
    design, value, found = at.design, linear.value, at.design.measure(linear)
    times = tails.times + tails.more / np.maximum(found.effective, 1)
    moved = design.one_more(linear.influence, found.spread.variance, times)
    scale = np.ones(design.groups) if signed else np.where(value > 0, value, np.nan)
    quantile = found.spread.quantile(at.confidence)
    down, up = ((beyond + quantile * np.sqrt(variance)) / scale for beyond, variance in moved)
    if signed:
        estimate = found.estimate((value - down, value + up))
    else:
        up = np.minimum(up, _MAX_EXPONENT)
        estimate = found.estimate((value * np.exp(-down), value * np.exp(up)))
    cases = design.cases()
    variance = found.spread.variance
    instead = tails.instead
    few, reasons = cases < tails.fewest, shortfall_reasons(tails.fewest, "cases", cases)
    reasons[few] += f"; {instead} need fewer"
    alike = variance * cases <= NO_SPREAD * value**2
    furthest = np.maximum(*(beyond for beyond, _ in moved))
    carried = furthest**2 > CARRIED * times**2 * variance
    one = "case" if design.cluster is None else "cluster"
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
        lambda at: _estimate(at, at.design.mean(losses(at)), tails, signed=signed),
        PairedTest(
            linear=lambda at: at.design.mean(losses(at)),
            merit=lambda at: -np.abs(losses(at)),
            fewest=tails.fewest,
            skewed=True,
            unseen=unseen,
        ),
    )


def _share(hits: Callable[[RegressionLevel], BoolArray]) -> LevelMetric[RegressionLevel]:
    """Give all forms of a share of all cases."""

    def measure(at: RegressionLevel) -> Estimate:
        inside = hits(at)
        return at.design.rate(inside, np.ones(len(inside), dtype=bool), NO_ROWS, at.confidence)

    return LevelMetric(
        measure,
        PairedTest(
            linear=lambda at: at.design.mean(hits(at)),
            merit=lambda at: hits(at).astype(float),
            hits=True,
            largest=1.0,
        ),
    )


def _within_tolerance(at: RegressionLevel) -> BoolArray:
    inside: BoolArray = np.abs(at.error) <= at.tolerance
    return inside


def _within_limits(at: RegressionLevel) -> BoolArray:
    low, high = at.limits
    inside: BoolArray = (low <= at.rows.label) & (at.rows.label <= high)
    return inside


def _width(at: RegressionLevel) -> FloatArray:
    low, high = at.limits
    return high - low


def _interval_score(at: RegressionLevel) -> FloatArray:
    # R. L. Winkler, Journal of the American Statistical Association 67 (1972) 187; T. Gneiting,
    # A. Raftery, ibidem 102 (2007) 359, equation 43.
    low, high = at.limits
    outside = np.maximum(low - at.rows.label, 0) + np.maximum(at.rows.label - high, 0)
    score: FloatArray = high - low + 2 / (1 - at.rows.limits_level) * outside
    return score


def _squared_error(at: RegressionLevel) -> FloatArray:
    return at.error**2


def _root_mean_squared_error(at: RegressionLevel) -> Estimate:
    estimate = _estimate(at, at.design.mean(_squared_error(at)), _OF_SQUARES)
    estimate.value, estimate.low, estimate.high = (
        np.sqrt(part) for part in (estimate.value, estimate.low, estimate.high)
    )
    return estimate


def _linear_root(at: RegressionLevel) -> LinearisedEstimate:
    square = at.design.mean(_squared_error(at))
    root = np.sqrt(square.value)
    slope = np.nan_to_num(divide(1, 2 * root))
    return LinearisedEstimate(root, square.influence * slope[at.design.group])


def _median_absolute_error(at: RegressionLevel) -> Estimate:
    errors, design = np.abs(at.error), at.design
    median = weighted_median(design, errors)
    below = errors <= median[design.group]
    found = replace(design.measure(design.mean(below)), value=median)
    estimate = found.estimate(median_interval(design, errors, below, at.confidence))
    estimate.mark_undefined(design.n == 0, NO_ROWS)
    # Below this number all cases may lie on one side of the median too often.
    least = int(np.ceil(1 - np.log2(1 - at.confidence)))
    estimate.mark_shortfall(least, "cases", design.cases())
    return estimate


def _unexplained(at: RegressionLevel) -> LinearisedEstimate:
    # Q = sum(w error^2) / sum(w (label - mean)^2). The mean has no influence of its own, since it
    # is where the lower sum is smallest.
    mean = np.nan_to_num(at.design.mean(at.rows.label).value)
    return at.design.ratio(_squared_error(at), (at.rows.label - mean[at.design.group]) ** 2)


def _r2(at: RegressionLevel) -> Estimate:
    estimate = _estimate(at, _unexplained(at), _OF_SHARES)
    estimate.value, estimate.low, estimate.high = (
        1 - part for part in (estimate.value, estimate.high, estimate.low)
    )
    estimate.mark_undefined(_all_equal(at.design, at.rows.label), "the labels are all equal")
    return estimate


def _linear_r2(at: RegressionLevel) -> LinearisedEstimate:
    quotient = _unexplained(at)
    return LinearisedEstimate(1 - quotient.value, -quotient.influence)


def _all_equal(design: SurveyDesign, values: FloatArray) -> BoolArray:
    """Say which groups' values do not differ but for rounding; a sum of squares would not know."""
    lowest, highest = np.full(design.groups, np.inf), np.full(design.groups, -np.inf)
    counts = design.weight > 0
    np.minimum.at(lowest, design.group[counts], values[counts])
    np.maximum.at(highest, design.group[counts], values[counts])
    equal: BoolArray = highest <= lowest + _SLACK * np.maximum(np.abs(lowest), np.abs(highest))
    return equal


def _relative_error(at: RegressionLevel) -> FloatArray:
    return np.nan_to_num(divide(np.abs(at.error), np.abs(at.rows.label)))


def _mean_absolute_percentage_error(at: RegressionLevel) -> Estimate:
    zero = (at.rows.label == 0) & (at.design.weight > 0)
    estimate = _estimate(at, at.design.mean(_relative_error(at)), _OF_ERRORS)
    estimate.mark_undefined(at.design.total(zero) > 0, "some labels are 0")
    return estimate


def _pinball_loss(percent: int) -> _Losses:
    # R. Koenker, G. Bassett, Econometrica 46 (1978) 33.
    share = percent / 100
    return lambda at: np.maximum(-share * at.error, (1 - share) * at.error)


_SCORED = _mean(_interval_score, _OF_SCORES, unseen=_OF_PAIRED_SCORES)


def _mean_interval_score(at: RegressionLevel) -> Estimate:
    estimate = _estimate(at, at.design.mean(_interval_score(at)), _OF_SCORES)
    # So many are expected; of limits that hold more than they are meant to, nothing is known that
    # ends above where fewer are seen.
    expected = at.design.cases() * (1 - at.rows.limits_level)
    estimate.mark_shortfall(MIN_OUTSIDE, "labels expected outside the limits", expected)
    outside = at.design.cases(~_within_limits(at))
    estimate.mark_shortfall(MIN_OUTSIDE, "labels outside the limits", outside)
    return estimate


REGRESSION: Mapping[str, LevelMetric[RegressionLevel]] = {
    "mean_absolute_error": _mean(lambda at: np.abs(at.error)),
    "root_mean_squared_error": LevelMetric(
        _root_mean_squared_error,
        PairedTest(
            _linear_root,
            lambda at: -_squared_error(at),
            fewest=MIN_FOR_SQUARES,
            unseen=_OF_PAIRED_SQUARES,
        ),
    ),
    "median_absolute_error": LevelMetric(_median_absolute_error),
    "bias": _mean(lambda at: at.error, signed=True),
    "r2": LevelMetric(
        _r2,
        PairedTest(
            _linear_r2,
            lambda at: -_squared_error(at),
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
    design: SurveyDesign, values: FloatArray, below: BoolArray, confidence: float
) -> tuple[FloatArray, FloatArray]:
    """Give the interval of the median between two of the ordered values.

    The number of n independent cases below the true median is binomial with rate 1/2, whatever
    the distribution; the r-th smallest and the r-th largest value hold the median with at least
    the nominal probability when P(fewer than r below) is at most half the error probability.
    With weights or clusters it lies where the limits of the share below it hold 1/2, with the
    variance that a cluster more would bring of which three quarters lie on one side.

    Sources: W. R. Thompson, Annals of Mathematical Statistics 7 (1936) 122; with weights,
    R. Woodruff, Journal of the American Statistical Association 47 (1952) 635.
    """
    every = np.ones(len(values), dtype=bool)
    found, limits = design.rate_limits(below, every, confidence)
    if found is None:
        n = design.n
        cuts = [divide(np.array([_rank(int(one), confidence) for one in n], dtype=float), n)] * 2
    else:
        spread = found.spread
        unseen = (1 - spread.alone) * (_OF_UNSEEN / (spread.units + 1)) ** 2
        wider = np.sqrt(1 + np.nan_to_num(divide(unseen, spread.variance)))
        cuts = [EVEN - np.abs(limit - found.value) * wider for limit in reversed(limits)]
    total = design.total(design.weight)
    # The r-th smallest: the first value at which the weight reaches the cut; the r-th largest by
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
