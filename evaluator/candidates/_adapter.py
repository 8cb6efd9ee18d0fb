"""From a candidate of any kind to a score for each case."""

from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
import pandas as pd

from evaluator.candidates._faults import (
    artifact_path,
    candidate_error,
    existing_artifact,
    file_digest,
)
from evaluator.candidates._kinds._http import HttpScorer, endpoint_digest
from evaluator.candidates._kinds._mlflow import load_mlflow, mlflow_digest
from evaluator.candidates._kinds._onnx import OnnxScorer
from evaluator.candidates._kinds._recorded import RecordedScorer
from evaluator.candidates._kinds._sklearn import EstimatorScorer, read_pickle, read_skops
from evaluator.errors import CandidateError
from evaluator.spec import (
    CandidateSpec,
    HttpCandidate,
    LabelValue,
    MlflowCandidate,
    OnnxCandidate,
    PickleCandidate,
    RecordedCandidate,
)


class Scorer(Protocol):
    """What every kind of candidate is read as: something that gives each case a score."""

    def score(self, features: pd.DataFrame) -> np.ndarray:
        """Return the probability of the positive class for n cases.

        Parameters
        ----------
        features
            The declared features in their order, as columns; the cases' ids, as index.

        Returns
        -------
        numpy.ndarray
            Shape (n,), in the order of the cases.

        Raises
        ------
        CandidateError
            Where the candidate cannot score these cases. Whatever else its own code raises comes
            through from a candidate in this process.
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
        raise candidate_error(
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
        content = existing_artifact(candidate, home).read_bytes()
        return OnnxScorer(candidate, content, positive)
    if isinstance(candidate, PickleCandidate):
        return EstimatorScorer(candidate, read_pickle(candidate, home), positive)
    estimator = read_skops(candidate, existing_artifact(candidate, home))
    return EstimatorScorer(candidate, estimator, positive)


def artifact_digest(
    candidate: CandidateSpec, home: Path, *, tracking_uri: str | None = None
) -> str:
    """Tell which artifact the candidate has now, as 64 hexadecimal digits.

    It is the SHA-256 of a file's bytes (for a pickle the one that is there, not the one that is
    pinned), of a folder's files, of a registry's version, or of an endpoint's address and version.

    Parameters
    ----------
    candidate
        What the YAML says of it.
    home
        Where relative paths start.
    tracking_uri
        MLflow's server; by default MLflow's own.

    Raises
    ------
    CandidateError
        Where there is no such artifact, or whoever knows does not answer.
    """
    if isinstance(candidate, MlflowCandidate):
        return mlflow_digest(candidate, home, tracking_uri)
    if isinstance(candidate, HttpCandidate):
        return endpoint_digest(candidate)
    return file_digest(candidate, home)


def artifact_stamp(
    candidate: CandidateSpec, home: Path, *, tracking_uri: str | None = None
) -> list[int]:
    """Tell, without reading a file's bytes, what changes whenever the artifact does.

    Parameters
    ----------
    candidate
        What the YAML says of it.
    home
        Where relative paths start.
    tracking_uri
        MLflow's server; by default MLflow's own.

    Returns
    -------
    list of int
        A file's size in bytes and time of change in nanoseconds; of anything else, one number
        from its digest.

    Raises
    ------
    OSError
        Where there is no such artifact, or whoever knows does not answer.
    """
    if not isinstance(candidate, MlflowCandidate | HttpCandidate):
        status = artifact_path(candidate, home).stat()
        return [status.st_size, status.st_mtime_ns]
    try:
        digest = artifact_digest(candidate, home, tracking_uri=tracking_uri)
    except CandidateError as error:
        raise FileNotFoundError(str(error)) from error
    # So many digits tell two apart, and JSON keeps a number of that size to the last bit.
    return [int(digest[:12], 16)]
