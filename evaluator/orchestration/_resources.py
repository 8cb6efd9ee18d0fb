"""What Dagster hands to every asset: the audit's state, and the run that writes."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

import dagster as dg

from evaluator.evidence import RunContext
from evaluator.orchestration._home import Home, settle_process
from evaluator.orchestration._state import AuditState
from evaluator.orchestration._tracking import move_artifacts_along
from evaluator.spec import Audit


class States(Protocol):
    """Gives assets and sensors the state of their audit."""

    def home(self) -> Home:
        """Return where it lies."""

    def state(self, audit: Audit) -> AuditState:
        """Return the audit's state."""


class HomeResource(dg.ConfigurableResource[None]):
    """The state below the home that the environment of the running process names.

    Parameters
    ----------
    project
        The root of the project whose state it is where the environment names none.
    """

    project: str | None = None

    def home(self) -> Home:
        """See `States`."""
        return Home.from_environment(Path(self.project) if self.project else None)

    def state(self, audit: Audit) -> AuditState:
        """Open the audit's state, afresh for each step."""
        # Dagster may have started this process without any of ours.
        settle_process()
        home = self.home()
        move_artifacts_along(home)
        return AuditState(audit, home)


class OneState:
    """The one state of a run from the terminal, so that all its steps read each record once."""

    def __init__(self, state: AuditState) -> None:
        self._state = state

    def home(self) -> Home:
        """See `States`."""
        return self._state.home

    def state(self, _: Audit) -> AuditState:
        """See `States`."""
        return self._state


def run_context_of(context: dg.AssetExecutionContext) -> RunContext:
    """Return the run that writes, and the time."""
    return RunContext(run_id=context.run.run_id, now=datetime.now(UTC))
