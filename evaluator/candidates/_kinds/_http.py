"""A scoring endpoint: cases go out as JSON in batches, scores come back by id."""

import json
import os
import socket
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from functools import partial
from http import HTTPStatus
from threading import Lock, Timer
from typing import Any, Final, NamedTuple

import numpy as np
import pandas as pd
import tenacity

from evaluator.candidates._adapter import ADAPTERS, Adapter, Artifact, Reading
from evaluator.candidates._faults import candidate_error, format_names, transient_error
from evaluator.errors import CandidateError
from evaluator.evidence import digest_of, parse_json
from evaluator.spec import AnswersError, HttpCandidate, Task, numbers_of

_MAX_RESPONSE_BYTES: Final = 64 * 1024 * 1024
"""A score of a case takes about 50, so that this holds a million."""
_CHUNK: Final = 64 * 1024
"""Bytes that are taken at a time."""
_FIRST_PAUSE: Final = 0.5
"""The longest first pause, in seconds; each next one may be twice as long."""
_MAX_PAUSE: Final = 30.0
_MAX_MESSAGE_LENGTH: Final = 200
"""Characters of an error's body that are repeated."""
_TRANSIENT_STATUSES: Final = (HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS)


class EndpointUnreachableError(Exception):
    """A request got no response, or one that says to try again."""


class Response(NamedTuple):
    """What came back, successfully."""

    headers: Mapping[str, str]
    """Names in any case."""
    body: bytes


class Timing(NamedTuple):
    """The clock, the pauses and what cuts a request off."""

    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    timer: Callable[[float, Callable[[], None]], Timer] = Timer


class HttpScorer:
    """A scoring endpoint, asked by several threads at a time."""

    def __init__(
        self,
        candidate: HttpCandidate,
        timing: Timing | None = None,
        version: str | None = None,
        outputs_of: Callable[[Sequence[Any]], np.ndarray] = numbers_of,
    ) -> None:
        self._candidate = candidate
        self._outputs_of = outputs_of
        self._timing = timing or Timing()
        self._authorization = authorization_of(candidate)
        self._breaker = CircuitBreaker(
            candidate.open_after, candidate.half_open_after, self._timing.clock
        )
        # The one that was observed, or else the first one that an answer tells.
        self._version = version
        self._lock = Lock()

    def score(self, features: pd.DataFrame) -> np.ndarray:
        """Return the endpoint's outputs for the cases whose ids are the index."""
        size = self._candidate.batch_size
        batches = [features.iloc[start : start + size] for start in range(0, len(features), size)]
        with ThreadPoolExecutor(max_workers=self._candidate.concurrency) as pool:
            pending = [pool.submit(self._score_batch, batch) for batch in batches]
            try:
                return np.concatenate([future.result() for future in pending])
            except BaseException:
                pool.shutdown(wait=True, cancel_futures=True)
                raise

    def version(self) -> str:
        """Ask the endpoint, by HEAD, for the version of its model."""
        return self._version_of(self._request("HEAD", None))

    def _score_batch(self, batch: pd.DataFrame) -> np.ndarray:
        ids = [_plain(value) for value in batch.index]
        cases = [
            {"id": case, "features": features}
            for case, features in zip(ids, _records(batch), strict=True)
        ]
        # JSON knows no NaN; what is missing was made null.
        body = json.dumps({"cases": cases}, allow_nan=False).encode()
        response = self._request("POST", body)
        self._check_version(response)
        try:
            return _scores(self._candidate, response.body, ids, self._outputs_of)
        except CandidateError as error:
            # It repeats what was answered, which may be what was sent.
            what = self._authorization.hide_in(error.what)
            raise candidate_error(self._candidate, what, fix=error.fix) from None

    def _request(self, method: str, body: bytes | None) -> Response:
        """Send a request, and again where that may help."""
        retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(EndpointUnreachableError),
            stop=tenacity.stop_after_attempt(self._candidate.retries + 1),
            wait=tenacity.wait_random_exponential(multiplier=_FIRST_PAUSE, max=_MAX_PAUSE),
            sleep=self._timing.sleep,
            reraise=True,
        )
        try:
            return retrying(self._attempt, method, body)
        except EndpointUnreachableError as error:
            raise self._exhausted_error(error) from None

    def _attempt(self, method: str, body: bytes | None) -> Response:
        """Send a request once if the breaker lets it, and let it count how that went."""
        if not self._breaker.allows():
            raise transient_error(
                self._candidate,
                f"after {self._candidate.open_after} failed requests in a row to"
                f" {self._candidate.url} nothing is sent for"
                f" {self._candidate.half_open_after:g} seconds",
                fix="look after the endpoint, and run the slice again",
            )
        try:
            response = self._send(method, body)
        except EndpointUnreachableError:
            self._breaker.record_failure()
            raise
        except BaseException:
            # It was answered, however badly.
            self._breaker.record_success()
            raise
        self._breaker.record_success()
        return response

    def _send(self, method: str, body: bytes | None) -> Response:
        """Send a request and read its response, all of it before one deadline."""
        import requests
        import urllib3

        timeout = self._candidate.request_timeout
        too_late = f"no whole answer in {timeout:g} seconds"
        headers = {
            "Content-Type": "application/json",
            "Accept": "application/json",
            "Accept-Encoding": "identity",
            **self._authorization.headers(),
        }
        timer = self._timing.timer
        with (
            deadline(timeout, timer) as watched,
            closing(requests.adapters.HTTPAdapter()) as adapter,
        ):
            try:
                request = requests.Request(
                    method, self._candidate.url, headers=headers, data=body
                ).prepare()
                pool = adapter.get_connection_with_tls_context(request, verify=True)
                pool.ConnectionCls = watched.connection_class(pool.ConnectionCls)
                # Without a session nothing comes in between: no proxy, no password file, and no
                # redirect, to which the authorization must not go.
                with adapter.send(request, stream=True, timeout=timeout) as response:
                    content = bytearray()
                    # What has arrived is taken as it is: the library's own limit is for each piece,
                    # and it would wait for a chunk to be full.
                    while chunk := response.raw.read1(_CHUNK):
                        content += chunk
                        if len(content) > _MAX_RESPONSE_BYTES:
                            raise candidate_error(
                                self._candidate,
                                f"its answer is larger than {_MAX_RESPONSE_BYTES} bytes",
                                fix="answer one score for each id, or make `batch_size` smaller",
                            )
            except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
                # Their messages may hold addresses and headers.
                message = self._authorization.hide_in(f"{type(error).__name__}: {error}")
                if watched.is_over or isinstance(error, requests.Timeout):
                    message = too_late
                raise EndpointUnreachableError(message) from None
            # Where it was cut off may look like the end.
            if watched.is_over:
                raise EndpointUnreachableError(too_late)
        self._check_status(response.status_code, bytes(content))
        return Response(response.headers, bytes(content))

    def _check_status(self, status: int, body: bytes) -> None:
        if status == HTTPStatus.OK:
            return
        text = self._authorization.hide_in(" ".join(body.decode(errors="replace").split()))
        text = text[:_MAX_MESSAGE_LENGTH]
        message = f"HTTP {status}{': ' if text else ''}{text}"
        if status in _TRANSIENT_STATUSES or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            raise EndpointUnreachableError(message)
        raise candidate_error(
            self._candidate,
            f"{self._candidate.url} refused: {message}",
            fix="correct `url`, the authorization or what the endpoint takes; docs/candidates.md"
            " has the form of a request",
        )

    def _exhausted_error(self, error: EndpointUnreachableError) -> CandidateError:
        attempts = self._candidate.retries + 1
        times = "once" if attempts == 1 else f"{attempts} times"
        return transient_error(
            self._candidate,
            f"{self._candidate.url} was asked {times} without success ({error})",
            fix="look after the endpoint, or give it more `request_timeout` or a smaller"
            " `batch_size`",
        )

    def _check_version(self, response: Response) -> None:
        """Refuse a response of another model than the first one."""
        if self._candidate.version_header is None:
            return
        version = self._version_of(response)
        with self._lock:
            first = self._version = self._version or version
        if version != first:
            changed = f"its model changed from version {first!r} to {version!r} while it was asked"
            raise candidate_error(
                self._candidate,
                self._authorization.hide_in(changed),
                fix="run it again, when only one version is served",
            )

    def _version_of(self, response: Response) -> str:
        name = self._candidate.version_header or ""
        version = response.headers.get(name)
        if not version:
            raise candidate_error(
                self._candidate,
                f"the answer of {self._candidate.url} has no header {name!r}",
                fix="make the endpoint send it, or declare `version` instead",
            )
        return version


class HttpAdapter(Adapter[HttpCandidate, str]):
    """Scoring endpoints."""

    libraries = ("requests",)

    def read(self, artifact: Artifact[HttpCandidate], /) -> Reading[str]:
        """Ask for the version, which each answer is held against."""
        candidate = artifact.candidate
        version = candidate.version or HttpScorer(candidate).version()
        digest = digest_of({"url": candidate.url, "version": version})
        return Reading(digest, version, digest)

    def load(self, candidate: HttpCandidate, content: str, task: Task, /) -> HttpScorer:
        outputs_of = partial(task.scores_of_answers, candidate)
        return HttpScorer(candidate, version=content, outputs_of=outputs_of)

    def digest(self, artifact: Artifact[HttpCandidate], /) -> str:
        """Return the digest of the endpoint's address and its version, declared or asked for."""
        return self.read(artifact).digest


ADAPTERS[HttpCandidate] = HttpAdapter()


class Deadline:
    """Cuts connections off when the time is up, whatever is being sent or read, or waited for."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._connections: list[socket.socket] = []
        self.is_over = False

    def end(self) -> None:
        """Cut off what there is, and what will be connected."""
        with self._lock:
            self.is_over = True
            for connection in self._connections:
                # It may have ended by itself.
                with suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Let the connections go."""
        with self._lock:
            while self._connections:
                self._connections.pop().close()

    def connection_class(self, base: type[Any]) -> type[Any]:
        """Make a class of the library's connections that are cut off."""

        def connect(connection: Any) -> socket.socket:
            opened: socket.socket = base._new_conn(connection)  # noqa: SLF001 - to be extended
            with self._lock:
                # A second handle: TLS takes the first one away.
                self._connections.append(opened.dup())
            if self.is_over:
                self.end()
            return opened

        return type(base.__name__, (base,), {"_new_conn": connect})


@contextmanager
def deadline(
    seconds: float, timer: Callable[[float, Callable[[], None]], Timer]
) -> Iterator[Deadline]:
    """Cut off, after so many seconds, the connections that are made meanwhile."""
    # A time for each step, as libraries have it, never ends where each step brings one byte more.
    watched = Deadline()
    running = timer(seconds, watched.end)
    running.daemon = True
    running.start()
    try:
        yield watched
    finally:
        running.cancel()
        watched.close()


class Authorization:
    """The value of an `Authorization` header, which no text shows; None where none is sent."""

    def __init__(self, value: str | None) -> None:
        self._value = value

    def __repr__(self) -> str:
        return "Authorization(hidden)"

    def headers(self) -> dict[str, str]:
        """Return the header to send."""
        return {} if self._value is None else {"Authorization": self._value}

    def hide_in(self, text: str) -> str:
        """Take the value out of a text, and the token alone as well."""
        for part in filter(None, [self._value, *(self._value or "").split()[1:]]):
            text = text.replace(part, "(hidden)")
        return text


def authorization_of(candidate: HttpCandidate) -> Authorization:
    """Read the header's value from the environment."""
    name = candidate.authorization_variable
    if name is None:
        return Authorization(None)
    value = os.environ.get(name, "").strip()
    if not value:
        raise candidate_error(
            candidate,
            f"the environment variable {name}, which holds its authorization, is not set",
            fix=f"set {name} where the evaluation runs, such as to `Bearer ...`",
        )
    if not (value.isascii() and value.isprintable()):
        raise candidate_error(
            candidate,
            f"the environment variable {name} holds characters that no header can have",
            fix=f"set {name} to one line of plain characters",
        )
    return Authorization(value)


class CircuitBreaker:
    """Stops requests after failures in a row; safe to be used by several threads."""

    # Closed, it lets everything through. After `open_after` failures in a row it is open and lets
    # nothing through; after `half_open_after` seconds it is half open and lets one request through,
    # whose outcome closes it or opens it again.

    def __init__(self, open_after: int, half_open_after: float, clock: Callable[[], float]) -> None:
        self._open_after = open_after
        self._half_open_after = half_open_after
        self._clock = clock
        self._lock = Lock()
        self._failures = 0
        self._opened_at: float | None = None
        self._is_half_open = False

    def allows(self) -> bool:
        """Tell whether a request may be sent now; where it may, its outcome must be recorded."""
        with self._lock:
            if self._opened_at is None:
                return True
            waited = self._clock() - self._opened_at
            if self._is_half_open or waited < self._half_open_after:
                return False
            self._is_half_open = True
            return True

    def record_success(self) -> None:
        """Note a request that was answered."""
        with self._lock:
            self._failures = 0
            self._opened_at = None
            self._is_half_open = False

    def record_failure(self) -> None:
        """Note a request that was not answered, or by a fault of the server."""
        with self._lock:
            self._failures += 1
            self._is_half_open = False
            if self._failures >= self._open_after:
                self._opened_at = self._clock()


def _records(batch: pd.DataFrame) -> list[dict[str, Any]]:
    columns = [[_plain(value) for value in batch[name]] for name in batch.columns]
    return [dict(zip(batch.columns, values, strict=True)) for values in zip(*columns, strict=True)]


def _plain(value: Any) -> Any:
    """Turn a value into one that JSON has: dates become ISO texts, what is missing null."""
    if pd.isna(value):
        return None
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, bool | int | float | str):
        return value
    return value.isoformat() if hasattr(value, "isoformat") else str(value)


def _scores(
    candidate: HttpCandidate,
    body: bytes,
    ids: Sequence[Any],
    outputs_of: Callable[[Sequence[Any]], np.ndarray] = numbers_of,
) -> np.ndarray:
    """Read a response's body, and put its scores into the order of the ids that were sent."""
    fix = 'answer {"scores": [{"id": ..., "score": ...}, ...]} with one score for each id'
    try:
        answer = parse_json(body)
        pairs = [(row["id"], row["score"]) for row in answer["scores"]]
        # 7 and "7" are different ids, and an id may be of any type.
        scores = {json.dumps(case): score for case, score in pairs}
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        # What is no JSON is told in words, what has another form in Python's.
        kind = "" if isinstance(error, ValueError) else f"{type(error).__name__}: "
        what = f"its answer is not as agreed ({kind}{error})"
        raise candidate_error(candidate, what, fix=fix) from None
    sent = [json.dumps(case) for case in ids]
    missing = [key for key in sent if key not in scores]
    extra = sorted(scores.keys() - set(sent))
    repeated = len(pairs) - len(scores)
    if missing or extra or repeated:
        parts = [
            f"{len(missing)} of {len(ids)} ids are missing ({format_names(missing)})"
            if missing
            else "",
            f"{len(extra)} were not asked for ({format_names(extra)})" if extra else "",
            f"{repeated} are repeated" if repeated else "",
        ]
        raise candidate_error(candidate, f"in its answer {', '.join(filter(None, parts))}", fix=fix)
    try:
        return outputs_of([scores[key] for key in sent])
    except AnswersError as error:
        wrong = [sent[place] for place in error.places]
        found = format_names([scores[key] for key in wrong])
        what = f"{len(wrong)} of {len(ids)} scores in its answer are {error.what}, such as of"
        message = f"{what} {format_names(wrong)}: {found}"
        raise candidate_error(candidate, message, fix=fix) from None
