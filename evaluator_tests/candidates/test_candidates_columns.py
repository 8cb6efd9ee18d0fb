"""Features that an artifact was not made for are refused, with the column's name."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression

from evaluator.candidates import load_scorer, predict
from evaluator.errors import CandidateError
from evaluator_tests.candidates.conftest import candidate_of, task_of

Save = Callable[[Any], Path]

TRAINING = pd.DataFrame({"x": [0.0, 1.0, 2.0, 3.0], "y": [1.0, 0.0, 1.0, 0.0]})
LATE = [0, 0, 1, 1]
CASES = pd.DataFrame(
    {
        "id": [1, 2, 3],
        "geography": "A",
        "segment": "p",
        "label": [0, 1, 0],
        "data.x": [1.0, 2.0, 3.0],
        "data.y": [0.0, None, 1.0],
        "data.name": ["N1", "N2", "N3"],
    }
)


@pytest.mark.parametrize(
    ("features", "what"),
    [
        (["x"], "the artifact takes 'y', which `features` lacks"),
        (["x", "y", "name"], "`features` has 'name', which the artifact does not take"),
        (["y", "x"], "column 1 is 'y' and must be 'x'"),
        (["x", "name"], "takes 'y', which `features` lacks; `features` has 'name'"),
    ],
)
def test_other_features_than_in_training_are_refused(
    features: list[str], what: str, save: Save
) -> None:
    home = save(LogisticRegression().fit(TRAINING, LATE))

    with pytest.raises(CandidateError) as caught:
        load_scorer(candidate_of(features=features), home, task=task_of())

    assert caught.value.culprit == "candidate one"
    assert what in caught.value.what
    assert caught.value.fix == "write `features: [x, y]`"


def test_another_number_of_features_is_refused_where_they_had_no_names(save: Save) -> None:
    home = save(LogisticRegression().fit(TRAINING.to_numpy(), LATE))

    with pytest.raises(CandidateError, match=r"takes 2 features, and `features` has 1 \('x'\)"):
        load_scorer(candidate_of(features=["x"]), home, task=task_of())


def test_missing_values_name_slice_column_and_how_many(save: Save) -> None:
    home = save(LogisticRegression().fit(TRAINING, LATE))
    candidate = candidate_of()

    with pytest.raises(CandidateError) as caught:
        predict(candidate, load_scorer(candidate, home, task=task_of()), CASES, task=task_of())

    assert caught.value.culprit == "candidate one, slice A|p"
    assert caught.value.what == "of 3 cases it does not take the missing values of 'y' in 1"


def test_a_text_where_a_number_belongs_names_slice_column_and_value(save: Save) -> None:
    training = TRAINING.rename(columns={"y": "name"})
    home = save(LogisticRegression().fit(training, LATE))
    candidate = candidate_of(features=["x", "name"])

    with pytest.raises(CandidateError) as caught:
        predict(candidate, load_scorer(candidate, home, task=task_of()), CASES, task=task_of())

    assert caught.value.culprit == "candidate one, slice A|p"
    assert "its feature 'name' holds text, such as 'N1', and the artifact takes numbers" in (
        caught.value.what
    )
