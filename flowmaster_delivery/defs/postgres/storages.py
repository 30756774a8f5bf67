"""Dagster's three storages over one pool of connections, and the storage that holds them.

They stand on dagster-postgres, which says the SQL; the way to the database is ours. Where it adds a
row by a plain INSERT in the middle of a run (a run, an event, a check's answer), we look whether it
arrived before we add it again. Its NOTIFY at each event, which nobody hears any more, is left out.
A test compares what both leave in the tables.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import datetime
from typing import Any

from dagster._core.events import ASSET_CHECK_EVENTS, ASSET_EVENTS, DagsterEvent
from dagster._core.events.log import EventLogEntry
from dagster._core.storage.base_storage import DagsterStorage
from dagster._core.storage.event_log import SqlEventLogStorageTable
from dagster._core.storage.event_log.schema import AssetCheckExecutionsTable, AssetEventTagsTable
from dagster._serdes import ConfigurableClass, ConfigurableClassData
from dagster_postgres.event_log import PostgresEventLogStorage
from dagster_postgres.run_storage import PostgresRunStorage
from dagster_postgres.schedule_storage import PostgresScheduleStorage
from sqlalchemy import inspect, select, text
from sqlalchemy.engine import Connection, Engine

from flowmaster_delivery.defs.postgres.connecting import Database, Web, database
from flowmaster_delivery.defs.postgres.sessions import again, or_find, session
from flowmaster_delivery.defs.postgres.target import CONFIG, Target
from flowmaster_delivery.defs.unrevealing import UnrevealingLog, unrevealing

CREATING = 0x666C6F77
"""The advisory lock under which tables are made: several processes start on an empty database."""

EVENTS, CHECKS = SqlEventLogStorageTable.c, AssetCheckExecutionsTable.c


class _Connected:
    """What the three have in common; stands before Dagster's class among the bases."""

    _database: Database
    _engine: Engine

    def use(self, given: Database) -> None:
        self._mine = threading.local()
        self._database, self._engine = given, given.engine

    def connect(self, *_: object) -> AbstractContextManager[Connection]:
        """In whoever called `atomically`: the connection of that transaction."""
        inner = getattr(self._mine, "connection", None)
        return nullcontext(inner) if inner is not None else session(self._database)

    @contextmanager
    def atomically(self) -> Iterator[Connection]:
        """What this storage does within is done as a whole or not at all."""
        with session(self._database) as connection:
            connection.execution_options(isolation_level="READ COMMITTED")
            with connection.begin():
                self._mine.connection = connection
                try:
                    yield connection
                finally:
                    del self._mine.connection

    def optimize_for_webserver(
        self, statement_timeout: int, pool_recycle: int, max_overflow: int
    ) -> None:
        """People wait: statements end after a time, and nobody waits long for a connection."""
        web = Web(statement_timeout, pool_recycle, max_overflow)
        self.use(database(self._database.target, web))

    def has_table(self, table_name: str) -> bool:
        known = self._database
        if table_name not in known.tables:  # they come, and never go
            with session(known) as connection:
                known.tables = frozenset(inspect(connection).get_table_names())
        return table_name in known.tables

    def make_tables(self, main: str, make: Callable[[], None]) -> None:
        if self.has_table(main):
            return
        with self._engine.connect() as alone:
            alone.execute(text("SELECT pg_advisory_lock(:key)"), {"key": CREATING})
            try:
                if not self.has_table(main):
                    make()
            finally:
                alone.execute(text("SELECT pg_advisory_unlock(:key)"), {"key": CREATING})


class RunStorage(_Connected, PostgresRunStorage):
    """Runs, their tags, cursors and heartbeats."""

    def __init__(self, given: Database, autocreate: bool = True) -> None:
        super().__init__(str(given.target.url), should_autocreate_tables=False)
        self.use(given)
        if autocreate:
            self.make_tables("runs", self._make)

    def _make(self) -> None:
        self._init_db()
        self.migrate()
        self.optimize()

    def _core_add_run(self, col_values: dict[str, Any], tags: Mapping[str, str]) -> None:
        """With its tags or not at all: a run without the tags of its locks would be a free one.

        Its id was made for it: where a run of that id arrived before the loss, it is this one.
        """
        run_id, add = col_values["run_id"], super()._core_add_run
        or_find(lambda: self._whole(add, col_values, tags), lambda: self.has_run(run_id) or None)

    def handle_run_event(
        self, run_id: str, event: DagsterEvent, update_timestamp: datetime | None = None
    ) -> None:
        handle = super().handle_run_event
        again(lambda: self._whole(handle, run_id, event, update_timestamp))

    def add_run_tags(self, run_id: str, new_tags: Mapping[str, str]) -> None:
        add = super().add_run_tags
        again(lambda: self._whole(add, run_id, new_tags))

    def _whole(self, write: Callable[..., None], *args: object) -> bool:
        with self.atomically():
            write(*args)
        return True


class EventLog(_Connected, UnrevealingLog, PostgresEventLogStorage):
    """Events: the record. What is stored shows no secret that this process has read."""

    def __init__(self, given: Database, autocreate: bool = True) -> None:
        super().__init__(str(given.target.url), should_autocreate_tables=False)
        self.use(given)
        if autocreate:
            self.make_tables("event_logs", self._make)

    @property
    def engine(self) -> Engine:
        """For a table of one's own in this database: `with engine.begin() as connection`.

        A connection is waited for as everybody's is; what is to be done where it is lost in the
        middle is the caller's to know.
        """
        return self._engine.execution_options(isolation_level="READ COMMITTED")

    def _make(self) -> None:
        self._init_db()
        self.reindex_events()
        self.reindex_assets()

    def _connect(self) -> AbstractContextManager[Connection]:
        return self.connect()

    def store_event(self, event: EventLogEntry) -> None:
        event = unrevealing(event)
        row = self._event_to_row(event)
        event_id = or_find(lambda: self._insert(row), lambda: self._find(row))
        kind = event.dagster_event_type
        if kind in ASSET_EVENTS and event.get_dagster_event().asset_key:
            or_find(lambda: self._index(event, event_id), lambda: self._unindex(event_id))
        if kind in ASSET_CHECK_EVENTS:
            self.store_asset_check_event(event, event_id)

    def store_asset_check_event(self, event: EventLogEntry, event_id: int | None) -> None:
        store = super().store_asset_check_event
        or_find(
            lambda: store(event, event_id) or True,
            lambda: self._has_check(event_id) or None,
        )

    def _insert(self, row: Mapping[str, Any]) -> int:
        statement = SqlEventLogStorageTable.insert().values(**row).returning(EVENTS.id)
        with self._connect() as connection:
            return int(connection.execute(statement).scalar_one())

    def _find(self, row: Mapping[str, Any]) -> int | None:
        """Its text has the microsecond at which it was made."""
        same = (EVENTS[name] == row[name] for name in ("run_id", "timestamp", "event"))
        with self._connect() as connection:
            found = connection.execute(select(EVENTS.id).where(*same).limit(1)).scalar()
        return None if found is None else int(found)

    def _index(self, event: EventLogEntry, event_id: int) -> bool:
        with self.atomically() as connection:
            self._store_asset_event_tags(connection, [event], [event_id])
            self._store_asset_event(connection, event, event_id)
        return True

    def _unindex(self, event_id: int) -> None:
        """Its tags have no identity of their own: they are taken out and put in again."""
        with self._connect() as connection:
            connection.execute(
                AssetEventTagsTable.delete().where(AssetEventTagsTable.c.event_id == event_id)
            )

    def _has_check(self, event_id: int | None) -> bool:
        query = select(CHECKS.id).where(CHECKS.evaluation_event_storage_id == event_id).limit(1)
        with self._connect() as connection:
            return connection.execute(query).first() is not None


class ScheduleStorage(_Connected, PostgresScheduleStorage):
    """Ticks, and the states of sensors and schedules."""

    def __init__(self, given: Database, autocreate: bool = True) -> None:
        super().__init__(str(given.target.url), should_autocreate_tables=False)
        self.use(given)
        if autocreate:
            self.make_tables("jobs", self._init_db)


class PostgresStorage(DagsterStorage[Any], ConfigurableClass):
    """`storage` of dagster.yaml; the package's docstring shows it."""

    def __init__(
        self,
        target: Target,
        autocreate: bool = True,
        inst_data: ConfigurableClassData | None = None,
    ) -> None:
        self._inst_data = inst_data
        given = database(target)
        self._runs = RunStorage(given, autocreate)
        self._events = EventLog(given, autocreate)
        self._schedules = ScheduleStorage(given, autocreate)
        super().__init__()  # type: ignore[no-untyped-call]

    @property
    def inst_data(self) -> ConfigurableClassData | None:
        return self._inst_data

    @classmethod
    def config_type(cls) -> Any:
        return CONFIG

    @classmethod
    def from_config_value(
        cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]
    ) -> PostgresStorage:
        autocreate = config_value.get("should_autocreate_tables", True)
        return cls(Target.parse(config_value), autocreate, inst_data)

    @property
    def run_storage(self) -> RunStorage:
        return self._runs

    @property
    def event_log_storage(self) -> EventLog:
        return self._events

    @property
    def schedule_storage(self) -> ScheduleStorage:
        return self._schedules
