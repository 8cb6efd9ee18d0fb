"""Comparison, fairness and weak slices in a few lines each, for a terminal."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from evaluator.certification.words import count_words, list_words, number_words
from evaluator.reporting.comparison import ComparisonGroup, baseline_of, comparison_groups
from evaluator.reporting.fairness import FairnessGroup, GapRow, fairness_groups
from evaluator.reporting.numbers import harm_words, interval_words, signed
from evaluator.reporting.weak_slices import (
    WeakGroup,
    WorsenedGroup,
    weak_groups,
    worsened_groups,
)

_NAMED = 2
"""How many slices a line names."""


def comparison_lines(
    comparisons: pd.DataFrame, candidates: Sequence[str], metrics: Sequence[str]
) -> list[str]:
    """Say how each candidate compares with the baseline; nothing where nobody was compared."""
    groups = comparison_groups(comparisons, candidates, metrics)
    if not groups:
        return []
    lines = ["", f"Compared with {baseline_of(comparisons)}"]
    for group in groups:
        lines.append(f"  {group.candidate}: {_overall_words(group)}")
        if group.overall:
            lines.append(f"    {_places_words(group)}")
    return lines


def fairness_lines(gaps: pd.DataFrame, candidates: Sequence[str]) -> list[str]:
    """Say each candidate's verdicts on its worst gaps; nothing where nobody was measured."""
    groups = fairness_groups(gaps, candidates)
    if not groups:
        return []
    lines = ["", "Fairness"]
    for group in groups:
        lines.append(f"  {group.candidate}: {_verdict_words(group)}")
        if group.worst and group.worst[0].verdict != "PASS":
            lines.append(f"    {_gap_words(group.worst[0])}")
    return lines


def weak_lines(
    table: pd.DataFrame,
    searches: Mapping[str, Mapping[str, Any]],
    worsened: pd.DataFrame,
    candidates: Sequence[str],
) -> list[str]:
    """Say where each candidate is weak, and what got worse; nothing where nobody was searched."""
    groups = weak_groups(table, searches, candidates)
    later = {group.candidate: group for group in worsened_groups(worsened, candidates)}
    if not groups and not later:
        return []
    return [
        "",
        "Weak slices",
        *(f"  {group.candidate}: {_weak_words(group)}" for group in groups),
        *(f"  {candidate}: {_worsened_words(worse)}" for candidate, worse in later.items()),
    ]


def _overall_words(group: ComparisonGroup) -> str:
    if not group.overall:
        return "not compared"
    by_conclusion: dict[str, list[str]] = {}
    for row in group.overall:
        words = row.metric if row.difference is None else f"{row.metric} ({signed(row.difference)})"
        by_conclusion.setdefault(row.conclusion, []).append(words)
    return "; ".join(f"{word}: {list_words(rows)}" for word, rows in by_conclusion.items())


def _places_words(group: ComparisonGroup) -> str:
    """Count the conclusions by slice, and name where the candidate does worst."""
    counts = ", ".join(f"{count:,} {word}" for word, count in group.counts.items())
    if not counts:
        return "no slice compared"
    first = next(iter(group.places), None)
    if first is None or first.difference is None or first.conclusion != "worse":
        return f"by slice and metric: {counts}"
    worst = f"{first.metric} {signed(first.difference)} on {first.place}"
    return f"by slice and metric: {counts}; first {worst}"


def _verdict_words(group: FairnessGroup) -> str:
    if not group.worst:
        return "not measured"
    said = (("FAIL", "fail"), ("INSUFFICIENT EVIDENCE", "open"), ("PASS", "pass"))
    counts = [f"{group.verdicts[word]} {short}" for word, short in said if word in group.verdicts]
    return f"of {count_words(group.gaps, 'gap')} {', '.join(counts)}"


def _gap_words(gap: GapRow) -> str:
    value = "undefined" if gap.value is None else _value_words(gap)
    interval = interval_words(gap.low, gap.high, has_sign=not gap.is_ratio)
    return (
        f"{gap.verdict}  {gap.measure} by {gap.attribute}, {gap.group} against {gap.reference}: "
        f"{value}{f' ({interval})' if interval else ''}{f'; {gap.why}' if gap.why else ''}"
    )


def _value_words(gap: GapRow) -> str:
    value = gap.value or 0.0
    return f"ratio {number_words(value)}" if gap.is_ratio else signed(value)


def _weak_words(group: WeakGroup) -> str:
    if not group.rows:
        return f"none confirmed. {group.searched}"
    first = group.rows[0]
    return (
        f"{group.found} confirmed. {first.words}: {group.loss} {number_words(first.loss)}, "
        f"{number_words(first.other_loss)} elsewhere ({count_words(first.n, 'case')}, "
        f"harm at least {harm_words(first.harm)})"
    )


def _worsened_words(group: WorsenedGroup) -> str:
    if not group.rows:
        of_all = count_words(group.looked_at, "slice")
        return f"not shown to be worse than at the last certificate in any of {of_all}"
    named = [row.words for row in group.rows[:_NAMED]]
    rest = group.found - len(named)
    return f"worse than at the last certificate in {', '.join(named)}" + (
        f" and {rest:,} more" if rest else ""
    )
