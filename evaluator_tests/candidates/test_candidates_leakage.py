"""Features that give the label away and cases that come again are told, and luck is not."""

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from sklearn.metrics import roc_auc_score

from evaluator.candidates import build_evaluation_set, leakage_remarks
from evaluator.candidates._leakage import GIVES_AWAY, separation
from evaluator.spec import AuditSpec

GENERATOR = np.random.default_rng(3)
LABELS = GENERATOR.integers(0, 2, 400)


def test_a_number_parts_classes_as_scikit_learn_says_in_either_direction() -> None:
    values = LABELS + GENERATOR.normal(size=400)
    area = float(roc_auc_score(LABELS, values))
    assert separation(pa.array(values), LABELS) == pytest.approx(area)
    assert separation(pa.array(-values), LABELS) == pytest.approx(area)


def test_that_a_value_is_missing_may_give_the_label_away() -> None:
    values = pa.array([None if label else 1.0 for label in LABELS], pa.float64())
    assert separation(values, LABELS) == 1.0
    assert separation(pa.array([None] * 400, pa.float64()), LABELS) == 0.5


@pytest.mark.parametrize(
    "values",
    [
        [f"code {label * 3 + number % 3}" for number, label in enumerate(LABELS)],
        [int(label + 2 * (number % 5)) for number, label in enumerate(LABELS)],
        [bool(label) for label in LABELS],
        [None if label else "known" for label in LABELS],
        [
            datetime(2024, 1, 1 + 2 * label, tzinfo=UTC) + timedelta(seconds=number)
            for number, label in enumerate(LABELS.tolist())
        ],
    ],
    ids=["text", "whole number without an order", "boolean", "missing text", "time"],
)
def test_a_value_of_any_type_may_give_the_label_away(values: list[Any]) -> None:
    assert separation(pa.array(values), LABELS) >= GIVES_AWAY


def test_texts_that_are_all_different_tell_nothing() -> None:
    assert separation(pa.array([f"name {n}" for n in range(400)]), LABELS) == 0.5


def spec_with(**more: Any) -> AuditSpec:
    return AuditSpec.model_validate(
        {
            "data": {
                "files": "all.csv",
                "id": "case",
                "columns": {
                    "case": {"type": "string"},
                    "y": {"type": "integer", "allowed": [0, 1]},
                    "x": {"type": "float"},
                    "z": {"type": "category"},
                },
            },
            "label": {"column": "y", "positive": 1},
            "candidates": [
                {"name": "one", "path": "m.skops", "features": ["x"]},
                {"name": "two", "path": "m.skops", "features": ["x", "z"]},
            ],
            **more,
        }
    )


def remarks(x: Any, z: Any, labels: Any = LABELS, **asked: Any) -> list[str]:
    count = len(labels)
    table = pa.table(
        {
            "case": [f"c{number:03}" for number in range(count)],
            "y": pa.array(labels, pa.int64()),
            "x": pa.array(x, pa.float64()),
            "z": pa.array(z, pa.string()).dictionary_encode(),
        }
    )
    spec = spec_with()
    cases = build_evaluation_set({"snapshot": table}, spec).cases
    return [*leakage_remarks(cases, spec, **asked)]


def test_a_feature_that_gives_the_label_away_is_told_with_who_takes_it() -> None:
    noise = GENERATOR.normal(size=400)
    found = remarks(noise, ["yes" if label else "no" for label in LABELS])
    told = (
        "z alone tells positive from negative cases with an AUC of 1.000: see whether it is known"
        " before the answer is (a feature of two)"
    )
    assert found == [told]
    assert remarks(noise, GENERATOR.choice(["yes", "no"], 400)) == []


def test_of_many_classes_the_work_is_bounded_and_the_remark_says_what_was_looked_at(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    count, kinds = 60_000, 30
    # The later a class is named, the more cases it has.
    share = np.arange(1, kinds + 1) / (kinds * (kinds + 1) / 2)
    labels = GENERATOR.choice(kinds, count, p=share)
    ranked: list[int] = []

    def counting(truth: Any, score: Any) -> float:
        ranked.append(len(truth))
        return float(roc_auc_score(truth, score))

    monkeypatch.setattr("sklearn.metrics.roc_auc_score", counting)
    classes = [f"k{number:02}" for number in range(kinds)]
    spec = spec_with(
        task="multiclass",
        label={"column": "k", "classes": classes},
        data={
            "files": "all.csv",
            "id": "case",
            "columns": {
                "case": {"type": "string"},
                "k": {"type": "category"},
                "x": {"type": "float"},
                "z": {"type": "float"},
            },
        },
    )
    noise = GENERATOR.normal(size=count)
    table = pa.table(
        {
            "case": [f"c{number}" for number in range(count)],
            "k": pa.array(np.array(classes)[labels]).dictionary_encode(),
            "x": noise,
            "z": np.where(labels == kinds - 1, 9.0, noise),
        }
    )
    cases = build_evaluation_set({"snapshot": table}, spec).cases

    told = [*leakage_remarks(cases, spec)]

    remark = (
        "z alone tells k29 from the other classes with an AUC of 1.000: see whether it is known"
        " before the answer is (a feature of two; looked at in 50,000 of 60,000 cases, at the 20"
        " most frequent of 30 classes)"
    )
    assert told == [remark]
    # Two columns, each ranked in one order for each of the classes.
    assert ranked == [50_000] * 20 * 2
    ranked.clear()
    assert [*leakage_remarks(cases.take(GENERATOR.permutation(count)), spec)] == told


def test_of_a_few_cases_of_a_class_luck_is_not_told() -> None:
    few = np.array([1] * 9 + [0] * 300)
    assert remarks(few + GENERATOR.random(309) / 2, ["a"] * 309, few) == []


def test_cases_that_come_again_under_another_id_are_counted_with_examples() -> None:
    x = GENERATOR.normal(size=400)
    x[390:] = [*x[:9], x[0]]
    z = GENERATOR.choice(["yes", "no"], 400)
    z[390:] = [*z[:9], z[0]]
    labels = LABELS.copy()
    labels[390:] = [*labels[:8], 1 - labels[8], labels[0]]
    told = (
        "10 of 400 cases repeat the values of another in all 2 columns but id and label (c000 and"
        " c390, c001 and c391, c002 and c392, c003 and c393, c004 and c394, ...): counted as"
        " separate cases, they make intervals too narrow; 2 such cases have labels that differ"
    )
    assert remarks(x, z, labels) == [told]
    (without,) = remarks(x, z, labels, with_ids=False)
    assert "c000" not in without


def test_values_of_which_there_are_few_repeat_by_chance_and_that_is_no_finding() -> None:
    assert remarks(GENERATOR.integers(0, 9, 400), GENERATOR.choice(["yes", "no"], 400)) == []
