"""Rows in quarantine, out to a person who mends them, and back into their day.

What is fed back lies beside the day's file in the landing folder, and is part of what arrived.
So the day's next version is made of both, by the same pass, and the earlier one stays.
"""

import csv
from pathlib import Path
from tempfile import TemporaryDirectory

from evaluator.errors import UsageError
from evaluator.evidence import Record
from evaluator.intake import QUARANTINED_ROWS, quarantine_to_csv, read_mended
from evaluator.intake.quarantine import inert
from evaluator.orchestration.day_files import day_files
from evaluator.orchestration.partitions import daily
from evaluator.orchestration.state import AuditState


def known_day(state: AuditState, day: str) -> str:
    """Return a day that the audit has.

    Raises
    ------
    UsageError
        Where it is no date, or none of the audit's.
    """
    days = daily(state.spec).get_partition_keys()
    if day not in days:
        raise UsageError(
            "the audit has no such day",
            culprit=f"{state.audit.name} {day}",
            fix=f"name one from {days[0]} to {days[-1]}, written like these",
        )
    return day


def write_quarantine(state: AuditState, day: str, out: Path) -> int:
    """Write a day's quarantined rows as CSV for a spreadsheet, and return how many.

    Raises
    ------
    UsageError
        Where the day was not taken in.
    """
    record = _quarantine(state, day)
    with TemporaryDirectory() as folder:
        path = Path(folder) / QUARANTINED_ROWS
        state.store.fetch(record, QUARANTINED_ROWS, path)
        return quarantine_to_csv(path, out)


def feed_back(state: AuditState, day: str, mended: Path) -> int:
    """Put mended rows beside the day's file, and return how many there are by now.

    Parameters
    ----------
    state
        The audit's state.
    day
        The day that the rows are of.
    mended
        The file of `write_quarantine`, mended; rows that were fed back before may be left out.

    Raises
    ------
    UsageError
        Where the day was not taken in, or a line is not in its quarantine.
    """
    if not mended.is_file():
        raise UsageError("there is no such file", culprit=str(mended), fix="check the path")
    target = day_files(state.audit, state.home, day).mended
    known = read_mended(target) if target.is_file() else {}
    table = state.store.read_table(_quarantine(state, day), QUARANTINED_ROWS)
    waiting = dict(zip(table["line_number"].to_pylist(), table["text"].to_pylist(), strict=True))
    new = read_mended(mended)
    strange = sorted(set(new) - set(waiting) - set(known))
    if strange:
        raise UsageError(
            f"line {strange[0]} is not in the quarantine of {day}",
            culprit=str(mended),
            fix=f"mend what `evaluator replay {state.audit.name} {day} --quarantine FILE` writes",
        )
    changed = {line: text for line, text in new.items() if text != waiting.get(line)}
    if not changed:
        raise UsageError(
            "no row differs from what is in quarantine",
            culprit=str(mended),
            fix="mend the column `text`",
        )
    together = known | changed
    temporary = target.with_name(f".{target.name}")
    with temporary.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, quoting=csv.QUOTE_ALL)
        writer.writerow(["line_number", "text"])
        writer.writerows([line, inert(text)] for line, text in sorted(together.items()))
    temporary.replace(target)
    return len(together)


def _quarantine(state: AuditState, day: str) -> Record:
    record = state.current("quarantined_rows", day)
    if record is None:
        raise UsageError(
            "the day was not taken in",
            culprit=f"{state.audit.name} {day}",
            fix=f"run `evaluator run {state.audit.name}` first, or name a day that has a file",
        )
    return record
