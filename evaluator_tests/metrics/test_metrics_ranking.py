"""The area and its variance, however rows are parted and scores are tied."""

from itertools import permutations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings, strategies as st

from evaluator.metrics import _ranking as ranking
from evaluator.metrics._estimates import LinearisedEstimate
from evaluator.metrics._levels import cut_slices
from evaluator.metrics._linear import SurveyDesign


def placements(score: np.ndarray, label: np.ndarray) -> tuple[float, float]:
    """Compute the area and DeLong's variance from all pairs, as they are defined."""
    above = score[label][:, None] - score[~label][None, :]
    wins = np.where(above > 0, 1.0, np.where(above == 0, 0.5, 0.0))
    of_positives, of_negatives = wins.mean(axis=1), wins.mean(axis=0)
    variance = of_positives.var(ddof=1) / len(of_positives)
    variance += of_negatives.var(ddof=1) / len(of_negatives)
    return float(wins.mean()), float(variance)


@settings(max_examples=60)
@given(
    st.integers(0, 2**32 - 1),
    st.sampled_from([1, 5, 64, 1 << 16]),
    st.sampled_from([1, 3, 20, 10**6]),
)
def test_the_area_and_its_variance_are_those_of_all_pairs(
    seed: int, block: int, different: int
) -> None:
    random = np.random.default_rng(seed)
    rows = int(random.integers(1, 300))
    frame = pd.DataFrame({"region": random.integers(0, 3, rows)})
    score = random.integers(0, different, rows) / different
    label = random.random(rows) < random.random()
    slicing = cut_slices(frame, ["region"], {"region": range(4)})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ranking, "_BLOCK", block)
        ranked = ranking.RankedRows(score, label, slicing)
        found = [ranking.roc_auc(ranked, level) for level in slicing.levels]
    whole, of_regions = found
    chosen = [np.ones(rows, dtype=bool), *(frame["region"].to_numpy() == r for r in range(4))]
    values = [*whole[0], *of_regions[0]]
    variances = [*whole[1], *of_regions[1]]
    for where, value, variance in zip(chosen, values, variances, strict=True):
        positives, negatives = label[where].sum(), (~label[where]).sum()
        if min(positives, negatives) < 2:
            assert np.isnan(variance)
            assert np.isnan(value) == (positives * negatives == 0)
            continue
        wanted_value, wanted_variance = placements(score[where], label[where])
        assert value == pytest.approx(wanted_value, abs=1e-12)
        assert variance == pytest.approx(wanted_variance, abs=1e-12)


@settings(max_examples=40, derandomize=True)
@given(
    seed=st.integers(0, 2**32 - 1),
    block=st.sampled_from([1, 64, 1 << 16]),
    different=st.sampled_from([1, 3, 10**6]),
    weighted=st.booleans(),
)
def test_areas_of_all_classes_are_the_mean_of_those_of_each_class_and_of_each_pair(
    seed: int, block: int, different: int, *, weighted: bool
) -> None:
    random = np.random.default_rng(seed)
    rows = int(random.integers(30, 200))
    slicing = cut_slices(pd.DataFrame({"region": random.integers(0, 2, rows)}), ["region"], None)
    scores = random.integers(0, different, (rows, 3)) / different
    label = random.choice(3, rows, p=[0.5, 0.3, 0.2])
    weight = random.integers(1, 4, rows).astype(float) if weighted else None
    design = SurveyDesign(slicing.levels[1], slicing.cell, weight)
    singles = [ranking.weighted_roc_auc(design, scores[:, c], label == c) for c in range(3)]
    pairs = []
    for one, other in permutations(range(3), 2):
        both = np.isin(label, [one, other])
        own = SurveyDesign(slicing.levels[1], slicing.cell[both], design.weight[both])
        area = ranking.weighted_roc_auc(own, scores[both, one], label[both] == one)
        influence = np.zeros(rows)
        influence[both] = area.influence
        pairs.append(LinearisedEstimate(area.value, influence))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ranking, "_BLOCK", block)
        found = [
            ranking.areas_of_classes(design, scores, label, pairs=pairs) for pairs in (False, True)
        ]
    for mean, parts in zip(found, (singles, pairs), strict=True):
        value = np.mean([part.value for part in parts], axis=0)
        influence = np.mean([part.influence for part in parts], axis=0)
        known = ~np.isnan(value)
        np.testing.assert_allclose(mean.value, value, atol=1e-12)
        np.testing.assert_allclose(
            mean.influence[known[design.group]], influence[known[design.group]], atol=1e-12
        )
