"""What a candidate is: the artifact, recording or endpoint that is judged."""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Discriminator, GetJsonSchemaHandler, Tag
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from evaluator.spec.candidate_base import CandidateBase, FeatureCandidate
from evaluator.spec.candidate_kinds import (
    HttpCandidate,
    MlflowCandidate,
    OnnxCandidate,
    PickleCandidate,
    RecordedCandidate,
    SkopsCandidate,
)

DEFAULT_KIND = "skops"


def _kind_of(told: Any) -> str | None:
    """Tell a candidate's kind; None where it is no text, so that no kind is found."""
    if isinstance(told, CandidateBase):
        kind: Any = getattr(told, "kind", None)
    else:
        # What is no mapping is told so by the default kind's model.
        kind = told.get("kind", DEFAULT_KIND) if isinstance(told, Mapping) else DEFAULT_KIND
    return kind if isinstance(kind, str) else None


class _SchemaByKind:
    """Writes the union's JSON schema with if and then.

    Of alternatives `dg check yaml` can tell only that none fits; of this it tells which key is
    wrong.
    """

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """Turn `oneOf` into one condition for each kind."""
        models = handler(schema)["oneOf"]
        kinds = {handler.resolve_ref_schema(m)["properties"]["kind"]["const"]: m for m in models}
        conditions = []
        for kind, model in kinds.items():
            says: JsonSchemaValue = {"properties": {"kind": {"const": kind}}}
            if kind != DEFAULT_KIND:
                says["required"] = ["kind"]
            conditions.append({"if": says, "then": model})
        return {"properties": {"kind": {"enum": list(kinds)}}, "allOf": conditions}


CandidateSpec = Annotated[
    Annotated[SkopsCandidate, Tag("skops")]
    | Annotated[MlflowCandidate, Tag("mlflow")]
    | Annotated[OnnxCandidate, Tag("onnx")]
    | Annotated[PickleCandidate, Tag("pickle")]
    | Annotated[RecordedCandidate, Tag("recorded")]
    | Annotated[HttpCandidate, Tag("http")],
    Discriminator(_kind_of),
    _SchemaByKind(),
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
