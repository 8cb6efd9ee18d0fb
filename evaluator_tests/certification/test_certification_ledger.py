"""The ledger takes entries at its end, and shows whatever else was done to it."""

import json
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, strategies as st

from evaluator.certification import (
    GENESIS_HEAD,
    Ledger,
    LedgerHead,
    SigningKey,
    TrustedKeys,
    require_certificate,
    state_of,
)
from evaluator.certification._certificate_state import CertificateState
from evaluator.certification._entries import (
    ChainedEntry,
    EnteredAlreadyError,
    LedgerError,
    LedgerUseError,
)
from evaluator.certification._ledger import Chain, read_chain, read_settled_chain
from evaluator.evidence import Files, canonical_json, digest_of_bytes
from evaluator_tests.certification.checking import bent, is_sentence, many

NOW = datetime(2026, 2, 1, tzinfo=UTC)
CERTIFICATE = "c" * 64
KEY = SigningKey(Ed25519PrivateKey.from_private_bytes(bytes(32)))
BODY = {
    "candidate": "one",
    "outcome": "certified",
    "artifact_digest": "a" * 64,
    "evaluation_set": "e" * 64,
    "valid_from": NOW,
    "valid_until": NOW + timedelta(days=90),
    "path": "shop/certificate/_/1/one.dsse.json",
    "record_sha256": "d" * 64,
}

SHOWN = {
    "asset": "dashboard",
    "issue": "shop/certificate/_/1",
    "files": {"shop/dashboard/_/1/record.json": "f" * 64},
}

Append = Callable[..., ChainedEntry]


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(str(tmp_path), "shop")


@pytest.fixture
def append(ledger: Ledger) -> Append:
    """Append an entry about the one certificate, which is entered first."""

    def make(kind: str, body: dict[str, Any] | None = None, **changes: Any) -> ChainedEntry:
        fields = {
            "subject": CERTIFICATE,
            "author": "ada",
            "reason": "because",
            "body": body or {},
            "now": NOW,
            "key": KEY,
        }
        return ledger.append(kind, **(fields | changes))  # type: ignore[arg-type] # also wrong ones

    make("certificate", BODY)
    return make


def chain_of(folder: Path, **options: Any) -> Chain:
    return read_chain(Files(str(folder)), "shop", **({"trusted": None} | options))


def problems_of(chain: Chain) -> str:
    return "\n".join(map(str, chain.problems))


def state(ledger: Ledger, now: datetime = NOW) -> CertificateState:
    return state_of(ledger.entries(), CERTIFICATE, now)


def test_an_empty_ledger_has_a_head_of_zeros(ledger: Ledger, tmp_path: Path) -> None:
    assert ledger.entries() == ()
    assert ledger.head() == GENESIS_HEAD == LedgerHead(sequence=0, digest="0" * 64)
    assert not any(tmp_path.iterdir())


def test_each_entry_names_the_file_before_it(append: Append, tmp_path: Path) -> None:
    append("sign_off")
    append("revocation")
    files = sorted((tmp_path / "shop" / "ledger").glob("0*.json"))
    assert [file.name for file in files] == ["000001.json", "000002.json", "000003.json"]
    previous = "0" * 64
    for file in files:
        assert json.loads(file.read_bytes())["previous"] == previous
        previous = digest_of_bytes(file.read_bytes())
    head = json.loads((tmp_path / "shop" / "ledger" / "head.json").read_bytes())
    assert (head["sequence"], head["digest"]) == (3, previous)
    assert chain_of(tmp_path, trusted=TrustedKeys.of(KEY.public)).problems == ()


def test_writers_at_the_same_time_each_get_a_number(append: Append, ledger: Ledger) -> None:
    with ThreadPoolExecutor(4) as pool:
        done = list(pool.map(lambda n: append("sign_off", reason=f"reason {n}"), range(16)))
    assert sorted(chained.entry.sequence for chained in done) == list(range(2, 18))
    assert {c.entry.reason for c in ledger.entries()[1:]} == {f"reason {n}" for n in range(16)}


def test_a_number_that_is_taken_is_never_written_over(tmp_path: Path) -> None:
    files = Files(str(tmp_path))
    files.create("x/1.json", b"first")
    with pytest.raises(FileExistsError):
        files.create("x/1.json", b"second")
    assert files.read("x/1.json") == b"first"
    assert files.names("x") == ["1.json"]


def test_a_disk_without_hard_links_serves_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "link", refuse)
    files = Files(str(tmp_path))
    files.create("x/1.json", b"first")
    with pytest.raises(FileExistsError):
        files.create("x/1.json", b"second")
    assert files.read("x/1.json") == b"first"
    assert files.names("x") == ["1.json"]


def test_the_ledger_lives_on_an_object_store_too(tmp_path: Path) -> None:
    url = f"memory://{tmp_path.name}"
    ledger = Ledger(url, "shop")
    fields = {"subject": CERTIFICATE, "author": "ada", "reason": "why", "now": NOW, "key": None}
    ledger.append("certificate", body=BODY, **fields)  # type: ignore[arg-type] # typed above
    ledger.append("sign_off", body={}, **fields)  # type: ignore[arg-type] # typed above
    assert [c.entry.kind for c in ledger.entries()] == ["certificate", "sign_off"]
    with pytest.raises(FileExistsError):
        Files(url).create("shop/ledger/000002.json", b"x")


def test_an_edited_entry_is_found_wherever_it_stands(append: Append, tmp_path: Path) -> None:
    append("sign_off")
    append("sign_off")
    for path in sorted((tmp_path / "shop" / "ledger").iterdir()):
        content = path.read_bytes()
        for old, new in ((b'"ada"', b'"eve"'), (b"\n", b"\n\n"), (b"1", b"2"), (b"{", b"[")):
            bent = content.replace(old, new, 1)
            if bent != content:
                path.write_bytes(bent)
                assert chain_of(tmp_path).problems, (path.name, old)
        path.write_bytes(content)
    assert chain_of(tmp_path).problems == ()


def test_a_removed_entry_is_named(append: Append, tmp_path: Path) -> None:
    append("sign_off")
    append("sign_off")
    folder = tmp_path / "shop" / "ledger"
    for name, expected in (
        ("000001.json", "000001.json: it is gone"),
        ("000002.json", "000002.json: it is gone"),
        ("000003.json", "does not reach entry 3"),
        ("head.json", "head.json: it is gone"),
    ):
        content = (folder / name).read_bytes()
        (folder / name).unlink()
        assert expected in problems_of(chain_of(tmp_path))
        (folder / name).write_bytes(content)


def test_swapped_entries_are_found(append: Append, tmp_path: Path) -> None:
    append("sign_off")
    append("revocation")
    one, two = (tmp_path / "shop" / "ledger" / name for name in ("000002.json", "000003.json"))
    a, b = one.read_bytes(), two.read_bytes()
    one.write_bytes(b)
    two.write_bytes(a)
    assert "it says that it is entry 3" in problems_of(chain_of(tmp_path))


def test_an_added_file_is_found(append: Append, tmp_path: Path) -> None:
    append("sign_off")
    folder = tmp_path / "shop" / "ledger"
    (folder / "note.txt").write_text("hello")
    assert "note.txt: it is no entry" in problems_of(chain_of(tmp_path))
    (folder / "note.txt").unlink()
    (folder / "000009.json").write_bytes((folder / "000002.json").read_bytes())
    assert "000009.json" in problems_of(chain_of(tmp_path))


def test_a_chain_that_was_written_anew_misses_a_head_that_was_kept(
    append: Append, ledger: Ledger, tmp_path: Path
) -> None:
    append("revocation")
    kept = ledger.head()
    for path in (tmp_path / "shop" / "ledger").iterdir():
        path.unlink()
    append("certificate", BODY)
    append("sign_off")
    assert chain_of(tmp_path).problems == ()
    assert "and was" in problems_of(chain_of(tmp_path, known_head=kept))


def test_an_interrupted_write_is_told_and_mended_by_the_next(
    append: Append, tmp_path: Path
) -> None:
    head = tmp_path / "shop" / "ledger" / "head.json"
    before = head.read_bytes()
    append("sign_off")
    head.write_bytes(before)
    chain = chain_of(tmp_path)
    assert chain.problems == ()
    assert "names entry 1, and there are 2" in str(chain.behind)
    append("sign_off")
    assert chain_of(tmp_path).behind is None


def test_a_checkpoint_that_stays_behind_is_a_problem(append: Append, tmp_path: Path) -> None:
    head = tmp_path / "shop" / "ledger" / "head.json"
    before = head.read_bytes()
    append("revocation")
    head.write_bytes(before)
    settled = read_settled_chain(Files(str(tmp_path)), "shop", trusted=None)
    assert "it was set back" in problems_of(settled)


def test_a_checkpoint_that_is_written_meanwhile_is_waited_for(
    append: Append, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    head = tmp_path / "shop" / "ledger" / "head.json"
    before = head.read_bytes()
    append("sign_off")
    after = head.read_bytes()
    head.write_bytes(before)
    monkeypatch.setattr("time.sleep", lambda _: head.write_bytes(after))
    assert read_settled_chain(Files(str(tmp_path)), "shop", trusted=None).problems == ()


def test_nothing_is_added_to_a_broken_chain(append: Append, tmp_path: Path) -> None:
    append("sign_off")
    (tmp_path / "shop" / "ledger" / "000001.json").unlink()
    with pytest.raises(LedgerError, match="nothing is added to a broken chain"):
        append("sign_off")


@pytest.mark.parametrize("kind", ["sign_off", "revocation", "certificate", "publication"])
def test_nothing_unsigned_is_added_where_entries_are_signed(append: Append, kind: str) -> None:
    body = {"certificate": BODY, "publication": SHOWN}.get(kind, {})
    with pytest.raises(LedgerUseError, match="no key to sign this one with"):
        append(kind, body, key=None, subject="d" * 64 if kind == "certificate" else CERTIFICATE)


def test_an_entry_rewritten_with_its_chain_loses_its_signature(
    append: Append, tmp_path: Path
) -> None:
    path = tmp_path / "shop" / "ledger" / "000001.json"
    document = json.loads(path.read_bytes())
    document["body"]["outcome"] = "not certified"
    path.write_bytes(canonical_json(document))
    head = {"format": "evaluator/ledger-head/1", "sequence": 1}
    head["digest"] = digest_of_bytes(path.read_bytes())
    (path.parent / "head.json").write_bytes(canonical_json(head))
    assert chain_of(tmp_path).problems == ()
    assert "is not of the key that it names" in problems_of(
        chain_of(tmp_path, trusted=TrustedKeys.of(KEY.public))
    )
    append("sign_off")


def test_an_entry_in_a_spelling_that_its_signature_does_not_cover_is_refused(
    append: Append, tmp_path: Path
) -> None:
    append("sign_off")
    path = tmp_path / "shop" / "ledger" / "000002.json"
    path.write_bytes(path.read_bytes().replace(b"00:00:00Z", b"00:00:00+00:00"))
    assert "it is not spelled as the ledger spells it" in problems_of(chain_of(tmp_path))


@pytest.mark.parametrize("what", ["author", "reason"])
def test_words_that_cannot_be_written_are_the_callers_mistake(append: Append, what: str) -> None:
    with pytest.raises(LedgerUseError, match=what):
        append("sign_off", **{what: "\udcff"})


@pytest.mark.parametrize("name", ["000001.json", "head.json"])
@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"[" * 200_000, "it is nested too deep"),
        (b'{"a":1,"a":1}', "the key `a` stands twice"),
        (b'{"a":NaN}', "NaN stands in it"),
        (b'{"a":"\\udfff"}', "half of a surrogate pair"),
    ],
)
@pytest.mark.usefixtures("append")
def test_a_file_of_the_ledger_that_is_none_is_one_sentence(
    tmp_path: Path, name: str, content: bytes, what: str
) -> None:
    (tmp_path / "shop" / "ledger" / name).write_bytes(content)
    assert f"shop/ledger/{name}: " in problems_of(chain_of(tmp_path))
    assert what in problems_of(chain_of(tmp_path))


@pytest.mark.slow
@many
@given(data=st.data())
def test_of_any_bytes_in_a_ledger_there_come_sentences(
    append: Append, tmp_path: Path, data: st.DataObject
) -> None:
    folder = tmp_path / "shop" / "ledger"
    if len([*folder.iterdir()]) == 2:
        append("sign_off")
        append("waiver", {"gate": "accuracy", "until": NOW + timedelta(days=1)})
        append("revocation", {"scope": "audit"})
        append("correction", {"corrects": 4})
        append("key_revocation", subject=KEY.public.key_id)
    path = data.draw(st.sampled_from(sorted(folder.iterdir())))
    as_it_was = path.read_bytes()
    path.write_bytes(data.draw(bent(as_it_was)))
    chain = chain_of(tmp_path, trusted=TrustedKeys.of(KEY.public))
    path.write_bytes(as_it_was)
    for problem in filter(None, (*chain.problems, chain.behind)):
        is_sentence(problem.what)
    for moment in (NOW, NOW + timedelta(days=100)):
        assert state_of(chain.entries, CERTIFICATE, moment).reason
        assert require_certificate(chain.entries, "one", "a" * 64, moment).reason


def test_a_certificate_is_valid_until_it_expires(append: Append, ledger: Ledger) -> None:
    assert append("sign_off").entry.kind == "sign_off"
    assert state(ledger).state == "valid"
    assert [e.author for e in state(ledger).sign_offs] == ["ada"]
    end = NOW + timedelta(days=90)
    assert state(ledger, end - timedelta(seconds=1)).stands
    assert state(ledger, end).state == "expired"
    assert state(ledger, NOW - timedelta(seconds=1)).state == "not yet valid"


def test_a_certificate_that_was_never_entered_is_unknown(append: Append, ledger: Ledger) -> None:
    append("sign_off")
    unknown = state_of(ledger.entries(), "f" * 64, NOW)
    assert unknown.state == "unknown"
    assert not unknown.stands


def test_a_revoked_certificate_does_not_stand_until_that_is_corrected(
    append: Append, ledger: Ledger
) -> None:
    revocation = append("revocation", reason="the labels were wrong")
    assert state(ledger).state == "revoked"
    assert not state(ledger).stands
    assert "the labels were wrong" in state(ledger).reason
    append("correction", {"corrects": revocation.entry.sequence}, reason="another audit was meant")
    assert state(ledger).state == "valid"


def test_a_waiver_counts_while_it_lasts(append: Append, ledger: Ledger) -> None:
    until = NOW + timedelta(days=3)
    append("waiver", {"gate": "recall overall at least 0.9", "until": until})
    assert state(ledger).state == "waived"
    assert state(ledger).stands
    assert "recall overall at least 0.9" in state(ledger).reason
    assert state(ledger, until).state == "valid"


@pytest.mark.parametrize(
    ("kind", "changes", "what"),
    [
        ("certificate", {"body": BODY}, "this certificate is in the ledger already"),
        ("publication", {"body": SHOWN | {"files": {}}}, "`files` of a publication"),
        ("publication", {}, "`asset` of a publication"),
        ("sign_off", {"subject": "f" * 64}, "knows no such certificate"),
        ("correction", {"body": {"corrects": 1}}, "no decision about this certificate"),
        ("correction", {"body": {"corrects": 9}}, "no decision about this certificate"),
        ("waiver", {"body": {"gate": "recall"}}, "`until` of a waiver"),
        ("waiver", {"body": {"gate": "recall", "until": datetime(2026, 3, 1)}}, "`until`"),  # noqa: DTZ001 - a time without its zone is what is refused
        ("sign_off", {"body": {"extra": 1}}, "`extra` of a sign_off"),
        ("sign_off", {"author": " "}, "`author`"),
        ("sign_off", {"reason": ""}, "`reason`"),
        ("sign_off", {"now": datetime(2026, 3, 1)}, "`time`"),  # noqa: DTZ001 - as above
        ("praise", {}, "no kind of entry"),
    ],
)
def test_an_entry_that_cannot_be_is_refused(
    append: Append, ledger: Ledger, kind: str, changes: dict[str, Any], what: str
) -> None:
    before = ledger.head()
    with pytest.raises(LedgerUseError, match=what):
        append(kind, **changes)
    assert ledger.head() == before


def test_what_is_shown_is_entered_once_and_is_no_decision(append: Append, ledger: Ledger) -> None:
    append("publication", SHOWN, subject="f" * 64)
    before = ledger.head()
    with pytest.raises(EnteredAlreadyError, match="this publication is in the ledger already"):
        append("publication", SHOWN, subject="f" * 64)
    for subject in (CERTIFICATE, "f" * 64):
        with pytest.raises(LedgerUseError):
            append("correction", {"corrects": 2}, subject=subject)
    assert ledger.head() == before


def test_only_exactly_the_certified_artifact_may_be_released(
    append: Append, ledger: Ledger
) -> None:
    append("sign_off")
    met = require_certificate(ledger.entries(), "one", "a" * 64, NOW)
    assert met.is_met
    assert met.certificate is not None
    assert met.certificate.subject == CERTIFICATE
    for candidate, digest in (("two", "a" * 64), ("one", "b" * 64)):
        refused = require_certificate(ledger.entries(), candidate, digest, NOW)
        assert not refused.is_met
        assert "no certificate" in refused.reason
        assert refused.certificate is None
    late = require_certificate(ledger.entries(), "one", "a" * 64, NOW + timedelta(days=90))
    assert not late.is_met
    assert "expired" in late.reason


def test_a_revoked_artifact_may_not_be_released(append: Append, ledger: Ledger) -> None:
    append("revocation", reason="the labels were wrong")
    refused = require_certificate(ledger.entries(), "one", "a" * 64, NOW)
    assert not refused.is_met
    assert "the labels were wrong" in refused.reason


@pytest.mark.parametrize("outcome", ["not certified", "undecided"])
def test_the_newest_certificate_of_an_artifact_decides(
    append: Append, ledger: Ledger, outcome: str
) -> None:
    append("certificate", BODY | {"outcome": outcome}, subject="b" * 64)
    refused = require_certificate(ledger.entries(), "one", "a" * 64, NOW)
    assert not refused.is_met
    assert refused.reason == "its newest certificate does not certify it"
    assert refused.certificate is not None
    assert refused.certificate.subject == "b" * 64
