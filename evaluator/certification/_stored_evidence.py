"""The evidence that a certificate names, as it lies in a folder that may have been tampered with.

Every file is held against the certificate's digest before anything rests on it.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Final, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import ValidationError

from evaluator.certification._statement import (
    Discrepancy,
    EvidenceItem,
    Predicate,
    SharedEvidence,
)
from evaluator.errors import EvidenceError
from evaluator.evidence import (
    RECORD,
    Address,
    EvidenceStore,
    Files,
    Record,
    RunContext,
    StoredFile,
    Upstream,
    VersionKey,
    digest_of_bytes,
    key_of,
    shown,
    walk_upstream,
)
from evaluator.scorecard import INTAKES, Asset, metrics_of, model_of, predictions_of

SHARED_FILE: Final = "evidence.json"
_SHARED_VERSION: Final = "1"
_BESIDE: Final = {names.typed: names.beside for names in INTAKES}
"""What is made of a day's file beside its typed rows, under the same identity: nothing rests on it,
and an auditor shows it."""


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
        files, of its record and of whatever else lies in its folder. The refused rows and the
        report of each day whose rows are rested on are further roots.

    Raises
    ------
    EvidenceError
        Where something that is rested on, or a day's refused rows or report, is not there.
    """
    walk = walk_upstream(store, roots[0].audit, roots, _BESIDE)
    beside = _beside(walk.versions)
    for gone in sorted({*walk.gone, *(beside - walk.versions.keys())}, key=str):
        raise EvidenceError(
            "it is rested on, and its record is not there any more",
            culprit=str(gone),
            fix="restore the evidence folder from a copy",
        )
    items = [_item(store, record) for record in walk.versions.values()]
    items.sort(key=_place)
    begins = [*roots, *(walk.versions[key] for key in sorted(beside, key=str))]
    return Evidence(tuple(record.as_upstream() for record in begins), tuple(items))


class SplitEvidence(NamedTuple):
    """Where evidence begins, all of it, and what of it each candidate's certificate names itself.

    The rest stands in one list for all of them, which is evidence too.
    """

    rests_on: tuple[Upstream, ...]
    items: tuple[EvidenceItem, ...]
    own: Mapping[str, tuple[EvidenceItem, ...]]

    def of(self, candidate: str) -> tuple[EvidenceItem, ...]:
        """Give what the certificate of a candidate names."""
        lists = [item for item in self.items if item.asset == Asset.SHARED_EVIDENCE]
        return (*self.own.get(candidate, ()), *lists)


def share_evidence(
    store: EvidenceStore, roots: Sequence[Record], apart: Collection[str], run_context: RunContext
) -> SplitEvidence:
    """Store once what the certificates of an issue rest on alike.

    Parameters
    ----------
    store
        Where the evidence is, and the list of what is shared shall be.
    roots
        The scorecard and the audit's declaration.
    apart
        The candidates whose certificates name themselves what only they rest on.
    run_context
        Who writes and when.

    Returns
    -------
    SplitEvidence
        All evidence, as `gather_evidence` finds it, and the list.

    Raises
    ------
    EvidenceError
        As `gather_evidence`.
    """
    evidence = gather_evidence(store, roots)
    of_asset = {asset: name for name in apart for asset in candidate_assets(name)}
    own: dict[str, list[EvidenceItem]] = {name: [] for name in apart}
    shared: list[EvidenceItem] = []
    for item in evidence.items:
        (own[of_asset[item.asset]] if item.asset in of_asset else shared).append(item)
    content = SharedEvidence(evidence=tuple(shared)).to_bytes()
    digest = digest_of_bytes(content)
    record = store.write(
        Address(roots[0].audit, Asset.SHARED_EVIDENCE),
        digest[:32],
        {SHARED_FILE: content},
        content_version=digest,
        upstream=evidence.rests_on[len(roots) :],
        facts={},
        code_version=_SHARED_VERSION,
        run_context=run_context,
    )
    return SplitEvidence(
        (*evidence.rests_on[: len(roots)], record.as_upstream()),
        (*evidence.items, _item(store, record)),
        {name: tuple(items) for name, items in own.items()},
    )


def candidate_assets(candidate: str) -> tuple[str, ...]:
    """Name the assets that are of one candidate alone."""
    return model_of(candidate), predictions_of(candidate), metrics_of(candidate)


def _beside(keys: Iterable[VersionKey]) -> set[VersionKey]:
    """Name what is made beside typed rows, for all of these that are some."""
    return {key._replace(asset=asset) for key in keys for asset in _BESIDE.get(key.asset, ())}


def _place(item: EvidenceItem) -> tuple[str, str, str]:
    return item.asset, item.partition or "", item.identity


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


class Withheld(NamedTuple):
    """The files of the evidence that are not there, and where tables stand for some of them."""

    paths: Collection[str]
    stand_ins: Files


class StoredEvidence:
    """What a certificate rests on, read with distrust."""

    def __init__(
        self,
        url: str,
        predicate: Predicate,
        beside: Sequence[EvidenceItem] = (),
        *,
        digests: dict[str, StoredFile | None] | None = None,
        withheld: Withheld | None = None,
    ) -> None:
        self.files = Files(url, follow_links=False)
        self.predicate = predicate
        self._store = EvidenceStore(url)
        self._beside = tuple(beside)
        # Kept by who checks several certificates, so that each file is read once.
        self._digests = {} if digests is None else digests
        self._withheld = withheld

    @property
    def withheld(self) -> Collection[str] | None:
        """The files that are not there and need not be; None where all is whole."""
        return None if self._withheld is None else self._withheld.paths

    def is_withheld(self, item: EvidenceItem, name: str) -> bool:
        """Tell whether a file is not there, and need not be."""
        return self.withheld is not None and f"{item.folder}/{name}" in self.withheld

    @cached_property
    def items(self) -> tuple[EvidenceItem, ...]:
        """Everything that is named: by the certificate, by its list of what is shared, and beside.

        Raises
        ------
        EvidenceError
            Where the list is not the one that the certificate names, or is none.
        """
        return (*self.predicate.evidence, *self._shared(), *self._beside)

    @cached_property
    def _items(self) -> dict[VersionKey, EvidenceItem]:
        return {key_of(item): item for item in self.items}

    def _shared(self) -> tuple[EvidenceItem, ...]:
        named = self.predicate.shared
        if named is None:
            return ()
        for item in self.predicate.evidence:
            if key_of(item) == (named.asset, None, named.identity):
                content = self.read(item, SHARED_FILE)
                break
        else:
            content = b""
        if digest_of_bytes(content) == named.sha256:
            try:
                return SharedEvidence.parse(content).evidence
            except ValueError as error:
                what = f"it is no list of shared evidence: {error}"
                fix = "get the certificate again from whoever issued it"
                raise EvidenceError(what, culprit=SHARED_FILE, fix=fix) from error
        raise EvidenceError(
            "the list of the shared evidence is not among the evidence",
            culprit="certificate",
            fix="issue it again",
        )

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
        content = None
        if self._withheld is not None and self.is_withheld(item, name):
            content = self._withheld.stand_ins.read(f"{item.folder}/{name}")
        # Not `read_table`, which makes a dataset of the one file and takes twice as long.
        return pq.ParquetFile(pa.BufferReader(content or self.read(item, name))).read()

    def record(self, item: EvidenceItem) -> Record:
        """Read a version's provenance record, held against the certificate; see `read`."""
        return Record.model_validate_json(self._read(f"{item.folder}/{RECORD}", item.record))

    def check_files(self) -> Iterator[Discrepancy]:
        """Hold every file of the evidence against its digest, and look for files besides."""
        for item in self.items:
            if item.folder != self._folder_of(item):
                what = f"the certificate says that {item.asset} lies here; it does not belong here"
                yield Discrepancy("evidence", item.folder, what)
                continue
            there = {n: one for n, one in item.all_files.items() if not self.is_withheld(item, n)}
            yield from self.check_folder(item.folder, there)
            yield from self._check_record(item)

    def check_folder(self, folder: str, listed: dict[str, StoredFile]) -> Iterator[Discrepancy]:
        """Hold the files of one folder against a list of all that should be in it."""
        for name, stored in listed.items():
            path = f"{folder}/{name}"
            found = None if "/" in name else self.digest(path)
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

    def check_lineage(self, others: Collection[str] = ()) -> Iterator[Discrepancy]:
        """Follow everything that is rested on: all of it is listed, and nothing else is.

        Of `others`, assets of candidates whom the certificate is not about, the scorecard names the
        versions by their content, and they need not be listed.
        """
        if len(self._items) != len(self.items):
            yield Discrepancy("lineage", "certificate", "it lists a version twice")
        if self.predicate.shared is not None:
            for key in sorted(_beside(self._items) - self._items.keys(), key=str):
                what = f"it rests on a day's rows, and does not list {_key_name(key)}"
                yield Discrepancy("lineage", "certificate", what)
        waiting = [(upstream, "the certificate") for upstream in self.predicate.rests_on]
        reached = set()
        while waiting:
            upstream, by = waiting.pop()
            key = key_of(upstream)
            item = self.item(key)
            if item is None and by.startswith(f"{Asset.SCORECARD} ") and key.asset in others:
                continue
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
        """Yield every file that the certificate names and that is there, below the folder."""
        for item in self.items:
            for name in item.all_files:
                if not self.is_withheld(item, name):
                    yield f"{item.folder}/{name}"

    def digest(self, path: str) -> StoredFile | None:
        """Return a file's digest and size, or None where there is none; each is read once."""
        if path not in self._digests:
            self._digests[path] = self.files.digest(path)
        return self._digests[path]

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
            yield Discrepancy("evidence", path, f"it is of the audit {shown(record.audit)!r}")
        for name in sorted(EvidenceItem.model_fields.keys() & Record.model_fields.keys()):
            if getattr(record, name) != getattr(item, name):
                yield Discrepancy(
                    "evidence", path, f"its `{name}` is not what the certificate says"
                )


def _key_name(key: VersionKey) -> str:
    asset, partition, identity = key
    return f"{asset}{'' if partition is None else f'[{partition}]'} {identity}"
