"""The candidates against the baseline, case by case: what was shown, overall and where."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from evaluator.certification import format_metric
from evaluator.reporting._formatting import Row, finite, group_by_candidate, plain_rows, put_first
from evaluator.reporting._plots import IntervalPlot, Scale, centred_scale
from evaluator.scorecard import format_scope

MAX_SCOPES = 30
"""How many of a candidate's slices are shown."""

_OVERALL = "overall"
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


def baseline_of(comparisons: pd.DataFrame) -> str | None:
    """Name the candidate that the others are compared with; None where there is nothing."""
    return None if comparisons.empty else str(comparisons["baseline"].iloc[0])


def comparison_groups(
    comparisons: pd.DataFrame, candidates: Sequence[str], metrics: Sequence[str]
) -> list[ComparisonGroup]:
    """Arrange the comparisons by candidate."""
    if comparisons.empty:
        return []
    names = put_first(list(comparisons["metric"].unique()), metrics)
    ordered = comparisons.assign(_metric=comparisons["metric"].map(names.index))
    overall = ordered[ordered["level"] == _OVERALL].sort_values("_metric", kind="stable")
    scales = {str(name): _scale(part) for name, part in overall.groupby("metric")}
    baseline = baseline_of(comparisons)
    return [
        _group(candidate, part, scales)
        for candidate, part in group_by_candidate(ordered, candidates)
        if candidate != baseline
    ]


def rank_table(
    ranks: pd.DataFrame, candidates: Sequence[str], metrics: Sequence[str]
) -> RankTable | None:
    """Arrange the ranks over all cases by candidate and metric; None where there are none."""
    rows = [] if ranks.empty else plain_rows(ranks[ranks["level"] == _OVERALL])
    if not rows:
        return None
    cells = {
        (row["candidate"], row["metric"]): RankCell(
            best=int(row["best_rank"]),
            worst=int(row["worst_rank"]),
            not_told_apart_from=row["not_told_apart_from"] or "",
        )
        for row in rows
    }
    shown = put_first(list(dict.fromkeys(metric for _, metric in cells)), metrics)
    names = put_first(list(dict.fromkeys(name for name, _ in cells)), candidates)
    return RankTable(
        metrics=shown,
        rows=[(name, [cells.get((name, metric)) for metric in shown]) for name in names],
    )


def _group(candidate: str, part: pd.DataFrame, scales: Mapping[str, Scale]) -> ComparisonGroup:
    if part.empty:
        return ComparisonGroup(candidate=candidate, overall=[], scopes=[], shown=0, counts={})
    overall = part[part["level"] == _OVERALL].sort_values("_metric", kind="stable")
    elsewhere = part[part["level"] != _OVERALL]
    words = elsewhere["conclusion"].str.partition(",")
    found = elsewhere.assign(
        _slight=words[2].str.strip() == _WITHIN,
        _order=words[0].map(_ORDER),
        _size=-elsewhere["difference"].abs(),
    )
    found = found[found["_order"].notna()].sort_values(
        ["_slight", "_order", "_metric", "_size"], kind="stable"
    )
    first = found.head(MAX_SCOPES)
    own_scales = {str(name): _scale(of_metric) for name, of_metric in first.groupby("metric")}
    return ComparisonGroup(
        candidate=candidate,
        overall=[_row(row, scales) for row in plain_rows(overall)],
        scopes=[_row(row, own_scales) for row in plain_rows(first)],
        shown=len(found),
        counts=_counts(elsewhere["conclusion"]),
    )


def _counts(conclusions: "pd.Series[str]") -> dict[str, int]:
    """Count the conclusions: harm first, then gain, then what was not shown."""
    counted = [(str(word), int(n)) for word, n in conclusions.value_counts().items()]
    return dict(sorted(counted, key=lambda one: _ORDER.get(one[0].partition(",")[0], len(_ORDER))))


def _scale(rows: pd.DataFrame) -> Scale:
    ends = rows[["difference", "low_adjusted", "high_adjusted"]].to_numpy(float).ravel()
    return centred_scale(float(end) for end in ends)


def _row(row: Row, scales: Mapping[str, Scale]) -> ComparisonRow:
    difference = finite(row["difference"])
    low, high = finite(row["low_adjusted"]), finite(row["high_adjusted"])
    return ComparisonRow(
        metric=format_metric(row["metric"]),
        scope=format_scope(row["geography"], row["segment"]),
        conclusion=row["conclusion"],
        kind=_kind(row["conclusion"]),
        difference=difference,
        low=low,
        high=high,
        p_adjusted=finite(row["p_adjusted"]),
        better=int(row["better"]),
        worse=int(row["worse"]),
        n=int(row["n"]),
        reason=row["reason"] or "",
        plot=None
        if difference is None
        else scales[row["metric"]].plot(difference, low=low, high=high, mark=0.0),
    )


def _kind(conclusion: str) -> str:
    if conclusion in {"better", "worse"}:
        return "good" if conclusion == "better" else "bad"
    # What was shown to be too small to matter is neither good nor bad.
    shown = conclusion in {"higher", "lower", "equivalent", "not worse"}
    return "same" if shown or conclusion.endswith(_WITHIN) else "open"
