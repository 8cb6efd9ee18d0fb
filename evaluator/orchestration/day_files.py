"""A day's files in the landing folder: the data, and rows of it that a person has mended."""

import hashlib
from datetime import date
from pathlib import Path
from typing import NamedTuple

from evaluator.evidence import digest_of
from evaluator.orchestration.home import Home
from evaluator.spec import Audit

MENDED_SUFFIX = ".mended.csv"
"""Stands behind the name of a day's file; see `evaluator replay`."""


class DayFiles(NamedTuple):
    """Where a day's files are, or will be."""

    data: Path
    mended: Path

    def present(self) -> list[Path]:
        """Return those that are there: the data first; none where the data are not."""
        return [path for path in self if path.is_file()] if self.data.is_file() else []

    def version(self) -> str:
        """Digest what is there: the file's digest, or one over the digests of both files.

        Raises
        ------
        FileNotFoundError
            Where the data file is not there.
        """
        return version_of([_digest(path) for path in self.present() or [self.data]])

    def stamp(self) -> list[int]:
        """Return sizes in bytes and times of change in nanoseconds, to see a change by."""
        stats = [path.stat() for path in self.present() or [self.data]]
        return [number for stat in stats for number in (stat.st_size, stat.st_mtime_ns)]


def version_of(digests: list[str]) -> str:
    """Return the content version of a day whose files have these digests."""
    return digests[0] if len(digests) == 1 else digest_of(digests)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def day_files(audit: Audit, home: Home, day: str) -> DayFiles:
    """Name a day's files."""
    data = home.landing(audit.name) / audit.spec.data.file_name(date.fromisoformat(day))
    return DayFiles(data, data.with_name(data.name + MENDED_SUFFIX))
