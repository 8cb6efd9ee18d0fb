"""What a scorecard finds: pure functions from declaration, cases and predictions to its tables."""

from evaluator.findings.evaluated_cases import EvaluatedCases, columns_needed
from evaluator.findings.figures import measure
from evaluator.findings.scoring import Predicted, Scored, score
from evaluator.findings.tables import SCHEMAS, read_stored

__all__ = [
    "SCHEMAS",
    "EvaluatedCases",
    "Predicted",
    "Scored",
    "columns_needed",
    "measure",
    "read_stored",
    "score",
]
