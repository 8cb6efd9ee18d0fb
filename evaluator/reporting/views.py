"""From a dashboard's content to what each of its sections shows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from evaluator.certification import Outcome, Verdict
from evaluator.certification.figures import (
    Figure,
    SliceState,
    place_words,
    read_figures,
    read_slices,
)
from evaluator.certification.words import count_words, currency_words, metric_words
from evaluator.metrics import METRICS
from evaluator.reporting.content import CandidateSummary, DashboardContent, IntakeDay
from evaluator.reporting.plots import IntervalPlot, scale_of
from evaluator.reporting.standouts import Standout, standout_slices


@dataclass(frozen=True, kw_only=True)
class CandidateCard:
    """A candidate's outcome, for the top of the page.

    Attributes
    ----------
    waived_gates
        How many gates stand in its way and are waived.
    """

    candidate: CandidateSummary
    outcome: Outcome
    waived_gates: int
    gates: str
    slices: str


@dataclass(frozen=True, kw_only=True)
class HeadlineCell:
    """One candidate's overall figure of one metric."""

    figure: Figure | None
    plot: IntervalPlot | None


@dataclass(frozen=True, kw_only=True)
class HeadlineRow:
    """One candidate's overall figures.

    Attributes
    ----------
    gap
        Which of its slices the figures are without; empty where they are whole.
    """

    candidate: str
    baseline: bool
    cases: int | None
    gap: str
    cells: Sequence[HeadlineCell]


@dataclass(frozen=True, kw_only=True)
class StandoutRow:
    """A slice that stands out, with its drawing."""

    standout: Standout
    place: str
    metric: str
    plot: IntervalPlot


@dataclass(frozen=True, kw_only=True)
class IntakeTotals:
    """All days of the intake together."""

    used: int
    unused: Sequence[IntakeDay]
    accepted: int
    quarantined: int
    refused_rows: int


def candidate_cards(content: DashboardContent) -> list[CandidateCard]:
    """Give one card per candidate, in the audit's order."""
    outcomes = {outcome.candidate: outcome for outcome in content.outcomes}
    states = read_slices(content.scorecard.slices)
    return [
        CandidateCard(
            candidate=candidate,
            outcome=outcome,
            waived_gates=waived_gates(outcome),
            gates=gates_words([v for v in content.verdicts if v.candidate == candidate.name]),
            slices=_slices_words([s for s in states if s.candidate == candidate.name]),
        )
        for candidate in content.candidates
        for outcome in [outcomes.get(candidate.name, _no_outcome(candidate.name))]
    ]


def waived_gates(outcome: Outcome) -> int:
    """Count the gates that stand in a candidate's way and are waived, each of them once."""
    return len({waiver.gate for waiver in outcome.waived})


def headline_rows(content: DashboardContent) -> list[HeadlineRow]:
    """Give one row per candidate with its overall figures, each metric on a scale of its own."""
    read = read_figures(
        content.scorecard.measurements, metrics=content.headline_metrics, levels=["overall"]
    )
    figures = {(figure.candidate, figure.metric): figure for figure in read}
    scales = {
        metric: scale_of(
            end for f in read if f.metric == metric for end in (f.value, f.low, f.high)
        )
        for metric in content.headline_metrics
    }
    states = read_slices(content.scorecard.slices)
    rows = []
    for candidate in content.candidates:
        own = [state for state in states if state.candidate == candidate.name]
        mine = [figures.get((candidate.name, metric)) for metric in content.headline_metrics]
        rows.append(
            HeadlineRow(
                candidate=candidate.name,
                baseline=candidate.baseline,
                cases=next((f.n for f in mine if f is not None and f.n is not None), None),
                gap="" if all(state.is_current for state in own) else currency_words(own),
                cells=[
                    HeadlineCell(
                        figure=figure,
                        plot=None
                        if figure is None or figure.value is None
                        else scales[figure.metric].plot(
                            figure.value, low=figure.low, high=figure.high
                        ),
                    )
                    for figure in mine
                ],
            )
        )
    return rows


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
            if (s.figure.candidate, s.figure.metric) == key
            for end in (s.value, s.overall, s.figure.low, s.figure.high)
        )
        for key in {(s.figure.candidate, s.figure.metric) for s in standouts}
    }
    groups: dict[str, list[StandoutRow]] = {candidate.name: [] for candidate in content.candidates}
    for standout in standouts:
        figure = standout.figure
        groups.setdefault(figure.candidate, []).append(
            StandoutRow(
                standout=standout,
                place=place_words(figure.geography, figure.segment),
                metric=metric_words(figure.metric),
                plot=scales[figure.candidate, figure.metric].plot(
                    standout.value, low=figure.low, high=figure.high, mark=standout.overall
                ),
            )
        )
    return groups


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


def gates_words(verdicts: Sequence[Verdict]) -> str:
    """Say how many of one candidate's required gates passed."""
    required = [verdict for verdict in verdicts if verdict.required]
    if not required:
        return "no required gate"
    passed = sum(verdict.verdict == "PASS" for verdict in required)
    return f"{passed} of {count_words(len(required), 'required gate')} passed"


def metric_note(metric: str) -> str:
    """Say what a metric is and which way is better."""
    info = METRICS.get(metric)
    if info is None:
        return ""
    better = {True: "Higher is better.", False: "Lower is better.", None: ""}
    return f"{info.description} {better[info.higher_is_better]}".strip()


def without_label_table(
    frame: pd.DataFrame,
) -> tuple[list[str], list[tuple[str, list[tuple[int, int] | None]]]]:
    """Arrange the rows without a label by geography and segment.

    Parameters
    ----------
    frame
        Valid rows by slice: columns `geography`, `segment`, `rows`, `without_label`.

    Returns
    -------
    tuple
        The segments, and per geography one pair (without a label, valid rows) for each segment;
        None where the frame has no such slice.
    """
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


def _no_outcome(candidate: str) -> Outcome:
    return Outcome(candidate=candidate, outcome="undecided", reason="no outcome was recorded")


def _slices_words(states: Sequence[SliceState]) -> str:
    if not states:
        return "no slice recorded"
    current = sum(state.is_current for state in states)
    return f"{current:,} of {count_words(len(states), 'slice')} current"
