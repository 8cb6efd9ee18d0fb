"""A candidate's assets: its predictions and its metrics, slice by slice, in one step."""

from collections.abc import Iterator

import dagster as dg

from evaluator.evidence import Record
from evaluator.orchestration._asset_specs import (
    asset_spec,
    dependency,
    markdown_rows,
    nightly_or_content_changed,
)
from evaluator.orchestration._candidate_run import METRICS, CandidateEvaluation
from evaluator.orchestration._executors._executor import SliceExecutor
from evaluator.orchestration._facts import SliceFacts
from evaluator.orchestration._partition_run import Materialised, PartitionRun
from evaluator.orchestration._partitions import ALL_PARTITIONS, SAME_PARTITION, slices
from evaluator.orchestration._resources import States, run_context_of
from evaluator.orchestration._state import AuditState
from evaluator.scorecard import (
    PREDICTIONS,
    Asset,
    Slice,
    metrics_of,
    model_of,
    predictions_of,
    step_of,
)
from evaluator.spec import Audit, CandidateSpec

_SHOWN = ["metric", "class", "value", "low", "high", "n", "status", "reason"]


def candidate_assets(audit: Audit, candidate: CandidateSpec) -> dg.AssetsDefinition:
    """Build the predictions and the metrics of one candidate, as one step."""
    by_slice = slices(audit)
    stored = audit.spec.asks.columns(candidate)
    columns = [dg.TableColumn(*c[:2], description=c[2]) for c in stored]
    condition = nightly_or_content_changed(audit.spec.automation.nightly)
    predictions = asset_spec(
        audit,
        predictions_of(candidate.name),
        code="predictions",
        description=(
            f"What {candidate.name} gives for each case of the slice, beside its label. It fails"
            " where the candidate crashed on that slice."
        ),
        kinds={"python", "parquet"},
        deps=[
            dependency(audit, Asset.EVALUATION_SET, ALL_PARTITIONS),
            dependency(audit, model_of(candidate.name), ALL_PARTITIONS),
        ],
        partitions_def=by_slice,
        condition=condition,
        metadata={"dagster/column_schema": dg.TableSchema(columns=columns)},
    )
    metrics = asset_spec(
        audit,
        metrics_of(candidate.name),
        code="slice_metrics",
        description=(
            f"The metrics of {candidate.name} on the slice, each with its interval, or with the"
            " reason why it is undefined. It fails with its predictions."
        ),
        kinds={"python", "parquet"},
        deps=[dependency(audit, predictions_of(candidate.name), SAME_PARTITION)],
        partitions_def=by_slice,
        condition=condition,
    )

    @dg.multi_asset(
        name=step_of(audit.name, predictions_of(candidate.name)),
        specs=[predictions, metrics],
        can_subset=True,
        backfill_policy=_runs(audit.spec.partitions_per_run),
        pool=candidate.pool,
    )
    def evaluate(
        context: dg.AssetExecutionContext,
        evaluator_home: dg.ResourceParam[States],
        evaluator_executor: dg.ResourceParam[SliceExecutor],
    ) -> Iterator[dg.MaterializeResult[None]]:
        run_context = run_context_of(context)
        state = evaluator_home.state(audit)
        run = PartitionRun(context, state.store, run_context)
        with CandidateEvaluation(state, candidate, run_context) as evaluation:
            asked = [Slice.of_key(key) for key in run.partition_keys]
            for one, fault in evaluator_executor.evaluate(evaluation, asked):
                for asset, target, describe in (
                    (predictions.key, evaluation.predictions_target(one), _describe_predictions),
                    (metrics.key, evaluation.metrics_target(one), _describe_metrics),
                ):
                    record = state.store.find(*target)
                    if record is not None:
                        reused = record.run_id != run_context.run_id
                        run.done(asset, one.key, describe(state, record, reused=reused))
                    elif fault is not None:
                        run.failed(*target, fault)
                        break
        yield from run.results(predictions.key, metrics.key)

    return evaluate


def _runs(partitions_per_run: int | None) -> dg.BackfillPolicy:
    """Say how a backfill is cut; a single run is one for each value of the smaller dimension."""
    if partitions_per_run is None:
        return dg.BackfillPolicy.single_run()
    return dg.BackfillPolicy.multi_run(partitions_per_run)


def _describe_predictions(state: AuditState, record: Record, *, reused: bool) -> Materialised:
    return Materialised(
        record,
        {
            "dagster/row_count": SliceFacts.of(record).cases,
            "reused": reused,
            "stored as": dg.MetadataValue.path(state.place(record, PREDICTIONS)),
        },
    )


def _describe_metrics(state: AuditState, record: Record, *, reused: bool) -> Materialised:
    # Thousands of small tables: a frame of each would take thrice the time of reading it.
    rows = state.store.read_table(record, METRICS).to_pylist()
    shown = [name for name in _SHOWN if name != "class" or (rows and name in rows[0])]
    return Materialised(
        record,
        {
            "cases": SliceFacts.of(record).cases,
            "reused": reused,
            "stored as": dg.MetadataValue.path(state.place(record, METRICS)),
            # Numbers are plotted over time by the UI; what is undefined has no number. Of single
            # classes there may be many.
            **{
                row["metric"]: row["value"]
                for row in rows
                if row["value"] is not None and row.get("class") is None
            },
            "table": dg.MetadataValue.md(
                markdown_rows(shown, [[row[name] for name in shown] for row in rows])
            ),
            "dagster/row_count": len(rows),
        },
    )
