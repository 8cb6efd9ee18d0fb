"""The reference page of an audit's YAML, written from the models.

`make docs` writes `docs/audit-yaml.md` with it, and a test holds the page against it.
"""

import json
from collections.abc import Iterator, Sequence
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, NamedTuple, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from evaluator.spec._audit import AuditSpec
from evaluator.spec._base import key_of, kind_of, models_in, yaml_line

_INTRODUCTION = """\
# An audit's YAML

One file an audit: `<package>/defs/<audit>/defs.yaml` in your project. The folder's name is the
audit's name.

```yaml
type: evaluator.orchestration.AuditComponent
attributes:
  ...   # the keys below
```

`evaluator new my_audit --from FILE` writes one of a file, and
`dg scaffold defs evaluator.orchestration.AuditComponent my_audit` a commented one that loads. A key
that is not on this page, a value of another type, and a name that is not declared are errors that
name file, line, key and fix. This page is written from the models by `make docs`.
"""


def reference_page() -> str:
    """Write the whole page, as Markdown."""
    sections = "\n".join(_section(section) for section in _sections("attributes", AuditSpec))
    return f"{_INTRODUCTION}\n{sections}"


class _Section(NamedTuple):
    """A part of the page."""

    title: str
    """The block's path in the YAML, as code, and its kind where there are several."""
    model: type[BaseModel]
    described: frozenset[str]
    """Its keys that stand in a section above."""


def _sections(
    path: str, model: type[BaseModel], title: str = "", described: frozenset[str] = frozenset()
) -> Iterator[_Section]:
    """Yield a model and those inside it, each under its path in the YAML."""
    yield _Section(title or f"`{path}`", model, described)
    above: list[type[BaseModel]] = []
    for name, field in model.model_fields.items():
        inner = list(models_in(field.annotation))
        if name in described or not inner:
            continue
        type_ = _type_in_words(field.annotation)
        item = "[]" if type_.startswith("list") else ".<name>" if type_.startswith("map") else ""
        below = f"{name}{item}" if path == "attributes" else f"{path}.{name}{item}"
        if len(inner) == 1:
            # What a block has in common with one beside it is described there.
            shared = (base.model_fields for base in above if issubclass(inner[0], base))
            yield from _sections(below, inner[0], described=frozenset().union(*shared))
            above.append(inner[0])
        else:
            yield from _kind_sections(below, inner)


def _kind_sections(path: str, models: Sequence[type[BaseModel]]) -> Iterator[_Section]:
    """Yield what blocks of several kinds have in common, and what each has of its own."""
    common: type[BaseModel] = next(
        base
        for base in models[0].__mro__
        if issubclass(base, BaseModel) and all(issubclass(model, base) for model in models)
    )
    yield from _sections(path, common)
    for model in models:
        title = f"`{path}` of `kind: {kind_of(model)}`"
        yield from _sections(path, model, title, frozenset(common.model_fields))


def _section(section: _Section) -> str:
    """Write a block's title, its description and its keys."""
    description = " ".join((section.model.__doc__ or "").split())
    keys = "\n".join(
        _key(key_of(name), field)
        for name, field in section.model.model_fields.items()
        if name not in section.described
    )
    return f"## {section.title}\n\n{description}\n\n{keys}"


def _key(name: str, field: FieldInfo) -> str:
    """Write a key's type, default, description and example."""
    default = "needed" if field.is_required() else f"default `{_default(field)}`"
    description = " ".join((field.description or "").split())
    example = yaml_line(name, (field.examples or [None])[0])
    return (
        f"### `{name}`\n\n{_type_in_words(field.annotation)}; {default}.\n\n{description}\n\n"
        f"```yaml\n{example}\n```\n"
    )


def _default(field: FieldInfo) -> str:
    """Write a key's default as one line of YAML."""
    value = field.get_default(call_default_factory=True, validated_data={})
    if isinstance(value, BaseModel):
        value = value.model_dump(mode="json", exclude_defaults=True)
    return json.dumps(value, ensure_ascii=False, default=str)


def _type_in_words(annotation: Any) -> str:
    """Say a type in the words of YAML."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin in (Union, UnionType):
        return " or ".join(dict.fromkeys(_type_in_words(branch) for branch in arguments))
    if origin is Literal:
        return " or ".join(f"`{choice}`" for choice in arguments)
    if origin in (Annotated, tuple):
        item = _type_in_words(arguments[0])
        return f"list of {item}" if origin is tuple else item
    if origin is dict:
        return f"map of {_type_in_words(arguments[0])} to {_type_in_words(arguments[1])}"
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return "keys of its own"
    names = {NoneType: "`null`", str: "text", int: "whole number", float: "number", bool: "boolean"}
    return names.get(annotation) or str(getattr(annotation, "__name__", annotation))


if __name__ == "__main__":
    print(reference_page(), end="")  # noqa: T201 - this module is a program
