"""A candidate for a range of slices: in this process, or in one of its own that may fail alone."""

import math
import signal
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from threading import Lock
from typing import Any, Final, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa

from evaluator.candidates._adapter import Decider, Scorer
from evaluator.candidates._child import ChildProcess, ConnectionBrokenError, receive, send
from evaluator.candidates._faults import (
    CandidateCrashError,
    CandidateTimeoutError,
    TransientCandidateError,
    candidate_error,
    copy_error,
    crash_error,
    error_from_exception,
    transient_error,
)
from evaluator.candidates._registry import load_scorer
from evaluator.candidates._worker import mentions_memory
from evaluator.errors import CandidateError
from evaluator.spec import CandidateSpec, Task

START_TIMEOUT: Final = 600.0
"""Seconds that the interpreter and the kind's libraries may take to start, and the artifact to load
where there is no `load_timeout`."""
MOST_SLOW_STARTS: Final = 3
"""How many times in a row a candidate may take too long to load."""
DIGEST_SIZE: Final = 32
"""Bytes in which the process tells which files it loaded."""
_FAULTS: Final = {
    kind.__name__: kind for kind in (CandidateError, CandidateCrashError, TransientCandidateError)
}
"""The errors that the process may report, by the names that it gives them."""


@contextmanager
def open_scorer(
    candidate: CandidateSpec,
    home: Path,
    *,
    task: Task,
    tracking_uri: str | None = None,
    digest: str | None = None,
) -> Iterator[Scorer]:
    """Get a candidate ready for a range of slices, isolated where its YAML says so.

    Nothing is loaded or started before the first score is asked for. What fails while loading
    fails in the same way, at once, for each further slice, unless it is transient. A process that
    ended while scoring, or was ended since it took too long, is replaced by a fresh one for the
    next slice. Loading that took too long is begun anew for the next slice as well: the machine may
    have been busy. After three times in a row the further slices fail at once.

    Parameters
    ----------
    candidate
        What the YAML says of it; `isolated` decides.
    home, task, tracking_uri, digest
        As for `load_scorer`.

    Yields
    ------
    Scorer
        It raises `CandidateError` where loading fails, and for whatever befalls a process of the
        candidate's own. What the candidate's code raises in this process comes through.
    """
    loading = Loading(candidate, home, task, tracking_uri, digest)
    kind = IsolatedScorer if candidate.isolated else LazyScorer
    with closing(kind(loading)) as scorer:
        yield scorer


class Loading(NamedTuple):
    """The arguments of `load_scorer`."""

    candidate: CandidateSpec
    home: Path
    task: Task
    tracking_uri: str | None
    digest: str | None


class LazyScorer:
    """A candidate in this process, loaded when it is asked for the first time."""

    def __init__(self, loading: Loading) -> None:
        self._loading = loading
        self._scorer: Scorer | None = None
        self._fault: CandidateError | None = None
        self._lock = Lock()

    def score(self, features: pd.DataFrame) -> np.ndarray:
        return self._loaded().score(features)

    def decide(self, features: pd.DataFrame) -> np.ndarray | None:
        scorer = self._loaded()
        return scorer.decide(features) if isinstance(scorer, Decider) else None

    def close(self) -> None:
        """Let the artifact go."""
        self._scorer = None

    def _loaded(self) -> Scorer:
        with self._lock:
            if self._fault is not None:
                raise copy_error(self._fault) from self._fault
            if self._scorer is None:
                self._scorer = self._load()
            return self._scorer

    def _load(self) -> Scorer:
        try:
            return load_scorer(**self._loading._asdict())
        except TransientCandidateError:
            raise
        except CandidateError as error:
            self._fault = error
            raise
        except Exception as error:
            reported = error_from_exception(self._loading.candidate, error, "loading")
            if not isinstance(reported, TransientCandidateError):
                self._fault = reported
            raise reported from error


class IsolatedScorer:
    """A candidate in a process of its own, started when it is asked for the first time."""

    # The process is not trusted: what it sends is checked, and never unpickled.

    def __init__(self, loading: Loading) -> None:
        self._loading = loading
        self._candidate = loading.candidate
        self._task = loading.task
        self._child: ChildProcess | None = None
        self._fault: CandidateError | None = None
        self._slow_starts = 0
        # A further process loads anew, and the digest may be that of a name alone.
        self._files_digest: bytearray | None = None
        self._lock = Lock()

    def score(self, features: pd.DataFrame) -> np.ndarray:
        shape = self._task.shape(self._candidate, len(features))
        return self._ask("score", features, np.dtype(np.float64), shape)

    def decide(self, features: pd.DataFrame) -> np.ndarray | None:
        if not self._task.decides(self._candidate):
            return None
        dtype = np.dtype(self._task.decision_type)
        decided = self._ask("decide", features, dtype, (len(features),))
        if not self._task.are_predictions(decided):
            self.close()
            raise self._protocol_error("scoring")
        return decided

    def close(self) -> None:
        """End the process."""
        if self._child is not None:
            self._child.end()
            self._child = None

    def _ask(
        self, request: str, features: pd.DataFrame, dtype: np.dtype[Any], shape: tuple[int, ...]
    ) -> np.ndarray:
        """Ask the process for an array of this shape."""
        with self._lock:
            child = self._child or self._start()
            size = math.prod(shape) * dtype.itemsize
            payload = self._exchange(child, request, _arrow_stream(features), size, "scoring")
            return np.frombuffer(payload, dtype=dtype).reshape(shape)

    def _start(self) -> ChildProcess:
        """Start the process and let it load the candidate; a permanent fault is remembered."""
        if self._fault is not None:
            raise copy_error(self._fault) from self._fault
        try:
            child = self._child = ChildProcess()
        except OSError as error:
            raise transient_error(
                self._candidate,
                f"the process in which it runs could not be started ({error})",
                fix="let fewer things run at a time on this machine",
            ) from error
        try:
            self._handshake(child)
            loaded = self._exchange(child, "load", b"", DIGEST_SIZE, "loading")
            self._files_digest = self._files_digest or loaded
            if loaded != self._files_digest:
                raise candidate_error(
                    self._candidate,
                    "its files were exchanged since the run's first slices were scored",
                    fix="restore them, or register them as another version, and run it again",
                )
        except CandidateTimeoutError as error:
            self._slow_starts += 1
            if self._slow_starts == MOST_SLOW_STARTS:
                what = f"{error.what}, {MOST_SLOW_STARTS} times in a row; it is not loaded again"
                self._fault = CandidateTimeoutError(what, culprit=error.culprit, fix=error.fix)
            raise
        except CandidateError as error:
            self.close()
            if not isinstance(error, TransientCandidateError):
                self._fault = error
            raise
        self._slow_starts = 0
        return child

    def _handshake(self, child: ChildProcess) -> None:
        """Send the process what it will load, and wait for the libraries that this needs."""
        settings = {
            **self._loading._asdict(),
            "candidate": self._candidate.model_dump(mode="json"),
            "task": {
                "name": self._task.key,
                "label": self._task.label.model_dump(mode="json"),
                "classes": self._task.classes,
            },
            "home": str(self._loading.home.absolute()),
        }
        deadline = time.monotonic() + START_TIMEOUT
        fix = "let fewer things run at a time on this machine"
        with self._ends_on_failure(child, "starting", f"{START_TIMEOUT:g} s", fix):
            send(child.connection, settings, deadline=deadline)
            receive(child.connection, largest=0, deadline=deadline)

    def _exchange(
        self, child: ChildProcess, request: str, payload: bytes | memoryview, size: int, phase: str
    ) -> bytearray:
        """Send a request, and receive a payload of so many bytes."""
        key, limit = "timeout", self._candidate.timeout
        if phase == "loading":
            key, limit = "load_timeout", self._candidate.load_timeout or START_TIMEOUT
        deadline = None if limit is None else time.monotonic() + limit
        fix = f"give it more `{key}`, or make it faster"
        with self._ends_on_failure(child, phase, f"its {key} of {limit or 0:g} s", fix):
            send(child.connection, {"asked": request}, payload, deadline=deadline)
            response = receive(child.connection, largest=size, deadline=deadline)
            if "fault" in response.header:
                reported = self._reported_error(response.header, phase)
            elif len(response.payload) != size:
                raise ConnectionBrokenError("not the bytes that were asked for")
            else:
                return response.payload
        if response.header["fault"] == "memory":
            self.close()
        raise reported from _ChildTraceback(str(response.header.get("trace", "")))

    @contextmanager
    def _ends_on_failure(
        self, child: ChildProcess, phase: str, limit: str, fix: str
    ) -> Iterator[None]:
        """End the process where it does not respond, and say what became of it."""
        reported: CandidateError
        try:
            yield
        except TimeoutError:
            child.abort()
            reported = CandidateTimeoutError(
                f"it took longer than {limit} while {phase}, and was ended",
                culprit=f"candidate {self._candidate.name}",
                fix=fix,
            )
        except ConnectionBrokenError:
            reported = self._protocol_error(phase)
        except OSError:
            exit_code = child.end() if child.wait_for_exit() else None
            reported = self._exit_error(child, exit_code, phase)
        except BaseException:
            # Whatever interrupts, no later request may get the response to this one.
            self.close()
            raise
        else:
            return
        self.close()
        if output := child.stderr_tail():
            reported.add_note(f"The last that its process wrote:\n{output}")
        raise reported

    def _reported_error(self, header: dict[str, Any], phase: str) -> CandidateError:
        """Make the error that the process reports."""
        if header["fault"] == "memory":
            return self._memory_error(phase)
        if not isinstance(header["fault"], str):
            raise ConnectionBrokenError("a fault has a name")
        kind = _FAULTS.get(header["fault"], CandidateError)
        what, fix = str(header.get("what")), str(header.get("fix"))
        return kind(what, culprit=f"candidate {self._candidate.name}", fix=fix)

    def _exit_error(self, child: ChildProcess, exit_code: int | None, phase: str) -> CandidateError:
        """Make the error of a process that ended by itself or by a signal, or did not end."""
        if exit_code is None:
            return self._protocol_error(phase)
        if self._candidate.memory_limit and mentions_memory(child.stderr_tail()):
            return self._memory_error(phase)
        if exit_code >= 0:
            return crash_error(
                self._candidate,
                f"its process ended itself with exit code {exit_code} while {phase}",
                fix="take what exits out of the candidate; the evidence has its last words",
            )
        number = -exit_code
        name = signal.Signals(number).name if number in set(signal.Signals) else f"signal {number}"
        if number == signal.SIGKILL:
            return crash_error(
                self._candidate,
                f"its process was ended by {name} while {phase}, as the system does where the"
                " machine's memory runs out",
                fix="give the machine more memory, let fewer candidates run at a time, or set a"
                " `memory_limit`",
            )
        return crash_error(
            self._candidate,
            f"its process was ended by {name} while {phase}",
            fix="mend the library that crashes; the evidence has where it stood",
        )

    def _memory_error(self, phase: str) -> CandidateError:
        limit = self._candidate.memory_limit
        amount = f"{limit} bytes" if isinstance(limit, int) else limit
        return candidate_error(
            self._candidate,
            f"it needed more than its memory_limit of {amount} while {phase}",
            fix="give it more `memory_limit`, or make it need less",
        )

    def _protocol_error(self, phase: str) -> CandidateError:
        return crash_error(
            self._candidate,
            f"its process stopped talking to the platform as agreed while {phase}",
            fix="take out of the candidate what closes or writes to files that it did not open",
        )


class _ChildTraceback(Exception):  # noqa: N818 - no error of its own, but where one came from
    """What an error was raised from in the candidate's process, as text."""

    def __str__(self) -> str:
        return f"in the candidate's process\n\n{self.args[0]}"


def _arrow_stream(features: pd.DataFrame) -> memoryview:
    """Write features as an Arrow stream, with their index and types."""
    zoned = features.select_dtypes("datetimetz")
    # Arrow asks pandas for times with a zone in a way that pandas is about to change.
    plain = features.assign(**{name: zoned[name].dt.tz_convert(None) for name in zoned.columns})
    table = pa.Table.from_pandas(plain, preserve_index=True)
    for name in zoned.columns:
        position = table.schema.get_field_index(name)
        dtype = pa.timestamp(zoned[name].dt.unit, tz=str(zoned[name].dt.tz))
        field = table.schema.field(position).with_type(dtype)
        table = table.set_column(position, field, table.column(position).cast(dtype))
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as stream:
        stream.write_table(table)
    return memoryview(sink.getvalue())
