"""The ledger: an append-only chain of certificates and of what people decided about them.

Layout below the evidence store's address::

    <audit>/ledger/000001.json      each entry names the SHA-256 of the file before it
    <audit>/ledger/head.json        the last entry's number and digest

Nothing is edited. An entry is created under the next free number, and creating fails where that
number is taken, so that of two writers each gets a number of its own. The head is a checkpoint: a
chain that ends before it was cut. Who keeps a head elsewhere (each certificate carries one) finds
out even where somebody cuts the chain and turns the head back too.

An entry counts for whoever trusts some keys if one of these signed it and may say such a thing.
A revocation counts whoever entered it, since it can only make worse what is said of a candidate.
"""

import json
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from pydantic import ValidationError

from evaluator.certification._entries import (
    KINDS,
    ChainedEntry,
    EnteredAlreadyError,
    EntryKind,
    LedgerEntry,
    LedgerError,
    LedgerUseError,
    checked_body,
    parse_entry,
)
from evaluator.certification._signatures import KEY_FILE_VARIABLE, SigningKey
from evaluator.certification._statement import Discrepancy, LedgerHead, first_fault
from evaluator.certification._trust import FALSE_SIGNATURE, TrustedKeys, revoked_keys, why_void
from evaluator.evidence import Files, canonical_json, digest_of_bytes

HEAD = "head.json"
HEAD_FORMAT = "evaluator/ledger-head/1"
GENESIS_HEAD = LedgerHead(sequence=0, digest="0" * 64)
"""The head of a ledger without entries, and what its first entry names as its predecessor."""
_ENTRY_NAME = re.compile(r"\d{6,}\.json")
# A file with a huge number must not be reported as that many gaps.
_MAX_GAPS = 100
# So many others may come between before an append gives up.
_ATTEMPTS = 100
# How often a checkpoint is looked at that is behind, and after how many seconds again.
_LOOKS = 5
_BETWEEN_LOOKS = 0.1


class Chain(NamedTuple):
    """The ledger as it was found."""

    entries: tuple[ChainedEntry, ...]
    problems: tuple[Discrepancy, ...]
    cautions: tuple[str, ...]
    behind: Discrepancy | None
    """Where the checkpoint is behind the chain: it was set back, an entry was added by other means,
    or one is being written."""
    revoked: frozenset[str] = frozenset()
    """The ids of the trusted keys that it revokes."""

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
    files: Files, audit: str, *, trusted: TrustedKeys | None, known_head: LedgerHead | None = None
) -> Chain:
    """Read the whole ledger, check the chain, and say which entries count."""
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
        entries.append(ChainedEntry(entry, head.digest))
    found, behind = _check_head(f"{folder}/{HEAD}", checkpoint, entries)
    problems += found
    cautions: list[str] = []
    if known_head is not None:
        lost = check_contains(entries, known_head, folder)
        problems += lost
        known_head = None if lost else known_head
    problems += _lost_signatures(entries, folder)
    revoked: Mapping[str, int] = {}
    if trusted is not None:
        revoked = revoked_keys(entries, trusted)
        entries = [
            chained._replace(void=why_void(chained.entry, trusted, revoked, known_head))
            for chained in entries
        ]
        problems += [
            Discrepancy("ledger", f"{folder}/{entry_name(chained.entry.sequence)}", chained.void)
            for chained in entries
            if chained.void == FALSE_SIGNATURE
        ]
        entries, cautions = _weigh(entries, folder)
    return Chain(tuple(entries), tuple(problems), tuple(cautions), behind, frozenset(revoked))


def read_settled_chain(
    files: Files, audit: str, *, trusted: TrustedKeys | None, known_head: LedgerHead | None = None
) -> Chain:
    """Read the whole ledger as `read_chain` does; a checkpoint that stays behind is a problem."""
    chain = read_chain(files, audit, trusted=trusted, known_head=known_head)
    for _ in range(_LOOKS):
        if chain.behind is None:
            return chain
        # Somebody may be between the writing of an entry and of its checkpoint.
        time.sleep(_BETWEEN_LOOKS)
        chain = read_chain(files, audit, trusted=trusted, known_head=known_head)
    behind = () if chain.behind is None else (chain.behind,)
    return chain._replace(problems=(*chain.problems, *behind))


def _lost_signatures(entries: Sequence[ChainedEntry], folder: str) -> Iterator[Discrepancy]:
    """Find entries without a signature after one that has one, whoever signed that."""
    others_signed = False
    for chained in entries:
        if chained.entry.signature is not None:
            others_signed = True
        elif others_signed:
            path = f"{folder}/{entry_name(chained.entry.sequence)}"
            what = (
                "it is not signed, and entries before it are: it lost its signature, or was added"
            )
            yield Discrepancy("ledger", path, what)


def _weigh(entries: Sequence[ChainedEntry], folder: str) -> tuple[list[ChainedEntry], list[str]]:
    """Let revocations count whoever entered them, and tell of every entry that is void."""
    weighed, cautions = [], []
    for chained in entries:
        entry, void = chained.entry, chained.void
        if void:
            path = f"{folder}/{entry_name(entry.sequence)} ({entry.kind} by {entry.author})"
            counts = not KINDS[entry.kind].said_by
            still = "as a revocation it counts even so" if counts else "it does not count"
            cautions.append(f"{path}: {void}; {still}")
            void = "" if counts else void
        weighed.append(chained._replace(void=void))
    return weighed, cautions


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
    path: str, content: bytes | None, entries: Sequence[ChainedEntry]
) -> tuple[list[Discrepancy], Discrepancy | None]:
    """Hold the chain against its checkpoint; say apart where that is behind."""
    if content is None:
        return ([Discrepancy("ledger", path, "it is gone")] if entries else []), None
    try:
        head = _parse_head(content)
    except (ValueError, RecursionError):
        return [Discrepancy("ledger", path, "it is not what was written")], None
    last = entries[-1].entry.sequence if entries else 0
    behind = None
    if head.sequence < last:
        what = (
            f"it names entry {head.sequence}, and there are {last}: it was set back, an entry was"
            " added by other means, or its writer was stopped, which the next entry mends"
        )
        behind = Discrepancy("ledger", path, what)
    return check_contains(entries, head, path), behind


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

    def entries(self, trusted: TrustedKeys | None = None) -> tuple[ChainedEntry, ...]:
        """Return all entries in order; with trusted keys, each says whether it counts.

        Raises
        ------
        LedgerError
            Where the chain is not whole.
        """
        return self._chain(trusted).entries

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
            SHA-256 of the certificate's file that it is about; of a publication that of its
            version's `record.json`, of a key's revocation the key's id.
        author, reason
            Who says so, and why.
        body
            What its kind needs: of a certificate what it says and where it lies, of a publication
            what it was made of and its files, of a waiver the gate and its end, of a correction the
            entry's number; nothing of the others.
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
        EnteredAlreadyError
            Where a certificate or a publication is entered twice.
        LedgerUseError
            Where the entry cannot be: a decision about a certificate that was never entered, a
            correction of what cannot be corrected, or a body of another form; or one without a
            signature where others have one.
        """
        checked = checked_body(kind, body)
        for _ in range(_ATTEMPTS):
            chain = self._chain()
            _refuse_what_cannot_be(chain.entries, kind, subject, checked)
            _refuse_unsigned(chain.entries, kind, key)
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

    def _chain(self, trusted: TrustedKeys | None = None) -> Chain:
        chain = read_chain(self._files, self._audit, trusted=trusted)
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


def lacks_signature(entries: Sequence[ChainedEntry], key: SigningKey | None) -> bool:
    """Tell whether an entry would be unsigned where others are signed: nobody would count it.

    Parameters
    ----------
    entries
        The whole ledger.
    key
        What would sign it.
    """
    return key is None and any(chained.entry.signature is not None for chained in entries)


def _refuse_unsigned(
    entries: Sequence[ChainedEntry], kind: EntryKind, key: SigningKey | None
) -> None:
    lacking = lacks_signature(entries, key)
    if lacking or (key is None and KINDS[kind].about == "key"):
        raise LedgerUseError(
            "entries of this ledger are signed, and there is no key to sign this one with"
            if lacking
            else "the revocation of a key has to be signed",
            culprit="ledger",
            fix=f"name your private key's file in {KEY_FILE_VARIABLE}, or with `--sign-with`;"
            " `evaluator keys create` makes one",
        )


def _refuse_what_cannot_be(
    entries: Sequence[ChainedEntry], kind: EntryKind, subject: str, body: dict[str, Any]
) -> None:
    about = KINDS[kind].about
    entered = {(c.entry.kind, c.entry.subject) for c in entries}
    if about == "itself" and (kind, subject) in entered:
        raise EnteredAlreadyError(
            f"this {kind} is in the ledger already", culprit=subject, fix="leave it as it is"
        )
    if about != "certificate":
        return
    if ("certificate", subject) not in entered:
        raise LedgerUseError(
            "the ledger knows no such certificate",
            culprit=subject,
            fix="give the SHA-256 of a certificate's file that this audit issued",
        )
    if kind == "correction":
        found = [c.entry for c in entries if c.entry.sequence == body["corrects"]]
        fits = found and found[0].subject == subject
        if not fits or not KINDS[found[0].kind].can_be_corrected:
            raise LedgerUseError(
                f"entry {body['corrects']} is no decision about this certificate",
                culprit="ledger",
                fix="correct a sign-off, a waiver or a revocation of the same certificate;"
                " a certificate is revoked, and a correction is followed by a new entry",
            )
