"""Classes and what they are taken for: few as a matrix, of many the worst first."""

import re
from dataclasses import replace

import pandas as pd
import pytest

from evaluator.reporting import DashboardContent, render_dashboard
from evaluator.reporting._classes import (
    MOST_IN_MATRIX,
    class_groups,
    confusions,
    worst_classes,
)
from evaluator.scorecard import ClassFigure, Confusion, to_frame
from evaluator_tests.reporting.conftest import CANDIDATES
from evaluator_tests.reporting.made_findings import class_tables
from evaluator_tests.reporting.shown import section, with_scorecard

NAMES = [*CANDIDATES][:3]
BYTES = 1_500_000


def recall_of(name: str, value: float | None, low: float | None, high: float | None) -> ClassFigure:
    return ClassFigure(
        candidate=NAMES[0],
        class_=name,
        metric="class_recall",
        value=value,
        low=low,
        high=high,
        n=100,
        status="ok",
    )


def figures(*recalls: ClassFigure) -> pd.DataFrame:
    """Give a table in which all metrics of a class are as its recall."""
    names = ("class_recall", "class_precision", "class_f1", "class_share")
    rows = [replace(one, metric=name) for one in recalls for name in names]
    return to_frame(rows, ClassFigure)


def test_few_classes_are_a_matrix_in_their_order_with_counts_and_intervals(
    content: DashboardContent,
) -> None:
    few = with_scorecard(content, **class_tables(NAMES[:1], 3))
    (one,) = confusions(few)
    assert one.answers == ["class 0", "class 1", "class 2", "no answer"]
    assert [row.name for row in one.rows] == one.answers[:3]
    first = one.rows[0]
    assert first.of == sum(cell.found.n for cell in first.cells if cell is not None)
    taken = first.cells[1]
    assert taken is not None
    found = taken.found
    assert taken.says == (
        f"class 0 taken for class 1: {found.n} of {first.of},"
        f" {found.share:.3f} ({found.low:.3f} to {found.high:.3f})"
    )
    words = section(few, "confusion")
    assert f"{found.share:.3f} {found.low:.3f} to {found.high:.3f} n {found.n}" in words
    # The last class has no case.
    assert words.endswith("class 2 0 cases no case no case no case no case")
    assert f'title="{taken.says}"' in render_dashboard(few)


def test_what_is_right_is_told_from_what_is_wrong_and_both_from_what_is_few(
    content: DashboardContent,
) -> None:
    shares = {"a": 0.9, "b": 0.06, "c": 0.03, "d": 0.01}
    rows = [
        Confusion(
            candidate=NAMES[0],
            label=label,
            predicted=said,
            n=10,
            count=10.0,
            share=share,
            low=share / 2,
            high=min(1.0, 2 * share),
            status="ok" if label == "a" else "too_few",
        )
        for label in ("a", "b")
        for said, share in shares.items()
    ]
    classes = figures(*(recall_of(name, 0.9, 0.8, 0.95) for name in shares))
    shown = with_scorecard(content, confusion=to_frame(rows, Confusion), classes=classes)
    (one,) = confusions(shown)
    assert [[cell and cell.shade for cell in row.cells] for row in one.rows] == [
        [3, -1, -1, 0],
        [None] * 4,
        [None] * 4,
        [None] * 4,
    ]


def test_of_many_classes_those_come_first_that_are_surely_bad(content: DashboardContent) -> None:
    fine = [recall_of(f"class {n}", 0.9, 0.85, 0.94) for n in range(MOST_IN_MATRIX)]
    odd = [
        recall_of("never seen", None, None, None),
        recall_of("two cases", 0.5, 0.01, 0.99),
        recall_of("few", 0.2, None, None),
        recall_of("bad", 0.6, 0.55, 0.65),
        recall_of("worse", 0.62, 0.6, 0.64),
    ]
    many = with_scorecard(content, classes=figures(*odd, *fine))
    (group,) = class_groups(many)
    names = [row.name for row in group.rows]
    assert names[:2] == ["worse", "bad"]
    assert names[-3:] == ["two cases", "few", "never seen"]
    assert "The lowest recall is that of worse, 0.620 (0.600 to 0.640) with" in section(
        many, "classes"
    )


def test_a_page_of_90_classes_has_all_of_them_and_the_commonest_confusions(
    content: DashboardContent,
) -> None:
    many = with_scorecard(content, **class_tables(NAMES, 90, 400))
    html = render_dashboard(many)
    assert len(html.encode()) - len(render_dashboard(content).encode()) < BYTES
    words = section(many, "classes")
    assert "Of 90 classes 20 are shown; type a name to find any." in words
    for number in range(90):
        assert words.count(f" class {number} ") == len(NAMES)
    assert html.count('data-most="20"') == 2
    first, *_ = confusions(many)
    counts = [one.found.n for one in first.most]
    assert counts == sorted(counts, reverse=True)
    words = section(many, "confusion")
    assert words.startswith("Confusion Most often class 0 taken for class 1: ")
    assert f"20 of {first.confusions:,} pairs" in words
    assert len(re.findall(r"class 0 taken for class 1: \d+ of \d+, 0\.\d+ \(", words)) == 4


def test_the_worst_classes_of_a_candidate_are_named_in_a_line(content: DashboardContent) -> None:
    classes = figures(
        recall_of("fine", 0.9, 0.85, 0.94),
        recall_of("bad", 0.6, 0.55, 0.65),
        recall_of("never seen", None, None, None),
        recall_of("few", 0.2, None, None),
    )
    shown = with_scorecard(content, classes=classes)
    said = "bad 0.600 (0.550 to 0.650), fine 0.900 (0.850 to 0.940), few 0.200"
    assert worst_classes(shown, NAMES[0]) == said
    assert worst_classes(shown, NAMES[1]) == ""


@pytest.mark.parametrize("name", ["classes", "confusion", "residuals"])
def test_a_page_without_such_tables_has_no_such_section(
    content: DashboardContent, name: str
) -> None:
    assert f'<section id="{name}"' not in render_dashboard(content)


def test_where_nothing_is_confused_that_is_said(content: DashboardContent) -> None:
    right = Confusion(
        candidate=NAMES[0], label="a", predicted="a", n=9, count=9.0, share=1.0, status="too_few"
    )
    only = with_scorecard(content, confusion=to_frame([right], Confusion))
    words = section(only, "confusion")
    assert words.startswith("Confusion No case was taken for another class.")
    assert words.endswith("a 9 cases 1.000 n 9")
