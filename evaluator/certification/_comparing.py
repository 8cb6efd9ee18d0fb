"""Stored tables and records held against those that were computed once more."""

import json
import math
from collections.abc import Iterator, Mapping
from typing import Any, Final

import numpy as np
import pandas as pd
from pandas.api.types import is_bool_dtype, is_numeric_dtype

from evaluator.certification._statement import Discrepancy, EvidenceItem
from evaluator.scorecard import (
    ADDITIONAL_MEASUREMENTS,
    CLASSES,
    COMPARISONS,
    CONFUSION,
    FAIRNESS,
    MEASUREMENTS,
    OPERATING_POINTS,
    PAIRS,
    PREDICTED_BINS,
    RANKS,
    SCORE_BINS,
    WEAK_SLICES,
)

_CLASS = "class"
_MEASURED = ("candidate", "level", "geography", "segment", "metric", _CLASS)
_COMPARED = ("candidate", "baseline", "level", "geography", "segment", "metric", _CLASS)
KEYS: Final[Mapping[str, tuple[str, ...]]] = {
    MEASUREMENTS: _MEASURED,
    ADDITIONAL_MEASUREMENTS: ("candidate", "level", "group", "metric", _CLASS),
    COMPARISONS: _COMPARED,
    PAIRS: _COMPARED,
    RANKS: _MEASURED,
    FAIRNESS: ("candidate", "measure", "comparison", _CLASS, "attribute", "group"),
    WEAK_SLICES: ("candidate", "slice", "conditions"),
    OPERATING_POINTS: ("candidate", "point"),
    SCORE_BINS: ("candidate", "low"),
    CONFUSION: ("candidate", "label", "predicted"),
    CLASSES: ("candidate", "class", "metric"),
    PREDICTED_BINS: ("candidate", "low"),
}
"""What a row of each table is about; not every table has classes. What got worse is not among
them: that rests on an earlier certificate's evidence."""
# What earlier versions stored beside the gaps. Nothing reads it, so that nothing rests on it.
_FORMER: Final = ("limit", "verdict", "needed_cases")
# Wording and advice may improve between versions of the program; what is said may not change.
_WORDING = "reason"
_COMPARISONS: Final = (COMPARISONS, PAIRS)
_OF_MARGINS: Final = ("p_equivalent", "p_not_worse")
_ADVICE = "needed_cases"
_SHOWN = 5
RELATIVE_TOLERANCE: Final = 1e-9
"""Two machines may add the same numbers in another order."""
ABSOLUTE_TOLERANCE: Final = 1e-12


def compare_tables(
    scorecard: EvidenceItem,
    stored: Mapping[str, pd.DataFrame],
    again: Mapping[str, pd.DataFrame],
    *,
    among_others: bool,
) -> Iterator[Discrepancy]:
    """Hold the tables of a scorecard against what the stored predictions give.

    `among_others` says that they were filled for more candidates than are looked at.
    """
    for name, was in stored.items():
        now = again[name]
        if name == FAIRNESS:
            was = was.drop(columns=list(_FORMER), errors="ignore")  # noqa: PLW2901 - less is compared
        if among_others and name in _COMPARISONS:
            was, now = _of_the_pair(was, now)  # noqa: PLW2901 - as above
        yield from _compare(f"{scorecard.folder}/{name}", was, now, list(KEYS[name]))


def _of_the_pair(stored: pd.DataFrame, again: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Leave out what a comparison of two cannot say, where it was made among others.

    How others lie to a margin is not stored, and so neither is what the whole family shows of it.
    A candidate that was evaluated on too few slices is listed, and there is nothing to compute.
    """
    if again.empty:
        stored = stored[~((stored["conclusion"] == "not compared") & stored["difference"].isna())]
    elif stored[list(_OF_MARGINS)].notna().any(axis=None):
        stored, again = (
            frame.drop(columns=list(_OF_MARGINS)).assign(
                conclusion=frame["conclusion"]
                .str.removesuffix(", within the margin")
                .replace(["equivalent", "not worse"], "no difference shown")
            )
            for frame in (stored, again)
        )
    return stored, again


def compare_searches(
    scorecard: EvidenceItem, stored: Mapping[str, Any], again: Mapping[str, Any]
) -> Iterator[Discrepancy]:
    """Hold the record of how far weak slices were searched against another search."""
    # As the record spells them.
    respelled = json.loads(json.dumps(again))
    for candidate in sorted(stored.keys() | respelled.keys()):
        found = differences(stored.get(candidate) or {}, respelled.get(candidate) or {})
        for what in list(found)[:_SHOWN]:
            yield Discrepancy("figures", scorecard.folder, f"the search of {candidate}: {what}")


def _compare(
    path: str, stored: pd.DataFrame, again: pd.DataFrame, keys: list[str]
) -> Iterator[Discrepancy]:
    # What an earlier version did not store is not missed where there is nothing to be stored.
    again = again.drop(
        columns=[n for n in set(again.columns) - set(stored.columns) if again[n].isna().all()]
    )
    # Of a baseline alone nothing is compared, and so no row is of a class.
    if _CLASS in stored and _CLASS not in again and stored[_CLASS].isna().all():
        stored = stored.drop(columns=_CLASS)
    if set(stored.columns) != set(again.columns):
        odd = sorted(set(stored.columns) ^ set(again.columns))
        yield Discrepancy("figures", path, f"it has other columns: {', '.join(odd)}")
        return
    keys = [name for name in keys if name != _CLASS or name in again.columns]
    (stored, places), (again, expected) = (_in_order(frame, keys) for frame in (stored, again))
    if not places.equals(expected):
        what = f"it has {len(stored)} rows for other places than the predictions give"
        yield Discrepancy("figures", path, f"{what} ({len(again)})")
        return
    shown = found = 0
    for name in again.columns:
        if name in keys or name == _WORDING:
            continue
        rows = np.flatnonzero(_differs(stored[name], again[name]))
        found += len(rows)
        for row in rows[: _SHOWN - shown]:
            shown += 1
            about = ", ".join(text for text in expected.iloc[row] if text)
            was, now = stored[name].iloc[row], again[name].iloc[row]
            yield Discrepancy("figures", path, f"{about}: {name} is {was}, recomputed {now}")
    if found > shown:
        yield Discrepancy("figures", path, f"{found - shown} more values differ")


def _in_order(frame: pd.DataFrame, keys: list[str]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Sort a table by what its rows are about, and give that in words as well."""
    # The same rows in another order say the same: near ties may be broken otherwise elsewhere.
    frame = frame.reset_index(drop=True)
    texts = pd.DataFrame({name: frame[name].astype("str").fillna("") for name in keys})
    texts = texts.sort_values(keys, kind="stable")
    ordered: pd.DataFrame = frame.loc[texts.index]
    return ordered.reset_index(drop=True), texts.reset_index(drop=True)


def _differs(stored: "pd.Series[Any]", again: "pd.Series[Any]") -> Any:
    """Tell which values are not the same, shape (rows,)."""
    frames = (stored, again)
    if all(is_numeric_dtype(one) and not is_bool_dtype(one) for one in frames):
        was, now = (one.to_numpy(dtype=float, na_value=np.nan) for one in frames)
        return ~np.isclose(
            was, now, rtol=RELATIVE_TOLERANCE, atol=ABSOLUTE_TOLERANCE, equal_nan=True
        )
    was, now = (one.astype(object).where(one.notna(), None).to_numpy() for one in frames)
    return was != now


def differences(stated: Mapping[str, Any], again: Mapping[str, Any]) -> Iterator[str]:
    """Say in which keys two records differ, beside the wording of reasons and what is advised."""
    for key in sorted((stated.keys() | again.keys()) - {_WORDING, _ADVICE}):
        if not is_same(stated.get(key), again.get(key)):
            yield f"{key} is {stated.get(key)!r}, recomputed {again.get(key)!r}"


def is_same(left: Any, right: Any) -> bool:
    """Tell whether a value is the one that was computed once more, given second."""
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    if isinstance(left, int | float) and isinstance(right, int | float):
        if math.isnan(right):
            return math.isnan(left)
        return math.isclose(left, right, rel_tol=RELATIVE_TOLERANCE, abs_tol=ABSOLUTE_TOLERANCE)
    if isinstance(right, float) and math.isnan(right):
        return left is None
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(is_same, left, right))
    return bool(left == right)
