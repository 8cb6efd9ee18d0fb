"""The demo's recorded candidate: what a rule of thumb said of each flight as it departed.

It stands for any system that cannot be run here, and of which only the outputs are known. The rule
calls a flight late that leaves more than 15 minutes late, and gives as its probability how often
flights with about that delay arrived late from January to September.
"""

import math
from datetime import date
from pathlib import Path
from typing import Final

import pandas as pd

from evaluator.demo.flights import LATE_MINUTES, is_late, known_before

BANDS: Final = (-math.inf, -5, 0, 5, 10, LATE_MINUTES, 20, 30, 60, math.inf)
"""Bounds of the bands of delay at departure, in minutes; a band holds its upper bound."""

# Two would make it certain of flights that leave an hour late, and some of those are not late.
_DIGITS = 3


def write_rule(flights: pd.DataFrame, days: list[date], path: Path) -> None:
    """Write what the rule said on some days as CSV; it appears whole or not at all.

    A flight that never departed was never judged, and has no row. One that was diverted has a row,
    although nobody will know whether it was late.

    Parameters
    ----------
    flights
        All flights of the year, as `load_flights` gives them.
    days
        The recorded days.
    path
        The recording: `flight`, `late_probability`, and the decision `late` as 0 or 1.
    """
    departed = flights[flights["date"].isin(days) & flights["departure_delay"].notna()]
    recording = pd.DataFrame(
        {
            "flight": departed["flight_id"],
            "late_probability": _bands(departed).map(late_shares(flights)).astype("float64"),
            "late": (departed["departure_delay"] > LATE_MINUTES).astype("int8"),
        }
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".tmp")
    recording.to_csv(temporary, index=False)
    temporary.replace(path)


def late_shares(flights: pd.DataFrame) -> pd.Series:
    """Return the share of late arrivals in each band, from January to September.

    Returns
    -------
    pandas.Series
        By the band's interval: its late flights / its flights that arrived, to three digits.
    """
    before = known_before(flights)
    return is_late(before).groupby(_bands(before), observed=True).mean().round(_DIGITS)


def _bands(flights: pd.DataFrame) -> pd.Series:
    """Tell the band that each flight's delay at departure is in."""
    return pd.cut(flights["departure_delay"].astype("float64"), BANDS)
