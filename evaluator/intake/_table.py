"""What a database answers to a query, as one file in an order of its own."""

import json
import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from evaluator.intake._database import ask

#: So many rows are held as Python's values at once.
ROWS_A_BLOCK: Final = 50_000
#: Rows a row group of the file.
ROW_GROUP: Final = 256 * 1024
#: The stored types of columns whose values are all of one kind; all else is text.
TYPES: Final = {
    "integer": pa.int64(),
    "float": pa.float64(),
    "boolean": pa.bool_(),
    "date": pa.date32(),
    "timestamp": pa.timestamp("us"),
    "instant": pa.timestamp("us", tz="UTC"),
}
INT64: Final = range(-(2**63), 2**63)
DECIMAL_DIGITS: Final = 38


def query_to_parquet(url: str, query: str, into: Path, *, bound: Mapping[str, date]) -> int:
    """Ask a database, and write all that it answers into one file.

    Nothing is changed in the database. The rows are sorted, by all columns from left to right with
    missing values first, so that an answer gives the same bytes in whatever order it came.

    A column is of one type: integer (64 bits), float, boolean, text, decimal, date, timestamp
    without a zone, or timestamp in UTC. Decimals of a column have the precision and scale that all
    of them fit in; integers among decimals are decimals, and among floats they are floats if each
    is one exactly. Where values disagree otherwise, or do not fit, the column is text, and each
    value what `str` makes of it (an instant in UTC). Times and intervals are text in ISO 8601,
    bytes hexadecimal digits, and documents and arrays JSON with sorted keys and all digits. A
    column without a value is text.

    Parameters
    ----------
    url
        SQLAlchemy's URL of the database. No message tells more of it than the kind of database,
        the host and the database's name.
    query
        One statement that gives rows, with parameters such as `:day`.
    into
        The file to write. While rows come, a file without a name grows beside it.
    bound
        The parameters' values; the query need not name all of them.

    Returns
    -------
    int
        How many rows came.

    Raises
    ------
    IntakeError
        When the URL cannot be used, its driver is not installed, the database refuses the query,
        or a column of the answer has no name or that of another one.
    StateError
        When the database cannot be reached, does not let this account in, or is lost on the way.
    """
    answer = ask(url, query, bound, rows_a_block=ROWS_A_BLOCK, read_json=_read_json)
    with closing(answer), TemporaryFile(dir=into.parent) as held:
        names = next(answer)
        columns = [_Column() for _ in names]
        texts = pa.schema([(name, pa.string()) for name in names])
        with pa.ipc.new_stream(held, texts) as stream:
            for rows in answer:
                given = zip(columns, zip(*rows, strict=True), strict=True)
                arrays = [column.spell(values) for column, values in given]
                stream.write_batch(pa.record_batch(arrays, schema=texts))
        held.seek(0)
        schema = pa.schema([(name, c.type) for name, c in zip(names, columns, strict=True)])
        with pa.ipc.open_stream(held) as spelt:
            typed = [pa.Table.from_batches([batch]).cast(schema) for batch in spelt]
    table = pa.concat_tables([schema.empty_table(), *typed])
    _write_sorted(table, into)
    return int(table.num_rows)


def _write_sorted(table: Any, into: Path) -> None:
    """Write rows sorted by all columns, so that only their values decide about the file's bytes."""
    import polars as pl

    # Zeros that are equal and not the same are told apart by their texts.
    frame = pl.DataFrame(table).sort(pl.all(), pl.selectors.float().cast(pl.String)).rechunk()
    with pq.ParquetWriter(into, table.schema) as writer:
        for part in frame.iter_slices(ROW_GROUP):
            writer.write_table(part.to_arrow().cast(table.schema))


@dataclass
class _Column:
    """Spells values, and knows of all of them what decides the type."""

    kinds: set[str] = field(default_factory=set)
    #: Digits before the point and behind it.
    whole: int = 0
    scale: int = 0
    #: Whether each integer is a float as well.
    exact: bool = True

    def spell(self, values: Sequence[Any]) -> Any:
        """Make texts of a block's values."""
        return pa.array(
            [None if value is None else self._spell(value) for value in values], "string"
        )

    def _spell(self, value: Any) -> str:
        kind, text = _spelt(value)
        self.kinds.add(kind)
        if kind == "integer":
            self.whole = max(self.whole, len(text.lstrip("-")))
            self.exact = self.exact and float(value) == value
        elif kind == "decimal":
            self.whole = max(self.whole, value.adjusted() + 1 if value else 0)
            self.scale = max(self.scale, -value.as_tuple().exponent)
        return text

    @property
    def type(self) -> Any:
        """The type that holds every value to the last digit."""
        digits = max(self.whole + self.scale, 1)
        if "decimal" in self.kinds and self.kinds <= {"decimal", "integer"}:
            return pa.decimal128(digits, self.scale) if digits <= DECIMAL_DIGITS else pa.string()
        if self.kinds == {"float", "integer"}:
            return pa.float64() if self.exact else pa.string()
        return TYPES.get("".join(self.kinds), pa.string())


def _spelt(value: Any) -> tuple[str, str]:
    """Name a value's kind, and spell it so that nothing is lost."""
    kind, spell = next(KINDS[base] for base in type(value).__mro__ if base in KINDS)
    if kind == "timestamp" and value.tzinfo is not None:
        try:
            return "instant", str(value.astimezone(UTC))
        except OverflowError:
            kind = "text"
    elif (kind == "integer" and value not in INT64) or (
        kind == "decimal" and not value.is_finite()
    ):
        kind = "text"
    return kind, spell(value)


def _duration(value: timedelta) -> str:
    """Spell a length of time as ISO 8601 does, in days and seconds: -P1DT2.500000S."""
    length = abs(value)
    fraction = f".{length.microseconds:06}" if length.microseconds else ""
    return f"{'-' if value < timedelta() else ''}P{length.days}DT{length.seconds}{fraction}S"


def _json(value: Any) -> str:
    """Spell a document: keys in order, no space, numbers with all their digits."""
    if isinstance(value, dict):
        pairs = sorted((_json(str(key)), _json(part)) for key, part in value.items())
        return "{" + ",".join(f"{key}:{part}" for key, part in pairs) + "}"
    if isinstance(value, list | tuple):
        return "[" + ",".join(map(_json, value)) + "]"
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    kind, text = _spelt(value)
    if kind in ("integer", "decimal") or (kind == "float" and math.isfinite(value)):
        return text
    # Half a character can only be written as an escape.
    return json.dumps(text, ensure_ascii=False).encode("utf-8", "backslashreplace").decode()


def _read_json(document: str | bytes) -> str:
    """Spell a document of the database's anew, so that the text "1" and the number 1 differ."""
    return _json(json.loads(document, parse_float=Decimal, parse_int=Decimal))


def _hex(value: bytes | bytearray | memoryview) -> str:
    return bytes(value).hex()


#: By type what a value is, and how it is spelt; a type that is not here is as what it is made from.
KINDS: Final[Mapping[type, tuple[str, Callable[[Any], str]]]] = {
    str: ("text", str),
    bool: ("boolean", str),
    int: ("integer", str),
    float: ("float", str),
    Decimal: ("decimal", str),
    datetime: ("timestamp", str),
    date: ("date", str),
    time: ("text", time.isoformat),
    timedelta: ("text", _duration),
    **dict.fromkeys((bytes, bytearray, memoryview), ("text", _hex)),
    **dict.fromkeys((dict, list, tuple), ("text", _json)),
    object: ("text", str),
}
