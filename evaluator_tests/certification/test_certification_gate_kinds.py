"""Every kind of gate from its YAML to its reason, and how a kind is added."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Literal

import pandas as pd
import pytest
import yaml
from pydantic import TypeAdapter
from pydantic_core import PydanticCustomError

from evaluator.certification import GateEvidence, asks_about_days, asks_about_drift, judge
from evaluator.certification._gates._behaviour import (
    CandidateEvidence,
    EvidenceTables,
    GateBehaviour,
    GateInput,
    Limits,
    behaviour_of,
)
from evaluator.scorecard import (
    SLICE_LEVEL,
    DayFacts,
    LabelFacts,
    Measurement,
    Scorecard,
    TrainingFacts,
    format_scope,
)
from evaluator.spec import GateBase, GateSpec, problem
from evaluator.spec._base import kind_of, models_in
from evaluator_tests.certification.evidence_spec import SPEC

GATE: TypeAdapter[GateSpec] = TypeAdapter(GateSpec)
MODELS = list(models_in(GateSpec))

EXAMPLES = {
    "metric": (
        "{metric: recall, level: slice, at_least: 0.7}",
        "recall of each slice at least 0.7",
        ["West x network", "West x regional", "East x network", "East x regional"],
        (
            "all 4 slices pass; the closest is West x network with 0.800 (0.750 to 0.850),"
            " all of it at least 0.7"
        ),
    ),
    "calibration": (
        "{kind: calibration, metric: brier, geography: West, at_most: 0.1, decide_on: value}",
        "Brier score of West at most 0.1, decided on the value",
        ["West"],
        "Brier score of West is 0.050, at most 0.1",
    ),
    "fairness": (
        "{kind: fairness, measure: equal_opportunity, limit_difference: 0.1}",
        "equal opportunity: difference at most 0.1",
        ["region = b against a (difference)"],
        (
            "the one comparison passes; the closest is region = b against a (difference) with"
            " -0.020 (-0.040 to 0.010), all of it at least -0.1"
        ),
    ),
    "weak_slices": (
        "{kind: weak_slices, no_weak_slice_above: 0.2}",
        "no weak slice with an excess above 0.2",
        ["origin = JFK", "origin = LGA"],
        (
            "all 2 tested slices pass; the closest is origin = JFK with 0.100 (0.050 to 0.150),"
            " all of it at most 0.2"
        ),
    ),
    "complete": (
        "{kind: complete}",
        "a result for every slice",
        ["overall"],
        "slices without a result of this version: 0 of 4, at most 0",
    ),
    "data_quality": (
        "{kind: data_quality, refused_share_at_most: 0.02, refused_days_at_most: 1}",
        "at most 0.02 of all rows and at most 1 day refused",
        ["refused rows", "refused days"],
        (
            "all 2 limits pass; the closest is refused rows with 0.010 (10 of 1,000 rows),"
            " at most 0.02"
        ),
    ),
    "labelled": (
        "{kind: labelled, at_least: 0.9}",
        "a label for at least 0.9 of the cases that are old enough",
        ["overall"],
        "the share of cases with a label is 0.950 (190 of 200 cases), at least 0.9",
    ),
    "unseen": (
        "{kind: unseen}",
        "no case seen in training",
        ["overall"],
        "the share of cases seen in training is 0 (0 of 200 cases), at most 0",
    ),
    "drift": (
        "{kind: drift, drift_below: 0.2}",
        "drift below 0.2 each day (stability index)",
        ["2026-01-01"],
        "the one day passes; the closest is 2026-01-01 with 0.050 in age, below 0.2",
    ),
}
"""By kind its YAML, how it is said, the scopes that it looks at, and the reason of its PASS."""


@pytest.fixture
def whole(scorecard: Any, evidence: Any) -> GateEvidence:
    """Make evidence that every example passes on."""
    parts = [scorecard(), scorecard(metric="brier", value=0.05)]
    gap = {"candidate": "good", "measure": "equal_opportunity", "comparison": "difference"}
    gap |= {"attribute": "region", "group": "b", "reference": "a", "class": None, "n": 90}
    gap |= {"value": -0.02, "low": -0.04, "high": 0.01, "status": "ok", "reason": None}
    weak = {"candidate": "good", "n_all": 300, "status": "confirmed", "reason": None}
    found = [
        {**weak, "slice": "origin = JFK", "excess": 0.1, "low": 0.05, "high": 0.15},
        {**weak, "slice": "origin = LGA", "excess": 0.0, "low": -0.05, "high": 0.05},
    ]
    drift = {"age": {"stability_index": 0.05}, "fare": {"stability_index": 0.01}}
    made: GateEvidence = evidence(
        pd.concat(parts),
        fairness=pd.DataFrame([gap]),
        weak_slices=pd.DataFrame(found),
        weak_searches={"good": {"reason": None}},
        days=[DayFacts(day="2026-01-01", rows=1000, quarantined=10, drift=drift)],
        labels=LabelFacts(
            mature_after=30,
            newest_day="2026-03-01",
            mature=200,
            labelled=190,
            too_young=5,
            unknown=0,
            repeated=0,
            conflicting=0,
            latest=False,
        ),
        training={"good": TrainingFacts(cases=210, evaluated=200, by_id=10, found=10, left_out=10)},
    )
    return made


def test_every_kind_of_gate_behaves_in_a_way_of_its_own() -> None:
    ways = [behaviour_of.registry.get(model) for model in MODELS]
    assert None not in ways
    assert len(set(ways)) == len(MODELS)
    assert set(EXAMPLES) == {kind_of(model) for model in MODELS}


@pytest.mark.parametrize("kind", EXAMPLES)
def test_a_gate_is_read_looked_at_judged_and_said(whole: GateEvidence, kind: str) -> None:
    text, phrase, scopes, reason = EXAMPLES[kind]
    gate = GATE.validate_python(yaml.safe_load(text))
    inputs = behaviour_of(gate).inputs(EvidenceTables(whole).of("good"))
    assert [one.group or format_scope(one.geography, one.segment) for one in inputs] == scopes

    (verdict,) = judge([gate], whole, ["good"])
    assert (verdict.kind, verdict.verdict) == (kind, "PASS")
    assert f"{verdict.gate}: {verdict.reason}" == f"{phrase}: {reason}"
    assert (verdict.places, verdict.scope) == (len(scopes), scopes[0])

    empty = Scorecard(measurements=pd.DataFrame(), slices=pd.DataFrame())
    (verdict,) = judge([gate], replace(whole, scorecard=empty), ["good"])
    assert (verdict.gate, verdict.verdict) == (phrase, "INSUFFICIENT EVIDENCE")


def test_a_kind_is_added_by_its_model_and_its_behaviour_alone(
    scorecard: Any, evidence: Any
) -> None:
    class FewestCasesGate(GateBase):
        kind: Literal["fewest_cases"]
        metric: str
        cases_at_least: int

        def check_references(self, key: str, audit: Any) -> None:
            super().check_references(key, audit)
            if self.metric not in audit.metrics:
                raise problem(f"{key}.metric", "it is not measured", "measure it")

    def of_fewest_cases(gate: FewestCasesGate) -> GateBehaviour:
        def scopes(found: CandidateEvidence) -> Iterator[GateInput]:
            limits = Limits(at_least=gate.cases_at_least)
            measured = found.tables.measurements(found.candidate, gate.metric, SLICE_LEVEL)
            for (geography, segment), (one,) in measured.items():
                cases = Measurement.of_count(one.support, None)
                yield GateInput(
                    limits=limits, geography=geography, segment=segment, measurement=cases
                )

        return GateBehaviour(
            rule=f"at least {gate.cases_at_least} cases in each slice",
            scopes=scopes,
            metric=gate.metric,
            unit="slice",
            asks_about_drift=True,
        )

    text = "{kind: fewest_cases, metric: recall, cases_at_least: 50}"
    gate: Any = FewestCasesGate.model_validate(yaml.safe_load(text))
    with pytest.raises(NotImplementedError, match="fewest_cases"):
        behaviour_of(gate)
    # Nobody else has a gate of this kind, so that it need not be taken out again.
    behaviour_of.register(FewestCasesGate, of_fewest_cases)

    gate.check_references("gates.0", SPEC)
    with pytest.raises(PydanticCustomError, match=r"gates\.0\.metric: it is not measured"):
        gate.model_copy(update={"metric": "f1"}).check_references("gates.0", SPEC)
    spec = SPEC.model_copy(update={"gates": (gate,)})
    assert (asks_about_days(spec), asks_about_drift(spec)) == (False, True)

    few = evidence(scorecard({("West", "regional"): {"n_effective": 37.0}}))
    (passing,), (failing,) = (judge([gate], given, ["good"]) for given in (evidence(), few))
    assert (passing.verdict, passing.gate) == ("PASS", "at least 50 cases in each slice")
    assert (failing.verdict, failing.level, failing.decided_on) == ("FAIL", "fewest_cases", "count")
    assert failing.reason == "1 of 4 slices fails; the worst is West x regional with 37, below 50"
    (nothing,) = judge([gate], evidence(slices=pd.DataFrame()), ["good"])
    assert nothing.verdict == "INSUFFICIENT EVIDENCE"


@pytest.mark.parametrize(
    ("gate", "facts", "verdict", "words"),
    [
        ({}, None, "INSUFFICIENT EVIDENCE", "nobody checked"),
        ({}, {"problem": "t.csv: it is gone"}, "INSUFFICIENT EVIDENCE", "t.csv: it is gone"),
        # Ids alone were looked for, and that found none.
        ({}, {"by_id": 0, "problem": "the rest is lost"}, "INSUFFICIENT EVIDENCE", "is lost"),
        (
            {},
            {"by_id": 2, "found": 2, "problem": "it is lost"},
            "FAIL",
            "(2 of 200 cases), above 0",
        ),
        ({"at_most": 0.01}, {"by_id": 2, "found": 2}, "PASS", "(2 of 200 cases), at most 0.01"),
        ({"at_most": 0.01}, {"by_id": 3, "found": 3}, "FAIL", "(3 of 200 cases), above 0.01"),
        # Values that many share are no sign of having been seen.
        ({}, {"by_content": 9, "by_chance": 8.0}, "INSUFFICIENT EVIDENCE", "tells which"),
    ],
)
def test_what_was_seen_in_training_passes_only_where_somebody_looked(
    whole: GateEvidence, gate: Any, facts: Any, verdict: str, words: str
) -> None:
    known = {} if facts is None else {"good": TrainingFacts(cases=200, evaluated=200, **facts)}
    evidence = replace(whole, scorecard=replace(whole.scorecard, training=known))
    asked = GATE.validate_python({"kind": "unseen", **gate})
    (judged,) = judge([asked], evidence, ["good"])
    assert judged.verdict == verdict
    assert words in judged.reason
