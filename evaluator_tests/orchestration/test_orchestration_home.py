"""The state's folder: made whole, its owner's alone, and itself wherever it is copied to."""

import errno
import os
import shutil
import signal
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from threading import Barrier
from typing import Any

import dagster as dg
import pytest
from mlflow.tracking import MlflowClient

from evaluator.errors import StateError
from evaluator.evidence import digest_of_file
from evaluator.orchestration import AuditRun, AuditState, Choice, Display, Home
from evaluator.orchestration._executors._processes import ProcessExecutor
from evaluator.orchestration._local_runs import LocalRuns, new_run_id
from evaluator.orchestration._mlflow_runs import DAGSTER_RUN_TAG, IDENTITY_TAG
from evaluator.orchestration._tracking import tracking_client
from evaluator.spec import Audit
from evaluator_tests.orchestration.conftest import open_home, run, start


@pytest.fixture
def empty_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    return open_home(tmp_path / "home", monkeypatch)


@pytest.fixture(autouse=True)
def mask() -> Iterator[None]:
    """A mask that hides nothing; the process's own comes back."""
    before = os.umask(0)
    yield
    os.umask(before)


def files(folder: Path) -> dict[str, Path]:
    return {str(p.relative_to(folder)): p for p in folder.rglob("*") if p.is_file()}


def digests(folder: Path) -> dict[str, str]:
    return {name: digest_of_file(path) for name, path in files(folder).items()}


def forget_mlflow_runs(home: Home) -> None:
    """Make the runs of MLflow the only thing that is not current."""
    shutil.rmtree(home.root / "evidence/flights/mlflow_runs")


_KILLED = """\
import os, signal, sqlalchemy
from evaluator.orchestration import Home
from evaluator.orchestration._tracking import tracking_client

statements = 0

def count(*_):
    global statements
    statements += 1
    if statements == {after}:
        os.kill(os.getpid(), signal.SIGKILL)

sqlalchemy.event.listen(sqlalchemy.engine.Engine, "after_cursor_execute", count)
tracking_client(Home.from_environment())
"""


def test_a_kill_while_mlflows_database_is_made_leaves_none_that_is_broken(empty_home: Home) -> None:
    script = _KILLED.format(after=150)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    killed = subprocess.run([sys.executable, "-c", script], env=environment, check=False)
    assert killed.returncode == -signal.SIGKILL
    assert list(empty_home.mlflow_database.parent.glob(".mlflow.db.*.tmp"))
    assert not empty_home.mlflow_database.exists()

    (default,) = tracking_client(empty_home).search_experiments()

    assert default.artifact_location == f"{empty_home.mlflow_artifacts.as_uri()}/0"
    assert sorted(files(empty_home.mlflow_database.parent)) == ["mlflow.db", "mlflow.lock"]


def test_first_runs_at_once_make_the_databases_once(audit: Audit, empty_home: Home) -> None:
    together = Barrier(3)

    def first(_: int) -> tuple[int, int]:
        runs = LocalRuns(AuditState(audit, empty_home), ProcessExecutor(1, lambda *_: None))
        together.wait()
        experiments = tracking_client(empty_home).search_experiments()
        return len(runs._instance.get_runs()), len(experiments)

    with ThreadPoolExecutor(3) as threads:
        assert list(threads.map(first, range(3))) == [(0, 1)] * 3


def halve(database: Path) -> None:
    """Leave it as a kill in the midst of its making did before it was made aside."""
    with sqlite3.connect(database) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '451aebb31d03'")
    connection.close()


def lose_its_versions(database: Path) -> None:
    with sqlite3.connect(database) as connection:
        connection.execute("DROP TABLE alembic_version")
    connection.close()


def damage(database: Path) -> None:
    database.write_bytes(b"\x00 no database" * 100)


@pytest.mark.parametrize("spoil", [halve, lose_its_versions, damage])
def test_a_broken_database_is_told_with_its_fix_and_left_as_it_is(
    spoil: Callable[[Path], None], home: Home
) -> None:
    spoil(home.mlflow_database)
    before = digests(home.root / "mlflow")
    with pytest.raises(StateError) as caught:
        tracking_client(home)
    assert str(caught.value).startswith(f"{home.mlflow_database}: MLflow cannot use it")
    assert "move the file away: the next run makes another one" in caught.value.fix
    assert digests(home.root / "mlflow").items() >= before.items()


def test_an_empty_database_is_made_anew(home: Home) -> None:
    home.mlflow_database.write_bytes(b"")
    assert len(tracking_client(home).search_experiments()) == 1


def test_a_broken_database_costs_nothing_but_the_runs_in_it(
    audit: Audit, finished_home: Home
) -> None:
    halve(finished_home.mlflow_database)
    again = start(audit, finished_home)
    again.start_afresh()
    summary = again.run()
    (fault,) = summary.faults
    assert "MLflow cannot use it" in fault
    assert "To mend it" in fault
    state = AuditState(audit, finished_home)
    assert state.require("certificate").run_id == state.require("dashboard").run_id

    finished_home.mlflow_database.unlink()
    assert run(audit, finished_home).faults == []


def test_interrupted_runs_are_closed_once_their_owner_is_known_to_be_gone(
    audit: Audit, finished_home: Home
) -> None:
    client = tracking_client(finished_home)
    experiment = client.get_experiment_by_name("flights").experiment_id

    def left(owner: str, **tags: str) -> str:
        tags = tags or {IDENTITY_TAG: "x/sturdy", DAGSTER_RUN_TAG: owner}
        return str(client.create_run(experiment, tags=tags).info.run_id)

    with dg.DagsterInstance.get() as instance:
        gone, alive = (
            instance.add_run(dg.DagsterRun(job_name="logs", status=status)).run_id
            for status in (dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.STARTED)
        )
    found = {
        left(gone): "KILLED",
        left(alive): "RUNNING",
        # Of another home, which logs to the same server.
        left(new_run_id()): "RUNNING",
        left(gone, somebody="else"): "RUNNING",
    }
    forget_mlflow_runs(finished_home)

    assert run(audit, finished_home).faults == []

    assert {run_id: client.get_run(run_id).info.status for run_id in found} == found


def test_a_run_of_mlflow_in_which_logging_fails_is_closed_as_failed(
    audit: Audit, finished_home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = tracking_client(finished_home)
    experiment = client.get_experiment_by_name("flights").experiment_id
    for logged in client.search_runs([experiment]):
        client.delete_run(logged.info.run_id)
    forget_mlflow_runs(finished_home)

    def fail(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(MlflowClient, "log_dict", fail)
    (fault,) = run(audit, finished_home).faults
    assert "No space left" in fault
    assert [r.info.status for r in client.search_runs([experiment])] == ["FAILED"]


class _Watching(Display):
    """A display that looks what is there when a stage begins."""

    def __init__(self, look: Callable[[], bool]) -> None:
        self.seen: dict[str, bool] = {}
        self._look = look

    @contextmanager
    def stage(self, name: str, _parts: int, _thing: str) -> Iterator[Callable[[], None]]:
        self.seen[name] = self._look()
        yield lambda: None


def test_a_tracking_server_is_waited_for_last_and_by_name(
    audit: Audit, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://ada:secret@127.0.0.1:9/mlflow")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    state = AuditState(audit, home)
    display = _Watching(lambda: state.store.current(state.address("documents")) is not None)

    summary = AuditRun(audit, home, Choice(), display).run()

    assert len(summary.faults) == 1
    waits = "MLflow at 127.0.0.1:9, waited for two minutes at most"
    assert list(display.seen)[-1] == waits
    assert display.seen[waits]
    assert not display.seen["Reports"]


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"", "it is empty"),
        (b"# only\n", "it is empty"),
        (b"telemetry: {", "it is no YAML"),
        (b"- telemetry\n", "it holds no settings by name"),
        (b"\x00\x00\x00\x00", "it is no YAML"),
        (b"{}", "it holds no settings by name"),
    ],
)
def test_an_instance_file_that_is_none_is_told_with_its_fix(
    content: bytes, what: str, empty_home: Home
) -> None:
    empty_home.instance_file.write_bytes(content)
    with pytest.raises(StateError, match=what) as caught:
        empty_home.prepare()
    assert str(caught.value).startswith(f"{empty_home.instance_file}: ")
    assert "delete it: it is written anew" in caught.value.fix
    assert "\n" not in str(caught.value)


def test_a_full_disk_leaves_no_file_of_dagsters_half_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as disk:
        disk.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="No space left"):
            open_home(tmp_path / "home", disk)
    assert files(tmp_path / "home") == {}
    home = open_home(tmp_path / "home", monkeypatch)
    assert sorted(files(home.dagster)) == ["dagster.yaml"]


def test_files_of_dagsters_that_are_there_are_not_touched(empty_home: Home) -> None:
    empty_home.instance_file.write_text("telemetry: {enabled: false}\n")
    before = {name: path.stat() for name, path in files(empty_home.dagster).items()}
    empty_home.prepare()
    after = {name: path.stat() for name, path in files(empty_home.dagster).items()}
    assert {n: (s.st_ino, s.st_mtime_ns) for n, s in after.items()} == {
        n: (s.st_ino, s.st_mtime_ns) for n, s in before.items()
    }


def test_all_that_is_written_is_its_owners_alone_and_what_others_put_there_keeps_its_mode(
    audit: Audit, prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "home"
    theirs = [root / "landing", root / "models"]
    for folder in theirs:
        shutil.copytree(prepared / folder.name, folder)
    for path in (p for folder in theirs for p in (folder, *folder.rglob("*"))):
        path.chmod(0o777 if path.is_dir() else 0o666)
    home = open_home(root, monkeypatch)

    assert run(audit, home).faults == []

    modes = {path: stat.S_IMODE(path.stat().st_mode) for path in root.rglob("*")}
    assert {path.name for path in modes} >= {"mlflow.db", "runs.db", "index.db", "record.json"}
    wrong = {
        str(path.relative_to(root)): oct(mode)
        for path, mode in modes.items()
        if mode
        != (
            (0o777 if path.is_dir() else 0o666)
            if any(path.is_relative_to(folder) for folder in theirs)
            else (0o700 if path.is_dir() else 0o600)
        )
    }
    assert wrong == {}


def test_processes_of_dagsters_own_write_for_their_owner_alone(empty_home: Home) -> None:
    os.umask(0)
    with dg.DagsterInstance.get():
        before = os.umask(0)
    assert before == 0o077
    assert stat.S_IMODE(empty_home.dagster.stat().st_mode) == 0o700


def test_a_state_that_was_copied_writes_into_itself_alone(
    audit: Audit, finished_home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(finished_home.root, tmp_path / "copy")
    before = digests(finished_home.root)
    home = open_home(tmp_path / "copy", monkeypatch)
    again = start(audit, home)
    again.start_afresh()

    summary = again.run()

    assert summary.faults == []
    assert summary.computed == 8
    assert digests(finished_home.root) == before
    client: Any = tracking_client(home)
    experiments = client.search_experiments()
    logged = client.search_runs([e.experiment_id for e in experiments])
    assert len(logged) == 4
    here = home.mlflow_artifacts.as_uri()
    assert all(e.artifact_location.startswith(f"{here}/") for e in experiments)
    assert all(r.info.artifact_uri.startswith(f"{here}/") for r in logged)
    assert all(client.list_artifacts(r.info.run_id) for r in logged)


def test_no_file_of_a_state_but_mlflows_database_names_where_the_state_lies(
    finished: Path, finished_home: Home
) -> None:
    with sqlite3.connect(finished_home.mlflow_database) as connection:
        locations = connection.execute("SELECT artifact_location FROM experiments").fetchall()
    connection.close()
    assert all(finished.as_uri() in location for (location,) in locations)
    names = [
        name
        for name, path in files(finished_home.root).items()
        if os.fsencode(finished) in path.read_bytes()
    ]
    assert names == ["mlflow/mlflow.db"]
