"""The intake's assets: a day's file, and what became of its rows."""

import textwrap
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import Any

import dagster as dg

from evaluator.errors import IntakeError
from evaluator.evidence import Record
from evaluator.intake import QUARANTINED_ROWS, TYPED_ROWS, IntakeResult
from evaluator.orchestration._asset_specs import (
    asset_spec,
    column_schema,
    content_changed,
    dependency,
    key_of,
)
from evaluator.orchestration._days import CHECKS, REPORT, DayIntake, store_intake, store_raw
from evaluator.orchestration._facts import IntakeFacts, RawDataFacts
from evaluator.orchestration._partition_run import Materialised, PartitionRun
from evaluator.orchestration._partitions import SAME_PARTITION, intake_partitions
from evaluator.orchestration._resources import States, run_context_of
from evaluator.orchestration._state import ARRIVAL, AuditState
from evaluator.orchestration._streams import Stream
from evaluator.scorecard import step_of
from evaluator.spec import Audit

ONE_RUN = dg.BackfillPolicy.single_run()
_CHECK_DESCRIPTIONS = {
    "schema_as_declared": "The file's columns are those that the audit declares.",
    "refused_share": "No more rows are in quarantine than the audit allows.",
    "volume": "There are about as many rows as on past days of the same weekday.",
    "drift": "The content is like that of the reference days, overall and in each slice.",
}


def intake_assets(audit: Audit, stream: Stream) -> list[dg.AssetsDefinition]:
    """Build what came as it came, and the three outputs of one pass over it."""
    return [_raw_data(audit, stream), _intake(audit, stream)]


def _raw_data(audit: Audit, stream: Stream) -> dg.AssetsDefinition:
    files = stream.spec.files
    spec = asset_spec(
        audit,
        stream.assets.raw,
        code="raw_data",
        description=(
            "The day's file as it came, byte for byte, with its digest."
            " It fails where the file is absent or cannot be read."
            if stream.spec.table is None
            else "What the query gave for the day, with its digest. It fails where the database"
            " cannot be asked."
        ),
        kinds={"sql"} if files is None else {"file", *_ending(files)},
        partitions_def=intake_partitions(stream.spec),
    )

    @dg.multi_asset(
        name=step_of(audit.name, stream.assets.raw),
        specs=[spec],
        backfill_policy=ONE_RUN,
    )
    def raw_data(
        context: dg.AssetExecutionContext, evaluator_home: dg.ResourceParam[States]
    ) -> Iterator[dg.MaterializeResult[None]]:
        state = evaluator_home.state(audit)
        run = PartitionRun(context, state.store, run_context_of(context))
        source = state.source(stream)
        for day in run.partition_keys:
            try:
                record = store_raw(state, stream, source, day, run_context_of(context))
            except Exception as error:  # noqa: BLE001 - one day must not take the others
                run.failed(state.address(stream.assets.raw, day), ARRIVAL, error)
            else:
                if RawDataFacts.of(record).answered_before:
                    context.log.warning("The query gives other rows than before for %s", day)
                run.done(spec.key, day, _describe_raw(state, record))
        yield from run.results(spec.key)

    return raw_data


def _intake(audit: Audit, stream: Stream) -> dg.AssetsDefinition:
    names = stream.assets
    days = intake_partitions(stream.spec)
    from_raw = [dependency(audit, names.raw, SAME_PARTITION)]
    validated = asset_spec(
        audit,
        names.typed,
        code="intake",
        description=(
            "The day's accepted rows, typed. It fails where the file's schema is broken or more"
            " rows were refused than the audit allows, so that nothing downstream uses the day."
        ),
        kinds={"python", "parquet"},
        deps=from_raw,
        partitions_def=days,
        condition=content_changed(),
        metadata={"dagster/column_schema": column_schema(stream.spec)},
    )
    quarantined = asset_spec(
        audit,
        names.quarantined,
        code="intake",
        description=(
            "Each refused row as it was, with its line number and all its reasons."
            " It is there also where the day as a whole was refused."
        ),
        kinds={"python", "parquet"},
        deps=from_raw,
        partitions_def=days,
        condition=content_changed(),
    )
    report = asset_spec(
        audit,
        names.report,
        code="intake",
        description=(
            "What the day's file was like, as plain text and as a profile."
            " It is there also where the day as a whole was refused."
        ),
        kinds={"python", "text"},
        deps=from_raw,
        partitions_def=days,
        condition=content_changed(),
    )

    with warnings.catch_warnings():
        # Checks by partition are marked preview. What we need of them is pinned by a test.
        warnings.simplefilter("ignore", dg.PreviewWarning)
        checks = [
            dg.AssetCheckSpec(
                name, asset=report.key, description=_CHECK_DESCRIPTIONS[name], partitions_def=days
            )
            for name in CHECKS
        ]

    @dg.multi_asset(
        name=step_of(audit.name, names.typed),
        specs=[validated, quarantined, report],
        check_specs=checks,
        # "Re-execute from failure" asks for the typed rows alone.
        can_subset=True,
        backfill_policy=ONE_RUN,
    )
    def intake(
        context: dg.AssetExecutionContext, evaluator_home: dg.ResourceParam[States]
    ) -> Iterator[dg.MaterializeResult[None]]:
        state = evaluator_home.state(audit)
        run_context = run_context_of(context)
        run = PartitionRun(context, state.store, run_context)
        with TemporaryDirectory() as folder:
            day_intake = DayIntake(state, stream, Path(folder))
            for day in sorted(run.partition_keys):
                address = state.address(names.typed, day)
                raw = state.current(names.raw, day)
                identity = ARRIVAL if raw is None else state.identities.intake(raw)
                try:
                    raw = state.require(names.raw, day)
                    with TemporaryDirectory() as into:
                        result = day_intake.ingest(raw, Path(into))
                        found = day_intake.checks(day, result)
                        outputs = store_intake(
                            state, stream, raw, result, checks=found, run_context=run_context
                        )
                        described = {
                            name: _describe_intake(state, result, record)
                            for name, record in outputs.items()
                        }
                except Exception as error:  # noqa: BLE001 - one day must not take the others
                    run.failed(address, identity, error)
                    continue
                _log_checks(context, report.key, day, found)
                for name, output in described.items():
                    run.done(key_of(audit, name), day, output)
                if result.broken is None:
                    day_intake.accepted(day, outputs[names.typed], outputs[names.report])
                else:
                    refusal = IntakeError(
                        result.broken,
                        culprit=f"{audit.name} {day}",
                        fix=f"read {names.report} and {names.quarantined}, then send the file"
                        " again, feed mended rows back, or correct the audit's YAML",
                    )
                    context.log.error("Alert: %s is not accepted: %s", address, result.broken)
                    run.failed(address, identity, refusal)
        yield from run.results(validated.key, quarantined.key, report.key)

    return intake


def _log_checks(
    context: dg.AssetExecutionContext, key: dg.AssetKey, day: str, found: Mapping[str, str | None]
) -> None:
    """Log one evaluation a check and day; a result that is yielded would stand for all days."""
    chosen = {check.name for check in context.selected_asset_check_keys}
    for name in chosen:
        wrong = found[name]
        refuses = name in ("schema_as_declared", "refused_share")
        context.log_event(
            dg.AssetCheckEvaluation(
                asset_key=key,
                check_name=name,
                passed=wrong is None,
                severity=dg.AssetCheckSeverity.ERROR if refuses else dg.AssetCheckSeverity.WARN,
                description=wrong,
                metadata={"day": day},
                partition=day,
            )
        )


def _ending(files: str) -> Iterator[str]:
    """Give the ending of files' names, where it can be one of Dagster's kinds."""
    ending = PurePosixPath(files).suffix.removeprefix(".")
    if ending.isascii() and ending.isalnum():
        yield ending


def _describe_raw(state: AuditState, record: Record) -> Materialised:
    facts = RawDataFacts.of(record)
    files = facts.parts or (facts.file,)
    return Materialised(
        record,
        {
            "bytes": sum(record.files[name].size for name in files),
            **({"files": len(files)} if facts.parts else {}),
            "rows were mended": facts.mended is not None,
            "source": dg.MetadataValue.path(facts.source),
            "stored as": dg.MetadataValue.path(state.place(record, files[0])),
        },
    )


def _describe_intake(state: AuditState, result: IntakeResult, record: Record) -> Materialised:
    if REPORT in record.files:
        facts = IntakeFacts.of(record)
        metadata: dict[str, Any] = {
            "rows": facts.rows,
            "accepted": facts.accepted,
            "quarantined": facts.quarantined,
            "refused share": result.quarantined / result.rows if result.rows else 0.0,
            "checks": dg.MetadataValue.json(dict(facts.checks)),
            "report": dg.MetadataValue.md(textwrap.indent(result.report, " " * 4)),
        }
        name = REPORT
    elif QUARANTINED_ROWS in record.files:
        metadata, name = {"dagster/row_count": result.quarantined}, QUARANTINED_ROWS
    else:
        metadata, name = {"dagster/row_count": result.accepted}, TYPED_ROWS
    return Materialised(
        record,
        metadata | {"stored as": dg.MetadataValue.path(state.place(record, name))},
    )
