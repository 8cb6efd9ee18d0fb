"""Every metric of the catalogue goes every way that figures are made, or says why it does not."""

import json
import re
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn import metrics as reference

from evaluator.metrics import (
    METRICS,
    FairnessMeasure,
    MetricInfo,
    MetricsInputError,
    Rate,
    Task,
    _catalogue as catalogue,
    compare_candidates,
    fairness,
    slice_metrics,
)
from evaluator.metrics._binary import BINARY
from evaluator.metrics._multiclass import MULTICLASS
from evaluator.metrics._rankings import RANKING
from evaluator.metrics._regression import REGRESSION

CLASSES = "abcdef"
# Members of families that are not listed, beside all that are.
UNLISTED = ["top_4_accuracy", "ndcg_at_2", "precision_at_7", "recall_at_1000"]
METRICS_OF_TASKS = [(name, task) for name in (*METRICS, *UNLISTED) for task in METRICS[name].tasks]
RATES = [n for n, info in METRICS.items() if info.rate and "binary_classification" in info.tasks]
DESIGNS: dict[str, dict[str, Any]] = {
    "plain": {},
    "weighted": {"weight": "weight"},
    "clustered": {"cluster": "day"},
    "weighted and clustered": {"weight": "weight", "cluster": "day"},
}
OPTIONS: dict[str, Any] = {
    "classes": list(CLASSES),
    "abstains": True,
    "tolerance": 3.0,
    "limits_level": 0.9,
}
LABEL = {
    "binary_classification": "late",
    "multiclass_classification": "kind",
    "ranking": "relevant",
    "regression": "delay",
}


@cache
def cases() -> pd.DataFrame:
    """Make cases for all tasks, on which two candidates, "new" and "old", were run."""
    draws = np.random.default_rng(12)
    rows = 3000
    odds = draws.normal(0, 1.5, rows)
    frame = pd.DataFrame(
        {
            "late": (draws.random(rows) < 1 / (1 + np.exp(-odds))).astype(int),
            "delay": draws.normal(30, 5, rows),
            "kind": draws.choice(list(CLASSES), rows),
            "relevant": draws.choice(['{"d0": 2, "d1": 1}', '["d2", "d8"]', "{}"], rows),
            "region": draws.choice(["east", "west"], rows),
            "day": draws.integers(0, 60, rows),
            "weight": draws.integers(1, 4, rows).astype(float),
        }
    )
    for name, noise in (("new", 0.4), ("old", 1.2)):
        frame[f"{name} score"] = 1 / (1 + np.exp(-odds - draws.normal(0, noise, rows)))
        frame[f"{name} late"] = (frame[f"{name} score"] >= 0.5).astype(int)
        frame[f"{name} low"] = frame["delay"] + draws.normal(-4, 2, rows)
        frame[f"{name} high"] = frame[f"{name} low"] + draws.uniform(5, 9, rows) + noise
        frame[f"{name} delay"] = frame["delay"] + draws.exponential(3 * noise, rows) - 1
        likely = (frame[["kind"]].to_numpy() == list(CLASSES)) * 0.2 * draws.random((rows, 1))
        shares = draws.dirichlet(np.ones(6), rows) + likely / noise
        frame[[f"{name} {one}" for one in CLASSES]] = shares / shares.sum(axis=1, keepdims=True)
        frame[f"{name} kind"] = np.array(list(CLASSES))[shares.argmax(axis=1)]
        drawn = draws.random((rows, 30)) - 0.5 / noise * (np.arange(30) < 9)
        ranked = [[f"d{item}" for item in one] for one in drawn.argsort(axis=1)[:, :14]]
        frame[f"{name} relevant"] = [json.dumps(one) for one in ranked]
        frame[f"{name} kind or none"] = frame[f"{name} kind"].where(
            draws.random(rows) < 1 - noise / 4
        )
    return frame


def scores(name: str, task: str) -> Any:
    return {
        "binary_classification": f"{name} score",
        "multiclass_classification": {one: f"{name} {one}" for one in CLASSES},
        "ranking": None,
        "regression": None,
    }[task]


def predictions(name: str, metric: str, task: str) -> str:
    return f"{name} {LABEL[task]}{' or none' if METRICS[metric].option == 'abstains' else ''}"


def options(metric: str) -> dict[str, Any]:
    """Give what the metric is not measured without."""
    option = METRICS[metric].option
    return {} if option is None else {option: OPTIONS[option]}


def limits_of(names: list[str], metric: str) -> dict[str, tuple[str, str]] | None:
    """Give the columns of the limits where the metric needs them."""
    if METRICS[metric].needs != "limits":
        return None
    return {name: (f"{name} low", f"{name} high") for name in names}


def measured(metric: str, task: Any, name: str = "new", **design: Any) -> pd.DataFrame:
    return slice_metrics(
        cases(),
        label=LABEL[task],
        score=scores(name, task),
        prediction=predictions(name, metric, task),
        limits=(limits_of([name], metric) or {}).get(name),
        slices=["region"],
        task=task,
        metrics=[metric],
        **options(metric),
        **design,
    )


def compared(metric: str, task: Any, **design: Any) -> pd.DataFrame:
    names = ["old", "new"]
    unscored = scores("new", task) is None
    return compare_candidates(
        cases(),
        label=LABEL[task],
        scores=None if unscored else {name: scores(name, task) for name in names},
        predictions={name: predictions(name, metric, task) for name in names},
        limits=limits_of(names, metric),
        baseline="old",
        slices=["region"],
        task=task,
        metrics=[metric],
        **options(metric),
        **design,
    )


def gaps_of(metric: str, task: Any, monkeypatch: pytest.MonkeyPatch) -> pd.DataFrame:
    measure = FairnessMeasure("gap", (task,), "The metric.", metrics=(metric,))
    monkeypatch.setitem(catalogue._MEASURES_BY_NAME, "gap", measure)
    return fairness(
        cases(),
        label=LABEL[task],
        prediction=f"new {LABEL[task]}",
        attributes=["region"],
        measures=["gap"],
        task=task,
        **options(metric),
    )


def is_whole(table: pd.DataFrame, value: str = "value") -> bool:
    """Say whether every row has a value inside an interval."""
    fine = (table.status == "ok") & (table.low <= table[value]) & (table[value] <= table.high)
    return bool(len(table)) and bool(fine.all())


@pytest.mark.parametrize("design", DESIGNS)
@pytest.mark.parametrize(("metric", "task"), METRICS_OF_TASKS)
def test_every_metric_has_a_value_and_an_interval(metric: str, task: str, design: str) -> None:
    assert is_whole(measured(metric, task, **DESIGNS[design]))


@pytest.mark.parametrize("weight", [None, "weight"])
@pytest.mark.parametrize("metric", RATES)
def test_a_rate_is_a_share_of_the_cells_of_the_confusion_matrix(
    metric: str, weight: str | None
) -> None:
    frame = cases()
    weights = None if weight is None else frame[weight]
    matrix = reference.confusion_matrix(frame["late"], frame["new late"], sample_weight=weights)
    cells = dict(zip(("tn", "fp", "fn", "tp"), matrix.ravel(), strict=True))
    rate = METRICS[metric].rate
    assert rate is not None
    hits, among = (sum(cells[cell] for cell in own) for own in (rate.hits, rate.among))
    table = measured(metric, "binary_classification", **({"weight": weight} if weight else {}))
    expected = 2 * hits / (among + hits) if rate.twice else hits / among
    assert table.value[0] == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("design", ["plain", "clustered"])
@pytest.mark.parametrize(("metric", "task"), METRICS_OF_TASKS)
def test_every_metric_is_compared_on_the_same_cases_or_says_why_not(
    metric: str, task: str, design: str
) -> None:
    reason = METRICS[metric].no_paired_test
    if reason is not None:
        with pytest.raises(MetricsInputError, match=re.escape(reason)):
            compared(metric, task, **DESIGNS[design])
        return
    table = compared(metric, task, **DESIGNS[design])
    assert is_whole(table, "difference")
    assert table.p_value.notna().all()
    of_each = [measured(metric, task, name).value for name in ("new", "old")]
    assert table.difference.tolist() == pytest.approx((of_each[0] - of_each[1]).tolist(), abs=1e-12)


@pytest.mark.parametrize(("metric", "task"), METRICS_OF_TASKS)
def test_every_metric_is_compared_between_groups_or_says_why_not(
    metric: str, task: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    reason = METRICS[metric].no_fairness_gap
    if reason is not None:
        with pytest.raises(ValueError, match=re.escape(reason)):
            FairnessMeasure("gap", ("regression",), "The metric.", metrics=(metric,))
        with pytest.raises(MetricsInputError, match=re.escape(reason)):
            fairness(cases(), label="x", prediction="x", attributes=["region"], measures=[metric])
        return
    gaps = gaps_of(metric, task, monkeypatch)
    assert is_whole(gaps)
    of_regions = measured(metric, task).set_index("region").value
    assert gaps.group_value.tolist() == pytest.approx(of_regions[gaps.group].tolist(), rel=1e-12)


def test_all_forms_of_a_metric_are_registered_where_its_row_says_that_there_are_some() -> None:
    registries: dict[str, Any] = {
        "binary_classification": BINARY,
        "multiclass_classification": MULTICLASS,
        "ranking": RANKING,
        "regression": REGRESSION,
    }
    for task, registry in registries.items():
        rates = RATES if task == "binary_classification" else []
        names = {
            name for name, of_task in METRICS_OF_TASKS if of_task == task and name not in rates
        }
        assert set(registry) <= names
        for name in names:
            info = METRICS[name]
            # Of single classes there are the tests of a binary classifier.
            without = bool(info.no_paired_test or info.per_class)
            assert (registry[name].paired is None) == without, name


def test_a_family_has_a_member_for_each_number_from_1_on() -> None:
    assert METRICS["ndcg_at_7"].title == "NDCG at 7"
    assert "first 7." in METRICS["recall_at_7"].description
    for name in ("ndcg_at_7", "top_12_accuracy", "precision_at_1000"):
        assert METRICS[name].name == name
        assert name not in list(METRICS)
    for name in ("ndcg_at_0", "ndcg_at_07", "ndcg_at_-1", "ndcg_at_", "ndcg_at_k", "map_at_7", ""):
        assert name not in METRICS
    assert METRICS.get("ndcg_at_10000") is None


def test_a_new_rate_is_one_row_of_the_catalogue(monkeypatch: pytest.MonkeyPatch) -> None:
    name = "negative_predictive_value"
    task: Task = "binary_classification"
    row = MetricInfo(
        name,
        (task,),
        higher_is_better=True,
        description="Share of the predicted negatives that are negative.",
        rate=Rate(hits=("tn",), among=("tn", "fn")),
    )
    monkeypatch.setitem(catalogue._METRICS_BY_NAME, name, row)
    frame = cases()
    for design in DESIGNS.values():
        table = measured(name, task, **design)
        assert is_whole(table)
        weights = frame[design["weight"]] if "weight" in design else None
        wanted = reference.precision_score(
            frame["late"], frame["new late"], pos_label=0, sample_weight=weights
        )
        assert table.value[0] == pytest.approx(wanted, rel=1e-12)
    for design in (DESIGNS["plain"], DESIGNS["clustered"]):
        assert is_whole(compared(name, task, **design), "difference")
    assert is_whole(gaps_of(name, task, monkeypatch))
    assert row.title == "negative predictive value"
    never = slice_metrics(
        frame.assign(always=1), label="late", prediction="always", slices=["region"]
    )
    assert set(never[never.metric == name].reason) == {"no predicted negatives"}


@pytest.mark.parametrize(
    ("hits", "among"),
    [((), ("tp",)), (("tp",), ("tp",)), (("fp",), ("tp", "fn")), (("tp",), ("tp", "neg"))],
)
def test_what_is_no_share_of_cells_is_no_rate(hits: Any, among: Any) -> None:
    with pytest.raises(ValueError, match="are no share of"):
        Rate(hits=hits, among=among)
