"""Where each candidate is weak, how hard that was looked for, and what got worse."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from evaluator.certification import format_count, format_metric
from evaluator.reporting._formatting import finite, group_by_candidate
from evaluator.reporting._plots import IntervalPlot, centred_scale
from evaluator.scorecard import Scorecard, WeakSlice, WorsenedSlice

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
    also: str = ""
    loss: float | None
    other_loss: float | None
    excess: float | None
    low: float | None
    high: float | None
    excess_errors: float | None
    n: int
    plot: IntervalPlot | None = None


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


def weak_groups(scorecard: Scorecard, candidates: Sequence[str]) -> list[WeakGroup]:
    """Arrange the weak slices by candidate."""
    found, searches = scorecard.rows(WeakSlice), scorecard.weak_searches
    if not found and not searches:
        return []
    names = dict.fromkeys([*candidates, *searches])
    return [
        _weak(candidate, own, searches.get(candidate))
        for candidate, own in group_by_candidate(found, names)
    ]


def weak_finding(weak: Sequence[WeakGroup], worsened: Sequence[WorsenedGroup]) -> str:
    """Say how many slices were confirmed, which costs the most, and how many got worse."""
    leading = [(group.candidate, row) for group in weak for row in group.rows[:1]]
    found = "none confirmed" if weak else "not searched"
    if leading:
        candidate, row = max(leading, key=lambda one: one[1].excess_errors or 0.0)
        count = sum(group.found for group in weak)
        found = f"{count:,} confirmed, with the most harm {row.description} ({candidate})"
    worse = sum(group.found for group in worsened)
    return f"{found}; {worse:,} worse than at the last certificate" if worsened else found


def worsened_groups(scorecard: Scorecard, candidates: Sequence[str]) -> list[WorsenedGroup]:
    """Arrange what got worse by candidate; none where there is nothing to compare with."""
    found = scorecard.rows(WorsenedSlice)
    if not found:
        return []
    groups = []
    for candidate, own in group_by_candidate(found, candidates):
        worse = [one for one in own if one.is_worse]
        groups.append(
            WorsenedGroup(
                candidate=candidate,
                rows=_draw(
                    WeakRow(
                        description=one.slice,
                        loss=one.loss_after,
                        other_loss=one.loss_before,
                        excess=one.worsening,
                        low=finite(one.low),
                        high=finite(one.high),
                        excess_errors=finite(one.harm_low),
                        n=one.n_after,
                    )
                    for one in worse[:MAX_WEAK]
                ),
                found=len(worse),
                looked_at=len(own),
            )
        )
    return groups


def _weak(
    candidate: str, found: Sequence[WeakSlice], search: Mapping[str, Any] | None
) -> WeakGroup:
    leading = [one for one in found if one.is_leading]
    return WeakGroup(
        candidate=candidate,
        rows=_draw(
            WeakRow(
                description=one.slice,
                also=one.also or "",
                loss=one.loss,
                other_loss=one.rest_loss,
                excess=one.excess,
                low=finite(one.low),
                high=finite(one.high),
                excess_errors=finite(one.harm_low),
                n=one.n_all,
            )
            for one in leading[:MAX_WEAK]
        ),
        found=len(leading),
        explained=sum(one.is_confirmed for one in found) - len(leading),
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


def _draw(rows: Iterable[WeakRow]) -> list[WeakRow]:
    """Draw the rows of one candidate, all on one scale."""
    rows = list(rows)
    scale = centred_scale(end for row in rows for end in (row.excess, row.low, row.high))
    return [
        replace(row, plot=scale.plot(row.excess, low=row.low, high=row.high, mark=0.0))
        for row in rows
        # What is confirmed, or shown to be worse, has one.
        if row.excess is not None
    ]
