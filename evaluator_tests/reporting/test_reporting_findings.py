"""What all findings have in common on the page and in the terminal."""

from typing import Any

import pandas as pd
import pyarrow as pa
import pytest

from evaluator.reporting import DashboardContent, render_dashboard
from evaluator.reporting._formatting import format_interval, format_p_value, format_rough
from evaluator_tests.reporting.shown import lines_of, section, with_scorecard

BASELINE = "logistic_regression"
EMPTY: dict[str, Any] = {
    "comparisons": pd.DataFrame(),
    "ranks": pd.DataFrame(),
    "fairness": pd.DataFrame(),
    "weak_slices": pd.DataFrame(),
    "weak_searches": {},
    "worsened": pd.DataFrame(),
}


def test_what_nobody_asked_for_has_no_section_and_no_line(content: DashboardContent) -> None:
    without = with_scorecard(content, **EMPTY)
    html = render_dashboard(without)
    for name in ("comparison", "fairness", "weak"):
        assert f'id="{name}"' not in html
        assert f'href="#{name}"' not in html
    for heading in ("Compared with", "Fairness", "Weak slices"):
        assert heading not in lines_of(without)
    # Empty frames that have their columns mean the same.
    no_rows = {
        name: getattr(content.scorecard, name).iloc[:0] for name in EMPTY if name != "weak_searches"
    }
    assert render_dashboard(with_scorecard(content, weak_searches={}, **no_rows)) == html


def test_tables_read_back_from_a_file_give_the_same_page(content: DashboardContent) -> None:
    frames = {name: getattr(content.scorecard, name) for name in EMPTY if name != "weak_searches"}
    stored = {
        name: pa.Table.from_pandas(frame, preserve_index=False).to_pandas()
        for name, frame in frames.items()
    }
    assert render_dashboard(with_scorecard(content, **stored)) == render_dashboard(content)


def test_the_terminal_spends_three_lines_a_candidate_and_finding_at_most(
    content: DashboardContent,
) -> None:
    text = lines_of(content)
    for heading in (f"Compared with {BASELINE}", "Fairness", "Weak slices"):
        block = text[text.index(f"\n{heading}\n") + 1 :].split("\n\n")[0].split("\n")
        assert 1 < len(block) <= 1 + 3 * len(content.candidates)


@pytest.mark.parametrize(
    ("count", "said"), [(1, "1"), (74, "74"), (101, "110"), (64_363, "65,000"), (99_500, "100,000")]
)
def test_a_guess_at_the_cases_needed_is_rounded_up(count: int, said: str) -> None:
    assert format_rough(count) == said


def test_small_p_values_and_missing_ends_are_said_in_words() -> None:
    assert [format_p_value(p) for p in (None, 0.0004, 0.0312)] == [
        "\N{EN DASH}",
        "< 0.001",
        "0.031",
    ]
    assert format_interval(None, None, has_sign=False) == ""
    assert format_interval(0.2, None, has_sign=False) == "0.200 or more"
    assert format_interval(None, 0.2, has_sign=True) == "+0.200 or less"
    assert format_interval(-0.339, -0.154, has_sign=True) == (
        "\N{MINUS SIGN}0.339 to \N{MINUS SIGN}0.154"
    )


def test_a_long_list_of_slices_without_evidence_is_cut_and_counted(
    content: DashboardContent,
) -> None:
    many = pd.concat(
        [
            content.scorecard.slices.assign(
                geography=f"place {n}", state="missing", error="it crashed"
            )
            for n in range(5)
        ],
        ignore_index=True,
    )
    words = section(with_scorecard(content, slices=many), "gaps")
    assert words.count("it crashed") == 200
    assert "300 of 300 slices are not current" in words
    assert "the first 200, all are in the scorecard" in words
