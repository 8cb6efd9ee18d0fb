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
    assert outcome.after_waivers == "certified"
    assert outcome.reason == (
        "WITH 1 WAIVED GATE: recall overall at least 0.9 until 2026-04-08 by Ada Bell"
        " (a fix is under way); without it certified, as it stands not certified:"
        " 1 of 2 required gates fails: recall overall at least 0.9"
    )


def test_a_waiver_of_one_failure_leaves_the_other(evidence: Any, slices: Any) -> None:
    gates = [*GATES, MetricGate(metric="recall", at_least=0.95)]
    verdicts = judge(gates, evidence(), ["good"])
    (outcome,) = decide_outcomes(verdicts, slices(), ["good"], waivers=[_waiver()], now=NOW)
    assert outcome.after_waivers == "not certified"


def test_a_waiver_cannot_stand_for_a_slice_that_is_missing(evidence: Any, slices: Any) -> None:
    listed = slices({("West", "regional"): {"state": "missing"}})
    verdicts = judge(GATES, evidence(slices=listed), ["good"])
    waivers = [_waiver(), _waiver("recall overall at least 0.6")]
    (outcome,) = decide_outcomes(verdicts, listed, ["good"], waivers=waivers, now=NOW)
    assert outcome.after_waivers == "undecided"


def test_a_waiver_of_a_gate_that_passes_or_is_not_required_changes_nothing(
    evidence: Any, slices: Any
) -> None:
    gates = [GATES[0], GATES[1].model_copy(update={"required": False})]
    verdicts = judge(gates, evidence(), ["good"])
    waivers = [_waiver(), _waiver("recall overall at least 0.6")]
    plain = decide_outcomes(verdicts, slices(), ["good"])
    assert decide_outcomes(verdicts, slices(), ["good"], waivers=waivers, now=NOW) == plain
    assert plain[0].outcome == "certified"


def test_a_waiver_ends_at_its_moment(evidence: Any, slices: Any) -> None:
    verdicts = judge(GATES, evidence(), ["good"])
    waivers = [_waiver(until=NOW)]
    (ended,) = decide_outcomes(verdicts, slices(), ["good"], waivers=waivers, now=NOW)
    before = NOW - timedelta(seconds=1)
    (lasting,) = decide_outcomes(verdicts, slices(), ["good"], waivers=waivers, now=before)
    assert (ended.after_waivers, lasting.after_waivers) == (None, "certified")


@pytest.mark.parametrize("now", [None, datetime(2026, 3, 9)])  # noqa: DTZ001  # the mistake under test
def test_waivers_without_a_moment_are_refused(
    evidence: Any, slices: Any, now: datetime | None
) -> None:
    verdicts = judge(GATES, evidence(), ["good"])
    with pytest.raises(ValueError, match="time zone"):
        decide_outcomes(verdicts, slices(), ["good"], waivers=[_waiver()], now=now)
