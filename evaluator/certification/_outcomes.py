"""Verdicts to the outcome of each candidate."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

import pandas as pd

from evaluator.certification._phrases import format_count, format_list, format_slice_states
from evaluator.certification._verdicts import Verdict
from evaluator.scorecard import SliceState, format_scope, slices_by_candidate

OutcomeWord = Literal["certified", "not certified", "undecided"]


@dataclass(frozen=True, kw_only=True)
class Waiver:
    """A person's decision to do without one gate for one candidate, for a while.

    Attributes
    ----------
    candidate
        Whom it is for.
    gate
        The gate in words, as its verdict names it.
    waived_by, reason
        Who decided it, and why.
    until
        From then on it no longer counts; with its time zone.
    """

    candidate: str
    gate: str
    waived_by: str
    reason: str
    until: datetime


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What all required gates together say about one candidate.

    Attributes
    ----------
    outcome
        ``certified``, ``not certified`` or ``undecided``. A waiver does not change it.
    reason
        Why, in a sentence without its full stop; with waivers it begins with them.
    waived
        The waivers that count: of required gates that do not pass, before their end.
    after_waivers
        What the outcome would be if the waived gates were not there; None without such a waiver.
        Whoever releases on it releases what was not certified, on a person's word.
    """

    candidate: str
    outcome: OutcomeWord
    reason: str
    waived: tuple[Waiver, ...] = ()
    after_waivers: OutcomeWord | None = None


def decide_outcomes(
    verdicts: Iterable[Verdict],
    slices: pd.DataFrame,
    candidates: Sequence[str],
    *,
    allowed_missing: int = 0,
    waivers: Iterable[Waiver] = (),
    now: datetime | None = None,
) -> list[Outcome]:
    """Decide each candidate's outcome from its verdicts.

    Parameters
    ----------
    verdicts
        What `judge` gave.
    slices
        The scorecard's table of slices: what each candidate's slices should be, and their states.
    candidates
        The audit's candidates.
    allowed_missing
        How many slices of a candidate may be missing: the audit's error budget.
    waivers
        What people decided to do without, of this audit.
    now
        The moment that is asked about, with its time zone; needed with waivers.

    Returns
    -------
    list[Outcome]
        One per candidate, in the order given. ``certified``: every required gate passes, there is
        at least one, and no more slices are missing than are allowed. ``not certified``: a required
        gate fails. ``undecided``: anything else.

        A waiver changes neither a verdict nor an outcome, so that nothing that reads either can
        overlook it: it adds `after_waivers`. It cannot stand for a slice that is missing, and
        waiving every gate certifies nobody.

    Raises
    ------
    ValueError
        If there are waivers and `now` is absent, or a time has no time zone.
    """
    all_verdicts = list(verdicts)
    states = slices_by_candidate(slices)
    in_force = _in_force(list(waivers), now)
    outcomes = []
    for candidate in candidates:
        mine = [verdict for verdict in all_verdicts if verdict.candidate == candidate]
        own = [waiver for waiver in in_force if waiver.candidate == candidate]
        outcome = _decide_one(
            candidate, mine, states.get(candidate, []), allowed_missing, no_gate=not all_verdicts
        )
        outcomes.append(
            _with_waivers(outcome, mine, own, states.get(candidate, []), allowed_missing)
        )
    return outcomes


def _in_force(waivers: Sequence[Waiver], now: datetime | None) -> list[Waiver]:
    if not waivers:
        return []
    if now is None or now.tzinfo is None or any(w.until.tzinfo is None for w in waivers):
        msg = "waivers need `now` and their end with a time zone: they last until one moment"
        raise ValueError(msg)
    return [waiver for waiver in waivers if now < waiver.until]


def _with_waivers(
    outcome: Outcome,
    verdicts: Sequence[Verdict],
    waivers: Sequence[Waiver],
    states: Sequence[SliceState],
    allowed_missing: int,
) -> Outcome:
    """Add what people decided, and what would come of it."""
    blocking = {v.gate for v in verdicts if v.required and v.verdict != "PASS"}
    waived = tuple(waiver for waiver in waivers if waiver.gate in blocking)
    if not waived:
        return outcome
    names = {waiver.gate for waiver in waived}
    left = [verdict for verdict in verdicts if verdict.gate not in names]
    after = _decide_one(outcome.candidate, left, states, allowed_missing, no_gate=False)
    named = format_list(
        [
            f"{w.gate} until {w.until.date().isoformat()} by {w.waived_by} ({w.reason})"
            for w in waived
        ]
    )
    return Outcome(
        candidate=outcome.candidate,
        outcome=outcome.outcome,
        reason=f"WITH {format_count(len(names), 'WAIVED GATE').upper()}: {named}; without "
        f"{'it' if len(names) == 1 else 'them'} {after.outcome}, as it stands "
        f"{outcome.outcome}: {outcome.reason}",
        waived=waived,
        after_waivers=after.outcome,
    )


def _decide_one(
    candidate: str,
    verdicts: Sequence[Verdict],
    states: Sequence[SliceState],
    allowed_missing: int,
    *,
    no_gate: bool,
) -> Outcome:
    required = [verdict for verdict in verdicts if verdict.required]
    failing = [verdict for verdict in required if verdict.verdict == "FAIL"]
    undecided = [verdict for verdict in required if verdict.verdict == "INSUFFICIENT EVIDENCE"]
    not_current = [state for state in states if not state.is_current]
    if failing:
        return Outcome(
            candidate=candidate,
            outcome="not certified",
            reason=f"{len(failing)} of {format_count(len(required), 'required gate')} "
            f"{'fails' if len(failing) == 1 else 'fail'}: "
            f"{format_list([verdict.gate for verdict in failing])}",
        )
    open_points = []
    if no_gate:
        open_points.append("the audit declares no gate")
    elif not required:
        open_points.append("no required gate is for this candidate")
    if not states:
        open_points.append("no slice of this candidate is recorded")
    if undecided:
        open_points.append(
            f"{len(undecided)} of {format_count(len(required), 'required gate')} cannot be decided:"
            f" {format_list([verdict.gate for verdict in undecided])}"
        )
    if len(not_current) > allowed_missing:
        named = format_list([format_scope(s.geography, s.segment) for s in not_current])
        open_points.append(f"{format_slice_states(states)} ({named})")
    if open_points:
        return Outcome(candidate=candidate, outcome="undecided", reason="; ".join(open_points))
    number = len(required)
    passing = "the required gate passes" if number == 1 else f"all {number} required gates pass"
    return Outcome(
        candidate=candidate,
        outcome="certified",
        reason=f"{passing}, and {_currency(states)}",
    )


def _currency(states: Sequence[SliceState]) -> str:
    if all(state.is_current for state in states):
        return f"all {format_count(len(states), 'slice')} are current"
    return f"{format_slice_states(states)}, which the audit allows"
