"""The two files that an intake leaves: typed rows, and rows in quarantine."""

import json
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self

import pyarrow as pa
import pyarrow.parquet as pq

from evaluator.spec.data import ColumnSpec, DataSpec

if TYPE_CHECKING:
    import polars as pl

TYPED_ROWS: Final = "typed_rows.parquet"
QUARANTINED_ROWS: Final = "quarantined_rows.parquet"
METADATA: Final = b"evaluator"
#: Rows a row group: small enough to stream, large enough to compress.
ROW_GROUP: Final = 256 * 1024

REASON: Final = pa.struct(
    [
        ("column", pa.string()),
        ("rule", pa.string()),
        ("value", pa.string()),
        ("message", pa.string()),
    ]
)
QUARANTINE_SCHEMA: Final = pa.schema(
    [
        pa.field("line_number", pa.int64(), nullable=False),
        pa.field("text", pa.string(), nullable=False),
        pa.field("reasons", pa.list_(REASON), nullable=False),
        pa.field("raw", pa.binary()),
    ]
)


def arrow_type(column: ColumnSpec) -> pa.DataType:
    """Return the type in which a column is stored.

    Parameters
    ----------
    column
        The column as declared.

    Returns
    -------
    pyarrow.DataType
        A plain Arrow type; nothing of the engine's own.
    """
    if column.type == "decimal":
        return pa.decimal128(column.precision, column.scale)
    if column.type == "timestamp":
        return pa.timestamp("us", tz=column.time_zone)
    types = {
        "string": pa.string(),
        "category": pa.string(),
        "integer": pa.int64(),
        "float": pa.float64(),
        "boolean": pa.bool_(),
        "date": pa.date32(),
    }
    return types[column.type]


def typed_schema(data: DataSpec) -> pa.Schema:
    """Return the schema of typed rows: the declared columns in their order.

    Parameters
    ----------
    data
        What is declared.

    Returns
    -------
    pyarrow.Schema
        All columns may be missing, as far as Arrow is concerned.
    """
    return pa.schema([(name, arrow_type(column)) for name, column in data.columns.items()])


class Outputs:
    """Writes both files as rows come, and closes them whole even when no row came.

    Parameters
    ----------
    into
        The folder; it is made when it is not there.
    data
        What is declared.
    """

    def __init__(self, into: Path, data: DataSpec) -> None:
        into.mkdir(parents=True, exist_ok=True)
        self.typed_path = into / TYPED_ROWS
        self.quarantine_path = into / QUARANTINED_ROWS
        self._schema = typed_schema(data)
        # A dictionary pays for texts that repeat; for other values it mostly costs time.
        repeating = [
            name
            for name, column in data.columns.items()
            if column.kind == "text" and name != data.id and not column.unique
        ]
        self._typed = pq.ParquetWriter(
            self.typed_path,
            self._schema,
            compression="snappy",
            use_dictionary=repeating,
            # Of texts that repeat, the least and the greatest are the same in every row group.
            write_statistics=[name for name in data.columns if name not in repeating],
        )
        self._quarantine = pq.ParquetWriter(self.quarantine_path, QUARANTINE_SCHEMA)

    def write(self, typed: "pl.DataFrame", refused: "pl.DataFrame") -> None:
        """Append rows.

        Parameters
        ----------
        typed
            Accepted rows.
        refused
            Refused rows: `line_number`, `original` (bytes) and `reasons`.
        """
        if typed.height:
            table = typed.to_arrow().cast(self._schema)
            self._typed.write_table(table, row_group_size=ROW_GROUP)
        if refused.height:
            self._quarantine.write_table(_quarantine_table(refused), row_group_size=ROW_GROUP)

    def describe(self, description: dict[str, Any]) -> None:
        """Keep beside the quarantined rows what is needed to read them again.

        Parameters
        ----------
        description
            The file's layout and header.
        """
        text = json.dumps(description, sort_keys=True)
        self._quarantine.add_key_value_metadata({METADATA.decode(): text})

    def close(self) -> None:
        """Finish both files."""
        self._typed.close()
        self._quarantine.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _quarantine_table(refused: "pl.DataFrame") -> pa.Table:
    import polars as pl

    texts: list[str] = []
    raw: list[bytes | None] = []
    for original in refused["original"].to_list():
        try:
            texts.append(original.decode("utf-8"))
            raw.append(None)
        except UnicodeDecodeError:
            texts.append(original.decode("utf-8", errors="backslashreplace"))
            raw.append(original)
    # Arrow would import pandas to look at the lists; the engine does not.
    columns = [
        refused["line_number"],
        pl.Series(texts, dtype=pl.String),
        refused["reasons"],
        pl.Series(raw, dtype=pl.Binary),
    ]
    return pa.Table.from_arrays(
        [
            column.to_arrow().cast(field.type)
            for column, field in zip(columns, QUARANTINE_SCHEMA, strict=True)
        ],
        schema=QUARANTINE_SCHEMA,
    )
