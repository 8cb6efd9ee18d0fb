"""Whose word moves a certificate: entries that count, and those that nobody has to believe."""

import shutil
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, get_args

import pytest

from evaluator.certification import (
    Ledger,
    LedgerHead,
    SigningKey,
    TrustedKey,
    TrustedKeys,
    check_release,
)
from evaluator.certification._entries import EntryKind, LedgerEntry
from evaluator.certification._ledger import read_chain
from evaluator.certification._release import Release
from evaluator.certification._signatures import SigningKeyError
from evaluator.certification._statement import Commitment, Statement
from evaluator.certification._verification_report import VerificationReport
from evaluator.evidence import Files, canonical_json, digest_of_bytes
from evaluator.scorecard import Asset
from evaluator.spec import AuditSpec
from evaluator_tests.certification.checking import check, key_of, problems
from evaluator_tests.certification.evidence_folder import AUDIT, LATER, Builder, Issued
from evaluator_tests.certification.evidence_spec import SPEC

ISSUER, ADA, MALLORY, NEXT = key_of(1), key_of(2), key_of(3), key_of(4)
# Nothing of it takes long: what is asked here is who said something, and not what.
_PLAIN = {
    key: value
    for key, value in SPEC.model_dump(mode="json", exclude_unset=True).items()
    if key not in {"fairness", "weak_slices", "compare", "additional_slices", "more_slices"}
}
LENIENT = AuditSpec.model_validate(_PLAIN | {"gates": [{"metric": "accuracy", "at_least": 0.1}]})
STRICT = AuditSpec.model_validate(_PLAIN | {"gates": [{"metric": "accuracy", "at_least": 0.9}]})


def issuer(key: SigningKey, name: str | None = None) -> TrustedKey:
    return TrustedKey(key=key.public, roles=frozenset({"issuer"}), name=name)


def reviewer(key: SigningKey, name: str | None = None) -> TrustedKey:
    return TrustedKey(key=key.public, roles=frozenset({"reviewer"}), name=name)


TRUSTED = TrustedKeys([issuer(ISSUER, "audit"), reviewer(ADA, "Ada")])


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Issued:
    """One candidate certified and one not wholly evaluated, in a ledger that the issuer signed."""
    found = Builder(tmp_path_factory.mktemp("original"), LENIENT).issue(ISSUER)
    assert check(found, trusted=TRUSTED).result == "VERIFIED"
    return found


@pytest.fixture
def issued(original: Issued, tmp_path: Path) -> Issued:
    shutil.copytree(original.folder, tmp_path / "evidence")
    return replace(original, folder=tmp_path / "evidence")


def looked_at(issued: Issued, name: str = "one", **options: Any) -> VerificationReport:
    """Check all but the figures."""
    return check(issued, name, **({"recompute_again": lambda *_: ()} | options))


def enter(
    issued: Issued,
    kind: str,
    key: SigningKey | None,
    *,
    author: str = "Ada",
    name: str = "one",
    body: Mapping[str, Any] | None = None,
    subject: str | None = None,
) -> int:
    """Append an entry as whoever can write to the folder does: no rule keeps them from it."""
    ledger = Ledger(issued.url, AUDIT)
    head = ledger.head()
    entry = LedgerEntry.model_validate(
        {
            "audit": AUDIT,
            "sequence": head.sequence + 1,
            "previous": head.digest,
            "time": LATER,
            "kind": kind,
            "author": author,
            "reason": "because",
            "subject": subject or digest_of_bytes(issued.certificates[name]),
            "body": dict(body or {}),
        }
    )
    content = (entry.signed(key) if key else entry).to_bytes()
    folder = issued.folder / AUDIT / "ledger"
    (folder / f"{entry.sequence:06}.json").write_bytes(content)
    said = {"format": "evaluator/ledger-head/1", "sequence": entry.sequence}
    (folder / "head.json").write_bytes(canonical_json(said | {"digest": digest_of_bytes(content)}))
    return entry.sequence


def state(issued: Issued, trusted: TrustedKeys = TRUSTED, **options: Any) -> str:
    found = looked_at(issued, trusted=trusted, **options).state
    assert found is not None
    return found.state


def release(
    issued: Issued,
    *,
    trusted: TrustedKeys | None = TRUSTED,
    spec: AuditSpec = LENIENT,
    now: datetime = LATER,
    known_head: LedgerHead | None = None,
) -> Release:
    artifact = digest_of_bytes(b"one")
    return check_release(
        issued.url, spec, AUDIT, "one", artifact, trusted=trusted, now=now, known_head=known_head
    )


def test_a_signed_certificate_of_the_declared_audit_is_released(issued: Issued) -> None:
    answer = release(issued)
    assert answer.is_met
    assert answer.cautions == ()


def test_an_unsigned_entry_releases_nothing(tmp_path: Path) -> None:
    unsigned = Builder(tmp_path, LENIENT).issue(ISSUER, signed=False)
    answer = release(unsigned)
    assert not answer.is_met
    assert "does not count: it is not signed" in answer.reasons[0]
    loud = release(unsigned, trusted=None)
    assert loud.is_met
    assert "UNSIGNED EVIDENCE" in loud.cautions[0]


@pytest.mark.parametrize("key", [None, MALLORY], ids=["unsigned", "of another's key"])
def test_a_forged_correction_does_not_undo_a_revocation(
    issued: Issued, key: SigningKey | None
) -> None:
    revocation = enter(issued, "revocation", ADA)
    enter(issued, "correction", key, body={"corrects": revocation})
    assert state(issued) == "revoked"
    assert not looked_at(issued, trusted=TRUSTED).is_verified
    assert not release(issued).is_met


def test_a_reviewers_correction_undoes_a_revocation(issued: Issued) -> None:
    revocation = enter(issued, "revocation", ADA)
    assert state(issued) == "revoked"
    enter(issued, "correction", ADA, body={"corrects": revocation})
    assert state(issued) == "valid"
    assert release(issued).is_met


@pytest.mark.parametrize("key", [None, MALLORY, ISSUER, ADA])
def test_a_revocation_counts_whoever_enters_it(issued: Issued, key: SigningKey | None) -> None:
    enter(issued, "revocation", key)
    assert state(issued) == "revoked"
    assert not release(issued).is_met


@pytest.mark.parametrize("key", [None, MALLORY, ADA])
def test_a_certificate_that_no_issuer_entered_releases_nothing(
    issued: Issued, key: SigningKey | None
) -> None:
    first = Ledger(issued.url, AUDIT).entries()[0].entry
    body = first.body | {"artifact_digest": "f" * 64}
    enter(issued, "certificate", key, body=body, subject="e" * 64)
    forged = check_release(issued.url, LENIENT, AUDIT, "one", "f" * 64, trusted=TRUSTED, now=LATER)
    assert not forged.is_met


@pytest.mark.parametrize("kind", ["sign_off", "waiver", "correction"])
def test_an_issuer_decides_nothing_that_a_reviewer_has_to(issued: Issued, kind: str) -> None:
    revocation = enter(issued, "revocation", ADA) if kind == "correction" else 0
    body = {
        "waiver": {"gate": "any", "until": (LATER + timedelta(days=1)).isoformat()},
        "correction": {"corrects": revocation},
    }.get(kind, {})
    enter(issued, kind, ISSUER, author="audit", body=body)
    report = looked_at(issued, trusted=TRUSTED)
    assert report.state is not None
    assert report.state.sign_offs == ()
    assert report.state.state == ("revoked" if kind == "correction" else "valid")
    assert any("its key is no reviewer's; it does not count" in c for c in report.cautions)


def test_what_a_person_with_a_key_decides_counts_with_that_key_alone(issued: Issued) -> None:
    bob = TRUSTED + TrustedKeys([reviewer(NEXT, "Bob")])
    enter(issued, "sign_off", NEXT, author="Ada")
    enter(issued, "sign_off", NEXT, author="Carol")
    enter(issued, "sign_off", NEXT, author="Bob")
    report = looked_at(issued, trusted=bob)
    assert report.state is not None
    assert [entry.author for entry in report.state.sign_offs] == ["Bob"]
    told = "\n".join(report.cautions)
    assert "Ada has a key, and another one signed it" in told
    assert "it says Carol, and the key is Bob's" in told


def test_a_certificate_stays_verifiable_under_its_key_when_another_one_comes_after(
    issued: Issued,
) -> None:
    old = issued.certificates["one"]
    again = Builder(issued.folder, STRICT).issue(NEXT)
    rotated = TrustedKeys([issuer(ISSUER), issuer(NEXT), reviewer(ADA, "Ada")])
    before = Issued(issued.folder, {"one": old}, issued.paths, ISSUER)
    for trusted in (rotated, TRUSTED):
        report = looked_at(before, trusted=trusted)
        assert report.result == "VERIFIED"
        assert report.key_id == ISSUER.public.key_id
    assert looked_at(again, trusted=rotated).result == "VERIFIED"
    assert looked_at(again, trusted=rotated).cautions == ()
    assert looked_at(again, trusted=TRUSTED).result == "FAILED"
    assert any(
        "is not trusted; it does not count" in c
        for c in looked_at(before, trusted=TRUSTED).cautions
    )


def revoke_key(issued: Issued, key: SigningKey, by: SigningKey | None) -> int:
    return enter(issued, "key_revocation", by, subject=key.public.key_id)


def test_what_a_revoked_key_signed_is_void_but_for_whoever_kept_a_head(issued: Issued) -> None:
    head = Ledger(issued.url, AUDIT).head()
    revoke_key(issued, ISSUER, ADA)
    assert state(issued) == "void"
    assert not release(issued).is_met
    assert state(issued, known_head=head) == "valid"
    assert release(issued, known_head=head).is_met
    later = Builder(issued.folder, STRICT).issue(ISSUER)
    assert state(later, known_head=Ledger(issued.url, AUDIT).head()) == "void"


@pytest.mark.parametrize("by", [None, MALLORY])
def test_nobody_but_a_trusted_key_revokes_a_key(issued: Issued, by: SigningKey | None) -> None:
    revoke_key(issued, ISSUER, by)
    assert state(issued) == "valid"


def test_a_key_that_is_revoked_revokes_no_other(issued: Issued) -> None:
    revoke_key(issued, ADA, ISSUER)
    revoke_key(issued, ISSUER, ADA)
    assert state(issued) == "valid"


@pytest.mark.parametrize(
    ("scope", "revoked"), [("artifact", ["one"]), ("candidate", ["one"]), ("audit", ["one", "two"])]
)
def test_a_revocation_is_of_an_artifact_a_candidate_or_the_audit(
    issued: Issued, scope: str, revoked: list[str]
) -> None:
    enter(issued, "revocation", ADA, body={"scope": scope})
    states = {name: looked_at(issued, name, trusted=TRUSTED).state for name in ("one", "two")}
    assert [name for name, found in states.items() if found and found.state == "revoked"] == revoked


def test_a_later_certificate_of_a_revoked_artifact_is_revoked_too(issued: Issued) -> None:
    enter(issued, "revocation", ADA)
    later = Builder(issued.folder, STRICT).issue(ISSUER)
    assert later.certificates["one"] != issued.certificates["one"]
    assert state(later) == "revoked"


def test_a_gate_that_was_made_stricter_without_a_run_is_told(issued: Issued) -> None:
    answer = release(issued, spec=STRICT)
    assert not answer.is_met
    assert "declared otherwise now than it was judged: gates changed" in answer.reasons[0]


def test_a_certificates_file_that_was_exchanged_or_lost_releases_nothing(issued: Issued) -> None:
    path = issued.folder / Ledger(issued.url, AUDIT).entries()[0].entry.body["path"]
    content = path.read_bytes()
    path.write_bytes(content + b" ")
    assert "is another one" in release(issued).reasons[0]
    path.unlink()
    assert "is gone" in release(issued).reasons[0]
    enter(issued, "revocation", ADA)
    first, second = release(issued).reasons
    assert "does not stand" in first
    assert "is gone" in second


def test_a_declaration_that_nobody_can_read_releases_nothing(tmp_path: Path) -> None:
    class Garbled(Builder):
        def write(self, asset: str, files: Any, upstream: Any, **more: Any) -> Any:
            if asset == Asset.AUDIT_SPEC:
                files = dict.fromkeys(files, b"{}")
            return super().write(asset, files, upstream, **more)

        def bound(self, statement: Statement) -> Statement:
            bound = Commitment(root="0" * 64, cases=80)
            predicate = statement.predicate.model_copy(update={"commitment": bound})
            return statement.model_copy(update={"predicate": predicate})

    answer = release(Garbled(tmp_path, LENIENT).issue(ISSUER))
    assert not answer.is_met
    assert answer.reasons == (
        "the declaration that it was judged by is none that this program reads",
    )


def test_a_ledger_that_does_not_run_through_a_kept_head_releases_nothing(issued: Issued) -> None:
    kept = LedgerHead(sequence=2, digest="9" * 64)
    answer = release(issued, known_head=kept)
    assert not answer.is_met
    assert "entry 2 is" in answer.reasons[0]


def test_a_release_of_a_broken_ledger_is_refused(issued: Issued) -> None:
    (issued.folder / AUDIT / "ledger" / "000001.json").write_bytes(b"{}")
    assert not release(issued).is_met


def _write_keys(folder: Path, text: str) -> Path:
    (folder / "audit.pem").write_bytes(ISSUER.public.pem)
    (folder / "ada.pem").write_bytes(ADA.public.pem)
    path = folder / "trusted.toml"
    path.write_text(text)
    return path


def test_trusted_keys_are_read_by_role_and_name(tmp_path: Path) -> None:
    text = '[issuer]\naudit = "audit.pem"\n[reviewer]\n"Ada" = "ada.pem"\n'
    found = TrustedKeys.read(_write_keys(tmp_path, text))
    told = {(known.name, known.key.key_id, *known.roles) for known in found}
    assert told == {
        ("audit", ISSUER.public.key_id, "issuer"),
        ("Ada", ADA.public.key_id, "reviewer"),
    }
    (single,) = TrustedKeys.read(tmp_path / "audit.pem")
    assert (single.name, single.roles) == (None, {"issuer", "reviewer"})


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("[issuer", "neither a public key in PEM nor a list of trusted keys"),
        (f"a = {'[' * 5_000}", "neither a public key in PEM nor a list of trusted keys"),
        (f"a = {'9' * 6_000}", "neither a public key in PEM nor a list of trusted keys"),
        ("a = 2013-02-30", "neither a public key in PEM nor a list of trusted keys"),
        ("[judge]\nx = 'audit.pem'", "`judge"),
        ("[issuer]\nx = 3", "`issuer.x`"),
        ("[issuer]\n' ' = 'audit.pem'", "`issuer"),
        ("[issuer]\nx = 'absent.pem'", "cannot be read"),
    ],
)
def test_a_list_of_trusted_keys_that_is_none_says_so(tmp_path: Path, text: str, what: str) -> None:
    with pytest.raises(SigningKeyError, match=what):
        TrustedKeys.read(_write_keys(tmp_path, text))


def test_the_environment_names_trusted_keys(tmp_path: Path) -> None:
    path = _write_keys(tmp_path, '[issuer]\naudit = "audit.pem"\n')
    found = TrustedKeys.from_environment({"EVALUATOR_TRUSTED_KEYS": str(path)})
    assert found is not None
    assert found.issuers() == [ISSUER.public.key_id]
    assert TrustedKeys.from_environment({}) is None


def test_a_certificate_that_heeds_a_waiver_which_nobody_entered_is_found(issued: Issued) -> None:
    class Heeding(Builder):
        def entered(self, ledger: Ledger, names: Any) -> Any:
            found = super().entered(ledger, names)
            return [one._replace(entry="5" * 64) for one in found]

    until = (LATER + timedelta(days=1)).isoformat()
    enter(issued, "waiver", ADA, body={"gate": "accuracy", "until": until})
    forged = Heeding(issued.folder, SPEC).issue(ISSUER)
    found = problems(check(forged, trusted=TRUSTED))
    assert "it heeds a waiver that was not in force: entry 555555555555…" in found
    assert "it does not heed the waiver of accuracy by Ada" in found


def documented_entries() -> dict[str, list[str]]:
    """Read from docs/certificate.md what becomes of each kind of entry, by who signed it."""
    text = (Path(__file__).parents[2] / "docs" / "certificate.md").read_text(encoding="utf-8")
    table = text.partition("| entry |")[2].partition("\n\n")[0].splitlines()[2:]
    rows = [[cell.strip(" `") for cell in line.strip("|").split("|")] for line in table]
    return {kind: words for kind, *words in rows}


BODY_OF = {
    "certificate": {
        "candidate": "one",
        "outcome": "certified",
        "artifact_digest": digest_of_bytes(b"one"),
        "evaluation_set": "0" * 64,
        "valid_from": "2026-01-01T00:00:00Z",
        "valid_until": "2027-01-01T00:00:00Z",
        "path": "shop/x",
        "record_sha256": "0" * 64,
    },
    "publication": {
        "asset": "dashboard",
        "issue": "shop/certificate/_/x",
        "files": {"shop/dashboard/_/x/record.json": "0" * 64},
    },
    "waiver": {"gate": "accuracy", "until": "2027-01-01T00:00:00Z"},
    "correction": {"corrects": 1},
    "revocation": {"scope": "artifact"},
}


@pytest.mark.parametrize("kind", get_args(EntryKind))
def test_every_kind_of_entry_counts_as_the_documentation_says(kind: str, issued: Issued) -> None:
    folder = issued.folder / AUDIT / "ledger"
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    found = []
    for key in (None, MALLORY, ISSUER, ADA):
        author = "audit" if key is ISSUER else "Ada"
        number = enter(issued, kind, key, author=author, body=BODY_OF.get(kind), subject="1" * 64)
        chain = read_chain(Files(issued.url), AUDIT, trusted=TRUSTED)
        # What fails does not count, but for a revocation.
        word = "does not count" if chain.entries[-1].void else "counts"
        if chain.problems:
            word = "fails, and counts" if word == "counts" else "fails"
        found.append(word)
        (folder / f"{number:06}.json").unlink()
        (folder / "head.json").write_bytes(before["head.json"])
    assert found == documented_entries()[kind]
