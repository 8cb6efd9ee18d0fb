"""What cannot be loaded fails every slice of a range, by one attempt."""

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from evaluator.candidates import (
    CandidateCrashError,
    TransientCandidateError,
    isolation,
    open_scorer,
)
from evaluator_tests.candidates.conftest import candidate_of
from evaluator_tests.candidates.isolated import features_of, pickled, refusal


class WhenRead:
    """Does something as soon as it is unpickled."""

    def __init__(self, does: Callable[..., Any], *given: Any) -> None:
        self.does = does
        self.given = given

    def __reduce__(self) -> tuple[Any, ...]:
        return self.does, self.given


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
            WhenRead(time.sleep, 3600),
            {"timeout": 0.5},
            "it took longer than its timeout of 0.5 s while loading, and was ended",
        ),
        (
            WhenRead(bytearray, 2**30),
            {"memory_limit": 2**28},
            "it needed more than its memory_limit of 268435456 bytes while loading",
        ),
        (WhenRead(list), {}, "its list has no predict_proba, so it gives no scores"),
    ],
    ids=["exits", "is killed", "hangs", "eats memory", "is no model"],
)
def test_what_fails_while_loading_fails_at_once_for_the_next_slices(
    model: Any, told: Any, what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_scorer(pickled(tmp_path, model, **told), tmp_path, positive=1) as scorer:
        assert refusal(scorer, features_of()).what == what
        monkeypatch.setattr(isolation, "ChildProcess", lambda: pytest.fail("it was tried again"))

        assert refusal(scorer, features_of()).what == what


@pytest.mark.parametrize(("error", "loads"), [(ConnectionError, 2), (ValueError, 1)])
def test_here_too_a_permanent_fault_of_loading_is_remembered(
    error: type[Exception], loads: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries = []

    def load(*_: Any, **__: Any) -> Any:
        tries.append(1)
        raise error("no luck")

    monkeypatch.setattr(isolation, "load_scorer", load)
    with open_scorer(candidate_of(), tmp_path, positive=1) as scorer:
        told = [refusal(scorer, features_of()) for _ in range(2)]

    assert {e.what for e in told} == {f"it raised {error.__name__}: no luck while loading"}
    kind = TransientCandidateError if error is ConnectionError else CandidateCrashError
    assert {type(e) for e in told} == {kind}
    assert len(tries) == loads
