"""A scorecard's stored tables, held against the ones that were computed once more."""

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

import numpy as np
import pandas as pd
from pandas.api.types import is_bool_dtype, is_numeric_dtype

from evaluator.certification.findings import Problem
from evaluator.certification.recomputed_values import (
    ABSOLUTE_TOLERANCE,
    RELATIVE_TOLERANCE,
    differences,
)
from evaluator.certification.statement import EvidenceItem
from evaluator.certification.stored_evidence import StoredEvidence
from evaluator.findings import read_stored
from evaluator.findings.names import (
    COMPARISONS,
    FAIRNESS,
    FIGURES,
    MORE_FIGURES,
    PAIRS,
    RANKS,
    WEAK_SLICES,
)

_COMPARED = ("candidate", "baseline", "level", "geography", "segment", "metric")
KEYS: Final[Mapping[str, tuple[str, ...]]] = {
    FIGURES: ("candidate", "level", "geography", "segment", "metric"),
    MORE_FIGURES: ("candidate", "level", "group", "metric"),
    COMPARISONS: _COMPARED,
    PAIRS: _COMPARED,
    RANKS: ("candidate", "level", "geography", "segment", "metric"),
    FAIRNESS: ("candidate", "measure", "comparison", "class", "attribute", "group"),
    WEAK_SLICES: ("candidate", "slice", "conditions"),
}
"""What a row of each table is about. What got worse is not among them: that rests on an earlier
certificate's evidence."""

# Wording may improve between versions of the program; what it says may not change.
_WORDS = "reason"
_SHOWN = 5


def compare_tables(
    evidence: StoredEvidence, scorecard: EvidenceItem, again: Mapping[str, pd.DataFrame]
) -> Iterator[Problem]:
    """Hold every table of a scorecard against what the stored predictions give.

    Parameters
    ----------
    evidence
        Where the tables are stored.
    scorecard
        Whose they are.
    again
        The tables that were computed once more, by their files' names.
    """
    for name, keys in KEYS.items():
        stored = read_stored(evidence.table(scorecard, name))
        yield from _compare(f"{scorecard.folder}/{name}", stored, again[name], list(keys))


def compare_searches(
    scorecard: EvidenceItem, stored: Mapping[str, Any], again: Mapping[str, Any]
) -> Iterator[Problem]:
    """Hold the record of how far weak slices were searched against another search.

    Parameters
    ----------
    scorecard
        Whose record it is.
    stored, again
        By candidate, the facts of its search.
    """
    # As the record spells them.
    told = json.loads(json.dumps(again))
    for candidate in sorted(stored.keys() | told.keys()):
        found = differences(stored.get(candidate) or {}, told.get(candidate) or {})
        for what in list(found)[:_SHOWN]:
            yield Problem("figures", scorecard.folder, f"the search of {candidate}: {what}")


def _compare(
    path: str, stored: pd.DataFrame, again: pd.DataFrame, keys: list[str]
) -> Iterator[Problem]:
    if set(stored.columns) != set(again.columns):
        odd = sorted(set(stored.columns) ^ set(again.columns))
        yield Problem("figures", path, f"it has other columns: {', '.join(odd)}")
        return
    stored, again = (_in_order(frame, keys) for frame in (stored, again))
    if not _texts(stored, keys).equals(_texts(again, keys)):
        what = f"it has {len(stored)} rows for other places than the predictions give"
        yield Problem("figures", path, f"{what} ({len(again)})")
        return
    shown = found = 0
    for name in again.columns:
        if name in keys or name == _WORDS:
            continue
        places = np.flatnonzero(_differs(stored[name], again[name]))
        found += len(places)
        for place in places[: _SHOWN - shown]:
            shown += 1
            about = ", ".join(text for text in _texts(again.iloc[[place]], keys).iloc[0] if text)
            was, now = stored[name].iloc[place], again[name].iloc[place]
            yield Problem("figures", path, f"{about}: {name} is {was}, recomputed {now}")
    if found > shown:
        yield Problem("figures", path, f"{found - shown} more values differ")


def _texts(frame: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    return pd.DataFrame({name: frame[name].astype("str").fillna("") for name in keys})


def _in_order(frame: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    # The same rows in another order say the same: near ties may be broken otherwise elsewhere.
    order = _texts(frame.reset_index(drop=True), keys).sort_values(keys, kind="stable").index
    ordered: pd.DataFrame = frame.reset_index(drop=True).loc[order]
    return ordered.reset_index(drop=True)


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
