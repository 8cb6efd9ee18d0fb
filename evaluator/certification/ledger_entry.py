"""One entry of the ledger: a certificate, or what a person decided about one."""

import json
from typing import Annotated, Any, Literal, get_args

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from evaluator.certification.envelope import encode_for_signing
from evaluator.certification.keys import PublicKey, SigningKey
from evaluator.certification.statement import Sha256
from evaluator.errors import EvidenceError, UsageError
from evaluator.evidence.canonical import canonical_json

ENTRY_TYPE = "application/vnd.evaluator.ledger-entry+json"
"""What an entry's signature says that it signs, in DSSE's pre-authentication encoding."""

NO_ENTRY = "0" * 64
"""The digest that the first entry names as its predecessor's."""

EntryKind = Literal["certificate", "sign_off", "waiver", "revocation", "correction"]

Words = Annotated[str, Field(min_length=1, pattern=r"\S")]


class LedgerError(EvidenceError):
    """The ledger is not what was written."""


class LedgerUseError(UsageError):
    """An entry that the ledger cannot take."""


class _Part(BaseModel):
    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=True, use_attribute_docstrings=True
    )


class CertificateBody(_Part):
    """What the ledger says of a certificate, so that states are known without opening it."""

    candidate: Words
    outcome: Literal["certified", "not certified", "undecided"]
    artifact_digest: str | None
    evaluation_set: str
    valid_from: AwareDatetime
    valid_until: AwareDatetime
    path: str
    """Where the certificate lies, below the evidence store's address."""
    record_sha256: Sha256
    """SHA-256 of the `record.json` beside it, which the certificate itself cannot name."""


class WaiverBody(_Part):
    """Which gate is waived, and until when."""

    gate: Words
    """The gate in words, as the certificate names it."""
    until: AwareDatetime


class CorrectionBody(_Part):
    """Which earlier entry no longer counts. What should stand instead is an entry of its own."""

    corrects: int = Field(ge=1)


class PlainBody(_Part):
    """Nothing beyond author and reason."""


BODIES: dict[EntryKind, type[_Part]] = {
    "certificate": CertificateBody,
    "sign_off": PlainBody,
    "waiver": WaiverBody,
    "revocation": PlainBody,
    "correction": CorrectionBody,
}


class EntrySignature(_Part):
    """Who wrote an entry, provably."""

    keyid: Sha256
    sig: Annotated[str, Field(pattern=r"^[0-9a-f]{128}$")]


class LedgerEntry(_Part):
    """An entry as it is stored."""

    format: Literal["evaluator/ledger-entry/1"] = "evaluator/ledger-entry/1"
    audit: str
    sequence: int = Field(ge=1)
    previous: Sha256
    """SHA-256 of the file before this one; zeros for the first."""
    time: AwareDatetime
    kind: EntryKind
    author: Words
    reason: Words
    subject: Sha256
    """SHA-256 of the certificate's file."""
    body: dict[str, Any]
    signature: EntrySignature | None = None

    def to_bytes(self) -> bytes:
        """Spell it as canonical JSON."""
        return canonical_json(self.model_dump(mode="json"))

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

    def waiver_body(self) -> WaiverBody:
        """Read the body of an entry of the kind `waiver`."""
        return WaiverBody.model_validate_json(json.dumps(self.body))

    def correction_body(self) -> CorrectionBody:
        """Read the body of an entry of the kind `correction`."""
        return CorrectionBody.model_validate_json(json.dumps(self.body))

    def _message(self) -> bytes:
        unsigned = canonical_json(self.model_dump(mode="json", exclude={"signature"}))
        return encode_for_signing(ENTRY_TYPE, unsigned)


def parse_entry(content: bytes, source: str) -> LedgerEntry:
    """Read an entry, strictly.

    Parameters
    ----------
    content
        Its canonical JSON.
    source
        Where it comes from, for messages.

    Raises
    ------
    LedgerError
        Where it is none.
    """
    try:
        if canonical_json(json.loads(content)) != content:
            raise _refused("it is not in canonical JSON", source)
        entry = LedgerEntry.model_validate_json(content, strict=True)
        BODIES[entry.kind].model_validate_json(json.dumps(entry.body), strict=True)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        raise _refused(f"`{place}` is not as it must be: {first['msg']}", source) from error
    except (ValueError, RecursionError) as error:
        raise _refused("it is no JSON", source) from error
    return entry


def checked_body(kind: EntryKind, body: dict[str, Any]) -> dict[str, Any]:
    """Return a body as it is stored, or say what it lacks.

    Raises
    ------
    LedgerUseError
        Where the kind is unknown or the body is not of its form.
    """
    if kind not in BODIES:
        raise LedgerUseError(
            f"there is no kind of entry {kind!r}",
            culprit="ledger",
            fix=f"use one of {', '.join(get_args(EntryKind))}",
        )
    try:
        checked: dict[str, Any] = BODIES[kind].model_validate(body).model_dump(mode="json")
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        raise LedgerUseError(
            f"`{place}` of a {kind} is not as it must be: {first['msg']}",
            culprit="ledger",
            fix=f"give {', '.join(BODIES[kind].model_fields) or 'no body'}",
        ) from error
    return checked


def _refused(what: str, source: str) -> LedgerError:
    return LedgerError(what, culprit=source, fix="restore the ledger from a copy")
