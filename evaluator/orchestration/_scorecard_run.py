"""All candidates side by side, at every level, and what is missing."""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, NamedTuple
from weakref import WeakKeyDictionary

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from evaluator.candidates import (
    find_duplicates,
    leakage_remarks,
    recording_issues,
    task_knowing_labels,
    truth_column,
)
from evaluator.certification import (
    GENESIS_HEAD,
    DecidedGap,
    EnteredWaiver,
    EvaluationSetSummary,
    GateEvidence,
    Ledger,
    LedgerHead,
    Outcome,
    Verdict,
    asks_about_days,
    asks_about_drift,
    days_document,
    decide_gaps,
    decide_outcomes,
    format_training,
    gate_evidence,
    judge_scopes,
    lacks_signature,
    read_days,
    revocations_in_force,
    signing_key_from_environment,
    trusted_by_environment,
    waivers_in_force,
    with_reference,
)
from evaluator.errors import CandidateError, EvidenceError
from evaluator.evaluation import (
    SEED,
    EvaluatedCases,
    Predicted,
    Scored,
    columns_needed,
    find_worsened,
    score,
)
from evaluator.evidence import (
    Address,
    Record,
    RunContext,
    content_version,
    digest_of,
    digest_of_bytes,
)
from evaluator.intake import Profile
from evaluator.orchestration._candidate_run import read_predictions
from evaluator.orchestration._facts import EvaluationSetFacts, IntakeFacts, ScorecardFacts
from evaluator.orchestration._identities import CODE_VERSIONS
from evaluator.orchestration._state import AuditState, CandidateSliceState, DayState
from evaluator.scorecard import (
    CASES,
    DAYS,
    LABELS,
    OTHER,
    PROFILE,
    SEEN_IN_TRAINING,
    SLICES,
    TRAINING,
    WEAK_SLICES,
    Asset,
    DayFacts,
    Scorecard,
    Slice,
    WeakSlice,
    from_stored,
    predictions_of,
)
from evaluator.spec import AuditSpec, CandidateSpec, date_of

_SLICE_SCHEMA = pa.schema(
    [
        (name, pa.string())
        for name in ("candidate", "geography", "segment", "state", "error", "content_version")
    ]
)


_EXAMPLES: Final = 5


class PreviousCertification(NamedTuple):
    """The last certificate that was about another evaluation set, and what it rests on."""

    certificate: str
    """Its identity."""
    scorecard: Record
    evaluation_set: Record


NO_KEY = (
    "others of this audit are signed, and there is no key to sign with; EVALUATOR_SIGNING_KEY_FILE"
    " names one"
)
"""Why none is issued where an unsigned one would be no good."""


class ArrivedDays(NamedTuple):
    """The days that have a file, as they stand now."""

    states: Sequence[DayState]
    with_drift: bool
    """Whether a gate looks at drift."""

    @property
    def reports(self) -> list[Record]:
        """The reports that the facts are read from."""
        return [day.report for day in self.states if day.report is not None]

    @property
    def described(self) -> list[object]:
        """What the facts are made of, known without reading any report."""
        days = [
            [day.day, day.state, day.reason, day.report.identity if day.report else None]
            for day in self.states
        ]
        return [self.with_drift, days]


class Decisions(NamedTuple):
    """What people decided about the artifacts of a scorecard, as the ledger says it now."""

    waivers: Sequence[EnteredWaiver]
    """Those that are in force."""
    withheld: Mapping[str, str]
    """The candidates that get no certificate, each with the reason."""
    ledger: LedgerHead
    """How far it was read."""


NO_DECISIONS = Decisions((), {}, GENESIS_HEAD)
"""Where nobody has decided anything, and no key is asked who did."""


@dataclass(frozen=True)
class JudgedScorecard:
    """A stored scorecard, and what the audit's gates say of it."""

    record: Record
    scorecard: Scorecard
    fairness_gaps: Sequence[DecidedGap]
    """The scorecard's `fairness`, each gap with the verdict on it."""
    verdicts: Sequence[Verdict]
    evaluation_set: EvaluationSetSummary
    """What the scorecard rests on, be it the current one or not."""
    outcomes: Sequence[Outcome]
    """With what qualifies them, the gates that people waived among it."""
    decisions: Decisions


class ExpectedScorecard(NamedTuple):
    """What a scorecard made now would rest on."""

    evaluation_set: Record
    slices: list[CandidateSliceState]
    previous: PreviousCertification | None
    """With which it is said what got worse."""
    days: ArrivedDays | None
    """The days that gates look at; None where none does."""
    target: tuple[Address, str]
    """Its address and its identity."""


def expected_scorecard(state: AuditState) -> ExpectedScorecard:
    """Look at every candidate's slices as they are now."""
    evaluation_set = state.require(Asset.EVALUATION_SET)
    slices = [
        slice_state
        for candidate in state.spec.candidates
        for slice_state in state.slice_states(
            candidate, evaluation_set, state.observed_model(candidate)
        )
    ]
    described = [
        [s.candidate, s.slice.key, s.state, s.error, s.metrics.identity if s.metrics else ""]
        for s in slices
    ]
    previous = find_previous_certification(state, evaluation_set)
    days = arrived_days(state) if asks_about_days(state.spec) else None
    identity = state.identities.scorecard(
        evaluation_set.content_version,
        described,
        previous=previous.scorecard.identity if previous else None,
        days=days.described if days else None,
        labels=evaluation_set.facts.get(LABELS),
        training=evaluation_set.facts.get(TRAINING),
    )
    return ExpectedScorecard(
        evaluation_set, slices, previous, days, (state.address(Asset.SCORECARD), identity)
    )


def store_scorecard(state: AuditState, run_context: RunContext) -> Record:
    """Gather every candidate's current slices into one stored scorecard."""
    expected = expected_scorecard(state)
    address, identity = expected.target
    slices = expected.slices
    existing = state.store.reuse(address, identity, run_context)
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
        facts=ScorecardFacts(
            candidates=_names(state),
            slices=len(slices),
            current=len(current),
            models=models,
            weak_searches=scored.searches,
            seeds={WEAK_SLICES.removesuffix(".parquet"): SEED} if scored.searches else {},
            previous_certificate=expected.previous and expected.previous.certificate,
            remarks=[
                *(found.description for found in find_duplicates(models, _versions(slices))),
                *_recording_remarks(state, expected.evaluation_set),
                *_pooled_remarks(state.spec, expected.evaluation_set),
                *_label_remarks(state.spec, expected.evaluation_set),
                *_training_remarks(state, expected.evaluation_set),
                *_leakage_remarks(state, expected.evaluation_set),
                *scored.remarks,
            ],
        ).to_record(),
        code_version=CODE_VERSIONS["scorecard"],
        run_context=run_context,
    )


def declared_as_scored(spec: AuditSpec, scorecard: Record) -> AuditSpec:
    """Give an audit with its candidates in the order in which a scorecard has them.

    They may stand in another order in the YAML by now, which makes no new scorecard.
    """
    place = {name: number for number, name in enumerate(ScorecardFacts.of(scorecard).candidates)}
    names = [candidate.name for candidate in spec.candidates]
    return spec.with_candidates(sorted(names, key=lambda name: place.get(name, len(place))))


class _Judgement(NamedTuple):
    scorecard: Scorecard
    evidence: GateEvidence
    verdicts: Sequence[Verdict]
    fairness_gaps: Sequence[DecidedGap]


_judgements: WeakKeyDictionary[AuditState, dict[str, _Judgement]] = WeakKeyDictionary()


def read_judged_scorecard(
    state: AuditState, now: datetime | None = None, decisions: Decisions | None = None
) -> JudgedScorecard:
    """Read the current scorecard and judge it by the audit's gates, each once a run.

    Decisions are read from the ledger, where nobody knows them already.
    """
    record = state.require(Asset.SCORECARD)
    known = _judgements.setdefault(state, {})
    if record.identity not in known:
        known[record.identity] = _judge(state, record)
    judgement = known[record.identity]
    now = now or datetime.now(UTC)
    decisions = decisions or read_decisions(state, record, now)
    evaluation_set = _summarise_evaluation_set(state, record)
    outcomes = decide_outcomes(
        judgement.verdicts,
        judgement.scorecard.slices,
        _names(state),
        allowed_missing=judgement.evidence.allowed_missing,
        waivers=[one.waiver for one in decisions.waivers],
        now=now,
        gaps=judgement.fairness_gaps,
        weak_slices=judgement.scorecard.rows(WeakSlice),
        cases_independent=evaluation_set.cases_independent,
    )
    return JudgedScorecard(
        record,
        judgement.scorecard,
        judgement.fairness_gaps,
        judgement.verdicts,
        evaluation_set,
        outcomes,
        decisions,
    )


def evaluation_set_of(state: AuditState, scorecard: Record) -> Record:
    """Return the evaluation set that a scorecard rests on."""
    used = next(u for u in scorecard.upstream if u.asset == Asset.EVALUATION_SET)
    return state.store.get(state.address(Asset.EVALUATION_SET), used.identity)


def _summarise_evaluation_set(state: AuditState, scorecard: Record) -> EvaluationSetSummary:
    record = evaluation_set_of(state, scorecard)
    facts = EvaluationSetFacts.of(record)
    days = [day for day in map(date_of, facts.days) if day is not None]
    return EvaluationSetSummary(
        digest=record.content_version,
        first_day=min(days, default=None),
        last_day=max(days, default=None),
        days=len(facts.days),
        rows=facts.cases,
        rows_without_label=facts.without_label,
        rows_of_weight_zero=facts.of_weight_zero,
        rows_seen_in_training=facts.seen_left_out,
        cluster=state.spec.data.cluster,
        weight=state.spec.data.weight,
    )


def _judge(state: AuditState, record: Record) -> _Judgement:
    facts = ScorecardFacts.of(record)
    frozen = EvaluationSetFacts.of(evaluation_set_of(state, record))
    scorecard = Scorecard.from_tables(
        lambda name: (
            from_stored(state.store.read_table(record, name))
            # An earlier version had no table of some kinds.
            if name in record.files
            else pd.DataFrame()
        ),
        weak_searches=facts.weak_searches,
        remarks=facts.remarks,
        days=read_days(state.store.read_bytes(record, DAYS)) if DAYS in record.files else (),
        labels=frozen.labels,
        training=frozen.training,
    )
    evidence = gate_evidence(state.spec, scorecard)
    judged = judge_scopes(state.spec.judged_by, evidence, _names(state))
    return _Judgement(
        scorecard,
        evidence,
        [one.verdict for one in judged],
        decide_gaps(judged, evidence, state.spec.fairness),
    )


def _names(state: AuditState) -> list[str]:
    return [candidate.name for candidate in state.spec.candidates]


def read_decisions(state: AuditState, scorecard: Record, now: datetime) -> Decisions:
    """Read the ledger for decisions about the artifacts that a scorecard is about.

    Where this machine has a key or trusts some, what none of these signed does not count.
    """
    trusted = trusted_by_environment(os.environ)
    entries = Ledger(state.store.url, state.audit.name).entries(trusted)
    artifacts = ScorecardFacts.of(scorecard).models
    withheld = {
        name: f"{one}; `evaluator correct` with entry {one.entry.sequence} takes it back"
        for one in reversed(revocations_in_force(entries))
        for name, artifact in artifacts.items()
        if one.covers(name, artifact)
    }
    if lacks_signature(entries, signing_key_from_environment(os.environ)):
        withheld = dict.fromkeys(artifacts, NO_KEY) | withheld
    return Decisions(
        waivers_in_force(entries, artifacts, now),
        withheld,
        entries[-1].head if entries else GENESIS_HEAD,
    )


def find_previous_certification(
    state: AuditState, evaluation_set: Record
) -> PreviousCertification | None:
    """Find the last certificate that was about another evaluation set than this one.

    Each scorecard notes the one before it, so that a walk from the current certificate finds it
    without listing all that is stored.
    """
    record = state.current(Asset.CERTIFICATE)
    while record is not None:
        scorecard = _upstream(state, record, Asset.SCORECARD)
        used = None if scorecard is None else _upstream(state, scorecard, Asset.EVALUATION_SET)
        if scorecard is None or used is None:
            return None
        if used.content_version != evaluation_set.content_version:
            return PreviousCertification(record.identity, scorecard, used)
        identity = ScorecardFacts.of(scorecard).previous_certificate
        record = state.store.find(state.address(Asset.CERTIFICATE), identity) if identity else None
    return None


def earlier_certifications(state: AuditState, scorecard: Record) -> Iterator[PreviousCertification]:
    """Go back from a scorecard to the last certificate about each earlier evaluation set.

    It ends where evidence was removed.
    """
    identity = ScorecardFacts.of(scorecard).previous_certificate
    while identity is not None:
        certificate = state.store.find(state.address(Asset.CERTIFICATE), identity)
        before = None if certificate is None else _upstream(state, certificate, Asset.SCORECARD)
        used = None if before is None else _upstream(state, before, Asset.EVALUATION_SET)
        if before is None or used is None:
            return
        yield PreviousCertification(identity, before, used)
        identity = ScorecardFacts.of(before).previous_certificate


def _upstream(state: AuditState, record: Record, asset: str) -> Record | None:
    found = next((one for one in record.upstream if one.asset == asset), None)
    return None if found is None else state.store.find(state.address(asset), found.identity)


def predictions_behind(state: AuditState, scorecard: Record, candidate: str) -> dict[Slice, Record]:
    """Find the predictions of a candidate that a scorecard rests on, by slice."""
    return {
        Slice.of_key(one.partition): state.store.get(
            state.address(one.asset, one.partition), one.identity
        )
        for one in scorecard.upstream
        if one.asset == predictions_of(candidate)
    }


def compare_with_previous(
    state: AuditState,
    candidate: CandidateSpec,
    cases: EvaluatedCases,
    predictions: pd.DataFrame,
    previous: PreviousCertification,
) -> pd.DataFrame:
    """Say in which slices a candidate does worse than when it was last certified.

    The earlier measurements are of its predictions then, by whatever version of it there was. A
    case that is in both evaluation sets counts for the earlier one alone.
    """
    records = predictions_behind(state, previous.scorecard, candidate.name)
    columns = [name for name in cases.table.column_names if name != "label"]
    table = state.store.read_table(previous.evaluation_set, CASES, columns=columns)
    new = ~predictions["id"].isin(table["id"].to_pandas())
    if not records or not new.any():
        return pd.DataFrame()
    before = EvaluatedCases(table, state.spec.data)
    return find_worsened(
        state.spec,
        candidate,
        (before, read_predictions(state, records)),
        (cases, predictions[new.to_numpy()]),
    )


def arrived_days(state: AuditState) -> ArrivedDays:
    """Look at every day that has a file."""
    return ArrivedDays(state.day_states(), asks_about_drift(state.spec))


def day_facts(state: AuditState, days: ArrivedDays) -> list[DayFacts]:
    """Gather the facts about days; profiles are read only for the sake of drift."""
    return with_reference(
        state.spec, [_facts(state, day, with_drift=days.with_drift) for day in days.states]
    )


def _facts(state: AuditState, day: DayState, *, with_drift: bool) -> DayFacts:
    drift = None
    if with_drift and day.report is not None:
        profile = Profile.from_json(state.store.read_bytes(day.report, PROFILE))
        drift = profile.drift_measures()
    counts = None
    if day.report is not None and day.state != "waiting":
        counts = IntakeFacts.of(day.report)
    return DayFacts(
        day=day.day,
        rows=None if counts is None else counts.rows,
        quarantined=None if counts is None else counts.quarantined,
        refused=day.reason if day.state == "refused" else None,
        drift=drift,
    )


def _versions(slices: Sequence[CandidateSliceState]) -> dict[str, list[str | None]]:
    """Give the content versions of each candidate's predictions, slice by slice."""
    versions: dict[str, list[str | None]] = {}
    for s in slices:
        version = s.predictions.content_version if s.metrics and s.predictions else None
        versions.setdefault(s.candidate, []).append(version)
    return versions


def _pooled_remarks(spec: AuditSpec, evaluation_set: Record) -> Iterator[str]:
    """Say how many cases are of values that are not told apart."""
    facts = EvaluationSetFacts.of(evaluation_set)
    for dimension, how in spec.discovered.items():
        if count := facts.pooled.get(dimension):
            yield (
                f"{count:,} of {facts.cases:,} cases are of the {dimension} `{OTHER}`: values of"
                f" {how.column} with fewer than {how.minimum_cases} cases when they were first"
                f" seen, beyond the {how.at_most} most frequent ones, or that can name no partition"
            )


def _label_remarks(spec: AuditSpec, evaluation_set: Record) -> Iterator[str]:
    """Say where too few of the cases that are old enough have a label."""
    facts = EvaluationSetFacts.of(evaluation_set).labels
    if facts is None or spec.labels is None or not facts.mature:
        return
    share = facts.labelled / facts.mature
    if share < spec.labels.minimum_share:
        yield (
            f"{facts.labelled:,} of {facts.mature:,} cases that are old enough have a label"
            f" ({share:.1%}), fewer than {spec.labels.minimum_share:.1%}"
            " (`labels.minimum_share`): those without one may be other cases"
        )


def _training_remarks(state: AuditState, evaluation_set: Record) -> Iterator[str]:
    """Say which candidates saw cases in training, or may have for all that they say of it."""
    known = EvaluationSetFacts.of(evaluation_set).training
    if not known:
        return
    table = state.store.read_table(evaluation_set, SEEN_IN_TRAINING)
    for name, facts in known.items():
        if facts.found or facts.problem or not facts.looks:
            ids = table.filter(pc.equal(table["candidate"], name))["id"][:_EXAMPLES].to_pylist()
            shown = "" if state.spec.redacts_ids or not ids else f", such as {', '.join(ids)}"
            yield f"{name} {format_training(facts)}{shown}"
        if facts.by_content is not None and not facts.content_identifies:
            yield (
                f"{facts.by_content:,} cases have the values that {name} saw in training in"
                f" {', '.join(facts.columns)}, and about {facts.by_chance:,.0f} would by chance:"
                " too little to tell cases by, so that these do not count as seen"
                " (`training.columns` names others)"
            )
        if facts.unread:
            yield (
                f"{facts.unread:,} of {facts.rows:,} rows that {name} was trained on could not be"
                " read whole, and cases may be among them"
            )


def _leakage_remarks(state: AuditState, evaluation_set: Record) -> Iterator[str]:
    """Say which features give the label away, and which cases are there more than once."""
    cases = state.store.read_table(evaluation_set, CASES)
    return leakage_remarks(cases, state.spec, with_ids=not state.spec.redacts_ids)


def _recording_remarks(state: AuditState, evaluation_set: Record) -> Iterator[str]:
    """Hold each recording against the whole evaluation set."""
    columns = ["id", "label", truth_column(state.spec)]
    table = state.store.read_table(evaluation_set, CASES, columns=columns)
    task = task_knowing_labels(state.spec, table)
    labelled = table.select(columns[:2]).to_pandas()
    for candidate in state.spec.candidates:
        try:
            observed = state.observed_model(candidate)
            found = recording_issues(
                candidate, state.home.root, labelled, task=task, digest=observed
            )
        except CandidateError as error:
            yield str(error)
            continue
        yield from (f"{candidate.name}, its recording: {finding.text}" for finding in found)


def _slices_table(slices: Sequence[CandidateSliceState]) -> pa.Table:
    """List every slice: its state, its error and its content version."""
    frame = pd.DataFrame(
        [
            {
                "candidate": s.candidate,
                **s.slice._asdict(),
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
    return EvaluatedCases(table, state.spec.data)


def _score(state: AuditState, expected: ExpectedScorecard, cases: EvaluatedCases) -> Scored:
    previous = expected.previous

    def predicted(candidate: CandidateSpec) -> Predicted | None:
        records = {
            s.slice: s.predictions
            for s in expected.slices
            if s.candidate == candidate.name and s.state == "current" and s.predictions is not None
        }
        return Predicted(read_predictions(state, records), records) if records else None

    def worsened(candidate: CandidateSpec, predictions: pd.DataFrame) -> pd.DataFrame:
        if previous is None:
            return pd.DataFrame()
        return compare_with_previous(state, candidate, cases, predictions, previous)

    return score(state.spec, cases, predicted, worsened=worsened)
