"""What each output is made of, as its identity.

The identity of an output is known before it is computed. So a result that exists is not
computed again, and one that rests on something older is seen to be outdated.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from evaluator.evidence import Record, digest_of, identity_of
from evaluator.orchestration.home import Home
from evaluator.spec import Audit, AuditSpec, CandidateSpec

# Raised when the code of an output would give another result for the same inputs.
CODE_VERSIONS = {
    "raw_data": "1",
    "intake": "1",
    "evaluation_set": "1",
    "model": "1",
    "predictions": "1",
    "slice_metrics": "1",
    "scorecard": "1",
    "mlflow_runs": "1",
    "certificate": "1",
    "dashboard": "1",
}


class SliceInputs(NamedTuple):
    """What the predictions for a slice are made of."""

    evaluation_set: str
    """The evaluation set's content version."""
    model: str
    """The artifact's digest."""


def _identity(kind: str, inputs: Mapping[str, Any]) -> str:
    return identity_of(kind, CODE_VERSIONS[kind], inputs)


def spec_digest(spec: AuditSpec) -> str:
    """Digest of everything that the audit's YAML says."""
    return digest_of(spec.model_dump(mode="json"))


def raw_identity(file_name: str, sha256: str) -> str:
    """Identity of a day's file as it came."""
    return _identity("raw_data", {"file": file_name, "sha256": sha256})


def intake_identity(audit: Audit, raw: Record) -> str:
    """Identity of a day's typed rows, quarantined rows and report."""
    # Which days there are does not change what one of them gives.
    data = audit.spec.data.model_dump(mode="json", exclude={"first_day", "last_day"})
    slices = [audit.spec.geography, audit.spec.segment]
    return _identity("intake", {"raw": raw.content_version, "data": data, "slices": slices})


def evaluation_set_identity(spec: AuditSpec, days: Mapping[str, Record]) -> str:
    """Identity of the snapshot made of these accepted days."""
    settings = spec.model_dump(mode="json", include={"label", "geography", "segment"})
    settings["id"] = spec.data.id
    versions = {day: record.content_version for day, record in days.items()}
    values = {name: list(allowed) for name, allowed in spec.slice_values().items()}
    return _identity("evaluation_set", {"days": versions, "values": values, **settings})


def model_identity(sha256: str) -> str:
    """Identity of a candidate's artifact."""
    return _identity("model", {"sha256": sha256})


def predictions_identity(
    spec: AuditSpec, candidate: CandidateSpec, inputs: SliceInputs, slice_key: str
) -> str:
    """Identity of a candidate's predictions for one slice."""
    return _identity(
        "predictions",
        {
            "evaluation_set": inputs.evaluation_set,
            "model": inputs.model,
            "slice": slice_key,
            "candidate": candidate.identity_settings,
            "label": spec.label.model_dump(mode="json") if spec.label else None,
        },
    )


def slice_metrics_identity(spec: AuditSpec, predictions: str) -> str:
    """Identity of a slice's metrics, given that of its predictions."""
    return _identity("slice_metrics", {"predictions": predictions, **_metric_settings(spec)})


def _metric_settings(spec: AuditSpec) -> dict[str, Any]:
    return {"metrics": list(spec.metrics), "confidence": spec.confidence}


def scorecard_identity(spec: AuditSpec, evaluation_set: str, slices: Sequence[Any]) -> str:
    """Identity of the scorecard, given what is known of every slice."""
    return _identity(
        "scorecard",
        {
            "evaluation_set": evaluation_set,
            "slices": list(slices),
            "more_slices": [list(names) for names in spec.more_slices],
            **_metric_settings(spec),
        },
    )


def mlflow_identity(scorecard: Record, home: Home) -> str:
    """Identity of the MLflow runs of a scorecard on one tracking server."""
    # A home that is moved keeps its own runs.
    server = "the platform's own" if home.tracks_itself else home.tracking_uri
    return _identity("mlflow_runs", {"scorecard": scorecard.identity, "tracking": server})


def certificate_identity(spec: AuditSpec, scorecard: Record) -> str:
    """Identity of the certificate of a scorecard."""
    return _identity("certificate", {"scorecard": scorecard.identity, "spec": spec_digest(spec)})


def dashboard_identity(spec: AuditSpec, upstream: Sequence[Record], days: Sequence[Any]) -> str:
    """Identity of the page that shows these outputs."""
    return _identity(
        "dashboard",
        {
            "upstream": [record.identity for record in upstream],
            "days": list(days),
            "spec": spec_digest(spec),
        },
    )
