"""What a candidate is: the artifact or recording that is judged."""

import re
from collections import Counter
from pathlib import PurePosixPath
from typing import Literal

from pydantic import Field, field_validator

from evaluator.spec.base import SpecModel, problem


class CandidateSpec(SpecModel):
    """One candidate of an audit."""

    name: str = Field(examples=["gradient_boosting"])
    """The candidate's name, in lower-case letters, digits and `_`, beginning with a letter; its
    assets are called `<name>_model`, `<name>_predictions` and so on."""

    kind: Literal["skops"] = Field(default="skops", examples=["skops"])
    """How the artifact is read. `skops` is scikit-learn's safe file format: nothing is
    unpickled."""

    path: str = Field(
        min_length=1, examples=["models/flights/gradient_boosting.skops", "/srv/models/m.skops"]
    )
    """Where the artifact lies: relative to the platform's home (`EVALUATOR_HOME`), or absolute."""

    features: tuple[str, ...] = Field(
        min_length=1, examples=[["departure_delay", "distance", "carrier"]]
    )
    """The declared columns that the candidate is given, in this order."""

    trusted_types: tuple[str, ...] = Field(default=(), examples=[["sklearn._loss.link.LogitLink"]])
    """Types inside the artifact that skops does not trust by itself and that you do."""

    threshold: float = Field(default=0.5, ge=0, le=1, strict=True, examples=[0.5])
    """A score at or above this is a positive prediction."""

    baseline: bool = Field(default=False, strict=True, examples=[True])
    """Whether the other candidates are compared with this one; at most one candidate may be it."""

    description: str = Field(
        default="", examples=["Gradient boosting on what is known at departure"]
    )
    """What the candidate is, in words for the report."""

    @field_validator("name")
    @classmethod
    def _name_can_stand_in_asset_keys(cls, name: str) -> str:
        if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
            raise problem(
                "name",
                f"{name!r} names the candidate's assets, and cannot stand in their keys",
                "use lower-case letters, digits and _, beginning with a letter",
            )
        return name

    @field_validator("features")
    @classmethod
    def _features_are_distinct(cls, features: tuple[str, ...]) -> tuple[str, ...]:
        repeated = [name for name, count in Counter(features).items() if count > 1]
        if repeated:
            raise problem("features", f"{repeated[0]!r} stands there twice", "keep one of them")
        return features

    @field_validator("path")
    @classmethod
    def _stays_inside(cls, path: str) -> str:
        if not path.startswith("/") and ".." in PurePosixPath(path).parts:
            raise problem(
                "path",
                f"{path!r} leaves the platform's home by '..'",
                "put the file under the home, or declare its absolute path",
            )
        return path
