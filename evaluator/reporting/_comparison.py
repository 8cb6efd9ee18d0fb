"""The candidates against the baseline, case by case: what was shown, overall and where."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from evaluator.certification import format_metric
from evaluator.reporting._formatting import finite, group_by_candidate, put_first
from evaluator.reporting._plots import IntervalPlot, Scale, centred_scale
from evaluator.scorecard import ALL, Comparison, Rank, Scorecard, Slice, format_scope

MAX_SCOPES = 30
"""How many of a candidate's slices are shown."""

_WITHIN = "within the margin"
# What a reader must see first.
_ORDER = {"worse": 0, "lower": 1, "better": 2, "higher": 3}


@dataclass(frozen=True, kw_only=True)
class ComparisonRow:
    """One metric of one candidate less that of the baseline, at one scope.

    Attributes
    ----------
    metric, scope
        In words.
    kind
        How the conclusion is coloured: ``good``, ``bad``, ``same`` or ``open``.
    low, high
        The adjusted interval, which agrees with the conclusion.
    better, worse
        Cases that the candidate treats better and worse than the baseline does.
    clusters
        How many clusters they come from; None where cases are taken as independent.
    reason
        Why nothing could be tested; empty where it was.
    """

    metric: str
    scope: str
    conclusion: str
    kind: str
    difference: float | None
    low: float | None
    high: float | None
    p_adjusted: float | None
    better: int
    worse: int
    n: int
    clusters: int | None
    reason: str
    plot: IntervalPlot | None


@dataclass(frozen=True, kw_only=True)
class ComparisonGroup:
    """One candidate against the baseline.

    Attributes
    ----------
    overall
        One row a metric; without any, the candidate was not compared.
    scopes
        The slices, geographies and segments where a difference was shown, the worse ones first.
    shown
        How many such scopes and metrics there are; `scopes` are the first of them.
    counts
        How often each conclusion was drawn at all scopes, with any metric; worse first.
    """

    candidate: str
    overall: Sequence[ComparisonRow]
    scopes: Sequence[ComparisonRow]
    shown: int
    counts: Mapping[str, int]


@dataclass(frozen=True, kw_only=True)
class RankCell:
    """A candidate's rank by one metric: by value, and what the data leave open."""

    best: int
    worst: int
    not_told_apart_from: str


@dataclass(frozen=True, kw_only=True)
class RankTable:
    """Ranks over all cases: rows are candidates, columns are metrics."""

    metrics: Sequence[str]
    rows: Sequence[tuple[str, Sequence[RankCell | None]]]


def baseline_of(scorecard: Scorecard) -> str | None:
    """Name the candidate that the others are compared with; None where there is nothing."""
    return next((one.baseline for one in scorecard.rows(Comparison)), None)


def comparison_groups(
    scorecard: Scorecard, candidates: Sequence[str], metrics: Sequence[str]
) -> list[ComparisonGroup]:
    """Arrange the comparisons by candidate."""
    compared = scorecard.rows(Comparison)
    if not compared:
        return []
    order = put_first(list(dict.fromkeys(one.metric for one in compared)), metrics)
    scales = _scales(one for one in compared if one.is_overall)
    baseline = baseline_of(scorecard)
    return [
        _group(candidate, own, order, scales)
        for candidate, own in group_by_candidate(compared, candidates)
        if candidate != baseline
    ]


def comparison_finding(groups: Sequence[ComparisonGroup]) -> str:
    """Count the conclusions over all cases, worse first."""
    counted = _counts(row for group in groups for row in group.overall)
    # A conclusion may have a comma of its own.
    said = "; ".join(f"{count:,} {word}" for word, count in counted.items())
    return said or "nothing was compared"


def rank_table(
    scorecard: Scorecard, candidates: Sequence[str], metrics: Sequence[str]
) -> RankTable | None:
    """Arrange the ranks over all cases by candidate and metric; None where there are none."""
    cells = {
        (rank.candidate, rank.metric): RankCell(
            best=rank.best_rank,
            worst=rank.worst_rank,
            not_told_apart_from=rank.not_told_apart_from or "",
        )
        for rank in scorecard.rows(Rank)
        # Of many classes the columns would be too many.
        if rank.is_overall and rank.class_ is None
    }
    if not cells:
        return None
    shown = put_first(list(dict.fromkeys(metric for _, metric in cells)), metrics)
    names = put_first(list(dict.fromkeys(name for name, _ in cells)), candidates)
    return RankTable(
        metrics=shown,
        rows=[(name, [cells.get((name, metric)) for metric in shown]) for name in names],
    )


def _group(
    candidate: str, own: Sequence[Comparison], order: list[str], scales: Mapping[str, Scale]
) -> ComparisonGroup:
    def importance(one: Comparison) -> tuple[bool, int, int, float]:
        word, _, remark = one.conclusion.partition(",")
        is_slight = remark.strip() == _WITHIN
        return is_slight, _ORDER[word], order.index(one.metric), -abs(one.difference or 0.0)

    overall = [one for one in own if one.is_overall]
    undivided = [d for d in Slice._fields if {getattr(o, d) for o in own} == {None, ALL}]
    # What divides nothing repeats overall, or the other dimension.
    elsewhere = [
        one
        for one in own
        if not one.is_overall and all(getattr(one, name) is None for name in undivided)
    ]
    found = [one for one in elsewhere if one.conclusion.partition(",")[0] in _ORDER]
    first = sorted(found, key=importance)[:MAX_SCOPES]
    own_scales = _scales(first)
    return ComparisonGroup(
        candidate=candidate,
        overall=[_row(one, scales) for one in sorted(overall, key=lambda o: order.index(o.metric))],
        scopes=[_row(one, own_scales) for one in first],
        shown=len(found),
        counts=_counts(elsewhere),
    )


def _counts(compared: Iterable[Comparison | ComparisonRow]) -> dict[str, int]:
    """Count the conclusions: harm first, then gain, then what was not shown."""
    counted = Counter(one.conclusion for one in compared).most_common()
    return dict(sorted(counted, key=lambda one: _ORDER.get(one[0].partition(",")[0], len(_ORDER))))


def _scales(compared: Iterable[Comparison]) -> dict[str, Scale]:
    ends: dict[str, list[float | None]] = {}
    for one in compared:
        of_metric = ends.setdefault(one.metric, [])
        of_metric += (one.difference, one.low_adjusted, one.high_adjusted)
    return {metric: centred_scale(of_metric) for metric, of_metric in ends.items()}


def _row(one: Comparison, scales: Mapping[str, Scale]) -> ComparisonRow:
    difference = finite(one.difference)
    low, high = finite(one.low_adjusted), finite(one.high_adjusted)
    return ComparisonRow(
        metric=format_metric(one.metric, one.class_),
        scope=format_scope(one.geography, one.segment),
        conclusion=one.conclusion,
        kind=_kind(one.conclusion),
        difference=difference,
        low=low,
        high=high,
        p_adjusted=finite(one.p_adjusted),
        better=one.better,
        worse=one.worse,
        n=one.n,
        clusters=one.clusters,
        reason=one.reason or "",
        plot=None
        if difference is None
        else scales[one.metric].plot(difference, low=low, high=high, mark=0.0),
    )


def _kind(conclusion: str) -> str:
    if conclusion in {"better", "worse"}:
        return "good" if conclusion == "better" else "bad"
    # What was shown to be too small to matter is neither good nor bad.
    shown = conclusion in {"higher", "lower", "equivalent", "not worse"}
    return "same" if shown or conclusion.endswith(_WITHIN) else "open"
