"""A candidate in a process of its own: what it does there stays there, and nothing outlives it."""

import os
import pickle
import select
import signal
import socket
import subprocess
import sys
import traceback
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pydantic import TypeAdapter
from sklearn.linear_model import LogisticRegression

import evaluator_tests
from evaluator.candidates import (
    CandidateCrashError,
    Scorer,
    TransientCandidateError,
    _child as child_process,
    _isolation as isolation,
    load_scorer,
    open_scorer,
    predict,
)
from evaluator.candidates._worker import _frame
from evaluator.spec import CandidateSpec
from evaluator_tests.candidates.conftest import candidate_of, task_of
from evaluator_tests.candidates.frail import FAULTS, HABITS, Frail
from evaluator_tests.candidates.isolated import features_of, pickled, refusal


def is_well(scorer: Scorer) -> bool:
    return bool(scorer.score(features_of()).tolist() == [0.1, 0.2])


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Scorer, Path]]:
    """One candidate for many tests, and the folder where its process tells what it left."""
    home, tells = tmp_path_factory.mktemp("home"), tmp_path_factory.mktemp("tells")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FRAIL_TELLS", str(tells))
        candidate = pickled(home, Frail(), memory_limit="256 MiB")
        with open_scorer(candidate, home, task=task_of()) as scorer:
            assert is_well(scorer)
            yield scorer, tells


def pid_of(scorer: Scorer) -> int:
    assert isinstance(scorer, isolation.IsolatedScorer)
    assert scorer._child is not None
    return scorer._child._process.pid


def ends(pid: int) -> bool:
    """Wait until a process is gone, whosever it is."""
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([handle], [], [], 600)[0])
    finally:
        os.close(handle)


@pytest.mark.parametrize("told", [{"isolate": "process"}, {"isolate": "none"}])
def test_nothing_is_started_or_read_before_the_first_score(
    told: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(isolation, "ChildProcess", lambda: pytest.fail("a process was started"))

    with open_scorer(candidate_of(**told), tmp_path, task=task_of()):
        pass


def test_scores_are_the_same_to_the_last_bit(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    features = pd.DataFrame(generator.normal(size=(1000, 2)), columns=["x", "y"])
    features.loc[::7, "x"] = 0.0
    model = LogisticRegression().fit(features, features["x"] > features["y"])
    candidate = pickled(tmp_path, model)
    assert candidate.isolated

    with open_scorer(candidate, tmp_path, task=task_of()) as scorer:
        scores = scorer.score(features)

    assert (
        scores.tobytes()
        == load_scorer(candidate, tmp_path, task=task_of()).score(features).tobytes()
    )


def test_features_of_every_type_arrive_as_they_were_sent() -> None:
    frame = pd.DataFrame(
        {
            "float": [1.5, np.nan],
            "small": np.array([1.5, 2.5], "float32"),
            "whole": [1, 2],
            "maybe whole": pd.array([1, None], "Int64"),
            "yes": [True, False],
            "maybe": pd.Series([True, None], dtype=object),
            "text": ["é", None],
            "group": pd.Categorical(["b", "a"], categories=["b", "a", "c"]),
            "day": [date(2026, 1, 2), None],
            "time": [datetime(2026, 1, 2, 3, tzinfo=UTC), datetime(2026, 1, 3, 4, tzinfo=UTC)],
            "price": [Decimal("1.10"), Decimal("2.20")],
            "id": [1, 2],
        },
    )
    for ids in (pd.Index(["b", "a"], name="id"), pd.Index([3, 1], name="id")):
        sent = frame.set_axis(ids, axis="index")

        came = _frame(bytearray(isolation._arrow_stream(sent)))

        pd.testing.assert_frame_equal(came, sent)
        # A candidate may write into what it is given.
        came.loc[:, "whole"] = 0
        came["float"].to_numpy(copy=True)[0] = 0.0


@pytest.mark.slow
def test_a_candidate_may_print_what_it_likes(shared: tuple[Scorer, Path]) -> None:
    scorer, _ = shared
    before = is_well(scorer), pid_of(scorer)

    assert scorer.score(features_of(HABITS["prints"])).tolist() == [0.1, 0.2]
    assert (is_well(scorer), pid_of(scorer)) == before


def test_an_error_keeps_the_process_and_the_trace_of_where_it_came_from(
    shared: tuple[Scorer, Path],
) -> None:
    scorer, _ = shared
    assert is_well(scorer)
    before = pid_of(scorer)

    error = refusal(scorer, features_of(FAULTS["raises"]))

    trace = "".join(traceback.format_exception(error))
    assert "frail.py" in trace
    assert "in predict_proba" in trace
    assert is_well(scorer)
    assert pid_of(scorer) == before
    # Words were said beyond the limit, and it is in force again.
    memory = refusal(scorer, features_of(FAULTS["eats memory"]))
    assert memory.what == "it needed more than its memory_limit of 256 MiB while scoring"
    assert is_well(scorer)
    assert pid_of(scorer) != before


def test_sys_exit_is_an_error_like_any_other(shared: tuple[Scorer, Path]) -> None:
    error = refusal(shared[0], features_of(HABITS["leaves"]))

    assert error.what == "it raised SystemExit: it has had enough while scoring"
    assert isinstance(error, CandidateCrashError)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("habit", "what"),
    [
        ("meddles", "its process stopped talking to the platform as agreed while scoring"),
        ("breaks off", "its process ended itself with exit code 1 while scoring"),
    ],
)
def test_what_is_no_answer_is_not_taken_for_one(
    habit: str, what: str, shared: tuple[Scorer, Path]
) -> None:
    scorer, _ = shared

    error = refusal(scorer, features_of(HABITS[habit]))

    assert type(error) is CandidateCrashError
    assert error.what == what
    assert is_well(scorer)


def test_signals_that_are_meant_for_the_platform_end_no_candidate(
    shared: tuple[Scorer, Path],
) -> None:
    scorer, _ = shared
    assert is_well(scorer)
    mine = pid_of(scorer)
    os.kill(mine, signal.SIGINT)
    os.kill(mine, signal.SIGTERM)
    assert is_well(scorer)
    assert pid_of(scorer) == mine


@pytest.mark.slow
def test_a_process_that_hangs_up_and_lives_on_is_ended(
    shared: tuple[Scorer, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    scorer, _ = shared
    assert is_well(scorer)
    mine = pid_of(scorer)
    monkeypatch.setattr(child_process, "_EXIT_TIMEOUT", 0.1)

    error = refusal(scorer, features_of(HABITS["hangs up"]))

    assert error.what == "its process stopped talking to the platform as agreed while scoring"
    assert ends(mine)


@pytest.mark.slow
def test_what_got_away_with_its_output_keeps_nobody_waiting(shared: tuple[Scorer, Path]) -> None:
    scorer, tells = shared

    error = refusal(scorer, features_of(HABITS["lets one get away"]))

    os.kill(int((tells / "other").read_text()), signal.SIGKILL)
    assert error.what == "its process ended itself with exit code 3 while scoring"
    assert error.__notes__ == ["The last that its process wrote:\nit is gone"]


@pytest.mark.slow
def test_where_a_crash_stood_is_noted(shared: tuple[Scorer, Path]) -> None:
    scorer, tells = shared
    scorer.score(features_of(HABITS["leaves a file"]))
    left = Path((tells / "left").read_text())
    assert left.exists()

    error = refusal(scorer, features_of(FAULTS["segfault"]))

    (note,) = error.__notes__
    assert "Segmentation fault" in note
    assert "frail.py" in note
    # What it left behind went with it.
    assert not left.parent.exists()
    assert is_well(scorer)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="processes are watched as Linux does it")
def test_what_a_candidate_started_ends_with_it(shared: tuple[Scorer, Path]) -> None:
    scorer, tells = shared
    scorer.score(features_of(HABITS["starts another"]))
    mine, other = pid_of(scorer), int((tells / "other").read_text())

    scorer.close()  # type: ignore[attr-defined] # of all scorers only this one has a process

    assert ends(other)
    assert ends(mine)


def test_a_process_outlives_the_thread_that_asked_first(tmp_path: Path) -> None:
    with open_scorer(pickled(tmp_path, Frail()), tmp_path, task=task_of()) as scorer:
        with ThreadPoolExecutor(1) as pool:
            assert pool.submit(is_well, scorer).result()
        before = pid_of(scorer)

        assert is_well(scorer)
        assert pid_of(scorer) == before


@pytest.mark.slow
def test_a_machine_that_starts_no_process_may_do_so_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def start() -> Any:
        raise BlockingIOError("too many processes")

    with open_scorer(pickled(tmp_path, Frail()), tmp_path, task=task_of()) as scorer:
        with monkeypatch.context() as patch:
            patch.setattr(isolation, "ChildProcess", start)
            error = refusal(scorer, features_of())
        assert isinstance(error, TransientCandidateError)
        assert "could not be started (too many processes)" in error.what

        # Whatever interrupts a question, no later one gets its answer.
        assert is_well(scorer)
        with monkeypatch.context() as patch:
            patch.setattr(isolation, "receive", interrupt)
            with pytest.raises(KeyboardInterrupt):
                scorer.score(features_of(FAULTS["NaN outputs"]))
        assert is_well(scorer)


def test_a_process_that_nobody_could_watch_does_not_live_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pairs, started = [socket.socketpair()], []

    def pair() -> Any:
        if not pairs:
            raise OSError("too many open files")
        return pairs.pop()

    def start(*given: Any, **told: Any) -> Any:
        started.append(subprocess.Popen(*given, **told))
        return started[-1]

    candidate = pickled(tmp_path, Frail())
    with open_scorer(candidate, tmp_path, task=task_of()) as scorer, monkeypatch.context() as patch:
        patch.setattr(child_process.socket, "socketpair", pair)
        watched = SimpleNamespace(**{**vars(subprocess), "Popen": start})
        patch.setattr(child_process, "subprocess", watched)
        error = refusal(scorer, features_of())

    assert isinstance(error, TransientCandidateError)
    assert "could not be started (too many open files)" in error.what
    # None was started, or it was waited for.
    assert all(process.returncode is not None for process in started)


@pytest.mark.parametrize("fault", [["CandidateError"], {}, None, 7])
def test_a_fault_without_a_name_is_no_answer(
    fault: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_scorer(pickled(tmp_path, Frail()), tmp_path, task=task_of()) as scorer:
        messages = iter([{}, {"fault": fault}])
        monkeypatch.setattr(
            isolation,
            "receive",
            lambda *_, **__: child_process.Message(next(messages), bytearray()),
        )
        error = refusal(scorer, features_of())

    assert type(error) is CandidateCrashError
    assert error.what == "its process stopped talking to the platform as agreed while loading"


def interrupt(*_: Any, **__: Any) -> Any:
    raise KeyboardInterrupt


def test_recorded_decisions_come_out_of_a_process_as_well(tmp_path: Path) -> None:
    (tmp_path / "one.csv").write_text("id,decision\n8,late\n7,early\n")
    candidate = TypeAdapter(CandidateSpec).validate_python(
        {
            "name": "one",
            "kind": "recorded",
            "path": "one.csv",
            "score": None,
            "prediction": "decision",
            "timeout": 30,
        }
    )
    cases = pd.DataFrame({"id": [7, 8], "label": [0, 1]})

    with open_scorer(candidate, tmp_path, task=task_of("late", "early")) as scorer:
        assert isinstance(scorer, isolation.IsolatedScorer)
        predicted = predict(candidate, scorer, cases, task=task_of())

    assert predicted["prediction"].tolist() == [0, 1]
    assert predicted["score"].isna().all()


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="Linux alone ends it in the midst of its work")
def test_a_candidate_at_work_does_not_outlive_a_killed_platform(tmp_path: Path) -> None:
    candidate = pickled(tmp_path, Frail())
    program = (
        "import sys, pickle, pandas as pd\n"
        "from pathlib import Path\n"
        "from threading import Thread\n"
        "from evaluator.candidates import open_scorer\n"
        "from evaluator_tests.candidates.conftest import task_of\n"
        "candidate, features, hang = pickle.loads(Path(sys.argv[1]).read_bytes())\n"
        "with open_scorer(candidate, Path(sys.argv[1]).parent, task=task_of()) as scorer:\n"
        "    scorer.score(features)\n"
        "    print(scorer._child._process.pid, flush=True)\n"
        "    scorer.score(hang)\n"
    )
    given = tmp_path / "given"
    given.write_bytes(pickle.dumps((candidate, features_of(), features_of(FAULTS["hangs"]))))
    root = str(Path(evaluator_tests.__file__).parents[1])
    with subprocess.Popen(
        [sys.executable, "-c", program, str(given)],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": root, "TMPDIR": str(tmp_path)},
    ) as platform:
        assert platform.stdout is not None
        child = int(platform.stdout.readline())
        handle = os.pidfd_open(child)
        platform.send_signal(signal.SIGKILL)

        gone = select.select([handle], [], [], 600)[0]

    os.close(handle)
    assert gone
