"""What the assets need from outside: the platform's home, and an MLflow tracking server."""

from datetime import UTC, datetime

import dagster as dg

from evaluator.evidence import Moment
from evaluator.orchestration.home import Home


class HomeResource(dg.ConfigurableResource[None]):
    """The platform's folders, as the environment of the running process names them."""

    def open(self) -> Home:
        """Read the environment."""
        return Home.from_environment()


def moment_of(context: dg.AssetExecutionContext) -> Moment:
    """Return the run that writes, and the time."""
    return Moment(run_id=context.run.run_id, now=datetime.now(UTC))
