"""Equal cases get equal scores to the last bit, however many threads a model was trained with."""

import threading
from pathlib import Path
from typing import Any

import joblib
import mlflow
import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import RandomForestClassifier, VotingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from evaluator.candidates import load_scorer
from evaluator.candidates._kinds._sklearn import EstimatorScorer, set_single_threaded
from evaluator_tests.candidates.conftest import candidate_of, task_of

GENERATOR = np.random.default_rng(1)
CASES = pd.DataFrame(GENERATOR.normal(size=(400, 2)), columns=["x", "y"])
LATE = (CASES["x"] + GENERATOR.normal(size=400) > 0).astype(int)


def forest() -> RandomForestClassifier:
    return RandomForestClassifier(40, max_depth=6, n_jobs=4, random_state=0)


def scorer_of(model: Any) -> EstimatorScorer:
    candidate: Any = candidate_of()
    return EstimatorScorer(candidate, model, task_of())


def jobs(estimator: Any) -> set[Any]:
    return {
        value for name, value in estimator.get_params().items() if name.split("__")[-1] == "n_jobs"
    }


MODELS = {
    "forest": forest(),
    "pipeline": make_pipeline(StandardScaler(), forest()),
    "calibrated": CalibratedClassifierCV(forest(), cv=2),
    "vote": VotingClassifier([("a", forest()), ("b", LogisticRegression())], voting="soft"),
}


@pytest.mark.parametrize("name", MODELS)
def test_every_nested_estimator_is_kept_to_one_thread(name: str) -> None:
    model = MODELS[name].fit(CASES, LATE)
    assert jobs(model) - {None, 1}

    scorer = scorer_of(model)

    assert jobs(model) <= {None, 1}
    first = scorer.score(CASES).tobytes()
    assert all(scorer.score(CASES).tobytes() == first for _ in range(4))


class Watcher(ClassifierMixin, BaseEstimator):  # type: ignore[misc] # scikit-learn ships no types
    """Runs joblib's jobs in the way a forest does, and notes the threads that they ran in."""

    def __init__(self, threads: list[int]) -> None:
        self.threads = threads
        self.classes_ = np.array([0, 1])

    def predict_proba(self, features: pd.DataFrame) -> np.ndarray:
        ran_in = joblib.Parallel(n_jobs=4, require="sharedmem")(
            joblib.delayed(threading.get_ident)() for _ in range(40)
        )
        self.threads.extend(ran_in)
        return np.full((len(features), 2), 0.5)


def test_what_was_cloned_while_fitting_runs_in_one_thread_as_well() -> None:
    watcher = Watcher([])
    watcher.predict_proba(CASES)
    assert set(watcher.threads) != {threading.get_ident()}
    watcher.threads.clear()

    scorer_of(watcher).score(CASES)

    assert set(watcher.threads) == {threading.get_ident()}


@pytest.mark.filterwarnings("ignore:.*Any type hint is inferred:UserWarning")
def test_mlflows_scikit_learn_models_are_kept_to_one_thread(tmp_path: Path) -> None:
    model = forest().fit(CASES, LATE)
    mlflow.sklearn.save_model(
        model, str(tmp_path / "m"), serialization_format="pickle", pip_requirements=[]
    )
    told = {"kind": "mlflow", "model": "m", "trust": "pickle", "path": None}

    scorer: Any = load_scorer(candidate_of(**told), tmp_path, task=task_of())

    assert scorer._inner._estimator.n_jobs == 1
    assert scorer.score(CASES).tobytes() == scorer.score(CASES).tobytes()


def test_what_is_no_estimator_of_scikit_learn_is_left_alone() -> None:
    class Own:
        n_jobs = 4

    own = Own()

    set_single_threaded(own)

    assert own.n_jobs == 4
