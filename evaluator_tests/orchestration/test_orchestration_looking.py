"""What is said of a state by looking at it: a run's last words, `show`, `status`, `compare`."""

import json
import re
import shutil
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest

from evaluator.errors import UsageError
from evaluator.orchestration import (
    AuditState,
    Home,
    RunSummary,
    _findings,
    comparison_to_json,
    findings_to_json,
    format_comparison,
    format_findings,
    format_outcomes,
    format_run_summary,
    format_statuses,
    list_audits,
    page_of,
    read_statuses,
    run_to_json,
    stored_comparison,
    stored_findings,
)
from evaluator.orchestration._scorecard_run import read_judged_scorecard
from evaluator.orchestration._state import DayState
from evaluator.reporting import height
from evaluator.spec import Audit
from evaluator_tests.orchestration.conftest import declare, open_home


@pytest.fixture(scope="module")
def state(audit: Audit, crashed: Path) -> AuditState:
    """What is stored after the frail candidate failed on one slice; only looked at."""
    with pytest.MonkeyPatch.context() as patch:
        return AuditState(audit, open_home(crashed, patch))


def summary_of(state: AuditState, **changes: Any) -> RunSummary:
    judged = read_judged_scorecard(state)
    return RunSummary(days=state.day_states(), judged=judged, **changes)


def test_the_last_words_of_a_run_are_one_screen_and_name_what_is_missing(
    state: AuditState,
) -> None:
    lines = list(format_run_summary(state, summary_of(state)))
    assert height(lines) <= 24
    text = " ".join("\n".join(lines).split())
    assert "3 of 3 days accepted" in text
    assert "sturdy CERTIFIED 0." in text
    assert "frail NOT CERTIFIED" in text or "frail UNDECIDED" in text
    assert "frail: 1 slice missing: pacific x network" in text
    assert "Page: " in text
    assert "`evaluator show flights` prints the rest, `evaluator open flights`" in text


def test_where_no_candidate_is_declared_that_is_what_to_do_next(
    state: AuditState, tmp_path: Path
) -> None:
    spec = state.spec.model_copy(update={"candidates": (), "gates": ()})
    bare = AuditState(state.audit._replace(spec=spec), state.home)
    next_step = "name what is judged, in `candidates:` of the YAML"
    assert f"Next: {next_step}" in " ".join(
        format_run_summary(bare, RunSummary(days=state.day_states()))
    )
    declare(bare.audit, tmp_path)
    (status,) = read_statuses(["flights"], tmp_path, state.home, datetime.now(UTC))
    assert (status.problem, status.to_do) == ("", next_step)


def test_whatever_happened_the_last_words_are_one_screen_that_names_faults_and_refused_days(
    state: AuditState,
) -> None:
    summary = summary_of(
        state,
        faults=[f"Stage {number}: {'it cannot be read ' * 20}" for number in range(9)],
        refresh_withheld="The evaluation set stays as it was frozen. " * 5,
    )
    refused = [
        DayState(f"2013-12-{day:02}", "refused", None, None, "a rule of the day " * 9, "input")
        for day in range(1, 32)
    ]
    summary.days += refused
    assert summary.judged is not None
    outcome = summary.judged.outcomes[0]
    many = [replace(outcome, candidate=f"candidate_{number}") for number in range(30)]
    scorecard = replace(summary.judged.scorecard, remarks=["something to know of it " * 30] * 12)
    summary.judged = replace(summary.judged, outcomes=many, scorecard=scorecard)

    lines = list(format_run_summary(state, summary))

    assert height(lines) <= 24
    text = " ".join("\n".join(lines).split())
    assert "Fault: Stage 0: it cannot be read" in text
    assert "more faults: Stage " in text
    assert "31 refused or waiting days: 2013-12-01, 2013-12-02" in text
    assert "12 remarks, first: something to know of it" in text
    assert "and 26 more, 26 certified" in text
    assert "the next run tries again what faults kept from being done" in text


def test_quietly_outcomes_refused_days_and_faults_are_told_alone(state: AuditState) -> None:
    summary = summary_of(state, faults=["Reports: the disk\x1b is full"])
    summary.days.append(DayState("2013-12-01", "refused", None, None, "no header", "input"))
    lines = list(format_outcomes(summary))
    assert lines[0] == "sturdy: certified, with cases taken as independent"
    assert lines[1].startswith("frail: ")
    assert lines[2:] == [
        "2013-12-01 refused: no header",
        "Fault: Reports: the disk\N{REPLACEMENT CHARACTER} is full",
    ]


def test_what_is_stored_is_shown_in_full_and_nothing_is_run(state: AuditState) -> None:
    before = sorted(state.home.root.rglob("*"))
    text = "\n".join(format_findings(stored_findings(state)))
    assert sorted(state.home.root.rglob("*")) == before
    for heading in ("Candidates", "Slices that stand out", "Verdicts"):
        assert f"\n{heading}\n" in text
    assert "  frail: 1 slice missing: pacific x network (" in text
    assert "  sturdy  CERTIFIED, 1 of 1 required gate passed, with cases taken as indepen" in text
    assert f"Dashboard:    {state.home.root}" in text
    assert "The scorecard is of 20" in text
    assert "have changed since" not in text


def test_one_candidate_is_shown_alone(state: AuditState) -> None:
    text = "\n".join(format_findings(stored_findings(state, "sturdy")))
    assert "sturdy  CERTIFIED" in text
    assert "frail" not in text.partition("Dashboard:")[0]


def test_all_that_is_stored_is_json_too(state: AuditState) -> None:
    found = json.loads(findings_to_json(stored_findings(state, "frail")))
    assert {one["candidate"] for one in found["outcomes"]} == {"frail"}
    assert {one["candidate"] for one in found["measurements"]} == {"frail"}
    assert [day["state"] for day in found["days"]] == ["accepted"] * 3
    assert found["scorecard"]["is_current"]
    assert Path(found["locations"]["Dashboard"]).is_file()
    page = page_of(state)
    assert page.location == found["locations"]["Dashboard"]
    assert page.content == Path(page.location).read_bytes()
    states = [one["state"] for one in found["slices"]]
    assert sorted(states) == ["current"] * 3 + ["missing"]


def test_what_a_run_did_is_json_with_all_that_is_stored_also_where_it_failed(
    state: AuditState, audit: Audit, tmp_path: Path
) -> None:
    told = json.loads(run_to_json(state, summary_of(state, computed=3, faults=["Reports: full"])))
    assert told.pop("run") == {
        "computed": 3,
        "reused": 0,
        "faults": ["Reports: full"],
        "refresh_withheld": None,
    }
    assert told == json.loads(findings_to_json(stored_findings(state)))
    empty = AuditState(audit, Home(tmp_path, str(tmp_path / "evidence")))
    told = json.loads(run_to_json(empty, RunSummary(faults=["Raw files: full"])))
    assert (told["days"], told["run"]["faults"]) == ([], ["Raw files: full"])


def test_a_scorecard_that_rests_on_something_older_says_so(audit: Audit, state: AuditState) -> None:
    frail = audit.spec.candidates[1].model_copy(update={"threshold": 0.4})
    candidates = (audit.spec.candidates[0], frail)
    changed = Audit("flights", audit.spec.model_copy(update={"candidates": candidates}))
    text = "\n".join(format_findings(stored_findings(AuditState(changed, state.home))))
    assert "Things have changed since: `evaluator run flights`." in text


def test_a_candidate_that_is_none_and_an_audit_that_never_ran_are_wrong_use(
    state: AuditState, audit: Audit, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match="flights/third: the audit flights has no such candidate"):
        stored_findings(state, "third")
    empty = AuditState(audit, Home(tmp_path, str(tmp_path / "evidence")))
    with pytest.raises(UsageError, match="flights: nothing of it is stored yet"):
        stored_findings(empty)
    with pytest.raises(UsageError, match="flights/frail: nothing was scored yet"):
        stored_findings(empty, "frail")


@pytest.fixture
def defs(audit: Audit, tmp_path: Path) -> Path:
    """A folder with the small audit's YAML."""
    declare(audit, tmp_path / "defs")
    return tmp_path / "defs"


def test_the_status_tells_slices_certificates_and_what_to_do(state: AuditState, defs: Path) -> None:
    before = sorted(state.home.root.rglob("*"))
    now = datetime.now(UTC)
    (found,) = read_statuses(["flights"], defs, state.home, now)
    assert found.problem == ""
    assert found.last_day == "2013-11-03"
    assert found.slices == {"current": 7, "failed": 1}
    assert [one.candidate for one in found.certificates] == ["sturdy", "frail"]
    assert found.certificates[0].outcome == "certified, with cases taken as independent"
    assert found.to_do.startswith("mend what fails: `evaluator show flights` says why")
    lines = list(format_statuses([found]))
    assert lines[1].startswith("flights  2013-11-03  7 current, 1 failed  mend what fails")
    until = found.certificates[0].valid_until
    assert until is not None
    assert lines[2] == (
        f"  sturdy: certified, with cases taken as independent; valid until {until:%Y-%m-%d}"
    )
    (later,) = read_statuses(["flights"], defs, state.home, until + timedelta(days=1))
    assert next(iter(format_statuses([later]))).startswith("audit ")
    assert list(format_statuses([later]))[2].startswith("  sturdy: EXPIRED (it expired at ")
    assert sorted(state.home.root.rglob("*")) == before


def test_a_damaged_state_is_told_in_its_audits_place(
    state: AuditState, defs: Path, tmp_path: Path
) -> None:
    shutil.copytree(state.home.root, tmp_path / "home")
    home = Home(tmp_path / "home", str(tmp_path / "home" / "evidence"))
    copied = AuditState(state.audit, home)
    record = copied.require("evaluation_set")
    Path(copied.store.location(record, "record.json")).write_text("{")
    (found,) = read_statuses(["flights"], defs, home, datetime.now(UTC))
    assert "record.json" in found.problem
    assert list(format_statuses([found]))[1].endswith("see below")


def test_the_list_of_audits_links_to_their_pages_and_shows_what_is_said_as_text(
    state: AuditState, defs: Path, tmp_path: Path
) -> None:
    (one,) = read_statuses(["flights"], defs, state.home, datetime.now(UTC))
    target = tmp_path / "list.html"
    hostile = one._replace(audit="<b>odd</b>", page="s3://bucket/page.html", problem="<i>it</i>")
    html = list_audits([one, hostile], target, datetime.now(UTC))
    (link,) = re.findall(r'<a href="([^"]+)">flights</a>', html)
    assert (tmp_path / unquote(link)).resolve() == Path(str(one.page)).resolve()
    assert "&lt;b&gt;odd&lt;/b&gt;" in html
    assert "&lt;i&gt;it&lt;/i&gt;" in html
    assert html.count("<a href=") == 1
    for certificate in one.certificates:
        assert f"<td>{certificate.candidate}</td>" in html
    assert "There is no audit." in list_audits([], target, datetime.now(UTC))


def test_two_candidates_are_compared_as_they_are_stored_whichever_is_named_first(
    whole_audit: Audit, finished_whole: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = AuditState(whole_audit, open_home(finished_whole, monkeypatch))
    found = stored_comparison(state, "sturdy", "frail")
    assert (found.candidate, found.baseline) == ("frail", "sturdy")
    lines = list(format_comparison(found))
    assert lines == list(format_comparison(stored_comparison(state, "frail", "sturdy")))
    assert lines[0].startswith("frail less sturdy, case by case; intervals at 95 %")
    assert lines[2].startswith("  ROC AUC")
    stored = json.loads(comparison_to_json(found))["comparisons"]
    judged = read_judged_scorecard(state)
    assert len(stored) == len(judged.scorecard.comparisons)
    assert {one["level"] for one in stored} >= {"overall", "geography"}

    # Of two that are no baseline the comparisons of all with all tell.
    tables = judged.scorecard
    without = replace(tables, pairs=tables.comparisons, comparisons=tables.comparisons.iloc[:0])
    monkeypatch.setattr(
        _findings, "read_judged_scorecard", lambda _: replace(judged, scorecard=without)
    )
    assert list(format_comparison(stored_comparison(state, "frail", "sturdy"))) == lines


def test_what_was_not_compared_says_what_to_do(
    state: AuditState, audit: Audit, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match="frail and frail were not compared"):
        stored_comparison(state, "frail", "frail")
    with pytest.raises(UsageError, match="flights/third: the audit flights has no such candidate"):
        stored_comparison(state, "sturdy", "third")
    empty = AuditState(audit, Home(tmp_path, str(tmp_path / "evidence")))
    with pytest.raises(UsageError, match="flights/sturdy: nothing was scored yet"):
        stored_comparison(empty, "sturdy", "frail")
