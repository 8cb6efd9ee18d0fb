"""The evidence that a certificate names, as it lies in a folder that may have been tampered with.

Every file is held against the certificate's digest before anything rests on it.
"""

import io
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import ValidationError

from evaluator.certification._statement import Discrepancy, EvidenceItem, Predicate
from evaluator.errors import EvidenceError
from evaluator.evidence import (
    RECORD,
    EvidenceStore,
    Files,
    Record,
    StoredFile,
    Upstream,
    VersionKey,
    digest_of_bytes,
    key_of,
    walk_upstream,
)


class Evidence(NamedTuple):
    """Where evidence begins, and all of it."""

    rests_on: tuple[Upstream, ...]
    items: tuple[EvidenceItem, ...]


def gather_evidence(store: EvidenceStore, roots: Sequence[Record]) -> Evidence:
    """List some versions and all that they rest on, as a certificate names them.

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
    walk = walk_upstream(store, roots[0].audit, roots, {})
    for gone in sorted(walk.gone, key=str):
        raise EvidenceError(
            "it is rested on, and its record is not there any more",
            culprit=str(gone),
            fix="restore the evidence folder from a copy",
        )
    items = [_item(store, record) for record in walk.versions.values()]
    items.sort(key=lambda item: (item.asset, item.partition or "", item.identity))
    return Evidence(tuple(record.as_upstream() for record in roots), tuple(items))


def _item(store: EvidenceStore, record: Record) -> EvidenceItem:
    folder = store.folder(record)
    besides = {*store.files.names(folder)} - {RECORD, *record.files}
    return EvidenceItem(
        asset=record.asset,
        partition=record.partition,
        identity=record.identity,
        content_version=record.content_version,
        folder=folder,
        record=_stored_file(store, f"{folder}/{RECORD}"),
        files=record.files,
        notes={name: _stored_file(store, f"{folder}/{name}") for name in sorted(besides)},
        upstream=record.upstream,
        code_version=record.code_version,
        run_id=record.run_id,
        created_at=record.created_at,
    )


def _stored_file(store: EvidenceStore, path: str) -> StoredFile:
    stored = store.files.digest(path)
    if stored is None:
        raise EvidenceError(
            "it was there a moment ago and is gone",
            culprit=path,
            fix="let nothing clear the evidence folder while a certificate is made",
        )
    return stored


class StoredEvidence:
    """What a certificate rests on, read with distrust."""

    def __init__(self, url: str, predicate: Predicate) -> None:
        self.files = Files(url, follow_links=False)
        self.predicate = predicate
        self._store = EvidenceStore(url)
        self._items = {key_of(item): item for item in predicate.evidence}

    def item(self, key: VersionKey) -> EvidenceItem | None:
        """Return what the certificate says of a version, or None where it does not name it."""
        return self._items.get(key)

    def root(self, asset: str) -> EvidenceItem:
        """Return the version of this asset that the certificate begins with."""
        for upstream in self.predicate.rests_on:
            item = self.item(key_of(upstream))
            if upstream.asset == asset and item is not None:
                return item
        raise EvidenceError(
            f"it does not rest on a {asset}", culprit="certificate", fix="issue it again"
        )

    def upstream_of(self, item: EvidenceItem, asset: str) -> list[EvidenceItem]:
        """Return the versions of one asset that a version rests on directly."""
        keys = [key_of(upstream) for upstream in item.upstream if upstream.asset == asset]
        return [self._items[key] for key in keys if key in self._items]

    def read(self, item: EvidenceItem, name: str) -> bytes:
        """Read a file, and hold it against the certificate."""
        return self._read(f"{item.folder}/{name}", item.files.get(name))

    def table(self, item: EvidenceItem, name: str) -> pa.Table:
        """Read a Parquet file; see `read`."""
        return pq.read_table(io.BytesIO(self.read(item, name)))

    def record(self, item: EvidenceItem) -> Record:
        """Read a version's provenance record, held against the certificate; see `read`."""
        return Record.model_validate_json(self._read(f"{item.folder}/{RECORD}", item.record))

    def check_files(self) -> Iterator[Discrepancy]:
        """Hold every file of the evidence against its digest, and look for files besides."""
        for item in self.predicate.evidence:
            if item.folder != self._folder_of(item):
                what = f"the certificate says that {item.asset} lies here; it does not belong here"
                yield Discrepancy("evidence", item.folder, what)
                continue
            yield from self.check_folder(item.folder, item.all_files)
            yield from self._check_record(item)

    def check_folder(self, folder: str, listed: dict[str, StoredFile]) -> Iterator[Discrepancy]:
        """Hold the files of one folder against a list of all that should be in it."""
        for name, stored in listed.items():
            path = f"{folder}/{name}"
            found = None if "/" in name else self.files.digest(path)
            if found is None:
                yield Discrepancy("evidence", path, "it is gone")
            elif found.sha256 != stored.sha256:
                what = f"its SHA-256 is {found.sha256}, and should be {stored.sha256}"
                yield Discrepancy("evidence", path, what)
            elif found.size != stored.size:
                what = f"it has {found.size} bytes, and the certificate says {stored.size}"
                yield Discrepancy("evidence", path, what)
        for name in self.files.names(folder):
            if name not in listed:
                yield Discrepancy("evidence", f"{folder}/{name}", "nothing names it: it was added")

    def check_lineage(self) -> Iterator[Discrepancy]:
        """Follow everything that is rested on: all of it is listed, and nothing else is."""
        if len(self._items) != len(self.predicate.evidence):
            yield Discrepancy("lineage", "certificate", "it lists a version twice")
        waiting = [(upstream, "the certificate") for upstream in self.predicate.rests_on]
        reached = set()
        while waiting:
            upstream, by = waiting.pop()
            key = key_of(upstream)
            item = self.item(key)
            if item is None:
                what = f"{by} rests on {_key_name(key)}, and the certificate does not list it"
                yield Discrepancy("lineage", "certificate", what)
                continue
            if item.content_version != upstream.content_version:
                what = (
                    f"{by} rests on its content {upstream.content_version}, and the certificate"
                    f" lists {item.content_version}"
                )
                yield Discrepancy("lineage", item.folder, what)
            if key not in reached:
                reached.add(key)
                waiting += [(further, _key_name(key)) for further in item.upstream]
        for key in self._items.keys() - reached:
            yield Discrepancy(
                "lineage", self._items[key].folder, "nothing that is certified rests on it"
            )

    def paths(self) -> Iterable[str]:
        """Yield every file that the certificate names, below the evidence folder."""
        for item in self.predicate.evidence:
            for name in item.all_files:
                yield f"{item.folder}/{name}"

    def _read(self, path: str, listed: StoredFile | None) -> bytes:
        content = self.files.read(path)
        if content is None or listed is None or digest_of_bytes(content) != listed.sha256:
            raise EvidenceError(
                "it is not the file that the certificate names",
                culprit=path,
                fix="get the evidence again from whoever issued the certificate",
            )
        return content

    def _folder_of(self, item: EvidenceItem) -> str:
        """Tell where the store keeps a version of this name."""
        record = Record(
            audit=self.predicate.audit,
            asset=item.asset,
            partition=item.partition,
            identity=item.identity,
            content_version=item.content_version,
            files={},
            upstream=(),
            facts={},
            code_version=item.code_version,
            run_id=item.run_id,
            created_at=item.created_at,
        )
        return self._store.folder(record)

    def _check_record(self, item: EvidenceItem) -> Iterator[Discrepancy]:
        """Compare what a version's own record says with what the certificate says of it."""
        path = f"{item.folder}/{RECORD}"
        try:
            record = self.record(item)
        except EvidenceError:
            return  # that was reported already
        except ValidationError:
            yield Discrepancy("evidence", path, "it is no provenance record")
            return
        if record.audit != self.predicate.audit:
            yield Discrepancy("evidence", path, f"it is of the audit {record.audit!r}")
        for name in sorted(EvidenceItem.model_fields.keys() & Record.model_fields.keys()):
            if getattr(record, name) != getattr(item, name):
                yield Discrepancy(
                    "evidence", path, f"its `{name}` is not what the certificate says"
                )


def _key_name(key: VersionKey) -> str:
    asset, partition, identity = key
    return f"{asset}{'' if partition is None else f'[{partition}]'} {identity}"
