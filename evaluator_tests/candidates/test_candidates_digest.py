"""What is loaded is what was hashed, for every kind: there is no way around a digest."""

import gc
import hashlib
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mlflow
import mlflow.onnx
import numpy as np
import onnx
import onnxruntime
import pandas as pd
import pytest
import skops.io
import yaml
from onnx import TensorProto, helper, numpy_helper
from sklearn.linear_model import LogisticRegression

from evaluator.candidates import adapter_of, artifact_digest, load_scorer, open_scorer
from evaluator.candidates._adapter import Artifact, Reading
from evaluator.candidates._kinds._onnx import _model_class
from evaluator.errors import CandidateError
from evaluator_tests.candidates.conftest import candidate_of, task_of
from evaluator_tests.candidates.worlds import MAKERS, World, write_recording

pytestmark = [
    # MLflow warns of types in its own signatures, and of examples that a caller need not give.
    pytest.mark.filterwarnings("ignore:.*Any type hint is inferred:UserWarning"),
    pytest.mark.filterwarnings("ignore:.*input example was not provided:UserWarning"),
]

CASES = pd.DataFrame({"x": [1.0, 2.0], "y": [0.0, 0.0]}, index=pd.Index([10, 11], name="id"))
TRAINING = pd.DataFrame({"x": [0.0, 1.0, 2.0, 3.0] * 5, "y": [0.0, 1.0, 1.0, 0.0] * 5})
LATE = (TRAINING["x"] > 1.5).astype(int)
MODEL = LogisticRegression().fit(TRAINING, LATE)
OTHER = LogisticRegression().fit(TRAINING, 1 - LATE)


@pytest.fixture(params=MAKERS)
def world(request: pytest.FixtureRequest, tmp_path: Path) -> World:
    return World(request.param, tmp_path)


def test_a_scorer_is_made_of_what_was_read_though_the_artifact_is_gone(world: World) -> None:
    candidate: Any = world.candidate()
    adapter = adapter_of(candidate)
    reading = adapter.read(Artifact(candidate, world.home, None))
    world.remove()

    scorer = adapter.load(candidate, reading.content, task_of())

    assert scorer.score(CASES).tolist() == pytest.approx([0.1, 0.2])


def test_reading_tells_the_digest_that_observing_tells(world: World) -> None:
    candidate: Any = world.candidate()

    reading = adapter_of(candidate).read(Artifact(candidate, world.home, None))

    assert reading.digest == reading.files_digest == world.digest()


def test_an_artifact_that_is_exchanged_while_it_is_loaded_and_put_back_changes_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    candidate, observed = world.candidate(), world.digest()
    adapter = adapter_of(candidate)
    read, load = adapter.read, adapter.load

    def exchanged(artifact: Artifact[Any]) -> Reading[Any]:
        reading = read(artifact)
        world.make(divisor=20.0)
        return reading

    def put_back(*told: Any) -> Any:
        scorer = load(*told)
        world.make()
        return scorer

    monkeypatch.setattr(adapter, "read", exchanged)
    monkeypatch.setattr(adapter, "load", put_back)
    scorer = load_scorer(candidate, world.home, task=task_of(), digest=observed)

    assert scorer.score(CASES).tolist() == pytest.approx([0.1, 0.2])


def test_of_an_exchanged_artifact_nothing_is_loaded(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    candidate, observed = world.candidate(), world.digest()
    world.make(divisor=20.0)
    monkeypatch.setattr(adapter_of(candidate), "load", pytest.fail)

    with pytest.raises(CandidateError, match="was exchanged since it was observed"):
        load_scorer(candidate, world.home, task=task_of(), digest=observed)


def test_a_process_that_is_replaced_loads_the_files_of_the_first_one(tmp_path: Path) -> None:
    """A digest may be that of a name alone, such as of a version in a remote store."""
    world = World("recorded", tmp_path)
    candidate = world.candidate(isolate="process")

    with open_scorer(candidate, tmp_path, task=task_of()) as scorer:
        assert scorer.score(CASES).tolist() == [0.1, 0.2]
        scorer.close()  # type: ignore[attr-defined] # as it does where the process ends
        assert scorer.score(CASES).tolist() == [0.1, 0.2]
        scorer.close()  # type: ignore[attr-defined] # as above
        write_recording(world.path, 20.0)
        with pytest.raises(CandidateError, match="exchanged since the run's first slices"):
            scorer.score(CASES)


def test_the_digest_of_a_folder_is_that_of_its_files_and_their_paths(tmp_path: Path) -> None:
    folder = tmp_path / "models" / "one"
    (folder / "code" / "empty").mkdir(parents=True)
    (folder / "MLmodel").write_text("a")
    (folder / "code" / "b.py").write_text("b")
    told = ",".join(
        f'"{name}":"{hashlib.sha256(text.encode()).hexdigest()}"'
        for name, text in [("MLmodel", "a"), ("code/b.py", "b")]
    )

    digest = artifact_digest(of_folder("models/one"), tmp_path)

    assert digest == hashlib.sha256(f"{{{told}}}\n".encode()).hexdigest()


def of_folder(model: str | Path, **told: Any) -> Any:
    return candidate_of(kind="mlflow", model=str(model), path=None, **told)


def saved(folder: Path, form: str = "skops", model: Any = MODEL, **says: Any) -> Path:
    """Save a model with MLflow; what its flavours say may be changed."""
    mlflow.sklearn.save_model(model, str(folder), serialization_format=form, pip_requirements=[])
    told = yaml.safe_load((folder / "MLmodel").read_text())
    for flavor, keys in says.items():
        told["flavors"][flavor] |= keys
    (folder / "MLmodel").write_text(yaml.safe_dump(told))
    return folder


def refusal(candidate: Any, home: Path = Path("/")) -> CandidateError:
    with pytest.raises(CandidateError) as caught:
        load_scorer(candidate, home, task=task_of())
    assert caught.value.culprit == "candidate one"
    assert caught.value.fix
    return caught.value


FORMS = {"skops": "model.skops", "pickle": "model.pkl"}
trusted = pytest.mark.parametrize("form", FORMS)


def trust(form: str) -> dict[str, Any]:
    return {"trust": "pickle"} if form == "pickle" else {}


@trusted
@pytest.mark.parametrize("way", ["../other/{}", "code/../../other/{}", "{home}/other/{}"])
def test_a_model_outside_its_folder_is_refused(way: str, form: str, tmp_path: Path) -> None:
    saved(tmp_path / "other", form, OTHER)
    place = way.format(FORMS[form], home=tmp_path)
    keys = {"pickled_model": place, "model_path": place}
    folder = saved(tmp_path / "one", form, sklearn=keys, python_function=keys)

    error = refusal(of_folder(folder, **trust(form)))

    assert "leads out of its folder" in error.what
    assert repr(place) in error.what


@trusted
def test_a_linked_file_is_refused(form: str, tmp_path: Path) -> None:
    other = saved(tmp_path / "other", form, OTHER)
    file = saved(tmp_path / "one", form) / FORMS[form]
    file.unlink()
    file.symlink_to(other / FORMS[form])

    links_are_refused(tmp_path / "one", form, f"'{FORMS[form]}' of its artifact is a link")


@trusted
def test_a_linked_folder_in_a_model_is_refused(form: str, tmp_path: Path) -> None:
    other = saved(tmp_path / "other", form, OTHER)
    place = f"weights/{FORMS[form]}"
    keys = {"pickled_model": place, "model_path": place}
    folder = saved(tmp_path / "one", form, sklearn=keys, python_function=keys)
    (folder / "weights").symlink_to(other, target_is_directory=True)

    links_are_refused(folder, form, "'weights' of its artifact is a link")


@trusted
def test_a_model_s_folder_that_is_a_link_is_refused(form: str, tmp_path: Path) -> None:
    other = saved(tmp_path / "other", form, OTHER)
    (tmp_path / "one").symlink_to(other, target_is_directory=True)

    links_are_refused(tmp_path / "one", form, "of its artifact is a link")


@trusted
def test_a_device_in_a_model_is_refused_and_not_waited_for(form: str, tmp_path: Path) -> None:
    os.mkfifo(saved(tmp_path / "one", form) / "pipe")

    links_are_refused(tmp_path / "one", form, "'pipe' of its artifact is a link, or no plain file")


def links_are_refused(folder: Path, form: str, what: str) -> None:
    candidate = of_folder(folder, **trust(form))
    assert what in refusal(candidate).what
    with pytest.raises(CandidateError, match="is a link"):
        artifact_digest(candidate, Path("/"))


@pytest.mark.parametrize(
    ("flavor", "key"),
    [
        ("python_function", key)
        for key in ("data", "code", "model_path", "python_model", "env", "model_config", "any")
    ]
    + [("sklearn", key) for key in ("pickled_model", "code", "model_data", "weights")],
)
@pytest.mark.parametrize("place", ["/srv/a", "../a", "a/../../b", "file:///srv/a", "a\\..\\..\\b"])
def test_no_key_of_a_flavour_leads_out(flavor: str, key: str, place: str, tmp_path: Path) -> None:
    direct = saved(tmp_path / "direct", "pickle", **{flavor: {key: place}})
    nested = saved(tmp_path / "nested", "pickle", **{flavor: {"parts": [{key: {"path": place}}]}})

    for folder in (direct, nested) if key != "model_config" else (direct,):
        assert "leads out of its folder" in refusal(of_folder(folder, trust="pickle")).what


def test_an_example_of_the_input_lies_in_the_folder(tmp_path: Path) -> None:
    folder = saved(tmp_path / "one", "pickle")
    told = yaml.safe_load((folder / "MLmodel").read_text())
    told["saved_input_example_info"] = {"artifact_path": "/etc/passwd", "type": "dataframe"}
    (folder / "MLmodel").write_text(yaml.safe_dump(told))

    assert "'/etc/passwd'" in refusal(of_folder(folder, trust="pickle")).what


def test_texts_that_are_no_places_may_look_like_some(tmp_path: Path) -> None:
    says = {
        "artifacts": {"one": {"path": "artifacts/one", "uri": "file:///home/maker/one"}},
        "model_config": {"prompt": "/say", "folder": "../data"},
        "model_code_path": "/home/maker/model.py",
    }
    folder = saved(tmp_path / "one", python_function=says)

    scorer = load_scorer(of_folder(folder), Path("/"), task=task_of())

    assert np.array_equal(scorer.score(TRAINING), MODEL.predict_proba(TRAINING)[:, 1])


def test_the_copy_of_a_model_goes_with_its_scorer(tmp_path: Path) -> None:
    scorer: Any = load_scorer(of_folder(saved(tmp_path / "one")), Path("/"), task=task_of())
    copy = scorer._folder.root
    assert (copy / "MLmodel").is_file()
    assert copy.stat().st_mode & 0o077 == 0

    del scorer
    gc.collect()

    assert not copy.exists()


# ONNX: weights may lie in further files.


def weights(name: str = "w", *, zero: bool = False) -> TensorProto:
    values = np.zeros((2, 1)) if zero else np.array([[3.0], [-2.0]])
    return numpy_helper.from_array(values.astype(np.float32), name)


def graph_of(
    nodes: list[Any], tensors: list[Any] = (), functions: list[Any] = (), sparse: list[Any] = ()
) -> Any:  # fmt: skip
    nodes = [*nodes, helper.make_node("Sigmoid", ["z"], ["p"])]
    given = helper.make_tensor_value_info("X", TensorProto.FLOAT, [None, 2])
    told = helper.make_tensor_value_info("p", TensorProto.FLOAT, [None, 1])
    made = helper.make_model(
        helper.make_graph(nodes, "g", [given], [told], tensors, sparse_initializer=sparse),
        opset_imports=[helper.make_opsetid("", 18), helper.make_opsetid("own", 1)],
        functions=functions,
    )
    made.ir_version = 10
    return made


MULTIPLY = helper.make_node("MatMul", ["X", "w"], ["z"])


def outside(tensor: TensorProto, location: str = "w.bin") -> TensorProto:
    """Let a tensor's values lie in another file."""
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=location)
    return tensor


def initializer(tensor: TensorProto) -> Any:
    return graph_of([MULTIPLY], [tensor])


def constant(tensor: TensorProto) -> Any:
    return graph_of([helper.make_node("Constant", [], ["w"], value=tensor), MULTIPLY])


def branch(tensor: TensorProto) -> Any:
    out = helper.make_tensor_value_info("b", TensorProto.FLOAT, [2, 1])
    inner = helper.make_node("Identity", ["inner"], ["b"])
    tensor.name = "inner"
    body = helper.make_graph([inner], "b", [], [out], [tensor])
    yes = numpy_helper.from_array(np.array(True), "yes")  # noqa: FBT003 - a tensor's value
    choice = helper.make_node("If", ["yes"], ["w"], then_branch=body, else_branch=body)
    return graph_of([choice, MULTIPLY], [yes])


def function(tensor: TensorProto) -> Any:
    body = [helper.make_node("Constant", [], ["w"], value=tensor), MULTIPLY]
    made = helper.make_function("own", "f", ["X"], ["z"], body, [helper.make_opsetid("", 18)])
    return graph_of([helper.make_node("f", ["X"], ["z"], domain="own")], functions=[made])


def sparse(tensor: TensorProto) -> Any:
    tensor.dims[:] = [2]
    places = numpy_helper.from_array(np.array([0, 1]), "places")
    held = helper.make_sparse_tensor(tensor, places, [2, 1])
    return graph_of([MULTIPLY], sparse=[held])


def of_list(tensor: TensorProto) -> Any:
    return graph_of([helper.make_node("own", ["X"], ["z"], domain="own", all=[tensor])])


PLACES: list[Callable[[TensorProto], Any]] = [
    initializer, constant, branch, function, sparse, of_list
]  # fmt: skip


@pytest.mark.parametrize("make", PLACES)
@pytest.mark.parametrize("where", ["beside it", "in the working directory", "nowhere"])
def test_onnx_weights_in_further_files_are_refused_wherever_they_stand(
    make: Callable[[TensorProto], Any],
    where: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    path = tmp_path / "one.onnx"
    path.write_bytes(make(outside(weights())).SerializeToString())
    if where != "nowhere":
        folder = tmp_path if where == "beside it" else tmp_path / "work"
        (folder / "w.bin").write_bytes(weights(zero=True).raw_data)

    error = refusal(candidate_of(kind="onnx", path=str(path)))

    assert error.what == (
        "its weights lie in further files ('w.bin'), which its digest would not cover"
    )


@pytest.mark.parametrize("make", [one for one in PLACES if one is not of_list])
def test_onnx_weights_in_the_file_itself_are_taken(
    make: Callable[[TensorProto], Any], tmp_path: Path
) -> None:
    path = tmp_path / "one.onnx"
    path.write_bytes(make(weights()).SerializeToString())

    scorer = load_scorer(candidate_of(kind="onnx", path=str(path)), tmp_path, task=task_of())

    expected = 1 / (1 + np.exp(2 * TRAINING["y"] - 3 * TRAINING["x"]))
    assert scorer.score(TRAINING) == pytest.approx(expected.to_numpy(), abs=1e-6)


def in_mlflow(folder: Path, location: str) -> Path:
    mlflow.onnx.save_model(
        initializer(weights()), str(folder), pip_requirements=[], save_as_external_data=False
    )
    (folder / "model.onnx").write_bytes(
        initializer(outside(weights(), location)).SerializeToString()
    )
    return folder


def test_onnx_weights_in_an_mlflow_folder_are_part_of_its_digest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = in_mlflow(tmp_path / "one", "weights/w.bin")
    file = folder / "weights" / "w.bin"
    file.parent.mkdir()
    file.write_bytes(weights().raw_data)
    # What lies where it might be looked for as well does not count.
    shutil.copytree(file.parent, tmp_path / "work" / "weights")
    (tmp_path / "work" / "weights" / "w.bin").write_bytes(weights(zero=True).raw_data)
    monkeypatch.chdir(tmp_path / "work")
    candidate = of_folder(folder)
    before = artifact_digest(candidate, tmp_path)

    scores = load_scorer(candidate, tmp_path, task=task_of(), digest=before).score(TRAINING)

    expected = 1 / (1 + np.exp(2 * TRAINING["y"] - 3 * TRAINING["x"]))
    assert scores == pytest.approx(expected.to_numpy(), abs=1e-6)
    file.write_bytes(weights(zero=True).raw_data)
    assert artifact_digest(candidate, tmp_path) != before


@pytest.mark.parametrize(
    "location", ["../w.bin", "{home}/w.bin", "gone.bin", "", ".", "a/../w.bin"]
)
def test_onnx_weights_outside_an_mlflow_folder_are_refused(location: str, tmp_path: Path) -> None:
    (tmp_path / "w.bin").write_bytes(weights(zero=True).raw_data)
    folder = in_mlflow(tmp_path / "one", location.format(home=tmp_path))
    (folder / "w.bin").write_bytes(weights().raw_data)

    assert "is no file in its folder" in refusal(of_folder(folder)).what


@pytest.mark.parametrize("told", [("w.bin", "../w.bin"), ("../w.bin", "w.bin")])
def test_onnx_weights_that_are_told_to_lie_in_two_files_must_lie_in_the_folder_in_either(
    told: tuple[str, str], tmp_path: Path
) -> None:
    (tmp_path / "w.bin").write_bytes(weights(zero=True).raw_data)
    folder = in_mlflow(tmp_path / "one", told[0])
    (folder / "w.bin").write_bytes(weights().raw_data)
    twice = outside(outside(weights(), told[0]), told[1])
    (folder / "model.onnx").write_bytes(initializer(twice).SerializeToString())

    error = refusal(of_folder(folder))

    assert "'../w.bin'" in error.what
    assert "is no file in its folder" in error.what


def test_onnx_s_other_format_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "one.ort")
    options.add_session_config_entry("session.save_model_format", "ORT")
    onnxruntime.InferenceSession(
        initializer(weights()).SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    monkeypatch.chdir(tmp_path)

    assert (
        "cannot be read as ONNX"
        in refusal(candidate_of(kind="onnx", path="one.ort"), tmp_path).what
    )


def test_a_skops_file_is_read_from_the_bytes_that_were_hashed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    skops.io.dump(MODEL, tmp_path / "one.skops")
    digest = hashlib.sha256((tmp_path / "one.skops").read_bytes()).hexdigest()
    opened: list[Any] = []
    load = skops.io.load
    monkeypatch.setattr(
        skops.io, "load", lambda file, **told: opened.append(file) or load(file, **told)
    )

    load_scorer(candidate_of(path="one.skops"), tmp_path, task=task_of(), digest=digest)

    assert [hashlib.sha256(file.getvalue()).hexdigest() for file in opened] == [digest]


def test_every_tensor_that_onnx_knows_is_looked_at() -> None:
    """The messages that are looked through are all of onnx.proto that lead to a tensor."""

    def ways(message: Any, seen: tuple[str, ...] = ()) -> set[tuple[int, ...]]:
        found: set[tuple[int, ...]] = set()
        if message.full_name in ("evaluator.Tensor", "onnx.TensorProto"):
            return {()}
        if message.full_name in seen:
            return found
        for field in message.fields:
            if field.message_type is not None:
                inner = ways(field.message_type, (*seen, message.full_name))
                found |= {(field.number, *way) for way in inner}
        return found

    known = ways(_model_class().DESCRIPTOR)
    assert known == ways(onnx.ModelProto.DESCRIPTOR)
    assert (7, 5) in known
