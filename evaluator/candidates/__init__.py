"""From a candidate's artifact to its predictions."""

from evaluator.candidates.artifact import artifact_path
from evaluator.candidates.duplicates import Duplicates, find_duplicates
from evaluator.candidates.evaluation_set import EvaluationSet, build_evaluation_set
from evaluator.candidates.faults import (
    CandidateCrashError,
    CandidateTimeoutError,
    TransientCandidateError,
)
from evaluator.candidates.isolation import open_scorer
from evaluator.candidates.observed import artifact_digest, artifact_stamp
from evaluator.candidates.predictions import predict
from evaluator.candidates.recording import Finding, recording_findings
from evaluator.candidates.scorer import Scorer, load_scorer

__all__ = [
    "CandidateCrashError",
    "CandidateTimeoutError",
    "Duplicates",
    "EvaluationSet",
    "Finding",
    "Scorer",
    "TransientCandidateError",
    "artifact_digest",
    "artifact_path",
    "artifact_stamp",
    "build_evaluation_set",
    "find_duplicates",
    "load_scorer",
    "open_scorer",
    "predict",
    "recording_findings",
]
