"""The reference page says what the models say."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError
from yaml import safe_load

import evaluator
from evaluator.spec import AuditSpec
from evaluator.spec._base import key_of, models_in, yaml_line
from evaluator.spec._reference import reference_page

PAGE = Path(evaluator.__file__).parents[1] / "docs" / "audit-yaml.md"


def all_models(model: type[BaseModel]) -> list[type[BaseModel]]:
    inner = [m for field in model.model_fields.values() for m in models_in(field.annotation)]
    return [model, *(found for m in inner for found in all_models(m))]


FIELDS = [(model, name) for model in all_models(AuditSpec) for name in model.model_fields]


def example_of(model: type[BaseModel], name: str) -> Any:
    return (model.model_fields[name].examples or [None])[0]


def test_the_page_in_the_repository_is_the_models() -> None:
    assert PAGE.read_text(encoding="utf-8") == reference_page(), "run `make docs`"


@pytest.mark.parametrize(("model", "name"), FIELDS)
def test_every_key_stands_on_the_page_with_words_default_and_example(
    model: type[BaseModel], name: str
) -> None:
    page = reference_page()
    field = model.model_fields[name]
    description = " ".join((field.description or "").split())

    assert f"### `{key_of(name)}`" in page
    assert description
    assert description in page
    assert field.examples
    example = yaml_line(key_of(name), example_of(model, name))
    assert f"```yaml\n{example}\n```" in page


@pytest.mark.parametrize(("model", "name"), FIELDS)
def test_every_complete_example_is_what_its_key_takes(model: type[BaseModel], name: str) -> None:
    written = safe_load(yaml_line(key_of(name), example_of(model, name)))
    abridged = "..." in str(written)

    errors: list[Any] = []
    try:
        model.model_validate(written)
    except ValidationError as error:
        # Other keys of the model are missing here; this one must be right.
        errors = [detail for detail in error.errors() if detail["loc"][:1] == (key_of(name),)]

    missing = {"missing", "extra_forbidden"} if abridged else set()
    assert [detail for detail in errors if detail["type"] not in missing] == []
