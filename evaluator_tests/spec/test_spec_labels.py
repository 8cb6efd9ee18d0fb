"""Labels in files of their own are declared in one block, and refused where no case can get one."""

import pytest

from evaluator.errors import SpecError
from evaluator.spec import AuditSpec, read_audit
from evaluator_tests.spec.conftest import GOOD, Write

TRUTH = "      label: {type: integer, allowed: [0, 1]}\n"
LABELS = """\
  labels:
    files: "labels-{date}.csv"
    first_day: 2026-01-05
    id: order_id
    column: label
    mature_after: 30
    columns:
      order_id: {type: category}
      label: {type: integer, allowed: [0, 1]}
"""
LABEL = "  label: {column: label"
LATE = GOOD.replace(TRUTH, "").replace(LABEL, LABELS + LABEL)


def spec_with(write: Write, *changes: tuple[str, str]) -> AuditSpec:
    text = LATE
    for old, new in changes:
        assert old in text
        text = text.replace(old, new, 1)
    return read_audit(write(text)).spec


def test_labels_have_the_keys_of_data_and_rules_of_their_own(write: Write) -> None:
    spec = spec_with(write, ("    column: label", "    max_refused_share: 0.2\n    column: label"))
    assert spec.labels is not None
    assert (spec.labels.column, spec.labels.mature_after) == ("label", 30)
    assert (spec.labels.conflicts, spec.labels.minimum_share) == ("refuse", 0.9)
    assert spec.labels.max_refused_share == 0.2
    assert spec.data.max_refused_share == 0.05
    assert spec.truth is spec.labels.columns["label"]


def test_without_labels_of_their_own_an_audit_counts_as_it_did_before(write: Write) -> None:
    plain = read_audit(write(GOOD)).spec
    assert "labels" not in plain.what_counts()
    assert plain.truth is plain.data.columns["label"]
    assert spec_with(write).what_counts()["labels"]["mature_after"] == 30


@pytest.mark.parametrize(
    ("old", "new", "key", "what", "fix"),
    [
        ("    column: label\n", "", "labels.column", "needed", "column"),
        (
            "    column: label\n",
            "    column: lable\n",
            "labels.column",
            "no column 'lable'",
            "label",
        ),
        ("    column: label\n", "    column: order_id\n", "labels.column", "it is the id", "label"),
        (
            "    id: order_id\n",
            "    id: {row: number}\n",
            "labels.id",
            "says nothing of a case",
            "id of the case",
        ),
        (
            "    id: order_id\n",
            "    id: order_id\n    cluster: order_id\n",
            "labels.cluster",
            "there is no such key",
            "",
        ),
        (
            "    id: order_id\n",
            "    id: order_id\n    weight: label\n",
            "labels.weight",
            "there is no such key",
            "",
        ),
        (
            "    mature_after: 30\n",
            "    mature_after: -1\n",
            "labels.mature_after",
            "",
            "0 or more",
        ),
        (
            "    mature_after: 30\n",
            "    minimum_share: 1.5\n",
            "labels.minimum_share",
            "",
            "1 or less",
        ),
        (
            "    mature_after: 30\n",
            "    conflicts: newest\n",
            "labels.conflicts",
            "newest",
            "latest",
        ),
        (
            "{column: label, positive: 1}",
            "{column: late, positive: 1}",
            "labels.column",
            "it is 'label', and `label.column` is 'late'",
            "the same column in both",
        ),
        (
            "      amount: {type: float, minimum: 0}\n",
            "      amount: {type: float, minimum: 0}\n" + TRUTH,
            "data.columns.label",
            "in the data and in files of its own",
            "take it out here",
        ),
        (
            "    id: case_id\n",
            "    id: {row: number}\n",
            "data.id",
            "known to its own file alone",
            "identify a case",
        ),
        (
            "order_id: {type: category}",
            "order_id: {type: integer}",
            "labels.id",
            "it is integer, and `data.id` is string",
            "of the same types",
        ),
        (
            "    id: order_id\n",
            "    id: [order_id, line]\n",
            "labels.id",
            "no column 'line'",
            "",
        ),
        (
            '    files: "cases-{date}.csv"\n    first_day: 2026-01-01\n',
            "    files: cases.csv\n",
            "labels.mature_after",
            "no case has an age",
            "remove it",
        ),
        (
            '    files: "labels-{date}.csv"\n',
            '    files: "cases-{date}.csv"\n',
            "labels.files",
            "a file could be one of 'cases-{date}.csv' and of 'cases-{date}.csv'",
            "landing",
        ),
        (
            '    files: "labels-{date}.csv"\n',
            '    files: "cases-{date}*.csv"\n',
            "labels.files",
            "a file could be one of",
            "landing",
        ),
        (
            "features: [amount]",
            "features: [label]",
            "candidates.0.features",
            "is given the label",
            "must not see the truth",
        ),
        (
            "  metrics:",
            "  additional_slices: [[label]]\n  metrics:",
            "additional_slices.0",
            "'label' is the label",
            "take it out",
        ),
        (
            "  metrics:",
            "  certificate: {redact: [label]}\n  metrics:",
            "certificate.redact",
            "'label' is the label",
            "take it out",
        ),
        (
            "{column: label, positive: 1}",
            "{column: label, positive: 7}",
            "label.positive",
            "7 is no value of the column 'label'",
            "",
        ),
    ],
)
def test_labels_that_no_case_could_be_given_are_refused_with_key_and_fix(
    write: Write, *, old: str, new: str, key: str, what: str, fix: str
) -> None:
    with pytest.raises(SpecError) as caught:
        spec_with(write, (old, new))
    assert caught.value.culprit.endswith(f": {key}")
    assert what in caught.value.what
    assert fix in caught.value.fix or fix in caught.value.what


def test_labels_without_a_label_are_refused(write: Write) -> None:
    with pytest.raises(SpecError, match="no `label` that they are of"):
        spec_with(
            write,
            ("  label: {column: label, positive: 1}\n", ""),
            (LATE[LATE.index("  candidates:") : LATE.index("  metrics:")], "  candidates: []\n"),
            ("  gates:\n    - {metric: roc_auc, at_least: 0.5}\n", ""),
        )


def test_the_same_names_in_two_folders_are_no_matter(write: Write) -> None:
    same = ('    files: "labels-{date}.csv"', '    landing: /in\n    files: "cases-{date}.csv"')
    assert spec_with(write, same).labels is not None


def test_a_gate_on_labels_needs_labels_of_their_own(write: Write) -> None:
    gate = "{kind: labelled, at_least: 0.95}"
    old = "{metric: roc_auc, at_least: 0.5}"
    (loaded,) = spec_with(write, (old, gate)).gates
    assert loaded.kind == "labelled"
    with pytest.raises(SpecError, match="does not have labels in files of their own"):
        read_audit(write(GOOD.replace(old, gate)))
    with pytest.raises(SpecError, match="at_least"):
        spec_with(write, (old, "{kind: labelled, at_least: 0.0}"))
