"""What a dashboard shows: everything is passed in, nothing is looked up."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

import pandas as pd

from evaluator.certification import EvaluationSetSummary, EvidenceRecord, Outcome, Verdict


@dataclass(frozen=True, kw_only=True)
class CandidateSummary:
    """What a candidate is.

    Attributes
    ----------
    artifact_digest
        The digest of its artifact; None where it could not be read.
    baseline
        Whether the others are compared with it.
    """

    name: str
    description: str
    artifact_digest: str | None
    baseline: bool


@dataclass(frozen=True, kw_only=True)
class IntakeDay:
    """How one day's file fared.

    Attributes
    ----------
    rows, accepted, quarantined
        Rows read, typed rows that went on, and rows that were refused; None where the file could
        not be read or never came.
    broken
        Why the day is not used; None where it is.
    """

    day: date
    rows: int | None
    accepted: int | None
    quarantined: int | None
    broken: str | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class DashboardContent:
    """Everything that one dashboard shows.

    Attributes
    ----------
    audit, title
        The audit's name, and what it audits in a sentence; the name stands in for an empty title.
    created_at
        When, with its time zone.
    evaluation_set
        What everything was measured on; None where there is none yet.
    candidates, outcomes, verdicts
        Who was judged, and what came out (see `evaluator.certification`).
    scorecard, slices
        What `evaluator.certification.judge` was given.
    headline_metrics
        The metrics of the table of candidates; the slices are mapped by the first one.
    standout_metrics
        The metrics for which slices that stand out are looked for.
    more_figures
        What was measured beside geography and segment: columns `candidate`, `level`, `group`, and
        those of `evaluator.metrics.slice_metrics` from `metric` on. It may have no rows.
    comparisons
        The candidates against the baseline: what `evaluator.metrics.compare_candidates` gave with
        the slice columns `geography` and `segment`. Like all that follow, it may have no rows.
    ranks
        What `evaluator.metrics.rank_candidates` gave of all pairs, with the same slice columns.
    fairness
        `candidate`, and the columns of `evaluator.metrics.fairness`.
    weak_slices
        `candidate`, and the columns of the table of `evaluator.metrics.weak_slices`.
    weak_searches
        By candidate, how far its weak slices were searched: `WeakSlices.search`, and `loss`, the
        name of the loss, where it has one.
    worsened
        `candidate`, and the columns of `evaluator.metrics.worsened_slices` since the last
        certificate.
    remarks
        What a reader must know of the candidates, in sentences without their full stops.
    confidence
        How sure the intervals are, such as 0.95.
    minimum_support
        How many cases a slice needs to stand out.
    without_label
        Valid rows by slice: columns `geography`, `segment`, `rows`, `without_label`.
    intake_days
        How each day's file fared.
    evidence
        Every stored output that the dashboard rests on.
    code_version, run_id
        The code that made it, and the run.
    signed_by
        The key that the certificates are signed with, by its id; None where they are unsigned.
    """

    audit: str
    title: str
    created_at: datetime
    evaluation_set: EvaluationSetSummary | None
    candidates: Sequence[CandidateSummary]
    outcomes: Sequence[Outcome]
    verdicts: Sequence[Verdict]
    scorecard: pd.DataFrame
    slices: pd.DataFrame
    headline_metrics: Sequence[str]
    standout_metrics: Sequence[str]
    more_figures: pd.DataFrame
    remarks: Sequence[str]
    confidence: float
    minimum_support: int
    without_label: pd.DataFrame
    intake_days: Sequence[IntakeDay]
    evidence: Sequence[EvidenceRecord]
    code_version: str
    run_id: str
    signed_by: str | None
    comparisons: pd.DataFrame = field(default_factory=pd.DataFrame)
    ranks: pd.DataFrame = field(default_factory=pd.DataFrame)
    fairness: pd.DataFrame = field(default_factory=pd.DataFrame)
    weak_slices: pd.DataFrame = field(default_factory=pd.DataFrame)
    weak_searches: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    worsened: pd.DataFrame = field(default_factory=pd.DataFrame)
