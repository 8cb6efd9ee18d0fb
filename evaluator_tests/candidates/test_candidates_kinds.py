"""A kind of candidate is its YAML's model and its adapter: nothing else asks which kind it is."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import pandas as pd
import pytest

from evaluator.candidates import (
    Adapter,
    adapter_of,
    artifact_digest,
    artifact_stamp,
    load_scorer,
    open_scorer,
    predict,
)
from evaluator.candidates._adapter import ADAPTERS, FileAdapter
from evaluator.spec import CandidateSpec, FeatureCandidate
from evaluator.spec._base import kind_of
from evaluator_tests.candidates import scoring_server
from evaluator_tests.candidates.conftest import candidate_of, task_of
from evaluator_tests.candidates.worlds import MAKERS, World

MODELS = {
    kind_of(model): model
    for tagged in get_args(get_args(CandidateSpec)[0])
    for model in get_args(tagged)[:1]
}
CASES = pd.DataFrame({"id": [10, 11], "label": [0, 1], "data.x": [1.0, 2.0], "data.y": [0.0, 0.0]})


@pytest.fixture(params=MODELS)
def made(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Any]:
    """Make a candidate of each kind that scores x / 10, in a process of its own."""
    told = {"isolate": "process"}
    if request.param in MAKERS:
        yield World(request.param, tmp_path).candidate(**told)
    else:
        with scoring_server.running() as server:
            yield candidate_of(kind=request.param, url=server.url, version="1", path=None, **told)


def test_every_kind_has_exactly_one_adapter() -> None:
    assert ADAPTERS.keys() == set(MODELS.values())
    assert len({type(adapter) for adapter in ADAPTERS.values()}) == len(MODELS)


@pytest.mark.filterwarnings("ignore:.*Any type hint is inferred:UserWarning")
def test_a_candidate_of_every_kind_is_known_loaded_and_run(made: Any, tmp_path: Path) -> None:
    digest = artifact_digest(made, tmp_path)
    assert len(bytes.fromhex(digest)) == 32
    stamp = artifact_stamp(made, tmp_path)
    assert stamp == artifact_stamp(made, tmp_path)
    assert all(isinstance(number, int) for number in stamp)
    assert isinstance(adapter_of(made), Adapter)

    here = predict(
        made, load_scorer(made, tmp_path, task=task_of(), digest=digest), CASES, task=task_of()
    )
    with open_scorer(made, tmp_path, task=task_of(), digest=digest) as scorer:
        there = predict(made, scorer, CASES, task=task_of())

    assert here["score"].tolist() == pytest.approx([0.1, 0.2])
    pd.testing.assert_frame_equal(there, here)


class ConstantCandidate(FeatureCandidate):
    """A candidate whose artifact is a number."""

    kind: Literal["constant"] = "constant"
    file: str

    @property
    def source(self) -> str:
        return self.file


class Constant:
    """Gives every case the same score."""

    def __init__(self, value: float) -> None:
        self.value = value

    def score(self, features: pd.DataFrame) -> np.ndarray:
        return np.full(len(features), self.value)


class ConstantAdapter(FileAdapter[ConstantCandidate]):
    """Reads the number."""

    def load(self, _candidate: Any, content: bytes, _task: Any, /) -> Constant:
        return Constant(float(content))


def test_a_further_kind_is_its_model_and_its_adapter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(ADAPTERS, ConstantCandidate, ConstantAdapter())
    candidate: Any = ConstantCandidate(name="one", features=("x",), file="number")
    (tmp_path / "number").write_text("0.7")

    digest = artifact_digest(candidate, tmp_path)
    with open_scorer(candidate, tmp_path, task=task_of(), digest=digest) as scorer:
        predicted = predict(candidate, scorer, CASES, task=task_of())

    assert predicted["score"].tolist() == [0.7, 0.7]
    assert artifact_stamp(candidate, tmp_path)[0] == len("0.7")
    assert adapter_of(candidate).artifact_is_file
    (tmp_path / "number").write_text("0.8")
    assert artifact_digest(candidate, tmp_path) != digest
