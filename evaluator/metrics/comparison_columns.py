"""Where the candidates' labels, scores and predictions stand, and the differences they make."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from evaluator.metrics.checks import MetricsInputError, numbers
from evaluator.metrics.levels import IntArray, Slicing
from evaluator.metrics.linear import Sample
from evaluator.metrics.paired import Difference
from evaluator.metrics.paired_binary import SUPPORTED as BINARY
from evaluator.metrics.paired_binary import BinaryCases, Pair
from evaluator.metrics.paired_clustered import compare_clustered
from evaluator.metrics.paired_tasks import (
    MULTICLASS,
    REGRESSION,
    compare_levels,
    measure_multiclass,
    measure_regression,
)
from evaluator.metrics.registry import Task
from evaluator.metrics.rows import binary_rows, chosen, multiclass_rows

Scores = Mapping[str, str] | Mapping[str, Mapping[Any, str]]
_SUPPORTED: Mapping[Task, Sequence[str]] = {
    "binary_classification": BINARY,
    "multiclass_classification": tuple(MULTICLASS),
    "regression": tuple(REGRESSION),
}


@dataclass(frozen=True)
class Columns:
    """Where label, scores and predictions stand, and what they mean.

    Parameters
    ----------
    label, scores, predictions, task
        As in `comparison.compare_candidates`.
    """

    label: str
    scores: Scores
    predictions: Mapping[str, str]
    task: Task

    def __post_init__(self) -> None:
        nested = self.task == "multiclass_classification"
        for name, score in self.scores.items():
            if isinstance(score, Mapping) != nested:
                raise MetricsInputError(
                    f"scores of {name!r} must be a column, or, for a multiclass classifier, a "
                    f"mapping from each class to its column; for {self.task} they are {score!r}"
                )

    def column_of(self, name: str) -> str | None:
        """Give the one score column of a candidate, if it has one."""
        found = self.scores.get(name)
        return found if isinstance(found, str) else None

    def class_columns_of(self, name: str) -> Mapping[Any, str] | None:
        """Give the score columns of a multiclass candidate, by class, if it has some."""
        found = self.scores.get(name)
        return None if isinstance(found, str) else found


def chosen_metrics(
    metrics: Sequence[str] | None, candidates: list[str], columns: Columns
) -> list[str]:
    """Check the names of metrics; without any, take all that every candidate permits.

    Raises
    ------
    MetricsInputError
        If a metric does not exist, lacks a column of some candidate, or has no paired test.
    """
    task = columns.task
    scored = all(name in columns.scores for name in candidates)
    decided = task != "regression" or all(name in columns.predictions for name in candidates)
    names = chosen(metrics, task, scored=scored, decided=decided)
    without = [name for name in names if name not in _SUPPORTED[task]]
    if metrics is not None and without:
        known = ", ".join(_SUPPORTED[task])
        raise MetricsInputError(f"there is no paired test for {without}; there are {known}")
    return [name for name in names if name not in without]


def differences(
    frame: pd.DataFrame,
    columns: Columns,
    slicing: Slicing,
    pairs: list[Pair],
    metrics: list[str],
    *,
    error: float,
    clusters: IntArray | None,
) -> dict[Pair, dict[str, Difference]]:
    """Measure the differences of all pairs, in all groups of all levels.

    Parameters
    ----------
    frame, columns
        The cases.
    slicing
        The levels.
    pairs, metrics
        What to compare.
    error
        Error probability that decides how many discordant cases are too few.
    clusters
        Each row's cluster, or None.
    """
    if columns.task == "binary_classification":
        return _binary(frame, columns, slicing, pairs, metrics, error=error, clusters=clusters)
    names = sorted({name for pair in pairs for name in pair})
    samples = [
        Sample(level.group_of_cell[slicing.cell], level.groups, None, clusters)
        for level in slicing.levels
    ]
    if columns.task == "regression":
        truth = numbers(frame, columns.label)
        predicted = {name: numbers(frame, columns.predictions[name]) for name in names}
        measure = measure_regression(truth, predicted, 1 - error)
        rules = {metric: REGRESSION[metric] for metric in metrics}
    else:
        classes = {
            name: multiclass_rows(
                frame,
                metrics,
                label=columns.label,
                score=columns.class_columns_of(name),
                prediction=columns.predictions.get(name),
            )
            for name in names
        }
        measure = measure_multiclass(classes, 1 - error)
        rules = {metric: MULTICLASS[metric] for metric in metrics}
    return compare_levels(samples, measure, pairs, rules, error)


def _binary(
    frame: pd.DataFrame,
    columns: Columns,
    slicing: Slicing,
    pairs: list[Pair],
    metrics: list[str],
    *,
    error: float,
    clusters: IntArray | None,
) -> dict[Pair, dict[str, Difference]]:
    names = sorted({name for pair in pairs for name in pair})
    rows = {
        name: binary_rows(
            frame,
            slicing,
            metrics,
            label=columns.label,
            score=columns.column_of(name),
            prediction=columns.predictions.get(name),
        )
        for name in names
    }
    cases = BinaryCases(
        rows[names[0]].label,
        {name: one.prediction for name, one in rows.items()},
        {name: one.score for name, one in rows.items() if one.score is not None},
        slicing,
        error,
    )
    if clusters is None:
        return cases.compare(pairs, metrics)
    return compare_clustered(cases, clusters, pairs, metrics)
