"""The shape of the answer, and what is refused."""

import re
import subprocess
import sys
from typing import Any

import numpy as np
import pandas as pd
import pytest

from evaluator.metrics import METRICS, MetricsInputError, slice_metrics

COLUMNS: dict[str, Any] = {"label": "late", "score": "score", "slices": ["region", "segment"]}


@pytest.fixture
def cases() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "late": [1, 0, 1, 0, 1, 0],
            "score": [0.9, 0.2, 0.6, 0.7, 0.3, 0.1],
            "region": ["east", "east", "west", "west", "west", "east"],
            "segment": ["low-cost", "network", "network", "network", "low-cost", "low-cost"],
            "device": [1, 2, 1, 2, 1, 2],
        }
    )


def test_levels_are_overall_each_column_and_all_crosses(cases: pd.DataFrame) -> None:
    table = slice_metrics(cases, **COLUMNS | {"slices": ["region", "segment", "device"]})
    assert table.level.unique().tolist() == [
        "overall",
        "region",
        "segment",
        "device",
        "region x segment",
        "region x device",
        "segment x device",
        "region x segment x device",
    ]
    for level, rows in table.groupby("level"):
        fixed = [] if level == "overall" else str(level).split(" x ")
        for name in ("region", "segment", "device"):
            assert rows[name].notna().all() if name in fixed else rows[name].isna().all()
        # Each level cuts the same rows, once.
        assert rows[rows.metric == "accuracy"].n.sum() == len(cases)


def test_the_columns_are_the_contract(cases: pd.DataFrame) -> None:
    table = slice_metrics(cases, **COLUMNS)
    assert table.columns.tolist() == [
        "level",
        "region",
        "segment",
        "metric",
        "value",
        "low",
        "high",
        "n",
        "n_effective",
        "clusters",
        "design_effect",
        "status",
        "reason",
    ]
    assert not table.duplicated(["level", "region", "segment", "metric"]).any()
    assert set(table.status) <= {"ok", "undefined", "too_few"}
    fine = table.status == "ok"
    assert table.reason[fine].isna().all()
    assert table.reason[~fine].notna().all()
    assert (table.value.isna() == (table.status == "undefined")).all()
    assert (table.low.notna() == fine).all()
    assert (table.low[fine] <= table.value[fine]).all()
    assert (table.value[fine] <= table.high[fine]).all()


def test_a_declared_group_without_rows_is_a_row_with_no_cases(cases: pd.DataFrame) -> None:
    table = slice_metrics(
        cases,
        **COLUMNS,
        metrics=["accuracy", "roc_auc"],
        groups={"region": ["west", "east", "north"]},
    )
    # In the order of the declaration.
    assert table[table.level == "region"].region.tolist()[::2] == ["west", "east", "north"]
    north = table[table.region == "north"]
    assert north.n.tolist() == [0, 0]
    assert north.status.tolist() == ["undefined", "undefined"]
    assert north.reason.tolist() == ["no rows", "no rows"]
    assert north.value.isna().all()


def test_a_cross_of_declared_groups_lists_every_combination(cases: pd.DataFrame) -> None:
    declared = {"region": ["east", "west"], "segment": ["low-cost", "network", "regional"]}
    table = slice_metrics(cases, **COLUMNS, metrics=["recall"], groups=declared)
    crossed = table[table.level == "region x segment"]
    assert len(crossed) == 6
    assert (crossed[crossed.segment == "regional"].reason == "no rows").all()


def test_a_frame_without_rows_has_rows_without_cases(cases: pd.DataFrame) -> None:
    table = slice_metrics(cases.iloc[:0], **COLUMNS, groups={"region": ["east"]})
    assert set(table.level) == {"overall", "region"}
    assert (table.n == 0).all()
    assert (table.reason == "no rows").all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"score": [0.9, np.nan, 0.6, np.inf, 0.3, 0.1]},
            "not a finite number in 2 rows (first positions: 1, 3)",
        ),
        ({"score": [0.9, 0.2, 1.6, 0.7, 0.3, -0.1]}, "outside [0, 1], but log_loss, brier"),
        ({"score": ["0.9"] * 6}, "must hold numbers"),
        (
            {"late": [1, 0, 2, 0, 1, 0]},
            "neither 1 (positive) nor 0 (negative) in 1 row (first positions: 2)",
        ),
        (
            {"late": [1, 0, None, 0, 1, None]},
            "column 'late' is missing in 2 rows (first positions: 2, 5)",
        ),
        (
            {"region": ["east", None, "west", "west", None, "east"]},
            "slice column 'region' is missing in 2 rows",
        ),
    ],
)
def test_bad_rows_are_refused_with_their_count_and_positions(
    cases: pd.DataFrame, change: dict[str, Any], message: str
) -> None:
    with pytest.raises(MetricsInputError, match=re.escape(message)):
        slice_metrics(cases.assign(**change), **COLUMNS)


def test_a_group_that_was_not_declared_is_refused(cases: pd.DataFrame) -> None:
    with pytest.raises(
        MetricsInputError, match="'region' holds a value that was not declared in 3"
    ):
        slice_metrics(cases, **COLUMNS, groups={"region": ["west"]})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"label": "lates"}, "no column 'lates'; there are 'late', 'score'"),
        ({"metrics": ["acuracy"]}, "no metric 'acuracy' for binary_classification"),
        ({"metrics": []}, "one or more different names"),
        ({"score": None}, "give a score column, a prediction column, or both"),
        ({"slices": []}, "one to 4 different columns"),
        ({"slices": ["region", "region"]}, "one to 4 different columns"),
        ({"confidence": 95}, "between 0 and 1"),
        ({"task": "clustering"}, "task must be one of"),
        ({"task": "regression"}, "needs a prediction column"),
        ({"task": "multiclass_classification"}, "a mapping from each class to its column"),
        ({"groups": {"country": ["a"]}}, "which are no slice columns"),
        ({"groups": {"region": ["east", "east"]}}, "declared twice"),
        ({"weight": "minus"}, "is negative in 1 row"),
    ],
)
def test_wrong_arguments_are_refused_by_name(
    cases: pd.DataFrame, change: dict[str, Any], message: str
) -> None:
    frame = cases.assign(minus=[1, 1, 1, -1, 1, 1])
    with pytest.raises(MetricsInputError, match=re.escape(message)):
        slice_metrics(frame, **COLUMNS | change)


def test_a_metric_of_the_score_needs_a_score(cases: pd.DataFrame) -> None:
    frame = cases.assign(decision=[1, 0, 1, 1, 0, 0])
    columns = COLUMNS | {"score": None, "prediction": "decision"}
    table = slice_metrics(frame, **columns)
    assert "roc_auc" not in set(table.metric)
    with pytest.raises(MetricsInputError, match="'roc_auc' needs a score column"):
        slice_metrics(frame, **columns, metrics=["roc_auc"])


def test_scores_that_are_no_probabilities_can_be_ranked(cases: pd.DataFrame) -> None:
    columns = COLUMNS | {"metrics": ["roc_auc"]}
    plain = slice_metrics(cases, **columns)
    stretched = slice_metrics(cases.assign(score=cases.score * 10 - 5), **columns)
    pd.testing.assert_series_equal(plain.value, stretched.value)


def test_a_prediction_column_stands_above_the_score(cases: pd.DataFrame) -> None:
    frame = cases.assign(decision=cases.late)
    table = slice_metrics(frame, **COLUMNS, prediction="decision", metrics=["accuracy"])
    assert (table.value == 1).all()


def test_the_frame_is_not_changed_and_categories_are_slices_like_texts(
    cases: pd.DataFrame,
) -> None:
    frame = cases.astype({"region": "category"})
    before = frame.copy(deep=True)
    pd.testing.assert_frame_equal(slice_metrics(frame, **COLUMNS), slice_metrics(cases, **COLUMNS))
    pd.testing.assert_frame_equal(frame, before)


def test_the_order_of_rows_changes_nothing(cases: pd.DataFrame) -> None:
    shuffled = cases.sample(frac=1, random_state=1)
    pd.testing.assert_frame_equal(
        slice_metrics(shuffled, **COLUMNS), slice_metrics(cases, **COLUMNS)
    )


def test_many_slices_of_four_columns_are_found_as_pandas_finds_them() -> None:
    random = np.random.default_rng(2)
    frame = pd.DataFrame(random.integers(0, 40, (3000, 4)), columns=list("abcd"))
    frame["label"] = random.integers(0, 2, 3000)
    frame["decision"] = random.integers(0, 2, 3000)
    table = slice_metrics(
        frame, label="label", prediction="decision", slices=list("abcd"), metrics=["accuracy"]
    )
    assert table.level.nunique() == 16
    right = frame.label == frame.decision
    for columns in (["a", "c"], ["b", "c", "d"], ["a", "b", "c", "d"]):
        wanted = right.groupby([frame[name] for name in columns]).mean()
        found = table[table.level == " x ".join(columns)].set_index(columns).value
        assert len(found) == len(wanted)
        np.testing.assert_allclose(found.to_numpy(), wanted.to_numpy())


def test_every_metric_of_the_registry_is_measured_for_its_tasks() -> None:
    random = np.random.default_rng(3)
    frame = pd.DataFrame(random.dirichlet([1, 1, 1], 60), columns=["x", "y", "z"])
    frame["label"] = random.choice(["x", "y", "z"], 60)
    frame["number"] = random.normal(5, 1, 60)
    frame["guess"] = frame.number + 1
    frame["region"] = "n"
    frame["late"] = random.integers(0, 2, 60)
    found = {
        "binary_classification": slice_metrics(frame, label="late", score="x", slices=["region"]),
        "multiclass_classification": slice_metrics(
            frame,
            label="label",
            score={name: name for name in "xyz"},
            slices=["region"],
            task="multiclass_classification",
            classes=list("xyz"),
            abstains=True,
        ),
        "ranking": slice_metrics(
            frame.assign(truth='["x"]', list='["y", "x"]'),
            label="truth",
            prediction="list",
            slices=["region"],
            task="ranking",
        ),
        "regression": slice_metrics(
            frame,
            label="number",
            prediction="guess",
            slices=["region"],
            task="regression",
            tolerance=1.0,
            limits=("number", "guess"),
        ),
    }
    for name, info in METRICS.items():
        assert info.name == name
        assert info.description.endswith(".")
        for task in info.tasks:
            # Those of single classes are only measured when they are asked for.
            assert (name in set(found[task].metric)) == (not info.per_class)


def test_the_names_of_metrics_cost_no_heavy_import() -> None:
    code = (
        "import sys, evaluator.metrics as room; room.METRICS;"
        "print({'numpy', 'pandas'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
