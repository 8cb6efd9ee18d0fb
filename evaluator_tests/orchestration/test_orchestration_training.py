"""What candidates say that they were trained on, from their files to a certificate."""

import json
import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dagster as dg
import pandas as pd
import pytest

from evaluator.certification import export_bundle, model_card_name, secret_in, verify_bundle
from evaluator.evidence import digest_of_file
from evaluator.orchestration import (
    AuditState,
    Choice,
    Home,
    exit_code,
    format_findings,
    page_of,
    statement_name,
    stored_findings,
)
from evaluator.orchestration._facts import EvaluationSetFacts, ScorecardFacts
from evaluator.scorecard import CASES, SEEN_IN_TRAINING
from evaluator.spec import Audit
from evaluator_tests.orchestration.conftest import open_home, run
from evaluator_tests.orchestration.test_orchestration_labels import (
    DAYS,
    facts_of,
    land_cases,
    shop,
    verified,
    world,
)

NOBODY = (
    "may have seen the cases in training: nobody checked, since the audit does not say what it was"
    " trained on"
)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    """A home in which labelled cases have arrived, and what a candidate was trained on."""
    made = open_home(tmp_path / "home", monkeypatch)
    land_cases(made, with_labels=True)
    (made.root / "training").mkdir()
    return made


def trained(training: Any, **settings: Any) -> Audit:
    """Declare the shop, its candidate with what it was trained on."""
    said = {"name": "said", "kind": "recorded", "path": "said.csv", "id": "id", "score": "score"}
    return shop(late=False, candidates=[{**said, "training": training}], **settings)


def train_on(home: Home, frame: pd.DataFrame, name: str = "rows.csv") -> None:
    frame[["case", "place", "amount"]].to_csv(home.root / "training" / name, index=False)


def predicate_of(audit: Audit, home: Home) -> dict[str, Any]:
    report = verified(audit, home)
    assert report.problems == ()
    predicate: dict[str, Any] = report.statement.predicate.model_dump(mode="json")
    return predicate


def ids_in_set(audit: Audit, home: Home) -> set[str]:
    state = AuditState(audit, home)
    table = state.store.read_table(state.require("evaluation_set"), CASES, columns=["id"])
    return {*table["id"].to_pylist()}


def remarks_of(audit: Audit, home: Home) -> tuple[str, ...]:
    return tuple(ScorecardFacts.of(AuditState(audit, home).require("scorecard")).remarks)


def test_without_training_certificate_page_and_card_say_that_nobody_checked(home: Home) -> None:
    audit = trained(None)
    summary = run(audit, home)
    assert exit_code(audit, Choice(), summary) == 0
    said = predicate_of(audit, home)["training"]
    assert said == {"says": NOBODY, "looked_for": [], "seen": None, "left_out": None}
    state = AuditState(audit, home)
    page = page_of(state).content.decode()
    card = state.store.read_bytes(
        state.require("documents"), f"{model_card_name('said')}.md"
    ).decode()
    assert f"It {NOBODY}." in page
    assert f"It {NOBODY}." in card.replace("\\", "")
    assert f"training    it {NOBODY}" in "\n".join(verified(audit, home).to_lines())
    assert SEEN_IN_TRAINING not in state.require("evaluation_set").files


def test_a_candidate_that_saw_cases_is_refused_with_counts_and_examples(home: Home) -> None:
    train_on(home, world().iloc[:12])
    audit = trained({"files": "training/*.csv"})
    summary = run(audit, home)
    assert summary.faults == []
    assert exit_code(audit, Choice(), summary) == 1
    predicate = predicate_of(audit, home)
    says = "saw 12 of 180 cases in training (12 by id, 12 by their values)"
    assert predicate["training"] == {
        "says": says,
        "looked_for": ["id", "content"],
        "seen": 12,
        "left_out": 0,
    }
    assert predicate["candidate"]["outcome"] == "not certified"
    assert "no case seen in training" in predicate["candidate"]["reason"]
    assert f"said {says}, such as c10, c7, c8, c9, c0" in remarks_of(audit, home)
    shown = "\n".join(format_findings(stored_findings(AuditState(audit, home))))
    assert "the share of cases seen in training is 0.067 (12 of 180 cases), above 0" in shown
    assert len(ids_in_set(audit, home)) == 180


def test_cases_that_were_seen_are_left_out_and_the_rest_is_certified(home: Home) -> None:
    train_on(home, world().iloc[:12])
    audit = trained({"files": "training/rows.csv", "seen": "leave_out"})
    summary = run(audit, home)
    assert exit_code(audit, Choice(), summary) == 0
    predicate = predicate_of(audit, home)
    assert predicate["training"]["says"] == (
        "saw 12 of 180 cases in training (12 by id, 12 by their values), which are left out"
    )
    assert (predicate["training"]["seen"], predicate["training"]["left_out"]) == (12, 12)
    assert predicate["evaluation_set"]["rows"] == 168
    assert predicate["evaluation_set"]["rows_seen_in_training"] == 12
    assert ids_in_set(audit, home).isdisjoint(f"c{number}" for number in range(12))
    state = AuditState(audit, home)
    page = page_of(state).content.decode()
    assert "12 more that a candidate saw in training are left out" in page
    # The same once more is no other set, and nothing is computed.
    again = run(audit, home)
    assert (again.computed, again.reused) == (0, len(audit.spec.slices()))


@pytest.mark.slow
def test_dagster_shows_what_was_seen_as_text(home: Home) -> None:
    train_on(home, world().iloc[:12], "<b>rows.csv")
    audit = trained({"files": ["training/<b>rows.csv", "training/<i>gone.csv"]})
    run(audit, home)
    with dg.DagsterInstance.get() as instance:
        event = instance.get_latest_materialization_event(dg.AssetKey(["shop", "evaluation_set"]))
    assert event is not None
    assert event.asset_materialization is not None
    metadata = event.asset_materialization.metadata
    assert "gone.csv: there is no such file" in str(metadata["seen in training"].value)
    assert "<i>" not in str(metadata["seen in training"].value)
    assert metadata["rows seen in training, left out"].value == 0


def test_told_alone_it_decides_nothing(home: Home) -> None:
    train_on(home, world().iloc[:12])
    audit = trained({"files": "training/rows.csv", "seen": "tell"})
    summary = run(audit, home)
    assert exit_code(audit, Choice(), summary) == 0
    predicate = predicate_of(audit, home)
    assert predicate["training"]["seen"] == 12
    assert len(predicate["gates"]) == 1
    assert any("said saw 12 of 180" in remark for remark in remarks_of(audit, home))


@pytest.mark.slow
def test_a_last_day_and_the_digest_of_a_days_file_find_its_cases(home: Home) -> None:
    by_day = trained({"last_day": DAYS[0]})
    run(by_day, home)
    assert predicate_of(by_day, home)["training"]["says"] == (
        "saw 60 of 180 cases in training (60 by their day)"
    )
    digest = digest_of_file(home.landing("shop") / f"cases-{DAYS[1]}.csv")
    by_file = trained({"digests": [digest], "seen": "leave_out"})
    run(by_file, home)
    assert predicate_of(by_file, home)["training"]["says"] == (
        "saw 60 of 180 cases in training (60 by their file), which are left out"
    )
    assert facts_of(AuditState(by_file, home)).cases == 120


@pytest.mark.slow
def test_files_that_are_not_there_leave_it_undecided_until_they_come(home: Home) -> None:
    audit = trained({"files": "training/rows.csv", "seen": "leave_out"})
    summary = run(audit, home)
    assert (summary.faults, exit_code(audit, Choice(), summary)) == ([], 1)
    predicate = predicate_of(audit, home)
    assert predicate["candidate"]["outcome"] == "undecided"
    assert predicate["training"]["says"].endswith(
        "training/rows.csv: there is no such file, or nobody may read it"
    )
    train_on(home, world().iloc[:5].assign(case="z"), "rows.csv")
    assert exit_code(audit, Choice(), run(audit, home)) == 0
    predicate = predicate_of(audit, home)
    assert predicate["training"]["seen"] == 5
    # What it was trained on is another file by now, and so is the set.
    train_on(home, world().iloc[:7].assign(case="z"), "rows.csv")
    run(audit, home)
    assert predicate_of(audit, home)["training"]["seen"] == 7


def test_a_file_that_cannot_be_read_is_a_reason_and_other_candidates_go_on(home: Home) -> None:
    (home.root / "training" / "rows.parquet").write_bytes(b"no parquet")
    said = {"kind": "recorded", "path": "said.csv", "id": "id", "score": "score"}
    candidates = [
        {"name": "said", **said, "training": {"files": "training/rows.parquet"}},
        {"name": "other", **said},
    ]
    audit = shop(late=False, candidates=candidates)
    summary = run(audit, home)
    assert summary.faults == []
    assert summary.judged is not None
    outcomes = {one.candidate: one.outcome for one in summary.judged.outcomes}
    assert outcomes == {"said": "undecided", "other": "certified"}
    assert any("training/rows.parquet: " in remark for remark in remarks_of(audit, home))


@pytest.mark.slow
def test_what_is_refused_without_a_gate_ends_with_the_exit_code_of_no_certificate(
    home: Home,
) -> None:
    train_on(home, world().iloc[:12])
    refusing = trained({"files": "training/rows.csv"}, gates=[])
    assert exit_code(refusing, Choice(), run(refusing, home)) == 1
    assert predicate_of(refusing, home)["candidate"]["outcome"] == "not certified"
    leaving = trained({"files": "training/rows.csv", "seen": "leave_out"}, gates=[])
    assert exit_code(leaving, Choice(), run(leaving, home)) == 0
    # Not to have seen the answers certifies nobody.
    candidate = predicate_of(leaving, home)["candidate"]
    assert candidate["outcome"] == "undecided"
    assert candidate["reason"] == "the audit declares no gate but on what was seen in training"


@pytest.mark.slow
def test_days_that_come_later_are_looked_at_too(home: Home) -> None:
    last = home.landing("shop") / f"cases-{DAYS[2]}.csv"
    later = last.read_bytes()
    last.unlink()
    train_on(home, world().iloc[[0, 150]])
    audit = trained({"files": "training/rows.csv"})
    run(audit, home)
    assert predicate_of(audit, home)["training"]["seen"] == 1
    last.write_bytes(later)
    run(audit, home)
    assert predicate_of(audit, home)["training"]["seen"] == 2


def _other_count(state: AuditState) -> str:
    path = Path(state.store.location(state.require("evaluation_set"), SEEN_IN_TRAINING))
    frame = pd.read_parquet(path)
    frame.iloc[1:].to_parquet(path)
    return SEEN_IN_TRAINING


def _other_fact(state: AuditState) -> str:
    record = state.require("evaluation_set")
    path = Path(state.store.location(record, "record.json"))
    content = json.loads(path.read_text())
    content["facts"]["training"]["said"]["found"] = 0
    path.write_text(json.dumps(content))
    return "record.json"


@pytest.mark.slow
@pytest.mark.parametrize("tamper", [_other_count, _other_fact])
def test_tampered_findings_are_found_by_verify(
    home: Home, tamper: Callable[[AuditState], str]
) -> None:
    train_on(home, world().iloc[:12])
    audit = trained({"files": "training/rows.csv", "seen": "leave_out"})
    run(audit, home)
    assert verified(audit, home).problems == ()
    name = tamper(AuditState(audit, home))
    problems = verified(audit, home).problems
    assert any(name in problem.file for problem in problems)


@pytest.mark.slow
def test_a_redacted_export_names_no_case_that_was_seen(home: Home, tmp_path: Path) -> None:
    frame = world()
    frame.loc[0, "case"] = "zz-4711-zz"
    shutil.rmtree(home.landing("shop"))
    for day, part in frame.groupby("day"):
        path = home.landing("shop") / f"cases-{day}.csv"
        path.parent.mkdir(parents=True, exist_ok=True)
        part[["case", "place", "amount", "paid"]].to_csv(path, index=False)
    frame[["case", "score"]].rename(columns={"case": "id"}).to_csv(
        home.root / "said.csv", index=False
    )
    train_on(home, frame.iloc[:3])
    audit = trained({"files": "training/rows.csv"}, certificate={"redact": ["case"]})
    assert run(audit, home).faults == []
    state = AuditState(audit, home)
    assert EvaluationSetFacts.of(state.require("evaluation_set")).training["said"].found == 3
    now = datetime.now(UTC)
    bundle = export_bundle(
        state.store.read_bytes(state.require("certificate"), statement_name("said")),
        state.store.url,
        tmp_path / "bundle",
        trusted=None,
        key=None,
        secret=secret_in(home.root),
        redact=["case"],
        now=now,
    )
    withheld = json.loads((bundle / "redaction.json").read_text())["withheld"]
    assert any(SEEN_IN_TRAINING in path for path in withheld)
    files = [path for path in bundle.rglob("*") if path.is_file()]
    assert not [path for path in files if b"zz-4711-zz" in path.read_bytes()]
    assert verify_bundle(bundle, trusted=None, now=now).problems == ()
