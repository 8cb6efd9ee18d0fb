"""Conformance vectors: two good bundles, and what is changed of them, with the expected answer.

``python -m evaluator_tests.certification.vectors`` writes them anew into ``docs/vectors``, which is
needed where the format of bundles changes, or what the small evidence folder holds.
"""

import base64
import json
import shutil
import sys
import tempfile
import zipfile
from collections.abc import Callable, Collection
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path, PurePosixPath
from typing import Any

from evaluator.certification import (
    Ledger,
    LedgerHead,
    SigningKey,
    TrustedKeys,
    export_bundle,
    parse_envelope,
    verify_bundle,
)
from evaluator.certification._bundle import (
    CERTIFICATE,
    EVIDENCE,
    LEAVES,
    MANIFEST,
    MANIFEST_TYPE,
    PUBLIC_KEY,
    REDACTION,
    STAND_INS,
)
from evaluator.certification._entries import parse_entry
from evaluator.certification._publications import REPORT
from evaluator.certification._signatures import IN_TOTO, load_public_key, seal
from evaluator.evidence import RECORD, canonical_json, digest_of_bytes
from evaluator_tests.certification.checking import key_of, listed_again
from evaluator_tests.certification.evidence_folder import (
    AUDIT,
    LATER,
    NOW,
    SECRET,
    VALID_UNTIL,
    Builder,
)
from evaluator_tests.certification.evidence_spec import redacting

FOLDER = Path(__file__).parents[2] / "docs" / "vectors"
VECTORS = "vectors.json"
GOOD, REDACTED = "good.zip", "redacted.zip"
ISSUER, OTHER = "issuer.public.pem", "other.public.pem"
KEY, OTHER_KEY = key_of(1), key_of(2)
LEDGER = f"{EVIDENCE}/{AUDIT}/ledger"
PAYLOAD = b'{"payload":"'
"""How an envelope begins."""
DEEP = b"[" * 2000


@dataclass(frozen=True, kw_only=True)
class Vector:
    """A changed bundle, how it is checked, and what has to come out."""

    name: str
    bundle: str
    """The archive of the bundle that is changed."""
    what: str
    """What is changed."""
    changes: list[dict[str, Any]]
    key: str | None
    """The trusted key, in every role."""
    head: str | None
    """A ledger's head that was kept."""
    now: str
    result: str
    state: str | None
    """What the ledger says of the certificate; null where the statement cannot be read."""
    problem: dict[str, str] | None
    """By its check and file, one that has to be among those that are found."""

    def trusted(self) -> TrustedKeys | None:
        """Whom to trust."""
        return None if self.key is None else TrustedKeys.of(load_public_key(FOLDER / self.key))

    def known_head(self) -> LedgerHead | None:
        """The ledger's head that was kept."""
        if self.head is None:
            return None
        sequence, digest = self.head.split(":")
        return LedgerHead(sequence=int(sequence), digest=digest)

    def moment(self) -> datetime:
        """When it is checked."""
        return datetime.fromisoformat(self.now)

    def apply(self, bundle: Path) -> None:
        """Change a copy of its bundle."""
        for change in self.changes:
            path = bundle / change["path"]
            if change.get("remove_file"):
                path.unlink()
                continue
            content = path.read_bytes() if path.exists() else b""
            before, after = b"", b""
            if change.get("in") == "payload":
                end = content.index(b'"', len(PAYLOAD))
                before, after = content[: len(PAYLOAD)], content[end:]
                content = base64.b64decode(content[len(PAYLOAD) : end])
            path.parent.mkdir(parents=True, exist_ok=True)
            start, end = change["at"], change["at"] + change["remove"]
            content = content[:start] + change["insert"].encode() + content[end:]
            if before:
                content = before + base64.b64encode(content) + after
            path.write_bytes(content)


def read_vectors() -> list[Vector]:
    """Read what is published."""
    document = json.loads((FOLDER / VECTORS).read_text(encoding="utf-8"))
    return [Vector(**one) for one in document["vectors"]]


def unpack(archive: str, to: Path) -> Path:
    """Lay a good bundle as it is published."""
    with zipfile.ZipFile(FOLDER / archive) as opened:
        opened.extractall(to)
    return to


# What follows makes them.

LISTED = ", and the issuer's manifest lists what is there then"
Change = Callable[[Path], object]
_CASES: list[tuple[str, str, Change, dict[str, Any]]] = []


def case(name: str, what: str, change: Change | None = None, **expected: Any) -> Any:
    """Register a case, or let a decorated function be its change.

    `found` is the check and the file, as a pattern, of what has to be found; with `listed` the
    issuer's manifest lists the bundle as it is then.
    """
    if change is None:
        return lambda function: case(name, what, function, **expected) or function
    _CASES.append((name, what, change, expected))
    return None


def evidence_file(bundle: Path, asset: str, name: str) -> Path:
    """Find a file of the evidence."""
    return next((bundle / EVIDENCE / AUDIT / asset).rglob(name))


def respelled(bundle: Path, change: Callable[[bytes], bytes], key: SigningKey | None) -> None:
    """Change the certificate's payload as bytes, and sign it."""
    path = bundle / CERTIFICATE
    payload = parse_envelope(path.read_bytes(), CERTIFICATE).payload
    changed = change(payload)
    assert changed != payload
    path.write_bytes(seal(changed, IN_TOTO, key).to_bytes())


def enter(bundle: Path, kind: str, key: SigningKey | None, **changes: Any) -> None:
    """Add an entry about the certificate, and list the bundle's files again as its issuer would."""
    path = bundle / CERTIFICATE
    fields = {
        "subject": digest_of_bytes(path.read_bytes()),
        "author": "grace@example.org",
        "reason": "the labels were wrong",
        "body": {},
        "now": LATER,
    } | changes
    ledger = Ledger(str(bundle / EVIDENCE), AUDIT)
    if key is None:
        # The program would refuse; whoever edits files does not.
        ledger.append(kind, key=KEY, **fields)  # type: ignore[arg-type]  # kinds are words here
        last = max((bundle / LEDGER).glob("0*.json"))
        rewrite(last, signature=None)
    else:
        ledger.append(kind, key=key, **fields)  # type: ignore[arg-type]  # kinds are words here
    listed_again(bundle, KEY)


def rewrite(entry: Path, **changes: Any) -> None:
    """Write an entry otherwise, and the checkpoint behind it."""
    document = json.loads(entry.read_bytes()) | changes
    entry.write_bytes(canonical_json(document))
    set_head(entry.parent, int(entry.stem))


def set_head(ledger: Path, sequence: int) -> None:
    """Let the checkpoint name an entry."""
    head = ledger / "head.json"
    entry = ledger / f"{sequence:06d}.json"
    said = {"sequence": sequence, "digest": digest_of_bytes(entry.read_bytes())}
    head.write_bytes(canonical_json(json.loads(head.read_bytes()) | said))


def head_of(bundle: Path) -> str:
    """Spell the ledger's head as a check prints it."""
    head = json.loads((bundle / LEDGER / "head.json").read_bytes())
    return f"{head['sequence']}:{head['digest']}"


def replace_once(old: bytes, new: bytes) -> Callable[[bytes], bytes]:
    """Make a change of one place."""

    def change(content: bytes) -> bytes:
        assert content.count(old) >= 1, old
        return content.replace(old, new, 1)

    return change


@case("good", "nothing", result="VERIFIED")
@case("no-key", "nothing, and no key is given", key=None, result="INTACT, BUT NOT PROVEN")
@case("wrong-key", "nothing, and another key is given", key=OTHER, found=("signature", CERTIFICATE))
@case(
    "expired",
    "nothing, and the moment is the end of its validity",
    now=VALID_UNTIL,
    result="DOES NOT STAND (expired)",
)
@case(
    "last-moment",
    "nothing, and the moment is the last one before",
    now=VALID_UNTIL - timedelta(microseconds=1),
    result="VERIFIED",
)
@case(
    "not-yet-valid",
    "nothing, and the moment is before its validity",
    now=NOW - timedelta(seconds=1),
    result="DOES NOT STAND (not yet valid)",
)
@case(
    "kept-head-of-another-ledger",
    "nothing, and a head was kept that this chain never had",
    head="2:" + "9" * 64,
    found=("ledger", f"{AUDIT}/ledger"),
)
def _nothing(_: Path) -> None:
    pass


def flip(path: Path, at: int) -> None:
    """Exchange a byte for another one that is text."""
    content = bytearray(path.read_bytes())
    content[at] = ord("x") if content[at] != ord("x") else ord("y")
    path.write_bytes(content)


case(
    "flipped-byte",
    "a byte of the raw file, which the shared list alone names",
    lambda bundle: flip(evidence_file(bundle, "raw_data", "*.csv"), 300),
    found=("evidence", "cases-2026-01-01.csv"),
)
case(
    "refused-row-changed",
    "a byte of the refused rows",
    lambda bundle: flip(evidence_file(bundle, "quarantined_rows", "*.parquet"), 10),
    found=("evidence", "quarantined_rows.parquet"),
    listed=True,
)
case(
    "day-report-changed",
    "a byte of a day's report",
    lambda bundle: flip(evidence_file(bundle, "data_quality_report", "profile.json"), 20),
    found=("evidence", "profile.json"),
    listed=True,
)
case(
    "removed-file",
    "the declaration is gone, which the shared list alone names",
    lambda bundle: evidence_file(bundle, "audit_spec", "spec.json").unlink(),
    found=("evidence", "spec.json"),
)
case(
    "removed-file-unlisted",
    "typed rows are gone",
    lambda bundle: evidence_file(bundle, "validated_data", "typed_rows.parquet").unlink(),
    found=("evidence", "typed_rows.parquet"),
    listed=True,
)
case(
    "shared-list-changed",
    "a byte of the shared list",
    lambda bundle: flip(evidence_file(bundle, "shared_evidence", "evidence.json"), 100),
    found=("evidence", "evidence.json"),
    listed=True,
)


@case(
    "shared-list-that-fits-a-changed-file",
    "a byte of the raw file, and the shared list names it so",
    found=("evidence", "evidence.json"),
    listed=True,
)
def _list_fits(bundle: Path) -> None:
    path = evidence_file(bundle, "raw_data", "*.csv")
    before = digest_of_bytes(path.read_bytes())
    flip(path, 300)
    fits = replace_once(before.encode(), digest_of_bytes(path.read_bytes()).encode())
    shared = evidence_file(bundle, "shared_evidence", "evidence.json")
    shared.write_bytes(fits(shared.read_bytes()))


case(
    "shared-list-gone",
    "the shared list is gone",
    lambda bundle: evidence_file(bundle, "shared_evidence", "evidence.json").unlink(),
    found=("evidence", "evidence.json"),
    listed=True,
)


@case("added-file", "a file is added", found=("bundle", f"{EVIDENCE}/{AUDIT}/more.txt"))
def _added(bundle: Path) -> None:
    (bundle / EVIDENCE / AUDIT / "more.txt").write_text("more")


case(
    "added-file-listed",
    "a file is added that neither certificate nor ledger names",
    _added,
    found=("bundle", f"{EVIDENCE}/{AUDIT}/more.txt"),
    listed=True,
)


@case(
    "added-folder-in-a-version",
    "a folder with a file is added to a version that the shared list names",
    found=("bundle", "more.txt"),
    listed=True,
)
def _added_in_a_version(bundle: Path) -> None:
    folder = evidence_file(bundle, "evaluation_set", "record.json").parent / "more"
    folder.mkdir()
    (folder / "more.txt").write_text("more")


@case("changed-report", "the report", found=("bundle", REPORT))
def _report(bundle: Path) -> None:
    (bundle / REPORT).write_text("<html>all is well</html>")


@case(
    "changed-report-listed-by-another",
    "the report, and the manifest is signed again by another key",
    found=("bundle", MANIFEST),
)
def _report_listed(bundle: Path) -> None:
    _report(bundle)
    listed_again(bundle, OTHER_KEY)


case(
    "changed-model-card-listed",
    "the model card, which the ledger names otherwise",
    lambda bundle: (bundle / "documents" / "one_model_card.html").write_text(
        "<html>all is well</html>"
    ),
    found=("bundle", "documents/one_model_card.html"),
    listed=True,
)
case(
    "manifest-unsigned",
    "the manifest has no signature",
    lambda bundle: listed_again(bundle, None),
    found=("bundle", MANIFEST),
)
case(
    "manifest-gone",
    "the manifest is gone",
    lambda bundle: (bundle / MANIFEST).unlink(),
    found=("bundle", MANIFEST),
)


@case(
    "manifest-of-another-certificate",
    "the manifest names another certificate, signed by the issuer",
    found=("bundle", MANIFEST),
)
def _manifest_of_another(bundle: Path) -> None:
    envelope = parse_envelope((bundle / MANIFEST).read_bytes(), MANIFEST)
    document = json.loads(envelope.payload) | {"certificate": "9" * 64}
    sealed = seal(canonical_json(document), MANIFEST_TYPE, KEY)
    (bundle / MANIFEST).write_bytes(sealed.to_bytes())


@case(
    "manifest-with-a-key-twice",
    "the manifest has a key twice, signed by the issuer",
    found=("bundle", MANIFEST),
)
def _manifest_twice(bundle: Path) -> None:
    payload = b'{"certificate":"a","certificate":"b"}\n'
    (bundle / MANIFEST).write_bytes(seal(payload, MANIFEST_TYPE, KEY).to_bytes())


case(
    "manifest-deep",
    "the manifest is nested 2,000 deep",
    lambda bundle: (bundle / MANIFEST).write_bytes(seal(DEEP, MANIFEST_TYPE, KEY).to_bytes()),
    found=("bundle", MANIFEST),
)


@case(
    "statement-altered",
    "the outcome's reason in the statement, under the issuer's old signature",
    found=("signature", CERTIFICATE),
)
def _altered(bundle: Path) -> None:
    path = bundle / CERTIFICATE
    before = json.loads(path.read_bytes())
    respelled(bundle, replace_once(b"all 3 required", b"all 9 required"), None)
    after = json.loads(path.read_bytes())
    path.write_bytes(canonical_json(after | {"signatures": before["signatures"]}))


case(
    "statement-signed-by-another",
    "the outcome's reason in the statement, signed again by another key",
    lambda bundle: respelled(bundle, replace_once(b"all 3 required", b"all 9 required"), OTHER_KEY),
    found=("signature", CERTIFICATE),
)
case(
    "statement-issued-again",
    "the outcome's reason in the statement, signed by the issuer, and not entered in the ledger",
    lambda bundle: respelled(bundle, replace_once(b"all 3 required", b"all 9 required"), KEY),
    found=("ledger", f"{AUDIT}/ledger"),
)


@case(
    "certificate-unsigned",
    "the certificate has no signature",
    found=("signature", CERTIFICATE),
)
@case(
    "certificate-unsigned-no-key",
    "the certificate has no signature, and no key is given: its entry is of another file",
    key=None,
    found=("ledger", f"{AUDIT}/ledger"),
)
def _unsigned_certificate(bundle: Path) -> None:
    path = bundle / CERTIFICATE
    path.write_bytes(canonical_json(json.loads(path.read_bytes()) | {"signatures": []}))


@case(
    "certificate-of-another-payload-type",
    "the envelope says that its payload is of another type, signed by the issuer",
    found=("signature", CERTIFICATE),
)
def _other_type(bundle: Path) -> None:
    path = bundle / CERTIFICATE
    payload = parse_envelope(path.read_bytes(), CERTIFICATE).payload
    path.write_bytes(seal(payload, "application/json", KEY).to_bytes())


case(
    "statement-of-another-format",
    "the statement's predicateType is urn:evaluator:certificate:v9, signed by the issuer",
    lambda bundle: respelled(bundle, replace_once(b"certificate:v2", b"certificate:v9"), KEY),
    found=("statement", CERTIFICATE),
)


@case(
    "statement-with-a-key-twice",
    "the statement has a key twice, with the same value, signed by the issuer",
    found=("statement", CERTIFICATE),
)
def _key_twice(bundle: Path) -> None:
    def change(content: bytes) -> bytes:
        document = json.loads(content)
        seeds = b'"seeds":' + canonical_json(document["predicate"]["seeds"])[:-1] + b","
        return replace_once(seeds, seeds + seeds)(content)

    respelled(bundle, change, KEY)


@case(
    "statement-silent-about-training",
    "the statement does not say whether the candidate saw the cases in training, signed by the"
    " issuer",
    found=("statement", CERTIFICATE),
)
def _silent_about_training(bundle: Path) -> None:
    def change(content: bytes) -> bytes:
        document = json.loads(content)
        del document["predicate"]["training"]
        return canonical_json(document)

    respelled(bundle, change, KEY)


case(
    "statement-not-canonical",
    "the statement has a space that canonical JSON has not, signed by the issuer",
    lambda bundle: respelled(bundle, lambda content: content[:-2] + b" }\n", KEY),
    found=("statement", CERTIFICATE),
)
case(
    "statement-with-half-a-surrogate-pair",
    "a text of the statement is a lone surrogate, signed by the issuer",
    lambda bundle: respelled(bundle, replace_once(b'"ada@example.org"', b'"\\ud800@example"'), KEY),
    found=("statement", CERTIFICATE),
)
case(
    "statement-with-nan",
    "a number of the statement is NaN, signed by the issuer",
    lambda bundle: respelled(bundle, replace_once(b'"bootstrap":7', b'"bootstrap":NaN'), KEY),
    found=("statement", CERTIFICATE),
)
case(
    "statement-not-in-utf-8",
    "a byte of the statement is none of UTF-8, signed by the issuer",
    lambda bundle: respelled(bundle, replace_once(b"ada@example.org", b"ad\xff@example.org"), KEY),
    found=("statement", CERTIFICATE),
)


@case(
    "envelope-with-a-key-twice",
    "the envelope has its payloadType twice",
    found=("signature", CERTIFICATE),
)
def _envelope_twice(bundle: Path) -> None:
    path = bundle / CERTIFICATE
    change = replace_once(b',"payloadType"', b',"payloadType":"text/plain","payloadType"')
    path.write_bytes(change(path.read_bytes()))


@case(
    "envelope-with-half-a-surrogate-pair",
    "the envelope's payloadType is a lone surrogate",
    found=("signature", CERTIFICATE),
)
def _envelope_surrogate(bundle: Path) -> None:
    path = bundle / CERTIFICATE
    path.write_bytes(replace_once(IN_TOTO.encode(), b"\\ud800")(path.read_bytes()))


@case("revoked", "revoked by the issuer", result="DOES NOT STAND (revoked)")
def _revoked(bundle: Path) -> None:
    enter(bundle, "revocation", KEY)


case(
    "revoked-by-an-unknown-key",
    "revoked by a key that nobody trusts: it counts",
    lambda bundle: enter(bundle, "revocation", OTHER_KEY),
    result="DOES NOT STAND (revoked)",
)
case(
    "revocation-unsigned",
    "revoked by an unsigned entry after signed ones",
    lambda bundle: enter(bundle, "revocation", None),
    found=("ledger", f"{AUDIT}/ledger/000005.json"),
)


@case(
    "revocation-corrected",
    "revoked, and corrected by the issuer, whose key has every role here",
    result="VERIFIED",
)
def _corrected(bundle: Path) -> None:
    _revoked(bundle)
    enter(bundle, "correction", KEY, body={"corrects": 5})


@case(
    "revocation-corrected-by-an-unknown-key",
    "revoked, and corrected by a key that nobody trusts: it does not count",
    result="DOES NOT STAND (revoked)",
)
def _corrected_by_another(bundle: Path) -> None:
    _revoked(bundle)
    enter(bundle, "correction", OTHER_KEY, body={"corrects": 5})


@case(
    "revocation-corrected-unsigned",
    "revoked, and corrected by an unsigned entry",
    found=("ledger", f"{AUDIT}/ledger/000006.json"),
)
def _corrected_unsigned(bundle: Path) -> None:
    _revoked(bundle)
    enter(bundle, "correction", None, body={"corrects": 5})


@case("audit-revoked", "the whole audit is revoked", result="DOES NOT STAND (revoked)")
def _audit_revoked(bundle: Path) -> None:
    other = json.loads((bundle / LEDGER / "000002.json").read_bytes())["subject"]
    enter(bundle, "revocation", KEY, body={"scope": "audit"}, subject=other)


@case("waived", "a gate is waived", result="VERIFIED")
def _waived(bundle: Path) -> None:
    until = LATER + timedelta(days=1)
    enter(bundle, "waiver", KEY, body={"gate": "a gate", "until": until})


@case(
    "key-revoked",
    "the issuer's key is revoked, and signed the manifest",
    found=("bundle", MANIFEST),
)
@case(
    "key-revoked-after-a-kept-head",
    "the issuer's key is revoked, and a head was kept that shows the certificate to be older",
    head=head_of,
    found=("bundle", MANIFEST),
)
def _key_revoked(bundle: Path) -> None:
    enter(bundle, "key_revocation", KEY, subject=KEY.public.key_id)


@case(
    "entry-after-its-key-was-revoked",
    "the issuer's key is revoked, and signs off",
    found=("bundle", MANIFEST),
)
def _after_revocation(bundle: Path) -> None:
    _key_revoked(bundle)
    enter(bundle, "sign_off", KEY)


@case(
    "head-set-back",
    "revoked, and the checkpoint names the entry before",
    found=("ledger", f"{AUDIT}/ledger/head.json"),
    listed=True,
)
def _set_back(bundle: Path) -> None:
    _revoked(bundle)
    set_head(bundle / LEDGER, 4)


@case(
    "chain-cut",
    "the last entry is gone, the checkpoint set back, and a head was kept of before",
    head=head_of,
    found=("ledger", f"{AUDIT}/ledger"),
    listed=True,
)
def _cut(bundle: Path) -> None:
    (bundle / LEDGER / "000004.json").unlink()
    set_head(bundle / LEDGER, 3)


case(
    "ledger-gone",
    "the whole ledger is gone",
    lambda bundle: shutil.rmtree(bundle / LEDGER),
    found=("ledger", f"{AUDIT}/ledger"),
    listed=True,
)
case(
    "entry-gone",
    "the first entry is gone, which is the certificate's own",
    lambda bundle: (bundle / LEDGER / "000001.json").unlink(),
    found=("ledger", f"{AUDIT}/ledger/000001.json"),
    listed=True,
)


@case(
    "entry-edited",
    "the reason of the first entry",
    found=("ledger", f"{AUDIT}/ledger/000002.json"),
    listed=True,
)
def _edited(bundle: Path) -> None:
    path = bundle / LEDGER / "000001.json"
    path.write_bytes(replace_once(b"the nightly audit", b"the monthly audit")(path.read_bytes()))


case(
    "entry-without-signature",
    "the last entry lost its signature",
    lambda bundle: rewrite(bundle / LEDGER / "000004.json", signature=None),
    found=("ledger", f"{AUDIT}/ledger/000004.json"),
    listed=True,
)


@case(
    "entry-in-another-spelling",
    "the last entry writes its time with +00:00, which its signature does not cover",
    found=("ledger", f"{AUDIT}/ledger/000004.json"),
    listed=True,
)
def _entry_respelled(bundle: Path) -> None:
    path = bundle / LEDGER / "000004.json"
    time = json.loads(path.read_bytes())["time"]
    rewrite(path, time=time.replace("Z", "+00:00"))


@case(
    "entry-that-contradicts-the-certificate",
    "the certificate's entry says that it is not certified, signed by the issuer",
    found=("ledger", f"{AUDIT}/ledger/000001.json"),
    listed=True,
)
def _contradicting(bundle: Path) -> None:
    path, *others = sorted((bundle / LEDGER).glob("0*.json"))
    for other in others:
        other.unlink()
    entry = parse_entry(path.read_bytes(), path.name)
    body = entry.body | {"outcome": "not certified"}
    path.write_bytes(entry.model_copy(update={"body": body}).signed(KEY).to_bytes())
    set_head(bundle / LEDGER, 1)


case(
    "head-deep",
    "the checkpoint is nested 2,000 deep",
    lambda bundle: (bundle / LEDGER / "head.json").write_bytes(DEEP),
    found=("ledger", f"{AUDIT}/ledger/head.json"),
)


@case("redacted", "nothing", bundle=REDACTED, result="VERIFIED")
@case(
    "redacted-no-key",
    "nothing, and no key is given",
    bundle=REDACTED,
    key=None,
    result="INTACT, BUT NOT PROVEN",
)
def _redacted(_: Path) -> None:
    pass


case(
    "redacted-leaf-changed",
    "a byte of a leaf",
    lambda bundle: flip(bundle / LEAVES, 32),
    bundle=REDACTED,
    found=("cases", LEAVES),
    listed=True,
)


@case(
    "redacted-leaf-missing",
    "the last leaf is gone",
    bundle=REDACTED,
    found=("cases", LEAVES),
    listed=True,
)
def _fewer_leaves(bundle: Path) -> None:
    path = bundle / LEAVES
    path.write_bytes(path.read_bytes()[:-32])


case(
    "redacted-leaves-gone",
    "there are no leaves",
    lambda bundle: (bundle / LEAVES).unlink(),
    bundle=REDACTED,
    found=("cases", LEAVES),
    listed=True,
)


def say_withheld(bundle: Path, **changes: Any) -> None:
    """Let the bundle say otherwise what it withholds, as its issuer would."""
    path = bundle / REDACTION
    path.write_bytes(canonical_json(json.loads(path.read_bytes()) | changes))
    listed_again(bundle, KEY)


case(
    "redaction-of-another-certificate",
    "what is withheld is said of another certificate, and the issuer's manifest lists it so",
    lambda bundle: say_withheld(bundle, certificate="9" * 64),
    bundle=REDACTED,
    found=("bundle", REDACTION),
)
case(
    "redaction-gone",
    "nothing says what is withheld",
    lambda bundle: (bundle / REDACTION).unlink(),
    bundle=REDACTED,
    found=("evidence", "cases.parquet"),
    listed=True,
)


@case(
    "redacted-too-much",
    "a table of figures is withheld as well, and the issuer's manifest does not list it",
    bundle=REDACTED,
    found=("evidence", "fairness.parquet"),
)
def _withheld_too_much(bundle: Path) -> None:
    path = evidence_file(bundle, "scorecard", "fairness.parquet")
    path.unlink()
    withheld = json.loads((bundle / REDACTION).read_bytes())["withheld"]
    below = path.relative_to(bundle / EVIDENCE).as_posix()
    say_withheld(bundle, withheld=withheld | {below: "9" * 64})


@case(
    "redacted-file-there",
    "a file lies there that is withheld",
    bundle=REDACTED,
    found=("evidence", "typed_rows.parquet"),
    listed=True,
)
def _withheld_and_there(bundle: Path) -> None:
    folder = evidence_file(bundle, "validated_data", RECORD).parent
    (folder / "typed_rows.parquet").write_text("rows")


@case(
    "redacted-table-changed",
    "a byte of the table that stands for the cases",
    bundle=REDACTED,
    found=("bundle", "cases.parquet"),
)
def _stand_in(bundle: Path) -> None:
    path = next((bundle / STAND_INS).rglob("cases.parquet"))
    # In the name of the program that wrote it, so that it can be read even so.
    flip(path, path.read_bytes().index(b"parquet-cpp"))


case(
    "redacted-own-file-changed",
    "a byte of a record that the certificate itself names",
    lambda bundle: flip(evidence_file(bundle, "two_model", RECORD), 20),
    bundle=REDACTED,
    found=("evidence", f"two_model/*/*/{RECORD}"),
    listed=True,
)
case(
    "redacted-manifest-unsigned",
    "the manifest has no signature",
    lambda bundle: listed_again(bundle, None),
    bundle=REDACTED,
    found=("bundle", MANIFEST),
)


def _files(folder: Path) -> dict[str, bytes]:
    found = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}


def _difference(before: dict[str, bytes], after: dict[str, bytes]) -> list[dict[str, Any]]:
    """Say what changed, so that it can be done one by one in this order."""
    changes: list[dict[str, Any]] = []
    for path in sorted(before.keys() | after.keys()):
        if path not in after:
            changes.append({"path": path, "remove_file": True})
        elif before.get(path) != after[path]:
            changes += [
                {"path": path, **one} for one in _splices(before.get(path, b""), after[path])
            ]
    return changes


def _splices(before: bytes, after: bytes) -> list[dict[str, Any]]:
    """Find where bytes differ; of an envelope payload and signature apart, the last one first."""
    mark = b'","payloadType"'
    at, there = before.find(mark), after.find(mark)
    if at < 0 or there < 0:
        return _splice(before, after, 0)
    rest = _splice(before[at:], after[there:], at)
    old, new = (base64.b64decode(one[len(PAYLOAD) :]) for one in (before[:at], after[:there]))
    try:
        inner = [{"in": "payload", **one} for one in _splice(old, new, 0)]
    except UnicodeDecodeError:
        inner = _splice(before[:at], after[:there], 0)
    return [*rest, *inner]


def _splice(before: bytes, after: bytes, offset: int) -> list[dict[str, Any]]:
    if before == after:
        return []
    least = min(len(before), len(after))
    start = next((n for n in range(least) if before[n] != after[n]), least)
    left = least - start
    end = next((n for n in range(left) if before[-1 - n] != after[-1 - n]), left)
    insert = after[start : len(after) - end].decode()
    return [{"at": offset + start, "remove": len(before) - end - start, "insert": insert}]


def _good_bundles(work: Path) -> dict[str, Path]:
    """Make the bundles: of the baseline, and a redacted one of another candidate."""
    whole = Builder(work / "evidence").issue(KEY)
    redacted = Builder(work / "other", redacting("case_id", "amount", "household")).issue(KEY)
    return {
        archive: export_bundle(
            issued.certificates[name],
            issued.url,
            work / archive.removesuffix(".zip"),
            trusted=TrustedKeys.of(KEY.public),
            key=KEY,
            secret=secret,
            now=LATER,
        )
        for archive, issued, name, secret in (
            (GOOD, whole, "one", None),
            (REDACTED, redacted, "two", SECRET),
        )
    }


def write_vectors(folder: Path, work: Path) -> None:
    """Write everything that is published."""
    folder.mkdir(parents=True, exist_ok=True)
    bundles = _good_bundles(work)
    before = {archive: _files(bundle) for archive, bundle in bundles.items()}
    (folder / ISSUER).write_bytes((bundles[GOOD] / PUBLIC_KEY).read_bytes())
    (folder / OTHER).write_bytes(OTHER_KEY.public.pem)
    vectors = []
    for name, what, change, expected in sorted(_CASES, key=lambda one: one[0] != "good"):
        archive = expected.get("bundle", GOOD)
        bundle = Path(shutil.copytree(bundles[archive], work / "changed" / name))
        change(bundle)
        if expected.get("listed"):
            listed_again(bundle, KEY)
        changed = _files(bundle)
        head = expected.get("head")
        vector = Vector(
            name=name,
            bundle=archive,
            what=what + (LISTED if expected.get("listed") else ""),
            changes=_difference(before[archive], changed),
            key=expected.get("key", ISSUER),
            head=head(bundles[archive]) if callable(head) else head,
            now=expected.get("now", LATER).isoformat(),
            result=expected.get("result", "FAILED"),
            state=None,
            problem=_problem(expected.get("found"), before[archive].keys() | changed.keys()),
        )
        vectors.append(asdict(replace(vector, state=_state(vector, bundle))))
    document = {"format": "evaluator/vectors/1", "vectors": vectors}
    (folder / VECTORS).write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    for archive, files in before.items():
        with zipfile.ZipFile(folder / archive, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as to:
            for path, content in files.items():
                # With one time for all, so that the same files give the same archive.
                to.writestr(zipfile.ZipInfo(path), content, zipfile.ZIP_DEFLATED)


def _state(vector: Vector, bundle: Path) -> str | None:
    found = verify_bundle(
        bundle, trusted=vector.trusted(), now=vector.moment(), known_head=vector.known_head()
    ).report.state
    return None if found is None else found.state


def _problem(found: tuple[str, str] | None, paths: Collection[str]) -> dict[str, str] | None:
    """Name the file as a whole path: of evidence below its folder, and else below the bundle."""
    if found is None:
        return None
    check, file = found
    if check in {"evidence", "ledger"}:
        paths = {path.partition("/")[2] for path in paths if path.startswith((EVIDENCE, STAND_INS))}
    named = min((path for path in paths if PurePosixPath(path).match(file)), default=file)
    return {"check": check, "file": named}


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        write_vectors(FOLDER, Path(folder))
    sys.stdout.write(f"{FOLDER}\n")
