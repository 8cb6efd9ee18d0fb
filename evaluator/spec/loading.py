"""Reading an audit's YAML, with errors that say where and how to mend it."""

import re
from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from evaluator.errors import SpecError, UsageError
from evaluator.spec.audit import AuditSpec
from evaluator.spec.base import models_in

AUDIT_FILE = "defs.yaml"
COMPONENT_TYPE = "evaluator.orchestration.AuditComponent"
_NAME = re.compile(r"[a-z][a-z0-9_]*")


class Audit(NamedTuple):
    """An audit with its name, which is its folder's."""

    name: str
    spec: AuditSpec


def named_audit(name: str, spec: AuditSpec) -> Audit:
    """Give an audit its folder's name.

    Raises
    ------
    SpecError
        Where the name could not stand in an asset's key.
    """
    if not _NAME.fullmatch(name):
        raise SpecError(
            f"the audit's folder is called {name!r}, and that names its assets",
            culprit=name,
            fix="rename the folder to lower-case letters, digits and _, beginning with a letter",
        )
    return Audit(name, spec)


def audit_files(folder: Path) -> dict[str, Path]:
    """Find the audits below a folder: name to YAML file."""
    return {
        path.parent.name: path
        for path in sorted(folder.rglob(AUDIT_FILE))
        if COMPONENT_TYPE in path.read_text(encoding="utf-8")
    }


def load_audit(name: str, folder: Path) -> Audit:
    """Read the audit of this name below a folder.

    Raises
    ------
    UsageError
        Where there is no such audit.
    SpecError
        Where its YAML is wrong: file, line, key, what is wrong and the fix.
    """
    files = audit_files(folder)
    if name not in files:
        raise UsageError(
            "there is no such audit",
            culprit=name,
            fix=f"use one of {', '.join(files) or '(there is none yet)'},"
            f" or write {folder / name / AUDIT_FILE}",
        )
    return read_audit(files[name])


def read_audit(path: Path) -> Audit:
    """Read one audit's YAML file; see `load_audit`."""
    try:
        text = path.read_text(encoding="utf-8")
        document = yaml.safe_load(text)
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise SpecError(
            f"it cannot be read as YAML: {error}",
            culprit=str(path),
            fix="correct the syntax at the place named above",
        ) from error
    if not isinstance(document, dict) or not isinstance(document.get("attributes"), dict):
        raise SpecError(
            "it has no `attributes`",
            culprit=str(path),
            fix=f"begin with `type: {COMPONENT_TYPE}` and put the audit under `attributes:`",
        )
    try:
        spec = AuditSpec.model_validate(document["attributes"])
    except ValidationError as error:
        raise _explain(path, text, error) from error
    return named_audit(path.parent.name, spec)


def _explain(path: Path, text: str, error: ValidationError) -> SpecError:
    details = error.errors(include_url=False)
    first, *others = (_describe(detail) for detail in details)
    more = "".join(
        f"\n  also {_line(path, text, key)}: {key}: {what}. To mend it: {fix}"
        for key, what, fix in others
    )
    key, what, fix = first
    return SpecError(what, culprit=f"{_line(path, text, key)}: {key}", fix=fix + more)


def _describe(detail: ErrorDetails) -> tuple[str, str, str]:
    """Return the key, what is wrong with it, and the fix."""
    location = [str(part) for part in detail["loc"] if not _is_union_branch(part)]
    context = detail.get("ctx", {})
    if detail["type"] == "evaluator":
        # A check across keys names its key from where its model stands; a field's own check
        # stands at the field already.
        key = str(context["key"])
        if not location or location[-1] != key:
            location.append(key)
        return ".".join(location), str(context["what"]), str(context["fix"])
    key = ".".join(location) or "attributes"
    if detail["type"] == "extra_forbidden":
        siblings = _keys_beside(detail["loc"])
        close = get_close_matches(location[-1], siblings, n=1)
        fix = f"did you mean `{close[0]}`?" if close else f"use one of {', '.join(siblings)}"
        return key, "there is no such key", fix
    if detail["type"] == "missing":
        return key, "this key is needed", f"add `{location[-1]}:`"
    message = detail["msg"].removeprefix("Value error, ")
    what, _, fix = message.partition(". To mend it: ")
    return (
        key,
        what.rstrip(".") + ("" if fix else f" (it is {detail['input']!r})"),
        fix.rstrip(".") or "see docs/audit-yaml.md for what the key takes",
    )


def _is_union_branch(part: int | str) -> bool:
    """Tell pydantic's names of a union's branches from keys of the YAML."""
    return isinstance(part, str) and (part in {"bool", "int", "str", "float"} or "[" in part)


def _keys_beside(location: Sequence[int | str]) -> list[str]:
    """Return the keys that may stand where an unknown one was found."""
    model: Any = AuditSpec
    for part in location[:-1]:
        if isinstance(model, type) and issubclass(model, BaseModel) and part in model.model_fields:
            annotation = model.model_fields[str(part)].annotation
            model = next(models_in(annotation), None)
    return sorted(model.model_fields) if model is not None else []


def _line(path: Path, text: str, key: str) -> str:
    """Return `file:line` of a key, or of the closest key above it that stands in the file."""
    node: Any = yaml.compose(text, Loader=yaml.SafeLoader)
    line = 0
    for part in ["attributes", *key.split(".")]:
        if isinstance(node, yaml.MappingNode):
            found = [(k, v) for k, v in node.value if k.value == part]
        elif isinstance(node, yaml.SequenceNode) and part.isdigit() and int(part) < len(node.value):
            found = [(node.value[int(part)], node.value[int(part)])]
        else:
            found = []
        if not found:
            break
        key_node, node = found[0]
        line = key_node.start_mark.line
    return f"{path}:{line + 1}"
