"""How an asset of an audit is named and described in Dagster."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import dagster as dg
import pandas as pd

from evaluator.orchestration._identities import CODE_VERSIONS
from evaluator.scorecard import Asset, metrics_of
from evaluator.spec import Audit, DataSpec

# As often as Dagster's daemon looks at most: from a file to its certificate there are four ticks.
SECONDS_BETWEEN_TICKS = 5
MONDAY = "0 0 * * 1"
AnyAutomationCondition = dg.AutomationCondition[Any]
# Dagster types its factories as conditions of different things, which do not combine.
_When: Any = dg.AutomationCondition


def key_of(audit: Audit, name: str) -> dg.AssetKey:
    """Key of an audit's asset: the audit, then the name that the UI shows."""
    return dg.AssetKey([audit.name, name])


def dependency(audit: Audit, name: str, mapping: dg.PartitionMapping) -> dg.AssetDep:
    """Edge to an upstream asset, with its partition mapping spelled out."""
    return dg.AssetDep(key_of(audit, name), partition_mapping=mapping)


def asset_spec(
    audit: Audit,
    name: str,
    *,
    code: str,
    description: str,
    kinds: set[str],
    deps: Iterable[dg.AssetDep] = (),
    partitions_def: dg.PartitionsDefinition[Any] | None = None,
    condition: AnyAutomationCondition | None = None,
    metadata: Mapping[str, Any] | None = None,
) -> dg.AssetSpec:
    """Describe an asset with all that every asset has: group, owners, kinds, code version."""
    return dg.AssetSpec(
        key_of(audit, name),
        deps=list(deps),
        description=description,
        group_name=audit.name,
        owners=list(audit.spec.owners),
        kinds=kinds,
        code_version=CODE_VERSIONS[code],
        partitions_def=partitions_def,
        automation_condition=condition,
        metadata=dict(metadata or {}),
        # A step with failed partitions yields no output: its events are logged one by one.
        skippable=partitions_def is not None,
    )


def column_schema(data: DataSpec) -> dg.TableSchema:
    """Describe the columns of typed rows."""
    kinds = {name: (column.type, column.required) for name, column in data.columns.items()}
    kinds.setdefault(data.id_column, ("string", True))
    return dg.TableSchema(
        columns=[
            dg.TableColumn(
                name,
                type_,
                constraints=dg.TableColumnConstraints(
                    nullable=not required, unique=name == data.id_column
                ),
            )
            for name, (type_, required) in kinds.items()
        ]
    )


def markdown_table(frame: pd.DataFrame) -> str:
    """Lay a frame out as a Markdown table; missing values are blank."""
    return markdown_rows(list(frame.columns), frame.itertuples(index=False))


def markdown_rows(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """Lay rows out as a Markdown table that shows texts as they are; missing values are blank."""
    from evaluator.reporting import escape_markdown

    def cell(value: Any) -> str:
        if pd.isna(value):
            return ""
        return escape_markdown(f"{value:.4f}" if isinstance(value, float) else str(value))

    lines = [columns, ["---"] * len(columns), *([cell(value) for value in row] for row in rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def content_changed() -> AnyAutomationCondition:
    """Follow upstream content, not upstream runs: equal content asks for nothing.

    Dagster's `eager` looks at the latest day only; a file that arrives late counts here as well.
    """
    condition: AnyAutomationCondition = (
        _When.eager()
        .without(_When.in_latest_time_window())
        .replace("newly_updated", _When.data_version_changed())
        .with_label("content changed upstream")
    )
    return condition


def nightly_or_content_changed(cron: str | None) -> AnyAutomationCondition:
    """Follow upstream content, and go over all slices each night for what failed or is missing.

    Slices whose evidence is current are not computed again, so the nightly backfill costs little.
    """
    if cron is None:
        return content_changed()
    nightly: AnyAutomationCondition = (
        _When.cron_tick_passed(cron).since_last_handled()
        & ~_When.any_deps_missing()
        & ~_When.any_deps_in_progress()
        & ~_When.in_progress()
    ).with_label("nightly")
    return content_changed() | nightly


def anything_new_upstream() -> AnyAutomationCondition:
    """Gather what is there, also where a part failed: the gatherer lists what is missing.

    `eager` would wait for the failed part for ever. And its "since last handled" overlooks a part
    that is repaired in the same half minute in which the gatherer finished. Here a part counts
    that was updated after the gatherer was last asked for: Dagster compares the times of just
    these two. It follows runs, not content; gathering equal parts again changes nothing.
    """
    condition: AnyAutomationCondition = (
        _news_upstream()
        # Where there is nothing at all, there is nothing to gather.
        & _When.any_deps_match(~_When.missing())
        & ~_When.any_deps_in_progress()
        & ~_When.in_progress()
    ).with_label("anything new upstream, failures too")
    return condition


def _news_upstream() -> Any:
    requested = _When.newly_requested()
    updated = _When.any_deps_match(_When.newly_updated()).since(requested)
    # Dagster keeps what a "since" remembers under an id that knows its operators, but not what
    # "any deps match" looks for: alike, these two would forget each other's. Hence the two "not".
    failed = (~~_When.any_deps_match(_When.execution_failed().newly_true())).since(requested)
    return updated | failed


def scorecard_condition(audit: Audit) -> AnyAutomationCondition:
    """Gather candidates once one has metrics, and not before a new evaluation set has its own.

    In the tick in which a new set is seen its slices are asked for, and not in progress yet.
    """
    evaluation_set = dg.AssetSelection.assets(key_of(audit, Asset.EVALUATION_SET))
    metrics = [key_of(audit, metrics_of(candidate.name)) for candidate in audit.spec.candidates]
    just_now = _When.newly_updated() | _When.will_be_requested()
    condition: AnyAutomationCondition = (
        anything_new_upstream()
        & _When.any_deps_match(~_When.missing()).allow(dg.AssetSelection.assets(*metrics))
        & ~_When.any_deps_match(just_now).allow(evaluation_set)
    ).with_label("anything new of a candidate, failures too")
    return condition


def report_condition(audit: Audit, *, alone: bool) -> AnyAutomationCondition:
    """Follow scorecard and certificate, in one run with them, and never before they exist.

    Parameters
    ----------
    audit
        Whose report it is.
    alone
        Whether it has a run of its own, since it may have to wait for a server.
    """
    made_of = dg.AssetSelection.assets(
        key_of(audit, Asset.SCORECARD), key_of(audit, Asset.CERTIFICATE)
    )
    # What was made in one run with its upstream has seen it.
    wanted = _news_upstream() & _When.any_deps_match(~_When.executed_with_root_target())
    missing = _When.missing()
    if not alone:
        wanted |= _When.any_deps_match(_When.will_be_requested()).allow(made_of)
        missing &= ~_When.will_be_requested()
    condition: AnyAutomationCondition = (
        wanted
        & ~_When.any_deps_match(missing).allow(made_of)
        & ~_When.any_deps_in_progress()
        & ~_When.in_progress()
    ).with_label("anything new of scorecard or certificate")
    return condition


def evaluation_set_condition(refresh: str) -> AnyAutomationCondition | None:
    """Freeze the accepted days by the audit's policy: as they come, each Monday, or never."""
    if refresh == "daily":
        return anything_new_upstream()
    if refresh == "on_demand":
        return None
    due = _When.cron_tick_passed(MONDAY).since(_When.newly_requested()) | _When.missing()
    weekly: AnyAutomationCondition = (anything_new_upstream() & due).with_label(
        "anything new, each Monday"
    )
    return weekly


def once_for_each_code_version() -> AnyAutomationCondition:
    """Ask for what there is no sense in trying again before it is another one."""
    condition: AnyAutomationCondition = (
        _When.initial_evaluation() | _When.code_version_changed()
    ).with_label("once for each code version")
    return condition


def automation_sensor(
    name: str,
    target: dg.AssetSelection,
    description: str,
    seconds: int = SECONDS_BETWEEN_TICKS,
) -> dg.AutomationConditionSensorDefinition:
    """Evaluate the conditions of some assets so often; it is running as soon as the daemon is."""
    return dg.AutomationConditionSensorDefinition(
        name,
        target=target,
        default_status=dg.DefaultSensorStatus.RUNNING,
        minimum_interval_seconds=seconds,
        description=description,
    )
