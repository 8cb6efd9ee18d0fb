"""What gates are judged on: the scorecard's tables, and plain facts about days."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any

import pandas as pd

from evaluator.findings.names import COMPARISONS, FAIRNESS, FIGURES, SLICES, WEAK_SLICES
from evaluator.spec import AuditSpec


@dataclass(frozen=True, kw_only=True)
class DayFacts:
    """What is known of one day that arrived.

    Attributes
    ----------
    day
        The day.
    rows, quarantined
        Rows that the file had, and those in quarantine; None where nobody counted them.
    refused
        Why the day as a whole was refused; None where it was accepted.
    is_reference
        Whether the day is one of those that drift is measured from.
    drift
        By column its measures, as `evaluator.intake` gives them under `drift.columns`; None where
        drift was not measured.
    """

    day: date
    rows: int | None
    quarantined: int | None
    refused: str | None = None
    is_reference: bool = False
    drift: Mapping[str, Mapping[str, Any]] | None = None


@dataclass(frozen=True, kw_only=True)
class JudgedEvidence:
    """Everything that gates may look at. A frame may be empty, even of columns.

    Attributes
    ----------
    figures
        One row per candidate, level, slice and metric: the column `candidate` and the columns of
        `evaluator.metrics.slice_metrics` with the slice columns `geography` and `segment`.
    slices
        One row per candidate and slice that the audit expects: `candidate`, `geography`,
        `segment`, `state` (``current``, ``outdated`` or ``missing``), `error`, `content_version`.
    confidence
        The nominal coverage of all intervals.
    comparisons
        The columns of `evaluator.metrics.compare_candidates` by `geography` and `segment`.
    baseline
        The candidate that the others are compared with, or None.
    fairness
        The column `candidate` and the columns of `evaluator.metrics.fairness`.
    fairness_attributes
        The columns whose groups must all be in `fairness`.
    fairness_against_best
        Whether groups were compared with the most favoured one, so that only being worse off
        counts; otherwise being better off counts as well.
    weak_slices
        The column `candidate` and the columns of `WeakSlices.table`.
    weak_slice_searches
        By candidate the facts of its search, `WeakSlices.search`. Without them a candidate was
        not searched.
    days
        The days that arrived; what gates on data quality and drift look at.
    allowed_missing
        How many slices of a candidate may be missing: the audit's error budget.
    """

    figures: pd.DataFrame
    slices: pd.DataFrame
    confidence: float
    comparisons: pd.DataFrame = field(default_factory=pd.DataFrame)
    baseline: str | None = None
    fairness: pd.DataFrame = field(default_factory=pd.DataFrame)
    fairness_attributes: Sequence[str] = ()
    fairness_against_best: bool = True
    weak_slices: pd.DataFrame = field(default_factory=pd.DataFrame)
    weak_slice_searches: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    days: Sequence[DayFacts] = ()
    allowed_missing: int = 0


def judged_evidence(
    spec: AuditSpec,
    tables: Mapping[str, pd.DataFrame],
    searches: Mapping[str, Mapping[str, Any]],
    days: Sequence[DayFacts],
) -> JudgedEvidence:
    """Lay before the gates what a scorecard says, whoever read or computed it.

    Parameters
    ----------
    spec
        The audit.
    tables
        The scorecard's, by their files' names, as `evaluator.findings.read_stored` gives them.
    searches
        By candidate, how far its weak slices were searched.
    days
        What is known of the days that arrived; none where no gate looks at them.
    """
    asked = spec.fairness
    return JudgedEvidence(
        figures=tables[FIGURES],
        slices=tables[SLICES],
        confidence=spec.confidence,
        comparisons=tables[COMPARISONS],
        baseline=spec.baseline,
        fairness=tables[FAIRNESS],
        fairness_attributes=asked.attributes if asked else (),
        fairness_against_best=asked is None or asked.reference == "best",
        weak_slices=tables[WEAK_SLICES],
        weak_slice_searches=searches,
        days=days,
        allowed_missing=spec.failed_slices_allowed(),
    )
