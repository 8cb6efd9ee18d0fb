"""Gaps between groups: what a gate says of one is what its row says, and nothing else decides."""

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings, strategies as st

from evaluator.certification import (
    DecidedGap,
    GateEvidence,
    decide_gaps,
    judge,
    judge_scopes,
    worst_gaps,
)
from evaluator.metrics import FAIRNESS_MEASURES
from evaluator.scorecard import Scorecard
from evaluator.spec import FairnessGate, FairnessSpec

OPEN = "INSUFFICIENT EVIDENCE"
ATTRIBUTES = ("region", "age")
MEASURES = ("equal_opportunity", "treatment_equality", "equalised_odds", "calibration_gap")
CANDIDATES = ["good", "base"]
SLICES = pd.DataFrame(
    {"candidate": CANDIDATES, "geography": "all", "segment": "all", "state": "current"}
).assign(error=None, content_version="abc")


def gap(value: float, half: float = 0.05, **changes: Any) -> dict[str, Any]:
    """Make one gap, of a group that is worse off by a difference unless it is said otherwise."""
    status = changes.get("status", "ok")
    usual = {
        "candidate": "good",
        "measure": "equal_opportunity",
        "comparison": "difference",
        "class": None,
        "attribute": "region",
        "group": "west",
        "reference": "east",
        "value": np.nan if status == "undefined" else value,
        "low": value - half if status == "ok" else np.nan,
        "high": value + half if status == "ok" else np.nan,
        "n": 200,
        "n_effective": 80.0,
        "status": status,
        "reason": None if status == "ok" else "there is too little",
    }
    return usual | changes


def evidence_of(gaps: pd.DataFrame, **declared: Any) -> GateEvidence:
    card = Scorecard(measurements=pd.DataFrame(), slices=SLICES, fairness=gaps)
    return GateEvidence(scorecard=card, confidence=0.95, **declared)


def decided(rows: list[dict[str, Any]], *gates: dict[str, Any], **stated: Any) -> list[DecidedGap]:
    """Decide gaps by gates on equal opportunity, and by what the audit states."""
    usual = {"kind": "fairness", "measure": "equal_opportunity"}
    asked = [FairnessGate.model_validate(usual | gate) for gate in gates]
    evidence = evidence_of(pd.DataFrame(rows))
    spec = FairnessSpec(attributes=ATTRIBUTES, measures=MEASURES, **stated)
    return decide_gaps(judge_scopes(asked, evidence, CANDIDATES), evidence, spec)


@st.composite
def scorecards(draw: st.DrawFn) -> pd.DataFrame:
    """Draw a fairness table as measurement lays it out, whatever its figures."""
    rows = []
    for candidate in CANDIDATES:
        for measure in draw(st.lists(st.sampled_from(MEASURES), unique=True)):
            has_ratio = FAIRNESS_MEASURES[measure].ratio
            for comparison in ("difference", "ratio")[: 1 + has_ratio]:
                for attribute in draw(st.lists(st.sampled_from(ATTRIBUTES), unique=True)):
                    for group in range(draw(st.integers(1, 6))):
                        spread = draw(st.floats(-0.4, 0.4))
                        rows.append(
                            gap(
                                spread if comparison == "difference" else 1 + spread,
                                draw(st.floats(0, 0.2)),
                                candidate=candidate,
                                measure=measure,
                                comparison=comparison,
                                attribute=attribute,
                                group=f"group {group}",
                                status=draw(st.sampled_from(["ok"] * 8 + ["too_few", "undefined"])),
                            )
                        )
    return pd.DataFrame(rows, columns=list(gap(0)))


@st.composite
def fairness_gates(draw: st.DrawFn) -> FairnessGate:
    measure = draw(st.sampled_from(MEASURES))
    kind = draw(st.sampled_from(["difference", "ratio", "both"]))
    with_ratio = kind != "difference" and FAIRNESS_MEASURES[measure].ratio
    return FairnessGate(
        kind="fairness",
        measure=measure,
        attribute=draw(st.sampled_from([None, *ATTRIBUTES])),
        candidate=draw(st.sampled_from([None, *CANDIDATES])),
        decide_on=draw(st.sampled_from(["bound", "value"])),
        limit_ratio=draw(st.floats(0.6, 0.95)) if with_ratio else None,
        limit_difference=None if kind == "ratio" and with_ratio else draw(st.floats(0.05, 0.3)),
    )


@settings(max_examples=60)
@given(
    gaps=scorecards(),
    gate=fairness_gates(),
    limit=st.sampled_from([None, 0.1]),
    against_best=st.booleans(),
)
def test_a_gate_and_the_table_say_the_same_of_every_gap(
    gaps: pd.DataFrame, gate: FairnessGate, limit: float | None, *, against_best: bool
) -> None:
    evidence = evidence_of(gaps, fairness_against_best=against_best)
    stated = FairnessSpec(attributes=ATTRIBUTES, measures=MEASURES, limit_difference=limit)
    found = decide_gaps(judge_scopes([gate], evidence, CANDIDATES), evidence, stated)
    for verdict in judge([gate], evidence, CANDIDATES):
        own = [one for one in found if one.gates == 1 and one.candidate == verdict.candidate]
        words = [one.verdict for one in own]
        not_measured = verdict.places - len(own)
        assert words.count("FAIL") == verdict.failing
        assert words.count(OPEN) == verdict.open - not_measured
        for one in own:
            limit = gate.limit_ratio if one.is_ratio else gate.limit_difference
            assert (one.gate, one.limit) == (verdict.gate, limit)


def test_without_any_limit_a_gap_has_no_verdict() -> None:
    gaps = decided([gap(-0.3), gap(0.7, comparison="ratio"), gap(0.0, status="too_few")])
    for one in gaps:
        assert (one.limit, one.verdict, one.needed_cases, one.gate) == (None, None, None, None)
    assert [one.reason for one in gaps] == [None, None, "there is too little"]
    assert [one.value for one in gaps[:2]] == [-0.3, 0.7]


def test_with_a_limit_of_ratios_alone_only_ratios_are_decided() -> None:
    rows = [gap(-0.3), gap(0.5, comparison="ratio"), gap(-0.3, measure="calibration_gap")]
    gaps = decided(rows, limit_ratio=0.8)
    assert [one.verdict for one in gaps] == [None, "FAIL", None]
    assert [one.limit for one in gaps] == [None, 0.8, None]
    # No gate asks for it.
    assert {(one.gates, one.gate) for one in gaps} == {(0, None)}


def test_a_gate_decides_what_it_names_and_the_audit_the_rest() -> None:
    rows = [gap(-0.15, 0.01), gap(-0.15, 0.01, attribute="age"), gap(0.9, comparison="ratio")]
    gaps = decided(rows, {"attribute": "region", "limit_difference": 0.2}, limit_difference=0.1)
    assert [one.verdict for one in gaps] == ["PASS", "FAIL", None]
    assert [one.limit for one in gaps] == [0.2, 0.1, None]
    assert [one.gates for one in gaps] == [1, 0, 0]
    assert gaps[0].gate == "equal opportunity by region: difference at most 0.2"


def test_a_gate_for_another_candidate_does_not_name_the_gap() -> None:
    (found,) = decided([gap(-0.3)], {"candidate": "base", "limit_difference": 0.1})
    assert (found.gates, found.verdict) == (0, None)


@pytest.mark.parametrize("order", [1, -1])
def test_of_two_gates_the_one_that_decides_worse_is_shown_and_named(order: int) -> None:
    gates = [{"limit_difference": 0.3}, {"limit_difference": 0.1}][::order]
    for value, limit, verdict in ((-0.2, 0.1, "FAIL"), (-0.12, 0.1, OPEN), (0.0, 0.1, "PASS")):
        (found,) = decided([gap(value)], *gates)
        assert (found.verdict, found.limit, found.gates) == (verdict, limit, 2)
        assert (found.gate or "").endswith(f"at most {limit}")


def test_a_limit_of_the_audit_decides_as_a_gate_with_this_limit_would() -> None:
    draws = np.random.default_rng(4)
    rows = [
        gap(value, 0.06, group=str(number), attribute=ATTRIBUTES[number % 2])
        for number, value in enumerate(draws.normal(-0.12, 0.06, 40))
    ]
    by_gate = decided(rows, {"limit_difference": 0.1})
    by_audit = decided(rows, limit_difference=0.1)
    assert {one.verdict for one in by_gate} == {"PASS", "FAIL", OPEN}
    assert [replace(one, gate=None, gates=0) for one in by_gate] == by_audit


def test_an_open_gap_says_why_and_how_many_cases_would_decide() -> None:
    (found,) = decided([gap(-0.12)], limit_difference=0.1)
    would = f"about {found.needed_cases:,} cases there in all would decide it"
    assert found.reason == f"the limit -0.1 lies within; {would}"
    alone = decided([gap(-0.16, 0.058), *[gap(0, 0.05)] * 30], limit_difference=0.1)[0]
    assert alone.verdict == OPEN
    assert "which may be chance among 31 places" in (alone.reason or "")


def test_verdicts_that_an_earlier_version_stored_are_not_shown() -> None:
    old = gap(-0.01, verdict="FAIL", limit=0.3, needed_cases=7.0) | {"reason": "an old reason"}
    (found,) = decided([old], limit_difference=0.1)
    assert (found.verdict, found.limit, found.needed_cases) == ("PASS", 0.1, None)
    assert found.reason is None


def test_the_summary_gives_the_worst_gap_and_never_a_better_verdict() -> None:
    rows = [
        gap(-0.3, group="worst"),
        gap(-0.2, group="bad"),
        gap(-0.12, group="open"),
        gap(0.0, group="fine"),
        gap(-0.4, group="tiny", status="too_few"),
        gap(0.5, group="half", comparison="ratio"),
        gap(1.9, group="more", comparison="ratio"),
    ]
    (difference, ratio) = worst_gaps(decided(rows, limit_difference=0.1))
    assert (difference.group, difference.verdict) == ("worst", "FAIL")
    assert (difference.failed, difference.open, difference.passed) == (2, 2, 1)
    # Without a limit the larger gap is the worst, and nothing is counted.
    assert (ratio.group, ratio.failed + ratio.open + ratio.passed) == ("half", 0)
    (left, _) = worst_gaps(decided(rows[2:6], limit_difference=0.1))
    assert (left.group, left.verdict) == ("tiny", OPEN)
