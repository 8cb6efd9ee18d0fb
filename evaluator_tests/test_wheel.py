"""The wheel in a fresh environment and an empty folder, as a user has it."""

import os
import subprocess
import sys
import venv
from collections.abc import Callable
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[1]
Call = Callable[..., str]
NOT_CERTIFIED = 1
"""The exit code where nobody signed a certificate."""

pytestmark = pytest.mark.slow

_OPEN_EVERY_DOOR = """
import importlib, pkgutil
import evaluator
opened = 0
for found in pkgutil.iter_modules(evaluator.__path__, "evaluator."):
    room = importlib.import_module(found.name)
    for name in getattr(room, "__all__", ()):
        getattr(room, name)
        opened += 1
print(opened, evaluator.__path__[0])
"""


@pytest.fixture(scope="module")
def call(tmp_path_factory: pytest.TempPathFactory) -> Call:
    """Install the wheel with what the demo needs, and call its programs from an empty folder."""
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", folder]
    subprocess.run([*build, PROJECT], check=True)
    (wheel,) = folder.glob("*.whl")
    venv.create(folder / "venv", with_pip=True)
    programs = folder / "venv" / "bin"
    install = [programs / "python", "-m", "pip", "install", "--quiet"]
    constraints = PROJECT / "constraints.txt"
    subprocess.run([*install, "--constraint", constraints, f"{wheel}[demo]"], check=True)
    empty = folder / "empty"
    empty.mkdir()
    ours = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("EVALUATOR_", "MLFLOW_", "DAGSTER_", "PYTHON", "PYTEST_"))
    }

    def run(program: str, *arguments: str, code: int = 0) -> str:
        done = subprocess.run(
            [programs / program, *arguments],
            cwd=empty,
            env={**ours, "DAGSTER_DISABLE_TELEMETRY": "1"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout

    return run


def test_every_room_opens_and_neither_tests_nor_benchmarks_are_installed(call: Call) -> None:
    opened, folder = call("python", "-c", _OPEN_EVERY_DOOR).split()
    package = Path(folder)
    assert int(opened) > 100
    assert package.parent.name == "site-packages"
    assert (package / "py.typed").is_file()
    assert not {"evaluator_tests", "benchmarks"} & {path.name for path in package.parent.iterdir()}


def test_the_demo_runs_from_an_empty_folder_and_its_certificates_are_intact(call: Call) -> None:
    call("evaluator", "demo", "--days", "3")
    # Three days are three clusters: too few to decide a gate.
    again = call("evaluator", "run", "flights", code=NOT_CERTIFIED)
    assert "No slice was computed" in again
    verified = call("evaluator", "verify", "flights/random_forest", code=NOT_CERTIFIED)
    assert "INTACT, BUT UNSIGNED" in verified
