"""What was found, in plain text for a terminal."""

from collections import Counter
from collections.abc import Mapping, Sequence

import pandas as pd

from evaluator.certification import (
    DecidedGap,
    Outcome,
    Verdict,
    format_count,
    format_list,
    format_metric,
    format_number,
)
from evaluator.reporting._comparison import (
    ComparisonGroup,
    ComparisonRow,
    baseline_of,
    comparison_groups,
)
from evaluator.reporting._fairness import FairnessGroup, GapRow, fairness_groups
from evaluator.reporting._formatting import (
    NO_VALUE,
    aligned,
    format_design_effect,
    format_excess_errors,
    format_interval,
    format_measured_value,
    format_p_value,
    format_place,
    format_signed,
    format_value,
)
from evaluator.reporting._overview import (
    format_gate_counts,
    format_needed_cases,
    waivers_of,
)
from evaluator.reporting._slices import ENOUGH_CASES, Standout, is_divided, standout_slices
from evaluator.reporting._weak_slices import WeakGroup, WorsenedGroup, weak_groups, worsened_groups
from evaluator.scorecard import Scorecard, format_scope, read_measurements, read_slices

_CHECK_WORDS = {"certified": "passes", "not certified": "does not pass"}
"""How outcomes are called where no certificate is issued."""
_COUNTS = (3, 4, 5)
"""The columns of a table of differences that are aligned on the right."""
_NAMED = 2
"""How many slices a line names."""


def summary_lines(
    *,
    outcomes: Sequence[Outcome],
    verdicts: Sequence[Verdict],
    scorecard: Scorecard,
    fairness_gaps: Sequence[DecidedGap],
    headline_metrics: Sequence[str],
    standout_metrics: Sequence[str],
    minimum_support: int = ENOUGH_CASES,
    certifies: bool = True,
) -> list[str]:
    """Say what an audit found: measurements, comparison, fairness, weak slices, verdicts, outcomes.

    Parameters
    ----------
    outcomes, verdicts
        What `evaluator.certification.decide_outcomes` and `judge` gave.
    scorecard
        What was found, and what they were judged on; what has no rows is not spoken of.
    fairness_gaps
        What `evaluator.certification.decide_gaps` gave.
    headline_metrics
        The metrics of the table of candidates.
    standout_metrics, minimum_support
        As for `standout_slices`.
    certifies
        Whether outcomes are those of certificates. Of a check they are not, it may have no limits,
        and no slice of it is anything but current.

    Returns
    -------
    list[str]
        Lines without colours or newlines. Values from the data are shown without control
        characters, so that no name can steer the terminal.
    """
    candidates = [outcome.candidate for outcome in outcomes]
    lines = ["Candidates", *_headline_table(scorecard.measurements, candidates, headline_metrics)]
    if is_divided(scorecard):
        standouts = standout_slices(
            scorecard.measurements,
            metrics=standout_metrics,
            minimum_support=minimum_support,
            most=1,
        )
        enough = format_count(minimum_support, "case")
        lines += ["", "Slices that stand out"]
        lines += [f"  {_format_standout(standout)}" for standout in standouts] or [
            f"  none by more than its own noise, with at least {enough}"
        ]
    lines += _comparison_lines(scorecard, candidates, headline_metrics)
    lines += _fairness_lines(fairness_gaps, candidates)
    lines += _weak_lines(scorecard, candidates)
    if certifies:
        lines += ["", "Slices that are not current", *_not_current_lines(scorecard.slices)]
    words = {} if certifies else _CHECK_WORDS
    if certifies or verdicts:
        lines += ["", "Verdicts", *_verdict_lines(outcomes, verdicts, words)]
    return [printable(line) for line in lines]


def _headline_table(
    measurements: pd.DataFrame, candidates: Sequence[str], metrics: Sequence[str]
) -> list[str]:
    overall = {
        (measurement.candidate, measurement.metric): measurement
        for measurement in read_measurements(measurements, metrics=metrics, levels=["overall"])
    }
    rows = [["", "cases", *(format_metric(metric) for metric in metrics)]]
    for candidate in candidates:
        own = [overall.get((candidate, metric)) for metric in metrics]
        cases = next((f"{f.n:,}" for f in own if f is not None and f.n is not None), "-")
        rows.append(
            [candidate, cases, *(format_measured_value(measurement) for measurement in own)]
        )
        effects = [None if f is None else f.design_effect for f in own]
        if any(effect is not None for effect in effects):
            clusters = max((f.clusters for f in own if f and f.clusters), default=None)
            counted = "" if clusters is None else format_count(clusters, "cluster")
            rows.append(["  design effect", counted, *map(format_design_effect, effects)])
    return [f"  {line}" for line in aligned(rows, right=range(1, len(rows[0])))]


def _format_standout(standout: Standout) -> str:
    found = standout.measurement
    return (
        f"{found.candidate}: {format_metric(found.metric, found.class_)}"
        f" {format_number(standout.value)} on "
        f"{format_place(found.geography, found.segment)}, {standout.direction} than "
        f"{format_number(standout.overall)} overall ({format_count(found.support, 'case')})"
    )


def difference_lines(scorecard: Scorecard, metrics: Sequence[str]) -> list[str]:
    """Say how one candidate differs from another, metric by metric, overall and where.

    Parameters
    ----------
    scorecard
        What was found; its comparisons are those of the two.
    metrics
        Which metrics come first.

    Returns
    -------
    list[str]
        Lines without control characters. Intervals and p-values are adjusted, as the page has
        them; conclusions are its words.
    """
    (group,) = comparison_groups(scorecard, [], metrics)
    table = [
        ("", "", "difference", "p", "better", "worse", "conclusion"),
        *map(_difference, (*group.overall, *group.scopes)),
    ]
    lines = [f"  {line}" for line in aligned(table, right=_COUNTS)]
    if group.shown > len(group.scopes):
        lines.append(f"  and {group.shown - len(group.scopes):,} more differences by slice")
    lines.append(f"  {_format_scopes(group)}")
    return [printable(line) for line in lines]


def _difference(row: ComparisonRow) -> tuple[str, ...]:
    interval = format_interval(row.low, row.high, has_sign=True)
    difference = NO_VALUE if row.difference is None else format_signed(row.difference)
    return (
        row.metric,
        row.scope,
        f"{difference} ({interval})" if interval else difference,
        format_p_value(row.p_adjusted),
        f"{row.better:,}",
        f"{row.worse:,}",
        f"{row.conclusion}: {row.reason}" if row.reason else row.conclusion,
    )


def _comparison_lines(
    scorecard: Scorecard, candidates: Sequence[str], metrics: Sequence[str]
) -> list[str]:
    """Say how each candidate compares with the baseline; nothing where nobody was compared."""
    groups = comparison_groups(scorecard, candidates, metrics)
    if not groups:
        return []
    lines = ["", f"Compared with {baseline_of(scorecard)}"]
    for group in groups:
        lines.append(f"  {group.candidate}: {_format_overall(group)}")
        if group.overall:
            lines.append(f"    {_format_scopes(group)}")
    return lines


def _format_overall(group: ComparisonGroup) -> str:
    if not group.overall:
        return "not compared"
    by_conclusion: dict[str, list[str]] = {}
    for row in group.overall:
        words = (
            row.metric
            if row.difference is None
            else f"{row.metric} ({format_signed(row.difference)})"
        )
        by_conclusion.setdefault(row.conclusion, []).append(words)
    return "; ".join(f"{word}: {format_list(rows)}" for word, rows in by_conclusion.items())


def _format_scopes(group: ComparisonGroup) -> str:
    """Count the conclusions by slice, and name where the candidate does worst."""
    counts = ", ".join(f"{count:,} {word}" for word, count in group.counts.items())
    if not counts:
        return "no slice compared"
    first = next(iter(group.scopes), None)
    if first is None or first.difference is None or first.conclusion != "worse":
        return f"by slice and metric: {counts}"
    worst = f"{first.metric} {format_signed(first.difference)} on {first.scope}"
    return f"by slice and metric: {counts}; first {worst}"


def _fairness_lines(gaps: Sequence[DecidedGap], candidates: Sequence[str]) -> list[str]:
    """Say each candidate's verdicts on its worst gaps; nothing where nobody was measured."""
    groups = fairness_groups(gaps, candidates)
    if not groups:
        return []
    lines = ["", "Fairness"]
    for group in groups:
        lines.append(f"  {group.candidate}: {_format_verdicts(group)}")
        if group.worst and group.worst[0].verdict in {"FAIL", "INSUFFICIENT EVIDENCE"}:
            lines.append(f"    {_format_gap(group.worst[0])}")
        elif not group.verdicts and (widest := _widest(group.groups)) is not None:
            lines.append(f"    {_format_gap(widest)}")
    return lines


def _format_verdicts(group: FairnessGroup) -> str:
    if not group.worst:
        return "not measured"
    short_words = (("FAIL", "fail"), ("INSUFFICIENT EVIDENCE", "open"), ("PASS", "pass"))
    counts = [
        f"{group.verdicts[word]} {short}" for word, short in short_words if word in group.verdicts
    ]
    if not counts:
        return f"{format_count(group.gaps, 'gap')}, none of them with a limit"
    if group.without_limit:
        counts.append(f"{group.without_limit:,} without a limit")
    return f"of {format_count(group.gaps, 'gap')} {', '.join(counts)}"


def _widest(gaps: Sequence[GapRow]) -> GapRow | None:
    """Give the difference that is surely the largest, of those whose interval holds no 0."""
    sure = [
        (min(abs(gap.low), abs(gap.high)), gap)
        for gap in gaps
        if not gap.is_ratio
        and gap.low is not None
        and gap.high is not None
        and gap.low * gap.high > 0
    ]
    return max(sure, key=lambda one: one[0])[1] if sure else None


def _format_gap(gap: GapRow) -> str:
    if gap.value is None:
        value = "undefined"
    else:
        value = f"ratio {format_number(gap.value)}" if gap.is_ratio else format_signed(gap.value)
    interval = format_interval(gap.low, gap.high, has_sign=not gap.is_ratio)
    return (
        f"{f'{gap.verdict}  ' if gap.verdict else 'widest: '}{gap.measure} by {gap.attribute},"
        f" {gap.group} against {gap.reference}: "
        f"{value}{f' ({interval})' if interval else ''}{f'; {gap.why}' if gap.why else ''}"
    )


def _weak_lines(scorecard: Scorecard, candidates: Sequence[str]) -> list[str]:
    """Say where each candidate is weak, and what got worse; nothing where nobody was searched."""
    groups = weak_groups(scorecard, candidates)
    later = {group.candidate: group for group in worsened_groups(scorecard, candidates)}
    if not groups and not later:
        return []
    return [
        "",
        "Weak slices",
        *(f"  {group.candidate}: {_format_weak(group)}" for group in groups),
        *(f"  {candidate}: {format_worsened(worse)}" for candidate, worse in later.items()),
    ]


def _format_weak(group: WeakGroup) -> str:
    if not group.rows:
        return f"none confirmed. {group.searched}"
    first = group.rows[0]
    return (
        f"{group.found} confirmed. {first.description}: {group.loss} {format_value(first.loss)}, "
        f"{format_value(first.other_loss)} elsewhere ({format_count(first.n, 'case')}, "
        f"harm at least {format_excess_errors(first.excess_errors)})"
    )


def format_worsened(group: WorsenedGroup) -> str:
    """Say in which slices a candidate does worse than at its last certificate."""
    if not group.rows:
        of_all = format_count(group.looked_at, "slice")
        return f"not shown to be worse than at the last certificate in any of {of_all}"
    named = [row.description for row in group.rows[:_NAMED]]
    rest = group.found - len(named)
    return f"worse than at the last certificate in {', '.join(named)}" + (
        f" and {rest:,} more" if rest else ""
    )


def slices_not_current(slices: pd.DataFrame) -> list[tuple[str, str]]:
    """Name each candidate with slices that are outdated or missing, and say which and why."""
    states = read_slices(slices)
    found = []
    for (candidate, state), count in Counter(
        (s.candidate, s.state) for s in states if not s.is_current
    ).items():
        named = [
            format_scope(s.geography, s.segment) + (f" ({s.error})" if s.error else "")
            for s in states
            if (s.candidate, s.state) == (candidate, state)
        ]
        counted = f"{format_count(count, 'slice')} {state}"
        found.append((candidate, f"{candidate}: {counted}: {format_list(named)}"))
    return found


def _not_current_lines(slices: pd.DataFrame) -> list[str]:
    if slices.empty:
        return ["  no slice is recorded"]
    return [f"  {words}" for _, words in slices_not_current(slices)] or [
        f"  none: all {len(slices):,} are current"
    ]


def _verdict_lines(
    outcomes: Sequence[Outcome], verdicts: Sequence[Verdict], words: Mapping[str, str]
) -> list[str]:
    """Give each candidate's outcome, and under it what does not pass."""
    names = {outcome.candidate: None for outcome in outcomes}
    width = max((len(name) for name in names), default=0)
    lines = []
    for outcome in outcomes:
        own = [verdict for verdict in verdicts if verdict.candidate == outcome.candidate]
        word = words.get(outcome.outcome, outcome.outcome).upper()
        lines.append(
            f"  {outcome.candidate:<{width}}  {word}, "
            + (format_gate_counts(own) if verdicts else "the audit declares no gate")
            + (f", with {outcome.qualified_by.short}" if outcome.qualified_by.short else "")
        )
        lines += _not_passing_lines(own, outcomes)
    strangers = [verdict for verdict in verdicts if verdict.candidate not in names]
    return lines + _not_passing_lines(strangers, outcomes)


def _not_passing_lines(verdicts: Sequence[Verdict], outcomes: Sequence[Outcome]) -> list[str]:
    lines = []
    for verdict in verdicts:
        if verdict.verdict == "PASS":
            continue
        needed = format_needed_cases(verdict)
        lines.append(
            f"    {verdict.verdict}{'' if verdict.required else ' (not required)'}  "
            f"{verdict.says or verdict.gate}: {verdict.reason}{needed and f'; {needed}'}"
        )
        lines += [
            f"      WAIVED by {waiver.waived_by} until {waiver.until:%Y-%m-%d %H:%M %Z}: "
            f"{waiver.reason}"
            for waiver in waivers_of(verdict, outcomes)
        ]
    return lines


def printable(line: str) -> str:
    """Take out of a line what could steer a terminal."""
    return "".join(
        character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in line
    )
