"""Sums of losses over slices, and what they say about how bad a slice is."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evaluator.metrics.contrasts import is_binary
from evaluator.metrics.estimates import BoolArray, FloatArray
from evaluator.metrics.levels import IntArray

_ROUNDING = 1e-12


@dataclass(frozen=True)
class Sums:
    """What is summed over the cases of slices; arrays of one shape.

    Parameters
    ----------
    n
        Number of cases.
    total
        Sum of the losses' distances from the mean loss of all cases.
    above
        Sum of the distances of those losses that are above that mean.
    squares
        Sum of the squared distances.
    """

    n: FloatArray
    total: FloatArray
    above: FloatArray
    squares: FloatArray

    def at(self, where: NDArray[Any]) -> "Sums":
        """Take some of the slices, by positions or truth values."""
        return Sums(self.n[where], self.total[where], self.above[where], self.squares[where])


class Losses:
    """The losses of all cases, ready to be summed over slices.

    Parameters
    ----------
    losses
        Finite, shape (rows,).
    """

    def __init__(self, losses: FloatArray) -> None:
        rows = len(losses)
        self.mean = float(losses.mean())
        self.centred = losses - self.mean
        self._above = np.maximum(self.centred, 0)
        self._squares = self.centred**2
        self._hits = losses.astype(np.intp) if is_binary(losses) else None
        self.most_above = float(self._above.max())
        squares = float(self._squares.sum())
        zero = np.zeros(1)
        self.all = Sums(zero + rows, zero, zero + self._above.sum(), zero + squares)
        self.vary = squares > _ROUNDING * max(float((losses**2).sum()), 1e-300)

    def sums(self, cell: IntArray, cells: int, rows: IntArray | None = None) -> Sums:
        """Sum over the cases of each cell.

        Parameters
        ----------
        cell
            The cell of each row, or of each of the `rows`.
        cells
            How many cells there are.
        rows
            The rows that take part, or None for all.
        """
        if self._hits is not None:
            # One count of whole numbers says all where losses are 0 or 1.
            hits = self._hits if rows is None else self._hits[rows]
            counted = np.bincount(cell * 2 + hits, minlength=2 * cells).reshape(-1, 2)
            without, errors = counted[:, 0].astype(float), counted[:, 1].astype(float)
            n, miss = without + errors, 1 - self.mean
            squares = errors * miss**2 + without * self.mean**2
            return Sums(n, errors - n * self.mean, errors * miss, squares)
        of_cells = [np.bincount(cell, minlength=cells).astype(float)]
        for values in (self.centred, self._above, self._squares):
            own = values if rows is None else values[rows]
            # Without rows numpy counts in whole numbers.
            of_cells.append(np.bincount(cell, own, minlength=cells).astype(float))
        return Sums(*of_cells)

    def bound(self, n: FloatArray, above: FloatArray, fewest: int) -> FloatArray:
        """Give the most evidence that any subset of `fewest` cases or more can have.

        A subset of s cases of a slice has a sum of distances of at most the slice's `above`, and
        of at most s times the largest distance. So its evidence, without the constant spread of
        all cases, is at most min(above, s largest) / sqrt(s (1 - s / N)), which is largest at
        s = above / largest or at the slice's own size.
        Source: the bound on a slice's errors in S. Sagadeeva, M. Boehm, SIGMOD (2021) 2290,
        carried over to this evidence.
        """
        every = float(self.all.n[0])
        spread = np.sqrt(float(self.all.squares[0]) / every)

        def most(size: FloatArray) -> FloatArray:
            top = np.minimum(above, size * self.most_above)
            found: FloatArray = top / (spread * np.sqrt(size * (1 - size / every)))
            return found

        inside = (n >= fewest) & (n < every)
        size = np.where(inside, n, 1.0)
        best = np.clip(above / self.most_above, min(fewest, every - 1), size)
        # More than was rounded.
        return np.where(inside, np.maximum(most(np.maximum(best, 1)), most(size)), 0) * (1 + 1e-9)


def evidence(slices: Sums, parents: Sums) -> FloatArray:
    """Say how much worse slices are than the rest of what they are part of.

    z = (sum of the slice's losses - n m) / sqrt(n v (1 - n / N)), where m and v are mean and
    variance of the losses of the parent's N cases: the distance of the slice's sum from what a
    random choice of n of the N cases would have, in standard deviations. Zero where nothing
    varies.
    Source: the variance of the mean of a sample without replacement, W. G. Cochran, Sampling
    Techniques (1977), 2.5.
    """
    mean = parents.total / parents.n
    variance = parents.squares / parents.n - mean**2
    vary: BoolArray = variance > _ROUNDING * parents.squares / parents.n
    scale = slices.n * np.where(vary, variance, 0) * (1 - slices.n / parents.n)
    z = np.zeros(np.broadcast(scale, slices.total).shape)
    np.divide(slices.total - slices.n * mean, np.sqrt(scale), out=z, where=scale > 0)
    return z
