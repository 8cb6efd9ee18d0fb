"""The facts about days that gates were judged on, held against the days' own reports."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from evaluator.certification.day_facts import (
    asks_about_days,
    asks_about_drift,
    drift_of,
    read_days,
    with_reference,
)
from evaluator.certification.findings import Problem
from evaluator.certification.recomputed_values import is_same
from evaluator.certification.statement import EvidenceItem
from evaluator.certification.stored_evidence import StoredEvidence
from evaluator.findings.names import DAYS, PROFILE
from evaluator.findings.scorecard import DayFacts
from evaluator.spec import AuditSpec

REPORT = "data_quality_report"
TYPED = "validated_data"


class CheckedDays(NamedTuple):
    """The days as they are stored, and what is wrong with them."""

    days: Sequence[DayFacts]
    problems: Sequence[Problem]


def check_days(
    evidence: StoredEvidence, scorecard: EvidenceItem, evaluation_set: EvidenceItem, spec: AuditSpec
) -> CheckedDays:
    """Read the facts about days, and hold them against the reports that they come from.

    Parameters
    ----------
    evidence
        Where they are stored.
    scorecard, evaluation_set
        What lists the reports, and the days that were evaluated.
    spec
        The audit; where none of its gates looks at days, there are none.
    """
    if not asks_about_days(spec):
        return CheckedDays((), ())
    path = f"{scorecard.folder}/{DAYS}"
    days = read_days(evidence.read(scorecard, DAYS))
    reports = {str(item.partition): item for item in evidence.upstream_of(scorecard, REPORT)}
    listed = {day.day.isoformat() for day in days}
    evaluated = {str(item.partition) for item in evidence.upstream_of(evaluation_set, TYPED)}
    told = [
        f"{day} is missing from it, and is evaluated or has a report"
        for day in sorted((evaluated | reports.keys()) - listed)
    ]
    if with_reference(spec, days) != days:
        told.append("its days are not in order, or others are the reference")
    for day in days:
        report = reports.get(day.day.isoformat())
        if report is None:
            # Of a day that waits, or was refused before there was a report, nothing is counted.
            claims = day.rows is not None or day.quarantined is not None or day.drift is not None
            found = ["nothing counts its rows"] if claims else []
        else:
            profile = json.loads(evidence.read(report, PROFILE))
            found = list(_misfits(day, profile, with_drift=asks_about_drift(spec)))
        told += [f"{day.day.isoformat()}: {what}" for what in found]
    return CheckedDays(days, [Problem("figures", path, what) for what in told])


def _misfits(day: DayFacts, profile: Mapping[str, Any], *, with_drift: bool) -> Iterator[str]:
    """Say what of a day's facts its profile does not say."""
    counts = profile["rows"]
    known = day.rows is not None
    for name, stated, counted in (
        ("rows", day.rows, counts["read"]),
        ("quarantined", day.quarantined, counts["quarantined"]),
    ):
        if known and stated != counted:
            yield f"{name} is {stated}, and its profile says {counted}"
    if profile["broken"] and day.refused is None:
        yield "it is not called refused, and its profile refuses it"
    drift = drift_of(profile) if with_drift else None
    stated_drift = None if day.drift is None else dict(day.drift)
    if not is_same(stated_drift, drift):
        yield "its drift is not what its profile says"
