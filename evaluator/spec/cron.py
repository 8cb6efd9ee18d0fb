"""Cron's five fields: minute, hour, day, month, weekday."""

import re
from typing import Final

_RANGES: Final = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 7))
_MONTHS: Final = ("jan feb mar apr may jun jul aug sep oct nov dec", 1)
_WEEKDAYS: Final = ("sun mon tue wed thu fri sat", 0)


def is_cron_line(line: str) -> bool:
    """Tell whether a line has the five fields, each within its range."""
    fields = line.lower().split()
    if len(fields) != len(_RANGES):
        return False
    fields[3:] = [_numbered(fields[3], *_MONTHS), _numbered(fields[4], *_WEEKDAYS)]
    return all(
        _is_item(item, low, high)
        for field, (low, high) in zip(fields, _RANGES, strict=True)
        for item in field.split(",")
    )


def _numbered(field: str, names: str, first: int) -> str:
    for number, name in enumerate(names.split(), start=first):
        field = re.sub(rf"\b{name}\b", str(number), field)
    return field


def _is_item(item: str, low: int, high: int) -> bool:
    """Tell whether an item is `*`, a number or a range, each with or without a step."""
    found = re.fullmatch(r"(?:\*|(\d+)(?:-(\d+))?)(?:/[1-9]\d*)?", item, re.ASCII)
    if found is None:
        return False
    numbers = [int(number) for number in found.groups() if number is not None]
    return all(low <= number <= high for number in numbers) and numbers == sorted(numbers)
