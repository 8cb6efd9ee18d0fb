"""From estimates to one row a level, slice and metric."""

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evaluator.metrics.estimates import Estimate
from evaluator.metrics.levels import Slicing


def tidy(slicing: Slicing, measured: dict[str, Estimate]) -> pd.DataFrame:
    """Lay the estimates out as a tidy frame.

    Parameters
    ----------
    slicing
        The levels.
    measured
        By metric, the estimates of all groups of all levels in turn.
    """
    n = slicing.add_up(np.bincount(slicing.cell, minlength=slicing.cells))
    for estimate in measured.values():
        estimate.mark_empty(n == 0)
    each = len(measured)
    groups = [level.groups for level in slicing.levels]
    names = [level.name for level in slicing.levels]

    def spread(values: list[Any], of_groups: NDArray[np.intp]) -> "pd.Series[Any]":
        # Texts are kept as positions in a short list until the frame is whole: fast and small.
        return _taken(values, _dtype(values), np.repeat(of_groups, each))

    columns: dict[str, Any] = {"level": spread(names, np.repeat(np.arange(len(names)), groups))}
    for position, name in enumerate(slicing.names):
        codes = [
            level.codes[:, level.columns.index(position)]
            if position in level.columns
            else np.full(level.groups, -1)
            for level in slicing.levels
        ]
        columns[name] = spread(slicing.groups[position], np.concatenate(codes))

    def stacked(attribute: str) -> NDArray[Any]:
        return np.column_stack([getattr(e, attribute) for e in measured.values()]).ravel()

    columns["metric"] = _taken(list(measured), "str", np.tile(np.arange(each), len(n)))
    for name in ("value", "low", "high"):
        columns[name] = stacked(name)
    columns["n"] = np.repeat(n, each).astype(np.int64)
    columns["n_effective"] = stacked("effective")
    columns["status"] = _texts(stacked("status"))
    columns["reason"] = _texts(stacked("reason"))
    return pd.DataFrame(columns)


def _dtype(values: list[Any]) -> str:
    """Give the type of a column of such values and gaps between them."""
    return "str" if all(isinstance(value, str) for value in values) else "object"


def _texts(values: NDArray[np.object_]) -> "pd.Series[str]":
    """Turn texts of which few are different into a column of texts."""
    codes, different = pd.factorize(values)
    return _taken(list(different), "str", codes)


def _taken(values: list[Any], dtype: str, positions: NDArray[np.intp]) -> "pd.Series[Any]":
    """Make a column of the values at these positions, with a gap where the position is -1."""
    found = pd.Series(values, dtype=dtype).array
    return pd.Series(found.take(positions, allow_fill=True))
