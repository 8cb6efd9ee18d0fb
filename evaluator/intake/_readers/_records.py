"""From bytes to records: where each row starts and ends, and whether it is whole.

The scan knows nothing of types. It says of every record its place in the bytes, its physical line
and its fault, so that a refused row can be kept as it was and a good one can be read by any engine.
"""

import re
import sys
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np
import numpy.typing as npt

Positions = npt.NDArray[np.int64]

NEWLINE: Final = 10
RETURN: Final = 13
#: Bytes looked at in one go: few enough to stay in the processor's cache. Arrays as long as a block
#: would be new memory each time, which the system clears first at more than the scan's own cost.
WINDOW: Final = 512 * 1024

#: What can be wrong with a record, in the order of precedence.
WHOLE: Final = 0
BLANK: Final = 1
UNCLOSED_QUOTE: Final = 2
STRAY_QUOTE: Final = 3
NUL_BYTE: Final = 4
NOT_OF_ENCODING: Final = 5
TOO_FEW: Final = 6
TOO_MANY: Final = 7
REPEATED_HEADER: Final = 8
#: No row, as the audit declares.
LEFT_OUT: Final = 9
OTHER_TABLE: Final = 10

#: A quote that may also stand inside a word, as in `men's`.
APOSTROPHE: Final = b"'"


@dataclass(frozen=True)
class Dialect:
    """How fields and records are told apart."""

    delimiter: bytes
    #: None when nothing encloses fields.
    quote: bytes | None
    #: Takes its meaning from a delimiter or a quote behind it.
    escape: bytes | None = None
    #: Whether blanks before a field are no part of it.
    blanks: bool = False
    #: What begins a line that is no row.
    comment: bytes | None = None

    @property
    def is_plain(self) -> bool:
        """Whether bytes alone tell fields apart, so that a block can be scanned as a whole."""
        has_words = self.quote == APOSTROPHE
        return len(self.delimiter) == 1 and not (self.escape or self.blanks or has_words)


@dataclass
class Records:
    """The records of one block of bytes."""

    #: UTF-8 where it is text at all.
    data: bytes
    #: Where each record starts in `data`.
    start: Positions
    #: Where it ends; its line end is no part of it.
    end: Positions
    #: The physical line on which it starts, from 1.
    line: Positions
    fields: Positions
    #: `WHOLE`, or one of the codes above.
    fault: npt.NDArray[np.uint8]
    #: Bytes of these records with their line ends; the rest belongs to the next block.
    consumed: int
    lines: int
    line_ends: dict[str, int]

    @property
    def lone_returns(self) -> bool:
        """Whether a carriage return alone ends some line."""
        return self.line_ends["\\r"] > 0

    def __len__(self) -> int:
        return len(self.start)

    def text(self, index: int) -> bytes:
        """Return a record's bytes, without its line end."""
        return self.data[int(self.start[index]) : int(self.end[index])]


def scan(
    data: bytes, dialect: Dialect, *, first_line: int, final: bool, limit: int | None = None
) -> Records:
    """Find the records in a block that begins where a record begins."""
    records = _scan(data, dialect, first_line=first_line, final=final, limit=limit)
    if dialect.comment is not None and dialect.comment in data:
        records.fault[beginning_with(records, dialect.comment)] = LEFT_OUT
    return records


def beginning_with(records: Records, *texts: bytes) -> list[int]:
    """Find the records that begin with one of some texts, in order."""
    bytes_ = np.frombuffer(records.data, dtype=np.uint8)
    # A blank line at the very end begins behind the data.
    first = bytes_[np.minimum(records.start, len(bytes_) - 1)]
    found = set[int]()
    for text in texts:
        held = np.flatnonzero(first == text[0])
        for offset, byte in enumerate(text[1:], 1):
            at = np.minimum(records.start[held] + offset, len(bytes_) - 1)
            held = held[bytes_[at] == byte]
        found.update(held.tolist())
    return sorted(found)


def _scan(
    data: bytes, dialect: Dialect, *, first_line: int, final: bool, limit: int | None
) -> Records:
    bytes_ = np.frombuffer(data, dtype=np.uint8)
    ends = _line_ends(data, bytes_, final=final)
    if not dialect.is_plain or _has_quoted_comment(data, dialect):
        return _Recovery(data, ends, dialect, final=final, limit=limit).records(first_line)
    if dialect.quote is None or dialect.quote not in data:
        return _cut(data, ends, ends, None, dialect, first_line=first_line, final=final)
    inside = _inside_quotes(bytes_, dialect)
    if inside is not None and not (final and bool(inside[-1])):
        outside = ends[inside[ends] == 0]
        bounds = np.concatenate([[-1], outside, [len(data)]])
        if limit is None or int(np.diff(bounds).max()) <= limit:
            return _cut(data, ends, outside, inside, dialect, first_line=first_line, final=final)

    return _Recovery(data, ends, dialect, final=final, limit=limit).records(first_line)


def _has_quoted_comment(data: bytes, dialect: Dialect) -> bool:
    """Whether a quote may stand in a comment, where it opens nothing."""
    comment, quote = dialect.comment, dialect.quote
    if comment is None or quote is None or comment not in data:
        return False
    held = b"(?:^|[\r\n])" + re.escape(comment) + b"[^\r\n]*" + re.escape(quote)
    return re.search(held, data) is not None


def _line_ends(data: bytes, bytes_: npt.NDArray[np.uint8], *, final: bool) -> Positions:
    r"""Find the last byte of every line end: of `\n`, `\r\n`, and `\r` alone."""
    if b"\r" not in data:
        windows = range(0, len(bytes_), WINDOW)
        found = [np.flatnonzero(bytes_[at : at + WINDOW] == NEWLINE) + at for at in windows]
        return np.concatenate(found) if found else np.empty(0, dtype=np.int64)
    following = np.empty_like(bytes_)
    following[:-1] = bytes_[1:]
    # A return at the very end may be half of a pair whose newline is in the next block.
    following[-1] = 0 if final else NEWLINE
    return np.flatnonzero((bytes_ == NEWLINE) | ((bytes_ == RETURN) & (following != NEWLINE)))


def _inside_quotes(bytes_: npt.NDArray[np.uint8], dialect: Dialect) -> npt.NDArray[np.uint8] | None:
    """Say of each byte whether it is inside quotes; None when some quote is not where it may be.

    With RFC 4180 quoting a byte is inside when the quotes up to it are odd in number. That holds
    only where every opening quote follows a field's beginning and every closing one ends a field.
    """
    if dialect.quote is None:
        return None
    quote, delimiter = dialect.quote[0], dialect.delimiter[0]
    is_quote = bytes_ == quote
    positions = np.flatnonzero(is_quote)
    openings, closings = positions[0::2], positions[1::2]
    before = np.where(openings > 0, bytes_[openings - 1], NEWLINE)
    doubled = np.zeros(len(openings), dtype=bool)
    pairs = min(len(openings) - 1, len(closings))
    doubled[1 : pairs + 1] = openings[1 : pairs + 1] == closings[:pairs] + 1
    opens_well = (before == delimiter) | (before == NEWLINE) | (before == RETURN) | doubled
    last = len(bytes_) - 1
    after = np.where(closings < last, bytes_[np.minimum(closings + 1, last)], NEWLINE)
    closes_well = (after == delimiter) | (after == NEWLINE) | (after == RETURN) | (after == quote)
    if not (opens_well.all() and closes_well.all()):
        return None
    # A quote as the last byte may close or be half of a pair; records that end before it stand.
    return np.bitwise_and(np.cumsum(is_quote, dtype=np.uint8), np.uint8(1))


def _cut(
    data: bytes,
    ends: Positions,
    outside: Positions,
    inside: npt.NDArray[np.uint8] | None,
    dialect: Dialect,
    *,
    first_line: int,
    final: bool,
) -> Records:
    """Cut a block whose quotes are all in place at its outer line ends."""
    bytes_ = np.frombuffer(data, dtype=np.uint8)
    tail = int(outside[-1]) + 1 if len(outside) else 0
    open_tail = final and tail < len(data)
    consumed = len(data) if open_tail else tail
    fields = _count_fields(bytes_[:consumed], outside, inside, dialect)
    stops = outside
    if open_tail:
        # The last record ends one past the data.
        stops = np.append(outside, consumed)
    else:
        fields = fields[:-1]
    start = np.empty(len(stops), dtype=np.int64)
    if len(stops):
        start[0] = 0
        start[1:] = stops[:-1] + 1
    end = _without_returns(bytes_, start, stops, len(data))
    # Without quotes every line end ends a record.
    order = np.arange(len(start)) if inside is None else np.searchsorted(ends, start)
    inner = ends[: np.searchsorted(ends, consumed)]
    fault = np.where(end == start, BLANK, WHOLE).astype(np.uint8)
    return Records(
        data=data,
        start=start,
        end=end,
        line=first_line + order,
        fields=fields,
        fault=fault,
        consumed=consumed,
        lines=len(inner) + int(open_tail),
        line_ends=_kinds(bytes_, inner),
    )


def _count_fields(
    bytes_: npt.NDArray[np.uint8],
    outside: Positions,
    inside: npt.NDArray[np.uint8] | None,
    dialect: Dialect,
) -> Positions:
    """Count the fields of each record, and of what follows the last line end."""
    last_marks = [np.array([-1])]
    before = 0
    for at in range(0, len(bytes_), WINDOW):
        is_mark = bytes_[at : at + WINDOW] == dialect.delimiter[0]
        if inside is not None:
            is_mark &= inside[at : at + len(is_mark)] == 0
        first, stop = np.searchsorted(outside, [at, at + WINDOW])
        is_end = np.zeros(len(is_mark), dtype=bool)
        is_end[outside[first:stop] - at] = True
        marks = np.flatnonzero(is_mark | is_end)
        last_marks.append(np.flatnonzero(is_end[marks]) + before)
        before += len(marks)
    return np.diff(np.concatenate([*last_marks, [before]]))


def _without_returns(
    bytes_: npt.NDArray[np.uint8], start: Positions, stops: Positions, length: int
) -> Positions:
    r"""Leave the return of a `\r\n` out of its record."""
    if length == 0 or len(stops) == 0:
        return stops.astype(np.int64)
    is_newline = np.zeros(len(stops), dtype=bool)
    within = stops < length
    is_newline[within] = bytes_[stops[within]] == NEWLINE
    paired = is_newline & (stops > start) & (bytes_[np.maximum(stops - 1, 0)] == RETURN)
    found: Positions = (stops - paired).astype(np.int64)
    return found


def _kinds(bytes_: npt.NDArray[np.uint8], ends: Positions) -> dict[str, int]:
    """Count the line ends of each kind."""
    if len(ends) == 0:
        return {"\\n": 0, "\\r\\n": 0, "\\r": 0}
    newline = bytes_[ends] == NEWLINE
    paired = newline & (ends > 0) & (bytes_[np.maximum(ends - 1, 0)] == RETURN)
    both = int(paired.sum())
    newlines = int(newline.sum())
    return {"\\n": newlines - both, "\\r\\n": both, "\\r": len(ends) - newlines}


@dataclass(frozen=True)
class _Grammar:
    """Regular expressions of a dialect."""

    #: One field, quoted or plain, and the delimiter after it or the record's end.
    field: re.Pattern[bytes]
    #: A whole record.
    whole: re.Pattern[bytes]
    #: A record that a quote holds open at its line's end.
    opened: re.Pattern[bytes]
    #: A line inside quotes that stays there; one on which the record ends; one that opens another.
    inner: re.Pattern[bytes]
    closes: re.Pattern[bytes]
    reopened: re.Pattern[bytes]
    escaped: re.Pattern[bytes] | None


@lru_cache(maxsize=16)
def _grammar(dialect: Dialect) -> _Grammar:
    quote, delimiter = re.escape(dialect.quote or b""), re.escape(dialect.delimiter)
    escape = re.escape(dialect.escape or b"")
    # What is escaped may be the line's end, inside quotes.
    pair = b"|" + escape + rb"(?:.|\Z)" if escape else b""
    inside = b"" if dialect.quote == APOSTROPHE else quote
    if len(dialect.delimiter) == 1:
        plain = b"(?:[^" + delimiter + inside + escape + b"]" + pair + b")*+"
    else:
        other = b"[^" + inside + escape + b"]" if inside + escape else b"."
        plain = b"(?:(?!" + delimiter + b")" + other + pair + b")*+"
    if dialect.quote == APOSTROPHE:
        plain = b"(?!" + quote + b")" + plain
    inner = b"(?:[^" + quote + escape + b"]|" + quote * 2 + pair + b")*+" if quote else b""
    blanks = b" *+" if dialect.blanks else b""
    # Behind a quote a blank that separates fields is no blank to pass over.
    after = b"" if dialect.delimiter.startswith(b" ") else blanks
    quoted = quote + b"%b" + quote + after if quote else b"(?!)%b"
    bare = blanks + b"(?:" + quoted % inner + b"|" + plain + b")"
    ends_well = b"(?:" + delimiter + bare + b")*+"
    opened = b"(?:" + bare + delimiter + b")*+" + blanks + quote + inner
    closes = inner + quote + after
    captured = quoted % (b"(" + inner + b")") + b"|(" + plain + b")"

    special = filter(None, (delimiter, quote, escape, b"[\r\n]"))

    def compiled(pattern: bytes) -> re.Pattern[bytes]:
        if sys.version_info < (3, 11, 5):
            # There `*+` may match too much (CPython's issue 106052). No text can be read in two
            # ways by these patterns, so that `*` finds the same.
            pattern = pattern.replace(b"*+", b"*")
        return re.compile(pattern, re.DOTALL)

    return _Grammar(
        field=compiled(blanks + b"(?:" + captured + b")(" + delimiter + rb"|\Z)"),
        whole=compiled(bare + ends_well),
        opened=compiled(opened),
        inner=compiled(inner),
        closes=compiled(closes + ends_well),
        reopened=compiled(closes + delimiter + opened),
        # Before anything else it is a character as others are: `C:\\new` has one.
        escaped=compiled(escape + b"(" + b"|".join(special) + b")") if escape else None,
    )


def split_record(record: bytes, dialect: Dialect) -> list[bytes] | None:
    """Split one record into its fields; None where a quote stands where none may."""
    if dialect.is_plain and dialect.quote is None:
        return record.split(dialect.delimiter)
    grammar = _grammar(dialect)
    fields: list[bytes] = []
    position = 0
    while found := grammar.field.match(record, position):
        quoted, plain, mark = found.groups()
        if quoted is None:
            fields.append(_unescaped(plain, grammar.escaped))
        else:
            quote = dialect.quote or b""
            fields.append(_unescaped(quoted.replace(quote * 2, quote), grammar.escaped))
        if not mark:
            return fields
        position = found.end()
    return None


def _unescaped(field: bytes, escaped: re.Pattern[bytes] | None) -> bytes:
    return field if escaped is None else escaped.sub(rb"\1", field)


class _Recovery:
    """One pass over a block, record by record, that goes on after one that is not whole."""

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
        self.ends = ends
        self.dialect = dialect
        self.grammar = _grammar(dialect)
        self.quote = dialect.quote or b""
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

    def records(self, first_line: int) -> Records:
        """Find the records of the block, one at a time."""
        rows: list[tuple[int, int, int, int, int]] = []
        index = 0
        while index < self.count:
            found = self.record(index)
            if found is None:
                break
            last, fault = found
            begin, stop = self.starts[index], self.stops[last]
            fields = _fields(self.data[begin:stop], self.dialect)
            rows.append((begin, stop, first_line + index, fields, fault))
            index = last + 1
        table = np.array(rows, dtype=np.int64).reshape(-1, 5)
        consumed = self.starts[index] if index < len(self.starts) else len(self.data)
        inner = self.ends[: np.searchsorted(self.ends, consumed)]
        return Records(
            data=self.data,
            start=table[:, 0],
            end=table[:, 1],
            line=table[:, 2],
            fields=table[:, 3],
            fault=table[:, 4].astype(np.uint8),
            consumed=consumed,
            lines=index,
            line_ends=_kinds(np.frombuffer(self.data, dtype=np.uint8), inner),
        )

    def line(self, index: int) -> bytes:
        return self.data[self.starts[index] : self.stops[index]]

    def record(self, index: int) -> tuple[int, int] | None:
        """Find where a record that starts on a line ends."""
        first = self.line(index)
        if not first:
            return index, BLANK
        comment = self.dialect.comment
        if comment is not None and first.startswith(comment):
            return index, LEFT_OUT
        if not self.quote or self.quote not in first or self.grammar.whole.fullmatch(first):
            return index, WHOLE
        if not self.grammar.opened.fullmatch(first):
            return index, STRAY_QUOTE
        return self.joined(index)

    def joined(self, index: int) -> tuple[int, int] | None:
        """Find the line on which a record closes that is open at its first line's end."""
        for later in range(index + 1, self.count):
            if self.stops[later] - self.starts[index] > self.limit:
                return index, UNCLOSED_QUOTE
            text = self.line(later)
            if self.quote not in text:
                continue
            if self.grammar.closes.fullmatch(text):
                return later, WHOLE
            stays_open = self.grammar.reopened.fullmatch(text) or self.grammar.inner.fullmatch(text)
            if not stays_open:
                return index, UNCLOSED_QUOTE
        if self.final or len(self.data) - self.starts[index] > self.limit:
            return index, UNCLOSED_QUOTE
        return None


def _fields(record: bytes, dialect: Dialect) -> int:
    """Count the fields of a record; delimiters inside quotes do not count."""
    if not dialect.is_plain:
        fields = split_record(record, dialect)
        return record.count(dialect.delimiter) + 1 if fields is None else len(fields)
    delimiter, quote = dialect.delimiter, dialect.quote or b""
    if quote not in record:
        return record.count(delimiter) + 1
    outside = record.split(quote)[0::2]
    return sum(part.count(delimiter) for part in outside) + 1
