"""From feature columns to conditions: each case meets exactly one condition of each feature."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evaluator.metrics.checks import MetricsInputError, column
from evaluator.metrics.conditions import (
    Condition,
    Is,
    Missing,
    NoneOf,
    Scalar,
    Within,
    numbers_or_missing,
)
from evaluator.metrics.estimates import FloatArray

CodeArray = NDArray[np.int16]

# Crosses of three features have at most a million cells by it, which bounds the search's memory.
MOST_VALUES = 100
# As many as there are months: so few numbers mean something each.
FEW_VALUES = 12
# Coarse enough for the crosses of two features to have cases.
BINS = 5


@dataclass(frozen=True)
class Feature:
    """A feature's conditions, and which of them each case meets.

    Parameters
    ----------
    conditions
        In the order of the values; rare values and missing ones last.
    codes
        The position of each case's condition, shape (rows,).
    """

    conditions: tuple[Condition, ...]
    codes: CodeArray


def feature_conditions(
    frame: pd.DataFrame, features: Sequence[str], *, bins: int, minimum_support: int
) -> list[Feature]:
    """Cut every feature into conditions, without a look at how well the candidate does.

    Numbers are cut near their quantiles, fractions at as few digits as leave the bins what they
    are; those of at most 12 different values, or at most `bins`, are taken as categories. Missing
    values are a condition of their own. Categories of fewer than `minimum_support` cases, and all
    beyond the 100 most frequent, are one condition together.

    Parameters
    ----------
    frame
        The cases.
    features
        Columns of numbers, texts, truth values or categories.
    bins
        How many quantile bins a column of numbers gets at most.
    minimum_support
        The fewest cases of a category of its own.

    Raises
    ------
    MetricsInputError
        If a column does not exist, is named twice, or holds values of other kinds.
    """
    names = [features] if isinstance(features, str) else list(features)
    if not names or len(set(names)) < len(names):
        raise MetricsInputError(f"features must be one or more different columns, not {names}")
    return [_feature(column(frame, name), name, bins, minimum_support) for name in names]


def _feature(found: "pd.Series[Any]", name: str, bins: int, minimum_support: int) -> Feature:
    numeric = pd.api.types.is_numeric_dtype(found.dtype)
    if numeric and not pd.api.types.is_bool_dtype(found.dtype):
        values = numbers_or_missing(found, name)
        ordered = np.sort(values[~np.isnan(values)])
        steps = ordered[1:] != ordered[:-1]
        if np.count_nonzero(steps) >= max(bins, FEW_VALUES):
            whole = pd.api.types.is_integer_dtype(found.dtype)
            return _ranges(values, ordered, name, bins, whole=whole)
    return _categories(found, name, minimum_support)


def _ranges(
    values: FloatArray, ordered: FloatArray, name: str, bins: int, *, whole: bool
) -> Feature:
    """Cut numbers at their quantiles."""
    # The quantile is the least value that at least the share of the cases do not exceed.
    places = np.ceil(np.arange(1, bins) / bins * len(ordered)).astype(np.intp) - 1
    cuts = ordered[np.maximum(places, 0)]
    # Where the least value is that of many cases, it is a bin of its own.
    cuts[cuts == ordered[0]] = ordered[np.searchsorted(ordered, ordered[0], side="right")]
    cuts = np.unique(cuts)
    if not whole:
        cuts = _short(cuts, ordered[0])
    codes = np.searchsorted(cuts, values, side="right").astype(np.int16)
    ends = [None, *(int(cut) if whole else float(cut) for cut in cuts), None]
    conditions: list[Condition] = [Within(name, start, end) for start, end in pairwise(ends)]
    return _with_missing(conditions, codes, np.isnan(values), name)


def _short(cuts: FloatArray, least: float) -> FloatArray:
    """Round each cut to the digits that a hundredth of the way to its neighbours needs."""
    edges = np.concatenate([[least], cuts])
    edges = edges[np.isfinite(edges)]
    rounded = cuts.copy()
    for position in np.flatnonzero(np.isfinite(cuts)):
        cut = float(cuts[position])
        others = edges[edges != cut]
        if len(others):
            digits = 2 - int(np.floor(np.log10(np.abs(others - cut).min())))
            rounded[position] = round(cut, digits)
    return rounded


def _categories(found: "pd.Series[Any]", name: str, minimum_support: int) -> Feature:
    """Take each value as a condition, and the rare ones together as one."""
    # The values of a categorical column may be in its order, but not all of them need occur.
    numbered, uniques = pd.factorize(found)
    missing = numbered < 0
    values = [_scalar(value, name) for value in uniques]
    counts = np.bincount(numbered[~missing], minlength=len(values))
    by_value = sorted(range(len(values)), key=lambda p: (str(type(values[p])), values[p]))
    frequent = sorted(by_value, key=lambda position: -counts[position])[:MOST_VALUES]
    often = {position for position in frequent if counts[position] >= minimum_support}
    kept = [position for position in by_value if position in often]
    code_of = np.full(len(values) + 1, len(kept), dtype=np.int16)
    code_of[kept] = np.arange(len(kept))
    conditions: list[Condition] = [Is(name, values[position]) for position in kept]
    if len(kept) < len(values):
        conditions.append(NoneOf(name, tuple(values[position] for position in kept)))
    return _with_missing(conditions, code_of[numbered], missing, name)


def _with_missing(
    conditions: list[Condition], codes: CodeArray, missing: NDArray[np.bool_], name: str
) -> Feature:
    if missing.any():
        codes[missing] = len(conditions)
        conditions = [*conditions, Missing(name)]
    return Feature(tuple(conditions), codes)


def _scalar(value: Any, name: str) -> Scalar:
    """Give a category as a value that JSON can hold."""
    plain = value.item() if isinstance(value, np.generic) else value
    if not isinstance(plain, Scalar):
        raise MetricsInputError(
            f"feature {name!r} holds a {type(plain).__name__}, such as {plain!r}; features hold "
            "numbers, texts or truth values"
        )
    return plain
