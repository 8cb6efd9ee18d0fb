"""The map of one metric over geography x segment, for each candidate."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from evaluator.certification.figures import (
    Figure,
    SliceState,
    read_figures,
    read_slices,
)
from evaluator.findings.names import SLICE_LEVEL
from evaluator.metrics import METRICS
from evaluator.reporting.content import DashboardContent

STEPS = 3
"""Shades on each side of the overall value."""


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


Place = tuple[str | None, str | None]


def heat_maps(content: DashboardContent, metric: str) -> list[HeatMap]:
    """Map one metric for each candidate, all with the same meaning of each shade.

    Parameters
    ----------
    content
        What the dashboard shows.
    metric
        The metric to map.

    Returns
    -------
    list[HeatMap]
        One per candidate, in the audit's order. A slice that is missing or outdated shows that,
        and never a number; one that is undefined shows its reason.
    """
    figures = read_figures(content.scorecard.measurements, metrics=[metric])
    states = read_slices(content.scorecard.slices)
    by_candidate: dict[str, dict[Place, Figure]] = {}
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
    candidate: str, figures: Mapping[Place, Figure], states: Sequence[SliceState], widest: float
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
    figure: Figure | None, state: SliceState | None, overall: float | None, widest: float
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


def _overall(figures: Mapping[Place, Figure]) -> float | None:
    figure = figures.get((None, None))
    return None if figure is None or figure.status != "ok" else figure.value
