"""Files below one fsspec address: read, listed and written whole, on a disk or in an object store.

It knows paths and bytes. What a version is, and which records exist, is the store's business. What
it makes on a disk is its owner's alone, whatever the process's mask; what is there keeps its mode.
"""

import hashlib
import io
import os
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import BinaryIO, NamedTuple

import fsspec
from fsspec.implementations.local import LocalFileSystem

from evaluator.errors import EvidenceError
from evaluator.evidence._content import digest_of_bytes, digest_of_file
from evaluator.evidence._record import StoredFile

_CHUNK_SIZE = 1024 * 1024
_NO_FILE = (FileNotFoundError, IsADirectoryError, NotADirectoryError)


def write_whole(path: Path, content: bytes) -> None:
    """Write a small file aside, wait for the disk, and rename it.

    Whoever reads meets what was there before or all of this, also where the disk is full or the
    machine is switched off.

    Parameters
    ----------
    path
        Where to write, in a folder that is there; who may read it is for the process's mask.
    content
        All of it.
    """
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}.tmp")
    try:
        with temporary.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


class StoredPath(NamedTuple):
    """A file below the address, with its size in bytes."""

    path: str
    size: int
    modified: datetime


class Files:
    """Read, list and write files below one fsspec address; every path starts there.

    Parameters
    ----------
    url
        A folder's path or any fsspec URL.
    follow_links
        Whether links below a folder on a disk are followed. Without, one raises EvidenceError,
        since what is read might lie anywhere.

    Raises
    ------
    EvidenceError
        By every method, where a path leads out of the address.
    """

    def __init__(self, url: str, *, follow_links: bool = True) -> None:
        self.url = url
        self._follow_links = follow_links
        # Other processes write too, so a listing that is remembered would be out of date.
        self._filesystem, self._root = fsspec.core.url_to_fs(url, use_listings_cache=False)
        self._is_local = isinstance(self._filesystem, LocalFileSystem)

    def location(self, path: str) -> str:
        """Return a file's full path or URL, for people and links."""
        full_path = self._full_path(path)
        return full_path if self._is_local else str(self._filesystem.unstrip_protocol(full_path))

    def read(self, path: str) -> bytes | None:
        """Return a file's bytes, or None where there is no such file."""
        full_path = self._readable(path)
        try:
            content: bytes = self._filesystem.cat_file(full_path)
        except _NO_FILE:
            return None
        return content

    def digest(self, path: str) -> StoredFile | None:
        """Return a file's digest and size without holding it, or None where there is none."""
        return self._read_chunks(path, lambda _: None)

    def copy(self, path: str, to: Path) -> StoredFile | None:
        """Copy a file to a disk, and return its digest and size, or None where there is none."""
        self._readable(path)
        with to.open("wb") as target:
            return self._read_chunks(path, target.write)

    def exists(self, path: str) -> bool:
        """Tell whether there is such a file or folder."""
        return bool(self._filesystem.exists(self._full_path(path)))

    def names(self, path: str) -> list[str]:
        """List what lies directly in a folder, in order; nothing where it is not there."""
        folder = self._readable(path)
        if not self._filesystem.isdir(folder):
            return []
        return sorted(
            PurePosixPath(item).name for item in self._filesystem.ls(folder, detail=False)
        )

    def walk(self, path: str = "") -> list[str]:
        """List every file below a folder, in order."""
        return sorted(map(self._relative, self._filesystem.find(self._readable(path))))

    def listing(self, path: str) -> Iterator[StoredPath]:
        """Yield every file below a folder with its size and age."""
        for item, info in self._filesystem.find(self._full_path(path), detail=True).items():
            modified = self._filesystem.modified(item)
            yield StoredPath(self._relative(item), int(info["size"]), modified)

    def create(self, path: str, content: bytes) -> None:
        """Write a file that is not there yet; of two writers, one succeeds.

        On a disk a whole file is linked to its name, which fails where the name is taken. On an
        object store the write carries the condition that there is no such object (`If-None-Match`
        on S3); a store that cannot do that looks first, which leaves a moment between.

        Raises
        ------
        FileExistsError
            Where there is such a file.
        """
        full_path = self._full_path(path)
        self._make_parent(full_path)
        if not self._is_local:
            if self._filesystem.exists(full_path):
                raise FileExistsError(full_path)
            self._filesystem.pipe_file(full_path, content, mode="create")
            return
        temporary = self._write_aside(content)
        try:
            os.link(temporary, full_path)
        except PermissionError:
            # A disk without hard links (exFAT, some mounts): the name is taken first, then filled.
            with open(full_path, "xb", opener=_open_as_owner) as file:
                file.write(content)
        finally:
            temporary.unlink()

    def replace(self, path: str, content: bytes) -> None:
        """Write a file whole and for certain, in the place of the one that may be there."""
        full_path = self._full_path(path)
        self._make_parent(full_path)
        if self._is_local:
            self._write_aside(content).replace(full_path)
        else:
            self._filesystem.pipe_file(full_path, content)

    def write(self, path: str, content: bytes | Path) -> StoredFile:
        """Write a file under a temporary name and rename it.

        Whoever reads meets the whole file or none. A machine that loses power may lose it.

        Parameters
        ----------
        path
            Where to write.
        content
            The bytes, or a file on this machine that has them; that one is not held in memory.

        Returns
        -------
        StoredFile
            Digest and size of what was written.
        """
        full_path = self._full_path(path)
        if self._is_local:
            return _write_to_disk(Path(full_path), content)
        try:
            return self._send(full_path, content)
        except FileNotFoundError:
            # An object store has no folders, and asking for them costs a request a file.
            self._make_parent(full_path)
            return self._send(full_path, content)

    def remove(self, paths: Sequence[str]) -> None:
        """Remove files one after the other, and the folders on a disk that they leave empty."""
        full_paths = [self._full_path(path) for path in paths]
        for full_path in full_paths:
            self._filesystem.rm_file(full_path)
        if self._is_local:
            for folder in {Path(full_path).parent for full_path in full_paths}:
                with suppress(OSError):
                    folder.rmdir()

    def _full_path(self, path: str) -> str:
        if path.startswith("/") or ".." in path.split("/") or "\0" in path:
            raise EvidenceError(
                "the path leads out of the evidence folder",
                culprit=path,
                fix="do not use what names it: it was made to read or write elsewhere",
            )
        return f"{self._root}/{path}" if path else str(self._root)

    def _readable(self, path: str) -> str:
        """Return a full path; refuse a link on the way to it where none is followed."""
        full_path = self._full_path(path)
        if self._is_local and not self._follow_links:
            steps = PurePosixPath(path).parts
            for depth in range(1, len(steps) + 1):
                step = "/".join(steps[:depth])
                if Path(self._full_path(step)).is_symlink():
                    raise EvidenceError(
                        "it is a link, and what it leads to may be anything",
                        culprit=step,
                        fix="put the files themselves there, if they are yours",
                    )
        return full_path

    def _relative(self, full_path: str) -> str:
        return full_path.removeprefix(f"{self._root}/")

    def _make_parent(self, full_path: str) -> None:
        parent = full_path.rsplit("/", 1)[0]
        if self._is_local:
            _make_folder(Path(parent))
        else:
            self._filesystem.makedirs(parent, exist_ok=True)

    def _read_chunks(self, path: str, use: Callable[[bytes], object]) -> StoredFile | None:
        try:
            with self._filesystem.open(self._readable(path), "rb") as file:
                return _pass_on(file, use)
        except _NO_FILE:
            return None

    def _write_aside(self, content: bytes) -> Path:
        # Not beside the file: whoever checks that folder must not meet half a file.
        temporary = Path(self._full_path(f".{uuid.uuid4().hex}.tmp"))
        with open(temporary, "wb", opener=_open_as_owner) as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        return temporary

    def _send(self, full_path: str, content: bytes | Path) -> StoredFile:
        """Hand over a whole file, of which an object store shows all or nothing."""
        # What is written piece by piece is stored as far as it came where its source fails.
        if isinstance(content, bytes):
            self._filesystem.pipe_file(full_path, content)
            return StoredFile(sha256=digest_of_bytes(content), size=len(content))
        digest = digest_of_file(content)
        self._filesystem.put_file(str(content), full_path)
        return StoredFile(sha256=digest, size=content.stat().st_size)


def _write_to_disk(path: Path, content: bytes | Path) -> StoredFile:
    _make_folder(path.parent)
    temporary = path.with_name(f"{path.name}.{uuid.uuid4().hex}.tmp")
    source = content.open("rb") if isinstance(content, Path) else io.BytesIO(content)
    try:
        with source, open(temporary, "wb", opener=_open_as_owner) as target:
            stored = _pass_on(source, target.write)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    return stored


def _open_as_owner(path: str, flags: int) -> int:
    """Open a file; one that is made is its owner's alone, since it may hold personal data."""
    return os.open(path, flags, 0o600)


def _make_folder(folder: Path) -> None:
    """Make a folder, and those above it that are not there, for their owner alone."""
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
    except FileNotFoundError:
        # Not by `parents`, which gives those above the modes of the process's mask.
        _make_folder(folder.parent)
        folder.mkdir(mode=0o700, exist_ok=True)


def _pass_on(source: BinaryIO, use: Callable[[bytes], object]) -> StoredFile:
    """Hand a file's bytes on chunk by chunk, and return their digest and size."""
    digest = hashlib.sha256()
    size = 0
    while chunk := source.read(_CHUNK_SIZE):
        digest.update(chunk)
        use(chunk)
        size += len(chunk)
    return StoredFile(sha256=digest.hexdigest(), size=size)
