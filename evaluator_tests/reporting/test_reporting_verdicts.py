"""Verdicts on bounds, on the page and in the terminal."""

import dataclasses
from datetime import UTC, datetime, timedelta
from html import unescape

from evaluator.certification import Verdict, Waiver, decide_outcomes
from evaluator.reporting import DashboardContent
from evaluator.reporting._overview import verdict_groups
from evaluator_tests.reporting.made_findings import make_verdict
from evaluator_tests.reporting.shown import lines_of, section


def test_a_verdict_shows_its_interval_against_the_limit_and_what_would_decide(
    content: DashboardContent,
) -> None:
    unsure = make_verdict(
        value=0.81,
        low=0.75,
        high=0.86,
        verdict="INSUFFICIENT EVIDENCE",
        needed_cases=21_416,
        says="It tells late from punctual",
        reason="the limit lies within the interval",
    )
    changed = dataclasses.replace(content, verdicts=[unsure])
    words = section(changed, "verdicts")
    assert "It tells late from punctual ROC AUC overall at least 0.8" in words
    assert "About 22,000 cases would decide." in words
    assert "0.750 to 0.860" in words
    assert "on the value alone" not in words
    line = "It tells late from punctual: the limit lies within the interval; about 22,000 cases"
    assert line in lines_of(changed)
    (row,) = verdict_groups(changed)["gradient_boosting"]
    assert row.plot is not None
    assert row.plot.mark == 50
    assert (row.plot.low or 0) < 50 < row.plot.dot < (row.plot.high or 0)


def test_what_would_decide_is_said_once(content: DashboardContent) -> None:
    verdict = make_verdict(
        verdict="INSUFFICIENT EVIDENCE",
        needed_cases=22_000,
        reason="the limit lies within; about 60 more days there would decide it",
    )
    changed = dataclasses.replace(content, verdicts=[verdict])
    assert section(changed, "verdicts").count("would decide") == 1
    lines = lines_of(changed).partition("\nVerdicts\n")[2]
    assert lines.count("would decide") == 1


def test_an_interval_with_one_end_is_drawn_to_the_edge(content: DashboardContent) -> None:
    weak = make_verdict(value=0.1, low=0.06, high=None, limit=0.05, minimum=None, maximum=0.05)
    changed = dataclasses.replace(content, verdicts=[weak])
    (row,) = verdict_groups(changed)["gradient_boosting"]
    assert row.plot is not None
    assert row.plot.low is not None
    assert row.plot.high == 95
    assert 50 < row.plot.low < row.plot.dot
    assert "0.060 or more &le;&nbsp;0.05" in section(changed, "verdicts")


def test_a_verdict_on_the_value_alone_is_shown_as_such(content: DashboardContent) -> None:
    verdict = make_verdict(decided_on="value", required=False)
    words = section(dataclasses.replace(content, verdicts=[verdict]), "verdicts")
    assert "PASS on the value alone, whatever its interval" in words
    assert "not required" in words


def test_a_verdict_without_a_value_has_no_drawing(content: DashboardContent) -> None:
    nothing = make_verdict(
        value=None, low=None, high=None, n=None, limit=None, verdict="INSUFFICIENT EVIDENCE"
    )
    groups = verdict_groups(dataclasses.replace(content, verdicts=[nothing]))
    assert [row.plot for row in groups["gradient_boosting"]] == [None]


NOW = datetime(2026, 3, 9, 8, 57, tzinfo=UTC)


def _with_waivers(content: DashboardContent, verdicts: list[Verdict]) -> DashboardContent:
    """Give one candidate, all of whose gates somebody waived."""
    candidate = content.candidates[0]
    waivers = [
        Waiver(
            candidate=candidate.name,
            gate=gate,
            waived_by="ada",
            reason="the label comes late",
            until=NOW + timedelta(days=30),
        )
        for gate in {verdict.gate: None for verdict in verdicts}
    ]
    own = [dataclasses.replace(verdict, candidate=candidate.name) for verdict in verdicts]
    outcomes = decide_outcomes(
        own,
        content.scorecard.slices,
        [candidate.name],
        waivers=waivers,
        now=NOW,
        allowed_missing=99,
    )
    return dataclasses.replace(content, candidates=[candidate], verdicts=own, outcomes=outcomes)


def test_waived_gates_stand_at_the_top_on_the_card_in_their_rows_and_in_the_terminal(
    content: DashboardContent,
) -> None:
    changed = _with_waivers(
        content,
        [
            make_verdict(verdict="FAIL", value=0.5, gate="recall overall at least 0.8"),
            make_verdict(verdict="PASS", value=0.9, gate="ROC AUC overall at least 0.8"),
        ],
    )
    top = section(changed, "outcome")
    assert "No candidate is certified" in top
    assert "With 1 waived gate (without it certified, on a person's word)" in unescape(top)
    # Only what does not pass needs a waiver; one for a gate that passes counts for nothing.
    rows = section(changed, "verdicts")
    assert rows.count("Waived") == 1
    assert "FAIL Waived by ada until 8 April 2026, 08:57 UTC: The label comes late." in rows
    text = lines_of(changed)
    assert "NOT CERTIFIED, 1 of 2 required gates passed, with 1 waived gate (without it" in text
    assert text.count("WAIVED by ada until 2026-04-08 08:57 UTC: the label comes late") == 1


def test_waivers_that_do_not_help_say_so_too(content: DashboardContent) -> None:
    changed = _with_waivers(
        content,
        [
            make_verdict(verdict="FAIL", value=0.5, gate="recall overall at least 0.8"),
            make_verdict(verdict="FAIL", value=0.5, gate="ROC AUC overall at least 0.8"),
        ],
    )
    top = section(changed, "outcome")
    assert "With 2 waived gates (without them undecided, on a person's word)" in unescape(top)


def test_a_page_without_waivers_speaks_of_none(content: DashboardContent) -> None:
    assert "waive" not in (section(content, "outcome") + section(content, "verdicts")).lower()
    assert "WAIVED" not in lines_of(content)
