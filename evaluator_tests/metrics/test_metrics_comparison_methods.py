"""The tests and intervals of single differences, against closed forms, tables and other tools."""

from itertools import product
from math import comb
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings, strategies as st
from scipy import special, stats
from sklearn.metrics import average_precision_score
from statsmodels.stats.contingency_tables import mcnemar as statsmodels_mcnemar

from evaluator.metrics import METRICS, _ranking as ranking
from evaluator.metrics._binary import BINARY, BinaryCounted, matthews_correlation, paired_form
from evaluator.metrics._comparison._binary import _reach_of_precision, counted_difference
from evaluator.metrics._comparison._differences import (
    Discordance,
    DiscordantCounts,
    FewDiscordant,
    PairedRateDifference,
    StudentisedDifference,
    fewest_discordant,
    mcnemar,
    mean_difference,
    tango,
    tango_interval,
)
from evaluator.metrics._comparison._roc_auc import roc_auc_difference
from evaluator.metrics._estimates import Estimate, FloatArray
from evaluator.metrics._levels import cut_slices
from evaluator.metrics._means import Moments
from evaluator.metrics._ranking import CellLayout, Placements


def numbers(*values: float) -> FloatArray:
    return np.array(values, dtype=float)


# McNemar and Tango


@settings(max_examples=60)
@given(st.integers(0, 60), st.integers(0, 60))
def test_mcnemar_is_the_exact_test_of_statsmodels(more: int, fewer: int) -> None:
    expected = statsmodels_mcnemar([[0, more], [fewer, 0]], exact=True).pvalue
    assert mcnemar(numbers(more), numbers(fewer))[0] == pytest.approx(expected, rel=1e-10)


def test_mcnemar_agrees_with_scipy_on_hundreds_of_thousands_of_cases() -> None:
    expected = stats.binomtest(100_000, 201_000, 0.5).pvalue
    assert mcnemar(numbers(100_000), numbers(101_000))[0] == pytest.approx(expected, rel=1e-9)


def test_mcnemar_is_a_sum_over_all_outcomes() -> None:
    for more, fewer in product(range(8), repeat=2):
        d, least = more + fewer, min(more, fewer)
        tail = sum(comb(d, k) for k in range(least + 1)) / 2**d
        assert mcnemar(numbers(more), numbers(fewer))[0] == pytest.approx(min(1, 2 * tail))


def test_with_fewer_discordant_cases_no_outcome_reaches_the_level() -> None:
    for error in (0.1, 0.05, 0.01, 0.001):
        least = fewest_discordant(error)
        assert mcnemar(numbers(least), numbers(0))[0] <= error
        assert mcnemar(numbers(least - 1), numbers(0))[0] > error


@pytest.mark.parametrize(
    ("counts", "confidence", "limits", "rounded"),
    [
        # Airway hyper-responsiveness (Bentur et al. 2009) and complete response (Cavo et al. 2012),
        # as in Fagerland, Lydersen, Laake, Statistical Analysis of Contingency Tables, chapter 8.
        ((1, 7, 21), 0.95, (-0.517, -0.026), 5e-4),
        ((6, 16, 161), 0.95, (-0.1240, -0.0054), 5e-5),
        # The R package PropCIs, scoreci.mp(25, 28, 618).
        ((28, 25, 618), 0.90, (-0.0148, 0.0247), 5e-5),
    ],
)
def test_tango_gives_the_published_intervals(
    counts: tuple[int, int, int], confidence: float, limits: tuple[float, float], rounded: float
) -> None:
    quantile = numbers(float(special.ndtri((1 + confidence) / 2)))
    more, fewer, n = (numbers(count) for count in counts)
    low, high = tango_interval(more, fewer, n, quantile)
    assert (low[0], high[0]) == pytest.approx(limits, abs=rounded)


def test_tangos_statistic_is_the_score_test_by_maximum_likelihood() -> None:
    # The constrained maximum is searched here numerically, over a fine grid.
    more, fewer, n, difference = 9.0, 4.0, 50.0, 0.02
    q = np.linspace(1e-6, (1 - difference) / 2 - 1e-6, 2_000_001)
    likelihood = (
        more * np.log(q + difference)
        + fewer * np.log(q)
        + (n - more - fewer) * np.log1p(-2 * q - difference)
    )
    best = q[likelihood.argmax()]
    variance = n * (2 * best + difference * (1 - difference))
    expected = (more - fewer - n * difference) / np.sqrt(variance)
    found = tango(numbers(more), numbers(fewer), numbers(n), numbers(difference))[0]
    assert found == pytest.approx(expected, abs=1e-5)


@settings(max_examples=100)
@given(
    st.integers(1, 300),
    st.floats(0, 1),
    st.floats(0, 1),
    st.sampled_from([0.1, 0.05, 0.01, 1e-4, 1e-7]),
)
def test_an_interval_of_rates_excludes_zero_exactly_where_mcnemar_does(
    n: int, share: float, part: float, error: float
) -> None:
    more = round(n * share)
    fewer = round((n - more) * part)
    rates = PairedRateDifference(numbers(more), numbers(fewer), numbers(n))
    low, high = rates.interval(numbers(error))
    assert low[0] - 1e-12 <= (more - fewer) / n <= high[0] + 1e-12
    assert (low[0] > 0 or high[0] < 0) == (rates.two_sided()[0] <= error)


def test_tango_covers_nominally_by_exact_enumeration() -> None:
    # All outcomes of 25 cases with their exact probabilities.
    n = 25
    outcomes = np.array([(b, c) for b in range(n + 1) for c in range(n + 1 - b)], dtype=float)
    rates = PairedRateDifference(outcomes[:, 0], outcomes[:, 1], np.full(len(outcomes), float(n)))
    low, high = rates.interval(np.full(len(outcomes), 0.05))
    for only_one, only_other in ((0.1, 0.1), (0.3, 0.1), (0.05, 0.02), (0.4, 0.4)):
        shares = [only_one, only_other, 1 - only_one - only_other]
        third = n - outcomes.sum(axis=1)
        weights = stats.multinomial.pmf(np.column_stack([outcomes, third]), n, shares)
        truth = only_one - only_other
        assert weights[(low <= truth) & (truth <= high)].sum() > 0.94


def test_the_exact_test_never_errs_more_often_than_nominal() -> None:
    n = 40
    outcomes = np.array([(b, c) for b in range(n + 1) for c in range(n + 1 - b)], dtype=float)
    p = mcnemar(outcomes[:, 0], outcomes[:, 1])
    for rate in (0.05, 0.2, 0.45):
        third = n - outcomes.sum(axis=1)
        shares = [rate, rate, 1 - 2 * rate]
        weights = stats.multinomial.pmf(np.column_stack([outcomes, third]), n, shares)
        for error in (0.1, 0.05, 0.01):
            assert weights[p <= error].sum() <= error


# Metrics of the joint counts


def counted(metric: str) -> BinaryCounted:
    form = paired_form(metric)
    assert isinstance(form, BinaryCounted)
    return form


@pytest.mark.parametrize(
    "metric",
    [
        name
        for name, info in METRICS.items()
        if (info.rate or (name in BINARY and isinstance(BINARY[name].paired, BinaryCounted)))
        and info.no_paired_test is None
        and "binary_classification" in info.tasks
    ],
)
def test_slopes_are_the_derivatives_of_the_metric(metric: str) -> None:
    four = np.array([[0.5, 0.1, 0.15, 0.25], [0.2, 0.3, 0.1, 0.4]])
    value_and_slopes = counted(metric).value_and_slopes
    value, slopes = value_and_slopes(four)
    step = 1e-6
    for cell in range(4):
        moved = four.copy()
        moved[:, cell] += step
        # Every metric is the same for shares and for counts, so that their sum does not matter.
        assert value_and_slopes(moved / moved.sum(axis=1, keepdims=True))[0] == (
            pytest.approx(value + step * slopes[:, cell], abs=1e-9)
        )


@pytest.mark.parametrize(
    "metric",
    [
        *("precision", "false_discovery_rate", "f1", "balanced_accuracy"),
        *("matthews_correlation", "cohen_kappa"),
    ],
)
def test_the_standard_error_is_that_of_a_bootstrap_of_the_joint_counts(metric: str) -> None:
    counts = np.array([[420.0, 60, 40, 30, 25, 35, 70, 320]])
    found = counted_difference(counted(metric), counts, ("new", "old"), 0.05)
    assert isinstance(found.distribution, StudentisedDifference)
    draws = np.random.default_rng(11).multinomial(1000, counts[0] / 1000, size=40_000) * 1.0
    tn, fp, fn, tp = (
        (draws[:, 0] + draws[:, 1], draws[:, 0] + draws[:, 2]),
        (draws[:, 2] + draws[:, 3], draws[:, 1] + draws[:, 3]),
        (draws[:, 4] + draws[:, 5], draws[:, 4] + draws[:, 6]),
        (draws[:, 6] + draws[:, 7], draws[:, 5] + draws[:, 7]),
    )

    def of(one: int) -> Any:
        a, b, c, d = tn[one], fp[one], fn[one], tp[one]
        return {
            "precision": d / (d + b),
            "false_discovery_rate": b / (d + b),
            "f1": 2 * d / (2 * d + b + c),
            "balanced_accuracy": (d / (d + c) + a / (a + b)) / 2,
            "matthews_correlation": matthews_correlation(np.stack([a, b, c, d], axis=-1)),
            "cohen_kappa": 1 - 1000 * (b + c) / ((c + d) * (a + c) + (a + b) * (b + d)),
        }[metric]

    assert found.distribution.error[0] == pytest.approx((of(0) - of(1)).std(), rel=0.02)
    assert found.distribution.two_sided()[0] == pytest.approx(
        2 * stats.norm.sf(abs(found.distribution.value[0]) / (of(0) - of(1)).std()), abs=0.02
    )


def test_precision_errs_nominally_where_the_candidates_select_differently() -> None:
    # Both have a precision of 2/3, but the candidate selects twice as many cases.
    draws = np.random.default_rng(5)
    n, trials = 80, 4000
    label = draws.random((trials, n)) < 0.3
    common = draws.random((trials, n))
    candidate = np.where(label, common < 0.8, common < 0.8 * 0.3 / 0.7 / 2)
    other = np.where(draws.random((trials, n)) < 0.6, common, draws.random((trials, n)))
    baseline = np.where(label, other < 0.4, other < 0.4 * 0.3 / 0.7 / 2)
    code = 4 * label + 2 * candidate + baseline
    counts = np.stack([(code == cell).sum(axis=1) for cell in range(8)], axis=-1).astype(float)
    found = counted_difference(counted("precision"), counts, ("new", "old"), 0.05)
    tested = found.estimate.status == "ok"
    assert tested.mean() > 0.95
    p = found.distribution.two_sided()[tested]
    assert 0.03 < (p <= 0.05).mean() < 0.065
    assert (p <= 0.005).mean() < 0.01
    low, high = found.distribution.interval(np.full(len(counts), 0.05))
    np.testing.assert_array_equal((low > 0) | (high < 0), found.distribution.two_sided() <= 0.05)


@pytest.mark.parametrize(("found", "units"), [(0, 12), (0, 4000), (3, 60), (5, 30)])
def test_few_discordant_units_leave_what_the_exact_limit_of_their_share_does(
    found: int, units: int
) -> None:
    few = FewDiscordant.of_units(numbers(found), numbers(units), 0.5)
    share = stats.binomtest(found, units).proportion_ci(0.95, "exact").high
    low, high = few.interval(0.05)
    assert (-low[0], high[0]) == pytest.approx((share / 2, share / 2))
    # A share twice the distance would leave so few with this probability.
    assert few.beyond(0.04)[0] == pytest.approx(stats.binom.cdf(found, units, 0.08))
    assert few.beyond(high[0])[0] == pytest.approx(0.025)


def test_average_precision_moves_no_farther_than_is_reckoned_with() -> None:
    draws = np.random.default_rng(3)
    nearest = 0.0
    for positives, others, moved in product((5, 40), (20, 400), (1, 3, 5)):
        label = np.repeat([1, 0], [positives, others])
        score = np.round(draws.normal(label * draws.choice([1, 20]), 1), 3)
        for kind in (0, 1):
            # The worst negatives to the top, or the best positives to the bottom.
            of_kind = np.flatnonzero(label == kind)
            ends = np.argsort(score[of_kind] * (1 - 2 * kind))[:moved]
            other = score.copy()
            other[of_kind[ends]] = 100 * (1 - 2 * kind)
            gap = average_precision_score(label, score) - average_precision_score(label, other)
            share = numbers(moved / (positives + others))
            prevalence = numbers(positives / (positives + others))
            reach = _reach_of_precision(share, prevalence)[0] * share[0]
            assert abs(gap) <= reach
            nearest = max(nearest, abs(gap) / reach)
    assert nearest > 0.9


# Areas


def _areas(label: Any, one: Any, other: Any) -> tuple[float, float]:
    """Give DeLong's difference and its variance by comparing every pair of cases, in loops."""
    positive = [i for i, truth in enumerate(label) if truth]
    negative = [i for i, truth in enumerate(label) if not truth]

    def wins(score: Any, i: int, j: int) -> float:
        return 1.0 if score[i] > score[j] else 0.5 if score[i] == score[j] else 0.0

    areas, of_positive, of_negative = [], [], []
    for score in (one, other):
        won = [[wins(score, i, j) for j in negative] for i in positive]
        of_positive.append([sum(row) / len(negative) for row in won])
        of_negative.append([sum(column) / len(positive) for column in zip(*won, strict=True)])
        areas.append(sum(map(sum, won)) / len(positive) / len(negative))
    s10, s01 = np.cov(of_positive), np.cov(of_negative)
    contrast = np.array([1, -1])
    variance = contrast @ (s10 / len(positive) + s01 / len(negative)) @ contrast
    return areas[0] - areas[1], float(variance)


@pytest.mark.parametrize("digits", [1, 2, 12])
def test_paired_areas_are_delongs_by_a_double_loop(digits: int) -> None:
    draws = np.random.default_rng(digits)
    n = 160
    label = draws.random(n) < 0.4
    region = draws.integers(0, 3, n)
    one = np.round(draws.normal(label, 1.2), digits)
    other = np.round(one + draws.normal(0, 1, n), digits)
    slicing = cut_slices(
        pd.DataFrame({"region": region, "half": draws.integers(0, 2, n)}), ["region", "half"], None
    )
    layout = CellLayout(label, slicing)
    placements = Placements(layout, {"one": one[layout.order], "other": other[layout.order]})
    for level in slicing.levels:
        found = roc_auc_difference(
            layout, level, (placements.of_level(level, "one"), placements.of_level(level, "other"))
        )
        group = level.group_of_cell[slicing.cell]
        assert isinstance(found.distribution, StudentisedDifference)
        for number in range(level.groups):
            chosen = group == number
            value, variance = _areas(label[chosen], one[chosen], other[chosen])
            assert found.distribution.value[number] == pytest.approx(value, abs=1e-12)
            assert found.distribution.error[number] ** 2 == pytest.approx(variance, rel=1e-9)


def test_areas_of_many_rows_are_the_same_in_parts_as_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    draws = np.random.default_rng(2)
    n = 3000
    label = draws.random(n) < 0.3
    slicing = cut_slices(pd.DataFrame({"region": draws.integers(0, 4, n)}), ["region"], None)
    scores = {"tied": np.round(draws.normal(label, 2), 1), "free": draws.normal(label, 2)}

    def measured() -> list[FloatArray]:
        layout = CellLayout(label, slicing)
        placements = Placements(layout, {k: v[layout.order] for k, v in scores.items()})
        found = []
        for level in slicing.levels:
            placed = (placements.of_level(level, "tied"), placements.of_level(level, "free"))
            law = roc_auc_difference(layout, level, placed).distribution
            assert isinstance(law, StudentisedDifference)
            found += [placed[0], placed[1], law.value, law.error]
        return found

    whole = measured()
    monkeypatch.setattr(ranking, "_BLOCK", 64)
    for once, parted in zip(whole, measured(), strict=True):
        np.testing.assert_allclose(parted, once, rtol=1e-12)


# Means


def _of_differences(*gaps: FloatArray) -> Any:
    n, sums = (
        np.array([[(gap**power).sum() for power in powers] for gap in gaps])
        for powers in ((0,), (1, 2, 3))
    )
    better, worse = (np.array([float((sign * gap < 0).sum()) for gap in gaps]) for sign in (1, -1))
    flips = DiscordantCounts(better, worse)
    few = FewDiscordant.of_units(flips.discordant, n[:, 0], np.inf)
    moments = Moments.of_sums(n[:, 0], sums)
    discordance = Discordance(flips, few, np.zeros(len(gaps)))
    return mean_difference(Estimate(moments.mean.copy(), moments.n), discordance, moments)


def test_the_test_of_symmetric_differences_is_students_paired_test() -> None:
    half = np.random.default_rng(1).normal(0, 1, 40)
    gap = np.concatenate([half, -half]) + 0.3
    found = _of_differences(gap)
    expected = stats.ttest_rel(gap, np.zeros(80))
    assert found.distribution.two_sided()[0] == pytest.approx(expected.pvalue, rel=1e-6)
    low, high = found.distribution.interval(numbers(0.05))
    ours = low[0], high[0]
    assert ours == pytest.approx(tuple(expected.confidence_interval(0.95)), rel=1e-6)


def test_a_skewed_mean_errs_less_often_than_students_test() -> None:
    draws = np.random.default_rng(8).exponential(1, (20_000, 25)) - 1
    found = _of_differences(*draws)
    ours = (found.distribution.two_sided()[found.estimate.status == "ok"] <= 0.05).mean()
    students = (stats.ttest_1samp(draws, 0, axis=1).pvalue <= 0.05).mean()
    assert students > 0.075
    assert ours < 0.065


def test_the_corrected_test_and_its_interval_are_one_statement() -> None:
    gap = np.random.default_rng(4).exponential(1, 60) - 0.75
    found = _of_differences(gap)
    p = found.distribution.two_sided()
    low, high = found.distribution.interval(p)
    # At an error probability that is the p-value itself, a limit is zero.
    assert min(abs(low[0]), abs(high[0])) < 1e-9
    for bound in (-0.2, 0.1, 0.4):
        # Either is at least what Student's and the corrected test say of it.
        assert found.distribution.above(bound) + found.distribution.below(bound) >= 1


def test_what_shows_no_spread_has_no_test() -> None:
    assert "no case is scored differently" in _of_differences(np.zeros(50)).estimate.reason[0]
    assert "alike" in _of_differences(np.full(50, 0.25)).estimate.reason[0]
    carried = np.zeros(50)
    carried[0] = 5.0
    assert "one case carries" in _of_differences(carried).estimate.reason[0]
