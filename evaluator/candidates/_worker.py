"""The program of a candidate's own process: it loads the candidate, and answers until it is left.

It is started by `_child`. What it says goes through a connection of its own, so that a
candidate may print what it likes.
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

from evaluator.candidates._adapter import Decider, Scorer, load_scorer
from evaluator.candidates._child import ConnectionBrokenError, receive, send
from evaluator.candidates._faults import error_from_exception
from evaluator.candidates._predictions import numeric_scores
from evaluator.errors import CandidateError
from evaluator.spec import CandidateSpec

_SIGNS: Final = re.compile(
    r"bad_alloc|bad allocation|MemoryError|[Aa]llocate memory|[Mm]emory allocation"
)


_LIBRARIES: Final[Mapping[str, tuple[str, ...]]] = {
    "skops": ("skops.io", "sklearn"),
    "mlflow": ("mlflow.pyfunc", "sklearn"),
    "onnx": ("onnxruntime",),
    "pickle": ("joblib", "sklearn"),
    "recorded": (),
    "http": ("requests",),
}
"""What each kind needs before its artifact is read; it counts for neither time nor memory."""
_MAX_TRACE_LENGTH: Final = 20_000
_PR_SET_PDEATHSIG: Final = 1
Work = Callable[[], bytes]


def mentions_memory(words: str) -> bool:
    """Tell whether an error or a library's last words are about memory that was refused."""
    return bool(_SIGNS.search(words))


def limit_memory(limit: int) -> None:
    """Refuse this process memory beyond what it uses now and the limit.

    Linux counts what the process has for itself and may write to (`VmData`), touched or not; files
    and libraries that are mapped are not counted. Other systems do not hold a process to it.
    """
    if sys.platform == "linux":
        import resource

        status = Path("/proc/self/status").read_text(encoding="ascii")
        used = int(status.partition("VmData:")[2].split()[0]) * 1024
        _, most = resource.getrlimit(resource.RLIMIT_DATA)
        wanted = used + limit
        allowed = wanted if most == resource.RLIM_INFINITY else min(wanted, most)
        resource.setrlimit(resource.RLIMIT_DATA, (allowed, most))


@contextmanager
def without_memory_limit() -> Iterator[None]:
    """Lift the limit for a while: whoever has no memory left cannot say so."""
    import resource

    allowed, most = resource.getrlimit(resource.RLIMIT_DATA)
    resource.setrlimit(resource.RLIMIT_DATA, (most, most))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, (allowed, most))


class Worker:
    """A candidate in this process.

    Parameters
    ----------
    connection
        To the platform.
    settings
        What it said first: the candidate and how to load it.
    """

    def __init__(self, connection: socket.socket, settings: Mapping[str, Any]) -> None:
        self._connection = connection
        self._settings = settings
        self._candidate: CandidateSpec = TypeAdapter[CandidateSpec](CandidateSpec).validate_python(
            settings["candidate"]
        )
        self._scorer: Scorer | None = None
        for library in _LIBRARIES[self._candidate.kind]:
            # One that is not installed is told by whoever needs it.
            with suppress(ImportError):
                import_module(library)
        if self._candidate.memory_limit_bytes is not None:
            limit_memory(self._candidate.memory_limit_bytes)

    def answer(self, asked: str, payload: bytearray) -> None:
        """Do what is asked, and tell what came of it."""
        work: dict[str, Work] = {
            "load": self._load,
            "score": lambda: self._score(_frame(payload)),
            "decide": lambda: self._decide(_frame(payload)),
        }
        try:
            result = work[asked]()
        # An exit is the candidate's as well.
        except (Exception, SystemExit) as error:  # noqa: BLE001 - it is told, whatever it is
            doing = "loading" if asked == "load" else "scoring"
            with without_memory_limit():
                send(self._connection, self._describe_error(error, doing))
        else:
            send(self._connection, {}, result)

    def _load(self) -> bytes:
        self._scorer = load_scorer(
            self._candidate,
            Path(self._settings["home"]),
            positive=self._settings["positive"],
            tracking_uri=self._settings["tracking_uri"],
            digest=self._settings["digest"],
        )
        return b""

    def _score(self, features: pd.DataFrame) -> bytes:
        score = numeric_scores(self._candidate, self._loaded.score(features), len(features))
        return score.astype(np.float64).tobytes()

    def _decide(self, features: pd.DataFrame) -> bytes:
        scorer = self._loaded
        decided = scorer.decide(features) if isinstance(scorer, Decider) else None
        return b"" if decided is None else np.asarray(decided, dtype=np.int8).tobytes()

    @property
    def _loaded(self) -> Scorer:
        if self._scorer is None:
            raise RuntimeError("it is asked before it is loaded")
        return self._scorer

    def _describe_error(self, error: BaseException, doing: str) -> dict[str, Any]:
        is_limited = self._candidate.memory_limit is not None
        if is_limited and any(_is_memory_error(cause) for cause in _causes(error)):
            return {"fault": "memory"}
        trace = "".join(traceback.format_exception(error))[-_MAX_TRACE_LENGTH:]
        if not isinstance(error, CandidateError):
            error = error_from_exception(self._candidate, error, doing)
        told = {"fault": type(error).__name__, "what": error.what, "fix": error.fix}
        return {**told, "trace": trace}


def main() -> None:
    """Serve the platform until it is gone."""
    number, parent = map(int, sys.argv[1:])
    _end_with(parent)
    # Where a crash stands is written down.
    faulthandler.enable()
    connection = socket.socket(fileno=number)
    # Nothing that the candidate starts may speak for it.
    connection.set_inheritable(False)
    try:
        worker = Worker(connection, receive(connection).header)
        send(connection, {})
        while True:
            asked = receive(connection)
            worker.answer(asked.header["asked"], asked.payload)
    except (ConnectionBrokenError, ConnectionError):
        # The platform is gone, or has what it wanted.
        _exit_process()


def _exit_process() -> NoReturn:
    # Threads that a candidate left behind are not waited for.
    os._exit(0)


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


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _is_memory_error(error: BaseException) -> bool:
    return isinstance(error, MemoryError) or mentions_memory(str(error))


def _frame(content: bytearray) -> pd.DataFrame:
    with pa.ipc.open_stream(pa.py_buffer(content)) as stream:
        # A copy, into which a candidate may write.
        frame: pd.DataFrame = stream.read_all().to_pandas().copy()
    return frame


if __name__ == "__main__":
    main()
