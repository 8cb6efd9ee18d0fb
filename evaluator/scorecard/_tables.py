"""What the files, columns and levels of stored outputs are called."""

from collections.abc import Mapping, Sequence
from typing import Final

import pandas as pd
import pyarrow as pa

from evaluator.scorecard._rows import (
    AdditionalMeasurement,
    ClassFigure,
    Comparison,
    Confusion,
    Gap,
    OperatingPoint,
    PredictedBin,
    Rank,
    ScoreBin,
    WeakSlice,
    WorsenedSlice,
    schema_of,
)

CASES: Final = "cases.parquet"
"""The cases of an evaluation set."""
LABELLED_BY_AGE: Final = "labelled_by_age.parquet"
"""Of an evaluation set whose labels came in files of their own, how many cases of which age have
one."""
LABELS: Final = "labels"
"""Its fact: what is known of these labels."""
SEEN_IN_TRAINING: Final = "seen_in_training.parquet"
"""Of an evaluation set, which cases the candidates that say what they were trained on saw there,
those among them that are left out of the set."""
TRAINING: Final = "training"
"""Its fact: by candidate, what is known of that."""
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
OPERATING_POINTS: Final = "operating_points.parquet"
SCORE_BINS: Final = "score_bins.parquet"
CONFUSION: Final = "confusion.parquet"
CLASSES: Final = "classes.parquet"
PREDICTED_BINS: Final = "predicted_bins.parquet"
DAYS: Final = "days.json"
"""A scorecard's facts about days, where a gate looks at them."""

WEAK_SEARCHES: Final = "weak_searches"
"""A scorecard's fact: by candidate, how far its weak slices were searched."""

SLICE_COLUMNS: Final = ("geography", "segment")
SLICE_LEVEL: Final = "geography x segment"
"""The level of one geography x one segment."""
DATA_PREFIX: Final = "data."
"""Stands before the name of a declared column, which may be called `label` or `id` itself."""


_CLASS: Final = pa.field("class", pa.string())


def _but_class(schema: pa.Schema) -> pa.Schema:
    return schema.remove(schema.get_field_index(_CLASS.name))


SCHEMAS: Final[Mapping[str, pa.Schema]] = {
    ADDITIONAL_MEASUREMENTS: _but_class(schema_of(AdditionalMeasurement)),
    COMPARISONS: _but_class(schema_of(Comparison)),
    PAIRS: _but_class(schema_of(Comparison)),
    RANKS: _but_class(schema_of(Rank)),
    FAIRNESS: schema_of(Gap),
    WEAK_SLICES: schema_of(WeakSlice),
    WORSENED: schema_of(WorsenedSlice),
    OPERATING_POINTS: schema_of(OperatingPoint),
    SCORE_BINS: schema_of(ScoreBin),
    CONFUSION: schema_of(Confusion),
    CLASSES: schema_of(ClassFigure),
    PREDICTED_BINS: schema_of(PredictedBin),
}
"""The columns of each table but the measurements, which have those of the audit's metrics.

Where these are of single classes, tables of metrics have a column `class` behind `metric`.
"""

# Read back as they were written, where some are missing.
_NULLABLE = {"clusters": "Int64", "higher_is_better": "boolean", "rank": "Int64"}


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
    stored = {}
    for name, form in SCHEMAS.items():
        frames = [tables[name] for tables in found if name in tables and len(tables[name])]
        schema = form
        of_classes = any("class" in frame and frame["class"].notna().any() for frame in frames)
        if of_classes and _CLASS.name not in form.names:
            schema = form.insert(form.get_field_index("metric") + 1, _CLASS)
        parts = [pa.Table.from_pandas(one, schema=schema, preserve_index=False) for one in frames]
        stored[name] = pa.concat_tables([schema.empty_table(), *parts]).combine_chunks()
    return stored


def from_stored(table: pa.Table) -> pd.DataFrame:
    """Turn a stored table back into the frame that it was made of.

    Parameters
    ----------
    table
        As it was read; of any of a scorecard's files.

    Returns
    -------
    pandas.DataFrame
        Truth values, ranks and clusters are nullable, as they were when they were stored.
    """
    frame: pd.DataFrame = table.to_pandas()
    return frame.astype({n: kind for n, kind in _NULLABLE.items() if n in frame.columns})
