"""Where each candidate is weak, how hard that was looked for, and what got worse."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

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
    also: str
    loss: float | None
    other_loss: float | None
    excess: float | None
    low: float | None
    high: float | None
    excess_errors: float | None
    n: int
    plot: IntervalPlot | None


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


class _Losses(NamedTuple):
    """What stands in a row of two losses, as `WeakRow` has it."""

    loss: float | None
    other_loss: float | None
    excess: float | None


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
                rows=_rows(
                    (one, _Losses(one.loss_after, one.loss_before, one.worsening), one.n_after)
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
        rows=_rows(
            (one, _Losses(one.loss, one.rest_loss, one.excess), one.n_all)
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


def _rows(
    shown: Iterable[tuple[WeakSlice | WorsenedSlice, _Losses, int]],
) -> list[WeakRow]:
    rows = list(shown)
    scale = centred_scale(
        end for found, losses, _ in rows for end in (losses.excess, found.low, found.high)
    )
    return [
        WeakRow(
            description=found.slice,
            also=(isinstance(found, WeakSlice) and found.also) or "",
            **losses._asdict(),
            low=(low := finite(found.low)),
            high=(high := finite(found.high)),
            excess_errors=finite(found.harm_low),
            n=cases,
            plot=None
            if losses.excess is None
            else scale.plot(losses.excess, low=low, high=high, mark=0.0),
        )
        for found, losses, cases in rows
    ]
