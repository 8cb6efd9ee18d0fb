"""The ledger: an append-only chain of certificates and of what people decided about them.

Layout below the evidence store's address::

    <audit>/ledger/000001.json      each entry names the SHA-256 of the file before it
    <audit>/ledger/head.json        the last entry's number and digest

Nothing is edited. An entry is created under the next free number, and creating fails where that
number is taken, so that of two writers each gets a number of its own. The head is a checkpoint: a
chain that ends before it was cut. Who keeps a head elsewhere (each certificate carries one) finds
out even where somebody cuts the chain and turns the head back too.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from pydantic import ValidationError

from evaluator.certification.keys import SigningKey
from evaluator.certification.ledger_chain import (
    BEGINNING,
    HEAD,
    HEAD_FORMAT,
    Chain,
    ChainedEntry,
    entry_name,
    ledger_folder,
    read_chain,
)
from evaluator.certification.ledger_entry import (
    EntryKind,
    LedgerEntry,
    LedgerError,
    LedgerUseError,
    checked_body,
    parse_entry,
)
from evaluator.certification.statement import LedgerHead
from evaluator.evidence.canonical import canonical_json, digest_of_bytes
from evaluator.evidence.files import Files

# So many others may come between before an append gives up.
_ATTEMPTS = 100


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
        """Return number and digest of the last entry; see `entries`."""
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
            What its kind needs: see `evaluator.certification.ledger_entry.BODIES`.
        now
            When, with its time zone.
        key
            Signs the entry; without one anybody who can write here could have written it.

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
                self._write_head(BEGINNING)
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

    def _follow(self, head: LedgerHead, **said: Any) -> LedgerEntry:
        """Make the entry that comes after a head."""
        try:
            return LedgerEntry(
                audit=self._audit, sequence=head.sequence + 1, previous=head.digest, **said
            )
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            raise LedgerUseError(
                f"`{'.'.join(map(str, first['loc']))}` is not as it must be: {first['msg']}",
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
