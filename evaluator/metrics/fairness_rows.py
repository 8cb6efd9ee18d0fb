"""From a frame's columns to what the groups are compared by."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from evaluator.metrics.checks import MetricsInputError, numbers, positives, refuse_outside_unit
from evaluator.metrics.estimates import FloatArray
from evaluator.metrics.fairness_summaries import Means, Rates, Summary
from evaluator.metrics.levels import IntArray, Level, Slicing, cut
from evaluator.metrics.registry import Task
from evaluator.metrics.rows import multiclass_rows

_MEAN_BOUNDS = (-1.0, 1.0)


@dataclass(frozen=True)
class Counted:
    """What is counted in every cell, or every group, and in every stratum of the control columns.

    Parameters
    ----------
    confusion
        Cases by label and prediction, shape (cells, strata, classes, classes); a regression's
        has one class.
    excess
        Power sums of score minus label, or of prediction minus label for a regression, by class;
        each of shape (cells, strata, 3). A class without scores is absent.
    """

    confusion: FloatArray
    excess: Mapping[int, FloatArray]

    def of(self, level: Level, more: int) -> "Counted":
        """Add up the cells of a level's groups, and append so many groups without cases."""

        def added(of_cells: FloatArray) -> FloatArray:
            of_groups = level.add_up(of_cells)
            empty = np.zeros((more, *of_groups.shape[1:]))
            return np.concatenate([of_groups, empty])

        return Counted(
            added(self.confusion), {number: added(sums) for number, sums in self.excess.items()}
        )

    def parts(self, measure: str, number: int) -> list[Summary]:
        """Give what a measure compares: one quantity, or two for equalised odds.

        Parameters
        ----------
        measure
            Name of the measure.
        number
            The class that counts as positive; measures of all classes ignore it.
        """
        counts = self.confusion
        cases = counts.sum(axis=(2, 3))
        rows = cases.sum(axis=1)
        hits = counts[:, :, number, number]
        labelled, predicted = counts[:, :, number].sum(axis=2), counts[:, :, :, number].sum(axis=2)
        missed, false = labelled - hits, predicted - hits
        if measure in ("calibration_gap", "mean_residual"):
            bounds = _MEAN_BOUNDS if measure == "calibration_gap" else (-np.inf, np.inf)
            return [Means(rows, cases, "cases", self.excess[number], bounds)]
        true_rate = Rates(rows, labelled, "positive labels", hits)
        if measure == "equalised_odds":
            return [true_rate, Rates(rows, cases - labelled, "negative labels", false)]
        right = np.trace(counts, axis1=2, axis2=3)
        return [
            {
                "demographic_parity": Rates(rows, cases, "cases", predicted),
                "equal_opportunity": true_rate,
                "predictive_parity": Rates(rows, predicted, "predicted positives", hits),
                "accuracy_gap": Rates(rows, cases, "cases", right),
                "treatment_equality": Rates(rows, missed + false, "errors", missed, odds=True),
            }[measure]
        ]


@dataclass(frozen=True)
class Read:
    """A frame as fairness is measured on it.

    Parameters
    ----------
    slicing
        The levels of the attributes.
    counted
        What is counted in the cells.
    classes
        The classes that are measured, one against the rest, with their numbers; missing stands
        for the positive class of a binary classifier.
    """

    slicing: Slicing
    counted: Counted
    classes: Sequence[tuple[Any, int]]


def read(
    frame: pd.DataFrame,
    *,
    label: str,
    prediction: str,
    score: str | Mapping[Any, str] | None,
    attributes: Sequence[str],
    control: Sequence[str],
    task: Task,
    groups: Mapping[str, Sequence[Any]] | None,
    scored: bool,
) -> Read:
    """Read and count the rows; but for `scored`, the arguments are those of `fairness`.

    Scores that are not measured (`scored`) need not be probabilities; their columns still declare
    the classes of a multiclass candidate.
    """
    slicing = cut(frame, attributes, groups)
    stratum, strata = np.zeros(len(frame), np.intp), 1
    if len(control):
        controlled = cut(frame, control, None)
        stratum, strata = controlled.cell, max(controlled.cells, 1)
    place = slicing.cell * strata + stratum
    shape = (slicing.cells, strata)
    if task == "regression":
        excess = numbers(frame, prediction) - numbers(frame, label)
        nothing = np.zeros(len(frame), np.intp)
        counted = Counted(
            _confusion(place, shape, nothing, nothing, 1), {0: _power_sums(place, shape, excess)}
        )
        return Read(slicing, counted, [(None, 0)])
    scores: dict[int, FloatArray] = {}
    if task == "binary_classification":
        if isinstance(score, Mapping):
            raise MetricsInputError("score must be the column of the positive class's score")
        truth, negative = positives(frame, label)
        decided, _ = positives(frame, prediction, negative)
        numbered, decisions = truth.astype(np.intp), decided.astype(np.intp)
        classes: list[tuple[Any, int]] = [(None, 1)]
        many = 2
        if scored and score is not None:
            scores[1] = _probability(frame, score)
    else:
        if isinstance(score, str):
            raise MetricsInputError("score must be a mapping from each class to its column")
        found = multiclass_rows(frame, [], label=label, score=score, prediction=prediction)
        numbered, decisions = found.label, found.prediction
        classes = [(value, number) for number, value in enumerate(found.classes)]
        many = len(classes)
        if scored and score is not None:
            scores = {number: _probability(frame, score[value]) for value, number in classes}
    excess_of = {
        number: _power_sums(place, shape, values - (numbered == number))
        for number, values in scores.items()
    }
    return Read(
        slicing, Counted(_confusion(place, shape, numbered, decisions, many), excess_of), classes
    )


def _probability(frame: pd.DataFrame, name: str) -> FloatArray:
    values = numbers(frame, name)
    refuse_outside_unit(values, name, ["calibration_gap"])
    return values


def _confusion(
    place: IntArray, shape: tuple[int, int], label: IntArray, prediction: IntArray, classes: int
) -> FloatArray:
    code = (place * classes + label) * classes + prediction
    size = shape[0] * shape[1] * classes * classes
    counts = np.bincount(code, minlength=size).astype(float)
    return counts.reshape(*shape, classes, classes)


def _power_sums(place: IntArray, shape: tuple[int, int], values: FloatArray) -> FloatArray:
    size = shape[0] * shape[1]
    powers = (values, values**2, values**3)
    sums = [np.bincount(place, power, minlength=size).astype(float) for power in powers]
    stacked: FloatArray = np.stack(sums, axis=-1).reshape(*shape, 3)
    return stacked
