"""Dagster's SQLite event log, which waits for the disk once a batch instead of once an event.

Dagster opens and closes a database for each event, and a slice has four events: on a disk that
takes 10 ms to confirm a write, most of an audit's time went there. Here connections stay open,
SQLite's write-ahead log is confirmed at its checkpoints, and a batch is one transaction. What is
stored, and where, is Dagster's own doing. See docs/decisions/0004-event-log-in-batches.md.

This module keeps its public name: the `dagster.yaml` of every home that was prepared names it.
"""

import os
import shutil
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import dagster
import sqlalchemy
from dagster import EventLogEntry
from dagster._core.storage.event_log import SqliteEventLogStorage
from sqlalchemy.pool import StaticPool

from evaluator.orchestration._home import settle_process

MAX_OPEN = 8
"""How many databases stay open, of which each run has one."""

_SECONDS_FOR_A_LOCK = 30  # as Dagster's own

_Connecting = AbstractContextManager[sqlalchemy.Connection]


class EventLog(SqliteEventLogStorage):
    """The event log below `DAGSTER_HOME`, in the files and tables of Dagster's own."""

    def __init__(self, base_dir: str, inst_data: Any = None) -> None:
        self._turn = threading.RLock()
        self._engines: OrderedDict[str, sqlalchemy.Engine] = OrderedDict()
        self._connections: dict[str, sqlalchemy.Connection] = {}
        self._tables: set[str] = set()
        self._latest: dict[Any, tuple[EventLogEntry, int]] | None = None
        super().__init__(base_dir, inst_data)

    @classmethod
    def config_type(cls) -> dict[str, Any]:
        """Tell Dagster that there is nothing to configure."""
        return {}

    @classmethod
    def from_config_value(
        cls,
        inst_data: Any,
        config_value: Any,  # noqa: ARG003 - the signature is Dagster's
    ) -> "EventLog":
        """Open the log where Dagster's own would be."""
        # What of ours runs in each process of Dagster's, its daemon and its web server too.
        settle_process()
        return cls(str(Path(os.environ["DAGSTER_HOME"]) / "history" / "runs"), inst_data)

    def store_event(self, event: EventLogEntry) -> None:
        """Store an event in one transaction for each database that it goes into."""
        self.store_event_batch([event])

    def store_event_batch(self, events: Sequence[EventLogEntry]) -> None:
        """Store events in one transaction for each database that they go into."""
        runs = {event.run_id for event in events}
        with self._turn, ExitStack() as batch:
            # What is entered last is committed first: the runs, then the index of all of them.
            index = batch.enter_context(self.index_connection())
            for run_id in runs:
                batch.enter_context(self.run_connection(run_id))
            latest = self._latest = {}
            batch.callback(setattr, self, "_latest", None)
            for event in events:
                super().store_event(event)
            self._latest = None
            for event, event_id in latest.values():
                self._store_asset_event(index, event, event_id)
        # The UI follows a run by its database's file, of which a write-ahead log tells nothing.
        for run_id in runs:
            os.utime(self.path_for_shard(run_id))

    def run_connection(self, run_id: str | None = None) -> _Connecting:
        """Connect to a run's database."""
        return self._connected(str(run_id), lambda: super(EventLog, self).run_connection(run_id))

    def index_connection(self) -> _Connecting:
        """Connect to the index of all runs."""
        return self._connected("index", super().index_connection)

    def has_table(self, table_name: str) -> bool:
        """Tell whether the index has a table; Dagster asks at each event of a partition."""
        if table_name not in self._tables:
            with self.index_connection() as connection:
                if not sqlalchemy.inspect(connection).has_table(table_name):
                    return False
            self._tables.add(table_name)
        return True

    def _store_asset_event(
        self, conn: sqlalchemy.Connection, event: EventLogEntry, event_id: int
    ) -> None:
        """Write an asset's row in the index; of a batch once, since its events overwrite it."""
        if self._latest is None:
            super()._store_asset_event(conn, event, event_id)
        elif event.dagster_event is not None:
            of = event.dagster_event.asset_key, event.dagster_event_type
            # What comes last is written last.
            self._latest.pop(of, None)
            self._latest[of] = event, event_id

    @contextmanager
    def _connected(
        self, name: str, first: Callable[[], _Connecting]
    ) -> Iterator[sqlalchemy.Connection]:
        with self._turn:
            if name in self._connections:  # a batch is under way
                yield self._connections[name]
                return
            with self._engine(name, first).begin() as connection:
                self._connections[name] = connection
                try:
                    yield connection
                finally:
                    del self._connections[name]

    def _engine(self, name: str, first: Callable[[], _Connecting]) -> sqlalchemy.Engine:
        if name not in self._engines:
            if len(self._engines) >= MAX_OPEN:
                _, unused = self._engines.popitem(last=False)
                unused.dispose()
            if not self._copied_empty(name):
                # Dagster's own connection makes the database and its tables.
                with first():
                    pass
            # One thread has its turn at a time, so one connection serves all of them.
            engine = sqlalchemy.create_engine(
                self.conn_string_for_shard(name),
                poolclass=StaticPool,
                connect_args={"timeout": _SECONDS_FOR_A_LOCK, "check_same_thread": False},
            )
            sqlalchemy.event.listen(engine, "connect", _confirm_at_checkpoints)
            self._engines[name] = engine
        self._engines.move_to_end(name)
        return self._engines[name]

    def _copied_empty(self, run_id: str) -> bool:
        """Make a new run's database as a copy: Dagster asks alembic for each, 0.15 s."""
        target = Path(self.path_for_shard(run_id))
        if target.exists():
            return False
        # Below the folder of runs, so that Dagster does not take them for runs.
        empty = Path(self.path_for_shard(f"empty/{dagster.__version__}"))
        own = f"empty/{uuid4()}"
        copy = Path(self.path_for_shard(own))
        copy.parent.mkdir(exist_ok=True)
        if not empty.exists():
            with super().run_connection(own):
                pass
            copy.replace(empty)
        shutil.copyfile(empty, copy)
        try:
            os.link(copy, target)
        except OSError:  # another process was first, or there are no links here
            return False
        finally:
            copy.unlink()
        return True


def _confirm_at_checkpoints(connection: Any, _record: object) -> None:
    connection.execute("PRAGMA synchronous=NORMAL")
