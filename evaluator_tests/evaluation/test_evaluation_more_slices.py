"""What is measured beside geography and segment."""

from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from evaluator.evaluation import EvaluatedCases
from evaluator.evaluation._measure import measure_additional_slices
from evaluator.spec import AuditSpec, RecordedCandidate

DEVICES = ["phone", "tablet", None, "phone", "a, b", "phone", None, "tablet"]


def spec_of(additional_slices: list[list[str]], **columns: dict[str, Any]) -> AuditSpec:
    return AuditSpec.model_validate(
        {
            "data": {
                "files": "{date}.csv",
                "first_day": "2026-01-01",
                "id": "id",
                "columns": {
                    "id": {"type": "string", "required": True, "unique": True},
                    "truth": {"type": "integer"},
                    "device": {"type": "category"},
                    "age": {"type": "integer"},
                    "member": {"type": "boolean"},
                    **columns,
                },
            },
            "label": {"column": "truth"},
            "metrics": ["accuracy", "recall"],
            "additional_slices": additional_slices,
        }
    )


def measured(
    spec: AuditSpec, table: pa.Table, predictions: pd.DataFrame, *, score: str | None = "score"
) -> list[pd.DataFrame]:
    """Measure a candidate on some of the cases."""
    candidate = RecordedCandidate(
        kind="recorded", name="one", path="one.csv", score=score, prediction="decision"
    )
    cases = EvaluatedCases(table, spec.data)
    row_positions = cases.positions_of(predictions)
    return measure_additional_slices(spec, candidate, cases, predictions, row_positions)


@pytest.fixture
def cases() -> pa.Table:
    return pa.table(
        {
            "id": [f"c{number}" for number in range(8)],
            "data.device": DEVICES,
            "data.age": pa.array([9, 10, 9, 100, None, 10, 9, 9], pa.int64()),
            "data.member": [True, False, True, False, True, False, True, False],
        }
    )


@pytest.fixture
def predictions() -> pd.DataFrame:
    frame = pd.DataFrame(
        {
            "id": [f"c{number}" for number in range(8)],
            "label": [1, 0, 1, 0, 1, 0, 1, 0],
            "score": [0.9, 0.1, 0.2, 0.8, 0.7, 0.3, 0.6, 0.4],
        }
    )
    frame["prediction"] = (frame["score"] >= 0.5).astype(int)
    # The order of predictions is not that of the evaluation set.
    return frame.sample(frac=1, random_state=5)


def counted(level: pd.DataFrame) -> dict[str, int]:
    one = level[level["metric"] == "accuracy"]
    assert one["group"].is_unique
    return dict(zip(one["group"], one["n"].astype(int), strict=True))


def test_cases_without_a_value_are_a_group_of_their_own(
    cases: pa.Table, predictions: pd.DataFrame
) -> None:
    (level,) = measured(spec_of([["device"]]), cases, predictions)
    assert counted(level) == {
        'device = "a, b"': 1,
        "device = phone": 3,
        "device = tablet": 2,
        "device = (missing)": 2,
    }
    accuracy = level[level["metric"] == "accuracy"].set_index("group")["value"]
    # By hand: of the two cases without a device one is scored 0.2 and one 0.6; both are positive.
    assert accuracy["device = (missing)"] == 0.5
    assert accuracy["device = phone"] == pytest.approx(2 / 3)


def test_whole_numbers_stand_in_their_own_order_and_without_a_point(
    cases: pa.Table, predictions: pd.DataFrame
) -> None:
    (level,) = measured(spec_of([["age"]]), cases, predictions)
    assert list(counted(level).items()) == [
        ("age = 9", 4), ("age = 10", 2), ("age = 100", 1), ("age = (missing)", 1)
    ]  # fmt: skip


def test_every_column_and_every_cross_is_one_level_and_none_comes_twice(
    cases: pa.Table, predictions: pd.DataFrame
) -> None:
    spec = spec_of([["device"], ["age", "device", "member"], ["device", "age"], ["member"]])
    levels = measured(spec, cases, predictions)
    assert [level["level"].iloc[0] for level in levels] == [
        "device", "age", "member", "age x device", "age x member", "device x member",
        "age x device x member",
    ]  # fmt: skip
    for level in levels:
        # Each level cuts the same cases, once.
        assert sum(counted(level).values()) == 8
    assert counted(levels[3])["age = 9, device = (missing)"] == 2
    assert counted(levels[2]) == {"member = false": 4, "member = true": 4}


def test_a_declared_group_without_a_case_has_n_0(
    cases: pa.Table, predictions: pd.DataFrame
) -> None:
    declared = {"type": "category", "allowed": ["watch", "phone"], "severity": "warn"}
    spec = spec_of([["device", "member"]], device=declared)
    device, _, cross = measured(spec, cases, predictions)
    # What is not allowed was only warned about, so that it is there.
    assert list(counted(device)) == [
        "device = watch", "device = phone", 'device = "a, b"', "device = tablet",
        "device = (missing)",
    ]  # fmt: skip
    watch = device[device["group"] == "device = watch"]
    assert watch["n"].tolist() == [0, 0]
    assert watch["status"].tolist() == ["undefined"] * 2
    assert watch["reason"].tolist() == ["no rows"] * 2
    # Which combinations there may be is not declared: those that occur are there.
    assert len(counted(cross)) == 5


def test_a_cross_of_declared_columns_lists_every_combination(
    cases: pa.Table, predictions: pd.DataFrame
) -> None:
    spec = spec_of(
        [["device", "member"]],
        device={"type": "category", "allowed": ["watch", "phone", "tablet", "a, b"]},
        member={"type": "boolean", "allowed": [False, True]},
    )
    *_, cross = measured(spec, cases, predictions)
    assert len(counted(cross)) == 5 * 2
    assert counted(cross)["device = watch, member = true"] == 0


def test_numbers_that_the_yaml_writes_with_a_point_are_the_columns_own(
    cases: pa.Table, predictions: pd.DataFrame
) -> None:
    declared = {"type": "integer", "allowed": [100.0, 10.0, 9.0, 8.0]}
    (level,) = measured(spec_of([["age"]], age=declared), cases, predictions)
    assert list(counted(level)) == [
        "age = 100", "age = 10", "age = 9", "age = 8", "age = (missing)"
    ]  # fmt: skip


def test_a_group_that_the_candidate_was_never_run_on_is_not_an_empty_one(
    cases: pa.Table, predictions: pd.DataFrame
) -> None:
    declared = {"type": "category", "allowed": ["watch", "phone", "tablet", "a, b"]}
    spec = spec_of([["device"]], device=declared)
    ran_on = predictions[~predictions["id"].isin(["c1", "c7"])]
    (level,) = measured(spec, cases, ran_on)
    assert "device = tablet" not in counted(level)
    assert counted(level)["device = watch"] == 0


def test_a_text_that_reads_like_another_group_stands_in_quotes(
    predictions: pd.DataFrame,
) -> None:
    texts = ["(missing)", None, "", " x", "a = b", 'say "x"', "plain", "x"]
    cases = pa.table({"id": [f"c{n}" for n in range(8)], "data.device": texts})
    (level,) = measured(spec_of([["device"]]), cases, predictions)
    assert set(counted(level)) == {
        'device = "(missing)"', "device = (missing)", 'device = ""', 'device = " x"',
        'device = "a = b"', 'device = "say \\"x\\""', "device = plain", "device = x",
    }  # fmt: skip


def test_a_column_may_be_called_as_a_prediction_is(predictions: pd.DataFrame) -> None:
    cases = pa.table({"id": [f"c{n}" for n in range(8)], "data.score": ["low", "high"] * 4})
    spec = spec_of([["score"]], score={"type": "string"})
    (level,) = measured(spec, cases, predictions)
    assert counted(level) == {"score = high": 4, "score = low": 4}


def test_predictions_for_cases_that_are_not_there_are_a_fault(
    cases: pa.Table, predictions: pd.DataFrame
) -> None:
    with pytest.raises(ValueError, match="cases that the evaluation set does not have"):
        measured(spec_of([["device"]]), cases.slice(1), predictions)


def test_without_scores_what_needs_them_is_undefined_in_every_group(
    cases: pa.Table, predictions: pd.DataFrame
) -> None:
    spec = spec_of([["device"]]).model_copy(update={"metrics": ("roc_auc", "accuracy")})
    (level,) = measured(spec, cases, predictions.assign(score=np.nan), score=None)
    assert counted(level)["device = phone"] == 3
    areas = level[level["metric"] == "roc_auc"]
    assert areas["n"].sum() == 8
    assert set(areas["status"]) == {"undefined"}
    assert set(areas["reason"]) == {"one gives decisions and no scores"}
