"""A small audit, and candidates as skops files."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import skops.io
from pydantic import TypeAdapter

from evaluator.spec import AuditSpec, BinaryTask, CandidateSpec, LabelSpec, Task


def candidate_of(**settings: Any) -> CandidateSpec:
    """Make a candidate called `one` that is given `x` and `y`; a key of None is left out."""
    told = {"name": "one", "path": "models/one.skops", "features": ["x", "y"], **settings}
    return TypeAdapter(CandidateSpec).validate_python(
        {key: value for key, value in told.items() if value is not None}
    )


def task_of(positive: Any = 1, negative: Any = None) -> Task:
    """Make the task of the label `truth`."""
    label = LabelSpec(column="truth", positive=positive, negative=negative)
    return BinaryTask(label)


def spec_of(
    *,
    columns: dict[str, Any] | None = None,
    label: dict[str, Any] | None = None,
    **settings: Any,
) -> AuditSpec:
    """Make an audit with one candidate; its geographies are A and B, its segments p and q."""
    declared = {
        "case": {"type": "integer", "required": True, "unique": True},
        "place": {"type": "category", "required": True, "allowed": ["A", "B"]},
        "kind": {"type": "category", "required": True, "allowed": ["p", "q"]},
        "x": {"type": "float"},
        "y": {"type": "float"},
        "truth": {"type": "integer"},
        **(columns or {}),
    }
    return AuditSpec.model_validate(
        {
            "data": {
                "files": "cases-{date}.csv",
                "first_day": "2026-01-01",
                "id": "case",
                "columns": declared,
            },
            "label": label or {"column": "truth", "positive": 1},
            "geography": "place",
            "segment": "kind",
            "candidates": [{"name": "one", "path": "one.skops", "features": ["x", "y"]}],
            **settings,
        }
    )


@pytest.fixture
def save(tmp_path: Path) -> Callable[[Any], Path]:
    """Save a model as the candidate's artifact below the home that is returned."""

    def make(model: Any) -> Path:
        path = tmp_path / "models" / "one.skops"
        path.parent.mkdir(exist_ok=True)
        skops.io.dump(model, path)
        return tmp_path

    return make
