"""Losses of single cases, and their power sums cell by cell."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evaluator.metrics.estimates import BoolArray, FloatArray
from evaluator.metrics.levels import Slicing

_EPSILON = float(np.finfo(np.float64).eps)
LARGEST_LOG_LOSS = -float(np.log(_EPSILON))
# Rows worked on at a time: all arrays of a piece stay in the processor's cache.
_PIECE = 1 << 16


def log_losses(score: FloatArray, label: BoolArray) -> FloatArray:
    """Give -log of the probability of the label, shape (rows,)."""
    return cut_log(np.where(label, score, 1 - score))


def cut_log(given: FloatArray) -> FloatArray:
    """Give -log of probabilities cut to [eps, 1 - eps], as scikit-learn cuts them.

    The argument is overwritten.
    """
    np.clip(given, _EPSILON, 1 - _EPSILON, out=given)
    np.log(given, out=given)
    return np.negative(given, out=given)


def power_sums(
    slicing: Slicing,
    score: NDArray[Any],
    label: NDArray[Any],
    loss: Callable[[Any, Any], FloatArray],
) -> FloatArray:
    """Add up the first three powers of a loss in every cell.

    Parameters
    ----------
    slicing
        The cells.
    score, label
        What the loss is computed from, shape (rows, ...).
    loss
        Gives the losses of some rows, shape (rows,).

    Returns
    -------
    numpy.ndarray
        Sums by cell and power, shape (cells, 3).
    """
    cells = slicing.cells
    sums = np.zeros((3, cells))
    # With very many cells a piece has to be larger than what one pass over the sums costs.
    size = max(_PIECE, 4 * cells)
    for start in range(0, len(score), size):
        piece = slice(start, start + size)
        cell = slicing.cell[piece]
        losses = loss(score[piece], label[piece])
        power = losses
        for row in range(3):
            # One case after the other, so that a cell's sum does not round by where pieces end.
            np.add.at(sums[row], cell, power)
            power = power * losses
    return sums.T
