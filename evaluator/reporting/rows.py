"""Tables of findings, read as plain values and grouped by candidate."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pandas as pd

Row = Mapping[str, Any]


def plain_rows(frame: pd.DataFrame) -> list[Row]:
    """Read a frame's rows; a missing cell is None, whatever its column's type."""
    cells = frame.astype(object)
    rows: list[Row] = cells.where(cells.notna(), None).to_dict("records")  # type: ignore[assignment]  # the columns are texts
    return rows


def of_each_candidate(
    frame: pd.DataFrame, candidates: Iterable[str]
) -> list[tuple[str, pd.DataFrame]]:
    """Divide a frame by its column `candidate`.

    Parameters
    ----------
    frame
        A frame of findings; one without rows may be without columns, too.
    candidates
        The audit's candidates, in order.

    Returns
    -------
    list[tuple[str, pandas.DataFrame]]
        One part a candidate, in the audit's order, without rows where there is nothing; after
        them those whom the audit does not name, so that nobody is dropped.
    """
    if frame.empty:
        return [(name, frame) for name in candidates]
    parts = {str(name): part for name, part in frame.groupby("candidate", sort=False)}
    names = dict.fromkeys([*candidates, *parts])
    return [(name, parts.get(name, frame.iloc[:0])) for name in names]


def first_of(items: Sequence[str], wanted: Iterable[str]) -> list[str]:
    """Give what is wanted first, in the order wanted, and then the other items."""
    return list(dict.fromkeys([*(name for name in wanted if name in items), *items]))


def finite(value: float | None) -> float | None:
    """Give a number that can be drawn and said; None where it is missing or not finite."""
    return None if value is None or not math.isfinite(value) else float(value)
