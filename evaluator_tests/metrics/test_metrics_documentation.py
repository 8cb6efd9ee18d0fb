"""The pages on metrics, comparison, fairness and weak slices say what the code does."""

import contextlib
import inspect
import io
import re
from pathlib import Path

import pytest

from evaluator.metrics import (
    FAIRNESS_MEASURES,
    _binary as binary,
    _calibration as calibration,
    _estimates as estimates,
    _linear as linear,
    _means as means,
    _multiclass as multiclass,
    _rankings as rankings,
    _regression as regression,
    fairness,
)
from evaluator.metrics._comparison._binary import MIN_CASES
from evaluator.metrics._comparison._differences import fewest_discordant
from evaluator.metrics._weak_slices._search import NEARLY_THE_SAME


def page(name: str) -> str:
    return (Path(__file__).parents[2] / "docs" / f"{name}.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ["metrics", "comparison", "fairness", "weak-slices"])
def test_the_worked_example_prints_what_the_page_shows(name: str) -> None:
    code, shown = re.findall(r"```(?:python|text)\n(.*?)```", page(name), re.DOTALL)
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(code, {})  # noqa: S102 - the page's own example is what is tested
    lines = [line.rstrip() for line in printed.getvalue().rstrip().splitlines()]
    assert lines == shown.rstrip().splitlines()


def test_the_page_on_metrics_names_the_numbers_of_cases_that_the_code_asks_for() -> None:
    text = page("metrics")
    assert f"| {binary.MIN_FOR_MATTHEWS} cases |" in text
    assert f"| {estimates.MIN_OF_EACH_CLASS} of each class |" in text
    assert f"| {calibration.MIN_CASES_IN_BINS} cases |" in text
    assert (
        f"| {means.MIN_CASES} cases, {binary.MIN_FOR_A_LOSS} of each class, "
        f"{binary.MIN_SURPRISES} labels held improbable |"
    ) in text
    assert f"| {binary.MIN_FOR_RECALIBRATION} of each class |" in text
    assert f"unseen | {means.MIN_CASES} cases |" in text
    assert text.count(f"unseen | {regression.MIN_FOR_SQUARES} cases |") == 2
    kappa = f"{multiclass.MIN_FOR_KAPPA} cases, {estimates.MIN_OF_EACH_CLASS} of other classes"
    assert f"| {kappa} than the commonest |" in text
    outside = f"{regression.MIN_OUTSIDE} labels outside"
    assert f"unseen | {regression.MIN_FOR_SQUARES} cases, {outside} |" in text
    assert f"Hall's, for a mean | {rankings.MIN_QUERIES} queries |" in text
    assert f"at least {linear.MIN_CLUSTERS} are needed" in " ".join(text.split())


def test_the_page_on_comparison_names_the_numbers_of_cases_that_the_code_asks_for() -> None:
    text = page("comparison")
    flips = fewest_discordant(1 - 0.95)
    assert f"| Tango's | {flips} flips |" in text
    assert f"| {MIN_CASES} cases, {flips} flips |" in text
    assert text.count(f"| {estimates.MIN_OF_EACH_CLASS} of each class |") == 3
    assert f"| {means.MIN_CASES} cases, {binary.MIN_FOR_A_LOSS} of each class |" in text
    assert f"| {means.MIN_CASES} cases |" in text
    assert f"| {regression.MIN_FOR_SQUARES} cases |" in text
    assert f"| {rankings.MIN_QUERIES} queries, {flips} of other values |" in text


def test_the_page_on_fairness_names_every_measure_and_the_default_support() -> None:
    text = page("fairness")
    assert re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE) == list(FAIRNESS_MEASURES)
    support = inspect.signature(fairness).parameters["minimum_support"].default
    assert f"`minimum_support` ({support})" in text


def test_the_page_on_weak_slices_names_the_limit_that_the_code_has() -> None:
    assert f"({100 * NEARLY_THE_SAME:.0f} % of both together)" in page("weak-slices")
