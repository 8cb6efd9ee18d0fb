"""Whose fault an error is, and what is said of it."""

import errno
import sqlite3

import pytest
import sqlalchemy.exc
from botocore.exceptions import ConnectionClosedError, ReadTimeoutError

from evaluator.errors import (
    CandidateError,
    EvaluatorError,
    EvidenceError,
    Fault,
    IntakeError,
    SpecError,
    StateError,
    fault_of,
    in_words,
)


def raised_from(error: Exception, cause: Exception) -> Exception:
    error.__cause__ = cause
    return error


def ours(kind: type[EvaluatorError]) -> EvaluatorError:
    return kind("it is so", culprit="this", fix="do that")


FULL = OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize(
    ("error", "fault"),
    [
        (FULL, "machine"),
        (OSError(errno.EIO, "Input/output error"), "machine"),
        (OSError(errno.EMFILE, "Too many open files"), "machine"),
        (FileNotFoundError(errno.ENOENT, "No such file", "reference.parquet"), "machine"),
        (ConnectionResetError("by peer"), "machine"),
        (TimeoutError(), "machine"),
        (MemoryError(), "machine"),
        (RuntimeError("can't start new thread"), "machine"),
        (RuntimeError("No space left on device (os error 28)"), "machine"),
        (RuntimeError("No such file or directory (os error 2)"), "program"),
        (sqlite3.OperationalError("database or disk is full"), "machine"),
        (sqlalchemy.exc.OperationalError("INSERT", {}, Exception("locked")), "machine"),
        (ReadTimeoutError(endpoint_url="http://store"), "machine"),
        (ConnectionClosedError(endpoint_url="http://store"), "machine"),
        (ours(EvidenceError), "machine"),
        (ours(StateError), "machine"),
        (ours(IntakeError), "input"),
        (ours(SpecError), "input"),
        (ours(CandidateError), "input"),
        (ZeroDivisionError(), "program"),
        (KeyError("score"), "program"),
    ],
)
def test_each_error_is_of_the_input_the_machine_or_the_program(
    error: Exception, fault: Fault
) -> None:
    assert fault_of(error) == fault


@pytest.mark.parametrize(
    ("cause", "fault"),
    [
        (FULL, "machine"),
        (MemoryError(), "machine"),
        (raised_from(ValueError("torn"), FULL), "machine"),
        (FileNotFoundError(errno.ENOENT, "No such file"), "input"),
        (PermissionError(errno.EACCES, "Permission denied"), "input"),
        (ValueError("no number"), "input"),
    ],
)
def test_words_of_our_own_hide_no_fault_of_the_machine(cause: Exception, fault: Fault) -> None:
    for kind in (IntakeError, CandidateError):
        assert fault_of(raised_from(ours(kind), cause)) == fault


ROOM = "To mend it: make room there, as with `evaluator prune`, and run again."
RIGHTS = "To mend it: let this account read and write there, and run again."
FILES = "To mend it: let a process open more files (`ulimit -n`), and run again."


@pytest.mark.parametrize(
    ("message", "words"),
    [
        ("[Errno 28] No space left: '/state/a'", f"[Errno 28] No space left: '/state/a'. {ROOM}"),
        (
            "(sqlite3.OperationalError) database or disk is full\n[SQL: INSERT\nVALUES (1)]\n(Back",
            f"(sqlite3.OperationalError) database or disk is full. {ROOM}",
        ),
        ("IO error (os error 28)", f"IO error (os error 28). {ROOM}"),
        ("[Errno 24] Too many open files", f"[Errno 24] Too many open files. {FILES}"),
        (
            "[Errno 13] Permission denied: '/a'",
            f"[Errno 13] Permission denied: '/a'. {RIGHTS}",
        ),
        ("it is\nso", "it is so"),
        ("[Errno 2] No such file", "[Errno 2] No such file"),
    ],
)
def test_an_error_is_one_line_without_sql_and_with_what_helps(message: str, words: str) -> None:
    assert in_words(message) == words
