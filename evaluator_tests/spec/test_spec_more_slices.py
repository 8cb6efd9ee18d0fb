"""Further columns to measure by: what is taken, and what is refused by name."""

import pytest

from evaluator.spec import read_audit
from evaluator_tests.spec.conftest import GOOD, Spoil, Write

MORE = """\
      device: {type: string}
      age: {type: integer}
      joined: {type: date}
      seen: {type: timestamp}
      fee: {type: decimal}
      large: {type: boolean, derive: "amount >= 100"}
"""
COLUMNS = ("      label: {type: integer", f"{MORE}      label: {{type: integer")


def slices(written: str) -> tuple[str, str]:
    """Put the key before `metrics`, which stands in the 28th line once the columns are there."""
    return ("  metrics:", f"  additional_slices: {written}\n  metrics:")


def test_nothing_more_is_measured_by_default(write: Write) -> None:
    assert read_audit(write(GOOD)).spec.additional_slices == ()


def test_text_whole_numbers_dates_truth_values_and_the_slices_themselves_may_be_crossed(
    write: Write,
) -> None:
    text = GOOD.replace(*COLUMNS, 1).replace(
        *slices("[[device], [age, joined, large, country]]"), 1
    )
    spec = read_audit(write(text)).spec
    assert spec.additional_slices == (("device",), ("age", "joined", "large", "country"))


@pytest.mark.parametrize(
    ("written", "what", "fix"),
    [
        ("[[device], [devise]]", "the column 'devise' is not declared", "did you mean `device`?"),
        ("[[device], [label]]", "the column 'label' is the label", "nothing to tell apart"),
        ("[[device], [case_id]]", "the column 'case_id' is the id", "each of its groups is one"),
        ("[[device], [amount]]", "'amount' is a float", '`derive: "amount >= 100"`'),
        ("[[device], [fee]]", "'fee' is a decimal", '`derive: "fee >= 100"`'),
        ("[[device], [seen]]", "'seen' is a timestamp", '`derive: "hour(seen) < 12"`'),
        ("[[device], [age, age]]", "the column 'age' stands there twice", "keep one of them"),
        ("[[device], []]", "it names 0 columns", "name one to 4 columns"),
        (
            "[[device], [device, age, joined, large, country]]",
            "it names 5 columns",
            "name one to 4 columns",
        ),
    ],
)
def test_a_column_that_makes_no_groups_is_refused(
    spoil: Spoil, written: str, what: str, fix: str
) -> None:
    error = spoil(COLUMNS, slices(written))
    assert error.culprit == "defs.yaml:29: additional_slices.1"
    assert what in error.what
    assert fix in error.fix


def test_a_column_where_a_list_of_columns_is_needed_is_refused(spoil: Spoil) -> None:
    error = spoil(COLUMNS, slices("[device]"))
    assert error.culprit == "defs.yaml:29: additional_slices.0"
    assert "it must be a list, and it is 'device'" in error.what
