"""From a candidate's artifact to its predictions."""

from evaluator.candidates.artifact import artifact_path
from evaluator.candidates.evaluation_set import EvaluationSet, build_evaluation_set
from evaluator.candidates.observed import artifact_digest, artifact_stamp
from evaluator.candidates.predictions import predict
from evaluator.candidates.recording import Finding, recording_findings
from evaluator.candidates.scorer import Scorer, load_scorer

__all__ = [
    "EvaluationSet",
    "Finding",
    "Scorer",
    "artifact_digest",
    "artifact_path",
    "artifact_stamp",
    "build_evaluation_set",
    "load_scorer",
    "predict",
    "recording_findings",
]
