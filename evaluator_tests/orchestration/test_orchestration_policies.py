"""What an audit allows: missing slices, and when its evaluation set is frozen anew."""

from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg
import pandas as pd
import pytest

from evaluator.errors import UsageError
from evaluator.evidence import prune
from evaluator.orchestration import (
    AuditState,
    Choice,
    Home,
    _run_summary,
    find_prunable,
    format_pruning_plan,
    format_run_summary,
    page_of,
)
from evaluator.orchestration._evaluation_set import needs_refresh
from evaluator.orchestration._facts import ScorecardFacts
from evaluator.orchestration._scorecard_run import JudgedScorecard, read_judged_scorecard
from evaluator.scorecard import CASES
from evaluator.spec import Audit
from evaluator_tests.orchestration.conftest import run, start


def changed(audit: Audit, **settings: Any) -> Audit:
    return Audit(audit.name, audit.spec.model_copy(update=settings))


def with_policy(audit: Audit, refresh: str) -> Audit:
    automation = audit.spec.automation.model_copy(update={"refresh": refresh})
    return changed(audit, automation=automation)


def test_an_error_budget_decides_the_verdict_and_not_whether_there_is_one(
    audit: Audit, crashed_home: Home
) -> None:
    for allowed, outcome in (("none", "undecided"), (1, "certified"), (0.25, "certified")):
        tolerant = changed(audit, allow_failed_slices=allowed)
        judged = read_judged_scorecard(AuditState(tolerant, crashed_home))
        outcomes = {o.candidate: o for o in judged.outcomes}
        assert outcomes["sturdy"].outcome == "certified"
        assert outcomes["frail"].outcome == outcome
        assert "1 of 4 slices is missing" in outcomes["frail"].reason
        missing = judged.scorecard.slices.query("state != 'current'")
        assert missing["error"].str.contains("the model server for pacific is out of reach").all()


def test_a_frozen_evaluation_set_stays_as_it_is(audit: Audit, finished_home: Home) -> None:
    frozen_audit = with_policy(audit, "on_demand")
    before = AuditState(audit, finished_home).require("evaluation_set")
    landing = finished_home.landing("flights")
    (landing / "flights-2013-11-03.csv").unlink()
    text = (landing / "flights-2013-11-02.csv").read_text().splitlines(keepends=True)
    (landing / "flights-2013-11-02.csv").write_text("".join(text[:-3]))
    (landing / "flights-2013-11-04.csv").write_text(
        (text[0] + "".join(text[1:9]))
        .replace("2013-11-02", "2013-11-04")
        .replace("20131102", "20131104")
    )
    summary = run(frozen_audit, finished_home)
    assert (summary.computed, summary.reused) == (0, 8)
    assert summary.refresh_withheld is not None
    assert "3 days, and 4 are accepted now" in summary.refresh_withheld
    state = AuditState(frozen_audit, finished_home)
    told = " ".join(" ".join(format_run_summary(state, summary)).split())
    assert summary.refresh_withheld in told
    assert state.require("evaluation_set").identity == before.identity
    refreshed = start(frozen_audit, finished_home).run(refresh=True)
    assert refreshed.refresh_withheld is None
    assert refreshed.computed > 0
    assert state.require("evaluation_set").facts["days"][-1] == "2013-11-04"


def test_a_weekly_evaluation_set_waits_for_monday(audit: Audit, finished_home: Home) -> None:
    state = AuditState(with_policy(audit, "weekly"), finished_home)
    old = state.require("evaluation_set")
    # As if it had been frozen of two days, and a third one was accepted since.
    days = {str(u.partition): u.content_version for u in old.upstream[:2]}
    frozen = old.model_copy(
        update={
            "upstream": old.upstream[:2],
            "identity": state.identities.evaluation_set(days, {}, {}),
            "created_at": datetime(2026, 5, 6, tzinfo=UTC),
        }
    )
    sunday = datetime(2026, 5, 10, 23, 59, tzinfo=UTC)
    assert not needs_refresh(state, frozen, sunday)
    assert needs_refresh(state, frozen, sunday + timedelta(minutes=2))
    daily = AuditState(audit, finished_home)
    assert needs_refresh(daily, frozen, sunday)
    assert not needs_refresh(daily, old, sunday + timedelta(days=30))


def test_another_way_to_cut_the_cases_freezes_anew_whatever_the_policy(
    audit: Audit, finished_home: Home
) -> None:
    state = AuditState(with_policy(audit, "on_demand"), finished_home)
    frozen = state.require("evaluation_set")
    assert not needs_refresh(state, frozen, datetime.now(UTC))
    label = audit.spec.label
    assert label is not None
    other = changed(with_policy(audit, "on_demand"), label=label.model_copy(update={"positive": 0}))
    assert needs_refresh(AuditState(other, finished_home), frozen, datetime.now(UTC))


def test_two_names_for_one_artifact_are_told(audit: Audit, home: Home) -> None:
    sturdy = audit.spec.candidates[0]
    twin = sturdy.model_copy(update={"name": "twin", "baseline": False})
    summary = run(changed(audit, candidates=(sturdy, twin)), home)
    assert summary.judged is not None
    assert list(summary.judged.scorecard.remarks) == [
        "sturdy and twin have the same artifact, byte for byte",
        "sturdy and twin gave identical predictions on every slice",
    ]
    state = AuditState(changed(audit, candidates=(sturdy, twin)), home)
    page = page_of(state).content.decode()
    assert "sturdy and twin have the same artifact, byte for byte." in page


def test_prune_keeps_what_is_referred_to_and_what_was_certified(
    audit: Audit, finished_home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    again = start(audit, finished_home, Choice(candidate="sturdy"))
    again.start_afresh()
    again.run()
    again = start(audit, finished_home, Choice(candidate="frail"))
    again.start_afresh()
    again.run()
    left = finished_home.root / "evidence/flights/scorecard/_/half/figures.parquet.ab.tmp"
    left.parent.mkdir()
    left.write_bytes(b"half")
    young = find_prunable(audit, finished_home)
    assert young.all == ()
    assert young.too_recent > 0
    monkeypatch.setattr(_run_summary, "MIN_AGE", timedelta(0))
    plan = find_prunable(audit, finished_home)
    assets = {found.asset for found in plan.superseded}
    # Each of the three scorecards was certified, so only papers and MLflow's notes are left over.
    assert assets == {"dashboard", "documents", "mlflow_runs"}
    assert [found.paths for found in plan.incomplete] == [
        (str(left.relative_to(finished_home.root / "evidence")),)
    ]
    assert any("dashboard: 2 superseded versions" in line for line in format_pruning_plan(plan))
    prune(finished_home.store(), plan)
    assert not left.exists()
    assert find_prunable(audit, finished_home).all == ()
    summary = run(audit, finished_home)
    assert (summary.computed, summary.reused) == (0, 8)
    scorecard = read_judged_scorecard(AuditState(audit, finished_home)).scorecard
    assert scorecard.slices["state"].eq("current").all()


def test_an_audit_whose_candidates_were_taken_out_has_nothing_pending(
    audit: Audit, finished_home: Home
) -> None:
    assert not AuditState(audit, finished_home).may_be_pending()
    again = start(audit, finished_home, Choice(candidate="sturdy"))
    again.start_afresh()
    assert AuditState(audit, finished_home).may_be_pending()
    intake_alone = changed(audit, candidates=(), gates=(), geography=None, segment=None)
    assert not AuditState(intake_alone, finished_home).may_be_pending()


def test_nothing_is_pruned_while_a_run_is_under_way(audit: Audit, finished_home: Home) -> None:
    with dg.DagsterInstance.get() as instance:
        instance.add_run(dg.DagsterRun(job_name="running", status=dg.DagsterRunStatus.STARTED))
    with pytest.raises(UsageError, match="1 runs are under way"):
        find_prunable(audit, finished_home)


def test_a_recording_of_decisions_alone_is_measured_as_far_as_that_goes(
    audit: Audit, finished_home: Home
) -> None:
    state = AuditState(audit, finished_home)
    cases = state.store.read_table(state.require("evaluation_set"), CASES).to_pandas()
    decided = (cases["label"] == 1) | (cases["data.departure_delay"] > 20)
    recording = finished_home.root / "recordings" / "said.csv"
    recording.parent.mkdir()
    pd.DataFrame({"id": cases["id"], "said": decided.astype(int)}).to_csv(recording, index=False)
    settings = audit.spec.model_dump(mode="json", exclude_unset=True)
    settings["candidates"] = [
        settings["candidates"][0],
        {
            "name": "said",
            "kind": "recorded",
            "path": "recordings/said.csv",
            "score": None,
            "prediction": "said",
        },
    ]
    both = Audit(audit.name, type(audit.spec).model_validate(settings))
    summary = run(both, finished_home)
    assert summary.faults == []
    assert (summary.computed, summary.reused) == (4, 4)
    assert summary.judged is not None
    measurements = summary.judged.scorecard.measurements
    overall = measurements[
        (measurements["candidate"] == "said") & (measurements["level"] == "overall")
    ]
    by_metric = overall.set_index("metric")
    assert by_metric.loc["recall", "value"] == 1
    wanted = (decided.astype(int) == cases["label"]).mean()
    assert by_metric.loc["accuracy", "value"] == pytest.approx(wanted)
    assert by_metric.loc["roc_auc", "status"] == "undefined"
    assert by_metric.loc["roc_auc", "reason"] == "said gives decisions and no scores"
    assert by_metric.loc["roc_auc", "n"] == len(cases)
    outcomes = {o.candidate: o.outcome for o in summary.judged.outcomes}
    assert outcomes["said"] == "undecided"


def test_a_recording_in_words_that_nobody_declared_is_never_certified(
    audit: Audit, finished_home: Home
) -> None:
    state = AuditState(audit, finished_home)
    cases = state.store.read_table(state.require("evaluation_set"), CASES).to_pandas()
    decided = (cases["label"] == 1) | (cases["data.departure_delay"] > 0)
    words = {True: "late", False: "on time"}
    recording = finished_home.root / "recordings" / "said.csv"
    recording.parent.mkdir()
    truth = (cases["label"] == 1).map(words)
    said = pd.DataFrame({"id": cases["id"], "said": decided.map(words), "truth": truth})
    said.to_csv(recording, index=False)
    settings = audit.spec.model_dump(mode="json", exclude_unset=True)
    settings["metrics"] = ["accuracy", "false_positive_rate"]
    settings["gates"] = [
        {"metric": "false_positive_rate", "level": level, "at_most": 0.1}
        for level in ("overall", "geography")
    ]
    candidate = {
        "name": "said",
        "kind": "recorded",
        "path": "recordings/said.csv",
        "score": None,
        "prediction": "said",
        "label": "truth",
    }

    def judged(**told: Any) -> JudgedScorecard:
        settings["candidates"] = [audit.spec.candidates[0], candidate | told]
        summary = run(Audit(audit.name, type(audit.spec).model_validate(settings)), finished_home)
        assert summary.judged is not None
        return summary.judged

    def outcome(of: JudgedScorecard) -> str:
        return {found.candidate: str(found.outcome) for found in of.outcomes}["said"]

    undeclared = judged()
    assert outcome(undeclared) == "undecided"
    slices = undeclared.scorecard.slices.set_index("candidate").loc["said"]
    assert slices["state"].eq("missing").all()
    for error in slices["error"]:
        assert "values of 'said' in the recording are neither 1 (positive) nor 0" in error
        assert "'on time' in " in error
    assert "said" not in set(undeclared.scorecard.measurements["candidate"])
    remarks = ScorecardFacts.of(undeclared.record).remarks
    assert any(f"said, its recording: {len(cases)} ids have labels that" in one for one in remarks)

    declared = judged(label_values={"positive": "late", "negative": "on time"})
    assert outcome(declared) == "not certified"
    measured = declared.scorecard.measurements.set_index(["candidate", "metric", "level"])
    wrong = decided[cases["label"] == 0].mean()
    found = measured.loc[("said", "false_positive_rate", "overall"), "value"]
    assert found == pytest.approx(wrong)
    assert not ScorecardFacts.of(declared.record).remarks


def test_an_evaluation_set_of_labels_that_nothing_explains_is_not_frozen(
    audit: Audit, home: Home
) -> None:
    settings = audit.spec.model_dump(mode="json", exclude_unset=True)
    # The three days are a Friday, a Saturday and a Sunday.
    settings["label"] = {"column": "weekday", "positive": 6}
    by_weekday = Audit(audit.name, type(audit.spec).model_validate(settings))

    summary = run(by_weekday, home)

    assert any("labels in 'weekday' are not 6 (positive)" in fault for fault in summary.faults)
    assert summary.judged is None
