"""Makes a user's own project, and first audits in it that run as they are."""

import filecmp
import keyword
import os
import re
import shutil
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import yaml

from evaluator import __version__
from evaluator.errors import IntakeError, SpecError, UsageError
from evaluator.evidence import temporary_beside, write_whole
from evaluator.orchestration._home import DEFAULT_HOME, Home
from evaluator.scorecard import NAME_RULE, can_name_assets
from evaluator.spec import (
    SNAPSHOT,
    BinaryTask,
    DataSpec,
    Project,
    audit_names,
    read_audit,
    yaml_line,
)

if TYPE_CHECKING:
    import pandas as pd

    from evaluator.intake import IntakeResult
    from evaluator.orchestration._check import Checked

    _Columns = Mapping[str, pd.Series]

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
_WITHOUT_SCORES: Final[tuple[str, ...]] = ("accuracy", "precision", "recall", "f1")
_SCORES: Final = re.compile(r"(?i)score|prob|likel|conf|wahrsch|(?:^|_)p(?:_|$)")
_DECISIONS: Final = re.compile(r"(?i)predic|deci|class|outcome|entsch|y_?hat")
_PLAIN_KEYS: Final = frozenset({"files", "first_day", "id", "columns"})
_PLAIN_COLUMN_KEYS: Final = frozenset({"type", "required", "allowed"})
"""What a recording's inferred description may say where Arrow reads it as it is meant."""


class FirstAudit(NamedTuple):
    """From what a first audit is made."""

    name: str
    file: Path
    geography: str | None = None
    segment: str | None = None
    label: str | None = None
    recordings: Sequence[Path] = ()

    def infer(self) -> str:
        """Write the YAML down, with recordings still to be declared; it takes a look at all rows.

        Raises
        ------
        IntakeError
            Where the file cannot be read, or a column that is named is not there.
        """
        from evaluator.intake import infer_audit

        return infer_audit(self.file, self.label, geography=self.geography, segment=self.segment)


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


def name_from(path: Path) -> str:
    """Make a name for an audit or a candidate of a file's; a date in it is of the file alone."""
    stem = re.sub(r"\d{4}-\d{2}(?:-\d{2})?", "", path.name.partition(".")[0])
    plain = unicodedata.normalize("NFKD", stem).encode("ascii", "ignore").decode().lower()
    name = re.sub(r"[^a-z0-9]+", "_", plain).strip("_")
    return name[:80] if can_name_assets(name[:80]) else f"a_{name[:80]}".rstrip("_")


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
    from evaluator.intake import NO_CANDIDATES

    folder = project.audits / first.name
    _check_is_new(first, folder, project)
    text = first.infer() if inferred is None else inferred
    data = DataSpec.model_validate(yaml.safe_load(text)["attributes"]["data"])
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
            cases = _columns(_take_in(first.file, data, Path(scratch) / "cases"))
            recorded = [
                _Recording.look(path, Path(scratch) / str(index))
                for index, path in enumerate(first.recordings)
            ]
            block, found = _declare(first, data, cases, recorded)
            text = text.replace(NO_CANDIDATES, block)
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


def _take_in(file: Path, data: DataSpec, folder: Path) -> "IntakeResult":
    """Take a file in as it is described, for a look at its columns."""
    from evaluator.intake import ingest

    folder.mkdir()
    return ingest(file, data, into=folder, name=file.name)


def _columns(taken: "IntakeResult") -> "_Columns":
    import pandas as pd

    rows = pd.read_parquet(taken.typed_path)
    return {str(name): rows[name] for name in rows}


class _Recording(NamedTuple):
    """A recording, and a file of it that a candidate can be made of."""

    path: Path
    readable: Path
    columns: "_Columns"
    told: str

    @classmethod
    def look(cls, path: Path, folder: Path) -> "_Recording":
        """Read one. What Arrow would not read as it is meant becomes Parquet."""
        from evaluator.intake import infer_schema

        data = DataSpec.model_validate(yaml.safe_load(infer_schema(path)))
        taken = _take_in(path, data, folder)
        is_plain = data.model_fields_set <= _PLAIN_KEYS and all(
            column.model_fields_set <= _PLAIN_COLUMN_KEYS for column in data.columns.values()
        )
        if path.suffix == ".parquet" or (path.suffix == ".csv" and is_plain):
            return cls(path, path, _columns(taken), "")
        told = f"made of {path.name}"
        if taken.quarantined:
            told = f"unsure: {told}, without {taken.quarantined:,} rows that could not be read"
        return cls(path, taken.typed_path, _columns(taken), told)


def _declare(
    first: FirstAudit, data: DataSpec, cases: "_Columns", recordings: Iterable[_Recording]
) -> tuple[str, dict[str, Path]]:
    """Declare recordings as candidates; return the YAML, and what each is made of by its path."""
    if not isinstance(data.id, str):
        raise IntakeError(
            "no column identifies its rows, so that no recording can be joined to them",
            culprit=str(first.file),
            fix="give each row an id, in this file and in the recording",
        )
    truth = dict(zip(map(_text, cases[data.id]), map(_text, cases[first.label or ""]), strict=True))
    known = _Cases(data.id, first.label, {name: _texts(cases[name]) for name in cases}, truth)
    lines, files, metrics = ["  candidates:"], dict[str, Path](), _WITHOUT_SCORES
    for recording in recordings:
        name = name_from(recording.path)
        while any(Path(path).stem == name for path in files):
            name += "_too"
        path = f"recordings/{first.name}/{name}{recording.readable.suffix}"
        keys, doubts = _keys_of(recording, known)
        if keys["score"] is not None:
            metrics = BinaryTask.headline_metrics
        declared = {"name": name, "kind": "recorded", "baseline": True, "path": path, **keys}
        if files:
            del declared["baseline"]
        for number, (key, value) in enumerate(declared.items()):
            comment = f"  # {doubts[key]}" if doubts.get(key) else ""
            lines.append(f"    {'  ' if number else '- '}{yaml_line(key, value)}{comment}")
        files[path] = recording.readable
    return "\n".join([*lines, "", f"  {yaml_line('metrics', list(metrics))}", "", ""]), files


class _Cases(NamedTuple):
    """What the audit's file holds: each column's values."""

    id: str
    label: str | None
    texts: Mapping[str, set[str]]
    truth: Mapping[str, str]
    """The label of each id."""


def _keys_of(recording: _Recording, cases: _Cases) -> tuple[dict[str, Any], dict[str, str]]:
    """Find a recording's columns: the candidate's keys, and what is to be said beside them."""
    from evaluator.intake import likely_positive

    texts = {name: _texts(recording.columns[name]) for name in recording.columns}
    ids, truth = cases.texts[cases.id], cases.texts[cases.label or ""]
    # Of several columns with the cases' ids, that which is called as in the data.
    id_ = max(texts, key=lambda name: (len(ids & texts[name]), name == cases.id))
    if ids.isdisjoint(texts[id_]):
        raise IntakeError(
            f"no column of the recording holds any case's {cases.id!r}",
            culprit=str(recording.path),
            fix="record outputs of these cases, with the id that the data have",
        )
    doubts = {"baseline": "the others are compared with it", "path": recording.told}
    if ids - texts[id_]:
        count = len(ids & texts[id_])
        doubts["id"] = f"unsure: of the {len(ids):,} cases it has {count:,}"
    # What the data have, too, is no output; but for the truth, whose name decisions may have.
    own = [name for name in texts if name not in cases.texts or name == cases.label]
    scores = [name for name in own if name != id_ and _are_scores(recording.columns[name])]
    decisions = [
        name
        for name in own
        if name not in (id_, *scores)
        and (
            texts[name] <= truth
            or (len(texts[name]) == len(truth) and _DECISIONS.search(f"{name} {cases.label}"))
        )
    ]
    if not scores and set(decisions) <= {cases.label}:
        # It may be the data's own file, with what was said beside the truth.
        others = [name for name in texts if name not in (id_, cases.label)]
        scores = [name for name in others if _are_scores(recording.columns[name])]
    keys: dict[str, Any] = {"id": id_, "score": _choose("score", scores, _SCORES, doubts)}
    # Beside other outputs it is the truth: taken for decisions it would make anybody perfect.
    has_truth = cases.label in decisions and len(scores) + len(decisions) > 1
    if has_truth:
        decisions.remove(str(cases.label))
    chosen = _choose("prediction", decisions, _DECISIONS, doubts)
    if chosen is not None:
        keys["prediction"] = chosen
        if chosen == cases.label:
            _check_is_no_truth(recording, id_, cases)
            doubts["prediction"] = "unsure: it is called as the truth is; is it what was predicted?"
        if not texts[chosen] <= truth:
            positive = likely_positive(texts[chosen])
            sides = {"positive": positive, "negative": min(texts[chosen] - {positive})}
            # Numbers are known by their values, however they are spelt.
            keys["label_values"] = {
                side: int(text) if text.isdecimal() else text for side, text in sides.items()
            }
            doubts["label_values"] = "unsure: which of the two counts as positive"
    elif keys["score"] is None:
        raise IntakeError(
            "no column of the recording holds probabilities from 0 to 1, or decisions between the"
            " label's two values",
            culprit=str(recording.path),
            fix="record one of the two for each case",
        )
    if has_truth:
        keys["label"] = cases.label
        doubts["label"] = "unsure: taken for the truth; if it is decisions, it is the `prediction`"
    return keys, doubts


def _check_is_no_truth(recording: _Recording, id_: str, cases: _Cases) -> None:
    """Refuse decisions that are called as the truth is, and are the same in every case."""
    ids, said = (map(_text, recording.columns[name]) for name in (id_, cases.label or ""))
    if all(cases.truth.get(one, given) == given for one, given in zip(ids, said, strict=True)):
        raise IntakeError(
            f"its column {cases.label!r} holds the truth itself, and nothing else is an output",
            culprit=str(recording.path),
            fix="record what the AI system gave; if that is never wrong, call its column otherwise",
        )


def _choose(
    key: str, names: Sequence[str], likely: re.Pattern[str], doubts: dict[str, str]
) -> str | None:
    """Choose a column by its name; the others are named beside it."""
    ordered = sorted(names, key=lambda name: not likely.search(name))
    if not ordered:
        return None
    if ordered[1:] or not likely.search(ordered[0]):
        others = f"; {', '.join(ordered[1:])} would do, too" if ordered[1:] else ""
        doubts[key] = f"unsure: found by its values{others}"
    return ordered[0]


def _are_scores(column: "pd.Series") -> bool:
    """Tell probabilities by their values, of which decisions have two at most."""
    from pandas.api.types import is_bool_dtype, is_numeric_dtype

    is_number = is_numeric_dtype(column) and not is_bool_dtype(column)
    return bool(is_number and column.nunique() > 2 and column.dropna().between(0, 1).all())  # noqa: PLR2004


def _texts(column: "pd.Series") -> set[str]:
    """Return a column's values as recordings are read, where 1, 1.0 and true are one."""
    return {_text(value) for value in column.dropna()}


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    text = str(value).lower().removesuffix(".0")
    return {"true": "1", "false": "0"}.get(text, text)
