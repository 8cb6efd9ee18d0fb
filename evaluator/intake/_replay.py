"""Rows from quarantine, mended or under new rules, join the rows that were accepted before."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from datetime import date
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from evaluator.errors import IntakeError
from evaluator.intake._drift import Content
from evaluator.intake._ingest import FinishedRead, IntakeResult, finish
from evaluator.intake._profile import Layout, Profile, part_of
from evaluator.intake._readers import _records as rec
from evaluator.intake._readers._delimited import match_columns, wrong_width
from evaluator.intake._readers._excel import read_quarantined
from evaluator.intake._readers._jsonl import JsonLinesReader
from evaluator.intake._readers._layout import dialect_of
from evaluator.intake._readers._records import scan, split_record
from evaluator.intake._readers._stream import RULES, Transcoder, is_utf8
from evaluator.intake._validator import RowValidator
from evaluator.intake._violations import Batch, FileMetadata, RowTexts, batch_of_rows
from evaluator.intake._writer import RowWriter, description_of, typed_schema
from evaluator.spec import DataSpec

ROWS_A_BATCH: Final = 64 * 1024


def replay(
    typed: Path,
    quarantine: Path,
    data: DataSpec,
    *,
    into: Path,
    name: str,
    day: date | None = None,
    mended: Mapping[int, str] | None = None,
    slices: Sequence[str] = (),
    reference: Content | Sequence[Path] | None = None,
    last_accepted: Profile | None = None,
    audit: str | None = None,
    notes: Sequence[str] = (),
) -> IntakeResult:
    """Judge quarantined rows again; the accepted ones join the day's typed rows.

    Parameters
    ----------
    typed, quarantine
        The day's files; they are read and stay as they are.
    data
        The rules, perhaps others than before. Rows that were accepted are not judged again.
    into
        The folder for the day's next files; not the one of the present ones.
    name, day
        The file's.
    mended
        New texts by line number; rows that are not among them are judged as they were.
    slices, reference, last_accepted, audit, notes
        As for `ingest`.

    Returns
    -------
    IntakeResult
        Of the whole day: rows = typed before + quarantined before.

    Raises
    ------
    IntakeError
        When a mended line is not in quarantine, the columns of the rows no longer fit what is
        declared, or the typed rows were written under other types.
    """
    if into.resolve() in (typed.resolve().parent, quarantine.resolve().parent):
        raise IntakeError(
            "the present files lie there, and they stay", culprit=str(into), fix="name another"
        )
    description = description_of(quarantine)
    mended, judged = mended or {}, set[int]()
    validator = RowValidator(data, day)
    readers = _readers_of(description, data)
    with closing(RowWriter(into, data)) as writer:
        before = _keep(typed, validator, writer)
        writer.describe(description)
        with pq.ParquetFile(quarantine) as file:

            def batches() -> Iterator[Batch]:
                for part in file.iter_batches(batch_size=ROWS_A_BATCH):
                    rows = part.to_pylist()
                    judged.update(row["line_number"] for row in rows)
                    of_a_file = partial(_file_of, description)
                    for index, together in groupby(rows, of_a_file):
                        yield readers[index].batch(list(together), mended)

            if data.repeats == "refuse_all":
                validator.learn_repeats(batches())
            for batch in batches():
                validated = validator.validate(batch)
                writer.write(validated.typed, validated.refused)
    if not mended.keys() <= judged:
        raise IntakeError(
            f"line {min(mended.keys() - judged):,} is not in quarantine",
            culprit=name,
            fix="feed back only lines that are",
        )
    joined = validator.typed - before
    note = (
        f"{joined + validator.refused:,} rows in quarantine were judged again: {joined:,} joined "
        f"the typed rows, {validator.refused:,} stay"
    )
    return finish(
        FinishedRead(
            name, day, validator, replace(description, notes=[note]), audit=audit, notes=notes
        ),
        into=into,
        slices=slices,
        reference=reference,
        last_accepted=last_accepted,
    )


def _keep(typed: Path, validator: RowValidator, writer: RowWriter) -> int:
    """Copy the accepted rows, and let them hold their unique values."""
    import polars as pl

    schema = typed_schema(validator.data)
    with pq.ParquetFile(typed) as file:
        if not file.schema_arrow.equals(schema, check_metadata=False):
            raise IntakeError(
                "the accepted rows were typed under other columns or types",
                culprit=str(typed),
                fix="take the day's file in again",
            )
        for part in file.iter_batches(batch_size=ROWS_A_BATCH):
            frame = pl.DataFrame(pa.Table.from_batches([part]))
            validator.keep(frame)
            writer.write(frame, pl.DataFrame())
    return validator.typed


class _QuarantineReader:
    """Reads quarantined rows of one file again."""

    def __init__(self, layout: Layout, header: Sequence[str], data: DataSpec) -> None:
        self._columns = data.file_columns
        self._read = _row_reader(layout, header, data)
        self._plain = frozenset(layout.plain)
        # What a workbook's cells hold is no text that could be read again.
        self._is_text = layout.format != "excel"
        self._transcoder = Transcoder(layout.encoding or "utf-8", 0)

    def batch(self, rows: Sequence[Mapping[str, Any]], mended: Mapping[int, str]) -> Batch:
        """Gather rows, mended ones as mended."""
        raw = {row["line_number"]: row["raw"] for row in rows}
        if self._is_text:
            # Its text is the row now, and what the file held is in the day's file.
            raw = {line: held for line, held in raw.items() if line not in mended}
        texts = [(row["line_number"], self._text(row, mended)) for row in rows]
        return batch_of_rows(
            ((line, text, _broken(text) or self._read(text)) for line, text in texts),
            self._columns,
            self._plain,
            raw,
        )

    def _text(self, row: Mapping[str, Any], mended: Mapping[int, str]) -> bytes:
        if row["line_number"] in mended:
            return mended[row["line_number"]].encode()
        if row["raw"] is None or not self._is_text:
            return str(row["text"]).encode()
        return self._transcoder.read(row["raw"])


def _readers_of(description: FileMetadata, data: DataSpec) -> list[_QuarantineReader]:
    """Return what reads the rows of each file."""
    files: list[tuple[Layout, Sequence[str]]] = [
        (part.layout, part.header) for part in description.parts
    ] or [(description.layout, description.header)]
    return [_QuarantineReader(layout, header, data) for layout, header in files]


def _file_of(description: FileMetadata, row: Mapping[str, Any]) -> int:
    return part_of(row["line_number"], description.parts) if description.parts else 0


def _row_reader(
    layout: Layout, header: Sequence[str], data: DataSpec
) -> Callable[[bytes], RowTexts]:
    """Return what reads single rows of a file whose layout and header are known."""
    if layout.delimiter is None:
        read_object = JsonLinesReader(Path(), data).read
        return partial(read_quarantined, read_object) if layout.format == "excel" else read_object
    width, positions = len(header), match_columns(list(header), data)
    dialect = dialect_of(layout)

    def read(text: bytes) -> RowTexts:
        records = scan(text, dialect, first_line=1, final=True)
        code = int(records.fault.max())
        if code != rec.WHOLE:
            return {}, *RULES[code]
        if len(records) > 1:
            return {}, "several_rows", f"the text is {len(records)} rows, not one"
        fields = [part.decode() for part in split_record(text, dialect) or ()]
        if len(fields) != width:
            return {}, *wrong_width(len(fields), width)
        return {name: fields[position] for name, position in positions.items()}, "", ""

    return read


def _broken(text: bytes) -> RowTexts | None:
    """Name what no format allows in a row."""
    if not text:
        return {}, *RULES[rec.BLANK]
    if b"\0" in text:
        return {}, *RULES[rec.NUL_BYTE]
    return None if is_utf8(text) else ({}, *RULES[rec.NOT_OF_ENCODING])
