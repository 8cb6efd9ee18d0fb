"""A candidate's artifact on disk: where it is, and its digest."""

import hashlib
from pathlib import Path

from evaluator.errors import CandidateError
from evaluator.spec.candidates import CandidateSpec


def artifact_path(candidate: CandidateSpec, home: Path) -> Path:
    """Return where the artifact lies; a relative path starts at the platform's home."""
    return home / candidate.path


def artifact_digest(candidate: CandidateSpec, home: Path) -> str:
    """SHA-256 of the artifact's bytes, as 64 hexadecimal digits.

    Raises
    ------
    CandidateError
        Where there is no such file.
    """
    with existing_artifact(candidate, home).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def existing_artifact(candidate: CandidateSpec, home: Path) -> Path:
    """Return where the artifact lies, and make sure that it does; see `artifact_digest`."""
    path = artifact_path(candidate, home)
    if not path.is_file():
        raise CandidateError(
            f"its artifact {path} is not there",
            culprit=f"candidate {candidate.name}",
            fix=f"put the file there, or correct `path` of {candidate.name} in the audit's YAML",
        )
    return path
