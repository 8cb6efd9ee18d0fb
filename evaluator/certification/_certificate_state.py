"""What the ledger says of a certificate at some moment."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, NamedTuple

from evaluator.certification._entries import (
    ChainedEntry,
    LedgerEntry,
    RevocationScope,
)
from evaluator.certification._outcomes import Waiver

StateWord = Literal["valid", "waived", "not yet valid", "expired", "revoked", "void", "unknown"]


@dataclass(frozen=True, kw_only=True)
class CertificateState:
    """Whether a certificate stands, and what people decided about it.

    Attributes
    ----------
    state
        ``valid``; ``waived``: it stands, and a gate is waived; ``not yet valid``; ``expired``;
        ``revoked``; ``void``: its entry does not count for whoever asks; ``unknown``: the ledger
        does not know it. It says nothing about the candidate: a certificate that says "not
        certified" can be valid too.
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


@dataclass(frozen=True, kw_only=True)
class Revocation:
    """What a revocation in force says.

    Attributes
    ----------
    entry
        The ledger's entry.
    digest
        Of the entry's file.
    scope, candidate, artifact_digest
        Whether it is about this artifact of this candidate, about the candidate, or the audit.
    """

    entry: LedgerEntry
    digest: str
    scope: RevocationScope
    candidate: str
    artifact_digest: str | None

    def covers(self, candidate: str, artifact_digest: str | None) -> bool:
        """Tell whether it is about this artifact of a candidate."""
        if self.scope == "audit":
            return True
        known = artifact_digest is not None and artifact_digest == self.artifact_digest
        return candidate == self.candidate and (self.scope == "candidate" or known)

    def __str__(self) -> str:
        what = {
            "artifact": "",
            "candidate": f"all of {self.candidate} is ",
            "audit": "the audit is ",
        }
        return f"{what[self.scope]}revoked by {self.entry.author}: {self.entry.reason}"


def counting(entries: Iterable[ChainedEntry]) -> list[ChainedEntry]:
    """Leave out the entries that are void, and those that a correction took back."""
    good = [chained for chained in entries if not chained.void]
    corrected = {c.entry.correction_body().corrects for c in good if c.entry.kind == "correction"}
    return [chained for chained in good if chained.entry.sequence not in corrected]


def revocations_in_force(entries: Sequence[ChainedEntry]) -> list[Revocation]:
    """Find the revocations that no correction took back, in the ledger's order.

    Parameters
    ----------
    entries
        The whole ledger, with what counts of it.
    """
    # What is revoked is known by its certificate, whether that counts or not.
    certificates = {
        c.entry.subject: c.entry.certificate_body()
        for c in entries
        if c.entry.kind == "certificate"
    }
    return [
        Revocation(
            entry=chained.entry,
            digest=chained.digest,
            scope=chained.entry.revocation_body().scope,
            candidate=about.candidate,
            artifact_digest=about.artifact_digest,
        )
        for chained in counting(entries)
        if chained.entry.kind == "revocation"
        and (about := certificates.get(chained.entry.subject)) is not None
    ]


def state_of(entries: Sequence[ChainedEntry], certificate: str, now: datetime) -> CertificateState:
    """Tell what the ledger says of a certificate.

    Parameters
    ----------
    entries
        The whole ledger, with what counts of it.
    certificate
        SHA-256 of the certificate's file.
    now
        The moment that is asked about, with its time zone.

    Returns
    -------
    CertificateState
        Of what applies at once the first of: revoked, expired, not yet valid, waived.
    """
    entered = [
        c for c in entries if c.entry.subject == certificate and c.entry.kind == "certificate"
    ]
    about = [c.entry for c in counting(entries) if c.entry.subject == certificate]
    known = [entry for entry in about if entry.kind == "certificate"]
    if not known:
        reason = "the ledger does not know this certificate"
        if entered:
            reason = f"entry {entered[0].entry.sequence} does not count: {entered[0].void}"
        return CertificateState(state="void" if entered else "unknown", reason=reason)
    body = known[0].certificate_body()
    revoked = [
        one
        for one in revocations_in_force(entries)
        if one.entry.subject == certificate or one.covers(body.candidate, body.artifact_digest)
    ]
    waivers = [e for e in about if e.kind == "waiver" and now < e.waiver_body().until]
    state: StateWord = "valid"
    reason = f"valid until {body.valid_until.isoformat()}"
    if revoked:
        state, reason = "revoked", str(revoked[0])
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
        sign_offs=tuple(entry for entry in about if entry.kind == "sign_off"),
    )


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
        The ledger, up to where it shall count, with what counts of it.
    artifacts
        By candidate the digest of its artifact; None where it could not be read.
    now
        The moment that is asked about, with its time zone.

    Returns
    -------
    list[EnteredWaiver]
        In the ledger's order, without those that ended or that a correction took back.
    """
    certificates = {
        c.entry.subject: c.entry.certificate_body()
        for c in entries
        if c.entry.kind == "certificate"
    }
    found = []
    for chained in counting(entries):
        entry = chained.entry
        if entry.kind != "waiver":
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
