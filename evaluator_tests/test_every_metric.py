"""Every metric goes all the way: gate, certificate, recomputation, page and MLflow."""

from typing import NamedTuple

import pandas as pd
import pytest
from markupsafe import escape
from mlflow.utils.validation import MAX_ENTITY_KEY_LENGTH, _validate_metric_name

from evaluator.certification import decide_outcomes, judge
from evaluator.certification._gate_evidence import gate_evidence
from evaluator.evidence import EvidenceStore, Record
from evaluator.metrics import METRICS, slice_metrics
from evaluator.orchestration._mlflow_runs import _numbers, as_json
from evaluator.reporting import CandidateSummary, DashboardContent, render_dashboard
from evaluator.scorecard import Scorecard, from_stored
from evaluator.spec import AuditSpec
from evaluator_tests.certification.checking import check, key_of, problems
from evaluator_tests.certification.evidence_folder import NOW, Builder, Issued
from evaluator_tests.certification.evidence_spec import SPEC

NAMES = [name for name, info in METRICS.items() if "binary_classification" in info.tasks]
CANDIDATES = ["one", "two"]


class Audited(NamedTuple):
    issued: Issued
    spec: AuditSpec
    scorecard: Scorecard


@pytest.fixture(scope="module")
def audited(tmp_path_factory: pytest.TempPathFactory) -> Audited:
    """An audit that measures every metric, and has a gate on each."""
    settings = SPEC.model_dump(mode="json", exclude_unset=True)
    gates = [{"metric": name, "at_least": -1e9, "required": False} for name in NAMES]
    spec = AuditSpec.model_validate({**settings, "metrics": NAMES, "gates": gates})
    folder = tmp_path_factory.mktemp("every metric")
    issued = Builder(folder, spec).issue(key_of())
    (path,) = folder.glob("*/scorecard/_/*/record.json")
    record = Record.model_validate_json(path.read_text())
    store = EvidenceStore(str(folder))
    scorecard = Scorecard.from_tables(
        lambda name: (
            from_stored(store.read_table(record, name)) if name in record.files else pd.DataFrame()
        ),
        weak_searches={},
    )
    return Audited(issued, spec, scorecard)


def test_what_each_gate_said_is_in_the_certificate_and_is_found_again(audited: Audited) -> None:
    for candidate in CANDIDATES:
        report = check(audited.issued, candidate)
        assert problems(report) == ""
        assert report.statement is not None
        gates = report.statement.predicate.gates
        assert [gate.gate for gate in gates] == [
            f"{METRICS[name].title} overall at least -1e+09" for name in NAMES
        ]
        for gate in gates:
            # The other candidate lacks a slice, so that none of its gates can pass.
            own = ("too few", "undefined") if candidate == "one" else ("",)
            assert gate.verdict == "PASS" or gate.reason.startswith(own)


def test_the_page_names_each_and_shows_a_value_or_a_reason(audited: Audited) -> None:
    evidence = gate_evidence(audited.spec, audited.scorecard)
    verdicts = judge(audited.spec.gates, evidence, CANDIDATES)
    page = render_dashboard(
        DashboardContent(
            audit="shop",
            title="",
            created_at=NOW,
            evaluation_set=None,
            candidates=[
                CandidateSummary(name=name, description="", artifact_digest=None, baseline=False)
                for name in CANDIDATES
            ],
            outcomes=decide_outcomes(verdicts, audited.scorecard.slices, CANDIDATES, now=NOW),
            verdicts=verdicts,
            scorecard=audited.scorecard,
            fairness_gaps=[],
            headline_metrics=NAMES,
            standout_metrics=NAMES[:1],
            confidence=0.95,
            minimum_support=30,
            without_label=pd.DataFrame(),
            intake_days=[],
            evidence=[],
            code_version="0.1.0",
            run_id="run",
            signed_by=None,
        )
    )
    for name in NAMES:
        assert f">{escape(METRICS[name].title)}</th>" in page


def test_mlflow_gets_each_under_its_name(audited: Audited) -> None:
    measured = audited.scorecard.measurements
    own = measured[measured["candidate"] == "one"]
    overall = own[own["level"] == "overall"].set_index("metric")
    assert list(overall.index) == NAMES
    logged = dict(_numbers(own))
    for name, value in overall["value"].items():
        assert (name in logged) == pd.notna(value)
    assert set(as_json(own)["metric"]) == set(NAMES)


def test_mlflow_gets_each_class_under_a_name_of_its_own_that_it_takes() -> None:
    classes = ["ckb", "a/b", "a:b", "..", ".", "", "x" * 300, "x" * 301, "geography"]
    frame = pd.DataFrame({"label": classes, "geography": "west", "segment": "new"})
    measured = slice_metrics(
        frame,
        label="label",
        prediction="label",
        slices=["geography", "segment"],
        task="multiclass_classification",
        classes=classes,
        metrics=["class_recall", "accuracy"],
    )
    names = [name for name, _ in _numbers(measured.assign(candidate="one"))]
    assert len(set(names)) == len(names) == 3 * (len(classes) + 1)
    assert {"accuracy", "class_recall/ckb", "class_recall/ckb/geography/west"} < set(names)
    for name in names:
        _validate_metric_name(name)
        assert len(name) <= MAX_ENTITY_KEY_LENGTH
