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
from evaluator.certification.figures import Figure
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
    if decided_on == "bound" and figure.low is None and figure.high is None:
        return _open(look, f"{shown}, without an interval", limit=limit)
    margin = _margin(look, decided_on, failed=bool(decided.failed[place]))
    whole = "all of it " if decided_on == "bound" else ""
    if decided.failed[place]:
        reason = f"{shown}, {whole}{_broken(look.limits, figure, decided_on)}"
        if look.remark and decided_on != "count":
            reason += f", though {look.remark}"
        return Finding(
            look=look, verdict="FAIL", margin=margin, limit=limit, needed_cases=None, reason=reason
        )
    if decided.passed[place] and not look.doubt:
        reason = f"{shown}, {whole}{_kept(look.limits)}"
        if look.remark and decided_on != "count":
            reason += f"; {look.remark}, which the audit allows"
        return Finding(
            look=look, verdict="PASS", margin=margin, limit=limit, needed_cases=None, reason=reason
        )
    if decided.passed[place]:
        return _open(look, f"{shown}, but {look.doubt}", limit=limit)
    cases = _whole(decided.needed_cases[place])
    if decided.failed_alone[place]:
        broken = _broken(look.limits, figure, decided_on)
        why = f"all of it {broken}, which may be chance among {tested} places"
    else:
        why = f"and the limit {limit:g} lies within"
    would = "no number of cases" if cases is None else f"about {count_words(cases, 'case')}"
    return Finding(
        look=look,
        verdict="INSUFFICIENT EVIDENCE",
        margin=margin,
        limit=limit,
        needed_cases=cases,
        reason=f"{shown}, {why}; {would} there would decide it",
    )


def _margin(look: Look, decided_on: DecidedOn, *, failed: bool) -> float:
    """Give how far inside its limits a place is: a failing one by its value."""
    figure = look.figure
    assert figure is not None  # noqa: S101 - the caller has looked
    known = [end for end in (figure.value, figure.low, figure.high) if end is not None]
    if failed or decided_on != "bound":
        known = known[:1]
    return min(look.limits.margin(end) for end in known)


def _whole(cases: float) -> int | None:
    return None if math.isnan(cases) else int(cases)


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


def _kept(limits: Limits) -> str:
    """Say what a place keeps."""
    if limits.at_least is not None and limits.at_most is not None:
        return f"from {limits.at_least:g} to {limits.at_most:g}"
    if limits.at_least is not None:
        return f"{'above' if limits.strict else 'at least'} {limits.at_least:g}"
    return f"{'below' if limits.strict else 'at most'} {limits.at_most:g}"


def _broken(limits: Limits, figure: Figure, decided_on: DecidedOn) -> str:
    """Say which limit is broken."""
    # An estimate that is corrected for its bias may have an interval that does not hold the value.
    highest = figure.high if decided_on == "bound" else figure.value
    if limits.at_least is not None and highest is not None and highest <= limits.at_least:
        return f"{'not above' if limits.strict else 'below'} {limits.at_least:g}"
    return f"{'not below' if limits.strict else 'above'} {limits.at_most:g}"


def _at(look: Look, name: str) -> float | None:
    return None if look.figure is None or look.problem else getattr(look.figure, name)


def _or(limit: float | None, otherwise: float) -> float:
    return otherwise if limit is None else limit


def _floats(values: Sequence[float | None]) -> Floats:
    return np.array([math.nan if value is None else value for value in values], dtype=np.float64)
