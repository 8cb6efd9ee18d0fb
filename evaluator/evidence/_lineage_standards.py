"""Lineage in the words of two standards: W3C PROV-JSON and OpenLineage."""

from collections.abc import Iterator
from functools import cache
from importlib.metadata import version
from typing import Any
from urllib.parse import quote, urlsplit
from uuid import NAMESPACE_URL, UUID, uuid5

from evaluator.evidence._content import digest_of
from evaluator.evidence._lineage import Lineage, VersionKey, key_of
from evaluator.evidence._record import Record, Upstream

_OPENLINEAGE = "https://openlineage.io/spec"


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
            "producer": f"urn:evaluator:{_software_version()}",
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
        self._agent = f"evaluator:software/{_software_version()}"
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
            version=_software_version(),
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
        "_producer": f"urn:evaluator:{_software_version()}",
        "_schemaURL": f"{_OPENLINEAGE}/{schema}",
        **entry,
    }


@cache
def _software_version() -> str:
    return version("evaluator")


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
