"""A pickle is read where it is trusted and its bytes are those that were pinned."""

import hashlib
import io
import json
import os
import pickle
import zipfile
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import pytest
import skops
from sklearn.linear_model import LogisticRegression

from evaluator.candidates import artifact_digest, load_scorer
from evaluator.errors import CandidateError
from evaluator_tests.candidates.conftest import candidate_of, task_of

CASES = pd.DataFrame({"x": [0.0, 1.0, 2.0, 3.0] * 10, "y": [1.0, 0.0, 1.0, 0.0] * 10})
MODEL = LogisticRegression().fit(CASES, CASES["x"] > 1.5)


class Trap:
    """Leaves a file behind as soon as it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.path),)


def pinned(path: Path, sha256: str | None = None) -> Any:
    return candidate_of(
        kind="pickle",
        trust="pickle",
        path=str(path),
        sha256=sha256 or hashlib.sha256(path.read_bytes()).hexdigest(),
    )


@pytest.mark.parametrize("form", ["pickle", "joblib", "compressed joblib"])
def test_a_pinned_file_scores_as_the_model_in_memory(form: str, tmp_path: Path) -> None:
    path = tmp_path / "model.pkl"
    if form == "pickle":
        path.write_bytes(pickle.dumps(MODEL))
    else:
        joblib.dump(MODEL, path, compress=3 if form.startswith("compressed") else 0)

    scores = load_scorer(pinned(path), tmp_path, task=task_of()).score(CASES)

    assert np.array_equal(scores, MODEL.predict_proba(CASES)[:, 1])
    assert artifact_digest(pinned(path), tmp_path) == pinned(path).sha256


def test_not_a_byte_is_unpickled_of_a_file_that_is_not_the_pinned_one(tmp_path: Path) -> None:
    path, trace = tmp_path / "model.pkl", tmp_path / "trace"
    path.write_bytes(pickle.dumps(Trap(trace)))

    with pytest.raises(CandidateError) as caught:
        load_scorer(pinned(path, "0" * 64), tmp_path, task=task_of())

    assert not trace.exists()
    assert caught.value.culprit == "candidate one"
    assert hashlib.sha256(path.read_bytes()).hexdigest() in caught.value.what
    assert "nothing of it was read" in caught.value.what


def test_the_trap_would_have_gone_off(tmp_path: Path) -> None:
    path, trace = tmp_path / "model.pkl", tmp_path / "trace"
    path.write_bytes(pickle.dumps(Trap(trace)))

    with pytest.raises(CandidateError, match="NoneType has no predict_proba"):
        load_scorer(pinned(path), tmp_path, task=task_of())

    assert trace.exists()


def hostile_files(trap: Trap) -> dict[str, bytes]:
    """Make files whose readers would run code if they believed them."""
    packed, skops_file = io.BytesIO(), io.BytesIO()
    joblib.dump(trap, packed, compress=3)
    with zipfile.ZipFile(skops_file, "w") as archive:
        archive.writestr("schema.json", json.dumps({"__class__": "str"}))
        archive.writestr("1.pickle", pickle.dumps(trap))
    return {
        "pickle": pickle.dumps(trap),
        "text pickle": pickle.dumps(trap, protocol=0),
        "joblib": packed.getvalue(),
        "zip with a pickle": skops_file.getvalue(),
        **{f"skops, {name}": _skops_that(node) for name, node in _calls(trap.path).items()},
    }


def _calls(trace: Path) -> dict[str, dict[str, Any]]:
    """Spell calls of `os.mkdir` as the nodes of a skops file, as honest ones are spelt."""
    text = {"__class__": "str", "__module__": "builtins", "__loader__": "JsonNode"}
    path = {**text, "content": json.dumps(str(trace)), "is_json": True, "__id__": 2}
    arguments = {"__class__": "tuple", "__module__": "builtins", "__loader__": "TupleNode"}
    arguments |= {"content": [path], "__id__": 3}
    mkdir = {"__class__": "mkdir", "__module__": "os", "__id__": 4}
    return {
        "a reduction": {**mkdir, "__loader__": "ReduceNode", "__reduce__": {"args": arguments}},
        "an object": {**mkdir, "__loader__": "ObjectNode", "content": arguments},
        "a type": {**mkdir, "__loader__": "TypeNode"},
        "a function": {**mkdir, "__loader__": "FunctionNode", "content": "mkdir"},
        "an operator": {
            "__class__": "methodcaller",
            "__module__": "operator",
            "__loader__": "OperatorFuncNode",
            "attrs": arguments,
            "__id__": 5,
        },
        "no node that there is": {**mkdir, "__loader__": "os.mkdir", "content": arguments},
    }


def _skops_that(node: dict[str, Any]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        schema = {**node, "protocol": 2, "_skops_version": skops.__version__}
        archive.writestr("schema.json", json.dumps(schema))
    return file.getvalue()


@pytest.mark.parametrize("kind", ["skops", "onnx", "mlflow"])
def test_of_hostile_models_no_code_is_run(kind: str, tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    for name, content in hostile_files(Trap(trace)).items():
        path = tmp_path / "model"
        if kind == "mlflow":
            path.mkdir(exist_ok=True)
            flavour = "model.skops" if name.startswith("skops") else "model.pkl"
            form = "skops" if name.startswith("skops") else "pickle"
            told = f"pickled_model: {flavour}, serialization_format: {form}, sklearn_version: '1'"
            (path / "MLmodel").write_text(f"flavors: {{sklearn: {{{told}}}}}\n")
            (path / flavour).write_bytes(content)
        else:
            path.write_bytes(content)
        place = {"model": str(path), "path": None} if kind == "mlflow" else {"path": str(path)}
        with pytest.raises(CandidateError):
            load_scorer(candidate_of(kind=kind, **place), tmp_path, task=task_of())
        assert not trace.exists(), name


def test_a_pinned_file_that_is_no_pickle_is_named(tmp_path: Path) -> None:
    path = tmp_path / "model.pkl"
    path.write_bytes(b"no pickle")

    with pytest.raises(CandidateError, match="cannot be unpickled"):
        load_scorer(pinned(path), tmp_path, task=task_of())


def test_an_artifact_that_was_exchanged_after_it_was_observed_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.pkl"
    path.write_bytes(pickle.dumps(MODEL))
    candidate = pinned(path)
    observed = artifact_digest(candidate, tmp_path)

    load_scorer(candidate, tmp_path, task=task_of(), digest=observed)
    with pytest.raises(CandidateError, match="was exchanged since it was observed"):
        load_scorer(candidate, tmp_path, task=task_of(), digest="0" * 64)
