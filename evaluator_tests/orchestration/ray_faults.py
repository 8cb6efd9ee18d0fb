"""A candidate that kills its own worker process, as a lack of memory or a lost machine would."""

import os
import signal
from pathlib import Path

import pandas as pd

SCORED_FILE = "scored.txt"
KILLS_FILE = "kills.txt"
ERROR_FILE = "error.txt"


class BrokenFeatureError(Exception):
    """An error that only the candidate knows."""


def plan_kills(home: Path, region: str, airline_kind: str, *, times: int) -> None:
    """Make the candidate kill the worker that scores this slice, so many times."""
    (home / KILLS_FILE).write_text(f"{region}|{airline_kind}\n" * times)


def plan_error(home: Path, region: str, airline_kind: str) -> None:
    """Make the candidate raise on this slice."""
    (home / ERROR_FILE).write_text(f"{region}|{airline_kind}\n")


def scored(home: Path) -> list[str]:
    """Tell which slices were scored, in order, those that killed their worker included."""
    return (home / SCORED_FILE).read_text().splitlines()


def kill_where_planned(features: pd.DataFrame) -> pd.DataFrame:
    """Pass the features through, unless something is planned for the slice they are of."""
    home = Path(os.environ["EVALUATOR_HOME"])
    first = features.iloc[0]
    slice_key = f"{first['region']}|{first['airline_kind']}"
    with (home / SCORED_FILE).open("a") as file:
        file.write(f"{slice_key}\n")
    if slice_key in _planned(home / ERROR_FILE):
        raise BrokenFeatureError(f"{slice_key} has a broken feature")
    kills = _planned(home / KILLS_FILE)
    if slice_key in kills:
        (home / KILLS_FILE).write_text("\n".join(kills[1:]))
        os.kill(os.getpid(), signal.SIGKILL)
    return features


def _planned(file: Path) -> list[str]:
    return file.read_text().splitlines() if file.exists() else []
