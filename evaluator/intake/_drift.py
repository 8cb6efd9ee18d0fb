"""How far a day's content is from the reference's: by the size of the effect, beyond chance."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from evaluator.intake._profile import ColumnDrift, ContentDrift, SliceDrift, TooFew
from evaluator.spec import ColumnSpec, DataSpec, DriftSpec

if TYPE_CHECKING:
    import polars as pl

Floats = npt.NDArray[np.float64]
#: How far one side is from the other, how far chance goes, and a p-value.
Look = tuple[float, float, float]

#: Above these an effect is drift, by the kind of column, where the audit declares nothing.
LIMITS: Final[Mapping[str, Mapping[str, float]]] = {
    "number": {"stability_index": 0.05, "jensen_shannon": 0.1, "wasserstein": 0.15},
    "text": {"stability_index": 0.1, "jensen_shannon": 0.14},
    "boolean": {"stability_index": 0.05, "jensen_shannon": 0.1},
}
MISSING_LIMIT: Final = 0.025
#: Of days on which nothing changed, so many may be called drifted: half of them for all columns
#: and measures overall, half for those in all slices.
FALSE_ALARMS: Final = 0.05
#: From so many days on, what they differ by among themselves is what chance gives.
MIN_DAYS: Final = 10
#: The least deviation of the logarithms, since a few days can be alike by luck.
MIN_DEVIATION: Final = 0.3
#: Instead of 0, which has no logarithm.
TINY: Final = 1e-12
#: Added to each bin's count, so that an empty bin gives a large index and not an infinite one.
SMOOTHING: Final = 0.5
BINS: Final = 10
#: As many values at most have a bin of their own; the rest share one.
OWN_BINS: Final = 20
#: A bin expects at least so many rows on the smaller side, or it joins its neighbour.
MIN_EXPECTED: Final = 5
#: A reference with more different texts than this is not asked which ones are new.
MAX_CATEGORIES: Final = 1_000
#: The probabilities of the quantiles between which distributions are compared.
QUANTILES: Final = (np.arange(200) + 0.5) / 200

#: Chance is asked for the counts in bins, the quantiles and the missing values. Which of the three
#: a measure is made of:
LOOKS: Final = {"stability_index": 0, "jensen_shannon": 0, "wasserstein": 1, "missing_share": 2}


@dataclass(frozen=True)
class ColumnContent:
    """What a column holds, as far as drift asks."""

    count: int
    missing: int
    #: Of numbers: the upper ends of all bins but the last, and how many values are in each.
    edges: Floats | None = None
    bins: Floats | None = None
    #: Of numbers: QUANTILES, a scale of distances, and what a report shows.
    quantiles: Floats = field(default_factory=lambda: np.empty(0))
    spread: float = 0.0
    averages: Mapping[str, float] = field(default_factory=dict)
    #: Of categories: how often each is there, the most frequent first.
    names: Mapping[str, int] = field(default_factory=dict)
    #: Of a reference of enough days, by look: how many were looked at, and of the logarithms of
    #: how far each was from the others the mean and deviation.
    days: Floats | None = None


@dataclass(frozen=True)
class Content:
    """What rows hold, as far as drift asks.

    Attributes
    ----------
    rows
        How many there are.
    columns
        By name what is compared: counts in bins, quantiles of numbers, names of categories, and
        how far the days of a reference are from each other.
    slices
        The same of each slice, by its values.
    """

    rows: int
    columns: Mapping[str, ColumnContent]
    slices: "Mapping[tuple[str, ...], Content]" = field(default_factory=dict)


@dataclass(frozen=True)
class Looks:
    """How far a column is from the reference by each measure, and how far chance goes."""

    #: By measure, less what chance gives.
    effects: Mapping[str, float | None]
    #: Of bins, quantiles and missing values; NaN where there is too little to look at.
    raw: Floats
    chance: Floats
    p_values: Floats


def content_drift(
    typed: Path,
    data: DataSpec,
    reference: Content | Sequence[Path],
    slices: Sequence[str],
) -> ContentDrift:
    """Compare a day's typed rows with the reference, overall and per slice.

    An effect is drift where, less what chance gives it, it is above its limit, and where all of it
    is beyond what chance reaches in any look of a day (Bonferroni's bound): that of rows drawn at
    random, and from ten reference days on also that of one more day like those.

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
    columns, few = _compare_all([(reference, day)], data)[0]
    too_few = [TooFew(slice={}, columns=few)] if few else []
    pairs, drifted_slices, small = {}, [], 0
    for key, part in day.slices.items():
        before = reference.slices.get(key)
        if before is None or min(before.rows, part.rows) < limits.minimum_rows:
            small += 1
            too_few.append(TooFew(slice=dict(zip(by, key, strict=True))))
        else:
            pairs[key] = (before, part)
    for key, (measured, few) in zip(pairs, _compare_all(list(pairs.values()), data), strict=True):
        values = dict(zip(by, key, strict=True))
        moved = {name: measures for name, measures in measured.items() if measures.drifted}
        if moved:
            drifted_slices.append(
                SliceDrift(slice=values, rows=day.slices[key].rows, columns=moved)
            )
        if few:
            too_few.append(TooFew(slice=values, columns=few))
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
        slices_compared=len(pairs),
        slices_too_small=small,
        notes=tuple(notes),
        **({"too_few": tuple(too_few)} if too_few else {}),
    )


def reference_content(paths: Sequence[Path], data: DataSpec, slices: Sequence[str] = ()) -> Content:
    """Summarise the rows that days are compared with.

    Parameters
    ----------
    paths
        Files of typed rows, together the reference: one a day, or all in one.
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
    ends = np.cumsum([pl.scan_parquet(file).select(pl.len()).collect().item() for file in files])
    rows = int(ends[-1])
    columns: dict[str, ColumnContent] = {}
    parts: dict[tuple[str, ...], dict[str, ColumnContent]] = {key: {} for key in positions}
    known = reference.slices if reference is not None else {}
    minimum = data.drift.minimum_rows
    for name in compared_columns(data):
        values = pl.read_parquet(files, columns=[name])[name]
        kind = data.columns[name]
        if reference is None:
            columns[name] = _reference_summary(values, kind, ends, minimum)
        else:
            columns[name] = _summary(values, kind, reference.columns.get(name))
        if name in slices:
            continue
        for key, position in positions.items():
            part = values.gather(position)
            if reference is None:
                within = np.searchsorted(position.to_numpy(), ends)
                parts[key][name] = _reference_summary(part, kind, within, minimum)
            elif key in known:
                parts[key][name] = _summary(part, kind, known[key].columns.get(name))
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


def _reference_summary(
    values: "pl.Series", column: ColumnSpec, ends: npt.NDArray[np.int64], minimum: int
) -> ColumnContent:
    """Summarise a column of all reference days, and how far each day is from the others."""
    whole = _summary(values, column, None)
    if len(ends) < MIN_DAYS:
        return whole
    raw, chance = np.full((2, len(ends), 3), np.nan)
    starts = [0, *ends[:-1]]
    for number, (start, end) in enumerate(zip(starts, ends, strict=True)):
        if end - start < minimum:
            continue
        day = _summary(values.slice(start, end - start), column, whole)
        others = _without(whole, day)
        looks = _look(others, day, minimum)
        raw[number], chance[number] = looks.raw, looks.chance
        if others.count:
            # Compared with all days it is nearer than with the others, by just its share of them.
            raw[number, 1] *= whole.count / others.count
    far = _logarithm(raw, chance)
    seen = np.isfinite(far)
    count = seen.sum(axis=0)
    mean = np.where(seen, far, 0.0).sum(axis=0) / np.maximum(count, 1)
    squares = np.where(seen, far - mean, 0.0) ** 2
    deviation = np.sqrt(squares.sum(axis=0) / np.maximum(count - 1, 1))
    return replace(whole, days=np.array([count, mean, np.maximum(deviation, MIN_DEVIATION)]))


def _logarithm(raw: Floats, chance: Floats) -> Floats:
    """Take that of a distance; none is less than what chance gives rows at random."""
    return np.log(np.fmax(np.fmax(raw, chance), TINY))


def _without(whole: ColumnContent, day: ColumnContent) -> ColumnContent:
    """Take a day away; the quantiles stay those of all days."""
    return replace(
        whole,
        count=whole.count - day.count,
        missing=whole.missing - day.missing,
        bins=None if whole.bins is None or day.bins is None else whole.bins - day.bins,
        names={name: count - day.names.get(name, 0) for name, count in whole.names.items()},
    )


def _summary(values: "pl.Series", column: ColumnSpec, bins: ColumnContent | None) -> ColumnContent:
    import polars as pl

    present, missing = values.drop_nulls(), values.null_count()
    if column.kind == "number":
        return _numbers(present.cast(pl.Float64).to_numpy(), missing, bins)
    counts = present.cast(pl.String).alias("value").value_counts(name="rows")
    ordered = counts.sort(["rows", "value"], descending=[True, False])
    if bins is None:
        ordered = ordered.head(MAX_CATEGORIES + 1)
    return ColumnContent(len(present), missing, names=dict(ordered.iter_rows()))


def _numbers(values: Floats, missing: int, bins: ColumnContent | None) -> ColumnContent:
    edges = None if bins is None else bins.edges
    if len(values) == 0:
        return ColumnContent(0, missing, edges=edges)
    if edges is None:
        edges = _edges(values)
    # A value on an edge belongs to the bin below it.
    counts = np.bincount(np.searchsorted(edges, values, side="left"), minlength=len(edges) + 1)
    low, median, high = np.quantile(values, [0.25, 0.5, 0.75])
    return ColumnContent(
        len(values),
        missing,
        edges=edges,
        bins=counts.astype(float),
        quantiles=np.quantile(values, QUANTILES),
        # Where most values are one, the quartiles are near each other or the same.
        spread=max(float(high - low), float(np.std(values))),
        averages={"median": float(median), "mean": float(values.mean())},
    )


def _edges(values: Floats) -> Floats:
    """Cut at the deciles; one that is there more than once is a bin of its own."""
    deciles, times = np.unique(np.quantile(values, np.arange(1, BINS) / BINS), return_counts=True)
    return np.union1d(deciles, np.nextafter(deciles[times > 1], -np.inf))


def _compare_all(
    pairs: Sequence[tuple[Content, Content]], data: DataSpec
) -> list[tuple[dict[str, ColumnDrift], tuple[str, ...]]]:
    """Measure the columns of each pair, and name those with too few values.

    Chance has a try at all of them.
    """
    limits = data.drift
    compared = [
        (number, name, before.columns[name], after.columns[name])
        for number, (before, after) in enumerate(pairs)
        for name in after.columns
        if name in before.columns
    ]
    looks = [_look(before, after, limits.minimum_rows) for *_, before, after in compared]
    beyond = _beyond_chance([before for _, _, before, _ in compared], looks)
    found: list[dict[str, ColumnDrift]] = [{} for _ in pairs]
    few: list[list[str]] = [[] for _ in pairs]
    for (number, name, before, after), look, moved in zip(compared, looks, beyond, strict=True):
        drifted = tuple(
            measure
            for measure, effect in look.effects.items()
            if moved[LOOKS[measure]]
            and abs(effect or 0.0) > _limit(measure, data.columns[name], limits)
        )
        found[number][name] = _column_drift(before, after, look, drifted)
        if min(before.count, after.count) < limits.minimum_rows:
            few[number].append(name)
    if limits.test != "none":
        for number in range(len(pairs)):
            of_pair = [look for at, look in zip(compared, looks, strict=True) if at[0] == number]
            _add_p_values(found[number], of_pair, limits.test)
    return [(columns, tuple(names)) for columns, names in zip(found, few, strict=True)]


def _limit(measure: str, column: ColumnSpec, limits: DriftSpec) -> float:
    declared: float | None = getattr(limits, measure)
    if declared is not None:
        return declared
    return MISSING_LIMIT if measure == "missing_share" else LIMITS[column.kind][measure]


def _beyond_chance(
    before: Sequence[ColumnContent], looks: Sequence[Looks]
) -> npt.NDArray[np.bool_]:
    """Tell which looks at which columns are beyond what chance reaches in any of them."""
    from scipy.special import stdtrit

    if not looks:
        return np.zeros((0, 3), dtype=bool)
    p_values = np.array([look.p_values for look in looks])
    level = FALSE_ALARMS / 2 / max(np.isfinite(p_values).sum(), 1)
    beyond: npt.NDArray[np.bool_] = p_values < level
    for number, (column, look) in enumerate(zip(before, looks, strict=True)):
        if column.days is None:
            continue
        count, mean, deviation = column.days
        # What one more day reaches, if the logarithms are normal: each look has its own days, so
        # that a column that storms move does not hide another's drift.
        reach = stdtrit(np.maximum(count - 1, 1), 1 - level) * np.sqrt(1 + 1 / np.maximum(count, 1))
        near = _logarithm(look.raw, look.chance) <= mean + reach * deviation
        beyond[number] &= ~(near & (count >= MIN_DAYS))
    return beyond


def _look(before: ColumnContent, after: ColumnContent, minimum: int) -> Looks:
    """Measure how far a column is from the reference, and how far chance would go."""
    effects: dict[str, float | None] = {"stability_index": None, "jensen_shannon": None}
    nothing = (np.nan, 0.0, np.nan)
    looks = [nothing, nothing, nothing]
    values = min(before.count, after.count)
    if values:
        first, second = _in_bins(before, after)
        effects["stability_index"] = stability_index(first, second)
        effects["jensen_shannon"] = jensen_shannon(first, second)
        by_chance = _by_chance(first, second)
        if values >= minimum and by_chance:
            index = _index(first, second)
            looks[0] = (np.sqrt(index), np.sqrt(by_chance), _p_value(first, second))
    if before.edges is not None:
        effects["wasserstein"] = None
        if values:
            effects["wasserstein"], found = _wasserstein(before, after)
            looks[1] = found if values >= minimum else nothing
    rows = min(before.count + before.missing, after.count + after.missing)
    effects["missing_share"] = None
    if rows:
        effects["missing_share"], found = _missing(before, after)
        looks[2] = found if rows >= minimum else nothing
    raw, chance, p_values = np.array(looks).T
    return Looks(effects, raw, chance, p_values)


def _in_bins(before: ColumnContent, after: ColumnContent) -> tuple[Floats, Floats]:
    """Count the values of both in common bins.

    Names are chosen by their rows on both sides together: those that are frequent in a small
    reference by luck would all be rarer on any other day.
    """
    if before.bins is not None and after.bins is not None:
        return _merged(before.bins, after.bins)
    known = set(before.names)
    if len(known) <= MAX_CATEGORIES:
        known |= set(after.names)
    rows = [(before.names.get(name, 0), after.names.get(name, 0), name) for name in known]
    rows.sort(key=lambda row: (-row[0] - row[1], row[2]))
    own = np.array([row[:2] for row in rows[:OWN_BINS]], float).T
    rest = [[before.count], [after.count]] - own.sum(axis=1, keepdims=True)
    first, second = np.hstack([own, rest])
    return _merged(first, second)


def _merged(first: Floats, second: Floats) -> tuple[Floats, Floats]:
    """Join neighbours until each bin expects enough rows on the smaller side."""
    smaller = min(first.sum(), second.sum()) / (first.sum() + second.sum())
    expected = (first + second) * smaller
    starts, room = [0], 0.0
    for number, rows in enumerate(expected.tolist()):
        if room >= MIN_EXPECTED:
            starts.append(number)
            room = 0.0
        room += rows
    if room < MIN_EXPECTED and len(starts) > 1:
        starts.pop()
    return np.add.reduceat(first, starts), np.add.reduceat(second, starts)


def stability_index(first: Floats, second: Floats) -> float:
    """Compute the population stability index of two histograms."""
    return max(_index(first, second) - _by_chance(first, second), 0.0)


def _index(first: Floats, second: Floats) -> float:
    p, q = _shares(first, SMOOTHING), _shares(second, SMOOTHING)
    return float(((q - p) * np.log(q / p)).sum())


def jensen_shannon(first: Floats, second: Floats) -> float:
    """Compute the Jensen-Shannon distance of two histograms."""
    p, q = _shares(first, 0.0), _shares(second, 0.0)
    middle = (p + q) / 2
    divergence = (_divergence(p, middle) + _divergence(q, middle)) / 2
    by_chance = _by_chance(first, second) / (8 * np.log(2))
    # Where nothing is in common, chance has no part in it.
    apart = not ((first > 0) & (second > 0)).any()
    return float(np.sqrt(max(divergence - (0.0 if apart else by_chance), 0.0)))


def _by_chance(first: Floats, second: Floats) -> float:
    """Expect a stability index of two samples of one distribution.

    (bins - 1) (1/n + 1/m), where bins that are empty on both sides do not count (Yurdakul,
    Statistical Properties of Population Stability Index, 2018). Without it, small slices would
    drift every day.
    """
    bins = int(((first > 0) | (second > 0)).sum())
    return float((bins - 1) * (1 / first.sum() + 1 / second.sum()))


def _p_value(first: Floats, second: Floats) -> float:
    """Ask how often chance alone gives so different histograms.

    The larger of Pearson's p-value and the likelihood ratio's: where few rows are expected,
    Pearson's is too small when there are more of them, the other when there are fewer.
    """
    from scipy.special import chdtrc, xlogy

    counts = np.array([first, second])
    counts = counts[:, counts.sum(axis=0) > 0]
    if counts.shape[1] < 2:  # noqa: PLR2004 - one bin has no share to change
        return 1.0
    expected = counts.sum(axis=1, keepdims=True) * counts.sum(axis=0) / counts.sum()
    pearson = ((counts - expected) ** 2 / expected).sum()
    likelihood = 2 * xlogy(counts, counts / expected).sum()
    return float(chdtrc(counts.shape[1] - 1, min(pearson, likelihood)))


def _shares(counts: Floats, smoothing: float) -> Floats:
    smoothed = counts + smoothing
    shares: Floats = smoothed / smoothed.sum()
    return shares


def _divergence(p: Floats, q: Floats) -> float:
    some = p > 0
    return float((p[some] * np.log2(p[some] / q[some])).sum())


def _wasserstein(before: ColumnContent, after: ColumnContent) -> tuple[float, Look]:
    """Average the distance of 200 quantiles, in spreads of the reference.

    The first Wasserstein distance is the integral of |F^-1(u) - G^-1(u)| over u (Vallender 1974);
    the spread is the reference's interquartile range or its deviation, the larger of the two, and
    where all its values are one, the day's deviation from that one. Returns the distance less what
    chance gives (of the squares, as of the Jensen-Shannon distance), and a look at the quantiles
    that lie within those of both sides together, since the tails beyond have no usual distance.

    By chance the distance is the integral of |B|, B a Brownian bridge, whose mean is exact. Far out
    it is large where B has one sign, so that its tail is that of the integral of B, which is
    normal, but for a factor: 1.5 holds the level in simulations from 200 rows on.
    """
    from scipy.special import erfc

    first, second, sizes = before.quantiles, after.quantiles, (before.count, after.count)
    distance = float(np.abs(first - second).mean())
    spread = before.spread or float(np.sqrt(np.square(first - second).mean())) or 1.0
    together = _quantiles_of_both(first, second, sizes)
    low, high = together[[0, -1]]
    within = float(np.abs(np.clip(first, low, high) - np.clip(second, low, high)).mean())
    gaps = np.diff(together) * np.sqrt(sum(1 / size for size in sizes))
    mean_of_bridge, covariance = _bridge()
    by_chance = float(gaps @ mean_of_bridge)
    variance = float(gaps @ covariance @ gaps)
    p_value = min(1.5 * float(erfc(within / np.sqrt(2 * variance))), 1.0) if variance else 1.0
    effect = np.sqrt(max(distance**2 - by_chance**2, 0.0)) / spread
    return float(effect), (within / spread, by_chance / spread, p_value)


def _quantiles_of_both(first: Floats, second: Floats, sizes: tuple[int, int]) -> Floats:
    values = np.concatenate([first, second])
    order = np.argsort(values, kind="stable")
    weights = np.repeat(sizes, len(QUANTILES))[order]
    levels = (np.cumsum(weights) - weights / 2) / weights.sum()
    together: Floats = np.interp(QUANTILES, levels, values[order])
    return together


@cache
def _bridge() -> tuple[Floats, Floats]:
    """Expect |B(u)| and B(u) B(v) of a Brownian bridge at the levels between the quantiles."""
    levels = np.arange(1, len(QUANTILES)) / len(QUANTILES)
    covariance = np.minimum.outer(levels, levels) - np.outer(levels, levels)
    return np.sqrt(np.diag(covariance) * 2 / np.pi), covariance


def _missing(before: ColumnContent, after: ColumnContent) -> tuple[float, Look]:
    """Measure the change of the missing share less what chance gives, then as it is.

    Returns both, what chance gives the second one, and a p-value.
    """
    counts = np.array([[side.missing, side.count] for side in (before, after)], float)
    rows = counts.sum(axis=1)
    share = counts[:, 0].sum() / rows.sum()
    square = share * (1 - share) * (1 / rows).sum()
    change = float(np.subtract(*(counts[::-1, 0] / rows[::-1])))
    effect = np.copysign(np.sqrt(max(change**2 - square, 0.0)), change)
    by_chance = np.sqrt(square * 2 / np.pi)
    return float(effect), (abs(change), float(by_chance), _p_value(*counts))


def _column_drift(
    before: ColumnContent, after: ColumnContent, look: Looks, drifted: tuple[str, ...]
) -> ColumnDrift:
    """Put measures and what was before and after into the profile's words."""
    known = dict(look.effects)
    missing_change = known.pop("missing_share")
    shares = [
        side.missing / (side.count + side.missing) if side.count + side.missing else None
        for side in (before, after)
    ]
    shown: dict[str, Any] = {}
    if drifted and before.count and after.count:
        shown = _before_and_after(before, after)
    if "missing_share" in drifted:
        shown["missing_before"] = shares[0]
    if before.edges is None and len(before.names) <= MAX_CATEGORIES:
        new = {name: rows for name, rows in after.names.items() if name not in before.names}
        vanished = [name for name in before.names if name not in after.names]
        shown |= {
            "new": dict(list(new.items())[:OWN_BINS]),
            "new_count": len(new),
            "vanished": tuple(vanished[:OWN_BINS]),
        }
    return ColumnDrift(
        missing_share=shares[1],
        missing_change=missing_change,
        drifted=drifted,
        **known,
        **shown,
    )


def _before_and_after(before: ColumnContent, after: ColumnContent) -> dict[str, Any]:
    """Choose what shows best how a column moved."""
    if before.edges is not None:
        median = before.averages["median"], after.averages["median"]
        what = "median" if median[0] != median[1] else "mean"
        return {"moved": what, "before": before.averages[what], "after": after.averages[what]}
    shares = [
        {name: rows / side.count for name, rows in side.names.items()} for side in (before, after)
    ]
    first, second = shares
    names = ["true"] if first.keys() | second.keys() <= {"true", "false"} else [*first, *second]
    name = max(names, key=lambda name: abs(second.get(name, 0) - first.get(name, 0)))
    return {
        "moved": "share",
        "value": name,
        "before": first.get(name, 0.0),
        "after": second.get(name, 0.0),
    }


def _add_p_values(found: dict[str, ColumnDrift], looks: Sequence[Looks], how: str) -> None:
    """Add the p-values of the bins, corrected for the number of columns; they decide nothing."""
    raw = {
        name: float(look.p_values[0])
        for name, look in zip(found, looks, strict=True)
        if np.isfinite(look.p_values[0])
    }
    for name, value in zip(raw, correct(list(raw.values()), how), strict=True):
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
