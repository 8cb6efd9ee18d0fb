"""A pickled candidate, asked directly."""

import hashlib
import pickle
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from evaluator.candidates import Scorer
from evaluator.errors import CandidateError
from evaluator_tests.candidates.conftest import candidate_of

PLACE = "model.pkl"


def features_of(code: float = 0.0) -> pd.DataFrame:
    """Make two cases; the last one's y is the code."""
    return pd.DataFrame({"x": [1.0, 2.0], "y": [0.0, code]}, index=pd.Index([7, 8], name="id"))


def pickled(home: Path, model: Any, **told: Any) -> Any:
    """Pickle a model, and pin it."""
    content = pickle.dumps(model)
    (home / PLACE).write_bytes(content)
    sha256 = hashlib.sha256(content).hexdigest()
    return candidate_of(
        **{"kind": "pickle", "path": PLACE, "trust": "pickle", **told}, sha256=sha256
    )


def refusal(scorer: Scorer, features: pd.DataFrame) -> CandidateError:
    """Return the error of an artifact that names its candidate."""
    with pytest.raises(CandidateError) as caught:
        scorer.score(features)
    assert caught.value.culprit == "candidate one"
    return caught.value
