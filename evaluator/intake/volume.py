"""Whether a day has about as many rows as days like it."""

from collections.abc import Sequence
from statistics import median
from typing import Final

#: With fewer past days nothing is called unusual.
FEWEST_DAYS: Final = 3
#: So many times more or fewer rows than usual are unusual.
TIMES: Final = 2.0


def unusual_volume(rows: int, past: Sequence[int]) -> str | None:
    """Compare a day's number of rows with those of past days of the same weekday.

    Parameters
    ----------
    rows
        The day's rows, typed and quarantined.
    past
        The rows of accepted days of the same weekday.

    Returns
    -------
    str or None
        What is unusual, in words: fewer than half or more than twice the median. None when the
        day is usual, or fewer than three past days are known.
    """
    if len(past) < FEWEST_DAYS:
        return None
    usual = median(past)
    if usual / TIMES <= rows <= usual * TIMES:
        return None
    return f"{rows:,} rows, where the last {len(past)} days of this weekday had {usual:,.0f}"
