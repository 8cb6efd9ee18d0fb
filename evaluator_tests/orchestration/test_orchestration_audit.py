"""The whole audit in-process, and what remains of it when parts fail."""

import hashlib
import json
import shutil
from pathlib import Path
from typing import Self

import dagster as dg
import pandas as pd
import pytest
from mlflow.tracking import MlflowClient
from sklearn.metrics import accuracy_score, roc_auc_score

from evaluator.evidence import canonical_json
from evaluator.orchestration import (
    AuditState,
    Choice,
    Home,
    _candidate_run,
    _runner,
    audit_definitions,
    exit_code,
    format_run_summary,
    page_of,
)
from evaluator.orchestration._certificates import CERTIFICATE
from evaluator.orchestration._executors._declared import DeclaredExecutor
from evaluator.orchestration._scorecard_run import read_judged_scorecard
from evaluator.scorecard import PREDICTIONS, predictions_of, step_of
from evaluator.spec import Audit
from evaluator_tests.faults import plan_faults
from evaluator_tests.orchestration.conftest import CRASHED, run


def materialised(audit: Audit, asset: str) -> set[str]:
    with dg.DagsterInstance.get() as instance:
        return set(instance.get_materialized_partitions(dg.AssetKey([audit.name, asset])))


def test_the_whole_audit_runs_from_files_to_certificate_and_in_every_home_to_the_same_evidence(
    audit: Audit, home: Home, finished: Path
) -> None:
    summary = run(audit, home)
    state = AuditState(audit, home)
    assert summary.faults == []
    assert [day.state for day in summary.days] == ["accepted"] * 3
    assert (summary.computed, summary.reused) == (8, 0)
    assert summary.judged is not None
    assert [o.outcome for o in summary.judged.outcomes] == ["certified"] * 2
    assert exit_code(audit, Choice(), summary) == 0
    page = page_of(state).content.decode()
    assert "sturdy" in page
    assert state.store.read_bytes(state.require("certificate"), CERTIFICATE).startswith(b"{")
    elsewhere = AuditState(audit, Home(finished, str(finished / "evidence")))
    for asset in ("evaluation_set", "scorecard"):
        assert state.require(asset).identity == elsewhere.require(asset).identity
        assert state.require(asset).content_version == elsewhere.require(asset).content_version
    assert len(materialised(audit, "frail_slice_metrics")) == 4


def test_the_scorecard_says_what_scikit_learn_says(audit: Audit, finished_home: Home) -> None:
    state = AuditState(audit, finished_home)
    evaluation_set = state.require("evaluation_set")
    slices = state.slice_states(
        audit.spec.candidates[0], evaluation_set, state.observed_model(audit.spec.candidates[0])
    )
    measurements = read_judged_scorecard(state).scorecard.measurements
    measurements = measurements[
        (measurements["candidate"] == "sturdy") & (measurements["status"] == "ok")
    ]
    frames = {
        s.slice.key: state.store.read_table(s.predictions, PREDICTIONS).to_pandas()
        for s in slices
        if s.predictions is not None
    }
    cases = pd.concat(frames.values())
    assert len(cases) == evaluation_set.facts["cases"]
    overall = measurements[measurements["level"] == "overall"].set_index("metric")["value"]
    assert overall["roc_auc"] == pytest.approx(roc_auc_score(cases["label"], cases["score"]))
    for row in measurements[measurements["metric"] == "accuracy"].itertuples():
        if row.level == "geography x segment":
            chosen = frames[f"{row.geography}|{row.segment}"]
            wanted = accuracy_score(chosen["label"], chosen["prediction"])
            assert row.value == pytest.approx(wanted, abs=1e-12)


def test_rows_without_a_label_are_counted_and_not_scored(
    audit: Audit, finished_home: Home, flights: pd.DataFrame
) -> None:
    tested = flights[flights["date"] >= pd.Timestamp("2013-11-01").date()]
    record = AuditState(audit, finished_home).require("evaluation_set")
    assert record.facts["without_label"] == tested["arrival_delay"].isna().sum() > 0
    assert record.facts["cases"] == tested["arrival_delay"].notna().sum()


def test_a_second_run_computes_nothing_and_says_so(audit: Audit, finished_home: Home) -> None:
    before = _evidence(finished_home)
    with dg.DagsterInstance.get() as instance:
        runs_before = instance.get_runs_count()
    summary = run(audit, finished_home)
    with dg.DagsterInstance.get() as instance:
        assert instance.get_runs_count() == runs_before
    assert (summary.computed, summary.reused) == (0, 8)
    assert any(
        "No slice was computed" in line
        for line in format_run_summary(AuditState(audit, finished_home), summary)
    )
    assert _evidence(finished_home) == before


def test_rerunning_every_asset_by_hand_changes_no_version(
    audit: Audit, finished_home: Home
) -> None:
    before = _evidence(finished_home)
    job = audit_definitions(audit).resolve_implicit_global_asset_job_def()
    names = [f"sturdy_{name}" for name in ("predictions", "slice_metrics")]
    with dg.DagsterInstance.get() as instance:
        result = job.execute_in_process(
            instance=instance,
            asset_selection=[dg.AssetKey(["flights", name]) for name in names],
            tags={
                "dagster/asset_partition_range_start": "eastern|network",
                "dagster/asset_partition_range_end": "pacific|low_cost",
            },
        )
    assert result.success
    events = result.asset_materializations_for_node(step_of("flights", predictions_of("sturdy")))
    assert len(events) == 8
    assert all(event.metadata["reused"].value is True for event in events)
    assert {
        p: c for p, c in _evidence(finished_home).items() if not p.endswith("current.json")
    } == {p: c for p, c in before.items() if not p.endswith("current.json")}


def test_a_crash_on_one_slice_leaves_siblings_and_other_slices_alone(
    audit: Audit, crashed_home: Home
) -> None:
    assert len(materialised(audit, "sturdy_slice_metrics")) == 4
    assert len(materialised(audit, "frail_slice_metrics")) == 3
    assert "pacific|network" not in materialised(audit, "frail_predictions")
    judged = read_judged_scorecard(AuditState(audit, crashed_home))
    missing = judged.scorecard.slices.query("state != 'current'")
    assert missing[["candidate", "geography", "segment"]].to_numpy().tolist() == [
        ["frail", *CRASHED]
    ]
    assert "ConnectionError: the model server for pacific" in missing["error"].iloc[0]
    outcomes = {o.candidate: o.outcome for o in judged.outcomes}
    assert outcomes == {"sturdy": "certified", "frail": "undecided"}
    assert "the model server for pacific is out of reach" in _page(audit, crashed_home)


def test_what_crashed_is_exactly_what_the_next_run_computes(
    audit: Audit, crashed_home: Home
) -> None:
    plan_faults(crashed_home.root)
    summary = run(audit, crashed_home)
    assert (summary.computed, summary.reused) == (1, 7)
    assert summary.judged is not None
    assert (summary.judged.scorecard.slices["state"] == "current").all()


class InThisProcess(DeclaredExecutor):
    """Evaluates here what a run from the terminal would give to processes."""

    def __init__(self, *_: object) -> None: ...

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None: ...

    def submit(self, *_: object) -> None: ...


def test_slices_that_cannot_be_measured_are_missing_and_say_why(
    audit: Audit, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cannot(*_: object, **__: object) -> None:
        raise ArithmeticError("these numbers cannot be measured")

    with monkeypatch.context() as patch:
        # In this process, where the patch holds.
        patch.setattr(_runner, "ProcessExecutor", InThisProcess)
        patch.setattr(_candidate_run, "measure", cannot)
        summary = run(audit, home, Choice(candidate="frail"))
    assert summary.computed == 0
    assert len(materialised(audit, "frail_predictions")) == 4
    assert materialised(audit, "frail_slice_metrics") == set()
    errors = {s.error for s in summary.slices}
    assert errors == {"ArithmeticError: these numbers cannot be measured"}
    assert summary.judged is None
    told = "frail, 4 slices: ArithmeticError: these numbers cannot be measured"
    assert summary.faults[0] == told
    assert "none of the 8 slices" in summary.faults[1]
    assert exit_code(audit, Choice(), summary) == 3
    assert f"Fault: {told}" in format_run_summary(AuditState(audit, home), summary)


def test_a_failed_slice_keeps_its_old_version_and_is_called_outdated(
    audit: Audit, finished_home: Home
) -> None:
    _change_threshold = audit.spec.candidates[1].model_copy(update={"threshold": 0.4})
    changed = Audit(
        audit.name,
        audit.spec.model_copy(update={"candidates": (audit.spec.candidates[0], _change_threshold)}),
    )
    plan_faults(finished_home.root, CRASHED)
    summary = run(changed, finished_home)
    states = {s.slice.key: s.state for s in summary.slices if s.candidate == "frail"}
    assert states.pop("|".join(CRASHED)) == "outdated"
    assert set(states.values()) == {"current"}
    assert summary.judged is not None
    measurements = summary.judged.scorecard.measurements
    of_slice = measurements[
        (measurements["candidate"] == "frail")
        & (measurements["geography"] == CRASHED[0])
        & (measurements["segment"] == CRASHED[1])
    ]
    assert of_slice.empty


def test_a_broken_day_fails_and_its_quarantine_and_report_are_there(
    audit: Audit, home: Home
) -> None:
    path = _landed(home, "2013-11-02")
    lines = path.read_text().splitlines()
    mangled = [line.replace("2013-11", "not a time") for line in lines[1:60]]
    path.write_text("\n".join([lines[0], *mangled, *lines[60:]]) + "\n")
    summary = run(audit, home)
    assert {day.day: day.state for day in summary.days} == {
        "2013-11-01": "accepted",
        "2013-11-02": "refused",
        "2013-11-03": "accepted",
    }
    assert materialised(audit, "validated_data") == {"2013-11-01", "2013-11-03"}
    assert len(materialised(audit, "quarantined_rows")) == 3
    assert len(materialised(audit, "data_quality_report")) == 3
    state = AuditState(audit, home)
    assert state.require("evaluation_set").facts["days"] == ["2013-11-01", "2013-11-03"]
    quarantined = state.require("quarantined_rows", "2013-11-02")
    assert quarantined.facts["quarantined"] == 59
    report = state.store.read_bytes(
        state.require("data_quality_report", "2013-11-02"), "report.txt"
    ).decode()
    assert "REFUSED" in report
    assert any("2013-11-02 refused" in line for line in format_run_summary(state, summary))


def test_a_day_that_is_sent_again_broken_is_no_longer_used(
    audit: Audit, finished_home: Home
) -> None:
    path = _landed(finished_home, "2013-11-03")
    good = path.read_bytes()
    path.write_text("this is not the file that was agreed\n1\n")
    summary = run(audit, finished_home)
    state = AuditState(audit, finished_home)
    assert [d.day for d in summary.days if d.state == "refused"] == ["2013-11-03"]
    assert state.require("evaluation_set").facts["days"] == ["2013-11-01", "2013-11-02"]
    path.write_bytes(good)
    summary = run(audit, finished_home)
    assert (summary.computed, summary.reused) == (0, 8)
    assert len(AuditState(audit, finished_home).require("evaluation_set").facts["days"]) == 3


def test_a_missing_artifact_is_named_and_the_other_candidate_is_judged(
    audit: Audit, home: Home
) -> None:
    (home.root / "models/flights/frail.skops").unlink()
    summary = run(audit, home)
    assert summary.computed == 4
    assert len(summary.faults) == 1
    assert "frail.skops is not there" in summary.faults[0]
    assert exit_code(audit, Choice(), summary) == 3
    assert summary.judged is not None
    outcomes = {o.candidate: o.outcome for o in summary.judged.outcomes}
    assert outcomes == {"sturdy": "certified", "frail": "undecided"}


def test_a_new_artifact_computes_just_its_candidates_slices(
    audit: Audit, finished_home: Home
) -> None:
    models = finished_home.root / "models/flights"
    models.joinpath("frail.skops").write_bytes(models.joinpath("sturdy.skops").read_bytes())
    summary = run(audit, finished_home)
    assert (summary.computed, summary.reused) == (4, 4)


def test_a_part_of_the_audit_is_run_on_its_own(audit: Audit, home: Home) -> None:
    choice = Choice(candidate="sturdy", geography="eastern")
    summary = run(audit, home, choice)
    assert summary.computed == 2
    assert materialised(audit, "sturdy_predictions") == {
        f"eastern|{kind}" for kind in ("network", "low_cost")
    }
    assert exit_code(audit, choice, summary) == 0
    assert summary.judged is not None
    assert {o.outcome for o in summary.judged.outcomes} == {"undecided"}


def test_a_tracking_server_that_is_down_blocks_nothing_else(
    audit: Audit, finished_home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Nothing listens on the discard port.
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    summary = run(audit, finished_home)
    assert len(summary.faults) == 1
    assert "127.0.0.1" in summary.faults[0]
    assert summary.judged is not None
    assert "sturdy" in _page(audit, finished_home)
    assert exit_code(audit, Choice(), summary) == 3


def test_one_mlflow_run_a_candidate_holds_its_figures(audit: Audit, finished_home: Home) -> None:
    (finished_home.root / "evidence/flights/mlflow_runs/_/current.json").unlink()
    for folder in (finished_home.root / "evidence/flights/mlflow_runs/_").iterdir():
        shutil.rmtree(folder)
    summary = run(audit, finished_home)
    client = MlflowClient(tracking_uri=finished_home.tracking_uri)
    experiment = client.get_experiment_by_name("flights")
    assert experiment is not None
    runs = client.search_runs([experiment.experiment_id])
    assert sorted(r.data.tags["evaluator.candidate"] for r in runs) == ["frail", "sturdy"]
    assert summary.judged is not None
    measurements = summary.judged.scorecard.measurements
    for logged in runs:
        rows = measurements[
            (measurements["candidate"] == logged.data.tags["evaluator.candidate"])
            & (measurements["level"] == "overall")
        ].set_index("metric")
        assert logged.data.metrics["roc_auc"] == rows.loc["roc_auc", "value"]


def test_the_certificate_names_everything_that_it_rests_on(
    audit: Audit, finished_home: Home
) -> None:
    state = AuditState(audit, finished_home)
    content = state.store.read_bytes(state.require("certificate"), CERTIFICATE)
    certificate = json.loads(content)
    assert canonical_json(certificate) == content
    assets = {record["asset"] for record in certificate["evidence"]}
    assert assets >= {"raw_data", "validated_data", "evaluation_set", "sturdy_model", "scorecard"}
    assert {"sturdy_predictions", "frail_slice_metrics"} <= assets
    for record in certificate["evidence"]:
        for path, sha256 in record["files"].items():
            stored = (finished_home.root / "evidence" / path).read_bytes()
            assert hashlib.sha256(stored).hexdigest() == sha256


def _landed(home: Home, day: str) -> Path:
    return home.landing("flights") / f"flights-{day}.csv"


def _page(audit: Audit, home: Home) -> str:
    state = AuditState(audit, home)
    return page_of(state).content.decode()


def _evidence(home: Home) -> dict[str, bytes]:
    root = home.root / "evidence"
    return {str(p.relative_to(root)): p.read_bytes() for p in root.rglob("*") if p.is_file()}
