"""The lineage graph: every asset, every edge, and what each edge resolves to."""

import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster.components.testing import create_defs_folder_sandbox
from markdown_it import MarkdownIt
from pydantic import TypeAdapter

from evaluator.orchestration import AuditComponent, audit_definitions, project_definitions
from evaluator.orchestration._identities import CODE_VERSIONS
from evaluator.spec import Audit, AuditSpec, audit_names, load_audit
from evaluator_tests.spec.conftest import GOOD

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


AUDIT_TYPE = "evaluator.orchestration.AuditComponent"
# By what is wrong: the YAML of an audit `wrong`, and what its failure says of it.
WRONG = {
    "no YAML": (GOOD + "  ]\n", "defs.yaml:26: it cannot be read as YAML"),
    "no text": (GOOD.encode() + b"\xff", "defs.yaml:26: it is not UTF-8 text"),
    "nothing": ("", "defs.yaml:1: type: it does not say its type"),
    "another type": (GOOD.replace("AuditComponent", "AuditComponnt"), "so this is no audit"),
    "a key beside its type": (GOOD + "atributes: {}\n", "26: atributes: an audit has no"),
    "no attributes": (f"type: {AUDIT_TYPE}\n", "attributes: this key is needed"),
    "a wrong key": (
        GOOD.replace("segment:", "segmant:"),
        "15: segmant: there is no such",
    ),
    "a day that is none": (GOOD.replace("2026-01-01", "2013-02-30"), "'2013-02-30' is no date"),
}


def lay(folder: Path, **texts: str | bytes) -> Path:
    """Write audits below a folder: by their names what they say."""
    for name, text in texts.items():
        path = folder / name / "defs.yaml"
        path.parent.mkdir(parents=True)
        path.write_bytes(text.encode() if isinstance(text, str) else text)
    return folder


def groups_of(definitions: dg.Definitions) -> dict[str, set[str]]:
    """Name the assets of each group, of what a code location would have."""
    graph = definitions.get_repository_def().asset_graph
    found: dict[str, set[str]] = {}
    for asset in graph.get_all_asset_keys():
        found.setdefault(graph.get(asset).group_name or "", set()).add(asset.path[-1])
    return found


def failure_of(definitions: dg.Definitions, group: str) -> str:
    """Materialise what stands for an audit that does not load, and say how that failed."""
    key = dg.AssetKey([group, "audit_spec"])
    result = definitions.resolve_implicit_global_asset_job_def().execute_in_process(
        asset_selection=[key], raise_on_error=False
    )
    (failed,) = result.filter_events(lambda event: event.is_step_failure)
    data = failed.step_failure_data.user_failure_data
    assert data is not None
    return str(data.description)


@pytest.mark.parametrize(("text", "words"), WRONG.values(), ids=WRONG)
def test_an_audit_that_does_not_load_is_red_and_leaves_the_others_alone(
    text: str | bytes, words: str, tmp_path: Path
) -> None:
    lay(tmp_path, shop=GOOD)
    alone = groups_of(project_definitions(tmp_path))
    lay(tmp_path, wrong=text)
    definitions = project_definitions(tmp_path)

    assert groups_of(definitions) == alone | {"wrong": {"audit_spec"}}
    told = failure_of(definitions, "wrong")
    assert str(tmp_path / "wrong" / "defs.yaml") in told
    assert words in told
    assert "To mend it: " in told
    # The terminal says the same of it.
    with pytest.raises(Exception, match="To mend it") as caught:
        load_audit("wrong", tmp_path)
    assert str(caught.value) == told
    assert load_audit("shop", tmp_path).name == "shop"


def test_what_stands_for_an_audit_shows_its_fault_as_text(tmp_path: Path) -> None:
    hostile = "![seen](https://example.org/x) <img src=x>"
    definitions = project_definitions(lay(tmp_path, wrong=f"type: '{hostile}'\n"))
    spec = definitions.resolve_asset_graph().get(dg.AssetKey(["wrong", "audit_spec"]))

    read = MarkdownIt("commonmark").enable("table").parse(spec.description or "")
    shown = [child for token in read if token.type == "inline" for child in token.children or ()]
    assert {child.type for child in shown} <= {"text", "text_special"}
    assert hostile in "".join(child.content for child in shown)


def test_what_a_candidate_is_said_to_be_is_text_in_the_ui(tmp_path: Path) -> None:
    hostile = "![seen](https://example.org/x) <img src=x>"
    path = "path: models/one.skops"
    lay(tmp_path, shop=GOOD.replace(path, f"{path}\n      description: '{hostile}'"))
    graph = project_definitions(tmp_path).resolve_asset_graph()
    description = graph.get(dg.AssetKey(["shop", "one_model"])).description

    read = MarkdownIt("commonmark").parse(description or "")
    shown = [child for token in read if token.type == "inline" for child in token.children or ()]
    assert {child.type for child in shown} <= {"text", "text_special", "softbreak"}
    assert hostile in "".join(child.content for child in shown)


def test_a_fault_of_one_audit_becomes_red_by_itself_and_once(tmp_path: Path) -> None:
    instance = dg.DagsterInstance.ephemeral()
    lay(tmp_path, wrong="")
    cursor, asked = None, []
    for text in ("", "", "type: another\n", "type: another\n"):
        (tmp_path / "wrong" / "defs.yaml").write_text(text)
        ticked = dg.evaluate_automation_conditions(
            project_definitions(tmp_path),
            instance,
            asset_selection=dg.AssetSelection.groups("wrong"),
            cursor=cursor,
        )
        cursor = ticked.cursor
        asked.append(ticked.total_requested)
    assert asked == [1, 0, 1, 0]
    (sensor,) = project_definitions(tmp_path).sensors or ()
    assert isinstance(sensor, dg.AutomationConditionSensorDefinition)
    assert sensor.default_status is dg.DefaultSensorStatus.RUNNING


def test_audits_whose_folders_are_called_alike_are_refused_and_no_other(tmp_path: Path) -> None:
    lay(tmp_path, shop=GOOD)
    lay(tmp_path / "north", sales=GOOD)
    lay(tmp_path / "south", sales=GOOD)
    lay(tmp_path / "east", **{"my-shop": GOOD, "my shop": GOOD})
    definitions = project_definitions(tmp_path)

    assert groups_of(definitions).keys() == {"shop", "sales", "my_shop"}
    assert f"called 'sales' too, by its folder: {tmp_path / 'north'}" in (
        failure_of(definitions, "sales")
    )
    assert failure_of(definitions, "my_shop").count("To mend it: rename the folder") == 2


def test_a_fault_that_is_no_users_mistake_leaves_the_others_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fault(name: str, folder: Path) -> Audit:
        if name == "wrong":
            raise RuntimeError("the disk is full")
        return load_audit(name, folder)

    monkeypatch.setattr("evaluator.orchestration._component.load_audit", fault)
    definitions = project_definitions(lay(tmp_path, shop=GOOD, wrong=GOOD))

    assert groups_of(definitions)["wrong"] == {"audit_spec"}
    assert failure_of(definitions, "wrong") == "RuntimeError: the disk is full"


def test_what_editors_and_python_keep_for_themselves_is_no_audit(tmp_path: Path) -> None:
    lay(tmp_path, **{"shop": GOOD, ".ipynb_checkpoints": "", "__pycache__": ""})

    assert audit_names(tmp_path) == ["shop"]


def test_no_two_steps_are_called_alike_whatever_audits_and_candidates_are_called(
    tmp_path: Path,
) -> None:
    def called(one: str, two: str) -> str:
        return GOOD.replace("name: one", f"name: {one}").replace("name: two", f"name: {two}")

    names = ("intake", "scorecard", "evaluation_set", "certificate", "raw_data", "class")
    for index, name in enumerate(names):
        lay(tmp_path, **{f"shop{index}": called(name, f"{name}_model")})
    lay(tmp_path, a=called("b__c", "b"), a__b=called("c", "b__c"), a_=called("b", "c"))
    definitions = project_definitions(tmp_path)

    assert not [group for group, has in groups_of(definitions).items() if "audit_spec" in has]
    steps = [
        asset.node_def.name
        for asset in definitions.assets or ()
        if isinstance(asset, dg.AssetsDefinition)
    ]
    assert len(set(steps)) == len(steps)


# Dagster loads components with what pydantic has deprecated, and with its own betas.
@pytest.mark.filterwarnings("ignore:`parse_obj_as` is deprecated:DeprecationWarning")
@pytest.mark.filterwarnings("ignore:.* is currently in beta")
@pytest.mark.parametrize("kind", ["a wrong key", "no attributes"])
def test_in_a_foreign_project_a_fault_among_the_attributes_leaves_the_others_alone(
    kind: str,
) -> None:
    text, words = WRONG[kind]
    with create_defs_folder_sandbox() as sandbox:
        lay(sandbox.defs_folder_path, shop=GOOD, wrong=text)
        with sandbox.build_all_defs() as definitions:
            assert groups_of(definitions)["wrong"] == {"audit_spec"}
            assert "evaluation_set" in groups_of(definitions)["shop"]
            assert words in failure_of(definitions, "wrong")


def test_editors_know_the_keys_of_a_component_though_dagster_does_not_check_them() -> None:
    model = AuditComponent.get_model_cls()

    schema = TypeAdapter(model).json_schema()
    assert schema["$ref"] == "#/$defs/AuditSpec"
    audit = schema["$defs"].pop("AuditSpec")
    assert audit | {"$defs": schema["$defs"]} == AuditSpec.model_json_schema()
