"""What differs from kind to kind of candidate: how the artifact is known, and read as a scorer."""

from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, ClassVar, Final, Generic, NamedTuple, Protocol, TypeVar, runtime_checkable

import numpy as np
import pandas as pd

from evaluator.candidates._faults import artifact_path, existing_artifact
from evaluator.errors import CandidateError
from evaluator.evidence import digest_of_file
from evaluator.spec import CandidateBase, Task

_Candidate = TypeVar("_Candidate", bound=CandidateBase)


class Scorer(Protocol):
    """What every kind of candidate is read as: something that gives each case a score."""

    def score(self, features: pd.DataFrame) -> np.ndarray:
        """Return the probability of the positive class for n cases.

        Parameters
        ----------
        features
            The declared features in their order, as columns; the cases' ids, as index.

        Returns
        -------
        numpy.ndarray
            Shape (n,), in the order of the cases.

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
        """Return the decisions as 0 and 1, shape (n,); None where the threshold decides."""
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


class Adapter(ABC, Generic[_Candidate]):
    """A kind of candidate: all that the platform has to know of it beside its YAML."""

    libraries: ClassVar[tuple[str, ...]] = ()
    """Modules that reading the artifact needs. A process of the candidate's own imports them before
    its limits of time and memory count."""
    icons: ClassVar[frozenset[str]] = frozenset()
    """What the UI shows an icon of, beside the kind."""
    artifact_is_file: ClassVar[bool] = False
    """Whether the digest is the SHA-256 of a single file's bytes, so that others can compare it."""

    @abstractmethod
    def load(self, artifact: Artifact[_Candidate], task: Task, /) -> Scorer:
        """Read the artifact, or get ready to ask for scores; refuse one that cannot give them."""

    @abstractmethod
    def digest(self, artifact: Artifact[_Candidate], /) -> str:
        """Tell which artifact is there now, as 64 hexadecimal digits."""

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

    def recording_issues(
        self, _artifact: Artifact[_Candidate], _cases: pd.DataFrame, _task: Task, /
    ) -> tuple[RecordingIssue, ...]:
        """Hold a recording against the evaluation set; by default it is none."""
        return ()


class FileAdapter(Adapter[_Candidate]):
    """A kind whose artifact is the one file that its `source` names."""

    artifact_is_file = True

    def digest(self, artifact: Artifact[_Candidate], /) -> str:
        """Return the SHA-256 of the file's bytes."""
        return digest_of_file(existing_artifact(artifact.candidate, artifact.home))

    def stamp(self, artifact: Artifact[_Candidate], /) -> list[int]:
        """Return the file's size in bytes and its time of change in nanoseconds."""
        status = artifact_path(artifact.candidate, artifact.home).stat()
        return [status.st_size, status.st_mtime_ns]


ADAPTERS: Final[dict[type[CandidateBase], Adapter[Any]]] = {}
"""The adapter of each kind, by the class of its YAML; each module of `_kinds` enters its own."""
