"""Adjusted p-values."""

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from statsmodels.stats.multitest import multipletests

from evaluator.metrics import MetricsInputError, holm
from evaluator.metrics._estimates import FloatArray
from evaluator.metrics._multiplicity import benjamini_hochberg

P_VALUES = st.lists(st.floats(0, 1), min_size=1, max_size=30)


def holm_by_definition(p: FloatArray) -> FloatArray:
    """Each is the largest of those up to it, times the number of those from there on, at most 1.

    statsmodels' own collects garbage at each call, which takes most of a second in a large process.
    """
    return np.array([min(1.0, max((p >= q).sum() * q for q in p[p <= one])) for one in p])


@settings(max_examples=200)
@given(P_VALUES)
def test_both_adjustments_are_those_of_their_definitions(values: list[float]) -> None:
    p = np.array(values)
    np.testing.assert_allclose(holm(p), holm_by_definition(p), rtol=1e-12, atol=1e-300)
    np.testing.assert_allclose(
        benjamini_hochberg(p), multipletests(p, method="fdr_bh")[1], rtol=1e-12, atol=1e-300
    )


def test_the_example_of_benjamini_and_hochberg_has_four_findings() -> None:
    # Their paper's 15 p-values: at 0.05 their procedure rejects four, Holm's three.
    p = np.array(
        [
            0.0001,
            0.0004,
            0.0019,
            0.0095,
            0.0201,
            0.0278,
            0.0298,
            0.0344,
            0.0459,
            0.3240,
            0.4262,
            0.5719,
            0.6528,
            0.7590,
            1.0,
        ]
    )
    assert (benjamini_hochberg(p) <= 0.05).sum() == 4
    assert (holm(p) <= 0.05).sum() == 3


def test_a_missing_p_value_stays_missing_and_is_not_counted() -> None:
    p = np.array([[0.01, np.nan], [0.04, 0.03]])
    for adjusted in (holm, benjamini_hochberg):
        found = adjusted(p)
        assert np.isnan(found[0, 1])
        assert np.isnan(found).sum() == 1
        np.testing.assert_array_equal(
            found[~np.isnan(found)], adjusted(np.array([0.01, 0.04, 0.03]))
        )


def test_the_smallest_p_value_of_a_group_never_gets_the_rank_of_a_larger_one() -> None:
    p = np.array([0.5, 0.001, 0.2, 0.04])
    np.testing.assert_allclose(holm(p), [0.5, 0.004, 0.4, 0.12])
    np.testing.assert_allclose(benjamini_hochberg(p), [0.5, 0.004, 0.2 * 4 / 3, 0.08])


def test_no_p_values_are_adjusted_to_none() -> None:
    for adjusted in (holm, benjamini_hochberg):
        assert adjusted(np.array([])).shape == (0,)
        assert np.isnan(adjusted(np.array([np.nan]))).all()


@pytest.mark.parametrize("wrong", [-0.1, 1.5, np.inf])
def test_what_is_no_probability_is_refused(wrong: float) -> None:
    with pytest.raises(MetricsInputError, match="outside"):
        holm(np.array([0.5, wrong]))
