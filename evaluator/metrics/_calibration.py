"""How far probabilities can be taken at their word, bin by bin and by regression."""

from collections.abc import Sequence
from dataclasses import fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import special

from evaluator.metrics._estimates import (
    NO_ROWS,
    BoolArray,
    Estimate,
    FloatArray,
    LinearisedEstimate,
    divide,
)
from evaluator.metrics._levels import IntArray
from evaluator.metrics._linear import TINY, Spread, SurveyDesign, UnitEstimate
from evaluator.metrics._means import EPSILON, EVEN
from evaluator.metrics._rates import lopsided_interval

BINS = 10
MIN_CASES_IN_BINS = 50
NO_RECALIBRATION = "the scores are constant, or they part the labels completely"
_DRAWS = 1000
_SEED = 2901
_STEPS = 14
_MAX_STRETCH = 6.0
_MAX_STEPS = 40
_MAX_STEP = 2.0
_CONVERGED = 1e-10
_NO_SPREAD = 1e-9


def sum_bins(
    group: IntArray, groups: int, score: FloatArray, of_rows: Sequence[NDArray[Any] | None]
) -> FloatArray:
    """Add up what rows have in each group and bin, shape (groups, bins, of_rows); None counts them.

    The bins are ten of equal width, the last one closed.
    """
    code = group * BINS + np.minimum((score * BINS).astype(np.intp), BINS - 1)
    sums = [np.bincount(code, values, groups * BINS).astype(float) for values in of_rows]
    stacked: FloatArray = np.stack(sums, axis=-1).reshape(groups, BINS, len(of_rows))
    return stacked


def expected_calibration_error(bins: FloatArray) -> FloatArray:
    """Measure the mean absolute gap between probability and outcome over bins.

    The sum over bins of n_b / n |mean probability - share of positives|.
    Source: M. Pakdaman Naeini, G. Cooper, M. Hauskrecht, AAAI (2015) 2901.
    """
    gaps: FloatArray = np.abs(bins[:, :, 1] - bins[:, :, 2]).sum(axis=1)
    return divide(gaps, bins[:, :, 0].sum(axis=1))


def calibration_error_interval(
    bins: FloatArray, confidence: float, widening: float = 1.0
) -> tuple[FloatArray, FloatArray]:
    """Give the calibration errors that the data do not contradict.

    The estimate is biased upwards: chance alone opens gaps, so that a perfectly calibrated model
    shows an error above zero and no interval around the estimate can cover. The interval
    therefore inverts a test. The gaps observed are stretched by a common factor, outcomes are
    drawn anew from each stretched model, and the errors are kept at which the observed one is
    neither too large nor too small among the drawn. The lower limit is zero where a calibrated
    model would show such an error as well. The upper limit is at least the plain one, the
    observed error and its spread, since the stretch of the observed gaps is not the worst case
    above; benchmarks/coverage.py measures what comes out.

    The bins are drawn independently of each other; where they are not, errors spread by so much
    more, as `widening` says.

    The draws have the same seed always, so that a slice's interval does not depend on which slices
    are measured with it.
    """
    low, high = np.full(len(bins), np.nan), np.full(len(bins), np.nan)
    for group in np.flatnonzero(bins[:, :, 0].sum(axis=1) > 0):
        low[group], high[group] = _invert(bins[group], 1 - confidence, widening)
    return low, high


def _invert(bins: FloatArray, error: float, widening: float) -> tuple[float, float]:
    """Invert the test for one group's bins, shape (bins, 3)."""
    cases, summed, hits = bins[bins[:, 0] > 0].T
    n = cases.sum()
    probability, gap = summed / cases, (hits - summed) / cases
    observed = np.abs(hits - summed).sum() / n
    generator = np.random.default_rng(_SEED)
    noise, moved = generator.standard_normal((2, _DRAWS, len(cases)))
    # How many cases fall into each bin: nearly normal, and smooth in the number of cases.
    drawn_cases = np.maximum(cases + np.sqrt(cases) * moved, _NO_SPREAD)
    share = drawn_cases / drawn_cases.sum(axis=1, keepdims=True)

    def stretched(factor: float) -> FloatArray:
        rate: FloatArray = np.clip(probability + factor * gap, 0, 1)
        return rate

    def drawn(factor: float) -> FloatArray:
        rate = stretched(factor)
        outcome = rate - probability + noise * np.sqrt(rate * (1 - rate) / cases)
        total: FloatArray = (share * np.abs(outcome)).sum(axis=1)
        if widening > 1:
            total = total.mean() + widening * (total - total.mean())
        return total

    def limit(left: float, right: float, tail: float, *, above: bool) -> float:
        for _ in range(_STEPS):
            middle = (left + right) / 2
            errors = drawn(middle)
            extreme = np.mean(errors >= observed) if above else np.mean(errors <= observed)
            further = extreme <= tail if above else extreme > tail
            left, right = (middle, right) if further else (left, middle)
        factor = left if above else right
        return float((cases / n * np.abs(stretched(factor) - probability)).sum())

    low = 0.0
    if np.mean(drawn(0.0) >= observed) <= error / 2:
        low = limit(0.0, 1.5, error / 2, above=True)
    high = limit(0.0, _MAX_STRETCH, error / 2, above=False)
    spread = float(drawn(1.0).std())
    plain = observed + float(special.ndtri(1 - error / 2)) * spread
    return min(low, observed), max(high, min(plain, 1.0))


def surveyed_calibration_error(
    design: SurveyDesign,
    found: UnitEstimate,
    bins: FloatArray,
    confidence: float,
    widening: float = 1.0,
) -> tuple[Estimate, FloatArray]:
    """Measure the error from bins of weights, and say how many independent cases were drawn.

    The interval's draws are of independent cases: as many as give the gap between mean probability
    and outcome the variance that was found, and what that is not known by.
    """
    spread = found.spread
    known = np.nan_to_num(divide(spread.variance, spread.widened(confidence)), nan=1.0)
    drawn = found.effective * known
    shares = bins / np.maximum(design.total(design.weight), TINY)[:, None, None]
    value = expected_calibration_error(bins)

    def interval(variance: FloatArray) -> tuple[FloatArray, FloatArray]:
        return calibration_error_interval(shares / variance[:, None, None], confidence, widening)

    variance = 1 / np.maximum(drawn, 1)
    estimate = replace(found, value=value).estimate(
        lopsided_interval(interval, value, variance, spread.alone, value < EVEN)
    )
    return estimate, drawn


def calibration_error_of_classes(bins: FloatArray, classes: int, confidence: float) -> Estimate:
    """Measure the mean over classes of their calibration errors, each against the rest.

    The classes' bins, shape (groups, classes x bins, 3), are drawn as if independent. A case has
    one label: the variance of a sum of such indicators with any signs, 4 p (1 - p) where p is the
    probability of those of one sign, is at most twice that of independent ones, the sum of
    p (1 - p) over the classes. Two labels drawn differ at least as often as they fall on different
    sides.
    """
    cases = bins[:, :, 0].sum(axis=1) / classes
    estimate = Estimate(expected_calibration_error(bins), cases)
    estimate.low, estimate.high = calibration_error_interval(bins, confidence, _widening(classes))
    return _mark_calibration_error(estimate, cases, "cases")


def surveyed_error_of_classes(
    design: SurveyDesign,
    scores: Sequence[FloatArray],
    hits: Sequence[BoolArray],
    confidence: float,
) -> Estimate:
    """Measure the same where cases have weights or come in clusters."""
    weight = design.weight
    of_classes = [
        sum_bins(design.group, design.groups, score, (weight, weight * score, weight * hit))
        for score, hit in zip(scores, hits, strict=True)
    ]
    parts = [
        design.measure(design.mean(hit - score)) for score, hit in zip(scores, hits, strict=True)
    ]
    bins = np.concatenate(of_classes, axis=1)
    widening = _widening(len(scores))
    estimate, _ = surveyed_calibration_error(design, _pooled(parts), bins, confidence, widening)
    # By the weights alone, which are known before any outcome; clusters are counted by themselves.
    return _mark_calibration_error(estimate, design.cases(), "effective cases")


def _widening(classes: int) -> float:
    return float(np.sqrt(2)) if classes > 1 else 1.0


def _mark_calibration_error(estimate: Estimate, cases: FloatArray, counted: str) -> Estimate:
    estimate.mark_undefined(np.isnan(estimate.value), NO_ROWS)
    estimate.mark_shortfall(MIN_CASES_IN_BINS, counted, cases)
    return estimate


def _pooled(parts: Sequence[UnitEstimate]) -> UnitEstimate:
    """Give what is known of the class of the largest variance, with the design effect of all."""
    variances = np.stack([part.spread.variance for part in parts])
    largest = variances.argmax(axis=0)
    known = np.stack([part.effective for part in parts])
    pooled = divide((known * variances).sum(axis=0), variances.sum(axis=0))

    def of_largest(values: list[FloatArray]) -> FloatArray:
        chosen: FloatArray = np.take_along_axis(np.stack(values), largest[None], axis=0)[0]
        return chosen

    spreads = [part.spread for part in parts]
    spread = Spread(*(of_largest([getattr(s, f.name) for s in spreads]) for f in fields(Spread)))
    effective = np.fmin(np.where(np.isnan(pooled), of_largest(list(known)), pooled), parts[0].rows)
    return replace(parts[0], spread=spread, effective=effective)


def log_odds(score: FloatArray) -> FloatArray:
    """Give the log-odds, those of 0 and 1 cut as the log loss cuts them."""
    odds: FloatArray = special.logit(np.clip(score, EPSILON, 1 - EPSILON))
    return odds


def recalibrate(
    design: SurveyDesign, odds: FloatArray, label: BoolArray, *, slope: bool
) -> tuple[LinearisedEstimate, BoolArray]:
    """Fit the recalibration model in all groups at once, by Newton's method.

    Gives the intercept at a slope of 1, or the slope; and whether the likelihood has a maximum: not
    where scores are constant or part the labels.

    logit P(label) = a + odds gives the intercept (calibration in the large), and
    logit P(label) = a + b odds the slope. The influences give the robust variance (sandwich),
    since a miscalibrated model is rarely miscalibrated along a straight line.

    Sources: D. Cox, Biometrika 45 (1958) 562; B. Van Calster et al., BMC Medicine 17 (2019) 230;
    P. Huber, Fifth Berkeley Symposium 1 (1967) 221.
    """
    group, weight = design.group, design.weight
    # Around their mean the odds hardly correlate with the constant: few steps are needed.
    n = design.total(weight)
    centre = np.nan_to_num(divide(design.total(weight * odds), n))
    centred = odds - centre[group]
    spread = np.sqrt(np.nan_to_num(divide(design.total(weight * centred**2), n)))
    constant, stretch = centre, np.ones(design.groups)
    done = np.zeros(design.groups, dtype=bool)
    influence = np.zeros(len(odds))
    for _ in range(_MAX_STEPS):
        fitted = special.expit(constant[group] + stretch[group] * centred)
        residual, information = weight * (label - fitted), weight * fitted * (1 - fitted)
        curvature = design.total(information)
        if slope:
            mixed = design.total(information * centred)
            squared = design.total(information * centred**2)
            determinant = curvature * squared - mixed**2
            scores = design.total(residual), design.total(residual * centred)
            steps = (
                divide(squared * scores[0] - mixed * scores[1], determinant),
                divide(curvature * scores[1] - mixed * scores[0], determinant),
            )
            influence = residual * divide(
                curvature[group] * centred - mixed[group], determinant[group]
            )
        else:
            steps = divide(design.total(residual), curvature), np.zeros(design.groups)
            influence = divide(residual, curvature[group])
        size = np.maximum(np.abs(steps[0]), np.abs(steps[1]) * spread)
        done = size < _CONVERGED
        if np.all(done | np.isnan(size)):
            break
        damping = np.minimum(1, np.nan_to_num(divide(_MAX_STEP, size)))
        # A group that has its fit keeps it, so that it depends on no other group's.
        damping[done] = 0
        constant = constant + np.nan_to_num(steps[0]) * damping
        stretch = stretch + np.nan_to_num(steps[1]) * damping
    value = stretch if slope else constant - centre
    exists = done & (spread > _NO_SPREAD) if slope else done
    return LinearisedEstimate(value, np.nan_to_num(influence)), exists
