"""The forms in which an answer about lineage is written."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from evaluator.evidence.canonical import canonical_json
from evaluator.evidence.lineage import Lineage, VersionKey
from evaluator.evidence.lineage_standards import to_openlineage, to_prov
from evaluator.evidence.lineage_text import lineage_text


def to_json(lineage: Lineage) -> dict[str, Any]:
    """Write an answer with all that the records say.

    Parameters
    ----------
    lineage
        The answer.
    """
    walk = lineage.walk
    return {
        "format": "evaluator/lineage/1",
        "audit": walk.audit,
        "direction": walk.direction,
        "roots": [key._asdict() for key in walk.roots],
        "versions": [
            _version(lineage, key) for key in (*walk.versions, *sorted(walk.gone, key=str))
        ],
        "problems": list(lineage.problems),
    }


def _version(lineage: Lineage, key: VersionKey) -> dict[str, Any]:
    record = lineage.walk.versions.get(key)
    note = lineage.notes.get(key)
    told = {} if record is None else record.model_dump(mode="json", exclude={"format", "audit"})
    return {
        **key._asdict(),
        **told,
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
