"""What a candidate is: the artifact or recording that is judged."""

from pathlib import PurePosixPath
from typing import Literal

from pydantic import Field, field_validator

from evaluator.spec.base import SpecModel, problem


class CandidateSpec(SpecModel):
    """One candidate of an audit."""

    name: str = Field(pattern=r"^[a-z][a-z0-9_]*$", examples=["gradient_boosting"])
    """The candidate's name; its assets are called `<name>_model`, `<name>_predictions` and so
    on."""

    kind: Literal["skops"] = Field(default="skops", examples=["skops"])
    """How the artifact is read. `skops` is scikit-learn's safe file format: nothing is
    unpickled."""

    path: str = Field(examples=["models/flights/gradient_boosting.skops", "/srv/models/m.skops"])
    """Where the artifact lies: relative to the platform's home (`EVALUATOR_HOME`), or absolute."""

    features: tuple[str, ...] = Field(
        min_length=1, examples=[["departure_delay", "distance", "carrier"]]
    )
    """The declared columns that the candidate is given, in this order."""

    trusted_types: tuple[str, ...] = Field(default=(), examples=[["sklearn._loss.link.LogitLink"]])
    """Types inside the artifact that skops does not trust by itself and that you do."""

    threshold: float = Field(default=0.5, ge=0, le=1, examples=[0.5])
    """A score at or above this is a positive prediction."""

    baseline: bool = Field(default=False, examples=[True])
    """Whether the other candidates are compared with this one; at most one candidate may be it."""

    description: str = Field(
        default="", examples=["Gradient boosting on what is known at departure"]
    )
    """What the candidate is, in words for the report."""

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
