"""Predictions follow from scores, and scores that are none are refused."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from evaluator.candidates import CandidateCrashError, TransientCandidateError, predict
from evaluator.errors import CandidateError
from evaluator_tests.candidates.conftest import candidate_of, task_of

CASES = pd.DataFrame(
    {
        "id": ["a", "b", "c", "d"],
        "geography": "A",
        "data.y": [10.0, 20.0, 30.0, 40.0],
        "label": pd.array([0, 1, 0, 1], "int8"),
        "data.x": [1.0, 2.0, 3.0, 4.0],
    },
    # Slices are cut out of a larger frame, so the index does not count from 0.
    index=[7, 3, 11, 5],
)


class Fixed:
    """A scorer that gives what it was told, and notes what it was given."""

    def __init__(self, scores: Any) -> None:
        self.scores = scores
        self.given: list[pd.DataFrame] = []

    def score(self, features: pd.DataFrame) -> np.ndarray:
        self.given.append(features)
        return np.asarray(self.scores)


def refusal(scores: Any) -> CandidateError:
    with pytest.raises(CandidateError) as caught:
        predict(candidate_of(), Fixed(scores), CASES, task=task_of())
    assert caught.value.culprit == "candidate one"
    return caught.value


def test_a_prediction_is_positive_at_the_threshold_and_above() -> None:
    predicted = predict(
        candidate_of(threshold=0.5), Fixed([0.49, 0.5, 0.0, 1.0]), CASES, task=task_of()
    )

    assert predicted.to_dict("list") == {
        "id": ["a", "b", "c", "d"],
        "label": [0, 1, 0, 1],
        "score": [0.49, 0.5, 0.0, 1.0],
        "prediction": [0, 1, 0, 1],
    }
    assert predicted.dtypes.astype(str).to_dict() == {
        "id": "str", "label": "int8", "score": "float64", "prediction": "int8"
    }  # fmt: skip


@pytest.mark.parametrize("threshold", [0.1, 0.3, 0.7, 0.9])
def test_a_prediction_follows_from_the_score_that_is_stored(threshold: float) -> None:
    # The closest number of 32 bits may lie below the threshold or above it.
    scores = np.full(4, threshold, dtype=np.float32)

    predicted = predict(candidate_of(threshold=threshold), Fixed(scores), CASES, task=task_of())

    assert (predicted["prediction"] == (predicted["score"] >= threshold)).all()


def test_features_come_as_declared_and_nothing_else_does() -> None:
    scorer = Fixed([0.1, 0.2, 0.3, 0.4])

    predict(candidate_of(features=["y", "x"]), scorer, CASES, task=task_of())

    assert list(scorer.given[0].columns) == ["y", "x"]
    assert scorer.given[0]["y"].tolist() == [10.0, 20.0, 30.0, 40.0]
    assert scorer.given[0].index.tolist() == ["a", "b", "c", "d"]


def test_a_candidate_that_writes_into_its_input_does_no_harm() -> None:
    class Spoiler:
        def score(self, features: pd.DataFrame) -> np.ndarray:
            scores = features["x"].to_numpy() / 10
            features.loc[:, :] = -1.0
            features["label"] = 1
            return scores

    before = CASES.copy(deep=True)

    predicted = predict(candidate_of(), Spoiler(), CASES, task=task_of())

    pd.testing.assert_frame_equal(CASES, before)
    assert predicted["score"].tolist() == [0.1, 0.2, 0.3, 0.4]
    assert predicted["label"].tolist() == [0, 1, 0, 1]


def test_a_slice_without_cases_asks_nobody() -> None:
    scorer = Fixed([0.5])

    predicted = predict(candidate_of(), scorer, CASES.iloc[:0], task=task_of())

    assert scorer.given == []
    assert list(predicted.columns) == ["id", "label", "score", "prediction"]
    assert len(predicted) == 0
    assert predicted.dtypes.astype(str)[["label", "score", "prediction"]].tolist() == [
        "int8", "float64", "int8"
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("scores", "shape"),
    [
        ([0.1, 0.2, 0.3], "(3,)"),
        ([0.1] * 5, "(5,)"),
        ([], "(0,)"),
        ([[0.1]] * 4, "(4, 1)"),
        (0.5, "()"),
    ],
)
def test_another_number_of_scores_than_cases_is_refused(scores: Any, shape: str) -> None:
    error = refusal(scores)

    assert error.what == f"it gave scores of shape {shape} for 4 cases"
    assert "one score for each case" in error.fix


@pytest.mark.parametrize("wrong", [float("nan"), float("inf"), float("-inf"), -0.01, 1.01])
def test_scores_that_are_no_probabilities_are_refused_with_examples(wrong: float) -> None:
    error = refusal([0.5, wrong, 0.5, wrong])

    assert f"2 of its 4 scores are no probabilities (b -> {wrong}, d -> {wrong})" in error.what
    assert "from 0 to 1" in error.fix


def test_no_more_than_three_examples_are_named() -> None:
    error = refusal([2.0, 3.0, 4.0, 5.0])

    assert "4 of its 4 scores" in error.what
    assert "(a -> 2.0, b -> 3.0, c -> 4.0)" in error.what


@pytest.mark.parametrize("scores", [["a", "b", "c", "d"], [None, 0.1, 0.2, 0.3]])
def test_scores_that_are_no_numbers_are_refused(scores: list[Any]) -> None:
    error = refusal(np.array(scores, dtype=object))

    assert error.what == "it gave scores of type object, not numbers"


class Crash:
    """A scorer that raises what it was told, and counts how often it was asked."""

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)
        self.asked = 0

    def score(self, features: pd.DataFrame) -> np.ndarray:
        self.asked += 1
        if self.errors:
            raise self.errors.pop(0)
        return features["x"].to_numpy() / 10


def test_what_a_candidates_code_raises_is_told_with_candidate_slice_and_cause() -> None:
    cause = ZeroDivisionError("not by\n nothing")

    with pytest.raises(CandidateCrashError) as caught:
        predict(candidate_of(), Crash(cause), CASES.assign(segment="p"), task=task_of())

    assert caught.value.culprit == "candidate one, slice A|p"
    assert caught.value.what == "it raised ZeroDivisionError: not by nothing while scoring"
    assert caught.value.__cause__ is not None
    # The whole trace goes into the evidence.
    assert caught.value.__cause__.__cause__ is cause


@pytest.mark.parametrize("error", [ConnectionResetError("gone"), TimeoutError("late")])
def test_a_lost_connection_is_tried_again_after_a_pause(error: Exception) -> None:
    scorer = Crash(error, error)
    pauses: list[float] = []

    predicted = predict(candidate_of(), scorer, CASES, pause=pauses.append, task=task_of())

    assert predicted["score"].tolist() == [0.1, 0.2, 0.3, 0.4]
    assert (scorer.asked, len(pauses)) == (3, 2)


def test_after_three_tries_a_lost_connection_is_told_as_transient() -> None:
    scorer = Crash(*[ConnectionError("away")] * 5)

    with pytest.raises(TransientCandidateError) as caught:
        predict(candidate_of(), scorer, CASES, pause=lambda _: None, task=task_of())

    assert (
        caught.value.what == "it raised ConnectionError: away while scoring, in the last of 3 tries"
    )
    assert scorer.asked == 3


@pytest.mark.parametrize("error", [ValueError("no"), OSError("disk"), MemoryError()])
def test_what_is_not_transient_is_asked_once(error: Exception) -> None:
    scorer = Crash(error)

    with pytest.raises(CandidateCrashError, match=f"it raised {type(error).__name__}"):
        predict(
            candidate_of(), scorer, CASES, pause=lambda _: pytest.fail("it paused"), task=task_of()
        )

    assert scorer.asked == 1


def test_each_try_gets_features_that_no_earlier_one_spoilt() -> None:
    class SpoilsAndFails:
        def __init__(self) -> None:
            self.given: list[list[float]] = []

        def score(self, features: pd.DataFrame) -> np.ndarray:
            self.given.append(features["x"].tolist())
            features.loc[:, "x"] = -1.0
            raise ConnectionError("away")

    scorer = SpoilsAndFails()

    with pytest.raises(TransientCandidateError):
        predict(candidate_of(), scorer, CASES, pause=lambda _: None, task=task_of())

    assert scorer.given == [[1.0, 2.0, 3.0, 4.0]] * 3


def test_missing_scores_are_taken_where_decisions_alone_are_declared() -> None:
    class Decides(Fixed):
        def decide(self, features: pd.DataFrame) -> np.ndarray | None:
            return np.ones(len(features), dtype="int8")

    told = {"kind": "recorded", "path": "a.csv", "prediction": "d", "features": None}
    nothing = [float("nan")] * 4

    with pytest.raises(CandidateError, match="4 of its 4 scores are no probabilities"):
        predict(candidate_of(**told), Decides(nothing), CASES, task=task_of())
    alone = candidate_of(**told).model_copy(update={"score": None})
    predicted = predict(alone, Decides(nothing), CASES, task=task_of())

    assert predicted["score"].isna().all()
    assert predicted["prediction"].tolist() == [1, 1, 1, 1]
    with pytest.raises(CandidateError, match="neither scores nor decisions"):
        predict(alone, Fixed(nothing), CASES, task=task_of())
