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


def test_clusters_of_one_size_are_compared_as_welch_compares_their_means() -> None:
    losses = np.random.default_rng(5).exponential(size=160)
    cluster = np.repeat(np.arange(40), 4)
    ours = contrast(losses, cluster < 20, cluster, error=0.05)
    means = losses.reshape(40, 4).mean(axis=1)
    both = stats.ttest_ind(means[:20], means[20:], equal_var=False)
    # Variances as found, degrees of freedom as of sides of equal variances: 38.
    deviation = (means[:20].mean() - means[20:].mean()) / both.statistic
    assert ours.p_value == pytest.approx(stats.t.sf(both.statistic, 38))
    assert ours.high - ours.low == pytest.approx(2 * deviation * stats.t.ppf(0.95, 38))


def spare_of_shares(one: FloatArray, other: FloatArray) -> float:
    """Give Satterthwaite's degrees of freedom from the influences' covariances, written out."""
    covariance = np.zeros((len(one), len(one)))
    for share in (one, other):
        corrected = share / np.sqrt(1 - share)
        of_effects = np.diag(corrected) - np.outer(corrected, share)
        covariance += of_effects @ of_effects.T
    return float(np.trace(covariance) ** 2 / (covariance**2).sum())


@pytest.mark.parametrize("kind", ["few", "unequal", "on both sides"])
def test_students_quantile_is_that_of_what_few_and_unequal_clusters_tell(kind: str) -> None:
    random = np.random.default_rng(6)
    sizes = np.full(40, 4) if kind == "few" else np.ceil(random.lognormal(1.5, 1, 40)).astype(int)
    cluster = np.repeat(np.arange(40), sizes)
    inside = random.random(len(cluster)) < 0.4 if kind == "on both sides" else cluster < 12
    losses = random.normal(size=len(cluster))
    found = [contrast(losses, inside, cluster, error=error) for error in (0.05, 0.005)]
    counted = [np.bincount(cluster[side], minlength=40) / side.sum() for side in (inside, ~inside)]
    spare = spare_of_shares(*counted)
    widths = [one.high - one.low for one in found]
    assert widths[1] / widths[0] == pytest.approx(
        stats.t.ppf(0.995, spare) / stats.t.ppf(0.95, spare)
    )
    if kind == "few":
        # Welch's, of sides of equal variances.
        parts = [1 / 12, 1 / 28]
        assert spare == pytest.approx(sum(parts) ** 2 / (parts[0] ** 2 / 11 + parts[1] ** 2 / 27))


@pytest.mark.parametrize("kind", ["errors", "numbers"])
def test_whole_weights_say_what_repeated_cases_say_as_one_cluster(kind: str) -> None:
    losses, inside = losses_of(7)
    if kind == "errors":
        losses = (losses > 1.2).astype(float)
    weights = np.random.default_rng(7).integers(1, 6, 120)
    weighted = contrast(losses, inside, None, weights.astype(float), error=0.02)
    row = np.repeat(np.arange(120), weights)
    repeated = contrast(losses[row], inside[row], row, error=0.02)
    scaled = contrast(losses, inside, None, weights / 7, error=0.02)
    for one in (repeated, scaled):
        for name in ("loss", "rest_loss", "low", "high", "p_value"):
            assert getattr(one, name) == pytest.approx(getattr(weighted, name), rel=1e-9)
    # Cases are counted, and not what they stand for.
    assert (weighted.n, weighted.n_rest) == (inside.sum(), (~inside).sum())


def test_the_p_value_is_the_error_at_which_a_limit_reaches_no_difference() -> None:
    random = np.random.default_rng(8)
    cluster = np.repeat(np.arange(30), 8)
    inside = random.random(240) < 0.3
    for rates, end in (((0.4, 0.2), "low"), ((0.1, 0.3), "high")):
        losses = (random.random(240) < np.where(inside, *rates)).astype(float)
        found = contrast(losses, inside, cluster, error=0.05)
        error = min(found.p_value, 1 - found.p_value)
        at = contrast(losses, inside, cluster, error=error)
        assert getattr(at, end) == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize(
    ("sides", "rate", "correlation"),
    # The first 12 clusters are inside, or some cases of the first 20, or some of all.
    [("few", 0.05, 0.3), ("most", 0.05, 0.1), ("cross", 0.05, 0.1), ("cross few", 0.4, 0.1)],
)
def test_errors_keep_their_level_where_clusters_are_few_or_unequal_and_errors_rare(
    sides: str, rate: float, correlation: float
) -> None:
    random = np.random.default_rng(9)
    p_values = []
    for _ in range(500):
        sizes = np.ceil(random.lognormal(2.5, 1, 50)).astype(int)
        cluster = np.repeat(np.arange(50), sizes)
        some = random.random(len(cluster)) < 0.3
        inside = {
            "few": cluster < 12,
            "most": cluster >= 12,
            "cross": some,
            "cross few": some & (cluster < 20),
        }[sides]
        spread = (1 - correlation) / correlation
        of_cluster = random.beta(rate * spread, (1 - rate) * spread, 50)
        losses = (random.random(len(cluster)) < of_cluster[cluster]).astype(float)
        p_values.append(contrast(losses, inside, cluster, error=0.05).p_value)
    found = np.array(p_values)
    # Of 500 draws chance allows 0.025 more at 0.05, and 0.010 more at 0.005.
    for level, most in ((0.05, 0.075), (0.005, 0.015)):
        assert np.mean(found <= level) <= most
        assert np.mean(found >= 1 - level) <= most


def test_clusters_that_do_not_differ_count_as_one_case_each() -> None:
    cluster = np.repeat(np.arange(40), 10)
    inside = cluster < 15
    none = contrast(np.zeros(400), inside, cluster, error=0.05)
    assert none.p_value == 0.5
    # Wider than what 400 independent cases without an error would leave, and than nothing.
    plain = contrast(np.zeros(400), inside, None, error=0.05)
    assert none.low < plain.low < 0 < plain.high < none.high < 0.25
    apart = contrast(inside.astype(float), inside, cluster, error=0.05)
    assert 0.5 < apart.low < apart.high == 1
    assert contrast(np.full(400, 0.5), inside, cluster, error=0.05).reason is not None


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
