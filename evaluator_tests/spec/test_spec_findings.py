"""What may be asked of comparison, fairness and weak slices, and what is refused by name."""

import pytest

from evaluator.spec import AuditSpec, BinaryTask, read_audit
from evaluator.spec._settings import CompareSpec
from evaluator_tests.spec.conftest import GOOD, Spoil, Write

MORE = """\
      device: {type: string}
      age: {type: integer}
      seen: {type: timestamp}
      joined: {type: date}
      fee: {type: decimal}
"""
COLUMNS = ("      label: {type: integer", f"{MORE}      label: {{type: integer")
BASELINE = ("    - name: one\n", "    - name: one\n      baseline: true\n")


def asked(written: str) -> tuple[str, str]:
    """Put keys before `metrics`, which stands in the 28th line once columns and baseline do."""
    return ("  metrics:", f"  {written}\n  metrics:")


def spec_with(write: Write, *written: str) -> AuditSpec:
    text = GOOD.replace(*COLUMNS, 1).replace(*BASELINE, 1)
    for one in written:
        text = text.replace(*asked(one), 1)
    return read_audit(write(text)).spec


def test_candidates_are_compared_as_soon_as_there_is_a_baseline(write: Write) -> None:
    assert read_audit(write(GOOD)).spec.compares is False
    spec = spec_with(write)
    assert spec.compares is True
    assert spec.compare == CompareSpec(margin=None, adjust="holm")
    assert spec.fairness is None
    assert spec.weak_slices is None


def test_null_switches_the_comparison_off(write: Write) -> None:
    assert spec_with(write, "compare: null").compares is False


def test_a_baseline_alone_is_compared_with_nobody(write: Write) -> None:
    text = GOOD.replace(*BASELINE, 1)
    second = text[text.index("    - name: two") : text.index("  metrics:")]
    assert read_audit(write(text.replace(second, ""))).spec.compares is False


def test_fairness_looks_at_all_measures_of_a_binary_classifier_by_default(write: Write) -> None:
    spec = spec_with(write, "fairness: {attributes: [country, device]}")
    assert spec.fairness is not None
    assert spec.fairness.measures == BinaryTask.fairness_measures()
    assert "equal_opportunity" in spec.fairness.measures
    assert "mean_residual" not in spec.fairness.measures


def test_numbers_texts_and_amounts_may_be_searched(write: Write) -> None:
    spec = spec_with(write, "weak_slices: {features: [device, age, amount, fee, country]}")
    assert spec.weak_slices is not None
    assert spec.weak_slices.features == ("device", "age", "amount", "fee", "country")


@pytest.mark.parametrize(
    ("written", "key", "what", "fix"),
    [
        ("compare: {margin: {f1: 0.1}}", "compare.margin", "'f1' is not among", "accuracy"),
        ("compare: {margin: 0}", "compare.margin", "", ""),
        ("fairness: {attributes: [devise]}", "fairness.attributes", "not declared", "`device`?"),
        ("fairness: {attributes: [label]}", "fairness.attributes", "is the label", "tell apart"),
        ("fairness: {attributes: [case_id]}", "fairness.attributes", "is the id", "is one case"),
        ("fairness: {attributes: [seen]}", "fairness.attributes", "a timestamp", "hour(seen) < 12"),
        ("fairness: {attributes: [age, age]}", "fairness.attributes", "twice", "keep one"),
        ("fairness: {attributes: []}", "fairness.attributes", "", ""),
        (
            "fairness: {attributes: [country], control: [country]}",
            "fairness.control",
            "is an attribute too",
            "nothing to compare",
        ),
        (
            "fairness: {attributes: [country], measures: [equal_oportunity]}",
            "fairness.measures",
            "no fairness measure 'equal_oportunity'",
            "`equal_opportunity`?",
        ),
        (
            "fairness: {attributes: [country, device], reference: {country: north}}",
            "fairness.reference",
            "it names country, and the attributes are country, device",
            "one value of every attribute",
        ),
        (
            "fairness: {attributes: [country], reference: {country: west}}",
            "fairness.reference",
            "'west' is not an allowed value of 'country'",
            "use one of north, south",
        ),
        ("weak_slices: {features: [label]}", "weak_slices.features", "is the label", "take it out"),
        ("weak_slices: {features: [case_id]}", "weak_slices.features", "is the id", "one case"),
        ("weak_slices: {features: [seen]}", "weak_slices.features", "timestamp", "`hour(seen)`"),
        ("weak_slices: {features: [joined]}", "weak_slices.features", "date", "`weekday(joined)`"),
        ("weak_slices: {features: [age], conditions: 4}", "weak_slices.conditions", "", ""),
        ("weak_slices: {features: [age], loss: accuracy}", "weak_slices.loss", "", ""),
    ],
)
def test_what_cannot_be_looked_at_is_refused_with_key_and_fix(
    spoil: Spoil, written: str, key: str, what: str, fix: str
) -> None:
    error = spoil(COLUMNS, BASELINE, asked(written))
    assert error.culprit.startswith("defs.yaml:29: ")
    assert error.culprit.endswith(key)
    assert what in error.what
    assert fix in error.fix


def test_a_comparison_without_a_baseline_is_refused(spoil: Spoil) -> None:
    error = spoil(asked("compare: {margin: 0.01}"))
    assert error.culprit.endswith("compare")
    assert "baseline: true" in error.fix


@pytest.mark.parametrize(
    "key", ["fairness: {attributes: [country]}", "weak_slices: {features: [amount]}"]
)
def test_without_candidates_there_is_nothing_to_look_at(spoil: Spoil, key: str) -> None:
    candidates = GOOD[GOOD.index("  candidates:") : GOOD.index("  metrics:")]
    gates = GOOD[GOOD.index("  gates:") :]
    error = spoil((candidates, ""), (gates, ""), asked(key))
    assert error.culprit.endswith(key.split(":", maxsplit=1)[0])
    assert "no candidates" in error.what
