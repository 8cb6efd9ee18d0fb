from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from evaluator.certification import Waiver, decide_outcomes, judge
from evaluator.spec import MetricGate

NOW = datetime(2026, 3, 9, tzinfo=UTC)
GATES = [MetricGate(metric="recall", at_least=0.6), MetricGate(metric="recall", at_least=0.9)]


def _waiver(gate: str = "recall overall at least 0.9", **changes: Any) -> Waiver:
    fields: dict[str, Any] = {
        "candidate": "good",
        "gate": gate,
        "waived_by": "Ada Bell",
        "reason": "a fix is under way",
        "until": NOW + timedelta(days=30),
    }
    return Waiver(**(fields | changes))


def test_a_waived_failure_is_still_not_certified_and_says_what_it_would_be(
    evidence: Any, slices: Any
) -> None:
    verdicts = judge(GATES, evidence(), ["good"])
    (outcome,) = decide_outcomes(verdicts, slices(), ["good"], waivers=[_waiver()], now=NOW)

    assert [verdict.verdict for verdict in verdicts] == ["PASS", "FAIL"]
    assert outcome.outcome == "not certified"
    assert outcome.qualified_by.after_waivers == "certified"
    assert outcome.reason == "1 of 2 required gates fails: recall overall at least 0.9"
    assert outcome.in_words == (
        "not certified, with 1 waived gate (without it certified, on a person's word)"
    )
    assert outcome.qualified_by.lines() == [
        "waived until 2026-04-08 by Ada Bell (a fix is under way): recall overall at least 0.9"
    ]


def test_a_waiver_of_one_failure_leaves_the_other(evidence: Any, slices: Any) -> None:
    gates = [*GATES, MetricGate(metric="recall", at_least=0.95)]
    verdicts = judge(gates, evidence(), ["good"])
    (outcome,) = decide_outcomes(verdicts, slices(), ["good"], waivers=[_waiver()], now=NOW)
    assert outcome.qualified_by.after_waivers == "not certified"


def test_a_waiver_cannot_stand_for_a_slice_that_is_missing(evidence: Any, slices: Any) -> None:
    listed = slices({("West", "regional"): {"state": "missing"}})
    verdicts = judge(GATES, evidence(slices=listed), ["good"])
    waivers = [_waiver(), _waiver("recall overall at least 0.6")]
    (outcome,) = decide_outcomes(verdicts, listed, ["good"], waivers=waivers, now=NOW)
    assert outcome.qualified_by.after_waivers == "undecided"


def test_a_waiver_of_a_gate_that_passes_changes_nothing(evidence: Any, slices: Any) -> None:
    verdicts = judge(GATES, evidence(), ["good"])
    waivers = [_waiver("recall overall at least 0.6")]
    plain = decide_outcomes(verdicts, slices(), ["good"])
    assert decide_outcomes(verdicts, slices(), ["good"], waivers=waivers, now=NOW) == plain


def test_a_waived_gate_that_is_not_required_is_said_beside_the_outcome_once(
    evidence: Any, slices: Any
) -> None:
    gates = [GATES[0], GATES[1].model_copy(update={"required": False})]
    verdicts = judge(gates, evidence(), ["good"])
    (plain,) = decide_outcomes(verdicts, slices(), ["good"])
    assert plain.in_words == "certified, with 1 optional gate failed"
    (outcome,) = decide_outcomes(verdicts, slices(), ["good"], waivers=[_waiver()], now=NOW)
    assert outcome.in_words == "certified, with 1 waived gate"
    assert outcome.qualified_by.after_waivers is None
    # Once it has ended, or was taken back, the gate is a failed one again.
    assert outcome.qualified_by.with_waivers(verdicts, []) == plain.qualified_by


def test_a_waiver_ends_at_its_moment(evidence: Any, slices: Any) -> None:
    verdicts = judge(GATES, evidence(), ["good"])
    waivers = [_waiver(until=NOW)]
    (ended,) = decide_outcomes(verdicts, slices(), ["good"], waivers=waivers, now=NOW)
    before = NOW - timedelta(seconds=1)
    (lasting,) = decide_outcomes(verdicts, slices(), ["good"], waivers=waivers, now=before)
    found = [one.qualified_by.after_waivers for one in (ended, lasting)]
    assert found == [None, "certified"]


@pytest.mark.parametrize("now", [None, datetime(2026, 3, 9)])  # noqa: DTZ001  # the mistake under test
def test_waivers_without_a_moment_are_refused(
    evidence: Any, slices: Any, now: datetime | None
) -> None:
    verdicts = judge(GATES, evidence(), ["good"])
    with pytest.raises(ValueError, match="time zone"):
        decide_outcomes(verdicts, slices(), ["good"], waivers=[_waiver()], now=now)
