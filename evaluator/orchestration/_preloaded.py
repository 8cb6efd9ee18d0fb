"""Dagster as a run needs it, for the fork server, which imports this and lets nobody wait.

Much of Dagster is imported only while something runs. So this runs nothing, once, in memory: no
file is opened, and no thread is left.
"""

import dagster as dg


@dg.op
def _nothing() -> None: ...


@dg.job
def _run_nothing() -> None:
    _nothing()


with dg.DagsterInstance.ephemeral(settings={"telemetry": {"enabled": False}}) as _instance:
    _run_nothing.execute_in_process(
        instance=_instance,
        run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
    )
