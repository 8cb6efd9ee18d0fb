import json
import math
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

import pandas as pd
import pytest

from evaluator.certification import (
    AuditCertificate,
    EvaluationSetSummary,
    EvidenceRecord,
    GateEvidence,
    build_certificate,
    decide_outcomes,
    judge,
)
from evaluator.scorecard import Scorecard
from evaluator.spec import MetricGate

SUMMARY = EvaluationSetSummary(
    digest="da7a",
    first_day=date(2013, 11, 1),
    last_day=date(2013, 11, 28),
    days=28,
    rows=800,
    rows_without_label=12,
    rows_of_weight_zero=0,
    rows_seen_in_training=0,
    cluster=None,
    weight=None,
)


def _certificate(scorecard: pd.DataFrame, slices: pd.DataFrame, **changes: Any) -> AuditCertificate:
    found = Scorecard(measurements=scorecard, slices=slices)
    verdicts = judge(
        [MetricGate(metric="recall", at_least=0.6)],
        GateEvidence(scorecard=found, confidence=0.95),
        ["good"],
    )
    arguments: dict[str, Any] = {
        "audit": "flights",
        "spec_digest": "5bec",
        "evaluation_set": SUMMARY,
        "artifact_digests": {"good": "a47f"},
        "outcomes": decide_outcomes(verdicts, slices, ["good"]),
        "verdicts": verdicts,
        "scorecard": found,
        "headline_metrics": ["recall", "precision"],
        "evidence": [
            EvidenceRecord(
                asset=asset,
                partition=None,
                identity="1d",
                content_version="c0",
                files={"rows.parquet": "f1"},
            )
            for asset in ("flights/scorecard", "flights/evaluation_set")
        ],
        "code_version": "0.1.0",
        "packages": {"numpy": "2.4.0"},
        "created_at": datetime(2026, 3, 9, 9, 0, tzinfo=timezone(timedelta(hours=1))),
        "run_id": "r1",
        "key_id": None,
    }
    return build_certificate(**(arguments | changes))


def test_a_certificate_holds_what_a_stranger_needs(scorecard: Any, slices: Any) -> None:
    certificate = json.loads(_certificate(scorecard(), slices()).to_bytes())
    assert (certificate["format"], certificate["version"]) == ("evaluator/certificate", 2)
    assert certificate["spec_digest"] == "5bec"
    assert certificate["evaluation_set"] == {
        "digest": "da7a",
        "first_day": "2013-11-01",
        "last_day": "2013-11-28",
        "days": 28,
        "rows": 800,
        "rows_without_label": 12,
        "rows_of_weight_zero": 0,
        "rows_seen_in_training": 0,
        "cluster": None,
        "weight": None,
    }
    (candidate,) = certificate["candidates"]
    assert candidate["artifact_digest"] == "a47f"
    assert candidate["outcome"] == "certified"
    assert candidate["slices"] == {"expected": 4, "not_current": []}
    assert certificate["verdicts"][0]["verdict"] == "PASS"
    assert certificate["created_at"] == "2026-03-09T08:00:00Z"
    assert [e["asset"] for e in certificate["evidence"]] == [
        "flights/evaluation_set",
        "flights/scorecard",
    ]


@pytest.mark.parametrize(
    ("known", "said"),
    [
        ({"days": 1}, []),
        ({"days": 28}, ["cases are taken as independent, those of one day too"]),
        (
            {"days": 28, "cluster": "day"},
            [
                (
                    "cases are clustered by day: those of one day may depend on each other, all"
                    " others are taken as independent"
                )
            ],
        ),
        ({"days": 1, "weight": "stands_for"}, ["cases are weighted by stands_for"]),
    ],
    ids=str,
)
def test_a_certificate_names_what_intervals_take_for_granted(
    scorecard: Any, slices: Any, known: dict[str, Any], said: list[str]
) -> None:
    summary = replace(SUMMARY, **known)
    certificate = _certificate(scorecard(), slices(), evaluation_set=summary)
    assert certificate.assumptions == tuple(said)
    assert certificate.evaluation_set.cluster == known.get("cluster")
    assert certificate.evaluation_set.weight == known.get("weight")


def test_a_headline_has_its_clusters_and_its_design_effect(scorecard: Any, slices: Any) -> None:
    card = scorecard().assign(clusters=pd.array([28] * 9, "Int64"), design_effect=4.75)
    recall, precision = _certificate(card, slices()).candidates[0].headline
    assert (recall.clusters, recall.design_effect) == (28, 4.75)
    assert (precision.clusters, precision.design_effect) == (None, None)
    plain, _ = _certificate(scorecard(), slices()).candidates[0].headline
    assert (plain.clusters, plain.design_effect) == (None, None)


def test_a_certificate_says_that_it_is_unsigned(scorecard: Any, slices: Any) -> None:
    signature = _certificate(scorecard(), slices()).signature
    assert signature.signed is False
    assert signature.key_id is None
    assert "UNSIGNED" in signature.statement


def test_a_certificate_says_with_which_key_its_candidates_statements_are_signed(
    scorecard: Any, slices: Any
) -> None:
    signature = _certificate(scorecard(), slices(), key_id="6a8a3b8a").signature
    assert (signature.signed, signature.key_id) == (True, "6a8a3b8a")
    assert "UNSIGNED" not in signature.statement
    assert "signed with this key" in signature.statement


def test_a_headline_metric_that_was_not_measured_is_said_to_be_missing(
    scorecard: Any, slices: Any
) -> None:
    card = scorecard({(None, None): {"value": math.nan, "status": "undefined", "reason": "none"}})
    certificate = _certificate(card, slices())
    recall, precision = certificate.candidates[0].headline
    assert (recall.value, recall.status, recall.reason) == (None, "undefined", "none")
    assert (precision.value, precision.status) == (None, "missing")
    assert b"NaN" not in certificate.to_bytes()


def test_missing_slices_stand_in_the_certificate_with_their_error(
    scorecard: Any, slices: Any
) -> None:
    listed = slices({("West", "regional"): {"state": "missing", "error": "it crashed"}})
    (candidate,) = _certificate(scorecard(), listed).candidates
    assert candidate.outcome == "undecided"
    (missing,) = candidate.slices.not_current
    assert (missing.geography, missing.segment) == ("West", "regional")
    assert (missing.state, missing.error) == ("missing", "it crashed")


def test_the_same_audit_gives_the_same_bytes(scorecard: Any, slices: Any) -> None:
    first = _certificate(scorecard(), slices()).to_bytes()
    assert first == _certificate(scorecard(), slices()).to_bytes()
    later = datetime(2026, 3, 10, tzinfo=UTC)
    assert first != _certificate(scorecard(), slices(), created_at=later).to_bytes()


def test_a_time_without_a_zone_is_refused(scorecard: Any, slices: Any) -> None:
    with pytest.raises(ValueError, match="time zone"):
        _certificate(scorecard(), slices(), created_at=datetime(2026, 3, 9))  # noqa: DTZ001  # the mistake under test
