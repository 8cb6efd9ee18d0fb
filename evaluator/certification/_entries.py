"""The ledger's entries: their forms, and who signed one.

What a chain of them is worth is said in `_ledger.py`, and whose count in `_trust.py`.
"""

import json
from typing import Annotated, Any, Literal, NamedTuple, get_args

from pydantic import AwareDatetime, Field, ValidationError

from evaluator.certification._signatures import PublicKey, SigningKey, encode_for_signing
from evaluator.certification._statement import LedgerHead, Sha256, StrictModel, first_fault
from evaluator.errors import EvidenceError, UsageError
from evaluator.evidence import canonical_json

ENTRY_TYPE = "application/vnd.evaluator.ledger-entry+json"
"""What an entry's signature says that it signs, in DSSE's pre-authentication encoding."""

EntryKind = Literal[
    "certificate",
    "publication",
    "sign_off",
    "waiver",
    "revocation",
    "correction",
    "key_revocation",
]
Role = Literal["issuer", "reviewer"]
"""Issuers sign certificates and what they show of them; reviewers sign off, waive, revoke and
correct."""
RevocationScope = Literal["artifact", "candidate", "audit"]

NonEmptyText = Annotated[str, Field(min_length=1, pattern=r"\S")]


class LedgerError(EvidenceError):
    """The ledger is not what was written."""


class LedgerUseError(UsageError):
    """An entry that the ledger cannot take."""


class EnteredAlreadyError(LedgerUseError):
    """An entry that the ledger has."""


class CertificateBody(StrictModel):
    """What the ledger says of a certificate, so that states are known without opening it."""

    candidate: NonEmptyText
    outcome: Literal["certified", "not certified", "undecided"]
    artifact_digest: str | None
    evaluation_set: str
    valid_from: AwareDatetime
    valid_until: AwareDatetime
    path: str
    """Where the certificate lies, below the evidence store's address."""
    record_sha256: Sha256
    """SHA-256 of the `record.json` beside it, which the certificate itself cannot name."""


class PublicationBody(StrictModel):
    """What the issuer shows of its certificates: they are quoted there, and so cannot name it."""

    asset: NonEmptyText
    issue: NonEmptyText
    """The folder of the certificates that it was made of, below the evidence store's address."""
    files: Annotated[dict[str, Sha256], Field(min_length=1)]
    """By its path below the store's address the SHA-256 of each file of the version, and of its
    `record.json`."""


class WaiverBody(StrictModel):
    """Which gate is waived, and until when."""

    gate: NonEmptyText
    """The gate in words, as the certificate names it."""
    until: AwareDatetime


class RevocationBody(StrictModel):
    """What no longer stands, and gets no new certificate until the revocation is corrected."""

    scope: RevocationScope = "artifact"
    """The artifact that the certificate is about, its candidate with every artifact, or every
    candidate of the audit."""


class CorrectionBody(StrictModel):
    """Which earlier entry no longer counts. What should stand instead is an entry of its own."""

    corrects: int = Field(ge=1)


class PlainBody(StrictModel):
    """Nothing beyond author and reason."""


class Kind(NamedTuple):
    """What there is to know of a kind of entry."""

    body: type[StrictModel]
    said_by: frozenset[Role]
    """Which roles may say it; none where it counts whoever does."""
    about: Literal["itself", "certificate", "key"] = "certificate"
    """What its subject is: something that it enters itself, and a program in nobody's name; a
    certificate that was entered; or a key."""
    can_be_corrected: bool = False


_ISSUER, _REVIEWER = frozenset[Role]({"issuer"}), frozenset[Role]({"reviewer"})
KINDS: dict[EntryKind, Kind] = {
    "certificate": Kind(CertificateBody, _ISSUER, about="itself"),
    "publication": Kind(PublicationBody, _ISSUER, about="itself"),
    "sign_off": Kind(PlainBody, _REVIEWER, can_be_corrected=True),
    "waiver": Kind(WaiverBody, _REVIEWER, can_be_corrected=True),
    "revocation": Kind(RevocationBody, frozenset(), can_be_corrected=True),
    "correction": Kind(CorrectionBody, _REVIEWER),
    "key_revocation": Kind(PlainBody, _ISSUER | _REVIEWER, about="key"),
}


class EntrySignature(StrictModel):
    """Who wrote an entry, provably."""

    keyid: Sha256
    sig: Annotated[str, Field(pattern=r"^[0-9a-f]{128}$")]


class LedgerEntry(StrictModel):
    """An entry as it is stored."""

    format: Literal["evaluator/ledger-entry/1"] = "evaluator/ledger-entry/1"
    audit: str
    sequence: int = Field(ge=1)
    previous: Sha256
    """SHA-256 of the file before this one; zeros for the first."""
    time: AwareDatetime
    kind: EntryKind
    author: NonEmptyText
    reason: NonEmptyText
    subject: Sha256
    """SHA-256 of the certificate's file; of a publication that of its version's `record.json`, of a
    key's revocation the key's id."""
    body: dict[str, Any]
    signature: EntrySignature | None = None

    def signed(self, key: SigningKey) -> "LedgerEntry":
        """Return it with a signature."""
        signature = EntrySignature(keyid=key.public.key_id, sig=key.sign(self._message()).hex())
        return self.model_copy(update={"signature": signature})

    def is_signed_by(self, key: PublicKey) -> bool:
        """Tell whether it carries this key's signature."""
        return self.signature is not None and key.verifies(
            bytes.fromhex(self.signature.sig), self._message()
        )

    def certificate_body(self) -> CertificateBody:
        """Read the body of an entry of the kind `certificate`."""
        return CertificateBody.model_validate_json(json.dumps(self.body))

    def publication_body(self) -> PublicationBody:
        """Read the body of an entry of the kind `publication`."""
        return PublicationBody.model_validate_json(json.dumps(self.body))

    def waiver_body(self) -> WaiverBody:
        """Read the body of an entry of the kind `waiver`."""
        return WaiverBody.model_validate_json(json.dumps(self.body))

    def revocation_body(self) -> RevocationBody:
        """Read the body of an entry of the kind `revocation`."""
        return RevocationBody.model_validate_json(json.dumps(self.body))

    def correction_body(self) -> CorrectionBody:
        """Read the body of an entry of the kind `correction`."""
        return CorrectionBody.model_validate_json(json.dumps(self.body))

    def _message(self) -> bytes:
        unsigned = canonical_json(self.model_dump(mode="json", exclude={"signature"}))
        return encode_for_signing(ENTRY_TYPE, unsigned)


def parse_entry(content: bytes, source: str) -> LedgerEntry:
    """Read an entry, strictly."""
    try:
        entry = LedgerEntry.parse(content)
        KINDS[entry.kind].body.parse(canonical_json(entry.body))
        if entry.to_bytes() != content:
            # Its signature is over its own spelling, so that no byte can be changed beneath it.
            msg = "it is not spelled as the ledger spells it"
            raise ValueError(msg)  # noqa: TRY301 - all that is wrong is said in one way
    except ValueError as error:
        raise LedgerError(
            str(error), culprit=source, fix="restore the ledger from a copy"
        ) from error
    return entry


def checked_body(kind: EntryKind, body: dict[str, Any]) -> dict[str, Any]:
    """Return a body as it is stored, or say what it lacks."""
    if kind not in KINDS:
        raise LedgerUseError(
            f"there is no kind of entry {kind!r}",
            culprit="ledger",
            fix=f"use one of {', '.join(get_args(EntryKind))}",
        )
    try:
        checked: dict[str, Any] = KINDS[kind].body.model_validate(body).model_dump(mode="json")
    except ValidationError as error:
        raise LedgerUseError(
            first_fault(error, f" of a {kind}"),
            culprit="ledger",
            fix=f"give {', '.join(KINDS[kind].body.model_fields) or 'no body'}",
        ) from error
    return checked


class ChainedEntry(NamedTuple):
    """An entry, and the digest of its file."""

    entry: LedgerEntry
    digest: str
    void: str = ""
    """Why it does not count for whoever trusts some keys; empty where it does."""

    @property
    def head(self) -> LedgerHead:
        """The ledger's head when this entry was the last."""
        return LedgerHead(sequence=self.entry.sequence, digest=self.digest)
