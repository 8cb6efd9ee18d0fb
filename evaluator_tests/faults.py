"""A candidate that fails on purpose, as a model server that is out of reach would."""

import json
import os
from pathlib import Path

import pandas as pd

FAULTS_FILE = "faults.json"


def plan_faults(home: Path, *slices: tuple[str, str]) -> None:
    """Make the frail candidate crash on these slices (region, airline kind), until told else."""
    (home / FAULTS_FILE).write_text(json.dumps(slices))


def crash_where_planned(features: pd.DataFrame) -> pd.DataFrame:
    """Pass the features through, unless they hold a slice that is planned to crash."""
    plan = Path(os.environ.get("EVALUATOR_HOME", ".")) / FAULTS_FILE
    for region, airline_kind in json.loads(plan.read_text()) if plan.exists() else ():
        hit = (features["region"] == region) & (features["airline_kind"] == airline_kind)
        if hit.any():
            raise ConnectionError(f"the model server for {region} is out of reach")
    return features
