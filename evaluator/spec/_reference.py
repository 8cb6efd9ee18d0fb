"""The reference page of an audit's YAML, written from the models.

`make docs` writes `docs/audit-yaml.md` with it, and a test holds the page against it.
"""

import json
from collections.abc import Iterator, Sequence
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, NamedTuple, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from evaluator.spec._audit import AuditSpec
from evaluator.spec._base import models_in, yaml_line

_INTRODUCTION = """\
# An audit's YAML

One file an audit: `evaluator/defs/<audit>/defs.yaml`. The folder's name is the audit's name.

```yaml
type: evaluator.orchestration.AuditComponent
attributes:
  ...   # the keys below
```

`dg scaffold defs evaluator.orchestration.AuditComponent my_audit` writes a commented one that
loads. A key that is not on this page, a value of another type, and a name that is not declared
are errors that name file, line, key and fix. This page is written from the models by `make docs`.
"""


def reference_page() -> str:
    """Write the whole page, as Markdown."""
    sections = "\n".join(_section(section) for section in _sections("attributes", AuditSpec))
    return f"{_INTRODUCTION}\n{sections}"


class _Section(NamedTuple):
    """A part of the page."""

    title: str
    """The block's path in the YAML, as code."""
    model: type[BaseModel]
    introduced: frozenset[str]
    """Its keys that stand in a section above."""


def _sections(
    path: str, model: type[BaseModel], title: str = "", introduced: frozenset[str] = frozenset()
) -> Iterator[_Section]:
    """Yield a model and those inside it, each under its path in the YAML."""
    yield _Section(title or f"`{path}`", model, introduced)
    for name, field in model.model_fields.items():
        inner = list(models_in(field.annotation))
        if name in introduced or not inner:
            continue
        kind = _plain(field.annotation)
        item = "[]" if kind.startswith("list") else ".<name>" if kind.startswith("map") else ""
        below = f"{name}{item}" if path == "attributes" else f"{path}.{name}{item}"
        if len(inner) == 1:
            yield from _sections(below, inner[0])
        else:
            yield from _kinds(below, inner)


def _kinds(path: str, models: Sequence[type[BaseModel]]) -> Iterator[_Section]:
    """Yield what blocks of several kinds have in common, and what each has of its own."""
    common: type[BaseModel] = next(
        base
        for base in models[0].__mro__
        if issubclass(base, BaseModel) and all(issubclass(model, base) for model in models)
    )
    yield from _sections(path, common)
    for model in models:
        (kind,) = get_args(model.model_fields["kind"].annotation)
        title = f"`{path}` of `kind: {kind}`"
        yield from _sections(path, model, title, frozenset(common.model_fields))


def _section(section: _Section) -> str:
    words = " ".join((section.model.__doc__ or "").split())
    keys = "\n".join(
        _key(name, field)
        for name, field in section.model.model_fields.items()
        if name not in section.introduced
    )
    return f"## {section.title}\n\n{words}\n\n{keys}"


def _key(name: str, field: FieldInfo) -> str:
    default = "needed" if field.is_required() else f"default `{_default(field)}`"
    words = " ".join((field.description or "").split())
    example = yaml_line(name, _as_yaml((field.examples or [None])[0]))
    return (
        f"### `{name}`\n\n{_plain(field.annotation)}; {default}.\n\n{words}\n\n"
        f"```yaml\n{example}\n```\n"
    )


def _default(field: FieldInfo) -> str:
    value = field.get_default(call_default_factory=True, validated_data={})
    if value is PydanticUndefined:
        raise ValueError("a needed key has no default")
    if isinstance(value, BaseModel):
        value = value.model_dump(mode="json", exclude_defaults=True)
    return json.dumps(_as_yaml(value), ensure_ascii=False, default=str)


def _as_yaml(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _plain(annotation: Any) -> str:
    """Say a type in the words of YAML."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin in (Union, UnionType):
        return " or ".join(dict.fromkeys(_plain(argument) for argument in arguments))
    if origin is Literal:
        return " or ".join(f"`{argument}`" for argument in arguments)
    if origin in (Annotated, tuple):
        item = _plain(arguments[0])
        return f"list of {item}" if origin is tuple else item
    if origin is dict:
        return f"map of {_plain(arguments[0])} to {_plain(arguments[1])}"
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return "keys of its own"
    names = {NoneType: "`null`", str: "text", int: "whole number", float: "number", bool: "boolean"}
    return names.get(annotation) or str(getattr(annotation, "__name__", annotation))


if __name__ == "__main__":
    print(reference_page(), end="")  # noqa: T201 - this module is a program
