"""How numbers, counts and metrics are said to a reader."""

from collections import Counter
from collections.abc import Sequence

from evaluator.metrics import METRICS
from evaluator.scorecard import SliceState, format_scope
from evaluator.spec import (
    CalibrationGate,
    CompleteGate,
    DataQualityGate,
    EstimateGate,
    FairnessGate,
    GateSpec,
    MetricGate,
    WeakSlicesGate,
)

_MOST_NAMED = 3


def format_metric(metric: str) -> str:
    """Say a metric's name: ``roc_auc`` is ``ROC AUC``, ``log_loss`` is ``log loss``.

    Parameters
    ----------
    metric
        The name of a metric, or of a measure of fairness or drift.

    Returns
    -------
    str
        The name for a reader, in lower case but for acronyms and people's names.
    """
    known = METRICS.get(metric)
    return metric.replace("_", " ") if known is None else known.title


def format_gate(gate: GateSpec) -> str:
    """Say a gate: ``recall of each slice at least 0.5``."""
    text = _subject_and_limits(gate)
    by_value = isinstance(gate, EstimateGate) and gate.decide_on == "value"
    return f"{text}, decided on the value" if by_value else text


def _subject_and_limits(gate: GateSpec) -> str:
    if isinstance(gate, MetricGate | CalibrationGate):
        if gate.names_scope:
            where = "of " + format_scope(gate.geography, gate.segment)
        else:
            where = "overall" if gate.level == "overall" else f"of each {gate.level}"
        return f"{format_metric(gate.metric)} {where} {_limits(gate)}"
    if isinstance(gate, FairnessGate):
        by = f" by {gate.attribute}" if gate.attribute else ""
        return f"{format_metric(gate.measure)}{by}: {_gaps(gate)}"
    if isinstance(gate, WeakSlicesGate):
        return f"no weak slice with an excess above {gate.no_weak_slice_above:g}"
    if isinstance(gate, CompleteGate):
        return "a result for every slice"
    if isinstance(gate, DataQualityGate):
        return f"{_refusals(gate)} refused"
    of = f" of {format_list(gate.columns)}" if gate.columns else ""
    return f"drift{of} below {gate.drift_below:g} each day ({format_metric(gate.measure)})"


def _gaps(gate: FairnessGate) -> str:
    limits = []
    if gate.limit_difference is not None:
        limits.append(f"difference at most {gate.limit_difference:g}")
    if gate.limit_ratio is not None:
        limits.append(f"ratio at least {gate.limit_ratio:g}")
    return " and ".join(limits)


def _refusals(gate: DataQualityGate) -> str:
    limits = []
    if gate.refused_share_at_most is not None:
        limits.append(f"at most {gate.refused_share_at_most:.4g} of all rows")
    if gate.refused_days_at_most is not None:
        limits.append(f"at most {format_count(gate.refused_days_at_most, 'day')}")
    return " and ".join(limits)


def _limits(gate: MetricGate | CalibrationGate) -> str:
    limits = []
    if isinstance(gate, MetricGate):
        if gate.better_than_baseline:
            return "better than the baseline's"
        if gate.not_worse_than_baseline_by is not None:
            return f"not worse than the baseline's by more than {gate.not_worse_than_baseline_by:g}"
        if gate.at_least is not None:
            limits.append(f"at least {gate.at_least:g}")
    if gate.at_most is not None:
        limits.append(f"at most {gate.at_most:g}")
    return " and ".join(limits)


def format_number(value: float, *, apart_from: float | None = None) -> str:
    """Write a number with three decimals, or as many more as set it apart from a limit.

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
        if apart_from is None or value == apart_from or float(shown) != apart_from:
            return shown
    return repr(value)


def format_count(count: int, thing: str) -> str:
    """Count things: ``1 slice``, ``20 slices``, ``5 geographies``.

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
    plural = f"{thing[:-1]}ies" if thing.endswith("y") and thing[-2] not in "aeiou" else f"{thing}s"
    return f"{count:,} {plural}"


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
