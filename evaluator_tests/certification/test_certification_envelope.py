"""Envelopes are those of DSSE: the published example, and what may not be read as one."""

import base64
import json

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import (
    ECDSA,
    SECP256R1,
    EllipticCurvePublicNumbers,
)
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from hypothesis import given, settings, strategies as st

from evaluator.certification import SigningKey, parse_envelope
from evaluator.certification._signatures import IN_TOTO, EnvelopeError, encode_for_signing, seal

KEY = SigningKey(Ed25519PrivateKey.from_private_bytes(bytes(32)))
OTHER = SigningKey(Ed25519PrivateKey.from_private_bytes(bytes([1]) * 32))

# From "Test Vectors" in DSSE's protocol.md.
PUBLISHED = (
    '{"payload": "aGVsbG8gd29ybGQ=",\n "payloadType": "http://example.com/HelloWorld",\n'
    ' "signatures": [{"sig": "A3JqsQGtVsJ2O2xqrI5IcnXip5GToJ3F+FnZ+O88SjtR6rDAajabZKciJTfUiHqJ'
    'PcIAriEGAHTVeCUjW2JIZA=="}]}'
)
X = 46950820868899156662930047687818585632848591499744589407958293238635476079160
Y = 5640078356564379163099075877009565129882514886557779369047442380624545832820


def test_the_published_example_is_read_and_its_signature_is_over_our_encoding() -> None:
    envelope = parse_envelope(PUBLISHED.encode(), "example")
    assert envelope.payload == b"hello world"
    assert envelope.payload_type == "http://example.com/HelloWorld"
    message = encode_for_signing(envelope.payload_type, envelope.payload)
    assert message == b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
    raw = envelope.signatures[0].signature
    signature = encode_dss_signature(int.from_bytes(raw[:32]), int.from_bytes(raw[32:]))
    public = EllipticCurvePublicNumbers(X, Y, SECP256R1()).public_key()
    public.verify(signature, message, ECDSA(SHA256()))  # raises where it does not fit


def test_the_published_example_is_not_signed_by_another_key() -> None:
    assert not parse_envelope(PUBLISHED.encode(), "example").is_signed_by(KEY.public)


def test_lengths_are_counted_in_bytes() -> None:
    assert encode_for_signing("é", "ü€".encode()) == "DSSEv1 2 é 5 ü€".encode()
    assert encode_for_signing("", b"") == b"DSSEv1 0  0 "


@settings(max_examples=60)
@given(payload=st.binary(max_size=200), kind=st.text(max_size=20))
def test_what_is_sealed_is_read_back_and_verified(payload: bytes, kind: str) -> None:
    content = seal(payload, kind, KEY).to_bytes()
    envelope = parse_envelope(content, "sealed")
    assert (envelope.payload, envelope.payload_type) == (payload, kind)
    assert envelope.is_signed_by(KEY.public)
    assert not envelope.is_signed_by(OTHER.public)
    assert envelope.to_bytes() == content


@settings(max_examples=60)
@given(payload=st.binary(min_size=1, max_size=80), data=st.data())
def test_another_payload_or_type_does_not_carry_the_signature(
    payload: bytes, data: st.DataObject
) -> None:
    envelope = seal(payload, IN_TOTO, KEY)
    position = data.draw(st.integers(0, len(payload) - 1))
    bit = data.draw(st.integers(0, 7))
    spoilt = bytearray(payload)
    spoilt[position] ^= 1 << bit
    document = json.loads(envelope.to_bytes())
    changed = document | {"payload": base64.b64encode(spoilt).decode()}
    retyped = document | {"payloadType": "application/json"}
    for bent in (changed, retyped):
        assert not parse_envelope(json.dumps(bent).encode(), "bent").is_signed_by(KEY.public)


def test_one_good_signature_among_others_is_enough() -> None:
    ours, theirs = (json.loads(seal(b"x", IN_TOTO, key).to_bytes()) for key in (KEY, OTHER))
    both = ours | {"signatures": theirs["signatures"] + ours["signatures"]}
    envelope = parse_envelope(json.dumps(both).encode(), "both")
    assert envelope.is_signed_by(KEY.public)
    assert envelope.is_signed_by(OTHER.public)


def test_the_key_id_is_a_hint_that_decides_nothing() -> None:
    document = json.loads(seal(b"x", IN_TOTO, KEY).to_bytes())
    document["signatures"][0]["keyid"] = OTHER.public.key_id
    envelope = parse_envelope(json.dumps(document).encode(), "hinted")
    assert envelope.is_signed_by(KEY.public)
    assert not envelope.is_signed_by(OTHER.public)


def test_an_envelope_without_a_key_is_unsigned() -> None:
    envelope = parse_envelope(seal(b"x", IN_TOTO, None).to_bytes(), "unsigned")
    assert not envelope.is_signed
    assert not envelope.is_signed_by(KEY.public)


def test_url_safe_base64_and_unknown_fields_are_read_as_dsse_demands() -> None:
    payload = bytes(range(248, 256)) * 3
    document = json.loads(seal(payload, IN_TOTO, KEY).to_bytes()) | {"extra": 1}
    document["payload"] = base64.urlsafe_b64encode(payload).decode()
    assert parse_envelope(json.dumps(document).encode(), "url-safe").is_signed_by(KEY.public)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"null",
        b"[]",
        b"{}",
        b"\xff\xfe",
        b'{"payload":"!!","payloadType":"t","signatures":[]}',
        b'{"payload":"eA==","payloadType":1,"signatures":[]}',
        b'{"payload":"eA==","payloadType":"t","signatures":[{}]}',
        b'{"payload":"eA==","payloadType":"t","signatures":["x"]}',
        b'{"payload":"eA==","payloadType":"t","signatures":[{"sig":3}]}',
        b'{"payload":"eA==","payloadType":"t","signatures":7}',
    ],
)
def test_what_is_no_envelope_is_refused(content: bytes) -> None:
    with pytest.raises(EnvelopeError, match="no DSSE envelope"):
        parse_envelope(content, "broken")
