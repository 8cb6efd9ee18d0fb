import math
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from evaluator.certification import format_list, format_metric, format_number
from evaluator.certification._gates._behaviour import behaviour_of
from evaluator.metrics import METRICS
from evaluator.spec import GateBase, GateSpec, MetricGate

GATE: TypeAdapter[GateSpec] = TypeAdapter(GateSpec)
KINDS = [kind for kind in GateBase.__subclasses__() for kind in [kind, *kind.__subclasses__()]]
KINDS += [kind for parent in KINDS for kind in parent.__subclasses__() if kind not in KINDS]


def _gate(**fields: Any) -> Any:
    return GATE.validate_python(fields)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"metric": "recall"}, "no limit"),
        ({"metric": "recall", "at_least": 0.8, "at_most": 0.2}, "can never pass"),
        ({"metric": "recal", "at_least": 0.5}, "use one of recall"),
        ({"metric": "recall", "at_least": "0.5"}, "valid number"),
        ({"metric": "recall", "at_least": True}, "valid number"),
        ({"metric": "recall", "at_least": math.nan}, "finite number"),
        ({"metric": "recall", "at_most": math.inf}, "finite number"),
        ({"metric": "recall", "at_least": 0.5, "level": "city"}, "'slice'"),
        ({"metric": "recall", "at_least": 0.5, "minimum": 0.5}, "Extra inputs"),
        ({"metric": "recall", "at_least": 0.5, "required": "yes"}, "valid boolean"),
        ({"metric": "recall", "at_least": 0.5, "decide_on": "luck"}, "'bound' or 'value'"),
        ({"metric": "recall", "at_least": 0.5, "level": "slice", "segment": "a"}, "names a place"),
        ({"metric": "recall", "at_least": 0.5, "better_than_baseline": True}, "a gate of each"),
        ({"metric": "recall", "not_worse_than_baseline_by": 0.0}, "greater than 0"),
        (
            {"metric": "f1", "not_worse_than_baseline_by": 0.1, "better_than_baseline": True},
            "a gate of each",
        ),
        (
            {"metric": "f1", "better_than_baseline_by": 0.1, "better_than_baseline": True},
            "a gate of each",
        ),
        (
            {"metric": "f1", "better_than_baseline_by": 0.1, "not_worse_than_baseline_by": 0.1},
            "a gate of each",
        ),
        ({"metric": "f1", "better_than_baseline_by": 0.1, "at_least": 0.5}, "a gate of each"),
        ({"metric": "recall", "better_than_baseline_by": 0.0}, "greater than 0"),
        ({"metric": "recall", "better_than_baseline_by": -0.1}, "greater than 0"),
        ({"metric": "recall", "better_than_baseline_by": True}, "valid number"),
        ({"metric": "selection_rate", "better_than_baseline": True}, "neither more nor less"),
        ({"metric": "selection_rate", "better_than_baseline_by": 0.1}, "neither more nor less"),
        ({"kind": "calibration"}, "required"),
        ({"kind": "calibration", "metric": "recall", "at_most": 0.1}, "no error of calibration"),
        ({"kind": "fairness", "measure": "equal_opportunity"}, "has no limit"),
        ({"kind": "fairness", "measure": "equality", "limit_difference": 0.1}, "no fairness"),
        ({"kind": "fairness", "measure": "calibration_gap", "limit_ratio": 0.8}, "no meaning"),
        ({"kind": "fairness", "measure": "equal_opportunity", "limit_ratio": 1.2}, "less than 1"),
        ({"kind": "weak_slices", "no_weak_slice_above": -0.1}, "greater than or equal to 0"),
        ({"kind": "complete", "at_least": 1}, "Extra inputs"),
        ({"kind": "data_quality"}, "has no limit"),
        ({"kind": "data_quality", "refused_days_at_most": 0.5}, "valid integer"),
        ({"kind": "drift", "drift_below": 0}, "greater than 0"),
        ({"kind": "gut feeling"}, "does not match any of the expected tags"),
    ],
)
def test_a_gate_that_makes_no_sense_is_refused_with_a_reason(
    fields: dict[str, Any], expected: str
) -> None:
    with pytest.raises(ValidationError, match=expected):
        _gate(**fields)


def test_a_gate_may_be_written_with_whole_numbers() -> None:
    assert _gate(metric="log_loss", at_most=1).at_most == 1.0


def test_a_gate_is_on_a_metric_overall_by_its_bound_and_required_unless_it_says_otherwise() -> None:
    gate = _gate(metric="recall", at_least=0.5)
    assert (gate.kind, gate.level, gate.decide_on) == ("metric", "overall", "bound")
    assert (gate.candidate, gate.required, gate.rationale) == (None, True, "")


@pytest.mark.parametrize("name", METRICS)
def test_every_metric_can_have_a_gate(name: str) -> None:
    assert _gate(metric=name, at_least=0.0).metric == name


@pytest.mark.parametrize("kind", KINDS)
def test_every_key_of_a_gate_is_described_and_has_an_example(kind: type[GateBase]) -> None:
    for name, field in kind.model_fields.items():
        assert field.description, name
        assert field.examples, name


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"metric": "roc_auc", "at_least": 0.75}, "ROC AUC overall at least 0.75"),
        (
            {"metric": "log_loss", "level": "slice", "at_least": 0.1, "at_most": 0.4},
            "log loss of each slice at least 0.1 and at most 0.4",
        ),
        (
            {"metric": "recall", "geography": "pacific", "segment": "regional", "at_least": 0.5},
            "recall of pacific x regional at least 0.5",
        ),
        (
            {"metric": "roc_auc", "not_worse_than_baseline_by": 0.01, "level": "segment"},
            "ROC AUC of each segment not worse than the baseline's by more than 0.01",
        ),
        (
            {"metric": "brier", "better_than_baseline_by": 0.02, "segment": "regional"},
            "Brier score of regional better than the baseline's by at least 0.02",
        ),
        (
            {"metric": "f1", "better_than_baseline": True, "decide_on": "value"},
            "F1 overall better than the baseline's, decided on the value",
        ),
        (
            {"kind": "calibration", "at_most": 0.05},
            "expected calibration error overall at most 0.05",
        ),
        (
            {
                "kind": "fairness",
                "measure": "equal_opportunity",
                "attribute": "region",
                "limit_difference": 0.1,
                "limit_ratio": 0.8,
            },
            "equal opportunity by region: difference at most 0.1 and ratio at least 0.8",
        ),
        (
            {"kind": "weak_slices", "no_weak_slice_above": 0.1},
            "no weak slice with an excess above 0.1",
        ),
        ({"kind": "complete"}, "a result for every slice"),
        (
            {"kind": "data_quality", "refused_share_at_most": 0.02, "refused_days_at_most": 1},
            "at most 0.02 of all rows and at most 1 day refused",
        ),
        (
            {"kind": "drift", "drift_below": 0.2, "columns": ["age"]},
            "drift of age below 0.2 each day (stability index)",
        ),
    ],
)
def test_a_gate_can_be_said_in_words(fields: dict[str, Any], expected: str) -> None:
    assert behaviour_of(_gate(**fields)).phrase == expected


def test_a_gate_that_was_loaded_can_be_written_out_and_loaded_again() -> None:
    gate = MetricGate(metric="recall", geography="pacific", at_least=0.5)
    assert GATE.validate_python(gate.model_dump(mode="json", exclude_unset=True)) == gate


def test_metrics_keep_their_proper_names() -> None:
    assert format_metric("matthews_correlation") == "Matthews correlation"
    assert format_metric("f1") == "F1"


def test_a_number_has_three_decimals_and_more_only_to_tell_it_from_its_limit() -> None:
    assert format_number(0.7) == "0.700"
    assert format_number(0.5, apart_from=0.5) == "0.500"
    assert format_number(0.49999, apart_from=0.5) == "0.49999"
    assert format_number(0.4999999, apart_from=0.5) == "0.4999999"
    # What is nearer than rounding is at the limit, and decided so.
    assert format_number(math.nextafter(0.5, 0), apart_from=0.5) == "0.500"


def test_a_long_list_is_cut_with_a_count() -> None:
    assert format_list(["a", "b", "c", "d", "e"]) == "a, b, c and 2 more"
    assert format_list(["a", "b", "c"]) == "a, b, c"
