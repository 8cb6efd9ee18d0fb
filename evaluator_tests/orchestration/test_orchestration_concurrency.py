"""Candidates side by side, in processes that may be ended at any moment."""

import fcntl
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from threading import Thread
from typing import Any

import dagster as dg
import pytest

from evaluator.errors import UsageError
from evaluator.evidence import RunContext
from evaluator.orchestration import AuditState, Choice, Home, _local_runs
from evaluator.orchestration._candidate_run import CandidateEvaluation
from evaluator.orchestration._executors import _fork_server as fork_server
from evaluator.orchestration._executors._declared import DeclaredExecutor
from evaluator.orchestration._executors._executor import Job
from evaluator.orchestration._executors._processes import ProcessExecutor, work
from evaluator.orchestration._local_runs import LOCAL_RUN_TAG, is_abandoned, new_run_id
from evaluator.orchestration._partitions import slice_batches
from evaluator.orchestration._scorecard_run import read_judged_scorecard
from evaluator.scorecard import Slice
from evaluator.spec import Audit, CandidateSpec, SkopsCandidate
from evaluator_tests.faults import CHILD_FILE, Kind, plan_faults
from evaluator_tests.orchestration.conftest import run, start
from evaluator_tests.orchestration.served import until


def changed(audit: Audit, **settings: Any) -> Audit:
    return Audit(audit.name, audit.spec.model_copy(update=settings))


def run_statuses() -> list[str]:
    with dg.DagsterInstance.get() as instance:
        return sorted(run.status.value for run in instance.get_runs())


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["kills", "leaves a child and kills"])
def test_a_candidate_that_takes_its_process_down_costs_no_other_slice(
    audit: Audit, home: Home, kind: Kind
) -> None:
    plan_faults(home.root, ("pacific", "network"), kind=kind)
    # All slices of a candidate in one process, on however many cores.
    together = changed(audit, partitions_per_run=4)
    summary = run(together, home)
    if (home.root / CHILD_FILE).exists():
        # It held what its parent spoke through, and nobody waited for it.
        os.kill(int((home.root / CHILD_FILE).read_text()), signal.SIGKILL)
    by_candidate = {
        name: [s for s in summary.slices if s.candidate == name] for name in ("sturdy", "frail")
    }
    assert {s.state for s in by_candidate["sturdy"]} == {"current"}
    lost = [s for s in by_candidate["frail"] if s.state != "current"]
    # The one that did it; those before and after it are predicted and measured all the same.
    assert [s.slice.key for s in lost] == ["pacific|network"]
    assert "ended by SIGKILL" in str(lost[0].error)
    assert "isolate: process" in str(lost[0].error)
    assert "STARTED" not in run_statuses()
    assert summary.judged is not None
    plan_faults(home.root)
    again = run(together, home)
    assert again.computed == len(lost)
    assert again.reused == 8 - len(lost)


@pytest.mark.slow
def test_a_run_that_was_killed_goes_on_where_it_was(audit: Audit, home: Home) -> None:
    script = (
        "from evaluator_tests.orchestration.conftest import small_audit, start\n"
        "from evaluator.orchestration._home import Home\n"
        "if __name__ == '__main__':\n"
        "    start(small_audit(), Home.from_environment()).run()\n"
    )
    path = home.root / "killed.py"
    path.write_text(script)
    plan_faults(home.root, ("pacific", "network"), kind="hangs")
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    with subprocess.Popen([sys.executable, str(path)], env=environment) as running:
        until(lambda: running.poll() is not None or stored_slices(home), "a stored slice")
        running.send_signal(signal.SIGKILL)
    assert stored_slices(home)
    await_end_of_orphans(home)
    plan_faults(home.root)
    state = AuditState(audit, home)
    summary = run(audit, home)
    assert summary.faults == []
    assert {s.state for s in summary.slices} == {"current"}
    assert summary.computed + summary.reused == 8
    assert summary.reused > 0
    assert summary.computed >= 2
    assert not list((home.root / "evidence").rglob("*.tmp")) or summary.computed
    assert "STARTED" not in run_statuses()
    assert read_judged_scorecard(state).scorecard.slices["state"].eq("current").all()


def await_end_of_orphans(home: Home) -> None:
    """The workers end by themselves, and let go of their locks."""
    deadline = time.monotonic() + 600
    for lock in (home.dagster / "terminals").iterdir():
        with lock.open() as opened:
            while True:
                try:
                    fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    assert time.monotonic() < deadline, f"{lock.name} is still held"
                    time.sleep(0.05)


def stored_slices(home: Home) -> list[Path]:
    return list((home.root / "evidence").glob("flights/*_slice_metrics/*/*/*/record.json"))


def test_a_run_whose_process_is_gone_is_not_shown_as_running(audit: Audit, home: Home) -> None:
    first = start(audit, home)
    instance = first._runs._instance
    held = first._runs._lock.name
    gone = f"{held}-gone"
    (first._runs._locks / gone).touch()
    run_id = instance.add_run(
        dg.DagsterRun(
            job_name="killed",
            status=dg.DagsterRunStatus.STARTED,
            tags={LOCAL_RUN_TAG: gone},
        )
    ).run_id
    alive = instance.add_run(
        dg.DagsterRun(
            job_name="alive",
            status=dg.DagsterRunStatus.STARTED,
            tags={LOCAL_RUN_TAG: held},
        )
    ).run_id
    shown = {run.run_id: is_abandoned(home, run) for run in instance.get_runs()}
    assert shown == {run_id: True, alive: False}
    start(audit, home)
    statuses = {run.run_id: run.status for run in instance.get_runs()}
    assert statuses[run_id] is dg.DagsterRunStatus.FAILURE
    assert statuses[alive] is dg.DagsterRunStatus.STARTED


def test_a_run_that_is_interrupted_is_closed_as_canceled_and_the_next_one_goes_on(
    audit: Audit, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = Path.replace

    def interrupt(path: Path, target: Any) -> Path:
        if "validated_data" in str(path):
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
            while True:
                threading.Event().wait(0.01)
        return original(path, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", interrupt)
        with pytest.raises(KeyboardInterrupt):
            start(audit, home).ingest_days()
    assert run_statuses() == ["CANCELED", "SUCCESS"]
    assert list(home.root.rglob("*.tmp")) == []
    assert list(home.root.rglob("failure.*.json")) == []
    assert {day.state for day in start(audit, home).ingest_days().days} == {"accepted"}


@pytest.mark.skipif(sys.platform != "linux", reason="reads Linux's table of processes")
def test_a_copier_that_dagster_forgot_is_ended_and_other_processes_are_not(tmp_path: Path) -> None:
    (tmp_path / "step.out").touch()
    copier = subprocess.Popen(["tail", "-F", "-c", "+0", str(tmp_path / "step.out")])  # noqa: S607 - as Dagster starts it
    other = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    until(lambda: command_of(copier.pid).startswith(b"tail"), "its start")
    _local_runs._end_copiers()
    assert copier.wait() == -signal.SIGTERM
    assert other.poll() is None
    other.communicate(b"\n")


def command_of(process: int) -> bytes:
    return Path(f"/proc/{process}/cmdline").read_bytes()


@pytest.mark.parametrize(
    ("status", "closed"), [("NOT_STARTED", "FAILURE"), ("CANCELING", "CANCELED")]
)
def test_a_run_that_was_killed_between_two_states_is_closed(
    audit: Audit, home: Home, status: str, closed: str
) -> None:
    first = start(audit, home)
    gone = f"{first._runs._lock.name}-gone"
    (first._runs._locks / gone).touch()
    first._runs._instance.add_run(
        dg.DagsterRun(
            job_name="killed",
            status=dg.DagsterRunStatus(status),
            tags={LOCAL_RUN_TAG: gone},
        )
    )
    start(audit, home)
    assert run_statuses() == [closed]


def test_a_process_that_is_told_to_stop_ends_and_fails_of_nothing(audit: Audit, home: Home) -> None:
    first = start(audit, home)
    first.ingest_days()
    first._refresh_evaluation_set(refresh=True)
    plan_faults(home.root, ("pacific", "network"), kind="hangs")
    reached: list[str] = []
    job = job_of(audit, home, audit.spec.candidates[1], *audit.spec.slices())
    with ProcessExecutor(1, lambda _, one: reached.append(one.key)) as executor:
        executor.submit(job)
        ((connection, worker),) = executor._running.items()
        until(lambda: connection.poll() or worker.process.exitcode, "a slice")
        # For the run, as a terminal and a service manager send them to all its processes.
        os.kill(worker.process.pid or 0, signal.SIGINT)
        os.kill(worker.process.pid or 0, signal.SIGTERM)
    assert worker.process.exitcode == 0
    assert list(home.root.rglob("failure.*.json")) == []
    assert list(home.root.rglob("*.tmp")) == []


def test_a_run_with_nothing_to_do_opens_no_instance_and_leaves_no_lock(
    audit: Audit, finished_home: Home
) -> None:
    again = start(audit, finished_home)

    assert again.run().computed == 0

    assert "_instance" not in vars(again._runs)
    assert list((finished_home.dagster / "terminals").iterdir()) == []


def test_a_fresh_start_computes_again_and_keeps_what_was(audit: Audit, finished_home: Home) -> None:
    before = {path: path.read_bytes() for path in stored_slices(finished_home)}
    again = start(audit, finished_home, Choice(candidate="sturdy"))
    again.start_afresh()
    summary = again.run()
    assert (summary.computed, summary.reused) == (4, 0)
    assert all(path.read_bytes() == content for path, content in before.items())
    assert len(stored_slices(finished_home)) == len(before) + 4
    whole = run(audit, finished_home)
    assert (whole.computed, whole.reused) == (0, 8)


def test_a_fresh_start_of_all_begins_with_the_days(audit: Audit, finished_home: Home) -> None:
    again = start(audit, finished_home)
    again.start_afresh()
    summary = again.run()
    assert summary.faults == []
    assert (summary.computed, summary.reused) == (8, 0)
    days = finished_home.root / "evidence" / "flights" / "validated_data"
    assert len(list(days.glob("*/*/record.json"))) == 6
    assert len(list((days.parent / "raw_data").glob("*/*/record.json"))) == 3


def test_single_slices_cannot_be_begun_afresh(audit: Audit, finished_home: Home) -> None:
    with pytest.raises(UsageError, match="leave out --geography"):
        start(audit, finished_home, Choice(geography="pacific")).start_afresh()


def test_batches_cover_the_pending_slices_once_and_use_every_core(whole_audit: Audit) -> None:
    candidate, slices = whole_audit.spec.candidates[0], whole_audit.spec.slices()
    batches = slice_batches(whole_audit.spec, candidate, slices, wanted=3)
    assert [len(batch) for batch in batches] == [6, 6, 6]
    assert [one for batch in batches for one in batch] == slices
    few = slice_batches(whole_audit.spec, candidate, slices[4:6], wanted=2)
    assert [one for batch in few for one in batch] == slices[4:6]
    assert slice_batches(whole_audit.spec, candidate, [], wanted=2) == []


def test_the_audit_says_how_many_slices_a_run_has(whole_audit: Audit) -> None:
    small = changed(whole_audit, partitions_per_run=4)
    slices = [s for s in small.spec.slices() if s.geography in {"eastern", "central"}]
    batches = slice_batches(small.spec, small.spec.candidates[0], slices, wanted=1)
    assert sum(len(batch) for batch in batches) == 6
    assert max(len(batch) for batch in batches) <= 4


def job_of(audit: Audit, home: Home, candidate: CandidateSpec, *slices: Slice) -> Job:
    return Job(audit, candidate, home, RunContext(new_run_id(), datetime.now(UTC)), slices)


class OneAtATime(SkopsCandidate):
    """A candidate that needs what there is only one of."""

    @property
    def pool(self) -> str:
        return "endpoint"


class Pooled(ProcessExecutor):
    """Counts how many processes are at work at once."""

    most = 0

    def _fork(self, job: Job, slices: Sequence[Slice]) -> None:
        super()._fork(job, slices)
        self.most = max(self.most, len(self._running))


def test_what_needs_one_pool_runs_one_after_the_other(audit: Audit, finished_home: Home) -> None:
    candidate = OneAtATime.model_construct(**dict(audit.spec.candidates[0]))
    heard: list[tuple[str, Slice]] = []
    jobs = [job_of(audit, finished_home, candidate, one) for one in audit.spec.slices()]
    with Pooled(3, lambda *both: heard.append(both)) as executor:
        executor.submit(*jobs)
        for job in jobs:
            state = AuditState(audit, finished_home)
            with CandidateEvaluation(state, candidate, job.run_context) as evaluation:
                assert list(executor.evaluate(evaluation, job.slices)) == [(job.slices[0], None)]
    assert executor.most == 1
    assert sorted(heard) == sorted((candidate.name, one) for one in audit.spec.slices())


class Telling:
    """A worker's connection that tells how its pool is held whenever it speaks."""

    def __init__(self, pool: Path) -> None:
        self._pool = pool
        self.heard: list[bool] = []

    def send_bytes(self, _message: bytes) -> None:
        self.heard.append(can_lock(self._pool, fcntl.LOCK_SH))


def can_lock(path: Path, how: int) -> bool:
    with path.open("a") as lock:
        try:
            fcntl.flock(lock, how | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
    return True


def test_a_terminal_has_a_pool_alone_and_waits_for_the_daemons_run_that_has_it(
    audit: Audit, finished_home: Home
) -> None:
    candidate = OneAtATime.model_construct(**dict(audit.spec.candidates[0]))
    slices = audit.spec.slices()
    job = job_of(audit, finished_home, candidate, *slices)
    pool = finished_home.dagster / "pools" / "endpoint"
    connection = Telling(pool)
    terminal = Thread(target=work, args=(job, slices, dict(os.environ), 1, connection))

    state = AuditState(audit, finished_home)
    with CandidateEvaluation(state, candidate, job.run_context) as evaluation:
        results = DeclaredExecutor().evaluate(evaluation, slices)
        assert next(results) == (slices[0], None)
        # Another run of the daemon's might go on, if the pool's limit lets it.
        assert can_lock(pool, fcntl.LOCK_SH)
        assert not can_lock(pool, fcntl.LOCK_EX)
        terminal.start()
        assert connection.heard == []
        assert list(results) == [(one, None) for one in slices[1:]]
    terminal.join()

    assert connection.heard == [False] * len(slices)
    assert can_lock(pool, fcntl.LOCK_EX)


_WATCH = """\
import sys
from evaluator.orchestration._executors._processes import work

before = set(sys.modules)
work(job, job.slices, environment, 1, connection)
told.send(sorted(set(sys.modules) - before))
"""


def test_a_forked_process_imports_hardly_anything_more_and_no_dagster(
    audit: Audit, home: Home
) -> None:
    first = start(audit, home)
    first.ingest_days()
    first._refresh_evaluation_set(refresh=True)
    job = job_of(audit, home, audit.spec.candidates[0], Slice("pacific", "network"))
    fork_server.start_fork_server()
    context = fork_server.fork_server_context()
    heard, connection = context.Pipe(duplex=False)
    answers, told = context.Pipe(duplex=False)
    given = {
        "job": job,
        "environment": dict(os.environ),
        "connection": connection,
        "told": told,
    }
    process = context.Process(target=exec, args=(_WATCH, given))
    process.start()
    connection.close()
    told.close()
    imported = answers.recv()
    process.join()
    heard.close()
    assert stored_slices(home)
    # These take a tenth of a second together, and are a file's own.
    small = {"encodings", "fsspec", "narwhals"}
    assert {name.partition(".")[0] for name in imported} <= small
