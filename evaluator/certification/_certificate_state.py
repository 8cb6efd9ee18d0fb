"""What the ledger says of a certificate at some moment."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, NamedTuple

from evaluator.certification._ledger import ChainedEntry, LedgerEntry
from evaluator.certification._outcomes import Waiver

StateWord = Literal["valid", "waived", "not yet valid", "expired", "revoked", "unknown"]


@dataclass(frozen=True, kw_only=True)
class CertificateState:
    """Whether a certificate stands, and what people decided about it.

    Attributes
    ----------
    state
        ``valid``; ``waived``: it stands, and a gate is waived; ``not yet valid``; ``expired``;
        ``revoked``; ``unknown``: the ledger does not know it. It says nothing about the
        candidate: a certificate that says "not certified" can be valid too.
    reason
        Why, in a sentence without its full stop.
    sign_offs
        The entries that count: those that no correction took back.
    """

    state: StateWord
    reason: str
    sign_offs: tuple[LedgerEntry, ...] = ()

    @property
    def stands(self) -> bool:
        """Whether the certificate may be relied on at all."""
        return self.state in {"valid", "waived"}


def state_of(entries: Sequence[ChainedEntry], certificate: str, now: datetime) -> CertificateState:
    """Tell what the ledger says of a certificate.

    Parameters
    ----------
    entries
        The whole ledger.
    certificate
        SHA-256 of the certificate's file.
    now
        The moment that is asked about, with its time zone.

    Returns
    -------
    CertificateState
        Of what applies at once the first of: revoked, expired, not yet valid, waived.
    """
    about = [chained.entry for chained in entries if chained.entry.subject == certificate]
    corrected = {e.correction_body().corrects for e in about if e.kind == "correction"}
    counting = [entry for entry in about if entry.sequence not in corrected]
    entered = [entry for entry in counting if entry.kind == "certificate"]
    if not entered:
        return CertificateState(state="unknown", reason="the ledger does not know this certificate")
    body = entered[0].certificate_body()
    revocations = [e for e in counting if e.kind == "revocation"]
    waivers = [e for e in counting if e.kind == "waiver" and now < e.waiver_body().until]
    state: StateWord = "valid"
    reason = f"valid until {body.valid_until.isoformat()}"
    if revocations:
        state = "revoked"
        reason = f"revoked by {revocations[0].author}: {revocations[0].reason}"
    elif now >= body.valid_until:
        state, reason = "expired", f"it expired at {body.valid_until.isoformat()}"
    elif now < body.valid_from:
        state, reason = "not yet valid", f"it is valid from {body.valid_from.isoformat()}"
    elif waivers:
        named = "; ".join(f"{e.waiver_body().gate} (by {e.author}: {e.reason})" for e in waivers)
        state, reason = "waived", f"waived: {named}"
    return CertificateState(
        state=state,
        reason=reason,
        sign_offs=tuple(e for e in counting if e.kind == "sign_off"),
    )


class Requirement(NamedTuple):
    """Whether an artifact may be released, and why."""

    is_met: bool
    reason: str
    certificate: str | None
    """SHA-256 of the certificate's file that decides; None where there is none."""


def require_certificate(
    entries: Sequence[ChainedEntry], candidate: str, artifact_digest: str, now: datetime
) -> Requirement:
    """Decide whether exactly this artifact of a candidate has a certificate that stands.

    Parameters
    ----------
    entries
        The whole ledger.
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
        one does not count: the newest tells of the newest data.
    """
    bodies = [
        (chained.entry.subject, chained.entry.certificate_body())
        for chained in entries
        if chained.entry.kind == "certificate"
    ]
    named = [(subject, body) for subject, body in bodies if body.candidate == candidate]
    found = [(subject, body) for subject, body in named if body.artifact_digest == artifact_digest]
    if not found:
        other = f"; there are {len(named)} for other artifacts of it" if named else ""
        reason = f"no certificate is for {candidate} with the digest {artifact_digest}{other}"
        return Requirement(is_met=False, reason=reason, certificate=None)
    subject, body = found[-1]
    state = state_of(entries, subject, now)
    if not state.stands:
        reason = f"its newest certificate is {state.state}: {state.reason}"
        return Requirement(is_met=False, reason=reason, certificate=subject)
    if body.outcome != "certified":
        reason = "its newest certificate does not certify it"
        return Requirement(is_met=False, reason=reason, certificate=subject)
    return Requirement(is_met=True, reason=state.reason, certificate=subject)


class EnteredWaiver(NamedTuple):
    """A waiver, and the digest of the ledger's entry that it comes from."""

    waiver: Waiver
    entry: str


def waivers_in_force(
    entries: Sequence[ChainedEntry], artifacts: Mapping[str, str | None], now: datetime
) -> list[EnteredWaiver]:
    """Find the waivers that count for these artifacts at some moment.

    A waiver is entered about one certificate. It counts for every later one of the same candidate
    with the same artifact, so that a new day's data does not take it back; another artifact needs
    another decision.

    Parameters
    ----------
    entries
        The ledger, up to where it shall count.
    artifacts
        By candidate the digest of its artifact; None where it could not be read.
    now
        The moment that is asked about, with its time zone.

    Returns
    -------
    list[EnteredWaiver]
        In the ledger's order, without those that ended or that a correction took back.
    """
    every = [chained.entry for chained in entries]
    corrected = {entry.correction_body().corrects for entry in every if entry.kind == "correction"}
    certificates = {e.subject: e.certificate_body() for e in every if e.kind == "certificate"}
    found = []
    for chained in entries:
        entry = chained.entry
        if entry.kind != "waiver" or entry.sequence in corrected:
            continue
        about, body = certificates.get(entry.subject), entry.waiver_body()
        if about is None or about.artifact_digest is None or now >= body.until:
            continue
        if artifacts.get(about.candidate) == about.artifact_digest:
            waiver = Waiver(
                candidate=about.candidate,
                gate=body.gate,
                waived_by=entry.author,
                reason=entry.reason,
                until=body.until,
            )
            found.append(EnteredWaiver(waiver, chained.digest))
    return found
