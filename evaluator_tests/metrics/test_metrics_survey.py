"""Weights and clusters: what an estimate rests on where cases are not independent and alike."""

import json
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import special

from evaluator.demo import LATE_MINUTES, load_flights
from evaluator.metrics import METRICS, slice_metrics
from evaluator.metrics._linear import Spread, UnitSums

CLASSES = range(4)
TASKS: dict[str, dict[str, Any]] = {
    "binary_classification": {"label": "late", "score": "score"},
    "multiclass_classification": {
        "label": "class",
        "score": {number: f"score {number}" for number in CLASSES},
        "prediction": "decided",
        "classes": list(CLASSES),
        "abstains": True,
    },
    "ranking": {"label": "relevant", "prediction": "ranked"},
    "regression": {
        "label": "minutes",
        "prediction": "expected",
        "tolerance": 1.0,
        "limits": ("from", "to"),
    },
}


def some_cases(rows: int, prevalence: float, seed: int = 1) -> pd.DataFrame:
    """Draw independent cases that every task can be measured on."""
    random = np.random.default_rng(seed)
    late = random.random(rows) < prevalence
    score = special.expit(np.where(late, 1.2, -1.2) + random.normal(0, 1.3, rows))
    label = random.integers(0, len(CLASSES), rows)
    given = random.dirichlet(np.ones(len(CLASSES)), rows)
    given[np.arange(rows), label] += 0.3
    given /= given.sum(axis=1, keepdims=True)
    minutes = random.normal(10, 3, rows)
    frame = pd.DataFrame({"late": late.astype(int), "score": score, "class": label})
    frame = frame.assign(minutes=minutes, expected=minutes + random.normal(0, 1, rows))
    width = random.uniform(1, 2, rows)
    frame = frame.assign(**{"from": frame["expected"] - width, "to": frame["expected"] + width})
    frame["decided"] = np.where(random.random(rows) < 0.9, given.argmax(axis=1), np.nan)
    frame = frame.assign(**{f"score {number}": given[:, number] for number in CLASSES})
    grades = ['{"a": 2, "b": 1}', '["c"]', '["b", "d"]', "{}"]
    frame["relevant"] = random.choice(grades, rows, p=[0.4, 0.3, 0.2, 0.1])
    frame["ranked"] = [json.dumps(list(random.permutation([*"abcdefghi"]))) for _ in range(rows)]
    return frame.assign(place="here", day=np.arange(rows), one=1.0)


def measure(frame: pd.DataFrame, **design: str) -> pd.DataFrame:
    """Measure all metrics of all tasks overall."""
    tables = [
        slice_metrics(frame, task=task, slices=["place"], levels=["overall"], **columns, **design)
        for task, columns in TASKS.items()
    ]
    return pd.concat(tables, keys=TASKS, names=["task", None]).reset_index("task")


@pytest.mark.parametrize(
    "design", [{"weight": "one"}, {"cluster": "day"}, {"weight": "one", "cluster": "day"}]
)
def test_weights_of_one_and_clusters_of_one_case_change_nothing(design: dict[str, str]) -> None:
    cases = some_cases(300, 0.3)
    pd.testing.assert_frame_equal(measure(cases, **design), measure(cases), check_exact=True)


@pytest.mark.parametrize("prevalence", [0.5, 0.1, 0.03])
def test_one_pair_among_a_thousand_cases_moves_no_bound_by_a_fiftieth_of_the_width(
    prevalence: float,
) -> None:
    cases = some_cases(1000, prevalence)
    plain = measure(cases)
    paired = measure(cases.assign(day=cases["day"].replace(1, 0)), cluster="day")
    assert plain["status"].equals(paired["status"])
    assert set(plain["metric"]) == {name for name, info in METRICS.items() if not info.per_class}
    ok = (plain["status"] == "ok").to_numpy()
    width = (plain["high"] - plain["low"])[ok]
    # An order statistic moves by whole ranks.
    allowed = np.where(plain["metric"][ok] == "median_absolute_error", 0.03, 0.02)
    for limit in ("low", "high"):
        moved = (plain[limit] - paired[limit])[ok].abs() / width
        assert (moved <= allowed).all(), plain["metric"][ok][moved > allowed].tolist()


def test_whole_weights_are_rows_that_are_repeated_as_one_cluster() -> None:
    cases = some_cases(400, 0.3)
    times = np.random.default_rng(2).integers(1, 4, len(cases))
    weighted = measure(cases.assign(one=times.astype(float)), weight="one")
    repeated = measure(cases.loc[cases.index.repeat(times)].reset_index(drop=True), cluster="day")
    assert weighted["status"].equals(repeated["status"])
    for name in ("value", "low", "high"):
        np.testing.assert_allclose(weighted[name], repeated[name], rtol=1e-9)
    # They are as many cases; of calibration, up to how the smaller class is counted.
    np.testing.assert_allclose(weighted["n_effective"], repeated["n_effective"], rtol=0.05)


def test_a_case_of_no_weight_is_left_out() -> None:
    cases = some_cases(300, 0.3)
    weight = np.random.default_rng(3).integers(0, 3, len(cases)).astype(float)
    counted = cases.assign(one=weight)
    pd.testing.assert_frame_equal(
        measure(counted, weight="one"), measure(counted[weight > 0], weight="one")
    )


def test_the_design_effect_is_what_clusters_cost() -> None:
    # 40 clusters of 50 cases that share a correlation r: 1 + 49 r.
    random = np.random.default_rng(4)
    samples, clusters, each, rate, correlation = 60, 40, 50, 0.4, 0.08
    shape = (1 - correlation) / correlation
    of_cluster = random.beta(rate * shape, (1 - rate) * shape, (samples, clusters, 1))
    late = random.random((samples, clusters, each)) < of_cluster
    frame = pd.DataFrame(
        {
            "late": late.ravel().astype(int),
            "guess": 1,
            "sample": np.repeat(np.arange(samples), clusters * each),
            "day": np.repeat(np.arange(samples * clusters), each),
        }
    )
    table = slice_metrics(
        frame,
        label="late",
        prediction="guess",
        slices=["sample"],
        metrics=["base_rate"],
        cluster="day",
        levels=["sample"],
    )
    assert table["design_effect"].mean() == pytest.approx(1 + (each - 1) * correlation, rel=0.06)
    assert (table["clusters"] == clusters).all()
    np.testing.assert_allclose(table["n_effective"] * table["design_effect"], table["n"])


def test_variance_and_freedom_are_those_of_bell_and_mc_caffrey() -> None:
    # By matrices: a weighted mean is the regression on a constant.
    random = np.random.default_rng(5)
    sizes = np.array([1, 2, 2, 5, 9, 14, 30, 3, 1, 8, 6])
    cluster = np.repeat(np.arange(len(sizes)), sizes)
    values = random.normal(size=len(sizes))[cluster] + random.normal(size=len(cluster))
    weight = random.uniform(0.5, 2, len(cluster))
    share = weight / weight.sum()
    residual = values - share @ values
    influence = share * residual
    belongs = (cluster[:, None] == np.arange(len(sizes))).astype(float)
    mass = belongs.T @ share
    units = UnitSums(
        np.zeros(len(sizes), dtype=np.intp),
        belongs.T @ influence,
        belongs.T @ influence**2,
        mass,
        belongs.T @ share**2,
    )
    found = Spread.of_units(units, 1)
    adjusted = np.diag(1 / (1 - mass))
    totals = belongs.T @ influence
    assert found.variance[0] == pytest.approx(totals @ adjusted @ totals)
    alike = found.correlation[0]
    assert 0 < alike < 1
    working = np.diag((1 - alike) * (belongs.T @ share**2) + alike * mass**2)
    around = np.eye(len(sizes)) - mass[:, None]
    spread = adjusted @ around @ working @ around.T
    freedom = np.trace(spread) ** 2 / np.trace(spread @ spread)
    assert found.freedom[0] == pytest.approx(freedom)


def clustered(
    random: np.random.Generator, samples: int, clusters: int, *, equal: bool
) -> pd.DataFrame:
    """Draw cases whose base rate and difficulty differ between clusters."""
    sizes = np.full((samples, clusters), 30)
    if not equal:
        drawn = np.ceil(random.lognormal(1.5, 1.2, (samples, clusters)))
        sizes = np.clip(drawn, 1, 80).astype(int)
    each = np.repeat(np.arange(samples * clusters), sizes.ravel())
    rate, ease = random.normal(size=(2, samples * clusters))
    late = random.random(len(each)) < special.expit(-1 + rate[each])
    odds = np.where(late, 1, -1) * (1.5 + 1.2 * ease[each]) + random.normal(0, 1.5, len(each))
    return pd.DataFrame(
        {
            "late": late.astype(int),
            "score": special.expit(odds),
            "day": each,
            "sample": each // clusters,
        }
    )


@pytest.mark.parametrize(("clusters", "equal"), [(12, True), (28, True), (20, False), (30, False)])
def test_intervals_hold_for_few_clusters_and_for_unequal_ones(
    clusters: int, *, equal: bool
) -> None:
    metrics = [
        *("accuracy", "precision", "recall", "f1", "balanced_accuracy", "matthews_correlation"),
        *("cohen_kappa", "roc_auc", "average_precision", "log_loss", "brier"),
    ]
    columns: dict[str, Any] = {"label": "late", "score": "score", "slices": ["sample"]}
    whole = clustered(np.random.default_rng(6), 1, 8000, equal=True)
    truth = slice_metrics(whole, **columns, metrics=metrics, levels=["overall"])
    samples = 500
    frame = clustered(np.random.default_rng(7), samples, clusters, equal=equal)
    table = slice_metrics(
        frame, **columns, metrics=metrics, cluster="day", levels=["sample"]
    ).merge(truth[["metric", "value"]], on="metric", suffixes=("", "_true"))
    ok = table["status"] == "ok"
    below = (ok & (table["high"] < table["value_true"])).groupby(table["metric"]).mean()
    above = (ok & (table["low"] > table["value_true"])).groupby(table["metric"]).mean()
    # 3.5 % on a side, and three standard errors of so many samples.
    assert below.max() <= 0.035 + 3 * np.sqrt(0.035 / samples), below
    assert above.max() <= 0.035 + 3 * np.sqrt(0.035 / samples), above
    assert (below + above).max() <= 0.07
    assert ok[table["metric"] == "accuracy"].mean() >= 0.95


def test_too_few_and_too_unequal_clusters_are_named() -> None:
    cases = some_cases(300, 0.4)
    few = measure(cases.assign(day=cases["day"] % 7), cluster="day")
    assert set(few.loc[few["status"] != "undefined", "reason"]) == {"needs 10 clusters, has 7"}
    giant = cases.assign(day=cases["day"].clip(upper=20))
    accuracy = measure(giant, cluster="day").set_index("metric").loc["selection_rate"]
    assert accuracy["status"] == "too_few"
    assert accuracy["reason"] == (
        "needs as many clusters as 3 of one size, has 21 that are as good as 1.1"
    )


def test_days_of_the_real_year_hold_what_independent_flights_do_not() -> None:
    flights = load_flights()
    flights = flights[flights["arrival_delay"].notna() & flights["departure_delay"].notna()]
    frame = pd.DataFrame(
        {
            "late": (flights["arrival_delay"] > LATE_MINUTES).astype(int),
            "score": ((flights["departure_delay"] + 15) / 60).astype(float).clip(0, 1),
            "day": flights["date"].astype(str),
            "kind": flights["airline_kind"].astype(str),
        }
    )
    metrics = ["roc_auc", "recall", "accuracy", "brier", "f1", "log_loss", "precision"]
    columns: dict[str, Any] = {"label": "late", "score": "score", "slices": ["kind"]}

    def overall(cases: pd.DataFrame, **design: str) -> pd.DataFrame:
        table = slice_metrics(cases, **columns, metrics=metrics, levels=["overall"], **design)
        return table.set_index("metric")

    truth = overall(frame)["value"]
    by_day = dict(list(frame.groupby("day")))
    random = np.random.default_rng(1)
    held, passed, held_alone = [], [], []
    for _ in range(60):
        days = random.choice(list(by_day), 28, replace=False)
        drawn = pd.concat([by_day[day] for day in days], ignore_index=True)
        found = overall(drawn, cluster="day")
        held.append((found["low"] <= truth) & (truth <= found["high"]))
        better = {name: METRICS[name].higher_is_better for name in metrics}
        wrong = found["low"].gt(truth).where(pd.Series(better), found["high"].lt(truth))
        passed.append(wrong)
        alone = overall(drawn)
        held_alone.append((alone["low"] <= truth) & (truth <= alone["high"]))
    assert (pd.DataFrame(held).mean() >= 0.90).all()
    assert (pd.DataFrame(passed).mean() <= 0.07).all()
    assert (pd.DataFrame(held_alone).mean() <= 0.85).all()
