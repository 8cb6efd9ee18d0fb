"""What is right and wrong from each score on, and how often scores are so, as scikit-learn says."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from sklearn.metrics import confusion_matrix, roc_curve

from evaluator.evaluation import EvaluatedCases
from evaluator.evaluation._curves import BINS, POINTS_A_CLASS, operating_points, score_bins
from evaluator.metrics import rate_interval
from evaluator.scorecard import OperatingPoint, ScoreBin, from_stored, to_stored
from evaluator.scorecard._rows import read_rows
from evaluator_tests.evaluation.shop import spec_of

SPEC = spec_of()
BASE, _, RULE = SPEC.candidates


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
