"""An MLflow model: out of a registry, a run or a folder.

A model in the skops format and an ONNX model are read by our own readers, which run no code of
theirs. Every other flavour is loaded by MLflow, and that is to unpickle it.
"""

import os
import shutil
import tempfile
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit
from urllib.request import url2pathname

import numpy as np
import pandas as pd

from evaluator.candidates._adapter import ADAPTERS, Adapter, Artifact
from evaluator.candidates._faults import candidate_error, check_names, is_text, type_error
from evaluator.candidates._kinds._onnx import OnnxScorer
from evaluator.candidates._kinds._sklearn import EstimatorScorer, read_skops
from evaluator.errors import CandidateError
from evaluator.evidence import digest_of, digest_of_file
from evaluator.spec import MlflowCandidate, RegisteredModel, Task

if TYPE_CHECKING:
    from mlflow.models import Model

_TRACKING_URI: Final = "MLFLOW_TRACKING_URI"
_TRACKING_LOCK: Final = Lock()
_NUMERIC_TYPES: Final = ("integer", "long", "float", "double")
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


def _downloaded(candidate: MlflowCandidate, tracking_uri: str | None, into: Path) -> Path:
    from mlflow.artifacts import download_artifacts
    from mlflow.exceptions import MlflowException

    try:
        with _served_by(tracking_uri):
            return Path(download_artifacts(artifact_uri=candidate.model, dst_path=str(into)))
    except (MlflowException, OSError) as error:
        raise _missing_error(candidate, error) from error


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


def _missing_error(candidate: MlflowCandidate, error: Exception) -> CandidateError:
    return candidate_error(
        candidate,
        f"MLflow does not give {candidate.model} ({error})",
        fix="correct `model`, or the tracking server under MLFLOW_TRACKING_URI",
    )


class MlflowScorer:
    """An MLflow model of any flavour, whose files must stay where they are."""

    def __init__(self, candidate: MlflowCandidate, folder: Path, task: Task) -> None:
        from mlflow.models import Model

        if not (folder / "MLmodel").is_file():
            raise candidate_error(
                candidate,
                f"there is no file MLmodel in {candidate.model}, so it is no MLflow model",
                fix="save the model with MLflow, or correct `model`",
            )
        model = Model.load(str(folder))
        self._candidate = candidate
        self._types = _feature_types(candidate, model)
        self._inner = _read_flavor(candidate, model, folder, task)

    def score(self, features: pd.DataFrame) -> np.ndarray:
        for name, expected in self._types.items():
            column = features[name]
            if expected in _NUMERIC_TYPES and is_text(column):
                raise type_error(self._candidate, column, f"numbers ({expected})")
            if expected == "string" and not is_text(column) and column.notna().any():
                raise type_error(self._candidate, column, "texts")
        score: np.ndarray = self._inner.score(features)
        return score


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


def _read_flavor(candidate: MlflowCandidate, model: "Model", folder: Path, task: Task) -> Any:
    """Read a safe flavour by our own reader, and let MLflow load what is trusted."""
    sklearn = model.flavors.get("sklearn", {})
    if sklearn.get("serialization_format") == "skops":
        estimator = read_skops(candidate, folder / sklearn["pickled_model"])
        return EstimatorScorer(candidate, estimator, task)
    if "onnx" in model.flavors:
        content = (folder / model.flavors["onnx"]["data"]).read_bytes()
        return OnnxScorer(candidate, content, task)
    if candidate.trust != "pickle":
        flavours = ", ".join(sorted(model.flavors))
        raise candidate_error(
            candidate,
            f"to load a model of its flavours ({flavours}) is to run whatever code it holds",
            fix="save it in the skops format or as ONNX, or write `trust: pickle` if you trust"
            " its maker",
        )
    return _load_trusted(candidate, folder, task)


def _load_trusted(candidate: MlflowCandidate, folder: Path, task: Task) -> Any:
    """Let MLflow load it, and take the native model where that has `predict_proba`."""
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
    if hasattr(native, "predict_proba"):
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
                output = self._task.scores_of_columns(self._candidate, names, columns)
        array = np.asarray(output)
        return self._task.scores_of_array(self._candidate, self._candidate.classes, array)


class MlflowAdapter(Adapter[MlflowCandidate]):
    """Models of an MLflow registry, of a run, or in a folder."""

    libraries = ("mlflow.pyfunc", "sklearn")

    def load(self, artifact: Artifact[MlflowCandidate], task: Task, /) -> MlflowScorer:
        candidate = artifact.candidate
        if ":/" not in candidate.model:
            return MlflowScorer(candidate, _local_folder(candidate, artifact.home), task)
        temporary = Path(tempfile.mkdtemp(prefix="evaluator-mlflow-"))
        try:
            folder = _downloaded(candidate, artifact.tracking_uri, temporary)
            scorer = MlflowScorer(candidate, folder, task)
        except BaseException:
            shutil.rmtree(temporary, ignore_errors=True)
            raise
        # A model may read its files as late as it predicts.
        weakref.finalize(scorer, shutil.rmtree, temporary, ignore_errors=True)
        return scorer

    def digest(self, artifact: Artifact[MlflowCandidate], /) -> str:
        """Return the digest of the model's files, or of its version in a registry."""
        candidate, tracking_uri = artifact.candidate, artifact.tracking_uri
        if ":/" not in candidate.model:
            return _folder_digest(_local_folder(candidate, artifact.home))
        if candidate.registered_model is None:
            with tempfile.TemporaryDirectory(prefix="evaluator-mlflow-") as temporary:
                return _folder_digest(_downloaded(candidate, tracking_uri, Path(temporary)))
        return _version_digest(candidate, candidate.registered_model, tracking_uri)


ADAPTERS[MlflowCandidate] = MlflowAdapter()


def _version_digest(
    candidate: MlflowCandidate, registered: RegisteredModel, tracking_uri: str | None
) -> str:
    from mlflow.exceptions import MlflowException
    from mlflow.tracking import MlflowClient

    # A registry's versions do not change by MLflow's own means, so that one is known by its name,
    # number and time, and an alias by the version that it stands for now.
    client = MlflowClient(tracking_uri=tracking_uri)
    name = registered.name
    try:
        version = (
            client.get_model_version_by_alias(name, registered.alias)
            if registered.alias
            else client.get_model_version(name, registered.version)
        )
        address = client.get_model_version_download_uri(name, str(version.version))
    except MlflowException as error:
        raise _missing_error(candidate, error) from error
    # The times differ where a model was deleted and another one registered under its name.
    content = {
        "name": name,
        "version": str(version.version),
        "created": int(version.creation_timestamp),
        "run": str(version.run_id or ""),
    }
    # Files on a disk of this machine anybody may change, so that they are part of the digest; from
    # a remote store the whole model would have to be fetched at every look.
    folder = _folder_here(address)
    if folder is not None:
        content["files"] = _stored_digest(candidate, folder)
    return digest_of(content)


def _folder_here(address: str) -> Path | None:
    """Return the folder that a store's address means; None where the store is remote."""
    parts = urlsplit(address)
    if not parts.scheme:
        # MLflow decodes a plain path as well.
        return Path(url2pathname(address))
    is_local = parts.scheme == "file" and parts.hostname in _LOCAL_HOSTS
    return Path(url2pathname(parts.path)) if is_local else None


def _stored_digest(candidate: MlflowCandidate, folder: Path) -> str:
    if not folder.is_dir():
        raise candidate_error(
            candidate,
            f"the registry knows {candidate.model}, and its files are not in {folder}",
            fix="restore the artifact store, or register the model again",
        )
    return _folder_digest(folder)


def _folder_digest(folder: Path) -> str:
    """Return the digest of the files below a folder and of their paths there."""
    digests = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            digests[path.relative_to(folder).as_posix()] = digest_of_file(path)
    return digest_of(digests)
