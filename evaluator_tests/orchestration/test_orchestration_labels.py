"""Labels that come later, in files of their own: from their arrival to a certificate."""

import csv
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dagster as dg
import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from evaluator.certification import (
    export_bundle,
    model_card_name,
    secret_in,
    verify,
    verify_bundle,
)
from evaluator.cli import app
from evaluator.evidence import Lineage
from evaluator.orchestration import (
    AuditState,
    Choice,
    Home,
    Question,
    RunSummary,
    ask_lineage,
    audit_definitions,
    exit_code,
    find_prunable,
    format_run_summary,
    page_of,
    replay_quarantine,
    statement_name,
    write_quarantine,
)
from evaluator.orchestration._arrivals import landing_sensor
from evaluator.orchestration._evaluation_set import label_notes_of, withholding_days
from evaluator.orchestration._facts import EvaluationSetFacts
from evaluator.scorecard import CASES, LABELLED_BY_AGE, LABELS_INTAKE
from evaluator.spec import Audit, AuditSpec, named_audit
from evaluator_tests.orchestration.conftest import open_home, run, start
from evaluator_tests.orchestration.test_orchestration_arrivals import Watch, clock  # noqa: F401 - a fixture
from evaluator_tests.orchestration.test_orchestration_certificates import (
    class_of,
    documented_files,
    flipped,
)

DAYS = ("2024-01-05", "2024-01-06", "2024-02-01")
CASES_A_DAY = 60
LABELS = {
    "files": "labels-{date}.csv",
    "first_day": "2024-01-05",
    "last_day": "2024-12-31",
    "id": "order",
    "column": "paid",
    "max_refused_share": 0.5,
    "columns": {
        "order": {"type": "string"},
        "paid": {"type": "integer", "allowed": [0, 1], "required": True},
    },
}
DATA = {
    "files": "cases-{date}.csv",
    "first_day": "2024-01-05",
    "last_day": "2024-12-31",
    "id": "case",
    "columns": {
        "case": {"type": "string"},
        "place": {"type": "category", "allowed": ["north", "south"], "required": True},
        "amount": {"type": "float"},
    },
}


def shop(*, late: bool = True, data: Any = None, labels: Any = None, **settings: Any) -> Audit:
    """Declare an audit of a recording, its labels in files of their own or beside their cases."""
    declared = {**DATA, **(data or {})}
    if not late:
        declared["columns"] = {**DATA["columns"], "paid": LABELS["columns"]["paid"]}  # type: ignore[dict-item] # both are maps
        declared["columns"]["paid"] = {"type": "integer", "allowed": [0, 1]}
    attributes = {
        "data": declared,
        **({"labels": {**LABELS, **(labels or {})}} if late else {}),
        "label": {"column": "paid", "positive": 1},
        "geography": "place",
        "candidates": [
            {"name": "said", "kind": "recorded", "path": "said.csv", "id": "id", "score": "score"}
        ],
        "metrics": ["accuracy", "roc_auc", "brier"],
        "gates": [{"metric": "accuracy", "at_least": 0.1}],
        **settings,
    }
    return named_audit("shop", AuditSpec.model_validate(attributes))


def world() -> pd.DataFrame:
    """Make cases of three days with the truth about each."""
    generator = np.random.default_rng(7)
    count = len(DAYS) * CASES_A_DAY
    return pd.DataFrame(
        {
            "day": np.repeat(DAYS, CASES_A_DAY),
            "case": [f"c{number}" for number in range(count)],
            "place": generator.choice(["north", "south"], count),
            "amount": generator.normal(size=count).round(3),
            "paid": generator.integers(0, 2, count),
            "score": generator.random(count).round(3),
        }
    )


def land(home: Home, name: str, frame: pd.DataFrame) -> Path:
    path = home.landing("shop") / name
    path.parent.mkdir(parents=True, exist_ok=True)
    frame.to_csv(path, index=False)
    return path


def land_labels(home: Home, day: str, frame: pd.DataFrame) -> Path:
    named = frame[["case", "paid"]].rename(columns={"case": "order"})
    return land(home, f"labels-{day}.csv", named)


def land_cases(home: Home, *, with_labels: bool = False) -> None:
    columns = ["case", "place", "amount", *(["paid"] if with_labels else [])]
    for day, frame in world().groupby("day"):
        land(home, f"cases-{day}.csv", frame[columns])
    recorded = world()[["case", "score"]].rename(columns={"case": "id"})
    recorded.to_csv(home.root / "said.csv", index=False)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    """A home in which cases have arrived, and no label yet."""
    made = open_home(tmp_path / "home", monkeypatch)
    land_cases(made)
    return made


def facts_of(state: AuditState) -> EvaluationSetFacts:
    return EvaluationSetFacts.of(state.require("evaluation_set"))


def told(audit: Audit, home: Home, summary: RunSummary) -> str:
    """Give the run's last words, however they are wrapped."""
    return " ".join("\n".join(format_run_summary(AuditState(audit, home), summary)).split())


def verified(audit: Audit, home: Home) -> Any:
    state = AuditState(audit, home)
    certificate = state.require("certificate")
    content = state.store.read_bytes(certificate, statement_name("said"))
    return verify(content, state.store.url, now=datetime.now(UTC))


def test_an_audit_with_late_labels_is_figure_for_figure_the_one_whose_files_held_them(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    audit = shop()
    truth = world()
    # In whatever order they come, and long after their cases.
    land_labels(home, "2024-03-01", truth.iloc[100:])
    land_labels(home, "2024-03-02", truth.iloc[:100].iloc[::-1])
    late = run(audit, home)
    assert late.faults == []
    assert [d.state for d in late.label_days] == ["accepted", "accepted"]
    assert verified(audit, home).problems == ()
    state = AuditState(audit, home)
    of_late = state.store.read_table(state.require("evaluation_set"), CASES).to_pandas()
    assert label_notes_of(state, state.require("evaluation_set")) == [
        "180 of 180 cases have a label (100.0%)."
    ]
    page = page_of(state).content.decode()
    assert "180 of 180 cases have a label (100.0%)." in page
    assert "Cases with a label, by the days" in page

    other = open_home(tmp_path / "other", monkeypatch)
    land_cases(other, with_labels=True)
    beside = run(shop(late=False), other)
    assert late.judged is not None
    assert beside.judged is not None
    pd.testing.assert_frame_equal(
        late.judged.scorecard.measurements, beside.judged.scorecard.measurements
    )
    assert late.judged.verdicts == beside.judged.verdicts
    assert late.judged.outcomes == beside.judged.outcomes
    in_one = AuditState(shop(late=False), other)
    of_one = in_one.store.read_table(in_one.require("evaluation_set"), CASES).to_pandas()
    pd.testing.assert_frame_equal(of_late[of_one.columns], of_one)
    for asset in ("raw_labels", "validated_labels", "quarantined_labels", "labels_quality_report"):
        assert [*in_one.store.partitions("shop", asset)] == []


def test_without_any_label_a_run_says_where_they_are_looked_for_and_certifies_nothing(
    home: Home,
) -> None:
    audit = shop()
    summary = run(audit, home)
    assert summary.faults == []
    assert summary.judged is None
    assert exit_code(audit, Choice(), summary) == 1
    lines = told(audit, home, summary)
    assert "no label has come for any case yet" in lines
    assert f"no file has arrived in {home.landing('shop')}" in lines
    assert "put files called labels-{date}.csv there, from 2024-01-05 on" in lines
    assert "materialise" not in lines
    # Cases that are all too young wait as well.
    land_labels(home, "2024-02-02", world())
    young = shop(labels={"mature_after": 30})
    summary = run(young, home)
    assert (summary.faults, exit_code(young, Choice(), summary)) == ([], 1)
    assert "no case is 30 days old on 2024-02-02, the newest accepted day" in told(
        young, home, summary
    )


def test_without_any_label_the_asset_says_what_it_waits_for(home: Home) -> None:
    audit = shop()
    start(audit, home).ingest_days()
    # In Dagster's UI the same words stand where the set is asked for.
    defs = audit_definitions(audit)
    with dg.DagsterInstance.get() as instance:
        asked = dg.materialize(
            [*defs.resolve_asset_graph().assets_defs],
            instance=instance,
            selection=dg.AssetSelection.assets(dg.AssetKey(["shop", "evaluation_set"])),
            raise_on_error=False,
        )
    [failure] = [e for e in asked.all_events if e.is_step_failure]
    assert "no label has come for any case yet" in str(failure.event_specific_data)


def test_labels_that_are_all_refused_are_no_labels_and_the_report_is_named(home: Home) -> None:
    audit = shop()
    land_labels(home, "2024-03-01", world().assign(paid=7))
    summary = run(audit, home)
    assert [d.state for d in summary.label_days] == ["refused"]
    lines = told(audit, home, summary)
    assert "0 of 1 days of labels accepted, 180 rows" not in lines
    assert "0 of 1 days of labels accepted, 0 rows; 180 rows in quarantine." in lines
    assert "mend the refused files, or the audit's `labels:`; `evaluator run shop --retry`" in lines
    assert "1 days of labels have come, and none is accepted" in lines
    assert "read labels_quality_report and quarantined_labels of 2024-03-01" in lines


def test_labels_that_come_later_make_another_evaluation_set_and_equal_ones_do_not(
    home: Home,
) -> None:
    audit = shop(labels={"mature_after": 30})
    truth = world()
    land_labels(home, "2024-02-04", truth.iloc[:40])
    first = run(audit, home)
    assert first.faults == []
    state = AuditState(audit, home)
    before = state.require("evaluation_set")
    facts = facts_of(state)
    assert facts.labels is not None
    assert facts.labels.newest_day == "2024-02-04"
    assert facts.labels.too_young == 120
    assert facts.labels.mature == 60
    assert facts.cases == 40
    assert "younger than 30 days on 2024-02-04" in told(audit, home, first)
    [remark] = [r for r in state.require("scorecard").facts["remarks"] if "minimum_share" in r]
    assert "40 of 60 cases that are old enough have a label (66.7%)" in remark
    assert run(audit, home).computed == 0

    land_labels(home, "2024-03-05", truth.iloc[40:])
    second = run(audit, home)
    assert second.faults == []
    after = AuditState(audit, home).require("evaluation_set")
    assert after.identity != before.identity
    assert facts_of(AuditState(audit, home)).cases == 180
    assert verified(audit, home).problems == ()
    assert state.store.get(state.address("evaluation_set"), before.identity) == before


def test_of_equal_cases_another_share_with_labels_is_another_scorecard_and_verdict(
    home: Home,
) -> None:
    gates = [{"kind": "labelled", "at_least": 0.5}, {"metric": "accuracy", "at_least": 0.1}]
    audit = shop(labels={"mature_after": 30}, gates=gates)
    truth = world()
    land_labels(home, "2024-02-04", truth.iloc[:50])
    first = run(audit, home)
    assert first.judged is not None
    verdicts = {v.gate: v for v in first.judged.verdicts}
    [labelled] = [v for v in first.judged.verdicts if "a label for" in v.gate]
    assert labelled.verdict == "PASS", labelled.reason
    assert len(verdicts) == 2
    state = AuditState(audit, home)
    cases = state.require("evaluation_set").content_version
    # More cases grow old, and none of them has a label: the cases stay, and their share does not.
    land_labels(home, "2024-03-05", pd.DataFrame({"case": ["nobody"], "paid": [1]}))
    second = run(audit, home)
    assert AuditState(audit, home).require("evaluation_set").content_version == cases
    assert second.judged is not None
    [labelled] = [v for v in second.judged.verdicts if "a label for" in v.gate]
    assert labelled.verdict == "FAIL"
    assert labelled.reason == (
        "the share of cases with a label is 0.278 (50 of 180 cases), below 0.5"
    )
    assert second.computed == 0
    assert second.judged.record.identity != first.judged.record.identity
    assert "Labels of 1 id, such as 'nobody', belong to no case." in told(audit, home, second)
    assert verified(audit, home).problems == ()


@pytest.mark.parametrize("conflicts", ["refuse", "latest"])
def test_labels_that_contradict_each_other_are_told_wherever_the_set_is(
    home: Home, conflicts: str
) -> None:
    audit = shop(labels={"conflicts": conflicts})
    truth = world()
    land_labels(home, "2024-03-01", truth)
    turned = truth.iloc[:3].assign(paid=1 - truth["paid"])
    land_labels(home, "2024-03-02", pd.concat([turned, truth.iloc[3:5]]))
    summary = run(audit, home)
    facts = facts_of(AuditState(audit, home))
    assert facts.labels is not None
    assert (facts.labels.conflicting, facts.labels.repeated) == (3, 2)
    assert (facts.cases, facts.without_label) == ((180, 0) if conflicts == "latest" else (177, 3))
    lines = told(audit, home, summary)
    assert "3 ids, such as 'c0', 'c1', 'c2', have labels that contradict each other" in lines
    assert "2 ids, such as 'c3', 'c4', have the same label in several files" in lines
    state = AuditState(audit, home)
    card = f"{model_card_name('said')}.md"
    text = state.store.read_bytes(state.require("documents"), card).decode()
    assert "have labels that contradict each other" in text.replace("\n", " ")


def test_refused_labels_are_mended_and_replayed_like_rows_of_data(
    home: Home, tmp_path: Path
) -> None:
    audit = shop()
    truth = world()
    spoiled = truth.assign(paid=truth["paid"].astype(str))
    spoiled.loc[0, "paid"] = "maybe"
    path = land_labels(home, "2024-03-01", spoiled)
    run(audit, home)
    state = AuditState(audit, home)
    assert state.labels is not None
    assert facts_of(state).cases == 179
    report = state.store.read_bytes(
        state.require("labels_quality_report", "2024-03-01"), "report.txt"
    )
    assert b"evaluator replay shop --labels 2024-03-01 --quarantine rows.csv" in report
    rows = tmp_path / "rows.csv"
    assert write_quarantine(state, state.labels, "2024-03-01", rows) == 1
    with rows.open() as file:
        assert [row["text"] for row in csv.DictReader(file)] == ["c0,maybe"]
    rows.write_text(rows.read_text().replace("maybe", str(truth["paid"][0])))
    assert replay_quarantine(state, state.labels, "2024-03-01", rows) == 1
    assert path.with_name("labels-2024-03-01.csv.labels.mended.csv").is_file()
    run(audit, home)
    assert facts_of(AuditState(audit, home)).cases == 180


def test_the_command_replays_labels_where_it_is_told_so(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    audit = shop()
    spoiled = world().assign(paid=lambda frame: frame["paid"].astype(str))
    spoiled.loc[0, "paid"] = "maybe"
    path = land_labels(home, "2024-03-01", spoiled)
    start(audit, home).ingest_days()
    monkeypatch.setattr("evaluator.cli._audits._load", lambda _: audit)
    rows = tmp_path / "rows.csv"
    command = ["replay", "shop", "2024-03-01", "--labels"]
    answer = CliRunner().invoke(app, [*command, "--quarantine", str(rows)])
    assert "1 refused rows of 2024-03-01" in answer.output
    rows.write_text(rows.read_text().replace("maybe", "1"))
    answer = CliRunner().invoke(app, [*command, "--mended", str(rows)])
    assert answer.exit_code == 0, answer.output
    assert "ACCEPTED" in answer.output.upper()
    answer = CliRunner().invoke(app, ["validate", "shop", str(path), "--labels"])
    assert "180" in answer.output
    monkeypatch.setattr("evaluator.cli._audits._load", lambda _: shop(late=False))
    answer = CliRunner().invoke(app, [*command, "--quarantine", str(rows)])
    assert "no labels in files of their own" in str(answer.exception)


def test_a_sensor_of_its_own_takes_labels_in_when_they_arrive(home: Home) -> None:
    audit = shop()
    state = AuditState(audit, home)
    assert state.labels is not None
    sensors = [landing_sensor(audit, stream) for stream in state.streams]
    assert [sensor.name for sensor in sensors] == ["shop_landing", "shop_labels_landing"]
    watch = Watch(sensors[1])
    assert [watch.look(), watch.look()] == [[], []]
    land_labels(home, "2024-03-01", world())
    assert [watch.look() for _ in range(3)] == [[], ["2024-03-01"], []]


def test_lineage_leads_from_a_figure_to_the_labels_bytes_and_back(home: Home) -> None:
    audit = shop()
    land_labels(home, "2024-03-01", world())
    run(audit, home)

    def asked(asset: str, *, downstream: bool = False) -> Lineage:
        now = datetime.now(UTC)
        return ask_lineage(audit, home, Question(asset), downstream=downstream, now=now)

    above = {key.asset for key in asked("scorecard").walk.versions}
    assert {"raw_labels", "validated_labels", "quarantined_labels", "raw_data"} <= above
    below = {key.asset for key in asked("raw_labels", downstream=True).walk.versions}
    assert {"evaluation_set", "certificate", "dashboard", "said_predictions"} <= below
    assert asked("scorecard").outdated == {}
    notes = [note.text for key, note in asked("scorecard").notes.items() if "labels" in key.asset]
    assert any("180 accepted" in line for lines in notes for line in lines)
    assert find_prunable(audit, home).is_empty
    # Whoever reads labels otherwise now has them taken in anew.
    changed = shop(labels={"missing_values": ["", "?"]})
    now = datetime.now(UTC)
    found = ask_lineage(
        changed, home, Question("validated_labels"), downstream=False, now=now
    ).outdated
    assert len(found) >= 1


def test_settings_of_how_labels_are_joined_take_no_file_in_anew(home: Home) -> None:
    truth = world()
    land_labels(home, "2024-03-01", truth)
    run(shop(), home)
    before = AuditState(shop(), home).require("validated_labels", "2024-03-01")
    other = shop(labels={"mature_after": 10, "conflicts": "latest", "minimum_share": 0.5})
    summary = run(other, home)
    state = AuditState(other, home)
    assert state.require("validated_labels", "2024-03-01") == before
    assert facts_of(state).cases == 180
    assert summary.faults == []


def test_tampered_counts_of_labels_are_found_by_verify(home: Home) -> None:
    audit = shop()
    land_labels(home, "2024-03-01", world().iloc[:150])
    run(audit, home)
    state = AuditState(audit, home)
    record = state.require("evaluation_set")
    path = Path(state.store.location(record, LABELLED_BY_AGE))
    frame = pd.read_parquet(path)
    frame["labelled"] = frame["cases"]
    frame.to_parquet(path)
    problems = verified(audit, home).problems
    assert any(LABELLED_BY_AGE in problem.file for problem in problems)


def test_every_class_of_file_of_labels_is_found_by_what_the_documentation_says(
    home: Home,
) -> None:
    audit = shop()
    land_labels(home, "2024-03-01", world())
    run(audit, home)
    folder = home.root / "evidence" / "shop"
    classes = documented_files("file, below the audit's folder")
    names = sorted(LABELS_INTAKE)
    assert verified(audit, home).problems == ()
    files = sorted(one for name in names for one in (folder / name).rglob("*.*"))
    assert {one.relative_to(folder).parts[0] for one in files} == set(names)
    for path in files:
        was = flipped(path)
        problems = {problem.check for problem in verified(audit, home).problems}
        assert problems == class_of(path.relative_to(folder).as_posix(), classes).finds, path
        path.write_bytes(was)


def test_a_redacted_export_withholds_labels_and_names_no_id(home: Home, tmp_path: Path) -> None:
    gates = [{"kind": "labelled", "at_least": 0.5}]
    audit = shop(gates=gates, certificate={"redact": ["case"]})
    odd = pd.DataFrame({"case": ["c0", "zz-4711-zz"], "paid": [1 - world()["paid"][0], 1]})
    land_labels(home, "2024-03-01", world())
    land_labels(home, "2024-03-02", odd)
    summary = run(audit, home)
    assert summary.faults == []
    state = AuditState(audit, home)
    notes = label_notes_of(state, state.require("evaluation_set"))
    assert "Labels of 1 id belong to no case." in notes
    content = state.store.read_bytes(state.require("certificate"), statement_name("said"))
    now = datetime.now(UTC)
    bundle = export_bundle(
        content,
        state.store.url,
        tmp_path / "bundle",
        trusted=None,
        key=None,
        secret=secret_in(home.root),
        redact=["case"],
        now=now,
    )
    withheld = json.loads((bundle / "redaction.json").read_text())["withheld"]
    kinds = {path.split("/")[1] for path in withheld}
    assert {
        "raw_labels",
        "validated_labels",
        "quarantined_labels",
        "labels_quality_report",
    } <= kinds
    assert any(LABELLED_BY_AGE in path for path in withheld)
    files = [path for path in bundle.rglob("*") if path.is_file()]
    assert not [path for path in files if b"zz-4711-zz" in path.read_bytes()]
    assert verify_bundle(bundle, trusted=None, now=now).problems == ()


def test_a_day_of_labels_that_no_file_is_at_fault_for_withholds_the_set(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    audit = shop()
    land_labels(home, "2024-03-01", world())
    with monkeypatch.context() as patch:
        state = AuditState(audit, home)

        def full(*_: Any, **__: Any) -> None:
            raise OSError(28, "No space left on device")

        patch.setattr("evaluator.orchestration._days.replay", full)
        patch.setattr("evaluator.orchestration._days.ingest", full)
        summary = run(audit, home)
    assert any("Intake of labels, 2024-03-01" in fault for fault in summary.faults)
    assert "2024-03-01 (labels)" in withholding_days(state)
    assert run(audit, home).faults == []


def test_the_graph_has_assets_of_labels_with_days_of_their_own_only_where_they_are_declared() -> (
    None
):
    def names(audit: Audit) -> set[str]:
        graph = audit_definitions(audit).resolve_asset_graph()
        return {key.path[-1] for key in graph.get_all_asset_keys()}

    of_labels = {"raw_labels", "validated_labels", "quarantined_labels", "labels_quality_report"}
    late = shop(data={"first_day": "2024-02-01"})
    assert of_labels <= names(late)
    assert names(late) - of_labels == names(shop(late=False))
    graph = audit_definitions(late).resolve_asset_graph()
    node = graph.get(dg.AssetKey(["shop", "evaluation_set"]))
    parents = {key.path[-1] for key in node.parent_keys}
    assert parents == {"validated_data", "validated_labels"}
    starts = [
        graph.get(dg.AssetKey(["shop", name])).partitions_def.start.date().isoformat()  # type: ignore[union-attr] # both have days
        for name in ("raw_data", "raw_labels")
    ]
    assert starts == ["2024-02-01", "2024-01-05"]
    assert json.dumps(late.spec.what_counts())
