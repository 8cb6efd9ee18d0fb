"""A scoring endpoint: cases go out as JSON in batches, scores come back by id."""

import json
import os
import random
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Lock
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from evaluator.candidates._faults import candidate_error, format_names, transient_error
from evaluator.errors import CandidateError
from evaluator.evidence import digest_of
from evaluator.spec import HttpCandidate

MAX_RESPONSE_BYTES = 64 * 1024 * 1024
"""Bytes; a score of a case takes about 50, so that this holds a million."""
_CHUNK = 64 * 1024
_SHOWN = 200
_OK = 200
_SERVER_ERROR = 500
_TRY_AGAIN = (408, 429)


FIRST_PAUSE = 0.5
MAX_PAUSE = 30.0


class EndpointUnreachableError(Exception):
    """A request got no answer, or one that says to try again."""


class Response(NamedTuple):
    """What came back."""

    headers: Mapping[str, str]
    """Names in any case."""
    body: bytes


class Authorization:
    """The value of an `Authorization` header, which no text shows.

    Parameters
    ----------
    value
        The header's value; None where no header is sent.
    """

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


def send(
    candidate: HttpCandidate,
    authorization: Authorization,
    method: str,
    body: bytes | None,
    *,
    clock: Callable[[], float],
) -> Response:
    """Send one request and read its answer."""
    import requests
    import urllib3

    deadline = clock() + candidate.request_timeout
    headers = {
        "Content-Type": "application/json",
        "Accept": "application/json",
        "Accept-Encoding": "identity",
    }
    with requests.Session() as session:
        # Neither a proxy nor a password file of the machine comes in between.
        session.trust_env = False
        try:
            with session.request(
                method,
                candidate.url,
                data=body,
                headers=headers | authorization.headers(),
                timeout=candidate.request_timeout,
                # The authorization is for this address alone.
                allow_redirects=False,
                stream=True,
            ) as response:
                read = bytearray()
                # What has arrived is taken as it is: the library's own limit is for each piece, and
                # it would wait for a chunk to be full.
                while chunk := response.raw.read1(_CHUNK):
                    read += chunk
                    if clock() > deadline:
                        raise EndpointUnreachableError(
                            f"no whole answer in {candidate.request_timeout:g} seconds"
                        )
                    if len(read) > MAX_RESPONSE_BYTES:
                        raise candidate_error(
                            candidate,
                            f"its answer is larger than {MAX_RESPONSE_BYTES} bytes",
                            fix="answer one score for each id, or make `batch_size` smaller",
                        )
                _check_status(candidate, authorization, response.status_code, bytes(read))
                return Response(response.headers, bytes(read))
        except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
            # Their words may hold addresses and headers.
            words = authorization.hide_in(f"{type(error).__name__}: {error}")
            raise EndpointUnreachableError(words) from None


def _check_status(
    candidate: HttpCandidate, authorization: Authorization, status: int, body: bytes
) -> None:
    if status == _OK:
        return
    words = authorization.hide_in(" ".join(body.decode(errors="replace").split()))[:_SHOWN]
    message = f"HTTP {status}{': ' if words else ''}{words}"
    if status in _TRY_AGAIN or status >= _SERVER_ERROR:
        raise EndpointUnreachableError(message)
    raise candidate_error(
        candidate,
        f"{candidate.url} refused: {message}",
        fix="correct `url`, the authorization or what the endpoint takes; docs/candidates.md has"
        " the form of a request",
    )


class Timing(NamedTuple):
    """What a test takes into its own hands."""

    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    jitter: Callable[[float, float], float] = random.uniform


class HttpScorer:
    """A scoring endpoint.

    Parameters
    ----------
    candidate
        What the YAML says of it.
    timing
        The clock, the pauses and their chance.

    Raises
    ------
    CandidateError
        Where the variable with the authorization is not set, or holds what no header could.
    """

    def __init__(self, candidate: HttpCandidate, timing: Timing | None = None) -> None:
        self._candidate = candidate
        self._timing = timing or Timing()
        self._authorization = authorization_of(candidate)
        self._breaker = CircuitBreaker(
            candidate.open_after, candidate.half_open_after, self._timing.clock
        )
        self._version: str | None = None
        self._lock = Lock()

    def score(self, features: pd.DataFrame) -> np.ndarray:
        """Return the endpoint's scores of the cases whose ids are the index, shape (n,)."""
        size = self._candidate.batch_size
        batches = [features.iloc[at : at + size] for at in range(0, len(features), size)]
        with ThreadPoolExecutor(max_workers=self._candidate.concurrency) as pool:
            pending = [pool.submit(self._score_batch, batch) for batch in batches]
            try:
                return np.concatenate([done.result() for done in pending])
            except BaseException:
                pool.shutdown(wait=True, cancel_futures=True)
                raise

    def version(self) -> str:
        """Ask the endpoint, by HEAD, for the version of its model."""
        return self._version_of(self._ask("HEAD", None))

    def _score_batch(self, batch: pd.DataFrame) -> np.ndarray:
        ids = [_plain(value) for value in batch.index]
        cases = [
            {"id": case, "features": features}
            for case, features in zip(ids, _records(batch), strict=True)
        ]
        # JSON knows no NaN; what is missing was made null.
        body = json.dumps({"cases": cases}, allow_nan=False).encode()
        answer = self._ask("POST", body)
        self._note_version(answer)
        return _scores(self._candidate, answer.body, ids)

    def _ask(self, method: str, body: bytes | None) -> Response:
        """Send a request, and again where that may help."""
        for attempt in range(self._candidate.retries + 1):
            if not self._breaker.allows():
                raise transient_error(
                    self._candidate,
                    f"after {self._candidate.open_after} failed requests in a row to"
                    f" {self._candidate.url} nothing is sent for"
                    f" {self._candidate.half_open_after:g} seconds",
                    fix="look after the endpoint, and run the slice again",
                )
            try:
                answer = self._send(method, body)
            except EndpointUnreachableError as error:
                if attempt == self._candidate.retries:
                    raise self._exhausted_error(attempt + 1, error) from None
            else:
                return answer
            longest = min(MAX_PAUSE, FIRST_PAUSE * 2**attempt)
            self._timing.sleep(self._timing.jitter(0.0, longest))
        raise AssertionError("the last attempt returns or raises")

    def _send(self, method: str, body: bytes | None) -> Response:
        """Send a request once, and tell the breaker how it went."""
        try:
            answer = send(
                self._candidate, self._authorization, method, body, clock=self._timing.clock
            )
        except EndpointUnreachableError:
            self._breaker.record_failure()
            raise
        except BaseException:
            # It was answered, however badly.
            self._breaker.record_success()
            raise
        self._breaker.record_success()
        return answer

    def _exhausted_error(self, attempts: int, error: EndpointUnreachableError) -> CandidateError:
        times = "once" if attempts == 1 else f"{attempts} times"
        return transient_error(
            self._candidate,
            f"{self._candidate.url} was asked {times} without success ({error})",
            fix="look after the endpoint, or give it more `request_timeout` or a smaller"
            " `batch_size`",
        )

    def _version_of(self, answer: Response) -> str:
        name = self._candidate.version_header or ""
        version = answer.headers.get(name)
        if not version:
            raise candidate_error(
                self._candidate,
                f"the answer of {self._candidate.url} has no header {name!r}",
                fix="make the endpoint send it, or declare `version` instead",
            )
        return version

    def _note_version(self, answer: Response) -> None:
        """Refuse answers of another model than the first one."""
        if self._candidate.version_header is None:
            return
        version = self._version_of(answer)
        with self._lock:
            first = self._version = self._version or version
        if version != first:
            raise candidate_error(
                self._candidate,
                f"its model changed from version {first!r} to {version!r} while it was asked",
                fix="run it again, when only one version is served",
            )


def endpoint_digest(candidate: HttpCandidate) -> str:
    """Digest of what the endpoint serves: its address and the version, declared or asked for."""
    version = candidate.version or HttpScorer(candidate).version()
    return digest_of({"url": candidate.url, "version": version})


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


def _scores(candidate: HttpCandidate, body: bytes, ids: Sequence[Any]) -> np.ndarray:
    """Read an answer, and put its scores into the order of the ids that were sent."""
    fix = 'answer {"scores": [{"id": ..., "score": ...}, ...]} with one score for each id'
    try:
        told = json.loads(body)
        pairs = [(row["id"], row["score"]) for row in told["scores"]]
    except (ValueError, TypeError, KeyError) as error:
        what = f"its answer is not as agreed ({type(error).__name__}: {error})"
        raise candidate_error(candidate, what, fix=fix) from None
    # 7 and "7" are different ids, and an id may be of any type.
    keys = [json.dumps(case) for case, _ in pairs]
    found = dict(zip(keys, (score for _, score in pairs), strict=True))
    wanted = [json.dumps(case) for case in ids]
    missing = [key for key in wanted if key not in found]
    extra = sorted(set(found) - set(wanted))
    if missing or extra or len(keys) != len(found):
        parts = [
            f"{len(missing)} of {len(ids)} ids are missing ({format_names(missing)})"
            if missing
            else "",
            f"{len(extra)} were not asked for ({format_names(extra)})" if extra else "",
            f"{len(keys) - len(found)} are repeated" if len(keys) != len(found) else "",
        ]
        raise candidate_error(candidate, f"in its answer {', '.join(filter(None, parts))}", fix=fix)
    wrong = [
        key
        for key in wanted
        if not isinstance(found[key], int | float) or isinstance(found[key], bool)
    ]
    if wrong:
        what = f"{len(wrong)} of {len(ids)} scores in its answer are no numbers, such as of"
        raise candidate_error(candidate, f"{what} {format_names(wrong)}", fix=fix)
    return np.array([found[key] for key in wanted], dtype=np.float64)


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

    def allows(self) -> bool:
        """Tell whether a request may be sent now; where it may, its outcome must be told."""
        with self._lock:
            if self._opened_at is None:
                return True
            waited = self._clock() - self._opened_at
            if self._is_tried or waited < self._half_open_after:
                return False
            self._is_tried = True
            return True

    def record_success(self) -> None:
        """Note a request that was answered."""
        with self._lock:
            self._failures = 0
            self._opened_at = None
            self._is_tried = False

    def record_failure(self) -> None:
        """Note a request that was not answered, or by a fault of the server."""
        with self._lock:
            self._failures += 1
            self._is_tried = False
            if self._failures >= self._open_after:
                self._opened_at = self._clock()
