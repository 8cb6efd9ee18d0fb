"""The difference of two rates over the same cases: exact test, score interval."""

from dataclasses import dataclass

import numpy as np
from scipy import special

from evaluator.metrics.estimates import FloatArray

_HALVINGS = 60


def mcnemar(more: FloatArray, fewer: FloatArray) -> FloatArray:
    """Give the p-values of McNemar's exact test that two rates are equal.

    Of the b + c cases that are a hit for one candidate alone, b follows the binomial distribution
    with rate 1/2; twice the smaller tail, at most 1. The outcome itself counts in full: it is not
    the mid-p version, and never errs more often than nominal.

    Parameters
    ----------
    more, fewer
        Cases that are a hit for the candidate alone (b) and for the baseline alone (c), shape
        (groups,).

    Source: Q. McNemar, Psychometrika 12 (1947) 153; exact by A. Liddell, Journal of Epidemiology
    and Community Health 37 (1983) 82.
    """
    least, most = np.minimum(more, fewer), np.maximum(more, fewer)
    # The probability of at most `least` of them; without any, half.
    tail = special.betainc(np.maximum(most, 1), least + 1, 0.5)
    doubled: FloatArray = np.minimum(2 * tail, 1.0)
    return doubled


def fewest_discordant(error: float) -> int:
    """Give the number of discordant cases from which on McNemar's exact test can find anything.

    With d of them the smallest possible p-value is 2^(1 - d).
    """
    return int(np.ceil(1 - np.log2(error)))


def tango(more: FloatArray, fewer: FloatArray, n: FloatArray, difference: FloatArray) -> FloatArray:
    """Give Tango's score statistic at a supposed true difference; it is standard normal there.

    (b - c - n d) / sqrt(n (2 q + d (1 - d))), where q is the probability of c that is most
    likely if the difference is d: the larger root of
    2 n q^2 - (b + c - (2 n - b + c) d) q - c d (1 - d) = 0.

    Parameters
    ----------
    more, fewer
        Cases that are a hit for the candidate alone (b) and for the baseline alone (c), shape
        (groups,).
    n
        All cases.
    difference
        Supposed true differences d in [-1, 1].

    Source: T. Tango, Statistics in Medicine 17 (1998) 891.
    """
    linear = more + fewer - (2 * n - more + fewer) * difference
    constant = fewer * difference * (1 - difference)
    root = np.sqrt(np.maximum(linear**2 + 8 * n * constant, 0))
    q = np.maximum(linear + root, 0) / (4 * n)
    variance = n * np.maximum(2 * q + difference * (1 - difference), 0)
    excess = more - fewer - n * difference
    # Only a difference that is observed exactly has neither excess nor variance.
    statistic = np.where(excess == 0, 0.0, np.copysign(np.inf, excess))
    np.divide(excess, np.sqrt(variance), out=statistic, where=variance > 0)
    return statistic


def tango_interval(
    more: FloatArray, fewer: FloatArray, n: FloatArray, quantile: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Give the differences at which Tango's statistic does not exceed the normal quantile.

    Parameters
    ----------
    more, fewer, n
        As in `tango`.
    quantile
        The largest statistic that is no contradiction, such as 1.96, shape (groups,).
    """
    observed = (more - fewer) / n
    limits = []
    for side in (-1.0, 1.0):
        outer, inner = np.full(len(n), side), observed.copy()
        for _ in range(_HALVINGS):
            middle = (outer + inner) / 2
            out = np.abs(tango(more, fewer, n, middle)) > quantile
            outer, inner = np.where(out, middle, outer), np.where(out, inner, middle)
        limits.append(np.where(observed == side, side, outer))
    return limits[0], limits[1]


@dataclass(frozen=True)
class PairedRates:
    """Differences of rates over the same cases; arrays of shape (groups,).

    Parameters
    ----------
    more, fewer
        Cases that are a hit for the candidate alone and for the baseline alone.
    n
        All cases; at least 1.
    """

    more: FloatArray
    fewer: FloatArray
    n: FloatArray

    interval_without_test = True

    def two_sided(self) -> FloatArray:
        """Give McNemar's exact p-values."""
        return mcnemar(self.more, self.fewer)

    def _statistic(self, bound: float) -> FloatArray:
        return tango(self.more, self.fewer, self.n, np.full(len(self.n), bound))

    def above(self, bound: float) -> FloatArray:
        """Give Tango's p-values of "the difference is at most the bound"."""
        tail: FloatArray = special.ndtr(-self._statistic(bound))
        return tail

    def below(self, bound: float) -> FloatArray:
        """Give Tango's p-values of "the difference is at least the bound"."""
        tail: FloatArray = special.ndtr(self._statistic(bound))
        return tail

    def interval(self, error: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Give Tango's limits, brought into agreement with the exact test.

        Score statistic and exact test may fall on different sides of their limits when both are
        near them. There the quantile is stretched by what the two differ by at zero, so that the
        interval holds zero exactly when the exact test does not contradict it.
        """
        quantile = -special.ndtri(error / 2)
        score = np.abs(self._statistic(0.0))
        exact = np.abs(special.ndtri(self.two_sided() / 2))
        disagree = (score > quantile) != (self.two_sided() <= error)
        quantile[disagree] *= score[disagree] / exact[disagree]
        return tango_interval(self.more, self.fewer, self.n, quantile)
