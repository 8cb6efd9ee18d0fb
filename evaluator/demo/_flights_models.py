"""The candidates of both audits of flights: some are trained, and what others said is recorded.

All learn from January to September; the audit's days begin in October.
"""

import math
import shutil
import warnings
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from datetime import date
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
import pandas as pd

from evaluator.demo._files import appearing_whole, not_installed, write_recording
from evaluator.demo._flights import LATE_MINUTES, is_late, known_before, minutes_late

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline

SEED = 20130901
QUANTILES: Final = (0.05, 0.5, 0.95)
"""What limits and value of an arrival delay are: 9 of 10 flights are to be within the limits."""
BANDS: Final = (-math.inf, -5, 0, 5, 10, LATE_MINUTES, 20, 30, 60, math.inf)
"""Bounds of the rule's bands of delay at departure, in minutes; a band holds its upper bound."""

_CATEGORIES = ["carrier", "origin"]
_SCHEDULE = ["scheduled_hour", "weekday", "distance"]
_AT_DEPARTURE = [*_SCHEDULE, "departure_delay"]
# A forest's trees are compiled types, which skops leaves to its reader to trust.
_TREE = "sklearn.tree._tree.Tree"
# The newest that every supported onnxruntime runs.
_ONNX_OPERATORS = 18
# Two would make the rule certain of flights that leave an hour late; some of those are not late.
_DIGITS = 3
# Another 40 would take half as long again, for a mean error that is 0.01 minutes smaller.
_ITERATIONS = 60


class _Recipe(NamedTuple):
    """How a candidate is made."""

    artifact: str
    """Its file or folder."""
    numbers: list[str]
    """The numeric columns that it is given, after the categories."""
    build: Callable[[list[str]], "Pipeline"]
    """Makes the classifier, not yet fitted, for these numeric columns."""
    save: Callable[["Pipeline", pd.DataFrame, Path], None]
    """Writes it, once fitted; the frame has the columns that it was fitted on."""
    learns: Callable[[pd.DataFrame], pd.Series] = is_late
    """What it is to say of flights that arrived."""


def missing_models(audit: str, folder: Path) -> list[str]:
    """Name the trained candidates whose artifacts are not in the folder, in the audit's order."""
    recipes = _RECIPES[audit].items()
    return [name for name, recipe in recipes if not (folder / recipe.artifact).exists()]


def train_models(audit: str, flights: pd.DataFrame, folder: Path, names: Sequence[str]) -> None:
    """Train candidates on January to September; each artifact appears whole or not at all."""
    recipes = [_RECIPES[audit][name] for name in names]
    if any(recipe.save is _save_onnx for recipe in recipes):
        # Before anything is trained.
        _check_onnx_can_be_written()
    training = known_before(flights)
    folder.mkdir(parents=True, exist_ok=True)
    for recipe in recipes:
        features = _features(training, recipe.numbers)
        pipeline = recipe.build(recipe.numbers)
        with _one_thread():
            pipeline.fit(features, recipe.learns(training))
        with appearing_whole(folder / recipe.artifact) as temporary:
            recipe.save(pipeline, features, temporary)


def write_rule(flights: pd.DataFrame, days: list[date], path: Path) -> None:
    """Write what the rule said on some days as CSV; it appears whole or not at all."""
    departed = _departed(flights, days)
    recording = pd.DataFrame(
        {
            "flight": departed["flight_id"],
            "late_probability": _bands(departed).map(late_shares(flights)).astype("float64"),
            "late": (departed["departure_delay"] > LATE_MINUTES).astype("int8"),
        }
    )
    write_recording(recording, path)


def late_shares(flights: pd.DataFrame) -> pd.Series:
    """Return the share of late arrivals in each band, from January to September."""
    before = known_before(flights)
    return is_late(before).groupby(_bands(before), observed=True).mean().round(_DIGITS)


def write_minutes(flights: pd.DataFrame, days: list[date], folder: Path) -> None:
    """Write what two systems said of the arrival delay on some days, as a CSV of each."""
    training, departed = known_before(flights), _departed(flights, days)
    for name, predict in (("carried_over", _carried_over), ("boosted", _boosted)):
        low, value, high = predict(training, departed)
        said = {"flight": departed["flight_id"], "minutes": value, "low": low, "high": high}
        write_recording(pd.DataFrame(said).round(1), folder / f"{name}.csv")


def _carried_over(training: pd.DataFrame, flights: pd.DataFrame) -> np.ndarray:
    """Say the departure's delay again, less what flights make up for, with the limits of that.

    The result is of shape (3, flights): lower limit, value, upper limit.
    """
    change = minutes_late(training) - training["departure_delay"].astype("float64")
    departed = flights["departure_delay"].to_numpy("float64")
    said: np.ndarray = departed + np.quantile(change, QUANTILES)[:, None]
    return said


def _boosted(training: pd.DataFrame, flights: pd.DataFrame) -> np.ndarray:
    """Say what a boosting of each quantile says, shape (3, flights), lowest first."""
    from sklearn.ensemble import HistGradientBoostingRegressor

    said = []
    with _one_thread():
        for quantile in QUANTILES:
            model = HistGradientBoostingRegressor(
                loss="quantile",
                quantile=quantile,
                max_iter=_ITERATIONS,
                early_stopping=False,
                random_state=SEED,
            )
            pipeline = _trees(_AT_DEPARTURE, model)
            pipeline.fit(_features(training, _AT_DEPARTURE), minutes_late(training))
            said.append(pipeline.predict(_features(flights, _AT_DEPARTURE)))
    # Each is learned by itself, so that nothing keeps them from crossing.
    return np.sort(said, axis=0)


def _departed(flights: pd.DataFrame, days: list[date]) -> pd.DataFrame:
    """Return the flights of some days that were judged: those that departed.

    One that was diverted is among them, although nobody will know how late it was.
    """
    return flights[flights["date"].isin(days) & flights["departure_delay"].notna()]


def _features(flights: pd.DataFrame, numbers: list[str]) -> pd.DataFrame:
    """Return categories and numbers, these as floating-point ones: some delays are missing."""
    return pd.concat([flights[_CATEGORIES], flights[numbers].astype("float64")], axis="columns")


def _one_thread() -> AbstractContextManager[Any]:
    """Let a boosting compute in one thread.

    Its threads wait for each other by spinning: where the cores are busy, two take longer than one.
    A forest has threads of another kind, and keeps its two.
    """
    from threadpoolctl import (  # type: ignore[import-untyped] # it ships no types
        threadpool_limits,
    )

    limits: AbstractContextManager[Any] = threadpool_limits(1)
    return limits


def _check_onnx_can_be_written() -> None:
    if find_spec("skl2onnx") is None:
        raise not_installed("an ONNX candidate is written by", "skl2onnx")


def _logistic(numbers: list[str]) -> "Pipeline":
    from sklearn.linear_model import LogisticRegression

    return _linear(numbers, LogisticRegression(max_iter=300))


def _ridge(numbers: list[str]) -> "Pipeline":
    from sklearn.linear_model import Ridge

    return _linear(numbers, Ridge())


def _linear(numbers: list[str], model: Any) -> "Pipeline":
    from sklearn.compose import ColumnTransformer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    encode = ColumnTransformer(
        [
            ("categories", OneHotEncoder(handle_unknown="ignore"), _CATEGORIES),
            ("numbers", StandardScaler(), numbers),
        ]
    )
    return make_pipeline(encode, model)


def _trees(numbers: list[str], model: Any) -> "Pipeline":
    from sklearn.compose import ColumnTransformer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OrdinalEncoder

    encode = ColumnTransformer(
        [
            (
                "categories",
                OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1),
                _CATEGORIES,
            ),
            ("numbers", "passthrough", numbers),
        ]
    )
    return make_pipeline(encode, model)


def _random_forest(numbers: list[str]) -> "Pipeline":
    from sklearn.ensemble import RandomForestClassifier

    forest = RandomForestClassifier(
        n_estimators=40,
        max_depth=10,
        min_samples_leaf=50,
        max_samples=0.3,
        n_jobs=2,
        random_state=SEED,
    )
    return _trees(numbers, forest)


def _gradient_boosting(numbers: list[str]) -> "Pipeline":
    from sklearn.ensemble import HistGradientBoostingClassifier

    return _trees(numbers, HistGradientBoostingClassifier(random_state=SEED))


def _save_skops(pipeline: "Pipeline", _: pd.DataFrame, path: Path) -> None:
    import skops.io

    skops.io.dump(pipeline, path)


def _save_mlflow(pipeline: "Pipeline", features: pd.DataFrame, folder: Path) -> None:
    """Write an MLflow folder in the skops format, so that nothing of it is unpickled."""
    # MLflow refuses a folder that holds something, such as what was left half-written.
    shutil.rmtree(folder, ignore_errors=True)
    with warnings.catch_warnings():
        # MLflow warns of type hints in its own classes, as soon as those are imported.
        warnings.filterwarnings("ignore", ".*Any type hint is inferred", UserWarning)
        import mlflow.sklearn
        import sklearn
        import skops
        from mlflow.models import infer_signature

        mlflow.sklearn.save_model(
            pipeline,
            str(folder),
            serialization_format="skops",
            skops_trusted_types=[_TREE],
            signature=infer_signature(features.head()),
            # Named here, since MLflow would load the model in another process to find them out.
            pip_requirements=[
                f"scikit-learn=={sklearn.__version__}",
                f"skops=={skops.__version__}",
            ],
        )


def _save_onnx(pipeline: "Pipeline", features: pd.DataFrame, path: Path) -> None:
    """Write an ONNX graph that takes each column by its name."""
    from skl2onnx import to_onnx  # type: ignore[import-untyped] # it ships no types
    from skl2onnx.common.data_types import (  # type: ignore[import-untyped] # as above
        FloatTensorType,
        StringTensorType,
    )

    inputs = [
        (name, (StringTensorType if name in _CATEGORIES else FloatTensorType)([None, 1]))
        for name in features.columns
    ]
    with warnings.catch_warnings():
        # The converter tells protobuf where missing values go in a type that will not do one day.
        warnings.filterwarnings("ignore", "Field onnx.AttributeProto.ints", DeprecationWarning)
        graph = to_onnx(
            pipeline,
            initial_types=inputs,
            options={id(pipeline): {"zipmap": False}},
            target_opset=_ONNX_OPERATORS,
        )
    path.write_bytes(graph.SerializeToString())


_RECIPES = {
    "flights": {
        "schedule_only": _Recipe("schedule_only.skops", _SCHEDULE, _logistic, _save_skops),
        "logistic_regression": _Recipe(
            "logistic_regression.skops", _AT_DEPARTURE, _logistic, _save_skops
        ),
        "random_forest": _Recipe("random_forest", _AT_DEPARTURE, _random_forest, _save_mlflow),
        "gradient_boosting": _Recipe(
            "gradient_boosting.onnx", _AT_DEPARTURE, _gradient_boosting, _save_onnx
        ),
    },
    "delay": {
        "schedule_only": _Recipe(
            "schedule_only.skops", _SCHEDULE, _ridge, _save_skops, minutes_late
        ),
        "linear": _Recipe("linear.skops", _AT_DEPARTURE, _ridge, _save_skops, minutes_late),
    },
}


def _bands(flights: pd.DataFrame) -> pd.Series:
    """Tell the band that each flight's delay at departure is in."""
    return pd.cut(flights["departure_delay"].astype("float64"), BANDS)
