"""What of an audit's evidence could be removed, and what never is."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import dagster as dg

from evaluator.errors import UsageError
from evaluator.evidence import PruningPlan, plan_pruning
from evaluator.orchestration.home import Home
from evaluator.spec import Audit

KEPT_FOR_EVER = ("raw_data", "quarantined_rows", "certificate")
"""What came in, what was refused, and what was certified, with all that it rests on."""

YOUNG = timedelta(hours=1)
"""What is younger may belong to a run that has not come to its end."""


def look_for_prunable(audit: Audit, home: Home) -> PruningPlan:
    """Find what nothing refers to.

    Raises
    ------
    UsageError
        Where a run is under way, which may be about to refer to something.
    """
    home.prepare()
    under_way = [
        dg.DagsterRunStatus.QUEUED,
        dg.DagsterRunStatus.STARTING,
        dg.DagsterRunStatus.STARTED,
    ]
    with dg.DagsterInstance.get() as instance:
        runs = instance.get_runs(dg.RunsFilter(statuses=under_way))
    if runs:
        raise UsageError(
            f"{len(runs)} runs are under way or queued",
            culprit="evaluator prune",
            fix="wait until they have ended (the UI's page *Runs* shows them), and prune again",
        )
    return plan_pruning(
        home.store(),
        audit.name,
        kept_for_ever=KEPT_FOR_EVER,
        before=datetime.now(UTC) - YOUNG,
    )


def told_prunable(plan: PruningPlan) -> Iterator[str]:
    """Say what would be removed, by asset, and what stays."""
    for asset in sorted({found.asset for found in plan.superseded}):
        found = [p for p in plan.superseded if p.asset == asset]
        yield f"  {asset}: {len(found):,} superseded versions, {_bytes(sum(p.size for p in found))}"
    if plan.half_written:
        size = sum(p.size for p in plan.half_written)
        count = sum(len(p.paths) for p in plan.half_written)
        yield f"  {count:,} files that a process left half written, {_bytes(size)}"
    if not plan.all:
        yield "There is nothing to remove."
    stays = f"{plan.kept:,} versions are referred to or kept for ever, and stay"
    young = f"; {plan.too_young:,} are younger than an hour, and stay for now"
    yield stays + (young if plan.too_young else "") + "."


def _bytes(size: int) -> str:
    return f"{size / 1e6:,.1f} MB"
