"""The errors and warnings that a user can cause and can mend.

Each message says what is wrong, which culprit it is about, and how to mend it.
Anything else that is raised is a fault of the program or of the machine.
"""

from typing import Any


class EvaluatorError(Exception):
    """A mistake that its user can mend.

    Parameters
    ----------
    what
        What is wrong, as a sentence without its full stop.
    culprit
        What it is about: a file, a key, a candidate, a slice.
    fix
        How to mend it, as a sentence without its full stop.
    """

    def __init__(self, what: str, *, culprit: str, fix: str) -> None:
        self.what = what
        self.culprit = culprit
        self.fix = fix
        super().__init__(what, culprit, fix)

    def __reduce__(self) -> tuple[Any, ...]:
        # Errors travel between processes, and Python alone would forget the names of the arguments.
        return _rebuilt_error, (type(self), self.what, self.culprit, self.fix)

    def __str__(self) -> str:
        return f"{self.culprit}: {self.what}. To mend it: {self.fix}."


def _rebuilt_error(
    error: type[EvaluatorError], what: str, culprit: str, fix: str
) -> EvaluatorError:
    return error(what, culprit=culprit, fix=fix)


class SpecError(EvaluatorError):
    """An audit's YAML does not say what an audit needs."""


class UsageError(EvaluatorError):
    """A command was called with words that name nothing."""


class IntakeError(EvaluatorError):
    """A data file cannot be taken in."""


class CandidateError(EvaluatorError):
    """A candidate cannot be loaded, or did not give usable predictions."""


class EvidenceError(EvaluatorError):
    """Stored evidence is absent or not what its record says."""


class StateError(EvaluatorError):
    """A file of the state that is no evidence cannot be used, such as another program's."""


class RenamedKeyWarning(FutureWarning):
    """A key of an audit's YAML is written in its former spelling."""
