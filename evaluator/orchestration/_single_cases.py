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

_MOST_FLIPS: Final = 20
"""So many cases are listed that a candidate newly gets wrong."""
_MOST_SLICES: Final = 20
_LARGE_ERRORS, _AT_RANDOM = 3, 2
"""So many slices have examples, and each so many of either kind."""


def find_flips(state: AuditState, scorecard: Record) -> Iterator[Flips]:
    """Look at the cases that only one of candidate and baseline decides rightly."""
    spec = state.spec
    if spec.baseline is None or not spec.compares:
        return
    behind = {
        candidate.name: predictions_behind(state, scorecard, candidate.name)
        for candidate in spec.candidates
    }
    if not behind[spec.baseline]:
        return
    columns = ["id", "score", "prediction"]
    baseline = read_predictions(state, behind[spec.baseline])[columns]
    for name, records in behind.items():
        if name == spec.baseline or not records:
            continue
        both = read_predictions(state, records).merge(baseline, on="id", suffixes=("", "_before"))
        right, before = (both[key] == both["label"] for key in ("prediction", "prediction_before"))
        wrong = both[before & ~right]
        apart = (wrong["score"] - wrong["score_before"]).abs()
        shown = wrong.assign(apart=apart, text=wrong["id"].astype(str))
        shown = shown.sort_values(["apart", "text"], ascending=[False, True])[:_MOST_FLIPS]
        yield Flips(
            candidate=name,
            cases=len(both),
            newly_right=int((right & ~before).sum()),
            newly_wrong=len(wrong),
            shown=[
                FlippedCase(
                    id=row["text"],
                    geography=row["geography"],
                    segment=row["segment"],
                    label=row["label"] == 1,
                    score=number(row["score"]),
                    baseline_score=number(row["score_before"]),
                )
                for row in ([] if spec.redacts_ids else shown.to_dict("records"))
            ],
        )


def find_examples(state: AuditState, judged: JudgedScorecard) -> Iterator[SliceExamples]:
    """Choose cases of the slices that are furthest on the worse side, where the audit allows it."""
    spec = state.spec
    if spec.examples is None:
        return
    found = standout_slices(
        judged.scorecard.measurements,
        metrics=spec.metrics[:1],
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
        chosen = _choose(cases, [measured.candidate, *where])
        rows = table.filter(pc.is_in(table["id"], pa.array(chosen["id"].tolist())))
        values = {row["id"]: [_said(row[name]) for name in columns] for row in rows.to_pylist()}
        yield SliceExamples(
            candidate=measured.candidate,
            **where._asdict(),
            cases=[
                ExampleCase(
                    id=str(row["id"]),
                    chosen=row["chosen"],
                    label=row["label"] == 1,
                    prediction=row["prediction"] == 1,
                    score=number(row["score"]),
                    values=values[row["id"]],
                )
                for row in chosen.to_dict("records")
            ],
        )


def _choose(cases: pd.DataFrame, named: Sequence[str]) -> pd.DataFrame:
    """Choose those with the largest errors, and some of the others at random, always the same."""
    given = cases["score"].where(cases["score"].notna(), cases["prediction"])
    errors = cases.assign(error=(given - cases["label"]).abs(), text=cases["id"].astype(str))
    errors = errors.sort_values(["error", "text"], ascending=[False, True])
    largest, rest = errors[:_LARGE_ERRORS], errors[_LARGE_ERRORS:]
    draws = np.random.default_rng(int(digest_of(list(named))[:16], 16))
    drawn = rest.iloc[draws.permutation(len(rest))[:_AT_RANDOM]]
    return pd.concat([largest.assign(chosen="large error"), drawn.assign(chosen="random")])


def _said(value: Any) -> str:
    return "missing" if value is None else str(value)
