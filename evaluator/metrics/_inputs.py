"""From a frame's columns to the arrays that are measured."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evaluator.metrics._calibration import log_odds, sum_bins
from evaluator.metrics._catalogue import METRICS, Task
from evaluator.metrics._checks import (
    MetricsInputError,
    column,
    complete,
    factorised,
    numbers,
    positives,
    refuse_outside_unit,
    refuse_rows,
)
from evaluator.metrics._estimates import BoolArray, FloatArray, LevelMetric
from evaluator.metrics._levels import IntArray, Slicing
from evaluator.metrics._linear import SurveyDesign
from evaluator.metrics._multiclass import (
    ABSTAINED,
    MULTICLASS,
    MulticlassGroups,
    MulticlassLevel,
    MulticlassRows,
)
from evaluator.metrics._ranking import RankedRows
from evaluator.metrics._rankings import RANKING, RankingLevel, ranking_rows
from evaluator.metrics._regression import (
    REGRESSION,
    RegressionGroups,
    RegressionLevel,
    RegressionRows,
)

_SUM_TOLERANCE = 1e-6
LEVEL_METRICS: Mapping[Task, Mapping[str, LevelMetric[Any]]] = {
    "multiclass_classification": MULTICLASS,
    "ranking": RANKING,
    "regression": REGRESSION,
}
"""By task, the metrics that are measured from the rows of one level."""
UNSCORED: frozenset[Task] = frozenset({"ranking", "regression"})
"""The tasks that have no scores, so that nothing but predictions says what a candidate gave."""


@dataclass(frozen=True)
class TaskOptions:
    """What a task is told beside its columns, as `slice_metrics` has it."""

    task: Task
    classes: Sequence[Any] | None = None
    abstains: bool = False
    tolerance: float | None = None
    limits_level: float = 0.9

    def __post_init__(self) -> None:
        tasks = sorted({task for info in METRICS.values() for task in info.tasks})
        if self.task not in tasks:
            raise MetricsInputError(f"task must be one of {tasks}, not {self.task!r}")
        for name in ("classes", "abstains"):
            if self.give(name) and self.task != "multiclass_classification":
                raise MetricsInputError(
                    f"`{name}` is for multiclass_classification, not {self.task}"
                )
        if self.give("tolerance") and self.task != "regression":
            raise MetricsInputError(f"`tolerance` is for regression, not {self.task}")
        if self.tolerance is not None and not 0 <= self.tolerance < np.inf:
            raise MetricsInputError(f"tolerance must be 0 or more, not {self.tolerance}")
        if not 0 < self.limits_level < 1:
            raise MetricsInputError(
                f"limits_level must be between 0 and 1, not {self.limits_level}"
            )

    def give(self, option: str | None) -> bool:
        """Say whether an option is given that a metric may need."""
        given = None if option is None else getattr(self, option)
        return option is None or (given is not None and given is not False)


@dataclass(frozen=True)
class BinaryRows:
    """The rows of one candidate; arrays of shape (rows,)."""

    label: BoolArray
    prediction: BoolArray
    score: FloatArray | None
    slicing: Slicing

    @cached_property
    def counts(self) -> NDArray[np.int64]:
        """Cases by cell, label and prediction, shape (cells, 2, 2)."""
        code = self.slicing.cell * 4 + self.label * 2 + self.prediction
        return np.bincount(code, minlength=self.slicing.cells * 4).reshape(-1, 2, 2)

    @property
    def scores(self) -> FloatArray:
        """The scores; metrics of the score are only asked for where there are some."""
        if self.score is None:
            raise MetricsInputError("this metric needs a score column")
        return self.score

    @cached_property
    def ranked(self) -> RankedRows:
        """The rows ready for sorting."""
        return RankedRows(self.scores, self.label, self.slicing)

    @property
    def surprising(self) -> BoolArray:
        """Which labels were held less probable than not, shape (rows,)."""
        return (self.scores >= 0.5) ^ self.label  # noqa: PLR2004 - an even chance

    @cached_property
    def surprises(self) -> FloatArray:
        """Number of surprising labels by cell, shape (cells,)."""
        cells = self.slicing.cells
        return np.bincount(self.slicing.cell, self.surprising, minlength=cells).astype(float)

    @cached_property
    def bins(self) -> FloatArray:
        """Cases, summed scores and positives by cell and bin, shape (cells, bins, 3)."""
        of_rows = (None, self.scores, self.label)
        return sum_bins(self.slicing.cell, self.slicing.cells, self.scores, of_rows)

    @cached_property
    def log_odds(self) -> FloatArray:
        """Log-odds of the scores, shape (rows,)."""
        return log_odds(self.scores)


def select_metrics(
    metrics: Sequence[str] | None,
    options: TaskOptions,
    *,
    scored: bool,
    decided: bool,
    limited: bool,
) -> list[str]:
    """Check the names of metrics; without any, take all that columns and options permit."""
    task = options.task
    there = {"label": True, "score": scored, "prediction": decided, "limits": limited}
    of_task = [info for info in METRICS.values() if task in info.tasks]
    if metrics is None:
        return [
            info.name
            for info in of_task
            if there[info.needs] and options.give(info.option) and not info.per_class
        ]
    names = [metrics] if isinstance(metrics, str) else list(metrics)
    for name in names:
        if name not in METRICS or task not in METRICS[name].tasks:
            known = ", ".join(info.name for info in of_task)
            raise MetricsInputError(f"there is no metric {name!r} for {task}; there are {known}")
        if not there[METRICS[name].needs]:
            needs = METRICS[name].needs
            columns = "limits columns" if needs == "limits" else f"a {needs} column"
            raise MetricsInputError(f"metric {name!r} needs {columns}")
        if not options.give(METRICS[name].option):
            raise MetricsInputError(f"metric {name!r} needs `{METRICS[name].option}` to be given")
    if not names or len(set(names)) < len(names):
        raise MetricsInputError(f"metrics must be one or more different names, not {names}")
    return names


def binary_rows(
    frame: pd.DataFrame,
    slicing: Slicing,
    metrics: Sequence[str],
    *,
    label: str,
    score: str | None,
    prediction: str | None,
) -> BinaryRows:
    """Read a binary classifier's columns; without predictions a score from 0.5 on is positive."""
    truth, negative = positives(frame, label)
    values = None
    decided = np.zeros(len(truth), dtype=bool)
    if score is not None:
        values = numbers(frame, score)
        needing = [name for name in metrics if METRICS[name].probability]
        if needing:
            refuse_outside_unit(values, score, needing)
        decided = values >= 0.5  # noqa: PLR2004 - an even chance
    if prediction is not None:
        decided, _ = positives(frame, prediction, negative)
    return BinaryRows(truth, decided, values, slicing)


def multiclass_rows(
    frame: pd.DataFrame,
    metrics: Sequence[str],
    *,
    label: str,
    score: Mapping[Any, str] | None,
    prediction: str | None,
    options: TaskOptions,
) -> MulticlassRows:
    """Read a multiclass classifier's columns; without predictions take the highest score.

    Where it may abstain, what is missing among the predictions is no class, and has the number -1.

    The classes are those that are declared or have a score column, or else those that occur.
    """
    truth = complete(frame, label)
    read, declared = column if options.abstains else complete, options.classes
    decision = None if prediction is None else read(frame, prediction)
    if declared is not None:
        classes = _declared_classes(declared, score)
        score = None if score is None else {value: score[value] for value in classes}
    elif score is not None:
        classes = list(score)
    else:
        columns = [truth] if decision is None else [truth, decision]
        seen = pd.concat([pd.Series(values.unique()) for values in columns])
        # Reasons show 2, not numpy's way of writing it.
        values = (
            one.item() if isinstance(one, np.generic) else one for one in seen.dropna().unique()
        )
        classes = sorted(values, key=lambda value: (str(type(value)), value))
    if len(classes) < 2:  # noqa: PLR2004 - a classifier decides between at least two
        raise MetricsInputError(f"there must be two or more classes, not {classes}")
    scores = None if score is None else _probabilities(frame, score, metrics)
    numbered = _class_numbers(truth, classes, label)
    if decision is not None and prediction is not None:
        decided = _class_numbers(decision, classes, prediction)
    elif scores is not None:
        decided = scores.argmax(axis=1)
    else:
        raise MetricsInputError("give score columns, a prediction column, or both")
    known = declared is not None or score is not None
    possible = range(len(classes)) if known else np.unique(numbered).tolist()
    return MulticlassRows(
        tuple(classes), numbered, decided, scores, tuple(possible), declared is not None
    )


def _declared_classes(declared: Sequence[Any], score: Mapping[Any, str] | None) -> list[Any]:
    classes = list(declared)
    if len(set(classes)) < len(classes):
        raise MetricsInputError(f"classes are declared twice: {classes}")
    if score is not None and set(score) != set(classes):
        raise MetricsInputError(f"there are scores of {list(score)}, but the classes are {classes}")
    return classes


class LevelReader(NamedTuple):
    """Gives what the metrics of a task measure."""

    level: Callable[[SurveyDesign], Any]
    # All levels at once, where cases are independent and of one weight; None where each is read.
    levels: Callable[[Slicing], Any] | None = None


def level_reader(
    frame: pd.DataFrame,
    metrics: Sequence[str],
    confidence: float,
    *,
    options: TaskOptions,
    label: str,
    score: str | Mapping[Any, str] | None,
    prediction: str | None,
    limits: tuple[str, str] | None,
) -> LevelReader:
    """Read the columns of a task whose metrics are `LEVEL_METRICS`."""
    if options.task == "regression":
        regression = RegressionRows(
            numbers(frame, label),
            numbers(frame, str(prediction)),
            options.tolerance,
            None if limits is None else _limits(frame, limits),
            options.limits_level,
        )
        return LevelReader(
            lambda design: RegressionLevel(regression, design, confidence),
            lambda slicing: RegressionGroups(regression, slicing, confidence),
        )
    if options.task == "ranking":
        rankings = ranking_rows(frame, label, str(prediction))
        return LevelReader(lambda design: RankingLevel(rankings, design, confidence))
    scores = score if isinstance(score, Mapping) else None
    rows = multiclass_rows(
        frame, metrics, label=label, score=scores, prediction=prediction, options=options
    )
    return LevelReader(
        lambda design: MulticlassLevel(rows, design, confidence),
        lambda slicing: MulticlassGroups(rows, slicing, confidence),
    )


@dataclass(frozen=True)
class Survey:
    """How cases came about; arrays of shape (rows,)."""

    # None where all are equal.
    weight: FloatArray | None
    # The number of each row's cluster; None where no two rows share one.
    cluster: IntArray | None

    @property
    def plain(self) -> bool:
        """Whether the rows are independent cases of one weight."""
        return self.weight is None and self.cluster is None


def read_survey(
    frame: pd.DataFrame, weight: str | None, cluster: str | None
) -> tuple[pd.DataFrame, Survey]:
    """Read weights and clusters, and give the frame without the rows of no weight."""
    counts, survey = survey_of(frame, weight, cluster)
    return frame if counts.all() else frame[counts].reset_index(drop=True), survey


def survey_of(
    frame: pd.DataFrame, weight: str | None, cluster: str | None
) -> tuple[BoolArray, Survey]:
    """Say which rows have weight, shape (rows,), and read the weights and clusters of these.

    Equal weights are no weights, and clusters of one row each are no clusters.
    """
    counts: BoolArray = np.ones(len(frame), dtype=bool)
    weights = None
    if weight is not None:
        weights = weights_of(frame, weight)
        counts = weights > 0
        weights = weights[counts]
        if len(weights) == 0 or weights.min() == weights.max():
            weights = None
    numbered = None
    if cluster is not None:
        rows = frame if counts.all() else frame[counts]
        codes, different = pd.factorize(complete(rows, cluster))
        numbered = codes.astype(np.intp) if len(different) < len(codes) else None
    return counts, Survey(weights, numbered)


def weights_of(frame: pd.DataFrame, name: str) -> FloatArray:
    """Read weights, which must not be negative."""
    values = numbers(frame, name)
    refuse_rows(values < 0, f"weight column {name!r} is negative")
    return values


def _limits(frame: pd.DataFrame, limits: tuple[str, str]) -> tuple[FloatArray, FloatArray]:
    low, high = (numbers(frame, name) for name in limits)
    refuse_rows(low > high, f"column {limits[0]!r} is above column {limits[1]!r}")
    return low, high


def _class_numbers(values: "pd.Series[Any]", classes: list[Any], name: str) -> IntArray:
    """Give the numbers of the classes; of what is missing it is `ABSTAINED`."""
    codes, different = factorised(values)
    number = pd.Index(classes).get_indexer(pd.Index(different))
    unknown = np.append(number < 0, False)
    if unknown.any():
        refuse_rows(unknown[codes], f"column {name!r} is none of the classes {classes}")
    # The code of what is missing is -1, which is the last position.
    numbered: IntArray = np.append(number, ABSTAINED)[codes]
    return numbered


def _probabilities(
    frame: pd.DataFrame, score: Mapping[Any, str], metrics: Sequence[str]
) -> FloatArray:
    # Each column lies together: classes are gone through one by one.
    scores = np.stack([numbers(frame, name) for name in score.values()])
    needing = [name for name in metrics if METRICS[name].probability]
    if needing:
        for values, name in zip(scores, score.values(), strict=True):
            refuse_outside_unit(values, name, needing)
        refuse_rows(
            np.abs(scores.sum(axis=0) - 1) > _SUM_TOLERANCE,
            f"columns {list(score.values())} do not add up to 1, but {', '.join(needing)} need "
            "probabilities,",
        )
    return scores.T
