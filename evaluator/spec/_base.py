"""What every part of an audit's YAML has in common."""

import warnings
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Annotated, Any, Final, get_args

import yaml
from pydantic import (
    AliasChoices,
    AliasGenerator,
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    GetJsonSchemaHandler,
    ValidationInfo,
    model_validator,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError

from evaluator.errors import RenamedKeyWarning

EITHER_SPELLING: Final = {"either_spelling": True}
"""The context to validate in where a former spelling is no matter for a warning."""

RENAMED_KEYS: Final = {"more_slices": "additional_slices", "says": "rationale"}
"""Former spelling to present key; the former one still counts."""

MOVED_KEYS: Final = {"compare.cluster": "data.cluster", "weak_slices.cluster": "data.cluster"}
"""Former place to present one, each as block and key; what stands in a former one still counts."""

LabelValue = bool | int | str
"""What a label, and so a class of a classifier, may be."""

LabelValues = LabelValue | float | Annotated[tuple[LabelValue | float, ...], Field(min_length=1)]
"""One value, or several that mean the same."""


def class_name(value: Any) -> str:
    """Name a class by its value; those of one column are of one type."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def listed(values: LabelValues | None) -> tuple[Any, ...]:
    """Return one value or several as several; nothing where there is none."""
    if values is None:
        return ()
    return values if isinstance(values, tuple) else (values,)


def key_of(field: str) -> str:
    """Return what a field is called in the YAML, where a key may be called `class`."""
    return field.rstrip("_")


def _spellings(name: str) -> str | AliasChoices:
    """Let a field be written in its former spelling too."""
    former = [old for old, new in RENAMED_KEYS.items() if new == name]
    return AliasChoices(name, *former) if former else key_of(name)


class SpecModel(BaseModel):
    """A part of the YAML: unknown keys are errors, and nothing changes after loading."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        use_attribute_docstrings=True,
        alias_generator=AliasGenerator(validation_alias=_spellings, serialization_alias=key_of),
        serialize_by_alias=True,
    )

    @model_validator(mode="before")
    @classmethod
    def _former_spellings_warn(cls, raw: Any, info: ValidationInfo) -> Any:
        if isinstance(raw, Mapping) and info.context != EITHER_SPELLING:
            for old, new in cls._renamed_keys().items():
                if old in raw:
                    message = f"the key `{old}` is called `{new}` now"
                    warnings.warn(message, RenamedKeyWarning, stacklevel=2)
        return raw

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


def move_keys(raw: Mapping[Any, Any]) -> tuple[dict[Any, Any], dict[str, Any]]:
    """Put what stands in a former place into the present one, where nothing stands yet.

    Parameters
    ----------
    raw
        An audit's keys as they are written.

    Returns
    -------
    dict, dict
        The keys with those in former places moved, and by former place what stood there.
    """
    moved, former = dict(raw), {}
    for old, new in MOVED_KEYS.items():
        (block, key), (new_block, new_key) = old.split("."), new.split(".")
        below, target = moved.get(block), moved.get(new_block)
        if isinstance(below, Mapping) and key in below and isinstance(target, Mapping):
            former[old] = below[key]
            moved[block] = {name: value for name, value in below.items() if name != key}
            moved[new_block] = {new_key: below[key], **target}
    return moved, former


def problem(key: str, what: str, fix: str) -> PydanticCustomError:
    """Make the error that a validator raises for a mistake that pydantic cannot see.

    Parameters
    ----------
    key
        The key to look at, as a path from the model that is validated, such as `label.column`.
    what
        What is wrong with it, as a sentence without its full stop.
    fix
        How to mend it, as a sentence without its full stop.
    """
    return PydanticCustomError(
        "evaluator", "{key}: {what}. To mend it: {fix}", {"key": key, "what": what, "fix": fix}
    )


def suggestion(name: object, known: Collection[str], otherwise: str) -> str:
    """Say which known name could have been meant, or what to do otherwise.

    Parameters
    ----------
    name
        What was given instead of a known name.
    known
        The names that there are.
    otherwise
        What to do where none of them was meant, as a sentence that could follow a comma.
    """
    close = get_close_matches(str(name), known, n=1)
    return f"did you mean `{close[0]}`? If not, {otherwise}" if close else otherwise


def refuse_unknown(key: str, what: str, name: str, known: Collection[str]) -> None:
    """Refuse a name that there is not, and say which one could have been meant."""
    if name not in known:
        listed = ", ".join(known) or "(there is none)"
        raise problem(key, what, suggestion(name, known, f"use one of {listed}"))


def refuse_repeated(key: str, names: Sequence[str], *, noun: str = "") -> None:
    """Refuse a name that stands in a list twice."""
    repeated = [name for name, count in Counter(names).items() if count > 1]
    if repeated:
        raise problem(key, f"{noun}{repeated[0]!r} stands there twice", "keep one of them")


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


def kind_of(model: type[BaseModel]) -> str:
    """Return what a block of this model says under `kind`."""
    kind: str
    (kind,) = get_args(model.model_fields["kind"].annotation)
    return kind


def kind_discriminator(base: type[BaseModel], default: str) -> Discriminator:
    """Tell the models of a union apart by their tags, `kind: <kind>`."""

    def tag(raw: Any) -> str | None:
        if isinstance(raw, base):
            kind: Any = getattr(raw, "kind", None)
        else:
            # What is no mapping is refused by the default kind's model, which says so.
            kind = raw.get("kind", default) if isinstance(raw, Mapping) else default
        # What is no text is of no kind. Errors name the tag among the keys, so that it must be
        # none that a block could have.
        return f"kind: {kind}" if isinstance(kind, str) else None

    return Discriminator(tag)


@dataclass(frozen=True)
class SchemaByKind:
    """Annotates a union so that its JSON schema has a condition for each kind."""

    default: str

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        # Of alternatives, as pydantic writes them, `dg check yaml` can tell only that none fits;
        # of conditions it tells which key is wrong.
        models = handler(schema)["oneOf"]
        kinds = {handler.resolve_ref_schema(m)["properties"]["kind"]["const"]: m for m in models}
        conditions = []
        for kind, model in kinds.items():
            condition: JsonSchemaValue = {"properties": {"kind": {"const": kind}}}
            if kind != self.default:
                condition["required"] = ["kind"]
            conditions.append({"if": condition, "then": model})
        return {"properties": {"kind": {"enum": list(kinds)}}, "allOf": conditions}
