"""What cannot be loaded fails every slice of a range, by one attempt; by three where it is slow."""

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from evaluator.candidates import (
    CandidateCrashError,
    CandidateTimeoutError,
    TransientCandidateError,
    _isolation as isolation,
    open_scorer,
)
from evaluator_tests.candidates.conftest import candidate_of, task_of
from evaluator_tests.candidates.frail import Frail
from evaluator_tests.candidates.isolated import features_of, pickled, refusal

# Each starts processes, which import what a candidate needs.
pytestmark = pytest.mark.slow


class WhenRead:
    """Does something as soon as it is unpickled."""

    def __init__(self, does: Callable[..., Any], *given: Any) -> None:
        self.does = does
        self.given = given

    def __reduce__(self) -> tuple[Any, ...]:
        return self.does, self.given


class After:
    """Is the second thing, once the first one was unpickled."""

    def __init__(self, first: Any, then: Any) -> None:
        self.parts = first, then

    def __reduce__(self) -> tuple[Any, ...]:
        return _second, self.parts


def _second(_first: Any, then: Any) -> Any:
    return then


@pytest.mark.parametrize(
    ("model", "told", "what"),
    [
        (WhenRead(os._exit, 5), {}, "its process ended itself with exit code 5 while loading"),
        (
            WhenRead(signal.raise_signal, signal.SIGKILL),
            {},
            (
                "its process was ended by SIGKILL while loading, as the system does where the"
                " machine's memory runs out"
            ),
        ),
        (
            WhenRead(bytearray, 2**30),
            {"memory_limit": 2**28},
            "it needed more than its memory_limit of 268435456 bytes while loading",
        ),
        (WhenRead(list), {}, "its list has no predict_proba, so it gives no scores"),
    ],
    ids=["exits", "is killed", "eats memory", "is no model"],
)
def test_what_fails_while_loading_fails_at_once_for_the_next_slices(
    model: Any, told: Any, what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_scorer(pickled(tmp_path, model, **told), tmp_path, task=task_of()) as scorer:
        assert refusal(scorer, features_of()).what == what
        monkeypatch.setattr(isolation, "ChildProcess", lambda: pytest.fail("it was tried again"))

        assert refusal(scorer, features_of()).what == what


SLOW = "it took longer than its load_timeout of 0.2 s while loading, and was ended"


def wait_for(gate: str) -> dict[str, Any]:
    """Go on as soon as the file is there."""
    while not Path(gate).exists():
        time.sleep(0.01)
    return {}


def test_a_slow_moment_while_loading_costs_its_slice_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = [WhenRead(wait_for, str(tmp_path / "gate")), Frail()]
    candidate = pickled(tmp_path, After(*model), load_timeout=0.2)

    with open_scorer(candidate, tmp_path, task=task_of()) as scorer:
        for _ in range(isolation.MOST_SLOW_STARTS - 1):
            error = refusal(scorer, features_of())
            assert type(error) is CandidateTimeoutError
            assert error.what == SLOW
            assert error.fix == "give it more `load_timeout`, or make it faster"
        (tmp_path / "gate").touch()
        monkeypatch.setattr(
            scorer, "_candidate", candidate.model_copy(update={"load_timeout": None})
        )
        assert scorer.score(features_of()).tolist() == [0.1, 0.2]


def test_a_candidate_that_hangs_while_loading_is_given_up_after_three_slices(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    candidate = pickled(tmp_path, WhenRead(time.sleep, 3600), load_timeout=0.2)

    with open_scorer(candidate, tmp_path, task=task_of()) as scorer:
        for _ in range(3):
            assert refusal(scorer, features_of()).what == SLOW
        monkeypatch.setattr(isolation, "ChildProcess", lambda: pytest.fail("it was tried again"))
        error = refusal(scorer, features_of())

    assert type(error) is CandidateTimeoutError
    assert error.what == f"{SLOW}, 3 times in a row; it is not loaded again"


def test_the_timeout_of_a_slice_does_not_bound_loading(tmp_path: Path) -> None:
    # Nothing can be loaded in a nanosecond, nor scored.
    candidate = pickled(tmp_path, Frail(), timeout=1e-9)

    with open_scorer(candidate, tmp_path, task=task_of()) as scorer:
        error = refusal(scorer, features_of())

    assert error.what == "it took longer than its timeout of 1e-09 s while scoring, and was ended"


@pytest.mark.parametrize(("error", "loads"), [(ConnectionError, 2), (ValueError, 1)])
def test_here_too_a_permanent_fault_of_loading_is_remembered(
    error: type[Exception], loads: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries = []

    def load(*_: Any, **__: Any) -> Any:
        tries.append(1)
        raise error("no luck")

    monkeypatch.setattr(isolation, "load_scorer", load)
    with open_scorer(candidate_of(), tmp_path, task=task_of()) as scorer:
        told = [refusal(scorer, features_of()) for _ in range(2)]

    assert {e.what for e in told} == {f"it raised {error.__name__}: no luck while loading"}
    kind = TransientCandidateError if error is ConnectionError else CandidateCrashError
    assert {type(e) for e in told} == {kind}
    assert len(tries) == loads
