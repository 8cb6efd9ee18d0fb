"""What is evaluated: the frozen, labelled set, and each candidate's artifact."""

import warnings
from collections.abc import Iterator, Mapping
from datetime import datetime

import dagster as dg
import pyarrow as pa

from evaluator.candidates import build_evaluation_set
from evaluator.evidence import Moment, Record, content_version
from evaluator.findings.names import CASES
from evaluator.intake import TYPED_ROWS
from evaluator.orchestration import identities, partitions
from evaluator.orchestration.automation import when_to_be_frozen
from evaluator.orchestration.markdown import markdown_table
from evaluator.orchestration.resources import HomeResource, moment_of
from evaluator.orchestration.specs import asset_spec, dependency
from evaluator.orchestration.state import AuditState
from evaluator.spec import Audit, CandidateSpec

WITHOUT_LABEL = "without_label.parquet"


def evaluation_set_asset(audit: Audit) -> dg.AssetsDefinition:
    """Build the snapshot of all accepted days."""
    spec = asset_spec(
        audit,
        "evaluation_set",
        code="evaluation_set",
        description=(
            "The labelled rows of all accepted days, frozen. Valid rows without a label are left"
            " out, and counted per slice. It fails where no row has a label."
        ),
        kinds={"python", "parquet"},
        deps=[dependency(audit, "validated_data", partitions.ALL_PARTITIONS)],
        condition=when_to_be_frozen(audit.spec.automation.refresh),
    )

    @dg.multi_asset(
        name=f"{audit.name}__evaluation_set",
        specs=[spec],
    )
    def evaluation_set(
        context: dg.AssetExecutionContext, evaluator_home: HomeResource
    ) -> dg.MaterializeResult[None]:
        state = AuditState(audit, evaluator_home.open())
        record = _store_evaluation_set(state, moment_of(context))
        left_out = {d.day: d.reason for d in state.day_states() if d.state != "accepted"}
        counts = state.store.read_table(record, WITHOUT_LABEL).to_pandas()
        return dg.MaterializeResult(
            data_version=dg.DataVersion(record.content_version),
            metadata={
                "dagster/row_count": record.facts["cases"],
                "days": len(record.facts["days"]),
                "days left out": dg.MetadataValue.json(left_out),
                "rows without a label": record.facts["without_label"],
                "labels by slice": dg.MetadataValue.md(markdown_table(counts)),
                "content version": record.content_version,
                "stored as": dg.MetadataValue.path(state.store.location(record, CASES)),
            },
        )

    return evaluation_set


def is_to_be_frozen(state: AuditState, frozen: Record | None, now: datetime) -> bool:
    """Tell whether the audit's policy asks for another evaluation set than the frozen one.

    Parameters
    ----------
    state
        The audit's state.
    frozen
        The evaluation set as it is; None where there is none yet.
    now
        The time; a week begins on Monday (UTC).
    """
    if frozen is None:
        return True
    of_same_days = state.identities.evaluation_set(
        {str(day.partition): day.content_version for day in frozen.upstream}
    )
    if of_same_days != frozen.identity:
        # The audit cuts or labels its cases differently now: the frozen set is of another audit.
        return True
    refresh = state.spec.automation.refresh
    same_week = frozen.created_at.isocalendar()[:2] == now.isocalendar()[:2]
    if refresh == "on_demand" or (refresh == "weekly" and same_week):
        return False
    return frozen.identity != state.identities.evaluation_set(_versions(state.accepted_days()))


def _versions(days: Mapping[str, Record]) -> dict[str, str]:
    return {day: record.content_version for day, record in days.items()}


def _store_evaluation_set(state: AuditState, moment: Moment) -> Record:
    days = state.accepted_days()
    address = state.address("evaluation_set")
    identity = state.identities.evaluation_set(_versions(days))
    existing = state.store.reuse(address, identity, moment)
    if existing is not None:
        return existing
    tables = {day: state.store.read_table(record, TYPED_ROWS) for day, record in days.items()}
    built = build_evaluation_set(tables, state.spec)
    return state.store.write(
        address,
        identity,
        {
            CASES: built.cases,
            WITHOUT_LABEL: pa.Table.from_pandas(built.without_label, preserve_index=False),
        },
        content_version=content_version(built.cases, order_by=["geography", "segment", "id"]),
        upstream=[record.as_upstream() for record in days.values()],
        facts={
            "cases": built.cases.num_rows,
            "without_label": int(built.without_label["without_label"].sum()),
            "days": sorted(days),
        },
        code_version=identities.CODE_VERSIONS["evaluation_set"],
        moment=moment,
    )


def model_asset(audit: Audit, candidate: CandidateSpec) -> dg.AssetsDefinition:
    """Build the observed artifact of one candidate."""
    spec = asset_spec(
        audit,
        f"{candidate.name}_model",
        code="model",
        description=(
            f"The artifact of {candidate.name}. {candidate.description}\n\nObserving it takes its"
            " digest as the data version; it fails where the artifact is absent."
        ),
        kinds={candidate.kind}
        | ({"scikitlearn"} if candidate.kind in ("skops", "pickle") else set()),
        metadata={"path": candidate.source},
    )
    with warnings.catch_warnings():
        # The decorator is marked beta. What we need of it is pinned by a test.
        warnings.simplefilter("ignore", dg.BetaWarning)

        @dg.multi_observable_source_asset(  # type: ignore[untyped-decorator] # Dagster's lack
            name=f"{audit.name}__{candidate.name}_model",
            specs=[spec],
        )
        def model(
            context: dg.AssetExecutionContext, evaluator_home: HomeResource
        ) -> Iterator[dg.ObserveResult]:
            state = AuditState(audit, evaluator_home.open())
            record = observe_model(state, candidate, moment_of(context))
            yield dg.ObserveResult(
                asset_key=spec.key,
                data_version=dg.DataVersion(record.content_version),
                metadata={"digest": record.content_version, "path": candidate.source},
            )

    observed: dg.AssetsDefinition = model
    return observed


def observe_model(state: AuditState, candidate: CandidateSpec, moment: Moment) -> Record:
    """Note which artifact lies there now, and return its record."""
    digest = state.model_digest(candidate)
    return state.store.write(
        state.address(f"{candidate.name}_model"),
        identities.model_identity(digest),
        {},
        content_version=digest,
        upstream=[],
        facts={"path": candidate.source, "kind": candidate.kind},
        code_version=identities.CODE_VERSIONS["model"],
        moment=moment,
    )
