"""From what a gate sees to what it decides, place by place, and how that is said."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from evaluator.certification.bounds import (
    Decided,
    Floats,
    Intervals,
    decide_bounds,
    decide_values,
)
from evaluator.certification.looks import Limits, Look
from evaluator.certification.words import count_words, number_words

VerdictWord = Literal["PASS", "FAIL", "INSUFFICIENT EVIDENCE"]
DecidedOn = Literal["bound", "value", "count"]


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One place, decided.

    Attributes
    ----------
    look
        What was seen.
    verdict
        What it gives.
    margin
        How far inside its limits it is, by its interval where that decides; negative outside; None
        where there is nothing to hold against a limit.
    limit
        The limit that is broken, or the nearer one.
    needed_cases
        How many cases there would decide; None where it is decided, or none would.
    reason
        Why, in a clause.
    """

    look: Look
    verdict: VerdictWord
    margin: float | None
    limit: float | None
    needed_cases: int | None
    reason: str


def decide(
    looks: Sequence[Look], decided_on: DecidedOn, confidence: float, *, simultaneous: bool
) -> list[Finding]:
    """Decide all places that one gate looks at.

    Parameters
    ----------
    looks
        The places; their limits are all strict or all not.
    decided_on
        What is held against the limits; what was counted has no interval.
    confidence
        The nominal coverage of the intervals.
    simultaneous
        Whether the intervals hold all together already.
    """
    # What cannot be judged is no test, and makes the others no stricter.
    intervals = Intervals(
        value=_floats([_at(look, "value") for look in looks]),
        low=_floats([_at(look, "low") for look in looks]),
        high=_floats([_at(look, "high") for look in looks]),
        at_least=_floats([_or(look.limits.at_least, -math.inf) for look in looks]),
        at_most=_floats([_or(look.limits.at_most, math.inf) for look in looks]),
        n=_floats([_at(look, "n") for look in looks]),
        strict=any(look.limits.strict for look in looks),
        simultaneous=simultaneous,
    )
    if decided_on == "bound":
        decided = decide_bounds(intervals, confidence)
    else:
        decided = decide_values(intervals)
    tested = int((~np.isnan(intervals.low) | ~np.isnan(intervals.high)).sum())
    return [_finding(look, decided, place, decided_on, tested) for place, look in enumerate(looks)]


def _finding(
    look: Look, decided: Decided, place: int, decided_on: DecidedOn, tested: int
) -> Finding:
    figure = look.figure
    if look.problem or figure is None or figure.value is None:
        return _open(look, look.problem or "it was not measured")
    limit = look.limits.nearest(figure.value)
    shown = _figure_words(look, limit, decided_on)
    margin = look.limits.margin(figure.value)
    if decided_on == "bound":
        if figure.low is None and figure.high is None:
            return _open(look, f"{shown}, without an interval", limit=limit)
        if not decided.failed[place]:
            ends = [end for end in (figure.low, figure.high) if end is not None]
            margin = min(look.limits.margin(end) for end in ends)
    side = _side(look.limits, figure.value, limit)
    if decided.failed[place]:
        whole = "all of it " if decided_on == "bound" else ""
        reason = f"{shown}, {whole}{side}" + _though(look)
        return Finding(
            look=look, verdict="FAIL", margin=margin, limit=limit, needed_cases=None, reason=reason
        )
    if decided.passed[place] and not look.doubt:
        whole = "all of it " if decided_on == "bound" else ""
        reason = f"{shown}, {whole}{side}" + _allowed(look, decided_on)
        return Finding(
            look=look, verdict="PASS", margin=margin, limit=limit, needed_cases=None, reason=reason
        )
    if decided.passed[place]:
        return _open(look, f"{shown}, but {look.doubt}", limit=limit)
    needed = decided.needed_cases[place]
    cases = None if math.isnan(needed) else int(needed)
    would = (
        f"about {count_words(cases, 'case')} there would decide it"
        if cases is not None
        else "no number of cases would decide it"
    )
    if decided.failed_alone[place]:
        why = f"all of it {side} if looked at alone, but not as one of {tested} places"
    else:
        why = f"and the limit {limit:g} lies within"
    return Finding(
        look=look,
        verdict="INSUFFICIENT EVIDENCE",
        margin=margin,
        limit=limit,
        needed_cases=cases,
        reason=f"{shown}, {why}; {would}",
    )


def _open(look: Look, reason: str, *, limit: float | None = None) -> Finding:
    return Finding(
        look=look,
        verdict="INSUFFICIENT EVIDENCE",
        margin=None,
        limit=limit,
        needed_cases=None,
        reason=reason,
    )


def _figure_words(look: Look, limit: float, decided_on: DecidedOn) -> str:
    figure = look.figure
    assert figure is not None  # noqa: S101 - the caller has looked
    assert figure.value is not None  # noqa: S101 - the caller has looked
    if decided_on == "count":
        whole = float(figure.value).is_integer()
        shown = f"{figure.value:,.0f}" if whole else number_words(figure.value, apart_from=limit)
        return f"{shown} {look.remark}" if look.remark else shown
    shown = number_words(figure.value, apart_from=limit)
    if decided_on == "value" or figure.low is None or figure.high is None:
        return shown
    low, high = (number_words(end, apart_from=limit) for end in (figure.low, figure.high))
    return f"{shown} ({low} to {high})"


def _side(limits: Limits, value: float, limit: float) -> str:
    """Say on which side of a limit a value is."""
    if limits.strict and value == limit:
        return f"not {'above' if limits.at_least is not None else 'below'} {limit:g}"
    if value == limit:
        return f"exactly the limit {limit:g}"
    is_least = limit == limits.at_least and (value < limit or limit != limits.at_most)
    if value < limit:
        return f"below {'the least ' if is_least else 'the most '}{limit:g}"
    return f"above {'the least ' if is_least else 'the most '}{limit:g}"


def _though(look: Look) -> str:
    return f", though {look.remark}" if look.remark and look.figure and look.doubt else ""


def _allowed(look: Look, decided_on: DecidedOn) -> str:
    has_remark = look.remark and decided_on != "count"
    return f"; {look.remark}, which the audit allows" if has_remark else ""


def _at(look: Look, name: str) -> float | None:
    return None if look.figure is None or look.problem else getattr(look.figure, name)


def _or(limit: float | None, otherwise: float) -> float:
    return otherwise if limit is None else limit


def _floats(values: Sequence[float | None]) -> Floats:
    return np.array([math.nan if value is None else value for value in values], dtype=np.float64)
