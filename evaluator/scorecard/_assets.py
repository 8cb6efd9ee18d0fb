"""The names of an audit's assets, as evidence, certificates and Dagster have them."""

from typing import Final


class Asset:
    """The assets that an audit has one of each; see `model_of` and the others for the rest."""

    RAW_DATA: Final = "raw_data"
    VALIDATED_DATA: Final = "validated_data"
    QUARANTINED_ROWS: Final = "quarantined_rows"
    DATA_QUALITY_REPORT: Final = "data_quality_report"
    AUDIT_SPEC: Final = "audit_spec"
    SHARED_EVIDENCE: Final = "shared_evidence"
    EVALUATION_SET: Final = "evaluation_set"
    SCORECARD: Final = "scorecard"
    MLFLOW_RUNS: Final = "mlflow_runs"
    CERTIFICATE: Final = "certificate"
    DASHBOARD: Final = "dashboard"
    DOCUMENTS: Final = "documents"
    PROMOTED_MODELS: Final = "promoted_models"


def model_of(candidate: str) -> str:
    """Name the asset that is a candidate's artifact."""
    return f"{candidate}_model"


def predictions_of(candidate: str) -> str:
    """Name the asset that has a candidate's predictions, a slice a partition."""
    return f"{candidate}_predictions"


def metrics_of(candidate: str) -> str:
    """Name the asset that has a candidate's metrics, a slice a partition."""
    return f"{candidate}_slice_metrics"
