"""A certificate is checked on a copied folder, and whatever was bent is found."""

import json
import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import given, strategies as st

from evaluator.certification import (
    Ledger,
    SigningKey,
    TrustedKeys,
    export_bundle,
    parse_envelope,
    verify,
    verify_bundle,
)
from evaluator.certification._bundle import (
    MANIFEST,
    MANIFEST_TYPE,
    BundleCheck,
    _check_manifest,
)
from evaluator.certification._signatures import IN_TOTO, seal
from evaluator.certification._stored_evidence import Evidence, gather_evidence
from evaluator.errors import EvidenceError, UsageError
from evaluator.evidence import Files, canonical_json, digest_of_bytes
from evaluator.scorecard import RANKS, Asset
from evaluator_tests.certification.checking import (
    bent,
    check,
    check_all,
    is_sentence,
    key_of,
    listed_again,
    many,
    of_format_1,
    problems,
)
from evaluator_tests.certification.evidence_folder import (
    AUDIT,
    LATER,
    VALID_UNTIL,
    Builder,
    Issued,
)
from evaluator_tests.conftest import BuiltOnce


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Issued:
    return Builder(tmp_path_factory.mktemp("original")).issue(key_of())


@pytest.fixture
def issued(original: Issued, tmp_path: Path) -> Issued:
    """A copy of the evidence folder that a test may spoil."""
    shutil.copytree(original.folder, tmp_path / "evidence")
    return Issued(tmp_path / "evidence", original.certificates, original.paths, original.key)


def test_an_untouched_folder_is_verified(issued: Issued) -> None:
    report = check(issued)
    assert problems(report) == ""
    assert report.result == "VERIFIED"
    assert report.is_verified
    assert report.cautions == ()
    assert report.statement
    assert report.statement.predicate.candidate.outcome == "certified"
    assert any("VERIFIED" in line for line in report.to_lines())
    assert json.dumps(report.as_record())


def test_a_refusal_is_verified_too(issued: Issued) -> None:
    report = check(issued, "two")
    assert report.is_verified
    assert report.statement
    assert report.statement.predicate.candidate.outcome == "not certified"


@pytest.mark.slow
@pytest.mark.slow
def test_a_single_flipped_byte_in_any_file_of_a_bundle_is_found(
    original: Issued, tmp_path: Path
) -> None:
    bundle = export(original, tmp_path)
    assert verify_bundle(bundle, trusted=TrustedKeys.of(original.key.public), now=LATER).is_verified
    missed = []
    count = 0
    for path in sorted(p for p in bundle.rglob("*") if p.is_file()):
        content = path.read_bytes()
        for position in (len(content) // 3, len(content) - 1):
            spoilt = bytearray(content)
            spoilt[position] ^= 1 << (position % 7)
            path.write_bytes(spoilt)
            found = verify_bundle(bundle, trusted=TrustedKeys.of(original.key.public), now=LATER)
            count += 1
            name = path.relative_to(bundle).as_posix()
            # What the certificate covers is found without the manifest too.
            is_covered = name == "certificate.dsse.json" or name.startswith("evidence/")
            is_intact = found.report.is_intact if is_covered else found.is_intact
            if is_intact or name not in _problems_of(found):
                missed.append((name, position))
        path.write_bytes(content)
    assert missed == []
    assert count > 100
    assert verify_bundle(bundle, trusted=TrustedKeys.of(original.key.public), now=LATER).is_verified


@pytest.mark.slow
@pytest.mark.slow
def test_a_single_flipped_byte_in_what_a_live_folder_holds_of_a_certificate_is_found(
    issued: Issued,
) -> None:
    missed = []
    # Which version is the current one moves on, and no certificate rests on it.
    files = [p for p in issued.folder.rglob("*") if p.is_file() and p.name != "current.json"]
    for path in sorted(files):
        content = path.read_bytes()
        for position in (0, len(content) // 4, len(content) // 2, len(content) - 2):
            spoilt = bytearray(content)
            spoilt[position] ^= 4
            path.write_bytes(spoilt)
            # By its digest alone: computing everything again is not needed to find it.
            unseen = [
                check(issued, n, recompute_again=lambda *_: ()).is_intact for n in ("one", "two")
            ]
            if all(unseen):
                missed.append((path.relative_to(issued.folder).as_posix(), position))
        path.write_bytes(content)
    assert missed == []
    assert check(issued).is_verified


@pytest.mark.slow
def test_a_removed_file_is_named(issued: Issued) -> None:
    covered = [p for p in issued.folder.rglob("*") if p.is_file() and p.name != "current.json"]
    last = Ledger(issued.url, AUDIT).head().sequence
    for path in covered:
        content = path.read_bytes()
        path.unlink()
        name = path.relative_to(issued.folder).as_posix()
        # The last entry is missed by the checkpoint, which says how far the chain reached.
        expected = f"not reach entry {last}" if name.endswith(f"/{last:06}.json") else name
        found = "".join(problems(report) for report in check_all(issued))
        # Nothing rests on what shows a certificate, and a run makes it again.
        is_shown = name.startswith((f"{AUDIT}/{Asset.DASHBOARD}/", f"{AUDIT}/{Asset.DOCUMENTS}/"))
        assert found == "" if is_shown else expected in found
        path.write_bytes(content)
    assert check(issued).is_verified


def test_an_added_file_is_named(issued: Issued) -> None:
    folders = {p.parent for p in issued.folder.rglob("record.json")} | {
        issued.folder / AUDIT / "ledger"
    }
    for folder in folders:
        added = folder / "added.txt"
        added.write_text("hello")
        found = "".join(problems(report) for report in check_all(issued))
        assert "added.txt" in found, folder
        added.unlink()


def test_two_files_that_were_swapped_are_both_named(issued: Issued) -> None:
    north, south = sorted((issued.folder / AUDIT / "one_predictions").rglob("*.parquet"))[:2]
    a, b = north.read_bytes(), south.read_bytes()
    north.write_bytes(b)
    south.write_bytes(a)
    found = problems(check(issued))
    for path in (north, south):
        assert path.relative_to(issued.folder).as_posix() in found


def test_two_whole_versions_that_were_swapped_are_found(issued: Issued, tmp_path: Path) -> None:
    north, south = sorted(
        p.parent for p in (issued.folder / AUDIT / "one_predictions").rglob("record.json")
    )[:2]
    north.rename(tmp_path / "aside")
    south.rename(north)
    (tmp_path / "aside").rename(south)
    assert not check(issued).is_intact


def test_a_folder_rolled_back_behind_the_certificate_is_found(
    issued: Issued,
) -> None:
    ledger = issued.folder / AUDIT / "ledger"
    first = digest_of_bytes((ledger / "000001.json").read_bytes())
    for path in sorted(ledger.glob("0*.json"))[1:]:
        path.unlink()
    head = {"digest": first, "format": "evaluator/ledger-head/1", "sequence": 1}
    (ledger / "head.json").write_text(
        json.dumps(head, sort_keys=True, separators=(",", ":")) + "\n"
    )
    assert check(issued, "one").is_verified
    assert "no entry for this certificate" in problems(check(issued, "two"))
    shutil.rmtree(ledger)
    assert "no entry for this certificate" in problems(check(issued, "one"))


def test_a_revocation_that_is_rolled_back_is_found_by_who_kept_the_head(issued: Issued) -> None:
    copy = {p: p.read_bytes() for p in (issued.folder / AUDIT / "ledger").iterdir()}
    revoke(issued)
    revoked = check(issued)
    assert revoked.result == "DOES NOT STAND (revoked)"
    assert revoked.is_intact
    assert not revoked.is_verified
    for path in (issued.folder / AUDIT / "ledger").iterdir():
        path.unlink()
    for path, content in copy.items():
        path.write_bytes(content)
    assert check(issued).is_verified  # nothing in this folder remembers it
    assert "turned back" in problems(check(issued, known_head=revoked.ledger))


def test_an_expired_certificate_is_not_verified(issued: Issued) -> None:
    report = check(issued, now=VALID_UNTIL)
    assert report.result == "DOES NOT STAND (expired)"
    assert not report.is_verified
    assert check(issued, now=VALID_UNTIL - timedelta(seconds=1)).is_verified


def test_another_key_does_not_verify(issued: Issued) -> None:
    report = check(issued, trusted=TrustedKeys.of(key_of(2).public))
    assert report.signature == "invalid"
    assert report.result == "FAILED"
    assert key_of(2).public.key_id in problems(report)


def test_without_a_key_nothing_is_called_verified(issued: Issued) -> None:
    report = check(issued, trusted=None)
    assert report.result == "INTACT, BUT NOT PROVEN"
    assert not report.is_verified
    assert any("SIGNATURE NOT CHECKED" in line for line in report.to_lines())


def test_an_unsigned_certificate_says_so_loudly(tmp_path: Path) -> None:
    issued = Builder(tmp_path).issue(key_of(), signed=False)
    report = check(issued, trusted=None)
    assert report.result == "INTACT, BUT UNSIGNED"
    assert any("UNSIGNED" in caution for caution in report.cautions)
    assert check(issued).result == "FAILED"


def test_a_signature_that_was_stripped_is_found_with_and_without_a_key(issued: Issued) -> None:
    envelope = parse_envelope(issued.certificates["one"], "certificate")
    stripped = seal(envelope.payload, IN_TOTO, None).to_bytes()
    spoilt = Issued(issued.folder, {"one": stripped}, issued.paths, issued.key)
    assert "unsigned" in problems(check(spoilt))
    assert "no entry for this certificate" in problems(check(spoilt, trusted=None))


def test_what_is_no_certificate_fails_without_an_exception(issued: Issued) -> None:
    for content in (b"", b"[]", b"{}", b"\xff", issued.certificates["one"][:-40], b"[" * 100_000):
        report = verify(content, issued.url, trusted=TrustedKeys.of(issued.key.public), now=LATER)
        assert report.result == "FAILED"
        assert len(report.problems) == 1


def test_a_certificate_that_is_not_there_is_the_callers_mistake(issued: Issued) -> None:
    with pytest.raises(UsageError, match="cannot be read"):
        verify(issued.folder / "absent.dsse.json", issued.url, now=LATER)


def test_an_entry_that_nobody_signed_is_found_where_others_are_signed(issued: Issued) -> None:
    revoke(issued)
    path = issued.folder / AUDIT / "ledger" / "000003.json"
    entry = json.loads(path.read_bytes())
    path.write_bytes(canonical_json(entry | {"signature": None}))
    head = path.with_name("head.json")
    said = json.loads(head.read_bytes()) | {"digest": digest_of_bytes(path.read_bytes())}
    head.write_bytes(canonical_json(said))
    report = check(issued)
    assert "it lost its signature, or was added" in problems(report)
    assert report.state is not None
    assert report.state.state == "revoked"
    # Nobody needs a key to see that.
    assert "it lost its signature, or was added" in problems(check(issued, trusted=None))


def _drop_model(predicate: dict[str, Any]) -> None:
    predicate["evidence"] = [i for i in predicate["evidence"] if i["asset"] != "two_model"]


def _drop_slice(predicate: dict[str, Any]) -> None:
    is_it = [item["asset"] == "two_predictions" for item in predicate["evidence"]]
    del predicate["evidence"][is_it.index(True)]


def _move_aside(predicate: dict[str, Any]) -> None:
    predicate["evidence"][0]["folder"] = "../outside"


def _raise_headline(predicate: dict[str, Any]) -> None:
    predicate["headline"][0]["value"] = 0.999


def _pass_gate(predicate: dict[str, Any]) -> None:
    predicate["gates"][0]["verdict"] = "PASS"


def _drop_gate(predicate: dict[str, Any]) -> None:
    predicate["gates"] = predicate["gates"][1:]


def _certify(predicate: dict[str, Any]) -> None:
    predicate["candidate"]["outcome"] = "certified"


def _exchange_artifact(predicate: dict[str, Any]) -> None:
    predicate["candidate"]["artifact_digest"] = "9" * 64


def _exchange_version(predicate: dict[str, Any]) -> None:
    predicate["evidence"][0]["content_version"] = "9" * 64


def sealed_and_entered(issued: Issued, document: dict[str, Any]) -> bytes:
    """Sign a statement with the issuer's key, and enter it as its issuer would."""
    content = seal(canonical_json(document), IN_TOTO, issued.key).to_bytes()
    judged = document["predicate"]["candidate"]
    body = Ledger(issued.url, AUDIT).entries()[1].entry.certificate_body().model_dump()
    stated = {"candidate": judged["name"], "outcome": judged["outcome"], "path": "elsewhere/x"}
    stated["artifact_digest"] = judged["artifact_digest"]
    stated["evaluation_set"] = document["predicate"]["evaluation_set"]["digest"]
    Ledger(issued.url, AUDIT).append(
        "certificate",
        subject=digest_of_bytes(content),
        author="mallory",
        reason="why not",
        body=body | stated,
        now=LATER,
        key=issued.key,
    )
    return content


@pytest.mark.parametrize("rank", [None, 7])
def test_a_certificate_of_format_1_lists_everything_and_all_of_it_is_computed(
    tmp_path: Path, rank: int | None
) -> None:
    class Ranked(Builder):
        def findings(self, tables: dict[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
            if rank is not None:
                tables[RANKS] = tables[RANKS].assign(rank=rank)
            return tables

    issued = Ranked(tmp_path).issue(key_of())
    statements = [
        json.loads(parse_envelope(content, "certificate").payload)
        for content in issued.certificates.values()
    ]
    (shared,) = (tmp_path / AUDIT / "shared_evidence").rglob("evidence.json")
    items = json.loads(shared.read_bytes())["evidence"]
    items += statements[1]["predicate"]["evidence"]
    beside = {"shared_evidence", "quarantined_rows"}
    old = of_format_1(statements[0])
    old["predicate"]["evidence"] = [item for item in items if item["asset"] not in beside]
    old["predicate"]["rests_on"] = old["predicate"]["rests_on"][:2]
    content = sealed_and_entered(issued, old)
    report = verify(content, issued.url, trusted=TrustedKeys.of(issued.key.public), now=LATER)
    assert (report.is_verified, "rank is 7" in problems(report)) == (rank is None, rank == 7)


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (_drop_model, "rests on two_model"),
        (_drop_slice, "rests on two_predictions[north|new]"),
        (lambda p: p["shared"].update(sha256="9" * 64), "list of the shared evidence is not among"),
        (lambda p: p["evidence"].pop(), "list of the shared evidence is not among"),
        (_move_aside, "evidence: ../outside"),
        (lambda p: p["rests_on"].pop(), "nothing that is certified rests on it"),
        (lambda p: p["evidence"].append(p["evidence"][0]), "lists a version twice"),
        (_exchange_version, "its `content_version` is not what the certificate says"),
        (_exchange_artifact, "made these predictions"),
        (_raise_headline, "accuracy: value is 0.999"),
        (_pass_gate, "verdict is 'PASS', recomputed 'FAIL'"),
        (_drop_gate, "it has 4 verdicts, and the audit's gates give 5"),
        (_certify, "it says certified, and the verdicts give not certified"),
        (lambda p: p["candidate"].update(name="three"), "the audit has no candidate 'three'"),
        (lambda p: p["spec"].update(sha256="9" * 64), "declaration is not among the evidence"),
        (lambda p: p["evaluation_set"].update(digest="9" * 64), "is not the evaluation set"),
        (lambda p: p["ledger"].update(digest="9" * 64, sequence=1), "entry 1 is"),
    ],
)
def test_a_false_statement_is_found_even_with_the_right_signature(
    issued: Issued, change: Callable[[dict[str, Any]], None], what: str
) -> None:
    payload = parse_envelope(issued.certificates["two"], "certificate").payload
    document = json.loads(payload)
    change(document["predicate"])
    judged = document["predicate"]["candidate"]
    document["subject"][0]["digest"]["sha256"] = judged["artifact_digest"]
    document["subject"][0]["name"] = f"{AUDIT}/{judged['name']}_model"
    content = sealed_and_entered(issued, document)
    report = verify(content, issued.url, trusted=TrustedKeys.of(issued.key.public), now=LATER)
    assert report.signature == "valid"
    assert what in problems(report)
    assert not report.is_intact


@pytest.mark.parametrize(
    ("asset", "what"),
    [
        ("raw_data", "rests on raw_data[2026-01-01]"),
        ("quarantined_rows", "does not list quarantined_rows[2026-01-01]"),
        ("data_quality_report", "rests on data_quality_report[2026-01-01]"),
        ("one_predictions", "rests on one_predictions[north|new]"),
    ],
)
def test_what_is_left_out_of_the_list_of_what_is_shared_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, asset: str, what: str
) -> None:
    def gather(*arguments: Any) -> Evidence:
        found = gather_evidence(*arguments)
        kept = [item for item in found.items if item.asset != asset]
        roots = [root for root in found.rests_on if root.asset != asset]
        return Evidence(tuple(roots), tuple(kept))

    monkeypatch.setattr("evaluator.certification._stored_evidence.gather_evidence", gather)
    issued = Builder(tmp_path).issue(key_of())
    for name in ("one", "two"):
        assert f"lineage: certificate: {'it' if 'does' in what else ''}" in problems(
            check(issued, name)
        )
        assert what in problems(check(issued, name))


@pytest.mark.parametrize("change", [b"", b'{"evidence":[]}', None])
def test_a_list_of_what_is_shared_that_is_another_or_gone_is_found(
    issued: Issued, change: bytes | None
) -> None:
    (path,) = (issued.folder / AUDIT / "shared_evidence").rglob("evidence.json")
    path.unlink() if change is None else path.write_bytes(change)
    for report in (check(issued), check(issued, "two"), *check_all(issued)):
        assert path.relative_to(issued.folder).as_posix() in problems(report)
        assert report.result == "FAILED"
        assert any("not recomputed" in caution for caution in report.cautions)


def test_refused_rows_that_were_changed_are_found(issued: Issued) -> None:
    (path,) = (issued.folder / AUDIT / "quarantined_rows").rglob("*.parquet")
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    for name in ("one", "two"):
        assert path.relative_to(issued.folder).as_posix() in problems(check(issued, name))


def test_a_bundle_is_verified_where_only_the_core_is_installed(
    original: Issued, tmp_path: Path
) -> None:
    bundle = export(original, tmp_path)
    program = """
import sys
for absent in ("dagster", "mlflow", "sklearn", "skops", "polars"):
    sys.modules[absent] = None
import socket
socket.socket.connect = socket.getaddrinfo = None
from datetime import datetime
from pathlib import Path
from evaluator.certification import Waiver
from evaluator.certification._bundle import verify_bundle
from evaluator.certification._signatures import load_public_key
from evaluator.certification._trust import TrustedKeys
bundle = Path(sys.argv[1])
key = load_public_key(bundle / "public_key.pem")
found = verify_bundle(bundle, trusted=TrustedKeys.of(key), now=datetime.fromisoformat(sys.argv[2]))
print(found.report.result, found.is_verified)
"""
    done = subprocess.run(
        [sys.executable, "-c", program, str(bundle), LATER.isoformat()],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == "VERIFIED True\n", done.stderr


def test_a_bundle_is_the_same_bytes_each_time(original: Issued, tmp_path: Path) -> None:
    first, second = export(original, tmp_path / "a"), export(original, tmp_path / "b")
    files = {p.relative_to(first): p.read_bytes() for p in first.rglob("*") if p.is_file()}
    again = {p.relative_to(second): p.read_bytes() for p in second.rglob("*") if p.is_file()}
    assert files == again
    assert not any(p.name == "current.json" for p in files)
    text = files[Path("README.txt")].decode()
    assert original.key.public.key_id in text
    assert "one is certified" in text


def test_what_is_added_to_a_bundle_is_named(original: Issued, tmp_path: Path) -> None:
    bundle = export(original, tmp_path)
    (bundle / "evidence" / "shop" / "more.txt").write_text("more")
    found = verify_bundle(bundle, trusted=TrustedKeys.of(original.key.public), now=LATER)
    assert "evidence/shop/more.txt" in _problems_of(found)
    assert not found.is_intact


@pytest.mark.parametrize(
    ("key", "what"), [(None, "it is not signed"), (key_of(3), "no trusted issuer signed it")]
)
def test_a_report_that_was_exchanged_with_its_manifest_is_found(
    original: Issued, tmp_path: Path, key: SigningKey | None, what: str
) -> None:
    bundle = export(original, tmp_path)
    (bundle / "report.html").write_text("<html>all is well</html>")
    listed_again(bundle, key)
    found = verify_bundle(bundle, trusted=TrustedKeys.of(original.key.public), now=LATER)
    assert f"bundle: {MANIFEST}: {what}" in _problems_of(found)
    assert not found.is_verified


def test_a_version_that_nothing_names_fails_even_where_its_issuer_listed_it(
    original: Issued, tmp_path: Path
) -> None:
    bundle = export(original, tmp_path)
    (bundle / "evidence" / AUDIT / "raw_data" / "2026-01-01" / "more").mkdir()
    added = bundle / "evidence" / AUDIT / "raw_data" / "2026-01-01" / "more" / "record.json"
    added.write_text("{}")
    listed_again(bundle, original.key)
    found = verify_bundle(bundle, trusted=TrustedKeys.of(original.key.public), now=LATER)
    assert "neither certificate nor ledger names it" in _problems_of(found)


def test_a_manifest_of_another_bundle_is_found(original: Issued, tmp_path: Path) -> None:
    one = export(original, tmp_path / "one")
    two = export(original, tmp_path / "two", "two")
    (one / MANIFEST).write_bytes((two / MANIFEST).read_bytes())
    found = verify_bundle(one, trusted=TrustedKeys.of(original.key.public), now=LATER)
    assert "it is the manifest of another bundle" in _problems_of(found)


def test_a_manifest_that_a_revoked_key_signed_is_found(issued: Issued, tmp_path: Path) -> None:
    other = key_of(4)
    Ledger(issued.url, AUDIT).append(
        "key_revocation",
        subject=other.public.key_id,
        author="grace@example.org",
        reason="it was lost",
        body={},
        now=LATER,
        key=issued.key,
    )
    bundle = export(issued, tmp_path / "to")
    trusted = TrustedKeys.of(issued.key.public, other.public)
    assert verify_bundle(bundle, trusted=trusted, now=LATER).is_verified
    (bundle / "report.html").write_text("<html>all is well</html>")
    listed_again(bundle, other)
    found = verify_bundle(bundle, trusted=trusted, now=LATER)
    assert f"bundle: {MANIFEST}: a key signed it that its ledger revokes" in _problems_of(found)


@pytest.mark.parametrize("where", ["evidence", "evidence/shop", "evidence/more"])
def test_a_folder_of_a_bundle_that_is_a_link_is_found(
    original: Issued, tmp_path: Path, where: str
) -> None:
    bundle = export(original, tmp_path)
    linked = bundle / where
    target = tmp_path / "elsewhere"
    if linked.exists():
        linked.rename(target)
    else:
        target.mkdir()
        (target / "more.txt").write_text("more")
    linked.symlink_to(target)
    found = verify_bundle(bundle, trusted=TrustedKeys.of(original.key.public), now=LATER)
    assert not found.is_intact
    assert where in _problems_of(found)


def test_a_certificate_that_rests_on_no_scorecard_is_a_finding(issued: Issued) -> None:
    document = json.loads(parse_envelope(issued.certificates["one"], "certificate").payload)
    roots = document["predicate"]["rests_on"]
    document["predicate"]["rests_on"] = [one for one in roots if one["asset"] != "scorecard"]
    content = seal(canonical_json(document), IN_TOTO, issued.key).to_bytes()
    report = verify(content, issued.url, trusted=TrustedKeys.of(issued.key.public), now=LATER)
    assert "scorecard" in problems(report)
    assert "nothing that is certified rests on it" in problems(report)


def sealed_again(bundle: Path, payload: bytes, key: SigningKey) -> BundleCheck:
    """Put a payload into a bundle's manifest, signed, and check it."""
    (bundle / MANIFEST).write_bytes(seal(payload, MANIFEST_TYPE, key).to_bytes())
    return verify_bundle(bundle, trusted=TrustedKeys.of(key.public), now=LATER)


@pytest.mark.parametrize(
    ("payload", "what"),
    [
        (b"[" * 200_000, "it is nested too deep"),
        (b'{"certificate":1,"certificate":2}', "the key `certificate` stands twice"),
        (b'{"certificate":NaN}', "NaN stands in it"),
        (b'{"certificate":"\\udfff"}', "half of a surrogate pair"),
        (b'{"files": {}}', "it is not in canonical JSON"),
        (b"{}\n", "`certificate` is not as it must be"),
        (canonical_json({"certificate": "a" * 64, "files": {}}), "`format` is missing"),
    ],
)
def test_a_manifest_that_is_none_is_one_sentence(
    original: Issued, tmp_path: Path, payload: bytes, what: str
) -> None:
    found = sealed_again(export(original, tmp_path), payload, original.key)
    (problem,) = found.problems
    assert (problem.check, problem.file) == ("bundle", MANIFEST)
    assert what in problem.what


@pytest.mark.slow
@many
@given(data=st.data())
def test_of_any_bytes_as_a_manifest_there_come_sentences(
    original: Issued, built_once: BuiltOnce, data: st.DataObject
) -> None:
    bundle = built_once("a_bundle_to_bend", lambda folder: copy_of_a_bundle(original, folder))
    content = (bundle / "as_it_was").read_bytes()
    payload = parse_envelope(content, MANIFEST).payload
    sealed = bent(payload).map(lambda some: seal(some, MANIFEST_TYPE, original.key).to_bytes())
    (bundle / MANIFEST).write_bytes(data.draw(st.one_of(sealed, bent(content))))
    trusted = TrustedKeys.of(original.key.public)
    report = verify(b"", str(bundle), now=LATER)
    for problem in _check_manifest(Files(str(bundle)), report, trusted):
        assert problem.check == "bundle"
        is_sentence(problem.what)


def copy_of_a_bundle(original: Issued, folder: Path) -> None:
    bundle = export(original, folder)
    shutil.rmtree(bundle / "evidence")
    (bundle / MANIFEST).rename(folder / "as_it_was")
    (bundle / "README.txt").rename(folder / "README.txt")
    shutil.rmtree(bundle)


def test_a_bundle_with_a_link_is_refused(original: Issued, tmp_path: Path) -> None:
    bundle = export(original, tmp_path)
    secret = tmp_path / "secret"
    record = next((bundle / "evidence").rglob("record.json"))
    secret.write_bytes(record.read_bytes())
    record.unlink()
    record.symlink_to(secret)
    found = verify_bundle(bundle, trusted=TrustedKeys.of(original.key.public), now=LATER)
    assert "it is a link" in _problems_of(found)
    assert not found.is_intact


def test_an_exported_folder_has_the_usual_modes_since_it_is_handed_on(
    original: Issued, tmp_path: Path
) -> None:
    before = os.umask(0o022)
    try:
        bundle = export(original, tmp_path)
    finally:
        os.umask(before)
    modes = {path: stat.S_IMODE(path.stat().st_mode) for path in bundle.rglob("*")}
    assert {modes.pop(path) for path in list(modes) if path.is_dir()} == {0o755}
    assert set(modes.values()) == {0o644}


def test_what_is_not_as_the_certificate_says_is_not_exported(
    issued: Issued, tmp_path: Path
) -> None:
    damaged = next(issued.folder.glob(f"{AUDIT}/raw_data/*/*/*.csv"))
    damaged.write_bytes(b"other")
    with pytest.raises(EvidenceError, match="cannot be exported: its SHA-256 is"):
        export(issued, tmp_path / "to")
    assert not (tmp_path / "to").exists()


def test_a_certificate_of_another_key_is_not_exported(issued: Issued, tmp_path: Path) -> None:
    with pytest.raises(EvidenceError, match="no signature is of a trusted issuer's key"):
        export(replace(issued, key=key_of(2)), tmp_path / "to")
    assert not (tmp_path / "to").exists()


def test_a_link_in_the_ledgers_folder_carries_nothing_out(issued: Issued, tmp_path: Path) -> None:
    private = tmp_path / "audit.private.pem"
    private.write_text("SECRET")
    (issued.folder / AUDIT / "ledger" / "000005.json").symlink_to(private)
    with pytest.raises(EvidenceError, match="it is a link"):
        export(issued, tmp_path / "to")
    report = check(issued)
    assert "it is a link" in problems(report)
    assert "SECRET" not in problems(report)


def test_a_certificate_that_names_a_place_outside_writes_nothing_there(
    issued: Issued, tmp_path: Path
) -> None:
    payload = parse_envelope(issued.certificates["one"], "certificate").payload
    document = json.loads(payload)
    item = document["predicate"]["evidence"][0]
    item["identity"] = "../../../../outside"
    item["folder"] = f"{AUDIT}/{item['asset']}/_/../../../../outside"
    content = seal(canonical_json(document), IN_TOTO, issued.key).to_bytes()
    hostile = replace(issued, certificates={"one": content})
    with pytest.raises(EvidenceError, match="cannot be exported"):
        export(hostile, tmp_path / "to")
    assert [path.name for path in tmp_path.iterdir()] == ["evidence"]
    assert not check(hostile).is_intact


def test_a_bundle_is_never_written_over_something(original: Issued, tmp_path: Path) -> None:
    export(original, tmp_path)
    with pytest.raises(UsageError, match="not empty"):
        export(original, tmp_path)


SHOWN = {
    "report.html": f"{Asset.DASHBOARD}/_/*/dashboard.html",
    "documents/one_model_card.md": f"{Asset.DOCUMENTS}/_/*/one_model_card.md",
    "documents/one_model_card.html": f"{Asset.DOCUMENTS}/_/*/one_model_card.html",
    "documents/technical_file.md": f"{Asset.DOCUMENTS}/_/*/technical_file.md",
    "documents/technical_file.html": f"{Asset.DOCUMENTS}/_/*/technical_file.html",
}
"""What a bundle shows, and where it lies in the evidence folder."""


def rewritten(issued: Issued, pattern: str) -> Path:
    """Write a page anew, and into its record what it is now, as whoever can write there can."""
    page = next((issued.folder / AUDIT).glob(pattern))
    page.write_text("all is well")
    path = page.parent / "record.json"
    record = json.loads(path.read_bytes())
    record["files"][page.name] = {
        "sha256": digest_of_bytes(page.read_bytes()),
        "size": page.stat().st_size,
    }
    path.write_bytes(canonical_json(record))
    return page


def test_a_bundle_shows_the_page_and_this_candidates_documents(
    original: Issued, tmp_path: Path
) -> None:
    bundle = export(original, tmp_path)
    shown = {p.relative_to(bundle).as_posix() for p in (bundle / "documents").iterdir()}
    assert shown | {"report.html"} == SHOWN.keys()
    for name, pattern in SHOWN.items():
        stored = next((original.folder / AUDIT).glob(pattern))
        assert (bundle / name).read_bytes() == stored.read_bytes()
    readme = " ".join((bundle / "README.txt").read_text().split())
    assert "report.html is the page of the whole audit" in readme
    assert "documents/ has the model card and the technical file" in readme


@pytest.mark.parametrize("pattern", SHOWN.values())
def test_a_page_rewritten_together_with_its_record_is_found_and_not_exported(
    issued: Issued, tmp_path: Path, pattern: str
) -> None:
    page = rewritten(issued, pattern)
    found = check(issued, recompute_again=lambda *_: ())
    assert {problem.check for problem in found.problems} == {"evidence"}
    named = {problem.file for problem in found.problems}
    paths = (page, page.parent / "record.json")
    assert named == {path.relative_to(issued.folder).as_posix() for path in paths}
    with pytest.raises(EvidenceError, match="cannot be exported") as caught:
        export(issued, tmp_path / "to")
    assert "made and entered anew by `evaluator run`" in str(caught.value)
    assert not (tmp_path / "to").exists()


def test_a_page_whose_entry_was_cut_off_is_not_exported(issued: Issued, tmp_path: Path) -> None:
    ledger = issued.folder / AUDIT / "ledger"
    rewritten(issued, SHOWN["report.html"])
    for number in (3, 4):
        (ledger / f"{number:06}.json").unlink()
    digest = digest_of_bytes((ledger / "000002.json").read_bytes())
    head = {"format": "evaluator/ledger-head/1", "sequence": 2, "digest": digest}
    (ledger / "head.json").write_bytes(canonical_json(head))
    assert check(issued).is_verified
    with pytest.raises(EvidenceError, match="no entry of the ledger that counts") as caught:
        export(issued, tmp_path / "to")
    assert "`evaluator run` with the issuer's key" in str(caught.value)
    assert not (tmp_path / "to").exists()


@pytest.mark.parametrize("name", [*SHOWN, "documents/two_model_card.md"])
def test_not_even_its_issuer_slips_another_page_into_a_bundle(
    original: Issued, tmp_path: Path, name: str
) -> None:
    bundle = export(original, tmp_path)
    (bundle / name).write_text("<html>all is well</html>")
    listed_again(bundle, original.key)
    found = verify_bundle(bundle, trusted=TrustedKeys.of(original.key.public), now=LATER)
    what = "no entry of the ledger that counts names it with these bytes"
    assert _problems_of(found) == f"bundle: {name}: {what}"


def test_of_what_was_shown_of_an_issue_the_newest_is_held(issued: Issued) -> None:
    first = rewritten(issued, SHOWN["report.html"])
    files = {path.relative_to(issued.folder).as_posix(): path for path in first.parent.iterdir()}
    digests = {name: digest_of_bytes(path.read_bytes()) for name, path in files.items()}
    fields = {"author": "evaluator", "reason": "made again", "now": LATER}
    body = {"asset": Asset.DASHBOARD, "issue": str(Path(issued.paths["one"]).parent)}
    enter = Ledger(issued.url, AUDIT).append
    subject = digests[next(name for name in digests if name.endswith("record.json"))]
    enter(
        "publication",
        subject=subject,
        body={**body, "files": digests},
        key=key_of(7),
        **fields,  # type: ignore[arg-type] # the types of a mixed dictionary
    )
    # Whoever knows no such key does not believe it.
    found = check(issued, recompute_again=lambda *_: ())
    assert found.problems
    assert "(publication by evaluator): the key" in "".join(found.cautions)
    both = TrustedKeys.of(issued.key.public, key_of(7).public)
    assert check(issued, trusted=both).is_verified


def revoke(issued: Issued, *, signed: bool = True) -> None:
    Ledger(issued.url, AUDIT).append(
        "revocation",
        subject=digest_of_bytes(issued.certificates["one"]),
        author="grace@example.org",
        reason="the labels were wrong",
        body={},
        now=LATER,
        key=issued.key if signed else None,
    )


def export(issued: Issued, to: Path, name: str = "one") -> Path:
    return export_bundle(
        issued.certificates[name],
        issued.url,
        to / "bundle",
        trusted=TrustedKeys.of(issued.key.public),
        key=issued.key,
        now=LATER,
    )


def _problems_of(found: BundleCheck) -> str:
    return "\n".join([*map(str, found.report.problems), *map(str, found.problems)])
