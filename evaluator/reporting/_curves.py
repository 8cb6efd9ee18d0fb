"""How each candidate's scores part two classes, and how far scores can be taken at their word."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from evaluator.reporting._content import DashboardContent
from evaluator.reporting._formatting import group_by_candidate
from evaluator.reporting._slices import is_few
from evaluator.scorecard import OperatingPoint, ScoreBin

SIDE: Final = 100
"""Each drawing is a square of so many units."""
MOST_SHOWN: Final = 10
"""The curves of so many candidates are drawn; all are in the scorecard."""
MOST_POINTS: Final = 50
"""So many places of a curve stand in a table; all are in the scorecard."""
_TOLD_AT: Final = 0.1
"""The share of negative cases taken for positive at which a curve is told in words."""


@dataclass(frozen=True, kw_only=True)
class Mark:
    """A value of the cases of one bin, with its interval: positions."""

    x: float
    y: float
    low: float | None
    high: float | None
    few: bool
    """Whether there are too few cases to be told from chance."""


@dataclass(frozen=True, kw_only=True)
class ScoreBar:
    """How many cases of either kind have scores of one bin: positions, from the middle on."""

    x: float
    width: float
    positive: float
    negative: float


@dataclass(frozen=True, kw_only=True)
class CandidateCurves:
    """The drawings of one candidate; `roc` and `precision_recall` are points of a line.

    Of several classes there are no lines, and no decisions between two of them.
    """

    name: str
    number: int
    roc: str
    precision_recall: str
    decides_at: tuple[float, float] | None
    """Where it decides on the first line."""
    decides_with: tuple[float, float] | None
    """Where it decides on the second."""
    in_words: str
    found: float | None
    """The share of positive cases that it finds at the place that `in_words` tells."""
    marks: Sequence[Mark]
    bars: Sequence[ScoreBar]
    bins: Sequence[ScoreBin]
    decided: OperatingPoint | None
    points: Sequence[OperatingPoint]
    """As it decides, and places of the curves, from the strictest threshold on."""


def candidate_curves(content: DashboardContent) -> list[CandidateCurves]:
    """Draw the curves of the first candidates, in the audit's order."""
    points = dict(group_by_candidate(content.scorecard.rows(OperatingPoint), ()))
    bins = dict(group_by_candidate(content.scorecard.rows(ScoreBin), ()))
    drawn = points.keys() | bins.keys()
    shown = [c.name for c in content.candidates if c.name in drawn][:MOST_SHOWN]
    return [
        _curves_of(name, number, points.get(name, []), bins.get(name, []), content.minimum_support)
        for number, name in enumerate(shown)
    ]


def _curves_of(
    name: str,
    number: int,
    points: Sequence[OperatingPoint],
    bins: Sequence[ScoreBin],
    minimum_support: int,
) -> CandidateCurves:
    decided = next((point for point in points if point.threshold is None), None)
    # From the strictest threshold, at which nothing is positive, to the most lenient.
    along = [point for point in reversed(points) if point.threshold is not None]
    roc = [(one.false_positive_rate, one.true_positive_rate) for one in along]
    recalled = [(one.true_positive_rate, one.precision) for one in along]
    found = _found_at(along)
    most = max((bin_.positives + bin_.negatives for bin_ in bins), default=0.0)
    return CandidateCurves(
        name=name,
        number=number,
        roc=_line([(0.0, 0.0), *roc] if along else []),
        precision_recall=_line(recalled),
        decides_at=None
        if decided is None
        else _place(decided.false_positive_rate, decided.true_positive_rate),
        decides_with=None
        if decided is None
        else _place(decided.true_positive_rate, decided.precision),
        in_words=_in_words(found),
        found=found,
        marks=[
            Mark(
                x=_along(one.mean_score),
                y=_up(one.rate),
                low=None if one.rate_low is None else _up(one.rate_low),
                high=None if one.rate_high is None else _up(one.rate_high),
                few=is_few(one, minimum_support),
            )
            for one in bins
            if one.rate is not None
        ],
        bars=[
            ScoreBar(
                x=_along(one.low),
                width=_along(one.high - one.low),
                positive=round(SIDE / 2 * one.positives / most, 1),
                negative=round(SIDE / 2 * one.negatives / most, 1),
            )
            for one in bins
            if most
        ],
        bins=bins,
        decided=decided,
        points=[*([] if decided is None else [decided]), *_thinned(along)],
    )


def _thinned(points: Sequence[OperatingPoint]) -> Sequence[OperatingPoint]:
    """Leave out points between others, so that both ends stay."""
    step = (len(points) - 1) / (MOST_POINTS - 1)
    return points if step <= 1 else [points[round(step * n)] for n in range(MOST_POINTS)]


def _found_at(along: Sequence[OperatingPoint]) -> float | None:
    """Tell one place of a curve: how many it finds while it takes few others for positive."""
    known = [
        (one.false_positive_rate, one.true_positive_rate)
        for one in along
        if one.false_positive_rate is not None and one.true_positive_rate is not None
    ]
    if not known:
        return None
    return max((found for taken, found in known if taken <= _TOLD_AT), default=0.0)


def _in_words(found: float | None) -> str:
    if found is None:
        return "there are no scores of both classes"
    return (
        f"where it takes at most {_TOLD_AT:.0%} of the negative cases for positive, it finds"
        f" {found:.0%} of the positive ones"
    )


def curves_finding(shown: Sequence[CandidateCurves], *, of_answers: bool) -> str:
    """Say who finds most while it takes few others for positive, or whose answers are least so."""
    if of_answers:
        return _certainty(shown)
    told = [(one.found, -one.number, one) for one in shown if one.found is not None]
    if not told:
        return "decisions alone"
    *_, best = max(told)
    return (
        f"with {_TOLD_AT:.0%} of the negative cases taken for positive, {best.name} finds"
        f"{' most' if len(told) > 1 else ''}: {best.found:.0%} of the positive ones"
    )


def _certainty(shown: Sequence[CandidateCurves]) -> str:
    """Say of whom what it held probable is furthest from how often it was so."""
    found = []
    for one in shown:
        sizes = [bin_.positives + bin_.negatives for bin_ in one.bins]
        held = sum(bin_.mean_score * size for bin_, size in zip(one.bins, sizes, strict=True))
        right = sum(bin_.positives for bin_ in one.bins)
        found.append((abs(held - right) / sum(sizes), held / sum(sizes), right / sum(sizes), one))
    _, held, right, furthest = max(found, key=lambda one: one[0])
    return (
        f"{furthest.name} {'' if len(found) == 1 else 'is furthest off: it '}holds its answers for"
        f" {held:.0%} probable, and {right:.0%} are correct"
    )


def _line(points: Iterable[tuple[float | None, float | None]]) -> str:
    places = [_place(x, y) for x, y in points]
    return " ".join(f"{place[0]:g},{place[1]:g}" for place in places if place is not None)


def _place(x: float | None, y: float | None) -> tuple[float, float] | None:
    return None if x is None or y is None else (_along(x), _up(y))


def _along(share: float) -> float:
    return round(SIDE * share, 1)


def _up(share: float) -> float:
    return round(SIDE * (1 - share), 1)
