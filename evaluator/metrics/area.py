"""The interval of the area under the ROC curve."""

import numpy as np
from scipy import special

from evaluator.metrics.estimates import BoolArray, FloatArray

FEWEST_OF_EACH_CLASS = 10
_STEPS = 45


def _model_variance(area: FloatArray, positives: FloatArray, negatives: FloatArray) -> FloatArray:
    """Give the variance that an area has when both classes' scores are exponential.

    A (1 - A) / (m n) [1 + ((m + n) / 2 - 1) ((1 - A) / (2 - A) + A / (1 + A))], with m positives
    and n negatives.
    Sources: J. Hanley, B. McNeil, Radiology 143 (1982) 29; symmetrised by R. Newcombe, Statistics
    in Medicine 25 (2006) 559, method 5.
    """
    size = (positives + negatives) / 2 - 1
    spread = (1 - area) / (2 - area) + area / (1 + area)
    return area * (1 - area) / (positives * negatives) * (1 + size * spread)


def area_interval(
    area: FloatArray,
    variance: FloatArray,
    freedom: FloatArray,
    *,
    classes: tuple[FloatArray, FloatArray],
    confidence: float,
) -> tuple[FloatArray, FloatArray]:
    """Give the areas that the data do not contradict.

    As Wilson's interval does for a rate, the variance is taken at each area in question rather
    than at the one observed, so that an area of 0 or 1 has an interval, too. The variance is
    Newcombe's model times the ratio, at the observed area, of DeLong's variance to the model's.
    A ratio above 1 is taken as it is, with Student's quantile. A ratio below 1 counts only as
    far as there are disagreements e to learn it from, by the weight e / (e + 2): near the edges
    DeLong's variance is too small to be trusted (0 at an area of 1).

    In simulation it covers where the logit interval does not: with 10 positives, 200 negatives
    and an area of 0.95, in 0.97 of the samples against 0.86 (benchmarks/coverage.py).

    Parameters
    ----------
    area
        Observed areas, shape (groups,).
    variance
        DeLong's variances of them.
    freedom
        Degrees of freedom of these variances.
    classes
        Numbers of positives and of negatives, at least 2.
    confidence
        Nominal coverage.

    Sources: E. DeLong, D. DeLong, D. Clarke-Pearson, Biometrics 44 (1988) 837; R. Newcombe,
    Statistics in Medicine 25 (2006) 559.
    """
    positives, negatives = classes
    pairs = positives * negatives
    inside = (area * pairs + 0.5) / (pairs + 1)
    ratio = variance / _model_variance(inside, positives, negatives)
    disagreements = np.minimum(positives, negatives) * np.minimum(area, 1 - area)
    trusted = 1 + (ratio - 1) * disagreements / (disagreements + 2)
    scale = np.where(ratio < 1, trusted, ratio)
    tail = (1 + confidence) / 2
    quantile = np.where(
        ratio > 1, special.stdtrit(np.maximum(freedom, 1), tail), special.ndtri(tail)
    )

    def contradicted(candidate: FloatArray) -> BoolArray:
        spread = scale * _model_variance(candidate, positives, negatives)
        return np.asarray((candidate - area) ** 2 > quantile**2 * spread, dtype=bool)

    limits = []
    for edge in (0.0, 1.0):
        outer, inner = np.full(len(area), edge), area.copy()
        for _ in range(_STEPS):
            middle = (outer + inner) / 2
            out = contradicted(middle)
            outer, inner = np.where(out, middle, outer), np.where(out, inner, middle)
        limits.append(np.where(area == edge, edge, outer))
    return limits[0], limits[1]
