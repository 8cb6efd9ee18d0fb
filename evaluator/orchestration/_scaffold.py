"""Makes a user's own project, and first audits in it that run as they are."""

import filecmp
import keyword
import os
import re
import shutil
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Final, NamedTuple

import yaml

from evaluator import __version__
from evaluator.errors import SpecError, UsageError
from evaluator.evidence import temporary_beside, write_whole
from evaluator.orchestration._found_recordings import declare_recordings, name_from
from evaluator.orchestration._home import DEFAULT_HOME, Home
from evaluator.scorecard import NAME_RULE, can_name_assets
from evaluator.spec import (
    SNAPSHOT,
    AuditSpec,
    DataSpec,
    LabelSpec,
    Project,
    TaskName,
    audit_names,
    declared_task,
    read_audit,
)

if TYPE_CHECKING:
    from evaluator.orchestration._check import Checked

_FILES: Final = {
    "pyproject.toml": """\
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"

[project]
name = "{distribution}"
version = "0.1.0"
description = "Audits of AI systems."
requires-python = ">=3.11,<3.15"
dependencies = ["evaluator>={version}"]

[tool.hatch.build.targets.wheel]
packages = ["{package}"]

[tool.dg]
directory_type = "project"

[tool.dg.project]
root_module = "{package}"
code_location_name = "{package}"
""",
    "workspace.yaml": """\
load_from:
  - python_module:
      module_name: {package}.definitions
      working_directory: .
      location_name: {package}
""",
    ".gitignore": """\
# State: files as they came, evidence, runs. There may be personal data in it.
{home}/
.tmp_dagster_home_*/
.venv/
.env
__pycache__/
*.egg-info/
dist/
""",
    "README.md": """\
# {distribution}

Audits of AI systems. Each is one YAML; the folder that it lies in is its name.

| where | what |
|---|---|
| `{package}/defs/<audit>/defs.yaml` | an audit: its data, label, candidates, metrics and gates |
| `{package}/definitions.py` | Dagster's entry point; `defs/` may hold assets of your own, too |
| `{home}/landing/<audit>/` | where an audit's files arrive |
| `{home}/models/`, `{home}/recordings/` | what candidates are made of |
| `{home}/evidence/` | all that was found, with its provenance; certificates and pages |

From this folder:

```sh
evaluator new AUDIT --from FILE --label COLUMN --recorded OUTPUTS   # another audit
evaluator run AUDIT                                                 # bring it up to date
evaluator ui                                                        # the Dagster UI over it
```

Dagster's own tools know the folder as a project: `pip install -e .`, then `dg check defs`,
`dg list defs`, `dg dev`, or `dagster dev -w workspace.yaml`.
""",
    "{package}/__init__.py": '"""Audits of AI systems."""\n',
    "{package}/definitions.py": '''\
"""Dagster's entry point: loads what lies below `defs/`."""

from pathlib import Path

import dagster as dg


@dg.definitions
def defs() -> dg.Definitions:
    """Load the audits, and what else is there."""
    return dg.load_from_defs_folder(path_within_project=Path(__file__).parent)
''',
    "{package}/defs/__init__.py": "",
}


class FirstAudit(NamedTuple):
    """From what a first audit is made."""

    name: str
    file: Path
    geography: str | None = None
    segment: str | None = None
    label: str | None = None
    task: TaskName | None = None
    recordings: Sequence[Path] = ()

    def infer(self) -> str:
        """Write the YAML down, with recordings still to be declared; it takes a look at all rows.

        Raises
        ------
        IntakeError
            Where the file cannot be read, or a column that is named is not there.
        UsageError
            Where the label is none of the task.
        """
        from evaluator.intake import infer_audit

        return infer_audit(
            self.file,
            self.label,
            task=self.task,
            geography=self.geography,
            segment=self.segment,
        )


def make_project(folder: Path) -> Project:
    """Make a folder that Dagster's tools and `evaluator` know as a project.

    Raises
    ------
    UsageError
        Where something is in it already, or Python could not import a package of its name.
    """
    folder = folder.resolve()
    package = check_new_project(folder)
    names = {
        "package": package,
        "distribution": package.replace("_", "-"),
        "version": __version__,
        "home": DEFAULT_HOME,
    }
    for name, text in _FILES.items():
        path = folder / name.format(**names)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, text.format(**names).encode())
    return Project(folder, folder / package / "defs")


def check_new_project(folder: Path) -> str:
    """Refuse a folder that can become no project, as `make_project` does; return its package."""
    folder = folder.resolve()
    package = re.sub(r"[-. ]+", "_", folder.name).lower()
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(
            "something is there already",
            culprit=str(folder),
            fix="name a new folder, or an empty one; a project that is there gets another audit"
            " by `evaluator new`",
        )
    taken = find_spec(package) if re.fullmatch(r"[a-z][a-z0-9_]*", package) else None
    if taken is not None and taken.origin is not None:
        why = f"{package!r} is a package that is installed here already"
    elif not re.fullmatch(r"[a-z][a-z0-9_]*[a-z0-9]|[a-z]", package) or keyword.iskeyword(package):
        why = f"Python could import no package called {package!r}"
    else:
        return package
    raise UsageError(
        f"the folder's name becomes a package's, and {why}",
        culprit=folder.name,
        fix="use another one of letters, digits, - and _, such as my-audits",
    )


def write_first_audit(
    first: FirstAudit, project: Project, home: Home, inferred: str | None = None
) -> Path:
    """Write a first audit, and put its file and its recordings where it looks for them.

    Parameters
    ----------
    first
        Its name, and from what it is made. Without a label it ends at the data's report.
    project
        Where it is to lie.
    home
        Where file and recordings are copied to.
    inferred
        What `first.infer` gave, where it was asked already.

    Returns
    -------
    Path
        Its `defs.yaml`, with a comment wherever it is unsure.

    Raises
    ------
    UsageError
        Where the name is taken or cannot be one, or the audit would not load.
    IntakeError
        Where the file or a recording cannot be read, or does not hold what is needed.
    """
    from evaluator.intake import no_candidates

    folder = project.audits / first.name
    _check_is_new(first, folder, project)
    text = first.infer() if inferred is None else inferred
    attributes = yaml.safe_load(text)["attributes"]
    data = DataSpec.model_validate(attributes["data"])
    days = data.partitions(datetime.now(UTC).date())
    if not days:
        raise UsageError(
            f"the file is of {data.first_day}, which is yet to come",
            culprit=str(first.file),
            fix="call it by a day that has begun",
        )
    with TemporaryDirectory() as scratch:
        copies = {home.landing(first.name) / data.file_name(days[0]): first.file}
        if first.recordings:
            label = LabelSpec.model_validate(attributes["label"])
            name = attributes.get("task", AuditSpec.model_fields["task"].default)
            asks = declared_task(name, label, data.columns[label.column])
            block, found = declare_recordings(
                first.recordings,
                audit=first.name,
                file=first.file,
                data=data,
                asks=asks,
                scratch=Path(scratch),
            )
            text = text.replace(no_candidates(type(asks)), block)
            copies |= {home.root / path: recording for path, recording in found.items()}
        _check_loads(text, Path(scratch) / first.name / "defs.yaml")
        for target, source in copies.items():
            if target.exists() and not filecmp.cmp(source, target, shallow=False):
                raise UsageError(
                    "another file of this name lies there, and nothing is overwritten",
                    culprit=str(target),
                    fix="take it away, or call the audit otherwise",
                )
        for target, source in copies.items():
            _copy(source, target)
    folder.mkdir(parents=True, exist_ok=True)
    # Last: an audit that is there has all it needs.
    write_whole(folder / "defs.yaml", text.encode())
    return folder / "defs.yaml"


def keep_check(checked: "Checked", folder: Path) -> Path:
    """Make a project of a check: an audit of its file, with what it chose and the same figures.

    Parameters
    ----------
    checked
        What was checked.
    folder
        A new folder, as for `make_project`.

    Returns
    -------
    Path
        The audit's `defs.yaml`; its folder's name is the audit's.

    Raises
    ------
    UsageError
        As `make_project`.
    """
    from evaluator.orchestration._check import write_recordings

    file = checked.file
    project = make_project(folder)
    home = Home.from_environment(project.root)
    name = name_from(file.path)
    spec = file.audit.spec
    settings = spec.model_dump(mode="json", exclude_unset=True)
    del settings["data"]["first_day"]
    _copy(file.path, home.landing(name) / spec.data.file_name(SNAPSHOT))
    if spec.candidates:
        write_recordings(file, checked.rows, home.root)
    chosen = "".join(f"# {' '.join(note.split())}\n" for note in file.chosen)
    text = yaml.safe_dump(
        {"type": "evaluator.orchestration.AuditComponent", "attributes": settings},
        sort_keys=False,
        allow_unicode=True,
        width=100,
    )
    path = project.audits / name / "defs.yaml"
    path.parent.mkdir(parents=True)
    write_whole(path, f"# What nobody said, and the check chose:\n{chosen}{text}".encode())
    return path


def _check_is_new(first: FirstAudit, folder: Path, project: Project) -> None:
    if not can_name_assets(first.name):
        raise UsageError("it names assets, and cannot", culprit=first.name, fix=f"use {NAME_RULE}")
    if folder.exists() or first.name in audit_names(project.audits):
        raise UsageError(
            "there is something of this name already",
            culprit=str(folder),
            fix="choose another name, or edit what is there",
        )
    if first.recordings and first.label is None:
        raise UsageError(
            "what is recorded is judged by the truth, and no column holds it",
            culprit="--recorded",
            fix="name the column with --label",
        )


def _check_loads(text: str, path: Path) -> None:
    """Refuse what would not load, with the reason; nothing was written yet."""
    path.parent.mkdir()
    path.write_text(text, encoding="utf-8")
    try:
        read_audit(path)
    except SpecError as error:
        key = error.culprit.rpartition(": ")[2]
        raise UsageError(
            f"the audit would not load: {error.what}",
            culprit=key,
            fix=f"name a column with --{key}" if key in ("geography", "segment") else error.fix,
        ) from error


def _copy(source: Path, target: Path) -> None:
    """Copy a file into the home, where all is its owner's alone."""
    if target.exists():
        return
    mask = os.umask(0o077)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = temporary_beside(target)
        shutil.copyfile(source, temporary)
        temporary.replace(target)
    finally:
        os.umask(mask)
