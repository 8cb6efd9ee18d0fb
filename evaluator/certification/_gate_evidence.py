"""What gates are judged on: a scorecard, and what the audit declares of its tables."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace

from evaluator.errors import EvidenceError
from evaluator.evidence import canonical_json, parse_json
from evaluator.scorecard import DAYS, DayFacts, Scorecard
from evaluator.spec import AuditSpec, date_of


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
    cluster
        By what cases are clustered, or None.
    classes
        The label's classes; none where the task has no several classes.
    """

    scorecard: Scorecard
    confidence: float
    baseline: str | None = None
    fairness_attributes: Sequence[str] = ()
    fairness_against_best: bool = True
    allowed_missing: int = 0
    cluster: str | None = None
    classes: Sequence[str] = ()


def gate_evidence(spec: AuditSpec, scorecard: Scorecard) -> GateEvidence:
    """Lay a scorecard before the audit's gates.

    Parameters
    ----------
    spec
        The audit: its confidence, baseline, fairness and error budget are what gates go by.
    scorecard
        Computed just now, or read from the store.

    Returns
    -------
    GateEvidence
        What `judge` needs.
    """
    fairness = spec.fairness
    return GateEvidence(
        scorecard=scorecard,
        confidence=spec.confidence,
        baseline=spec.baseline,
        fairness_attributes=fairness.attributes if fairness else (),
        fairness_against_best=fairness is None or fairness.reference == "best",
        allowed_missing=spec.failed_slices_allowed(),
        cluster=spec.data.cluster,
        classes=spec.classes,
    )


def with_reference(spec: AuditSpec, days: Sequence[DayFacts]) -> list[DayFacts]:
    """Mark the days that drift is measured from: the first accepted ones.

    Parameters
    ----------
    spec
        The audit; where it names a file as the reference, no day is one.
    days
        All days that arrived, in any order.

    Returns
    -------
    list[DayFacts]
        In the order of the days.
    """
    drift = spec.data.drift
    ordered = sorted(days, key=lambda day: day.day)
    # Of a day that still waits nobody knows how many rows it has.
    accepted = [day.day for day in ordered if day.refused is None and day.rows is not None]
    reference = set() if drift.reference_file else set(accepted[: drift.reference_days])
    return [replace(day, is_reference=day.day in reference) for day in ordered]


def days_document(days: Sequence[DayFacts]) -> bytes:
    """Spell facts about days as canonical JSON, in their order; `read_days` reads it again.

    Raises
    ------
    ValueError
        Where a number is not finite.
    """
    return canonical_json([asdict(day) for day in days])


def read_days(content: bytes) -> list[DayFacts]:
    """Read what `days_document` wrote.

    Raises
    ------
    EvidenceError
        Where it is something else.
    """
    try:
        raw = parse_json(content)
        days = [DayFacts(**day) for day in raw]
        for day in days:
            # What is no partition's key raises.
            date_of(day.day)
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise EvidenceError(
            "it holds no facts about days", culprit=DAYS, fix="make the scorecard again"
        ) from error
    return days
