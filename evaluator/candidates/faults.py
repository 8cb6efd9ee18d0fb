"""The errors that a candidate causes, each with the candidate's name."""

from collections.abc import Sequence

from evaluator.errors import CandidateError
from evaluator.spec.candidates import CandidateBase


class TransientCandidateError(CandidateError):
    """A candidate that could not be reached now, and may be reached later."""


def fault(candidate: CandidateBase, what: str, *, fix: str) -> CandidateError:
    """Make the error of a candidate; see `CandidateError`."""
    return CandidateError(what, culprit=f"candidate {candidate.name}", fix=fix)


def transient_fault(candidate: CandidateBase, what: str, *, fix: str) -> TransientCandidateError:
    """Make the error of a candidate that may be gone at the next try."""
    return TransientCandidateError(what, culprit=f"candidate {candidate.name}", fix=fix)


def listed(names: Sequence[object], most: int = 5) -> str:
    """List some names, and say how many more there are."""
    shown = ", ".join(repr(name) for name in names[:most])
    return f"{shown} and {len(names) - most} more" if len(names) > most else shown
