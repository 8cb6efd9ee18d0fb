"""Intervals of gaps: against other libraries, published examples, and by simulation."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from scipy import optimize, stats
from statsmodels.stats.contingency_tables import StratifiedTable
from statsmodels.stats.proportion import confint_proportions_2indep

from evaluator.metrics._fairness._gaps import GapRequest, MeanSummary, RateSummary
from evaluator.metrics._fairness._references import GapOptions, compare, compare_with_reference
from evaluator.metrics._two_sample import (
    TwoRates,
    log_odds_ratio,
    newcombe,
    score_difference,
    score_log_ratio,
)

TABLES = [(56, 70, 48, 80), (9, 10, 3, 10), (0, 20, 10, 20), (5, 56, 0, 29), (36, 40, 16, 80)]
LEAST = 0.93


def pair(hits: Any, cases: Any, other_hits: Any, other_cases: Any) -> TwoRates:
    """Build pairs; one number stands for one pair in one stratum."""
    return TwoRates(
        *(np.atleast_2d(np.asarray(part, float)) for part in (hits, cases, other_hits, other_cases))
    )


@pytest.mark.parametrize("table", TABLES)
def test_the_interval_of_a_difference_is_statsmodels_newcombe(table: tuple[int, ...]) -> None:
    low, high = newcombe(pair(*table), 0.95)
    expected = confint_proportions_2indep(*table, method="newcomb", compare="diff")
    assert (low[0], high[0]) == pytest.approx(expected, abs=1e-12)


def test_newcombes_own_examples_come_out() -> None:
    # R. G. Newcombe, Statistics in Medicine 17 (1998) 873, table II, methods 10 and 6.
    examples = [
        ((56, 70, 48, 80), (0.0524, 0.3339), (0.0528, 0.3382)),
        ((9, 10, 3, 10), (0.1705, 0.8090), (0.1700, 0.8406)),
        ((10, 10, 0, 20), (0.6791, 1.0000), (0.7156, 1.0000)),
    ]
    for table, hybrid, score in examples:
        found = np.ravel(newcombe(pair(*table), 0.95))
        assert found == pytest.approx(hybrid, abs=6e-5)
        found = np.ravel(score_difference(pair(*table), 0.95))
        assert found == pytest.approx(score, abs=6e-5)


@pytest.mark.parametrize("table", [table for table in TABLES if table[2]])
def test_the_interval_of_a_ratio_is_statsmodels_score_interval(table: tuple[int, ...]) -> None:
    low, high = np.exp(score_log_ratio(pair(*table), 0.95))
    expected = confint_proportions_2indep(*table, method="score", compare="ratio", correction=True)
    assert (low[0], high[0]) == pytest.approx(expected, rel=1e-6, abs=1e-12)


def test_a_ratio_to_zero_is_bounded_below_only_and_zero_to_zero_not_at_all() -> None:
    low, high = score_log_ratio(pair([[9], [0]], [[20], [20]], [[0], [0]], [[30], [30]]), 0.95)
    assert np.isfinite(low[0])
    assert high[0] == np.inf
    assert np.isnan([low[1], high[1]]).all()


def test_the_strata_are_combined_as_statsmodels_combines_them() -> None:
    random = np.random.default_rng(3)
    cases, others = random.integers(8, 60, (2, 6))
    hits, other_hits = random.binomial(cases, 0.4), random.binomial(others, 0.55)
    two = pair(hits, cases, other_hits, others)
    table = StratifiedTable(
        [
            np.array([[a, n - a], [b, m - b]])
            for a, n, b, m in zip(hits, cases, other_hits, others, strict=True)
        ]
    )
    own, other = two.standardised()
    assert own[0] / other[0] == pytest.approx(table.riskratio_pooled)
    value, low, high, variance = log_odds_ratio(two, 0.95)
    assert value[0] == pytest.approx(table.logodds_pooled)
    assert np.sqrt(variance[0]) == pytest.approx(table.logodds_pooled_se)
    assert (low[0], high[0]) == pytest.approx(table.logodds_pooled_confint())


def test_one_stratums_odds_ratio_has_woolfs_interval() -> None:
    value, low, high, variance = log_odds_ratio(pair(12, 40, 20, 50), 0.95)
    assert value[0] == pytest.approx(np.log(12 * 30 / (28 * 20)))
    assert variance[0] == pytest.approx(1 / 12 + 1 / 28 + 1 / 20 + 1 / 30)
    half = stats.norm.ppf(0.975) * np.sqrt(variance[0])
    assert (low[0], high[0]) == pytest.approx((value[0] - half, value[0] + half))


def test_no_missed_positive_still_gives_the_odds_ratio_an_upper_limit() -> None:
    value, low, high, _ = log_odds_ratio(pair(0, 30, 20, 40), 0.95)
    assert (value[0], low[0]) == (-np.inf, -np.inf)
    assert np.exp(high[0]) < 0.2


def _stratified_score(delta: float, hits: Any, cases: Any, others: Any, other_cases: Any) -> float:
    """Compute the stratified score by maximising the likelihood numerically."""
    top = bottom = 0.0
    for y, n, x, m in zip(hits, cases, others, other_cases, strict=True):

        def unlikely(p: float, y: int = y, n: int = n, x: int = x, m: int = m) -> float:
            return -stats.binom.logpmf(y, n, p + delta) - stats.binom.logpmf(x, m, p)

        found = optimize.minimize_scalar(
            unlikely,
            bounds=(max(0, -delta) + 1e-12, min(1, 1 - delta) - 1e-12),
            method="bounded",
            options={"xatol": 1e-12},
        ).x
        weight = n * m / (n + m)
        variance = (found + delta) * (1 - found - delta) / n + found * (1 - found) / m
        top += weight * (y / n - x / m - delta)
        bottom += weight**2 * variance * (n + m) / (n + m - 1)
    return float(top / np.sqrt(bottom))


def test_the_limits_over_strata_are_where_the_score_is_the_normal_quantile() -> None:
    hits, cases, others, other_cases = [3, 8, 1], [10, 30, 4], [9, 9, 5], [20, 25, 12]
    low, high = score_difference(pair(hits, cases, others, other_cases), 0.95)
    z = stats.norm.ppf(0.975)
    assert _stratified_score(low[0], hits, cases, others, other_cases) == pytest.approx(z, abs=1e-5)
    found = _stratified_score(high[0], hits, cases, others, other_cases)
    assert found == pytest.approx(-z, abs=1e-5)


counts = st.integers(1, 60).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))


@settings(max_examples=40)
@given(st.lists(st.tuples(counts, counts), min_size=1, max_size=4))
def test_exchanging_the_groups_turns_the_interval_round(strata: list[Any]) -> None:
    hits, cases = np.array([first for first, _ in strata], float).T
    others, other_cases = np.array([second for _, second in strata], float).T
    there, back = pair(hits, cases, others, other_cases), pair(others, other_cases, hits, cases)
    methods = [score_difference, score_log_ratio, *([newcombe] if len(strata) == 1 else [])]
    for method in methods:
        low, high = method(there, 0.9)
        back_low, back_high = method(back, 0.9)
        np.testing.assert_allclose(low, -back_high, atol=1e-7)
        np.testing.assert_allclose(high, -back_low, atol=1e-7)
        assert np.isnan(low[0]) or low[0] <= high[0] + 1e-9


@pytest.mark.parametrize(
    ("cases", "rates", "strata"),
    [
        ((20, 20), (0.3, 0.3), 1),
        ((20, 200), (0.05, 0.15), 1),
        ((50, 50), (0.9, 0.95), 1),
        # Sparse strata, where a variance estimated within each would be far too small.
        ((1, 1), (0.4, 0.6), 40),
        ((2, 30), (0.2, 0.1), 20),
    ],
)
def test_intervals_cover_what_they_claim(
    cases: tuple[int, int], rates: tuple[float, float], strata: int
) -> None:
    random = np.random.default_rng(11)
    trials = 3000
    two = pair(
        random.binomial(cases[0], rates[0], (trials, strata)),
        np.full((trials, strata), cases[0]),
        random.binomial(cases[1], rates[1], (trials, strata)),
        np.full((trials, strata), cases[1]),
    )
    difference, ratio = rates[0] - rates[1], np.log(rates[0] / rates[1])
    found = [(score_difference(two, 0.95), difference), (score_log_ratio(two, 0.95), ratio)]
    if strata == 1:
        found.append((newcombe(two, 0.95), difference))
    for (low, high), truth in found:
        # Where nothing is known, as for a ratio of two zeros, nothing is missed.
        assert 1 - np.mean((low > truth) | (high < truth)) >= LEAST


def test_the_odds_ratios_interval_covers_with_and_without_strata() -> None:
    random = np.random.default_rng(12)
    for strata, cases in ((1, 30), (20, 3)):
        # One odds ratio over strata of different rates.
        odds = np.exp(np.linspace(-0.5, 0.5, strata))
        shape = (4000, strata)
        two = pair(
            random.binomial(cases, 2 * odds / (1 + 2 * odds), shape),
            np.full(shape, cases),
            random.binomial(2 * cases, odds / (1 + odds), shape),
            np.full(shape, 2 * cases),
        )
        _, low, high, _ = log_odds_ratio(two, 0.95)
        assert np.mean((low <= np.log(2)) & (np.log(2) <= high)) >= LEAST


def rates_of(hits: Any, cases: Any) -> RateSummary:
    """Build groups compared by a rate in one stratum."""
    hits, cases = (np.asarray(part, float).reshape(-1, 1) for part in (hits, cases))
    return RateSummary(cases[:, 0], cases, "cases", hits)


@pytest.mark.parametrize("comparison", ["difference", "ratio"])
def test_the_gap_to_the_overall_is_the_one_that_its_definition_gives(comparison: Any) -> None:
    groups = rates_of([30, 20, 90], [60, 100, 120])
    asked = GapRequest(comparison, 0.95, 0.95, 20, overall=True)
    (gap,) = compare(groups, groups.rest(), asked)
    own, overall = np.array([0.5, 0.2, 0.75]), 140 / 280
    expected = own - overall if comparison == "difference" else np.log(own / overall)
    np.testing.assert_allclose(gap.value, expected, atol=1e-12)
    np.testing.assert_allclose(gap.other, overall)


@pytest.mark.parametrize("comparison", ["difference", "ratio"])
@pytest.mark.parametrize("share", [0.1, 0.6])
def test_the_interval_against_the_overall_covers(comparison: Any, share: float) -> None:
    random = np.random.default_rng(13)
    own, rest = int(300 * share), int(300 * (1 - share))
    one = rates_of(random.binomial(own, 0.3, 4000), np.full(4000, own))
    two = rates_of(random.binomial(rest, 0.5, 4000), np.full(4000, rest))
    (gap,) = compare(one, two, GapRequest(comparison, 0.95, 0.95, 20, overall=True))
    overall = (own * 0.3 + rest * 0.5) / (own + rest)
    truth = 0.3 - overall if comparison == "difference" else np.log(0.3 / overall)
    covered = np.mean((gap.low <= truth) & (truth <= gap.high))
    # Taken as if the two were independent, it would cover too much.
    assert LEAST <= covered <= 0.97


@pytest.mark.parametrize("true_rates", [(0.5, 0.5, 0.5, 0.5, 0.5), (0.3, 0.4, 0.5, 0.6, 0.62)])
def test_the_choice_of_the_best_group_is_accounted_for(true_rates: tuple[float, ...]) -> None:
    random = np.random.default_rng(14)
    rates = np.array(true_rates)
    to_best = np.array([rates[g] - np.delete(rates, g).max() for g in range(len(rates))])
    missed = np.zeros(2)
    naive = 0
    trials = 400
    for hits in random.binomial(80, rates, (trials, len(rates))):
        groups = rates_of(hits, np.full(5, 80))
        found = compare_with_reference([groups], 1, "best", GapOptions(0.95, 20, "difference"))
        missed += [np.sum(found.gap.low > to_best), np.sum(found.gap.high < to_best)]
        best = rates_of(np.full(5, hits.max()), np.full(5, 80))
        (plain,) = compare(groups, best, GapRequest("difference", 0.95, 0.95, 20))
        naive += np.sum((plain.high < to_best)[hits < hits.max()])
    assert (missed / (trials * 5) <= 0.03).all()
    if len(set(true_rates)) == 1:
        # What happens to those who forget that the best was chosen from the same data.
        assert naive / (trials * 5) > 0.06


@pytest.mark.parametrize("gaps", [(0.0, 0.0), (0.15, 0.0), (0.15, -0.15)])
def test_the_larger_of_two_gaps_has_an_interval_that_covers(gaps: tuple[float, float]) -> None:
    random = np.random.default_rng(15)
    trials, true_rates = 300, np.array([[0.6, 0.3], [0.6 + gaps[0], 0.3 + gaps[1]]])
    truth = max(map(abs, gaps))
    missed = 0
    for hits in random.binomial(100, true_rates, (trials, 2, 2)):
        parts = [rates_of(hits[:, part], [100, 100]) for part in range(2)]
        gap = compare_with_reference(parts, 0, 0, GapOptions(0.95, 20, "difference")).gap
        missed += (gap.low[0] > truth) | (gap.high[0] < truth)
    assert missed / trials <= 1 - LEAST


def means_of(values: Any) -> MeanSummary:
    """Build groups compared by a mean, from values of shape (groups, strata, cases)."""
    sums = np.stack([(values**power).sum(axis=2) for power in (1, 2, 3)], axis=-1)
    cases = np.full(values.shape[:2], float(values.shape[2]))
    return MeanSummary(cases.sum(axis=1), cases, "cases", sums, (-np.inf, np.inf))


@pytest.mark.parametrize(("strata", "cases"), [(1, 25), (10, 3), (30, 1)])
def test_the_interval_of_a_difference_of_means_covers(strata: int, cases: int) -> None:
    random = np.random.default_rng(16)
    level = np.linspace(-2, 2, strata)[:, None]
    one = means_of(random.gamma(4, 0.5, (3000, strata, cases)) + level)
    two = means_of(random.normal(1.5, 1.5, (3000, strata, 2 * cases)) + level)
    (gap,) = compare(one, two, GapRequest("difference", 0.95, 0.95, 20))
    if cases == 1:
        # Single cases in every stratum: their spread cannot be told from that of the strata.
        assert (gap.too_few != "").all()
    else:
        assert np.mean((gap.low <= 0.5) & (gap.high >= 0.5)) >= LEAST


def test_one_stratum_of_normal_values_has_nearly_welchs_interval() -> None:
    random = np.random.default_rng(17)
    values = random.normal(size=(2, 1, 400))
    (gap,) = compare(
        means_of(values[:1]), means_of(values[1:]), GapRequest("difference", 0.95, 0.95, 20)
    )
    welch = stats.ttest_ind(values[0, 0], values[1, 0], equal_var=False).confidence_interval(0.95)
    assert (gap.low[0], gap.high[0]) == pytest.approx((welch.low, welch.high), abs=2e-3)
