"""A scikit-learn classifier in memory, wherever it was read from."""

from typing import Any

import numpy as np
import pandas as pd

from evaluator.candidates.columns import check_count, check_names, explain
from evaluator.candidates.faults import fault
from evaluator.candidates.one_thread import in_one_thread, keep_to_one_thread
from evaluator.candidates.probabilities import TWO, positive_column
from evaluator.spec.audit import LabelValue
from evaluator.spec.candidates import FeatureCandidate


class EstimatorScorer:
    """A classifier with `predict_proba`.

    Parameters
    ----------
    candidate
        What the YAML says of it.
    estimator
        The fitted classifier.
    positive
        The label's positive value, to find the class whose probability is the score.

    Raises
    ------
    CandidateError
        Where it gives no probabilities, was never fitted, has other classes than the label, or
        was trained on other columns than the declared ones.
    """

    def __init__(self, candidate: FeatureCandidate, estimator: Any, positive: LabelValue) -> None:
        if not hasattr(estimator, "predict_proba"):
            raise fault(
                candidate,
                f"its {type(estimator).__name__} has no predict_proba, so it gives no scores",
                fix="save a classifier that gives probabilities",
            )
        if not hasattr(estimator, "classes_"):
            raise fault(
                candidate,
                f"its {type(estimator).__name__} was never fitted, so it knows no classes",
                fix="fit it before it is saved",
            )
        # As plain Python values, which an error can name.
        classes = np.asarray(estimator.classes_).tolist()
        self._column = positive_column(candidate, classes, positive)
        names = getattr(estimator, "feature_names_in_", None)
        count = getattr(estimator, "n_features_in_", None)
        if names is not None:
            check_names(candidate, [str(name) for name in names])
        elif count is not None:
            check_count(candidate, int(count))
        keep_to_one_thread(estimator)
        self._estimator = estimator
        self._candidate = candidate

    def score(self, features: pd.DataFrame) -> np.ndarray:
        """Return the probability of the positive class, shape (n,)."""
        try:
            with in_one_thread():
                given = np.asarray(self._estimator.predict_proba(features))
        except (TypeError, ValueError) as error:
            explained = explain(self._candidate, features, error)
            if explained is None:
                raise
            raise explained from error
        if given.ndim != TWO or given.shape[1] != TWO:
            raise fault(
                self._candidate,
                f"it gave probabilities of shape {given.shape} for {len(features)} cases",
                fix="make it return one column for each of its two classes",
            )
        return given[:, self._column]
