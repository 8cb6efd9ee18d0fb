"""The audit of the small evidence folder, and what its one day looked like."""

from typing import Any

from evaluator.intake import Profile
from evaluator.spec import AuditSpec

KEYS = ["north|new", "north|returning", "south|new", "south|returning"]

DRIFT = {
    "amount": {
        "stability_index": 0.05,
        "jensen_shannon": 0.02,
        "missing_share": 0.0,
        "missing_change": 0.0,
        "drifted": [],
    }
}

PROFILE_OF_THE_DAY = Profile.model_validate(
    {
        "version": 1,
        "file": "cases-2026-01-01.csv",
        "day": "2026-01-01",
        "verdict": "accepted",
        "broken": None,
        "rows": {
            "read": 82,
            "typed": 80,
            "quarantined": 2,
            "refused_share": 2 / 82,
            "limit": 0.05,
            "read_before_refusal": None,
        },
        **{key: {} for key in ("layout", "structure", "types", "statistics")},
        **dict.fromkeys(("header", "notes", "findings", "dataset_rules", "schema_drift"), ()),
        "drift": {
            "reference_rows": 90,
            "rows": 80,
            "columns": DRIFT,
            **dict.fromkeys(("slices_compared", "slices_too_small"), 0),
            **dict.fromkeys(("drifted", "slices", "notes"), ()),
        },
    }
)

SPEC = AuditSpec.model_validate(
    {
        "data": {
            "files": "cases-{date}.csv",
            "first_day": "2026-01-01",
            "id": "case_id",
            "columns": {
                "case_id": {"type": "string", "required": True, "unique": True},
                "country": {"type": "category", "required": True, "allowed": ["north", "south"]},
                "customer": {
                    "type": "category",
                    "required": True,
                    "allowed": ["new", "returning"],
                },
                "amount": {"type": "float", "minimum": 0},
                "household": {"type": "integer"},
                "label": {"type": "integer", "allowed": [0, 1]},
            },
            # So that no day is the reference itself.
            "drift": {"reference_file": "reference.csv"},
        },
        "label": {"column": "label", "positive": 1},
        "geography": "country",
        "segment": "customer",
        "candidates": [
            {
                "name": "one",
                "path": "models/one.skops",
                "features": ["amount"],
                "baseline": True,
            },
            {"name": "two", "path": "models/two.skops", "features": ["amount"]},
        ],
        "metrics": ["accuracy", "recall"],
        "additional_slices": [["country"]],
        "fairness": {
            "attributes": ["country"],
            "measures": ["accuracy_gap"],
            "minimum_support": 10,
        },
        "weak_slices": {"features": ["amount"], "minimum_support": 10},
        "gates": [
            {"metric": "accuracy", "at_least": 0.6},
            {"metric": "recall", "level": "slice", "at_least": 0.1},
            {"metric": "recall", "at_least": 0.999, "decide_on": "value", "required": False},
            {"kind": "data_quality", "refused_share_at_most": 0.1},
            {"kind": "drift", "drift_below": 0.2, "required": False},
        ],
    }
)


def redacting(*columns: str, **data: Any) -> AuditSpec:
    """Declare it with columns that may not leave."""
    declared = SPEC.model_dump(mode="json", exclude_unset=True)
    declared["data"] |= data
    return AuditSpec.model_validate({**declared, "certificate": {"redact": list(columns)}})
