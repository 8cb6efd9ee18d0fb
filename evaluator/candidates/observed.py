"""Which artifact a candidate has now: known by its digest, looked at often and cheaply."""

from pathlib import Path

from evaluator.candidates.artifact import artifact_path, file_digest
from evaluator.candidates.endpoint import endpoint_digest
from evaluator.candidates.mlflow_model import mlflow_digest
from evaluator.errors import CandidateError
from evaluator.spec.candidates import CandidateSpec, HttpCandidate, MlflowCandidate


def artifact_digest(
    candidate: CandidateSpec, home: Path, *, tracking_uri: str | None = None
) -> str:
    """Tell which artifact the candidate has now, as 64 hexadecimal digits.

    It is the SHA-256 of a file's bytes (for a pickle the one that is there, not the one that is
    pinned), of a folder's files, of a registry's version, or of an endpoint's address and version.

    Parameters
    ----------
    candidate
        What the YAML says of it.
    home
        Where relative paths start.
    tracking_uri
        MLflow's server; by default MLflow's own.

    Raises
    ------
    CandidateError
        Where there is no such artifact, or whoever knows does not answer.
    """
    if isinstance(candidate, MlflowCandidate):
        return mlflow_digest(candidate, home, tracking_uri)
    if isinstance(candidate, HttpCandidate):
        return endpoint_digest(candidate)
    return file_digest(candidate, home)


def artifact_stamp(
    candidate: CandidateSpec, home: Path, *, tracking_uri: str | None = None
) -> list[int]:
    """Tell what changes when the artifact may have changed: a file's size and time of change.

    What is no file has no such stamp; its digest stands for it, in numbers.

    Raises
    ------
    OSError
        Where there is no such artifact, or whoever knows does not answer.
    """
    if not isinstance(candidate, MlflowCandidate | HttpCandidate):
        status = artifact_path(candidate, home).stat()
        return [status.st_size, status.st_mtime_ns]
    try:
        digest = artifact_digest(candidate, home, tracking_uri=tracking_uri)
    except CandidateError as error:
        raise FileNotFoundError(str(error)) from error
    # Enough of it to tell two apart, and a number that JSON keeps.
    return [int(digest[:12], 16)]
