"""The place that an audit declares for its candidates: this process, or a Ray cluster."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from evaluator.errors import UsageError
from evaluator.orchestration._candidate_run import CandidateEvaluation
from evaluator.orchestration._executors._executor import OnPredicted, SliceResult
from evaluator.scorecard import Slice
from evaluator.spec import Audit

if TYPE_CHECKING:
    from evaluator.orchestration._executors._ray import RayExecutor


class DeclaredExecutor:
    """Evaluates where the audit says: in this process, or on its Ray cluster."""

    def evaluate(
        self, evaluation: CandidateEvaluation, slices: Sequence[Slice]
    ) -> Iterator[SliceResult]:
        """See `SliceExecutor`."""
        cluster = ray_executor(evaluation.state.audit)
        with evaluation.state.home.pool(evaluation.candidate.pool, shared=True):
            if cluster is None:
                yield from evaluation.evaluate(slices)
            else:
                with cluster:
                    yield from cluster.evaluate(evaluation, slices)


def ray_executor(audit: Audit, on_predicted: OnPredicted = lambda *_: None) -> "RayExecutor | None":
    """Make what evaluates on the Ray cluster that an audit names; None where it names none."""
    execution = audit.spec.execution
    if execution.kind != "ray":
        return None
    # It imports packages of an extra.
    try:
        from evaluator.orchestration._executors._ray import RayExecutor
    except ImportError as error:
        raise UsageError(
            f"the audit runs on Ray, and a package for it is missing ({error.name})",
            culprit=f"execution: {execution.address}",
            fix="pip install 'evaluator[ray]'",
        ) from error
    return RayExecutor(execution, on_predicted)
