"""What the files, columns and levels of stored outputs are called."""

from collections.abc import Mapping, Sequence
from typing import Final

import pandas as pd
import pyarrow as pa

CASES: Final = "cases.parquet"
"""The cases of an evaluation set."""
PREDICTIONS: Final = "predictions.parquet"
"""A candidate's predictions for one slice."""
PROFILE: Final = "profile.json"
"""What was counted of a day's file."""

MEASUREMENTS: Final = "figures.parquet"
ADDITIONAL_MEASUREMENTS: Final = "more_figures.parquet"
SLICES: Final = "slices.parquet"
COMPARISONS: Final = "comparisons.parquet"
PAIRS: Final = "pairs.parquet"
RANKS: Final = "ranks.parquet"
FAIRNESS: Final = "fairness.parquet"
WEAK_SLICES: Final = "weak_slices.parquet"
WORSENED: Final = "worsened.parquet"
DAYS: Final = "days.json"
"""A scorecard's facts about days, where a gate looks at them."""

WEAK_SEARCHES: Final = "weak_searches"
"""A scorecard's fact: by candidate, how far its weak slices were searched."""

SLICE_COLUMNS: Final = ("geography", "segment")
SLICE_LEVEL: Final = "geography x segment"
"""The level of one geography x one segment."""
DATA_PREFIX: Final = "data."
"""Stands before the name of a declared column, which may be called `label` or `id` itself."""


def _schema(*columns: tuple[str, pa.DataType]) -> pa.Schema:
    return pa.schema([(name, kind) for names, kind in columns for name in names.split()])


_TEXT, _NUMBER, _COUNT = pa.string(), pa.float64(), pa.int64()
_COMPARED = _schema(
    ("candidate baseline level geography segment metric", _TEXT),
    ("difference low high p_value p_adjusted low_adjusted high_adjusted", _NUMBER),
    ("p_equivalent p_not_worse", _NUMBER),
    ("n", _COUNT),
    ("n_effective", _NUMBER),
    ("n_discordant better worse", _COUNT),
    ("higher_is_better", pa.bool_()),
    ("conclusion status reason", _TEXT),
)
SCHEMAS: Final[Mapping[str, pa.Schema]] = {
    ADDITIONAL_MEASUREMENTS: _schema(
        ("candidate level group metric", _TEXT),
        ("value low high", _NUMBER),
        ("n", _COUNT),
        ("n_effective", _NUMBER),
        ("status reason", _TEXT),
    ),
    COMPARISONS: _COMPARED,
    PAIRS: _COMPARED,
    RANKS: _schema(
        ("level geography segment metric candidate", _TEXT),
        ("rank best_rank worst_rank", _COUNT),
        ("not_told_apart_from", _TEXT),
    ),
    FAIRNESS: _schema(
        ("candidate measure comparison class attribute group reference", _TEXT),
        ("value low high group_value reference_value", _NUMBER),
        ("n n_reference", _COUNT),
        ("n_effective n_effective_reference", _NUMBER),
        ("strata strata_left_out", _COUNT),
        ("status reason", _TEXT),
    ),
    WEAK_SLICES: _schema(
        ("candidate slice conditions", _TEXT),
        ("n n_all", _COUNT),
        ("loss rest_loss excess low high harm harm_low p_value p_adjusted", _NUMBER),
        ("group", _COUNT),
        ("also explained_by status reason", _TEXT),
    ),
    WORSENED: _schema(
        ("candidate slice conditions", _TEXT),
        ("n_before n_after", _COUNT),
        ("loss_before loss_after worsening low high harm harm_low p_value p_adjusted", _NUMBER),
        ("status reason", _TEXT),
    ),
}
"""The columns of each table but the measurements, which have those of the audit's metrics."""

# Read back as they were written, where some are missing.
_NULLABLE = {"higher_is_better": "boolean", "rank": "Int64"}


def to_stored(found: Sequence[Mapping[str, pd.DataFrame]]) -> dict[str, pa.Table]:
    """Join what was found into one table a kind, each of its fixed form.

    Parameters
    ----------
    found
        Frames by the names of their files, such as one mapping a candidate; columns that a form
        does not have are left out.

    Returns
    -------
    dict[str, pyarrow.Table]
        All of `SCHEMAS`, in their order; without rows where nothing was found.
    """
    parts: dict[str, list[pa.Table]] = {name: [] for name in SCHEMAS}
    for tables in found:
        for name, table in tables.items():
            if len(table):
                schema = SCHEMAS[name]
                parts[name].append(pa.Table.from_pandas(table, schema=schema, preserve_index=False))
    return {
        name: pa.concat_tables([schema.empty_table(), *parts[name]]).combine_chunks()
        for name, schema in SCHEMAS.items()
    }


def from_stored(table: pa.Table) -> pd.DataFrame:
    """Turn a stored table back into the frame that it was made of.

    Parameters
    ----------
    table
        As it was read; of any of a scorecard's files.

    Returns
    -------
    pandas.DataFrame
        Truth values and ranks are nullable, as they were when they were stored.
    """
    frame: pd.DataFrame = table.to_pandas()
    return frame.astype({n: kind for n, kind in _NULLABLE.items() if n in frame.columns})
