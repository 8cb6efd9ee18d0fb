"""What people do with the page that checks a bundle."""

import json
from pathlib import Path
from typing import NamedTuple

from evaluator_tests.browser import Page


class Found(NamedTuple):
    """What a check says."""

    result: str
    state: str | None
    problems: set[tuple[str, str]]
    """By check and file."""


def fill(page: Page, field: str, value: str) -> None:
    """Write into a field, and say so as a keyboard does."""
    page.run(
        f"((field) => {{ field.value = {json.dumps(value)};"
        " field.dispatchEvent(new Event('input')); })"
        f"(document.getElementById({json.dumps(field)}))"
    )


def chosen(page: Page, bundle: Path, *, dropped: bool = False) -> None:
    """Give the page a folder, and wait until it has it."""
    page.run("document.getElementById('chosen').textContent = ''")
    (page.drop if dropped else page.put_files)("#drop" if dropped else "#folder", bundle)
    page.wait("document.getElementById('chosen').textContent !== ''")


def checked(page: Page) -> Found:
    """Press the button, and read the answer."""
    page.run("document.querySelector('button').click()")
    page.wait("document.getElementById('outcome').getAttribute('aria-busy') === 'false'")
    result, state, problems = page.run(
        "[document.getElementById('answer').hidden"
        " ? document.getElementById('progress').textContent"
        " : document.getElementById('result').textContent,"
        " document.getElementById('answer').dataset.state || null,"
        " Array.from(document.querySelectorAll('#problems li'),"
        " (one) => [one.dataset.check, one.dataset.file])]"
    )
    return Found(result, state, {(check, file) for check, file in problems})
