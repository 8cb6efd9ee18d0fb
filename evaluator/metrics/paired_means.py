"""The difference of two means, or of two linearised estimates, over the same cases."""

from collections.abc import Mapping

import numpy as np

from evaluator.metrics.estimates import NO_ROWS, BoolArray, Estimate, FloatArray, divide, needs
from evaluator.metrics.linear import Linear, Sample
from evaluator.metrics.means import FEWEST_CASES, Moments
from evaluator.metrics.paired import Difference, Flips, Studentised

# As `means`: a mean that one case carries has a skewness near one, in roots of the cases.
_MOST_SKEWNESS = 0.9
_NO_SPREAD = 1e-24

NOT_SCORED_DIFFERENTLY = "no case is scored differently"
_ALL_ALIKE = "all cases differ alike, so that the spread is unknown"


def mean_difference(
    n: FloatArray, sums: FloatArray, flips: Flips, classes: Mapping[str, tuple[int, FloatArray]]
) -> Difference:
    """Compare two mean losses by the mean of the cases' differences: the paired t-test.

    The studentised mean is corrected for skewness as in `Studentised`; where the differences are
    symmetric this is Student's paired test itself.

    Parameters
    ----------
    n
        Cases, shape (groups,).
    sums
        Sums of first, second and third powers of the differences, shape (groups, 3).
    flips
        Cases of smaller and larger loss.
    classes
        What else there must be enough of: the least number of it, and how many there are.
    """
    moments = Moments.of_sums(n, sums)
    estimate = Estimate(moments.mean.copy(), n)
    estimate.mark_undefined(n == 0, NO_ROWS)
    estimate.mark_too_few(n < FEWEST_CASES, needs(FEWEST_CASES, "cases", n))
    for what, (least, there) in classes.items():
        estimate.mark_too_few(there < least, needs(least, what, there))
    _mark_spread(estimate, flips, moments)
    return Difference(estimate, flips, Studentised.of_moments(moments))


def linear_difference(
    sample: Sample,
    linear: Linear | tuple[Linear, Linear],
    estimate: Estimate,
    flips: Flips,
    *,
    among: BoolArray | None = None,
    skewed: bool = False,
    largest: float = np.inf,
) -> Difference:
    """Compare two linearised estimates by the difference of each unit's influences.

    The units are the clusters, or the rows where there are none; the degrees of freedom are one
    less than their number.
    Source: D. Binder, International Statistical Review 51 (1983) 279.

    Parameters
    ----------
    sample
        Groups and clusters.
    linear
        The candidate's estimate and the baseline's, or the estimate of their difference.
    estimate
        Their difference, with what makes it undefined or too few already marked.
    flips
        Better and worse cases.
    among
        The rows that the estimates rest on; all by default.
    skewed
        Whether the units' contributions may be skewed without bounds, as losses are.
    largest
        The largest possible difference.
    """
    units = sample.units(among)
    if isinstance(linear, Linear):
        second, third = sample.moments(linear.influence)
    else:
        one, other = linear
        second, third = sample.moments(one.influence - other.influence)
        alone = sample.variance(one.influence) + sample.variance(other.influence)
        # What is left by cancellation is no spread.
        second = np.where(second <= _NO_SPREAD * alone, 0, second)
    # Influences are of the size 1 / units; back to the size of a single unit's contribution.
    deviation = units * np.sqrt(divide(second, np.maximum(units - 1, 0)))
    skewness = divide(third * units**2, deviation**3) if skewed else np.zeros(len(units))
    moments = Moments(units, estimate.value.copy(), np.nan_to_num(deviation), skewness)
    sample.mark_few_clusters(estimate, among)
    _mark_spread(estimate, flips, moments)
    return Difference(estimate, flips, Studentised.of_moments(moments, largest=largest))


def _mark_spread(estimate: Estimate, flips: Flips, moments: Moments) -> None:
    """Mark groups in which the differences show no spread, or are carried by one case."""
    estimate.mark_too_few(flips.discordant == 0, NOT_SCORED_DIFFERENTLY)
    estimate.mark_too_few(moments.deviation == 0, _ALL_ALIKE)
    carried = np.abs(np.nan_to_num(moments.skewness)) > _MOST_SKEWNESS * np.sqrt(moments.n)
    estimate.mark_too_few(carried, "one case carries the difference")
