"""The demo's candidates: four are trained, and one is a rule whose outputs are recorded.

All learn from January to September; the audit's days begin in October.
"""

import math
import shutil
import warnings
from collections.abc import Callable, Sequence
from datetime import date
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import pandas as pd

from evaluator.demo._files import appearing_whole
from evaluator.demo._flights import LATE_MINUTES, is_late, known_before
from evaluator.errors import UsageError

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline

SEED = 20130901
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


def missing_models(folder: Path) -> list[str]:
    """Name the trained candidates whose artifacts are not in the folder, in the audit's order."""
    return [name for name, recipe in _RECIPES.items() if not (folder / recipe.artifact).exists()]


def train_models(flights: pd.DataFrame, folder: Path, names: Sequence[str]) -> None:
    """Train candidates on January to September; each artifact appears whole or not at all."""
    recipes = [_RECIPES[name] for name in names]
    if any(recipe.save is _save_onnx for recipe in recipes):
        # Before anything is trained.
        _check_onnx_can_be_written()
    from threadpoolctl import (  # type: ignore[import-untyped] # it ships no types
        threadpool_limits,
    )

    training = known_before(flights)
    late = is_late(training)
    folder.mkdir(parents=True, exist_ok=True)
    for recipe in recipes:
        # As floating-point numbers, which have one for a delay that is missing.
        numbers = training[recipe.numbers].astype("float64")
        features = pd.concat([training[_CATEGORIES], numbers], axis="columns")
        pipeline = recipe.build(recipe.numbers)
        # The boosting's threads wait for each other by spinning: where the cores are busy, two take
        # longer than one. The forest has threads of another kind, and keeps its two.
        with threadpool_limits(1):
            pipeline.fit(features, late)
        with appearing_whole(folder / recipe.artifact) as temporary:
            recipe.save(pipeline, features, temporary)


def write_rule(flights: pd.DataFrame, days: list[date], path: Path) -> None:
    """Write what the rule said on some days as CSV; it appears whole or not at all."""
    # A flight that never departed was never judged. One that was diverted was, although nobody
    # will know whether it was late.
    departed = flights[flights["date"].isin(days) & flights["departure_delay"].notna()]
    recording = pd.DataFrame(
        {
            "flight": departed["flight_id"],
            "late_probability": _bands(departed).map(late_shares(flights)).astype("float64"),
            "late": (departed["departure_delay"] > LATE_MINUTES).astype("int8"),
        }
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    with appearing_whole(path) as temporary:
        recording.to_csv(temporary, index=False)


def late_shares(flights: pd.DataFrame) -> pd.Series:
    """Return the share of late arrivals in each band, from January to September."""
    before = known_before(flights)
    return is_late(before).groupby(_bands(before), observed=True).mean().round(_DIGITS)


def _check_onnx_can_be_written() -> None:
    if find_spec("skl2onnx") is None:
        raise UsageError(
            "an ONNX candidate is written by the package skl2onnx, which is not installed",
            culprit="evaluator demo",
            fix="pip install 'evaluator[demo]'",
        )


def _linear(numbers: list[str]) -> "Pipeline":
    from sklearn.compose import ColumnTransformer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    encode = ColumnTransformer(
        [
            ("categories", OneHotEncoder(handle_unknown="ignore"), _CATEGORIES),
            ("numbers", StandardScaler(), numbers),
        ]
    )
    return make_pipeline(encode, LogisticRegression(max_iter=300))


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
    "schedule_only": _Recipe("schedule_only.skops", _SCHEDULE, _linear, _save_skops),
    "logistic_regression": _Recipe(
        "logistic_regression.skops", _AT_DEPARTURE, _linear, _save_skops
    ),
    "random_forest": _Recipe("random_forest", _AT_DEPARTURE, _random_forest, _save_mlflow),
    "gradient_boosting": _Recipe(
        "gradient_boosting.onnx", _AT_DEPARTURE, _gradient_boosting, _save_onnx
    ),
}


def _bands(flights: pd.DataFrame) -> pd.Series:
    """Tell the band that each flight's delay at departure is in."""
    return pd.cut(flights["departure_delay"].astype("float64"), BANDS)
