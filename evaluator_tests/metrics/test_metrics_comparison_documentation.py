"""The page on comparisons says what the code does."""

import contextlib
import io
import re
from pathlib import Path

from evaluator.metrics import (
    _binary as area,
    _binary as binary,
    _means as means,
    _multiclass as multiclass,
    _regression as regression,
)
from evaluator.metrics._comparison._binary import MIN_CASES
from evaluator.metrics._comparison._differences import fewest_discordant

PAGE = (Path(__file__).parents[2] / "docs" / "comparison.md").read_text(encoding="utf-8")


def test_the_worked_example_prints_what_the_page_shows() -> None:
    code, shown = re.findall(r"```(?:python|text)\n(.*?)```", PAGE, re.DOTALL)
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(code, {})  # noqa: S102 - the page's own example is what is tested
    lines = [line.rstrip() for line in printed.getvalue().rstrip().splitlines()]
    assert lines == shown.rstrip().splitlines()


def test_the_page_names_the_numbers_of_cases_that_the_code_asks_for() -> None:
    flips = fewest_discordant(1 - 0.95)
    assert f"| Tango's | {flips} flips |" in PAGE
    assert f"| {MIN_CASES} cases, {flips} flips |" in PAGE
    assert PAGE.count(f"| {area.MIN_OF_EACH_CLASS} of each class |") == 3
    assert multiclass.MIN_OF_EACH_CLASS == area.MIN_OF_EACH_CLASS
    assert f"| {means.MIN_CASES} cases, {binary.MIN_FOR_A_LOSS} of each class |" in PAGE
    assert f"| {means.MIN_CASES} cases |" in PAGE
    assert f"| {regression.MIN_FOR_SQUARES} cases, {regression.MIN_FOR_R2} cases |" in PAGE
