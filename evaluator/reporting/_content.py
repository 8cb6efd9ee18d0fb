"""What dashboard and documents show: everything is passed in, nothing is looked up."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime

import pandas as pd

from evaluator.certification import (
    DecidedGap,
    EvaluationSetSummary,
    EvidenceRecord,
    Outcome,
    Verdict,
)
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
    day
        The intake's partition: a day as 2013-11-30, or ``snapshot``.
    rows, accepted, quarantined
        Rows read, typed rows that went on, and rows that were refused; None where the file could
        not be read or never came.
    broken
        Why the day is not used; None where it is.
    missing
        By column the share of the file's rows that have no value there.
    drift
        By column how far its content is from the reference's, as a population stability index less
        what chance gives (None where there were too few rows to say); empty where nothing was
        compared.
    drifted
        The columns that drifted, by any of the audit's limits.
    """

    day: str
    rows: int | None
    accepted: int | None
    quarantined: int | None
    broken: str | None = None
    missing: Mapping[str, float] = field(default_factory=dict)
    drift: Mapping[str, float | None] = field(default_factory=dict)
    drifted: Sequence[str] = ()


@dataclass(frozen=True, kw_only=True)
class Link:
    """Where more is told of a candidate or, where that is None, of the audit.

    Attributes
    ----------
    address
        Relative to where the page lies, or of a server.
    """

    candidate: str | None
    name: str
    address: str


@dataclass(frozen=True, kw_only=True)
class SingleFile:
    """The one file that a check is of.

    Attributes
    ----------
    name, digest
        What it is called, and the SHA-256 of its bytes.
    rows, accepted, quarantined
        Rows read, typed rows that went on, and rows that were refused.
    refusals
        By reason, in words, how many rows were refused; a row may have several.
    notes
        What was chosen and is taken for granted, as sentences without their full stops.
    """

    name: str
    digest: str
    rows: int
    accepted: int
    quarantined: int
    refusals: Mapping[str, int]
    notes: Sequence[str]


@dataclass(frozen=True, kw_only=True, eq=False)
class EarlierFigures:
    """What was measured over all cases of an earlier evaluation set.

    Attributes
    ----------
    created_at
        When.
    last_day
        The last day of that set; None where its data are of no day.
    cases
        How many cases it had.
    measurements
        As `Scorecard.measurements`, of the level ``overall``.
    """

    created_at: datetime
    last_day: date | None
    cases: int
    measurements: pd.DataFrame


@dataclass(frozen=True, kw_only=True)
class FlippedCase:
    """A case that the baseline decides rightly and a candidate wrongly.

    Attributes
    ----------
    label, prediction
        What is true, and what the candidate said, in words.
    score, baseline_score
        How probable each held a positive case, or of several classes the true one, or how far off
        it was; None where it gives decisions alone.
    """

    id: str
    geography: str
    segment: str
    label: str
    prediction: str
    score: float | None
    baseline_score: float | None


@dataclass(frozen=True, kw_only=True)
class Flips:
    """On which cases a candidate is right where the baseline is wrong, or the other way round.

    Attributes
    ----------
    figure
        What `score` is of its cases, in a word.
    does_right
        What only one of the two does, in words.
    cases
        So many both decided.
    newly_right, newly_wrong
        Of these, how many the candidate alone, or the baseline alone, decides rightly.
    shown
        Some of those that it newly gets wrong, those first whose figures are furthest apart; none
        where ids are withheld.
    """

    candidate: str
    figure: str = "score"
    does_right: str = "decides rightly"
    cases: int
    newly_right: int
    newly_wrong: int
    shown: Sequence[FlippedCase]


@dataclass(frozen=True, kw_only=True)
class ExampleCase:
    """A single case of a slice.

    Attributes
    ----------
    chosen
        ``large error`` or ``random``.
    label, prediction
        What is true, and what the candidate said, in words.
    score
        How probable it held a positive case, or of several classes the true one, or how far off it
        was; None where there are decisions alone.
    values
        Of the columns that the audit lets the page show, in words.
    """

    id: str
    chosen: str
    label: str
    prediction: str
    score: float | None
    values: Sequence[str]


@dataclass(frozen=True, kw_only=True)
class SliceExamples:
    """Some cases of one slice of one candidate; `figure` says what their `score` is."""

    candidate: str
    figure: str = "score"
    geography: str
    segment: str
    cases: Sequence[ExampleCase]


@dataclass(frozen=True, kw_only=True, eq=False)
class AuditContent:
    """What dashboard and documents rest on alike.

    Attributes
    ----------
    audit
        The audit's name.
    created_at
        When, with its time zone.
    evaluation_set
        What everything was measured on; None where there is none yet.
    candidates, outcomes, verdicts
        Who was judged, and what came out (see `evaluator.certification`).
    scorecard
        What was found, and what they were judged on.
    fairness_gaps
        Its gaps between groups, as `evaluator.certification.decide_gaps` decides them.
    without_label
        Valid rows by slice: columns `geography`, `segment`, `rows`, `without_label`.
    label_notes
        What became of labels that came in files of their own, in sentences.
    labelled_by_age
        Of such labels: columns `from_days`, `to_days`, `cases`, `labelled`; None elsewhere.
    intake_days
        How each day's file fared.
    evidence
        Every stored output that page or documents rest on.
    code_version, run_id
        The code that made it, and the run.
    """

    audit: str
    created_at: datetime
    evaluation_set: EvaluationSetSummary | None
    candidates: Sequence[CandidateSummary]
    outcomes: Sequence[Outcome]
    verdicts: Sequence[Verdict]
    scorecard: Scorecard
    fairness_gaps: Sequence[DecidedGap]
    without_label: pd.DataFrame
    intake_days: Sequence[IntakeDay]
    evidence: Sequence[EvidenceRecord]
    code_version: str
    run_id: str
    label_notes: Sequence[str] = ()
    labelled_by_age: pd.DataFrame | None = None

    def outcome_of(self, candidate: str) -> Outcome:
        """Return a candidate's outcome; without one it is undecided, and says so."""
        found = (outcome for outcome in self.outcomes if outcome.candidate == candidate)
        none = Outcome(candidate=candidate, outcome="undecided", reason="no outcome was recorded")
        return next(found, none)


@dataclass(frozen=True, kw_only=True, eq=False)
class DashboardContent(AuditContent):
    """Everything that one dashboard shows: what `AuditContent` holds, and how it is shown.

    Attributes
    ----------
    title
        What is audited, in a sentence; the audit's name stands in for an empty one.
    headline_metrics
        The metrics of the table of candidates; the slices are mapped by the first one.
    standout_metrics
        The metrics for which slices that stand out are looked for.
    confidence
        How sure the intervals are, such as 0.95.
    minimum_support
        How many cases a slice needs to stand out.
    signed_by
        The key that the certificates are signed with, by its id; None where they are unsigned.
    file
        The file, where one alone was checked, which issues no certificate and stores nothing; None
        for an audit.
    history
        What was measured for the certificates about earlier evaluation sets, the oldest first.
    flips
        Of each candidate that is compared with the baseline.
    example_columns, examples
        The columns that the page may show of single cases, and these, of the worst slices.
    links
        Where more is told, those of the audit first.
    scores_of_answers
        Whether a score says how sure a candidate is of its answer; otherwise of a positive case.
    """

    title: str
    headline_metrics: Sequence[str]
    standout_metrics: Sequence[str]
    confidence: float
    minimum_support: int
    signed_by: str | None
    file: SingleFile | None = None
    history: Sequence[EarlierFigures] = ()
    flips: Sequence[Flips] = ()
    example_columns: Sequence[str] = ()
    examples: Sequence[SliceExamples] = ()
    links: Sequence[Link] = ()
    scores_of_answers: bool = False


@dataclass(frozen=True, kw_only=True, eq=False)
class DocumentsContent(AuditContent):
    """Everything that an audit's documents say: what `AuditContent` holds, and its declaration.

    Attributes
    ----------
    spec
        What the audit declares.
    certificates
        The SHA-256 of each candidate's certificate file, by the candidate's name; without those
        that have none.
    packages
        The versions of the packages that measurements depend on, by name.
    """

    spec: AuditSpec
    certificates: Mapping[str, str]
    packages: Mapping[str, str]
