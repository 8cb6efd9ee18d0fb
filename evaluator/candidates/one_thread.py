"""Estimators in one thread each, so that the same cases get the same scores to the last bit.

With `n_jobs` above 1 a random forest adds up its trees in the order in which their threads end,
and floating-point sums depend on their order. Runs stand side by side, one on each core, so that
nothing is lost by it.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


def keep_to_one_thread(estimator: Any) -> None:
    """Set `n_jobs` to 1 in an estimator and in all that its parameters hold."""
    if not hasattr(estimator, "get_params") or not hasattr(estimator, "set_params"):
        return
    parallel = {
        name: 1
        for name, value in estimator.get_params(deep=True).items()
        if (name == "n_jobs" or name.endswith("__n_jobs")) and value not in (None, 1)
    }
    if parallel:
        estimator.set_params(**parallel)


@contextmanager
def in_one_thread() -> Iterator[None]:
    """Run joblib's jobs one after the other.

    What was cloned while an estimator was fitted, such as the forests in a calibrated forest, is
    no parameter of it, and keeps the `n_jobs` that it was fitted with.
    """
    import joblib  # type: ignore[import-untyped] # it ships no types

    with joblib.parallel_config(backend="sequential"):
        yield
