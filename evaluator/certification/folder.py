"""A folder of evidence as plain files: for what the store's own records do not cover.

The store reads what a record names. Who checks evidence has to see what lies there besides, and
who keeps a ledger has to create files that were not there before.
"""

import hashlib
import os
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import fsspec
from fsspec.implementations.local import LocalFileSystem

from evaluator.evidence.record import StoredFile

_PART = 1024 * 1024


class Folder:
    """Read, list and create files below one fsspec address.

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

    def read(self, path: str) -> bytes | None:
        """Return a file's bytes, or None where there is no such file."""
        try:
            content: bytes = self._files.cat_file(f"{self._root}/{path}")
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

    def names(self, path: str) -> list[str]:
        """List what lies directly in a folder, in order; nothing where it is not there."""
        place = f"{self._root}/{path}" if path else self._root
        if not self._files.isdir(place):
            return []
        found = self._files.ls(place, detail=False)
        return sorted(name.rstrip("/").rsplit("/", 1)[-1] for name in found)

    def walk(self, path: str = "") -> Iterator[str]:
        """Yield every file below a folder, by its path from this one, in order."""
        place = f"{self._root}/{path}" if path else self._root
        for found in sorted(self._files.find(place)):
            yield found.removeprefix(f"{self._root}/")

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
        place = f"{self._root}/{path}"
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
        """Write a file whole, in the place of the one that may be there."""
        place = f"{self._root}/{path}"
        self._files.makedirs(place.rsplit("/", 1)[0], exist_ok=True)
        if self._is_local:
            self._write_aside(content).replace(place)
        else:
            self._files.pipe_file(place, content)

    def _each_part(self, path: str, use: Callable[[bytes], object]) -> StoredFile | None:
        digest = hashlib.sha256()
        size = 0
        try:
            with self._files.open(f"{self._root}/{path}", "rb") as file:
                while part := file.read(_PART):
                    digest.update(part)
                    use(part)
                    size += len(part)
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
            return None
        return StoredFile(sha256=digest.hexdigest(), size=size)

    def _write_aside(self, content: bytes) -> Path:
        # Not beside the file: whoever checks that folder must not meet half a file.
        temporary = Path(f"{self._root}/.{uuid.uuid4().hex}.tmp")
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        return temporary
