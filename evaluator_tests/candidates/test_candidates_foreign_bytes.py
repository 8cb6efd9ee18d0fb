"""Bytes of somebody else's are read, or refused in one sentence: nothing else comes of them."""

import json
import re
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from hypothesis import HealthCheck, given, settings, strategies as st
from onnx import TensorProto, helper, numpy_helper
from sklearn.linear_model import LogisticRegression

from evaluator.candidates import load_scorer, predict, recording_issues
from evaluator.candidates._kinds import _http as endpoint, _mlflow
from evaluator.candidates._kinds._http import HttpScorer, Timing
from evaluator.errors import CandidateError, EvaluatorError
from evaluator_tests.candidates import scoring_server as faults
from evaluator_tests.candidates.conftest import candidate_of, task_of

pytestmark = [
    # MLflow warns of types in its own signatures, and of examples that a caller need not give.
    pytest.mark.filterwarnings("ignore:.*Any type hint is inferred:UserWarning"),
    pytest.mark.filterwarnings("ignore:.*input example was not provided:UserWarning"),
]

CASES = pd.DataFrame(
    {"id": [1, 2], "geography": "A", "segment": "p", "label": [0, 1], "data.x": 0.5, "data.y": 0.5}
)
FEATURES = pd.DataFrame({"x": [1.0, 2.0], "y": [0.0, 0.0]}, index=pd.Index([11, 12], name="id"))
many = settings(
    max_examples=2000,
    derandomize=True,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@contextmanager
def one_sentence_at_most() -> Iterator[None]:
    """Let through what is well, and an error that says what, whose it is and how to mend it."""
    try:
        yield
    except EvaluatorError as error:
        is_sentence(error)


def is_sentence(error: EvaluatorError) -> str:
    assert re.fullmatch(r"candidate one(, slice A\|p)?", error.culprit)
    assert error.fix
    text = str(error)
    assert not re.search(r"[\x00-\x1f]", text)
    assert len(text) < 5000
    # It can be stored.
    assert text.encode().decode() == text
    return error.what


def refused(call: Callable[[], Any]) -> str:
    with pytest.raises(CandidateError) as caught:
        call()
    return is_sentence(caught.value)


# MLmodel


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Save an honest model, whose MLmodel is exchanged."""
    folder = tmp_path_factory.mktemp("models") / "one"
    frame = pd.DataFrame({"x": [0.0, 1.0, 2.0], "y": [0.0, 1.0, 0.0]})
    mlflow.sklearn.save_model(
        LogisticRegression().fit(frame, [0, 0, 1]),
        str(folder),
        serialization_format="skops",
        pip_requirements=[],
        signature=mlflow.models.infer_signature(frame),
    )
    return folder


def load(folder: Path, content: bytes, **told: Any) -> Any:
    (folder / "MLmodel").write_bytes(content)
    candidate = candidate_of(kind="mlflow", model=str(folder), path=None, **told)
    return load_scorer(candidate, Path("/"), task=task_of())


def said(**changed: Any) -> bytes:
    """Write what MLflow says of a model in the skops format, with other values."""
    sklearn = {"serialization_format": "skops", "pickled_model": "model.skops"}
    return yaml.safe_dump({"flavors": {"sklearn": sklearn}, **changed}).encode()


def bomb(levels: int, again: str = "[{}]") -> str:
    """Write so many lines, each of which stands for ten of the one before."""
    lines = (
        f"a{level}: &a{level} {again.format(','.join([f'*a{level - 1}'] * 10))}"
        for level in range(1, levels)
    )
    return "\n".join(["a0: &a0 [x]", *lines])


HOSTILE = {
    "nothing": b"",
    "no YAML": b"{flavors: [",
    "a list": b"- flavors",
    "a text": b"flavors",
    "a number": b"7",
    "no flavors": b"run_id: a\n",
    "flavors that are a text": b"flavors: sklearn\n",
    "flavors that are a list": b"flavors: [sklearn]\n",
    "flavors that are an empty list": b"flavors: []\n",
    "flavors that are nothing": b"flavors:\n",
    "a flavour that is a text": b"flavors: {sklearn: skops}\n",
    "a flavour that is a list": b"flavors: {onnx: [data]}\n",
    "a flavour with a number as its name": b"flavors: {1: {a: b}}\n",
    "no place": said(flavors={"sklearn": {"serialization_format": "skops"}}),
    "a number as a place": said(flavors={"onnx": {"data": 7}}),
    "a list as a place": said(flavors={"onnx": {"data": ["model.skops"]}}),
    "a folder as a place": said(flavors={"onnx": {"data": "."}}),
    "a place without a file": said(flavors={"onnx": {"data": "gone.onnx"}}),
    "another file as the model": said(flavors={"onnx": {"data": "MLmodel"}}),
    "a NUL in a place": said(flavors={"onnx": {"data": "model\0.skops"}}),
    "half a character": b'flavors: {"\\uD800": {a: "\\uDC00"}}\n',
    "half a character as a place": b'flavors: {onnx: {data: "\\uD800"}}\n',
    "an endless name": b"flavors: {" + b"a" * 100_000 + b": {a: b}}\n",
    "not UTF-8": b"flavors: \xff\xfe\n",
    "UTF-16": "flavors: {sklearn: {}}\n".encode("utf-16"),
    "NUL bytes": b"flavors: \0\n",
    "lists 200,000 deep": b"flavors: " + b"[" * 200_000,
    "mappings 200,000 deep": b"flavors: " + b"{a: " * 200_000,
    "lists 100,000 deep by lines": b"flavors:\n" + b"- " * 100_000 + b"a\n",
    "what holds itself": b"flavors: &a {sklearn: {a: *a}}\n",
    "a list that holds itself": b"flavors: {sklearn: {a: &a [*a]}}\n",
    "a bomb": f"{bomb(30)}\nflavors: {{sklearn: {{a: *a29}}}}\n".encode(),
    "a bomb of mappings": b"a0: &a0 {x: y}\n"
    + bomb(30, "{{<<: [{}]}}").partition("\n")[2].encode()
    + b"\nflavors: {sklearn: {}}\n",
    "a tag of Python": b"flavors: !!python/object/apply:os.system ['false']\n",
    "an unknown tag": b"flavors: !mine {sklearn: {}}\n",
    "a key that stands twice": b"flavors: {sklearn: {}}\nflavors: {onnx: {}}\n",
    "a list as a key": b"flavors: {? [a, b] : c}\n",
    "an endless number": b"flavors: {sklearn: {a: " + b"9" * 10_000 + b"}}\n",
    "a day that never was": b"flavors: {sklearn: {a: 2026-02-31}}\n",
    "several documents": b"flavors: {}\n---\nflavors: {}\n",
    "a signature that is a list": said(signature=[1]),
    "a signature that is no JSON": said(signature={"inputs": "{["}),
    "a signature 200,000 deep": said(signature={"inputs": "[" * 200_000}),
    "a signature of unknown types": said(signature={"inputs": '[{"type": "own", "name": "x"}]'}),
    "a signature that is a number": said(signature={"inputs": "7"}),
    "a signature with numbers as names": said(
        signature={"inputs": '[{"type": "long", "name": 7, "required": true}]'}
    ),
    "a tensor of endless shape": said(
        signature={
            "inputs": json.dumps(
                [{"type": "tensor", "tensor-spec": {"dtype": "own", "shape": [10**400]}}]
            )
        }
    ),
    "keys that are methods": said(get_input_schema=7),
    "a key that is an argument": said(self=7),
}  # fmt: skip


@pytest.mark.parametrize("content", HOSTILE.values(), ids=HOSTILE.keys())
@pytest.mark.parametrize("trust", [None, "pickle"])
def test_a_hostile_mlmodel_is_refused_in_one_sentence(
    content: bytes, trust: str | None, model: Path
) -> None:
    refused(lambda: load(model, content, trust=trust))


def test_an_honest_mlmodel_beside_them_is_read(model: Path) -> None:
    assert load(model, said()).score(FEATURES).shape == (2,)


def test_an_mlmodel_that_is_a_folder_is_none(tmp_path: Path) -> None:
    (tmp_path / "MLmodel" / "MLmodel").mkdir(parents=True)
    candidate = candidate_of(kind="mlflow", model=str(tmp_path), path=None)

    what = refused(lambda: load_scorer(candidate, Path("/"), task=task_of()))

    assert "there is no file MLmodel" in what


def test_an_mlmodel_of_100_megabytes_is_not_parsed(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_mlflow.yaml, "load", pytest.fail)

    what = refused(lambda: load(model, b"a" * 100_000_000))

    assert "it has 100000000 bytes, more than 1048576" in what


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-10, 10**20)
    | st.floats()
    | st.sampled_from(["skops", "model.skops", "../a", "/a", "pickle", ".", "string", "long", "x"])
    | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["data", "pickled_model", "serialization_format", "inputs", "type"])
            | st.text(max_size=3)
            | st.integers(),
            inner,
            max_size=3,
        )
    ),
    max_leaves=8,
)
COLUMNS = st.lists(
    st.dictionaries(st.sampled_from(["type", "name", "required", "tensor-spec"]), VALUES),
    max_size=3,
)
DECLARED = st.fixed_dictionaries(
    {
        "flavors": VALUES
        | st.dictionaries(
            st.sampled_from(["sklearn", "onnx", "python_function"]),
            VALUES
            | st.dictionaries(
                st.sampled_from(["data", "pickled_model", "serialization_format", "code"]), VALUES
            ),
        )
    },
    optional={
        "signature": VALUES
        | st.fixed_dictionaries({"inputs": COLUMNS.map(lambda told: json.dumps(told, default=str))})
        | st.fixed_dictionaries({"inputs": st.text(max_size=20)}),
        "saved_input_example_info": VALUES,
        "run_id": VALUES,
        "metadata": VALUES,
        "model_size_bytes": VALUES,
        "mlflow_version": VALUES,
    },
)
YAML = st.lists(
    st.sampled_from(
        ["flavors", ":", " ", "\n", "  ", "- ", "{", "}", "[", "]", ",", "&a ", "*a", "!!", "!x ",
         "<<: ", "sklearn", "onnx", "data", '"', "'", "|", ">", "#", "? ", "---\n", "\t", "\0",
         "\\uD800", "9" * 30, "model.skops", "..", "~", "%", "é"]
    ),
    max_size=40,
).map("".join)  # fmt: skip


@pytest.mark.slow
@many
@given(
    st.binary(max_size=60)
    | YAML.map(str.encode)
    | YAML.map(lambda text: f"flavors: {text}".encode())
)
def test_of_any_bytes_as_mlmodel_there_comes_one_sentence_at_most(
    model: Path, content: bytes
) -> None:
    with one_sentence_at_most():
        load(model, content)


@pytest.mark.slow
@many
@given(DECLARED)
def test_of_any_values_in_mlmodel_there_comes_one_sentence_at_most(
    model: Path, told: dict[str, Any]
) -> None:
    with one_sentence_at_most():
        load(model, yaml.safe_dump(told).encode())


# Endpoints


@pytest.fixture
def server() -> Iterator[faults.ScoringServer]:
    with faults.running() as scoring:
        yield scoring


@pytest.fixture(scope="module")
def lasting_server() -> Iterator[faults.ScoringServer]:
    """Run a server for all examples of a test."""
    with faults.running() as scoring:
        yield scoring


def scorer_of(url: str, **told: Any) -> HttpScorer:
    settings = {"retries": 0, "version": "1", **told}
    candidate: Any = candidate_of(kind="http", url=url, path=None, **settings)
    return HttpScorer(candidate, Timing(sleep=lambda _: None))


def answered(body: bytes) -> Any:
    candidate: Any = candidate_of(kind="http", url="http://a/", version="1", path=None)
    return endpoint._scores(candidate, body, [11, 12])


FIRST = '{"id": 11, "score": 0.1}'
SECOND = '{"id": 12, "score": 0.2}'
DEEP = 200_000


@pytest.mark.parametrize(
    ("body", "what"),
    [
        ("[" * DEEP + "]" * DEEP, "nested too deep"),
        ('{"a":' * DEEP + "1" + "}" * DEEP, "nested too deep"),
        (f'{{"scores": {"[" * DEEP}{"]" * DEEP}}}', "nested too deep"),
        (f'{{"scores": [{{"id": {"[" * 900}{"]" * 900}, "score": 1}}]}}', ""),
        (f'{{"scores": [{{"id": 11, "score": {"[" * 900}{"]" * 900}}}, {SECOND}]}}', "no numbers"),
        (f'{{"scores": [], "scores": [{FIRST}, {SECOND}]}}', "the key `scores` stands twice"),
        (f'{{"scores": [{FIRST[:-1]}, "score": 0.9}}, {SECOND}]}}', "the key `score` stands twice"),
        (f'{{"scores": [{FIRST[:-1]}, "id": 11}}, {SECOND}]}}', "the key `id` stands twice"),
        (f'{{"scores": [{FIRST}, {SECOND}], "NaN": NaN}}', "NaN stands in it, which is no number"),
        (f'{{"scores": [{{"id": 11, "score": NaN}}, {SECOND}]}}', "NaN stands in it"),
        (f'{{"scores": [{{"id": 11, "score": Infinity}}, {SECOND}]}}', "Infinity stands in it"),
        (f'{{"scores": [{{"id": 11, "score": -Infinity}}, {SECOND}]}}', "-Infinity stands in it"),
        (f'{{"scores": [{{"id": 11, "score": 1e999}}, {SECOND}]}}', "are no numbers"),
        (f'{{"scores": [{{"id": 11, "score": {"9" * 4000}}}, {SECOND}]}}', "are no numbers"),
        (f'{{"scores": [{{"id": 11, "score": {"9" * 5000}}}, {SECOND}]}}', "has 5000 digits"),
        (f'{{"scores": [{{"id": 11, "score": "{"a" * 10**6}"}}, {SECOND}]}}', "are no numbers"),
        (f'{{"scores": [{FIRST}, {SECOND}, {{"id": "{"a" * 10**6}", "score": 1}}]}}', "not asked"),
        (f'{{"scores": [{FIRST}, {SECOND}, {{"id": "\\ud800", "score": 1}}]}}', "surrogate pair"),
        (f'{{"scores": [{FIRST}, {SECOND}], "{"a" * 10**6}": 1, "{"a" * 10**6}": 1}}', "twice"),
        (f'{{"scores": [{FIRST}, {SECOND}], "\\ud800": 1, "\\ud800": 1}}', "twice"),
        (f'{{"scores": [{"[0.1]," * 10**5}{SECOND}]}}', "TypeError"),
        ("", "it is no JSON"),
        ("7", "TypeError"),
        ('"scores"', "TypeError"),
        ('{"scores": {"id": 11}}', "TypeError"),
        ('{"scores": 7}', "TypeError"),
    ],
)  # fmt: skip
def test_a_hostile_answer_is_refused_in_one_sentence(body: str, what: str) -> None:
    assert what in refused(lambda: answered(body.encode()))


def test_an_answer_that_is_not_utf_8_is_refused_in_one_sentence() -> None:
    refused(lambda: answered(b'{"scores": "\xff"}'))


STATUS = b"HTTP/1.1 200 OK\r\n"


@pytest.mark.parametrize(
    ("beginning", "more"),
    [
        (b"", b"H"),
        (b"HTTP/1.1 200 O", b"K"),
        (STATUS, b"X"),
        (STATUS + b"X-One: ", b"a"),
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
        (faults.ENDLESS, b" "),
        (STATUS + b"\r\n", b" "),
        (STATUS + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\n \r\n"),
        (STATUS + b"Transfer-Encoding: chunked\r\n\r\n", b"0"),
        (b"HTTP/1.1 301 Gone\r\nLocation: /\r\n\r\n", b" "),
        (b"HTTP/1.1 500 Oh\r\n\r\n", b" "),
    ],
)
def test_one_deadline_holds_for_headers_and_body_that_drip(
    beginning: bytes, more: bytes, server: faults.ScoringServer
) -> None:
    """Each byte comes long before the time for one is up, and the last one never."""
    server.faults = [faults.drip(beginning, more)]

    what = refused(lambda: scorer_of(server.url, request_timeout=0.25).score(FEATURES))

    assert what == f"{server.url} was asked once without success (no whole answer in 0.25 seconds)"


@pytest.mark.parametrize("location", ["http://[", "//", "\xff\xfe", "http://a:b:c/", "x" * 60_000])
def test_where_an_answer_sends_to_is_not_looked_at(
    location: str, server: faults.ScoringServer
) -> None:
    raw = b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\nLocation: " + location.encode("latin-1")
    server.faults = [raw_answer(raw + b"\r\n\r\n")]

    assert "refused: HTTP 302" in refused(lambda: scorer_of(server.url).score(FEATURES))


@pytest.mark.parametrize("code", [200, 302, 400, 500])
def test_no_answer_is_read_beyond_its_limit(
    code: int, server: faults.ScoringServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(endpoint, "_MAX_RESPONSE_BYTES", 1000)
    server.faults = [faults.status(code, b" " * 100_000)]

    assert "larger than 1000 bytes" in refused(lambda: scorer_of(server.url).score(FEATURES))


def raw_answer(content: bytes) -> faults.Fault:
    """Send these bytes instead of an answer."""

    def fault(request: Any, _cases: Any) -> None:
        request.close_connection = True
        request.wfile.write(content)

    return fault


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.sampled_from([11, 12, 0.5, "11"])
    | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["id", "score", "scores"]) | st.text(max_size=3), inner)
    ),
    max_leaves=10,
)
SCORES = st.floats() | st.integers(-(10**400), 10**400) | st.just(10**400) | JSON
ROWS = st.tuples(SCORES, SCORES).map(
    lambda two: [{"id": case, "score": score} for case, score in zip((11, 12), two, strict=True)]
) | st.lists(
    st.fixed_dictionaries({"id": st.sampled_from([11, 12]) | JSON, "score": JSON}), max_size=3
)
TOKENS = st.lists(
    st.sampled_from(
        ["{", "}", "[", "]", ",", ":", '"id"', '"score"', '"scores"', "11", "12", "0.5", "NaN",
         "-Infinity", "1e999", "null", "true", '"', "\\", '"\\ud800"', " ", "9" * 5000, "\0",
         "\xff"]
    ),
    max_size=30,
).map("".join)  # fmt: skip
BODIES = (
    st.binary(max_size=60)
    | TOKENS.map(str.encode)
    | TOKENS.map(lambda text: text.encode("latin-1"))
    | JSON.map(lambda told: json.dumps(told).encode())
    | ROWS.map(lambda rows: json.dumps({"scores": rows}).encode())
)


@pytest.mark.slow
@many
@given(BODIES)
def test_of_any_answer_there_come_finite_scores_or_one_sentence(body: bytes) -> None:
    with one_sentence_at_most():
        assert np.isfinite(answered(body)).all()


HEADERS = st.lists(
    st.sampled_from(
        [b"HTTP/1.1 200 OK", b"HTTP/1.1 ", b"HTTP/9", b"200", b"302 Found", b"\r\n", b"\r\n",
         b"\r\n", b"\n", b": ", b"Location", b"http://[", b"Content-Length", b"-1", b"7", b"9" * 30,
         b"Content-Type", b"charset=own", b"Transfer-Encoding", b"chunked", b"ffffffff", b"0",
         b"X-Model-Version", b"Set-Cookie", b"a=b; expires=own", b"Content-Encoding", b"gzip",
         b"br, gzip", b"\xff", b"\0", b" ", b'{"scores": []}']
    ),
    max_size=25,
).map(b"".join)  # fmt: skip


@pytest.mark.slow
@many
@given(HEADERS | HEADERS.map(lambda rest: STATUS + rest))
def test_of_any_bytes_from_an_endpoint_there_comes_one_sentence_at_most(
    lasting_server: faults.ScoringServer, content: bytes
) -> None:
    lasting_server.faults = [raw_answer(content)]
    with one_sentence_at_most():
        told = {"version": None, "version_header": "X-Model-Version"}
        scorer_of(lasting_server.url, **told).score(FEATURES)


# Recordings


def record(folder: Path, name: str, content: bytes) -> None:
    """Read a recording in every way."""
    (folder / name).write_bytes(content)
    told = {"prediction": "decision", "label": "truth"} if b"decision" in content else {}
    candidate = candidate_of(kind="recorded", path=name, features=None, **told)
    scorer = load_scorer(candidate, folder, task=task_of())
    with one_sentence_at_most():
        recording_issues(candidate, folder, CASES, task=task_of())
    predict(candidate, scorer, CASES, task=task_of())


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff\xfe",
        b"id,score\n1,\xff\n",
        b"\xff,id,score\n1,1,1\n",
        b"id,id,score\n1,1,1\n",
        b"id,score\n1\n",
        b'id,score\n"1,0.5\n',
        b"id,score\n1,0.5,7\n",
        b"id,score\n1,\xed\xa0\x80\n",
        b"id,score\n1," + b"9" * 10**6 + b"a\n",
        b"," * 100_000,
        b"\0" * 1000,
    ],
)
def test_a_hostile_recording_is_refused_in_one_sentence(content: bytes, tmp_path: Path) -> None:
    for name in ("one.csv", "one.parquet"):
        refused(lambda: record(tmp_path, name, content))  # noqa: B023 - it is called at once


def parquet(columns: dict[str, Any] | pa.Table) -> bytes:
    table = columns if isinstance(columns, pa.Table) else pa.table(columns)
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink)
    return sink.getvalue().to_pybytes()


ODD = {
    "lists": pa.array([[1], [2]]),
    "structs": pa.array([{"a": 1}, {"a": 2}]),
    "bytes": pa.array([b"\xff", b"\xfe"]),
    "nothing": pa.nulls(2),
    "times": pa.array([2**62, -(2**62)], pa.timestamp("us")),
    "truths": pa.array([True, False]),
    "decimals": pa.array([1, 2], pa.decimal128(38)),
    "dictionaries": pa.array(["a", "b"]).dictionary_encode(),
}


@pytest.mark.parametrize("odd", ODD)
@pytest.mark.parametrize("column", ["id", "score", "decision"])
def test_columns_of_any_type_are_read_or_refused_in_one_sentence(
    odd: str, column: str, tmp_path: Path
) -> None:
    columns = {"id": pa.array([1, 2]), "score": [0.5, 0.5], "decision": [0, 1], "truth": [0, 1]}
    with one_sentence_at_most():
        record(tmp_path, "one.parquet", parquet({**columns, column: ODD[odd]}))


LINES = st.lists(
    st.sampled_from(
        [b"id", b"score", b"decision", b"truth", b",", b",", b"\n", b"\n", b"\r", b'"', b"1", b"2",
         b"0.5", b"nan", b"NA", b"1e999", b"-1", b"007", b"\xff", b"\0", b"\xef\xbb\xbf", b" ",
         b"\xc3\xa9", b"late", b"True"]
    ),
    max_size=40,
).map(b"".join)  # fmt: skip


@pytest.mark.slow
@many
@given(
    st.binary(max_size=60)
    | LINES
    | LINES.map(lambda rest: b"id,score\n1,0.5\n" + rest)
    | LINES.map(lambda rest: b"id,score,decision,truth\n1,0.5,1,1\n2,0.5,0,1\n" + rest)
)
def test_of_any_recording_as_csv_there_comes_one_sentence_at_most(content: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder, one_sentence_at_most():
        record(Path(folder), "one.csv", content)


WELL = parquet({"id": [1, 2], "score": [0.5, 0.25], "decision": [0, 1], "truth": [0, 1]})
TYPED = st.sampled_from(
    [pa.int64(), pa.string(), pa.float32(), pa.bool_(), pa.binary(), pa.date32(),
     pa.list_(pa.int8()), pa.timestamp("ns", "UTC"), pa.duration("s"), pa.null(),
     pa.struct([("a", pa.int8())])]
)  # fmt: skip


@st.composite
def tables(draw: st.DrawFn) -> bytes:
    """Make columns of any type under the names that count, some of them twice."""
    names = draw(
        st.lists(st.sampled_from(["id", "score", "decision", "truth"]), min_size=1, max_size=5)
    )
    arrays = [pa.nulls(2, draw(TYPED)) for _ in names]
    for place, array in enumerate(arrays):
        if draw(st.booleans()):
            numbers = pa.array(draw(st.lists(st.integers(-3, 3), min_size=2, max_size=2)))
            with_values = (
                numbers if not pa.types.is_string(array.type) else numbers.cast(pa.string())
            )
            arrays[place] = with_values
    return parquet(pa.table(arrays, names=names))


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """Change bytes of a good file, or cut it off."""
    content = bytearray(WELL)
    for place in draw(st.lists(st.integers(0, len(WELL) - 1), max_size=4)):
        content[place] = draw(st.integers(0, 255))
    return bytes(content[: draw(st.integers(0, len(WELL)))] if draw(st.booleans()) else content)


@pytest.mark.slow
@many
@given(st.binary(max_size=60) | tables() | damaged())
def test_of_any_recording_as_parquet_there_comes_one_sentence_at_most(content: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder, one_sentence_at_most():
        record(Path(folder), "one.parquet", content)


# Graphs


def of_shape(shape: list[int]) -> Any:
    nodes = [
        helper.make_node("ConstantOfShape", ["shape"], ["large"]),
        helper.make_node("ReduceMax", ["large"], ["p"], keepdims=0),
    ]
    given = helper.make_tensor_value_info("X", TensorProto.FLOAT, [None, 2])
    told = helper.make_tensor_value_info("p", TensorProto.FLOAT, None)
    tensor = numpy_helper.from_array(np.array(shape, dtype=np.int64), "shape")
    made = helper.make_model(
        helper.make_graph(
            [*nodes, helper.make_node("Identity", ["X"], ["unused"])],
            "g",
            [given],
            [told],
            [tensor],
        ),
        opset_imports=[helper.make_opsetid("", 18)],
    )
    made.ir_version = 10
    return made


@pytest.mark.parametrize("shape", [[2**50], [2**40, 2**40], [sys.maxsize, 3], [-1]])
def test_a_tensor_that_no_memory_holds_is_refused_in_one_sentence(
    shape: list[int], tmp_path: Path
) -> None:
    (tmp_path / "one.onnx").write_bytes(of_shape(shape).SerializeToString())
    candidate = candidate_of(kind="onnx", path="one.onnx")

    refused(
        lambda: predict(
            candidate, load_scorer(candidate, tmp_path, task=task_of()), CASES, task=task_of()
        )
    )


def test_a_tensor_that_claims_more_than_it_holds_is_refused_in_one_sentence(tmp_path: Path) -> None:
    made = of_shape([2])
    made.graph.initializer[0].dims[:] = [2**60]
    (tmp_path / "one.onnx").write_bytes(made.SerializeToString())
    candidate = candidate_of(kind="onnx", path="one.onnx")

    what = refused(lambda: load_scorer(candidate, tmp_path, task=task_of()))

    assert "cannot be read as ONNX" in what
