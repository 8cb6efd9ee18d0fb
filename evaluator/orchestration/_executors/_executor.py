"""One way to have slices evaluated and to bring home what went wrong, wherever that is.

Workers write each result into the evidence store themselves, and send names and errors as JSON.
Where a worker dies, what it finished is reused, and the rest goes on elsewhere. Of a chunk just one
slice is at fault, the first that is unfinished: it is tried again alone, if at all, and the others
go on without it.
"""

import traceback
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple, Protocol, Self

from evaluator.errors import EvaluatorError, fault_of
from evaluator.evidence import RunContext
from evaluator.orchestration._candidate_run import CandidateEvaluation
from evaluator.orchestration._home import Home
from evaluator.scorecard import Slice
from evaluator.spec import Audit, CandidateSpec

SliceResult = tuple[Slice, Exception | None]
"""A slice that is through, and what it failed of."""
OnPredicted = Callable[[str, Slice], None]
"""Hears of a candidate's slice, once, that it is predicted or has failed."""


class SliceExecutor(Protocol):
    """Evaluates the slices of a candidate."""

    def evaluate(
        self, evaluation: CandidateEvaluation, slices: Sequence[Slice]
    ) -> Iterator[SliceResult]:
        """Predict and measure slices, and yield each when it is through, in any order."""


class WorkerError(Exception):
    """What was raised in a worker; the subclass bears the error's own name."""


class WorkerDiedError(EvaluatorError):
    """The process or the machine that ran a slice died, as often as it was tried."""


ErrorDocument = Mapping[str, str]
"""An error as JSON: its class, what it says, its trace, and the parts of one that users mend."""


def error_to_document(error: Exception) -> ErrorDocument:
    """Describe an error for the process that asked."""
    document = {
        "name": type(error).__name__,
        "fault": fault_of(error),
        "message": str(error),
        "trace": "".join(traceback.format_exception(error)),
    }
    if isinstance(error, EvaluatorError):
        document |= {"what": error.what, "culprit": error.culprit, "fix": error.fix}
    return document


def error_from_document(document: ErrorDocument) -> Exception:
    """Make the error anew, with the worker's trace as its cause."""
    name = document["name"]
    error: Exception
    if "what" in document:
        kind = _subclasses(EvaluatorError).get(name) or type(name, (EvaluatorError,), {})
        error = kind(document["what"], culprit=document["culprit"], fix=document["fix"])
    else:
        # Evidence and reports name an error by its class.
        error = type(name, (WorkerError,), {})(document["message"])
    vars(error)["fault"] = document["fault"]
    error.__cause__ = WorkerError(f"in a worker:\n{document['trace']}")
    return error


def _subclasses(of: type[EvaluatorError]) -> dict[str, type[EvaluatorError]]:
    found = {of.__name__: of}
    for known in of.__subclasses__():
        found |= _subclasses(known)
    return found


class Job(NamedTuple):
    """The slices of a candidate that one run evaluates, as every worker is told of them."""

    audit: Audit
    candidate: CandidateSpec
    home: Home
    run_context: RunContext
    slices: Sequence[Slice]


class FinishedChunk(NamedTuple):
    """What became of some slices that one worker had."""

    slices: Sequence[Slice]
    failed: Mapping[Slice, Exception]
    death: Exception | None = None
    """How the worker ended before it was through."""


class WorkerExecutor(ABC):
    """Has slices evaluated by workers that may die; a context that leaves none behind.

    Parameters
    ----------
    max_retries
        How often a slice is tried again whose worker died.
    """

    def __init__(self, max_retries: int) -> None:
        self._max_retries = max_retries
        self._unfinished: dict[str, int] = {}

    def submit(self, *jobs: Job) -> None:
        """Begin with jobs; the run of each asks for its results later, with `evaluate`."""
        for job in jobs:
            self._unfinished[job.run_context.run_id] = 0
            for chunk in self._cut(job):
                self._begin(job, chunk)

    def evaluate(
        self, evaluation: CandidateEvaluation, slices: Sequence[Slice]
    ) -> Iterator[SliceResult]:
        """See `SliceExecutor`; a job that was submitted for the same run is not begun again."""
        state = evaluation.state
        job = Job(state.audit, evaluation.candidate, state.home, evaluation.run_context, slices)
        run_id = job.run_context.run_id
        if run_id not in self._unfinished:
            self.submit(job)
        deaths: Counter[Slice] = Counter()
        while self._unfinished[run_id]:
            chunk = self._next(run_id)
            self._unfinished[run_id] -= 1
            yield from chunk.failed.items()
            left = [one for one in chunk.slices if one not in chunk.failed]
            if chunk.death is None:
                yield from ((one, None) for one in left)
            elif left:
                yield from self._resume(job, evaluation, left, chunk.death, deaths)
        del self._unfinished[run_id]

    def _resume(
        self,
        job: Job,
        evaluation: CandidateEvaluation,
        slices: Sequence[Slice],
        death: Exception,
        deaths: Counter[Slice],
    ) -> Iterator[SliceResult]:
        """Find the slice whose worker died; try it again alone, and go on with the others."""
        store = evaluation.state.store
        predicted = [s for s in slices if store.find(*evaluation.predictions_target(s)) is not None]
        suspect = next((one for one in slices if one not in predicted), None)
        if suspect is None:
            # It died while it measured, which is no candidate's doing: once more, all of them.
            deaths[slices[0]] += 1
            if deaths[slices[0]] <= max(self._max_retries, 1):
                self._begin(job, slices)
            else:
                yield from ((one, self._died(job, one, deaths[slices[0]], death)) for one in slices)
            return
        deaths[suspect] += 1
        if deaths[suspect] > self._max_retries:
            yield suspect, self._died(job, suspect, deaths[suspect], death)
        else:
            self._begin(job, [suspect])
        others = [one for one in slices if one != suspect]
        if others:
            self._begin(job, others)

    def _begin(self, job: Job, slices: Sequence[Slice]) -> None:
        self._unfinished[job.run_context.run_id] += 1
        self._start(job, slices)

    def _cut(self, job: Job) -> list[Sequence[Slice]]:
        """Cut a job into chunks, of which each has a worker."""
        return [job.slices] if job.slices else []

    def __enter__(self) -> Self:
        return self

    @abstractmethod
    def __exit__(self, *_: object) -> None:
        """Stop what still runs, where nobody wants its results any more."""

    @abstractmethod
    def _start(self, job: Job, slices: Sequence[Slice]) -> None:
        """Give a chunk to a worker, as soon as there is one."""

    @abstractmethod
    def _next(self, run_id: str) -> FinishedChunk:
        """Await a chunk of a run."""

    @abstractmethod
    def _died(self, job: Job, of: Slice, times: int, death: Exception) -> WorkerDiedError:
        """Make the error of a slice whose worker died so many times."""
