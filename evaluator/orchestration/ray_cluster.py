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
import traceback
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from evaluator.errors import EvaluatorError
from evaluator.evidence import Moment, Record
from evaluator.orchestration.candidate_evaluation import CandidateEvaluation, Evaluated
from evaluator.orchestration.home import EVIDENCE_VARIABLE, HOME_VARIABLE, Home
from evaluator.orchestration.ray_connection import ClusterError, connect
from evaluator.orchestration.state import AuditState
from evaluator.spec import Audit, CandidateSpec
from evaluator.spec.execution import RayExecution

CHUNKS_PER_CPU = 4
"""So that no worker waits long for the last one; each chunk loads model and cases once."""

MOST_SLICES_A_CHUNK = 50
"""So that progress shows also where there are thousands."""

_ENVIRONMENT = (HOME_VARIABLE, EVIDENCE_VARIABLE, "MLFLOW_TRACKING_URI")


class WorkerError(Exception):
    """What a candidate raised in a worker; the subclass bears the error's own name."""


class WorkerDiedError(EvaluatorError):
    """The process or the machine that ran a slice died, as often as it was tried."""


class _Job(NamedTuple):
    """What every worker of a candidate's range is told."""

    audit: Audit
    candidate: CandidateSpec
    home: Home
    moment: Moment
    evaluation_set: str
    model: str
    environment: Mapping[str, str]


class _Told(NamedTuple):
    """An error, as a worker can tell it whatever its class is."""

    error: EvaluatorError | None
    name: str
    message: str
    trace: str

    def again(self) -> Exception:
        """Make the error anew, with the worker's trace as its cause."""
        again: Exception
        if self.error is not None:
            again = self.error
        else:
            # Evidence and reports name an error by its class.
            again = type(self.name, (WorkerError,), {})(self.message)
        again.__cause__ = WorkerError(f"in a Ray worker:\n{self.trace}")
        return again


class _Finished(NamedTuple):
    slice_key: str
    outcome: Evaluated | _Told


def predict_on_ray(
    evaluation: CandidateEvaluation, slice_keys: Sequence[str], execution: RayExecution
) -> Iterator[tuple[str, Evaluated | Exception]]:
    """Predict a candidate's slices on a cluster; yield each as its chunk finishes.

    Parameters
    ----------
    evaluation
        The candidate on the evaluation set, as this process sees both.
    slice_keys
        The slices, as Dagster's partition keys.
    execution
        The cluster, and how often a slice is tried again after its worker died.

    Yields
    ------
    tuple of str and Evaluated or Exception
        Each slice's key with its outcome or its fault, in the order in which they finish. What a
        candidate raises is that slice's failure only. `reused` is what another run had predicted.

    Raises
    ------
    ClusterError
        Where the cluster cannot be used.
    """
    if not slice_keys:
        return
    connect(execution)
    tasks = _Tasks(evaluation)
    try:
        cpus = tasks.cpus()
        size = math.ceil(len(slice_keys) / (max(cpus, 1) * CHUNKS_PER_CPU))
        size = min(size, MOST_SLICES_A_CHUNK)
        for first in range(0, len(slice_keys), size):
            tasks.start(slice_keys[first : first + size])
        deaths: Counter[str] = Counter()
        while tasks.running:
            chunk, finished = tasks.next()
            if isinstance(finished, BaseException):
                yield from _go_on(tasks, chunk, finished, deaths, execution.max_retries)
            else:
                yield from map(_outcome, finished)
    finally:
        tasks.cancel()


def _go_on(
    tasks: "_Tasks", chunk: Sequence[str], death: BaseException, deaths: Counter[str], retries: int
) -> Iterator[tuple[str, Evaluated | Exception]]:
    """Keep what a dead worker finished, and try the rest again, the first of it alone."""
    unfinished = []
    for key in chunk:
        record = tasks.stored(key)
        if record is None:
            unfinished.append(key)
        else:
            yield key, Evaluated(record, None, reused=tasks.is_of_another_run(record))
    for suspect in unfinished[:1]:
        deaths[suspect] += 1
        if deaths[suspect] > retries:
            yield suspect, _died(tasks.culprit(suspect), deaths[suspect], death)
        else:
            tasks.start([suspect])
    if unfinished[1:]:
        tasks.start(unfinished[1:])


def _died(culprit: str, times: int, death: BaseException) -> WorkerDiedError:
    words = str(death).strip().split("\n")[0]
    died = WorkerDiedError(
        f"the worker that predicted it died {times} times, the last time by"
        f" {type(death).__name__}: {words}",
        culprit=culprit,
        fix="look into the cluster's logs; where memory ran out, give each worker more of it or"
        " cut the slice smaller, and give the candidate `isolate: process` and a `memory_limit`",
    )
    died.__cause__ = death
    return died


def _outcome(finished: _Finished) -> tuple[str, Evaluated | Exception]:
    key, outcome = finished
    return key, outcome.again() if isinstance(outcome, _Told) else outcome


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
                moment=evaluation.moment,
                evaluation_set=evaluation.evaluation_set.content_version,
                model=evaluation.model.content_version,
                environment={k: os.environ[k] for k in _ENVIRONMENT if k in os.environ},
            )
        )

    def cpus(self) -> int:
        return int(self._ray.cluster_resources().get("CPU", 0))

    def start(self, slice_keys: Sequence[str]) -> None:
        self.running[self._task.remote(self._job, list(slice_keys))] = slice_keys

    def next(self) -> tuple[Sequence[str], list[_Finished] | BaseException]:
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
            told = _Told(None, type(cause).__name__, str(cause), str(error))
            return slice_keys, [_Finished(key, told) for key in slice_keys]

    def stored(self, slice_key: str) -> Record | None:
        return self._evaluation.state.store.find(*self._evaluation.target(slice_key))

    def is_of_another_run(self, record: Record) -> bool:
        return record.run_id != self._evaluation.moment.run_id

    def culprit(self, slice_key: str) -> str:
        return f"candidate {self._evaluation.candidate.name}, slice {slice_key}"

    def cancel(self) -> None:
        """Stop what still runs, where nobody wants its results any more."""
        for task in self.running:
            self._ray.cancel(task)


def _predict_chunk(job: _Job, slice_keys: Sequence[str]) -> list[_Finished]:
    """Predict some slices in a worker, and store each at once."""
    os.environ.update(job.environment)
    try:
        with _evaluation_in_worker(job) as evaluation:
            return [_Finished(key, _predict_slice(evaluation, key)) for key in slice_keys]
    except Exception as error:  # noqa: BLE001 - told to the step, as what these slices failed of
        return [_Finished(key, _tell(error)) for key in slice_keys]


def _predict_slice(evaluation: CandidateEvaluation, slice_key: str) -> Evaluated | _Told:
    try:
        evaluated = evaluation.predictions(slice_key)
    except Exception as error:  # noqa: BLE001 - a slice's fault must not take the others
        return _tell(error)
    # The step reads the frames that it needs from the store, as it does of what is reused.
    return evaluated._replace(frame=None)


def _evaluation_in_worker(job: _Job) -> CandidateEvaluation:
    """Open the evaluation here, if this machine sees what the step sees."""
    state = AuditState(job.audit, job.home)
    _check_same(job, "its artifact", job.model, state.model_digest(job.candidate))
    evaluation_set = state.require("evaluation_set").content_version
    _check_same(job, "the evaluation set", job.evaluation_set, evaluation_set)
    return CandidateEvaluation(state, job.candidate, job.moment)


def _check_same(job: _Job, what: str, wanted: str, found: str) -> None:
    if found != wanted:
        raise ClusterError(
            f"{what} is another one on the machine {platform.node()} ({found[:12]} instead of"
            f" {wanted[:12]})",
            culprit=f"candidate {job.candidate.name}",
            fix="put evidence and artifacts where all machines see the same, such as an object"
            " store and a model registry; if they were changed meanwhile, run it again",
        )


def _tell(error: Exception) -> _Told:
    return _Told(
        error if isinstance(error, EvaluatorError) else None,
        type(error).__name__,
        str(error),
        "".join(traceback.format_exception(error)),
    )
