"""What an answer about lineage says beyond the records' links: files, rows, what is outdated."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from functools import cached_property
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from evaluator.certification.recomputation import SPEC, spec_document
from evaluator.evidence import Record, digest_of_bytes
from evaluator.evidence.lineage import Note, VersionKey, key_of
from evaluator.findings.names import CASES
from evaluator.intake import QUARANTINED_ROWS
from evaluator.orchestration.frozen import is_to_be_frozen
from evaluator.orchestration.scorecard import ExpectedScorecard, expected_scorecard
from evaluator.orchestration.state import AuditState

INTAKE = ("validated_data", "quarantined_rows", "data_quality_report")
"""What one pass over a day's file makes, under one identity."""

_MODEL = "_model"
_OF_SLICES = ("_predictions", "_slice_metrics")


def made_otherwise_now(
    state: AuditState, current: Iterable[Record], now: datetime
) -> dict[VersionKey, str]:
    """Find current versions that today's YAML and inputs would not make as they are.

    Parameters
    ----------
    state
        The audit's state.
    current
        Current versions.
    now
        The time, by which a policy may ask for a new evaluation set.
    """
    expected = _Expected(state, now)
    return {
        key_of(record): reason
        for record in current
        if (reason := expected.not_so(record)) is not None
    }


class _Expected:
    """What today's YAML and inputs would make."""

    def __init__(self, state: AuditState, now: datetime) -> None:
        self._state = state
        self._now = now

    def not_so(self, record: Record) -> str | None:
        """Say why a current version is not what would be made now; None where it is."""
        asset = record.asset
        is_so, otherwise = True, "the audit makes this otherwise now, or not at all"
        if asset in INTAKE:
            raw = self._state.current("raw_data", record.partition)
            is_so = raw is None or self._state.identities.intake(raw) == record.identity
            otherwise = "the audit reads the day's file otherwise now"
        elif asset == "evaluation_set":
            is_so = not is_to_be_frozen(self._state, record, self._now)
            otherwise = "the audit would freeze another evaluation set now"
        elif asset.endswith(_OF_SLICES):
            is_so = key_of(record) in self._current_slices
        elif asset == "scorecard":
            is_so = self._scorecard.target[1] == record.identity
            otherwise = "other slices are known now, or the audit measures otherwise"
        elif asset == SPEC:
            is_so = digest_of_bytes(spec_document(self._state.spec)) == record.content_version
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
    """Tell which file each day came from, what became of its rows, and which artifact was judged.

    Parameters
    ----------
    state
        The audit's state.
    versions
        What the roots rest on, themselves included.
    roots
        What was asked about. Of a single slice, the cases of each day are counted.

    Raises
    ------
    EvidenceError
        Where a table of quarantined rows, or of cases, is gone or damaged.
    """
    notes = {}
    cases = _cases_by_day(state, versions.values(), roots)
    for key, record in versions.items():
        if record.asset == "raw_data":
            notes[key] = _file_note(record)
        elif record.asset.endswith(_MODEL) and not record.upstream:
            notes[key] = _model_note(record)
        elif record.asset in INTAKE:
            beside = key._replace(asset="quarantined_rows")
            refused = _refused(state, versions.get(beside))
            notes[key] = _rows_note(record, refused, cases)
    return notes


def _file_note(record: Record) -> Note:
    source = str(record.facts["source"])
    words = [
        f"{name}, {file.size:,} bytes, SHA-256 {file.sha256}" for name, file in record.files.items()
    ]
    return Note((*words, f"from {source}"), {}, source)


def _model_note(record: Record) -> Note:
    source = str(record.facts["path"])
    words = f"{record.facts['kind']} {source}, digest {record.content_version}"
    return Note((words,), {}, source)


def _rows_note(
    record: Record, refused: list[dict[str, Any]], cases: Mapping[str, int] | None
) -> Note:
    counts = {name: record.facts[name] for name in ("rows", "accepted", "quarantined")}
    words = "{rows:,} rows: {accepted:,} accepted, {quarantined:,} in quarantine".format(**counts)
    reasons = [
        f"{found['column'] or 'row'}: {found['rule']} ({found['count']:,})" for found in refused
    ]
    if reasons:
        words += f" for {', '.join(reasons)}"
    if record.facts["broken"]:
        words += f"; the day is refused: {record.facts['broken']}"
    facts: dict[str, Any] = {**counts, "reasons": refused}
    if cases is not None and record.asset == "validated_data":
        facts["cases_of_the_slice"] = cases.get(str(record.partition), 0)
        words += f"; {facts['cases_of_the_slice']:,} cases of the slice"
    return Note((words,), facts)


def _refused(state: AuditState, quarantine: Record | None) -> list[dict[str, Any]]:
    """Count the reasons of a day's refused rows, of which a row may have several."""
    if quarantine is None or not quarantine.facts["quarantined"]:
        return []
    table = state.store.read_table(quarantine, QUARANTINED_ROWS, columns=["reasons"])
    reasons = pc.list_flatten(table["reasons"])
    columns, rules = (pc.struct_field(reasons, [place]) for place in (0, 1))
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
    frozen = [record for record in versions if record.asset == "evaluation_set"]
    if len(slices) != 1 or len(frozen) != 1:
        return None
    geography, segment = str(slices.pop()).split("|")
    chosen = [("geography", "=", geography), ("segment", "=", segment)]
    table = state.store.read_table(frozen[0], CASES, filters=chosen, columns=["day"])
    counts = pc.value_counts(table["day"].combine_chunks())
    return {str(count["values"]): int(count["counts"].as_py()) for count in counts}
