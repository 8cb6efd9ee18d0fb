"""The metrics of rankings, each with all its forms.

A case is a query: its label says which items are relevant to it, and how much, and its prediction
which items were found, the best one first. Items that no label judges have the grade 0. What needs
a relevant item does not exist of a query without one, which is left out of the mean: neither 0, as
in scikit-learn and trec_eval, nor 1.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, TypeVar

import numpy as np
import pandas as pd

from evaluator.metrics._catalogue import ByName
from evaluator.metrics._checks import MetricsInputError, complete, refuse_rows
from evaluator.metrics._estimates import (
    NO_SPREAD,
    BoolArray,
    Estimate,
    FloatArray,
    LevelMetric,
    LinearisedEstimate,
    PairedTest,
    divide,
)
from evaluator.metrics._levels import IntArray
from evaluator.metrics._linear import SurveyDesign
from evaluator.metrics._means import survey_mean

_NO_RELEVANT = "no query has a relevant item"
# What the simulations in benchmarks/coverage.py ask for.
MIN_QUERIES = 50
# The part of the error probability that is used, since hardly a query may find anything.
_USED = 0.6
# Sums of grades stay numbers.
_LARGEST = 1e100
_Read = TypeVar("_Read")


def grades_of(value: Any) -> dict[str, float]:
    """Read how relevant which items are to a query.

    Parameters
    ----------
    value
        Grades from 0 on by item, or a list of items of grade 1; either may be JSON.

    Returns
    -------
    dict[str, float]
        By item.

    Raises
    ------
    MetricsInputError
        With what is wrong, as half a sentence: "it is no JSON".
    """
    found = _parsed(value)
    if isinstance(found, list):
        return dict.fromkeys(_distinct(found), 1.0)
    if not isinstance(found, Mapping):
        raise MetricsInputError("it is neither an object of grades nor a list of items")
    if not {*map(type, found.values())} <= {int, float}:
        raise MetricsInputError("a grade is no number")
    if not all(0 <= grade <= _LARGEST for grade in found.values()):
        raise MetricsInputError("a grade is below 0 or too large")
    return {str(item): float(grade) for item, grade in found.items()}


def ranking_of(value: Any) -> list[str]:
    """Read which items were found for a query, the best one first.

    Parameters
    ----------
    value
        A list of items, or one as JSON; it may be empty.

    Returns
    -------
    list[str]
        The items.

    Raises
    ------
    MetricsInputError
        As `grades_of` says.
    """
    found = _parsed(value)
    if not isinstance(found, list):
        raise MetricsInputError("it is no list of items")
    return _distinct(found)


def _parsed(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return value.tolist()
    if not isinstance(value, str):
        return value
    try:
        return _JSON.decode(value)
    except (json.JSONDecodeError, RecursionError):
        raise MetricsInputError("it is no JSON") from None


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    _distinct([key for key, _ in pairs])
    return dict(pairs)


_JSON = json.JSONDecoder(object_pairs_hook=_object)


def _distinct(items: list[Any]) -> list[str]:
    """Name items by texts or whole numbers, and refuse what is neither or stands there twice."""
    if not {*map(type, items)} <= {str, int}:
        raise MetricsInputError("an item is neither a text nor a whole number")
    names = [str(item) for item in items]
    if len(set(names)) < len(names):
        raise MetricsInputError("an item stands there twice")
    return names


@dataclass(frozen=True)
class _Items:
    """Items of all queries, one query after the other; arrays of shape (items,)."""

    # The query's row, the place among its items, from 1 on, and the grade.
    row: IntArray
    rank: IntArray
    grade: FloatArray

    @classmethod
    def of(cls, grades: list[list[float]]) -> "_Items":
        """Lay out the grades of each query's items, in their order."""
        counts = np.array([len(one) for one in grades], dtype=np.intp)
        row = np.repeat(np.arange(len(grades)), counts)
        rank = np.arange(1, len(row) + 1) - np.repeat(np.cumsum(counts) - counts, counts)
        return cls(row, rank, np.array([grade for one in grades for grade in one], dtype=float))


@dataclass(frozen=True)
class RankingRows:
    """The rankings of one candidate, a query a row."""

    # What was found, and what was judged, the highest grades first.
    found: _Items
    judged: _Items
    # Numbers that tell one ranking from another, shape (rows,).
    said: FloatArray

    @classmethod
    def of(cls, labels: list[dict[str, float]], predictions: list[list[str]]) -> "RankingRows":
        """Lay grades and rankings out."""
        pairs = zip(labels, predictions, strict=True)
        found = [[grades.get(item, 0.0) for item in items] for grades, items in pairs]
        judged = [sorted(grades.values(), reverse=True) for grades in labels]
        texts = np.array(["\0".join(items) for items in predictions], dtype=object)
        said = pd.util.hash_array(texts).astype(np.float64)
        return cls(_Items.of(found), _Items.of(judged), said)

    @cached_property
    def relevant(self) -> FloatArray:
        """How many items are relevant, shape (rows,)."""
        return self.total(self.judged, self.judged.grade > 0)

    def total(self, items: _Items, values: FloatArray | BoolArray) -> FloatArray:
        """Add up what items have, shape (rows,)."""
        return np.bincount(items.row, values, len(self.said)).astype(float)

    def hits(self, k: int) -> FloatArray:
        """Count the relevant ones among the first k items, shape (rows,)."""
        return self.total(self.found, (self.found.grade > 0) & (self.found.rank <= k))

    def discounted(self, items: _Items, k: int) -> FloatArray:
        """Add up the discounted grades of the first k items, shape (rows,)."""
        gains = np.where(items.rank <= k, items.grade / np.log2(1 + items.rank), 0)
        return self.total(items, gains)


# Of each row; NaN where a query has no such value.
_Values = Callable[[RankingRows], FloatArray]


def _ndcg(k: int) -> _Values:
    # K. Järvelin, J. Kekäläinen, ACM Transactions on Information Systems 20 (2002) 422, with the
    # logarithm of the rank plus 1, so that the first item counts in full and each next one less.
    return lambda rows: divide(rows.discounted(rows.found, k), rows.discounted(rows.judged, k))


def _precision(k: int) -> _Values:
    return lambda rows: rows.hits(k) / k


def _recall(k: int) -> _Values:
    return lambda rows: divide(rows.hits(k), rows.relevant)


def _reciprocal_rank(rows: RankingRows) -> FloatArray:
    first, relevant = np.full(len(rows.said), np.inf), rows.found.grade > 0
    np.minimum.at(first, rows.found.row[relevant], rows.found.rank[relevant])
    return np.where(rows.relevant > 0, 1 / first, np.nan)


def _average_precision(rows: RankingRows) -> FloatArray:
    relevant = rows.found.grade > 0
    # So many relevant ones are among a query's items up to each.
    counted = np.append(0, np.cumsum(relevant))
    begins = np.arange(len(relevant)) + 1 - rows.found.rank
    precision = (counted[1:] - counted[begins]) / rows.found.rank
    return divide(rows.total(rows.found, relevant * precision), rows.relevant)


_FAMILIES: dict[str, Callable[[int], _Values]] = {
    "ndcg_at_{k}": _ndcg,
    "precision_at_{k}": _precision,
    "recall_at_{k}": _recall,
}
_VALUES: Mapping[str, _Values] = ByName(
    {"mean_reciprocal_rank": _reciprocal_rank, "mean_average_precision": _average_precision},
    _FAMILIES,
)


def query_values(labels: Iterable[Any], predictions: Iterable[Any], metric: str) -> FloatArray:
    """Give what a metric is the mean of.

    Parameters
    ----------
    labels, predictions
        Of each query the grades and the ranking, as `grades_of` and `ranking_of` read them.
    metric
        Which one of a ranking.

    Returns
    -------
    numpy.ndarray
        A value in [0, 1] of each query, shape (queries,); NaN where there is none.

    Raises
    ------
    MetricsInputError
        Where something is no ranking.
    """
    read = RankingRows.of([*map(grades_of, labels)], [*map(ranking_of, predictions)])
    return _VALUES[metric](read)


def values_in(frame: pd.DataFrame, label: str, prediction: str, metric: str) -> FloatArray:
    """Give what a metric is the mean of, from a frame's columns; shape (rows,)."""
    return _VALUES[metric](ranking_rows(frame, label, prediction))


def ranking_rows(frame: pd.DataFrame, label: str, prediction: str) -> RankingRows:
    """Read the columns of grades and of rankings."""
    return RankingRows.of(_read(frame, label, grades_of), _read(frame, prediction, ranking_of))


def _read(frame: pd.DataFrame, name: str, read: Callable[[Any], _Read]) -> list[_Read]:
    found: list[_Read] = []
    wrong: dict[int, str] = {}
    for place, value in enumerate(complete(frame, name)):
        try:
            found.append(read(value))
        except MetricsInputError as error:
            wrong[place] = str(error)
    if wrong:
        common, _ = Counter(wrong.values()).most_common(1)[0]
        is_wrong = np.isin(np.arange(len(frame)), list(wrong))
        refuse_rows(is_wrong, f"column {name!r} cannot be read, as {common},")
    return found


@dataclass(frozen=True)
class RankingLevel:
    """The rows at one level."""

    rows: RankingRows
    design: SurveyDesign
    confidence: float

    @property
    def outputs(self) -> list[FloatArray]:
        """What the candidate said, as numbers that are the same where it is."""
        return [self.rows.said]

    @property
    def parts(self) -> list[BoolArray]:
        """The queries with a relevant item, on which most metrics rest."""
        return [self.rows.relevant > 0]


def _mean(values: _Values) -> LevelMetric[RankingLevel]:
    """Give all forms of the mean over the queries that have a value."""

    def linear(at: RankingLevel) -> LinearisedEstimate:
        of_rows = values(at.rows)
        return at.design.ratio(np.nan_to_num(of_rows), ~np.isnan(of_rows))

    return LevelMetric(
        lambda at: _estimate(at.design, values(at.rows), at.confidence),
        PairedTest(
            linear,
            merit=lambda at: np.nan_to_num(values(at.rows)),
            fewest=MIN_QUERIES,
            by_merit=True,
            skewed=True,
            largest=1.0,
        ),
    )


def _estimate(design: SurveyDesign, values: FloatArray, confidence: float) -> Estimate:
    """Estimate the mean of the values that there are; either tail may be the longer one."""
    there = ~np.isnan(values)
    cases = design.cases(there)

    def mean(of_rows: FloatArray) -> Estimate:
        found = design.measure(design.ratio(of_rows, there), there)
        # Where nothing varies nothing tells how alike a cluster's queries are: it is counted.
        spread = found.spread
        freedom = np.where(spread.variance <= NO_SPREAD, spread.units - 1, spread.freedom)
        found = replace(found, spread=replace(spread, freedom=freedom))
        carriers = None
        if not design.plain:
            carriers = design.of_groups_effective(design.of_units(design.weight * of_rows))
        return survey_mean(
            found,
            carriers,
            cases=cases,
            confidence=1 - _USED * (1 - confidence),
            bounds=(0.0, 1.0),
            fewest=MIN_QUERIES,
        )

    estimate = mean(np.nan_to_num(values))
    if not design.plain:
        estimate.low = 1 - mean(np.nan_to_num(1 - values)).high
    estimate.reason[cases == 0] = _NO_RELEVANT
    return estimate


def _means(family: Callable[[int], _Values]) -> Callable[[int], LevelMetric[RankingLevel]]:
    return lambda k: _mean(family(k))


RANKING: Mapping[str, LevelMetric[RankingLevel]] = ByName(
    {name: _mean(values) for name, values in _VALUES.items()},
    {name: _means(family) for name, family in _FAMILIES.items()},
)
"""All metrics of rankings, by name."""
