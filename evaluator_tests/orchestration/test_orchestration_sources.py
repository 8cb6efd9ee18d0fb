"""Where days come from: a snapshot, several files a day, an object store, a database."""

import csv
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import fsspec
import pandas as pd
import pytest
from fsspec.implementations.memory import MemoryFileSystem
from sqlalchemy import create_engine, text

from evaluator.certification import verify
from evaluator.errors import UsageError
from evaluator.intake import TYPED_ROWS
from evaluator.orchestration import (
    REPORT,
    AuditState,
    Home,
    _sources,
    known_day,
    replay_quarantine,
    statement_name,
    write_quarantine,
)
from evaluator.orchestration._arrivals import landing_sensor
from evaluator.orchestration._component import audit_definitions
from evaluator.orchestration._facts import EvaluationSetFacts, RawDataFacts
from evaluator.orchestration._partitions import intake_partitions
from evaluator.orchestration._scorecard_run import read_judged_scorecard
from evaluator.orchestration._streams import streams_of
from evaluator.spec import Audit, AuditSpec, named_audit
from evaluator_tests.orchestration.conftest import open_home, run
from evaluator_tests.orchestration.test_orchestration_arrivals import Watch, clock  # noqa: F401 - a fixture
from evaluator_tests.postgres_server import PASSWORD, USER, postgres_server

COLUMNS = {"id": {"type": "string"}, "n": {"type": "integer"}}


@pytest.fixture
def empty_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    return open_home(tmp_path / "home", monkeypatch)


def plain(**data: Any) -> Audit:
    """Declare an audit that ends at the data's report."""
    declared = {"id": "id", "columns": COLUMNS, "max_refused_share": 1.0, **data}
    return named_audit("plain", AuditSpec.model_validate({"data": declared}))


def two_days(**data: Any) -> Audit:
    return plain(first_day="2024-03-01", last_day="2024-03-02", **data)


def land(home: Home, name: str, text: str) -> Path:
    path = home.landing("plain") / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def typed(audit: Audit, home: Home, day: str) -> list[dict[str, Any]]:
    state = AuditState(audit, home)
    rows: list[dict[str, Any]] = state.store.read_table(
        state.accepted_days()[day], TYPED_ROWS
    ).to_pylist()
    return rows


@pytest.mark.parametrize("last_day", [None, "2024-08-17", "2031-01-01"])
@pytest.mark.parametrize("source", ["{date}.csv", "{month}.csv", "{year}.csv", "table"])
@pytest.mark.parametrize("today", ["2024-02-10", "2024-02-11", "2024-08-17", "2025-01-01"])
def test_the_days_that_there_are_are_those_of_dagsters_partitions(
    source: str, last_day: str | None, today: str
) -> None:
    table = {"url_from": "X", "query": "SELECT :day"}
    data = {"table": table} if source == "table" else {"files": source}
    audit = plain(first_day="2024-02-11", last_day=last_day, **data)
    partitions = intake_partitions(audit.spec.data)
    at_nine = datetime.fromisoformat(f"{today}T09:00:00+00:00")
    keys = partitions.get_partition_keys(current_time=at_nine)
    # On the day before the first one Dagster has that already.
    assert audit.spec.data.partitions(at_nine.date()) == [key for key in keys if key <= today]


def test_a_file_of_no_day_is_audited_to_a_certificate_with_the_figures_of_its_days(
    audit: Audit, home: Home, finished: Path
) -> None:
    dated = Home(finished, str(finished / "evidence"))
    landing = home.landing("flights")
    frame = pd.concat([pd.read_csv(path, dtype=str) for path in sorted(landing.iterdir())])
    frame.to_csv(landing / "cases.csv", index=False)
    settings = audit.spec.model_dump(mode="json", exclude_unset=True)
    settings["data"] |= {"files": "cases.csv", "first_day": None, "last_day": None}
    snapshot = named_audit("flights", AuditSpec.model_validate(settings))
    summary = run(snapshot, home)
    assert summary.faults == []
    assert summary.judged is not None
    of_days = read_judged_scorecard(AuditState(audit, dated))
    assert of_days is not None
    pd.testing.assert_frame_equal(
        summary.judged.scorecard.measurements, of_days.scorecard.measurements
    )
    state = AuditState(snapshot, home)
    assert EvaluationSetFacts.of(state.require("evaluation_set")).days == ["snapshot"]
    shown = state.require("dashboard")
    page = state.store.read_bytes(shown, next(iter(shown.files))).decode()
    assert "A snapshot, of no day" in page
    certificate = state.require("certificate")
    content = state.store.read_bytes(certificate, statement_name("sturdy"))
    report = verify(content, state.store.url, now=datetime.now(UTC))
    assert report.problems == ()


def test_a_snapshot_is_the_only_partition_and_can_be_replayed(
    empty_home: Home, tmp_path: Path
) -> None:
    audit = plain(files="cases.csv")
    land(empty_home, "cases.csv", "id,n\na,1\nb,two\n")
    assert {d.day: d.state for d in run(audit, empty_home).days} == {"snapshot": "accepted"}
    state = AuditState(audit, empty_home)
    assert known_day(state, state.data, "snapshot") == "snapshot"
    with pytest.raises(UsageError, match="name the only one, snapshot"):
        known_day(state, state.data, "2024-03-01")
    rows = tmp_path / "rows.csv"
    write_quarantine(state, state.data, "snapshot", rows)
    rows.write_text(rows.read_text().replace("two", "2"))
    assert replay_quarantine(state, state.data, "snapshot", rows) == 1
    run(audit, empty_home)
    assert typed(audit, empty_home, "snapshot") == [{"id": "a", "n": 1}, {"id": "b", "n": 2}]


def test_a_snapshot_is_taken_in_by_its_sensor_and_again_when_it_changes(empty_home: Home) -> None:
    audit = plain(files="cases.csv")
    path = land(empty_home, "cases.csv", "id,n\na,1\n")
    watch = Watch(landing_sensor(audit, streams_of(audit.spec)[0]))
    assert [watch.look() for _ in range(3)] == [[], ["snapshot"], []]
    run(audit, empty_home)
    path.write_text("id,n\na,1\nb,2\n")
    assert [watch.look() for _ in range(3)] == [[], ["snapshot"], []]


def test_several_files_a_day_are_kept_each_with_its_digest_and_read_by_their_names(
    empty_home: Home, tmp_path: Path
) -> None:
    audit = two_days(files="{date}-*.csv")
    land(empty_home, "2024-03-01-10.csv", "id,n\nb,two\n")
    land(empty_home, "2024-03-01-09.csv", "id,n\na,1\n")
    land(empty_home, "2024-03-01.csv", "id,n\nz,1\n")
    assert {d.day: d.state for d in run(audit, empty_home).days} == {"2024-03-01": "accepted"}
    state = AuditState(audit, empty_home)
    raw = state.require("raw_data", "2024-03-01")
    assert RawDataFacts.of(raw).parts == ("2024-03-01-09.csv", "2024-03-01-10.csv")
    assert len({stored.sha256 for stored in raw.files.values()}) == 2
    rows = tmp_path / "rows.csv"
    write_quarantine(state, state.data, "2024-03-01", rows)
    with rows.open() as file:
        assert [row["place"] for row in csv.DictReader(file)] == ["2024-03-01-10.csv line 2"]
    rows.write_text(rows.read_text().replace("two", "2"))
    replay_quarantine(state, state.data, "2024-03-01", rows)
    # Mended rows lie beside the files, and are no file of the day.
    run(audit, empty_home)
    assert [row["id"] for row in typed(audit, empty_home, "2024-03-01")] == ["a", "b"]
    assert run(audit, empty_home).faults == []


def test_one_more_file_of_a_day_makes_a_new_version_of_it(empty_home: Home) -> None:
    audit = two_days(files="{date}/part-*.csv")
    land(empty_home, "2024-03-01/part-0.csv", "id,n\na,1\n")
    watch = Watch(landing_sensor(audit, streams_of(audit.spec)[0]))
    assert [watch.look(), watch.look()] == [[], ["2024-03-01"]]
    run(audit, empty_home)
    before = AuditState(audit, empty_home).require("raw_data", "2024-03-01")
    land(empty_home, "2024-03-01/part-1.csv", "id,n\nb,2\n")
    assert [watch.look(), watch.look()] == [[], ["2024-03-01"]]
    run(audit, empty_home)
    state = AuditState(audit, empty_home)
    assert len(typed(audit, empty_home, "2024-03-01")) == 2
    assert state.store.get(state.address("raw_data", "2024-03-01"), before.identity) == before
    # A renamed file changes the order in which rows are read, and so the day.
    folder = empty_home.landing("plain") / "2024-03-01"
    (folder / "part-0.csv").rename(folder / "part-2.csv")
    run(audit, empty_home)
    assert [row["id"] for row in typed(audit, empty_home, "2024-03-01")] == ["b", "a"]


def test_files_may_arrive_in_another_folder_of_the_machine(
    empty_home: Home, tmp_path: Path
) -> None:
    for number, landing in enumerate([str(tmp_path / "in"), f"file://{tmp_path / 'in'}"]):
        audit = two_days(files="{date}.csv", landing=landing)
        (tmp_path / "in").mkdir(exist_ok=True)
        (tmp_path / "in" / "2024-03-01.csv").write_text(f"id,n\na,{number}\n")
        run(audit, empty_home)
        assert typed(audit, empty_home, "2024-03-01") == [{"id": "a", "n": number}]


@pytest.fixture
def bucket() -> Iterator[MemoryFileSystem]:
    """An object store in this process's memory, of which nothing is left."""
    store = fsspec.filesystem("memory")
    yield store
    store.rm("/landing", recursive=True)


def test_files_in_an_object_store_are_fetched_once_and_again_when_they_change(
    empty_home: Home,
    bucket: MemoryFileSystem,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    audit = two_days(files="{date}-*.csv", landing="memory://landing/sales")
    bucket.pipe("/landing/sales/2024-03-01-b.csv", b"id,n\nb,two\n")
    bucket.pipe("/landing/sales/2024-03-01-a.csv", b"id,n\na,1\n")
    bucket.pipe("/landing/sales/more/2024-03-02-a.csv", b"id,n\na,1\n")
    fetched = []
    take = _sources.ObjectStore.take

    def counted(source: Any, day: str, folder: Path) -> Any:
        fetched.append(day)
        return take(source, day, folder)

    monkeypatch.setattr(_sources.ObjectStore, "take", counted)
    watch = Watch(landing_sensor(audit, streams_of(audit.spec)[0]))
    assert [watch.look() for _ in range(3)] == [[], ["2024-03-01"], []]
    run(audit, empty_home)
    run(audit, empty_home)
    assert fetched == ["2024-03-01"]
    state = AuditState(audit, empty_home)
    rows = tmp_path / "rows.csv"
    write_quarantine(state, state.data, "2024-03-01", rows)
    rows.write_text(rows.read_text().replace("two", "2"))
    replay_quarantine(state, state.data, "2024-03-01", rows)
    run(audit, empty_home)
    assert [row["n"] for row in typed(audit, empty_home, "2024-03-01")] == [1, 2]
    bucket.pipe("/landing/sales/2024-03-01-a.csv", b"id,n\na,7\n")
    run(audit, empty_home)
    assert [row["n"] for row in typed(audit, empty_home, "2024-03-01")] == [7, 2]
    assert len(fetched) == 3


def test_an_object_store_that_does_not_answer_is_a_fault_that_the_next_run_mends(
    empty_home: Home, bucket: MemoryFileSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    audit = two_days(files="{date}.csv", landing="memory://landing/sales")
    bucket.pipe("/landing/sales/2024-03-01.csv", b"id,n\na,1\n")
    run(audit, empty_home)
    bucket.pipe("/landing/sales/2024-03-02.csv", b"id,n\na,1\n")
    with monkeypatch.context() as patch:
        patch.setattr(MemoryFileSystem, "find", _refuse)
        summary = run(audit, empty_home)
    [fault] = summary.faults
    assert "Raw files: memory:///landing/sales" in fault
    assert "see that the store is reached" in fault
    assert {d.day: d.state for d in summary.days} == {"2024-03-01": "accepted"}
    assert len(run(audit, empty_home).days) == 2


def _refuse(*_: Any, **__: Any) -> None:
    raise PermissionError("no token")


@pytest.fixture
def database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A SQLite database with rows of two days, as `WAREHOUSE_URL` names it."""
    path = tmp_path / "warehouse.db"
    monkeypatch.setenv("WAREHOUSE_URL", f"sqlite:///{path}")
    tell(path, "CREATE TABLE sales (day TEXT, id TEXT, n INTEGER)")
    tell(path, "INSERT INTO sales VALUES ('2024-03-01', 'b', 2), ('2024-03-01', 'a', 1)")
    tell(path, "INSERT INTO sales VALUES ('2024-03-02', 'c', 3), ('2024-03-02', 'd', 'four')")
    return path


def tell(path: Path, statement: str) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(statement)


def table(**more: Any) -> dict[str, Any]:
    query = "SELECT id, n FROM sales WHERE day >= :day AND day < :next_day"
    return {"url_from": "WAREHOUSE_URL", "query": query, **more}


def test_a_tables_rows_are_taken_in_day_by_day(empty_home: Home, database: Path) -> None:
    audit = two_days(table=table())
    summary = run(audit, empty_home)
    assert {d.day: d.state for d in summary.days} == {
        "2024-03-01": "accepted",
        "2024-03-02": "accepted",
    }
    assert typed(audit, empty_home, "2024-03-01") == [{"id": "a", "n": 1}, {"id": "b", "n": 2}]
    assert typed(audit, empty_home, "2024-03-02") == [{"id": "c", "n": 3}]
    stored = [path for path in empty_home.root.rglob("*") if path.is_file()]
    assert not [path for path in stored if str(database).encode() in path.read_bytes()]


def test_an_answer_that_is_another_tomorrow_is_a_new_version_and_told(
    empty_home: Home, database: Path
) -> None:
    audit = two_days(table=table(again_days=1))
    run(audit, empty_home)
    before = AuditState(audit, empty_home).require("raw_data", "2024-03-02")
    tell(database, "UPDATE sales SET n = 4 WHERE id = 'd'")
    tell(database, "UPDATE sales SET n = 9 WHERE id = 'a'")
    run(audit, empty_home)
    # The day that is not asked for again stays as it was.
    assert typed(audit, empty_home, "2024-03-01")[0]["n"] == 1
    assert typed(audit, empty_home, "2024-03-02")[1] == {"id": "d", "n": 4}
    state = AuditState(audit, empty_home)
    after = state.require("raw_data", "2024-03-02")
    assert RawDataFacts.of(after).answered_before == before.content_version
    report = state.require("data_quality_report", "2024-03-02")
    told = state.store.read_bytes(report, REPORT).decode()
    assert "the query gave other rows for this day before" in told
    assert state.store.get(state.address("raw_data", "2024-03-02"), before.identity) == before


def test_the_same_answer_in_another_order_is_the_same_version(
    empty_home: Home, database: Path
) -> None:
    audit = two_days(table=table())
    run(audit, empty_home)
    before = AuditState(audit, empty_home).require("raw_data", "2024-03-01")
    tell(database, "DELETE FROM sales WHERE id = 'b'")
    tell(database, "INSERT INTO sales VALUES ('2024-03-01', 'b', 2)")
    run(audit, empty_home)
    assert AuditState(audit, empty_home).require("raw_data", "2024-03-01") == before


def test_a_day_for_which_there_are_no_rows_is_refused_and_asked_for_while_it_is_late(
    empty_home: Home, database: Path
) -> None:
    tell(database, "DELETE FROM sales WHERE day = '2024-03-02'")
    audit = two_days(table=table())
    [first, second] = run(audit, empty_home).days
    assert (first.state, second.state) == ("accepted", "refused")
    assert "a header and no rows" in str(second.reason)
    tell(database, "INSERT INTO sales VALUES ('2024-03-02', 'e', 5)")
    assert [d.state for d in run(audit, empty_home).days] == ["accepted"] * 2


def test_mended_rows_of_a_tables_day_join_it_though_it_is_not_asked_for_again(
    empty_home: Home, database: Path, tmp_path: Path
) -> None:
    audit = two_days(table=table(again_days=0))
    run(audit, empty_home)
    assert database.is_file()
    rows = tmp_path / "rows.csv"
    state = AuditState(audit, empty_home)
    write_quarantine(state, state.data, "2024-03-02", rows)
    rows.write_text(rows.read_text().replace("four", "4"))
    replay_quarantine(state, state.data, "2024-03-02", rows)
    run(audit, empty_home)
    assert [row["n"] for row in typed(audit, empty_home, "2024-03-02")] == [3, 4]


def test_before_the_first_day_is_over_a_table_is_waited_for(
    empty_home: Home, database: Path
) -> None:
    assert database.is_file()
    with pytest.raises(UsageError, match="no day is over yet, and the first is 2199-01-01"):
        run(plain(first_day="2199-01-01", table=table()), empty_home)


@pytest.mark.slow
def test_a_postgres_table_is_taken_in_and_no_credential_is_kept_also_when_it_is_gone(
    empty_home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    query = "SELECT id, n FROM sales WHERE at >= :day AND at < :next_day"
    audit = two_days(table={"url_from": "WAREHOUSE_URL", "query": query})
    with postgres_server() as server:
        monkeypatch.setenv("WAREHOUSE_URL", server.url)
        engine = create_engine(server.url.replace("postgresql:", "postgresql+psycopg:"))
        with engine.begin() as connection:
            connection.execute(text("CREATE TABLE sales (at timestamptz, id text, n numeric)"))
            rows = [{"at": "2024-03-01 10:00Z", "id": "a"}, {"at": "2024-03-02 23:59Z", "id": "b"}]
            connection.execute(text("INSERT INTO sales VALUES (:at, :id, 1)"), rows)
        engine.dispose()
        assert [d.state for d in run(audit, empty_home).days] == ["accepted"] * 2
        assert typed(audit, empty_home, "2024-03-02") == [{"id": "b", "n": 1}]
    summary = run(audit, empty_home)
    assert any("see that its server runs" in fault for fault in summary.faults)
    assert [d.state for d in summary.days] == ["accepted"] * 2
    kept = [path.read_bytes() for path in empty_home.root.rglob("*") if path.is_file()]
    for secret in (USER, PASSWORD, quote(PASSWORD, safe="")):
        assert not [content for content in kept if secret.encode() in content]
        assert not [fault for fault in summary.faults if secret in fault]


def test_a_query_of_no_day_is_a_snapshot(empty_home: Home, database: Path) -> None:
    assert database.is_file()
    query = "SELECT id, n FROM sales WHERE id < 'd'"
    audit = plain(table={"url_from": "WAREHOUSE_URL", "query": query})
    assert [d.day for d in run(audit, empty_home).days] == ["snapshot"]
    assert len(typed(audit, empty_home, "snapshot")) == 3


def test_a_database_is_asked_once_an_hour(
    empty_home: Home,
    database: Path,
    clock: Callable[[int], None],  # noqa: F811 - the fixture
) -> None:
    audit = two_days(table=table(again_days=1))
    clock(1200)
    watch = Watch(landing_sensor(audit, streams_of(audit.spec)[0]))
    both = ["2024-03-01", "2024-03-02"]
    assert [watch.look() for _ in range(4)] == [both, [], [], both]
    run(audit, empty_home)
    tell(database, "INSERT INTO sales VALUES ('2024-03-02', 'f', 6)")
    assert [watch.look() for _ in range(3)] == [[], [], ["2024-03-02"]]


def test_without_the_variable_the_days_wait_and_the_fault_names_it(
    empty_home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("WAREHOUSE_URL", raising=False)
    summary = run(two_days(table=table()), empty_home)
    assert any("WAREHOUSE_URL: the environment variable" in fault for fault in summary.faults)


@pytest.mark.parametrize(
    "files", ["{date}/part-*", "{date}.Ünicode", "a.b.{date}", "{date}.csv.gz"]
)
def test_files_of_any_name_make_a_graph(files: str) -> None:
    definitions = audit_definitions(two_days(files=files))
    assert definitions.resolve_asset_graph().get_all_asset_keys()
