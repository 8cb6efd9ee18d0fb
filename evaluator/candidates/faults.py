"""The errors that a candidate causes, each with the candidate's name."""

from collections.abc import Sequence

from evaluator.errors import CandidateError
from evaluator.spec.candidates import CandidateBase

MOST_WORDS = 2000
"""Characters of somebody else's message that an error repeats."""
_MOST_NAMES = 5


class TransientCandidateError(CandidateError):
    """A candidate that could not be reached now, and may be reached later."""


class CandidateCrashError(CandidateError):
    """A candidate whose own code raised something, or whose process was ended."""


class CandidateTimeoutError(CandidateError):
    """A candidate that took longer than it may, and is not asked the same again at once."""


def fault(candidate: CandidateBase, what: str, *, fix: str) -> CandidateError:
    """Make the error of a candidate; see `CandidateError`."""
    return CandidateError(what, culprit=f"candidate {candidate.name}", fix=fix)


def transient_fault(candidate: CandidateBase, what: str, *, fix: str) -> TransientCandidateError:
    """Make the error of a candidate that may be gone at the next try."""
    return TransientCandidateError(what, culprit=f"candidate {candidate.name}", fix=fix)


def crash(candidate: CandidateBase, what: str, *, fix: str) -> CandidateCrashError:
    """Make the error of a candidate's own code; see `CandidateCrashError`."""
    return CandidateCrashError(what, culprit=f"candidate {candidate.name}", fix=fix)


def raised(candidate: CandidateBase, error: BaseException, doing: str) -> CandidateError:
    """Make the error of what a candidate's own code raised, in its words.

    Parameters
    ----------
    candidate
        Whose code it was.
    error
        What it raised. A lost connection and a timeout are transient, everything else is not.
    doing
        What it was at: `loading` or `scoring`.
    """
    words = " ".join(str(error).split())[:MOST_WORDS]
    what = f"it raised {type(error).__name__}{': ' if words else ''}{words} while {doing}"
    if isinstance(error, ConnectionError | TimeoutError):
        fix = "look after what the candidate talks to, and run the slice again"
        return transient_fault(candidate, what, fix=fix)
    return crash(candidate, what, fix="mend the candidate's code; the evidence has its whole trace")


def told_again(error: CandidateError) -> CandidateError:
    """Make an equal error, which can be raised once more without the trace of the first time."""
    return type(error)(error.what, culprit=error.culprit, fix=error.fix)


def listed(names: Sequence[object]) -> str:
    """List some names, and say how many more there are."""
    shown = ", ".join(repr(name) for name in names[:_MOST_NAMES])
    more = len(names) - _MOST_NAMES
    return f"{shown} and {more} more" if more > 0 else shown
