"""What is known of days is stored as it is, and the first accepted days are the reference."""

from typing import Any

import pytest

from evaluator.certification import (
    asks_about_days,
    asks_about_drift,
    days_document,
    read_days,
    with_reference,
)
from evaluator.errors import EvidenceError
from evaluator.scorecard import DayFacts
from evaluator.spec import AuditSpec
from evaluator_tests.certification.evidence_spec import SPEC


def day(number: int, **changes: Any) -> DayFacts:
    fields: dict[str, Any] = {"rows": 10, "quarantined": 1}
    return DayFacts(day=f"2026-01-{number:02}", **(fields | changes))


def spec_of(*, drift: dict[str, Any], gates: list[dict[str, Any]]) -> AuditSpec:
    fields = SPEC.model_dump(mode="json", exclude_unset=True)
    fields["data"]["drift"] = drift
    fields["gates"] = gates
    return AuditSpec.model_validate(fields)


def test_the_first_accepted_days_are_the_reference_whatever_their_order() -> None:
    spec = spec_of(drift={"reference_days": 2}, gates=[])
    waiting = day(1, rows=None, quarantined=None)
    days = [day(5), day(4), day(3), day(2, refused="it is broken"), waiting]
    marked = with_reference(spec, days)
    assert [one.day[-1] for one in marked] == [*"12345"]
    assert [one.is_reference for one in marked] == [False, False, True, True, False]


def test_where_a_file_is_the_reference_no_day_is() -> None:
    spec = spec_of(drift={"reference_file": "reference.csv"}, gates=[])
    assert not any(one.is_reference for one in with_reference(spec, [day(1), day(2)]))


def test_facts_come_back_as_they_were_stored() -> None:
    days = [day(1, is_reference=True), day(2, refused="x"), day(3, drift={"a": {"m": 0.25}})]
    assert read_days(days_document(days)) == days


@pytest.mark.parametrize("content", [b"", b"{", b'[{"day": "soon"}]', b'[{"rows": 3}]', b"[7]"])
def test_what_holds_no_facts_is_refused_in_a_sentence(content: bytes) -> None:
    with pytest.raises(EvidenceError, match="no facts about days"):
        read_days(content)


def test_days_are_asked_about_only_where_a_gate_looks_at_them() -> None:
    metric = {"metric": "accuracy", "at_least": 0.5}
    quality = {"kind": "data_quality", "refused_days_at_most": 0}
    drift = {"kind": "drift", "drift_below": 0.2}
    for gates, days, contents in (
        ([metric], False, False),
        ([metric, quality], True, False),
        ([drift], True, True),
    ):
        spec = spec_of(drift={}, gates=gates)
        assert (asks_about_days(spec), asks_about_drift(spec)) == (days, contents)
