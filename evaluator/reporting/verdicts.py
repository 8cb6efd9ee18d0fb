"""The verdicts, each with a drawing of its interval against its limit."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from evaluator.certification import Outcome, Verdict, Waiver
from evaluator.certification.words import count_words
from evaluator.reporting.content import DashboardContent
from evaluator.reporting.numbers import rough
from evaluator.reporting.plots import IntervalPlot, centred_scale


@dataclass(frozen=True, kw_only=True)
class VerdictRow:
    """A verdict as it is shown.

    Attributes
    ----------
    plot
        Its interval with the limit in the middle; None without a value or limit.
    needed
        What would decide it; empty where nothing would, and where its reason says it.
    waivers
        What people decided to do without it; a waiver changes no verdict.
    """

    verdict: Verdict
    plot: IntervalPlot | None
    needed: str
    waivers: Sequence[Waiver]


def verdict_groups(content: DashboardContent) -> dict[str, list[VerdictRow]]:
    """Group the verdicts by candidate, in the audit's order; nobody without one is dropped."""
    groups: dict[str, list[VerdictRow]] = {candidate.name: [] for candidate in content.candidates}
    for verdict in content.verdicts:
        row = VerdictRow(
            verdict=verdict,
            plot=_plot(verdict),
            needed=needed_words(verdict),
            waivers=waivers_of(verdict, content.outcomes),
        )
        groups.setdefault(verdict.candidate, []).append(row)
    return groups


def waivers_of(verdict: Verdict, outcomes: Iterable[Outcome]) -> list[Waiver]:
    """Give the waivers that count for a verdict: those of a required gate that does not pass."""
    if not verdict.required or verdict.verdict == "PASS":
        return []
    return [
        waiver
        for outcome in outcomes
        if outcome.candidate == verdict.candidate
        for waiver in outcome.waived
        if waiver.gate == verdict.gate
    ]


def needed_words(verdict: Verdict) -> str:
    """Say how many cases would decide a verdict, unless its reason says so."""
    needed = verdict.needed_cases
    if needed is None or count_words(needed, "case") in verdict.reason:
        return ""
    return f"about {rough(needed)} cases would decide"


def _plot(verdict: Verdict) -> IntervalPlot | None:
    if verdict.value is None or verdict.limit is None:
        return None
    # A scale of its own: gates are in different units, and only the side of the limit counts.
    scale = centred_scale([verdict.value, verdict.low, verdict.high], centre=verdict.limit)
    low, high = verdict.low, verdict.high
    if low is not None or high is not None:
        # An interval with one end goes on to the edge.
        low, high = -math.inf if low is None else low, math.inf if high is None else high
    return scale.plot(verdict.value, low=low, high=high, mark=verdict.limit)
