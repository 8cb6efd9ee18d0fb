"""Reading an audit's YAML, with errors that say where and how to mend it."""

import re
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

import yaml
from pydantic import ValidationError

from evaluator.errors import RenamedKeyWarning, SpecError, UsageError
from evaluator.scorecard import NAME_RULE, can_name_assets
from evaluator.spec._audit import AuditSpec
from evaluator.spec._base import (
    EITHER_SPELLING,
    MOVED_KEYS,
    RENAMED_KEYS,
    SpecModel,
    suggestion,
)
from evaluator.spec._mistakes import explain, line_of

_AUDIT_FILE: Final = "defs.yaml"
_COMPONENT_TYPE: Final = "evaluator.orchestration.AuditComponent"
_TOP_KEYS: Final = ("type", "attributes")
_TYPES: Final = re.compile(r"^type:[ \t]*(.*?)[ \t\r]*$", re.MULTILINE)
_FOREIGN_TYPE: Final = re.compile(r"([\"']?)(?!evaluator\.)\w+(?:\.\w+)+\1(?:\s+#.*)?")

# Far beyond what an audit needs, and far below what a machine can take.
_MAX_DEPTH: Final = 30
_MAX_REPEATED: Final = 100_000
_MAX_NUMBER_LENGTH: Final = 100
_TAG: Final = "tag:yaml.org,2002:"
_KINDS: Final = {
    f"{_TAG}int": "whole number",
    f"{_TAG}float": "number",
    f"{_TAG}timestamp": "date",
    f"{_TAG}bool": "true or false",
    f"{_TAG}str": "text",
}


class Audit(NamedTuple):
    """An audit with its name, which is its folder's."""

    name: str
    spec: AuditSpec


def shipped_audits() -> Path:
    """Return the folder of the audits that ship."""
    return Path(__file__).parents[1] / "defs"


def audit_names(folder: Path) -> list[str]:
    """Name the audits below a folder, those that do not load too."""
    return list(_audit_files(folder))


def _audit_files(folder: Path) -> dict[str, list[Path]]:
    """Find the audits below a folder: name to YAML files, of which there should be one."""
    found: dict[str, list[Path]] = {}
    for path in sorted(folder.rglob(_AUDIT_FILE)):
        # As Dagster does: what an editor or Python keeps for itself is passed over.
        hidden = any(part.startswith((".", "__")) for part in path.relative_to(folder).parts)
        if not hidden and not _is_foreign(path):
            found.setdefault(path.parent.name, []).append(path)
    return found


def _is_foreign(path: Path) -> bool:
    """Tell whether a file is of components that are not ours; one that says nothing may be ours."""
    try:
        types = _TYPES.findall(path.read_text(encoding="utf-8", errors="replace"))
    except OSError:
        # Who reads it says why it cannot be read.
        return False
    return bool(types) and all(map(_FOREIGN_TYPE.fullmatch, types))


def load_audit(name: str, folder: Path) -> Audit:
    """Read the audit of this name below a folder; what else is there is left alone.

    Raises
    ------
    UsageError
        Where there is no such audit.
    SpecError
        Where its YAML is wrong, as `read_audit` says, or another audit is called so too.
    """
    files = _audit_files(folder)
    if name not in files:
        own = (
            "stand in your own project: `evaluator init DIR --from FILE` makes one"
            if folder == shipped_audits()
            else f"make it with `evaluator new {name} --from FILE`"
        )
        here = f"use one of {', '.join(files)}, which are those in {folder}, or " if files else ""
        raise UsageError("there is no such audit", culprit=name, fix=here + own)
    path, *others = files[name]
    if others:
        raise SpecError(
            f"another audit is called {name!r} too, by its folder: {path}",
            culprit=str(others[0]),
            fix="rename one of the two folders",
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
            culprit=f"{path}:{line_of(root, ['type'])}: type",
            fix=f"begin with `type: {_COMPONENT_TYPE}`",
        )
    for key in document:
        if key not in _TOP_KEYS:
            raise SpecError(
                "an audit has no such key beside its type",
                culprit=f"{path}:{line_of(root, [str(key)])}: {key}",
                fix=suggestion(
                    key, _TOP_KEYS, "put it, indented, below `attributes:`, or take it out"
                ),
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
    if not can_name_assets(name):
        raise SpecError(
            f"the audit's folder is called {name!r}, and that names its assets",
            culprit=name,
            fix=f"rename the folder to {NAME_RULE}",
        )
    return Audit(name, spec)


def _parse(path: Path) -> tuple[yaml.Node | None, Any]:
    """Read a file as YAML: its nodes, which know their lines, and what it says."""
    text = _read_text(path)
    try:
        root = yaml.compose(text, Loader=_Loader)
        for key, line in _repeated_keys(root):
            raise SpecError(
                "the key stands twice, and only one of the two can count",
                culprit=f"{path}:{line}: {key}",
                fix="keep one of them",
            )
        return root, yaml.load(text, _Loader)  # noqa: S506 - it is a safe loader
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        what = getattr(error, "problem", None) or str(error).partition("\n")[0]
        raise SpecError(
            f"it cannot be read as YAML: {what}",
            culprit=f"{path}:{mark.line + 1}" if mark else str(path),
            fix=getattr(error, "note", None)
            or "correct the syntax there or just above: indentation, colons, quotes, brackets",
        ) from error


class _Loader(yaml.SafeLoader):
    """Refuses, with its line, what YAML's own reading gives up on or is taken down by."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._level = 0
        # By node: how deep it is, and how many values it has with all that aliases repeat.
        self._extents: dict[int, tuple[int, int]] = {}
        self._repeated = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        """Compose a node, unless it is too deep or its aliases multiply it."""
        event: Any = self.peek_event()  # type: ignore[no-untyped-call] # PyYAML's lack
        mark = event.start_mark
        if self._level >= _MAX_DEPTH:
            raise _refusal(f"it is nested more than {_MAX_DEPTH} deep", "flatten it", mark)
        self._level += 1
        node = super().compose_node(parent, index)
        self._level -= 1
        if node is None:
            return None
        if isinstance(event, yaml.AliasEvent):
            if id(node) not in self._extents:
                raise _refusal(
                    f"the alias *{event.anchor} is inside of what it stands for",
                    "write out what is meant",
                    mark,
                )
            depth, values = self._extents[id(node)]
            self._repeated += values
            if self._level + depth > _MAX_DEPTH or self._repeated > _MAX_REPEATED:
                raise _refusal(
                    f"with the alias *{event.anchor} it repeats more than {_MAX_REPEATED:,} values,"
                    f" or is nested more than {_MAX_DEPTH} deep",
                    "write out what is meant, without aliases of aliases",
                    mark,
                )
        else:
            parts = [self._extents[id(part)] for part in _parts(node)]
            depths, values_each = zip(*parts, strict=True) if parts else ((), ())
            self._extents[id(node)] = 1 + max(depths, default=0), 1 + sum(values_each)
        return node

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:  # noqa: FBT001, FBT002 - PyYAML's signature
        """Construct a value, unless it is none, such as a day that no month has."""
        kind = _KINDS.get(node.tag)
        if kind in ("whole number", "number") and len(node.value) > _MAX_NUMBER_LENGTH:
            raise _refusal(
                f"a number of {len(node.value):,} characters is larger than any that is used",
                "write a smaller one, or quote it if a text is meant",
                node.start_mark,
            )
        try:
            value = super().construct_object(node, deep)
            if isinstance(value, str):
                value.encode()  # an escape can write half of a character
        # What PyYAML's own constructors of single values raise, beside its own errors.
        except (ValueError, LookupError, AttributeError, ArithmeticError) as error:
            raise _refusal(
                f"{str(node.value)[:_MAX_NUMBER_LENGTH]!r} is no {kind or node.tag}",
                "correct it, or quote it if a text is meant",
                node.start_mark,
            ) from error
        return value


def _parts(node: yaml.Node) -> Iterator[yaml.Node]:
    """Yield what stands directly in a node."""
    if isinstance(node, yaml.SequenceNode):
        yield from node.value
    elif isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            yield from (key, value)


def _refusal(what: str, fix: str, mark: yaml.error.Mark) -> yaml.MarkedYAMLError:
    return yaml.MarkedYAMLError(problem=what, problem_mark=mark, note=fix)


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
