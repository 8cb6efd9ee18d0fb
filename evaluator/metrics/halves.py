"""Two halves of the cases that depend on the cases and a seed, not on the rows' order."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evaluator.metrics.estimates import BoolArray, FloatArray
from evaluator.metrics.features import CodeArray
from evaluator.metrics.levels import IntArray

_ODD = np.uint64(0x9E3779B97F4A7C15)
_SHIFT = np.uint64(32)


def halves(
    codes: Sequence[CodeArray],
    losses: FloatArray,
    cluster: "pd.Series[Any] | None",
    seed: int,
) -> tuple[IntArray, BoolArray]:
    """Draw half of the cases, or half of the clusters, at random.

    The cases are put in an order that follows from what they hold, and the seed draws from that
    order. Cases that hold the same are interchangeable, so that it does not matter which of them
    comes first.

    Parameters
    ----------
    codes
        For each feature, the position of each case's condition, shape (rows,).
    losses
        Shape (rows,).
    cluster
        What stays in one half together, one value a row; None where cases are independent.
    seed
        Which of the equally likely halves to take.

    Returns
    -------
    order
        The rows in the order that follows from what they hold, shape (rows,).
    chosen
        Which rows belong to the first half, shape (rows,).
    """
    random = np.random.default_rng(seed)
    content = _content(codes, losses)
    chosen = np.zeros(len(losses), dtype=bool)
    if cluster is None:
        order = np.argsort(content, kind="stable")
        chosen[order[random.permutation(len(order))[: len(order) // 2]]] = True
        return order, chosen
    numbers, values = pd.factorize(cluster)
    named = pd.util.hash_array(np.array([str(value) for value in values], dtype=object))
    sequence = np.argsort(named, kind="stable")
    half = np.zeros(len(values), dtype=bool)
    half[sequence[random.permutation(len(values))[: len(values) // 2]]] = True
    return np.lexsort((content, named[numbers])), half[numbers]


def _content(codes: Sequence[CodeArray], losses: FloatArray) -> NDArray[np.uint64]:
    """Mix what each case holds into one number; it overflows on purpose."""
    # Zero has two signs, and they are equal.
    mixed = (losses + 0.0).view(np.uint64).copy()
    for code in codes:
        mixed ^= code.astype(np.uint64)
        mixed *= _ODD
        mixed ^= mixed >> _SHIFT
    return mixed
