"""Single cases are shown of declared columns alone, and never of what is to be withheld."""

import pytest

from evaluator.spec import read_audit
from evaluator_tests.spec.conftest import GOOD, Spoil, Write

GATES = "  gates:\n"


def test_an_audit_shows_no_single_case_unless_it_says_so(write: Write) -> None:
    plain = read_audit(write(GOOD)).spec
    assert plain.examples is None
    assert "examples" not in plain.what_counts()
    spec = read_audit(
        write(GOOD.replace(GATES, f"  examples: {{columns: [amount]}}\n{GATES}"))
    ).spec
    assert spec.what_counts()["examples"] == {"columns": ["amount"]}


@pytest.mark.parametrize(
    ("declared", "key", "what"),
    [
        ("examples: {columns: [amuont]}", "examples.columns", "'amuont' is not declared"),
        ("examples: {columns: [amount, amount]}", "examples.columns", "amount"),
        (
            "examples: {columns: [amount]}\n  certificate: {redact: [amount]}",
            "examples.columns",
            "may not leave",
        ),
        (
            "examples: {columns: [amount]}\n  certificate: {redact: [case_id]}",
            "examples",
            "ids may not leave",
        ),
    ],
)
def test_what_may_not_be_shown_is_refused(spoil: Spoil, declared: str, key: str, what: str) -> None:
    error = spoil((GATES, f"  {declared}\n{GATES}"))
    assert key in error.culprit
    assert what in error.what
