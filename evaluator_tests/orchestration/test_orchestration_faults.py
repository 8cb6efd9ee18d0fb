"""A fault of the machine is no fault of the input: it is told first, and tried again."""

import errno
import json
import os
import re
import sys
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from evaluator import cli
from evaluator.certification import Ledger
from evaluator.errors import StateError
from evaluator.evidence import (
    Files,
    RunContext,
    digest_of_bytes,
    digest_of_file,
    prune,
    temporary_beside,
)
from evaluator.orchestration import (
    AuditState,
    Choice,
    Home,
    _sources,
    exit_code,
    find_prunable,
    format_run_summary,
)
from evaluator.orchestration._assets import _intake
from evaluator.orchestration._certificates import CERTIFICATE, expected_certificate
from evaluator.orchestration._component import audit_definitions
from evaluator.orchestration._days import DayIntake
from evaluator.orchestration._documents import store_certificate
from evaluator.orchestration._evaluation_set import store_evaluation_set
from evaluator.orchestration._scorecard_run import read_judged_scorecard
from evaluator.spec import Audit
from evaluator_tests.orchestration.conftest import DAYS, run, start
from evaluator_tests.orchestration.test_orchestration_certificates import declare
from evaluator_tests.orchestration.test_orchestration_policies import changed

SECOND = DAYS[1].isoformat()
FULL = OSError(errno.ENOSPC, "No space left on device", "/tmp/rows.arrow")  # noqa: S108 - in a text


def failing_on(day: str, error: Exception) -> Callable[..., Any]:
    """Make an intake that fails on one day."""
    ingest = DayIntake.ingest

    def fail(self: DayIntake, raw: Any, into: Path) -> Any:
        if raw.partition == day:
            raise error
        return ingest(self, raw, into)

    return fail


def without_candidates(audit: Audit) -> Audit:
    return changed(audit, candidates=(), gates=(), geography=None, segment=None)


@pytest.mark.parametrize("error", [FULL, MemoryError(), ZeroDivisionError("a bug")])
def test_a_day_that_fails_by_no_fault_of_its_own_waits_and_the_next_run_takes_it_in(
    audit: Audit, home: Home, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    alone = without_candidates(audit)
    with monkeypatch.context() as patch:
        patch.setattr(DayIntake, "ingest", failing_on(SECOND, error))
        summary = run(alone, home)
    assert [day.state for day in summary.days] == ["accepted", "waiting", "accepted"]
    told = f"Intake, {SECOND}: {type(error).__name__}" + (f": {error}" if str(error) else "")
    assert summary.faults == [told]
    assert exit_code(alone, Choice(), summary) == 3
    lines = "\n".join(format_run_summary(AuditState(alone, home), summary))
    assert "Fault: " + told in lines
    assert "refused" not in lines
    again = run(alone, home)
    assert [day.state for day in again.days] == ["accepted"] * 3
    assert exit_code(alone, Choice(), again) == 0


def test_no_evaluation_set_is_frozen_without_a_day_that_waits_unless_the_audit_says_so(
    audit: Audit, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(DayIntake, "ingest", failing_on(SECOND, FULL))
        summary = run(audit, home)
        state = AuditState(audit, home)
        assert state.current("evaluation_set") is None
        assert summary.judged is None
        assert "waits for the days" in str(summary.refresh_withheld)
        assert exit_code(audit, Choice(), summary) == 3
        # From the UI it is not frozen either.
        job = audit_definitions(audit).resolve_implicit_global_asset_job_def()
        with dg.DagsterInstance.get() as instance:
            frozen = job.execute_in_process(
                instance=instance,
                asset_selection=[dg.AssetKey(["flights", "evaluation_set"])],
                raise_on_error=False,
            )
        assert not frozen.success
        lenient = changed(
            audit, automation=audit.spec.automation.model_copy(update={"faulty_days": "leave_out"})
        )
        without = run(lenient, home, Choice(candidate="sturdy"))
    assert without.judged is not None
    assert AuditState(lenient, home).require("evaluation_set").facts["days"] == [
        DAYS[0].isoformat(),
        DAYS[2].isoformat(),
    ]
    assert exit_code(lenient, Choice(), without) == 3
    whole = run(audit, home, Choice(candidate="sturdy"))
    assert whole.faults == []
    assert len(AuditState(audit, home).require("evaluation_set").facts["days"]) == 3


def test_a_file_that_cannot_be_stored_is_told_and_waited_for(
    audit: Audit, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    store_raw = _intake.store_raw

    def fail(state: AuditState, stream: Any, source: Any, day: str, run_context: Any) -> Any:
        if day == SECOND:
            raise OSError(errno.EIO, "Input/output error", "/mnt/flights.csv")
        return store_raw(state, stream, source, day, run_context)

    with monkeypatch.context() as patch:
        patch.setattr(_intake, "store_raw", fail)
        summary = run(audit, home)
    assert summary.faults[0].startswith("Raw files: ")
    assert "/mnt/flights.csv" in summary.faults[0]
    assert summary.judged is None
    assert list(AuditState(audit, home).faulty_days()) == [SECOND]
    assert without_faults(audit, home).judged is not None
    assert AuditState(audit, home).faulty_days() == {}


def without_faults(audit: Audit, home: Home) -> Any:
    summary = run(audit, home, Choice(candidate="sturdy"))
    assert summary.faults == []
    return summary


def test_where_evidence_cannot_be_written_that_is_what_is_told(
    audit: Audit, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: Files, path: str, _: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", self.location(path))

    with monkeypatch.context() as patch:
        patch.setattr(Files, "write", full)
        summary = run(audit, home)
    assert summary.days == []
    assert "No space left on device" in summary.faults[0]
    assert str(home.root / "evidence/flights/raw_data") in summary.faults[0]
    assert exit_code(audit, Choice(), summary) == 3
    lines = list(format_run_summary(AuditState(audit, home), summary))
    told = " ".join("\n".join(lines).split())
    assert re.search("Fault: Raw files: .*make room", told)
    assert not any("no file has arrived" in line for line in lines)
    without_faults(audit, home)


def test_a_refused_day_is_remembered_and_tried_again_when_it_is_asked_for(
    audit: Audit, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone = without_candidates(audit)
    data = home.landing("flights") / f"flights-{SECOND}.csv"
    data.write_text("a,b\n1,2\n")
    first = run(alone, home)
    assert [day.state for day in first.days] == ["accepted", "refused", "accepted"]
    assert first.faults == []
    lines = "\n".join(format_run_summary(AuditState(alone, home), first))
    assert "evaluator run flights --retry" in lines
    tried: list[str] = []
    ingest = DayIntake.ingest

    def note(self: DayIntake, raw: Any, into: Path) -> Any:
        tried.append(raw.partition)
        return ingest(self, raw, into)

    monkeypatch.setattr(DayIntake, "ingest", note)
    run(alone, home)
    assert tried == []
    start(alone, home).run(retry=True)
    assert tried == [SECOND]


def test_a_file_that_changes_between_digest_and_copy_poisons_nothing(
    audit: Audit, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone = without_candidates(audit)
    path = home.landing("flights") / f"flights-{SECOND}.csv"
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])

    def digest_and_go_on_writing(file: Path) -> str:
        digest = digest_of_file(file)
        if file == path:
            path.write_bytes(whole)
        return digest

    with monkeypatch.context() as patch:
        patch.setattr(_sources, "digest_of_file", digest_and_go_on_writing)
        summary = run(alone, home)
    assert "it changed while it was read" in summary.faults[0]
    assert str(path) in summary.faults[0]
    assert [day.day for day in summary.days] == [DAYS[0].isoformat(), DAYS[2].isoformat()]
    again = run(alone, home)
    assert [day.state for day in again.days] == ["accepted"] * 3
    record = AuditState(alone, home).require("raw_data", SECOND)
    assert record.files[path.name].sha256 == digest_of_bytes(whole)


def test_of_two_issuers_at_once_one_issues_and_all_that_is_entered_is_there(
    audit: Audit, finished_home: Home
) -> None:
    """A clock that moved on makes a certificate due, and both set out to issue it."""
    later = datetime.now(UTC) + timedelta(days=400)
    barrier = threading.Barrier(2)
    issued = []

    def issue(name: str) -> None:
        state = AuditState(audit, finished_home)
        judged = read_judged_scorecard(state, later)
        barrier.wait()
        issued.append(store_certificate(state, judged, RunContext(name, later)))

    threads = [threading.Thread(target=issue, args=[name]) for name in ("one", "other")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert issued[0] == issued[1]
    state = AuditState(audit, finished_home)
    for name in issued[0].files:
        state.store.read_bytes(issued[0], name)
    entries = [
        chained.entry
        for chained in Ledger(state.store.url, "flights").entries()
        if chained.entry.kind == "certificate"
    ]
    assert len(entries) == 4
    for entry in entries:
        content = state.store.files.read(entry.certificate_body().path)
        assert content is not None
        assert digest_of_bytes(content) == entry.subject


def test_a_certificate_of_a_clock_that_was_ahead_is_issued_anew(
    audit: Audit, finished_home: Home
) -> None:
    state = AuditState(audit, finished_home)
    judged = read_judged_scorecard(state)
    issued = state.require("certificate")
    a_little = issued.created_at - timedelta(minutes=4)
    assert expected_certificate(state, judged.record, a_little).record == issued
    long_before = issued.created_at - timedelta(days=30)
    target = expected_certificate(state, judged.record, long_before)
    assert target.record is None
    assert target.identity != issued.identity
    assert CERTIFICATE in issued.files


def test_what_was_left_half_written_anywhere_is_found_and_removed(
    audit: Audit, finished_home: Home
) -> None:
    root = finished_home.root
    left = [
        root / "evidence/flights/scorecard/_/half/figures.parquet.ab.tmp",
        root / "evidence/.0123.tmp",
        temporary_beside(root / ".redaction.secret"),
        temporary_beside(root / "dagster/dagster.yaml"),
        temporary_beside(root / "mlflow/mlflow.db"),
        root / f"mlflow/{temporary_beside(Path('mlflow.db')).name}-journal",
        temporary_beside(root / "landing/flights/flights-2013-11-01.csv.mended.csv"),
    ]
    for path in left:
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"half")
    assert find_prunable(audit, finished_home).is_empty
    for path in left:
        os.utime(path, (0, 0))
    plan = find_prunable(audit, finished_home)
    found = {root / "evidence" / name for one in plan.incomplete for name in one.paths}
    assert found | set(plan.beside) == set(left)


def test_what_others_call_temporary_is_theirs(audit: Audit, finished_home: Home) -> None:
    landing = finished_home.landing(audit.name)
    theirs = [
        landing / "flights-2013-11-01.csv.tmp",
        landing / ".export.tmp",
        landing / "upload.tmp.part",
        finished_home.root / ".a.0123.tmp",
    ]
    for path in theirs:
        path.write_bytes(b"mine")
        os.utime(path, (0, 0))
    assert find_prunable(audit, finished_home).is_empty


def test_a_folder_that_was_left_half_written_goes_once_nothing_in_it_is_young(
    audit: Audit, finished_home: Home
) -> None:
    folder = temporary_beside(finished_home.root / "models/flights/model")
    mine = finished_home.root / "mine"
    mine.write_bytes(b"kept")
    (folder / "inner").mkdir(parents=True)
    (folder / "inner/weights").write_bytes(b"12345")
    (folder / "link").symlink_to(mine)
    for path in (folder, folder / "inner", folder / "link"):
        os.utime(path, (0, 0), follow_symlinks=False)
    assert find_prunable(audit, finished_home).is_empty
    os.utime(folder / "inner/weights", (0, 0))
    plan = find_prunable(audit, finished_home)
    assert plan.beside.keys() == {folder}
    assert plan.beside[folder] >= 5
    prune(finished_home.store(), plan)
    assert not folder.exists()
    assert mine.read_bytes() == b"kept"


def test_only_what_was_agreed_to_is_removed_and_only_what_is_still_unneeded(
    audit: Audit, finished_home: Home
) -> None:
    root = finished_home.root
    asked, later = temporary_beside(root / "a"), temporary_beside(root / "b")
    asked.write_bytes(b"half")
    os.utime(asked, (0, 0))
    agreed = find_prunable(audit, finished_home)
    later.write_bytes(b"half")
    os.utime(later, (0, 0))
    assert find_prunable(audit, finished_home).within(agreed).beside == {asked: 4}
    asked.unlink()
    assert find_prunable(audit, finished_home).within(agreed).is_empty


def test_a_slice_that_fails_by_no_fault_of_its_candidate_is_a_fault(
    audit: Audit, finished_home: Home
) -> None:
    """The evidence it rests on cannot be read: nobody is told to look at the candidate."""
    state = AuditState(audit, finished_home)
    record = state.require("evaluation_set")
    Path(state.store.location(record, "cases.parquet")).write_bytes(b"spoilt")
    again = start(audit, finished_home, Choice(candidate="sturdy"))
    again.start_afresh()
    summary = again.run()
    assert exit_code(audit, Choice(), summary) == 3
    assert any("the file is not what was stored" in fault for fault in summary.faults)
    lines = list(format_run_summary(again.state, summary))
    assert not any(line.startswith("sturdy, ") for line in lines)
    failures = list((finished_home.root / "evidence").rglob("sturdy_predictions/**/failure.*.json"))
    assert {json.loads(path.read_text())["fault"] for path in failures} == {"machine"}


def test_the_evaluation_set_says_which_day_it_waits_for(
    audit: Audit, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(DayIntake, "ingest", failing_on(SECOND, FULL))
        run(audit, home)
    state = AuditState(audit, home)
    with pytest.raises(StateError, match=f"{SECOND}: OSError: .*No space left") as caught:
        store_evaluation_set(state, RunContext("run", datetime.now(UTC)))
    assert "faulty_days: leave_out" in caught.value.fix


def test_mended_rows_that_cannot_be_taken_in_are_told_as_that_and_not_by_an_older_report(
    audit: Audit,
    home: Home,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    data = home.landing("flights") / f"flights-{SECOND}.csv"
    lines = data.read_text().splitlines()
    data.write_text("\n".join([*lines[:-1], lines[-1].rpartition(",")[0]]) + "\n")
    run(without_candidates(audit), home)
    declare(audit, tmp_path / "defs")
    monkeypatch.setattr("evaluator.spec.shipped_audits", lambda: tmp_path / "defs")
    rows = tmp_path / "rows.csv"

    def call(*arguments: str) -> int:
        monkeypatch.setattr(sys, "argv", ["evaluator", "replay", "flights", SECOND, *arguments])
        with pytest.raises(SystemExit) as caught:
            cli.main()
        return int(caught.value.code or 0)

    run(audit, home, Choice(candidate="sturdy"))
    assert call("--quarantine", str(rows)) == 0
    line = len(lines)
    rows.write_text(f'line_number,text\n{line},"{lines[-1]}"\n')
    with monkeypatch.context() as patch:
        patch.setattr(DayIntake, "ingest", failing_on(SECOND, FULL))
        assert call("--mended", str(rows)) == 3
    assert f"Fault: Intake, {SECOND}: OSError: [Errno 28]" in capsys.readouterr().out
    assert without_faults(audit, home).days[1].state == "accepted"
