"""What a set of rows holds, in a form that two sets can be compared by.

A reference fixes the bins: the edges of its deciles for numbers, its most frequent values for
texts. A day is then counted into the reference's bins, so that the same day against the same
reference always gives the same figures.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from evaluator.spec.data import ColumnSpec, DataSpec

if TYPE_CHECKING:
    import polars as pl

BINS: Final = 10
#: As many values at most have a bin of their own; the rest share one.
OWN_BINS: Final = 20
#: A reference with more different texts than this is not asked which ones are new.
MOST_CATEGORIES: Final = 1_000
#: The places of the quantiles between which distributions are compared.
QUANTILES: Final = (np.arange(200) + 0.5) / 200


def reference_content(
    paths: Sequence[Path], data: DataSpec, slices: Sequence[str] = ()
) -> dict[str, Any]:
    """Summarise the rows that days are compared with.

    Parameters
    ----------
    paths
        Files of typed rows, together the reference.
    data
        What is declared.
    slices
        Columns whose combinations are summarised one by one, too.

    Returns
    -------
    dict
        Ready for JSON, so that it can be kept: `rows`, `columns` and `slices`.
    """
    return _content(paths, data, slices, None)


def day_content(
    paths: Sequence[Path], data: DataSpec, slices: Sequence[str], reference: Mapping[str, Any]
) -> dict[str, Any]:
    """Summarise a day's rows in the bins of a reference.

    Parameters
    ----------
    paths
        Files of typed rows.
    data
        What is declared.
    slices
        As for the reference.
    reference
        From `reference_content`.

    Returns
    -------
    dict
        As `reference_content`.
    """
    return _content(paths, data, slices, reference)


def compared_columns(data: DataSpec) -> list[str]:
    """Name the columns whose content can drift.

    Parameters
    ----------
    data
        What is declared.

    Returns
    -------
    list of str
        Neither ids and unique columns, nor dates and times, which are others every day.
    """
    return [
        name
        for name, column in data.columns.items()
        if column.drift
        and name != data.id
        and not column.unique
        and column.kind not in ("date", "timestamp")
    ]


def _content(
    paths: Sequence[Path],
    data: DataSpec,
    slices: Sequence[str],
    reference: Mapping[str, Any] | None,
) -> dict[str, Any]:
    import polars as pl

    files = [str(path) for path in paths]
    names = compared_columns(data)
    keys = pl.read_parquet(files, columns=list(slices)) if slices else None
    places = _slice_places(keys)
    columns: dict[str, Any] = {}
    parts: dict[tuple[str, ...], dict[str, Any]] = {key: {} for key in places}
    known = {tuple(part["key"]): part for part in (reference or {}).get("slices", ())}
    rows = 0
    for name in names:
        values = pl.read_parquet(files, columns=[name])[name]
        rows = len(values)
        bins = None if reference is None else reference["columns"].get(name)
        columns[name] = _summary(values, data.columns[name], bins)
        if name in slices:
            continue
        for key, place in places.items():
            if reference is not None and key not in known:
                continue
            bins = None if reference is None else known[key]["columns"].get(name)
            parts[key][name] = _summary(values.gather(place), data.columns[name], bins)
    found = [
        {
            "slice": dict(zip(slices, key, strict=True)),
            "key": list(key),
            "rows": len(places[key]),
            "columns": parts[key],
        }
        for key in sorted(places)
    ]
    return {"rows": rows, "columns": columns, "slices": found}


def _slice_places(keys: "pl.DataFrame | None") -> dict[tuple[str, ...], "pl.Series"]:
    """Find the rows of each slice; rows with part of the key missing belong to none."""
    import polars as pl

    if keys is None:
        return {}
    texts = keys.select(pl.all().cast(pl.String)).with_row_index("row").drop_nulls()
    grouped = texts.group_by(keys.columns, maintain_order=True).agg("row")
    return {tuple(row[:-1]): pl.Series(row[-1]) for row in grouped.iter_rows()}


def _summary(
    values: "pl.Series", column: ColumnSpec, bins: Mapping[str, Any] | None
) -> dict[str, Any]:
    import polars as pl

    present = values.drop_nulls()
    base = {"count": len(present), "missing": values.null_count()}
    if column.kind == "number":
        return {**base, **_numbers(present.cast(pl.Float64).to_numpy(), bins)}
    return {**base, **_categories(present.cast(pl.String), bins)}


def _numbers(values: Any, bins: Mapping[str, Any] | None) -> dict[str, Any]:
    if len(values) == 0:
        edges = [] if bins is None else bins.get("edges", [])
        return {"edges": edges, "bins": [0] * (len(edges) + 1), "quantiles": [], "spread": None}
    if bins is None or "edges" not in bins:
        edges = np.unique(np.quantile(values, np.arange(1, BINS) / BINS)).tolist()
    else:
        edges = list(bins["edges"])
    # A value on an edge belongs to the bin below it.
    counts = np.bincount(np.searchsorted(edges, values, side="left"), minlength=len(edges) + 1)
    low, high = np.quantile(values, [0.25, 0.75])
    # Where most values are one, the quartiles are near each other or the same.
    spread = max(float(high - low), float(np.std(values)))
    return {
        "edges": edges,
        "bins": counts.tolist(),
        "quantiles": np.quantile(values, QUANTILES).tolist(),
        "spread": spread or None,
    }


def _categories(values: "pl.Series", bins: Mapping[str, Any] | None) -> dict[str, Any]:
    counts = values.alias("value").value_counts(name="rows")
    ordered = dict(counts.sort(["rows", "value"], descending=[True, False]).iter_rows())
    names = list(ordered)[:OWN_BINS] if bins is None else list(bins["names"])
    own = [int(ordered.get(name, 0)) for name in names]
    found: dict[str, Any] = {
        "names": names,
        "bins": [*own, len(values) - sum(own)],
        "all": list(ordered) if len(ordered) <= MOST_CATEGORIES else None,
    }
    if bins is not None and bins.get("all") is not None:
        known = set(bins["all"])
        new = {name: int(count) for name, count in ordered.items() if name not in known}
        found["new"] = dict(list(new.items())[:OWN_BINS])
        found["new_count"] = len(new)
        found["vanished"] = [name for name in bins["all"] if name not in ordered][:OWN_BINS]
    return found
