"""Reading an audit's YAML, with errors that say where and how to mend it."""

import re
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

import yaml
from pydantic import ValidationError

from evaluator.errors import RenamedKeyWarning, SpecError, UsageError
from evaluator.spec._audit import AuditSpec
from evaluator.spec._base import EITHER_SPELLING, MOVED_KEYS, RENAMED_KEYS, SpecModel
from evaluator.spec._mistakes import explain, line_of

_AUDIT_FILE: Final = "defs.yaml"
_COMPONENT_TYPE: Final = "evaluator.orchestration.AuditComponent"
_NAME: Final = re.compile(r"[a-z][a-z0-9_]*")


class Audit(NamedTuple):
    """An audit with its name, which is its folder's."""

    name: str
    spec: AuditSpec


def shipped_audits() -> Path:
    """Return the folder of the audits that ship."""
    return Path(__file__).parents[1] / "defs"


def audit_files(folder: Path) -> dict[str, Path]:
    """Find the audits below a folder: name to YAML file."""
    return {
        path.parent.name: path
        for path in sorted(folder.rglob(_AUDIT_FILE))
        # What is not UTF-8 is told when the audit is read.
        if _COMPONENT_TYPE in path.read_text(encoding="utf-8", errors="replace")
    }


def load_audit(name: str, folder: Path) -> Audit:
    """Read the audit of this name below a folder.

    Raises
    ------
    UsageError
        Where there is no such audit.
    SpecError
        Where its YAML is wrong, as `read_audit` says.
    """
    files = audit_files(folder)
    # A file whose type is misspelt is no audit; reading it says so.
    path = files.get(name, folder / name / _AUDIT_FILE)
    if name not in files and not (_NAME.fullmatch(name) and path.is_file()):
        raise UsageError(
            "there is no such audit",
            culprit=name,
            fix=f"use one of {', '.join(files) or '(there is none yet)'},"
            f" or write {folder / name / _AUDIT_FILE}",
        )
    return read_audit(path)


def read_audit(path: Path) -> Audit:
    """Read one audit's YAML file.

    Raises
    ------
    SpecError
        Where it is wrong: file, line and key of every mistake, what is wrong and the fix.

    Warns
    -----
    RenamedKeyWarning
        For each key in a former spelling, with file and line.
    """
    root, document = _parse(path)
    if not isinstance(document, dict) or document.get("type") != _COMPONENT_TYPE:
        kind = document.get("type") if isinstance(document, dict) else None
        raise SpecError(
            f"the type is {kind!r}, so this is no audit" if kind else "it does not say its type",
            culprit=f"{path}:1: type",
            fix=f"begin with `type: {_COMPONENT_TYPE}`",
        )
    attributes = document.get("attributes")
    if not isinstance(attributes, dict):
        is_there = "attributes" in document
        raise SpecError(
            "it has no keys of its own" if is_there else "this key is needed",
            culprit=f"{path}:{line_of(root, ['attributes'])}: attributes",
            fix="put the audit's keys, indented, below `attributes:`",
        )
    try:
        spec = AuditSpec.model_validate(attributes, context=EITHER_SPELLING)
    except ValidationError as error:
        raise explain(path, root, attributes, error) from error
    for parts in _former_spellings(spec, attributes):
        key, line = ".".join(parts), line_of(root, ["attributes", *parts])
        now = (
            f"`{key}` is `{MOVED_KEYS[key]}` now"
            if key in MOVED_KEYS
            else f"`{parts[-1]}` is called `{RENAMED_KEYS[parts[-1]]}` now"
        )
        message = f"{path}:{line}: {key}: {now}. The former spelling still counts."
        warnings.warn(message, RenamedKeyWarning, stacklevel=2)
    return named_audit(path.parent.name, spec)


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


def _parse(path: Path) -> tuple[yaml.Node | None, Any]:
    """Read a file as YAML: its nodes, which know their lines, and what it says."""
    text = _read_text(path)
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        for key, line in _repeated_keys(root):
            raise SpecError(
                "the key stands twice, and only one of the two can count",
                culprit=f"{path}:{line}: {key}",
                fix="keep one of them",
            )
        return root, yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        what = getattr(error, "problem", None) or str(error).partition("\n")[0]
        raise SpecError(
            f"it cannot be read as YAML: {what}",
            culprit=f"{path}:{mark.line + 1}" if mark else str(path),
            fix="correct the syntax there or just above: indentation, colons, quotes, brackets",
        ) from error


def _read_text(path: Path) -> str:
    """Read a file whole, or refuse it."""
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        line = path.read_bytes()[: error.start].count(b"\n") + 1
        raise SpecError(
            "it is not UTF-8 text", culprit=f"{path}:{line}", fix="save the file as UTF-8"
        ) from error
    except OSError as error:
        raise SpecError(
            f"it cannot be read ({error.strerror})", culprit=str(path), fix="check its path"
        ) from error


def _repeated_keys(root: yaml.Node | None) -> Iterator[tuple[str, int]]:
    """Yield each key that stands twice in one mapping, and its line; YAML takes the last."""
    pending: list[tuple[str, yaml.Node | None]] = [("", root)]
    # A node that is an alias' target stands in several places.
    visited = set()
    while pending:
        above, node = pending.pop()
        if id(node) in visited:
            continue
        visited.add(id(node))
        if isinstance(node, yaml.SequenceNode):
            pending += [(f"{above}{index}.", item) for index, item in enumerate(node.value)]
        if isinstance(node, yaml.MappingNode):
            seen = set()
            for key, value in node.value:
                if isinstance(key, yaml.ScalarNode):
                    name = f"{above}{key.value}"
                    if (key.tag, key.value) in seen:
                        yield name.removeprefix("attributes."), key.start_mark.line + 1
                    seen.add((key.tag, key.value))
                    pending.append((f"{name}.", value))


def _former_spellings(spec: Any, raw: Any) -> Iterator[tuple[str, ...]]:
    """Yield the path of each key that is written as it was called before."""
    if isinstance(raw, list):
        parts = [(str(index), *pair) for index, pair in enumerate(zip(spec, raw, strict=True))]
    elif isinstance(spec, SpecModel):
        parts = []
        for key, value in raw.items():
            if key in type(spec).model_fields:
                parts.append((key, getattr(spec, key), value))
            else:
                yield (key,)
    else:
        return
    for key, below, value in parts:
        yield from ((key, *path) for path in _former_spellings(below, value))
