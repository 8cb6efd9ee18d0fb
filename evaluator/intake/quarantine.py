"""Rows in quarantine: to look at in a spreadsheet, to mend, and to feed back."""

import csv
import json
from pathlib import Path
from typing import Any, Final

import pyarrow.parquet as pq

from evaluator.errors import IntakeError
from evaluator.intake.outputs import METADATA

#: A spreadsheet takes a text that begins so for a formula.
FORMULA_BEGINNINGS: Final = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")  # noqa: RUF001 - full-width twins
COLUMNS: Final = ("line_number", "reasons", "text")
ROWS_A_BATCH: Final = 16 * 1024


def inert(text: str) -> str:
    """Make a text that a spreadsheet shows and never runs.

    Parameters
    ----------
    text
        Any text.

    Returns
    -------
    str
        With an apostrophe before it when it could be a formula; one that already begins with an
        apostrophe gets another, so that `live` gives every text back.
    """
    beginning = text.lstrip(" ")
    return f"'{text}" if beginning.startswith((*FORMULA_BEGINNINGS, "'")) else text


def live(text: str) -> str:
    """Give back the text that `inert` was given.

    Parameters
    ----------
    text
        From `inert`.

    Returns
    -------
    str
        As it was.
    """
    beginning = text[1:].lstrip(" ")
    guarded = text.startswith("'") and beginning.startswith((*FORMULA_BEGINNINGS, "'"))
    return text[1:] if guarded else text


def quarantine_to_csv(quarantine: Path, out: Path) -> int:
    """Write rows in quarantine as CSV for a spreadsheet.

    Parameters
    ----------
    quarantine
        The Parquet file of quarantined rows.
    out
        The CSV: `line_number`, `reasons` (all of them, in words) and `text` (the row as it was,
        in one cell). Every cell is inert. Rows can be mended in `text` and given to
        `read_mended`.

    Returns
    -------
    int
        How many rows were written.
    """
    count = 0
    with out.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, quoting=csv.QUOTE_ALL)
        writer.writerow(COLUMNS)
        with pq.ParquetFile(quarantine) as file:
            for batch in file.iter_batches(batch_size=ROWS_A_BATCH):
                for row in batch.to_pylist():
                    reasons = "; ".join(reason["message"] for reason in row["reasons"])
                    writer.writerow([row["line_number"], inert(reasons), inert(row["text"])])
                    count += 1
    return count


def read_mended(path: Path) -> dict[int, str]:
    """Read rows that were mended in the CSV of `quarantine_to_csv`.

    Parameters
    ----------
    path
        The CSV; rows that are not to be fed back may be left out.

    Returns
    -------
    dict
        From line number to the row's text.

    Raises
    ------
    IntakeError
        When it has not the columns, or a line number is not a number or there twice.
    """
    found: dict[int, str] = {}
    with path.open(encoding="utf-8-sig", newline="") as stream:
        reader = csv.DictReader(stream)
        if not {"line_number", "text"} <= set(reader.fieldnames or ()):
            raise IntakeError(
                "it has no columns `line_number` and `text`",
                culprit=str(path),
                fix="mend the file that `--quarantine` writes",
            )
        for row in reader:
            number = str(row["line_number"])
            if not number.isdigit() or int(number) in found:
                raise IntakeError(
                    f"the line number {number!r} is not a number, or is there twice",
                    culprit=str(path),
                    fix="keep the line numbers as they were written",
                )
            found[int(number)] = live(row["text"] or "")
    return found


def description_of(quarantine: Path) -> dict[str, Any]:
    """Return the layout and header of the file that quarantined rows are from.

    Parameters
    ----------
    quarantine
        The Parquet file of quarantined rows.

    Returns
    -------
    dict
        `layout` and `header`.

    Raises
    ------
    IntakeError
        When the file does not say.
    """
    metadata: dict[bytes, bytes] = pq.read_metadata(quarantine).metadata or {}
    if METADATA not in metadata:
        raise IntakeError(
            "it does not say how its rows are laid out",
            culprit=str(quarantine),
            fix="take the day's file in again",
        )
    description: dict[str, Any] = json.loads(metadata[METADATA])
    return description
