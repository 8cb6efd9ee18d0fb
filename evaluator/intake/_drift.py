"""How far a day's content is from the reference's, by the size of the effect."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from evaluator.intake._profile import ColumnDrift, ContentDrift, SliceDrift
from evaluator.spec import ColumnSpec, DataSpec, DriftSpec

if TYPE_CHECKING:
    import polars as pl

#: Added to each bin's count, so that an empty bin gives a large index and not an infinite one.
SMOOTHING: Final = 0.5
BINS: Final = 10
#: As many values at most have a bin of their own; the rest share one.
OWN_BINS: Final = 20
#: A reference with more different texts than this is not asked which ones are new.
MAX_CATEGORIES: Final = 1_000
#: The probabilities of the quantiles between which distributions are compared.
QUANTILES: Final = (np.arange(200) + 0.5) / 200


@dataclass(frozen=True)
class ColumnContent:
    """What a column holds, as far as drift asks."""

    count: int
    missing: int
    #: How many values are in each bin.
    bins: Sequence[int]
    #: Of numbers: the upper ends of all bins but the last, QUANTILES, and a scale of distances.
    edges: Sequence[float] | None = None
    quantiles: Sequence[float] | None = None
    spread: float | None = None
    #: Of categories: those that have a bin, and all of them unless they are too many.
    names: Sequence[str] = ()
    categories: Sequence[str] | None = None
    #: What of `ColumnDrift` tells them from a reference's; None where those are not known.
    unknown: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Content:
    """What rows hold, as far as drift asks.

    Attributes
    ----------
    rows
        How many there are.
    columns
        By name what is compared: counts in bins, quantiles of numbers, names of categories.
    slices
        The same of each slice, by its values.
    """

    rows: int
    columns: Mapping[str, ColumnContent]
    slices: "Mapping[tuple[str, ...], Content]" = field(default_factory=dict)


def content_drift(
    typed: Path,
    data: DataSpec,
    reference: Content | Sequence[Path],
    slices: Sequence[str],
) -> ContentDrift:
    """Compare a day's typed rows with the reference, overall and per slice.

    The stability index is the symmetric divergence of Kullback and Leibler (Annals of Mathematical
    Statistics 22, 1951, pp. 79-86), less what chance gives it (Yurdakul 2018, dissertation,
    Western Michigan University). The Jensen-Shannon distance is the root of Lin's divergence (IEEE
    Transactions on Information Theory 37, 1991, pp. 145-151). Wasserstein: Vallender (Theory of
    Probability and its Applications 18, 1974, pp. 784-786). Corrected p-values: Holm (Scandinavian
    Journal of Statistics 6, 1979, pp. 65-70); Benjamini and Hochberg (Journal of the Royal
    Statistical Society B 57, 1995, pp. 289-300).
    """
    limits = data.drift
    by = tuple(slices) if limits.per_slice else ()
    if not isinstance(reference, Content):
        reference = reference_content(reference, data, by)
    day = _content([typed], data, by, reference)
    columns = _compare_all(reference.columns, day.columns, limits)
    drifted_slices, compared, small = [], 0, 0
    for key, part in day.slices.items():
        before = reference.slices.get(key)
        if before is None or min(before.rows, part.rows) < limits.minimum_rows:
            small += 1
            continue
        compared += 1
        measured = _compare_all(before.columns, part.columns, limits)
        moved = {name: measures for name, measures in measured.items() if measures.drifted}
        if moved:
            values = dict(zip(by, key, strict=True))
            drifted_slices.append(SliceDrift(slice=values, rows=part.rows, columns=moved))
    notes = []
    if min(day.rows, reference.rows) < limits.minimum_rows:
        notes.append(
            f"fewer than {limits.minimum_rows:,} rows on one side: nothing is called drift"
        )
    gone = reference.slices.keys() - day.slices.keys()
    if gone and by:
        notes.append(f"{len(gone)} slices of the reference have no rows")
    return ContentDrift(
        reference_rows=reference.rows,
        rows=day.rows,
        columns=columns,
        drifted=tuple(name for name, measures in columns.items() if measures.drifted),
        slices=tuple(drifted_slices),
        slices_compared=compared,
        slices_too_small=small,
        notes=tuple(notes),
    )


def reference_content(paths: Sequence[Path], data: DataSpec, slices: Sequence[str] = ()) -> Content:
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
    Content
        What days are compared with, so that the files are read once.
    """
    return _content(paths, data, slices, None)


def _content(
    paths: Sequence[Path], data: DataSpec, slices: Sequence[str], reference: Content | None
) -> Content:
    """Summarise rows, in the bins of a reference where there is one."""
    import polars as pl

    files = [str(path) for path in paths]
    keys = pl.read_parquet(files, columns=list(slices)) if slices else None
    positions = _slice_positions(keys)
    columns: dict[str, ColumnContent] = {}
    parts: dict[tuple[str, ...], dict[str, ColumnContent]] = {key: {} for key in positions}
    known = reference.slices if reference is not None else {}
    rows = 0
    for name in compared_columns(data):
        values = pl.read_parquet(files, columns=[name])[name]
        rows = len(values)
        bins = None if reference is None else reference.columns.get(name)
        columns[name] = _summary(values, data.columns[name], bins)
        if name in slices:
            continue
        for key, position in positions.items():
            if reference is not None and key not in known:
                continue
            bins = None if reference is None else known[key].columns.get(name)
            parts[key][name] = _summary(values.gather(position), data.columns[name], bins)
    found = {key: Content(len(positions[key]), parts[key]) for key in sorted(positions)}
    return Content(rows, columns, found)


def compared_columns(data: DataSpec) -> list[str]:
    """Name the columns whose content can drift."""
    return [
        name
        for name, column in data.columns.items()
        if column.drift
        and name not in data.id_columns
        and not column.unique
        and column.kind not in ("date", "timestamp")
    ]


def _slice_positions(keys: "pl.DataFrame | None") -> dict[tuple[str, ...], "pl.Series"]:
    """Find the rows of each slice; rows with part of the key missing belong to none."""
    import polars as pl

    if keys is None:
        return {}
    texts = keys.select(pl.all().cast(pl.String)).with_row_index("row").drop_nulls()
    grouped = texts.group_by(keys.columns, maintain_order=True).agg("row")
    return {tuple(row[:-1]): pl.Series(row[-1]) for row in grouped.iter_rows()}


def _summary(values: "pl.Series", column: ColumnSpec, bins: ColumnContent | None) -> ColumnContent:
    import polars as pl

    present, missing = values.drop_nulls(), values.null_count()
    if column.kind == "number":
        return _numbers(present.cast(pl.Float64).to_numpy(), missing, bins)
    return _categories(present.cast(pl.String), missing, bins)


def _numbers(values: Any, missing: int, bins: ColumnContent | None) -> ColumnContent:
    edges = None if bins is None else bins.edges
    if len(values) == 0:
        edges = edges or ()
        return ColumnContent(0, missing, [0] * (len(edges) + 1), edges=edges, quantiles=())
    if edges is None:
        edges = np.unique(np.quantile(values, np.arange(1, BINS) / BINS)).tolist()
    # A value on an edge belongs to the bin below it.
    counts = np.bincount(np.searchsorted(edges, values, side="left"), minlength=len(edges) + 1)
    low, high = np.quantile(values, [0.25, 0.75])
    # Where most values are one, the quartiles are near each other or the same.
    spread = max(float(high - low), float(np.std(values)))
    quantiles = np.quantile(values, QUANTILES).tolist()
    return ColumnContent(len(values), missing, counts.tolist(), edges, quantiles, spread or None)


def _categories(values: "pl.Series", missing: int, bins: ColumnContent | None) -> ColumnContent:
    counts = values.alias("value").value_counts(name="rows")
    ordered = dict(counts.sort(["rows", "value"], descending=[True, False]).iter_rows())
    names = list(ordered)[:OWN_BINS] if bins is None else bins.names
    own = [int(ordered.get(name, 0)) for name in names]
    unknown = None
    if bins is not None and bins.categories is not None:
        known = set(bins.categories)
        new = {name: int(count) for name, count in ordered.items() if name not in known}
        vanished = [name for name in bins.categories if name not in ordered]
        unknown = {
            "new": dict(list(new.items())[:OWN_BINS]),
            "new_count": len(new),
            "vanished": vanished[:OWN_BINS],
        }
    return ColumnContent(
        len(values),
        missing,
        [*own, len(values) - sum(own)],
        names=names,
        categories=list(ordered) if len(ordered) <= MAX_CATEGORIES else None,
        unknown=unknown,
    )


def _compare_all(
    before: Mapping[str, ColumnContent], after: Mapping[str, ColumnContent], limits: DriftSpec
) -> dict[str, ColumnDrift]:
    found = {name: compare(before[name], after[name], limits) for name in after if name in before}
    if limits.test != "none":
        _add_p_values(found, before, after, limits)
    return found


def compare(before: ColumnContent, after: ColumnContent, limits: DriftSpec) -> ColumnDrift:
    """Measure how far a column is from the reference."""
    rows = [side.count + side.missing for side in (before, after)]
    share = after.missing / rows[1] if rows[1] else None
    change = None if share is None or not rows[0] else share - before.missing / rows[0]
    distances: dict[str, float | None] = {"stability_index": None, "jensen_shannon": None}
    if before.count and after.count:
        first, second = np.array(before.bins, float), np.array(after.bins, float)
        distances["stability_index"] = stability_index(first, second)
        distances["jensen_shannon"] = jensen_shannon(first, second)
    if before.quantiles is not None:
        distances["wasserstein"] = _wasserstein(before, after)
    enough = min(before.count, after.count) >= limits.minimum_rows
    moved = [
        name
        for name, distance in distances.items()
        if enough and (distance or 0.0) > getattr(limits, name)
    ]
    enough = min(rows) >= limits.minimum_rows
    if enough and change is not None and abs(change) > limits.missing_share:
        moved.append("missing_share")
    return ColumnDrift(
        missing_share=share,
        missing_change=change,
        drifted=tuple(moved),
        **distances,
        **(after.unknown or {}),
    )


def stability_index(first: npt.NDArray[np.float64], second: npt.NDArray[np.float64]) -> float:
    """Compute the population stability index of two histograms."""
    p, q = _shares(first, SMOOTHING), _shares(second, SMOOTHING)
    return max(float(((q - p) * np.log(q / p)).sum()) - _by_chance(first, second), 0.0)


def jensen_shannon(first: npt.NDArray[np.float64], second: npt.NDArray[np.float64]) -> float:
    """Compute the Jensen-Shannon distance of two histograms."""
    p, q = _shares(first, 0.0), _shares(second, 0.0)
    middle = (p + q) / 2
    divergence = (_divergence(p, middle) + _divergence(q, middle)) / 2
    by_chance = _by_chance(first, second) / (8 * np.log(2))
    # Where nothing is in common, chance has no part in it.
    apart = not ((first > 0) & (second > 0)).any()
    return float(np.sqrt(max(divergence - (0.0 if apart else by_chance), 0.0)))


def _by_chance(first: npt.NDArray[np.float64], second: npt.NDArray[np.float64]) -> float:
    """Expect a stability index of two samples of one distribution.

    (bins - 1) (1/n + 1/m), where bins that are empty on both sides do not count (Yurdakul,
    Statistical Properties of Population Stability Index, 2018). Without it, small slices would
    drift every day.
    """
    bins = int(((first > 0) | (second > 0)).sum())
    return float((bins - 1) * (1 / first.sum() + 1 / second.sum()))


def _shares(counts: npt.NDArray[np.float64], smoothing: float) -> npt.NDArray[np.float64]:
    smoothed = counts + smoothing
    shares: npt.NDArray[np.float64] = smoothed / smoothed.sum()
    return shares


def _divergence(p: npt.NDArray[np.float64], q: npt.NDArray[np.float64]) -> float:
    some = p > 0
    return float((p[some] * np.log2(p[some] / q[some])).sum())


def _wasserstein(before: ColumnContent, after: ColumnContent) -> float | None:
    """Average the distance of 200 quantiles, in spreads of the reference.

    The first Wasserstein distance is the integral of |F^-1(u) - G^-1(u)| over u (Vallender 1974);
    the spread is the reference's interquartile range or its deviation, the larger of the two.
    """
    if not before.quantiles or not after.quantiles or before.spread is None:
        return None
    gaps = np.abs(np.array(before.quantiles) - np.array(after.quantiles))
    return float(gaps.mean() / before.spread)


def _add_p_values(
    found: dict[str, ColumnDrift],
    before: Mapping[str, ColumnContent],
    after: Mapping[str, ColumnContent],
    limits: DriftSpec,
) -> None:
    """Add chi-squared p-values, corrected for the number of columns; they decide nothing."""
    from scipy.stats import chi2_contingency

    raw = {}
    for name in found:
        table = np.array([before[name].bins, after[name].bins])
        table = table[:, table.sum(axis=0) > 0]
        if table.shape[1] > 1 and (table.sum(axis=1) > 0).all():
            raw[name] = float(chi2_contingency(table, correction=False).pvalue)
    corrected = correct(list(raw.values()), limits.test)
    for name, value in zip(raw, corrected, strict=True):
        found[name] = found[name].model_copy(update={"p_value": value})


def correct(p_values: Sequence[float], how: str) -> list[float]:
    """Correct p-values for their number."""
    values = np.array(p_values, dtype=float)
    count = len(values)
    order = np.argsort(values, kind="stable")
    ranks = np.arange(1, count + 1)
    if how == "holm":
        steps = np.maximum.accumulate(values[order] * (count - ranks + 1))
    else:
        steps = np.minimum.accumulate((values[order] * count / ranks)[::-1])[::-1]
    corrected = np.empty(count)
    corrected[order] = np.minimum(steps, 1.0)
    return corrected.tolist()
