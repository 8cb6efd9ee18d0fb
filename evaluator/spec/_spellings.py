"""How dates, times and numbers are spelled: the shape of a text, and what the engine reads."""

import re
from dataclasses import dataclass
from typing import Final

_MONTHS: Final = (
    "January|February|March|April|May|June|July|August|September|October|November|December"
)
_WEEKDAYS: Final = "Monday|Tuesday|Wednesday|Thursday|Friday|Saturday|Sunday"
_OFFSET: Final = "[+-](?:0[0-9]|1[0-9]|2[0-3])"
_SHAPES: Final = {
    "%Y": "[0-9]{4}",
    "%y": "[0-9]{2}",
    "%m": "(?:0[1-9]|1[0-2])",
    "%-m": "(?:[1-9]|1[0-2])",
    "%d": "(?:0[1-9]|[12][0-9]|3[01])",
    "%-d": "(?:[1-9]|[12][0-9]|3[01])",
    "%e": "(?: [1-9]|[12][0-9]|3[01])",
    "%j": "[0-9]{3}",
    "%b": f"(?i:{'|'.join(name[:3] for name in _MONTHS.split('|'))})",
    "%B": f"(?i:{_MONTHS})",
    "%a": f"(?i:{'|'.join(name[:3] for name in _WEEKDAYS.split('|'))})",
    "%A": f"(?i:{_WEEKDAYS})",
    "%H": "(?:[01][0-9]|2[0-3])",
    "%-H": "(?:1?[0-9]|2[0-3])",
    "%I": "(?:0[1-9]|1[0-2])",
    "%-I": "(?:[1-9]|1[0-2])",
    "%p": "(?i:AM|PM)",
    "%M": "[0-5][0-9]",
    "%S": "[0-5][0-9]",
    "%.f": r"(?:\.[0-9]{1,6})?",
    "%f": "[0-9]{1,6}",
    "%3f": "[0-9]{3}",
    "%6f": "[0-9]{6}",
    "%z": f"{_OFFSET}:?[0-5][0-9]",
    "%:z": f"{_OFFSET}:[0-5][0-9]",
    "%#z": f"(?:[Zz]|{_OFFSET}(?::?[0-5][0-9])?)",
    "%%": "%",
}
"""By directive what its text looks like; nothing else of a format stands for anything."""
_ABBREVIATIONS: Final = {
    "%F": "%Y-%m-%d",
    "%T": "%H:%M:%S",
    "%R": "%H:%M",
    "%D": "%m/%d/%y",
    "%h": "%b",
    "%P": "%p",
}
_YEARS: Final = {"%Y", "%y"}
_MONTHS_AND_DAYS: Final = ({"%m", "%-m", "%b", "%B"}, {"%d", "%-d", "%e"})
_HOURS: Final = {"%H", "%-H", "%I", "%-I"}
_HALVES: Final = {"%I", "%-I"}
_OFFSETS: Final = {"%z", "%:z", "%#z"}
_FRACTIONS: Final = {"%.f", "%f", "%3f", "%6f"}
_DIGITS: Final = {
    "%Y": ("0000", "9999"),
    "%m": ("00", "19"),
    "%d": ("00", "39"),
    "%j": ("000", "399"),
    "%H": ("00", "29"),
    "%I": ("00", "19"),
    "%M": ("00", "59"),
    # The engine takes a second 60 for the next minute.
    "%S": ("00", "59"),
    "%%": ("%", "%"),
}
"""Of directives that have a fixed number of digits, the least and the greatest at each place."""
_COMPLETED: Final = (
    ("%y", "%Y", (("[0-5][0-9]|6[0-8]", "20"), ("69|[7-9][0-9]", "19"))),
    ("%f", "%.f", (("[0-9]{1,6}", "."),)),
)
"""What the engine reads otherwise or not at all: what it is given instead, by the digits there."""
_LIKELY_YEAR: Final = "(?:1[6-9][0-9]{2}|2[01][0-9]{2}|9999)"
"""Where nothing stands between a year and a month: 24030112 is an hour of 2024 and not of 2403."""
_YEAR_RUN_TOGETHER: Final = re.compile("%Y%[mdjH]|%[mdjHMSf]%Y")
_RUN_TOGETHER: Final = re.compile(r"%(?:-[mdHI]|\.?f)%[-0-9]?[YymdjeHIMSf]")
_DIRECTIVE: Final = re.compile(r"%(?:[-:#.]?[A-Za-z%]|[0-9][A-Za-z])?")


_BLANK: Final = "[ \u00a0\u202f]"
_GROUP_MARKS: Final = {".": r"\.", ",": ",", " ": _BLANK, "'": "['\u2019]"}
"""What may stand between three digits and three more, by how it is declared."""


@dataclass(frozen=True)
class NumberSpelling:
    """How numbers are written; what is written otherwise is none.

    Attributes
    ----------
    decimal
        What stands before the digits after the point.
    thousands
        What may stand between groups of three digits; empty: nothing may. A blank is any of those
        that do not break a line, too, and an apostrophe also a typographer's.
    percent
        Whether each number is so many hundredths, with its sign behind it.
    currency
        What may stand before or behind.
    parentheses
        Whether a number in parentheses is below zero.
    """

    decimal: str = "."
    thousands: str = ""
    percent: bool = False
    currency: tuple[str, ...] = ()
    parentheses: bool = False

    @property
    def shape(self) -> str:
        """A regular expression of the engine, anchored, that every number so written matches."""
        point = re.escape(self.decimal)
        mark = _GROUP_MARKS.get(self.thousands)
        grouped = f"[0-9]{{1,3}}(?:{mark}[0-9]{{3}})+|" if mark else ""
        number = f"(?:(?:{grouped}[0-9]+)(?:{point}[0-9]*)?|{point}[0-9]+)(?:[eE][+-]?[0-9]+)?"
        before = after = ""
        if self.currency:
            money = "|".join(map(re.escape, self.currency))
            before, after = f"(?:(?:{money}){_BLANK}?)?", f"(?:{_BLANK}?(?:{money}))?"
        if self.percent:
            after = f"{_BLANK}?%"
        bare = f"{before}{number}{after}"
        # Not both before the currency's mark and behind it.
        signed = f"(?:[+-]{_BLANK}?)?{bare}|{before}[+-]{number}{after}"
        return rf"^(?:{signed}|\({bare}\))$" if self.parentheses else f"^(?:{signed})$"

    @property
    def rewrites(self) -> tuple[tuple[str, str], ...]:
        """Patterns and what takes their place, in order: they make a shaped text a program's."""
        found = [(r"^\(", "-")] if self.parentheses else []
        marks = _GROUP_MARKS.get(self.thousands, "")
        money = "|".join(map(re.escape, self.currency))
        # What is left are a sign, digits, the decimal mark and an exponent.
        found.append(("|".join(filter(None, (_BLANK, "[()%]", marks, money))), ""))
        if self.decimal != ".":
            found.append((re.escape(self.decimal), "."))
        if self.percent:
            # Digits move, so that nothing is rounded by a division.
            found += [
                (r"^([+-]?)([0-9]*)\.?([0-9]*)", "${1}00${2}.${3}"),
                (r"^([+-]?[0-9]+)([0-9]{2})\.", "${1}.${2}"),
            ]
        return tuple(found)


@dataclass(frozen=True)
class TimeFormat:
    """One way to spell a date or a time.

    Attributes
    ----------
    text
        As it was declared.
    engine
        The same for the engine, which reads more than this spells: `shape` decides.
    shape
        A regular expression (of the engine, anchored) that every text of this format matches. A
        second 60 is none, since it would name the next minute.
    rewrites
        Patterns and what takes their place, in order, before the engine reads a text: it takes 69
        for 2069 where POSIX has 1969, and digits of a second only after a point.
    bounds
        Of a format of digits alone, as wide as its texts are: the least and the greatest byte at
        each place, which together with the engine's own check mean the same as `shape`.
    has_time, has_offset
        Whether it names an hour, and an offset from UTC.
    """

    text: str
    engine: str
    shape: str
    rewrites: tuple[tuple[str, str], ...]
    bounds: tuple[bytes, bytes] | None
    has_time: bool
    has_offset: bool


def parse_time_format(text: str) -> TimeFormat:
    """Read a format.

    Parameters
    ----------
    text
        Such as ``%d.%m.%Y %H:%M``.

    Returns
    -------
    TimeFormat
        Of which one text names one date or time.

    Raises
    ------
    ValueError
        When it has a directive that is not known, or does not name a whole date.
    """
    expanded = text
    for short, long in _ABBREVIATIONS.items():
        expanded = expanded.replace(short, long)
    _check_directives(text, _DIRECTIVE.findall(expanded))
    if _RUN_TOGETHER.search(expanded):
        raise ValueError(f"in {text!r} a number of any length stands right before another")
    parts = re.split(f"({_DIRECTIVE.pattern})", expanded)
    shapes = [_SHAPES.get(part) or re.escape(part) for part in parts]
    if _YEAR_RUN_TOGETHER.search(expanded):
        shapes[parts.index("%Y")] = _LIKELY_YEAR
    anchored = f"^{''.join(shapes)}$"
    rewrites = []
    for directive, read_as, completed in _COMPLETED:
        if directive not in parts:
            continue
        at = parts.index(directive)
        before, after = "".join(shapes[:at]), "".join(shapes[at + 1 :])
        for digits, put in completed:
            rewrites.append((f"^({before})({digits})({after})$", f"${{1}}{put}${{2}}${{3}}"))
        parts[at], shapes[at] = read_as, _SHAPES[read_as]
    # The engine knows an offset of `Z` and one without a colon by its permissive directive alone.
    engine = "".join("%#z" if part in _OFFSETS else part for part in parts)
    return TimeFormat(
        text=text,
        engine=engine,
        shape=anchored,
        rewrites=tuple(rewrites),
        bounds=None if rewrites or _LIKELY_YEAR in shapes else _bounds(parts),
        has_time=not _HOURS.isdisjoint(parts),
        has_offset=not _OFFSETS.isdisjoint(parts),
    )


def _bounds(parts: list[str]) -> tuple[bytes, bytes] | None:
    """Give the least and the greatest byte at each place, where each directive is of digits."""
    if any(part in _SHAPES and part not in _DIGITS for part in parts) or not all(
        part.isascii() for part in parts
    ):
        return None
    places = [_DIGITS.get(part, (part, part)) for part in parts]
    low, high = ("".join(ends).encode() for ends in zip(*places, strict=True))
    return low, high


def _check_directives(text: str, found: list[str]) -> None:
    """Refuse what names no date, no time of day, or something twice."""
    unknown = [one for one in found if one not in _SHAPES]
    if unknown:
        known = " ".join((*_SHAPES, *_ABBREVIATIONS))
        raise ValueError(f"{unknown[0]!r} in {text!r} stands for nothing; there are {known}")
    used = {*found}
    if len(found) - found.count("%%") > len(used - {"%%"}):
        raise ValueError(f"{text!r} names something twice")
    if not used & _YEARS or not ("%j" in used or all(used & part for part in _MONTHS_AND_DAYS)):
        raise ValueError(f"{text!r} does not name year, month and day")
    if bool(used & _HALVES) != ("%p" in used):
        raise ValueError(f"in {text!r} %I and %p stand together or not at all")
    if used & _FRACTIONS and "%S" not in used:
        raise ValueError(f"in {text!r} digits of a second stand without the second")
    if used & (_HOURS | _OFFSETS | {"%M", "%S"}) and not (used & _HOURS and "%M" in used):
        raise ValueError(f"{text!r} names a time without its hour and minute")
