"""One request to a scoring endpoint, within a deadline and without telling its authorization."""

import os
from collections.abc import Callable, Mapping
from typing import NamedTuple

from evaluator.candidates.faults import fault
from evaluator.spec.candidates import HttpCandidate

LARGEST_ANSWER = 64 * 1024 * 1024
"""Bytes; a score of a case takes about 50, so that this holds a million."""
_CHUNK = 64 * 1024
_SHOWN = 200
_OK = 200
_SERVER_ERROR = 500
_TRY_AGAIN = (408, 429)


class EndpointUnreachableError(Exception):
    """A request got no answer, or one that says to try again."""


class Answer(NamedTuple):
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
    """Read the header's value from the environment.

    Raises
    ------
    CandidateError
        Where the variable is not set, or holds what no header could. The value is not told.
    """
    name = candidate.authorization_variable
    if name is None:
        return Authorization(None)
    value = os.environ.get(name, "").strip()
    if not value:
        raise fault(
            candidate,
            f"the environment variable {name}, which holds its authorization, is not set",
            fix=f"set {name} where the evaluation runs, such as to `Bearer ...`",
        )
    if not (value.isascii() and value.isprintable()):
        raise fault(
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
) -> Answer:
    """Send one request and read its answer.

    Raises
    ------
    EndpointUnreachableError
        Where there was no whole answer in time, or it was 408, 429 or 5xx.
    CandidateError
        Where the endpoint refused, sent elsewhere, or answered far too much.
    """
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
                    if len(read) > LARGEST_ANSWER:
                        raise fault(
                            candidate,
                            f"its answer is larger than {LARGEST_ANSWER} bytes",
                            fix="answer one score for each id, or make `batch_size` smaller",
                        )
                _check_status(candidate, authorization, response.status_code, bytes(read))
                return Answer(response.headers, bytes(read))
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
    told = f"HTTP {status}{': ' if words else ''}{words}"
    if status in _TRY_AGAIN or status >= _SERVER_ERROR:
        raise EndpointUnreachableError(told)
    raise fault(
        candidate,
        f"{candidate.url} refused: {told}",
        fix="correct `url`, the authorization or what the endpoint takes; docs/candidates.md has"
        " the form of a request",
    )
