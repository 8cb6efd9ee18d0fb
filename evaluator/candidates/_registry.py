"""From a candidate of any kind to its artifact, by the adapter of its kind."""

from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from typing import Any

import pandas as pd

from evaluator.candidates import _kinds
from evaluator.candidates._adapter import (
    ADAPTERS,
    Adapter,
    Artifact,
    Reading,
    Recording,
    RecordingIssue,
    Scorer,
)
from evaluator.candidates._faults import candidate_error
from evaluator.spec import CandidateBase, CandidateSpec, Task

for _module in iter_modules(_kinds.__path__, f"{_kinds.__name__}."):
    import_module(_module.name)


def adapter_of(candidate: CandidateBase) -> Adapter[Any, Any]:
    """Return the adapter of a candidate's kind.

    Parameters
    ----------
    candidate
        What the YAML says of it; an instance of a registered class or of one derived from it.
    """
    return next(ADAPTERS[model] for model in type(candidate).__mro__ if model in ADAPTERS)


def load_scorer(
    candidate: CandidateSpec,
    home: Path,
    *,
    task: Task,
    tracking_uri: str | None = None,
    digest: str | None = None,
) -> Scorer:
    """Read a candidate's artifact, or get ready to ask its endpoint.

    Parameters
    ----------
    candidate
        What the YAML says of it.
    home
        Where relative paths start.
    task
        What it is asked about each case; the class whose probability is the score is of it.
    tracking_uri
        MLflow's server; by default MLflow's own.
    digest
        The digest that `artifact_digest` gave and that the results will be filed under.

    Raises
    ------
    CandidateError
        Where the artifact is absent, is not trusted, cannot score, was made for other features,
        or is another one than the digest says.
    """
    reading = read_artifact(candidate, home, tracking_uri=tracking_uri, digest=digest)
    return adapter_of(candidate).load(candidate, reading.content, task)


def read_artifact(
    candidate: CandidateSpec, home: Path, *, tracking_uri: str | None, digest: str | None
) -> Reading[Any]:
    """Read a candidate's artifact once, and refuse another one than the digest says."""
    reading = adapter_of(candidate).read(Artifact(candidate, home, tracking_uri))
    if digest not in (None, reading.digest):
        raise candidate_error(
            candidate,
            "its artifact was exchanged since it was observed",
            fix="observe its model again, and run its slices again",
        )
    return reading


def artifact_digest(
    candidate: CandidateSpec, home: Path, *, tracking_uri: str | None = None
) -> str:
    """Tell which artifact the candidate has now, as 64 hexadecimal digits.

    It is the SHA-256 of a file's bytes (for a pickle the one that is there, not the one that is
    pinned), of a folder's files, of a registry's version, or of an endpoint's address and version.

    Parameters
    ----------
    candidate, home, tracking_uri
        As for `load_scorer`.

    Raises
    ------
    CandidateError
        Where there is no such artifact, or whoever knows does not answer.
    """
    return adapter_of(candidate).digest(Artifact(candidate, home, tracking_uri))


def artifact_stamp(
    candidate: CandidateSpec, home: Path, *, tracking_uri: str | None = None
) -> list[int]:
    """Tell, without reading a file's bytes, what changes whenever the artifact does.

    Parameters
    ----------
    candidate, home, tracking_uri
        As for `load_scorer`.

    Returns
    -------
    list of int
        A file's size in bytes and time of change in nanoseconds; of anything else, one number
        from its digest.

    Raises
    ------
    OSError
        Where there is no such artifact, or whoever knows does not answer.
    """
    return adapter_of(candidate).stamp(Artifact(candidate, home, tracking_uri))


def recording_issues(
    candidate: CandidateSpec,
    home: Path,
    cases: pd.DataFrame,
    *,
    task: Task,
    digest: str | None = None,
) -> tuple[RecordingIssue, ...]:
    """Hold a candidate that is a recording against the whole evaluation set.

    Parameters
    ----------
    candidate, home, task, digest
        As for `load_scorer`.
    cases
        One row a case of the evaluation set: `id`, and `label` (0 or 1).

    Returns
    -------
    tuple of RecordingIssue
        Only what there is: nothing where recording and evaluation set match, and nothing of a
        candidate that is no recording.

    Raises
    ------
    CandidateError
        Where the recording is absent, is another one than the digest says or cannot be read, lacks
        a column, or holds scores that are no numbers.
    """
    if not adapter_of(candidate).is_recording:
        return ()
    scorer = load_scorer(candidate, home, task=task, digest=digest)
    return scorer.issues(cases) if isinstance(scorer, Recording) else ()
