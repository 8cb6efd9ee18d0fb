"""What the ledger says of a certificate, held against the certificate."""

from collections.abc import Iterator
from typing import Any

from pydantic import ValidationError

from evaluator.certification._entries import CertificateBody, LedgerEntry
from evaluator.certification._ledger import (
    Chain,
    check_contains,
    entry_name,
    ledger_folder,
    read_settled_chain,
)
from evaluator.certification._statement import Discrepancy, LedgerHead, Statement
from evaluator.certification._stored_evidence import StoredEvidence
from evaluator.certification._trust import TrustedKeys
from evaluator.certification._verification_report import all_found
from evaluator.errors import EvidenceError
from evaluator.evidence import RECORD, Record, StoredFile, digest_of_bytes


def check_ledger(
    statement: Statement,
    evidence: StoredEvidence,
    digest: str,
    trusted: TrustedKeys | None,
    known_head: LedgerHead | None,
) -> tuple[Chain, list[Discrepancy]]:
    """Read the ledger, and find what in it is not whole or not as the certificate says."""
    predicate = statement.predicate
    folder = ledger_folder(predicate.audit)
    try:
        chain = read_settled_chain(
            evidence.files, predicate.audit, trusted=trusted, known_head=known_head
        )
    except EvidenceError as error:
        # A link: what it leads to is not read.
        found = Discrepancy("ledger", str(error.culprit), error.what)
        return Chain((), (found,), (), None), [found]
    # A signed certificate carries the head of its time: a ledger turned back behind it is found.
    problems = [*chain.problems, *check_contains(chain.entries, predicate.ledger, folder)]
    entered = [
        chained.entry
        for chained in chain.entries
        if chained.entry.subject == digest and chained.entry.kind == "certificate"
    ]
    if not entered:
        what = f"it has no entry for this certificate ({digest}): cut, or never entered"
        problems.append(Discrepancy("ledger", folder, what))
    for entry in entered:
        path = f"{folder}/{entry_name(entry.sequence)}"
        body = entry.certificate_body()
        if ledger_claims(body) != statement_claims(statement):
            what = "what it says of the certificate is not what the certificate says"
            problems.append(Discrepancy("ledger", path, what))
        if entry.sequence <= predicate.ledger.sequence:
            problems.append(Discrepancy("ledger", path, "it is older than the certificate"))
        problems += all_found(_check_stored_copy(evidence, entry, body, digest))
    return chain, problems


def ledger_claims(body: CertificateBody) -> dict[str, Any]:
    """Give what an entry says of its certificate, as `statement_claims` has it."""
    return body.model_dump(exclude={"path", "record_sha256"})


def statement_claims(statement: Statement) -> dict[str, Any]:
    """Give what the ledger has to say of a certificate."""
    predicate = statement.predicate
    return {
        "candidate": predicate.candidate.name,
        "outcome": predicate.candidate.outcome,
        "artifact_digest": predicate.candidate.artifact_digest,
        "evaluation_set": predicate.evaluation_set.digest,
        "valid_from": predicate.validity.valid_from,
        "valid_until": predicate.validity.valid_until,
    }


def _check_stored_copy(
    evidence: StoredEvidence, entry: LedgerEntry, body: CertificateBody, digest: str
) -> Iterator[Discrepancy]:
    """Look at the version that the certificate was stored with, where the folder has it."""
    folder, _, name = body.path.rpartition("/")
    if not evidence.files.names(folder):
        return  # an export holds the certificate beside the evidence
    content = evidence.files.read(f"{folder}/{RECORD}")
    if content is None or digest_of_bytes(content) != body.record_sha256:
        what = f"it is not the record that ledger entry {entry.sequence} names"
        yield Discrepancy("evidence", f"{folder}/{RECORD}", what)
        return
    try:
        record = Record.model_validate_json(content)
    except ValidationError:
        yield Discrepancy("evidence", f"{folder}/{RECORD}", "it is no provenance record")
        return
    stored = record.files.get(name)
    if stored is None or stored.sha256 != digest:
        yield Discrepancy("evidence", body.path, "the certificate that is stored here is another")
        return
    listed = {RECORD: StoredFile(sha256=body.record_sha256, size=len(content)), **record.files}
    for problem in evidence.check_folder(folder, listed):
        # A note of an earlier failure to issue it may lie here too.
        if not problem.file.startswith(f"{folder}/failure."):
            yield problem
