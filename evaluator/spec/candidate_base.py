"""What all candidates have in common, whatever kind they are of."""

import re
from collections import Counter
from pathlib import PurePosixPath
from typing import Annotated, Any, ClassVar, Final, Literal

from pydantic import AfterValidator, Field, field_validator, model_validator

from evaluator.spec.base import SpecModel, problem

_UNITS: Final = {
    "B": 1,
    **{f"{letter}B": 1000**power for power, letter in enumerate("kMGT", 1)},
    **{f"{letter}iB": 1024**power for power, letter in enumerate("KMGT", 1)},
}
_LEAST_MEMORY: Final = 1024**2
_LIMITS: Final = ("timeout", "load_timeout", "memory_limit")
_IN_NO_IDENTITY: Final = frozenset({"name", "baseline", "description", "isolate", *_LIMITS})


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

    timeout: float | None = Field(
        default=None, gt=0, strict=True, allow_inf_nan=False, examples=[600]
    )
    """How many seconds the predictions of one slice may take. What takes longer is ended, and the
    slice fails. Loading the artifact is not counted."""

    load_timeout: float | None = Field(
        default=None, gt=0, strict=True, allow_inf_nan=False, examples=[600]
    )
    """How many seconds loading the artifact may take; 600 where nothing is written and the
    candidate has a process of its own. What takes longer is ended and the slice fails; the next
    slice tries again, until it took too long three times in a row."""

    memory_limit: int | str | None = Field(default=None, examples=["2 GiB"])
    """How much memory loading and predicting may take, beside the libraries: a number with kB, MB,
    GB, TB, KiB, MiB, GiB or TiB, or bytes. What needs more fails the slice. It holds on Linux."""

    isolate: Literal["process", "none"] | None = Field(default=None, examples=["process"])
    """Whether the candidate runs in a process of its own, so that a crash or an exit of it fails
    its slice and nothing else. By default it does where it is unpickled, and where `timeout`,
    `load_timeout` or `memory_limit` is set."""

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

    @field_validator("memory_limit")
    @classmethod
    def _memory_limit_is_an_amount(cls, limit: int | str | None) -> int | str | None:
        if limit is not None:
            _bytes_of(limit)
        return limit

    @model_validator(mode="after")
    def _limits_have_a_process(self) -> "CandidateBase":
        if self.isolate == "none" and self._limits:
            raise problem(
                "isolate",
                "without a process of its own nothing can hold the candidate to its"
                f" {self._limits[0]}",
                f"take `isolate: none` out, or take {' and '.join(self._limits)} out",
            )
        return self

    @property
    def isolated(self) -> bool:
        """Whether the candidate runs in a process of its own."""
        if self.isolate is not None:
            return self.isolate == "process"
        return self.is_unpickled or bool(self._limits)

    @property
    def _limits(self) -> list[str]:
        return [key for key in _LIMITS if getattr(self, key) is not None]

    @property
    def is_unpickled(self) -> bool:
        """Whether loading it runs whatever code it holds."""
        return False

    @property
    def memory_limit_bytes(self) -> int | None:
        """The memory limit in bytes."""
        return None if self.memory_limit is None else _bytes_of(self.memory_limit)

    @property
    def has_scores(self) -> bool:
        """Whether it gives scores; decisions alone where it does not."""
        return True

    @property
    def identity_settings(self) -> dict[str, Any]:
        """Return every key that, together with the artifact's digest, decides the outputs."""
        return self.model_dump(mode="json", exclude=set(_IN_NO_IDENTITY | self.not_in_outputs))

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


def _bytes_of(limit: int | str) -> int:
    """Read an amount of memory; a text has a unit."""
    fix = "write a number with its unit, such as 500 MB or 2 GiB"
    if isinstance(limit, int):
        amount = limit
    else:
        told = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?) ?([A-Za-z]+)", limit.strip())
        if told is None or told[2] not in _UNITS:
            raise problem("memory_limit", f"{limit!r} is no amount of memory", fix)
        amount = int(float(told[1]) * _UNITS[told[2]])
    if amount < _LEAST_MEMORY:
        raise problem(
            "memory_limit", f"in {amount} bytes nothing can be loaded (1 MiB is the least)", fix
        )
    return amount


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
