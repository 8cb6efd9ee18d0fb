"""What counts and what does not, decided from records alone: no Dagster, no file."""

from datetime import UTC, datetime
from typing import Any

import pytest

from evaluator.errors import Fault
from evaluator.evidence import FailureRecord, Record
from evaluator.orchestration._facts import IntakeFacts
from evaluator.orchestration._state import day_state, slice_state
from evaluator.scorecard import Slice

AT = datetime(2026, 1, 2, tzinfo=UTC)
NORTH = Slice("north", "new")


def record(asset: str, **facts: Any) -> Record:
    return Record(
        audit="shop",
        asset=asset,
        partition=NORTH.key,
        identity=asset,
        content_version="v",
        files={},
        upstream=(),
        facts=facts,
        code_version="1",
        run_id="run",
        created_at=AT,
    )


def failure(message: str, fault: Fault = "input") -> FailureRecord:
    return FailureRecord(
        audit="shop",
        asset="any",
        partition=None,
        identity="any",
        error="SomeError",
        fault=fault,
        message=message,
        trace="",
        run_id="run",
        created_at=AT,
    )


def report(broken: str | None) -> Record:
    facts = IntakeFacts(rows=3, accepted=2, quarantined=1, broken=broken, checks={})
    return record("data_quality_report", **facts.to_record())


@pytest.mark.parametrize(
    ("stored", "state", "reason"),
    [
        ({"report": report(None), "typed_rows": record("validated_data")}, "accepted", None),
        ({"report": report("no header"), "failure": failure("refused")}, "refused", "no header"),
        ({"report": report(None), "failure": failure("torn")}, "refused", "torn"),
        ({"failure": failure("torn")}, "refused", "torn"),
        ({"failure": failure("disk full", "machine")}, "waiting", "SomeError: disk full"),
        ({"failure": failure("a bug", "program")}, "waiting", "SomeError: a bug"),
        ({}, "waiting", "its file was not validated yet"),
        ({"report": report("no header")}, "waiting", "its file was not validated yet"),
    ],
)
def test_a_day_is_accepted_by_its_typed_rows_and_refused_by_what_failed(
    stored: dict[str, Any], state: str, reason: str | None
) -> None:
    nothing = {"report": None, "typed_rows": None, "failure": None}
    decided = day_state("2026-01-01", **{**nothing, **stored})
    assert (decided.state, decided.reason) == (state, reason)
    assert (decided.typed_rows is not None) == (state == "accepted")
    assert decided.report == stored.get("report")


PREDICTIONS, METRICS = record("one_predictions"), record("one_slice_metrics")


@pytest.mark.parametrize(
    ("predictions", "metrics", "was_measured", "state"),
    [
        (PREDICTIONS, METRICS, True, "current"),
        (PREDICTIONS, METRICS, False, "current"),
        (PREDICTIONS, None, True, "outdated"),
        (PREDICTIONS, None, False, "missing"),
        (None, METRICS, True, "outdated"),
        (None, None, True, "outdated"),
        (None, None, False, "missing"),
    ],
)
def test_a_slice_counts_where_predictions_and_metrics_are_of_todays_inputs(
    predictions: Record | None, metrics: Record | None, *, was_measured: bool, state: str
) -> None:
    crash = failure("it crashed")
    decided = slice_state(
        "one",
        NORTH,
        predictions=predictions,
        metrics=metrics,
        failure=crash,
        was_measured=was_measured,
    )
    assert decided.state == state
    # Metrics that rest on no predictions of today are none.
    assert decided.metrics == (METRICS if state == "current" else None)
    assert decided.error == (None if state == "current" else "SomeError: it crashed")
