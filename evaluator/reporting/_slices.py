"""The map of one metric over geography x segment, for each candidate."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import pandas as pd

from evaluator.certification import format_slice_states
from evaluator.metrics import METRICS
from evaluator.reporting._content import DashboardContent
from evaluator.reporting._plots import IntervalPlot, scale_of
from evaluator.scorecard import (
    SLICE_LEVEL,
    Measurement,
    SliceState,
    read_measurements,
    read_slices,
    slices_by_candidate,
)

STEPS = 3
"""Shades on each side of the overall value."""


Scope = tuple[str | None, str | None]
Direction = Literal["worse", "better", "lower", "higher"]
ENOUGH_CASES = 30
"""Below this a slice's value is mostly noise, whatever it looks like."""
MAX_GROUPS = 50
"""How many groups of a level are shown."""
_ORDER = {"ok": 0, "too_few": 1}


@dataclass(frozen=True, kw_only=True)
class HeatCell:
    """One place of the map.

    Attributes
    ----------
    shade
        From -STEPS (furthest on the worse side) to STEPS; None where no value may be compared.
    value, difference, n
        The value, what it is more than the overall one, and its cases; None where there is none.
    label
        ``undefined``, ``missing``, ``outdated``, ``too few`` or ``not measured``; empty where all
        is well.
    note
        Why, for an undefined value or too few cases. Why a slice is missing or outdated can be
        long; that stands in a table of its own.
    """

    shade: int | None
    value: float | None
    difference: float | None
    n: int | None
    label: str = ""
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class HeatMap:
    """One candidate's map: rows are geographies, columns are segments, margins come last."""

    candidate: str
    segments: Sequence[str]
    rows: Sequence[tuple[str, Sequence[HeatCell], HeatCell]]
    margins: Sequence[HeatCell]
    overall: HeatCell


def heat_maps(content: DashboardContent, metric: str) -> list[HeatMap]:
    """Map one metric for each candidate, all with the same meaning of each shade."""
    figures = read_measurements(content.scorecard.measurements, metrics=[metric])
    states = read_slices(content.scorecard.slices)
    by_candidate: dict[str, dict[Scope, Measurement]] = {}
    for figure in figures:
        by_candidate.setdefault(figure.candidate, {})[figure.place] = figure
    widest = max(
        (
            abs(figure.value - overall)
            for figure in figures
            if figure.level == SLICE_LEVEL
            and figure.status == "ok"
            and figure.value is not None
            and (overall := _overall(by_candidate[figure.candidate])) is not None
        ),
        default=0.0,
    )
    info = METRICS.get(metric)
    sign = -1 if info is not None and info.higher_is_better is False else 1
    return [
        _map_of(
            candidate.name,
            by_candidate.get(candidate.name, {}),
            [state for state in states if state.candidate == candidate.name],
            sign * widest,
        )
        for candidate in content.candidates
    ]


def _map_of(
    candidate: str,
    figures: Mapping[Scope, Measurement],
    states: Sequence[SliceState],
    widest: float,
) -> HeatMap:
    by_place = {(state.geography, state.segment): state for state in states}
    places = [*by_place, *(place for place in figures if None not in place)]
    geographies = list(dict.fromkeys(g for g, _ in places if g is not None))
    segments = list(dict.fromkeys(s for _, s in places if s is not None))
    overall = _overall(figures)

    def cell(geography: str | None, segment: str | None) -> HeatCell:
        state = by_place.get((geography, segment)) if geography and segment else None
        return _cell(figures.get((geography, segment)), state, overall, widest)

    return HeatMap(
        candidate=candidate,
        segments=segments,
        rows=[(g, [cell(g, s) for s in segments], cell(g, None)) for g in geographies],
        margins=[cell(None, s) for s in segments],
        overall=cell(None, None),
    )


def _cell(
    figure: Measurement | None, state: SliceState | None, overall: float | None, widest: float
) -> HeatCell:
    if state is not None and not state.is_current:
        return HeatCell(shade=None, value=None, difference=None, n=None, label=state.state)
    if figure is None:
        return HeatCell(shade=None, value=None, difference=None, n=None, label="not measured")
    difference = None
    if figure.value is not None and overall is not None:
        difference = figure.value - overall
    is_ok = figure.status == "ok"
    return HeatCell(
        shade=_shade(difference, widest) if is_ok else None,
        value=figure.value,
        difference=difference,
        n=figure.n,
        label="" if is_ok else figure.status.replace("_", " "),
        note=figure.reason,
    )


def _shade(difference: float | None, widest: float) -> int | None:
    """Give a shade: thirds of the widest difference of any slice, rounded to the nearest."""
    if difference is None:
        return None
    share = 0.0 if widest == 0 else difference / widest
    return max(-STEPS, min(STEPS, round(STEPS * share)))


def _overall(figures: Mapping[Scope, Measurement]) -> float | None:
    figure = figures.get((None, None))
    return None if figure is None or figure.status != "ok" else figure.value


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

    figure: Measurement
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
    figures = read_measurements(measurements, metrics=metrics, levels=["overall", SLICE_LEVEL])
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
    slices: Sequence[Measurement], overall: float, *, minimum_support: int, most: int
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


def _compare(figure: Measurement, value: float, overall: float) -> Standout:
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


def _holds(figure: Measurement, overall: float) -> bool:
    """Say whether a slice's interval holds the overall value; without an interval it does not."""
    if figure.low is None or figure.high is None:
        return False
    return figure.low <= overall <= figure.high


@dataclass(frozen=True, kw_only=True)
class AdditionalSliceCell:
    """One candidate's figure in one group; without a figure it was not measured there."""

    figure: Measurement | None
    plot: IntervalPlot | None


@dataclass(frozen=True, kw_only=True)
class AdditionalSliceTable:
    """One level: rows are groups, columns are candidates.

    Attributes
    ----------
    level
        Such as ``carrier x origin``.
    rows
        A group such as ``carrier = B6, origin = JFK`` with one cell a candidate.
    groups
        How many groups the level has; the rows are the first of them.
    """

    level: str
    rows: Sequence[tuple[str, Sequence[AdditionalSliceCell]]]
    groups: int


def sorting_candidate(content: DashboardContent) -> str | None:
    """Name the candidate whose worst group comes first: the first certified one, or the first."""
    certified = {o.candidate for o in content.outcomes if o.outcome == "certified"}
    names = [candidate.name for candidate in content.candidates]
    return next((name for name in names if name in certified), next(iter(names), None))


def candidate_gaps(content: DashboardContent) -> dict[str, str]:
    """Say of each candidate which of its slices the figures are without; empty if of none."""
    states = slices_by_candidate(content.scorecard.slices)
    gaps = {}
    for candidate in content.candidates:
        own = states.get(candidate.name, [])
        gaps[candidate.name] = "" if all(s.is_current for s in own) else format_slice_states(own)
    return gaps


def additional_slice_tables(content: DashboardContent, metric: str) -> list[AdditionalSliceTable]:
    """Arrange one metric of the further slices, one table a level."""
    frame = content.scorecard.additional_measurements
    # Read as the scorecard is, the group in the place of a slice.
    figures = read_measurements(
        frame.assign(geography=None, segment=frame["group"]), metrics=[metric]
    )
    levels: dict[str, dict[str, dict[str, Measurement]]] = {}
    for figure in figures:
        groups = levels.setdefault(figure.level, {})
        groups.setdefault(str(figure.segment), {})[figure.candidate] = figure
    overall = {
        figure.candidate: figure.value
        for figure in read_measurements(
            content.scorecard.measurements, metrics=[metric], levels=["overall"]
        )
    }
    return [_table(content, metric, level, groups, overall) for level, groups in levels.items()]


def _table(
    content: DashboardContent,
    metric: str,
    level: str,
    groups: Mapping[str, Mapping[str, Measurement]],
    overall: Mapping[str, float | None],
) -> AdditionalSliceTable:
    first = sorting_candidate(content)
    info = METRICS.get(metric)
    sign = -1 if info is not None and info.higher_is_better is False else 1

    def badness(group: str) -> tuple[int, float]:
        figure = groups[group].get(first or "")
        if figure is None or figure.value is None:
            return len(_ORDER), 0.0
        return _ORDER.get(figure.status, len(_ORDER)), sign * figure.value

    shown = sorted(groups, key=badness)[:MAX_GROUPS]
    names = [candidate.name for candidate in content.candidates]
    scale = scale_of(
        end
        for group in shown
        for figure in groups[group].values()
        for end in (figure.value, figure.low, figure.high, overall.get(figure.candidate))
    )

    def cell(figure: Measurement | None) -> AdditionalSliceCell:
        if figure is None or figure.value is None:
            return AdditionalSliceCell(figure=figure, plot=None)
        mark = overall.get(figure.candidate)
        plot = scale.plot(figure.value, low=figure.low, high=figure.high, mark=mark)
        return AdditionalSliceCell(figure=figure, plot=plot)

    rows = [(group, [cell(groups[group].get(name)) for name in names]) for group in shown]
    return AdditionalSliceTable(level=level, rows=rows, groups=len(groups))
