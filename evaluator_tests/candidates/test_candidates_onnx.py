"""ONNX classifiers give the probabilities of the model that they were made of."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from onnx import TensorProto, helper
from skl2onnx import to_onnx
from skl2onnx.common.data_types import (
    BooleanTensorType,
    FloatTensorType,
    Int64TensorType,
    StringTensorType,
)
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

from evaluator.candidates import load_scorer, predict
from evaluator.errors import CandidateError
from evaluator_tests.candidates.conftest import candidate_of, task_of

generator = np.random.default_rng(0)
CASES = pd.DataFrame({"x": generator.normal(size=60), "y": generator.normal(size=60)})
LATE = (CASES["x"] + generator.normal(size=60) / 3 > 0).to_numpy()


def saved(folder: Path, model: Any, **told: Any) -> Path:
    """Write a fitted classifier, or a ready graph, as ONNX."""
    if not hasattr(model, "SerializeToString"):
        zipmap = told.pop("zipmap", True)
        inputs = told.pop("inputs", [("X", FloatTensorType([None, 2]))])
        options = {id(model): {"zipmap": zipmap}}
        model = to_onnx(model, initial_types=inputs, options=options, target_opset=18)
    path = folder / "one.onnx"
    path.write_bytes(model.SerializeToString())
    return path


def candidate(path: Path, **settings: Any) -> Any:
    return candidate_of(kind="onnx", path=str(path), **settings)


def scores(path: Path, cases: pd.DataFrame = CASES, *, positive: Any = 1, **told: Any) -> Any:
    task = task_of(positive, told.pop("negative", None))
    return load_scorer(candidate(path, **told), path.parent, task=task).score(cases)


def refusal(path: Path, cases: pd.DataFrame = CASES, **told: Any) -> CandidateError:
    with pytest.raises(CandidateError) as caught:
        scores(path, cases, **told)
    assert caught.value.culprit == "candidate one"
    return caught.value


def graph(outputs: dict[str, tuple[int, list[Any], np.ndarray]]) -> Any:
    """Make a graph that gives these values, whatever it is given."""
    nodes = [
        helper.make_node(
            "Constant",
            [],
            [name],
            value=helper.make_tensor(name, kind, value.shape, value.flatten().tolist()),
        )
        for name, (kind, _, value) in outputs.items()
    ]
    # An input that nothing uses would be taken out.
    nodes.append(helper.make_node("Identity", ["X"], ["unused"]))
    told = [helper.make_tensor_value_info(n, k, shape) for n, (k, shape, _) in outputs.items()]
    given = helper.make_tensor_value_info("X", TensorProto.FLOAT, [None, 2])
    model = helper.make_model(
        helper.make_graph(nodes, "constant", [given], told),
        opset_imports=[helper.make_opsetid("", 18)],
    )
    model.ir_version = 10
    return model


def plain(values: list[Any], labels: list[Any] | None = None) -> Any:
    array = np.array(values, dtype=np.float32)
    outputs = {"probabilities": (TensorProto.FLOAT, list(array.shape), array)}
    if labels is not None:
        told = np.array(labels)
        kind = TensorProto.STRING if told.dtype.kind == "U" else TensorProto.INT64
        outputs["label"] = (kind, [len(labels)], told)
    return graph(outputs)


@pytest.mark.parametrize("zipmap", [True, False])
@pytest.mark.parametrize("labels", [(0, 1), ("on time", "late"), ("a late", "b on time")])
@pytest.mark.parametrize(
    "model", [LogisticRegression(), RandomForestClassifier(5, random_state=0)], ids=str
)
def test_zipmap_on_and_off_give_the_probabilities_of_the_original(
    *, model: Any, labels: tuple[Any, Any], zipmap: bool, tmp_path: Path
) -> None:
    model.fit(CASES.to_numpy(dtype=np.float32), np.where(LATE, labels[1], labels[0]))
    path = saved(tmp_path, model, zipmap=zipmap)
    declared = {"classes": model.classes_.tolist()} if not zipmap else {}

    found = scores(path, positive=labels[1], **declared)

    column = list(model.classes_).index(labels[1])
    expected = model.predict_proba(CASES.to_numpy(dtype=np.float32))[:, column]
    assert found == pytest.approx(expected, abs=1e-6)


def test_a_graph_of_one_input_a_column_takes_them_by_name(tmp_path: Path) -> None:
    training = pd.DataFrame(
        {
            "flag": LATE,
            "place": np.where(CASES["y"] > 0, "A", "B"),
            "x": CASES["x"].astype("float32"),
            "count": np.arange(60),
        }
    )
    encode = ColumnTransformer(
        [("texts", OneHotEncoder(), ["place"]), ("rest", "passthrough", ["x", "count"])]
    )
    model = make_pipeline(encode, LogisticRegression()).fit(training, LATE)
    inputs = [
        ("flag", BooleanTensorType([None, 1])),
        ("place", StringTensorType([None, 1])),
        ("x", FloatTensorType([None, 1])),
        ("count", Int64TensorType([None, 1])),
    ]
    path = saved(tmp_path, model, inputs=inputs[1:])

    # The order does not matter, since each input has a name.
    found = scores(path, training[["count", "x", "place"]], features=["count", "x", "place"])

    assert found == pytest.approx(model.predict_proba(training)[:, 1], abs=1e-5)
    lacking = refusal(path, training, features=["x", "count"])
    assert "takes 'place', which `features` lacks" in lacking.what
    more = refusal(path, training, features=["x", "count", "place", "flag"])
    assert "has 'flag', which the artifact does not take" in more.what
    text = training.assign(x="N1")[["count", "x", "place"]]
    assert "'x' holds text, such as 'N1'" in refusal(path, text, features=list(text)).what
    number = training.assign(place=1)[["count", "x", "place"]]
    assert "'place' holds int64, such as" in refusal(path, number, features=list(number)).what
    half = training.assign(count=0.5)[["count", "x", "place"]]
    assert "whole numbers (tensor(int64))" in refusal(path, half, features=list(half)).what
    for name in ("place", "count"):
        gap = training[["count", "x", "place"]].copy()
        gap[name] = gap[name].where(gap.index > 1, None)
        assert f"missing values of '{name}' in 2" in refusal(path, gap, features=list(gap)).what


@pytest.mark.parametrize(
    "values", [[[0.9, 0.1], [0.2, 0.8]], [[0.1], [0.8]], [0.1, 0.8]], ids=["n x 2", "n x 1", "n"]
)
def test_a_plain_array_is_the_positive_class_or_both(values: list[Any], tmp_path: Path) -> None:
    path = saved(tmp_path, plain(values))

    assert scores(path, CASES[:2]).tolist() == pytest.approx([0.1, 0.8])


def test_columns_that_nobody_names_are_refused_for_a_label_of_text(tmp_path: Path) -> None:
    path = saved(tmp_path, plain([[0.9, 0.1], [0.2, 0.8]]))

    error = refusal(path, CASES[:2], positive="late")

    assert "which of its two columns is the positive class 'late'" in error.what
    assert "list `classes`" in error.fix
    reversed_classes = scores(path, CASES[:2], positive="late", classes=["late", "on time"])
    assert reversed_classes.tolist() == pytest.approx([0.9, 0.2])


def test_columns_that_its_own_labels_contradict_are_refused(tmp_path: Path) -> None:
    values = [[0.9, 0.1], [0.2, 0.8], [0.7, 0.3]]

    agreeing = saved(tmp_path, plain(values, labels=[0, 1, 1]))
    assert scores(agreeing, CASES[:3]).tolist() == pytest.approx([0.1, 0.8, 0.3])
    exchanged = saved(tmp_path, plain(values, labels=[1, 0, 1]))
    error = refusal(exchanged, CASES[:3])
    assert "its labels contradict its probabilities in 3 of 3 cases" in error.what


WORDS = {"positive": "late", "negative": "on time", "classes": ["on time", "late"]}
OF_NUMBERS = "neither 1 (positive) nor 0 (negative)"
OF_WORDS = "neither 'late' (positive) nor 'on time' (negative)"


@pytest.mark.parametrize(
    ("labels", "told", "what"),
    [
        # Without its labels the columns would be taken for those of 0 and 1.
        (["late", "on time", "late"], {}, f"3 # {OF_NUMBERS} ('late' in 2, 'on time' in 1)"),
        ([0, 2, 0], {}, f"1 # {OF_NUMBERS} (2 in 1)"),
        (["on time", "Late", "on time"], WORDS, f"1 # {OF_WORDS} ('Late' in 1)"),
        ([0, 3, 0], WORDS, f"3 # {OF_WORDS} (0 in 2, 3 in 1)"),
    ],
)
def test_labels_of_another_vocabulary_are_refused_with_count_and_examples(
    labels: list[Any], told: dict[str, Any], what: str, tmp_path: Path
) -> None:
    path = saved(tmp_path, plain([[0.9, 0.1], [0.2, 0.8], [0.7, 0.3]], labels=labels))

    error = refusal(path, CASES[:3], **told)

    assert error.what == what.replace("#", "of its 3 labels are")
    assert "`label_values`" in error.fix


@pytest.mark.parametrize(
    ("labels", "told"),
    [
        ([0, 1, 0], {}),
        ([0, 1, 0], {"positive": True}),
        (["n", "y", "n"], {"label_values": {"positive": "y", "negative": "n"}, "classes": "ny"}),
        # Positions in the YAML's list.
        ([0, 1, 0], WORDS),
        ([2, 1, 2], {"positive": 1, "negative": 2, "classes": [2, 1]}),
    ],
)
def test_labels_are_classes_or_their_positions_in_the_list(
    labels: list[Any], told: dict[str, Any], tmp_path: Path
) -> None:
    path = saved(tmp_path, plain([[0.9, 0.1], [0.2, 0.8], [0.7, 0.3]], labels=labels))
    told = told | ({"classes": list(told["classes"])} if "classes" in told else {})

    assert scores(path, CASES[:3], **told).tolist() == pytest.approx([0.1, 0.8, 0.3])


def test_a_map_with_a_class_that_the_label_does_not_have_is_refused(tmp_path: Path) -> None:
    model = LogisticRegression().fit(
        CASES.to_numpy(dtype=np.float32), np.where(LATE, "late", "early")
    )
    path = saved(tmp_path, model)

    error = refusal(path, positive="late", negative="on time")

    assert "its classes are 'early', 'late', and the positive label is 'late', the" in error.what
    said = {"positive": "late", "negative": "early"}
    assert np.array_equal(
        scores(path, positive="late", negative="on time", label_values=said),
        scores(path, positive="late", negative="early"),
    )


def test_columns_of_no_names_are_those_of_0_and_1_where_these_are_the_labels(
    tmp_path: Path,
) -> None:
    path = saved(tmp_path, plain([[0.9, 0.1], [0.2, 0.8]]))

    assert scores(path, CASES[:2], positive=0, negative=1).tolist() == pytest.approx([0.9, 0.2])
    error = refusal(path, CASES[:2], positive=1, negative=2)
    assert "which of its two columns is the positive class 1" in error.what


@pytest.mark.parametrize(
    ("values", "what"),
    [
        ([[0.1, 0.2, 0.7], [0.1, 0.2, 0.7]], "shape (2, 3)"),
        ([[[0.1, 0.9]], [[0.1, 0.9]]], "shape (2, 1, 2)"),
    ],
)
def test_an_array_of_another_shape_is_refused(values: list[Any], what: str, tmp_path: Path) -> None:
    assert what in refusal(saved(tmp_path, plain(values)), CASES[:2]).what


@pytest.mark.parametrize("values", [[0.1], [0.1, 0.2, 0.3], [0.1, np.nan], [-3.0, 4.0]])
def test_too_few_or_too_many_or_no_probabilities_are_refused_by_slice(
    values: list[float], tmp_path: Path
) -> None:
    path = saved(tmp_path, plain(values))
    cases = CASES[:2].add_prefix("data.").assign(id=[7, 8], label=[0, 1])
    cases = cases.assign(geography="A", segment="p")

    with pytest.raises(CandidateError) as caught:
        predict(
            candidate(path),
            load_scorer(candidate(path), tmp_path, task=task_of()),
            cases,
            task=task_of(),
        )

    assert caught.value.culprit == "candidate one, slice A|p"


def test_a_graph_that_gives_no_probabilities_or_several_is_refused(tmp_path: Path) -> None:
    label = (TensorProto.INT64, [2], np.array([0, 1]))
    number = (TensorProto.FLOAT, [2], np.array([0.1, 0.2], dtype=np.float32))

    labels = refusal(saved(tmp_path, graph({"label": label})))
    several = refusal(saved(tmp_path, graph({"a": number, "b": number})))

    assert "it gives 0 outputs of probabilities among 'label: tensor(int64)'" in labels.what
    assert "it gives 2 outputs of probabilities" in several.what


def test_another_width_is_refused(tmp_path: Path) -> None:
    path = saved(tmp_path, plain([0.1, 0.8]))

    assert "takes 2 features, and `features` has 1" in refusal(path, features=["x"]).what


@pytest.mark.parametrize("content", [b"", b"no graph", b"\x08\x0a\x12"])
def test_a_file_that_is_no_graph_is_named(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "one.onnx"
    path.write_bytes(content)

    assert "cannot be read as ONNX" in refusal(path).what


def test_onnx_tells_nobody_about_its_use(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []
    monkeypatch.setattr("onnxruntime.disable_telemetry_events", lambda: done.append("off"))
    scores(saved(tmp_path, LogisticRegression().fit(CASES, LATE)))
    assert done == ["off"]
