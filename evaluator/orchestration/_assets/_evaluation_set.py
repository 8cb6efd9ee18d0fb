"""What is evaluated: the frozen, labelled set, and each candidate's artifact."""

import warnings
from collections.abc import Iterator
from typing import Any

import dagster as dg

from evaluator.candidates import adapter_of
from evaluator.certification import format_training
from evaluator.orchestration._asset_specs import (
    asset_spec,
    dependency,
    evaluation_set_condition,
    markdown_table,
)
from evaluator.orchestration._evaluation_set import (
    WITHOUT_LABEL,
    label_notes_of,
    observe_model,
    store_evaluation_set,
)
from evaluator.orchestration._facts import EvaluationSetFacts
from evaluator.orchestration._partitions import ALL_PARTITIONS, tell_values
from evaluator.orchestration._resources import States, run_context_of
from evaluator.orchestration._streams import streams_of
from evaluator.scorecard import CASES, LABELLED_BY_AGE, Asset, model_of, step_of
from evaluator.spec import Audit, CandidateSpec


def evaluation_set_asset(audit: Audit) -> dg.AssetsDefinition:
    """Build the snapshot of all accepted days."""
    from evaluator.reporting import escape_markdown

    spec = asset_spec(
        audit,
        Asset.EVALUATION_SET,
        code="evaluation_set",
        description=(
            "The labelled rows of all accepted days, frozen. Valid rows without a label are left"
            " out, and counted per slice; those of weight 0 are left out, and counted. It fails"
            " where no row has a label, or one lacks its cluster or its weight."
            + (
                ""
                if audit.spec.labels is None
                else " Labels are joined by id from all their accepted days, and cases that are too"
                " young for theirs are left out."
            )
            + (
                " Cases that candidates saw in training are looked for, and left out where these"
                " say so."
                if any(candidate.training for candidate in audit.spec.candidates)
                else ""
            )
        ),
        kinds={"python", "parquet"},
        deps=[
            dependency(audit, stream.assets.typed, ALL_PARTITIONS)
            for stream in streams_of(audit.spec)
        ],
        condition=evaluation_set_condition(audit.spec.automation.refresh),
    )

    @dg.multi_asset(
        name=step_of(audit.name, Asset.EVALUATION_SET),
        specs=[spec],
    )
    def evaluation_set(
        context: dg.AssetExecutionContext, evaluator_home: dg.ResourceParam[States]
    ) -> dg.MaterializeResult[None]:
        state = evaluator_home.state(audit)
        record = store_evaluation_set(state, run_context_of(context))
        tell_values(context.instance, state.audit)
        facts = EvaluationSetFacts.of(record)
        left_out = {
            stream.name: {d.day: d.reason for d in days if d.state != "accepted"}
            for stream in state.streams
            for days in [state.day_states(stream)]
        }
        late: dict[str, dg.MetadataValue[Any]] = {}
        if facts.labels is not None:
            by_age = state.store.read_table(record, LABELLED_BY_AGE).to_pandas()
            late = {
                "days of labels left out": dg.MetadataValue.json(left_out["labels"]),
                "cases with a label, by age in days": dg.MetadataValue.md(markdown_table(by_age)),
                "labels": dg.MetadataValue.md(
                    "\n".join(f"- {escape_markdown(one)}" for one in label_notes_of(state, record))
                ),
            }
        counts = state.store.read_table(record, WITHOUT_LABEL).to_pandas()
        return dg.MaterializeResult(
            data_version=dg.DataVersion(record.content_version),
            metadata={
                "dagster/row_count": facts.cases,
                "days": len(facts.days),
                "days left out": dg.MetadataValue.json(left_out["data"]),
                "rows without a label": facts.without_label,
                "rows of weight 0": facts.of_weight_zero,
                **{
                    f"cases of other values of {state.spec.slice_columns[name]}": count
                    for name, count in facts.pooled.items()
                },
                "labels by slice": dg.MetadataValue.md(markdown_table(counts)),
                **late,
                **(
                    {
                        "rows seen in training, left out": facts.seen_left_out,
                        "seen in training": dg.MetadataValue.md(
                            "\n".join(
                                f"- {escape_markdown(f'{name} {format_training(one)}')}"
                                for name, one in facts.training.items()
                            )
                        ),
                    }
                    if facts.training
                    else {}
                ),
                "content version": record.content_version,
                "stored as": dg.MetadataValue.path(state.place(record, CASES)),
            },
        )

    return evaluation_set


def model_asset(audit: Audit, candidate: CandidateSpec) -> dg.AssetsDefinition:
    """Build the observed artifact of one candidate."""
    from evaluator.reporting import escape_markdown

    spec = asset_spec(
        audit,
        model_of(candidate.name),
        code="model",
        description=(
            f"The artifact of {candidate.name}."
            f" {escape_markdown(candidate.description)}\n\nObserving it takes its"
            " digest as the data version; it fails where the artifact is absent."
        ),
        kinds={candidate.kind, *adapter_of(candidate).icons},
        metadata={"path": candidate.source},
    )
    with warnings.catch_warnings():
        # The decorator is marked beta. What we need of it is pinned by a test.
        warnings.simplefilter("ignore", dg.BetaWarning)

        @dg.multi_observable_source_asset(  # type: ignore[untyped-decorator] # Dagster's lack
            name=step_of(audit.name, model_of(candidate.name)),
            specs=[spec],
        )
        def model(
            context: dg.AssetExecutionContext, evaluator_home: dg.ResourceParam[States]
        ) -> Iterator[dg.ObserveResult]:
            state = evaluator_home.state(audit)
            record = observe_model(state, candidate, run_context_of(context))
            yield dg.ObserveResult(
                asset_key=spec.key,
                data_version=dg.DataVersion(record.content_version),
                metadata={"digest": record.content_version, "path": candidate.source},
            )

    observed: dg.AssetsDefinition = model
    return observed
