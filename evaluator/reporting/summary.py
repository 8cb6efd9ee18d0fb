"""What was found, in plain text for a terminal."""

from collections import Counter
from collections.abc import Sequence

import pandas as pd

from evaluator.certification import Outcome, Verdict
from evaluator.certification.figures import Figure, place_words, read_figures, read_slices
from evaluator.certification.words import count_words, list_words, metric_words, number_words
from evaluator.findings.scorecard import Scorecard
from evaluator.reporting.finding_lines import comparison_lines, fairness_lines, weak_lines
from evaluator.reporting.standouts import ENOUGH_CASES, Standout, standout_slices
from evaluator.reporting.verdicts import needed_words, waivers_of
from evaluator.reporting.views import gates_words, waived_gates


def summary_lines(
    *,
    outcomes: Sequence[Outcome],
    verdicts: Sequence[Verdict],
    scorecard: Scorecard,
    headline_metrics: Sequence[str],
    standout_metrics: Sequence[str],
    minimum_support: int = ENOUGH_CASES,
) -> list[str]:
    """Say what an audit found: figures, comparison, fairness, weak slices, verdicts, outcomes.

    Parameters
    ----------
    outcomes, verdicts
        What `evaluator.certification.decide_outcomes` and `judge` gave.
    scorecard
        What was found, and what they were judged on; what has no rows is not spoken of.
    headline_metrics
        The metrics of the table of candidates.
    standout_metrics, minimum_support
        As for `standout_slices`.

    Returns
    -------
    list[str]
        Lines without colours or newlines. Values from the data are shown without control
        characters, so that no name can steer the terminal.
    """
    candidates = [outcome.candidate for outcome in outcomes]
    lines = ["Candidates", *_headline_table(scorecard.measurements, candidates, headline_metrics)]
    standouts = standout_slices(
        scorecard.measurements,
        metrics=standout_metrics,
        minimum_support=minimum_support,
        most=1,
    )
    lines += ["", "Slices that stand out"]
    lines += [f"  {_standout_words(standout)}" for standout in standouts] or [
        f"  none by more than its own noise, with at least {count_words(minimum_support, 'case')}"
    ]
    lines += comparison_lines(scorecard.comparisons, candidates, headline_metrics)
    lines += fairness_lines(scorecard.fairness, candidates)
    lines += weak_lines(
        scorecard.weak_slices, scorecard.weak_searches, scorecard.worsened, candidates
    )
    lines += ["", "Slices that are not current", *_not_current_lines(scorecard.slices)]
    lines += ["", "Verdicts", *_verdict_lines(outcomes, verdicts)]
    return [_inert(line) for line in lines]


def _headline_table(
    measurements: pd.DataFrame, candidates: Sequence[str], metrics: Sequence[str]
) -> list[str]:
    figures = {
        (figure.candidate, figure.metric): figure
        for figure in read_figures(measurements, metrics=metrics, levels=["overall"])
    }
    rows = [["", "cases", *(metric_words(metric) for metric in metrics)]]
    for candidate in candidates:
        mine = [figures.get((candidate, metric)) for metric in metrics]
        cases = next((f"{f.n:,}" for f in mine if f is not None and f.n is not None), "-")
        rows.append([candidate, cases, *(_figure_words(figure) for figure in mine)])
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return [
        "  "
        + "  ".join(
            cell.ljust(width) if column == 0 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


def _figure_words(figure: Figure | None) -> str:
    if figure is None:
        return "missing"
    if figure.value is None:
        return figure.status.replace("_", " ")
    return number_words(figure.value) + ("" if figure.status == "ok" else " (too few)")


def _standout_words(standout: Standout) -> str:
    figure = standout.figure
    return (
        f"{figure.candidate}: {metric_words(figure.metric)} {number_words(standout.value)} on "
        f"{place_words(figure.geography, figure.segment)}, {standout.direction} than "
        f"{number_words(standout.overall)} overall "
        f"({count_words(figure.support, 'case')})"
    )


def _not_current_lines(slices: pd.DataFrame) -> list[str]:
    states = read_slices(slices)
    lines = []
    for (candidate, state), count in Counter(
        (s.candidate, s.state) for s in states if not s.is_current
    ).items():
        named = [
            place_words(s.geography, s.segment) + (f" ({s.error})" if s.error else "")
            for s in states
            if (s.candidate, s.state) == (candidate, state)
        ]
        lines.append(f"  {candidate}: {count_words(count, 'slice')} {state}: {list_words(named)}")
    if not states:
        return ["  no slice is recorded"]
    return lines or [f"  none: all {len(states):,} are current"]


def _verdict_lines(outcomes: Sequence[Outcome], verdicts: Sequence[Verdict]) -> list[str]:
    """Give each candidate's outcome, and under it what does not pass."""
    names = {outcome.candidate: None for outcome in outcomes}
    width = max((len(name) for name in names), default=0)
    lines = []
    for outcome in outcomes:
        mine = [verdict for verdict in verdicts if verdict.candidate == outcome.candidate]
        lines.append(
            f"  {outcome.candidate:<{width}}  {outcome.outcome.upper()}, "
            + (gates_words(mine) if verdicts else "the audit declares no gate")
            + _waiver_words(outcome)
        )
        lines += _not_passing_lines(mine, outcomes)
    strangers = [verdict for verdict in verdicts if verdict.candidate not in names]
    return lines + _not_passing_lines(strangers, outcomes)


def _waiver_words(outcome: Outcome) -> str:
    count = waived_gates(outcome)
    if not count:
        return ""
    return (
        f", WITH {count_words(count, 'WAIVED GATE').upper()}: without "
        f"{'it' if count == 1 else 'them'} {outcome.after_waivers}, on a person's word"
    )


def _not_passing_lines(verdicts: Sequence[Verdict], outcomes: Sequence[Outcome]) -> list[str]:
    lines = []
    for verdict in verdicts:
        if verdict.verdict == "PASS":
            continue
        lines.append(
            f"    {verdict.verdict}{'' if verdict.required else ' (not required)'}  "
            f"{verdict.says or verdict.gate}: {verdict.reason}{_needed(verdict)}"
        )
        lines += [
            f"      WAIVED by {waiver.waived_by} until {waiver.until:%Y-%m-%d %H:%M %Z}: "
            f"{waiver.reason}"
            for waiver in waivers_of(verdict, outcomes)
        ]
    return lines


def _needed(verdict: Verdict) -> str:
    words = needed_words(verdict)
    return words and f"; {words}"


def _inert(line: str) -> str:
    return "".join(
        character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in line
    )
