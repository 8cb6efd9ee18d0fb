"""Limits and p-values of a slice against its rest, beside closed forms and scipy."""

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from scipy import stats

from evaluator.metrics._estimates import BoolArray, FloatArray
from evaluator.metrics._two_sample import TwoRates, contrast, fisher, newcombe


@given(
    table=st.tuples(*(st.integers(0, 60) for _ in range(4))).filter(
        lambda t: t[0] + t[1] > 0 and t[2] + t[3] > 0
    )
)
@settings(max_examples=80)
def test_the_exact_test_is_that_of_scipy(table: tuple[int, int, int, int]) -> None:
    hit, miss, other_hit, other_miss = table
    expected = stats.fisher_exact([[hit, miss], [other_hit, other_miss]], alternative="greater")
    ours = fisher(hit, hit + miss, hit + other_hit, sum(table))
    assert ours == pytest.approx(expected.pvalue, rel=1e-9)


def test_a_probability_that_is_too_small_to_write_is_not_zero() -> None:
    assert 0 < fisher(5000, 5000, 5000, 100_000) < 1e-300


def test_newcombes_limits_are_those_of_his_examples() -> None:
    # Newcombe (1998), table II, method 10.
    examples = {
        ((56, 70), (48, 80)): (0.0524, 0.3339),
        ((9, 10), (3, 10)): (0.1705, 0.8090),
        ((6, 7), (2, 7)): (0.0582, 0.8062),
        ((5, 56), (0, 29)): (-0.0381, 0.1926),
        ((10, 10), (0, 20)): (0.6791, 1.0000),
    }
    for (one, other), expected in examples.items():
        limits = np.ravel(newcombe(TwoRates.single(one, other), 0.95))
        assert limits == pytest.approx(expected, abs=5e-5)


def losses_of(seed: int) -> tuple[FloatArray, BoolArray]:
    random = np.random.default_rng(seed)
    inside = random.random(120) < 0.4
    return random.exponential(size=120) * np.where(inside, 2, 1), inside


def test_welchs_test_and_limits_are_those_of_scipy() -> None:
    losses, inside = losses_of(1)
    ours = contrast(losses, inside, None, error=0.05)
    test = stats.ttest_ind(losses[inside], losses[~inside], equal_var=False, alternative="greater")
    both = stats.ttest_ind(losses[inside], losses[~inside], equal_var=False)
    limits = both.confidence_interval(0.90)
    assert ours.p_value == pytest.approx(test.pvalue)
    assert (ours.low, ours.high) == pytest.approx((limits.low, limits.high))
    assert ours.excess == pytest.approx(losses[inside].mean() - losses[~inside].mean())


def test_clusters_of_one_case_say_nearly_what_independent_cases_say() -> None:
    losses, inside = losses_of(2)
    alone = contrast(losses, inside, np.arange(120), error=0.05)
    plain = contrast(losses, inside, None, error=0.05)
    assert (alone.low, alone.high) == pytest.approx((plain.low, plain.high), rel=0.05)


def test_cases_that_come_ten_times_count_once() -> None:
    losses, inside = losses_of(3)
    once = contrast(losses, inside, np.arange(120), error=0.05)
    ten = contrast(*(np.repeat(a, 10) for a in (losses, inside, np.arange(120))), error=0.05)
    assert (ten.low, ten.high) == pytest.approx((once.low, once.high))
    assert ten.n == 10 * once.n


def test_few_clusters_have_students_quantile_for_the_fewer_side() -> None:
    losses, _ = losses_of(5)
    cluster = np.repeat(np.arange(40), 3)
    found = [contrast(losses, cluster < 12, cluster, error=error) for error in (0.05, 0.005)]
    widths = [one.high - one.low for one in found]
    assert widths[1] / widths[0] == pytest.approx(stats.t.ppf(0.995, 11) / stats.t.ppf(0.95, 11))


def test_clustered_errors_cover_at_least_nearly_nominally() -> None:
    random = np.random.default_rng(4)
    covered = trials = 600
    cluster = np.repeat(np.arange(60), 10)
    inside = cluster < 20
    for _ in range(trials):
        rate = random.beta(1, 4, 60)[cluster]
        found = contrast((random.random(600) < rate).astype(float), inside, cluster, error=0.025)
        covered -= not found.low <= 0 <= found.high
    assert covered / trials >= 0.93


@pytest.mark.parametrize(
    ("losses", "inside", "reason"),
    [
        ([0, 1, 0], [False] * 3, "needs 1 cases on either side, has 0 and 3"),
        ([0, 1, 0], [True] * 3, "needs 1 cases on either side, has 3 and 0"),
        ([0.5] * 30, [True] * 10 + [False] * 20, "needs 20 cases on either side, has 10 and 20"),
        ([0.5] * 50, [True] * 20 + [False] * 30, "all losses are equal"),
    ],
)
def test_what_cannot_be_compared_has_a_reason_and_no_limits(
    losses: list[float], inside: list[bool], reason: str
) -> None:
    found = contrast(np.array(losses, dtype=float), np.array(inside), None, error=0.05)
    assert found.reason is not None
    assert found.reason.startswith(reason)
    assert np.isnan([found.low, found.high, found.p_value]).all()
