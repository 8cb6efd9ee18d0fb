"""An MLflow model: out of a registry, a run or a folder.

A model in the skops format and an ONNX model are read by our own readers, which run no code of
theirs. Every other flavour is loaded by MLflow, and that is to unpickle it.
"""

import os
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from urllib.parse import urlsplit
from urllib.request import url2pathname

import numpy as np
import pandas as pd
import yaml

from evaluator.candidates._adapter import (
    ADAPTERS,
    Adapter,
    Artifact,
    FolderCopy,
    Reading,
    folder_digest,
    leads_out,
)
from evaluator.candidates._faults import (
    candidate_error,
    check_names,
    format_names,
    is_text,
    type_error,
)
from evaluator.candidates._kinds._onnx import OnnxScorer
from evaluator.candidates._kinds._sklearn import EstimatorScorer, read_skops
from evaluator.errors import CandidateError
from evaluator.evidence import digest_of
from evaluator.spec import MlflowCandidate, Task

if TYPE_CHECKING:
    from mlflow.models import Model

_TRACKING_URI: Final = "MLFLOW_TRACKING_URI"
_TRACKING_LOCK: Final = Lock()
_NUMERIC_TYPES: Final = ("integer", "long", "float", "double")
_MAX_METADATA_BYTES: Final = 1024**2
"""Bytes of MLmodel; a signature takes about 60 a column."""
_MAX_METADATA_NODES: Final = 100_000
_MERGE: Final = "tag:yaml.org,2002:merge"
_NO_PLACES: Final = ("uri", "model_code_path")
"""Keys of texts that tell where a file came from, and are not opened: of `model_code_path` MLflow
takes the name alone, in the model's folder."""
_LOCAL_HOSTS: Final = (None, ".", "localhost", "127.0.0.1")


def _local_folder(candidate: MlflowCandidate, home: Path) -> Path:
    folder = home / candidate.model
    if not folder.is_dir():
        raise candidate_error(
            candidate,
            f"its MLflow folder {folder} is not there",
            fix=f"put it there, or correct `model` of {candidate.name} in the audit's YAML",
        )
    return folder


@contextmanager
def _downloaded(
    candidate: MlflowCandidate, address: str, tracking_uri: str | None
) -> Iterator[Path]:
    """Let MLflow fetch a model into a folder for a while."""
    from mlflow.artifacts import download_artifacts
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    _check_is_made(candidate, tracking_uri)
    with tempfile.TemporaryDirectory(prefix="evaluator-mlflow-") as temporary:
        try:
            with _served_by(tracking_uri):
                folder = Path(download_artifacts(artifact_uri=address, dst_path=temporary))
        except (MlflowException, SQLAlchemyError, OSError) as error:
            raise _missing_error(candidate, error) from error
        yield folder


@contextmanager
def _served_by(tracking_uri: str | None) -> Iterator[None]:
    """Make this MLflow's global server for a while."""
    import mlflow

    if tracking_uri is None:
        yield
        return
    # A model of a run or a registry leads to further addresses, for which MLflow asks its global
    # server, whatever server the download was asked of.
    with _TRACKING_LOCK:
        previous = os.environ.get(_TRACKING_URI)
        mlflow.set_tracking_uri(tracking_uri)
        try:
            yield
        finally:
            # This deletes the variable as well, by which the operator may name a server.
            mlflow.set_tracking_uri(None)  # type: ignore[arg-type] # undocumented, and tested
            if previous is not None:
                os.environ[_TRACKING_URI] = previous


def _check_is_made(candidate: MlflowCandidate, tracking_uri: str | None) -> None:
    """Refuse a database that is not there: MLflow would make one, which holds no model either."""
    scheme, _, path = (tracking_uri or "").partition(":///")
    if scheme == "sqlite" and not Path(path).is_file():
        raise _missing_error(candidate, FileNotFoundError(f"there is no database {path}"))


def _missing_error(candidate: MlflowCandidate, error: Exception) -> CandidateError:
    return candidate_error(
        candidate,
        f"MLflow does not give {candidate.model} ({error})",
        fix="correct `model`, or the tracking server under MLFLOW_TRACKING_URI",
    )


class MlflowScorer:
    """An MLflow model of any flavour."""

    def __init__(self, candidate: MlflowCandidate, folder: FolderCopy, task: Task) -> None:
        if "MLmodel" not in folder.files:
            raise candidate_error(
                candidate,
                f"there is no file MLmodel in {candidate.model}, so it is no MLflow model",
                fix="save the model with MLflow, or correct `model`",
            )
        self._candidate = candidate
        # A model may read its files as late as it predicts.
        self._folder = folder
        try:
            flavors, self._types = _read_metadata(candidate, folder)
        except CandidateError:
            raise
        # Bytes of somebody else's make a reader raise whatever it likes.
        except Exception as error:
            raise candidate_error(
                candidate,
                f"its MLmodel cannot be read ({type(error).__name__}: {error})",
                fix="save the model anew with MLflow, and leave MLmodel as it writes it",
            ) from error
        self._inner = _read_flavor(candidate, flavors, folder, task)

    def score(self, features: pd.DataFrame) -> np.ndarray:
        for name, expected in self._types.items():
            column = features[name]
            if expected in _NUMERIC_TYPES and is_text(column):
                raise type_error(self._candidate, column, f"numbers ({expected})")
            if expected == "string" and not is_text(column) and column.notna().any():
                raise type_error(self._candidate, column, "texts")
        score: np.ndarray = self._inner.score(features)
        return score


def _read_metadata(
    candidate: MlflowCandidate, folder: FolderCopy
) -> tuple[dict[str, dict[str, Any]], dict[str, str]]:
    """Return what MLmodel says of each flavour, and the types of the declared features."""
    from mlflow.models import Model

    path = folder.root / "MLmodel"
    size = path.stat().st_size
    if size > _MAX_METADATA_BYTES:
        raise ValueError(f"it has {size} bytes, more than {_MAX_METADATA_BYTES}")
    # It is a safe loader. Of what is plain text MLflow reads the same out of the same bytes.
    told = yaml.load(path.read_text(encoding="utf-8"), _PlainLoader)  # noqa: S506
    flavors = told["flavors"]
    if not isinstance(flavors, dict) or not all(
        isinstance(name, str) and isinstance(says, dict) for name, says in flavors.items()
    ):
        raise TypeError("`flavors` must hold a mapping for each flavour")
    # What MLflow and its flavours take for places stands under many keys, so that all texts count.
    for key, text in _texts([flavors, told.get("saved_input_example_info")]):
        if key not in _NO_PLACES and leads_out(text):
            raise candidate_error(
                candidate,
                f"its MLmodel names {format_names([text])} under {format_names([key])}, which leads"
                " out of its folder, and its digest would not cover what lies there",
                fix="save the model anew, with all of its files in one folder",
            )
    return flavors, _feature_types(candidate, Model.from_dict(told))


class _PlainLoader(yaml.SafeLoader):
    """Refuses a key that stands twice, and mappings that are merged, which multiply."""

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        keys = Counter(key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode))
        twice = [key for key, count in keys.items() if count > 1]
        if twice or any(key.tag == _MERGE for key, _ in node.value):
            raise ValueError(f"the key {format_names(twice or ['<<'])} stands twice, or merges")


def _texts(told: Any) -> Iterator[tuple[Any, str]]:
    """Yield every text in mappings and lists, with the key that it stands under."""
    pending: list[tuple[Any, Any]] = [(None, told)]
    # An anchor may stand for as much again, and for what it is in.
    for _ in range(_MAX_METADATA_NODES):
        if not pending:
            return
        key, value = pending.pop()
        if isinstance(value, str):
            yield key, value
        elif isinstance(value, dict):
            # What the model's own code is told is its own matter; as a text it would be a place.
            pending += [
                (each, inner)
                for each, inner in value.items()
                if each != "model_config" or not isinstance(inner, dict)
            ]
        elif isinstance(value, list):
            pending += [(key, inner) for inner in value]
    raise ValueError(f"it has more than {_MAX_METADATA_NODES} values")


def _feature_types(candidate: MlflowCandidate, model: "Model") -> dict[str, str]:
    """Hold the model's signature against the declared features; return its types by name."""
    schema = model.get_input_schema()  # type: ignore[no-untyped-call] # MLflow's lack
    if schema is None or schema.is_tensor_spec() or not schema.has_input_names():
        return {}
    inputs = {spec.name: spec for spec in schema.inputs}
    required = [name for name, spec in inputs.items() if spec.required]
    # MLflow puts columns into the signature's order, and lets optional ones be absent.
    optional = [name for name in inputs if name in candidate.features and name not in required]
    check_names(candidate, [*required, *optional], ordered=False)
    return {
        name: str(getattr(inputs[name].type, "name", inputs[name].type))
        for name in candidate.features
    }


def _read_flavor(
    candidate: MlflowCandidate,
    flavors: dict[str, dict[str, Any]],
    folder: FolderCopy,
    task: Task,
) -> Any:
    """Read a safe flavour by our own reader, and let MLflow load what is trusted."""
    sklearn = flavors.get("sklearn", {})
    if sklearn.get("serialization_format") == "skops":
        path = folder.path_of(sklearn.get("pickled_model"), said_by="MLmodel")
        return EstimatorScorer(candidate, read_skops(candidate, path.read_bytes()), task)
    if "onnx" in flavors:
        path = folder.path_of(flavors["onnx"].get("data"), said_by="MLmodel")
        place = path.relative_to(folder.root).as_posix()
        return OnnxScorer(candidate, path.read_bytes(), task, (folder, place))
    if candidate.trust != "pickle":
        raise candidate_error(
            candidate,
            f"to load a model of its flavours ({', '.join(sorted(flavors))}) is to run whatever"
            " code it holds",
            fix="save it in the skops format or as ONNX, or write `trust: pickle` if you trust"
            " its maker",
        )
    return _load_trusted(candidate, folder.root, task)


def _load_trusted(candidate: MlflowCandidate, folder: Path, task: Task) -> Any:
    """Let MLflow load it, and take the native model where that can be asked."""
    from mlflow import pyfunc

    try:
        # What MLflow would warn of is read out of the metadata of every installed package.
        loaded = pyfunc.load_model(str(folder), suppress_warnings=True)
    except Exception as error:
        raise candidate_error(
            candidate,
            f"MLflow cannot load it ({type(error).__name__}: {error})",
            fix="save the model again with the installed versions of its libraries",
        ) from error
    try:
        native = loaded.get_raw_model()
    except NotImplementedError:
        native = None
    if hasattr(native, "predict_proba") and task.method == "predict_proba":
        return EstimatorScorer(candidate, native, task)
    return _PyfuncScorer(candidate, loaded, task)


class _PyfuncScorer:
    """A model of which only MLflow's own `predict` is known."""

    def __init__(self, candidate: MlflowCandidate, model: Any, task: Task) -> None:
        self._candidate = candidate
        self._model = model
        self._task = task

    def score(self, features: pd.DataFrame) -> np.ndarray:
        from mlflow.exceptions import MlflowException

        try:
            output = self._model.predict(features)
        except MlflowException as error:
            raise candidate_error(
                self._candidate,
                f"MLflow refuses its features ({error.message})",
                fix="declare the types of the model's signature, or save it with another one",
            ) from error
        if isinstance(output, pd.DataFrame) and len(output.columns) > 1:
            names: list[Any] = list(output.columns)
            classes = self._candidate.classes
            # Columns that bear no class as their name are in the order of `classes`.
            is_named = names != list(range(len(names)))
            if is_named and (not classes or set(names) == set(classes)):
                columns = [output.iloc[:, place].to_numpy() for place in range(len(names))]
                return self._task.scores_of_columns(self._candidate, names, columns)
        array = np.asarray(output)
        return self._task.scores_of_array(self._candidate, self._candidate.classes, array)


class MlflowAdapter(Adapter[MlflowCandidate, FolderCopy]):
    """Models of an MLflow registry, of a run, or in a folder."""

    libraries = ("mlflow.pyfunc", "sklearn")

    def read(self, artifact: Artifact[MlflowCandidate], /) -> Reading[FolderCopy]:
        """Copy the model's files while they are hashed."""
        candidate = artifact.candidate
        version = _version_of(artifact)
        with _folder(artifact, version) as folder:
            content = FolderCopy(candidate, folder)
        digest = content.digest
        if version is not None:
            digest = version.digest(None if version.folder is None else content.digest)
        return Reading(digest, content, content.digest)

    def load(self, candidate: MlflowCandidate, content: FolderCopy, task: Task, /) -> MlflowScorer:
        return MlflowScorer(candidate, content, task)

    def digest(self, artifact: Artifact[MlflowCandidate], /) -> str:
        """Return the digest of the model's files, or of its version in a registry."""
        version = _version_of(artifact)
        # From a remote store the whole model would have to be fetched at every look.
        if version is not None and version.folder is None:
            return version.digest(None)
        with _folder(artifact, version) as folder:
            digest = folder_digest(artifact.candidate, folder)
        return digest if version is None else version.digest(digest)


ADAPTERS[MlflowCandidate] = MlflowAdapter()


class _Version(NamedTuple):
    """A version in a registry, and where its files lie if that is a disk of this machine."""

    known_by: dict[str, Any]
    folder: Path | None

    @property
    def address(self) -> str:
        """Its address, by number."""
        return f"models:/{self.known_by['name']}/{self.known_by['version']}"

    def digest(self, files: str | None) -> str:
        """Return the version's digest, with that of its files where anybody may change them."""
        return digest_of(self.known_by | ({} if files is None else {"files": files}))


def _version_of(artifact: Artifact[MlflowCandidate]) -> _Version | None:
    """Ask the registry for the version that it is now; None where it is in no registry."""
    registered = artifact.candidate.registered_model
    if registered is None:
        return None
    from mlflow.exceptions import MlflowException
    from mlflow.tracking import MlflowClient
    from sqlalchemy.exc import SQLAlchemyError

    _check_is_made(artifact.candidate, artifact.tracking_uri)
    # A registry's versions do not change by MLflow's own means, so that one is known by its name,
    # number and time, and an alias by the version that it stands for now.
    name = registered.name
    try:
        client = MlflowClient(tracking_uri=artifact.tracking_uri)
        version = (
            client.get_model_version_by_alias(name, registered.alias)
            if registered.alias
            else client.get_model_version(name, registered.version)
        )
        address = client.get_model_version_download_uri(name, str(version.version))
    except (MlflowException, SQLAlchemyError) as error:
        raise _missing_error(artifact.candidate, error) from error
    # The times differ where a model was deleted and another one registered under its name.
    known_by = {
        "name": name,
        "version": str(version.version),
        "created": int(version.creation_timestamp),
        "run": str(version.run_id or ""),
    }
    return _Version(known_by, _folder_here(address))


@contextmanager
def _folder(artifact: Artifact[MlflowCandidate], version: _Version | None) -> Iterator[Path]:
    """Give the folder of the model's files, fetched for a while where it is not here."""
    candidate = artifact.candidate
    if version is not None and version.folder is not None:
        if not version.folder.is_dir():
            raise candidate_error(
                candidate,
                f"the registry knows {candidate.model}, and its files are not in {version.folder}",
                fix="restore the artifact store, or register the model again",
            )
        yield version.folder
    elif ":/" not in candidate.model:
        yield _local_folder(candidate, artifact.home)
    else:
        address = candidate.model if version is None else version.address
        with _downloaded(candidate, address, artifact.tracking_uri) as folder:
            yield folder


def _folder_here(address: str) -> Path | None:
    """Return the folder that a store's address means; None where the store is remote."""
    parts = urlsplit(address)
    if not parts.scheme:
        # MLflow decodes a plain path as well.
        return Path(url2pathname(address))
    is_local = parts.scheme == "file" and parts.hostname in _LOCAL_HOSTS
    return Path(url2pathname(parts.path)) if is_local else None
