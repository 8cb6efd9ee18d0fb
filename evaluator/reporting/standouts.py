"""Which slices differ from their candidate's overall figure by more than their own noise."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import pandas as pd

from evaluator.certification.figures import Figure, read_figures
from evaluator.findings.names import SLICE_LEVEL
from evaluator.metrics import METRICS

Direction = Literal["worse", "better", "lower", "higher"]

ENOUGH_CASES = 30
"""Below this a slice's value is mostly noise, whatever it looks like."""


@dataclass(frozen=True, kw_only=True)
class Standout:
    """One slice that is far from its candidate's overall figure.

    Attributes
    ----------
    direction
        ``worse`` or ``better``; ``lower`` or ``higher`` for a metric that has no good side.
    value, overall, difference
        The slice's value, the candidate's overall value, and the first less the second.
    """

    figure: Figure
    direction: Direction
    value: float
    overall: float
    difference: float


def standout_slices(
    measurements: pd.DataFrame,
    *,
    metrics: Sequence[str],
    minimum_support: int = ENOUGH_CASES,
    most: int = 2,
) -> list[Standout]:
    """Find the slices that stand out, on both sides, for each candidate and metric.

    Parameters
    ----------
    measurements
        As `Scorecard.measurements`.
    metrics
        The metrics to look at.
    minimum_support
        The cases that a slice needs: of `n_effective`, which is what the metric rests on.
    most
        How many slices to name on each side.

    Returns
    -------
    list[Standout]
        By candidate, then metric, worse before better, and within a side by distance. Left out
        are figures that are not ``ok``, slices whose interval holds the overall value, and a
        candidate without an overall figure. Slices are picked after looking at all of them, so
        that the extreme ones are still partly extreme by chance.
    """
    figures = read_figures(measurements, metrics=metrics, levels=["overall", SLICE_LEVEL])
    usable = [figure for figure in figures if figure.status == "ok"]
    found = []
    for candidate in dict.fromkeys(figure.candidate for figure in figures):
        for metric in metrics:
            mine = [f for f in usable if f.candidate == candidate and f.metric == metric]
            overall = next((f.value for f in mine if f.level == "overall"), None)
            if overall is not None:
                slices = [f for f in mine if f.level == SLICE_LEVEL]
                found += _of_one(slices, overall, minimum_support=minimum_support, most=most)
    return found


def _of_one(
    slices: Sequence[Figure], overall: float, *, minimum_support: int, most: int
) -> list[Standout]:
    standouts = [
        _compare(figure, figure.value, overall)
        for figure in slices
        if figure.value is not None
        and figure.value != overall
        and figure.support >= minimum_support
        and not _holds(figure, overall)
    ]
    standouts.sort(key=lambda standout: -abs(standout.difference))
    worst = [s for s in standouts if s.direction in {"worse", "lower"}]
    best = [s for s in standouts if s.direction in {"better", "higher"}]
    return worst[:most] + best[:most]


def _compare(figure: Figure, value: float, overall: float) -> Standout:
    difference = value - overall
    info = METRICS.get(figure.metric)
    direction: Direction
    if info is None or info.higher_is_better is None:
        direction = "higher" if difference > 0 else "lower"
    else:
        direction = "better" if (difference > 0) == info.higher_is_better else "worse"
    return Standout(
        figure=figure,
        direction=direction,
        value=value,
        overall=overall,
        difference=difference,
    )


def _holds(figure: Figure, overall: float) -> bool:
    """Say whether a slice's interval holds the overall value; without an interval it does not."""
    if figure.low is None or figure.high is None:
        return False
    return figure.low <= overall <= figure.high
