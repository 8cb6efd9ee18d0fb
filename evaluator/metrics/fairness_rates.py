"""Gaps between rates."""

import numpy as np
from scipy import special

from evaluator.metrics.estimates import FloatArray, divide
from evaluator.metrics.fairness_gaps import (
    BOTH_ZERO,
    NO_FALSE_POSITIVES,
    NO_RATIO,
    OF_THE_REFERENCE,
    ZERO_REFERENCE,
    Asked,
    Gap,
    bookkeeping,
    no_reasons,
    planned_cases,
    slope_to_overall,
    to_overall,
)
from evaluator.metrics.fairness_intervals import (
    TwoRates,
    log_odds_ratio,
    newcombe,
    score_difference,
    score_log_ratio,
)
from evaluator.metrics.fairness_measures import Comparison
from evaluator.metrics.fairness_summaries import Rates


def rate_gaps(one: Rates, two: Rates, asked: Asked) -> Gap:
    """Give the gaps of rates, or of odds, of the groups at the same positions.

    In one stratum a difference has Newcombe's interval, and in several that of Miettinen and
    Nurminen, which a ratio of rates has in any case.
    """
    pair = TwoRates(one.hits, one.cases, two.hits, two.cases)
    own, other = pair.standardised()
    undefined = no_reasons(len(own))
    share = (pair.weights * np.nan_to_num(divide(one.cases, one.cases + two.cases))).sum(axis=1)
    whole = share * own + (1 - share) * other if asked.overall else other
    if asked.comparison == "difference":
        value = own - other
    elif one.odds:
        value = log_odds_ratio(pair, asked.confidence_low)[0]
        misses, other_misses = one.cases - one.hits, two.cases - two.hits
        share = np.nan_to_num(divide(misses.sum(axis=1), (misses + other_misses).sum(axis=1)))
        undefined[~(value < np.inf)] = NO_RATIO
        undefined[other_misses.sum(axis=1) == 0] = NO_FALSE_POSITIVES + OF_THE_REFERENCE
        undefined[misses.sum(axis=1) == 0] = NO_FALSE_POSITIVES
    else:
        value = _log_ratio(own, other)
        undefined[value == np.inf] = ZERO_REFERENCE
        undefined[(own == 0) & (other == 0)] = BOTH_ZERO
    low, high = _rate_limits(pair, asked.comparison, asked.confidence_low, odds=one.odds)
    if asked.confidence_high != asked.confidence_low:
        _, high = _rate_limits(pair, asked.comparison, asked.confidence_high, odds=one.odds)
    planned, variance = _planned_rates(one, two, pair, asked.comparison)
    if asked.overall:
        share = np.nan_to_num(share)
        slope = slope_to_overall(planned, share, asked.comparison)
        value, low, high, planned = (
            to_overall(gap, share, asked.comparison) for gap in (value, low, high, planned)
        )
        variance = variance * slope**2
    if one.odds and asked.comparison == "ratio":
        own, whole = divide(own, 1 - own), divide(whole, 1 - whole)
    return Gap(
        value,
        low,
        high,
        own,
        whole,
        *bookkeeping(one, two, asked),
        undefined,
        no_reasons(len(own)),
        planned,
        variance,
    )


def _rate_limits(
    pair: TwoRates, comparison: Comparison, confidence: float, *, odds: bool
) -> tuple[FloatArray, FloatArray]:
    if comparison == "difference":
        one_stratum = pair.cases.shape[1] == 1
        return newcombe(pair, confidence) if one_stratum else score_difference(pair, confidence)
    if odds:
        _, low, high, _ = log_odds_ratio(pair, confidence)
        return low, high
    return score_log_ratio(pair, confidence)


def _log_ratio(own: FloatArray, other: FloatArray) -> FloatArray:
    """Give the logarithm of a ratio, infinite where one of the two is zero, NaN where both are."""
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio: FloatArray = np.log(own) - np.log(other)
    return ratio


def _planned_rates(
    one: Rates, two: Rates, pair: TwoRates, comparison: Comparison
) -> tuple[FloatArray, FloatArray]:
    """Give the gap that more cases are planned for, and its variance at the present number.

    The rates are the observed ones with half a hit and half a miss added, so that none is 0 or 1.
    A group without cases is planned for as if it were like the one that it is compared with, in
    its rate and in how many of its rows are cases.
    """
    used = pair.informative | ~pair.informative.any(axis=1, keepdims=True)
    cases, other_cases = (np.where(used, side.cases, 0).sum(axis=1) for side in (one, two))
    p, q = (
        (np.nan_to_num(rate) * n + 0.5) / (n + 1)
        for rate, n in zip(pair.standardised(), (cases, other_cases), strict=True)
    )
    p, q = np.where(cases > 0, p, q), np.where(other_cases > 0, q, p)
    expected = planned_cases(one, two)
    spread, other_spread = (
        np.where(factor > 0, factor, divide(np.ones_like(n), n))
        for factor, n in zip(pair.spread(), expected, strict=True)
    )
    if comparison == "difference":
        return p - q, p * (1 - p) * spread + q * (1 - q) * other_spread
    if one.odds:
        gap: FloatArray = special.logit(p) - special.logit(q)
        return gap, spread / (p * (1 - p)) + other_spread / (q * (1 - q))
    return np.log(p / q), (1 - p) / p * spread + (1 - q) / q * other_spread
