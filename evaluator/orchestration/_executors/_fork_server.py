"""The server that the processes of a terminal's run are forked from.

It imports what all of them need, which takes seconds, and it does so beside whoever starts it:
as early as possible. See docs/decisions/0006-processes-from-a-fork-server.md.
"""

import multiprocessing
from multiprocessing.context import BaseContext

_PRELOADED = [
    "evaluator.orchestration._executors._processes",
    "pyarrow.dataset",
    "skops.io",
    "sklearn.ensemble",
]


def start_fork_server() -> None:
    """Start the server where the system can fork; a second call finds it running."""
    if "forkserver" in multiprocessing.get_all_start_methods():
        from multiprocessing import forkserver

        forkserver.set_forkserver_preload(_PRELOADED)
        forkserver.ensure_running()


def fork_server_context() -> BaseContext:
    """Return how to start a process: by the server, or afresh where there is none."""
    methods = multiprocessing.get_all_start_methods()
    return multiprocessing.get_context("forkserver" if "forkserver" in methods else "spawn")
