"""The same audit on a real Ray cluster: the same bytes, whatever happens to the workers."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, suppress
from datetime import UTC, datetime
from pathlib import Path
from tempfile import mkdtemp

import pytest
import ray
import s3fs
import skops.io
from ray._private import ray_constants
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer

from evaluator.evidence import Record, RunContext
from evaluator.orchestration import AuditState, Home
from evaluator.orchestration._candidate_run import CandidateEvaluation
from evaluator.orchestration._evaluation_set import store_evaluation_set
from evaluator.orchestration._executors._declared import DeclaredExecutor
from evaluator.orchestration._executors._ray import ClusterError, RayExecutor
from evaluator.orchestration._local_runs import LocalRuns
from evaluator.orchestration._partitions import Range
from evaluator.scorecard import Slice
from evaluator.spec import Audit, RayExecution
from evaluator_tests.orchestration.conftest import open_home, start
from evaluator_tests.orchestration.ray_faults import (
    kill_where_planned,
    plan_error,
    plan_kills,
    scored,
)
from evaluator_tests.s3_server import s3_server

ROOT = Path(__file__).parents[2]
HOST = "127.0.0.1"
KILLED = ("pacific", "network")
KILLED_SLICE = Slice(*KILLED)

NOW = datetime(2026, 1, 2, tzinfo=UTC)

pytestmark = pytest.mark.slow


def free_ports(count: int) -> list[int]:
    """Name so many ports, each another one: Ray refuses to start with one port twice."""
    with ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind((HOST, 0))
        return [probe.getsockname()[1] for probe in probes]


@pytest.fixture(scope="session")
def bucket() -> Iterator[str]:
    with s3_server() as url:
        yield url


@pytest.fixture(scope="session")
def cluster(bucket: str) -> Iterator[RayExecution]:
    """A Ray cluster of two CPUs on loopback, with ports and a folder of its own.

    It lasts for the session, since tests of other files may be run in between. Its machine has the
    credentials of the bucket in its environment.
    """
    assert bucket
    # The sockets' paths must be short, and Ray's logs are nobody's once the tests have passed.
    folder = Path(mkdtemp(prefix="ray", dir="/tmp"))
    # Each of Ray's ports that it would not draw itself, so that none meets another's default.
    port, client, dashboard, agent = free_ports(4)
    command = [
        *(sys.executable, "-m", "ray.scripts.scripts", "start", "--head", "--block"),
        *(f"--node-ip-address={HOST}", f"--port={port}", f"--temp-dir={folder}"),
        *("--ray-client-server-port", str(client), "--dashboard-port", str(dashboard)),
        *("--dashboard-agent-listen-port", str(agent), "--disable-usage-stats"),
        *("--include-dashboard=false", "--include-log-monitor=false"),
        *("--num-cpus=2", f"--object-store-memory={80 * 1024**2}"),
    ]
    environment = {**os.environ, "RAY_USAGE_STATS_ENABLED": "0", "PYTHONPATH": str(ROOT)}
    # On Linux Ray would listen on all interfaces, so that other machines could join.
    environment["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"
    with (folder / "start.log").open("w") as log:
        head = subprocess.Popen(
            command, env=environment, stdout=log, stderr=log, start_new_session=True
        )
    try:
        await_start(head, port, folder)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(ray_constants, "ENABLE_RAY_CLUSTER", False)
            yield RayExecution(kind="ray", address=f"{HOST}:{port}", max_retries=1)
    finally:
        end(head, folder)


def await_start(head: "subprocess.Popen[bytes]", port: int, folder: Path) -> None:
    deadline = time.monotonic() + 600
    while "Ray runtime started" not in (folder / "start.log").read_text():
        assert head.poll() is None, (folder / "start.log").read_text()
        assert time.monotonic() < deadline, (folder / "start.log").read_text()
        time.sleep(0.1)
    socket.create_connection((HOST, port), timeout=600).close()


def end(head: "subprocess.Popen[bytes]", folder: Path) -> None:
    """End the cluster's processes, and remove its folder once nobody writes into it any more.

    A worker ends itself as soon as its cluster is gone.
    """
    with suppress(ProcessLookupError):
        os.killpg(head.pid, signal.SIGKILL)
    head.wait()
    deadline = time.monotonic() + 600
    while folder.exists() and time.monotonic() < deadline:
        shutil.rmtree(folder, ignore_errors=True)
        time.sleep(0.3)


@pytest.fixture(scope="module", autouse=True)
def disconnected() -> Iterator[None]:
    """Leave no connection to other files' tests: Ray handles its process's signals."""
    yield
    ray.shutdown()


@pytest.fixture(scope="session")
def taken_in(prepared: Path, audit: Audit, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home in which the days were taken in and the evaluation set was made, to be copied."""
    root = tmp_path_factory.mktemp("taken_in") / "home"
    shutil.copytree(prepared, root)
    with pytest.MonkeyPatch.context() as patch:
        home = open_home(root, patch)
        start(audit, home).ingest_days()
        store_evaluation_set(AuditState(audit, home), RunContext("before", NOW))
    return root


@pytest.fixture
def home(taken_in: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    """A home of the test's own, in which only the candidates are still to be run."""
    shutil.copytree(taken_in, tmp_path / "home")
    return open_home(tmp_path / "home", monkeypatch)


@pytest.fixture
def killing(audit: Audit, home: Home) -> Audit:
    """The small audit, with a candidate that kills its worker where that is planned."""
    sturdy = home.root / "models" / "flights" / "sturdy.skops"
    inner = skops.io.load(sturdy, trusted=[])
    killer = FunctionTransformer(kill_where_planned)
    skops.io.dump(Pipeline([("kill", killer), ("model", inner)]), sturdy.with_name("killer.skops"))
    settings = audit.spec.model_dump(mode="json", exclude_unset=True)
    settings["candidates"] = [
        {
            **settings["candidates"][0],
            "name": "killer",
            "path": "models/flights/killer.skops",
            "trusted_types": ["evaluator_tests.orchestration.ray_faults.kill_where_planned"],
        }
    ]
    return Audit("flights", type(audit.spec).model_validate(settings))


def evaluation_of(audit: Audit, home: Home, run: str = "run") -> CandidateEvaluation:
    """Open the first candidate on the evaluation set."""
    run_context = RunContext(run, NOW)
    return CandidateEvaluation(AuditState(audit, home), audit.spec.candidates[0], run_context)


def outcomes(
    evaluation: CandidateEvaluation,
    execution: RayExecution,
    slices: Sequence[Slice] | None = None,
) -> tuple[dict[Slice, Record], dict[Slice, Exception]]:
    """Evaluate on the cluster; each slice must come out once, and those that are done be stored."""
    slices = evaluation.state.spec.slices() if slices is None else slices
    with RayExecutor(execution, lambda *_: None) as executor:
        found = list(executor.evaluate(evaluation, slices))
    assert sorted(one for one, _ in found) == sorted(slices)
    done = {}
    for one, fault in found:
        if fault is None:
            assert evaluation.state.store.find(*evaluation.metrics_target(one)) is not None
            done[one] = predictions_in(evaluation, one)
    return done, {one: fault for one, fault in found if fault is not None}


def predictions_in(evaluation: CandidateEvaluation, of: Slice) -> Record:
    address, identity = evaluation.predictions_target(of)
    return evaluation.state.store.get(address, identity)


def test_an_audit_on_ray_gives_what_it_gives_here_to_the_byte(
    audit: Audit, home: Home, cluster: RayExecution, tmp_path: Path
) -> None:
    evaluation = evaluation_of(audit, home)
    shutil.copytree(home.root, tmp_path / "elsewhere")
    elsewhere = Home(tmp_path / "elsewhere", str(tmp_path / "elsewhere" / "evidence"))
    here = CandidateEvaluation(
        AuditState(audit, elsewhere), evaluation.candidate, evaluation.run_context
    )

    done, failed = outcomes(evaluation, cluster)

    assert failed == {}
    assert len(done) == 4
    list(here.evaluate(list(done)))
    for one, record in done.items():
        local = predictions_in(here, one)
        assert record == local
        assert evaluation.state.store.read_bytes(record, "predictions.parquet") == (
            here.state.store.read_bytes(local, "predictions.parquet")
        )
        assert evaluation.state.store.get(*evaluation.metrics_target(one)) == (
            here.state.store.get(*here.metrics_target(one))
        )
    again, _ = outcomes(evaluation_of(audit, home, "another run"), cluster)
    assert again == done


def test_dagsters_own_step_ends_in_a_complete_audit_although_a_worker_was_killed(
    killing: Audit, home: Home, cluster: RayExecution
) -> None:
    on_ray = Audit(killing.name, killing.spec.model_copy(update={"execution": cluster}))
    plan_kills(home.root, *KILLED, times=1)
    state = AuditState(on_ray, home)
    slices = state.spec.slices()

    runs = LocalRuns(state, DeclaredExecutor())
    runs.execute(["killer_model"], None)
    names = ["killer_predictions", "killer_slice_metrics"]
    faults = runs.execute(names, Range(slices[0].key, slices[-1].key))

    assert faults == []
    candidate = on_ray.spec.candidates[0]
    slices = state.slice_states(
        candidate, state.require("evaluation_set"), state.observed_model(candidate)
    )
    assert {s.state for s in slices} == {"current"}


def test_a_killed_worker_ends_in_a_complete_audit_and_nothing_is_done_twice(
    killing: Audit, home: Home, cluster: RayExecution
) -> None:
    plan_kills(home.root, *KILLED, times=1)

    done, failed = outcomes(evaluation_of(killing, home), cluster)

    assert failed == {}
    assert len(done) == 4
    # A slice without cases asks the candidate nothing.
    with_cases = {one for one, record in done.items() if record.facts["cases"]}
    wanted = {one.key: 1 + (one == KILLED_SLICE) for one in with_cases}
    assert Counter(scored(home.root)) == wanted


def test_a_slice_that_always_kills_its_worker_fails_alone(
    killing: Audit, home: Home, cluster: RayExecution
) -> None:
    plan_kills(home.root, *KILLED, times=3)
    evaluation = evaluation_of(killing, home)

    done, failed = outcomes(evaluation, cluster)

    assert list(failed) == [KILLED_SLICE]
    assert "the worker that predicted it died 2 times" in str(failed[KILLED_SLICE])
    assert "candidate killer, slice pacific|network" in str(failed[KILLED_SLICE])
    assert set(done) == set(evaluation.state.spec.slices()) - {KILLED_SLICE}
    assert scored(home.root).count(KILLED_SLICE.key) == 1 + cluster.max_retries


def test_what_a_candidate_raises_is_its_slices_failure_with_class_message_and_trace(
    killing: Audit, home: Home, cluster: RayExecution
) -> None:
    plan_error(home.root, *KILLED)

    done, failed = outcomes(evaluation_of(killing, home), cluster)

    assert len(done) == 3
    error = failed[KILLED_SLICE]
    assert type(error).__name__ == "CandidateCrashError"
    assert "BrokenFeatureError: pacific|network has a broken feature" in str(error)
    assert "in kill_where_planned" in str(error.__cause__)


def test_workers_write_straight_into_an_object_store(
    audit: Audit, home: Home, cluster: RayExecution, bucket: str, tmp_path: Path
) -> None:
    elsewhere = f"{bucket}/{tmp_path.name}"
    on_s3 = Home(home.root, elsewhere)
    s3fs.S3FileSystem().put(str(home.root / "evidence"), elsewhere, recursive=True)
    here, there = evaluation_of(audit, home), evaluation_of(audit, on_s3)
    slices = here.state.spec.slices()[:3]
    list(here.evaluate(slices))

    done, failed = outcomes(there, cluster, slices)

    assert failed == {}
    assert done == {one: predictions_in(here, one) for one in slices}


def test_a_machine_that_sees_another_artifact_predicts_nothing(
    audit: Audit, home: Home, cluster: RayExecution
) -> None:
    evaluation = evaluation_of(audit, home)
    models = home.root / "models" / "flights"
    (models / "sturdy.skops").write_bytes((models / "frail.skops").read_bytes())

    done, failed = outcomes(evaluation, cluster, evaluation.state.spec.slices()[:2])

    assert done == {}
    assert {type(error) for error in failed.values()} == {ClusterError}
    assert "its artifact is another one on the machine" in str(next(iter(failed.values())))
    assert evaluation.state.observed_model(evaluation.candidate) == evaluation.model.content_version


def test_a_process_that_uses_a_cluster_refuses_to_use_another_one(
    audit: Audit, home: Home, cluster: RayExecution
) -> None:
    evaluation = evaluation_of(audit, home)
    outcomes(evaluation, cluster, evaluation.state.spec.slices()[:1])
    another = RayExecution(kind="ray", address=f"{HOST}:{free_ports(1)[0]}")

    with pytest.raises(ClusterError, match="connected to another cluster"):
        outcomes(evaluation, another)


def test_a_cluster_that_is_not_there_is_a_clear_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAY_USAGE_STATS_ENABLED", raising=False)
    execution = RayExecution(kind="ray", address=f"ray://{HOST}:{free_ports(1)[0]}")
    ray.shutdown()
    with pytest.raises(ClusterError, match="nothing answers there") as caught:
        RayExecutor(execution, lambda *_: None).submit()

    assert execution.address in caught.value.culprit
    assert "start the cluster" in caught.value.fix
    # Before Ray is asked for anything it is told to tell nobody about its use.
    assert os.environ["RAY_USAGE_STATS_ENABLED"] == "0"
