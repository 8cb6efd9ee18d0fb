"""What an audit is: the models of its YAML, and how it is read."""

from evaluator.spec.audit import AuditSpec
from evaluator.spec.candidates import CandidateSpec
from evaluator.spec.data import DataSpec
from evaluator.spec.gates import GateSpec
from evaluator.spec.loading import Audit, audit_files, load_audit, named_audit, read_audit

__all__ = [
    "Audit",
    "AuditSpec",
    "CandidateSpec",
    "DataSpec",
    "GateSpec",
    "audit_files",
    "load_audit",
    "named_audit",
    "read_audit",
]
