import re
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pandas as pd

from evaluator.certification import Waiver, decide_outcomes
from evaluator.reporting import (
    DashboardContent,
    Notice,
    fit_notices,
    height,
    outcome_table,
    scorecard_notices,
    summary_lines,
)
from evaluator.reporting._formatting import NO_VALUE
from evaluator.scorecard import Scorecard
from evaluator_tests.reporting.shown import clustered


def _lines(content: DashboardContent) -> list[str]:
    return summary_lines(
        outcomes=content.outcomes,
        verdicts=content.verdicts,
        scorecard=Scorecard(
            measurements=content.scorecard.measurements, slices=content.scorecard.slices
        ),
        fairness_gaps=[],
        headline_metrics=content.headline_metrics,
        standout_metrics=content.standout_metrics,
    )


def test_the_summary_names_outcomes_gaps_and_what_did_not_pass(content: DashboardContent) -> None:
    text = "\n".join(_lines(content))
    assert re.search(r"gradient_boosting +CERTIFIED, 2 of 2 required gates passed", text)
    assert re.search(r"schedule_only +NOT CERTIFIED", text)
    assert "FAIL  ROC AUC overall at least 0.8: ROC AUC is 0." in text
    assert "logistic_regression: 1 slice missing: Pacific x regional (ValueError" in text
    assert "random_forest: 1 slice outdated: Central x low-cost" in text


def test_the_table_of_figures_is_aligned(content: DashboardContent) -> None:
    lines = _lines(content)
    table = lines[1 : lines.index("")]
    assert len(table) == 1 + len(content.candidates)
    assert len({len(line) for line in table}) == 1
    assert "ROC AUC" in table[0]


def test_clusters_and_design_effects_stand_below_each_candidate(content: DashboardContent) -> None:
    lines = _lines(clustered(content))
    table = lines[1 : lines.index("")]
    assert len(table) == 1 + 2 * len(content.candidates)
    assert len({len(line) for line in table}) == 1
    assert re.fullmatch(r"    design effect +26 clusters +4\.8( +1\.0){6}", table[2])
    assert "design effect" not in "\n".join(_lines(content))


def test_a_figure_that_is_not_there_is_said_to_be_missing_or_undefined(
    content: DashboardContent,
) -> None:
    card = content.scorecard.measurements.copy()
    overall = card["level"] == "overall"
    card.loc[overall & (card["metric"] == "recall"), ["value", "status"]] = [None, "undefined"]
    card = card[~(overall & (card["metric"] == "f1"))]
    line = summary_lines(
        outcomes=content.outcomes,
        verdicts=[],
        scorecard=replace(content.scorecard, measurements=card),
        fairness_gaps=[],
        headline_metrics=["recall", "f1"],
        standout_metrics=[],
    )[2]
    assert re.fullmatch(r"  gradient_boosting +8,\d{3}  undefined  missing", line)


def test_an_audit_with_nothing_in_it_says_so() -> None:
    columns = ["candidate", "level", "geography", "segment", "metric", "value", "low", "high"]
    empty = pd.DataFrame(columns=[*columns, "n", "n_effective", "status", "reason"])
    slices = pd.DataFrame(
        columns=["candidate", "geography", "segment", "state", "error", "content_version"]
    )
    lines = summary_lines(
        outcomes=decide_outcomes([], slices, ["one"]),
        verdicts=[],
        scorecard=Scorecard(measurements=empty, slices=slices),
        fairness_gaps=[],
        headline_metrics=["recall"],
        standout_metrics=["recall"],
    )
    assert "  no slice is recorded" in lines
    assert "  one  UNDECIDED, the audit declares no gate" in lines
    assert any(line.endswith("missing") for line in lines)


def test_no_name_from_the_data_can_steer_the_terminal(content: DashboardContent) -> None:
    slices = content.scorecard.slices.copy()
    slices["error"] = "\x1b[2J\x1b]0;owned\x07\nFAKE PASS"
    slices["state"] = "missing"
    lines = summary_lines(
        outcomes=content.outcomes,
        verdicts=content.verdicts,
        scorecard=replace(content.scorecard, slices=slices),
        fairness_gaps=[],
        headline_metrics=content.headline_metrics,
        standout_metrics=content.standout_metrics,
    )
    assert all(line.isprintable() for line in lines)


SHOW = "evaluator show flights"


def _table(content: DashboardContent, **changes: Any) -> list[str]:
    settings: dict[str, Any] = {
        "outcomes": content.outcomes,
        "verdicts": content.verdicts,
        "scorecard": content.scorecard,
        "fairness_gaps": content.fairness_gaps,
        "headline_metric": "roc_auc",
        "command": SHOW,
    }
    return outcome_table(**(settings | changes))


def test_the_table_has_a_row_a_candidate_with_what_stands_against_it(
    content: DashboardContent,
) -> None:
    lines = _table(content)
    assert lines[-1] == "  All intervals take cases as independent."
    assert [line.split()[0] for line in lines[2:-1]] == [o.candidate for o in content.outcomes]
    for outcome, line in zip(content.outcomes, lines[2:-1], strict=True):
        own = [v.verdict for v in content.verdicts if v.candidate == outcome.candidate]
        cells = re.split(r" {2,}", line.strip())
        assert cells[1] == outcome.outcome.upper()
        assert re.fullmatch(r"0\.\d{3} \(0\.\d{3} to 0\.\d{3}\)", cells[2])
        assert [int(cell) for cell in (cells[3], cells[4], cells[5], cells[7])] == [
            own.count("FAIL"),
            own.count("INSUFFICIENT EVIDENCE"),
            len(outcome.qualified_by.gaps_failed),
            len(outcome.qualified_by.weak_slices),
        ]
    assert any("CERTIFIED" in line for line in lines)


def test_what_was_not_decided_or_searched_is_a_dash_and_no_zero(content: DashboardContent) -> None:
    alone = Scorecard(measurements=content.scorecard.measurements, slices=content.scorecard.slices)
    line = _table(content, verdicts=[], scorecard=alone, fairness_gaps=[])[2]
    assert re.fullmatch(rf"  gradient_boosting +[A-Z ]+ 0\.\d+ \(.*\)( +{NO_VALUE}){{5}}", line)


def test_waived_gates_are_counted_beside_the_outcome_where_there_are_any(
    content: DashboardContent,
) -> None:
    first = content.outcomes[0]
    waiver = Waiver(
        candidate=first.candidate,
        gate="a gate",
        waived_by="Ada",
        reason="for now",
        until=datetime(2027, 1, 1, tzinfo=UTC),
    )
    qualified = replace(first.qualified_by, waived=(waiver,))
    lines = _table(content, outcomes=[replace(first, qualified_by=qualified)])
    column = lines[1].index("waived") + len("waived")
    assert lines[2][:column].endswith(" 1")
    assert "waived" not in "\n".join(_table(content))


def test_of_thirty_candidates_four_have_a_row_and_the_rest_is_counted_with_what_is_against_it(
    content: DashboardContent,
) -> None:
    thirty = [
        replace(content.outcomes[0], candidate=f"{'a_very_long_name_of_a_candidate_' * 3}{number}")
        for number in range(30)
    ]
    verdict = next(v for v in content.verdicts if v.candidate == content.outcomes[0].candidate)
    verdicts = [replace(verdict, candidate=one.candidate, verdict="FAIL") for one in thirty]
    lines = _table(content, outcomes=thirty, verdicts=verdicts)
    assert len(lines) == 2 + 4 + 1 + 1
    assert max(map(len, lines)) <= 100
    assert re.search(rf"and 26 more, 26 \w+ with 26 failed gates: {SHOW}", lines[-2])
    # Names that differ at their end alone are told apart.
    assert len({line.split()[0] for line in lines[2:6]}) == 4


def test_slices_that_are_not_current_are_named_with_their_reason(content: DashboardContent) -> None:
    names = [outcome.candidate for outcome in content.outcomes]
    lines = fit_notices(scorecard_notices(content.scorecard, names), 9, SHOW)
    text = " ".join(" ".join(lines).split())
    assert "logistic_regression: 1 slice missing: Pacific x regional (ValueError" in text
    assert "random_forest: 1 slice outdated: Central x low-cost" in text


def _many(thing: str, count: int) -> Notice:
    words = "the columns are other ones than the audit declares, and so are their values"
    return Notice(thing, [(f"day {n}", f"day {n} refused: {words} {n}") for n in range(count)])


def test_what_finds_no_room_is_named_and_what_comes_first_has_the_room() -> None:
    notices = [_many("fault", 2), _many("refused day", 40), _many("remark", 9)]
    lines = fit_notices(notices, 5, SHOW)
    assert len(lines) == height(lines) == 5
    assert lines[0].startswith("day 0 refused")
    assert lines[1].startswith("day 1 refused")
    assert lines[3].startswith("and 39 more refused days: day 1, day 2, day 3")
    assert lines[4] == "9 remarks: " + ", ".join(f"day {n}" for n in range(9))
    assert max(map(len, lines)) <= 100


def test_where_there_are_fewer_lines_than_kinds_the_last_kinds_are_counted() -> None:
    notices = [_many("fault", 2), _many("refused day", 1), _many("remark", 9), _many("note", 1)]
    assert fit_notices(notices, 3, SHOW)[2] == f"and 9 remarks, 1 note: {SHOW}"
    assert fit_notices([Notice("fault", [])], 3, SHOW) == []


def test_one_that_is_longer_than_the_room_is_cut_and_says_so() -> None:
    lines = fit_notices([Notice("fault", [("", "word " * 200)])], 3, SHOW)
    assert len(lines) == height(lines) == 3
    assert lines[2].endswith(" …")


def test_a_path_that_is_longer_than_a_line_is_left_whole_and_counted_as_its_lines() -> None:
    path = "/folder" * 30
    lines = fit_notices([Notice("fault", [("", f"Fault: {path} is gone")])], 9, SHOW)
    assert any(path in line for line in lines)
    assert height(lines) > len(lines)


def test_no_word_of_a_notice_can_steer_the_terminal() -> None:
    notice = Notice("fault", [("\x1b[2J", "\x1b]0;owned\x07\nFAKE"), ("\x1b[2J", "\x1b[2J")])
    for room in (1, 2, 3):
        assert all(line.isprintable() for line in fit_notices([notice], room, SHOW))
