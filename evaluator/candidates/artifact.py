"""A candidate's artifact on disk: where it is, and its digest."""

import hashlib
from pathlib import Path

from evaluator.candidates.faults import fault
from evaluator.spec.candidates import FileCandidate


def artifact_path(candidate: FileCandidate, home: Path) -> Path:
    """Return where the artifact lies; a relative path starts at the platform's home."""
    return home / candidate.path


def file_digest(candidate: FileCandidate, home: Path) -> str:
    """SHA-256 of the artifact's bytes, as 64 hexadecimal digits.

    Raises
    ------
    CandidateError
        Where there is no such file.
    """
    with existing_artifact(candidate, home).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def existing_artifact(candidate: FileCandidate, home: Path) -> Path:
    """Return where the artifact lies, and make sure that it does; see `file_digest`."""
    path = artifact_path(candidate, home)
    if not path.is_file():
        raise fault(
            candidate,
            f"its artifact {path} is not there",
            fix=f"put the file there, or correct `path` of {candidate.name} in the audit's YAML",
        )
    return path
