import math
from dataclasses import replace
from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings, strategies as st

from evaluator.certification import GateEvidence, decide_outcomes, judge
from evaluator.certification._gates._behaviour import GateInput, Limits
from evaluator.certification._verdicts import ScopeVerdict, decide
from evaluator.scorecard import Measurement, Scorecard
from evaluator.spec import MetricGate

EVERYWHERE = MetricGate(metric="recall", level="slice", at_least=0.6)
OVERALL = MetricGate(metric="recall", at_least=0.6)
UNDEFINED = {"value": math.nan, "status": "undefined", "reason": "no positive labels"}


@pytest.mark.parametrize("level", ["overall", "geography", "segment", "slice"])
@pytest.mark.parametrize(
    "damage",
    [
        {"status": "undefined", "value": math.nan, "reason": "no rows"},
        {"status": "undefined", "value": 0.99, "reason": "a value that must not count"},
        {"status": "too_few", "reason": "needs 40 positive labels"},
        {"status": None},
        {"value": None},
        {"metric": "precision"},
        None,
    ],
)
def test_what_is_undefined_too_few_or_absent_is_never_a_pass(
    scorecard: Any, slices: Any, evidence: Any, level: Any, damage: Any
) -> None:
    places = {
        "overall": (None, None),
        "geography": ("West", None),
        "segment": (None, "regional"),
        "slice": ("West", "regional"),
    }
    gate = MetricGate(metric="recall", level=level, at_least=0.6)
    (verdict,) = judge([gate], evidence(scorecard({places[level]: damage})), ["good"])
    assert verdict.verdict == "INSUFFICIENT EVIDENCE"
    assert (verdict.geography, verdict.segment) == places[level]
    (outcome,) = decide_outcomes([verdict], slices(), ["good"])
    assert outcome.outcome == "undecided"


@pytest.mark.parametrize("state", ["missing", "outdated", None, "a word that nobody knows"])
@pytest.mark.parametrize("level", ["overall", "geography", "segment", "slice"])
def test_a_slice_that_is_not_current_takes_the_pass_from_everything_that_holds_it(
    slices: Any, evidence: Any, level: Any, state: str | None
) -> None:
    listed = slices({("West", "regional"): {"state": state, "error": "it crashed"}})
    gate = MetricGate(metric="recall", level=level, at_least=0.6)
    (verdict,) = judge([gate], evidence(slices=listed), ["good"])
    assert verdict.verdict == "INSUFFICIENT EVIDENCE"
    assert verdict.open == 1
    assert (state or "missing") in verdict.reason


def test_the_value_of_an_outdated_slice_neither_fails_nor_is_shown(
    scorecard: Any, slices: Any, evidence: Any
) -> None:
    listed = slices({("West", "regional"): {"state": "outdated"}})
    card = scorecard({("West", "regional"): {"value": 0.1}})
    (verdict,) = judge([EVERYWHERE], evidence(card, slices=listed), ["good"])
    assert verdict.verdict == "INSUFFICIENT EVIDENCE"
    assert verdict.value is None
    assert "0.1" not in verdict.reason


def test_one_failing_slice_fails_the_gate_and_the_worst_one_is_named(
    scorecard: Any, evidence: Any
) -> None:
    card = scorecard(
        {
            ("West", "regional"): {"value": 0.5},
            ("East", "network"): {"value": 0.41, "n": 37},
            ("East", "regional"): UNDEFINED,
        }
    )
    (verdict,) = judge([EVERYWHERE], evidence(card), ["good"])
    assert verdict.verdict == "FAIL"
    assert (verdict.places, verdict.failing, verdict.open) == (4, 2, 1)
    assert (verdict.geography, verdict.segment) == ("East", "network")
    assert (verdict.value, verdict.limit, verdict.n) == (0.41, 0.6, 37)
    assert verdict.reason == (
        "2 of 4 slices fail; the worst is East x network with 0.410 (0.360 to 0.460), all of it"
        " below 0.6; 1 more is not decided"
    )


def test_slices_that_cannot_be_judged_are_named_with_their_reasons(
    scorecard: Any, slices: Any, evidence: Any
) -> None:
    card = scorecard({("East", "regional"): UNDEFINED})
    listed = slices({("West", "network"): {"state": "missing", "error": "ValueError: NaN"}})
    (verdict,) = judge([EVERYWHERE], evidence(card, slices=listed), ["good"])
    assert verdict.reason == (
        "2 of 4 slices are not decided: West x network (missing: ValueError: NaN), "
        "East x regional (undefined: no positive labels)"
    )


def test_many_slices_that_cannot_be_judged_are_counted(slices: Any, evidence: Any) -> None:
    listed = slices(candidates=["good"]).assign(state="missing")
    (verdict,) = judge([EVERYWHERE], evidence(slices=listed), ["good"])
    assert verdict.reason.endswith("East x network (missing) and 1 more")


def test_a_passing_gate_shows_the_place_that_passes_by_the_least(
    scorecard: Any, evidence: Any
) -> None:
    card = scorecard({("East", "network"): {"value": 0.72}})
    (verdict,) = judge([EVERYWHERE], evidence(card), ["good"])
    assert verdict.verdict == "PASS"
    assert verdict.scope == "East x network"
    assert verdict.reason == (
        "all 4 slices pass; the closest is East x network with 0.720 (0.670 to 0.770), all of it"
        " at least 0.6"
    )


def test_a_failing_margin_fails_although_one_of_its_slices_is_missing_and_says_so(
    scorecard: Any, slices: Any, evidence: Any
) -> None:
    listed = slices({("West", "regional"): {"state": "missing"}})
    card = scorecard({(None, None): {"value": 0.2}})
    (verdict,) = judge([OVERALL], evidence(card, slices=listed), ["good"])
    assert verdict.verdict == "FAIL"
    assert verdict.reason == (
        "recall is 0.200 (0.150 to 0.250), all of it below 0.6, though 1 of 4 slices is missing"
    )


def test_a_place_that_was_measured_twice_cannot_be_judged(scorecard: Any, evidence: Any) -> None:
    card = pd.concat([scorecard(), scorecard(value=0.99)])
    (verdict,) = judge([OVERALL], evidence(card), ["good"])
    assert verdict.verdict == "INSUFFICIENT EVIDENCE"
    assert verdict.reason == "recall is recorded 2 times"


def test_a_measured_slice_that_the_audit_does_not_list_cannot_be_judged(
    slices: Any, evidence: Any
) -> None:
    listed = slices()
    listed = listed[listed["geography"] != "East"]
    (verdict,) = judge([EVERYWHERE], evidence(slices=listed), ["good"])
    assert verdict.verdict == "INSUFFICIENT EVIDENCE"
    assert "not among the slices that the audit lists" in verdict.reason


def test_a_candidate_without_any_listed_slice_cannot_be_judged(slices: Any, evidence: Any) -> None:
    (verdict,) = judge([OVERALL], evidence(slices=slices().iloc[:0]), ["good"])
    assert verdict.verdict == "INSUFFICIENT EVIDENCE"
    (outcome,) = decide_outcomes([verdict], slices().iloc[:0], ["good"])
    assert outcome.outcome == "undecided"
    assert "no slice of this candidate is recorded" in outcome.reason


def test_a_gate_for_a_candidate_that_is_not_there_gives_a_verdict_that_says_so(
    evidence: Any,
) -> None:
    gate = MetricGate(metric="recall", at_least=0.6, candidate="goood")
    (verdict,) = judge([gate], evidence(), ["good"])
    assert verdict.candidate == "goood"
    assert verdict.verdict == "INSUFFICIENT EVIDENCE"
    assert verdict.reason == "the audit has no candidate 'goood'"


def test_a_gate_for_one_candidate_is_not_judged_for_the_others(
    scorecard: Any, slices: Any, evidence: Any
) -> None:
    card = pd.concat([scorecard(), scorecard(candidate="other")])
    listed = slices(candidates=["good", "other"])
    gate = MetricGate(metric="recall", at_least=0.6, candidate="other")
    assert [
        v.candidate for v in judge([gate], evidence(card, slices=listed), ["good", "other"])
    ] == ["other"]


def test_a_value_just_under_its_limit_is_not_written_as_the_limit(
    scorecard: Any, evidence: Any
) -> None:
    card = scorecard({(None, None): {"value": 0.59999}})
    gate = OVERALL.model_copy(update={"decide_on": "value"})
    (verdict,) = judge([gate], evidence(card), ["good"])
    assert (verdict.verdict, verdict.decided_on) == ("FAIL", "value")
    assert verdict.gate == "recall overall at least 0.6, decided on the value"
    assert verdict.reason == "recall is 0.59999, below 0.6"


def test_the_order_of_the_scorecard_does_not_change_a_verdict(
    scorecard: Any, evidence: Any
) -> None:
    card = scorecard({("East", "network"): {"value": 0.41}})
    assert judge([EVERYWHERE], evidence(card), ["good"]) == judge(
        [EVERYWHERE], evidence(card.iloc[::-1]), ["good"]
    )


def test_all_required_gates_and_all_slices_make_a_candidate_certified(
    slices: Any, evidence: Any
) -> None:
    verdicts = judge([OVERALL, EVERYWHERE], evidence(), ["good"])
    (outcome,) = decide_outcomes(verdicts, slices(), ["good"])
    assert outcome.outcome == "certified"
    assert outcome.reason == "all 2 required gates pass, and all 4 slices are current"


def test_a_missing_slice_undecides_a_candidate_whose_gates_do_not_look_at_it(
    slices: Any, evidence: Any
) -> None:
    listed = slices({("West", "regional"): {"state": "missing"}})
    verdicts = judge([OVERALL], evidence(), ["good"])
    (outcome,) = decide_outcomes(verdicts, listed, ["good"])
    assert verdicts[0].verdict == "PASS"
    assert outcome.outcome == "undecided"
    assert outcome.reason == "1 of 4 slices is missing (West x regional)"


def test_a_required_failure_outweighs_what_is_missing(
    scorecard: Any, slices: Any, evidence: Any
) -> None:
    listed = slices({("West", "regional"): {"state": "missing"}})
    card = scorecard({("East", "network"): {"value": 0.1}})
    verdicts = judge([EVERYWHERE, OVERALL], evidence(card, slices=listed), ["good"])
    (outcome,) = decide_outcomes(verdicts, listed, ["good"])
    assert outcome.outcome == "not certified"
    assert outcome.reason == "1 of 2 required gates fails: recall of each slice at least 0.6"


def test_a_gate_that_is_not_required_decides_nothing(slices: Any, evidence: Any) -> None:
    optional = MetricGate(metric="recall", at_least=0.99, required=False)
    verdicts = judge([OVERALL, optional], evidence(), ["good"])
    assert [verdict.verdict for verdict in verdicts] == ["PASS", "FAIL"]
    assert decide_outcomes(verdicts, slices(), ["good"])[0].outcome == "certified"
    assert decide_outcomes(verdicts[1:], slices(), ["good"])[0].outcome == "undecided"


def test_an_audit_without_gates_certifies_nobody(slices: Any, evidence: Any) -> None:
    assert judge([], evidence(), ["good"]) == []
    (outcome,) = decide_outcomes([], slices(), ["good"])
    assert (outcome.outcome, outcome.reason) == ("undecided", "the audit declares no gate")


def test_the_number_of_cases_that_would_decide_does_decide(scorecard: Any, evidence: Any) -> None:
    def judged(value: float, half: float) -> Any:
        row = {"value": value, "low": value - half, "high": value + half}
        (verdict,) = judge([OVERALL], evidence(scorecard({(None, None): row})), ["good"])
        return verdict

    undecided = judged(0.64, 0.05)
    assert undecided.verdict == "INSUFFICIENT EVIDENCE"
    # 200 cases, times (0.05 / 0.04)^2 for the interval to end at the limit, times (1 + 0.842 /
    # 1.960)^2 for doing so in 80 of 100 samples; rounded up to two figures.
    exact = 200 * 1.25**2 * (1 + 0.8416212 / 1.9599640) ** 2
    assert undecided.needed_cases == math.ceil(exact / 10) * 10
    assert undecided.reason.endswith("; about 640 cases there in all would decide it")
    narrower = 0.05 * math.sqrt(200 / undecided.needed_cases)
    assert judged(0.64, narrower).verdict == "PASS"
    assert judged(0.56, 0.05).needed_cases == undecided.needed_cases


@pytest.mark.parametrize("value", [0.6, 0.615, 0.585])
def test_a_value_that_is_at_its_limit_or_near_is_not_decided_by_more_data(
    scorecard: Any, evidence: Any, value: float
) -> None:
    card = scorecard({(None, None): {"value": value}})
    (verdict,) = judge([OVERALL], evidence(card), ["good"])
    assert (verdict.verdict, verdict.needed_cases) == ("INSUFFICIENT EVIDENCE", None)
    too_near = "; the value is too near to the limit to be decided by more data"
    assert verdict.reason.endswith(f"and the limit 0.6 lies within{too_near}")


def _open_scope(**changes: Any) -> ScopeVerdict:
    """Decide one scope whose interval holds the limit of 0.6."""
    fields = {"value": 0.64, "low": 0.59, "high": 0.69, "n": 2800, "n_effective": 900.0}
    measured = {**fields, **{name: changes.pop(name) for name in fields if name in changes}}
    measurement = replace(Measurement.of_count(0.0, None), **measured)
    item = GateInput(limits=Limits(at_least=0.6), measurement=measurement, **changes)
    (found,) = decide([item], "bound", 0.95, simultaneous=False)
    assert found.verdict == "INSUFFICIENT EVIDENCE"
    return found


def test_where_cases_come_in_clusters_the_clusters_that_would_decide_are_told() -> None:
    # With Student's quantiles of 28 days now, 2.052, and of 84 then, 1.989:
    # 28 (0.05 / 0.04 (1.989 + 0.842) / 2.052)^2 = 83.3.
    found = _open_scope(clusters=28, cluster="day")
    assert found.why == "the limit 0.6 lies within; about 56 more days there would decide it"
    # The cases of all days, a hundred each.
    assert found.needed_cases == 8400
    assert "; about 56 more clusters there would decide it" in _open_scope(clusters=28).why
    # 200 (0.05 / 0.04 (1.964 + 0.842) / 1.972)^2 = 632.8.
    assert "; about 440 more clusters there" in _open_scope(clusters=200).why
    near = _open_scope(value=0.605, low=0.55, clusters=28)
    assert near.why.endswith("; the value is too near to the limit to be decided by more data")
    assert near.needed_cases is None


def test_an_interval_without_an_end_on_the_side_of_the_limit_tells_no_number_of_cases() -> None:
    found = _open_scope(low=None)
    assert found.why == "the limit 0.6 lies within"
    assert found.needed_cases is None


def test_a_failure_that_may_be_chance_among_many_places_is_not_called_one(
    scorecard: Any, evidence: Any
) -> None:
    # Its interval alone is just below the limit; as one of four places it may be so by chance.
    row = {"value": 0.549, "low": 0.499, "high": 0.599}
    card = scorecard({("West", "regional"): row})
    alone = MetricGate(metric="recall", geography="West", segment="regional", at_least=0.6)
    verdicts = judge([alone, EVERYWHERE], evidence(card), ["good"])
    assert [verdict.verdict for verdict in verdicts] == ["FAIL", "INSUFFICIENT EVIDENCE"]
    assert verdicts[1].needed_cases is not None
    assert "all of it below 0.6, which may be chance among 4 places" in verdicts[1].reason


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [(0.4, 0.5, "FAIL"), (0.65, 0.75, "PASS"), (0.55, 0.65, "INSUFFICIENT EVIDENCE")],
)
def test_where_the_interval_does_not_hold_the_value_the_interval_decides(
    scorecard: Any, evidence: Any, *, low: float, high: float, verdict: str
) -> None:
    card = scorecard({(None, None): {"value": 0.8, "low": low, "high": high}})
    (found,) = judge([OVERALL], evidence(card), ["good"])
    assert found.verdict == verdict
    assert f"0.800 ({low:.3f} to {high:.3f})" in found.reason


def test_a_gate_for_one_place_does_not_look_at_the_others(scorecard: Any, evidence: Any) -> None:
    card = scorecard({("West", None): {"value": 0.1}})
    gates = [MetricGate(metric="recall", geography=name, at_least=0.6) for name in ("West", "East")]
    west, east = judge(gates, evidence(card), ["good"])
    assert (west.verdict, west.scope, west.gate_level) == ("FAIL", "West", "place")
    assert (east.verdict, east.scope, east.level) == ("PASS", "East", "geography")
    assert west.gate == "recall of West at least 0.6"


@settings(max_examples=60)
@given(
    values=st.lists(st.sampled_from([0.1, 0.59, 0.6, 0.7, None]), min_size=4, max_size=4),
    states=st.lists(st.sampled_from(["current", "missing", "outdated"]), min_size=4, max_size=4),
)
def test_a_pass_over_slices_means_that_each_is_current_and_good(
    values: list[float | None], states: list[str]
) -> None:
    gate = EVERYWHERE.model_copy(update={"decide_on": "value"})
    places = [(g, s) for g in ("West", "East") for s in ("network", "regional")]
    card = pd.DataFrame(
        [
            {
                "candidate": "good",
                "level": "geography x segment",
                "geography": g,
                "segment": s,
                "metric": "recall",
                "value": value,
                "low": None,
                "high": None,
                "n": 50,
                "n_effective": 20.0,
                "status": "undefined" if value is None else "ok",
                "reason": None,
            }
            for (g, s), value in zip(places, values, strict=True)
        ]
    )
    listed = pd.DataFrame(
        [
            {
                "candidate": "good",
                "geography": g,
                "segment": s,
                "state": state,
                "error": None,
                "content_version": None,
            }
            for (g, s), state in zip(places, states, strict=True)
        ]
    )
    found = Scorecard(measurements=card, slices=listed)
    (verdict,) = judge([gate], GateEvidence(scorecard=found, confidence=0.95), ["good"])
    pairs = list(zip(values, states, strict=True))
    bad = any(v is not None and v < 0.6 and s == "current" for v, s in pairs)
    good = all(v is not None and v >= 0.6 and s == "current" for v, s in pairs)
    assert (verdict.verdict == "FAIL") == bad
    assert (verdict.verdict == "PASS") == good
