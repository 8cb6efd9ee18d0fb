"""Reading the ledger and checking its chain."""

import json
import re
from collections.abc import Sequence
from typing import NamedTuple

from evaluator.certification.findings import Problem
from evaluator.certification.keys import PublicKey
from evaluator.certification.ledger_entry import NO_ENTRY, LedgerEntry, LedgerError, parse_entry
from evaluator.certification.statement import LedgerHead
from evaluator.evidence.canonical import canonical_json, digest_of_bytes
from evaluator.evidence.files import Files

HEAD = "head.json"
HEAD_FORMAT = "evaluator/ledger-head/1"
BEGINNING = LedgerHead(sequence=0, digest=NO_ENTRY)
_ENTRY_NAME = re.compile(r"\d{6,}\.json")
# A file with a huge number must not be told as that many gaps.
_MOST_GAPS = 100


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
    problems: tuple[Problem, ...]
    cautions: tuple[str, ...]

    @property
    def head(self) -> LedgerHead:
        """Number and digest of the last entry."""
        return self.entries[-1].head if self.entries else BEGINNING


def ledger_folder(audit: str) -> str:
    """Return where an audit's ledger lies, below the store's address."""
    return f"{audit}/ledger"


def entry_name(sequence: int) -> str:
    """Return the name of an entry's file."""
    return f"{sequence:06d}.json"


def read_chain(
    files: Files, audit: str, *, key: PublicKey | None, known_head: LedgerHead | None = None
) -> Chain:
    """Read the whole ledger and check the chain.

    Parameters
    ----------
    files
        The evidence folder.
    audit
        The audit's name.
    key
        Whose signatures the entries should carry; None where they are not to be checked.
    known_head
        A head that somebody kept elsewhere: the chain must still run through it.

    Returns
    -------
    Chain
        The entries that could be read, what is wrong, and what is merely not proven. Edits,
        removals, swaps, additions in between and a cut end are problems.
    """
    place = ledger_folder(audit)
    # Read before the entries are listed: of those that come meanwhile it must know none.
    checkpoint = files.read(f"{place}/{HEAD}")
    names = files.names(place)
    if checkpoint is None and HEAD in names:
        # The ledger began just now.
        checkpoint, names = files.read(f"{place}/{HEAD}"), files.names(place)
    problems = [
        Problem("ledger", f"{place}/{name}", "it is no entry: it was added")
        for name in names
        if name != HEAD and not _ENTRY_NAME.fullmatch(name)
    ]
    entries = []
    cautions = []
    head = BEGINNING
    entry_names = sorted(filter(_ENTRY_NAME.fullmatch, names), key=_number)
    last = _number(entry_names[-1]) if entry_names else 0
    problems += [
        Problem("ledger", f"{place}/{name}", "it is gone")
        for name in map(entry_name, range(1, min(last, len(entry_names) + _MOST_GAPS)))
        if name not in entry_names
    ]
    for name in entry_names:
        path = f"{place}/{name}"
        content = files.read(path) or b""
        # What follows is held against the bytes that are here, whatever they are.
        before, head = head, LedgerHead(sequence=head.sequence + 1, digest=digest_of_bytes(content))
        try:
            entry = parse_entry(content, path)
        except LedgerError as error:
            problems.append(Problem("ledger", path, error.what))
            continue
        problems += [Problem("ledger", path, what) for what in _misfits(entry, name, audit, before)]
        if key is not None and entry.signature is None:
            cautions.append(f"{path} ({entry.kind} by {entry.author}) is not signed")
        elif key is not None and not entry.is_signed_by(key):
            problems.append(Problem("ledger", path, "its signature is not the given key's"))
        entries.append(ChainedEntry(entry, head.digest))
    problems += _check_head(f"{place}/{HEAD}", checkpoint, entries, cautions)
    if known_head is not None:
        problems += misses(entries, known_head, place)
    return Chain(tuple(entries), tuple(problems), tuple(cautions))


def misses(entries: Sequence[ChainedEntry], head: LedgerHead, file: str) -> list[Problem]:
    """Say where a chain does not run through a head that it once had.

    Parameters
    ----------
    entries
        The chain.
    head
        A head that somebody kept.
    file
        The file that the problem is about.
    """
    if head.sequence == 0:
        return []
    there = {chained.entry.sequence: chained.digest for chained in entries}
    digest = there.get(head.sequence)
    if digest is None:
        what = f"the chain does not reach entry {head.sequence} any more: it was cut or turned back"
        return [Problem("ledger", file, what)]
    if digest != head.digest:
        what = f"entry {head.sequence} is {digest[:12]}…, and was {head.digest[:12]}…"
        return [Problem("ledger", file, what)]
    return []


def _number(name: str) -> int:
    return int(name.removesuffix(".json"))


def _misfits(entry: LedgerEntry, name: str, audit: str, before: LedgerHead) -> list[str]:
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
) -> list[Problem]:
    """Hold the chain against its checkpoint."""
    if content is None:
        return [Problem("ledger", path, "it is gone")] if entries else []
    try:
        head = _parse_head(content)
    except ValueError:
        return [Problem("ledger", path, "it is not what was written")]
    last = entries[-1].entry.sequence if entries else 0
    if head.sequence < last:
        cautions.append(
            f"{path} names entry {head.sequence}, and there are {last}: an entry was being"
            " written, or was added by other means"
        )
    return misses(entries, head, path)


def _parse_head(content: bytes) -> LedgerHead:
    document = json.loads(content)
    if not isinstance(document, dict) or canonical_json(document) != content:
        raise ValueError(HEAD)
    if document.pop("format", None) != HEAD_FORMAT:
        raise ValueError(HEAD)
    return LedgerHead.model_validate(document)
