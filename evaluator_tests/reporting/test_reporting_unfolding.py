"""Sections that unfold, and what their lines say of them."""

import re
from dataclasses import replace

import pytest

from evaluator.reporting import DashboardContent, render_dashboard
from evaluator.reporting._fairness import fairness_finding
from evaluator.reporting._formatting import first_words
from evaluator.reporting._overview import headline_finding, headline_rows, verdict_finding
from evaluator.reporting._slices import heat_maps, map_finding
from evaluator.reporting._weak_slices import weak_finding, weak_groups
from evaluator_tests.reporting.made_findings import make_verdict
from evaluator_tests.reporting.shown import names_of, section, with_scorecard


def test_every_section_but_the_answer_is_closed_and_says_what_it_found(
    content: DashboardContent,
) -> None:
    html = render_dashboard(content)
    lines = re.findall(r'<details class="fold">\n<summary><h2 id="(.*?)-title">.*?</h2>', html)
    assert len(lines) == len(re.findall(r'<section id="', html)) - 1
    assert "outcome" not in lines
    assert re.findall(r'<li><a href="#(.*?)">', html) == lines
    for words in re.findall(r'<span class="finding">(.*?)</span>', html):
        assert re.search(r"\w.*\.$", words)


def test_a_finding_names_what_is_worst_and_for_whom(content: DashboardContent) -> None:
    fair = fairness_finding(content.fairness_gaps)
    assert re.match(r"\d+ of 72 gaps are beyond their limit, widest .+ by .+, .+ against ", fair)
    assert re.search(r": ratio 0\.\d{3} \(\w+\)$", fair)
    differences = [gap for gap in content.fairness_gaps if not gap.is_ratio]
    beyond = [replace(gap, verdict="FAIL") for gap in differences]
    assert re.search(r": [+\u2212]0\.\d{3} \(\w+\)$", fairness_finding(beyond))
    maps = heat_maps(content, "roc_auc")
    assert "ROC AUC is lowest on Mountain x " in map_finding(maps, "roc_auc")
    assert map_finding([], "log_loss") == "no slice has enough cases for log loss"
    weak = weak_finding(weak_groups(content.scorecard, names_of(content)), [])
    assert re.match(r"\d+ confirmed, with the most harm .+ \(\w+\)$", weak)
    figures = headline_finding(headline_rows(content), content.headline_metrics)
    assert re.match(r"accuracy from 0\.\d+ \(schedule_only\) to 0\.\d+ \(\w+\)$", figures)


def test_a_finding_without_a_fault_says_so(content: DashboardContent) -> None:
    passed = [replace(gap, verdict="PASS") for gap in content.fairness_gaps]
    assert fairness_finding(passed) == ("none of 72 gaps is shown to be beyond its limit, 0 open")
    plain = [replace(gap, verdict=None) for gap in content.fairness_gaps]
    assert fairness_finding(plain) == "72 gaps, none of them with a limit"
    assert verdict_finding([]) == "no gate is declared"
    assert verdict_finding([make_verdict(), make_verdict(verdict="FAIL")]) == "1 FAIL, 1 PASS"
    current = with_scorecard(content, slices=content.scorecard.slices.assign(state="current"))
    assert "Nothing: all 60 slices current." in section(current, "gaps")


def test_a_long_reason_is_cut_to_its_first_words_and_the_rest_unfolds(
    content: DashboardContent,
) -> None:
    names = ["Eastern", "Central", "Mountain"]
    within = "(0.835 (0.740 to 0.897), and the limit 0.8 lies within; about 120 more days would do)"
    reason = f"3 of 18 geographies are not decided: {', '.join(f'{n} {within}' for n in names)}"
    verdict = make_verdict(verdict="INSUFFICIENT EVIDENCE", reason=f"{reason} and 9 more")
    html = render_dashboard(replace(content, verdicts=[verdict]))
    short = "3 of 18 geographies are not decided: Eastern, Central, Mountain and 9 more."
    cut = f'<details class="rest"><summary>{short}</summary>{reason} and 9 more.</details>'
    assert cut in html


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("short (as it is)", "short (as it is)"),
        (f"a ({'b' * 200}), c", "a, c"),
        (f"a (never closed {'b ' * 100}", f"a (never closed {'b ' * 62}\u2026"),
        ("b" * 200, f"{'b' * 140} \u2026"),
    ],
)
def test_the_first_words_of_a_text_leave_no_half_of_a_remark(text: str, said: str) -> None:
    assert first_words(text) == said
