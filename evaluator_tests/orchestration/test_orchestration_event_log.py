"""Dagster's event log in batches: the same files, tables and answers as Dagster's own."""

import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.storage.event_log import SqliteEventLogStorage

from evaluator.orchestration import Home
from evaluator.orchestration._local_runs import RANGE_END_TAG, RANGE_START_TAG, new_run_id
from evaluator.orchestration._partition_run import DATA_VERSION_TAG
from evaluator.orchestration.event_log import MAX_OPEN, EventLog

SLICES = dg.MultiPartitionsDefinition(
    {
        "geography": dg.StaticPartitionsDefinition(["a", "b", "c"]),
        "segment": dg.StaticPartitionsDefinition(["x", "y"]),
    }
)


@dg.multi_asset(
    specs=[
        dg.AssetSpec("predictions", partitions_def=SLICES),
        dg.AssetSpec("metrics", partitions_def=SLICES, deps=["predictions"]),
    ],
    check_specs=[dg.AssetCheckSpec("sound", asset="metrics")],
    backfill_policy=dg.BackfillPolicy.single_run(),
)
def evaluate(
    context: dg.AssetExecutionContext,
) -> Iterator[dg.MaterializeResult[None] | dg.AssetCheckResult]:
    for name in ("predictions", "metrics"):
        for key in context.partition_keys:
            context.add_asset_metadata({"at": str(key)}, asset_key=name, partition_key=str(key))
        yield dg.MaterializeResult(asset_key=name, data_version=dg.DataVersion("1"))
    yield dg.AssetCheckResult(asset_key="metrics", check_name="sound", passed=True)


@pytest.fixture
def instance(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dg.DagsterInstance]:
    monkeypatch.setenv("EVALUATOR_HOME", str(tmp_path))
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    monkeypatch.delenv("DAGSTER_EVENT_BATCH_SIZE", raising=False)
    Home.from_environment().prepare()
    with dg.DagsterInstance.get() as opened:
        yield opened


def run_all(instance: dg.DagsterInstance, run_id: str | None = None) -> dg.ExecuteInProcessResult:
    result = (
        dg.Definitions([evaluate])
        .resolve_implicit_global_asset_job_def()
        .execute_in_process(
            instance=instance,
            tags={RANGE_START_TAG: "a|x", RANGE_END_TAG: "c|y"},
            run_id=run_id,
        )
    )
    assert result.success
    return result


def test_the_shipped_instance_uses_it(instance: dg.DagsterInstance) -> None:
    assert isinstance(instance.event_log_storage, EventLog)


def test_dagsters_own_log_reads_what_it_wrote(instance: dg.DagsterInstance, tmp_path: Path) -> None:
    result = run_all(instance)
    instance_file = tmp_path / "dagster" / "dagster.yaml"
    shipped = instance_file.read_text()
    named = "event_log_storage:\n  module: evaluator.orchestration.event_log\n  class: EventLog\n"
    assert named in shipped
    instance_file.write_text(shipped.replace(named, ""))
    with dg.DagsterInstance.get() as stock:
        assert not isinstance(stock.event_log_storage, EventLog)
        events = [event.dagster_event_type for event in stock.all_logs(result.run_id)]
        assert events.count(dg.DagsterEventType.ASSET_MATERIALIZATION) == 12
        assert events.count(dg.DagsterEventType.ASSET_MATERIALIZATION_PLANNED) == 12
        assert events.count(dg.DagsterEventType.ASSET_CHECK_EVALUATION) == 1
        for name in ("predictions", "metrics"):
            key = dg.AssetKey(name)
            assert len(stock.get_materialized_partitions(key)) == 6
            records = stock.fetch_materializations(key, limit=100).records
            tags = [r.asset_materialization.tags for r in records if r.asset_materialization]
            assert {tag[DATA_VERSION_TAG] for tag in tags if tag} == {"1"}
            (record,) = stock.get_asset_records([key])
            last = record.asset_entry.last_materialization
            assert last is not None
            assert record.asset_entry.last_run_id == result.run_id


def test_who_watches_a_run_from_elsewhere_sees_each_of_its_events(
    instance: dg.DagsterInstance,
) -> None:
    run_id, events, over = new_run_id(), [], threading.Event()

    def hear(event: dg.EventLogEntry, _cursor: str) -> None:
        events.append(event.dagster_event_type)
        if event.dagster_event_type == dg.DagsterEventType.RUN_SUCCESS:
            over.set()

    with dg.DagsterInstance.get() as elsewhere:
        elsewhere.watch_event_logs(run_id, None, hear)
        run_all(instance, run_id)
        assert over.wait(120)
    stored = [event.dagster_event_type for event in instance.all_logs(run_id)]
    assert events == stored[: len(events)]


def test_it_says_the_same_as_dagsters_own_without_batches(
    instance: dg.DagsterInstance, tmp_path: Path
) -> None:
    (tmp_path / "stock").mkdir()
    with dg.instance_for_test(temp_dir=str(tmp_path / "stock")) as stock:
        answers = []
        for used in (instance, stock):
            run_all(used)
            result = run_all(used)
            log = used.event_log_storage
            key = dg.AssetKey("metrics")
            (asset,) = log.get_asset_records([key])
            last = asset.asset_entry.last_materialization
            assert last is not None
            answers.append(
                (
                    (
                        last.get_dagster_event().partition,
                        asset.asset_entry.last_run_id == result.run_id,
                    ),
                    [
                        str(event.dagster_event_type)
                        for event in log.get_logs_for_run(result.run_id)
                    ].count("DagsterEventType.ASSET_MATERIALIZATION"),
                    sorted(log.get_materialized_partitions(key)),
                    len(log.get_event_tags_for_asset(key)),
                    sorted(
                        map(
                            str,
                            log.get_latest_storage_id_by_partition(
                                key, dg.DagsterEventType.ASSET_MATERIALIZATION
                            ),
                        )
                    ),
                    log.has_asset_key(key),
                    len(
                        log.get_asset_check_execution_history(
                            dg.AssetCheckKey(key, "sound"), limit=10
                        )
                    ),
                )
            )
        assert answers[0] == answers[1]


def test_a_runs_database_is_laid_out_as_dagsters_own(
    instance: dg.DagsterInstance, tmp_path: Path
) -> None:
    (tmp_path / "stock").mkdir()
    with dg.instance_for_test(temp_dir=str(tmp_path / "stock")) as stock:
        layouts = []
        for used in (instance, stock):
            first, second = new_run_id(), new_run_id()
            for run_id in (first, second):
                used.report_engine_event("here", run_id=run_id, job_name="any")
            log = used.event_log_storage
            assert isinstance(log, SqliteEventLogStorage)
            assert {first, second} == set(log.get_all_run_ids())
            with sqlite3.connect(log.path_for_shard(second)) as opened:
                layout = opened.execute("SELECT name, sql FROM sqlite_master ORDER BY name")
                revision = opened.execute("SELECT version_num FROM alembic_version")
                journal = opened.execute("PRAGMA journal_mode")
                layouts.append([layout.fetchall(), revision.fetchall(), journal.fetchall()])
            opened.close()
        assert layouts[0] == layouts[1]


def test_more_runs_than_stay_open_are_all_readable(instance: dg.DagsterInstance) -> None:
    runs = [new_run_id() for _ in range(MAX_OPEN + 2)]
    for run_id in runs:
        instance.report_engine_event("here", run_id=run_id, job_name="any")
    log = instance.event_log_storage
    assert isinstance(log, EventLog)
    assert len(log._engines) == MAX_OPEN
    assert [len(instance.all_logs(run_id)) for run_id in runs] == [1] * len(runs)


def test_a_batch_that_fails_leaves_nothing_behind(instance: dg.DagsterInstance) -> None:
    events = instance.all_logs(run_all(instance).run_id)
    broken = events[-1]._replace(dagster_event=None, timestamp="no number")
    other = new_run_id()
    log = instance.event_log_storage
    with pytest.raises(TypeError):
        log.store_event_batch([event._replace(run_id=other) for event in (*events, broken)])
    assert instance.all_logs(other) == []
