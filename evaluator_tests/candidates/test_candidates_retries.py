"""What may be gone at the next try is tried three times; what will not be gone, once."""

import pytest

from evaluator.candidates import TransientCandidateError
from evaluator.candidates._faults import candidate_error, transient_error
from evaluator.candidates._predictions import FIRST_PAUSE, TRIES, with_retries
from evaluator.errors import CandidateError
from evaluator_tests.candidates.conftest import candidate_of

CANDIDATE = candidate_of()
GONE = transient_error(CANDIDATE, "it is away", fix="wait")
BROKEN = candidate_error(CANDIDATE, "it is broken", fix="mend it")


class Work:
    """Fails as planned, and then gives the number of its tries."""

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)
        self.tries = 0

    def __call__(self) -> int:
        self.tries += 1
        if self.errors:
            raise self.errors.pop(0)
        return self.tries


@pytest.mark.parametrize("failures", range(TRIES))
def test_a_transient_fault_is_tried_again_until_it_is_gone(failures: int) -> None:
    pauses: list[float] = []

    assert with_retries(Work(*[GONE] * failures), pause=pauses.append) == failures + 1
    assert len(pauses) == failures


def test_the_last_tries_fault_is_told_with_the_number_of_tries() -> None:
    work = Work(*[GONE] * 9)

    with pytest.raises(TransientCandidateError) as caught:
        with_retries(work, pause=lambda _: None)

    assert caught.value.what == "it is away, in the last of 3 tries"
    assert caught.value.fix == GONE.fix
    assert work.tries == TRIES


@pytest.mark.parametrize("error", [BROKEN, ValueError("no"), KeyError("no")])
def test_everything_else_is_raised_at_once_as_it_is(error: Exception) -> None:
    work = Work(error)

    with pytest.raises(type(error)) as caught:
        with_retries(work, pause=lambda _: pytest.fail("it paused"))

    assert caught.value is error
    assert work.tries == 1


def test_a_permanent_fault_ends_the_tries() -> None:
    work = Work(GONE, BROKEN, GONE)

    with pytest.raises(CandidateError, match="it is broken"):
        with_retries(work, pause=lambda _: None)

    assert work.tries == 2


def test_pauses_are_chosen_by_chance_and_may_grow() -> None:
    runs: list[list[float]] = []
    for _ in range(200):
        runs.append([])
        with pytest.raises(TransientCandidateError):
            with_retries(Work(GONE, GONE, GONE), pause=runs[-1].append)
    first, second = zip(*runs, strict=True)

    assert 0 <= min(first) < FIRST_PAUSE / 4
    assert max(first) <= FIRST_PAUSE
    assert max(first) > FIRST_PAUSE * 3 / 4
    assert min(second) >= 0
    assert max(second) <= FIRST_PAUSE * 2
    assert max(second) > FIRST_PAUSE * 3 / 2
