"""A candidate that fails on purpose, as a model server that is out of reach would."""

import json
import os
import signal
import threading
from pathlib import Path
from typing import Literal

import pandas as pd

FAULTS_FILE = "faults.json"
HANGS_FILE = "hangs"
"""Is there once a candidate hangs."""
CHILD_FILE = "child.pid"
"""Holds the number of a process that a candidate left behind."""

Kind = Literal["raises", "kills", "leaves a child and kills", "hangs"]


def plan_faults(home: Path, *slices: tuple[str, str], kind: Kind = "raises") -> None:
    """Make the frail candidate fail on these slices (region, airline kind), until told else.

    It raises an error, takes its whole process down (and may leave a process that it forked), or
    never comes to an end.
    """
    (home / FAULTS_FILE).write_text(json.dumps({"kind": kind, "slices": slices}))


def crash_where_planned(features: pd.DataFrame) -> pd.DataFrame:
    """Pass the features through, unless they hold a slice that is planned to crash."""
    plan = Path(os.environ.get("EVALUATOR_HOME", ".")) / FAULTS_FILE
    if not plan.exists():
        return features
    planned = json.loads(plan.read_text())
    for region, airline_kind in planned["slices"]:
        hit = (features["region"] == region) & (features["airline_kind"] == airline_kind)
        if hit.any():
            if planned["kind"] == "leaves a child and kills":
                child = os.fork()
                if child == 0:
                    signal.pause()
                plan.with_name(CHILD_FILE).write_text(str(child))
            if planned["kind"].endswith("kills"):
                os.kill(os.getpid(), signal.SIGKILL)
            if planned["kind"] == "hangs":
                plan.with_name(HANGS_FILE).touch()
                threading.Event().wait()
            raise ConnectionError(f"the model server for {region} is out of reach")
    return features
