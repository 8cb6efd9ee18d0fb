"""A circuit breaker: what has failed again and again is left alone for a while."""

from collections.abc import Callable
from threading import Lock


class CircuitBreaker:
    """Counts failures in a row; safe to be used by several threads.

    Closed, it lets everything through. After `open_after` failures in a row it is open and lets
    nothing through; after `half_open_after` seconds it is half open and lets one through, whose
    outcome closes it or opens it again.

    Parameters
    ----------
    open_after
        How many failures in a row open it.
    half_open_after
        Seconds after which it is half open.
    clock
        Tells seconds that never go back.
    """

    def __init__(self, open_after: int, half_open_after: float, clock: Callable[[], float]) -> None:
        self._open_after = open_after
        self._half_open_after = half_open_after
        self._clock = clock
        self._lock = Lock()
        self._failures = 0
        self._opened_at: float | None = None
        self._is_tried = False

    def lets_through(self) -> bool:
        """Tell whether a request may be sent now; where it may, its outcome must be told."""
        with self._lock:
            if self._opened_at is None:
                return True
            waited = self._clock() - self._opened_at
            if self._is_tried or waited < self._half_open_after:
                return False
            self._is_tried = True
            return True

    def succeeded(self) -> None:
        """Note a request that was answered."""
        with self._lock:
            self._failures = 0
            self._opened_at = None
            self._is_tried = False

    def failed(self) -> None:
        """Note a request that was not answered, or by a fault of the server."""
        with self._lock:
            self._failures += 1
            self._is_tried = False
            if self._failures >= self._open_after:
                self._opened_at = self._clock()
