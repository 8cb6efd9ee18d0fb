"""What is looked at of one candidate beside its figures, as scikit-learn and numpy have it."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support, roc_curve

from evaluator.evaluation import EvaluatedCases
from evaluator.evaluation._cases import FloatArray
from evaluator.evaluation._pictures import (
    BINS,
    FEWEST,
    POINTS_A_CLASS,
    RESIDUALS,
    class_figures,
    confusions,
    operating_points,
    predicted_bins,
    score_bins,
)
from evaluator.metrics import rate_interval
from evaluator.scorecard import OperatingPoint, ScoreBin, from_stored, to_stored
from evaluator.scorecard._rows import read_rows
from evaluator.spec import AuditSpec
from evaluator_tests.evaluation.shop import spec_of

SPEC = spec_of()
BASE, _, RULE = SPEC.candidates
CLASSES = ["a", "b", "c", "never"]
SCORES = [f"score_{number}" for number in range(len(CLASSES))]
DEPENDENCE = [{}, {"weight": "stands_for"}, {"cluster": "household", "weight": "stands_for"}]


def counts(row: "pd.Series[float]") -> list[float]:
    names = ("true_negatives", "false_positives", "false_negatives", "true_positives")
    return [row[name] for name in names]


def test_each_point_has_the_counts_of_scikit_learn_and_lies_on_its_curve(
    predictions: dict[str, pd.DataFrame], cases: EvaluatedCases
) -> None:
    frame = predictions["base"]
    found = operating_points(SPEC, BASE, cases, frame, cases.positions_of(frame))
    decided = confusion_matrix(frame["label"], frame["prediction"]).ravel().tolist()
    assert counts(found.iloc[0]) == decided
    assert np.isnan(found["threshold"][0])
    rising = found["threshold"][1:]
    assert rising.is_monotonic_increasing
    assert rising.is_unique
    assert found["point"].tolist() == [*range(len(found))]
    for _, row in found[1:].iterrows():
        expected = confusion_matrix(frame["label"], frame["score"] >= row["threshold"])
        assert counts(row) == expected.ravel().tolist()
    false_rates, true_rates, _ = roc_curve(frame["label"], frame["score"], drop_intermediate=False)
    curve = {*zip(false_rates.round(9), true_rates.round(9), strict=True)}
    points = read_rows(found[1:].assign(candidate="base"), OperatingPoint)
    assert {
        (round(one.false_positive_rate or 0, 9), round(one.true_positive_rate or 0, 9))
        for one in points
    } <= curve
    # No step along either axis is longer than two hundredths and a case.
    steps = np.diff([one.true_positive_rate for one in points])
    assert np.abs(steps).max() <= 1 / (POINTS_A_CLASS - 1) + 1 / 150


def test_weights_count_and_without_scores_there_are_decisions_alone(
    predictions: dict[str, pd.DataFrame], table: pa.Table
) -> None:
    weighted = EvaluatedCases(table, spec_of(data={"weight": "stands_for"}).data)
    frame = predictions["rule"]
    found = operating_points(SPEC, RULE, weighted, frame, weighted.positions_of(frame))
    weight = dict(
        zip(table["id"].to_pylist(), map(float, table["data.stands_for"].to_pylist()), strict=True)
    )
    expected = confusion_matrix(
        frame["label"], frame["prediction"], sample_weight=frame["id"].map(weight)
    )
    assert len(found) == 1
    assert counts(found.iloc[0]) == pytest.approx(expected.ravel().tolist())
    assert score_bins(SPEC, RULE, weighted, frame, weighted.positions_of(frame)).empty


def test_bins_hold_the_cases_by_label_and_the_interval_of_how_many_are_positive(
    predictions: dict[str, pd.DataFrame], cases: EvaluatedCases
) -> None:
    frame = predictions["base"].copy()
    frame.loc[frame.index[:3], "score"] = [0.0, 1.0, 0.95]
    found = score_bins(SPEC, BASE, cases, frame, cases.positions_of(frame))
    number = np.minimum((frame["score"] * BINS).astype(int), BINS - 1)
    by_label = pd.crosstab(number, frame["label"])
    assert (found["low"] * BINS).round().astype(int).tolist() == by_label.index.tolist()
    assert found["positives"].tolist() == by_label[1].tolist()
    assert found["negatives"].tolist() == by_label[0].tolist()
    assert found["n"].sum() == len(frame)
    means = frame["score"].groupby(number).mean()
    assert found["mean_score"].tolist() == pytest.approx(means.tolist())
    largest = found.loc[found["n"].idxmax()]
    hits, size = (np.array([largest[name]]) for name in ("positives", "n"))
    ends = [end[0] for end in rate_interval(hits, size, SPEC.confidence)]
    assert [largest["rate_low"], largest["rate_high"]] == pytest.approx(ends)
    assert largest["rate"] == largest["positives"] / largest["n"]


def test_both_are_stored_and_read_as_they_were(
    predictions: dict[str, pd.DataFrame], cases: EvaluatedCases
) -> None:
    frame = predictions["base"]
    rows = cases.positions_of(frame)
    tables = {
        "operating_points.parquet": operating_points(SPEC, BASE, cases, frame, rows),
        "score_bins.parquet": score_bins(SPEC, BASE, cases, frame, rows),
    }
    stored = to_stored([{name: one.assign(candidate="base") for name, one in tables.items()}])
    points = read_rows(from_stored(stored["operating_points.parquet"]), OperatingPoint)
    assert points[0].threshold is None
    assert points[0].precision == pytest.approx(frame.loc[frame["prediction"] == 1, "label"].mean())
    bins = read_rows(from_stored(stored["score_bins.parquet"]), ScoreBin)
    assert sum(one.n for one in bins) == len(frame)


def spec_of_classes(**keys: Any) -> AuditSpec:
    recorded = {"kind": "recorded", "path": "outputs.csv", "prediction": "said", "abstains": True}
    scores = {name: f"of {name}" for name in CLASSES}
    return spec_of(
        task="multiclass",
        label={"column": "device", "classes": CLASSES},
        metrics=["accuracy"],
        candidates=[{"name": "base", **recorded, "scores": scores}, {"name": "mute", **recorded}],
        **keys,
    )


def spec_of_numbers(**keys: Any) -> AuditSpec:
    recorded = {"kind": "recorded", "path": "outputs.csv", "prediction": "said"}
    return spec_of(
        task="regression",
        label={"column": "score"},
        metrics=["bias"],
        candidates=[{"name": "base", **recorded}],
        **keys,
    )


@pytest.fixture
def answers(table: pa.Table) -> pd.DataFrame:
    """What was answered of each case, if anything, and how probable each class was held."""
    draws = np.random.default_rng(4)
    frame = table.select(["id"]).to_pandas()
    frame["label"] = draws.choice(CLASSES[:3], len(frame), p=[0.6, 0.3, 0.1])
    other = draws.choice(CLASSES[:2], len(frame))
    frame["prediction"] = frame["label"].where(draws.random(len(frame)) < 0.6, other)
    frame.loc[frame.index % 9 == 0, "prediction"] = None
    frame[SCORES] = draws.dirichlet(np.ones(len(SCORES)), len(frame))
    return frame.sample(frac=1, random_state=5)


@pytest.fixture
def numbers(table: pa.Table) -> pd.DataFrame:
    """A number that was said of each case, and the true one."""
    draws = np.random.default_rng(5)
    frame = table.select(["id"]).to_pandas()
    # Some numbers are said often.
    frame["prediction"] = np.maximum(draws.normal(10, 5, len(frame)).round(2), 6.0)
    frame["label"] = frame["prediction"] * 1.1 + draws.standard_t(4, len(frame))
    return frame.sample(frac=1, random_state=5)


def weights_of(table: pa.Table, frame: pd.DataFrame, data: Mapping[str, str]) -> FloatArray:
    weights = pd.Series(map(float, table["data.stands_for"].to_pylist()), table["id"].to_pylist())
    named = frame["id"].map(weights).to_numpy(dtype=np.float64)
    return named if "weight" in data else np.ones(len(frame))


@pytest.mark.parametrize("data", DEPENDENCE)
def test_confusions_are_those_of_scikit_learn_but_for_pairs_without_cases(
    table: pa.Table, answers: pd.DataFrame, data: dict[str, str]
) -> None:
    spec = spec_of_classes(data=data)
    known = EvaluatedCases(table, spec.data)

    found = confusions(spec, spec.candidates[0], known, answers, known.positions_of(answers))

    said = answers["prediction"].fillna("silent")
    names = [*CLASSES, "silent"]
    for column, weights in (("n", None), ("count", weights_of(table, answers, data))):
        expected = confusion_matrix(answers["label"], said, labels=names, sample_weight=weights)
        assert found[column].tolist() == pytest.approx(expected[expected > 0].tolist())
    shares = found.groupby("label")["share"].sum()
    assert shares.tolist() == pytest.approx([1] * 3)
    assert (found["low"] <= found["share"]).all()
    assert (found["share"] <= found["high"]).all()
    is_silent = found["predicted"].isna()
    assert found.loc[is_silent, "label"].tolist() == CLASSES[:3]


@pytest.mark.parametrize("data", DEPENDENCE)
def test_figures_of_classes_are_those_of_scikit_learn_and_undefined_without_cases(
    table: pa.Table, answers: pd.DataFrame, data: dict[str, str]
) -> None:
    spec = spec_of_classes(data=data)
    known = EvaluatedCases(table, spec.data)

    found = class_figures(spec, spec.candidates[0], known, answers, known.positions_of(answers))

    said = answers["prediction"].fillna("silent")
    weights = weights_of(table, answers, data)
    expected = precision_recall_fscore_support(
        answers["label"], said, labels=CLASSES, sample_weight=weights, zero_division=np.nan
    )
    by_metric = found.pivot_table(["value", "n"], "class", "metric", dropna=False)
    names = ("class_precision", "class_recall", "class_f1")
    for name, values in zip(names, expected[:3], strict=True):
        # scikit-learn has an F1 of 0 where a class has no case.
        known_values = np.where(np.array(CLASSES) == "never", np.nan, values)
        assert by_metric["value", name].tolist() == pytest.approx(
            known_values.tolist(), nan_ok=True
        )
    shares = [np.average(said == name, weights=weights) for name in CLASSES]
    assert by_metric["value", "class_share"].tolist() == pytest.approx(shares)
    is_label, is_said = (np.array([one == n for n in CLASSES]) for one in (answers["label"], said))
    assert by_metric["n", "class_recall"].tolist() == is_label.sum(axis=1).tolist()
    assert by_metric["n", "class_precision"].tolist() == is_said.sum(axis=1).tolist()
    assert by_metric["n", "class_f1"].tolist() == (is_label | is_said).sum(axis=1).tolist()
    assert by_metric["n", "class_share"].tolist() == [len(answers)] * len(CLASSES)
    never = found[found["class"] == "never"].set_index("metric")
    assert never.loc["class_recall", "status"] == "undefined"
    assert never.loc["class_recall", "reason"] == "no label of class 'never'"


def test_bins_of_answers_hold_what_was_answered_by_its_probability(
    cases: EvaluatedCases, answers: pd.DataFrame
) -> None:
    spec = spec_of_classes()
    base, mute = spec.candidates

    found = score_bins(spec, base, cases, answers, cases.positions_of(answers))

    answered = answers[answers["prediction"].notna()]
    given = [row[f"score_{CLASSES.index(row['prediction'])}"] for _, row in answered.iterrows()]
    number = np.minimum((np.array(given) * BINS).astype(int), BINS - 1)
    right = (answered["label"] == answered["prediction"]).to_numpy()
    assert found["n"].tolist() == np.unique(number, return_counts=True)[1].tolist()
    assert found["positives"].sum() == right.sum()
    assert found["negatives"].sum() == (~right).sum()
    means = pd.Series(given).groupby(number).mean()
    assert found["mean_score"].tolist() == pytest.approx(means.tolist())
    without = answers.drop(columns=SCORES)
    assert score_bins(spec, mute, cases, without, cases.positions_of(without)).empty
    silent = answers.assign(prediction=None)
    assert score_bins(spec, base, cases, silent, cases.positions_of(silent)).empty


@pytest.mark.parametrize("data", DEPENDENCE)
def test_predicted_numbers_are_cut_into_equal_parts_with_the_quantiles_of_numpy(
    table: pa.Table, numbers: pd.DataFrame, data: dict[str, str]
) -> None:
    spec = spec_of_numbers(data=data)
    known = EvaluatedCases(table, spec.data)

    found = predicted_bins(spec, spec.candidates[0], known, numbers, known.positions_of(numbers))

    weights = weights_of(table, numbers, data)
    assert found["n"].sum() == len(numbers)
    # A fifth of the cases have the least number, and stay together.
    assert found["low"][0] == found["high"][0] == 6
    assert found["n"][0] == (numbers["prediction"] == 6).sum()
    # What they leave of their last part is a smaller one.
    assert found["n"][1] <= FEWEST
    assert found["n"][2:].between(FEWEST - 2, FEWEST + 2).all()
    assert (found["high"][:-1].to_numpy() < found["low"][1:].to_numpy()).all()
    residual = (numbers["prediction"] - numbers["label"]).to_numpy()
    for _, row in found.iterrows():
        inside = numbers["prediction"].between(row["low"], row["high"]).to_numpy()
        assert row["n"] == inside.sum()
        for column, of in (("mean_predicted", "prediction"), ("mean_actual", "label")):
            expected = np.average(numbers[of][inside], weights=weights[inside])
            assert row[column] == pytest.approx(expected)
        assert row["actual_low"] < row["mean_actual"] < row["actual_high"]
        ordered = np.argsort(residual[inside])
        share = weights[inside][ordered].cumsum() / weights[inside].sum()
        for percent in RESIDUALS:
            first = residual[inside][ordered][share >= percent / 100 - 1e-12][0]
            assert row[f"residual_{percent}"] == first


def test_the_interval_of_what_is_true_honours_clusters(
    table: pa.Table, numbers: pd.DataFrame
) -> None:
    # All cases of a household are alike.
    household = pd.Series(table["data.household"].to_pylist(), table["id"].to_pylist())
    numbers["prediction"] = numbers["id"].map(household) // 45 + 1.0
    numbers["label"] = numbers["id"].map(household) % 45 * 1.0
    widths = []
    for data in ({}, {"cluster": "household"}):
        spec = spec_of_numbers(data=data)
        known = EvaluatedCases(table, spec.data)
        rows = known.positions_of(numbers)
        found = predicted_bins(spec, spec.candidates[0], known, numbers, rows)
        assert found["n"].sum() == 400
        widths.append((found["actual_high"] - found["actual_low"]).to_numpy())
    # Some four or five cases a household: each counts as less than half a one.
    assert (widths[1] > 1.8 * widths[0]).all()


def test_of_few_cases_there_is_one_bin_without_an_interval(
    cases: EvaluatedCases, numbers: pd.DataFrame
) -> None:
    spec = spec_of_numbers()
    few = numbers[:19]

    (row,) = predicted_bins(spec, spec.candidates[0], cases, few, cases.positions_of(few)).to_dict(
        "records"
    )

    assert (row["n"], row["status"]) == (19, "too_few")
    assert np.isnan(row["actual_low"])
    assert row["mean_actual"] == pytest.approx(few["label"].mean())
    none = numbers[:0]
    assert predicted_bins(spec, spec.candidates[0], cases, none, cases.positions_of(none)).empty
