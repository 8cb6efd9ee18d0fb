"""What happens by itself while the Dagster daemon runs."""

from typing import Any

import dagster as dg

from evaluator.spec import Audit

SECONDS_BETWEEN_TICKS = 30
MONDAY = "0 0 * * 1"

Condition = dg.AutomationCondition[Any]
# Dagster types its factories as conditions of different things, which do not combine.
_When: Any = dg.AutomationCondition


def when_content_changes() -> Condition:
    """Follow upstream content, not upstream runs: equal content asks for nothing.

    Dagster's `eager` looks at the latest day only; a file that arrives late counts here as well.
    """
    condition: Condition = (
        _When.eager()
        .without(_When.in_latest_time_window())
        .replace("newly_updated", _When.data_version_changed())
        .with_label("content changed upstream")
    )
    return condition


def nightly_or_when_content_changes(cron: str | None) -> Condition:
    """Follow upstream content, and go over all slices each night for what failed or is missing.

    Slices whose evidence is current are not computed again, so the nightly backfill costs little.
    """
    if cron is None:
        return when_content_changes()
    nightly: Condition = (
        _When.cron_tick_passed(cron).since_last_handled()
        & ~_When.any_deps_missing()
        & ~_When.any_deps_in_progress()
        & ~_When.in_progress()
    ).with_label("nightly")
    return when_content_changes() | nightly


def when_anything_is_known() -> Condition:
    """Gather what is there, also where a part failed: the gatherer lists what is missing.

    `eager` would wait for the failed part for ever. And its "since last handled" overlooks a part
    that is repaired in the same half minute in which the gatherer finished. Here a part counts
    that was updated after the gatherer was last asked for: Dagster compares the times of just
    these two. It follows runs, not content; gathering equal parts again changes nothing.
    """
    asked = _When.newly_requested()
    updated = _When.any_deps_match(_When.newly_updated()).since(asked)
    # Dagster keeps what a "since" remembers under an id that knows its operators, but not what
    # "any deps match" looks for: alike, these two would forget each other's. Hence the two "not".
    failed = (~~_When.any_deps_match(_When.execution_failed().newly_true())).since(asked)
    condition: Condition = (
        (updated | failed) & ~_When.any_deps_in_progress() & ~_When.in_progress()
    ).with_label("anything new upstream, failures too")
    return condition


def when_to_be_frozen(refresh: str) -> Condition | None:
    """Freeze the accepted days by the audit's policy: as they come, each Monday, or never."""
    if refresh == "daily":
        return when_anything_is_known()
    if refresh == "on_demand":
        return None
    due = _When.cron_tick_passed(MONDAY).since(_When.newly_requested()) | _When.missing()
    weekly: Condition = (when_anything_is_known() & due).with_label("anything new, each Monday")
    return weekly


def automation_sensor(audit: Audit) -> dg.AutomationConditionSensorDefinition:
    """Evaluate the audit's conditions; it is running as soon as the daemon is."""
    return dg.AutomationConditionSensorDefinition(
        f"{audit.name}_automation",
        target=dg.AssetSelection.groups(audit.name),
        default_status=dg.DefaultSensorStatus.RUNNING,
        minimum_interval_seconds=SECONDS_BETWEEN_TICKS,
        description="Materialises what follows from new content, and the nightly backfill.",
    )
