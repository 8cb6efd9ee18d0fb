"""A Ray cluster, for audits that are larger than a machine.

Dagster keeps one step for a candidate and a range of slices; inside it the slices go to the cluster
in chunks, a task each.
"""

import json
import math
import os
import platform
import socket
from collections import defaultdict
from collections.abc import Mapping, Sequence
from functools import cached_property
from threading import Lock
from typing import Any, NamedTuple

import dagster as dg
from dagster_ray import RayResource
from dagster_ray.configs import RayDataExecutionOptions
from pydantic import Field, PrivateAttr

from evaluator.errors import EvaluatorError
from evaluator.orchestration._candidate_run import CandidateEvaluation
from evaluator.orchestration._executors._executor import (
    FinishedChunk,
    Job,
    OnPredicted,
    WorkerDiedError,
    WorkerExecutor,
    error_from_document,
    error_to_document,
)
from evaluator.orchestration._home import EVIDENCE_VARIABLE, HOME_VARIABLE
from evaluator.orchestration._state import AuditState
from evaluator.scorecard import Asset, Slice
from evaluator.spec import RayExecution

CHUNKS_PER_CPU = 4
"""So that no worker waits long for the last one; each chunk loads model and cases once."""
MAX_SLICES_A_CHUNK = 50
"""So that progress shows also where there are thousands."""
_ENVIRONMENT = (HOME_VARIABLE, EVIDENCE_VARIABLE, "MLFLOW_TRACKING_URI")
_SECONDS_TO_ANSWER = 60.0
"""A closed port refuses at once; a machine that is busy, or is not there, says nothing."""


class ClusterError(EvaluatorError):
    """A Ray cluster cannot be used."""


class RayExecutor(WorkerExecutor):
    """Evaluates on a cluster, in tasks of some slices each.

    Parameters
    ----------
    execution
        The cluster, and how often a slice is tried again.
    on_predicted
        Hears of each slice, when its task has ended.
    """

    def __init__(self, execution: RayExecution, on_predicted: OnPredicted) -> None:
        super().__init__(execution.max_retries)
        self._execution = execution
        self._on_predicted = on_predicted
        self._jobs: dict[str, tuple[str, Any]] = {}
        self._running: defaultdict[str, dict[Any, Sequence[Slice]]] = defaultdict(dict)

    def submit(self, *jobs: Job) -> None:
        """See `WorkerExecutor`; it connects to the cluster."""
        connect(self._execution)
        super().submit(*jobs)

    def __exit__(self, *_: object) -> None:
        """See `WorkerExecutor`."""
        for tasks in self._running.values():
            for task in tasks:
                self._ray.cancel(task)

    @cached_property
    def _ray(self) -> Any:  # not all of it is typed
        import ray

        return ray

    @cached_property
    def _task(self) -> Any:
        # Not by Ray's own retries: it tries a task that ran out of memory again without end.
        return self._ray.remote(max_retries=0)(_evaluate_chunk)

    def _cut(self, job: Job) -> list[Sequence[Slice]]:
        cpus = int(self._ray.cluster_resources().get("CPU", 0))
        size = math.ceil(len(job.slices) / (max(cpus, 1) * CHUNKS_PER_CPU))
        size = min(max(size, 1), MAX_SLICES_A_CHUNK)
        return [job.slices[first : first + size] for first in range(0, len(job.slices), size)]

    def _start(self, job: Job, slices: Sequence[Slice]) -> None:
        run_id = job.run_context.run_id
        if run_id not in self._jobs:
            self._jobs[run_id] = job.candidate.name, self._ray.put(_described(job))
        task = self._task.remote(self._jobs[run_id][1], [one.key for one in slices])
        self._running[run_id][task] = slices

    def _next(self, run_id: str) -> FinishedChunk:
        exceptions = self._ray.exceptions
        ready: list[Any] = []
        while not ready:
            # Between two looks an interrupt is heeded that came from another thread.
            ready, _ = self._ray.wait(list(self._running[run_id]), num_returns=1, timeout=0.2)
        slices = self._running[run_id].pop(ready[0])
        try:
            documents = json.loads(self._ray.get(ready[0]))
        except (
            exceptions.WorkerCrashedError,
            exceptions.OutOfMemoryError,
            exceptions.NodeDiedError,
            exceptions.ObjectLostError,
        ) as death:
            return FinishedChunk(slices, {}, death)
        except exceptions.RayError as error:
            # The worker could not even begin: another attempt would end the same way.
            cause = getattr(error, "cause", None) or error
            document = {"name": type(cause).__name__, "message": str(cause), "trace": str(error)}
            documents = {one.key: document for one in slices}
        for one in slices:
            self._on_predicted(self._jobs[run_id][0], one)
        failed = {Slice.of_key(key): error_from_document(found) for key, found in documents.items()}
        return FinishedChunk(slices, failed)

    def _died(self, job: Job, of: Slice, times: int, death: Exception) -> WorkerDiedError:
        message = str(death).strip().split("\n")[0]
        died = WorkerDiedError(
            f"the worker that predicted it died {times} times, the last time by"
            f" {type(death).__name__}: {message}",
            culprit=f"candidate {job.candidate.name}, slice {of.key}",
            fix="look into the cluster's logs; where memory ran out, give each worker more of it or"
            " cut the slice smaller, and give the candidate `isolate: process` and a"
            " `memory_limit`",
        )
        died.__cause__ = death
        return died


class _RemoteJob(NamedTuple):
    """A job, and what its workers must see to be of one mind with the step."""

    job: Job
    evaluation_set: str
    model: str
    environment: Mapping[str, str]


def _described(job: Job) -> _RemoteJob:
    state = AuditState(job.audit, job.home)
    return _RemoteJob(
        job._replace(slices=()),
        evaluation_set=state.require(Asset.EVALUATION_SET).content_version,
        model=str(state.observed_model(job.candidate)),
        environment={name: os.environ[name] for name in _ENVIRONMENT if name in os.environ},
    )


def _evaluate_chunk(remote: _RemoteJob, keys: Sequence[str]) -> str:
    """Evaluate some slices in a worker, and return as JSON what failed of what."""
    os.environ.update(remote.environment)
    try:
        with _evaluation_in_worker(remote) as evaluation:
            results = list(evaluation.evaluate([Slice.of_key(key) for key in keys]))
    except Exception as error:  # noqa: BLE001 - told to the step, as what these slices failed of
        return json.dumps(dict.fromkeys(keys, error_to_document(error)))
    return json.dumps(
        {one.key: error_to_document(error) for one, error in results if error is not None}
    )


def _evaluation_in_worker(remote: _RemoteJob) -> CandidateEvaluation:
    """Open the evaluation here, if this machine sees what the step sees."""
    job = remote.job
    state = AuditState(job.audit, job.home)
    _check_same(job, "its artifact", remote.model, state.model_digest(job.candidate))
    evaluation_set = state.require(Asset.EVALUATION_SET).content_version
    _check_same(job, "the evaluation set", remote.evaluation_set, evaluation_set)
    return CandidateEvaluation(state, job.candidate, job.run_context)


def _check_same(job: Job, what: str, wanted: str, found: str) -> None:
    if found != wanted:
        raise ClusterError(
            f"{what} is another one on the machine {platform.node()} ({found[:12]} instead of"
            f" {wanted[:12]})",
            culprit=f"candidate {job.candidate.name}",
            fix="put evidence and artifacts where all machines see the same, such as an object"
            " store and a model registry; if they were changed meanwhile, run it again",
        )


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
    """Connect this process to the cluster, unless it is connected to one already."""
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
        message = str(error).strip().split("\n")[0]
        raise _unusable(
            execution, f"it cannot be used ({type(error).__name__}: {message})"
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
