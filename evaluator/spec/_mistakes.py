"""What is wrong in an audit's YAML, in words for the person who wrote it.

Pydantic finds the mistakes; here each gets its line, its key as it is written, and its fix.
"""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from functools import reduce
from itertools import groupby
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Final, Literal, NamedTuple, Union, get_args, get_origin

import yaml
from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from evaluator.errors import SpecError
from evaluator.spec._audit import AuditSpec
from evaluator.spec._base import (
    MOVED_KEYS,
    RENAMED_KEYS,
    key_of,
    kind_of,
    models_in,
    move_keys,
    suggestion,
    yaml_line,
)

_KeyPath = tuple[int | str, ...]

_ABSENT: Final = object()
_MAX_REPORTED: Final = 10
_MAX_VALUE_LENGTH: Final = 40
_REFERENCE: Final = "docs/audit-yaml.md"
_LIMITS: Final = {
    "greater_than_equal": "it must be {ge:g} or more",
    "greater_than": "it must be above {gt:g}",
    "less_than_equal": "it must be {le:g} or less",
    "less_than": "it must be below {lt:g}",
    "finite_number": "it must be a finite number",
    "too_short": "its list must have {min_length} or more",
    "string_too_short": "it must have {min_length} or more characters",
    "string_too_long": "it must have {max_length} or fewer characters",
}
_TYPE_NAMES: Final = {
    str: "text",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    date: "a date",
    datetime: "a date with a time",
}


class _Mistake(NamedTuple):
    """One thing that is wrong."""

    line: int
    key: str
    what: str
    fix: str


class _Expected(NamedTuple):
    """What the models say of a location in the YAML."""

    annotation: Any
    field: FieldInfo | None
    """The closest field at or above it."""
    name: str
    """That field's name."""
    is_field: bool
    """Whether it is that field, not one of its items."""


def explain(
    path: Path, root: yaml.Node | None, attributes: Mapping[str, Any], error: ValidationError
) -> SpecError:
    """Tell all mistakes in one error, in the order of their lines."""
    details = error.errors(include_url=False)
    moved, former = move_keys(attributes)
    located = [(_location_in_yaml(detail, moved), detail) for detail in details]
    mistakes = []
    # A value that may be of several types gets an error for each of them.
    for location, group in groupby(located, key=lambda pair: pair[0]):
        key, what, fix = _describe(location, [detail for _, detail in group], moved)
        if reduce(_inside, key.split("."), attributes) is None:
            # It stands in a former place, if anywhere.
            key = next((old for old in former if MOVED_KEYS[old] == key), key)
        mistakes.append(_Mistake(line_of(root, ["attributes", *key.split(".")]), key, what, fix))
    first, *others = sorted(mistakes, key=lambda mistake: mistake.line)
    more = "".join(
        f".\n  Also line {m.line}: {m.key}: {m.what}. To mend it: {m.fix}"
        for m in others[: _MAX_REPORTED - 1]
    )
    if len(mistakes) > _MAX_REPORTED:
        more += f".\n  And {len(mistakes) - _MAX_REPORTED} more"
    return SpecError(first.what, culprit=f"{path}:{first.line}: {first.key}", fix=first.fix + more)


def line_of(root: yaml.Node | None, parts: Sequence[str]) -> int:
    """Return the line of a key, or of the closest key above it that stands in the file."""
    line, node, rest = 0, root, list(parts)
    while rest and (step := _step(node, rest)) is not None:
        line, node, taken = step
        rest = rest[taken:]
    return line + 1


def _step(node: yaml.Node | None, parts: list[str]) -> tuple[int, yaml.Node, int] | None:
    """Return the line and the value of the next key, and how many parts named it."""
    if isinstance(node, yaml.SequenceNode) and parts[0].isdigit():
        position = int(parts[0])
        if position < len(node.value):
            item: yaml.Node = node.value[position]
            return item.start_mark.line, item, 1
    if isinstance(node, yaml.MappingNode):
        # A column's name may have dots in it.
        for taken in range(1, len(parts) + 1):
            name = ".".join(parts[:taken])
            for key, value in node.value:
                if name in (key.value, RENAMED_KEYS.get(key.value)):
                    return key.start_mark.line, value, taken
    return None


def _location_in_yaml(detail: ErrorDetails, attributes: Any) -> _KeyPath:
    """Keep of an error's location what stands in the YAML, and the key that is missing.

    Pydantic adds the branches of unions, such as `int`, and `[key]` for a key that is wrong.
    """
    parts: list[int | str] = []
    value = attributes
    for part in detail["loc"]:
        below = _inside(value, part, absent=_ABSENT)
        if below is not _ABSENT:
            parts.append(part)
            value = below
    if detail["type"] == "missing":
        parts.append(detail["loc"][-1])
    return tuple(parts)


def _describe(
    location: _KeyPath, details: list[ErrorDetails], attributes: Any
) -> tuple[str, str, str]:
    """Return the key, what is wrong with it, and the fix."""
    detail = details[0]
    expected = _expected_at(location, attributes)
    key = ".".join(str(part) for part in location) or "attributes"
    if detail["type"] == "evaluator":
        return _describe_validator_error(location, detail["ctx"], expected)
    if detail["type"] == "extra_forbidden":
        return key, *_describe_unknown_key(location, attributes)
    if detail["type"] in ("union_tag_invalid", "union_tag_not_found"):
        # Which kind of block it is decides which keys there are, so that it is told first.
        return _describe_kind(location, detail["input"])
    if detail["type"] == "missing":
        return key, "this key is needed", f"add {_example(expected)}"
    if detail["loc"][-1:] == ("[key]",) or detail["type"] == "invalid_key":
        return key, "its name must be text", f"quote it: {str(location[-1])!r}"
    return key, *_describe_value(details, expected)


def _describe_validator_error(
    location: _KeyPath, context: Mapping[str, Any], expected: _Expected
) -> tuple[str, str, str]:
    """Describe a mistake that a validator of ours found."""
    parts = [str(part) for part in location]
    # A check across keys names its key from where its model stands; a field's own check stands
    # at the field already.
    holds_a_model = any(True for _ in models_in(expected.annotation))
    if not expected.is_field or (holds_a_model and parts[-1] != context["key"]):
        parts.append(context["key"])
    return ".".join(parts), context["what"], context["fix"]


def _describe_unknown_key(location: _KeyPath, attributes: Any) -> tuple[str, str]:
    """Say that there is no such key, or that it stands there under its present name too."""
    name = str(location[-1])
    model = next(models_in(_expected_at(location[:-1], attributes).annotation), None)
    known = sorted(map(key_of, model.model_fields)) if model else []
    renamed = RENAMED_KEYS.get(name)
    if renamed in known:
        return f"`{renamed}`, as it is called now, stands there too", "keep that one"
    return "there is no such key", suggestion(name, known, f"use one of {', '.join(known)}")


def _describe_kind(location: _KeyPath, raw: Mapping[str, Any]) -> tuple[str, str, str]:
    """Describe a block whose `kind` there is not."""
    kinds = [kind_of(model) for model in models_in(_expected_at(location, None).annotation)]
    listed = ", ".join(kinds)
    fix = suggestion(raw["kind"], kinds, f"use one of {listed}")
    key = ".".join(str(part) for part in (*location, "kind"))
    return key, f"it must be one of {listed}, and it is {_describe_input(raw['kind'])}", fix


def _describe_value(details: list[ErrorDetails], expected: _Expected) -> tuple[str, str]:
    """Say what the value must be and what it is, and how to write it."""
    given = _describe_input(details[0]["input"])
    limits = [_LIMITS[d["type"]].format(**d["ctx"]) for d in details if d["type"] in _LIMITS]
    choices = _choices(expected.annotation)
    fix = f"write for example {_example(expected)}"
    if limits:
        what = limits[0]
    elif choices and details[0]["type"] == "literal_error":
        listed = f"one of {', '.join(choices)}" if len(choices) > 1 else choices[0]
        what = f"it must be {listed}"
        fix = suggestion(details[0]["input"], choices, f"write {listed}")
    else:
        is_said = details[0]["type"] == "value_error"
        type_ = "" if is_said else _expected_type(expected.annotation)
        # What none of the above describes keeps pydantic's words.
        what = f"it must be {type_}" if type_ else details[0]["msg"]
    return f"{what}, and it is {given}", fix


def _expected_at(location: _KeyPath, attributes: Any) -> _Expected:
    """Find what the models say of a location."""
    expected = _Expected(AuditSpec, None, "", is_field=False)
    value = attributes
    for part in location:
        annotation = _without_null(expected.annotation)
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            name = RENAMED_KEYS.get(str(part), str(part))
            fields = {key_of(field): one for field, one in annotation.model_fields.items()}
            field = fields.get(name)
            if field is None:
                return expected._replace(annotation=None, is_field=False)
            expected = _Expected(field.annotation, field, name, is_field=True)
        else:
            arguments = get_args(annotation)
            item = arguments[1 if get_origin(annotation) is dict else 0] if arguments else None
            expected = expected._replace(annotation=item, is_field=False)
        value = _inside(value, part)
        expected = expected._replace(annotation=_of_its_kind(expected.annotation, value))
    return expected


def _inside(value: Any, part: int | str, *, absent: Any = None) -> Any:
    """Return what stands under a key or at a position, or what to return where nothing does."""
    if isinstance(value, Mapping):
        return next((inner for key, inner in value.items() if str(key) == str(part)), absent)
    is_there = isinstance(value, list) and isinstance(part, int) and part < len(value)
    return value[part] if is_there else absent


def _of_its_kind(annotation: Any, value: Any) -> Any:
    """Choose among models that `kind` tells apart; all of them where it does not."""
    # A field keeps what annotates its union elsewhere, a list's items keep it with them.
    if get_origin(annotation) not in (Annotated, Union, UnionType):
        return annotation
    models = list(models_in(annotation))
    if not isinstance(value, Mapping) or any("kind" not in m.model_fields for m in models):
        return annotation
    for model in models:
        if value.get("kind", model.model_fields["kind"].default) == kind_of(model):
            return model
    return annotation


def _without_null(annotation: Any) -> Any:
    """Return what a value is of where it is not null."""
    if get_origin(annotation) in (Union, UnionType):
        others = [argument for argument in get_args(annotation) if argument is not NoneType]
        return others[0] if len(others) == 1 else annotation
    return annotation


def _choices(annotation: Any) -> tuple[str, ...]:
    """Return the words of which one must stand there, if there are such."""
    annotation = _without_null(annotation)
    return get_args(annotation) if get_origin(annotation) is Literal else ()


def _expected_type(annotation: Any) -> str:
    """Say what type a value must be of, in the words of YAML."""
    annotation = _without_null(annotation)
    if get_origin(annotation) is Annotated:
        annotation = get_args(annotation)[0]
    origin = get_origin(annotation)
    if origin in (Union, UnionType):
        branches = get_args(annotation)
        # A whole number is a number.
        types = [_expected_type(b) for b in branches if b is not int or float not in branches]
        return " or ".join(dict.fromkeys(filter(None, types)))
    if origin is tuple:
        return "a list"
    if origin is dict or (isinstance(annotation, type) and issubclass(annotation, BaseModel)):
        return "a block of keys"
    return _TYPE_NAMES.get(annotation, "")


def _describe_input(value: Any) -> str:
    """Name what stands there, shortly."""
    if value is None:
        return "empty"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list | tuple):
        return "a list" if value else "an empty list"
    if isinstance(value, Mapping):
        return "a block of keys"
    text = repr(value) if isinstance(value, str) else str(value)
    return text if len(text) <= _MAX_VALUE_LENGTH else f"{text[: _MAX_VALUE_LENGTH - 1]}…"


def _example(expected: _Expected) -> str:
    """Write the field's example as one line of YAML, where it is one that could be copied."""
    name, field = expected.name, expected.field
    example = (field.examples or [None])[0] if field else None
    if example is None or isinstance(example, dict) or "..." in str(example):
        return f"`{name}:` as {_REFERENCE} shows it" if name else f"what {_REFERENCE} shows"
    return f"`{yaml_line(name, example)}`"
