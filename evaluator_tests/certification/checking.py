"""Certificates of a small evidence folder, checked as a stranger does."""

import copy
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from evaluator.certification import (
    SigningKey,
    TrustedKeys,
    parse_envelope,
    verify,
    verify_all,
)
from evaluator.certification._bundle import MANIFEST, MANIFEST_TYPE, Manifest
from evaluator.certification._signatures import seal
from evaluator.certification._verification import VerificationReport
from evaluator.evidence import StoredFile, digest_of_bytes
from evaluator_tests.certification.evidence_folder import LATER, Issued


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
    for key in ("waivers", "shared", "commitment"):
        del old["predicate"][key]
    for key in ("rows_of_weight_zero", "cluster", "weight"):
        del old["predicate"]["evaluation_set"][key]
    for headline in old["predicate"]["headline"]:
        del headline["clusters"], headline["design_effect"]
    return old
