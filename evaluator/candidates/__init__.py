"""From a candidate's artifact to its predictions."""

from evaluator.candidates.artifact import artifact_digest, artifact_path
from evaluator.candidates.evaluation_set import EvaluationSet, build_evaluation_set
from evaluator.candidates.predictions import predict
from evaluator.candidates.scorer import Scorer, load_scorer

__all__ = [
    "EvaluationSet",
    "Scorer",
    "artifact_digest",
    "artifact_path",
    "build_evaluation_set",
    "load_scorer",
    "predict",
]
