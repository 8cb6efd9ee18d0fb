"""Files below one fsspec address: read, listed and written whole, on a disk or in an object store.

It knows paths and bytes. What a version is, and which records exist, is the store's business. What
it makes on a disk is its owner's alone, whatever the process's mask; what is there keeps its mode.
"""

import errno
import hashlib
import io
import os
import re
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from http import HTTPStatus
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, Final, NamedTuple, TypeVar

import fsspec
from fsspec.implementations.local import LocalFileSystem

from evaluator.errors import EvidenceError, fault_of
from evaluator.evidence._content import digest_of_bytes, digest_of_file
from evaluator.evidence._record import StoredFile

_CHUNK_SIZE = 1024 * 1024
_NO_FILE = (FileNotFoundError, IsADirectoryError, NotADirectoryError)
_PAUSES: Final = (0.1, 0.5, 2.0)
"""After so many seconds a call that failed is made again, before it counts."""
TEMPORARY: Final = ".tmp"
"""How the names of files in the evidence end that are being written; all of it is ours."""
# What SQLite writes beside a database has the database's name before its own ending.
_OURS: Final = re.compile(r"\..+\.[0-9a-f]{32}\.tmp(?:-journal|-wal|-shm)?")
_LASTING: Final = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG, errno.ENAMETOOLONG)
_LOCK: Final = "lock"
_SECONDS_OF_A_LOCK: Final = 300.0
"""After which a lock in an object store that never changed is taken to be a dead process's."""
_BETWEEN_LOOKS: Final = 0.5

_Answer = TypeVar("_Answer")


def temporary_beside(path: Path) -> Path:
    """Name what a file or folder is written under until it is whole; nobody else has the name.

    Parameters
    ----------
    path
        What it is to become.

    Returns
    -------
    Path
        In the same folder, so that it can be renamed. `is_temporary` knows it again.
    """
    return path.with_name(f".{path.name}.{uuid.uuid4().hex}{TEMPORARY}")


def is_temporary(name: str) -> bool:
    """Tell whether `temporary_beside` gave a name; a user's own ``.tmp`` files are theirs."""
    return _OURS.fullmatch(name) is not None


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
    with _temporary(temporary_beside(path)) as temporary:
        with temporary.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)


@contextmanager
def _temporary(path: Path) -> Iterator[Path]:
    """Leave no file of this name behind, and let errors that name no file name this one."""
    try:
        with _naming(path):
            yield path
    finally:
        path.unlink(missing_ok=True)


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Let the system's errors say which file they are about; those of reads and writes do not."""
    try:
        yield
    except OSError as error:
        if error.errno is not None and error.filename is None:
            error.filename = str(path)
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
        self._filesystem, self._root = fsspec.core.url_to_fs(
            url, use_listings_cache=False, **_quick_retries(url)
        )
        self.is_local = isinstance(self._filesystem, LocalFileSystem)
        """Whether it is a disk of this machine, or what its system takes for one."""

    def location(self, path: str) -> str:
        """Return a file's full path or URL, for people and links."""
        full_path = self._full_path(path)
        return full_path if self.is_local else str(self._filesystem.unstrip_protocol(full_path))

    def read(self, path: str) -> bytes | None:
        """Return a file's bytes, or None where there is no such file."""
        full_path = self._readable(path)
        try:
            return self._tried(path, lambda: bytes(self._filesystem.cat_file(full_path)))
        except _NO_FILE:
            return None

    def digest(self, path: str) -> StoredFile | None:
        """Return a file's digest and size without holding it, or None where there is none."""
        return self._read_chunks(path, Path(os.devnull))

    def copy(self, path: str, to: Path) -> StoredFile | None:
        """Copy a file to a disk, and return its digest and size, or None where there is none."""
        return self._read_chunks(path, to)

    def exists(self, path: str) -> bool:
        """Tell whether there is such a file or folder."""
        full_path = self._full_path(path)
        try:
            # Not by `exists`, to which a store that does not answer has no file.
            self._tried(path, lambda: self._filesystem.info(full_path))
        except _NO_FILE:
            return False
        return True

    def names(self, path: str) -> list[str]:
        """List what lies directly in a folder, in order; nothing where it is not there."""
        folder = self._readable(path)
        try:
            items = self._tried(path, lambda: self._filesystem.ls(folder, detail=False))
        except _NO_FILE:
            return []
        # Asked for a file, it lists the file.
        return sorted(PurePosixPath(item).name for item in items if item != folder)

    def walk(self, path: str = "") -> list[str]:
        """List every file below a folder, in order."""
        folder = self._readable(path)
        return sorted(map(self._relative, self._tried(path, lambda: self._filesystem.find(folder))))

    def listing(self, path: str) -> Iterator[StoredPath]:
        """Yield every file below a folder with its size and age."""
        folder = self._full_path(path)
        found = self._tried(path, lambda: self._filesystem.find(folder, detail=True))
        for item, info in found.items():
            # One that is gone by now was being written, or somebody else removed it.
            with suppress(FileNotFoundError):
                modified = self._tried(path, lambda: self._filesystem.modified(item))  # noqa: B023 - called at once
                yield StoredPath(self._relative(item), int(info["size"]), modified)

    def stamps(self, *, depth: int) -> dict[str, str]:
        """Return by path, for every file so many folders deep, what changes when it does."""
        try:
            found = self._tried(
                "", lambda: self._filesystem.find(self._root, maxdepth=depth, detail=True)
            )
        except _NO_FILE:
            return {}
        return {
            self._relative(item): digest_of_bytes(repr(sorted(info.items())).encode())
            for item, info in found.items()
        }

    def leftovers(self) -> Iterator[StoredPath]:
        """Yield files that lie directly at the address and were being written there."""
        if not self.is_local:
            return
        for path in sorted(Path(str(self._root)).glob(f".*{TEMPORARY}")):
            with suppress(FileNotFoundError):
                stat = path.stat()
                modified = datetime.fromtimestamp(stat.st_mtime, UTC)
                yield StoredPath(path.name, stat.st_size, modified)

    @contextmanager
    def alone(self, folder: str) -> Iterator[None]:
        """Wait until nobody else is at work on a folder, and keep others waiting.

        On a disk the folder itself is locked, of which the end of a process, be it a kill, lets go.
        In an object store a lock is a file that only one can create; one that has not changed for
        five minutes is taken to be a dead process's. A store that cannot create exclusively, and a
        disk without locks, keep nobody out.
        """
        if self.is_local:
            # Not where evidence is only read, such as by a verifier on Windows.
            import fcntl

            full_path = Path(self._full_path(folder))
            _make_folder(full_path)
            descriptor = os.open(full_path, os.O_RDONLY)
            try:
                try:
                    fcntl.flock(descriptor, fcntl.LOCK_EX)
                except OSError as error:
                    if error.errno not in (errno.ENOTSUP, errno.ENOLCK, errno.EINVAL):
                        raise
                yield
            finally:
                os.close(descriptor)
            return
        path = f"{folder}/{_LOCK}"
        self._take_lock(path, uuid.uuid4().hex.encode())
        try:
            yield
        finally:
            with suppress(*_NO_FILE):
                self._tried(path, lambda: self._filesystem.rm_file(self._full_path(path)))

    def _take_lock(self, path: str, token: bytes) -> None:
        held: bytes | None = None
        since = time.monotonic()
        while True:
            try:
                self.create(path, token)
            except FileExistsError:
                found = self.read(path)
                if found != held:
                    held, since = found, time.monotonic()
                elif time.monotonic() - since > _SECONDS_OF_A_LOCK:
                    with suppress(*_NO_FILE):
                        self._filesystem.rm_file(self._full_path(path))
                    continue
                time.sleep(_BETWEEN_LOOKS)
            else:
                return

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
        if not self.is_local:
            if self.exists(path):
                raise FileExistsError(full_path)
            try:
                self._tried(
                    path, lambda: self._filesystem.pipe_file(full_path, content, mode="create")
                )
            except FileExistsError:
                # What was stored although the store called it a failure is ours.
                if self.read(path) != content:
                    raise
            return
        with self._written_aside(content) as temporary:
            try:
                os.link(temporary, full_path)
            except PermissionError:
                # A disk without hard links (exFAT, some mounts): the name is taken first, then
                # filled.
                with _naming(Path(full_path)), open(full_path, "xb", opener=_open_as_owner) as file:
                    try:
                        file.write(content)
                        file.flush()
                    except BaseException:
                        Path(full_path).unlink()
                        raise

    def replace(self, path: str, content: bytes) -> None:
        """Write a file whole and for certain, in the place of the one that may be there."""
        full_path = self._full_path(path)
        self._make_parent(full_path)
        if self.is_local:
            with self._written_aside(content) as temporary:
                temporary.replace(full_path)
        else:
            self._tried(path, lambda: self._filesystem.pipe_file(full_path, content))

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
        if self.is_local:
            return _write_to_disk(Path(full_path), content)
        try:
            return self._tried(path, lambda: self._send(full_path, content))
        except FileNotFoundError:
            # An object store has no folders, and asking for them costs a request a file.
            self._make_parent(full_path)
            return self._tried(path, lambda: self._send(full_path, content))

    def remove(self, paths: Sequence[str]) -> None:
        """Remove files one after the other, and the folders on a disk that they leave empty.

        One that is gone already is none's loss.
        """
        full_paths = [self._full_path(path) for path in paths]
        for path, full_path in zip(paths, full_paths, strict=True):
            with suppress(FileNotFoundError):
                self._tried(path, lambda: self._filesystem.rm_file(full_path))  # noqa: B023 - called at once
        if self.is_local:
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
        if self.is_local and not self._follow_links:
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
        if self.is_local:
            _make_folder(Path(parent))
        else:
            self._filesystem.makedirs(parent, exist_ok=True)

    def _tried(self, path: str, call: Callable[[], _Answer]) -> _Answer:
        """Call the filesystem, and again where that fails for no reason that would stay.

        Raises
        ------
        EvidenceError
            Where an object store does not answer as it should, whatever its library calls that. A
            disk's own errors, and that there is no such file, are raised as they are.
        """
        pauses = iter(_PAUSES[:1] if self.is_local else _PAUSES)
        while True:
            try:
                with _naming(Path(self._full_path(path))):
                    return call()
            except (*_NO_FILE, FileExistsError):
                raise
            except Exception as error:
                if _may_pass(error) and (pause := next(pauses, None)) is not None:
                    time.sleep(pause)
                    continue
                # A disk that is full is this machine's, whatever was copied to it.
                if self.is_local or getattr(error, "errno", None) in _LASTING:
                    raise
                raise EvidenceError(
                    f"the store did not do what it was asked ({type(error).__name__}:"
                    f" {' '.join(str(error).split())})",
                    culprit=self.location(path),
                    fix="see that the store is reached, and that these credentials may read, write"
                    " and delete there, and run again",
                ) from error

    def _read_chunks(self, path: str, to: Path) -> StoredFile | None:
        full_path = self._readable(path)

        def read() -> StoredFile:
            with (
                self._filesystem.open(full_path, "rb") as file,
                _naming(to),
                to.open("wb") as target,
            ):
                return _pass_on(file, target, Path(full_path))

        try:
            return self._tried(path, read)
        except _NO_FILE:
            return None

    @contextmanager
    def _written_aside(self, content: bytes) -> Iterator[Path]:
        # Not beside the file: whoever checks that folder must not meet half a file.
        aside = Path(self._full_path(f".{uuid.uuid4().hex}{TEMPORARY}"))
        with _temporary(aside) as temporary:
            with open(temporary, "wb", opener=_open_as_owner) as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            yield temporary

    def _send(self, full_path: str, content: bytes | Path) -> StoredFile:
        """Hand over a whole file, of which an object store shows all or nothing."""
        # What is written piece by piece is stored as far as it came where its source fails.
        if isinstance(content, bytes):
            self._filesystem.pipe_file(full_path, content)
            return StoredFile(sha256=digest_of_bytes(content), size=len(content))
        digest = digest_of_file(content)
        self._filesystem.put_file(str(content), full_path)
        return StoredFile(sha256=digest, size=content.stat().st_size)


def _quick_retries(url: str) -> dict[str, Any]:
    """Have S3 asked again after a tenth of a second where it fails, and not after half of one.

    Its library waits a second at random, which makes minutes of a store that fails now and then.
    """
    if fsspec.utils.get_protocol(url) not in ("s3", "s3a"):
        return {}
    from s3fs.core import set_custom_error_handler  # type: ignore[import-untyped] # its lack

    set_custom_error_handler(_is_stores_own)
    settings = dict(fsspec.config.conf.get("s3", {}).get("config_kwargs", {}))
    return {"config_kwargs": {"retries": {"total_max_attempts": 1}} | settings}


def _is_stores_own(error: Exception) -> bool:
    answer = getattr(error, "response", {}).get("ResponseMetadata", {})
    return int(answer.get("HTTPStatusCode", 0)) >= HTTPStatus.INTERNAL_SERVER_ERROR


def _may_pass(error: Exception) -> bool:
    """Tell whether the same call may succeed in a moment; what is refused or full will not."""
    if isinstance(error, PermissionError) or getattr(error, "errno", None) in _LASTING:
        return False
    return fault_of(error) == "machine"


def _write_to_disk(path: Path, content: bytes | Path) -> StoredFile:
    _make_folder(path.parent)
    aside = path.with_name(f"{path.name}.{uuid.uuid4().hex}{TEMPORARY}")
    source = content.open("rb") if isinstance(content, Path) else io.BytesIO(content)
    with source, _temporary(aside) as temporary:
        with open(temporary, "wb", opener=_open_as_owner) as target:
            stored = _pass_on(source, target, content if isinstance(content, Path) else aside)
        temporary.replace(path)
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


def _pass_on(source: BinaryIO, target: BinaryIO, name: Path) -> StoredFile:
    """Copy a file chunk by chunk, and return digest and size; its name is for errors of reading."""
    digest = hashlib.sha256()
    size = 0
    while True:
        with _naming(name):
            chunk = source.read(_CHUNK_SIZE)
        if not chunk:
            break
        digest.update(chunk)
        target.write(chunk)
        size += len(chunk)
    return StoredFile(sha256=digest.hexdigest(), size=size)
