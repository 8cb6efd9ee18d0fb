"""The versioned store: every version of every output stays, addressed by its identity.

Layout below the store's address::

    <audit>/fresh_starts.json                         how often it was begun afresh
    <audit>/<asset>/<partition>/current.json          which version is the current one
    <audit>/<asset>/<partition>/<identity>/<files>
    <audit>/<asset>/<partition>/<identity>/record.json
    <audit>/<asset>/<partition>/<identity>/failure.<run>.json

A version exists when its `record.json` does, and that is written last; each file is written
under a temporary name and renamed. So a reader never meets half a version, on a local disk
as on an object store, and two writers of one identity write the same.
"""

import hashlib
import io
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, TypeVar
from urllib.parse import quote, unquote

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
from fsspec.implementations.local import LocalFileSystem
from pydantic import BaseModel, ValidationError

from evaluator.errors import EvidenceError
from evaluator.evidence.canonical import canonical_json, digest_of_bytes
from evaluator.evidence.record import (
    Address,
    FailureRecord,
    FreshStarts,
    Pointer,
    Record,
    StoredFile,
    Upstream,
)

RECORD = "record.json"
CURRENT = "current.json"
FRESH_STARTS = "fresh_starts.json"
NO_PARTITION = "_"
_PART = 1024 * 1024

_Model = TypeVar("_Model", bound=BaseModel)


class Moment(NamedTuple):
    """Who writes and when: clocks and runs live at the edge, and are handed in."""

    run_id: str
    now: datetime


class StoredPath(NamedTuple):
    """A file in the store."""

    path: str
    size: int
    modified: datetime


class EvidenceStore:
    """Read and write versions below one fsspec address.

    Parameters
    ----------
    url
        A folder's path or any fsspec URL.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        # Other processes write too, so a listing that is remembered would be out of date.
        self._files, self._root = fsspec.core.url_to_fs(url, use_listings_cache=False)
        self._is_local = isinstance(self._files, LocalFileSystem)

    def find(self, address: Address, identity: str) -> Record | None:
        """Return the version with this identity, or None where it was never finished.

        Raises
        ------
        EvidenceError
            Where its record is damaged.
        """
        return self._read_model(f"{self._folder(address)}/{identity}/{RECORD}", Record)

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
                fix=_mending(self._shown(self._folder(address)), identity),
            )
        return record

    def current(self, address: Address) -> Record | None:
        """Return the current version, or None where there is none yet.

        Raises
        ------
        EvidenceError
            Where it is not there any more, or its record is damaged.
        """
        pointer = self._read_model(f"{self._folder(address)}/{CURRENT}", Pointer)
        return None if pointer is None else self.get(address, pointer.identity)

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
        moment: Moment,
    ) -> Record:
        """Store a version, make it the current one, and return its record.

        An Arrow table is stored as Parquet, and a path's file as it is, without being held in
        memory. A version that exists is left as it is.
        """
        existing = self.reuse(address, identity, moment)
        if existing is not None:
            return existing
        stored = {}
        for name, content in files.items():
            data = _to_parquet(content) if isinstance(content, pa.Table) else content
            stored[name] = self._write(f"{self._folder(address)}/{identity}/{name}", data)
        record = Record(
            audit=address.audit,
            asset=address.asset,
            partition=address.partition,
            identity=identity,
            content_version=content_version,
            files=stored,
            upstream=tuple(upstream),
            facts=dict(facts),
            code_version=code_version,
            run_id=moment.run_id,
            created_at=moment.now,
        )
        self._write_model(f"{self._folder(address)}/{identity}/{RECORD}", record)
        self.make_current(record, moment)
        return record

    def reuse(self, address: Address, identity: str, moment: Moment) -> Record | None:
        """Make the version with this identity the current one, where it is there already."""
        existing = self.find(address, identity)
        if existing is not None:
            self.make_current(existing, moment)
        return existing

    def make_current(self, record: Record, moment: Moment) -> None:
        """Point to a version that exists."""
        self._write_model(
            f"{self._folder(record.address)}/{CURRENT}",
            Pointer(identity=record.identity, run_id=moment.run_id, pointed_at=moment.now),
        )

    def note_failure(
        self, address: Address, identity: str, error: BaseException, trace: str, moment: Moment
    ) -> FailureRecord:
        """Keep why a version was not computed."""
        failure = FailureRecord(
            audit=address.audit,
            asset=address.asset,
            partition=address.partition,
            identity=identity,
            error=type(error).__name__,
            message=str(error),
            trace=trace,
            run_id=moment.run_id,
            created_at=moment.now,
        )
        folder = f"{self._folder(address)}/{identity}"
        self._write_model(f"{folder}/failure.{quote(moment.run_id, safe='')}.json", failure)
        return failure

    def last_failure(self, address: Address, identity: str) -> FailureRecord | None:
        """Return the latest failure to compute a version, unless it was computed since."""
        folder = f"{self._folder(address)}/{identity}"
        if self.find(address, identity) is not None or not self._files.isdir(folder):
            return None
        failures = [
            self._read_model(path, FailureRecord)
            for path in self._files.ls(folder, detail=False)
            if fnmatchcase(path, "*/failure.*.json")
        ]
        found = [failure for failure in failures if failure is not None]
        return max(found, key=lambda failure: failure.created_at, default=None)

    def fresh_starts(self, audit: str) -> FreshStarts:
        """Tell how often the audit and its parts were begun afresh."""
        return self._read_model(self._fresh_starts_path(audit), FreshStarts) or FreshStarts()

    def start_afresh(self, audit: str, part: str | None = None) -> FreshStarts:
        """Ignore from now on what is stored of a part of the audit, or of all of it."""
        started = self.fresh_starts(audit).again(part)
        self._write_model(self._fresh_starts_path(audit), started)
        return started

    def read_bytes(self, record: Record, name: str) -> bytes:
        """Read a version's file, and hold it against its digest.

        Raises
        ------
        EvidenceError
            Where the file is gone or is not what was stored.
        """
        path = f"{self._folder(record.address)}/{record.identity}/{name}"
        content = self._read(path)
        if content is None or digest_of_bytes(content) != record.files[name].sha256:
            raise EvidenceError(
                "the file is gone" if content is None else "the file is not what was stored",
                culprit=self.location(record, name),
                fix=_mending(self._shown(self._folder(record.address)), record.identity),
            )
        return content

    def fetch(self, record: Record, name: str, to: Path) -> None:
        """Copy a version's file, and hold it against its digest; see `read_bytes`."""
        path = f"{self._folder(record.address)}/{record.identity}/{name}"
        try:
            with self._files.open(path, "rb") as source, to.open("wb") as target:
                intact = _copy(source, target).sha256 == record.files[name].sha256
        except FileNotFoundError:
            intact = False
        if not intact:
            raise EvidenceError(
                "the file is not what was stored" if to.exists() else "the file is gone",
                culprit=self.location(record, name),
                fix=_mending(self._shown(self._folder(record.address)), record.identity),
            )

    def read_table(
        self, record: Record, name: str, *, filters: Any = None, columns: Any = None
    ) -> pa.Table:
        """Read a version's Parquet file, or the part of it that `filters` let through."""
        source = pa.BufferReader(self.read_bytes(record, name))
        return pq.read_table(source, filters=filters, columns=columns)

    def location(self, record: Record, name: str) -> str:
        """Return a file's full path or URL, for people and links."""
        return self._shown(f"{self._folder(record.address)}/{record.identity}/{name}")

    def relative_location(self, record: Record, name: str) -> str:
        """Return a file's path below the store's address."""
        folder = self._folder(record.address).removeprefix(f"{self._root}/")
        return f"{folder}/{record.identity}/{name}"

    def partitions(self, audit: str, asset: str) -> Iterator[str]:
        """Yield the keys of an asset's one-dimensional partitions that have a current version."""
        folder = f"{self._root}/{quote(audit, safe='')}/{quote(asset, safe='')}"
        if not self._files.isdir(folder):
            return
        for path in sorted(self._files.ls(folder, detail=False)):
            name = path.rsplit("/", 1)[-1]
            if name != NO_PARTITION and self._files.exists(f"{path}/{CURRENT}"):
                yield unquote(name)

    def listing(self, audit: str) -> Iterator[StoredPath]:
        """Yield every file that is stored for an audit."""
        root = f"{self._root}/{_folder_name(audit)}"
        for path, info in self._files.find(root, detail=True).items():
            yield StoredPath(path, int(info["size"]), self._files.modified(path))

    def read_record(self, path: str) -> Record:
        """Read the record at a path of `listing`."""
        record = self._read_model(path, Record)
        if record is None:
            raise EvidenceError(
                "the record is gone", culprit=self._shown(path), fix="list the store again"
            )
        return record

    def current_versions(self, audit: str) -> Iterator[tuple[Address, str]]:
        """Yield address and identity of every version that is the current one of its partition."""
        root = f"{self._root}/{_folder_name(audit)}"
        for path in self._files.find(root):
            if path.endswith(f"/{CURRENT}"):
                pointer = self._read_model(path, Pointer)
                _, asset, *partition = path.removeprefix(f"{self._root}/").split("/")[:-1]
                if pointer is not None:
                    names = [unquote(part) for part in partition if part != NO_PARTITION]
                    address = Address(audit, unquote(asset), "|".join(names) or None)
                    yield address, pointer.identity

    def asset_of(self, audit: str, path: str) -> str:
        """Name the asset that a path of `listing` belongs to."""
        below = path.removeprefix(f"{self._root}/{_folder_name(audit)}/")
        return unquote(below.split("/", 1)[0])

    def remove(self, paths: Sequence[str]) -> None:
        """Remove files one after the other, and the folders on a disk that they leave empty."""
        for path in paths:
            self._files.rm_file(path)
        if self._is_local:
            for folder in {Path(path).parent for path in paths}:
                with suppress(OSError):
                    folder.rmdir()

    def _fresh_starts_path(self, audit: str) -> str:
        return f"{self._root}/{_folder_name(audit)}/{FRESH_STARTS}"

    def _folder(self, address: Address) -> str:
        names = [address.audit, address.asset]
        names += address.partition.split("|") if address.partition else []
        folders = [self._root, *map(_folder_name, names)]
        return "/".join(folders if address.partition else [*folders, NO_PARTITION])

    def _shown(self, path: str) -> str:
        return path if self._is_local else str(self._files.unstrip_protocol(path))

    def _read(self, path: str) -> bytes | None:
        try:
            content: bytes = self._files.cat_file(path)
        except FileNotFoundError:
            return None
        return content

    def _read_model(self, path: str, model: type[_Model]) -> _Model | None:
        content = self._read(path)
        if content is None:
            return None
        try:
            return model.model_validate_json(content)
        except ValidationError as error:
            raise EvidenceError(
                "the file is not what was stored",
                culprit=self._shown(path),
                fix="restore the evidence folder from a copy",
            ) from error

    def _write_model(self, path: str, model: BaseModel) -> None:
        self._write(path, canonical_json(model.model_dump(mode="json")))

    def _write(self, path: str, content: bytes | Path) -> StoredFile:
        if self._is_local:
            return self._write_to_disk(Path(path), content)
        try:
            return self._send(path, content)
        except FileNotFoundError:
            # An object store has no folders, and asking for them costs a request a file.
            self._files.makedirs(path.rsplit("/", 1)[0], exist_ok=True)
            return self._send(path, content)

    def _send(self, path: str, content: bytes | Path) -> StoredFile:
        """Hand over a whole file, of which an object store shows all or nothing.

        A file that is written piece by piece is stored as far as it came where its source fails.
        """
        if isinstance(content, bytes):
            self._files.pipe_file(path, content)
            return StoredFile(sha256=digest_of_bytes(content), size=len(content))
        with content.open("rb") as source:
            digest = hashlib.file_digest(source, "sha256").hexdigest()
        self._files.put_file(str(content), path)
        return StoredFile(sha256=digest, size=content.stat().st_size)

    def _write_to_disk(self, path: Path, content: bytes | Path) -> StoredFile:
        place = path.with_name(f"{path.name}.{uuid.uuid4().hex}.tmp")
        path.parent.mkdir(parents=True, exist_ok=True)
        opened = content.open("rb") if isinstance(content, Path) else io.BytesIO(content)
        with opened as source, place.open("wb") as target:
            stored = _copy(source, target)
        place.replace(path)
        return stored


def _copy(source: BinaryIO, target: BinaryIO) -> StoredFile:
    digest = hashlib.sha256()
    size = 0
    while part := source.read(_PART):
        digest.update(part)
        target.write(part)
        size += len(part)
    return StoredFile(sha256=digest.hexdigest(), size=size)


def _folder_name(name: str) -> str:
    """Spell a name so that it is one folder's name, and no other name's."""
    if name in {".", "..", NO_PARTITION}:
        return "".join(f"%{ord(character):02X}" for character in name)
    return quote(name, safe="")


def _mending(folder: str, identity: str) -> str:
    return (
        f"restore the evidence folder from a copy, or remove {identity} and {CURRENT} from"
        f" {folder} and materialise it again"
    )


def _to_parquet(table: pa.Table) -> bytes:
    sink = io.BytesIO()
    pq.write_table(table, sink, compression="zstd")
    return sink.getvalue()
