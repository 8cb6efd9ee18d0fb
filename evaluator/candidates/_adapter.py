"""What differs from kind to kind of candidate: how the artifact is known, and read as a scorer.

An artifact is read once: its digest is of what was read, and a scorer is made of that and of
nothing else (`Reading`).
"""

import hashlib
import os
import shutil
import stat
import tempfile
import weakref
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import (
    Any,
    BinaryIO,
    ClassVar,
    Final,
    Generic,
    NamedTuple,
    Protocol,
    TypeVar,
    runtime_checkable,
)

import numpy as np
import pandas as pd

from evaluator.candidates._faults import artifact_path, candidate_error, existing_artifact
from evaluator.errors import CandidateError
from evaluator.evidence import digest_of, digest_of_bytes, digest_of_file
from evaluator.spec import CandidateBase, Task

_CHUNK: Final = 1024**2
"""Bytes of a file that are hashed and copied at a time."""
_Candidate = TypeVar("_Candidate", bound=CandidateBase)
_Content = TypeVar("_Content")


class Scorer(Protocol):
    """What every kind of candidate is read as: something that gives each case outputs."""

    def score(self, features: pd.DataFrame) -> np.ndarray:
        """Return for n cases the outputs that the task asks for, such as probabilities.

        Parameters
        ----------
        features
            The declared features in their order, as columns; the cases' ids, as index.

        Returns
        -------
        numpy.ndarray
            As `Task.shape` says, in the order of the cases.

        Raises
        ------
        CandidateError
            Where the candidate cannot score these cases. Whatever else its own code raises comes
            through from a candidate in this process.
        """
        ...


@runtime_checkable
class Decider(Protocol):
    """A candidate that may make the decision itself, instead of by a threshold."""

    def decide(self, features: pd.DataFrame) -> np.ndarray | None:
        """Return decisions, shape (n,), as the task numbers them; None where outputs decide."""
        ...


@runtime_checkable
class Recording(Protocol):
    """A candidate whose outputs are there before they are asked for."""

    def issues(self, cases: pd.DataFrame) -> "tuple[RecordingIssue, ...]":
        """Hold the recording against the whole evaluation set."""
        ...


class RecordingIssue(NamedTuple):
    """Something about a recording that its reader must know."""

    kind: str
    """`missing_ids`, `extra_ids`, `repeated_ids`, `conflicting_outputs`, `unknown_labels`,
    `conflicting_labels` or `rows_without_id`."""
    affected: int
    """How many ids, or rows without an id, it concerns."""
    examples: tuple[str, ...]
    """Some of these ids."""
    text: str
    """The finding as a sentence."""


class Artifact(NamedTuple, Generic[_Candidate]):
    """A candidate, and where its artifact is looked for."""

    candidate: _Candidate
    home: Path
    """Where relative paths start."""
    tracking_uri: str | None
    """MLflow's server; None for MLflow's own."""


class Reading(NamedTuple, Generic[_Content]):
    """An artifact as it was read once."""

    digest: str
    """What it is known by."""
    content: _Content
    """All that a scorer is made of: a file's bytes, a copy of a folder, an endpoint's version."""
    files_digest: str
    """The digest of exactly the files that were read. It differs from `digest` where that is of a
    name alone, such as that of a version in a remote store."""


class Adapter(ABC, Generic[_Candidate, _Content]):
    """A kind of candidate: all that the platform has to know of it beside its YAML."""

    libraries: ClassVar[tuple[str, ...]] = ()
    """Modules that reading the artifact needs. A process of the candidate's own imports them before
    its limits of time and memory count."""
    icons: ClassVar[frozenset[str]] = frozenset()
    """What the UI shows an icon of, beside the kind."""
    artifact_is_file: ClassVar[bool] = False
    """Whether the digest is the SHA-256 of a single file's bytes, so that others can compare it."""
    is_recording: ClassVar[bool] = False
    """Whether the scorer is a `Recording`."""

    @abstractmethod
    def read(self, artifact: Artifact[_Candidate], /) -> Reading[_Content]:
        """Read the artifact once, with the digest of what was read."""

    @abstractmethod
    def load(self, candidate: _Candidate, content: _Content, task: Task, /) -> Scorer:
        """Make a scorer of what was read; refuse what cannot give scores.

        No file is opened by its place any more: what lies there now may be another one.
        """

    @abstractmethod
    def digest(self, artifact: Artifact[_Candidate], /) -> str:
        """Tell which artifact is there now, as 64 hexadecimal digits: what `read` would tell."""

    def stamp(self, artifact: Artifact[_Candidate], /) -> list[int]:
        """Return numbers that change whenever the artifact does; an `OSError` where there is none.

        By default it is one number from the digest.
        """
        try:
            digest = self.digest(artifact)
        except CandidateError as error:
            raise FileNotFoundError(str(error)) from error
        # So many digits tell two apart, and JSON keeps a number of that size to the last bit.
        return [int(digest[:12], 16)]


class FileAdapter(Adapter[_Candidate, bytes]):
    """A kind whose artifact is the one file that its `source` names."""

    artifact_is_file = True

    def read(self, artifact: Artifact[_Candidate], /) -> Reading[bytes]:
        """Read the file's bytes and take their SHA-256."""
        content = existing_artifact(artifact.candidate, artifact.home).read_bytes()
        digest = digest_of_bytes(content)
        return Reading(digest, content, digest)

    def digest(self, artifact: Artifact[_Candidate], /) -> str:
        """Return the SHA-256 of the file's bytes."""
        return digest_of_file(existing_artifact(artifact.candidate, artifact.home))

    def stamp(self, artifact: Artifact[_Candidate], /) -> list[int]:
        """Return the file's size in bytes and its time of change in nanoseconds."""
        status = artifact_path(artifact.candidate, artifact.home).stat()
        return [status.st_size, status.st_mtime_ns]


class FolderCopy:
    """A folder's files in a private folder, each hashed while it was copied.

    It is deleted with the last reference to it.
    """

    def __init__(self, candidate: CandidateBase, folder: Path) -> None:
        self._candidate = candidate
        self.root = Path(tempfile.mkdtemp(prefix="evaluator-artifact-"))
        weakref.finalize(self, shutil.rmtree, self.root, ignore_errors=True)
        self.files: Mapping[str, str] = _hash_files(candidate, folder, into=self.root)
        """The SHA-256 of each file, by its path in the folder."""

    @property
    def digest(self) -> str:
        """The digest of the files and of their paths."""
        return digest_of(self.files)

    def path_of(self, name: object, *, said_by: str, below: str = "") -> Path:
        """Return where a file is that something in the folder names; refuse any other file."""
        inside = None
        if isinstance(name, str) and not leads_out(name):
            inside = (PurePosixPath(below) / name).as_posix()
        if inside is None or inside not in self.files:
            raise candidate_error(
                self._candidate,
                f"its {said_by} names {name!r}, which is no file in its folder",
                fix="save the model anew, with all of its files in one folder",
            )
        return self.root / inside


def folder_digest(candidate: CandidateBase, folder: Path) -> str:
    """Return the digest that a copy of the folder would have."""
    return digest_of(_hash_files(candidate, folder))


def leads_out(name: str) -> bool:
    """Tell whether a path may mean something outside the folder in which it is said."""
    parts = PurePosixPath(name.replace("\\", "/")).parts
    return name.startswith(("/", "file:")) or ".." in parts or "\0" in name


def _hash_files(
    candidate: CandidateBase, folder: Path, *, into: Path | None = None
) -> dict[str, str]:
    """Return the SHA-256 of each file below a folder, by its path there; perhaps copy them."""
    digests = {}
    try:
        for name, file in _open_files(candidate, folder):
            digest = hashlib.sha256()
            target = Path(os.devnull) if into is None else into / name
            target.parent.mkdir(parents=True, exist_ok=True)
            with file, target.open("wb") as copy:
                while chunk := file.read(_CHUNK):
                    digest.update(chunk)
                    copy.write(chunk)
            digests[name] = digest.hexdigest()
    except OSError as error:
        raise candidate_error(
            candidate,
            f"its folder {folder} cannot be read ({error})",
            fix="let the account that evaluates read all of it",
        ) from error
    return digests


def _open_files(candidate: CandidateBase, folder: Path) -> Iterator[tuple[str, BinaryIO]]:
    """Open each file below a folder; refuse links, devices, and whatever else is no file."""
    if folder.is_symlink():
        raise _no_file_error(candidate, str(folder))
    for root, folders, names, descriptor in os.fwalk(folder, onerror=_raise):
        for name in (*folders, *names):
            path = (Path(root) / name).relative_to(folder).as_posix()
            # Of the folder that is open here: another one may lie at its path by now.
            mode = os.stat(name, dir_fd=descriptor, follow_symlinks=False).st_mode
            if stat.S_ISDIR(mode):
                continue
            flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK
            if not stat.S_ISREG(mode) or path.encode(errors="replace").decode() != path:
                raise _no_file_error(candidate, path)
            file = os.fdopen(os.open(name, flags, dir_fd=descriptor), "rb")
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                file.close()
                raise _no_file_error(candidate, path)
            yield path, file


def _raise(error: OSError) -> None:
    raise error


def _no_file_error(candidate: CandidateBase, name: str) -> CandidateError:
    return candidate_error(
        candidate,
        f"{name!r} of its artifact is a link, or no plain file with a name in UTF-8",
        fix="put the folder itself there, with plain files instead of links",
    )


ADAPTERS: Final[dict[type[CandidateBase], Adapter[Any, Any]]] = {}
"""The adapter of each kind, by the class of its YAML; each module of `_kinds` enters its own."""
