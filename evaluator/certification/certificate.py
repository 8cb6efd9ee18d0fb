"""The certificate: what was judged, what came out, and the evidence that it rests on."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime
from typing import Any, TypedDict

from evaluator.certification.figures import Figure, read_figures, read_slices
from evaluator.certification.outcomes import Outcome
from evaluator.certification.verdicts import Verdict
from evaluator.findings.scorecard import Scorecard

CERTIFICATE_FORMAT = "evaluator/certificate"
CERTIFICATE_VERSION = 1

UNSIGNED = (
    "This certificate is UNSIGNED. Its digests show which evidence it names, but nothing in it "
    "proves who issued it or that it was not changed since."
)

SIGNED = (
    "Each candidate's certificate, beside this file, is signed with this key. This file is what "
    "they were made of, and carries no signature itself."
)


@dataclass(frozen=True, kw_only=True)
class EvaluationSetSummary:
    """The frozen labelled snapshot that everything was measured on.

    Attributes
    ----------
    digest
        Its content version.
    first_day, last_day
        The audit's window, both ends included.
    days
        How many days of the window are in it.
    rows
        Labelled rows, which are the cases that were measured.
    rows_without_label
        Valid rows that were left out for want of a label.
    """

    digest: str
    first_day: date
    last_day: date
    days: int
    rows: int
    rows_without_label: int


class EvidenceRecord(TypedDict):
    """One stored output that the certificate rests on.

    `asset` is its key, `partition` the day or slice (None where there is none), `identity` what it
    was made from, `content_version` what it holds, and `files` the SHA-256 of each file by its
    path in the evidence store.
    """

    asset: str
    partition: str | None
    identity: str
    content_version: str
    files: Mapping[str, str]


def build_certificate(
    *,
    audit: str,
    spec_digest: str,
    evaluation_set: EvaluationSetSummary,
    artifact_digests: Mapping[str, str | None],
    outcomes: Sequence[Outcome],
    verdicts: Sequence[Verdict],
    scorecard: Scorecard,
    headline_metrics: Sequence[str],
    evidence: Sequence[EvidenceRecord],
    code_version: str,
    packages: Mapping[str, str],
    created_at: datetime,
    run_id: str,
    key_id: str | None,
) -> dict[str, Any]:
    """Build the certificate of one audit.

    Parameters
    ----------
    audit, spec_digest
        The audit's name and the digest of its declaration.
    evaluation_set
        What everything was measured on.
    artifact_digests
        The digest of each candidate's artifact; None where it could not be read.
    outcomes, verdicts
        What `decide_outcomes` and `judge` gave.
    scorecard
        What they were given.
    headline_metrics
        The metrics whose overall figures stand in the certificate.
    evidence
        Every stored output that it rests on.
    code_version, packages
        The code's version and those of the packages that the figures depend on.
    created_at
        When, with its time zone.
    run_id
        The run that made it.
    key_id
        The key that each candidate's certificate is signed with; None where they are unsigned.

    Returns
    -------
    dict[str, Any]
        Plain JSON values, to be written with `evaluator.evidence.canonical.canonical_json`.

    Raises
    ------
    ValueError
        When `created_at` has no time zone.
    """
    if created_at.tzinfo is None:
        msg = "created_at needs a time zone: a certificate's time must mean one moment"
        raise ValueError(msg)
    figures = {
        (figure.candidate, figure.metric): figure
        for figure in read_figures(
            scorecard.measurements, metrics=headline_metrics, levels=["overall"]
        )
    }
    states = read_slices(scorecard.slices)
    return {
        "format": CERTIFICATE_FORMAT,
        "version": CERTIFICATE_VERSION,
        "signature": {
            "signed": key_id is not None,
            "key_id": key_id,
            "statement": UNSIGNED if key_id is None else SIGNED,
        },
        "audit": audit,
        "spec_digest": spec_digest,
        "evaluation_set": {
            **asdict(evaluation_set),
            "first_day": evaluation_set.first_day.isoformat(),
            "last_day": evaluation_set.last_day.isoformat(),
        },
        "candidates": [
            {
                "candidate": outcome.candidate,
                "artifact_digest": artifact_digests.get(outcome.candidate),
                "outcome": outcome.outcome,
                "reason": outcome.reason,
                "after_waivers": outcome.after_waivers,
                "waived": [
                    {
                        "gate": waiver.gate,
                        "waived_by": waiver.waived_by,
                        "reason": waiver.reason,
                        "until": _utc(waiver.until),
                    }
                    for waiver in outcome.waived
                ],
                "headline": [
                    _headline(metric, figures.get((outcome.candidate, metric)))
                    for metric in headline_metrics
                ],
                "slices": {
                    "expected": sum(s.candidate == outcome.candidate for s in states),
                    "not_current": [
                        {
                            "geography": state.geography,
                            "segment": state.segment,
                            "state": state.state,
                            "error": state.error or None,
                        }
                        for state in states
                        if state.candidate == outcome.candidate and not state.is_current
                    ],
                },
            }
            for outcome in outcomes
        ],
        "verdicts": [verdict.as_record() for verdict in verdicts],
        "evidence": [
            {
                "asset": record["asset"],
                "partition": record["partition"],
                "identity": record["identity"],
                "content_version": record["content_version"],
                "files": dict(record["files"]),
            }
            for record in sorted(evidence, key=lambda r: (r["asset"], r["partition"] or ""))
        ],
        "code_version": code_version,
        "packages": dict(packages),
        "created_at": _utc(created_at),
        "run_id": run_id,
    }


def _utc(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _headline(metric: str, figure: Figure | None) -> dict[str, Any]:
    return {
        "metric": metric,
        "value": None if figure is None else figure.value,
        "low": None if figure is None else figure.low,
        "high": None if figure is None else figure.high,
        "n": None if figure is None else figure.n,
        "n_effective": None if figure is None else figure.n_effective,
        "status": "missing" if figure is None else figure.status,
        "reason": "not measured" if figure is None else figure.reason or None,
    }
