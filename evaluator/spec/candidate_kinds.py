"""The kinds of candidate: one model each, told apart by `kind`."""

import re
from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from pydantic import Field, field_validator, model_validator

from evaluator.spec.base import problem
from evaluator.spec.candidate_base import (
    ArtifactPath,
    CandidateBase,
    FeatureCandidate,
    stays_inside,
)

ClassValue = bool | int | str
"""What a class of a classifier may be called."""

_MODEL_IN_REGISTRY = re.compile(r"models:/[^/@]+(/[0-9]+|@[^/@]+)")
_MODEL_OF_RUN = re.compile(r"runs:/[^/]+/.+")


class SkopsCandidate(FeatureCandidate):
    """A scikit-learn classifier in scikit-learn's safe file format: nothing is unpickled."""

    not_in_outputs: ClassVar[frozenset[str]] = frozenset({"path"})

    kind: Literal["skops"] = Field(default="skops", examples=["skops"])
    """A skops file; what a candidate is that does not say its kind."""

    path: ArtifactPath = Field(
        examples=["models/flights/gradient_boosting.skops", "/srv/models/m.skops"]
    )
    """Where the artifact lies: relative to the platform's home (`EVALUATOR_HOME`), or absolute."""

    trusted_types: tuple[str, ...] = Field(default=(), examples=[["sklearn._loss.link.LogitLink"]])
    """Types inside the artifact that skops does not trust by itself and that you do."""

    @property
    def source(self) -> str:
        """The artifact's path."""
        return self.path


class MlflowCandidate(FeatureCandidate):
    """An MLflow model, out of a registry, a run or a folder."""

    not_in_outputs: ClassVar[frozenset[str]] = frozenset({"model", "trust"})

    kind: Literal["mlflow"] = Field(examples=["mlflow"])
    """An MLflow model, with `predict_proba` where it has one."""

    model: str = Field(
        min_length=1,
        examples=["models:/late_flights/3", "models:/late_flights@champion", "models/flights/gb"],
    )
    """Which model: `models:/name/version`, `models:/name@alias`, `runs:/run/path`, or a local
    MLflow folder, relative to the platform's home (`EVALUATOR_HOME`) or absolute."""

    trusted_types: tuple[str, ...] = Field(default=(), examples=[["sklearn._loss.link.LogitLink"]])
    """Types inside a model in the skops format that skops does not trust by itself and that you
    do. What the model says of itself does not count."""

    trust: Literal["pickle"] | None = Field(default=None, examples=["pickle"])
    """Needed for a model that is neither in the skops format nor ONNX: to load it is to run
    whatever code it holds."""

    classes: tuple[ClassValue, ...] = Field(
        default=(), min_length=0, max_length=2, examples=[["on_time", "late"]]
    )
    """The two classes in the order of the probabilities' columns, where the model does not say
    them; by default 0 and 1."""

    @property
    def source(self) -> str:
        """The model's address."""
        return self.model

    @property
    def is_unpickled(self) -> bool:
        """Whether it may be: a model in the skops format or ONNX needs no trust."""
        return self.trust == "pickle"

    @field_validator("model")
    @classmethod
    def _is_an_address(cls, model: str) -> str:
        if ":/" not in model:
            return stays_inside(model, "model")
        if not _MODEL_IN_REGISTRY.fullmatch(model) and not _MODEL_OF_RUN.fullmatch(model):
            raise problem(
                "model",
                f"{model!r} is no address of a model",
                "write models:/name/version, models:/name@alias, runs:/run/path or a folder",
            )
        return model


class OnnxCandidate(FeatureCandidate):
    """An ONNX classifier, run by onnxruntime (`pip install 'evaluator[onnx]'`)."""

    not_in_outputs: ClassVar[frozenset[str]] = frozenset({"path"})

    kind: Literal["onnx"] = Field(examples=["onnx"])
    """An ONNX file."""

    path: ArtifactPath = Field(examples=["models/flights/gradient_boosting.onnx"])
    """Where the artifact lies: relative to the platform's home (`EVALUATOR_HOME`), or absolute."""

    classes: tuple[ClassValue, ...] = Field(
        default=(), min_length=0, max_length=2, examples=[["on_time", "late"]]
    )
    """The two classes in the order of the probabilities' columns, where the file does not say
    them (it does with zipmap); by default 0 and 1."""

    @property
    def source(self) -> str:
        """The artifact's path."""
        return self.path


class PickleCandidate(FeatureCandidate):
    """A scikit-learn classifier as a pickle or joblib file, whose bytes are pinned."""

    not_in_outputs: ClassVar[frozenset[str]] = frozenset({"path", "trust", "sha256"})

    kind: Literal["pickle"] = Field(examples=["pickle"])
    """A pickle or joblib file. Reading one runs whatever code it holds, so prefer skops."""

    path: ArtifactPath = Field(examples=["models/flights/gradient_boosting.joblib"])
    """Where the artifact lies: relative to the platform's home (`EVALUATOR_HOME`), or absolute."""

    trust: Literal["pickle"] = Field(examples=["pickle"])
    """Says that you trust whoever made the file; without it nothing is read."""

    sha256: str = Field(
        pattern=r"^[0-9a-f]{64}$",
        examples=["9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"],
    )
    """The SHA-256 of the file that you trust, as 64 hexadecimal digits (`sha256sum FILE`). It is
    compared before a byte is unpickled."""

    @property
    def source(self) -> str:
        """The artifact's path."""
        return self.path

    @property
    def is_unpickled(self) -> bool:
        """Yes."""
        return True

    @model_validator(mode="before")
    @classmethod
    def _is_trusted(cls, told: Any) -> Any:
        if isinstance(told, Mapping) and "trust" not in told:
            raise problem(
                "trust",
                "a pickle runs whatever code it holds as soon as it is read",
                "save the model as skops instead, or write `trust: pickle` if you trust its maker",
            )
        return told


class RecordedCandidate(CandidateBase):
    """What any AI system gave, recorded in a file and joined by id."""

    # A label of its own is compared with the truth, and changes no output.
    not_in_outputs: ClassVar[frozenset[str]] = frozenset({"path", "label"})

    kind: Literal["recorded"] = Field(examples=["recorded"])
    """A CSV or Parquet file of outputs."""

    path: ArtifactPath = Field(examples=["recordings/flights/vendor.csv"])
    """Where the recording lies, a .csv or .parquet file: relative to the platform's home
    (`EVALUATOR_HOME`), or absolute."""

    id: str = Field(default="id", min_length=1, examples=["flight_id"])
    """The recording's column that holds the case's id."""

    score: str | None = Field(default="score", min_length=1, examples=["probability"])
    """The recording's column that holds the probability of the positive class; `null` where only
    decisions are recorded, which leaves every metric that needs scores undefined."""

    prediction: str | None = Field(default=None, examples=["decision"])
    """The recording's column that holds the decision that was made, in the label's values; without
    it the decision follows from `threshold`."""

    label: str | None = Field(default=None, examples=["truth"])
    """The recording's column that holds the truth as the AI system knew it. Where it contradicts
    the evaluation set, that is told; it is never used instead."""

    @property
    def features(self) -> tuple[str, ...]:
        """Nothing: the outputs are there already."""
        return ()

    @property
    def source(self) -> str:
        """The recording's path."""
        return self.path

    @property
    def has_scores(self) -> bool:
        """Whether scores are recorded."""
        return self.score is not None

    @model_validator(mode="after")
    def _records_an_output(self) -> "RecordedCandidate":
        if self.score is None and self.prediction is None:
            raise problem(
                "score",
                "without a column of scores and without one of decisions there are no outputs",
                "name the column of decisions under `prediction`, or that of scores here",
            )
        return self

    @field_validator("path")
    @classmethod
    def _format_is_known(cls, path: str) -> str:
        if not path.endswith((".csv", ".parquet")):
            raise problem(
                "path",
                f"{path!r} is neither a .csv nor a .parquet file",
                "save the recording in one of the two, and name it so",
            )
        return path


class HttpCandidate(FeatureCandidate):
    """A scoring endpoint: JSON in, JSON out, as docs/candidates.md says."""

    not_in_outputs: ClassVar[frozenset[str]] = frozenset(
        {
            "authorization_variable",
            "batch_size",
            "request_timeout",
            "retries",
            "concurrency",
            "open_after",
            "half_open_after",
        }
    )

    kind: Literal["http"] = Field(examples=["http"])
    """A scoring endpoint."""

    url: str = Field(examples=["https://models.example.org/late_flights/score"])
    """The endpoint's address; it takes POST."""

    version: str | None = Field(default=None, min_length=1, examples=["2026-03-01"])
    """The version of the model behind the endpoint, by your word. Either this or `version_header`
    is needed: change it whenever the model changes, and what it touches is computed again."""

    version_header: str | None = Field(
        default=None, pattern=r"^[A-Za-z0-9-]+$", examples=["X-Model-Version"]
    )
    """The header in which the endpoint's answers, also to HEAD, tell the version of its model."""

    authorization_variable: str | None = Field(
        default=None, pattern=r"^[A-Za-z_][A-Za-z0-9_]*$", examples=["SCORING_AUTHORIZATION"]
    )
    """The environment variable that holds the `Authorization` header, such as `Bearer ...`. Its
    value is never written anywhere."""

    batch_size: int = Field(default=1000, ge=1, strict=True, examples=[1000])
    """How many cases are sent in a request at most."""

    request_timeout: float = Field(default=30.0, gt=0, examples=[30])
    """How many seconds a request may take, from its beginning to the answer's last byte."""

    retries: int = Field(default=3, ge=0, le=20, strict=True, examples=[3])
    """How often a request is sent again that got no answer, or 408, 429 or 5xx; after 0.5, 1, 2 ...
    seconds at most, at random."""

    concurrency: int = Field(default=4, ge=1, le=64, strict=True, examples=[4])
    """How many requests are under way at a time, in each process."""

    open_after: int = Field(default=5, ge=1, strict=True, examples=[5])
    """After so many failed requests in a row nothing is sent any more (the circuit is open)."""

    half_open_after: float = Field(default=30.0, gt=0, examples=[30])
    """After so many seconds one request is let through to see whether the endpoint is back."""

    @property
    def source(self) -> str:
        """The endpoint's address."""
        return self.url

    @field_validator("url")
    @classmethod
    def _url_is_plain(cls, url: str) -> str:
        if "@" in url.partition("//")[2].partition("/")[0]:
            # The value itself must not stand in an error.
            raise problem(
                "url",
                "it holds a user or a password, and it stands in reports and evidence",
                "take them out, and name a variable under `authorization_variable`",
            )
        if not re.fullmatch(r"https?://[^\s/?#]+(/[^\s#]*)?", url):
            raise problem(
                "url",
                f"{url!r} is no http address",
                "write one such as https://models.example.org/late_flights/score",
            )
        return url

    @model_validator(mode="after")
    def _says_its_version(self) -> "HttpCandidate":
        if (self.version is None) == (self.version_header is None):
            raise problem(
                "version",
                "the model behind an endpoint may change without notice, and exactly one of"
                " `version` and `version_header` says which one it is",
                "declare `version`, or the `version_header` that the endpoint sends",
            )
        return self
