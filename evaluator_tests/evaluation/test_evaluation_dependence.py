"""Clusters and weights are declared once, and every part of a scorecard honours them."""

from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import statsmodels.api as sm

from evaluator.evaluation import (
    EvaluatedCases,
    Predicted,
    Scored,
    columns_needed,
    find_worsened,
    score,
)
from evaluator.evaluation._compare import compare
from evaluator.evaluation._fairness import measure_fairness
from evaluator.evaluation._measure import design_effect
from evaluator.evaluation._weak_slices import search_weak_slices
from evaluator.metrics import (
    compare_candidates,
    fairness,
    slice_metrics,
    weak_slices,
    worsened_slices,
)
from evaluator.scorecard import (
    ADDITIONAL_MEASUREMENTS,
    MEASUREMENTS,
    SLICE_COLUMNS,
    Slice,
    from_stored,
)
from evaluator.spec import AuditSpec
from evaluator_tests.evaluation.shop import KEYS, spec_of

CLUSTERED = {"cluster": "household"}
BY_DAY = {"cluster": "day"}
WEIGHTED = {"weight": "stands_for"}
BOTH = {**CLUSTERED, **WEIGHTED}
DECLARATIONS = pytest.mark.parametrize("declared", [CLUSTERED, BY_DAY, WEIGHTED, BOTH], ids=str)


def joined(predictions: pd.DataFrame, table: pa.Table) -> pd.DataFrame:
    """Lay the evaluation set's own columns beside predictions, by pandas."""
    own = table.drop(["label", *SLICE_COLUMNS]).to_pandas()
    frame = predictions.merge(own, on="id", validate="1:1")
    assert len(frame) == len(predictions)
    return frame.astype({"data.stands_for": float})


def by_column(declared: dict[str, str]) -> dict[str, str]:
    """Name the joined frame's columns as the functions of metrics take them."""
    return {key: name if name == "day" else f"data.{name}" for key, name in declared.items()}


def cases_of(spec: AuditSpec, table: pa.Table) -> EvaluatedCases:
    return EvaluatedCases(table.select(columns_needed(spec)), spec.data)


def scored(spec: AuditSpec, table: pa.Table, predictions: dict[str, pd.DataFrame]) -> Scored:
    slices = [Slice.of_key(key) for key in KEYS]
    return score(
        spec,
        cases_of(spec, table),
        lambda candidate: Predicted(predictions[candidate.name], slices),
    )


@DECLARATIONS
def test_figures_at_every_level_are_those_of_the_declared_columns(
    declared: dict[str, str], table: pa.Table, predictions: dict[str, pd.DataFrame]
) -> None:
    spec = spec_of(data=declared, additional_slices=[["device"]], compare=None)
    found = scored(spec, table, predictions)
    measured = from_stored(found.tables[MEASUREMENTS])
    frame = joined(predictions["sharp"], table)
    settings: dict[str, Any] = {
        "label": "label",
        "score": "score",
        "prediction": "prediction",
        "metrics": ["roc_auc", "accuracy"],
        **by_column(declared),
    }
    wanted = slice_metrics(frame, slices=list(SLICE_COLUMNS), **settings)
    own = measured[measured["candidate"] == "sharp"].drop(columns="candidate")
    pd.testing.assert_frame_equal(own.reset_index(drop=True), wanted, check_dtype=False)
    plain = slice_metrics(
        frame,
        slices=list(SLICE_COLUMNS),
        **{k: v for k, v in settings.items() if k not in declared},
    )
    assert not wanted["low"].equals(plain["low"])

    by_device = from_stored(found.tables[ADDITIONAL_MEASUREMENTS])
    by_device = by_device[by_device["candidate"] == "sharp"]
    frame["device"] = frame["data.device"].fillna("(missing)")
    wanted = slice_metrics(frame, slices=["device"], levels=["device"], **settings)
    columns = ["metric", "value", "low", "high", "n", "n_effective", "status"]
    pd.testing.assert_frame_equal(
        by_device.assign(device=by_device["group"].str.removeprefix("device = "))
        .sort_values(["device", "metric"])[columns]
        .reset_index(drop=True),
        wanted.sort_values(["device", "metric"])[columns].reset_index(drop=True),
        check_dtype=False,
    )


@DECLARATIONS
def test_differences_are_those_of_the_declared_columns(
    declared: dict[str, str], table: pa.Table, predictions: dict[str, pd.DataFrame]
) -> None:
    spec = spec_of(data=declared, metrics=["accuracy"])
    found = compare(spec, predictions, cases_of(spec, table)).comparisons
    frame = joined(predictions["base"], table).merge(
        predictions["sharp"][["id", "prediction"]], on="id", suffixes=("", " of sharp")
    )
    wanted = compare_candidates(
        frame,
        label="label",
        predictions={"base": "prediction", "sharp": "prediction of sharp"},
        baseline="base",
        slices=list(SLICE_COLUMNS),
        metrics=["accuracy"],
        **by_column(declared),
    )
    own = found[found["candidate"] == "sharp"].reset_index(drop=True)
    columns = ["level", "difference", "low", "high", "p_value", "n", "status"]
    pd.testing.assert_frame_equal(own[columns], wanted[columns])


@pytest.mark.parametrize("declared", [CLUSTERED, BY_DAY, WEIGHTED, BOTH], ids=str)
def test_fairness_gaps_are_those_of_the_declared_columns(
    declared: dict[str, str], table: pa.Table, predictions: dict[str, pd.DataFrame]
) -> None:
    spec = spec_of(data=declared, fairness={"attributes": ["device"]})
    cases = cases_of(spec, table)
    own = measure_fairness(
        spec,
        spec.candidates[0],
        cases,
        predictions["base"],
        cases.positions_of(predictions["base"]),
    )
    frame = joined(predictions["base"], table)
    frame["device"] = frame["data.device"].fillna("(missing)")
    wanted = fairness(
        frame,
        label="label",
        score="score",
        prediction="prediction",
        attributes=["device"],
        measures=list(spec.asks.fairness_measures()),
        **by_column(declared),
    )
    keys = ["measure", "comparison", "attribute", "group"]
    columns = [*keys, "value", "low", "high", "n"]
    pd.testing.assert_frame_equal(
        own.sort_values(keys)[columns].reset_index(drop=True),
        wanted.sort_values(keys)[columns].reset_index(drop=True),
    )


@DECLARATIONS
def test_weak_slices_and_what_got_worse_honour_the_declared_columns(
    declared: dict[str, str], table: pa.Table, predictions: dict[str, pd.DataFrame]
) -> None:
    spec = spec_of(
        data=declared, weak_slices={"features": ["score", "member"], "minimum_support": 20}
    )
    cases, said = cases_of(spec, table), predictions["base"]
    own = search_weak_slices(spec, spec.candidates[0], cases, said, cases.positions_of(said))
    frame = joined(said, table).drop(columns=["score"])
    frame = frame.rename(columns={"data.score": "score", "data.member": "member"})
    # As the evaluation set has them: missing values keep whole numbers and truth values.
    frame = frame.astype({"score": "Int64", "member": "boolean"})
    settings: dict[str, Any] = {
        "label": "label",
        "prediction": "prediction",
        **by_column(declared),
    }
    wanted = weak_slices(frame, features=["score", "member"], minimum_support=20, **settings)
    pd.testing.assert_frame_equal(own.table, wanted.table)

    is_early = (said["id"].str[1:].astype(int) < 200).to_numpy()
    before, after = said[is_early], said[~is_early].assign(prediction=0)
    worse = find_worsened(spec, spec.candidates[0], (cases, before), (cases, after))
    early = frame[frame["id"].isin(before["id"])]
    late = frame[frame["id"].isin(after["id"])].assign(prediction=0)
    again = worsened_slices(
        early, late, slices=worse.sort_index()["conditions"].tolist(), **settings
    )
    pd.testing.assert_frame_equal(worse, again)


def test_an_earlier_evaluation_set_without_the_column_is_named(
    table: pa.Table, predictions: dict[str, pd.DataFrame]
) -> None:
    spec = spec_of(
        data=CLUSTERED, weak_slices={"features": ["score", "member"], "minimum_support": 20}
    )
    earlier = EvaluatedCases(table.drop(["data.household"]), spec.data)
    said = predictions["base"]
    with pytest.raises(ValueError, match="its evaluation set has no column 'household'"):
        find_worsened(
            spec, spec.candidates[0], (earlier, said), (cases_of(spec, table), said.iloc[:0])
        )


def test_a_column_that_is_called_day_is_meant_before_the_files_day(table: pa.Table) -> None:
    spec = spec_of(data=BY_DAY)
    declared = {**spec.data.columns, "day": spec.data.columns["customer"]}
    data = spec.data.model_copy(update={"columns": declared})
    cases = EvaluatedCases(table.append_column("data.day", table["data.place"]), data)
    found = cases.dependence(np.arange(4)).iloc[:, 0]
    assert found.tolist() == ["north", "south", "north", "south"]
    by_file = EvaluatedCases(table, spec.data).dependence(np.arange(4)).iloc[:, 0]
    assert by_file.tolist() == ["2026-01-01", "2026-01-02", "2026-01-01", "2026-01-02"]


def test_only_what_is_declared_is_read() -> None:
    plain = columns_needed(spec_of())
    assert plain == ["id", "label", "day"]
    assert columns_needed(spec_of(data=BY_DAY)) == plain
    both = {"data.household", "data.stands_for"}
    assert set(columns_needed(spec_of(data=BOTH))) == {*plain, *both}


def by_day(rows: int, shift: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Draw wrong decisions of 20 days of unequal size, whose rates differ by a shift."""
    draws = np.random.default_rng(seed)
    days = draws.choice(20, rows, p=np.arange(1, 21) / 210)
    rates = 0.3 + shift * draws.normal(size=20)
    return (draws.random(rows) < rates[days]).astype(float), days


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("shift", [0.0, 0.1])
def test_the_design_effect_is_that_of_a_cluster_robust_regression(
    shift: float, *, weighted: bool
) -> None:
    values, days = by_day(800, shift)
    weights = np.random.default_rng(1).uniform(0.2, 3, len(values)) if weighted else None
    model = sm.WLS(values, np.ones(len(values)), 1.0 if weights is None else weights)
    clustered = model.fit(cov_type="cluster", cov_kwds={"groups": days})
    independent = model.fit(cov_type="HC1")
    wanted = (clustered.bse / independent.bse).item() ** 2
    assert design_effect(values, days, weights) == pytest.approx(wanted, rel=1e-9)
    if weights is None:
        assert wanted == pytest.approx((clustered.bse / model.fit().bse).item() ** 2, rel=1e-9)


def test_without_a_second_cluster_or_value_there_is_no_design_effect() -> None:
    values, days = by_day(50, 0.1)
    assert np.isnan(design_effect(values, np.zeros(50, dtype=np.intp), None))
    assert np.isnan(design_effect(np.ones(50), days, None))


def of_many_days(spec: AuditSpec, *, shift: float) -> Scored:
    """Score candidates that err more on some days than on others, or as much."""
    wrong, days = by_day(800, shift)
    label = np.random.default_rng(2).integers(0, 2, 800)
    keys = [Slice.of_key(KEYS[number % 4]) for number in range(800)]
    table = pa.table(
        {
            "id": [f"c{number}" for number in range(800)],
            "label": label,
            "day": [f"2026-01-{1 + day:02}" for day in days],
            "data.household": days,
            "data.stands_for": np.ones(800),
        }
    )
    frame = table.select(["id", "label"]).to_pandas()
    frame = frame.assign(**pd.DataFrame(keys).to_dict("list"), score=label * 0.5)
    right = frame.assign(prediction=label)
    said = {
        "base": right,
        "sharp": right.assign(prediction=np.where(wrong, 1 - label, label)),
        "rule": right.assign(score=np.nan),
    }
    return scored(spec, table, said)


def test_cases_of_one_day_that_are_alike_are_told_where_they_count_as_independent() -> None:
    remarks = of_many_days(spec_of(compare=None), shift=0.1).remarks
    (remark,) = remarks
    values, days = by_day(800, 0.1)
    effect = design_effect(values, days, None)
    assert effect > 1.5
    assert "over 20 days the design effect on the losses of sharp is" in remark
    assert f"is {effect:.1f}, so that intervals are about {effect**0.5:.1f} times" in remark
    assert "`data.cluster: day`" in remark


def test_where_days_are_no_different_or_are_declared_there_is_no_remark() -> None:
    assert of_many_days(spec_of(compare=None), shift=0.0).remarks == []
    for declared in (CLUSTERED, BY_DAY):
        assert of_many_days(spec_of(compare=None, data=declared), shift=0.1).remarks == []
