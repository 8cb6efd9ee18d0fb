"""Positions for small drawings; the template draws them as SVG."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from evaluator.reporting._content import IntakeDay

WIDTH = 100
"""Width of an interval's drawing, in the units of its view box."""

BAR_STEP = 10
"""Distance from one day's bar to the next, in the units of the view box."""


@dataclass(frozen=True, kw_only=True)
class IntervalPlot:
    """A dot with its interval, a mark to compare it with and limits, from 0 to `WIDTH`."""

    dot: float
    low: float | None
    high: float | None
    mark: float | None
    limits: Sequence[float] = ()


@dataclass(frozen=True, kw_only=True)
class Scale:
    """A linear scale from values to positions."""

    lowest: float
    highest: float

    def position(self, value: float) -> float:
        """Give a value's position, rounded to what an eye can see."""
        span = self.highest - self.lowest
        share = 0.5 if span == 0 else (value - self.lowest) / span
        # A margin at both ends keeps the dots whole.
        return round(WIDTH * (0.05 + 0.9 * min(1.0, max(0.0, share))), 1)

    def plot(
        self,
        value: float,
        *,
        low: float | None,
        high: float | None,
        mark: float | None = None,
        limits: Sequence[float] = (),
    ) -> IntervalPlot:
        """Give the positions of one interval plot."""
        return IntervalPlot(
            dot=self.position(value),
            low=None if low is None else self.position(low),
            high=None if high is None else self.position(high),
            mark=None if mark is None else self.position(mark),
            limits=[self.position(limit) for limit in limits],
        )


def scale_of(values: Iterable[float | None]) -> Scale:
    """Make the scale that spans some values."""
    known = [value for value in values if value is not None]
    return Scale(lowest=min(known, default=0.0), highest=max(known, default=1.0))


def centred_scale(values: Iterable[float | None], *, centre: float = 0.0) -> Scale:
    """Make the scale that spans some values and has one value in its middle."""
    far = [abs(value - centre) for value in values if value is not None and math.isfinite(value)]
    widest = max(far, default=0.0) or 1.0
    return Scale(lowest=centre - widest, highest=centre + widest)


@dataclass(frozen=True, kw_only=True)
class DayBar:
    """One day of the intake: heights from 0 to 100."""

    x: int
    accepted: float
    quarantined: float
    broken: bool
    label: str


def day_bars(days: Sequence[IntakeDay]) -> list[DayBar]:
    """Give the bars of the intake's days."""
    most = max((_rows(day) for day in days if day.broken is None), default=0) or 1
    return [
        DayBar(
            x=index * BAR_STEP,
            accepted=round(100 * (day.accepted or 0) / most, 1),
            quarantined=round(100 * (day.quarantined or 0) / most, 1),
            broken=day.broken is not None,
            label=_describe_day(day),
        )
        for index, day in enumerate(days)
    ]


def _rows(day: IntakeDay) -> int:
    return (day.accepted or 0) + (day.quarantined or 0)


def _describe_day(day: IntakeDay) -> str:
    if day.broken is not None:
        return f"{day.day}: not used, {day.broken}"
    counts = f"{day.accepted or 0:,} accepted, {day.quarantined or 0:,} quarantined"
    return f"{day.day}: {counts}"
