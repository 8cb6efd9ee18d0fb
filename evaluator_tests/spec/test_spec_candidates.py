"""A candidate's kind decides which keys it has, and which of them its outputs rest on."""

from typing import Any

import pytest
from jsonschema import Draft202012Validator
from pydantic import BaseModel, TypeAdapter

from evaluator.spec import AuditSpec, CandidateSpec
from evaluator.spec.base import models_in
from evaluator.spec.reference import reference_page

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
            "timeout": 7,
            "retries": 7,
            "concurrency": 7,
            "open_after": 7,
            "half_open_after": 7,
        },
    ),
}
# What a change of makes other outputs.
CHANGES: dict[str, dict[str, Any]] = {
    "skops": {"features": ["y", "x"], "trusted_types": ["a.B"]},
    "mlflow": {"features": ["y", "x"], "trusted_types": ["a.B"], "classes": ["a", "b"]},
    "onnx": {"features": ["y", "x"], "classes": ["a", "b"]},
    "pickle": {"features": ["y", "x"]},
    "recorded": {"id": "case", "score": "p", "prediction": "decision"},
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


def test_without_a_kind_it_is_skops() -> None:
    assert TypeAdapter(CandidateSpec).validate_python(KINDS["skops"][0]) == candidate("skops")


@pytest.mark.parametrize("kind", KINDS)
def test_words_places_and_transport_are_no_part_of_the_identity(kind: str) -> None:
    words = {"name": "two", "description": "Another one", "baseline": True}

    assert candidate(kind, **words).identity_settings == candidate(kind).identity_settings
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


@pytest.mark.parametrize("kind", KINDS)
def test_every_key_is_either_in_the_identity_or_known_not_to_be(kind: str) -> None:
    model: type[BaseModel] = type(candidate(kind))
    known = {"name", "description", "baseline", *KINDS[kind][1]}
    # Which file is trusted does not change what the trusted file gives.
    known |= {"trust"} if kind == "pickle" else {"version_header"} & set(model.model_fields)
    settings = {*candidate(kind).identity_settings}

    assert set(model.model_fields) - settings <= known
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
        "### `name`", "### `threshold`", "### `baseline`", "### `description`"
    ]  # fmt: skip
