"""Rows from quarantine, mended or under new rules, join the rows that were accepted before."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from evaluator.errors import IntakeError
from evaluator.intake._drift import Content
from evaluator.intake._ingest import FinishedRead, IntakeResult, finish
from evaluator.intake._profile import Profile
from evaluator.intake._readers import _records as rec
from evaluator.intake._readers._delimited import match_columns, wrong_width
from evaluator.intake._readers._jsonl import JsonLinesReader
from evaluator.intake._readers._records import Dialect, scan, split_record
from evaluator.intake._readers._stream import RULES, is_utf8
from evaluator.intake._validator import RowValidator
from evaluator.intake._violations import Batch, FileMetadata, Reject
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
    slices, reference, last_accepted
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
    mended = dict(mended or {})
    validator = RowValidator(data)
    parser = _row_parser(description, data)
    with RowWriter(into, data) as writer:
        before = _keep(typed, validator, writer, data)
        writer.describe(description)
        with pq.ParquetFile(quarantine) as file:
            for part in file.iter_batches(batch_size=ROWS_A_BATCH):
                validated = validator.validate(parser.batch(part, mended))
                writer.write(validated.typed, validated.refused)
    if mended:
        raise IntakeError(
            f"line {min(mended):,} is not in quarantine",
            culprit=name,
            fix="feed back only lines that are",
        )
    joined = validator.typed - before
    note = (
        f"{joined + validator.refused:,} rows in quarantine were judged again: {joined:,} joined "
        f"the typed rows, {validator.refused:,} stay"
    )
    return finish(
        FinishedRead(name, day, validator, replace(description, notes=[note])),
        data,
        into=into,
        slices=slices,
        reference=reference,
        last_accepted=last_accepted,
    )


def _keep(typed: Path, validator: RowValidator, writer: RowWriter, data: DataSpec) -> int:
    """Copy the accepted rows, and let them hold their unique values."""
    import polars as pl

    schema = typed_schema(data)
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


class _RowParser:
    """Reads single rows of a file whose layout and header are known."""

    def __init__(self, data: DataSpec, plain: frozenset[str] = frozenset()) -> None:
        self.data = data
        self.plain = plain

    def read(self, text: bytes) -> tuple[Mapping[str, str | None], str, str]:
        """Give a row's texts, or else the rule that it breaks and a message."""
        raise NotImplementedError

    def batch(self, part: Any, mended: dict[int, str]) -> Batch:
        """Read quarantined rows; mended ones are taken out of `mended`."""
        import polars as pl

        names = self.data.file_columns
        values: dict[str, list[str | None]] = {name: [] for name in names}
        lines: list[int] = []
        texts: list[bytes] = []
        rejects: list[Reject] = []
        for row in part.to_pylist():
            line = row["line_number"]
            original = row["raw"] if row["raw"] is not None else row["text"].encode()
            if line in mended:
                original = mended.pop(line).encode()
            found, rule, message = self.read(original)
            if rule:
                rejects.append(Reject(line, original, rule, message))
                continue
            lines.append(line)
            texts.append(original)
            for name in names:
                values[name].append(found.get(name))

        def originals(indices: npt.NDArray[np.int64]) -> list[bytes]:
            return [texts[index] for index in indices.tolist()]

        return Batch(
            frame=pl.DataFrame(values, schema=dict.fromkeys(names, pl.String)),
            line=np.array(lines, dtype=np.int64),
            originals=originals,
            rejects=rejects,
            plain=self.plain,
        )


class _DelimitedRows(_RowParser):
    def __init__(self, data: DataSpec, header: list[str], dialect: Dialect) -> None:
        super().__init__(data)
        self.width = len(header)
        self.positions = match_columns(header, data)
        self.dialect = dialect

    def read(self, text: bytes) -> tuple[Mapping[str, str | None], str, str]:
        broken = _broken(text)
        if broken:
            return {}, *broken
        records = scan(text, self.dialect, first_line=1, final=True)
        code = int(records.fault.max())
        if code != rec.WHOLE:
            return {}, *RULES[code]
        if len(records) > 1:
            return {}, "several_rows", f"the text is {len(records)} rows, not one"
        fields = [part.decode() for part in split_record(text, self.dialect) or ()]
        if len(fields) != self.width:
            return {}, *wrong_width(len(fields), self.width)
        return {name: fields[position] for name, position in self.positions.items()}, "", ""


class _JsonRows(_RowParser):
    def __init__(self, data: DataSpec, plain: frozenset[str]) -> None:
        super().__init__(data, plain)
        self.reader = JsonLinesReader(Path(), data)

    def read(self, text: bytes) -> tuple[Mapping[str, str | None], str, str]:
        broken = _broken(text)
        return ({}, *broken) if broken else self.reader.read(text)


def _broken(text: bytes) -> tuple[str, str] | None:
    """Name what no format allows in a row."""
    if not text:
        return RULES[rec.BLANK]
    if b"\0" in text:
        return RULES[rec.NUL_BYTE]
    return None if is_utf8(text) else RULES[rec.NOT_OF_ENCODING]


def _row_parser(description: FileMetadata, data: DataSpec) -> _RowParser:
    layout = description.layout
    if layout.delimiter is not None:
        dialect = Dialect(layout.delimiter.encode(), (layout.quote or "").encode() or None)
        return _DelimitedRows(data, description.header, dialect)
    return _JsonRows(data, frozenset(layout.plain))
