"""The command `evaluator ui` over a home of the test's own, and questions to it."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from evaluator.orchestration import Home

_Found = TypeVar("_Found")

_DEFINITIONS = """\
import dagster as dg

from evaluator.orchestration import audit_definitions
from evaluator_tests.orchestration.conftest import small_audit

defs = dg.Definitions.merge(
    audit_definitions(small_audit()), dg.Definitions(executor=dg.in_process_executor)
)
"""

# The real command, over the small audit instead of those that ship.
_COMMAND = """\
from evaluator.cli import main
from evaluator.orchestration import _services

_services.CODE = ["--python-file", {code!r}]
main()
"""


class Served:
    """A running `evaluator ui`, and GraphQL to its webserver."""

    def __init__(self, process: "subprocess.Popen[bytes]", log: Path, port: int) -> None:
        self.process = process
        self.log = log
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
    """Run `evaluator ui` over a home, and end it as its user would."""
    code, log = folder / "served_definitions.py", folder / "served.log"
    code.write_text(_DEFINITIONS)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    root = Path(__file__).parents[2]
    command = ["-c", _COMMAND.format(code=str(code)), "ui", "--port", str(port)]
    with log.open("w") as output:
        process = subprocess.Popen(
            [sys.executable, *command],
            env={**os.environ, "PYTHONPATH": str(root), "EVALUATOR_HOME": str(home.root)},
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    server = Served(process, log, port)
    try:
        until(lambda: _answers(server) or process.poll() is not None, "the webserver's answer")
        yield server
    finally:
        process.send_signal(signal.SIGINT)
        process.wait()


def _answers(server: Served) -> bool:
    try:
        return bool(server.ask("{ version }")["version"])
    except OSError:
        return False
