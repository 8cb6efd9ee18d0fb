"""What one day's file becomes, with the days before it as its measure."""

import csv
import io
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow.parquet as pq

from evaluator.errors import UsageError, check_is_file
from evaluator.evidence import (
    Record,
    RunContext,
    content_version,
    digest_of_bytes,
    write_whole,
)
from evaluator.intake import (
    QUARANTINED_ROWS,
    TYPED_ROWS,
    Content,
    IntakeResult,
    Profile,
    escape_formula,
    ingest,
    quarantine_to_csv,
    read_mended,
    reference_content,
    replay,
    unusual_volume,
)
from evaluator.orchestration._facts import IntakeFacts, RawDataFacts
from evaluator.orchestration._identities import CODE_VERSIONS, raw_identity
from evaluator.orchestration._sources import Source
from evaluator.orchestration._state import AuditState, DayState
from evaluator.orchestration._streams import Stream
from evaluator.scorecard import PROFILE
from evaluator.spec import date_of

REPORT = "report.txt"
CHECKS = ("schema_as_declared", "refused_share", "volume", "drift")
"""What is asked of every day; see `day_checks`."""


def known_day(state: AuditState, stream: Stream, day: str) -> str:
    """Return a day, where the audit has it.

    Parameters
    ----------
    state
        The audit's state.
    stream
        Of which of its files.
    day
        What somebody calls the day, such as ``2024-03-02``.

    Returns
    -------
    str
        The key of the day's partition.

    Raises
    ------
    UsageError
        Where it is no date, or none of the audit's.
    """
    days = state.days(stream)
    if day not in days:
        if len(days) == 1:
            fix = f"name the only one, {days[0]}"
        elif days:
            fix = f"name one from {days[0]} to {days[-1]}, written like these"
        else:
            fix = f"wait for the first one, {stream.spec.first_day}"
        raise UsageError("the audit has no such day", culprit=f"{state.audit.name} {day}", fix=fix)
    return day


def write_quarantine(state: AuditState, stream: Stream, day: str, out: Path) -> int:
    """Write a day's quarantined rows as CSV for a spreadsheet.

    Parameters
    ----------
    state
        The audit's state.
    stream
        Of which of its files.
    day
        The key of the day's partition; see `known_day`.
    out
        The file to write; one that is there is replaced.

    Returns
    -------
    int
        How many rows there are.

    Raises
    ------
    UsageError
        Where the day was not taken in.
    EvidenceError
        Where the stored rows are gone or not what was stored.
    """
    record = _quarantine(state, stream, day)
    with TemporaryDirectory() as folder:
        path = Path(folder) / QUARANTINED_ROWS
        state.store.fetch(record, QUARANTINED_ROWS, path)
        return quarantine_to_csv(path, out)


def replay_quarantine(state: AuditState, stream: Stream, day: str, mended: Path) -> int:
    """Put mended rows beside the day's file, for its next version.

    Parameters
    ----------
    state
        The audit's state.
    stream
        Of which of its files.
    day
        The day that the rows are of.
    mended
        The file of `write_quarantine`, mended; rows that were fed back before may be left out.

    Returns
    -------
    int
        How many mended rows there are by now, with those that were fed back before.

    Raises
    ------
    UsageError
        Where there is no such file, the day was not taken in, a line is not in its quarantine, or
        no row was changed.
    """
    check_is_file(mended)
    target = state.source(stream).mended(day)
    target.parent.mkdir(parents=True, exist_ok=True)
    known = read_mended(target) if target.is_file() else {}
    table = state.store.read_table(_quarantine(state, stream, day), QUARANTINED_ROWS)
    waiting = dict(zip(table["line_number"].to_pylist(), table["text"].to_pylist(), strict=True))
    new = read_mended(mended)
    strange = sorted(set(new) - set(waiting) - set(known))
    if strange:
        command = f"evaluator replay {state.audit.name}{stream.option} {day}"
        raise UsageError(
            f"line {strange[0]} is not in the quarantine of {day}",
            culprit=str(mended),
            fix=f"mend what `{command} --quarantine FILE` writes",
        )
    changed = {line: text for line, text in new.items() if text != waiting.get(line)}
    if not changed:
        raise UsageError(
            "no row differs from what is in quarantine",
            culprit=str(mended),
            fix="mend the column `text`",
        )
    together = known | changed
    file = io.StringIO(newline="")
    writer = csv.writer(file, quoting=csv.QUOTE_ALL)
    writer.writerow(["line_number", "text"])
    writer.writerows([line, escape_formula(text)] for line, text in sorted(together.items()))
    write_whole(target, file.getvalue().encode())
    return len(together)


def _quarantine(state: AuditState, stream: Stream, day: str) -> Record:
    record = state.current(stream.assets.quarantined, day)
    if record is None:
        raise UsageError(
            "the day was not taken in",
            culprit=f"{state.audit.name} {day}",
            fix=f"run `evaluator run {state.audit.name}` first, or name a day that has a file",
        )
    return record


def store_raw(
    state: AuditState, stream: Stream, source: Source, day: str, run_context: RunContext
) -> Record:
    """Store what came for a day as it came, and the rows of it that people mended."""
    with TemporaryDirectory() as folder:
        came = source.take(day, Path(folder))
        facts = came.facts
        before = state.current(stream.assets.raw, day)
        if stream.spec.table and before and before.content_version != came.version:
            facts = facts.model_copy(update={"answered_before": before.content_version})
        return state.store.write(
            state.address(stream.assets.raw, day),
            raw_identity(facts.file, came.version),
            came.files,
            digests=came.digests,
            content_version=came.version,
            upstream=[],
            facts=facts.to_record(),
            code_version=CODE_VERSIONS["raw_data"],
            run_context=run_context,
        )


def store_intake(
    state: AuditState,
    stream: Stream,
    raw: Record,
    result: IntakeResult,
    *,
    checks: Mapping[str, str | None],
    run_context: RunContext,
) -> dict[str, Record]:
    """Store what became of a day's rows, by asset; typed rows only where the day is accepted."""
    identity = state.identities.intake(raw)
    facts = IntakeFacts(
        rows=result.rows,
        accepted=result.accepted,
        quarantined=result.quarantined,
        broken=result.broken,
        checks=checks,
    )

    def store(asset: str, files: dict[str, Any], version: str) -> Record:
        return state.store.write(
            state.address(asset, raw.partition),
            identity,
            files,
            content_version=version,
            upstream=[raw.as_upstream()],
            facts=facts.to_record(),
            code_version=CODE_VERSIONS["intake"],
            run_context=run_context,
        )

    names, profile = stream.assets, result.profile.to_json()
    outputs = {
        names.report: store(
            names.report,
            {REPORT: result.report.encode(), PROFILE: profile},
            digest_of_bytes(profile),
        ),
        names.quarantined: store(
            names.quarantined,
            {QUARANTINED_ROWS: result.quarantine_path},
            content_version(pq.read_table(result.quarantine_path)),
        ),
    }
    if result.broken is None:
        outputs[names.typed] = store(
            names.typed,
            {TYPED_ROWS: result.typed_path},
            content_version(pq.read_table(result.typed_path), order_by=[stream.spec.id_column]),
        )
    return outputs


class DayIntake:
    """Take in days one by one, in their order, each measured by the accepted ones before it.

    Parameters
    ----------
    state
        The audit's state.
    stream
        Of which of its files.
    folder
        Room for files that are needed for a while.
    """

    def __init__(self, state: AuditState, stream: Stream, folder: Path) -> None:
        self._state = state
        self._stream = stream
        self._folder = folder
        self._days = {day.day: day for day in state.day_states(stream)}
        self._references: dict[tuple[str, ...], Content] = {}

    def ingest(self, raw: Record, into: Path) -> IntakeResult:
        """Take in the file of a raw day, and then the rows of it that were mended."""
        day = str(raw.partition)
        facts = RawDataFacts.of(raw)
        sources = [into / name for name in facts.parts or (facts.file,)]
        for source in sources:
            self._state.store.fetch(raw, source.name, source)
        data = self._stream.spec
        options: dict[str, Any] = {
            "name": facts.file,
            "day": date_of(day),
            "slices": self._stream.slices,
            "reference": self._reference(day),
            "last_accepted": self._last_profile(day),
            "audit": self._state.audit.name + self._stream.option,
            "notes": ["the query gave other rows for this day before"]
            if facts.answered_before
            else [],
        }
        result = ingest(sources, data, into=into, **options)
        if facts.mended is None:
            return result
        mended_file = into / facts.mended
        self._state.store.fetch(raw, facts.mended, mended_file)
        after = into / "after"
        after.mkdir()
        return replay(
            result.typed_path,
            result.quarantine_path,
            data,
            into=after,
            mended=read_mended(mended_file),
            **options,
        )

    def checks(self, day: str, result: IntakeResult) -> dict[str, str | None]:
        """Say for each of `CHECKS` what is wrong with a day; None where nothing is."""
        drift = result.profile.drift
        slices = [" x ".join(part.slice.values()) for part in drift.slices] if drift else []
        drifted = [*drift.drifted, *slices] if drift else []
        past = [
            IntakeFacts.of(past.report).rows
            for past in self._before(day)
            if past.report is not None and _weekday(past.day) == _weekday(day)
        ]
        share = result.quarantined / result.rows if result.rows else 1.0
        limit = self._stream.spec.max_refused_share
        return {
            "schema_as_declared": "; ".join(change.says for change in result.profile.schema_drift)
            or None,
            "refused_share": (
                f"{share:.2%} of the rows are refused, and {limit:.2%} may be"
                if share > limit
                else None
            ),
            "volume": unusual_volume(result.rows, past),
            "drift": f"drifted: {', '.join(drifted)}" if drifted else None,
        }

    def accepted(self, day: str, typed_rows: Record, report: Record) -> None:
        """Note that a day was accepted, for the days after it."""
        self._days[day] = DayState(day, "accepted", typed_rows, report, None)

    def _before(self, day: str) -> list[DayState]:
        days = [d for name, d in sorted(self._days.items()) if name < day]
        return [d for d in days if d.state == "accepted" and d.typed_rows is not None]

    def _last_profile(self, day: str) -> Profile | None:
        reports = [d.report for d in self._before(day) if d.report is not None]
        if not reports:
            return None
        return Profile.from_json(self._state.store.read_bytes(reports[-1], PROFILE))

    def _reference(self, day: str) -> Content | list[Path] | None:
        """Return what the day's content is compared with; None while there is too little."""
        drift = self._stream.spec.drift
        if drift.reference_file is not None:
            return [self._state.home.root / drift.reference_file]
        days = self._before(day)[: drift.reference_days]
        if len(days) < drift.reference_days:
            return None
        records = [d.typed_rows for d in days if d.typed_rows is not None]
        key = tuple(record.content_version for record in records)
        if key not in self._references:
            self._references[key] = self._summarise(records)
        return self._references[key]

    def _summarise(self, records: list[Record]) -> Content:
        paths = []
        for number, record in enumerate(records):
            path = self._folder / f"reference-{number}.parquet"
            self._state.store.fetch(record, TYPED_ROWS, path)
            paths.append(path)
        return reference_content(paths, self._stream.spec, self._stream.slices)


def _weekday(day: str) -> int | None:
    known = date_of(day)
    return None if known is None else known.weekday()
