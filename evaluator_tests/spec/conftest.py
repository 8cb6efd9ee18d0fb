"""A small audit's YAML that loads, and ways to spoil it."""

from collections.abc import Callable
from pathlib import Path

import pytest

from evaluator.errors import SpecError
from evaluator.spec import read_audit

GOOD = """\
type: evaluator.orchestration.AuditComponent
attributes:
  data:
    files: "cases-{date}.csv"
    first_day: 2026-01-01
    id: case_id
    columns:
      case_id: {type: string, required: true, unique: true}
      country: {type: category, required: true, allowed: [north, south]}
      customer: {type: category, required: true, allowed: [new, returning]}
      amount: {type: float, minimum: 0}
      label: {type: integer, allowed: [0, 1]}
  label: {column: label, positive: 1}
  geography: country
  segment: customer
  candidates:
    - name: one
      path: models/one.skops
      features: [amount]
    - name: two
      path: models/two.skops
      features: [amount, country]
  metrics: [accuracy, roc_auc]
  gates:
    - {metric: roc_auc, at_least: 0.5}
"""

Write = Callable[[str], Path]
Spoil = Callable[..., SpecError]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write a text as the YAML of the audit `shop`."""

    def make(text: str) -> Path:
        path = tmp_path / "defs" / "shop" / "defs.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    return make


@pytest.fixture
def spoil(write: Write) -> Spoil:
    """Exchange parts of the good YAML, and return the error that reading it gives.

    The error's culprit begins at the file's own name.
    """

    def make(*changes: tuple[str, str]) -> SpecError:
        text = GOOD
        for old, new in changes:
            assert old in text
            text = text.replace(old, new, 1)
        path = write(text)
        with pytest.raises(SpecError) as caught:
            read_audit(path)
        error = caught.value
        error.culprit = error.culprit.removeprefix(f"{path.parent}/")
        return error

    return make
