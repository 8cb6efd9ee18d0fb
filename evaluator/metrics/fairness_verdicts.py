"""From gaps and limits to verdicts, and to the number of cases that would decide."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import special

from evaluator.metrics.estimates import FloatArray, divide
from evaluator.metrics.fairness_gaps import ALONE, NO_COMMON_STRATUM, Gap, said
from evaluator.metrics.fairness_references import Compared

Verdict = Literal["PASS", "FAIL", "INSUFFICIENT EVIDENCE"]

# How probable a decision shall be with the number of cases that is asked for: the convention of
# trials, J. Cohen, Statistical Power Analysis for the Behavioral Sciences (1988).
POWER = 0.8
_MOST_CASES = 10**12


@dataclass(frozen=True)
class Decided:
    """Verdicts on the groups of one level; arrays have shape (compared groups,).

    Parameters
    ----------
    verdict
        PASS, FAIL or INSUFFICIENT EVIDENCE.
    status
        ok, undefined or too_few.
    reason
        Why the status is not ok, or why the verdict is open; empty otherwise.
    needed_cases
        How many cases of the group would decide; NaN where it is decided, or where none would.
    """

    verdict: NDArray[np.object_]
    status: NDArray[np.object_]
    reason: NDArray[np.object_]
    needed_cases: FloatArray


def decide(compared: Compared, limit: float, minimum_support: int) -> Decided:
    """Hold the intervals against a limit.

    PASS: the whole interval lies within the limit. FAIL: all of it lies beyond. Otherwise, and
    where there is no interval, the evidence is insufficient.

    Parameters
    ----------
    compared
        The gaps.
    limit
        The largest gap that is allowed: a difference, or the logarithm of a ratio, above 0.
    minimum_support
        The fewest cases that an interval rests on.
    """
    gap = compared.gap
    low, high = _bounds(compared, limit)
    undefined = said(gap.undefined)
    too_few = ~undefined & said(gap.too_few)
    ok = ~undefined & ~too_few
    passed = ok & (gap.low >= low) & (gap.high <= high)
    failed = ok & ((gap.high < low) | (gap.low > high))
    verdict = np.select([passed, failed], ["PASS", "FAIL"], "INSUFFICIENT EVIDENCE")
    needed = _needed_cases(compared, (low, high), minimum_support)
    needed = np.where(passed | failed, np.nan, needed)
    reason = np.where(undefined, gap.undefined, gap.too_few)
    for row in np.flatnonzero(ok & ~passed & ~failed):
        reason[row] = (
            "the limit lies within the interval"
            if np.isnan(needed[row])
            else f"the limit lies within the interval; about {needed[row]:.0f} cases of the group "
            "would decide"
        )
    status = np.select([undefined, too_few], ["undefined", "too_few"], "ok")
    return Decided(verdict.astype(object), status.astype(object), reason, needed)


def _bounds(compared: Compared, limit: float) -> tuple[float, float]:
    """Give the smallest and the largest gap that are allowed."""
    return (
        -np.inf if compared.worse == 1 else -limit,
        np.inf if compared.worse == -1 else limit,
    )


def _needed_cases(
    compared: Compared, bounds: tuple[float, float], minimum_support: int
) -> FloatArray:
    """Say how many cases of the group would decide with a probability of 0.8.

    If the observed rates are the true ones, and group and reference grow in the proportion in
    which they are, the gap d has the variance V n / n', n being the present and n' the future
    number of cases. The interval then lies on that side of the limit c on which d is, with the
    probability asked for, from n' = n V (z_confidence + z_power)^2 / (d - c)^2 on. Where a PASS
    needs both limits at once, the probability of missing is split between them. At least as many
    cases are needed as give both sides the minimum support.
    Source: J. L. Fleiss, B. Levin, M. C. Paik, Statistical Methods for Rates and Proportions
    (2003), chapter 4; with a limit other than 0, the same.
    """
    gap, (low, high) = compared.gap, bounds
    room = np.minimum(gap.planned - low, high - gap.planned)
    both = np.isfinite(low) and np.isfinite(high)
    to_pass = _quantile(compared.confidence_pass) + special.ndtri(
        (1 + POWER) / 2 if both else POWER
    )
    to_fail = _quantile(compared.confidence_fail) + special.ndtri(POWER)
    z = np.where(room > 0, to_pass, to_fail)
    rows = np.maximum(gap.rows, 1)
    needed = rows * divide(gap.variance * z**2, room**2)
    needed = np.maximum(needed, np.where(gap.rows > 0, rows + 1, 1))
    needed = np.maximum(needed, rows * _times_for_support(gap, minimum_support))
    more_is_no_help = (gap.undefined == ALONE) | (gap.undefined == NO_COMMON_STRATUM)
    hopeless = more_is_no_help | ~(needed < _MOST_CASES)
    return np.where(hopeless, np.nan, np.ceil(np.nan_to_num(needed)))


def _quantile(confidence: float) -> float:
    quantile: float = special.ndtri((1 + confidence) / 2)
    return quantile


def _times_for_support(gap: Gap, minimum_support: int) -> FloatArray:
    """Say how many times the present cases give both sides the minimum support."""
    rows, other_rows = np.maximum(gap.rows, 1), np.maximum(gap.other_rows, 1)
    share, other_share = gap.cases / rows, gap.other_cases / other_rows
    # A group without any such cases is expected to have as many as its reference has.
    expected = np.where(gap.cases > 0, share, other_share) * rows
    other_expected = np.where(gap.other_cases > 0, other_share, share) * other_rows
    times = [
        np.nan_to_num(divide(np.full(len(of), float(minimum_support)), of))
        for of in (expected, other_expected)
    ]
    return np.maximum(*times)
