"""Dagster's code server, webserver and daemon over one home, which live and end together.

Each has a session of its own with all that it starts, so that it is ended with all of it, runs too.
And each holds the end of a pipe whose other end is here: where this process is gone, be it by
SIGKILL, so are they.
"""

import math
import os
import runpy
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Final, NoReturn

from evaluator.errors import StateError
from evaluator.evidence import digest_of
from evaluator.orchestration._home import Home

if TYPE_CHECKING:
    from dagster import DagsterRunStatus

LOOPBACK: Final = "127.0.0.1"
CODE = ["--module-name", "evaluator.definitions"]
"""What the code server loads."""
_WORKSPACE = "load_from:\n  - grpc_server: {{socket: '{socket}', location_name: evaluator}}\n"
_SECONDS_BETWEEN_LOOKS = 1
_SECONDS_TO_LIVE = 60
"""What was started again and ended sooner than this would do so once more."""
_SECONDS_TO_END = 8
"""A process that is stopped has ten seconds for all it does (see `verifier`)."""


class _Service:
    """A process of Dagster, and all that it started."""

    def __init__(self, name: str, *arguments: str) -> None:
        self.name = name
        self._arguments = arguments
        self._restarted_at = -math.inf
        self.start()

    def start(self) -> None:
        """Start it; it ends with this process."""
        # Its standard input is the pipe that tells of our end.
        self._process = subprocess.Popen(  # noqa: S603 - our own interpreter, no shell
            [sys.executable, "-m", __name__, *self._arguments],
            stdin=subprocess.PIPE,
            start_new_session=True,
        )

    @property
    def has_ended(self) -> bool:
        return self._process.poll() is not None

    def restart(self, say: Callable[[str], None]) -> None:
        """Start it again, with nothing left of before; twice in a row it is not worth it."""
        self.end()
        now = time.monotonic()
        if now - self._restarted_at < _SECONDS_TO_LIVE:
            raise StateError(
                "it was started again and ended again, and so the UI and its daemon have ended",
                culprit=f"Dagster's {self.name}",
                fix="read what stands above, mend that, and start `evaluator ui` again",
            )
        self._restarted_at = now
        say(f"Dagster's {self.name} ended, and is started again.")
        self.start()

    def ask_to_end(self) -> None:
        """Ask all that runs in its session."""
        self._signal(signal.SIGTERM)

    def end(self, seconds: float = 0) -> None:
        """Wait for it a while, and leave nothing that it started."""
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(seconds)
        self._signal(signal.SIGKILL)
        self._process.wait()
        if self._process.stdin is not None:
            self._process.stdin.close()

    def _signal(self, number: int) -> None:
        # Where all are gone: on macOS it is not permitted then.
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, number)


class _CodeServer(_Service):
    """The process that answers for the audits' code and starts the runs.

    It is Dagster's proxy, which reloads the code when the UI asks for it: the code is in a process
    of the proxy's, which the proxy does not miss.

    Parameters
    ----------
    home
        Whose runs it starts.
    folder
        Where its socket is; the name is the home's, which so tells its runs from others'.
    """

    def __init__(self, home: Home, folder: Path) -> None:
        from dagster._grpc.client import DagsterGrpcClient

        self._home = home
        self.socket = folder / "code.sock"
        self._client = DagsterGrpcClient(socket=str(self.socket))
        options = ["--socket", str(self.socket), "--location-name=evaluator", "--log-level=warning"]
        super().__init__("code server", "dagster", "code-server", "start", *options, *CODE)

    def start(self) -> None:
        """Start it and wait until it answers; then what ran in the one before has failed."""
        lost = self._lost_runs()
        self.socket.unlink(missing_ok=True)
        super().start()
        while not self._answers() and not super().has_ended:
            time.sleep(_SECONDS_BETWEEN_LOOKS)
        # Not earlier: Dagster tries them once more at once, and gives up where nothing answers.
        self._fail(lost)

    @property
    def has_ended(self) -> bool:
        return super().has_ended or not self._answers()

    def _answers(self) -> bool:
        """Tell whether there is a process with the code; one that does not load is one too."""
        from dagster._core.errors import DagsterUserCodeUnreachableError

        try:
            self._client.ping("")
        except DagsterUserCodeUnreachableError as error:
            # Of its process with the code the proxy tells in the words of its own error.
            return "UNAVAILABLE" not in f"{error} {error.__cause__}"
        return True

    def _lost_runs(self) -> list[str]:
        """Name the runs that no process runs any more; Dagster would wait for them for a day."""
        import dagster as dg
        from dagster._core.storage.tags import GRPC_INFO_TAG

        from evaluator.orchestration._local_runs import is_abandoned, open_instance

        mine = _socket_prefix(self._home)
        with open_instance(self._home) as instance:
            running = instance.get_runs(dg.RunsFilter(statuses=_running()))
            return [
                run.run_id
                for run in running
                if mine in run.tags.get(GRPC_INFO_TAG, "") or is_abandoned(self._home, run)
            ]

    def _fail(self, lost: list[str]) -> None:
        import dagster as dg

        from evaluator.orchestration._local_runs import close_lost_run, open_instance

        if not lost:
            return
        with open_instance(self._home) as instance:
            # One that was never begun may be in the queue again.
            for run in instance.get_runs(dg.RunsFilter(run_ids=lost, statuses=_running())):
                close_lost_run(instance, run)


def _running() -> "list[DagsterRunStatus]":
    from dagster import DagsterRunStatus as Status

    return [Status.STARTING, Status.STARTED, Status.CANCELING]


def _socket_prefix(home: Home) -> str:
    # The home's own path may be too long for a socket's.
    return f"evaluator-{digest_of(str(home.root))[:16]}-"


def serve(home: Home, port: int, say: Callable[[str], None]) -> NoReturn:
    """Run Dagster's UI and daemon over a home on this machine only, until this process is stopped.

    A process of theirs that ends is started again. Runs that ended with the code server, or with
    an earlier one, are marked as failed, so that Dagster tries them once more.

    Parameters
    ----------
    home
        A home that is prepared, and that no other process serves.
    port
        Where the UI listens.
    say
        Takes a sentence about a process that was started again.

    Raises
    ------
    StateError
        When all have ended because one that was started again ended at once.
    """
    from evaluator.orchestration._local_runs import close_what_terminals_left

    services: list[_Service] = []
    with TemporaryDirectory(prefix=_socket_prefix(home)) as folder:
        try:
            code_server = _CodeServer(home, Path(folder))
            services.append(code_server)
            workspace = Path(folder) / "workspace.yaml"
            workspace.write_text(_WORKSPACE.format(socket=code_server.socket))
            webserver = ["-w", str(workspace), "-h", LOOPBACK, "-p", str(port)]
            services.append(_Service("webserver", "dagster_webserver", *webserver))
            daemon = ["run", "-w", str(workspace), "--log-level", "warning"]
            services.append(_Service("daemon", "dagster._daemon", *daemon))
            while True:
                for service in services:
                    if service.has_ended:
                        service.restart(say)
                # What a full disk keeps it from is done when there is room again.
                with suppress(StateError):
                    close_what_terminals_left(home)
                time.sleep(_SECONDS_BETWEEN_LOOKS)
        finally:
            for service in services:
                service.ask_to_end()
            for service in services:
                service.end(_SECONDS_TO_END)


def _run_service(module: str, *arguments: str) -> None:
    """Be a service: run a module as a program, and end with the process that started this one."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    if module == "dagster._daemon":
        from dagster._daemon import controller

        from evaluator.orchestration._asset_specs import SECONDS_BETWEEN_TICKS

        # How often backfills are looked at, which no setting says: a new evaluation set is
        # evaluated by one, and twice half a minute is a quarter of what a certificate may take.
        controller.DEFAULT_DAEMON_INTERVAL_SECONDS = SECONDS_BETWEEN_TICKS
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


def _end_with_parent() -> None:
    # It says nothing: it only ends.
    os.read(0, 1)
    os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    _run_service(*sys.argv[1:])
