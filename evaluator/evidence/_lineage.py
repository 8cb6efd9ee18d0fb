"""What rests on what, version by version, as the provenance records say.

An answer is exact to the partition: an edge stands in the record of the output that rests on it,
with the identity and the content that were used.
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, Protocol

from evaluator.evidence._record import Address, Record, Upstream
from evaluator.evidence._store import EvidenceStore

Pointers = Mapping[Address, str]
"""The identity of each address's current version."""

MAX_NAMED = 4
"""So many versions are named in a line; of more, how many there are."""


class VersionKey(NamedTuple):
    """One version of an audit's outputs."""

    asset: str
    partition: str | None
    identity: str

    def __str__(self) -> str:
        name = self.asset if self.partition is None else f"{self.asset}[{self.partition}]"
        return f"{name} {short(self.identity)}"


class Version(Protocol):
    """What says which version of an audit's outputs is meant: a record, or a reference to one."""

    @property
    def asset(self) -> str: ...
    @property
    def partition(self) -> str | None: ...
    @property
    def identity(self) -> str: ...


class Note(NamedTuple):
    """What is known of a version besides its record."""

    text: tuple[str, ...] = ()
    """The lines in which people are told of it."""
    facts: Mapping[str, Any] = {}
    """The same as JSON values."""
    source: str | None = None
    """Where it came from, for what came from outside."""


@dataclass(frozen=True)
class Walk:
    """The versions that were met on the way from some of them, and how they hang together."""

    audit: str
    direction: Literal["upstream", "downstream"]
    roots: tuple[VersionKey, ...]
    versions: Mapping[VersionKey, Record]
    """Upstream, the roots first; downstream, what is rested on before what rests on it."""
    gone: frozenset[VersionKey]
    """What is rested on and has no record any more."""


@dataclass(frozen=True)
class Lineage:
    """The answer to a question about lineage."""

    walk: Walk
    """The versions that were found."""
    current: frozenset[VersionKey]
    """Those that are the current ones of their partitions."""
    outdated: Mapping[VersionKey, tuple[str, ...]]
    """Why each version is outdated that is."""
    problems: tuple[str, ...]
    """Where the records contradict each other."""
    notes: Mapping[VersionKey, Note] = field(default_factory=dict)
    """What is known of them besides."""

    def state(self, key: VersionKey) -> str:
        """Tell whether a version is `current`, `superseded` or `gone`."""
        if key in self.walk.gone:
            return "gone"
        return "current" if key in self.current else "superseded"


def key_of(version: Version) -> VersionKey:
    """Name a version within its audit, given its record or whatever refers to it."""
    return VersionKey(version.asset, version.partition, version.identity)


def short(identity: str) -> str:
    """Cut an identity to what people compare."""
    return identity[:12]


def rests_on(record: Record) -> str:
    """Name in a line what a version rests on; of much, the counts."""
    if len(record.upstream) <= MAX_NAMED:
        return ", ".join(str(key_of(upstream)) for upstream in record.upstream) or "what came in"
    counts = Counter(upstream.asset for upstream in record.upstream)
    return ", ".join(f"{count:,} of {asset}" for asset, count in counts.items())


def walk_upstream(
    store: EvidenceStore,
    audit: str,
    roots: Sequence[Record],
    beside: Mapping[str, Collection[str]],
) -> Walk:
    """Find everything that some versions rest on.

    Parameters
    ----------
    store
        The versioned store.
    audit
        Whose lineage it is.
    roots
        Where to begin.
    beside
        For an asset, the assets that the same pass makes under the same identity; they are part
        of the answer though nothing rests on them.

    Raises
    ------
    EvidenceError
        Where a record is damaged. One that is not there is part of the answer.
    """
    versions: dict[VersionKey, Record] = {}
    gone = set()
    layer = {key_of(record): record for record in roots}
    while layer:
        versions |= layer
        rested_on = {
            key: None
            for record in layer.values()
            for key in map(key_of, record.upstream)
            if key not in versions and key not in gone
        }
        layer = {}
        for key in rested_on:
            record = _find(store, audit, key)
            if record is None:
                gone.add(key)
            else:
                layer[key] = record
    for record in list(versions.values()):
        for asset in beside.get(record.asset, ()):
            key = VersionKey(asset, record.partition, record.identity)
            made_beside = None if key in versions else _find(store, audit, key)
            if made_beside is not None:
                versions[key] = made_beside
    return Walk(audit, "upstream", tuple(map(key_of, roots)), versions, frozenset(gone))


def walk_downstream(audit: str, roots: Sequence[Record], every: Iterable[Record]) -> Walk:
    """Find everything that rests on some versions, what was superseded since included.

    Parameters
    ----------
    audit
        Whose lineage it is.
    roots
        Where to begin.
    every
        Every version that is stored for the audit.
    """
    known = {key_of(record): record for record in (*roots, *every)}
    dependents: dict[VersionKey, list[VersionKey]] = {}
    for key, record in known.items():
        for rested_on in map(key_of, record.upstream):
            dependents.setdefault(rested_on, []).append(key)
    root_keys = tuple(map(key_of, roots))
    found = reached(root_keys, lambda key: dependents.get(key, ()))
    ordered = {key: known[key] for key in _upstream_first(known) if key in found}
    return Walk(audit, "downstream", root_keys, ordered, frozenset())


def reached(
    roots: Iterable[VersionKey], next_of: Callable[[VersionKey], Iterable[VersionKey]]
) -> set[VersionKey]:
    """Find all versions that some lead to, themselves included."""
    found: set[VersionKey] = set()
    pending = list(roots)
    while pending:
        key = pending.pop()
        if key not in found:
            found.add(key)
            pending += next_of(key)
    return found


def judge_lineage(
    store: EvidenceStore,
    walk: Walk,
    pointers: Pointers,
    also_outdated: Mapping[VersionKey, str],
    notes: Mapping[VersionKey, Note],
) -> Lineage:
    """Tell what is current and what is outdated.

    A version is outdated where the current version of something that it rests on has another
    content, or where that is outdated itself. Another version with the same content changes
    nothing.

    Parameters
    ----------
    store
        The versioned store.
    walk
        What was found.
    pointers
        The identity of each address's current version.
    also_outdated
        Why versions are outdated though all that they rest on is as it was.
    notes
        What is known of versions besides.

    Raises
    ------
    EvidenceError
        Where a record is damaged, or that of a current version is gone.
    """
    known = dict(walk.versions)
    if walk.direction == "downstream":
        # What a version rests on besides may be outdated as well.
        known |= walk_upstream(store, walk.audit, list(known.values()), {}).versions
    outdated: dict[VersionKey, tuple[str, ...]] = {}
    for key in _upstream_first(known):
        record = known[key]
        changes = (_change(store, walk.audit, pointers, u) for u in record.upstream)
        reasons = [change for change in changes if change is not None]
        inherited = {u.asset: None for u in record.upstream if key_of(u) in outdated}
        reasons += [f"it rests on {asset}, which is outdated" for asset in inherited]
        if not reasons and key in also_outdated:
            reasons = [also_outdated[key]]
        if reasons:
            outdated[key] = tuple(reasons)
    return Lineage(
        walk=walk,
        current=frozenset(
            key
            for key in walk.versions
            if pointers.get(Address(walk.audit, key.asset, key.partition)) == key.identity
        ),
        outdated={key: reasons for key, reasons in outdated.items() if key in walk.versions},
        problems=tuple(_problems(walk, known)),
        notes={key: note for key, note in notes.items() if key in walk.versions},
    )


def _find(store: EvidenceStore, audit: str, key: VersionKey) -> Record | None:
    return store.find(Address(audit, key.asset, key.partition), key.identity)


def _upstream_first(known: Mapping[VersionKey, Record]) -> list[VersionKey]:
    """Order versions so that each comes after all that it rests on."""
    # Not graphlib: the store of a cheat may hold records that rest on each other, and then any
    # order will do.
    ordered: dict[VersionKey, None] = {}
    visited = set()
    pending = list(known)[::-1]
    while pending:
        key = pending[-1]
        if key not in visited:
            visited.add(key)
            rested_on = map(key_of, known[key].upstream)
            pending += [other for other in rested_on if other in known and other not in visited]
        else:
            ordered[pending.pop()] = None
    return list(ordered)


def _change(store: EvidenceStore, audit: str, pointers: Pointers, upstream: Upstream) -> str | None:
    """Say that the current version of what is rested on has another content, where it has."""
    address = Address(audit, upstream.asset, upstream.partition)
    identity = pointers.get(address)
    if identity is None or identity == upstream.identity:
        return None
    current = store.get(address, identity)
    if current.content_version == upstream.content_version:
        return None
    return f"it rests on {key_of(upstream)}, and {short(identity)} is current now"


def _problems(walk: Walk, known: Mapping[VersionKey, Record]) -> Iterable[str]:
    for key in sorted(walk.gone, key=str):
        yield f"{key} is rested on, and its record is not there any more"
    for key, record in walk.versions.items():
        for upstream in record.upstream:
            rested_on = known.get(key_of(upstream))
            if rested_on is not None and rested_on.content_version != upstream.content_version:
                yield (
                    f"{key} rests on content {short(upstream.content_version)} of"
                    f" {key_of(upstream)}, whose record says {short(rested_on.content_version)}"
                )
