"""What the scorecard finds beside its figures: differences, unequal treatment, weak slices."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from typing import Any

import dagster as dg
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from mlflow.tracking import MlflowClient

from evaluator import metrics
from evaluator.evidence import Moment, Record
from evaluator.metrics import compare_candidates
from evaluator.orchestration.comparison import NOT_EVALUATED, compare
from evaluator.orchestration.evaluated_cases import EvaluatedCases
from evaluator.orchestration.fairness import measure_fairness
from evaluator.orchestration.findings import (
    COMPARISONS,
    FAIRNESS,
    SCHEMAS,
    WEAK_SLICES,
    find_differences,
    find_of_one,
    read_stored,
    stored_tables,
)
from evaluator.orchestration.home import Home
from evaluator.orchestration.mlflow_runs import as_json
from evaluator.orchestration.scorecard import expected_scorecard, read_findings
from evaluator.orchestration.state import AuditState
from evaluator.orchestration.weak_slices import (
    EARLIER_CERTIFICATE,
    find_earlier,
    search_weak_slices,
)
from evaluator.spec import Audit, AuditSpec
from evaluator_tests.orchestration.conftest import run

GEOGRAPHIES, SEGMENTS = ("north", "south"), ("new", "old")
KEYS = [f"{geography}|{segment}" for geography in GEOGRAPHIES for segment in SEGMENTS]


def spec_of(**keys: Any) -> AuditSpec:
    """Declare three candidates, of which `rule` gives decisions alone."""
    recorded = {"kind": "recorded", "path": "outputs.csv", "prediction": "decision"}
    return AuditSpec.model_validate(
        {
            "data": {
                "files": "{date}.csv",
                "first_day": "2026-01-01",
                "id": "id",
                "columns": {
                    "id": {"type": "string", "required": True, "unique": True},
                    "place": {"type": "category", "required": True, "allowed": GEOGRAPHIES},
                    "kind": {"type": "category", "required": True, "allowed": SEGMENTS},
                    "truth": {"type": "integer"},
                    "device": {"type": "category"},
                    # A column may be called like one of ours.
                    "score": {"type": "integer"},
                    "member": {"type": "boolean"},
                    "customer": {"type": "string"},
                },
            },
            "label": {"column": "truth"},
            "geography": "place",
            "segment": "kind",
            "candidates": [
                {"name": "base", "baseline": True, **recorded},
                {"name": "sharp", **recorded},
                {"name": "rule", **recorded, "score": None},
            ],
            "metrics": ["roc_auc", "accuracy"],
            **keys,
        }
    )


@pytest.fixture(scope="module")
def table() -> pa.Table:
    """400 cases, some of them without a device, a score, a membership or a customer."""
    rows = 400
    draws = np.random.default_rng(11)
    score = draws.integers(0, 40, rows)
    return pa.table(
        {
            "id": [f"c{number}" for number in range(rows)],
            "label": pa.array(draws.integers(0, 2, rows), pa.int8()),
            "day": [f"2026-01-{1 + number % 2:02}" for number in range(rows)],
            "geography": [GEOGRAPHIES[number % 2] for number in range(rows)],
            "segment": [SEGMENTS[number // 2 % 2] for number in range(rows)],
            "data.place": [GEOGRAPHIES[number % 2] for number in range(rows)],
            "data.kind": [SEGMENTS[number // 2 % 2] for number in range(rows)],
            "data.device": [["phone", "tablet", None, "phone"][n % 4] for n in range(rows)],
            "data.score": pa.array(
                [None if n % 10 == 0 else int(score[n]) for n in range(rows)], pa.int64()
            ),
            "data.member": [[True, False, None][number % 3] for number in range(rows)],
            "data.customer": [None if n % 7 == 0 else f"u{n % 90}" for n in range(rows)],
        }
    )


@pytest.fixture(scope="module")
def cases(table: pa.Table) -> EvaluatedCases:
    return EvaluatedCases(table, spec_of().data.columns)


@pytest.fixture
def predictions(table: pa.Table) -> dict[str, pd.DataFrame]:
    """`sharp` is right nine times in ten, `base` seven times, and `rule` as `base`."""
    frame = table.select(["id", "geography", "segment", "label"]).to_pandas()
    draws = np.random.default_rng(3)
    found = {}
    for name, share in (("base", 0.7), ("sharp", 0.9)):
        right = draws.random(len(frame)) < share
        decision = np.where(right, frame["label"], 1 - frame["label"])
        score = np.clip(0.5 + (decision - 0.5) * draws.random(len(frame)), 0, 1)
        found[name] = frame.assign(score=score, prediction=decision)
    found["rule"] = found["base"].assign(score=np.nan)
    # Each candidate's slices are stored and read in an order of their own.
    return {name: one.sample(frac=1, random_state=5) for name, one in found.items()}


def state_of(spec: AuditSpec, home: Path) -> AuditState:
    return AuditState(Audit("shop", spec), Home(home, str(home / "evidence")))


def without(predictions: pd.DataFrame, *keys: str) -> pd.DataFrame:
    return predictions[~(predictions["geography"] + "|" + predictions["segment"]).isin(keys)]


def overall(comparisons: pd.DataFrame, candidate: str, metric: str) -> "pd.Series[Any]":
    is_it = (comparisons["level"] == "overall") & (comparisons["candidate"] == candidate)
    (row,) = comparisons[is_it & (comparisons["metric"] == metric)].iloc
    return row


def test_candidates_are_compared_case_by_case_whatever_order_they_are_stored_in(
    predictions: dict[str, pd.DataFrame], cases: EvaluatedCases
) -> None:
    found = compare(spec_of(), predictions, cases)
    joined = predictions["base"].merge(predictions["sharp"], on="id", suffixes=("", " of sharp"))
    wanted = compare_candidates(
        joined,
        label="label",
        predictions={"base": "prediction", "sharp": "prediction of sharp"},
        baseline="base",
        slices=["geography", "segment"],
        metrics=["accuracy"],
    )
    is_sharp = (found.comparisons["candidate"] == "sharp") & (
        found.comparisons["metric"] == "accuracy"
    )
    own = ["level", "difference", "p_value", "low", "high", "n", "better", "worse"]
    pd.testing.assert_frame_equal(
        found.comparisons.loc[is_sharp, own].reset_index(drop=True), wanted[own]
    )
    row = overall(found.comparisons, "sharp", "accuracy")
    right = {name: one["prediction"] == one["label"] for name, one in predictions.items()}
    assert row["difference"] == pytest.approx(right["sharp"].mean() - right["base"].mean())
    assert row["conclusion"] == "better"
    # By candidate, place and metric as the audit declares them.
    first = found.comparisons.head(2)
    assert first["candidate"].tolist() == ["sharp"] * 2
    assert first["metric"].tolist() == ["roc_auc", "accuracy"]
    assert found.comparisons["candidate"].unique().tolist() == ["sharp", "rule"]


def test_the_same_decisions_are_no_difference_and_scores_that_are_not_there_are_not_compared(
    predictions: dict[str, pd.DataFrame], cases: EvaluatedCases
) -> None:
    found = compare(spec_of(), predictions, cases)
    assert overall(found.comparisons, "rule", "accuracy")["difference"] == 0
    row = overall(found.comparisons, "rule", "roc_auc")
    assert (row["status"], row["conclusion"]) == ("undefined", "not compared")
    assert row["reason"] == "rule gives decisions and no scores"
    assert np.isnan(row["difference"])
    assert np.isnan(row["p_adjusted"])
    assert row["n"] == 400
    assert any("rule: without scores" in remark for remark in found.remarks)
    # Nothing of it in the ranks by what needs scores; all of it in those by decisions.
    ranks = found.ranks[found.ranks["level"] == "overall"]
    assert set(ranks.loc[ranks["metric"] == "roc_auc", "candidate"]) == {"base", "sharp"}
    by_accuracy = ranks[ranks["metric"] == "accuracy"].set_index("candidate")
    assert by_accuracy["rank"].to_dict() == {"base": 2, "sharp": 1, "rule": 2}
    assert by_accuracy.loc["base", "not_told_apart_from"] == "rule"


def test_where_only_scores_are_asked_for_a_candidate_without_them_is_listed_at_every_place(
    predictions: dict[str, pd.DataFrame], cases: EvaluatedCases
) -> None:
    found = compare(spec_of(metrics=["roc_auc"]), predictions, cases)
    of_each = found.comparisons.groupby("candidate")["status"].value_counts()
    assert of_each["rule"].to_dict() == {"undefined": 1 + 2 + 2 + 4}
    assert of_each["sharp"].to_dict() == {"ok": 1 + 2 + 2 + 4}
    assert set(found.comparisons["metric"]) == {"roc_auc"}
    assert set(found.pairs["metric"]) == {"roc_auc"}


def test_a_baseline_without_scores_leaves_all_others_not_compared_by_them(
    predictions: dict[str, pd.DataFrame], cases: EvaluatedCases
) -> None:
    told = spec_of().model_dump(mode="json", exclude_unset=True)
    told["candidates"][0] |= {"score": None}
    spec = AuditSpec.model_validate(told)
    found = compare(spec, predictions, cases)
    row = overall(found.comparisons, "sharp", "roc_auc")
    assert row["reason"] == "base gives decisions and no scores"
    assert overall(found.comparisons, "sharp", "accuracy")["conclusion"] == "better"


def test_candidates_are_compared_on_the_slices_that_all_of_them_have(
    predictions: dict[str, pd.DataFrame], cases: EvaluatedCases
) -> None:
    predictions["sharp"] = without(predictions["sharp"], "south|old")
    found = compare(spec_of(), predictions, cases)
    assert set(found.comparisons.loc[found.comparisons["level"] == "overall", "n"]) == {300}
    place = found.comparisons.query("geography == 'south' and segment == 'old'")
    assert set(place["n"]) == {0}
    assert set(place.query("candidate == 'sharp'")["reason"]) == {NOT_EVALUATED}
    assert set(place["status"]) == {"undefined"}
    assert any("on the 3 of 4 slices" in remark for remark in found.remarks)


def test_a_candidate_that_lacks_most_slices_takes_none_from_the_others(
    predictions: dict[str, pd.DataFrame], cases: EvaluatedCases
) -> None:
    predictions["rule"] = without(predictions["rule"], *KEYS[1:])
    found = compare(spec_of(), predictions, cases)
    assert overall(found.comparisons, "sharp", "accuracy")["n"] == 400
    row = overall(found.comparisons, "rule", "accuracy")
    assert (row["n"], row["conclusion"]) == (0, "not compared")
    assert row["reason"] == "rule was evaluated on too few slices to be compared"
    assert "rule is not compared: it was evaluated on 1 of the 4 slices of base" in found.remarks


@pytest.mark.parametrize(
    ("spoilt", "remark"),
    [
        (lambda p: p.pop("base"), "the baseline base has no current slice"),
        (lambda p: (p.pop("sharp"), p.pop("rule")), "sharp is not compared"),
        (
            lambda p: p.update(sharp=p["sharp"].assign(label=1 - p["sharp"]["label"])),
            "'base' and 'sharp' disagree on 'label'",
        ),
    ],
)
def test_what_cannot_be_compared_is_a_remark_and_costs_nothing_else(
    predictions: dict[str, pd.DataFrame],
    cases: EvaluatedCases,
    tmp_path: Path,
    spoilt: Any,
    remark: str,
) -> None:
    spoilt(predictions)
    tables, remarks = find_differences(state_of(spec_of(), tmp_path), predictions, cases)
    assert tables == {}
    (one,) = remarks
    assert one.startswith("a comparison was not possible: ")
    assert remark in one


def test_nothing_is_compared_where_it_is_switched_off(
    predictions: dict[str, pd.DataFrame], cases: EvaluatedCases, tmp_path: Path
) -> None:
    state = state_of(spec_of(compare=None), tmp_path)
    assert find_differences(state, predictions, cases) == ({}, [])


def test_margins_and_clusters_are_honoured(
    predictions: dict[str, pd.DataFrame], cases: EvaluatedCases
) -> None:
    plain = overall(compare(spec_of(), predictions, cases).comparisons, "rule", "accuracy")
    assert np.isnan(plain["p_equivalent"])
    spec = spec_of(compare={"margin": {"accuracy": 0.05}, "cluster": "customer"})
    found = compare(spec, predictions, cases).comparisons
    assert overall(found, "sharp", "accuracy")["conclusion"] == "better"
    assert overall(found, "sharp", "accuracy")["p_not_worse"] < 0.05
    assert np.isnan(overall(found, "sharp", "roc_auc")["p_not_worse"])
    by_day = compare(spec_of(compare={"cluster": "day"}), predictions, cases).comparisons
    # Two days are two units.
    assert overall(by_day, "sharp", "accuracy")["status"] == "too_few"


def test_a_case_without_a_cluster_belongs_to_itself(cases: EvaluatedCases) -> None:
    clusters = cases.clusters("customer", np.arange(21))
    assert clusters[0] != clusters[7]
    assert clusters[0] != clusters[14]
    assert clusters[1] == "u1"
    assert not clusters.isna().any()


def looked_at(
    spec: AuditSpec, cases: EvaluatedCases, predictions: pd.DataFrame, candidate: int = 0
) -> pd.DataFrame:
    place = cases.place_of(predictions)
    return measure_fairness(spec, spec.candidates[candidate], cases, predictions, place)


def test_cases_without_a_value_are_a_group_that_is_treated_like_others(
    predictions: dict[str, pd.DataFrame], cases: EvaluatedCases, table: pa.Table
) -> None:
    spec = spec_of(fairness={"attributes": ["device"], "measures": ["demographic_parity"]})
    gaps = looked_at(spec, cases, predictions["base"])
    gaps = gaps[gaps["comparison"] == "difference"].set_index("group")
    assert set(gaps.index) == {"phone", "tablet", "(missing)"}
    frame = predictions["base"].merge(table.select(["id", "data.device"]).to_pandas(), on="id")
    selected = frame.groupby(frame["data.device"].fillna("(missing)"))["prediction"].mean()
    for group, row in gaps.iterrows():
        assert row["group_value"] == pytest.approx(selected[str(group)])


def test_a_named_reference_is_written_as_its_column_has_it(
    predictions: dict[str, pd.DataFrame], cases: EvaluatedCases
) -> None:
    spec = spec_of(
        fairness={
            "attributes": ["member", "place"],
            "measures": ["accuracy_gap"],
            "reference": {"member": True, "place": "north"},
        }
    )
    gaps = looked_at(spec, cases, predictions["base"])
    assert set(gaps.loc[gaps["attribute"] == "member", "reference"]) == {"true"}
    assert set(gaps.loc[gaps["attribute"] == "member", "group"]) == {"false", "(missing)"}
    assert set(gaps.loc[gaps["attribute"] == "member x place", "reference"]) == {"true x north"}


@pytest.mark.parametrize("measures", [["calibration_gap"], ["accuracy_gap", "calibration_gap"]])
def test_a_gap_of_scores_that_are_not_there_is_insufficient_evidence(
    predictions: dict[str, pd.DataFrame], cases: EvaluatedCases, measures: list[str]
) -> None:
    spec = spec_of(fairness={"attributes": ["place"], "measures": measures})
    gaps = looked_at(spec, cases, predictions["rule"], candidate=2)
    calibration = gaps[gaps["measure"] == "calibration_gap"]
    assert calibration["group"].tolist() == ["north", "south"]
    assert set(calibration["verdict"]) == {"INSUFFICIENT EVIDENCE"}
    assert set(calibration["status"]) == {"undefined"}
    assert set(calibration["reason"]) == {"rule gives decisions and no scores"}
    assert calibration[["value", "low", "high", "group_value"]].isna().all(axis=None)
    assert set(gaps["measure"]) == set(measures)


def test_a_group_that_the_candidate_was_not_run_on_is_not_an_empty_one(
    predictions: dict[str, pd.DataFrame], cases: EvaluatedCases
) -> None:
    spec = spec_of(fairness={"attributes": ["place", "kind"], "measures": ["accuracy_gap"]})
    gaps = looked_at(spec, cases, without(predictions["base"], "north|new", "north|old"))
    reasons = gaps[gaps["n"] == 0].groupby("attribute")["reason"].unique()
    assert set(reasons["place"]) == {"base was not run on the cases of this group"}
    assert set(reasons["place x kind"]) == {"base was not run on the cases of this group"}
    assert set(gaps.loc[gaps["n"] == 0, "verdict"]) == {"INSUFFICIENT EVIDENCE"}


def planted(predictions: pd.DataFrame, table: pa.Table) -> pd.DataFrame:
    """Make all right, but where the column `score` is 32 or more."""
    data = table.select(["id", "data.score"]).to_pandas().set_index("id")["data.score"]
    weak = (data.loc[predictions["id"]] >= 32).to_numpy()
    label = predictions["label"]
    return predictions.assign(prediction=np.where(weak, 1 - label, label))


def test_a_planted_weak_slice_is_found_by_columns_that_are_called_like_ours(
    predictions: dict[str, pd.DataFrame], cases: EvaluatedCases, table: pa.Table
) -> None:
    spec = spec_of(weak_slices={"features": ["device", "score", "member"], "minimum_support": 20})
    frame = planted(predictions["base"], table)
    found = search_weak_slices(spec, spec.candidates[0], cases, frame, cases.place_of(frame))
    best = found.table.iloc[0]
    assert best["status"] == "confirmed"
    assert best["slice"].startswith("score >= ")
    assert found.facts["loss"] == "error_rate"
    assert json.loads(json.dumps(found.facts, allow_nan=False)) == found.facts


def test_a_loss_of_scores_that_are_not_there_is_a_remark_and_no_search(
    predictions: dict[str, pd.DataFrame], cases: EvaluatedCases, tmp_path: Path
) -> None:
    spec = spec_of(
        weak_slices={"features": ["device"], "loss": "brier", "minimum_support": 20},
        fairness={"attributes": ["place"], "measures": ["accuracy_gap"]},
    )
    frame = predictions["rule"]
    place = cases.place_of(frame)
    state = state_of(spec, tmp_path)
    found = find_of_one(state, spec.candidates[2], cases, frame, place, earlier=None)
    assert found.search is None
    (remark,) = found.remarks
    assert remark == (
        "a search for weak slices of rule was not possible: rule gives decisions and no scores, and"
        " brier needs them"
    )
    # What else was asked for is there.
    assert list(found.tables) == [FAIRNESS]
    assert set(found.tables[FAIRNESS]["candidate"]) == {"rule"}


def test_tables_without_rows_have_their_columns_and_types() -> None:
    tables = stored_tables([])
    assert list(tables) == list(SCHEMAS)
    for name, table in tables.items():
        assert table.schema.equals(SCHEMAS[name])
        assert read_stored(table).empty
    assert "conclusion" in read_stored(tables[COMPARISONS])
    assert read_stored(tables[FAIRNESS])["needed_cases"].dtype == "Int64"


def test_what_is_stored_comes_back_as_it_was(
    predictions: dict[str, pd.DataFrame], cases: EvaluatedCases, table: pa.Table
) -> None:
    spec = spec_of(
        fairness={"attributes": ["place", "device"]},
        weak_slices={"features": ["device", "score"], "minimum_support": 20},
    )
    frame = planted(predictions["base"], table)
    place = cases.place_of(frame)
    gaps = measure_fairness(spec, spec.candidates[0], cases, frame, place)
    weak = search_weak_slices(spec, spec.candidates[0], cases, frame, place).table
    compared = compare(spec, predictions, cases).comparisons
    for name, one in ((FAIRNESS, gaps), (WEAK_SLICES, weak), (COMPARISONS, compared)):
        told = one.assign(candidate="base") if name != COMPARISONS else one
        back = read_stored(stored_tables([{name: told}])[name])
        pd.testing.assert_frame_equal(
            back[list(told.columns)].drop(columns="class", errors="ignore"),
            told.drop(columns="class", errors="ignore"),
        )


def test_an_infinite_limit_is_a_reason_in_json_and_nothing_else_is_lost() -> None:
    gaps = pd.DataFrame(
        {
            "group": ["a", "b", "c"],
            "high": [np.inf, 2.0, np.inf],
            "needed_cases": pd.array([pd.NA, 7, 8], dtype="Int64"),
            "reason": [None, None, "too few"],
        }
    )
    told = json.loads(json.dumps(as_json(gaps), allow_nan=False))
    assert told["high"] == [None, 2.0, None]
    assert told["reason"] == ["high is infinite", None, "too few"]
    assert told["needed_cases"] == [None, 7, 8]


def test_functions_that_are_called_like_their_module_are_functions() -> None:
    module = import_module("evaluator.metrics.weak_slices")
    import_module("evaluator.metrics.fairness_summary")
    assert metrics.weak_slices is module.weak_slices
    assert all(map(callable, (metrics.fairness, metrics.fairness_summary, metrics.weak_slices)))


class _Chain:
    """Stores evaluation sets, scorecards and certificates, as runs do."""

    def __init__(self, state: AuditState) -> None:
        self.state = state
        self._moment = Moment("run", datetime(2026, 1, 1, tzinfo=UTC))

    def store(self, asset: str, identity: str, *upstream: Record, **facts: Any) -> Record:
        return self.state.store.write(
            self.state.address(asset),
            identity,
            {},
            content_version=identity,
            upstream=[one.as_upstream() for one in upstream],
            facts=facts,
            code_version="1",
            moment=self._moment,
        )

    def certify(self, name: str) -> str | None:
        """Certify on the evaluation set of this name; return the one it was compared with."""
        cases = self.store("evaluation_set", name)
        earlier = find_earlier(self.state, cases)
        before = earlier.certificate if earlier else None
        own = f"{name} after {before}"
        scorecard = self.store("scorecard", own, cases, **{EARLIER_CERTIFICATE: before})
        self.store("certificate", f"certificate of {own}", scorecard)
        return earlier and earlier.evaluation_set.content_version


def test_the_earlier_certificate_is_the_last_one_about_another_evaluation_set(
    tmp_path: Path,
) -> None:
    chain = _Chain(state_of(spec_of(weak_slices={"features": ["device"]}), tmp_path))
    assert [chain.certify(name) for name in ("a", "a", "b", "b", "c", "c")] == [
        None, None, "a", "a", "b", "b"
    ]  # fmt: skip
    # Back to the first set: the last certificate about another one is the newest.
    assert [chain.certify("a"), chain.certify("a")] == ["c", "c"]


def test_without_a_search_for_weak_slices_no_earlier_certificate_counts(tmp_path: Path) -> None:
    chain = _Chain(state_of(spec_of(), tmp_path))
    assert [chain.certify("a"), chain.certify("b")] == [None, None]


def asking(audit: Audit, **keys: Mapping[str, Any]) -> Audit:
    told = audit.spec.model_dump(mode="json", exclude_unset=True)
    return Audit(audit.name, type(audit.spec).model_validate({**told, **keys}))


def test_what_got_worse_is_told_of_the_cases_that_are_new_since_the_last_certificate(
    audit: Audit, home: Home, tmp_path: Path
) -> None:
    searching = asking(
        audit, weak_slices={"features": ["origin", "distance"], "minimum_support": 30}
    )
    landing = home.landing("flights")
    last = max(landing.glob("*.csv"))
    last.rename(tmp_path / last.name)
    first = run(searching, home)
    assert first.faults == []
    assert first.findings is not None
    assert first.findings.worsened.empty
    assert set(first.findings.weak_searches) == {"sturdy", "frail"}
    before = AuditState(searching, home).require("evaluation_set").facts["cases"]
    (tmp_path / last.name).rename(last)
    second = run(searching, home)
    assert second.faults == []
    state = AuditState(searching, home)
    after = state.require("evaluation_set").facts["cases"]
    findings = read_findings(state)
    whole = findings.worsened[findings.worsened["slice"] == "all cases"].set_index("candidate")
    assert whole["n_before"].to_dict() == {"sturdy": before, "frail": before}
    assert whole["n_after"].to_dict() == {"sturdy": after - before, "frail": after - before}
    assert {"origin = JFK", "all cases"} <= set(findings.worsened["slice"])
    # Looked at once more, it is the same scorecard, compared with the same certificate.
    scorecard = state.require("scorecard")
    assert expected_scorecard(state).target[1] == scorecard.identity
    assert run(searching, home).computed == 0
    assert state.require("scorecard").identity == scorecard.identity


def test_the_findings_stand_in_the_ui_and_in_mlflow(
    audit: Audit, finished_home: Home, tmp_path: Path
) -> None:
    asked = asking(
        audit,
        compare={"margin": 0.02},
        fairness={"attributes": ["region"], "measures": ["equal_opportunity"]},
        weak_slices={"features": ["origin", "departure_delay"], "minimum_support": 30},
    )
    summary = run(asked, finished_home)
    assert summary.faults == []
    findings = summary.findings
    assert findings is not None
    # Both candidates are the same model.
    assert findings.comparisons["difference"].max() == findings.comparisons["difference"].min() == 0
    assert len(findings.fairness)
    client = MlflowClient(tracking_uri=finished_home.tracking_uri)
    runs = AuditState(asked, finished_home).require("mlflow_runs").facts["runs"]
    for name, frame in (
        ("comparisons.json", findings.comparisons),
        ("fairness.json", findings.fairness),
        ("weak_slices.json", findings.weak_slices),
    ):
        path = client.download_artifacts(runs["frail"], name, str(tmp_path))
        logged = json.loads(Path(path).read_text(), parse_constant=pytest.fail)
        assert len(logged["candidate"]) == (frame["candidate"] == "frail").sum() > 0
    with dg.DagsterInstance.get() as instance:
        event = instance.get_latest_materialization_event(dg.AssetKey(["flights", "scorecard"]))
    assert event is not None
    assert event.asset_materialization is not None
    metadata = event.asset_materialization.metadata
    assert "| frail | roc_auc | 0.0000 |" in str(metadata["comparison"].value)
    assert "| frail | equal_opportunity | difference | region |" in str(metadata["fairness"].value)
    assert "confirmed of" in str(metadata["weak slices"].value)
