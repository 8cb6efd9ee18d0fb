"""Losses, their first three power sums, and intervals for their means and for values in [0, 1]."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import special

from evaluator.metrics._estimates import (
    NO_ROWS,
    NO_SPREAD,
    BoolArray,
    Estimate,
    FloatArray,
    divide,
)
from evaluator.metrics._levels import IntArray, Slicing
from evaluator.metrics._linear import Spread, SurveyDesign, UnitEstimate
from evaluator.metrics._ranking import cut_blocks, stable_order
from evaluator.metrics._rates import balanced_rate_interval, clopper_pearson, lopsided_interval

MIN_CASES = 20
# A mean that one case carries has a skewness near one, in units of the root of the cases.
MAX_SKEWNESS = 0.9
_LITTLE_SKEWNESS = 0.5
_NO_SKEWNESS = 1e-6
_MAX_EXPONENT = 700.0
EVEN = 0.5
# Probabilities are cut to [EPSILON, 1 - EPSILON], as scikit-learn cuts them.
EPSILON = float(np.finfo(np.float64).eps)
MAX_LOG_LOSS = -float(np.log(EPSILON))
# Rows worked on at a time: all arrays of a piece stay in the processor's cache.
_PIECE = 1 << 16


@dataclass(frozen=True)
class Moments:
    """Moments of a loss in every group; arrays of shape (groups,)."""

    n: FloatArray
    mean: FloatArray
    # With n - 1 in the denominator.
    deviation: FloatArray
    # The third central moment over the cubed deviation.
    skewness: FloatArray

    @classmethod
    def of_sums(cls, n: FloatArray, sums: FloatArray) -> "Moments":
        """Compute moments from the sums of first, second and third powers, shape (groups, 3)."""
        first, second, third = (divide(sums[:, power], n) for power in range(3))
        variance = np.maximum(second - first**2, 0)
        # What is left by cancellation is no spread.
        variance = np.where(variance <= NO_SPREAD * np.maximum(second, 1e-300), 0, variance)
        corrected = divide(variance * n, np.maximum(n - 1, 0))
        deviation = np.sqrt(corrected)
        third_central = third - 3 * first * second + 2 * first**3
        return cls(n, first, deviation, divide(third_central, deviation**3))


def mean_interval(moments: Moments, confidence: float) -> tuple[FloatArray, FloatArray]:
    """Give the interval of a mean, corrected for skewness.

    The studentised mean T is carried by a monotone cubic g to a variable whose distribution is
    symmetric to the order 1/n, and the quantiles of Student's t are carried back:
    g(T) = T + a T^2 / 3 + a^2 T^3 / 27 + a / (6 n), with skewness a and T in units of the
    standard deviation. In our simulations it covers as well as a studentised bootstrap (0.94 to
    0.97 of nominal 0.95 from 20 cases on, where Student's interval has 0.88), and it needs no
    draws.

    Source: P. Hall, Journal of the Royal Statistical Society B 54 (1992) 221.
    """
    n = np.maximum(moments.n, 2)
    quantile = special.stdtrit(n - 1, (1 + confidence) / 2) / np.sqrt(n)
    skewness = np.where(np.abs(moments.skewness) < _NO_SKEWNESS, _NO_SKEWNESS, moments.skewness)

    def back(g: FloatArray) -> FloatArray:
        carried: FloatArray = 3 / skewness * (np.cbrt(1 + skewness * (g - skewness / (6 * n))) - 1)
        return carried

    low = moments.mean - moments.deviation * back(quantile)
    high = moments.mean - moments.deviation * back(-quantile)
    return low, high


def estimate_mean(
    n: FloatArray,
    sums: FloatArray,
    confidence: float,
    bounds: tuple[float, float],
    cases: FloatArray | None = None,
) -> Estimate:
    """Estimate the mean of a loss in every group from its power sums.

    Where `n` and the sums are effective ones, `cases` says how many cases there are.
    """
    moments = Moments.of_sums(n, sums)
    estimate = Estimate(moments.mean.copy(), n if cases is None else cases)
    estimate.low, estimate.high = _limits(moments, confidence, bounds)
    _mark_unknown(estimate, moments, bounds, estimate.effective)
    return estimate


@dataclass(frozen=True)
class Learned:
    """An estimate, what its units tell of it, and how far one of them moves it at most."""

    found: UnitEstimate
    # Down and up, shape (groups,) each.
    furthest: tuple[FloatArray, FloatArray]


class CaseGroups:
    """The groups of all levels at once, where cases are independent and of one weight.

    What is told of a group is put together from its finest cells. All values of cases are given
    cell by cell, as `order` has the rows, but where it says otherwise.
    """

    def __init__(self, slicing: Slicing) -> None:
        self._slicing = slicing
        self._sizes = np.bincount(slicing.cell, minlength=slicing.cells)
        self._starts = np.concatenate([[0], np.cumsum(self._sizes)])
        self.n = slicing.add_up(self._sizes).astype(float)

    @cached_property
    def order(self) -> IntArray:
        """The rows, cell by cell."""
        return stable_order(self._slicing.cell, self._slicing.cells)

    def total(self, values: NDArray[Any]) -> FloatArray:
        """Add up the values of each group's cases."""
        sums = np.empty(len(self._sizes))
        for cells, rows, starts in self._blocks():
            sums[cells] = np.add.reduceat(values[rows], starts, dtype=float)
        return self._slicing.add_up(sums)

    def rate(self, hits: BoolArray, confidence: float) -> Estimate:
        """Estimate the share of all cases that are hits."""
        of_groups = self.total(hits)
        estimate = Estimate(divide(of_groups, self.n), self.n.copy())
        estimate.low, estimate.high = balanced_rate_interval(of_groups, self.n, confidence)
        estimate.mark_undefined(self.n == 0, NO_ROWS)
        return estimate

    def mean(self, values: FloatArray) -> Learned:
        """Learn how well the mean of the values is known, and what one of them may move."""
        n, size = self.n, self._sizes
        sums, second, lowest, highest = np.zeros((4, len(size)))
        for cells, rows, starts in self._blocks():
            own = values[rows]
            sums[cells] = np.add.reduceat(own, starts)
            lowest[cells] = np.minimum.reduceat(own, starts)
            highest[cells] = np.maximum.reduceat(own, starts)
            apart = own - np.repeat(sums[cells] / size[cells], size[cells])
            second[cells] = np.add.reduceat(apart * apart, starts)
        found = self._found(sums, second, np.zeros(len(size)))
        furthest = self._extremes(lowest, highest)
        down, up = (
            np.nan_to_num(divide(far, n))
            for far in (found.value - furthest[0], furthest[1] - found.value)
        )
        return Learned(found, (np.maximum(down, 0), np.maximum(up, 0)))

    def skewed_mean(self, values: FloatArray) -> UnitEstimate:
        """Estimate the mean of values that are given as the rows come, and how skewed they are."""
        cell, size = self._slicing.cell, self._sizes

        def total(of_rows: FloatArray) -> FloatArray:
            return np.bincount(cell, of_rows, len(size)).astype(float)

        sums = total(values)
        apart = values - (sums / size)[cell]
        power = apart * apart
        return self._found(sums, total(power), total(power * apart))

    def _found(self, sums: FloatArray, second: FloatArray, third: FloatArray) -> UnitEstimate:
        """Estimate means from the cells' sums and their powers around the cells' own means."""
        n, size = self.n, self._sizes
        mean = divide(self._slicing.add_up(sums), n)
        # How far each cell's mean lies from that of its groups, shape (levels, cells).
        between = sums / size - mean[self._slicing.group_of_cell]
        third = third + 3 * between * second + size * between**3
        second = second + size * between**2
        moments = (
            np.nan_to_num(divide(self._add_up(part), n**power))
            for part, power in ((second, 2), (third, 3))
        )
        return UnitEstimate(mean, Spread.of_cases(n, *moments), n, n, None)

    def ratio_of_squares(
        self, numerator: FloatArray, values: FloatArray, of_values: UnitEstimate
    ) -> Learned:
        """Learn how well sum(numerator) / sum((values - mean)^2) is known, from the values' mean.

        The mean has no influence of its own, since it is where the lower sum is smallest.
        """
        n, group = self.n, self._slicing.group_of_cell
        # Its variance is that of the values over their number.
        scatter = of_values.spread.variance * n * (n - 1)
        value = divide(self.total(numerator), scatter)
        centre, share = of_values.value[group], np.nan_to_num(value)[group]
        second, lowest, highest = np.empty((3, *group.shape))
        for cells, rows, starts in self._blocks():
            size = self._sizes[cells]
            for level in range(len(group)):
                moves = values[rows] - np.repeat(centre[level, cells], size)
                moves *= moves
                moves *= np.repeat(share[level, cells], size)
                np.subtract(numerator[rows], moves, out=moves)
                lowest[level, cells] = np.minimum.reduceat(moves, starts)
                highest[level, cells] = np.maximum.reduceat(moves, starts)
                moves *= moves
                second[level, cells] = np.add.reduceat(moves, starts)
        squares = np.nan_to_num(divide(self._add_up(second), scatter**2))
        spread = Spread.of_cases(n, squares, np.zeros(len(n)))
        furthest = self._extremes(lowest, highest)
        down, up = (np.nan_to_num(divide(far, scatter)) for far in (-furthest[0], furthest[1]))
        found = UnitEstimate(value, spread, n, n, None)
        return Learned(found, (np.maximum(down, 0), np.maximum(up, 0)))

    def at_places(self, values: FloatArray, places: IntArray) -> FloatArray:
        """Give the values at these places of each group in their order, both (groups, places)."""
        result = np.full(places.shape, np.nan)
        pieces = np.split(values, self._starts[1:-1])
        group = 0
        for level in self._slicing.levels:
            order = np.argsort(level.group_of_cell, kind="stable")
            bounds = np.searchsorted(level.group_of_cell[order], np.arange(1, level.groups))
            for cells in np.split(order, bounds):
                if len(cells):
                    own = np.concatenate([pieces[cell] for cell in cells])
                    there = np.clip(places[group], 0, len(own) - 1)
                    own.partition(there)
                    result[group] = own[there]
                group += 1
        return result

    def _blocks(self) -> Iterator[tuple[slice, slice, IntArray]]:
        """Give some cells at a time: these, their rows, and where among them each cell begins."""
        if len(self._sizes):
            for first, last in cut_blocks(self._sizes):
                start, stop = self._starts[first], self._starts[last]
                yield slice(first, last), slice(start, stop), self._starts[first:last] - start

    def _add_up(self, of_cells: FloatArray) -> FloatArray:
        """Add what the cells have at each level, shape (levels, cells), for all groups."""
        group = self._slicing.group_of_cell.ravel()
        return np.bincount(group, of_cells.ravel(), len(self.n)).astype(float)

    def _extremes(self, lowest: FloatArray, highest: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Give the extremes of groups from those of cells, shape (cells,) or (levels, cells)."""
        group = self._slicing.group_of_cell
        low, high = np.full(len(self.n), np.inf), np.full(len(self.n), -np.inf)
        np.minimum.at(low, group, np.broadcast_to(lowest, group.shape))
        np.maximum.at(high, group, np.broadcast_to(highest, group.shape))
        return low, high


def linear_mean(
    design: SurveyDesign, losses: FloatArray, confidence: float, bounds: tuple[float, float]
) -> Estimate:
    """Estimate the weighted mean of a loss, as `estimate_mean` does the plain one."""
    found = design.measure(design.mean(losses))
    carriers = design.of_groups_effective(design.of_units(design.weight * losses))
    cases = design.cases()
    return survey_mean(found, carriers, cases=cases, confidence=confidence, bounds=bounds)


def survey_mean(
    found: UnitEstimate,
    carriers: FloatArray | None,
    *,
    cases: FloatArray,
    confidence: float,
    bounds: tuple[float, float],
    fewest: int = MIN_CASES,
) -> Estimate:
    """Give a mean its interval; of a loss so many units are carriers, each of its weighted sum.

    Clusters are more skewed than can be learned from a few of them: the upper limit of a loss is at
    least the one that is symmetric in the loss's logarithm, with no more degrees of freedom than
    there are clusters that carry the loss, less one.
    """
    spread = found.spread
    nothing = NO_SPREAD * np.nan_to_num(found.value) ** 2
    variance = np.where(spread.variance <= nothing, 0, spread.variance)
    # As if so many independent units had been averaged.
    units = spread.known(spread.carriers) + 1
    lean = spread.lean * np.sqrt(units)
    moments = Moments(
        np.where(found.rows > 0, units, 0), found.value, np.sqrt(variance * units), lean
    )
    low, high = _limits(moments, confidence, bounds)
    if bounds[0] == 0 and carriers is not None:
        quantile = spread.quantile(confidence, carriers)

        def limits(variance: FloatArray) -> tuple[FloatArray, FloatArray]:
            relative = np.nan_to_num(divide(quantile * np.sqrt(variance), found.value))
            return low, found.value * np.exp(np.minimum(relative, _MAX_EXPONENT))

        rising = np.ones(len(low), dtype=bool)
        _, far = lopsided_interval(limits, found.value, variance, spread.alone, rising)
        high = high + (1 - spread.alone) * np.maximum(np.minimum(far, bounds[1]) - high, 0)
    estimate = found.estimate((low, high))
    _mark_unknown(estimate, moments, bounds, cases, fewest)
    return estimate


def _limits(
    moments: Moments, confidence: float, bounds: tuple[float, float]
) -> tuple[FloatArray, FloatArray]:
    """Give the limits of a mean within its bounds."""
    low, high = mean_interval(moments, confidence)
    smallest, largest = bounds
    if np.isfinite(smallest) and np.isfinite(largest):
        equal = moments.deviation == 0
        many = np.maximum(moments.n, 1)
        _, unseen = clopper_pearson(np.zeros(len(many)), many, confidence)
        low = np.where(equal, moments.mean - unseen * (moments.mean - smallest), low)
        high = np.where(equal, moments.mean + unseen * (largest - moments.mean), high)
    return np.maximum(low, smallest), np.minimum(high, largest)


def _mark_unknown(
    estimate: Estimate,
    moments: Moments,
    bounds: tuple[float, float],
    cases: FloatArray,
    fewest: int = MIN_CASES,
) -> None:
    """Say where a mean has no interval that would cover."""
    n = moments.n
    estimate.mark_undefined(n == 0, NO_ROWS)
    estimate.mark_shortfall(fewest, "cases", cases)
    equal = moments.deviation == 0
    if not np.isfinite(bounds).all():
        estimate.mark_too_few(equal, "all cases are equal, so that their spread is unknown")
    skewed = ~equal & (np.abs(moments.skewness) > MAX_SKEWNESS * np.sqrt(n))
    would_do = np.ceil((moments.skewness / _LITTLE_SKEWNESS) ** 2)
    reason = np.full(len(n), None, dtype=object)
    unit, units = ("case", "cases") if estimate.clusters is None else ("cluster", "clusters")
    for group in np.flatnonzero(skewed):
        reason[group] = (
            f"one {unit} carries the mean; about {would_do[group]:.0f} {units} would do, "
            f"there are {n[group]:.0f}"
        )
    estimate.mark_too_few(skewed, reason)


def log_odds_interval(found: UnitEstimate, confidence: float) -> tuple[FloatArray, FloatArray]:
    """Give an interval for a value in [0, 1], symmetric in its log-odds, by Student's quantile.

    Where the value is 0 or 1, or shows no spread, the interval is that of a rate over as many
    cases as it rests on.
    Source: K. Boyd, K. Eng, C. D. Page, ECML PKDD (2013) 451.
    """
    value, spread = found.value, found.spread
    edge = ~((value > 0) & (value < 1) & (spread.variance > 0))
    inside = np.where(edge, 0.5, value)
    odds = special.logit(inside)
    quantile = spread.quantile(confidence)

    def limits(variance: FloatArray) -> tuple[FloatArray, FloatArray]:
        half = quantile * np.sqrt(variance) / (inside * (1 - inside))
        return special.expit(odds - half), special.expit(odds + half)

    low, high = lopsided_interval(limits, inside, spread.variance, spread.alone, inside < EVEN)
    there = np.flatnonzero(edge & (found.effective > 0))
    cases = found.effective[there]
    low[there], high[there] = clopper_pearson(value[there] * cases, cases, confidence)
    return low, high


def log_losses(score: FloatArray, label: BoolArray) -> FloatArray:
    """Give -log of the probability of the label, shape (rows,)."""
    return clipped_log(np.where(label, score, 1 - score))


def squared_errors(score: FloatArray, label: BoolArray) -> FloatArray:
    """Give the squared difference of probability and outcome, shape (rows,)."""
    return (score - label) ** 2


def clipped_log(given: FloatArray) -> FloatArray:
    """Give -log of probabilities cut to [EPSILON, 1 - EPSILON].

    The argument is overwritten.
    """
    np.clip(given, EPSILON, 1 - EPSILON, out=given)
    np.log(given, out=given)
    return np.negative(given, out=given)


def power_sums(
    slicing: Slicing,
    score: NDArray[Any],
    label: NDArray[Any],
    loss: Callable[[Any, Any], FloatArray],
) -> FloatArray:
    """Add up the first three powers of a loss in every cell."""
    cells = slicing.cells
    sums = np.zeros((3, cells))
    # With very many cells a piece has to be larger than what one pass over the sums costs.
    size = max(_PIECE, 4 * cells)
    for start in range(0, len(score), size):
        piece = slice(start, start + size)
        cell = slicing.cell[piece]
        losses = loss(score[piece], label[piece])
        power = losses
        for row in range(3):
            # One case after the other, so that a cell's sum does not round by where pieces end.
            np.add.at(sums[row], cell, power)
            power = power * losses
    return sums.T
