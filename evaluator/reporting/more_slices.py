"""The tables of the further columns that an audit measures by."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from evaluator.certification.figures import Figure, read_figures, slices_by_candidate
from evaluator.certification.words import currency_words
from evaluator.metrics import METRICS
from evaluator.reporting.content import DashboardContent
from evaluator.reporting.plots import IntervalPlot, scale_of

MOST_GROUPS = 50
"""How many groups of a level are shown."""

_ORDER = {"ok": 0, "too_few": 1}


@dataclass(frozen=True, kw_only=True)
class MoreCell:
    """One candidate's figure in one group; without a figure it was not measured there."""

    figure: Figure | None
    plot: IntervalPlot | None


@dataclass(frozen=True, kw_only=True)
class MoreTable:
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
    rows: Sequence[tuple[str, Sequence[MoreCell]]]
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
        gaps[candidate.name] = "" if all(s.is_current for s in own) else currency_words(own)
    return gaps


def more_tables(content: DashboardContent, metric: str) -> list[MoreTable]:
    """Arrange one metric of the further slices, one table a level.

    Parameters
    ----------
    content
        What the dashboard shows.
    metric
        The metric to show.

    Returns
    -------
    list[MoreTable]
        In the order of the levels. Groups come worst first by `sorting_candidate`: those with an
        interval, then those with too few cases, then those without a value.
    """
    frame = content.scorecard.additional_measurements
    # Read as the scorecard is, the group in the place of a slice.
    figures = read_figures(frame.assign(geography=None, segment=frame["group"]), metrics=[metric])
    levels: dict[str, dict[str, dict[str, Figure]]] = {}
    for figure in figures:
        groups = levels.setdefault(figure.level, {})
        groups.setdefault(str(figure.segment), {})[figure.candidate] = figure
    overall = {
        figure.candidate: figure.value
        for figure in read_figures(
            content.scorecard.measurements, metrics=[metric], levels=["overall"]
        )
    }
    return [_table(content, metric, level, groups, overall) for level, groups in levels.items()]


def _table(
    content: DashboardContent,
    metric: str,
    level: str,
    groups: Mapping[str, Mapping[str, Figure]],
    overall: Mapping[str, float | None],
) -> MoreTable:
    first = sorting_candidate(content)
    info = METRICS.get(metric)
    sign = -1 if info is not None and info.higher_is_better is False else 1

    def badness(group: str) -> tuple[int, float]:
        figure = groups[group].get(first or "")
        if figure is None or figure.value is None:
            return len(_ORDER), 0.0
        return _ORDER.get(figure.status, len(_ORDER)), sign * figure.value

    shown = sorted(groups, key=badness)[:MOST_GROUPS]
    names = [candidate.name for candidate in content.candidates]
    scale = scale_of(
        end
        for group in shown
        for figure in groups[group].values()
        for end in (figure.value, figure.low, figure.high, overall.get(figure.candidate))
    )

    def cell(figure: Figure | None) -> MoreCell:
        if figure is None or figure.value is None:
            return MoreCell(figure=figure, plot=None)
        mark = overall.get(figure.candidate)
        plot = scale.plot(figure.value, low=figure.low, high=figure.high, mark=mark)
        return MoreCell(figure=figure, plot=plot)

    rows = [(group, [cell(groups[group].get(name)) for name in names]) for group in shown]
    return MoreTable(level=level, rows=rows, groups=len(groups))
