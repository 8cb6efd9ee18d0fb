"""A candidate's assets: its predictions and its metrics, slice by slice, in one step."""

from collections.abc import Iterator, Sequence
from typing import Any

import dagster as dg
import pandas as pd

from evaluator.errors import UsageError
from evaluator.evidence import Record
from evaluator.orchestration._asset_specs import (
    asset_spec,
    dependency,
    markdown_table,
    nightly_or_content_changed,
)
from evaluator.orchestration._candidate_run import METRICS, CandidateEvaluation, EvaluatedSlice
from evaluator.orchestration._home import HomeResource, run_context_of
from evaluator.orchestration._partition_run import Materialised, PartitionRun
from evaluator.orchestration._partitions import ALL_PARTITIONS, SAME_PARTITION, pool_of, slices
from evaluator.orchestration._state import AuditState
from evaluator.scorecard import PREDICTIONS
from evaluator.spec import Audit, CandidateSpec, RayExecution

PREDICTION_COLUMNS = dg.TableSchema(
    columns=[
        dg.TableColumn("id", "as in the data", description="the case"),
        dg.TableColumn("label", "int8", description="the truth: 1 is positive"),
        dg.TableColumn("score", "float64", description="the candidate's probability"),
        dg.TableColumn("prediction", "int8", description="1 where the score is high enough"),
    ]
)


def candidate_assets(audit: Audit, candidate: CandidateSpec) -> dg.AssetsDefinition:
    """Build the predictions and the metrics of one candidate, as one step."""
    by_slice = slices(audit.spec)
    condition = nightly_or_content_changed(audit.spec.automation.nightly)
    predictions = asset_spec(
        audit,
        f"{candidate.name}_predictions",
        code="predictions",
        description=(
            f"What {candidate.name} gives for each case of the slice: id, label, score and"
            " prediction. It fails where the candidate crashed on that slice."
        ),
        kinds={"python", "parquet"},
        deps=[
            dependency(audit, "evaluation_set", ALL_PARTITIONS),
            dependency(audit, f"{candidate.name}_model", ALL_PARTITIONS),
        ],
        partitions_def=by_slice,
        condition=condition,
        metadata={"dagster/column_schema": PREDICTION_COLUMNS},
    )
    metrics = asset_spec(
        audit,
        f"{candidate.name}_slice_metrics",
        code="slice_metrics",
        description=(
            f"The metrics of {candidate.name} on the slice, each with its interval, or with the"
            " reason why it is undefined. It fails with its predictions."
        ),
        kinds={"python", "parquet"},
        deps=[dependency(audit, f"{candidate.name}_predictions", SAME_PARTITION)],
        partitions_def=by_slice,
        condition=condition,
    )

    @dg.multi_asset(
        name=f"{audit.name}__{candidate.name}",
        specs=[predictions, metrics],
        can_subset=True,
        backfill_policy=_runs(audit.spec.partitions_per_run),
        pool=pool_of(candidate),
    )
    def evaluate(
        context: dg.AssetExecutionContext, evaluator_home: HomeResource
    ) -> Iterator[dg.MaterializeResult[None]]:
        run_context = run_context_of(context)
        state = AuditState(audit, evaluator_home.open())
        run = PartitionRun(context, state.store, run_context)
        done: dict[str, Record] = {}
        with CandidateEvaluation(state, candidate, run_context) as evaluation:
            for key, predicted in _predicted_slices(evaluation, run.partition_keys):
                if isinstance(predicted, Exception):
                    run.failed(*evaluation.target(key), predicted)
                    continue
                done[key] = predicted.record
                run.done(predictions.key, key, _describe_predictions(state, predicted))
            try:
                measured = evaluation.metrics(done)
            except Exception as error:  # noqa: BLE001 - the predictions are there and must count
                for key, record in done.items():
                    run.failed(*evaluation.metrics_target(key, record), error)
                measured = {}
        for key, evaluated in measured.items():
            run.done(metrics.key, key, _describe_metrics(state, evaluated))
        yield from run.results(predictions.key, metrics.key)

    return evaluate


def _predicted_slices(
    evaluation: CandidateEvaluation, slice_keys: Sequence[str]
) -> Iterator[tuple[str, EvaluatedSlice | Exception]]:
    """Predict slices where the audit says, and yield each with its outcome or its fault."""
    execution = evaluation.state.spec.execution
    if isinstance(execution, RayExecution):
        # It imports packages of an extra.
        try:
            from evaluator.orchestration._ray import predict_on_ray
        except ImportError as error:
            raise UsageError(
                f"the audit runs on Ray, and a package for it is missing ({error.name})",
                culprit=f"execution: {execution.address}",
                fix="pip install 'evaluator[ray]'",
            ) from error
        yield from predict_on_ray(evaluation, slice_keys, execution)
        return
    for key in slice_keys:
        try:
            predicted: EvaluatedSlice | Exception = evaluation.predictions(key)
        except Exception as error:  # noqa: BLE001 - a slice's fault must not take the others
            predicted = error
        yield key, predicted


def _runs(partitions_per_run: int | None) -> dg.BackfillPolicy:
    """Say how a backfill is cut; a single run is one for each value of the smaller dimension."""
    if partitions_per_run is None:
        return dg.BackfillPolicy.single_run()
    return dg.BackfillPolicy.multi_run(partitions_per_run)


def _describe_predictions(state: AuditState, predicted: EvaluatedSlice) -> Materialised:
    record = predicted.record
    return Materialised(
        record,
        {
            "dagster/row_count": record.facts["cases"],
            "reused": predicted.reused,
            "stored as": dg.MetadataValue.path(state.store.location(record, PREDICTIONS)),
        },
    )


def _describe_metrics(state: AuditState, measured: EvaluatedSlice) -> Materialised:
    record, frame = measured.record, measured.frame
    metadata: dict[str, Any] = {
        "cases": record.facts["cases"],
        "reused": measured.reused,
        "stored as": dg.MetadataValue.path(state.store.location(record, METRICS)),
    }
    if frame is not None:
        # Numbers are plotted over time by the UI; what is undefined has no number.
        for name, value in zip(frame["metric"], frame["value"], strict=True):
            if pd.notna(value):
                metadata[str(name)] = float(value)
        shown = frame[["metric", "value", "low", "high", "n", "status", "reason"]]
        metadata["table"] = dg.MetadataValue.md(markdown_table(shown))
        metadata["dagster/row_count"] = len(frame)
    return Materialised(record, metadata)
