"""What the scorecard measures beside geography and segment: further columns and their crosses."""

import json
from collections.abc import Sequence
from datetime import date
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from evaluator.candidates.evaluation_set import DATA_PREFIX
from evaluator.metrics import slice_metrics
from evaluator.spec import AuditSpec
from evaluator.spec.data import ColumnSpec

MISSING = "(missing)"
"""The group of the cases without a value."""


def measure_more(spec: AuditSpec, cases: pa.Table, predictions: pd.DataFrame) -> list[pd.DataFrame]:
    """Measure one candidate by the columns that `more_slices` names, and by their crosses.

    Parameters
    ----------
    spec
        The audit.
    cases
        The evaluation set: `id`, and `data.<column>` of each column that is named.
    predictions
        `id`, `label`, `score` and `prediction` of the cases that the candidate was run on.

    Returns
    -------
    list[pandas.DataFrame]
        One frame a level, no level twice: `level`, `group`, and the columns of
        `evaluator.metrics.slice_metrics` from `metric` on. A declared group without a case has
        `n` 0; a group that has cases, of which the candidate was run on none, is left out.
    """
    place = pd.Index(cases["id"].to_pandas()).get_indexer(pd.Index(predictions["id"]))
    if (place < 0).any():
        raise ValueError("there are predictions for cases that the evaluation set does not have")
    levels: dict[frozenset[str], pd.DataFrame] = {}
    for names in spec.more_slices:
        groups = [_groups_of(cases[DATA_PREFIX + n], spec.data.columns[n]) for n in names]
        frame = predictions[["label", "score", "prediction"]].copy()
        # A declared column may be called `label` itself: here each goes by its position.
        for position, cut in enumerate(groups):
            frame[str(position)] = cut.codes[place]
        measured = slice_metrics(
            frame,
            label="label",
            score="score",
            prediction="prediction",
            slices=[str(position) for position in range(len(names))],
            metrics=spec.metrics,
            confidence=spec.confidence,
            groups={str(p): range(len(c.names)) for p, c in enumerate(groups) if c.declared},
        )
        for level, rows in measured.groupby("level", sort=False):
            if level == "overall":
                continue
            positions = [int(position) for position in str(level).split(" x ")]
            columns = [names[position] for position in positions]
            if frozenset(columns) not in levels:
                cuts = [groups[position] for position in positions]
                levels[frozenset(columns)] = _level(columns, cuts, rows, positions)
    return list(levels.values())


class _Groups(NamedTuple):
    """How a declared column cuts the evaluation set."""

    codes: NDArray[np.intp]
    """The group of each case, as a position among the names."""
    names: list[str]
    declared: bool
    """Whether the column lists its allowed values."""


def _groups_of(column: pa.ChunkedArray, declared: ColumnSpec) -> _Groups:
    """Find the groups of a column: allowed values first, then others in order, then missing."""
    encoded = column.combine_chunks().dictionary_encode()
    found = encoded.dictionary.to_pylist()
    # As the column has them: the YAML may say 1.0 where it holds whole numbers.
    allowed = pa.array(declared.allowed or (), column.type).to_pylist()
    # A rule that only warns lets through what is not allowed.
    values = [*allowed, *sorted(set(found) - set(allowed))]
    position = {value: number for number, value in enumerate(values)}
    lookup = np.array([*(position[value] for value in found), len(values)], dtype=np.intp)
    codes = lookup[encoded.indices.fill_null(len(found)).to_numpy()]
    names = [_group_name(value) for value in values]
    return _Groups(
        codes, names + [MISSING] * (encoded.null_count > 0), declared.allowed is not None
    )


def _group_name(value: Any) -> str:
    """Write a value; a text that could be read as something else stands in quotes."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, date):
        return value.isoformat()
    text = str(value)
    is_plain = text == text.strip() != "" and not any(mark in text for mark in ',="')
    return text if is_plain and text != MISSING else json.dumps(text, ensure_ascii=False)


def _level(
    columns: Sequence[str], cuts: Sequence[_Groups], rows: pd.DataFrame, positions: Sequence[int]
) -> pd.DataFrame:
    """Name the groups of a level, and leave out those that the candidate was never run on."""
    codes = [rows[str(position)].to_numpy(dtype=np.intp) for position in positions]
    sizes = [len(cut.names) for cut in cuts]
    there = np.unique(np.ravel_multi_index([cut.codes for cut in cuts], sizes))
    is_unknown = np.isin(np.ravel_multi_index(codes, sizes), there) & (rows["n"].to_numpy() == 0)
    parts = [
        np.array([f"{column} = {name}" for name in cut.names], dtype=object)[code]
        for column, cut, code in zip(columns, cuts, codes, strict=True)
    ]
    named = rows.drop(columns=[name for name in rows.columns if name.isdigit()])
    named["level"] = " x ".join(columns)
    named.insert(1, "group", [", ".join(group) for group in zip(*parts, strict=True)])
    known: pd.DataFrame = named[~is_unknown]
    return known
