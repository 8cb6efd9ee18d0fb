"""Every metric of every slice, all candidates side by side: what a slice's own view is."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from evaluator.metrics import METRICS
from evaluator.reporting._content import DashboardContent
from evaluator.scorecard import Measurement, read_measurements

MOST_CELLS: Final = 40_000
"""With more values than these, only the headline metrics stand on the page."""


@dataclass(frozen=True, kw_only=True)
class ScopeRow:
    """One metric in one scope: the measurement of each candidate, None where it has none.

    Attributes
    ----------
    geography, segment
        None where it is of all.
    of_class
        None where the metric has one value over all classes.
    side
        ``higher`` or ``lower``, whichever is better; empty where neither is.
    cases
        The most that any candidate was measured on.
    """

    geography: str | None
    segment: str | None
    metric: str
    of_class: str | None
    side: str
    cases: int
    cells: Sequence[Measurement | None]


@dataclass(frozen=True, kw_only=True)
class EverySlice:
    """All scopes, overall first, then margins and slices; and whether all metrics are there."""

    candidates: Sequence[str]
    rows: Sequence[ScopeRow]
    is_whole: bool


def every_slice(content: DashboardContent) -> EverySlice:
    """Lay out all that was measured by geography and segment."""
    measurements = content.scorecard.measurements
    is_whole = len(measurements) <= MOST_CELLS
    read = read_measurements(measurements, metrics=None if is_whole else content.headline_metrics)
    candidates = [candidate.name for candidate in content.candidates]
    found: dict[
        tuple[str | None, str | None], dict[tuple[str, str | None], dict[str, Measurement]]
    ] = {}
    for one in read:
        by_metric = found.setdefault(one.scope, {})
        by_metric.setdefault((one.metric, one.class_), {})[one.candidate] = one
    scopes = sorted(found, key=lambda scope: sum(part is not None for part in scope))
    return EverySlice(
        candidates=candidates,
        rows=[
            ScopeRow(
                geography=scope[0],
                segment=scope[1],
                metric=metric,
                of_class=of_class,
                side=_better_side(metric),
                cases=max(one.n or 0 for one in by_candidate.values()),
                cells=[by_candidate.get(name) for name in candidates],
            )
            for scope in scopes
            for (metric, of_class), by_candidate in found[scope].items()
        ],
        is_whole=is_whole,
    )


def _better_side(metric: str) -> str:
    info = METRICS.get(metric)
    is_higher = None if info is None else info.higher_is_better
    return "" if is_higher is None else "higher" if is_higher else "lower"
