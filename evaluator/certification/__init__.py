"""Gates to verdicts, verdicts to outcomes, and the certificate that holds them."""

from evaluator.certification.certificate import (
    EvaluationSetSummary,
    EvidenceRecord,
    build_certificate,
)
from evaluator.certification.outcomes import Outcome, decide_outcomes
from evaluator.certification.verdicts import Verdict, judge

__all__ = [
    "EvaluationSetSummary",
    "EvidenceRecord",
    "Outcome",
    "Verdict",
    "build_certificate",
    "decide_outcomes",
    "judge",
]
