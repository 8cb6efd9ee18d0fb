"""The ledger: an append-only chain of certificates and of what people decided about them.

Layout below the evidence store's address::

    <audit>/ledger/000001.json      each entry names the SHA-256 of the file before it
    <audit>/ledger/head.json        the last entry's number and digest

Nothing is edited. An entry is created under the next free number, and creating fails where that
number is taken, so that of two writers each gets a number of its own. The head is a checkpoint: a
chain that ends before it was cut. Who keeps a head elsewhere (each certificate carries one) finds
out even where somebody cuts the chain and turns the head back too.
"""

import json
import re
from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any, Literal, NamedTuple, get_args

from pydantic import AwareDatetime, Field, ValidationError

from evaluator.certification._signatures import PublicKey, SigningKey, encode_for_signing
from evaluator.certification._statement import (
    Discrepancy,
    LedgerHead,
    Sha256,
    StrictModel,
    first_fault,
)
from evaluator.errors import EvidenceError, UsageError
from evaluator.evidence import Files, canonical_json, digest_of_bytes

ENTRY_TYPE = "application/vnd.evaluator.ledger-entry+json"
"""What an entry's signature says that it signs, in DSSE's pre-authentication encoding."""

EntryKind = Literal["certificate", "sign_off", "waiver", "revocation", "correction"]

NonEmptyText = Annotated[str, Field(min_length=1, pattern=r"\S")]

HEAD = "head.json"
HEAD_FORMAT = "evaluator/ledger-head/1"
GENESIS_HEAD = LedgerHead(sequence=0, digest="0" * 64)
"""The head of a ledger without entries, and what its first entry names as its predecessor."""
_ENTRY_NAME = re.compile(r"\d{6,}\.json")
# A file with a huge number must not be reported as that many gaps.
_MAX_GAPS = 100
# So many others may come between before an append gives up.
_ATTEMPTS = 100


class LedgerError(EvidenceError):
    """The ledger is not what was written."""


class LedgerUseError(UsageError):
    """An entry that the ledger cannot take."""


class CertificateBody(StrictModel):
    """What the ledger says of a certificate, so that states are known without opening it."""

    candidate: NonEmptyText
    outcome: Literal["certified", "not certified", "undecided"]
    artifact_digest: str | None
    evaluation_set: str
    valid_from: AwareDatetime
    valid_until: AwareDatetime
    path: str
    """Where the certificate lies, below the evidence store's address."""
    record_sha256: Sha256
    """SHA-256 of the `record.json` beside it, which the certificate itself cannot name."""


class WaiverBody(StrictModel):
    """Which gate is waived, and until when."""

    gate: NonEmptyText
    """The gate in words, as the certificate names it."""
    until: AwareDatetime


class CorrectionBody(StrictModel):
    """Which earlier entry no longer counts. What should stand instead is an entry of its own."""

    corrects: int = Field(ge=1)


class PlainBody(StrictModel):
    """Nothing beyond author and reason."""


BODIES: dict[EntryKind, type[StrictModel]] = {
    "certificate": CertificateBody,
    "sign_off": PlainBody,
    "waiver": WaiverBody,
    "revocation": PlainBody,
    "correction": CorrectionBody,
}


class EntrySignature(StrictModel):
    """Who wrote an entry, provably."""

    keyid: Sha256
    sig: Annotated[str, Field(pattern=r"^[0-9a-f]{128}$")]


class LedgerEntry(StrictModel):
    """An entry as it is stored."""

    format: Literal["evaluator/ledger-entry/1"] = "evaluator/ledger-entry/1"
    audit: str
    sequence: int = Field(ge=1)
    previous: Sha256
    """SHA-256 of the file before this one; zeros for the first."""
    time: AwareDatetime
    kind: EntryKind
    author: NonEmptyText
    reason: NonEmptyText
    subject: Sha256
    """SHA-256 of the certificate's file."""
    body: dict[str, Any]
    signature: EntrySignature | None = None

    def signed(self, key: SigningKey) -> "LedgerEntry":
        """Return it with a signature."""
        signature = EntrySignature(keyid=key.public.key_id, sig=key.sign(self._message()).hex())
        return self.model_copy(update={"signature": signature})

    def is_signed_by(self, key: PublicKey) -> bool:
        """Tell whether it carries this key's signature."""
        return self.signature is not None and key.verifies(
            bytes.fromhex(self.signature.sig), self._message()
        )

    def certificate_body(self) -> CertificateBody:
        """Read the body of an entry of the kind `certificate`."""
        return CertificateBody.model_validate_json(json.dumps(self.body))

    def waiver_body(self) -> WaiverBody:
        """Read the body of an entry of the kind `waiver`."""
        return WaiverBody.model_validate_json(json.dumps(self.body))

    def correction_body(self) -> CorrectionBody:
        """Read the body of an entry of the kind `correction`."""
        return CorrectionBody.model_validate_json(json.dumps(self.body))

    def _message(self) -> bytes:
        unsigned = canonical_json(self.model_dump(mode="json", exclude={"signature"}))
        return encode_for_signing(ENTRY_TYPE, unsigned)


def parse_entry(content: bytes, source: str) -> LedgerEntry:
    """Read an entry, strictly."""
    try:
        entry = LedgerEntry.parse(content)
        BODIES[entry.kind].parse(canonical_json(entry.body))
    except ValueError as error:
        raise LedgerError(
            str(error), culprit=source, fix="restore the ledger from a copy"
        ) from error
    return entry


def checked_body(kind: EntryKind, body: dict[str, Any]) -> dict[str, Any]:
    """Return a body as it is stored, or say what it lacks."""
    if kind not in BODIES:
        raise LedgerUseError(
            f"there is no kind of entry {kind!r}",
            culprit="ledger",
            fix=f"use one of {', '.join(get_args(EntryKind))}",
        )
    try:
        checked: dict[str, Any] = BODIES[kind].model_validate(body).model_dump(mode="json")
    except ValidationError as error:
        raise LedgerUseError(
            first_fault(error, f" of a {kind}"),
            culprit="ledger",
            fix=f"give {', '.join(BODIES[kind].model_fields) or 'no body'}",
        ) from error
    return checked


class ChainedEntry(NamedTuple):
    """An entry, and the digest of its file."""

    entry: LedgerEntry
    digest: str

    @property
    def head(self) -> LedgerHead:
        """The ledger's head when this entry was the last."""
        return LedgerHead(sequence=self.entry.sequence, digest=self.digest)


class Chain(NamedTuple):
    """The ledger as it was found."""

    entries: tuple[ChainedEntry, ...]
    problems: tuple[Discrepancy, ...]
    cautions: tuple[str, ...]

    @property
    def head(self) -> LedgerHead:
        """Number and digest of the last entry."""
        return self.entries[-1].head if self.entries else GENESIS_HEAD


def ledger_folder(audit: str) -> str:
    """Return where an audit's ledger lies, below the store's address."""
    return f"{audit}/ledger"


def entry_name(sequence: int) -> str:
    """Return the name of an entry's file."""
    return f"{sequence:06d}.json"


def read_chain(
    files: Files, audit: str, *, key: PublicKey | None, known_head: LedgerHead | None = None
) -> Chain:
    """Read the whole ledger and check the chain."""
    folder = ledger_folder(audit)
    # Read before the entries are listed: of those that come meanwhile it must know none.
    checkpoint = files.read(f"{folder}/{HEAD}")
    names = files.names(folder)
    if checkpoint is None and HEAD in names:
        # The ledger began just now.
        checkpoint, names = files.read(f"{folder}/{HEAD}"), files.names(folder)
    problems = [
        Discrepancy("ledger", f"{folder}/{name}", "it is no entry: it was added")
        for name in names
        if name != HEAD and not _ENTRY_NAME.fullmatch(name)
    ]
    entries = []
    cautions = []
    head = GENESIS_HEAD
    entry_names = sorted(filter(_ENTRY_NAME.fullmatch, names), key=_number)
    last = _number(entry_names[-1]) if entry_names else 0
    problems += [
        Discrepancy("ledger", f"{folder}/{name}", "it is gone")
        for name in map(entry_name, range(1, min(last, len(entry_names) + _MAX_GAPS)))
        if name not in entry_names
    ]
    for name in entry_names:
        path = f"{folder}/{name}"
        content = files.read(path) or b""
        # What follows is held against the bytes that are here, whatever they are.
        before, head = head, LedgerHead(sequence=head.sequence + 1, digest=digest_of_bytes(content))
        try:
            entry = parse_entry(content, path)
        except LedgerError as error:
            problems.append(Discrepancy("ledger", path, error.what))
            continue
        problems += [
            Discrepancy("ledger", path, what) for what in _mismatches(entry, name, audit, before)
        ]
        if key is not None and entry.signature is None:
            cautions.append(f"{path} ({entry.kind} by {entry.author}) is not signed")
        elif key is not None and not entry.is_signed_by(key):
            problems.append(Discrepancy("ledger", path, "its signature is not the given key's"))
        entries.append(ChainedEntry(entry, head.digest))
    problems += _check_head(f"{folder}/{HEAD}", checkpoint, entries, cautions)
    if known_head is not None:
        problems += check_contains(entries, known_head, folder)
    return Chain(tuple(entries), tuple(problems), tuple(cautions))


def check_contains(
    entries: Sequence[ChainedEntry], head: LedgerHead, file: str
) -> list[Discrepancy]:
    """Say where a chain does not run through a head that it once had."""
    if head.sequence == 0:
        return []
    there = {chained.entry.sequence: chained.digest for chained in entries}
    digest = there.get(head.sequence)
    if digest is None:
        what = f"the chain does not reach entry {head.sequence} any more: it was cut or turned back"
        return [Discrepancy("ledger", file, what)]
    if digest != head.digest:
        what = f"entry {head.sequence} is {digest[:12]}…, and was {head.digest[:12]}…"
        return [Discrepancy("ledger", file, what)]
    return []


def _number(name: str) -> int:
    return int(name.removesuffix(".json"))


def _mismatches(entry: LedgerEntry, name: str, audit: str, before: LedgerHead) -> list[str]:
    """Say what keeps an entry from following the one before it."""
    found = []
    if name != entry_name(entry.sequence):
        found.append(f"it says that it is entry {entry.sequence}")
    if entry.sequence != before.sequence + 1:
        found.append(f"it follows entry {before.sequence}: entries were removed, added or swapped")
    if entry.previous != before.digest:
        found.append(
            f"it names {entry.previous[:12]}… as the entry before it, and that is"
            f" {before.digest[:12]}…"
        )
    if entry.audit != audit:
        found.append(f"it is of the audit {entry.audit!r}")
    return found


def _check_head(
    path: str, content: bytes | None, entries: Sequence[ChainedEntry], cautions: list[str]
) -> list[Discrepancy]:
    """Hold the chain against its checkpoint."""
    if content is None:
        return [Discrepancy("ledger", path, "it is gone")] if entries else []
    try:
        head = _parse_head(content)
    except ValueError:
        return [Discrepancy("ledger", path, "it is not what was written")]
    last = entries[-1].entry.sequence if entries else 0
    if head.sequence < last:
        cautions.append(
            f"{path} names entry {head.sequence}, and there are {last}: an entry was being"
            " written, or was added by other means"
        )
    return check_contains(entries, head, path)


def _parse_head(content: bytes) -> LedgerHead:
    document = json.loads(content)
    if not isinstance(document, dict) or canonical_json(document) != content:
        raise ValueError(HEAD)
    if document.pop("format", None) != HEAD_FORMAT:
        raise ValueError(HEAD)
    return LedgerHead.model_validate(document)


class Ledger:
    """The ledger of one audit.

    Parameters
    ----------
    url
        The evidence store's address.
    audit
        The audit's name.
    """

    def __init__(self, url: str, audit: str) -> None:
        self._files = Files(url)
        self._audit = audit

    def entries(self) -> tuple[ChainedEntry, ...]:
        """Return all entries in order.

        Raises
        ------
        LedgerError
            Where the chain is not whole.
        """
        return self._chain().entries

    def head(self) -> LedgerHead:
        """Return number and digest of the last entry.

        Raises
        ------
        LedgerError
            Where the chain is not whole.
        """
        return self._chain().head

    def append(
        self,
        kind: EntryKind,
        *,
        subject: str,
        author: str,
        reason: str,
        body: dict[str, Any],
        now: datetime,
        key: SigningKey | None,
    ) -> ChainedEntry:
        """Add an entry at the end.

        Parameters
        ----------
        kind
            What it is.
        subject
            SHA-256 of the certificate's file that it is about.
        author, reason
            Who says so, and why.
        body
            What its kind needs: of a certificate what it says and where it lies, of a waiver the
            gate and its end, of a correction the entry's number; nothing of the others.
        now
            When, with its time zone.
        key
            Signs the entry; without one anybody who can write here could have written it.

        Returns
        -------
        ChainedEntry
            The entry as it is stored, with its file's digest.

        Raises
        ------
        LedgerError
            Where the chain is not whole: nothing is added to a broken one.
        LedgerUseError
            Where the entry cannot be: a certificate entered twice, a decision about one that was
            never entered, a correction of what cannot be corrected, or a body of another form.
        """
        checked = checked_body(kind, body)
        for _ in range(_ATTEMPTS):
            chain = self._chain()
            _refuse_what_cannot_be(chain.entries, kind, subject, checked)
            entry = self._follow(
                chain.head,
                time=now,
                kind=kind,
                author=author,
                reason=reason,
                subject=subject,
                body=checked,
            )
            content = (entry.signed(key) if key else entry).to_bytes()
            path = f"{ledger_folder(self._audit)}/{entry_name(entry.sequence)}"
            if not chain.entries:
                # Before the first entry, so that a missing head always means that it was taken.
                self._write_head(GENESIS_HEAD)
            try:
                self._files.create(path, content)
            except FileExistsError:
                continue
            added = ChainedEntry(parse_entry(content, path), digest_of_bytes(content))
            self._write_head(added.head)
            return added
        raise LedgerError(
            f"{_ATTEMPTS} other entries came between",
            culprit=ledger_folder(self._audit),
            fix="try again when fewer write at once",
        )

    def _follow(self, head: LedgerHead, **fields: Any) -> LedgerEntry:
        """Make the entry that comes after a head."""
        try:
            return LedgerEntry(
                audit=self._audit, sequence=head.sequence + 1, previous=head.digest, **fields
            )
        except ValidationError as error:
            raise LedgerUseError(
                first_fault(error),
                culprit="ledger",
                fix="give an author, a reason, a time with its zone and a certificate's digest",
            ) from error

    def _chain(self) -> Chain:
        chain = read_chain(self._files, self._audit, key=None)
        if chain.problems:
            raise LedgerError(
                chain.problems[0].what,
                culprit=chain.problems[0].file,
                fix="restore the ledger from a copy; nothing is added to a broken chain",
            )
        return chain

    def _write_head(self, head: LedgerHead) -> None:
        content = canonical_json({"format": HEAD_FORMAT, **head.model_dump()})
        self._files.replace(f"{ledger_folder(self._audit)}/{HEAD}", content)


def _refuse_what_cannot_be(
    entries: Sequence[ChainedEntry], kind: EntryKind, subject: str, body: dict[str, Any]
) -> None:
    entered = {c.entry.subject for c in entries if c.entry.kind == "certificate"}
    if kind == "certificate":
        if subject in entered:
            raise LedgerUseError(
                "this certificate is in the ledger already",
                culprit=subject,
                fix="leave it as it is",
            )
        return
    if subject not in entered:
        raise LedgerUseError(
            "the ledger knows no such certificate",
            culprit=subject,
            fix="give the SHA-256 of a certificate's file that this audit issued",
        )
    if kind == "correction":
        found = [c.entry for c in entries if c.entry.sequence == body["corrects"]]
        fits = found and found[0].subject == subject
        if not fits or found[0].kind in {"certificate", "correction"}:
            raise LedgerUseError(
                f"entry {body['corrects']} is no decision about this certificate",
                culprit="ledger",
                fix="correct a sign-off, a waiver or a revocation of the same certificate;"
                " a certificate is revoked, and a correction is followed by a new entry",
            )
