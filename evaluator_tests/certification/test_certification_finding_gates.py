"""Gates on comparison, fairness, weak slices, completeness and days."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from evaluator.certification import decide_outcomes, judge, judge_scopes
from evaluator.metrics import compare_candidates, fairness, weak_slices
from evaluator.scorecard import DayFacts
from evaluator.spec import (
    CalibrationGate,
    CompleteGate,
    DataQualityGate,
    DriftGate,
    FairnessGate,
    MetricGate,
    WeakSlicesGate,
)

BOTH = ("good", "base")
NOT_WORSE = MetricGate(metric="recall", not_worse_than_baseline_by=0.02)
BETTER = MetricGate(metric="recall", better_than_baseline=True)
BETTER_BY = MetricGate(metric="recall", better_than_baseline_by=0.02)
OPEN = "INSUFFICIENT EVIDENCE"


def _differences(card: pd.DataFrame) -> pd.DataFrame:
    return card.rename(columns={"value": "difference"}).assign(baseline="base")


def _row(value: float, low: float, high: float, **more: Any) -> dict[str, Any]:
    return {"value": value, "low": low, "high": high, **more}


@pytest.mark.parametrize(
    ("gate", "row", "verdict"),
    [
        (NOT_WORSE, _row(0.0, -0.02, 0.02), "PASS"),
        (NOT_WORSE, _row(0.0, -0.03, 0.02), OPEN),
        (NOT_WORSE, _row(-0.05, -0.07, -0.03), "FAIL"),
        (BETTER, _row(0.02, 0.01, 0.03), "PASS"),
        # No difference is not better, be it certain or not.
        (BETTER, _row(0.02, 0.0, 0.03), OPEN),
        (BETTER, _row(0.0, 0.0, 0.0), "FAIL"),
        (BETTER, _row(-0.02, -0.04, 0.0), "FAIL"),
        # Nearer to 0 than rounding is 0.
        (BETTER, _row(0.02, 1e-13, 0.03), OPEN),
        (BETTER, _row(-0.02, -0.04, 1e-13), "FAIL"),
        (BETTER, _row(0.02, 1e-9, 0.03), "PASS"),
        # The bound counts, not the value; at the limit it passes.
        (BETTER_BY, _row(0.04, 0.02, 0.06), "PASS"),
        (BETTER_BY, _row(0.04, 0.02 - 1e-15, 0.06), "PASS"),
        (BETTER_BY, _row(0.04, 0.0199, 0.06), OPEN),
        (BETTER_BY, _row(0.01, -0.01, 0.02), OPEN),
        (BETTER_BY, _row(0.01, 0.001, 0.0199), "FAIL"),
        (BETTER_BY, _row(-0.01, -0.02, 0.0), "FAIL"),
        (BETTER_BY, _row(np.nan, np.nan, np.nan, status="too_few", reason="none"), OPEN),
        # A difference of rates may have an interval where a test would have too few cases.
        (NOT_WORSE, _row(0.0, -0.01, 0.01, status="too_few", reason="2 cases differ"), "PASS"),
        (NOT_WORSE, _row(0.0, np.nan, np.nan, status="too_few", reason="none"), OPEN),
        (NOT_WORSE, _row(np.nan, np.nan, np.nan, status="undefined", reason="none"), OPEN),
        (NOT_WORSE, None, OPEN),
    ],
)
def test_a_gate_against_the_baseline_looks_at_the_paired_difference(
    scorecard: Any, slices: Any, evidence: Any, *, gate: MetricGate, row: Any, verdict: str
) -> None:
    given = evidence(
        slices=slices(candidates=BOTH),
        comparisons=_differences(scorecard({(None, None): row})),
        baseline="base",
    )
    (found,) = judge([gate], given, BOTH)
    assert (found.verdict, found.candidate) == (verdict, "good")


@pytest.mark.parametrize(
    ("limit", "most", "cases"),
    [
        ({"not_worse_than_baseline_by": 0.02}, 0.02, [(-0.1, "PASS"), (0.1, "FAIL")]),
        (
            {"better_than_baseline_by": 0.02},
            -0.02,
            [(-0.08, "PASS"), (-0.05, OPEN), (0.04, "FAIL")],
        ),
        ({"better_than_baseline": True}, 0.0, [(-0.08, "PASS"), (-0.05, OPEN), (0.05, "FAIL")]),
    ],
)
def test_where_less_is_better_a_difference_below_zero_is(
    scorecard: Any, slices: Any, evidence: Any, *, limit: dict[str, Any], most: float, cases: Any
) -> None:
    gate = MetricGate(metric="brier", **limit)
    for value, verdict in cases:
        given = evidence(
            slices=slices(candidates=BOTH),
            comparisons=_differences(scorecard(metric="brier", value=value)),
            baseline="base",
        )
        (found,) = judge([gate], given, BOTH)
        assert (found.verdict, found.maximum, found.minimum) == (verdict, most, None)


EQUAL = {"status": "identical", "reason": "no case is ranked differently", "value": 0.0}


@pytest.mark.parametrize(
    ("gate", "verdict", "why"),
    [
        (NOT_WORSE, "PASS", "at least -0.02"),
        (BETTER, "FAIL", "not above 0"),
        (BETTER_BY, "FAIL", "below 0.02"),
    ],
)
@pytest.mark.parametrize("ends", [{"low": 0.0, "high": 0.0}, {"low": np.nan, "high": np.nan}])
def test_outputs_that_are_equal_are_not_worse_and_not_better(
    scorecard: Any,
    slices: Any,
    evidence: Any,
    *,
    gate: MetricGate,
    verdict: str,
    why: str,
    ends: dict[str, float],
) -> None:
    def judged(level: str, changes: dict[Any, Any]) -> Any:
        given = evidence(
            slices=slices(candidates=BOTH),
            comparisons=_differences(scorecard(changes, value=0.1)),
            baseline="base",
        )
        return judge([gate.model_copy(update={"level": level})], given, BOTH)[0]

    found = judged("overall", {(None, None): EQUAL | ends})
    assert (found.verdict, found.value, found.low, found.high) == (verdict, 0, 0, 0)
    assert found.reason == (
        "the difference in recall is 0.000 (0.000 to 0.000), "
        f"all of it {why}: no case is ranked differently"
    )
    # Beside other places as well, whatever those are: it is no test that may err.
    found = judged("slice", {("West", "regional"): EQUAL | ends})
    assert found.verdict == verdict
    assert (found.failing, found.open) == ((1, 0) if verdict == "FAIL" else (0, 0))


@pytest.mark.parametrize("value", [0.3, np.nan])
def test_what_is_called_equal_and_is_not_passes_nothing(
    scorecard: Any, slices: Any, evidence: Any, *, value: float
) -> None:
    card = scorecard({(None, None): EQUAL | {"value": value, "low": 0.0, "high": 0.0}})
    given = evidence(
        card, slices=slices(candidates=BOTH), comparisons=_differences(card), baseline="base"
    )
    gates = [NOT_WORSE, MetricGate(metric="recall", at_most=0.5)]
    for found in judge(gates, given, ["good"]):
        assert (found.verdict, found.reason) == (OPEN, "identical: no case is ranked differently")


def test_a_gain_of_exactly_what_is_asked_for_passes_no_more_often_than_promised(
    evidence: Any,
) -> None:
    # Of 400 cases 20 % are better and 10 % are worse: the true gain is the limit.
    draws = np.random.default_rng(20260309).multinomial(400, [0.2, 0.1, 0.7], size=300)
    flips = np.array([1, -1, 0])
    label = np.ones(400)
    frames = []
    for number, counts in enumerate(draws):
        flip = np.repeat(flips, counts)
        scores = {"good": np.where(flip < 0, 0.0, 1.0), "base": np.where(flip > 0, 0.0, 1.0)}
        frames.append(pd.DataFrame({"label": label, **scores, "segment": f"{number:03}"}))
    table = compare_candidates(
        pd.concat(frames),
        label="label",
        scores={"good": "good", "base": "base"},
        baseline="base",
        slices=["segment"],
        metrics=["accuracy"],
    )
    table = table[table["level"] == "segment"].assign(geography=None)
    listed = pd.DataFrame(
        {"candidate": name, "geography": "all", "segment": segment, "state": "current", "error": ""}
        for name in BOTH
        for segment in table["segment"]
    )
    given = evidence(slices=listed, comparisons=table, baseline="base")
    passes = {}
    for decide_on in ("bound", "value"):
        gate = MetricGate(
            metric="accuracy", better_than_baseline_by=0.1, level="segment", decide_on=decide_on
        )
        (judged,) = judge_scopes([gate], given, ["good"])
        passes[decide_on] = sum(scope.verdict == "PASS" for scope in judged.scopes)
    # Of 300, e / 2 is 7.5; 16 would be seen in 1 of 300 simulations.
    assert passes["bound"] < 16
    assert passes["value"] > 130


def test_a_difference_needs_the_slices_of_both(scorecard: Any, slices: Any, evidence: Any) -> None:
    listed = slices(candidates=BOTH)
    at = (listed["candidate"] == "base") & (listed["geography"] == "West")
    listed.loc[at & (listed["segment"] == "regional"), "state"] = "missing"
    gates = [BETTER, BETTER.model_copy(update={"level": "slice"})]
    parts = {"slices": listed, "baseline": "base"}
    differences = _differences(scorecard(value=0.3))
    overall, each = judge(gates, evidence(comparisons=differences, **parts), BOTH)
    assert (overall.verdict, each.verdict, each.scope) == (OPEN, OPEN, "West x regional")
    assert "the baseline base has no result of this version there" in each.reason
    allowed = evidence(comparisons=differences, allowed_missing=1, **parts)
    overall, each = judge(gates, allowed, BOTH)
    assert (overall.verdict, each.verdict) == ("PASS", OPEN)
    assert overall.reason.endswith("1 of 4 slices is missing, which the audit allows")


def test_without_a_baseline_or_a_comparison_nobody_is_better(
    scorecard: Any, slices: Any, evidence: Any
) -> None:
    differences = _differences(scorecard(value=0.3))
    listed = slices(candidates=BOTH)
    for parts in (
        {"comparisons": differences},
        {"baseline": "base"},
        {"comparisons": differences.assign(baseline="another"), "baseline": "base"},
    ):
        verdicts = judge([BETTER], evidence(slices=listed, **parts), BOTH)
        assert {verdict.verdict for verdict in verdicts} == {OPEN}


def test_comparisons_as_they_are_computed_can_be_judged(slices: Any, evidence: Any) -> None:
    rng = np.random.default_rng(1)
    label = rng.integers(0, 2, 4000)
    frame = pd.DataFrame(
        {
            "label": label,
            "good": np.where(rng.random(4000) < 0.9, label, 1 - label).astype(float),
            "base": np.where(rng.random(4000) < 0.7, label, 1 - label).astype(float),
            "geography": rng.choice(["West", "East"], 4000),
            "segment": rng.choice(["network", "regional"], 4000),
        }
    )
    table = compare_candidates(
        frame,
        label="label",
        scores={"good": "good", "base": "base"},
        baseline="base",
        slices=["geography", "segment"],
        metrics=["accuracy", "brier"],
    )
    gates = [
        MetricGate(metric=metric, better_than_baseline=True, level=level)
        for metric in ("accuracy", "brier")
        for level in ("overall", "geography", "slice")
    ]
    given = evidence(slices=slices(candidates=BOTH), comparisons=table, baseline="base")
    assert {v.verdict for v in judge(gates, given, BOTH)} == {"PASS"}


def test_a_calibration_gate_looks_at_the_error(scorecard: Any, evidence: Any) -> None:
    gate = CalibrationGate(kind="calibration", at_most=0.1, level="segment")
    card = scorecard(metric="expected_calibration_error", value=0.04)
    (found,) = judge([gate], evidence(card), ["good"])
    assert (found.verdict, found.metric) == ("PASS", "expected_calibration_error")
    (found,) = judge([gate], evidence(), ["good"])
    assert found.verdict == OPEN


def _hiring(cases: int, rates: dict[str, float]) -> pd.DataFrame:
    """Give gaps of groups, each with so many cases, whose shares of hits are those given."""
    parts = []
    for group, rate in rates.items():
        hits = round(rate * cases)
        parts.append(
            pd.DataFrame(
                {"group": group, "label": 1, "decision": [1] * hits + [0] * (cases - hits)}
            )
        )
    gaps = fairness(
        pd.concat(parts),
        label="label",
        prediction="decision",
        attributes=["group"],
        measures=["equal_opportunity"],
    )
    gaps.insert(0, "candidate", "good")
    return gaps


DIFFERENCE = FairnessGate(kind="fairness", measure="equal_opportunity", limit_difference=0.1)
RATIO = FairnessGate(kind="fairness", measure="equal_opportunity", limit_ratio=0.8)


def test_a_fairness_gate_names_the_group_and_what_is_missing(evidence: Any) -> None:
    gaps = _hiring(5000, {"a": 0.9, "b": 0.6})
    (found,) = judge([RATIO], evidence(fairness=gaps), ["good"])
    assert found.scope == "group = b against a (ratio)"
    assert (found.level, found.geography, found.n) == ("fairness", None, 5000)
    assert found.value == pytest.approx(2 / 3)

    for gate, parts in (
        (DIFFERENCE, {}),
        (DIFFERENCE.model_copy(update={"attribute": "region"}), {"fairness": gaps}),
        (DIFFERENCE, {"fairness": gaps.assign(candidate="another")}),
        (DIFFERENCE, {"fairness": gaps.assign(measure="demographic_parity")}),
    ):
        (found,) = judge([gate], evidence(**parts), ["good"])
        assert (found.verdict, found.reason) == (OPEN, "it was not measured")
    same = _hiring(5000, {"a": 0.9, "b": 0.9})
    partly = evidence(fairness=same, fairness_attributes=["group", "region"])
    (found,) = judge([DIFFERENCE], partly, ["good"])
    assert (found.verdict, found.scope) == (OPEN, "region (difference)")


def test_being_better_off_counts_unless_groups_are_compared_with_the_best(evidence: Any) -> None:
    gaps = _hiring(5000, {"a": 0.9, "b": 0.6})
    better_off = gaps[gaps["group"] == "a"]
    for against_best, verdict in ((True, "PASS"), (False, "FAIL")):
        given = evidence(fairness=better_off, fairness_against_best=against_best)
        assert judge([DIFFERENCE], given, ["good"])[0].verdict == verdict


def test_a_ratio_without_an_upper_end_is_told_as_plain_json(evidence: Any) -> None:
    gaps = _hiring(400, {"a": 0.9, "b": 0.6}).assign(high=np.inf)
    (found,) = judge([RATIO], evidence(fairness=gaps), ["good"])
    assert found.as_record()["high"] is None


WEAK = WeakSlicesGate(kind="weak_slices", no_weak_slice_above=0.1)


def _searched(rates: dict[str, float]) -> dict[str, Any]:
    rng = np.random.default_rng(3)
    origin = rng.choice(list(rates), 8000)
    losses = rng.random(8000) < np.vectorize(rates.get)(origin)
    frame = pd.DataFrame({"origin": origin, "noise": rng.integers(0, 5, 8000)})
    found = weak_slices(frame, features=["origin", "noise"], loss=losses.astype(float))
    return {
        "weak_slices": found.table.assign(candidate="good"),
        "weak_searches": {"good": found.search},
    }


def test_a_confirmed_weak_slice_fails_the_gate_and_is_named(evidence: Any) -> None:
    searched = _searched({"JFK": 0.4, "LGA": 0.1, "EWR": 0.1})
    (found,) = judge([WEAK], evidence(**searched), ["good"])
    assert found.verdict == "FAIL"
    assert "JFK" in found.scope
    higher = WEAK.model_copy(update={"no_weak_slice_above": 0.6})
    assert judge([higher], evidence(**searched), ["good"])[0].verdict == "PASS"


def test_a_weak_slice_whose_excess_may_be_above_the_limit_is_not_decided(evidence: Any) -> None:
    searched = _searched({"JFK": 0.2, "LGA": 0.1, "EWR": 0.1})
    (found,) = judge([WEAK], evidence(**searched), ["good"])
    assert found.verdict == OPEN
    assert "too near to the limit" in found.reason
    higher = WEAK.model_copy(update={"no_weak_slice_above": 0.106})
    (found,) = judge([higher], evidence(**searched), ["good"])
    assert found.verdict == OPEN
    assert found.needed_cases is not None
    assert f"about {found.needed_cases:,} cases there in all" in found.reason


@pytest.mark.parametrize(("beyond", "verdict"), [(5e-12, "PASS"), (1e-8, OPEN)])
def test_an_end_that_is_nearer_to_the_limit_than_rounding_is_at_it(
    evidence: Any, *, beyond: float, verdict: str
) -> None:
    gaps = _hiring(400, {"a": 0.9, "b": 0.85}).query("comparison == 'difference'")
    tested = {"slice": "origin = JFK", "n_all": 120, "excess": 0.05, "low": 0.01}
    given = evidence(
        fairness=gaps.assign(low=-0.1 - beyond, high=0.1),
        weak_slices=pd.DataFrame(
            [{"candidate": "good", "status": "confirmed", "high": 0.1 + beyond, **tested}]
        ),
        weak_searches={"good": {"reason": None}},
    )
    assert [v.verdict for v in judge([DIFFERENCE, WEAK], given, ["good"])] == [verdict] * 2


def test_a_lower_end_that_was_not_confirmed_fails_nobody(evidence: Any) -> None:
    table = pd.DataFrame(
        [
            {
                "candidate": "good",
                "slice": "origin = JFK",
                "n": 60,
                "n_all": 120,
                "excess": 0.3,
                "low": 0.15,
                "high": 0.45,
                "status": "not_confirmed",
                "reason": None,
            }
        ]
    )
    parts = {"weak_slices": table, "weak_searches": {"good": {"reason": None}}}
    assert judge([WEAK], evidence(**parts), ["good"])[0].verdict == OPEN


@pytest.mark.parametrize(
    ("searches", "expected"),
    [
        ({}, "no search for weak slices is recorded"),
        ({"good": {"reason": "there are 3"}}, "nothing was searched: there are 3"),
        ({"good": {"reason": None}}, "the search tested no slice"),
    ],
)
def test_without_a_search_nobody_is_free_of_weak_slices(
    evidence: Any, searches: dict[str, Any], expected: str
) -> None:
    (found,) = judge([WEAK], evidence(weak_searches=searches), ["good"])
    assert (found.verdict, found.reason) == (OPEN, expected)


def test_a_missing_slice_fails_the_gate_on_completeness_unless_the_audit_allows_it(
    slices: Any, evidence: Any
) -> None:
    gate = CompleteGate(kind="complete")
    listed = slices({("West", "regional"): {"state": "missing"}})
    (whole,) = judge([gate], evidence(), ["good"])
    (partly,) = judge([gate], evidence(slices=listed), ["good"])
    (allowed,) = judge([gate], evidence(slices=listed, allowed_missing=1), ["good"])
    assert [v.verdict for v in (whole, partly, allowed)] == ["PASS", "FAIL", "PASS"]
    assert partly.reason == "slices without a result of this version: 1 of 4, above 0"
    assert (partly.decided_on, partly.value, partly.limit) == ("count", 1, 0)
    (nothing,) = judge([gate], evidence(slices=slices().iloc[:0]), ["good"])
    assert nothing.verdict == OPEN


def _day(number: int, **changes: Any) -> DayFacts:
    parts: dict[str, Any] = {
        "rows": 1000,
        "quarantined": 10,
        "drift": {"age": {"stability_index": 0.01 * number, "jensen_shannon": 0.3}},
    }
    return DayFacts(day=f"2026-01-{number:02}", **(parts | changes))


@pytest.mark.parametrize(
    ("days", "verdict", "expected"),
    [
        ([_day(1), _day(2)], "PASS", "with 0 of 2 days, at most 0"),
        (
            [_day(1, quarantined=30)],
            "FAIL",
            "refused rows with 0.030 (30 of 1,000 rows), above 0.02",
        ),
        ([_day(1), _day(2, refused="a column is missing")], "FAIL", "1 of 2 days: 2026-01-02"),
        ([_day(1, rows=None)], OPEN, "nobody counted the rows of 2026-01-01"),
        ([_day(1, rows=0, quarantined=0)], OPEN, "no row was accepted or refused"),
        ([], OPEN, "no day is recorded"),
    ],
)
def test_a_gate_on_the_datas_quality_counts_what_was_refused(
    evidence: Any, days: list[DayFacts], verdict: str, expected: str
) -> None:
    gate = DataQualityGate(kind="data_quality", refused_share_at_most=0.02, refused_days_at_most=0)
    (found,) = judge([gate], evidence(days=days), ["good"])
    assert found.verdict == verdict
    assert expected in found.reason


@pytest.mark.parametrize(
    ("days", "verdict", "expected"),
    [
        ([_day(1, is_reference=True, drift=None), _day(2)], "PASS", "with 0.020 in age, below 0.1"),
        ([_day(2), _day(11)], "FAIL", "2026-01-11 with 0.110 in age, not below 0.1"),
        # A limit from above that has to be kept strictly.
        ([_day(10)], "FAIL", "2026-01-10 with 0.100 in age, not below 0.1"),
        ([_day(20, refused="a column is missing"), _day(2)], "PASS", "with 0.020 in age"),
        ([_day(2), _day(3, drift=None)], OPEN, "2026-01-03 (drift was not measured)"),
        ([_day(2, drift={"age": {"stability_index": None}})], OPEN, "of age is undefined"),
        (
            [_day(2, drift={"age": {"stability_index": 0.01}, "fare": {}})],
            OPEN,
            "0.010 in age, but the drift of fare is undefined",
        ),
        ([_day(1, is_reference=True)], OPEN, "no accepted day was compared with the reference"),
        ([], OPEN, "no accepted day was compared with the reference"),
    ],
)
def test_a_gate_on_drift_looks_at_each_day_and_its_furthest_column(
    evidence: Any, days: list[DayFacts], verdict: str, expected: str
) -> None:
    gate = DriftGate(kind="drift", drift_below=0.1)
    (found,) = judge([gate], evidence(days=days), ["good"])
    assert found.verdict == verdict
    assert expected in found.reason


def test_a_gate_on_the_drift_of_a_column_that_was_not_measured_does_not_pass(evidence: Any) -> None:
    gate = DriftGate(kind="drift", drift_below=0.1, columns=("fare",))
    (found,) = judge([gate], evidence(days=[_day(2)]), ["good"])
    assert (found.verdict, found.reason) == (OPEN, "the drift of fare is undefined")


def test_a_gates_own_words_stand_beside_its_verdict(evidence: Any, slices: Any) -> None:
    gate = MetricGate(metric="recall", at_least=0.6, rationale="Late flights are found")
    verdicts = judge([gate], evidence(), ["good"])
    assert verdicts[0].says == verdicts[0].as_record()["says"] == "Late flights are found"
    assert decide_outcomes(verdicts, slices(), ["good"])[0].outcome == "certified"


def test_no_evidence_at_all_is_never_a_pass(evidence: Any, slices: Any) -> None:
    gates = [
        MetricGate(metric="recall", at_least=0.0),
        MetricGate(metric="recall", at_least=0.0, level="slice", decide_on="value"),
        BETTER,
        NOT_WORSE,
        CalibrationGate(kind="calibration", at_most=1.0),
        DIFFERENCE,
        RATIO,
        WEAK,
        DataQualityGate(kind="data_quality", refused_share_at_most=0.9, refused_days_at_most=9),
        DriftGate(kind="drift", drift_below=9.0),
    ]
    verdicts = judge(gates, evidence(pd.DataFrame()), ["good"])
    assert [verdict.verdict for verdict in verdicts] == [OPEN] * len(gates)
    nothing = evidence(pd.DataFrame(), slices=slices().iloc[:0])
    complete = CompleteGate(kind="complete")
    assert {v.verdict for v in judge([*gates, complete], nothing, ["good"])} == {OPEN}
