"""Certificates of a small evidence folder, checked as a stranger does."""

import copy
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import HealthCheck, settings, strategies as st

from evaluator.certification import (
    SigningKey,
    TrustedKeys,
    parse_envelope,
    verify,
    verify_all,
)
from evaluator.certification._bundle import MANIFEST, MANIFEST_TYPE, Manifest
from evaluator.certification._signatures import seal
from evaluator.certification._verification_report import VerificationReport
from evaluator.errors import EvaluatorError
from evaluator.evidence import StoredFile, canonical_json, digest_of_bytes
from evaluator_tests.certification.evidence_folder import LATER, Issued

many = settings(
    max_examples=2000,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
"""For what reads foreign bytes."""

ODD = st.sampled_from(
    [b"NaN", b"-Infinity", b"1e999", b"-0", b"0.10", b"9" * 5000, b'"\\ud800"', b'"\xed\xa0\x80"',
     b'"\xff"', b"[" * 2000, b"[" * 300 + b"]" * 300, b'{"a":1,"a":1}', b'{"format":1}', b"null",
     b"[]", b"{}", b'""', b"0", b"true", b'"0001-01-01T00:00:00+23:59"', b'"9999-12-31T23:59:59Z"',
     b'"\\u001b[31m"', b'"' + b"x" * 9000 + b'"', b"\xef\xbb\xbf{}", b"{\x00", b"", b" ", b"\n"]
)  # fmt: skip
"""What may stand where JSON has a value, and trips readers."""


@st.composite
def bent(draw: st.DrawFn, content: bytes) -> bytes:
    """Bend JSON: an odd value in a value's place, a part that is gone or there twice, any bytes."""
    values = [m.span() for m in re.finditer(rb'"[^"]*"|-?\d[\d.e+-]*|null|true|false', content)]
    start, end = draw(st.sampled_from(values))
    at = draw(st.integers(0, len(content)))
    return draw(
        st.one_of(
            ODD.map(lambda odd: content[:start] + odd + content[end:]),
            ODD.map(lambda odd: content[:at] + odd + content[at:]),
            ODD,
            st.binary(max_size=40).map(lambda some: content[:at] + some + content[at:]),
            st.integers(0, 300).map(lambda count: content[:at] + content[at + count :]),
            st.integers(0, 300).map(lambda count: content[: at + count] + content[at:]),
            st.binary(max_size=60),
        )
    )


ODD_VALUES = st.sampled_from(
    [
        None,
        True,
        0,
        -1,
        2**63,
        10**40,
        0.5,
        1e300,
        "",
        "0" * 64,
        "\x1b[31m",
        "x" * 9000,
        [],
        {},
        [[]],
    ]
)
ODD_KEYS = st.sampled_from(["", "..", "/", "../../x", "a\x00b", "\x1b[31m", "x" * 9000])


@st.composite
def altered(draw: st.DrawFn, content: bytes) -> bytes:
    """Put an odd value or key into JSON, or take one out; it is spelled canonically."""
    document = json.loads(content)
    places: list[tuple[Any, Any]] = []
    waiting = [document]
    while waiting:
        inner = waiting.pop()
        found = list(inner.items() if isinstance(inner, dict) else enumerate(inner))
        places += [(inner, key) for key, _ in found]
        waiting += [value for _, value in found if isinstance(value, dict | list)]
    inner, key = draw(st.sampled_from(places))
    change = draw(st.sampled_from(["replace", "remove", "add"]))
    if change == "remove":
        del inner[key]
    elif change == "add" and isinstance(inner, dict):
        inner[draw(ODD_KEYS)] = inner[key]
    else:
        inner[key] = draw(ODD_VALUES)
    return canonical_json(document)


@contextmanager
def one_sentence_at_most() -> Iterator[None]:
    """Let through what is well, and an error that says what, whose it is and how to mend it."""
    caught = None
    try:
        yield
    except EvaluatorError as error:
        caught = error
    assert caught is None or (caught.culprit and caught.fix)
    is_sentence(str(caught))


def is_sentence(text: str) -> None:
    """Hold what is said of foreign bytes to be short, on one line, and possible to store."""
    assert len(text) < 500
    assert text.isprintable()
    assert text.encode()


def key_of(seed: int = 1) -> SigningKey:
    return SigningKey(Ed25519PrivateKey.from_private_bytes(bytes([seed]) * 32))


def check(issued: Issued, name: str = "one", **changes: Any) -> VerificationReport:
    arguments: dict[str, Any] = {
        "trusted": TrustedKeys.of(issued.key.public),
        "now": LATER,
    } | changes
    return verify(issued.certificates[name], issued.url, **arguments)


def check_all(issued: Issued, name: str = "one") -> list[VerificationReport]:
    trusted = TrustedKeys.of(issued.key.public)
    return verify_all(issued.certificates[name], issued.url, trusted=trusted, now=LATER)


def problems(report: VerificationReport) -> str:
    return "\n".join(map(str, report.problems))


def listed_again(bundle: Path, key: SigningKey | None) -> None:
    """List what a bundle holds now, as whoever changed it would."""
    envelope = parse_envelope((bundle / MANIFEST).read_bytes(), MANIFEST)
    files = {
        path.relative_to(bundle).as_posix(): StoredFile(
            sha256=digest_of_bytes(path.read_bytes()), size=path.stat().st_size
        )
        for path in sorted(bundle.rglob("*"))
        if path.is_file() and path.name != MANIFEST
    }
    manifest = Manifest.parse(envelope.payload).model_copy(update={"files": files})
    sealed = seal(manifest.to_bytes(), MANIFEST_TYPE, key)
    (bundle / MANIFEST).write_bytes(sealed.to_bytes())


def of_format_1(document: dict[str, Any]) -> dict[str, Any]:
    """Leave out of a statement what format 1 did not say."""
    old = copy.deepcopy(document) | {"predicateType": "urn:evaluator:certificate:v1"}
    del old["predicate"]["assumptions"], old["predicate"]["candidate"]["qualified_by"]
    for key in ("waivers", "shared", "training", "commitment"):
        del old["predicate"][key]
    for key in ("rows_of_weight_zero", "rows_seen_in_training", "cluster", "weight"):
        del old["predicate"]["evaluation_set"][key]
    for headline in old["predicate"]["headline"]:
        del headline["clusters"], headline["design_effect"]
    return old
