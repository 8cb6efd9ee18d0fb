"""Audits of classes, numbers and rankings, from raw files to certificates that are verified."""

import json
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
    ndcg_score,
    r2_score,
    roc_auc_score,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from evaluator.certification import verify_all
from evaluator.orchestration import AuditState, Home, page_of, statement_name
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
    label = {
        "multiclass": {"type": "category", "allowed": list(CLASSES)},
        "ranking": {"type": "string"},
        "regression": {"type": "float"},
    }
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
                "truth": label[task],
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


ITEMS = [f"d{number}" for number in range(30)]


def queries() -> tuple[pd.DataFrame, np.ndarray, dict[str, np.ndarray]]:
    """Make queries with grades of all items, and what two systems score them; some lack grades."""
    generator = np.random.default_rng(20)
    frame = world("regression").drop(columns="truth")
    grades = generator.choice([0, 0, 0, 0, 0, 1, 2, 3], (len(frame), len(ITEMS)))
    grades[::25] = 0
    noise = {"said": 2.0, "model": 0.7}
    return (
        frame,
        grades,
        {n: grades + generator.normal(0, o, grades.shape) for n, o in noise.items()},
    )


def test_rankings_go_from_raw_files_to_certificates_that_are_verified(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = open_home(tmp_path / "home", monkeypatch)
    frame, grades, scores = queries()
    # What is not mentioned has the grade 0.
    truth = [
        json.dumps({item: int(grade) for item, grade in zip(ITEMS, of_query, strict=True) if grade})
        for of_query in grades
    ]
    for day, part in frame.assign(truth=truth).groupby("day"):
        path = home.landing("shop") / f"cases-{day}.csv"
        path.parent.mkdir(parents=True, exist_ok=True)
        part.drop(columns="day").to_csv(path, index=False)
    ranked = {
        name: [[ITEMS[place] for place in order] for order in np.argsort(-of_system, axis=1)]
        for name, of_system in scores.items()
    }
    said = pd.DataFrame({"id": frame["case"], "said": map(json.dumps, ranked["said"])})
    said.to_csv(home.root / "said.csv", index=False)
    listed = pd.DataFrame({"id": frame["case"], "said": ranked["model"]})
    listed.to_parquet(home.root / "model.parquet")
    recorded = {"kind": "recorded", "prediction": "said"}
    metrics = ["ndcg_at_10", "ndcg_at_7", "precision_at_4", "recall_at_4", "mean_reciprocal_rank"]
    audit = audit_of(
        "ranking",
        candidates=[
            {"name": "said", "path": "said.csv", "baseline": True, **recorded},
            {"name": "model", "path": "model.parquet", **recorded},
        ],
        metrics=metrics,
        gates=[
            {"metric": "ndcg_at_7", "at_least": 0.4},
            {"metric": "ndcg_at_10", "not_worse_than_baseline_by": 0.1, "candidate": "model"},
            {"kind": "fairness", "measure": "ranking_gap", "limit_difference": 0.4},
            {"kind": "complete"},
        ],
        examples={"columns": ["amount"]},
    )

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
    known = (grades > 0).any(axis=1)
    for name, of_system in scores.items():
        order = np.argsort(-of_system, axis=1)
        hits = np.take_along_axis(grades > 0, order, axis=1)
        found = hits[:, :4].sum(axis=1)
        expected = {
            "ndcg_at_10": ndcg_score(grades[known], of_system[known], k=10),
            "ndcg_at_7": ndcg_score(grades[known], of_system[known], k=7),
            "precision_at_4": (found / 4).mean(),
            "recall_at_4": (found[known] / hits[known].sum(axis=1)).mean(),
            "mean_reciprocal_rank": (1 / (1 + hits[known].argmax(axis=1))).mean(),
        }
        assert overall(state, name) == pytest.approx(expected, rel=1e-12)
    table = judged.scorecard.measurements
    rests_on = table[(table["level"] == "overall") & (table["candidate"] == "said")]
    assert rests_on.set_index("metric")["n_effective"].to_dict() == dict.fromkeys(
        metrics, known.sum()
    ) | {"precision_at_4": len(known)}
    for name in ("comparisons", "ranks", "fairness", "additional_measurements"):
        assert len(getattr(judged.scorecard, name)) > 0, name
    content = state.store.read_bytes(state.require("certificate"), statement_name("said"))
    reports = verify_all(content, state.store.url, now=datetime.now(UTC))
    assert [(report.problems, report.not_checked) for report in reports] == [((), ()), ((), ())]
    page = page_of(state).content.decode()
    assert "NDCG at 7" in page
    assert run(audit, home).computed == 0
