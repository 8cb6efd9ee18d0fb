"""What Dagster hands to every asset: the home, and the run that writes."""

from datetime import UTC, datetime

import dagster as dg

from evaluator.evidence import RunContext
from evaluator.orchestration._home import Home


class HomeResource(dg.ConfigurableResource[None]):
    """The platform's folders, as the environment of the running process names them."""

    def open(self) -> Home:
        """Read the environment."""
        return Home.from_environment()


def run_context_of(context: dg.AssetExecutionContext) -> RunContext:
    """Return the run that writes, and the time."""
    return RunContext(run_id=context.run.run_id, now=datetime.now(UTC))
