"""What every combination of value, interval, limit and fault gives, in one table."""

import math
from datetime import UTC, datetime
from typing import Any

import pytest

from evaluator.certification import Waiver, decide_outcomes, judge
from evaluator.spec import MetricGate

PASS, FAIL, OPEN = "PASS", "FAIL", "INSUFFICIENT EVIDENCE"
NOW = datetime(2026, 3, 9, tzinfo=UTC)
LATER = datetime(2026, 4, 9, tzinfo=UTC)
LEAST: dict[str, Any] = {"at_least": 0.6}
MOST: dict[str, Any] = {"at_most": 0.6}
BOTH: dict[str, Any] = {"at_least": 0.6, "at_most": 0.8}
BY_VALUE: dict[str, Any] = {"decide_on": "value"}


def _measured(value: float, low: float, high: float, **more: Any) -> dict[str, Any]:
    return {"value": value, "low": low, "high": high, **more}


NONE = math.nan
UNDEFINED = _measured(NONE, NONE, NONE, status="undefined", reason="no positive labels")
TOO_FEW = _measured(0.9, NONE, NONE, status="too_few", reason="needs 20 positives")


@pytest.mark.parametrize(
    ("limits", "row", "state", "verdict", "outcome"),
    [
        # A least value: the interval wholly good, touching, astride, touching, wholly bad.
        (LEAST, _measured(0.8, 0.7, 0.9), "current", PASS, "certified"),
        (LEAST, _measured(0.8, 0.6, 0.9), "current", PASS, "certified"),
        (LEAST, _measured(0.8, 0.6 - 5e-12, 0.9), "current", PASS, "certified"),
        (LEAST, _measured(0.8, 0.6 - 1e-8, 0.9), "current", OPEN, "undecided"),
        (LEAST, _measured(0.8, 0.59, 0.9), "current", OPEN, "undecided"),
        (LEAST, _measured(0.6, 0.5, 0.7), "current", OPEN, "undecided"),
        (LEAST, _measured(0.5, 0.4, 0.6), "current", OPEN, "undecided"),
        (LEAST, _measured(0.5, 0.4, 0.6 - 5e-12), "current", OPEN, "undecided"),
        (LEAST, _measured(0.5, 0.4, 0.6 - 1e-8), "current", FAIL, "not certified"),
        (LEAST, _measured(0.5, 0.4, 0.59), "current", FAIL, "not certified"),
        # A most value.
        (MOST, _measured(0.5, 0.4, 0.59), "current", PASS, "certified"),
        (MOST, _measured(0.5, 0.4, 0.6), "current", PASS, "certified"),
        (MOST, _measured(0.5, 0.4, 0.6 + 5e-12), "current", PASS, "certified"),
        (MOST, _measured(0.5, 0.4, 0.61), "current", OPEN, "undecided"),
        (MOST, _measured(0.7, 0.6, 0.8), "current", OPEN, "undecided"),
        (MOST, _measured(0.7, 0.61, 0.8), "current", FAIL, "not certified"),
        # Both.
        (BOTH, _measured(0.7, 0.6, 0.8), "current", PASS, "certified"),
        (BOTH, _measured(0.7, 0.5, 0.9), "current", OPEN, "undecided"),
        (BOTH, _measured(0.7, 0.65, 0.81), "current", OPEN, "undecided"),
        (BOTH, _measured(0.5, 0.4, 0.59), "current", FAIL, "not certified"),
        (BOTH, _measured(0.9, 0.81, 0.95), "current", FAIL, "not certified"),
        # Decided on the value, the interval does not matter.
        (LEAST | BY_VALUE, _measured(0.8, 0.5, 0.9), "current", PASS, "certified"),
        (LEAST | BY_VALUE, _measured(0.6, 0.5, 0.9), "current", PASS, "certified"),
        (LEAST | BY_VALUE, _measured(0.6 - 5e-12, 0.5, 0.9), "current", PASS, "certified"),
        (LEAST | BY_VALUE, _measured(0.599, 0.5, 0.9), "current", FAIL, "not certified"),
        (MOST | BY_VALUE, _measured(0.601, 0.5, 0.9), "current", FAIL, "not certified"),
        (LEAST | BY_VALUE, _measured(0.8, NONE, NONE), "current", PASS, "certified"),
        # Undefined, too few, not finite, without an interval, or not there at all.
        (LEAST, UNDEFINED, "current", OPEN, "undecided"),
        (LEAST | BY_VALUE, UNDEFINED, "current", OPEN, "undecided"),
        (LEAST, UNDEFINED | {"value": 0.99}, "current", OPEN, "undecided"),
        (LEAST, TOO_FEW, "current", OPEN, "undecided"),
        (LEAST | BY_VALUE, TOO_FEW, "current", OPEN, "undecided"),
        (LEAST, _measured(0.8, NONE, NONE), "current", OPEN, "undecided"),
        (LEAST, _measured(0.8, NONE, 0.9), "current", OPEN, "undecided"),
        (LEAST, _measured(math.inf, 0.7, math.inf), "current", OPEN, "undecided"),
        (MOST | BY_VALUE, _measured(-math.inf, NONE, NONE), "current", OPEN, "undecided"),
        (LEAST, _measured(0.8, 0.7, 0.9, status=None), "current", OPEN, "undecided"),
        (LEAST, {"metric": "precision"}, "current", OPEN, "undecided"),
        (LEAST, None, "current", OPEN, "undecided"),
        # A slice that is not of this version neither passes nor fails.
        (LEAST, _measured(0.8, 0.7, 0.9), "missing", OPEN, "undecided"),
        (LEAST, _measured(0.5, 0.4, 0.55), "missing", OPEN, "undecided"),
        (LEAST, _measured(0.8, 0.7, 0.9), "outdated", OPEN, "undecided"),
        (LEAST | BY_VALUE, _measured(0.8, 0.7, 0.9), "outdated", OPEN, "undecided"),
        (LEAST, _measured(0.8, 0.7, 0.9), None, OPEN, "undecided"),
        (LEAST, _measured(0.8, 0.7, 0.9), "a word that nobody knows", OPEN, "undecided"),
    ],
)
@pytest.mark.parametrize("waived", [None, "in force", "expired", "of another candidate"])
def test_the_truth_table(
    scorecard: Any,
    slices: Any,
    evidence: Any,
    *,
    limits: dict[str, Any],
    row: dict[str, Any] | None,
    state: str | None,
    verdict: str,
    outcome: str,
    waived: str | None,
) -> None:
    place = ("West", "regional")
    gate = MetricGate(metric="recall", geography="West", segment="regional", **limits)
    listed = slices({place: {"state": state}})
    (found,) = judge([gate], evidence(scorecard({place: row}), slices=listed), ["good"])

    assert found.verdict == verdict
    assert found.decided_on == limits.get("decide_on", "bound")
    assert (found.places, found.failing, found.open) == (1, verdict == FAIL, verdict == OPEN)
    if verdict != OPEN:
        assert found.needed_cases is None

    waiver = Waiver(
        candidate="other" if waived == "of another candidate" else "good",
        gate=found.gate,
        waived_by="Ada Bell",
        reason="a fix is under way",
        until=NOW if waived == "expired" else LATER,
    )
    (decided,) = decide_outcomes(
        [found], listed, ["good"], waivers=[waiver] if waived else [], now=NOW
    )
    # Whatever people decide, verdict and outcome say what was measured.
    assert decided.outcome == outcome
    counts = waived == "in force" and verdict != PASS
    qualified_by = decided.qualified_by
    assert [w.waived_by for w in qualified_by.waived] == (["Ada Bell"] if counts else [])
    assert qualified_by.short.startswith("1 waived gate ") == counts
    # Without its only gate a candidate is still not certified.
    assert qualified_by.after_waivers == ("undecided" if counts else None)
