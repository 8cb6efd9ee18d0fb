"""The further slices in the store, in the UI and in MLflow."""

import json
from dataclasses import replace
from pathlib import Path

import dagster as dg
import numpy as np
import pandas as pd
import pytest
from mlflow.tracking import MlflowClient
from sklearn.metrics import roc_auc_score

from evaluator.orchestration import AuditState, Home, page_of
from evaluator.orchestration._assets._reports import MAX_ROWS, _additional_slices_table
from evaluator.orchestration._scorecard_run import read_judged_scorecard
from evaluator.scorecard import ADDITIONAL_MEASUREMENTS, CASES, PREDICTIONS, Scorecard
from evaluator.spec import Audit
from evaluator_tests.orchestration.conftest import run


def test_the_table_in_the_ui_is_capped_and_says_so() -> None:
    rows = MAX_ROWS + 34
    measurements = pd.DataFrame(
        {
            "candidate": "one",
            "level": "tail",
            "group": [f"tail = {n}" for n in range(rows)],
            "metric": "recall",
            "value": 0.5,
            "low": 0.1,
            "high": 0.9,
            "n": 4,
            "n_effective": 2.0,
            "status": "ok",
            "reason": None,
        }
    )
    card = Scorecard(
        measurements=pd.DataFrame(), slices=pd.DataFrame(), additional_measurements=measurements
    )
    text = _additional_slices_table(card, "recall")
    assert text.count("| tail | tail = ") == MAX_ROWS
    assert f"The first {MAX_ROWS} of {rows} rows" in text
    assert ADDITIONAL_MEASUREMENTS in text
    less = replace(card, additional_measurements=measurements.iloc[:MAX_ROWS])
    whole = _additional_slices_table(less, "recall")
    assert "The first" not in whole


def test_the_audit_measures_each_carrier_as_scikit_learn_does(
    whole_audit: Audit, finished_whole_home: Home
) -> None:
    state = AuditState(whole_audit, finished_whole_home)
    findings = read_judged_scorecard(state)
    carriers = state.store.read_table(
        state.require("evaluation_set"), CASES, columns=["id", "data.carrier"]
    ).to_pandas()
    candidate = whole_audit.spec.candidates[0]
    states = state.slice_states(
        candidate, state.require("evaluation_set"), state.observed_model(candidate)
    )
    frames = [
        state.store.read_table(s.predictions, PREDICTIONS).to_pandas()
        for s in states
        if s.predictions is not None
    ]
    joined = pd.concat(frames).merge(carriers, on="id", validate="1:1")
    measured = findings.scorecard.additional_measurements
    measurements = measured.query("candidate == 'sturdy' and metric == 'roc_auc'")
    measurements = measurements[measurements["level"] == "carrier"].set_index("group")
    assert set(measurements.index) == {
        f"carrier = {name}" for name in joined["data.carrier"].unique()
    }
    compared = 0
    for carrier, rows in joined.groupby("data.carrier"):
        measurement = measurements.loc[f"carrier = {carrier}"]
        assert measurement["n"] == len(rows)
        if measurement["status"] != "undefined":
            wanted = roc_auc_score(rows["label"], rows["score"])
            assert measurement["value"] == pytest.approx(wanted, abs=1e-12)
            compared += 1
    assert compared > 8
    origins = measured.query("level == 'origin' and metric == 'roc_auc'")
    assert origins.groupby("candidate")["n"].sum().tolist() == [len(joined)] * 2


def test_the_further_slices_stand_on_the_page_in_mlflow_and_in_the_ui(
    whole_audit: Audit, finished_whole_home: Home, tmp_path: Path
) -> None:
    state = AuditState(whole_audit, finished_whole_home)
    measurements = read_judged_scorecard(state).scorecard.additional_measurements
    page = page_of(state).content.decode()
    assert "More slices" in page
    assert "origin = JFK" in page
    client = MlflowClient(tracking_uri=finished_whole_home.tracking_uri)
    runs = state.require("mlflow_runs").facts["runs"]
    path = client.download_artifacts(runs["sturdy"], "more_slices.json", str(tmp_path))
    logged = pd.DataFrame(json.loads(Path(path).read_text()))
    wanted = measurements[measurements["candidate"] == "sturdy"]
    assert logged["group"].tolist() == wanted["group"].tolist()
    np.testing.assert_array_equal(logged["value"].astype(float), wanted["value"])
    with dg.DagsterInstance.get() as instance:
        event = instance.get_latest_materialization_event(dg.AssetKey(["flights", "scorecard"]))
    assert event is not None
    assert event.asset_materialization is not None
    table = event.asset_materialization.metadata["more slices"].value
    assert "| carrier | carrier = B6 | sturdy |" in str(table)


def test_other_further_slices_make_another_scorecard_and_compute_no_slice(
    audit: Audit, finished_home: Home
) -> None:
    before = AuditState(audit, finished_home).require("scorecard")
    changed = by(audit, ("weekday", "origin"))
    before_identities, after_identities = (
        AuditState(one, finished_home).identities for one in (audit, changed)
    )
    assert before_identities.slice_metrics("p") == after_identities.slice_metrics("p")
    summary = run(changed, finished_home)
    assert summary.faults == []
    assert (summary.computed, summary.reused) == (0, 8)
    assert summary.judged is not None
    assert summary.judged.record.identity != before.identity
    assert summary.judged.record.content_version != before.content_version
    levels = summary.judged.scorecard.additional_measurements["level"].unique().tolist()
    assert levels == ["weekday", "origin", "weekday x origin"]


def test_an_audit_without_further_slices_has_no_rows_of_them(
    audit: Audit, finished_home: Home
) -> None:
    state = AuditState(audit, finished_home)
    assert read_judged_scorecard(state).scorecard.additional_measurements.empty
    page = page_of(state).content.decode()
    assert "More slices" not in page


def test_a_crashed_slice_is_missing_from_the_further_slices_and_said_above_them(
    audit: Audit, crashed_home: Home
) -> None:
    asked = by(audit, ("origin",), ("carrier",))
    summary = run(asked, crashed_home)
    assert summary.judged is not None
    measured = summary.judged.scorecard.additional_measurements
    measurements = measured.query("metric == 'roc_auc' and level == 'origin'")
    cases = measurements.groupby("candidate")["n"].sum()
    assert 0 < cases["frail"] < cases["sturdy"]
    state = AuditState(asked, crashed_home)
    page = page_of(state).content.decode()
    section = page[page.index('id="more"') :].split("<section", 1)[0]
    assert section.count("1 of 4 slices is missing") == 2


def by(audit: Audit, *additional_slices: tuple[str, ...]) -> Audit:
    return Audit(audit.name, audit.spec.model_copy(update={"additional_slices": additional_slices}))
