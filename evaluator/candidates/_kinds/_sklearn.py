"""A scikit-learn classifier, read from a skops file or a pickle, or handed in by MLflow."""

import hmac
import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pandas as pd

from evaluator.candidates._adapter import ADAPTERS, FileAdapter
from evaluator.candidates._faults import (
    candidate_error,
    check_count,
    check_names,
    feature_error,
)
from evaluator.evidence import digest_of_bytes
from evaluator.spec import (
    FeatureCandidate,
    MlflowCandidate,
    PickleCandidate,
    SkopsCandidate,
    Task,
)


class EstimatorScorer:
    """A fitted estimator that was trained on the declared features."""

    def __init__(self, candidate: FeatureCandidate, estimator: Any, task: Task) -> None:
        if not hasattr(estimator, task.method):
            raise candidate_error(
                candidate,
                f"its {type(estimator).__name__} has no {task.method}, so it gives no scores",
                fix="save a classifier that gives probabilities"
                if task.method == "predict_proba"
                else "save a regressor",
            )
        if task.method == "predict_proba" and not hasattr(estimator, "classes_"):
            raise candidate_error(
                candidate,
                f"its {type(estimator).__name__} was never fitted, so it knows no classes",
                fix="fit it before it is saved",
            )
        # As plain Python values, which an error can name.
        self._classes = np.asarray(getattr(estimator, "classes_", ())).tolist()
        task.check_classes(candidate, self._classes)
        names = getattr(estimator, "feature_names_in_", None)
        count = getattr(estimator, "n_features_in_", None)
        if names is not None:
            check_names(candidate, [str(name) for name in names])
        elif count is not None:
            check_count(candidate, int(count))
        set_single_threaded(estimator)
        self._estimator = estimator
        self._candidate = candidate
        self._task = task

    def score(self, features: pd.DataFrame) -> np.ndarray:
        try:
            with single_threaded():
                given = np.asarray(getattr(self._estimator, self._task.method)(features))
        except (TypeError, ValueError) as error:
            reported = feature_error(self._candidate, features, error)
            if reported is None:
                raise
            raise reported from error
        return self._task.scores_of_matrix(self._candidate, self._classes, given, len(features))


def set_single_threaded(estimator: Any) -> None:
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
def single_threaded() -> Iterator[None]:
    """Run joblib's jobs one after the other."""
    import joblib  # type: ignore[import-untyped] # it ships no types

    # What was cloned while an estimator was fitted, such as the forests in a calibrated forest, is
    # no parameter of it, and keeps the `n_jobs` that it was fitted with.
    with joblib.parallel_config(backend="sequential"):
        yield


def read_skops(candidate: SkopsCandidate | MlflowCandidate, content: bytes) -> Any:
    """Read a model in the skops format."""
    import skops.io
    from skops.io.exceptions import UntrustedTypesFoundException

    try:
        return skops.io.load(io.BytesIO(content), trusted=list(candidate.trusted_types))
    except UntrustedTypesFoundException:
        unknown = sorted(
            set(skops.io.get_untrusted_types(data=content)) - set(candidate.trusted_types)
        )
        raise candidate_error(
            candidate,
            f"its artifact holds types that are not trusted: {', '.join(unknown)}",
            fix="if you trust them, list them under `trusted_types` in the audit's YAML",
        ) from None
    except Exception as error:
        raise candidate_error(
            candidate,
            f"its artifact {candidate.source} cannot be read as skops"
            f" ({type(error).__name__}: {error})",
            fix="save the model again with skops.io.dump and the installed scikit-learn",
        ) from error


def read_pickle(candidate: PickleCandidate, content: bytes) -> Any:
    """Read a pickled classifier whose bytes have the pinned SHA-256."""
    digest = digest_of_bytes(content)
    if not hmac.compare_digest(digest, candidate.sha256):
        raise candidate_error(
            candidate,
            f"the SHA-256 of its artifact is {digest}, and {candidate.sha256} is pinned, so nothing"
            " of it was read",
            fix="if you trust the new file, pin its digest under `sha256`",
        )
    import joblib

    try:
        return joblib.load(io.BytesIO(content))
    except Exception as error:
        raise candidate_error(
            candidate,
            f"its artifact cannot be unpickled ({type(error).__name__}: {error})",
            fix="save the model again with the installed versions of its libraries",
        ) from error


class SkopsAdapter(FileAdapter[SkopsCandidate]):
    """Classifiers in scikit-learn's safe file format."""

    libraries = ("skops.io", "sklearn")
    icons = frozenset({"scikitlearn"})

    def load(self, candidate: SkopsCandidate, content: bytes, task: Task, /) -> EstimatorScorer:
        """Read the bytes; what they hold is not run."""
        return EstimatorScorer(candidate, read_skops(candidate, content), task)


class PickleAdapter(FileAdapter[PickleCandidate]):
    """Classifiers as a pickle, whose digest is that of the file that is there, pinned or not."""

    libraries = ("joblib", "sklearn")
    icons = frozenset({"scikitlearn"})

    def load(self, candidate: PickleCandidate, content: bytes, task: Task, /) -> EstimatorScorer:
        """Unpickle the bytes, if they are the pinned ones."""
        return EstimatorScorer(candidate, read_pickle(candidate, content), task)


ADAPTERS[SkopsCandidate] = SkopsAdapter()
ADAPTERS[PickleCandidate] = PickleAdapter()
