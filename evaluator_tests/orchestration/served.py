"""A Dagster webserver and a daemon of the test's own, and questions to them."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

from evaluator.orchestration import Home

_Found = TypeVar("_Found")

_DEFINITIONS = """\
import dagster as dg

from evaluator.orchestration import _asset_specs, audit_definitions
from evaluator_tests.orchestration.conftest import small_audit

# The real sensors, looking every three seconds where they would look every thirty.
_asset_specs.SECONDS_BETWEEN_TICKS = 3
defs = dg.Definitions.merge(
    audit_definitions(small_audit()), dg.Definitions(executor=dg.in_process_executor)
)
"""

# The real daemon, looking every two seconds where it would look every thirty.
_DAEMON = """\
from importlib.metadata import entry_points

from dagster._daemon import controller

controller.DEFAULT_DAEMON_INTERVAL_SECONDS = 2
(daemon,) = entry_points(group="console_scripts", name="dagster-daemon")
daemon.load()()
"""


class Served:
    """GraphQL to a running webserver."""

    def __init__(self, port: int) -> None:
        self.address = f"http://127.0.0.1:{port}/graphql"

    def ask(self, query: str, **variables: Any) -> Any:
        """Post a query and return its data."""
        request = urllib.request.Request(  # noqa: S310 - the test's own server on loopback
            self.address,
            json.dumps({"query": query, "variables": variables}).encode(),
            {"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=600) as response:  # noqa: S310 - as above
            answer = json.loads(response.read())
        assert "errors" not in answer, answer["errors"]
        return answer["data"]


def until(condition: Callable[[], _Found | None], what: str, seconds: float = 600) -> _Found:
    """Await a condition and return what it found."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = condition()
        if found:
            return found
        time.sleep(0.3)
    raise AssertionError(f"{what} did not come about within {seconds:.0f} s")


@contextmanager
def served(home: Home, folder: Path) -> Iterator[Served]:
    """Start webserver and daemon over a home, and end both by their process groups."""
    code = folder / "served_definitions.py"
    code.write_text(_DEFINITIONS)
    workspace = folder / "workspace.yaml"
    workspace.write_text(
        f"load_from:\n  - python_file: {{relative_path: {code.name}, location_name: evaluator}}\n"
    )
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    root = Path(__file__).parents[2]
    environment = {**os.environ, "PYTHONPATH": str(root), "DAGSTER_HOME": str(home.dagster)}
    programs = [
        ["-m", "dagster_webserver", "-w", str(workspace), "-h", "127.0.0.1", "-p", str(port)],
        ["-c", _DAEMON, "run", "-w", str(workspace)],
    ]
    log = (folder / "served.log").open("w")
    processes = [
        subprocess.Popen(
            [sys.executable, *program],
            env=environment,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        for program in programs
    ]
    server = Served(port)
    try:
        until(lambda: _answers(server), "the webserver's answer")
        yield server
    finally:
        for process in processes:
            _end(process)
        log.close()


def _answers(server: Served) -> bool:
    try:
        return bool(server.ask("{ version }")["version"])
    except OSError:
        return False


def _end(process: "subprocess.Popen[bytes]") -> None:
    """End a server and the code servers and runs that it started."""
    os.killpg(process.pid, signal.SIGTERM)
    with suppress(subprocess.TimeoutExpired):
        process.wait(timeout=60)
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        return
    process.wait()
