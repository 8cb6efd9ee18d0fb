"""How differences, intervals and p-values are written."""

import math

from evaluator.certification.words import number_words

_MINUS = "\N{MINUS SIGN}"
_LEAST_P = 0.001
_WHOLE = 10


def signed(value: float) -> str:
    """Write a difference with its sign, a real minus."""
    shown = f"{abs(value):.3f}"
    if float(shown) == 0:
        return "±0.000"
    return f"{'+' if value > 0 else _MINUS}{shown}"


def p_words(p_value: float | None) -> str:
    """Write a p-value; a dash where there was no test."""
    if p_value is None:
        return "\N{EN DASH}"
    return f"< {_LEAST_P}" if p_value < _LEAST_P else f"{p_value:.3f}"


def harm_words(harm: float | None) -> str:
    """Write the least harm: whole from ten on, one decimal below; a dash where nobody knows."""
    if harm is None:
        return "\N{EN DASH}"
    return f"{harm:,.0f}" if abs(harm) >= _WHOLE else f"{harm:.1f}"


def rough(count: float) -> str:
    """Write a number of cases that is a guess: up to two digits that count, rounded up.

    For example ``64,363`` is ``65,000``.
    """
    unit = 10 ** max(math.floor(math.log10(max(count, 1))) - 1, 0)
    return f"{math.ceil(count / unit) * unit:,}"


def interval_words(low: float | None, high: float | None, *, has_sign: bool) -> str:
    """Write an interval: ``0.412 to 0.530``, ``0.412 or more`` or ``0.530 or less``.

    Parameters
    ----------
    low, high
        Its ends; None where it has no such end.
    has_sign
        Whether it is one of a difference, whose ends bear their signs.

    Returns
    -------
    str
        The interval; empty where there is none.
    """
    write = signed if has_sign else number_words
    if low is not None and high is not None:
        return f"{write(low)} to {write(high)}"
    if low is not None:
        return f"{write(low)} or more"
    return "" if high is None else f"{write(high)} or less"
