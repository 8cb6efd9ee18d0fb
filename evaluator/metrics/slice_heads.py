"""From overlapping leads to few slices that each say something of their own."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from evaluator.metrics.estimates import BoolArray, FloatArray
from evaluator.metrics.features import CodeArray
from evaluator.metrics.loss_sums import Losses, evidence
from evaluator.metrics.slice_search import LEAST_EVIDENCE, Leads

Slice = tuple[tuple[int, int], ...]

# From this share of common cases on, two descriptions are of the same cases.
NEARLY_THE_SAME = 0.8
# From this share of the smaller one's cases on, two slices overlap.
OVERLAP = 0.5


@dataclass(frozen=True)
class Head:
    """A slice that stands for all descriptions of nearly the same cases.

    Parameters
    ----------
    slice
        The simplest of the descriptions.
    also
        The other ones.
    """

    slice: Slice
    also: tuple[Slice, ...]


def heads(leads: Leads, codes: Sequence[CodeArray], losses: Losses, most: int) -> list[Head]:
    """Choose the leads that the ones before them do not explain.

    Going from the most evidence to the least, a lead is explained by a chosen slice when, inside
    of that slice and outside of it, it is no worse than the rest there: the evidence of both
    strata together is below two standard deviations. So a slice that is bad because a part of it
    is, and a part of a bad slice that is no worse than the whole, do not come again; a part that is
    worse than the whole does. Descriptions of nearly the same cases (of both together, 80 % are
    common) stand under the simplest one.

    Parameters
    ----------
    leads
        The most evidence first.
    codes, losses
        Of the cases that were searched.
    most
        How many to choose at most.
    """
    inside = np.array([members_of(one, codes) for one in leads.slices], dtype=bool)
    free = np.ones(len(inside), dtype=bool)
    chosen: list[Head] = []
    while free.any() and len(chosen) < most:
        best = int(free.argmax())
        same = free & (_shared(inside, inside[best]) >= NEARLY_THE_SAME)
        alike = sorted(np.flatnonzero(same), key=lambda p: (len(leads.slices[p]), p))
        named = [leads.slices[position] for position in alike]
        chosen.append(Head(named[0], tuple(named[1:])))
        free &= ~same
        explanation = Explanation(inside[alike[0]], losses)
        for position in np.flatnonzero(free):
            free[position] = not explanation.of(inside[position])
    return chosen


def members_of(one: Slice, codes: Sequence[CodeArray]) -> BoolArray:
    """Say which cases meet all conditions of a slice, shape (rows,)."""
    inside: BoolArray = np.ones(len(codes[0]), dtype=bool)
    for feature, code in one:
        inside &= codes[feature] == code
    return inside


def groups(inside: Sequence[BoolArray]) -> list[int]:
    """Give slices numbers, overlapping ones the same.

    A slice joins the first group whose first slice it overlaps by at least half the smaller of the
    two, and opens a group of its own otherwise.

    Parameters
    ----------
    inside
        The members of each slice, the most important slice first.
    """
    firsts: list[BoolArray] = []
    numbers = []
    for own in inside:
        n = int(np.count_nonzero(own))
        for number, first in enumerate(firsts):
            smaller = min(n, int(np.count_nonzero(first)))
            if np.count_nonzero(own & first) >= OVERLAP * max(smaller, 1):
                numbers.append(number + 1)
                break
        else:
            firsts.append(own)
            numbers.append(len(firsts))
    return numbers


class Explanation:
    """The cases inside and outside of a slice, as what may explain other slices.

    Parameters
    ----------
    head
        Which cases belong to the slice, shape (rows,).
    losses
        The losses of the same cases.
    """

    def __init__(self, head: BoolArray, losses: Losses) -> None:
        self._stratum = head.astype(np.intp)
        self._losses = losses
        self._strata = losses.sums(self._stratum, 2)

    def of(self, other: BoolArray) -> bool:
        """Say whether another slice is no worse than the rest both inside and outside.

        The evidence of both strata is added as Mantel and Haenszel do: sums and variances apart.
        Source: N. Mantel, W. Haenszel, Journal of the National Cancer Institute 22 (1959) 719.
        """
        rows = np.flatnonzero(other)
        parts = self._losses.sums(self._stratum[rows], 2, rows)
        there = (parts.n > 0) & (parts.n < self._strata.n)
        parts, strata = parts.at(there), self._strata.at(there)
        away = parts.total - parts.n * strata.total / strata.n
        z = evidence(parts, strata)
        # A sum's deviation is the sum over its evidence; where nothing varies it is zero.
        variance = np.divide(away, z, out=np.zeros_like(z), where=z != 0) ** 2
        return float(away.sum()) < LEAST_EVIDENCE * float(np.sqrt(variance.sum()) or np.inf)


def _shared(inside: BoolArray, one: BoolArray) -> FloatArray:
    """Give the common cases of each slice and one, as a share of both together."""
    common = np.count_nonzero(inside & one, axis=1)
    shared: FloatArray = common / (
        np.count_nonzero(inside, axis=1) + np.count_nonzero(one) - common
    )
    return shared
