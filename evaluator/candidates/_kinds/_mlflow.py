"""An MLflow model: out of a registry, a run or a folder.

A model in the skops format and an ONNX model are read by our own readers, which run no code of
theirs. Every other flavour is loaded by MLflow, and that is to unpickle it.
"""

import hashlib
import os
import shutil
import tempfile
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

import numpy as np
import pandas as pd

from evaluator.candidates._faults import candidate_error
from evaluator.candidates._kinds._onnx import OnnxScorer
from evaluator.candidates._kinds._sklearn import EstimatorScorer, read_skops
from evaluator.candidates._output_checks import (
    check_names,
    is_text,
    positive_column,
    positive_from_array,
    wrong_type,
)
from evaluator.errors import CandidateError
from evaluator.evidence import digest_of
from evaluator.spec import LabelValue, MlflowCandidate

if TYPE_CHECKING:
    from mlflow.models import Model

_VARIABLE = "MLFLOW_TRACKING_URI"
_ONE_AT_A_TIME = Lock()
_NUMBERS = ("integer", "long", "float", "double")
_HERE = (None, ".", "localhost", "127.0.0.1")


class MlflowScorer:
    """An MLflow model of any flavour.

    Parameters
    ----------
    candidate
        What the YAML says of it.
    folder
        The model's files, which must stay there.
    positive
        The label's positive value.

    Raises
    ------
    CandidateError
        Where it needs to be trusted and is not, cannot be read, gives no probabilities, or was
        made for other columns than the declared ones.
    """

    def __init__(self, candidate: MlflowCandidate, folder: Path, positive: LabelValue) -> None:
        from mlflow.models import Model

        if not (folder / "MLmodel").is_file():
            raise candidate_error(
                candidate,
                f"there is no file MLmodel in {candidate.model}, so it is no MLflow model",
                fix="save the model with MLflow, or correct `model`",
            )
        model = Model.load(str(folder))
        self._candidate = candidate
        self._types = _types(candidate, model)
        self._inner = _inner(candidate, model, folder, positive)

    def score(self, features: pd.DataFrame) -> np.ndarray:
        """Return the probability of the positive class, shape (n,)."""
        for name, wanted in self._types.items():
            column = features[name]
            if wanted in _NUMBERS and is_text(column):
                raise wrong_type(self._candidate, column, f"numbers ({wanted})")
            if wanted == "string" and not is_text(column) and column.notna().any():
                raise wrong_type(self._candidate, column, "texts")
        score: np.ndarray = self._inner.score(features)
        return score


class _PyfuncScorer:
    """A model of which only MLflow's own `predict` is known."""

    def __init__(self, candidate: MlflowCandidate, model: Any, positive: LabelValue) -> None:
        self._candidate = candidate
        self._model = model
        self._positive = positive

    def score(self, features: pd.DataFrame) -> np.ndarray:
        from mlflow.exceptions import MlflowException

        try:
            given = self._model.predict(features)
        except MlflowException as error:
            raise candidate_error(
                self._candidate,
                f"MLflow refuses its features ({error.message})",
                fix="declare the types of the model's signature, or save it with another one",
            ) from error
        if isinstance(given, pd.DataFrame) and len(given.columns) > 1:
            names: list[Any] = list(given.columns)
            # Columns that bear no names are in the order of `classes`.
            if names != list(range(len(names))) and not self._candidate.classes:
                column = positive_column(self._candidate, names, self._positive)
                return positive_from_array(
                    self._candidate, given.iloc[:, column].to_numpy(), self._positive
                )
        return positive_from_array(self._candidate, np.asarray(given), self._positive)


def load_mlflow(
    candidate: MlflowCandidate, home: Path, positive: LabelValue, tracking_uri: str | None
) -> MlflowScorer:
    """Fetch an MLflow model and read it; see `MlflowScorer`."""
    if ":/" not in candidate.model:
        return MlflowScorer(candidate, _local_folder(candidate, home), positive)
    temporary = Path(tempfile.mkdtemp(prefix="evaluator-mlflow-"))
    try:
        folder = _downloaded(candidate, tracking_uri, temporary)
        scorer = MlflowScorer(candidate, folder, positive)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    # A model may read its files as late as it predicts.
    weakref.finalize(scorer, shutil.rmtree, temporary, ignore_errors=True)
    return scorer


def mlflow_digest(candidate: MlflowCandidate, home: Path, tracking_uri: str | None) -> str:
    """Digest of the model: of its registry's version, or of its files.

    A registry's versions do not change by MLflow's own means, so that one is known by its name,
    number and time, and an alias by the version that it stands for now. Where its files lie on a
    disk of this machine anybody may change them, so that they are part of the digest; from a
    remote store the whole model would have to be fetched at every look.
    """
    if ":/" not in candidate.model:
        return _folder_digest(_local_folder(candidate, home))
    if not candidate.model.startswith("models:/"):
        with tempfile.TemporaryDirectory(prefix="evaluator-mlflow-") as temporary:
            return _folder_digest(_downloaded(candidate, tracking_uri, Path(temporary)))
    from mlflow.exceptions import MlflowException
    from mlflow.tracking import MlflowClient

    client = MlflowClient(tracking_uri=tracking_uri)
    name, alias, number = _registered(candidate.model)
    try:
        version = (
            client.get_model_version_by_alias(name, alias)
            if alias
            else client.get_model_version(name, number)
        )
        address = client.get_model_version_download_uri(name, str(version.version))
    except MlflowException as error:
        raise _not_there(candidate, error) from error
    # The times differ where a model was deleted and another one registered under its name.
    told = {
        "name": name,
        "version": str(version.version),
        "created": int(version.creation_timestamp),
        "run": str(version.run_id or ""),
    }
    folder = _folder_here(address)
    return digest_of(told if folder is None else told | {"files": _stored(candidate, folder)})


def _folder_here(address: str) -> Path | None:
    """Return the folder that a store's address means; None where the store is remote."""
    parts = urlsplit(address)
    if not parts.scheme:
        # MLflow decodes a plain path as well.
        return Path(url2pathname(address))
    is_here = parts.scheme == "file" and parts.hostname in _HERE
    return Path(url2pathname(parts.path)) if is_here else None


def _stored(candidate: MlflowCandidate, folder: Path) -> str:
    if not folder.is_dir():
        raise candidate_error(
            candidate,
            f"the registry knows {candidate.model}, and its files are not in {folder}",
            fix="restore the artifact store, or register the model again",
        )
    return _folder_digest(folder)


def _registered(address: str) -> tuple[str, str, str]:
    """Split `models:/name@alias` or `models:/name/version` into name, alias and version."""
    words = address.removeprefix("models:/")
    if "@" in words:
        name, _, alias = words.partition("@")
        return name, alias, ""
    name, _, number = words.partition("/")
    return name, "", number


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
        raise _not_there(candidate, error) from error


@contextmanager
def _served_by(tracking_uri: str | None) -> Iterator[None]:
    """Make this MLflow's server for a while.

    A model of a run or a registry leads to further addresses, which MLflow asks its global server
    for, whatever server it was told to download from.
    """
    import mlflow

    if tracking_uri is None:
        yield
        return
    with _ONE_AT_A_TIME:
        before = os.environ.get(_VARIABLE)
        mlflow.set_tracking_uri(tracking_uri)
        try:
            yield
        finally:
            # That takes the variable away as well, which is what was told before.
            mlflow.set_tracking_uri(None)  # type: ignore[arg-type] # undocumented, and tested
            if before is not None:
                os.environ[_VARIABLE] = before


def _not_there(candidate: MlflowCandidate, error: Exception) -> CandidateError:
    return candidate_error(
        candidate,
        f"MLflow does not give {candidate.model} ({error})",
        fix="correct `model`, or the tracking server under MLFLOW_TRACKING_URI",
    )


def _types(candidate: MlflowCandidate, model: "Model") -> dict[str, str]:
    """Hold the model's signature against the declared features; return its types by name."""
    schema = model.get_input_schema()  # type: ignore[no-untyped-call] # MLflow's lack
    if schema is None or schema.is_tensor_spec() or not schema.has_input_names():
        return {}
    taken = {spec.name: spec for spec in schema.inputs}
    needed = [name for name, spec in taken.items() if spec.required]
    # MLflow puts columns into the signature's order, and lets optional ones be absent.
    optional = [name for name in taken if name in candidate.features and name not in needed]
    check_names(candidate, [*needed, *optional], ordered=False)
    return {
        name: str(getattr(taken[name].type, "name", taken[name].type))
        for name in candidate.features
    }


def _inner(candidate: MlflowCandidate, model: "Model", folder: Path, positive: LabelValue) -> Any:
    sklearn = model.flavors.get("sklearn", {})
    if sklearn.get("serialization_format") == "skops":
        estimator = read_skops(candidate, folder / sklearn["pickled_model"])
        return EstimatorScorer(candidate, estimator, positive)
    if "onnx" in model.flavors:
        content = (folder / model.flavors["onnx"]["data"]).read_bytes()
        return OnnxScorer(candidate, content, positive)
    if candidate.trust != "pickle":
        flavours = ", ".join(sorted(model.flavors))
        raise candidate_error(
            candidate,
            f"to load a model of its flavours ({flavours}) is to run whatever code it holds",
            fix="save it in the skops format or as ONNX, or write `trust: pickle` if you trust"
            " its maker",
        )
    return _loaded(candidate, folder, positive)


def _loaded(candidate: MlflowCandidate, folder: Path, positive: LabelValue) -> Any:
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
        return EstimatorScorer(candidate, native, positive)
    return _PyfuncScorer(candidate, loaded, positive)


def _folder_digest(folder: Path) -> str:
    """Digest of the files below a folder, by their paths there."""
    digests = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            with path.open("rb") as file:
                name = path.relative_to(folder).as_posix()
                digests[name] = hashlib.file_digest(file, "sha256").hexdigest()
    return digest_of(digests)
