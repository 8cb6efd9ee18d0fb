"""How numbers, counts and metrics are said to a reader."""

import math
from collections import Counter
from collections.abc import Sequence
from typing import Final

from evaluator.certification._bounds import ROUNDING
from evaluator.metrics import METRICS
from evaluator.scorecard import SliceState, TrainingFacts

OF_A_CLASS: Final = " of a class"
"""How the titles of metrics end that have a value a class."""
_MOST_NAMED = 3


def format_metric(metric: str, of_class: str | None = None) -> str:
    """Say a metric's name: ``roc_auc`` is ``ROC AUC``, ``log_loss`` is ``log loss``.

    Parameters
    ----------
    metric
        The name of a metric, or of a measure of fairness or drift.
    of_class
        The one class that it is of, where it has a value a class.

    Returns
    -------
    str
        The name for a reader, in lower case but for acronyms and people's names.
    """
    known = METRICS.get(metric)
    title = metric.replace("_", " ") if known is None else known.title
    return title if of_class is None else f"{title.removesuffix(OF_A_CLASS)} of class {of_class}"


def format_number(value: float, *, apart_from: float | None = None) -> str:
    """Write a number with three decimals, or as many more as set it apart from a limit.

    What is nearer to the limit than rounding is at it, as gates are decided.

    Parameters
    ----------
    value
        The number.
    apart_from
        A limit that the number must not look equal to, unless it is.

    Returns
    -------
    str
        For example ``0.712``; ``0.4999`` where the limit is 0.5.
    """
    for decimals in range(3, 17):
        shown = f"{value:.{decimals}f}"
        if apart_from is None or float(shown) != apart_from or _is_at(value, apart_from):
            return shown
    return repr(value)


def _is_at(value: float, limit: float) -> bool:
    return math.isclose(value, limit, rel_tol=ROUNDING)


def format_count(count: int, thing: str) -> str:
    """Count things: ``1 slice``, ``20 slices``, ``5 geographies``, ``3 classes``.

    Parameters
    ----------
    count
        How many.
    thing
        What, in the singular.

    Returns
    -------
    str
        The count with the noun in the right number, thousands apart.
    """
    if count == 1:
        return f"1 {thing}"
    if thing.endswith("y") and thing[-2] not in "aeiou":
        return f"{count:,} {thing[:-1]}ies"
    return f"{count:,} {thing}{'es' if thing.endswith('s') else 's'}"


def format_needed(cases: float, more_clusters: float, cluster: str) -> str:
    """Say how much would decide an open verdict.

    Parameters
    ----------
    cases
        How many cases in all; infinite where the value is too near to its limit, NaN where nobody
        can tell.
    more_clusters
        How many clusters beyond those that there are; NaN where cases are counted.
    cluster
        What one of them is called, in the singular.

    Returns
    -------
    str
        For example ``about 1,300 cases there in all would decide it``, or ``about 60 more days
        there would decide it``; empty where nobody can tell.
    """
    if math.isnan(cases):
        return ""
    if math.isinf(cases):
        return "the value is too near to the limit to be decided by more data"
    if math.isnan(more_clusters):
        return f"about {format_count(int(cases), 'case')} there in all would decide it"
    return f"about {format_count(int(more_clusters), f'more {cluster}')} there would decide it"


_LOOKS: Final = {
    "id": "by id",
    "content": "by their values",
    "day": "by their day",
    "file": "by their file",
}


def format_training(facts: TrainingFacts | None) -> str:
    """Say whether a candidate saw the cases in training, for behind its name.

    Parameters
    ----------
    facts
        What is known of it; None where the audit does not say what it was trained on.

    Returns
    -------
    str
        Beginning with a verb and without a full stop, such as ``saw 12 of 5,000 cases in training
        (10 by id, 12 by their values), which are left out``.
    """
    if facts is None:
        return (
            "may have seen the cases in training: nobody checked, since the audit does not say what"
            " it was trained on"
        )
    looks = facts.looks
    named = ", ".join(_LOOKS[look] for look in looks)
    if facts.found:
        counts = {look: getattr(facts, f"by_{look}") for look in looks}
        by = ", ".join(f"{count:,} {_LOOKS[look]}" for look, count in counts.items() if count)
        left = facts.left_out
        which = "" if not left else ", which are left out"
        if 0 < left < facts.found:
            which = f", of which {left:,} are left out"
        found = (
            f"saw {facts.found:,} of {format_count(facts.cases, 'case')} in training ({by}){which}"
        )
    elif looks:
        found = f"saw none of {format_count(facts.cases, 'case')} in training, looked for {named}"
    else:
        found = "may have seen the cases in training"
    if facts.problem is not None:
        return f"{found}; nobody could look further: {facts.problem}"
    if not looks:
        return f"{found}: nothing that it was trained on tells which"
    return found


def format_list(items: Sequence[str]) -> str:
    """List the first three, and count the rest: ``a, b, c and 4 more``."""
    named = ", ".join(items[:_MOST_NAMED])
    more = len(items) - _MOST_NAMED
    return f"{named} and {more} more" if more > 0 else named


def format_slice_states(states: Sequence[SliceState]) -> str:
    """Say how many of some slices are not current, and what is wrong with them.

    Parameters
    ----------
    states
        All slices that something rests on, at least one of them not current.

    Returns
    -------
    str
        For example ``1 of 20 slices is missing``, or
        ``3 of 20 slices are not current: 2 missing, 1 outdated``.
    """
    counts = Counter(state.state for state in states if not state.is_current)
    of_all = f"{counts.total()} of {format_count(len(states), 'slice')}"
    verb = "is" if counts.total() == 1 else "are"
    if len(counts) == 1:
        return f"{of_all} {verb} {next(iter(counts))}"
    kinds = ", ".join(f"{count} {state}" for state, count in sorted(counts.items()))
    return f"{of_all} {verb} not current: {kinds}"
