"""A waiver counts for one artifact of one candidate, for a while, and can be taken back."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from evaluator.certification import Ledger, waivers_in_force

NOW = datetime(2026, 2, 1, 12, tzinfo=UTC)
UNTIL = NOW + timedelta(days=3)
ARTIFACTS = {"one": "a" * 64, "two": "b" * 64}
GATE = "recall overall at least 0.5"


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    """Certificates of two candidates, and a waiver about the first."""
    ledger = Ledger(str(tmp_path), "shop")
    for subject, name in (("1" * 64, "one"), ("2" * 64, "two")):
        body = {
            "candidate": name,
            "outcome": "not certified",
            "artifact_digest": ARTIFACTS[name],
            "evaluation_set": "e" * 64,
            "valid_from": NOW,
            "valid_until": NOW + timedelta(days=90),
            "path": f"shop/{name}.dsse.json",
            "record_sha256": "c" * 64,
        }
        ledger.append(
            "certificate", subject=subject, author="a", reason="b", body=body, now=NOW, key=None
        )
    ledger.append(
        "waiver",
        subject="1" * 64,
        author="Ada",
        reason="a pilot",
        body={"gate": GATE, "until": UNTIL},
        now=NOW,
        key=None,
    )
    return ledger


def test_a_waiver_names_its_candidate_its_gate_and_the_entry_that_it_comes_from(
    ledger: Ledger,
) -> None:
    (found,) = waivers_in_force(ledger.entries(), ARTIFACTS, NOW)
    assert (found.waiver.candidate, found.waiver.gate) == ("one", GATE)
    assert (found.waiver.waived_by, found.waiver.reason) == ("Ada", "a pilot")
    assert found.waiver.until == UNTIL
    assert found.entry == ledger.head().digest


def test_another_artifact_of_the_candidate_needs_another_waiver(ledger: Ledger) -> None:
    assert waivers_in_force(ledger.entries(), {"one": "d" * 64, "two": "a" * 64}, NOW) == []
    assert waivers_in_force(ledger.entries(), {"one": None}, NOW) == []


def test_a_waiver_ends(ledger: Ledger) -> None:
    assert waivers_in_force(ledger.entries(), ARTIFACTS, UNTIL - timedelta(seconds=1))
    assert waivers_in_force(ledger.entries(), ARTIFACTS, UNTIL) == []


def test_a_waiver_that_was_taken_back_does_not_count(ledger: Ledger) -> None:
    ledger.append(
        "correction",
        subject="1" * 64,
        author="Ada",
        reason="the wrong one",
        body={"corrects": 3},
        now=NOW,
        key=None,
    )
    assert waivers_in_force(ledger.entries(), ARTIFACTS, NOW) == []


def test_a_waiver_that_was_entered_later_does_not_count_before(ledger: Ledger) -> None:
    assert waivers_in_force(ledger.entries()[:2], ARTIFACTS, NOW) == []
