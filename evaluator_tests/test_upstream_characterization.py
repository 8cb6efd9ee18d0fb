"""What we rely on in others' code that they do not promise, or that surprises.

A release that changes one of these fails here, and not in somebody's audit. Each private name
that is used anywhere stands here, and where it is used.
"""

import asyncio
import ctypes
import gettext
import os
import signal
import sqlite3
import struct
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from io import BytesIO
from itertools import accumulate
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import dagster as dg
import pytest
import typer
from dagster._core.errors import DagsterExecutionInterruptedError
from dagster._core.storage.event_log import SqliteEventLogStorage
from dagster._core.telemetry_upload import is_running_in_test
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import EmptyWorkspaceTarget
from dagster._daemon import controller
from dagster_webserver.webserver import DagsterWebserver
from mlflow.exceptions import MlflowException
from mlflow.store.db.utils import _get_latest_schema_revision
from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore
from mlflow.tracking import MlflowClient
from ray._private import ray_constants, services
from sqlalchemy.exc import OperationalError
from urllib3.connection import HTTPConnection
from urllib3.exceptions import NewConnectionError

from evaluator.orchestration import _home
from evaluator.orchestration._local_runs import RANGE_END_TAG, RANGE_START_TAG
from evaluator.orchestration._partition_run import DATA_VERSION_TAG
from evaluator_tests.orchestration.served import until

GEOGRAPHY = dg.StaticPartitionsDefinition(["north", "south"])
SEGMENT = dg.StaticPartitionsDefinition(["new", "old", "lost"])
SLICES = dg.MultiPartitionsDefinition({"geography": GEOGRAPHY, "segment": SEGMENT})
PARENT, CHILD = dg.AssetKey("parent"), dg.AssetKey("child")
WHOLE_RANGE = {RANGE_START_TAG: "north|new", RANGE_END_TAG: "south|lost"}


def _ranged(*, failing: tuple[str, ...] = ()) -> dg.AssetsDefinition:
    @dg.multi_asset(
        specs=[
            dg.AssetSpec(PARENT, skippable=True, partitions_def=SLICES),
            dg.AssetSpec(
                CHILD,
                skippable=True,
                partitions_def=SLICES,
                deps=[dg.AssetDep(PARENT, partition_mapping=dg.IdentityPartitionMapping())],
            ),
        ],
        can_subset=True,
        backfill_policy=dg.BackfillPolicy.single_run(),
    )
    def ranged(context: dg.AssetExecutionContext) -> Any:
        keys = [key for key in context.partition_keys if key not in failing]
        assets = [key for key in (PARENT, CHILD) if key in context.selected_asset_keys]
        if failing:
            for asset in assets:
                for key in keys:
                    context.log_event(
                        dg.AssetMaterialization(
                            asset, partition=key, tags={DATA_VERSION_TAG: f"of {key}"}
                        )
                    )
            raise dg.Failure("some failed", allow_retries=False)
        for asset in assets:
            for key in keys:
                context.add_asset_metadata({"slice": key}, asset_key=asset, partition_key=key)
            yield dg.MaterializeResult(asset_key=asset, data_version=dg.DataVersion("of all"))

    return ranged


def _run(assets: dg.AssetsDefinition, instance: dg.DagsterInstance, **options: Any) -> Any:
    return dg.materialize(
        [assets], instance=instance, tags=WHOLE_RANGE, raise_on_error=False, **options
    )


def test_a_range_of_two_dimensions_is_the_product_of_two_ranges() -> None:
    keys = SLICES.get_partition_keys_in_range(dg.PartitionKeyRange("north|new", "south|old"))
    assert set(keys) == {"north|new", "north|old", "south|new", "south|old"}


def test_a_step_may_log_its_successes_and_fail_and_they_count() -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        result = _run(_ranged(failing=("south|old",)), instance)
        assert not result.success
        for asset in (PARENT, CHILD):
            done = instance.get_materialized_partitions(asset)
            assert done == set(SLICES.get_partition_keys()) - {"south|old"}
            event = instance.get_latest_data_version_record(asset, partition_key="north|new")
            assert event is not None
            assert event.asset_materialization is not None
            tags = event.asset_materialization.tags or {}
            assert tags[DATA_VERSION_TAG] == "of north|new"


def test_a_ranged_success_gives_one_event_a_slice_with_its_own_metadata() -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        result = _run(_ranged(), instance)
        assert result.success
        events = [e for e in result.get_asset_materialization_events() if e.asset_key == CHILD]
        slices = [e.step_materialization_data.materialization.metadata["slice"] for e in events]
        assert sorted(s.value for s in slices) == sorted(SLICES.get_partition_keys())


def test_dagster_lists_the_whole_range_anew_for_each_slice_that_is_described(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Why `evaluator.orchestration._partitions` lists a range once; that goes when this fails.
    listed = []
    listing = dg.MultiPartitionsDefinition.get_partition_keys_in_range

    def watched(*given: Any, **named: Any) -> Any:
        listed.append(given)
        return listing(*given, **named)

    monkeypatch.setattr(dg.MultiPartitionsDefinition, "get_partition_keys_in_range", watched)
    with dg.DagsterInstance.ephemeral() as instance:
        assert _run(_ranged(), instance).success
    assert len(listed) >= 2 * len(SLICES.get_partition_keys())


def test_a_ranged_success_stamps_one_data_version_on_all_its_partitions() -> None:
    # So the version of a range is a digest over all of it: see PartitionRun.
    with dg.DagsterInstance.ephemeral() as instance:
        _run(_ranged(), instance)
        for key in SLICES.get_partition_keys():
            record = instance.get_latest_data_version_record(CHILD, partition_key=key)
            assert record is not None
            assert record.asset_materialization is not None
            assert (record.asset_materialization.tags or {})[DATA_VERSION_TAG] == "of all"


def test_a_part_of_a_multi_asset_can_be_run_alone() -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        assert _run(_ranged(), instance, selection=[CHILD]).success
        assert instance.get_materialized_partitions(PARENT) == set()


@pytest.mark.parametrize("downstream", [None, SLICES])
def test_all_partitions_is_a_mapping_for_wholes_too(
    downstream: dg.PartitionsDefinition[str] | None,
) -> None:
    mapping = dg.AllPartitionMapping()
    asked = None if downstream is None else downstream.subset_with_partition_keys(["north|new"])
    found = mapping.get_upstream_mapped_partitions_result_for_partitions(
        asked, downstream, SLICES
    ).partitions_subset
    assert set(found.get_partition_keys()) == set(SLICES.get_partition_keys())


def test_between_slices_and_days_dagster_infers_a_mapping_that_resolves_to_nothing() -> None:
    # Why every edge of ours names its mapping.
    days = dg.DailyPartitionsDefinition("2026-01-01", end_date="2026-01-10")

    @dg.asset(partitions_def=days)
    def upstream() -> None: ...

    @dg.asset(partitions_def=SLICES, deps=[upstream])
    def downstream() -> None: ...

    graph = dg.Definitions([upstream, downstream]).resolve_asset_graph()
    mapping = graph.get_partition_mapping(dg.AssetKey("downstream"), dg.AssetKey("upstream"))
    assert isinstance(mapping, dg.IdentityPartitionMapping)


def test_an_artifact_can_be_observed_by_a_job_and_gives_its_data_version() -> None:
    with pytest.warns(dg.BetaWarning):

        @dg.multi_observable_source_asset(specs=[dg.AssetSpec("model", owners=["team:a"])])
        def model() -> Any:
            yield dg.ObserveResult(asset_key=dg.AssetKey("model"), data_version=dg.DataVersion("7"))

    with dg.DagsterInstance.ephemeral() as instance:
        job = dg.Definitions([model]).resolve_implicit_global_asset_job_def()
        assert job.execute_in_process(
            instance=instance, asset_selection=[dg.AssetKey("model")]
        ).success
        record = instance.get_latest_data_version_record(dg.AssetKey("model"))
        assert record is not None
        assert record.asset_observation is not None
        assert (record.asset_observation.tags or {})[DATA_VERSION_TAG] == "7"


def test_definitions_that_share_the_very_same_resource_can_be_merged() -> None:
    class Shared(dg.ConfigurableResource[None]):
        pass

    shared = {"shared": Shared()}
    merged = dg.Definitions.merge(
        dg.Definitions(resources=shared), dg.Definitions(resources=shared)
    )
    assert list(merged.resources or {}) == ["shared"]


def test_what_a_since_remembers_overlooks_what_any_deps_match_looks_for() -> None:
    # Why `evaluator.orchestration._asset_specs` has two "not" there; they go when this fails.
    when: Any = dg.AutomationCondition
    updated = when.any_deps_match(when.newly_updated())
    failed = when.any_deps_match(when.execution_failed().newly_true())

    def remembered(trigger: Any) -> str:
        since = trigger.since(when.newly_requested())
        return since.get_node_unique_id(parent_unique_id=None, index=None, target_key=None)

    assert remembered(updated) == remembered(failed)
    assert remembered(updated) != remembered(~~failed)


class Watched(SqliteEventLogStorage):
    """Dagster's log, which notes what it connects to and what it is given together.

    `evaluator.orchestration.event_log` derives from this class, whose name Dagster documents for
    the instance file, and overrides these methods.
    """

    def __init__(self, base_dir: str, inst_data: Any = None) -> None:
        self.connected: set[str] = set()
        self.batches: list[int] = []
        super().__init__(base_dir, inst_data)

    @classmethod
    def from_config_value(cls, inst_data: Any, config_value: Any) -> "Watched":
        return cls(config_value["base_dir"], inst_data)

    def run_connection(self, run_id: str | None = None) -> Any:
        self.connected.add(f"{run_id}.db")
        return super().run_connection(run_id)

    def index_connection(self) -> Any:
        self.connected.add("index.db")
        return super().index_connection()

    def store_event_batch(self, events: Any) -> None:
        self.batches.append(len(events))
        super().store_event_batch(events)


@pytest.fixture
def watched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dg.DagsterInstance]:
    monkeypatch.setenv("DAGSTER_EVENT_BATCH_SIZE", "500")
    log = {"module": __name__, "class": "Watched", "config": {"base_dir": str(tmp_path / "log")}}
    with dg.instance_for_test(temp_dir=str(tmp_path), overrides={"event_log_storage": log}) as made:
        yield made


def test_the_event_log_reaches_each_of_its_databases_by_two_methods(
    watched: dg.DagsterInstance, tmp_path: Path
) -> None:
    log: Any = watched.event_log_storage
    run_id = _run(_ranged(), watched).run_id
    assert {path.name for path in (tmp_path / "log").glob("*.db")} == log.connected
    with log.run_connection(run_id) as connection:
        assert connection.engine.url.database == log.path_for_shard(run_id)
        assert connection.in_transaction()


def test_the_events_of_a_range_are_given_to_the_log_together(watched: dg.DagsterInstance) -> None:
    _run(_ranged(), watched)
    log: Any = watched.event_log_storage
    slices = len(SLICES.get_partition_keys())
    # First what is planned, for both assets, and then what each of them became.
    assert log.batches == [2 * slices, slices, slices]


def test_each_event_of_an_asset_overwrites_its_row_by_one_method(
    watched: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The one method below an underscore that `evaluator.orchestration.event_log` overrides, so that
    # a batch writes the row once.
    written = []
    write = SqliteEventLogStorage._store_asset_event

    def noted(self: Any, conn: Any, event: Any, event_id: int) -> None:
        written.append(event.dagster_event.asset_key)
        write(self, conn, event, event_id)

    monkeypatch.setattr(SqliteEventLogStorage, "_store_asset_event", noted)
    _run(_ranged(), watched)
    slices = len(SLICES.get_partition_keys())
    # Planned and materialised.
    assert Counter(written) == {PARENT: 2 * slices, CHILD: 2 * slices}


def test_the_daemon_waits_between_its_looks_as_long_as_its_constant_says() -> None:
    # `evaluator.orchestration._services` shortens it.
    assert controller.DEFAULT_DAEMON_INTERVAL_SECONDS == 30


def test_dagster_takes_an_instance_file_that_is_empty_for_its_defaults(tmp_path: Path) -> None:
    # Why `evaluator.orchestration.Home` looks into it first.
    (tmp_path / "dagster.yaml").touch()
    with dg.DagsterInstance.from_config(str(tmp_path)) as instance:
        assert instance.telemetry_enabled


def test_dagster_sends_nothing_where_the_environment_says_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # `evaluator` sets it, so that a broken instance file turns nothing on.
    for name in ("BUILDKITE", "TF_BUILD", "DAGSTER_DISABLE_TELEMETRY"):
        monkeypatch.delenv(name, raising=False)
    assert not is_running_in_test()
    monkeypatch.setenv("DAGSTER_DISABLE_TELEMETRY", "true")
    assert is_running_in_test()


def test_an_asset_knows_its_context_without_being_handed_it() -> None:
    found = []

    @dg.asset
    def one() -> None:
        found.append(dg.AssetExecutionContext.get().instance)

    with dg.DagsterInstance.ephemeral() as instance:
        assert dg.materialize([one], instance=instance).success
        assert found == [instance]


def test_dagster_leaves_signals_alone_in_another_thread_and_cancels_what_is_interrupted() -> None:
    # How a signal stops `evaluator run`: `evaluator.orchestration._local_runs`.
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    begun, found = threading.Event(), []

    @dg.asset
    def endless() -> None:
        found.append((signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)))
        begun.set()
        while True:
            threading.Event().wait(0.01)

    def materialize() -> None:
        found.append(dg.materialize([endless], instance=instance, raise_on_error=False).success)

    with dg.DagsterInstance.ephemeral() as instance:
        thread = threading.Thread(target=materialize)
        thread.start()
        begun.wait()
        (run,) = instance.get_runs()
        instance.report_run_canceling(run)
        ctypes.pythonapi.PyThreadState_SetAsyncExc(
            ctypes.c_ulong(thread.ident or 0), ctypes.py_object(DagsterExecutionInterruptedError)
        )
        thread.join()
        (run,) = instance.get_runs()
    assert found == [before, False]
    assert run.status is dg.DagsterRunStatus.CANCELED


_FORK_SERVER = """\
import atexit
import multiprocessing
import signal
from multiprocessing import forkserver
from pathlib import Path

from evaluator.orchestration._executors import _fork_server

if __name__ == "__main__":
    _fork_server.start_fork_server()
    number = forkserver._forkserver._forkserver_pid
    status = Path(f"/proc/{number}/status").read_text()
    blocked = int(status.partition("SigBlk:")[2].split()[0], 16)
    print(number, all(blocked >> (n - 1) & 1 for n in (signal.SIGINT, signal.SIGTERM)))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads Linux's table of processes")
def test_the_fork_server_hears_no_signal_for_the_run_and_is_ended_with_it(tmp_path: Path) -> None:
    # Its number has a private name, and it would go on importing for seconds.
    path = tmp_path / "command.py"
    path.write_text(_FORK_SERVER)
    # Longer than the path of a socket may be, which the server has one of.
    temporary = tmp_path / ("long" * 30)
    temporary.mkdir()
    environment = {"PYTHONPATH": str(Path(__file__).parents[1]), "TMPDIR": str(temporary)}
    command = subprocess.run(
        [sys.executable, str(path)],
        env=os.environ | environment,
        check=True,
        capture_output=True,
        text=True,
    )
    number, is_blocked = command.stdout.split()
    assert is_blocked == "True"
    until(lambda: has_ended(int(number)), "the server's end")


def has_ended(process: int) -> bool:
    try:
        status = Path(f"/proc/{process}/stat").read_text()
    except FileNotFoundError:
        return True
    # One that nobody waited for has still its line in some containers.
    return status.rpartition(")")[2].split()[0] == "Z"


@pytest.mark.skipif(sys.platform != "linux", reason="reads Linux's table of processes")
def test_polars_takes_sigint_for_itself_and_a_handler_set_again_has_it_alone() -> None:
    # Why `evaluator.verifier.STOP_SIGNALS` is asked to keep them.
    program = (
        "import signal\n"
        "signal.signal(signal.SIGINT, signal.SIG_IGN)\n"
        "def caught():\n"
        "    status = open('/proc/self/status').read()\n"
        "    return int(status.partition('SigCgt:')[2].split()[0], 16) >> 1 & 1\n"
        "before = caught()\n"
        "import polars\n"
        "print(before, caught())\n"
        "signal.signal(signal.SIGINT, signal.SIG_IGN)\n"
        "print(caught())\n"
    )
    command = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True
    )
    assert command.stdout.split() == ["0", "1", "0"]


def test_typer_takes_what_ended_too_early_for_an_answer_that_nobody_gives(
    capsys: pytest.CaptureFixture[str],
) -> None:
    # Why `evaluator.verifier.run_command` makes another error of it.
    app = typer.Typer()

    @app.command()
    def command() -> None:
        raise EOFError

    with pytest.raises(SystemExit) as caught:
        app([])
    assert caught.value.code == 1
    assert "Aborted" in capsys.readouterr().err


@pytest.fixture(scope="module")
def mlflow_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Made as `evaluator.orchestration._tracking` makes it."""
    folder = tmp_path_factory.mktemp("mlflow")
    artifacts = (folder / "artifacts").as_uri()
    SqlAlchemyStore(f"sqlite:///{folder / 'new.db'}", artifacts).engine.dispose()
    return (folder / "new.db").rename(folder / "mlflow.db")


def test_mlflows_database_names_its_revision_and_goes_by_any_name(mlflow_database: Path) -> None:
    with closing(sqlite3.connect(mlflow_database)) as connection:
        found = connection.execute("SELECT version_num FROM alembic_version").fetchall()
    assert found == [(_get_latest_schema_revision(),)]
    client = MlflowClient(tracking_uri=f"sqlite:///{mlflow_database}")
    assert [one.name for one in client.search_experiments()] == ["Default"]


def test_mlflow_stumbles_over_a_database_of_which_a_part_is_made(
    mlflow_database: Path, tmp_path: Path
) -> None:
    # Why ours is made aside, and looked at before MLflow does.
    database = tmp_path / "mlflow.db"
    database.write_bytes(mlflow_database.read_bytes())
    with closing(sqlite3.connect(database)) as connection, connection:
        # As a kill leaves it in the step that makes the datasets.
        connection.execute("UPDATE alembic_version SET version_num = '3500859a5d39'")
        connection.execute("DROP TABLE webhooks")
    with pytest.raises(OperationalError, match="table datasets already exists"):
        MlflowClient(tracking_uri=f"sqlite:///{database}").search_experiments()


def test_mlflow_keeps_where_artifacts_lie_as_an_absolute_address(mlflow_database: Path) -> None:
    # Why a home that is copied has to be moved along. They stand in columns of text.
    client = MlflowClient(tracking_uri=f"sqlite:///{mlflow_database}")
    made = client.create_experiment("relative", artifact_location="artifacts/relative")
    assert client.get_experiment(made).artifact_location == str(Path.cwd() / "artifacts/relative")
    with closing(sqlite3.connect(mlflow_database)) as connection:
        columns = {
            f"{table}.{column}": kind
            for (table,) in connection.execute("SELECT name FROM sqlite_master WHERE type='table'")
            for _, column, kind, *_ in connection.execute(f"PRAGMA table_info({table})")
        }
    for name in (
        "experiments.artifact_location",
        "runs.artifact_uri",
        "logged_models.artifact_location",
        "model_versions.source",
        "model_versions.storage_location",
    ):
        assert "VARCHAR" in columns[name]


def test_a_call_of_a_server_that_is_down_or_dumb_ends_within_two_minutes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # The sum behind `evaluator.orchestration._home`: each try may last as long as its timeout.
    for name, value in _home._DEFAULTS.items():
        monkeypatch.setenv(name, value)
    paused: list[float] = []
    timeouts: list[Any] = []

    def refuse(self: Any) -> None:
        timeouts.append(self.timeout)
        raise NewConnectionError(self, "nothing listens")

    monkeypatch.setattr(time, "sleep", paused.append)
    monkeypatch.setattr(HTTPConnection, "connect", refuse)
    with pytest.raises(MlflowException, match="nothing listens"):
        MlflowClient(tracking_uri="http://127.0.0.1:9").search_experiments()
    # A server that restarts is waited for, too.
    assert sum(paused) > 40
    assert len(timeouts) == 5
    assert sum(paused) + sum(timeouts) < 120


def test_a_rays_machine_is_at_loopback_where_clusters_are_off(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # `evaluator_tests.orchestration.test_orchestration_ray` keeps its cluster from the network.
    monkeypatch.setattr(ray_constants, "ENABLE_RAY_CLUSTER", False)
    assert services.get_node_ip_address() == "127.0.0.1"


def _ask(app: Any, method: str, path: str, headers: dict[str, str], **query: str) -> Any:
    """Send the UI's server a request without a body, and return how its answer begins."""
    answered = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        answered.append(message)

    scope = {
        "type": "http",
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "query_string": urlencode(query).encode(),
        "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
    }
    asyncio.run(app(scope, receive, send))
    return answered[0]


# SECURITY.md says so. Whoever reads this because it fails: say there what is better now.
@pytest.mark.parametrize(
    ("method", "headers"),
    [
        ("GET", {"accept": "image/*"}),
        ("POST", {"content-type": "text/plain"}),
        ("POST", {"content-type": "application/x-www-form-urlencoded"}),
    ],
)
def test_dagsters_ui_obeys_whatever_page_a_browser_shows(
    method: str, headers: dict[str, str]
) -> None:
    foreign = {"host": "evil.example", "origin": "https://evil.example", **headers}
    with (
        dg.instance_for_test() as instance,
        WorkspaceProcessContext(instance, EmptyWorkspaceTarget()) as context,
    ):
        app = DagsterWebserver(context).create_asgi_app()
        mutation = 'mutation { setConcurrencyLimit(concurrencyKey: "stolen", limit: 3) }'
        answer = _ask(app, method, "/graphql", foreign, query=mutation)
        assert answer["status"] == 200
        # What it did the page does not see.
        assert b"access-control-allow-origin" not in dict(answer["headers"])
        assert instance.event_log_storage.get_concurrency_keys() == {"stolen"}


def test_dagsters_ui_takes_a_forged_event_from_any_page() -> None:
    with (
        dg.instance_for_test() as instance,
        WorkspaceProcessContext(instance, EmptyWorkspaceTarget()) as context,
    ):
        app = DagsterWebserver(context).create_asgi_app()
        foreign = {"host": "evil.example", "origin": "https://evil.example"}
        answer = _ask(app, "POST", "/report_asset_materialization/parent", foreign)
        assert answer["status"] == 200
        assert instance.get_latest_materialization_event(PARENT) is not None


def test_a_compiled_catalogue_holds_plain_texts_by_english_and_plural_ones_by_form_too() -> None:
    """`evaluator.demo._language` goes through `GNUTranslations._catalog`, which is private."""
    said = {
        "": "Content-Type: text/plain; charset=UTF-8\nPlural-Forms: nplurals=2; plural=n!=1;\n",
        "May": "Mai",
        "abbrev. month\x04May": "Mai.",
        "%d day\0%d days": "%d Tag\0%d Tage",
    }
    # Numbers of a header, two tables of lengths and places, and the texts, each with a zero byte.
    texts = [text.encode() for text in (*said, *said.values())]
    places = list(accumulate((len(text) + 1 for text in texts), initial=28 + 8 * len(texts)))
    table = [number for pair in zip(map(len, texts), places, strict=False) for number in pair]
    numbers = [0x950412DE, 0, len(said), 28, 28 + 8 * len(said), 0, 0, *table]
    content = struct.pack(f"<{len(numbers)}I", *numbers) + b"".join(t + b"\0" for t in texts)

    found = gettext.GNUTranslations(BytesIO(content))

    catalogue: dict[Any, str] = found._catalog  # type: ignore[attr-defined] # that is the point
    assert {key: text for key, text in catalogue.items() if key} == {
        "May": "Mai",
        "abbrev. month\x04May": "Mai.",
        ("%d day", 0): "%d Tag",
        ("%d day", 1): "%d Tage",
    }
