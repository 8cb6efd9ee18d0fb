"""Statements are in-toto's, strict, and described by the JSON schema that lies beside them."""

import copy
import json
from datetime import timedelta
from importlib.resources import files
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings, strategies as st

from evaluator.certification import (
    SigningKey,
    gather_evidence,
    parse_envelope,
    parse_statement,
    spec_document,
)
from evaluator.certification._declaration import read_spec
from evaluator.certification._signatures import IN_TOTO, EnvelopeError
from evaluator.certification._statement import SCHEMA_FILE, StatementError, json_schema
from evaluator.errors import EvidenceError
from evaluator.evidence import Address, EvidenceStore, canonical_json, digest_of_bytes
from evaluator.spec import load_audit
from evaluator_tests.certification.checking import (
    bent,
    many,
    of_format_1,
    one_sentence_at_most,
)
from evaluator_tests.certification.evidence_folder import AUDIT, NOW, Builder, Issued
from evaluator_tests.certification.evidence_spec import SPEC

AUDITS = Path(str(files("evaluator"))) / "defs"


@pytest.fixture(scope="module")
def issued(tmp_path_factory: pytest.TempPathFactory) -> Issued:
    key = SigningKey(Ed25519PrivateKey.from_private_bytes(bytes(32)))
    return Builder(tmp_path_factory.mktemp("issued")).issue(key)


@pytest.fixture(scope="module")
def document(issued: Issued) -> dict[str, Any]:
    payload = parse_envelope(issued.certificates["one"], "certificate").payload
    read: dict[str, Any] = json.loads(payload)
    return read


def schema() -> dict[str, Any]:
    text = files("evaluator.certification").joinpath(SCHEMA_FILE).read_text(encoding="utf-8")
    read: dict[str, Any] = json.loads(text)
    return read


def is_accepted(document: dict[str, Any]) -> bool:
    try:
        parse_statement(canonical_json(document), "certificate")
    except StatementError:
        return False
    return True


def fits_the_schema(document: dict[str, Any]) -> bool:
    return bool(jsonschema.Draft202012Validator(schema()).is_valid(document))


def test_a_statement_is_in_totos(document: dict[str, Any], issued: Issued) -> None:
    assert parse_envelope(issued.certificates["one"], "certificate").payload_type == IN_TOTO
    assert document["_type"] == "https://in-toto.io/Statement/v1"
    assert document["predicateType"] == "urn:evaluator:certificate:v2"
    assert set(document) == {"_type", "subject", "predicateType", "predicate"}


def test_its_subjects_are_the_artifact_and_the_evaluation_set_by_digest(
    document: dict[str, Any], issued: Issued
) -> None:
    cases = next((issued.folder / AUDIT / "evaluation_set").rglob("cases.parquet"))
    artifact, measured = document["subject"]
    assert artifact == {
        "name": "shop/one_model",
        "digest": {"sha256": digest_of_bytes(b"one")},
    }
    assert measured["name"] == "shop/evaluation_set"
    assert measured["digest"]["sha256"] == digest_of_bytes(cases.read_bytes())
    assert (
        measured["digest"]["evaluatorContentV1"]
        == (document["predicate"]["evaluation_set"]["digest"])
    )


def shared_by(issued: Issued) -> list[dict[str, Any]]:
    """List what the certificates rest on alike."""
    (path,) = (issued.folder / AUDIT / "shared_evidence").rglob("evidence.json")
    read: list[dict[str, Any]] = json.loads(path.read_bytes())["evidence"]
    return read


def test_its_evidence_is_its_own_and_a_list_of_what_all_share_back_to_the_raw_file(
    issued: Issued,
) -> None:
    payload = parse_envelope(issued.certificates["two"], "certificate").payload
    predicate = json.loads(payload)["predicate"]
    own = [item["asset"] for item in predicate["evidence"]]
    assert own == [
        "two_model",
        *["two_predictions"] * 3,
        *["two_slice_metrics"] * 3,
        "shared_evidence",
    ]
    shared = shared_by(issued)
    assert {item["asset"] for item in shared} == {
        "raw_data",
        "validated_data",
        "quarantined_rows",
        "data_quality_report",
        "evaluation_set",
        # The baseline's, which all others are compared with.
        "one_model",
        "one_predictions",
        "one_slice_metrics",
        "scorecard",
        "audit_spec",
    }
    roots = [root["asset"] for root in predicate["rests_on"]]
    assert roots == ["scorecard", "audit_spec", "shared_evidence"]
    assert [root["asset"] for root in predicate["evidence"][-1]["upstream"]] == [
        "data_quality_report",
        "quarantined_rows",
    ]
    noted = [item for item in shared if item["notes"]]
    assert [list(item["notes"]) for item in noted] == [["failure.run-6.json"]]


def test_evidence_that_is_gone_cannot_be_gathered(tmp_path: Path) -> None:
    key = SigningKey(Ed25519PrivateKey.from_private_bytes(bytes(32)))
    issued = Builder(tmp_path).issue(key)
    store = EvidenceStore(issued.url)
    scorecard = store.current(Address(AUDIT, "scorecard"))
    assert scorecard is not None
    next((tmp_path / AUDIT / "raw_data").rglob("record.json")).unlink()
    with pytest.raises(EvidenceError, match="raw_data"):
        gather_evidence(store, [scorecard])


def test_it_says_who_asked_which_code_and_how_long(document: dict[str, Any]) -> None:
    predicate = document["predicate"]
    assert predicate["requested_by"] == "ada@example.org"
    assert predicate["code"] == {"version": "0.1.0", "revision": "a" * 40, "has_changes": False}
    assert predicate["seeds"] == {"bootstrap": 7}
    assert predicate["validity"]["valid_until"] == (NOW + timedelta(days=90)).isoformat().replace(
        "+00:00", "Z"
    )
    assert any("artifact is not the one" in words for words in predicate["validity"]["void_when"])
    assert [gate["verdict"] for gate in predicate["gates"]] == ["PASS"] * 5


def test_the_schema_file_is_what_the_code_says() -> None:
    assert schema() == json.loads(json.dumps(json_schema()))
    jsonschema.Draft202012Validator.check_schema(schema())


def test_the_schema_takes_what_is_issued(document: dict[str, Any]) -> None:
    assert is_accepted(document)
    jsonschema.Draft202012Validator(schema()).validate(document)


def _places(value: Any, above: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value)
    found = []
    for key, item in inner if isinstance(value, dict | list) else ():
        found.append((*above, key))
        if isinstance(item, dict | list):
            found += _places(item, (*above, key))
    return found


@settings(max_examples=120)
@given(data=st.data())
def test_schema_and_code_refuse_the_same_documents(
    document: dict[str, Any], data: st.DataObject
) -> None:
    bent = copy.deepcopy(document)
    place = data.draw(st.sampled_from(_places(document)))
    holder = bent
    for key in place[:-1]:
        holder = holder[key]
    change = data.draw(st.sampled_from(["remove", "null", "number", "text", "list", "extra"]))
    if change == "remove":
        del holder[place[-1]]
    elif change == "extra" and isinstance(holder, dict):
        holder["another key"] = 1
    else:
        holder[place[-1]] = {"null": None, "number": 7, "text": "x", "list": [[]], "extra": {}}[
            change
        ]
    # A time's form is beyond most validators of JSON schemas, and so is a day's.
    if place[-1] not in {"created_at", "valid_from", "valid_until", "first_day", "last_day"}:
        assert is_accepted(bent) == fits_the_schema(bent)


def test_a_statement_in_another_spelling_is_refused(document: dict[str, Any]) -> None:
    spelt = canonical_json(document)
    twice = spelt.replace(b'{"_type"', b'{"_type":"x","_type"', 1)
    for content in (spelt[:-1], spelt.replace(b",", b", ", 1), twice):
        with pytest.raises(StatementError, match=r"canonical|stands twice"):
            parse_statement(content, "certificate")


DEEP = b"[" * 200_000


@pytest.mark.parametrize(
    ("odd", "what"),
    [
        (b'"\\ud800"', "a text in it has half of a surrogate pair"),
        (b'"\xed\xa0\x80"', "it is not in UTF-8"),
        (b'"a","_type":"b"', "the key `_type` stands twice in an object of it"),
        (b"NaN", "NaN stands in it, which is no number of JSON"),
        (b"9" * 5000, "a number in it has 5000 digits"),
        (DEEP, "it is nested too deep"),
    ],
)
def test_what_can_be_read_in_two_ways_or_not_at_all_is_one_sentence(
    document: dict[str, Any], odd: bytes, what: str
) -> None:
    content = canonical_json(document).replace(b'"https://in-toto.io/Statement/v1"', odd, 1)
    with pytest.raises(StatementError) as caught:
        parse_statement(content, "one.dsse.json")
    assert (caught.value.what, caught.value.culprit) == (what, "one.dsse.json")
    with pytest.raises(EnvelopeError) as refused:
        parse_envelope(content, "one.dsse.json")
    assert refused.value.what == f"it is no DSSE envelope: {what}"


@pytest.mark.slow
@many
@given(data=st.data())
def test_of_any_bytes_as_a_statement_there_comes_one_sentence_at_most(
    document: dict[str, Any], data: st.DataObject
) -> None:
    written = data.draw(st.sampled_from([document, of_format_1(document)]))
    content = data.draw(bent(canonical_json(written)))
    with one_sentence_at_most():
        parse_statement(content, "certificate")


@pytest.mark.slow
@many
@given(data=st.data())
def test_of_any_bytes_as_an_envelope_there_comes_one_sentence_at_most(
    issued: Issued, data: st.DataObject
) -> None:
    content = data.draw(bent(issued.certificates["one"]))
    with one_sentence_at_most():
        envelope = parse_envelope(content, "certificate")
        assert isinstance(envelope.is_signed_by(issued.key.public), bool)


@pytest.mark.parametrize("name", ["flights", "delay", "language", "sales"])
def test_an_audits_declaration_is_read_back_as_it_was(name: str) -> None:
    spec = load_audit(name, AUDITS).spec
    assert read_spec(spec_document(spec)) == spec
    assert spec_document(read_spec(spec_document(spec))) == spec_document(spec)
    assert read_spec(spec_document(SPEC)) == SPEC


def test_a_statement_of_format_1_says_what_one_of_format_2_says(document: dict[str, Any]) -> None:
    read = parse_statement(canonical_json(of_format_1(document)), "certificate")

    judged = read.predicate.candidate
    assert "old format does not say what qualifies it" in judged.in_words
    document["predicate"]["waivers"] = None
    said = parse_statement(canonical_json(document), "certificate").predicate
    update = {
        "candidate": judged.model_copy(update={"qualified_by": said.candidate.qualified_by}),
        "shared": said.shared,
        "training": said.training,
        "commitment": said.commitment,
    }
    assert read.predicate.model_copy(update=update) == said


def test_a_statement_of_format_2_says_what_qualifies_its_outcome_and_what_it_shares(
    document: dict[str, Any],
) -> None:
    silent = copy.deepcopy(document)
    silent["predicate"]["candidate"]["qualified_by"] = None
    alone = copy.deepcopy(document)
    alone["predicate"]["shared"] = None

    with pytest.raises(StatementError, match="qualified_by"):
        parse_statement(canonical_json(silent), "certificate")
    with pytest.raises(StatementError, match="shared"):
        parse_statement(canonical_json(alone), "certificate")


def test_of_a_statement_of_format_1_the_cases_are_independent(document: dict[str, Any]) -> None:
    old = of_format_1(document)
    old["predicate"]["evaluation_set"]["days"] = 28

    read = parse_statement(canonical_json(old), "certificate").predicate

    assert read.assumptions == ("cases are taken as independent, those of one day too",)
    assert (read.evaluation_set.cluster, read.evaluation_set.weight) == (None, None)


def test_a_statement_of_format_1_says_nothing_that_it_had_no_words_for(
    document: dict[str, Any],
) -> None:
    for change in (
        lambda old: old["predicate"].update(assumptions=[]),
        lambda old: old["predicate"]["evaluation_set"].update(cluster=None),
        lambda old: old["predicate"]["headline"][0].update(design_effect=1.0),
        lambda old: old["predicate"].update(evaluation_set=[]),
        lambda old: old["predicate"].pop("headline"),
    ):
        old = of_format_1(document)
        change(old)
        with pytest.raises(StatementError):
            parse_statement(canonical_json(old), "certificate")


@pytest.mark.parametrize("format_", ["urn:evaluator:certificate:v3", "", None])
def test_a_statement_of_another_format_is_refused(
    document: dict[str, Any], format_: str | None
) -> None:
    # Also where the name of an old format stands somewhere in it.
    packages = document["predicate"]["packages"] | {"urn:evaluator:certificate:v1": "1"}
    strange = document | {
        "predicateType": format_,
        "predicate": document["predicate"] | {"packages": packages},
    }
    with pytest.raises(StatementError, match="predicateType"):
        parse_statement(canonical_json(strange), "certificate")


def test_a_verdict_stands_in_a_statement_as_the_gate_gave_it(document: dict[str, Any]) -> None:
    read = parse_statement(canonical_json(document), "certificate")

    assert [gate.as_record() for gate in read.predicate.gates] == document["predicate"]["gates"]
