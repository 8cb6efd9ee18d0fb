"""All candidates side by side, at every level, and what is missing."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NamedTuple

import pandas as pd
import pyarrow as pa

from evaluator.candidates import find_duplicates, recording_findings
from evaluator.certification import Outcome, Verdict, decide_outcomes, judge
from evaluator.certification.day_facts import asks_about_days, days_document, read_days
from evaluator.certification.gate_evidence import gate_evidence
from evaluator.errors import CandidateError, EvidenceError
from evaluator.evidence import Address, Moment, Record, content_version, digest_of, digest_of_bytes
from evaluator.findings import (
    EvaluatedCases,
    Predicted,
    Scored,
    columns_needed,
    read_stored,
    score,
)
from evaluator.findings.names import CASES, DAYS, SLICES, WEAK_SEARCHES, WEAK_SLICES
from evaluator.findings.scorecard import TABLE_FILES, Scorecard
from evaluator.findings.weak_slices import SEED
from evaluator.orchestration import identities
from evaluator.orchestration.candidate_evaluation import read_predictions
from evaluator.orchestration.day_facts import ArrivedDays, arrived_days, day_facts
from evaluator.orchestration.earlier import (
    EARLIER_CERTIFICATE,
    Earlier,
    compare_with_earlier,
    find_earlier,
)
from evaluator.orchestration.state import AuditState, SliceState
from evaluator.orchestration.waivers import Waived, read_waivers
from evaluator.spec import CandidateSpec

_SLICE_SCHEMA = pa.schema(
    [
        (name, pa.string())
        for name in ("candidate", "geography", "segment", "state", "error", "content_version")
    ]
)


@dataclass(frozen=True)
class JudgedScorecard:
    """A stored scorecard, and what the audit's gates say of it."""

    record: Record
    scorecard: Scorecard
    verdicts: Sequence[Verdict]
    outcomes: Sequence[Outcome]
    """With the gates that people waived. A waiver changes no outcome."""
    waived: Waived
    """The waivers in force, and how far the ledger was read for them."""


class ExpectedScorecard(NamedTuple):
    """What a scorecard made now would rest on."""

    evaluation_set: Record
    slices: list[SliceState]
    earlier: Earlier | None
    """With which it is said what got worse."""
    days: ArrivedDays | None
    """The days that gates look at; None where none does."""
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
    days = arrived_days(state) if asks_about_days(state.spec) else None
    identity = state.identities.scorecard(
        evaluation_set.content_version,
        described,
        earlier=earlier.scorecard.identity if earlier else None,
        days=days.described if days else None,
    )
    return ExpectedScorecard(
        evaluation_set, slices, earlier, days, (state.address("scorecard"), identity)
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
    cases = _read_cases(state, expected.evaluation_set)
    scored = _score(state, expected, cases)
    files: dict[str, bytes | pa.Table] = {**scored.tables, SLICES: _slices_table(slices)}
    versions = [content_version(table) for table in scored.tables.values()]
    records = [record for s in current for record in (s.predictions, s.metrics) if record]
    if expected.days is not None:
        files[DAYS] = days_document(day_facts(state, expected.days))
        versions.append(digest_of_bytes(files[DAYS]))
        records += expected.days.reports
    models = {c.name: state.observed_model(c) for c in state.spec.candidates}
    return state.store.write(
        address,
        identity,
        files,
        content_version=digest_of(versions),
        upstream=[expected.evaluation_set.as_upstream(), *(r.as_upstream() for r in records)],
        facts={
            "candidates": [candidate.name for candidate in state.spec.candidates],
            "slices": len(slices),
            "current": len(current),
            "models": models,
            WEAK_SEARCHES: scored.searches,
            "seeds": {WEAK_SLICES.removesuffix(".parquet"): SEED} if scored.searches else {},
            # Not among what it rests on, or else each certificate would hold all earlier ones.
            EARLIER_CERTIFICATE: expected.earlier and expected.earlier.certificate,
            "remarks": [
                *(found.words for found in find_duplicates(models, _versions(slices))),
                *_recording_remarks(state, cases),
                *scored.remarks,
            ],
        },
        code_version=identities.CODE_VERSIONS["scorecard"],
        moment=moment,
    )


def read_judged_scorecard(state: AuditState, now: datetime | None = None) -> JudgedScorecard:
    """Read the current scorecard and judge it by the audit's gates.

    Parameters
    ----------
    state
        The audit's state.
    now
        The moment at which waivers have to be in force, with its time zone; by default this one.

    Raises
    ------
    EvidenceError
        Where there is no scorecard, or the ledger is damaged.
    """
    record = state.require("scorecard")
    scorecard = Scorecard.from_tables(
        {name: read_stored(state.store.read_table(record, name)) for name in TABLE_FILES.values()},
        weak_searches=record.facts[WEAK_SEARCHES],
        remarks=record.facts["remarks"],
        days=read_days(state.store.read_bytes(record, DAYS)) if DAYS in record.files else (),
    )
    names = [candidate.name for candidate in state.spec.candidates]
    evidence = gate_evidence(state.spec, scorecard)
    verdicts = judge(state.spec.gates, evidence, names)
    now = now or datetime.now(UTC)
    waived = read_waivers(state, record, now)
    return JudgedScorecard(
        record=record,
        scorecard=scorecard,
        verdicts=verdicts,
        outcomes=decide_outcomes(
            verdicts,
            scorecard.slices,
            names,
            allowed_missing=evidence.allowed_missing,
            waivers=waived.waivers,
            now=now,
        ),
        waived=waived,
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


def _slices_table(slices: Sequence[SliceState]) -> pa.Table:
    """List every slice: its state, its error and its content version."""
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
    return pa.Table.from_pandas(frame, schema=_SLICE_SCHEMA, preserve_index=False)


def _read_cases(state: AuditState, evaluation_set: Record) -> EvaluatedCases:
    columns = columns_needed(state.spec)
    table = state.store.read_table(evaluation_set, CASES, columns=columns)
    return EvaluatedCases(table, state.spec.data.columns)


def _score(state: AuditState, expected: ExpectedScorecard, cases: EvaluatedCases) -> Scored:
    earlier = expected.earlier

    def predicted(candidate: CandidateSpec) -> Predicted | None:
        records = {
            s.slice_key: s.predictions
            for s in expected.slices
            if s.candidate == candidate.name and s.state == "current" and s.predictions is not None
        }
        return Predicted(read_predictions(state, records), records) if records else None

    def worsened(candidate: CandidateSpec, predictions: pd.DataFrame) -> pd.DataFrame:
        if earlier is None:
            return pd.DataFrame()
        return compare_with_earlier(state, candidate, cases, predictions, earlier)

    return score(state.spec, cases, predicted, worsened=worsened)
