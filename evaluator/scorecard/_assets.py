"""The names of an audit's assets, as evidence, certificates and Dagster have them."""

import re
import unicodedata
from typing import Final, NamedTuple

NAME_RULE: Final = "at most 100 lower-case letters, digits and _, beginning with a letter"
"""What an audit and a candidate may be called."""

_NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,99}")


class Asset:
    """The assets that an audit has one of each; see `model_of` and the others for the rest."""

    RAW_DATA: Final = "raw_data"
    VALIDATED_DATA: Final = "validated_data"
    QUARANTINED_ROWS: Final = "quarantined_rows"
    DATA_QUALITY_REPORT: Final = "data_quality_report"
    RAW_LABELS: Final = "raw_labels"
    VALIDATED_LABELS: Final = "validated_labels"
    QUARANTINED_LABELS: Final = "quarantined_labels"
    LABELS_QUALITY_REPORT: Final = "labels_quality_report"
    AUDIT_SPEC: Final = "audit_spec"
    SHARED_EVIDENCE: Final = "shared_evidence"
    EVALUATION_SET: Final = "evaluation_set"
    SCORECARD: Final = "scorecard"
    MLFLOW_RUNS: Final = "mlflow_runs"
    CERTIFICATE: Final = "certificate"
    DASHBOARD: Final = "dashboard"
    DOCUMENTS: Final = "documents"
    PROMOTED_MODELS: Final = "promoted_models"


class IntakeAssets(NamedTuple):
    """The assets that files of one kind become, each with a partition a day."""

    raw: str
    """The bytes as they came."""
    typed: str
    """The accepted rows; the others but `raw` are made beside them, under one identity."""
    quarantined: str
    report: str

    @property
    def beside(self) -> tuple[str, str]:
        """What nothing rests on, and an auditor shows."""
        return self.quarantined, self.report


DATA_INTAKE: Final = IntakeAssets(
    Asset.RAW_DATA, Asset.VALIDATED_DATA, Asset.QUARANTINED_ROWS, Asset.DATA_QUALITY_REPORT
)
LABELS_INTAKE: Final = IntakeAssets(
    Asset.RAW_LABELS,
    Asset.VALIDATED_LABELS,
    Asset.QUARANTINED_LABELS,
    Asset.LABELS_QUALITY_REPORT,
)
INTAKES: Final = (DATA_INTAKE, LABELS_INTAKE)
"""Of all kinds of files that an audit may have."""


def plain_name(text: str) -> str:
    """Write a text in what names of assets are made of: `Größe (cm)` becomes `groe_cm`.

    Parameters
    ----------
    text
        A column's or a file's name, or any other.

    Returns
    -------
    str
        Lower-case letters, digits and single `_`; empty where nothing is left. It may begin with a
        digit, and be too long.
    """
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "_", plain).strip("_")


def can_name_assets(name: str) -> bool:
    """Tell whether an audit or a candidate may be called so: assets and folders are named by it."""
    return _NAME.fullmatch(name) is not None


def name_in_dagster(name: str) -> str:
    """Spell any name so that Dagster takes it: those that can name assets stay what they are."""
    return re.sub(r"[^A-Za-z0-9_]", "_", name) or "_"


def step_of(audit: str, asset: str) -> str:
    """Name the step that makes an asset first of all.

    Names of two audits never become one: two underscores are spelled otherwise inside of a name.
    """
    return "__".join(name.replace("__", "_X") for name in (audit, asset))


def model_of(candidate: str) -> str:
    """Name the asset that is a candidate's artifact."""
    return f"{candidate}_model"


def predictions_of(candidate: str) -> str:
    """Name the asset that has a candidate's predictions, a slice a partition."""
    return f"{candidate}_predictions"


def metrics_of(candidate: str) -> str:
    """Name the asset that has a candidate's metrics, a slice a partition."""
    return f"{candidate}_slice_metrics"
