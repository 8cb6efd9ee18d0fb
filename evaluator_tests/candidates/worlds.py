"""A candidate of each kind whose artifact is a file or folder, and can be broken."""

import hashlib
import pickle
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
import skops.io

from evaluator.candidates import artifact_digest
from evaluator.spec import CandidateSpec
from evaluator_tests.candidates.conftest import candidate_of
from evaluator_tests.candidates.frail import Frail
from evaluator_tests.candidates.frail_graph import write_graph

with warnings.catch_warnings():
    # MLflow reads the types of the arguments, and asks for narrower ones.
    warnings.simplefilter("ignore")

    class Given(mlflow.pyfunc.PythonModel):
        """A model of one's own, which gives what it was made with."""

        def __init__(self, given: Any) -> None:
            self.given = given

        def predict(self, context: Any, model_input: pd.DataFrame, params: Any = None) -> Any:  # noqa: ARG002 - MLflow's names
            assert len(model_input)
            return self.given


def own(folder: Path, given: Any, **told: Any) -> Path:
    mlflow.pyfunc.save_model(str(folder), python_model=Given(given), pip_requirements=[], **told)
    return folder


class World:
    """A candidate of some kind with an artifact that can be broken."""

    def __init__(self, kind: str, home: Path) -> None:
        self.kind = kind
        self.home = home
        self.path = home / f"model.{'csv' if kind == 'recorded' else kind}"
        self.make()

    def make(self, divisor: float = 10.0) -> None:
        """Write the artifact."""
        MAKERS[self.kind](self.path, divisor)

    def candidate(self, **told: Any) -> CandidateSpec:
        """Make the candidate; where its bytes are pinned, they are those that are there."""
        told = {"kind": self.kind, "path": self.path.name, **told}
        if self.kind == "skops":
            told["trusted_types"] = ["evaluator_tests.candidates.frail.Frail"]
        if self.kind == "mlflow":
            told |= {"path": None, "model": self.path.name, "trust": "pickle"}
        if self.kind == "pickle":
            told["trust"] = "pickle"
            told.setdefault("sha256", hashlib.sha256(self.path.read_bytes()).hexdigest())
        if self.kind == "recorded":
            told["features"] = None
        return candidate_of(**told)

    def digest(self) -> str:
        """Tell which artifact is there."""
        return artifact_digest(self.candidate(), self.home)

    def remove(self) -> None:
        """Take the artifact away."""
        if self.path.is_dir():
            shutil.rmtree(self.path)
        else:
            self.path.unlink()

    def corrupt(self) -> None:
        """Put bytes there that mean nothing."""
        path = self.path / "model.pkl" if self.path.is_dir() else self.path
        path.write_bytes(b"\xff\xfe no model")


def write_pickle(path: Path, divisor: float) -> None:
    """Pickle the classifier."""
    path.write_bytes(pickle.dumps(Frail(divisor)))


def write_mlflow(path: Path, divisor: float) -> None:
    """Save the classifier with MLflow, pickled."""
    shutil.rmtree(path, ignore_errors=True)
    mlflow.sklearn.save_model(
        Frail(divisor), str(path), serialization_format="pickle", pip_requirements=[]
    )


def write_recording(path: Path, divisor: float, change: str = "") -> None:
    """Record the outputs of the slices A, B and C, in whose middle something may be wrong."""
    rows = [(first + place, x / divisor) for first in (10, 20, 30) for place, x in OUTPUTS]
    text = "".join(f"{case},{score}\n" for case, score in rows)
    if change == "NaN outputs":
        text = text.replace("21,0.2\n", "21,\n")
    if change == "an id is missing":
        text = text.replace("21,0.2\n", "")
    if change == "too many outputs":
        text += "21,0.9\n"
    if change == "outputs reordered":
        text = "".join(sorted(text.splitlines(keepends=True), reverse=True))
    path.write_text("id,score\n" + text, encoding="utf-8")


OUTPUTS = tuple(enumerate((1.0, 2.0, 7.0)))
MAKERS: dict[str, Callable[[Path, float], None]] = {
    "skops": lambda path, divisor: skops.io.dump(Frail(divisor), path),
    "mlflow": write_mlflow,
    "onnx": write_graph,
    "pickle": write_pickle,
    "recorded": write_recording,
}
