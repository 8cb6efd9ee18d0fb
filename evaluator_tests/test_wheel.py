"""The wheels in fresh environments and an empty folder, as a user and a stranger have them."""

import csv
import hashlib
import json
import os
import re
import sqlite3
import subprocess
import sys
import venv
from collections.abc import Iterable, Sequence
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import pytest

from evaluator import __version__
from evaluator_tests.test_imports import PROJECT, imports_of, rooms_among
from evaluator_tests.test_verifier import standing_bundle

NOT_CERTIFIED = 1
"""The exit code where nobody signed a certificate."""
WRONG_USE = 2
SMALL = "evaluator_verify"
LARGEST = 550
"""How many MB a stranger is asked for."""

pytestmark = pytest.mark.slow

PIP_INSTALL = ("python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check")

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


# Python imports it by itself before the program begins.
_NO_NETWORK = """
import socket
def refuse(*_): raise OSError("a verifier asked for the network")
socket.socket.connect = socket.getaddrinfo = refuse
"""

# What `create-dagster project` makes, with an asset of theirs and an audit beside.
_THEIRS = {
    "pyproject.toml": """\
[project]
name = "theirs"
requires-python = ">=3.10,<3.15"
version = "0.1.0"
dependencies = ["dagster"]

[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"

[tool.dg]
directory_type = "project"

[tool.dg.project]
root_module = "theirs"
registry_modules = ["theirs.components.*"]
""",
    "src/theirs/__init__.py": "",
    "src/theirs/components/__init__.py": "",
    "src/theirs/definitions.py": """\
from pathlib import Path

from dagster import definitions, load_from_defs_folder


@definitions
def defs():
    return load_from_defs_folder(path_within_project=Path(__file__).parent)
""",
    "src/theirs/defs/__init__.py": "",
    "src/theirs/defs/assets.py": """\
import dagster as dg


@dg.asset
def of_theirs() -> None: ...
""",
    "src/theirs/defs/functions/defs.yaml": """\
type: dagster.FunctionComponent
attributes:
  execution: {name: of_a_component, fn: theirs.defs.functions.go}
  assets: [{key: of_a_component}]
""",
    "src/theirs/defs/functions/__init__.py": "def go(context): ...\n",
}


class Answer(NamedTuple):
    out: str
    err: str


class Environment(NamedTuple):
    """A virtual environment, and a folder with nothing in it to call its programs from."""

    folder: Path
    wheel: Path
    empty: Path

    def ask(self, program: str, *arguments: str, code: int = 0, **variables: str) -> Answer:
        """Call a program, which must end with this exit code."""
        ours = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("EVALUATOR_", "MLFLOW_", "DAGSTER_", "PYTHON", "PYTEST_"))
        }
        done = subprocess.run(
            [self.folder / "bin" / program, *arguments],
            cwd=self.empty,
            env={**ours, "DAGSTER_DISABLE_TELEMETRY": "1", **variables},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == code, done.stdout + done.stderr
        return Answer(done.stdout, done.stderr)


def built(project: Path, folder: Path) -> Path:
    """Build a project's wheel."""
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", folder]
    subprocess.run([*command, project], check=True)
    (wheel,) = folder.glob("*.whl")
    return wheel


def installed(wheel: Path, folder: Path, extra: str = "") -> Environment:
    """Install a wheel and what it needs into a fresh environment."""
    made = Environment(folder / "venv", wheel, folder / "empty")
    made.empty.mkdir(parents=True)
    # As `python -m venv` does; copies of Python's program would be counted as the wheel's.
    venv.create(made.folder, with_pip=True, symlinks=True)
    # Without hashes, which the wheel has none of, and without extras, which pip takes in none.
    pinned = re.findall(
        r"^([\w.-]+)(?:\[.*\])?(==[^ ]+)( ;[^\\]+)?",
        (PROJECT / "constraints.txt").read_text(),
        re.MULTILINE,
    )
    constraints = folder / "constraints.txt"
    constraints.write_text("\n".join(map("".join, pinned)))
    made.ask(*PIP_INSTALL, "--constraint", str(constraints), f"{wheel}{extra}")
    return made


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """The whole package with what the demo needs."""
    folder = tmp_path_factory.mktemp("whole")
    return installed(built(PROJECT, folder), folder, "[demo]")


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """What a stranger installs to check a certificate."""
    folder = tmp_path_factory.mktemp("small")
    return installed(built(PROJECT / "verify", folder), folder)


@pytest.fixture
def files(tmp_path: Path) -> list[str]:
    """Cases of no day, and what a model said of them."""
    rows = [
        {
            "case": f"c{n}",
            "region": "ns"[n % 2],
            "kind": "ab"[n % 3 % 2],
            "ok": n % 5 % 2,
            "p": n / 90,
        }
        for n in range(90)
    ]
    files = {"cases": ("case", "region", "kind", "ok"), "model": ("case", "p")}
    for name, columns in files.items():
        with (tmp_path / f"{name}.csv").open("w", newline="") as file:
            writer = csv.DictWriter(file, columns, extrasaction="ignore")
            writer.writeheader()
            writer.writerows(rows)
    sliced = ("--geography", "region", "--segment", "kind", "--label", "ok")
    return ["--from", f"{tmp_path}/cases.csv", *sliced, "--recorded", f"{tmp_path}/model.csv"]


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return standing_bundle(tmp_path)


def test_every_room_opens_and_neither_tests_nor_benchmarks_are_installed(
    whole: Environment,
) -> None:
    opened, folder = whole.ask("python", "-c", _OPEN_EVERY_DOOR).out.split()
    package = Path(folder)
    assert int(opened) > 100
    assert package.parent.name == "site-packages"
    assert (package / "py.typed").is_file()
    assert (package / "certification" / "verify.html").is_file()
    assert not {"evaluator_tests", "benchmarks"} & {path.name for path in package.parent.iterdir()}


def test_the_demo_runs_from_an_empty_folder_and_its_certificates_are_intact(
    whole: Environment,
) -> None:
    whole.ask("evaluator", "demo", "--days", "3")
    # Three days are three clusters: too few to decide a gate.
    again = whole.ask("evaluator", "run", "flights", code=NOT_CERTIFIED).out
    assert "No slice was computed" in again
    verified = whole.ask("evaluator", "verify", "flights/random_forest", code=NOT_CERTIFIED)
    assert "INTACT, BUT UNSIGNED" in verified.out


def test_a_project_of_ones_own_goes_from_files_to_a_certificate(
    whole: Environment, files: list[str], tmp_path: Path
) -> None:
    whole._replace(empty=tmp_path).ask("evaluator", "init", "my-audits", *files[:2])
    project = whole._replace(empty=tmp_path / "my-audits")
    project.ask("evaluator", "keys", "create", "audit", "--folder", str(tmp_path))
    project.ask("evaluator", "new", "loans", *files)
    signed = {"EVALUATOR_SIGNING_KEY_FILE": str(tmp_path / "audit.private.pem")}
    run = project.ask("evaluator", "run", "loans", **signed).out
    assert "4 candidate slices computed" in run
    key = str(tmp_path / "audit.public.pem")
    verified = project.ask("evaluator", "verify", "loans/model", "--key", key).out
    assert verified.startswith("VERIFIED")
    assert "1 of 1 days accepted, 90 rows" in project.ask("evaluator", "run", "cases").out
    project.ask("dg", "check", "defs")
    assert groups_in(project) == {"cases", "loans"}


def test_in_a_project_of_dagsters_an_audit_stands_beside_what_is_there_and_changes_none_of_it(
    whole: Environment, files: list[str], tmp_path: Path
) -> None:
    project = whole._replace(empty=tmp_path / "theirs")
    for name, text in _THEIRS.items():
        path = project.empty / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    # As after `pip install --editable .`, which would ask for its backend.
    theirs = {"PYTHONPATH": str(project.empty / "src"), "DAGSTER_HOME": str(tmp_path / "instance")}
    (tmp_path / "instance").mkdir()
    (tmp_path / "instance" / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    project.ask("evaluator", "new", "loans", *files, **theirs)

    project.ask("dg", "check", "defs", **theirs)
    assert groups_in(project, **theirs) == {"default", "loans"}
    run = project.ask("evaluator", "run", "loans", **theirs).out
    assert "4 candidate slices computed" in run
    # The terminal's runs are none of theirs.
    count = (
        "python",
        "-c",
        "import dagster; print(dagster.DagsterInstance.get().get_runs_count())",
    )
    assert project.ask(*count, **theirs).out == "0\n"
    project.ask("dg", "launch", "--assets", "of_theirs", **theirs)
    landed = ("--assets", "loans/raw_data", "--partition", "snapshot")
    told = project.ask("dg", "launch", *landed, **theirs)
    # Each step has a process of its own, as Dagster has it where nobody says otherwise.
    assert "Multiprocess executor" in told.out + told.err
    assert project.ask(*count, **theirs).out == "2\n"
    assert [path.name for path in tmp_path.rglob(".evaluator")] == [".evaluator"]


# Data as they come, and what a run of an audit of them says.
_AS_THEY_COME = {
    "monthly": ({"files": "{month}.csv", "first_day": "2024-01-01", "last_day": "2024-02-29"}, {}),
    "parts": ({"files": "{date}-*.csv", "first_day": "2024-01-01", "last_day": "2024-01-31"}, {}),
    "table": (
        {
            "table": {"url_from": "WAREHOUSE", "query": "SELECT * FROM t WHERE day = :day"},
            "first_day": "2024-01-01",
            "last_day": "2024-01-31",
        },
        {},
    ),
    "undivided": ({"files": "all.csv"}, {}),
    "discovered": (
        {"files": "all.csv"},
        {"geography": {"column": "region", "values": "discover", "minimum_cases": 5}},
    ),
}
_LANDED = {
    "monthly": {"2024-01": slice(0, 40), "2024-02": slice(40, 90)},
    "parts": {"2024-01-05-a": slice(0, 40), "2024-01-05-b": slice(40, 90)},
    "table": {},
    "undivided": {"all": slice(0, 90)},
    "discovered": {"all": slice(0, 90)},
    "late": {"2024-01-05": slice(0, 90)},
}


def test_data_slices_and_labels_are_taken_as_users_have_them(
    whole: Environment, tmp_path: Path
) -> None:
    whole._replace(empty=tmp_path).ask("evaluator", "init", "mine")
    project = whole._replace(empty=tmp_path / "mine")
    columns = {
        "case": {"type": "string", "required": True},
        "region": {"type": "category", "required": True},
        "ok": {"type": "integer", "allowed": [0, 1]},
    }
    rows = [(f"c{n}", "nsw"[n % 3] if n else "x", n % 5 % 2, n / 90) for n in range(90)]
    cases = [row[:3] for row in rows]
    common = {
        "label": {"column": "ok", "positive": 1},
        "candidates": [
            {"name": "model", "kind": "recorded", "path": "model.csv", "id": "case", "score": "p"}
        ],
    }
    audits = {
        name: {"data": {"id": "case", "columns": columns, **data}, **common, **divided}
        for name, (data, divided) in _AS_THEY_COME.items()
    }
    of_labels = {name: columns[name] for name in ("case", "ok")}
    audits["late"] = {
        "data": {
            "files": "{date}.csv",
            "first_day": "2024-01-01",
            "last_day": "2024-01-31",
            "id": "case",
            "columns": {name: columns[name] for name in ("case", "region")},
        },
        "labels": {
            "files": "labels-{month}.csv",
            "first_day": "2024-02-01",
            "last_day": "2024-02-29",
            "id": "case",
            "column": "ok",
            "columns": of_labels,
            "mature_after": 30,
        },
        **common,
    }
    home = project.empty / ".evaluator"
    for name, attributes in audits.items():
        folder = project.empty / "mine" / "defs" / name
        folder.mkdir()
        declared = {"type": "evaluator.orchestration.AuditComponent", "attributes": attributes}
        # JSON is YAML, too.
        (folder / "defs.yaml").write_text(json.dumps(declared))
        for file, chosen in _LANDED[name].items():
            _write(home / "landing" / name / f"{file}.csv", ("case", "region", "ok"), cases[chosen])
    said = [(row[0], row[2]) for row in rows]
    _write(home / "landing" / "late" / "labels-2024-02.csv", ("case", "ok"), said)
    _write(home / "model.csv", ("case", "p"), [(row[0], row[3]) for row in rows])
    with closing(sqlite3.connect(tmp_path / "t.db")) as connection, connection:
        connection.execute("CREATE TABLE t (day, [case], region, ok)")
        connection.executemany("INSERT INTO t VALUES ('2024-01-05', ?, ?, ?)", cases)

    said_of = {
        name: project.ask("evaluator", "run", name, WAREHOUSE=f"sqlite:///{tmp_path}/t.db").out
        for name in audits
    }

    shown = {name: project.ask("evaluator", "show", name).out for name in audits}
    figures = {name: re.search(r"  model +90 .*", told) for name, told in shown.items()}
    # However they came, the figures are those of the same cases.
    assert len({found[0] for found in figures.values() if found}) == 1
    assert all(figures.values()), shown
    assert "2 of 2 days accepted" in said_of["monthly"]
    assert "1 candidate slices computed" in said_of["undivided"]
    assert "4 candidate slices computed" in said_of["discovered"]
    assert "90 of 90 cases that are at least 30 days old have a label" in said_of["late"]


def test_what_a_candidate_saw_in_training_is_refused_left_out_or_told_and_silence_is_said(
    whole: Environment, tmp_path: Path
) -> None:
    whole._replace(empty=tmp_path).ask("evaluator", "init", "mine")
    project = whole._replace(empty=tmp_path / "mine")
    home = project.empty / ".evaluator"
    days = ("2024-01-05", "2024-01-06")
    rows = [(n, n / 8, n % 5 % 2, n / 90) for n in range(90)]
    for day, some in zip(days, (rows[:40], rows[40:]), strict=True):
        _write(
            home / "landing" / "loans" / f"{day}.csv",
            ("case", "amount", "ok"),
            [row[:3] for row in some],
        )
    _write(home / "model.csv", ("case", "p"), [(row[0], row[3]) for row in rows])
    # Of ten cases the ids, and of five others what they hold, under ids of their own.
    _write(home / "ids.csv", ("key",), [(n,) for n in range(10)])
    _write(home / "rows.csv", ("case", "amount"), [(1000 + n, n / 8) for n in range(40, 45)])
    digest = hashlib.sha256((home / "landing" / "loans" / f"{days[0]}.csv").read_bytes())
    files = {"files": ["ids.csv", "rows.csv"]}

    def said(training: object, code: int) -> str:
        columns = {
            "case": {"type": "integer", "required": True},
            "amount": {"type": "float"},
            "ok": {"type": "integer", "allowed": [0, 1]},
        }
        model = {"name": "model", "kind": "recorded", "path": "model.csv", "id": "case"}
        attributes = {
            "data": {
                "files": "{date}.csv",
                "first_day": days[0],
                "last_day": days[1],
                "id": "case",
                "columns": columns,
            },
            "label": {"column": "ok", "positive": 1},
            "candidates": [{**model, "score": "p", "training": training}],
            "gates": [{"metric": "accuracy", "at_least": 0.1}],
        }
        folder = project.empty / "mine" / "defs" / "loans"
        folder.mkdir(exist_ok=True)
        declared = {"type": "evaluator.orchestration.AuditComponent", "attributes": attributes}
        (folder / "defs.yaml").write_text(json.dumps(declared))
        told = project.ask("evaluator", "run", "loans", code=code).out
        told += project.ask("evaluator", "show", "loans").out
        return told + project.ask("evaluator", "verify", "loans/model", code=NOT_CERTIFIED).out

    refused = said({**files}, NOT_CERTIFIED)
    assert "model  NOT CERTIFIED" in refused
    assert "saw 15 of 90 cases in training (10 by id, 5 by their values), such as" in refused
    left_out = said({**files, "seen": "leave_out"}, 0)
    assert re.search("  model +75 ", left_out)
    assert "which are left out" in left_out
    told = said({**files, "seen": "tell"}, 0)
    assert re.search("  model +90 ", told)
    assert "saw 40 of 90 cases in training (40 by their day)" in said(
        {"last_day": days[0]}, NOT_CERTIFIED
    )
    assert "saw 40 of 90 cases in training (40 by their file)" in said(
        {"digests": [digest.hexdigest()]}, NOT_CERTIFIED
    )
    assert "gone.csv: there is no such file" in said({"files": "gone.csv"}, NOT_CERTIFIED)
    assert "nobody checked, since the audit does not say what it was trained on" in said(None, 0)


def _write(path: Path, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([header, *rows])


def groups_in(project: Environment, **variables: str) -> set[str]:
    """Name the groups of assets that Dagster's own tools find in a project."""
    found = json.loads(project.ask("dg", "list", "defs", "--json", **variables).out)
    return {asset["group_name"] for asset in found["assets"]}


def test_the_small_wheel_needs_no_more_room_than_is_promised(small: Environment) -> None:
    blocks = sum(path.lstat().st_blocks for path in small.folder.rglob("*"))
    assert blocks * 512 <= LARGEST * 1024**2


def test_no_room_of_the_small_wheel_imports_one_that_it_lacks(small: Environment) -> None:
    (package,) = small.folder.glob(f"lib/*/site-packages/{SMALL}/evaluator")
    assert (package / "certification" / "verify.html").is_file()
    imported = imports_of(package)
    assert imported["verifier"]
    assert rooms_among(set().union(*imported.values())) == imported.keys() - {"__init__"}


def test_a_stranger_verifies_a_bundle_without_a_network_and_sees_a_spoilt_one(
    small: Environment, bundle: Path, tmp_path: Path
) -> None:
    (tmp_path / "sitecustomize.py").write_text(_NO_NETWORK)

    def verify(*arguments: str, code: int) -> Answer:
        key = str(bundle / "public_key.pem")
        called = ("evaluator-verify", *arguments, "--key", key)
        return small.ask(*called, code=code, PYTHONPATH=str(tmp_path))

    answer = verify(str(bundle), code=0)
    assert answer.out.startswith("VERIFIED")
    assert answer.err == ""
    certificate = str(bundle / "certificate.dsse.json")
    report = json.loads(
        verify(certificate, "--evidence", f"{bundle}/evidence", "--json", code=0).out
    )
    assert report["result"] == "VERIFIED"
    # Made and checked by one version, without a distribution of the whole package to ask.
    assert report["cautions"] == []
    head = f"{report['ledger']['sequence']}:{report['ledger']['digest']}"
    verify(str(bundle), "--ledger-head", head, code=0)
    verify(str(bundle), "--ledger-head", head[:-1] + "g", code=WRONG_USE)
    assert "--evidence" in verify(certificate, code=WRONG_USE).err

    spoilt = max(bundle.rglob("*.parquet"))
    spoilt.write_bytes(spoilt.read_bytes()[:-1] + b"?")
    answer = verify(str(bundle), code=NOT_CERTIFIED)
    assert answer.out.startswith("FAILED")
    assert spoilt.relative_to(bundle / "evidence").as_posix() in answer.out


def test_beside_the_whole_package_the_small_one_says_that_it_is_not_needed_and_harms_nothing(
    whole: Environment, small: Environment, bundle: Path
) -> None:
    whole.ask(*PIP_INSTALL, "--no-deps", str(small.wheel))
    answer = whole.ask("evaluator-verify", str(bundle), "--key", str(bundle / "public_key.pem"))
    assert answer.out.startswith("VERIFIED")
    assert f"not needed here: evaluator {__version__} is installed" in answer.err
    where = "import evaluator; print(evaluator.__path__[0])"
    assert SMALL not in whole.ask("python", "-c", where).out
    whole.ask("python", "-m", "pip", "uninstall", "--quiet", "--yes", SMALL)
    opened, _ = whole.ask("python", "-c", _OPEN_EVERY_DOOR).out.split()
    assert int(opened) > 100
    # And the other way round: the whole one takes nothing of the small one with it.
    small.ask(*PIP_INSTALL, "--no-deps", str(whole.wheel))
    small.ask("python", "-m", "pip", "uninstall", "--quiet", "--yes", "evaluator")
    answer = small.ask("evaluator-verify", str(bundle), "--key", str(bundle / "public_key.pem"))
    assert answer.err == ""
