"""A file in; typed rows, quarantined rows, a profile and a report out."""

from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from statistics import median
from typing import Final

import pyarrow.parquet as pq

from evaluator.errors import IntakeError, check_is_file, fault_of
from evaluator.intake._drift import Content, content_drift
from evaluator.intake._profile import (
    MAX_EXAMPLES,
    PROFILE_VERSION,
    BrokenRule,
    ColumnChange,
    Profile,
    RowCounts,
)
from evaluator.intake._readers import PartsReader, Reader, note_packing, open_reader
from evaluator.intake._readers._delimited import BrokenSchemaError
from evaluator.intake._readers._layout import find_encoding
from evaluator.intake._readers._stream import RefusedFileError, read_blocks
from evaluator.intake._report import render_report
from evaluator.intake._rules import broken_dataset_rules
from evaluator.intake._schema_drift import schema_drift
from evaluator.intake._statistics import beside_the_rows, column_statistics
from evaluator.intake._validator import RowValidator
from evaluator.intake._violations import MAX_VALUE_LENGTH, FileMetadata
from evaluator.intake._writer import QUARANTINED_ROWS, TYPED_ROWS, RowWriter
from evaluator.spec import DataSpec

#: With fewer past days nothing is called unusual.
MIN_DAYS: Final = 3
#: A column without a value in more of the rows is told, in files of so many rows at least.
MOSTLY: Final = 0.5
MIN_ROWS: Final = 20
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
        Everything that was found.
    report
        The same for a person, as plain text.
    typed_path, quarantine_path
        The two Parquet files.
    """

    rows: int
    accepted: int
    quarantined: int
    broken: str | None
    profile: Profile
    report: str
    typed_path: Path
    quarantine_path: Path


def ingest(
    source: Path | Sequence[Path],
    data: DataSpec,
    *,
    into: Path,
    name: str | None = None,
    day: date | None = None,
    slices: Sequence[str] = (),
    reference: Content | Sequence[Path] | None = None,
    last_accepted: Profile | None = None,
    audit: str | None = None,
    notes: Sequence[str] = (),
) -> IntakeResult:
    """Take in one file, or the files of one day.

    Parameters
    ----------
    source
        The file, or the files of one day, which are read in this order and as they are called.
    data
        What is declared about it.
    into
        The folder for `typed_rows.parquet` and `quarantined_rows.parquet`.
    name
        The file's name in reports and for the format, when it differs from the source's. Of several
        files, what they are called together.
    day
        The day that the file is of.
    slices
        Columns whose combinations are the slices in which drift is looked for.
    reference
        What the content is compared with: the files of typed rows of the reference, or what
        `reference_content` made of them.
    last_accepted
        The profile of the last accepted day, with which the columns are compared.
    audit
        Whose file it is, so that the report can name the next command.
    notes
        What is known of how it came, for the report.

    Returns
    -------
    IntakeResult
        Also for a file that is refused: then `broken` says why and no row is typed.

    Raises
    ------
    IntakeError
        When the file is absent, or a declared pattern cannot be used.
    """
    sources = [source] if isinstance(source, Path) else source
    for path in sources:
        check_is_file(path, IntakeError)
    first = sources[0]
    name = first.name if name is None else name

    def opened() -> Reader:
        if data.has_several_files:
            return PartsReader(sources, data)
        return open_reader(first, data, name=name)

    validator = RowValidator(data, day)
    metadata = FileMetadata()
    refusal: RefusedFileError | None = None
    try:
        reader = opened()
        metadata = reader.metadata
        if data.repeats == "refuse_all":
            validator.learn_repeats(opened().batches())
        _read_batches(reader, validator, into)
        if not metadata.parts:
            note_packing(metadata, first, name, data)
    except RefusedFileError as error:
        if error.__cause__ is not None and fault_of(error) == "machine":
            raise error.__cause__ from None
        refusal = error
        if isinstance(error, BrokenSchemaError):
            metadata.header = error.names
        with closing(RowWriter(into, data)) as nothing:
            nothing.describe(metadata)
    return finish(
        FinishedRead(name, day, validator, metadata, refusal, audit, first, notes),
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


def _read_batches(reader: Reader, validator: RowValidator, into: Path) -> None:
    """Judge batch after batch, while the next is read and the last is written."""
    with (
        closing(RowWriter(into, validator.data)) as writer,
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
        writer.describe(reader.metadata)


@dataclass(frozen=True)
class FinishedRead:
    """What is known once all rows are judged and written."""

    name: str
    day: date | None
    validator: RowValidator
    metadata: FileMetadata
    refusal: RefusedFileError | None = None
    audit: str | None = None
    #: The file, where it is at hand; of several the first.
    source: Path | None = None
    #: What is known beside what reading it told.
    notes: Sequence[str] = ()


def finish(
    read: FinishedRead,
    *,
    into: Path,
    slices: Sequence[str],
    reference: Content | Sequence[Path] | None,
    last_accepted: Profile | None,
) -> IntakeResult:
    """Describe what was written, decide whether the day is accepted, and report it."""
    validator, metadata, data = read.validator, read.metadata, read.validator.data
    refused = read.refusal is not None
    rows = _rows(read)
    _check_nothing_is_lost(rows, into)
    found = [finding for finding in validator.findings.values() if finding.count]
    findings = sorted(found, key=lambda finding: -finding.count)
    typed, notes = into / TYPED_ROWS, [*read.notes, *metadata.notes]
    statistics = {} if refused else column_statistics(typed, data, notes)
    day = None if read.day is None else data.end_of_period(read.day)
    broken_rules = [] if refused else broken_dataset_rules(rows.read, statistics, data, day)
    broken_rules += _mostly_missing(validator)
    if metadata.is_encoding_guessed:
        encoding = metadata.layout.encoding
        says = f"no byte says what the encoding is; {encoding} was guessed (declare `encoding`)"
        broken_rules.append(BrokenRule(column=None, rule="encoding", severity="warn", says=says))
    drift, changes = None, list[ColumnChange]()
    with beside_the_rows("drift", notes):
        if reference is not None and not refused:
            drift = content_drift(typed, data, reference, slices)
    with beside_the_rows("what became of the columns", notes):
        changes = schema_drift(metadata.header, data, last_accepted, findings, rows.read)
    reasons = _reasons_to_refuse(rows, broken_rules, read.refusal, data.dataset_rules.minimum_rows)
    profile = Profile(
        version=PROFILE_VERSION,
        file=read.name,
        day=read.day.isoformat() if read.day else None,
        verdict="refused" if reasons else "accepted",
        broken="; ".join(reasons) or None,
        rows=rows,
        layout=metadata.layout,
        header=tuple(metadata.header),
        structure=metadata.structure,
        notes=tuple(notes),
        findings=tuple(findings),
        dataset_rules=tuple(broken_rules),
        schema_drift=tuple(changes),
        types={column: spec.type for column, spec in data.columns.items()},
        statistics=statistics,
        drift=drift,
        missing=validator.missing,
        **(
            {"first_lines": _first_lines(read.source, data)}
            if not rows.typed and read.source
            else {}
        ),
        **({"audit": read.audit} if read.audit else {}),
        **({"parts": tuple(metadata.parts)} if metadata.parts else {}),
    )
    return IntakeResult(
        rows=rows.read,
        accepted=rows.typed,
        quarantined=rows.quarantined,
        broken=profile.broken,
        profile=profile,
        report=render_report(profile),
        typed_path=into / TYPED_ROWS,
        quarantine_path=into / QUARANTINED_ROWS,
    )


def _mostly_missing(validator: RowValidator) -> Iterator[BrokenRule]:
    """Tell of columns that are hardly ever filled, where no share of them is declared."""
    for name, missing in validator.missing.items():
        column = validator.data.columns[name]
        share = missing / validator.split if validator.split >= MIN_ROWS else 0.0
        if share > MOSTLY and column.maximum_missing_share is None:
            says = f"{name} has no value in {share:.1%} of the rows (maximum_missing_share)"
            yield BrokenRule(column=name, rule="mostly_missing", severity="warn", says=says)


def _first_lines(source: Path, data: DataSpec) -> tuple[str, ...]:
    """Show how a file begins, as far as it is text at all."""
    try:
        begun = next(read_blocks(source, maximum_bytes=data.maximum_bytes, block=4096), b"")
    except (RefusedFileError, OSError):
        return ()
    encoding, mark = find_encoding(begun, data.encoding, is_cut=True)
    lines = begun[mark:].decode(encoding, errors="backslashreplace").splitlines()
    shown = [line[:MAX_VALUE_LENGTH] for line in lines[:MAX_EXAMPLES]]
    return tuple(shown) if all(line.isprintable() or "\t" in line for line in shown) else ()


def _rows(read: FinishedRead) -> RowCounts:
    """Count the rows; of a file that is refused as a whole none is taken in."""
    total = read.validator.typed + read.validator.refused
    typed, refused = (0, 0) if read.refusal else (read.validator.typed, read.validator.refused)
    return RowCounts(
        read=typed + refused,
        typed=typed,
        quarantined=refused,
        refused_share=refused / total if total and not read.refusal else None,
        limit=read.validator.data.max_refused_share,
        read_before_refusal=total if read.refusal else None,
    )


def _check_nothing_is_lost(rows: RowCounts, into: Path) -> None:
    """Count the rows in both files again: all that came in must have gone out."""
    typed = pq.read_metadata(into / TYPED_ROWS).num_rows
    quarantined = pq.read_metadata(into / QUARANTINED_ROWS).num_rows
    if (typed, quarantined) != (rows.typed, rows.quarantined):
        raise AssertionError(f"rows were lost: {rows} were judged, {typed}+{quarantined} written")


def _reasons_to_refuse(
    rows: RowCounts,
    broken_rules: Sequence[BrokenRule],
    refusal: RefusedFileError | None,
    fewest: int | None,
) -> list[str]:
    """Say why the day must not be accepted; one without rows may be, where that is declared."""
    reasons = []
    if refusal is not None:
        reasons.append(f"the file is refused: {refusal}")
    elif rows.refused_share is None and fewest != 0:
        reasons.append(
            "the file is refused: it has a header and no rows, which only `minimum_rows: 0` under"
            " `dataset_rules` accepts"
        )
    elif rows.refused_share is not None and rows.refused_share > rows.limit:
        reasons.append(
            f"{rows.quarantined:,} of {rows.read:,} rows are refused "
            f"({rows.refused_share:.1%}, and max_refused_share is {rows.limit:.1%})"
        )
    return reasons + [rule.says for rule in broken_rules if rule.severity == "refuse"]
