"""The rows of a binary task, laid out by cell and class, so that sums need one pass each."""

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evaluator.metrics.estimates import BoolArray, FloatArray
from evaluator.metrics.levels import IntArray, Slicing

_BLOCK = 1 << 16


class Layout:
    """An order of the rows in which those of a cell and class stand side by side.

    Parameters
    ----------
    label
        Truth, shape (rows,).
    slicing
        The cells and levels of the rows.
    """

    def __init__(self, label: BoolArray, slicing: Slicing) -> None:
        code = slicing.cell * 2 + label
        # Numpy sorts integers of 16 bits or fewer by radix, in one pass.
        small = code.astype(np.uint16) if slicing.cells < 1 << 15 else code
        self.order: IntArray = np.argsort(small, kind="stable")
        self.slicing = slicing
        self.sizes = np.bincount(code, minlength=2 * slicing.cells).reshape(-1, 2)
        self._there = np.flatnonzero(self.sizes)
        self._starts = np.concatenate([[0], np.cumsum(self.sizes.ravel()[self._there])])

    def of_cells(self, measured: Callable[[slice], Sequence[NDArray[Any]]]) -> FloatArray:
        """Add up by cell and class what is measured of the rows.

        Some ten thousand rows are measured at a time, so that they stay in the processor's cache.

        Parameters
        ----------
        measured
            Gives, for a slice of the rows as they are laid out, one or more numbers a row: a list
            of arrays of shape (rows,), always of the same length.

        Returns
        -------
        numpy.ndarray
            Sums, shape (cells, 2, numbers).
        """
        parts = []
        block = self._starts[1:] // _BLOCK
        bounds = [0, *(np.flatnonzero(np.diff(block)) + 1), len(self._there)]
        for first, last in pairwise(bounds):
            start, stop = self._starts[first], self._starts[last]
            own = self._starts[first:last] - start
            parts.append([_sums(values, own) for values in measured(slice(start, stop))])
        numbers = len(parts[0])
        total = np.zeros((self.sizes.size, numbers))
        for column in range(numbers):
            total[self._there, column] = np.concatenate([part[column] for part in parts])
        return total.reshape(-1, 2, numbers)

    def cases(self, chosen: BoolArray) -> FloatArray:
        """Count the chosen rows in the groups of all levels, by class, shape (groups, 2)."""
        counted: FloatArray = self.slicing.add_up(self.of_cells(lambda rows: [chosen[rows]]))
        return counted[:, :, 0]


def _sums(values: NDArray[Any], starts: IntArray) -> FloatArray:
    """Add up runs of values; whole numbers exactly."""
    if not len(starts):
        return np.zeros(0)
    dtype = np.float64 if values.dtype.kind == "f" else np.int64
    return np.add.reduceat(values, starts, dtype=dtype).astype(float)
