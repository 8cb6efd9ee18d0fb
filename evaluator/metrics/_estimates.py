"""What every metric gives for every group of a level, and the forms that a metric has."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evaluator.metrics._catalogue import CELLS, none_of
from evaluator.metrics._levels import Slicing

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

NO_ROWS = none_of(CELLS)
# What the simulations in benchmarks/coverage.py ask for, so that areas keep their promise.
MIN_OF_EACH_CLASS = 10
# The share of a sum of squares that cancellation leaves where there is no spread.
NO_SPREAD = 1e-14
# The part of the variance from which on a single unit says nearly all that is known.
CARRIED = 0.95
_Arrays = TypeVar("_Arrays")
AtLevel = TypeVar("AtLevel")


@dataclass
class Estimate:
    """A metric over all groups of one level; every array has shape (groups,)."""

    value: FloatArray
    # The cases in the metric's denominator, or what weights and clusters leave of them.
    effective: FloatArray
    # The cases before that, and the clusters that hold them; None where there are no weights or
    # clusters, or no clusters.
    rows: FloatArray | None = None
    clusters: FloatArray | None = None
    # NaN where there is no interval.
    low: FloatArray = field(init=False)
    high: FloatArray = field(init=False)
    # Why a group is undefined or has too few cases; None where all is well.
    reason: NDArray[np.object_] = field(init=False)
    undefined: BoolArray = field(init=False)

    def __post_init__(self) -> None:
        self.low = np.full(len(self.value), np.nan)
        self.high = np.full(len(self.value), np.nan)
        self.reason = np.full(len(self.value), None, dtype=object)
        self.undefined = np.zeros(len(self.value), dtype=bool)

    def mark_undefined(self, where: BoolArray, reason: str) -> None:
        """Say why the value does not exist in some groups; the first reason given stays."""
        new = where & ~self.undefined
        self.undefined |= new
        self.reason[new] = reason
        self.value[new] = np.nan
        self.low[new] = np.nan
        self.high[new] = np.nan

    def mark_empty(self, where: BoolArray) -> None:
        """Say of groups without rows just that, whatever reason was given before."""
        self.undefined |= where
        self.reason[where] = NO_ROWS
        self.value[where] = np.nan
        self.effective[where] = 0
        if self.clusters is not None:
            self.clusters[where] = 0

    def mark_too_few(self, where: BoolArray, reason: str | NDArray[np.object_]) -> None:
        """Say why there is a value but no interval in some groups."""
        new = where & self._fine
        self.reason[new] = reason[new] if isinstance(reason, np.ndarray) else reason
        self.low[new] = np.nan
        self.high[new] = np.nan

    def mark_shortfall(self, least: int, what: str, there: FloatArray) -> None:
        """Say of what there is less than an interval needs in some groups, and how much."""
        self.mark_too_few(there < least, shortfall_reasons(least, what, there))

    @property
    def status(self) -> NDArray[np.object_]:
        """The status of each group: ok, undefined or too_few."""
        status = np.where(self._fine, "ok", np.where(self.undefined, "undefined", "too_few"))
        return status.astype(object)

    @property
    def _fine(self) -> BoolArray:
        return pd.isna(self.reason)


@dataclass(frozen=True)
class LinearisedEstimate:
    """An estimate, shape (groups,), with each row's influence on its group's, shape (rows,)."""

    value: FloatArray
    influence: FloatArray


# A metric that has a value a class gives one estimate for each.
Measure = Callable[[AtLevel], Estimate | dict[Any, Estimate]]


@dataclass(frozen=True)
class Unseen:
    """What a comparison assumes of a unit that was not seen."""

    # It may lie `times + more / cases` times as far out as the furthest one, and on the side of
    # the difference that faces 0 `near` times as far as that.
    times: float | FloatArray
    more: float = 0.0
    near: float = 0.0
    # What to use where cases are few, or a single one carries the difference.
    instead: str | None = None

    def moved(self, furthest: FloatArray, away: FloatArray, units: FloatArray) -> FloatArray:
        """Give how far it may move a difference to one side, which lies `away` from 0 there.

        `away` is in standard errors; from one of them on the whole distance counts.
        """
        far = self.near + (1 - self.near) * np.clip(away, 0, 1)
        return far * (self.times + self.more / np.maximum(units, 1)) * furthest


@dataclass(frozen=True)
class PairedTest(Generic[AtLevel]):
    """How two candidates are compared by a metric that is measured from the rows of one level."""

    # The value with each row's influence on it.
    linear: Callable[[AtLevel], LinearisedEstimate]
    # How well each case is treated: more is better, shape (rows,).
    merit: Callable[[AtLevel], FloatArray]
    # Cases (of the rarest class, where the metric rests on it) below which there is no test.
    fewest: int = 0
    # Whether the metric is the share of cases whose merit is 1.
    hits: bool = False
    # Whether cases of the same merit are treated alike by it, whatever else was said of them.
    by_merit: bool = False
    # As in `linear_difference`.
    skewed: bool = False
    largest: float = np.inf
    unseen: Unseen | None = None


@dataclass(frozen=True)
class LevelMetric(Generic[AtLevel]):
    """All forms of a metric that is measured from the rows of one level, with their design."""

    measure: Measure[AtLevel]
    # None where the catalogue says why there is no paired test.
    paired: PairedTest[AtLevel] | None = None


def measure_levels(
    levels: Iterable[AtLevel], measures: Mapping[str, Measure[AtLevel]]
) -> dict[Any, Estimate]:
    """Measure every level by all metrics, and put the levels one after the other.

    They are found by the metric's name, or by name and class.
    """
    results: list[dict[Any, Estimate]] = []
    for at in levels:
        results.append({})
        for name, measure in measures.items():
            found = measure(at)
            if isinstance(found, Estimate):
                results[-1][name] = found
            else:
                results[-1] |= {(name, of_class): one for of_class, one in found.items()}
    return {name: concat_arrays([one[name] for one in results]) for name in results[0]}


def concat_arrays(parts: Sequence[_Arrays]) -> _Arrays:
    """Put the arrays of several records one after the other; what is no array is common to all."""
    whole = copy(parts[0])
    for name, first in vars(whole).items():
        if isinstance(first, np.ndarray):
            # Records may be frozen.
            object.__setattr__(whole, name, np.concatenate([getattr(part, name) for part in parts]))
    return whole


def divide(numerator: float | NDArray[Any], denominator: NDArray[Any]) -> FloatArray:
    """Divide, giving NaN where the denominator is zero."""
    result = np.full(np.broadcast(numerator, denominator).shape, np.nan)
    np.divide(numerator, denominator, out=result, where=denominator != 0)
    return result


def shortfall_reasons(least: int, what: str, there: FloatArray) -> NDArray[np.object_]:
    """Say, for every group, how many cases would do and how many there are."""
    reasons = np.empty(len(there), dtype=object)
    few = there < least
    reasons[~few] = None
    for group in np.flatnonzero(few):
        reasons[group] = f"needs {least} {what}, has {there[group]:.6g}"
    return reasons


def to_tidy_frame(
    slicing: Slicing, measured: Mapping[Any, Estimate], *, surveyed: bool
) -> pd.DataFrame:
    """Lay out estimates, by metric or by metric and class, as a tidy frame.

    Surveyed cases have weights or clusters.
    """
    n = slicing.add_up(np.bincount(slicing.cell, minlength=slicing.cells))
    for estimate in measured.values():
        estimate.mark_empty(n == 0)
    each = len(measured)
    groups = [level.groups for level in slicing.levels]
    names = [level.name for level in slicing.levels]

    def spread(values: list[Any], of_groups: NDArray[np.intp]) -> "pd.Series[Any]":
        # Texts are kept as positions in a short list until the frame is whole: fast and small.
        return values_at(values, np.repeat(of_groups, each))

    columns: dict[str, Any] = {"level": spread(names, np.repeat(np.arange(len(names)), groups))}
    for position, name in enumerate(slicing.names):
        codes = [
            level.codes[:, level.columns.index(position)]
            if position in level.columns
            else np.full(level.groups, -1)
            for level in slicing.levels
        ]
        columns[name] = spread(slicing.groups[position], np.concatenate(codes))

    def stacked(attribute: str) -> NDArray[Any]:
        return np.column_stack([getattr(e, attribute) for e in measured.values()]).ravel()

    keys = [key if isinstance(key, tuple) else (key,) for key in measured]
    place = np.tile(np.arange(each), len(n))
    columns["metric"] = _take([key[0] for key in keys], "str", place)
    if classes := list(dict.fromkeys(key[1] for key in keys if len(key) > 1)):
        number = [classes.index(key[1]) if len(key) > 1 else -1 for key in keys]
        columns["class"] = values_at(classes, np.array(number)[place])
    for name in ("value", "low", "high"):
        columns[name] = stacked(name)
    columns["n"] = np.repeat(n, each).astype(np.int64)
    columns["n_effective"] = stacked("effective")
    missing = np.full(len(n), np.nan)
    clusters = [missing if e.clusters is None else e.clusters for e in measured.values()]
    effects = [
        divide(e.rows, e.effective) if surveyed and e.rows is not None else missing
        for e in measured.values()
    ]
    columns["clusters"] = pd.array(np.column_stack(clusters).ravel(), "Int64")
    columns["design_effect"] = np.column_stack(effects).ravel()
    columns["status"] = _texts(stacked("status"))
    columns["reason"] = _texts(stacked("reason"))
    return pd.DataFrame(columns)


def values_at(values: Sequence[Any], positions: NDArray[np.intp]) -> "pd.Series[Any]":
    """Make a column of the values at these positions, with a gap where the position is -1."""
    texts = all(isinstance(value, str) for value in values)
    return _take(list(values), "str" if texts else "object", positions)


def _texts(values: NDArray[np.object_]) -> "pd.Series[str]":
    """Turn texts of which few are different into a column of texts."""
    codes, different = pd.factorize(values)
    return _take(list(different), "str", codes)


def _take(values: list[Any], dtype: str, positions: NDArray[np.intp]) -> "pd.Series[Any]":
    found = pd.Series(values, dtype=dtype).array
    return pd.Series(found.take(positions, allow_fill=True))
