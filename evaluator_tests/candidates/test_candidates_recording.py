"""Recorded outputs are joined by id, and whatever does not join is told with its count."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings, strategies as st
from pydantic import TypeAdapter, ValidationError

from evaluator.candidates import (
    artifact_digest,
    load_scorer,
    open_scorer,
    predict,
    recording_issues,
)
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


def asked(told: dict[str, Any]) -> Any:
    """Make the task of the label's values, which are taken out of what a candidate is told."""
    return task_of(told.pop("positive", 1), told.pop("negative", None))


def predicted(home: Path, cases: pd.DataFrame = CASES, **told: Any) -> pd.DataFrame:
    task = asked(told)
    with open_scorer(candidate(**told), home, task=task) as scorer:
        return predict(candidate(**told), scorer, cases, task=task)


def refusal(home: Path, cases: pd.DataFrame = CASES, **told: Any) -> CandidateError:
    with pytest.raises(CandidateError) as caught:
        predicted(home, cases, **told)
    assert caught.value.culprit.startswith("candidate one")
    return caught.value


def found(home: Path, cases: pd.DataFrame = CASES, **told: Any) -> dict[str, tuple[int, Any]]:
    task = asked(told)
    findings = recording_issues(candidate(**told), home, cases, task=task)
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

    told = predicted(home, prediction="decision", positive="late", negative="on time")

    assert told["prediction"].tolist() == [0, 1, 0]


SAID = {"positive": "late", "negative": ["on time", "early"]}


@pytest.mark.parametrize(
    ("decisions", "told", "expected"),
    [
        # What is spelt in several ways and is one number, or one truth value.
        ("0 1 1", {}, [1, 0, 1]),
        ("0.0 1.0 1", {}, [1, 0, 1]),
        ("false true TRUE", {}, [1, 0, 1]),
        ("False 1 01", {"positive": True, "negative": False}, [1, 0, 1]),
        ("1 0 0", {"positive": 0}, [1, 0, 1]),
        ("2 1 1.0", {"positive": 1, "negative": 2}, [1, 0, 1]),
        ("3 5 2", {"positive": 5, "negative": [3, 2]}, [0, 0, 1]),
        ("0 1 1", {"positive": "1", "negative": "0"}, [1, 0, 1]),
        # What the candidate calls them is said, also where it is the reverse.
        ("early late late", {"label_values": SAID}, [1, 0, 1]),
        ("early late late", {"label_values": SAID, "positive": "y", "negative": "n"}, [1, 0, 1]),
        ("1 0 0", {"label_values": {"positive": 0, "negative": 1}}, [1, 0, 1]),
        (
            "no Yes y",
            {"label_values": {"positive": ["yes", "Yes", "y", 1, True], "negative": "no"}},
            [1, 0, 1],
        ),
    ],
)
def test_decisions_are_read_by_both_values_of_the_label(
    decisions: str, told: dict[str, Any], expected: list[int], record: Record
) -> None:
    of_1, of_2, of_3 = decisions.split()
    home = record(f"id,score,decision\n1,0.1,{of_1}\n2,0.2,{of_2}\n3,0.7,{of_3}\n")

    assert predicted(home, prediction="decision", **told)["prediction"].tolist() == expected


NEITHER = "neither 1 (positive) nor 0 (negative)"
SIDES = {"positive": "late", "negative": "on time"}


@pytest.mark.parametrize(
    ("decisions", "told", "what"),
    [
        # The vocabulary of somebody else: not one is negative by it.
        (
            ["on time", "late", "on time"], {},
            f"3 of 3 # are {NEITHER} ('on time' in 2, 'late' in 1)",
        ),
        (["0", "1", "2"], {}, f"1 of 3 # are {NEITHER} ('2' in 1)"),
        (["0", "1", "yes"], {}, f"1 of 3 # are {NEITHER} ('yes' in 1)"),
        (
            ["1", "0", "true"], SIDES,
            ("3 of 3 # are neither 'late' (positive) nor 'on time' (negative)"
            " ('1' in 1, '0' in 1, 'true' in 1)"),
        ),
        # Other spellings are meant where the YAML says so.
        *(
            (
                [spelling, "no", "yes"], {"positive": "yes", "negative": "no"},
                f"1 of 3 # are neither 'yes' (positive) nor 'no' (negative) ('{spelling}' in 1)",
            )
            for spelling in ("Yes", "y", "1", "TRUE", "yes ", "No")
        ),
        (
            ["01", "0", "1"], {"positive": "1", "negative": "0"},
            "1 of 3 # are neither '1' (positive) nor '0' (negative) ('01' in 1)",
        ),
        # What is said for this candidate stands instead of the label's own values.
        (
            ["1", "late", "on time"], {"label_values": SIDES},
            "1 of 3 # are neither 'late' (positive) nor 'on time' (negative) ('1' in 1)",
        ),
        # The evaluation set had nothing but the positive value.
        (
            ["late", "on time", "late"], {"positive": "late"},
            ("1 of 3 # are not 'late' (positive), and nothing says which other value is negative"
            " ('on time' in 1)"),
        ),
    ],
)  # fmt: skip
@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_a_decision_in_another_vocabulary_fails_the_slice_with_count_and_examples(
    decisions: list[str], told: dict[str, Any], what: str, form: str, tmp_path: Path
) -> None:
    frame = pd.DataFrame({"id": ["3", "1", "2"], "score": 0.5, "decision": decisions})
    frame.to_csv(tmp_path / "one.csv", index=False)
    frame.to_parquet(tmp_path / "one.parquet")

    error = refusal(tmp_path, prediction="decision", path=f"one.{form}", **told)

    assert error.what == what.replace("#", "values of 'decision' in the recording")
    assert error.culprit == "candidate one, slice A|p"
    assert "`label_values`" in error.fix


def test_a_process_of_its_own_knows_both_values_as_well(record: Record) -> None:
    home = record("id,score,decision\n1,0.1,late\n2,0.2,on time\n3,0.7,early\n")
    told = {"prediction": "decision", "isolate": "process", "positive": "late"}

    read = predicted(home, negative=["on time", "early"], **told)
    error = refusal(home, negative="on time", **told)

    assert read["prediction"].tolist() == [0, 1, 0]
    assert "1 of 3 values of 'decision'" in error.what
    assert "('early' in 1)" in error.what


def test_a_slice_of_one_value_alone_is_read_and_another_one_fails_alone(record: Record) -> None:
    home = record("id,score,decision\n1,0.1,on time\n2,0.2,on time\n3,0.7,delayed\n")
    told = {"prediction": "decision", "positive": "late", "negative": "on time"}

    assert predicted(home, CASES[1:], **told)["prediction"].tolist() == [0, 0]
    assert "1 of 1 values of 'decision'" in refusal(home, CASES[:1], **told).what


@pytest.mark.parametrize("types", [[True, False, True], [1, 0, 1], [1.0, 0.0, 1.0]])
def test_decisions_of_a_typed_file_are_those_of_the_same_value(
    types: list[Any], tmp_path: Path
) -> None:
    frame = pd.DataFrame({"id": [3, 1, 2], "score": 0.5, "decision": types})
    frame.to_parquet(tmp_path / "one.parquet")

    told = {"prediction": "decision", "path": "one.parquet"}

    assert predicted(tmp_path, **told)["prediction"].tolist() == [1, 0, 1]
    other = refusal(tmp_path, **told, positive="late", negative="on time")
    assert "3 of 3 values" in other.what


def test_a_label_in_another_vocabulary_is_told_and_contradicts_nothing(record: Record) -> None:
    home = record("id,score,truth\n1,0.1,on time\n2,0.2,0\n3,0.7,late\n")

    (unknown, conflicting) = recording_issues(candidate(label="truth"), home, CASES, task=task_of())

    assert (unknown.kind, unknown.affected, unknown.examples) == ("unknown_labels", 2, ("1", "3"))
    assert unknown.text == (
        f"2 ids have labels that are {NEITHER} ('on time' in 1, 'late' in 1) ('1', '3')"
    )
    assert (conflicting.kind, conflicting.examples) == ("conflicting_labels", ("2",))
    said = {"positive": "late", "negative": ["on time", 0]}
    assert found(home, label="truth", label_values=said) == {"conflicting_labels": (1, ("2",))}


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


def test_an_id_of_several_columns_is_joined_as_the_intake_joins_it(record: Record) -> None:
    home = record("order,line,score\na/b,1,0.1\na,b/1,0.2\nc\\,01,0.7\n,2,0.4\n")
    cases = pd.DataFrame({"id": ["a\\/b/1", "a/b\\/1", "c\\\\/01"], "label": 1})

    assert predicted(home, cases, id=["order", "line"])["score"].tolist() == [0.1, 0.2, 0.7]
    assert found(home, cases, id=["order", "line"]) == {"rows_without_id": (1, ())}
    with pytest.raises(ValidationError, match="at least 2 items"):
        candidate(id=["order"])
