"""Candidates' predictions, checked before anybody rests on them, and which are identical."""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Final, Literal, NamedTuple, TypeVar

import numpy as np
import pandas as pd
import tenacity

from evaluator.candidates._adapter import Decider, Scorer
from evaluator.candidates._evaluation_set import data_columns
from evaluator.candidates._faults import (
    TransientCandidateError,
    candidate_error,
    error_from_exception,
)
from evaluator.errors import CandidateError
from evaluator.scorecard import SLICE_COLUMNS, Slice
from evaluator.spec import CandidateSpec, Task

TRIES: Final = 3
FIRST_PAUSE: Final = 0.5
"""The longest first pause, in seconds; the next one may be twice as long."""
_Result = TypeVar("_Result")


def predict(
    candidate: CandidateSpec,
    scorer: Scorer,
    cases: pd.DataFrame,
    *,
    task: Task,
    pause: Callable[[float], None] = time.sleep,
) -> pd.DataFrame:
    """Run a candidate on some cases; what fails by a transient fault is tried three times.

    Parameters
    ----------
    candidate
        Its features, in order, and its threshold.
    scorer
        Its artifact, loaded.
    cases
        One row a case of the evaluation set, with its columns; may be empty.
    task
        What it is asked about them.
    pause
        Waits for so many seconds between two tries.

    Returns
    -------
    pandas.DataFrame
        One row a case, in the same order: `id`, `label` and the task's `output_columns`.

    Raises
    ------
    CandidateError
        Where the candidate gave another number of outputs than there are cases, or some that
        are no numbers, missing, infinite or none of the task's. It names candidate and slice.
    CandidateCrashError
        Where its own code raised something, or ended its process.
    CandidateTimeoutError
        Where it took longer than its `timeout` or `load_timeout`.
    TransientCandidateError
        Where it could not be reached, or lost a connection, in the last try as well.
    """
    # Many an estimator refuses an empty frame, and there is nothing to ask it.
    score, decided = np.empty(task.shape(candidate, 0)), None
    if len(cases):
        features = _features(candidate, cases)
        try:
            score, decided = with_retries(
                lambda: _outputs(candidate, scorer, features, task), pause=pause
            )
        except CandidateError as error:
            culprit = f"{error.culprit}{_slice_suffix(cases)}"
            raise type(error)(error.what, culprit=culprit, fix=error.fix) from error
    return pd.DataFrame(
        {
            "id": cases["id"].to_numpy(),
            "label": task.stored_labels(cases["label"]),
            **task.store(candidate, score, decided),
        }
    )


def _features(candidate: CandidateSpec, cases: pd.DataFrame) -> pd.DataFrame:
    """Take the declared features under the cases' ids."""
    features = data_columns(cases, candidate.features)
    return features.set_axis(pd.Index(cases["id"], name="id"), axis="index")


def with_retries(
    function: Callable[[], _Result], *, pause: Callable[[float], None] = time.sleep
) -> _Result:
    """Call a function, and call it again where it failed by a transient fault."""
    # Exponential backoff with full jitter: runs that were turned away together do not come back
    # together.
    retrying = tenacity.Retrying(
        retry=tenacity.retry_if_exception_type(TransientCandidateError),
        stop=tenacity.stop_after_attempt(TRIES),
        wait=tenacity.wait_random_exponential(multiplier=FIRST_PAUSE),
        sleep=pause,
        reraise=True,
    )
    try:
        return retrying(function)
    except TransientCandidateError as error:
        what = f"{error.what}, in the last of {TRIES} tries"
        raise type(error)(what, culprit=error.culprit, fix=error.fix) from error


def _outputs(
    candidate: CandidateSpec, scorer: Scorer, features: pd.DataFrame, task: Task
) -> tuple[np.ndarray, np.ndarray | None]:
    """Return checked scores and, where the candidate makes them itself, decisions."""
    try:
        # Each is given a copy, which it may write to.
        scores = scorer.score(features.copy())
        decided = scorer.decide(features.copy()) if isinstance(scorer, Decider) else None
    except CandidateError:
        raise
    except Exception as error:
        # Whatever a candidate's own code raises is reported with the candidate's name.
        raise error_from_exception(candidate, error, "scoring") from error
    score = task.check_scores(candidate, scores, features.index)
    if decided is None and task.decides(candidate) and not task.gives_scores(candidate):
        raise candidate_error(
            candidate, "it gave neither scores nor decisions", fix="give one of both"
        )
    return score, decided


def _slice_suffix(cases: pd.DataFrame) -> str:
    """Name the slice that all these cases are of, if they are of one."""
    values = [cases[name].unique() for name in SLICE_COLUMNS if name in cases]
    is_one = len(values) == len(SLICE_COLUMNS) and all(len(distinct) == 1 for distinct in values)
    return f", slice {Slice(*(str(distinct[0]) for distinct in values)).key}" if is_one else ""


class Duplicates(NamedTuple):
    """Candidates that are the same under several names."""

    what: Literal["artifact", "predictions"]
    """What is identical."""
    candidates: tuple[str, ...]

    @property
    def description(self) -> str:
        """The finding as a sentence."""
        names = f"{', '.join(self.candidates[:-1])} and {self.candidates[-1]}"
        if self.what == "artifact":
            return f"{names} have the same artifact, byte for byte"
        return f"{names} gave identical predictions on every slice"


def find_duplicates(
    artifacts: Mapping[str, str | None], predictions: Mapping[str, Sequence[str | None]]
) -> list[Duplicates]:
    """Find candidates whose artifacts or whose predictions are identical.

    Parameters
    ----------
    artifacts
        Each candidate's artifact by its digest; None where it was never seen.
    predictions
        Each candidate's predictions by their content versions, slices in the same order; None
        for a slice that is missing. Only candidates without a missing slice are compared.

    Returns
    -------
    list of Duplicates
        One a group of identical candidates, at first those of identical artifacts.
    """
    known = {name: digest for name, digest in artifacts.items() if digest is not None}
    complete = {
        name: tuple(versions)
        for name, versions in predictions.items()
        if versions and all(versions)
    }
    return [
        *(Duplicates("artifact", names) for names in _names_of_equals(known)),
        *(Duplicates("predictions", names) for names in _names_of_equals(complete)),
    ]


def _names_of_equals(values: Mapping[str, object]) -> list[tuple[str, ...]]:
    names: dict[object, list[str]] = {}
    for name, value in values.items():
        names.setdefault(value, []).append(name)
    return [tuple(group) for group in names.values() if len(group) > 1]
