"""Certificates: made of a scorecard, signed, entered in the ledger, and found again."""

import os
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from evaluator import __version__
from evaluator.candidates import adapter_of
from evaluator.certification import (
    SPEC_FILE,
    AuditCertificate,
    Binder,
    Code,
    EnteredAlreadyError,
    EntryKind,
    Issue,
    Ledger,
    build_statement,
    lacks_signature,
    newest_publications,
    qualified_outcome,
    require_certificate,
    secret_in,
    share_evidence,
    sign_statement,
    signing_key_from_environment,
    spec_document,
    trusted_by_environment,
)
from evaluator.errors import EvidenceError
from evaluator.evidence import RECORD, Address, Record, RunContext, digest_of_bytes
from evaluator.orchestration._facts import CertificateFacts, ScorecardFacts
from evaluator.orchestration._home import Home
from evaluator.orchestration._identities import CODE_VERSIONS
from evaluator.orchestration._scorecard_run import (
    Decisions,
    JudgedScorecard,
    declared_as_scored,
    read_decisions,
)
from evaluator.orchestration._state import AuditState
from evaluator.orchestration._tracking import tracking_client
from evaluator.scorecard import Asset
from evaluator.spec import AuditSpec, CandidateSpec, RegisteredModel

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion
    from mlflow.tracking import MlflowClient

    from evaluator.certification import ChainedEntry, SigningKey

CERTIFICATE = "certificate.json"
"""What was found for all candidates; each candidate's signed statement lies beside it."""
AUTHOR = "evaluator"
"""Who enters certificates, and what shows them, in the ledger; decisions are entered by people."""
CERTIFICATE_TAG = "evaluator.certificate"
_CLOCKS_DIFFER = timedelta(minutes=5)
"""So much may the clocks of machines that share a store."""
OUTCOME_TAG = "evaluator.outcome"
"""With what qualifies it, so that "certified" alone is what nothing qualifies."""


def statement_name(candidate: str) -> str:
    """Name the file of a candidate's signed certificate, in the certificate's record."""
    return f"{candidate}.dsse.json"


def demote(home: Home, spec: AuditSpec, stands: Callable[[str], bool]) -> Iterator[str]:
    """Take tag and alias from every model version whose certificate no longer stands.

    Parameters
    ----------
    home
        Names the tracking server that has the registry.
    spec
        The audit, for its registered candidates and the alias that it gives.
    stands
        Tells of a signed certificate, by its SHA-256, whether it still stands.

    Yields
    ------
    str
        A sentence for each version that is no longer promoted.
    """
    if not registered(spec):
        return
    client = tracking_client(home)
    for _, model in registered(spec):
        for found in client.search_model_versions(f"name='{model.name}'"):
            if CERTIFICATE_TAG in found.tags and not stands(found.tags[CERTIFICATE_TAG]):
                full = client.get_model_version(found.name, found.version)
                _take_back(client, full, spec.certificate.promote_alias)
                yield f"{found.name} version {found.version} is no longer promoted."


def registered(spec: AuditSpec) -> list[tuple[CandidateSpec, RegisteredModel]]:
    """Return the candidates that are versions in an MLflow registry."""
    models = [(candidate, candidate.registered_model) for candidate in spec.candidates]
    return [(candidate, model) for candidate, model in models if model is not None]


def promote(state: AuditState, now: datetime) -> dict[str, str | None]:
    """Bring tags and aliases in the registry in line with the ledger."""
    client = tracking_client(state.home)
    trusted = trusted_by_environment(os.environ)
    entries = Ledger(state.store.url, state.audit.name).entries(trusted)
    tagged: dict[str, str | None] = {}
    for candidate, model in registered(state.spec):
        digest = state.observed_model(candidate)
        decided = require_certificate(entries, candidate.name, digest or "", now)
        version = _version(client, model)
        alias = state.spec.certificate.promote_alias
        if decided.is_met and decided.certificate is not None:
            client.set_model_version_tag(
                version.name, version.version, CERTIFICATE_TAG, decided.certificate.subject
            )
            words = qualified_outcome(state.store.files, entries, decided.certificate, now)
            client.set_model_version_tag(version.name, version.version, OUTCOME_TAG, words)
            if alias is not None:
                client.set_registered_model_alias(version.name, alias, version.version)
            tagged[candidate.name] = decided.certificate.subject
        else:
            _take_back(client, version, alias)
            tagged[candidate.name] = None
    return tagged


def _version(client: "MlflowClient", model: RegisteredModel) -> "ModelVersion":
    if model.alias:
        return client.get_model_version_by_alias(model.name, model.alias)
    return client.get_model_version(model.name, model.version)


def _take_back(client: "MlflowClient", version: "ModelVersion", alias: str | None) -> None:
    for tag in (CERTIFICATE_TAG, OUTCOME_TAG):
        if tag in version.tags:
            client.delete_model_version_tag(version.name, version.version, tag)
    if alias is not None and alias in version.aliases:
        client.delete_registered_model_alias(version.name, alias)


class Target(NamedTuple):
    """Where the certificate belongs that a scorecard has now."""

    address: Address
    identity: str
    record: Record | None
    """The certificate itself, where it was issued."""


def expected_certificate(
    state: AuditState, scorecard: Record, now: datetime, decisions: Decisions | None = None
) -> Target:
    """Find the certificate of a scorecard, or the place of the one to be issued.

    One that has expired is followed by another one, and so are one that a clock issued which was
    ahead, and one that shows other waivers than are in force. Candidates that are revoked get none,
    whatever else is new, until a correction takes the revocation back, and none gets an unsigned
    one where others are signed.
    """
    if decisions is None:
        decisions = read_decisions(state, scorecard, now)
    key = signing_key_from_environment(os.environ)
    address = state.address(Asset.CERTIFICATE)
    renewal = 0
    while True:
        identity = state.identities.certificate(
            scorecard,
            key_id=key.public.key_id if key else "unsigned",
            renewal=renewal,
            waivers=[one.entry for one in decisions.waivers],
            withheld=decisions.withheld,
        )
        record = state.store.find(address, identity)
        if record is None:
            return Target(address, identity, None)
        facts = CertificateFacts.of(record)
        if facts.valid_from - _CLOCKS_DIFFER <= now < facts.valid_until:
            return Target(address, identity, record)
        renewal += 1


def issue_certificate(
    state: AuditState, judged: JudgedScorecard, document: AuditCertificate, run_context: RunContext
) -> Record:
    """Issue the certificates of the current scorecard, or point to those that stand."""
    key = signing_key_from_environment(os.environ)
    # Of two issuers one waits, and points to what the other has issued: a certificate holds its
    # time and its run, and so is made once.
    with state.store.alone(state.address(Asset.CERTIFICATE)):
        target = expected_certificate(state, judged.record, run_context.now, judged.decisions)
        record = state.store.reuse(target.address, target.identity, run_context)
        if record is None:
            record = _issue(
                state, judged, document, target=target, key=key, run_context=run_context
            )
        _enter_certificates(state, record, run_context.now)
    return record


def publish(
    state: AuditState,
    record: Record,
    certificate: Record,
    entries: Sequence["ChainedEntry"],
    now: datetime,
) -> None:
    """Enter what shows a certificate in the ledger, unless it would be unsigned among signed ones.

    The certificate is quoted in it and cannot name it, so an entry of the issuer's does.
    """
    if not lacks_signature(entries, signing_key_from_environment(os.environ)):
        bodies = {_record_digest(state, record): _publication(state, record, certificate)}
        _enter(state, "publication", bodies, f"shown by run {record.run_id}", now)


def is_published(
    state: AuditState, record: Record, certificate: Record, entries: Sequence["ChainedEntry"]
) -> bool:
    """Tell whether this issuer's ledger names what lies there, or nothing can be entered anyway."""
    key = signing_key_from_environment(os.environ)
    if lacks_signature(entries, key):
        return True
    mine = (
        c.entry
        for c in entries
        if c.entry.kind == "publication" and (key is None or c.entry.is_signed_by(key.public))
    )
    issue = state.store.folder(certificate)
    entered = newest_publications(mine, [issue]).get(record.asset)
    if entered is None or entered.model_dump() != _publication(state, record, certificate):
        return False
    return all(
        (stored := state.store.files.digest(path)) is not None and stored.sha256 == sha256
        for path, sha256 in entered.files.items()
    )


def _publication(state: AuditState, record: Record, certificate: Record) -> dict[str, Any]:
    folder = state.store.folder(record)
    files = {f"{folder}/{name}": stored.sha256 for name, stored in record.files.items()}
    return {
        "asset": record.asset,
        "issue": state.store.folder(certificate),
        "files": {**files, f"{folder}/{RECORD}": _record_digest(state, record)},
    }


def _record_digest(state: AuditState, record: Record) -> str:
    stored = state.store.files.digest(f"{state.store.folder(record)}/{RECORD}")
    if stored is None:
        raise EvidenceError(
            "its record is gone", culprit=str(record.address), fix="restore the evidence folder"
        )
    return stored.sha256


def _issue(
    state: AuditState,
    judged: JudgedScorecard,
    document: AuditCertificate,
    *,
    target: Target,
    key: "SigningKey | None",
    run_context: RunContext,
) -> Record:
    spec = _store_spec(state, declared_as_scored(state.spec, judged.record), run_context)
    withheld = judged.decisions.withheld
    # The baseline's own is what all others rest on too.
    apart = [c.name for c in state.spec.candidates if c.name not in withheld and not c.baseline]
    evidence = share_evidence(state.store, [judged.record, spec], apart, run_context)
    facts = ScorecardFacts.of(judged.record)
    settings = state.spec.certificate
    valid_until = run_context.now + timedelta(days=settings.valid_days)
    issue = Issue(
        requested_by=settings.requested_by,
        valid_until=valid_until,
        code=_code(),
        seeds=facts.seeds,
        # As far as it was read for waivers, so that whoever checks reads as far.
        ledger=judged.decisions.ledger,
        waivers=judged.decisions.waivers,
    )
    files = {CERTIFICATE: document.to_bytes()}
    binder = Binder(secret_in(state.home.root))
    for candidate in state.spec.candidates:
        if candidate.name in withheld:
            continue
        statement = build_statement(
            document,
            candidate.name,
            artifact_is_file=adapter_of(candidate).artifact_is_file,
            evidence=evidence,
            issue=issue,
        )
        statement = binder.bound(statement, state.store.url)
        files[statement_name(candidate.name)] = sign_statement(statement, key).to_bytes()
    return state.store.write(
        target.address,
        target.identity,
        files,
        content_version=digest_of_bytes(files[CERTIFICATE]),
        upstream=evidence.rests_on,
        facts=CertificateFacts(
            outcomes={
                o.candidate: o.outcome for o in judged.outcomes if o.candidate not in withheld
            },
            withheld=dict(withheld),
            artifacts=facts.models,
            evaluation_set=document.evaluation_set.digest,
            valid_from=run_context.now,
            valid_until=valid_until,
            key_id=key.public.key_id if key else None,
        ).to_record(),
        code_version=CODE_VERSIONS["certificate"],
        run_context=run_context,
        is_repeatable=False,
    )


def _store_spec(state: AuditState, spec: AuditSpec, run_context: RunContext) -> Record:
    """Keep the audit's declaration as evidence, so that a stranger can judge by it."""
    content = spec_document(spec)
    digest = digest_of_bytes(content)
    return state.store.write(
        state.address(Asset.AUDIT_SPEC),
        digest[:32],
        {SPEC_FILE: content},
        content_version=digest,
        upstream=[],
        facts={},
        code_version=CODE_VERSIONS["audit_spec"],
        run_context=run_context,
    )


def _enter_certificates(state: AuditState, record: Record, now: datetime) -> None:
    """Enter each candidate's certificate in the ledger, unless it stands there already."""
    folder = state.store.folder(record)
    facts = CertificateFacts.of(record)
    bodies = {}
    for candidate, outcome in facts.outcomes.items():
        name = statement_name(candidate)
        bodies[record.files[name].sha256] = {
            "candidate": candidate,
            "outcome": outcome,
            "artifact_digest": facts.artifacts[candidate],
            "evaluation_set": facts.evaluation_set,
            "valid_from": facts.valid_from,
            "valid_until": facts.valid_until,
            "path": f"{folder}/{name}",
            "record_sha256": _record_digest(state, record),
        }
    _enter(state, "certificate", bodies, f"issued by run {record.run_id}", now)


def _enter(
    state: AuditState,
    kind: EntryKind,
    bodies: Mapping[str, dict[str, Any]],
    reason: str,
    now: datetime,
) -> None:
    """Enter as the issuer, by subject, what is not in the ledger already."""
    key = signing_key_from_environment(os.environ)
    ledger = Ledger(state.store.url, state.audit.name)
    entered = {c.entry.subject for c in ledger.entries() if c.entry.kind == kind}
    for subject, body in bodies.items():
        if subject not in entered:
            # Another run may enter it at this moment.
            with suppress(EnteredAlreadyError):
                ledger.append(
                    kind, subject=subject, author=AUTHOR, reason=reason, body=body, now=now, key=key
                )


def _code() -> Code:
    """Tell which code runs; the revision only where it runs from a git checkout."""
    folder = Path(__file__).parents[1]
    revision = _git(folder, "rev-parse", "HEAD")
    changes = _git(folder, "status", "--porcelain", "--", ".") if revision else None
    return Code(
        version=__version__,
        revision=revision,
        has_changes=bool(changes) if changes is not None else None,
    )


def _git(folder: Path, *arguments: str) -> str | None:
    try:
        completed = subprocess.run(  # noqa: S603 - no shell, and nothing from outside
            ["git", "-C", str(folder), *arguments],  # noqa: S607 - the user's own git
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return completed.stdout.strip()
