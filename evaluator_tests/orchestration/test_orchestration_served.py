"""The real daemon and a real webserver: a backfill with a failing slice, and its repair."""

from itertools import product
from pathlib import Path
from typing import Any

import pytest

from evaluator.orchestration import AuditState, Choice, Home
from evaluator.spec import Audit
from evaluator_tests.faults import plan_faults
from evaluator_tests.orchestration.conftest import small_audit, start
from evaluator_tests.orchestration.served import Served, served, until

LAUNCH = """
mutation ($params: LaunchBackfillParams!) {
  launchPartitionBackfill(backfillParams: $params) {
    __typename
    ... on LaunchBackfillSuccess { backfillId }
    ... on PythonError { message }
  }
}"""

REEXECUTE = """
mutation ($params: ReexecutionParams!) {
  reexecutePartitionBackfill(reexecutionParams: $params) {
    __typename
    ... on LaunchBackfillSuccess { backfillId }
    ... on PythonError { message }
  }
}"""

BACKFILL = """
query ($id: String!) {
  partitionBackfillOrError(backfillId: $id) {
    ... on PartitionBackfill {
      status
      runs(limit: 50) { runId status assetSelection { path } tags { key value } }
    }
  }
}"""

STATUSES = """
query ($key: AssetKeyInput!) {
  assetNodeOrError(assetKey: $key) {
    ... on AssetNode {
      assetPartitionStatuses {
        ... on MultiPartitionStatuses {
          ranges {
            primaryDimStartKey
            primaryDimEndKey
            secondaryDim {
              ... on DefaultPartitionStatuses {
                materializedPartitions failedPartitions
              }
            }
          }
        }
      }
    }
  }
}"""

SCORECARD_RUNS = """
query {
  runsOrError(filter: {statuses: [SUCCESS]}) {
    ... on Runs { results { runId assetSelection { path } startTime } }
  }
}"""

CANDIDATE_ASSETS = [
    f"{candidate}_{part}"
    for candidate in ("sturdy", "frail")
    for part in ("predictions", "slice_metrics")
]
CRASHED = ("pacific", "network")


def _slices(server: Served, asset: str) -> dict[str, set[str]]:
    """Return the slices by their status, as the UI shows them."""
    answer = server.ask(STATUSES, key={"path": ["flights", asset]})
    geographies = list(small_audit().spec.slice_values()["geography"])
    found: dict[str, set[str]] = {}
    for each in answer["assetNodeOrError"]["assetPartitionStatuses"]["ranges"]:
        first = geographies.index(each["primaryDimStartKey"])
        last = geographies.index(each["primaryDimEndKey"])
        for status in ("materialized", "failed"):
            for segment in each["secondaryDim"][f"{status}Partitions"]:
                keys = {f"{g}|{segment}" for g in geographies[first : last + 1]}
                found.setdefault(status, set()).update(keys)
    return found


def _finished(server: Served, backfill: str) -> Any:
    state = server.ask(BACKFILL, id=backfill)["partitionBackfillOrError"]
    done = state["status"].startswith("COMPLETED") or state["status"] == "FAILED"
    return state if done else None


def _scorecard_runs(server: Served) -> set[str]:
    results = server.ask(SCORECARD_RUNS)["runsOrError"]["results"]
    return {
        run["runId"]
        for run in results
        if ["flights", "scorecard"] in [key["path"] for key in run["assetSelection"] or []]
    }


@pytest.mark.slow
def test_a_backfill_with_one_failing_slice_is_repaired_by_exactly_that_slice(
    audit: Audit, home: Home, tmp_path: Path
) -> None:
    before = start(audit, home, Choice())
    before.ingest_days()
    before._refresh_evaluation_set(refresh=False)
    plan_faults(home.root, CRASHED)

    with served(home, tmp_path) as server:
        launched = server.ask(
            LAUNCH,
            params={
                "allPartitions": True,
                "assetSelection": [{"path": ["flights", name]} for name in CANDIDATE_ASSETS],
            },
        )["launchPartitionBackfill"]
        assert launched["__typename"] == "LaunchBackfillSuccess", launched
        state = until(lambda: _finished(server, launched["backfillId"]), "the backfill's end")
        assert state["status"] == "COMPLETED_FAILED"

        assert _missing(AuditState(audit, home)) == ["frail pacific|network"]
        everything = {f"{g}|{s}" for g, s in product(*audit.spec.slice_values().values())}
        assert _slices(server, "sturdy_slice_metrics") == {"materialized": everything}
        assert _slices(server, "frail_slice_metrics") == {
            "materialized": everything - {"pacific|network"},
            "failed": {"pacific|network"},
        }

        first = until(
            lambda: _scorecard_runs(server), "the tolerant scorecard after a partial failure"
        )
        scorecard = AuditState(audit, home).require("scorecard")
        assert scorecard.facts["current"] == 7

        plan_faults(home.root)
        again = server.ask(
            REEXECUTE,
            params={"parentRunId": launched["backfillId"], "strategy": "FROM_FAILURE"},
        )["reexecutePartitionBackfill"]
        assert again["__typename"] == "LaunchBackfillSuccess", again
        state = until(lambda: _finished(server, again["backfillId"]), "the repair's end")
        assert state["status"] == "COMPLETED_SUCCESS"
        assert len(state["runs"]) == 1
        tags = {tag["key"]: tag["value"] for tag in state["runs"][0]["tags"]}
        assert tags["dagster/asset_partition_range_start"] == "pacific|network"
        assert tags["dagster/asset_partition_range_end"] == "pacific|network"
        selected = {key["path"][-1] for key in state["runs"][0]["assetSelection"]}
        assert selected == {"frail_predictions", "frail_slice_metrics"}
        assert _missing(AuditState(audit, home)) == []

        until(lambda: _scorecard_runs(server) - first, "the scorecard after the repair")
        assert AuditState(audit, home).require("scorecard").facts["current"] == 8


def _missing(state: AuditState) -> list[str]:
    evaluation_set = state.require("evaluation_set")
    return [
        f"{s.candidate} {s.slice.key}"
        for candidate in state.spec.candidates
        for s in state.slice_states(candidate, evaluation_set, state.observed_model(candidate))
        if s.state != "current"
    ]
