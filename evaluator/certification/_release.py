"""Whether an artifact may be released, on a certificate that whoever asks can rely on."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, NamedTuple

from evaluator.certification._certificate_state import state_of, waivers_in_force
from evaluator.certification._declaration import read_declared
from evaluator.certification._entered import ledger_claims, statement_claims
from evaluator.certification._entries import CertificateBody, ChainedEntry
from evaluator.certification._ledger import read_settled_chain
from evaluator.certification._outcomes import format_outcome
from evaluator.certification._signatures import Envelope, parse_envelope
from evaluator.certification._statement import LedgerHead, Statement, parse_statement
from evaluator.certification._stored_evidence import StoredEvidence
from evaluator.certification._trust import TrustedKeys
from evaluator.errors import EvidenceError
from evaluator.evidence import Files, digest_of_bytes
from evaluator.spec import AuditSpec

_UNSIGNED: Final = (
    "UNSIGNED EVIDENCE: nothing proves who issued the certificate, or that anything was evaluated;"
    " whoever can write to the evidence folder could have made it"
)
"""What is said of a release for which no key was asked."""


class CertificateEntry(NamedTuple):
    """A certificate as the ledger knows it."""

    subject: str
    """SHA-256 of its file."""
    body: CertificateBody


class Requirement(NamedTuple):
    """Whether an artifact may be released, and why."""

    is_met: bool
    reason: str
    certificate: CertificateEntry | None
    """The certificate that decides; None where there is none."""


def require_certificate(
    entries: Sequence[ChainedEntry], candidate: str, artifact_digest: str, now: datetime
) -> Requirement:
    """Decide whether exactly this artifact of a candidate has a certificate that stands.

    Parameters
    ----------
    entries
        The whole ledger, with what counts of it.
    candidate
        Its name in the audit.
    artifact_digest
        The digest of the artifact that shall be released, as its certificate names it.
    now
        The moment of the release, with its time zone.

    Returns
    -------
    Requirement
        Met where the newest certificate for this artifact says "certified" and stands. An older
        one does not count: the newest tells of the newest data. Nor does it where a newer one is
        void, since nobody knows what it would have said.
    """
    known = [
        CertificateEntry(chained.entry.subject, chained.entry.certificate_body())
        for chained in entries
        if chained.entry.kind == "certificate"
    ]
    named = [one for one in known if one.body.candidate == candidate]
    found = [one for one in named if one.body.artifact_digest == artifact_digest]
    if not found:
        other = f"; there are {len(named)} for other artifacts of it" if named else ""
        reason = f"no certificate is for {candidate} with the digest {artifact_digest}{other}"
        return Requirement(is_met=False, reason=reason, certificate=None)
    newest = found[-1]
    state = state_of(entries, newest.subject, now)
    if not state.stands:
        reason = f"its newest certificate does not stand: {state.reason}"
        return Requirement(is_met=False, reason=reason, certificate=newest)
    if newest.body.outcome != "certified":
        reason = "its newest certificate does not certify it"
        return Requirement(is_met=False, reason=reason, certificate=newest)
    return Requirement(is_met=True, reason=state.reason, certificate=newest)


class _Opened(NamedTuple):
    """A certificate's file as it was entered."""

    envelope: Envelope
    statement: Statement


def _open(files: Files, certificate: CertificateEntry) -> _Opened:
    """Read a certificate's file, if it is the one that was entered."""
    path = certificate.body.path
    content = files.read(path)
    if content is None or digest_of_bytes(content) != certificate.subject:
        raise EvidenceError(
            f"its certificate's file {'is gone' if content is None else 'is another one'}",
            culprit=path,
            fix="restore the evidence folder from a copy",
        )
    envelope = parse_envelope(content, path)
    return _Opened(envelope, parse_statement(envelope.payload, path))


def _qualified(opened: _Opened, entries: Sequence[ChainedEntry], now: datetime) -> str:
    predicate = opened.statement.predicate
    judged = predicate.candidate
    found = waivers_in_force(entries, {judged.name: judged.artifact_digest}, now)
    qualified_by = judged.qualified_by and judged.qualified_by.with_waivers(
        predicate.gates, [one.waiver for one in found]
    )
    return format_outcome(judged.outcome, qualified_by)


def qualified_outcome(
    files: Files, entries: Sequence[ChainedEntry], certificate: CertificateEntry, now: datetime
) -> str:
    """Say the outcome of a certificate with what qualifies it at some moment.

    Parameters
    ----------
    files
        The evidence.
    entries
        The whole ledger, with what counts of it.
    certificate
        Whose outcome it is.
    now
        The moment whose waivers count, with its time zone.

    Returns
    -------
    str
        It says so where the file cannot be read.
    """
    try:
        return _qualified(_open(files, certificate), entries, now)
    except EvidenceError as error:
        return f"nobody knows its outcome or what qualifies it: {error.culprit}: {error.what}"


@dataclass(frozen=True, kw_only=True)
class Release:
    """Whether an artifact may be released.

    Attributes
    ----------
    is_met
        Whether it may.
    reasons
        Why, as sentences without their full stops; the first one decides.
    cautions
        What a reader must know besides.
    outcome
        That of the certificate that decides, with what qualifies it now; None where none does, or
        its file cannot be read.
    """

    is_met: bool
    reasons: tuple[str, ...]
    cautions: tuple[str, ...] = ()
    outcome: str | None = None


def check_release(
    evidence_url: str,
    spec: AuditSpec,
    audit: str,
    candidate: str,
    artifact_digest: str,
    *,
    trusted: TrustedKeys | None,
    now: datetime,
    known_head: LedgerHead | None = None,
) -> Release:
    """Decide whether exactly this artifact of a candidate may be released.

    Parameters
    ----------
    evidence_url
        The evidence folder: a path or any fsspec URL.
    spec
        The audit as it is declared now.
    audit, candidate
        Their names.
    artifact_digest
        The digest of the artifact that shall be released, as its certificate names it.
    trusted
        Whose signatures count; None takes unsigned evidence at its word, and says so.
    now
        The moment of the release, with its time zone.
    known_head
        A ledger's head that was kept from an earlier check.

    Returns
    -------
    Release
        Met where the ledger is whole, and its newest certificate for this artifact says
        "certified", stands, lies there with the digest that was entered, is signed by a trusted
        issuer, and judged the audit as it is declared now.
    """
    files = Files(evidence_url, follow_links=False)
    try:
        chain = read_settled_chain(files, audit, trusted=trusted, known_head=known_head)
        if chain.problems:
            return Release(is_met=False, reasons=tuple(map(str, chain.problems)))
        required = require_certificate(chain.entries, candidate, artifact_digest, now)
        if required.certificate is None:
            return Release(is_met=False, reasons=(required.reason,), cautions=chain.cautions)
    except EvidenceError as error:
        return Release(is_met=False, reasons=(f"{error.culprit}: {error.what}",))
    problems = [] if required.is_met else [required.reason]
    outcome = None
    try:
        opened = _open(files, required.certificate)
        outcome = _qualified(opened, chain.entries, now)
        evidence = StoredEvidence(evidence_url, opened.statement.predicate)
        problems += _check_opened(opened, required.certificate, evidence, spec, trusted)
    except EvidenceError as error:
        problems.append(f"{error.culprit}: {error.what}")
    unsigned = (_UNSIGNED,) if trusted is None else ()
    return Release(
        is_met=not problems,
        reasons=tuple(problems) or (required.reason,),
        cautions=(*unsigned, *chain.cautions),
        outcome=outcome,
    )


def _check_opened(
    opened: _Opened,
    entered: CertificateEntry,
    evidence: StoredEvidence,
    spec: AuditSpec,
    trusted: TrustedKeys | None,
) -> Iterator[str]:
    """Say what keeps a certificate that stands in the ledger from being relied on."""
    if trusted is not None and trusted.issuer_of(opened.envelope) is None:
        yield f"no trusted issuer signed its certificate {entered.body.path}"
    if ledger_claims(entered.body) != statement_claims(opened.statement):
        yield "what the ledger says of its certificate is not what the certificate says"
    try:
        # Which values were found is nothing that anybody declares.
        was = read_declared(evidence).with_found({}).what_counts()
    except ValueError:
        yield "the declaration that it was judged by is none that this program reads"
        return
    is_now = spec.what_counts()
    changed = sorted(key for key in was.keys() | is_now.keys() if was.get(key) != is_now.get(key))
    if changed:
        yield (
            f"the audit is declared otherwise now than it was judged: {', '.join(changed)} changed;"
            " `evaluator run` judges it anew"
        )
