"""Candidates are asked for classes, for numbers and for rankings; what is none is refused."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import joblib
import mlflow
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import skops.io
from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType
from sklearn.linear_model import LinearRegression, LogisticRegression

from evaluator.candidates import open_scorer, predict, recording_issues
from evaluator.errors import CandidateError, IntakeError
from evaluator.evidence import digest_of_file
from evaluator.spec import ColumnSpec, LabelSpec, Task, task_of
from evaluator_tests.candidates import scoring_server as endpoint
from evaluator_tests.candidates.conftest import candidate_of
from evaluator_tests.candidates.worlds import own

pytestmark = [
    # MLflow says so of its own types, and of a signature that nobody asks for here.
    pytest.mark.filterwarnings("ignore:.*Any type hint is inferred:UserWarning"),
    pytest.mark.filterwarnings("ignore:.*input example was not provided:UserWarning"),
]

CLASSES = ("low", "middle", "high")
# In another order than the alphabet's, in which scikit-learn has them.
CLASS_TASK = task_of("multiclass", LabelSpec(column="truth", classes=CLASSES), CLASSES)
NUMBER_TASK = task_of("regression", LabelSpec(column="truth"))
X = np.random.default_rng(3).normal(size=(90, 2)).round(3)
FEATURES = pd.DataFrame(X, columns=["x", "y"])
LABELS = {
    "multiclass": np.array(CLASSES)[np.digitize(X[:, 0], [-0.4, 0.4])],
    "regression": 3 * X[:, 0] - X[:, 1],
}
TASKS = {"multiclass": CLASS_TASK, "regression": NUMBER_TASK}
# A number between limits is no other task, and other outputs.
ASKED: dict[str, Task] = {**TASKS, "limits": NUMBER_TASK}
BETWEEN = np.column_stack([LABELS["regression"] + shift for shift in (-1.0, 0.5, 2.0)])


def cases_of(task: str) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "id": [f"c{number}" for number in range(len(X))],
            "geography": "A",
            "segment": "p",
            "label": LABELS.get(task, LABELS["regression"]),
            "data.x": X[:, 0],
            "data.y": X[:, 1],
        }
    )


def model_of(task: str) -> Any:
    model = LogisticRegression() if task == "multiclass" else LinearRegression()
    return model.fit(FEATURES, LABELS.get(task, BETWEEN))


def expected(task: str) -> pd.DataFrame:
    """What scikit-learn says itself, in the columns that are stored."""
    model = model_of(task)
    if task == "limits":
        columns = pd.DataFrame(model.predict(FEATURES), columns=["low", "prediction", "high"])
        return columns[["prediction", "low", "high"]]
    stored = {"prediction": model.predict(FEATURES)}
    if task == "multiclass":
        order = [list(model.classes_).index(name) for name in CLASSES]
        scores = model.predict_proba(FEATURES)[:, order]
        stored |= {f"score_{number}": scores[:, number] for number in range(len(CLASSES))}
    return pd.DataFrame(stored)


def skops_file(task: str, home: Path) -> dict[str, Any]:
    skops.io.dump(model_of(task), home / "one.skops")
    return {"path": "one.skops"}


def isolated(task: str, home: Path) -> dict[str, Any]:
    return {**skops_file(task, home), "isolate": "process"}


def pickled(task: str, home: Path) -> dict[str, Any]:
    joblib.dump(model_of(task), home / "one.joblib")
    digest = digest_of_file(home / "one.joblib")
    return {"kind": "pickle", "path": "one.joblib", "trust": "pickle", "sha256": digest}


def onnx_file(task: str, home: Path) -> dict[str, Any]:
    types = [("x", FloatTensorType([None, 2]))]
    options = {"zipmap": False} if task == "multiclass" else None
    graph = to_onnx(model_of(task), initial_types=types, options=options, target_opset=18)
    (home / "one.onnx").write_bytes(graph.SerializeToString())
    classes = sorted(CLASSES) if task == "multiclass" else None
    return {"kind": "onnx", "path": "one.onnx", "classes": classes}


def onnx_with_names(task: str, home: Path) -> dict[str, Any]:
    types = [("x", FloatTensorType([None, 2]))]
    graph = to_onnx(model_of(task), initial_types=types, target_opset=18)
    (home / "one.onnx").write_bytes(graph.SerializeToString())
    return {"kind": "onnx", "path": "one.onnx"}


def mlflow_skops(task: str, home: Path) -> dict[str, Any]:
    mlflow.sklearn.save_model(
        model_of(task), str(home / "model"), serialization_format="skops", pip_requirements=[]
    )
    return {"kind": "mlflow", "model": "model", "path": None}


def mlflow_trusted(task: str, home: Path) -> dict[str, Any]:
    mlflow.sklearn.save_model(
        model_of(task), str(home / "model"), serialization_format="cloudpickle", pip_requirements=[]
    )
    return {"kind": "mlflow", "model": "model", "path": None, "trust": "pickle", "isolate": "none"}


def recorded(task: str, home: Path) -> dict[str, Any]:
    said = expected(task).assign(id=cases_of(task)["id"]).sample(frac=1, random_state=1)
    said.to_parquet(home / "one.parquet")
    scores = {name: f"score_{number}" for number, name in enumerate(CLASSES)}
    told = {"scores": scores} if task == "multiclass" else {}
    told |= {"low": "low", "high": "high", "limits": None} if task == "limits" else {}
    settings = {"kind": "recorded", "path": "one.parquet", "features": None, **told}
    return {**settings, "prediction": "prediction"}


KINDS: dict[str, Callable[[str, Path], dict[str, Any]]] = {
    "skops": skops_file,
    "a process of its own": isolated,
    "pickle": pickled,
    "onnx": onnx_file,
    "onnx that names its classes": onnx_with_names,
    "mlflow in the skops format": mlflow_skops,
    "mlflow that is trusted": mlflow_trusted,
    "recorded": recorded,
}


def predicted(
    candidate: Any, home: Path, task: str, cases: pd.DataFrame | None = None
) -> pd.DataFrame:
    asked = ASKED[task]
    with open_scorer(candidate, home, task=asked) as scorer:
        return predict(candidate, scorer, cases_of(task) if cases is None else cases, task=asked)


def refusal(candidate: Any, home: Path, task: str) -> CandidateError:
    with pytest.raises(CandidateError) as caught:
        predicted(candidate, home, task)
    assert caught.value.culprit.startswith("candidate one")
    return caught.value


@pytest.mark.parametrize("task", ASKED)
@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_gives_what_scikit_learn_gives_itself(
    kind: str, task: str, tmp_path: Path
) -> None:
    limits = True if task == "limits" else None
    candidate = candidate_of(**{"limits": limits, **KINDS[kind](task, tmp_path)})

    found = predicted(candidate, tmp_path, task)

    assert list(found["id"]) == list(cases_of(task)["id"])
    assert list(found["label"]) == list(cases_of(task)["label"])
    wanted = expected(task)
    # A graph computes in 32 bits.
    near = {"rtol": 1e-4, "atol": 1e-5} if "onnx" in kind else {"rtol": 1e-12}
    for name in wanted:
        if name == "prediction" and task == "multiclass":
            assert list(found[name]) == list(wanted[name])
        else:
            np.testing.assert_allclose(found[name], wanted[name], **near)
    # Of no cases the columns are the same.
    none = predicted(candidate, tmp_path, task, cases_of(task).iloc[:0])
    assert list(none.columns) == list(found.columns)
    assert list(found.columns)[2:] == ASKED[task].output_columns(candidate)


@pytest.mark.parametrize("task", ASKED)
def test_an_endpoint_gives_a_number_a_class_or_a_number(task: str, tmp_path: Path) -> None:
    wanted = expected(task)
    answers = wanted["prediction"].tolist()
    if task == "multiclass":
        scores = wanted.drop(columns="prediction").set_axis(list(CLASSES), axis="columns")
        answers = scores.to_dict("records")
    if task == "limits":
        answers = wanted.to_dict("records")
    said = dict(zip(cases_of(task)["id"], answers, strict=True))

    def told(rows: list[dict[str, Any]]) -> Any:
        return [{"id": row["id"], "score": said[row["id"]]} for row in rows]

    with endpoint.running() as server:
        server.faults = [endpoint.scores(told)] * 5
        settings = {"kind": "http", "url": server.url, "path": None, "version": "1"}
        settings["limits"] = True if task == "limits" else None
        found = predicted(candidate_of(**settings), tmp_path, task)
        assert task != "limits" or found[list(wanted)].equals(wanted)
        assert list(found["prediction"]) == pytest.approx(list(wanted["prediction"])) or (
            list(found["prediction"]) == list(wanted["prediction"])
        )
        server.faults = [endpoint.scores(lambda rows: [{**r, "score": "much"} for r in rows])] * 5
        error = refusal(candidate_of(**settings), tmp_path, task)
        assert "90 of 90 scores in its answer are no" in error.what


@pytest.mark.parametrize("task", TASKS)
def test_a_model_of_another_task_is_refused(task: str, tmp_path: Path) -> None:
    other = "regression" if task == "multiclass" else "multiclass"
    error = refusal(candidate_of(**skops_file(other, tmp_path)), tmp_path, task)
    assert ("no predict_proba" in error.what) is (task == "multiclass")
    assert ("is a classifier of 3 classes" in error.what) is (task == "regression")


def test_a_classifier_of_other_classes_is_refused_with_their_names(tmp_path: Path) -> None:
    model = LogisticRegression().fit(FEATURES, np.where(X[:, 0] > 0, "high", "odd"))
    skops.io.dump(model, tmp_path / "one.skops")
    error = refusal(candidate_of(path="one.skops"), tmp_path, "multiclass")
    assert "it lacks 'low', 'middle'; none of them is 'odd'" in error.what


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ([0.5, 0.5, 0.5], "no probabilities of all classes (c0 -> [0.5, 0.5, 0.5]"),
        ([1.5, -0.5, 0.0], "no probabilities of all classes"),
        ([np.nan, 0.5, 0.5], "no probabilities of all classes"),
    ],
)
def test_what_is_no_probability_of_all_classes_fails_the_slice(
    values: list[float], says: str, tmp_path: Path
) -> None:
    told = recorded("multiclass", tmp_path)
    said = pd.read_parquet(tmp_path / "one.parquet")
    said.loc[said["id"] == "c0", ["score_0", "score_1", "score_2"]] = values
    said.to_parquet(tmp_path / "one.parquet")
    error = refusal(candidate_of(**told), tmp_path, "multiclass")
    assert f"the scores of 1 of its 90 cases are {says}" in error.what


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_number_that_is_missing_or_infinite_fails_the_slice(value: float, tmp_path: Path) -> None:
    told = recorded("regression", tmp_path)
    said = pd.read_parquet(tmp_path / "one.parquet")
    said.loc[said["id"] == "c7", "prediction"] = value
    said.to_parquet(tmp_path / "one.parquet")
    error = refusal(candidate_of(**told), tmp_path, "regression")
    assert f"1 of its 90 numbers are missing or infinite (c7 -> {value})" in error.what


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"low": np.nan}, "1 of its 90 pairs of limits are missing or infinite (c7 -> [nan, "),
        ({"high": np.inf}, "1 of its 90 pairs of limits are missing or infinite (c7 -> ["),
        ({"prediction": np.nan}, "1 of its 90 numbers are missing or infinite"),
        ({"low": 9.0, "high": 8.0}, "1 of its 90 lower limits are above the upper ones (c7 -> [9"),
    ],
)
def test_limits_that_are_none_fail_the_slice(
    changed: dict[str, float], says: str, tmp_path: Path
) -> None:
    candidate = candidate_of(**recorded("limits", tmp_path))
    said = pd.read_parquet(tmp_path / "one.parquet")
    said.loc[said["id"] == "c7", list(changed)] = list(changed.values())
    said.to_parquet(tmp_path / "one.parquet")
    assert says in refusal(candidate, tmp_path, "limits").what


def test_a_number_need_not_lie_between_its_limits_which_may_be_equal(tmp_path: Path) -> None:
    candidate = candidate_of(**recorded("limits", tmp_path))
    said = pd.read_parquet(tmp_path / "one.parquet").assign(low=3.0, high=3.0)
    said.to_parquet(tmp_path / "one.parquet")
    found = predicted(candidate, tmp_path, "limits")
    assert (found["low"] == 3).all()
    assert (found["high"] == 3).all()
    assert not (found["prediction"] == 3).any()


def test_outputs_with_and_without_limits_are_not_taken_for_each_other(tmp_path: Path) -> None:
    error = refusal(candidate_of(**skops_file("limits", tmp_path)), tmp_path, "regression")
    assert "an array of shape (90, 3), and is asked for one number a case" in error.what
    assert "`limits: true`" in error.fix
    told = {**skops_file("regression", tmp_path), "limits": True}
    error = refusal(candidate_of(**told), tmp_path, "limits")
    assert "an array of shape (90,), and is asked for a number between limits" in error.what
    assert "low, prediction and high" in error.fix


@pytest.mark.parametrize("task", ["multiclass", "limits"])
def test_columns_are_taken_by_their_names_in_whatever_order(task: str, tmp_path: Path) -> None:
    wanted = expected(task)
    given = wanted.iloc[:, ::-1]
    if task == "multiclass":
        given = wanted.drop(columns="prediction").set_axis(list(CLASSES), axis="columns")
        given = given[["high", "low", "middle"]]
    own(tmp_path / "model", given)
    settings = {"kind": "mlflow", "model": "model", "path": None, "trust": "pickle"}
    limits = True if task == "limits" else None
    one = candidate_of(**settings, isolate="none", limits=limits)
    found = predicted(one, tmp_path, task)
    assert list(found["prediction"]) == list(wanted["prediction"])
    if task == "limits":
        assert found[list(wanted)].equals(wanted)
        own(tmp_path / "other", given.set_axis(["a", "b", "c"], axis="columns"))
        settings["model"] = "other"
        error = refusal(candidate_of(**settings, isolate="none", limits=True), tmp_path, task)
        assert "it gives the columns 'a', 'b', 'c', and is asked for a number" in error.what


def decisions(home: Path, words: dict[str, str | None], **told: Any) -> Any:
    said = expected("multiclass")[["prediction"]].assign(id=cases_of("multiclass")["id"])
    said["prediction"] = [
        words.get(one, was) for one, was in zip(said["id"], said["prediction"], strict=True)
    ]
    said.to_csv(home / "one.csv", index=False)
    settings = {"kind": "recorded", "path": "one.csv", "features": None, **told}
    return candidate_of(**settings, prediction="prediction")


def test_a_decision_that_is_no_class_fails_the_slice_and_a_label_of_its_own_is_compared(
    tmp_path: Path,
) -> None:
    error = refusal(decisions(tmp_path, {"c1": "hihg"}), tmp_path, "multiclass")
    assert "are none of the 3 classes ('hihg' in 1)" in error.what
    candidate = decisions(tmp_path, {"c1": "hihg", "c2": "high"}, label="prediction")
    cases = cases_of("multiclass")
    cases["label"] = expected("multiclass")["prediction"].to_numpy()
    cases.loc[2, "label"] = "low"
    found = recording_issues(candidate, tmp_path, cases, task=CLASS_TASK)
    assert {one.kind: one.examples for one in found} == {
        "unknown_labels": ("c1",),
        "conflicting_labels": ("c2",),
    }


def test_what_a_candidate_calls_a_class_is_said_under_label_values(tmp_path: Path) -> None:
    words: dict[str, str | None] = {f"c{n}": "hi" for n in range(3)} | {"c3": "1", "c4": "low"}
    said = {"label_values": {"hi": "high", 1: "middle"}}
    candidate = decisions(tmp_path, words, **said)
    found = predicted(candidate, tmp_path, "multiclass").set_index("id")["prediction"]
    assert list(found[["c0", "c1", "c2", "c3", "c4"]]) == ["high"] * 3 + ["middle", "low"]
    assert list(found[5:]) == list(expected("multiclass")["prediction"][5:])
    error = refusal(decisions(tmp_path, words), tmp_path, "multiclass")
    assert "are none of the 3 classes ('hi' in 3, '1' in 1)" in error.what
    assert "`label_values`" in error.fix
    # A model's classes are read by the same words.
    labels = LABELS["multiclass"]
    model = LogisticRegression().fit(FEATURES, np.where(labels == "high", "hi", labels))
    skops.io.dump(model, tmp_path / "one.skops")
    of_model = predicted(candidate_of(path="one.skops", **said), tmp_path, "multiclass")
    assert list(of_model["prediction"]) == list(expected("multiclass")["prediction"])


def test_who_abstains_says_so_and_a_missing_decision_is_a_fault_otherwise(tmp_path: Path) -> None:
    words = {"c1": None, "c5": None}
    error = refusal(decisions(tmp_path, words), tmp_path, "multiclass")
    assert "2 of 90 cases have no 'prediction'" in error.what
    assert "say `abstains: true`" in error.fix
    found = predicted(decisions(tmp_path, words, abstains=True), tmp_path, "multiclass")
    assert list(found.loc[found["prediction"].isna(), "id"]) == ["c1", "c5"]


@pytest.mark.parametrize("isolate", ["none", "process"])
def test_below_a_probability_a_candidate_abstains(isolate: str, tmp_path: Path) -> None:
    told = {**skops_file("multiclass", tmp_path), "abstain_below": 0.6, "isolate": isolate}
    found = predicted(candidate_of(**told), tmp_path, "multiclass")
    highest = found[["score_0", "score_1", "score_2"]].max(axis="columns")
    assert (found["prediction"].isna() == (highest < 0.6)).all()
    assert 0 < found["prediction"].isna().sum() < len(found)


def test_columns_of_probabilities_without_names_need_an_order(tmp_path: Path) -> None:
    told = {**onnx_file("multiclass", tmp_path), "classes": None}
    error = refusal(candidate_of(**told), tmp_path, "multiclass")
    assert "does not say which of its columns is which class" in error.what
    told["classes"] = list(CLASSES)
    error = refusal(candidate_of(**told), tmp_path, "multiclass")
    assert "its labels contradict its probabilities" in error.what
    assert json.dumps(error.fix)


RANKING_TASK = task_of("ranking", LabelSpec(column="truth"))
RANKED = [["d3", "d7"], [], ["d7"]]


def queries() -> pd.DataFrame:
    cases = cases_of("regression").head(len(RANKED))
    return cases.assign(label=['{"d3": 2}', '{"d3": 1, "d7": 1}', "{}"])


def ranked(home: Path, said: list[Any], name: str = "one.csv", **told: Any) -> Any:
    frame = pd.DataFrame({"id": queries()["id"], "said": said}).iloc[::-1]
    if name.endswith(".csv"):
        frame["said"] = [one if isinstance(one, str) else json.dumps(one) for one in frame["said"]]
        frame.to_csv(home / name, index=False)
    else:
        frame.to_parquet(home / name)
    settings = {"kind": "recorded", "path": name, "features": None, "prediction": "said"}
    return candidate_of(**settings, **told)


def rankings_of(candidate: Any, home: Path, cases: pd.DataFrame) -> pd.DataFrame:
    with open_scorer(candidate, home, task=RANKING_TASK) as scorer:
        return predict(candidate, scorer, cases, task=RANKING_TASK)


@pytest.mark.parametrize("name", ["one.csv", "one.parquet"])
def test_rankings_are_recorded_as_json_or_as_lists(name: str, tmp_path: Path) -> None:
    candidate = ranked(tmp_path, RANKED, name)
    found = rankings_of(candidate, tmp_path, queries())
    assert found["label"].tolist() == queries()["label"].tolist()
    assert found["prediction"].tolist() == [*map(json.dumps, RANKED)]
    none = rankings_of(candidate, tmp_path, queries().iloc[:0])
    assert list(none.columns) == list(found.columns)


def test_an_endpoint_gives_rankings(tmp_path: Path) -> None:
    said = dict(zip(queries()["id"], RANKED, strict=True))
    candidate = {"kind": "http", "path": None, "version": "1", "batch_size": 2}
    with endpoint.running() as server:
        candidate = candidate_of(url=server.url, **candidate)
        told = endpoint.scores(lambda rows: [{"id": r["id"], "score": said[r["id"]]} for r in rows])
        server.faults = [told] * 2
        found = rankings_of(candidate, tmp_path, queries())
        assert found["prediction"].tolist() == [*map(json.dumps, RANKED)]
        said["c1"] = ["d3", "d3"]
        server.faults = [told] * 2
        with pytest.raises(CandidateError) as caught:
            rankings_of(candidate, tmp_path, queries())
    assert "1 of 2 scores in its answer are no rankings (an item stands there twice in 1)" in (
        caught.value.what
    )


def test_what_is_no_ranking_fails_the_slice_with_the_reasons(tmp_path: Path) -> None:
    candidate = ranked(tmp_path, ["d3 d7", ["d3", "d3"], ["d7"]])
    with pytest.raises(CandidateError) as caught:
        rankings_of(candidate, tmp_path, queries())
    assert "2 of 3 values of 'said' in the recording are no rankings" in caught.value.what
    assert "it is no JSON in 1" in caught.value.what
    assert "an item stands there twice in 1" in caught.value.what
    assert "label_values" not in caught.value.fix


def test_a_query_without_a_ranking_fails_the_slice_and_an_empty_one_does_not(
    tmp_path: Path,
) -> None:
    candidate = ranked(tmp_path, ["", [], ["d7"]])
    with pytest.raises(CandidateError, match="1 of 3 cases have no 'said'"):
        rankings_of(candidate, tmp_path, queries())


def test_grades_of_a_recording_are_compared_whatever_their_order(tmp_path: Path) -> None:
    candidate = ranked(tmp_path, ['["d3"]', '["d7","d3"]', '{"d7": -1}'], label="said")
    found = recording_issues(candidate, tmp_path, queries(), task=RANKING_TASK)
    assert {one.kind: one.examples for one in found} == {
        "unknown_labels": ("c2",),
        "conflicting_labels": ("c0",),
    }


def test_labels_that_are_no_grades_are_refused_with_the_reasons() -> None:
    labels = pa.chunked_array([['{"d3": 2}', None, "d3", '{"d3": -1}', '{"d3": -2}']])
    column = ColumnSpec(type="string")
    with pytest.raises(IntakeError) as caught:
        RANKING_TASK.knowing(column, labels)
    assert caught.value.what == (
        "3 of 4 labels in 'truth' are no grades of items"
        " (a grade is below 0 or too large in 2, it is no JSON in 1)"
    )
    fine = pa.chunked_array([['["d7", 3]', None], ['{"d3": 2.0, "a": 0.5}']])
    assert RANKING_TASK.knowing(column, fine).encode_labels(fine).to_pylist() == [
        '{"3": 1, "d7": 1}',
        None,
        '{"a": 0.5, "d3": 2}',
    ]


def test_a_reader_is_told_the_first_items_and_the_highest_grades() -> None:
    assert RANKING_TASK.word("[]") == "none"
    assert RANKING_TASK.word('["d3", "d7"]') == "d3, d7"
    assert RANKING_TASK.word('{"d3": 1, "d7": 2.5}') == "d7 (2.5), d3 (1)"
    assert RANKING_TASK.word(json.dumps([*"abcdefg"])) == "a, b, c, d, e and 2 more"


def test_trecs_files_become_columns_as_the_page_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = Path(__file__).parents[2] / "docs" / "candidates.md"
    text = page.read_text(encoding="utf-8")
    (code,) = re.findall(r"^```python\n(.*?)```", text, re.MULTILINE | re.DOTALL)
    (tmp_path / "qrels.txt").write_text("q1 0 7 2\nq1 0 d3 0\nq2 0 d3 -2\n")
    run = "q2 Q0 d3 1 9.5 mine\nq1 Q0 d3 2 0.1 mine\nq1 Q0 7 1 0.3 mine\n"
    (tmp_path / "run.txt").write_text(run)
    monkeypatch.chdir(tmp_path)
    made: dict[str, Any] = {"json": json, "pd": pd}
    exec(code, made)  # noqa: S102 - the page's own example is what is tested
    assert made["relevant"] == {"q1": '{"7": 2, "d3": 0}', "q2": '{"d3": 0}'}
    assert made["ranking"].to_dict() == {"q1": '["7", "d3"]', "q2": '["d3"]'}
