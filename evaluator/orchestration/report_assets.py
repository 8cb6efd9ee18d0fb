"""What an audit ends in: scorecard, MLflow runs, certificate and dashboard."""

from collections.abc import Iterator
from typing import Any

import dagster as dg
import pandas as pd

from evaluator.certification.day_facts import asks_about_days
from evaluator.evidence import Record, digest_of
from evaluator.evidence.lineage import rests_on
from evaluator.findings.names import FIGURES, MORE_FIGURES
from evaluator.orchestration import identities, partitions
from evaluator.orchestration.automation import when_anything_is_known
from evaluator.orchestration.certificates import CERTIFICATE
from evaluator.orchestration.documents import (
    PAGE,
    store_certificate,
    store_dashboard,
    store_documents,
)
from evaluator.orchestration.finding_tables import finding_tables
from evaluator.orchestration.markdown import markdown_table
from evaluator.orchestration.mlflow_runs import MlflowTracking
from evaluator.orchestration.promotion import promote, registered
from evaluator.orchestration.resources import HomeResource, moment_of
from evaluator.orchestration.scorecard import read_judged_scorecard, store_scorecard
from evaluator.orchestration.specs import asset_spec, dependency
from evaluator.orchestration.state import AuditState
from evaluator.spec import Audit

# A tracking server that restarts is back within a minute.
RETRIES = dg.RetryPolicy(
    max_retries=3, delay=2, backoff=dg.Backoff.EXPONENTIAL, jitter=dg.Jitter.FULL
)

MOST_ROWS = 200
"""How many rows of the further slices stand in Dagster's UI."""


def report_assets(audit: Audit) -> list[dg.AssetsDefinition]:
    """Build the assets that gather all candidates."""
    assets = [_scorecard(audit), _mlflow_runs(audit), _certificate(audit), _dashboard(audit)]
    assets.append(_documents(audit))
    return [*assets, _promoted_models(audit)] if registered(audit.spec) else assets


def _result(record: Record, metadata: dict[str, Any]) -> dg.MaterializeResult[None]:
    return dg.MaterializeResult(
        data_version=dg.DataVersion(record.content_version),
        metadata={
            "content version": record.content_version,
            "identity": record.identity,
            "rests on": rests_on(record),
            **metadata,
        },
    )


def _scorecard(audit: Audit) -> dg.AssetsDefinition:
    spec = asset_spec(
        audit,
        "scorecard",
        code="scorecard",
        description=(
            "All candidates side by side: overall, by geography, by segment and by slice; compared"
            " case by case, looked at for fairness and weak slices, as the audit asks; and a list"
            " of what is missing. It fails only where there is nothing to score at all."
        ),
        kinds={"python", "parquet"},
        deps=[
            dependency(audit, "evaluation_set", partitions.ALL_PARTITIONS),
            *(
                dependency(audit, f"{c.name}_slice_metrics", partitions.ALL_PARTITIONS)
                for c in audit.spec.candidates
            ),
            *(
                [dependency(audit, "data_quality_report", partitions.ALL_PARTITIONS)]
                if asks_about_days(audit.spec)
                else []
            ),
        ],
        condition=when_anything_is_known(),
    )
    check = dg.AssetCheckSpec(
        "enough_slices",
        asset=spec.key,
        description=(
            "No candidate misses more slices than the audit allows (`allow_failed_slices`), on the"
            " current evaluation set."
        ),
    )

    @dg.multi_asset(
        name=f"{audit.name}__scorecard",
        specs=[spec],
        check_specs=[check],
    )
    def scorecard(
        context: dg.AssetExecutionContext, evaluator_home: HomeResource
    ) -> Iterator[dg.MaterializeResult[None] | dg.AssetCheckResult]:
        state = AuditState(audit, evaluator_home.open())
        record = store_scorecard(state, moment_of(context))
        found = read_judged_scorecard(state).scorecard
        overall = found.measurements[found.measurements["level"] == "overall"]
        shown = overall[["candidate", "metric", "value", "low", "high", "n", "status", "reason"]]
        missing = found.slices[found.slices["state"] != "current"]
        more = finding_tables(audit.spec, found)
        if audit.spec.more_slices:
            more["more slices"] = _more_slices_table(
                found.additional_measurements, audit.spec.metrics[0]
            )
        yield _result(
            record,
            {
                "dagster/row_count": len(found.measurements),
                "overall": dg.MetadataValue.md(markdown_table(shown)),
                "slices not current": len(missing),
                "remarks": dg.MetadataValue.json(list(found.remarks)),
                **{name: dg.MetadataValue.md(words) for name, words in more.items()},
                "what is missing": dg.MetadataValue.md(markdown_table(missing)),
                "stored as": dg.MetadataValue.path(state.store.location(record, FIGURES)),
            },
        )
        counts = missing["candidate"].value_counts()
        allowed = audit.spec.failed_slices_allowed()
        yield dg.AssetCheckResult(
            passed=bool((counts <= allowed).all()),
            asset_key=spec.key,
            check_name=check.name,
            severity=dg.AssetCheckSeverity.WARN,
            metadata={
                "slices not current": {str(name): int(count) for name, count in counts.items()},
                "allowed for each candidate": allowed,
            },
        )

    return scorecard


def _more_slices_table(figures: pd.DataFrame, metric: str) -> str:
    """Lay one metric of the further slices out, as far as the UI shows it without delay."""
    rows = figures[figures["metric"] == metric]
    columns = ["level", "group", "candidate", "value", "low", "high", "n", "status", "reason"]
    table = f"{metric}:\n\n{markdown_table(rows[columns].head(MOST_ROWS))}"
    if len(rows) > MOST_ROWS:
        table += (
            f"\n\nThe first {MOST_ROWS} of {len(rows):,} rows; all of them, and the other metrics,"
            f" are in {MORE_FIGURES}."
        )
    return table


def _mlflow_runs(audit: Audit) -> dg.AssetsDefinition:
    spec = asset_spec(
        audit,
        "mlflow_runs",
        code="mlflow_runs",
        description=(
            "One MLflow run a candidate, with its figures. It fails where the tracking server is"
            " down, after three more tries; nothing waits for it."
        ),
        kinds={"mlflow"},
        deps=[dependency(audit, "scorecard", partitions.ALL_PARTITIONS)],
        condition=when_anything_is_known(),
    )

    @dg.multi_asset(
        name=f"{audit.name}__mlflow_runs",
        specs=[spec],
        retry_policy=RETRIES,
        pool="mlflow",
    )
    def mlflow_runs(
        context: dg.AssetExecutionContext,
        evaluator_home: HomeResource,
        evaluator_mlflow: MlflowTracking,
    ) -> dg.MaterializeResult[None]:
        state = AuditState(audit, evaluator_home.open())
        moment = moment_of(context)
        judged = read_judged_scorecard(state)
        identity = state.identities.mlflow_runs(judged.record, state.home)
        runs = evaluator_mlflow.log(
            audit, state.home, judged, identity=identity, dagster_run=moment.run_id
        )
        record = state.store.write(
            state.address("mlflow_runs"),
            identity,
            {},
            content_version=identity,
            upstream=[judged.record.as_upstream()],
            facts={"runs": runs},
            code_version=identities.CODE_VERSIONS["mlflow_runs"],
            moment=moment,
        )
        return _result(record, {"runs": dg.MetadataValue.json(runs)})

    return mlflow_runs


def _certificate(audit: Audit) -> dg.AssetsDefinition:
    spec = asset_spec(
        audit,
        "certificate",
        code="certificate",
        description=(
            "The verdict of every gate on every candidate, and the digests of all that it rests"
            ' on. "Not certified" is a result; it fails only on a fault.'
        ),
        kinds={"python", "json"},
        deps=[dependency(audit, "scorecard", partitions.ALL_PARTITIONS)],
        condition=when_anything_is_known(),
    )

    @dg.multi_asset(
        name=f"{audit.name}__certificate",
        specs=[spec],
    )
    def certificate(
        context: dg.AssetExecutionContext, evaluator_home: HomeResource
    ) -> dg.MaterializeResult[None]:
        state = AuditState(audit, evaluator_home.open())
        moment = moment_of(context)
        judged = read_judged_scorecard(state, moment.now)
        record = store_certificate(state, judged, moment)
        outcomes = {outcome.candidate: outcome.outcome for outcome in judged.outcomes}
        return _result(
            record,
            {
                "outcomes": dg.MetadataValue.json(outcomes),
                "stored as": dg.MetadataValue.path(state.store.location(record, CERTIFICATE)),
            },
        )

    return certificate


def _promoted_models(audit: Audit) -> dg.AssetsDefinition:
    spec = asset_spec(
        audit,
        "promoted_models",
        code="promoted_models",
        description=(
            "Tags, and an alias if the audit names one, on the registry's model versions whose"
            " certificate says certified and stands; they are taken from all others."
        ),
        kinds={"mlflow"},
        deps=[dependency(audit, "certificate", partitions.ALL_PARTITIONS)],
        condition=when_anything_is_known(),
    )

    @dg.multi_asset(
        name=f"{audit.name}__promoted_models",
        specs=[spec],
        retry_policy=RETRIES,
        pool="mlflow",
    )
    def promoted_models(
        context: dg.AssetExecutionContext, evaluator_home: HomeResource
    ) -> dg.MaterializeResult[None]:
        state = AuditState(audit, evaluator_home.open())
        promoted = promote(state, moment_of(context).now)
        return dg.MaterializeResult(
            data_version=dg.DataVersion(digest_of(promoted)),
            metadata={"certificates": dg.MetadataValue.json(promoted)},
        )

    return promoted_models


def _dashboard(audit: Audit) -> dg.AssetsDefinition:
    spec = asset_spec(
        audit,
        "dashboard",
        code="dashboard",
        description="One self-contained HTML page for the auditor. It fails only on a fault.",
        kinds={"python", "html"},
        deps=[
            dependency(audit, "scorecard", partitions.ALL_PARTITIONS),
            dependency(audit, "certificate", partitions.ALL_PARTITIONS),
            dependency(audit, "evaluation_set", partitions.ALL_PARTITIONS),
            dependency(audit, "data_quality_report", partitions.ALL_PARTITIONS),
        ],
        condition=when_anything_is_known(),
    )

    @dg.multi_asset(
        name=f"{audit.name}__dashboard",
        specs=[spec],
    )
    def dashboard(
        context: dg.AssetExecutionContext, evaluator_home: HomeResource
    ) -> dg.MaterializeResult[None]:
        state = AuditState(audit, evaluator_home.open())
        record = store_dashboard(state, read_judged_scorecard(state), moment_of(context))
        page = state.store.location(record, PAGE)
        return _result(record, {"page": dg.MetadataValue.path(page)})

    return dashboard


def _documents(audit: Audit) -> dg.AssetsDefinition:
    spec = asset_spec(
        audit,
        "documents",
        code="documents",
        description=(
            "A model card a candidate and the audit's technical file, as Markdown and HTML, with a"
            " map of where laws and frameworks find their evidence here. It fails only on a fault."
        ),
        kinds={"python", "markdown", "html"},
        deps=[
            dependency(audit, "scorecard", partitions.ALL_PARTITIONS),
            dependency(audit, "certificate", partitions.ALL_PARTITIONS),
        ],
        condition=when_anything_is_known(),
    )

    @dg.multi_asset(
        name=f"{audit.name}__documents",
        specs=[spec],
    )
    def documents(
        context: dg.AssetExecutionContext, evaluator_home: HomeResource
    ) -> dg.MaterializeResult[None]:
        state = AuditState(audit, evaluator_home.open())
        record = store_documents(state, read_judged_scorecard(state), moment_of(context))
        pages = {
            name: dg.MetadataValue.path(state.store.location(record, name))
            for name in record.files
            if name.endswith(".html")
        }
        return _result(record, pages)

    return documents
