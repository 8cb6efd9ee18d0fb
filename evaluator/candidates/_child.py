"""A process of its own for one candidate: started, listened to, and ended for certain."""

import contextlib
import json
import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from multiprocessing.connection import wait
from pathlib import Path
from queue import SimpleQueue
from threading import Event, Thread
from typing import Any, Final, NamedTuple

_TAIL: Final = 8192
_MOST_UNREAD: Final = 1024**2
"""Bytes that a pipe of Linux may hold."""
_LAST_RESORT: Final = 60.0
"""Seconds after which a process that should be dying is taken to live on."""


_LENGTHS: Final = struct.Struct("!IQ")
LARGEST_HEADER: Final = 1024**2
_PIECE: Final = 1024**2


class ChildProcess:
    """The process that runs `evaluator.candidates._worker`, and the connection to it.

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
        """End the process and all that it started, and clean up after it."""
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

    def stderr_tail(self) -> str:
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
    program = [sys.executable, "-P", "-m", "evaluator.candidates._worker"]
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


class ConnectionBrokenError(Exception):
    """The other side said what is no message."""


class Message(NamedTuple):
    """What came from the other side."""

    header: dict[str, Any]
    payload: bytearray


def send(
    connection: socket.socket,
    header: Mapping[str, Any],
    payload: bytes | memoryview = b"",
    *,
    deadline: float | None = None,
) -> None:
    """Send a message."""
    words = json.dumps(header).encode()
    _wait_until(connection, deadline)
    connection.sendall(_LENGTHS.pack(len(words), len(payload)) + words)
    if payload:
        _wait_until(connection, deadline)
        connection.sendall(payload)


def receive(
    connection: socket.socket, *, largest: int | None = None, deadline: float | None = None
) -> Message:
    """Wait for a message."""
    in_header, in_payload = _LENGTHS.unpack(_read(connection, _LENGTHS.size, deadline))
    if in_header > LARGEST_HEADER or (largest is not None and in_payload > largest):
        raise ConnectionBrokenError(f"{in_header} and {in_payload} bytes were announced")
    words = _read(connection, in_header, deadline)
    try:
        header = json.loads(words)
    except (ValueError, RecursionError) as error:
        raise ConnectionBrokenError(f"no JSON came: {error}") from error
    if not isinstance(header, dict):
        raise ConnectionBrokenError("no JSON object came")
    return Message(header, _read(connection, in_payload, deadline))


def _read(connection: socket.socket, size: int, deadline: float | None) -> bytearray:
    content = bytearray(size)
    rest = memoryview(content)
    while rest:
        _wait_until(connection, deadline)
        taken = connection.recv_into(rest[:_PIECE])
        if not taken:
            raise ConnectionResetError("the other side is gone")
        rest = rest[taken:]
    return content


def _wait_until(connection: socket.socket, deadline: float | None) -> None:
    left = None if deadline is None else deadline - time.monotonic()
    if left is not None and left <= 0:
        raise TimeoutError("the time is up")
    connection.settimeout(left)
