"""What page and terminal show of some content, as plain words."""

import dataclasses
import re
from dataclasses import replace
from typing import Any, TypeVar

import numpy as np
import pandas as pd

from evaluator.certification import Verdict, decide_outcomes
from evaluator.reporting import DashboardContent, DocumentsContent, render_dashboard, summary_lines
from evaluator_tests.reporting.made_findings import decide

ATTACK = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>"
KEPT = {"level", "metric", "status", "measure", "comparison", "conclusion", "verdict", "outcome"}
KEPT |= {"gate_level", "decided_on", "headline_metrics", "standout_metrics"}
"""Words that have a meaning, which an attack would take from them."""

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


def judged(content: DashboardContent, *verdicts: Verdict) -> DashboardContent:
    """Give the content with other verdicts, and the outcomes that follow."""
    slices = content.scorecard.slices
    outcomes = decide_outcomes(verdicts, slices, names_of(content), allowed_missing=14)
    return replace(content, verdicts=verdicts, outcomes=outcomes)


def many_candidates(content: DashboardContent, count: int) -> DashboardContent:
    """Give the content with so many candidates, each like one of those that there are."""
    old = content.candidates
    new = {f"{old[n % len(old)].name}_{n}": old[n % len(old)].name for n in range(count)}
    measurements = content.scorecard.measurements
    slices = content.scorecard.slices

    def renamed(table: pd.DataFrame) -> pd.DataFrame:
        return pd.concat(
            [table[table["candidate"] == of].assign(candidate=name) for name, of in new.items()],
            ignore_index=True,
        )

    return replace(
        content,
        candidates=[
            replace(next(one for one in old if one.name == of), name=name, baseline=False)
            for name, of in new.items()
        ],
        outcomes=[replace(content.outcome_of(of), candidate=name) for name, of in new.items()],
        verdicts=[
            replace(verdict, candidate=name)
            for name, of in new.items()
            for verdict in content.verdicts
            if verdict.candidate == of
        ],
        scorecard=replace(
            content.scorecard, measurements=renamed(measurements), slices=renamed(slices)
        ),
    )


def attacked(value: Any) -> Any:
    """Put the attack into every text, however deep, and leave words that have meaning."""
    if isinstance(value, str):
        return value + ATTACK
    if isinstance(value, pd.DataFrame):
        texts = [
            c for c in value.columns if c not in KEPT and pd.api.types.is_string_dtype(value[c])
        ]
        return value.assign(
            **{c: value[c].where(value[c].isna(), value[c].astype(str) + ATTACK) for c in texts}
        )
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return dataclasses.replace(
            value,
            **{
                field.name: attacked(getattr(value, field.name))
                for field in dataclasses.fields(value)
                if field.name not in KEPT
            },
        )
    if isinstance(value, dict):
        return {attacked(key) if "." in key else key: attacked(v) for key, v in value.items()}
    if isinstance(value, list):
        return [attacked(item) for item in value]
    return value


def many_slices(content: DashboardContent, count: int) -> DashboardContent:
    """Give the content with so many slices a candidate, each like one of those that there are."""
    scorecard = content.scorecard
    places = scorecard.slices["geography"].nunique() * scorecard.slices["segment"].nunique()

    def repeated(table: pd.DataFrame) -> pd.DataFrame:
        divided = table[table["geography"].notna()]
        copies = [
            divided.assign(geography=divided["geography"] + f" {n}") for n in range(count // places)
        ]
        return pd.concat([table[table["geography"].isna()], *copies], ignore_index=True)

    measurements = repeated(scorecard.measurements)
    return with_scorecard(content, measurements=measurements, slices=repeated(scorecard.slices))


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
