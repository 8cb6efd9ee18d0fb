"""A file in; typed rows, quarantined rows, a profile and a report out."""

from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from statistics import median
from typing import Any, Final

import pyarrow.parquet as pq

from evaluator.errors import IntakeError
from evaluator.intake._drift import content_drift
from evaluator.intake._readers import Reader, open_reader
from evaluator.intake._readers._delimited import BrokenSchemaError
from evaluator.intake._readers._source import RefusedFileError, compression_of
from evaluator.intake._report import render_report
from evaluator.intake._schema_drift import schema_drift
from evaluator.intake._statistics import column_statistics
from evaluator.intake._validator import RowValidator
from evaluator.intake._violations import FileMetadata
from evaluator.intake._writer import QUARANTINED_ROWS, TYPED_ROWS, RowWriter
from evaluator.spec import DataSpec

PROFILE_VERSION: Final = 1
#: With fewer past days nothing is called unusual.
MIN_DAYS: Final = 3
#: So many times more or fewer rows than usual are unusual.
UNUSUAL_FACTOR: Final = 2.0


@dataclass(frozen=True)
class IntakeResult:
    """What became of a day's file.

    Parameters
    ----------
    rows
        How many rows it has: typed and quarantined ones together.
    accepted
        How many were typed.
    quarantined
        How many were refused.
    broken
        Why the day must not be accepted; None when it is accepted.
    profile
        Everything that was found, ready for JSON.
    report
        The same for a person, as plain text.
    typed_path, quarantine_path
        The two Parquet files.
    """

    rows: int
    accepted: int
    quarantined: int
    broken: str | None
    profile: dict[str, Any]
    report: str
    typed_path: Path
    quarantine_path: Path


def ingest(
    source: Path,
    data: DataSpec,
    *,
    into: Path,
    name: str | None = None,
    day: date | None = None,
    slices: Sequence[str] = (),
    reference: Mapping[str, Any] | Sequence[Path] | None = None,
    last_accepted: Mapping[str, Any] | None = None,
) -> IntakeResult:
    """Take in one file.

    Parameters
    ----------
    source
        The file.
    data
        What is declared about it.
    into
        The folder for `typed_rows.parquet` and `quarantined_rows.parquet`.
    name
        The file's name in reports and for the format, when it differs from the source's.
    day
        The day that the file is of.
    slices
        Columns whose combinations are the slices in which drift is looked for.
    reference
        What the content is compared with: the files of typed rows of the reference, or what
        `reference_content` made of them.
    last_accepted
        The profile of the last accepted day, with which the columns are compared.

    Returns
    -------
    IntakeResult
        Also for a file that is refused: then `broken` says why and no row is typed.

    Raises
    ------
    IntakeError
        When the file is absent, or a declared pattern cannot be used.
    """
    name = source.name if name is None else name
    if not source.is_file():
        raise IntakeError(
            "there is no such file", culprit=str(source), fix="check its name and its folder"
        )
    validator = RowValidator(data)
    metadata = FileMetadata()
    refusal: RefusedFileError | None = None
    try:
        reader = open_reader(source, data, name=name)
        packing = compression_of(source)
        metadata = reader.metadata
        _read_batches(reader, validator, into, data)
        metadata.layout["packing"] = packing
    except RefusedFileError as error:
        refusal = error
        if isinstance(error, BrokenSchemaError):
            metadata.header = error.names
        with RowWriter(into, data) as nothing:
            nothing.describe({"layout": metadata.layout, "header": metadata.header})
    return finish(
        FinishedRead(name, day, validator, metadata, refusal),
        data,
        into=into,
        slices=slices,
        reference=reference,
        last_accepted=last_accepted,
    )


def unusual_volume(rows: int, past: Sequence[int]) -> str | None:
    """Compare a day's number of rows with those of past days of the same weekday.

    Parameters
    ----------
    rows
        The day's rows, typed and quarantined.
    past
        The rows of accepted days of the same weekday.

    Returns
    -------
    str or None
        What is unusual, in words: fewer than half or more than twice the median. None when the
        day is usual, or fewer than three past days are known.
    """
    if len(past) < MIN_DAYS:
        return None
    usual = median(past)
    if usual / UNUSUAL_FACTOR <= rows <= usual * UNUSUAL_FACTOR:
        return None
    return f"{rows:,} rows, where the last {len(past)} days of this weekday had {usual:,.0f}"


def _read_batches(reader: Reader, validator: RowValidator, into: Path, data: DataSpec) -> None:
    """Judge batch after batch, while the next is read and the last is written."""
    with (
        RowWriter(into, data) as writer,
        ThreadPoolExecutor(max_workers=1) as ahead,
        ThreadPoolExecutor(max_workers=1) as behind,
    ):
        batches = reader.batches()
        coming = ahead.submit(next, batches, None)
        writing: Future[None] | None = None
        while (batch := coming.result()) is not None:
            coming = ahead.submit(next, batches, None)
            validated = validator.validate(batch)
            if writing is not None:
                writing.result()
            writing = behind.submit(writer.write, validated.typed, validated.refused)
        if writing is not None:
            writing.result()
        writer.describe({"layout": reader.metadata.layout, "header": reader.metadata.header})


@dataclass(frozen=True)
class FinishedRead:
    """What is known once all rows are judged and written."""

    name: str
    day: date | None
    validator: RowValidator
    metadata: FileMetadata
    refusal: RefusedFileError | None = None


def finish(
    read: FinishedRead,
    data: DataSpec,
    *,
    into: Path,
    slices: Sequence[str],
    reference: Mapping[str, Any] | Sequence[Path] | None,
    last_accepted: Mapping[str, Any] | None,
) -> IntakeResult:
    """Describe what was written, decide whether the day is accepted, and report it."""
    profile = _profile(read, data)
    _check_nothing_is_lost(profile, into)
    refused = read.refusal is not None
    profile["schema_drift"] = schema_drift(read.metadata.header, data, last_accepted, profile)
    profile["statistics"] = {} if refused else column_statistics(into / TYPED_ROWS, data)
    profile["dataset_rules"] = [] if refused else dataset_violations(profile, data, read.day)
    if reference is not None and not refused:
        profile["drift"] = content_drift(into / TYPED_ROWS, data, reference, slices)
    _decide(profile, data, read.refusal)
    rows = profile["rows"]
    return IntakeResult(
        rows=rows["read"],
        accepted=rows["typed"],
        quarantined=rows["quarantined"],
        broken=profile["broken"],
        profile=profile,
        report=render_report(profile),
        typed_path=into / TYPED_ROWS,
        quarantine_path=into / QUARANTINED_ROWS,
    )


def _profile(read: FinishedRead, data: DataSpec) -> dict[str, Any]:
    """Gather what the reader and the validator know."""
    validator, metadata, refusal = read.validator, read.metadata, read.refusal
    total = validator.typed + validator.refused
    counted = (
        {"read": 0, "typed": 0, "quarantined": 0}
        if refusal
        else {
            "read": total,
            "typed": validator.typed,
            "quarantined": validator.refused,
        }
    )
    findings = [finding.as_json() for finding in validator.findings.values() if finding.count]
    return {
        "version": PROFILE_VERSION,
        "file": read.name,
        "day": read.day.isoformat() if read.day else None,
        "rows": {
            **counted,
            "refused_share": validator.refused / total if total and not refusal else None,
            "limit": data.max_refused_share,
            "read_before_refusal": total if refusal else None,
        },
        "layout": metadata.layout,
        "header": metadata.header,
        "structure": metadata.facts,
        "notes": list(metadata.notes),
        "findings": sorted(findings, key=lambda found: -found["count"]),
        "types": {column: spec.type for column, spec in data.columns.items()},
        "drift": None,
    }


def _check_nothing_is_lost(profile: Mapping[str, Any], into: Path) -> None:
    """Count the rows in both files again: all that came in must have gone out."""
    rows = profile["rows"]
    typed = pq.read_metadata(into / TYPED_ROWS).num_rows
    quarantined = pq.read_metadata(into / QUARANTINED_ROWS).num_rows
    if (typed, quarantined) != (rows["typed"], rows["quarantined"]):
        raise AssertionError(f"rows were lost: {rows} were judged, {typed}+{quarantined} written")


def dataset_violations(
    profile: dict[str, Any], data: DataSpec, day: date | None
) -> list[dict[str, Any]]:
    """Hold a day against the rules that are about all its rows."""
    rules = data.dataset_rules
    rows = profile["rows"]["read"]
    found: list[dict[str, Any]] = []

    def add(rule: str, says: str, severity: str, column: str | None = None) -> None:
        found.append({"rule": rule, "column": column, "severity": severity, "says": says})

    if rules.minimum_rows is not None and rows < rules.minimum_rows:
        says = f"the file has {rows:,} rows, fewer than {rules.minimum_rows:,}"
        add("minimum_rows", says, rules.severity)
    if rules.maximum_rows is not None and rows > rules.maximum_rows:
        says = f"the file has {rows:,} rows, more than {rules.maximum_rows:,}"
        add("maximum_rows", says, rules.severity)
    freshness = rules.freshness
    if freshness is not None and day is not None:
        newest = profile["statistics"].get(freshness.column, {}).get("max")
        if newest is None:
            add("freshness", "no row has a date", rules.severity, freshness.column)
        else:
            age = (day - date.fromisoformat(str(newest)[:10])).days
            if age > freshness.within_days:
                says = (
                    f"the newest {freshness.column} is {newest}, {age} days before the file's "
                    f"day (at most {freshness.within_days})"
                )
                add("freshness", says, rules.severity, freshness.column)
    for name, column in data.columns.items():
        limit = column.maximum_missing_share
        statistics = profile["statistics"].get(name)
        if limit is None or not statistics or not (statistics["count"] + statistics["missing"]):
            continue
        share = statistics["missing"] / (statistics["count"] + statistics["missing"])
        if share > limit:
            says = f"{name} is missing in {share:.1%} of the rows (at most {limit:.1%})"
            add("maximum_missing_share", says, column.severity, name)
    return found


def _decide(profile: dict[str, Any], data: DataSpec, refusal: RefusedFileError | None) -> None:
    """Say whether the day is accepted, and why not."""
    rows = profile["rows"]
    reasons = []
    if refusal is not None:
        reasons.append(f"the file is refused: {refusal}")
    elif rows["read"] == 0:
        reasons.append("the file is refused: it has a header and no rows")
    elif rows["refused_share"] > data.max_refused_share:
        reasons.append(
            f"{rows['quarantined']:,} of {rows['read']:,} rows are refused "
            f"({rows['refused_share']:.1%}, and max_refused_share is {data.max_refused_share:.1%})"
        )
    reasons += [rule["says"] for rule in profile["dataset_rules"] if rule["severity"] == "refuse"]
    profile["broken"] = "; ".join(reasons) or None
    profile["verdict"] = "refused" if reasons else "accepted"
