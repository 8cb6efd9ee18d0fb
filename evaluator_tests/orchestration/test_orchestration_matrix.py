"""Each fault at each stage of an audit: nothing is lost, and the next run makes it whole.

The table of cells is in docs/architecture.md. Full and read-only disks are real ones (tmpfs), for
which root is needed; an I/O error is raised where a file would get its name.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import dagster as dg
import pytest
from mlflow.tracking import MlflowClient

from evaluator.certification import Ledger, require_certificate
from evaluator.evidence import digest_of_bytes
from evaluator.orchestration import Home
from evaluator.spec import TASKS
from evaluator_tests.faults import plan_faults
from evaluator_tests.orchestration.conftest import open_home, run
from evaluator_tests.orchestration.served import until
from evaluator_tests.orchestration.test_orchestration_tasks import audit_of, land

# The command as it is, of the small audit. Where `HOLD` names a function and a text of its
# arguments, it waits there for a signal, or until it may go on; where `FAIL` does, that fails, in
# the candidates' processes too, which import this file.
_COMMAND = """\
import errno
import os
import sys
import threading
from datetime import datetime, timedelta
from importlib import import_module
from pathlib import Path

from evaluator.cli import _audits, command

NOTES = Path(__file__).parent


def load(_):
    from evaluator_tests.orchestration.conftest import small_audit
    from evaluator_tests.orchestration.test_orchestration_tasks import audit_of

    disturb("")
    if "DAYS_AHEAD" in os.environ:
        set_clocks_ahead(int(os.environ["DAYS_AHEAD"]))
    task = os.environ.get("TASK")
    return audit_of(task, "flights") if task else small_audit()


def set_clocks_ahead(days):
    import evaluator.orchestration._component
    import evaluator.orchestration._runner

    class Ahead(datetime):
        @classmethod
        def now(cls, tz=None):
            return datetime.now(tz) + timedelta(days=days)

    for name, module in list(sys.modules.items()):
        if name.startswith("evaluator.") and getattr(module, "datetime", None) is datetime:
            module.datetime = Ahead


def disturb(only):
    for way in ("HOLD", "FAIL"):
        module, name, text = os.environ.get(way, "::").split(":")
        if module and module.startswith(only):
            put(way, module, name, text)


def put(way, module, name, text):
    *owners, name = name.split(".")
    owner = import_module(module)
    for each in owners:
        owner = getattr(owner, each)
    original = getattr(owner, name)

    def function(*arguments, **named):
        if text in str(arguments):
            if way == "FAIL":
                raise OSError(errno.EIO, os.strerror(errno.EIO))
            (NOTES / "held").touch()
            # A library that gives way now and then.
            while not (NOTES / "go").exists():
                threading.Event().wait(0.02)
        return original(*arguments, **named)

    setattr(owner, name, function)


if __name__ == "__main__":
    _audits._load = load
    command()
else:
    disturb("pathlib")
"""


class Answer(NamedTuple):
    code: int
    err: str
    out: str


class Command:
    """`evaluator run flights` of the small audit, in a session of its own."""

    def __init__(
        self,
        home: Home,
        hold: str | None,
        *,
        in_background: bool = False,
        fail: str | None = None,
        days_ahead: int | None = None,
        task: str | None = None,
        name: str = "command",
    ) -> None:
        self.notes = home.root.parent
        path = self.notes / f"{name}.py"
        path.write_text(_COMMAND)
        for note in ("held", "go"):
            (self.notes / note).unlink(missing_ok=True)
        self.err = self.notes / f"{name}.err"
        self.out = self.notes / f"{name}.out"
        self.temporary = self.notes / "temporary"
        self.temporary.mkdir(exist_ok=True)
        environment = os.environ | {
            "PYTHONPATH": str(Path(__file__).parents[2]),
            "TMPDIR": str(self.temporary),
        }
        settings = {"HOLD": hold, "FAIL": fail, "DAYS_AHEAD": days_ahead, "TASK": task}
        environment |= {name: str(value) for name, value in settings.items() if value is not None}
        before = signal.getsignal(signal.SIGINT)
        if in_background:
            # As a shell does, whose job inherits it.
            signal.signal(signal.SIGINT, signal.SIG_IGN)
        try:
            with self.err.open("w") as err, self.out.open("w") as out:
                self.process = subprocess.Popen(
                    [sys.executable, str(path), "run", "flights"],
                    env=environment,
                    stdout=out,
                    stderr=err,
                    start_new_session=True,
                )
        finally:
            signal.signal(signal.SIGINT, before)

    def listens(self) -> bool:
        """Tell whether it has begun to respond to signals."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        caught = int(status.partition("SigCgt:")[2].split()[0], 16)
        return bool(caught >> (signal.SIGTERM - 1) & 1)

    def is_held(self) -> bool:
        """Tell whether it waits where it was told to."""
        return (self.notes / "held").exists()

    def go_on(self) -> None:
        """Let it do what it waits before."""
        (self.notes / "go").touch()

    def send(self, number: signal.Signals) -> None:
        """Send a signal to all its processes, as a terminal and a service manager do."""
        os.killpg(self.process.pid, number)

    def answer(self) -> Answer:
        """Await its end and that of all that it started."""
        code = self.process.wait()
        until(lambda: not self.left(), "the end of all processes")
        return Answer(code, self.err.read_text(), self.out.read_text())

    def left(self) -> list[int]:
        """Name the processes of its session that have not ended, by Linux's own table."""
        found = []
        for entry in Path("/proc").glob("[0-9]*/stat"):
            try:
                state, _, _, session = entry.read_text().rpartition(")")[2].split()[:4]
            except OSError:  # it has just ended
                continue
            if int(session) == self.process.pid and state != "Z":
                found.append(int(entry.parent.name))
        return found


@contextmanager
def started(home: Home, hold: str | None = None, **options: Any) -> Iterator[Command]:
    """Start the command, and leave no process of it behind whatever is found."""
    command = Command(home, hold, **options)
    try:
        yield command
    finally:
        for number in command.left():
            os.kill(number, signal.SIGKILL)
        command.process.wait()


def stored(home: Home, asset: str) -> set[Path]:
    return set((home.root / "evidence" / "flights").glob(f"{asset}/**/record.json"))


def content_versions(home: Home) -> dict[str, str]:
    """Read what was found; certificates and pages tell when and by which run."""
    found = ("raw_data", "validated_data", "evaluation_set", "*_slice_metrics", "scorecard")
    return {
        str(record.relative_to(home.root)): json.loads(record.read_text())["content_version"]
        for asset in found
        for record in stored(home, asset)
    }


def expected(finished: Path) -> dict[str, str]:
    return content_versions(Home(finished, str(finished / "evidence")))


def appears(asset: str) -> Callable[[Home, Command], bool]:
    return lambda home, _: bool(stored(home, asset))


def is_held(_: Home, command: Command) -> bool:
    return command.is_held()


class Moment(NamedTuple):
    """When a signal is sent."""

    condition: Callable[[Home, Command], bool]
    hold: str | None = None
    hangs: bool = False


MOMENTS = {
    "start-up": Moment(lambda _home, command: command.listens()),
    "first files": Moment(appears("raw_data")),
    "half a file of the intake": Moment(is_held, "pathlib:Path.replace:validated_data"),
    "evaluation set": Moment(appears("evaluation_set")),
    "a candidate that hangs": Moment(appears("sturdy_slice_metrics"), hangs=True),
    "half a file of the scorecard": Moment(is_held, "pathlib:Path.replace:scorecard"),
    "half a run of MLflow": Moment(is_held, "evaluator.orchestration._mlflow_runs:as_json:"),
    "after MLflow": Moment(is_held, "pathlib:Path.replace:certificate"),
    "certificate": Moment(appears("certificate")),
    "summary": Moment(is_held, "evaluator.cli._audits:_print_summary:"),
}
"""In their order: each run goes on where the one before was stopped."""


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_an_audit_at_any_moment_and_the_next_run_goes_on(
    home: Home, finished: Path, number: signal.Signals
) -> None:
    for name, moment in MOMENTS.items():
        plan_faults(home.root, *([("pacific", "network")] if moment.hangs else []), kind="hangs")
        with started(home, moment.hold) as command:
            await_moment(home, command, name)
            command.send(number)
            answer = command.answer()
            assert answer.code == 128 + number, (name, answer)
            assert answer.err.count(f"Stopped by {number.name}; what was finished is kept.\n") == 1
            assert "Traceback" not in answer.err
            assert "Error" not in answer.err
            check_nothing_is_left(home, command, name)
    plan_faults(home.root)
    with started(home) as command:
        answer = command.answer()
    assert answer.code == 0, answer
    assert content_versions(home) == expected(finished)
    runs = MlflowClient(home.tracking_uri).search_runs(
        [e.experiment_id for e in MlflowClient(home.tracking_uri).search_experiments()]
    )
    assert sorted(run.info.status for run in runs) == ["FINISHED", "FINISHED", "KILLED"]


def await_moment(home: Home, command: Command, name: str) -> None:
    def has_come() -> bool:
        assert command.process.poll() is None, command.answer()
        return MOMENTS[name].condition(home, command)

    until(has_come, name)


def check_nothing_is_left(home: Home, command: Command, moment: str) -> None:
    assert list(home.root.rglob("failure.*.json")) == [], moment
    assert list(home.root.rglob("*.tmp")) == [], moment
    assert list(command.temporary.iterdir()) == [], moment
    assert list((home.dagster / "terminals").glob("*")) == [], moment
    with dg.DagsterInstance.get() as instance:
        statuses = {run.status.value for run in instance.get_runs()}
    assert statuses <= {"SUCCESS", "CANCELED"}, moment


@pytest.mark.slow
def test_sigint_stops_a_job_in_the_background_that_was_started_to_ignore_it(home: Home) -> None:
    with started(home, MOMENTS["half a file of the intake"].hold, in_background=True) as command:
        await_moment(home, command, "half a file of the intake")
        command.send(signal.SIGINT)
        assert command.answer().code == 128 + signal.SIGINT
        check_nothing_is_left(home, command, "in the background")


STAGES = {
    "intake": "pathlib:Path.replace:validated_data",
    "prediction": "pathlib:Path.replace:sturdy_predictions",
    "scorecard": "pathlib:Path.replace:/scorecard/",
    "certificate": "pathlib:Path.replace:/certificate/",
    "ledger": "evaluator.evidence._files:Files.create:flights/ledger",
    "page": "pathlib:Path.replace:/dashboard/",
    "MLflow": "evaluator.orchestration._mlflow_runs:_experiment:",
}
"""In their order, what is about to be done there: each run goes on where the one before failed."""
_MADE_SIDE_BY_SIDE = {"page": "dashboard", "MLflow": "mlflow_runs"}
"""Of these one may be done where the other failed, and is forgotten, so that it is due again."""


def stages(home: Home) -> Iterator[tuple[str, str]]:
    """Yield each stage, which is due, with the call that it is about to make."""
    for stage, call in STAGES.items():
        if stage in _MADE_SIDE_BY_SIDE:
            made = home.root / "evidence" / "flights" / _MADE_SIDE_BY_SIDE[stage]
            shutil.rmtree(made, ignore_errors=True)
        yield stage, call


def await_hold(command: Command, stage: str) -> None:
    until(lambda: command.is_held() or command.process.poll() is not None, stage)
    assert command.is_held(), (stage, command.answer())


@pytest.fixture
def disks() -> Iterator[Callable[[Path], "Disk"]]:
    """Makes folders disks of their own, with what is in them."""
    if os.geteuid() != 0:
        pytest.skip("only root can mount a disk")
    mounted: list[Path] = []

    def mount(folder: Path) -> Disk:
        folder.mkdir(exist_ok=True)
        moved = folder.with_name(f"{folder.name}.moved")
        shutil.copytree(folder, moved)
        size = sum(path.stat().st_size for path in moved.rglob("*") if path.is_file())
        _call("mount", "-t", "tmpfs", "-o", f"size={size + 48_000_000}", "disk", str(folder))
        mounted.append(folder)
        shutil.copytree(moved, folder, dirs_exist_ok=True)
        return Disk(folder)

    yield mount
    for folder in mounted:
        _call("umount", "--lazy", str(folder))


class Disk(NamedTuple):
    """A small disk."""

    folder: Path

    def fill(self) -> None:
        """Leave no byte free."""
        with (self.folder / "filling").open("wb", buffering=0) as file:
            for size in (1 << 16, 1 << 12):
                with suppress(OSError):
                    while True:
                        file.write(bytes(size))
        assert shutil.disk_usage(self.folder).free == 0

    def empty(self) -> None:
        """Give the room back."""
        (self.folder / "filling").unlink()

    def write_protect(self) -> None:
        """Let nobody write, as soon as no file is open there: others go on beside what is held."""
        command = ("mount", "-o", "remount,ro", str(self.folder))

        def is_protected() -> bool:
            # The system refuses with the code 32 while a file is open.
            ended = subprocess.run(command, check=False, capture_output=True)
            assert ended.returncode in (0, 32), ended
            return ended.returncode == 0

        until(is_protected, "no file is open for writing")

    def allow_writing(self) -> None:
        """Let everybody write again."""
        _call("mount", "-o", "remount,rw", str(self.folder))


def _call(*command: str) -> None:
    subprocess.run(command, check=True)


def check_it_becomes_whole(home: Home, finished: Path, task: str | None = None) -> None:
    with started(home, task=task) as command:
        answer = command.answer()
    assert answer.code == 0, answer
    assert "Fault" not in answer.out
    # While slices were missing there may have been another scorecard, which is superseded.
    assert expected(finished).items() <= content_versions(home).items()
    current = [
        json.loads((root / "evidence/flights/scorecard/_/current.json").read_text())["identity"]
        for root in (home.root, finished)
    ]
    assert current[0] == current[1]
    for path in (home.root / "evidence").rglob("record.json"):
        for name, stored_file in json.loads(path.read_text())["files"].items():
            assert digest_of_bytes((path.parent / name).read_bytes()) == stored_file["sha256"]
    ledger = Ledger(str(home.root / "evidence"), "flights")
    for chained in ledger.entries():
        if chained.entry.kind == "certificate":
            content = (home.root / "evidence" / chained.entry.certificate_body().path).read_bytes()
            assert digest_of_bytes(content) == chained.entry.subject


def check_it_is_told(answer: Answer, stage: str) -> None:
    """A run either does not need what fails, or ends as a fault, in sentences."""
    assert answer.code in (0, 3), (stage, answer)
    assert "Traceback" not in answer.err
    assert "[SQL" not in answer.err + answer.out
    if answer.code == 3:
        assert "Fault: " in answer.out or "Error: " in answer.err or "A fault of" in answer.err
    assert "refused" not in answer.out, (stage, answer)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_a_signal_at_each_stage_costs_nothing(
    home: Home, finished: Path, number: signal.Signals
) -> None:
    for stage, hold in stages(home):
        with started(home, hold) as command:
            await_hold(command, stage)
            if number == signal.SIGKILL:
                # The others have to find out for themselves.
                command.process.kill()
            else:
                command.send(number)
            answer = command.answer()
        assert answer.code == (-9 if number == signal.SIGKILL else 128 + number), (stage, answer)
        assert "Traceback" not in answer.err
    check_it_becomes_whole(home, finished)


@pytest.mark.slow
@pytest.mark.parametrize("where", ["evidence", "temporary", "home"])
def test_a_disk_that_is_full_at_each_stage_costs_nothing(
    home: Home, finished: Path, disks: Callable[[Path], Disk], where: str
) -> None:
    folders = {"evidence": home.root / "evidence", "home": home.root}
    disk = disks(folders.get(where, home.root.parent / "temporary"))
    for stage, call in stages(home):
        hold = call
        if where == "temporary":
            # Other stages need no room there; the intake's files are there before they are stored.
            if stage not in ("intake", "MLflow"):
                continue
            hold = "evaluator.orchestration._days:DayIntake.ingest:" if stage == "intake" else call
        with started(home, hold) as command:
            await_hold(command, stage)
            disk.fill()
            command.go_on()
            answer = command.answer()
        check_it_is_told(answer, stage)
        if answer.code == 3:
            assert "make room" in answer.err + answer.out, (stage, answer)
        assert list(home.root.rglob("*.tmp")) == [], stage
        disk.empty()
    check_it_becomes_whole(home, finished)


@pytest.mark.slow
def test_evidence_that_becomes_read_only_at_each_stage_costs_nothing(
    home: Home, finished: Path, disks: Callable[[Path], Disk]
) -> None:
    disk = disks(home.root / "evidence")
    for stage, hold in stages(home):
        with started(home, hold) as command:
            await_hold(command, stage)
            disk.write_protect()
            command.go_on()
            answer = command.answer()
        check_it_is_told(answer, stage)
        if answer.code == 3:
            assert "let this account write there" in answer.err + answer.out, (stage, answer)
        disk.allow_writing()
    check_it_becomes_whole(home, finished)


@pytest.mark.slow
def test_an_io_error_at_each_stage_costs_nothing_and_names_the_file(
    home: Home, finished: Path
) -> None:
    for stage, fail in stages(home):
        with started(home, fail=fail) as command:
            answer = command.answer()
        assert answer.code == 3, (stage, answer)
        check_it_is_told(answer, stage)
        assert "[Errno 5] Input/output error" in answer.err + answer.out, (stage, answer)
        if fail.startswith("pathlib"):
            assert str(home.root / "evidence/flights") in answer.err + answer.out, (stage, answer)
        assert list(home.root.rglob("*.tmp")) == [], stage
    check_it_becomes_whole(home, finished)


@pytest.mark.slow
@pytest.mark.parametrize("task", sorted(TASKS.keys() - {"binary"}))
def test_faults_at_each_stage_cost_no_task_anything(
    task: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    finished = open_home(tmp_path / "finished", monkeypatch)
    land(finished, task, "flights")
    shutil.copytree(finished.root, tmp_path / "home")
    assert run(audit_of(task, "flights"), finished).faults == []
    home = open_home(tmp_path / "home", monkeypatch)
    for stage, of_flights in stages(home):
        call = of_flights.replace("sturdy", "model")
        with started(home, call, task=task) as command:
            await_hold(command, stage)
            command.process.kill()
            assert command.answer().code == -9
        with started(home, fail=call, task=task) as command:
            answer = command.answer()
        assert answer.code == 3, (stage, answer)
        check_it_is_told(answer, stage)
    check_it_becomes_whole(home, finished.root, task)


@pytest.mark.slow
@pytest.mark.parametrize("count", [2, 5])
def test_runs_at_once_from_an_empty_state_make_one_audit(
    prepared: Path, finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    root = tmp_path / "home"
    # Without the databases that the prepared home has, whose making is a race of its own.
    shutil.copytree(prepared, root, ignore=shutil.ignore_patterns("dagster", "mlflow"))
    monkeypatch.setenv("EVALUATOR_HOME", str(root))
    home = Home.from_environment()
    with ExitStack() as all_of_them:
        commands = [
            all_of_them.enter_context(started(home, name=f"command{number}"))
            for number in range(count)
        ]
        answers = [command.answer() for command in commands]
    assert [answer.code for answer in answers] == [0] * count, answers
    assert not any("Fault" in answer.out for answer in answers)
    monkeypatch.setenv("DAGSTER_HOME", str(home.dagster))
    check_it_becomes_whole(home, finished)
    certificates = stored(home, "certificate")
    entries = [
        chained.entry.kind for chained in Ledger(str(root / "evidence"), "flights").entries()
    ]
    assert len(certificates) == 1
    assert entries.count("certificate") == 2


@pytest.mark.slow
def test_what_a_clock_that_was_ahead_certified_is_certified_anew(
    home: Home, finished: Path
) -> None:
    with started(home, days_ahead=40) as command:
        assert command.answer().code == 0
    url = str(home.root / "evidence")

    def is_released() -> bool:
        entries = Ledger(url, "flights").entries()
        (entered,) = {
            chained.entry.certificate_body().artifact_digest
            for chained in entries
            if chained.entry.kind == "certificate"
            and chained.entry.certificate_body().candidate == "sturdy"
        }
        return require_certificate(entries, "sturdy", entered, datetime.now(UTC)).is_met

    assert not is_released()
    check_it_becomes_whole(home, finished)
    assert is_released()
    assert len(stored(home, "certificate")) == 2
    check_it_becomes_whole(home, finished)
    assert len(stored(home, "certificate")) == 2
