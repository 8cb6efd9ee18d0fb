"""A classifier that fails as it is told by one of its features; it imports next to nothing."""

import contextlib
import ctypes
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Final

import numpy as np

# What a case's `y` makes the classifier do.
FAULTS: Final = {
    "raises": 1.0,
    "hangs": 2.0,
    "segfault": 3.0,
    "exits": 4.0,
    "eats memory": 5.0,
    "NaN outputs": 6.0,
    "too few outputs": 7.0,
    "too many outputs": 8.0,
    "loses its connection": 9.0,
}
HABITS: Final = {
    "prints": 21.0,
    "meddles": 22.0,
    "starts another": 23.0,
    "leaves a file": 24.0,
    "leaves": 25.0,
    "breaks off": 26.0,
    "hangs up": 27.0,
    "lets one get away": 28.0,
}
"""What else y may make it do."""
BLOCK: Final = 2**27
MOST_BLOCKS: Final = 16
MOST_NUMBERS: Final = 4096
"""In a process that a busy one started, the connection may have any number below."""


class Frail:
    """Gives x / 10, unless y says otherwise."""

    def __init__(self, divisor: float = 10.0) -> None:
        self.divisor = divisor
        self.classes_ = np.array([0, 1])

    def predict_proba(self, features: Any) -> np.ndarray:
        """Give both classes' probabilities, or fail as told."""
        score = features["x"].to_numpy(dtype=float) / self.divisor
        code = features["y"].max()
        told = {**FAULTS, **HABITS}
        habit = next((name for name, known in told.items() if known == code), "")
        fail(habit)
        live(habit)
        if habit == "NaN outputs":
            score[0] = np.nan
        if habit == "too few outputs":
            score = score[1:]
        if habit == "too many outputs":
            score = np.append(score, 0.5)
        return np.column_stack([1 - score, score])

    def predict(self, features: Any) -> np.ndarray:
        """Make MLflow take it for a model."""
        return self.predict_proba(features)[:, 1] >= 1 / 2


def fail(fault: str) -> None:
    """Fail in such a way that there are no outputs."""
    if fault == "raises":
        raise ZeroDivisionError("nothing can be divided by it")
    if fault == "loses its connection":
        raise ConnectionResetError("the feature store hung up")
    if fault == "hangs":
        time.sleep(3600)
    if fault == "segfault":
        ctypes.string_at(0)
    if fault == "exits":
        os._exit(3)
    if fault == "eats memory":
        # Each block is written to, and 2 GiB are far above any limit of the tests.
        blocks = [np.ones(BLOCK // 8) for _ in range(MOST_BLOCKS)]
        raise AssertionError(f"{len(blocks)} blocks did not break the limit")


def live(habit: str) -> None:
    """Do what is no fault of the outputs; what it leaves is told in the folder `FRAIL_TELLS`."""
    tells = Path(os.environ.get("FRAIL_TELLS", "."))
    if habit == "prints":
        # Far more than a pipe holds.
        sys.stdout.write("much " * 200_000)
        sys.stderr.write("more " * 200_000)
    if habit == "meddles":
        for number in range(3, MOST_NUMBERS):
            with contextlib.suppress(OSError):
                os.write(number, b"\xff" * 64)
    if habit in ("breaks off", "hangs up"):
        os.closerange(3, MOST_NUMBERS)
    if habit == "hangs up":
        time.sleep(3600)
    if habit in ("starts another", "lets one get away"):
        other = subprocess.Popen(
            [sys.executable, "-c", "import time; time.sleep(3600)"],
            start_new_session=habit == "lets one get away",
        )
        (tells / "other").write_text(str(other.pid))
    if habit == "lets one get away":
        os.write(2, b"it is gone")
        os._exit(3)
    if habit == "leaves a file":
        with tempfile.NamedTemporaryFile(delete=False) as left:
            (tells / "left").write_text(left.name)
    if habit == "leaves":
        sys.exit("it has had enough")
