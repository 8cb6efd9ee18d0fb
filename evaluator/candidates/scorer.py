"""From a candidate's artifact to a score for each case."""

from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pandas as pd

from evaluator.candidates.artifact import existing_artifact
from evaluator.errors import CandidateError
from evaluator.spec.audit import LabelValue
from evaluator.spec.candidates import CandidateSpec


class Scorer(Protocol):
    """What every kind of candidate gives: a score a case, in the order of the cases."""

    def score(self, features: pd.DataFrame) -> np.ndarray:
        """Return the probability of the positive class, shape (n,), for n cases."""
        ...


def load_scorer(candidate: CandidateSpec, home: Path, *, positive: LabelValue) -> Scorer:
    """Read a candidate's artifact.

    Parameters
    ----------
    candidate
        What the YAML says of it.
    home
        Where relative paths start.
    positive
        The label's positive value, to find the class whose probability is the score.

    Raises
    ------
    CandidateError
        Where the artifact is absent, holds types that are not trusted, or cannot score.
    """
    return _SkopsScorer(candidate, _read_skops(candidate, home), positive)


class _SkopsScorer:
    """A scikit-learn classifier."""

    def __init__(self, candidate: CandidateSpec, estimator: Any, positive: LabelValue) -> None:
        if not hasattr(estimator, "predict_proba"):
            raise CandidateError(
                f"its {type(estimator).__name__} has no predict_proba, so it gives no scores",
                culprit=f"candidate {candidate.name}",
                fix="save a classifier that gives probabilities",
            )
        if not hasattr(estimator, "classes_"):
            raise CandidateError(
                f"its {type(estimator).__name__} was never fitted, so it knows no classes",
                culprit=f"candidate {candidate.name}",
                fix="fit it before it is saved",
            )
        self._estimator = estimator
        # As plain Python values, which an error can name.
        self._column = _positive_column(
            candidate, np.asarray(estimator.classes_).tolist(), positive
        )

    def score(self, features: pd.DataFrame) -> np.ndarray:
        return np.asarray(self._estimator.predict_proba(features))[:, self._column]


def _read_skops(candidate: CandidateSpec, home: Path) -> Any:
    import skops.io
    from skops.io.exceptions import UntrustedTypesFoundException

    path = existing_artifact(candidate, home)
    try:
        return skops.io.load(path, trusted=list(candidate.trusted_types))
    except UntrustedTypesFoundException:
        unknown = sorted(
            set(skops.io.get_untrusted_types(file=path)) - set(candidate.trusted_types)
        )
        raise CandidateError(
            f"its artifact holds types that are not trusted: {', '.join(unknown)}",
            culprit=f"candidate {candidate.name}",
            fix="if you trust them, list them under `trusted_types` in the audit's YAML",
        ) from None
    except Exception as error:
        raise CandidateError(
            f"its artifact {path} cannot be read as skops ({type(error).__name__}: {error})",
            culprit=f"candidate {candidate.name}",
            fix="save the model again with skops.io.dump and the installed scikit-learn",
        ) from error


def _positive_column(candidate: CandidateSpec, classes: list[Any], positive: LabelValue) -> int:
    # A label that is read as True may have been 1 in training, and the reverse.
    if len(classes) == 2 and positive in classes:  # noqa: PLR2004 - a binary classifier
        return classes.index(positive)
    raise CandidateError(
        f"its classes are {', '.join(map(repr, classes))}, and the positive label is {positive!r}",
        culprit=f"candidate {candidate.name}",
        fix="train it on the two values of the label, or correct `label.positive`",
    )
