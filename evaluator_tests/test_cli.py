"""The `evaluator` command: what it answers, and its exit codes."""

import io
import json
import re
import shutil
import socket
import sqlite3
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import typer.main
import yaml

from evaluator import __version__, cli
from evaluator.cli._display import progress_display
from evaluator.errors import RenamedKeyWarning
from evaluator.orchestration import StoredPage
from evaluator.spec import Audit, AuditSpec, DataSpec, load_audit
from evaluator_tests.conftest import Call
from evaluator_tests.spec.conftest import GOOD

if TYPE_CHECKING:
    from evaluator.orchestration import Display

HEADER = "case_id,country,customer,amount,label\n"
COMMANDS = (
    *("check", "init", "new"),
    *("demo", "run", "validate", "infer", "replay", "prune", "lineage", "ui"),
    *("show", "status", "dashboard", "compare", "doctor"),
    *("verify", "export", "open", "sign-off", "waive", "revoke", "correct", "require"),
    *("keys create", "keys revoke"),
)
GOOD_ROWS = "a,north,new,1.5,0\nb,south,returning,2,1\n"


@pytest.fixture
def audits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of audits with the audit `shop`, and a home of its own."""
    folder = tmp_path / "defs"
    (folder / "shop").mkdir(parents=True)
    (folder / "shop" / "defs.yaml").write_text(GOOD)
    monkeypatch.setattr("evaluator.spec.shipped_audits", lambda: folder)
    monkeypatch.setenv("EVALUATOR_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("EVALUATOR_EVIDENCE", raising=False)
    # The command sets it for the processes that it starts; here it must not stay.
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "home" / "dagster"))
    return folder


@pytest.fixture
def call(audits: Path, call_command: Call) -> Call:
    """Call the command where there is the audit `shop`."""
    assert audits.is_dir()
    return call_command


@pytest.fixture
def file(tmp_path: Path) -> Callable[[str], str]:
    """Write a day's file of the audit `shop`."""

    def make(text: str) -> str:
        path = tmp_path / "cases-2026-01-01.csv"
        path.write_text(text)
        return str(path)

    return make


def test_help_names_commands_and_exit_codes(call: Call) -> None:
    answer = call("--help")

    assert answer.code == 0
    for command in COMMANDS:
        assert f"\n  {command.split()[0]} " in answer.out
    assert "Exit codes: 0" in answer.out
    assert "EVALUATOR_HOME" in answer.out


@pytest.mark.parametrize("group", [(), ("keys",)])
def test_each_command_is_listed_with_a_whole_sentence(group: tuple[str, ...], call: Call) -> None:
    answer = call(*group, "--help")

    listed = answer.out.partition("Commands:\n")[2].partition("\n\n")[0].splitlines()
    assert len(listed) == len(
        {c.split()[len(group)] for c in COMMANDS if c.startswith(" ".join(group))}
    )
    for line in listed:
        assert re.fullmatch(r"  [a-z-]+ +[A-Z][^.]*[^. ]\.", line)


def test_the_version_is_told(call: Call) -> None:
    assert call("--version").out == f"evaluator {__version__}\n"


def test_the_shell_completes_commands(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("_EVALUATOR_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", "evaluator sh")
    monkeypatch.setenv("COMP_CWORD", "1")

    assert call().out.split() == ["show"]


def test_no_command_is_left_out_of_these_tests() -> None:
    def paths(group: Any, *above: str) -> Iterator[str]:
        for name, command in group.commands.items():
            if hasattr(command, "commands"):
                yield from paths(command, *above, name)
            else:
                yield " ".join((*above, name))

    assert sorted(paths(typer.main.get_command(cli.app))) == sorted(COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_with_an_example(command: str, call: Call) -> None:
    answer = call(*command.split(), "--help")

    assert answer.code == 0
    assert f"Usage: evaluator {command}" in answer.out
    assert re.search(rf"Examples?: evaluator\s+{command}\b", answer.out)


def test_the_installed_command_answers() -> None:
    program = Path(sys.executable).with_name("evaluator")

    done = subprocess.run([program, "--help"], capture_output=True, text=True, check=True)

    assert "validate" in done.stdout


@pytest.mark.parametrize(
    "arguments",
    [
        ("nonsense",),
        ("run",),
        ("run", "shop", "--nonsense"),
        ("run", "shop", "--candidate"),
        ("validate", "shop"),
        ("demo", "--days", "many"),
    ],
)
def test_words_that_are_no_command_are_wrong_use(arguments: tuple[str, ...], call: Call) -> None:
    answer = call(*arguments)

    assert answer.code == 2
    assert "Usage: evaluator" in answer.err or "requires an argument" in answer.err
    assert "Traceback" not in answer.err


@pytest.mark.parametrize("arguments", [("run", "shops"), ("validate", "shops", "x.csv")])
def test_an_unknown_audit_is_wrong_use_and_is_answered_with_those_there_are(
    arguments: tuple[str, ...], call: Call
) -> None:
    answer = call(*arguments)

    assert answer.code == 2
    assert answer.err.startswith(
        "Error: shops: there is no such audit. To mend it: use one of shop"
    )
    assert "Traceback" not in answer.err


@pytest.mark.parametrize("command", [("run", "shop"), ("validate", "shop", "x.csv")])
def test_a_wrong_yaml_is_told_with_file_line_key_and_fix(
    command: tuple[str, ...], call: Call, audits: Path
) -> None:
    path = audits / "shop" / "defs.yaml"
    path.write_text(GOOD.replace("segment: customer", "segmant: customer"))

    answer = call(*command)

    assert answer.code == 2
    assert f"{path}:15: segmant: there is no such key" in answer.err
    assert "did you mean `segment`?" in answer.err
    assert "Traceback" not in answer.err


@pytest.mark.parametrize("days", ["0", "93"])
def test_days_that_the_demo_has_not_are_wrong_use(days: str, call: Call) -> None:
    answer = call("demo", "--days", days)

    assert answer.code == 2
    assert "ask for 1 to 92" in answer.err


@pytest.mark.parametrize(
    ("option", "value", "fix"),
    [
        ("--candidate", "three", "use one of one, two"),
        ("--geography", "east", "use one of north, south"),
        ("--segment", "lost", "use one of new, returning"),
    ],
)
def test_a_part_that_the_audit_has_not_is_wrong_use(
    option: str, value: str, fix: str, call: Call
) -> None:
    answer = call("run", "shop", option, value)

    assert answer.code == 2
    assert f"Error: {option} {value}: the audit shop has no such {option[2:]}" in answer.err
    assert fix in answer.err
    assert "Traceback" not in answer.err


def test_a_good_file_is_answered_with_its_report(
    call: Call, file: Callable[[str], str], tmp_path: Path
) -> None:
    answer = call("validate", "shop", file(HEADER + GOOD_ROWS))

    assert answer.code == 0
    assert "cases-2026-01-01.csv" in answer.out
    # It is only looked at.
    assert not (tmp_path / "home").exists()


@pytest.mark.parametrize(
    "text",
    [
        HEADER + GOOD_ROWS + "c,west,new,1,0\n",
        "case_id,country\na,north\n",
        "",
        "\x00\x01\x02",
    ],
)
def test_a_refused_file_is_answered_with_its_report_and_1(
    text: str, call: Call, file: Callable[[str], str]
) -> None:
    answer = call("validate", "shop", file(text))

    assert answer.code == 1
    assert "cases-2026-01-01.csv" in answer.out
    assert answer.err == ""


@pytest.mark.parametrize(
    ("name", "said"),
    [("nothing.csv", "there is no such file"), (".", "it is a folder"), ("", "it is a folder")],
)
def test_what_is_no_file_is_wrong_use(name: str, said: str, call: Call, tmp_path: Path) -> None:
    path = str(tmp_path / name)

    answer = call("validate", "shop", path)

    assert answer.code == 2
    assert said in answer.err
    assert path.rstrip("/") in answer.err


def break_the_reading(monkeypatch: pytest.MonkeyPatch) -> None:
    def fault(*_: object, **__: object) -> AuditSpec:
        raise RuntimeError("the disk is full")

    monkeypatch.setattr("evaluator.spec.load_audit", fault)


def test_a_fault_is_told_as_one_without_a_traceback(
    call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    break_the_reading(monkeypatch)

    answer = call("run", "shop")

    assert answer.code == 3
    assert "RuntimeError: the disk is full" in answer.err
    assert "--debug" in answer.err
    assert "Traceback" not in answer.err


def test_what_ended_too_early_is_a_fault_and_nobody_aborted(
    call: Call, file: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def end(*_: object, **__: object) -> None:
        raise EOFError("the other side is gone")

    monkeypatch.setattr("evaluator.intake.ingest", end)
    answer = call("validate", "shop", file(HEADER + GOOD_ROWS))
    assert answer.code == 3
    assert "ended too early (the other side is gone)" in answer.err
    assert "Aborted" not in answer.err


def test_a_question_that_nobody_answers_is_told_in_a_sentence(
    call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    monkeypatch.setattr("evaluator.orchestration.find_prunable", lambda *_: Unneeded())
    monkeypatch.setattr("evaluator.orchestration.format_pruning_plan", lambda _: ["one file"])
    answer = call("prune", "shop")
    assert answer.code == 2
    assert "nobody answers" in answer.err
    assert "--yes" in answer.err


class Unneeded:
    """A plan by which something would be removed."""

    is_empty = False


@pytest.mark.parametrize("place", [0, 1, 2])
def test_debug_shows_where_a_fault_was_raised(
    place: int, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    break_the_reading(monkeypatch)
    words = ["run", "shop"]
    words.insert(place, "--debug")

    answer = call(*words)

    # The exit code says the same with it: 1 would say that nothing was certified.
    assert answer.code == 3
    assert "Traceback (most recent call last)" in answer.err
    assert "in break_the_reading" not in answer.err
    assert "in fault" in answer.err


def test_debug_shows_where_a_users_mistake_was_found(call: Call) -> None:
    answer = call("--debug", "run", "nothing")

    assert answer.code == 2
    assert "Traceback (most recent call last)" in answer.err
    assert answer.err.splitlines()[-1].startswith("Error: nothing: there is no such audit")


def test_an_audit_for_which_no_file_arrived_says_where_to_put_them(
    call: Call, tmp_path: Path
) -> None:
    answer = call("run", "shop")

    assert answer.code == 2
    landing = tmp_path / "home" / "landing" / "shop"
    assert f"no file has arrived in {landing}" in answer.err
    assert "cases-{date}.csv" in answer.err


# The words, what is said about what, and how it is mended.
MISTAKES = (
    ("demo nothing", "nothing: there is no such example", "use one of flights, delay, la"),
    ("demo language --days 2", "--days 2: the texts are of no day", "leave it out"),
    ("demo sales --days 15", "--days 15: ", "ask for 1 to 14"),
    ("infer gone.csv", "gone.csv: there is no such file", "check its name"),
    ("infer folder", "folder: it is a folder", "name a file in it"),
    ("check gone.csv", "gone.csv: there is no such file", "check its name"),
    ("check folder", "folder: it is a folder", "name a file in it"),
    ("check cases.csv --label z", "--label z: the file has no column 'z'", "name one of: id, y, p"),
    ("check cases.csv --label y --score q", "--score q: the file has no column", "name one of:"),
    ("check cases.csv --label y --score id", "no probabilities, such as 2", "from 0 to 1"),
    ("check cases.csv --label y --prediction p", "('0.4', '0.5')", "values ('0', '1')"),
    ("check cases.csv --label p --score p", "the label already", "name another column"),
    (
        "check cases.csv --label y --score p --html folder",
        "folder: no file can be written there",
        "name a file in a folder that is there",
    ),
    ("init full", "something is there already", "name a new folder, or an empty one"),
    ("init new --from gone.csv", "gone.csv: there is no such file", "check its name"),
    ("new shop --from cases.csv", "there is no project", "`evaluator init DIR`"),
    ("run shop --candidate z", "--candidate z: the audit shop has no", "use one of one, two"),
    ("run shop --geography z", "--geography z: the audit shop has no such", "use one of north,"),
    ("validate shop folder", "folder: it is a folder", "name a file in it"),
    ("replay shop 2026-01-01", "say what to do", "either --quarantine FILE or --mended FILE"),
    ("replay shop 2026-11-31 --mended cases.csv", "no such day", "2026-01-01 to"),
    ("replay shop yesterday --mended cases.csv", "no such day", "written like these"),
    ("replay shop 2026-01-01 --mended folder", "folder: it is a folder", "name a file in it"),
    ("lineage shop scorecard --format z", "there is no format 'z'", "name one of: text, json"),
    ("show shop/z", "shop/z: the audit shop has no such candidate", "use one of one, two"),
    ("status z", "z: there is no such audit", "use one of shop"),
    ("compare shop a b", "shop/a: the audit shop has no such candidate", "use one of one, two"),
    ("open shop", "shop: it has no page yet", "run it, `evaluator run shop`"),
    ("dashboard shop --pdf folder", "folder: no file can be written there", "name a file in a"),
    ("open shop/one", "cases go to a file", "for its page an audit's name alone"),
    ("open shop --challenge word", "a challenge chooses them", "give both FILE and --challenge"),
    ("verify folder", "folder: it holds no certificate", "name an exported folder"),
    ("verify shop/z", "no certificate for this candidate", "`evaluator run shop`"),
    ("verify mail.dsse.json --key gone.pem", "gone.pem: the trusted keys", "check the path"),
    ("require shop z", "z: the audit shop has no such candidate", "use one of one, two"),
    ("export shop/z out", "no certificate for this candidate", "`evaluator run shop`"),
    ("sign-off z --by A --reason r", "z: there is no such certificate", "AUDIT/CANDIDATE"),
    ("revoke mail.dsse.json --by A --reason r", "no DSSE envelope", "get the certificate again"),
    ("keys create a/b", "cannot be the name of a file", "give a plain name"),
    ("keys create a --folder cases.csv", "nothing can be written there", "name another folder"),
    ("prune z", "z: there is no such audit", "use one of shop"),
)


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda mistake: mistake[0])
def test_a_mistake_is_answered_with_what_is_wrong_and_how_to_mend_it(
    mistake: tuple[str, str, str], call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words, said, fix = mistake
    monkeypatch.chdir(tmp_path)
    for name in ("folder", "full"):
        (tmp_path / name).mkdir()
    (tmp_path / "full" / "a").touch()
    (tmp_path / "cases.csv").write_text("id,y,p\n1,1,0.5\n2,0,0.4\n")
    (tmp_path / "mail.dsse.json").write_text("{}")

    answer = call(*words.split())

    # What is there and is no evidence is a fault, and all else wrong use.
    assert answer.code == (3 if words.startswith(("verify folder", "revoke")) else 2)
    problem, _, mended = answer.err.partition(" To mend it: ")
    assert problem.startswith("Error: ")
    assert said in problem
    assert fix in mended
    # Nobody reads a name of the program's own, nor two full stops.
    assert not re.search(r"Traceback|Error:.*Error|evaluator\.\w|\.py\b|\.\. ", answer.err)


def test_validate_prints_everything_as_json_too(call: Call, file: Callable[[str], str]) -> None:
    answer = call("validate", "shop", file(HEADER + GOOD_ROWS), "--json")

    assert answer.code == 0
    assert json.loads(answer.out)["rows"]["typed"] == 2


def test_validate_writes_refused_rows_for_a_spreadsheet(
    call: Call, file: Callable[[str], str], tmp_path: Path
) -> None:
    out = tmp_path / "rows.csv"

    answer = call(
        "validate", "shop", file(f"{HEADER}=1+1,north,new,x,0\n"), "--quarantine", str(out)
    )

    assert answer.code == 1
    assert "'=1+1,north,new,x,0" in out.read_text()


def test_infer_writes_a_data_section_that_loads(call: Call, file: Callable[[str], str]) -> None:
    answer = call("infer", file(HEADER + GOOD_ROWS))

    assert answer.code == 0
    data = DataSpec.model_validate(yaml.safe_load(answer.out)["data"])
    assert list(data.columns) == HEADER.strip().split(",")
    assert data.columns["amount"].type == "float"


def test_infer_gives_the_same_section_as_json(call: Call, file: Callable[[str], str]) -> None:
    path = file(HEADER + GOOD_ROWS)

    as_yaml, as_json = call("infer", path).out, call("infer", path, "--json").out

    found, same = yaml.safe_load(as_yaml)["data"], json.loads(as_json)["data"]
    assert DataSpec.model_validate(same) == DataSpec.model_validate(found)


def test_what_would_be_removed_is_told_as_json_and_nobody_is_asked(call: Call) -> None:
    answer = call("prune", "shop", "--json")

    assert answer.code == 0
    plan = json.loads(answer.out)
    assert (plan["removed"], plan["superseded"], plan["incomplete"]) == (False, [], [])


def test_without_an_audit_the_list_of_all_is_opened(
    call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []
    monkeypatch.setattr("webbrowser.open", lambda url: opened.append(url) or True)

    answer = call("open")

    page = Path(answer.out.strip())
    assert opened == [page.as_uri()]
    assert ">shop<" in page.read_text()


def test_infer_passes_over_a_line_that_takes_json_down(call: Call, tmp_path: Path) -> None:
    path = tmp_path / "cases.jsonl"
    path.write_text('{"case_id": "a"}\n' + "[" * 100_000 + "\n" + f'{{"n": {"9" * 6_000}}}\n')

    answer = call("infer", str(path))

    assert answer.code == 0
    assert list(yaml.safe_load(answer.out)["data"]["columns"]) == ["case_id"]


def test_a_day_of_an_audit_that_has_not_begun_is_wrong_use(
    call: Call, audits: Path, tmp_path: Path
) -> None:
    (audits / "shop" / "defs.yaml").write_text(GOOD.replace("2026-01-01", "2199-01-01"))

    answer = call("replay", "shop", "2026-01-01", "--quarantine", str(tmp_path / "rows.csv"))

    assert answer.code == 2
    assert "wait for the first one, 2199-01-01" in answer.err


def test_infer_says_why_a_file_cannot_be_read(call: Call, tmp_path: Path) -> None:
    empty = tmp_path / "empty.csv"
    empty.write_text("")

    answer = call("infer", str(empty))

    assert answer.code == 1
    assert "empty.csv" in answer.err
    assert "To mend it" in answer.err


@pytest.mark.parametrize(
    "command",
    [
        ("show", "shop"),
        ("show", "shop/one", "--json"),
        ("compare", "shop", "one", "two"),
        ("open", "shop"),
    ],
)
def test_to_look_at_an_audit_that_never_ran_is_wrong_use_and_leaves_nothing(
    command: tuple[str, ...], call: Call, tmp_path: Path
) -> None:
    answer = call(*command)

    assert answer.code == 2
    assert answer.out == ""
    assert "run it, `evaluator run shop`" in answer.err
    assert not (tmp_path / "home").exists()


@pytest.mark.parametrize("half", [("cases.json",), ("--challenge", "their word")])
def test_cases_are_shown_in_a_file_and_by_a_challenge(half: tuple[str, ...], call: Call) -> None:
    answer = call("open", "shop/one", *half)

    assert answer.code == 2
    assert "give both FILE and --challenge" in answer.err


@pytest.mark.parametrize("is_opened", [True, False])
def test_a_page_is_opened_in_the_browser_and_its_path_is_told(
    *, is_opened: bool, call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = tmp_path / "a page.html"
    page.touch()
    opened: list[str] = []
    monkeypatch.setattr("evaluator.orchestration.page_of", lambda _: StoredPage(str(page), b""))
    monkeypatch.setattr("webbrowser.open", lambda url: opened.append(url) or is_opened)

    answer = call("open", "shop")

    assert (answer.code, answer.out) == (0, f"{page}\n")
    assert opened == [page.as_uri()]
    assert ("open it yourself" in answer.err) is not is_opened


@pytest.fixture
def page(monkeypatch: pytest.MonkeyPatch) -> None:
    """The audit has a page."""
    stored = StoredPage("there/page.html", b"<h1>The answer</h1>")
    monkeypatch.setattr("evaluator.orchestration.page_of", lambda _: stored)


@pytest.mark.usefixtures("page")
def test_it_is_said_where_the_page_lies(call: Call) -> None:
    assert call("dashboard", "shop").out == "there/page.html\n"


@pytest.mark.slow
@pytest.mark.usefixtures("page")
def test_the_page_is_printed_where_there_is_a_chromium(call: Call, tmp_path: Path) -> None:
    target = tmp_path / "shop.pdf"

    answer = call("dashboard", "shop", "--pdf", str(target))

    assert (answer.code, answer.out) == (0, f"The page is printed in {target}.\n")
    assert target.read_bytes().startswith(b"%PDF-")


@pytest.mark.parametrize(
    ("content", "code", "said"),
    [(None, 2, "no browser that prints is installed"), ("exit 7", 3, "it ended with 7")],
)
@pytest.mark.usefixtures("page")
def test_without_a_browser_that_prints_the_page_is_not_printed(
    content: str | None, code: int, said: str, call: Call, tmp_path: Path
) -> None:
    program = tmp_path / "chromium"
    if content is not None:
        program.write_text(f"#!/bin/sh\n{content}\n")
        program.chmod(0o755)
    target = tmp_path / "shop.pdf"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", str(tmp_path))
        answer = call("dashboard", "shop", "--pdf", str(target))

    assert answer.code == code
    assert said in answer.err
    assert "in your own browser" in answer.err
    assert not target.exists()


def test_the_status_names_every_audit_also_one_that_does_not_load_and_leaves_nothing(
    call: Call, audits: Path, tmp_path: Path
) -> None:
    (audits / "wrong").mkdir()
    (audits / "wrong" / "defs.yaml").write_text("]")

    answer = call("status")
    found = {one["audit"]: one for one in json.loads(call("status", "--json").out)}

    assert answer.code == 0
    assert re.search(
        r"^shop +none +none +`evaluator run shop`: nothing was taken", answer.out, re.MULTILINE
    )
    assert re.search(
        r"^wrong +none +none +see below\n  problem: .*it cannot be read", answer.out, re.MULTILINE
    )
    assert found["shop"]["last_day"] is None
    assert "it cannot be read as YAML" in found["wrong"]["problem"]
    assert not (tmp_path / "home").exists()


def test_the_status_of_an_audit_that_is_none_is_wrong_use(call: Call) -> None:
    answer = call("status", "shops")

    assert answer.code == 2
    assert "shops: there is no such audit" in answer.err


def test_the_status_is_told_without_dagster(audits: Path) -> None:
    program = (
        "import sys\n"
        "from datetime import UTC, datetime\n"
        "from pathlib import Path\n"
        "from evaluator.orchestration import Home, read_statuses\n"
        "home = Home.from_environment()\n"
        "read_statuses(['shop'], Path(sys.argv[1]), home, datetime.now(UTC))\n"
        "print(sorted({'dagster', 'mlflow', 'polars', 'sklearn'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(audits)], capture_output=True, text=True, check=True
    )

    assert done.stdout == "[]\n"


def test_replay_of_a_day_that_was_not_taken_in_is_wrong_use(call: Call, tmp_path: Path) -> None:
    answer = call("replay", "shop", "2026-01-01", "--quarantine", str(tmp_path / "rows.csv"))

    assert answer.code == 2
    assert "was not taken in" in answer.err
    assert not (tmp_path / "rows.csv").exists()


@pytest.mark.filterwarnings("default::evaluator.errors.RenamedKeyWarning")
def test_a_key_in_its_former_spelling_is_told_once_in_a_sentence(
    call: Call, audits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = audits / "shop" / "defs.yaml"
    path.write_text(GOOD.replace("at_least: 0.5}", "at_least: 0.5, says: It is asked for}"))
    (tmp_path / "rows.csv").write_text("case_id,country,customer,amount,label\n" + GOOD_ROWS)

    def read_twice(name: str, folder: Path) -> Audit:
        load_audit(name, folder)
        # Python forgets what it showed whenever somebody changes a filter, as imports do.
        warnings.simplefilter("default", RenamedKeyWarning)
        return load_audit(name, folder)

    monkeypatch.setattr("evaluator.spec.load_audit", read_twice)

    answer = call("validate", "shop", str(tmp_path / "rows.csv"))

    assert answer.code == 0
    assert answer.err == (
        f"Warning: {path}:25: gates.0.says: `says` is called `rationale` now."
        " The former spelling still counts.\n"
    )


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The ports that the UI would listen on."""
    ports: list[int] = []
    monkeypatch.setattr(
        "evaluator.orchestration.serve", lambda _home, port, _say: ports.append(port)
    )
    return ports


@pytest.fixture
def port() -> Iterator[int]:
    """A port on which somebody listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.fixture
def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        found: int = server.getsockname()[1]
    return found


def test_the_ui_listens_where_it_is_told_to(started: list[int], free_port: int, call: Call) -> None:
    assert call("ui", "--port", str(free_port)).code == 0
    assert started == [free_port]


def test_a_busy_port_is_told_before_anything_is_started(
    started: list[int], port: int, call: Call
) -> None:
    answer = call("ui", "--port", str(port))

    assert answer.code == 2
    assert answer.err.startswith(f"Error: --port {port}: the UI cannot listen there")
    assert "To mend it: end what listens there, or name another one" in answer.err
    assert answer.err.count("\n") == 1
    assert started == []


@pytest.mark.parametrize("port", ["0", "65536", "-1", "many"])
def test_what_is_no_port_is_wrong_use(port: str, started: list[int], call: Call) -> None:
    answer = call("ui", "--port", port)

    assert answer.code == 2
    assert "--port" in answer.err
    assert started == []


class Terminal(io.StringIO):
    """What stands where standard error goes to a terminal."""

    def isatty(self) -> bool:
        """Be one."""
        return True


def show_a_run(display: "Display") -> None:
    display.plan("Intake", "forest", "rule", "gone", "Reports")
    for _ in range(2):
        with display.stage("Intake", 3, "day"):
            pass
        display.fail("Intake")
    with display.stage("forest", 2, "slice") as advance, display.stage("rule", 1, "slice"):
        advance()
    display.skip("forest", "nothing left to do")
    display.skip("gone", "it has no artifact")


def test_without_a_terminal_progress_is_a_line_a_stage(capfd: pytest.CaptureFixture[str]) -> None:
    def stop() -> None:
        with progress_display() as display:
            show_a_run(display)
            with display.stage("Loading", 1, "file"):
                raise KeyError

    with pytest.raises(KeyError):
        stop()
    told = re.sub(r"\d+\.\d s", "T", capfd.readouterr().err)
    assert told.splitlines() == [
        "Intake: 3 days, T, not all of it succeeded",
        "rule: 1 slice, T",
        "forest: 2 slices, T",
        "gone: it has no artifact",
        "Loading: stopped",
        "Reports: not begun",
    ]


def test_in_a_terminal_each_candidate_has_a_row_and_nothing_goes_on_turning(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    with progress_display() as display:
        show_a_run(display)
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", terminal.getvalue())
    last = [" ".join(line.split()[:-1]) for line in plain.replace("\r", "\n").splitlines()[-5:]]
    assert last == [
        "✗ Intake not all of it succeeded",
        "✓ forest 2 slices",
        "✓ rule 1 slice",
        "- gone it has no artifact",
        "- Reports not begun",
    ]
    assert "-:--:--" not in "".join(plain.splitlines()[-5:])


def test_quietly_no_progress_is_shown(capfd: pytest.CaptureFixture[str]) -> None:
    with progress_display(quiet=True) as display:
        show_a_run(display)
    assert capfd.readouterr() == ("", "")


def test_where_all_is_well_the_doctor_has_nothing_to_mend_and_leaves_nothing(
    free_port: int, call: Call, tmp_path: Path
) -> None:
    answer = call("doctor", "--port", str(free_port))

    assert answer.code == 0, answer.out
    assert all(line.startswith("ok ") for line in answer.out.splitlines())
    assert not (tmp_path / "home").exists()


def test_the_doctor_says_what_is_wrong_and_how_to_mend_it(
    port: int, call: Call, audits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (audits / "wrong").mkdir()
    (audits / "wrong" / "defs.yaml").write_text("]")
    home = tmp_path / "home"
    for folder in ("dagster/history", "mlflow"):
        (home / folder).mkdir(parents=True)
    # Whatever the umask is, one folder alone is open to all.
    for folder in home.iterdir():
        folder.chmod(0o700)
    home.chmod(0o777)
    (home / "dagster" / "dagster.yaml").write_text("")
    (home / "dagster" / "history" / "runs.db").write_text("no database " * 100)
    sqlite3.connect(home / "mlflow" / "mlflow.db").close()
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setenv("EVALUATOR_SIGNING_KEY_FILE", str(tmp_path / "gone.pem"))

    told = call("doctor", "--port", str(port), "--json")

    assert told.code == 1
    found = {one["what"]: one for one in json.loads(told.out)}
    problems = {what for what, one in found.items() if one["fix"] is not None}
    wrong = ("audit wrong", "permissions", "signing key", "Dagster", "database runs.db")
    assert problems == {*wrong, f"port {port}"}
    assert "it cannot be read as YAML" in found["audit wrong"]["found"]
    assert found["permissions"]["fix"] == f"`chmod go= {home}`"
    assert str(tmp_path / "gone.pem") in found["signing key"]["found"]
    assert "is damaged" in found["database runs.db"]["found"]
    assert found["database mlflow.db"]["found"] == "whole"
    lines = call("doctor", "--port", str(port)).out.splitlines()
    assert sum(line.startswith("PROBLEM  ") and "To mend it: " in line for line in lines) == 6


def test_the_doctor_says_where_there_is_too_little_room(
    free_port: int, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    full = shutil.disk_usage("/")._replace(free=10**8)
    monkeypatch.setattr("shutil.disk_usage", lambda _: full)

    answer = call("doctor", "--port", str(free_port))

    assert answer.code == 1
    assert re.search(r"^PROBLEM +disk +0.1 GB are free at .*make room", answer.out, re.MULTILINE)


def test_a_second_ui_over_one_state_is_refused(
    started: list[int], free_port: int, call: Call, tmp_path: Path
) -> None:
    assert call("ui", "--port", str(free_port)).code == 0
    started.clear()

    answer = call("ui", "--port", str(free_port))

    assert answer.code == 2
    assert f"{tmp_path / 'home'}: a UI with its daemon runs over this state already" in answer.err
    assert started == []
    # To have one is no problem.
    examined = call("doctor", "--port", str(free_port))
    assert re.search(r"^ok +UI +it runs over this state$", examined.out, re.MULTILINE)


def test_the_ui_tells_what_does_not_load_and_starts(
    started: list[int], free_port: int, call: Call, audits: Path
) -> None:
    (audits / "wrong").mkdir()
    (audits / "wrong" / "defs.yaml").write_text("]")

    answer = call("ui", "--port", str(free_port))

    assert answer.code == 0
    assert f"Error: {audits / 'wrong' / 'defs.yaml'}:1: it cannot be read as YAML" in answer.err
    assert answer.err.count("Error: ") == 1
    assert started != []


def test_an_audit_beside_one_that_does_not_load_is_run(call: Call, audits: Path) -> None:
    (audits / "wrong").mkdir()
    (audits / "wrong" / "defs.yaml").write_text("]")

    assert "no file has arrived" in call("run", "shop").err
    assert "defs.yaml:1: it cannot be read as YAML" in call("run", "wrong").err


@pytest.mark.parametrize("name", ["a/b", "", ".", "..", "/etc/a", "a\nb"])
def test_a_key_s_name_is_no_path(name: str, call: Call, tmp_path: Path) -> None:
    answer = call("keys", "create", name, "--folder", str(tmp_path / "keys"))

    assert answer.code == 2
    assert "cannot be the name of a file. To mend it: give a plain name" in answer.err
    assert answer.err.count("\n") == 1
    assert not (tmp_path / "keys").exists()


@pytest.mark.parametrize(("name", "folder"), [("a", "file"), ("a", "file/keys"), ("a" * 300, "")])
def test_a_key_that_cannot_be_written_is_told(
    name: str, folder: str, call: Call, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")

    answer = call("keys", "create", name, "--folder", str(tmp_path / folder))

    assert answer.code == 2
    assert "nothing can be written there" in answer.err
    assert [path.name for path in tmp_path.iterdir() if path.suffix == ".pem"] == []


@pytest.mark.parametrize(
    "arguments",
    [("validate", "shop", "FILE"), ("replay", "shop", "2026-01-01")],
)
@pytest.mark.parametrize("place", ["nowhere/rows.csv", "."])
def test_a_file_that_cannot_be_written_is_told_before_anything_is_done(
    arguments: tuple[str, ...],
    place: str,
    call: Call,
    file: Callable[[str], str],
    tmp_path: Path,
) -> None:
    path = file(HEADER + GOOD_ROWS)
    words = [path if word == "FILE" else word for word in arguments]

    answer = call(*words, "--quarantine", str(tmp_path / place))

    assert answer.code == 2
    assert "no file can be written there. To mend it" in answer.err
    assert answer.out == ""
