"""The lineage graph: every asset, every edge, and what each edge resolves to."""

import socket
import subprocess
import sys
from typing import Any

import dagster as dg
import pytest

from evaluator.orchestration import audit_definitions
from evaluator.orchestration._identities import CODE_VERSIONS
from evaluator.spec import Audit

WHOLES = {
    *("evaluation_set", "scorecard", "mlflow_runs", "certificate", "dashboard", "documents"),
}
DAYS = {"raw_data", "validated_data", "quarantined_rows", "data_quality_report"}
CANDIDATES = ("sturdy", "frail")
MODELS = {f"{name}_model" for name in CANDIDATES}
SLICES = {f"{n}_{part}" for n in CANDIDATES for part in ("predictions", "slice_metrics")}

A_DAY = "2013-11-02"
A_SLICE = "pacific|low_cost"
ALL = "all"
ITSELF = "the same"

EDGES = {
    ("validated_data", "raw_data"): ITSELF,
    ("quarantined_rows", "raw_data"): ITSELF,
    ("data_quality_report", "raw_data"): ITSELF,
    ("evaluation_set", "validated_data"): ALL,
    **{(f"{c}_predictions", "evaluation_set"): "whole" for c in CANDIDATES},
    **{(f"{c}_predictions", f"{c}_model"): "whole" for c in CANDIDATES},
    **{(f"{c}_slice_metrics", f"{c}_predictions"): ITSELF for c in CANDIDATES},
    ("scorecard", "evaluation_set"): "whole",
    **{("scorecard", f"{c}_slice_metrics"): ALL for c in CANDIDATES},
    ("mlflow_runs", "scorecard"): "whole",
    ("certificate", "scorecard"): "whole",
    ("dashboard", "scorecard"): "whole",
    ("dashboard", "certificate"): "whole",
    ("dashboard", "evaluation_set"): "whole",
    ("dashboard", "data_quality_report"): ALL,
    ("documents", "scorecard"): "whole",
    ("documents", "certificate"): "whole",
}


@pytest.fixture(scope="module")
def graph(audit: Audit) -> Any:
    return audit_definitions(audit).resolve_asset_graph()


def key(name: str) -> dg.AssetKey:
    return dg.AssetKey(["flights", name])


def test_the_graph_has_the_assets_of_the_design_and_no_other(graph: Any) -> None:
    names = {asset.path[-1] for asset in graph.get_all_asset_keys()}
    assert names == WHOLES | DAYS | MODELS | SLICES


def test_every_edge_is_one_of_the_design(graph: Any) -> None:
    edges = {
        (asset.path[-1], parent.path[-1])
        for asset in graph.get_all_asset_keys()
        for parent in graph.get(asset).parent_keys
    }
    assert edges == set(EDGES)


@pytest.mark.parametrize(("downstream", "upstream"), EDGES)
def test_every_edge_resolves_to_the_partitions_that_it_rests_on(
    graph: Any, downstream: str, upstream: str
) -> None:
    child, parent = graph.get(key(downstream)), graph.get(key(upstream))
    mapping = child.partition_mappings[parent.key]
    if parent.partitions_def is None:
        assert EDGES[downstream, upstream] == "whole"
        return
    everything = set(parent.partitions_def.get_partition_keys())
    asked = (
        None
        if child.partitions_def is None
        else child.partitions_def.subset_with_partition_keys(
            [A_DAY if downstream in DAYS else A_SLICE]
        )
    )
    resolved = mapping.get_upstream_mapped_partitions_result_for_partitions(
        asked, child.partitions_def, parent.partitions_def
    ).partitions_subset
    expected = {
        ALL: everything,
        ITSELF: {A_DAY if downstream in DAYS else A_SLICE},
    }[EDGES[downstream, upstream]]
    assert set(resolved.get_partition_keys()) == expected


def test_days_and_slices_are_the_partitions_of_the_audit(graph: Any) -> None:
    for name in DAYS:
        days = graph.get(key(name)).partitions_def
        assert days is not None
        assert days.get_first_partition_key() == "2013-10-01"
        assert days.get_last_partition_key() == "2013-12-31"
        assert days.get_num_partitions() == 92
    for name in SLICES:
        slices = graph.get(key(name)).partitions_def
        assert isinstance(slices, dg.MultiPartitionsDefinition)
        assert [d.name for d in slices.partitions_defs] == ["geography", "segment"]
        assert slices.get_num_partitions() == 4
    for name in WHOLES | MODELS:
        assert graph.get(key(name)).partitions_def is None


def test_every_asset_says_who_answers_for_it_and_what_it_is(graph: Any) -> None:
    for asset in graph.get_all_asset_keys():
        node = graph.get(asset)
        assert node.owners == ["team:audit"]
        assert node.group_name == "flights"
        assert node.description
        assert len(node.description) > 40
        assert node.kinds
        assert node.code_version in CODE_VERSIONS.values()


def test_typed_rows_and_predictions_show_their_columns(graph: Any, audit: Audit) -> None:
    schema = graph.get(key("validated_data")).metadata["dagster/column_schema"]
    assert [c.name for c in schema.columns] == list(audit.spec.data.columns)
    schema = graph.get(key("sturdy_predictions")).metadata["dagster/column_schema"]
    assert [c.name for c in schema.columns] == ["id", "label", "score", "prediction"]


def test_ranges_of_days_and_slices_are_one_run(graph: Any) -> None:
    for name in DAYS | SLICES:
        assert graph.get(key(name)).backfill_policy == dg.BackfillPolicy.single_run()


def test_sensors_run_as_soon_as_the_daemon_does(audit: Audit) -> None:
    sensors = {s.name: s.default_status for s in audit_definitions(audit).sensors or []}
    assert sensors == dict.fromkeys(
        ("flights_landing", "flights_artifacts", "flights_automation"),
        dg.DefaultSensorStatus.RUNNING,
    )


def test_an_audit_without_candidates_ends_at_the_report(audit: Audit) -> None:
    alone = audit.spec.model_copy(update={"candidates": (), "gates": ()})
    graph = audit_definitions(Audit("flights", alone)).resolve_asset_graph()
    assert {asset.path[-1] for asset in graph.get_all_asset_keys()} == DAYS


def test_all_shipped_audits_load_without_a_word_and_without_what_only_runs_need() -> None:
    program = "import sys; from evaluator.definitions import defs; defs(); print(*sys.modules)"
    output = subprocess.run(
        [sys.executable, "-W", "error::UserWarning", "-c", program],
        check=True,
        capture_output=True,
        text=True,
    )
    assert not {"mlflow", "sklearn", "skops", "scipy.stats"} & {*output.stdout.split()}
    assert output.stderr == ""


def test_definitions_load_though_files_models_and_servers_are_absent(
    audit: Audit, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EVALUATOR_HOME", "/no/such/place")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setattr(socket.socket, "connect", lambda *_: pytest.fail("it asks a server"))
    dg.Definitions.validate_loadable(audit_definitions(audit))
