"""Files below one fsspec address: read, listed and written whole, on a disk or in an object store.

It knows paths and bytes. What a version is, and which records exist, is the store's business.
"""

import hashlib
import io
import os
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

import fsspec
from fsspec.implementations.local import LocalFileSystem

from evaluator.evidence._record import StoredFile

_PART = 1024 * 1024


class StoredPath(NamedTuple):
    """A file below the address."""

    path: str
    size: int
    modified: datetime


class Files:
    """Read, list and write files below one fsspec address; every path starts there.

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

    def shown(self, path: str) -> str:
        """Return a file's full path or URL, for people and links."""
        place = self._place(path)
        return place if self._is_local else str(self._files.unstrip_protocol(place))

    def read(self, path: str) -> bytes | None:
        """Return a file's bytes, or None where there is no such file."""
        try:
            content: bytes = self._files.cat_file(self._place(path))
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
            return None
        return content

    def digest(self, path: str) -> StoredFile | None:
        """Return a file's digest and size without holding it, or None where there is none."""
        return self._each_part(path, lambda _: None)

    def copy(self, path: str, to: Path) -> StoredFile | None:
        """Copy a file, and return its digest and size, or None where there is none."""
        with to.open("wb") as target:
            return self._each_part(path, target.write)

    def exists(self, path: str) -> bool:
        """Tell whether there is such a file or folder."""
        return bool(self._files.exists(self._place(path)))

    def names(self, path: str) -> list[str]:
        """List what lies directly in a folder, in order; nothing where it is not there."""
        place = self._place(path)
        if not self._files.isdir(place):
            return []
        found = self._files.ls(place, detail=False)
        return sorted(name.rstrip("/").rsplit("/", 1)[-1] for name in found)

    def walk(self, path: str = "") -> list[str]:
        """List every file below a folder, in order."""
        return sorted(self._relative(found) for found in self._files.find(self._place(path)))

    def listing(self, path: str) -> Iterator[StoredPath]:
        """Yield every file below a folder with its size and age."""
        for found, info in self._files.find(self._place(path), detail=True).items():
            modified = self._files.modified(found)
            yield StoredPath(self._relative(found), int(info["size"]), modified)

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
        place = self._place(path)
        self._files.makedirs(place.rsplit("/", 1)[0], exist_ok=True)
        if not self._is_local:
            if self._files.exists(place):
                raise FileExistsError(place)
            self._files.pipe_file(place, content, mode="create")
            return
        temporary = self._write_aside(content)
        try:
            os.link(temporary, place)
        except PermissionError:
            # A disk without hard links (exFAT, some mounts): the name is taken first, then filled.
            with Path(place).open("xb") as file:
                file.write(content)
        finally:
            temporary.unlink()

    def replace(self, path: str, content: bytes) -> None:
        """Write a file whole and for certain, in the place of the one that may be there."""
        place = self._place(path)
        self._files.makedirs(place.rsplit("/", 1)[0], exist_ok=True)
        if self._is_local:
            self._write_aside(content).replace(place)
        else:
            self._files.pipe_file(place, content)

    def write(self, path: str, content: bytes | Path) -> StoredFile:
        """Write a file under a temporary name and rename it; a path's content is not held.

        Whoever reads meets the whole file or none. A machine that loses power may lose it.
        """
        if self._is_local:
            return self._write_to_disk(Path(self._place(path)), content)
        try:
            return self._send(self._place(path), content)
        except FileNotFoundError:
            # An object store has no folders, and asking for them costs a request a file.
            self._files.makedirs(self._place(path).rsplit("/", 1)[0], exist_ok=True)
            return self._send(self._place(path), content)

    def remove(self, paths: Sequence[str]) -> None:
        """Remove files one after the other, and the folders on a disk that they leave empty."""
        places = [self._place(path) for path in paths]
        for place in places:
            self._files.rm_file(place)
        if self._is_local:
            for folder in {Path(place).parent for place in places}:
                with suppress(OSError):
                    folder.rmdir()

    def _place(self, path: str) -> str:
        return f"{self._root}/{path}" if path else str(self._root)

    def _relative(self, place: str) -> str:
        return place.removeprefix(f"{self._root}/")

    def _each_part(self, path: str, use: Callable[[bytes], object]) -> StoredFile | None:
        digest = hashlib.sha256()
        size = 0
        try:
            with self._files.open(self._place(path), "rb") as file:
                while part := file.read(_PART):
                    digest.update(part)
                    use(part)
                    size += len(part)
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
            return None
        return StoredFile(sha256=digest.hexdigest(), size=size)

    def _send(self, place: str, content: bytes | Path) -> StoredFile:
        """Hand over a whole file, of which an object store shows all or nothing.

        A file that is written piece by piece is stored as far as it came where its source fails.
        """
        if isinstance(content, bytes):
            self._files.pipe_file(place, content)
            return StoredFile(sha256=hashlib.sha256(content).hexdigest(), size=len(content))
        with content.open("rb") as source:
            digest = hashlib.file_digest(source, "sha256").hexdigest()
        self._files.put_file(str(content), place)
        return StoredFile(sha256=digest, size=content.stat().st_size)

    def _write_to_disk(self, path: Path, content: bytes | Path) -> StoredFile:
        place = path.with_name(f"{path.name}.{uuid.uuid4().hex}.tmp")
        path.parent.mkdir(parents=True, exist_ok=True)
        digest = hashlib.sha256()
        size = 0
        opened = content.open("rb") if isinstance(content, Path) else io.BytesIO(content)
        with opened as source, place.open("wb") as target:
            while part := source.read(_PART):
                digest.update(part)
                target.write(part)
                size += len(part)
        place.replace(path)
        return StoredFile(sha256=digest.hexdigest(), size=size)

    def _write_aside(self, content: bytes) -> Path:
        # Not beside the file: whoever checks that folder must not meet half a file.
        temporary = Path(self._place(f".{uuid.uuid4().hex}.tmp"))
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        return temporary
