"""The connection to a Ray cluster that is there already, as a resource of dagster-ray.

dagster-ray brings resources for clusters that it starts; this one is for a cluster that others
start and stop. It is imported where an audit runs on Ray, and nowhere else.
"""

import os
import socket
from threading import Lock

import dagster as dg
from dagster_ray import RayResource
from dagster_ray.configs import RayDataExecutionOptions
from pydantic import Field, PrivateAttr

from evaluator.errors import EvaluatorError
from evaluator.spec.execution import RayExecution

_SECONDS_TO_ANSWER = 60.0
"""A closed port refuses at once; a machine that is busy, or is not there, says nothing."""


class ClusterError(EvaluatorError):
    """A Ray cluster cannot be used."""


class _WithoutRayData(RayDataExecutionOptions):
    """Leaves Ray Data alone, which is not used here, and whose import takes seconds."""

    def apply(self) -> None:
        """Set nothing in this process."""

    def apply_remote(self) -> None:
        """Set nothing in a worker."""


class ExistingRayCluster(RayResource):
    """A Ray cluster that others start and stop.

    Parameters
    ----------
    address
        As `ray.init` takes it: `auto`, `host:port` or `ray://host:port`.
    """

    address: str
    data_execution_options: RayDataExecutionOptions = Field(default_factory=_WithoutRayData)

    _created: bool = PrivateAttr(default=True)

    @property
    def name(self) -> str:
        """What the cluster is called in logs."""
        return f"the Ray cluster at {self.address}"

    @property
    def host(self) -> str:
        """Where it is."""
        return self.address

    @property
    def ray_address(self) -> str:
        """The address as it was given."""
        return self.address

    @property
    def created(self) -> bool:
        """It is there already."""
        return self._created

    @property
    def ready(self) -> bool:
        """Whether it answers shows when it is connected to."""
        return self._created


class _Connection:
    """The one connection that Ray knows in a process; it lasts as long as the process.

    A run's candidates and slice ranges follow one another over the same connection, which takes
    seconds to make. Ray ends it by itself when the process ends.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._address: str | None = None

    def open(self, execution: RayExecution) -> None:
        import ray

        with self._lock:
            if not ray.is_initialized():
                _connect(execution)
                self._address = execution.address
            elif self._address not in (None, execution.address):
                raise ClusterError(
                    f"this process is connected to another cluster, at {self._address}",
                    culprit=f"execution.address {execution.address}",
                    fix="run the audits of the two clusters one at a time",
                )


_CONNECTION = _Connection()


def connect(execution: RayExecution) -> None:
    """Connect this process to the cluster, unless it is connected to one already.

    Raises
    ------
    ClusterError
        Where nothing answers at the address, or what answers is not a cluster that fits.
    """
    _CONNECTION.open(execution)


def _connect(execution: RayExecution) -> None:
    # Nothing leaves the machine but for the cluster; Ray would report its use.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    _check_that_it_answers(execution)
    resource = ExistingRayCluster(
        address=execution.address,
        # What workers print stays in Ray's logs; what failed comes back with its trace.
        ray_init_options={"log_to_driver": False, **execution.ray_init_options},
    )
    try:
        with dg.build_init_resource_context() as context:
            resource.connect(context)
    # Where a server answers that is not Ray's, Ray ends the process.
    except (Exception, SystemExit) as error:
        words = str(error).strip().split("\n")[0]
        raise _unusable(
            execution, f"it cannot be used ({type(error).__name__}: {words})"
        ) from error


def _check_that_it_answers(execution: RayExecution) -> None:
    """Ask for the port first: Ray itself waits two minutes and then ends the process."""
    if execution.endpoint is None:
        return
    try:
        socket.create_connection(execution.endpoint, timeout=_SECONDS_TO_ANSWER).close()
    except OSError as error:
        raise _unusable(execution, f"nothing answers there ({error})") from error


def _unusable(execution: RayExecution, what: str) -> ClusterError:
    return ClusterError(
        what,
        culprit=f"the Ray cluster at {execution.address}",
        fix="start the cluster with the same versions of Python and Ray as here (`ray start"
        " --head`, and `ray status` shows it), or mend `execution.address`; from a machine outside"
        " of the cluster it begins with ray://",
    )
