"""Two classifiers on the same cases, as counts of label, decision and other decision.

The joint counts of a group are a multinomial sample of eight cells, and every metric of decisions
is a function of them. Cell ``4 label + 2 candidate + baseline`` counts the cases of that label and
these two decisions.
"""

from collections.abc import Mapping
from itertools import product

import numpy as np

from evaluator.metrics import binary
from evaluator.metrics.agreement import matthews
from evaluator.metrics.estimates import NO_ROWS, Estimate, FloatArray, divide, needs
from evaluator.metrics.paired import Difference, Flips, Studentised
from evaluator.metrics.paired_rates import PairedRates, fewest_discordant

FEWEST_CASES = 30
# A quarter of a case in each cell, two cases in all: A. Agresti, Y. Min, Statistics in Medicine 24
# (2005) 729 do the same for a difference of rates.
_ADDED = 0.25

_CELLS = np.array(list(product((0, 1), repeat=3)))
_LABEL, _CANDIDATE, _BASELINE = _CELLS.T
# Of each of the eight cells, the candidate's and the baseline's cell of 2 label + decision.
OF_CANDIDATE = 2 * _LABEL + _CANDIDATE
OF_BASELINE = 2 * _LABEL + _BASELINE

# By metric the weights of true negatives, false positives, false negatives and true positives in
# numerator and denominator.
RATIOS: Mapping[str, tuple[tuple[float, ...], tuple[float, ...]]] = {
    "accuracy": ((1, 0, 0, 1), (1, 1, 1, 1)),
    "recall": ((0, 0, 0, 1), (0, 0, 1, 1)),
    "specificity": ((1, 0, 0, 0), (1, 1, 0, 0)),
    "false_positive_rate": ((0, 1, 0, 0), (1, 1, 0, 0)),
    "false_negative_rate": ((0, 0, 1, 0), (0, 0, 1, 1)),
    "selection_rate": ((0, 1, 0, 1), (1, 1, 1, 1)),
    "precision": ((0, 0, 0, 1), (0, 1, 0, 1)),
    "false_discovery_rate": ((0, 1, 0, 0), (0, 1, 0, 1)),
    "f1": ((0, 0, 0, 1), (0, 0.5, 0.5, 1)),
}
# Those whose denominator is the same cases for both candidates, whatever they decide.
RATES = tuple(RATIOS)[:6]
COUNTED = (*RATIOS, "balanced_accuracy", "matthews_correlation")


def value_and_slopes(metric: str, four: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Give a metric and its slopes by the shares of the four cells of 2 label + decision.

    Parameters
    ----------
    metric
        One of `COUNTED`.
    four
        Shares of true negatives, false positives, false negatives and true positives, shape
        (groups, 4).

    Returns
    -------
    value, slopes
        Shapes (groups,) and (groups, 4); NaN where the metric is undefined.
    """
    if metric == "balanced_accuracy":
        recall, of_recall = value_and_slopes("recall", four)
        specificity, of_specificity = value_and_slopes("specificity", four)
        return (recall + specificity) / 2, (of_recall + of_specificity) / 2
    if metric == "matthews_correlation":
        return _matthews_and_slopes(four)
    hits, among = (np.array(weights, dtype=float) for weights in RATIOS[metric])
    below = four @ among
    value = divide(four @ hits, below)
    return value, divide(hits - value[:, None] * among, np.repeat(below[:, None], 4, axis=1))


def _matthews_and_slopes(four: FloatArray) -> tuple[FloatArray, FloatArray]:
    tn, fp, fn, tp = four.T
    value = matthews(tn, fp, fn, tp)
    spread = np.sqrt((tp + fp) * (tp + fn) * (tn + fp) * (tn + fn))
    one = np.ones(len(value))
    predicted, positive, negative, other = (
        divide(one, 2 * total) for total in (tp + fp, tp + fn, tn + fp, tn + fn)
    )
    slopes = (
        divide(tp, spread) - value * (negative + other),
        -divide(fn, spread) - value * (predicted + negative),
        -divide(fp, spread) - value * (positive + other),
        divide(tn, spread) - value * (predicted + positive),
    )
    return value, np.column_stack(slopes)


def undefined_reasons(metric: str, counts: FloatArray) -> list[tuple[FloatArray, str]]:
    """Give, for one candidate, the counts that must not be zero, and what to say if they are.

    Parameters
    ----------
    metric
        One of `COUNTED`.
    counts
        Cases by 2 label + decision, shape (groups, 4).
    """
    tn, fp, fn, tp = counts.T
    required = {
        "positive": (tp + fn, binary.NO_POSITIVES),
        "negative": (tn + fp, binary.NO_NEGATIVES),
        "predicted": (tp + fp, binary.NO_PREDICTED_POSITIVES),
        "other": (tn + fn, binary.NO_PREDICTED_NEGATIVES),
        "union": (tp + fp + fn, f"{binary.NO_POSITIVES} and {binary.NO_PREDICTED_POSITIVES}"),
    }
    wanted = {
        "recall": ["positive"],
        "false_negative_rate": ["positive"],
        "specificity": ["negative"],
        "false_positive_rate": ["negative"],
        "precision": ["predicted"],
        "false_discovery_rate": ["predicted"],
        "f1": ["union"],
        "balanced_accuracy": ["positive", "negative"],
        "matthews_correlation": ["positive", "negative", "predicted", "other"],
    }.get(metric, [])
    return [(tn + fp + fn + tp, NO_ROWS), *(required[one] for one in wanted)]


def mark_undefined(estimate: Estimate, metric: str, four: Mapping[str, FloatArray]) -> None:
    """Say of which candidate the metric does not exist, by its counts."""
    for name, counts in four.items():
        for there, reason in undefined_reasons(metric, counts):
            own = reason if "predicted" not in reason else f"{reason} of {name!r}"
            estimate.mark_undefined(there == 0, own)


def counted_difference(
    metric: str, counts: FloatArray, names: tuple[str, str], error: float
) -> Difference:
    """Compare a metric of decisions, from the joint counts alone.

    Where both rates have the same denominator, McNemar's exact test and Tango's interval.
    Otherwise the linearised difference with a quarter of a case added to each of the eight
    counts, over its standard error from the same counts, follows Student's distribution with
    n - 1 degrees of freedom. A bootstrap of the counts has the same standard error, but the
    p-values of a few thousand draws end where those that survive an adjustment begin.

    In simulation this test errs in 0.01 to 0.06 of the samples at level 0.05 from 60 cases on,
    and in less than 0.01 at level 0.005 (`benchmarks/comparison.py --errors`).

    Parameters
    ----------
    metric
        One of `COUNTED`.
    counts
        Cases by cell, shape (groups, 8).
    names
        The candidate and the baseline.
    error
        Error probability that decides how many discordant cases are too few.

    Sources: A. Agresti, Y. Min, Statistics in Medicine 24 (2005) 729, for the added cases;
    A. Agresti, Categorical Data Analysis (2013), 16.1, for the linearisation.
    """
    n = counts.sum(axis=1)
    candidate, baseline = candidate_counts(counts)
    flips, cases = flips_of(metric, counts)
    of_candidate, _ = value_and_slopes(metric, candidate)
    of_baseline, _ = value_and_slopes(metric, baseline)
    estimate = Estimate(of_candidate - of_baseline, cases)
    mark_undefined(estimate, metric, dict(zip(names, (candidate, baseline), strict=True)))
    if metric in RATES:
        hits, among = (np.array(weights) > 0 for weights in RATIOS[metric])
        more, fewer = (
            counts[:, hits[own] & ~hits[other] & among[own]].sum(axis=1)
            for own, other in ((OF_CANDIDATE, OF_BASELINE), (OF_BASELINE, OF_CANDIDATE))
        )
        # The difference of two rounded quotients would not be that of their counts.
        estimate.value = divide(more - fewer, cases)
        mark_few_flips(estimate, flips, error)
        return Difference(estimate, flips, PairedRates(more, fewer, np.maximum(cases, 1)))
    estimate.mark_too_few(n < FEWEST_CASES, needs(FEWEST_CASES, "cases", n))
    mark_few_flips(estimate, flips, error)
    padded = counts + _ADDED
    shares = padded / padded.sum(axis=1, keepdims=True)
    value_one, slopes_one = value_and_slopes(metric, _margin(shares, OF_CANDIDATE))
    value_two, slopes_two = value_and_slopes(metric, _margin(shares, OF_BASELINE))
    influence = slopes_one[:, OF_CANDIDATE] - slopes_two[:, OF_BASELINE]
    # Shares add up to 1, so that the mean influence is 0 for a function of shares.
    variance = (shares * influence**2).sum(axis=1)
    spare = np.maximum(n - 1, 1)
    largest = 2.0 if metric == "matthews_correlation" else 1.0
    law = Studentised(
        value_one - value_two, np.sqrt(variance / spare), spare, np.zeros(len(n)), largest
    )
    return Difference(estimate, flips, law)


def candidate_counts(counts: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Give the candidate's and the baseline's counts by 2 label + decision, shape (groups, 4)."""
    return _margin(counts, OF_CANDIDATE), _margin(counts, OF_BASELINE)


def flips_of(metric: str, counts: FloatArray) -> tuple[Flips, FloatArray]:
    """Count the cases that were decided better and worse, and all that the metric rests on."""
    among = np.ones(8, dtype=bool)
    if metric in RATES:
        among = np.array(RATIOS[metric][1])[OF_CANDIDATE] > 0
    right, was_right = _CANDIDATE == _LABEL, _BASELINE == _LABEL
    better = counts[:, among & right & ~was_right].sum(axis=1)
    worse = counts[:, among & ~right & was_right].sum(axis=1)
    return Flips.of(better, worse), counts[:, among].sum(axis=1)


def mark_few_flips(estimate: Estimate, flips: Flips, error: float) -> None:
    """Mark groups in which too few cases were decided differently for any test."""
    least = fewest_discordant(error)
    few = flips.discordant < least
    estimate.mark_too_few(few, needs(least, "cases that are decided differently", flips.discordant))


def _margin(counts: FloatArray, cells: np.ndarray[tuple[int], np.dtype[np.int64]]) -> FloatArray:
    """Add up the eight cells to the four of one candidate."""
    margin: FloatArray = counts @ np.eye(4)[cells]
    return margin
