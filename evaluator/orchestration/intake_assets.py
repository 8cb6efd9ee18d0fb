"""The intake's assets: a day's file, and what became of its rows."""

from collections.abc import Iterator
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import dagster as dg
import pyarrow.parquet as pq

from evaluator.errors import IntakeError
from evaluator.evidence import (
    Moment,
    Record,
    canonical_json,
    content_version,
    digest_of_bytes,
)
from evaluator.intake import QUARANTINED_ROWS, TYPED_ROWS, IntakeResult, take_in
from evaluator.orchestration import identities, partitions
from evaluator.orchestration.automation import when_content_changes
from evaluator.orchestration.partition_run import Materialised, PartitionRun
from evaluator.orchestration.resources import HomeResource, moment_of
from evaluator.orchestration.specs import asset_spec, column_schema, dependency, key_of
from evaluator.orchestration.state import AuditState
from evaluator.spec import Audit

ONE_RUN = dg.BackfillPolicy.single_run()

REPORT = "report.txt"
PROFILE = "profile.json"


def intake_assets(audit: Audit) -> list[dg.AssetsDefinition]:
    """Build `raw_data`, and the three outputs of one pass over it."""
    return [_raw_data(audit), _intake(audit)]


def _raw_data(audit: Audit) -> dg.AssetsDefinition:
    spec = asset_spec(
        audit,
        "raw_data",
        code="raw_data",
        description=(
            "The day's file as it came, byte for byte, with its digest."
            " It fails where the file is absent or cannot be read."
        ),
        kinds={"file", audit.spec.data.files.rsplit(".", 1)[-1]},
        partitions_def=partitions.daily(audit.spec),
    )

    @dg.multi_asset(
        name=f"{audit.name}__raw_data",
        specs=[spec],
        backfill_policy=ONE_RUN,
    )
    def raw_data(
        context: dg.AssetExecutionContext, evaluator_home: HomeResource
    ) -> Iterator[dg.MaterializeResult[None]]:
        state = AuditState(audit, evaluator_home.open())
        run = PartitionRun(context, state.store, moment_of(context))
        for day in run.partition_keys:
            try:
                output = _store_raw(state, day, moment_of(context))
            except (IntakeError, OSError) as error:
                run.failed(state.address("raw_data", day), "arrival", error)
            else:
                run.done(spec.key, day, output)
        yield from run.results(spec.key)

    return raw_data


def _store_raw(state: AuditState, day: str, moment: Moment) -> Materialised:
    name = state.spec.data.file_name(date.fromisoformat(day))
    source = state.home.landing(state.audit.name) / name
    if not source.is_file():
        raise IntakeError(
            f"the day's file {source} has not arrived",
            culprit=f"{state.audit.name} {day}",
            fix="put the file there and materialise the day again",
        )
    content = source.read_bytes()
    digest = digest_of_bytes(content)
    record = state.store.write(
        state.address("raw_data", day),
        identities.raw_identity(name, digest),
        {name: content},
        content_version=digest,
        upstream=[],
        facts={"file": name, "source": str(source)},
        code_version=identities.CODE_VERSIONS["raw_data"],
        moment=moment,
    )
    return Materialised(
        record,
        {
            "bytes": len(content),
            "source": dg.MetadataValue.path(str(source)),
            "stored as": dg.MetadataValue.path(state.store.location(record, name)),
        },
    )


def _intake(audit: Audit) -> dg.AssetsDefinition:
    days = partitions.daily(audit.spec)
    from_raw = [dependency(audit, "raw_data", partitions.SAME_PARTITION)]
    validated = asset_spec(
        audit,
        "validated_data",
        code="intake",
        description=(
            "The day's accepted rows, typed. It fails where the file's schema is broken or more"
            " rows were refused than the audit allows, so that nothing downstream uses the day."
        ),
        kinds={"python", "parquet"},
        deps=from_raw,
        partitions_def=days,
        condition=when_content_changes(),
        metadata={"dagster/column_schema": column_schema(audit)},
    )
    quarantined = asset_spec(
        audit,
        "quarantined_rows",
        code="intake",
        description=(
            "Each refused row as it was, with its line number and all its reasons."
            " It is there also where the day as a whole was refused."
        ),
        kinds={"python", "parquet"},
        deps=from_raw,
        partitions_def=days,
        condition=when_content_changes(),
    )
    report = asset_spec(
        audit,
        "data_quality_report",
        code="intake",
        description=(
            "What the day's file was like, as plain text and as a profile."
            " It is there also where the day as a whole was refused."
        ),
        kinds={"python", "text"},
        deps=from_raw,
        partitions_def=days,
        condition=when_content_changes(),
    )

    @dg.multi_asset(
        name=f"{audit.name}__intake",
        specs=[validated, quarantined, report],
        # "Re-execute from failure" asks for `validated_data` alone.
        can_subset=True,
        backfill_policy=ONE_RUN,
    )
    def intake(
        context: dg.AssetExecutionContext, evaluator_home: HomeResource
    ) -> Iterator[dg.MaterializeResult[None]]:
        state = AuditState(audit, evaluator_home.open())
        moment = moment_of(context)
        run = PartitionRun(context, state.store, moment)
        for day in run.partition_keys:
            address = state.address("validated_data", day)
            raw = state.current("raw_data", day)
            identity = "arrival" if raw is None else identities.intake_identity(audit, raw)
            try:
                raw = state.require("raw_data", day)
                with TemporaryDirectory() as folder:
                    result = _take_in(state, raw, day, Path(folder))
                    outputs = _store_intake(state, raw, result, Path(folder), moment)
            except Exception as error:  # noqa: BLE001 - one day's fault must not take the others
                run.failed(address, identity, error)
                continue
            for name, output in outputs.items():
                run.done(key_of(audit, name), day, output)
            if result.broken is not None:
                run.failed(
                    address,
                    identity,
                    IntakeError(
                        result.broken,
                        culprit=f"{audit.name} {day}",
                        fix="read data_quality_report and quarantined_rows, then send the file"
                        " again or correct the audit's YAML",
                    ),
                )
        yield from run.results(validated.key, quarantined.key, report.key)

    return intake


def _take_in(state: AuditState, raw: Record, day: str, folder: Path) -> IntakeResult:
    name = raw.facts["file"]
    source = folder / name
    source.write_bytes(state.store.read_bytes(raw, name))
    slices = [column for column in (state.spec.geography, state.spec.segment) if column]
    return take_in(
        source,
        state.spec.data,
        into=folder,
        name=name,
        day=date.fromisoformat(day),
        slices=slices,
    )


def _store_intake(
    state: AuditState, raw: Record, result: IntakeResult, folder: Path, moment: Moment
) -> dict[str, Materialised]:
    day = raw.partition
    identity = identities.intake_identity(state.audit, raw)
    counts = {
        "rows": result.rows,
        "accepted": result.accepted,
        "quarantined": result.quarantined,
    }

    def store(asset: str, files: dict[str, Any], version: str) -> Record:
        return state.store.write(
            state.address(asset, day),
            identity,
            files,
            content_version=version,
            upstream=[raw.as_upstream()],
            facts={**counts, "broken": result.broken},
            code_version=identities.CODE_VERSIONS["intake"],
            moment=moment,
        )

    outputs = {}
    profile = canonical_json(result.profile)
    record = store(
        "data_quality_report",
        {REPORT: result.report.encode(), PROFILE: profile},
        digest_of_bytes(profile),
    )
    outputs["data_quality_report"] = Materialised(
        record,
        {
            **counts,
            "refused share": result.quarantined / result.rows if result.rows else 0.0,
            "report": dg.MetadataValue.md(f"```text\n{result.report}\n```"),
            "stored as": dg.MetadataValue.path(state.store.location(record, REPORT)),
        },
    )
    table = pq.read_table(folder / QUARANTINED_ROWS)
    record = store("quarantined_rows", {QUARANTINED_ROWS: table}, content_version(table))
    outputs["quarantined_rows"] = Materialised(
        record,
        {
            "dagster/row_count": result.quarantined,
            "stored as": dg.MetadataValue.path(state.store.location(record, QUARANTINED_ROWS)),
        },
    )
    if result.broken is None:
        table = pq.read_table(folder / TYPED_ROWS)
        record = store(
            "validated_data",
            {TYPED_ROWS: table},
            content_version(table, order_by=[state.spec.data.id]),
        )
        outputs["validated_data"] = Materialised(
            record,
            {
                "dagster/row_count": result.accepted,
                "stored as": dg.MetadataValue.path(state.store.location(record, TYPED_ROWS)),
            },
        )
    return outputs
