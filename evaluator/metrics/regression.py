"""The metrics of a regression, over all groups of all levels."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from evaluator.metrics.estimates import (
    NO_ROWS,
    BoolArray,
    Estimate,
    FloatArray,
    divide,
    needs,
)
from evaluator.metrics.linear import Linear, Sample
from evaluator.metrics.means import linear_mean
from evaluator.metrics.median import median_interval, weighted_median

FEWEST_FOR_R2 = 30
# Squares have longer tails than errors.
FEWEST_FOR_SQUARES = 50


@dataclass(frozen=True)
class RegressionLevel:
    """The rows of one candidate at one level.

    Parameters
    ----------
    label, prediction
        Truth and prediction, shape (rows,).
    sample
        Groups, weights and clusters.
    confidence
        Nominal coverage.
    """

    label: FloatArray
    prediction: FloatArray
    sample: Sample
    confidence: float

    @property
    def error(self) -> FloatArray:
        """Prediction minus label."""
        return self.prediction - self.label

    def mean(self, losses: FloatArray, smallest: float = 0.0) -> Estimate:
        """Estimate the mean of a loss without an upper bound."""
        bounds = (smallest, np.inf)
        return linear_mean(self.sample, losses, self.confidence, bounds)


def _mean_absolute_error(at: RegressionLevel) -> Estimate:
    return at.mean(np.abs(at.error))


def _root_mean_squared_error(at: RegressionLevel) -> Estimate:
    estimate = at.mean(at.error**2)
    cases = at.sample.cases()
    estimate.mark_too_few(cases < FEWEST_FOR_SQUARES, needs(FEWEST_FOR_SQUARES, "cases", cases))
    estimate.value, estimate.low, estimate.high = (
        np.sqrt(part) for part in (estimate.value, estimate.low, estimate.high)
    )
    return estimate


def _median_absolute_error(at: RegressionLevel) -> Estimate:
    errors = np.abs(at.error)
    estimate = Estimate(weighted_median(at.sample, errors), at.sample.cases())
    estimate.low, estimate.high = median_interval(at.sample, errors, estimate.value, at.confidence)
    estimate.mark_undefined(at.sample.cases() == 0, NO_ROWS)
    # Below this number all cases may lie on one side of the median too often.
    least = int(np.ceil(1 - np.log2(1 - at.confidence)))
    estimate.mark_too_few(
        np.isnan(estimate.low),
        needs(least, "effective cases", np.minimum(at.sample.cases(), least - 1)),
    )
    at.sample.mark_few_clusters(estimate)
    return estimate


def _bias(at: RegressionLevel) -> Estimate:
    return at.mean(at.error, smallest=-np.inf)


def _r2(at: RegressionLevel) -> Estimate:
    # 1 - Q, where Q = sum(w error^2) / sum(w (label - mean)^2). The mean has no influence of its
    # own, since it is where the lower sum is smallest. Q is positive and skewed: the interval is
    # symmetric in its logarithm.
    sample = at.sample
    mean = np.nan_to_num(sample.ratio(at.label, np.ones(len(at.label))).value)
    quotient = sample.ratio(at.error**2, (at.label - mean[sample.group]) ** 2)
    cases = sample.cases()
    estimate = Estimate(1 - quotient.value, cases)
    share = np.where(quotient.value > 0, quotient.value, np.nan)
    half = sample.student(Linear(share, quotient.influence), at.confidence) / share
    # Far from the data the exponential is beyond any float, and the limit is minus infinity.
    estimate.low = 1 - share * np.exp(np.minimum(half, 700))
    estimate.high = 1 - share * np.exp(-half)
    estimate.mark_undefined(cases == 0, NO_ROWS)
    estimate.mark_undefined(_all_equal(sample, at.label), "the labels are all equal")
    estimate.mark_too_few(cases < FEWEST_FOR_R2, needs(FEWEST_FOR_R2, "cases", cases))
    estimate.mark_too_few(np.isnan(share), "all errors are 0, so that their spread is unknown")
    sample.mark_few_clusters(estimate)
    return estimate


def _all_equal(sample: Sample, values: FloatArray) -> BoolArray:
    """Say which groups' values do not differ; a sum of squares would only say so nearly."""
    lowest, highest = np.full(sample.groups, np.inf), np.full(sample.groups, -np.inf)
    counts = sample.weight > 0
    np.minimum.at(lowest, sample.group[counts], values[counts])
    np.maximum.at(highest, sample.group[counts], values[counts])
    equal: BoolArray = lowest >= highest
    return equal


def _mean_absolute_percentage_error(at: RegressionLevel) -> Estimate:
    zero = (at.label == 0) & (at.sample.weight > 0)
    estimate = at.mean(np.nan_to_num(divide(np.abs(at.error), np.abs(at.label))))
    estimate.mark_undefined(at.sample.total(zero) > 0, "some labels are 0")
    return estimate


def _pinball_loss(percent: int) -> Callable[[RegressionLevel], Estimate]:
    # R. Koenker, G. Bassett, Econometrica 46 (1978) 33.
    share = percent / 100

    def measured(at: RegressionLevel) -> Estimate:
        return at.mean(np.maximum(-share * at.error, (1 - share) * at.error))

    return measured


MEASURES: Mapping[str, Callable[[RegressionLevel], Estimate]] = {
    "mean_absolute_error": _mean_absolute_error,
    "root_mean_squared_error": _root_mean_squared_error,
    "median_absolute_error": _median_absolute_error,
    "bias": _bias,
    "r2": _r2,
    "mean_absolute_percentage_error": _mean_absolute_percentage_error,
    "pinball_loss_10": _pinball_loss(10),
    "pinball_loss_50": _pinball_loss(50),
    "pinball_loss_90": _pinball_loss(90),
}


def measure(
    label: FloatArray,
    prediction: FloatArray,
    samples: Sequence[Sample],
    metrics: Sequence[str],
    confidence: float,
) -> dict[str, Estimate]:
    """Measure every level."""
    results = []
    for sample in samples:
        at = RegressionLevel(label, prediction, sample, confidence)
        results.append({name: MEASURES[name](at) for name in metrics})
    return {name: Estimate.joined([one[name] for one in results]) for name in results[0]}
