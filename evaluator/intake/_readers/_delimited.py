"""The reader of CSV and TSV."""

import codecs
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from evaluator.intake._profile import MAX_EXAMPLES
from evaluator.intake._readers import _records as rec
from evaluator.intake._readers._layout import find_layout, visible
from evaluator.intake._readers._records import Records, beginning_with, split_record
from evaluator.intake._readers._stream import (
    BLOCK_BYTES,
    RULES,
    BlankLines,
    RecordStream,
    RefusedFileError,
    describe_structure,
    mark_bytes,
    refuse_cut_off,
)
from evaluator.intake._violations import Batch, FileMetadata, Reject
from evaluator.spec import DataSpec, FileFormat

if TYPE_CHECKING:
    import polars as pl


class DelimitedReader:
    """Reads a delimited text file in batches, in bounded memory."""

    def __init__(
        self, path: Path, data: DataSpec, *, format_: FileFormat = "csv", block: int = BLOCK_BYTES
    ) -> None:
        self.data = data
        self.metadata = FileMetadata()
        self.columns: dict[str, int] | None = None
        self._stream = RecordStream(
            path,
            data,
            lambda sample, encoding, mark: find_layout(sample, encoding, mark, data, format_),
            block=block,
        )
        self._blanks = BlankLines()
        self._header: list[list[str]] = []
        self._header_texts: set[bytes] = set()
        self._has_rows = self._is_other_table = False
        self._not_rows = [re.compile(pattern.encode(), re.DOTALL) for pattern in data.not_rows]

    def batches(self) -> Iterator[Batch]:
        last = None
        for records in self._stream.records():
            self.metadata.layout = self._stream.layout
            first = 0
            if self.columns is None:
                first = self._begin(records)
            if self.columns is not None and first < len(records):
                last = self._batch(records, first, self.columns)
                yield last
        if self.columns is None:
            raise RefusedFileError("the file is empty")
        describe_structure(self.metadata, self._stream, self._blanks)
        refuse_cut_off(last, self._stream, self.data)

    def _begin(self, records: Records) -> int:
        """Take the header; return the index of the first record after it."""
        for index in range(len(records)):
            if records.fault[index] == rec.BLANK:
                self._blanks.count += 1
                continue
            if records.fault[index] == rec.LEFT_OUT:
                self._leave_out(records.line[index : index + 1])
                continue
            if not self.metadata.layout.header:
                names = list(self.data.file_columns)
                self.metadata.header = names
                self.columns = match_columns(names, self.data)
                self.metadata.notes.append(
                    "the file has no header; its fields are taken in the declared order"
                )
                return index
            self._header.append(self._header_fields(records, index))
            self._header_texts.add(records.text(index).removeprefix(codecs.BOM_UTF8))
            if len(self._header) == self.data.header_lines:
                self._take_header()
                return index + 1
        return len(records)

    def _take_header(self) -> None:
        """Name the columns by what stands in the header's lines, one below the other."""
        held = join_header(self._header)
        names = [visible(name) for name in held]
        for position, (before, name) in enumerate(zip(held, names, strict=True), 1):
            if before.strip() != name:
                self.metadata.notes.append(
                    f"of the name of column {position}, {name!r}, characters that nobody sees are"
                    " left out"
                )
        self.metadata.header = names
        self.columns = match_columns(names, self.data)

    def _header_fields(self, records: Records, index: int) -> list[str]:
        text = records.text(index)
        whole = records.fault[index] == rec.WHOLE
        fields = split_record(text, self._stream.dialect) if whole else None
        if fields is None or b"\0" in text:
            raise RefusedFileError("the header cannot be read: a quote or a NUL byte is misplaced")
        check_column_count(len(fields), self.data)
        try:
            return [field.decode("utf-8") for field in fields]
        except UnicodeDecodeError:
            raise RefusedFileError(
                f"the header holds bytes that are not {self.metadata.layout.encoding}"
            ) from None

    def _leave_out(self, lines: npt.NDArray[np.int64]) -> None:
        """Count lines that are no rows."""
        structure = self.metadata.structure
        shown = (*structure.left_out_lines, *lines.tolist())[:MAX_EXAMPLES]
        self.metadata.structure = structure.model_copy(
            update={"left_out": structure.left_out + len(lines), "left_out_lines": shown}
        )

    def _mark_no_rows(self, records: Records, fault: npt.NDArray[np.uint8], first: int) -> None:
        """Mark lines that the audit declares to be no rows."""
        for pattern in self._not_rows:
            for index in range(first, len(records)):
                if pattern.fullmatch(records.text(index)):
                    fault[index] = rec.LEFT_OUT

    def _mark_headers(self, records: Records, fault: npt.NDArray[np.uint8], first: int) -> None:
        """Mark headers that come again, and what follows on names that stand there otherwise."""
        names = [name.encode() for name in self.metadata.header]
        dialect, quote = self._stream.dialect, self._stream.dialect.quote or b""
        starts = {mark + names[0] + mark + dialect.delimiter for mark in (b"", quote)}
        again = {mark + text for text in self._header_texts for mark in (b"", codecs.BOM_UTF8)}
        begins: dict[int, bool] = {}
        for index in beginning_with(records, *starts, *again):
            text = records.text(index)
            if text in again and fault[index] != rec.LEFT_OUT:
                fault[index] = rec.REPEATED_HEADER
                begins[index] = False
                continue
            fields = split_record(text, dialect) or [b""]
            if (
                len(names) == 1
                or index < first
                or any(a.strip() != b for a, b in zip(fields, names, strict=False))
            ):
                continue
            if self._has_rows or rec.WHOLE in fault[first:index]:
                begins[index] = True
            else:
                fault[index] = rec.REPEATED_HEADER
        at = first
        for index in [*sorted(begins), len(records)]:
            if self._is_other_table:
                rows = fault[at:index]
                rows[rows == rec.WHOLE] = rec.OTHER_TABLE
            self._is_other_table = begins.get(index, self._is_other_table)
            at = index
        self._has_rows |= rec.WHOLE in fault[first:]

    def _batch(self, records: Records, first: int, columns: dict[str, int]) -> Batch:
        width = len(self.metadata.header)
        fault = records.fault.copy()
        mark_bytes(records, fault)
        whole = fault == rec.WHOLE
        fault[whole & (records.fields < width)] = rec.TOO_FEW
        fault[whole & (records.fields > width)] = rec.TOO_MANY
        self._mark_no_rows(records, fault, first)
        self._mark_headers(records, fault, first)
        fault[:first] = rec.WHOLE
        self._leave_out(records.line[fault == rec.LEFT_OUT])
        rejects = self._blanks.rejects(records, fault)
        rejects += self._rejects(records, fault, width)
        rejects.sort(key=lambda reject: reject.line)
        good = fault == rec.WHOLE
        good[:first] = False
        rows = np.flatnonzero(good)
        text = _good_bytes(records, good, first)
        frame = self._frame(text, records, rows, columns)

        def originals(indices: npt.NDArray[np.int64]) -> list[bytes]:
            return [records.text(int(row)) for row in rows[indices]]

        def raw(indices: npt.NDArray[np.int64]) -> list[bytes | None]:
            transcoder = self._stream.transcoder
            if transcoder.is_utf8:
                return [None] * len(indices)
            return list(map(transcoder.original, originals(indices)))

        return Batch(frame, records.line[rows], originals, rejects, raw=raw)

    def _rejects(self, records: Records, fault: npt.NDArray[np.uint8], width: int) -> list[Reject]:
        """Turn faulty records into rejects."""
        rejects = []
        for index in np.flatnonzero((fault > rec.BLANK) & (fault != rec.LEFT_OUT)).tolist():
            code, line = int(fault[index]), int(records.line[index])
            rule, message = RULES.get(code, ("", ""))
            if code in (rec.TOO_FEW, rec.TOO_MANY):
                rule, message = wrong_width(int(records.fields[index]), width)
            text = records.text(index)
            rejects.append(
                Reject(line, text, rule, message, self._stream.transcoder.original(text))
            )
        return rejects

    def _frame(
        self, text: bytes, records: Records, rows: npt.NDArray[np.int64], columns: dict[str, int]
    ) -> "pl.DataFrame":
        """Let the engine split records that are known to be whole."""
        import polars as pl

        schema = dict.fromkeys(columns, pl.String)
        if len(rows) == 0 or not columns:
            return pl.DataFrame(schema=schema, height=None if columns else len(rows))
        dialect = self._stream.dialect
        frame = None
        if (
            dialect.is_plain
            and not text.startswith(codecs.BOM_UTF8)
            and len(self.metadata.header) > 1
        ):
            frame = pl.read_csv(
                text,
                has_header=False,
                separator=dialect.delimiter.decode(),
                quote_char=dialect.quote.decode() if dialect.quote else None,
                infer_schema=False,
                columns=sorted(columns.values()),
                empty_string_is_null=False,
                raise_if_empty=False,
            )
        if frame is None or frame.height != len(rows):
            return self._frame_by_hand(records, rows, columns)
        frame.columns = sorted(columns, key=columns.__getitem__)
        return frame.select(list(columns))

    def _frame_by_hand(
        self, records: Records, rows: npt.NDArray[np.int64], columns: dict[str, int]
    ) -> "pl.DataFrame":
        """Split records one by one, where the engine could take a byte for something else."""
        import polars as pl

        fields = []
        for row in rows.tolist():
            split = split_record(records.text(row), self._stream.dialect)
            assert split is not None  # noqa: S101 - the scan has found the record whole
            fields.append([part.decode("utf-8") for part in split])
        return pl.DataFrame(
            {
                name: pl.Series(name, [row[position] for row in fields], dtype=pl.String)
                for name, position in columns.items()
            }
        )


def join_header(lines: Sequence[Sequence[str]]) -> list[str]:
    """Join a header's lines; upper ones also name the columns to the right that they leave free."""
    width = max(map(len, lines))
    filled = [[*fields, *[""] * (width - len(fields))] for fields in lines]
    for fields in filled[:-1]:
        for position in range(1, width):
            fields[position] = fields[position] or fields[position - 1]
    return [" ".join(filter(None, parts)) for parts in zip(*filled, strict=True)]


def wrong_width(count: int, width: int) -> tuple[str, str]:
    """Name the rule that a row of `count` fields breaks, and say it."""
    rule = "too_few_fields" if count < width else "too_many_fields"
    return rule, f"the row has {count} fields and the header {width}"


def _good_bytes(records: Records, good: npt.NDArray[np.bool_], first: int) -> bytes:
    """Join the good records; whole runs of them are taken as they stand."""
    if not good.any():
        return b""
    if records.lone_returns:
        return b"\n".join(records.text(row) for row in np.flatnonzero(good).tolist()) + b"\n"
    if good[first:].all():
        return records.data[int(records.start[first]) : records.consumed]
    edges = np.flatnonzero(np.diff(good.astype(np.int8), prepend=0, append=0))
    parts = []
    for begin, stop in zip(edges[0::2].tolist(), edges[1::2].tolist(), strict=True):
        last = int(records.start[stop]) if stop < len(records) else records.consumed
        part = records.data[int(records.start[begin]) : last]
        parts.append(part if part.endswith(b"\n") else part + b"\n")
    return b"".join(parts)


class BrokenSchemaError(RefusedFileError):
    """The file's columns are not the declared ones."""

    def __init__(self, message: str, names: list[str]) -> None:
        super().__init__(message)
        self.names = names


def check_column_count(count: int, data: DataSpec) -> None:
    """Refuse a file of more columns than are allowed."""
    if count > data.maximum_columns:
        raise RefusedFileError(
            f"the file has {count:,} columns, more than {data.maximum_columns:,} (maximum_columns)"
        )


def match_columns(names: list[str], data: DataSpec) -> dict[str, int]:
    """Find where each declared column stands in a file's header."""
    declared = data.file_columns
    counts = Counter(names)
    double = [name for name in declared if counts[name] > 1]
    if double:
        raise BrokenSchemaError(
            f"the column {double[0]!r} stands {counts[double[0]]} times in the header", names
        )
    missing = [name for name in declared if name not in counts and not data.columns[name].optional]
    if missing:
        listed = ", ".join(repr(name) for name in missing)
        raise BrokenSchemaError(f"declared columns are not in the file: {listed}", names)
    known = {*declared, *data.ignore_columns}
    undeclared = dict.fromkeys(name for name in names if name not in known)
    if undeclared and data.undeclared_columns == "refuse":
        listed = ", ".join(repr(name) for name in undeclared)
        raise BrokenSchemaError(f"the file has columns that are not declared: {listed}", names)
    found = [name for name in names if name in declared]
    if data.columns_in_order and found != [name for name in declared if name in counts]:
        raise BrokenSchemaError(
            "the columns stand in another order than the declared ones:"
            f" {', '.join(found)} (columns_in_order)",
            names,
        )
    return {name: names.index(name) for name in declared if name in counts}
