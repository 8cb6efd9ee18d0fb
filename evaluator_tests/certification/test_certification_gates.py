import math
from typing import Any

import pytest
from pydantic import ValidationError

from evaluator.certification.words import gate_words, list_words, metric_words, number_words
from evaluator.metrics import METRICS
from evaluator.spec.gates import GateSpec


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"metric": "recall"}, "no limit"),
        ({"metric": "recall", "minimum": 0.8, "maximum": 0.2}, "can never pass"),
        ({"metric": "recal", "minimum": 0.5}, "use one of recall"),
        ({"metric": "recall", "minimum": "0.5"}, "valid number"),
        ({"metric": "recall", "minimum": True}, "valid number"),
        ({"metric": "recall", "minimum": math.nan}, "finite number"),
        ({"metric": "recall", "maximum": math.inf}, "finite number"),
        ({"metric": "recall", "minimum": 0.5, "level": "city"}, "'slice'"),
        ({"metric": "recall", "minimum": 0.5, "at_least": 0.5}, "Extra inputs"),
        ({"metric": "recall", "minimum": 0.5, "required": "yes"}, "valid boolean"),
    ],
)
def test_a_gate_that_makes_no_sense_is_refused_with_a_reason(
    fields: dict[str, Any], said: str
) -> None:
    with pytest.raises(ValidationError, match=said):
        GateSpec(**fields)


def test_a_gate_may_be_written_with_whole_numbers() -> None:
    assert GateSpec(metric="log_loss", maximum=1).maximum == 1.0


def test_a_gate_is_for_every_candidate_overall_and_required_unless_it_says_otherwise() -> None:
    gate = GateSpec(metric="recall", minimum=0.5)
    assert (gate.level, gate.candidate, gate.required) == ("overall", None, True)


@pytest.mark.parametrize("name", METRICS)
def test_every_metric_can_have_a_gate(name: str) -> None:
    assert GateSpec(metric=name, minimum=0.0).metric == name


def test_every_key_of_a_gate_is_described_and_has_an_example() -> None:
    for name, field in GateSpec.model_fields.items():
        assert field.description, name
        assert field.examples, name


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"metric": "roc_auc", "minimum": 0.75}, "ROC AUC overall at least 0.75"),
        (
            {"metric": "log_loss", "level": "slice", "minimum": 0.1, "maximum": 0.4},
            "log loss of each slice at least 0.1 and at most 0.4",
        ),
    ],
)
def test_a_gate_can_be_said_in_words(fields: dict[str, Any], words: str) -> None:
    assert gate_words(GateSpec(**fields)) == words


def test_metrics_keep_their_proper_names() -> None:
    assert metric_words("matthews_correlation") == "Matthews correlation"
    assert metric_words("f1") == "F1"


def test_a_number_has_three_decimals_and_more_only_to_tell_it_from_its_limit() -> None:
    assert number_words(0.7) == "0.700"
    assert number_words(0.5, apart_from=0.5) == "0.500"
    assert number_words(0.49999, apart_from=0.5) == "0.49999"
    assert number_words(math.nextafter(0.5, 0), apart_from=0.5) != "0.500"


def test_a_long_list_is_cut_with_a_count() -> None:
    assert list_words(["a", "b", "c", "d", "e"]) == "a, b, c and 2 more"
    assert list_words(["a", "b", "c"]) == "a, b, c"
