"""The errors and warnings that a user can mend, and whose fault any error is.

Each message says what is wrong, which culprit it is about, and how to mend it. Anything else that
is raised is a fault of the machine or of the program: `fault_of` decides, for everybody.
"""

import errno
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar, Final, Literal

Fault = Literal["input", "machine", "program"]
"""Whose fault an error is.

Of the input (a file, a YAML, a candidate): the same again would fail again, so it is remembered.
Of the machine (a full disk, a lost connection, evidence that is gone): the next run tries again.
Of the program: tried again as well, and a report is asked for.
"""

_ERRNOS: Final = frozenset(
    getattr(errno, name)
    for name in (
        *("ENOSPC", "EDQUOT", "EFBIG", "EROFS", "EIO", "ENXIO", "ENODEV", "ESTALE", "EREMOTEIO"),
        *("EMFILE", "ENFILE", "ENOMEM", "EAGAIN", "EBUSY", "ETXTBSY", "EINTR", "ENOLCK"),
        *("ENETDOWN", "ENETUNREACH", "EHOSTDOWN", "EHOSTUNREACH", "ENOBUFS"),
    )
    if hasattr(errno, name)
)
"""What an input cannot bring about, whoever put it into words of its own."""
_LIBRARIES: Final = frozenset(
    {"aiohttp", "botocore", "requests", "sqlalchemy", "sqlite3", "urllib3"}
)
"""They talk to disks and servers, and have errors of their own for what comes of it."""
# Polars has no numbers, and Python none for a thread that cannot be started.
_OS_ERROR = re.compile(r"\(os error (\d+)\)|can't start new thread")


class EvaluatorError(Exception):
    """What its user can mend.

    Parameters
    ----------
    what
        What is wrong, as a sentence without its full stop.
    culprit
        What it is about: a file, a key, a candidate, a slice.
    fix
        How to mend it, as a sentence without its full stop.
    """

    fault: ClassVar[Fault] = "input"

    def __init__(self, what: str, *, culprit: str, fix: str) -> None:
        self.what = what
        self.culprit = culprit
        self.fix = fix
        super().__init__(what, culprit, fix)

    def __reduce__(self) -> tuple[Any, ...]:
        # Errors travel between processes, and Python alone would forget the names of the arguments.
        return _rebuilt_error, (type(self), self.what, self.culprit, self.fix)

    def __str__(self) -> str:
        # A library's words may end with a full stop of their own.
        return f"{self.culprit}: {self.what.rstrip('.')}. To mend it: {self.fix}."


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

    fault = "machine"


class StateError(EvaluatorError):
    """What is no evidence cannot be used as it is: a file of another program, a lost database."""

    fault = "machine"


class RenamedKeyWarning(FutureWarning):
    """A key of an audit's YAML is written in its former spelling."""


_MENDS: Final = {
    ("ENOSPC", "EDQUOT"): "make room there, as with `evaluator prune`, and run again",
    ("EROFS",): "let this account write there, and run again",
    ("EACCES", "EPERM"): "let this account read and write there, and run again",
    ("EMFILE", "ENFILE"): "let a process open more files (`ulimit -n`), and run again",
    ("ENOMEM", "EAGAIN"): "give it more memory or fewer other processes, and run again",
    ("EIO", "ENXIO", "ESTALE"): "look after the disk or its mount, and run again",
}
_PHRASES: Final = {
    "database or disk is full": "ENOSPC",
    "attempt to write a readonly database": "EROFS",
    "unable to open database file": "EACCES",
    "disk I/O error": "EIO",
    "can't start new thread": "EAGAIN",
}
"""SQLite's words and Python's, where they give no number."""
_NUMBER = re.compile(r"\[Errno (\d+)\]|\(os error (\d+)\)")
_SQL = re.compile(r"\[SQL: .*|\(Background on this error at: .*")


def in_words(message: str) -> str:
    """Put into one line what an error says, without SQL, and what helps against it.

    Parameters
    ----------
    message
        The error's own words. Where they are of an operating system or of a database that has no
        room, no rights or no disk, how to mend it is added.
    """
    words = _SQL.sub("", " ".join(message.split())).strip()
    found = _NUMBER.search(words)
    number = 0 if found is None else int(found[1] or found[2])
    phrases = (name for phrase, name in _PHRASES.items() if phrase in words)
    name = errno.errorcode.get(number) or next(phrases, "")
    mends = [mend for names, mend in _MENDS.items() if name in names]
    return f"{words}. To mend it: {mends[0]}." if mends else words


def check_is_file(path: Path, error: type[EvaluatorError] = UsageError) -> None:
    """Refuse what is no file before anything is done with it.

    Raises
    ------
    EvaluatorError
        Of the class that is given.
    """
    if path.is_dir():
        raise error("it is a folder", culprit=str(path), fix="name a file in it")
    if not path.is_file():
        raise error("there is no such file", culprit=str(path), fix="check its name and its folder")


def fault_of(error: BaseException) -> Fault:
    """Decide whose fault an error is.

    Parameters
    ----------
    error
        What was raised. One in words of our own counts as the machine's where what it was raised
        from does.

    Returns
    -------
    str
        See `Fault`. Of an error that another process had, what that one decided.
    """
    if isinstance(error, OSError) or any(map(_is_of_machine, _causes(error))):
        return "machine"
    decided: Fault = getattr(error, "fault", "program")
    return decided


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__


def _is_of_machine(error: BaseException) -> bool:
    if isinstance(error, OSError) and error.errno in _ERRNOS:
        return True
    if isinstance(error, EvaluatorError):
        return False
    names = {kind.__module__.partition(".")[0] for kind in type(error).__mro__}
    if isinstance(error, MemoryError) or names & _LIBRARIES:
        return True
    found = _OS_ERROR.search(str(error))
    return found is not None and (found[1] is None or int(found[1]) in _ERRNOS)
