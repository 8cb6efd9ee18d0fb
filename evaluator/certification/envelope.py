"""DSSE envelopes: a payload, what it is, and who signed it.

Source: Dead Simple Signing Envelope 1.0.2, protocol.md and envelope.md
(github.com/secure-systems-lab/dsse).
"""

import base64
import binascii
import json
from dataclasses import dataclass
from typing import Any

from evaluator.certification.keys import PublicKey, SigningKey
from evaluator.errors import EvidenceError
from evaluator.evidence.canonical import canonical_json

IN_TOTO = "application/vnd.in-toto+json"
"""The payload type of in-toto statements."""


class EnvelopeError(EvidenceError):
    """What should be an envelope is none."""


@dataclass(frozen=True, kw_only=True)
class Signature:
    """One signature; the key's id is a hint that nobody signed."""

    key_id: str | None
    signature: bytes


@dataclass(frozen=True, kw_only=True)
class Envelope:
    """A payload with its signatures. Without any it is unsigned, and proves nothing by itself."""

    payload: bytes
    payload_type: str
    signatures: tuple[Signature, ...]

    @property
    def is_signed(self) -> bool:
        """Whether it carries a signature at all; `is_signed_by` says whose."""
        return bool(self.signatures)

    def is_signed_by(self, key: PublicKey) -> bool:
        """Tell whether one of the signatures is this key's, over type and payload."""
        message = encode_for_signing(self.payload_type, self.payload)
        # The hint decides nothing, so every signature is tried.
        return any(key.verifies(signature.signature, message) for signature in self.signatures)

    def to_bytes(self) -> bytes:
        """Spell it as canonical JSON."""
        return canonical_json(
            {
                "payload": base64.b64encode(self.payload).decode(),
                "payloadType": self.payload_type,
                "signatures": [
                    {
                        "sig": base64.b64encode(signature.signature).decode(),
                        **({} if signature.key_id is None else {"keyid": signature.key_id}),
                    }
                    for signature in self.signatures
                ],
            }
        )


def encode_for_signing(payload_type: str, payload: bytes) -> bytes:
    """Spell what is signed: DSSE's pre-authentication encoding, PAE.

    ``"DSSEv1" SP LEN(type) SP type SP LEN(payload) SP payload``, with lengths in bytes as decimal
    numbers.
    """
    kind = payload_type.encode()
    return b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(payload), payload)


def seal(payload: bytes, payload_type: str, key: SigningKey | None) -> Envelope:
    """Put a payload into an envelope, and sign it where there is a key."""
    if key is None:
        return Envelope(payload=payload, payload_type=payload_type, signatures=())
    signature = Signature(
        key_id=key.public.key_id, signature=key.sign(encode_for_signing(payload_type, payload))
    )
    return Envelope(payload=payload, payload_type=payload_type, signatures=(signature,))


def parse_envelope(content: bytes, source: str) -> Envelope:
    """Read an envelope.

    Parameters
    ----------
    content
        Its JSON. Fields that DSSE does not know are ignored, as it demands.
    source
        Where it comes from, for messages.

    Raises
    ------
    EnvelopeError
        Where it is none.
    """
    try:
        document = json.loads(content)
        return Envelope(
            payload=_from_base64(document["payload"]),
            payload_type=_text(document["payloadType"]),
            signatures=tuple(_signature(found) for found in document.get("signatures") or ()),
        )
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise EnvelopeError(
            "it is no DSSE envelope",
            culprit=source,
            fix="get the certificate again from whoever issued it",
        ) from error


def _signature(found: Any) -> Signature:
    key_id = found.get("keyid")
    return Signature(key_id=_text(key_id) if key_id else None, signature=_from_base64(found["sig"]))


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(value)
    return value


def _from_base64(value: Any) -> bytes:
    """Read standard or URL-safe base64; a reader of DSSE has to take both."""
    text = _text(value).replace("-", "+").replace("_", "/")
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise ValueError(str(error)) from error
