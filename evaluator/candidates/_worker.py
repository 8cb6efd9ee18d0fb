"""The program of a candidate's own process: it loads the candidate, and serves the platform.

It is started by `_child`, and speaks through a connection of its own, so that a candidate may print
what it likes.
"""

import faulthandler
import os
import re
import signal
import socket
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from importlib import import_module
from pathlib import Path
from typing import Any, Final, NoReturn

import numpy as np
import pandas as pd
import pyarrow as pa
from pydantic import TypeAdapter

from evaluator.candidates._adapter import Decider, Scorer
from evaluator.candidates._child import ConnectionBrokenError, receive, send
from evaluator.candidates._faults import error_from_exception
from evaluator.candidates._registry import adapter_of, read_artifact
from evaluator.errors import CandidateError
from evaluator.spec import CandidateSpec, LabelSpec, task_of

_MAX_TRACE_LENGTH: Final = 20_000
_PR_SET_PDEATHSIG: Final = 1
_MEMORY_MESSAGES: Final = re.compile(
    r"bad_alloc|bad allocation|MemoryError|[Aa]llocate memory|[Mm]emory allocation"
)


def main() -> None:
    """Serve the platform until it is gone."""
    descriptor, parent = map(int, sys.argv[1:])
    _end_with(parent)
    # A service manager sends them to all processes, and it is the platform that ends this one: it
    # would take it for a crash. Not ignored, since what the candidate starts would inherit that.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: None)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT, signal.SIGTERM})
    # Where a crash stands is written down.
    faulthandler.enable()
    connection = socket.socket(fileno=descriptor)
    # Nothing that the candidate starts may speak for it.
    connection.set_inheritable(False)
    try:
        worker = Worker(connection, receive(connection).header)
        send(connection, {})
        while True:
            request = receive(connection)
            worker.respond(request.header["asked"], request.payload)
    except (ConnectionBrokenError, ConnectionError):
        # The platform is gone, or has what it wanted.
        _exit_process()


def _end_with(parent: int) -> None:
    """Make sure that this process does not outlive the platform's."""
    import resource

    # A candidate that crashes is nothing rare, and its memory may be large.
    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
    if sys.platform == "linux":
        import ctypes

        # Elsewhere the connection tells, as soon as the candidate is not at work.
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        _exit_process()


def _exit_process() -> NoReturn:
    # Threads that a candidate left behind are not waited for.
    os._exit(0)


class Worker:
    """A candidate in this process, loaded by the settings that the platform sent first."""

    def __init__(self, connection: socket.socket, settings: Mapping[str, Any]) -> None:
        self._connection = connection
        self._settings = settings
        self._candidate: CandidateSpec = TypeAdapter[CandidateSpec](CandidateSpec).validate_python(
            settings["candidate"]
        )
        asked = settings["task"]
        label = LabelSpec.model_validate(asked["label"])
        self._task = task_of(asked["name"], label, tuple(asked["classes"]))
        self._scorer: Scorer | None = None
        # They count for neither time nor memory.
        for library in adapter_of(self._candidate).libraries:
            # Whoever needs one that is not installed says so.
            with suppress(ImportError):
                import_module(library)
        if self._candidate.memory_limit_bytes is not None:
            _limit_memory(self._candidate.memory_limit_bytes)

    def respond(self, request: str, payload: bytearray) -> None:
        """Do what is requested, and send the result or the error."""
        handlers: dict[str, Callable[[], bytes]] = {
            "load": self._load,
            "score": lambda: self._score(_frame(payload)),
            "decide": lambda: self._decide(_frame(payload)),
        }
        try:
            result = handlers[request]()
        # An exit is the candidate's as well.
        except (Exception, SystemExit) as error:  # noqa: BLE001 - it is sent, whatever it is
            phase = "loading" if request == "load" else "scoring"
            with _without_memory_limit():
                send(self._connection, self._describe_error(error, phase))
        else:
            send(self._connection, {}, result)

    def _load(self) -> bytes:
        reading = read_artifact(
            self._candidate,
            Path(self._settings["home"]),
            tracking_uri=self._settings["tracking_uri"],
            digest=self._settings["digest"],
        )
        adapter = adapter_of(self._candidate)
        self._scorer = adapter.load(self._candidate, reading.content, self._task)
        return bytes.fromhex(reading.files_digest)

    def _score(self, features: pd.DataFrame) -> bytes:
        scores = self._loaded.score(features)
        checked = self._task.check_scores(self._candidate, scores, features.index)
        return checked.astype(np.float64).tobytes()

    def _decide(self, features: pd.DataFrame) -> bytes:
        scorer = self._loaded
        decided = scorer.decide(features) if isinstance(scorer, Decider) else None
        if decided is None:
            return b""
        return np.asarray(decided, dtype=self._task.decision_type).tobytes()

    @property
    def _loaded(self) -> Scorer:
        if self._scorer is None:
            raise RuntimeError("it is asked before it is loaded")
        return self._scorer

    def _describe_error(self, error: BaseException, phase: str) -> dict[str, Any]:
        is_limited = self._candidate.memory_limit is not None
        if is_limited and any(_is_memory_error(cause) for cause in _causes(error)):
            return {"fault": "memory"}
        trace = "".join(traceback.format_exception(error))[-_MAX_TRACE_LENGTH:]
        if not isinstance(error, CandidateError):
            error = error_from_exception(self._candidate, error, phase)
        return {
            "fault": type(error).__name__,
            "what": error.what,
            "fix": error.fix,
            "trace": trace,
        }


def _limit_memory(limit: int) -> None:
    """Refuse this process memory beyond what it uses now and the limit."""
    # Linux counts what the process has for itself and may write to (`VmData`), touched or not;
    # files and libraries that are mapped are not counted. Other systems hold no process to it.
    if sys.platform == "linux":
        import resource

        status = Path("/proc/self/status").read_text(encoding="ascii")
        used = int(status.partition("VmData:")[2].split()[0]) * 1024
        _, hard = resource.getrlimit(resource.RLIMIT_DATA)
        soft = used + limit
        if hard != resource.RLIM_INFINITY:
            soft = min(soft, hard)
        resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))


@contextmanager
def _without_memory_limit() -> Iterator[None]:
    """Lift the limit for a while: a process without memory cannot say that it has none."""
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    resource.setrlimit(resource.RLIMIT_DATA, (hard, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))


def _frame(content: bytearray) -> pd.DataFrame:
    with pa.ipc.open_stream(pa.py_buffer(content)) as stream:
        # A copy, into which a candidate may write.
        frame: pd.DataFrame = stream.read_all().to_pandas().copy()
    return frame


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _is_memory_error(error: BaseException) -> bool:
    return isinstance(error, MemoryError) or mentions_memory(str(error))


def mentions_memory(message: str) -> bool:
    """Tell whether a message or a process's last output is about memory that was refused."""
    return bool(_MEMORY_MESSAGES.search(message))


if __name__ == "__main__":
    main()
