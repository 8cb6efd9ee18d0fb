"""What all candidates have in common, whatever kind they are of."""

import re
from collections import Counter
from pathlib import PurePosixPath
from typing import Annotated, Any, ClassVar

from pydantic import AfterValidator, Field, field_validator

from evaluator.spec.base import SpecModel, problem


class CandidateBase(SpecModel):
    """The keys of a candidate of any kind; `kind` says which others it has."""

    not_in_outputs: ClassVar[frozenset[str]] = frozenset()
    """Keys of the kind that change no output: where its artifact lies, whose digest stands for it,
    and how it is transported."""

    name: str = Field(examples=["gradient_boosting"])
    """The candidate's name, in lower-case letters, digits and `_`, beginning with a letter; its
    assets are called `<name>_model`, `<name>_predictions` and so on."""

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

    @property
    def identity_settings(self) -> dict[str, Any]:
        """Return every key that, together with the artifact's digest, decides the outputs."""
        words = {"name", "baseline", "description"}
        return self.model_dump(mode="json", exclude=words | self.not_in_outputs)

    @property
    def source(self) -> str:
        """Where the candidate comes from, as written in the YAML: a path, a model or a URL."""
        raise NotImplementedError


class FeatureCandidate(CandidateBase):
    """A candidate that is given features."""

    features: tuple[str, ...] = Field(
        min_length=1, examples=[["departure_delay", "distance", "carrier"]]
    )
    """The declared columns that the candidate is given, in this order."""

    @field_validator("features")
    @classmethod
    def _features_are_distinct(cls, features: tuple[str, ...]) -> tuple[str, ...]:
        repeated = [name for name, count in Counter(features).items() if count > 1]
        if repeated:
            raise problem("features", f"{repeated[0]!r} stands there twice", "keep one of them")
        return features


def stays_inside(path: str, key: str) -> str:
    """Refuse a relative path that leaves the platform's home."""
    if not path.startswith("/") and ".." in PurePosixPath(path).parts:
        raise problem(
            key,
            f"{path!r} leaves the platform's home by '..'",
            "put the file under the home, or declare its absolute path",
        )
    return path


def _path_stays_inside(path: str) -> str:
    return stays_inside(path, "path")


ArtifactPath = Annotated[str, Field(min_length=1), AfterValidator(_path_stays_inside)]
"""Relative to the platform's home, or absolute."""
