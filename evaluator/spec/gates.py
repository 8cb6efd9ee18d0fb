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
    Annotated[MetricGate, Tag("kind: metric")]
    | Annotated[CalibrationGate, Tag("kind: calibration")]
    | Annotated[FairnessGate, Tag("kind: fairness")]
    | Annotated[WeakSlicesGate, Tag("kind: weak_slices")]
    | Annotated[CompleteGate, Tag("kind: complete")]
    | Annotated[DataQualityGate, Tag("kind: data_quality")]
    | Annotated[DriftGate, Tag("kind: drift")],
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
