"""What a dashboard shows: everything is passed in, nothing is looked up."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime

import pandas as pd

from evaluator.certification import EvaluationSetSummary, EvidenceRecord, Outcome, Verdict
from evaluator.scorecard import Scorecard
from evaluator.spec import AuditSpec


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
    scorecard
        What was found, and what they were judged on.
    headline_metrics
        The metrics of the table of candidates; the slices are mapped by the first one.
    standout_metrics
        The metrics for which slices that stand out are looked for.
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
    scorecard: Scorecard
    headline_metrics: Sequence[str]
    standout_metrics: Sequence[str]
    confidence: float
    minimum_support: int
    without_label: pd.DataFrame
    intake_days: Sequence[IntakeDay]
    evidence: Sequence[EvidenceRecord]
    code_version: str
    run_id: str
    signed_by: str | None


@dataclass(frozen=True, kw_only=True, eq=False)
class DocumentsContent:
    """Everything that an audit's documents rest on.

    Attributes
    ----------
    audit, spec
        The audit's name and declaration.
    created_at
        When, with its time zone.
    evaluation_set
        What everything was measured on; None where there is none yet.
    candidates, outcomes, verdicts
        Who was judged, and what came out (see `evaluator.certification`).
    scorecard
        What was found, and what they were judged on.
    without_label
        Valid rows by slice: columns `geography`, `segment`, `rows`, `without_label`.
    intake_days
        How each day's file fared.
    certificates
        The SHA-256 of each candidate's certificate file; without those that have none.
    evidence
        Every stored output that the documents rest on.
    code_version, packages, run_id
        The code that made it, the packages that figures depend on, and the run.
    """

    audit: str
    spec: AuditSpec
    created_at: datetime
    evaluation_set: EvaluationSetSummary | None
    candidates: Sequence[CandidateSummary]
    outcomes: Sequence[Outcome]
    verdicts: Sequence[Verdict]
    scorecard: Scorecard
    without_label: pd.DataFrame
    intake_days: Sequence[IntakeDay]
    certificates: Mapping[str, str]
    evidence: Sequence[EvidenceRecord]
    code_version: str
    packages: Mapping[str, str]
    run_id: str

    def outcome_of(self, candidate: str) -> Outcome:
        """Return a candidate's outcome; without one it is undecided, and says so."""
        found = [outcome for outcome in self.outcomes if outcome.candidate == candidate]
        return (
            found[0]
            if found
            else Outcome(candidate=candidate, outcome="undecided", reason="no outcome was recorded")
        )
