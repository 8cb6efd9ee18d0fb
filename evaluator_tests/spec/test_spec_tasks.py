"""What an audit's task is decides which keys, metrics, measures and losses fit."""

from typing import Any

import pytest
from pydantic import ValidationError

from evaluator.spec import TASKS, AuditSpec

CLASSES = ["low", "middle", "high"]
LABELS = {
    "binary": {"type": "integer", "allowed": [0, 1]},
    "multiclass": {"type": "category", "allowed": CLASSES},
    "ranking": {"type": "string"},
    "regression": {"type": "float"},
}
RECORDED = {"name": "one", "kind": "recorded", "path": "one.csv", "prediction": "said"}


def audit(task: str, candidate: dict[str, Any] | None = None, **keys: Any) -> AuditSpec:
    column = keys.pop("column", None) or LABELS[task]
    told = {
        "task": task,
        "data": {
            "files": "{date}.csv",
            "first_day": "2026-01-01",
            "id": "id",
            "columns": {
                "id": {"type": "string", "required": True, "unique": True},
                "place": {"type": "category", "required": True, "allowed": ["north", "south"]},
                "truth": column,
            },
        },
        "label": {"column": "truth"},
        "candidates": [{**RECORDED, **(candidate or {})}],
        **keys,
    }
    return AuditSpec.model_validate(told)


@pytest.mark.parametrize("task", TASKS)
def test_what_is_not_said_is_what_is_usual_for_the_task(task: str) -> None:
    spec = audit(task, fairness={"attributes": ["place"]}, weak_slices={"features": ["place"]})
    kind = TASKS[task]  # type: ignore[index] # one of its names
    assert spec.metrics == kind.headline_metrics
    assert spec.fairness is not None
    assert spec.fairness.measures == kind.fairness_measures()
    assert spec.weak_slices is not None
    assert spec.weak_slices.loss == kind.losses[0]
    assert {kind.any_metric, kind.any_comparison, *kind.headline_metrics} <= {*kind.metrics()}
    assert kind.any_measure in kind.fairness_measures()


def test_a_metric_of_a_family_has_any_number() -> None:
    gates = [{"metric": "ndcg_at_7", "at_least": 0.5}]
    spec = audit("ranking", metrics=["ndcg_at_7", "recall_at_1000"], gates=gates)
    assert spec.metrics == ("ndcg_at_7", "recall_at_1000")
    assert audit("multiclass", metrics=["top_12_accuracy"]).metrics == ("top_12_accuracy",)


def test_a_binary_task_is_the_one_that_is_not_mentioned() -> None:
    counts = audit("binary").what_counts()
    assert "task" not in counts
    assert counts["label"].keys() == {"column", "positive", "negative"}
    assert not {"scores", "abstain_below", "abstains"} & counts["candidates"][0].keys()
    assert audit("multiclass").what_counts()["task"] == "multiclass"


def test_classes_are_those_of_the_label_in_their_order_or_else_of_its_column() -> None:
    assert audit("multiclass").asks.classes == tuple(CLASSES)
    turned = audit("multiclass", label={"column": "truth", "classes": CLASSES[::-1]})
    assert turned.asks.classes == tuple(CLASSES[::-1])
    numbers = audit("multiclass", column={"type": "integer", "allowed": [3, 1, 2]})
    assert numbers.asks.classes == ("3", "1", "2")


@pytest.mark.parametrize(
    ("task", "keys", "says"),
    [
        ("binary", {"metrics": ["f1_macro"]}, "'f1_macro' is of no binary task"),
        ("multiclass", {"metrics": ["roc_auc"]}, "'roc_auc' is of no multiclass task"),
        ("regression", {"metrics": ["accuracy"]}, "'accuracy' is of no regression task"),
        ("regression", {"metrics": ["within_tolerance"]}, "within_tolerance needs it"),
        ("binary", {"weak_slices": {"features": ["place"], "loss": "absolute_error"}},
         "'absolute_error' is of no binary task"),
        ("regression", {"weak_slices": {"features": ["place"], "loss": "error_rate"}},
         "'error_rate' is of no regression task"),
        ("regression", {"fairness": {"attributes": ["place"], "measures": ["accuracy_gap"]}},
         "'accuracy_gap' is of no regression task"),
        ("binary", {"fairness": {"attributes": ["place"], "limit_difference": 1.5}},
         "no difference between shares is above 1.5"),
        ("multiclass", {"label": {"column": "truth", "positive": "low"}},
         "it says nothing of a multiclass task"),
        ("binary", {"label": {"column": "truth", "classes": [0, 1]}},
         "it says nothing of a binary task"),
        ("regression", {"label": {"column": "truth", "classes": ["a", "b"]}},
         "it says nothing of a regression task"),
        ("multiclass", {"label": {"column": "truth", "classes": ["low", "odd"]}},
         "'odd' is no value that the column 'truth' allows"),
        ("multiclass", {"label": {"column": "truth", "classes": ["low", "high", "low"]}},
         "'low' is listed more than once"),
        ("multiclass", {"column": {"type": "category"}}, "does not list its `allowed` values"),
        ("multiclass", {"column": {"type": "float"}}, "is of type float, and no class"),
        ("regression", {"column": {"type": "category"}}, "is of type category, and no number"),
        ("multiclass", {"candidate": {"threshold": 0.4}}, "it says nothing of a multiclass task"),
        ("multiclass", {"candidate": {"score": "p"}}, "it says nothing of a multiclass task"),
        ("regression", {"candidate": {"abstain_below": 0.5}}, "nothing of a regression task"),
        ("binary", {"candidate": {"scores": {"a": "x", "b": "y"}}}, "nothing of a binary task"),
        ("binary", {"candidate": {"abstains": True}}, "nothing of a binary task"),
        ("multiclass", {"candidate": {"scores": {"low": "a", "high": "b"}}},
         "'middle' stands either here or among the label's classes"),
        ("multiclass", {"candidate": {"abstain_below": 0.5}}, "follow from no probability"),
        ("multiclass", {"candidate": {"prediction": None, "abstains": True}},
         "no decisions are recorded"),
        ("multiclass", {"candidate": {"prediction": None}}, "there are no outputs"),
        ("regression", {"candidate": {"prediction": None}}, "there are no outputs"),
        ("binary", {"candidate": {"prediction": None, "score": None}}, "there are no outputs"),
        ("binary", {"metrics": ["top_7_accuracy"]}, "'top_7_accuracy' is of no binary task"),
        ("multiclass", {"metrics": ["top_0_accuracy"]}, "there is no metric 'top_0_accuracy'"),
        ("ranking", {"metrics": ["accuracy"]}, "'accuracy' is of no ranking task"),
        ("ranking", {"column": {"type": "float"}}, "is of type float, and holds no grades"),
        ("ranking", {"column": {"type": "category"}}, "is of type category, and holds no grades"),
        ("ranking", {"label": {"column": "truth", "classes": ["a", "b"]}},
         "it says nothing of a ranking task"),
        ("ranking", {"candidate": {"prediction": None}}, "there are no outputs"),
        ("ranking", {"candidate": {"score": "p"}}, "it says nothing of a ranking task"),
        ("ranking", {"candidate": {"abstains": True}}, "it says nothing of a ranking task"),
        ("ranking", {"candidate": {"isolate": "process"}}, "no code runs here"),
        ("ranking", {"candidate": {"timeout": 3.0}}, "no code runs here"),
        ("ranking", {"candidates": [{"name": "one", "path": "one.skops", "features": ["place"]}]},
         "no artifact of kind skops ranks items"),
        ("ranking", {"candidates": [{"name": "one", "kind": "onnx", "path": "one.onnx",
                                     "features": ["place"]}]},
         "no artifact of kind onnx ranks items"),
        ("several", {"column": {"type": "float"}}, "task"),
    ],
)  # fmt: skip
def test_what_is_of_another_task_is_refused_by_name(
    task: str, keys: dict[str, Any], says: str
) -> None:
    with pytest.raises(ValidationError, match=says.replace("(", r"\(")):
        audit(task, **keys)
