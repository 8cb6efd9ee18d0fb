"""How the headline metrics moved over the evaluation sets that were certified on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final

import pandas as pd

from evaluator.certification import Verdict, format_metric, format_number
from evaluator.reporting._content import DashboardContent
from evaluator.reporting._plots import WIDTH, Scale, scale_of
from evaluator.scorecard import OVERALL, Measurement, read_measurements

_MARGIN: Final = 5
"""So far from its sides a drawing begins, that its dots are whole."""


@dataclass(frozen=True, kw_only=True)
class HistoryStep:
    """One metric on one evaluation set: the value, and where it is drawn; None without one."""

    day: date
    cases: int
    measurement: Measurement | None
    x: float
    y: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True, kw_only=True)
class MetricHistory:
    """One metric of one candidate, the oldest step first; `limits` are where those of gates are."""

    metric: str
    steps: Sequence[HistoryStep]
    line: str
    limits: Sequence[float]
    gates: Sequence[str]
    """The limits in words."""
    first: float
    last: float


@dataclass(frozen=True, kw_only=True)
class CandidateHistory:
    """One candidate's metrics, of those that were measured before."""

    name: str
    metrics: Sequence[MetricHistory]


@dataclass(frozen=True, kw_only=True)
class _Set:
    day: date
    cases: int
    found: Mapping[tuple[str, str], Measurement]


def candidate_histories(content: DashboardContent) -> list[CandidateHistory]:
    """Give one history a candidate that was measured on an earlier evaluation set."""
    measured = content.evaluation_set
    if not content.history or measured is None:
        return []
    sets = [
        *(
            _Set(
                day=earlier.last_day or earlier.created_at.date(),
                cases=earlier.cases,
                found=_by_key(content, earlier.measurements),
            )
            for earlier in content.history
        ),
        _Set(
            day=measured.last_day or content.created_at.date(),
            cases=measured.rows,
            found=_by_key(content, content.scorecard.measurements),
        ),
    ]
    scales = {metric: _scale(metric, sets, content.verdicts) for metric in content.headline_metrics}
    histories = [
        CandidateHistory(
            name=candidate.name,
            metrics=[
                found
                for metric, scale in scales.items()
                for found in [_history(candidate.name, metric, sets, scale, content.verdicts)]
                if found is not None
            ],
        )
        for candidate in content.candidates
    ]
    return [one for one in histories if one.metrics]


def history_finding(histories: Sequence[CandidateHistory]) -> str:
    """Say how the first metric of the first candidate moved."""
    first = histories[0]
    moved = first.metrics[0]
    return (
        f"{format_metric(moved.metric)} of {first.name} {format_number(moved.first)} to"
        f" {format_number(moved.last)}"
    )


def _by_key(
    content: DashboardContent, measurements: pd.DataFrame
) -> dict[tuple[str, str], Measurement]:
    read = read_measurements(measurements, metrics=content.headline_metrics, levels=[OVERALL])
    return {(one.candidate, one.metric): one for one in read}


def _limits_of(
    metric: str, verdicts: Sequence[Verdict], candidate: str | None
) -> list[tuple[str, float]]:
    """Give the limits of gates on a metric over all cases; of one candidate, or of any."""
    return [
        (sign, limit)
        for verdict in verdicts
        if verdict.kind == "metric" and verdict.metric == metric and verdict.level == OVERALL
        if candidate in (None, verdict.candidate)
        for sign, limit in (("≥", verdict.minimum), ("≤", verdict.maximum))
        if limit is not None
    ]


def _scale(metric: str, sets: Sequence[_Set], verdicts: Sequence[Verdict]) -> Scale:
    known = [one for found in sets for (_, name), one in found.found.items() if name == metric]
    ends = [end for one in known for end in (one.value, one.low, one.high)]
    limits = [limit for _, limit in _limits_of(metric, verdicts, None)]
    return scale_of([*ends, *limits])


def _history(
    candidate: str, metric: str, sets: Sequence[_Set], scale: Scale, verdicts: Sequence[Verdict]
) -> MetricHistory | None:
    def up(value: float | None) -> float | None:
        return None if value is None else round(WIDTH - scale.position(value), 1)

    steps = []
    for number, one in enumerate(sets):
        found = one.found.get((candidate, metric))
        steps.append(
            HistoryStep(
                day=one.day,
                cases=one.cases,
                measurement=found,
                x=round(_MARGIN + (WIDTH - 2 * _MARGIN) * number / (len(sets) - 1), 1),
                y=None if found is None else up(found.value),
                low=None if found is None else up(found.low),
                high=None if found is None else up(found.high),
            )
        )
    values = [one.measurement.value for one in steps if one.measurement is not None]
    before = [value for value in values if value is not None]
    if steps[-1].y is None or len(before) < 2:  # noqa: PLR2004 - one value has no history
        return None
    limits = _limits_of(metric, verdicts, candidate)
    return MetricHistory(
        metric=metric,
        steps=steps,
        line=" ".join(f"{one.x:g},{one.y:g}" for one in steps if one.y is not None),
        limits=[round(WIDTH - scale.position(limit), 1) for _, limit in limits],
        gates=[f"{sign} {limit:g}" for sign, limit in limits],
        first=before[0],
        last=before[-1],
    )
