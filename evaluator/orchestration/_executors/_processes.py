"""Processes on this machine, for a run from the terminal.

Each chunk has a process of its own, forked from a server that has imported what all of them need.
So a candidate that takes its process down takes down nothing else.
"""

import json
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections import defaultdict, deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from types import FrameType
from typing import Any, Final

from evaluator.orchestration._candidate_run import CandidateEvaluation
from evaluator.orchestration._executors._executor import (
    FinishedChunk,
    Job,
    OnPredicted,
    WorkerDiedError,
    WorkerExecutor,
    error_from_document,
    error_to_document,
)
from evaluator.orchestration._executors._fork_server import fork_server_context, start_fork_server
from evaluator.orchestration._state import AuditState
from evaluator.scorecard import Slice
from evaluator.verifier import STOP_SIGNALS, Stopped

_STOP: Final = signal.SIGUSR1
"""What tells a process to stop; SIGINT and SIGTERM may reach it that are meant for the run."""
_SECONDS_TO_STOP: Final = 3.0
"""After which a process is killed, whatever its candidate does."""
_SECONDS_BETWEEN_LOOKS: Final = 0.2
"""After which an interrupt is heeded that came from another thread."""


@dataclass(frozen=True)
class _Worker:
    job: Job
    slices: Sequence[Slice]
    process: BaseProcess
    failed: dict[Slice, Exception] = field(default_factory=dict)


class ProcessExecutor(WorkerExecutor):
    """Evaluates on all cores.

    Parameters
    ----------
    cores
        How many processes there are at most.
    on_predicted
        Hears of each slice.
    """

    def __init__(self, cores: int, on_predicted: OnPredicted) -> None:
        super().__init__(max_retries=0)
        self._cores = cores
        self._on_predicted = on_predicted
        self._heard: set[tuple[str, Slice]] = set()
        self._waiting: list[tuple[Job, Sequence[Slice]]] = []
        self._running: dict[Connection, _Worker] = {}
        self._finished: defaultdict[str, deque[FinishedChunk]] = defaultdict(deque)

    def __exit__(self, *_: object) -> None:
        """See `WorkerExecutor`."""
        # Those too that were begun and not noted yet when something interrupted.
        left = multiprocessing.active_children()
        deadline = time.monotonic() + _SECONDS_TO_STOP
        while left and time.monotonic() < deadline:
            for number in [process.pid for process in left if process.pid]:
                # Again and again: the system may give it to another thread than the one that waits.
                with suppress(ProcessLookupError):
                    os.kill(number, _STOP)
            wait([process.sentinel for process in left], _SECONDS_BETWEEN_LOOKS)
            left = [process for process in left if process.is_alive()]
        for process in left:
            process.kill()
            process.join()

    def submit(self, *jobs: Job) -> None:
        """See `WorkerExecutor`; processes are started at once."""
        start_fork_server()
        super().submit(*jobs)
        self._fill()

    def _start(self, job: Job, slices: Sequence[Slice]) -> None:
        self._waiting.append((job, slices))

    def _next(self, run_id: str) -> FinishedChunk:
        while not self._finished[run_id]:
            self._fill()
            # A process that died is heard of by its end too: what it had started itself may hold
            # the connection open.
            ends = {worker.process.sentinel: own for own, worker in self._running.items()}
            for ready in wait([*self._running, *ends], _SECONDS_BETWEEN_LOOKS):
                if isinstance(ready, int):
                    self._close(ends[ready])
                elif isinstance(ready, Connection):
                    self._receive(ready)
        return self._finished[run_id].popleft()

    def _fill(self) -> None:
        """Start as many processes as there are cores; of those that need one pool, one."""
        for job, slices in list(self._waiting):
            busy = {worker.job.candidate.pool for worker in self._running.values()} - {None}
            if len(self._running) < self._cores and job.candidate.pool not in busy:
                self._waiting.remove((job, slices))
                self._fork(job, slices)

    def _fork(self, job: Job, slices: Sequence[Slice]) -> None:
        ours, theirs = fork_server_context().Pipe(duplex=False)
        # Each process has its cores; more threads than those would only wait for each other.
        at_work = min(self._cores, len(self._running) + 1 + len(self._waiting))
        process = fork_server_context().Process(  # type: ignore[attr-defined] # every method has it
            target=_work_and_exit,
            args=(job, slices, dict(os.environ), self._cores // at_work, theirs),
            name=job.candidate.name,
        )
        process.start()
        # The other end is the process's alone, so that its death is heard.
        theirs.close()
        self._running[ours] = _Worker(job, slices, process)

    def _receive(self, connection: Connection) -> None:
        """Hear one message; the end of the connection is that of its process."""
        if connection not in self._running:
            return
        try:
            message = json.loads(connection.recv_bytes())
        except EOFError:
            connection.close()
            self._finish(self._running.pop(connection))
        else:
            self._note(self._running[connection], message)

    def _close(self, connection: Connection) -> None:
        """Hear what a process that has ended has still said."""
        while connection in self._running and connection.poll():
            self._receive(connection)
        worker = self._running.pop(connection, None)
        if worker is not None:
            # Something that it had started lives on, and holds the connection.
            connection.close()
            self._finish(worker)

    def _finish(self, worker: _Worker) -> None:
        worker.process.join()
        code = worker.process.exitcode or 0
        death = None
        if -code in (signal.SIGINT, signal.SIGTERM) and STOP_SIGNALS.is_heard_within(0.5):
            # It was no failure, and whoever runs this is about to be interrupted.
            while True:
                time.sleep(_SECONDS_BETWEEN_LOOKS)
        if code < 0:
            death = ChildProcessError(f"its process was ended by {signal.Signals(-code).name}")
        elif code:
            death = ChildProcessError(f"its process ended itself with exit code {code}")
        chunk = FinishedChunk(worker.slices, worker.failed, death)
        self._finished[worker.job.run_context.run_id].append(chunk)
        self._fill()

    def _note(self, worker: _Worker, message: dict[str, Any]) -> None:
        if "slice" not in message:
            # It could not even begin.
            worker.failed.update(dict.fromkeys(worker.slices, error_from_document(message)))
            return
        heard = Slice.of_key(message["slice"])
        if "error" in message:
            worker.failed[heard] = error_from_document(message["error"])
        name = worker.job.candidate.name
        if (name, heard) not in self._heard:
            self._heard.add((name, heard))
            self._on_predicted(name, heard)

    def _died(self, job: Job, of: Slice, times: int, death: Exception) -> WorkerDiedError:
        return WorkerDiedError(
            f"{death}, and this slice was not finished",
            culprit=f"candidate {job.candidate.name}, slice {of.key}",
            fix="declare `isolate: process` for it, which also bounds its time and memory, and look"
            f" for what ends it (it was tried {times} times)",
        )


def work(
    job: Job,
    slices: Sequence[Slice],
    environment: Mapping[str, str],
    threads: int,
    connection: Connection,
) -> None:
    """Evaluate slices in this process, and tell about them over the connection."""
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped] # its lack

    def send(**message: Any) -> None:
        connection.send_bytes(json.dumps(message).encode())

    # The server that this process was forked from may be older than the run.
    os.environ.clear()
    os.environ.update(environment)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        with threadpool_limits(threads), job.home.pool(job.candidate.pool):
            state = AuditState(job.audit, job.home)
            with CandidateEvaluation(state, job.candidate, job.run_context) as evaluation:
                for one, error in evaluation.evaluate(slices, lambda one: send(slice=one.key)):
                    if error is not None:
                        send(slice=one.key, error=error_to_document(error))
    except Exception as error:  # noqa: BLE001 - told to the process that asked
        send(**error_to_document(error))


def _work_and_exit(*arguments: Any) -> None:
    with suppress(Stopped):
        # These are for the process that asked, which ends this one. Not ignored: what a candidate
        # starts would inherit that.
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: None)
        signal.signal(_STOP, _stop)
        sys.unraisablehook = _stop_again
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT, signal.SIGTERM})
        work(*arguments)
        # Threads that a candidate left behind are not waited for.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)
    os._exit(0)


def _stop(number: int, _frame: FrameType | None) -> None:
    signal.signal(number, signal.SIG_IGN)
    raise Stopped


def _stop_again(unraisable: "sys.UnraisableHookArgs") -> None:
    """Let it be raised once more that was raised where Python lets nothing through."""
    if issubclass(unraisable.exc_type, Stopped):
        signal.signal(_STOP, _stop)
    else:
        sys.__unraisablehook__(unraisable)


def _end_with_parent() -> None:
    """End this process when the one that started it is gone, be it by SIGKILL."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
