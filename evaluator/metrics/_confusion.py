"""What a classifier takes for what: every class's cases by what they were predicted as."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from evaluator.metrics._checks import MetricsInputError
from evaluator.metrics._estimates import NO_ROWS, values_at
from evaluator.metrics._inputs import TaskOptions, multiclass_rows, read_survey
from evaluator.metrics._levels import Level
from evaluator.metrics._linear import SurveyDesign
from evaluator.metrics._multiclass import ABSTAINED


def confusion(
    frame: pd.DataFrame,
    *,
    label: str,
    prediction: str,
    classes: Sequence[Any] | None = None,
    abstains: bool = False,
    weight: str | None = None,
    cluster: str | None = None,
    confidence: float = 0.95,
) -> pd.DataFrame:
    """Count the cases of every class by what they were predicted as, over all cases.

    Parameters
    ----------
    frame, label, prediction, classes, abstains, weight, cluster, confidence
        As in `slice_metrics` for a multiclass classifier.

    Returns
    -------
    pandas.DataFrame
        One row for each label and prediction, in the order of the classes, with the columns

        ``label``, ``prediction``
            The classes; the prediction is missing for abstentions, which come last.
        ``count``
            Cases, or the sum of their weights.
        ``share``, ``low``, ``high``
            The share of the label's cases, with the interval of a rate; NaN where there are none.
        ``status``
            "ok"; "undefined" where the label has no cases; "too_few", with a share but no interval.

    Raises
    ------
    MetricsInputError
        As `slice_metrics`.

    Examples
    --------
    >>> import pandas as pd
    >>> cases = pd.DataFrame({"kind": ["a", "a", "b"], "said": ["a", "b", "b"]})
    >>> table = confusion(cases, label="kind", prediction="said")
    >>> table[["label", "prediction", "count", "share"]].to_numpy().tolist()
    [['a', 'a', 1.0, 0.5], ['a', 'b', 1.0, 0.5], ['b', 'a', 0.0, 0.0], ['b', 'b', 1.0, 1.0]]
    """
    if not 0 < confidence < 1:
        raise MetricsInputError(f"confidence must lie between 0 and 1, not {confidence}")
    options = TaskOptions("multiclass_classification", classes, abstains)
    frame, survey = read_survey(frame, weight, cluster)
    rows = multiclass_rows(
        frame, [], label=label, score=None, prediction=prediction, options=options
    )
    many = len(rows.classes)
    # Every label is a slice.
    numbers = np.arange(many)
    level = Level("label", (0,), numbers[:, None], numbers)
    design = SurveyDesign(level, rows.label, survey.weight, survey.cluster)
    everything = np.ones(len(frame), dtype=bool)
    weights = np.ones(len(frame)) if weight is None else frame[weight].to_numpy(dtype=float)
    predicted = [*numbers, *([ABSTAINED] if abstains else [])]
    columns = []
    for number in predicted:
        chosen = rows.prediction == number
        found = design.rate(chosen, everything, NO_ROWS, confidence)
        count = design.total(weights * chosen)
        columns.append((count, found.value, found.low, found.high, found.status))
    names = ("count", "share", "low", "high", "status")
    stacked = {
        name: np.column_stack(parts).ravel()
        for name, parts in zip(names, zip(*columns, strict=True), strict=True)
    }
    return pd.DataFrame(
        {
            "label": values_at(rows.classes, np.repeat(numbers, len(predicted))),
            "prediction": values_at(rows.classes, np.tile(predicted, many)),
            **stacked,
        }
    ).astype({"status": "str"})
