"""A realistic audit of flights, made from seeded numbers and the real metrics."""

from datetime import UTC, date, datetime, timedelta
from hashlib import sha256
from typing import Any

import numpy as np
import pandas as pd
import pytest

from evaluator.certification import EvaluationSetSummary, EvidenceRecord, decide_outcomes
from evaluator.metrics import slice_metrics
from evaluator.reporting import CandidateSummary, DashboardContent, IntakeDay
from evaluator.scorecard import Scorecard, WeakSlice
from evaluator_tests.reporting.made_findings import decide, make_findings, make_verdicts

GEOGRAPHIES = ["Eastern", "Central", "Mountain", "Pacific", "Elsewhere"]
SEGMENTS = ["network", "low-cost", "regional"]
CANDIDATES = {
    "gradient_boosting": ("Gradient boosting on what is known at departure", 1.9),
    "random_forest": ("Random forest on what is known at departure", 1.7),
    "logistic_regression": ("Logistic regression on what is known at departure", 1.5),
    "schedule_only": ("Logistic regression that sees the schedule alone", 0.35),
}
METRICS = ["accuracy", "precision", "recall", "f1", "roc_auc", "log_loss", "brier"]
CRASHED = ("logistic_regression", "Pacific", "regional")


def _digest(text: str) -> str:
    return sha256(text.encode()).hexdigest()


@pytest.fixture(scope="session")
def cases() -> pd.DataFrame:
    """Give labelled cases with one column of scores a candidate."""
    random = np.random.default_rng(2013)
    shares = np.outer([0.42, 0.25, 0.06, 0.22, 0.05], [0.55, 0.33, 0.12])
    place = random.choice(shares.size, size=9_000, p=shares.ravel() / shares.sum())
    frame = pd.DataFrame(
        {
            "geography": np.array(GEOGRAPHIES)[place // len(SEGMENTS)],
            "segment": np.array(SEGMENTS)[place % len(SEGMENTS)],
        }
    )
    truth = random.normal(size=len(frame)) + 0.3 * (frame["segment"] == "regional")
    frame["late"] = (truth > 0.85).astype(int)
    # Nobody flies there with a regional airline: a declared slice without a row.
    frame = frame[(frame["geography"] != "Elsewhere") | (frame["segment"] != "regional")]
    noise = pd.Series(random.normal(size=len(frame)), index=frame.index)
    for name, (_, skill) in CANDIDATES.items():
        hard = np.where((frame["geography"] == "Mountain") & (name != "gradient_boosting"), 0.3, 1)
        signal = skill * hard * (truth.loc[frame.index] - 0.85) + 0.6 * noise
        frame[name] = 1 / (1 + np.exp(-1.6 * signal + 0.5))
    return frame.reset_index(drop=True)


@pytest.fixture(scope="session")
def measurements(cases: pd.DataFrame) -> pd.DataFrame:
    """Give the measurements of all candidates; one of them crashed on one slice."""
    parts = []
    for name in CANDIDATES:
        crashed = (
            (name == CRASHED[0])
            & (cases["geography"] == CRASHED[1])
            & (cases["segment"] == CRASHED[2])
        )
        measured = slice_metrics(
            cases[~crashed],
            label="late",
            score=name,
            slices=["geography", "segment"],
            metrics=METRICS,
            groups={"geography": GEOGRAPHIES, "segment": SEGMENTS},
        )
        measured.insert(0, "candidate", name)
        parts.append(measured)
    return pd.concat(parts, ignore_index=True)


@pytest.fixture(scope="session")
def additional_measurements(cases: pd.DataFrame) -> pd.DataFrame:
    """Give further slices: 70 tail numbers, of which only the first candidate flew the last."""
    random = np.random.default_rng(70)
    tails = np.array([f"N{number:03d}" for number in range(70)])
    tail = random.choice(tails[:-1], len(cases))
    # One aircraft flew too little to judge an area by.
    tail[tail == "N007"] = "N008"
    tail[:6] = "N007"
    device = np.where(random.random(len(cases)) < 0.3, "(missing)", "tablet")
    parts = []
    for name in CANDIDATES:
        for column, values in (("tail", tail), ("device", device)):
            declared = ["phone", "tablet", "(missing)"] if column == "device" else tails[:-1]
            declared = tails if (name, column) == ("gradient_boosting", "tail") else declared
            measured = slice_metrics(
                cases.assign(group=values),
                label="late",
                score=name,
                slices=["group"],
                metrics=METRICS,
                groups={"group": list(declared)},
            )
            measured = measured[measured["level"] == "group"].assign(level=column)
            measured["group"] = f"{column} = " + measured["group"]
            measured.insert(0, "candidate", name)
            parts.append(measured)
    return pd.concat(parts, ignore_index=True)


@pytest.fixture(scope="session")
def findings(cases: pd.DataFrame) -> dict[str, Any]:
    """Give comparison, ranks, fairness and weak slices of all candidates."""
    return make_findings(cases, list(CANDIDATES), "logistic_regression")


@pytest.fixture(scope="session")
def slices() -> pd.DataFrame:
    """Give the list of slices: one is missing, one outdated."""
    rows = [
        {
            "candidate": candidate,
            "geography": geography,
            "segment": segment,
            "state": "current",
            "error": None,
            "content_version": _digest(f"{candidate}{geography}{segment}"),
        }
        for candidate in CANDIDATES
        for geography in GEOGRAPHIES
        for segment in SEGMENTS
    ]
    for row in rows:
        place = (row["candidate"], row["geography"], row["segment"])
        if place == CRASHED:
            row["state"] = "missing"
            row["error"] = "ValueError: Input X contains NaN in column 'departure_delay'"
            row["content_version"] = None
        if place == ("random_forest", "Central", "low-cost"):
            row["state"] = "outdated"
            row["error"] = "made from model 91c2 and evaluation set 77aa; the model is now 5d10"
    return pd.DataFrame(rows)


@pytest.fixture(scope="session")
def content(
    cases: pd.DataFrame,
    measurements: pd.DataFrame,
    additional_measurements: pd.DataFrame,
    slices: pd.DataFrame,
    findings: dict[str, Any],
) -> DashboardContent:
    """Give everything that the dashboard of the audit shows."""
    names = list(CANDIDATES)
    scorecard = Scorecard(
        measurements=measurements,
        slices=slices,
        additional_measurements=additional_measurements,
        remarks=["steady and nimble gave identical predictions on every slice"],
        **findings,
    )
    verdicts, gaps = make_verdicts(measurements, names), decide(scorecard)
    labelled = cases.groupby(["geography", "segment"]).size()
    without_label = pd.DataFrame(
        [
            {
                "geography": g,
                "segment": s,
                "rows": int(n) + int(n) // 40,
                "without_label": int(n) // 40,
            }
            for g in GEOGRAPHIES
            for s in SEGMENTS
            for n in [labelled.get((g, s), 0)]
        ]
    )
    days = [_day(date(2013, 11, 1) + timedelta(days=index)) for index in range(28)]
    return DashboardContent(
        audit="flights",
        title="At departure, will this flight arrive more than 15 minutes late?",
        created_at=datetime(2026, 3, 9, 8, 57, tzinfo=UTC),
        evaluation_set=EvaluationSetSummary(
            digest=_digest("evaluation set"),
            first_day=date(2013, 11, 1),
            last_day=date(2013, 11, 28),
            days=26,
            rows=len(cases),
            rows_without_label=int(without_label["without_label"].sum()),
            rows_of_weight_zero=0,
            rows_seen_in_training=0,
            cluster=None,
            weight=None,
        ),
        candidates=[
            CandidateSummary(
                name=name,
                description=description,
                artifact_digest=_digest(name),
                baseline=name == "logistic_regression",
            )
            for name, (description, _) in CANDIDATES.items()
        ],
        outcomes=decide_outcomes(
            verdicts,
            slices,
            names,
            gaps=gaps,
            weak_slices=scorecard.rows(WeakSlice),
            cases_independent=True,
        ),
        verdicts=verdicts,
        scorecard=scorecard,
        fairness_gaps=gaps,
        headline_metrics=METRICS,
        standout_metrics=["accuracy", "roc_auc"],
        confidence=0.95,
        minimum_support=30,
        without_label=without_label,
        intake_days=days,
        evidence=_evidence(slices),
        code_version="0.1.0",
        run_id="0b6f3c1e-6f0e-4f57-9d0e-2f6f6a3d1c55",
        signed_by=None,
    )


def _day(day: date) -> IntakeDay:
    if day.day == 9:
        return IntakeDay(
            day=day.isoformat(),
            rows=871,
            accepted=0,
            quarantined=871,
            broken="the column 'arrival_delay' is missing from the file",
        )
    if day.day == 23:
        return IntakeDay(
            day=day.isoformat(), rows=None, accepted=None, quarantined=None, broken="no file came"
        )
    rows = 320 + 47 * ((day.day * 5) % 7)
    quarantined = (day.day * 11) % 13 + (60 if day.day == 17 else 0)
    return IntakeDay(
        day=day.isoformat(), rows=rows, accepted=rows - quarantined, quarantined=quarantined
    )


def _evidence(slices: pd.DataFrame) -> list[EvidenceRecord]:
    records = [
        EvidenceRecord(
            asset="flights/evaluation_set",
            partition=None,
            identity=_digest("identity")[:32],
            content_version=_digest("evaluation set"),
            files={"rows.parquet": _digest("file")},
        )
    ]
    for row in slices[slices["state"] == "current"].itertuples():
        name = f"{row.candidate}{row.geography}{row.segment}"
        records.append(
            EvidenceRecord(
                asset=f"flights/{row.candidate}_predictions",
                partition=f"{row.geography}|{row.segment}",
                identity=_digest(f"identity {name}")[:32],
                content_version=_digest(name),
                files={"predictions.parquet": _digest(f"file {name}")},
            )
        )
    return records
