"""What every metric gives for every group of a level: a value, an interval, a reason."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

NO_ROWS = "no rows"


@dataclass
class Estimate:
    """A metric over all groups of one level; every array has shape (groups,).

    Parameters
    ----------
    value
        Point values, NaN where undefined.
    low, high
        Interval limits, NaN where there is none.
    effective
        What the value rests on: the cases (with weights: their effective number) in the
        metric's denominator.
    reason
        Why a group is undefined or has too few cases; None where all is well.
    """

    value: FloatArray
    effective: FloatArray
    low: FloatArray = field(init=False)
    high: FloatArray = field(init=False)
    reason: NDArray[np.object_] = field(init=False)
    undefined: BoolArray = field(init=False)

    def __post_init__(self) -> None:
        self.low = np.full(len(self.value), np.nan)
        self.high = np.full(len(self.value), np.nan)
        self.reason = np.full(len(self.value), None, dtype=object)
        self.undefined = np.zeros(len(self.value), dtype=bool)

    @classmethod
    def joined(cls, parts: "list[Estimate]") -> "Estimate":
        """Put the groups of several estimates one after the other."""
        whole = cls(
            *(np.concatenate([getattr(p, n) for p in parts]) for n in ("value", "effective"))
        )
        for name in ("low", "high", "reason", "undefined"):
            setattr(whole, name, np.concatenate([getattr(part, name) for part in parts]))
        return whole

    def mark_undefined(self, where: BoolArray, reason: str) -> None:
        """Say why the value does not exist in some groups; the first reason given stays."""
        new = where & ~self.undefined
        self.undefined |= new
        self.reason[new] = reason
        self.value[new] = np.nan
        self.low[new] = np.nan
        self.high[new] = np.nan

    def mark_empty(self, where: BoolArray) -> None:
        """Say of groups without rows just that, whatever else was said of them."""
        self.undefined |= where
        self.reason[where] = NO_ROWS
        self.value[where] = np.nan
        self.effective[where] = 0

    def mark_too_few(self, where: BoolArray, reason: str | NDArray[np.object_]) -> None:
        """Say why there is a value but no interval in some groups."""
        new = where & self._fine
        self.reason[new] = reason[new] if isinstance(reason, np.ndarray) else reason
        self.low[new] = np.nan
        self.high[new] = np.nan

    @property
    def status(self) -> NDArray[np.object_]:
        """The word for each group: ok, undefined or too_few."""
        words = np.where(self._fine, "ok", np.where(self.undefined, "undefined", "too_few"))
        return words.astype(object)

    @property
    def _fine(self) -> BoolArray:
        return np.array([reason is None for reason in self.reason], dtype=bool)


def divide(numerator: NDArray[Any], denominator: NDArray[Any]) -> FloatArray:
    """Divide, giving NaN where the denominator is zero."""
    result = np.full(np.shape(numerator), np.nan)
    np.divide(numerator, denominator, out=result, where=denominator != 0)
    return result


def needs(least: int, what: str, there: FloatArray) -> NDArray[np.object_]:
    """Say, for every group, how many cases would do and how many there are."""
    reasons = np.empty(len(there), dtype=object)
    few = there < least
    reasons[~few] = None
    for group in np.flatnonzero(few):
        reasons[group] = f"needs {least} {what}, has {there[group]:.6g}"
    return reasons
