"""All candidates side by side, at every level, and what is missing."""

import os
from collections.abc import Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import NamedTuple

import pandas as pd
import pyarrow as pa

from evaluator.candidates import find_duplicates, recording_findings
from evaluator.candidates.evaluation_set import DATA_PREFIX, SLICE_COLUMNS
from evaluator.certification import Outcome, Verdict, decide_outcomes, judge
from evaluator.errors import CandidateError, EvidenceError
from evaluator.evidence import Address, Moment, Record, content_version, digest_of
from evaluator.orchestration import identities
from evaluator.orchestration.candidate_evaluation import SLICE_LEVEL, measure, read_predictions
from evaluator.orchestration.evaluation_assets import CASES
from evaluator.orchestration.more_slices import measure_more
from evaluator.orchestration.state import AuditState, SliceState
from evaluator.spec import CandidateSpec

FIGURES = "figures.parquet"
MORE_FIGURES = "more_figures.parquet"
SLICES = "slices.parquet"

_MORE_SCHEMA = pa.schema(
    [
        *((name, pa.string()) for name in ("candidate", "level", "group", "metric")),
        *((name, pa.float64()) for name in ("value", "low", "high")),
        ("n", pa.int64()),
        ("n_effective", pa.float64()),
        *((name, pa.string()) for name in ("status", "reason")),
    ]
)
_SLICE_COLUMNS = ("candidate", "geography", "segment", "state", "error", "content_version")


@dataclass(frozen=True)
class Findings:
    """A scorecard, and what the audit's gates say of it."""

    scorecard: Record
    figures: pd.DataFrame
    """`evaluator.metrics.slice_metrics` of all candidates, with a column `candidate`."""
    more_figures: pd.DataFrame
    """What was measured beside geography and segment: `candidate`, `level` ("carrier x origin"),
    `group` ("carrier = B6, origin = JFK") and the metric columns; without rows where the audit
    declares no `more_slices`."""
    slices: pd.DataFrame
    """One row a candidate's slice: its state, its error and its content version."""
    remarks: Sequence[str]
    """What a reader must know of the candidates: duplicates, and faults of recordings."""
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
        [s.candidate, s.slice_key, s.state, s.error, s.metrics.identity if s.metrics else ""]
        for s in slices
    ]
    identity = state.identities.scorecard(evaluation_set.content_version, described)
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
    existing = state.store.reuse(address, identity, moment)
    if existing is not None:
        return existing
    current = [s for s in slices if s.state == "current"]
    if not current:
        raise EvidenceError(
            f"none of the {len(slices)} slices of {len(state.spec.candidates)} candidates is"
            " evaluated, so there is nothing to score",
            culprit=str(address),
            fix="materialise the candidates' slices first; the failed runs say what went wrong",
        )
    measured = _measure_candidates(state, expected.evaluation_set, slices)
    figures = pa.Table.from_pandas(measured.figures, preserve_index=False)
    more_figures = pa.Table.from_pandas(
        measured.more_figures, schema=_MORE_SCHEMA, preserve_index=False
    )
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
    models = {c.name: state.observed_model(c) for c in state.spec.candidates}
    records = [record for s in current for record in (s.predictions, s.metrics) if record]
    return state.store.write(
        address,
        identity,
        {
            FIGURES: figures,
            MORE_FIGURES: more_figures,
            SLICES: pa.Table.from_pandas(frame, schema=schema, preserve_index=False),
        },
        content_version=digest_of([content_version(figures), content_version(more_figures)]),
        upstream=[expected.evaluation_set.as_upstream(), *(r.as_upstream() for r in records)],
        facts={
            "candidates": [candidate.name for candidate in state.spec.candidates],
            "slices": len(slices),
            "current": len(current),
            "models": models,
            "remarks": [
                *(found.words for found in find_duplicates(models, _versions(slices))),
                *_recording_remarks(state, expected.evaluation_set),
            ],
        },
        code_version=identities.CODE_VERSIONS["scorecard"],
        moment=moment,
    )


def read_findings(state: AuditState) -> Findings:
    """Read the current scorecard and judge it by the audit's gates."""
    scorecard = state.require("scorecard")
    figures, more_figures, slices = (
        state.store.read_table(scorecard, name).to_pandas()
        for name in (FIGURES, MORE_FIGURES, SLICES)
    )
    names = [candidate.name for candidate in state.spec.candidates]
    allowed = state.spec.failed_slices_allowed()
    verdicts = judge(state.spec.gates, figures, slices, names, allowed_missing=allowed)
    return Findings(
        scorecard=scorecard,
        figures=figures,
        more_figures=more_figures,
        slices=slices,
        verdicts=verdicts,
        remarks=scorecard.facts["remarks"],
        outcomes=decide_outcomes(verdicts, slices, names, allowed_missing=allowed),
    )


def _versions(slices: Sequence[SliceState]) -> dict[str, list[str | None]]:
    """Give the content versions of each candidate's predictions, slice by slice."""
    versions: dict[str, list[str | None]] = {}
    for s in slices:
        version = s.predictions.content_version if s.metrics and s.predictions else None
        versions.setdefault(s.candidate, []).append(version)
    return versions


def _recording_remarks(state: AuditState, evaluation_set: Record) -> Iterator[str]:
    """Hold each recording against the whole evaluation set."""
    recorded = [c for c in state.spec.candidates if c.kind == "recorded"]
    if not recorded or state.spec.label is None:
        return
    cases = state.store.read_table(evaluation_set, CASES, columns=["id", "label"]).to_pandas()
    for candidate in recorded:
        try:
            found = recording_findings(
                candidate, state.home.root, cases, positive=state.spec.label.positive
            )
        except CandidateError as error:
            yield str(error)
            continue
        yield from (f"{candidate.name}, its recording: {finding.words}" for finding in found)


class _Measured(NamedTuple):
    figures: pd.DataFrame
    more_figures: pd.DataFrame


def _measure_candidates(
    state: AuditState, evaluation_set: Record, slices: Sequence[SliceState]
) -> _Measured:
    named = {name for names in state.spec.more_slices for name in names}
    columns = ["id", *(DATA_PREFIX + name for name in sorted(named))]
    cases = state.store.read_table(evaluation_set, CASES, columns=columns)

    def measured(candidate: CandidateSpec) -> tuple[list[pd.DataFrame], list[pd.DataFrame]]:
        records = {
            s.slice_key: s.predictions
            for s in slices
            if s.candidate == candidate.name and s.state == "current" and s.predictions is not None
        }
        if not records:
            return [], []
        predictions = read_predictions(state, records)
        figures = [_measured_slices(state, candidate, predictions, records)]
        more_figures = measure_more(state.spec, cases, predictions)
        for table in (*figures, *more_figures):
            table.insert(0, "candidate", candidate.name)
        return figures, more_figures

    # Reading and numpy let go of the lock, so candidates are measured side by side.
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        results = list(pool.map(measured, state.spec.candidates))
    figures = pd.concat([table for found, _ in results for table in found], ignore_index=True)
    more_figures = [pd.DataFrame(columns=_MORE_SCHEMA.names)]
    more_figures += [table for _, found in results for table in found]
    return _Measured(
        figures.astype(dict.fromkeys(SLICE_COLUMNS, "str")),
        pd.concat(more_figures, ignore_index=True),
    )


def _measured_slices(
    state: AuditState,
    candidate: CandidateSpec,
    predictions: pd.DataFrame,
    known: Collection[str],
) -> pd.DataFrame:
    figures = measure(state, candidate, predictions)
    # A slice that is not evaluated is not an empty slice: it stands among the missing ones.
    keys = figures["geography"].astype(str) + "|" + figures["segment"].astype(str)
    return figures[(figures["level"] != SLICE_LEVEL) | keys.isin(list(known))]
