"""The command `evaluator check`: what it prints, its exit codes, and that nothing stays of it."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from evaluator import cli

ROWS = "".join(
    f"k{number},{'north' if number % 3 else 'south'},{number % 2},"
    f"{(number % 2) * 0.4 + (number % 7) / 14:.4f},{number % 5}\n"
    for number in range(60)
)
HEADER = "id,region,label,score,old\n"
EVIL = "<script>alert(1)</script>\x1b[31m"


class Answer(NamedTuple):
    code: int
    out: str
    err: str


Call = Callable[..., Answer]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "outputs.csv"
    path.write_text(HEADER + ROWS)
    return path


@pytest.fixture
def call(
    file: Path,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> Call:
    """Check the file with these options, in a folder of its own."""
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)

    def make(*options: str) -> Answer:
        monkeypatch.setattr(sys, "argv", ["evaluator", "check", str(file), *options])
        with pytest.raises(SystemExit) as caught:
            cli.main()
        out, err = capfd.readouterr()
        return Answer(int(caught.value.code or 0), out, err)

    return make


LABELLED = ("--label", "label", "--score", "score")


def test_figures_come_with_what_they_rest_on(call: Call) -> None:
    answer = call(*LABELLED)

    assert answer.code == 0
    first, second, *_ = answer.out.splitlines()
    assert first == "outputs.csv: 60 rows, none of them refused, none without a label; 60 cases"
    assert second.startswith("No limit was asked for")
    assert "ROC AUC" in answer.out
    assert "label is positive where it is 1 (otherwise it is 0)" in answer.out
    assert "each row is taken as independent of the others" in answer.out
    assert "2000" not in answer.out


def test_no_key_is_needed(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EVALUATOR_SIGNING_KEY_FILE", "/nowhere/audit.private.pem")

    assert call(*LABELLED).code == 0


@pytest.mark.parametrize(
    ("limit", "code", "verdict"),
    [
        ("accuracy=0.5", 0, "score PASSES"),
        ("accuracy=0.99", 1, "score DOES NOT PASS"),
        ("accuracy=0.86", 1, "score IS UNDECIDED"),
    ],
)
def test_the_exit_code_is_the_verdict(limit: str, code: int, verdict: str, call: Call) -> None:
    answer = call(*LABELLED, "--at-least", limit)

    assert (answer.code, answer.out.splitlines()[1].startswith(verdict)) == (code, True)


def test_quietly_the_verdict_alone_is_told(call: Call) -> None:
    quiet = call(*LABELLED, "--at-least", "accuracy=0.5", "--quiet")
    assert quiet.out.splitlines() == [
        call(*LABELLED, "--at-least", "accuracy=0.5").out.splitlines()[1]
    ]
    assert quiet.code == 0
    unlabelled = call("--score", "score", "--quiet").out
    assert unlabelled.count("\n") == 1
    assert "without a label nothing can be said" in unlabelled


def test_the_baselines_verdict_does_not_count(call: Call, file: Path) -> None:
    text = "".join(f"k{n},{n % 2},{0.1 + 0.7 * (n % 2)},{(n + 1) % 2}\n" for n in range(60))
    file.write_text(f"id,label,good,poor\n{text}")
    limit = ("--label", "label", "--at-least", "accuracy=0.8")

    assert call(*limit, "--score", "good", "--baseline", "poor").code == 0
    assert call(*limit, "--prediction", "poor", "--baseline", "good").code == 1


@pytest.mark.parametrize(
    ("options", "code", "says", "mends"),
    [
        (("--label", "lable", "--score", "score"), 2, "no column 'lable'", "did you mean `label`"),
        (("--label", "old", "--score", "score"), 2, "5 different values ('0', '1', ", "has two"),
        (("--label", "label", "--score", "region"), 2, "no numbers ('north', 'south')", "--pred"),
        (("--label", "label", "--score", "old"), 2, "values of 'old' are no probab", "from 0 to 1"),
        (("--label", "label", "--prediction", "region"), 2, "other values than the la", "('0', '1"),
        (("--label", "label"), 2, "nothing says what the AI system gave", "by --score"),
        ((*LABELLED, "--geography", "label"), 2, "the label already", "another column"),
        ((*LABELLED, "--positive", "2"), 2, "no such value, but 0 and 1", "as it stands"),
        ((*LABELLED, "--at-least", "acuracy=1"), 2, "no metric 'acuracy'", "`accuracy`"),
        ((*LABELLED, "--at-least", "accuracy"), 2, "it states no limit", "accuracy=0.8"),
        ((*LABELLED, "--at-most", "brier=x"), 2, "it states no limit", "accuracy=0.8"),
        (("--score", "score", "--html", "x.html"), 2, "without a label there is no page", "--lab"),
        (("--score", "score", "--at-least", "f1=1"), 2, "without a label there is no m", "--label"),
    ],
)
def test_what_cannot_be_is_told_with_what_where_and_how_to_mend_it(
    options: tuple[str, ...], code: int, says: str, mends: str, call: Call
) -> None:
    answer = call(*options)

    assert answer.code == code
    assert answer.err.startswith("Error: ")
    assert says in answer.err
    assert mends in answer.err
    assert "Traceback" not in answer.err


def test_a_value_that_can_name_no_slice_is_refused(call: Call, file: Path) -> None:
    file.write_text((HEADER + ROWS).replace("north", "north/west"))

    answer = call(*LABELLED, "--geography", "region")

    assert answer.code == 2
    assert "its value 'north/west' cannot name a slice" in answer.err


@pytest.mark.parametrize("content", [b"", b"id,label,score\n", bytes(range(256)) * 9])
def test_a_file_that_cannot_be_read_is_refused(content: bytes, call: Call, file: Path) -> None:
    file.write_bytes(content)

    answer = call(*LABELLED)

    assert answer.code == 1
    assert answer.err.startswith(f"Error: {file}: ")


def test_no_file_is_wrong_use(call: Call, file: Path) -> None:
    file.unlink()

    answer = call(*LABELLED)

    assert answer.code == 2
    assert "there is no such file" in answer.err


def test_refused_rows_and_rows_without_a_label_are_counted_with_reasons(
    call: Call, file: Path
) -> None:
    file.write_text(f"{HEADER}{ROWS}k98,north,1,often,1\nk99,north,,0.5,1\n")

    answer = call(*LABELLED)

    assert answer.out.startswith("outputs.csv: 62 rows, 1 of them refused, 1 without a label; 60 c")
    assert "1 row refused: score: is not a float" in answer.out


def test_a_file_of_which_too_many_rows_are_refused_is_refused(call: Call, file: Path) -> None:
    broken = "".join(f"b{number},north,1,,1\n" for number in range(10))
    file.write_text(HEADER + ROWS + broken)

    answer = call(*LABELLED)

    assert answer.code == 1
    assert "10 of 70 rows are refused" in answer.err
    assert "10 x is missing" in answer.err


def test_without_a_label_it_tells_what_can_be_told(call: Call) -> None:
    answer = call("--score", "score", "--segment", "region")

    assert answer.code == 0
    assert "without a label nothing can be said of right and wrong" in answer.out
    for heading in ("Missing values", "Columns", "Share of positive decisions"):
        assert heading in answer.out.splitlines()
    positive = sum((n % 2) * 0.4 + (n % 7) / 14 >= 0.5 for n in range(0, 60, 3))
    assert f"south: {positive / 20:.3f} (" in answer.out


def test_json_has_every_figure_and_no_number_that_json_has_not(call: Call) -> None:
    answer = call(*LABELLED, "--geography", "region", "--at-least", "accuracy=0.5", "--json")

    def refuse(name: str) -> None:
        raise AssertionError(name)

    found = json.loads(answer.out, parse_constant=refuse)
    assert answer.code == 0
    assert {one["level"] for one in found["measurements"]} >= {"overall", "geography"}
    assert found["outcomes"][0]["outcome"] == "certified"
    assert found["fairness_gaps"]
    unlabelled = json.loads(call("--score", "score", "--json").out, parse_constant=refuse)
    assert unlabelled["columns"]["score"]["type"] == "float"


def test_the_page_says_that_it_is_a_check(call: Call, tmp_path: Path) -> None:
    page = tmp_path / "check.html"

    answer = call(*LABELLED, "--segment", "region", "--at-least", "f1=0.5", "--html", str(page))

    assert f"Page: {page}" in answer.out
    text = page.read_text()
    assert "<dt>Check of</dt><dd>one file</dd>" in text
    assert "Nothing was stored, and it certifies nothing" in text
    assert "Passes" in text
    assert "2000" not in text[: text.index("<script>")]
    assert "All geographies" in text


def test_the_page_has_the_cases_that_an_output_newly_gets_wrong_and_what_is_missing(
    call: Call, file: Path, tmp_path: Path
) -> None:
    text = "".join(
        f"k{n},{n % 2},{0.1 + 0.7 * (n % 2)},{0.5 - 0.1 * (-1) ** n},\n" for n in range(60)
    )
    file.write_text(f"id,label,good,newer,note\n{text}k60,1,0.9,0.2,rare\n")
    page = tmp_path / "check.html"

    asked = ("--label", "label", "--score", "newer", "--baseline", "good", "--html", str(page))
    assert call(*asked).code == 0

    shown = page.read_text()
    assert "newer: 1 case that it newly gets wrong" in shown
    assert "Missing values by column" in shown
    assert '<th scope="row">note</th><td class="num nowrap">98.4' in shown


def test_the_page_names_slices_that_stand_out_by_any_metric(
    call: Call, file: Path, tmp_path: Path
) -> None:
    # In the south all positives are missed, and still rank above the others.
    scores = {("north", 1): 0.9, ("north", 0): 0.1, ("south", 1): 0.45, ("south", 0): 0.05}
    cases = list(scores) * 100
    lines = [
        f"k{n},{place},{label},{scores[place, label]},0" for n, (place, label) in enumerate(cases)
    ]
    file.write_text(HEADER + "\n".join(lines) + "\n")
    page = tmp_path / "check.html"

    call(*LABELLED, "--segment", "region", "--html", str(page))

    standouts = page.read_text().partition('<section id="standouts"')[2].partition("</section>")[0]
    assert "ROC AUC" not in standouts
    assert '<th scope="row">south</th><td class="nowrap">accuracy</td>' in standouts


def test_the_page_never_takes_the_place_of_the_file(call: Call, file: Path) -> None:
    answer = call(*LABELLED, "--html", str(file))

    assert answer.code == 2
    assert "would take the place of the file that is checked" in answer.err
    assert file.read_text() == HEADER + ROWS


def test_names_and_values_of_a_file_do_nothing_on_page_terminal_and_json(
    call: Call, file: Path, tmp_path: Path
) -> None:
    file.write_text((HEADER + ROWS).replace("old", EVIL[:-5]).replace("north", EVIL))
    page = tmp_path / "check.html"

    answer = call(*LABELLED, "--html", str(page))
    as_json = call(*LABELLED, "--json")

    assert answer.code == 0
    assert page.read_text().count("<script") == 1
    assert "\x1b" not in answer.out + page.read_text() + as_json.out


def test_neither_dagster_nor_mlflow_is_imported_and_nothing_stays(
    file: Path, tmp_path: Path
) -> None:
    here, temporary = tmp_path / "here", tmp_path / "temporary"
    here.mkdir()
    temporary.mkdir()
    program = (
        "import sys\nfrom evaluator import cli\n"
        f"sys.argv = ['evaluator', 'check', {str(file)!r}, *{LABELLED!r}, '--baseline', 'label2',"
        " '--geography', 'region', '--at-least', 'accuracy=0.5', '--html', '../page.html']\n"
        "try:\n    cli.main()\nexcept SystemExit as end:\n    assert end.code == 0, end.code\n"
        "print([name for name in ('dagster', 'mlflow', 'sklearn') if name in sys.modules])\n"
    )
    file.write_text(
        "".join(
            f"{line},{second}\n"
            for line, second in zip(
                (HEADER + ROWS).splitlines(),
                ["label2", *(str(number % 2) for number in range(60))],
                strict=True,
            )
        )
    )
    environment = {k: v for k, v in os.environ.items() if not k.startswith("EVALUATOR")}

    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        cwd=here,
        env=environment | {"TMPDIR": str(temporary)},
        capture_output=True,
        text=True,
        check=True,
    )

    assert done.stdout.splitlines()[-1] == "[]"
    assert list(here.iterdir()) == []
    assert list(temporary.iterdir()) == []
