"""Processes that evaluate candidates side by side, for a run from the terminal.

Each portion has a process of its own, forked from a server that has imported what all of them
need. So a candidate that takes its process down takes down nothing else.
"""

import json
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import NamedTuple

from evaluator import fork_server
from evaluator.orchestration.portions import Portion
from evaluator.orchestration.progress import listen
from evaluator.orchestration.terminal_runs import TerminalRuns, new_run_id
from evaluator.spec import Audit


class Ended(NamedTuple):
    """What became of a portion's process."""

    portion: Portion
    run_ids: Sequence[str]
    """The Dagster runs that it started."""
    fault: str | None
    """Why it did not come to its end, in words."""


def run_portions(
    audit: Audit,
    portions: Sequence[Portion],
    *,
    cores: int,
    on_slice: Callable[[Portion], None],
    on_end: Callable[[Ended], None],
) -> None:
    """Evaluate portions, as many side by side as there are cores.

    Parameters
    ----------
    audit
        Whose candidates they are.
    portions
        What is evaluated; of those that need one pool, one at a time.
    cores
        How many processes there may be.
    on_slice
        Called for each slice that came to its end, well or not.
    on_end
        Called for each portion that came to its end, well or not.
    """
    fork_server.start()
    waiting = list(portions)
    running: dict[Connection, _Running] = {}
    threads = max(1, cores // max(1, min(cores, len(portions))))
    try:
        while waiting or running:
            for portion in _startable(waiting, running, cores):
                waiting.remove(portion)
                started = _start(audit, portion, threads)
                running[started.connection] = started
            for connection in wait(list(running)):
                if isinstance(connection, Connection):
                    _hear(connection, running, on_slice, on_end)
    finally:
        for left in running.values():
            left.process.terminate()
            left.process.join()


class _Running(NamedTuple):
    portion: Portion
    process: BaseProcess
    connection: Connection
    run_ids: list[str]
    faults: list[str]


def _startable(
    waiting: Sequence[Portion], running: Mapping[Connection, _Running], cores: int
) -> list[Portion]:
    busy = {r.portion.pool for r in running.values()}
    chosen: list[Portion] = []
    for portion in waiting:
        if len(running) + len(chosen) == cores:
            break
        if portion.pool is None or portion.pool not in busy:
            chosen.append(portion)
            busy.add(portion.pool)
    return chosen


def _start(audit: Audit, portion: Portion, threads: int) -> _Running:
    context = fork_server.context()
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(  # type: ignore[attr-defined] # every start method has it
        target=work,
        args=(audit, portion, dict(os.environ), threads, theirs),
        name=portion.candidate,
    )
    process.start()
    # The other end is the process's alone, so that its death is heard.
    theirs.close()
    return _Running(portion, process, ours, [], [])


def _hear(
    connection: Connection,
    running: dict[Connection, _Running],
    on_slice: Callable[[Portion], None],
    on_end: Callable[[Ended], None],
) -> None:
    speaker = running[connection]
    try:
        told = json.loads(connection.recv_bytes())
    except EOFError:
        del running[connection]
        connection.close()
        speaker.process.join()
        on_end(Ended(speaker.portion, speaker.run_ids, _fault_of(speaker)))
        return
    if "run" in told:
        speaker.run_ids.append(told["run"])
    elif "fault" in told:
        speaker.faults.append(told["fault"])
    else:
        on_slice(speaker.portion)


def _fault_of(speaker: _Running) -> str | None:
    code = speaker.process.exitcode
    if speaker.faults:
        return speaker.faults[0]
    if code is not None and code < 0:
        return f"its process was ended by {signal.Signals(-code).name}"
    return f"its process ended itself with exit code {code}" if code else None


def work(
    audit: Audit,
    portion: Portion,
    environment: Mapping[str, str],
    threads: int,
    connection: Connection,
) -> None:
    """Evaluate a portion in this process, and tell about it over the connection."""
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped] # its lack

    def tell(**words: str) -> None:
        connection.send_bytes(json.dumps(words).encode())

    # The server that this process was forked from may be older than the run.
    os.environ.clear()
    os.environ.update(environment)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    listen(tell)
    try:
        # Each process has its cores; more threads than those would only wait for each other.
        with threadpool_limits(threads):
            runs = TerminalRuns(audit)
            names = [f"{portion.candidate}_predictions", f"{portion.candidate}_slice_metrics"]
            for chosen in portion.ranges:
                run_id = new_run_id()
                tell(run=run_id)
                runs.execute(names, chosen, run_id)
    except Exception as error:  # noqa: BLE001 - it is told to the process that asked
        tell(fault=f"{type(error).__name__}: {error}")
        sys.exit(1)


def _end_with_parent() -> None:
    """End this process when the one that started it is gone, be it by SIGKILL."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
