"""What rests on what is told exactly, and what is outdated, superseded or gone is said."""

import json
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings, strategies as st
from prov.model import ProvDocument

from evaluator.evidence import (
    FORMATS,
    RECORD,
    Address,
    EvidenceStore,
    Files,
    Lineage,
    Note,
    Record,
    RunContext,
    VersionKey,
    digest_of,
    judge_lineage,
    key_of,
    rests_on,
    walk_downstream,
    walk_upstream,
)

NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)
RUN = "6d0f2889-b98b-442d-8cc5-b4885e56ee20"
DAYS = ("2026-01-01", "2026-01-02")
SLICES = ("north|new", "north|old", "south|new")
BESIDE = {"validated_data": ("quarantined_rows",)}


class Shop:
    """An audit's evidence in a folder, written output by output."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.writer = EvidenceStore(str(folder))
        self.minutes = 0

    def write(
        self,
        asset: str,
        partition: str | None,
        content: str,
        *upstream: Record,
        identity: str | None = None,
        run: str = RUN,
    ) -> Record:
        self.minutes += 1
        made_of = [asset, partition, content, *(record.identity for record in upstream)]
        return self.writer.write(
            Address("shop", asset, partition),
            identity or digest_of(made_of)[:32],
            {"content.txt": content.encode()},
            content_version=digest_of(content),
            upstream=[record.as_upstream() for record in upstream],
            facts={},
            code_version="1",
            run_context=RunContext(run, NOON + timedelta(minutes=self.minutes)),
        )

    def day(self, day: str, content: str) -> Record:
        raw = self.write("raw_data", day, content)
        one_pass = digest_of([day, content])[:32]
        self.write("quarantined_rows", day, f"refused of {content}", raw, identity=one_pass)
        return self.write("validated_data", day, f"rows of {content}", raw, identity=one_pass)

    def evaluation(self, *days: Record) -> Record:
        """Make all from the evaluation set on, and return the dashboard."""
        frozen = self.write("evaluation_set", None, str([d.content_version for d in days]), *days)
        model = self.write("one_model", None, "model")
        made = [frozen]
        for key in SLICES:
            content = f"{frozen.content_version} {key}"
            predictions = self.write("one_predictions", key, content, frozen, model)
            made += [predictions, self.write("one_slice_metrics", key, content + "!", predictions)]
        scorecard = self.write("scorecard", None, frozen.content_version, *made)
        certificate = self.write("certificate", None, frozen.content_version + "?", scorecard)
        return self.write("dashboard", None, frozen.content_version, scorecard, certificate)

    def record_path(self, record: Record) -> Path:
        return Path(self.writer.location(record, "record.json"))

    def upstream(self, *roots: Record, **options: Any) -> Lineage:
        store = EvidenceStore(str(self.folder))
        walk = walk_upstream(store, "shop", roots, BESIDE)
        return self._judged(store, walk, **options)

    def downstream(self, *roots: Record) -> Lineage:
        store = EvidenceStore(str(self.folder))
        return self._judged(store, walk_downstream("shop", roots, store.all_versions("shop")))

    def _judged(self, store: EvidenceStore, walk: Any, **options: Any) -> Lineage:
        pointers = dict(store.current_versions("shop"))
        told = {"also_outdated": {}, "notes": {}, **options}
        return judge_lineage(store, walk, pointers, **told)


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop(tmp_path)


@pytest.fixture
def dashboard(shop: Shop) -> Record:
    return shop.evaluation(*(shop.day(day, f"file of {day}") for day in DAYS))


def found(lineage: Lineage) -> Counter[str]:
    return Counter(key.asset for key in lineage.walk.versions)


def named(lineage: Lineage, asset: str, state: str) -> int:
    return sum(k.asset == asset and lineage.state(k) == state for k in lineage.walk.versions)


def test_a_report_is_followed_back_to_the_files_of_its_days(shop: Shop, dashboard: Record) -> None:
    lineage = shop.upstream(dashboard)
    assert found(lineage) == {
        "dashboard": 1,
        "certificate": 1,
        "scorecard": 1,
        "evaluation_set": 1,
        "one_model": 1,
        "one_predictions": 3,
        "one_slice_metrics": 3,
        "validated_data": 2,
        "quarantined_rows": 2,
        "raw_data": 2,
    }
    assert lineage.current == set(lineage.walk.versions)
    assert lineage.outdated == {}
    assert lineage.problems == ()


def test_a_slice_rests_on_no_other_slice(shop: Shop, dashboard: Record) -> None:
    assert dashboard.asset == "dashboard"
    metrics = shop.writer.current(Address("shop", "one_slice_metrics", SLICES[1]))
    assert metrics is not None
    partitions = {
        key.partition for key in shop.upstream(metrics).walk.versions if "|" in str(key.partition)
    }
    assert partitions == {SLICES[1]}


def test_a_file_that_was_sent_again_leaves_what_rests_on_it_outdated(
    shop: Shop, dashboard: Record
) -> None:
    shop.day(DAYS[0], "corrected file")
    lineage = shop.upstream(dashboard)
    reasons = {key.asset: reasons for key, reasons in lineage.outdated.items()}
    assert "rests on validated_data[2026-01-01]" in reasons["evaluation_set"][0]
    assert "is current now" in reasons["evaluation_set"][0]
    assert reasons["dashboard"] == (
        "it rests on scorecard, which is outdated",
        "it rests on certificate, which is outdated",
    )
    assert named(lineage, "raw_data", "superseded") == 1
    assert named(lineage, "raw_data", "current") == 1
    assert named(lineage, "dashboard", "current") == 1
    assert "one_model" not in reasons


def test_another_version_with_the_same_content_makes_nothing_outdated(
    shop: Shop, dashboard: Record
) -> None:
    shop.write("one_model", None, "model", identity="f" * 32)
    lineage = shop.upstream(dashboard)
    assert named(lineage, "one_model", "superseded") == 1
    assert lineage.outdated == {}


def test_what_is_known_to_be_outdated_makes_outdated_what_rests_on_it(
    shop: Shop, dashboard: Record
) -> None:
    scorecard = shop.writer.current(Address("shop", "scorecard"))
    assert scorecard is not None
    lineage = shop.upstream(dashboard, also_outdated={key_of(scorecard): "the limits changed"})
    assert lineage.outdated[key_of(scorecard)] == ("the limits changed",)
    assert {key.asset for key in lineage.outdated} == {"scorecard", "certificate", "dashboard"}


def test_the_question_downstream_finds_superseded_certificates_too(
    shop: Shop, dashboard: Record
) -> None:
    assert dashboard.asset == "dashboard"
    first, second = (shop.writer.current(Address("shop", "raw_data", day)) for day in DAYS)
    corrected = shop.day(DAYS[0], "corrected file")
    kept = shop.writer.current(Address("shop", "validated_data", DAYS[1]))
    assert first is not None
    assert second is not None
    assert kept is not None
    shop.evaluation(corrected, kept)
    of_first, of_second = shop.downstream(first), shop.downstream(second)
    assert [named(of_first, "certificate", s) for s in ("superseded", "current")] == [1, 0]
    assert [named(of_second, "certificate", s) for s in ("superseded", "current")] == [1, 1]
    assert found(of_second)["one_slice_metrics"] == 2 * len(SLICES)
    assert "one_model" not in found(of_second)
    # What is superseded rests on the file that was sent again.
    assert {k.asset for k in of_second.outdated if of_second.state(k) == "current"} == set()
    assert key_of(first) not in of_second.walk.versions
    text = FORMATS["text"](of_second)
    assert text.count("- certificate ") == 2
    assert "one_slice_metrics, 3 slices (superseded, outdated)" in text


def test_nothing_rests_on_a_report(shop: Shop, dashboard: Record) -> None:
    assert "Nothing that is stored rests on it." in FORMATS["text"](shop.downstream(dashboard))


def test_a_record_that_is_gone_is_said_and_costs_nothing_else(
    shop: Shop, dashboard: Record
) -> None:
    raw = shop.writer.current(Address("shop", "raw_data", DAYS[0]))
    assert raw is not None
    (shop.folder / "shop" / "raw_data" / DAYS[0] / "current.json").unlink()
    shop.record_path(raw).unlink()
    lineage = shop.upstream(dashboard)
    assert lineage.problems == (
        f"{key_of(raw)} is rested on, and its record is not there any more",
    )
    assert found(lineage)["raw_data"] == 1
    text = FORMATS["text"](lineage)
    assert f"- {key_of(raw)} (gone)" in text
    assert f"PROBLEM: {key_of(raw)} is rested on" in text
    told = json.loads(FORMATS["json"](lineage))
    assert [v["asset"] for v in told["versions"] if v["state"] == "gone"] == ["raw_data"]


def test_a_record_that_was_bent_contradicts_what_rests_on_it(shop: Shop, dashboard: Record) -> None:
    model = shop.writer.current(Address("shop", "one_model"))
    assert model is not None
    path = shop.record_path(model)
    path.write_text(path.read_text().replace(model.content_version, "0" * 64))
    problems = shop.upstream(dashboard).problems
    assert len(problems) == len(SLICES)
    assert all("whose record says 000000000000" in problem for problem in problems)


def test_each_record_is_read_once(
    shop: Shop, dashboard: Record, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: Counter[str] = Counter()
    plain = Files.read

    def counted(self: Files, path: str) -> bytes | None:
        read[path] += 1
        return plain(self, path)

    monkeypatch.setattr(Files, "read", counted)
    lineage = shop.upstream(dashboard)
    records = {path: count for path, count in read.items() if path.endswith("record.json")}
    assert len(records) == len(lineage.walk.versions) - 1  # the root was given
    assert set(records.values()) == {1}


def test_the_text_shows_equal_branches_once_and_alike_slices_together(
    shop: Shop, dashboard: Record
) -> None:
    lines = FORMATS["text"](shop.upstream(dashboard)).splitlines()
    titles = [line.strip() for line in lines if line.strip().startswith("- ")]
    assert "- one_predictions, 3 slices (current)" in titles
    assert "- one_predictions, 3 slices (current): seen above" in titles
    assert "- raw_data, 2 days from 2026-01-01 to 2026-01-02 (current)" in titles
    unseen = [title for title in titles if not title.endswith("seen above")]
    assert len(unseen) == len(set(unseen)) == 9
    depth = {line.strip(): len(line) - len(line.lstrip()) for line in lines}
    assert depth["- raw_data, 2 days from 2026-01-01 to 2026-01-02 (current)"] == 8
    assert "made 2026-01-02 12:" in lines[3]
    assert RUN in lines[3]


def test_a_slice_that_rests_on_another_model_stands_apart(shop: Shop, dashboard: Record) -> None:
    assert dashboard.asset == "dashboard"
    frozen = shop.writer.current(Address("shop", "evaluation_set"))
    assert frozen is not None
    newer = shop.write("one_model", None, "newer model")
    shop.write("one_predictions", SLICES[0], "other", frozen, newer, run="another-run")
    at = [Address("shop", "one_predictions", key) for key in SLICES]
    records = [record for record in map(shop.writer.current, at) if record is not None]
    text = FORMATS["text"](shop.upstream(*records))
    assert f"- {key_of(records[0])} (current)" in text
    assert "- one_predictions, 2 slices (current, outdated)" in text
    assert "another-run" in text


def test_notes_stand_below_their_versions(shop: Shop, dashboard: Record) -> None:
    days = [
        record
        for day in DAYS
        if (record := shop.writer.current(Address("shop", "raw_data", day))) is not None
    ]
    notes = {key_of(day): Note((f"{n} bytes",), {"bytes": n}) for n, day in enumerate(days)}
    lineage = shop.upstream(dashboard, notes=notes)
    text = FORMATS["text"](lineage)
    assert "          2026-01-01: 0 bytes\n          2026-01-02: 1 bytes" in text
    told = json.loads(FORMATS["json"](lineage))["versions"]
    known = {v["partition"]: v["known_besides"] for v in told if v["asset"] == "raw_data"}
    assert known == {"2026-01-01": {"bytes": 0}, "2026-01-02": {"bytes": 1}}


def test_json_tells_all_that_the_records_say(shop: Shop, dashboard: Record) -> None:
    told = json.loads(FORMATS["json"](shop.upstream(dashboard)))
    assert told["roots"] == [key_of(dashboard)._asdict()]
    first = told["versions"][0]
    assert first["files"] == {n: f.model_dump() for n, f in dashboard.files.items()}
    assert (first["run_id"], first["code_version"]) == (RUN, "1")
    assert [u["asset"] for u in first["upstream"]] == ["scorecard", "certificate"]


def test_another_program_reads_the_prov_document(shop: Shop, dashboard: Record) -> None:
    lineage = shop.upstream(dashboard)
    text = FORMATS["prov"](lineage)
    document = ProvDocument.deserialize(content=text, format="json")
    kinds = Counter(type(record).__name__ for record in document.get_records())
    versions = lineage.walk.versions
    edges = sum(len(record.upstream) for record in versions.values())
    files_of_sources = 3
    assert kinds["ProvEntity"] == len(versions) + files_of_sources
    assert kinds["ProvGeneration"] == len(versions)
    assert kinds["ProvDerivation"] == edges + files_of_sources
    # Typed and quarantined rows come from one pass, so that it used the day's file once.
    assert kinds["ProvActivity"] == kinds["ProvAssociation"] == len(versions) - len(DAYS)
    assert kinds["ProvUsage"] == edges - len(DAYS)
    assert kinds["ProvAgent"] == 1


def test_every_name_in_the_prov_document_is_declared(shop: Shop, dashboard: Record) -> None:
    scorecard = shop.writer.current(Address("shop", "scorecard"))
    assert scorecard is not None
    assert dashboard.asset == "dashboard"
    # Of the scorecard's upstream, nothing is part of this answer.
    document = json.loads(FORMATS["prov"](shop.downstream(scorecard)))
    declared = {name for part in ("entity", "activity", "agent") for name in document[part]}
    relations = ("used", "wasGeneratedBy", "wasDerivedFrom", "wasAssociatedWith")
    ends = {
        end
        for relation in relations
        for told in document[relation].values()
        for role, end in told.items()
        if role not in ("prov:type", "prov:time")
    }
    assert ends <= declared
    assert len(ends) > len(SLICES)
    prefixes = {name.split(":")[0] for name in declared}
    assert prefixes == set(document["prefix"])


RUN_EVENT: dict[str, Any] = {
    "type": "object",
    "required": ["eventTime", "producer", "schemaURL", "run", "job"],
    "properties": {
        "eventType": {"enum": ["START", "RUNNING", "COMPLETE", "ABORT", "FAIL", "OTHER"]},
        "eventTime": {"type": "string", "format": "date-time"},
        "producer": {"type": "string", "format": "uri"},
        "schemaURL": {
            "const": "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunEvent"
        },
        "run": {
            "type": "object",
            "required": ["runId"],
            "properties": {
                "runId": {"type": "string", "format": "uuid"},
                "facets": {
                    "type": "object",
                    "additionalProperties": {"$ref": "#/$defs/facet"},
                    "properties": {
                        "parent": {
                            "required": ["run", "job"],
                            "properties": {
                                "run": {
                                    "required": ["runId"],
                                    "properties": {"runId": {"format": "uuid"}},
                                },
                                "job": {"$ref": "#/$defs/named"},
                            },
                        },
                        "processing_engine": {"required": ["version"]},
                    },
                },
            },
        },
        "job": {"$ref": "#/$defs/named"},
        "inputs": {"type": "array", "items": {"$ref": "#/$defs/dataset"}},
        "outputs": {"type": "array", "items": {"$ref": "#/$defs/dataset"}},
    },
    "$defs": {
        "named": {
            "type": "object",
            "required": ["namespace", "name"],
            "properties": {"namespace": {"type": "string"}, "name": {"type": "string"}},
        },
        "facet": {"type": "object", "required": ["_producer", "_schemaURL"]},
        "dataset": {
            "allOf": [{"$ref": "#/$defs/named"}],
            "properties": {
                "facets": {
                    "type": "object",
                    "additionalProperties": {"$ref": "#/$defs/facet"},
                    "properties": {"version": {"required": ["datasetVersion"]}},
                }
            },
        },
    },
}
"""What the standard's schema demands of a run event and of the facets that are used here."""


def test_open_lineage_events_have_all_that_the_standard_demands(
    shop: Shop, dashboard: Record
) -> None:
    raw = shop.writer.current(Address("shop", "raw_data", DAYS[0]))
    assert raw is not None
    notes = {key_of(raw): Note(source="s3://bucket/folder/day.csv")}
    lineage = shop.upstream(dashboard, notes=notes)
    events = [json.loads(line) for line in FORMATS["openlineage"](lineage).splitlines()]
    checker = jsonschema.Draft202012Validator(
        RUN_EVENT, format_checker=jsonschema.Draft202012Validator.FORMAT_CHECKER
    )
    for event in events:
        checker.validate(event)
    assert len(events) == len(lineage.walk.versions)
    assert len({event["run"]["runId"] for event in events}) == len(events)
    assert {e["run"]["facets"]["parent"]["run"]["runId"] for e in events} == {RUN}
    # Whatever is read was written before, or came from outside.
    known = {("s3://bucket", "/folder/day.csv")}
    for event in events:
        assert {(d["namespace"], d["name"]) for d in event["inputs"]} <= known
        known |= {(d["namespace"], d["name"]) for d in event["outputs"]}


def test_a_run_without_a_uuid_is_named_by_one(shop: Shop) -> None:
    lineage = shop.upstream(shop.write("one_model", None, "model", run="by hand"))
    event = json.loads(FORMATS["openlineage"](lineage))
    assert len(event["run"]["facets"]["parent"]["run"]["runId"]) == len(RUN)
    assert event["run"]["facets"]["evaluator_version"]["dagsterRun"] == "by hand"


def test_what_a_version_rests_on_is_named_in_a_line_and_much_of_it_is_counted(
    shop: Shop, dashboard: Record
) -> None:
    scorecard = shop.writer.current(Address("shop", "scorecard"))
    raw = shop.writer.current(Address("shop", "raw_data", DAYS[0]))
    assert scorecard is not None
    assert raw is not None
    assert rests_on(raw) == "what came in"
    assert (
        rests_on(scorecard) == "1 of evaluation_set, 3 of one_predictions, 3 of one_slice_metrics"
    )
    assert rests_on(dashboard).startswith("scorecard ")


class Remembered(EvidenceStore):
    """A store of records that were never written."""

    def __init__(self, records: list[Record]) -> None:
        super().__init__("memory://never-written")
        self._records = {f"{self.folder(record)}/{RECORD}": record for record in records}


def a_record(number: int, rested_on: list[Record]) -> Record:
    return Record(
        audit="shop",
        asset=f"asset_{number}",
        partition=None,
        identity=f"{number:032}",
        content_version=f"{number:064}",
        files={},
        upstream=tuple(record.as_upstream() for record in rested_on),
        facts={},
        code_version="1",
        run_id=RUN,
        created_at=NOON,
    )


@settings(max_examples=60)
@given(st.lists(st.sets(st.integers(0, 30)), min_size=1, max_size=14))
def test_what_rests_on_a_version_is_what_leads_back_to_it(edges: list[set[int]]) -> None:
    records: list[Record] = []
    for number, rested_on in enumerate(edges):
        records.append(a_record(number, [records[n] for n in sorted(rested_on) if n < number]))
    store = Remembered(records)
    up = {
        key_of(record): set(walk_upstream(store, "shop", [record], {}).versions)
        for record in records
    }
    for record in records:
        down = walk_downstream("shop", [record], records)
        assert set(down.versions) == {key for key, above in up.items() if key_of(record) in above}
        order = list(down.versions)
        for key in order:
            assert all(order.index(other) <= order.index(key) for other in up[key] & set(order))


def test_records_that_rest_on_each_other_end_the_walk() -> None:
    first = a_record(1, [])
    second = a_record(2, [first])
    first = first.model_copy(update={"upstream": (second.as_upstream(),)})
    store = Remembered([first, second])
    keys = {
        VersionKey("asset_1", None, first.identity),
        VersionKey("asset_2", None, "0" * 31 + "2"),
    }
    for walk in (
        walk_upstream(store, "shop", [first], {}),
        walk_downstream("shop", [first], [first, second]),
    ):
        assert set(walk.versions) == keys
        pointers = {first.address: first.identity, second.address: second.identity}
        lineage = judge_lineage(store, walk, pointers, {}, {})
        assert FORMATS["text"](lineage)
