"""What page and terminal show of some content, as plain words."""

import re
from dataclasses import replace
from typing import Any, TypeVar

import numpy as np
import pandas as pd

from evaluator.reporting import DashboardContent, DocumentsContent, render_dashboard, summary_lines
from evaluator_tests.reporting.made_findings import decide

Content = TypeVar("Content", DashboardContent, DocumentsContent)


def with_scorecard(content: Content, **changes: Any) -> Content:
    """Give the content with some of its scorecard's fields changed, and its gaps decided anew."""
    scorecard = replace(content.scorecard, **changes)
    return replace(content, scorecard=scorecard, fairness_gaps=decide(scorecard))


def clustered(content: Content) -> Content:
    """Give the content as if its cases were clustered by day and weighted."""
    scorecard = content.scorecard
    tables = {
        name: table.assign(clusters=pd.array([26] * len(table), "Int64"))
        for name in ("measurements", "comparisons", "fairness")
        for table in [getattr(scorecard, name)]
    }
    is_accuracy = tables["measurements"]["metric"] == "accuracy"
    tables["measurements"]["design_effect"] = np.where(is_accuracy, 4.75, 1.04)
    assert content.evaluation_set is not None
    depending = replace(
        content.evaluation_set, cluster="day", weight="stands_for", rows_of_weight_zero=1_234
    )
    return with_scorecard(replace(content, evaluation_set=depending), **tables)


def names_of(content: DashboardContent) -> list[str]:
    return [candidate.name for candidate in content.candidates]


def section(content: DashboardContent, name: str) -> str:
    """Give the words of one section of the page."""
    html = render_dashboard(content)
    inside = html[html.index(f'<section id="{name}"') :]
    inside = inside[: inside.index("</section>")]
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", inside)).strip()


def lines_of(content: DashboardContent) -> str:
    return "\n".join(
        summary_lines(
            outcomes=content.outcomes,
            verdicts=content.verdicts,
            scorecard=content.scorecard,
            fairness_gaps=content.fairness_gaps,
            headline_metrics=content.headline_metrics,
            standout_metrics=content.standout_metrics,
        )
    )
