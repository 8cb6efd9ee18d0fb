"""Gates to verdicts, verdicts to outcomes, and the certificate that holds them."""

from evaluator.certification.certificate import (
    EvaluationSetSummary,
    EvidenceRecord,
    build_certificate,
)
from evaluator.certification.gate_evidence import GateEvidence
from evaluator.certification.outcomes import Outcome, Waiver, decide_outcomes
from evaluator.certification.verdicts import Verdict, judge

__all__ = [
    "EvaluationSetSummary",
    "EvidenceRecord",
    "GateEvidence",
    "Outcome",
    "Verdict",
    "Waiver",
    "build_certificate",
    "decide_outcomes",
    "judge",
]
