"""A candidate's predictions for a frame of cases, checked before anybody rests on them."""

import numpy as np
import pandas as pd

from evaluator.candidates.evaluation_set import data_columns
from evaluator.candidates.scorer import Scorer
from evaluator.errors import CandidateError
from evaluator.spec.candidates import CandidateSpec


def predict(candidate: CandidateSpec, scorer: Scorer, cases: pd.DataFrame) -> pd.DataFrame:
    """Run a candidate on some cases.

    Parameters
    ----------
    candidate
        Its features, in order, and its threshold.
    scorer
        Its artifact, loaded.
    cases
        One row a case of the evaluation set, with its columns; may be empty.

    Returns
    -------
    pandas.DataFrame
        One row a case, in the same order: `id`, `label` (0 or 1), `score` in [0, 1] and
        `prediction` (0 or 1).

    Raises
    ------
    CandidateError
        Where the candidate gave another number of scores than there are cases, or scores that
        are no numbers, missing, infinite or no probabilities.
    """
    if len(cases):
        # A copy, since a candidate may write into what it is given.
        features = data_columns(cases, candidate.features).copy()
        score = np.asarray(scorer.score(features))
        _check(candidate, score, cases)
    else:
        # Many an estimator refuses an empty frame, and there is nothing to ask it.
        score = np.empty(0)
    # The prediction follows from the score as it is stored: in 32 bits, 0.7 is below 0.7.
    score = score.astype(np.float64)
    return pd.DataFrame(
        {
            "id": cases["id"].to_numpy(),
            "label": cases["label"].to_numpy(dtype=np.int8),
            "score": score,
            "prediction": (score >= candidate.threshold).astype(np.int8),
        }
    )


def _check(candidate: CandidateSpec, score: np.ndarray, cases: pd.DataFrame) -> None:
    culprit = f"candidate {candidate.name}"
    if score.shape != (len(cases),):
        raise CandidateError(
            f"it gave scores of shape {score.shape} for {len(cases)} cases",
            culprit=culprit,
            fix="make it return one score for each case it is given",
        )
    if score.dtype.kind not in "biuf":
        raise CandidateError(
            f"it gave scores of type {score.dtype}, not numbers",
            culprit=culprit,
            fix="make it return finite scores from 0 to 1",
        )
    wrong = ~np.isfinite(score) | (score < 0) | (score > 1)
    if wrong.any():
        examples = ", ".join(
            f"{case} -> {value}"
            for case, value in zip(cases["id"][wrong][:3], score[wrong][:3], strict=True)
        )
        raise CandidateError(
            f"{int(wrong.sum())} of its {len(cases)} scores are no probabilities ({examples})",
            culprit=culprit,
            fix="make it return finite scores from 0 to 1",
        )
