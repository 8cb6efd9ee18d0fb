"""Conditions on a feature: in words, as JSON, and as the cases that meet them."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evaluator.metrics._checks import MetricsInputError, column
from evaluator.metrics._estimates import BoolArray, FloatArray

Scalar = str | int | float | bool
CodeArray = NDArray[np.int16]
_MAX_VALUES_SHOWN = 3
# Crosses of three features have at most a million cells by it, which bounds the search's memory.
MAX_VALUES = 100
# As many as there are months: so few numbers mean something each.
MAX_LISTED_VALUES = 12
# Coarse enough for the crosses of two features to have cases.
BINS = 5
# A tail that is narrower than a bin is hardly seen in it.
TAILS = (0.01, 0.025, 0.05, 0.1)


@dataclass(frozen=True)
class Equals:
    """The feature has one value."""

    feature: str
    value: Scalar

    @property
    def text(self) -> str:
        """Such as "carrier = B6"."""
        return f"{self.feature} = {_format_value(self.value)}"

    def as_json(self) -> dict[str, Any]:
        """Give the feature and the value it is."""
        return {"feature": self.feature, "is": self.value}

    def holds(self, frame: pd.DataFrame) -> BoolArray:
        """Say which rows have the value."""
        return _is_true(column(frame, self.feature) == self.value)


@dataclass(frozen=True)
class InRange:
    """The feature is a number from `start` on and below `end`; an end that is None is open."""

    feature: str
    start: float | None
    end: float | None

    @property
    def text(self) -> str:
        """Such as "distance in [500, 900)", "distance < 500" or "distance >= 900"."""
        if self.start is None:
            return f"{self.feature} < {_format_value(self.end)}"
        if self.end is None:
            return f"{self.feature} >= {_format_value(self.start)}"
        return f"{self.feature} in [{_format_value(self.start)}, {_format_value(self.end)})"

    def as_json(self) -> dict[str, Any]:
        """Give the feature and the ends that are not open."""
        ends = {"from": self.start, "below": self.end}
        return {"feature": self.feature} | {k: v for k, v in ends.items() if v is not None}

    def holds(self, frame: pd.DataFrame) -> BoolArray:
        """Say which rows lie in the range; a missing number lies in none."""
        values = numbers_or_missing(column(frame, self.feature), self.feature)
        inside = ~np.isnan(values)
        if self.start is not None:
            inside &= values >= self.start
        if self.end is not None:
            inside &= values < self.end
        return inside


@dataclass(frozen=True)
class IsMissing:
    """The feature has no value."""

    feature: str

    @property
    def text(self) -> str:
        """Such as "tail number is missing"."""
        return f"{self.feature} is missing"

    def as_json(self) -> dict[str, Any]:
        """Give the feature and that it is missing."""
        return {"feature": self.feature, "missing": True}

    def holds(self, frame: pd.DataFrame) -> BoolArray:
        """Say which rows have no value."""
        return _is_true(column(frame, self.feature).isna())


@dataclass(frozen=True)
class NotIn:
    """The feature has a value, and none of the frequent ones."""

    feature: str
    values: tuple[Scalar, ...]

    @property
    def text(self) -> str:
        """Such as "carrier is none of AA, B6" or "carrier is none of its 12 frequent values"."""
        if not self.values:
            return f"{self.feature} is not missing"
        if len(self.values) <= _MAX_VALUES_SHOWN:
            values = ", ".join(_format_value(value) for value in self.values)
            return f"{self.feature} is none of {values}"
        return f"{self.feature} is none of its {len(self.values)} frequent values"

    def as_json(self) -> dict[str, Any]:
        """Give the feature and the values it is none of."""
        return {"feature": self.feature, "none_of": list(self.values)}

    def holds(self, frame: pd.DataFrame) -> BoolArray:
        """Say which rows have another value."""
        found = column(frame, self.feature)
        return _is_true(found.notna()) & ~_is_true(found.isin(list(self.values)))


Condition = Equals | InRange | IsMissing | NotIn
"""What a feature has to be for a case to belong to a slice."""


def conditions_to_json(conditions: Sequence[Condition]) -> str:
    """Write a slice's conditions as a line of JSON, which `conditions_from_json` reads."""
    return json.dumps([one.as_json() for one in conditions], ensure_ascii=False)


def conditions_from_json(text: str) -> tuple[Condition, ...]:
    """Read a slice's conditions from JSON: a list of the forms that `as_json` gives."""
    try:
        forms = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise MetricsInputError(f"the slice {text!r} is not JSON: {error}") from error
    if not isinstance(forms, list) or not all(isinstance(form, dict) for form in forms):
        raise MetricsInputError(f"the slice {text!r} is no list of conditions")
    return tuple(_condition_from_json(form) for form in forms)


def _condition_from_json(form: Mapping[str, Any]) -> Condition:
    """Read a condition from its JSON form."""
    rest = {key: value for key, value in form.items() if key != "feature"}
    feature = form.get("feature")
    if isinstance(feature, str):
        if set(rest) == {"is"} and isinstance(rest["is"], Scalar):
            return Equals(feature, rest["is"])
        if rest and set(rest) <= {"from", "below"} and all(_number(v) for v in rest.values()):
            return InRange(feature, rest.get("from"), rest.get("below"))
        if rest == {"missing": True}:
            return IsMissing(feature)
        if set(rest) == {"none_of"} and isinstance(rest["none_of"], list | tuple):
            return NotIn(feature, tuple(rest["none_of"]))
    raise MetricsInputError(
        f"{dict(form)!r} is no condition; a condition names a feature and one of: is, from and "
        "below, missing (true), none_of"
    )


def _number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and not np.isnan(value)


def describe_conditions(conditions: Sequence[Condition]) -> str:
    """Describe a slice by its conditions; without any it is all cases."""
    return " and ".join(one.text for one in conditions) or "all cases"


def matching_rows(frame: pd.DataFrame, conditions: Sequence[Condition]) -> BoolArray:
    """Say which rows meet all conditions, shape (rows,)."""
    inside = np.ones(len(frame), dtype=bool)
    for one in conditions:
        inside &= one.holds(frame)
    return inside


def numbers_or_missing(found: "pd.Series[Any]", name: str) -> FloatArray:
    """Give a numeric column as floats, NaN where it is missing."""
    if not pd.api.types.is_numeric_dtype(found.dtype):
        raise MetricsInputError(f"column {name!r} holds {found.dtype} values; it must hold numbers")
    return found.to_numpy(dtype=np.float64, na_value=np.nan)


def _format_value(value: object) -> str:
    return f"{value:.12g}" if isinstance(value, float) else str(value)


def _is_true(values: "pd.Series[Any]") -> BoolArray:
    """Give truth values, False where a nullable column does not know."""
    return values.to_numpy(dtype=bool, na_value=False)


@dataclass(frozen=True)
class DiscretisedFeature:
    """A feature's conditions, and which of them each case meets."""

    # In the order of the values; rare values and missing ones last.
    conditions: tuple[Condition, ...]
    # The position of each case's condition, shape (rows,). Of conditions that lie in each other,
    # the narrowest first, it is the position from the end of the narrowest that a case meets, and
    # 0 where it meets none.
    codes: CodeArray
    # Of numbers that are cut into ranges: what is narrower than a range at either end.
    tails: "tuple[DiscretisedFeature, ...]" = ()

    def of(self, rows: NDArray[Any]) -> "DiscretisedFeature":
        """Take some of the cases, by positions or truth values."""
        tails = tuple(tail.of(rows) for tail in self.tails)
        return DiscretisedFeature(self.conditions, self.codes[rows], tails)


def meets(codes: CodeArray, code: int) -> BoolArray:
    """Say which cases meet the condition of a code; negative ones lie in each other."""
    return codes == code if code >= 0 else codes <= code


def discretise(
    frame: pd.DataFrame, features: Sequence[str], *, minimum_support: int
) -> list[DiscretisedFeature]:
    """Cut every feature into conditions, without a look at how well the candidate does.

    Numbers are cut near their quantiles, fractions at as few digits as leave the bins what they
    are; those of at most 12 different values are taken as categories; narrow tails are
    conditions besides. Missing values are a
    condition of their own. Categories of fewer than `minimum_support` cases, and all beyond the 100
    most frequent, are one condition together.
    """
    names = [features] if isinstance(features, str) else list(features)
    if not names or len(set(names)) < len(names):
        raise MetricsInputError(f"features must be one or more different columns, not {names}")
    return [_feature(column(frame, name), name, minimum_support) for name in names]


def _feature(found: "pd.Series[Any]", name: str, minimum_support: int) -> DiscretisedFeature:
    numeric = pd.api.types.is_numeric_dtype(found.dtype)
    if numeric and not pd.api.types.is_bool_dtype(found.dtype):
        values = numbers_or_missing(found, name)
        ordered = np.sort(values[~np.isnan(values)])
        steps = ordered[1:] != ordered[:-1]
        if np.count_nonzero(steps) >= MAX_LISTED_VALUES:
            whole = pd.api.types.is_integer_dtype(found.dtype)
            return _ranges(values, ordered, name, whole=whole)
    return _categories(found, name, minimum_support)


def _ranges(
    values: FloatArray, ordered: FloatArray, name: str, *, whole: bool
) -> DiscretisedFeature:
    """Cut numbers at their quantiles, and narrow tails off them."""
    raw = np.unique(_quantiles(ordered, np.arange(1, BINS) / BINS))
    tails = [_quantiles(ordered, shares) for shares in (np.array(TAILS), 1 - np.array(TAILS))]
    cuts = raw
    if not whole:
        cuts = _short(raw, ordered[0])
        edges = np.unique(np.concatenate([raw, *tails]))
        short = _short(edges, ordered[0])
        tails = [short[np.searchsorted(edges, ends)] for ends in tails]
    # What is no narrower than the range at that end says the same as it.
    lows, highs = np.unique(tails[0][tails[0] < cuts[0]]), np.unique(tails[1][tails[1] > cuts[-1]])
    # One look at the values finds range and tails.
    edges = np.unique(np.concatenate([lows, cuts, highs]))
    cell = np.searchsorted(edges, values, side="right")
    missing = np.isnan(values)

    def reached(ends: FloatArray) -> CodeArray:
        """Count the ends that each case's value reaches."""
        of_cell = np.searchsorted(ends, np.concatenate([[-np.inf], edges]), side="right")
        return of_cell.astype(np.int16)[cell]

    def ranges(ends: Sequence[tuple[float | None, float | None]]) -> tuple[Condition, ...]:
        plain = [
            tuple(None if end is None else int(end) if whole else float(end) for end in pair)
            for pair in ends
        ]
        return tuple(InRange(name, start, end) for start, end in plain)

    below = DiscretisedFeature(
        ranges([(None, end) for end in lows]), reached(lows) - np.int16(len(lows))
    )
    above = DiscretisedFeature(ranges([(end, None) for end in highs[::-1]]), -reached(highs))
    above.codes[missing] = 0
    feature = _with_missing(
        list(ranges(list(pairwise([None, *cuts, None])))), reached(cuts), missing, name
    )
    return replace(feature, tails=tuple(tail for tail in (below, above) if tail.conditions))


def _quantiles(ordered: FloatArray, shares: FloatArray) -> FloatArray:
    """Give the least values that at least these shares of the cases do not exceed."""
    places = np.ceil(shares * len(ordered)).astype(np.intp) - 1
    found = ordered[np.maximum(places, 0)]
    # Where the least value is that of many cases, it is a bin of its own.
    found[found == ordered[0]] = ordered[np.searchsorted(ordered, ordered[0], side="right")]
    return found


def _short(cuts: FloatArray, least: float) -> FloatArray:
    """Round each cut to the digits that a hundredth of the way to its neighbours needs."""
    edges = np.concatenate([[least], cuts])
    edges = edges[np.isfinite(edges)]
    rounded = cuts.copy()
    for position in np.flatnonzero(np.isfinite(cuts)):
        cut = float(cuts[position])
        others = edges[edges != cut]
        if len(others):
            digits = 2 - int(np.floor(np.log10(np.abs(others - cut).min())))
            rounded[position] = round(cut, digits)
    return rounded


def _categories(found: "pd.Series[Any]", name: str, minimum_support: int) -> DiscretisedFeature:
    """Take each value as a condition, and the rare ones together as one."""
    # The values of a categorical column may be in its order, but not all of them need occur.
    numbered, uniques = pd.factorize(found)
    missing = numbered < 0
    values = [_scalar(value, name) for value in uniques]
    counts = np.bincount(numbered[~missing], minlength=len(values))
    by_value = sorted(range(len(values)), key=lambda p: (str(type(values[p])), values[p]))
    frequent = sorted(by_value, key=lambda position: -counts[position])[:MAX_VALUES]
    often = {position for position in frequent if counts[position] >= minimum_support}
    kept = [position for position in by_value if position in often]
    code_of = np.full(len(values) + 1, len(kept), dtype=np.int16)
    code_of[kept] = np.arange(len(kept))
    conditions: list[Condition] = [Equals(name, values[position]) for position in kept]
    if len(kept) < len(values):
        conditions.append(NotIn(name, tuple(values[position] for position in kept)))
    return _with_missing(conditions, code_of[numbered], missing, name)


def _scalar(value: Any, name: str) -> Scalar:
    """Give a category as a value that JSON can hold."""
    plain = value.item() if isinstance(value, np.generic) else value
    if not isinstance(plain, Scalar):
        raise MetricsInputError(
            f"feature {name!r} holds a {type(plain).__name__}, such as {plain!r}; features hold "
            "numbers, texts or truth values"
        )
    return plain


def _with_missing(
    conditions: list[Condition], codes: CodeArray, missing: NDArray[np.bool_], name: str
) -> DiscretisedFeature:
    if missing.any():
        codes[missing] = len(conditions)
        conditions = [*conditions, IsMissing(name)]
    return DiscretisedFeature(tuple(conditions), codes)
