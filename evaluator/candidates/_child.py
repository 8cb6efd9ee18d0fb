"""A candidate's own process, started and ended for certain, and the messages to and from it."""

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

LARGEST_HEADER: Final = 1024**2
"""Bytes of a message's header."""
_SIZES: Final = struct.Struct("!IQ")
"""What a message begins with: the bytes of its header and of its payload."""
_CHUNK: Final = 1024**2
"""Bytes that are received before the deadline is looked at again."""
_TAIL: Final = 8192
"""Bytes of the process's output that are kept."""
_MAX_UNREAD: Final = 1024**2
"""Bytes that a pipe of Linux may hold."""
_EXIT_TIMEOUT: Final = 60.0
"""Seconds after which a process that should be dying is taken to live on."""


class ChildProcess:
    """The process that runs `evaluator.candidates._worker`, and the connection to it."""

    def __init__(self) -> None:
        self.connection, child_end = socket.socketpair()
        # Whatever it leaves behind, however it ends, goes with this folder.
        self._folder = tempfile.mkdtemp(prefix="evaluator-candidate-")
        self._tail = bytearray()
        self._ended = Event()
        start: SimpleQueue[subprocess.Popen[bytes] | Exception] = SimpleQueue()
        # Linux ends a child when the *thread* that started it ends (see `_worker`). So a thread
        # starts it that stays as long as the process does.
        Thread(
            target=self._supervise, args=(child_end, start), name="candidate-process", daemon=True
        ).start()
        started = start.get()
        child_end.close()
        if isinstance(started, Exception):
            self._clean_up()
            raise started
        self._process = started

    def end(self) -> int | None:
        """End the process and all that it started; return its exit code if it had ended before."""
        was_running = not self._ended.is_set()
        if was_running:
            self._process.kill()
            self._ended.wait()
        self._clean_up()
        return None if was_running else self._process.returncode

    def abort(self) -> None:
        """End the process after it wrote down where it stands, as it does when it crashes."""
        self._process.send_signal(signal.SIGABRT)
        self._ended.wait(_EXIT_TIMEOUT)
        self.end()

    def wait_for_exit(self) -> bool:
        """Wait for the end of a process whose connection broke; tell whether it came."""
        # A process that dies closes its connection first. One that closed it and lives on is rare.
        return self._ended.wait(_EXIT_TIMEOUT)

    def stderr_tail(self) -> str:
        """Return the end of what the process wrote to its standard output and error."""
        return bytes(self._tail).decode(errors="replace").strip()

    def _supervise(
        self, child_end: socket.socket, start: SimpleQueue[subprocess.Popen[bytes] | Exception]
    ) -> None:
        """Start the process, and wait for its end."""
        # Its own, which begins with what this thread has: see `_worker`.
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
        with contextlib.ExitStack() as opened:
            try:
                # Before the process: nobody would end one that this thread does not come to watch.
                exited, exit_notice = map(opened.enter_context, socket.socketpair())
                process = _start(child_end.fileno(), self._folder)
            except Exception as error:  # noqa: BLE001 - it is raised where it is waited for
                start.put(error)
                return
            opened.pop_all()
        start.put(process)
        listener = Thread(
            target=self._listen, args=(process, exited), name="candidate-output", daemon=True
        )
        listener.start()
        # Not reaped yet, so that nobody else can have its number.
        with contextlib.suppress(ChildProcessError):
            os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        # Whatever it started ends with it.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        exit_notice.close()
        listener.join()
        self._ended.set()
        # A process that it started and that got away may hold the other end.
        with contextlib.suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)

    def _listen(self, process: subprocess.Popen[bytes], exited: socket.socket) -> None:
        """Take what the process writes, so that it never waits, and keep the end of it."""
        if process.stdout is None:
            raise ValueError("it was started with a pipe for its output")
        with process.stdout as output, exited:
            # A process that it started and that got away may hold the other end for ever.
            while exited not in wait([output.fileno(), exited]):
                chunk = os.read(output.fileno(), _TAIL)
                self._append_output(chunk)
                if not chunk:
                    return
            os.set_blocking(output.fileno(), False)
            with contextlib.suppress(BlockingIOError):
                self._append_output(os.read(output.fileno(), _MAX_UNREAD))

    def _append_output(self, chunk: bytes) -> None:
        self._tail += chunk
        del self._tail[:-_TAIL]

    def _clean_up(self) -> None:
        self.connection.close()
        shutil.rmtree(self._folder, ignore_errors=True)


def _start(connection: int, folder: str) -> subprocess.Popen[bytes]:
    """Start the worker with this end of the connection, and with this folder to leave files in."""
    # Modules are found where they are found here, and not where it happens to run.
    python_path = os.pathsep.join(path or str(Path.cwd()) for path in sys.path)
    program = [sys.executable, "-P", "-m", "evaluator.candidates._worker"]
    return subprocess.Popen(  # noqa: S603 - our own program
        [*program, str(connection), str(os.getpid())],
        env={**_without_keys(os.environ), "PYTHONPATH": python_path, "TMPDIR": folder},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        pass_fds=[connection],
        process_group=0,
    )


def _without_keys(environment: Mapping[str, str]) -> dict[str, str]:
    """Keep what signs certificates from a candidate; what else it needs, nobody can know."""
    return {k: v for k, v in environment.items() if not k.startswith("EVALUATOR_SIGNING_KEY")}


class ConnectionBrokenError(Exception):
    """What the other side sent is no message."""


class Message(NamedTuple):
    """A header in JSON, and plain bytes."""

    header: dict[str, Any]
    payload: bytearray


def send(
    connection: socket.socket,
    header: Mapping[str, Any],
    payload: bytes | memoryview = b"",
    *,
    deadline: float | None = None,
) -> None:
    """Send a message, before the deadline on the monotonic clock."""
    content = json.dumps(header).encode()
    _set_timeout(connection, deadline)
    connection.sendall(_SIZES.pack(len(content), len(payload)) + content)
    if payload:
        _set_timeout(connection, deadline)
        connection.sendall(payload)


def receive(
    connection: socket.socket, *, largest: int | None = None, deadline: float | None = None
) -> Message:
    """Wait for a message whose payload is no larger than so many bytes."""
    header_size, payload_size = _SIZES.unpack(_read(connection, _SIZES.size, deadline))
    if header_size > LARGEST_HEADER or (largest is not None and payload_size > largest):
        raise ConnectionBrokenError(f"{header_size} and {payload_size} bytes were announced")
    content = _read(connection, header_size, deadline)
    try:
        header = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise ConnectionBrokenError(f"no JSON came: {error}") from error
    if not isinstance(header, dict):
        raise ConnectionBrokenError("no JSON object came")
    return Message(header, _read(connection, payload_size, deadline))


def _read(connection: socket.socket, size: int, deadline: float | None) -> bytearray:
    content = bytearray(size)
    rest = memoryview(content)
    while rest:
        _set_timeout(connection, deadline)
        received = connection.recv_into(rest[:_CHUNK])
        if not received:
            raise ConnectionResetError("the other side is gone")
        rest = rest[received:]
    return content


def _set_timeout(connection: socket.socket, deadline: float | None) -> None:
    remaining = None if deadline is None else deadline - time.monotonic()
    if remaining is not None and remaining <= 0:
        raise TimeoutError("the time is up")
    connection.settimeout(remaining)
