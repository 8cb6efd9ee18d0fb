"""Tables of findings, read as plain values and grouped by candidate."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pandas as pd

from evaluator.certification import format_number

Row = Mapping[str, Any]


_MINUS = "\N{MINUS SIGN}"
_MIN_P = 0.001
_WHOLE = 10


def plain_rows(frame: pd.DataFrame) -> list[Row]:
    """Read a frame's rows; a missing cell is None, whatever its column's type."""
    cells = frame.astype(object)
    rows: list[Row] = cells.where(cells.notna(), None).to_dict("records")  # type: ignore[assignment]  # the columns are texts
    return rows


def group_by_candidate(
    frame: pd.DataFrame, candidates: Iterable[str]
) -> list[tuple[str, pd.DataFrame]]:
    """Divide a frame by its column `candidate`."""
    if frame.empty:
        return [(name, frame) for name in candidates]
    parts = {str(name): part for name, part in frame.groupby("candidate", sort=False)}
    names = dict.fromkeys([*candidates, *parts])
    return [(name, parts.get(name, frame.iloc[:0])) for name in names]


def put_first(items: Sequence[str], wanted: Iterable[str]) -> list[str]:
    """Give what is wanted first, in the order wanted, and then the other items."""
    return list(dict.fromkeys([*(name for name in wanted if name in items), *items]))


def finite(value: float | None) -> float | None:
    """Give a number that can be drawn and said; None where it is missing or not finite."""
    return None if value is None or not math.isfinite(value) else float(value)


def format_signed(value: float) -> str:
    """Write a difference with its sign, a real minus."""
    shown = f"{abs(value):.3f}"
    if float(shown) == 0:
        return "±0.000"
    return f"{'+' if value > 0 else _MINUS}{shown}"


def format_p_value(p_value: float | None) -> str:
    """Write a p-value; a dash where there was no test."""
    if p_value is None:
        return "\N{EN DASH}"
    return f"< {_MIN_P}" if p_value < _MIN_P else f"{p_value:.3f}"


def format_excess_errors(harm: float | None) -> str:
    """Write the least harm: whole from ten on, one decimal below; a dash where nobody knows."""
    if harm is None:
        return "\N{EN DASH}"
    return f"{harm:,.0f}" if abs(harm) >= _WHOLE else f"{harm:.1f}"


def format_rough(count: float) -> str:
    """Write a number of cases that is a guess: up to two digits that count, rounded up.

    For example ``64,363`` is ``65,000``.
    """
    unit = 10 ** max(math.floor(math.log10(max(count, 1))) - 1, 0)
    return f"{math.ceil(count / unit) * unit:,}"


def format_interval(low: float | None, high: float | None, *, has_sign: bool) -> str:
    """Write an interval: ``0.412 to 0.530``, ``0.412 or more`` or ``0.530 or less``."""
    write = format_signed if has_sign else format_number
    if low is not None and high is not None:
        return f"{write(low)} to {write(high)}"
    if low is not None:
        return f"{write(low)} or more"
    return "" if high is None else f"{write(high)} or less"
