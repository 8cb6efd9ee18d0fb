"""What the scorecard measures beside geography and segment."""

import json
from pathlib import Path
from typing import Any

import dagster as dg
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from mlflow.tracking import MlflowClient
from sklearn.metrics import roc_auc_score

from evaluator.orchestration.candidate_evaluation import PREDICTIONS
from evaluator.orchestration.documents import PAGE
from evaluator.orchestration.evaluated_cases import EvaluatedCases
from evaluator.orchestration.evaluation_assets import CASES
from evaluator.orchestration.home import Home
from evaluator.orchestration.more_slices import measure_more
from evaluator.orchestration.report_assets import MOST_ROWS, _more_slices_table
from evaluator.orchestration.scorecard import MORE_FIGURES, read_findings
from evaluator.orchestration.state import AuditState
from evaluator.spec import Audit, AuditSpec
from evaluator.spec.candidates import RecordedCandidate
from evaluator_tests.faults import plan_faults
from evaluator_tests.orchestration.conftest import run

DEVICES = ["phone", "tablet", None, "phone", "a, b", "phone", None, "tablet"]


def spec_of(more_slices: list[list[str]], **columns: dict[str, Any]) -> AuditSpec:
    return AuditSpec.model_validate(
        {
            "data": {
                "files": "{date}.csv",
                "first_day": "2026-01-01",
                "id": "id",
                "columns": {
                    "id": {"type": "string", "required": True, "unique": True},
                    "truth": {"type": "integer"},
                    "device": {"type": "category"},
                    "age": {"type": "integer"},
                    "member": {"type": "boolean"},
                    **columns,
                },
            },
            "label": {"column": "truth"},
            "metrics": ["accuracy", "recall"],
            "more_slices": more_slices,
        }
    )


def measured(
    spec: AuditSpec, table: pa.Table, predictions: pd.DataFrame, *, score: str | None = "score"
) -> list[pd.DataFrame]:
    """Measure a candidate on some of the cases; nothing of the audit's state is looked at."""
    state = AuditState(Audit("devices", spec), Home(Path("nowhere"), "memory://nowhere"))
    candidate = RecordedCandidate(
        kind="recorded", name="one", path="one.csv", score=score, prediction="decision"
    )
    cases = EvaluatedCases(table, spec.data.columns)
    place = cases.place_of(predictions)
    return measure_more(state, candidate, cases, predictions, place)


@pytest.fixture
def cases() -> pa.Table:
    return pa.table(
        {
            "id": [f"c{number}" for number in range(8)],
            "data.device": DEVICES,
            "data.age": pa.array([9, 10, 9, 100, None, 10, 9, 9], pa.int64()),
            "data.member": [True, False, True, False, True, False, True, False],
        }
    )


@pytest.fixture
def predictions() -> pd.DataFrame:
    frame = pd.DataFrame(
        {
            "id": [f"c{number}" for number in range(8)],
            "label": [1, 0, 1, 0, 1, 0, 1, 0],
            "score": [0.9, 0.1, 0.2, 0.8, 0.7, 0.3, 0.6, 0.4],
        }
    )
    frame["prediction"] = (frame["score"] >= 0.5).astype(int)
    # The order of predictions is not that of the evaluation set.
    return frame.sample(frac=1, random_state=5)


def counted(level: pd.DataFrame) -> dict[str, int]:
    one = level[level["metric"] == "accuracy"]
    assert one["group"].is_unique
    return dict(zip(one["group"], one["n"].astype(int), strict=True))


def test_cases_without_a_value_are_a_group_of_their_own(
    cases: pa.Table, predictions: pd.DataFrame
) -> None:
    (level,) = measured(spec_of([["device"]]), cases, predictions)
    assert counted(level) == {
        'device = "a, b"': 1,
        "device = phone": 3,
        "device = tablet": 2,
        "device = (missing)": 2,
    }
    accuracy = level[level["metric"] == "accuracy"].set_index("group")["value"]
    # By hand: of the two cases without a device one is scored 0.2 and one 0.6; both are positive.
    assert accuracy["device = (missing)"] == 0.5
    assert accuracy["device = phone"] == pytest.approx(2 / 3)


def test_whole_numbers_stand_in_their_own_order_and_without_a_point(
    cases: pa.Table, predictions: pd.DataFrame
) -> None:
    (level,) = measured(spec_of([["age"]]), cases, predictions)
    assert list(counted(level).items()) == [
        ("age = 9", 4), ("age = 10", 2), ("age = 100", 1), ("age = (missing)", 1)
    ]  # fmt: skip


def test_every_column_and_every_cross_is_one_level_and_none_comes_twice(
    cases: pa.Table, predictions: pd.DataFrame
) -> None:
    spec = spec_of([["device"], ["age", "device", "member"], ["device", "age"], ["member"]])
    levels = measured(spec, cases, predictions)
    assert [level["level"].iloc[0] for level in levels] == [
        "device", "age", "member", "age x device", "age x member", "device x member",
        "age x device x member",
    ]  # fmt: skip
    for level in levels:
        # Each level cuts the same cases, once.
        assert sum(counted(level).values()) == 8
    assert counted(levels[3])["age = 9, device = (missing)"] == 2
    assert counted(levels[2]) == {"member = false": 4, "member = true": 4}


def test_a_declared_group_without_a_case_has_n_0(
    cases: pa.Table, predictions: pd.DataFrame
) -> None:
    declared = {"type": "category", "allowed": ["watch", "phone"], "severity": "warn"}
    spec = spec_of([["device", "member"]], device=declared)
    device, _, cross = measured(spec, cases, predictions)
    # What is not allowed was only warned about, so that it is there.
    assert list(counted(device)) == [
        "device = watch", "device = phone", 'device = "a, b"', "device = tablet",
        "device = (missing)",
    ]  # fmt: skip
    watch = device[device["group"] == "device = watch"]
    assert watch["n"].tolist() == [0, 0]
    assert watch["status"].tolist() == ["undefined"] * 2
    assert watch["reason"].tolist() == ["no rows"] * 2
    # Which combinations there may be is not declared: those that occur are there.
    assert len(counted(cross)) == 5


def test_a_cross_of_declared_columns_lists_every_combination(
    cases: pa.Table, predictions: pd.DataFrame
) -> None:
    spec = spec_of(
        [["device", "member"]],
        device={"type": "category", "allowed": ["watch", "phone", "tablet", "a, b"]},
        member={"type": "boolean", "allowed": [False, True]},
    )
    *_, cross = measured(spec, cases, predictions)
    assert len(counted(cross)) == 5 * 2
    assert counted(cross)["device = watch, member = true"] == 0


def test_numbers_that_the_yaml_writes_with_a_point_are_the_columns_own(
    cases: pa.Table, predictions: pd.DataFrame
) -> None:
    declared = {"type": "integer", "allowed": [100.0, 10.0, 9.0, 8.0]}
    (level,) = measured(spec_of([["age"]], age=declared), cases, predictions)
    assert list(counted(level)) == [
        "age = 100", "age = 10", "age = 9", "age = 8", "age = (missing)"
    ]  # fmt: skip


def test_a_group_that_the_candidate_was_never_run_on_is_not_an_empty_one(
    cases: pa.Table, predictions: pd.DataFrame
) -> None:
    declared = {"type": "category", "allowed": ["watch", "phone", "tablet", "a, b"]}
    spec = spec_of([["device"]], device=declared)
    ran_on = predictions[~predictions["id"].isin(["c1", "c7"])]
    (level,) = measured(spec, cases, ran_on)
    assert "device = tablet" not in counted(level)
    assert counted(level)["device = watch"] == 0


def test_a_text_that_reads_like_another_group_stands_in_quotes(
    predictions: pd.DataFrame,
) -> None:
    texts = ["(missing)", None, "", " x", "a = b", 'say "x"', "plain", "x"]
    cases = pa.table({"id": [f"c{n}" for n in range(8)], "data.device": texts})
    (level,) = measured(spec_of([["device"]]), cases, predictions)
    assert set(counted(level)) == {
        'device = "(missing)"', "device = (missing)", 'device = ""', 'device = " x"',
        'device = "a = b"', 'device = "say \\"x\\""', "device = plain", "device = x",
    }  # fmt: skip


def test_a_column_may_be_called_as_a_prediction_is(predictions: pd.DataFrame) -> None:
    cases = pa.table({"id": [f"c{n}" for n in range(8)], "data.score": ["low", "high"] * 4})
    spec = spec_of([["score"]], score={"type": "string"})
    (level,) = measured(spec, cases, predictions)
    assert counted(level) == {"score = high": 4, "score = low": 4}


def test_predictions_for_cases_that_are_not_there_are_a_fault(
    cases: pa.Table, predictions: pd.DataFrame
) -> None:
    with pytest.raises(ValueError, match="cases that the evaluation set does not have"):
        measured(spec_of([["device"]]), cases.slice(1), predictions)


def test_without_scores_what_needs_them_is_undefined_in_every_group(
    cases: pa.Table, predictions: pd.DataFrame
) -> None:
    spec = spec_of([["device"]]).model_copy(update={"metrics": ("roc_auc", "accuracy")})
    (level,) = measured(spec, cases, predictions.assign(score=np.nan), score=None)
    assert counted(level)["device = phone"] == 3
    areas = level[level["metric"] == "roc_auc"]
    assert areas["n"].sum() == 8
    assert set(areas["status"]) == {"undefined"}
    assert set(areas["reason"]) == {"one gives decisions and no scores"}


def test_the_table_in_the_ui_is_capped_and_says_so() -> None:
    rows = MOST_ROWS + 34
    figures = pd.DataFrame(
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
    words = _more_slices_table(figures, "recall")
    assert words.count("| tail | tail = ") == MOST_ROWS
    assert f"The first {MOST_ROWS} of {rows} rows" in words
    assert MORE_FIGURES in words
    whole = _more_slices_table(figures.iloc[:MOST_ROWS], "recall")
    assert "The first" not in whole


def test_the_audit_measures_each_carrier_as_scikit_learn_does(
    audit: Audit, finished_home: Home
) -> None:
    state = AuditState(audit, finished_home)
    findings = read_findings(state)
    carriers = state.store.read_table(
        state.require("evaluation_set"), CASES, columns=["id", "data.carrier"]
    ).to_pandas()
    candidate = audit.spec.candidates[0]
    states = state.slice_states(
        candidate, state.require("evaluation_set"), state.observed_model(candidate)
    )
    frames = [
        state.store.read_table(s.predictions, PREDICTIONS).to_pandas()
        for s in states
        if s.predictions is not None
    ]
    joined = pd.concat(frames).merge(carriers, on="id", validate="1:1")
    figures = findings.more_figures.query("candidate == 'sturdy' and metric == 'roc_auc'")
    figures = figures[figures["level"] == "carrier"].set_index("group")
    assert set(figures.index) == {f"carrier = {name}" for name in joined["data.carrier"].unique()}
    compared = 0
    for carrier, rows in joined.groupby("data.carrier"):
        figure = figures.loc[f"carrier = {carrier}"]
        assert figure["n"] == len(rows)
        if figure["status"] != "undefined":
            wanted = roc_auc_score(rows["label"], rows["score"])
            assert figure["value"] == pytest.approx(wanted, abs=1e-12)
            compared += 1
    assert compared > 8
    origins = findings.more_figures.query("level == 'origin' and metric == 'roc_auc'")
    assert origins.groupby("candidate")["n"].sum().tolist() == [len(joined)] * 2


def test_the_further_slices_stand_on_the_page_in_mlflow_and_in_the_ui(
    audit: Audit, finished_home: Home, tmp_path: Path
) -> None:
    state = AuditState(audit, finished_home)
    figures = read_findings(state).more_figures
    page = state.store.read_bytes(state.require("dashboard"), PAGE).decode()
    assert "More slices" in page
    assert "origin = JFK" in page
    client = MlflowClient(tracking_uri=finished_home.tracking_uri)
    runs = state.require("mlflow_runs").facts["runs"]
    path = client.download_artifacts(runs["sturdy"], "more_slices.json", str(tmp_path))
    logged = pd.DataFrame(json.loads(Path(path).read_text()))
    wanted = figures[figures["candidate"] == "sturdy"]
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
    changed = Audit(
        audit.name, audit.spec.model_copy(update={"more_slices": (("weekday", "origin"),)})
    )
    before_identities, after_identities = (
        AuditState(told, finished_home).identities for told in (audit, changed)
    )
    assert before_identities.slice_metrics("p") == after_identities.slice_metrics("p")
    summary = run(changed, finished_home)
    assert summary.faults == []
    assert (summary.computed, summary.reused) == (0, 36)
    assert summary.findings is not None
    assert summary.findings.scorecard.identity != before.identity
    assert summary.findings.scorecard.content_version != before.content_version
    levels = summary.findings.more_figures["level"].unique().tolist()
    assert levels == ["weekday", "origin", "weekday x origin"]


def test_an_audit_without_further_slices_has_no_rows_of_them(
    audit: Audit, finished_home: Home
) -> None:
    plain = Audit(audit.name, audit.spec.model_copy(update={"more_slices": ()}))
    summary = run(plain, finished_home)
    assert summary.faults == []
    assert summary.findings is not None
    assert summary.findings.more_figures.empty
    state = AuditState(plain, finished_home)
    page = state.store.read_bytes(state.require("dashboard"), PAGE).decode()
    assert "More slices" not in page


def test_a_crashed_slice_is_missing_from_the_further_slices_and_said_above_them(
    audit: Audit, home: Home
) -> None:
    plan_faults(home.root, ("pacific", "network"))
    summary = run(audit, home)
    assert summary.findings is not None
    figures = summary.findings.more_figures.query("metric == 'roc_auc' and level == 'origin'")
    cases = figures.groupby("candidate")["n"].sum()
    assert 0 < cases["frail"] < cases["sturdy"]
    state = AuditState(audit, home)
    page = state.store.read_bytes(state.require("dashboard"), PAGE).decode()
    section = page[page.index('id="more"') : page.index('id="gaps"')]
    assert section.count("1 of 18 slices is missing") == 2
