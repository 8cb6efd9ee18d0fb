"""What an audit ends in: scorecard, MLflow runs, certificate and dashboard."""

from collections.abc import Iterator
from typing import Any

import dagster as dg
import pandas as pd

from evaluator.certification import asks_about_days
from evaluator.evidence import Record, digest_of, rests_on
from evaluator.orchestration._asset_specs import (
    anything_new_upstream,
    asset_spec,
    dependency,
    markdown_table,
)
from evaluator.orchestration._certificates import CERTIFICATE, promote, registered
from evaluator.orchestration._documents import (
    PAGE,
    store_certificate,
    store_dashboard,
    store_documents,
)
from evaluator.orchestration._identities import CODE_VERSIONS
from evaluator.orchestration._mlflow_runs import MlflowTracking
from evaluator.orchestration._partitions import ALL_PARTITIONS
from evaluator.orchestration._resources import States, run_context_of
from evaluator.orchestration._scorecard_run import read_judged_scorecard, store_scorecard
from evaluator.scorecard import ADDITIONAL_MEASUREMENTS, MEASUREMENTS, Asset, Scorecard, metrics_of
from evaluator.spec import Audit, AuditSpec

# A tracking server that restarts is back within a minute.
RETRIES = dg.RetryPolicy(
    max_retries=3, delay=2, backoff=dg.Backoff.EXPONENTIAL, jitter=dg.Jitter.FULL
)
MAX_ROWS = 200
"""How many rows of the further slices stand in Dagster's UI."""
MAX_FINDING_ROWS = 50
"""How many rows of a table stand in the UI; the stored table has them all."""
_COMPARED = ["candidate", "metric", "difference", "low_adjusted", "high_adjusted", "p_adjusted"]
_COMPARED += ["better", "worse", "conclusion", "reason"]
_RANKED = ["metric", "candidate", "rank", "best_rank", "worst_rank", "not_told_apart_from"]
_GAPS = ["candidate", "measure", "comparison", "attribute", "group", "reference", "value", "low"]
_GAPS += ["high", "limit", "verdict", "failed", "open", "passed", "needed_cases", "reason"]
_WEAK = ["candidate", "slice", "n_all", "loss", "rest_loss", "low", "high", "harm_low"]
_WORSE = ["candidate", "slice", "n_before", "n_after", "loss_before", "loss_after", "low", "high"]


def report_assets(audit: Audit) -> list[dg.AssetsDefinition]:
    """Build the assets that gather all candidates."""
    assets = [_scorecard(audit), _mlflow_runs(audit), _certificate(audit), _dashboard(audit)]
    assets.append(_documents(audit))
    return [*assets, _promoted_models(audit)] if registered(audit.spec) else assets


def _scorecard(audit: Audit) -> dg.AssetsDefinition:
    spec = asset_spec(
        audit,
        Asset.SCORECARD,
        code="scorecard",
        description=(
            "All candidates side by side: overall, by geography, by segment and by slice; compared"
            " case by case, looked at for fairness and weak slices, as the audit asks; and a list"
            " of what is missing. It fails only where there is nothing to score at all."
        ),
        kinds={"python", "parquet"},
        deps=[
            dependency(audit, Asset.EVALUATION_SET, ALL_PARTITIONS),
            *(dependency(audit, metrics_of(c.name), ALL_PARTITIONS) for c in audit.spec.candidates),
            *(
                [dependency(audit, Asset.DATA_QUALITY_REPORT, ALL_PARTITIONS)]
                if asks_about_days(audit.spec)
                else []
            ),
        ],
        condition=anything_new_upstream(),
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
        context: dg.AssetExecutionContext, evaluator_home: dg.ResourceParam[States]
    ) -> Iterator[dg.MaterializeResult[None] | dg.AssetCheckResult]:
        state = evaluator_home.state(audit)
        record = store_scorecard(state, run_context_of(context))
        scored = read_judged_scorecard(state).scorecard
        overall = scored.measurements[scored.measurements["level"] == "overall"]
        shown = overall[["candidate", "metric", "value", "low", "high", "n", "status", "reason"]]
        missing = scored.slices[scored.slices["state"] != "current"]
        more = scorecard_tables(audit.spec, scored)
        if audit.spec.additional_slices:
            more["more slices"] = _additional_slices_table(
                scored.additional_measurements, audit.spec.metrics[0]
            )
        yield _result(
            record,
            {
                "dagster/row_count": len(scored.measurements),
                "overall": dg.MetadataValue.md(markdown_table(shown)),
                "slices not current": len(missing),
                "remarks": dg.MetadataValue.json(list(scored.remarks)),
                **{name: dg.MetadataValue.md(text) for name, text in more.items()},
                "what is missing": dg.MetadataValue.md(markdown_table(missing)),
                "stored as": dg.MetadataValue.path(state.store.location(record, MEASUREMENTS)),
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


def scorecard_tables(spec: AuditSpec, scorecard: Scorecard) -> dict[str, str]:
    """Lay out as Markdown what the audit asks for: comparison, fairness, weak slices."""
    tables = {}
    if len(scorecard.comparisons):
        overall = scorecard.comparisons["level"] == "overall"
        title = f"Less {spec.baseline}, overall:\n\n"
        tables["comparison"] = title + _table(scorecard.comparisons[overall], _COMPARED)
    if len(scorecard.ranks):
        overall = scorecard.ranks["level"] == "overall"
        tables["ranks"] = _table(scorecard.ranks[overall], _RANKED)
    if len(scorecard.fairness):
        tables["fairness"] = _table(_worst_gaps(scorecard.fairness), _GAPS)
    if scorecard.weak_searches:
        tables["weak slices"] = _weak_slices(scorecard)
    if len(scorecard.worsened):
        worse = scorecard.worsened[scorecard.worsened["status"] == "worse"]
        tables["worse than when last certified"] = (
            _table(worse, _WORSE)
            if len(worse)
            else f"Of {len(scorecard.worsened):,} slices, none is shown to be worse."
        )
    return tables


def _worst_gaps(gaps: pd.DataFrame) -> pd.DataFrame:
    from evaluator.metrics import fairness_summary

    worst = []
    for candidate, own in gaps.groupby("candidate", sort=False):
        summary = fairness_summary(own.drop(columns="candidate"))
        worst.append(summary.assign(candidate=candidate))
    return pd.concat(worst, ignore_index=True)


def _weak_slices(scorecard: Scorecard) -> str:
    searches = "\n".join(
        f"- {candidate}: {search['confirmed']} confirmed of {search['tested']} tested, of"
        f" {search['possible']:,} possible slices"
        + (f"; nothing was searched: {search['reason']}" if search["reason"] else "")
        for candidate, search in scorecard.weak_searches.items()
    )
    table = scorecard.weak_slices
    own = table[(table["status"] == "confirmed") & table["explained_by"].isna()]
    return searches if own.empty else f"{searches}\n\n{_table(own, _WEAK)}"


def _table(rows: pd.DataFrame, columns: list[str]) -> str:
    table = markdown_table(rows[columns].head(MAX_FINDING_ROWS))
    if len(rows) > MAX_FINDING_ROWS:
        table += f"\n\nThe first {MAX_FINDING_ROWS} of {len(rows):,} rows."
    return table


def _additional_slices_table(measurements: pd.DataFrame, metric: str) -> str:
    """Lay one metric of the further slices out, as far as the UI shows it without delay."""
    rows = measurements[measurements["metric"] == metric]
    columns = ["level", "group", "candidate", "value", "low", "high", "n", "status", "reason"]
    table = f"{metric}:\n\n{markdown_table(rows[columns].head(MAX_ROWS))}"
    if len(rows) > MAX_ROWS:
        table += (
            f"\n\nThe first {MAX_ROWS} of {len(rows):,} rows; all of them, and the other metrics,"
            f" are in {ADDITIONAL_MEASUREMENTS}."
        )
    return table


def _mlflow_runs(audit: Audit) -> dg.AssetsDefinition:
    spec = asset_spec(
        audit,
        Asset.MLFLOW_RUNS,
        code="mlflow_runs",
        description=(
            "One MLflow run a candidate, with its figures. It fails where the tracking server is"
            " down, after three more tries; nothing waits for it."
        ),
        kinds={"mlflow"},
        deps=[dependency(audit, Asset.SCORECARD, ALL_PARTITIONS)],
        condition=anything_new_upstream(),
    )

    @dg.multi_asset(
        name=f"{audit.name}__mlflow_runs",
        specs=[spec],
        retry_policy=RETRIES,
        pool="mlflow",
    )
    def mlflow_runs(
        context: dg.AssetExecutionContext,
        evaluator_home: dg.ResourceParam[States],
        evaluator_mlflow: MlflowTracking,
    ) -> dg.MaterializeResult[None]:
        state = evaluator_home.state(audit)
        run_context = run_context_of(context)
        judged = read_judged_scorecard(state)
        identity = state.identities.mlflow_runs(judged.record, state.home)
        runs = evaluator_mlflow.log(
            audit, state.home, judged, identity=identity, dagster_run=run_context.run_id
        )
        record = state.store.write(
            state.address(Asset.MLFLOW_RUNS),
            identity,
            {},
            content_version=identity,
            upstream=[judged.record.as_upstream()],
            facts={"runs": runs},
            code_version=CODE_VERSIONS["mlflow_runs"],
            run_context=run_context,
        )
        return _result(record, {"runs": dg.MetadataValue.json(runs)})

    return mlflow_runs


def _certificate(audit: Audit) -> dg.AssetsDefinition:
    spec = asset_spec(
        audit,
        Asset.CERTIFICATE,
        code="certificate",
        description=(
            "The verdict of every gate on every candidate, and the digests of all that it rests"
            ' on. "Not certified" is a result; it fails only on a fault.'
        ),
        kinds={"python", "json"},
        deps=[dependency(audit, Asset.SCORECARD, ALL_PARTITIONS)],
        condition=anything_new_upstream(),
    )

    @dg.multi_asset(
        name=f"{audit.name}__certificate",
        specs=[spec],
    )
    def certificate(
        context: dg.AssetExecutionContext, evaluator_home: dg.ResourceParam[States]
    ) -> dg.MaterializeResult[None]:
        state = evaluator_home.state(audit)
        run_context = run_context_of(context)
        judged = read_judged_scorecard(state, run_context.now)
        record = store_certificate(state, judged, run_context)
        outcomes = {outcome.candidate: outcome.outcome for outcome in judged.outcomes}
        return _result(
            record,
            {
                "outcomes": dg.MetadataValue.json(outcomes),
                "stored as": dg.MetadataValue.path(state.store.location(record, CERTIFICATE)),
            },
        )

    return certificate


def _dashboard(audit: Audit) -> dg.AssetsDefinition:
    spec = asset_spec(
        audit,
        Asset.DASHBOARD,
        code="dashboard",
        description="One self-contained HTML page for the auditor. It fails only on a fault.",
        kinds={"python", "html"},
        deps=[
            dependency(audit, Asset.SCORECARD, ALL_PARTITIONS),
            dependency(audit, Asset.CERTIFICATE, ALL_PARTITIONS),
            dependency(audit, Asset.EVALUATION_SET, ALL_PARTITIONS),
            dependency(audit, Asset.DATA_QUALITY_REPORT, ALL_PARTITIONS),
        ],
        condition=anything_new_upstream(),
    )

    @dg.multi_asset(
        name=f"{audit.name}__dashboard",
        specs=[spec],
    )
    def dashboard(
        context: dg.AssetExecutionContext, evaluator_home: dg.ResourceParam[States]
    ) -> dg.MaterializeResult[None]:
        state = evaluator_home.state(audit)
        record = store_dashboard(state, read_judged_scorecard(state), run_context_of(context))
        page = state.store.location(record, PAGE)
        return _result(record, {"page": dg.MetadataValue.path(page)})

    return dashboard


def _documents(audit: Audit) -> dg.AssetsDefinition:
    spec = asset_spec(
        audit,
        Asset.DOCUMENTS,
        code="documents",
        description=(
            "A model card a candidate and the audit's technical file, as Markdown and HTML, with a"
            " map of where laws and frameworks find their evidence here. It fails only on a fault."
        ),
        kinds={"python", "markdown", "html"},
        deps=[
            dependency(audit, Asset.SCORECARD, ALL_PARTITIONS),
            dependency(audit, Asset.CERTIFICATE, ALL_PARTITIONS),
        ],
        condition=anything_new_upstream(),
    )

    @dg.multi_asset(
        name=f"{audit.name}__documents",
        specs=[spec],
    )
    def documents(
        context: dg.AssetExecutionContext, evaluator_home: dg.ResourceParam[States]
    ) -> dg.MaterializeResult[None]:
        state = evaluator_home.state(audit)
        record = store_documents(state, read_judged_scorecard(state), run_context_of(context))
        pages = {
            name: dg.MetadataValue.path(state.store.location(record, name))
            for name in record.files
            if name.endswith(".html")
        }
        return _result(record, pages)

    return documents


def _promoted_models(audit: Audit) -> dg.AssetsDefinition:
    spec = asset_spec(
        audit,
        Asset.PROMOTED_MODELS,
        code="promoted_models",
        description=(
            "Tags, and an alias if the audit names one, on the registry's model versions whose"
            " certificate says certified and stands; they are taken from all others."
        ),
        kinds={"mlflow"},
        deps=[dependency(audit, Asset.CERTIFICATE, ALL_PARTITIONS)],
        condition=anything_new_upstream(),
    )

    @dg.multi_asset(
        name=f"{audit.name}__promoted_models",
        specs=[spec],
        retry_policy=RETRIES,
        pool="mlflow",
    )
    def promoted_models(
        context: dg.AssetExecutionContext, evaluator_home: dg.ResourceParam[States]
    ) -> dg.MaterializeResult[None]:
        state = evaluator_home.state(audit)
        promoted = promote(state, run_context_of(context).now)
        return dg.MaterializeResult(
            data_version=dg.DataVersion(digest_of(promoted)),
            metadata={"certificates": dg.MetadataValue.json(promoted)},
        )

    return promoted_models


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
