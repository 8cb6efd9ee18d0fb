"""The candidates of an audit: what all have in common, and the keys of each kind."""

import re
from collections.abc import Mapping
from datetime import date
from pathlib import PurePosixPath
from typing import Annotated, Any, ClassVar, Final, Literal, NamedTuple, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, Tag, field_validator, model_validator

from evaluator.scorecard import NAME_RULE, can_name_assets
from evaluator.spec._base import (
    LabelValue,
    LabelValues,
    SchemaByKind,
    SpecModel,
    class_name,
    kind_discriminator,
    problem,
    refuse_repeated,
)

_DEFAULT_KIND: Final = "skops"
_LIMITS: Final = ("timeout", "load_timeout", "memory_limit")
_EXCLUDED_FROM_IDENTITY: Final = frozenset(
    {"name", "baseline", "description", "training", "isolate", *_LIMITS}
)
LATER_KEYS: Final = frozenset({"scores", "abstain_below", "abstains", "limits", "low", "high"})
"""What was recorded before these could be declared says the same as what does not say them."""
_UNITS: Final = {
    "B": 1,
    **{f"{letter}B": 1000**power for power, letter in enumerate("kMGT", 1)},
    **{f"{letter}iB": 1024**power for power, letter in enumerate("KMGT", 1)},
}
_MIN_MEMORY: Final = _UNITS["MiB"]
_REGISTERED: Final = re.compile(
    r"models:/(?P<name>[^/@]+)(?:/(?P<version>[0-9]+)|@(?P<alias>[^/@]+))"
)
_HTTP: Final = re.compile(r"https?://[^\s/?#]+(/[^\s#]*)?")
_OF_A_RUN: Final = re.compile(r"runs:/[^/]+/.+")


class RegisteredModel(NamedTuple):
    """A version of a model in an MLflow registry: a number, or what an alias stands for."""

    name: str
    version: str
    alias: str
    """Either of both is empty."""


def _stays_inside(path: str, *, key: str = "path") -> str:
    """Refuse a relative path that leaves the platform's home, and what is no path."""
    if "\0" in path:
        raise problem(key, f"{path!r} has a character that no path has", "write the path anew")
    if not path.startswith("/") and ".." in PurePosixPath(path).parts:
        raise problem(
            key,
            f"{path!r} leaves the platform's home by '..'",
            "put the file under the home, or declare its absolute path",
        )
    return path


ArtifactPath = Annotated[str, Field(min_length=1), AfterValidator(_stays_inside)]
"""Relative to the platform's home, or absolute."""


class TrainingSpec(SpecModel):
    """What a candidate was trained on, so that cases which it saw there are found.

    It names files, a last day, digests, or several of these.
    """

    files: ArtifactPath | Annotated[tuple[ArtifactPath, ...], Field(min_length=1)] | None = Field(
        default=None, examples=["training/flights-*.csv", ["training/a.csv", "training/b.parquet"]]
    )
    """The rows that it was trained on, or their ids alone: files of any form that the intake reads,
    relative to the platform's home (`EVALUATOR_HOME`) or absolute; a `*` in a name stands for
    anything. Columns are called and read as in `data`, and need keep none of its rules."""

    id: str | Annotated[tuple[str, ...], Field(min_length=2)] | None = Field(
        default=None, min_length=1, examples=["flight_id", ["order", "line"]]
    )
    """Their column that holds the case's id, or the columns that do so together, in the order of
    the data's `id`, where they are called otherwise than there."""

    columns: tuple[str, ...] | None = Field(
        default=None, examples=[["departure", "origin", "distance"], []]
    )
    """The declared columns by whose values, all together, a case is found again that has another id
    there. By default all that the files have, but for id, label and weight, if the candidate's
    features are among them; of a candidate without features, all that `data` reads. An empty list
    compares ids alone."""

    last_day: date | None = Field(default=None, examples=["2013-10-31"])
    """The last day of what it was trained on: cases of that day or an earlier one may be among
    it."""

    day: str | None = Field(default=None, examples=["departure"])
    """The declared column, of type date or timestamp, that says of which day a case is, for
    `last_day`. By default it is the day of its file."""

    digests: tuple[Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")], ...] = Field(
        default=(),
        examples=[["9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"]],
    )
    """The SHA-256 of each file that it was trained on, as 64 hexadecimal digits (`sha256sum FILE`).
    All cases of a day are among it, one of whose files as they came has one of these."""

    seen: Literal["refuse", "leave_out", "tell"] = Field(default="refuse", examples=["leave_out"])
    """What becomes of it where it saw cases. `refuse`: it is not certified. `leave_out`: these
    cases are left out of the evaluation set, for all candidates. `tell`: it is said, and decides
    nothing. But for `tell` it is not certified either where nobody could look."""

    @property
    def patterns(self) -> tuple[str, ...]:
        """The files, as they are written."""
        return (self.files,) if isinstance(self.files, str) else self.files or ()

    @property
    def id_columns(self) -> tuple[str, ...] | None:
        """The files' columns that hold a case's id together; None where they are called as ours."""
        return (self.id,) if isinstance(self.id, str) else self.id

    @model_validator(mode="after")
    def _names_what_it_was_trained_on(self) -> Self:
        if self.files is None and self.last_day is None and not self.digests:
            raise problem(
                "files",
                "it says nothing of what the candidate was trained on",
                "name `files`, a `last_day` or `digests`, or take `training` out",
            )
        for key in ("id", "columns"):
            if getattr(self, key) is not None and self.files is None:
                raise problem(key, "there are no `files` that it is of", "name them, or remove it")
        if self.day is not None and self.last_day is None:
            raise problem("day", "there is no `last_day`", "declare one, or remove it")
        refuse_repeated("columns", self.columns or ())
        return self

    @field_validator("files")
    @classmethod
    def _only_names_have_places(cls, files: Any) -> Any:
        for path in (files,) if isinstance(files, str) else files or ():
            if "*" in path.rpartition("/")[0] or "**" in path:
                raise problem(
                    "files",
                    f"{path!r} has a * that is not in the name of a file",
                    "write folders in full, and one * in a row, such as training/part-*.csv",
                )
        return files


class CandidateBase(SpecModel):
    """The keys of a candidate of any kind; `kind` says which others it has."""

    not_in_outputs: ClassVar[frozenset[str]] = frozenset()
    """Keys of the kind that change no output: where its artifact lies, whose digest stands for it,
    and how it is transported."""
    source_key: ClassVar[str] = "path"
    """The key of the kind that says where it comes from."""

    name: str = Field(examples=["gradient_boosting"])
    """The candidate's name, in lower-case letters, digits and `_`, beginning with a letter; its
    assets are called `<name>_model`, `<name>_predictions` and so on."""

    threshold: float = Field(default=0.5, ge=0, le=1, strict=True, examples=[0.5])
    """Of a binary task: a score at or above this is a positive prediction."""

    abstain_below: float | None = Field(
        default=None, gt=0, le=1, strict=True, allow_inf_nan=False, examples=[0.5]
    )
    """Of a multiclass task: where the most probable class has less than this probability, the case
    is not answered: the candidate abstains. Without it, it answers all."""

    baseline: bool = Field(default=False, strict=True, examples=[True])
    """Whether the other candidates are compared with this one; at most one candidate may be it."""

    description: str = Field(
        default="", examples=["Gradient boosting on what is known at departure"]
    )
    """What the candidate is, in words for the report."""

    training: TrainingSpec | None = Field(
        default=None, examples=[{"files": "training/flights.csv", "seen": "leave_out"}]
    )
    """What it was trained on, so that it is found out whether it saw the cases that it is judged
    on. Without it certificates say that nobody checked."""

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

    @property
    def source(self) -> str:
        """Where the candidate comes from, as written in the YAML: a path, a model or a URL."""
        source: str = getattr(self, self.source_key)
        return source

    @property
    def pool(self) -> str | None:
        """What it needs and nobody else may use at the same time, if there is such a thing."""
        return None

    @property
    def decides(self) -> bool:
        """Whether it makes the decision itself; the threshold does where it does not."""
        return False

    @property
    def gives_limits(self) -> bool:
        """Whether a lower and an upper limit come with each number that it gives."""
        return False

    @property
    def registered_model(self) -> RegisteredModel | None:
        """The version in an MLflow registry that it is, if it is one."""
        return None

    @property
    def is_unpickled(self) -> bool:
        """Whether loading it runs whatever code it holds."""
        return False

    @property
    def isolated(self) -> bool:
        """Whether the candidate runs in a process of its own."""
        if self.isolate is not None:
            return self.isolate == "process"
        return self.is_unpickled or bool(self._limits)

    @property
    def memory_limit_bytes(self) -> int | None:
        """The memory limit in bytes."""
        return None if self.memory_limit is None else _bytes_of(self.memory_limit)

    @property
    def identity_settings(self) -> dict[str, Any]:
        """Every key that, together with the artifact's digest, decides the outputs, as JSON."""
        found = self.model_dump(
            mode="json", exclude=set(_EXCLUDED_FROM_IDENTITY | self.not_in_outputs)
        )
        return {key: one for key, one in found.items() if key not in LATER_KEYS or one}

    @field_validator("name")
    @classmethod
    def _name_can_stand_in_asset_keys(cls, name: str) -> str:
        if not can_name_assets(name):
            raise problem(
                "name",
                f"{name!r} names the candidate's assets, and cannot stand in their keys",
                f"use {NAME_RULE}",
            )
        return name

    @field_validator("memory_limit")
    @classmethod
    def _memory_limit_is_an_amount(cls, limit: int | str | None) -> int | str | None:
        if limit is not None:
            _bytes_of(limit)
        return limit

    @model_validator(mode="after")
    def _limits_have_a_process(self) -> Self:
        if self.isolate == "none" and self._limits:
            raise problem(
                "isolate",
                "without a process of its own nothing can hold the candidate to its"
                f" {self._limits[0]}",
                f"take `isolate: none` out, or take {' and '.join(self._limits)} out",
            )
        return self

    @property
    def _limits(self) -> list[str]:
        return [key for key in _LIMITS if getattr(self, key) is not None]


class LabellingCandidate(CandidateBase):
    """A candidate that says values of the label: as its decisions, or as its classes."""

    label_values: dict[str, LabelValues] | None = Field(
        default=None,
        examples=[{"positive": "late", "negative": ["on time", "early"]}, {"iw": "he"}],
    )
    """What the candidate's words for cases mean, where they are not those of the data: in a
    recording's decisions and labels, and as the classes of a model. Of a binary task, what it calls
    a `positive` and a `negative` case, one value or a list each; what is neither is refused. Of a
    multiclass task, by what it says the class that is meant; what is not named here is a class by
    its own name."""

    @field_validator("label_values", mode="before")
    @classmethod
    def _words_are_texts(cls, raw: Any) -> Any:
        if not isinstance(raw, Mapping):
            return raw
        return {class_name(word): meaning for word, meaning in raw.items()}


class FeatureCandidate(CandidateBase):
    """A candidate that is given features."""

    features: tuple[str, ...] = Field(
        min_length=1, examples=[["departure_delay", "distance", "carrier"]]
    )
    """The declared columns that the candidate is given, in this order."""

    limits: bool = Field(default=False, strict=True, examples=[True])
    """Of a regression: whether the candidate gives limits with each number, between which the truth
    should lie. What it gives has three columns then: lower limit, number, upper limit."""

    @property
    def gives_limits(self) -> bool:
        """Whether the YAML says so."""
        return self.limits

    @field_validator("features")
    @classmethod
    def _features_are_distinct(cls, features: tuple[str, ...]) -> tuple[str, ...]:
        refuse_repeated("features", features)
        return features


class SkopsCandidate(LabellingCandidate, FeatureCandidate):
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


class MlflowCandidate(LabellingCandidate, FeatureCandidate):
    """An MLflow model, out of a registry, a run or a folder."""

    not_in_outputs: ClassVar[frozenset[str]] = frozenset({"model", "trust"})
    source_key: ClassVar[str] = "model"

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

    classes: tuple[LabelValue, ...] = Field(default=(), examples=[["on_time", "late"]])
    """The classes in the order of the probabilities' columns, where the model does not say
    them; of two by default 0 and 1."""

    @property
    def registered_model(self) -> RegisteredModel | None:
        """The registered version, where the address is that of one."""
        match = _REGISTERED.fullmatch(self.model)
        return None if match is None else RegisteredModel(**match.groupdict(""))

    @property
    def is_unpickled(self) -> bool:
        """Whether it may be: a model in the skops format or ONNX needs no trust."""
        return self.trust == "pickle"

    @field_validator("model")
    @classmethod
    def _is_an_address(cls, model: str) -> str:
        if ":/" not in model:
            return _stays_inside(model, key="model")
        if not _REGISTERED.fullmatch(model) and not _OF_A_RUN.fullmatch(model):
            raise problem(
                "model",
                f"{model!r} is no address of a model",
                "write models:/name/version, models:/name@alias, runs:/run/path or a folder",
            )
        return model


class OnnxCandidate(LabellingCandidate, FeatureCandidate):
    """An ONNX classifier, run by onnxruntime (`pip install 'evaluator[onnx]'`)."""

    not_in_outputs: ClassVar[frozenset[str]] = frozenset({"path"})

    kind: Literal["onnx"] = Field(examples=["onnx"])
    """An ONNX file."""

    path: ArtifactPath = Field(examples=["models/flights/gradient_boosting.onnx"])
    """Where the artifact lies: relative to the platform's home (`EVALUATOR_HOME`), or absolute."""

    classes: tuple[LabelValue, ...] = Field(default=(), examples=[["on_time", "late"]])
    """The classes in the order of the probabilities' columns, where the file does not say
    them (it does with zipmap); of two by default 0 and 1."""


class PickleCandidate(LabellingCandidate, FeatureCandidate):
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
    def is_unpickled(self) -> bool:
        """Yes: to read a pickle is to run whatever code it holds."""
        return True

    @model_validator(mode="before")
    @classmethod
    def _is_trusted(cls, raw: Any) -> Any:
        if isinstance(raw, Mapping) and "trust" not in raw:
            raise problem(
                "trust",
                "a pickle runs whatever code it holds as soon as it is read",
                "save the model as skops instead, or write `trust: pickle` if you trust its maker",
            )
        return raw


class RecordedCandidate(LabellingCandidate):
    """What any AI system gave, recorded in a file and joined by id."""

    # A label of its own is compared with the truth, and changes no output.
    not_in_outputs: ClassVar[frozenset[str]] = frozenset({"path", "label"})

    kind: Literal["recorded"] = Field(examples=["recorded"])
    """A CSV or Parquet file of outputs."""

    path: ArtifactPath = Field(examples=["recordings/flights/vendor.csv"])
    """Where the recording lies, a .csv or .parquet file: relative to the platform's home
    (`EVALUATOR_HOME`), or absolute."""

    id: str | Annotated[tuple[str, ...], Field(min_length=2)] = Field(
        default="id", min_length=1, examples=["flight_id", ["order", "line"]]
    )
    """The recording's column that holds the case's id, or the columns that do so together, in the
    order of the data's `id`."""

    score: str | None = Field(default="score", min_length=1, examples=["probability"])
    """Of a binary task: the recording's column that holds the probability of the positive class;
    `null` where only decisions are recorded, which leaves every metric that needs scores
    undefined."""

    scores: dict[str, str] | None = Field(
        default=None, min_length=2, examples=[{"low": "p_low", "medium": "p_mid", "high": "p_high"}]
    )
    """Of a multiclass task: by class the recording's column that holds its probability, where
    probabilities are recorded."""

    prediction: str | None = Field(default=None, examples=["decision"])
    """The recording's column that holds the decision that was made, in the label's values or those
    of `label_values`; without it the decision follows from `threshold`, or is the most probable
    class. Of a regression: the column of the number that was given. Of a ranking: that of the items
    that were given, as a JSON list, the best one first."""

    low: str | None = Field(default=None, min_length=1, examples=["at_least"])
    """Of a regression: the recording's column of the lower limit that was given with the number, if
    limits were; between it and `high` the truth should lie."""

    high: str | None = Field(default=None, min_length=1, examples=["at_most"])
    """Of a regression: the recording's column of the upper limit."""

    abstains: bool = Field(default=False, strict=True, examples=[True])
    """Of a multiclass task: whether a case whose decision is missing in the recording was not
    answered. Otherwise such a case is a fault of the recording."""

    label: str | None = Field(default=None, examples=["truth"])
    """The recording's column that holds the truth as the AI system knew it. Where it contradicts
    the evaluation set, that is told; it is never used instead."""

    @property
    def features(self) -> tuple[str, ...]:
        """Nothing: the outputs are there already."""
        return ()

    @property
    def id_columns(self) -> tuple[str, ...]:
        """The columns that hold the case's id together."""
        return (self.id,) if isinstance(self.id, str) else self.id

    @property
    def decides(self) -> bool:
        """Whether decisions are recorded."""
        return self.prediction is not None

    @property
    def gives_limits(self) -> bool:
        """Whether limits are recorded."""
        return self.low is not None

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
    source_key: ClassVar[str] = "url"

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
    def pool(self) -> str:
        """Its server."""
        return f"endpoint_{urlsplit(self.url).netloc.replace(':', '_').replace('.', '_')}"

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
        try:
            # To ask for the port finds what no library could split.
            is_address = urlsplit(url).port != 0 and re.fullmatch(_HTTP, url)
        except ValueError:
            is_address = None
        if not is_address:
            raise problem(
                "url",
                f"{url!r} is no http address",
                "write one such as https://models.example.org/late_flights/score",
            )
        return url

    @model_validator(mode="after")
    def _says_its_version(self) -> Self:
        if (self.version is None) == (self.version_header is None):
            raise problem(
                "version",
                "the model behind an endpoint may change without notice, and exactly one of"
                " `version` and `version_header` says which one it is",
                "declare `version`, or the `version_header` that the endpoint sends",
            )
        return self


CandidateSpec = Annotated[
    Annotated[SkopsCandidate, Tag("kind: skops")]
    | Annotated[MlflowCandidate, Tag("kind: mlflow")]
    | Annotated[OnnxCandidate, Tag("kind: onnx")]
    | Annotated[PickleCandidate, Tag("kind: pickle")]
    | Annotated[RecordedCandidate, Tag("kind: recorded")]
    | Annotated[HttpCandidate, Tag("kind: http")],
    kind_discriminator(CandidateBase, _DEFAULT_KIND),
    SchemaByKind(_DEFAULT_KIND),
]
"""One candidate of an audit, of any kind."""


def _bytes_of(limit: int | str) -> int:
    """Read an amount of memory; a text has a unit."""
    fix = "write a number with its unit, such as 500 MB or 2 GiB"
    if isinstance(limit, int):
        amount = limit
    else:
        match = re.fullmatch(r"([0-9]{1,20}(?:\.[0-9]+)?) ?([A-Za-z]+)", limit.strip())
        if match is None or match[2] not in _UNITS:
            raise problem("memory_limit", f"{limit[:40]!r} is no amount of memory", fix)
        amount = int(float(match[1]) * _UNITS[match[2]])
    if amount < _MIN_MEMORY:
        raise problem(
            "memory_limit", f"in {amount} bytes nothing can be loaded (1 MiB is the least)", fix
        )
    return amount
