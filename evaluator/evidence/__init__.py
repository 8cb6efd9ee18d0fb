"""Content versions, the versioned store, and the provenance that lies beside every output."""

from evaluator.evidence.canonical import canonical_json, digest_of, digest_of_bytes, identity_of
from evaluator.evidence.content import content_version
from evaluator.evidence.pruning import PruningPlan, plan_pruning, prune
from evaluator.evidence.record import Address, FailureRecord, FreshStarts, Record, Upstream
from evaluator.evidence.store import EvidenceStore, Moment

__all__ = [
    "Address",
    "EvidenceStore",
    "FailureRecord",
    "FreshStarts",
    "Moment",
    "PruningPlan",
    "Record",
    "Upstream",
    "canonical_json",
    "content_version",
    "digest_of",
    "digest_of_bytes",
    "identity_of",
    "plan_pruning",
    "prune",
]
