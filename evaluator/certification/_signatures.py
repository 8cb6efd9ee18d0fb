"""Ed25519 keys (RFC 8032), and the envelopes that they sign: DSSE, as in-toto uses it.

A private key stands in a file that only its owner can read, or in an environment variable. It is
never written anywhere else: not into evidence, not into a message, not into a representation.

Source of the envelope: github.com/secure-systems-lab/dsse, protocol.md and envelope.md.
"""

import base64
import binascii
import contextlib
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from evaluator.errors import EvidenceError, UsageError
from evaluator.evidence import canonical_json, digest_of_bytes, parse_json

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import (
        Ed25519PrivateKey,
        Ed25519PublicKey,
    )

KEY_VARIABLE = "EVALUATOR_SIGNING_KEY"
"""The environment variable that may hold a private key's PEM text."""

KEY_FILE_VARIABLE = "EVALUATOR_SIGNING_KEY_FILE"
"""The environment variable that may name a private key's file."""

IN_TOTO = "application/vnd.in-toto+json"
"""The payload type of in-toto statements."""

_MAX_BYTES = 64 * 1024


class SigningKeyError(UsageError):
    """A key that is not there, lies open, or is no Ed25519 key."""


class PublicKey:
    """The key that anybody may have, to check signatures with.

    Parameters
    ----------
    key
        The key as `cryptography` has it.
    """

    def __init__(self, key: "Ed25519PublicKey") -> None:
        from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

        self._key = key
        spki = PublicFormat.SubjectPublicKeyInfo
        self.pem: bytes = key.public_bytes(Encoding.PEM, spki)
        self.key_id: str = digest_of_bytes(key.public_bytes(Encoding.DER, spki))
        """SHA-256 of the key's DER (SubjectPublicKeyInfo), as 64 hexadecimal digits."""

    def __repr__(self) -> str:
        return f"PublicKey({self.key_id})"

    def verifies(self, signature: bytes, message: bytes) -> bool:
        """Tell whether this key's owner signed exactly this message (RFC 8032).

        Parameters
        ----------
        signature
            64 bytes; of any other length it is no signature.
        message
            The bytes that are said to be signed.
        """
        from cryptography.exceptions import InvalidSignature

        try:
            self._key.verify(signature, message)
        except InvalidSignature:
            return False
        return True


class SigningKey:
    """A private key that can sign, and shows nothing of itself but its key id.

    Parameters
    ----------
    key
        The key as `cryptography` has it.
    """

    def __init__(self, key: "Ed25519PrivateKey") -> None:
        self._key = key
        self.public = PublicKey(key.public_key())

    def __repr__(self) -> str:
        return f"SigningKey({self.public.key_id})"

    def sign(self, message: bytes) -> bytes:
        """Sign a message: 64 bytes, always the same for the same message (RFC 8032)."""
        return self._key.sign(message)


class KeyFiles(NamedTuple):
    """Where a new pair of keys lies."""

    private: Path
    public: Path
    key_id: str


def create_key(folder: Path, name: str) -> KeyFiles:
    """Make a pair of keys: `<name>.private.pem`, for its owner alone, and `<name>.public.pem`.

    Parameters
    ----------
    folder
        Where they shall lie; it is made where it is not there.
    name
        What the files are called.

    Returns
    -------
    KeyFiles
        The two files, and the key's id.

    Raises
    ------
    SigningKeyError
        Where one of the two files is there already: a key is never overwritten. Where the name is
        none of a file, or nothing can be written there.
    """
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import (
        Encoding,
        NoEncryption,
        PrivateFormat,
    )

    if name in {"", ".", ".."} or "/" in name or not name.isprintable():
        raise SigningKeyError(
            f"{name!r} cannot be the name of a file",
            culprit="the key's name",
            fix="give a plain name, such as audit, and the folder with --folder",
        )
    key = Ed25519PrivateKey.generate()
    public = PublicKey(key.public_key())
    files = KeyFiles(folder / f"{name}.private.pem", folder / f"{name}.public.pem", public.key_id)
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise _no_place(folder, error) from error
    # The public file comes first: where it is there already, no private key is made.
    _write_new(files.public, public.pem, 0o644)
    try:
        pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        _write_new(files.private, pem, 0o600)
    except BaseException:
        files.public.unlink()
        raise
    return files


def load_signing_key(path: Path) -> SigningKey:
    """Read a private key from a file that only its owner can read."""
    try:
        with path.open("rb") as file:
            # The opened file is asked, so that nobody can exchange it in between.
            described = os.fstat(file.fileno())
            _refuse_open_file(path, described)
            pem = file.read(_MAX_BYTES)
    except OSError as error:
        raise SigningKeyError(
            f"the private key cannot be read ({error.strerror})",
            culprit=str(path),
            fix="check the path, or make a key with `evaluator keys create`",
        ) from error
    return _private(pem, str(path))


def signing_key_from_environment(environment: Mapping[str, str]) -> SigningKey | None:
    """Read the private key that the environment gives, if it gives one.

    Parameters
    ----------
    environment
        Usually `os.environ`: `EVALUATOR_SIGNING_KEY` holds a PEM text, or
        `EVALUATOR_SIGNING_KEY_FILE` names a file.

    Returns
    -------
    SigningKey or None
        None where neither is set, or both are empty.

    Raises
    ------
    SigningKeyError
        Where both are set, or what they give is no usable key.
    """
    pem, path = environment.get(KEY_VARIABLE), environment.get(KEY_FILE_VARIABLE)
    if pem and path:
        raise SigningKeyError(
            f"both {KEY_VARIABLE} and {KEY_FILE_VARIABLE} are set, and only one key can sign",
            culprit="environment",
            fix="unset one of the two",
        )
    if pem:
        return _private(pem.encode(), KEY_VARIABLE)
    return load_signing_key(Path(path)) if path else None


def load_public_key(path: Path) -> PublicKey:
    """Read a public key from a PEM file.

    Raises
    ------
    SigningKeyError
        Where the file is not there, or holds no Ed25519 public key.
    """
    return public_key(read_key_file(path, "the public key"), str(path))


def read_key_file(path: Path, what: str) -> bytes:
    """Read a file of public keys, which is called so, or say why not."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise SigningKeyError(
            f"{what} cannot be read ({error.strerror})", culprit=str(path), fix="check the path"
        ) from error


def public_key(pem: bytes, source: str) -> PublicKey:
    """Read a public key from its PEM text; see `load_public_key`."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    if b"PRIVATE KEY" in pem:
        raise SigningKeyError(
            "this is a private key, and a signature is checked with the public one",
            culprit=source,
            fix="give the file that ends in .public.pem, and hand the private one to nobody",
        )
    key = None
    with contextlib.suppress(ValueError, UnsupportedAlgorithm):
        key = load_pem_public_key(pem)
    if not isinstance(key, Ed25519PublicKey):
        raise SigningKeyError(
            "it holds no Ed25519 public key in PEM",
            culprit=source,
            fix="give the file that ends in .public.pem",
        )
    return PublicKey(key)


def _private(pem: bytes, source: str) -> SigningKey:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    key = None
    # What the parser says may quote the key, so nothing of it goes on: neither text nor cause.
    with contextlib.suppress(ValueError, TypeError, UnsupportedAlgorithm):
        key = load_pem_private_key(pem, password=None)
    if not isinstance(key, Ed25519PrivateKey):
        locked = b"ENCRYPTED" in pem
        raise SigningKeyError(
            "the private key is locked with a passphrase"
            if locked
            else "it holds no Ed25519 private key in PEM (PKCS8)",
            culprit=source,
            fix="unlock it, and keep the file for its owner alone"
            if locked
            else "it begins with -----BEGIN PRIVATE KEY-----; make one with"
            " `evaluator keys create`",
        )
    return SigningKey(key)


def _refuse_open_file(path: Path, described: os.stat_result) -> None:
    if not stat.S_ISREG(described.st_mode):
        raise SigningKeyError(
            "it is no ordinary file", culprit=str(path), fix="give the private key's file"
        )
    if described.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise SigningKeyError(
            f"others can reach the private key (mode {stat.S_IMODE(described.st_mode):04o})",
            culprit=str(path),
            fix=f"run `chmod 600 {path}`; if others may have read it, make a new key",
        )


def _write_new(path: Path, content: bytes, mode: int) -> None:
    try:
        opened = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    except FileExistsError as error:
        raise SigningKeyError(
            "the file is there already, and a key is never overwritten",
            culprit=str(path),
            fix="choose another name, or move the file away",
        ) from error
    except OSError as error:
        raise _no_place(path, error) from error
    try:
        with os.fdopen(opened, "wb") as file:
            # The process's mask may have taken rights away from the owner, never given others any.
            os.fchmod(opened, mode)
            file.write(content)
            file.flush()
            os.fsync(opened)
    except BaseException:
        # What is half a key would never be overwritten.
        path.unlink()
        raise


def _no_place(path: Path, error: OSError) -> SigningKeyError:
    return SigningKeyError(
        f"nothing can be written there ({error.strerror})",
        culprit=str(path),
        fix="name another folder with --folder, or a shorter name",
    )


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

    Returns
    -------
    Envelope
        Its payload as bytes. No signature has been checked: `Envelope.is_signed_by` does that.

    Raises
    ------
    EnvelopeError
        Where it is none.
    """
    try:
        document = parse_json(content)
    except ValueError as error:
        raise _no_envelope(str(error), source) from error
    try:
        return Envelope(
            payload=_from_base64(document["payload"]),
            payload_type=_text(document["payloadType"]),
            signatures=tuple(_signature(found) for found in document.get("signatures") or ()),
        )
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        what = "`payload`, `payloadType` or `signatures` is not as it must be"
        raise _no_envelope(what, source) from error


def _no_envelope(what: str, source: str) -> EnvelopeError:
    fix = "get the certificate again from whoever issued it"
    return EnvelopeError(f"it is no DSSE envelope: {what}", culprit=source, fix=fix)


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
