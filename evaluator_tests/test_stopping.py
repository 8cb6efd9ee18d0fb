"""How a process of ours is stopped by a signal, whatever it does at the moment."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

_PROGRAM = """\
import os
import signal
import sys

{before}
from evaluator.verifier import STOP_SIGNALS, _stopping, stopped_by_signals

def send(*numbers):
    for number in numbers:
        os.kill(os.getpid(), number)

with stopped_by_signals():
    try:
{within}
    finally:
        print("put away")
"""


class Answer(NamedTuple):
    code: int
    out: str
    err: str


def run(within: str, before: str = "") -> Answer:
    """Run a program of which a part is stopped by signals."""
    indented = "\n".join(f"        {line}" for line in within.splitlines())
    done = subprocess.run(
        [sys.executable, "-u", "-c", _PROGRAM.format(before=before, within=indented)],
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])},
        capture_output=True,
        text=True,
        check=False,
    )
    return Answer(done.returncode, done.stdout, done.stderr)


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_a_signal_is_answered_in_one_line_with_its_exit_code_after_all_is_put_away(
    name: str,
) -> None:
    line = f"Stopped by {name}; what was finished is kept.\n"
    assert run(f"send(signal.{name})\nprint('went on')") == Answer(
        128 + signal.Signals[name], "put away\n", line
    )


def test_further_signals_do_not_interrupt_what_is_put_away() -> None:
    within = (
        "try:\n"
        "    send(signal.SIGTERM)\n"
        "finally:\n"
        "    send(signal.SIGINT, signal.SIGTERM)\n"
        "    print('this too')"
    )
    answer = run(within)
    assert (answer.code, answer.out) == (128 + signal.SIGTERM, "this too\nput away\n")


def test_a_process_that_was_started_to_ignore_sigint_is_stopped_by_it() -> None:
    # As shells start jobs in the background.
    answer = run("send(signal.SIGINT)", before="signal.signal(signal.SIGINT, signal.SIG_IGN)")
    assert answer.code == 128 + signal.SIGINT


def test_what_is_caught_as_an_error_is_stopped_all_the_same() -> None:
    answer = run("try:\n    send(signal.SIGINT)\nexcept BaseException:\n    raise SystemExit(1)")
    assert answer.code == 128 + signal.SIGINT


def test_a_signal_that_a_library_took_is_taken_back() -> None:
    within = (
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "STOP_SIGNALS.keep()\n"
        "send(signal.SIGINT)"
    )
    answer = run(within)
    assert answer.code == 128 + signal.SIGINT
    assert "KeyboardInterrupt" not in answer.err


def test_a_process_in_which_something_does_not_return_is_ended_after_all_that_it_started() -> None:
    within = (
        "_stopping.SECONDS_TO_STOP = 0\n"
        "STOP_SIGNALS.before_exit.append(lambda: print('ended'))\n"
        "try:\n"
        "    send(signal.SIGTERM)\n"
        "finally:\n"
        "    while True:\n"
        "        signal.pause()"
    )
    line = "Stopped by SIGTERM; what was finished is kept.\n"
    assert run(within) == Answer(128 + signal.SIGTERM, "ended\n", line)


def test_what_was_raised_where_python_lets_nothing_through_is_raised_again() -> None:
    within = (
        "import weakref\n"
        "class Thing: pass\n"
        "thing = Thing()\n"
        "kept = weakref.ref(thing, lambda _: send(signal.SIGINT))\n"
        "del thing\n"
        "while True:\n"
        "    signal.pause()"
    )
    line = "Stopped by SIGINT; what was finished is kept.\n"
    assert run(within) == Answer(128 + signal.SIGINT, "put away\n", line)


def test_whoever_catches_it_and_goes_on_is_stopped_at_the_next_run() -> None:
    within = (
        "try:\n"
        "    send(signal.SIGINT)\n"
        "except BaseException:\n"
        "    pass\n"
        "STOP_SIGNALS.keep()\n"
        "print('went on')"
    )
    assert run(within).out == "put away\n"


def test_what_is_through_ends_with_its_own_exit_code() -> None:
    answer = run("import atexit\natexit.register(send, signal.SIGTERM)")
    assert answer == Answer(0, "put away\n", "")
