"""p-values of many tests at once, adjusted so that a level still means what it says."""

from collections.abc import Callable, Mapping
from typing import Literal

import numpy as np

from evaluator.metrics._checks import MetricsInputError
from evaluator.metrics._estimates import FloatArray

Adjustment = Literal["holm", "benjamini_hochberg"]


def holm(p: FloatArray) -> FloatArray:
    """Adjust p-values for the chance of *any* false finding, whatever their dependence.

    Of m p-values in ascending order, the i-th becomes the largest of (m - j + 1) p_j over j <= i,
    at most 1.

    Parameters
    ----------
    p
        The p-values, any shape. One that is NaN belongs to no test: it stays NaN, and does not
        count among the m.

    Returns
    -------
    numpy.ndarray
        The adjusted p-values, of the same shape.

    Raises
    ------
    MetricsInputError
        If a p-value lies outside [0, 1].

    References
    ----------
    S. Holm, Scandinavian Journal of Statistics 6 (1979) 65.
    """

    def adjusted(ascending: FloatArray) -> FloatArray:
        count = len(ascending)
        stepped = np.maximum.accumulate(ascending * np.arange(count, 0, -1))
        return np.minimum(stepped, 1.0)

    return _in_order(p, adjusted)


def benjamini_hochberg(p: FloatArray) -> FloatArray:
    """Adjust p-values for the expected *share* of false findings among the findings.

    Of m p-values in ascending order, the i-th becomes the smallest of m p_j / j over j >= i. The
    share is controlled where the tests are independent or positively dependent.
    """

    def adjusted(ascending: FloatArray) -> FloatArray:
        from scipy.stats import false_discovery_control

        found: FloatArray = false_discovery_control(ascending, method="bh")
        return found

    return _in_order(p, adjusted)


ADJUSTMENTS: Mapping[Adjustment, Callable[[FloatArray], FloatArray]] = {
    "holm": holm,
    "benjamini_hochberg": benjamini_hochberg,
}


def _in_order(p: FloatArray, adjusted: Callable[[FloatArray], FloatArray]) -> FloatArray:
    """Adjust the p-values that there are, in ascending order, and put them back in place."""
    given = np.asarray(p, dtype=np.float64)
    there = ~np.isnan(given)
    tested = given[there]
    if tested.size and (tested.min() < 0 or tested.max() > 1):
        raise MetricsInputError("a p-value lies outside [0, 1]")
    result = np.full(given.shape, np.nan)
    if tested.size:
        order = np.argsort(tested, kind="stable")
        back = np.empty_like(tested)
        back[order] = adjusted(tested[order])
        result[there] = back
    return result
