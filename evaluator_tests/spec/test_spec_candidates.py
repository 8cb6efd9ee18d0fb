"""A candidate's kind decides which keys it has, and which of them its outputs rest on."""

from typing import Any

import pytest
from jsonschema import Draft202012Validator
from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic_core import PydanticCustomError

from evaluator.spec import AuditSpec, BinaryTask, CandidateSpec, LabelSpec
from evaluator.spec._base import models_in
from evaluator.spec._reference import reference_page

COMMON = {"name": "one"}
GIVEN = {**COMMON, "features": ["x", "y"]}
SHA = "0" * 64
# What each kind needs, and what of it stands in no identity.
KINDS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "skops": ({**GIVEN, "path": "m.skops"}, {"path": "n.skops"}),
    "mlflow": ({**GIVEN, "model": "models:/m/1"}, {"model": "m", "trust": "pickle"}),
    "onnx": ({**GIVEN, "path": "m.onnx"}, {"path": "n.onnx"}),
    "pickle": (
        {**GIVEN, "path": "m.pkl", "trust": "pickle", "sha256": SHA},
        {"path": "n.pkl", "sha256": "1" * 64},
    ),
    "recorded": ({**COMMON, "path": "m.csv"}, {"path": "n.parquet", "label": "truth"}),
    "http": (
        {**GIVEN, "url": "http://a/b", "version": "1"},
        {
            "authorization_variable": "A",
            "batch_size": 7,
            "request_timeout": 7,
            "retries": 7,
            "concurrency": 7,
            "open_after": 7,
            "half_open_after": 7,
        },
    ),
}
SAID = {"label_values": {"positive": ["late", 1], "negative": "on time"}}
# What a change of makes other outputs.
CHANGES: dict[str, dict[str, Any]] = {
    "skops": {**SAID, "features": ["y", "x"], "trusted_types": ["a.B"]},
    "mlflow": {**SAID, "features": ["y", "x"], "trusted_types": ["a.B"], "classes": ["a", "b"]},
    "onnx": {**SAID, "features": ["y", "x"], "classes": ["a", "b"]},
    "pickle": {**SAID, "features": ["y", "x"]},
    "recorded": {**SAID, "id": "case", "score": "p", "prediction": "decision"},
    "http": {"features": ["y", "x"], "url": "http://a/c", "version": "2"},
}


def candidate(kind: str, **told: Any) -> Any:
    return TypeAdapter(CandidateSpec).validate_python({"kind": kind, **KINDS[kind][0], **told})


@pytest.mark.parametrize("kind", KINDS)
def test_a_candidate_survives_being_written_and_read(kind: str) -> None:
    made = candidate(kind)

    again = TypeAdapter(CandidateSpec).validate_python(made.model_dump(mode="json"))

    assert again == made
    assert again.kind == kind
    assert again.source in KINDS[kind][0].values()


def test_label_values_keep_their_types_when_they_are_written_and_read() -> None:
    values = {"positive": ["7", 2, 3.5], "negative": True}

    made = candidate("recorded", label_values=values)
    again = TypeAdapter(CandidateSpec).validate_python(made.model_dump(mode="json"))

    found = [*again.label_values["positive"], again.label_values["negative"]]
    assert [(type(one), one) for one in found] == [(str, "7"), (int, 2), (float, 3.5), (bool, True)]


def test_without_a_kind_it_is_skops() -> None:
    assert TypeAdapter(CandidateSpec).validate_python(KINDS["skops"][0]) == candidate("skops")


@pytest.mark.parametrize("kind", KINDS)
def test_words_places_and_transport_are_no_part_of_the_identity(kind: str) -> None:
    words: dict[str, Any] = {"name": "two", "description": "Another one", "baseline": True}
    words |= {"training": {"last_day": "2025-12-31"}}
    limits = {"timeout": 7, "load_timeout": 7, "memory_limit": "2 GiB", "isolate": "process"}

    assert candidate(kind, **words, **limits).identity_settings == candidate(kind).identity_settings
    for key, value in KINDS[kind][1].items():
        assert (
            candidate(kind, **{key: value}).identity_settings == candidate(kind).identity_settings
        )


@pytest.mark.parametrize(
    ("kind", "key"), [(kind, key) for kind, changes in CHANGES.items() for key in changes]
)
def test_what_changes_outputs_is_part_of_the_identity(kind: str, key: str) -> None:
    changed = candidate(kind, **{key: CHANGES[kind][key]})

    assert changed.identity_settings != candidate(kind).identity_settings
    assert candidate(kind, threshold=0.4).identity_settings != candidate(kind).identity_settings


LATER = {
    "scores": {"low": "p_low", "high": "p_high"},
    "abstain_below": 0.5,
    "abstains": True,
    "limits": True,
    "low": "at_least",
    "high": "at_most",
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_key_is_either_in_the_identity_or_known_not_to_be(kind: str) -> None:
    model: type[BaseModel] = type(candidate(kind))
    known = {"name", "description", "training", "baseline", *KINDS[kind][1]}
    known |= {"timeout", "load_timeout", "memory_limit", "isolate"}
    # Which file is trusted does not change what the trusted file gives.
    known |= {"trust"} if kind == "pickle" else {"version_header"} & set(model.model_fields)
    said = {key: one for key, one in LATER.items() if key in model.model_fields}
    settings = {*candidate(kind, **said).identity_settings}

    assert set(model.model_fields) - settings <= known
    # What was recorded before these could be said keeps its identity.
    assert not {*LATER} & {*candidate(kind).identity_settings}
    assert settings & (known - {"version_header"}) == set()


def validator() -> Draft202012Validator:
    schema = TypeAdapter(CandidateSpec).json_schema()
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema)


@pytest.mark.parametrize("kind", KINDS)
def test_the_json_schema_takes_what_the_models_take(kind: str) -> None:
    assert not list(validator().iter_errors({"kind": kind, **KINDS[kind][0]}))


def test_the_json_schema_names_the_wrong_key_of_a_kind() -> None:
    """An editor and `dg check yaml` tell by it what is wrong."""
    misspelt = {"kind": "onnx", **KINDS["onnx"][0], "clases": ["a", "b"]}
    unknown = {"kind": "onxn", **KINDS["onnx"][0]}
    lacking = {"name": "one", "features": ["x"]}

    told = [[e.message for e in validator().iter_errors(c)] for c in (misspelt, unknown, lacking)]

    assert told[0] == ["Additional properties are not allowed ('clases' was unexpected)"]
    assert told[1][0].startswith("'onxn' is not one of ['skops', 'mlflow', 'onnx'")
    assert told[2] == ["'path' is a required property"]


def test_the_page_has_a_section_for_each_kind_and_one_for_what_they_share() -> None:
    page = reference_page()

    for model in models_in(AuditSpec.model_fields["candidates"].annotation):
        kind = model.model_fields["kind"].examples
        assert kind is not None
        assert f"## `candidates[]` of `kind: {kind[0]}`" in page
    shared = page.partition("## `candidates[]`\n")[2].partition("\n## ")[0]
    assert [line for line in shared.splitlines() if line.startswith("### ")] == [
        "### `name`", "### `threshold`", "### `abstain_below`", "### `baseline`",
        "### `description`", "### `training`",
        "### `timeout`", "### `load_timeout`", "### `memory_limit`", "### `isolate`",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "told", "isolated"),
    [
        ("skops", {}, False),
        ("mlflow", {}, False),
        ("mlflow", {"trust": "pickle"}, True),
        ("onnx", {}, False),
        ("pickle", {}, True),
        ("recorded", {}, False),
        ("http", {}, False),
        ("http", {"request_timeout": 5}, False),
        ("skops", {"timeout": 5}, True),
        ("skops", {"load_timeout": 5}, True),
        ("onnx", {"memory_limit": "1 GiB"}, True),
        ("skops", {"isolate": "process"}, True),
        ("pickle", {"isolate": "none"}, False),
        ("mlflow", {"trust": "pickle", "isolate": "none"}, False),
    ],
)
def test_what_may_crash_or_is_limited_has_a_process_of_its_own(
    kind: str, told: dict[str, Any], isolated: Any
) -> None:
    assert candidate(kind, **told).isolated is isolated


@pytest.mark.parametrize("told", [{"timeout": 5}, {"load_timeout": 5}, {"memory_limit": "1 GiB"}])
def test_limits_that_nothing_could_hold_are_refused(told: dict[str, Any]) -> None:
    key = next(iter(told))

    with pytest.raises(ValidationError, match=f"can hold the candidate to its {key}"):
        candidate("pickle", isolate="none", **told)


@pytest.mark.parametrize(
    ("written", "size"),
    [
        ("2 GiB", 2 * 1024**3),
        ("1.5GiB", 3 * 2**29),
        ("500 MB", 500_000_000),
        ("2000 kB", 2_000_000),
        ("1048576 B", 2**20),
        (" 1 TiB ", 2**40),
        (2**30, 2**30),
        (None, None),
    ],
)
def test_memory_is_written_with_a_unit_or_in_bytes(written: Any, size: int | None) -> None:
    made = candidate("skops", memory_limit=written)

    assert made.memory_limit_bytes == size
    assert candidate("skops", memory_limit=made.model_dump(mode="json")["memory_limit"]) == made


@pytest.mark.parametrize(
    ("written", "words"),
    [
        ("2 Gib", "'2 Gib' is no amount of memory"),
        ("2", "'2' is no amount of memory"),
        ("-1 GB", "'-1 GB' is no amount of memory"),
        ("much", "'much' is no amount of memory"),
        (2, "in 2 bytes nothing can be loaded"),
        ("1 kB", "in 1000 bytes nothing can be loaded"),
        (-5, "in -5 bytes nothing can be loaded"),
        (True, "in 1 bytes nothing can be loaded"),
    ],
)
def test_what_is_no_amount_of_memory_is_refused_with_an_example(written: Any, words: str) -> None:
    with pytest.raises(ValidationError, match=words) as caught:
        candidate("skops", memory_limit=written)

    assert "such as 500 MB or 2 GiB" in str(caught.value)


@pytest.mark.parametrize("key", ["timeout", "load_timeout"])
@pytest.mark.parametrize("written", [0, -1, float("inf"), float("nan"), "5 s", True])
def test_a_timeout_is_a_number_of_seconds(key: str, written: Any) -> None:
    with pytest.raises(ValidationError, match=key):
        candidate("skops", **{key: written})


def test_a_recording_has_scores_or_decisions() -> None:
    task = BinaryTask(LabelSpec(column="truth"))
    assert task.gives_scores(candidate("recorded"))
    assert task.gives_scores(candidate("skops"))
    assert not task.gives_scores(candidate("recorded", score=None, prediction="decision"))
    with pytest.raises(PydanticCustomError, match="there are no outputs"):
        task.check_candidate("candidates.0", candidate("recorded", score=None))
