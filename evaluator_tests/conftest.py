"""What all tests share: their order, no deadlines, and what no continuous integration skips."""

import fcntl
import os
import shutil
import signal
import sys
from collections.abc import Callable, Generator
from pathlib import Path
from typing import NamedTuple, TypeVar

import pytest
from hypothesis import HealthCheck, settings

from evaluator import cli

settings.register_profile("unhurried", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("unhurried")

# A script that starts the tests in the background has them ignore SIGINT. Dagster lets SIGTERM do
# what SIGINT does, and its helpers, which inherit that, could not be ended.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

_Report = TypeVar("_Report", pytest.TestReport, pytest.CollectReport)
BuiltOnce = Callable[[str, Callable[[Path], None]], Path]
"""Makes a folder by its name, or returns the one that is made already."""


class Answer(NamedTuple):
    """What the command said, and its exit code."""

    code: int
    out: str
    err: str


Call = Callable[..., Answer]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the rooms whose files take longest, so that no worker is left alone at the end."""
    first = ("evaluator_tests/orchestration", "evaluator_tests/demo")
    items.sort(key=lambda item: not item.nodeid.startswith(first))


@pytest.fixture(scope="session")
def built_once(tmp_path_factory: pytest.TempPathFactory) -> BuiltOnce:
    """Make folders that all workers of a session share: the first one to ask makes it."""
    shared = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent

    def build(name: str, make: Callable[[Path], None]) -> Path:
        folder, done = shared / name, shared / f"{name}.done"
        with (shared / f"{name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not done.exists():
                # What a worker that failed left half made.
                shutil.rmtree(folder, ignore_errors=True)
                make(folder)
                done.touch()
        return folder

    return build


@pytest.fixture
def call_command(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Call:
    """Call the command `evaluator` in this process."""

    def make(*arguments: str) -> Answer:
        monkeypatch.setattr(sys, "argv", ["evaluator", *arguments])
        with pytest.raises(SystemExit) as caught:
            cli.main()
        out, err = capfd.readouterr()
        return Answer(int(caught.value.code or 0), out, err)

    return make


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Let no test be skipped where everything is to be run."""
    return _refused((yield))


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Let no file be skipped either."""
    return _refused((yield))


def _refused(report: _Report) -> _Report:
    if report.skipped and os.environ.get("CI") and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"With CI set nothing may be skipped, and this was: {report.longrepr}"
    return report
