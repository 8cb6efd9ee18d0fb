"""What is found beside the figures: differences, unequal treatment, weak slices."""

import json
from dataclasses import fields
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from evaluator.evaluation import EvaluatedCases
from evaluator.evaluation._compare import NOT_EVALUATED, compare
from evaluator.evaluation._fairness import measure_fairness
from evaluator.evaluation._score import find_differences, find_for_candidate
from evaluator.evaluation._weak_slices import search_weak_slices
from evaluator.metrics import compare_candidates
from evaluator.scorecard import (
    ADDITIONAL_MEASUREMENTS,
    COMPARISONS,
    FAIRNESS,
    MEASUREMENTS,
    OPERATING_POINTS,
    SLICES,
    WEAK_SLICES,
    Scorecard,
    from_stored,
    to_stored,
)
from evaluator.scorecard._tables import SCHEMAS
from evaluator.spec import AuditSpec
from evaluator_tests.evaluation.shop import KEYS, spec_of


def without(predictions: pd.DataFrame, *keys: str) -> pd.DataFrame:
    return predictions[~(predictions["geography"] + "|" + predictions["segment"]).isin(keys)]


def overall(comparisons: pd.DataFrame, candidate: str, metric: str) -> "pd.Series[Any]":
    is_it = (comparisons["level"] == "overall") & (comparisons["candidate"] == candidate)
    found = comparisons[is_it & (comparisons["metric"] == metric)]
    assert len(found) == 1
    return found.iloc[0]


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


def test_a_baseline_that_is_handed_in_again_is_identical_and_the_same_decisions_alone_are_not(
    predictions: dict[str, pd.DataFrame], cases: EvaluatedCases
) -> None:
    found = compare(spec_of(), predictions | {"sharp": predictions["base"]}, cases)
    for metric in ("accuracy", "roc_auc"):
        row = overall(found.comparisons, "sharp", metric)
        assert (row["status"], row["low"], row["high"]) == ("identical", 0, 0)
    row = overall(found.comparisons, "rule", "accuracy")
    assert (row["status"], row["low"] < 0 < row["high"]) == ("too_few", True)


def test_where_only_scores_are_asked_for_a_candidate_without_them_is_listed_at_every_place(
    predictions: dict[str, pd.DataFrame], cases: EvaluatedCases
) -> None:
    found = compare(spec_of(metrics=["roc_auc"]), predictions, cases)
    of_each = found.comparisons.groupby(["candidate", "status"]).size().to_dict()
    places = 1 + 2 + 2 + 4
    assert of_each == {("rule", "undefined"): places, ("sharp", "ok"): places}
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
    row_positions = found.comparisons.query("geography == 'south' and segment == 'old'")
    assert set(row_positions["n"]) == {0}
    assert set(row_positions.query("candidate == 'sharp'")["reason"]) == {NOT_EVALUATED}
    assert set(row_positions["status"]) == {"undefined"}
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
    spoilt: Any,
    remark: str,
) -> None:
    spoilt(predictions)
    tables, remarks = find_differences(spec_of(), predictions, cases)
    assert tables == {}
    (one,) = remarks
    assert one.startswith("a comparison was not possible: ")
    assert remark in one


def test_nothing_is_compared_where_it_is_switched_off(
    predictions: dict[str, pd.DataFrame], cases: EvaluatedCases
) -> None:
    assert find_differences(spec_of(compare=None), predictions, cases) == ({}, [])


def test_margins_and_clusters_are_honoured(
    predictions: dict[str, pd.DataFrame], cases: EvaluatedCases
) -> None:
    plain = overall(compare(spec_of(), predictions, cases).comparisons, "rule", "accuracy")
    assert np.isnan(plain["p_equivalent"])
    spec = spec_of(data={"cluster": "household"}, compare={"margin": {"accuracy": 0.05}})
    found = compare(spec, predictions, EvaluatedCases(cases.table, spec.data)).comparisons
    assert overall(found, "sharp", "accuracy")["conclusion"] == "better"
    assert overall(found, "sharp", "accuracy")["p_not_worse"] < 0.05
    assert np.isnan(overall(found, "sharp", "roc_auc")["p_not_worse"])
    spec = spec_of(data={"cluster": "day"})
    by_day = compare(spec, predictions, EvaluatedCases(cases.table, spec.data)).comparisons
    # Two days are two units.
    assert overall(by_day, "sharp", "accuracy")["status"] == "too_few"


def looked_at(
    spec: AuditSpec, cases: EvaluatedCases, predictions: pd.DataFrame, candidate: int = 0
) -> pd.DataFrame:
    row_positions = cases.positions_of(predictions)
    return measure_fairness(spec, spec.candidates[candidate], cases, predictions, row_positions)


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
def test_a_gap_of_scores_that_are_not_there_is_undefined(
    predictions: dict[str, pd.DataFrame], cases: EvaluatedCases, measures: list[str]
) -> None:
    spec = spec_of(fairness={"attributes": ["place"], "measures": measures})
    gaps = looked_at(spec, cases, predictions["rule"], candidate=2)
    calibration = gaps[gaps["measure"] == "calibration_gap"]
    assert calibration["group"].tolist() == ["north", "south"]
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
    assert set(gaps.loc[gaps["n"] == 0, "status"]) == {"undefined"}


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
    found = search_weak_slices(spec, spec.candidates[0], cases, frame, cases.positions_of(frame))
    best = found.table.iloc[0]
    assert best["status"] == "confirmed"
    assert best["slice"].startswith("score >= ")
    assert found.search["loss"] == "error_rate"
    assert json.loads(json.dumps(found.search, allow_nan=False)) == found.search


def test_a_loss_of_scores_that_are_not_there_is_a_remark_and_no_search(
    predictions: dict[str, pd.DataFrame], cases: EvaluatedCases
) -> None:
    spec = spec_of(
        weak_slices={"features": ["device"], "loss": "brier", "minimum_support": 20},
        fairness={"attributes": ["place"], "measures": ["accuracy_gap"]},
    )
    frame = predictions["rule"]
    row_positions = cases.positions_of(frame)
    found = find_for_candidate(spec, spec.candidates[2], cases, frame, row_positions)
    assert found.search is None
    (remark,) = found.remarks
    assert remark == (
        "a search for weak slices of rule was not possible: rule gives decisions and no scores, and"
        " brier needs them"
    )
    # What else was asked for is there.
    assert list(found.tables) == [OPERATING_POINTS, FAIRNESS]
    assert set(found.tables[FAIRNESS]["candidate"]) == {"rule"}


def test_tables_without_rows_have_their_columns_and_types() -> None:
    tables = to_stored([])
    assert list(tables) == list(SCHEMAS)
    for name, table in tables.items():
        assert table.schema.equals(SCHEMAS[name])
        assert from_stored(table).empty
    assert "conclusion" in from_stored(tables[COMPARISONS])


def test_what_is_stored_comes_back_as_it_was(
    predictions: dict[str, pd.DataFrame], cases: EvaluatedCases, table: pa.Table
) -> None:
    spec = spec_of(
        fairness={"attributes": ["place", "device"]},
        weak_slices={"features": ["device", "score"], "minimum_support": 20},
    )
    frame = planted(predictions["base"], table)
    row_positions = cases.positions_of(frame)
    gaps = measure_fairness(spec, spec.candidates[0], cases, frame, row_positions)
    weak = search_weak_slices(spec, spec.candidates[0], cases, frame, row_positions).table
    compared = compare(spec, predictions, cases).comparisons
    for name, one in ((FAIRNESS, gaps), (WEAK_SLICES, weak), (COMPARISONS, compared)):
        told = one.assign(candidate="base") if name != COMPARISONS else one
        back = from_stored(to_stored([{name: told}])[name])
        pd.testing.assert_frame_equal(
            back[list(told.columns)].drop(columns="class", errors="ignore"),
            told.drop(columns="class", errors="ignore"),
        )


def test_every_table_of_a_scorecard_is_read_from_a_file_of_its_own() -> None:
    tables = {file: pd.DataFrame({"from": [file]}) for file in (MEASUREMENTS, SLICES, *SCHEMAS)}
    scorecard = Scorecard.from_tables(tables.__getitem__, weak_searches={})
    frames = {one.name for one in fields(Scorecard) if one.type is pd.DataFrame}
    read = {name: getattr(scorecard, name)["from"].item() for name in frames}
    assert read == {name: f"{name}.parquet" for name in frames} | {
        "measurements": MEASUREMENTS,
        "additional_measurements": ADDITIONAL_MEASUREMENTS,
    }
    assert set(read.values()) == set(tables)


def test_who_gives_limits_is_compared_by_them_also_where_the_baseline_gives_none() -> None:
    draws = np.random.default_rng(1)
    ids, truth = [f"c{number}" for number in range(400)], draws.normal(size=400)
    recorded = {"kind": "recorded", "path": "a.csv", "prediction": "p"}
    names = {"sharp": 0.3, "blunt": 0.6, "plain": 0.4}
    spec = AuditSpec.model_validate(
        {
            "task": "regression",
            "data": {
                "files": "{date}.csv",
                "first_day": "2026-01-01",
                "id": "id",
                "columns": {"id": {"type": "string"}, "much": {"type": "float"}},
            },
            "label": {"column": "much"},
            "metrics": ["mean_absolute_error", "limits_coverage"],
            "candidates": [
                {"name": "sharp", "low": "l", "high": "h", **recorded},
                {"name": "blunt", "low": "l", "high": "h", **recorded},
                {"name": "plain", "baseline": True, **recorded},
            ],
        }
    )
    frames = {}
    for name, spread in names.items():
        given = truth + draws.normal(0, spread, 400)
        told = {"id": ids, "label": truth, "prediction": given}
        limits = {} if name == "plain" else {"low": given - 0.8, "high": given + 0.8}
        frames[name] = pd.DataFrame({**told, **limits, "geography": "all", "segment": "all"})
    table = pa.table({"id": ids, "label": truth, "day": ["2026-01-01"] * 400})

    found = compare(spec, frames, EvaluatedCases(table, spec.data))

    assert found.remarks == ["plain: without limits, not compared by what needs them"]
    for name in ("sharp", "blunt"):
        assert overall(found.comparisons, name, "mean_absolute_error")["status"] == "ok"
        row = overall(found.comparisons, name, "limits_coverage")
        assert row["conclusion"] == "not compared"
        assert row["reason"] == "plain gives numbers and no limits"
    pairs = found.pairs[(found.pairs["level"] == "overall")].set_index(["metric", "candidate"])
    covered = {
        name: frames[name]["label"].between(frames[name]["low"], frames[name]["high"]).mean()
        for name in ("sharp", "blunt")
    }
    assert len(pairs.loc["limits_coverage"]) == 1
    assert len(pairs.loc["mean_absolute_error"]) == 3
    assert pairs.loc[("limits_coverage", "blunt"), "difference"] == pytest.approx(
        covered["blunt"] - covered["sharp"]
    )
