"""Where each candidate is weak, how hard that was looked for, and what got worse."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from evaluator.certification import format_count, format_metric
from evaluator.reporting._formatting import Row, finite, group_by_candidate, plain_rows
from evaluator.reporting._plots import IntervalPlot, Scale, centred_scale

MAX_WEAK = 20
"""How many of a candidate's slices are shown."""


@dataclass(frozen=True, kw_only=True)
class WeakRow:
    """One slice whose loss is larger than another loss.

    Attributes
    ----------
    description
        The slice.
    also
        Other descriptions of nearly the same cases.
    loss, other_loss, excess, low, high
        Its loss, that of the rest (or that of before), the difference and its limits.
    excess_errors
        The least that the excess costs over all cases of the slice: with the error rate, so many
        errors more.
    n
        Its cases.
    """

    description: str
    also: str
    loss: float
    other_loss: float
    excess: float
    low: float | None
    high: float | None
    excess_errors: float | None
    n: int
    plot: IntervalPlot


@dataclass(frozen=True, kw_only=True)
class WeakGroup:
    """One candidate's weak slices.

    Attributes
    ----------
    rows
        Confirmed slices that no other explains; the first of `found`.
    explained
        How many more were confirmed, but only since they share cases with these.
    searched
        How far the search looked, in sentences.
    loss
        What "worse" means, in words.
    """

    candidate: str
    rows: Sequence[WeakRow]
    found: int
    explained: int
    searched: str
    loss: str


@dataclass(frozen=True, kw_only=True)
class WorsenedGroup:
    """One candidate's slices that got worse; `rows` are the first of `found`, of `looked_at`."""

    candidate: str
    rows: Sequence[WeakRow]
    found: int
    looked_at: int


def weak_groups(
    table: pd.DataFrame, searches: Mapping[str, Mapping[str, Any]], candidates: Sequence[str]
) -> list[WeakGroup]:
    """Arrange the weak slices by candidate."""
    if table.empty and not searches:
        return []
    names = dict.fromkeys([*candidates, *searches])
    return [
        _weak(candidate, part, searches.get(candidate))
        for candidate, part in group_by_candidate(table, names)
    ]


def worsened_groups(table: pd.DataFrame, candidates: Sequence[str]) -> list[WorsenedGroup]:
    """Arrange what got worse by candidate; none where there is nothing to compare with."""
    if table.empty:
        return []
    groups = []
    for candidate, part in group_by_candidate(table, candidates):
        worse = part[part["status"] == "worse"]
        names = ("loss_after", "loss_before", "worsening", "n_after")
        groups.append(
            WorsenedGroup(
                candidate=candidate,
                rows=_rows(worse, *names),
                found=len(worse),
                looked_at=len(part),
            )
        )
    return groups


def _weak(candidate: str, table: pd.DataFrame, search: Mapping[str, Any] | None) -> WeakGroup:
    confirmed = table if table.empty else table[table["status"] == "confirmed"]
    own = confirmed if table.empty else confirmed[confirmed["explained_by"].isna()]
    return WeakGroup(
        candidate=candidate,
        rows=_rows(own, "loss", "rest_loss", "excess", "n_all"),
        found=len(own),
        explained=len(confirmed) - len(own),
        searched=_searched(search),
        loss=format_metric(str((search or {}).get("loss", "loss"))),
    )


def _searched(search: Mapping[str, Any] | None) -> str:
    """Say how hard was looked: nothing found means little where little was searched."""
    if search is None:
        return "Not searched."
    if search["reason"] is not None:
        return f"Nothing could be searched: {search['reason']}."
    possible, tested = format_count(search["possible"], "possible slice"), search["tested"]
    return (
        f"Of {possible}, {search['evaluated']:,} were looked at on {search['searched_cases']:,} of "
        f"the {format_count(search['cases'], 'case')};"
        f" {tested:,} {'was' if tested == 1 else 'were'} tested on the other"
        f" {search['confirming_cases']:,}, and "
        f"{format(search['confirmed'], ',') if search['confirmed'] else 'none'} confirmed."
    )


def _rows(table: pd.DataFrame, loss: str, other: str, excess: str, cases: str) -> list[WeakRow]:
    rows = plain_rows(table.head(MAX_WEAK))
    scale = centred_scale(row[end] for row in rows for end in (excess, "low", "high"))
    return [_row(row, scale, (loss, other, excess, cases)) for row in rows]


def _row(row: Row, scale: Scale, names: tuple[str, str, str, str]) -> WeakRow:
    loss, other, excess, cases = names
    low, high = finite(row["low"]), finite(row["high"])
    return WeakRow(
        description=row["slice"],
        also=row.get("also") or "",
        loss=row[loss],
        other_loss=row[other],
        excess=row[excess],
        low=low,
        high=high,
        excess_errors=finite(row["harm_low"]),
        n=int(row[cases]),
        plot=scale.plot(row[excess], low=low, high=high, mark=0.0),
    )
