"""A candidate's slices, predicted on a Ray cluster.

Dagster keeps one step for a candidate and a range of slices; inside it the slices go to the
cluster in chunks, a task each. A worker writes each slice into the evidence store as soon as it
is predicted, so that each finished slice is a checkpoint. Where a worker dies, what it finished
is reused, and the rest is tried again. That is done here and not by Ray's `max_retries`, since
Ray tries a task that ran out of memory again without end, and since of a chunk just one slice is
at fault: the first unfinished one is tried again alone, and the others go on without it.
"""

import math
import os
import platform
import socket
import traceback
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from threading import Lock
from typing import Any, NamedTuple

import dagster as dg
from dagster_ray import RayResource
from dagster_ray.configs import RayDataExecutionOptions
from pydantic import Field, PrivateAttr

from evaluator.errors import EvaluatorError
from evaluator.evidence import Record, RunContext
from evaluator.orchestration._candidate_run import CandidateEvaluation, EvaluatedSlice
from evaluator.orchestration._home import EVIDENCE_VARIABLE, HOME_VARIABLE, Home
from evaluator.orchestration._state import AuditState
from evaluator.spec import Audit, CandidateSpec, RayExecution

CHUNKS_PER_CPU = 4
"""So that no worker waits long for the last one; each chunk loads model and cases once."""
MAX_SLICES_A_CHUNK = 50
"""So that progress shows also where there are thousands."""
_ENVIRONMENT = (HOME_VARIABLE, EVIDENCE_VARIABLE, "MLFLOW_TRACKING_URI")
_SECONDS_TO_ANSWER = 60.0
"""A closed port refuses at once; a machine that is busy, or is not there, says nothing."""


class WorkerError(Exception):
    """What a candidate raised in a worker; the subclass bears the error's own name."""


class WorkerDiedError(EvaluatorError):
    """The process or the machine that ran a slice died, as often as it was tried."""


class ClusterError(EvaluatorError):
    """A Ray cluster cannot be used."""


class _Job(NamedTuple):
    """What every worker of a candidate's range is told."""

    audit: Audit
    candidate: CandidateSpec
    home: Home
    run_context: RunContext
    evaluation_set: str
    model: str
    environment: Mapping[str, str]


class _RemoteError(NamedTuple):
    """An error, as a worker can tell it whatever its class is."""

    error: EvaluatorError | None
    name: str
    message: str
    trace: str

    def to_error(self) -> Exception:
        """Make the error anew, with the worker's trace as its cause."""
        error: Exception
        if self.error is not None:
            error = self.error
        else:
            # Evidence and reports name an error by its class.
            error = type(self.name, (WorkerError,), {})(self.message)
        error.__cause__ = WorkerError(f"in a Ray worker:\n{self.trace}")
        return error


class _SliceResult(NamedTuple):
    slice_key: str
    outcome: EvaluatedSlice | _RemoteError


def predict_on_ray(
    evaluation: CandidateEvaluation, slice_keys: Sequence[str], execution: RayExecution
) -> Iterator[tuple[str, EvaluatedSlice | Exception]]:
    """Predict a candidate's slices on a cluster; yield each as its chunk finishes."""
    if not slice_keys:
        return
    connect(execution)
    tasks = _Tasks(evaluation)
    try:
        cpus = tasks.cpus()
        size = math.ceil(len(slice_keys) / (max(cpus, 1) * CHUNKS_PER_CPU))
        size = min(size, MAX_SLICES_A_CHUNK)
        for first in range(0, len(slice_keys), size):
            tasks.start(slice_keys[first : first + size])
        deaths: Counter[str] = Counter()
        while tasks.running:
            chunk, finished = tasks.next()
            if isinstance(finished, BaseException):
                yield from _resume(tasks, chunk, finished, deaths, execution.max_retries)
            else:
                yield from map(_outcome, finished)
    finally:
        tasks.cancel()


def _resume(
    tasks: "_Tasks", chunk: Sequence[str], death: BaseException, deaths: Counter[str], retries: int
) -> Iterator[tuple[str, EvaluatedSlice | Exception]]:
    """Keep what a dead worker finished, and try the rest again, the first of it alone."""
    unfinished = []
    for key in chunk:
        record = tasks.stored(key)
        if record is None:
            unfinished.append(key)
        else:
            yield key, EvaluatedSlice(record, None, reused=tasks.is_of_another_run(record))
    for suspect in unfinished[:1]:
        deaths[suspect] += 1
        if deaths[suspect] > retries:
            yield suspect, _worker_died(tasks.culprit(suspect), deaths[suspect], death)
        else:
            tasks.start([suspect])
    if unfinished[1:]:
        tasks.start(unfinished[1:])


def _worker_died(culprit: str, times: int, death: BaseException) -> WorkerDiedError:
    message = str(death).strip().split("\n")[0]
    died = WorkerDiedError(
        f"the worker that predicted it died {times} times, the last time by"
        f" {type(death).__name__}: {message}",
        culprit=culprit,
        fix="look into the cluster's logs; where memory ran out, give each worker more of it or"
        " cut the slice smaller, and give the candidate `isolate: process` and a `memory_limit`",
    )
    died.__cause__ = death
    return died


def _outcome(finished: _SliceResult) -> tuple[str, EvaluatedSlice | Exception]:
    key, outcome = finished
    return key, outcome.to_error() if isinstance(outcome, _RemoteError) else outcome


class _Tasks:
    """The tasks on the cluster, and which slices each has."""

    def __init__(self, evaluation: CandidateEvaluation) -> None:
        import ray

        # Not all of Ray is typed.
        self._ray: Any = ray
        self._evaluation = evaluation
        self.running: dict[Any, Sequence[str]] = {}
        self._task = ray.remote(max_retries=0)(_predict_chunk)
        state = evaluation.state
        self._job = ray.put(
            _Job(
                audit=state.audit,
                candidate=evaluation.candidate,
                home=state.home,
                run_context=evaluation.run_context,
                evaluation_set=evaluation.evaluation_set.content_version,
                model=evaluation.model.content_version,
                environment={k: os.environ[k] for k in _ENVIRONMENT if k in os.environ},
            )
        )

    def cpus(self) -> int:
        return int(self._ray.cluster_resources().get("CPU", 0))

    def start(self, slice_keys: Sequence[str]) -> None:
        self.running[self._task.remote(self._job, list(slice_keys))] = slice_keys

    def next(self) -> tuple[Sequence[str], list[_SliceResult] | BaseException]:
        """Await a task; return its slices and what became of them, or how its worker died."""
        exceptions = self._ray.exceptions
        ready, _ = self._ray.wait(list(self.running), num_returns=1)
        slice_keys = self.running.pop(ready[0])
        try:
            return slice_keys, self._ray.get(ready[0])
        except (
            exceptions.WorkerCrashedError,
            exceptions.OutOfMemoryError,
            exceptions.NodeDiedError,
            exceptions.ObjectLostError,
        ) as death:
            return slice_keys, death
        except exceptions.RayError as error:
            # The worker could not even begin: another attempt would end the same way.
            cause = getattr(error, "cause", None) or error
            failure = _RemoteError(None, type(cause).__name__, str(cause), str(error))
            return slice_keys, [_SliceResult(key, failure) for key in slice_keys]

    def stored(self, slice_key: str) -> Record | None:
        return self._evaluation.state.store.find(*self._evaluation.target(slice_key))

    def is_of_another_run(self, record: Record) -> bool:
        return record.run_id != self._evaluation.run_context.run_id

    def culprit(self, slice_key: str) -> str:
        return f"candidate {self._evaluation.candidate.name}, slice {slice_key}"

    def cancel(self) -> None:
        """Stop what still runs, where nobody wants its results any more."""
        for task in self.running:
            self._ray.cancel(task)


def _predict_chunk(job: _Job, slice_keys: Sequence[str]) -> list[_SliceResult]:
    """Predict some slices in a worker, and store each at once."""
    os.environ.update(job.environment)
    try:
        with _evaluation_in_worker(job) as evaluation:
            return [_SliceResult(key, _predict_slice(evaluation, key)) for key in slice_keys]
    except Exception as error:  # noqa: BLE001 - told to the step, as what these slices failed of
        return [_SliceResult(key, _describe_error(error)) for key in slice_keys]


def _predict_slice(
    evaluation: CandidateEvaluation, slice_key: str
) -> EvaluatedSlice | _RemoteError:
    try:
        evaluated = evaluation.predictions(slice_key)
    except Exception as error:  # noqa: BLE001 - a slice's fault must not take the others
        return _describe_error(error)
    # The step reads the frames that it needs from the store, as it does of what is reused.
    return evaluated._replace(frame=None)


def _evaluation_in_worker(job: _Job) -> CandidateEvaluation:
    """Open the evaluation here, if this machine sees what the step sees."""
    state = AuditState(job.audit, job.home)
    _check_same(job, "its artifact", job.model, state.model_digest(job.candidate))
    evaluation_set = state.require("evaluation_set").content_version
    _check_same(job, "the evaluation set", job.evaluation_set, evaluation_set)
    return CandidateEvaluation(state, job.candidate, job.run_context)


def _check_same(job: _Job, what: str, wanted: str, found: str) -> None:
    if found != wanted:
        raise ClusterError(
            f"{what} is another one on the machine {platform.node()} ({found[:12]} instead of"
            f" {wanted[:12]})",
            culprit=f"candidate {job.candidate.name}",
            fix="put evidence and artifacts where all machines see the same, such as an object"
            " store and a model registry; if they were changed meanwhile, run it again",
        )


def _describe_error(error: Exception) -> _RemoteError:
    return _RemoteError(
        error if isinstance(error, EvaluatorError) else None,
        type(error).__name__,
        str(error),
        "".join(traceback.format_exception(error)),
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
