"""How SIGINT, which Ctrl-C sends, and SIGTERM stop a command of ours.

The first one raises `Stopped` where the main thread stands, so that on the way out files that are
half written go, what was begun elsewhere is closed and children are ended. Further ones change
nothing, since they would interrupt just that.
"""

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from threading import Event, Thread, current_thread, main_thread
from types import FrameType
from typing import Final

SECONDS_TO_STOP: Final = 10.0
"""After which the process is ended there and then; a library it stands in may not return."""
_NUMBERS: Final = (signal.SIGINT, signal.SIGTERM)


class Stopped(BaseException):
    """A signal tells this process to stop. It is no failure of anything, so no `Exception`."""


class StopSignals:
    """The signals that tell this process to stop, of which a process has one such object.

    Attributes
    ----------
    heard
        The one that came first; None before.
    before_exit
        What is called where the process is ended there and then, with nothing else on the way.
    """

    def __init__(self) -> None:
        self.heard: signal.Signals | None = None
        self.before_exit: list[Callable[[], object]] = []
        self._is_heard = Event()
        self._is_listening = False
        self._is_lost = False
        self._show_unraisable = sys.unraisablehook

    def listen(self) -> None:
        """Respond to them from now on, those too that the process was started to ignore."""
        watched, written = os.pipe()
        os.set_blocking(written, False)
        signal.set_wakeup_fd(written, warn_on_full_buffer=False)
        # Dagster sends elsewhere what goes to standard error while a step runs.
        told = os.dup(2)
        Thread(target=self._watch, args=(watched, told), name="stop-signals", daemon=True).start()
        self._is_listening = True
        self._show_unraisable, sys.unraisablehook = sys.unraisablehook, self._note_lost
        self.keep()

    def keep(self) -> None:
        """Take them back from libraries that have taken them, as Polars' import does and Ray's.

        Raises
        ------
        Stopped
            Where one was heard before, and somebody caught what it raised and went on.
        """
        if self._is_listening and current_thread() is main_thread():
            for number in _NUMBERS:
                signal.signal(number, self._hear)
            if self.heard is not None:
                raise Stopped

    def end(self) -> signal.Signals | None:
        """Let the process end as it will from now on; return the signal that it heard."""
        self._is_listening = False
        return self.heard

    def is_heard_within(self, seconds: float) -> bool:
        """Tell, from another thread, whether one has come or comes in a moment."""
        return self._is_heard.wait(seconds)

    def _hear(self, number: int, _frame: FrameType | None) -> None:
        if self._is_listening and (self.heard is None or self._is_lost):
            self._is_lost = False
            self.heard = self.heard or signal.Signals(number)
            self._is_heard.set()
            raise Stopped

    def _note_lost(self, unraisable: "sys.UnraisableHookArgs") -> None:
        """Hear of what was raised where Python lets nothing through, as in a weakref's callback."""
        if not issubclass(unraisable.exc_type, Stopped):
            self._show_unraisable(unraisable)
        elif current_thread() is main_thread():
            self._is_lost = True

    def _watch(self, watched: int, told: int) -> None:
        """See to it that the process stops, from a thread of its own."""
        while (number := os.read(watched, 1)[0]) not in _NUMBERS:
            pass
        # The system may have given it to another thread, and the first one waits for something.
        main = main_thread().ident or 0
        signal.pthread_kill(main, number)
        deadline = time.monotonic() + SECONDS_TO_STOP
        while time.monotonic() < deadline:
            time.sleep(0.1)
            if self._is_lost:
                signal.pthread_kill(main, number)
        for end in self.before_exit:
            with suppress(Exception):
                end()
        _say(signal.Signals(number), to=told)
        os._exit(128 + number)


STOP_SIGNALS: Final = StopSignals()
"""Those of this process."""


@contextmanager
def stopped_by_signals() -> Iterator[None]:
    """Let SIGINT and SIGTERM stop what is done here, which is all that this process does.

    Raises
    ------
    SystemExit
        Where one came: with 128 and its number, as shells report it, after one line on standard
        error. If that takes longer than `SECONDS_TO_STOP`, the process is ended there and then.
    """
    try:
        STOP_SIGNALS.listen()
        yield
    finally:
        number = STOP_SIGNALS.end()
        if number is not None:
            _say(number, to=2)
            sys.exit(128 + number)


def _say(number: signal.Signals, *, to: int) -> None:
    # Whoever would read it may be gone.
    with suppress(OSError):
        os.write(to, f"Stopped by {number.name}; what was finished is kept.\n".encode())
