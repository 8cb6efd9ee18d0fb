"""Each worked example of CONTRIBUTING.md applies to the code as it is, and does what it says."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

PROJECT = Path(__file__).parents[1]

pytestmark = pytest.mark.slow


class Example(NamedTuple):
    change: str
    check: str

    @property
    def files(self) -> int:
        """How many files it touches."""
        return len(re.findall(r"^\+\+\+ ", self.change, re.MULTILINE))


def examples() -> dict[str, Example]:
    """Read the sections that have a change, and code that shows it."""
    text = (PROJECT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    found = re.findall(
        r"^### (.+?)\n.*?^```diff\n(.*?)^```\n.*?^```python\n(.*?)^```\n",
        text,
        re.MULTILINE | re.DOTALL,
    )
    return {title: Example(change, check) for title, change, check in found}


FILES = {
    "A metric": 1,
    "A kind of candidate": 3,
    "A gate": 3,
    "An intake rule": 2,
    "A section of the page": 2,
    "A task": 1,
}
"""So many files each touches; of three, one is the room's list of what it exports."""


@pytest.mark.parametrize("title", FILES)
def test_an_example_touches_few_files_and_works(title: str, tmp_path: Path) -> None:
    example = examples()[title]
    assert example.files == FILES[title]
    shutil.copytree(PROJECT / "evaluator", tmp_path / "evaluator")
    applied = subprocess.run(
        ["git", "apply", "-C1", "-"],  # noqa: S607 - whichever git there is
        input=example.change,
        cwd=tmp_path,
        # No repository around it: the change is to this folder.
        env={**os.environ, "GIT_CEILING_DIRECTORIES": str(tmp_path.parent)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert applied.returncode == 0, applied.stderr
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", example.check],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_every_example_is_tried() -> None:
    assert examples().keys() == FILES.keys()
