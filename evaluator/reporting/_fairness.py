"""Does each candidate treat groups alike: the worst gaps, and all groups."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from evaluator.certification import format_metric, worst_first, worst_gaps
from evaluator.metrics import FAIRNESS_MEASURES
from evaluator.reporting._formatting import (
    Row,
    finite,
    group_by_candidate,
    plain_rows,
)
from evaluator.reporting._plots import IntervalPlot, Scale, centred_scale

MAX_GAPS = 10
"""How many of a candidate's worst gaps are shown, one a measure and attribute."""

MAX_GROUPS = 100
"""How many of a candidate's groups are shown."""

# Ratios further from 1 than this are drawn at an end.
_WIDEST_RATIO = math.log(4)


@dataclass(frozen=True, kw_only=True)
class GapRow:
    """One gap between a group and its reference.

    Attributes
    ----------
    measure
        In words; with the class, where there is one.
    is_ratio
        Whether the gap is a ratio; otherwise it is a difference.
    group_value, reference_value
        The quantity itself on both sides; None for equalised odds.
    high
        None where the interval has no upper end, or where there is no interval.
    limit, verdict
        None where neither a gate nor the audit states a limit.
    rule
        What states the limit, in words; empty where there is none.
    why
        Why there is no interval, or why the verdict is open; empty without such a reason.
    failed, open, passed
        How many groups are so; None where the row is one of a single group.
    """

    measure: str
    is_ratio: bool
    attribute: str
    group: str
    reference: str
    value: float | None
    low: float | None
    high: float | None
    limit: float | None
    rule: str
    group_value: float | None
    reference_value: float | None
    n: int
    n_effective: float | None
    n_effective_reference: float | None
    verdict: str | None
    why: str
    plot: IntervalPlot | None
    failed: int | None
    open: int | None
    passed: int | None


@dataclass(frozen=True, kw_only=True)
class FairnessGroup:
    """One candidate's gaps: the worst of each measure and attribute, and those of all groups.

    Attributes
    ----------
    worst, groups
        What failed comes first, then what is open, and last what has no limit.
    gaps, rows
        How many there are of each; what is shown are the first of them.
    verdicts
        How many of all worst gaps have each verdict, FAIL first; those without a limit have none.
    """

    candidate: str
    worst: Sequence[GapRow]
    gaps: int
    groups: Sequence[GapRow]
    rows: int
    verdicts: dict[str, int]

    @property
    def without_limit(self) -> int:
        """How many of all worst gaps nothing states a limit for."""
        return self.gaps - sum(self.verdicts.values())


def fairness_groups(gaps: pd.DataFrame, candidates: Sequence[str]) -> list[FairnessGroup]:
    """Arrange the gaps by candidate."""
    if gaps.empty:
        return []
    return [_group(candidate, part) for candidate, part in group_by_candidate(gaps, candidates)]


def describe_measures(gaps: pd.DataFrame) -> list[tuple[str, str]]:
    """Say what each measure that occurs compares."""
    if gaps.empty:
        return []
    return [
        (format_metric(name), FAIRNESS_MEASURES[name].compares)
        for name in gaps["measure"].unique()
        if name in FAIRNESS_MEASURES
    ]


def _group(candidate: str, gaps: pd.DataFrame) -> FairnessGroup:
    if gaps.empty:
        return FairnessGroup(candidate=candidate, worst=[], gaps=0, groups=[], rows=0, verdicts={})
    summary = worst_first(worst_gaps(gaps))
    scales = {False: _scale(summary, is_ratio=False), True: _scale(summary, is_ratio=True)}
    return FairnessGroup(
        candidate=candidate,
        worst=[_row(row, scales) for row in plain_rows(summary.head(MAX_GAPS))],
        gaps=len(summary),
        groups=[_row(row, scales) for row in plain_rows(worst_first(gaps).head(MAX_GROUPS))],
        rows=len(gaps),
        verdicts={
            str(word): int(n) for word, n in summary["verdict"].value_counts(sort=False).items()
        },
    )


def _scale(gaps: pd.DataFrame, *, is_ratio: bool) -> Scale:
    rows = plain_rows(gaps[(gaps["comparison"] == "ratio") == is_ratio])
    ends = [_drawn(row[end], is_ratio=is_ratio) for row in rows for end in ("value", "low", "high")]
    if not is_ratio:
        return centred_scale([*ends, *(row["limit"] for row in rows)])
    return centred_scale(
        max(-_WIDEST_RATIO, min(_WIDEST_RATIO, end)) for end in ends if end is not None
    )


def _drawn(value: float | None, *, is_ratio: bool) -> float | None:
    """Give where a gap is drawn: a ratio by its logarithm, so that half and twice look alike."""
    if value is None or not is_ratio:
        return value
    return -math.inf if value <= 0 else math.log(value)


def _row(row: Row, scales: dict[bool, Scale]) -> GapRow:
    is_ratio = row["comparison"] == "ratio"
    value = finite(row["value"])
    measure = format_metric(row["measure"])
    counts = {name: row.get(name) for name in ("failed", "open", "passed")}
    return GapRow(
        measure=measure if row["class"] is None else f"{measure} of class {row['class']}",
        is_ratio=is_ratio,
        attribute=row["attribute"],
        group=row["group"],
        reference=row["reference"] or "no other group",
        value=value,
        low=finite(row["low"]),
        high=finite(row["high"]),
        limit=row["limit"],
        rule=_rule(row),
        group_value=finite(row["group_value"]),
        reference_value=finite(row["reference_value"]),
        n=int(row["n"]),
        n_effective=finite(row["n_effective"]),
        n_effective_reference=finite(row["n_effective_reference"]),
        verdict=row["verdict"],
        why=row["reason"] or "",
        plot=None if value is None else _plot(row, scales[is_ratio], is_ratio=is_ratio),
        **counts,
    )


def _plot(row: Row, scale: Scale, *, is_ratio: bool) -> IntervalPlot:
    value, low, high = (_drawn(row[end], is_ratio=is_ratio) for end in ("value", "low", "high"))
    limit = _drawn(row["limit"], is_ratio=is_ratio)
    measure = FAIRNESS_MEASURES.get(row["measure"])
    # Equalised odds is the larger of two gaps, whichever way they go: it has one side.
    is_one_sided = measure is not None and measure.favoured == 0
    limits = [] if limit is None else [limit] if is_one_sided else [limit, -limit]
    return scale.plot(value or 0.0, low=low, high=high, mark=0.0, limits=limits)


def _rule(row: Row) -> str:
    """Say what states the limit: a gate, or the audit without one."""
    if row["limit"] is None:
        return ""
    if row["gates"] > 1:
        return f"the worst of {row['gates']} gates: {row['gate']}"
    return "gate" if row["gates"] else "no gate"
