"""The forms in which an answer about lineage is written."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from evaluator.evidence._content import canonical_json
from evaluator.evidence._lineage import Lineage, VersionKey, key_of, short
from evaluator.evidence._lineage_standards import to_openlineage, to_prov
from evaluator.evidence._record import Record

MAX_REASONS = 3
"""So many reasons are named why outputs are outdated."""
MAX_RUNS = 3
"""So many runs that made outputs are named."""
_INDENT = "  "


def lineage_text(lineage: Lineage) -> str:
    """Write an answer for people: upstream a tree, downstream a list in the order of making."""
    walk = lineage.walk
    others = f" and {len(walk.roots) - 1} more" if len(walk.roots) > 1 else ""
    subject = f"{walk.audit}/{walk.roots[0]}{others}"
    if walk.direction == "upstream":
        heading = f"What {subject} rests on, indented below it."
        lines = _tree(lineage, walk.roots, 0, set())
    else:
        heading = f"What rests on {subject}."
        lines = _dependents(lineage)
    problems = [f"PROBLEM: {problem}" for problem in lineage.problems]
    return "\n".join([heading, "", *lines, *([""] if problems else []), *problems])


def to_json(lineage: Lineage) -> dict[str, Any]:
    """Write an answer with all that the records say."""
    walk = lineage.walk
    return {
        "format": "evaluator/lineage/1",
        "audit": walk.audit,
        "direction": walk.direction,
        "roots": [key._asdict() for key in walk.roots],
        "versions": [
            _version_entry(lineage, key) for key in (*walk.versions, *sorted(walk.gone, key=str))
        ],
        "problems": list(lineage.problems),
    }


def _tree(
    lineage: Lineage, keys: Sequence[VersionKey], depth: int, written: set[VersionKey]
) -> Iterator[str]:
    """Write versions and all that they rest on, depth first; `written` grows on the way."""
    indent = _INDENT * depth
    for group in _groups(lineage, keys):
        # A group that was written in part is split.
        seen = [key for key in group if key in written]
        new = [key for key in group if key not in written]
        if seen:
            yield f"{indent}- {_title(lineage, seen)}: seen above"
        if new:
            written.update(new)
            yield f"{indent}- {_title(lineage, new)}"
            yield from (f"{indent}{_INDENT}{line}" for line in _about(lineage, new))
            records = [lineage.walk.versions[key] for key in new if key in lineage.walk.versions]
            below = {key_of(u): None for record in records for u in record.upstream}
            yield from _tree(lineage, list(below), depth + 1, written)


def _dependents(lineage: Lineage) -> Iterator[str]:
    dependents = [key for key in lineage.walk.versions if key not in lineage.walk.roots]
    if not dependents:
        yield "Nothing that is stored rests on it."
    for group in _groups(lineage, dependents):
        yield f"- {_title(lineage, group)}"
        yield from (f"{_INDENT}{line}" for line in _about(lineage, group))


def _groups(lineage: Lineage, keys: Sequence[VersionKey]) -> list[list[VersionKey]]:
    """Put partitions together that are alike but for their name, their run and their time."""
    groups: dict[Any, list[VersionKey]] = {}
    for key in keys:
        record = lineage.walk.versions.get(key)
        alike: list[Any] = [key.asset, lineage.state(key), key in lineage.outdated]
        if key.partition is None:
            alike.append(key.identity)
        elif record is not None and lineage.walk.direction == "upstream":
            alike += [record.code_version, *_shape(record)]
        groups.setdefault(tuple(alike), []).append(key)
    return list(groups.values())


def _shape(record: Record) -> Iterator[VersionKey]:
    """Name what a version rests on, its own partition of another asset by the asset alone."""
    for upstream in record.upstream:
        is_own = upstream.partition == record.partition
        yield VersionKey(upstream.asset, None, "") if is_own else key_of(upstream)


def _title(lineage: Lineage, keys: Sequence[VersionKey]) -> str:
    """Name the versions of a group, and their state, which is that of the first."""
    first = keys[0]
    if len(keys) == 1:
        name = str(first)
    else:
        partitions = sorted({str(key.partition) for key in keys})
        kind = "slices" if all("|" in partition for partition in partitions) else "days"
        name = f"{first.asset}, {len(partitions)} {kind}"
        if kind == "days":
            name += f" from {partitions[0]} to {partitions[-1]}"
        if len(keys) > len(partitions):
            name += f", {len(keys)} versions"
    outdated = ", outdated" if first in lineage.outdated else ""
    return f"{name} ({lineage.state(first)}{outdated})"


def _about(lineage: Lineage, keys: Sequence[VersionKey]) -> Iterator[str]:
    """Say how versions were made, why they are outdated, and what is known of them besides."""
    records = [lineage.walk.versions[key] for key in keys if key in lineage.walk.versions]
    if records:
        yield _production(records)
    reasons = {reason: None for key in keys for reason in lineage.outdated.get(key, ())}
    for reason in list(reasons)[:MAX_REASONS]:
        yield f"outdated: {reason}"
    if len(reasons) > MAX_REASONS:
        yield f"outdated: and so on, {len(reasons):,} reasons in all"
    if lineage.walk.direction == "downstream":
        return
    for key in sorted(keys, key=lambda key: key.partition or ""):
        note = lineage.notes.get(key)
        for line in note.text if note is not None else ():
            yield line if len(keys) == 1 else f"{key.partition}: {line}"


def _production(records: Sequence[Record]) -> str:
    times = sorted(record.created_at for record in records)
    first, last = (f"{time:%Y-%m-%d %H:%M:%S %Z}" for time in (times[0], times[-1]))
    period = first if first == last else f"{first} to {last}"
    codes = ", ".join(sorted({record.code_version for record in records}))
    runs = list({record.run_id: None for record in records})
    shown = ", ".join(runs if len(runs) == 1 else map(short, runs[:MAX_RUNS]))
    if len(runs) > MAX_RUNS:
        shown += f" and {len(runs) - MAX_RUNS:,} more"
    return f"made {period}, code version {codes}, run{'' if len(runs) == 1 else 's'} {shown}"


def _version_entry(lineage: Lineage, key: VersionKey) -> dict[str, Any]:
    record = lineage.walk.versions.get(key)
    note = lineage.notes.get(key)
    entry = {} if record is None else record.model_dump(mode="json", exclude={"format", "audit"})
    return {
        **key._asdict(),
        **entry,
        "state": lineage.state(key),
        "outdated": list(lineage.outdated.get(key, ())),
        "known_besides": {} if note is None else dict(note.facts),
    }


def _one_line(value: Any) -> str:
    return canonical_json(value).decode().rstrip("\n")


FORMATS: Mapping[str, Callable[[Lineage], str]] = MappingProxyType(
    {
        "text": lineage_text,
        "json": lambda lineage: _one_line(to_json(lineage)),
        "prov": lambda lineage: _one_line(to_prov(lineage)),
        # One event a line, as OpenLineage's own file transport writes them.
        "openlineage": lambda lineage: "\n".join(map(_one_line, to_openlineage(lineage))),
    }
)
"""Each form's name and how an answer is written in it."""
