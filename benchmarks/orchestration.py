"""What the platform itself costs: `evaluator run`, less predicting, measuring and the data.

Run from the repository's root: ``python benchmarks/orchestration.py`` (``--quick`` leaves out the
thousand slices, ``--log`` measures only what an event costs in Dagster's log, ``--certificates``
only what the certificates of 30 candidates take). Every run is a process of its own, as a user
starts it, on an audit of 500,000 made-up cases and four candidates.
The bare work is timed in one process, with the same candidates and the same metrics and nothing
else around them.
"""

import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import yaml

DAY = date(2026, 1, 1)
ROWS = 500_000
FEATURES = [f"x{number}" for number in range(1, 7)]
AUDIT = "synthetic"
LOGS = ("Dagster's own", "with a listener", "and idle connections", "EventLog")
VERIFY = "import sys; sys.argv[0] = 'evaluator-verify'; from evaluator.verifier import main; main()"


def audit_of(geographies: int, segments: int, candidates: int = 4) -> dict[str, object]:
    """Declare an audit of some candidates over so many slices."""
    numbers = {name: {"type": "float", "required": True, "drift": False} for name in FEATURES}
    return {
        "type": "evaluator.orchestration.AuditComponent",
        "attributes": {
            "data": {
                "files": "cases-{date}.csv",
                "first_day": DAY,
                "last_day": DAY,
                "id": "case",
                "columns": {
                    "case": {"type": "integer", "required": True, "unique": True},
                    "geography": {
                        "type": "category",
                        "required": True,
                        "allowed": [f"g{number:02d}" for number in range(geographies)],
                    },
                    "segment": {
                        "type": "category",
                        "required": True,
                        "allowed": [f"s{number:02d}" for number in range(segments)],
                    },
                    **numbers,
                    "label": {"type": "integer", "required": True},
                },
            },
            "label": {"column": "label", "positive": 1},
            "geography": "geography",
            "segment": "segment",
            "candidates": [
                {
                    "name": f"c{n}",
                    "path": f"models/c{n}.skops",
                    "features": FEATURES,
                    **({"baseline": True} if candidates > 4 and n == 1 else {}),
                }
                for n in range(1, candidates + 1)
            ],
        },
    }


def prepare(
    folder: Path, geographies: int, segments: int, candidates: int = 4, rows: int = ROWS
) -> None:
    """Write an audit, its data and its candidates, and freeze its evaluation set."""
    import skops.io
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    random = np.random.default_rng(20260101)
    frame = pd.DataFrame(random.normal(size=(rows, len(FEATURES))).round(4), columns=FEATURES)
    odds = frame.to_numpy() @ np.linspace(-1, 1.5, len(FEATURES)) - 0.5
    frame.insert(0, "case", np.arange(rows))
    frame["geography"] = [f"g{n:02d}" for n in random.integers(0, geographies, rows)]
    frame["segment"] = [f"s{n:02d}" for n in random.integers(0, segments, rows)]
    frame["label"] = (random.random(rows) < 1 / (1 + np.exp(-odds))).astype(int)
    home = folder / "home"
    landing = home / "landing" / AUDIT
    landing.mkdir(parents=True)
    frame.to_csv(landing / f"cases-{DAY}.csv", index=False)
    (home / "models").mkdir()
    for number in range(1, candidates + 1):
        model = make_pipeline(StandardScaler(), LogisticRegression())
        part = frame.sample(min(20_000, rows // 5), random_state=number)
        model.fit(part[FEATURES], part["label"])
        skops.io.dump(model, home / "models" / f"c{number}.skops")
    defs = folder / "defs" / AUDIT
    defs.mkdir(parents=True)
    (defs / "defs.yaml").write_text(yaml.safe_dump(audit_of(geographies, segments, candidates)))
    child(folder, "freeze")
    # A home that was used before has the tables of MLflow's own file, which take seconds to make.
    from mlflow.tracking import MlflowClient

    (home / "mlflow").mkdir()
    MlflowClient(tracking_uri=f"sqlite:///{home / 'mlflow/mlflow.db'}").search_experiments()


def child(folder: Path, *what: str) -> subprocess.CompletedProcess[str]:
    """Run this file again as another process on the audit in the folder."""
    return subprocess.run(
        command(folder, *what), env=environment(folder), check=False, text=True, capture_output=True
    )


def command(folder: Path, *what: str) -> list[str]:
    """Give the command of such a process."""
    return [sys.executable, __file__, "--child", str(folder), *what]


def environment(folder: Path) -> dict[str, str]:
    """Give the environment of such a process."""
    own = {"EVALUATOR_HOME": str(folder / "home"), "DAGSTER_DISABLE_TELEMETRY": "1"}
    return {**os.environ, **own}


def act(folder: Path, what: list[str]) -> None:
    """Do in this process what `child` asked for."""
    if what[0] == "log":
        print(json.dumps(event_costs(folder, what[1])))
        return
    import evaluator.spec
    from evaluator.cli import command
    from evaluator.cli._display import progress_display
    from evaluator.orchestration import AuditRun, AuditState, Choice, Home

    evaluator.spec.shipped_audits = lambda: folder / "defs"
    if what[0] == "run":
        sys.argv = ["evaluator", "run", AUDIT]
        command()
    audit = evaluator.spec.load_audit(AUDIT, folder / "defs")
    if what[0] == "freeze":
        with progress_display() as display:
            run = AuditRun(audit, Home.from_environment(), Choice(), display)
            run.ingest_days()
            run._refresh_evaluation_set(refresh=True)  # noqa: SLF001 - nothing more than that
        return
    print(json.dumps(bare_work(AuditState(audit, Home.from_environment()))))


def bare_work(state: object) -> dict[str, float]:
    """Time predicting, measuring, and one read and write of the data, and nothing else."""
    from evaluator.candidates import load_scorer, predict
    from evaluator.evaluation import measure
    from evaluator.orchestration import AuditState
    from evaluator.scorecard import CASES

    assert isinstance(state, AuditState)  # noqa: S101 - for the type checker
    record = state.require("evaluation_set")
    spent = dict.fromkeys(("read and write", "predict", "measure"), 0.0)

    @contextmanager
    def spend(on: str) -> Iterator[None]:
        start = time.perf_counter()
        yield
        spent[on] += time.perf_counter() - start

    with tempfile.TemporaryDirectory() as folder:
        for candidate in state.spec.candidates:
            with spend("read and write"):
                frame = state.store.read_table(record, CASES).to_pandas()
            scorer = load_scorer(candidate, state.home.root, task=state.spec.asks)
            slices = [cases for _, cases in frame.groupby(["geography", "segment"])]
            with spend("predict"):
                parts = [
                    predict(candidate, scorer, cases, task=state.spec.asks) for cases in slices
                ]
            predicted = pd.concat(
                [
                    part.assign(
                        geography=cases["geography"].iloc[0], segment=cases["segment"].iloc[0]
                    )
                    for part, cases in zip(parts, slices, strict=True)
                ],
                ignore_index=True,
            )
            with spend("read and write"):
                predicted.to_parquet(Path(folder) / "predictions.parquet", compression="zstd")
                pd.read_parquet(Path(folder) / "predictions.parquet")
            # Once for the slices' own metrics and once, over all of them, for the scorecard.
            for _ in range(2):
                with spend("measure"):
                    measure(state.spec, candidate, predicted)
    return spent


def event_costs(home: Path, log: str) -> tuple[float, float]:
    """Measure wall and processor time of an event, in milliseconds, in a run of two hundred."""
    import dagster as dg

    instance_file = "telemetry:\n  enabled: false\n"
    if log == "EventLog":
        instance_file += (
            "event_log_storage:\n  module: evaluator.orchestration.event_log\n  class: EventLog\n"
        )
        os.environ["DAGSTER_EVENT_BATCH_SIZE"] = "500"
    elif log != LOGS[0]:
        listen(idle=log == "and idle connections")
    (home / "dagster.yaml").write_text(instance_file)
    os.environ["DAGSTER_HOME"] = str(home)

    @dg.asset(partitions_def=dg.StaticPartitionsDefinition([f"p{n:03}" for n in range(100)]))
    def sliced(context: dg.AssetExecutionContext) -> dg.MaterializeResult[None]:
        for key in context.partition_keys:
            context.add_asset_metadata({"slice": key}, partition_key=key)
        return dg.MaterializeResult(data_version=dg.DataVersion("1"))

    job = dg.Definitions([sliced]).resolve_implicit_global_asset_job_def()
    tags = {
        "dagster/asset_partition_range_start": "p000",
        "dagster/asset_partition_range_end": "p099",
    }
    with dg.DagsterInstance.get() as instance:
        # The first run makes the tables and imports what is used late.
        for _ in range(2):
            start, used = time.perf_counter(), time.process_time()
            done = job.execute_in_process(instance=instance, tags=tags)
            spent = time.perf_counter() - start, time.process_time() - used
        events = len(instance.all_logs(done.run_id))
    return 1000 * spent[0] / events, 1000 * spent[1] / events


def listen(*, idle: bool) -> None:
    """Do what SQLAlchemy's public events allow, for comparison with our own log."""
    import sqlite3
    from typing import Any

    import sqlalchemy

    held: dict[str, sqlite3.Connection] = {}

    @sqlalchemy.event.listens_for(sqlalchemy.Engine, "connect")
    def connected(connection: Any, _record: object) -> None:
        connection.execute("PRAGMA synchronous=NORMAL")
        path = connection.execute("PRAGMA database_list").fetchone()[2]
        journal = connection.execute("PRAGMA journal_mode").fetchone()[0]
        if idle and journal == "wal" and path not in held:
            # Closing is a checkpoint, unless it is another one that is closed last.
            held[path] = sqlite3.connect(path)
            held[path].execute("SELECT 1 FROM sqlite_master").fetchone()


def certificates(folder: Path) -> None:
    """Print how large the certificates of a finished audit are, and what checking one takes."""
    import resource

    evidence = folder / "home" / "evidence"
    stored = [
        path
        for asset in ("certificate", "shared_evidence")
        for path in (evidence / AUDIT / asset).rglob("*")
        if path.is_file()
    ]
    signed = next(path for path in stored if path.name == "c2.dsse.json")
    size = sum(path.stat().st_size for path in stored)
    print(f"certificates and all that is stored with them  {size / 1e6:.2f} MB   (at most 3 MB)")
    print(f"  one of them                                  {signed.stat().st_size / 1e6:.3f} MB")
    what = [str(signed), "--evidence", str(evidence)]
    for name, more in (("one", []), ("all", ["--all"])):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        done = subprocess.run(
            [sys.executable, "-c", VERIFY, *what, *more],
            check=False,
            text=True,
            capture_output=True,
        )
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        result = (done.stdout or done.stderr).splitlines()[0].split(":")[0]
        print(f"verification of {name}, of the processor           {spent:.2f} s   ({result})")


def timed_run(folder: Path) -> float:
    """Time `evaluator run` from its start to its end."""
    # What was prepared or copied is on the disk before the clock starts.
    os.sync()
    start = time.perf_counter()
    done = child(folder, "run")
    spent = time.perf_counter() - start
    if done.returncode:
        raise SystemExit(f"the run failed:\n{done.stdout[-3000:]}{done.stderr[-3000:]}")
    return spent


def computed(folder: Path) -> int:
    """Count the slices that are stored."""
    stored = folder / "home" / "evidence" / AUDIT
    return sum(1 for _ in stored.glob("c*_predictions/*/*/*/record.json"))


def killed_halfway(folder: Path, slices: int) -> int:
    """Start a run, kill it by SIGKILL when half of the slices are stored, and count them."""
    with subprocess.Popen(
        command(folder, "run"),
        env=environment(folder),
        text=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as running:
        while running.poll() is None and computed(folder) < slices // 2:
            time.sleep(0.005)
        running.send_signal(signal.SIGKILL)
    # Its workers end by themselves as soon as they notice.
    before = -1
    while (now := computed(folder)) != before:
        before = now
        time.sleep(0.5)
    return now


def copy_of(folder: Path, to: Path) -> Path:
    """Copy a prepared audit, so that each measurement begins at the same point."""
    import shutil

    shutil.copytree(folder, to, symlinks=True)
    return to


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="leave out the thousand slices")
    parser.add_argument("--log", action="store_true", help="measure the event log alone")
    parser.add_argument("--certificates", action="store_true", help="measure these alone")
    parser.add_argument("--child", nargs="+", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        act(Path(options.child[0]), options.child[1:])
        return
    cores = os.cpu_count() or 1
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        if options.certificates:
            prepare(root / "thirty", 6, 3, candidates=30, rows=20_000)
            print(
                f"evaluator run, 30 candidates x 18 slices       {timed_run(root / 'thirty'):.2f} s"
            )
            certificates(root / "thirty")
            return
        for number, log in enumerate(LOGS):
            (root / f"log{number}").mkdir()
            wall, processor = json.loads(child(root / f"log{number}", "log", log).stdout)
            print(f"an event, {log:22}  {wall:5.1f} ms, of the processor {processor:5.1f} ms")
        if options.log:
            return
        twenty = root / "twenty"
        prepare(twenty, 5, 4)
        work = json.loads(child(twenty, "work").stdout)
        first = copy_of(twenty, root / "first")
        whole = timed_run(first)
        again = statistics.median(timed_run(first) for _ in range(3))
        bare = sum(work.values())
        overhead = whole - bare / cores
        print(
            f"bare work, one process ({', '.join(f'{k} {v:.2f} s' for k, v in work.items())})"
            f"  {bare:.2f} s"
        )
        print(f"evaluator run, 4 candidates x 20 slices x {ROWS:,} rows   {whole:.2f} s")
        print(
            f"  overhead: that, less the bare work on {cores} cores     {overhead:.2f} s"
            f"   (at most {6 + 0.02 * 80:.1f} s)"
        )
        print(f"evaluator run, nothing changed                  {again:.2f} s   (at most 5 s)")
        half = copy_of(twenty, root / "half")
        stored = killed_halfway(half, 80)
        rest = timed_run(half)
        print(
            f"killed by SIGKILL with {stored} of 80 slices stored; the second run took"
            f" {rest:.2f} s and computed {80 - stored}: {(80 - stored) / 80:.0%}   (at most 55 %)"
        )
        if not options.quick:
            thousand = root / "thousand"
            prepare(thousand, 50, 20)
            many = timed_run(thousand)
            print(
                f"evaluator run, 4 candidates x 1,000 slices    {many:.2f} s: {many - whole:.2f} s"
                " more   (at most 90 s)"
            )
        print(f"{cores} cores; load of the machine at the end: {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
