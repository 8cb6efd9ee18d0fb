"""Certificates of a small evidence folder, checked as a stranger does."""

import copy
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from evaluator.certification import SigningKey, TrustedKeys, verify, verify_all
from evaluator.certification._verification import VerificationReport
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


def of_format_1(document: dict[str, Any]) -> dict[str, Any]:
    """Leave out of a statement what format 1 did not say."""
    old = copy.deepcopy(document) | {"predicateType": "urn:evaluator:certificate:v1"}
    del old["predicate"]["assumptions"], old["predicate"]["candidate"]["qualified_by"]
    del old["predicate"]["waivers"], old["predicate"]["shared"]
    for key in ("rows_of_weight_zero", "cluster", "weight"):
        del old["predicate"]["evaluation_set"][key]
    for headline in old["predicate"]["headline"]:
        del headline["clusters"], headline["design_effect"]
    return old
