"""Pairs of groups, compared all at once."""

from dataclasses import dataclass, replace

import numpy as np

from evaluator.metrics.estimates import NO_ROWS, BoolArray, needs
from evaluator.metrics.fairness_gaps import (
    ALONE,
    NO_COMMON_STRATUM,
    OF_THE_REFERENCE,
    Asked,
    Gap,
)
from evaluator.metrics.fairness_means import mean_gaps
from evaluator.metrics.fairness_rates import rate_gaps
from evaluator.metrics.fairness_summaries import Means, Rates, Summary
from evaluator.metrics.levels import IntArray

OVERALL = -1
# Pairs x strata that are compared in one pass: some tens of megabytes.
_AT_ONCE = 200_000


@dataclass(frozen=True)
class Pairs:
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

    def compare(self, part: Summary, asked: Asked) -> Gap:
        """Compare all pairs, group by group."""
        asked = replace(asked, overall=self.candidates is None)
        ones = np.repeat(self.groups, self.shape[1])
        if self.candidates is None:
            others, twos = part.rest(), ones
        else:
            others, twos = part, np.tile(self.candidates, self.shape[0])
        size = max(_AT_ONCE // max(part.cases.shape[1], 1), 1)
        pieces = [slice(start, start + size) for start in range(0, max(len(ones), 1), size)]
        return Gap.joined(
            [compare(part.take(ones[here]), others.take(twos[here]), asked) for here in pieces]
        )


def compare(one: Summary, two: Summary, asked: Asked) -> Gap:
    """Compare each group with the one at the same position.

    Against the overall the gap is computed from the one to all other groups, since the group is
    itself a part of the overall: with the group's share w of the cases, the difference to the
    overall is (1 - w) times that to the rest, and a ratio r to the rest is r / (w r + 1 - w) to
    the overall. Both grow with the gap to the rest, so that limits carry over exactly; the share
    is taken as it is.
    """
    if isinstance(one, Rates) and isinstance(two, Rates):
        gap = rate_gaps(one, two, asked)
    elif isinstance(one, Means) and isinstance(two, Means):
        gap = mean_gaps(one, two, asked)
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
            ALONE if asked.overall else NO_ROWS + OF_THE_REFERENCE,
            f"no {one.what}",
            f"no {two.what}{OF_THE_REFERENCE}",
            NO_COMMON_STRATUM,
        ],
        gap.undefined,
    )
    too_few = gap.too_few
    sides = ((two.what + OF_THE_REFERENCE, gap.other_cases), (one.what, gap.cases))
    for what, there in sides:
        reasons = needs(asked.minimum_support, what, there)
        too_few = np.where(there < asked.minimum_support, reasons, too_few)
    return replace(gap, undefined=undefined, too_few=too_few)
