"""How far each candidate's numbers are off: what is true of them, and their residuals."""

from collections.abc import Sequence
from dataclasses import dataclass

from evaluator.certification import format_count, format_list
from evaluator.reporting._content import DashboardContent
from evaluator.reporting._curves import MOST_SHOWN, SIDE, Mark
from evaluator.reporting._formatting import group_by_candidate
from evaluator.reporting._plots import Scale, scale_of
from evaluator.reporting._slices import is_few
from evaluator.scorecard import PredictedBin


@dataclass(frozen=True, kw_only=True)
class ResidualBox:
    """The residuals of one bin: positions, from the left and from above."""

    x: float
    width: float
    most: tuple[float, float]
    """From where 5 per cent are above to where 5 per cent are below."""
    half: tuple[float, float]
    """The same of 25 per cent."""
    median: float


@dataclass(frozen=True, kw_only=True)
class CandidateResiduals:
    """The drawings of one candidate."""

    name: str
    number: int
    marks: Sequence[Mark]
    diagonal: tuple[float, float, float, float]
    """Where what is predicted is true: x and y of both ends."""
    boxes: Sequence[ResidualBox]
    zero: float
    bins: Sequence[PredictedBin]
    off: int
    """In how many bins the mean that was predicted is not within the interval of what is true."""


def candidate_residuals(content: DashboardContent) -> list[CandidateResiduals]:
    """Draw the residuals of the first candidates, all on one scale."""
    found = group_by_candidate(content.scorecard.rows(PredictedBin), ())[:MOST_SHOWN]
    bins = [one for _, own in found for one in own]
    across = scale_of(end for one in bins for end in one.reach)
    means = scale_of(one.mean_predicted for one in bins)
    actual = scale_of(
        end for one in bins for end in (one.mean_actual, one.actual_low, one.actual_high)
    )
    residual = scale_of([0.0, *(end for one in bins for end in (one.residual_5, one.residual_95))])
    return [
        CandidateResiduals(
            name=name,
            number=number,
            marks=[
                Mark(
                    x=means.position(one.mean_predicted),
                    y=_up(actual, one.mean_actual),
                    low=None if one.actual_low is None else _up(actual, one.actual_low),
                    high=None if one.actual_high is None else _up(actual, one.actual_high),
                    few=is_few(one, content.minimum_support),
                )
                for one in own
                if one.mean_actual is not None
            ],
            diagonal=_diagonal(means, actual),
            boxes=[_box(one, across, residual) for one in own],
            zero=_up(residual, 0.0),
            bins=own,
            off=sum(_is_off(one) for one in own),
        )
        for number, (name, own) in enumerate(found)
    ]


def _box(one: PredictedBin, across: Scale, residual: Scale) -> ResidualBox:
    left, right = map(across.position, one.reach)
    return ResidualBox(
        x=left,
        # Equal numbers have a bin without a width.
        width=max(round(right - left, 1), 0.6),
        most=(_up(residual, one.residual_95), _up(residual, one.residual_5)),
        half=(_up(residual, one.residual_75), _up(residual, one.residual_25)),
        median=_up(residual, one.residual_50),
    )


def _diagonal(across: Scale, actual: Scale) -> tuple[float, float, float, float]:
    """Draw the line as far as both scales go."""
    low = max(across.lowest, actual.lowest)
    high = max(low, min(across.highest, actual.highest))
    return (across.position(low), _up(actual, low), across.position(high), _up(actual, high))


def _up(scale: Scale, value: float) -> float:
    return round(SIDE - scale.position(value), 1)


def _is_off(one: PredictedBin) -> bool:
    if one.actual_low is None or one.actual_high is None:
        return False
    return not one.actual_low <= one.mean_predicted <= one.actual_high


def residuals_finding(shown: Sequence[CandidateResiduals]) -> str:
    """Say in how many bins the numbers are off by more than chance."""
    said = [f"{one.off} of {format_count(len(one.bins), 'bin')} with {one.name}" for one in shown]
    return f"off on average by more than chance in {format_list(said)}"
