"""An audit of three candidates, of which one gives decisions alone."""

from collections.abc import Mapping
from typing import Any

from evaluator.spec import AuditSpec

GEOGRAPHIES, SEGMENTS = ("north", "south"), ("new", "old")
KEYS = [f"{geography}|{segment}" for geography in GEOGRAPHIES for segment in SEGMENTS]


def spec_of(*, data: Mapping[str, str] | None = None, **keys: Any) -> AuditSpec:
    """Declare three candidates, of which `rule` gives decisions alone, and more keys of `data`."""
    recorded = {"kind": "recorded", "path": "outputs.csv", "prediction": "decision"}
    return AuditSpec.model_validate(
        {
            "data": {
                "files": "{date}.csv",
                "first_day": "2026-01-01",
                "id": "id",
                "columns": {
                    "id": {"type": "string", "required": True, "unique": True},
                    "place": {"type": "category", "required": True, "allowed": GEOGRAPHIES},
                    "kind": {"type": "category", "required": True, "allowed": SEGMENTS},
                    "truth": {"type": "integer"},
                    "device": {"type": "category"},
                    # A column may be called like one of ours.
                    "score": {"type": "integer"},
                    "member": {"type": "boolean"},
                    "customer": {"type": "string"},
                    "household": {"type": "integer"},
                    "stands_for": {"type": "decimal"},
                },
                **(data or {}),
            },
            "label": {"column": "truth"},
            "geography": "place",
            "segment": "kind",
            "candidates": [
                {"name": "base", "baseline": True, **recorded},
                {"name": "sharp", **recorded},
                {"name": "rule", **recorded, "score": None},
            ],
            "metrics": ["roc_auc", "accuracy"],
            **keys,
        }
    )
