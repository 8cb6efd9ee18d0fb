"""Audits of several classes and of numbers, from raw files to certificates that are verified."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import skops.io
from sklearn.compose import make_column_transformer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.metrics import (
    accuracy_score,
    balanced_accuracy_score,
    f1_score,
    log_loss,
    mean_absolute_error,
    mean_squared_error,
    r2_score,
    roc_auc_score,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from evaluator.certification import verify_all
from evaluator.orchestration import AuditState, Home, page_of, statement_name
from evaluator.orchestration._tracking import tracking_client
from evaluator.scorecard import MEASUREMENTS, from_stored
from evaluator.spec import Audit, AuditSpec, named_audit
from evaluator_tests.orchestration.conftest import open_home, run

DAYS = ("2026-03-01", "2026-03-02")
CASES_A_DAY = 150
CLASSES = ("low", "middle", "high")
FEATURES = ("amount", "age")


def world(task: str) -> pd.DataFrame:
    """Make cases of two days with the truth about each, of what kind the task asks for."""
    generator = np.random.default_rng(19)
    count = len(DAYS) * CASES_A_DAY
    frame = pd.DataFrame(
        {
            "day": np.repeat(DAYS, CASES_A_DAY),
            "case": [f"c{number}" for number in range(count)],
            "place": generator.choice(["north", "south"], count),
            "kind": generator.choice(["new", "old"], count),
            "amount": generator.normal(size=count).round(3),
            "age": generator.integers(18, 90, count).astype(float),
        }
    )
    true = 3 * frame["amount"] + frame["age"] / 20 + generator.normal(size=count)
    if task == "multiclass":
        cut = np.digitize(true, [2, 4])
        return frame.assign(truth=np.array(CLASSES)[cut])
    return frame.assign(truth=(10 * true).round(2))


def trained(task: str, frame: pd.DataFrame) -> Any:
    scale = make_column_transformer((StandardScaler(), list(FEATURES)))
    model = LogisticRegression() if task == "multiclass" else LinearRegression()
    return make_pipeline(scale, model).fit(frame[list(FEATURES)], frame["truth"])


def audit_of(task: str, **settings: Any) -> Audit:
    label = {"type": "category", "allowed": list(CLASSES)}
    recorded = {"kind": "recorded", "path": "said.csv", "prediction": "said"}
    is_number = task == "regression"
    attributes = {
        "task": task,
        "data": {
            "files": "cases-{date}.csv",
            "first_day": DAYS[0],
            "id": "case",
            "columns": {
                "case": {"type": "string", "required": True, "unique": True},
                "place": {"type": "category", "required": True, "allowed": ["north", "south"]},
                "kind": {"type": "category", "required": True, "allowed": ["new", "old"]},
                "amount": {"type": "float", "required": True},
                "age": {"type": "float", "required": True},
                "truth": {"type": "float"} if is_number else label,
            },
        },
        "label": {"column": "truth", **({"tolerance": 10.0} if is_number else {})},
        "geography": "place",
        "segment": "kind",
        "candidates": [
            {"name": "said", "baseline": True, **recorded},
            {"name": "model", "path": "model.skops", "features": list(FEATURES)},
        ],
        "fairness": {"attributes": ["place"]},
        "weak_slices": {"features": ["age", "place"], "minimum_support": 20},
        "additional_slices": [["kind"]],
        "gates": [
            {"metric": "mean_absolute_error", "at_most": 40}
            if is_number
            else {"metric": "accuracy", "at_least": 0.4},
            {
                "metric": "mean_absolute_error" if is_number else "accuracy",
                "not_worse_than_baseline_by": 20 if is_number else 0.5,
                "candidate": "model",
            },
            {"kind": "complete"},
        ],
        **settings,
    }
    return named_audit("shop", AuditSpec.model_validate(attributes))


def land(home: Home, task: str) -> pd.DataFrame:
    """Lay files, a model and a recording where the audit looks for them."""
    frame = world(task)
    for day, part in frame.groupby("day"):
        path = home.landing("shop") / f"cases-{day}.csv"
        path.parent.mkdir(parents=True, exist_ok=True)
        part.drop(columns="day").to_csv(path, index=False)
    skops.io.dump(trained(task, frame[:CASES_A_DAY]), home.root / "model.skops")
    said = frame["truth"].shift(1).fillna(frame["truth"])
    said = said.where(frame["amount"] > 0, frame["truth"])
    recorded = pd.DataFrame({"id": frame["case"], "said": said})
    recorded.to_csv(home.root / "said.csv", index=False)
    return frame


def overall(state: AuditState, candidate: str) -> dict[str, float]:
    table = from_stored(state.store.read_table(state.require("scorecard"), MEASUREMENTS))
    own = table[(table["candidate"] == candidate) & (table["level"] == "overall")]
    return dict(zip(own["metric"], own["value"], strict=True))


@pytest.mark.parametrize("task", ["multiclass", "regression"])
def test_a_whole_audit_ends_in_certificates_that_are_verified_and_figures_of_scikit_learn(
    task: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = open_home(tmp_path / "home", monkeypatch)
    frame = land(home, task)
    audit = audit_of(task)

    summary = run(audit, home)

    assert summary.faults == []
    state = AuditState(audit, home)
    judged = summary.judged
    assert judged is not None
    assert not any("possible" in remark for remark in judged.scorecard.remarks)
    assert {one.candidate: one.outcome for one in judged.outcomes} == {
        "said": "certified",
        "model": "certified",
    }
    model = trained(task, frame[:CASES_A_DAY])
    features, truth = frame[list(FEATURES)], frame["truth"]
    given = model.predict(features)
    if task == "multiclass":
        scores = model.predict_proba(features)
        expected = {
            "accuracy": accuracy_score(truth, given),
            "balanced_accuracy": balanced_accuracy_score(truth, given),
            "f1_weighted": f1_score(truth, given, average="weighted"),
            "log_loss": log_loss(truth, scores),
            "roc_auc_ovr": roc_auc_score(truth, scores, multi_class="ovr"),
        }
    else:
        expected = {
            "mean_absolute_error": mean_absolute_error(truth, given),
            "root_mean_squared_error": mean_squared_error(truth, given) ** 0.5,
            "bias": (given - truth).mean(),
            "r2": r2_score(truth, given),
        }
    assert overall(state, "model") == pytest.approx(expected, rel=1e-9)
    for table in ("comparisons", "ranks", "fairness", "additional_measurements"):
        assert len(getattr(judged.scorecard, table)) > 0, table
    content = state.store.read_bytes(state.require("certificate"), statement_name("said"))
    reports = verify_all(content, state.store.url, now=datetime.now(UTC))
    assert [(report.problems, report.not_checked) for report in reports] == [((), ()), ((), ())]
    page = page_of(state).content.decode()
    assert '<section id="curves"' not in page
    client = tracking_client(home)
    runs = client.search_runs([one.experiment_id for one in client.search_experiments()])
    # A threshold is of no such task.
    assert [{*one.data.params} for one in runs] == [{"kind", "source", "features"}] * 2
    # What is current is not computed again.
    again = run(audit, home)
    assert again.computed == 0


def test_abstentions_are_told_beside_what_was_answered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = open_home(tmp_path / "home", monkeypatch)
    frame = land(home, "multiclass")
    said = pd.read_csv(home.root / "said.csv")
    # Nothing is said of old cases in the north.
    silent = (frame["place"] == "north") & (frame["kind"] == "old")
    said["said"] = said["said"].mask(silent)
    said.to_csv(home.root / "said.csv", index=False)
    metrics = ["accuracy", "coverage", "selective_accuracy", "quadratic_weighted_kappa"]
    recorded = {"kind": "recorded", "path": "said.csv", "prediction": "said", "abstains": True}
    audit = audit_of(
        "multiclass",
        candidates=[{"name": "said", **recorded}],
        metrics=metrics,
        gates=[{"metric": "coverage", "at_least": 0.5}],
        fairness=None,
    )

    summary = run(audit, home)

    assert summary.faults == []
    found = overall(AuditState(audit, home), "said")
    right = said["said"] == frame["truth"]
    assert found["coverage"] == pytest.approx(1 - silent.mean())
    assert found["accuracy"] == pytest.approx(right.mean())
    assert found["selective_accuracy"] == pytest.approx(right[~silent].mean())
    assert summary.judged is not None
    table = summary.judged.scorecard.measurements
    north = table[(table["geography"] == "north") & (table["segment"] == "old")]
    values = north.set_index("metric")["value"]
    assert values["coverage"] == 0
    # Where nothing was answered, nothing of the answers is known.
    assert np.isnan(values["selective_accuracy"])
    assert [one.outcome for one in summary.judged.outcomes] == ["certified"]
