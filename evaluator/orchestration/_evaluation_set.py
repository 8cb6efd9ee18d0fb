"""What is evaluated, as it stands now: the frozen, labelled set, and each candidate's artifact."""

from collections.abc import Mapping
from datetime import datetime

import pyarrow as pa
import pyarrow.compute as pc

from evaluator.candidates import build_evaluation_set, discover_values
from evaluator.errors import StateError
from evaluator.evidence import Record, RunContext, content_version
from evaluator.intake import TYPED_ROWS
from evaluator.orchestration._facts import EvaluationSetFacts, ModelFacts
from evaluator.orchestration._identities import CODE_VERSIONS, model_identity
from evaluator.orchestration._state import AuditState
from evaluator.scorecard import CASES, OTHER, Asset, model_of
from evaluator.spec import CandidateSpec

WITHOUT_LABEL = "without_label.parquet"


def needs_refresh(state: AuditState, snapshot: Record | None, now: datetime) -> bool:
    """Tell whether the audit's policy asks for another evaluation set than the frozen one."""
    if snapshot is None:
        return True
    of_same_days = state.identities.evaluation_set(
        {str(day.partition): day.content_version for day in snapshot.upstream}
    )
    if of_same_days != snapshot.identity:
        # The audit cuts or labels its cases differently now: the frozen set is of another audit.
        return True
    refresh = state.spec.automation.refresh
    same_week = snapshot.created_at.isocalendar()[:2] == now.isocalendar()[:2]
    if refresh == "on_demand" or (refresh == "weekly" and same_week):
        return False
    return snapshot.identity != state.identities.evaluation_set(_versions(state.accepted_days()))


def withholding_days(state: AuditState) -> dict[str, str]:
    """Tell for which days the evaluation set waits, and why these could not be taken in."""
    leave_out = state.spec.automation.faulty_days == "leave_out"
    return {} if leave_out else state.faulty_days()


def _versions(days: Mapping[str, Record]) -> dict[str, str]:
    return {day: record.content_version for day, record in days.items()}


def store_evaluation_set(state: AuditState, run_context: RunContext) -> Record:
    """Freeze the labelled rows of all accepted days.

    Raises
    ------
    StateError
        Where a day waits that could not be taken in, and the audit does not leave such ones out.
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
    days = state.accepted_days()
    address = state.address(Asset.EVALUATION_SET)
    identity = state.identities.evaluation_set(_versions(days))
    existing = state.store.reuse(address, identity, run_context)
    if existing is not None:
        state.know_values()
        return existing
    tables = {day: state.store.read_table(record, TYPED_ROWS) for day, record in days.items()}
    before = state.current(Asset.EVALUATION_SET)
    found = discover_values(
        tables, state.spec, {} if before is None else EvaluationSetFacts.of(before).found
    )
    built = build_evaluation_set(tables, state.spec.with_found(found))
    pooled = {
        dimension: pc.sum(pc.equal(built.cases[dimension], OTHER)).as_py() for dimension in found
    }
    record = state.store.write(
        address,
        identity,
        {
            CASES: built.cases,
            WITHOUT_LABEL: pa.Table.from_pandas(built.without_label, preserve_index=False),
        },
        content_version=content_version(built.cases, order_by=["geography", "segment", "id"]),
        upstream=[record.as_upstream() for record in days.values()],
        facts=EvaluationSetFacts(
            cases=built.cases.num_rows,
            without_label=int(built.without_label["without_label"].sum()),
            of_weight_zero=built.of_weight_zero,
            days=sorted(days),
            **({"found": found, "pooled": pooled} if found else {}),
        ).to_record(),
        code_version=CODE_VERSIONS["evaluation_set"],
        run_context=run_context,
    )
    state.know_values()
    return record


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
