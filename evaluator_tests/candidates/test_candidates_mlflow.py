"""MLflow models are found by every address, and read without running code where that can be."""

import os
import pickle
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import mlflow
import mlflow.onnx
import numpy as np
import pandas as pd
import pytest
from mlflow.models import infer_signature
from mlflow.tracking import MlflowClient
from skl2onnx import to_onnx
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression

from evaluator.candidates import adapter_of, artifact_digest, load_scorer
from evaluator.candidates._adapter import Artifact
from evaluator.candidates._kinds import _mlflow
from evaluator.candidates._kinds._mlflow import _folder_here
from evaluator.errors import CandidateError
from evaluator_tests.candidates.conftest import candidate_of, task_of
from evaluator_tests.candidates.worlds import own

pytestmark = [
    # MLflow warns of types in its own signatures, of examples that a caller need not give, and of
    # whole numbers that could be missing one day.
    pytest.mark.filterwarnings("ignore:.*Any type hint is inferred:UserWarning"),
    pytest.mark.filterwarnings("ignore:.*input example was not provided:UserWarning"),
    pytest.mark.filterwarnings("ignore:.*integer column:UserWarning"),
]

CASES = pd.DataFrame({"x": [0.0, 1.0, 2.0, 3.0] * 10, "y": [1.0, 0.0, 1.0, 0.0] * 10})
LATE = (CASES["x"] > 1.5).astype(int)
MODEL = LogisticRegression().fit(CASES, LATE)
OTHER = LogisticRegression(C=0.01).fit(CASES, LATE)
EXPECTED = MODEL.predict_proba(CASES)[:, 1]
NAME = "late_flights"


class Registry:
    """A registry with two versions of a model, the second of which is the champion."""

    def __init__(self, root: Path) -> None:
        self.uri = f"sqlite:///{root / 'mlflow.db'}"
        self.client = MlflowClient(tracking_uri=self.uri)
        experiment = self.client.create_experiment("e", (root / "artifacts").as_uri())
        mlflow.set_tracking_uri(self.uri)
        self.runs = []
        for model in (OTHER, MODEL):
            with mlflow.start_run(experiment_id=experiment) as run:
                mlflow.sklearn.log_model(
                    model,
                    name="model",
                    serialization_format="skops",
                    registered_model_name=NAME,
                    pip_requirements=[],
                )
            self.runs.append(run.info.run_id)
        self.client.set_registered_model_alias(NAME, "champion", "2")


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    before = mlflow.get_tracking_uri()
    made = Registry(tmp_path_factory.mktemp("registry"))
    # What reads has to be told which server it is.
    mlflow.set_tracking_uri(f"sqlite:///{tmp_path_factory.mktemp('other') / 'mlflow.db'}")
    yield made
    mlflow.set_tracking_uri(before)


def candidate(model: str | Path, **told: Any) -> Any:
    return candidate_of(kind="mlflow", model=str(model), path=None, **told)


def scores(
    model: str | Path, tracking_uri: str | None = None, *, home: Path = Path("/"), **told: Any
) -> Any:
    task = task_of(told.pop("positive", 1), told.pop("negative", None))
    made = candidate(model, **told)
    return load_scorer(made, home, task=task, tracking_uri=tracking_uri).score(CASES)


def refusal(model: str | Path, tracking_uri: str | None = None, **told: Any) -> CandidateError:
    with pytest.raises(CandidateError) as caught:
        scores(model, tracking_uri, **told)
    assert caught.value.culprit == "candidate one"
    return caught.value


def saved(folder: Path, model: Any = MODEL, form: str = "skops", **told: Any) -> Path:
    mlflow.sklearn.save_model(
        model, str(folder), serialization_format=form, pip_requirements=[], **told
    )
    return folder


def test_a_version_an_alias_and_a_run_name_the_model(registry: Registry) -> None:
    addresses = [f"models:/{NAME}/2", f"models:/{NAME}@champion", f"runs:/{registry.runs[1]}/model"]

    for address in addresses:
        assert np.array_equal(scores(address, registry.uri), EXPECTED)
    first = scores(f"models:/{NAME}/1", registry.uri)
    assert np.array_equal(first, OTHER.predict_proba(CASES)[:, 1])


def test_the_digest_is_that_of_the_version_an_alias_stands_for(registry: Registry) -> None:
    def digest(address: str) -> str:
        return artifact_digest(candidate(address), Path("/"), tracking_uri=registry.uri)

    second = digest(f"models:/{NAME}/2")
    assert digest(f"models:/{NAME}/1") != second
    assert digest(f"models:/{NAME}@champion") == second
    registry.client.set_registered_model_alias(NAME, "moving", "1")
    assert digest(f"models:/{NAME}@moving") == digest(f"models:/{NAME}/1")
    registry.client.set_registered_model_alias(NAME, "moving", "2")
    assert digest(f"models:/{NAME}@moving") == second
    runs = [digest(f"runs:/{run}/model") for run in registry.runs]
    assert len({*runs, second}) == 3
    assert digest(f"runs:/{registry.runs[0]}/model") == runs[0]


def test_an_alias_that_moved_after_it_was_observed_is_refused(registry: Registry) -> None:
    registry.client.set_registered_model_alias(NAME, "moved", "1")
    made = candidate(f"models:/{NAME}@moved")
    observed = artifact_digest(made, Path("/"), tracking_uri=registry.uri)
    registry.client.set_registered_model_alias(NAME, "moved", "2")

    with pytest.raises(CandidateError, match="was exchanged since it was observed"):
        load_scorer(made, Path("/"), task=task_of(), tracking_uri=registry.uri, digest=observed)


@pytest.mark.parametrize(
    "address", [f"models:/{NAME}/9", f"models:/{NAME}@nobody", "models:/none/1", "runs:/0/model"]
)
def test_a_model_that_is_not_in_the_registry_is_named(address: str, registry: Registry) -> None:
    assert f"MLflow does not give {address}" in refusal(address, registry.uri).what
    with pytest.raises(CandidateError, match="MLflow does not give"):
        artifact_digest(candidate(address), Path("/"), tracking_uri=registry.uri)


@pytest.mark.parametrize("address", ["models:/model/1", "runs:/0/model"])
def test_a_database_that_is_not_there_or_is_broken_is_told_and_none_is_made(
    address: str, tmp_path: Path
) -> None:
    database = tmp_path / "mlflow.db"
    said = refusal(address, f"sqlite:///{database}").what
    assert f"there is no database {database}" in said
    assert list(tmp_path.iterdir()) == []
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("CREATE TABLE datasets (halved TEXT)")
    assert f"MLflow does not give {address}" in refusal(address, f"sqlite:///{database}").what


def _stored(registry: Registry, version: str) -> Path:
    address = registry.client.get_model_version_download_uri(NAME, version)
    return Path(address.removeprefix("file://"))


def test_files_of_a_registered_model_that_were_changed_make_another_artifact(
    registry: Registry,
) -> None:
    made = candidate(f"models:/{NAME}/1")
    observed = artifact_digest(made, Path("/"), tracking_uri=registry.uri)
    file = _stored(registry, "1") / "model.skops"
    before = file.read_bytes()
    file.write_bytes((_stored(registry, "2") / "model.skops").read_bytes())
    try:
        assert artifact_digest(made, Path("/"), tracking_uri=registry.uri) != observed
        with pytest.raises(CandidateError, match="was exchanged since it was observed"):
            load_scorer(made, Path("/"), task=task_of(), tracking_uri=registry.uri, digest=observed)
    finally:
        file.write_bytes(before)
    assert artifact_digest(made, Path("/"), tracking_uri=registry.uri) == observed


def test_a_registered_model_whose_files_are_gone_is_absent(registry: Registry) -> None:
    folder = _stored(registry, "1")
    away = folder.rename(folder.with_name("away"))
    try:
        with pytest.raises(CandidateError, match="its files are not in") as caught:
            artifact_digest(candidate(f"models:/{NAME}/1"), Path("/"), tracking_uri=registry.uri)
    finally:
        away.rename(folder)
    assert "register the model again" in caught.value.fix


def test_a_version_in_a_remote_store_is_known_without_fetching_it(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = candidate(f"models:/{NAME}/1")
    here = artifact_digest(made, Path("/"), tracking_uri=registry.uri)
    monkeypatch.setattr(
        MlflowClient,
        "get_model_version_download_uri",
        lambda *_: "s3://nowhere.invalid/models/m-1/artifacts",
    )

    remote = artifact_digest(made, Path("/"), tracking_uri=registry.uri)

    assert remote == artifact_digest(made, Path("/"), tracking_uri=registry.uri)
    assert remote != here


def test_a_version_in_a_remote_store_tells_which_files_were_fetched(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_mlflow, "_folder_here", lambda _: None)
    made = candidate(f"models:/{NAME}@champion")
    artifact = Artifact(made, Path("/"), registry.uri)
    adapter = adapter_of(made)
    file = _stored(registry, "2") / "model.skops"
    before = file.read_bytes()

    first = adapter.read(artifact)
    file.write_bytes((_stored(registry, "1") / "model.skops").read_bytes())
    try:
        exchanged = adapter.read(artifact)
    finally:
        file.write_bytes(before)

    # By its name alone the version is the same, and what was fetched is not.
    assert first.digest == exchanged.digest == adapter.digest(artifact)
    assert first.files_digest != exchanged.files_digest
    found = adapter.load(made, first.content, task_of()).score(CASES)
    assert np.array_equal(found, EXPECTED)


def test_a_registered_model_is_read_from_the_files_that_were_hashed(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = candidate(f"models:/{NAME}/2")
    observed = artifact_digest(made, Path("/"), tracking_uri=registry.uri)
    # MLflow is not asked for them once more.
    monkeypatch.setattr(mlflow.artifacts, "download_artifacts", pytest.fail)

    scorer = load_scorer(
        made, Path("/"), task=task_of(), tracking_uri=registry.uri, digest=observed
    )

    assert np.array_equal(scorer.score(CASES), EXPECTED)


@pytest.mark.parametrize(
    ("address", "folder"),
    [
        ("/srv/store/m-1/artifacts", "/srv/store/m-1/artifacts"),
        ("mlruns/1", "mlruns/1"),
        ("/srv/a%20store/1", "/srv/a store/1"),
        ("file:/srv/store/1", "/srv/store/1"),
        ("file:///srv/store/1", "/srv/store/1"),
        ("file:///srv/a%20store/%231", "/srv/a store/#1"),
        ("file://localhost/srv/1", "/srv/1"),
        ("file://elsewhere/srv/1", None),
        ("s3://bucket/1", None),
        ("mlflow-artifacts:/1/models", None),
        ("mlflow-artifacts://localhost:5000/1", None),
        ("http://127.0.0.1:5000/1", None),
        ("dbfs:/1", None),
    ],
)
def test_a_store_of_this_machine_is_known_by_its_address(address: str, folder: str | None) -> None:
    assert _folder_here(address) == (None if folder is None else Path(folder))


def test_loading_does_not_compare_requirements_with_what_is_installed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """To do so, MLflow reads the metadata of every installed package."""
    folder = saved(tmp_path / "model", form="pickle")
    (folder / "requirements.txt").write_text("scikit-learn==0.1\n")
    mlflow.pyfunc.load_model(str(folder))
    assert "mismatches" in capsys.readouterr().err

    scores(folder, trust="pickle")

    assert "mismatches" not in capsys.readouterr().err


def test_reading_leaves_mlflow_with_the_server_it_had(registry: Registry) -> None:
    before = mlflow.get_tracking_uri(), os.environ.get("MLFLOW_TRACKING_URI")

    scores(f"models:/{NAME}/2", registry.uri)
    refusal(f"models:/{NAME}/9", registry.uri)

    assert (mlflow.get_tracking_uri(), os.environ.get("MLFLOW_TRACKING_URI")) == before


def test_a_local_folder_is_below_the_home(tmp_path: Path) -> None:
    saved(tmp_path / "models" / "one")

    assert np.array_equal(scores("models/one", home=tmp_path), EXPECTED)
    before = artifact_digest(candidate("models/one"), tmp_path)
    (tmp_path / "models" / "one" / "more.txt").write_text("a")
    assert artifact_digest(candidate("models/one"), tmp_path) != before


def test_a_folder_that_is_absent_or_no_model_is_named(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()

    assert f"its MLflow folder {tmp_path / 'none'} is not there" in refusal(tmp_path / "none").what
    assert "no file MLmodel" in refusal(tmp_path / "empty").what


class Trap:
    """Leaves a folder behind as soon as it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("form", ["pickle", "cloudpickle"])
def test_a_pickled_model_is_loaded_where_it_is_trusted_alone(form: str, tmp_path: Path) -> None:
    folder = saved(tmp_path / "model", form=form)

    error = refusal(folder)

    assert "is to run whatever code it holds" in error.what
    assert "`trust: pickle`" in error.fix
    assert np.array_equal(scores(folder, trust="pickle"), EXPECTED)


def test_nothing_is_unpickled_of_a_model_that_is_not_trusted(tmp_path: Path) -> None:
    folder, trace = saved(tmp_path / "model", form="pickle"), tmp_path / "trace"
    (folder / "model.pkl").write_bytes(pickle.dumps(Trap(trace)))

    refusal(folder)
    assert not trace.exists()
    # Whoever trusts it gets what it does.
    with pytest.raises(AttributeError):
        scores(folder, trust="pickle")
    assert trace.exists()


def test_what_a_model_says_of_its_own_types_does_not_make_them_trusted(tmp_path: Path) -> None:
    model = RandomForestClassifier(3, random_state=0).fit(CASES, LATE)
    tree = "sklearn.tree._tree.Tree"
    folder = saved(tmp_path / "model", model, skops_trusted_types=[tree])

    assert f"types that are not trusted: {tree}" in refusal(folder).what
    found = scores(folder, trusted_types=[tree])
    assert np.array_equal(found, model.predict_proba(CASES)[:, 1])


def test_an_onnx_model_is_run_as_onnx(tmp_path: Path) -> None:
    graph = to_onnx(
        MODEL, CASES.to_numpy(dtype=np.float32)[:1], target_opset=18, options={"zipmap": False}
    )
    mlflow.onnx.save_model(graph, str(tmp_path / "model"), pip_requirements=[])

    assert scores(tmp_path / "model") == pytest.approx(EXPECTED, abs=1e-6)


@pytest.mark.parametrize(
    "given",
    [
        np.arange(40) / 40,
        pd.Series(np.arange(40) / 40),
        pd.DataFrame({"score": np.arange(40) / 40}),
        np.column_stack([1 - np.arange(40) / 40, np.arange(40) / 40]),
        pd.DataFrame({0: 1 - np.arange(40) / 40, 1: np.arange(40) / 40}),
        pd.DataFrame({1: np.arange(40) / 40, 0: 1 - np.arange(40) / 40}),
    ],
    ids=["array", "series", "frame", "two columns", "frame of two", "frame the other way round"],
)
def test_a_model_of_ones_own_gives_probabilities_in_any_form(given: Any, tmp_path: Path) -> None:
    found = scores(own(tmp_path / "model", given), trust="pickle")

    assert found == pytest.approx(np.arange(40) / 40)


def test_columns_with_the_names_of_the_classes_need_no_declaration(tmp_path: Path) -> None:
    given = pd.DataFrame({"late": np.arange(40) / 40, "on time": 1 - np.arange(40) / 40})

    folder = own(tmp_path / "model", given)

    found = scores(folder, trust="pickle", positive="late")
    in_another_order = scores(folder, trust="pickle", positive="late", classes=["on time", "late"])

    assert found == pytest.approx(np.arange(40) / 40)
    assert np.array_equal(in_another_order, found)


def test_a_column_with_the_name_of_no_class_is_refused(tmp_path: Path) -> None:
    given = pd.DataFrame({"late": np.arange(40) / 40, "early": 1 - np.arange(40) / 40})
    folder = own(tmp_path / "model", given)
    told = {"trust": "pickle", "positive": "late", "negative": "on time"}

    error = refusal(folder, **told)

    assert error.what == (
        "its classes are 'late', 'early', and the positive label is 'late', the negative one"
        " 'on time'"
    )
    said = {"positive": "early", "negative": "late"}
    assert scores(folder, **told, label_values=said) == pytest.approx(1 - np.arange(40) / 40)


@pytest.mark.parametrize(
    ("given", "what"),
    [
        (np.array([0, 1] * 20), "values of type int64, which are classes and no probabilities"),
        (np.array([False, True] * 20), "values of type bool, which are classes"),
        (np.array(["late", "on time"] * 20), "which are classes and no probabilities"),
        (pd.Series(["1", "0"] * 20), "which are classes and no probabilities"),
    ],
)
def test_a_model_that_gives_classes_is_refused(given: Any, what: str, tmp_path: Path) -> None:
    assert what in refusal(own(tmp_path / "model", given), trust="pickle").what


def test_classes_that_look_like_probabilities_are_refused_where_they_say_something_else(
    tmp_path: Path,
) -> None:
    folder = own(tmp_path / "model", np.array([0.0, 1.0, 1.0, 1.0] * 10))

    # As a class 0 is positive, and as a probability it is not.
    error = refusal(folder, trust="pickle", positive=0, negative=1)

    assert error.what == (
        "all 40 values that it gives are values of the label (1.0 in 30, 0.0 in 10), and may be"
        " classes"
    )
    assert "for each of its two classes" in error.fix
    assert scores(folder, trust="pickle").tolist() == [0.0, 1.0, 1.0, 1.0] * 10


def test_the_signature_is_held_against_the_features(tmp_path: Path) -> None:
    signature = infer_signature(CASES)
    folder = own(tmp_path / "model", np.full(40, 0.5), signature=signature)

    assert scores(folder, trust="pickle", features=["y", "x"]).tolist() == [0.5] * 40
    lacking = refusal(folder, trust="pickle", features=["x"])
    assert "takes 'y', which `features` lacks" in lacking.what
    more = refusal(folder, trust="pickle", features=["x", "y", "z"])
    assert "has 'z', which the artifact does not take" in more.what


@pytest.mark.parametrize(
    ("told", "given", "what"),
    [
        (CASES, CASES.assign(y="N1"), "'y' holds text, such as 'N1'"),
        (CASES.assign(y="N1"), CASES, "'y' holds float64, such as"),
        (CASES.assign(y=1), CASES, "MLflow refuses its features"),
    ],
)
def test_a_type_that_the_signature_does_not_know_is_refused(
    told: pd.DataFrame, given: pd.DataFrame, what: str, tmp_path: Path
) -> None:
    folder = own(tmp_path / "model", np.full(40, 0.5), signature=infer_signature(told))
    scorer = load_scorer(candidate(folder, trust="pickle"), tmp_path, task=task_of())

    with pytest.raises(CandidateError) as caught:
        scorer.score(given)

    assert what in caught.value.what
    assert "'y'" in caught.value.what or " y" in caught.value.what
