"""From an audit, an asset, a partition and a version to an answer about lineage."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

from evaluator.errors import UsageError
from evaluator.evidence import Record
from evaluator.evidence.lineage import (
    Lineage,
    Pointers,
    ReadOnceStore,
    judge_lineage,
    key_of,
    walk_downstream,
    walk_upstream,
)
from evaluator.orchestration.home import Home
from evaluator.orchestration.lineage_notes import INTAKE, made_otherwise_now, notes_of
from evaluator.orchestration.state import AuditState
from evaluator.spec import Audit
from evaluator.spec.base import suggestion

MOST_CHOICES = 12
"""So many choices are named where a question is not clear."""

_BESIDE = {asset: [other for other in INTAKE if other != asset] for asset in INTAKE}


class Question(NamedTuple):
    """Which stored versions are asked about."""

    asset: str
    """The asset's name, without the audit's."""
    partition: str | None = None
    """One of its partitions, as Dagster names it; without it, all."""
    version: str | None = None
    """The beginning of an identity, of a content version or of a file's SHA-256; without it, what
    is current."""

    def takes(self, partition: str | None) -> bool:
        """Tell whether a partition is asked about."""
        return self.partition in (None, partition)


def ask_lineage(
    audit: Audit, home: Home, question: Question, *, downstream: bool, now: datetime
) -> Lineage:
    """Tell what stored versions rest on, or what rests on them.

    Parameters
    ----------
    audit
        The audit as its YAML stands now.
    home
        Where its evidence is.
    question
        Which versions are asked about.
    downstream
        Whether to tell what rests on them, instead of what they rest on.
    now
        The time, by which a policy may ask for a new evaluation set.

    Raises
    ------
    UsageError
        Where the words name nothing that is stored, or several things.
    EvidenceError
        Where stored evidence is damaged.
    """
    state = AuditState(audit, home)
    store = ReadOnceStore(home.evidence_url)
    state.store = store
    pointers = dict(store.current_versions(audit.name))
    roots = _roots(audit.name, store, pointers, question)
    if downstream:
        walk = walk_downstream(audit.name, roots, store.all_versions(audit.name))
    else:
        walk = walk_upstream(store, audit.name, roots, _BESIDE)
    current = [
        record
        for record in walk.versions.values()
        if pointers.get(record.address) == record.identity
    ]
    outdated = made_otherwise_now(state, current, now)
    notes = {} if downstream else notes_of(state, walk.versions, roots)
    return judge_lineage(store, walk, pointers, outdated, notes)


def _roots(
    audit: str, store: ReadOnceStore, pointers: Pointers, question: Question
) -> list[Record]:
    asset, partition, version = question
    if not pointers:
        raise UsageError(
            "nothing is stored of this audit yet",
            culprit=audit,
            fix=f"run `evaluator run {audit}` first",
        )
    assets = {at.asset for at in pointers}
    if asset not in assets:
        raise UsageError(
            f"nothing is stored of an asset {asset!r}",
            culprit=audit,
            fix=suggestion(asset, assets, f"name one of: {_choices(sorted(assets))}"),
        )
    known = sorted(at.partition for at in pointers if at.asset == asset and at.partition)
    if partition is not None and partition not in known:
        raise UsageError(
            f"nothing is stored of its partition {partition!r}",
            culprit=f"{audit}/{asset}",
            fix=suggestion(partition, known, f"name one of: {_choices(known)}")
            if known
            else "leave the partition out, since this asset has none",
        )
    if version is not None:
        stored = store.all_versions(audit, asset)
        return _named_version(audit, [r for r in stored if question.takes(r.partition)], question)
    chosen = [at for at in pointers if at.asset == asset and question.takes(at.partition)]
    return [store.get(at, pointers[at]) for at in sorted(chosen, key=str)]


def _named_version(audit: str, stored: Sequence[Record], question: Question) -> list[Record]:
    """Find the versions that a prefix names; several only where they are the same content."""
    for names in (_by_identity(stored), _by_content(stored)):
        found = [name for name in names if name.startswith(str(question.version))]
        if len(found) == 1:
            return names[found[0]]
        if found:
            raise UsageError(
                f"{len(found)} versions begin with {question.version!r}",
                culprit=f"{audit}/{question.asset}",
                fix=f"name more of one of: {_choices(found)}",
            )
    newest = sorted(stored, key=lambda record: record.created_at, reverse=True)
    raise UsageError(
        f"no stored version begins with {question.version!r}",
        culprit=f"{audit}/{question.asset}",
        fix=f"name one of: {_choices([str(key_of(record)) for record in newest])}",
    )


def _by_identity(records: Iterable[Record]) -> Mapping[str, list[Record]]:
    names: dict[str, list[Record]] = {}
    for record in records:
        names.setdefault(record.identity, []).append(record)
    return names


def _by_content(records: Iterable[Record]) -> Mapping[str, list[Record]]:
    names: dict[str, list[Record]] = {}
    for record in records:
        digests = {record.content_version, *(file.sha256 for file in record.files.values())}
        for digest in sorted(digests):
            names.setdefault(digest, []).append(record)
    return names


def _choices(names: Sequence[str]) -> str:
    more = f" and {len(names) - MOST_CHOICES} more" if len(names) > MOST_CHOICES else ""
    return ", ".join(names[:MOST_CHOICES]) + more
