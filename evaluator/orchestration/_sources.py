"""Where the rows of a day come from: files on a disk or in an object store, or a database.

What is in them does not belong here: to this module they are names, bytes and digests.
"""

import os
import re
from abc import ABC, abstractmethod
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any, Final, NamedTuple

from evaluator.errors import EvidenceError, IntakeError, StateError, UsageError
from evaluator.evidence import Files, Record, digest_of, digest_of_file, is_temporary
from evaluator.intake import query_to_parquet
from evaluator.orchestration._facts import RawDataFacts
from evaluator.orchestration._home import Home
from evaluator.orchestration._streams import Stream
from evaluator.spec import Audit, DataSpec, TableSpec, date_of

MENDED_SUFFIX: Final = ".mended.csv"
"""Ends the name of a day's mended rows, behind that of its file; see `evaluator replay`."""


class Arrived(NamedTuple):
    """What came for a day, as it is stored."""

    files: Mapping[str, Path]
    """By name, in the order in which they are read; of one day all lie in one folder."""
    digests: Mapping[str, str]
    version: str
    facts: RawDataFacts


class Source(ABC):
    """What the days of an audit come from.

    Parameters
    ----------
    audit
        Whose days.
    home
        Where mended rows lie, and files whose place nobody declares.
    stream
        How they are declared.
    """

    def __init__(self, audit: Audit, home: Home, stream: Stream) -> None:
        self.audit = audit
        self.home = home
        self.data: DataSpec = stream.spec
        # Files of two streams may have one name, in folders of their own.
        self._mended_suffix = f"{'' if stream.is_data else f'.{stream.name}'}{MENDED_SUFFIX}"

    @property
    @abstractmethod
    def place(self) -> str:
        """Where days are looked for, in words for people."""

    @abstractmethod
    def has_come(self, day: str) -> bool:
        """Tell whether there is something to take in, or may be."""

    @abstractmethod
    def stamp(self, day: str) -> list[Any]:
        """Return what changes when a day does; empty where nothing has come."""

    @abstractmethod
    def is_new(self, day: str, current: Record | None) -> bool:
        """Tell whether what is there may be other than what was stored last."""

    @abstractmethod
    def _take(self, day: str, folder: Path) -> Arrived:
        """Get what is there, and put into the folder what does not lie on this disk."""

    def take(self, day: str, folder: Path) -> Arrived:
        """Get what has come for a day, with the rows that people mended.

        Parameters
        ----------
        day
            The key of its partition.
        folder
            Room for what does not lie on this machine's disk.

        Raises
        ------
        IntakeError
            Where nothing has come.
        """
        came = self._take(day, folder)
        mended = self.mended(day)
        if not mended.is_file():
            return came
        digest = digest_of_file(mended)
        return Arrived(
            {**came.files, mended.name: mended},
            {**came.digests, mended.name: digest},
            digest_of([came.version, digest]),
            came.facts.model_copy(update={"mended": mended.name}),
        )

    def name(self, day: str) -> str:
        """Return a day's file's name, or the pattern of its files' names."""
        return PurePosixPath(self.data.file_name(day)).name

    def mended(self, day: str) -> Path:
        """Return where rows that people mended are, or will be."""
        path = self.home.landing(self.audit.name) / self.data.file_name(day).replace("*", "all")
        return path.with_name(path.name + self._mended_suffix)

    def nothing_came(self) -> UsageError:
        """Say that nothing has come at all, and what to do about it."""
        first = self.data.first_day
        if self.data.table is not None:
            what, fix = f"no day is over yet, and the first is {first}", "wait for its end"
        else:
            what = f"no file has arrived in {self.place}"
            fix = f"put files called {self.data.files} there"
            fix += f", from {first} on" if first else ""
        return UsageError(what, culprit=self.audit.name, fix=fix)

    def _not_there(self, day: str) -> IntakeError:
        where = f"{self.place}/{self.data.file_name(day)}"
        several = self.data.has_several_files
        return IntakeError(
            f"no file {where} has arrived"
            if several
            else f"the day's file {where} has not arrived",
            culprit=f"{self.audit.name} {day}",
            fix="put the file there and materialise the day again",
        )

    def _arrived(self, day: str, files: Mapping[str, Path], digests: Mapping[str, str]) -> Arrived:
        """Gather files that came, in their order."""
        source = self.home.place(f"{self.place}/{self.data.file_name(day)}")
        facts = RawDataFacts(file=self.name(day), source=source)
        if not self.data.has_several_files:
            return Arrived(files, digests, next(iter(digests.values())), facts)
        facts = facts.model_copy(update={"parts": tuple(files)})
        return Arrived(files, digests, digest_of(dict(digests)), facts)


class LandingFolder(Source):
    """Files that arrive on a disk of this machine."""

    @cached_property
    def _folder(self) -> Path:
        declared = self.data.landing
        if declared is None:
            return self.home.landing(self.audit.name)
        return Path(declared.removeprefix("file://"))

    @property
    def place(self) -> str:
        """The folder."""
        return str(self._folder)

    def has_come(self, day: str) -> bool:
        """Tell whether there are files."""
        return bool(self._files(day))

    def stamp(self, day: str) -> list[Any]:
        """Return sizes in bytes and times of change in nanoseconds."""
        files = self._files(day)
        if files and (mended := self.mended(day)).is_file():
            files.append(mended)
        stats = [path.stat() for path in files]
        numbers = [number for stat in stats for number in (stat.st_size, stat.st_mtime_ns)]
        return [path.name for path in files if self.data.has_several_files] + numbers

    def is_new(self, day: str, current: Record | None) -> bool:
        """Tell it by the bytes; what cannot be read is tried, and the attempt says why."""
        if current is None:
            return bool(self._files(day))
        try:
            return self.take(day, Path()).version != current.content_version
        except IntakeError:
            # What was taken away is not missed: its bytes are stored.
            return False
        except OSError:
            return True

    def _take(self, day: str, folder: Path) -> Arrived:  # noqa: ARG002 - all lies here
        files = {path.name: path for path in self._files(day)}
        if not files:
            raise self._not_there(day)
        return self._arrived(
            day, files, {name: digest_of_file(path) for name, path in files.items()}
        )

    def _files(self, day: str) -> list[Path]:
        path = self._folder / self.data.file_name(day)
        if not self.data.has_several_files:
            return [path] if path.is_file() else []
        if not path.parent.is_dir():
            return []
        names = _matching(path.name, (item.name for item in path.parent.iterdir()))
        return [path.with_name(name) for name in names if path.with_name(name).is_file()]


class ObjectStore(Source):
    """Files that arrive at an fsspec URL, listed once for all days."""

    @cached_property
    def _files(self) -> Files:
        return Files(str(self.data.landing))

    @property
    def place(self) -> str:
        """The URL."""
        return str(self.data.landing)

    @cached_property
    def _listed(self) -> Mapping[str, str]:
        return self._files.stamps(depth=len(PurePosixPath(self.data.source).parts))

    def has_come(self, day: str) -> bool:
        """Tell whether files are listed; of a store that does not answer nobody knows."""
        try:
            return bool(self._paths(day))
        except EvidenceError:
            return True

    def stamp(self, day: str) -> list[Any]:
        """Return what the store says of the files, and of mended rows their digest."""
        stamps = [part for path in self._paths(day) for part in (path, self._listed[path])]
        mended = self.mended(day)
        return [*stamps, digest_of_file(mended)] if stamps and mended.is_file() else stamps

    def is_new(self, day: str, current: Record | None) -> bool:
        """Tell it by what the store says, since bytes would have to be fetched."""
        stamp = self.stamp(day)
        return bool(stamp) and (
            current is None or list(RawDataFacts.of(current).stamp or ()) != stamp
        )

    def _take(self, day: str, folder: Path) -> Arrived:
        stamp = self.stamp(day)
        files, digests = {}, {}
        for path in self._paths(day):
            target = folder / PurePosixPath(path).name
            stored = self._files.copy(path, target)
            if stored is None:
                raise EvidenceError(
                    "it was listed and is gone", culprit=f"{self.place}/{path}", fix="run again"
                )
            files[target.name], digests[target.name] = target, stored.sha256
        if not files:
            raise self._not_there(day)
        came = self._arrived(day, files, digests)
        return came._replace(facts=came.facts.model_copy(update={"stamp": tuple(stamp)}))

    def _paths(self, day: str) -> list[str]:
        return _matching(self.data.file_name(day), self._listed)


class Database(Source):
    """A query's answers, each kept as one Parquet file."""

    @property
    def _table(self) -> TableSpec:
        assert self.data.table is not None  # noqa: S101 - that is what makes it this source
        return self.data.table

    @property
    def place(self) -> str:
        """The variable with the database's address, which may hold a password."""
        return f"the database of ${self._table.url_from}"

    def has_come(self, day: str) -> bool:  # noqa: ARG002 - only asking tells
        """Say that there may be rows."""
        return True

    def stamp(self, day: str) -> list[Any]:
        """Return that of mended rows: what a database holds is known by asking it."""
        mended = self.mended(day)
        return [digest_of_file(mended)] if mended.is_file() else []

    def is_new(self, day: str, current: Record | None) -> bool:
        """Tell whether it is to be asked: for what it never gave, the last days, mended ones."""
        days = self.data.partitions(datetime.now(UTC).date())
        if current is None or day in days[len(days) - self._table.again_days :]:
            return True
        mended = self.mended(day)
        known = current.files.get(mended.name)
        return mended.is_file() and (known is None or known.sha256 != digest_of_file(mended))

    def _take(self, day: str, folder: Path) -> Arrived:
        url = os.environ.get(self._table.url_from)
        if not url:
            raise StateError(
                "the environment variable with the database's URL is not set",
                culprit=self._table.url_from,
                fix="set it where runs are started, to an SQLAlchemy URL such as"
                " postgresql+psycopg://user:password@host/database",
            )
        target = folder / self.name(day)
        first = date_of(day)
        bound = {} if first is None else {"day": first, "next_day": first + timedelta(days=1)}
        query_to_parquet(url, self._table.query, target, bound=bound)
        digest = digest_of_file(target)
        source = f"{self.place}: {self._table.query}"
        facts = RawDataFacts(file=target.name, source=source)
        return Arrived({target.name: target}, {target.name: digest}, digest, facts)


def source_of(audit: Audit, home: Home, stream: Stream) -> Source:
    """Return what an audit's days come from, as they are declared.

    It remembers what it listed, so it is for one look: the next one makes its own.
    """
    landing = stream.spec.landing
    if stream.spec.table is not None:
        return Database(audit, home, stream)
    if landing is None or "://" not in landing or landing.startswith("file://"):
        return LandingFolder(audit, home, stream)
    return ObjectStore(audit, home, stream)


def _matching(pattern: str, names: Any) -> list[str]:
    """Return the names that a pattern stands for, in order, but for those that are not data."""
    told = re.compile(re.escape(pattern).replace(r"\*", "[^/]*"), re.DOTALL)
    return sorted(
        name
        for name in names
        if told.fullmatch(name)
        and not name.endswith(MENDED_SUFFIX)
        and not is_temporary(PurePosixPath(name).name)
    )
