"""Intervals against limits: what is decided, and how many cases would decide the rest."""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from scipy import special

from evaluator.metrics import holm, rate_interval

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

ROUNDING: Final = 1e-9
"""What is nearer to a limit than this share of it is at the limit. Intervals are searched to some
1e-11 of their ends, so that nothing nearer is evidence; with a million cases the probability of an
error moves by less than a millionth."""
POWER: Final = 0.8
"""How probable a decision shall be with the number of cases that is asked for; the convention of
trials, J. Cohen, Statistical Power Analysis for the Behavioral Sciences (1988)."""
MOST_TIMES: Final = 20
"""How many times what there is may be asked for; beyond that a value is as good as at its limit."""

# Steps of a search, more than any has taken.
_MOST_STEPS: Final = 20
# How many numbers of cases are looked at together, and at which share of a plan they begin.
_SIZES: Final = 24
_BEFORE: Final = 0.8
# Powers of ten; more cases than these reach nobody has.
_DECADES: Final = 15
_TEN: Final = 10


@dataclass(frozen=True, kw_only=True)
class Intervals:
    """Intervals and their limits, shape (scopes,): NaN is unmeasured, infinite is no limit."""

    value: Floats
    low: Floats
    high: Floats
    """Where it equals `low`, the value is known exactly."""
    at_least: Floats
    at_most: Floats
    n: Floats
    n_effective: Floats | None = None
    """The cases that the value rests on; None where those are all."""
    clusters: Floats | None = None
    """How many independent units the cases come in, NaN where each is one; None where all are."""
    strict: bool = False
    """Whether a value at its limit is on the bad side."""
    simultaneous: bool = False
    """Whether the intervals hold all together already, so that no correction is due."""


@dataclass(frozen=True, kw_only=True)
class BoundDecisions:
    """What the intervals decide, shape (scopes,): whole on the good side, or on the bad one."""

    of: Intervals
    passed: Bools
    failed: Bools
    """Also after the correction for many scopes."""
    failed_alone: Bools
    error: float
    """What an interval misses on one side."""
    tests: int
    """How many scopes the failures are corrected for."""

    @property
    def needed_cases(self) -> Floats:
        """How many cases at the scope, with those that there are, would decide, to two figures.

        Infinite where they are more than `MOST_TIMES` those; NaN where it is decided, and where no
        interval tells.
        """
        return self._needed[0]

    @property
    def more_clusters(self) -> Floats:
        """How many clusters these are beyond those that there are; NaN where cases are counted."""
        return self._needed[1]

    @cached_property
    def _needed(self) -> tuple[Floats, Floats]:
        cases, clusters = np.full((2, len(self.passed)), np.nan)
        is_open = _is_measured(self.of) & ~self.passed & ~self.failed
        if is_open.any():
            # Scopes that fail stay shown, and leave fewer to correct for.
            shown = int((self.failed & _is_estimated(self.of)).sum())
            left = 1 if self.of.simultaneous else max(self.tests - shown, 1)
            some = _some(self.of, is_open)
            cases[is_open], clusters[is_open] = _needed(some, self.error, self.tests, left)
        return cases, clusters


def decide_bounds(of: Intervals, confidence: float) -> BoundDecisions:
    """Hold intervals against limits.

    A PASS of all scopes needs no correction: it errs only where at least one scope is bad, and
    that one passes with the probability that its interval ends on the wrong side of the truth:
    e / 2, where e is 1 - confidence (Berger's intersection-union test). To name failures, each of
    K scopes is tested: the one-sided p-value of "the scope keeps its limit c" is
    Phi(-z (c - value) / half), where `half` is the width of the interval's half towards c and z
    its quantile, so that it is e / 2 exactly where the interval ends at c. Those of all scopes are
    adjusted by Holm, and a scope fails at e / 2. What is known exactly is no test.
    """
    error = (1 - confidence) / 2
    least, most = _keeps(of.low, of)[0], _keeps(of.high, of)[1]
    passed = (least | (of.at_least == -np.inf)) & (most | (of.at_most == np.inf))
    below = ~_keeps(of.high, of)[0] & ~np.isnan(of.high)
    above = ~_keeps(of.low, of)[1] & ~np.isnan(of.low)
    failed_alone = below | above
    tested = _is_estimated(of)
    tests = int(tested.sum())
    failed = failed_alone
    if tests > 1 and not of.simultaneous:
        p_value = np.where(tested, _p_values(of, error), np.nan)
        shown = np.nan_to_num(holm(p_value), nan=1.0) <= error
        failed = failed_alone & (shown | ~tested)
    return BoundDecisions(
        of=of,
        passed=passed & _is_measured(of),
        failed=failed,
        failed_alone=failed_alone,
        error=error,
        tests=tests,
    )


def decide_values(of: Intervals) -> BoundDecisions:
    """Hold values against limits, as if they were known exactly."""
    at_value = replace(of, low=of.value, high=of.value)
    bad = _is_bad(of.value, of)
    return BoundDecisions(
        of=at_value,
        passed=_is_good(of.value, of),
        failed=bad,
        failed_alone=bad,
        error=0.0,
        tests=0,
    )


def _is_measured(of: Intervals) -> Bools:
    """Tell which scopes have an end at least."""
    there: Bools = ~(np.isnan(of.low) & np.isnan(of.high))
    return there


def _is_estimated(of: Intervals) -> Bools:
    """Tell which scopes are measured, and not known exactly."""
    estimated: Bools = _is_measured(of) & (of.low != of.high)
    return estimated


def _keeps(end: Floats, of: Intervals) -> tuple[Bools, Bools]:
    """Tell which ends keep the least and which the most, up to rounding; NaN keeps none."""

    def inside(limit: Floats, sign: int) -> Bools:
        with np.errstate(invalid="ignore"):
            # At a limit of 0 there is no size but the distance from the value to the end.
            size = np.where(limit == 0, np.abs(of.value - end), np.abs(limit))
            rounding = ROUNDING * np.where(np.isfinite(size), size, 0.0)
            distance = sign * (end - limit)
        return distance > rounding if of.strict else distance >= -rounding

    return inside(of.at_least, 1), inside(of.at_most, -1)


def _is_good(end: Floats, of: Intervals) -> Bools:
    least, most = _keeps(end, of)
    return least & most


def _is_bad(end: Floats, of: Intervals) -> Bools:
    return ~_is_good(end, of) & ~np.isnan(end)


def _p_values(of: Intervals, error: float) -> Floats:
    """Test at each scope that the limits are kept, one-sided."""
    z = -special.ndtri(error)
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        below = (of.at_least - of.value) / (of.high - of.value)
        above = (of.value - of.at_most) / (of.value - of.low)
    # Only one limit can be broken; a value at its limit has a distance of 0, or 0 / 0.
    distance = np.nan_to_num(np.fmax(below, above), nan=0.0, posinf=np.inf, neginf=-np.inf)
    p_value: Floats = special.ndtr(-z * distance)
    return np.where(_is_bad(of.value, of), p_value, 1.0)


def _some(of: Intervals, which: npt.NDArray[Any]) -> Intervals:
    """Give some of the scopes alone."""
    effective, clusters = of.n_effective, of.clusters
    return replace(
        of,
        value=of.value[which],
        low=of.low[which],
        high=of.high[which],
        at_least=of.at_least[which],
        at_most=of.at_most[which],
        n=of.n[which],
        n_effective=None if effective is None else effective[which],
        clusters=None if clusters is None else clusters[which],
    )


@dataclass(frozen=True, kw_only=True)
class _Rule:
    """What decides a scope with more data."""

    error: float
    """What an interval alone misses on one side."""
    tail: float
    """What the intervals that there are miss on one side; less where they hold all together."""
    halves: float
    """How many halves of its interval a bad value has to be beyond its limit."""


def _needed(of: Intervals, error: float, tests: int, left: int) -> tuple[Floats, Floats]:
    """Plan for open scopes: how many cases in all would decide, and how many clusters more."""
    rule = _Rule(
        error=error,
        tail=2 * error / max(tests, 1) if of.simultaneous else error,
        halves=float(special.ndtri(error / left) / special.ndtri(error)),
    )
    outside = (of.value < of.low) | (of.value > of.high)
    # Of an interval that is open as well there is no middle, and nothing to plan on.
    low, high = (np.where(np.isfinite(end), end, np.nan) for end in (of.low, of.high))
    middle = np.where(outside, (low + high) / 2, of.value)
    of = replace(of, value=middle, low=low, high=high)
    effective = of.n if of.n_effective is None else of.n_effective
    clusters = np.full(len(of.n), np.nan) if of.clusters is None else of.clusters
    clustered = ~np.isnan(clusters)
    units = np.where(clustered, clusters, np.where(np.isnan(effective), of.n, effective))
    times = _times(of, units, clustered, rule)
    # What is too many to be counted is infinite.
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        more = _two_figures(np.maximum(units * (times - 1), 1))
        more = np.where(clustered, more, np.nan)
        times = np.where(clustered, 1 + more / units, times)
        cases = _two_figures(np.maximum(of.n * times, of.n + 1))
    # What is far beyond is not worth a search.
    rates = ~clustered & (of.n > 0) & (times < 2 * MOST_TIMES) & _are_counts(of, units, error)
    if rates.any():
        cases[rates] = _cases_for_rates(_some(of, rates), units[rates], cases[rates], rule)
    is_near = (times > MOST_TIMES) | (cases > MOST_TIMES * of.n)
    return np.where(is_near, np.inf, cases), np.where(is_near, np.nan, more)


def _times(of: Intervals, units: Floats, clustered: Bools, rule: _Rule) -> Floats:
    """Give how many times the units decide with the probability `POWER`.

    A value v is decided where the half of its interval towards the limit c has shrunk so far that
    v keeps q s(c) / root(m) from c in a share `POWER` of all samples of m units, for which

        root(m) |v - c| = q s(c) + z s(v)

    with q the interval's quantile, z that of the power, and s the spread of one unit. The spread
    at the null, c, is not the one at the alternative, v: an interval ends where the data begin to
    contradict, so that its halves a towards c and b away from it, in units of q / root(m), are
    the spreads at its ends. Between these the squares are taken to be straight: s(v)^2 = a b.

    Source: J. Lachin, Controlled Clinical Trials 2 (1981) 93, for spreads that are not equal.
    """

    def quantile(units: Floats) -> Floats:
        freedom = np.clip(units - 1, 1, 1 / ROUNDING)
        student: Floats = -special.stdtrit(freedom, rule.tail)
        return np.where(clustered, student, -special.ndtri(rule.tail))

    good = _is_good(of.value, of)
    # A good value has to be shown within both limits, a bad one beyond the one that it breaks.
    both = np.isfinite(of.at_least) & np.isfinite(of.at_most)
    z = special.ndtri(np.where(good & both, (1 + POWER) / 2, POWER))
    halves = np.where(good, 1.0, rule.halves)
    lower, upper = of.value - of.low, of.high - of.value
    sides = []
    for limit, inside, outside in ((of.at_least, lower, upper), (of.at_most, upper, lower)):
        towards, away = np.where(good, (inside, outside), (outside, inside))
        # An end that is open tells no spread; the other one stands for it where that suffices.
        away = np.where(np.isnan(away), towards, away)
        sides.append((np.abs(of.value - limit), towards, away))
    matters = [np.isfinite(limit) for limit in (of.at_least, of.at_most)]
    matters = [m & (good | ~keeps) for m, keeps in zip(matters, _keeps(of.value, of), strict=True)]
    now = then = quantile(units)
    times = np.ones(len(units))
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        for _ in range(_MOST_STEPS if clustered.any() else 1):
            times = np.ones(len(units))
            for (distance, towards, away), counts in zip(sides, matters, strict=True):
                # Where failing takes more than one half, the interval ends before the limit.
                end = np.minimum(distance * (then + z) / (halves * then + z), towards)
                null = np.sqrt(towards * away + (towards - away) * end)
                root = (halves * then * null + z * np.sqrt(towards * away)) / (now * distance)
                times = np.where(counts, np.maximum(times, root**2), times)
            then = quantile(units * times)
    return times


def _are_counts(of: Intervals, cases: Floats, error: float) -> Bools:
    """Tell which are shares of cases, whose intervals are the exact ones for their counts."""
    hits = np.rint(of.value * cases)
    whole: Bools = (cases > 0) & (np.rint(cases) == cases) & (hits >= 0) & (hits <= cases)
    whole &= np.isclose(hits, of.value * cases, rtol=ROUNDING, atol=0)
    low, high = rate_interval(np.where(whole, hits, 0), np.where(whole, cases, 1), 1 - 2 * error)
    for own, exact in ((of.low, low), (of.high, high)):
        whole &= np.isclose(own, exact, rtol=ROUNDING, atol=0)
    return whole


def _cases_for_rates(of: Intervals, among: Floats, planned: Floats, rule: _Rule) -> Floats:
    """Give the least number of two figures from which on exact intervals decide as promised.

    The binomial distribution is inverted: no normal curve tells the power where few hits or few
    misses are expected. Power goes up and down with the number of cases, since hits are whole;
    so it is the first number after which no larger one, of two figures, has less.
    """
    share = among / of.n
    # Numbers of two figures in their order: ninety in each power of ten.
    ladder = np.multiply.outer(10.0 ** np.arange(_DECADES), np.arange(_TEN, 100)).ravel()
    least = np.searchsorted(ladder, of.n + 1)
    first = np.maximum(np.searchsorted(ladder, _BEFORE * planned), least)
    result = np.full(len(of.n), np.nan)
    for _ in range(_MOST_STEPS):
        todo = np.flatnonzero(np.isnan(result))
        if not len(todo):
            break
        sizes = ladder[first[todo, None] + np.arange(_SIZES)]
        power = _power(_some(of, todo), np.rint(sizes * share[todo, None]), rule)
        held = np.minimum.accumulate(power[:, ::-1], axis=1)[:, ::-1] >= POWER
        found = held.argmax(axis=1)
        decided = held.any(axis=1) & ((found > 0) | (first[todo] == least[todo]))
        decided |= sizes[:, 0] > MOST_TIMES * of.n[todo]
        result[todo[decided]] = sizes[decided, found[decided]]
        step = np.where(held.any(axis=1), -_SIZES // 2, _SIZES - 1)
        first[todo] = np.maximum(first[todo] + step, least[todo])
    return np.where(np.isnan(result), np.inf, result)


def _power(of: Intervals, cases: Floats, rule: _Rule) -> Floats:
    """Give how probably exact intervals of so many cases decide, shape (scopes, sizes)."""

    def spread(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
        return np.broadcast_to(values[:, None], cases.shape).ravel()

    good, is_low = _is_good(of.value, of), of.value < of.at_least
    # Where the upper end counts, misses are looked at as hits are.
    mirrored = ~good & is_low
    shown = _shown(
        cases.ravel(),
        spread(np.where(mirrored, 1 - of.value, of.value)),
        spread(np.where(mirrored, 1 - of.at_least, np.where(good, of.at_least, of.at_most))),
        rule,
        passes=spread(good),
    )
    within = _shown(
        cases.ravel(),
        spread(1 - of.value),
        spread(np.where(good, 1 - of.at_most, -np.inf)),
        rule,
        passes=spread(good),
    )
    power: Floats = shown + within - 1
    return power.reshape(cases.shape)


def _shown(cases: Floats, rate: Floats, limit: Floats, rule: _Rule, *, passes: Bools) -> Floats:
    """Give how probably the lower end of a rate shows it beyond a limit; surely without a limit.

    The interval is Clopper and Pearson's, which takes a hundredth of the time of Blaker's, holds
    it, and is wider by less than two figures tell.
    """
    halves = np.where(passes, 1.0, rule.halves)
    limited = np.isfinite(limit)
    # More hits show more: the fewest that do lie above those that are expected at the limit.
    few = np.where(limited, np.clip(np.floor(cases * limit), 0, cases), -1)
    enough = np.where(limited, cases + 1, 0)
    while (left := np.flatnonzero(enough - few > 1)).size:
        hits, among = np.floor((few[left] + enough[left]) / 2), cases[left]
        end = hits / among - (hits / among - limit[left]) / halves[left]
        is_shown = special.betainc(hits, among - hits + 1, end) <= rule.error
        enough[left] = np.where(is_shown, hits, enough[left])
        few[left] = np.where(is_shown, few[left], hits)
    inside = (enough > 0) & (enough <= cases)
    least = np.where(inside, enough, 1)
    chance = special.betainc(least, cases - least + 1, rate)
    probability: Floats = np.where(inside, chance, enough == 0)
    return probability


def _two_figures(number: Floats) -> Floats:
    """Round a number up to two figures, and one below ten to a whole one."""
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        unit = 10.0 ** np.maximum(np.floor(np.log10(number)) - 1, 0)
        rounded: Floats = np.ceil(number / unit * (1 - ROUNDING)) * unit
    return np.where(np.isfinite(number), rounded, number)
