"""Trying again what failed for a reason that may be gone: three times, with growing pauses."""

import time
from collections.abc import Callable
from typing import Final, TypeVar

import tenacity

from evaluator.candidates.faults import TransientCandidateError

TRIES: Final = 3
FIRST_PAUSE: Final = 0.5
"""The longest first pause, in seconds; the next one may be twice as long."""

Result = TypeVar("Result")


def with_retries(
    work: Callable[[], Result], *, pause: Callable[[float], None] = time.sleep
) -> Result:
    """Do some work, and do it again where it failed by a transient fault.

    The pauses are chosen by chance (exponential backoff with full jitter), so that runs that were
    turned away together do not come back together.

    Parameters
    ----------
    work
        What is done.
    pause
        Waits for so many seconds.

    Raises
    ------
    TransientCandidateError
        Where the last try failed as well; it says how many there were. What else the work raises
        is raised at once.
    """
    retrying = tenacity.Retrying(
        retry=tenacity.retry_if_exception_type(TransientCandidateError),
        stop=tenacity.stop_after_attempt(TRIES),
        wait=tenacity.wait_random_exponential(multiplier=FIRST_PAUSE),
        sleep=pause,
        reraise=True,
    )
    try:
        return retrying(work)
    except TransientCandidateError as error:
        what = f"{error.what}, in the last of {TRIES} tries"
        raise type(error)(what, culprit=error.culprit, fix=error.fix) from error
