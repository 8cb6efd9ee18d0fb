"""What the accepted rows hold, column by column."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from evaluator.errors import fault_of
from evaluator.intake._profile import ColumnStatistics, Value, ValueCount
from evaluator.spec import DataSpec

if TYPE_CHECKING:
    import polars as pl

MAX_FREQUENT: Final = 5
MAX_SHOWN_LENGTH: Final = 80


@contextmanager
def beside_the_rows(what: str, notes: list[str]) -> Iterator[None]:
    """Make a fault of ours in what describes the rows a note: it costs neither them nor a report.

    A fault of the machine, such as a full disk, stays one.
    """
    try:
        yield
    except Exception as error:
        if fault_of(error) == "machine":
            raise
        notes.append(
            f"{what} could not be told, which is a fault of this program"
            f" ({type(error).__name__}: {error})"
        )


def column_statistics(typed: Path, data: DataSpec, notes: list[str]) -> dict[str, ColumnStatistics]:
    """Describe the columns of a file of typed rows, two columns at a time."""
    import polars as pl

    def one(name: str) -> ColumnStatistics:
        column = data.columns[name]
        values = pl.read_parquet(typed, columns=[name])[name]
        unique = (name,) == data.id_columns or (column.unique and column.severity == "refuse")
        missing = values.null_count()
        described: dict[str, Any] = {"distinct": 0, "most_frequent": []}
        with beside_the_rows(f"what {name!r} holds", notes):
            described = _describe(values, unique=unique)
        counts = {"count": len(values) - missing, "missing": missing}
        return ColumnStatistics(type=column.type, **counts, **described)

    with ThreadPoolExecutor(max_workers=2) as pool:
        return dict(zip(data.columns, pool.map(one, data.columns), strict=True))


def _describe(values: "pl.Series", *, unique: bool) -> dict[str, Any]:
    """Describe one column."""
    import polars as pl

    present = values.drop_nulls()
    if len(present) == 0:
        return {"distinct": 0, "most_frequent": []}
    if values.dtype == pl.String:
        return _describe_texts(present, unique=unique)
    if values.dtype == pl.Boolean:
        true = int(present.sum())
        counts = [pair for pair in ((True, true), (False, len(present) - true)) if pair[1]]
        return {
            "distinct": len(counts),
            "most_frequent": _listed(counts),
            "mean": true / len(present),
        }
    return _describe_ordered(present)


def _describe_texts(present: "pl.Series", *, unique: bool) -> dict[str, Any]:
    import polars as pl

    different, pairs = present, []
    if not unique:
        # The streaming engine counts in small tables and not over the hashes of all values.
        lazy = present.alias("value").to_frame().lazy()
        counts = lazy.group_by("value").agg(rows=pl.len()).collect(engine="streaming")
        different = counts["value"]
        if len(different) < len(present):
            top = counts.sort(["rows", "value"], descending=[True, False]).head(MAX_FREQUENT)
            pairs = list(top.iter_rows())
    lengths = different.str.len_chars()
    return {
        "min": _displayed(different.min()),
        "max": _displayed(different.max()),
        "shortest": int(lengths.min() or 0),  # type: ignore[arg-type] # a length is an integer
        "longest": int(lengths.max() or 0),  # type: ignore[arg-type] # a length is an integer
        "distinct": len(different),
        "most_frequent": _listed(pairs),
    }


def _describe_ordered(present: "pl.Series") -> dict[str, Any]:
    """Describe numbers and times by one sort."""
    import polars as pl

    dtype = present.dtype
    if isinstance(dtype, pl.Decimal):
        ordered = present.sort()
        array = ordered.cast(pl.Float64).to_numpy()
    else:
        # numpy sorts several times as fast as the engine; the sum makes -0.0 the same as 0.0.
        array = np.sort(present.to_physical().to_numpy() + 0)
        ordered = pl.Series(array).cast(dtype)
    starts = np.flatnonzero(np.concatenate([[True], array[1:] != array[:-1]]))
    counts = np.diff(np.append(starts, len(array)))
    top = np.argsort(-counts, kind="stable")[:MAX_FREQUENT]
    pairs = (
        []
        if len(starts) == len(array)
        else [(ordered[int(starts[position])], int(counts[position])) for position in top]
    )
    found: dict[str, Any] = {"distinct": len(starts), "most_frequent": _listed(pairs)}
    quartiles = {"min": 0.0, "q1": 0.25, "median": 0.5, "q3": 0.75, "max": 1.0}
    if dtype.is_temporal():
        for name, share in quartiles.items():
            found[name] = _displayed(ordered[round(share * (len(array) - 1))])
        return found
    for name, share in quartiles.items():
        found[name] = _interpolated(array, share, whole=dtype.is_integer())
    with np.errstate(over="ignore"):
        numbers = array.astype(np.float64)
        found["mean"] = _finite(numbers.mean())
        found["deviation"] = _finite(numbers.std(ddof=1)) if len(array) > 1 else None
    return found


def _interpolated(array: npt.NDArray[Any], share: float, *, whole: bool) -> Any:
    position = share * (len(array) - 1)
    low = int(position)
    part = position - low
    if part == 0:
        return int(array[low]) if whole else float(array[low])
    return float(array[low]) * (1 - part) + float(array[low + 1]) * part


def _finite(value: Any) -> float | None:
    return float(value) if np.isfinite(value) else None


def _listed(pairs: list[tuple[Any, int]]) -> list[ValueCount]:
    return [ValueCount(value=_displayed(value), count=int(count)) for value, count in pairs]


def _displayed(value: Any) -> Value:
    if value is None or isinstance(value, bool | int | float):
        return value
    if hasattr(value, "isoformat"):
        return str(value.isoformat())
    text = str(value)
    return text if len(text) <= MAX_SHOWN_LENGTH else text[: MAX_SHOWN_LENGTH - 1] + "…"
