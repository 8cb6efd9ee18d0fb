"""Conditions cut each feature without gap or overlap, and survive being written down."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings, strategies as st

from evaluator.metrics import MetricsInputError
from evaluator.metrics._weak_slices._conditions import (
    MAX_VALUES,
    DiscretisedFeature,
    conditions_from_json,
    conditions_to_json,
    describe_conditions,
    discretise,
    matching_rows,
    meets,
)
from evaluator.metrics._weak_slices._weak_slices import discovery_split


def one(values: object, *, minimum_support: int = 2) -> DiscretisedFeature:
    frame = pd.DataFrame({"x": values})
    (feature,) = discretise(frame, ["x"], minimum_support=minimum_support)
    return feature


def said(feature: DiscretisedFeature) -> list[str]:
    return [condition.text for condition in feature.conditions]


NUMBERS = st.lists(
    st.one_of(st.none(), st.floats(-1e6, 1e6), st.sampled_from([0.0, 1.0, np.inf, -np.inf])),
    min_size=1,
    max_size=60,
)
TEXTS = st.lists(st.one_of(st.none(), st.sampled_from(["a", "b", "c", "d"])), min_size=1)
TRUTHS = st.lists(st.booleans(), min_size=1)


@given(values=st.one_of(NUMBERS, TEXTS, TRUTHS))
@settings(max_examples=120)
def test_each_case_meets_exactly_the_condition_it_is_coded_with(values: list[object]) -> None:
    frame = pd.DataFrame({"x": values})
    feature = one(values)
    holding = np.column_stack(
        [
            matching_rows(frame, conditions_from_json(conditions_to_json([c])))
            for c in feature.conditions
        ]
    )
    assert (holding.sum(axis=1) == 1).all()
    assert (holding.argmax(axis=1) == feature.codes).all()


@given(values=NUMBERS, whole=st.booleans())
@settings(max_examples=120)
def test_each_case_has_the_code_of_the_narrowest_tail_that_it_lies_in(
    values: list[float | None], *, whole: bool
) -> None:
    if whole:
        values = [None if v is None or np.isinf(v) else np.round(v) for v in values]
    frame = pd.DataFrame({"x": pd.array(values, dtype="Int64" if whole else "Float64")})
    (feature,) = discretise(frame, ["x"], minimum_support=2)
    ranges = {condition.text for condition in feature.conditions}
    for tail in feature.tails:
        sizes = []
        for code in range(-len(tail.conditions), 0):
            condition = tail.conditions[code]
            assert (condition.holds(frame) == meets(tail.codes, code)).all()
            assert condition.text not in ranges
            sizes.append(condition.holds(frame).sum())
        assert sizes == sorted(sizes)


def test_narrow_tails_are_cut_off_besides_the_ranges() -> None:
    values = np.random.default_rng(1).normal(size=10_000)
    below, above = one(values).tails
    shares = np.array([0.01, 0.025, 0.05, 0.1])
    for tail, those, ends in (
        (below, shares, [text.removeprefix("x < ") for text in said(below)]),
        (above, 1 - shares, [text.removeprefix("x >= ") for text in said(above)]),
    ):
        # Three digits, or one more where the next end is near.
        assert all(len(end.split(".")[1]) <= 3 for end in ends)
        quantiles = np.quantile(values, those, method="inverted_cdf")
        assert [float(end) for end in ends] == pytest.approx(quantiles, abs=0.005)
        met = [np.mean(meets(tail.codes, code)) for code in range(-4, 0)]
        assert met == pytest.approx(shares, abs=0.001)
    # What is as wide as the range at that end is no tail, nor has a category one.
    assert one([0.0] * 90 + list(range(1, 13))).tails[0].conditions[-1].text == "x >= 2"
    assert not one(["a", "b"] * 9).tails


def test_numbers_are_cut_near_their_quantiles_at_few_digits() -> None:
    feature = one(np.random.default_rng(1).normal(size=10_000))
    assert said(feature) == [
        "x < -0.851",
        "x in [-0.851, -0.274)",
        "x in [-0.274, 0.247)",
        "x in [0.247, 0.838)",
        "x >= 0.838",
    ]
    assert np.bincount(feature.codes).min() > 1950
    whole = one(np.arange(100, 2100))
    assert said(whole) == [
        "x < 499",
        "x in [499, 899)",
        "x in [899, 1299)",
        "x in [1299, 1699)",
        "x >= 1699",
    ]
    assert (
        conditions_to_json(whole.conditions[1:2]) == '[{"feature": "x", "from": 499, "below": 899}]'
    )


def test_few_numbers_are_categories_and_truth_values_too() -> None:
    assert said(one([3, 1, 1, 3, 2, 2])) == ["x = 1", "x = 2", "x = 3"]
    assert said(one([True, False, True, False])) == ["x = False", "x = True"]
    assert said(one(pd.array([1, None, 1], dtype="Int64"))) == ["x = 1", "x is missing"]
    # Many equal values leave fewer bins, and no empty one.
    assert said(one([0.0] * 90 + list(range(1, 13)))) == ["x < 1", "x >= 1"]


def test_rare_values_are_one_condition_together() -> None:
    feature = one(["a", "a", "b", "b", "c", "d", None], minimum_support=2)
    assert said(feature) == ["x = a", "x = b", "x is none of a, b", "x is missing"]
    assert feature.codes.tolist() == [0, 0, 1, 1, 2, 2, 3]
    # An identifier says nothing but that it is there.
    assert said(one(["p", "q", None])) == ["x is not missing", "x is missing"]
    many = one([f"{value:03d}" for value in range(150) for _ in range(2)])
    assert len(many.conditions) == MAX_VALUES + 1
    assert many.conditions[-1].text == f"x is none of its {MAX_VALUES} frequent values"


def test_categories_that_do_not_occur_are_no_conditions() -> None:
    values = pd.Categorical(["b", "b", "a", "a"], categories=["c", "b", "a"])
    assert said(one(values)) == ["x = a", "x = b"]


def test_a_slice_in_words_and_without_conditions() -> None:
    text = (
        '[{"feature": "carrier", "is": "B6"}, {"feature": "distance", "from": 500, "below": 900}]'
    )
    assert (
        describe_conditions(conditions_from_json(text)) == "carrier = B6 and distance in [500, 900)"
    )
    assert conditions_to_json(conditions_from_json(text)) == text
    assert describe_conditions(conditions_from_json("[]")) == "all cases"


@pytest.mark.parametrize(
    "text",
    [
        "no JSON",
        '{"feature": "a", "is": 1}',
        '[{"is": 1}]',
        '[{"feature": "a"}]',
        '[{"feature": "a", "is": [1]}]',
        '[{"feature": "a", "from": "b"}]',
        '[{"feature": "a", "missing": false}]',
        '[{"feature": "a", "is": 1, "below": 2}]',
    ],
)
def test_what_is_no_condition_is_refused(text: str) -> None:
    with pytest.raises(MetricsInputError, match=r"is no condition|is no list|is not JSON"):
        conditions_from_json(text)


def test_a_range_of_a_column_of_texts_is_refused() -> None:
    range_of = conditions_from_json('[{"feature": "x", "below": 2}]')
    with pytest.raises(MetricsInputError, match="must hold numbers"):
        matching_rows(pd.DataFrame({"x": ["a"]}), range_of)


def test_halves_are_random_and_clusters_stay_whole() -> None:
    random = np.random.default_rng(2)
    codes = [DiscretisedFeature((), random.integers(0, 3, 999).astype(np.int16))]
    losses = (random.random(999) < 0.2).astype(float)
    sizes, equal = [], []
    for seed in range(40):
        _, chosen = discovery_split(codes, losses, None, seed)
        sizes.append(chosen.sum())
        equal.append(losses[chosen].mean() - losses[~chosen].mean())
    assert set(sizes) == {499}
    # The halves differ as random ones do: by about 0.025, on either side.
    assert abs(np.mean(equal)) < 0.02
    assert 0.015 < np.std(equal) < 0.04
    # Zero has two signs.
    signed = losses.copy()
    signed[losses == 0] = random.choice([0.0, -0.0], np.count_nonzero(losses == 0))
    _, again = discovery_split(codes, signed, None, 0)
    _, chosen = discovery_split(codes, losses, None, 0)
    assert (again == chosen).all()
    users = pd.Series(random.integers(0, 100, 999))
    _, chosen = discovery_split(codes, losses, users, 0)
    assert pd.Series(chosen).groupby(users).nunique().eq(1).all()
    assert 300 < chosen.sum() < 700
