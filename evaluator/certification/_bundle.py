"""Everything that a stranger needs to check a certificate, in one folder.

Layout::

    certificate.dsse.json   the certificate
    public_key.pem          the issuer's public key, where it was given
    report.html             the report for people, where there is one
    README.txt              how to check all this
    manifest.json           SHA-256 and size of every other file
    evidence/               all that the certificate rests on, and the whole ledger

The same certificate and evidence give the same bytes.
"""

import json
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from evaluator.certification._ledger import ledger_folder
from evaluator.certification._signatures import PublicKey, parse_envelope
from evaluator.certification._statement import Discrepancy, LedgerHead, Statement, parse_statement
from evaluator.certification._stored_evidence import StoredEvidence
from evaluator.certification._verification import VerificationReport, verify
from evaluator.errors import EvidenceError, UsageError
from evaluator.evidence import Files, StoredFile, canonical_json, digest_of_bytes

CERTIFICATE = "certificate.dsse.json"
PUBLIC_KEY = "public_key.pem"
REPORT = "report.html"
README = "README.txt"
MANIFEST = "manifest.json"
EVIDENCE = "evidence"

_FORMAT = "evaluator/bundle/1"


class BundleCheck(NamedTuple):
    """What checking a bundle found: the certificate, and the bundle's own files."""

    report: VerificationReport
    problems: tuple[Discrepancy, ...]

    @property
    def is_intact(self) -> bool:
        """Whether certificate and bundle are intact."""
        return self.report.is_intact and not self.problems

    @property
    def is_verified(self) -> bool:
        """Whether the certificate is verified and the bundle intact: the only full success."""
        return self.report.is_verified and not self.problems


def export_bundle(
    certificate: bytes,
    evidence_url: str,
    to: Path,
    *,
    public_key: PublicKey | None,
    report: bytes | None,
) -> Path:
    """Copy a certificate and all that it rests on into a new folder.

    Parameters
    ----------
    certificate
        The bytes of the certificate's file.
    evidence_url
        Where the evidence is.
    to
        The folder to make. It must not be there, or be empty.
    public_key
        The issuer's key, or None. The receiver still has to know from elsewhere that it is theirs.
    report
        The report's page, as HTML; None where the bundle shall have none.

    Returns
    -------
    Path
        The folder.

    Raises
    ------
    UsageError
        Where the folder holds something already.
    EvidenceError
        Where a file that the certificate names is gone; what is merely damaged is copied as it is,
        and found by whoever verifies.
    """
    if to.exists() and (not to.is_dir() or any(to.iterdir())):
        raise UsageError("it is there and not empty", culprit=str(to), fix="name a new folder")
    statement = parse_statement(parse_envelope(certificate, CERTIFICATE).payload, CERTIFICATE)
    evidence = StoredEvidence(evidence_url, statement.predicate)
    listed = {}
    ledger = evidence.files.walk(ledger_folder(statement.predicate.audit))
    for path in sorted({*evidence.paths(), *ledger}):
        listed[f"{EVIDENCE}/{path}"] = _copy(evidence.files, path, to / EVIDENCE)
    own = {
        CERTIFICATE: certificate,
        PUBLIC_KEY: None if public_key is None else public_key.pem,
        REPORT: report,
        README: _readme(statement, digest_of_bytes(certificate), public_key).encode(),
    }
    for name, content in own.items():
        if content is not None:
            (to / name).write_bytes(content)
            listed[name] = StoredFile(sha256=digest_of_bytes(content), size=len(content))
    files = {path: stored.model_dump() for path, stored in sorted(listed.items())}
    (to / MANIFEST).write_bytes(canonical_json({"format": _FORMAT, "files": files}))
    return to


def verify_bundle(
    folder: Path,
    *,
    public_key: PublicKey | None = None,
    now: datetime,
    known_head: LedgerHead | None = None,
) -> BundleCheck:
    """Check an exported folder: its certificate, and that it holds what was exported, no more.

    Parameters
    ----------
    folder
        The bundle.
    public_key, now, known_head
        As for `evaluator.certification.verify`. The key that lies in the bundle is
        not used by itself: whoever changes a bundle can change that too.

    Returns
    -------
    BundleCheck
        The certificate's report, and what of the bundle's own files is gone, changed or added.

    Raises
    ------
    EvidenceError
        Where the folder holds no certificate.
    """
    if not (folder / CERTIFICATE).is_file():
        raise EvidenceError(
            f"it holds no {CERTIFICATE}", culprit=str(folder), fix="name an exported folder"
        )
    report = verify(
        folder / CERTIFICATE,
        str(folder / EVIDENCE),
        public_key=public_key,
        now=now,
        known_head=known_head,
    )
    return BundleCheck(report, tuple(_check_manifest(Files(str(folder)))))


def _readme(statement: Statement, certificate: str, public_key: PublicKey | None) -> str:
    """Write how to check a bundle."""
    predicate = statement.predicate
    key = (
        f"The issuer's public key is in {PUBLIC_KEY}; its id is\n\n    {public_key.key_id}\n\n"
        "Ask the issuer for this id by another way before you trust it: whoever changes a bundle\n"
        "can change the key in it."
        if public_key is not None
        else "This bundle holds NO PUBLIC KEY. Without the issuer's key nothing proves who issued\n"
        "the certificate."
    )
    named = "".join(f"  {words}\n" for words in predicate.candidate.named)
    return f"""\
{predicate.audit}: {predicate.candidate.name} is {predicate.candidate.in_words}
{predicate.candidate.reason}
{named}
Asked for by {predicate.requested_by}, {predicate.created_at.isoformat()}
Valid until  {predicate.validity.valid_until.isoformat()}
Certificate  {certificate} (SHA-256 of {CERTIFICATE})

{key}

To check everything, offline, with Python and the small package `evaluator-verify`
{statement.predicate.code.version}, in a virtual environment of its own:

    evaluator-verify . --key {PUBLIC_KEY if public_key else "THE_ISSUERS_KEY.pem"}

(With the whole package `evaluator` it is `evaluator verify`. Take the program from whom you trust:
one from whoever gave you this folder can say anything.)

It checks the signature, the SHA-256 of every file, that nothing was added, what each file was made
from, the ledger's chain, and then computes figures and verdicts again from the stored predictions.
Keep the ledger's number and digest that it prints: a later copy of the ledger must run through it.

By hand: {CERTIFICATE} is a DSSE envelope. Its payload, in base64, is an in-toto statement that
names every file below {EVIDENCE}/ with its SHA-256.

{EVIDENCE}/ may hold personal data: the raw files, and rows that were refused, are in it.
"""


def _copy(files: Files, path: str, to: Path) -> StoredFile:
    target = to / path
    target.parent.mkdir(parents=True, exist_ok=True)
    stored = files.copy(path, target)
    if stored is None:
        raise EvidenceError(
            "the certificate names it, and it is gone",
            culprit=path,
            fix="restore the evidence folder from a copy",
        )
    return stored


def _check_manifest(files: Files) -> list[Discrepancy]:
    content = files.read(MANIFEST)
    try:
        document = json.loads(content or b"")
        is_canonical = canonical_json(document) == content
        listed = {
            path: StoredFile.model_validate(stored) for path, stored in document["files"].items()
        }
    except (ValueError, TypeError, KeyError, AttributeError):
        return [Discrepancy("bundle", MANIFEST, "it is gone, or not what was exported")]
    if document.keys() != {"format", "files"} or document["format"] != _FORMAT or not is_canonical:
        return [Discrepancy("bundle", MANIFEST, "it is not what was exported")]
    found = set(files.walk())
    problems = [
        Discrepancy("bundle", path, "it was added: the manifest does not name it")
        for path in sorted(found - listed.keys() - {MANIFEST})
    ]
    for path, stored in listed.items():
        there = files.digest(path) if path in found else None
        if there != stored:
            what = "is gone" if there is None else "is another"
            problems.append(Discrepancy("bundle", path, f"what {MANIFEST} names here {what}"))
    return problems
