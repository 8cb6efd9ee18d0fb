"""From what a classifier gives to the probability of the positive class."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from evaluator.candidates.faults import fault
from evaluator.spec.audit import LabelValue
from evaluator.spec.candidates import CandidateBase, MlflowCandidate, OnnxCandidate

TWO = 2


def positive_column(candidate: CandidateBase, classes: Sequence[Any], positive: LabelValue) -> int:
    """Find the positive class among the two of a classifier.

    Raises
    ------
    CandidateError
        Where there are not two classes, or the positive value is not one of them.
    """
    # A label that is read as True may have been 1 in training, and the reverse.
    if len(classes) == TWO and positive in classes:
        return list(classes).index(positive)
    raise fault(
        candidate,
        f"its classes are {', '.join(map(repr, classes))}, and the positive label is {positive!r}",
        fix="train it on the two values of the label, or correct `label.positive`",
    )


def of_plain_array(
    candidate: OnnxCandidate | MlflowCandidate, array: np.ndarray, positive: LabelValue
) -> np.ndarray:
    """Take the positive class out of an array that does not name its classes.

    Parameters
    ----------
    candidate
        Its `classes` name the columns.
    array
        Shape (n,) or (n, 1), the positive class alone; or (n, 2), both classes.
    positive
        The label's positive value.

    Returns
    -------
    numpy.ndarray
        Shape (n,).

    Raises
    ------
    CandidateError
        Where it is no array of floating-point numbers of these shapes, or nothing says which
        column is the positive class.
    """
    if array.dtype.kind != "f":
        raise fault(
            candidate,
            f"it gives values of type {array.dtype}, which are classes and no probabilities",
            fix="save a model that gives probabilities",
        )
    if array.ndim == 1 or array.shape[1:] == (1,):
        return array.reshape(-1)
    if array.ndim != TWO or array.shape[1] != TWO:
        raise fault(
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
    raise fault(
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
    contradicted = int(((score > 1 / TWO) & ~is_positive).sum())
    contradicted += int(((score < 1 / TWO) & is_positive).sum())
    if contradicted * TWO > len(score):
        raise fault(
            candidate,
            f"its labels contradict its probabilities in {contradicted} of {len(score)} cases",
            fix="list `classes` in the order of the columns of probabilities",
        )
