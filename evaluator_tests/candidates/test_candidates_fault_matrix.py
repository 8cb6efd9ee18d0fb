"""Every kind of fault in every kind of candidate is that slice's failure, named, and no more.

A row is a kind of fault, a column a kind of candidate. A cell holds the class of the error and
words of its cause; what has no cell stands in `LEFT_OUT` with its reason.
"""

import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Final, NamedTuple

import pandas as pd
import pytest

from evaluator.candidates import (
    CandidateCrashError,
    CandidateTimeoutError,
    Scorer,
    TransientCandidateError,
    _isolation as isolation,
    open_scorer,
    predict,
)
from evaluator.candidates._kinds import _http as endpoint
from evaluator.errors import CandidateError
from evaluator.spec import CandidateSpec
from evaluator_tests.candidates import scoring_server as server_faults
from evaluator_tests.candidates.conftest import candidate_of, task_of
from evaluator_tests.candidates.frail import FAULTS
from evaluator_tests.candidates.worlds import MAKERS, World, write_recording

pytestmark = [
    # MLflow warns of types in its own signatures.
    pytest.mark.filterwarnings("ignore:.*Any type hint is inferred:UserWarning"),
]

IN_PROCESSES = ("skops", "mlflow", "onnx", "pickle")
KINDS = ("skops", "mlflow", "onnx", "pickle", "recorded", "http")
IN_CODE = (
    "raises",
    "loses its connection",
    "hangs",
    "segfault",
    "exits",
    "eats memory",
    "NaN outputs",
    "too few outputs",
    "too many outputs",
)
IN_ARTIFACT = ("missing artifact", "exchanged artifact", "corrupt artifact", "server down")
ELSEWHERE = ("outputs reordered", "an id is missing", "500, then well", "slow server")
DEADLY = ("hangs", "segfault", "exits", "eats memory")
LIMITS: Final = {"timeout": 600, "memory_limit": "256 MiB"}
IMPATIENT: Final = 0.5
"""The limit of the one question that is never answered."""


class Cell(NamedTuple):
    """What a fault comes to: an error of this class with these words, or right predictions."""

    error: type[CandidateError] | None
    cause: str = ""


FINE = Cell(None)
NO_NUMBER = Cell(CandidateError, r"1 of its 3 scores are no probabilities \(\d+ -> nan\)")
CODE: dict[str, Cell] = {
    "raises": Cell(
        CandidateCrashError, "it raised ZeroDivisionError: nothing can be divided by it while"
    ),
    "loses its connection": Cell(
        TransientCandidateError,
        "it raised ConnectionResetError: the feature store hung up while scoring, in the last of 3",
    ),
    "hangs": Cell(
        CandidateTimeoutError, r"longer than its timeout of 0\.5 s while scoring, and was ended"
    ),
    "segfault": Cell(CandidateCrashError, "its process was ended by SIGSEGV while scoring"),
    "exits": Cell(CandidateCrashError, "its process ended itself with exit code 3 while scoring"),
    "eats memory": Cell(CandidateError, "more than its memory_limit of 256 MiB while scoring"),
    "NaN outputs": NO_NUMBER,
    "too few outputs": Cell(CandidateError, r"scores of shape \(2,\) for 3 cases"),
    "too many outputs": Cell(CandidateError, r"scores of shape \(4,\) for 3 cases"),
}
EXCHANGED = Cell(CandidateError, "its artifact was exchanged since it was observed")
MISSING = Cell(CandidateError, r"its artifact \S+ is not there")
CELLS: dict[str, dict[str, Cell]] = {
    "skops": {
        **CODE,
        "missing artifact": MISSING,
        "exchanged artifact": EXCHANGED,
        "corrupt artifact": Cell(CandidateError, "cannot be read as skops"),
    },
    "mlflow": {
        **CODE,
        "missing artifact": Cell(CandidateError, r"its MLflow folder \S+ is not there"),
        "exchanged artifact": EXCHANGED,
        "corrupt artifact": Cell(CandidateError, "MLflow cannot load it"),
    },
    "onnx": {
        "raises": Cell(CandidateCrashError, "it raised InvalidArgument: .*Gather"),
        "hangs": CODE["hangs"],
        "eats memory": CODE["eats memory"],
        "NaN outputs": NO_NUMBER,
        "too few outputs": CODE["too few outputs"],
        "too many outputs": CODE["too many outputs"],
        "missing artifact": MISSING,
        "exchanged artifact": EXCHANGED,
        "corrupt artifact": Cell(CandidateError, "cannot be read as ONNX"),
    },
    "pickle": {
        **CODE,
        "missing artifact": MISSING,
        "exchanged artifact": EXCHANGED,
        "corrupt artifact": Cell(CandidateError, "cannot be unpickled"),
    },
    "recorded": {
        "NaN outputs": NO_NUMBER,
        "too many outputs": Cell(CandidateError, "1 of 3 cases stand in its recording several"),
        "outputs reordered": FINE,
        "an id is missing": Cell(CandidateError, r"1 of 3 cases are not in its recording \(21\)"),
        "missing artifact": MISSING,
        "exchanged artifact": EXCHANGED,
        "corrupt artifact": Cell(CandidateError, r"its recording \S+ cannot be read"),
    },
    "http": {
        "NaN outputs": Cell(CandidateError, "NaN stands in it, which is no number of JSON"),
        "too many outputs": Cell(CandidateError, r"1 were not asked for \('99'\)"),
        "outputs reordered": FINE,
        "an id is missing": Cell(CandidateError, "1 of 3 ids are missing"),
        "exchanged artifact": Cell(CandidateError, "its model changed from version 'a' to 'b'"),
        "corrupt artifact": Cell(CandidateError, "its answer is not as agreed"),
        "server down": Cell(TransientCandidateError, "was asked once without success .*, in the"),
        "500, then well": FINE,
        "slow server": Cell(TransientCandidateError, "no whole answer in 30 seconds"),
    },
}
NO_CODE = "there is no code of its own that could"
NO_IDS = "an array without ids in another order cannot be told from a right one"
NO_SERVER = "no server is asked"
LEFT_OUT: dict[str, dict[str, str]] = {
    **{
        kind: {
            "outputs reordered": NO_IDS,
            "an id is missing": NO_IDS,
            "server down": NO_SERVER,
            "500, then well": NO_SERVER,
            "slow server": NO_SERVER,
        }
        for kind in ("skops", "mlflow", "onnx", "pickle")
    },
    "recorded": {
        **dict.fromkeys(("raises", "loses its connection", *DEADLY), NO_CODE),
        "too few outputs": "the outputs have ids: see `an id is missing`",
        **dict.fromkeys(("server down", "500, then well", "slow server"), NO_SERVER),
    },
    "http": {
        **dict.fromkeys(("raises", "segfault", "exits", "eats memory"), "it runs elsewhere"),
        "loses its connection": "see `server down`",
        "hangs": "see `slow server`",
        "too few outputs": "the outputs have ids: see `an id is missing`",
        "missing artifact": "see `server down`",
    },
}
LEFT_OUT["onnx"] |= dict.fromkeys(("loses its connection", "segfault", "exits"), NO_CODE)
MATRIX = [
    pytest.param(
        kind,
        fault,
        # A process is started for each of these.
        marks=[pytest.mark.slow] if kind in IN_PROCESSES else [],
    )
    for kind in KINDS
    for fault in CELLS[kind]
]


def test_every_cell_is_tested_or_left_out_for_a_reason() -> None:
    for kind in KINDS:
        assert sorted([*CELLS[kind], *LEFT_OUT[kind]]) == sorted(
            [*IN_CODE, *IN_ARTIFACT, *ELSEWHERE]
        )
        assert all(LEFT_OUT[kind].values())


def cases_of(place: str, first: int, code: float = 0.0) -> pd.DataFrame:
    """Make three cases of a slice; the last one's y is the code."""
    return pd.DataFrame(
        {
            "id": range(first, first + 3),
            "geography": place,
            "segment": "p",
            "label": 1,
            "data.x": [1.0, 2.0, 7.0],
            "data.y": [0.0, 0.0, code],
        }
    )


def right(candidate: CandidateSpec, scorer: Scorer, cases: pd.DataFrame) -> None:
    """Make sure that a slice gets its predictions, in whatever order they come."""
    told = predict(candidate, scorer, cases, pause=lambda _: None, task=task_of())
    # A graph computes in 32 bits.
    assert told["score"].tolist() == pytest.approx([0.1, 0.2, 0.7], abs=1e-7)
    assert told["prediction"].tolist() == [0, 0, 1]


class Ranges:
    """Open scorers, one for each candidate, so that its cells share a process."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack
        self._open: dict[str, Scorer] = {}

    def of(self, world: World, candidate: CandidateSpec) -> Scorer:
        """Open it, or return the one that is open."""
        key = candidate.model_dump_json()
        if key not in self._open:
            opened = open_scorer(candidate, world.home, task=task_of())
            self._open[key] = self._stack.enter_context(opened)
        return self._open[key]


@pytest.fixture(scope="module")
def ranges() -> Iterator[Ranges]:
    with ExitStack() as stack:
        yield Ranges(stack)


@pytest.fixture(scope="module")
def worlds(tmp_path_factory: pytest.TempPathFactory) -> dict[str, World]:
    """A world a kind, whose artifact nobody breaks."""
    return {kind: World(kind, tmp_path_factory.mktemp(kind)) for kind in MAKERS}


@contextmanager
def told(cell: Cell, place: str) -> Iterator[None]:
    """Expect the error of a cell, which names candidate, slice and cause."""
    with pytest.raises(CandidateError) as caught:
        yield
    assert type(caught.value) is cell.error
    assert caught.value.culprit == f"candidate one, slice {place}|p"
    assert re.search(cell.cause, caught.value.what)
    assert caught.value.fix


def fails(cell: Cell, candidate: CandidateSpec, scorer: Scorer, cases: pd.DataFrame) -> None:
    with told(cell, cases["geography"].iloc[0]):
        predict(candidate, scorer, cases, pause=lambda _: None, task=task_of())


@pytest.mark.parametrize(("kind", "fault"), MATRIX)
def test_a_fault_is_that_slices_failure_with_its_name_and_cause(
    kind: str, fault: str, worlds: dict[str, World], ranges: Ranges, tmp_path: Path
) -> None:
    cell = CELLS[kind][fault]
    if kind == "http":
        in_server(cell, fault)
    elif fault in IN_ARTIFACT:
        in_artifact(cell, fault, World(kind, tmp_path))
    elif kind == "recorded":
        in_recording(cell, fault, World(kind, tmp_path))
    else:
        in_code(cell, fault, worlds[kind], ranges)


def in_code(cell: Cell, fault: str, world: World, ranges: Ranges) -> None:
    """Break one slice of a range by what its cases hold."""
    needs_process = fault in DEADLY or world.candidate().isolated
    candidate = world.candidate(**(LIMITS if needs_process else {}))
    scorer = ranges.of(world, candidate)

    right(candidate, scorer, cases_of("A", 10))
    with pytest.MonkeyPatch.context() as patch:
        if fault == "hangs":
            assert isinstance(scorer, isolation.IsolatedScorer)
            impatient = candidate.model_copy(update={"timeout": IMPATIENT})
            patch.setattr(scorer, "_candidate", impatient)
        fails(cell, candidate, scorer, cases_of("B", 20, FAULTS[fault]))
    right(candidate, scorer, cases_of("C", 30))


def in_recording(cell: Cell, fault: str, world: World) -> None:
    """Break the part of a recording that is one slice's."""
    write_recording(world.path, 10.0, fault)
    candidate = world.candidate()
    with open_scorer(candidate, world.home, task=task_of(), digest=world.digest()) as scorer:
        right(candidate, scorer, cases_of("A", 10))
        if cell.error:
            fails(cell, candidate, scorer, cases_of("B", 20))
        else:
            right(candidate, scorer, cases_of("B", 20))
        right(candidate, scorer, cases_of("C", 30))


def in_artifact(cell: Cell, fault: str, world: World) -> None:
    """Break what a whole range needs; the ranges before and after it are well."""
    # What is read is read by the same code in both; that a process tells it is tested elsewhere.
    candidate = world.candidate(isolate="none")
    observed = world.digest()
    healthy(candidate, world)
    if fault == "missing artifact":
        world.remove()
    elif fault == "exchanged artifact":
        world.make(divisor=20.0)
    else:
        world.corrupt()
        # These bytes are the ones that were pinned and observed, and mean nothing.
        candidate = world.candidate(isolate="none")
        observed = world.digest()
    with open_scorer(candidate, world.home, task=task_of(), digest=observed) as scorer:
        fails(cell, candidate, scorer, cases_of("A", 10))
        fails(cell, candidate, scorer, cases_of("B", 20))
    world.make()
    healthy(world.candidate(isolate="none"), world)


def healthy(candidate: CandidateSpec, world: World) -> None:
    """Make sure that a range of its own is well."""
    with open_scorer(candidate, world.home, task=task_of(), digest=world.digest()) as scorer:
        right(candidate, scorer, cases_of("A", 10))


def in_server(cell: Cell, fault: str) -> None:
    """Break the answer to one slice's request."""
    bell = server_faults.Bell()
    planned: dict[str, server_faults.Fault] = {
        "NaN outputs": server_faults.scores(lambda s: [{**s[0], "score": float("nan")}, *s[1:]]),
        "too many outputs": server_faults.scores(lambda s: [*s, {"id": 99, "score": 0.5}]),
        "outputs reordered": server_faults.scores(lambda s: s[::-1]),
        "an id is missing": server_faults.scores(lambda s: s[1:]),
        "exchanged artifact": server_faults.version("b"),
        "corrupt artifact": server_faults.body(b"<html>"),
        "500, then well": server_faults.status(500),
        "slow server": server_faults.trickle(bell),
        "server down": server_faults.hang_up,
    }
    with pytest.MonkeyPatch.context() as patch, server_faults.running() as server:
        patch.setattr(endpoint, "Timing", partial(endpoint.Timing, timer=bell.timer))
        candidate = candidate_of(
            kind="http",
            path=None,
            url=server.url,
            version_header="X-Model-Version",
            retries=0,
            open_after=10,
        )
        with open_scorer(candidate, Path(), task=task_of()) as scorer:
            right(candidate, scorer, cases_of("A", 10))
            # What is tried again must fail again.
            server.faults = [planned[fault]] * (3 if cell.error is TransientCandidateError else 1)
            if cell.error:
                fails(cell, candidate, scorer, cases_of("B", 20))
            else:
                right(candidate, scorer, cases_of("B", 20))
            assert server.faults == []
            right(candidate, scorer, cases_of("C", 30))
