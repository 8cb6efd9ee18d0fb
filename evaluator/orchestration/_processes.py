"""Processes that evaluate candidates side by side, for a run from the terminal.

Each batch has a process of its own, forked from a server that has imported what all of them
need. So a candidate that takes its process down takes down nothing else.
"""

import fcntl
import json
import multiprocessing
import os
import platform
import signal
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import NamedTuple
from uuid import uuid4

import dagster as dg

from evaluator.orchestration._asset_specs import key_of
from evaluator.orchestration._component import audit_definitions
from evaluator.orchestration._fork_server import fork_server_context, start_fork_server
from evaluator.orchestration._partition_run import on_partition_ended
from evaluator.orchestration._partitions import Range, SliceBatch
from evaluator.spec import Audit

RANGE_START_TAG = "dagster/asset_partition_range_start"
RANGE_END_TAG = "dagster/asset_partition_range_end"
LOCAL_RUN_TAG = "evaluator/terminal"
"""The lock that the process of a run holds as long as it lives."""


class LocalRuns:
    """Runs an audit's assets in this process.

    Parameters
    ----------
    audit
        Whose assets are run.
    """

    def __init__(self, audit: Audit) -> None:
        self._audit = audit
        self._instance = dg.DagsterInstance.get()
        self._job = audit_definitions(audit).resolve_implicit_global_asset_job_def()
        self._locks = Path(self._instance.root_directory) / "terminals"
        self._locks.mkdir(exist_ok=True)
        self.lock = f"{platform.node()}-{uuid4()}"
        # Never closed: it is the process's end that lets go of it.
        held = os.open(self._locks / self.lock, os.O_CREAT | os.O_RDWR)
        fcntl.flock(held, fcntl.LOCK_EX)

    def execute(
        self, names: Sequence[str], chosen: Range | None, run_id: str | None = None
    ) -> list[str]:
        """Run some assets, on a range of their partitions where one is given."""
        tags = {RANGE_START_TAG: chosen.first, RANGE_END_TAG: chosen.last} if chosen else {}
        result = self._job.execute_in_process(
            instance=self._instance,
            asset_selection=[key_of(self._audit, name) for name in names],
            tags={**tags, LOCAL_RUN_TAG: self.lock},
            run_id=run_id or new_run_id(),
            raise_on_error=False,
            # The terminal shows the progress; the log is in the UI.
            run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
        )
        failures = result.filter_events(lambda event: event.is_step_failure)
        return [_cause(event) for event in failures]

    def close_abandoned(self) -> None:
        """Mark runs as failed whose process on this machine is gone, though the UI shows them.

        Nothing of theirs is lost: what they finished is stored and will be found.
        """
        started = dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED])
        for run in self._instance.get_runs(started):
            lock = run.tags.get(LOCAL_RUN_TAG, "")
            if lock.startswith(platform.node()) and not self._is_held(lock):
                self._instance.report_run_failed(run, "The process that ran it was ended.")

    def _is_held(self, lock: str) -> bool:
        """Tell whether a process lives; its number could be another's by now, a lock cannot."""
        path = self._locks / lock
        if not path.exists():
            return False
        with path.open("r") as opened:
            try:
                fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return True
        path.unlink()
        return False

    def close(self, run_id: str, why: str) -> None:
        """Mark a run as failed that could not do so itself."""
        run = self._instance.get_run_by_id(run_id)
        if run is not None and not run.is_finished:
            self._instance.report_run_failed(run, why)


def _cause(failure: dg.DagsterEvent) -> str:
    """Say an error's own words; Dagster wraps it into errors of its own."""
    error = failure.step_failure_data.error
    while error is not None and error.cause is not None:
        error = error.cause
    return "no error was recorded" if error is None else error.message.strip()


def new_run_id() -> str:
    """Make the name of a run that is to come."""
    return str(uuid4())


class BatchResult(NamedTuple):
    """What became of a batch's process."""

    batch: SliceBatch
    run_ids: Sequence[str]
    """The Dagster runs that it started."""
    fault: str | None
    """Why it did not come to its end, in words."""


def run_batches(
    audit: Audit,
    batches: Sequence[SliceBatch],
    *,
    cores: int,
    on_slice: Callable[[SliceBatch], None],
    on_end: Callable[[BatchResult], None],
) -> None:
    """Evaluate batches, as many side by side as there are cores."""
    start_fork_server()
    waiting = list(batches)
    running: dict[Connection, _Running] = {}
    threads = max(1, cores // max(1, min(cores, len(batches))))
    try:
        while waiting or running:
            for batch in _startable(waiting, running, cores):
                waiting.remove(batch)
                started = _start(audit, batch, threads)
                running[started.connection] = started
            for connection in wait(list(running)):
                if isinstance(connection, Connection):
                    _receive(connection, running, on_slice, on_end)
    finally:
        for left in running.values():
            left.process.terminate()
            left.process.join()


class _Running(NamedTuple):
    batch: SliceBatch
    process: BaseProcess
    connection: Connection
    run_ids: list[str]
    faults: list[str]


def _startable(
    waiting: Sequence[SliceBatch], running: Mapping[Connection, _Running], cores: int
) -> list[SliceBatch]:
    busy = {r.batch.pool for r in running.values()}
    chosen: list[SliceBatch] = []
    for batch in waiting:
        if len(running) + len(chosen) == cores:
            break
        if batch.pool is None or batch.pool not in busy:
            chosen.append(batch)
            busy.add(batch.pool)
    return chosen


def _start(audit: Audit, batch: SliceBatch, threads: int) -> _Running:
    context = fork_server_context()
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(  # type: ignore[attr-defined] # every start method has it
        target=run_batch,
        args=(audit, batch, dict(os.environ), threads, theirs),
        name=batch.candidate,
    )
    process.start()
    # The other end is the process's alone, so that its death is heard.
    theirs.close()
    return _Running(batch, process, ours, [], [])


def _receive(
    connection: Connection,
    running: dict[Connection, _Running],
    on_slice: Callable[[SliceBatch], None],
    on_end: Callable[[BatchResult], None],
) -> None:
    sender = running[connection]
    try:
        message = json.loads(connection.recv_bytes())
    except EOFError:
        del running[connection]
        connection.close()
        sender.process.join()
        on_end(BatchResult(sender.batch, sender.run_ids, _receive_fault(sender)))
        return
    if "run" in message:
        sender.run_ids.append(message["run"])
    elif "fault" in message:
        sender.faults.append(message["fault"])
    else:
        on_slice(sender.batch)


def _receive_fault(sender: _Running) -> str | None:
    code = sender.process.exitcode
    if sender.faults:
        return sender.faults[0]
    if code is not None and code < 0:
        return f"its process was ended by {signal.Signals(-code).name}"
    return f"its process ended itself with exit code {code}" if code else None


def run_batch(
    audit: Audit,
    batch: SliceBatch,
    environment: Mapping[str, str],
    threads: int,
    connection: Connection,
) -> None:
    """Evaluate a batch in this process, and tell about it over the connection."""
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped] # its lack

    def send(**message: str) -> None:
        connection.send_bytes(json.dumps(message).encode())

    # The server that this process was forked from may be older than the run.
    os.environ.clear()
    os.environ.update(environment)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    on_partition_ended(send)
    try:
        # Each process has its cores; more threads than those would only wait for each other.
        with threadpool_limits(threads):
            runs = LocalRuns(audit)
            names = [f"{batch.candidate}_predictions", f"{batch.candidate}_slice_metrics"]
            for chosen in batch.ranges:
                run_id = new_run_id()
                send(run=run_id)
                runs.execute(names, chosen, run_id)
    except Exception as error:  # noqa: BLE001 - it is told to the process that asked
        send(fault=f"{type(error).__name__}: {error}")
        sys.exit(1)


def _end_with_parent() -> None:
    """End this process when the one that started it is gone, be it by SIGKILL."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
