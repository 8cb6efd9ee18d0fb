import numpy as np
import pandas as pd
import pytest

from evaluator.reporting import standout_slices


def _scorecard(metric: str = "recall", **columns: list[float | str | None]) -> pd.DataFrame:
    """Make an overall row of 0.8 and one row per slice, named a, b, c and so on."""
    values = columns.pop("value")
    frame = pd.DataFrame(
        {
            "candidate": "good",
            "metric": metric,
            "level": "geography x segment",
            "geography": [chr(ord("a") + index) for index in range(len(values))],
            "segment": "x",
            "value": values,
            "low": None,
            "high": None,
            "n": 500,
            "n_effective": 100.0,
            "status": "ok",
            "reason": None,
        }
    ).assign(**columns)
    overall = frame.iloc[[0]].assign(
        level="overall", geography=None, segment=None, value=0.8, low=0.79, high=0.81, status="ok"
    )
    return pd.concat([overall, frame], ignore_index=True)


def _names(scorecard: pd.DataFrame, metric: str = "recall") -> list[tuple[str, str | None]]:
    return [
        (standout.direction, standout.measurement.geography)
        for standout in standout_slices(scorecard, metrics=[metric])
    ]


def test_the_furthest_slices_stand_out_on_both_sides_worse_ones_first() -> None:
    scorecard = _scorecard(value=[0.7, 0.9, 0.5, 0.6, 0.95, 0.85])
    assert _names(scorecard) == [("worse", "c"), ("worse", "d"), ("better", "e"), ("better", "b")]


def test_lower_is_better_where_the_metric_says_so() -> None:
    assert _names(_scorecard("log_loss", value=[0.5, 0.9]), "log_loss") == [
        ("worse", "b"),
        ("better", "a"),
    ]


def test_a_metric_without_a_good_side_is_only_lower_or_higher() -> None:
    assert _names(_scorecard("selection_rate", value=[0.5, 0.9]), "selection_rate") == [
        ("lower", "a"),
        ("higher", "b"),
    ]


def test_a_slice_with_few_cases_does_not_stand_out_however_many_rows_it_has() -> None:
    assert _names(_scorecard(value=[0.1, 0.7], n_effective=[29.0, 30.0])) == [("worse", "b")]


def test_a_slice_whose_interval_holds_the_overall_value_does_not_stand_out() -> None:
    scorecard = _scorecard(value=[0.6, 0.7], low=[0.3, 0.65], high=[0.82, 0.75])
    assert _names(scorecard) == [("worse", "b")]


@pytest.mark.parametrize("status", ["undefined", "too_few"])
def test_a_figure_that_is_not_ok_does_not_stand_out(status: str) -> None:
    assert _names(_scorecard(value=[0.1, 0.7], status=[status, "ok"])) == [("worse", "b")]


def test_nothing_stands_out_where_the_overall_figure_is_missing() -> None:
    scorecard = _scorecard(value=[0.1, 0.7])
    assert standout_slices(scorecard.iloc[1:], metrics=["recall"]) == []
    scorecard.loc[0, "value"] = np.nan
    assert standout_slices(scorecard, metrics=["recall"]) == []


def test_a_standout_says_how_far_it_is_from_the_overall_value() -> None:
    (standout,) = standout_slices(_scorecard(value=[0.5]), metrics=["recall"])
    assert (standout.value, standout.overall) == (0.5, 0.8)
    assert standout.difference == pytest.approx(-0.3)


def test_of_a_metric_of_single_classes_each_slice_is_held_against_its_own_class() -> None:
    low = _scorecard("class_recall", value=[0.3, 0.81]).assign(**{"class": "low"})
    high = _scorecard("class_recall", value=[0.5, 0.75]).assign(**{"class": "high"})
    # Of this class it is 0.5 overall.
    high.loc[high["level"] == "overall", "value"] = 0.5
    found = standout_slices(pd.concat([low, high]), metrics=["class_recall"], most=1)
    assert [(one.direction, one.measurement.class_, one.overall) for one in found] == [
        ("worse", "low", 0.8),
        ("better", "high", 0.5),
    ]
