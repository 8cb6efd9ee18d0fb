"""Slices where a candidate does worse than elsewhere: searched on one half, confirmed on another.

A search among thousands of slices always finds some that look bad. So one half of the cases is
searched, and what was found there is tested on the other half, which the search has not seen.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeVar, get_args

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from evaluator.metrics._checks import (
    MetricsInputError,
    complete,
    numbers,
    positives,
    refuse_outside_unit,
    refuse_rows,
)
from evaluator.metrics._estimates import BoolArray, FloatArray
from evaluator.metrics._inputs import survey_of
from evaluator.metrics._levels import IntArray
from evaluator.metrics._linear import MIN_CLUSTERS
from evaluator.metrics._means import log_losses, squared_errors
from evaluator.metrics._multiplicity import holm
from evaluator.metrics._rankings import values_in
from evaluator.metrics._two_sample import Contrast, contrast
from evaluator.metrics._weak_slices._conditions import (
    CodeArray,
    DiscretisedFeature,
    conditions_to_json,
    describe_conditions,
    discretise,
)
from evaluator.metrics._weak_slices._search import (
    MAX_CONDITIONS,
    Explanation,
    Losses,
    Representative,
    SliceCode,
    overlap_groups,
    representatives,
    search,
    slice_members,
)

Values = TypeVar("Values", FloatArray, IntArray)
LossName = Literal[
    "error_rate",
    "false_negative_rate",
    "false_positive_rate",
    "log_loss",
    "brier",
    "absolute_error",
    "squared_error",
    "ndcg_shortfall",
]
# How many slices are tested at most: each one more makes every test stricter.
_MOST = 20
# Leads that are kept for each slice that may be tested.
_SHORTLISTED_EACH = 10
_DTYPES = {
    "slice": "str",
    "conditions": "str",
    "n": "int64",
    "n_all": "int64",
    "loss": "float64",
    "rest_loss": "float64",
    "excess": "float64",
    "low": "float64",
    "high": "float64",
    "harm": "float64",
    "harm_low": "float64",
    "p_value": "float64",
    "p_adjusted": "float64",
    "group": "int64",
    "also": "str",
    "explained_by": "str",
    "status": "str",
    "reason": "str",
}
_ODD = np.uint64(0x9E3779B97F4A7C15)
_SHIFT = np.uint64(32)


@dataclass(frozen=True)
class WeakSlices:
    """What a search for weak slices found, and how far it looked.

    Parameters
    ----------
    table
        One row a slice that was tested, as `weak_slices` describes it.
    search
        Facts for the reader, all of them fit for JSON: `cases`, `searched_cases`,
        `confirming_cases`, `mean_loss` of all cases, `features`, `possible` (slices that the
        conditions span), `evaluated` (of these, the slices that had enough cases and that no bound
        ruled out), `tested`, `confirmed`, and `reason`: why there was nothing to search, or None.
    """

    table: pd.DataFrame
    search: dict[str, Any]

    @property
    def confirmed(self) -> pd.DataFrame:
        """The rows that are findings; the others are only what the search had hoped for."""
        return self.table[self.table["status"] == "confirmed"]


def weak_slices(
    frame: pd.DataFrame,
    *,
    features: Sequence[str],
    loss: LossName | ArrayLike = "error_rate",
    label: str | None = None,
    score: str | None = None,
    prediction: str | None = None,
    conditions: int = 2,
    minimum_support: int = 100,
    level: float = 0.10,
    cluster: str | None = None,
    weight: str | None = None,
    seed: int = 0,
) -> WeakSlices:
    """Search for slices where a candidate does worse than on the rest of the cases.

    Parameters
    ----------
    frame
        One row a case; it is not changed, and its order does not matter.
    features
        Columns of numbers, texts, truth values or categories. Numbers of more than 12 values are
        cut at quantiles into five ranges, missing values are a condition of their own, rare
        categories are one condition together. The first and last 1, 2.5, 5 and 10 % of such numbers
        are slices besides, with no second condition.
    loss
        What "worse" means: "error_rate", "false_negative_rate" (among positives),
        "false_positive_rate" (among negatives), "log_loss", "brier", "absolute_error",
        "squared_error", "ndcg_shortfall" (1 - NDCG at 10, of queries with a relevant item); or an
        array of one loss a row, shape (rows,).
    label, score, prediction
        As in `slice_metrics`, as far as the loss needs them. The error rate takes predictions of
        any number of classes.
    conditions
        One to three conditions a slice. Three take about ten times as long as two.
    minimum_support
        The fewest cases of a slice in all of the frame; half of them have to be in the half that
        is searched. Below a hundred hardly any excess could be confirmed.
    level
        The probability that even one slice is reported although none is worse than its rest. 0.10
        since a finding is a place to look, not a verdict.
    cluster
        Column of what makes cases dependent, such as their user or their day: it stays in one half,
        and search, tests and limits rest on how much clusters differ.
    weight
        Column of how many cases each case stands for, on any scale. A case of weight zero is left
        out; where all others weigh the same, the weights say nothing and nothing changes.
    seed
        Which of the equally good halves to take.

    Returns
    -------
    WeakSlices
        Its table has one row a tested slice: the confirmed ones first, and among them those that
        no other explains, by `harm_low`. Everything but `n_all` is measured on the confirming half
        alone, so that the search did not choose it.

        ``slice``, ``conditions``
            The slice in words, and as JSON for `worsened_slices`.
        ``n``, ``n_all``
            Cases of the slice in the confirming half, and in both; weights do not change them.
        ``loss``, ``rest_loss``, ``excess``
            Mean loss (weighted) in the slice, in all other cases, and the difference.
        ``low``, ``high``
            Limits of the excess. Of all rows together, no lower limit is too high with a
            probability of 1 - level (Bonferroni), nor any upper limit too low.
        ``harm``, ``harm_low``
            Excess and its lower limit, times `n_all` (with weights: times the share of all weight
            that the slice has, and all cases): with the error rate, how many errors fewer there
            would be if the slice were as good as the rest.
        ``p_value``, ``p_adjusted``
            One-sided, of the hypothesis that the slice is no worse than the rest: Fisher's exact
            test for losses of 0 and 1, Welch's for others, with clusters or weights a test of how
            much clusters differ; adjusted by Holm over the tested slices.
        ``group``
            Slices that overlap by half the smaller one have the same number.
        ``also``
            Other descriptions of nearly the same cases, joined by "; "; missing without any.
        ``explained_by``
            A confirmed slice of more evidence, inside and outside of which this one is no worse
            than the rest; missing where it says something of its own.
        ``status``
            "confirmed": `p_adjusted` is at most the level and `low` is above 0;
            "not_confirmed"; or "too_few" without limits.
        ``reason``
            Why there are too few; missing otherwise.

    Raises
    ------
    MetricsInputError
        If an argument is out of its range, or a column is absent or cannot be measured.
    """
    _check(conditions=conditions, minimum_support=minimum_support)
    check_level(level)
    losses, counts = case_losses(frame, loss, label=label, score=score, prediction=prediction)
    if not counts.all():
        frame, losses = frame[counts], losses[counts]
    there, survey = survey_of(frame, weight, cluster)
    if not there.all():
        frame, losses = frame[there], losses[there]
    clusters = None if survey.cluster is None else frame[cluster]
    cut = discretise(frame, features, minimum_support=minimum_support)
    order, searched = discovery_split(cut, losses, clusters, seed, survey.weight)
    # In an order that depends on nothing but the cases, sums are the same to the last digit.
    cut = [feature.of(order) for feature in cut]
    crossed = len(cut)
    cut += [tail for feature in cut for tail in feature.tails]
    losses, searched = losses[order], searched[order]
    weights = some(survey.weight, order)
    numbered = None if clusters is None else pd.factorize(clusters.iloc[order])[0]
    facts: dict[str, Any] = {
        "cases": len(losses),
        "searched_cases": int(np.count_nonzero(searched)),
        "confirming_cases": int(np.count_nonzero(~searched)),
        "mean_loss": float(np.average(losses, weights=weights)) if len(losses) else None,
        "features": crossed,
        "possible": 0,
        "evaluated": 0,
    }
    found: list[Representative] = []
    reason = _nothing_to_search(losses, searched, numbered, minimum_support)
    if reason is None:
        of_half = [feature.codes[searched] for feature in cut]
        summed = Losses(losses[searched], some(weights, searched), some(numbered, searched))
        shortlist = search(
            of_half,
            [len(feature.conditions) for feature in cut],
            summed,
            conditions=conditions,
            fewest=(minimum_support + 1) // 2,
            keep=_SHORTLISTED_EACH * _MOST,
            crossed=crossed,
        )
        facts |= {"possible": shortlist.possible, "evaluated": shortlist.evaluated}
        found = representatives(shortlist, of_half, summed, _MOST)
    table = _confirm(found, cut, losses, numbered, weights, held=~searched, level=level)
    facts |= {
        "tested": int(table["p_value"].notna().sum()),
        "confirmed": int((table["status"] == "confirmed").sum()),
        "reason": reason,
    }
    return WeakSlices(table, facts)


def _check(*, conditions: int, minimum_support: int) -> None:
    if not 1 <= conditions <= MAX_CONDITIONS:
        raise MetricsInputError(
            f"conditions must be from 1 to {MAX_CONDITIONS} a slice, not {conditions}"
        )
    if minimum_support < 2:  # noqa: PLR2004 - a case for either half
        raise MetricsInputError(f"minimum_support must be at least 2, not {minimum_support}")


def check_level(level: float) -> None:
    """Refuse what is no level of one-sided tests."""
    if not 0 < level < 0.5:  # noqa: PLR2004 - a one-sided level
        raise MetricsInputError(f"level must lie between 0 and 0.5, not {level}")


def case_losses(
    frame: pd.DataFrame,
    loss: LossName | ArrayLike,
    *,
    label: str | None,
    score: str | None,
    prediction: str | None,
) -> tuple[FloatArray, BoolArray]:
    """Give the loss of each case, and which cases count."""
    every = np.ones(len(frame), dtype=bool)
    if not isinstance(loss, str):
        return _own(loss, len(frame)), every
    if loss not in get_args(LossName):
        known = ", ".join(get_args(LossName))
        raise MetricsInputError(f"there is no loss {loss!r}; there are {known}")
    truth = _named(label, loss, "label")
    if loss in ("absolute_error", "squared_error", "ndcg_shortfall"):
        return _distances(frame, loss, truth, _named(prediction, loss, "prediction"))
    if loss == "error_rate" and prediction is not None:
        return _differs(frame, truth, prediction), every
    is_positive, negative = positives(frame, truth)
    if loss in ("log_loss", "brier"):
        values = numbers(frame, _named(score, loss, "score"))
        refuse_outside_unit(values, str(score), [loss])
        of_cases = log_losses if loss == "log_loss" else squared_errors
        return of_cases(values, is_positive), every
    if prediction is not None:
        decided, _ = positives(frame, prediction, negative)
    else:
        values = numbers(frame, _named(score, loss, "score or prediction"))
        decided = values >= 0.5  # noqa: PLR2004 - an even chance
    wrong = (decided != is_positive).astype(np.float64)
    counts = {"false_negative_rate": is_positive, "false_positive_rate": ~is_positive}
    return wrong, counts.get(loss, every)


def _distances(
    frame: pd.DataFrame, loss: str, label: str, prediction: str
) -> tuple[FloatArray, BoolArray]:
    """Say how far each prediction is from what it should be, and of which cases that is known."""
    if loss == "ndcg_shortfall":
        reached = values_in(frame, label, prediction, "ndcg_at_10")
        return 1 - np.nan_to_num(reached), ~np.isnan(reached)
    away = np.abs(numbers(frame, label) - numbers(frame, prediction))
    return away if loss == "absolute_error" else away**2, np.ones(len(frame), dtype=bool)


def _own(losses: ArrayLike, rows: int) -> FloatArray:
    values = np.asarray(losses, dtype=np.float64)
    if values.shape != (rows,):
        raise MetricsInputError(f"there must be one loss a row, {rows}, not {values.shape}")
    refuse_rows(~np.isfinite(values), "the loss is not a finite number")
    return values


def _named(name: str | None, loss: str, role: str) -> str:
    if name is None:
        raise MetricsInputError(f"loss {loss!r} needs a {role} column")
    return name


def _differs(frame: pd.DataFrame, label: str, prediction: str) -> FloatArray:
    """Compare two columns of classes."""
    columns = [complete(frame, name) for name in (label, prediction)]
    kinds = [pd.api.types.is_numeric_dtype(found.dtype) for found in columns]
    # Classes written in two ways would look like a candidate that is always wrong.
    if len(frame) and kinds[0] != kinds[1]:
        raise MetricsInputError(
            f"label column {label!r} holds {columns[0].dtype} values and prediction column "
            f"{prediction!r} {columns[1].dtype}; they must hold the same classes"
        )
    classes = pd.Index(columns[0].unique())
    codes = [classes.get_indexer(pd.Index(values)) for values in columns]
    wrong: FloatArray = (codes[0] != codes[1]).astype(np.float64)
    return wrong


def discovery_split(
    features: Sequence[DiscretisedFeature],
    losses: FloatArray,
    cluster: "pd.Series[Any] | None",
    seed: int,
    weights: FloatArray | None = None,
) -> tuple[IntArray, BoolArray]:
    """Draw half of the cases, or half of the clusters, at random.

    The cases are put in an order that follows from what they hold, and the seed draws from that
    order. Cases that hold the same are interchangeable, so that it does not matter which of them
    comes first.
    """
    random = np.random.default_rng(seed)
    keys = [_content(losses, [feature.codes for feature in features])]
    tails = [tail.codes for feature in features for tail in feature.tails]
    if tails or weights is not None:
        keys.insert(0, _content(np.zeros(len(losses)) if weights is None else weights, tails))
    chosen = np.zeros(len(losses), dtype=bool)
    if cluster is None:
        order = np.lexsort(keys)
        chosen[order[random.permutation(len(order))[: len(order) // 2]]] = True
        return order, chosen
    numbers, values = pd.factorize(cluster)
    named = pd.util.hash_array(np.array([str(value) for value in values], dtype=object))
    sequence = np.argsort(named, kind="stable")
    half = np.zeros(len(values), dtype=bool)
    half[sequence[random.permutation(len(values))[: len(values) // 2]]] = True
    return np.lexsort([*keys, named[numbers]]), half[numbers]


def _content(values: FloatArray, codes: Sequence[CodeArray]) -> NDArray[np.uint64]:
    """Mix what each case holds into one number; it overflows on purpose."""
    # Zero has two signs, and they are equal.
    mixed = (values + 0.0).view(np.uint64).copy()
    for code in codes:
        mixed ^= code.astype(np.uint64)
        mixed *= _ODD
        mixed ^= mixed >> _SHIFT
    return mixed


def some(values: Values | None, rows: NDArray[Any]) -> Values | None:
    """Take what there is of some rows."""
    return None if values is None else values[rows]


def _nothing_to_search(
    losses: FloatArray, searched: BoolArray, clusters: IntArray | None, minimum_support: int
) -> str | None:
    """Say why there is nothing to search, if so."""
    halves = (searched, ~searched)
    rows = min(np.count_nonzero(half) for half in halves)
    if rows < minimum_support:
        return f"a slice and its rest need {minimum_support} cases in either half, there are {rows}"
    if clusters is not None:
        count = min(len(np.unique(clusters[half])) for half in halves)
        if count < MIN_CLUSTERS:
            return (
                f"a slice and its rest need {MIN_CLUSTERS} clusters in either half, "
                f"there are {count}"
            )
    if not Losses(losses[searched]).vary:
        return "all cases that were searched have the same loss"
    return None


def _confirm(
    found: list[Representative],
    cut: list[DiscretisedFeature],
    losses: FloatArray,
    clusters: IntArray | None,
    weights: FloatArray | None,
    *,
    held: BoolArray,
    level: float,
) -> pd.DataFrame:
    """Test the slices on the half that was not searched, and rank them."""
    rows: list[dict[str, Any]] = []
    codes = [feature.codes for feature in cut]
    members = [slice_members(representative.slice, codes) for representative in found]
    inside = [own[held] for own in members]
    held_losses = losses[held]
    held_design = some(clusters, held), some(weights, held)
    for representative, own, every in zip(found, inside, members, strict=True):
        tested = contrast(held_losses, own, *held_design, error=level / len(found))
        rows.append(
            {
                "slice": _describe(representative.slice, cut),
                "conditions": conditions_to_json(
                    [cut[f].conditions[code] for f, code in representative.slice]
                ),
                "n": tested.n,
                "n_all": int(np.count_nonzero(every)),
                "loss": tested.loss,
                "rest_loss": tested.rest_loss,
                "excess": tested.excess,
                "also": "; ".join(_describe(one, cut) for one in representative.also) or None,
                "explained_by": None,
            }
            | as_finding(tested, weighed_cases(every, weights))
        )
    add_statuses(rows, level, "confirmed", "not_confirmed")
    if rows:
        _explain(rows, inside, Losses(held_losses, *held_design[::-1]))
    ranked = sorted(range(len(rows)), key=lambda position: rank(rows[position]))
    numbers = overlap_groups([inside[position] for position in ranked])
    for position, number in zip(ranked, numbers, strict=True):
        rows[position]["group"] = number
    table = pd.DataFrame([rows[position] for position in ranked], columns=list(_DTYPES))
    return table.astype(_DTYPES)


def _describe(one: SliceCode, cut: list[DiscretisedFeature]) -> str:
    return describe_conditions([cut[feature].conditions[code] for feature, code in one])


def weighed_cases(inside: BoolArray, weights: FloatArray | None) -> float:
    """Give how many of the cases those inside are by their weight."""
    if weights is None or not inside.any():
        return int(np.count_nonzero(inside))
    return float(weights[inside].sum() / weights.mean())


def as_finding(tested: Contrast, cases: float) -> dict[str, Any]:
    """Give what a test shows of a slice of so many cases, as tables name it."""
    return {
        "low": tested.low,
        "high": tested.high,
        "harm": tested.excess * cases,
        "harm_low": tested.low * cases,
        "p_value": tested.p_value,
        "reason": tested.reason,
    }


def rank(row: dict[str, Any]) -> tuple[Any, ...]:
    """Put first what is shown and says something of its own, then by the harm at least."""
    order = ("confirmed", "worse", "not_confirmed", "not_shown", "too_few").index(row["status"])
    explained = row.get("explained_by") is not None
    return order, explained, 0.0 if row["reason"] else -row["harm_low"], row["slice"]


def add_statuses(rows: list[dict[str, Any]], level: float, shown: str, not_shown: str) -> None:
    """Adjust the tests of all slices together, and say of each what it shows."""
    adjusted = holm(np.array([row["p_value"] for row in rows]))
    for row, p_adjusted in zip(rows, adjusted, strict=True):
        row["p_adjusted"] = float(p_adjusted)
        row["status"] = shown if p_adjusted <= level and row["low"] > 0 else not_shown
        if row["reason"] is not None:
            row["status"] = "too_few"


def _explain(rows: list[dict[str, Any]], inside: list[BoolArray], losses: Losses) -> None:
    """Note at each confirmed slice which one of more evidence explains it, if any does."""
    confirmed = [p for p, row in enumerate(rows) if row["status"] == "confirmed"]
    confirmed.sort(key=lambda position: (rows[position]["p_value"], position))
    own: list[tuple[str, Explanation]] = []
    for position in confirmed:
        for name, explanation in own:
            if explanation.explains(np.flatnonzero(inside[position])):
                rows[position]["explained_by"] = name
                break
        else:
            own.append((rows[position]["slice"], Explanation(inside[position], losses)))
