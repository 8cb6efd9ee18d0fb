"""Everything that stored versions rest on, back to the raw files, as a certificate lists it."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from evaluator.certification.folder import Folder
from evaluator.certification.statement import EvidenceItem
from evaluator.errors import EvidenceError
from evaluator.evidence import Address, EvidenceStore, Record, Upstream
from evaluator.evidence.record import StoredFile

RECORD = "record.json"

VersionKey = tuple[str, str | None, str]
"""Asset, partition and identity: which version of an audit's outputs is meant."""


class Evidence(NamedTuple):
    """Where evidence begins, and all of it."""

    rests_on: tuple[Upstream, ...]
    items: tuple[EvidenceItem, ...]


def version_key(version: EvidenceItem | Upstream) -> VersionKey:
    """Name a version within its audit."""
    return (version.asset, version.partition, version.identity)


def gather_evidence(store: EvidenceStore, roots: Sequence[Record]) -> Evidence:
    """List some versions and all that they rest on.

    Parameters
    ----------
    store
        Where they are.
    roots
        Where to begin: for a certificate, its scorecard and the audit's declaration.

    Returns
    -------
    Evidence
        Each version once, in order of asset, partition and identity, with the digests of its
        files, of its record and of whatever else lies in its folder.

    Raises
    ------
    EvidenceError
        Where something that is rested on is not there.
    """
    folder = Folder(store.url)
    items = [_item(store, folder, record) for record in walk(store, roots)]
    items.sort(key=lambda item: (item.asset, item.partition or "", item.identity))
    return Evidence(tuple(record.as_upstream() for record in roots), tuple(items))


def version_folder(store: EvidenceStore, record: Record) -> str:
    """Return where a version lies, below the store's address."""
    return store.relative_location(record, RECORD).removesuffix(f"/{RECORD}")


def walk(store: EvidenceStore, roots: Sequence[Record]) -> Iterator[Record]:
    """Yield some versions and all that they rest on, each once; see `gather_evidence`."""
    seen = set()
    waiting = list(roots)
    while waiting:
        record = waiting.pop()
        key = version_key(record.as_upstream())
        if key in seen:
            continue
        seen.add(key)
        yield record
        waiting += [
            store.get(Address(record.audit, upstream.asset, upstream.partition), upstream.identity)
            for upstream in reversed(record.upstream)
            if version_key(upstream) not in seen
        ]


def _item(store: EvidenceStore, folder: Folder, record: Record) -> EvidenceItem:
    place = version_folder(store, record)
    found = {name: f"{place}/{name}" for name in folder.names(place)}
    notes = {
        name: _stored(folder, path)
        for name, path in found.items()
        if name != RECORD and name not in record.files
    }
    return EvidenceItem(
        asset=record.asset,
        partition=record.partition,
        identity=record.identity,
        content_version=record.content_version,
        folder=place,
        record=_stored(folder, f"{place}/{RECORD}"),
        files=record.files,
        notes=notes,
        upstream=record.upstream,
        code_version=record.code_version,
        run_id=record.run_id,
        created_at=record.created_at,
    )


def _stored(folder: Folder, path: str) -> StoredFile:
    stored = folder.digest(path)
    if stored is None:
        raise EvidenceError(
            "it was there a moment ago and is gone",
            culprit=path,
            fix="let nothing clear the evidence folder while a certificate is made",
        )
    return stored
