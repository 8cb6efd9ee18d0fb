"""Audits of classes, numbers and rankings, from raw files to certificates that are verified."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
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
    mean_pinball_loss,
    mean_squared_error,
    ndcg_score,
    precision_score,
    r2_score,
    recall_score,
    roc_auc_score,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from evaluator.certification import Verdict, verify, verify_all
from evaluator.evaluation import Scored, score
from evaluator.orchestration import AuditState, Home, page_of, statement_name
from evaluator.orchestration._single_cases import find_flips
from evaluator.orchestration._tracking import tracking_client
from evaluator.scorecard import MEASUREMENTS, from_stored
from evaluator.spec import TASKS, Audit, AuditSpec, named_audit
from evaluator_tests.candidates import scoring_server as endpoint
from evaluator_tests.candidates.test_candidates_tasks import ASKED, KINDS, cases_of, expected
from evaluator_tests.orchestration.conftest import open_home, run

DAYS = ("2026-03-01", "2026-03-02")
CASES_A_DAY = 150
CLASSES = ("low", "middle", "high")
FEATURES = ("amount", "age")
ITEMS = [f"d{number}" for number in range(30)]
PICTURES = {name for task in TASKS.values() for name in task.pictures}


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


def audit_of(task: str, audit: str = "shop", **settings: Any) -> Audit:
    label = {
        "multiclass": {"type": "category", "allowed": list(CLASSES)},
        "ranking": {"type": "string"},
        "regression": {"type": "float"},
    }
    recorded = {"kind": "recorded", "path": "said.csv", "prediction": "said"}
    model = {"path": "model.skops", "features": list(FEATURES)}
    if task == "ranking":
        model = {**recorded, "path": "model.parquet"}
    metric, enough, margin = {
        "multiclass": ("accuracy", {"at_least": 0.4}, 0.5),
        "ranking": ("ndcg_at_10", {"at_least": 0.4}, 0.1),
        "regression": ("mean_absolute_error", {"at_most": 40}, 20),
    }[task]
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
        "label": {"column": "truth", **({"tolerance": 10.0} if task == "regression" else {})},
        "geography": "place",
        "segment": "kind",
        "candidates": [
            {"name": "said", "baseline": True, **recorded},
            {"name": "model", **model},
        ],
        "fairness": {"attributes": ["place"]},
        "weak_slices": {"features": ["age", "place"], "minimum_support": 20},
        "additional_slices": [["kind"]],
        "gates": [
            {"metric": metric, **enough},
            {"metric": metric, "not_worse_than_baseline_by": margin, "candidate": "model"},
            {"kind": "complete"},
        ],
        **settings,
    }
    return named_audit(audit, AuditSpec.model_validate(attributes))


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


def land(home: Home, task: str, audit: str = "shop") -> pd.DataFrame:
    """Lay files, a model and a recording where the audit looks for them."""
    if task == "ranking":
        return land_rankings(home, audit)
    frame = world(task)
    land_days(home, frame, audit)
    skops.io.dump(trained(task, frame[:CASES_A_DAY]), home.root / "model.skops")
    said = frame["truth"].shift(1).fillna(frame["truth"])
    said = said.where(frame["amount"] > 0, frame["truth"])
    recorded = pd.DataFrame({"id": frame["case"], "said": said})
    recorded.to_csv(home.root / "said.csv", index=False)
    return frame


def land_days(home: Home, frame: pd.DataFrame, audit: str) -> None:
    for day, part in frame.groupby("day"):
        path = home.landing(audit) / f"cases-{day}.csv"
        path.parent.mkdir(parents=True, exist_ok=True)
        part.drop(columns="day").to_csv(path, index=False)


def land_rankings(home: Home, audit: str) -> pd.DataFrame:
    """Lay queries, and two recordings of rankings: JSON in CSV, and lists in Parquet."""
    frame, grades, scores = queries()
    # What is not mentioned has the grade 0.
    frame["truth"] = [
        json.dumps({item: int(grade) for item, grade in zip(ITEMS, of_query, strict=True) if grade})
        for of_query in grades
    ]
    land_days(home, frame, audit)
    ranked = {
        name: [[ITEMS[place] for place in order] for order in np.argsort(-of_system, axis=1)]
        for name, of_system in scores.items()
    }
    said = pd.DataFrame({"id": frame["case"], "said": map(json.dumps, ranked["said"])})
    said.to_csv(home.root / "said.csv", index=False)
    listed = pd.DataFrame({"id": frame["case"], "said": ranked["model"]})
    listed.to_parquet(home.root / "model.parquet")
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
    loss = "squared_error" if task == "regression" else "log_loss"
    searched = {"features": ["age", "place"], "minimum_support": 20, "loss": loss}
    audit = audit_of(task, weak_slices=searched)

    summary = run(audit, home)

    assert summary.faults == []
    state = AuditState(audit, home)
    judged = summary.judged
    assert judged is not None
    impossible = [remark for remark in judged.scorecard.remarks if "possible" in remark]
    without = (
        "a search for weak slices of said was not possible: said gives decisions and no scores"
    )
    of_scores = [f"{without}, and log_loss needs them"]
    assert impossible == (of_scores if task == "multiclass" else [])
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
    wanted = expected["log_loss"] if task == "multiclass" else mean_squared_error(truth, given)
    assert judged.scorecard.weak_searches["model"]["mean_loss"] == pytest.approx(wanted)
    for table in ("comparisons", "ranks", "fairness", "additional_measurements"):
        assert len(getattr(judged.scorecard, table)) > 0, table
    content = state.store.read_bytes(state.require("certificate"), statement_name("said"))
    reports = verify_all(content, state.store.url, now=datetime.now(UTC))
    assert [(report.problems, report.not_checked) for report in reports] == [((), ()), ((), ())]
    client = tracking_client(home)
    runs = client.search_runs([one.experiment_id for one in client.search_experiments()])
    # A threshold is of no such task.
    assert [{*one.data.params} for one in runs] == [{"kind", "source", "features"}] * 2
    # What no candidate of this task has is not stored.
    assert state.require("scorecard").files.keys() & PICTURES == set(audit.spec.asks.pictures)
    # What is current is not computed again.
    again = run(audit, home)
    assert again.computed == 0


OF_CLASSES = ["class_recall", "class_precision", "class_calibration_error"]
RECALL, PRECISION, ERROR = ({"metric": name} for name in OF_CLASSES)
GAP = {"kind": "fairness", "measure": "equal_opportunity", "limit_difference": 0.9}
NEAR_BASELINE = {"not_worse_than_baseline_by": 0.6}
"""What a gate asks, what it is called, and of how many places it says where the worst is."""
GATES_OF_CLASSES: list[tuple[dict[str, Any], str, int, set[str]]] = [
    ({**RECALL, "at_least": 0.05}, "recall of each class overall at least 0.05", 3, {*CLASSES}),
    (
        {**RECALL, "class": "high", "level": "geography", "at_least": 0.05},
        "recall of class high of each geography at least 0.05",
        2,
        {"high"},
    ),
    (
        {**PRECISION, "level": "slice", "at_least": 0.05},
        "precision of each class of each slice at least 0.05",
        12,
        {*CLASSES},
    ),
    (
        {**RECALL, **NEAR_BASELINE},
        "recall of each class overall not worse than the baseline's by more than 0.6",
        3,
        {*CLASSES},
    ),
    (
        {**PRECISION, **NEAR_BASELINE, "class": "low"},
        "precision of class low overall not worse than the baseline's by more than 0.6",
        1,
        {"low"},
    ),
    (
        {**ERROR, "kind": "calibration", "class": "low", "at_most": 0.5, "candidate": "model"},
        "calibration error of class low overall at most 0.5",
        1,
        {"low"},
    ),
    (
        {**ERROR, "kind": "calibration", "level": "segment", "at_most": 0.5, "candidate": "model"},
        "calibration error of each class of each segment at most 0.5",
        6,
        {*CLASSES},
    ),
    ({**GAP, "class": "low"}, "equal opportunity of class low: difference at most 0.9", 2, {"low"}),
    (GAP, "equal opportunity: difference at most 0.9", 6, {*CLASSES}),
]


def hold_gates_of_classes(verdicts: Sequence[Verdict]) -> None:
    """Hold what gates ask against which class they say that their worst place is of."""
    for gate, says, places, classes in GATES_OF_CLASSES:
        own = [verdict for verdict in verdicts if verdict.gate == says]
        whom = {"model"} if "candidate" in gate else {"said", "model", "guess"}
        whom -= {"said"} if "not_worse_than_baseline_by" in gate else set()
        assert {verdict.candidate for verdict in own} == whom
        for verdict in own:
            assert verdict.places == places
            group = str(verdict.group)
            assert any(f"class {one}" in group for one in classes), group
            if verdict.level == "geography":
                assert group == f"{verdict.geography}, class high"
            if verdict.candidate == "model":
                assert verdict.verdict == "PASS", verdict.reason


def test_each_class_has_figures_comparisons_and_gates_that_are_computed_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = open_home(tmp_path / "home", monkeypatch)
    frame = land(home, "multiclass")
    said = pd.read_csv(home.root / "said.csv")
    said.assign(said=frame["truth"].shift(2).fillna("low")).to_csv(home.root / "guess.csv")
    candidates = audit_of("multiclass").spec.model_dump(exclude_unset=True)["candidates"]
    guess = {"name": "guess", "kind": "recorded", "path": "guess.csv", "prediction": "said"}
    audit = audit_of(
        "multiclass",
        # One of a single class may be the first.
        metrics=["class_recall", "accuracy", *OF_CLASSES[1:]],
        candidates=[*candidates, guess],
        gates=[gate for gate, *_ in GATES_OF_CLASSES],
    )

    summary = run(audit, home)

    assert summary.faults == []
    state, judged = AuditState(audit, home), summary.judged
    assert judged is not None
    scorecard = judged.scorecard
    model, truth = trained("multiclass", frame[:CASES_A_DAY]), frame["truth"]
    given = {"model": model.predict(frame[list(FEATURES)])}
    given |= {one: pd.read_csv(home.root / f"{one}.csv")["said"] for one in ("said", "guess")}
    functions = {"class_recall": recall_score, "class_precision": precision_score}
    expected = {
        (candidate, metric, one): value
        for candidate, predicted in given.items()
        for metric, function in functions.items()
        for one, value in zip(
            CLASSES, function(truth, predicted, labels=CLASSES, average=None), strict=True
        )
    }
    differences = {
        key: value - expected["said", *key[1:]]
        for key, value in expected.items()
        if key[0] != "said"
    }
    keys = ["candidate", "metric", "class"]

    def overall_of(table: pd.DataFrame, value: str) -> dict[Any, float]:
        own = table[(table["level"] == "overall") & table["metric"].isin(list(functions))]
        return dict(zip(own[keys].itertuples(index=False, name=None), own[value], strict=True))

    assert overall_of(scorecard.measurements, "value") == pytest.approx(expected, abs=1e-12)
    assert overall_of(scorecard.comparisons, "difference") == pytest.approx(differences, abs=1e-12)
    more = scorecard.additional_measurements
    (value,) = more["value"][
        (more[keys] == ["model", "class_recall", "high"]).all(axis=1)
        & (more["group"] == "kind = new")
    ]
    new = (frame["kind"] == "new") & (truth == "high")
    assert value == pytest.approx((given["model"][new] == "high").mean())
    without_scores = scorecard.measurements[scorecard.measurements["metric"] == OF_CLASSES[2]]
    without_scores = without_scores[without_scores["candidate"] == "said"]
    assert set(without_scores["class"]) == {*CLASSES}
    assert set(without_scores["status"]) == {"undefined"}

    hold_gates_of_classes(judged.verdicts)
    assert {one.candidate: one.outcome for one in judged.outcomes}["model"] == "certified"

    for candidate in given:
        content = state.store.read_bytes(state.require("certificate"), statement_name(candidate))
        assert verify(content, state.store.url, now=datetime.now(UTC)).problems == ()
    reports = verify_all(content, state.store.url, now=datetime.now(UTC))
    assert [(report.problems, report.not_checked) for report in reports] == [((), ())] * 3
    page = page_of(state).content.decode()
    for words in ("recall of class high", "north, class high", "of class low: difference"):
        assert words in page
    # The top is of all classes together.
    assert "recall of a class" not in page
    assert run(audit, home).computed == 0


def test_a_class_that_no_case_has_is_undefined_and_decides_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = open_home(tmp_path / "home", monkeypatch)
    land(home, "multiclass")
    declared = audit_of("multiclass").spec
    said = declared.candidates[0].model_dump(exclude_unset=True)
    data = declared.data.model_dump(exclude_unset=True)
    data["columns"]["truth"]["allowed"] = [*CLASSES, "never"]
    audit = audit_of(
        "multiclass",
        data=data,
        candidates=[said, {**said, "name": "again", "baseline": False}],
        metrics=["accuracy", "class_recall"],
        gates=[
            {**RECALL, "at_least": 0.05},
            {**RECALL, "not_worse_than_baseline_by": 0.5},
            {**RECALL, "class": "never", "at_least": 0.0, "required": False},
        ],
        fairness=None,
        weak_slices=None,
    )

    judged = run(audit, home).judged

    assert judged is not None
    table = judged.scorecard.measurements
    never = table[table["class"] == "never"]
    assert set(never["status"]) == {"undefined"}
    assert never["value"].isna().all()
    assert {one.verdict for one in judged.verdicts} == {"INSUFFICIENT EVIDENCE"}
    reasons = [one.reason for one in judged.verdicts]
    assert all("undefined: no label of class 'never'" in reason for reason in reasons), reasons
    state = AuditState(audit, home)
    content = state.store.read_bytes(state.require("certificate"), statement_name("again"))
    reports = verify_all(content, state.store.url, now=datetime.now(UTC))
    assert [report.problems for report in reports] == [(), ()]


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


def limited(frame: pd.DataFrame, home: Home) -> pd.DataFrame:
    """Lay candidates of numbers with limits where the audit looks for them; return what is said."""
    generator = np.random.default_rng(5)
    width = generator.uniform(5, 15, len(frame))
    given = frame["truth"] + generator.normal(0, 6, len(frame))
    said = pd.DataFrame(
        {"id": frame["case"], "said": given, "least": given - width, "most": given + width}
    )
    said.to_csv(home.root / "said.csv", index=False)
    half = frame[:CASES_A_DAY]
    around = np.column_stack([half["truth"] + shift for shift in (-16, 0, 16)])
    model = make_column_transformer((StandardScaler(), list(FEATURES)))
    fitted = make_pipeline(model, LinearRegression()).fit(half[list(FEATURES)], around)
    skops.io.dump(fitted, home.root / "limits.skops")
    return said


def test_limits_that_candidates_give_are_measured_compared_judged_and_verified(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = open_home(tmp_path / "home", monkeypatch)
    frame = land(home, "regression")
    said = limited(frame, home)
    metrics = ["within_tolerance", "limits_coverage", "limits_width", "interval_score", "bias"]
    limits = {"low": "least", "high": "most"}
    recorded = {"kind": "recorded", "path": "said.csv", "prediction": "said", "baseline": True}
    features = {"features": list(FEATURES)}
    audit = audit_of(
        "regression",
        candidates=[
            {"name": "said", **recorded, **limits},
            {"name": "model", "path": "limits.skops", "limits": True, **features},
            {"name": "plain", "path": "model.skops", **features},
        ],
        metrics=metrics,
        limits_level=0.8,
        gates=[
            {"metric": "limits_coverage", "at_least": 0.6},
            {"kind": "fairness", "measure": "tolerance_gap", "limit_difference": 0.5},
        ],
    )

    summary = run(audit, home)

    assert summary.faults == []
    state = AuditState(audit, home)
    outside = np.maximum(said["least"] - frame["truth"], frame["truth"] - said["most"]).clip(0)
    expected = {
        "within_tolerance": (abs(said["said"] - frame["truth"]) <= 10).mean(),
        "limits_coverage": (outside == 0).mean(),
        "limits_width": (said["most"] - said["least"]).mean(),
        # The sum of the pinball losses of both limits, by scikit-learn, times 2 / (1 - level).
        "interval_score": 2 / 0.2 * sum(
            mean_pinball_loss(frame["truth"], said[name], alpha=alpha)
            for name, alpha in (("least", 0.1), ("most", 0.9))
        ),
        "bias": (said["said"] - frame["truth"]).mean(),
    }  # fmt: skip
    assert overall(state, "said") == pytest.approx(expected, rel=1e-9)
    assert summary.judged is not None
    judged = summary.judged
    table = judged.scorecard.measurements
    lacking = table[(table["candidate"] == "plain") & table["metric"].isin(metrics[1:4])]
    assert len(lacking) > 0
    assert set(lacking["status"]) == {"undefined"}
    assert set(lacking["reason"]) == {"plain gives numbers and no limits"}
    # A rate has an exact interval.
    row = table[(table["candidate"] == "said") & (table["level"] == "overall")]
    row = row[row["metric"] == "limits_coverage"].iloc[0]
    assert row["status"] == "ok"
    assert row["n_effective"] == len(frame)
    compared = judged.scorecard.comparisons
    compared = compared[(compared["level"] == "overall") & (compared["metric"] == "interval_score")]
    found = compared.set_index("candidate")
    assert found.loc["model", "status"] == "ok"
    ours, theirs = overall(state, "model"), overall(state, "said")
    assert found.loc["model", "difference"] == pytest.approx(
        ours["interval_score"] - theirs["interval_score"]
    )
    assert found.loc["plain", "conclusion"] == "not compared"
    assert found.loc["plain", "reason"] == "plain gives numbers and no limits"
    assert "plain: without limits, not compared by what needs them" in judged.scorecard.remarks
    assert set(judged.scorecard.fairness["measure"]) == {"mean_residual", "tolerance_gap"}
    outcomes = {one.candidate: one.outcome for one in judged.outcomes}
    assert outcomes["said"] == "certified"
    assert outcomes["plain"] == "undecided"
    (reason,) = {
        verdict.reason
        for verdict in judged.verdicts
        if verdict.candidate == "plain" and verdict.verdict == "INSUFFICIENT EVIDENCE"
    }
    assert "plain gives numbers and no limits" in reason
    content = state.store.read_bytes(state.require("certificate"), statement_name("said"))
    reports = verify_all(content, state.store.url, now=datetime.now(UTC))
    assert {(report.problems, report.not_checked) for report in reports} == {((), ())}


def test_numbers_change_sides_where_one_alone_is_within_the_tolerance(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = open_home(tmp_path / "home", monkeypatch)
    frame = land(home, "regression")
    said = limited(frame, home)
    audit = audit_of("regression", gates=[{"kind": "complete"}], fairness=None, weak_slices=None)

    summary = run(audit, home)

    assert summary.judged is not None
    state = AuditState(audit, home)
    (flips,) = find_flips(state, summary.judged.record)
    model = trained("regression", frame[:CASES_A_DAY])
    off, before = (
        abs(one - frame["truth"]) for one in (model.predict(frame[list(FEATURES)]), said["said"])
    )
    wrong = (before <= 10) & (off > 10)
    assert flips.newly_wrong == wrong.sum() > 0
    assert flips.newly_right == ((off <= 10) & (before > 10)).sum()
    apart = abs(off - before)[wrong]
    assert flips.shown[0].id == frame.loc[apart.idxmax(), "case"]
    assert flips.shown[0].score == pytest.approx(off[apart.idxmax()])
    page = page_of(state).content.decode()
    assert "one of a candidate and said gives within the tolerance" in page
    assert "Its error</th>" in page
    # Where nothing says which numbers are near enough, none change sides.
    other = audit_of(
        "regression", gates=[{"kind": "complete"}], fairness=None, weak_slices=None,
        label={"column": "truth"},
    )  # fmt: skip
    assert list(find_flips(AuditState(other, home), summary.judged.record)) == []


@pytest.mark.parametrize("task", ["multiclass", "regression"])
def test_what_predictions_do_not_give_is_found_in_every_table_of_the_task(
    task: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = open_home(tmp_path / "home", monkeypatch)
    land(home, task)
    audit = audit_of(task)
    changed = {
        "confusion.parquet": "n",
        "classes.parquet": "value",
        "score_bins.parquet": "positives",
        "predicted_bins.parquet": "residual_95",
    }

    def embellished(*given: Any, **named: Any) -> Scored:
        scored = score(*given, **named)
        for name in audit.spec.asks.pictures:
            frame = scored.tables[name].to_pandas()
            frame.loc[1, changed[name]] += 1
            scored.tables[name] = pa.Table.from_pandas(frame, schema=scored.tables[name].schema)
        return scored

    monkeypatch.setattr("evaluator.orchestration._scorecard_run.score", embellished)
    run(audit, home)

    state = AuditState(audit, home)
    content = state.store.read_bytes(state.require("certificate"), statement_name("said"))
    report, *_ = verify_all(content, state.store.url, now=datetime.now(UTC))
    found = {one.file.rpartition("/")[2]: one.what for one in report.problems}
    assert found.keys() == set(audit.spec.asks.pictures)
    for name, what in found.items():
        assert f": {changed[name]} is " in what
        assert ", recomputed " in what


def test_rankings_go_from_raw_files_to_certificates_that_are_verified(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = open_home(tmp_path / "home", monkeypatch)
    land(home, "ranking")
    _, grades, scores = queries()
    metrics = ["ndcg_at_10", "ndcg_at_7", "precision_at_4", "recall_at_4", "mean_reciprocal_rank"]
    audit = audit_of(
        "ranking",
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


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*Any type hint is inferred:UserWarning")
@pytest.mark.filterwarnings("ignore:.*input example was not provided:UserWarning")
@pytest.mark.parametrize("asked", ASKED)
def test_every_kind_of_candidate_goes_to_a_certificate_that_is_computed_again(
    asked: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = open_home(tmp_path / "home", monkeypatch)
    cases = cases_of(asked).rename(columns={"id": "case", "label": "truth"})
    cases = cases.rename(columns={"data.x": "x", "data.y": "y"}).drop(columns="geography")
    places = np.where(np.arange(len(cases)) % 2, "north", "south")
    home.landing("shop").mkdir(parents=True)
    cases.assign(place=places).to_csv(home.landing("shop") / "cases.csv", index=False)
    limits = {"limits": True} if asked == "limits" else {}
    candidates = []
    for number, make in enumerate(KINDS.values()):
        folder = home.root / f"k{number}"
        folder.mkdir()
        told = {**limits, "features": ["x", "y"], **make(asked, folder)}
        for key in ("path", "model"):
            if told.get(key) is not None:
                told[key] = f"{folder.name}/{told[key]}"
        own = {key: one for key, one in told.items() if one is not None}
        candidates.append({"name": folder.name, **own})
    wanted = expected(asked)
    answers = wanted["prediction"].tolist()
    if asked == "multiclass":
        scores = wanted.drop(columns="prediction").set_axis(list(CLASSES), axis="columns")
        answers = scores.to_dict("records")
    if asked == "limits":
        answers = wanted.to_dict("records")
    said = dict(zip(cases["case"], answers, strict=True))

    def asked_for(rows: list[dict[str, Any]]) -> Any:
        return [{"id": row["id"], "score": said[row["id"]]} for row in rows]

    task = "regression" if asked == "limits" else asked
    columns = {
        "case": {"type": "string", "required": True, "unique": True},
        "place": {"type": "category", "required": True, "allowed": ["north", "south"]},
        "x": {"type": "float"},
        "y": {"type": "float"},
        "segment": {"type": "category"},
        "truth": {"type": "float"}
        if task == "regression"
        else {"type": "category", "allowed": [*CLASSES]},
    }
    with endpoint.running() as server:
        server.faults = [endpoint.scores(asked_for)] * 10
        served = {"kind": "http", "url": server.url, "version": "1", "features": ["x", "y"]}
        candidates.append({"name": "served", **limits, **served})
        audit = audit_of(
            task,
            data={"files": "cases.csv", "id": "case", "columns": columns},
            candidates=candidates,
            segment=None,
            label={"column": "truth"},
            metrics=["accuracy", "log_loss"]
            if task == "multiclass"
            else ["mean_absolute_error", *(["limits_coverage"] if asked == "limits" else [])],
            weak_slices=None,
            fairness=None,
            additional_slices=[],
            gates=[{"kind": "complete"}],
        )
        summary = run(audit, home)

    assert summary.faults == []
    judged = summary.judged
    assert judged is not None
    assert {one.outcome for one in judged.outcomes} == {"certified"}
    state = AuditState(audit, home)
    whole = overall(state, "k0")
    for candidate in candidates:
        # A graph computes in 32 bits.
        own = overall(state, str(candidate["name"]))
        assert own == pytest.approx(whole, rel=1e-3, abs=1e-5)
    content = state.store.read_bytes(state.require("certificate"), statement_name("k0"))
    reports = verify_all(content, state.store.url, now=datetime.now(UTC))
    assert len(reports) == len(candidates)
    assert {(report.problems, report.not_checked) for report in reports} == {((), ())}
