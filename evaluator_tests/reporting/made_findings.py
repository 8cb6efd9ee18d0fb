"""Verdicts, comparisons, gaps and weak slices of the made-up audit, by the real metrics."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any

import numpy as np
import pandas as pd

from evaluator.certification import DecidedGap, GateEvidence, Verdict, decide_gaps, judge_scopes
from evaluator.metrics import (
    compare_candidates,
    compare_pairs,
    fairness,
    rank_candidates,
    rate_interval,
    slice_definitions,
    weak_slices,
    worsened_slices,
)
from evaluator.reporting import (
    DashboardContent,
    EarlierFigures,
    ExampleCase,
    FlippedCase,
    Flips,
    SliceExamples,
)
from evaluator.scorecard import (
    ClassFigure,
    Confusion,
    Gap,
    OperatingPoint,
    PredictedBin,
    ScoreBin,
    Scorecard,
    to_frame,
)
from evaluator.spec import FairnessGate, FairnessSpec

COMPARED = ["accuracy", "recall", "f1", "roc_auc", "log_loss"]
FEATURES = ["carrier", "hour", "geography"]


def make_verdict(**changes: Any) -> Verdict:
    """Make a verdict that passes, but for what is to be otherwise."""
    usual: dict[str, Any] = {
        "gate": "ROC AUC overall at least 0.8",
        "says": "",
        "kind": "metric",
        "metric": "roc_auc",
        "gate_level": "overall",
        "minimum": 0.8,
        "maximum": None,
        "required": True,
        "candidate": "gradient_boosting",
        "level": "overall",
        "geography": None,
        "segment": None,
        "group": None,
        "value": 0.9,
        "low": 0.88,
        "high": 0.92,
        "n": 9_000,
        "n_effective": 9_000.0,
        "limit": 0.8,
        "decided_on": "bound",
        "verdict": "PASS",
        "reason": "the lower bound of ROC AUC is 0.880",
        "needed_cases": None,
        "places": 1,
        "failing": 0,
        "open": 0,
    }
    return Verdict(**usual | changes)


def make_verdicts(measurements: pd.DataFrame, candidates: list[str]) -> list[Verdict]:
    """Judge every candidate's overall figures, and one slice where there is nothing to judge."""
    rows = measurements[measurements["level"] == "overall"].set_index(["candidate", "metric"])
    verdicts = []
    for candidate in candidates:
        for metric, words, limit in (
            ("roc_auc", "ROC AUC", 0.8),
            ("recall", "recall", 0.7),
            ("accuracy", "accuracy", 0.86),
        ):
            row = rows.loc[(candidate, metric)]
            word = "PASS" if row["low"] >= limit else "FAIL" if row["high"] < limit else None
            verdicts.append(
                make_verdict(
                    gate=f"{words} overall at least {limit:g}",
                    says="Late flights are found" if metric == "recall" else "",
                    metric=metric,
                    required=metric != "accuracy",
                    candidate=candidate,
                    **{name: float(row[name]) for name in ("value", "low", "high", "n_effective")},
                    n=int(row["n"]),
                    limit=limit,
                    minimum=limit,
                    decided_on="value" if metric == "accuracy" else "bound",
                    verdict=word or "INSUFFICIENT EVIDENCE",
                    reason=f"{words} is {row['value']:.3f}, and the limit {limit:g} lies "
                    f"{'within' if word is None else 'outside of'} its interval",
                    needed_cases=23_417 if word is None else None,
                )
            )
    return verdicts


def with_features(cases: pd.DataFrame) -> pd.DataFrame:
    """Add a carrier and an hour; one carrier's evenings have labels turned over."""
    random = np.random.default_rng(8)
    carrier = random.choice(["AA", "B6", "DL", "UA", "WN"], len(cases))
    hour = random.integers(5, 23, len(cases))
    turned = (carrier == "WN") & (hour >= 18) & (random.random(len(cases)) < 0.35)
    late = np.where(turned, 1 - cases["late"], cases["late"])
    return cases.assign(carrier=carrier, hour=hour, late=late)


LIMITS = {"limit_difference": 0.1, "limit_ratio": 0.8}


def decide(scorecard: Scorecard, limits: Mapping[str, float] = LIMITS) -> list[DecidedGap]:
    """Decide a scorecard's gaps: by one gate, and by the limits of the audit."""
    evidence = GateEvidence(scorecard=scorecard, confidence=0.95, allowed_missing=1)
    gate = FairnessGate(
        kind="fairness", measure="equal_opportunity", attribute="segment", limit_difference=0.05
    )
    candidates = list(dict.fromkeys(gap.candidate for gap in scorecard.rows(Gap)))
    stated = FairnessSpec(attributes=("geography", "segment"), **limits)
    return decide_gaps(judge_scopes([gate], evidence, candidates), evidence, stated)


def make_findings(cases: pd.DataFrame, candidates: list[str], baseline: str) -> dict[str, Any]:
    """Compare, search and measure the candidates; give the fields of a scorecard."""
    scores = {name: name for name in candidates}
    slices = ["geography", "segment"]
    random = np.random.default_rng(6)
    # Each candidate errs in its own way, too, so that some of them cannot be told apart.
    known = cases.assign(
        **{
            name: 1
            / (
                1
                + np.exp(-np.log(cases[name] / (1 - cases[name])) - random.normal(0, 1, len(cases)))
            )
            for name in candidates
        }
    )
    featured = with_features(known)
    gaps, tables, worse, searches = [], [], [], {}
    first, second = featured.iloc[: len(cases) // 2], featured.iloc[len(cases) // 2 :]
    ways = slice_definitions(first, features=["carrier"])
    for name in candidates:
        decided = featured.assign(decided=(featured[name] >= 0.5).astype(int))
        gap = fairness(
            decided,
            label="late",
            prediction="decided",
            attributes=slices,
            measures=["demographic_parity", "equal_opportunity", "equalised_odds"],
        )
        gaps.append(gap.assign(candidate=name))
        found = weak_slices(featured, features=FEATURES, label="late", score=name)
        tables.append(found.table.assign(candidate=name))
        searches[name] = {**found.search, "loss": "error_rate"}
        later = second.assign(**{name: np.where(second["carrier"] == "AA", 0.9, second[name])})
        worsened = worsened_slices(first, later, slices=ways, label="late", score=name)
        worse.append(worsened.assign(candidate=name))
    return {
        "comparisons": compare_candidates(
            known,
            label="late",
            scores=scores,
            baseline=baseline,
            slices=slices,
            metrics=COMPARED,
            margin={"accuracy": 0.02},
        ),
        "ranks": rank_candidates(
            compare_pairs(known, label="late", scores=scores, slices=slices, metrics=COMPARED)
        ),
        "fairness": pd.concat(gaps, ignore_index=True),
        "weak_slices": pd.concat(tables, ignore_index=True),
        "weak_searches": searches,
        "worsened": pd.concat(worse, ignore_index=True),
    }


def point(candidate: str, number: int, threshold: float | None, *counts: float) -> OperatingPoint:
    names = ("true_positives", "false_positives", "false_negatives", "true_negatives")
    return OperatingPoint(
        candidate=candidate,
        point=number,
        threshold=threshold,
        **dict(zip(names, counts, strict=True)),
    )


def points_of(name: str) -> list[OperatingPoint]:
    return [
        point(name, 0, None, 30, 10, 20, 40),
        point(name, 1, 0.1, 50, 50, 0, 0),
        point(name, 2, 0.4, 40, 20, 10, 30),
        point(name, 3, 0.8, 20, 5, 30, 45),
    ]


BINS = [
    ScoreBin(
        candidate="gradient_boosting",
        low=0.05,
        high=0.1,
        mean_score=0.08,
        positives=10.0,
        negatives=90.0,
        rate=0.1,
        rate_low=0.05,
        rate_high=0.18,
        n=100,
        status="ok",
    ),
    ScoreBin(
        candidate="gradient_boosting",
        low=0.95,
        high=1.0,
        mean_score=0.97,
        positives=3.0,
        negatives=0.0,
        rate=1.0,
        rate_low=0.37,
        rate_high=1.0,
        n=3,
        status="ok",
    ),
]


def class_tables(names: Sequence[str], classes: int, cases: int = 40) -> dict[str, pd.DataFrame]:
    """Give tables of so many classes, the first of which nearly all are taken for the second.

    A class has as many cases more as its number; the last has none, and one in ten is not answered.
    """
    random = np.random.default_rng(90)
    found, figures = [], []
    for name in names:
        counts = random.poisson(0.3, (classes, classes + 1))
        sizes = cases + np.arange(classes)
        for label in range(classes - 1):
            counts[label, -1] = sizes[label] // 10
            rest = sizes[label] - counts[label].sum()
            counts[label, 1 if label == 0 else label] += max(rest, 0)
        counts[-1] = 0
        sizes = counts.sum(axis=1)
        of = np.repeat(np.maximum(sizes, 1), classes + 1)
        low, high = (one.reshape(counts.shape) for one in rate_interval(counts.ravel(), of, 0.95))
        found += [
            Confusion(
                candidate=name,
                label=f"class {label}",
                predicted=f"class {said}" if said < classes else None,
                n=int(counts[label, said]),
                count=float(counts[label, said]),
                share=counts[label, said] / sizes[label],
                low=low[label, said],
                high=high[label, said],
                status="ok",
            )
            for label, said in np.argwhere(counts)
        ]
        right, said = counts.diagonal(), counts[:, :-1].sum(axis=0)
        either = sizes + said - right
        for metric, hits, among in (
            ("class_recall", right, sizes),
            ("class_precision", right, said),
            ("class_f1", right, either),
            ("class_share", said, np.full(classes, sizes.sum())),
        ):
            ends = rate_interval(hits, np.maximum(among, 1), 0.95)
            figures += [
                ClassFigure(
                    candidate=name,
                    class_=f"class {label}",
                    metric=metric,
                    n=int(among[label]),
                    value=hits[label] / among[label] if among[label] else None,
                    low=ends[0][label] if among[label] else None,
                    high=ends[1][label] if among[label] else None,
                    status="ok" if among[label] else "undefined",
                    reason=None if among[label] else f"no label of class 'class {label}'",
                )
                for label in range(classes)
            ]
    return {"confusion": to_frame(found, Confusion), "classes": to_frame(figures, ClassFigure)}


def predicted_bins(name: str, off: float = 0.0) -> list[PredictedBin]:
    """Give four bins whose mean is off by so much in the last; that has few cases."""
    return [
        PredictedBin(
            candidate=name,
            low=10.0 * number,
            high=10.0 * number + 9,
            mean_predicted=10.0 * number + 5,
            mean_actual=10.0 * number + 5 - off * (number == 3),
            actual_low=10.0 * number + 3 - off * (number == 3),
            actual_high=10.0 * number + 7 - off * (number == 3),
            residual_5=-8.0,
            residual_25=-3.0,
            residual_50=0.5,
            residual_75=3.5,
            residual_95=9.0,
            n=12 if number == 3 else 1_250,
            status="ok",
        )
        for number in range(4)
    ]


def with_more(content: DashboardContent) -> DashboardContent:
    """Give a content also what tasks draw, a history, cases that change sides, and examples."""
    names = [candidate.name for candidate in content.candidates]
    measured = content.scorecard.measurements
    flipped = FlippedCase(
        id="c1",
        geography="Pacific",
        segment="regional",
        label="positive",
        prediction="negative",
        score=0.25,
        baseline_score=0.75,
    )
    example = ExampleCase(
        id="c2",
        chosen="random",
        label="negative",
        prediction="positive",
        score=0.75,
        values=["17", "missing"],
    )
    scorecard = replace(
        content.scorecard,
        operating_points=to_frame(
            [one for name in names for one in points_of(name)], OperatingPoint
        ),
        score_bins=to_frame(BINS, ScoreBin),
        **class_tables(names, 3),
        predicted_bins=to_frame([one for n in names for one in predicted_bins(n)], PredictedBin),
    )
    return replace(
        content,
        scorecard=scorecard,
        history=[
            EarlierFigures(
                created_at=datetime(2013, 10, 30, tzinfo=UTC),
                last_day=date(2013, 10, 28),
                cases=8_500,
                measurements=measured[measured["level"] == "overall"],
            )
        ],
        flips=[
            Flips(candidate=name, cases=8_900, newly_right=31, newly_wrong=12, shown=[flipped])
            for name in names[1:]
        ],
        example_columns=["departure_delay", "carrier"],
        examples=[
            SliceExamples(
                candidate=name, geography="Pacific", segment="regional", cases=[example] * 5
            )
            for name in names
        ],
    )
