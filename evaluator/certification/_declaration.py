"""The audit as it was declared: how a certificate's evidence has it."""

from typing import Final

from evaluator.certification._stored_evidence import StoredEvidence
from evaluator.evidence import canonical_json, parse_canonical_json
from evaluator.scorecard import Asset
from evaluator.spec import EITHER_SPELLING, AuditSpec

SPEC_FILE: Final = "spec.json"


def spec_document(spec: AuditSpec) -> bytes:
    """Spell an audit's declaration so that it can be read again: what was written, no defaults.

    A dump with defaults would name options beside columns that they do not fit, and be refused.

    Returns
    -------
    bytes
        Canonical JSON, for `SPEC_FILE`.
    """
    return canonical_json(spec.model_dump(mode="json", exclude_unset=True))


def read_spec(content: bytes) -> AuditSpec:
    """Read what `spec_document` wrote; a key that stands twice would be read in two ways."""
    parse_canonical_json(content)
    return AuditSpec.model_validate_json(content, context=EITHER_SPELLING)


def read_declared(evidence: StoredEvidence) -> AuditSpec:
    """Read the audit as a certificate says that it was declared."""
    return read_spec(evidence.read(evidence.root(Asset.AUDIT_SPEC), SPEC_FILE))


def narrowed_to(spec: AuditSpec, candidate: str) -> list[str]:
    """Name a candidate and the baseline, in the audit's order."""
    return [c.name for c in spec.candidates if c.name == candidate or c.baseline]
