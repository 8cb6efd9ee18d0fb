"""Findings by candidate, values as text, and the environment that templates are rendered in."""

import math
import re
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from datetime import date, datetime
from typing import TYPE_CHECKING

from evaluator.certification import format_number
from evaluator.scorecard import ALL, Found, Measurement, format_scope
from evaluator.spec import date_of

if TYPE_CHECKING:
    from jinja2 import Environment

NO_VALUE = "\N{EN DASH}"
"""What stands where there is no value."""

_MINUS = "\N{MINUS SIGN}"
_MIN_P = 0.001
_WHOLE = 10
_FIRST_WORDS = 140
_ELLIPSIS = " \N{HORIZONTAL ELLIPSIS}"


def group_by_candidate(
    rows: Iterable[Found], candidates: Iterable[str]
) -> list[tuple[str, list[Found]]]:
    """Divide rows by candidate: first those named, also where they have none."""
    parts: dict[str, list[Found]] = {name: [] for name in candidates}
    for row in rows:
        parts.setdefault(row.candidate, []).append(row)
    return list(parts.items())


def put_first(items: Sequence[str], wanted: Iterable[str]) -> list[str]:
    """Give what is wanted first, in the order wanted, and then the other items."""
    return list(dict.fromkeys([*(name for name in wanted if name in items), *items]))


def format_place(geography: str | None, segment: str | None) -> str:
    """Name a slice for a reader, without the dimension by which nothing is divided."""
    divided = tuple(None if name == ALL else name for name in (geography, segment))
    return format_scope(*(divided if any(divided) else (geography, segment)))


def finite(value: float | None) -> float | None:
    """Give a number that can be drawn and said; None where it is missing or not finite."""
    return None if value is None or not math.isfinite(value) else float(value)


def without_remarks(text: str) -> str:
    """Give a text without what stands in parentheses."""
    outside, depth = [], 0
    for sign in text:
        depth += sign == "("
        if depth == 0:
            outside.append(sign)
        depth = max(depth - (sign == ")"), 0)
    # What is never closed is no remark.
    short = "".join(outside) if depth == 0 else text
    return re.sub(r" +([,;.:]|$)", r"\1", re.sub(r"\s+", " ", short))


def first_words(text: str) -> str:
    """Give the beginning of a long text, without its remarks; a short one as it is."""
    if len(text) <= _FIRST_WORDS:
        return text
    short = without_remarks(text)
    if len(short) <= _FIRST_WORDS:
        return short
    return f"{short[:_FIRST_WORDS].rpartition(' ')[0] or short[:_FIRST_WORDS]}{_ELLIPSIS}"


def aligned(rows: Sequence[Sequence[str]], *, right: Container[int] = ()) -> list[str]:
    """Write rows below each other, two blanks between columns; those of `right` end in line."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            f"{cell:>{width}}" if column in right else f"{cell:<{width}}"
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


def format_counts(counts: Mapping[str, int]) -> str:
    """Say how often each was found: ``2 FAIL, 5 PASS``."""
    return ", ".join(f"{count:,} {word}" for word, count in counts.items() if count)


def sentence(text: str) -> str:
    """Make a sentence of words."""
    return f"{text[:1].upper()}{text[1:]}."


def format_value(value: float | None) -> str:
    """Write a value; a dash where it is missing."""
    return NO_VALUE if value is None else format_number(value)


def format_signed(value: float) -> str:
    """Write a difference with its sign, a real minus."""
    shown = f"{abs(value):.3f}"
    if float(shown) == 0:
        return "±0.000"
    return f"{'+' if value > 0 else _MINUS}{shown}"


def format_p_value(p_value: float | None) -> str:
    """Write a p-value; a dash where there was no test."""
    if p_value is None:
        return NO_VALUE
    return f"< {_MIN_P}" if p_value < _MIN_P else f"{p_value:.3f}"


def format_excess_errors(excess_errors: float | None) -> str:
    """Write the least harm: whole from ten on, one decimal below; a dash where nobody knows."""
    if excess_errors is None:
        return NO_VALUE
    return f"{excess_errors:,.0f}" if abs(excess_errors) >= _WHOLE else f"{excess_errors:.1f}"


def format_design_effect(effect: float | None) -> str:
    """Write a design effect; a dash where there are neither clusters nor weights."""
    return NO_VALUE if effect is None else f"{effect:.1f}"


def format_rough(count: float) -> str:
    """Write a number of cases that is a guess, rounded up to two digits: ``65,000`` of 64,363."""
    unit = 10 ** max(math.floor(math.log10(max(count, 1))) - 1, 0)
    return f"{math.ceil(count / unit) * unit:,}"


def format_interval(low: float | None, high: float | None, *, has_sign: bool) -> str:
    """Write an interval: ``0.412 to 0.530``, ``0.412 or more`` or ``0.530 or less``."""
    write = format_signed if has_sign else format_number
    if low is not None and high is not None:
        return f"{write(low)} to {write(high)}"
    if low is not None:
        return f"{write(low)} or more"
    return "" if high is None else f"{write(high)} or less"


def format_two_sided(low: float | None, high: float | None) -> str:
    """Write an interval of a document; a dash where an end is missing."""
    if low is None or high is None:
        return NO_VALUE
    return format_interval(low, high, has_sign=False)


def format_status(status: str) -> str:
    """Write a measurement's status in words."""
    return status.replace("_", " ")


def format_measurement(measurement: Measurement | None) -> str:
    """Write a measurement with its interval, and with its status where that is not ``ok``."""
    if measurement is None:
        return "not measured"
    status = format_status(measurement.status)
    if measurement.value is None:
        return status
    shown = format_number(measurement.value)
    if measurement.low is not None and measurement.high is not None:
        shown += f" ({format_two_sided(measurement.low, measurement.high)})"
    return shown if measurement.status == "ok" else f"{shown}, {status}"


def format_measured_value(measurement: Measurement | None) -> str:
    """Write a measurement's value alone, for a narrow column."""
    if measurement is None:
        return "missing"
    status = format_status(measurement.status)
    if measurement.value is None:
        return status
    return format_number(measurement.value) + ("" if measurement.status == "ok" else f" ({status})")


def format_day(day: date | str) -> str:
    """Write a date, or the name of a partition, which may be one."""
    if isinstance(day, str):
        try:
            known = date_of(day)
        except ValueError:
            known = None
        return day if known is None else format_day(known)
    return f"{day.day} {day:%B %Y}"


def _format_moment(moment: datetime) -> str:
    return f"{format_day(moment)}, {moment:%H:%M} {moment.tzname() or ''}".rstrip()


def template_environment(
    *, autoescape: bool = True, finalize: Callable[[object], str] | None = None
) -> "Environment":
    """Make the environment of the room's templates; without `autoescape`, `finalize` escapes."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("evaluator.reporting", "templates"),
        autoescape=autoescape,  # noqa: S701 - on for HTML; Markdown has `finalize` instead
        finalize=finalize,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(moment=_format_moment)
    return environment
