"""What one candidate would decide from each score on, and how often what it gives is so."""

import numpy as np
import pandas as pd

from evaluator.evaluation._cases import (
    WEIGHT,
    EvaluatedCases,
    FloatArray,
    IntArray,
    dependence_columns,
    with_dependence,
)
from evaluator.metrics import slice_metrics
from evaluator.spec import AuditSpec, CandidateSpec

POINTS_A_CLASS = 50
"""So many thresholds are looked at along each of the two classes: steps of two hundredths."""
BINS = 20
"""Scores are counted in so many bins of equal width."""


def operating_points(
    spec: AuditSpec,
    candidate: CandidateSpec,
    cases: EvaluatedCases,
    predictions: pd.DataFrame,
    row_positions: IntArray,
) -> pd.DataFrame:
    """Count what a candidate gets right and wrong, as it decides and from each of many scores on.

    Parameters
    ----------
    spec
        The audit.
    candidate
        Where it gives decisions and no scores, these alone are counted.
    cases
        The evaluation set.
    predictions
        `label`, `score` and `prediction`, one row a case.
    row_positions
        The rows' cases in the evaluation set.

    Returns
    -------
    pandas.DataFrame
        As `evaluator.scorecard.OperatingPoint`, without the candidate: point 0 is as it decides,
        the others are thresholds that rise. Each class has as many cases between two of them.
    """
    labels = predictions["label"].to_numpy() == 1
    weights = cases.dependence(row_positions).get(WEIGHT)
    weight = np.ones(len(labels)) if weights is None else weights.to_numpy()
    decided = predictions["prediction"].to_numpy() == 1
    rows = [_counts(0, None, decided, labels, weight)]
    if spec.asks.gives_scores(candidate):
        scores = predictions["score"].to_numpy(dtype=np.float64)
        rows += [
            _counts(number, threshold, scores >= threshold, labels, weight)
            for number, threshold in enumerate(_thresholds(scores, labels), 1)
        ]
    return pd.DataFrame(rows)


def _thresholds(scores: FloatArray, labels: "np.ndarray") -> list[float]:
    """Choose scores that stand at equal distances among those of each class, the least one too."""
    chosen: set[float] = set()
    for is_class in (labels, ~labels):
        ordered = np.sort(scores[is_class])
        if len(ordered):
            at = np.linspace(0, len(ordered) - 1, POINTS_A_CLASS).round().astype(int)
            chosen.update(ordered[at].tolist())
    return sorted(chosen)


def _counts(
    point: int,
    threshold: float | None,
    decided: "np.ndarray",
    labels: "np.ndarray",
    weight: FloatArray,
) -> dict[str, float | None]:
    return {
        "point": point,
        "threshold": threshold,
        "true_positives": float(weight[decided & labels].sum()),
        "false_positives": float(weight[decided & ~labels].sum()),
        "false_negatives": float(weight[~decided & labels].sum()),
        "true_negatives": float(weight[~decided & ~labels].sum()),
    }


def score_bins(
    spec: AuditSpec,
    candidate: CandidateSpec,
    cases: EvaluatedCases,
    predictions: pd.DataFrame,
    row_positions: IntArray,
) -> pd.DataFrame:
    """Count scores by label, and hold them against how often cases with such a score are positive.

    Parameters
    ----------
    spec, candidate, cases, predictions, row_positions
        As for `operating_points`.

    Returns
    -------
    pandas.DataFrame
        As `evaluator.scorecard.ScoreBin`, without the candidate: the bins that have cases, in their
        order; none where there are no scores. The interval is that of the base rate.
    """
    if not spec.asks.gives_scores(candidate):
        return pd.DataFrame()
    frame = with_dependence(cases, predictions[["label", "score"]], row_positions)
    # The last bin is closed.
    frame["bin"] = np.minimum((frame["score"] * BINS).astype(int), BINS - 1)
    measured = slice_metrics(
        # What is asked needs labels alone; they stand for decisions that nobody looks at.
        frame.assign(prediction=frame["label"]),
        label="label",
        prediction="prediction",
        slices=["bin"],
        task=spec.asks.name,
        metrics=["base_rate"],
        groups=None,
        levels=["bin"],
        confidence=spec.confidence,
        **dependence_columns(spec.data),
    )
    weight = frame[WEIGHT] if WEIGHT in frame else pd.Series(1.0, index=frame.index)
    sums = (
        pd.DataFrame(
            {
                "bin": frame["bin"],
                "weight": weight,
                "positives": weight * (frame["label"] == 1),
                "score": weight * frame["score"],
            }
        )
        .groupby("bin")
        .sum()
        .reindex(measured["bin"].astype(int))
    )
    low = measured["bin"].astype(int).to_numpy() / BINS
    return pd.DataFrame(
        {
            "low": low,
            "high": low + 1 / BINS,
            "mean_score": (sums["score"] / sums["weight"]).to_numpy(),
            "positives": sums["positives"].to_numpy(),
            "negatives": (sums["weight"] - sums["positives"]).to_numpy(),
            "rate": measured["value"].to_numpy(),
            "rate_low": measured["low"].to_numpy(),
            "rate_high": measured["high"].to_numpy(),
            "n": measured["n"].to_numpy(),
            "status": measured["status"].to_numpy(),
        }
    ).sort_values("low", ignore_index=True)
