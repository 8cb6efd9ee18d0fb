"""Does each candidate treat groups alike: the worst gaps, and all groups."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from evaluator.certification import DecidedGap, format_count, format_metric, worst_first, worst_gaps
from evaluator.metrics import FAIRNESS_MEASURES
from evaluator.reporting._formatting import finite, format_signed, format_value, group_by_candidate
from evaluator.reporting._plots import IntervalPlot, Scale, centred_scale

MAX_GAPS = 10
"""How many of a candidate's worst gaps are shown, one a measure and attribute."""

MAX_GROUPS = 100
"""How many of a candidate's groups are shown."""

# Ratios further from 1 than this are drawn at an end.
_WIDEST_RATIO = math.log(4)


_Decided = TypeVar("_Decided", bound=DecidedGap)


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
    clusters
        How many clusters it rests on; None where cases are taken as independent.
    few
        Whether it rests on too few cases, or is undefined: it is not among the worst.
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
    clusters: int | None
    verdict: str | None
    few: bool
    why: str
    plot: IntervalPlot | None
    failed: int | None = None
    open: int | None = None
    passed: int | None = None


@dataclass(frozen=True, kw_only=True)
class FairnessGroup:
    """One candidate's gaps: the worst of each measure and attribute, and those of all groups.

    Attributes
    ----------
    worst, groups
        What failed comes first, then what is open, then what has no limit, and last what rests on
        too few cases.
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
    verdicts: Mapping[str, int]

    @property
    def without_limit(self) -> int:
        """How many of all worst gaps nothing states a limit for."""
        return self.gaps - sum(self.verdicts.values())


def fairness_groups(gaps: Sequence[DecidedGap], candidates: Sequence[str]) -> list[FairnessGroup]:
    """Arrange the gaps by candidate."""
    if not gaps:
        return []
    return [_group(candidate, own) for candidate, own in group_by_candidate(gaps, candidates)]


def fairness_finding(gaps: Sequence[DecidedGap]) -> str:
    """Say how many gaps are beyond their limit, and which of them is the widest."""
    worst = worst_gaps(gaps)
    all_of_them = format_count(len(worst), "gap")
    failed = [gap for gap in worst if gap.verdict == "FAIL"]
    limited = [gap for gap in worst if gap.verdict is not None]
    if not limited:
        return f"{all_of_them}, none of them with a limit"
    if not failed:
        are_open = sum(gap.verdict != "PASS" for gap in limited)
        return f"none of {all_of_them} is shown to be beyond its limit, {are_open:,} open"
    # Differences and ratios have no size in common.
    alike = [gap for gap in failed if not gap.is_ratio] or failed
    widest = max(alike, key=lambda gap: abs(_drawn(gap.value, gap) or 0.0))
    value = widest.value or 0.0
    size = f"ratio {format_value(value)}" if widest.is_ratio else format_signed(value)
    beyond = "is beyond its limit" if len(failed) == 1 else "are beyond their limit"
    return (
        f"{len(failed):,} of {all_of_them} {beyond}, widest {format_metric(widest.measure)} by"
        f" {widest.attribute}, {widest.group} against {widest.reference or 'nobody'}: {size}"
        f" ({widest.candidate})"
    )


def describe_measures(gaps: Sequence[DecidedGap]) -> list[tuple[str, str]]:
    """Say what each measure that occurs compares."""
    return [
        (format_metric(name), FAIRNESS_MEASURES[name].compares)
        for name in dict.fromkeys(gap.measure for gap in gaps)
        if name in FAIRNESS_MEASURES
    ]


def _group(candidate: str, gaps: Sequence[DecidedGap]) -> FairnessGroup:
    worst = _few_last(worst_first(worst_gaps(gaps)))
    scales = {is_ratio: _scale(worst, is_ratio=is_ratio) for is_ratio in (False, True)}
    return FairnessGroup(
        candidate=candidate,
        worst=[
            replace(_row(gap, scales), failed=gap.failed, open=gap.open, passed=gap.passed)
            for gap in worst[:MAX_GAPS]
        ],
        gaps=len(worst),
        groups=[_row(gap, scales) for gap in _few_last(worst_first(gaps))[:MAX_GROUPS]],
        rows=len(gaps),
        verdicts=Counter(gap.verdict for gap in worst if gap.verdict is not None),
    )


def _few_last(gaps: Sequence[_Decided]) -> list[_Decided]:
    """Put what rests on too few cases, or is undefined, behind what can be called worst."""
    return sorted(gaps, key=lambda gap: gap.status != "ok")


def _scale(gaps: Sequence[DecidedGap], *, is_ratio: bool) -> Scale:
    own = [gap for gap in gaps if gap.is_ratio == is_ratio]
    ends = [_drawn(end, gap) for gap in own for end in (gap.value, gap.low, gap.high)]
    if not is_ratio:
        return centred_scale([*ends, *(gap.limit for gap in own)])
    return centred_scale(
        max(-_WIDEST_RATIO, min(_WIDEST_RATIO, end)) for end in ends if end is not None
    )


def _drawn(value: float | None, gap: DecidedGap) -> float | None:
    """Give where a gap is drawn: a ratio by its logarithm, so that half and twice look alike."""
    if value is None or not gap.is_ratio:
        return value
    return -math.inf if value <= 0 else math.log(value)


def _row(gap: DecidedGap, scales: Mapping[bool, Scale]) -> GapRow:
    return GapRow(
        measure=format_metric(gap.measure, gap.class_),
        is_ratio=gap.is_ratio,
        attribute=gap.attribute,
        group=gap.group,
        reference=gap.reference or "no other group",
        value=finite(gap.value),
        low=finite(gap.low),
        high=finite(gap.high),
        limit=gap.limit,
        rule=_rule(gap),
        group_value=finite(gap.group_value),
        reference_value=finite(gap.reference_value),
        n=gap.n,
        n_effective=finite(gap.n_effective),
        n_effective_reference=finite(gap.n_effective_reference),
        clusters=gap.clusters,
        verdict=gap.verdict,
        few=gap.status != "ok",
        why=gap.reason or "",
        plot=None if finite(gap.value) is None else _plot(gap, scales[gap.is_ratio]),
    )


def _plot(gap: DecidedGap, scale: Scale) -> IntervalPlot:
    value, low, high, limit = (
        _drawn(end, gap) for end in (gap.value, gap.low, gap.high, gap.limit)
    )
    measure = FAIRNESS_MEASURES.get(gap.measure)
    # Equalised odds is the larger of two gaps, whichever way they go: it has one side.
    is_one_sided = measure is not None and measure.favoured == 0
    limits = [] if limit is None else [limit] if is_one_sided else [limit, -limit]
    return scale.plot(value or 0.0, low=low, high=high, mark=0.0, limits=limits)


def _rule(gap: DecidedGap) -> str:
    """Say what states the limit: a gate, or the audit without one."""
    if gap.limit is None:
        return ""
    if gap.gates > 1:
        return f"the worst of {gap.gates} gates: {gap.gate}"
    return "gate" if gap.gates else "no gate"
