"""Intake alone, in the graph: the shipped sales audit, day by day."""

import shutil
from pathlib import Path

import dagster as dg
import pytest
from markdown_it import MarkdownIt

from evaluator.demo._sales import FAULTS, sales_days, write_sales_days
from evaluator.errors import UsageError
from evaluator.intake import TYPED_ROWS, Profile
from evaluator.orchestration import (
    REPORT,
    AuditState,
    Choice,
    exit_code,
    format_run_summary,
    known_day,
    replay_quarantine,
    write_quarantine,
)
from evaluator.orchestration._days import CHECKS
from evaluator.scorecard import PROFILE
from evaluator.spec import Audit, AuditSpec, load_audit, named_audit, shipped_audits
from evaluator_tests.orchestration.conftest import open_home, run, start

DAY = "2024-03-02"


@pytest.fixture(scope="module")
def sales() -> Audit:
    return load_audit("sales", shipped_audits())


@pytest.fixture(scope="module")
def taken_in(sales: Audit, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home in which all days of the shipped sales were taken in, to be copied."""
    root = tmp_path_factory.mktemp("sales") / "home"
    write_sales_days(root / "landing" / "sales")
    with pytest.MonkeyPatch.context() as patch:
        run(sales, open_home(root, patch))
    return root


@pytest.fixture
def state(
    sales: Audit, taken_in: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AuditState:
    shutil.copytree(taken_in, tmp_path / "home")
    return AuditState(sales, open_home(tmp_path / "home", monkeypatch))


def profile(state: AuditState, day: str) -> Profile:
    record = state.require("data_quality_report", day)
    return Profile.from_json(state.store.read_bytes(record, PROFILE))


def checks(day: str) -> dict[str, str]:
    """Return how the checks of one day stand in Dagster."""
    with dg.DagsterInstance.get() as instance:
        told = [
            event.get_dagster_event().asset_check_evaluation_data
            for run in reversed(instance.get_runs())
            for event in instance.all_logs(
                run.run_id, of_type=dg.DagsterEventType.ASSET_CHECK_EVALUATION
            )
        ]
    return {
        found.check_name: "SUCCEEDED" if found.passed else "FAILED"
        for found in told
        if found.asset_key.path[-1] == "data_quality_report" and found.partition == day
    }


def test_the_days_that_are_broken_on_purpose_are_refused_and_no_other(state: AuditState) -> None:
    refused = {d.day for d in state.day_states() if d.state == "refused"}
    days = [day.isoformat() for day in sales_days()]
    broken = [days[n] for n, words in FAULTS.items() if "broken" in words or "too many" in words]
    assert refused == set(broken)
    assert len(state.accepted_days()) == len(days) - len(broken)


def test_no_row_is_lost_on_any_day(state: AuditState) -> None:
    for day in state.day_states():
        assert day.report is not None
        facts = day.report.facts
        assert facts["rows"] == facts["accepted"] + facts["quarantined"]
        if day.typed_rows is not None:
            rows = state.store.read_table(day.typed_rows, TYPED_ROWS).num_rows
            assert rows == facts["accepted"]


def test_the_first_accepted_days_are_the_reference_of_the_later_ones(state: AuditState) -> None:
    days = [day.isoformat() for day in sales_days()]
    compared = {day: profile(state, day).drift is not None for day in days}
    assert [compared[day] for day in days[:4]] == [False] * 4
    assert all(compared[day] for day in days[4:] if day in state.accepted_days())


def test_a_day_that_drifted_is_accepted_and_its_check_warns(state: AuditState) -> None:
    drifted = sales_days()[9].isoformat()
    assert drifted in state.accepted_days()
    found = state.require("data_quality_report", drifted).facts["checks"]
    assert (
        found["drift"] == "drifted: price, revenue, east x retail, north x retail, south x retail"
    )
    assert checks(drifted) == dict.fromkeys(CHECKS, "SUCCEEDED") | {"drift": "FAILED"}


def test_each_day_has_checks_of_its_own(state: AuditState) -> None:
    ordinary, broken, refused = (sales_days()[n].isoformat() for n in (5, 7, 12))
    assert state.home.dagster.is_dir()
    assert checks(ordinary) == dict.fromkeys(CHECKS, "SUCCEEDED")
    assert checks(broken)["schema_as_declared"] == "FAILED"
    assert checks(refused)["refused_share"] == "FAILED"
    assert checks(refused)["schema_as_declared"] == "SUCCEEDED"


def test_a_refused_file_raises_an_alert(
    sales: Audit, state: AuditState, capfd: pytest.CaptureFixture[str]
) -> None:
    broken = sales_days()[7].isoformat()
    again = start(sales, state.home)
    names = ("validated_data", "quarantined_rows", "data_quality_report")
    again._runs._job.execute_in_process(
        instance=again._runs._instance,
        asset_selection=[dg.AssetKey(["sales", name]) for name in names],
        partition_key=broken,
        raise_on_error=False,
    )
    assert f"Alert: sales/validated_data[{broken}] is not accepted" in capfd.readouterr().err
    report = state.store.read_bytes(state.require("data_quality_report", broken), REPORT)
    assert "customer_segment" in report.decode()


def test_an_audit_without_candidates_tells_its_days_and_exits_by_them(
    sales: Audit, state: AuditState
) -> None:
    summary = run(sales, state.home)
    lines = list(format_run_summary(state, summary))
    assert summary.judged is None
    assert exit_code(sales, Choice(), summary) == 1
    assert any("11 of 14 days accepted" in line for line in lines)
    assert any("2024-03-10 accepted, but drifted: price" in line for line in lines)


def test_mended_rows_join_the_days_next_version_and_the_old_one_stays(
    sales: Audit, state: AuditState, tmp_path: Path
) -> None:
    before = state.accepted_days()[DAY]
    quarantined = tmp_path / "rows.csv"
    count = write_quarantine(state, state.data, DAY, quarantined)
    rows = quarantined.read_text()
    assert count == rows.count("\n") - 1 > 0
    mended = rows.replace("P110, blue", "P110").replace("P134,3,n/a", "P134,3,12.50")
    quarantined.write_text(mended)

    assert replay_quarantine(state, state.data, DAY, quarantined) == 2
    start(sales, state.home).ingest_days()

    after = state.accepted_days()[DAY]
    assert after.facts["accepted"] == before.facts["accepted"] + 2
    assert after.facts["quarantined"] == count - 2
    assert after.identity != before.identity
    old = state.store.get(state.address("validated_data", DAY), before.identity)
    assert state.store.read_table(old, TYPED_ROWS).num_rows == before.facts["accepted"]


def test_rows_that_are_mended_later_join_those_that_were_mended_before(
    sales: Audit, state: AuditState, tmp_path: Path
) -> None:
    rows = tmp_path / "rows.csv"
    for wrong, right in (("P110, blue", "P110"), ("P134,3,n/a", "P134,3,12.50")):
        write_quarantine(state, state.data, DAY, rows)
        before = state.accepted_days()[DAY].facts["accepted"]
        rows.write_text(rows.read_text().replace(wrong, right))
        replay_quarantine(state, state.data, DAY, rows)
        start(sales, state.home).ingest_days()
        assert state.accepted_days()[DAY].facts["accepted"] == before + 1


def test_feeding_back_what_was_not_mended_is_refused(state: AuditState, tmp_path: Path) -> None:
    rows = tmp_path / "rows.csv"
    write_quarantine(state, state.data, DAY, rows)
    with pytest.raises(UsageError, match="no row differs"):
        replay_quarantine(state, state.data, DAY, rows)
    assert not state.source(state.data).mended(DAY).exists()


def test_feeding_back_a_line_that_is_not_in_quarantine_is_refused(
    state: AuditState, tmp_path: Path
) -> None:
    rows = tmp_path / "rows.csv"
    rows.write_text('line_number,text\n2,"anything"\n')
    with pytest.raises(UsageError, match="line 2 is not in the quarantine"):
        replay_quarantine(state, state.data, DAY, rows)


@pytest.mark.parametrize("day", ["2024-13-02", "2024-02-29", "yesterday"])
def test_a_day_that_the_audit_has_not_is_refused(state: AuditState, day: str) -> None:
    with pytest.raises(UsageError, match="no such day"):
        known_day(state, state.data, day)


def test_a_days_report_is_plain_text_in_the_ui(state: AuditState) -> None:
    key = dg.AssetKey(["sales", "data_quality_report"])
    with dg.DagsterInstance.get() as instance:
        event = instance.get_latest_materialization_event(key)
    assert event is not None
    assert event.asset_materialization is not None
    shown = str(event.asset_materialization.metadata["report"].value)
    blocks = MarkdownIt("commonmark").parse(shown)
    assert [block.type for block in blocks] == ["code_block"]
    day = event.asset_materialization.partition
    stored = state.store.read_bytes(state.require("data_quality_report", day), REPORT)
    assert blocks[0].content == stored.decode()


def test_dagster_tells_nobody_about_its_use(state: AuditState) -> None:
    assert state.home.dagster.is_dir()
    with dg.DagsterInstance.get() as instance:
        assert not instance.telemetry_enabled


@pytest.mark.parametrize(
    ("files", "landed", "keys"),
    [
        ("date={date}/part-0.csv", ["date=2024-02-28/part-0.csv"], ["2024-02-28"]),
        ("{year}/x-{month}.csv", ["2024/x-2024-02.csv", "2024/x-2024-03.csv"],
         ["2024-02-01", "2024-03-01"]),
        ("x-{year}.csv", ["x-2023.csv", "x-2024.csv"], ["2023-01-01", "2024-01-01"]),
    ],
)  # fmt: skip
def test_files_of_months_and_years_and_below_folders_are_taken_in_by_their_first_day(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, files: str, landed: list[str], keys: list[str]
) -> None:
    columns = {"n": {"type": "integer"}}
    first, last = (
        ("2023-02-15", "2024-12-31") if "year}.csv" in files else ("2024-02-15", "2024-03-20")
    )
    data = {
        "files": files,
        "first_day": first,
        "last_day": last,
        "id": {"row": "number"},
        "columns": columns,
    }
    audit = named_audit("plain", AuditSpec.model_validate({"data": data}))
    home = open_home(tmp_path / "home", monkeypatch)
    for name in landed:
        path = home.landing("plain") / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("n\n1\n1\n")
    summary = run(audit, home)
    assert {day.day: day.state for day in summary.days} == dict.fromkeys(keys, "accepted")
    assert (summary.faults, run(audit, home).days) == ([], summary.days)
    state = AuditState(audit, home)
    typed = state.store.read_table(state.accepted_days()[keys[0]], TYPED_ROWS)
    assert typed["row number"].to_pylist() == [f"{keys[0]}:2", f"{keys[0]}:3"]
