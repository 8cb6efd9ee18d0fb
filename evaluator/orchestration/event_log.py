"""Dagster's SQLite event log, which waits for the disk once a batch instead of once an event.

Dagster opens and closes a database for each event, and a slice has two events: on a disk that
takes 10 ms to confirm a write, most of an audit's time went there. Here connections stay open,
SQLite's write-ahead log is confirmed at its checkpoints, and a batch is one transaction. A
process that is killed loses nothing; a machine that loses power may lose the log's last moment,
never its consistency. The audit trail is the evidence, which does not rest on this log.
"""

import os
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import groupby
from pathlib import Path
from typing import Any

import sqlalchemy
from dagster import EventLogEntry
from dagster._core.events import ASSET_EVENTS
from dagster._core.storage.event_log.schema import SqlEventLogStorageTable
from dagster._core.storage.event_log.sqlite import SqliteEventLogStorage
from dagster._core.storage.sqlalchemy_compat import db_result
from dagster._core.storage.sqlite import SQLITE_BUSY_TIMEOUT_SECONDS
from dagster._serdes import ConfigurableClassData
from sqlalchemy.pool import StaticPool

MOST_OPEN = 8
"""How many databases stay open, of which each run has one."""


class EventLog(SqliteEventLogStorage):
    """The event log below `DAGSTER_HOME`, in the files and tables of Dagster's own."""

    _engines: OrderedDict[str, sqlalchemy.Engine]

    def __init__(self, base_dir: str, inst_data: ConfigurableClassData | None = None) -> None:
        self._engines = OrderedDict()
        super().__init__(base_dir, inst_data)

    @classmethod
    def config_type(cls) -> dict[str, Any]:
        """Tell Dagster that there is nothing to configure."""
        return {}

    @classmethod
    def from_config_value(
        cls,
        inst_data: ConfigurableClassData | None,
        config_value: Any,  # noqa: ARG003 - the signature is Dagster's
    ) -> "EventLog":
        """Open the log where Dagster's own would be."""
        return cls(str(Path(os.environ["DAGSTER_HOME"]) / "history" / "runs"), inst_data)

    def store_event_batch(self, events: Sequence[EventLogEntry]) -> None:
        """Store events in one transaction for their run, and one for the index of all runs."""
        indexed = []
        for run_id, told in groupby(events, key=lambda event: event.run_id):
            batch = list(told)
            ours = [event for event in batch if event.dagster_event_type in ASSET_EVENTS]
            for event in batch:
                if event.dagster_event_type not in ASSET_EVENTS:
                    self.store_event(event)
            if ours:
                with self.run_connection(run_id) as connection:
                    rows = [self._event_to_row(event) for event in ours]
                    connection.execute(SqlEventLogStorageTable.insert(), rows)
            indexed += ours
        if not indexed:
            return
        with self.index_transaction() as connection:
            ids = []
            for event in indexed:
                with db_result(connection, self.prepare_insert_event(event)) as result:
                    ids.append(int(result.inserted_primary_key[0]))
            self._store_asset_event_tags(connection, indexed, ids)
            # An asset's row says what came last, so only the last event of each kind counts.
            last = {
                (str(event.get_dagster_event().asset_key), event.dagster_event_type): (event, at)
                for event, at in zip(indexed, ids, strict=True)
            }
            for event, at in last.values():
                self._store_asset_event(connection, event, at)

    @contextmanager
    def _connect(self, shard: str) -> Iterator[sqlalchemy.Connection]:
        with self._db_lock:
            engine = self._engine(shard)
            if shard not in self._initialized_dbs:
                self._initdb(engine)
                self._initialized_dbs.add(shard)
            with engine.connect() as connection, connection.begin():
                yield connection

    def _engine(self, shard: str) -> sqlalchemy.Engine:
        if shard not in self._engines:
            if len(self._engines) >= MOST_OPEN:
                _, unused = self._engines.popitem(last=False)
                unused.dispose()
            # The lock lets in one thread at a time, so one connection serves all of them.
            engine = sqlalchemy.create_engine(
                self.conn_string_for_shard(shard),
                poolclass=StaticPool,
                connect_args={"timeout": SQLITE_BUSY_TIMEOUT_SECONDS, "check_same_thread": False},
            )
            sqlalchemy.event.listen(engine, "connect", _confirm_at_checkpoints)
            self._engines[shard] = engine
        self._engines.move_to_end(shard)
        return self._engines[shard]


def _confirm_at_checkpoints(connection: Any, _record: object) -> None:
    connection.execute("PRAGMA synchronous=NORMAL")
