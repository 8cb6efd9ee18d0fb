"""Verdicts on bounds, on the page and in the terminal."""

import dataclasses

from evaluator.reporting import DashboardContent
from evaluator.reporting.verdicts import verdict_groups
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
    told = make_verdict(
        verdict="INSUFFICIENT EVIDENCE",
        needed_cases=21_416,
        reason="the limit lies within; about 21,416 cases there would decide it",
    )
    changed = dataclasses.replace(content, verdicts=[told])
    assert section(changed, "verdicts").count("would decide") == 1
    assert lines_of(changed).count("would decide it") == lines_of(changed).count("21,416")


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
