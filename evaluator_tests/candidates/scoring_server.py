"""A scoring endpoint on loopback, with faults that a test plans."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Fault = Callable[[BaseHTTPRequestHandler, list[dict[str, Any]]], None]
ENDLESS = b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000000\r\n\r\n"


class Bell:
    """Makes the timers of all requests, which go off when it is rung and never by themselves."""

    def __init__(self) -> None:
        self._ends: list[Callable[[], None]] = []

    def timer(self, _seconds: float, ends: Callable[[], None]) -> threading.Timer:
        """Make a timer."""
        self._ends.append(ends)
        return threading.Timer(threading.TIMEOUT_MAX, ends)

    def ring(self) -> None:
        """Let them go off."""
        for ends in self._ends:
            ends()


class ScoringServer:
    """Answers x / 10 for each case; the first requests meet the planned faults, one each."""

    def __init__(self) -> None:
        self.faults: list[Fault] = []
        self.requests: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.version = "a"
        self.most_at_once = 0
        self._at_once = 0
        self._lock = threading.Lock()
        self.gate: threading.Barrier | None = None
        self.url = ""

    def handle(self, request: BaseHTTPRequestHandler) -> None:
        """Answer one request."""
        length = int(request.headers.get("Content-Length", 0))
        body = json.loads(request.rfile.read(length)) if length else {"cases": []}
        with self._lock:
            self.requests.append(body)
            self.headers.append(dict(request.headers))
            self._at_once += 1
            self.most_at_once = max(self.most_at_once, self._at_once)
            fault = self.faults.pop(0) if self.faults else None
        try:
            if self.gate is not None:
                self.gate.wait(timeout=600)
            if fault is not None:
                fault(request, body["cases"])
            else:
                answer(request, scores_of(body["cases"]), version=self.version)
        finally:
            with self._lock:
                self._at_once -= 1


def scores_of(cases: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Score the cases, in the reverse of their order."""
    return [{"id": c["id"], "score": c["features"]["x"] / 10} for c in reversed(cases)]


def answer(
    request: BaseHTTPRequestHandler,
    scores: Any,
    *,
    status: int = 200,
    version: str = "a",
    body: bytes | None = None,
    more: dict[str, str] | None = None,
) -> None:
    """Send an answer."""
    content = json.dumps({"scores": scores}).encode() if body is None else body
    request.send_response(status)
    request.send_header("X-Model-Version", version)
    for name, value in (more or {}).items():
        request.send_header(name, value)
    request.send_header("Content-Length", str(len(content)))
    request.end_headers()
    if request.command != "HEAD":
        request.wfile.write(content)


def status(code: int, words: bytes = b"", more: dict[str, str] | None = None) -> Fault:
    """Answer this status."""
    return lambda request, _: answer(request, None, status=code, body=words, more=more)


def body(content: bytes) -> Fault:
    """Answer these bytes."""
    return lambda request, _: answer(request, None, body=content)


def scores(change: Callable[[list[dict[str, Any]]], Any]) -> Fault:
    """Answer the right scores, changed."""
    return lambda request, cases: answer(request, change(scores_of(cases)))


def version(name: str) -> Fault:
    """Answer as another version of the model."""
    return lambda request, cases: answer(request, scores_of(cases), version=name)


def hang_up(request: BaseHTTPRequestHandler, _cases: list[dict[str, Any]]) -> None:
    """Close the connection without a word."""
    request.close_connection = True


def cut_off(request: BaseHTTPRequestHandler, _cases: list[dict[str, Any]]) -> None:
    """Promise more than is sent."""
    request.send_response(200)
    request.send_header("Content-Length", "1000")
    request.end_headers()
    request.wfile.write(b'{"scores": [')
    request.close_connection = True


def drip(
    beginning: bytes, more: bytes = b" ", wait: float = 0.01, bell: Bell | None = None
) -> Fault:
    """Send a beginning and then a bit more at a time, for as long as somebody listens."""

    def fault(request: BaseHTTPRequestHandler, _cases: list[dict[str, Any]]) -> None:
        request.close_connection = True
        request.connection.settimeout(wait)
        with suppress(OSError):
            request.wfile.write(beginning)
            if bell is not None:
                bell.ring()
            while True:
                request.wfile.write(more)
                with suppress(TimeoutError):
                    if not request.connection.recv(1):
                        return

    return fault


def trickle(bell: Bell) -> Fault:
    """Begin an answer that never ends; then the time is up."""
    return drip(ENDLESS, bell=bell)


@contextmanager
def running() -> Iterator[ScoringServer]:
    """Run a server, and stop it."""
    scoring = ScoringServer()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            scoring.handle(self)

        def do_HEAD(self) -> None:
            scoring.handle(self)

        def log_message(self, *_words: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    scoring.url = f"http://127.0.0.1:{server.server_port}/score"
    try:
        yield scoring
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
