"""An audit's certificate document, and of it one signed statement a candidate."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from pydantic import AwareDatetime

from evaluator.certification._certificate_state import EnteredWaiver
from evaluator.certification._declaration import SPEC_FILE
from evaluator.certification._outcomes import Outcome, OutcomeWord, Qualifications
from evaluator.certification._signatures import IN_TOTO, Envelope, SigningKey, seal
from evaluator.certification._statement import (
    ARTIFACT_DIGEST,
    CONTENT_DIGEST,
    FILE_DIGEST,
    PREDICATE_TYPE,
    STATEMENT_TYPE,
    CandidateOutcome,
    Code,
    EvaluationSetSummary,
    EvidenceItem,
    Headline,
    LedgerHead,
    NamedEvidence,
    Predicate,
    Slices,
    Statement,
    StatementError,
    StrictModel,
    Subject,
    Training,
    UnevaluatedSlice,
    Validity,
)
from evaluator.certification._stored_evidence import SHARED_FILE, SplitEvidence
from evaluator.certification._verdicts import Verdict
from evaluator.scorecard import (
    CASES,
    Asset,
    Measurement,
    Scorecard,
    SliceState,
    model_of,
    read_measurements,
    read_slices,
)

VOID_WHEN = (
    "the candidate's artifact is not the one whose digest stands here",
    "the evaluation set is not the one whose digest stands here",
    "the ledger revokes it",
)
"""What ends a certificate before its time."""

UNSIGNED = (
    "This certificate is UNSIGNED. Its digests show which evidence it names, but nothing in it "
    "proves who issued it or that it was not changed since."
)
SIGNED = (
    "Each candidate's certificate, beside this file, is signed with this key. This file is what "
    "they were made of, and carries no signature itself."
)


class EvidenceRecord(StrictModel):
    """One stored output that the certificate rests on."""

    asset: str
    """Its key."""
    partition: str | None
    """The day or the slice; None where the asset has no partitions."""
    identity: str
    """What it was made from."""
    content_version: str
    """What it holds."""
    files: dict[str, str]
    """The SHA-256 of each file, by its path in the evidence store."""


class CertificateSignature(StrictModel):
    """Who signed the candidates' certificates, and what that proves."""

    signed: bool
    key_id: str | None
    statement: str


class CertifiedCandidate(StrictModel):
    """One candidate: its artifact, what came out, and what of it is missing."""

    candidate: str
    artifact_digest: str | None
    outcome: OutcomeWord
    reason: str
    qualified_by: Qualifications
    training: Training
    headline: tuple[Headline, ...]
    slices: Slices


class AuditCertificate(StrictModel):
    """What was found for all candidates of an audit; each one's statement is made of it."""

    format: Literal["evaluator/certificate"] = "evaluator/certificate"
    version: Literal[2] = 2
    signature: CertificateSignature
    audit: str
    spec_digest: str
    evaluation_set: EvaluationSetSummary
    assumptions: tuple[str, ...]
    """What all intervals take for granted of the cases, in sentences without their full stops."""
    candidates: tuple[CertifiedCandidate, ...]
    verdicts: tuple[Verdict, ...]
    evidence: tuple[EvidenceRecord, ...]
    code_version: str
    packages: dict[str, str]
    created_at: AwareDatetime
    run_id: str


def build_certificate(
    *,
    audit: str,
    spec_digest: str,
    evaluation_set: EvaluationSetSummary,
    artifact_digests: Mapping[str, str | None],
    outcomes: Sequence[Outcome],
    verdicts: Sequence[Verdict],
    scorecard: Scorecard,
    headline_metrics: Sequence[str],
    evidence: Sequence[EvidenceRecord],
    code_version: str,
    packages: Mapping[str, str],
    created_at: datetime,
    run_id: str,
    key_id: str | None,
) -> AuditCertificate:
    """Build the certificate of one audit.

    Parameters
    ----------
    audit, spec_digest
        The audit's name and the digest of its declaration.
    evaluation_set
        What everything was measured on.
    artifact_digests
        The digest of each candidate's artifact; None where it could not be read.
    outcomes, verdicts
        What `decide_outcomes` and `judge` gave.
    scorecard
        What they were given.
    headline_metrics
        The metrics whose overall figures stand in the certificate.
    evidence
        Every stored output that it rests on.
    code_version, packages
        The code's version and those of the packages that the figures depend on.
    created_at
        When, with its time zone.
    run_id
        The run that made it.
    key_id
        The key that each candidate's certificate is signed with; None where they are unsigned.

    Raises
    ------
    ValueError
        When `created_at` has no time zone.
    """
    if created_at.tzinfo is None:
        msg = "created_at needs a time zone: a certificate's time must mean one moment"
        raise ValueError(msg)
    measurements = {
        (measurement.candidate, measurement.metric): measurement
        for measurement in read_measurements(
            scorecard.measurements, metrics=headline_metrics, levels=["overall"]
        )
    }
    states = read_slices(scorecard.slices)
    return AuditCertificate(
        signature=CertificateSignature(
            signed=key_id is not None,
            key_id=key_id,
            statement=UNSIGNED if key_id is None else SIGNED,
        ),
        audit=audit,
        spec_digest=spec_digest,
        evaluation_set=evaluation_set,
        assumptions=evaluation_set.assumptions,
        candidates=tuple(
            CertifiedCandidate(
                candidate=outcome.candidate,
                artifact_digest=artifact_digests.get(outcome.candidate),
                outcome=outcome.outcome,
                reason=outcome.reason,
                qualified_by=outcome.qualified_by,
                training=Training.known_from(scorecard.training.get(outcome.candidate)),
                headline=tuple(
                    _headline(metric, measurements.get((outcome.candidate, metric)))
                    for metric in headline_metrics
                ),
                slices=_slices([s for s in states if s.candidate == outcome.candidate]),
            )
            for outcome in outcomes
        ),
        verdicts=tuple(verdicts),
        evidence=tuple(sorted(evidence, key=lambda r: (r.asset, r.partition or ""))),
        code_version=code_version,
        packages=dict(packages),
        created_at=created_at.astimezone(UTC),
        run_id=run_id,
    )


def _headline(metric: str, measurement: Measurement | None) -> Headline:
    if measurement is None:
        nothing = dict.fromkeys(
            ("value", "low", "high", "n", "n_effective", "clusters", "design_effect")
        )
        return Headline(metric=metric, status="missing", reason="not measured", **nothing)
    return Headline(
        metric=metric,
        value=measurement.value,
        low=measurement.low,
        high=measurement.high,
        n=measurement.n,
        n_effective=measurement.n_effective,
        clusters=measurement.clusters,
        design_effect=measurement.design_effect,
        status=measurement.status,
        reason=measurement.reason or None,
    )


def _slices(states: Sequence[SliceState]) -> Slices:
    return Slices(
        expected=len(states),
        not_current=tuple(
            UnevaluatedSlice(
                geography=state.geography,
                segment=state.segment,
                state=state.state,
                error=state.error or None,
            )
            for state in states
            if not state.is_current
        ),
    )


@dataclass(frozen=True, kw_only=True)
class Issue:
    """Who asked for a certificate, and how long it shall be valid.

    Attributes
    ----------
    requested_by
        A person or a role.
    valid_until
        From then on it is expired.
    code
        The code that made it.
    seeds
        Every seed that figures depend on, by what it was for.
    ledger
        The ledger's head before this certificate is entered.
    waivers
        Those that are in force, of all candidates.
    """

    requested_by: str
    valid_until: datetime
    code: Code
    seeds: Mapping[str, int]
    ledger: LedgerHead
    waivers: Sequence[EnteredWaiver] = ()


def build_statement(
    document: AuditCertificate,
    candidate: str,
    *,
    artifact_is_file: bool,
    evidence: SplitEvidence,
    issue: Issue,
) -> Statement:
    """Make the statement about one candidate.

    One statement a candidate, not one an audit: a statement's subjects are known by digest, and
    what is released, revoked or waived later is one candidate's artifact.

    Parameters
    ----------
    document
        What `build_certificate` gave for the whole audit.
    candidate
        Whom the statement is about.
    artifact_is_file
        Whether the artifact's digest is the SHA-256 of a single file's bytes, so that others can
        compare it; a folder's or an endpoint's digest gets a name of our own.
    evidence
        What `share_evidence` gave for scorecard and declaration.
    issue
        Who asked, and until when it is valid.

    Returns
    -------
    Statement
        Its subjects are the candidate's artifact, where that is known, and the evaluation set.

    Raises
    ------
    StatementError
        Where the document does not know the candidate, a certified candidate has no artifact, the
        evidence lacks scorecard, evaluation set or declaration, or it would never be valid.
    """
    found = [entry for entry in document.candidates if entry.candidate == candidate]
    if len(found) != 1:
        raise _refused(candidate, "the audit's certificate does not know this candidate")
    entry = found[0]
    if issue.valid_until <= document.created_at:
        raise _refused(candidate, "it would end before it begins")
    if entry.outcome == "certified" and entry.artifact_digest is None:
        raise _refused(candidate, "nobody knows which artifact was certified")
    scorecard = _root(evidence, Asset.SCORECARD)
    spec = _root(evidence, Asset.AUDIT_SPEC)
    shared = _root(evidence, Asset.SHARED_EVIDENCE)
    used = [upstream for upstream in scorecard.upstream if upstream.asset == Asset.EVALUATION_SET]
    evaluation_set = next(
        (item for item in evidence.items if used and item.identity == used[0].identity), None
    )
    if evaluation_set is None:
        raise _refused(candidate, "the evidence has no evaluation set")
    digests = {
        FILE_DIGEST: evaluation_set.files[CASES].sha256,
        CONTENT_DIGEST: evaluation_set.content_version,
    }
    subjects = [Subject(name=f"{document.audit}/{Asset.EVALUATION_SET}", digest=digests)]
    if entry.artifact_digest is not None:
        kind = FILE_DIGEST if artifact_is_file else ARTIFACT_DIGEST
        name = f"{document.audit}/{model_of(candidate)}"
        subjects.insert(0, Subject(name=name, digest={kind: entry.artifact_digest}))
    return Statement(
        _type=STATEMENT_TYPE,
        subject=tuple(subjects),
        predicateType=PREDICATE_TYPE,
        predicate=Predicate(
            audit=document.audit,
            spec=_named(spec, SPEC_FILE),
            shared=_named(shared, SHARED_FILE),
            candidate=CandidateOutcome(
                name=candidate,
                artifact_digest=entry.artifact_digest,
                outcome=entry.outcome,
                reason=entry.reason,
                qualified_by=entry.qualified_by,
            ),
            training=entry.training,
            evaluation_set=document.evaluation_set,
            assumptions=document.assumptions,
            gates=tuple(v for v in document.verdicts if v.candidate == candidate),
            waivers=tuple(w.entry for w in issue.waivers if w.waiver.candidate == candidate),
            headline=entry.headline,
            slices=entry.slices,
            rests_on=evidence.rests_on,
            evidence=evidence.of(candidate),
            commitment=None,  # by a `Binder`, which reads what is named here
            code=issue.code,
            packages=document.packages,
            seeds=dict(issue.seeds),
            requested_by=issue.requested_by,
            run_id=document.run_id,
            created_at=document.created_at,
            validity=Validity(
                valid_from=document.created_at,
                valid_until=issue.valid_until.astimezone(UTC),
                void_when=VOID_WHEN,
            ),
            ledger=issue.ledger,
        ),
    )


def sign_statement(statement: Statement, key: SigningKey | None) -> Envelope:
    """Put a statement into its envelope, and sign it.

    Parameters
    ----------
    statement
        What is signed, byte for byte as `Statement.to_bytes` spells it.
    key
        The issuer's key; None leaves the certificate unsigned.
    """
    return seal(statement.to_bytes(), IN_TOTO, key)


def _root(evidence: SplitEvidence, asset: str) -> EvidenceItem:
    names = {(u.asset, u.partition, u.identity) for u in evidence.rests_on if u.asset == asset}
    items: Sequence[EvidenceItem] = [
        item for item in evidence.items if (item.asset, item.partition, item.identity) in names
    ]
    if len(items) != 1:
        raise _refused(asset, f"the evidence begins with {len(items)} versions of it, not one")
    return items[0]


def _named(item: EvidenceItem, file: str) -> NamedEvidence:
    return NamedEvidence(asset=item.asset, identity=item.identity, sha256=item.files[file].sha256)


def _refused(culprit: str, what: str) -> StatementError:
    return StatementError(
        what, culprit=culprit, fix="gather the evidence of the current scorecard and issue it again"
    )
