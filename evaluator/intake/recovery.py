"""Records of a block in which some quote is not where it may be.

A stray quote must cost one row and not the rest of the file. So each record is tried by itself:
one whose quotes never close, or close in the middle of a field, is refused as its first physical
line alone, and reading goes on with the next line.
"""

import re
from functools import lru_cache

import numpy as np

from evaluator.intake.records import (
    BLANK,
    NEWLINE,
    RETURN,
    STRAY_QUOTE,
    UNCLOSED_QUOTE,
    WHOLE,
    Dialect,
    Positions,
    Records,
)


@lru_cache(maxsize=16)
def _patterns(dialect: Dialect) -> tuple[re.Pattern[bytes], ...]:
    """Give a whole record, one left open, and the rest of an open one, to its end or open again."""
    quote = re.escape(dialect.quote or b"")
    delimiter = re.escape(dialect.delimiter)
    inner = b"(?:[^" + quote + b"]|" + quote * 2 + b")*+"
    field = b"(?:" + quote + inner + quote + b"|[^" + delimiter + quote + b"]*+)"
    ends_well = b"(?:" + delimiter + field + b")*+"
    whole = field + ends_well
    opened = b"(?:" + field + delimiter + b")*+" + quote + inner
    closes = inner + quote + ends_well
    reopened = inner + quote + delimiter + opened
    return tuple(re.compile(part, re.DOTALL) for part in (whole, opened, closes, reopened))


class _Scan:
    """The state of one pass over a block."""

    def __init__(
        self,
        data: bytes,
        ends: Positions,
        dialect: Dialect,
        *,
        final: bool,
        limit: int | None,
    ) -> None:
        self.data = data
        self.dialect = dialect
        stops = ends.tolist()
        self.starts = [0, *(stop + 1 for stop in stops)]
        self.stops = [
            stop - 1
            if data[stop] == NEWLINE and stop > begin and data[stop - 1] == RETURN
            else stop
            for begin, stop in zip(self.starts, stops, strict=False)
        ]
        if final and self.starts[-1] < len(data):
            self.stops.append(len(data))
        self.count = len(self.stops)
        self.final = final
        self.limit = len(data) if limit is None else limit

    def line(self, index: int) -> bytes:
        return self.data[self.starts[index] : self.stops[index]]

    def record(self, index: int) -> tuple[int, int] | None:
        """Find where a record that starts on a line ends.

        Returns
        -------
        (last line, fault), or None when the block ends before the record does.
        """
        quote = self.dialect.quote or b""
        whole, opened, closes, reopened = _patterns(self.dialect)
        first = self.line(index)
        if quote not in first or whole.fullmatch(first):
            return index, WHOLE if first else BLANK
        if not opened.fullmatch(first):
            return index, STRAY_QUOTE
        return self.joined(index, closes, reopened)

    def joined(
        self, index: int, closes: re.Pattern[bytes], reopened: re.Pattern[bytes]
    ) -> tuple[int, int] | None:
        """Find the line on which a record closes that is open at its first line's end."""
        quote = self.dialect.quote or b""
        for later in range(index + 1, self.count):
            if self.stops[later] - self.starts[index] > self.limit:
                return index, UNCLOSED_QUOTE
            text = self.line(later)
            if quote not in text:
                continue
            if closes.fullmatch(text):
                return later, WHOLE
            if not reopened.fullmatch(text) and not _stays_open(text, quote):
                return index, UNCLOSED_QUOTE
        if self.final or len(self.data) - self.starts[index] > self.limit:
            return index, UNCLOSED_QUOTE
        return None


def _stays_open(text: bytes, quote: bytes) -> bool:
    """Whether all quotes in a line inside quotes are doubled ones."""
    return quote not in text.replace(quote * 2, b"")


def scan_with_recovery(
    data: bytes,
    ends: Positions,
    dialect: Dialect,
    *,
    first_line: int,
    final: bool,
    limit: int | None,
) -> Records:
    """Find the records of a block, one at a time.

    Parameters
    ----------
    data, dialect, first_line, final, limit
        As in `evaluator.intake.records.scan`.
    ends
        The last byte of every line end in the block.

    Returns
    -------
    Records
        All records that end in the block.
    """
    state = _Scan(data, ends, dialect, final=final, limit=limit)
    rows: list[tuple[int, int, int, int, int]] = []
    index = 0
    while index < state.count:
        found = state.record(index)
        if found is None:
            break
        last, fault = found
        begin, stop = state.starts[index], state.stops[last]
        rows.append((begin, stop, first_line + index, _fields(data[begin:stop], dialect), fault))
        index = last + 1
    table = np.array(rows, dtype=np.int64).reshape(-1, 5)
    consumed = state.starts[index] if index < len(state.starts) else len(data)
    inner = ends[: np.searchsorted(ends, consumed)]
    taken = data[:consumed]
    both = taken.count(b"\r\n")
    newlines = taken.count(b"\n")
    kinds = {"\\n": newlines - both, "\\r\\n": both, "\\r": len(inner) - newlines}
    return Records(
        data=data,
        start=table[:, 0],
        end=table[:, 1],
        line=table[:, 2],
        fields=table[:, 3],
        fault=table[:, 4].astype(np.uint8),
        consumed=consumed,
        lines=index,
        line_ends=kinds,
        lone_returns=kinds["\\r"] > 0,
    )


def _fields(record: bytes, dialect: Dialect) -> int:
    """Count the fields of a record; delimiters inside quotes do not count."""
    delimiter, quote = dialect.delimiter, dialect.quote or b""
    if quote not in record:
        return record.count(delimiter) + 1
    outside = record.split(quote)[0::2]
    return sum(part.count(delimiter) for part in outside) + 1
