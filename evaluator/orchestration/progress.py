"""Tells the process that a run belongs to how far it is, where one listens."""

from collections.abc import Callable

_listeners: list[Callable[[], None]] = []


def listen(listener: Callable[[], None]) -> None:
    """Call the listener each time a partition has come to its end, well or not."""
    _listeners.append(listener)


def partition_ended() -> None:
    """Tell that one partition has come to its end."""
    for listener in _listeners:
        listener()
