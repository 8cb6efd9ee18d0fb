"""The reader of Parquet: typed values become text first, like everything else."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from evaluator.intake._profile import Layout
from evaluator.intake._readers._delimited import check_column_count, match_columns
from evaluator.intake._readers._stream import RefusedFileError
from evaluator.intake._violations import Batch, FileMetadata
from evaluator.spec import DataSpec

ROWS_A_BATCH: Final = 256 * 1024


class ParquetReader:
    """Reads a Parquet file in batches."""

    def __init__(self, path: Path, data: DataSpec) -> None:
        self.path = path
        self.data = data
        self.metadata = FileMetadata(Layout(format="parquet", detected=()))

    def batches(self) -> Iterator[Batch]:
        """Read the file; a row's line is its number, from 1."""
        try:
            with pq.ParquetFile(self.path) as file:
                yield from self._batches(file)
        except (pa.ArrowException, OSError) as error:
            raise RefusedFileError(f"the Parquet file cannot be read: {error}") from error

    def _batches(self, file: Any) -> Iterator[Batch]:
        names = list(file.schema_arrow.names)
        self.metadata.header = names
        self.metadata.notes.append("line numbers are row numbers, since Parquet has no lines")
        check_column_count(len(names), self.data)
        positions = match_columns(names, self.data)
        for name, position in positions.items():
            kind = file.schema_arrow.field(position).type
            if pa.types.is_nested(kind) or pa.types.is_binary(kind):
                raise RefusedFileError(f"the column {name!r} holds {kind}, not single values")
        row, size = 0, 0
        for batch in file.iter_batches(batch_size=ROWS_A_BATCH, columns=list(positions)):
            size += batch.nbytes
            if size > self.data.maximum_bytes:
                raise RefusedFileError(
                    f"the file has more than {self.data.maximum_bytes:,} bytes once unpacked "
                    "(maximum_bytes)"
                )
            text = _as_text(batch, first=row + 1)
            # Kept with the quarantine: its rows must be read the same way when they come back.
            plain = {"plain": tuple(sorted(text.plain))}
            self.metadata.layout = self.metadata.layout.model_copy(update=plain)
            yield text
            row += batch.num_rows
        if row != file.metadata.num_rows:
            raise RefusedFileError(
                f"the file says that it has {file.metadata.num_rows:,} rows, and has {row:,}"
            )


def _as_text(batch: Any, *, first: int) -> Batch:
    """Spell a batch's values the plain way."""
    import polars as pl

    typed = pl.DataFrame(pa.Table.from_batches([batch]))
    series = []
    plain = set()
    for column in typed.iter_columns():
        if column.dtype != pl.String:
            plain.add(column.name)
        series.append(_texts(column))
    frame = pl.DataFrame(series)

    def originals(indices: npt.NDArray[np.int64]) -> list[bytes]:
        return [
            json.dumps(row, ensure_ascii=False).encode()
            for row in frame[indices.tolist()].iter_rows(named=True)
        ]

    return Batch(
        frame=frame,
        line=np.arange(first, first + typed.height, dtype=np.int64),
        originals=originals,
        plain=frozenset(plain),
    )


def _texts(column: Any) -> Any:
    import polars as pl

    if isinstance(column.dtype, pl.Datetime):
        # Nanoseconds that are not zero show all nine digits, and are refused as too fine.
        exact = column.dtype.time_unit != "ns" or bool(
            (column.cast(pl.Int64) % 1000 == 0).all(ignore_nulls=True)
        )
        fraction = "%.6f" if exact else "%.9f"
        zone = "%:z" if column.dtype.time_zone else ""
        return column.dt.strftime(f"%Y-%m-%dT%H:%M:%S{fraction}{zone}")
    return column.cast(pl.String)
