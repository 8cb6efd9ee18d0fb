"""The two files that an intake leaves: typed rows, and rows in quarantine."""

import csv
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from evaluator.errors import IntakeError
from evaluator.intake._profile import FilePart, Layout, place_of
from evaluator.intake._readers._delimited import DelimitedReader
from evaluator.intake._readers._stream import RefusedFileError
from evaluator.intake._typing import arrow_type
from evaluator.intake._violations import REASON_FIELDS, FileMetadata
from evaluator.spec import DataSpec

if TYPE_CHECKING:
    import polars as pl

TYPED_ROWS: Final = "typed_rows.parquet"
QUARANTINED_ROWS: Final = "quarantined_rows.parquet"
METADATA: Final = b"evaluator"
#: Rows a row group: small enough to stream, large enough to compress.
ROW_GROUP: Final = 256 * 1024
REASON: Final = pa.struct([(name, pa.string()) for name in REASON_FIELDS])
QUARANTINE_SCHEMA: Final = pa.schema(
    [
        pa.field("line_number", pa.int64(), nullable=False),
        pa.field("text", pa.string(), nullable=False),
        pa.field("reasons", pa.list_(REASON), nullable=False),
        pa.field("raw", pa.binary()),
    ]
)
#: A spreadsheet takes a text that begins so for a formula.
FORMULA_PREFIXES: Final = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")  # noqa: RUF001 - full-width twins
COLUMNS: Final = ("line_number", "reasons", "text")
ROWS_A_BATCH: Final = 16 * 1024


def quarantine_to_csv(quarantine: Path, out: Path) -> int:
    """Write rows in quarantine as CSV for a spreadsheet.

    Parameters
    ----------
    quarantine
        The Parquet file of quarantined rows.
    out
        The CSV: `line_number`, `reasons` (all of them, in words) and `text` (the row as it was,
        in one cell); of several files also `place`, the file and its own line. Every cell is
        inert. Rows can be mended in `text` and given to `read_mended`.

    Returns
    -------
    int
        How many rows were written.
    """
    count = 0
    parts = description_of(quarantine).parts
    with out.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, quoting=csv.QUOTE_ALL)
        writer.writerow([*COLUMNS, *(["place"] if parts else [])])
        with pq.ParquetFile(quarantine) as file:
            for batch in file.iter_batches(batch_size=ROWS_A_BATCH):
                for row in batch.to_pylist():
                    reasons = "; ".join(reason["message"] for reason in row["reasons"])
                    line = row["line_number"]
                    place = [escape_formula(place_of(line, parts))] if parts else []
                    writer.writerow(
                        [line, escape_formula(reasons), escape_formula(row["text"]), *place]
                    )
                    count += 1
    return count


def read_mended(path: Path) -> dict[int, str]:
    """Read rows that were mended in the CSV of `quarantine_to_csv`.

    Parameters
    ----------
    path
        The CSV, as spreadsheets save it: in UTF-8 or another encoding, with commas, semicolons or
        tabs. Rows that are not to be fed back may be left out.

    Returns
    -------
    dict
        From line number to the row's text.

    Raises
    ------
    IntakeError
        When it has not the columns, or a line number is not a number or there twice.
    """
    columns = {name: {"type": "string", "optional": name == "reasons"} for name in COLUMNS}
    data = DataSpec.model_validate(
        {
            "files": "file",
            "id": {"row": "number"},
            "columns": columns,
            # Around a row a spreadsheet puts quotes, which double those of the row.
            "maximum_row_bytes": 1024**3,
            "cut_off": "quarantine",
        }
    )
    found: dict[int, str] = {}
    try:
        for batch in DelimitedReader(path, data).batches():
            if batch.rejects:
                raise IntakeError(
                    f"line {batch.rejects[0].line:,} cannot be read: {batch.rejects[0].message}",
                    culprit=str(path),
                    fix="save the file as CSV once more",
                )
            for number, text in batch.frame.select("line_number", "text").iter_rows():
                if not number.strip().isdecimal() or int(number) in found:
                    raise IntakeError(
                        f"the line number {number!r} is not a number, or is there twice",
                        culprit=str(path),
                        fix="keep the line numbers as they were written",
                    )
                found[int(number)] = unescape_formula(text)
    except RefusedFileError as error:
        raise IntakeError(
            f"it has no columns `line_number` and `text` ({error})",
            culprit=str(path),
            fix="mend the file that `--quarantine` writes",
        ) from error
    return found


def escape_formula(text: str) -> str:
    """Make a text that a spreadsheet shows and never runs.

    Parameters
    ----------
    text
        Any text.

    Returns
    -------
    str
        With an apostrophe before it when it could be a formula; one that already begins with an
        apostrophe gets another, so that `read_mended` gives every text back.
    """
    beginning = text.lstrip(" ")
    return f"'{text}" if beginning.startswith((*FORMULA_PREFIXES, "'")) else text


def unescape_formula(text: str) -> str:
    """Give back the text that `escape_formula` was given."""
    beginning = text[1:].lstrip(" ")
    guarded = text.startswith("'") and beginning.startswith((*FORMULA_PREFIXES, "'"))
    return text[1:] if guarded else text


class RowWriter:
    """Writes both files as rows come; once closed they are whole, even when no row came."""

    def __init__(self, into: Path, data: DataSpec) -> None:
        into.mkdir(parents=True, exist_ok=True)
        self._schema = typed_schema(data)
        # A dictionary pays for texts that repeat; for other values it mostly costs time.
        repeating = [
            name
            for name, column in data.columns.items()
            if column.kind == "text" and (name,) != data.id_columns and not column.unique
        ]
        self._typed = pq.ParquetWriter(
            into / TYPED_ROWS,
            self._schema,
            compression="snappy",
            use_dictionary=repeating,
            # Of texts that repeat, the least and the greatest are the same in every row group.
            write_statistics=[name for name in data.columns if name not in repeating],
        )
        self._quarantine = pq.ParquetWriter(into / QUARANTINED_ROWS, QUARANTINE_SCHEMA)

    def write(self, typed: "pl.DataFrame", refused: "pl.DataFrame") -> None:
        if typed.height:
            table = typed.to_arrow().cast(self._schema)
            self._typed.write_table(table, row_group_size=ROW_GROUP)
        if refused.height:
            self._quarantine.write_table(_quarantine_table(refused), row_group_size=ROW_GROUP)

    def describe(self, metadata: FileMetadata) -> None:
        """Keep beside the quarantined rows what is needed to read them again."""
        layout = metadata.layout.model_dump(exclude_unset=True)
        described: dict[str, Any] = {"header": metadata.header, "layout": layout}
        if metadata.parts:
            described["parts"] = [part.model_dump(exclude_unset=True) for part in metadata.parts]
        text = json.dumps(described, sort_keys=True)
        self._quarantine.add_key_value_metadata({METADATA.decode(): text})

    def close(self) -> None:
        """Finish both files."""
        self._typed.close()
        self._quarantine.close()


def typed_schema(data: DataSpec) -> pa.Schema:
    """Return the schema of typed rows: the declared columns in their order, and an added id."""
    fields = {name: arrow_type(column) for name, column in data.columns.items()}
    fields.setdefault(data.id_column, pa.string())
    return pa.schema(list(fields.items()))


def _quarantine_table(refused: "pl.DataFrame") -> pa.Table:
    import polars as pl

    texts: list[str] = []
    raw: list[bytes | None] = []
    for original, held in refused.select("original", "raw").iter_rows():
        try:
            texts.append(original.decode("utf-8"))
            raw.append(held)
        except UnicodeDecodeError:
            texts.append(original.decode("utf-8", errors="backslashreplace"))
            raw.append(original if held is None else held)
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


def description_of(quarantine: Path) -> FileMetadata:
    """Return the layout and header of the file that quarantined rows are from."""
    metadata: dict[bytes, bytes] = pq.read_metadata(quarantine).metadata or {}
    if METADATA not in metadata:
        raise IntakeError(
            "it does not say how its rows are laid out",
            culprit=str(quarantine),
            fix="take the day's file in again",
        )
    description = json.loads(metadata[METADATA])
    return FileMetadata(
        Layout.model_validate(description["layout"]),
        description["header"],
        parts=[FilePart.model_validate(part) for part in description.get("parts", ())],
    )
