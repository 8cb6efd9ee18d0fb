"""From an audit, an asset, a partition and a version to an answer about lineage."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from functools import cached_property
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from evaluator.certification import spec_document
from evaluator.errors import UsageError
from evaluator.evidence import (
    EvidenceStore,
    Lineage,
    Note,
    Pointers,
    Record,
    VersionKey,
    digest_of_bytes,
    judge_lineage,
    key_of,
    walk_downstream,
    walk_upstream,
)
from evaluator.intake import QUARANTINED_ROWS
from evaluator.orchestration._evaluation_set import needs_refresh
from evaluator.orchestration._facts import IntakeFacts, ModelFacts, RawDataFacts
from evaluator.orchestration._home import Home
from evaluator.orchestration._scorecard_run import (
    ExpectedScorecard,
    declared_as_scored,
    expected_scorecard,
)
from evaluator.orchestration._state import AuditState
from evaluator.scorecard import CASES, INTAKES, Asset, Slice
from evaluator.spec import Audit, suggestion

_INTAKE = {asset: names for names in INTAKES for asset in (names.typed, *names.beside)}
"""What one pass over a day's file makes, under one identity, with its kind of files."""
_RAW = {names.raw for names in INTAKES}
_MODEL = "_model"
_OF_SLICES = ("_predictions", "_slice_metrics")
MAX_CHOICES = 12
"""So many choices are named where a question is not clear."""
_BESIDE = {
    asset: [other for other in (names.typed, *names.beside) if other != asset]
    for asset, names in _INTAKE.items()
}


class Question(NamedTuple):
    """Which stored versions are asked about."""

    asset: str
    """The asset's name, without the audit's."""
    partition: str | None = None
    """One of its partitions, as Dagster names it; without it, all."""
    version: str | None = None
    """The beginning of an identity, of a content version or of a file's SHA-256; without it, what
    is current."""

    def takes(self, partition: str | None) -> bool:
        """Tell whether a partition is asked about."""
        return self.partition in (None, partition)


def ask_lineage(
    audit: Audit, home: Home, question: Question, *, downstream: bool, now: datetime
) -> Lineage:
    """Tell what stored versions rest on, or what rests on them.

    Parameters
    ----------
    audit
        The audit as its YAML stands now.
    home
        Where its evidence is.
    question
        Which versions are asked about.
    downstream
        Whether to tell what rests on them, instead of what they rest on.
    now
        The time, by which a policy may ask for a new evaluation set.

    Raises
    ------
    UsageError
        Where the words name nothing that is stored, or several things.
    EvidenceError
        Where stored evidence is damaged.
    """
    state = AuditState(audit, home)
    store = state.store
    pointers = dict(store.current_versions(audit.name))
    roots = _roots(audit.name, store, pointers, question)
    if downstream:
        walk = walk_downstream(audit.name, roots, store.all_versions(audit.name))
    else:
        walk = walk_upstream(store, audit.name, roots, _BESIDE)
    current = [
        record
        for record in walk.versions.values()
        if pointers.get(record.address) == record.identity
    ]
    outdated = outdated_reasons(state, current, now)
    notes = {} if downstream else notes_of(state, walk.versions, roots)
    return judge_lineage(store, walk, pointers, outdated, notes)


def _roots(
    audit: str, store: EvidenceStore, pointers: Pointers, question: Question
) -> list[Record]:
    asset, partition, version = question
    if not pointers:
        raise UsageError(
            "nothing is stored of this audit yet",
            culprit=audit,
            fix=f"run `evaluator run {audit}` first",
        )
    assets = {at.asset for at in pointers}
    if asset not in assets:
        raise UsageError(
            f"nothing is stored of an asset {asset!r}",
            culprit=audit,
            fix=suggestion(asset, assets, f"name one of: {_choices(sorted(assets))}"),
        )
    known = sorted(at.partition for at in pointers if at.asset == asset and at.partition)
    if partition is not None and partition not in known:
        raise UsageError(
            f"nothing is stored of its partition {partition!r}",
            culprit=f"{audit}/{asset}",
            fix=suggestion(partition, known, f"name one of: {_choices(known)}")
            if known
            else "leave the partition out, since this asset has none",
        )
    if version is not None:
        stored = store.all_versions(audit, asset)
        return _named_version(audit, [r for r in stored if question.takes(r.partition)], question)
    chosen = [at for at in pointers if at.asset == asset and question.takes(at.partition)]
    return [store.get(at, pointers[at]) for at in sorted(chosen, key=str)]


def _named_version(audit: str, stored: Sequence[Record], question: Question) -> list[Record]:
    """Find the versions that a prefix names; several only where they are the same content."""
    for names in (_by_identity(stored), _by_content(stored)):
        found = [name for name in names if name.startswith(str(question.version))]
        if len(found) == 1:
            return names[found[0]]
        if found:
            raise UsageError(
                f"{len(found)} versions begin with {question.version!r}",
                culprit=f"{audit}/{question.asset}",
                fix=f"name more of one of: {_choices(found)}",
            )
    newest = sorted(stored, key=lambda record: record.created_at, reverse=True)
    raise UsageError(
        f"no stored version begins with {question.version!r}",
        culprit=f"{audit}/{question.asset}",
        fix=f"name one of: {_choices([str(key_of(record)) for record in newest])}",
    )


def _by_identity(records: Iterable[Record]) -> Mapping[str, list[Record]]:
    names: dict[str, list[Record]] = {}
    for record in records:
        names.setdefault(record.identity, []).append(record)
    return names


def _by_content(records: Iterable[Record]) -> Mapping[str, list[Record]]:
    names: dict[str, list[Record]] = {}
    for record in records:
        digests = {record.content_version, *(file.sha256 for file in record.files.values())}
        for digest in sorted(digests):
            names.setdefault(digest, []).append(record)
    return names


def _choices(names: Sequence[str]) -> str:
    more = f" and {len(names) - MAX_CHOICES} more" if len(names) > MAX_CHOICES else ""
    return ", ".join(names[:MAX_CHOICES]) + more


def outdated_reasons(
    state: AuditState, current: Iterable[Record], now: datetime
) -> dict[VersionKey, str]:
    """Find current versions that today's YAML and inputs would not make as they are."""
    expected = _Expected(state, now)
    return {
        key_of(record): reason
        for record in current
        if (reason := expected.outdated_reason(record)) is not None
    }


class _Expected:
    """What today's YAML and inputs would make."""

    def __init__(self, state: AuditState, now: datetime) -> None:
        self._state = state
        self._now = now

    def outdated_reason(self, record: Record) -> str | None:
        """Say why a current version is not what would be made now; None where it is."""
        asset = record.asset
        is_so, otherwise = True, "the audit makes this otherwise now, or not at all"
        if asset in _INTAKE:
            raw = self._state.current(_INTAKE[asset].raw, record.partition)
            is_so = raw is None or self._state.identities.intake(raw) == record.identity
            otherwise = "the audit reads the day's file otherwise now"
        elif asset == Asset.EVALUATION_SET:
            is_so = not needs_refresh(self._state, record, self._now)
            otherwise = "the audit would freeze another evaluation set now"
        elif asset.endswith(_OF_SLICES):
            is_so = key_of(record) in self._current_slices
        elif asset == Asset.SCORECARD:
            is_so = self._scorecard.target[1] == record.identity
            otherwise = "other slices are known now, or the audit measures otherwise"
        elif asset == Asset.AUDIT_SPEC:
            scorecard = self._state.require(Asset.SCORECARD)
            now = declared_as_scored(self._state.spec, scorecard)
            is_so = digest_of_bytes(spec_document(now)) == record.content_version
            otherwise = "the audit's YAML says something else now"
        return None if is_so else otherwise

    @cached_property
    def _scorecard(self) -> ExpectedScorecard:
        return expected_scorecard(self._state)

    @cached_property
    def _current_slices(self) -> set[VersionKey]:
        records = [r for s in self._scorecard.slices for r in (s.predictions, s.metrics) if r]
        return {key_of(record) for record in records}


def notes_of(
    state: AuditState, versions: Mapping[VersionKey, Record], roots: Sequence[Record]
) -> dict[VersionKey, Note]:
    """Tell where each day came from, what became of its rows, and which artifact was judged."""
    notes = {}
    cases = _cases_by_day(state, versions.values(), roots)
    for key, record in versions.items():
        if record.asset in _RAW:
            notes[key] = _file_note(state, record)
        elif record.asset.endswith(_MODEL) and not record.upstream:
            notes[key] = _model_note(record)
        elif record.asset in _INTAKE:
            beside = key._replace(asset=_INTAKE[record.asset].quarantined)
            refused = _refused(state, versions.get(beside))
            notes[key] = _rows_note(record, refused, cases)
    return notes


def _file_note(state: AuditState, record: Record) -> Note:
    # An earlier version wrote the whole path.
    source = str(state.home.root / RawDataFacts.of(record).source)
    lines = [
        f"{name}, {file.size:,} bytes, SHA-256 {file.sha256}" for name, file in record.files.items()
    ]
    return Note((*lines, f"from {source}"), {}, source)


def _model_note(record: Record) -> Note:
    model = ModelFacts.of(record)
    source = model.path
    text = f"{model.kind} {source}, digest {record.content_version}"
    return Note((text,), {}, source)


def _rows_note(
    record: Record, refused: list[dict[str, Any]], cases: Mapping[str, int] | None
) -> Note:
    found = IntakeFacts.of(record)
    text = f"{found.rows:,} rows: {found.accepted:,} accepted, {found.quarantined:,} in quarantine"
    reasons = [
        f"{reason['column'] or 'row'}: {reason['rule']} ({reason['count']:,})" for reason in refused
    ]
    if reasons:
        text += f" for {', '.join(reasons)}"
    if found.broken:
        text += f"; the day is refused: {found.broken}"
    facts: dict[str, Any] = found.model_dump(include={"rows", "accepted", "quarantined"})
    facts["reasons"] = refused
    if cases is not None and record.asset == Asset.VALIDATED_DATA:
        facts["cases_of_the_slice"] = cases.get(str(record.partition), 0)
        text += f"; {facts['cases_of_the_slice']:,} cases of the slice"
    return Note((text,), facts)


def _refused(state: AuditState, quarantine: Record | None) -> list[dict[str, Any]]:
    """Count the reasons of a day's refused rows, of which a row may have several."""
    if quarantine is None or not IntakeFacts.of(quarantine).quarantined:
        return []
    table = state.store.read_table(quarantine, QUARANTINED_ROWS, columns=["reasons"])
    reasons = pc.list_flatten(table["reasons"])
    columns, rules = (pc.struct_field(reasons, [position]) for position in (0, 1))
    counted = pa.table({"column": columns, "rule": rules}).group_by(["column", "rule"])
    found: list[dict[str, Any]] = counted.aggregate([([], "count_all")]).to_pylist()
    named = [
        {"column": reason["column"], "rule": reason["rule"], "count": reason["count_all"]}
        for reason in found
    ]
    return sorted(named, key=lambda reason: (-reason["count"], str(reason["column"])))


def _cases_by_day(
    state: AuditState, versions: Iterable[Record], roots: Sequence[Record]
) -> dict[str, int] | None:
    """Count the cases that each day gave to a slice; None where no single slice is asked about."""
    slices = {root.partition for root in roots if root.asset.endswith(_OF_SLICES)}
    snapshots = [record for record in versions if record.asset == Asset.EVALUATION_SET]
    if len(slices) != 1 or len(snapshots) != 1:
        return None
    chosen = [(name, "=", value) for name, value in Slice.of_key(slices.pop())._asdict().items()]
    table = state.store.read_table(snapshots[0], CASES, filters=chosen, columns=["day"])
    counts = pc.value_counts(table["day"].combine_chunks())
    return {str(count["values"]): int(count["counts"].as_py()) for count in counts}
