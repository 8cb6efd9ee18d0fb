"""What the demo finds is what the golden run found, to the last digit."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
import pytest

import evaluator
from evaluator.certification import DecidedGap, decide_gaps, gate_evidence, judge_scopes
from evaluator.scorecard import Scorecard, from_stored, to_frame
from evaluator.spec import load_audit

GOLDEN = Path(__file__).parents[2] / "benchmarks" / "golden" / "flights"
DECIDED = "fairness_verdicts.parquet"
"""What gates and the audit's limits say of each gap; the scorecard holds the gaps alone."""
DECISIONS = ["limit", "gate", "gates", "verdict", "needed_cases", "reason"]
TABLES = sorted(path.name for path in GOLDEN.glob("*.parquet"))

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def evidence(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The evidence of a demo that was run from nothing, as a user runs it."""
    home = tmp_path_factory.mktemp("home")
    ours = {k: v for k, v in os.environ.items() if not k.startswith(("EVALUATOR_", "MLFLOW_"))}
    done = subprocess.run(
        [sys.executable, "-c", "from evaluator.cli import main; main()", "demo"],
        env={**ours, "EVALUATOR_HOME": str(home)},
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return home / "evidence" / "flights"


def newest(evidence: Path, asset: str) -> Path:
    """Return the folder of an asset's current version."""
    folder = evidence / asset / "_"
    pointer: dict[str, str] = json.loads((folder / "current.json").read_text())
    return folder / pointer["identity"]


def found(evidence: Path) -> dict[str, Any]:
    """Gather what `findings.json` holds of the golden run."""
    facts = json.loads((newest(evidence, "scorecard") / "record.json").read_text())["facts"]
    issued = json.loads((newest(evidence, "certificate") / "certificate.json").read_text())
    return {
        **{name: facts[name] for name in ("models", "weak_searches", "remarks")},
        "outcomes": {one["candidate"]: one["outcome"] for one in issued["candidates"]},
        "verdicts": issued["verdicts"],
    }


@pytest.fixture(scope="module")
def same_models(evidence: Path) -> bool:
    """Whether training gave the golden run's very models, as it does on processors of one kind."""
    return bool(found(evidence)["models"] == golden()["models"])


def golden() -> dict[str, Any]:
    """Read the golden run's findings."""
    read: dict[str, Any] = json.loads((GOLDEN / "findings.json").read_text())
    return read


def stored(evidence: Path, table: str) -> pd.DataFrame:
    """Read a table of the scorecard, or decide its gaps."""
    folder = newest(evidence, "scorecard")
    if table != DECIDED:
        return pd.read_parquet(folder / table)
    spec = load_audit("flights", Path(evaluator.__file__).parent / "defs").spec
    scorecard = Scorecard.from_tables(
        lambda name: (
            from_stored(pq.read_table(folder / name))
            if (folder / name).exists()
            else pd.DataFrame()
        ),
        weak_searches={},
    )
    judged_on = gate_evidence(spec, scorecard)
    judged = judge_scopes(spec.gates, judged_on, [one.name for one in spec.candidates])
    gaps = to_frame(decide_gaps(judged, judged_on, spec.fairness), DecidedGap)
    return gaps[["candidate", "measure", "comparison", "attribute", "group", *DECISIONS]]


@pytest.mark.parametrize("table", TABLES)
def test_each_table_of_the_scorecard_is_the_golden_one(
    evidence: Path, table: str, *, same_models: bool
) -> None:
    ours = stored(evidence, table)
    theirs = pd.read_parquet(GOLDEN / table)

    if same_models:
        pd.testing.assert_frame_equal(ours, theirs, check_exact=True)
    else:
        # Other last digits in a linear algebra library train another model.
        assert ours.dtypes.to_dict() == theirs.dtypes.to_dict()


def test_verdicts_outcomes_and_remarks_are_the_golden_ones(
    evidence: Path, *, same_models: bool
) -> None:
    ours, theirs = found(evidence), golden()

    if not same_models:
        outcomes = ["candidate", "gate", "verdict"]
        ours, theirs = (
            {
                "outcomes": one["outcomes"],
                "verdicts": [[row[name] for name in outcomes] for row in one["verdicts"]],
            }
            for one in (ours, theirs)
        )
    assert ours == theirs
