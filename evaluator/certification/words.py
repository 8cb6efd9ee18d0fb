"""How numbers, counts and metrics are said to a reader."""

from collections import Counter
from collections.abc import Sequence

from evaluator.certification.figures import SliceState
from evaluator.spec.gates import GateSpec

_PROPER_WORDS = {
    "auc": "AUC",
    "brier": "Brier score",
    "f1": "F1",
    "mae": "MAE",
    "mape": "MAPE",
    "matthews": "Matthews",
    "r2": "R²",
    "rmse": "RMSE",
    "roc": "ROC",
}


def metric_words(metric: str) -> str:
    """Say a metric's name: ``roc_auc`` is ``ROC AUC``, ``log_loss`` is ``log loss``.

    Parameters
    ----------
    metric
        The metric's name in the list of metrics.

    Returns
    -------
    str
        The name for a reader, in lower case but for acronyms and people's names.
    """
    return " ".join(_PROPER_WORDS.get(word, word) for word in metric.split("_"))


def gate_words(gate: GateSpec) -> str:
    """Say a gate: ``recall of each slice at least 0.5``.

    Parameters
    ----------
    gate
        The gate as the audit declares it.

    Returns
    -------
    str
        Metric, level and limits.
    """
    where = "overall" if gate.level == "overall" else f"of each {gate.level}"
    limits = []
    if gate.minimum is not None:
        limits.append(f"at least {gate.minimum:g}")
    if gate.maximum is not None:
        limits.append(f"at most {gate.maximum:g}")
    return f"{metric_words(gate.metric)} {where} {' and '.join(limits)}"


def number_words(value: float, *, apart_from: float | None = None) -> str:
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


def count_words(count: int, thing: str) -> str:
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


def list_words(items: Sequence[str], most: int = 3) -> str:
    """List the first few, and count the rest.

    Parameters
    ----------
    items
        What to list.
    most
        How many are named.

    Returns
    -------
    str
        For example ``a, b, c and 4 more``.
    """
    named = ", ".join(items[:most])
    return named if len(items) <= most else f"{named} and {len(items) - most} more"


def currency_words(states: Sequence[SliceState]) -> str:
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
    of_all = f"{counts.total()} of {count_words(len(states), 'slice')}"
    verb = "is" if counts.total() == 1 else "are"
    if len(counts) == 1:
        return f"{of_all} {verb} {next(iter(counts))}"
    kinds = ", ".join(f"{count} {state}" for state, count in sorted(counts.items()))
    return f"{of_all} {verb} not current: {kinds}"
