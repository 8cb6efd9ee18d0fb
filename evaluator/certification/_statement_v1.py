"""The reader of format 1 of a certificate's statement, as evaluator 0.1.0 wrote it.

What format 1 says, format 2 says in the same words, so that an old certificate is checked by what
checks a new one. Its signature is over its own bytes, which nothing here changes.
"""

import json
from typing import Final

from evaluator.evidence import canonical_json

_FORMAT_1: Final = "urn:evaluator:certificate:v1"
_FORMAT_2: Final = "urn:evaluator:certificate:v2"


def as_format_2(content: bytes) -> bytes:
    """Spell a statement of format 1 as one of format 2; give back what is none as it is."""
    if _FORMAT_1.encode() not in content:
        return content
    try:
        document = json.loads(content)
        is_canonical = canonical_json(document) == content
    except (ValueError, RecursionError):
        return content
    if not (is_canonical and isinstance(document, dict)):
        return content
    if document.get("predicateType") != _FORMAT_1:
        return content
    return canonical_json(document | {"predicateType": _FORMAT_2})
