"""The server that the processes of a terminal's run are forked from.

It imports what all of them need, which takes seconds, and it does so beside whoever starts it:
as early as possible. See docs/decisions/0006-processes-from-a-fork-server.md.
"""

import atexit
import multiprocessing
import os
import signal
import tempfile
from contextlib import suppress
from multiprocessing.context import BaseContext
from typing import Any

from evaluator.verifier import STOP_SIGNALS

_LONGEST_FOLDER = 60
"""Of the 107 characters of a socket's path, the rest being for names within."""
_PRELOADED = [
    "evaluator.orchestration._executors._processes",
    "pyarrow.dataset",
    "skops.io",
    "sklearn.ensemble",
]


def start_fork_server() -> None:
    """Start the server where the system can fork; a second call finds it running."""
    if "forkserver" in multiprocessing.get_all_start_methods():
        from multiprocessing import forkserver, resource_tracker

        _choose_folder_of_sockets()
        # It would be started next, and lets signals come again that were held back.
        resource_tracker.ensure_running()
        forkserver.set_forkserver_preload(_PRELOADED)
        # A terminal and a service manager send them to all processes of a command, and it is this
        # one that ends the others: where the server ended first, they would seem to have died.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
        try:
            forkserver.ensure_running()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        if _end_at_once not in STOP_SIGNALS.before_exit:
            STOP_SIGNALS.before_exit.append(_end_at_once)
            atexit.register(_end_at_once)


def _choose_folder_of_sockets() -> None:
    """Keep the server's socket out of a temporary folder whose path is too long for a socket's."""
    from multiprocessing.util import get_temp_dir

    if len(tempfile.gettempdir()) > _LONGEST_FOLDER:
        chosen, tempfile.tempdir = tempfile.tempdir, "/tmp"  # noqa: S108 - a folder of its own in it
        try:
            # Whoever asks first decides for all that comes.
            get_temp_dir()
        finally:
            tempfile.tempdir = chosen


def _end_at_once() -> None:
    """End the server and its processes; by itself it ends only when it has imported everything."""
    from multiprocessing import forkserver

    for process in multiprocessing.active_children():
        process.kill()
    server: Any = forkserver._forkserver  # noqa: SLF001 - no other way to it, and pinned by a test
    if server._forkserver_pid is not None:  # noqa: SLF001 - as above
        with suppress(ProcessLookupError):
            os.kill(server._forkserver_pid, signal.SIGKILL)  # noqa: SLF001 - as above


def fork_server_context() -> BaseContext:
    """Return how to start a process: by the server, or afresh where there is none."""
    methods = multiprocessing.get_all_start_methods()
    return multiprocessing.get_context("forkserver" if "forkserver" in methods else "spawn")
