"""Conditions on a feature: in words, as JSON, and as the cases that meet them."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import pandas as pd

from evaluator.metrics.checks import MetricsInputError, column
from evaluator.metrics.estimates import BoolArray, FloatArray

Scalar = str | int | float | bool

_MOST_VALUES_IN_WORDS = 3


class Condition(Protocol):
    """What a feature has to be for a case to belong to a slice."""

    @property
    def feature(self) -> str:
        """The column that the condition is about."""

    @property
    def words(self) -> str:
        """The condition as a reader would say it."""

    def as_json(self) -> dict[str, Any]:
        """Give the condition in the form that `condition` reads."""

    def holds(self, frame: pd.DataFrame) -> BoolArray:
        """Say which rows of a frame meet the condition, shape (rows,)."""


@dataclass(frozen=True)
class Is:
    """The feature has one value."""

    feature: str
    value: Scalar

    @property
    def words(self) -> str:
        """Such as "carrier = B6"."""
        return f"{self.feature} = {_said(self.value)}"

    def as_json(self) -> dict[str, Any]:
        """Give the feature and the value it is."""
        return {"feature": self.feature, "is": self.value}

    def holds(self, frame: pd.DataFrame) -> BoolArray:
        """Say which rows have the value."""
        return _true(column(frame, self.feature) == self.value)


@dataclass(frozen=True)
class Within:
    """The feature is a number from `start` on and below `end`; an end that is None is open."""

    feature: str
    start: float | None
    end: float | None

    @property
    def words(self) -> str:
        """Such as "distance in [500, 900)", "distance < 500" or "distance >= 900"."""
        if self.start is None:
            return f"{self.feature} < {_said(self.end)}"
        if self.end is None:
            return f"{self.feature} >= {_said(self.start)}"
        return f"{self.feature} in [{_said(self.start)}, {_said(self.end)})"

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
class Missing:
    """The feature has no value."""

    feature: str

    @property
    def words(self) -> str:
        """Such as "tail number is missing"."""
        return f"{self.feature} is missing"

    def as_json(self) -> dict[str, Any]:
        """Give the feature and that it is missing."""
        return {"feature": self.feature, "missing": True}

    def holds(self, frame: pd.DataFrame) -> BoolArray:
        """Say which rows have no value."""
        return _true(column(frame, self.feature).isna())


@dataclass(frozen=True)
class NoneOf:
    """The feature has a value, and none of the frequent ones."""

    feature: str
    values: tuple[Scalar, ...]

    @property
    def words(self) -> str:
        """Such as "carrier is none of AA, B6" or "carrier is none of its 12 frequent values"."""
        if not self.values:
            return f"{self.feature} is not missing"
        if len(self.values) <= _MOST_VALUES_IN_WORDS:
            return f"{self.feature} is none of {', '.join(_said(value) for value in self.values)}"
        return f"{self.feature} is none of its {len(self.values)} frequent values"

    def as_json(self) -> dict[str, Any]:
        """Give the feature and the values it is none of."""
        return {"feature": self.feature, "none_of": list(self.values)}

    def holds(self, frame: pd.DataFrame) -> BoolArray:
        """Say which rows have another value."""
        found = column(frame, self.feature)
        return _true(found.notna()) & ~_true(found.isin(list(self.values)))


def written(conditions: Sequence[Condition]) -> str:
    """Write a slice's conditions as a line of JSON, which `read_conditions` reads."""
    return json.dumps([one.as_json() for one in conditions], ensure_ascii=False)


def read_conditions(text: str) -> tuple[Condition, ...]:
    """Read a slice's conditions from JSON: a list of the forms that `condition` takes.

    Raises
    ------
    MetricsInputError
        If the text is no such list.
    """
    try:
        forms = json.loads(text)
    except ValueError as error:
        raise MetricsInputError(f"the slice {text!r} is not JSON: {error}") from error
    if not isinstance(forms, list) or not all(isinstance(form, dict) for form in forms):
        raise MetricsInputError(f"the slice {text!r} is no list of conditions")
    return tuple(condition(form) for form in forms)


def condition(form: Mapping[str, Any]) -> Condition:
    """Read a condition from its JSON form.

    Parameters
    ----------
    form
        ``{"feature": ..., "is": value}``, ``{"feature": ..., "from": number, "below": number}``
        (one of the two may be absent), ``{"feature": ..., "missing": True}`` or
        ``{"feature": ..., "none_of": [values]}``.

    Raises
    ------
    MetricsInputError
        If it is none of these.
    """
    rest = {key: value for key, value in form.items() if key != "feature"}
    feature = form.get("feature")
    if isinstance(feature, str):
        if set(rest) == {"is"} and isinstance(rest["is"], Scalar):
            return Is(feature, rest["is"])
        if rest and set(rest) <= {"from", "below"} and all(_number(v) for v in rest.values()):
            return Within(feature, rest.get("from"), rest.get("below"))
        if rest == {"missing": True}:
            return Missing(feature)
        if set(rest) == {"none_of"} and isinstance(rest["none_of"], list | tuple):
            return NoneOf(feature, tuple(rest["none_of"]))
    raise MetricsInputError(
        f"{dict(form)!r} is no condition; a condition names a feature and one of: is, from and "
        "below, missing (true), none_of"
    )


def in_words(conditions: Sequence[Condition]) -> str:
    """Describe a slice by its conditions; without any it is all cases."""
    return " and ".join(one.words for one in conditions) or "all cases"


def members(frame: pd.DataFrame, conditions: Sequence[Condition]) -> BoolArray:
    """Say which rows meet all conditions, shape (rows,)."""
    inside = np.ones(len(frame), dtype=bool)
    for one in conditions:
        inside &= one.holds(frame)
    return inside


def numbers_or_missing(found: "pd.Series[Any]", name: str) -> FloatArray:
    """Give a numeric column as floats, NaN where it is missing.

    Raises
    ------
    MetricsInputError
        If the column does not hold numbers.
    """
    if not pd.api.types.is_numeric_dtype(found.dtype):
        raise MetricsInputError(f"column {name!r} holds {found.dtype} values; it must hold numbers")
    return found.to_numpy(dtype=np.float64, na_value=np.nan)


def _number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and not np.isnan(value)


def _said(value: object) -> str:
    return f"{value:.12g}" if isinstance(value, float) else str(value)


def _true(values: "pd.Series[Any]") -> BoolArray:
    """Give truth values, False where a nullable column does not know."""
    return values.to_numpy(dtype=bool, na_value=False)
