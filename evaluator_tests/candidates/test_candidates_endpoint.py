"""A scoring endpoint may fail in every way: what it does not give is never made up."""

import json
import threading
from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from evaluator.candidates import (
    TransientCandidateError,
    artifact_digest,
    artifact_stamp,
    load_scorer,
    predict,
)
from evaluator.candidates._kinds._http import CircuitBreaker, HttpScorer, Timing
from evaluator.errors import CandidateError
from evaluator_tests.candidates import scoring_server as faults
from evaluator_tests.candidates.conftest import candidate_of, task_of

FEATURES = pd.DataFrame(
    {"x": [1.0, 2.0, 3.0, 4.0, 5.0], "y": [None, 1.0, 1.0, 1.0, 1.0]},
    index=pd.Index([11, 12, 13, 14, 15], name="id"),
)
SCORES = [0.1, 0.2, 0.3, 0.4, 0.5]


class Time:
    """A clock that goes on by the pauses alone, and notes them."""

    def __init__(self) -> None:
        self.now = 0.0
        self.pauses: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now += seconds

    @property
    def timing(self) -> Timing:
        return Timing(lambda: self.now, self.sleep)


@pytest.fixture
def server() -> Iterator[faults.ScoringServer]:
    with faults.running() as scoring:
        yield scoring


def candidate(server: faults.ScoringServer, **told: Any) -> Any:
    settings = {"kind": "http", "url": server.url, "path": None, "concurrency": 1, **told}
    if "version_header" not in settings:
        settings["version"] = "1"
    return candidate_of(**settings)


def asked(server: faults.ScoringServer, time: Time | None = None, **told: Any) -> list[float]:
    scorer = HttpScorer(candidate(server, **told), (time or Time()).timing)
    scores: list[float] = scorer.score(FEATURES).tolist()
    return scores


def refusal(server: faults.ScoringServer, **told: Any) -> CandidateError:
    with pytest.raises(CandidateError) as caught:
        asked(server, **told)
    assert caught.value.culprit == "candidate one"
    return caught.value


@pytest.mark.parametrize("batch_size", [1, 2, 5, 100])
@pytest.mark.parametrize("concurrency", [1, 3])
def test_scores_come_back_by_id_in_whatever_order(
    batch_size: int, concurrency: int, server: faults.ScoringServer
) -> None:
    assert asked(server, batch_size=batch_size, concurrency=concurrency) == SCORES
    sizes = sorted(len(request["cases"]) for request in server.requests)
    assert sum(sizes) == 5
    assert max(sizes) <= batch_size


def test_a_request_names_id_and_features_and_nothing_else(server: faults.ScoringServer) -> None:
    asked(server, batch_size=1)

    assert server.requests[0] == {"cases": [{"id": 11, "features": {"x": 1.0, "y": None}}]}
    assert "Authorization" not in server.headers[0]


def test_values_of_every_type_are_sent_as_json(server: faults.ScoringServer) -> None:
    features = pd.DataFrame(
        {
            "x": np.array([1.0], dtype="float32"),
            "flag": [True],
            "count": pd.array([3], "Int32"),
            "gone": pd.array([pd.NA], "Int64"),
            "text": ["é"],
            "day": [date(2026, 1, 2)],
            "time": pd.to_datetime(["2026-01-02T03:04:05Z"]),
            "price": [Decimal("1.10")],
        },
        index=["a"],
    )

    HttpScorer(candidate(server, features=list(features))).score(features)

    assert server.requests[0]["cases"][0]["features"] == {
        "x": 1.0, "flag": True, "count": 3, "gone": None, "text": "é", "day": "2026-01-02",
        "time": "2026-01-02T03:04:05+00:00", "price": "1.10",
    }  # fmt: skip


@pytest.mark.parametrize(
    "fault",
    [faults.status(503), faults.status(429), faults.hang_up, faults.cut_off, faults.status(500)],
    ids=["503", "429", "hang up", "cut off", "500"],
)
def test_transient_faults_are_tried_again_after_growing_pauses(
    fault: faults.Fault, server: faults.ScoringServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The longest pause that chance could choose.
    monkeypatch.setattr("random.uniform", lambda _low, high: high)
    server.faults = [fault, fault, fault]
    time = Time()

    assert asked(server, time, retries=3) == SCORES
    assert time.pauses == [0.5, 1.0, 2.0]


def test_pauses_are_chosen_by_chance(
    server: faults.ScoringServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.faults = [faults.status(503), faults.status(503)]
    time, asked_for = Time(), []

    def jitter(low: float, high: float) -> float:
        asked_for.append((low, high))
        return high / 4

    monkeypatch.setattr("random.uniform", jitter)
    HttpScorer(candidate(server), time.timing).score(FEATURES)

    assert asked_for == [(0.0, 0.5), (0.0, 1.0)]
    assert time.pauses == [0.125, 0.25]


def test_after_the_last_retry_the_fault_is_told_as_transient(server: faults.ScoringServer) -> None:
    server.faults = [faults.status(503, b"we are\n full")] * 3

    error = refusal(server, retries=2)

    assert isinstance(error, TransientCandidateError)
    assert f"{server.url} was asked 3 times without success (HTTP 503: we are full)" in error.what
    assert len(server.requests) == 3


@pytest.mark.parametrize("code", [301, 400, 401, 403, 404, 422])
def test_a_refusal_is_not_tried_again(code: int, server: faults.ScoringServer) -> None:
    server.faults = [faults.status(code, b"not you", {"Location": server.url})]

    error = refusal(server)

    assert not isinstance(error, TransientCandidateError)
    assert f"refused: HTTP {code}" in error.what
    assert "not you" in error.what
    assert len(server.requests) == 1


def test_an_answer_that_trickles_in_does_not_outlast_the_timeout(
    server: faults.ScoringServer,
) -> None:
    bell = faults.Bell()
    server.faults = [faults.trickle(bell)]
    timing = Timing(timer=bell.timer)

    with pytest.raises(TransientCandidateError, match="no whole answer in 30 seconds"):
        HttpScorer(candidate(server, retries=0), timing).score(FEATURES)


def test_a_server_that_is_not_there_is_transient(server: faults.ScoringServer) -> None:
    # Port 9 is the discard service's, and nobody runs one.
    error = refusal(server, url="http://127.0.0.1:9/score", retries=0)

    assert isinstance(error, TransientCandidateError)
    assert "was asked once without success (ConnectionError" in error.what


@pytest.mark.parametrize(
    ("fault", "what"),
    [
        (faults.body(b"<html>"), "its answer is not as agreed (it is no JSON"),
        (faults.body(b"[]"), "its answer is not as agreed (TypeError"),
        (faults.body(b'{"score": []}'), "its answer is not as agreed (KeyError: 'scores')"),
        (faults.body(b'{"scores": [{"id": 11}]}'), "its answer is not as agreed (KeyError"),
        (faults.body(b'{"scores": [1]}'), "its answer is not as agreed (TypeError"),
        (faults.scores(lambda s: s[1:]), "1 of 5 ids are missing ('15')"),
        (faults.scores(lambda s: [*s, {"id": 99, "score": 0.5}]), "1 were not asked for ('99')"),
        (faults.scores(lambda s: [*s, s[0]]), "1 are repeated"),
        (faults.scores(lambda s: [{**r, "id": str(r["id"])} for r in s]), "5 of 5 ids are missing"),
        (
            faults.scores(lambda s: [{**r, "score": "late"} for r in s[:2]] + s[2:]),
            "2 of 5 scores in its answer are no numbers, such as of '14', '15': 'late', 'late'",
        ),
        (faults.scores(lambda s: [{**s[0], "score": None}, *s[1:]]), "1 of 5 scores in its answer"),
        (faults.scores(lambda s: [{**s[0], "score": True}, *s[1:]]), "1 of 5 scores in its answer"),
    ],
)
def test_an_answer_that_is_not_one_number_for_each_id_is_refused(
    fault: faults.Fault, what: str, server: faults.ScoringServer
) -> None:
    server.faults = [fault]

    assert what in refusal(server).what
    assert len(server.requests) == 1


def test_a_number_that_is_no_probability_is_refused_by_slice(server: faults.ScoringServer) -> None:
    server.faults = [faults.scores(lambda s: [{**s[0], "score": 1.5}, *s[1:]])]
    cases = FEATURES.add_prefix("data.").reset_index().assign(label=1, geography="A", segment="p")

    with pytest.raises(CandidateError) as caught:
        predict(candidate(server), HttpScorer(candidate(server)), cases, task=task_of())

    assert caught.value.culprit == "candidate one, slice A|p"
    assert "1 of its 5 scores are no probabilities (15 -> 1.5)" in caught.value.what


def test_no_more_requests_are_under_way_than_allowed(server: faults.ScoringServer) -> None:
    # Each request waits until another one is there as well.
    server.gate = threading.Barrier(2)
    features = pd.concat([FEATURES, FEATURES.set_index(FEATURES.index + 100)]).iloc[:6]

    HttpScorer(candidate(server, batch_size=1, concurrency=2)).score(features)

    assert server.most_at_once == 2
    assert len(server.requests) == 6


def test_the_circuit_opens_after_failures_in_a_row_and_half_opens_later(
    server: faults.ScoringServer,
) -> None:
    server.faults = [faults.status(503)] * 4
    time = Time()
    told = {"retries": 0, "open_after": 3, "half_open_after": 60.0}
    scorer = HttpScorer(candidate(server, **told), time.timing)

    def ask() -> str:
        with pytest.raises(TransientCandidateError) as caught:
            scorer.score(FEATURES)
        return caught.value.what

    for _ in range(3):
        assert "was asked once" in ask()
    assert "nothing is sent for 60 seconds" in ask()
    assert len(server.requests) == 3
    time.now += 60
    # The one that is let through fails, so that it is open again.
    assert "was asked once" in ask()
    assert "nothing is sent" in ask()
    assert len(server.requests) == 4
    time.now += 60
    assert scorer.score(FEATURES).tolist() == SCORES
    assert scorer.score(FEATURES).tolist() == SCORES
    assert len(server.requests) == 6


def test_an_open_circuit_ends_the_retries(server: faults.ScoringServer) -> None:
    server.faults = [faults.status(503)] * 10

    error = refusal(server, retries=9, open_after=2)

    assert "after 2 failed requests in a row" in error.what
    assert len(server.requests) == 2


def test_a_half_open_circuit_lets_one_through_at_a_time() -> None:
    now = [0.0]
    breaker = CircuitBreaker(1, 10, lambda: now[0])
    breaker.record_failure()

    assert not breaker.allows()
    now[0] = 10.0
    assert breaker.allows()
    assert not breaker.allows()
    breaker.record_success()
    assert breaker.allows()
    assert breaker.allows()


def test_a_success_in_between_keeps_the_circuit_closed() -> None:
    breaker = CircuitBreaker(2, 10, lambda: 0.0)
    for _ in range(3):
        breaker.record_failure()
        breaker.record_success()

    breaker.record_failure()

    assert breaker.allows()


SECRET = "s3cr3t-t0ken"  # noqa: S105 - it opens nothing


def test_the_authorization_is_sent_and_never_told(
    server: faults.ScoringServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("SCORING_AUTHORIZATION", f"Bearer {SECRET}")
    caplog.set_level("DEBUG")
    told = {"authorization_variable": "SCORING_AUTHORIZATION", "retries": 0}
    assert asked(server, **told) == SCORES
    assert server.headers[0]["Authorization"] == f"Bearer {SECRET}"
    told_by = [candidate(server, **told)]
    # A server may send back what it was sent.
    for code in (401, 503):
        server.faults = [faults.status(code, f"no: Bearer {SECRET}, {SECRET}".encode())]
        error = refusal(server, **told)
        assert "(hidden)" in error.what
        told_by.append(error)
    sent_back = {"id": f"Bearer {SECRET}", "score": 0.5}
    for fault in (
        faults.scores(lambda s: [*s, sent_back]),
        faults.scores(lambda s: [{**s[0], "score": SECRET}, *s[1:]]),
        faults.body(json.dumps({SECRET: 1})[:-1].encode() + f', "{SECRET}": 2}}'.encode()),
    ):
        server.faults = [fault]
        error = refusal(server, **told)
        assert "(hidden)" in error.what
        told_by.append(error)
    scorer = HttpScorer(candidate(server, **told))

    texts = [*map(str, told_by), *map(repr, told_by), caplog.text, repr(vars(scorer))]
    texts += [str(candidate(server, **told).identity_settings)]

    assert SECRET not in " ".join(texts)


def test_the_authorization_does_not_follow_to_another_address(
    server: faults.ScoringServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SCORING_AUTHORIZATION", SECRET)
    with faults.running() as other:
        server.faults = [faults.status(307, b"", {"Location": other.url})]

        refusal(server, authorization_variable="SCORING_AUTHORIZATION")

        assert other.requests == []


@pytest.mark.parametrize("value", [None, "", "   ", f"{SECRET}\nX: 1", f"{SECRET}é"])
def test_an_authorization_that_could_not_be_sent_is_refused_untold(
    value: str | None, server: faults.ScoringServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SCORING_AUTHORIZATION", raising=False)
    if value is not None:
        monkeypatch.setenv("SCORING_AUTHORIZATION", value)

    error = refusal(server, authorization_variable="SCORING_AUTHORIZATION")

    assert "the environment variable SCORING_AUTHORIZATION" in error.what
    assert SECRET not in str(error)
    assert server.requests == []


def test_a_model_that_changes_while_it_is_asked_is_refused(server: faults.ScoringServer) -> None:
    server.faults = [faults.version("a"), faults.version("b")]

    error = refusal(server, batch_size=3, version_header="X-Model-Version")

    assert "its model changed from version 'a' to 'b'" in error.what


def test_answers_are_held_against_the_version_that_was_observed(
    server: faults.ScoringServer, tmp_path: Path
) -> None:
    made = candidate(server, version_header="X-Model-Version", retries=0)
    observed = artifact_digest(made, tmp_path)
    scorer = load_scorer(made, tmp_path, task=task_of(), digest=observed)
    server.version = "b"

    with pytest.raises(CandidateError, match="its model changed from version 'a' to 'b'"):
        scorer.score(FEATURES)
    with pytest.raises(CandidateError, match="was exchanged since it was observed"):
        load_scorer(made, tmp_path, task=task_of(), digest=observed)


def test_an_endpoint_that_does_not_tell_its_version_is_refused(
    server: faults.ScoringServer,
) -> None:
    assert "has no header 'X-Revision'" in refusal(server, version_header="X-Revision").what


def test_the_digest_follows_the_version_and_the_address_and_no_timeout(
    server: faults.ScoringServer, tmp_path: Any
) -> None:
    def digest(**told: Any) -> str:
        return artifact_digest(candidate(server, **told), tmp_path)

    header = {"version_header": "X-Model-Version"}
    first = digest(**header)
    stamp = artifact_stamp(candidate(server, **header), tmp_path)
    assert digest(**header, request_timeout=5, batch_size=7, concurrency=2) == first
    server.version = "b"
    assert digest(**header) != first
    assert artifact_stamp(candidate(server, **header), tmp_path) != stamp
    before = len(server.requests)
    assert digest() != digest(url=f"{server.url}/2")
    assert len(server.requests) == before


def test_an_endpoint_that_is_gone_has_not_arrived(server: faults.ScoringServer) -> None:
    gone = candidate(server, url="http://127.0.0.1:9/", version_header="X-Model-Version", retries=0)

    with pytest.raises(OSError, match="without success"):
        artifact_stamp(gone, None)  # type: ignore[arg-type] # an endpoint has no home


def test_transport_is_no_part_of_the_identity(server: faults.ScoringServer) -> None:
    one = candidate(server, request_timeout=1, retries=1, batch_size=1, concurrency=1, open_after=1)

    assert one.identity_settings == candidate(server).identity_settings
    assert one.identity_settings != candidate(server, threshold=0.4).identity_settings
