"""What the platform and a candidate's own process say to each other.

A message is a small JSON object and some bytes, each after its length. Nothing is ever unpickled:
the candidate's process may send whatever the candidate wants.
"""

import json
import socket
import struct
import time
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

_LENGTHS: Final = struct.Struct("!IQ")
LARGEST_HEADER: Final = 1024**2
_PIECE: Final = 1024**2


class BrokenConversationError(Exception):
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
    """Send a message.

    Parameters
    ----------
    connection
        To whom.
    header
        What JSON has.
    payload
        Bytes that come along.
    deadline
        Until when it must be taken, by `time.monotonic`.

    Raises
    ------
    TimeoutError
        Where it was not taken in time.
    OSError
        Where the other side is gone.
    """
    words = json.dumps(header).encode()
    _wait_until(connection, deadline)
    connection.sendall(_LENGTHS.pack(len(words), len(payload)) + words)
    if payload:
        _wait_until(connection, deadline)
        connection.sendall(payload)


def receive(
    connection: socket.socket, *, largest: int | None = None, deadline: float | None = None
) -> Message:
    """Wait for a message.

    Parameters
    ----------
    connection
        From whom.
    largest
        How many bytes may come along; None for a side that is trusted.
    deadline
        Until when it must be there, by `time.monotonic`.

    Raises
    ------
    TimeoutError
        Where it did not come in time.
    ConnectionError
        Where the other side is gone.
    BrokenConversationError
        Where what came is no message, or too large.
    """
    in_header, in_payload = _LENGTHS.unpack(_read(connection, _LENGTHS.size, deadline))
    if in_header > LARGEST_HEADER or (largest is not None and in_payload > largest):
        raise BrokenConversationError(f"{in_header} and {in_payload} bytes were announced")
    words = _read(connection, in_header, deadline)
    try:
        header = json.loads(words)
    except (ValueError, RecursionError) as error:
        raise BrokenConversationError(f"no JSON came: {error}") from error
    if not isinstance(header, dict):
        raise BrokenConversationError("no JSON object came")
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
