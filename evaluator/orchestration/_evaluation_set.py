"""What is evaluated, as it stands now: the frozen, labelled set, and each candidate's artifact."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from evaluator.candidates import ages_of, build_evaluation_set
from evaluator.errors import IntakeError, StateError
from evaluator.evidence import Record, RunContext, Upstream, content_version
from evaluator.intake import TYPED_ROWS
from evaluator.orchestration._facts import EvaluationSetFacts, ModelFacts
from evaluator.orchestration._identities import CODE_VERSIONS, model_identity
from evaluator.orchestration._state import AuditState
from evaluator.orchestration._training import describe_training, trained_on
from evaluator.scorecard import (
    CASES,
    DATA_INTAKE,
    INTAKES,
    LABELLED_BY_AGE,
    LABELS_INTAKE,
    OTHER,
    SEEN_IN_TRAINING,
    Asset,
    model_of,
)
from evaluator.spec import CandidateSpec

WITHOUT_LABEL = "without_label.parquet"
LABEL_EXAMPLES = "label_examples.parquet"
"""Ids of labels that no case has, that are repeated or that contradict each other."""


def needs_refresh(state: AuditState, snapshot: Record | None, now: datetime) -> bool:
    """Tell whether the audit's policy asks for another evaluation set than the frozen one."""
    if snapshot is None:
        return True
    if _identity(state, snapshot.upstream) != snapshot.identity:
        # The audit cuts or labels its cases differently now: the frozen set is of another audit.
        return True
    refresh = state.spec.automation.refresh
    same_week = snapshot.created_at.isocalendar()[:2] == now.isocalendar()[:2]
    if refresh == "on_demand" or (refresh == "weekly" and same_week):
        return False
    return snapshot.identity != _identity(state, accepted_rows(state))


def withholding_days(state: AuditState) -> dict[str, str]:
    """Tell for which days the evaluation set waits, and why these could not be taken in."""
    if state.spec.automation.faulty_days == "leave_out":
        return {}
    return {
        day if stream.is_data else f"{day} ({stream.name})": why
        for stream in state.streams
        for day, why in state.faulty_days(stream).items()
    }


def accepted_rows(state: AuditState) -> list[Record]:
    """Return the typed rows of all accepted days, of data and of labels."""
    return [one for stream in state.streams for one in state.accepted_days(stream).values()]


def missing_labels(state: AuditState) -> IntakeError | None:
    """Say what is waited for where labels come in files of their own, and no case can have one."""
    stream = state.labels
    if stream is None:
        return None
    accepted = state.accepted_days(stream)
    if accepted:
        try:
            ages_of(state.accepted_days(), accepted, state.spec)
        except IntakeError as error:
            return error
        return None
    came = state.day_states(stream)
    if came:
        what = f"{len(came)} days of labels have come, and none is accepted"
        return IntakeError(
            f"no case has a label yet: {what}",
            culprit=state.audit.name,
            fix=f"read {stream.assets.report} and {stream.assets.quarantined} of {came[-1].day}",
        )
    missing = state.source(stream).nothing_came()
    return IntakeError(
        f"no label has come for any case yet: {missing.what}",
        culprit=state.audit.name,
        fix=missing.fix,
    )


def _identity(state: AuditState, rows: Iterable[Record | Upstream]) -> str:
    """Identity of the set that is made of these typed rows."""
    versions: dict[str, dict[str, str]] = {names.typed: {} for names in INTAKES}
    for one in rows:
        versions[one.asset][str(one.partition)] = one.content_version
    data, labels = (versions[names.typed] for names in (DATA_INTAKE, LABELS_INTAKE))
    training = describe_training(state.spec, state.home.root)
    return state.identities.evaluation_set(data, labels, training)


def store_evaluation_set(state: AuditState, run_context: RunContext) -> Record:
    """Freeze the labelled rows of all accepted days.

    Raises
    ------
    StateError
        Where a day waits that could not be taken in, and the audit does not leave such ones out.
    IntakeError
        Where no case has a label.
    """
    waiting = withholding_days(state)
    if waiting:
        day, why = next(iter(waiting.items()))
        raise StateError(
            f"{len(waiting)} of its days could not be taken in by no fault of theirs, and it is not"
            f" frozen without them; {day}: {why}",
            culprit=str(state.address(Asset.EVALUATION_SET)),
            fix="mend that, and run again; `automation.faulty_days: leave_out` does without them",
        )
    missing = missing_labels(state)
    if missing is not None:
        raise missing
    rows = accepted_rows(state)
    address = state.address(Asset.EVALUATION_SET)
    identity = _identity(state, rows)
    existing = state.store.reuse(address, identity, run_context)
    if existing is not None:
        state.know_values()
        return existing
    tables: dict[str, dict[str, pa.Table]] = {names.typed: {} for names in INTAKES}
    for record in rows:
        tables[record.asset][str(record.partition)] = state.store.read_table(record, TYPED_ROWS)
    days = tables[Asset.VALIDATED_DATA]
    before = state.current(Asset.EVALUATION_SET)
    built = build_evaluation_set(
        days,
        state.spec,
        tables[Asset.VALIDATED_LABELS],
        found_before={} if before is None else EvaluationSetFacts.of(before).found,
        trained_on=trained_on(state.spec, state.home.root),
        came_as=_came_as(state, rows),
    )
    files = {
        CASES: built.cases,
        WITHOUT_LABEL: pa.Table.from_pandas(built.without_label, preserve_index=False),
    }
    known: dict[str, Any] = {}
    if built.found:
        pooled = {name: pc.sum(pc.equal(built.cases[name], OTHER)).as_py() for name in built.found}
        known = {"found": built.found, "pooled": pooled}
    if built.late is not None:
        files |= {LABELLED_BY_AGE: built.late.by_age, LABEL_EXAMPLES: built.late.examples}
        known["labels"] = built.late.facts
    if built.seen is not None:
        files[SEEN_IN_TRAINING] = built.seen.table
        known["training"] = dict(built.seen.facts)
        known["seen_left_out"] = int(built.seen.is_left_out.sum())
    written = state.store.write(
        address,
        identity,
        files,
        content_version=content_version(built.cases, order_by=["geography", "segment", "id"]),
        upstream=[record.as_upstream() for record in rows],
        facts=EvaluationSetFacts(
            cases=built.cases.num_rows,
            without_label=int(built.without_label["without_label"].sum()),
            of_weight_zero=built.of_weight_zero,
            days=sorted(days),
            **known,
        ).to_record(),
        code_version=CODE_VERSIONS["evaluation_set"],
        run_context=run_context,
    )
    state.know_values()
    return written


def _came_as(state: AuditState, rows: Iterable[Record]) -> dict[str, list[str]]:
    """Tell by day the digests of the files of data as they came, where candidates name such."""
    if not any(c.training and c.training.digests for c in state.spec.candidates):
        return {}
    return {
        str(raw.partition): [stored.sha256 for stored in raw.files.values()]
        for record in rows
        for one in record.upstream
        if one.asset == Asset.RAW_DATA
        for raw in [state.store.get(state.address(one.asset, one.partition), one.identity)]
    }


def label_notes_of(state: AuditState, record: Record) -> list[str]:
    """Say in sentences what became of labels that came in files of their own."""
    from evaluator.reporting import label_notes

    facts = EvaluationSetFacts.of(record).labels
    if facts is None:
        return []
    examples: dict[str, list[str]] = {}
    # What is shown to others names no case where its id is withheld.
    if not state.spec.redacts_ids:
        for row in state.store.read_table(record, LABEL_EXAMPLES).to_pylist():
            examples.setdefault(row["finding"], []).append(row["id"])
    return label_notes(facts, examples)


def observe_model(state: AuditState, candidate: CandidateSpec, run_context: RunContext) -> Record:
    """Note which artifact lies there now, and return its record."""
    digest = state.model_digest(candidate)
    return state.store.write(
        state.address(model_of(candidate.name)),
        model_identity(digest),
        {},
        content_version=digest,
        upstream=[],
        facts=ModelFacts(path=candidate.source, kind=candidate.kind).to_record(),
        code_version=CODE_VERSIONS["model"],
        run_context=run_context,
    )
