"""All candidates side by side, at every level, and what is missing."""

import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, NamedTuple

import pandas as pd
import pyarrow as pa

from evaluator.candidates import find_duplicates, recording_findings
from evaluator.candidates.evaluation_set import SLICE_COLUMNS
from evaluator.certification import JudgedEvidence, Outcome, Verdict, decide_outcomes, judge
from evaluator.errors import CandidateError, EvidenceError
from evaluator.evidence import Address, Moment, Record, content_version, digest_of
from evaluator.orchestration import identities
from evaluator.orchestration.candidate_evaluation import SLICE_LEVEL, measure, read_predictions
from evaluator.orchestration.evaluated_cases import EvaluatedCases, columns_needed
from evaluator.orchestration.evaluation_assets import CASES
from evaluator.orchestration.findings import (
    COMPARISONS,
    FAIRNESS,
    PAIRS,
    RANKS,
    WEAK_SLICES,
    WORSENED,
    FoundOfOne,
    find_differences,
    find_of_one,
    read_stored,
    stored_tables,
)
from evaluator.orchestration.more_slices import measure_more
from evaluator.orchestration.state import AuditState, SliceState
from evaluator.orchestration.weak_slices import EARLIER_CERTIFICATE, SEED, Earlier, find_earlier
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
    comparisons: pd.DataFrame
    """`evaluator.metrics.compare_candidates` with the baseline, by geography and segment; without
    rows where the audit does not compare."""
    pairs: pd.DataFrame
    """`evaluator.metrics.compare_pairs`, of the candidates that could be compared."""
    ranks: pd.DataFrame
    """`evaluator.metrics.rank_candidates` of the pairs."""
    fairness: pd.DataFrame
    """`candidate`, and the columns of `evaluator.metrics.fairness`; without rows where the audit
    declares no `fairness`."""
    weak_slices: pd.DataFrame
    """`candidate`, and the table of `evaluator.metrics.weak_slices`; without rows where the audit
    declares no `weak_slices`."""
    weak_searches: Mapping[str, Mapping[str, Any]]
    """How far each candidate's weak slices were searched: `WeakSlices.search`, `loss` and
    `level`."""
    worsened: pd.DataFrame
    """`candidate`, and the columns of `evaluator.metrics.worsened_slices`, since the last
    certificate that was about another evaluation set; without rows where there is none."""
    remarks: Sequence[str]
    """What a reader must know of the candidates: duplicates, faults of recordings, who is not
    compared, and what could not be looked at."""
    verdicts: Sequence[Verdict]
    outcomes: Sequence[Outcome]


class ExpectedScorecard(NamedTuple):
    """What a scorecard made now would rest on."""

    evaluation_set: Record
    slices: list[SliceState]
    earlier: Earlier | None
    """With which it is said what got worse."""
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
    earlier = find_earlier(state, evaluation_set)
    identity = state.identities.scorecard(
        evaluation_set.content_version, described, earlier.scorecard.identity if earlier else None
    )
    return ExpectedScorecard(
        evaluation_set, slices, earlier, (state.address("scorecard"), identity)
    )


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
    measured = _measure_candidates(state, expected)
    tables = {
        FIGURES: pa.Table.from_pandas(measured.figures, preserve_index=False),
        MORE_FIGURES: pa.Table.from_pandas(
            measured.more_figures, schema=_MORE_SCHEMA, preserve_index=False
        ),
        **measured.found,
    }
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
        {**tables, SLICES: pa.Table.from_pandas(frame, schema=schema, preserve_index=False)},
        content_version=digest_of([content_version(table) for table in tables.values()]),
        upstream=[expected.evaluation_set.as_upstream(), *(r.as_upstream() for r in records)],
        facts={
            "candidates": [candidate.name for candidate in state.spec.candidates],
            "slices": len(slices),
            "current": len(current),
            "models": models,
            "weak_searches": measured.searches,
            "seeds": {WEAK_SLICES.removesuffix(".parquet"): SEED} if measured.searches else {},
            # Not among what it rests on, or else each certificate would hold all earlier ones.
            EARLIER_CERTIFICATE: expected.earlier and expected.earlier.certificate,
            "remarks": [
                *(found.words for found in find_duplicates(models, _versions(slices))),
                *measured.remarks,
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
    found = {
        name: read_stored(state.store.read_table(scorecard, name))
        for name in (COMPARISONS, PAIRS, RANKS, FAIRNESS, WEAK_SLICES, WORSENED)
    }
    names = [candidate.name for candidate in state.spec.candidates]
    allowed = state.spec.failed_slices_allowed()
    asked = state.spec.fairness
    evidence = JudgedEvidence(
        figures=figures,
        slices=slices,
        confidence=state.spec.confidence,
        comparisons=found[COMPARISONS],
        baseline=state.spec.baseline,
        fairness=found[FAIRNESS],
        fairness_attributes=asked.attributes if asked else (),
        fairness_against_best=asked is None or asked.reference == "best",
        weak_slices=found[WEAK_SLICES],
        weak_slice_searches=scorecard.facts["weak_searches"],
        allowed_missing=allowed,
    )
    verdicts = judge(state.spec.gates, evidence, names)
    return Findings(
        scorecard=scorecard,
        figures=figures,
        more_figures=more_figures,
        slices=slices,
        verdicts=verdicts,
        comparisons=found[COMPARISONS],
        pairs=found[PAIRS],
        ranks=found[RANKS],
        fairness=found[FAIRNESS],
        weak_slices=found[WEAK_SLICES],
        weak_searches=scorecard.facts["weak_searches"],
        worsened=found[WORSENED],
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


def _recording_remarks(state: AuditState, cases: EvaluatedCases) -> Iterator[str]:
    """Hold each recording against the whole evaluation set."""
    recorded = [c for c in state.spec.candidates if c.kind == "recorded"]
    if not recorded or state.spec.label is None:
        return
    labelled = cases.table.select(["id", "label"]).to_pandas()
    for candidate in recorded:
        try:
            found = recording_findings(
                candidate, state.home.root, labelled, positive=state.spec.label.positive
            )
        except CandidateError as error:
            yield str(error)
            continue
        yield from (f"{candidate.name}, its recording: {finding.words}" for finding in found)


class _Measured(NamedTuple):
    figures: pd.DataFrame
    more_figures: pd.DataFrame
    found: Mapping[str, pa.Table]
    searches: Mapping[str, Mapping[str, Any]]
    remarks: Sequence[str]


class _MeasuredOne(NamedTuple):
    predictions: pd.DataFrame
    figures: pd.DataFrame
    more_figures: Sequence[pd.DataFrame]
    found: FoundOfOne


def _measure_candidates(state: AuditState, expected: ExpectedScorecard) -> _Measured:
    columns = columns_needed(state.spec)
    table = state.store.read_table(expected.evaluation_set, CASES, columns=columns)
    cases = EvaluatedCases(table, state.spec.data.columns)

    def measured(candidate: CandidateSpec) -> _MeasuredOne | None:
        records = {
            s.slice_key: s.predictions
            for s in expected.slices
            if s.candidate == candidate.name and s.state == "current" and s.predictions is not None
        }
        if not records:
            return None
        predictions = read_predictions(state, records)
        place = cases.place_of(predictions)
        figures = _measured_slices(state, candidate, predictions, records)
        more_figures = measure_more(state, candidate, cases, predictions, place)
        for one in (figures, *more_figures):
            one.insert(0, "candidate", candidate.name)
        found = find_of_one(state, candidate, cases, predictions, place, earlier=expected.earlier)
        return _MeasuredOne(predictions, figures, more_figures, found)

    # Reading and numpy let go of the lock, so candidates are measured side by side.
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        results = zip(state.spec.candidates, pool.map(measured, state.spec.candidates), strict=True)
        of_each = {candidate.name: one for candidate, one in results if one is not None}
    compared, remarks = find_differences(
        state, {name: one.predictions for name, one in of_each.items()}, cases
    )
    figures = pd.concat([one.figures for one in of_each.values()], ignore_index=True)
    more_figures = [pd.DataFrame(columns=_MORE_SCHEMA.names)]
    more_figures += [table for one in of_each.values() for table in one.more_figures]
    return _Measured(
        figures.astype(dict.fromkeys(SLICE_COLUMNS, "str")),
        pd.concat(more_figures, ignore_index=True),
        stored_tables([compared, *(one.found.tables for one in of_each.values())]),
        {name: one.found.search for name, one in of_each.items() if one.found.search is not None},
        [
            *_recording_remarks(state, cases),
            *remarks,
            *(remark for one in of_each.values() for remark in one.found.remarks),
        ],
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
