"""Which reader reads which file."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final, Protocol

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
