"""How badly a candidate did on each single case."""

from typing import Any, Literal, get_args

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from evaluator.metrics.checks import (
    MetricsInputError,
    column,
    numbers,
    positives,
    refuse_outside_unit,
    refuse_rows,
)
from evaluator.metrics.estimates import BoolArray, FloatArray
from evaluator.metrics.losses import log_losses

LossName = Literal[
    "error_rate",
    "false_negative_rate",
    "false_positive_rate",
    "log_loss",
    "brier",
    "absolute_error",
    "squared_error",
]


def case_losses(
    frame: pd.DataFrame,
    loss: LossName | ArrayLike,
    *,
    label: str | None,
    score: str | None,
    prediction: str | None,
) -> tuple[FloatArray, BoolArray]:
    """Give the loss of each case, and which cases count.

    Parameters
    ----------
    frame
        One row a case.
    loss
        A name, or one loss a row.
    label, score, prediction
        As in `slice_metrics`; the error rate takes predictions of any number of classes.

    Returns
    -------
    losses
        Shape (rows,).
    counts
        Shape (rows,): positives alone for the false negative rate, negatives alone for the false
        positive rate, all cases otherwise.

    Raises
    ------
    MetricsInputError
        If the name is unknown, a column is absent, or values cannot be measured.
    """
    every = np.ones(len(frame), dtype=bool)
    if not isinstance(loss, str):
        return _own(loss, len(frame)), every
    if loss not in get_args(LossName):
        known = ", ".join(get_args(LossName))
        raise MetricsInputError(f"there is no loss {loss!r}; there are {known}")
    truth = _named(label, loss, "label")
    if loss in ("absolute_error", "squared_error"):
        away = np.abs(
            numbers(frame, truth) - numbers(frame, _named(prediction, loss, "prediction"))
        )
        return away if loss == "absolute_error" else away**2, every
    if loss == "error_rate" and prediction is not None:
        return _differs(frame, truth, prediction), every
    is_positive, negative = positives(frame, truth)
    if loss in ("log_loss", "brier"):
        values = numbers(frame, _named(score, loss, "score"))
        refuse_outside_unit(values, str(score), [loss])
        brier = (values - is_positive) ** 2
        return log_losses(values, is_positive) if loss == "log_loss" else brier, every
    if prediction is not None:
        decided, _ = positives(frame, prediction, negative)
    else:
        values = numbers(frame, _named(score, loss, "score or prediction"))
        decided = values >= 0.5  # noqa: PLR2004 - an even chance
    wrong = (decided != is_positive).astype(np.float64)
    counts = {"false_negative_rate": is_positive, "false_positive_rate": ~is_positive}
    return wrong, counts.get(loss, every)


def _named(name: str | None, loss: str, role: str) -> str:
    if name is None:
        raise MetricsInputError(f"loss {loss!r} needs a {role} column")
    return name


def _own(losses: ArrayLike, rows: int) -> FloatArray:
    values = np.asarray(losses, dtype=np.float64)
    if values.shape != (rows,):
        raise MetricsInputError(f"there must be one loss a row, {rows}, not {values.shape}")
    refuse_rows(~np.isfinite(values), "the loss is not a finite number")
    return values


def _differs(frame: pd.DataFrame, label: str, prediction: str) -> FloatArray:
    """Compare two columns of classes."""
    columns: list[pd.Series[Any]] = []
    for name in (label, prediction):
        found = column(frame, name)
        refuse_rows(found.isna().to_numpy(), f"column {name!r} is missing")
        columns.append(found)
    kinds = [pd.api.types.is_numeric_dtype(found.dtype) for found in columns]
    # Classes written in two ways would look like a candidate that is always wrong.
    if len(frame) and kinds[0] != kinds[1]:
        raise MetricsInputError(
            f"label column {label!r} holds {columns[0].dtype} values and prediction column "
            f"{prediction!r} {columns[1].dtype}; they must hold the same classes"
        )
    classes = pd.Index(columns[0].unique())
    codes = [classes.get_indexer(pd.Index(values)) for values in columns]
    wrong: FloatArray = (codes[0] != codes[1]).astype(np.float64)
    return wrong
