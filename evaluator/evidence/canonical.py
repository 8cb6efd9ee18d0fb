"""One spelling for each value, so that equal values have equal digests."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any


def canonical_json(value: Any) -> bytes:
    """Spell a JSON value in the one way that its digest is taken of.

    Keys are sorted, nothing is escaped that need not be, and a newline ends it.

    Raises
    ------
    ValueError
        Where a number is not finite: JSON has no word for it.
    """
    text = json.dumps(
        value, sort_keys=True, ensure_ascii=False, allow_nan=False, separators=(",", ":")
    )
    return text.encode() + b"\n"


def digest_of_bytes(content: bytes) -> str:
    """SHA-256 of some bytes, as 64 hexadecimal digits."""
    return hashlib.sha256(content).hexdigest()


def digest_of(value: Any) -> str:
    """SHA-256 of a JSON value's canonical spelling, as 64 hexadecimal digits."""
    return digest_of_bytes(canonical_json(value))


def identity_of(kind: str, code_version: str, inputs: Mapping[str, Any]) -> str:
    """Name a result before it is computed: by what it is made of and by which code.

    Parameters
    ----------
    kind
        What the result is, such as `predictions`.
    code_version
        A constant that is raised whenever the code would give another result.
    inputs
        Content versions and settings that the result depends on, as JSON values.

    Returns
    -------
    str
        The first 32 hexadecimal digits of a SHA-256: short enough for a folder's name, and
        at 128 bits beyond any accidental collision.
    """
    return digest_of({"kind": kind, "code_version": code_version, "inputs": dict(inputs)})[:32]
