"""The verdicts, each with a drawing of its interval against its limit."""

from dataclasses import dataclass

from evaluator.certification import Verdict
from evaluator.reporting.content import DashboardContent
from evaluator.reporting.plots import IntervalPlot, centred_scale


@dataclass(frozen=True, kw_only=True)
class VerdictRow:
    """A verdict and its drawing, with the limit in the middle; None without a value or limit."""

    verdict: Verdict
    plot: IntervalPlot | None


def verdict_groups(content: DashboardContent) -> dict[str, list[VerdictRow]]:
    """Group the verdicts by candidate, in the audit's order; nobody without one is dropped."""
    groups: dict[str, list[VerdictRow]] = {candidate.name: [] for candidate in content.candidates}
    for verdict in content.verdicts:
        row = VerdictRow(verdict=verdict, plot=_plot(verdict))
        groups.setdefault(verdict.candidate, []).append(row)
    return groups


def _plot(verdict: Verdict) -> IntervalPlot | None:
    if verdict.value is None or verdict.limit is None:
        return None
    # A scale of its own: gates are in different units, and only the side of the limit counts.
    scale = centred_scale([verdict.value, verdict.low, verdict.high], centre=verdict.limit)
    return scale.plot(verdict.value, low=verdict.low, high=verdict.high, mark=verdict.limit)
