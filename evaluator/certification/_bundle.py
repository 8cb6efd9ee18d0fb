"""Everything that a stranger needs to check a certificate, in one folder.

Layout::

    certificate.dsse.json   the certificate
    public_key.pem          the issuer's public key, where it was given
    report.html             the report for people, where there is one
    documents/              the candidate's model card and the technical file, where they are
    README.txt              how to check all this
    verify.html             checks it in a browser, but for the figures
    manifest.dsse.json      SHA-256 and size of every other file, signed
    evidence/               all that the certificate rests on, and the whole ledger
    redaction.json          in a redacted bundle alone: which files of the evidence it withholds,
    redacted/               tables that stand for some of them, under the same paths,
    leaves.bin              and the salted digests of all cases, of 32 bytes each

The same certificate and evidence give the same bytes.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Final, Literal, NamedTuple

from evaluator.certification._commitment import Shown, bind_as_issued, check_leaves
from evaluator.certification._declaration import read_declared
from evaluator.certification._ledger import ledger_folder
from evaluator.certification._publications import DOCUMENTS, REPORT, shown_files
from evaluator.certification._redaction import (
    Redaction,
    Salts,
    files_with_rows,
    redacted_bytes,
)
from evaluator.certification._signatures import PublicKey, SigningKey, parse_envelope, seal
from evaluator.certification._statement import (
    Discrepancy,
    LedgerHead,
    Sha256,
    Statement,
    StrictModel,
)
from evaluator.certification._stored_evidence import SHARED_FILE, StoredEvidence, Withheld
from evaluator.certification._trust import TrustedKeys
from evaluator.certification._verification import verify
from evaluator.certification._verification_report import VerificationReport, all_found, caught
from evaluator.errors import EvidenceError, UsageError
from evaluator.evidence import EvidenceStore, Files, Record, StoredFile, digest_of_bytes
from evaluator.scorecard import Asset

CERTIFICATE = "certificate.dsse.json"
PUBLIC_KEY = "public_key.pem"
README = "README.txt"
VERIFY_PAGE = "verify.html"
MANIFEST = "manifest.dsse.json"
EVIDENCE = "evidence"
REDACTION = "redaction.json"
STAND_INS = "redacted"
LEAVES = "leaves.bin"

MANIFEST_TYPE: Final = "application/vnd.evaluator.bundle-manifest+json"
"""What the manifest's signature says that it signs."""


class Manifest(StrictModel):
    """What a bundle holds, with the digest of every file but its own."""

    format: Literal["evaluator/bundle/2"] = "evaluator/bundle/2"
    certificate: Sha256
    """SHA-256 of the certificate's file, so that no other bundle has this manifest."""
    files: dict[str, StoredFile]


class BundleCheck(NamedTuple):
    """What checking a bundle found: the certificate, and the bundle's own files."""

    report: VerificationReport
    problems: tuple[Discrepancy, ...]

    @property
    def whole(self) -> VerificationReport:
        """The certificate's report with the problems of the bundle's own files among its own."""
        return replace(self.report, problems=(*self.report.problems, *self.problems))

    @property
    def is_intact(self) -> bool:
        """Whether certificate and bundle are intact."""
        return self.whole.is_intact

    @property
    def is_verified(self) -> bool:
        """Whether the certificate is verified and the bundle intact: the only full success."""
        return self.whole.is_verified


def export_bundle(
    certificate: bytes,
    evidence_url: str,
    to: Path,
    *,
    trusted: TrustedKeys | None,
    key: SigningKey | None,
    secret: bytes | None = None,
    redact: Collection[str] = (),
    now: datetime,
) -> Path:
    """Copy a certificate, all that it rests on and what shows it into a new folder.

    Parameters
    ----------
    certificate
        The bytes of the certificate's file.
    evidence_url
        Where the evidence is.
    to
        The folder to make. It must not be there, or be empty.
    trusted
        Whose certificate it must be, or None. The key that signed it goes along; the receiver still
        has to know from elsewhere that it is the issuer's.
    key
        Signs the manifest; None leaves it unsigned, and only the certificate and what it names is
        then proven.
    secret
        Makes a redacted bundle, with salted digests of this secret for what may not leave; None
        copies everything. See `secret_in`.
    redact
        The columns that the audit does not let out by now: a certificate of before, which lets one
        of them out, is not redacted.
    now
        The moment that the certificate is checked at, with its time zone.

    Returns
    -------
    Path
        The folder.

    Raises
    ------
    UsageError
        Where the folder holds something already.
    EvidenceError
        Where signature, files, lineage or ledger are not what the certificate says, or no entry of
        the ledger names the page or the documents of this certificate as they lie there: then
        nothing is written. Figures are left to whoever verifies. Nor can what was issued with
        another secret be redacted.
    """
    if to.exists() and (not to.is_dir() or any(to.iterdir())):
        raise UsageError("it is there and not empty", culprit=str(to), fix="name a new folder")
    checked = verify(
        certificate, evidence_url, trusted=trusted, now=now, recompute_again=lambda *_: ()
    )
    statement = checked.statement
    if checked.problems or statement is None:
        first = checked.problems[0]
        raise EvidenceError(
            f"the certificate cannot be exported: {first.what}",
            culprit=first.file,
            fix="export with the issuer's key and whole evidence (page and documents are made and"
            " entered anew by `evaluator run` with that key); `evaluator verify` lists all"
            f" {len(checked.problems)} problems",
        )
    shown = _read_shown(evidence_url, checked, statement)
    evidence = StoredEvidence(evidence_url, statement.predicate)
    redacted = _Redacted(frozenset(), {})
    if secret is not None:
        if read_declared(evidence).examples is not None:
            # The page shows rows.
            shown = {name: content for name, content in shown.items() if name != REPORT}
        redacted = _redact(evidence, secret, checked.certificate, redact)
    files = evidence.files
    ledger = ledger_folder(statement.predicate.audit)
    chain = [f"{ledger}/{name}" for name in files.names(ledger)]
    paths = sorted({*evidence.paths(), *chain} - redacted.withheld)
    try:
        to.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        what = f"no folder can be made there ({error.strerror})"
        raise UsageError(what, culprit=str(to), fix="name another folder") from error
    listed = {f"{EVIDENCE}/{path}": _copy(files, path, to / EVIDENCE) for path in paths}
    issuer = (
        None if trusted is None else trusted.issuer_of(parse_envelope(certificate, CERTIFICATE))
    )
    readme = _readme(statement, checked.certificate, issuer, shown, is_redacted=secret is not None)
    own = {
        CERTIFICATE: certificate,
        PUBLIC_KEY: None if issuer is None else issuer.pem,
        **shown,
        README: readme.encode(),
        VERIFY_PAGE: Path(__file__).with_name(VERIFY_PAGE).read_bytes(),
        **redacted.files,
    }
    for name, content in own.items():
        if content is not None:
            (to / name).parent.mkdir(parents=True, exist_ok=True)
            (to / name).write_bytes(content)
            listed[name] = StoredFile(sha256=digest_of_bytes(content), size=len(content))
    manifest = Manifest(certificate=checked.certificate, files=dict(sorted(listed.items())))
    (to / MANIFEST).write_bytes(seal(manifest.to_bytes(), MANIFEST_TYPE, key).to_bytes())
    return to


class _Redacted(NamedTuple):
    """What a redacted bundle does not hold, and what it holds for that."""

    withheld: frozenset[str]
    files: Mapping[str, bytes]


def _redact(
    evidence: StoredEvidence, secret: bytes, certificate: str, redact: Collection[str]
) -> _Redacted:
    spec, predicate = read_declared(evidence), evidence.predicate
    bound = bind_as_issued(evidence, secret, redact)
    salts = Salts(secret, predicate.audit, predicate.evaluation_set.digest)
    found = files_with_rows(evidence)
    digests = (
        (path, bytes.fromhex(item.all_files[name].sha256)) for path, (item, name) in found.items()
    )
    withheld = dict(zip(found, salts.digests(["file"], digests), strict=True))
    said = Redaction(certificate=certificate, withheld=withheld)
    files = {REDACTION: said.to_bytes(), LEAVES: b"".join(bound.leaves)}
    for path, (item, name) in found.items():
        content = redacted_bytes(evidence, spec, salts, item, name)
        if content is not None:
            files[f"{STAND_INS}/{path}"] = content
    return _Redacted(frozenset(withheld), files)


def verify_bundle(
    folder: Path,
    *,
    trusted: TrustedKeys | None = None,
    now: datetime,
    known_head: LedgerHead | None = None,
    shown: Shown | None = None,
) -> BundleCheck:
    """Check an exported folder: its certificate, and that it holds what was exported, no more.

    Parameters
    ----------
    folder
        The bundle.
    trusted, now, known_head, shown
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
    files = Files(str(folder), follow_links=False)
    certificate = files.read(CERTIFICATE)
    if certificate is None:
        raise EvidenceError(
            f"it holds no {CERTIFICATE}", culprit=str(folder), fix="name an exported folder"
        )
    problems, withheld = [], None
    try:
        withheld = _withheld(files, digest_of_bytes(certificate))
    except (ValueError, EvidenceError) as error:
        what = f"it does not say what this bundle withholds: {error}"
        problems.append(Discrepancy("bundle", REDACTION, what))
    report = verify(
        certificate,
        str(folder / EVIDENCE),
        trusted=trusted,
        now=now,
        known_head=known_head,
        withheld=withheld,
        shown=shown,
    )
    # It was handed over as bytes; here it has a file.
    named = [
        found._replace(file=CERTIFICATE) if found.file == "certificate" else found
        for found in report.problems
    ]
    report = replace(report, problems=tuple(named))
    evidence = None
    if report.statement is not None:
        url = str(folder / EVIDENCE)
        evidence = StoredEvidence(url, report.statement.predicate, withheld=withheld)
    problems += all_found(_check_manifest(files, report, trusted))
    problems += all_found(_check_named(files, evidence))
    problems += all_found(_check_shown(files, report))
    if evidence is not None and withheld is not None and not report.problems:
        problems += caught(check_leaves(files.read(LEAVES) or b"", LEAVES, evidence))
    return BundleCheck(report, tuple(problems))


def _withheld(files: Files, certificate: str) -> Withheld | None:
    """Read what a redacted bundle withholds; None of a whole one."""
    content = files.read(REDACTION)
    if content is None:
        return None
    redaction = Redaction.parse(content)
    if redaction.certificate != certificate:
        msg = "it is of another certificate"
        raise ValueError(msg)
    stand_ins = Files(f"{files.url}/{STAND_INS}", follow_links=False)
    return Withheld(redaction.withheld.keys(), stand_ins)


def _read_shown(
    evidence_url: str, checked: VerificationReport, statement: Statement
) -> dict[str, bytes]:
    """Read page and documents as the ledger names them; refuse some that it does not name."""
    store = EvidenceStore(evidence_url, follow_links=False)
    predicate = statement.predicate
    for asset in (Asset.DASHBOARD, Asset.DOCUMENTS):
        if asset in checked.published:
            continue
        for record in _made_of(store, predicate.audit, asset, checked.certificate):
            raise EvidenceError(
                f"no entry of the ledger that counts names the {asset} made of this certificate,"
                " so that anybody could have written it",
                culprit=store.folder(record),
                fix="enter the newest one by `evaluator run` with the issuer's key; of an earlier"
                " certificate, remove the folder to export without it",
            )
    found = {}
    for name, shown in shown_files(checked.published, predicate.candidate.name).items():
        content = store.files.read(shown.path)
        if content is None:
            continue  # nothing rests on it
        if digest_of_bytes(content) != shown.sha256:
            raise EvidenceError(
                "it is not the file that the ledger names",
                culprit=shown.path,
                fix="make it anew by `evaluator run` with the issuer's key",
            )
        found[name] = content
    return found


def _made_of(store: EvidenceStore, audit: str, asset: str, certificate: str) -> Iterator[Record]:
    """Find what is stored that was made of a certificate."""
    issued = {
        record.identity
        for record in store.all_versions(audit, Asset.CERTIFICATE)
        if certificate in {stored.sha256 for stored in record.files.values()}
    }
    for record in store.all_versions(audit, asset):
        if any(u.asset == Asset.CERTIFICATE and u.identity in issued for u in record.upstream):
            yield record


def _readme(
    statement: Statement,
    certificate: str,
    public_key: PublicKey | None,
    shown: Collection[str],
    *,
    is_redacted: bool,
) -> str:
    """Write how to check a bundle."""
    predicate = statement.predicate
    papers = any(name.startswith(f"{DOCUMENTS}/") for name in shown)
    kinds = [f"{REPORT} is the page of the whole audit"] if REPORT in shown else []
    kinds += [f"{DOCUMENTS}/ has the model card and the technical file"] if papers else []
    entered = (
        f"\nFor people: {', and '.join(kinds)}.\n"
        "Their SHA-256 is in the ledger as the issuer entered it; they are held against that.\n"
        if kinds
        else ""
    )
    key = (
        f"The issuer's public key is in {PUBLIC_KEY}; its id is\n\n    {public_key.key_id}\n\n"
        "Ask the issuer for this id by another way before you trust it: whoever changes a bundle\n"
        "can change the key in it."
        if public_key is not None
        else "This bundle holds NO PUBLIC KEY. Without the issuer's key nothing proves who issued\n"
        "the certificate."
    )
    named = "".join(f"  {words}\n" for words in predicate.candidate.named)
    last = f"""\
{EVIDENCE}/ may hold personal data: the raw files, and rows that were refused, are in it.
"""
    if is_redacted:
        last = f"""\
This bundle is REDACTED. {REDACTION} names the files that stay behind, with a salted digest for
each; {STAND_INS}/ holds tables in the place of some, with salted digests for what may not leave.
Figures are computed again from these. That their rows are the ones that were judged, single cases
show: send the issuer a word that nobody could foresee, get the cases that it chooses
(`evaluator open ... --challenge WORD --cases 50`), and check them with

    evaluator-verify . --key ... --openings FILE --challenge WORD --cases 50

Each case is bound by the certificate, so that none can be made up now. Whether it is true, only
another source can tell.
"""
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

Without any program: open {VERIFY_PAGE} in a browser, and give it this folder and the issuer's key.
It asks no network. It checks signature, files, what was added, and the ledger, and computes no
figures again. Whoever changes this folder can change the page too: use a copy from whom you trust.

By hand: {CERTIFICATE} is a DSSE envelope. Its payload, in base64, is an in-toto statement that
names files below {EVIDENCE}/ with their SHA-256; one of them, {SHARED_FILE}, names the others.
{entered}
{last}"""


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


def _check_manifest(
    files: Files, report: VerificationReport, trusted: TrustedKeys | None
) -> Iterator[Discrepancy]:
    """Hold all files against the manifest, and the manifest against its signature."""
    try:
        content = files.read(MANIFEST)
        if content is None:
            yield Discrepancy("bundle", MANIFEST, "it is gone")
            return
        envelope = parse_envelope(content, MANIFEST)
        manifest = Manifest.parse(envelope.payload)
    except (ValueError, EvidenceError) as error:
        what = error.what if isinstance(error, EvidenceError) else str(error)
        yield Discrepancy("bundle", MANIFEST, f"it is not what was exported: {what}")
        return
    if envelope.payload_type != MANIFEST_TYPE or manifest.certificate != report.certificate:
        yield Discrepancy("bundle", MANIFEST, "it is the manifest of another bundle")
    issuer = None if trusted is None else trusted.issuer_of(envelope)
    if trusted is not None and issuer is None:
        what = "no trusted issuer signed it"
        if not envelope.is_signed:
            what = "it is not signed, so that README.txt may be anybody's"
        yield Discrepancy("bundle", MANIFEST, what)
    elif issuer is not None and issuer.key_id in report.revoked_keys:
        # A bundle from before its revocation holds a ledger that does not know of it.
        yield Discrepancy("bundle", MANIFEST, "a key signed it that its ledger revokes")
    found = set(files.walk())
    for path in sorted(found - manifest.files.keys() - {MANIFEST}):
        yield Discrepancy("bundle", path, "it was added: the manifest does not name it")
    for path, stored in manifest.files.items():
        there = files.digest(path) if path in found else None
        if there != stored:
            what = "is gone" if there is None else "is another"
            yield Discrepancy("bundle", path, f"what {MANIFEST} names here {what}")


def _check_named(files: Files, evidence: StoredEvidence | None) -> Iterator[Discrepancy]:
    """Find evidence that neither the certificate nor the ledger is about, whoever listed it."""
    if evidence is None:
        return
    ledger = ledger_folder(evidence.predicate.audit)
    try:
        named = {*evidence.paths()}
    except EvidenceError:
        return  # what is named is not known, which was reported already
    for path in files.walk(EVIDENCE):
        below = path.removeprefix(f"{EVIDENCE}/")
        if below not in named and not below.startswith(f"{ledger}/"):
            yield Discrepancy("bundle", path, "neither certificate nor ledger names it")


def _check_shown(files: Files, report: VerificationReport) -> Iterator[Discrepancy]:
    """Hold page and documents against the ledger, whoever listed them."""
    if report.statement is None:
        return
    named = shown_files(report.published, report.statement.predicate.candidate.name)
    for path in files.walk():
        if path != REPORT and not path.startswith(f"{DOCUMENTS}/"):
            continue
        found = files.digest(path)
        if found is None or path not in named or found.sha256 != named[path].sha256:
            what = "no entry of the ledger that counts names it with these bytes"
            yield Discrepancy("bundle", path, what)
