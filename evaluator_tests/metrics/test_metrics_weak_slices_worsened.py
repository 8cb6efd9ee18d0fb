"""The same slices over two evaluation sets."""

import json

import numpy as np
import pandas as pd
import pytest

from evaluator.metrics import MetricsInputError, slice_definitions, weak_slices, worsened_slices
from evaluator.metrics._two_sample import TwoRates, fisher, newcombe


def cases(seed: int, rows: int = 4000, worse_in: str | None = None) -> pd.DataFrame:
    random = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "region": random.choice(["east", "west", "north"], rows),
            "distance": random.gamma(2, 300, rows).round(),
            "label": random.integers(0, 2, rows),
            "user": random.integers(0, 400, rows),
        }
    )
    rate = np.where(frame["region"] == worse_in, 0.3, 0.15)
    wrong = random.random(rows) < rate
    return frame.assign(prediction=np.where(wrong, 1 - frame["label"], frame["label"]))


COLUMNS = {"label": "label", "prediction": "prediction"}


def test_what_got_worse_is_named_and_what_did_not_is_not() -> None:
    before, after = cases(1), cases(2, 3000, worse_in="west")
    slices = slice_definitions(before, features=["region", "distance"])
    assert slices[0] == "[]"
    assert len(slices) == 1 + 3 + 5
    table = worsened_slices(before, after, slices=slices, **COLUMNS)
    assert len(table) == len(slices)
    worse = table[table["status"] == "worse"]
    assert set(worse["slice"]) >= {"region = west", "all cases"}
    assert "region = east" not in set(worse["slice"])
    west = table.set_index("slice").loc["region = west"]
    there = (after["region"] == "west").sum()
    assert west["n_after"] == there
    assert west["harm_low"] == pytest.approx(west["low"] * there)
    assert west["low"] < 0.15 < west["high"]


def test_rates_have_newcombes_limits_and_fishers_p_value() -> None:
    before, after = cases(1), cases(2)
    slices = ['[{"feature": "region", "is": "east"}]', "[]"]
    table = worsened_slices(before, after, slices=slices, level=0.10, **COLUMNS)
    east = table.set_index("slice").loc["region = east"]
    counts = []
    for frame in (after, before):
        own = frame[frame["region"] == "east"]
        counts.append((int((own["label"] != own["prediction"]).sum()), len(own)))
    # Two slices share the level.
    limits = np.ravel(newcombe(TwoRates.single(*counts), 0.90))
    assert (east["low"], east["high"]) == pytest.approx(limits)
    hits, n = (sum(pair) for pair in zip(*counts, strict=True))
    assert east["p_value"] == pytest.approx(fisher(*counts[0], hits, n))


def test_without_a_change_nothing_got_worse_in_nine_of_ten_trials() -> None:
    slices = slice_definitions(cases(0), features=["region", "distance"])
    called = 0
    for seed in range(100):
        table = worsened_slices(
            cases(seed, 1000), cases(seed + 1000, 1000), slices=slices, **COLUMNS
        )
        called += (table["status"] == "worse").any()
    assert called <= 10


def test_found_slices_are_followed_to_the_next_evaluation_set() -> None:
    before, after = cases(3, worse_in="north"), cases(4)
    found = weak_slices(before, features=["region", "distance"], **COLUMNS).confirmed
    assert found["slice"].tolist() == ["region = north"]
    table = worsened_slices(before, after, slices=found["conditions"].tolist(), **COLUMNS)
    assert table["status"].tolist() == ["not_shown"]
    assert table.loc[0, "high"] < 0


def test_a_tail_that_was_found_keeps_its_end_although_the_quantiles_have_moved() -> None:
    before = cases(14, 20_000)
    far = before["distance"] > before["distance"].quantile(0.98)
    before["prediction"] = np.where(far, 1 - before["label"], before["prediction"])
    table = weak_slices(before, features=["distance"], **COLUMNS).confirmed
    found = table.loc[0, "conditions"]
    end = json.loads(found)[0]["from"]
    after = cases(15).assign(distance=lambda frame: frame["distance"] + 300)
    (row,) = worsened_slices(before, after, slices=[found], **COLUMNS).to_dict("records")
    assert row["n_before"] == (before["distance"] >= end).sum() < 0.03 * len(before)
    assert row["n_after"] == (after["distance"] >= end).sum() > 0.03 * len(after)
    # The list of slices to compare has no tails.
    listed = slice_definitions(before, features=["distance"])
    assert found not in listed
    assert len(listed) == 6


def test_a_slice_that_one_set_lacks_has_a_reason() -> None:
    before = cases(5)
    after = cases(6)
    after = after[after["region"] != "north"]
    table = worsened_slices(
        before, after, slices=['[{"feature": "region", "is": "north"}]'], **COLUMNS
    )
    assert table.loc[0, "status"] == "too_few"
    assert table.loc[0, "n_after"] == 0
    assert "needs 1 cases on either side, has 0" in table.loc[0, "reason"]
    assert np.isnan(table.loc[0, "low"])


def test_users_that_are_in_both_sets_are_clusters_across_them() -> None:
    before = cases(7)
    # The same cases again: nothing got worse, and 400 users without a difference say so.
    table = worsened_slices(before, before, slices=["[]"], cluster="user", **COLUMNS)
    assert table.loc[0, "worsening"] == 0
    assert table.loc[0, "status"] == "not_shown"
    assert -0.05 < table.loc[0, "low"] < 0 < table.loc[0, "high"] < 0.05
    after = cases(8, worse_in="west")
    slices = ['[{"feature": "region", "is": "west"}]']
    table = worsened_slices(before, after, slices=slices, cluster="user", **COLUMNS)
    assert table.loc[0, "status"] == "worse"


def test_weights_say_how_many_cases_a_case_stands_for() -> None:
    slices = ["[]", '[{"feature": "region", "is": "west"}]']
    sets = [cases(12), cases(13, worse_in="west")]
    plain = worsened_slices(*sets, slices=slices, **COLUMNS)
    random = np.random.default_rng(1)

    def weighed(weights: list[np.ndarray], **settings: str) -> pd.DataFrame:
        given = [each.assign(w=w) for each, w in zip(sets, weights, strict=True)]
        return worsened_slices(*given, slices=slices, weight="w", **settings, **COLUMNS)

    # Equal weights are no weights, and a weight of zero leaves a case out.
    same = weighed([np.full(len(each), 3) for each in sets])
    pd.testing.assert_frame_equal(same, plain, check_exact=True)
    there = [random.random(len(each)) < 0.7 for each in sets]
    some = worsened_slices(
        *(each[own] for each, own in zip(sets, there, strict=True)), slices=slices, **COLUMNS
    )
    zero = weighed([own.astype(float) for own in there])
    pd.testing.assert_frame_equal(zero, some, check_exact=True)
    # Whole weights are as many rows, which are one cluster.
    weights = [random.integers(1, 4, len(each)) for each in sets]
    for position, each in enumerate(sets):
        each["row"] = position * 10_000 + np.arange(len(each))
    repeated = worsened_slices(
        *(each.loc[np.repeat(each.index, w)] for each, w in zip(sets, weights, strict=True)),
        slices=slices,
        cluster="row",
        **COLUMNS,
    )
    whole = weighed(weights)
    names = ["loss_before", "loss_after", "worsening", "low", "high", "p_value"]
    assert whole["slice"].tolist() == repeated["slice"].tolist()
    np.testing.assert_allclose(whole[names], repeated[names], rtol=1e-8)
    share = whole["harm"] / whole["worsening"] / len(sets[1])
    assert share.to_numpy() == pytest.approx((repeated["n_after"] / weights[1].sum()).to_numpy())
    with pytest.raises(MetricsInputError, match="weight column 'w' is negative in 1 row"):
        weighed([np.full(len(sets[0]), 1), np.r_[-1, np.full(len(sets[1]) - 1, 1)]])


def test_no_slices_give_an_empty_table_of_the_same_columns() -> None:
    before, after = cases(9), cases(10)
    empty = worsened_slices(before, after, slices=[], **COLUMNS)
    one = worsened_slices(before, after, slices=["[]"], **COLUMNS)
    assert empty.empty
    assert empty.dtypes.equals(one.dtypes)


def test_arguments_out_of_range_are_refused() -> None:
    frame = cases(11, 10)
    with pytest.raises(MetricsInputError, match="level must lie"):
        worsened_slices(frame, frame, slices=["[]"], level=0.7, **COLUMNS)
    with pytest.raises(MetricsInputError, match="there is no column 'gone'"):
        worsened_slices(frame, frame, slices=['[{"feature": "gone", "missing": true}]'], **COLUMNS)
