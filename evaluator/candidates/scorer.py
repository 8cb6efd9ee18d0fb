"""From a candidate of any kind to a score for each case."""

from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
import pandas as pd

from evaluator.candidates.artifact import existing_artifact
from evaluator.candidates.endpoint import HttpScorer
from evaluator.candidates.estimator import EstimatorScorer
from evaluator.candidates.faults import fault
from evaluator.candidates.mlflow_model import load_mlflow
from evaluator.candidates.observed import artifact_digest
from evaluator.candidates.onnx_file import read_onnx
from evaluator.candidates.pickled import read_pickle
from evaluator.candidates.recording import RecordedScorer
from evaluator.candidates.skops_file import read_skops
from evaluator.spec.audit import LabelValue
from evaluator.spec.candidates import (
    CandidateSpec,
    HttpCandidate,
    MlflowCandidate,
    OnnxCandidate,
    PickleCandidate,
    RecordedCandidate,
)


class Scorer(Protocol):
    """What every kind of candidate gives: a score a case, in the order of the cases."""

    def score(self, features: pd.DataFrame) -> np.ndarray:
        """Return the probability of the positive class, shape (n,), for n cases.

        The frame's columns are the declared features, in their order; its index is the cases' ids.
        """
        ...


@runtime_checkable
class Decider(Protocol):
    """A candidate that may make the decision itself, instead of by a threshold."""

    def decide(self, features: pd.DataFrame) -> np.ndarray | None:
        """Return the decisions as 0 and 1, shape (n,); None where the threshold decides."""
        ...


def load_scorer(
    candidate: CandidateSpec,
    home: Path,
    *,
    positive: LabelValue,
    tracking_uri: str | None = None,
    digest: str | None = None,
) -> Scorer:
    """Read a candidate's artifact, or get ready to ask its endpoint.

    Parameters
    ----------
    candidate
        What the YAML says of it.
    home
        Where relative paths start.
    positive
        The label's positive value, to find the class whose probability is the score.
    tracking_uri
        MLflow's server; by default MLflow's own.
    digest
        The digest that `artifact_digest` gave and that the results will be filed under.

    Raises
    ------
    CandidateError
        Where the artifact is absent, is not trusted, cannot score, was made for other features,
        or is another one than the digest says.
    """
    scorer = _load(candidate, home, positive, tracking_uri)
    # Looked at after it was read, so that what was read before a change is refused as well.
    if digest is not None and digest != artifact_digest(candidate, home, tracking_uri=tracking_uri):
        raise fault(
            candidate,
            "its artifact was exchanged since it was observed",
            fix="observe its model again, and run its slices again",
        )
    return scorer


def _load(
    candidate: CandidateSpec, home: Path, positive: LabelValue, tracking_uri: str | None
) -> Scorer:
    if isinstance(candidate, MlflowCandidate):
        return load_mlflow(candidate, home, positive, tracking_uri)
    if isinstance(candidate, HttpCandidate):
        return HttpScorer(candidate)
    if isinstance(candidate, RecordedCandidate):
        return RecordedScorer(candidate, home, positive)
    if isinstance(candidate, OnnxCandidate):
        return read_onnx(candidate, existing_artifact(candidate, home), positive)
    if isinstance(candidate, PickleCandidate):
        return EstimatorScorer(candidate, read_pickle(candidate, home), positive)
    return EstimatorScorer(
        candidate, read_skops(candidate, existing_artifact(candidate, home)), positive
    )
