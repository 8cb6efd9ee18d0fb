"""Examples of CONTRIBUTING.md apply and work; what SECURITY.md names beside promises is there."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

PROJECT = Path(__file__).parents[1]


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
    "A task": 3,
}
"""So many files each touches; of three, one is the room's list of what it exports."""


@pytest.mark.slow
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


def promises() -> list[dict[str, str]]:
    """Read the rows of SECURITY.md's tables, by their columns."""
    text = (PROJECT / "SECURITY.md").read_text(encoding="utf-8")
    rows = []
    for table in re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE):
        head, _, *lines = [line.strip("|").split("|") for line in table.splitlines()]
        rows += [
            {name.strip(): cell.strip() for name, cell in zip(head, line, strict=True)}
            for line in lines
        ]
    return rows


def names_of_tests() -> set[str]:
    return {
        f"{path.name}::{name}"
        for path in (PROJECT / "evaluator_tests").rglob("test_*.py")
        for name in re.findall(r"^def (test_\w+)", path.read_text(encoding="utf-8"), re.MULTILINE)
    }


def test_beside_each_promise_of_security_stands_a_test_that_there_is() -> None:
    there = names_of_tests()
    rows = promises()
    assert len(rows) > 40
    for row in rows:
        named = re.findall(r"`([^`]+)`", row["test"])
        # Where nothing is promised there may be nothing to attack.
        assert named or row["what stops it"].startswith("nothing"), row
        assert set(named) <= there, (row, set(named) - there)
    everywhere = (PROJECT / "SECURITY.md").read_text(encoding="utf-8")
    assert set(re.findall(r"`(test_\w+\.py::\w+)`", everywhere)) <= there


def test_every_file_that_security_names_is_there() -> None:
    for row in promises():
        where = row.get("where") or row["what stops it"]
        named = re.findall(r"`([\w/]+(?:\.py|\.html|/))`", where)
        assert named or "where" not in row, row
        gone = [name for name in named if not (PROJECT / "evaluator" / name).exists()]
        assert gone == [], row
