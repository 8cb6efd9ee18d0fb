"""All candidates side by side, at every level, and what is missing."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import pandas as pd
import pyarrow as pa

from evaluator.candidates.evaluation_set import SLICE_COLUMNS
from evaluator.certification import Outcome, Verdict, decide_outcomes, judge
from evaluator.errors import EvidenceError
from evaluator.evidence import Address, Moment, Record, content_version
from evaluator.orchestration import identities
from evaluator.orchestration.candidate_evaluation import SLICE_LEVEL, measure, read_predictions
from evaluator.orchestration.state import AuditState, SliceState

FIGURES = "figures.parquet"
SLICES = "slices.parquet"

_SLICE_COLUMNS = ("candidate", "geography", "segment", "state", "error", "content_version")


@dataclass(frozen=True)
class Findings:
    """A scorecard, and what the audit's gates say of it."""

    scorecard: Record
    figures: pd.DataFrame
    """`evaluator.metrics.slice_metrics` of all candidates, with a column `candidate`."""
    slices: pd.DataFrame
    """One row a candidate's slice: its state, its error and its content version."""
    verdicts: Sequence[Verdict]
    outcomes: Sequence[Outcome]


class ExpectedScorecard(NamedTuple):
    """What a scorecard made now would rest on."""

    evaluation_set: Record
    slices: list[SliceState]
    target: tuple[Address, str]
    """Its address and its identity."""


def expected_scorecard(state: AuditState) -> ExpectedScorecard:
    """Look at every candidate's slices as they are now."""
    evaluation_set = state.require("evaluation_set")
    slices = [
        slice_state
        for candidate in state.spec.candidates
        for slice_state in state.slice_states(
            candidate, evaluation_set, state.observed_model(candidate)
        )
    ]
    described = [
        [s.candidate, s.slice_key, s.state, s.error, s.metrics.content_version if s.metrics else ""]
        for s in slices
    ]
    identity = identities.scorecard_identity(state.spec, evaluation_set.content_version, described)
    return ExpectedScorecard(evaluation_set, slices, (state.address("scorecard"), identity))


def store_scorecard(state: AuditState, moment: Moment) -> Record:
    """Gather every candidate's current slices into one stored scorecard.

    Raises
    ------
    EvidenceError
        Where no candidate has a current slice.
    """
    expected = expected_scorecard(state)
    address, identity = expected.target
    slices = expected.slices
    existing = state.store.find(address, identity)
    if existing is not None:
        state.store.make_current(existing, moment)
        return existing
    current = [s for s in slices if s.state == "current"]
    if not current:
        raise EvidenceError(
            f"none of the {len(slices)} slices of {len(state.spec.candidates)} candidates is"
            " evaluated, so there is nothing to score",
            culprit=str(address),
            fix="materialise the candidates' slices first; the failed runs say what went wrong",
        )
    figures = pa.Table.from_pandas(_figures(state, slices), preserve_index=False)
    frame = pd.DataFrame(
        [
            {
                "candidate": s.candidate,
                "geography": s.geography,
                "segment": s.segment,
                "state": s.state,
                "error": s.error,
                "content_version": s.metrics.content_version if s.metrics else None,
            }
            for s in slices
        ]
    )
    schema = pa.schema([(name, pa.string()) for name in _SLICE_COLUMNS])
    records = [record for s in current for record in (s.predictions, s.metrics) if record]
    return state.store.write(
        address,
        identity,
        {
            FIGURES: figures,
            SLICES: pa.Table.from_pandas(frame, schema=schema, preserve_index=False),
        },
        content_version=content_version(figures),
        upstream=[expected.evaluation_set.as_upstream(), *(r.as_upstream() for r in records)],
        facts={
            "candidates": [candidate.name for candidate in state.spec.candidates],
            "slices": len(slices),
            "current": len(current),
            "models": {c.name: state.observed_model(c) for c in state.spec.candidates},
        },
        code_version=identities.CODE_VERSIONS["scorecard"],
        moment=moment,
    )


def read_findings(state: AuditState) -> Findings:
    """Read the current scorecard and judge it by the audit's gates."""
    scorecard = state.require("scorecard")
    figures = state.store.read_table(scorecard, FIGURES).to_pandas()
    slices = state.store.read_table(scorecard, SLICES).to_pandas()
    names = [candidate.name for candidate in state.spec.candidates]
    verdicts = judge(state.spec.gates, figures, slices, names)
    return Findings(scorecard, figures, slices, verdicts, decide_outcomes(verdicts, slices, names))


def _figures(state: AuditState, slices: Sequence[SliceState]) -> pd.DataFrame:
    frames = []
    for candidate in state.spec.candidates:
        records = {
            s.slice_key: s.predictions
            for s in slices
            if s.candidate == candidate.name and s.predictions is not None
        }
        if not records:
            continue
        figures = measure(state, read_predictions(state, records))
        # A slice that is not evaluated is not an empty slice: it stands among the missing ones.
        keys = figures["geography"].astype(str) + "|" + figures["segment"].astype(str)
        known = (figures["level"] != SLICE_LEVEL) | keys.isin(list(records))
        figures = figures[known]
        figures.insert(0, "candidate", candidate.name)
        frames.append(figures)
    table = pd.concat(frames, ignore_index=True)
    return table.astype(dict.fromkeys(SLICE_COLUMNS, "str"))
