"""The difference of two candidates on the same cases, and what can be said of its truth."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

import numpy as np
from scipy import special

from evaluator.metrics.estimates import Estimate, FloatArray, divide
from evaluator.metrics.means import Moments

_NO_LEAN = 1e-6
_Arrays = TypeVar("_Arrays")


class Law(Protocol):
    """What the data say about the true differences; all arrays have shape (groups,)."""

    interval_without_test: bool
    """Whether the interval may stand where there are too few cases for a test."""

    def two_sided(self) -> FloatArray:
        """Give the p-values of "there is no difference"."""
        ...

    def above(self, bound: float) -> FloatArray:
        """Give the p-values of "the difference is at most the bound"."""
        ...

    def below(self, bound: float) -> FloatArray:
        """Give the p-values of "the difference is at least the bound"."""
        ...

    def interval(self, error: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Give the limits that leave these error probabilities, half on each side."""
        ...


@dataclass(frozen=True)
class Flips:
    """What single cases say; arrays of shape (groups,).

    Parameters
    ----------
    discordant
        Cases that the two candidates treat differently.
    better, worse
        Those that the candidate treats better than the baseline, and those it treats worse.
    """

    discordant: FloatArray
    better: FloatArray
    worse: FloatArray

    @classmethod
    def of(cls, better: FloatArray, worse: FloatArray) -> "Flips":
        """Count the flips of a measure for which different is better or worse."""
        return cls(better + worse, better, worse)


@dataclass(frozen=True)
class Difference:
    """A metric's difference, candidate less baseline, in every group.

    Parameters
    ----------
    estimate
        The values, what they rest on, and why some are undefined or rest on too little.
    flips
        Better and worse cases.
    law
        Tests and intervals.
    """

    estimate: Estimate
    flips: Flips
    law: Law


def joined(parts: Sequence[Difference]) -> Difference:
    """Put the groups of several levels, compared by the same method, one after the other."""
    return Difference(
        Estimate.joined([part.estimate for part in parts]),
        _joined_arrays([part.flips for part in parts]),
        _joined_arrays([part.law for part in parts]),
    )


def _joined_arrays(parts: Sequence[_Arrays]) -> _Arrays:
    """Put the arrays of several records one after the other; what is no array is common to all."""
    columns = {name: [getattr(part, name) for part in parts] for name in vars(parts[0])}
    whole: _Arrays = type(parts[0])(
        **{
            name: np.concatenate(found) if isinstance(found[0], np.ndarray) else found[0]
            for name, found in columns.items()
        }
    )
    return whole


@dataclass(frozen=True)
class Studentised:
    """Differences whose studentised error follows Student's distribution, or nearly.

    With t = (estimate - difference) / error and l the skewness of t's numerator, the quantity
    t + l t^2 / 3 + l^2 t^3 / 27 + l / 6 follows Student's distribution where the skewness is known
    well, and t itself where it is only noise. Neither is known: every test here is the less
    certain of the two, and every interval holds both. Both quantities grow with t, so that tests
    and intervals are the same statement. Without skewness this is Student's own test.

    In simulation the corrected test alone errs in 0.087 of the samples at level 0.05 where heavy
    tails are symmetric (60 cases), Student's alone in 0.08 where they are not (25 cases).

    Source: P. Hall, Journal of the Royal Statistical Society B 54 (1992) 221.

    Parameters
    ----------
    value
        Estimates, shape (groups,).
    error
        Their standard errors.
    freedom
        Degrees of freedom of these.
    lean
        Skewness of a single unit's contribution over the root of the number of units.
    largest
        The largest difference that the metric can have; may be infinite.
    """

    value: FloatArray
    error: FloatArray
    freedom: FloatArray
    lean: FloatArray
    largest: float = np.inf

    interval_without_test = False

    @classmethod
    def of_moments(cls, moments: Moments, largest: float = np.inf) -> "Studentised":
        """Take the mean of a quantity of each unit, whose moments are given."""
        root = np.sqrt(np.maximum(moments.n, 1))
        lean = np.nan_to_num(moments.skewness) / root
        spare = np.maximum(moments.n - 1, 1)
        return cls(moments.mean, moments.deviation / root, spare, lean, largest)

    def _tails(self, bound: float) -> tuple[FloatArray, FloatArray]:
        """Give the larger upper and lower tail, were the true difference the bound."""
        # Without spread there is no test: whoever made the error says so.
        t = divide(self.value - bound, self.error)
        carried = t + self.lean * t**2 / 3 + self.lean**2 * t**3 / 27 + self.lean / 6
        upper = special.stdtr(self.freedom, -np.minimum(t, carried))
        lower = special.stdtr(self.freedom, np.maximum(t, carried))
        return upper, lower

    def two_sided(self) -> FloatArray:
        """Give the p-values of "there is no difference"."""
        upper, lower = self._tails(0.0)
        doubled: FloatArray = np.minimum(2 * np.minimum(upper, lower), 1.0)
        return doubled

    def above(self, bound: float) -> FloatArray:
        """Give the p-values of "the difference is at most the bound"."""
        return self._tails(bound)[0]

    def below(self, bound: float) -> FloatArray:
        """Give the p-values of "the difference is at least the bound"."""
        return self._tails(bound)[1]

    def interval(self, error: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Give the limits that leave these error probabilities, half on each side."""
        quantile = -special.stdtrit(self.freedom, error / 2)
        straight = np.abs(self.lean) < _NO_LEAN
        lean = np.where(straight, _NO_LEAN, self.lean)

        def back(carried: FloatArray) -> FloatArray:
            bent = 3 / lean * (np.cbrt(1 + lean * (carried - lean / 6)) - 1)
            t: FloatArray = np.where(straight, carried, bent)
            return t

        low = self.value - self.error * np.maximum(back(quantile), quantile)
        high = self.value - self.error * np.minimum(back(-quantile), -quantile)
        return np.maximum(low, -self.largest), np.minimum(high, self.largest)
