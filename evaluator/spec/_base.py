"""What every part of an audit's YAML has in common."""

import warnings
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, Final, get_args

import yaml
from pydantic import (
    AliasChoices,
    AliasGenerator,
    BaseModel,
    ConfigDict,
    GetJsonSchemaHandler,
    ValidationInfo,
    model_validator,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError

from evaluator.errors import RenamedKeyWarning

RENAMED_KEYS: Final = {"more_slices": "additional_slices", "says": "rationale"}
"""The keys that are called otherwise now, by their former spelling, which still counts."""

EITHER_SPELLING: Final = {"either_spelling": True}
"""The context to validate in where a former spelling is no matter for a warning."""


def _spellings(name: str) -> str | AliasChoices:
    former = [old for old, new in RENAMED_KEYS.items() if new == name]
    return AliasChoices(name, *former) if former else name


class SpecModel(BaseModel):
    """A part of the YAML: unknown keys are errors, and nothing changes after loading."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        use_attribute_docstrings=True,
        alias_generator=AliasGenerator(validation_alias=_spellings),
    )

    @model_validator(mode="before")
    @classmethod
    def _former_spellings_warn(cls, written: Any, info: ValidationInfo) -> Any:
        if isinstance(written, Mapping) and info.context != EITHER_SPELLING:
            for old, new in cls._renamed_keys().items():
                if old in written:
                    what = f"the key `{old}` is called `{new}` now"
                    warnings.warn(what, RenamedKeyWarning, stacklevel=2)
        return written

    @classmethod
    def _renamed_keys(cls) -> dict[str, str]:
        return {old: new for old, new in RENAMED_KEYS.items() if new in cls.model_fields}

    @classmethod
    def __get_pydantic_json_schema__(
        cls, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """Let `dg check yaml` know the former spellings."""
        reference = handler(schema)
        properties = handler.resolve_ref_schema(reference).get("properties", {})
        for old, new in cls._renamed_keys().items():
            properties[old] = {**properties[new], "deprecated": True}
        return reference


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


def suggestion(name: object, known: Collection[str], otherwise: str) -> str:
    """Say which known name could have been meant, or what to do otherwise."""
    close = get_close_matches(str(name), known, n=1)
    return f"did you mean `{close[0]}`? If not, {otherwise}" if close else otherwise


def yaml_line(key: str, value: Any) -> str:
    """Write a key and its value as one line of YAML, the way a person would."""
    line: str = yaml.safe_dump(
        {key: value}, default_flow_style=True, sort_keys=False, allow_unicode=True, width=10_000
    )
    return line.strip()[1:-1]


def models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    """Yield the models that a field's type is made of, such as the items of a list."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from models_in(argument)


def kind_of(base: type[BaseModel], default: str) -> Callable[[Any], str | None]:
    """Make the function that tells a block's kind, as the tag `kind: <kind>`."""

    def tell(raw: Any) -> str | None:
        if isinstance(raw, base):
            kind: Any = getattr(raw, "kind", None)
        else:
            # What is no mapping is told so by the default kind's model.
            kind = raw.get("kind", default) if isinstance(raw, Mapping) else default
        # What is no text is of no kind. Errors name the tag among the keys, so that it must be
        # none that a block could have.
        return f"kind: {kind}" if isinstance(kind, str) else None

    return tell


@dataclass(frozen=True)
class SchemaByKind:
    """Writes the union's JSON schema with if and then.

    Of alternatives `dg check yaml` can tell only that none fits; of this it tells which key is
    wrong.
    """

    default: str

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """Turn `oneOf` into one condition for each kind."""
        models = handler(schema)["oneOf"]
        kinds = {handler.resolve_ref_schema(m)["properties"]["kind"]["const"]: m for m in models}
        conditions = []
        for kind, model in kinds.items():
            condition: JsonSchemaValue = {"properties": {"kind": {"const": kind}}}
            if kind != self.default:
                condition["required"] = ["kind"]
            conditions.append({"if": condition, "then": model})
        return {"properties": {"kind": {"enum": list(kinds)}}, "allOf": conditions}
