"""Which reader reads which file."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final, Protocol

from evaluator.intake._profile import MAX_EXAMPLES, FilePart, Structure
from evaluator.intake._readers._delimited import DelimitedReader
from evaluator.intake._readers._excel import ExcelReader
from evaluator.intake._readers._jsonl import JsonLinesReader
from evaluator.intake._readers._parquet import ParquetReader
from evaluator.intake._readers._stream import RefusedFileError, compression_of, decompressed_name
from evaluator.intake._readers._workbook import refuse_workbook
from evaluator.intake._violations import Batch, FileMetadata
from evaluator.spec import DataSpec, FileFormat

ENDINGS: Final[dict[str, FileFormat]] = {
    ".csv": "csv",
    ".txt": "csv",
    ".tsv": "tsv",
    ".tab": "tsv",
    ".parquet": "parquet",
    ".pq": "parquet",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".xlsx": "excel",
    ".xlsm": "excel",
    # Neither is read, and the reader of workbooks says what to do.
    ".xlsb": "excel",
    ".xls": "excel",
}


class Reader(Protocol):
    """What reads a file of some format."""

    metadata: FileMetadata

    def batches(self) -> Iterator[Batch]:
        """Give the file's rows, in order."""


class PartsReader:
    """Reads the files of one day one after the other, and counts lines through all of them."""

    def __init__(self, sources: Sequence[Path], data: DataSpec) -> None:
        self.sources = sources
        self.data = data
        self.metadata = FileMetadata()

    def batches(self) -> Iterator[Batch]:
        """Give the rows of all files, in order."""
        before, read = 0, list[FileMetadata]()
        for source in self.sources:
            last = before
            try:
                reader = open_reader(source, self.data, name=source.name)
                for batch in reader.batches():
                    batch.line = batch.line + before
                    batch.rejects = [replace(r, line=r.line + before) for r in batch.rejects]
                    lines = [*batch.line[-1:].tolist(), *(r.line for r in batch.rejects[-1:])]
                    last = max(last, *lines) if lines else last
                    yield batch
            except RefusedFileError as error:
                # Its class stays, and what it carries.
                error.args = (f"{source.name}: {error}",)
                raise
            note_packing(reader.metadata, source, source.name, self.data)
            read.append(reader.metadata)
            self._add(source.name, before + 1, read)
            # Behind the last row there may be lines that are none.
            before = max(last, before + sum(reader.metadata.structure.line_ends.values()))

    def _add(self, name: str, first_line: int, read: Sequence[FileMetadata]) -> None:
        """Describe all that was read by now, as one file."""
        last, whole = read[-1], self.metadata
        part = FilePart(
            file=name, first_line=first_line, layout=last.layout, header=tuple(last.header)
        )
        structures = [one.structure for one in read]
        line_ends = sum((Counter(one.line_ends) for one in structures), Counter[str]())
        left_out = [
            line + part.first_line - 1
            for part, one in zip([*whole.parts, part], structures, strict=True)
            for line in one.left_out_lines
        ]
        whole.parts = [*whole.parts, part]
        whole.layout, whole.header = read[0].layout, read[0].header
        whole.notes = list(_together(whole.parts, read))
        whole.is_encoding_guessed |= last.is_encoding_guessed
        whole.structure = Structure(
            line_ends=dict(line_ends),
            blank_lines=sum(one.blank_lines for one in structures),
            left_out=sum(one.left_out for one in structures),
            left_out_lines=tuple(left_out[:MAX_EXAMPLES]),
            ends_with_line_end=all(one.ends_with_line_end for one in structures),
        )


def _together(parts: Sequence[FilePart], read: Sequence[FileMetadata]) -> Iterator[str]:
    """Say once what is noted of several files, and of which."""
    for note in dict.fromkeys(note for one in read for note in one.notes):
        having = [part.file for part, one in zip(parts, read, strict=True) if note in one.notes]
        more = f" and {len(having) - MAX_EXAMPLES} more" if len(having) > MAX_EXAMPLES else ""
        named = f"{', '.join(having[:MAX_EXAMPLES])}{more}: "
        yield note if len(having) == len(parts) else named + note


def note_packing(metadata: FileMetadata, source: Path, name: str, data: DataSpec) -> None:
    """Note how a file is packed; a workbook is an archive by itself."""
    packing = None if format_of(name, data) == "excel" else compression_of(source)
    metadata.layout = metadata.layout.model_copy(update={"packing": packing})


def format_of(name: str, data: DataSpec) -> FileFormat:
    """Tell a file's format: as declared, or by its name's ending."""
    if data.format is not None:
        return data.format
    return ENDINGS.get(Path(decompressed_name(name)).suffix.lower(), "csv")


def open_reader(source: Path, data: DataSpec, *, name: str) -> Reader:
    """Choose the reader for a file."""
    format_ = format_of(name, data)
    if format_ == "excel":
        return ExcelReader(source, data)
    refuse_workbook(source)
    if format_ in ("csv", "tsv"):
        return DelimitedReader(source, data, format_=format_)
    if compression_of(source) is not None and format_ == "parquet":
        raise RefusedFileError("a Parquet file is packed inside; it is not unpacked around it")
    return ParquetReader(source, data) if format_ == "parquet" else JsonLinesReader(source, data)
