"""Where the time goes in a backfill of 80 candidate slices through the daemon, as the UI starts it.

Run from the repository's root: ``python benchmarks/daemon.py``. The audit is that of
``benchmarks/orchestration.py``; webserver and daemon are the real ones, with their usual intervals.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from contextlib import suppress
from pathlib import Path
from typing import Any

from orchestration import AUDIT, environment, prepare

DEFINITIONS = f"""\
from pathlib import Path

import dagster as dg

from evaluator.orchestration import audit_definitions
from evaluator.spec import load_audit

audit = load_audit("{AUDIT}", Path(__file__).parent / "defs")
defs = dg.Definitions.merge(
    audit_definitions(audit), dg.Definitions(executor=dg.in_process_executor)
)
"""

LAUNCH = """
mutation ($params: LaunchBackfillParams!) {
  launchPartitionBackfill(backfillParams: $params) {
    __typename
    ... on LaunchBackfillSuccess { backfillId }
    ... on PythonError { message }
  }
}"""

ASKED = """
query ($id: String!) {
  partitionBackfillOrError(backfillId: $id) {
    ... on PartitionBackfill {
      status
      runs(limit: 50) {
        runId status creationTime startTime endTime
        stepStats { startTime endTime }
      }
    }
  }
}"""


def ask(address: str, query: str, **variables: Any) -> Any:
    """Post a query and return its data."""
    request = urllib.request.Request(  # noqa: S310 - our own server on loopback
        address,
        json.dumps({"query": query, "variables": variables}).encode(),
        {"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=60) as response:  # noqa: S310 - as above
        answer = json.loads(response.read())
    if "errors" in answer:
        raise SystemExit(str(answer["errors"]))
    return answer["data"]


def measure(folder: Path) -> None:
    """Start the servers, launch the backfill, and print what it did when."""
    (folder / "served.py").write_text(DEFINITIONS)
    workspace = folder / "workspace.yaml"
    workspace.write_text("load_from:\n  - python_file: served.py\n")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    address = f"http://127.0.0.1:{port}/graphql"
    home = folder / "home"
    variables = {
        **environment(folder),
        "DAGSTER_HOME": str(home / "dagster"),
        "DAGSTER_EVENT_BATCH_SIZE": "500",
        "PYTHONWARNINGS": "ignore",
    }
    server = subprocess.Popen(
        [sys.executable, "-m", "dagster", "dev", "-w", str(workspace), "-p", str(port)],
        env=variables,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        while True:
            with suppress(OSError):
                if ask(address, "{ version }"):
                    break
            time.sleep(0.2)
        names = [
            f"c{number}_{name}"
            for number in range(1, 5)
            for name in ("predictions", "slice_metrics")
        ]
        launched = time.time()
        answer = ask(
            address,
            LAUNCH,
            params={
                "allPartitions": True,
                "assetSelection": [{"path": [AUDIT, name]} for name in names],
            },
        )["launchPartitionBackfill"]
        while True:
            told = ask(address, ASKED, id=answer["backfillId"])["partitionBackfillOrError"]
            if told["status"] not in ("REQUESTED", "CANCELING"):
                break
            time.sleep(0.5)
        show(told, launched)
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            server.wait(timeout=20)
        with suppress(ProcessLookupError):
            os.killpg(server.pid, signal.SIGKILL)


def show(told: dict[str, Any], launched: float) -> None:
    """Print the mean times of the backfill's runs."""
    runs = told["runs"]
    steps = [(step["startTime"], step["endTime"]) for run in runs for step in run["stepStats"]]
    mean = {
        "a run, from the click to its beginning": [run["creationTime"] - launched for run in runs],
        "a run, in the queue": [run["startTime"] - run["creationTime"] for run in runs],
        "a run, from its process's start to its end": [
            run["endTime"] - run["startTime"] for run in runs
        ],
        "a step of it, one candidate on a segment": [end - start for start, end in steps],
    }
    ended = max(run["endTime"] for run in runs)
    print(f"backfill of 80 candidate slices: {told['status']}, {len(runs)} runs")
    for words, spent in mean.items():
        print(f"  {words}: mean {sum(spent) / len(spent):.1f} s, most {max(spent):.1f} s")
    print(f"from the click to the last slice: {ended - launched:.1f} s")
    print(f"{os.cpu_count()} cores; load of the machine at the end: {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        prepare(Path(name), 5, 4)
        measure(Path(name))
