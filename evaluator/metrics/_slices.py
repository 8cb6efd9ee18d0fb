"""The one function that measures: a frame of cases in, a tidy frame of metrics out."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import pandas as pd

from evaluator.metrics import _binary as binary
from evaluator.metrics._catalogue import METRICS, Task
from evaluator.metrics._checks import MetricsInputError
from evaluator.metrics._estimates import measure_levels, to_tidy_frame
from evaluator.metrics._inputs import (
    LEVEL_METRICS,
    UNSCORED,
    TaskOptions,
    binary_rows,
    level_reader,
    read_survey,
    select_metrics,
)
from evaluator.metrics._levels import cut_slices
from evaluator.metrics._linear import SurveyDesign


def slice_metrics(
    frame: pd.DataFrame,
    *,
    label: str,
    score: str | Mapping[Any, str] | None = None,
    prediction: str | None = None,
    slices: Sequence[str],
    task: Task = "binary_classification",
    classes: Sequence[Any] | None = None,
    abstains: bool = False,
    tolerance: float | None = None,
    limits: tuple[str, str] | None = None,
    limits_level: float = 0.9,
    confidence: float = 0.95,
    metrics: Sequence[str] | None = None,
    weight: str | None = None,
    cluster: str | None = None,
    groups: Mapping[str, Sequence[Any]] | None = None,
    levels: Collection[str] | None = None,
) -> pd.DataFrame:
    """Measure a candidate overall, in every slice and in every cross of slices.

    Parameters
    ----------
    frame
        One row a case; it may have no rows. It is not changed.
    label
        Column of the truth; of a binary classifier 1 for the positive class. Of a ranking a case is
        a query, and its truth JSON: grades by item, or a list of items of grade 1.
    score
        Binary: column of the score of the positive class. Multiclass: the column of each
        class's probability, which declares the classes. Regression and ranking have none.
    prediction
        Column of the decision, in the label's values. Without it a binary classifier decides for
        the positive class from a score of 0.5 on, a multiclass one for the highest score. Of a
        ranking a list of items, the best one first, as JSON.
    slices
        One to four columns whose values make the slices.
    task
        "binary_classification", "multiclass_classification", "ranking" or "regression".
    classes
        Multiclass: all classes, in their order. Then no figure depends on which classes occur in
        the frame: labels and predictions of others are refused, scores must be of just these, and
        what needs a class that a slice does not have is undefined there. Without it the classes
        are those of the scores, or those that occur.
    abstains
        Multiclass: whether the candidate may abstain, which a missing prediction says; otherwise it
        is refused. An abstention is not right, and counts in every share of cases; precision and
        `selective_accuracy` are shares of what was answered, `coverage` says of how many cases.
    tolerance
        Regression: how far a prediction may be from the label, in its unit, to be right for
        `within_tolerance`.
    limits
        Regression: the columns of the lower and upper limits that the candidate gives of the label,
        themselves included.
    limits_level
        Regression: with which probability these are meant to hold the label; `interval_score` asks.
    confidence
        Nominal coverage of the intervals, between 0 and 1.
    metrics
        Names from `evaluator.metrics.METRICS`; by default all that the columns permit, but for
        those of single classes.
    weight
        Column of the cases' weights, not negative; a case of weight 0 is left out. Equal weights
        are no weights.
    cluster
        Column that says which cases belong together (a person, a day), where cases are not
        independent of each other. Clusters of one case each are no clusters.
    groups
        Declared values of slice columns: a declared group without rows is a row with ``n`` 0,
        and a value that is not declared is refused. A cross lists all combinations where all
        its columns are declared, and otherwise those that occur.
    levels
        The levels to measure, as the column ``level`` names them; by default all. It changes no
        row of those that are measured.

    Returns
    -------
    pandas.DataFrame
        One row for each level, slice and metric, with the columns

        ``level``
            "overall", a slice column's name, or for crosses their names joined by " x ".
        one column a slice column
            The slice's value; missing where the level does not fix it.
        ``metric``
            The name.
        ``class``
            Only where a metric is asked for that has a value a class: which one; of all other
            metrics it is missing.
        ``value``, ``low``, ``high``
            Point value and interval; NaN where there is none.
        ``n``
            Cases in the slice.
        ``n_effective``
            What the value rests on: the cases in the metric's denominator (positives for
            recall, the rarer class for an area), or as many independent cases of one weight as
            would know it as well.
        ``clusters``
            Clusters with cases that the value rests on; missing without clusters.
        ``design_effect``
            How many of the cases that the value rests on stand for one of ``n_effective``; NaN
            where they are independent and of one weight.
        ``status``
            "ok"; "undefined", without a value; or "too_few", with a value but no interval.
        ``reason``
            Why the status is not "ok"; missing where it is.

    Raises
    ------
    MetricsInputError
        If confidence is not between 0 and 1, or slices are not one to four different columns; if a
        level is none of theirs; if a column or metric does not exist or does not fit the task; if
        labels, scores, predictions, weights or slice columns are missing, not finite, out of range
        or not declared: with the count and the first row positions.

    Examples
    --------
    >>> import pandas as pd
    >>> cases = pd.DataFrame(
    ...     {"late": [1, 0, 1, 0], "score": [0.9, 0.2, 0.4, 0.1], "region": ["a", "a", "b", "b"]}
    ... )
    >>> measured = slice_metrics(
    ...     cases, label="late", score="score", slices=["region"], metrics=["recall"]
    ... )
    >>> measured[["level", "region", "value", "n_effective"]].to_dict("list")["value"]
    [0.5, 1.0, 0.0]
    """
    if not 0 < confidence < 1:
        raise MetricsInputError(f"confidence must lie between 0 and 1, not {confidence}")
    options = TaskOptions(task, classes, abstains, tolerance, limits_level)
    if limits is not None and task != "regression":
        raise MetricsInputError(f"`limits` are for regression, not {task}")
    if task in UNSCORED and prediction is None:
        raise MetricsInputError(f"a {task} needs a prediction column")
    if score is None and prediction is None:
        raise MetricsInputError("give a score column, a prediction column, or both")
    if score is not None and isinstance(score, str) == (task == "multiclass_classification"):
        raise MetricsInputError(
            "score must be the column of the positive class's score, or, for a multiclass "
            f"classifier, a mapping from each class to its column; for {task} it is {score!r}"
        )
    names = select_metrics(
        metrics, options, scored=score is not None, decided=True, limited=limits is not None
    )
    per_class = [name for name in names if METRICS[name].per_class]
    if per_class and "class" in slices:
        raise MetricsInputError(
            f"the column 'class' tells the class of {per_class[0]}; no slice may"
        )
    frame, survey = read_survey(frame, weight, cluster)
    slicing = cut_slices(frame, slices, groups, levels)
    if task == "binary_classification" and not isinstance(score, Mapping):
        rows = binary_rows(frame, slicing, names, label=label, score=score, prediction=prediction)
        if survey.plain:
            measured = binary.measure(rows, names, confidence)
        else:
            measured = binary.measure_survey(rows, survey, names, confidence)
    else:
        reader = level_reader(
            frame,
            names,
            confidence,
            options=options,
            label=label,
            score=score,
            prediction=prediction,
            limits=limits,
        )
        designs = (
            SurveyDesign(at, slicing.cell, survey.weight, survey.cluster) for at in slicing.levels
        )
        measures = {name: LEVEL_METRICS[task][name].measure for name in names}
        at_once = reader.levels if survey.plain else None
        parts = map(reader.level, designs) if at_once is None else [at_once(slicing)]
        measured = measure_levels(parts, measures)
    return to_tidy_frame(slicing, measured, surveyed=not survey.plain)
