"""Intervals against limits: what is decided, and how many cases would decide the rest."""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy import special

from evaluator.metrics import holm

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

POWER: Final = 0.8
"""How probable a decision shall be with the number of cases that is asked for; the convention of
trials, J. Cohen, Statistical Power Analysis for the Behavioral Sciences (1988)."""

_MAX_CASES: Final = 1e12


@dataclass(frozen=True, kw_only=True)
class Intervals:
    """Intervals and their limits, shape (scopes,): NaN is unmeasured, infinite is no limit."""

    value: Floats
    low: Floats
    high: Floats
    at_least: Floats
    at_most: Floats
    n: Floats
    strict: bool = False
    """Whether a value at its limit is on the bad side."""
    simultaneous: bool = False
    """Whether the intervals hold all together already, so that no correction is due."""


@dataclass(frozen=True, kw_only=True)
class BoundDecisions:
    """What the intervals decide, shape (scopes,): whole on the good side, or on the bad one."""

    passed: Bools
    failed: Bools
    """Also after the correction for many scopes."""
    failed_alone: Bools
    needed_cases: Floats
    """How many cases at the scope would decide; NaN where it is decided, or none would."""


def is_good(value: Floats, of: Intervals) -> Bools:
    """Tell which values are on the good side of both limits; NaN is on none."""
    if of.strict:
        return (value > of.at_least) & (value < of.at_most)
    return (value >= of.at_least) & (value <= of.at_most)


def is_bad(value: Floats, of: Intervals) -> Bools:
    """Tell which values are on the bad side of a limit; NaN is on none."""
    return ~is_good(value, of) & ~np.isnan(value)


def decide_bounds(of: Intervals, confidence: float) -> BoundDecisions:
    """Hold intervals against limits.

    A PASS of all scopes needs no correction: it errs only where at least one scope is bad, and
    that one passes with the probability that its interval ends on the wrong side of the truth:
    e / 2, where e is 1 - confidence (Berger's intersection-union test). To name failures, each of
    K scopes is tested: the one-sided p-value of "the scope keeps its limit c" is
    Phi(-z (c - value) / half), where `half` is the width of the interval's half towards c and z
    its quantile, so that it is e / 2 exactly where the interval ends at c. Those of all scopes are
    adjusted by Holm, and a scope fails at e / 2.
    """
    error = (1 - confidence) / 2
    passed = is_good(of.low, of) & (of.at_most == np.inf)
    passed |= is_good(of.high, of) & (of.at_least == -np.inf)
    passed |= is_good(of.low, of) & is_good(of.high, of)
    if of.strict:
        below, above = of.high <= of.at_least, of.low >= of.at_most
    else:
        below, above = of.high < of.at_least, of.low > of.at_most
    alone = below | above
    there = ~(np.isnan(of.low) & np.isnan(of.high))
    scopes = 1 if of.simultaneous else max(int(there.sum()), 1)
    failed = alone
    if scopes > 1:
        p_value = np.where(there, _p_values(of, confidence), np.nan)
        failed = alone & (np.nan_to_num(holm(p_value), nan=1.0) <= error)
    is_open = there & ~passed & ~failed
    needed = np.where(is_open, _needed_cases(of, confidence, scopes), np.nan)
    return BoundDecisions(passed=passed, failed=failed, failed_alone=alone, needed_cases=needed)


def decide_values(of: Intervals) -> BoundDecisions:
    """Hold values against limits, as if they were known exactly."""
    bad = is_bad(of.value, of)
    nothing = np.full(len(of.value), np.nan)
    return BoundDecisions(
        passed=is_good(of.value, of), failed=bad, failed_alone=bad, needed_cases=nothing
    )


def _p_values(of: Intervals, confidence: float) -> Floats:
    """Test at each scope that the limits are kept, one-sided."""
    z = special.ndtri((1 + confidence) / 2)
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        below = (of.at_least - of.value) / (of.high - of.value)
        above = (of.value - of.at_most) / (of.value - of.low)
    # Only one limit can be broken; a value at its limit has a distance of 0, or 0 / 0.
    distance = np.nan_to_num(np.fmax(below, above), nan=0.0, posinf=np.inf, neginf=-np.inf)
    p_value: Floats = special.ndtr(-z * distance)
    return np.where(is_bad(of.value, of), p_value, 1.0)


def _needed_cases(of: Intervals, confidence: float, scopes: int) -> Floats:
    z = special.ndtri((1 + confidence) / 2)
    z_corrected = -special.ndtri((1 - confidence) / 2 / scopes)
    both = np.isfinite(of.at_least) & np.isfinite(of.at_most)
    good = is_good(of.value, of)
    z_power = special.ndtri(np.where(good & both, (1 + POWER) / 2, POWER))
    times = np.ones(len(of.value))
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        for inside, outside, half_inside, half_outside in (
            (
                of.value - of.at_least,
                of.at_least - of.value,
                of.value - of.low,
                of.high - of.value,
            ),
            (of.at_most - of.value, of.value - of.at_most, of.high - of.value, of.value - of.low),
        ):
            to_pass = half_inside * (z + z_power) / (z * inside)
            to_fail = half_outside * (z_corrected + z_power) / (z * outside)
            # A bad value needs to be shown beyond the limit that it breaks, a good one within both.
            matters = np.isfinite(inside) & (good | (inside <= 0))
            root = np.where(good, to_pass, to_fail)
            times = np.where(matters, np.maximum(times, root**2), times)
        needed = np.maximum(np.ceil(of.n * times), of.n + 1)
    return np.where(needed < _MAX_CASES, needed, np.nan)
