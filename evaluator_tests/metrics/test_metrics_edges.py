"""Degenerate inputs of every kind give reasons, never warnings, errors or silent gaps."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from evaluator.metrics import slice_metrics


@pytest.fixture
def cases() -> pd.DataFrame:
    random = np.random.default_rng(20)
    score = random.random(50)
    return pd.DataFrame(
        {
            "label": random.integers(0, 2, 50),
            "score": score,
            "other": 1 - score,
            "top": 1.0,
            "region": random.choice(["east", "west"], 50),
            "weight": random.integers(0, 3, 50).astype(float),
            "cluster": random.integers(0, 12, 50),
        }
    )


DEGENERATE = {
    "as they are": {},
    "constant scores": {"score": 0.5, "other": 0.5},
    "one class": {"label": 1},
    "one class, sure": {"label": 0, "score": 0.0, "other": 1.0},
}
TASKS: dict[str, dict[str, Any]] = {
    "binary": {"score": "score"},
    "multiclass": {
        "score": {0: "other", 1: "score"},
        "task": "multiclass_classification",
        "classes": [0, 1],
        "abstains": True,
    },
    "regression": {
        "prediction": "score",
        "task": "regression",
        "tolerance": 0.5,
        "limits": ("score", "top"),
    },
}


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("change", DEGENERATE)
@pytest.mark.parametrize("rows", [0, 1, 2, 50])
@pytest.mark.parametrize(
    "design",
    [{}, {"weight": "weight"}, {"cluster": "cluster"}, {"weight": "weight", "cluster": "cluster"}],
)
def test_every_row_has_a_value_with_limits_or_a_reason(
    cases: pd.DataFrame, task: str, change: str, rows: int, design: dict[str, str]
) -> None:
    frame = cases.assign(**DEGENERATE[change]).iloc[:rows]
    table = slice_metrics(
        frame,
        label="label",
        slices=["region"],
        groups={"region": ["east", "west", "north"]},
        **TASKS[task],
        **design,
    )
    fine = table.status == "ok"
    assert (table.reason.isna() == fine).all()
    assert table.loc[fine, ["value", "low", "high"]].notna().all(axis=None)
    assert (table.low[fine] <= table.value[fine] + 1e-12).all()
    assert (table.value[fine] <= table.high[fine] + 1e-12).all()
    assert (table.value.isna() == (table.status == "undefined")).all()
    assert table.loc[~fine, ["low", "high"]].isna().all(axis=None)
    assert (table.reason[table.n == 0] == "no rows").all()


def test_a_faultless_candidate_is_faultless_within_limits(cases: pd.DataFrame) -> None:
    frame = cases.assign(score=cases.label.astype(float))
    table = slice_metrics(frame, label="label", score="score", slices=["region"])
    overall = table[table.level == "overall"].set_index("metric")
    for metric in ("accuracy", "recall", "f1", "roc_auc", "average_precision"):
        assert overall.value[metric] == 1
        assert 0.7 < overall.low[metric] < 1
        assert overall.high[metric] == 1
    assert overall.value["matthews_correlation"] == 1
    # No surprise was seen, so that nothing says how large one would be.
    assert overall.status["log_loss"] == "too_few"
    assert overall.status["calibration_slope"] == "undefined"


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("size", [1e-9, 1.0, -1e9])
def test_labels_that_differ_by_rounding_alone_have_no_variance(
    size: float, *, weighted: bool
) -> None:
    frame = pd.DataFrame({"label": [size, np.nextafter(size, 2 * size)] * 30, "sample": "n"})
    frame["prediction"] = frame.label * 1.5
    # Far away, and of no weight.
    far = pd.DataFrame({"label": [99.0], "prediction": [99.0], "sample": ["n"], "weight": [0.0]})
    more: dict[str, Any] = {}
    if weighted:
        frame, more = pd.concat([frame.assign(weight=2.0), far]), {"weight": "weight"}
    columns = {"label": "label", "prediction": "prediction", "task": "regression"}
    table = slice_metrics(frame, slices=["sample"], metrics=["r2"], **columns, **more)
    assert table.reason.tolist() == ["the labels are all equal"] * 2
    frame.loc[frame.index[0], "label"] *= 1 + 1e-6
    table = slice_metrics(frame, slices=["sample"], metrics=["r2"], **columns, **more)
    assert (table.status != "undefined").all()


@pytest.mark.parametrize(
    "types",
    [
        {"label": "bool"},
        {"label": "boolean", "score": "Float64"},
        {"label": "int64[pyarrow]", "score": "double[pyarrow]", "region": "string[pyarrow]"},
        {"label": "float64", "region": "object"},
    ],
)
def test_the_type_of_a_column_changes_nothing(cases: pd.DataFrame, types: dict[str, str]) -> None:
    columns: dict[str, Any] = {"label": "label", "score": "score", "slices": ["region"]}
    plain = slice_metrics(cases, **columns)
    pd.testing.assert_frame_equal(slice_metrics(cases.astype(types), **columns), plain)


def test_clusters_that_share_their_difficulty_are_covered() -> None:
    random = np.random.default_rng(21)
    samples, clusters, each = 500, 30, 8
    shape = (samples, clusters, each)
    shared = random.normal(0, 1, (samples, clusters, 1))
    odds = shared + random.normal(0, 1, shape)
    label = random.random(shape) < 1 / (1 + np.exp(-odds))
    score = 1 / (1 + np.exp(-odds - 0.7 * shared - random.normal(0, 1, shape)))
    frame = pd.DataFrame({"label": label.ravel().astype(int), "score": score.ravel()})
    frame["sample"] = np.repeat(np.arange(samples), clusters * each)
    frame["cluster"] = np.repeat(np.arange(samples * clusters), each)
    columns: dict[str, Any] = {"label": "label", "score": "score", "slices": ["sample"]}
    metrics = ["accuracy", "recall", "f1", "roc_auc", "average_precision", "log_loss", "brier"]
    table = slice_metrics(frame, **columns, metrics=metrics, cluster="cluster")
    truth = table[table.level == "overall"].set_index("metric").value
    of_samples = table[(table.level == "sample") & (table.status == "ok")]
    for metric, rows in of_samples.groupby("metric"):
        held = (rows.low <= truth[metric]) & (truth[metric] <= rows.high)
        assert len(rows) > 450
        assert held.mean() >= 0.93, metric
