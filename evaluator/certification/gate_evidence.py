"""What gates are judged on: a scorecard, and what the audit declares of its tables."""

from collections.abc import Sequence
from dataclasses import dataclass

from evaluator.findings.scorecard import Scorecard
from evaluator.spec import AuditSpec


@dataclass(frozen=True, kw_only=True)
class GateEvidence:
    """Everything that gates may look at.

    Attributes
    ----------
    scorecard
        What was found.
    confidence
        The nominal coverage of all intervals.
    baseline
        The candidate that the others are compared with, or None.
    fairness_attributes
        The columns whose groups must all be in the scorecard's `fairness`.
    fairness_against_best
        Whether groups were compared with the most favoured one, so that only being worse off
        counts; otherwise being better off counts as well.
    allowed_missing
        How many slices of a candidate may be missing: the audit's error budget.
    """

    scorecard: Scorecard
    confidence: float
    baseline: str | None = None
    fairness_attributes: Sequence[str] = ()
    fairness_against_best: bool = True
    allowed_missing: int = 0


def gate_evidence(spec: AuditSpec, scorecard: Scorecard) -> GateEvidence:
    """Lay a scorecard before the audit's gates, whoever read or computed it."""
    asked = spec.fairness
    return GateEvidence(
        scorecard=scorecard,
        confidence=spec.confidence,
        baseline=spec.baseline,
        fairness_attributes=asked.attributes if asked else (),
        fairness_against_best=asked is None or asked.reference == "best",
        allowed_missing=spec.failed_slices_allowed(),
    )
