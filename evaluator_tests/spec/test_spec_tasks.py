"""What an audit's task is decides which keys, metrics, measures and losses fit."""

from typing import Any

import pyarrow as pa
import pytest
from pydantic import ValidationError

from evaluator.errors import IntakeError
from evaluator.spec import TASKS, AuditSpec, CalibrationGate, ColumnSpec, MetricGate
from evaluator.spec._candidates import LATER_KEYS

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
    # Without a tolerance no numbers are near enough.
    needing = {"tolerance_gap"} if task == "regression" else set()
    assert spec.fairness.measures == tuple(
        name for name in kind.fairness_measures() if name not in needing
    )
    assert spec.weak_slices is not None
    assert spec.weak_slices.loss == kind.losses[0]
    assert {kind.any_metric, kind.any_comparison, *kind.headline_metrics} <= {*kind.metrics()}
    assert kind.any_measure in kind.fairness_measures()


def test_metrics_of_single_classes_need_one_of_all_beside_them() -> None:
    spec = audit("multiclass", metrics=["class_recall", "accuracy", "class_f1"])
    assert spec.headline_metrics == ("accuracy",)
    with pytest.raises(ValidationError, match="metrics: each of them has a value a class"):
        audit("multiclass", metrics=["class_recall"])


def test_a_gate_on_calibration_looks_at_what_is_usual_for_the_task() -> None:
    scores = {name: name for name in CLASSES}
    gates = [{"kind": "calibration", "at_most": 0.1}]
    usual = TASKS["multiclass"].calibration_error
    spec = audit("multiclass", {"scores": scores}, metrics=["accuracy", usual], gates=gates)
    assert [gate.metric for gate in spec.gates if isinstance(gate, CalibrationGate)] == [usual]
    with pytest.raises(ValidationError, match="'top_label_calibration_error' is not among"):
        audit("multiclass", {"scores": scores}, metrics=["accuracy"], gates=gates)


METRICS = ["accuracy", "log_loss", "class_recall", "class_calibration_error"]
NAMED = {"metric": "class_recall", "at_least": 0.5}
AGAINST = {"metric": "class_calibration_error", "not_worse_than_baseline_by": 0.1}
GAP = {"kind": "fairness", "measure": "equal_opportunity", "limit_difference": 0.1}


@pytest.mark.parametrize(
    ("task", "gate", "says"),
    [
        ("multiclass", {**NAMED, "class": "hihg"},
         "gates.0.class: the label has no class 'hihg'.*did you mean `high`"),
        ("multiclass", {**NAMED, "metric": "accuracy", "class": "high"},
         "class: accuracy has one value over all classes"),
        ("multiclass", {"kind": "calibration", "metric": "log_loss", "at_most": 1, "class": "high"},
         "class: log_loss has one value over all classes"),
        ("multiclass", {**GAP, "measure": "accuracy_gap", "class": "high"},
         "class: accuracy_gap has one value over all classes"),
        ("multiclass", AGAINST, "candidates are not compared by class_calibration_error"),
        ("binary", {**GAP, "class": 1}, "gates.0.class: the label has no several classes"),
        ("multiclass", {**NAMED, "clas": "high"}, "clas"),
    ],
)  # fmt: skip
def test_a_gate_is_for_a_class_that_there_is_of_what_has_a_value_a_class(
    task: str, gate: dict[str, Any], says: str
) -> None:
    metrics = METRICS if task == "multiclass" else ["accuracy"]
    recorded = {"scores": {name: name for name in CLASSES}} if task == "multiclass" else {}
    with pytest.raises(ValidationError, match=says):
        audit(task, recorded, metrics=metrics, fairness={"attributes": ["place"]}, gates=[gate])


def test_the_class_of_a_gate_is_named_as_the_label_has_it_and_counts_where_it_is_said() -> None:
    allowed = {"type": "integer", "allowed": [3, 1, 2]}
    gates = [NAMED, {**NAMED, "class": 3}]
    spec = audit("multiclass", column=allowed, metrics=METRICS, gates=gates)
    assert [gate.of_class for gate in spec.gates if isinstance(gate, MetricGate)] == [None, "3"]
    first, second = spec.what_counts()["gates"]
    assert "class" not in first
    assert second == {**first, "class": 3}
    read = AuditSpec.model_validate(spec.model_dump(mode="json", exclude_unset=True))
    assert read == spec


def test_a_binary_task_is_the_one_that_is_not_mentioned() -> None:
    counts = audit("binary").what_counts()
    assert "task" not in counts
    assert counts["label"].keys() == {"column", "positive", "negative"}
    assert not LATER_KEYS & counts["candidates"][0].keys()
    assert "limits_level" not in counts
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
        ("regression", {"metrics": ["within_tolerance"]}, "metric within_tolerance needs it"),
        ("regression", {"fairness": {"attributes": ["place"], "measures": ["tolerance_gap"]}},
         "measure tolerance_gap needs it"),
        ("regression", {"metrics": ["interval_score"]}, "metric interval_score needs it"),
        ("regression", {"candidate": {"low": "a"}}, "only the column of the limit `low` is named"),
        ("regression", {"candidate": {"high": "a"}}, "only the column of the limit `high`"),
        ("binary", {"candidate": {"low": "a", "high": "b"}}, "nothing of a binary task"),
        ("multiclass", {"candidate": {"low": "a", "high": "b"}}, "nothing of a multiclass task"),
        ("binary", {"limits_level": 0.9}, "it says nothing of a binary task"),
        ("multiclass", {"candidate": {"label_values": {"l": "low", "h": "hgih"}}},
         "'h' stands for 'hgih', which is none of the label's classes"),
        ("multiclass", {"candidate": {"label_values": {"l": ["low", "high"]}}},
         "'l' stands for 'low or high'"),
        ("binary", {"candidate": {"label_values": {"l": 1}}}, "must have the keys positive and"),
        ("regression", {"fairness": {"attributes": ["place"], "limit_difference": 5.0},
                        "label": {"column": "truth", "tolerance": 2.0}},
         "no difference between shares is above 5, and tolerance_gap compares shares"),
        ("binary", {"weak_slices": {"features": ["place"], "loss": "absolute_error"}},
         "'absolute_error' is of no binary task"),
        ("regression", {"weak_slices": {"features": ["place"], "loss": "error_rate"}},
         "'error_rate' is of no regression task"),
        ("regression", {"fairness": {"attributes": ["place"], "measures": ["accuracy_gap"]}},
         "'accuracy_gap' is of no regression task"),
        ("binary", {"fairness": {"attributes": ["place"], "limit_difference": 1.5}},
         "no difference between shares is above 1.5, and demographic_parity compares shares"),
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
        ("several", {"column": {"type": "float"}}, "task"),
        ("multi-label", {"column": {"type": "category"}}, "several labels a case are not audited"),
        ("multiclass", {"label": {"column": ["one", "other"]}}, "several labels a case"),
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
    ],
)  # fmt: skip
def test_what_is_of_another_task_is_refused_by_name(
    task: str, keys: dict[str, Any], says: str
) -> None:
    with pytest.raises(ValidationError, match=says.replace("(", r"\(")):
        audit(task, **keys)


def test_labels_that_name_several_classes_are_refused_as_that() -> None:
    column = ColumnSpec(type="category")
    task = audit("multiclass", label={"column": "truth", "classes": CLASSES}).asks

    with pytest.raises(IntakeError) as caught:
        task.knowing(column, pa.chunked_array([["low", "low;high", '["low", "middle"]']]))

    assert "2 of 3 labels in 'truth' are none of the 3 classes" in caught.value.what
    assert "several labels a case are not audited" in caught.value.what
    with pytest.raises(IntakeError) as caught:
        task.knowing(column, pa.chunked_array([["low", "hihg"]]))
    assert "several" not in caught.value.what


def test_numbers_that_may_be_off_are_compared_between_groups_by_default() -> None:
    spec = audit(
        "regression",
        fairness={"attributes": ["place"]},
        label={"column": "truth", "tolerance": 1.5},
    )
    assert spec.fairness is not None
    assert spec.fairness.measures == ("mean_residual", "tolerance_gap")
    assert spec.asks.metric_options == {"tolerance": 1.5}
    assert audit("regression", limits_level=0.8).asks.metric_options["limits_level"] == 0.8


@pytest.mark.parametrize("task", TASKS)
def test_what_is_logged_of_a_candidate_is_what_its_task_rests_on(task: str) -> None:
    spec = audit(task)
    logged = {"binary": {"threshold": 0.5}}.get(task, {})
    assert spec.asks.settings(spec.candidates[0]) == logged
    scores = {"scores": {"low": "a", "middle": "b", "high": "c"}, "abstain_below": 0.4}
    sure = audit("multiclass", candidate={"prediction": None, **scores})
    assert sure.asks.settings(sure.candidates[0]) == {"abstain_below": 0.4}


def test_a_metric_of_a_family_has_any_number() -> None:
    gates = [{"metric": "ndcg_at_7", "at_least": 0.5}]
    spec = audit("ranking", metrics=["ndcg_at_7", "recall_at_1000"], gates=gates)
    assert spec.metrics == ("ndcg_at_7", "recall_at_1000")
    assert audit("multiclass", metrics=["top_12_accuracy"]).metrics == ("top_12_accuracy",)
