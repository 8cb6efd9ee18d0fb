"""Questions about lineage, asked of a whole audit: from the dashboard to the files' bytes."""

import hashlib
import json
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
import pytest

from evaluator import cli
from evaluator.errors import UsageError
from evaluator.evidence import FORMATS, Lineage, key_of
from evaluator.orchestration import AuditState, Home, Question, ask_lineage
from evaluator.spec import Audit
from evaluator_tests.orchestration.conftest import run, start

SLICE = "pacific|network"
DAY = "2013-11-02"


def ask(
    audit: Audit,
    home: Home,
    asset: str,
    partition: str | None = None,
    version: str | None = None,
    *,
    downstream: bool = False,
) -> Lineage:
    question = Question(asset, partition, version)
    return ask_lineage(audit, home, question, downstream=downstream, now=datetime.now(UTC))


def landed(home: Home, day: str = DAY) -> Path:
    return home.landing("flights") / f"flights-{day}.csv"


def spoil_a_row(home: Home) -> None:
    """Write a word into a day's file where a number belongs."""
    lines = landed(home).read_text().splitlines(keepends=True)
    place = lines[0].rstrip().split(",").index("distance")
    cells = lines[1].split(",")
    cells[place] = "far"
    lines[1] = ",".join(cells)
    landed(home).write_text("".join(lines))


def states(lineage: Lineage, asset: str) -> set[tuple[str, bool]]:
    keys = [key for key in lineage.walk.versions if key.asset == asset]
    return {(lineage.state(key), key in lineage.outdated) for key in keys}


def test_the_dashboard_is_followed_back_to_the_bytes_of_every_file(
    audit: Audit, finished_home: Home
) -> None:
    lineage = ask(audit, finished_home, "dashboard")
    assert lineage.problems == ()
    assert lineage.outdated == {}
    assert {lineage.state(key) for key in lineage.walk.versions} == {"current"}
    text = FORMATS["text"](lineage)
    for path in finished_home.landing("flights").glob("*.csv"):
        content = path.read_bytes()
        digest = hashlib.sha256(content).hexdigest()
        assert f"{path.name}, {len(content):,} bytes, SHA-256 {digest}" in text
    for candidate in audit.spec.candidates:
        digest = AuditState(audit, finished_home).model_digest(candidate)
        assert f"skops models/flights/{candidate.name}.skops, digest {digest}" in text


@pytest.mark.parametrize("form", ["json", "prov", "openlineage"])
def test_a_whole_audit_is_written_in_every_format(
    audit: Audit, finished_home: Home, form: str
) -> None:
    text = FORMATS[form](ask(audit, finished_home, "dashboard"))
    assert all(json.loads(line) for line in text.splitlines())
    digest = hashlib.sha256(landed(finished_home).read_bytes()).hexdigest()
    assert digest in text


def test_a_slice_tells_which_cases_came_from_which_file(audit: Audit, finished_home: Home) -> None:
    lineage = ask(audit, finished_home, "sturdy_slice_metrics", SLICE)
    (metrics,) = (lineage.walk.versions[root] for root in lineage.walk.roots)
    cases = [note.facts.get("cases_of_the_slice", 0) for note in lineage.notes.values()]
    assert sum(cases) == metrics.facts["cases"] > 0
    assert "cases of the slice" in FORMATS["text"](lineage)
    assert {key.partition for key in lineage.walk.versions if "|" in str(key.partition)} == {SLICE}


def test_rows_in_quarantine_are_told_with_their_reasons(audit: Audit, home: Home) -> None:
    spoil_a_row(home)
    start(audit, home).ingest_days()
    lineage = ask(audit, home, "validated_data")
    text = FORMATS["text"](lineage)
    assert f"{DAY}: " in text
    assert "1 in quarantine for distance: type (1)" in text
    told = {key.partition: note.facts for key, note in lineage.notes.items() if note.facts}
    assert told[DAY]["reasons"] == [{"column": "distance", "rule": "type", "count": 1}]
    assert told["2013-11-01"]["reasons"] == []


def test_what_rests_on_a_file_that_was_sent_again_is_outdated_until_it_is_made_anew(
    audit: Audit, finished_home: Home
) -> None:
    before = hashlib.sha256(landed(finished_home).read_bytes()).hexdigest()
    spoil_a_row(finished_home)
    start(audit, finished_home).ingest_days()
    lineage = ask(audit, finished_home, "dashboard")
    assert states(lineage, "evaluation_set") == {("current", True)}
    assert states(lineage, "sturdy_predictions") == {("current", True)}
    assert states(lineage, "certificate") == states(lineage, "dashboard") == {("current", True)}
    assert states(lineage, "sturdy_model") == {("current", False)}
    assert ("superseded", False) in states(lineage, "raw_data")
    resting = ask(audit, finished_home, "raw_data", version=before[:16], downstream=True)
    assert states(resting, "certificate") == {("current", True)}
    assert states(resting, "validated_data") == {("superseded", True)}
    anew = ask(audit, finished_home, "raw_data", DAY, downstream=True)
    assert states(anew, "certificate") == set()
    assert {key.asset for key in anew.walk.versions} == {
        "raw_data",
        "validated_data",
        "quarantined_rows",
        "data_quality_report",
    }
    run(audit, finished_home)
    assert ask(audit, finished_home, "dashboard").outdated == {}
    resting = ask(audit, finished_home, "raw_data", version=before[:16], downstream=True)
    assert states(resting, "certificate") == states(resting, "scorecard") == {("superseded", True)}


def test_what_rests_on_a_model_rests_on_no_other_one(audit: Audit, finished_home: Home) -> None:
    resting = ask(audit, finished_home, "frail_model", downstream=True)
    assets = {key.asset for key in resting.walk.versions}
    assert {"frail_predictions", "scorecard", "certificate", "dashboard"} <= assets
    assert "sturdy_predictions" not in assets


@pytest.mark.parametrize(
    ("settings", "asset", "fresh"),
    [
        ({"metrics": ("accuracy",)}, "sturdy_slice_metrics", "sturdy_predictions"),
        ({"confidence": 0.9}, "scorecard", "sturdy_predictions"),
        ({"description": "Another purpose."}, "certificate", "scorecard"),
    ],
)
def test_another_yaml_leaves_outdated_what_it_would_make_otherwise(
    audit: Audit, finished_home: Home, settings: dict[str, object], asset: str, fresh: str
) -> None:
    changed = Audit(audit.name, audit.spec.model_copy(update=settings))
    lineage = ask(changed, finished_home, "dashboard")
    assert states(lineage, asset) == {("current", True)}
    assert states(lineage, fresh) == {("current", False)}
    assert states(lineage, "dashboard") == {("current", True)}


def test_versions_are_named_by_the_beginning_of_identity_or_content(
    audit: Audit, finished_home: Home
) -> None:
    record = AuditState(audit, finished_home).require("raw_data", DAY)
    for name in (record.identity, record.identity[:8], record.content_version[:12]):
        assert ask(audit, finished_home, "raw_data", version=name).walk.roots == (key_of(record),)


@pytest.mark.parametrize(
    ("question", "words"),
    [
        (Question("dashbord"), "did you mean `dashboard`"),
        (Question("raw_data", "2013-11-20"), "did you mean `2013-11-0"),
        (Question("raw_data", "yesterday"), "name one of: 2013-11-01, 2013-11-02, 2013-11-03"),
        (Question("dashboard", "2013-11-01"), "leave the partition out"),
        (Question("raw_data", None, ""), "3 versions begin with ''"),
        (Question("raw_data", DAY, "xyz"), f"name one of: raw_data[{DAY}]"),
    ],
)
def test_a_question_that_names_nothing_is_answered_with_the_choices(
    audit: Audit, finished_home: Home, question: Question, words: str
) -> None:
    with pytest.raises(UsageError) as caught:
        ask_lineage(audit, finished_home, question, downstream=False, now=datetime.now(UTC))
    assert words in str(caught.value)


def test_of_an_audit_that_never_ran_nothing_is_known(audit: Audit, home: Home) -> None:
    with pytest.raises(UsageError, match="nothing is stored of this audit yet"):
        ask(audit, home, "dashboard")


@pytest.fixture
def call(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., tuple[int, str]]:
    """Call the command in this process."""

    def make(*arguments: str) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["evaluator", "lineage", "flights", *arguments])
        with pytest.raises(SystemExit) as caught:
            cli.main()
        told = capsys.readouterr()
        return int(caught.value.code or 0), told.out + told.err

    return make


def test_the_command_answers_and_its_exit_code_says_where_a_record_is_gone(
    audit: Audit, finished_home: Home, call: Callable[..., tuple[int, str]]
) -> None:
    code, out = call("raw_data", "--partition", DAY, "--downstream")
    assert code == 0
    assert "- dashboard " in out
    code, out = call("evaluation_set", "--format", "json")
    assert (code, json.loads(out)["format"]) == (0, "evaluator/lineage/1")
    code, out = call("evaluation_set", "--format", "xml")
    assert code == 2
    assert "text, json, prov, openlineage" in out
    state = AuditState(audit, finished_home)
    frozen = state.require("evaluation_set")
    day = next(u for u in frozen.upstream if u.partition == DAY)
    rested_on = state.store.get(state.address(day.asset, day.partition), day.identity)
    Path(state.store.location(rested_on, "record.json")).unlink()
    (finished_home.root / "evidence/flights/validated_data" / DAY / "current.json").unlink()
    code, out = call("evaluation_set")
    assert code == 3
    assert f"PROBLEM: {key_of(day)} is rested on, and its record is not there any more" in out


def test_each_slice_in_dagster_says_what_it_rests_on(audit: Audit, finished_home: Home) -> None:
    record = AuditState(audit, finished_home).require("sturdy_slice_metrics", SLICE)
    key = dg.AssetKey(["flights", "sturdy_slice_metrics"])
    with dg.DagsterInstance.get() as instance:
        found = instance.fetch_materializations(
            dg.AssetRecordsFilter(key, asset_partitions=[SLICE]), limit=1
        )
    (event,) = found.records
    assert event.asset_materialization is not None
    told = event.asset_materialization.metadata["rests on"].value
    assert told == str(key_of(record.upstream[0]))
