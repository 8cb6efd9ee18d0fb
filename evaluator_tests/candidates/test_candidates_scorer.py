"""A candidate's artifact is read safely, and what is wrong with it is named."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.svm import SVC

from evaluator.candidates import artifact_digest, load_scorer
from evaluator.candidates._faults import artifact_path
from evaluator.errors import CandidateError
from evaluator_tests.candidates.conftest import candidate_of, task_of

Save = Callable[[Any], Path]

CASES = pd.DataFrame({"x": [0.0, 1.0, 2.0, 3.0] * 10, "y": [1.0, 0.0, 1.0, 0.0] * 10})
LATE = (CASES["x"] > 1.5).to_numpy()


def refusal(
    home: Path, *, positive: Any = 1, negative: Any = None, **settings: Any
) -> CandidateError:
    with pytest.raises(CandidateError) as caught:
        load_scorer(candidate_of(**settings), home, task=task_of(positive, negative))
    assert caught.value.culprit == "candidate one"
    return caught.value


@pytest.mark.parametrize(
    ("classes", "positive"),
    [
        ((0, 1), 1),
        ((0, 1), True),
        ((False, True), True),
        ((False, True), 1),
        (("early", "late"), "late"),
        (("z_early", "a_late"), "a_late"),
        ((1, 0), 0),
    ],
)
def test_the_score_is_the_probability_of_the_positive_class(
    classes: tuple[Any, Any], positive: Any, save: Save
) -> None:
    model = LogisticRegression().fit(CASES, np.where(LATE, classes[1], classes[0]))

    scores = load_scorer(candidate_of(), save(model), task=task_of(positive)).score(CASES)

    # The logistic function of the fitted line, by hand; sklearn's line is for its second class.
    line = CASES.to_numpy() @ model.coef_[0] + model.intercept_[0]
    sign = 1 if model.classes_[1] == classes[1] else -1
    assert scores == pytest.approx(1 / (1 + np.exp(-sign * line)))
    assert scores[LATE].min() > scores[~LATE].max()


def test_a_type_that_is_not_trusted_is_named(save: Save) -> None:
    home = save(HistGradientBoostingClassifier(max_iter=2).fit(CASES, LATE))
    tree = "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor"

    error = refusal(home)

    assert "types that are not trusted" in error.what
    assert tree in error.what
    assert "`trusted_types`" in error.fix
    named = error.what.rpartition(": ")[2].split(", ")
    scorer = load_scorer(candidate_of(trusted_types=named), home, task=task_of())
    assert scorer.score(CASES).shape == (40,)


def test_only_the_types_that_are_still_missing_are_named(save: Save) -> None:
    home = save([Odd(), Other()])

    error = refusal(home, trusted_types=[f"{__name__}.Odd"])

    assert f"{__name__}.Other" in error.what
    assert f"{__name__}.Odd" not in error.what


class Odd:
    """A type that nobody trusts by itself."""


class Other:
    """Another one."""


def test_an_absent_artifact_is_named_with_its_path(tmp_path: Path) -> None:
    for error in (refusal(tmp_path), digest_refusal(tmp_path)):
        assert f"its artifact {tmp_path / 'models' / 'one.skops'} is not there" in error.what
        assert "correct `path` of one" in error.fix


def test_a_folder_is_no_artifact(tmp_path: Path) -> None:
    (tmp_path / "models" / "one.skops").mkdir(parents=True)

    assert "is not there" in refusal(tmp_path).what
    assert "is not there" in digest_refusal(tmp_path).what


def digest_refusal(home: Path) -> CandidateError:
    with pytest.raises(CandidateError) as caught:
        artifact_digest(candidate_of(), home)
    return caught.value


@pytest.mark.parametrize("content", [b"", b"no skops", b"PK\x03\x04 cut off"])
def test_a_file_that_is_not_skops_is_named(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "models" / "one.skops"
    path.parent.mkdir()
    path.write_bytes(content)

    error = refusal(tmp_path)

    assert "its artifact models/one.skops cannot be read as skops" in error.what
    assert "skops.io.dump" in error.fix


def test_a_model_without_probabilities_is_refused_by_its_type(save: Save) -> None:
    regression = refusal(save(LinearRegression().fit(CASES, LATE.astype(float))))
    machine = refusal(save(SVC().fit(CASES, LATE)))
    nothing = refusal(save({"not": "a model"}))

    assert "its LinearRegression has no predict_proba" in regression.what
    assert "its SVC has no predict_proba" in machine.what
    assert "its dict has no predict_proba" in nothing.what


def test_a_model_that_was_never_fitted_is_refused(save: Save) -> None:
    error = refusal(save(LogisticRegression()))

    assert "its LogisticRegression was never fitted" in error.what
    assert error.fix == "fit it before it is saved"


@pytest.mark.parametrize(
    ("labels", "positive", "classes"),
    [
        (["a", "b"], "late", "'a', 'b'"),
        ([0, 1], "late", "0, 1"),
        ([1, 2], 0, "1, 2"),
        ([0, 1, 2, 3], 1, "0, 1, 2, 3"),
    ],
)
def test_a_model_of_other_classes_is_refused_with_what_it_has(
    labels: list[Any], positive: Any, classes: str, save: Save
) -> None:
    # Each value of x has a label.
    model = LogisticRegression().fit(CASES, np.resize(labels, len(CASES)))

    error = refusal(save(model), positive=positive)

    assert error.what.startswith(
        f"its classes are {classes}, and the positive label is {positive!r}"
    )
    assert "train it on the two values of the label" in error.fix


@pytest.mark.parametrize(
    ("classes", "positive", "negative"),
    [
        (("early", "late"), "late", "on time"),
        (("Late", "late"), "late", ("on time", "early")),
        ((2, 1), 1, 0),
        ((0, 1), 1, 2),
        (("0", "1"), 1, 0),
    ],
)
def test_a_model_one_of_whose_classes_the_label_does_not_have_is_refused(
    classes: tuple[Any, Any], positive: Any, negative: Any, save: Save
) -> None:
    home = save(LogisticRegression().fit(CASES, np.where(LATE, classes[1], classes[0])))

    error = refusal(home, positive=positive, negative=negative)

    others = negative if isinstance(negative, tuple) else (negative,)
    assert error.what == (
        f"its classes are {', '.join(map(repr, sorted(classes)))}, and the positive label is"
        f" {positive!r}, the negative one {' or '.join(map(repr, others))}"
    )
    said = {"positive": classes[1], "negative": classes[0]}
    scorer = load_scorer(candidate_of(label_values=said), home, task=task_of(positive, negative))
    scores = scorer.score(CASES)
    assert scores[LATE].min() > scores[~LATE].max()


def test_a_path_is_below_the_home_or_absolute(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere" / "m.skops"

    assert artifact_path(candidate_of(), tmp_path) == tmp_path / "models/one.skops"
    assert artifact_path(candidate_of(path=str(elsewhere)), tmp_path / "home") == elsewhere


def test_the_digest_is_that_of_the_bytes(save: Save) -> None:
    home = save(LogisticRegression())
    content = (home / "models" / "one.skops").read_bytes()

    assert artifact_digest(candidate_of(), home) == hashlib.sha256(content).hexdigest()
