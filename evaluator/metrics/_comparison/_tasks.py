"""Multiclass classifiers and regressions compared on the same cases."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from evaluator.metrics._comparison._binary import mark_few_flips
from evaluator.metrics._comparison._differences import (
    CandidatePair,
    Difference,
    DiscordantCounts,
    PairedRateDifference,
    concat_levels,
    linear_difference,
)
from evaluator.metrics._estimates import (
    AtLevel,
    Estimate,
    FloatArray,
    LevelMetric,
    LinearisedEstimate,
    PairedTest,
    divide,
)
from evaluator.metrics._linear import SurveyDesign


@dataclass(frozen=True)
class _CandidateEstimate:
    """A candidate's metric at one level, as `PairedTest` has it."""

    test: PairedTest[Any]
    estimate: Estimate
    linear: LinearisedEstimate
    merit: FloatArray

    @classmethod
    def of(cls, form: LevelMetric[AtLevel], at: AtLevel) -> "_CandidateEstimate":
        """Measure a candidate in the forms that a comparison needs."""
        estimate, test = form.measure(at), form.paired
        if test is None or not isinstance(estimate, Estimate):
            raise TypeError("there is no paired test of this metric")
        return cls(test, estimate, test.linear(at), test.merit(at))


def compare_levels(
    designs: Sequence[SurveyDesign],
    level_of: Callable[[str, SurveyDesign], AtLevel],
    pairs: Sequence[CandidatePair],
    forms: Mapping[str, LevelMetric[AtLevel]],
    error: float,
) -> dict[CandidatePair, dict[str, Difference]]:
    """Compare pairs of candidates by all metrics at every level."""
    names = sorted({name for pair in pairs for name in pair})

    def at_level(design: SurveyDesign) -> dict[tuple[CandidatePair, str], Difference]:
        levels = {name: level_of(name, design) for name in names}
        found = {}
        for metric, form in forms.items():
            ones = {name: _CandidateEstimate.of(form, at) for name, at in levels.items()}
            for pair in pairs:
                both = ones[pair[0]], ones[pair[1]]
                found[pair, metric] = _difference(design, both, pair, error)
        return found

    found = concat_levels(at_level(design) for design in designs)
    return {pair: {metric: found[pair, metric] for metric in forms} for pair in pairs}


def _difference(
    design: SurveyDesign,
    ones: tuple[_CandidateEstimate, _CandidateEstimate],
    pair: CandidatePair,
    error: float,
) -> Difference:
    one, other = ones
    test = one.test
    more = design.total(one.merit > other.merit)
    fewer = design.total(one.merit < other.merit)
    flips = DiscordantCounts(more, fewer)
    effective = np.fmin(one.estimate.effective, other.estimate.effective)
    estimate = Estimate(one.linear.value - other.linear.value, effective)
    for name, single in zip(pair, ones, strict=True):
        for reason in dict.fromkeys(single.estimate.reason[single.estimate.undefined]):
            where = single.estimate.undefined & (single.estimate.reason == reason)
            own = f"{reason} by {name!r}" if "predicted" in str(reason) else str(reason)
            estimate.mark_undefined(where, own)
    estimate.mark_shortfall(test.fewest, "cases", effective)
    if test.hits:
        mark_few_flips(estimate, flips, error)
    if test.hits and design.cluster is None:
        estimate.value = np.where(estimate.undefined, np.nan, divide(more - fewer, design.n))
        return Difference(
            estimate, flips, PairedRateDifference(more, fewer, np.maximum(design.n, 1))
        )
    linear = one.linear, other.linear
    return linear_difference(
        design, linear, estimate, flips, skewed=test.skewed, largest=test.largest
    )
