"""Verdicts to the outcome of each candidate, and what qualifies it."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Literal

import pandas as pd
from pydantic import AwareDatetime

from evaluator.certification._gaps import DecidedGap, WorstGap, worst_gaps
from evaluator.certification._phrases import (
    format_count,
    format_list,
    format_metric,
    format_slice_states,
)
from evaluator.certification._verdicts import STRICT, Verdict
from evaluator.scorecard import SliceState, WeakSlice, format_scope, slices_by_candidate

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

    __pydantic_config__ = STRICT

    candidate: str
    gate: str
    waived_by: str
    reason: str
    until: AwareDatetime


@dataclass(frozen=True, kw_only=True)
class Qualifications:
    """What stands against an outcome, or what it takes for granted, and does not change it.

    Attributes
    ----------
    waived
        The waivers that count: of gates that do not pass, before their end.
    after_waivers
        What the outcome would be if the waived gates were not there; None where none of them is
        required. Whoever releases on it releases what was not certified, on a person's word.
    optional_failed, optional_open
        The gates that are not required and fail, or are not decided, without those that are waived.
    gaps_failed
        The fairness gaps beyond their limit, one a measure and attribute, and of how many groups;
        whether a gate names them or not.
    weak_slices
        The slices that were confirmed as weak, without those that others explain.
    cases_independent
        Whether intervals take cases of several days as independent, since nothing clusters them.
    """

    __pydantic_config__ = STRICT

    waived: tuple[Waiver, ...]
    after_waivers: OutcomeWord | None
    optional_failed: tuple[str, ...]
    optional_open: tuple[str, ...]
    gaps_failed: tuple[str, ...]
    weak_slices: tuple[str, ...]
    cases_independent: bool

    @property
    def short(self) -> str:
        """Count them: ``1 waived gate, 2 optional gates failed``; empty where there are none."""
        return ", ".join(self._counts())

    def _counts(self) -> Iterator[str]:
        waived = len({waiver.gate for waiver in self.waived})
        if waived:
            without = f"without {'it' if waived == 1 else 'them'} {self.after_waivers}"
            after = f" ({without}, on a person's word)" if self.after_waivers else ""
            yield f"{format_count(waived, 'waived gate')}{after}"
        for items, thing, what in (
            (self.optional_failed, "optional gate", " failed"),
            (self.optional_open, "optional gate", " not decided"),
            (self.gaps_failed, "fairness gap", " failed"),
            (self.weak_slices, "weak slice", ""),
        ):
            if items:
                yield f"{format_count(len(items), thing)}{what}"
        if self.cases_independent:
            yield "cases taken as independent"

    def with_waivers(
        self, verdicts: Sequence[Verdict], waivers: Iterable[Waiver]
    ) -> "Qualifications":
        """Give the same with other waivers in force; what would come of them is said of these."""
        found = _qualify_by_gates(verdicts, waivers)
        is_same = {one.gate for one in found.waived} == {one.gate for one in self.waived}
        return replace(
            self,
            waived=found.waived,
            after_waivers=self.after_waivers if is_same else None,
            optional_failed=found.optional_failed,
            optional_open=found.optional_open,
        )

    def lines(self) -> list[str]:
        """Name each, for below `short`, which says all that there is to say of independence."""
        return [
            *(
                f"waived until {w.until.date().isoformat()} by {w.waived_by} ({w.reason}): {w.gate}"
                for w in self.waived
            ),
            *(f"optional gate, FAIL: {gate}" for gate in self.optional_failed),
            *(f"optional gate, INSUFFICIENT EVIDENCE: {gate}" for gate in self.optional_open),
            *(f"fairness gap, FAIL: {gap}" for gap in self.gaps_failed),
            *(f"weak slice: {description}" for description in self.weak_slices),
        ]


UNQUALIFIED = Qualifications(
    waived=(),
    after_waivers=None,
    optional_failed=(),
    optional_open=(),
    gaps_failed=(),
    weak_slices=(),
    cases_independent=False,
)


def format_outcome(outcome: OutcomeWord, qualified_by: Qualifications | None) -> str:
    """Say an outcome with what qualifies it; nobody says it alone.

    Parameters
    ----------
    outcome
        The word.
    qualified_by
        What qualifies it; None where an old certificate does not say.

    Returns
    -------
    str
        For example ``certified, with 1 optional gate failed, 5 fairness gaps failed``.
    """
    if qualified_by is None:
        return f"{outcome}, and its old format does not say what qualifies it"
    return f"{outcome}, with {qualified_by.short}" if qualified_by.short else outcome


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What all required gates together say about one candidate.

    Attributes
    ----------
    outcome
        ``certified``, ``not certified`` or ``undecided``. A waiver does not change it.
    reason
        Why, in a sentence without its full stop.
    qualified_by
        What must be said beside it.
    """

    candidate: str
    outcome: OutcomeWord
    reason: str
    qualified_by: Qualifications = UNQUALIFIED

    @property
    def in_words(self) -> str:
        """The outcome with what qualifies it."""
        return format_outcome(self.outcome, self.qualified_by)


def decide_outcomes(
    verdicts: Iterable[Verdict],
    slices: pd.DataFrame,
    candidates: Sequence[str],
    *,
    allowed_missing: int = 0,
    waivers: Iterable[Waiver] = (),
    now: datetime | None = None,
    gaps: Sequence[DecidedGap] = (),
    weak_slices: Iterable[WeakSlice] = (),
    cases_independent: bool = False,
) -> list[Outcome]:
    """Decide each candidate's outcome from its verdicts, and say what qualifies it.

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
    gaps
        What `decide_gaps` gave.
    weak_slices
        What the search for weak slices found.
    cases_independent
        As `EvaluationSetSummary` says.

    Returns
    -------
    list[Outcome]
        One per candidate, in the order given. ``certified``: every required gate passes, there is
        at least one, and no more slices are missing than are allowed. ``not certified``: a required
        gate fails. ``undecided``: anything else.

        What qualifies an outcome changes neither it nor a verdict. A waiver cannot stand for a
        slice that is missing, and waiving every gate certifies nobody.

    Raises
    ------
    ValueError
        If there are waivers and `now` is absent, or a time has no time zone.
    """
    all_verdicts = list(verdicts)
    states = slices_by_candidate(slices)
    in_force = _in_force(list(waivers), now)
    failed = [gap for gap in worst_gaps(gaps) if gap.failed]
    # Not to have seen the answers says nothing of how good one's own are.
    no_gate = all(verdict.kind == "unseen" for verdict in all_verdicts)
    leading = [weak for weak in weak_slices if weak.is_leading]
    outcomes = []
    for candidate in candidates:
        mine = [verdict for verdict in all_verdicts if verdict.candidate == candidate]
        own_states = states.get(candidate, [])
        outcome = _decide_one(candidate, mine, own_states, allowed_missing, no_gate=no_gate)
        qualified_by = replace(
            _qualify_by_gates(mine, [one for one in in_force if one.candidate == candidate]),
            gaps_failed=tuple(_format_gap(gap) for gap in failed if gap.candidate == candidate),
            weak_slices=tuple(weak.slice for weak in leading if weak.candidate == candidate),
            cases_independent=cases_independent,
        )
        waived = {waiver.gate for waiver in qualified_by.waived}
        if any(verdict.required and verdict.gate in waived for verdict in mine):
            left = [verdict for verdict in mine if verdict.gate not in waived]
            after = _decide_one(candidate, left, own_states, allowed_missing, no_gate=no_gate)
            qualified_by = replace(qualified_by, after_waivers=after.outcome)
        outcomes.append(replace(outcome, qualified_by=qualified_by))
    return outcomes


def _qualify_by_gates(verdicts: Sequence[Verdict], waivers: Iterable[Waiver]) -> Qualifications:
    """Say what gates and waivers qualify an outcome by, but for what it would be without them."""
    not_passing = {verdict.gate for verdict in verdicts if verdict.verdict != "PASS"}
    waived = tuple(
        replace(waiver, until=waiver.until.astimezone(UTC))
        for waiver in waivers
        if waiver.gate in not_passing
    )
    names = {waiver.gate for waiver in waived}
    optional = [one for one in verdicts if not one.required and one.gate not in names]
    return replace(
        UNQUALIFIED,
        waived=waived,
        optional_failed=tuple(one.gate for one in optional if one.verdict == "FAIL"),
        optional_open=tuple(one.gate for one in optional if one.verdict == "INSUFFICIENT EVIDENCE"),
    )


def _format_gap(gap: WorstGap) -> str:
    """Name a gap without its figures, which stand in the table of gaps."""
    measure = format_metric(gap.measure)
    of_class = "" if gap.class_ is None else f" of class {gap.class_}"
    groups = format_count(gap.failed, "group")
    return f"{measure} ({gap.comparison}){of_class} by {gap.attribute}, {groups}"


def _in_force(waivers: Sequence[Waiver], now: datetime | None) -> list[Waiver]:
    if not waivers:
        return []
    if now is None or now.tzinfo is None or any(w.until.tzinfo is None for w in waivers):
        msg = "waivers need `now` and their end with a time zone: they last until one moment"
        raise ValueError(msg)
    return [waiver for waiver in waivers if now < waiver.until]


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
        but = " but on what was seen in training" if verdicts else ""
        open_points.append(f"the audit declares no gate{but}")
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
