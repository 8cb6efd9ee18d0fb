"""What is imported where: the core knows no Dagster, and heavy libraries wait until needed."""

import ast
import json
import os
import re
import subprocess
import sys
import tomllib
from collections import defaultdict
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Any

import pytest

PROJECT = Path(__file__).parents[1]

# From the bottom up, so that the first room that is named is the one to blame.
ROOMS = (
    "evidence",
    "metrics",
    "scorecard",
    "spec",
    "evaluation",
    "intake",
    "candidates",
    "certification",
    "verifier",
    "reporting",
)
HEAVY = ("dagster", "mlflow", "sklearn", "skops", "duckdb", "polars", "matplotlib")

_WATCH = """
import importlib, json, pkgutil, sys
heavy, *modules = sys.argv[1:]
found = {}
for module in modules:
    imported = importlib.import_module(module)
    for part in pkgutil.walk_packages(getattr(imported, "__path__", []), module + "."):
        importlib.import_module(part.name)
    found[module] = [name for name in heavy.split(",") if name in sys.modules]
print(json.dumps(found))
"""


def heavy_imports(heavy: tuple[str, ...], *modules: str) -> dict[str, list[str]]:
    """Import modules with all their parts in a fresh process; return what came with each."""
    done = subprocess.run(
        [sys.executable, "-c", _WATCH, ",".join(heavy), *modules],
        capture_output=True,
        text=True,
        check=True,
    )
    found: dict[str, list[str]] = json.loads(done.stdout)
    return found


@pytest.fixture(scope="module")
def with_rooms() -> dict[str, list[str]]:
    return heavy_imports(HEAVY, *(f"evaluator.{room}" for room in ROOMS))


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_of_the_core_imports_nothing_heavy(
    room: str, with_rooms: dict[str, list[str]]
) -> None:
    assert with_rooms[f"evaluator.{room}"] == []


def test_the_watch_sees_what_is_imported() -> None:
    assert heavy_imports(("yaml", "json", "dagster"), "yaml") == {"yaml": ["yaml", "json"]}


def test_the_command_line_imports_neither_frames_nor_dagster() -> None:
    watched = (*HEAVY, "pandas", "numpy", "pyarrow", "scipy")

    assert heavy_imports(watched, "evaluator.cli") == {"evaluator.cli": []}


def test_definitions_load_without_what_only_runs_need() -> None:
    assert heavy_imports(HEAVY[1:], "evaluator.definitions") == {"evaluator.definitions": []}


Imports = dict[str, set[str]]
"""By room, the full name of everything that it imports anywhere, in functions too."""


def imports_of(package: Path) -> Imports:
    """Read what the rooms in a package's folder import."""
    found: Imports = defaultdict(set)
    for file in package.rglob("*.py"):
        names = found[file.relative_to(package).parts[0].removesuffix(".py")]
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Import):
                names.update(alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                names.update(f"{node.module}.{alias.name}" for alias in node.names)
    return found


def rooms_among(names: set[str]) -> set[str]:
    """Pick the rooms out of what is imported; the version lies beside them, in `__init__`."""
    return {name.split(".")[1] for name in names if name.startswith("evaluator.")} - {"__version__"}


@pytest.fixture(scope="module")
def imports() -> Imports:
    return imports_of(PROJECT / "evaluator")


@pytest.fixture(scope="module")
def small_wheel() -> dict[str, Any]:
    """How `evaluator-verify` is built."""
    document: dict[str, Any] = tomllib.loads((PROJECT / "verify" / "pyproject.toml").read_text())
    hatch: dict[str, Any] = document["tool"]["hatch"]
    return hatch


def _held(small_wheel: dict[str, Any]) -> set[str]:
    included = small_wheel["build"]["targets"]["wheel"]["force-include"]
    return {Path(source).name.removesuffix(".py") for source in included} - {"__init__"}


def test_the_small_wheel_holds_exactly_the_rooms_that_verifying_reaches(
    imports: Imports, small_wheel: dict[str, Any]
) -> None:
    reached, new = set(), {"verifier"}
    while new:
        reached |= new
        new = rooms_among(set().union(*(imports[room] for room in new))) - reached
    assert _held(small_wheel) == reached


def test_the_small_wheel_depends_on_exactly_what_its_rooms_import(
    imports: Imports, small_wheel: dict[str, Any]
) -> None:
    names = {room: {n.partition(".")[0] for n in imports[room]} for room in _held(small_wheel)}
    # Taking data in needs them, and what verifying reads of intake is a stored profile.
    engines = {"polars", "openpyxl", "charset_normalizer", "sqlalchemy"}
    assert [room for room in names if engines & names[room]] == ["intake"]
    foreign = set().union(*names.values()) - sys.stdlib_module_names - engines - {"evaluator"}
    distributions = packages_distributions()
    needed = {re.sub("[-_.]+", "-", distributions[name][0]).lower() for name in foreign}
    declared = small_wheel["metadata"]["hooks"]["custom"]
    assert declared["extras"] == ["s3"]
    # For evidence in an object store; pydantic's own part, of the version that pydantic names.
    assert needed - {"s3fs", "pydantic-core"} == set(declared["dependencies"])


def test_mlflow_and_dagster_tell_nobody_about_their_use_whichever_part_imports_them() -> None:
    program = (
        "import evaluator, mlflow\n"
        "from mlflow.telemetry import get_telemetry_client\n"
        "from dagster._core.telemetry_upload import is_running_in_test\n"
        "print(get_telemetry_client(), is_running_in_test())"
    )
    # MLflow and Dagster know that they are tested, and are silent then.
    testing = {"PYTEST_CURRENT_TEST", "CI", "DO_NOT_TRACK", "MLFLOW_DISABLE_TELEMETRY"}
    testing |= {"BUILDKITE", "TF_BUILD", "DAGSTER_DISABLE_TELEMETRY"}
    environment = {key: value for key, value in os.environ.items() if key not in testing}
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "None True\n"
