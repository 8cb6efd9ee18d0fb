"""A day's files in the landing folder: the data, and rows of it that a person has mended."""

from datetime import date
from pathlib import Path
from typing import NamedTuple

from evaluator.evidence import digest_of, digest_of_bytes
from evaluator.orchestration.home import Home
from evaluator.spec import Audit

MENDED_SUFFIX = ".mended.csv"
"""Stands behind the name of a day's file; see `evaluator replay`."""


class DayContent(NamedTuple):
    """The bytes of a day's files."""

    data: bytes
    mended: bytes | None

    @property
    def version(self) -> str:
        """The content version of what arrived: the file's digest, or one over both files."""
        digest = digest_of_bytes(self.data)
        return digest if self.mended is None else digest_of([digest, digest_of_bytes(self.mended)])


class DayFiles(NamedTuple):
    """Where a day's files are, or will be."""

    data: Path
    mended: Path

    def read(self) -> DayContent:
        """Read what is there; raises an OSError where the data file is not."""
        mended = self.mended.read_bytes() if self.mended.is_file() else None
        return DayContent(self.data.read_bytes(), mended)

    def stamp(self) -> list[int]:
        """Return sizes in bytes and times of change in nanoseconds, to see a change by."""
        stamps = [self.data.stat()]
        if self.mended.is_file():
            stamps.append(self.mended.stat())
        return [number for stat in stamps for number in (stat.st_size, stat.st_mtime_ns)]


def day_files(audit: Audit, home: Home, day: str) -> DayFiles:
    """Name a day's files."""
    data = home.landing(audit.name) / audit.spec.data.file_name(date.fromisoformat(day))
    return DayFiles(data, data.with_name(data.name + MENDED_SUFFIX))
