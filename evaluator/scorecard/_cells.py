"""A frame's cell, which may be missing, read as what it is."""

import math

import pandas as pd


def number(value: object) -> float | None:
    """Read a frame's cell as a number.

    Returns
    -------
    float or None
        None where the cell is missing, or holds no finite number.

    Raises
    ------
    ValueError, TypeError
        Where it holds something that Python reads as no number.
    """
    if is_missing(value):
        return None
    found = float(value)  # type: ignore[arg-type]  # a frame's cells are untyped
    return found if math.isfinite(found) else None


def text(value: object) -> str | None:
    """Read a frame's cell as text.

    Returns
    -------
    str or None
        None where the cell is missing.
    """
    return None if is_missing(value) else str(value)


def is_missing(value: object) -> bool:
    """Tell whether a frame's cell holds nothing."""
    return value is None or value is pd.NA or (isinstance(value, float) and math.isnan(value))
