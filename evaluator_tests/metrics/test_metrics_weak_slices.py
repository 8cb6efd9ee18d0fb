"""Planted slices are found, and noise is not."""

import tracemalloc
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import log_loss

from evaluator.demo import load_flights
from evaluator.metrics import MetricsInputError, WeakSlices, holm, weak_slices, worsened_slices
from evaluator.metrics._estimates import BoolArray, FloatArray
from evaluator.metrics._two_sample import TwoRates, fisher, newcombe
from evaluator.metrics._weak_slices._conditions import conditions_from_json, matching_rows


def columns(rows: int, features: int, random: np.random.Generator) -> pd.DataFrame:
    """Draw columns of numbers and of ten categories in turn."""
    drawn: dict[str, Any] = {}
    for position in range(features):
        if position % 2:
            drawn[f"number_{position}"] = random.normal(size=rows)
        else:
            drawn[f"kind_{position}"] = pd.Categorical.from_codes(
                random.integers(0, 10, rows), [f"k{code}" for code in range(10)]
            )
    return pd.DataFrame(drawn)


def errors(rate: FloatArray, random: np.random.Generator) -> FloatArray:
    return (random.random(len(rate)) < rate).astype(float)


def found(result: WeakSlices) -> list[str]:
    """Give the confirmed slices that no other explains."""
    table = result.confirmed
    return table[table["explained_by"].isna()]["slice"].tolist()


def test_a_slice_of_one_percent_with_five_times_the_error_is_found_in_bounded_memory() -> None:
    random = np.random.default_rng(1)
    frame = columns(100_000, 30, random)
    bad = (frame["kind_0"] == "k3") & (frame["kind_2"] == "k4")
    assert 0.009 < bad.mean() < 0.011
    loss = errors(np.where(bad, 0.25, 0.05), random)
    tracemalloc.start()
    result = weak_slices(frame, features=list(frame), loss=loss)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert found(result) == ["kind_0 = k3 and kind_2 = k4"]
    first = result.table.iloc[0]
    assert first["low"] < 0.20 < first["high"]
    assert first["harm_low"] == first["low"] * bad.sum()
    assert first["n_all"] == bad.sum()
    assert result.search["possible"] > 20_000
    assert result.search["tested"] <= 20
    assert peak < 200 * 2**20


@pytest.mark.parametrize("kind", ["errors", "rare errors", "long-tailed losses"])
def test_pure_noise_reports_nothing_in_nine_of_ten_trials(kind: str) -> None:
    reported = tested = 0
    for seed in range(200):
        random = np.random.default_rng(seed)
        frame = pd.DataFrame(random.integers(0, 5, (1000, 6)), columns=list("abcdef"))
        losses = {
            "errors": errors(np.full(1000, 0.2), random),
            "rare errors": errors(np.full(1000, 0.03), random),
            "long-tailed losses": random.lognormal(0, 1, 1000),
        }
        result = weak_slices(
            frame, features=list(frame), loss=losses[kind], minimum_support=30, seed=seed
        )
        reported += len(result.confirmed) > 0
        tested += result.search["tested"]
    assert reported <= 20
    # Nothing was reported although much was tested.
    assert tested > 200 * 2


def test_dependent_cases_are_not_taken_for_evidence() -> None:
    reported = {"user": 0, None: 0}
    for seed in range(60):
        random = np.random.default_rng(seed)
        user = random.integers(0, 100, 1000)
        frame = pd.DataFrame({"user": user, "region": random.integers(0, 4, 100)[user]})
        loss = errors(np.where(random.random(100) < 0.2, 0.8, 0.1)[user], random)
        for cluster in reported:
            result = weak_slices(
                frame, features=["region"], loss=loss, conditions=1, cluster=cluster, seed=seed
            )
            reported[cluster] += len(result.confirmed) > 0
    assert reported["user"] <= 6
    assert reported[None] > 20


def test_days_that_went_wrong_by_chance_confirm_nothing_in_nine_of_ten_searches() -> None:
    flights = load_flights()
    flights = flights[flights["arrival_delay"].notna()]
    flights = flights[pd.to_datetime(flights["date"]).between("2013-10-01", "2013-11-30")][::10]
    wrong = (flights["arrival_delay"] > 15) != (flights["departure_delay"] >= 15)
    day, days = pd.factorize(flights["date"])
    rate = wrong.groupby(day).mean().to_numpy()
    assert len(days) == 61
    features = ["carrier", "origin", "region", "distance", "scheduled_hour", "weekday"]
    reported = tested = 0
    for seed in range(40):
        random = np.random.default_rng(seed)
        # Which day goes wrong is drawn, so that no slice is worse than another.
        loss = errors(random.permutation(rate)[day], random)
        result = weak_slices(flights, features=features, loss=loss, cluster="date", seed=seed)
        reported += len(result.confirmed) > 0
        tested += result.search["tested"]
    assert reported <= 4
    assert tested > 40


@pytest.mark.parametrize("share", [0.02, 0.03])
def test_a_tail_that_is_narrower_than_a_range_is_found_and_named(share: float) -> None:
    named = 0
    for seed in range(8):
        random = np.random.default_rng(seed)
        frame = columns(20_000, 8, random)
        values = frame["number_1"] * (1 if seed % 2 else -1)
        bad = (values > values.quantile(1 - share)).to_numpy()
        result = weak_slices(
            frame, features=list(frame), loss=errors(0.1 + 0.2 * bad, random), seed=seed
        )
        for text in result.confirmed["conditions"]:
            inside = matching_rows(frame, conditions_from_json(text))
            named += (inside & bad).sum() >= 0.5 * (inside | bad).sum()
    assert named >= 7


def test_clusters_that_are_too_few_for_either_half_are_said_before_the_search() -> None:
    random = np.random.default_rng(13)
    frame = pd.DataFrame({"part": random.integers(0, 3, 4000), "day": np.arange(4000) % 18})
    result = weak_slices(
        frame, features=["part"], loss=errors(np.full(4000, 0.3), random), cluster="day"
    )
    assert result.table.empty
    assert result.search["reason"] == (
        "a slice and its rest need 10 clusters in either half, there are 9"
    )


@pytest.mark.parametrize("cluster", [None, "user"])
def test_equal_weights_change_nothing_and_a_weight_of_zero_leaves_a_case_out(
    cluster: str | None,
) -> None:
    random = np.random.default_rng(14)
    frame = columns(6000, 6, random)
    frame["user"] = random.integers(0, 300, len(frame))
    features = [name for name in frame if name != "user"]
    loss = errors(np.where(frame["kind_0"] == "k1", 0.4, 0.2), random)

    def searched(rows: BoolArray, weights: FloatArray | None) -> WeakSlices:
        return weak_slices(
            frame.assign(w=weights)[rows],
            features=features,
            loss=loss[rows],
            cluster=cluster,
            weight=None if weights is None else "w",
        )

    every = np.ones(len(frame), dtype=bool)
    some = random.random(len(frame)) < 0.8
    for weighed, plain in (
        (searched(every, np.full(len(frame), 0.5)), searched(every, None)),
        (searched(every, 2.0 * some), searched(some, None)),
        (searched(every, some * (1 + frame["number_1"] ** 2)), None),
    ):
        expected = plain or searched(some, (1 + frame["number_1"] ** 2).to_numpy())
        pd.testing.assert_frame_equal(weighed.table, expected.table, check_exact=True)
        assert weighed.search == expected.search
        assert found(weighed) == ["kind_0 = k1"]


def test_clusters_of_one_case_each_are_no_clusters() -> None:
    random = np.random.default_rng(15)
    frame = columns(3000, 4, random).assign(row=[f"r{number}" for number in range(3000)])
    loss = errors(np.where(frame["kind_0"] == "k1", 0.5, 0.2), random)
    features = list(frame)[:4]
    alone = weak_slices(frame, features=features, loss=loss, cluster="row")
    plain = weak_slices(frame, features=features, loss=loss)
    pd.testing.assert_frame_equal(alone.table, plain.table, check_exact=True)


def test_a_slice_is_as_bad_as_what_its_cases_stand_for() -> None:
    random = np.random.default_rng(16)
    frame = pd.DataFrame({"part": random.choice(["a", "b", "c"], 9000)})
    # Half of the cases stand for nearly nothing. In part b they are wrong, in part c all others.
    little = random.random(9000) < 0.5
    frame["w"] = np.where(little, 0.05, 1.0) * random.uniform(0.9, 1.1, 9000)
    bad = ((frame["part"] == "b") & little) | ((frame["part"] == "c") & ~little)
    loss = errors(np.where(bad, 0.4, 0.1), random)
    plain = weak_slices(frame, features=["part"], loss=loss)
    assert set(found(plain)) == {"part = b", "part = c"}
    weighed = weak_slices(frame, features=["part"], loss=loss, weight="w")
    assert found(weighed) == ["part = c"]
    row = weighed.confirmed.iloc[0]
    assert row["n_all"] == (frame["part"] == "c").sum()
    share = frame.loc[frame["part"] == "c", "w"].sum() / frame["w"].sum()
    assert row["harm"] == pytest.approx(row["excess"] * share * 9000)
    assert weighed.search["mean_loss"] == pytest.approx(np.average(loss, weights=frame["w"]))
    # Unweighted it would be 0.25.
    assert row["loss"] == pytest.approx((0.4 + 0.05 * 0.1) / 1.05, abs=0.04)


def test_weights_without_a_slice_that_is_worse_confirm_nothing_in_nine_of_ten_trials() -> None:
    reported = tested = 0
    for seed in range(60):
        random = np.random.default_rng(seed)
        frame = pd.DataFrame(random.integers(0, 5, (1000, 6)), columns=list("abcdef"))
        frame["w"] = random.lognormal(0, 0.8, 1000)
        loss = errors(np.full(1000, 0.1), random)
        result = weak_slices(
            frame, features=list("abcdef"), loss=loss, weight="w", minimum_support=30, seed=seed
        )
        reported += len(result.confirmed) > 0
        tested += result.search["tested"]
    assert reported <= 6
    assert tested > 30


def test_a_slice_of_three_conditions_is_found_though_each_of_two_hides_it() -> None:
    random = np.random.default_rng(3)
    frame = pd.DataFrame(random.integers(0, 4, (20_000, 6)), columns=list("abcdef"))
    bad = (frame["a"] == 1) & (frame["c"] == 2) & (frame["f"] == 0)
    loss = errors(np.where(bad, 0.6, 0.1), random)
    three = weak_slices(frame, features=list(frame), loss=loss, conditions=3)
    assert found(three) == ["a = 1 and c = 2 and f = 0"]
    # With fewer conditions no slice but a mixed one can be named.
    two = weak_slices(frame, features=list(frame), loss=loss, conditions=2)
    assert "a = 1 and c = 2 and f = 0" not in found(two)


def test_missing_values_are_a_condition_of_their_own() -> None:
    random = np.random.default_rng(4)
    rows = 8000
    frame = pd.DataFrame(
        {
            "distance": np.where(random.random(rows) < 0.1, np.nan, random.normal(size=rows)),
            "carrier": random.choice(["AA", "B6", "UA"], rows),
            "tail": pd.Series(random.choice(["x", "y", ""], rows)).replace("", None),
        }
    )
    gaps = (frame["distance"].isna() & (frame["carrier"] == "B6")).to_numpy()
    result = weak_slices(frame, features=list(frame), loss=errors(np.where(gaps, 0.5, 0.1), random))
    assert found(result) == ["distance is missing and carrier = B6"]
    gaps = frame["tail"].isna().to_numpy()
    result = weak_slices(frame, features=list(frame), loss=errors(np.where(gaps, 0.3, 0.1), random))
    assert found(result) == ["tail is missing"]


def test_small_bad_slices_are_not_hidden_behind_large_ones() -> None:
    random = np.random.default_rng(5)
    frame = columns(40_000, 12, random)
    large = frame["kind_0"].isin(["k0", "k1"]).to_numpy()
    small = ((frame["kind_2"] == "k5") & (frame["kind_4"] == "k6")).to_numpy()
    # A part of a bad slice that is worse than the whole has to come too.
    part = ((frame["kind_0"] == "k0") & (frame["kind_6"] == "k2")).to_numpy()
    rate = np.where(part, 0.7, np.where(small, 0.5, np.where(large, 0.35, 0.1)))
    result = weak_slices(frame, features=list(frame), loss=errors(rate, random))
    assert set(found(result)) == {
        "kind_0 = k0",
        "kind_0 = k1",
        "kind_2 = k5 and kind_4 = k6",
        "kind_0 = k0 and kind_6 = k2",
    }
    table = result.confirmed
    own = table[table["explained_by"].isna()]
    assert own["harm_low"].is_monotonic_decreasing
    group = own.set_index("slice")["group"]
    # Overlapping finds have one number, others have not.
    assert group["kind_0 = k0"] == group["kind_0 = k0 and kind_6 = k2"]
    assert group.nunique() == 3


def test_limits_are_newcombes_at_the_level_shared_by_all_that_are_tested() -> None:
    random = np.random.default_rng(12)
    frame = columns(6000, 8, random)
    loss = errors(np.where(frame["kind_0"] == "k3", 0.5, 0.2), random)
    result = weak_slices(frame, features=list(frame), loss=loss, level=0.08)
    table = result.table
    assert len(table) > 5
    for row in table.itertuples():
        rest = result.search["confirming_cases"] - row.n
        counts = [(round(row.loss * row.n), row.n), (round(row.rest_loss * rest), rest)]
        expected = np.ravel(newcombe(TwoRates.single(*counts), 1 - 2 * 0.08 / len(table)))
        assert (row.low, row.high) == pytest.approx(expected)
        hits = sum(count for count, _ in counts)
        assert row.p_value == pytest.approx(fisher(*counts[0], hits, row.n + rest))
    assert table["p_adjusted"].to_numpy() == pytest.approx(holm(table["p_value"].to_numpy()))


def test_two_descriptions_of_the_same_cases_stand_under_the_simpler_one() -> None:
    random = np.random.default_rng(6)
    rows = 6000
    frame = pd.DataFrame(
        {
            "airport": random.choice(["JFK", "LGA"], rows),
            "kind": random.choice(["low", "full"], rows),
        }
    )
    both = (frame["airport"] == "JFK") & (frame["kind"] == "low")
    # A few flights are with another one, so that both conditions have more evidence than one.
    own = both & (random.random(rows) < 0.95)
    frame["carrier"] = np.where(own, "B6", random.choice(["AA", "UA"], rows))
    loss = errors(np.where(both, 0.5, 0.1), random)
    result = weak_slices(frame, features=["airport", "kind", "carrier"], loss=loss)
    assert found(result) == ["carrier = B6"]
    assert result.table.loc[0, "also"] == "airport = JFK and kind = low"


def test_the_rows_order_and_a_second_run_change_nothing() -> None:
    random = np.random.default_rng(7)
    frame = columns(5000, 6, random)
    frame["user"] = random.integers(0, 800, len(frame))
    frame["loss"] = random.exponential(size=len(frame)) * np.where(frame["kind_0"] == "k1", 2, 1)
    frame["w"] = random.integers(1, 3, len(frame))
    features = [name for name in frame if name not in ("user", "loss", "w")]
    shuffled = frame.sample(frac=1, random_state=1)
    for cluster, weight in ((None, None), ("user", None), (None, "w"), ("user", "w")):
        results = [
            weak_slices(
                each,
                features=features,
                loss=each["loss"].to_numpy(),
                cluster=cluster,
                weight=weight,
                seed=3,
            )
            for each in (frame, frame, shuffled)
        ]
        for other in results[1:]:
            pd.testing.assert_frame_equal(results[0].table, other.table, check_exact=True)
            assert results[0].search == other.search
        assert found(results[0]) == ["kind_0 = k1"]
    assert not weak_slices(
        frame, features=features, loss=frame["loss"].to_numpy(), seed=4
    ).table.equals(results[0].table)


@pytest.mark.parametrize("weight", [None, "w"])
def test_cases_that_differ_in_a_tail_or_in_weight_alone_may_come_in_any_order(
    weight: str | None,
) -> None:
    random = np.random.default_rng(17)
    frame = pd.DataFrame({"x": random.normal(size=4000)})
    frame["w"] = random.uniform(1, 2, 4000)
    frame["loss"] = errors(np.where(frame["x"] > 2, 0.8, 0.3), random)
    first, second = (
        weak_slices(each, features=["x"], loss=each["loss"].to_numpy(), weight=weight).table
        for each in (frame, frame.sample(frac=1, random_state=1))
    )
    assert first.loc[0, "slice"].startswith("x >= ")
    assert first.loc[0, "status"] == "confirmed"
    pd.testing.assert_frame_equal(first, second, check_exact=True)


def test_what_cannot_be_searched_says_why() -> None:
    random = np.random.default_rng(8)
    frame = pd.DataFrame(
        {"a": random.integers(0, 3, 1000), "constant": "x", "missing": np.full(1000, np.nan)}
    )
    features = list(frame)
    for loss in (np.zeros(1000), np.ones(1000)):
        result = weak_slices(frame, features=features, loss=loss)
        assert result.table.empty
        assert result.search["reason"] == "all cases that were searched have the same loss"
    for rows in (0, 1, 150):
        few = frame.head(rows)
        result = weak_slices(few, features=features, loss=errors(np.full(rows, 0.5), random))
        assert result.table.empty
        assert result.search["cases"] == rows
        assert "need 100 cases in either half" in result.search["reason"]
    # Columns that hold one value, or none, leave nothing to compare.
    noise = errors(np.full(1000, 0.5), random)
    result = weak_slices(frame, features=["constant", "missing"], loss=noise)
    assert result.table.empty
    assert result.search["reason"] is None
    assert result.search["possible"] == 3


def test_the_loss_is_read_from_label_score_and_prediction() -> None:
    random = np.random.default_rng(9)
    rows = 6000
    frame = pd.DataFrame(
        {"label": random.integers(0, 2, rows), "part": random.choice(["a", "b", "c"], rows)}
    )
    missed = (frame["label"] == 1) & (frame["part"] == "b") & (random.random(rows) < 0.5)
    frame["prediction"] = np.where(missed, 0, frame["label"])
    frame["score"] = np.where(frame["prediction"] == 1, 0.8, 0.1)
    common: dict[str, Any] = {"features": ["part"], "label": "label"}
    among: BoolArray = (frame["label"] == 1).to_numpy()
    for loss in ("error_rate", "false_negative_rate", "log_loss", "brier"):
        result = weak_slices(frame, loss=loss, score="score", **common)
        assert found(result) == ["part = b"]
        cases = among.sum() if loss == "false_negative_rate" else rows
        assert result.search["cases"] == cases
    of_decision = weak_slices(frame, loss="false_negative_rate", prediction="prediction", **common)
    assert of_decision.table.loc[0, "loss"] == pytest.approx(0.5, abs=0.06)
    assert of_decision.table.loc[0, "rest_loss"] == 0
    # Without one false alarm there is nothing to search.
    alarms = weak_slices(frame, loss="false_positive_rate", score="score", **common)
    assert alarms.search["reason"] == "all cases that were searched have the same loss"
    frame["truth"] = random.normal(size=rows)
    frame["guess"] = frame["truth"] + np.where(frame["part"] == "c", 2, 1) * random.normal(
        size=rows
    )
    for loss in ("absolute_error", "squared_error"):
        result = weak_slices(frame, features=["part"], loss=loss, label="truth", prediction="guess")
        assert found(result) == ["part = c"]


def test_classes_of_any_number_have_an_error_rate() -> None:
    random = np.random.default_rng(10)
    frame = pd.DataFrame({"label": random.choice(["x", "y", "z"], 3000)})
    wrong = (frame["label"] == "z") & (random.random(3000) < 0.4)
    frame["prediction"] = frame["label"].where(~wrong, "unknown")
    result = weak_slices(frame, features=["label"], label="label", prediction="prediction")
    assert found(result) == ["label = z"]
    assert result.search["mean_loss"] == wrong.mean()


def test_probabilities_of_classes_have_the_losses_of_scikit_learn() -> None:
    random = np.random.default_rng(11)
    frame = pd.DataFrame({"label": random.choice(["x", "y", "z"], 3000)})
    frame["part"] = random.choice(["a", "b", "c"], 3000)
    is_label = (frame[["label"]].to_numpy() == ["x", "y", "z"]).astype(float)
    sure = np.where(frame["part"] == "b", 0.5, 0.9)[:, None]
    frame[["p", "q", "r"]] = scores = sure * is_label + (1 - sure) * random.dirichlet([1] * 3, 3000)
    columns = {"x": "p", "y": "q", "z": "r"}
    expected = {
        "log_loss": log_loss(frame["label"], scores),
        "brier": ((scores - is_label) ** 2).sum(axis=1).mean(),
    }
    for loss, value in expected.items():
        told: dict[str, Any] = {"loss": loss, "label": "label", "score": columns}
        result = weak_slices(frame, features=["part"], **told)
        assert result.search["mean_loss"] == pytest.approx(value)
        assert found(result) == ["part = b"]
        better, worse = frame[frame["part"] != "b"], frame.assign(part="a")
        (changed,) = worsened_slices(better, worse, slices=["[]"], **told).to_dict("records")
        assert changed["loss_after"] == pytest.approx(value)
        assert changed["status"] == "worse"
    with pytest.raises(MetricsInputError, match="'false_negative_rate' is not of probabilities"):
        weak_slices(
            frame, features=["part"], loss="false_negative_rate", label="label", score=columns
        )


def test_too_few_clusters_have_no_limits_and_a_reason() -> None:
    random = np.random.default_rng(11)
    frame = pd.DataFrame({"user": np.repeat(np.arange(40), 50)})
    frame["part"] = np.where(frame["user"] < 12, "few", "many")
    loss = errors(np.where(frame["part"] == "few", 0.6, 0.1), random)
    result = weak_slices(frame, features=["part"], loss=loss, cluster="user")
    row = result.table.iloc[0]
    assert row["status"] == "too_few"
    assert row["reason"].startswith("needs 10 clusters on either side")
    assert np.isnan(row["low"])
    assert np.isnan(row["p_value"])
    assert result.search["tested"] == 0


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"conditions": 4}, "conditions must be from 1 to 3"),
        ({"minimum_support": 1}, "minimum_support must be at least 2"),
        ({"level": 0.5}, "level must lie between 0 and 0.5"),
        ({"features": []}, "one or more different columns"),
        ({"features": ["a", "a"]}, "one or more different columns"),
        ({"features": ["b"]}, "there is no column 'b'"),
        ({"features": ["when"]}, "holds a Timestamp"),
        ({"loss": "accuracy"}, "there is no loss 'accuracy'"),
        ({"loss": "log_loss"}, "loss 'log_loss' needs a score column"),
        ({"loss": "error_rate", "label": None}, "needs a label column"),
        ({"loss": [0.0]}, "there must be one loss a row"),
        ({"loss": [np.nan] * 4}, "the loss is not a finite number in 4 rows"),
        ({"prediction": "words"}, "they must hold the same classes"),
        ({"weight": "b"}, "there is no column 'b'"),
        ({"weight": "negative"}, "weight column 'negative' is negative in 1 row"),
    ],
)
def test_what_makes_no_sense_is_refused(changed: dict[str, Any], message: str) -> None:
    frame = pd.DataFrame(
        {
            "a": [1, 2, 3, 4],
            "label": [0, 1, 0, 1],
            "words": ["0", "1", "0", "1"],
            "negative": [1, 2, -3, 4],
            "when": pd.date_range("2026-01-01", periods=4),
        }
    )
    arguments: dict[str, Any] = {"features": ["a"], "label": "label", "prediction": "a"} | changed
    with pytest.raises(MetricsInputError, match=message):
        weak_slices(frame, **arguments)
