"""The event log of an installation on one machine: one SQLite file, with connections kept open.

Dagster's own SQLite log keeps a file per run beside an index, and opens and closes a connection for
every event; each close ends in a checkpoint of the whole log. A run that asks twelve questions of
22 services writes 1,000 events: this one takes a third of the time for them. A power failure may
cost the last second of events, never an older one; installations that cannot have that use
PostgreSQL, as those of several machines do anyway.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import Any

from dagster._core.storage.event_log import ConsolidatedSqliteEventLogStorage
from dagster._core.storage.event_log.polling_event_watcher import SqlPollingEventWatcher
from dagster._core.storage.sql import create_engine
from dagster._core.storage.sqlite import SQLITE_BUSY_TIMEOUT_SECONDS
from sqlalchemy import event
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.pool import QueuePool

from flowmaster_delivery.defs.unrevealing import UnrevealingLog

CONNECTIONS = 8
"""Kept open per process; more are opened while they are needed."""


class EventLog(UnrevealingLog, ConsolidatedSqliteEventLogStorage):
    """`event_log_storage` of dagster.yaml. `base_dir` is the folder of its one file."""

    @property
    def engine(self) -> Engine:
        """For a table of one's own in this database: `with engine.begin() as connection`."""
        return self._engine

    @cached_property
    def _engine(self) -> Engine:
        engine = create_engine(
            self._conn_string,
            poolclass=QueuePool,
            pool_size=CONNECTIONS,
            max_overflow=-1,
            connect_args={"timeout": SQLITE_BUSY_TIMEOUT_SECONDS, "check_same_thread": False},
            hide_parameters=True,  # what stands in an event belongs into no exception
        )
        event.listen(engine, "connect", _without_sync_per_commit)
        return engine

    @cached_property
    def _watcher(self) -> SqlPollingEventWatcher:
        return SqlPollingEventWatcher(self)

    @contextmanager
    def _connect(self) -> Iterator[Connection]:
        with self._engine.connect() as connection, connection.begin():
            yield connection

    def watch(self, run_id: str, cursor: str | None, callback: Any) -> None:
        """Ask for new events: the file itself changes only at checkpoints."""
        self._watcher.watch_run(run_id, cursor, callback)

    def end_watch(self, run_id: str, handler: Any) -> None:
        self._watcher.unwatch_run(run_id, handler)

    def dispose(self) -> None:
        if "_watcher" in self.__dict__:
            self._watcher.close()
        if "_engine" in self.__dict__:
            self._engine.dispose()


def _without_sync_per_commit(connection: Any, _record: object) -> None:
    """In WAL mode the file stays whole without it (sqlite.org/pragma.html#pragma_synchronous)."""
    connection.execute("PRAGMA synchronous=NORMAL")
