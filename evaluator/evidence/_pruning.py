"""Removing what nothing refers to any more.

What the current versions rest on stays, and what any certificate ever rested on, and everything
that was taken in. So what is pruned are results that were superseded before they were certified,
and what a killed process left half written.
"""

import shutil
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from evaluator.evidence._files import TEMPORARY, StoredPath
from evaluator.evidence._lineage import VersionKey, key_of, reached
from evaluator.evidence._record import Record
from evaluator.evidence._store import RECORD, EvidenceStore


class Prunable(NamedTuple):
    """Something that nothing refers to."""

    asset: str
    paths: tuple[str, ...]
    """Its files; that which makes a version exist comes first."""
    size: int
    """In bytes."""


class PruningPlan(NamedTuple):
    """What would be removed, and what stays."""

    superseded: tuple[Prunable, ...]
    """Versions that nothing refers to."""
    incomplete: tuple[Prunable, ...]
    """Files that a process left half written."""
    beside: Mapping[Path, int]
    """Such files and folders that are no evidence, with their sizes in bytes."""
    kept: int
    """Versions that something refers to, or that are kept for ever."""
    too_recent: int
    """Versions that nothing refers to, and that may belong to a run that is under way."""

    @property
    def all(self) -> tuple[Prunable, ...]:
        """All evidence that would be removed."""
        return self.superseded + self.incomplete

    @property
    def is_empty(self) -> bool:
        """Whether nothing would be removed."""
        return not (self.all or self.beside)

    def within(self, agreed: "PruningPlan") -> "PruningPlan":
        """Leave out what is not in another plan: only that was agreed to."""
        return self._replace(
            superseded=tuple(one for one in self.superseded if one in agreed.superseded),
            incomplete=tuple(one for one in self.incomplete if one in agreed.incomplete),
            beside={path: size for path, size in self.beside.items() if path in agreed.beside},
        )


def plan_pruning(
    store: EvidenceStore,
    audit: str,
    *,
    retained: Collection[str],
    before: datetime,
    beside: Iterable[Path] = (),
) -> PruningPlan:
    """Find what nothing refers to; nothing is removed yet.

    Parameters
    ----------
    store
        The versioned store.
    audit
        Whose evidence is looked through.
    retained
        The assets of which every version stays, with all that it rests on.
    before
        With its time zone. What is younger stays, since a run may be about to refer to it.
    beside
        Files and folders that are no evidence, and that nobody needs once their writer has ended.

    Raises
    ------
    EvidenceError
        Where a record is damaged: what it refers to is not known then.
    """
    folders: dict[str, list[StoredPath]] = {}
    for stored in store.listing(audit):
        folders.setdefault(stored.path.rsplit("/", 1)[0], []).append(stored)
    versions = {
        folder: store.read_record(f"{folder}/{RECORD}")
        for folder, files in folders.items()
        if any(stored.path == f"{folder}/{RECORD}" for stored in files)
    }
    referenced = _referenced(store, audit, versions.values(), retained)
    unreferenced = {
        folder: record for folder, record in versions.items() if key_of(record) not in referenced
    }
    superseded = [
        _prunable(record.asset, folders[folder])
        for folder, record in unreferenced.items()
        if record.created_at < before
    ]
    return PruningPlan(
        superseded=tuple(superseded),
        incomplete=tuple(_incomplete(store, audit, folders, versions, before)),
        beside=dict(_older(beside, before)),
        kept=len(versions) - len(unreferenced),
        too_recent=len(unreferenced) - len(superseded),
    )


def prune(store: EvidenceStore, plan: PruningPlan) -> None:
    """Remove what a plan lists; a version is gone before its files are."""
    for prunable in plan.all:
        store.remove(prunable.paths)
    for path in plan.beside:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def _referenced(
    store: EvidenceStore, audit: str, records: Iterable[Record], retained: Collection[str]
) -> set[VersionKey]:
    """Find the current versions, those of retained assets, and all that they rest on."""
    known = {key_of(record): record for record in records}
    roots = [
        VersionKey(address.asset, address.partition, identity)
        for address, identity in store.current_versions(audit)
    ]
    roots += [key for key, record in known.items() if record.asset in retained]
    return reached(roots, lambda key: map(key_of, known[key].upstream) if key in known else ())


def _prunable(asset: str, files: Iterable[StoredPath]) -> Prunable:
    ordered = sorted(files, key=lambda stored: not stored.path.endswith(f"/{RECORD}"))
    return Prunable(asset, tuple(f.path for f in ordered), sum(f.size for f in ordered))


def _incomplete(
    store: EvidenceStore,
    audit: str,
    folders: Mapping[str, Iterable[StoredPath]],
    versions: Collection[str],
    before: datetime,
) -> Iterator[Prunable]:
    for folder, files in folders.items():
        # Of a version that does not exist, notes of failures stay: they say why.
        leftovers = [
            stored
            for stored in files
            if stored.path.endswith(TEMPORARY)
            or (folder not in versions and not stored.path.endswith(".json"))
        ]
        old = [stored for stored in leftovers if stored.modified.astimezone(UTC) < before]
        if old:
            yield _prunable(store.asset_of(audit, folder), old)
    # What is written with more care is written there first, of whatever audit it is.
    old = [stored for stored in store.files.leftovers() if stored.modified < before]
    if old:
        yield _prunable("", old)


def _older(paths: Iterable[Path], before: datetime) -> Iterator[tuple[Path, int]]:
    """Yield what has not changed since then, with its size; a folder as young as all within."""
    for path in paths:
        with suppress(FileNotFoundError):
            # What a link leads to is neither older nor gone with it.
            stats = [one.lstat() for one in (path, *path.rglob("*"))]
            if datetime.fromtimestamp(max(stat.st_mtime for stat in stats), UTC) < before:
                yield path, sum(stat.st_size for stat in stats)
