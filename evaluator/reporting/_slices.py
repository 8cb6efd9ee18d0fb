"""Slices: those that stand out, one metric's map of them, and the additional ones."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import pandas as pd

from evaluator.certification import format_count, format_metric, format_slice_states
from evaluator.metrics import METRICS
from evaluator.reporting._content import AuditContent, DashboardContent
from evaluator.reporting._formatting import format_place, format_status, format_value
from evaluator.reporting._plots import IntervalPlot, scale_of
from evaluator.scorecard import (
    ALL,
    SLICE_LEVEL,
    ClassFigure,
    Measurement,
    PredictedBin,
    ScoreBin,
    Scorecard,
    SliceState,
    read_additional_measurements,
    read_measurements,
    read_slices,
    slices_by_candidate,
)

ENOUGH_CASES = 30
"""Below this a slice's value is mostly noise, whatever it looks like."""

STEPS = 3
"""Shades on each side of the overall value."""

MAX_GROUPS = 50
"""How many groups of a level are shown."""

Direction = Literal["worse", "better", "lower", "higher"]
Scope = tuple[str | None, str | None]


@dataclass(frozen=True, kw_only=True)
class Standout:
    """One slice that is far from its candidate's overall measurement.

    Attributes
    ----------
    direction
        ``worse`` or ``better``; ``lower`` or ``higher`` for a metric that has no good side.
    value, overall, difference
        The slice's value, the candidate's overall value, and the first less the second.
    """

    measurement: Measurement
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
        By candidate, then metric, worse before better, and within a side by distance; of a metric
        that has a value a class, the furthest of all classes. Left out are measurements that are
        not ``ok``, slices whose interval holds the overall value, and a candidate without an
        overall measurement. Slices are picked after looking at all of them, so that the extreme
        ones are still partly extreme by chance.
    """
    known = read_measurements(measurements, metrics=metrics, levels=["overall", SLICE_LEVEL])
    usable = [measurement for measurement in known if measurement.status == "ok"]
    found = []
    for candidate in dict.fromkeys(measurement.candidate for measurement in known):
        for metric in metrics:
            mine = [f for f in usable if f.candidate == candidate and f.metric == metric]
            overall = {f.class_: f.value for f in mine if f.level == "overall"}
            slices = [f for f in mine if f.level == SLICE_LEVEL]
            found += _standouts_of(slices, overall, minimum_support=minimum_support, most=most)
    return found


def _standouts_of(
    slices: Sequence[Measurement],
    overall_values: Mapping[str | None, float | None],
    *,
    minimum_support: int,
    most: int,
) -> list[Standout]:
    """Find them by the overall values of each class, or of no class."""
    standouts = [
        _compare(measurement, measurement.value, overall)
        for measurement in slices
        if (overall := overall_values.get(measurement.class_)) is not None
        and measurement.value is not None
        and measurement.value != overall
        and measurement.support >= minimum_support
        and not _holds(measurement, overall)
    ]
    standouts.sort(key=lambda standout: -abs(standout.difference))
    worst = [s for s in standouts if s.direction in {"worse", "lower"}]
    best = [s for s in standouts if s.direction in {"better", "higher"}]
    return worst[:most] + best[:most]


def _compare(measurement: Measurement, value: float, overall: float) -> Standout:
    difference = value - overall
    info = METRICS.get(measurement.metric)
    direction: Direction
    if info is None or info.higher_is_better is None:
        direction = "higher" if difference > 0 else "lower"
    else:
        direction = "better" if (difference > 0) == info.higher_is_better else "worse"
    return Standout(
        measurement=measurement,
        direction=direction,
        value=value,
        overall=overall,
        difference=difference,
    )


def _holds(measurement: Measurement, overall: float) -> bool:
    """Say whether a slice's interval holds the overall value; without an interval it does not."""
    if measurement.low is None or measurement.high is None:
        return False
    return measurement.low <= overall <= measurement.high


@dataclass(frozen=True, kw_only=True)
class HeatCell:
    """One scope of the map.

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

    shade: int | None = None
    value: float | None = None
    difference: float | None = None
    n: int | None = None
    label: str = ""
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class HeatMap:
    """One candidate's map: rows are geographies, columns are segments, margins come last.

    A margin of a dimension that divides nothing would repeat its one row or column.
    """

    candidate: str
    segments: Sequence[str]
    rows: Sequence[tuple[str, Sequence[HeatCell], HeatCell]]
    margins: Sequence[HeatCell]
    overall: HeatCell

    @property
    def is_of_one_geography(self) -> bool:
        """Whether no column divides by geography."""
        return [name for name, _, _ in self.rows] == [ALL]

    @property
    def is_of_one_segment(self) -> bool:
        """Whether no column divides by segment."""
        return list(self.segments) == [ALL]


def is_few(
    found: Measurement | ScoreBin | ClassFigure | PredictedBin, minimum_support: int
) -> bool:
    """Tell whether a value rests on too little to be called good or bad."""
    return found.status != "ok" or (found.n or 0) < minimum_support


def is_divided(scorecard: Scorecard) -> bool:
    """Tell whether there are other slices than the one of all cases."""
    return {(s.geography, s.segment) for s in read_slices(scorecard.slices)} != {(ALL, ALL)}


def heat_maps(content: DashboardContent, metric: str) -> list[HeatMap]:
    """Map one metric for each candidate, all with the same meaning of each shade."""
    measurements = read_measurements(content.scorecard.measurements, metrics=[metric])
    states = slices_by_candidate(content.scorecard.slices)
    by_candidate: dict[str, dict[Scope, Measurement]] = {}
    for measurement in measurements:
        by_candidate.setdefault(measurement.candidate, {})[measurement.scope] = measurement
    widest = max(
        (
            abs(measurement.value - overall)
            for measurement in measurements
            if measurement.level == SLICE_LEVEL
            and not is_few(measurement, content.minimum_support)
            and measurement.value is not None
            and (overall := _overall(by_candidate[measurement.candidate])) is not None
        ),
        default=0.0,
    )
    return [
        _map_of(
            candidate.name,
            by_candidate.get(candidate.name, {}),
            states.get(candidate.name, []),
            sign_of(metric) * widest,
            content.minimum_support,
        )
        for candidate in content.candidates
    ]


def map_finding(maps: Sequence[HeatMap], metric: str) -> str:
    """Name the worst slice of all candidates that has enough cases."""
    cells = [
        (cell.value, format_place(geography, segment), one.candidate)
        for one in maps
        for geography, row, _ in one.rows
        for segment, cell in zip(one.segments, row, strict=True)
        if cell.value is not None and cell.shade is not None
    ]
    if not cells:
        return f"no slice has enough cases for {format_metric(metric)}"
    value, place, candidate = min(cells, key=lambda cell: sign_of(metric) * cell[0])
    side = "lowest" if sign_of(metric) == 1 else "highest"
    return f"{format_metric(metric)} is {side} on {place}: {format_value(value)} ({candidate})"


def sign_of(metric: str) -> int:
    """Give -1 for a metric of which less is better, and 1 for any other."""
    info = METRICS.get(metric)
    return -1 if info is not None and info.higher_is_better is False else 1


def _map_of(
    candidate: str,
    measurements: Mapping[Scope, Measurement],
    states: Sequence[SliceState],
    widest: float,
    minimum_support: int,
) -> HeatMap:
    by_scope = {(state.geography, state.segment): state for state in states}
    scopes = [*by_scope, *(scope for scope in measurements if None not in scope)]
    geographies = list(dict.fromkeys(g for g, _ in scopes if g is not None))
    segments = list(dict.fromkeys(s for _, s in scopes if s is not None))
    overall = _overall(measurements)

    def cell(geography: str | None, segment: str | None) -> HeatCell:
        state = by_scope.get((geography, segment)) if geography and segment else None
        found = measurements.get((geography, segment))
        return _cell(found, state, overall, widest, minimum_support)

    return HeatMap(
        candidate=candidate,
        segments=segments,
        rows=[(g, [cell(g, s) for s in segments], cell(g, None)) for g in geographies],
        margins=[cell(None, s) for s in segments],
        overall=cell(None, None),
    )


def _cell(
    measurement: Measurement | None,
    state: SliceState | None,
    overall: float | None,
    widest: float,
    minimum_support: int,
) -> HeatCell:
    if state is not None and not state.is_current:
        return HeatCell(label=state.state)
    if measurement is None:
        return HeatCell(label="not measured")
    difference = None
    if measurement.value is not None and overall is not None:
        difference = measurement.value - overall
    few = is_few(measurement, minimum_support)
    status = "too_few" if measurement.status == "ok" and few else measurement.status
    return HeatCell(
        shade=None if few else _shade(difference, widest),
        value=measurement.value,
        difference=difference,
        n=measurement.n,
        label=format_status(status) if few else "",
        note=measurement.reason,
    )


def _shade(difference: float | None, widest: float) -> int | None:
    """Give a shade: thirds of the widest difference of any slice, rounded to the nearest."""
    if difference is None:
        return None
    share = 0.0 if widest == 0 else difference / widest
    return max(-STEPS, min(STEPS, round(STEPS * share)))


def _overall(measurements: Mapping[Scope, Measurement]) -> float | None:
    measurement = measurements.get((None, None))
    return None if measurement is None or measurement.status != "ok" else measurement.value


@dataclass(frozen=True, kw_only=True)
class AdditionalSliceCell:
    """One candidate's measurement in one group; None where it was not measured there."""

    measurement: Measurement | None
    few: bool
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


def additional_slice_tables(content: DashboardContent, metric: str) -> list[AdditionalSliceTable]:
    """Arrange one metric of the additional slices, one table a level."""
    measurements = read_additional_measurements(
        content.scorecard.additional_measurements, metric=metric
    )
    levels: dict[str, dict[str, dict[str, Measurement]]] = {}
    for measurement in measurements:
        groups = levels.setdefault(measurement.level, {})
        groups.setdefault(str(measurement.segment), {})[measurement.candidate] = measurement
    overall = {
        measurement.candidate: measurement.value
        for measurement in read_measurements(
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
    sign = sign_of(metric)

    def badness(group: str) -> tuple[int, float]:
        measurement = groups[group].get(first or "")
        if measurement is None or measurement.value is None:
            return 2, 0.0
        return int(is_few(measurement, content.minimum_support)), sign * measurement.value

    shown = sorted(groups, key=badness)[:MAX_GROUPS]
    names = [candidate.name for candidate in content.candidates]
    scale = scale_of(
        end
        for group in shown
        for measurement in groups[group].values()
        for end in (
            measurement.value,
            measurement.low,
            measurement.high,
            overall.get(measurement.candidate),
        )
    )

    def cell(measurement: Measurement | None) -> AdditionalSliceCell:
        few = measurement is not None and is_few(measurement, content.minimum_support)
        if measurement is None or measurement.value is None:
            return AdditionalSliceCell(measurement=measurement, few=few, plot=None)
        mark = overall.get(measurement.candidate)
        plot = scale.plot(measurement.value, low=measurement.low, high=measurement.high, mark=mark)
        return AdditionalSliceCell(measurement=measurement, few=few, plot=plot)

    rows = [(group, [cell(groups[group].get(name)) for name in names]) for group in shown]
    return AdditionalSliceTable(level=level, rows=rows, groups=len(groups))


def more_finding(tables: Sequence[AdditionalSliceTable], metric: str, candidate: str | None) -> str:
    """Count the groups of each level, and name the worst of the candidate that sorts them."""
    levels = ", ".join(
        f"{format_count(table.groups, 'group')} by {table.level}" for table in tables
    )
    found = [
        (measurement.value, measurement.segment)
        for table in tables
        for _, cells in table.rows
        for measurement in [one.measurement for one in cells if one.measurement and not one.few]
        if measurement.candidate == candidate and measurement.value is not None
    ]
    if not found:
        return levels
    value, group = min(found, key=lambda one: sign_of(metric) * one[0])
    side = "lowest" if sign_of(metric) == 1 else "highest"
    named = f"{format_metric(metric)} of {candidate} is {side} on {group}: {format_value(value)}"
    return f"{levels}; {named}"


def sorting_candidate(content: DashboardContent) -> str | None:
    """Name the candidate whose worst group comes first: the first certified one, or the first."""
    certified = {o.candidate for o in content.outcomes if o.outcome == "certified"}
    names = [candidate.name for candidate in content.candidates]
    return next((name for name in names if name in certified), next(iter(names), None))


def candidate_gaps(content: AuditContent) -> dict[str, str]:
    """Say of each candidate which of its slices the measurements are without; empty if of none."""
    states = slices_by_candidate(content.scorecard.slices)
    gaps = {}
    for candidate in content.candidates:
        own = states.get(candidate.name, [])
        gaps[candidate.name] = "" if all(s.is_current for s in own) else format_slice_states(own)
    return gaps
