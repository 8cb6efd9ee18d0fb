"""What all examples share: files that a run may read while a demo is stopped, and an error."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from evaluator.errors import UsageError
from evaluator.evidence import temporary_beside

if TYPE_CHECKING:
    import pandas as pd


@contextmanager
def appearing_whole(path: Path) -> Iterator[Path]:
    """Give a name to write a file or folder under, which gets its own if that comes to an end."""
    temporary = temporary_beside(path)
    try:
        yield temporary
        temporary.replace(path)
    finally:
        if temporary.is_dir():
            shutil.rmtree(temporary)
        else:
            temporary.unlink(missing_ok=True)


def write_recording(recording: "pd.DataFrame", path: Path) -> None:
    """Write what a candidate said as CSV; it appears whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with appearing_whole(path) as temporary:
        recording.to_csv(temporary, index=False)


def not_installed(what: str, package: str) -> UsageError:
    """Say which package is missing, and what it is for: `the flights are in`."""
    return UsageError(
        f"{what} the package {package}, which is not installed",
        culprit="evaluator demo",
        fix="pip install 'evaluator[demo]'",
    )
