"""What gates on the data see: days that arrived, counted and not estimated."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from evaluator.certification.figures import Figure, number
from evaluator.certification.looks import Limits, Look
from evaluator.certification.words import count_words, list_words
from evaluator.findings.scorecard import DayFacts
from evaluator.spec.gates import DataQualityGate, DriftGate

REFUSED_ROWS = "refused rows"
REFUSED_DAYS = "refused days"


def quality_looks(gate: DataQualityGate, days: Sequence[DayFacts]) -> Iterator[Look]:
    """Look at the share of refused rows, and at the number of refused days.

    Parameters
    ----------
    gate
        The gate.
    days
        All days that arrived.
    """
    accepted = [day for day in days if day.refused is None]
    if gate.refused_share_at_most is not None:
        limits = Limits(at_most=gate.refused_share_at_most)
        yield _refused_rows(accepted, limits)
    if gate.refused_days_at_most is not None:
        limits = Limits(at_most=gate.refused_days_at_most)
        refused = [day.day.isoformat() for day in days if day.refused is not None]
        yield Look(
            limits=limits,
            group=REFUSED_DAYS,
            figure=Figure.counted(len(refused), len(days)) if days else None,
            problem="" if days else "no day is recorded",
            remark=f"of {count_words(len(days), 'day')}"
            + (f": {list_words(refused)}" if refused else ""),
        )


def _refused_rows(accepted: Sequence[DayFacts], limits: Limits) -> Look:
    unknown = [day for day in accepted if day.rows is None or day.quarantined is None]
    rows = sum(day.rows or 0 for day in accepted)
    if unknown or not rows:
        problem = (
            f"nobody counted the rows of {unknown[0].day.isoformat()}"
            if unknown
            else "no row was accepted or refused"
        )
        return Look(limits=limits, group=REFUSED_ROWS, problem=problem)
    quarantined = sum(day.quarantined or 0 for day in accepted)
    return Look(
        limits=limits,
        group=REFUSED_ROWS,
        figure=Figure.counted(quarantined / rows, rows),
        remark=f"({quarantined:,} of {count_words(rows, 'row')})",
    )


def drift_looks(gate: DriftGate, days: Sequence[DayFacts]) -> Iterator[Look]:
    """Look at each accepted day: at the column that is furthest from the reference.

    Parameters
    ----------
    gate
        The gate.
    days
        All days that arrived; those that are the reference are not compared with it.
    """
    limits = Limits(at_most=gate.drift_below, strict=True)
    compared = [day for day in days if day.refused is None and not day.is_reference]
    if not compared:
        yield Look(limits=limits, problem="no accepted day was compared with the reference")
    for day in compared:
        yield _drift_of(gate, day, limits)


def _drift_of(gate: DriftGate, day: DayFacts, limits: Limits) -> Look:
    name = day.day.isoformat()
    if not day.drift:
        return Look(limits=limits, group=name, problem="drift was not measured")
    columns = gate.columns or tuple(day.drift)
    distances = {column: _distance(day.drift, column, gate.measure) for column in columns}
    undefined = [column for column, distance in distances.items() if distance is None]
    known = {column: distance for column, distance in distances.items() if distance is not None}
    if not known:
        problem = f"the drift of {undefined[0]} is undefined"
        return Look(limits=limits, group=name, problem=problem)
    column, distance = max(known.items(), key=lambda item: item[1])
    return Look(
        limits=limits,
        group=name,
        figure=Figure.counted(distance, day.rows),
        remark=f"in {column}",
        doubt=f"the drift of {undefined[0]} is undefined" if undefined else "",
    )


def _distance(drift: Mapping[str, Mapping[str, Any]], column: str, measure: str) -> float | None:
    return number(drift.get(column, {}).get(measure))
