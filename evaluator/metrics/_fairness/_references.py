"""Which group each group is compared with, and what having chosen it from the data costs."""

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from evaluator.metrics._catalogue import Comparison
from evaluator.metrics._estimates import NO_ROWS, BoolArray, FloatArray, shortfall_reasons
from evaluator.metrics._fairness._clusters import Remainder
from evaluator.metrics._fairness._gaps import (
    ALONE,
    NO_COMMON_STRATUM,
    OF_THE_REFERENCE,
    ZERO_REFERENCE,
    Gap,
    GapRequest,
    GroupSummary,
    MeanSummary,
    RateSummary,
    is_set,
    mean_gaps,
    rate_gaps,
    what_remains,
)
from evaluator.metrics._levels import IntArray
from evaluator.metrics._linear import MIN_CLUSTERS

OVERALL = -1
# Pairs x strata (x clusters) that are compared in one pass: some tens of megabytes.
_MAX_PAIRS_AT_ONCE = 200_000


@dataclass(frozen=True)
class GapOptions:
    """What the caller decides about comparisons."""

    confidence: float
    # The fewest cases that either side of an interval rests on.
    minimum_support: int
    comparison: Comparison

    def request(self, low: float, high: float) -> GapRequest:
        """Ask for limits of these confidences."""
        return GapRequest(self.comparison, low, high, self.minimum_support)

    def corrected(self, times: int) -> float:
        """Give the confidence that holds for so many intervals at once, after Bonferroni."""
        return 1 - (1 - self.confidence) / max(times, 1)


@dataclass(frozen=True)
class ReferenceGaps:
    """The gaps of the groups of one level; arrays have shape (compared groups,)."""

    # Positions of the group and of its reference among the groups; -1 is the overall.
    group: IntArray
    reference: IntArray
    gap: Gap
    # Whether the gaps are the largest of several absolute ones.
    unsigned: bool = False


def compare_with_reference(
    parts: list[GroupSummary],
    favoured: Literal[-1, 0, 1],
    reference: Literal["best", "overall"] | int,
    options: GapOptions,
) -> ReferenceGaps:
    """Compare all groups of a level with their reference.

    *Against the best.* The gap is that to the most favoured of the other groups. With d_j the gap
    to group j it is min d_j, and is estimated by the smallest of all observed gaps. That the best
    is chosen after having seen the data is accounted for: the lower limit is the smallest of the
    lower limits against every other group, for which no correction is needed, since it errs only
    where the lower limit against the one true best errs; the upper limit is the smallest of the
    upper limits, and any of these may err, so that they come from intervals of confidence
    1 - error / (number of other groups). Groups below the minimum support are no candidates.
    Sources: R. L. Berger, Technometrics 24 (1982) 295, for the first; D. G. Edwards, J. C. Hsu,
    Journal of the American Statistical Association 78 (1983) 965, for comparisons with the best.

    *Two rates at once.* The gap is the largest of the absolute gaps (of logarithms, for ratios) of
    both rates, against the best to any other group. In the same way its upper limit is the
    largest of the single upper limits without correction, and its lower limit is the largest of
    lower limits from intervals of confidence 1 - error / (2 x number of single gaps).
    """
    pairs, others = _pairs(parts, reference, options.minimum_support)
    if favoured == 0:
        return _largest(parts, pairs, options, len(parts) * others)
    if reference == "best":
        return _to_best(parts[0], pairs, favoured, options, others)
    (gap,) = pairs.compare(parts[0], options.request(options.confidence, options.confidence))
    chosen = pairs.reference(np.zeros(len(pairs.groups), np.intp))
    return ReferenceGaps(pairs.groups, chosen, gap)


@dataclass(frozen=True)
class GroupPairs:
    """Every group with every candidate for its reference, or with the rest if there are none."""

    groups: IntArray
    candidates: IntArray | None

    @property
    def shape(self) -> tuple[int, int]:
        """Numbers of groups and of candidates."""
        return len(self.groups), 1 if self.candidates is None else len(self.candidates)

    @property
    def itself(self) -> BoolArray:
        """Whether a pair is a group with itself, shape (groups, candidates)."""
        if self.candidates is None:
            return np.zeros(self.shape, dtype=bool)
        return np.equal.outer(self.groups, self.candidates)

    def reference(self, chosen: IntArray) -> IntArray:
        """Give the position of the reference that was chosen for each group."""
        if self.candidates is None:
            return np.full(len(self.groups), OVERALL)
        return self.candidates[chosen] if len(self.candidates) else chosen

    def compare(self, part: GroupSummary, *requests: GapRequest) -> list[Gap]:
        """Compare all pairs, group by group, as each of the requests wants it."""
        requests = tuple(replace(one, overall=self.candidates is None) for one in requests)
        ones = np.repeat(self.groups, self.shape[1])
        if self.candidates is None:
            others, twos = part.rest(), ones
        else:
            others, twos = part, np.tile(self.candidates, self.shape[0])
        size = max(_MAX_PAIRS_AT_ONCE // max(others.width, 1), 1)
        pieces = [slice(start, start + size) for start in range(0, max(len(ones), 1), size)]
        found = [compare(part.take(ones[at]), others.take(twos[at]), *requests) for at in pieces]
        return [Gap.concat(list(gaps)) for gaps in zip(*found, strict=True)]


def compare(one: GroupSummary, two: GroupSummary, *requests: GapRequest) -> list[Gap]:
    """Compare each group with the one at the same position; all requests are of one comparison.

    Against the overall the gap is computed from the one to all other groups, since the group is
    itself a part of the overall: with the group's share w of the cases, the difference to the
    overall is (1 - w) times that to the rest, and a ratio r to the rest is r / (w r + 1 - w) to
    the overall. Both grow with the gap to the rest, so that limits carry over exactly; the share
    is taken as it is.
    """
    left = what_remains(one, two, requests[0].comparison)
    return [_compare(one, two, request, left) for request in requests]


def _compare(
    one: GroupSummary, two: GroupSummary, request: GapRequest, left: Remainder | None
) -> Gap:
    if isinstance(one, RateSummary) and isinstance(two, RateSummary):
        gap = rate_gaps(one, two, request, left)
    elif isinstance(one, MeanSummary) and isinstance(two, MeanSummary):
        gap = mean_gaps(one, two, request, left)
    else:
        raise TypeError("a rate can only be compared with a rate, and a mean with a mean")
    undefined = np.select(
        [
            one.rows == 0,
            two.rows == 0,
            one.cases.sum(axis=1) == 0,
            two.cases.sum(axis=1) == 0,
            gap.strata == 0,
        ],
        [
            NO_ROWS,
            ALONE if request.overall else NO_ROWS + OF_THE_REFERENCE,
            f"no {one.what}",
            f"no {two.what}{OF_THE_REFERENCE}",
            NO_COMMON_STRATUM,
        ],
        gap.undefined,
    )
    least = request.minimum_support
    there, other_there = gap.cases, gap.other_cases
    shortfalls = []
    if left is not None:
        both = (one.cases > 0) & (two.cases > 0)
        there, other_there = one.count_cases(both), two.count_cases(both)
        shortfalls = [
            (MIN_CLUSTERS, "clusters" + OF_THE_REFERENCE, left.other.known.clusters),
            (MIN_CLUSTERS, "clusters", left.own.known.clusters),
        ]
    shortfalls += [(least, two.what + OF_THE_REFERENCE, other_there), (least, one.what, there)]
    too_few = gap.too_few
    for fewest, what, found in shortfalls:
        too_few = np.where(found < fewest, shortfall_reasons(fewest, what, found), too_few)
    return replace(gap, undefined=undefined, too_few=too_few)


def _pairs(
    parts: list[GroupSummary], reference: Literal["best", "overall"] | int, minimum_support: int
) -> tuple[GroupPairs, int]:
    """Give the pairs that are compared, and with how many other groups each group is."""
    groups = np.arange(len(parts[0].rows))
    if reference == "overall":
        return GroupPairs(groups, None), 1
    if reference != "best":
        return GroupPairs(groups[groups != reference], np.array([reference])), 1
    supported = np.all([part.is_supported(minimum_support) for part in parts], axis=0)
    candidates = groups[supported] if supported.sum() > 1 else groups
    return GroupPairs(groups, candidates), len(candidates) - 1


def _to_best(
    part: GroupSummary,
    pairs: GroupPairs,
    favoured: Literal[-1, 1],
    options: GapOptions,
    others: int,
) -> ReferenceGaps:
    """Find the gap to the most favoured other group."""
    plain, corrected = options.confidence, options.corrected(others)
    levels = (plain, corrected) if favoured == 1 else (corrected, plain)
    (gap,) = pairs.compare(part, options.request(*levels))
    signed = favoured * gap.value.reshape(pairs.shape)
    chosen = _choose_candidates(gap, pairs, -signed)
    known = _has_limits(gap, pairs)
    low, high = (
        favoured * _smallest(favoured * limit.reshape(pairs.shape), known)
        for limit in (gap.low, gap.high)
    )
    found = _alone(gap.take(_flat(chosen, pairs)), pairs)
    return ReferenceGaps(pairs.groups, pairs.reference(chosen), replace(found, low=low, high=high))


def _choose_candidates(gap: Gap, pairs: GroupPairs, prefer: FloatArray) -> IntArray:
    """Choose a candidate for every group: of those without a fault that of the largest `prefer`.

    Where every candidate has a fault, those with an interval come first, then those with a value,
    and of those with neither that of the most cases.
    """
    undefined, too_few = (
        is_set(reasons).reshape(pairs.shape) for reasons in (gap.undefined, gap.too_few)
    )
    fault = np.select([pairs.itself, undefined, too_few], [3, 2, 1], 0)
    first = np.where(undefined, gap.other_cases.reshape(pairs.shape), prefer)
    least = np.finfo(float).min
    first = np.nan_to_num(first, nan=least, neginf=least)
    first = np.where(fault == fault.min(axis=1, keepdims=True), first, -np.inf)
    chosen: IntArray = first.argmax(axis=1)
    return chosen


def _flat(chosen: IntArray, pairs: GroupPairs) -> IntArray:
    """Give the positions of the chosen candidates among all pairs."""
    return np.arange(pairs.shape[0]) * pairs.shape[1] + chosen


def _has_limits(gap: Gap, pairs: GroupPairs) -> BoolArray:
    """Say which pairs are of two groups that both have enough cases."""
    return ~is_set(gap.too_few).reshape(pairs.shape) & ~pairs.itself


def _smallest(limits: FloatArray, known: BoolArray) -> FloatArray:
    """Give the smallest known limit of every group; NaN where none is known."""
    there = known & ~np.isnan(limits)
    smallest: FloatArray = np.where(there, limits, np.inf).min(axis=1)
    return np.where(there.any(axis=1), smallest, np.nan)


def _alone(gap: Gap, pairs: GroupPairs) -> Gap:
    """Say of a group without any other that it cannot be compared."""
    if pairs.candidates is None or len(pairs.candidates) != 1 or not pairs.itself.any():
        return gap
    alone = pairs.itself[:, 0]
    return replace(
        gap,
        undefined=np.where(alone, ALONE, gap.undefined),
        other=np.where(alone, np.nan, gap.other),
        other_rows=np.where(alone, 0, gap.other_rows),
        other_cases=np.where(alone, 0, gap.other_cases),
    )


def _largest(
    parts: list[GroupSummary], pairs: GroupPairs, options: GapOptions, times: int
) -> ReferenceGaps:
    """Find the largest absolute gap of several quantities, to any of the candidates."""
    plain, corrected = options.confidence, options.corrected(times)
    requests = [options.request(level, level) for level in (plain, corrected)]
    gaps, strict = (
        list(of) for of in zip(*(pairs.compare(part, *requests) for part in parts), strict=True)
    )
    # Where one rate is 0 and the other is not, the smaller over the larger is 0.
    gaps = [
        replace(gap, undefined=np.where(gap.undefined == ZERO_REFERENCE, "", gap.undefined))
        for gap in gaps
    ]
    both = _with_faults_of_all(gaps)
    sizes = np.fmax.reduce([np.abs(gap.value) for gap in gaps])
    chosen = _choose_candidates(both, pairs, sizes.reshape(pairs.shape))
    known = _has_limits(both, pairs)
    upper = [
        np.nan_to_num(np.maximum(np.abs(gap.low), np.abs(gap.high)), nan=np.inf, posinf=np.inf)
        for gap in gaps
    ]
    lower = [np.fmax(np.fmax(gap.low, -gap.high), 0) for gap in strict]
    at = _flat(chosen, pairs)
    found = _larger([gap.take(at) for gap in gaps])
    unsigned = replace(
        found,
        value=np.abs(found.value),
        low=_largest_of(lower, pairs, known),
        high=_largest_of(upper, pairs, known),
        # Two rates stand behind the gap, and no single one.
        own=np.full(len(at), np.nan),
        other=np.full(len(at), np.nan),
        cases=np.min([gap.cases[at] for gap in gaps], axis=0),
        other_cases=np.min([gap.other_cases[at] for gap in gaps], axis=0),
        clusters=np.min([gap.clusters[at] for gap in gaps], axis=0),
        undefined=both.undefined[at],
        too_few=both.too_few[at],
    )
    found = _alone(unsigned, pairs)
    return ReferenceGaps(pairs.groups, pairs.reference(chosen), found, unsigned=True)


def _with_faults_of_all(gaps: list[Gap]) -> Gap:
    """Carry over to the first gaps what is at fault with any."""
    whole = gaps[0]
    for gap in gaps[1:]:
        whole = replace(
            whole,
            undefined=np.where(is_set(whole.undefined), whole.undefined, gap.undefined),
            too_few=np.where(is_set(whole.too_few), whole.too_few, gap.too_few),
            other_cases=np.minimum(whole.other_cases, gap.other_cases),
        )
    return whole


def _largest_of(limits: list[FloatArray], pairs: GroupPairs, known: BoolArray) -> FloatArray:
    """Give the largest limit of every group over its pairs and all quantities."""
    return -_smallest(-np.fmax.reduce(limits).reshape(pairs.shape), known)


def _larger(gaps: list[Gap]) -> Gap:
    """Take, pair by pair, the gap that is undefined, or else the largest."""
    sizes = [
        np.where(is_set(gap.undefined), np.inf, np.nan_to_num(np.abs(gap.value))) for gap in gaps
    ]
    which = np.argmax(sizes, axis=0)
    pairs = len(which)
    return Gap.concat(gaps).take(which * pairs + np.arange(pairs))
