"""What is looked at of one candidate beside its figures, as far as the audit's task asks for it."""

from collections.abc import Callable, Mapping
from typing import Any, Final

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
from evaluator.metrics import confusion, slice_metrics
from evaluator.scorecard import CLASSES, CONFUSION, OPERATING_POINTS, PREDICTED_BINS, SCORE_BINS
from evaluator.spec import AuditSpec, CandidateSpec

POINTS_A_CLASS = 50
"""So many thresholds are looked at along each of the two classes: steps of two hundredths."""
BINS = 20
"""Scores are counted in so many bins of equal width, predicted numbers in as many of equal size."""
FEWEST = 40
"""A bin of predicted numbers has about so many cases: 5 per cent of them are two."""
RESIDUALS = (5, 25, 50, 75, 95)
"""The quantiles of residuals, in per cent."""
PER_CLASS = ("class_recall", "class_precision", "class_f1", "class_share")


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
    frame = with_dependence(cases, spec.asks.claims(predictions), row_positions)
    frame = frame[frame["score"].notna()]
    if frame.empty:
        return pd.DataFrame()
    # The last bin is closed.
    frame = frame.assign(bin=np.minimum((frame["score"] * BINS).astype(int), BINS - 1))
    measured = slice_metrics(
        # What is asked needs labels alone; they stand for decisions that nobody looks at.
        frame.assign(prediction=frame["label"]),
        label="label",
        prediction="prediction",
        slices=["bin"],
        task="binary_classification",
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


def confusions(
    spec: AuditSpec,
    candidate: CandidateSpec,
    cases: EvaluatedCases,
    predictions: pd.DataFrame,
    row_positions: IntArray,
) -> pd.DataFrame:
    """Count the cases of every class by what they were taken for.

    Parameters
    ----------
    spec, candidate, cases, predictions, row_positions
        As for `operating_points`.

    Returns
    -------
    pandas.DataFrame
        As `evaluator.scorecard.Confusion`, without the candidate: by label and prediction in the
        order of the classes, abstentions last, without pairs that have no cases.
    """
    frame, columns = _answers(spec, candidate, cases, predictions, row_positions)
    found = confusion(frame, **columns, confidence=spec.confidence, **dependence_columns(spec.data))
    sizes = frame.value_counts(["label", "prediction"], dropna=False).rename("n").reset_index()
    together = found.merge(sizes, on=["label", "prediction"])
    return together.rename(columns={"prediction": "predicted"})


def class_figures(
    spec: AuditSpec,
    candidate: CandidateSpec,
    cases: EvaluatedCases,
    predictions: pd.DataFrame,
    row_positions: IntArray,
) -> pd.DataFrame:
    """Measure every class by itself, over all cases.

    Parameters
    ----------
    spec, candidate, cases, predictions, row_positions
        As for `operating_points`.

    Returns
    -------
    pandas.DataFrame
        As `evaluator.scorecard.ClassFigure`, without the candidate: by metric, in the order of the
        classes.
    """
    frame, columns = _answers(spec, candidate, cases, predictions, row_positions)
    measured = slice_metrics(
        frame.assign(all=0),
        **columns,
        slices=["all"],
        task=spec.asks.name,
        metrics=PER_CLASS,
        levels=["overall"],
        confidence=spec.confidence,
        **dependence_columns(spec.data),
    )
    labelled, predicted = (frame[name].value_counts() for name in ("label", "prediction"))
    right = frame.loc[frame["label"] == frame["prediction"], "label"].value_counts()
    either = labelled.add(predicted, fill_value=0).sub(right, fill_value=0)
    among = {"class_recall": labelled, "class_precision": predicted, "class_f1": either}
    return measured.assign(
        n=[
            among[metric].get(name, 0) if metric in among else len(frame)
            for metric, name in zip(measured["metric"], measured["class"], strict=True)
        ]
    )


def _answers(
    spec: AuditSpec,
    candidate: CandidateSpec,
    cases: EvaluatedCases,
    predictions: pd.DataFrame,
    row_positions: IntArray,
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Give labels and answers alone, and what functions of the metrics are told of them."""
    frame = with_dependence(cases, predictions[["label", "prediction"]], row_positions)
    columns = spec.asks.metric_columns(candidate)
    return frame, {name: one for name, one in columns.items() if name != "score"}


def predicted_bins(
    spec: AuditSpec,
    _candidate: CandidateSpec,
    cases: EvaluatedCases,
    predictions: pd.DataFrame,
    row_positions: IntArray,
) -> pd.DataFrame:
    """Hold predicted numbers against what is true of the cases that have such a number.

    Parameters
    ----------
    spec, cases, predictions, row_positions
        As for `operating_points`.

    Returns
    -------
    pandas.DataFrame
        As `evaluator.scorecard.PredictedBin`, without the candidate: at most `BINS` of equally many
        cases, but that equal numbers stay together.
    """
    frame = with_dependence(cases, predictions[["label", "prediction"]], row_positions)
    if frame.empty:
        return pd.DataFrame()
    predicted = frame["prediction"].to_numpy()
    many = min(max(len(frame) // FEWEST, 1), BINS)
    ends = np.quantile(predicted, np.linspace(0, 1, many + 1)[1:], method="inverted_cdf")
    frame["bin"] = np.searchsorted(np.unique(ends), predicted)
    measured = slice_metrics(
        # The bias of what is true as a prediction of nothing is its mean.
        frame.assign(prediction=frame["label"], label=0.0),
        label="label",
        prediction="prediction",
        slices=["bin"],
        task=spec.asks.name,
        metrics=["bias"],
        levels=["bin"],
        confidence=spec.confidence,
        **dependence_columns(spec.data),
    ).set_index("bin")
    rows = []
    for number, own in frame.groupby("bin"):
        weight = own.get(WEIGHT)
        actual = measured.loc[number]
        residuals = np.quantile(
            own["prediction"] - own["label"],
            np.divide(RESIDUALS, 100),
            weights=weight,
            method="inverted_cdf",
        )
        rows.append(
            {
                "low": own["prediction"].min(),
                "high": own["prediction"].max(),
                "mean_predicted": np.average(own["prediction"], weights=weight),
                "mean_actual": actual["value"],
                "actual_low": actual["low"],
                "actual_high": actual["high"],
                **{
                    f"residual_{share}": one
                    for share, one in zip(RESIDUALS, residuals, strict=True)
                },
                "n": len(own),
                "status": actual["status"],
            }
        )
    return pd.DataFrame(rows)


Picture = Callable[[AuditSpec, CandidateSpec, EvaluatedCases, pd.DataFrame, IntArray], pd.DataFrame]
PICTURES: Final[Mapping[str, tuple[str, Picture]]] = {
    OPERATING_POINTS: ("a count of what is right and wrong", operating_points),
    SCORE_BINS: ("a look at the scores", score_bins),
    CONFUSION: ("a count of what is taken for what", confusions),
    CLASSES: ("a look at the single classes", class_figures),
    PREDICTED_BINS: ("a look at the residuals", predicted_bins),
}
"""What a task may ask for beside the figures, by its table, and what it is called."""
