"""A candidate's predictions for a frame of cases, checked before anybody rests on them."""

import numpy as np
import pandas as pd

from evaluator.candidates.evaluation_set import SLICE_COLUMNS, data_columns
from evaluator.candidates.faults import fault
from evaluator.candidates.scorer import Decider, Scorer
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
        are no numbers, missing, infinite or no probabilities. It names candidate and slice.
    """
    decided = None
    if len(cases):
        try:
            score = np.asarray(scorer.score(_features(candidate, cases)))
            _check(candidate, score, cases)
            if isinstance(scorer, Decider):
                decided = scorer.decide(_features(candidate, cases))
        except CandidateError as error:
            culprit = f"{error.culprit}{_slice_of(cases)}"
            raise type(error)(error.what, culprit=culprit, fix=error.fix) from error
    else:
        # Many an estimator refuses an empty frame, and there is nothing to ask it.
        score = np.empty(0)
    # The prediction follows from the score as it is stored: in 32 bits, 0.7 is below 0.7.
    score = score.astype(np.float64)
    prediction = score >= candidate.threshold if decided is None else decided
    return pd.DataFrame(
        {
            "id": cases["id"].to_numpy(),
            "label": cases["label"].to_numpy(dtype=np.int8),
            "score": score,
            "prediction": prediction.astype(np.int8),
        }
    )


def _features(candidate: CandidateSpec, cases: pd.DataFrame) -> pd.DataFrame:
    """Take the declared features under the cases' ids; a copy, which a candidate may spoil."""
    features = data_columns(cases, candidate.features).copy()
    return features.set_axis(pd.Index(cases["id"], name="id"), axis="index")


def _slice_of(cases: pd.DataFrame) -> str:
    """Name the slice that all these cases are of, if they are of one."""
    values = [cases[name].unique() for name in SLICE_COLUMNS if name in cases]
    is_one = len(values) == len(SLICE_COLUMNS) and all(len(found) == 1 for found in values)
    return f", slice {'|'.join(str(found[0]) for found in values)}" if is_one else ""


def _check(candidate: CandidateSpec, score: np.ndarray, cases: pd.DataFrame) -> None:
    if score.shape != (len(cases),):
        raise fault(
            candidate,
            f"it gave scores of shape {score.shape} for {len(cases)} cases",
            fix="make it return one score for each case it is given",
        )
    if score.dtype.kind not in "biuf":
        raise fault(
            candidate,
            f"it gave scores of type {score.dtype}, not numbers",
            fix="make it return finite scores from 0 to 1",
        )
    wrong = ~np.isfinite(score) | (score < 0) | (score > 1)
    if wrong.any():
        examples = ", ".join(
            f"{case} -> {value}"
            for case, value in zip(cases["id"][wrong][:3], score[wrong][:3], strict=True)
        )
        raise fault(
            candidate,
            f"{int(wrong.sum())} of its {len(cases)} scores are no probabilities ({examples})",
            fix="make it return finite scores from 0 to 1",
        )
