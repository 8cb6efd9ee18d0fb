"""What a column of a day's file holds, and what makes a value of it wrong."""

import re
from collections.abc import Mapping
from datetime import UTC, date, datetime, time
from itertools import pairwise
from math import isfinite
from typing import Any, Final, Literal, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import Field, model_validator

from evaluator.spec._base import SpecModel, problem
from evaluator.spec._expression import Kind
from evaluator.spec._spellings import NumberSpelling, parse_time_format

Severity = Literal["refuse", "warn"]
ColumnType = Literal[
    "string", "integer", "decimal", "float", "boolean", "date", "timestamp", "category"
]

_TEXT_TYPES: Final = ("string", "category")
NUMBER_TYPES: Final = ("integer", "decimal", "float")
TIME_TYPES: Final = ("date", "timestamp")
SPELLING_KEYS: Final = ("decimal", "thousands", "percent", "currency", "parentheses")
"""How numbers are written: of a column, or of the whole file."""
_KINDS: Final[dict[ColumnType, Kind]] = {
    "string": "text",
    "integer": "number",
    "decimal": "number",
    "float": "number",
    "boolean": "boolean",
    "date": "date",
    "timestamp": "timestamp",
    "category": "text",
}
_MAX_DECIMAL_DIGITS: Final = 38


class ColumnSpec(SpecModel):
    """One column: its type, and the rules that its values keep."""

    type: ColumnType = Field(examples=["integer", "category"])
    """What the text in the file is read as; a value that is not of the type is always refused."""

    required: bool = Field(default=False, examples=[True])
    """Whether a row without a value here is a violation."""

    unique: bool = Field(default=False, examples=[True])
    """Whether a value may occur only once in a day's file; the first good row keeps it."""

    allowed: tuple[bool | int | float | datetime | date | str, ...] | None = Field(
        default=None, min_length=1, examples=[["EWR", "JFK", "LGA"]]
    )
    """The values that may occur; anything else is a violation."""

    names: dict[str, str] | None = Field(
        default=None, min_length=1, examples=[{"1": "White", "5": "Asian"}]
    )
    """What allowed values are called wherever cases are told apart by them: slices, partitions,
    groups. Candidates are given the values themselves."""

    minimum: int | float | datetime | date | None = Field(default=None, examples=[0])
    """The smallest value that may occur, for numbers, dates and timestamps."""

    maximum: int | float | datetime | date | None = Field(default=None, examples=[1440])
    """The largest value that may occur (numbers, dates and timestamps)."""

    minimum_length: int | None = Field(default=None, ge=0, examples=[2])
    """The fewest characters that a text may have."""

    maximum_length: int | None = Field(default=None, ge=0, examples=[40])
    """The most characters that a text may have."""

    pattern: str | None = Field(default=None, examples=["[A-Z]{2}[0-9]+"])
    """A regular expression that the whole text must match, without look-around."""

    not_pattern: str | None = Field(default=None, examples=["(?i)test.*"])
    """A regular expression that the whole text must not match, without look-around."""

    when: str | None = Field(default=None, examples=["status == 'shipped'"])
    """An expression over the columns; the rules of this one count only in rows where it is true."""

    missing_values: tuple[str, ...] | None = Field(default=None, examples=[["", "-99", "NA"]])
    """How a missing value is written here, also as a code; replaces the list of `data`."""

    formats: tuple[str, ...] | None = Field(
        default=None, min_length=1, examples=[["%d.%m.%Y", "%Y-%m-%d"]]
    )
    """How dates and timestamps are written, tried in this order; ISO 8601 when not given."""

    time_zone: str | None = Field(default=None, examples=["America/New_York"])
    """The zone in which timestamps without an offset are meant; stored with it."""

    precision: int = Field(default=18, ge=1, le=_MAX_DECIMAL_DIGITS, examples=[12])
    """The digits that a `decimal` has in all."""

    scale: int = Field(default=2, ge=0, le=_MAX_DECIMAL_DIGITS, examples=[2])
    """The digits of a `decimal` after its point; a value with more is refused, never rounded."""

    decimal: Literal[".", ","] | None = Field(default=None, examples=[","])
    """The decimal mark of this column's numbers, where it is not that of `data`."""

    thousands: Literal["", ".", ",", " ", "'"] | None = Field(default=None, examples=["."])
    """What groups this column's digits, where it is not that of `data`."""

    percent: bool | None = Field(default=None, examples=[True])
    """Whether each of this column's numbers carries `%` and means so many hundredths."""

    currency: tuple[str, ...] | None = Field(default=None, examples=[["€", "EUR"]])
    """What may stand before or behind this column's numbers; replaces the list of `data`."""

    parentheses: bool | None = Field(default=None, examples=[True])
    """Whether a number in parentheses is below zero."""

    ambiguous: Literal["refuse", "earlier", "later"] = Field(default="refuse", examples=["earlier"])
    """Of an hour that the clocks of `time_zone` repeat, which instant is meant."""

    gap: Literal["refuse", "forward", "backward"] = Field(default="refuse", examples=["forward"])
    """Where a time that the clocks of `time_zone` skip is moved to: by as much as they skip."""

    true_values: tuple[str, ...] = Field(
        default=("true", "True", "TRUE", "1"), min_length=1, examples=[["yes", "Y"]]
    )
    """How true is written in a `boolean`."""

    false_values: tuple[str, ...] = Field(
        default=("false", "False", "FALSE", "0"), min_length=1, examples=[["no", "N"]]
    )
    """How false is written in a `boolean`."""

    derive: str | None = Field(default=None, examples=["arrival_delay > 15"])
    """An expression over other columns that makes this one; missing where they are."""

    bins: tuple[int | float, ...] | None = Field(
        default=None, min_length=1, examples=[[18, 30, 50]]
    )
    """Where the number that `derive` gives is cut, so that a category comes of it: `below 18`,
    `18 to below 30`, `30 to below 50`, `50 and above`. These are its allowed values."""

    optional: bool = Field(default=False, examples=[True])
    """Whether the file may lack the whole column; it is then missing in every row."""

    maximum_missing_share: float | None = Field(default=None, ge=0, le=1, examples=[0.1])
    """The share of a day's typed rows that may lack a value here."""

    drift: bool = Field(default=True, examples=[False])
    """Whether the column's content is compared with the reference; free text need not be."""

    severity: Severity = Field(default="refuse", examples=["warn"])
    """`refuse` puts a row that breaks a rule of this column into quarantine; `warn` counts it."""

    @property
    def kind(self) -> Kind:
        """What the column is in an expression."""
        return _KINDS[self.type]

    @property
    def allowed_names(self) -> tuple[Any, ...]:
        """What the allowed values are called, in their order."""
        return tuple(self.shown(value) for value in self.allowed or ())

    def shown(self, value: Any) -> Any:
        """Return what a value is called."""
        return value if self.names is None else self.names.get(str(value), value)

    @property
    def spelling(self) -> NumberSpelling:
        """How its numbers are written; what is not declared here is as programs write it."""
        declared = {key: getattr(self, key) for key in SPELLING_KEYS}
        return NumberSpelling(**{key: how for key, how in declared.items() if how is not None})

    @model_validator(mode="before")
    @classmethod
    def _bins_are_the_allowed_values(cls, raw: Any) -> Any:
        bins = raw.get("bins") if isinstance(raw, Mapping) else None
        if not isinstance(bins, list | tuple) or not bins:
            return raw
        if not all(isinstance(cut, int | float) and isfinite(cut) for cut in bins):
            return raw
        if list(bins) != sorted({*bins}):
            raise problem("bins", "they do not rise", "write each cut once, the least first")
        between = [f"{low:g} to below {high:g}" for low, high in pairwise(bins)]
        labels = [f"below {bins[0]:g}", *between, f"{bins[-1]:g} and above"]
        if list(raw.get("allowed") or labels) != labels:
            raise problem("allowed", "the bins give the values", "remove one of the two")
        return {**raw, "allowed": labels}

    @model_validator(mode="after")
    def _bins_cut_what_is_derived(self) -> Self:
        if self.bins is not None and (self.derive is None or self.type != "category"):
            raise problem(
                "bins",
                "they make a category of a number that is derived",
                "add a column of type category whose `derive` names the number, with these bins",
            )
        return self

    @model_validator(mode="after")
    def _names_tell_allowed_values_apart(self) -> Self:
        if self.names is None:
            return self
        allowed = [str(value) for value in self.allowed or ()]
        unknown = [value for value in self.names if value not in allowed]
        if unknown:
            raise problem(
                "names",
                f"{unknown[0]!r} is no allowed value",
                "name values that `allowed` lists, in quotes",
            )
        called = [self.shown(value) for value in allowed]
        repeated = [name for name in called if called.count(name) > 1]
        if repeated:
            raise problem(
                "names", f"two values are called {repeated[0]!r}", "give each a name of its own"
            )
        return self

    @model_validator(mode="after")
    def _keys_fit_the_type(self) -> Self:
        types_with_key: dict[str, tuple[str, ...]] = {
            "minimum": NUMBER_TYPES + TIME_TYPES,
            "maximum": NUMBER_TYPES + TIME_TYPES,
            "minimum_length": _TEXT_TYPES,
            "maximum_length": _TEXT_TYPES,
            "pattern": _TEXT_TYPES,
            "not_pattern": _TEXT_TYPES,
            "formats": TIME_TYPES,
            "time_zone": ("timestamp",),
            "ambiguous": ("timestamp",),
            "gap": ("timestamp",),
            "decimal": NUMBER_TYPES,
            "thousands": NUMBER_TYPES,
            "percent": ("decimal", "float"),
            "currency": NUMBER_TYPES,
            "parentheses": NUMBER_TYPES,
            "precision": ("decimal",),
            "scale": ("decimal",),
            "true_values": ("boolean",),
            "false_values": ("boolean",),
        }
        for key, types in types_with_key.items():
            if key in self.model_fields_set and self.type not in types:
                raise problem(
                    key,
                    f"it says nothing about a column of type {self.type}",
                    f"remove it, or make the type {' or '.join(types)}",
                )
        return self

    @model_validator(mode="after")
    def _limits_are_of_the_type(self) -> Self:
        for key in ("minimum", "maximum"):
            value = getattr(self, key)
            if value is None:
                continue
            # A quoted date is read as its midnight.
            has_time = isinstance(value, datetime) and value.timetz() != time.min
            fits = {
                "date": isinstance(value, date) and not has_time,
                "timestamp": isinstance(value, date),
            }.get(self.type, not isinstance(value, date | bool))
            if not fits:
                raise problem(
                    key, f"{value} is not of type {self.type}", f"write a limit of type {self.type}"
                )
        for low, high in (("minimum", "maximum"), ("minimum_length", "maximum_length")):
            lowest, highest = getattr(self, low), getattr(self, high)
            if None not in (lowest, highest) and _as_number(lowest) > _as_number(highest):
                raise problem(low, f"it is above {high}", f"make {low} at most {high}")
        return self

    @model_validator(mode="after")
    def _allowed_values_are_of_the_type(self) -> Self:
        python_types: dict[Kind, type | tuple[type, ...]] = {
            "text": str,
            "number": (int, float),
            "boolean": bool,
            "date": date,
            "timestamp": (datetime, date),
        }
        for value in self.allowed or ():
            # To Python, True and False are numbers.
            is_stray_bool = isinstance(value, bool) and self.kind != "boolean"
            if is_stray_bool or not isinstance(value, python_types[self.kind]):
                raise problem(
                    "allowed",
                    f"{value!r} is not of type {self.type}",
                    "quote texts, and leave numbers unquoted",
                )
        return self

    @model_validator(mode="after")
    def _rules_and_spellings_can_be_used(self) -> Self:
        for key in ("pattern", "not_pattern"):
            if getattr(self, key) is not None:
                check_pattern(key, getattr(self, key))
        if self.time_zone is not None:
            try:
                ZoneInfo(self.time_zone)
            except (ZoneInfoNotFoundError, ValueError, OSError) as error:
                raise problem(
                    "time_zone",
                    f"{self.time_zone!r} is not a known zone",
                    "write a name such as Europe/Berlin or UTC",
                ) from error
        if self.scale > self.precision:
            raise problem("scale", "it is above precision", "make scale at most precision")
        ambiguous = sorted(set(self.true_values) & set(self.false_values))
        if ambiguous:
            raise problem(
                "true_values", f"{ambiguous[0]!r} is in false_values too", "keep it in one of them"
            )
        return self

    @model_validator(mode="after")
    def _times_can_be_read(self) -> Self:
        for how in self.formats or ():
            try:
                spelled = parse_time_format(how)
            except ValueError as error:
                raise problem("formats", str(error), "see Types in docs/intake.md") from error
            if spelled.has_offset and self.time_zone is None:
                raise problem(
                    "formats",
                    f"{how!r} has an offset, which gives an instant of some time_zone",
                    "make it a timestamp with a time_zone, such as UTC",
                )
        for key in ("ambiguous", "gap"):
            if key in self.model_fields_set and self.time_zone is None:
                raise problem(
                    key, "no clocks change without a time_zone", "declare one, or remove it"
                )
        return self

    @model_validator(mode="after")
    def _derived_columns_are_not_read(self) -> Self:
        if self.derive is None:
            return self
        for key in ("missing_values", "formats", "time_zone", "optional", *SPELLING_KEYS):
            if key in self.model_fields_set:
                raise problem(
                    key, "a derived column is not read from the file", "remove it, or `derive`"
                )
        if self.type == "decimal":
            raise problem("type", "a derived column cannot be a decimal", "make it a float")
        return self


def _as_number(limit: float | date | datetime) -> float:
    """Turn a limit into a number, so that two limits can be compared."""
    if not isinstance(limit, date):
        return limit
    # A day begins at its midnight; a time that names no zone is UTC.
    at = limit if isinstance(limit, datetime) else datetime.combine(limit, time.min)
    return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()


def check_pattern(key: str, pattern: str) -> None:
    """Refuse a regular expression that the engine could not run in linear time."""
    try:
        re.compile(pattern)
    except (re.error, OverflowError, ValueError, RecursionError) as error:
        deep = isinstance(error, RecursionError)
        why = "it is nested too deeply" if deep else str(error)
        raise problem(key, f"it is not a regular expression: {why}", "mend it") from error
    forbidden = re.search(r"\(\?(?:[=!]|<[=!])|\\[1-9]|\(\?P=", pattern)
    if forbidden:
        raise problem(
            key,
            f"`{forbidden[0]}` is look-around or a back-reference",
            "write the pattern without it, or use a row rule",
        )
