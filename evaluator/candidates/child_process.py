"""A process of its own for one candidate: started, listened to, and ended for certain."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from multiprocessing.connection import wait
from pathlib import Path
from queue import SimpleQueue
from threading import Event, Thread
from typing import Final

_TAIL: Final = 8192
_MOST_UNREAD: Final = 1024**2
"""Bytes that a pipe of Linux may hold."""
_LAST_RESORT: Final = 60.0
"""Seconds after which a process that should be dying is taken to live on."""


class ChildProcess:
    """The process that runs `evaluator.candidates.worker`, and the connection to it.

    Raises
    ------
    OSError
        Where the machine starts no process.
    """

    def __init__(self) -> None:
        self.connection, theirs = socket.socketpair()
        # Whatever it leaves behind, however it ends, goes with this folder.
        self._folder = tempfile.mkdtemp(prefix="evaluator-candidate-")
        self._tail = bytearray()
        self._ended = Event()
        outcome: SimpleQueue[subprocess.Popen[bytes] | Exception] = SimpleQueue()
        # Linux ends a child when the *thread* that started it ends (see `worker`). So a thread
        # starts it that stays as long as the process does.
        Thread(
            target=self._keep, args=(theirs, outcome), name="candidate-process", daemon=True
        ).start()
        started = outcome.get()
        theirs.close()
        if isinstance(started, Exception):
            self._clean_up()
            raise started
        self._process = started

    def end(self) -> int | None:
        """End the process and all that it started, and clean up after it.

        Returns
        -------
        int or None
            How it had ended by itself: an exit code, or a signal's number below 0. None where it
            was still there.
        """
        was_there = not self._ended.is_set()
        if was_there:
            self._process.kill()
            self._ended.wait()
        self._clean_up()
        return None if was_there else self._process.returncode

    def ends_by_itself(self) -> bool:
        """Wait for the end of a process whose connection broke; tell whether it came."""
        # A process that dies closes its connection first. One that closed it and lives on is rare.
        return self._ended.wait(_LAST_RESORT)

    def abort(self) -> None:
        """End it after it wrote down where it stands, as it does when it crashes."""
        self._process.send_signal(signal.SIGABRT)
        self._ended.wait(_LAST_RESORT)
        self.end()

    def last_words(self) -> str:
        """Return the end of what it wrote to its standard output and error."""
        return bytes(self._tail).decode(errors="replace").strip()

    def _keep(
        self, theirs: socket.socket, outcome: SimpleQueue[subprocess.Popen[bytes] | Exception]
    ) -> None:
        """Start the process, and wait for its end."""
        try:
            process = _start(theirs.fileno(), self._folder)
            gone, ours = socket.socketpair()
        except Exception as error:  # noqa: BLE001 - it is raised where it is waited for
            outcome.put(error)
            return
        outcome.put(process)
        listener = Thread(
            target=self._listen, args=(process, gone), name="candidate-output", daemon=True
        )
        listener.start()
        # Not reaped yet, so that nobody else can have its number.
        with contextlib.suppress(ChildProcessError):
            os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        # Whatever it started ends with it.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        ours.close()
        listener.join()
        self._ended.set()
        # A process that it started and that got away may hold the other end.
        with contextlib.suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)

    def _listen(self, process: subprocess.Popen[bytes], gone: socket.socket) -> None:
        """Take what it writes, so that it never waits, and keep the end of it."""
        if process.stdout is None:
            raise ValueError("it was started with a pipe for its output")
        with process.stdout as output, gone:
            # A process that it started and that got away may hold the other end for ever.
            while gone not in wait([output.fileno(), gone]):
                piece = os.read(output.fileno(), _TAIL)
                self._keep_end_of(piece)
                if not piece:
                    return
            os.set_blocking(output.fileno(), False)
            with contextlib.suppress(BlockingIOError):
                self._keep_end_of(os.read(output.fileno(), _MOST_UNREAD))

    def _keep_end_of(self, piece: bytes) -> None:
        self._tail += piece
        del self._tail[:-_TAIL]

    def _clean_up(self) -> None:
        self.connection.close()
        shutil.rmtree(self._folder, ignore_errors=True)


def _start(connection: int, folder: str) -> subprocess.Popen[bytes]:
    """Start the worker with this end of the connection, and with this folder to leave files in."""
    # Modules are found where they are found here, and not where it happens to run.
    found_at = os.pathsep.join(path or str(Path.cwd()) for path in sys.path)
    program = [sys.executable, "-P", "-m", "evaluator.candidates.worker"]
    return subprocess.Popen(  # noqa: S603 - our own program
        [*program, str(connection), str(os.getpid())],
        env={**_harmless(os.environ), "PYTHONPATH": found_at, "TMPDIR": folder},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        pass_fds=[connection],
        process_group=0,
    )


def _harmless(environment: Mapping[str, str]) -> dict[str, str]:
    """Keep what signs certificates from a candidate; what else it needs, nobody can know."""
    return {k: v for k, v in environment.items() if not k.startswith("EVALUATOR_SIGNING_KEY")}
