"""What every part of an audit's YAML has in common."""

from collections.abc import Iterator
from typing import Any, get_args

from pydantic import BaseModel, ConfigDict
from pydantic_core import PydanticCustomError


class SpecModel(BaseModel):
    """A part of the YAML: unknown keys are errors, and nothing changes after loading."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


def problem(key: str, what: str, fix: str) -> PydanticCustomError:
    """Make the error that a validator raises for a mistake that spans several keys.

    Parameters
    ----------
    key
        The key to look at, as written in the YAML.
    what
        What is wrong with it.
    fix
        How to mend it.
    """
    return PydanticCustomError(
        "evaluator", "{key}: {what}. To mend it: {fix}", {"key": key, "what": what, "fix": fix}
    )


def models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    """Yield the models that a field's type is made of, such as the items of a list."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from models_in(argument)
