"""Rows from quarantine, mended or under new rules, join the rows that were accepted before."""

from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Final

import numpy as np
import pyarrow.parquet as pq

from evaluator.intake.batches import Batch, Reject
from evaluator.intake.judge import Judge
from evaluator.intake.outputs import Outputs, typed_schema
from evaluator.intake.quarantine import as_file, description_of
from evaluator.intake.readers import open_reader
from evaluator.spec.data import DataSpec

if TYPE_CHECKING:
    from collections.abc import Iterator

ROWS_A_BATCH: Final = 256 * 1024
NAMES: Final = {"csv": "rows.csv", "tsv": "rows.tsv", "jsonl": "rows.jsonl", "parquet": "rows.jsonl"}


def replay(
    typed: Path,
    quarantine: Path,
    data: DataSpec,
    *,
    into: Path,
    mended: Mapping[int, str] | None = None,
) -> tuple[int, int]:
    """Judge quarantined rows again; write the accepted and the refused ones as new files.

    Parameters
    ----------
    typed, quarantine
        The day's files; they are read and stay as they are.
    data
        The rules, perhaps others than before.
    into
        The folder for the new files; it must not be theirs.
    mended
        New texts by line number; rows that are not among them are judged as they were.

    Returns
    -------
    tuple of int
        How many rows have joined the accepted ones, and how many are still refused. Together they
        are the rows that were in quarantine: checked here.
    """
    raise NotImplementedError
