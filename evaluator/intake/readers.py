"""Which reader reads which file."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final, Protocol

from evaluator.intake.batches import Batch, Reading
from evaluator.intake.delimited import DelimitedReader
from evaluator.intake.jsonl import JsonLinesReader
from evaluator.intake.parquet import ParquetReader
from evaluator.intake.source import RefusedFileError, packing_of, unpacked_name
from evaluator.spec.data import DataSpec, FileFormat

ENDINGS: Final[dict[str, FileFormat]] = {
    ".csv": "csv",
    ".txt": "csv",
    ".tsv": "tsv",
    ".tab": "tsv",
    ".parquet": "parquet",
    ".pq": "parquet",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
}


class Reader(Protocol):
    """What reads a file of some format."""

    reading: Reading

    def batches(self) -> Iterator[Batch]:
        """Give the file's rows, in order."""


def format_of(name: str, data: DataSpec) -> FileFormat:
    """Tell a file's format: as declared, or by its name's ending.

    Parameters
    ----------
    name
        The file's name; the ending of a packing is passed over.
    data
        What is declared.

    Returns
    -------
    FileFormat
        `csv` when the ending says nothing.
    """
    if data.format is not None:
        return data.format
    return ENDINGS.get(Path(unpacked_name(name)).suffix.lower(), "csv")


def open_reader(source: Path, data: DataSpec, *, name: str) -> Reader:
    """Choose the reader for a file.

    Parameters
    ----------
    source
        The file.
    data
        What is declared about it.
    name
        Its name, whose ending may give the format.

    Returns
    -------
    Reader
        Not yet begun.
    """
    format_ = format_of(name, data)
    if format_ in ("csv", "tsv"):
        return DelimitedReader(source, data, format_=format_)
    if packing_of(source) is not None and format_ == "parquet":
        raise RefusedFileError("a Parquet file is packed inside; it is not unpacked around it")
    return ParquetReader(source, data) if format_ == "parquet" else JsonLinesReader(source, data)
