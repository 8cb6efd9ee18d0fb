"""The gap between a group and what it is compared with, for many pairs at once.

Ratios are handled as logarithms throughout, so that a ratio and its inverse are alike.
"""

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evaluator.metrics.estimates import BoolArray, FloatArray, divide
from evaluator.metrics.fairness_measures import Comparison
from evaluator.metrics.fairness_summaries import Summary

OF_THE_REFERENCE = " in the reference"
ALONE = "there is no other group to compare with"
NO_COMMON_STRATUM = "no stratum of the control columns holds cases of both"
NO_FALSE_POSITIVES = "no false positives"
NO_RATIO = "no missed positives in the reference"
ZERO_REFERENCE = "the rate of the reference is 0, so that there is no ratio"
BOTH_ZERO = "both rates are 0, so that there is no ratio"
# Why something is not there; an empty text where nothing is wrong.
Reasons = NDArray[np.object_]


def no_reasons(pairs: int) -> Reasons:
    """Say nothing of any pair."""
    return np.full(pairs, "", dtype=object)


def said(reasons: Reasons) -> BoolArray:
    """Say of which pairs there is a reason."""
    return np.array([reason != "" for reason in reasons], dtype=bool)


@dataclass(frozen=True)
class Gap:
    """The gaps of pairs; every array has shape (pairs,).

    Parameters
    ----------
    value, low, high
        The gap and its limits: a difference, or the logarithm of a ratio.
    own, other
        The quantity in the group, and in what it is compared with.
    cases, other_cases
        What each of the two rests on, in the strata that hold cases of both.
    rows, other_rows
        All cases of each of the two.
    strata, left_out
        How many strata hold cases of both, and how many of one alone.
    undefined, too_few
        Why there is no gap, and why it has no interval; empty otherwise.
    planned, variance
        The gap that more cases are planned for, and its variance at the present number of cases.
    """

    value: FloatArray
    low: FloatArray
    high: FloatArray
    own: FloatArray
    other: FloatArray
    cases: FloatArray
    other_cases: FloatArray
    rows: FloatArray
    other_rows: FloatArray
    strata: FloatArray
    left_out: FloatArray
    undefined: Reasons
    too_few: Reasons
    planned: FloatArray
    variance: FloatArray

    def take(self, positions: Any) -> "Gap":
        """Give the pairs at these positions."""
        return Gap(*(getattr(self, field.name)[positions] for field in fields(self)))

    @classmethod
    def joined(cls, parts: "list[Gap]") -> "Gap":
        """Put the pairs of several gaps one after the other."""
        return cls(
            *(
                np.concatenate([getattr(part, field.name) for part in parts])
                for field in fields(cls)
            )
        )


@dataclass(frozen=True)
class Asked:
    """How gaps are wanted.

    Parameters
    ----------
    comparison
        Difference or ratio.
    confidence_low, confidence_high
        Nominal coverage of the two-sided intervals that the lower and the upper limit are from.
    minimum_support
        The fewest cases that either side of an interval rests on.
    overall
        Whether the gap is wanted to all groups together; the second group then is the rest.
    """

    comparison: Comparison
    confidence_low: float
    confidence_high: float
    minimum_support: int
    overall: bool = False


def to_overall(gap: FloatArray, share: FloatArray, comparison: Comparison) -> FloatArray:
    """Turn a gap to the rest into one to the overall, of which the group is a share."""
    if comparison == "difference":
        return (1 - share) * gap
    # A gap that is not known stays unknown, and a share of 1 leaves none.
    with np.errstate(divide="ignore", invalid="ignore"):
        whole: FloatArray = -np.logaddexp(np.log(share), np.log1p(-share) - gap)
    return whole


def slope_to_overall(gap: FloatArray, share: FloatArray, comparison: Comparison) -> FloatArray:
    """Give the derivative of the gap to the overall by the gap to the rest."""
    if comparison == "difference":
        return 1 - share
    slope: FloatArray = (1 - share) / (share * np.exp(gap) + 1 - share)
    return slope


def bookkeeping(
    one: Summary, two: Summary, asked: Asked
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray, FloatArray, FloatArray]:
    """Count the cases that are compared and all rows on both sides, and the strata."""
    here, there = one.cases > 0, two.cases > 0
    both = here & there
    cases, other_cases = (np.where(both, side.cases, 0).sum(axis=1) for side in (one, two))
    other_rows = two.rows
    if asked.overall:
        other_cases, other_rows = other_cases + cases, two.rows + one.rows
    left_out = (here ^ there).sum(axis=1).astype(float)
    return cases, other_cases, one.rows, other_rows, both.sum(axis=1).astype(float), left_out


def planned_cases(one: Summary, two: Summary) -> tuple[FloatArray, FloatArray]:
    """Give the cases of both sides; where there are none, as many as the other side's share."""
    cases, other_cases = one.cases.sum(axis=1), two.cases.sum(axis=1)
    rows, other_rows = np.maximum(one.rows, 1), np.maximum(two.rows, 1)
    return (
        np.where(cases > 0, cases, rows * divide(other_cases, other_rows)),
        np.where(other_cases > 0, other_cases, other_rows * divide(cases, rows)),
    )
