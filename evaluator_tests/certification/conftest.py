"""Small scorecards and lists of slices, written out by hand."""

from collections.abc import Callable, Iterable
from dataclasses import fields
from typing import Any

import pandas as pd
import pytest

from evaluator.certification import GateEvidence
from evaluator.scorecard import Scorecard

PLACES = [("West", "network"), ("West", "regional"), ("East", "network"), ("East", "regional")]

Measurements = Callable[..., pd.DataFrame]
Slices = Callable[..., pd.DataFrame]
Evidence = Callable[..., GateEvidence]
FINDINGS = {one.name for one in fields(Scorecard)}


@pytest.fixture
def scorecard() -> Measurements:
    """Make measurements in which every place of the candidate `good` has a recall of 0.8."""

    def make(
        changes: dict[tuple[str | None, str | None], dict[str, Any] | None] | None = None,
        *,
        candidate: str = "good",
        metric: str = "recall",
        value: float = 0.8,
    ) -> pd.DataFrame:
        places = [(None, None), ("West", None), ("East", None), (None, "network")]
        places += [(None, "regional"), *PLACES]
        rows = []
        for geography, segment in places:
            change = (changes or {}).get((geography, segment), {})
            if change is None:
                continue
            fixed = [n for n, v in (("geography", geography), ("segment", segment)) if v]
            row = {
                "candidate": candidate,
                "level": " x ".join(fixed) or "overall",
                "geography": geography,
                "segment": segment,
                "metric": metric,
                "value": value,
                "low": value - 0.05,
                "high": value + 0.05,
                "n": 200,
                "n_effective": 80.0,
                "status": "ok",
                "reason": None,
            }
            # A value that is changed takes its interval with it.
            if isinstance(change.get("value"), float) and "low" not in change:
                row |= {"low": change["value"] - 0.05, "high": change["value"] + 0.05}
            rows.append(row | change)
        return pd.DataFrame(rows)

    return make


@pytest.fixture
def slices() -> Slices:
    """Make a list of slices that are all current but for the changes."""

    def make(
        changes: dict[tuple[str, str], dict[str, Any]] | None = None,
        *,
        candidates: Iterable[str] = ("good",),
    ) -> pd.DataFrame:
        return pd.DataFrame(
            [
                {
                    "candidate": candidate,
                    "geography": geography,
                    "segment": segment,
                    "state": "current",
                    "error": None,
                    "content_version": "abc",
                }
                | (changes or {}).get((geography, segment), {})
                for candidate in candidates
                for geography, segment in PLACES
            ]
        )

    return make


@pytest.fixture
def evidence(scorecard: Measurements, slices: Slices) -> Evidence:
    """Make the evidence of an audit in which all is well but for what is given."""

    def make(card: pd.DataFrame | None = None, **changes: Any) -> GateEvidence:
        found: dict[str, Any] = {
            "measurements": scorecard() if card is None else card,
            "slices": slices(),
            **{name: value for name, value in changes.items() if name in FINDINGS},
        }
        declared = {name: value for name, value in changes.items() if name not in FINDINGS}
        return GateEvidence(scorecard=Scorecard(**found), **{"confidence": 0.95} | declared)

    return make
