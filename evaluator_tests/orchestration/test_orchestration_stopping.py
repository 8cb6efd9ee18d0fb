"""SIGINT and SIGTERM stop an audit wherever it stands, and the next run makes it whole."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import dagster as dg
import pytest
from mlflow.tracking import MlflowClient

from evaluator.orchestration import Home
from evaluator_tests.faults import plan_faults
from evaluator_tests.orchestration.served import until

# The command as it is, of the small audit. Where `HOLD` names a function and a text of its
# arguments, it waits there for a signal.
_COMMAND = """\
import os
import sys
import threading
from importlib import import_module
from pathlib import Path

from evaluator.cli import _audits, command


def load(_):
    from evaluator_tests.orchestration.conftest import small_audit

    if "HOLD" in os.environ:
        hold(*os.environ["HOLD"].split(":"))
    return small_audit()


def hold(module, name, text):
    *owners, name = name.split(".")
    owner = import_module(module)
    for each in owners:
        owner = getattr(owner, each)
    original = getattr(owner, name)

    def function(*arguments):
        if text in str(arguments):
            Path(os.environ["EVALUATOR_HOME"], "held").touch()
            # A library that gives way now and then.
            while True:
                threading.Event().wait(0.02)
        return original(*arguments)

    setattr(owner, name, function)


if __name__ == "__main__":
    _audits._load = load
    command()
"""


class Answer(NamedTuple):
    code: int
    err: str


class Command:
    """`evaluator run flights` of the small audit, in a session of its own."""

    def __init__(self, home: Home, hold: str | None, *, in_background: bool = False) -> None:
        path = home.root.parent / "command.py"
        path.write_text(_COMMAND)
        self.err = home.root.parent / "err.txt"
        self.temporary = home.root.parent / "temporary"
        self.temporary.mkdir(exist_ok=True)
        environment = os.environ | {
            "PYTHONPATH": str(Path(__file__).parents[2]),
            "TMPDIR": str(self.temporary),
        }
        if hold is not None:
            environment["HOLD"] = hold
        before = signal.getsignal(signal.SIGINT)
        if in_background:
            # As a shell does, whose job inherits it.
            signal.signal(signal.SIGINT, signal.SIG_IGN)
        try:
            with self.err.open("w") as err:
                self.process = subprocess.Popen(
                    [sys.executable, str(path), "run", "flights"],
                    env=environment,
                    stdout=subprocess.DEVNULL,
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

    def send(self, number: signal.Signals) -> None:
        """Send a signal to all its processes, as a terminal and a service manager do."""
        os.killpg(self.process.pid, number)

    def answer(self) -> Answer:
        """Await its end and that of all that it started."""
        code = self.process.wait()
        until(lambda: not self.left(), "the end of all processes")
        return Answer(code, self.err.read_text())

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
def started(
    home: Home, hold: str | None = None, *, in_background: bool = False
) -> Iterator[Command]:
    """Start the command, and leave no process of it behind whatever is found."""
    command = Command(home, hold, in_background=in_background)
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


def appears(asset: str) -> Callable[[Home, Command], bool]:
    return lambda home, _: bool(stored(home, asset))


def is_held(home: Home, _: Command) -> bool:
    return (home.root / "held").exists()


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
    "certificate": Moment(appears("certificate")),
    "half a run of MLflow": Moment(is_held, "evaluator.orchestration._mlflow_runs:as_json:"),
    "after MLflow": Moment(appears("mlflow_runs")),
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
        (home.root / "held").unlink(missing_ok=True)
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
    assert content_versions(home) == content_versions(Home(finished, str(finished / "evidence")))
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
