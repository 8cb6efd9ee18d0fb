"""The command `evaluator check`: what it prints, its exit codes, and that nothing stays of it."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import (
    accuracy_score,
    balanced_accuracy_score,
    f1_score,
    log_loss,
    mean_squared_error,
    r2_score,
    roc_auc_score,
)

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
        (("--label", "old", "--score", "score"), 2, "label's 5 classes ('0', '1', ", "{class}"),
        (("--label", "old", "--task", "binary"), 2, "('0', '1', '2', '3', '4'), and a b", "number"),
        (("--label", "old"), 2, "nothing says what the AI system gave", "score_{class} names"),
        (
            ("--label", "old", "--score", "p_{class}"),
            2,
            "no column of numbers for '0', '1'",
            "by --",
        ),
        (("--label", "old", "--prediction", "score"), 2, "other values than", "('0', '1', '2'"),
        (
            ("--label", "old", "--prediction", "label", "--baseline", "score"),
            2,
            "holds no sc",
            "by",
        ),
        (
            ("--label", "score", "--score", "old"),
            2,
            "of a regression task there are no sc",
            "--task",
        ),
        (("--label", "score", "--prediction", "region"), 2, "holds no numbers ('north'", "values"),
        (("--label", "score", "--prediction", "old", "--at-least", "f1=1"), 2, "of a regr", "r2"),
        (("--label", "score", "--prediction", "old", "--abstains"), 2, "a regression task", "take"),
        (("--label", "score", "--prediction", "old", "--tolerance", "-1"), 2, "greater than", ""),
        (("--label", "label", "--score", "p_{class}"), 2, "no column 'p_{class}'", "name one of"),
        (("--label", "old", "--score", "p_{class}", "--abstains"), 2, "no column of n", "{class}"),
        (("--score", "score", "--abstains"), 2, "says something of a label", "by --label"),
        ((*LABELLED, "--tolerance", "1"), 2, "it says nothing of a binary task", "--task"),
        (("--label", "old", "--prediction", "label", "--positive", "1"), 2, "multiclass", "--task"),
        ((*LABELLED, "--task", "several"), 2, "there is no such task", "binary, multiclass"),
        (("--score", "score", "--task", "binary"), 2, "says something of a label", "by --label"),
        (("--label", "id", "--score", "score"), 2, "60 different texts hardly repeat", "classes"),
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


CLASSES = ("a, b", 'c "d"', "e=f", "ü")


def several_classes(rows: int = 200) -> pd.DataFrame:
    """Make outputs of two systems about several classes."""
    random = np.random.default_rng(3)
    truth = random.integers(0, len(CLASSES), rows)
    scores = random.uniform(size=(rows, len(CLASSES)))
    scores[np.arange(rows), truth] += 0.5
    scores /= scores.sum(axis=1, keepdims=True)
    names = np.array(CLASSES)
    frame = pd.DataFrame({"id": [f"k{n}" for n in range(rows)], "kind": names[truth]})
    frame["place"] = random.choice(["north", "south"], rows)
    frame["said"] = names[scores.argmax(axis=1)]
    frame["before"] = names[np.where(random.uniform(size=rows) < 0.5, truth, 0)]
    return frame.assign(**{f"p_{name}": scores[:, n] for n, name in enumerate(CLASSES)})


def figures(answer: Answer, candidate: str) -> dict[str, float]:
    assert answer.code == 0, answer.err
    return {
        one["metric"]: one["value"]
        for one in json.loads(answer.out)["measurements"]
        if one["candidate"] == candidate and one["level"] == "overall"
    }


def test_figures_of_several_classes_are_those_of_scikit_learn(
    call: Call, file: Path, tmp_path: Path
) -> None:
    frame = several_classes()
    frame.to_csv(file, index=False)
    said = ("--label", "kind", "--score", "p_{class}", "--baseline", "before")
    page = tmp_path / "check.html"

    answer = call(*said, "--geography", "place", "--json", "--html", str(page))

    scores = frame[[f"p_{name}" for name in sorted(CLASSES)]]
    assert figures(answer, "p") == pytest.approx(
        {
            "accuracy": accuracy_score(frame["kind"], frame["said"]),
            "balanced_accuracy": balanced_accuracy_score(frame["kind"], frame["said"]),
            "f1_weighted": f1_score(frame["kind"], frame["said"], average="weighted"),
            "log_loss": log_loss(frame["kind"], scores),
            "roc_auc_ovr": roc_auc_score(frame["kind"], scores, multi_class="ovr"),
        }
    )
    assert figures(answer, "before")["accuracy"] == (frame["kind"] == frame["before"]).mean()
    wrong = (frame["kind"] == frame["before"]) & (frame["kind"] != frame["said"])
    assert f"p: {min(20, wrong.sum())} of {wrong.sum()} cases that it newly" in page.read_text()
    found = json.loads(answer.out)
    assert found["task"] == "multiclass"
    assert any("since it has 4 different texts" in note for note in found["file"]["notes"])
    # Called alike but for the class, the scores are found; case and marks do not matter.
    frame.rename(columns={f"p_{CLASSES[0]}": "P A B"}).to_csv(file, index=False)
    alone = call("--label", "kind", "--json")
    assert figures(alone, "candidate") == pytest.approx(figures(answer, "p"))


def test_figures_of_numbers_are_those_of_scikit_learn(call: Call, file: Path) -> None:
    random = np.random.default_rng(4)
    frame = pd.DataFrame({"id": [f"k{n}" for n in range(90)], "minutes": random.normal(30, 9, 90)})
    frame["said"] = frame["minutes"] + random.normal(1, 5, 90)
    frame["rule"] = frame["minutes"].mean()
    frame.to_csv(file, index=False)
    asked = ("--label", "minutes", "--prediction", "said", "--baseline", "rule")

    limits = ("--tolerance", "5", "--at-least", "within_tolerance=0.5", "--json")
    answer = call(*asked, *limits)

    off = (frame["said"] - frame["minutes"]).abs()
    assert figures(answer, "said") == pytest.approx(
        {
            "mean_absolute_error": off.mean(),
            "root_mean_squared_error": mean_squared_error(frame["minutes"], frame["said"]) ** 0.5,
            "bias": (frame["said"] - frame["minutes"]).mean(),
            "r2": r2_score(frame["minutes"], frame["said"]),
            "within_tolerance": (off <= 5).mean(),
        }
    )
    assert "minutes is taken for the label of a regression task" in call(*asked).out


@pytest.mark.parametrize(
    ("task", "metric"), [("multiclass", "accuracy"), ("regression", "mean_absolute_error")]
)
def test_few_whole_numbers_are_classes_unless_you_say_otherwise(
    task: str, metric: str, call: Call, file: Path
) -> None:
    # With a label that is missing, pandas writes whole numbers so.
    rows = "".join(f"k{n},{n % 5 + 1}.0,{n % 4 + 1}\n" for n in range(60))
    file.write_text(f"id,stars,said\n{rows}k60,,2\n")
    said = ("--label", "stars", "--prediction", "said", "--json")

    chosen = call(*said, *(("--task", task) if task == "regression" else ()))

    off = [abs(n % 5 - n % 4) for n in range(60)]
    expected = {"accuracy": off.count(0) / 60, "mean_absolute_error": sum(off) / 60}
    assert figures(chosen, "said")[metric] == pytest.approx(expected[metric])
    assert json.loads(chosen.out)["task"] == task


def test_a_class_that_is_only_predicted_is_one_and_an_empty_prediction_no_answer_if_you_say_so(
    call: Call, file: Path
) -> None:
    frame = several_classes().assign(said=lambda cases: cases["said"].mask(cases.index < 40))
    frame.loc[50:59, "said"] = "other"
    frame["before"] = frame["before"].mask(frame.index >= 150)
    frame.to_csv(file, index=False)
    said = ("--label", "kind", "--prediction", "said", "--baseline", "before")
    asked = (*said, "--at-least", "coverage=0.5")

    assert "90 of 200 rows are refused" in call(*asked).err
    answer = call(*asked, "--abstains", "--json")

    right = (frame["said"] == frame["kind"]).mean()
    found = figures(answer, "said")
    assert (found["coverage"], found["accuracy"]) == (pytest.approx(0.8), pytest.approx(right))
    assert figures(answer, "before")["coverage"] == pytest.approx(0.75)
    notes = json.loads(answer.out)["file"]["notes"]
    assert "said has classes that no row is of: other" in notes


def test_a_word_for_missing_is_told(call: Call, file: Path) -> None:
    frame = several_classes()
    frame.loc[:4, "kind"] = "NA"
    frame.to_csv(file, index=False)

    answer = call("--label", "kind", "--prediction", "said")

    assert "5 without a label; 195 cases" in answer.out
    assert "NA as kind is taken for missing" in answer.out


def test_scores_that_do_not_add_up_are_refused_with_some_of_them(call: Call, file: Path) -> None:
    several_classes().assign(p_ü=0.9).to_csv(file, index=False)

    answer = call("--label", "kind")

    assert answer.code == 2
    assert "of its 200 cases are no probabilities of all classes (k0 -> [" in answer.err


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


def test_without_a_label_the_shares_of_several_classes_are_told(call: Call, file: Path) -> None:
    frame = several_classes()
    frame.to_csv(file, index=False)
    asked = ("--prediction", "said", "--segment", "place")

    answer = call(*asked)

    assert "Share of each class" in answer.out.splitlines()
    north = frame[frame["place"] == "north"]
    share = (north["said"] == CLASSES[0]).mean()
    assert f"  {CLASSES[0]}, north: {share:.3f} (" in answer.out
    shares = json.loads(call(*asked, "--json").out)["selection_rates"]
    overall = {one["class"]: one["value"] for one in shares if one["place"] == "overall"}
    assert overall == pytest.approx(frame["said"].value_counts(normalize=True).to_dict())
    file.write_text("id,said\n" + "".join(f"k{n},{n % 4 + 1}.0\n" for n in range(40)) + "k40,\n")
    assert "  3.0, overall: 0.250 (" in call("--prediction", "said").out


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
