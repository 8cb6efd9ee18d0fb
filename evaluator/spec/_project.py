"""A user's own project: a folder of Dagster's layout, with audits beside what else is there."""

import os
import tomllib
from pathlib import Path
from typing import Any, Final, NamedTuple

from evaluator.errors import UsageError

PROJECT_VARIABLE: Final = "EVALUATOR_PROJECT"
_OURSELVES: Final = "evaluator"
"""The package whose source checkout is nobody's project: there, the audits that ship are meant."""


class Project(NamedTuple):
    """Where a project and its audits lie, as absolute paths."""

    root: Path
    audits: Path


def find_project(start: Path | None = None) -> Project | None:
    """Find the project that is meant.

    Parameters
    ----------
    start
        A path of the project. By default it is `EVALUATOR_PROJECT`'s, or the one that the working
        directory is in.

    Returns
    -------
    Project or None
        None where there is none, or the nearest one is this package's own source checkout.

    Raises
    ------
    UsageError
        Where `EVALUATOR_PROJECT` names none, or its settings cannot be read.
    """
    named = os.environ.get(PROJECT_VARIABLE)
    if start is None and named:
        root = Path(named).resolve()
        settings = _settings_in(root)
        if settings is None:
            raise UsageError(
                "it is no project: it has no pyproject.toml with [tool.dg] and"
                ' directory_type = "project"',
                culprit=named,
                fix="name a project's folder with --project or EVALUATOR_PROJECT, or make one:"
                f" `evaluator init {named}`",
            )
        return _project(root, settings)
    start = (start or Path()).absolute()
    for folder in (start, *start.parents):
        settings = _settings_in(folder)
        if settings is not None:
            return _project(folder, settings)
    return None


def _settings_in(folder: Path) -> dict[str, Any] | None:
    """Read what makes a folder a project of Dagster's; None where it is none."""
    # Where both are there, Dagster reads the first.
    for name, tables in (("dg.toml", ()), ("pyproject.toml", ("tool", "dg"))):
        path = folder / name
        if not path.is_file():
            continue
        try:
            settings: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise UsageError(
                f"it cannot be read as TOML ({error})", culprit=str(path), fix="correct it"
            ) from error
        for table in tables:
            settings = settings.get(table, {})
        if settings.get("directory_type") == "project":
            return dict(settings.get("project", {}))
    return None


def _project(root: Path, settings: dict[str, Any]) -> Project | None:
    package = settings.get("root_module")
    if package == _OURSELVES:
        return None
    module = settings.get("defs_module") or f"{package}.defs"
    # As Dagster does: packages lie in `src` wherever there is one.
    base = root / "src" if (root / "src").is_dir() else root
    return Project(root, base.joinpath(*module.split(".")))
