"""Keys are made once, read only where nobody else can, and never shown."""

import os
import pickle
import stat
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_public_key,
)

from evaluator.certification import (
    SigningKey,
    create_key,
    load_public_key,
    signing_key_from_environment,
)
from evaluator.certification._signatures import SigningKeyError, load_signing_key, public_key
from evaluator.evidence import digest_of_bytes


def secret_of(path: Path) -> str:
    """The line of a PEM file that is the key."""
    return path.read_text().splitlines()[1]


def test_a_new_private_key_is_for_its_owner_alone(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        files = create_key(tmp_path / "keys", "audit")
    finally:
        os.umask(before)
    assert stat.S_IMODE(files.private.stat().st_mode) == 0o600
    assert stat.S_IMODE(files.private.parent.stat().st_mode) == 0o700
    assert files.private.read_text().startswith("-----BEGIN PRIVATE KEY-----")


def test_what_the_private_key_signs_the_public_key_verifies(tmp_path: Path) -> None:
    files = create_key(tmp_path, "audit")
    key, public = load_signing_key(files.private), load_public_key(files.public)
    signature = key.sign(b"evidence")
    assert public.verifies(signature, b"evidence")
    assert not public.verifies(signature, b"Evidence")
    assert not public.verifies(b"short", b"evidence")
    assert key.public.key_id == public.key_id == files.key_id


def test_signatures_are_those_of_rfc_8032() -> None:
    # Section 7.1, test 3.
    secret = bytes.fromhex("c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7")
    key = SigningKey(Ed25519PrivateKey.from_private_bytes(secret))
    assert key.sign(bytes.fromhex("af82")).hex() == (
        "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac"
        "18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a"
    )


def test_the_key_id_is_the_digest_of_the_public_keys_der(tmp_path: Path) -> None:
    files = create_key(tmp_path, "audit")
    loaded = load_pem_public_key(files.public.read_bytes())
    der = loaded.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    assert files.key_id == digest_of_bytes(der)


def test_a_key_is_never_overwritten(tmp_path: Path) -> None:
    files = create_key(tmp_path, "audit")
    before = files.private.read_bytes(), files.public.read_bytes()
    with pytest.raises(SigningKeyError, match="never overwritten"):
        create_key(tmp_path, "audit")
    files.public.unlink()
    with pytest.raises(SigningKeyError, match="never overwritten"):
        create_key(tmp_path, "audit")
    assert files.private.read_bytes() == before[0]
    assert not files.public.exists()


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o660, 0o644, 0o777])
def test_a_private_key_that_others_can_reach_is_refused(tmp_path: Path, mode: int) -> None:
    files = create_key(tmp_path, "audit")
    files.private.chmod(mode)
    with pytest.raises(SigningKeyError, match="others can reach") as caught:
        load_signing_key(files.private)
    assert "chmod 600" in caught.value.fix
    assert secret_of(files.private) not in str(caught.value)


def test_a_key_shows_nothing_of_itself(tmp_path: Path) -> None:
    files = create_key(tmp_path, "audit")
    key = load_signing_key(files.private)
    for shown in (repr(key), str(key), f"{key}", repr(vars(key))):
        assert secret_of(files.private) not in shown
    assert files.key_id in repr(key)
    with pytest.raises(TypeError):
        pickle.dumps(key)


def test_the_environment_can_hold_the_key_or_name_its_file(tmp_path: Path) -> None:
    files = create_key(tmp_path, "audit")
    pem = {"EVALUATOR_SIGNING_KEY": files.private.read_text()}
    named = {"EVALUATOR_SIGNING_KEY_FILE": str(files.private)}
    for environment in (pem, named):
        key = signing_key_from_environment(environment)
        assert key is not None
        assert key.public.key_id == files.key_id
    assert signing_key_from_environment({}) is None
    with pytest.raises(SigningKeyError, match="both"):
        signing_key_from_environment(pem | named)


def test_a_key_that_cannot_be_used_is_refused_without_being_quoted() -> None:
    locked = Ed25519PrivateKey.generate().private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"word")
    )
    other = generate_private_key(SECP256R1()).private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
    )
    spoilt = b"-----BEGIN PRIVATE KEY-----\nTOPSECRET\n-----END PRIVATE KEY-----\n"
    for pem, what in ((locked, "passphrase"), (other, "no Ed25519"), (spoilt, "no Ed25519")):
        with pytest.raises(SigningKeyError, match=what) as caught:
            signing_key_from_environment({"EVALUATOR_SIGNING_KEY": pem.decode()})
        assert pem.decode().splitlines()[1] not in str(caught.value)
        assert caught.value.__cause__ is None
        assert caught.value.__context__ is None


def test_a_private_key_is_not_taken_for_a_public_one(tmp_path: Path) -> None:
    files = create_key(tmp_path, "audit")
    with pytest.raises(SigningKeyError, match="this is a private key") as caught:
        load_public_key(files.private)
    assert secret_of(files.private) not in str(caught.value)


def test_what_is_no_key_or_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SigningKeyError, match="cannot be read"):
        load_signing_key(tmp_path / "absent.pem")
    with pytest.raises(SigningKeyError, match="cannot be read"):
        load_public_key(tmp_path / "absent.pem")
    with pytest.raises(SigningKeyError, match="no Ed25519 public key"):
        public_key(b"hello", "greeting")
