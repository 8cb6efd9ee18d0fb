"""What an audit ends in: scorecard, MLflow runs, certificate and dashboard."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import dagster as dg

from evaluator.certification import PAGE, asks_about_days, worst_gaps
from evaluator.evidence import Record, RunContext, digest_of, rests_on
from evaluator.orchestration._asset_specs import (
    asset_spec,
    dependency,
    markdown_rows,
    markdown_table,
    report_condition,
    scorecard_condition,
)
from evaluator.orchestration._certificates import CERTIFICATE, promote, registered
from evaluator.orchestration._documents import (
    store_certificate,
    store_dashboard,
    store_documents,
)
from evaluator.orchestration._facts import CertificateFacts, MlflowFacts
from evaluator.orchestration._mlflow_runs import store_mlflow_runs
from evaluator.orchestration._partitions import ALL_PARTITIONS
from evaluator.orchestration._resources import States, run_context_of
from evaluator.orchestration._scorecard_run import (
    JudgedScorecard,
    read_judged_scorecard,
    store_scorecard,
)
from evaluator.orchestration._state import AuditState
from evaluator.scorecard import (
    ADDITIONAL_MEASUREMENTS,
    MEASUREMENTS,
    AdditionalMeasurement,
    Asset,
    Comparison,
    Rank,
    Scorecard,
    WeakSlice,
    WorsenedSlice,
    metrics_of,
    read_measurements,
    read_slices,
    step_of,
)
from evaluator.spec import Audit, AuditSpec

MAX_ROWS = 200
"""How many rows of the further slices stand in Dagster's UI."""
MAX_FINDING_ROWS = 50
"""How many rows of a table stand in the UI; the stored table has them all."""
_OVERALL = ["candidate", "metric", "class_", "value", "low", "high", "n", "status", "reason"]
_ADDITIONAL = ["level", "group", "candidate", "value", "low", "high", "n", "status", "reason"]
_COMPARED = ["candidate", "metric", "class_", "difference", "low_adjusted", "high_adjusted"]
_COMPARED += ["p_adjusted", "better", "worse", "conclusion", "reason"]
_RANKED = ["metric", "class_", "candidate", "rank", "best_rank", "worst_rank"]
_RANKED += ["not_told_apart_from"]
_GAPS = ["candidate", "measure", "comparison", "class_", "attribute", "group", "reference", "value"]
_GAPS += ["low", "high", "limit", "gate", "verdict", "failed", "open", "passed", "needed_cases"]
_GAPS += ["reason"]
_WEAK = ["candidate", "slice", "n_all", "loss", "rest_loss", "low", "high", "harm_low"]
_WORSE = ["candidate", "slice", "n_before", "n_after", "loss_before", "loss_after", "low", "high"]


class _Report(NamedTuple):
    """An asset that is made of the scorecard, or of what was made of it."""

    asset: str
    description: str
    kinds: set[str]
    deps: Sequence[str]
    make: Callable[[AuditState, RunContext], dg.MaterializeResult[None]]
    calls_mlflow: bool = False


def report_assets(audit: Audit) -> list[dg.AssetsDefinition]:
    """Build the assets that gather all candidates."""
    wanted = [r for r in _REPORTS if r.asset != Asset.PROMOTED_MODELS or registered(audit.spec)]
    return [_scorecard(audit), *(_report(audit, report) for report in wanted)]


def _report(audit: Audit, report: _Report) -> dg.AssetsDefinition:
    spec = asset_spec(
        audit,
        report.asset,
        code=report.asset,
        description=report.description,
        kinds=report.kinds,
        deps=[
            dependency(audit, name, ALL_PARTITIONS)
            for name in report.deps
            if name != Asset.LABELS_QUALITY_REPORT or audit.spec.labels is not None
        ],
        condition=report_condition(audit, alone=report.calls_mlflow),
    )

    @dg.multi_asset(
        name=step_of(audit.name, report.asset),
        specs=[spec],
        pool="mlflow" if report.calls_mlflow else None,
        # Where both are in one run, the page can name the runs of MLflow.
        op_tags={"dagster/priority": "1"} if report.calls_mlflow else None,
    )
    def make(
        context: dg.AssetExecutionContext, evaluator_home: dg.ResourceParam[States]
    ) -> dg.MaterializeResult[None]:
        return report.make(evaluator_home.state(audit), run_context_of(context))

    return make


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
        condition=scorecard_condition(audit),
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
        name=step_of(audit.name, Asset.SCORECARD),
        specs=[spec],
        check_specs=[check],
    )
    def scorecard(
        context: dg.AssetExecutionContext, evaluator_home: dg.ResourceParam[States]
    ) -> Iterator[dg.MaterializeResult[None] | dg.AssetCheckResult]:
        state = evaluator_home.state(audit)
        record = store_scorecard(state, run_context_of(context))
        judged = read_judged_scorecard(state)
        scored = judged.scorecard
        overall = read_measurements(scored.measurements, levels=["overall"])
        missing = [one for one in read_slices(scored.slices) if not one.is_current]
        more = scorecard_tables(audit.spec, judged)
        if audit.spec.additional_slices:
            more["more slices"] = _additional_slices_table(scored, audit.spec.headline_metrics[0])
        yield _result(
            record,
            {
                "dagster/row_count": len(scored.measurements),
                "overall": dg.MetadataValue.md(_table(overall, _OVERALL, len(overall))),
                "slices not current": len(missing),
                "remarks": dg.MetadataValue.json(list(scored.remarks)),
                **{name: dg.MetadataValue.md(text) for name, text in more.items()},
                "what is missing": dg.MetadataValue.md(markdown_table(scored.slices_not_current)),
                "stored as": dg.MetadataValue.path(state.place(record, MEASUREMENTS)),
            },
        )
        counts = Counter(one.candidate for one in missing)
        allowed = state.spec.failed_slices_allowed()
        yield dg.AssetCheckResult(
            passed=all(count <= allowed for count in counts.values()),
            asset_key=spec.key,
            check_name=check.name,
            severity=dg.AssetCheckSeverity.WARN,
            metadata={
                "slices not current": dict(counts.most_common()),
                "allowed for each candidate": allowed,
            },
        )

    return scorecard


def scorecard_tables(spec: AuditSpec, judged: JudgedScorecard) -> dict[str, str]:
    """Lay out as Markdown what the audit asks for: comparison, fairness, weak slices."""
    tables, scorecard = {}, judged.scorecard
    if compared := scorecard.rows(Comparison):
        title = f"Less {spec.baseline}, overall:\n\n"
        tables["comparison"] = title + _table([c for c in compared if c.is_overall], _COMPARED)
    if ranks := scorecard.rows(Rank):
        tables["ranks"] = _table([rank for rank in ranks if rank.is_overall], _RANKED)
    if judged.fairness_gaps:
        tables["fairness"] = _table(worst_gaps(judged.fairness_gaps), _GAPS)
    if scorecard.weak_searches:
        tables["weak slices"] = _weak_slices(scorecard)
    if then_and_now := scorecard.rows(WorsenedSlice):
        worse = [one for one in then_and_now if one.is_worse]
        tables["worse than when last certified"] = (
            _table(worse, _WORSE)
            if worse
            else f"Of {len(then_and_now):,} slices, none is shown to be worse."
        )
    return tables


def _weak_slices(scorecard: Scorecard) -> str:
    from evaluator.reporting import escape_markdown

    searches = "\n".join(
        f"- {candidate}: {search['confirmed']} confirmed of {search['tested']} tested, of"
        f" {search['possible']:,} possible slices"
        + (
            f"; nothing was searched: {escape_markdown(search['reason'])}"
            if search["reason"]
            else ""
        )
        for candidate, search in scorecard.weak_searches.items()
    )
    leading = [one for one in scorecard.rows(WeakSlice) if one.is_leading]
    return f"{searches}\n\n{_table(leading, _WEAK)}" if leading else searches


def _table(
    rows: Sequence[object], columns: Sequence[str], most: int = MAX_FINDING_ROWS, rest: str = ""
) -> str:
    # Which class a row is of stands there where some are of one.
    used = [c for c in columns if c != "class_" or any(getattr(row, c) is not None for row in rows)]
    header = [column.rstrip("_") for column in used]
    table = markdown_rows(header, ([getattr(row, c) for c in used] for row in rows[:most]))
    if len(rows) > most:
        table += f"\n\nThe first {most} of {len(rows):,} rows{rest}."
    return table


def _additional_slices_table(scorecard: Scorecard, metric: str) -> str:
    """Lay one metric of the further slices out, as far as the UI shows it without delay."""
    rows = [one for one in scorecard.rows(AdditionalMeasurement) if one.metric == metric]
    rest = f"; all of them, and the other metrics, are in {ADDITIONAL_MEASUREMENTS}"
    return f"{metric}:\n\n{_table(rows, _ADDITIONAL, MAX_ROWS, rest)}"


def _mlflow_runs(state: AuditState, run_context: RunContext) -> dg.MaterializeResult[None]:
    instance = dg.AssetExecutionContext.get().instance

    def has_ended(run_id: str) -> bool:
        run = instance.get_run_by_id(run_id)
        # Of a run that this instance does not know, nothing is known.
        return run is not None and run.is_finished

    record = store_mlflow_runs(state, read_judged_scorecard(state), run_context, has_ended)
    return _result(record, {"runs": dg.MetadataValue.json(MlflowFacts.of(record).runs)})


def _certificate(state: AuditState, run_context: RunContext) -> dg.MaterializeResult[None]:
    judged = read_judged_scorecard(state, run_context.now)
    record = store_certificate(state, judged, run_context)
    outcomes = {outcome.candidate: outcome.in_words for outcome in judged.outcomes}
    withheld = CertificateFacts.of(record).withheld
    return _result(
        record,
        {
            "outcomes": dg.MetadataValue.json(outcomes),
            **({"not issued": dg.MetadataValue.json(withheld)} if withheld else {}),
            "stored as": dg.MetadataValue.path(state.place(record, CERTIFICATE)),
        },
    )


def _dashboard(state: AuditState, run_context: RunContext) -> dg.MaterializeResult[None]:
    record = store_dashboard(state, read_judged_scorecard(state), run_context)
    return _result(record, {"page": dg.MetadataValue.path(state.place(record, PAGE))})


def _documents(state: AuditState, run_context: RunContext) -> dg.MaterializeResult[None]:
    record = store_documents(state, read_judged_scorecard(state), run_context)
    pages = {
        name: dg.MetadataValue.path(state.place(record, name))
        for name in record.files
        if name.endswith(".html")
    }
    return _result(record, pages)


def _promoted_models(state: AuditState, run_context: RunContext) -> dg.MaterializeResult[None]:
    promoted = promote(state, run_context.now)
    return dg.MaterializeResult(
        data_version=dg.DataVersion(digest_of(promoted)),
        metadata={"certificates": dg.MetadataValue.json(promoted)},
    )


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


_REPORTS = (
    _Report(
        Asset.MLFLOW_RUNS,
        "One MLflow run a candidate, with its figures. It fails where the tracking server is down"
        " for longer than about a minute; nothing waits for it.",
        kinds={"mlflow"},
        deps=[Asset.SCORECARD],
        make=_mlflow_runs,
        calls_mlflow=True,
    ),
    _Report(
        Asset.CERTIFICATE,
        "The verdict of every gate on every candidate, and the digests of all that it rests on."
        ' "Not certified" is a result; it fails only on a fault.',
        kinds={"python", "json"},
        deps=[Asset.SCORECARD],
        make=_certificate,
    ),
    _Report(
        Asset.DASHBOARD,
        "One self-contained HTML page for the auditor. It fails only on a fault.",
        kinds={"python", "html"},
        deps=[
            Asset.SCORECARD,
            Asset.CERTIFICATE,
            Asset.EVALUATION_SET,
            Asset.DATA_QUALITY_REPORT,
            Asset.LABELS_QUALITY_REPORT,
        ],
        make=_dashboard,
    ),
    _Report(
        Asset.DOCUMENTS,
        "A model card a candidate and the audit's technical file, as Markdown and HTML, with a map"
        " of where laws and frameworks find their evidence here. It fails only on a fault.",
        kinds={"python", "markdown", "html"},
        deps=[Asset.SCORECARD, Asset.CERTIFICATE],
        make=_documents,
    ),
    _Report(
        Asset.PROMOTED_MODELS,
        "Tags, and an alias if the audit names one, on the registry's model versions whose"
        " certificate says certified and stands; they are taken from all others.",
        kinds={"mlflow"},
        deps=[Asset.CERTIFICATE],
        make=_promoted_models,
        calls_mlflow=True,
    ),
)
"""In the order in which they are listed; Dagster runs them by what they rest on."""
