"""Projects of users' own: which one is meant, how one is made, and first audits in it."""

import csv
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from evaluator.definitions import defs as evaluator_definitions
from evaluator.errors import UsageError
from evaluator.orchestration import Home, name_from
from evaluator.spec import TASKS, AuditSpec, find_project, load_audit
from evaluator_tests.conftest import Call
from evaluator_tests.spec.conftest import GOOD
from evaluator_tests.test_imports import PROJECT

ASSET = """\
import dagster as dg


@dg.asset
def of_their_own() -> None: ...
"""
SETTINGS = '[tool.dg]\ndirectory_type = "project"\n[tool.dg.project]\nroot_module = "shop"\n'
CASES = [
    (
        f"K{n:03}",
        ("Nord", "Süd")[n % 2],
        ("neu", "alt")[n % 3 % 2],
        n / 4,
        ("ja", "nein")[n % 5 % 2],
    )
    for n in range(120)
]


@pytest.fixture(autouse=True)
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to stand in, with nothing in the environment."""
    # The command sets some of them; so each is taken back.
    for name in ("PROJECT", "HOME", "EVIDENCE"):
        monkeypatch.setenv(f"EVALUATOR_{name}", "")
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    folder = tmp_path / "empty"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


def lay(folder: Path, settings: str = SETTINGS, audits: str = "shop/defs") -> Path:
    """Lay a project out by hand, with the audit `loans`."""
    (folder / audits / "loans").mkdir(parents=True)
    (folder / audits / "loans" / "defs.yaml").write_text(GOOD)
    (folder / "pyproject.toml").write_text(settings)
    return folder


def write_csv(path: Path, rows: Iterable[Sequence[Any]], delimiter: str = ",") -> str:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, delimiter=delimiter).writerows(rows)
    return str(path)


@pytest.fixture
def cases(tmp_path: Path) -> str:
    """A file as it comes from a spreadsheet, of no day."""
    header = ("Fall_Nr", "Region", "Kunde", "Betrag", "bewilligt")
    rows = [(*case[:3], str(case[3]).replace(".", ","), case[4]) for case in CASES]
    return write_csv(tmp_path / "Fälle.csv", [header, *rows], ";")


@pytest.fixture
def project(call_command: Call, nowhere: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project that was made by the command, to stand in."""
    assert call_command("init", "my-audits").code == 0
    monkeypatch.chdir(nowhere / "my-audits")
    return nowhere / "my-audits"


@pytest.fixture
def load_as_dagster(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Iterable[Callable[[Path, str], dg.Definitions]]:
    """Load a project as Dagster's own tools do, from another folder."""
    before = set(sys.modules)

    def load(root: Path, package: str) -> dg.Definitions:
        monkeypatch.setenv("EVALUATOR_HOME", "")
        monkeypatch.chdir(tmp_path)
        monkeypatch.syspath_prepend(root)
        return dg.load_from_defs_folder(path_within_project=root / package)

    yield load
    for name in set(sys.modules) - before:
        if name.partition(".")[0] in ("my_audits", "shop"):
            del sys.modules[name]


@pytest.mark.parametrize(
    ("file", "settings", "audits"),
    [
        ("pyproject.toml", SETTINGS, "shop/defs"),
        ("pyproject.toml", SETTINGS, "src/shop/defs"),
        ("pyproject.toml", f'{SETTINGS}defs_module = "shop.what.there_is"', "shop/what/there_is"),
        ("dg.toml", SETTINGS.replace("tool.dg.", "").replace("[tool.dg]", ""), "shop/defs"),
    ],
)
def test_the_nearest_project_above_is_meant_however_it_is_laid_out(
    file: str, settings: str, audits: str, nowhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lay(nowhere, settings.replace("shop", "outer"), "outer/defs")
    inner = nowhere / "inner"
    lay(inner, "", audits)
    (inner / file).write_text(settings)
    monkeypatch.chdir(inner / audits)

    found = find_project()

    assert found == (inner, inner / audits)
    assert Home.from_environment().root == inner / ".evaluator"


@pytest.mark.parametrize(
    "settings",
    ["", "[tool.ruff]\n", '[tool.dg]\ndirectory_type = "workspace"\n[tool.dg.workspace]\n'],
)
def test_what_is_no_project_is_passed_over(settings: str, nowhere: Path) -> None:
    (nowhere / "pyproject.toml").write_text(settings)

    assert find_project() is None
    assert Home.from_environment().root == nowhere / ".evaluator"


def test_in_the_source_checkout_those_are_meant_that_ship() -> None:
    assert find_project(PROJECT / "evaluator" / "defs") is None


def test_settings_that_cannot_be_read_are_told(nowhere: Path) -> None:
    (nowhere / "pyproject.toml").write_text("[tool.dg\n")

    with pytest.raises(UsageError, match=r"pyproject.toml: it cannot be read as TOML"):
        find_project()


def test_a_project_that_is_named_is_meant_and_its_state_lies_in_it_unless_said_otherwise(
    call_command: Call, nowhere: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(lay(nowhere / "one"))
    two = lay(tmp_path / "two")

    answer = call_command("--project", str(two), "run", "loans")
    assert f"{two}/.evaluator/landing/loans" in answer.err

    monkeypatch.setenv("EVALUATOR_HOME", "")
    monkeypatch.setenv("EVALUATOR_PROJECT", "../../two")
    assert find_project() == (two, two / "shop" / "defs")
    monkeypatch.setenv("EVALUATOR_HOME", str(tmp_path / "home"))
    assert Home.from_environment().root == tmp_path / "home"


def test_a_folder_that_is_no_project_is_wrong_use(call_command: Call, nowhere: Path) -> None:
    answer = call_command("--project", str(nowhere), "run", "loans")

    assert answer.code == 2
    assert answer.err.startswith(f"Error: {nowhere}: it is no project: ")
    assert "`evaluator init" in answer.err


def test_an_unknown_audit_is_answered_with_where_was_looked_and_how_one_is_made(
    call_command: Call, nowhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shipped = call_command("run", "other").err
    assert "use one of delay, flights, language, sales" in shipped
    assert "`evaluator init DIR --from FILE`" in shipped

    monkeypatch.chdir(lay(nowhere / "one"))
    own = call_command("run", "other").err
    assert f"use one of loans, which are those in {nowhere / 'one' / 'shop' / 'defs'}" in own
    assert "`evaluator new other --from FILE`" in own


def test_the_demo_is_of_the_audits_that_ship_in_a_project_too(
    call_command: Call, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("evaluator.demo.prepare", lambda *_: None)

    assert f"{project}/.evaluator/landing/sales" in call_command("demo", "sales").err


def groups_of(definitions: dg.Definitions) -> set[str | None]:
    graph = definitions.resolve_asset_graph()
    return {graph.get(key).group_name for key in graph.get_all_asset_keys()}


def test_what_evaluator_starts_loads_the_audits_of_the_project_and_nothing_else(
    nowhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = lay(nowhere / "one")
    (root / "shop" / "defs" / "other").mkdir()
    (root / "shop" / "defs" / "other" / "defs.yaml").write_text("type: dagster.Anything\n")
    monkeypatch.setenv("EVALUATOR_PROJECT", str(root))

    assert groups_of(evaluator_definitions()) == {"loans"}


def test_in_a_dagster_of_the_users_own_an_audit_stands_beside_their_assets_with_its_own_state(
    call_command: Call,
    project: Path,
    cases: str,
    load_as_dagster: Callable[[Path, str], dg.Definitions],
) -> None:
    assert call_command("new", "loans", "--from", cases).code == 0
    (project / "my_audits" / "defs" / "theirs.py").write_text(ASSET)

    definitions = load_as_dagster(project, "my_audits")

    assert groups_of(definitions) == {"loans", "default"}
    assert definitions.executor is None
    home = (definitions.resources or {})["evaluator_home"].home()
    assert home.root == project / ".evaluator"
    (landing,) = (sensor for sensor in definitions.sensors or () if sensor.name == "loans_landing")
    context = dg.build_sensor_context(definitions=definitions)
    assert isinstance(landing, dg.SensorDefinition)
    assert "snapshot" in str(landing.evaluate_tick(context).cursor)


def test_a_project_is_made_with_an_audit_of_a_file_that_runs(
    call_command: Call, nowhere: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [("case", "region", "ok"), *((case[0], case[1], case[4]) for case in CASES)]
    file = write_csv(tmp_path / "Loans 2026-01-01.csv", rows)

    made = call_command("init", "My Audits", "--from", file, "--label", "ok")
    assert made.code == 0
    assert "Next:\n  cd 'My Audits'\n  evaluator run loans\n" in made.out
    monkeypatch.chdir(nowhere / "My Audits" / "my_audits")

    answer = call_command("run", "loans")
    assert answer.code == 0
    assert "1 of 1 days accepted, 120 rows" in answer.out
    landed = nowhere / "My Audits" / ".evaluator" / "landing" / "loans" / "Loans 2026-01-01.csv"
    assert landed.read_bytes() == Path(file).read_bytes()
    # What is the user's is as they have it; what may hold personal data is its owner's alone.
    assert landed.stat().st_mode & 0o077 == 0
    assert list(nowhere.iterdir()) == [nowhere / "My Audits"]


@pytest.mark.parametrize("name", ["2026", "evaluator", "json", "class", "prüfung", "_", "a+b"])
def test_a_folder_whose_name_can_be_no_package_is_refused(
    name: str, call_command: Call, nowhere: Path
) -> None:
    answer = call_command("init", name)

    assert answer.code == 2
    assert "the folder's name becomes a package's, and" in answer.err
    assert list(nowhere.iterdir()) == []


def test_a_folder_with_something_in_it_is_refused(call_command: Call, nowhere: Path) -> None:
    (nowhere / "mine").mkdir()
    (nowhere / "mine" / "notes.txt").write_text("")

    assert "something is there already" in call_command("init", "mine").err
    assert "something is there already" in call_command("init", "mine/notes.txt").err
    assert [path.name for path in (nowhere / "mine").iterdir()] == ["notes.txt"]


def test_a_file_of_which_no_audit_can_be_made_leaves_nothing_behind(
    call_command: Call, cases: str, nowhere: Path
) -> None:
    answer = call_command("init", "mine", "--from", cases, "--label", "Fall_Nr")

    assert answer.code == 2
    assert "120 different texts hardly repeat" in answer.err
    assert "--task multiclass" in answer.err
    assert list(nowhere.iterdir()) == []


def spec_of(project: Path, name: str) -> AuditSpec:
    return load_audit(name, project / "my_audits" / "defs").spec


def test_recordings_are_declared_as_they_are_found_and_put_where_they_are_looked_for(
    call_command: Call, cases: str, project: Path, tmp_path: Path
) -> None:
    scores = [(case[0], f"{n / 120:.3f}".replace(".", ",")) for n, case in enumerate(CASES)]
    decisions = [(case[0], case[1], "yes" if n % 2 else "no") for n, case in enumerate(CASES)]
    model = write_csv(tmp_path / "Model v2.csv", [("Fall_Nr", "p_ja"), *scores], ";")
    rule = write_csv(tmp_path / "rule.csv", [("case", "Region", "decision"), *decisions[:100]])
    sliced = ("--geography", "Region", "--segment", "Kunde", "--label", "bewilligt")

    recorded = ("--recorded", model, "--recorded", rule)
    answer = call_command("new", "loans", "--from", cases, *sliced, *recorded)

    assert answer.code == 0, answer.err
    assert answer.out.endswith("Next:\n  evaluator run loans\n")
    spec = spec_of(project, "loans")
    assert spec.label is not None
    assert (spec.label.positive, spec.label.negative, spec.data.files) == (
        "ja",
        "nein",
        "Fälle.csv",
    )
    first, second = (candidate.model_dump(exclude_unset=True) for candidate in spec.candidates)
    assert first == {
        "name": "model_v2",
        "kind": "recorded",
        "baseline": True,
        # With commas in its numbers a candidate could not read it.
        "path": "recordings/loans/model_v2.parquet",
        "id": "Fall_Nr",
        "score": "p_ja",
    }
    assert second == {
        "name": "rule",
        "kind": "recorded",
        "path": "recordings/loans/rule.csv",
        "id": "case",
        "score": None,
        "prediction": "decision",
        "label_values": {"positive": "yes", "negative": "no"},
    }
    text = (project / "my_audits" / "defs" / "loans" / "defs.yaml").read_text()
    assert "# unsure: of the 120 cases it has 100" in text
    home = project / ".evaluator"
    assert (home / "recordings/loans/rule.csv").read_bytes() == Path(rule).read_bytes()
    assert (home / "recordings/loans/model_v2.parquet").is_file()


def test_a_copy_of_the_truth_beside_scores_is_not_taken_for_decisions(
    call_command: Call, cases: str, project: Path, tmp_path: Path
) -> None:
    rows = [(case[0], n / 120, case[4]) for n, case in enumerate(CASES)]
    file = write_csv(tmp_path / "a.csv", [("Fall_Nr", "score", "bewilligt"), *rows])
    sliced = ("--geography", "Region", "--segment", "Kunde", "--label", "bewilligt")

    call_command("new", "loans", "--from", cases, *sliced, "--recorded", file)

    (candidate,) = spec_of(project, "loans").candidates
    assert candidate.model_dump(include={"prediction", "label"}) == {
        "prediction": None,
        "label": "bewilligt",
    }


def test_of_the_data_s_own_file_the_scores_are_what_was_recorded(
    call_command: Call, project: Path, tmp_path: Path
) -> None:
    rows = [(case[0], n / 120, case[4]) for n, case in enumerate(CASES)]
    file = write_csv(tmp_path / "all.csv", [("Fall_Nr", "said", "bewilligt"), *rows])

    call_command("new", "loans", "--from", file, "--label", "bewilligt", "--recorded", file)

    (candidate,) = spec_of(project, "loans").candidates
    assert candidate.model_dump(include={"score", "prediction", "label"}) == {
        "score": "said",
        "prediction": None,
        "label": "bewilligt",
    }


def test_of_the_data_s_own_file_what_is_called_predicted_is_what_was_recorded(
    call_command: Call, project: Path, tmp_path: Path
) -> None:
    rows = [(f"K{n:03}", n / 4, n / 5, n % 7) for n in range(120)]
    file = write_csv(tmp_path / "all.csv", [("id", "price", "predicted", "month"), *rows])

    call_command("new", "prices", "--from", file, "--label", "price", "--recorded", file)

    (candidate,) = spec_of(project, "prices").candidates
    assert candidate.model_dump(include={"prediction", "label"}) == {
        "prediction": "predicted",
        "label": "price",
    }
    text = (project / "my_audits" / "defs" / "prices" / "defs.yaml").read_text()
    assert "prediction: predicted  # unsure: the data have it, too" in text


def test_the_truth_alone_is_no_recording(call_command: Call, cases: str, project: Path) -> None:
    rows = [(case[0], case[4]) for case in CASES]
    file = write_csv(project / "a.csv", [("Fall_Nr", "bewilligt"), *rows])
    given = ("--from", cases, "--label", "bewilligt", "--recorded", file)

    answer = call_command("new", "loans", *given)

    assert answer.code == 1
    assert "its column 'bewilligt' holds the truth itself" in answer.err
    write_csv(project / "a.csv", [("Fall_Nr", "bewilligt"), *rows[:-1], (rows[-1][0], "nein")])
    assert call_command("new", "loans", *given).code == 0


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([(case[0], "perhaps") for case in CASES], "holds probabilities"),
        ([(f"X{n}", n / 9) for n in range(9)], "holds any case's 'Fall_Nr'"),
    ],
)
def test_a_recording_that_records_nothing_of_use_is_refused_and_nothing_is_made(
    rows: list[tuple[Any, ...]], words: str, call_command: Call, cases: str, project: Path
) -> None:
    file = write_csv(project / "a.csv", [("Fall_Nr", "said"), *rows])

    answer = call_command(
        "new", "loans", "--from", cases, "--label", "bewilligt", "--recorded", file
    )

    assert answer.code == 1
    assert words in answer.err
    assert not (project / ".evaluator").exists()
    assert not (project / "my_audits" / "defs" / "loans").exists()


def test_recordings_of_classes_and_of_numbers_are_declared_as_the_task_has_them(
    call_command: Call, project: Path, tmp_path: Path
) -> None:
    kinds = ("a, b", 'c "d"', "e=f")
    rows = [(f"K{n:03}", kinds[n % 3], n / 4) for n in range(120)]
    file = write_csv(tmp_path / "cases.csv", [("id", "kind", "price"), *rows])
    shares = [(row[0], 0.5, 0.25, 0.25, 3) for row in rows]
    # Case and marks of a class are rarely kept in the name of a column.
    columns = ("id", "p_c_d", "p_A_b", "p_E_F", "version")
    model = write_csv(tmp_path / "model.csv", [columns, *shares])
    answers = [(row[0], row[1], 7) for row in rows]
    said = write_csv(tmp_path / "rule.csv", [("id", "decision", "version"), *answers])
    prices = [(row[0], row[2] + 1, 9.5, row[2]) for row in rows]
    priced = write_csv(tmp_path / "prices.csv", [("id", "forecast", "speed", "price"), *prices])

    given = ("--from", file, "--recorded", model, "--recorded", said)
    assert call_command("new", "kinds", *given, "--label", "kind").code == 0
    given = ("--from", file, "--recorded", priced)
    assert call_command("new", "prices", *given, "--label", "price").code == 0

    classes = spec_of(project, "kinds")
    assert classes.task == "multiclass"
    assert classes.asks.classes == kinds
    assert [one.model_dump(include={"scores", "prediction"}) for one in classes.candidates] == [
        {"scores": dict(zip(kinds, ("p_A_b", "p_c_d", "p_E_F"), strict=True)), "prediction": None},
        {"scores": None, "prediction": "decision"},
    ]
    numbers = spec_of(project, "prices")
    assert (numbers.task, numbers.metrics) == ("regression", TASKS["regression"].headline_metrics)
    (candidate,) = numbers.candidates
    assert candidate.model_dump(include={"prediction", "label"}) == {
        "prediction": "forecast",
        "label": "price",
    }
    text = (project / "my_audits" / "defs" / "prices" / "defs.yaml").read_text()
    assert "# unsure: found by its values; speed would do, too" in text
    assert call_command("run", "kinds").code != 1
    assert call_command("run", "prices").code != 1


def test_a_recording_that_lacks_a_class_or_has_another_is_told_which(
    call_command: Call, project: Path, tmp_path: Path
) -> None:
    rows = [(f"K{n:03}", "abc"[n % 3]) for n in range(120)]
    file = write_csv(project / "cases.csv", [("id", "kind"), *rows])
    lacking = [(row[0], 0.5, 0.5) for row in rows]
    lacks = write_csv(tmp_path / "lacks.csv", [("id", "p_a", "p_b"), *lacking])
    others = [(row[0], row[1].replace("c", "d")) for row in rows]
    other = write_csv(tmp_path / "other.csv", [("id", "said"), *others])
    given = ("new", "kinds", "--from", file, "--label", "kind", "--recorded")

    assert "no columns hold a probability for each" in call_command(*given, lacks).err
    assert "'said' has, beside the label's, 'd'" in call_command(*given, other).err


def test_nothing_that_is_there_is_made_anew(call_command: Call, cases: str, project: Path) -> None:
    assert call_command("new", "loans", "--from", cases).code == 0
    again = call_command("new", "loans", "--from", cases)
    assert again.code == 2
    assert "there is something of this name already" in again.err

    landed = project / ".evaluator" / "landing" / "others" / "Fälle.csv"
    landed.parent.mkdir()
    landed.write_text("id\n1\n")
    assert "nothing is overwritten" in call_command("new", "others", "--from", cases).err
    assert landed.read_text() == "id\n1\n"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("Loans-1", "--from", "FILE"), "Error: Loans-1: it names assets, and cannot"),
        (("loans", "--from", "none.csv"), "Error: none.csv: there is no such file"),
        (("loans", "--from", "FILE", "--recorded", "FILE"), "name the column with --label"),
        (("loans", "--from", "LATER"), "which is yet to come"),
    ],
)
def test_what_would_be_no_audit_is_wrong_use(
    arguments: tuple[str, ...], words: str, call_command: Call, cases: str, project: Path
) -> None:
    later = project / "cases-2199-01-01.csv"
    later.write_text("id,v\na,1\nb,2\n")
    files = {"FILE": cases, "LATER": str(later)}

    answer = call_command("new", *(files.get(word, word) for word in arguments))

    assert answer.code == 2
    assert words in answer.err
    assert not (project / ".evaluator").exists()


def test_without_a_project_there_is_no_place_for_an_audit(call_command: Call, cases: str) -> None:
    answer = call_command("new", "loans", "--from", cases)

    assert answer.code == 2
    assert "make a project first, `evaluator init DIR`" in answer.err


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("Kredit-Anträge 2026-01.csv", "kredit_antrage"),
        ("loans-2026-01-31.csv.gz", "loans"),
        ("2nd try.parquet", "a_2nd_try"),
        ("日本.csv", "a"),
    ],
)
def test_an_audit_is_called_as_its_file_in_letters_that_name_assets(file: str, name: str) -> None:
    assert name_from(Path(file)) == name
