"""A scoring endpoint: cases go out as JSON in batches, scores come back by id."""

import json
import random
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Lock
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from evaluator.candidates.breaker import CircuitBreaker
from evaluator.candidates.endpoint_request import (
    Answer,
    EndpointUnreachableError,
    authorization_of,
    send,
)
from evaluator.candidates.faults import fault, listed, transient_fault
from evaluator.errors import CandidateError
from evaluator.evidence import digest_of
from evaluator.spec.candidates import HttpCandidate

FIRST_PAUSE = 0.5
LONGEST_PAUSE = 30.0


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
        """Return the endpoint's scores of the cases whose ids are the index, shape (n,).

        Raises
        ------
        TransientCandidateError
            Where the endpoint does not answer, after all retries.
        CandidateError
            Where it refuses, or its answer is not one score for each id that was sent.
        """
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
        """Ask the endpoint, by HEAD, for the version of its model.

        Raises
        ------
        CandidateError
            As `score`, and where the header is not in the answer.
        """
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

    def _ask(self, method: str, body: bytes | None) -> Answer:
        """Send a request, and again where that may help."""
        for attempt in range(self._candidate.retries + 1):
            if not self._breaker.lets_through():
                raise transient_fault(
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
                    raise self._gave_up(attempt + 1, error) from None
            else:
                return answer
            longest = min(LONGEST_PAUSE, FIRST_PAUSE * 2**attempt)
            self._timing.sleep(self._timing.jitter(0.0, longest))
        raise AssertionError("the last attempt returns or raises")

    def _send(self, method: str, body: bytes | None) -> Answer:
        """Send a request once, and tell the breaker how it went."""
        try:
            answer = send(
                self._candidate, self._authorization, method, body, clock=self._timing.clock
            )
        except EndpointUnreachableError:
            self._breaker.failed()
            raise
        except BaseException:
            # It was answered, however badly.
            self._breaker.succeeded()
            raise
        self._breaker.succeeded()
        return answer

    def _gave_up(self, attempts: int, error: EndpointUnreachableError) -> CandidateError:
        times = "once" if attempts == 1 else f"{attempts} times"
        return transient_fault(
            self._candidate,
            f"{self._candidate.url} was asked {times} without success ({error})",
            fix="look after the endpoint, or give it more `request_timeout` or a smaller"
            " `batch_size`",
        )

    def _version_of(self, answer: Answer) -> str:
        name = self._candidate.version_header or ""
        version = answer.headers.get(name)
        if not version:
            raise fault(
                self._candidate,
                f"the answer of {self._candidate.url} has no header {name!r}",
                fix="make the endpoint send it, or declare `version` instead",
            )
        return version

    def _note_version(self, answer: Answer) -> None:
        """Refuse answers of another model than the first one."""
        if self._candidate.version_header is None:
            return
        version = self._version_of(answer)
        with self._lock:
            first = self._version = self._version or version
        if version != first:
            raise fault(
                self._candidate,
                f"its model changed from version {first!r} to {version!r} while it was asked",
                fix="run it again, when only one version is served",
            )


def endpoint_digest(candidate: HttpCandidate) -> str:
    """Digest of what the endpoint serves: its address and the version, declared or asked for.

    Raises
    ------
    CandidateError
        Where the endpoint has to be asked and does not tell.
    """
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
        raise fault(candidate, what, fix=fix) from None
    # 7 and "7" are different ids, and an id may be of any type.
    keys = [json.dumps(case) for case, _ in pairs]
    found = dict(zip(keys, (score for _, score in pairs), strict=True))
    wanted = [json.dumps(case) for case in ids]
    missing = [key for key in wanted if key not in found]
    extra = sorted(set(found) - set(wanted))
    if missing or extra or len(keys) != len(found):
        parts = [
            f"{len(missing)} of {len(ids)} ids are missing ({listed(missing)})" if missing else "",
            f"{len(extra)} were not asked for ({listed(extra)})" if extra else "",
            f"{len(keys) - len(found)} are repeated" if len(keys) != len(found) else "",
        ]
        raise fault(candidate, f"in its answer {', '.join(filter(None, parts))}", fix=fix)
    wrong = [
        key
        for key in wanted
        if not isinstance(found[key], int | float) or isinstance(found[key], bool)
    ]
    if wrong:
        what = f"{len(wrong)} of {len(ids)} scores in its answer are no numbers, such as of"
        raise fault(candidate, f"{what} {listed(wrong)}", fix=fix)
    return np.array([found[key] for key in wanted], dtype=np.float64)
