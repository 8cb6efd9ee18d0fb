"""What a candidate is: the artifact, recording or endpoint that is judged."""

from typing import Annotated

from pydantic import Discriminator, Tag

from evaluator.spec.candidate_base import CandidateBase, FeatureCandidate
from evaluator.spec.candidate_kinds import (
    HttpCandidate,
    MlflowCandidate,
    OnnxCandidate,
    PickleCandidate,
    RecordedCandidate,
    SkopsCandidate,
)
from evaluator.spec.kinds import SchemaByKind, kind_of

DEFAULT_KIND = "skops"

CandidateSpec = Annotated[
    Annotated[SkopsCandidate, Tag("kind: skops")]
    | Annotated[MlflowCandidate, Tag("kind: mlflow")]
    | Annotated[OnnxCandidate, Tag("kind: onnx")]
    | Annotated[PickleCandidate, Tag("kind: pickle")]
    | Annotated[RecordedCandidate, Tag("kind: recorded")]
    | Annotated[HttpCandidate, Tag("kind: http")],
    Discriminator(kind_of(CandidateBase, DEFAULT_KIND)),
    SchemaByKind(DEFAULT_KIND),
]
"""One candidate of an audit, of any kind."""

FileCandidate = SkopsCandidate | OnnxCandidate | PickleCandidate | RecordedCandidate
"""A candidate whose artifact is one file."""

__all__ = [
    "DEFAULT_KIND",
    "CandidateBase",
    "CandidateSpec",
    "FeatureCandidate",
    "FileCandidate",
    "HttpCandidate",
    "MlflowCandidate",
    "OnnxCandidate",
    "PickleCandidate",
    "RecordedCandidate",
    "SkopsCandidate",
]
