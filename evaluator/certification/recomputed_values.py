"""When a value that was computed once more is the same."""

import math
from collections.abc import Iterator, Mapping
from typing import Any, Final

RELATIVE_TOLERANCE: Final = 1e-9
"""Two machines may add the same numbers in another order."""
ABSOLUTE_TOLERANCE: Final = 1e-12

# Wording may improve between versions of the program; what it says may not change.
_WORDS = frozenset({"reason"})


def differences(stated: Mapping[str, Any], again: Mapping[str, Any]) -> Iterator[str]:
    """Tell in which keys two records differ, beside the wording of reasons."""
    for key in sorted((stated.keys() | again.keys()) - _WORDS):
        if not is_same(stated.get(key), again.get(key)):
            yield f"{key} is {stated.get(key)!r}, recomputed {again.get(key)!r}"


def is_same(left: Any, right: Any) -> bool:
    """Tell whether a value is the one that was computed once more, given second."""
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    if isinstance(left, int | float) and isinstance(right, int | float):
        if math.isnan(right):
            return math.isnan(left)
        return math.isclose(left, right, rel_tol=RELATIVE_TOLERANCE, abs_tol=ABSOLUTE_TOLERANCE)
    if isinstance(right, float) and math.isnan(right):
        return left is None
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(is_same, left, right))
    return bool(left == right)
