"""Gates that name what the audit does not have are refused, with line, key and fix."""

from collections.abc import Callable
from pathlib import Path

import pytest
from pydantic import TypeAdapter

from evaluator.errors import SpecError
from evaluator.spec import GateSpec, read_audit
from evaluator_tests.spec.conftest import GOOD

Spoil = Callable[..., SpecError]
GATE = "- {metric: roc_auc, at_least: 0.5}"
GATES: TypeAdapter[tuple[GateSpec, ...]] = TypeAdapter(tuple[GateSpec, ...])


@pytest.mark.parametrize(
    ("gate", "key", "what", "fix"),
    [
        ("{metric: roc_auc, at_leest: 0.5}", "at_leest", "there is no such key", "`at_least`"),
        ("{metric: roc_auc, minimum: 0.5}", "minimum", "there is no such key", "at_least"),
        ("{metric: roc_auc}", "at_least", "has no limit", "give it `at_least`"),
        (
            "{metric: roc_auc, at_least: 0.5, class: north}",
            "class",
            "roc_auc has one value over all classes",
            "take it out",
        ),
        (
            "{metric: roc_auc, at_least: 0.5, class: [north]}",
            "class",
            "it must be true or false or a whole number or text, and it is a list",
            "write for example `class: high`",
        ),
        (
            "{metric: roc_auc, at_least: 0.5, clas: north}",
            "clas",
            "there is no such key",
            "did you mean `class`?",
        ),
        ("{metric: f1, at_least: 0.5}", "metric", "not among the audit's metrics", "add it"),
        ("{at_least: 0.5}", "metric", "this key is needed", "`metric: recall`"),
        (
            "{metric: roc_auc, at_least: 0.5, level: city}",
            "level",
            "it must be one of overall, geography, segment, slice",
            "write one of",
        ),
        (
            "{metric: roc_auc, at_least: 0.5, geography: nort}",
            "geography",
            "there is no geography 'nort'",
            "did you mean `north`?",
        ),
        (
            "{metric: roc_auc, at_least: 0.5, segment: old}",
            "segment",
            "there is no segment 'old'",
            "use one of new, returning",
        ),
        (
            "{metric: roc_auc, better_than_baseline: true}",
            "better_than_baseline",
            "no candidate is the baseline",
            "write `baseline: true`",
        ),
        (
            "{metric: roc_auc, not_worse_than_baseline_by: 0.01}",
            "not_worse_than_baseline_by",
            "no candidate is the baseline",
            "write `baseline: true`",
        ),
        (
            "{metric: roc_auc, better_than_baseline_by: 0.01}",
            "better_than_baseline_by",
            "no candidate is the baseline",
            "write `baseline: true`",
        ),
        (
            "{kind: fairnes, measure: equal_opportunity}",
            "kind",
            "it must be one of metric, calibration, fairness",
            "did you mean `fairness`?",
        ),
        (
            "{kind: fairness, measure: equal_opportunity, limit_ratio: 0.8}",
            "kind",
            "the audit does not measure fairness",
            "declare `fairness`",
        ),
        (
            "{kind: fairness, measure: equal_oportunity, limit_ratio: 0.8}",
            "measure",
            "there is no fairness measure",
            "did you mean `equal_opportunity`?",
        ),
        (
            "{kind: weak_slices, no_weak_slice_above: 0.1}",
            "kind",
            "the audit does not search for weak slices",
            "declare `weak_slices`",
        ),
        (
            "{kind: weak_slices}",
            "no_weak_slice_above",
            "this key is needed",
            "`no_weak_slice_above: 0.1`",
        ),
        (
            "{kind: calibration, at_most: 0.1}",
            "metric",
            "'expected_calibration_error' is not among the audit's metrics",
            "add it to `metrics`",
        ),
        (
            "{kind: drift, drift_below: 0.2, columns: [amout]}",
            "columns",
            "there is no column 'amout'",
            "did you mean `amount`?",
        ),
        ("{kind: complete, at_most: 1}", "at_most", "there is no such key", "use one of"),
    ],
)
def test_a_gate_on_what_is_not_there_is_told_with_its_line_key_and_fix(
    spoil: Spoil, *, gate: str, key: str, what: str, fix: str
) -> None:
    error = spoil((GATE, f"- {gate}"))
    assert error.culprit == f"defs.yaml:25: gates.0.{key}"
    assert what in error.what
    assert fix in error.fix


@pytest.mark.parametrize(
    "gate",
    [
        "{metric: roc_auc, at_least: 0.5, at_most: 0.99, level: slice, required: false}",
        "{kind: metric, metric: accuracy, geography: north, segment: new, at_least: 0.5}",
        "{metric: accuracy, at_least: 0.5, decide_on: value, rationale: Half of them at least}",
        "{kind: complete, candidate: two}",
        "{kind: data_quality, refused_share_at_most: 0.02, refused_days_at_most: 0}",
        "{kind: drift, drift_below: 0.2, measure: jensen_shannon, columns: [amount]}",
    ],
)
def test_gates_of_several_kinds_load(write: Callable[[str], Path], gate: str) -> None:
    (loaded,) = read_audit(write(GOOD.replace(GATE, f"- {gate}"))).spec.gates
    assert loaded.rationale == ("Half of them at least" if "rationale" in gate else "")


def test_a_gate_against_the_baseline_loads_where_there_is_one(write: Callable[[str], Path]) -> None:
    text = GOOD.replace("- name: one", "- name: one\n      baseline: true")
    for gate in (
        "better_than_baseline: true",
        "better_than_baseline_by: 0.01",
        "not_worse_than_baseline_by: 0.01",
    ):
        path = write(text.replace("at_least: 0.5", gate))
        assert len(read_audit(path).spec.gates) == 1
        path = write(text.replace("at_least: 0.5", f"{gate}, candidate: one"))
        with pytest.raises(SpecError, match="is not compared with itself"):
            read_audit(path)


FINDINGS = """\
  fairness: {attributes: [country, customer], measures: [equal_opportunity]}
  weak_slices: {features: [amount]}
"""
FAIR = "kind: fairness, measure: equal_opportunity, limit_difference: 0.1"


@pytest.mark.parametrize(
    "gate",
    [
        FAIR,
        f"{FAIR}, attribute: customer",
        f"{FAIR}, attribute: country x customer",
        "kind: weak_slices, no_weak_slice_above: 0.1",
    ],
)
def test_gates_on_findings_load_where_the_audit_declares_them(
    write: Callable[[str], Path], gate: str
) -> None:
    path = write(GOOD.replace(GATE, f"- {{{gate}}}") + FINDINGS)
    assert len(read_audit(path).spec.gates) == 1


@pytest.mark.parametrize(
    ("gate", "key", "what"),
    [
        (f"{FAIR}, attribute: country x amount", "attribute", "does not look at 'amount'"),
        (
            "kind: fairness, measure: accuracy_gap, limit_difference: 0.1",
            "measure",
            "does not measure 'accuracy_gap'",
        ),
    ],
)
def test_a_gate_on_what_fairness_does_not_look_at_is_refused(
    spoil: Spoil, gate: str, key: str, what: str
) -> None:
    error = spoil((GATE, f"- {{{gate}}}\n{FINDINGS}"))
    assert error.culprit == f"defs.yaml:25: gates.0.{key}"
    assert what in error.what


def test_a_gate_against_the_baseline_is_refused_where_the_comparison_is_off(spoil: Spoil) -> None:
    error = spoil(
        ("- name: one", "- name: one\n      baseline: true"),
        (GATE, "- {metric: roc_auc, better_than_baseline: true}\n  compare: null"),
    )
    assert error.culprit == "defs.yaml:26: gates.0.better_than_baseline"
    assert "does not compare candidates" in error.what


def test_the_schema_of_gates_tells_kinds_apart() -> None:
    schema = GATES.json_schema()["items"]
    assert schema["properties"]["kind"]["enum"][0] == "metric"
    conditions = {c["if"]["properties"]["kind"]["const"]: c["if"] for c in schema["allOf"]}
    assert "required" not in conditions["metric"]
    assert conditions["drift"]["required"] == ["kind"]
