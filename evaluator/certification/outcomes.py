"""Verdicts to the outcome of each candidate."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import pandas as pd

from evaluator.certification.figures import SliceState, place_words, slices_by_candidate
from evaluator.certification.verdicts import Verdict
from evaluator.certification.words import count_words, currency_words, list_words

OutcomeWord = Literal["certified", "not certified", "undecided"]


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What all required gates together say about one candidate.

    Attributes
    ----------
    outcome
        ``certified``, ``not certified`` or ``undecided``.
    reason
        Why, in a sentence without its full stop.
    """

    candidate: str
    outcome: OutcomeWord
    reason: str


def decide_outcomes(
    verdicts: Iterable[Verdict],
    slices: pd.DataFrame,
    candidates: Sequence[str],
    *,
    allowed_missing: int = 0,
) -> list[Outcome]:
    """Decide each candidate's outcome from its verdicts.

    Parameters
    ----------
    verdicts
        What `judge` gave.
    slices
        The same list of slices as `judge` had.
    candidates
        The audit's candidates.
    allowed_missing
        How many slices of a candidate may be missing: the audit's error budget.

    Returns
    -------
    list[Outcome]
        One per candidate, in the order given. ``certified``: every required gate passes, there is
        at least one, and no more slices are missing than are allowed. ``not certified``: a required
        gate fails. ``undecided``: anything else.
    """
    all_verdicts = list(verdicts)
    states = slices_by_candidate(slices)
    return [
        _decide_one(candidate, all_verdicts, states.get(candidate, []), allowed_missing)
        for candidate in candidates
    ]


def _decide_one(
    candidate: str,
    verdicts: Sequence[Verdict],
    states: Sequence[SliceState],
    allowed_missing: int,
) -> Outcome:
    required = [
        verdict for verdict in verdicts if verdict.candidate == candidate and verdict.required
    ]
    failing = [verdict for verdict in required if verdict.verdict == "FAIL"]
    undecided = [verdict for verdict in required if verdict.verdict == "INSUFFICIENT EVIDENCE"]
    not_current = [state for state in states if not state.is_current]
    if failing:
        return Outcome(
            candidate=candidate,
            outcome="not certified",
            reason=f"{len(failing)} of {count_words(len(required), 'required gate')} "
            f"{'fails' if len(failing) == 1 else 'fail'}: "
            f"{list_words([verdict.gate for verdict in failing])}",
        )
    open_points = []
    if not verdicts:
        open_points.append("the audit declares no gate")
    elif not required:
        open_points.append("no required gate is for this candidate")
    if not states:
        open_points.append("no slice of this candidate is recorded")
    if undecided:
        open_points.append(
            f"{len(undecided)} of {count_words(len(required), 'required gate')} cannot be decided: "
            f"{list_words([verdict.gate for verdict in undecided])}"
        )
    if len(not_current) > allowed_missing:
        named = list_words([place_words(s.geography, s.segment) for s in not_current])
        open_points.append(f"{currency_words(states)} ({named})")
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
        return f"all {count_words(len(states), 'slice')} are current"
    return f"{currency_words(states)}, which the audit allows"
