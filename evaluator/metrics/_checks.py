"""What is refused before anything is measured, with the count and the first rows."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

_SHOWN = 5


class MetricsInputError(ValueError):
    """The data or the arguments cannot be measured as they are."""


def refuse_rows(bad: NDArray[np.bool_], what: str) -> None:
    """Raise when any row is bad, naming the count and the first few positions."""
    count = int(np.count_nonzero(bad))
    if count:
        rows = "row" if count == 1 else "rows"
        first = first_few(np.flatnonzero(bad))
        raise MetricsInputError(f"{what} in {count} {rows} (first positions: {first})")


def first_few(found: "NDArray[Any] | pd.Index[Any]") -> str:
    """List the first of what was found, for a message."""
    first = ", ".join(repr(one) for one in found[:_SHOWN].tolist())
    return f"{first}, ..." if len(found) > _SHOWN else first


def column(frame: pd.DataFrame, name: str) -> "pd.Series[Any]":
    """Give a column of the frame, or say which columns there are."""
    if name not in frame.columns:
        there = ", ".join(repr(str(other)) for other in frame.columns)
        raise MetricsInputError(f"there is no column {name!r}; there are {there}")
    same = int((frame.columns == name).sum())
    if same > 1:
        raise MetricsInputError(f"there are {same} columns {name!r}; there must be one")
    found: pd.Series[Any] = frame[name]
    return found


def factorised(values: "pd.Series[Any]") -> tuple[NDArray[np.intp], list[Any]]:
    """Give each value's position in a list of the different ones, -1 where it is missing."""
    if isinstance(values.dtype, pd.CategoricalDtype):
        return values.cat.codes.to_numpy().astype(np.intp), list(values.cat.categories)
    codes, different = pd.factorize(values)
    return codes.astype(np.intp, copy=False), list(different)


def complete(frame: pd.DataFrame, name: str) -> "pd.Series[Any]":
    """Give a column in which nothing is missing."""
    found = column(frame, name)
    refuse_rows(found.isna().to_numpy(), f"column {name!r} is missing")
    return found


def numbers(frame: pd.DataFrame, name: str) -> NDArray[np.float64]:
    """Give a column as finite floats."""
    found = column(frame, name)
    if len(found) and not (
        pd.api.types.is_numeric_dtype(found.dtype) or pd.api.types.is_bool_dtype(found.dtype)
    ):
        raise MetricsInputError(f"column {name!r} holds {found.dtype} values; it must hold numbers")
    values = found.to_numpy(dtype=np.float64, na_value=np.nan)
    # A sum is finite when all is finite, and costs a tenth of looking at each value.
    if not np.isfinite(values.sum()):
        refuse_rows(~np.isfinite(values), f"column {name!r} is not a finite number")
    return values


def refuse_outside_unit(values: NDArray[np.float64], name: str, metrics: Sequence[str]) -> None:
    """Refuse scores outside [0, 1] where a metric takes them as probabilities."""
    if values.size and (values.min() < 0 or values.max() > 1):
        needing = ", ".join(metrics)
        refuse_rows(
            (values < 0) | (values > 1),
            f"column {name!r} is outside [0, 1], but {needing} need probabilities,",
        )


def positives(
    frame: pd.DataFrame, name: str, negative: Any = None
) -> tuple[NDArray[np.bool_], Any]:
    """Say which rows of a column hold the positive value, 1."""
    found = complete(frame, name)
    is_positive = np.asarray((found == 1).to_numpy(), dtype=bool)
    if is_positive.all():
        return is_positive, negative
    if negative is None:
        negative = found.iloc[int(is_positive.argmin())]
        # A message shows 0, not numpy's way of writing it.
        negative = negative.item() if isinstance(negative, np.generic) else negative
    third = ~is_positive & np.asarray((found != negative).to_numpy(), dtype=bool)
    refuse_rows(third, f"column {name!r} is neither 1 (positive) nor {negative!r} (negative)")
    return is_positive, negative
