"""The processes of `evaluator ui`: what ends is started again, and none is left behind."""

import os
import platform
import shutil
import signal
import sqlite3
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import dagster as dg
import pytest
import sqlalchemy
from sqlalchemy.exc import OperationalError

from evaluator.errors import StateError
from evaluator.orchestration import AuditState, Home, _local_runs, _services
from evaluator.orchestration._local_runs import LOCAL_RUN_TAG, RANGE_START_TAG
from evaluator.spec import Audit
from evaluator_tests.faults import HANGS_FILE, plan_faults
from evaluator_tests.orchestration.served import Served, served, until


def ps(*options: str) -> str:
    program = shutil.which("ps")
    assert program
    return subprocess.run([program, *options], capture_output=True, text=True, check=False).stdout


class Processes:
    """The processes of this machine, by what they are to a UI."""

    def __init__(self, server: Served) -> None:
        listed = ps("-A", "-ww", "-o", "pid=,ppid=,args=")
        rows = [row.split(maxsplit=2) for row in listed.splitlines()]
        self._parents = {int(row[0]): int(row[1]) for row in rows}
        self._words = {int(row[0]): row[2] for row in rows if len(row) > 2}
        self._root = server.process.pid

    def all(self) -> set[int]:
        """Those that the UI started, and those that these started."""
        return {pid for pid in self._parents if self._root in self._ancestors(pid)}

    def one(self, words: str) -> int | None:
        """The one that was started with these words."""
        found = [pid for pid in self.all() if words in self._words.get(pid, "")]
        return min(found) if found else None

    def _ancestors(self, pid: int) -> set[int]:
        found = set[int]()
        while pid in self._parents:
            pid = self._parents[pid]
            found.add(pid)
        return found


def lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    # One that nobody has asked about yet is no process any more.
    return not ps("-o", "stat=", "-p", str(pid)).startswith("Z")


def killed(server: Served, words: str) -> int:
    """Kill a process of the UI's, and return the number of the one in its place."""
    pid = until(lambda: Processes(server).one(words), words)
    os.kill(pid, signal.SIGKILL)

    def other() -> int | None:
        assert server.process.poll() is None, server.log.read_text()
        found = Processes(server).one(words)
        return found if found != pid else None

    return until(other, f"another {words}")


def runs(*statuses: str) -> dict[str, dg.DagsterRun]:
    """The runs of these statuses by their names."""
    wanted = [dg.DagsterRunStatus(status) for status in statuses]
    with dg.DagsterInstance.get() as instance:
        return {run.run_id: run for run in instance.get_runs(dg.RunsFilter(statuses=wanted))}


def hanging(home: Home) -> str | None:
    """The run whose candidate hangs by now: one that only began could still get past it."""
    if not (home.root / HANGS_FILE).exists():
        return None
    for name, run in runs("STARTED").items():
        if run.tags.get(RANGE_START_TAG, "").startswith("pacific"):
            return name
    return None


def none_is_left() -> bool:
    return not runs("QUEUED", "STARTING", "STARTED")


def test_the_ui_listens_on_this_machine_only(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    started: dict[str, tuple[str, ...]] = {}

    class Recorded(_services._Service):
        def start(self) -> None:
            started[self.name] = self._arguments

        @property
        def has_ended(self) -> bool:
            raise KeyboardInterrupt

        def ask_to_end(self) -> None:
            pass

        def end(self, seconds: float = 0) -> None:
            pass

    class RecordedCode(Recorded):
        def __init__(self, _home: Home, folder: Path) -> None:
            self.socket = folder / "code.sock"
            super().__init__("code server", "dagster", "--socket", str(self.socket))

    monkeypatch.setattr(_services, "_Service", Recorded)
    monkeypatch.setattr(_services, "_CodeServer", RecordedCode)
    with pytest.raises(KeyboardInterrupt):
        _services.serve(home, 3456, print)
    webserver = started["webserver"]
    assert webserver[webserver.index("-h") + 1] == "127.0.0.1"
    assert webserver[webserver.index("-p") + 1] == "3456"
    # The code is behind a socket, and the daemon listens nowhere.
    assert "--socket" in started["code server"]
    assert not {"-h", "-p", "--port", "--host"} & {*started["daemon"], *started["code server"]}


def test_what_a_killed_terminal_left_is_closed_while_the_ui_goes_on(home: Home) -> None:
    terminals = home.dagster / "terminals"
    terminals.mkdir()
    left, others = (terminals / f"{platform.node()}-left", terminals / "elsewhere-1")
    left.touch()
    others.touch()
    with dg.DagsterInstance.get() as instance:
        killed_run, other = (
            instance.add_run(
                dg.DagsterRun(
                    job_name="running",
                    status=dg.DagsterRunStatus.STARTED,
                    tags={LOCAL_RUN_TAG: lock.name},
                )
            )
            for lock in (left, others)
        )
    _local_runs.close_what_terminals_left(home)
    assert runs("FAILURE").keys() == {killed_run.run_id}
    assert runs("STARTED").keys() == {other.run_id}
    assert not left.exists()
    assert others.exists()


@pytest.fixture
def hanging_home(home: Home) -> Home:
    """A home in which the daemon will come to a slice that never ends."""
    plan_faults(home.root, ("pacific", "network"), kind="hangs")
    return home


@pytest.mark.slow
def test_a_killed_code_server_is_started_again_and_its_runs_are_tried_again(
    audit: Audit, hanging_home: Home, tmp_path: Path
) -> None:
    state = AuditState(audit, hanging_home)
    with served(hanging_home, tmp_path) as server:
        lost = until(lambda: hanging(hanging_home), "the run that hangs")
        plan_faults(hanging_home.root)
        killed(server, "dagster api grpc")
        until(lambda: state.current("certificate"), "the certificate")
        until(none_is_left, "the last run's end")
    assert lost in runs("FAILURE")
    assert "Dagster's code server ended, and is started again." in server.log.read_text()


def test_the_ui_outlives_a_database_that_cannot_be_used(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk may be full while a terminal was killed: the runs are closed when there is room."""
    looks: list[Home] = []

    class Healthy:
        has_ended = False
        socket = "code.sock"
        __init__ = ask_to_end = end = lambda *_: None

    def look(home: Home) -> None:
        looks.append(home)
        if len(looks) > 1:
            raise KeyboardInterrupt
        raise StateError("the disk is full", culprit="Dagster's database", fix="make room")

    for name in ("_Service", "_CodeServer"):
        monkeypatch.setattr(_services, name, Healthy)
    monkeypatch.setattr(_services, "_SECONDS_BETWEEN_LOOKS", 0)
    monkeypatch.setattr(_local_runs, "close_what_terminals_left", look)
    with pytest.raises(KeyboardInterrupt):
        _services.serve(home, 1, print)
    assert looks == [home, home]


def test_what_dagster_prints_of_a_databases_fault_is_without_its_statement(home: Home) -> None:
    home.prepare()
    with _local_runs.open_instance(home):
        pass
    nowhere = sqlalchemy.text("SELECT * FROM nowhere")
    with sqlalchemy.create_engine("sqlite://").connect() as connection:
        with pytest.raises(OperationalError) as told:
            connection.execute(nowhere)
        assert str(told.value) == "(sqlite3.OperationalError) no such table: nowhere"


def test_what_a_terminal_left_stays_to_be_closed_while_the_database_cannot_be_used(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    home.prepare()
    left = home.dagster / "terminals" / f"{platform.node()}-0"
    left.parent.mkdir()
    left.touch()
    with _local_runs.open_instance(home) as instance:
        full = OperationalError("SELECT", {}, sqlite3.OperationalError("disk I/O error"))
        with monkeypatch.context() as patch:
            patch.setattr(instance, "get_runs", raising(full))
            with pytest.raises(StateError, match="disk I/O error"):
                _local_runs.close_what_terminals_left(home, instance)
        assert left.exists()
        _local_runs.close_what_terminals_left(home, instance)
    assert not left.exists()


def raising(error: Exception) -> Callable[..., NoReturn]:
    def fail(*_: object) -> NoReturn:
        raise error

    return fail


@pytest.mark.slow
def test_a_killed_webserver_or_daemon_is_started_again_and_a_second_kill_ends_all(
    home: Home, tmp_path: Path
) -> None:
    with served(home, tmp_path) as server:
        killed(server, "dagster._daemon")
        again = killed(server, "dagster_webserver")
        before = Processes(server).all()
        os.kill(again, signal.SIGKILL)
        assert server.process.wait() != 0
        assert not [pid for pid in before if lives(pid)]
    told = server.log.read_text()
    assert "Dagster's daemon ended, and is started again." in told
    assert "Error: Dagster's webserver: it was started again and ended again" in told
    assert "start `evaluator ui` again" in told


@pytest.mark.slow
def test_a_killed_ui_leaves_nothing_and_the_next_one_goes_on(
    audit: Audit, hanging_home: Home, tmp_path: Path
) -> None:
    state = AuditState(audit, hanging_home)
    with served(hanging_home, tmp_path) as server:
        lost = until(lambda: hanging(hanging_home), "the run that hangs")
        before = Processes(server).all()
        assert len(before) > len(("code proxy", "code", "webserver", "daemon"))
        with served(hanging_home, tmp_path_of(tmp_path, "second")) as second:
            assert second.process.wait() == 2
        refused = "a UI with its daemon runs over this state already"
        assert f"{hanging_home.root}: {refused}" in second.log.read_text()
        server.process.kill()
        server.process.wait()
        until(lambda: not [pid for pid in before if lives(pid)], "the end of all")
    in_progress = runs("STARTING", "STARTED")
    assert lost in in_progress

    plan_faults(hanging_home.root)
    with served(hanging_home, tmp_path_of(tmp_path, "third")):
        until(lambda: state.current("certificate"), "the certificate")
        until(none_is_left, "the last run's end")
    assert runs("FAILURE").keys() == in_progress.keys()


def tmp_path_of(folder: Path, name: str) -> Path:
    (folder / name).mkdir()
    return folder / name
