"""Runs of Dagster in this process, on the instance that the UI shows."""

import atexit
import ctypes
import fcntl
import logging
import os
import platform
import re
import shutil
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, wait
from contextlib import contextmanager, nullcontext, suppress
from contextvars import copy_context
from functools import cached_property
from pathlib import Path
from threading import Thread
from typing import Final
from uuid import uuid4

import dagster as dg
from dagster._core.errors import DagsterExecutionInterruptedError
from sqlalchemy import event
from sqlalchemy.engine import Engine, ExceptionContext
from sqlalchemy.exc import OperationalError, StatementError

from evaluator.errors import StateError
from evaluator.orchestration._asset_specs import key_of
from evaluator.orchestration._component import audit_definitions
from evaluator.orchestration._executors._executor import SliceExecutor
from evaluator.orchestration._home import Home, is_held, locked
from evaluator.orchestration._partitions import Range, tell_values
from evaluator.orchestration._resources import OneState
from evaluator.orchestration._state import AuditState
from evaluator.spec import AuditSpec
from evaluator.verifier import STOP_SIGNALS, Stopped

RANGE_START_TAG = "dagster/asset_partition_range_start"
RANGE_END_TAG = "dagster/asset_partition_range_end"
LOCAL_RUN_TAG = "evaluator/terminal"
"""The lock that the process of a run holds as long as it lives."""

_UNDER_WAY: Final = [
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]
_ROOM: Final = 1_000_000
"""Of bytes that are free; with fewer, SQLite cannot even look."""
_CLOSED: Final = (dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.CANCELED)
_STOPPED: Final = "The process that ran it was told to stop."
_SECONDS_TO_STOP: Final = 5.0
"""How long a run may take to close; a library or a server may not answer."""


class _RunInterruptedError(Stopped, DagsterExecutionInterruptedError):
    """What Dagster takes for an interrupt, and everybody else for what it is."""


class LocalRuns:
    """Runs an audit's assets in this process.

    Parameters
    ----------
    state
        The state of the audit whose assets are run.
    executor
        Evaluates the candidates' slices.
    """

    def __init__(self, state: AuditState, executor: SliceExecutor) -> None:
        self._state = state
        self._audit = state.audit
        self._executor = executor
        self._locks = state.home.dagster / "terminals"

    # To open it takes a second, and where nothing changed nobody needs it.
    @cached_property
    def _instance(self) -> dg.DagsterInstance:
        return open_instance(self._state.home)

    @cached_property
    def _job(self) -> dg.JobDefinition:
        definitions = audit_definitions(self._audit, self._executor, OneState(self._state))
        return definitions.resolve_implicit_global_asset_job_def()

    @cached_property
    def _lock(self) -> Path:
        """The file whose lock this process holds; a process that was killed leaves it behind."""
        self._locks.mkdir(exist_ok=True)
        lock = self._locks / f"{platform.node()}-{uuid4()}"
        # Named when it is held, so that nobody takes it for one that was left behind.
        new = lock.with_name(f".{lock.name}")
        # Never closed: it is the process's end that lets go of it.
        fcntl.flock(os.open(new, os.O_CREAT | os.O_RDWR, 0o600), fcntl.LOCK_EX)
        new.rename(lock)
        # One that is stopped closes its runs first; one that is killed leaves it, which tells.
        atexit.register(lock.unlink, missing_ok=True)
        return lock

    def tell_values(self) -> AuditSpec:
        """Tell Dagster the values that were found, as `tell_values` of partitions does."""
        return tell_values(self._instance, self._state.audit)

    def execute(
        self, names: Sequence[str], chosen: Range | None, run_id: str | None = None
    ) -> list[str]:
        """Run some assets, on a range of their partitions where one is given."""
        tags = {RANGE_START_TAG: chosen.first, RANGE_END_TAG: chosen.last} if chosen else {}
        run_id = run_id or new_run_id()
        result = self._interruptible(
            run_id,
            lambda: self._job.execute_in_process(
                instance=self._instance,
                asset_selection=[key_of(self._audit, name) for name in names],
                tags={**tags, LOCAL_RUN_TAG: self._lock.name},
                run_id=run_id,
                raise_on_error=False,
                # The terminal shows the progress; the log is in the UI.
                run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
            ),
        )
        failures = result.filter_events(lambda event: event.is_step_failure)
        return [_cause(event) for event in failures]

    def _interruptible(
        self, run_id: str, execute: Callable[[], dg.ExecuteInProcessResult]
    ) -> dg.ExecuteInProcessResult:
        """Execute a run in a thread of its own, where Dagster leaves the signals' handlers alone.

        In the main thread it takes each signal for an interrupt of the step alone.
        """
        outcome: Future[dg.ExecuteInProcessResult] = Future()
        context = copy_context()

        def settle() -> None:
            # Dagster starts processes that copy what a step writes, and a terminal's Ctrl-C is not
            # for them. SIGTERM is: by that Dagster ends them.
            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
            try:
                with _telling_of_its_database(self._state.home):
                    outcome.set_result(context.run(execute))
            except BaseException as error:  # noqa: BLE001 - raised where it is waited for
                outcome.set_exception(error)

        thread = Thread(target=settle, name=f"run-{run_id}", daemon=True)
        try:
            thread.start()
            while not outcome.done():
                STOP_SIGNALS.keep()
                wait([outcome], timeout=0.2)
        except BaseException:
            self._stop(run_id, thread, outcome)
            raise
        return outcome.result()

    def _stop(
        self, run_id: str, thread: Thread, outcome: Future[dg.ExecuteInProcessResult]
    ) -> None:
        """Have Dagster interrupt a run and close it as canceled; do so for it if it does not."""
        # It would tell with a traceback that a call of its own was interrupted.
        logging.getLogger("sqlalchemy.pool").addHandler(logging.NullHandler())
        deadline = time.monotonic() + _SECONDS_TO_STOP
        # The tables of a new instance are made whole: half of them would break the next run.
        while "_instance" not in vars(self) and time.monotonic() < deadline:
            if wait([outcome], timeout=0.05).done:
                return
        if "_instance" not in vars(self):
            return
        run = self._instance.get_run_by_id(run_id)
        if run is None or not run.is_finished:
            if run is not None:
                # Dagster takes an interrupt that nobody asked for for a failure.
                self._instance.report_run_canceling(run, _STOPPED)
            while not outcome.done() and time.monotonic() < deadline:
                # Again where it was lost: in a weakref's callback Python lets nothing through.
                ctypes.pythonapi.PyThreadState_SetAsyncExc(
                    ctypes.c_ulong(thread.ident or 0), ctypes.py_object(_RunInterruptedError)
                )
                wait([outcome], timeout=1)
            # What was created or came to its end in these moments has said otherwise.
            run = self._instance.get_run_by_id(run_id)
            if run is not None and run.status not in _CLOSED:
                self._instance.report_run_canceled(run, _STOPPED)
        _end_copiers()

    def close(self) -> None:
        """Say that no run of this process is left, which its lock would have told of."""
        if "_lock" in vars(self):
            self._lock.unlink(missing_ok=True)

    def close_abandoned(self) -> None:
        """Mark runs as failed whose process on this machine is gone, though the UI shows them.

        Nothing of theirs is lost: what they finished is stored and will be found.
        """
        # Not opened for that alone: it takes a second, and mostly nothing was left.
        close_what_terminals_left(self._state.home, vars(self).get("_instance"))


def _end_copiers() -> None:
    """End what copies a step's output, which Dagster forgets if interrupted as it starts it."""
    # Linux tells of children there; elsewhere they end with what they copy.
    for listed in Path("/proc/self/task").glob("*/children"):
        with suppress(OSError):
            for number in map(int, listed.read_text().split()):
                if Path(f"/proc/{number}/cmdline").read_bytes().startswith(b"tail\0-F\0"):
                    os.kill(number, signal.SIGTERM)


def open_instance(home: Home) -> dg.DagsterInstance:
    """Open Dagster's instance of a home that is prepared.

    Raises
    ------
    StateError
        Where its database cannot be used, such as on a disk that is full.
    """
    event.listen(Engine, "handle_error", _leave_sql_out)
    # Of several first ones, all but one would find a table that another has just made.
    with _telling_of_its_database(home), locked(home.dagster / "instance.lock"):
        return dg.DagsterInstance.get()


def _leave_sql_out(context: ExceptionContext) -> None:
    """Let a database's error say what happened, without the statement: Dagster prints it as is."""
    error = context.sqlalchemy_exception
    if isinstance(error, StatementError):
        error.statement = error.code = None


@contextmanager
def _telling_of_its_database(home: Home) -> Iterator[None]:
    try:
        yield
    except OperationalError as error:
        # SQLite has the same words for a full disk and for a broken one.
        is_full = shutil.disk_usage(home.dagster).free < _ROOM
        raise StateError(
            f"Dagster's database cannot be used ({'the disk is full' if is_full else error.orig})",
            culprit=str(home.dagster),
            fix="make room there, as with `evaluator prune`, and run again"
            if is_full
            else "look after the disk and who may write there, and run again",
        ) from error


def is_anybody_at_work(home: Home) -> bool:
    """Tell whether a terminal or a UI of this machine is at work, without any database."""
    return any(map(is_held, [*_locks_of_terminals(home), home.ui_lock]))


def close_what_terminals_left(home: Home, instance: dg.DagsterInstance | None = None) -> None:
    """Let no run of a terminal that was killed be shown as running, nor wait for its pool.

    Raises
    ------
    StateError
        Where Dagster's database cannot be used. The next look finds the same.
    """
    left = [lock for lock in _locks_of_terminals(home) if not is_held(lock)]
    if not left:
        return
    names = {lock.name for lock in left}
    opened = open_instance(home) if instance is None else nullcontext(instance)
    with opened as dagster, _telling_of_its_database(home):
        for run in dagster.get_runs(dg.RunsFilter(statuses=_UNDER_WAY)):
            if run.tags.get(LOCAL_RUN_TAG) in names:
                close_lost_run(dagster, run)
    for lock in left:
        lock.unlink(missing_ok=True)


def close_lost_run(instance: dg.DagsterInstance, run: dg.DagsterRun) -> None:
    """Say what became of a run whose process is gone: canceled if it was asked to be, or failed."""
    if run.status is dg.DagsterRunStatus.CANCELING:
        instance.report_run_canceled(run, _STOPPED)
    else:
        instance.report_run_failed(run, "The process that ran it was ended.")


def _locks_of_terminals(home: Home) -> list[Path]:
    return [*(home.dagster / "terminals").glob(f"{platform.node()}-*")]


def is_abandoned(home: Home, run: dg.DagsterRun) -> bool:
    """Tell whether a terminal of this machine ran it, whose process is gone."""
    lock = run.tags.get(LOCAL_RUN_TAG, "")
    here = lock.startswith(f"{platform.node()}-")
    return here and not is_held(home.dagster / "terminals" / lock)


def _cause(failure: dg.DagsterEvent) -> str:
    """Say an error's own words; Dagster wraps it into errors of its own."""
    error = failure.step_failure_data.error
    while error is not None and error.cause is not None:
        error = error.cause
    if error is None:
        return "no error was recorded"
    # Whose sentences they are says nothing to who reads them.
    return re.sub(r"^(?:dagster|evaluator)\.[\w.]+: ", "", error.message.strip())


def new_run_id() -> str:
    """Make the name of a run that is to come."""
    return str(uuid4())
