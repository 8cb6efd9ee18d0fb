"""The errors that a candidate causes, each with its name, and the file that its artifact is."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from evaluator.errors import CandidateError
from evaluator.evidence import digest_of_file
from evaluator.spec import CandidateBase

_MAX_MESSAGE_LENGTH: Final = 2000
"""Characters of somebody else's message that an error repeats."""
_MAX_NAMES: Final = 5


class TransientCandidateError(CandidateError):
    """A candidate that could not be reached now, and may be reached later."""


class CandidateCrashError(CandidateError):
    """A candidate whose own code raised something, or whose process was ended."""


class CandidateTimeoutError(CandidateError):
    """A candidate that took longer than it may, and is not asked the same again at once."""


def candidate_error(candidate: CandidateBase, what: str, *, fix: str) -> CandidateError:
    """Make the error of a candidate."""
    return CandidateError(what, culprit=f"candidate {candidate.name}", fix=fix)


def transient_error(candidate: CandidateBase, what: str, *, fix: str) -> TransientCandidateError:
    """Make the error of a candidate; it may be gone at the next try."""
    return TransientCandidateError(what, culprit=f"candidate {candidate.name}", fix=fix)


def crash_error(candidate: CandidateBase, what: str, *, fix: str) -> CandidateCrashError:
    """Make the error of a candidate's own code."""
    return CandidateCrashError(what, culprit=f"candidate {candidate.name}", fix=fix)


def error_from_exception(
    candidate: CandidateBase, error: BaseException, phase: str
) -> CandidateError:
    """Make the error of what a candidate's own code raised while loading or scoring."""
    message = " ".join(str(error).split())[:_MAX_MESSAGE_LENGTH]
    what = f"it raised {type(error).__name__}{': ' if message else ''}{message} while {phase}"
    if isinstance(error, ConnectionError | TimeoutError):
        fix = "look after what the candidate talks to, and run the slice again"
        return transient_error(candidate, what, fix=fix)
    return crash_error(
        candidate, what, fix="mend the candidate's code; the evidence has its whole trace"
    )


def copy_error(error: CandidateError) -> CandidateError:
    """Make an equal error, which can be raised once more without the trace of the first time."""
    return type(error)(error.what, culprit=error.culprit, fix=error.fix)


def format_names(names: Sequence[object]) -> str:
    """List some names, and say how many more there are."""
    shown = ", ".join(repr(name) for name in names[:_MAX_NAMES])
    more = len(names) - _MAX_NAMES
    return f"{shown} and {more} more" if more > 0 else shown


def artifact_path(candidate: CandidateBase, home: Path) -> Path:
    """Return where the artifact lies; a relative path starts at the platform's home."""
    return home / candidate.source


def file_digest(candidate: CandidateBase, home: Path) -> str:
    """Return the SHA-256 of the artifact's bytes, as 64 hexadecimal digits."""
    return digest_of_file(existing_artifact(candidate, home))


def existing_artifact(candidate: CandidateBase, home: Path) -> Path:
    """Return where the artifact lies, and refuse one that is not there."""
    path = artifact_path(candidate, home)
    if not path.is_file():
        raise candidate_error(
            candidate,
            f"its artifact {path} is not there",
            fix=f"put the file there, or correct `path` of {candidate.name} in the audit's YAML",
        )
    return path
