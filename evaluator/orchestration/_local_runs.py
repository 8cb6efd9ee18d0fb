"""Runs of Dagster in this process, on the instance that the UI shows."""

import fcntl
import os
import platform
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from uuid import uuid4

import dagster as dg

from evaluator.orchestration._asset_specs import key_of
from evaluator.orchestration._component import audit_definitions
from evaluator.orchestration._executors._executor import SliceExecutor
from evaluator.orchestration._home import Home, locked
from evaluator.orchestration._partitions import Range
from evaluator.orchestration._resources import OneState
from evaluator.orchestration._state import AuditState

RANGE_START_TAG = "dagster/asset_partition_range_start"
RANGE_END_TAG = "dagster/asset_partition_range_end"
LOCAL_RUN_TAG = "evaluator/terminal"
"""The lock that the process of a run holds as long as it lives."""


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
        # Of several first ones, all but one would find a table that another has just made.
        with locked(self._state.home.dagster / "instance.lock"):
            return dg.DagsterInstance.get()

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
        return new.rename(lock)

    def execute(
        self, names: Sequence[str], chosen: Range | None, run_id: str | None = None
    ) -> list[str]:
        """Run some assets, on a range of their partitions where one is given."""
        tags = {RANGE_START_TAG: chosen.first, RANGE_END_TAG: chosen.last} if chosen else {}
        result = self._job.execute_in_process(
            instance=self._instance,
            asset_selection=[key_of(self._audit, name) for name in names],
            tags={**tags, LOCAL_RUN_TAG: self._lock.name},
            run_id=run_id or new_run_id(),
            raise_on_error=False,
            # The terminal shows the progress; the log is in the UI.
            run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
        )
        failures = result.filter_events(lambda event: event.is_step_failure)
        return [_cause(event) for event in failures]

    def close(self) -> None:
        """Say that no run of this process is left, which its lock would have told of."""
        if "_lock" in vars(self):
            self._lock.unlink(missing_ok=True)

    def close_abandoned(self) -> None:
        """Mark runs as failed whose process on this machine is gone, though the UI shows them.

        Nothing of theirs is lost: what they finished is stored and will be found.
        """
        left = [lock for lock in self._locks.glob(f"{platform.node()}-*") if not _is_held(lock)]
        if not left:
            return
        names = {lock.name for lock in left}
        started = dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED])
        for run in self._instance.get_runs(started):
            if run.tags.get(LOCAL_RUN_TAG) in names:
                self._instance.report_run_failed(run, "The process that ran it was ended.")
        for lock in left:
            lock.unlink(missing_ok=True)


def is_abandoned(home: Home, run: dg.DagsterRun) -> bool:
    """Tell whether a terminal of this machine ran it, whose process is gone."""
    lock = run.tags.get(LOCAL_RUN_TAG, "")
    here = lock.startswith(f"{platform.node()}-")
    return here and not _is_held(home.dagster / "terminals" / lock)


def _is_held(lock: Path) -> bool:
    """Tell whether a process lives; its number could be another's by now, a lock cannot."""
    try:
        with lock.open("r") as opened:
            fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except FileNotFoundError:  # another process was first
        return False
    return False


def _cause(failure: dg.DagsterEvent) -> str:
    """Say an error's own words; Dagster wraps it into errors of its own."""
    error = failure.step_failure_data.error
    while error is not None and error.cause is not None:
        error = error.cause
    return "no error was recorded" if error is None else error.message.strip()


def new_run_id() -> str:
    """Make the name of a run that is to come."""
    return str(uuid4())
