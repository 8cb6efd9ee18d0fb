import re
from dataclasses import replace

import pandas as pd

from evaluator.certification import decide_outcomes
from evaluator.reporting import DashboardContent, summary_lines
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
