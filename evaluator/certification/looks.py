"""What a gate sees: one look for each place, before anything is decided."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from evaluator.certification.figures import Figure, SliceState
from evaluator.certification.words import currency_words, metric_words
from evaluator.spec.gates import GateLevel

Place = tuple[str | None, str | None]


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What a place must keep.

    Attributes
    ----------
    at_least, at_most
        The limits; None where there is none.
    strict
        Whether a value at its limit breaks it.
    """

    at_least: float | None = None
    at_most: float | None = None
    strict: bool = False

    def nearest(self, value: float) -> float:
        """Give the limit that is broken, or the nearer one."""
        margins = []
        if self.at_least is not None:
            margins.append((value - self.at_least, self.at_least))
        if self.at_most is not None:
            margins.append((self.at_most - value, self.at_most))
        return min(margins)[1]

    def margin(self, value: float) -> float:
        """Give how far inside the limits a value is; negative outside."""
        return min(
            value - self.at_least if self.at_least is not None else math.inf,
            self.at_most - value if self.at_most is not None else math.inf,
        )


@dataclass(frozen=True, kw_only=True)
class Look:
    """One place, as a gate sees it.

    Attributes
    ----------
    geography, segment, group
        The place: what of a slice it fixes, or in words what else it is.
    limits
        What it must keep.
    figure
        What was measured there; None where nothing was.
    problem
        Why it cannot be judged; empty where it can.
    doubt
        Why it cannot pass, although it may fail; empty without such a reason.
    remark
        What the reader must know where it passes all the same.
    """

    limits: Limits
    geography: str | None = None
    segment: str | None = None
    group: str | None = None
    figure: Figure | None = None
    problem: str = ""
    doubt: str = ""
    remark: str = ""


def project(level: GateLevel, geography: str, segment: str) -> Place:
    """Give the place at a level that a slice belongs to."""
    return (
        geography if level in ("geography", "slice") else None,
        segment if level in ("segment", "slice") else None,
    )


def look_at(
    place: Place,
    *,
    level: GateLevel,
    metric: str,
    limits: Limits,
    figures: Sequence[Figure],
    states: Sequence[SliceState],
    within_budget: bool,
) -> Look:
    """Look at one place: what was measured there, and on which slices.

    Parameters
    ----------
    place
        Its geography and segment.
    level, metric, limits
        The gate's.
    figures
        What was measured there; one, if all is well.
    states
        The slices that lie there.
    within_budget
        Whether the audit allows as many missing slices as the candidate has.
    """
    look = Look(
        geography=place[0], segment=place[1], limits=limits, figure=figures[0] if figures else None
    )
    name = metric_words(metric)
    not_current = [state for state in states if not state.is_current]
    if level == "slice" and not_current:
        error = not_current[0].error
        problem = f"{not_current[0].state}: {error}" if error else not_current[0].state
        # What an earlier version scored must not stand beside this verdict.
        return replace(look, figure=None, problem=problem)
    if not states:
        return replace(look, problem="not among the slices that the audit lists")
    if look.figure is None:
        return replace(look, problem=f"{name} was not measured")
    if len(figures) > 1:
        return replace(look, problem=f"{name} is recorded {len(figures)} times")
    return judged_with(replace(look, problem=problem_of(look.figure)), states, within_budget)


def problem_of(figure: Figure) -> str:
    """Say why a figure cannot be judged; empty where it can."""
    if figure.status == "ok" and figure.value is not None:
        return ""
    return f"{figure.status.replace('_', ' ')}: {figure.reason}"


def judged_with(look: Look, states: Sequence[SliceState], within_budget: bool) -> Look:  # noqa: FBT001 - a fact that is handed on
    """Add what slices without a result mean for a figure that rests on several."""
    if all(state.is_current for state in states):
        return look
    words = currency_words(states)
    return replace(look, doubt="" if within_budget else words, remark=words)
