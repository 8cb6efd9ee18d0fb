"""From a dashboard's content to its sections: headline, verdicts, standouts, data."""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import pandas as pd

from evaluator.certification import (
    Outcome,
    Verdict,
    Waiver,
    format_count,
    format_metric,
)
from evaluator.metrics import METRICS
from evaluator.reporting._content import DashboardContent, IntakeDay
from evaluator.reporting._formatting import format_counts, format_place, format_rough, format_value
from evaluator.reporting._plots import IntervalPlot, centred_scale, scale_of
from evaluator.reporting._slices import Standout, candidate_gaps, standout_slices
from evaluator.scorecard import Measurement, read_measurements


@dataclass(frozen=True, kw_only=True)
class HeadlineCell:
    """One candidate's overall measurement of one metric; both None where there is none."""

    measurement: Measurement | None
    plot: IntervalPlot | None


@dataclass(frozen=True, kw_only=True)
class HeadlineRow:
    """One candidate's overall measurements.

    Attributes
    ----------
    clusters
        How many clusters its cases come from; None where cases are taken as independent.
    gap
        Which of its slices they are without; empty where they are whole.
    """

    candidate: str
    baseline: bool
    cases: int | None
    clusters: int | None
    gap: str
    cells: Sequence[HeadlineCell]


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


@dataclass(frozen=True, kw_only=True)
class StandoutRow:
    """A slice that stands out, with its drawing."""

    standout: Standout
    scope: str
    metric: str
    plot: IntervalPlot


STRIP: Final = 12
"""The height of a column's small drawing, in which each day is one wide."""


@dataclass(frozen=True, kw_only=True)
class ColumnDays:
    """A column over the days: how much is missing, and how far it drifted.

    `bars` are the days' missing shares and `marks` those on which it drifted, both as paths.
    """

    name: str
    lowest: float
    highest: float
    compared: int
    drifted: Sequence[str]
    farthest: float | None
    """The largest stability index of a day."""
    farthest_day: str | None
    bars: str
    marks: str
    days: int


@dataclass(frozen=True, kw_only=True)
class IntakeTotals:
    """All days of the intake together."""

    used: int
    unused: Sequence[IntakeDay]
    accepted: int
    quarantined: int
    refused_rows: int


def format_gate_counts(verdicts: Sequence[Verdict]) -> str:
    """Say how many of one candidate's required gates passed."""
    required = [verdict for verdict in verdicts if verdict.required]
    if not required:
        return "no required gate"
    passed = sum(verdict.verdict == "PASS" for verdict in required)
    return f"{passed} of {format_count(len(required), 'required gate')} passed"


def headline_rows(content: DashboardContent) -> list[HeadlineRow]:
    """Give one row a candidate, overall, each metric on a scale of its own."""
    read = read_measurements(
        content.scorecard.measurements, metrics=content.headline_metrics, levels=["overall"]
    )
    measurements = {(f.candidate, f.metric): f for f in read}
    scales = {
        metric: scale_of(
            end for f in read if f.metric == metric for end in (f.value, f.low, f.high)
        )
        for metric in content.headline_metrics
    }
    gaps = candidate_gaps(content)
    rows = []
    for candidate in content.candidates:
        own = [measurements.get((candidate.name, metric)) for metric in content.headline_metrics]
        rows.append(
            HeadlineRow(
                candidate=candidate.name,
                baseline=candidate.baseline,
                cases=next((f.n for f in own if f is not None and f.n is not None), None),
                clusters=max((f.clusters for f in own if f and f.clusters), default=None),
                gap=gaps[candidate.name],
                cells=[
                    HeadlineCell(
                        measurement=measurement,
                        plot=None
                        if measurement is None or measurement.value is None
                        else scales[measurement.metric].plot(
                            measurement.value, low=measurement.low, high=measurement.high
                        ),
                    )
                    for measurement in own
                ],
            )
        )
    return rows


def headline_finding(rows: Sequence[HeadlineRow], metrics: Sequence[str]) -> str:
    """Say between whom the first metric lies."""
    found = {
        row.candidate: cell.measurement.value
        for row in rows
        for cell in row.cells[:1]
        if cell.measurement is not None and cell.measurement.value is not None
    }
    if not found:
        return "nothing was measured"
    least, most = min(found, key=lambda name: found[name]), max(found, key=lambda name: found[name])
    metric = format_metric(metrics[0])
    if least == most:
        return f"{metric} {format_value(found[least])} ({least})"
    ends = f"{format_value(found[least])} ({least}) to {format_value(found[most])} ({most})"
    return f"{metric} from {ends}"


def verdict_finding(verdicts: Sequence[Verdict]) -> str:
    """Count the verdicts."""
    counted = Counter[str](verdict.verdict for verdict in verdicts)
    words = ("FAIL", "INSUFFICIENT EVIDENCE", "PASS")
    return format_counts({word: counted[word] for word in words}) or "no gate is declared"


def standout_finding(groups: Mapping[str, Sequence[StandoutRow]]) -> str:
    """Count the slices that stand out, by side."""
    found = Counter[str](row.standout.direction for rows in groups.values() for row in rows)
    words = ("worse", "better", "lower", "higher")
    sides = format_counts({word: found[word] for word in words})
    return f"{sides} than overall by more than their noise" if sides else "none stands out"


def verdict_groups(content: DashboardContent) -> dict[str, list[VerdictRow]]:
    """Group the verdicts by candidate, in the audit's order; nobody without one is dropped."""
    groups: dict[str, list[VerdictRow]] = {candidate.name: [] for candidate in content.candidates}
    for verdict in content.verdicts:
        row = VerdictRow(
            verdict=verdict,
            plot=_plot(verdict),
            needed=format_needed_cases(verdict),
            waivers=waivers_of(verdict, content.outcomes),
        )
        groups.setdefault(verdict.candidate, []).append(row)
    return groups


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


def format_needed_cases(verdict: Verdict) -> str:
    """Say how many cases would decide a verdict, unless its reason says so."""
    needed = verdict.needed_cases
    if needed is None or "would decide it" in verdict.reason:
        return ""
    return f"about {format_rough(needed)} cases would decide"


def waivers_of(verdict: Verdict, outcomes: Iterable[Outcome]) -> list[Waiver]:
    """Give the waivers that count for a verdict."""
    return [
        waiver
        for outcome in outcomes
        if outcome.candidate == verdict.candidate
        for waiver in outcome.qualified_by.waived
        if waiver.gate == verdict.gate
    ]


def standout_groups(content: DashboardContent) -> dict[str, list[StandoutRow]]:
    """Group the slices that stand out by candidate."""
    standouts = standout_slices(
        content.scorecard.measurements,
        metrics=content.standout_metrics,
        minimum_support=content.minimum_support,
    )
    # One scale a candidate and metric: on one for all, a poor candidate flattens the others.
    scales = {
        key: scale_of(
            end
            for s in standouts
            if (s.measurement.candidate, s.measurement.metric) == key
            for end in (s.value, s.overall, s.measurement.low, s.measurement.high)
        )
        for key in {(s.measurement.candidate, s.measurement.metric) for s in standouts}
    }
    groups: dict[str, list[StandoutRow]] = {candidate.name: [] for candidate in content.candidates}
    for standout in standouts:
        found = standout.measurement
        groups.setdefault(found.candidate, []).append(
            StandoutRow(
                standout=standout,
                scope=format_place(found.geography, found.segment),
                metric=format_metric(found.metric, found.class_),
                plot=scales[found.candidate, found.metric].plot(
                    standout.value, low=found.low, high=found.high, mark=standout.overall
                ),
            )
        )
    return groups


def without_label_table(
    frame: pd.DataFrame,
) -> tuple[list[str], list[tuple[str, list[tuple[int, int] | None]]]]:
    """Arrange the rows without a label by geography and segment."""
    counts: Mapping[tuple[str, str], tuple[int, int]] = {
        (str(row.geography), str(row.segment)): (int(row.without_label), int(row.rows))  # type: ignore[arg-type]  # a frame's cells are untyped
        for row in frame.itertuples(index=False)
    }
    geographies = list(dict.fromkeys(geography for geography, _ in counts))
    segments = list(dict.fromkeys(segment for _, segment in counts))
    return segments, [
        (geography, [counts.get((geography, segment)) for segment in segments])
        for geography in geographies
    ]


def intake_totals(days: Sequence[IntakeDay]) -> IntakeTotals:
    """Add up the intake's days; rows count as accepted only on the days that are used."""
    used = [day for day in days if day.broken is None]
    unused = [day for day in days if day.broken is not None]
    return IntakeTotals(
        used=len(used),
        unused=unused,
        accepted=sum(day.accepted or 0 for day in used),
        quarantined=sum(day.quarantined or 0 for day in used),
        refused_rows=sum(day.rows or 0 for day in unused),
    )


def column_days(days: Sequence[IntakeDay]) -> list[ColumnDays]:
    """Follow each column over the days; those that drifted stand first, and then the emptiest.

    Columns without a missing value that were compared on no day are left out.
    """
    read = [day for day in days if day.missing]
    names = dict.fromkeys(name for day in read for name in (*day.missing, *day.drift))
    found = []
    for name in names:
        missing = [day.missing.get(name) for day in read]
        shares = [share for share in missing if share is not None]
        indices = [(day.drift[name], day) for day in read if day.drift.get(name) is not None]
        far = max(indices, key=lambda pair: pair[0] or 0.0, default=None)
        if not any(shares) and far is None:
            continue
        most = max(shares, default=0.0)
        found.append(
            ColumnDays(
                name=name,
                lowest=min(shares, default=0.0),
                highest=most,
                compared=sum(name in day.drift for day in read),
                drifted=[day.day for day in read if name in day.drifted],
                farthest=None if far is None else far[0],
                farthest_day=None if far is None else far[1].day,
                bars="".join(
                    f"M{number} {STRIP}v{-round(STRIP * share / most, 1):g}h1V{STRIP}z"
                    for number, share in enumerate(missing)
                    if share
                ),
                marks="".join(
                    f"M{number} {STRIP}h1" for number, day in enumerate(read) if name in day.drifted
                ),
                days=len(read),
            )
        )
    return sorted(found, key=lambda one: (-len(one.drifted), -one.highest))


def metric_note(metric: str) -> str:
    """Say what a metric is and which way is better."""
    info = METRICS.get(metric)
    if info is None:
        return ""
    better = {True: "Higher is better.", False: "Lower is better.", None: ""}
    return f"{info.description} {better[info.higher_is_better]}".strip()
