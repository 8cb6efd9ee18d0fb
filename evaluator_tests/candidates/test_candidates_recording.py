"""Recorded outputs are joined by id, and whatever does not join is told with its count."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings, strategies as st
from pydantic import TypeAdapter

from evaluator.candidates import artifact_digest, load_scorer, predict, recording_issues
from evaluator.errors import CandidateError
from evaluator.spec import CandidateSpec
from evaluator_tests.candidates.conftest import candidate_of, task_of

CASES = pd.DataFrame(
    {"id": [3, 1, 2], "geography": "A", "segment": "p", "label": [1, 0, 1], "data.x": 0.0}
)
Record = Callable[[str], Path]


@pytest.fixture
def record(tmp_path: Path) -> Record:
    """Write a recording as CSV; it returns the home."""

    def make(text: str) -> Path:
        (tmp_path / "one.csv").write_text(text, encoding="utf-8")
        return tmp_path

    return make


def candidate(**told: Any) -> Any:
    """Make a recorded candidate, which is given no features."""
    return candidate_of(**{"kind": "recorded", "path": "one.csv", "features": None, **told})


def predicted(home: Path, cases: pd.DataFrame = CASES, **told: Any) -> pd.DataFrame:
    positive = told.pop("positive", 1)
    scorer = load_scorer(candidate(**told), home, task=task_of(positive))
    return predict(candidate(**told), scorer, cases, task=task_of())


def refusal(home: Path, cases: pd.DataFrame = CASES, **told: Any) -> CandidateError:
    with pytest.raises(CandidateError) as caught:
        predicted(home, cases, **told)
    assert caught.value.culprit.startswith("candidate one")
    return caught.value


def found(home: Path, cases: pd.DataFrame = CASES, **told: Any) -> dict[str, tuple[int, Any]]:
    positive = told.pop("positive", 1)
    findings = recording_issues(candidate(**told), home, cases, task=task_of(positive))
    for finding in findings:
        assert str(finding.affected) in finding.text
    return {finding.kind: (finding.affected, finding.examples) for finding in findings}


def test_outputs_in_another_order_are_joined_by_id(record: Record) -> None:
    home = record("score,id\n0.1,1\n0.2,2\n0.7,3\n")

    told = predicted(home)

    assert told.to_dict("list") == {
        "id": [3, 1, 2], "label": [1, 0, 1], "score": [0.7, 0.1, 0.2], "prediction": [1, 0, 0]
    }  # fmt: skip
    assert found(home) == {}


@settings(max_examples=25, derandomize=True)
@given(st.lists(st.text("0aé ,'\"", min_size=1, max_size=4), min_size=1, max_size=8, unique=True))
def test_every_text_is_an_id(tmp_path_factory: pytest.TempPathFactory, ids: list[str]) -> None:
    home = tmp_path_factory.mktemp("texts")
    scores = [place / 10 for place in range(len(ids))]
    recorded = pd.DataFrame({"id": ids, "score": scores})
    recorded.iloc[::-1].to_csv(home / "one.csv", index=False)
    recorded.iloc[::-1].to_parquet(home / "one.parquet")
    cases = pd.DataFrame({"id": ids, "label": 1})

    for path in ("one.csv", "one.parquet"):
        assert predicted(home, cases, path=path)["score"].tolist() == scores


def test_an_id_is_a_text_as_it_stands_also_where_it_is_spelt_as_what_is_missing(
    record: Record,
) -> None:
    ids = ["NA", "nan", "NaN", "null"]
    home = record('id,score\nNA,0.1\nnan,0.2\n"NaN",0.3\nnull,0.4\n,0.5\n"",0.6\n')
    cases = pd.DataFrame({"id": ids, "label": 1})

    assert predicted(home, cases)["score"].tolist() == [0.1, 0.2, 0.3, 0.4]
    assert found(home, cases) == {"rows_without_id": (2, ())}


def test_a_number_may_have_zeros_before_it_and_a_text_may_not(record: Record) -> None:
    home = record("id,score\n+001,0.1\n02,0.2\n 3,0.7\n")
    texts = CASES.assign(id=["3", "1", "2"])

    assert predicted(home)["score"].tolist() == [0.7, 0.1, 0.2]
    assert "3 of 3 cases are not in its recording" in refusal(home, texts).what


def test_missing_ids_fail_the_slice_with_their_number(record: Record) -> None:
    home = record("id,score\n1,0.1\n9,0.9\n")

    error = refusal(home)

    assert error.culprit == "candidate one, slice A|p"
    assert error.what == "2 of 3 cases are not in its recording (3, 2)"
    assert found(home) == {"missing_ids": (2, ("3", "2")), "extra_ids": (1, ("9",))}


def test_equal_repetitions_count_once_and_contradicting_ones_fail(record: Record) -> None:
    equal = record("id,score\n1,0.1\n2,0.2\n3,0.7\n3,0.7\n")
    assert predicted(equal)["score"].tolist() == [0.7, 0.1, 0.2]
    assert found(equal) == {"repeated_ids": (1, ("3",))}

    contradicting = record("id,score\n1,0.1\n2,0.2\n3,0.7\n3,0.8\n")
    error = refusal(contradicting)
    assert "1 of 3 cases stand in its recording several times, with different outputs" in error.what
    assert found(contradicting) == {"repeated_ids": (1, ("3",)), "conflicting_outputs": (1, ("3",))}
    # Another slice does not suffer from it.
    assert predicted(contradicting, CASES[1:])["score"].tolist() == [0.1, 0.2]


@pytest.mark.parametrize("spelling", [("1", "0"), ("true", "false"), ("1.0", "0.0")])
def test_labels_that_contradict_the_truth_are_told_and_not_used(
    spelling: tuple[str, str], record: Record
) -> None:
    yes, no = spelling
    home = record(f"id,score,truth\n1,0.1,{no}\n2,0.2,{no}\n3,0.7,{yes}\n")

    assert found(home, label="truth") == {"conflicting_labels": (1, ("2",))}
    assert predicted(home, label="truth")["label"].tolist() == [1, 0, 1]


def test_a_label_of_text_and_an_empty_one(record: Record) -> None:
    home = record("id,score,truth\n1,0.1,late\n2,0.2,\n3,0.7,late\n")

    told = found(home, label="truth", positive="late")

    assert told == {"conflicting_labels": (1, ("1",))}


def test_rows_without_id_are_counted(record: Record) -> None:
    home = record("id,score\n1,0.1\n2,0.2\n3,0.7\n,0.5\n,0.6\n")

    assert found(home) == {"rows_without_id": (2, ())}


def test_a_recorded_decision_stands_instead_of_the_threshold(record: Record) -> None:
    home = record("id,score,decision\n1,0.1,late\n2,0.2,on time\n3,0.7,on time\n")

    told = predicted(home, prediction="decision", positive="late")

    assert told["prediction"].tolist() == [0, 1, 0]


@pytest.mark.parametrize("missing", ["", "NA", "NaN", "nan", "null"])
def test_a_decision_that_is_missing_fails_the_slice(missing: str, record: Record) -> None:
    home = record(f"id,score,decision\n1,0.1,1\n2,0.2,{missing}\n3,0.7,0\n")

    error = refusal(home, prediction="decision")

    assert error.what == "1 of 3 cases have no 'decision' in the recording (2)"


@pytest.mark.parametrize("value", ["", "NA", "nan", "null", "1.2", "-0.1"])
def test_scores_that_are_no_probabilities_are_refused(value: str, record: Record) -> None:
    error = refusal(record(f"id,score\n1,0.1\n2,{value}\n3,0.7\n"))

    assert "1 of its 3 scores are no probabilities (2 -> " in error.what


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("id,score\n1,high\n2,0.2\n3,0.7\n", "1 values of its recording's column 'score' are no"),
        ("id,scores\n1,0.1\n", "has no column 'score', but 'id', 'scores'"),
        ("case,score\n1,0.1\n", "has no column 'id', but 'case', 'score'"),
        ("id,score\n1,0.1,5\n", "cannot be read"),
        ("", "cannot be read"),
    ],
)
def test_a_recording_that_is_none_is_named(text: str, what: str, record: Record) -> None:
    assert what in refusal(record(text)).what


def test_an_absent_recording_is_named(tmp_path: Path) -> None:
    assert f"its artifact {tmp_path / 'one.csv'} is not there" in refusal(tmp_path).what


def test_ids_of_floating_point_are_refused(tmp_path: Path) -> None:
    frame = pd.DataFrame({"id": [1.0, 2.0, 3.0], "score": 0.5})
    frame.to_parquet(tmp_path / "one.parquet")

    assert "holds floating-point numbers, and no ids" in refusal(tmp_path, path="one.parquet").what


def test_parquet_of_other_types_is_joined_as_well(tmp_path: Path) -> None:
    frame = pd.DataFrame(
        {
            "case": pd.Categorical(["1", "2", "3"]),
            "p": pd.array([0.25, 0.5, 0.75], "Float32"),
            "late": [False, True, True],
        }
    )
    frame.to_parquet(tmp_path / "one.parquet")
    told = {"path": "one.parquet", "id": "case", "score": "p", "label": "late"}

    assert predicted(tmp_path, **told)["score"].tolist() == [0.75, 0.25, 0.5]
    assert found(tmp_path, **told) == {}


def test_a_changed_recording_is_another_artifact(record: Record) -> None:
    home = record("id,score\n1,0.1\n")
    before = artifact_digest(candidate(), home)

    record("id,score\n1,0.2\n")

    assert artifact_digest(candidate(), home) != before


def decisions_alone(**told: Any) -> Any:
    given = {"name": "one", "kind": "recorded", "path": "one.csv", "score": None, **told}
    return TypeAdapter(CandidateSpec).validate_python({"prediction": "decision", **given})


def test_decisions_alone_give_predictions_and_no_scores(record: Record) -> None:
    home = record("id,decision\n1,0\n2,1\n3,1\n")
    made = decisions_alone()

    told = predict(made, load_scorer(made, home, task=task_of()), CASES, task=task_of())

    assert told["score"].isna().all()
    assert told["score"].dtype == "float64"
    assert told["prediction"].tolist() == [1, 0, 1]
    assert recording_issues(made, home, CASES, task=task_of()) == ()


def test_decisions_alone_are_held_to_the_same_rules(record: Record) -> None:
    made = decisions_alone()
    for text, what in [
        ("id,decision\n1,0\n2,1\n", r"1 of 3 cases are not in its recording \(3\)"),
        ("id,decision\n1,0\n2,1\n3,\n", "1 of 3 cases have no 'decision'"),
        ("id,decision\n1,0\n2,1\n3,1\n3,0\n", "1 of 3 cases stand in its recording several times"),
        ("id,choice\n1,0\n", "its recording has no column 'decision'"),
    ]:
        home = record(text)
        with pytest.raises(CandidateError, match=what):
            predict(made, load_scorer(made, home, task=task_of()), CASES, task=task_of())
