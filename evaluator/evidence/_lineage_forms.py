"""The forms in which an answer about lineage is written: text, JSON, W3C PROV-JSON, OpenLineage."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any
from urllib.parse import quote, urlsplit
from uuid import NAMESPACE_URL, UUID, uuid5

from evaluator import __version__
from evaluator.evidence._content import canonical_json, digest_of
from evaluator.evidence._lineage import Lineage, VersionKey, key_of, short
from evaluator.evidence._record import Record, Upstream

MAX_REASONS = 3
"""So many reasons are named why outputs are outdated."""
MAX_RUNS = 3
"""So many runs that made outputs are named."""
_INDENT = "  "
_OPENLINEAGE = "https://openlineage.io/spec"


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


def to_prov(lineage: Lineage) -> dict[str, Any]:
    """Write an answer as a PROV-JSON document (W3C Member Submission, 24 April 2013)."""
    # Versions and files are entities. The pass that made a version is an activity, which ended when
    # the version was written; when it began is not recorded. The agent is this software.
    document = _ProvDocument(lineage)
    for key, record in lineage.walk.versions.items():
        document.add(key, record)
    return document.as_json()


def to_openlineage(lineage: Lineage) -> Iterator[dict[str, Any]]:
    """Write an answer as OpenLineage 2-0-2 run events, one a version, by their times."""
    # Each is the completion of a run of its own, whose parent is the Dagster run. When it began is
    # not recorded, so there are no start events.
    versions = lineage.walk.versions
    for key, record in sorted(versions.items(), key=lambda item: item[1].created_at):
        note = lineage.notes.get(key)
        inputs = [_dataset(record.audit, upstream) for upstream in record.upstream]
        if note is not None and note.source:
            inputs.append(_source(note.source, record.content_version))
        yield {
            "eventType": "COMPLETE",
            "eventTime": record.created_at.isoformat(),
            "producer": f"urn:evaluator:{__version__}",
            "schemaURL": f"{_OPENLINEAGE}/2-0-2/OpenLineage.json#/$defs/RunEvent",
            "run": {
                "runId": str(uuid5(NAMESPACE_URL, f"{record.run_id}/{key!r}")),
                "facets": _run_facets(record),
            },
            "job": {"namespace": f"evaluator/{record.audit}", "name": record.asset},
            "inputs": inputs,
            "outputs": [_dataset(record.audit, record)],
        }


class _ProvDocument:
    """Collects the entities, activities and relations of a document."""

    def __init__(self, lineage: Lineage) -> None:
        self._lineage = lineage
        self._audit = lineage.walk.audit
        self._agent = f"evaluator:software/{__version__}"
        self._parts: dict[str, dict[str, Any]] = {
            "entity": {},
            "activity": {},
            "agent": {self._agent: {"prov:type": _qualified("prov:SoftwareAgent")}},
        }

    def as_json(self) -> dict[str, Any]:
        return {"prefix": {"evaluator": "urn:evaluator:"}, **self._parts}

    def add(self, key: VersionKey, record: Record) -> None:
        entity = self._entity(key)
        note = self._lineage.notes.get(key)
        self._parts["entity"][entity] = {
            "prov:label": str(key),
            **({"prov:location": note.source} if note is not None and note.source else {}),
            "evaluator:identity": record.identity,
            "evaluator:content_version": record.content_version,
            "evaluator:state": self._lineage.state(key),
            "evaluator:outdated": key in self._lineage.outdated,
        }
        activity = self._activity(record)
        if activity not in self._parts["activity"]:
            self._parts["activity"][activity] = {
                "prov:endTime": record.created_at.isoformat(),
                "evaluator:code_version": record.code_version,
                "evaluator:run": record.run_id,
            }
            self._relate("wasAssociatedWith", activity=activity, agent=self._agent)
            for upstream in record.upstream:
                self._relate("used", activity=activity, entity=self._upstream_entity(upstream))
        self._relate("wasGeneratedBy", entity=entity, activity=activity)
        for upstream in record.upstream:
            used = self._upstream_entity(upstream)
            self._relate("wasDerivedFrom", generatedEntity=entity, usedEntity=used)
        if not record.upstream:
            self._add_files(entity, record)

    def _add_files(self, entity: str, record: Record) -> None:
        """Add the bytes of what came from outside."""
        for name, stored in record.files.items():
            file = f"evaluator:file/{stored.sha256}"
            self._parts["entity"][file] = {
                "prov:label": name,
                "evaluator:sha256": stored.sha256,
                "evaluator:bytes": stored.size,
            }
            self._relate(
                "wasDerivedFrom",
                generatedEntity=entity,
                usedEntity=file,
                type=_qualified("prov:PrimarySource"),
            )

    def _upstream_entity(self, upstream: Upstream) -> str:
        """Name what is rested on, and describe it as its reference does unless it is described."""
        entity = self._entity(key_of(upstream))
        self._parts["entity"].setdefault(
            entity,
            {
                "prov:label": str(key_of(upstream)),
                "evaluator:identity": upstream.identity,
                "evaluator:content_version": upstream.content_version,
            },
        )
        return entity

    def _entity(self, key: VersionKey) -> str:
        return "/".join(("evaluator:version", *_names(self._audit, key), key.identity))

    def _activity(self, record: Record) -> str:
        # What one pass makes bears one identity, so that it is one activity.
        parts = [record.partition or "_", record.identity, record.run_id]
        if record.partition is None:
            parts.insert(0, record.asset)
        return "/".join(
            ["evaluator:making", quote(self._audit), *(quote(p, safe="") for p in parts)]
        )

    def _relate(self, relation: str, **parts: Any) -> None:
        named = {f"prov:{role}": part for role, part in parts.items()}
        # By its content, so that equal relations are one, whichever version gives rise to them.
        name = f"_:{digest_of([relation, named])[:24]}"
        self._parts.setdefault(relation, {})[name] = named


def _run_facets(record: Record) -> dict[str, Any]:
    return {
        "parent": _facet(
            "facets/1-2-0/ParentRunFacet.json#/$defs/ParentRunFacet",
            run={"runId": str(_as_uuid(record.run_id))},
            job={"namespace": f"evaluator/{record.audit}", "name": record.audit},
        ),
        "processing_engine": _facet(
            "facets/1-1-1/ProcessingEngineRunFacet.json#/$defs/ProcessingEngineRunFacet",
            name="evaluator",
            version=__version__,
        ),
        "evaluator_version": _facet(
            "2-0-2/OpenLineage.json#/$defs/RunFacet",
            partition=record.partition,
            identity=record.identity,
            codeVersion=record.code_version,
            dagsterRun=record.run_id,
        ),
    }


def _dataset(audit: str, stored: Record | Upstream) -> dict[str, Any]:
    return {
        "namespace": "evaluator",
        "name": "/".join(_names(audit, key_of(stored))),
        "facets": {"version": _version_facet(stored.identity, stored.content_version)},
    }


def _source(location: str, content_version: str) -> dict[str, Any]:
    """Name what came from outside as OpenLineage names files and stores."""
    parts = urlsplit(location)
    namespace = "file" if not parts.scheme else f"{parts.scheme}://{parts.netloc}".rstrip(":/")
    return {
        "namespace": namespace,
        "name": parts.path if parts.scheme else location,
        "facets": {"version": _version_facet(content_version, content_version)},
    }


def _version_facet(identity: str, content_version: str) -> dict[str, Any]:
    return _facet(
        "facets/1-0-1/DatasetVersionDatasetFacet.json#/$defs/DatasetVersionDatasetFacet",
        datasetVersion=identity,
        contentVersion=content_version,
    )


def _facet(schema: str, **entry: Any) -> dict[str, Any]:
    return {
        "_producer": f"urn:evaluator:{__version__}",
        "_schemaURL": f"{_OPENLINEAGE}/{schema}",
        **entry,
    }


def _as_uuid(run_id: str) -> UUID:
    try:
        return UUID(run_id)
    except ValueError:
        return uuid5(NAMESPACE_URL, run_id)


def _names(audit: str, key: VersionKey) -> list[str]:
    names = [audit, key.asset] if key.partition is None else [audit, key.asset, key.partition]
    return [quote(name, safe="") for name in names]


def _qualified(name: str) -> dict[str, str]:
    return {"$": name, "type": "prov:QUALIFIED_NAME"}


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
