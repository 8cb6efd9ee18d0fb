"""How much worse some cases are than others: difference, limits and p-value."""

from dataclasses import dataclass

import numpy as np
from scipy import special

from evaluator.metrics.estimates import BoolArray, FloatArray
from evaluator.metrics.levels import IntArray
from evaluator.metrics.linear import FEWEST_CLUSTERS
from evaluator.metrics.means import FEWEST_CASES
from evaluator.metrics.rates import wilson

_NO_SPREAD = 1e-14
_LEAST = float(np.finfo(np.float64).tiny)


@dataclass(frozen=True)
class Contrast:
    """The mean loss of some cases against that of others.

    Parameters
    ----------
    n, n_rest
        Numbers of cases.
    loss, rest_loss
        Mean losses, NaN without cases.
    low, high
        Limits of the difference, NaN where `reason` is given.
    p_value
        Of the hypothesis that the first cases are no worse; NaN where `reason` is given.
    reason
        Why there are no limits, or None.
    """

    n: int
    n_rest: int
    loss: float
    rest_loss: float
    low: float
    high: float
    p_value: float
    reason: str | None

    @property
    def excess(self) -> float:
        """Give the difference of the mean losses."""
        return self.loss - self.rest_loss


def contrast(
    losses: FloatArray, inside: BoolArray, cluster: IntArray | None, *, error: float
) -> Contrast:
    """Compare the mean loss of the cases inside with that of all others.

    Losses of 0 and 1: p-value of Fisher's exact test, limits by Newcombe's method. Other losses:
    Welch's test and limits. With clusters, for both: the variance of the difference is the sum of
    the squares of the clusters' influences on it, with Student's quantile at the smaller number of
    clusters less one; a cluster may have cases on both sides.

    Parameters
    ----------
    losses
        Finite, shape (rows,).
    inside
        Which cases are compared with the others, shape (rows,).
    cluster
        Each case's cluster, shape (rows,), or None for independent cases.
    error
        The probability that either limit may miss, such as 0.025.

    References
    ----------
    R. A. Fisher, Journal of the Royal Statistical Society 98 (1935) 39; R. G. Newcombe,
    Statistics in Medicine 17 (1998) 873, method 10; B. L. Welch, Biometrika 34 (1947) 28; for
    clusters, D. Binder, International Statistical Review 51 (1983) 279.
    """
    sides = losses[inside], losses[~inside]
    n, n_rest = (len(side) for side in sides)
    loss, rest = (float(side.mean()) if len(side) else np.nan for side in sides)
    binary = is_binary(losses)
    limits: tuple[float, float, float] | str
    few = 1 if binary and cluster is None else FEWEST_CASES
    if min(n, n_rest) < few:
        limits = f"needs {few} cases on either side, has {n} and {n_rest}"
    elif cluster is not None:
        limits = _clustered(losses, inside, cluster, error)
    elif binary:
        hits = [int(side.sum()) for side in sides]
        low, high = newcombe((hits[0], n), (hits[1], n_rest), error)
        limits = low, high, fisher(hits[0], n, sum(hits), n + n_rest)
    else:
        limits = _welch(*sides, error)
    if isinstance(limits, str):
        return Contrast(n, n_rest, loss, rest, np.nan, np.nan, np.nan, limits)
    return Contrast(n, n_rest, loss, rest, *limits, None)


def is_binary(losses: FloatArray) -> bool:
    """Say whether all losses are 0 or 1."""
    return bool(((losses == 0) | (losses == 1)).all())


def newcombe(one: tuple[int, int], other: tuple[int, int], error: float) -> tuple[float, float]:
    """Give the limits of the difference of two independent rates, each of hits and cases.

    The distance of each limit from the difference is the root of the summed squares of the
    distances of Wilson's limits from the single rates.
    Source: R. G. Newcombe, Statistics in Medicine 17 (1998) 873, method 10.
    """
    hits, cases = np.array([one, other], dtype=float).T
    rate = hits / cases
    low, high = wilson(hits, cases, 1 - 2 * error)
    difference = float(rate[0] - rate[1])
    below = float(np.hypot(rate[0] - low[0], high[1] - rate[1]))
    above = float(np.hypot(high[0] - rate[0], rate[1] - low[1]))
    return difference - below, difference + above


def fisher(hits: int, cases: int, all_hits: int, all_cases: int) -> float:
    """Give the probability that so many hits or more fall among the cases by chance.

    The tail of the hypergeometric distribution: sum over x >= hits of
    C(all_hits, x) C(all_cases - all_hits, cases - x) / C(all_cases, cases).
    """
    x = np.arange(hits, min(cases, all_hits) + 1)
    if hits <= max(0, cases - (all_cases - all_hits)):
        return 1.0
    logarithm = (
        _choices(all_hits, x)
        + _choices(all_cases - all_hits, cases - x)
        - _choices(all_cases, np.array(cases))
    )
    # A probability that is too small to write down is not zero.
    return min(max(float(np.exp(special.logsumexp(logarithm))), _LEAST), 1.0)


def _choices(n: int, k: IntArray) -> FloatArray:
    found: FloatArray = special.gammaln(n + 1) - special.gammaln(k + 1) - special.gammaln(n - k + 1)
    return found


def _welch(one: FloatArray, other: FloatArray, error: float) -> tuple[float, float, float] | str:
    parts = [float(side.var(ddof=1)) / len(side) for side in (one, other)]
    variance = sum(parts)
    if variance <= 0:
        return "all losses are equal, so that their spread is unknown"
    spare = variance**2 / sum(
        part**2 / (len(side) - 1) for part, side in zip(parts, (one, other), strict=True)
    )
    return _student(float(one.mean() - other.mean()), variance, spare, error)


def _clustered(
    losses: FloatArray, inside: BoolArray, cluster: IntArray, error: float
) -> tuple[float, float, float] | str:
    clusters = [len(np.unique(cluster[side])) for side in (inside, ~inside)]
    if min(clusters) < FEWEST_CLUSTERS:
        return (
            f"needs {FEWEST_CLUSTERS} clusters on either side, has {clusters[0]} and {clusters[1]}"
        )
    n = np.count_nonzero(inside)
    means = losses[inside].mean(), losses[~inside].mean()
    influence = np.where(inside, (losses - means[0]) / n, -(losses - means[1]) / (len(losses) - n))
    of_cluster = np.bincount(cluster, influence)
    there = len(np.unique(cluster))
    squares = float((of_cluster**2).sum())
    # What is left by cancellation is no spread.
    if squares <= _NO_SPREAD * float((influence**2).sum()):
        return "the clusters do not differ, so that their spread is unknown"
    variance = squares * there / (there - 1)
    return _student(float(means[0] - means[1]), variance, min(clusters) - 1, error)


def _student(
    difference: float, variance: float, spare: float, error: float
) -> tuple[float, float, float]:
    deviation = float(np.sqrt(variance))
    half = float(special.stdtrit(spare, 1 - error)) * deviation
    p_value = max(float(special.stdtr(spare, -difference / deviation)), _LEAST)
    return difference - half, difference + half, p_value
