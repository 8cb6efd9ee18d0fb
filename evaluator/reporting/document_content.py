"""What model card and technical file are made of: everything is passed in, nothing is looked up."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import pandas as pd

from evaluator.certification import EvaluationSetSummary, EvidenceRecord, Outcome, Verdict
from evaluator.findings.scorecard import Scorecard
from evaluator.reporting.content import CandidateSummary, IntakeDay
from evaluator.spec import AuditSpec


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
