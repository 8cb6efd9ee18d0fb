"""The versioned store: every version of every output stays, addressed by its identity.

Layout below the store's address::

    <audit>/fresh_starts.json                         how often it was begun afresh
    <audit>/<asset>/<partition>/current.json          which version is the current one
    <audit>/<asset>/<partition>/<identity>/<files>
    <audit>/<asset>/<partition>/<identity>/record.json
    <audit>/<asset>/<partition>/<identity>/failure.<run>.json

A version exists when its `record.json` does, and that is written last; each file is written
under a temporary name and renamed. So a reader never meets half a version, on a local disk
as on an object store, and whoever comes second to an identity finds what the first one wrote.
"""

import fnmatch
import io
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple, TypeVar
from urllib.parse import quote, unquote

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import BaseModel, ValidationError

from evaluator.errors import EvidenceError, StateError, fault_of
from evaluator.evidence._content import canonical_json, digest_of_bytes
from evaluator.evidence._files import Files, StoredPath
from evaluator.evidence._record import (
    Address,
    FailureRecord,
    FreshStarts,
    Pointer,
    Record,
    Upstream,
)

RECORD = "record.json"
CURRENT = "current.json"
FRESH_STARTS = "fresh_starts.json"
NO_PARTITION = "_"
"""The folder's name where an asset has no partitions."""
_MANY_BYTES = 1 << 20
_LOOKS = 2
"""So often a file is read that is not what it should be: a read may fail without an error."""

_Model = TypeVar("_Model", bound=BaseModel)


class RunContext(NamedTuple):
    """Who writes and when: clocks and runs live at the edge, and are handed in."""

    run_id: str
    now: datetime
    """With its time zone."""


class EvidenceStore:
    """Read and write versions below one fsspec address; one object serves one run.

    Parameters
    ----------
    url
        A folder's path or any fsspec URL.
    follow_links
        As for `Files`.
    """

    def __init__(self, url: str, *, follow_links: bool = True) -> None:
        self.url = url
        self.files = Files(url, follow_links=follow_links)
        # A version that is finished never changes, so each record is read once.
        self._records: dict[str, Record] = {}
        self._alone: set[str] = set()

    def find(self, address: Address, identity: str) -> Record | None:
        """Return the version with this identity, or None where it was never finished.

        Raises
        ------
        EvidenceError
            Where its record is damaged.
        """
        path = f"{_folder(address)}/{identity}/{RECORD}"
        return self._records.get(path) or self._read_and_keep(path)

    def get(self, address: Address, identity: str) -> Record:
        """Return the version with this identity.

        Raises
        ------
        EvidenceError
            Where it is not there.
        """
        record = self.find(address, identity)
        if record is None:
            raise EvidenceError(
                f"its version {identity} has no record",
                culprit=str(address),
                fix=self._fix(address, identity),
            )
        return record

    def current(self, address: Address) -> Record | None:
        """Return the current version, or None where there is none yet.

        Raises
        ------
        EvidenceError
            Where it is not there any more, or its record is damaged.
        """
        pointer = self.pointer(address)
        return None if pointer is None else self.get(address, pointer.identity)

    def pointer(self, address: Address) -> Pointer | None:
        """Return which version is the current one and since when, or None where there is none."""
        return self._read_model(f"{_folder(address)}/{CURRENT}", Pointer)

    def write(
        self,
        address: Address,
        identity: str,
        files: Mapping[str, bytes | pa.Table | Path],
        *,
        content_version: str,
        upstream: Sequence[Upstream],
        facts: Mapping[str, Any],
        code_version: str,
        run_context: RunContext,
        digests: Mapping[str, str] | None = None,
        is_repeatable: bool = True,
    ) -> Record:
        """Store a version, make it the current one, and return its record.

        A version that exists is left as it is: of several who make one, the first one's counts.

        Parameters
        ----------
        address, identity
            Whose version it is, and what it is made of.
        files
            Contents by name. An Arrow table is stored as Parquet; a path's file as it is, without
            being held in memory.
        content_version
            The digest of the data, not of the files.
        upstream
            What was used to make it.
        facts
            Counts and other small findings, as JSON values.
        code_version
            The constant that went into the identity.
        run_context
            Who writes and when.
        digests
            The SHA-256 that files must have when they are copied; None where none may change.
        is_repeatable
            Whether whoever makes it again gets the same bytes. Otherwise others are kept out of an
            object store meanwhile; on a disk they always are.

        Raises
        ------
        StateError
            Where a file is not what its digest says, since it changed; there is no such version.
        """
        with self.alone(address) if self.files.is_local or not is_repeatable else nullcontext():
            existing = self.reuse(address, identity, run_context)
            if existing is not None:
                return existing
            stored = {}
            for name, content in files.items():
                data = _to_parquet(content) if isinstance(content, pa.Table) else content
                stored[name] = self.files.write(f"{_folder(address)}/{identity}/{name}", data)
                if digests is not None and stored[name].sha256 != digests[name]:
                    self.files.remove([f"{_folder(address)}/{identity}/{name}"])
                    raise StateError(
                        "it changed while it was read",
                        culprit=str(content) if isinstance(content, Path) else name,
                        fix="wait until it is written, and run again",
                    )
            record = Record(
                **address._asdict(),
                identity=identity,
                content_version=content_version,
                files=stored,
                upstream=tuple(upstream),
                facts=dict(facts),
                code_version=code_version,
                run_id=run_context.run_id,
                created_at=run_context.now,
            )
            self._write_model(f"{_folder(address)}/{identity}/{RECORD}", record)
            self.make_current(record, run_context)
            return record

    @contextmanager
    def alone(self, address: Address) -> Iterator[None]:
        """Keep others from making versions at an address meanwhile, as `Files.alone` does.

        Whoever is alone already stays so.
        """
        folder = _folder(address)
        if folder in self._alone:
            yield
            return
        with self.files.alone(folder):
            self._alone.add(folder)
            try:
                yield
            finally:
                self._alone.discard(folder)

    def reuse(self, address: Address, identity: str, run_context: RunContext) -> Record | None:
        """Make the version with this identity the current one, where it is there already.

        Returns
        -------
        Record or None
            The version; None where it was never finished, and nothing changed.

        Raises
        ------
        EvidenceError
            Where its record is damaged.
        """
        existing = self.find(address, identity)
        if existing is not None:
            self.make_current(existing, run_context)
        return existing

    def make_current(self, record: Record, run_context: RunContext) -> None:
        """Point to a version that exists."""
        self._write_model(
            f"{_folder(record.address)}/{CURRENT}",
            Pointer(
                identity=record.identity, run_id=run_context.run_id, pointed_at=run_context.now
            ),
        )

    def record_failure(
        self,
        address: Address,
        identity: str,
        error: BaseException,
        trace: str,
        run_context: RunContext,
    ) -> FailureRecord:
        """Keep why a version was not computed.

        Parameters
        ----------
        address, identity
            Which version.
        error
            What was raised; its class and its message are kept.
        trace
            Where, as Python prints it.
        run_context
            Who tried and when; of one run the last failure is kept.
        """
        failure = FailureRecord(
            **address._asdict(),
            identity=identity,
            error=type(error).__name__,
            fault=fault_of(error),
            message=str(error),
            trace=trace,
            run_id=run_context.run_id,
            created_at=run_context.now,
        )
        folder = f"{_folder(address)}/{identity}"
        self._write_model(f"{folder}/failure.{quote(run_context.run_id, safe='')}.json", failure)
        return failure

    def last_failure(self, address: Address, identity: str) -> FailureRecord | None:
        """Return the latest failure to compute a version.

        Returns
        -------
        FailureRecord or None
            None where there was none, or the version was computed since.
        """
        if self.find(address, identity) is not None:
            return None
        folder = f"{_folder(address)}/{identity}"
        failures = [
            failure
            for name in fnmatch.filter(self.files.names(folder), "failure.*.json")
            if (failure := self._read_model(f"{folder}/{name}", FailureRecord)) is not None
        ]
        return max(failures, key=lambda failure: failure.created_at, default=None)

    def fresh_starts(self, audit: str) -> FreshStarts:
        """Tell how often the audit and its parts were begun afresh."""
        return self._read_model(_fresh_starts_path(audit), FreshStarts) or FreshStarts()

    def start_afresh(self, audit: str, part: str | None = None) -> FreshStarts:
        """Ignore from now on what is stored of a part of the audit, or (None) of all of it."""
        started = self.fresh_starts(audit).again(part)
        self._write_model(_fresh_starts_path(audit), started)
        return started

    def read_bytes(self, record: Record, name: str) -> bytes:
        """Read a version's file, and hold it against its digest.

        Raises
        ------
        EvidenceError
            Where the file is gone or is not what was stored.
        """
        for _ in range(_LOOKS):
            content = self.files.read(f"{self.folder(record)}/{name}")
            if content is None:
                break
            if digest_of_bytes(content) == record.files[name].sha256:
                return content
        raise self._damage(record, name, is_gone=content is None)

    def fetch(self, record: Record, name: str, to: Path) -> None:
        """Copy a version's file to a disk, and hold it against its digest.

        Raises
        ------
        EvidenceError
            Where the file is gone or is not what was stored; then the copy is not to be used.
        """
        for _ in range(_LOOKS):
            copied = self.files.copy(f"{self.folder(record)}/{name}", to)
            if copied is None:
                break
            if copied.sha256 == record.files[name].sha256:
                return
        raise self._damage(record, name, is_gone=copied is None)

    def read_table(
        self, record: Record, name: str, *, filters: Any = None, columns: Any = None
    ) -> pa.Table:
        """Read a version's Parquet file, or a part of it, and hold it against its digest.

        Parameters
        ----------
        record, name
            Which file.
        filters, columns
            The rows and columns to read, as `pyarrow.parquet.read_table` takes them; None for all.

        Raises
        ------
        EvidenceError
            Where the file is gone or is not what was stored.
        """
        source = pa.BufferReader(self.read_bytes(record, name))
        if filters is None and columns is None:
            # Half of the time: `read_table` makes a dataset of the one file, and threads for it.
            return pq.ParquetFile(source).read(use_threads=source.size() > _MANY_BYTES)
        return pq.read_table(source, filters=filters, columns=columns)

    def location(self, record: Record, name: str) -> str:
        """Return a file's full path or URL, for people and links."""
        return self.files.location(f"{self.folder(record)}/{name}")

    def folder(self, record: Record) -> str:
        """Return where a version lies, below the store's address."""
        return self.folder_of(record.address, record.identity)

    def folder_of(self, address: Address, identity: str) -> str:
        """Return where a version lies, or will lie, below the store's address."""
        return f"{_folder(address)}/{identity}"

    def partitions(self, audit: str, asset: str) -> Iterator[str]:
        """Yield the keys of an asset's one-dimensional partitions that have a current version."""
        for partition in self.tried_partitions(audit, asset):
            if self.files.exists(f"{_folder(Address(audit, asset, partition))}/{CURRENT}"):
                yield partition

    def tried_partitions(self, audit: str, asset: str) -> Iterator[str]:
        """Yield the keys of those that have a version or a failure."""
        for name in self.files.names(f"{_folder_name(audit)}/{_folder_name(asset)}"):
            if name != NO_PARTITION:
                yield unquote(name)

    def remove(self, paths: Sequence[str]) -> None:
        """Remove files at paths of `listing`, in this order."""
        for path in paths:
            self._records.pop(path, None)
        self.files.remove(paths)

    def listing(self, audit: str) -> Iterator[StoredPath]:
        """Yield every file that is stored for an audit."""
        yield from self.files.listing(_folder_name(audit))

    def read_record(self, path: str) -> Record:
        """Read the record at a path of `listing`.

        Raises
        ------
        EvidenceError
            Where it is gone or damaged.
        """
        record = self._read_and_keep(path)
        if record is None:
            raise EvidenceError(
                "the record is gone", culprit=self.files.location(path), fix="list the store again"
            )
        return record

    def all_versions(self, audit: str, asset: str | None = None) -> list[Record]:
        """Read every version that is stored for an audit, or for one of its assets.

        Raises
        ------
        EvidenceError
            Where a record is damaged.
        """
        return [
            self.read_record(stored.path)
            for stored in self.listing(audit)
            if stored.path.endswith(f"/{RECORD}")
            and (asset is None or self.asset_of(audit, stored.path) == asset)
        ]

    def current_versions(self, audit: str) -> Iterator[tuple[Address, str]]:
        """Yield address and identity of every version that is the current one of its partition."""
        for path in self.files.walk(_folder_name(audit)):
            pointer = self._read_model(path, Pointer) if path.endswith(f"/{CURRENT}") else None
            if pointer is not None:
                _, asset, *keys, _ = path.split("/")
                partition = "|".join(unquote(key) for key in keys if key != NO_PARTITION)
                yield Address(audit, unquote(asset), partition or None), pointer.identity

    def asset_of(self, audit: str, path: str) -> str:
        """Name the asset that a path of `listing` belongs to."""
        return unquote(path.removeprefix(f"{_folder_name(audit)}/").split("/", 1)[0])

    def _read_and_keep(self, path: str) -> Record | None:
        record = self._read_model(path, Record)
        if record is not None:
            self._records[path] = record
        return record

    def _read_model(self, path: str, model: type[_Model]) -> _Model | None:
        fault: ValidationError | None = None
        for _ in range(_LOOKS):
            content = self.files.read(path)
            if content is None:
                return None
            try:
                return model.model_validate_json(content)
            except ValidationError as error:
                fault = error
        raise EvidenceError(
            "the file is not what was stored",
            culprit=self.files.location(path),
            fix="read it again later, and if it stays so, restore the evidence folder from a copy",
        ) from fault

    def _write_model(self, path: str, model: BaseModel) -> None:
        self.files.write(path, canonical_json(model.model_dump(mode="json")))

    def _damage(self, record: Record, name: str, *, is_gone: bool) -> EvidenceError:
        return EvidenceError(
            "the file is gone" if is_gone else "the file is not what was stored",
            culprit=self.location(record, name),
            fix=self._fix(record.address, record.identity),
        )

    def _fix(self, address: Address, identity: str) -> str:
        return (
            "read it again later; if it stays so, restore the evidence folder from a copy, or"
            f" remove {identity} and {CURRENT} from {self.files.location(_folder(address))} and"
            " materialise it again"
        )


def _folder(address: Address) -> str:
    names = [address.audit, address.asset]
    names += address.partition.split("|") if address.partition else []
    folders = [_folder_name(name) for name in names]
    return "/".join(folders if address.partition else [*folders, NO_PARTITION])


def _fresh_starts_path(audit: str) -> str:
    return f"{_folder_name(audit)}/{FRESH_STARTS}"


def _folder_name(name: str) -> str:
    """Spell a name so that it is one folder's name, and no other name's."""
    if name in {".", "..", NO_PARTITION}:
        return "".join(f"%{ord(character):02X}" for character in name)
    return quote(name, safe="")


def _to_parquet(table: pa.Table) -> bytes:
    sink = io.BytesIO()
    pq.write_table(table, sink, compression="zstd")
    return sink.getvalue()
