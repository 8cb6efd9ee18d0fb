"""From an audit's certificate document to one signed statement a candidate."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from evaluator.certification.envelope import IN_TOTO, Envelope, seal
from evaluator.certification.keys import SigningKey
from evaluator.certification.recomputation import EVALUATION_SET, SCORECARD, SPEC, SPEC_FILE
from evaluator.certification.statement import (
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
from evaluator.certification.stored_evidence import Evidence
from evaluator.findings.names import CASES

VOID_WHEN = (
    "the candidate's artifact is not the one whose digest stands here",
    "the evaluation set is not the one whose digest stands here",
    "the ledger revokes it",
)
"""What ends a certificate before its time."""


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
            "name": f"{audit}/{candidate}_model",
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
    """Put a statement into its envelope; without a key the certificate is unsigned."""
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
