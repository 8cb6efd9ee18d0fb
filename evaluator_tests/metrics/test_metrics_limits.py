"""A regression's share within a tolerance, and the limits that a candidate gives of the label."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from evaluator.metrics import MetricsInputError, compare_candidates, rate_interval, slice_metrics

OF_LIMITS = ["limits_coverage", "limits_width", "interval_score"]


def some_cases(rows: int = 300) -> pd.DataFrame:
    """Draw skewed labels, a prediction of each, and two candidates' limits."""
    random = np.random.default_rng(5)
    label = random.lognormal(2, 0.5, rows).round(1)
    guess = label * random.lognormal(0, 0.2, rows)
    width = guess * random.uniform(0.2, 0.5, rows)
    return pd.DataFrame(
        {
            "label": label,
            "guess": guess,
            "low": guess - width,
            "high": guess + width,
            "old low": guess - 2,
            "old high": guess + 2.5 + random.uniform(0, 1, rows),
            "region": random.choice(["east", "west"], rows),
            "weight": random.integers(1, 4, rows).astype(float),
        }
    )


def measured(frame: pd.DataFrame, **options: Any) -> pd.DataFrame:
    columns: dict[str, Any] = {"label": "label", "prediction": "guess", "slices": ["region"]}
    table = slice_metrics(frame, task="regression", **(columns | options))
    return table[table.level == "overall"].set_index("metric")


def test_within_tolerance_is_a_rate_with_an_exact_interval() -> None:
    frame = some_cases()
    found = measured(frame, metrics=["within_tolerance"], tolerance=1.5).iloc[0]
    hits = float((np.abs(frame["guess"] - frame["label"]) <= 1.5).sum())
    low, high = rate_interval(np.array([hits]), np.array([300.0]), 0.95)
    assert (found["value"], found["low"], found["high"]) == (hits / 300, low[0], high[0])
    # An error of just the tolerance is tolerated.
    exact = frame.assign(guess=frame["label"] + 0.0)
    assert measured(exact, metrics=["within_tolerance"], tolerance=0.0)["value"].iloc[0] == 1


@pytest.mark.parametrize("weight", [None, "weight"])
def test_limits_are_measured_by_their_definitions(weight: str | None) -> None:
    frame = some_cases()
    table = measured(
        frame, limits=("low", "high"), limits_level=0.8, weight=weight, metrics=OF_LIMITS
    )
    weights = None if weight is None else frame[weight]
    label, low, high = frame["label"], frame["low"], frame["high"]
    # The interval score is the sum of two quantile losses over half the error probability.
    pinball = [
        np.where(label < edge, (1 - share) * (edge - label), share * (label - edge))
        for edge, share in ((low, 0.1), (high, 0.9))
    ]
    wanted = [(low <= label) & (label <= high), high - low, (pinball[0] + pinball[1]) / 0.1]
    for metric, values in zip(OF_LIMITS, wanted, strict=True):
        expected = np.average(values, weights=weights)
        assert table.value[metric] == pytest.approx(expected, rel=1e-12)
        assert table.low[metric] < expected < table.high[metric]


def test_what_holds_a_label_on_its_edge_holds_it() -> None:
    frame = some_cases().assign(low=lambda cases: cases["label"])
    assert measured(frame, limits=("low", "label")).value["limits_coverage"] == 1


def test_limits_that_are_all_as_wide_leave_the_spread_of_widths_unknown() -> None:
    frame = some_cases()
    frame["high"] = frame["low"] + 4
    found = measured(frame, limits=("low", "high")).loc["limits_width"]
    assert found["value"] == pytest.approx(4)
    assert found["reason"] == "all widths are alike, so that their spread is unknown"


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"limits": ("high", "low")}, "column 'high' is above column 'low' in 300 rows"),
        ({"metrics": ["limits_width"]}, "metric 'limits_width' needs limits columns"),
        ({"metrics": ["within_tolerance"]}, "'within_tolerance' needs `tolerance` to be given"),
        ({"tolerance": -1.0}, "tolerance must be 0 or more"),
        ({"limits_level": 1.0}, "limits_level must be between 0 and 1"),
    ],
)
def test_limits_and_tolerances_that_cannot_be_are_refused(
    options: dict[str, Any], reason: str
) -> None:
    with pytest.raises(MetricsInputError, match=reason):
        measured(some_cases(), **options)


@pytest.mark.parametrize("options", [{"tolerance": 1.0}, {"limits": ("low", "high")}])
def test_limits_and_tolerance_belong_to_a_regression(options: dict[str, Any]) -> None:
    frame = some_cases().assign(late=1)
    with pytest.raises(MetricsInputError, match="for regression, not binary_classification"):
        slice_metrics(frame, label="late", prediction="late", slices=["region"], **options)


def test_candidates_are_compared_by_their_own_limits() -> None:
    frame = some_cases()
    settings: dict[str, Any] = {
        "label": "label",
        "predictions": {"new": "guess", "old": "guess"},
        "baseline": "old",
        "slices": ["region"],
        "task": "regression",
        "tolerance": 1.0,
    }
    limits = {"new": ("low", "high"), "old": ("old low", "old high")}
    table = compare_candidates(frame, limits=limits, **settings)
    overall = table[table.level == "overall"].set_index("metric")
    assert set(OF_LIMITS) < set(overall.index)
    # The same predictions, and other limits.
    assert overall.status["mean_absolute_error"] == "identical"
    ones = [measured(frame, limits=limits[name], metrics=OF_LIMITS).value for name in limits]
    for metric in OF_LIMITS:
        assert overall.status[metric] == "ok"
        assert overall.difference[metric] == pytest.approx(ones[0][metric] - ones[1][metric])
    alone = compare_candidates(frame, limits={"new": ("low", "high")}, **settings)
    assert not set(OF_LIMITS) & set(alone.metric)


def test_an_interval_score_is_known_by_the_labels_outside() -> None:
    frame = some_cases()
    outside = ~frame["label"].between(frame["low"], frame["high"])
    few = pd.concat([frame[~outside], frame[outside].head(9)])
    found = measured(few, limits=("low", "high")).loc["interval_score"]
    assert (found["status"], found["reason"]) == (
        "too_few",
        "needs 10 labels outside the limits, has 9",
    )
    # Before any label is seen it is known that hardly any will lie outside.
    sure = measured(frame, limits=("low", "high"), limits_level=0.97).loc["interval_score"]
    assert (sure["status"], sure["reason"]) == (
        "too_few",
        "needs 10 labels expected outside the limits, has 9",
    )
