"""What the groups of one level are compared by: a rate or a mean, in every stratum."""

from dataclasses import dataclass, fields, replace
from typing import Self

import numpy as np

from evaluator.metrics.estimates import FloatArray
from evaluator.metrics.levels import IntArray


@dataclass(frozen=True)
class Summary:
    """What the groups of one level are compared by.

    Parameters
    ----------
    rows
        Cases of each group, shape (groups,).
    cases
        The cases that the compared quantity rests on, shape (groups, strata).
    what
        What these cases are, such as "positive labels".
    """

    rows: FloatArray
    cases: FloatArray
    what: str

    def take(self, positions: IntArray) -> Self:
        """Give the groups at these positions."""
        return replace(
            self,
            **{
                field.name: getattr(self, field.name)[positions]
                for field in fields(self)
                if isinstance(getattr(self, field.name), np.ndarray)
            },
        )

    def rest(self) -> Self:
        """Give, for every group, all other groups together."""
        return replace(
            self,
            **{
                field.name: getattr(self, field.name).sum(axis=0) - getattr(self, field.name)
                for field in fields(self)
                if isinstance(getattr(self, field.name), np.ndarray)
            },
        )


@dataclass(frozen=True)
class Rates(Summary):
    """Groups compared by a rate.

    Parameters
    ----------
    hits
        How many of the cases are hits, shape (groups, strata).
    odds
        Whether a ratio is one of hits over misses, and not of rates.
    """

    hits: FloatArray
    odds: bool = False


@dataclass(frozen=True)
class Means(Summary):
    """Groups compared by a mean.

    Parameters
    ----------
    sums
        Sums of first, second and third powers, shape (groups, strata, 3).
    bounds
        The smallest and the largest possible value of a case.
    """

    sums: FloatArray
    bounds: tuple[float, float]
