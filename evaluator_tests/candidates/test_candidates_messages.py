"""What a candidate's process says is taken for what it is, and not for more."""

import socket
import struct
import time
from collections.abc import Iterator
from threading import Thread

import pytest
from hypothesis import given, settings, strategies as st

from evaluator.candidates._child import LARGEST_HEADER, ConnectionBrokenError, receive, send

Pair = tuple[socket.socket, socket.socket]


@pytest.fixture
def pair() -> Iterator[Pair]:
    one, other = socket.socketpair()
    with one, other:
        yield one, other


@settings(max_examples=30, derandomize=True)
@given(st.dictionaries(st.text(), st.text() | st.none() | st.integers()), st.binary())
def test_a_message_arrives_as_it_was_sent(header: dict[str, object], payload: bytes) -> None:
    one, other = socket.socketpair()
    with one, other:
        send(one, header, payload)
        send(one, {}, b"next")

        came, following = receive(other), receive(other, largest=4)

    assert (came.header, bytes(came.payload)) == (header, payload)
    assert bytes(following.payload) == b"next"


def test_a_message_larger_than_the_pipe_arrives_whole(pair: Pair) -> None:
    payload = bytes(range(256)) * 20_000
    sender = Thread(target=send, args=(pair[0], {}, payload))
    sender.start()

    came = receive(pair[1], largest=len(payload), deadline=time.monotonic() + 60)

    sender.join()
    assert came.payload == payload


@pytest.mark.parametrize(
    "content",
    [
        struct.pack("!IQ", LARGEST_HEADER + 1, 0),
        struct.pack("!IQ", 2, 2**40) + b"{}",
        struct.pack("!IQ", 2, 9) + b"{}",
        struct.pack("!IQ", 1, 0) + b"{",
        struct.pack("!IQ", 2, 0) + b"[]",
        struct.pack("!IQ", 2, 0) + b"\xff\xff",
        struct.pack("!IQ", 100_000, 0) + b"[" * 100_000,
    ],
    ids=["long header", "huge payload", "payload", "no JSON", "no object", "no text", "deep"],
)
def test_what_is_no_message_is_refused(content: bytes, pair: Pair) -> None:
    pair[0].sendall(content)

    with pytest.raises(ConnectionBrokenError):
        receive(pair[1], largest=8)


@pytest.mark.parametrize("content", [b"", b"123", struct.pack("!IQ", 2, 8) + b"{}1234"])
def test_whoever_leaves_in_the_midst_of_a_message_is_gone(content: bytes, pair: Pair) -> None:
    pair[0].sendall(content)
    pair[0].close()

    with pytest.raises(ConnectionError):
        receive(pair[1], largest=8)


def test_nobody_waits_beyond_the_deadline(pair: Pair) -> None:
    pair[0].sendall(struct.pack("!IQ", 2, 8) + b"{}1234")

    with pytest.raises(TimeoutError):
        receive(pair[1], deadline=time.monotonic() + 0.05)
    with pytest.raises(TimeoutError):
        send(pair[0], {}, b"x" * 10_000_000, deadline=time.monotonic() + 0.05)
    with pytest.raises(TimeoutError):
        receive(pair[1], deadline=time.monotonic() - 1)
