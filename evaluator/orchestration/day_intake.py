"""What one day's file becomes, with the days before it as its measure."""

import json
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any

from evaluator.evidence import Record
from evaluator.findings.names import PROFILE
from evaluator.intake import (
    TYPED_ROWS,
    IntakeResult,
    read_mended,
    reference_content,
    replay,
    take_in,
    unusual_volume,
)
from evaluator.orchestration.state import AuditState, DayState

REPORT = "report.txt"
REFERENCE = "reference.json"
CHECKS = ("schema_as_declared", "refused_share", "volume", "drift")
"""What is asked of every day; see `day_checks`."""


class DayIntake:
    """Take in days one by one, in their order, each measured by the accepted ones before it.

    Parameters
    ----------
    state
        The audit's state.
    folder
        Room for files that are needed for a while.
    """

    def __init__(self, state: AuditState, folder: Path) -> None:
        self._state = state
        self._folder = folder
        self._days = {day.day: day for day in state.day_states()}
        self._references: dict[tuple[str, ...], Mapping[str, Any]] = {}

    def take_in(self, raw: Record, into: Path) -> IntakeResult:
        """Take in the file of a raw day, and then the rows of it that were mended."""
        day = str(raw.partition)
        name = raw.facts["file"]
        source = into / name
        self._state.store.fetch(raw, name, source)
        spec = self._state.spec
        options: dict[str, Any] = {
            "name": name,
            "day": date.fromisoformat(day),
            "slices": [column for column in (spec.geography, spec.segment) if column],
            "reference": self._reference(day),
            "last_accepted": self._last_profile(day),
        }
        result = take_in(source, spec.data, into=into, **options)
        mended = raw.facts.get("mended")
        if mended is None:
            return result
        mended_file = into / mended
        self._state.store.fetch(raw, mended, mended_file)
        after = into / "after"
        after.mkdir()
        return replay(
            result.typed_path,
            result.quarantine_path,
            spec.data,
            into=after,
            mended=read_mended(mended_file),
            **options,
        )

    def checks(self, day: str, result: IntakeResult) -> dict[str, str | None]:
        """Say for each of `CHECKS` what is wrong with a day; None where nothing is."""
        profile = result.profile
        schema = profile.get("schema_drift") or []
        drift = profile.get("drift") or {}
        drifted = list(drift.get("drifted", ()))
        drifted += [" x ".join(part["slice"].values()) for part in drift.get("slices", ())]
        past = [
            past.report.facts["rows"]
            for past in self._before(day)
            if past.report is not None and _weekday(past.day) == _weekday(day)
        ]
        share = result.quarantined / result.rows if result.rows else 1.0
        limit = self._state.spec.data.max_refused_share
        return {
            "schema_as_declared": "; ".join(str(change["says"]) for change in schema) or None,
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

    def _last_profile(self, day: str) -> Mapping[str, Any] | None:
        reports = [d.report for d in self._before(day) if d.report is not None]
        if not reports:
            return None
        profile: Mapping[str, Any] = json.loads(self._state.store.read_bytes(reports[-1], PROFILE))
        return profile

    def _reference(self, day: str) -> Mapping[str, Any] | list[Path] | None:
        """Return what the day's content is compared with; None while there is too little."""
        drift = self._state.spec.data.drift
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

    def _summarise(self, records: list[Record]) -> Mapping[str, Any]:
        paths = []
        for number, record in enumerate(records):
            path = self._folder / f"reference-{number}.parquet"
            self._state.store.fetch(record, TYPED_ROWS, path)
            paths.append(path)
        spec = self._state.spec
        slices = [column for column in (spec.geography, spec.segment) if column]
        return reference_content(paths, spec.data, slices)


def _weekday(day: str) -> int:
    return date.fromisoformat(day).weekday()
