"""The names of an audit's assets, as evidence, certificates and Dagster have them."""

RAW_DATA = "raw_data"
VALIDATED_DATA = "validated_data"
QUARANTINED_ROWS = "quarantined_rows"
DATA_QUALITY_REPORT = "data_quality_report"
EVALUATION_SET = "evaluation_set"
SCORECARD = "scorecard"
MLFLOW_RUNS = "mlflow_runs"
CERTIFICATE = "certificate"
DASHBOARD = "dashboard"
DOCUMENTS = "documents"
PROMOTED_MODELS = "promoted_models"


def model_of(candidate: str) -> str:
    """Name the asset that is a candidate's artifact."""
    return f"{candidate}_model"


def predictions_of(candidate: str) -> str:
    """Name the asset that has a candidate's predictions, a slice a partition."""
    return f"{candidate}_predictions"


def metrics_of(candidate: str) -> str:
    """Name the asset that has a candidate's metrics, a slice a partition."""
    return f"{candidate}_slice_metrics"
