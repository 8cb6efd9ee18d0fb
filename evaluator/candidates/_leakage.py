"""What makes figures look too good: features that give the label away, cases that come again."""

from collections.abc import Iterator
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from evaluator.candidates._training import content_of, equal_by_chance
from evaluator.scorecard import BEYOND_CHANCE, DATA_PREFIX
from evaluator.spec import AuditSpec

GIVES_AWAY: Final = 0.99
"""From this AUC on a single feature is told to give the label away."""
_MOST_CLASSES: Final = 20
"""Of more classes, the most frequent ones are looked at."""
_MOST_CASES: Final = 1_000_000
"""So many cases are ranked by a feature at most, for all classes together."""
_LEAST_OF_A_CLASS: Final = 10
"""With fewer cases of one class, a feature may part them by luck."""
_EXAMPLES: Final = 5


def leakage_remarks(cases: pa.Table, spec: AuditSpec, *, with_ids: bool = True) -> Iterator[str]:
    """Say which features give the label away, and which cases are there more than once.

    Parameters
    ----------
    cases
        As `EvaluationSet.cases`, with every declared column.
    spec
        The audit.
    with_ids
        Whether cases may be named.

    Yields
    ------
    str
        A sentence without its full stop.
    """
    yield from _giveaways(cases, spec)
    yield from _repeats(cases, spec, with_ids=with_ids)


def _giveaways(cases: pa.Table, spec: AuditSpec) -> Iterator[str]:
    classes, count = len(spec.asks.classes), cases.num_rows
    most = _MOST_CASES // min(classes, _MOST_CLASSES) if classes else count
    looked_at = _sample(cases, most)
    sides = [
        (said, of_class)
        for said, of_class in spec.asks.sides(looked_at["label"].to_numpy())
        if np.bincount(of_class, minlength=2).min() >= _LEAST_OF_A_CLASS
    ]
    if not sides:
        return
    sides = sorted(sides, key=lambda side: -side[1].sum())[:_MOST_CLASSES]
    extent = [
        f"in {most:,} of {count:,} cases" * (most < count),
        f"at the {_MOST_CLASSES} most frequent of {classes} classes" * (classes > _MOST_CLASSES),
    ]
    looked = ", ".join(filter(None, extent))
    for name in dict.fromkeys(name for c in spec.candidates for name in c.features):
        column = looked_at[DATA_PREFIX + name]
        auc, said = max((separation(column, of_class), said) for said, of_class in sides)
        if auc >= GIVES_AWAY:
            takers = [c.name for c in spec.candidates if name in c.features]
            yield (
                f"{name} alone tells {said} with an AUC of {auc:.3f}: see"
                f" whether it is known before the answer is (a feature of {', '.join(takers)}"
                f"{looked and f'; looked at {looked}'})"
            )


def _sample(cases: pa.Table, most: int) -> pa.Table:
    """Take so many cases, always the same ones, by their ids."""
    if cases.num_rows <= most:
        return cases
    mixed = pd.util.hash_array(cases["id"].to_numpy(zero_copy_only=False))
    return cases.take(np.sort(np.argpartition(mixed, most)[:most]))


def separation(values: "pa.ChunkedArray | pa.Array", labels: npt.NDArray[np.integer]) -> float:
    """Tell how well a single feature parts two classes, as an AUC of 0.5 or more.

    A number or a time does so by its order, with what is missing before or behind all others; any
    but a number with a fraction also by how frequent positive cases are where it has the same value
    in the other half of the cases.
    """
    from sklearn.metrics import roc_auc_score

    scores = []
    kind = values.type
    if not pa.types.is_string(kind):
        numbers = _numbers(values)
        missing = np.isnan(numbers)
        known = numbers[~missing]
        ends = (known.min() - 1, known.max() + 1) if len(known) else (0.0,)
        scores += [np.where(missing, end, numbers) for end in (ends if missing.any() else ends[:1])]
    if not (pa.types.is_floating(kind) or pa.types.is_decimal(kind)):
        scores.append(_rates_elsewhere(values, labels))
    areas = [float(roc_auc_score(labels, one)) for one in scores]
    return max(*areas, *(1 - area for area in areas))


def _numbers(values: "pa.ChunkedArray | pa.Array") -> npt.NDArray[np.float64]:
    if pa.types.is_temporal(values.type):
        values = values.cast(pa.timestamp("us")).cast(pa.int64())
    return np.asarray(values.cast(pa.float64()).to_numpy(zero_copy_only=False), np.float64)


def _rates_elsewhere(
    values: "pa.ChunkedArray | pa.Array", labels: npt.NDArray[np.integer]
) -> npt.NDArray[np.float64]:
    """Give each case the share of positive ones among those with its value in the other half."""
    whole = pa.chunked_array([values]) if isinstance(values, pa.Array) else values
    encoded = whole.combine_chunks().dictionary_encode(null_encoding="encode")
    codes = encoded.indices.to_numpy().astype(np.int64)
    half = np.arange(len(labels)) % 2
    key = codes * 2 + half
    of_value = np.bincount(key, minlength=2 * (codes.max() + 1))
    positive = np.bincount(key, weights=labels, minlength=len(of_value))
    other = codes * 2 + 1 - half
    with np.errstate(invalid="ignore"):
        rates = positive[other] / of_value[other]
    filled: npt.NDArray[np.float64] = np.where(np.isnan(rates), labels.mean(), rates)
    return filled


def _repeats(cases: pa.Table, spec: AuditSpec, *, with_ids: bool) -> Iterator[str]:
    import polars as pl

    data = spec.data
    apart = {*data.id_columns, data.weight, spec.label_column}
    columns = [name for name in data.file_columns if name not in apart]
    if not columns:
        return
    content = content_of(cases, columns)
    groups = (
        content.with_columns(
            pl.Series("\0id", cases["id"].cast(pa.string())),
            pl.Series("\0label", cases["label"].to_numpy()),
        )
        .group_by(columns)
        .agg(
            pl.len().alias("\0count"),
            pl.col("\0id").sort().head(2),
            pl.col("\0label").n_unique().alias("\0labels"),
        )
        .filter(pl.col("\0count") > 1)
    )
    count = groups["\0count"].to_numpy().astype(np.int64)
    by_chance = float((content.height - 1) * equal_by_chance(content).sum())
    # In a group of equals each case has all others.
    if not len(count) or (count * (count - 1)).sum() < BEYOND_CHANCE * by_chance:
        return
    pairs = sorted(tuple(pair) for pair in groups["\0id"].to_list())
    shown = ", ".join(f"{first} and {second}" for first, second in pairs[:_EXAMPLES])
    more = ", ..." if len(pairs) > _EXAMPLES else ""
    named = f" ({shown}{more})" if with_ids else ""
    contradicting = int(count[(groups["\0labels"] > 1).to_numpy()].sum())
    yield (
        f"{int((count - 1).sum()):,} of {cases.num_rows:,} cases repeat the values of another in"
        f" all {len(columns)} columns but id and label{named}: counted as separate cases, they make"
        " intervals too narrow"
        + (f"; {contradicting:,} such cases have labels that differ" if contradicting else "")
    )
