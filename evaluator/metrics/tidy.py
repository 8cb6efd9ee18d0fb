"""From estimates to one row a level, slice and metric."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from evaluator.metrics.estimates import NO_ROWS, Estimate
from evaluator.metrics.levels import Level, Slicing


def tidy(slicing: Slicing, measured: Sequence[dict[str, Estimate]]) -> pd.DataFrame:
    """Lay the estimates out as a tidy frame.

    Parameters
    ----------
    slicing
        The levels.
    measured
        For each level its estimates by metric, the same metrics at each.
    """
    rows_of_cells = np.bincount(slicing.cell, minlength=slicing.cells)
    parts = []
    for level, estimates in zip(slicing.levels, measured, strict=True):
        n = level.add_up(rows_of_cells)
        for estimate in estimates.values():
            estimate.mark_empty(n == 0, NO_ROWS)
        parts.append(_level(slicing, level, n, estimates))
    whole = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    texts = ["level", "metric", "status", "reason"]
    texts += [
        name
        for name, occurring in zip(slicing.names, slicing.groups, strict=True)
        if all(isinstance(value, str) for value in occurring)
    ]
    return pd.DataFrame(whole).astype(dict.fromkeys(texts, "str"))


def _level(
    slicing: Slicing, level: Level, n: np.ndarray[Any, Any], estimates: dict[str, Estimate]
) -> dict[str, np.ndarray[Any, Any]]:
    """Give the columns of one level's rows: slice by slice, metric by metric."""
    each = len(estimates)

    def stacked(attribute: str) -> np.ndarray[Any, Any]:
        columns = [getattr(estimate, attribute) for estimate in estimates.values()]
        return np.column_stack(columns).ravel()

    part: dict[str, np.ndarray[Any, Any]] = {
        "level": np.full(level.groups * each, level.name, dtype=object)
    }
    for position, name in enumerate(slicing.names):
        filled = np.full(level.groups * each, None, dtype=object)
        if position in level.columns:
            occurring = np.empty(len(slicing.groups[position]), dtype=object)
            occurring[:] = slicing.groups[position]
            codes = level.codes[:, level.columns.index(position)]
            filled = np.repeat(occurring[codes], each)
        part[name] = filled
    part["metric"] = np.tile(np.array(list(estimates), dtype=object), level.groups)
    for column, attribute in (("value", "value"), ("low", "low"), ("high", "high")):
        part[column] = stacked(attribute)
    part["n"] = np.repeat(n, each).astype(np.int64)
    part["n_effective"] = stacked("effective")
    part["status"] = stacked("status")
    part["reason"] = stacked("reason")
    return part
