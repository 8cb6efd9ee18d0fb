"""The search finds what counting every slice finds."""

from dataclasses import dataclass
from itertools import combinations, product

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from scipy import stats

from evaluator.metrics._estimates import FloatArray
from evaluator.metrics._weak_slices._conditions import CodeArray
from evaluator.metrics._weak_slices._search import (
    MAX_UNITS,
    MIN_EVIDENCE,
    Explanation,
    Losses,
    Representative,
    Shortlist,
    overlap_groups,
    representatives,
    search,
    slice_members,
)

Slice = tuple[tuple[int, int], ...]


def worse(
    losses: FloatArray, inside: np.ndarray, within: np.ndarray, weights: FloatArray | None = None
) -> float:
    """Compute the evidence from its definition."""
    weight = np.ones(len(losses)) if weights is None else weights * weights.sum()
    weight = weight / (1 if weights is None else (weights**2).sum())
    n, every = weight[inside].sum(), weight[within].sum()
    mean = np.average(losses[within], weights=weight[within])
    variance = np.average((losses[within] - mean) ** 2, weights=weight[within])
    if variance < 1e-12 or inside.sum() == within.sum():
        return 0.0
    away = (weight[inside] * (losses[inside] - mean)).sum()
    return float(away / np.sqrt(n * variance * (1 - n / every)))


def left_by_clusters(
    losses: FloatArray, inside: np.ndarray, weights: FloatArray | None, cluster: np.ndarray
) -> float:
    """Compute what clusters leave of a slice's evidence against all other cases."""
    weight = np.ones(len(losses)) if weights is None else weights
    kish = weight.sum() / (weight**2).sum()
    influence = np.zeros(len(losses))
    independent, counted = 0.0, []
    for sign, side in ((1, inside), (-1, ~inside)):
        of = weight[side]
        away = losses[side] - np.average(losses[side], weights=of)
        influence[side] = sign * of * away / of.sum()
        independent += np.average(away**2, weights=of) / (of.sum() * kish)
        counted.append(len(np.unique(cluster[side])))
    numbers = np.unique(cluster)
    found = sum(influence[cluster == number].sum() ** 2 for number in numbers)
    effect = found * len(numbers) / (len(numbers) - 1) / independent
    student = worse(losses, inside, np.ones(len(losses), dtype=bool), weights) / np.sqrt(effect)
    return float(stats.norm.isf(stats.t.sf(student, min(counted) - 1)))


@dataclass(frozen=True)
class Drawn:
    codes: list[CodeArray]
    sizes: list[int]
    losses: FloatArray
    weights: FloatArray | None = None
    cluster: np.ndarray | None = None

    def every_lead(self, conditions: int, fewest: int) -> dict[Slice, float]:
        """Look at each slice on its own."""
        codes, losses = self.codes, self.losses
        all_cases = np.ones(len(losses), dtype=bool)
        leads = {}
        for level in range(1, conditions + 1):
            for features in combinations(range(len(codes)), level):
                for chosen in product(*(range(self.sizes[feature]) for feature in features)):
                    one = tuple(zip(features, chosen, strict=True))
                    inside = slice_members(one, codes)
                    n = inside.sum()
                    if n < fewest or len(losses) - n < fewest:
                        continue
                    parents = [slice_members(p, codes) for p in combinations(one, level - 1) if p]
                    if any(parent.sum() == n for parent in parents):
                        continue
                    least = min(
                        worse(losses, inside, p, self.weights) for p in [all_cases, *parents]
                    )
                    if least >= MIN_EVIDENCE and self.cluster is not None:
                        left = left_by_clusters(losses, inside, self.weights, self.cluster)
                        least = min(least, left)
                    if least >= MIN_EVIDENCE:
                        leads[one] = least
        return leads

    def searched(self, conditions: int, keep: int) -> Shortlist:
        losses = Losses(self.losses, self.weights, self.cluster)
        return search(self.codes, self.sizes, losses, conditions=conditions, fewest=5, keep=keep)


def drawn(seed: int, kind: str) -> Drawn:
    random = np.random.default_rng(seed)
    rows = int(random.integers(30, 400))
    sizes = random.integers(1, 5, int(random.integers(1, 6))).tolist()
    codes = [random.integers(0, size, rows).astype(np.int16) for size in sizes]
    if len(codes) > 1 and random.random() < 0.3:
        # A feature that another one implies.
        codes[-1], sizes[-1] = codes[0].copy(), sizes[0]
    # The cross of the first features is bad, of up to three.
    bad = np.logical_and.reduce([code == 0 for code in codes[:3]])
    rate = np.where(bad, 0.8, np.where(codes[-1] == 0, 0.3, 0.15))
    cluster = None
    if "clusters" in kind:
        cluster = random.integers(0, 30, rows)
        rate = np.clip(rate + random.normal(size=30)[cluster] / 10, 0, 1)
    if "numbers" in kind:
        losses = random.normal(size=rows) + 3 * rate
    else:
        losses = (random.random(rows) < rate).astype(float)
    weights = random.lognormal(size=rows) if "weights" in kind else None
    if weights is not None and cluster is None:
        # As many units as are kept, so that each case is one.
        rows = min(rows, MAX_UNITS)
        codes, losses, weights = [c[:rows] for c in codes], losses[:rows], weights[:rows]
        cluster = np.arange(rows)
    return Drawn(codes, sizes, losses, weights, cluster)


@given(
    seed=st.integers(0, 10**6),
    kind=st.sampled_from(
        ["errors", "numbers", "errors in clusters", "numbers with weights", "weights in clusters"]
    ),
    conditions=st.integers(1, 3),
)
@settings(max_examples=200)
def test_pruning_loses_no_slice_that_qualifies(seed: int, kind: str, conditions: int) -> None:
    cases = drawn(seed, kind)
    if not Losses(cases.losses).vary:
        return
    expected = cases.every_lead(conditions, 5)
    leads = cases.searched(conditions, keep=10_000)
    found = dict(zip(leads.slices, leads.evidence, strict=True))
    # Evidence that rounding carries over the threshold may be on either side of it.
    for one in expected.keys() ^ found.keys():
        assert {**expected, **found}[one] == pytest.approx(MIN_EVIDENCE)
    for one in expected.keys() & found.keys():
        assert found[one] == pytest.approx(expected[one])
    assert leads.evidence.tolist() == sorted(leads.evidence, reverse=True)


def test_the_drawn_cases_have_leads_of_every_level() -> None:
    # Without them the comparison with the look at each slice would say nothing.
    levels = np.zeros(4)
    for seed in range(100):
        leads = drawn(seed, "errors").searched(3, keep=10_000)
        for one in leads.slices:
            levels[len(one)] += 1
    assert (levels[1:] >= 10).all()


@given(seed=st.integers(0, 10**6), keep=st.integers(1, 6))
@settings(max_examples=40)
def test_the_few_that_are_kept_are_the_best_of_all(seed: int, keep: int) -> None:
    cases = drawn(seed, "numbers")
    every = cases.searched(3, keep=10_000)
    best = cases.searched(3, keep=keep)
    assert best.slices == every.slices[:keep]
    # Knowing better ones early spares the look at others.
    assert best.evaluated <= every.evaluated


def test_no_part_of_a_slice_has_more_evidence_than_the_bound() -> None:
    all_cases = np.ones(16, dtype=bool)
    for seed in range(6):
        random = np.random.default_rng(seed)
        for losses in (random.normal(size=16), (random.random(16) < 0.4).astype(float)):
            summed = Losses(losses)
            for most in (5, 9):
                sums = summed.sums((np.arange(16) >= most).astype(np.intp), 2)
                (bound, _) = summed.bound(sums.n, sums.above, 3)
                evidence = [
                    worse(losses, np.isin(np.arange(16), part), all_cases)
                    for size in range(3, most + 1)
                    for part in combinations(range(most), size)
                ]
                assert max(evidence) <= bound
    # A slice without errors has no bad part.
    assert summed.bound(np.array([7.0]), np.array([0.0]), 3)[0] == 0


def test_bounds_rule_out_most_crosses_where_errors_are_few() -> None:
    random = np.random.default_rng(2)
    rows = 20_000
    codes = [random.integers(0, 6, rows).astype(np.int16) for _ in range(8)]
    bad = (codes[0] == 1) & (codes[1] == 2)
    losses = (random.random(rows) < np.where(bad, 0.5, 0.001)).astype(float)
    leads = search(codes, [6] * 8, Losses(losses), conditions=3, fewest=20, keep=1)
    assert leads.slices == [((0, 1), (1, 2))]
    assert leads.possible == 8 * 6 + 28 * 36 + 56 * 216
    assert leads.evaluated < leads.possible / 5


def test_a_slice_is_explained_by_its_bad_part_but_a_worse_part_not_by_its_whole() -> None:
    by_part = by_whole = 0
    for seed in range(100):
        random = np.random.default_rng(seed)
        first, second = random.random(4000) < 0.3, random.random(4000) < 0.3
        rate = np.where(first & second, 0.5, 0.1)
        losses = Losses((random.random(4000) < rate).astype(float))
        by_part += Explanation(first & second, losses).explains(np.flatnonzero(first))
        by_whole += Explanation(first, losses).explains(np.flatnonzero(first & second))
    # Two standard deviations are exceeded by chance in one of 44.
    assert by_part >= 94
    assert by_whole == 0


def test_conditions_that_lie_in_each_other_are_evaluated_alone() -> None:
    random = np.random.default_rng(6)
    kind = random.integers(0, 3, 5000).astype(np.int16)
    place = random.random(5000)
    # The widest tail has a tenth of the cases, the narrowest one in a hundred.
    tail = -sum((place < end).astype(np.int16) for end in (0.01, 0.05, 0.1))
    losses = (random.random(5000) < np.where(place < 0.05, 0.5, 0.1)).astype(float)
    every = np.ones(5000, dtype=bool)
    leads = search(
        [kind, tail], [3, 3], Losses(losses), conditions=2, fewest=20, keep=50, crossed=1
    )
    found = dict(zip(leads.slices, leads.evidence, strict=True))
    for code, end in ((-1, 0.1), (-2, 0.05), (-3, 0.01)):
        assert (slice_members(((1, code),), [kind, tail]) == (place < end)).all()
        assert found[(1, code),] == pytest.approx(worse(losses, place < end, every))
    assert leads.slices[0] == ((1, -2),)
    # Three kinds and three tails, and no cross of them.
    assert leads.possible == 6


def test_what_varies_from_day_to_day_is_explained_although_its_cases_are_many() -> None:
    random = np.random.default_rng(7)
    explained = {True: 0, False: 0}
    for _ in range(100):
        day = np.sort(random.integers(0, 40, 4000))
        first, second = (random.random(4000) < 0.3 for _ in range(2))
        # On each day the second slice is better or worse by chance.
        rate = np.clip(0.3 + 0.15 * first + random.normal(0, 0.2, 40)[day] * second, 0, 1)
        losses = (random.random(4000) < rate).astype(float)
        for known in explained:
            summed = Losses(losses, None, day if known else None)
            explained[known] += Explanation(first, summed).explains(np.flatnonzero(second))
    # Two standard deviations are exceeded by chance in one of 44.
    assert explained[True] >= 92
    assert explained[False] < 85


def test_the_simplest_of_nearly_equal_descriptions_is_the_head() -> None:
    random = np.random.default_rng(4)
    codes = [random.integers(0, 2, 2000).astype(np.int16) for _ in range(2)]
    both = (codes[0] == 1) & (codes[1] == 1)
    codes.append((both & (random.random(2000) < 0.9)).astype(np.int16))
    losses = Losses((random.random(2000) < np.where(both, 0.5, 0.1)).astype(float))
    cross, simple = ((0, 1), (1, 1)), ((2, 1),)
    leads = Shortlist([cross, simple], np.array([9.0, 8.0]), possible=2, evaluated=2)
    assert representatives(leads, codes, losses, most=5) == [Representative(simple, (cross,))]


def test_slices_that_overlap_by_half_the_smaller_one_are_one_group() -> None:
    places = np.arange(100)
    slices = [
        places < 40,
        (places >= 20) & (places < 60),
        places >= 60,
        (places >= 31) & (places < 51),
    ]
    # The last one overlaps the first by less than half.
    assert overlap_groups(slices) == [1, 1, 2, 3]
