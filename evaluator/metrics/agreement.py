"""Matthews' correlation between prediction and label."""

import numpy as np

from evaluator.metrics.estimates import FloatArray

FEWEST_CASES = 30
_DRAWS = 2000


def matthews(
    true_negatives: FloatArray,
    false_positives: FloatArray,
    false_negatives: FloatArray,
    true_positives: FloatArray,
) -> FloatArray:
    """Give the correlation, NaN where prediction or label has only one value.

    (TP TN - FP FN) / sqrt((TP + FP) (TP + FN) (TN + FP) (TN + FN)).
    Source: B. W. Matthews, Biochimica et Biophysica Acta 405 (1975) 442.
    """
    # Shares, so that the product of four sums stays far from overflowing.
    n = true_negatives + false_positives + false_negatives + true_positives
    n = np.maximum(n, np.finfo(float).tiny)
    tn, fp, fn, tp = (
        count / n for count in (true_negatives, false_positives, false_negatives, true_positives)
    )
    spread = np.sqrt(tp + fp) * np.sqrt(tp + fn) * np.sqrt(tn + fp) * np.sqrt(tn + fn)
    result = np.full(np.shape(spread), np.nan)
    np.divide(tp * tn - fp * fn, spread, out=result, where=spread > 0)
    # Rounding may lead beyond the bounds.
    bounded: FloatArray = np.clip(result, -1, 1)
    return bounded


def matthews_interval(counts: FloatArray, confidence: float) -> tuple[FloatArray, FloatArray]:
    """Give the interval of Matthews' correlation by draws of the four shares.

    The shares are drawn from their Dirichlet distribution given the counts and Jeffreys' prior
    (half a case in each): a Bayesian bootstrap over the counts, so that its cost does not
    depend on the number of rows. Each draw's seed is the counts themselves: equal counts have
    equal intervals, whatever else is measured with them. A multinomial bootstrap covers 0.64
    where this covers 0.92 (20 cases, both rates 0.95).

    Parameters
    ----------
    counts
        True negatives, false positives, false negatives and true positives, shape (groups, 4).
    confidence
        Nominal coverage.

    Source: N. Tötsch, D. Hoffmann, PeerJ Computer Science 7 (2021) e398.
    """
    limits = np.full((len(counts), 2), np.nan)
    probabilities = [(1 - confidence) / 2, (1 + confidence) / 2]
    unique, back = np.unique(counts, axis=0, return_inverse=True)
    drawn = np.empty((len(unique), 2))
    for position, four in enumerate(unique):
        generator = np.random.default_rng(four.astype(np.uint64))
        shares = generator.standard_gamma(four + 0.5, size=(_DRAWS, 4))
        drawn[position] = np.quantile(matthews(*shares.T), probabilities)
    if len(unique):
        limits = drawn[back.ravel()]
    return limits[:, 0], limits[:, 1]
