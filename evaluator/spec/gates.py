"""What a certificate needs: the gates of an audit."""

from typing import Annotated

from pydantic import Discriminator, Tag

from evaluator.spec.gate_base import EstimateGate, GateBase, GateLevel, PlacedGate
from evaluator.spec.gate_kinds import (
    CalibrationGate,
    CompleteGate,
    DataQualityGate,
    DriftGate,
    FairnessGate,
    MetricGate,
    WeakSlicesGate,
    check_metric_names,
)
from evaluator.spec.kinds import SchemaByKind, kind_of

DEFAULT_KIND = "metric"

GateSpec = Annotated[
    Annotated[MetricGate, Tag("metric")]
    | Annotated[CalibrationGate, Tag("calibration")]
    | Annotated[FairnessGate, Tag("fairness")]
    | Annotated[WeakSlicesGate, Tag("weak_slices")]
    | Annotated[CompleteGate, Tag("complete")]
    | Annotated[DataQualityGate, Tag("data_quality")]
    | Annotated[DriftGate, Tag("drift")],
    Discriminator(kind_of(GateBase, DEFAULT_KIND)),
    SchemaByKind(DEFAULT_KIND),
]
"""One gate of an audit, of any kind."""

__all__ = [
    "DEFAULT_KIND",
    "CalibrationGate",
    "CompleteGate",
    "DataQualityGate",
    "DriftGate",
    "EstimateGate",
    "FairnessGate",
    "GateBase",
    "GateLevel",
    "GateSpec",
    "MetricGate",
    "PlacedGate",
    "WeakSlicesGate",
    "check_metric_names",
]
