"""What the page shows of single cases: those that change sides, and examples of weak places."""

from collections.abc import Iterator, Sequence
from typing import Any, Final

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from evaluator.evidence import Record, digest_of
from evaluator.orchestration._candidate_run import read_predictions
from evaluator.orchestration._scorecard_run import (
    JudgedScorecard,
    evaluation_set_of,
    predictions_behind,
)
from evaluator.orchestration._state import AuditState
from evaluator.reporting import (
    ExampleCase,
    FlippedCase,
    Flips,
    SliceExamples,
    standout_slices,
)
from evaluator.scorecard import CASES, DATA_PREFIX, Slice, number
from evaluator.spec import Task

_MOST_FLIPS: Final = 20
"""So many cases are listed that a candidate newly gets wrong."""
_MOST_SLICES: Final = 20
_LARGE_ERRORS, _AT_RANDOM = 3, 2
"""So many slices have examples, and each so many of either kind."""


def find_flips(state: AuditState, scorecard: Record) -> Iterator[Flips]:
    """Look at the cases that only one of candidate and baseline decides rightly.

    Where nothing says which numbers are right, there are none.
    """
    spec = state.spec
    if spec.baseline is None or not spec.compares:
        return
    behind = {
        candidate.name: predictions_behind(state, scorecard, candidate.name)
        for candidate in spec.candidates
    }
    if not behind[spec.baseline]:
        return
    baseline = _decided(spec.asks, read_predictions(state, behind[spec.baseline]))
    if baseline is None:
        return
    for name, records in behind.items():
        own = _decided(spec.asks, read_predictions(state, records)) if records else None
        if name == spec.baseline or own is None:
            continue
        before = baseline[["id", "right", "figure"]]
        both = own.merge(before, on="id", suffixes=("", "_before"))
        wrong = both[both["right_before"] & ~both["right"]]
        apart = (wrong["figure"] - wrong["figure_before"]).abs()
        shown = wrong.assign(apart=apart, text=wrong["id"].astype(str))
        shown = shown.sort_values(["apart", "text"], ascending=[False, True])[:_MOST_FLIPS]
        yield Flips(
            candidate=name,
            figure=spec.asks.case_figure,
            does_right=spec.asks.does_right,
            cases=len(both),
            newly_right=int((both["right"] & ~both["right_before"]).sum()),
            newly_wrong=len(wrong),
            shown=[
                FlippedCase(
                    id=row["text"],
                    geography=row["geography"],
                    segment=row["segment"],
                    label=spec.asks.word(row["label"]),
                    prediction=spec.asks.word(row["prediction"]),
                    score=number(row["figure"]),
                    baseline_score=number(row["figure_before"]),
                )
                for row in ([] if spec.redacts_ids else shown.to_dict("records"))
            ],
        )


def _decided(asks: Task, predictions: pd.DataFrame) -> pd.DataFrame | None:
    """Add whether each prediction is right, and what else is told of the case."""
    right = asks.are_right(predictions)
    if right is None:
        return None
    return predictions.assign(right=right, figure=asks.case_figures(predictions))


def find_examples(state: AuditState, judged: JudgedScorecard) -> Iterator[SliceExamples]:
    """Choose cases of the slices that are furthest on the worse side, where the audit allows it."""
    spec = state.spec
    if spec.examples is None:
        return
    found = standout_slices(
        judged.scorecard.measurements,
        metrics=spec.headline_metrics[:1],
        minimum_support=spec.minimum_support,
        most=_MOST_SLICES,
    )
    worse = [one for one in found if one.direction == "worse"]
    columns = [DATA_PREFIX + name for name in spec.examples.columns]
    table = state.store.read_table(
        evaluation_set_of(state, judged.record), CASES, columns=["id", *columns]
    )
    for one in sorted(worse, key=lambda one: -abs(one.difference))[:_MOST_SLICES]:
        measured = one.measurement
        where = Slice(str(measured.geography), str(measured.segment))
        records = predictions_behind(state, judged.record, measured.candidate)
        cases = read_predictions(state, {where: records[where]})
        known = cases.assign(error=spec.asks.errors(cases), figure=spec.asks.case_figures(cases))
        chosen = _choose(known, [measured.candidate, *where])
        rows = table.filter(pc.is_in(table["id"], pa.array(chosen["id"].tolist())))
        values = {row["id"]: [_said(row[name]) for name in columns] for row in rows.to_pylist()}
        yield SliceExamples(
            candidate=measured.candidate,
            figure=spec.asks.case_figure,
            **where._asdict(),
            cases=[
                ExampleCase(
                    id=str(row["id"]),
                    chosen=row["chosen"],
                    label=spec.asks.word(row["label"]),
                    prediction=spec.asks.word(row["prediction"]),
                    score=number(row["figure"]),
                    values=values[row["id"]],
                )
                for row in chosen.to_dict("records")
            ],
        )


def _choose(cases: pd.DataFrame, named: Sequence[str]) -> pd.DataFrame:
    """Choose those with the largest errors, and some of the others at random, always the same."""
    errors = cases.assign(text=cases["id"].astype(str))
    errors = errors.sort_values(["error", "text"], ascending=[False, True])
    largest, rest = errors[:_LARGE_ERRORS], errors[_LARGE_ERRORS:]
    draws = np.random.default_rng(int(digest_of(list(named))[:16], 16))
    drawn = rest.iloc[draws.permutation(len(rest))[:_AT_RANDOM]]
    return pd.concat([largest.assign(chosen="large error"), drawn.assign(chosen="random")])


def _said(value: Any) -> str:
    return "missing" if value is None else str(value)
