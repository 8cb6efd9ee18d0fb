"""An audit's certificate document, and of it one signed statement a candidate."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime
from typing import Any, TypedDict

from evaluator.certification._outcomes import Outcome
from evaluator.certification._recomputation import EVALUATION_SET, SCORECARD, SPEC, SPEC_FILE
from evaluator.certification._signatures import IN_TOTO, Envelope, SigningKey, seal
from evaluator.certification._statement import (
    ARTIFACT_DIGEST,
    CONTENT_DIGEST,
    FILE_DIGEST,
    PREDICATE_TYPE,
    STATEMENT_TYPE,
    Code,
    EvidenceItem,
    LedgerHead,
    SpecEvidence,
    Statement,
    StatementError,
)
from evaluator.certification._stored_evidence import Evidence
from evaluator.certification._verdicts import Verdict
from evaluator.scorecard import (
    CASES,
    Measurement,
    Scorecard,
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

CERTIFICATE_FORMAT = "evaluator/certificate"
CERTIFICATE_VERSION = 1
UNSIGNED = (
    "This certificate is UNSIGNED. Its digests show which evidence it names, but nothing in it "
    "proves who issued it or that it was not changed since."
)
SIGNED = (
    "Each candidate's certificate, beside this file, is signed with this key. This file is what "
    "they were made of, and carries no signature itself."
)


@dataclass(frozen=True, kw_only=True)
class EvaluationSetSummary:
    """The frozen labelled snapshot that everything was measured on.

    Attributes
    ----------
    digest
        Its content version.
    first_day, last_day
        The audit's window, both ends included.
    days
        How many days of the window are in it.
    rows
        Labelled rows, which are the cases that were measured.
    rows_without_label
        Valid rows that were left out for want of a label.
    """

    digest: str
    first_day: date
    last_day: date
    days: int
    rows: int
    rows_without_label: int


class EvidenceRecord(TypedDict):
    """One stored output that the certificate rests on."""

    asset: str
    """Its key."""
    partition: str | None
    """The day or the slice; None where the asset has no partitions."""
    identity: str
    """What it was made from."""
    content_version: str
    """What it holds."""
    files: Mapping[str, str]
    """The SHA-256 of each file, by its path in the evidence store."""


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
) -> dict[str, Any]:
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

    Returns
    -------
    dict[str, Any]
        Plain JSON values, to be written with `evaluator.evidence.canonical_json`.

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
    return {
        "format": CERTIFICATE_FORMAT,
        "version": CERTIFICATE_VERSION,
        "signature": {
            "signed": key_id is not None,
            "key_id": key_id,
            "statement": UNSIGNED if key_id is None else SIGNED,
        },
        "audit": audit,
        "spec_digest": spec_digest,
        "evaluation_set": {
            **asdict(evaluation_set),
            "first_day": evaluation_set.first_day.isoformat(),
            "last_day": evaluation_set.last_day.isoformat(),
        },
        "candidates": [
            {
                "candidate": outcome.candidate,
                "artifact_digest": artifact_digests.get(outcome.candidate),
                "outcome": outcome.outcome,
                "reason": outcome.reason,
                "after_waivers": outcome.after_waivers,
                "waived": [
                    {
                        "gate": waiver.gate,
                        "waived_by": waiver.waived_by,
                        "reason": waiver.reason,
                        "until": _utc(waiver.until),
                    }
                    for waiver in outcome.waived
                ],
                "headline": [
                    _headline(metric, measurements.get((outcome.candidate, metric)))
                    for metric in headline_metrics
                ],
                "slices": {
                    "expected": sum(s.candidate == outcome.candidate for s in states),
                    "not_current": [
                        {
                            "geography": state.geography,
                            "segment": state.segment,
                            "state": state.state,
                            "error": state.error or None,
                        }
                        for state in states
                        if state.candidate == outcome.candidate and not state.is_current
                    ],
                },
            }
            for outcome in outcomes
        ],
        "verdicts": [verdict.as_record() for verdict in verdicts],
        "evidence": [
            {
                "asset": record["asset"],
                "partition": record["partition"],
                "identity": record["identity"],
                "content_version": record["content_version"],
                "files": dict(record["files"]),
            }
            for record in sorted(evidence, key=lambda r: (r["asset"], r["partition"] or ""))
        ],
        "code_version": code_version,
        "packages": dict(packages),
        "created_at": _utc(created_at),
        "run_id": run_id,
    }


def _utc(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _headline(metric: str, measurement: Measurement | None) -> dict[str, Any]:
    return {
        "metric": metric,
        "value": None if measurement is None else measurement.value,
        "low": None if measurement is None else measurement.low,
        "high": None if measurement is None else measurement.high,
        "n": None if measurement is None else measurement.n,
        "n_effective": None if measurement is None else measurement.n_effective,
        "status": "missing" if measurement is None else measurement.status,
        "reason": "not measured" if measurement is None else measurement.reason or None,
    }


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
    """

    requested_by: str
    valid_until: datetime
    code: Code
    seeds: Mapping[str, int]
    ledger: LedgerHead


def build_statement(
    document: Mapping[str, Any],
    candidate: str,
    *,
    artifact_is_file: bool,
    evidence: Evidence,
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
        What `gather_evidence` gave for scorecard and declaration.
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
    found = [entry for entry in document["candidates"] if entry["candidate"] == candidate]
    if len(found) != 1:
        raise _refused(candidate, "the audit's certificate does not know this candidate")
    entry = found[0]
    created_at = datetime.fromisoformat(document["created_at"])
    if issue.valid_until <= created_at:
        raise _refused(candidate, "it would end before it begins")
    if entry["outcome"] == "certified" and entry["artifact_digest"] is None:
        raise _refused(candidate, "nobody knows which artifact was certified")
    scorecard = _root(evidence, SCORECARD)
    spec = _root(evidence, SPEC)
    used = [upstream for upstream in scorecard.upstream if upstream.asset == EVALUATION_SET]
    evaluation_set = next(
        (item for item in evidence.items if used and item.identity == used[0].identity), None
    )
    if evaluation_set is None:
        raise _refused(candidate, "the evidence has no evaluation set")
    audit = document["audit"]
    subjects = [
        {
            "name": f"{audit}/{EVALUATION_SET}",
            "digest": {
                FILE_DIGEST: evaluation_set.files[CASES].sha256,
                CONTENT_DIGEST: evaluation_set.content_version,
            },
        }
    ]
    if entry["artifact_digest"] is not None:
        kind = FILE_DIGEST if artifact_is_file else ARTIFACT_DIGEST
        artifact = {
            "name": f"{audit}/{model_of(candidate)}",
            "digest": {kind: entry["artifact_digest"]},
        }
        subjects.insert(0, artifact)
    # Read back strictly, as whoever verifies it will.
    return Statement.model_validate(
        {
            "_type": STATEMENT_TYPE,
            "subject": tuple(subjects),
            "predicateType": PREDICATE_TYPE,
            "predicate": {
                "audit": audit,
                "spec": SpecEvidence(
                    asset=SPEC, identity=spec.identity, sha256=spec.files[SPEC_FILE].sha256
                ),
                "candidate": {
                    "name": candidate,
                    "artifact_digest": entry["artifact_digest"],
                    "outcome": entry["outcome"],
                    "reason": entry["reason"],
                },
                "evaluation_set": document["evaluation_set"],
                "gates": tuple(v for v in document["verdicts"] if v["candidate"] == candidate),
                "headline": tuple(entry["headline"]),
                "slices": {
                    **entry["slices"],
                    "not_current": tuple(entry["slices"]["not_current"]),
                },
                "rests_on": evidence.rests_on,
                "evidence": evidence.items,
                "code": issue.code,
                "packages": document["packages"],
                "seeds": dict(issue.seeds),
                "requested_by": issue.requested_by,
                "run_id": document["run_id"],
                "created_at": created_at,
                "validity": {
                    "valid_from": created_at,
                    "valid_until": issue.valid_until.astimezone(UTC),
                    "void_when": VOID_WHEN,
                },
                "ledger": issue.ledger,
            },
        }
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


def _root(evidence: Evidence, asset: str) -> EvidenceItem:
    names = {(u.asset, u.partition, u.identity) for u in evidence.rests_on if u.asset == asset}
    items: Sequence[EvidenceItem] = [
        item for item in evidence.items if (item.asset, item.partition, item.identity) in names
    ]
    if len(items) != 1:
        raise _refused(asset, f"the evidence begins with {len(items)} versions of it, not one")
    return items[0]


def _refused(culprit: str, what: str) -> StatementError:
    return StatementError(
        what, culprit=culprit, fix="gather the evidence of the current scorecard and issue it again"
    )
