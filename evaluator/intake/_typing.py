"""From text to values of a declared type; what is not of the type is never guessed."""

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

import pyarrow as pa

from evaluator.spec import ColumnSpec

if TYPE_CHECKING:
    import polars as pl

#: Those without a fraction come first, since the engine reads them several times as fast.
ISO_TIMESTAMPS: Final = (
    "%Y-%m-%d %H:%M:%S",
    "%Y-%m-%dT%H:%M:%S",
    "%Y-%m-%d %H:%M:%S%.f",
    "%Y-%m-%dT%H:%M:%S%.f",
    "%Y-%m-%d %H:%M",
    "%Y-%m-%dT%H:%M",
    "%Y-%m-%dT%H:%M:%S%.f%#z",
    "%Y-%m-%d %H:%M:%S%.f%#z",
    "%Y-%m-%d",
)
ISO_DATE: Final = "%Y-%m-%d"
#: The most characters of a timestamp whose second has no more digits than are stored.
MAX_ISO_LENGTH: Final = len("2013-11-30T12:00:00.123456")
OFFSET: Final = re.compile(r"%#?:*z")


def arrow_type(column: ColumnSpec) -> pa.DataType:
    """Return the type in which a column is stored."""
    if column.type == "decimal":
        return pa.decimal128(column.precision, column.scale)
    if column.type == "timestamp":
        return pa.timestamp("us", tz=column.time_zone)
    types = {
        "string": pa.string(),
        "category": pa.string(),
        "integer": pa.int64(),
        "float": pa.float64(),
        "boolean": pa.bool_(),
        "date": pa.date32(),
    }
    return types[column.type]


def engine_type(column: ColumnSpec) -> "pl.DataType":
    """Return the engine's type for a column: that of its stored type."""
    import polars as pl

    return pl.Schema(pa.schema([("column", arrow_type(column))]))["column"]


def parse_values(text: "pl.Series", column: ColumnSpec) -> "pl.Series":
    """Read a column of texts as values of its type."""
    import polars as pl

    readers: dict[str, Callable[[pl.Series, ColumnSpec], pl.Series]] = {
        "integer": lambda texts, _: texts.cast(pl.Int64, strict=False),
        "float": _floats,
        "decimal": _decimals,
        "boolean": _booleans,
        "date": _dates,
        "timestamp": _timestamps,
    }
    return readers[column.type](text, column) if column.type in readers else text


def _floats(text: "pl.Series", _column: ColumnSpec) -> "pl.Series":
    import polars as pl

    values = text.cast(pl.Float64, strict=False)
    # `inf`, `nan` and what is too large for a float are no measurements.
    finite = values.is_finite()
    return values if finite.all() else values.set(~finite, None)


def _decimals(text: "pl.Series", column: ColumnSpec) -> "pl.Series":
    """Read numbers that fit exactly; the engine alone would round."""
    whole = column.precision - column.scale
    fits = text.str.contains(rf"^[+-]?0*\d{{0,{whole}}}(?:\.\d{{0,{column.scale}}}0*)?$")
    has_digit = text.str.contains(r"\d")
    kept = text.set(~(fits & has_digit), None)
    return kept.cast(engine_type(column), strict=False)


def _booleans(text: "pl.Series", column: ColumnSpec) -> "pl.Series":
    import polars as pl

    name = text.name
    return text.to_frame().select(
        pl.when(pl.col(name).is_in(list(column.true_values)))
        .then(statement=True)
        .when(pl.col(name).is_in(list(column.false_values)))
        .then(statement=False)
        .otherwise(None)
        .alias(name)
    )[name]


def _dates(text: "pl.Series", column: ColumnSpec) -> "pl.Series":
    if column.formats is None:
        shaped = text.set((text.str.len_bytes() != len("2013-11-30")), None)
        return shaped.set(_signed(shaped), None).str.to_date(ISO_DATE, strict=False)
    return _first_that_parses(text, column.formats, _date_as)


def _signed(text: "pl.Series") -> "pl.Series":
    """Find a sign before the year, which the engine would pass over."""
    return text.str.starts_with("-") | text.str.starts_with("+")


def _date_as(text: "pl.Series", how: str) -> "pl.Series":
    return text.str.to_date(how, strict=False)


def _timestamps(text: "pl.Series", column: ColumnSpec) -> "pl.Series":
    import polars as pl

    zone = column.time_zone

    def read(part: pl.Series, how: str) -> pl.Series:
        if OFFSET.search(how):
            if zone is None:
                # An offset without a declared zone has no place in a timestamp without one.
                return pl.Series(part.name, [None] * len(part), dtype=pl.Datetime("us"))
            instants = part.str.to_datetime(how, strict=False, time_unit="us", time_zone="UTC")
            return instants.dt.convert_time_zone(zone)
        if "%H" in how or "%I" in how or "%T" in how:
            # The engine's cache of texts costs more than its quick way through these formats.
            cache = how not in ISO_TIMESTAMPS
            local = part.str.to_datetime(how, strict=False, time_unit="us", cache=cache)
        else:
            local = part.str.to_date(how, strict=False).cast(pl.Datetime("us"))
        if zone is None:
            return local
        # An hour that the clocks skip or repeat names no instant; it is refused, not guessed.
        return local.dt.replace_time_zone(zone, ambiguous="null", non_existent="null")

    if column.formats is not None:
        return _first_that_parses(text, column.formats, read)
    odd = _signed(text)
    long = text.str.len_bytes() > MAX_ISO_LENGTH
    if long.any():
        odd |= long & text.str.contains(r"\.\d{7,}")
    return _first_that_parses(text.set(odd, None) if odd.any() else text, ISO_TIMESTAMPS, read)


def _first_that_parses(
    text: "pl.Series", formats: tuple[str, ...], read: Callable[["pl.Series", str], "pl.Series"]
) -> "pl.Series":
    """Try formats in order; each further one sees only what the earlier ones could not read."""
    values = read(text, formats[0])
    for how in formats[1:]:
        left = (values.is_null() & text.is_not_null()).arg_true()
        if len(left) == 0:
            break
        values = values.scatter(left, read(text.gather(left), how))
    return values
