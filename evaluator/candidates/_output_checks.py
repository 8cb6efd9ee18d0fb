"""The columns that a candidate is given, held against those that it takes."""

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from evaluator.candidates._faults import candidate_error, format_names
from evaluator.errors import CandidateError
from evaluator.spec import (
    CandidateBase,
    FeatureCandidate,
    LabelValue,
    MlflowCandidate,
    OnnxCandidate,
)

BINARY_CLASSES = 2


def check_names(candidate: FeatureCandidate, taken: Sequence[str], *, ordered: bool = True) -> None:
    """Refuse declared features that are not those that the artifact was made for."""
    declared = candidate.features
    missing = [name for name in taken if name not in declared]
    extra = [name for name in declared if name not in taken]
    parts = [
        f"the artifact takes {format_names(missing)}, which `features` lacks" if missing else "",
        f"`features` has {format_names(extra)}, which the artifact does not take" if extra else "",
    ]
    if missing or extra:
        raise candidate_error(
            candidate,
            "; ".join(filter(None, parts)),
            fix=f"write `features: [{', '.join(taken)}]`",
        )
    if ordered and tuple(taken) != declared:
        at = next(place for place, name in enumerate(taken) if declared[place] != name)
        raise candidate_error(
            candidate,
            f"its features stand in another order than the artifact takes them: column {at + 1}"
            f" is {declared[at]!r} and must be {taken[at]!r}",
            fix=f"write `features: [{', '.join(taken)}]`",
        )


def check_count(candidate: FeatureCandidate, taken: int) -> None:
    """Refuse another number of features than an artifact without feature names takes."""
    if len(candidate.features) != taken:
        raise candidate_error(
            candidate,
            f"the artifact takes {taken} features, and `features` has {len(candidate.features)}"
            f" ({format_names(candidate.features)})",
            fix="list the columns that it was trained on, in that order",
        )


def is_text(column: pd.Series) -> bool:
    """Tell whether a column holds texts."""
    return bool(
        pd.api.types.is_string_dtype(column)
        or (column.dtype == object and any(isinstance(value, str) for value in column))
    )


def wrong_type(candidate: CandidateBase, column: pd.Series, wanted: str) -> CandidateError:
    """Make the error of a column whose values an artifact does not take."""
    given = "text" if is_text(column) else str(column.dtype)
    present = column.dropna()
    example = f", such as {present.iloc[0]!r}" if len(present) else ""
    return candidate_error(
        candidate,
        f"its feature {column.name!r} holds {given}{example}, and the artifact takes {wanted}",
        fix=f"declare the type that it was trained on, or take {column.name!r} out of `features`",
    )


def missing_values(candidate: CandidateBase, columns: pd.DataFrame) -> CandidateError:
    """Make the error of columns with missing values, which an artifact does not take."""
    counts = columns.isna().sum()
    named = ", ".join(f"{name!r} in {count}" for name, count in counts[counts > 0].items())
    return candidate_error(
        candidate,
        f"of {len(columns)} cases it does not take the missing values of {named}",
        fix="train it to take them, such as with an imputer, or make the column required",
    )


def explain(
    candidate: CandidateBase, features: pd.DataFrame, error: Exception
) -> CandidateError | None:
    """Tell which column made a scikit-learn estimator fail, where its words give it away."""
    words = str(error)
    text = re.search(r"could not convert string to float: (.*)", words)
    if text:
        texts = [name for name in features.columns if is_text(features[name])]
        value = text[1].strip("'\"")
        blamed = [name for name in texts if (features[name].astype(str) == value).any()] or texts
        if blamed:
            return wrong_type(candidate, features[blamed[0]], "numbers")
    if "NaN" in words and features.isna().to_numpy().any():
        return missing_values(candidate, features)
    return None


def positive_column(candidate: CandidateBase, classes: Sequence[Any], positive: LabelValue) -> int:
    """Find the positive class among the two of a classifier."""
    # A label that is read as True may have been 1 in training, and the reverse.
    if len(classes) == BINARY_CLASSES and positive in classes:
        return list(classes).index(positive)
    raise candidate_error(
        candidate,
        f"its classes are {', '.join(map(repr, classes))}, and the positive label is {positive!r}",
        fix="train it on the two values of the label, or correct `label.positive`",
    )


def positive_from_array(
    candidate: OnnxCandidate | MlflowCandidate, array: np.ndarray, positive: LabelValue
) -> np.ndarray:
    """Take the positive class out of an array that does not name its classes."""
    if array.dtype.kind != "f":
        raise candidate_error(
            candidate,
            f"it gives values of type {array.dtype}, which are classes and no probabilities",
            fix="save a model that gives probabilities",
        )
    if array.ndim == 1 or array.shape[1:] == (1,):
        return array.reshape(-1)
    if array.ndim != BINARY_CLASSES or array.shape[1] != BINARY_CLASSES:
        raise candidate_error(
            candidate,
            f"it gives an array of shape {array.shape}, which is no probability of two classes",
            fix="save a model that gives one or two columns of probabilities",
        )
    return array[:, positive_column(candidate, _classes(candidate, positive), positive)]


def _classes(candidate: OnnxCandidate | MlflowCandidate, positive: LabelValue) -> Sequence[Any]:
    if candidate.classes:
        return candidate.classes
    if positive in (0, 1):
        return (0, 1)
    raise candidate_error(
        candidate,
        f"it does not say which of its two columns is the positive class {positive!r}",
        fix="list `classes` in the order of the columns",
    )


def check_labels(
    candidate: CandidateBase, labels: np.ndarray, score: np.ndarray, positive: LabelValue
) -> None:
    """Refuse probabilities whose columns are exchanged, by the labels that came with them.

    A label may contradict its probability where the model has a threshold of its own; labels that
    mostly contradict their probabilities mean that the wrong column was taken.
    """
    # As plain Python values: an array of texts is not comparable with a number.
    is_positive = np.array([label == positive for label in labels.tolist()], dtype=bool)
    contradicted = int(((score > 1 / BINARY_CLASSES) & ~is_positive).sum())
    contradicted += int(((score < 1 / BINARY_CLASSES) & is_positive).sum())
    if contradicted * BINARY_CLASSES > len(score):
        raise candidate_error(
            candidate,
            f"its labels contradict its probabilities in {contradicted} of {len(score)} cases",
            fix="list `classes` in the order of the columns of probabilities",
        )
