"""What candidates were trained on is declared in one block, and refused where it finds no case."""

import pytest

from evaluator.spec import AuditSpec, UnseenGate, read_audit
from evaluator_tests.spec.conftest import GOOD, Spoil, Write

FEATURES = "      features: [amount]\n"


def spec_with(write: Write, training: str, *changes: tuple[str, str]) -> AuditSpec:
    text = GOOD.replace(FEATURES, f"{FEATURES}      training: {training}\n")
    for old, new in changes:
        assert old in text
        text = text.replace(old, new, 1)
    return read_audit(write(text)).spec


def test_it_changes_no_output_and_counts_for_what_is_certified(write: Write) -> None:
    plain = read_audit(write(GOOD)).spec
    spec = spec_with(write, "{files: training/a-*.csv}")
    assert spec.candidates[0].identity_settings == plain.candidates[0].identity_settings
    assert "training" not in plain.what_counts()["candidates"][0]
    first = spec.what_counts()["candidates"][0]
    assert first["training"]["files"] == "training/a-*.csv"
    assert first["training"]["seen"] == "refuse"


def test_a_candidate_that_may_not_have_seen_cases_has_a_gate_of_it(write: Write) -> None:
    for seen, expected in (("refuse", ["one"]), ("leave_out", ["one"]), ("tell", [])):
        spec = spec_with(write, f"{{last_day: 2025-12-31, seen: {seen}}}")
        implied = spec.judged_by[len(spec.gates) :]
        assert [gate.candidate for gate in implied] == expected
        assert all(isinstance(gate, UnseenGate) and gate.at_most == 0 for gate in implied)
    read_again = AuditSpec.model_validate(spec.model_dump(mode="json", exclude_unset=True))
    assert read_again.judged_by == spec.judged_by


@pytest.mark.parametrize(
    ("declared", "implied"),
    [
        ("{kind: unseen, at_most: 0.01}", 0),
        ("{kind: unseen, candidate: one}", 0),
        ("{kind: unseen, candidate: two}", 1),
        ("{kind: unseen, required: false}", 1),
    ],
)
def test_a_required_gate_of_ones_own_takes_its_place(
    write: Write, declared: str, implied: int
) -> None:
    gate = "    - {metric: roc_auc, at_least: 0.5}\n"
    spec = spec_with(write, "{last_day: 2025-12-31}", (gate, f"{gate}    - {declared}\n"))
    assert len(spec.judged_by) == len(spec.gates) + implied


@pytest.mark.parametrize(
    ("training", "key", "what", "fix"),
    [
        ("{seen: tell}", "files", "nothing of what the candidate was trained on", "last_day"),
        ("{last_day: 2025-12-31, id: key}", "id", "no `files`", "name them"),
        ("{last_day: 2025-12-31, columns: [amount]}", "columns", "no `files`", "name them"),
        ("{files: a.csv, day: amount}", "day", "no `last_day`", "declare one"),
        ("{files: a.csv, columns: [amount, amount]}", "columns", "amount", ""),
        ("{files: a.csv, columns: [amuont]}", "columns", "'amuont' is not declared", "amount"),
        ("{files: a.csv, columns: [label]}", "columns", "is the label", ""),
        ("{files: a.csv, columns: [case_id]}", "columns", "is the id", ""),
        ("{files: a.csv, id: [a, b]}", "id", "2 columns, and `data.id` 1", "as many"),
        ("{last_day: 2025-12-31, day: amount}", "day", "is a float", "date or timestamp"),
        ("{last_day: 2025-12-31, day: at}", "day", "'at' is not declared", ""),
        ("{files: 'a/*/b.csv'}", "files", "not in the name of a file", "part-"),
        ("{files: ../a.csv}", "files", "leaves the platform's home", ""),
        ("{digests: [abc]}", "digests", "", ""),
        ("{files: a.csv, seen: maybe}", "seen", "", ""),
    ],
)
def test_a_training_that_finds_no_case_is_named_with_its_key_and_how_to_mend_it(
    spoil: Spoil, training: str, key: str, what: str, fix: str
) -> None:
    error = spoil((FEATURES, f"{FEATURES}      training: {training}\n"))
    assert f"candidates.0.training.{key}" in error.culprit or key in error.what
    assert what in error.what
    assert fix in error.fix


def test_data_of_no_day_need_a_column_that_says_of_which_a_case_is(
    spoil: Spoil, write: Write
) -> None:
    snapshot = (
        '    files: "cases-{date}.csv"\n    first_day: 2026-01-01\n',
        "    files: all.csv\n",
    )
    training = (FEATURES, f"{FEATURES}      training: {{last_day: 2025-12-31}}\n")
    error = spoil(snapshot, training)
    assert "the data are of no day" in error.what
    assert "`day`" in error.fix
    column = ("      amount:", "      made: {type: date}\n      amount:")
    spec = spec_with(write, "{last_day: 2025-12-31, day: made}", snapshot, column)
    assert spec.candidates[0].training is not None
