"""Multiclass classifiers and regressions compared on the same cases."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import permutations

import numpy as np

from evaluator.metrics import _multiclass as multiclass, _regression as regression
from evaluator.metrics._comparison._binary import mark_few_flips
from evaluator.metrics._comparison._differences import (
    CandidatePair,
    Difference,
    DiscordantCounts,
    PairedRateDifference,
    concat_differences,
    linear_difference,
)
from evaluator.metrics._estimates import MIN_OF_EACH_CLASS, Estimate, FloatArray, divide
from evaluator.metrics._linear import LinearisedEstimate, SurveyDesign, weighted_roc_auc
from evaluator.metrics._means import MIN_CASES, clipped_log
from evaluator.metrics._multiclass import MulticlassLevel, MulticlassRows
from evaluator.metrics._regression import RegressionLevel


@dataclass(frozen=True)
class CandidateEstimate:
    """A candidate's metric at one level."""

    estimate: Estimate
    # The value with each row's influence on it.
    linear: LinearisedEstimate
    # How well each case is treated: more is better, shape (rows,).
    merit: FloatArray


@dataclass(frozen=True)
class _TestRule:
    """How the difference of a metric is tested."""

    # Cases (of the rarest class, where the metric rests on it) below which there is no test.
    fewest: int = 0
    # Whether the metric is the share of cases whose merit is 1.
    hits: bool = False
    # As in `linear_difference`.
    skewed: bool = False
    largest: float = np.inf


_MEAN = _TestRule(MIN_CASES, skewed=True)
_HITS = _TestRule(hits=True, largest=1.0)
_MACRO = _TestRule(MIN_OF_EACH_CLASS, largest=1.0)
REGRESSION: Mapping[str, _TestRule] = {
    "mean_absolute_error": _MEAN,
    "root_mean_squared_error": _TestRule(regression.MIN_FOR_SQUARES, skewed=True),
    "bias": _MEAN,
    "r2": _TestRule(regression.MIN_FOR_R2),
    "mean_absolute_percentage_error": _MEAN,
    "pinball_loss_10": _MEAN,
    "pinball_loss_50": _MEAN,
    "pinball_loss_90": _MEAN,
}
MULTICLASS: Mapping[str, _TestRule] = {
    "accuracy": _HITS,
    "balanced_accuracy": _MACRO,
    **{
        f"{kind}_{how}": {"macro": _MACRO, "micro": _HITS, "weighted": _MACRO}[how]
        for kind in ("precision", "recall", "f1")
        for how in ("macro", "micro", "weighted")
    },
    "roc_auc_ovr": _MACRO,
    "roc_auc_ovo": _MACRO,
    "log_loss": _MEAN,
    "top_2_accuracy": _HITS,
    "top_3_accuracy": _HITS,
    "top_5_accuracy": _HITS,
}


def compare_levels(
    designs: Sequence[SurveyDesign],
    measure: Callable[[str, SurveyDesign, str], CandidateEstimate],
    pairs: Sequence[CandidatePair],
    rules: Mapping[str, _TestRule],
    error: float,
) -> dict[CandidatePair, dict[str, Difference]]:
    """Compare pairs of candidates by all metrics at every level."""
    names = sorted({name for pair in pairs for name in pair})
    parts: dict[tuple[CandidatePair, str], list[Difference]] = {
        (pair, metric): [] for pair in pairs for metric in rules
    }
    for design in designs:
        for metric, rule in rules.items():
            ones = {name: measure(name, design, metric) for name in names}
            for pair in pairs:
                found = _difference(design, (ones[pair[0]], ones[pair[1]]), pair, rule, error)
                parts[pair, metric].append(found)
    return {
        pair: {metric: concat_differences(parts[pair, metric]) for metric in rules}
        for pair in pairs
    }


def _difference(
    design: SurveyDesign,
    ones: tuple[CandidateEstimate, CandidateEstimate],
    pair: CandidatePair,
    rule: _TestRule,
    error: float,
) -> Difference:
    one, other = ones
    more = design.total(one.merit > other.merit)
    fewer = design.total(one.merit < other.merit)
    flips = DiscordantCounts.of(more, fewer)
    effective = np.fmin(one.estimate.effective, other.estimate.effective)
    estimate = Estimate(one.linear.value - other.linear.value, effective)
    for name, single in zip(pair, ones, strict=True):
        for reason in dict.fromkeys(single.estimate.reason[single.estimate.undefined]):
            where = single.estimate.undefined & (single.estimate.reason == reason)
            own = f"{reason} by {name!r}" if "predicted" in str(reason) else str(reason)
            estimate.mark_undefined(where, own)
    estimate.mark_shortfall(rule.fewest, "cases", effective)
    if rule.hits:
        mark_few_flips(estimate, flips, error)
    if rule.hits and design.cluster is None:
        estimate.value = np.where(estimate.undefined, np.nan, divide(more - fewer, design.n))
        return Difference(
            estimate, flips, PairedRateDifference(more, fewer, np.maximum(design.n, 1))
        )
    linear = one.linear, other.linear
    return linear_difference(
        design, linear, estimate, flips, skewed=rule.skewed, largest=rule.largest
    )


def measure_regression(
    label: FloatArray, predictions: Mapping[str, FloatArray], confidence: float
) -> Callable[[str, SurveyDesign, str], CandidateEstimate]:
    """Give the function that measures one candidate's metric at a level."""

    def measured(name: str, design: SurveyDesign, metric: str) -> CandidateEstimate:
        at = RegressionLevel(label, predictions[name], design, confidence)
        estimate = regression.MEASURES[metric](at)
        losses = _losses(metric, at.error, label)
        linear = design.ratio(losses, np.ones(len(losses)))
        if metric == "root_mean_squared_error":
            root = np.sqrt(linear.value)
            slope = np.nan_to_num(divide(np.ones(len(root)), 2 * root))
            linear = LinearisedEstimate(root, linear.influence * slope[design.group])
        if metric == "r2":
            mean = np.nan_to_num(design.ratio(label, np.ones(len(label))).value)
            quotient = design.ratio(losses, (label - mean[design.group]) ** 2)
            linear = LinearisedEstimate(1 - quotient.value, -quotient.influence)
        merit = -np.abs(losses)
        return CandidateEstimate(estimate, linear, merit)

    return measured


def _losses(metric: str, error: FloatArray, label: FloatArray) -> FloatArray:
    """Give what is averaged over the cases."""
    if metric in {"root_mean_squared_error", "r2"}:
        return error**2
    if metric == "bias":
        return error
    if metric == "mean_absolute_percentage_error":
        return np.nan_to_num(divide(np.abs(error), np.abs(label)))
    if metric.startswith("pinball_loss_"):
        share = int(metric.removeprefix("pinball_loss_")) / 100
        loss: FloatArray = np.maximum(-share * error, (1 - share) * error)
        return loss
    return np.abs(error)


def measure_multiclass(
    rows: Mapping[str, MulticlassRows], confidence: float
) -> Callable[[str, SurveyDesign, str], CandidateEstimate]:
    """Give the function that measures one candidate's metric at a level."""

    def measured(name: str, design: SurveyDesign, metric: str) -> CandidateEstimate:
        at = MulticlassLevel(rows[name], design, confidence)
        estimate = multiclass.MEASURES[metric](at)
        merit = _merit(at, metric)
        if MULTICLASS[metric].hits:
            return CandidateEstimate(estimate, design.ratio(merit, at.all.astype(float)), merit)
        return CandidateEstimate(estimate, _linear(at, metric), merit)

    return measured


def _merit(at: MulticlassLevel, metric: str) -> FloatArray:
    """Give whether a case is a hit, or the probability that its label was given."""
    if metric.startswith("top_"):
        label = at.rows.label[:, None]
        own = np.take_along_axis(at.scores, label, axis=1)
        later = np.arange(len(at.rows.classes)) > label
        ahead = ((at.scores > own) | ((at.scores == own) & later)).sum(axis=1)
        hit: FloatArray = (ahead < int(metric.split("_")[1])).astype(float)
        return hit
    if metric in {"log_loss", "roc_auc_ovr", "roc_auc_ovo"}:
        given: FloatArray = at.scores[np.arange(len(at.all)), at.rows.label]
        return given
    return at.right.astype(float)


def _linear(at: MulticlassLevel, metric: str) -> LinearisedEstimate:
    """Linearise a metric of several classes."""
    if metric == "log_loss":
        given = at.scores[np.arange(len(at.all)), at.rows.label]
        return at.design.ratio(clipped_log(given), at.all)
    if metric == "roc_auc_ovr":
        return _mean_of(
            [weighted_roc_auc(at.design, at.scores[:, n], at.of_class[n]) for n in at.numbers]
        )
    if metric == "roc_auc_ovo":
        areas = []
        for one, other in permutations(at.numbers, 2):
            both = at.of_class[one] | at.of_class[other]
            areas.append(weighted_roc_auc(at.design, at.scores[:, one], at.of_class[one], both))
        return _mean_of(areas)
    kind, _, how = metric.partition("_")
    if metric == "balanced_accuracy":
        kind, how = "recall", "macro"
    parts = at.of_each_class(kind)
    if how == "macro":
        return _mean_of(parts)
    value, influence = np.zeros(at.design.groups), np.zeros(len(at.all))
    for truth, part in zip(at.of_class, parts, strict=True):
        share = at.design.ratio(truth, at.all)
        counted, own = np.nan_to_num(share.value), np.nan_to_num(part.value)
        value += counted * own
        influence += counted[at.design.group] * part.influence
        influence += own[at.design.group] * share.influence
    return LinearisedEstimate(value, influence)


def _mean_of(parts: Sequence[LinearisedEstimate]) -> LinearisedEstimate:
    value: FloatArray = np.mean([part.value for part in parts], axis=0)
    influence: FloatArray = np.mean([part.influence for part in parts], axis=0)
    return LinearisedEstimate(value, influence)
