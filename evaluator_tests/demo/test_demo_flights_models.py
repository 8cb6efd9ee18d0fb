"""The demo's trained candidates: each artifact gives what its scikit-learn original gives."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pytest

from evaluator.candidates import load_scorer
from evaluator.demo import _flights_models as flights_models
from evaluator.demo._flights import FIRST_DAY
from evaluator.demo._flights_models import missing_models, train_models
from evaluator.errors import UsageError
from evaluator.spec import AuditSpec
from evaluator_tests.candidates.conftest import task_of

# MLflow warns of type hints in its own classes, wherever it is imported first.
pytestmark = pytest.mark.filterwarnings("ignore:.*Any type hint is inferred:UserWarning")

ARTIFACTS = {
    "schedule_only": ("skops", "schedule_only.skops"),
    "logistic_regression": ("skops", "logistic_regression.skops"),
    "random_forest": ("mlflow", "random_forest"),
    "gradient_boosting": ("onnx", "gradient_boosting.onnx"),
}
MODELS = tuple(ARTIFACTS)
# The graph computes in 32 bits; the others are read as they were saved.
TOLERANCE = {"gradient_boosting": 1e-6}
TREES = ("random_forest", "gradient_boosting")


class Trained(NamedTuple):
    home: Path
    originals: dict[str, Any]


@pytest.fixture(scope="module")
def trained(part: pd.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """Train the candidates, and keep what was saved."""
    home = tmp_path_factory.mktemp("home")
    originals: dict[str, Any] = {}

    def keeping(name: str, recipe: Any) -> Any:
        def save(pipeline: Any, features: pd.DataFrame, path: Path) -> None:
            originals[name] = pipeline
            recipe.save(pipeline, features, path)

        return recipe._replace(save=save)

    with pytest.MonkeyPatch.context() as patch:
        for name, recipe in list(flights_models._RECIPES["flights"].items()):
            patch.setitem(flights_models._RECIPES["flights"], name, keeping(name, recipe))
        train_models(
            "flights",
            part,
            home / "models" / "flights",
            missing_models("flights", home / "models" / "flights"),
        )
    return Trained(home, originals)


def scores(trained: Trained, spec: AuditSpec, name: str, cases: pd.DataFrame) -> np.ndarray:
    candidate = next(found for found in spec.candidates if found.name == name)
    scorer = load_scorer(candidate, trained.home, task=task_of())
    return scorer.score(cases[list(candidate.features)])


def expected(trained: Trained, name: str, cases: pd.DataFrame) -> np.ndarray:
    """Ask the original, which takes its columns by their names."""
    pipeline = trained.originals[name]
    taken = cases[list(pipeline.feature_names_in_)]
    numbers = {column: "float64" for column in taken if column not in ("carrier", "origin")}
    return np.asarray(pipeline.predict_proba(taken.astype(numbers))[:, 1])


@pytest.fixture(scope="module")
def departed(year: pd.DataFrame) -> pd.DataFrame:
    """Flights of the audit's months that departed."""
    later = year[(year["date"] >= FIRST_DAY) & year["departure_delay"].notna()]
    return later.astype({"departure_delay": "int64"})


@pytest.fixture(scope="module")
def cancelled(year: pd.DataFrame) -> pd.DataFrame:
    """Flights of the audit's months that never departed, so that their delay is missing."""
    later = year[(year["date"] >= FIRST_DAY) & year["departure_delay"].isna()]
    return later.astype({"departure_delay": "float64"})


def test_the_audits_candidates_are_the_trained_ones_and_the_rule(flights_spec: AuditSpec) -> None:
    assert [candidate.name for candidate in flights_spec.candidates] == [*MODELS, "airline_rule"]
    for candidate in flights_spec.candidates[:-1]:
        kind, artifact = ARTIFACTS[candidate.name]
        assert (candidate.kind, candidate.source) == (kind, f"models/flights/{artifact}")
    assert [c.name for c in flights_spec.candidates if c.baseline] == ["logistic_regression"]


def test_each_artifact_lies_where_the_audit_looks_for_it_and_nothing_else_does(
    trained: Trained,
) -> None:
    folder = trained.home / "models" / "flights"

    assert {path.name for path in folder.iterdir()} == {name for _, name in ARTIFACTS.values()}
    assert missing_models("flights", folder) == []
    # Nothing that would be unpickled.
    files = {path.name for path in (folder / "random_forest").iterdir()}
    assert {"MLmodel", "model.skops"} <= files
    assert not [name for name in files if name.endswith((".pkl", ".pickle"))]


@pytest.mark.parametrize("name", MODELS)
def test_an_artifact_scores_every_later_flight_as_its_original_does(
    name: str, trained: Trained, flights_spec: AuditSpec, departed: pd.DataFrame
) -> None:
    found = scores(trained, flights_spec, name, departed)

    assert len(found) == len(departed) > 80_000
    difference = np.abs(found - expected(trained, name, departed))
    assert difference.max() <= TOLERANCE.get(name, 1e-12)
    # It would agree with anything if it said the same of each flight.
    assert len(np.unique(found.round(4))) > 100


@pytest.mark.parametrize("name", TREES)
def test_trees_take_a_delay_that_is_missing_as_their_originals_do(
    name: str, trained: Trained, flights_spec: AuditSpec, cancelled: pd.DataFrame
) -> None:
    assert len(cancelled) > 1_000

    found = scores(trained, flights_spec, name, cancelled)

    difference = np.abs(found - expected(trained, name, cancelled))
    assert difference.max() <= TOLERANCE.get(name, 1e-12)


@pytest.mark.parametrize("name", MODELS)
def test_a_carrier_that_nobody_trained_on_is_scored_as_the_original_scores_it(
    name: str, trained: Trained, flights_spec: AuditSpec, departed: pd.DataFrame
) -> None:
    cases = departed.head(500).assign(carrier="ZZ")

    found = scores(trained, flights_spec, name, cases)

    difference = np.abs(found - expected(trained, name, cases))
    assert difference.max() <= TOLERANCE.get(name, 1e-12)


def test_who_sees_the_departure_tells_late_flights_apart_and_who_does_not_is_poor(
    trained: Trained, flights_spec: AuditSpec, departed: pd.DataFrame
) -> None:
    arrived = departed[departed["arrival_delay"].notna()]
    late = (arrived["arrival_delay"] > 15).to_numpy(dtype=bool)

    gaps = {}
    for name in MODELS:
        found = scores(trained, flights_spec, name, arrived)
        gaps[name] = found[late].mean() - found[~late].mean()

    assert gaps["schedule_only"] < 0.1
    for name in set(MODELS) - {"schedule_only"}:
        assert gaps[name] > 0.3


def test_nothing_is_learned_from_the_months_that_are_audited(
    part: pd.DataFrame, trained: Trained, tmp_path: Path
) -> None:
    later = part["date"] >= FIRST_DAY
    other = part.assign(arrival_delay=part["arrival_delay"].mask(later, 500))
    never_arrived = part.index[~later][::5]
    known = other.drop(index=never_arrived)

    train_models("flights", other, tmp_path / "other", ["gradient_boosting"])
    train_models("flights", known, tmp_path / "fewer", ["gradient_boosting"])

    name = "gradient_boosting.onnx"
    same = (trained.home / "models" / "flights" / name).read_bytes()
    assert (tmp_path / "other" / name).read_bytes() == same
    assert (tmp_path / "fewer" / name).read_bytes() != same


def test_only_what_is_missing_is_trained(
    part: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert missing_models("flights", tmp_path) == list(MODELS)
    for _, artifact in ARTIFACTS.values():
        (tmp_path / artifact).write_text("as it was")
    (tmp_path / "schedule_only.skops").unlink()
    assert missing_models("flights", tmp_path) == ["schedule_only"]
    # Writing ONNX is not asked for.
    monkeypatch.setitem(sys.modules, "skl2onnx", None)

    train_models("flights", part, tmp_path, missing_models("flights", tmp_path))

    assert missing_models("flights", tmp_path) == []
    kept = [path for path in tmp_path.iterdir() if path.name != "schedule_only.skops"]
    assert [path.read_text() for path in kept] == ["as it was"] * 3


def test_an_artifact_appears_whole_or_not_at_all(
    part: pd.DataFrame, trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = flights_models._RECIPES["flights"]["random_forest"]
    pipeline = trained.originals["random_forest"]

    def die_halfway(_: Any, features: pd.DataFrame, path: Path) -> None:
        recipe.save(pipeline, features, path)
        (path / "MLmodel").unlink()
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setitem(
            flights_models._RECIPES["flights"], "random_forest", recipe._replace(save=die_halfway)
        )
        with pytest.raises(KeyboardInterrupt):
            train_models("flights", part, tmp_path, ["random_forest"])
    assert "random_forest" in missing_models("flights", tmp_path)

    # What was left half-written does not stand in the way.
    train_models("flights", part, tmp_path, ["random_forest"])

    assert [path.name for path in tmp_path.iterdir()] == ["random_forest"]
    assert (tmp_path / "random_forest" / "MLmodel").is_file()


def test_a_package_that_is_not_installed_is_told_before_anything_is_trained(
    part: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "skl2onnx", None)

    with pytest.raises(UsageError, match="skl2onnx, which is not installed") as caught:
        train_models("flights", part, tmp_path / "models", MODELS)

    assert caught.value.fix == "pip install 'evaluator[demo]'"
    assert not (tmp_path / "models").exists()


# Only from outside it shows what a user sees: here MLflow is imported, and knows that it is tested.
_TRAIN = """
import sys
from pathlib import Path
import pandas as pd
from evaluator.demo._flights_models import train_models

names = ["random_forest", "gradient_boosting"]
train_models("flights", pd.read_pickle(sys.argv[1]), Path(sys.argv[2]), names)
from mlflow.telemetry import get_telemetry_client
print("telemetry:", get_telemetry_client())
"""


@pytest.mark.slow
def test_training_prints_nothing_and_mlflow_reports_to_nobody(
    part: pd.DataFrame, tmp_path: Path
) -> None:
    part.iloc[:2_000].to_pickle(tmp_path / "part.pkl")
    testing = {"PYTEST_CURRENT_TEST", "CI", "DO_NOT_TRACK", "MLFLOW_DISABLE_TELEMETRY"}
    environment = {key: value for key, value in os.environ.items() if key not in testing}

    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", _TRAIN, tmp_path / "part.pkl", tmp_path / "models"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.returncode, done.stdout, done.stderr) == (0, "telemetry: None\n", "")
    assert missing_models("flights", tmp_path / "models") == [
        "schedule_only",
        "logistic_regression",
    ]
