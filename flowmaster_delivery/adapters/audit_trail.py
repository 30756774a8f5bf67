"""The audit trail as one table beside Dagster's events, on SQLite or PostgreSQL.

Several processes add at once: each reads the head and writes the number after it; of two with the
same number the database takes one, and the other reads again, so that the chain never forks. What
is there is never changed: triggers refuse it, where the role may make them. Once the table is there
a role that may only SELECT and INSERT is enough.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    Engine,
    Integer,
    MetaData,
    Select,
    String,
    Table,
    Text,
    insert,
    inspect,
    select,
)
from sqlalchemy.exc import DBAPIError, IntegrityError, ProgrammingError, SQLAlchemyError

from flowmaster_delivery.adapters.late_entries import LateEntries
from flowmaster_delivery.model.audit import START, AuditEntry, Deed, Head, chained
from flowmaster_delivery.model.errors import DeliveryError, Denied, Unreachable
from flowmaster_delivery.redaction import hidden

PATIENCE = 20.0
"""Seconds that one entry is tried for while others are faster."""
PAUSE = 0.02
"""Seconds at most between two tries, times the number of the try."""

TABLE = Table(
    "flowmaster_audit",
    MetaData(),
    Column(
        "sequence",
        BigInteger().with_variant(Integer(), "sqlite"),
        primary_key=True,
        autoincrement=False,
    ),
    Column("content", Text, nullable=False),
    Column("hash", String(64), nullable=False),
    Column("seal", String(64), nullable=False),
)
REFUSED = "the audit trail is only added to"
ONLY_ADDED = {
    "sqlite": tuple(
        f"CREATE TRIGGER IF NOT EXISTS flowmaster_audit_no_{what} BEFORE {what} "
        f"ON flowmaster_audit BEGIN SELECT RAISE(ABORT, '{REFUSED}'); END"
        for what in ("update", "delete")
    ),
    "postgresql": (
        f"""CREATE OR REPLACE FUNCTION flowmaster_audit_refuse() RETURNS trigger LANGUAGE plpgsql
        AS $$ BEGIN RAISE EXCEPTION '{REFUSED}'; END $$""",
        """CREATE TRIGGER flowmaster_audit_only_added BEFORE UPDATE OR DELETE OR TRUNCATE
        ON flowmaster_audit FOR EACH STATEMENT EXECUTE FUNCTION flowmaster_audit_refuse()""",
    ),
}
"""What keeps everybody from changing entries who may not change tables."""


class AuditTable:
    """Implements `ports.AuditTrail`. Engine and key are asked for at first use; one instance serves
    all threads of a process."""

    def __init__(
        self,
        engine: Callable[[], Engine],
        key: Callable[[], str],
        late: Callable[[Callable[[Deed], object]], LateEntries] = LateEntries,
    ) -> None:
        self._engine_of, self._key = engine, key
        self._ready = False
        self._one_at_a_time = threading.Lock()
        self._late = late(self._write)

    def append(self, deed: Deed) -> AuditEntry:
        self._late.flush()
        return self._write(unrevealing(deed))

    def append_late(self, deed: Deed) -> None:
        try:
            self.append(deed)
        except DeliveryError as error:
            self._late.keep(unrevealing(deed), error)

    def head(self) -> Head:
        with _asked("its head could not be read"):
            return self._head(self._engine())

    def read(self, after: int = 0, limit: int = 1000) -> tuple[AuditEntry, ...]:
        wanted = select(TABLE).where(TABLE.c.sequence > after).order_by(TABLE.c.sequence)
        return self._entries(wanted.limit(limit))

    def newest(self, before: int | None = None, limit: int = 1000) -> tuple[AuditEntry, ...]:
        wanted = select(TABLE).order_by(TABLE.c.sequence.desc()).limit(limit)
        return self._entries(wanted if before is None else wanted.where(TABLE.c.sequence < before))

    def _write(self, deed: Deed) -> AuditEntry:
        """Threads of one process wait for each other; processes meet in the database."""
        key, end = self._key(), time.monotonic() + PATIENCE
        tries = 0
        with self._one_at_a_time, _asked(f"{deed.action} could not be written"):
            while True:
                entry = chained(deed, self._head(self._engine()), key)
                if self._takes(entry):
                    return entry
                tries += 1
                if time.monotonic() > end:
                    raise Unreachable("the audit trail is so busy that an entry found no place")
                time.sleep(random.uniform(0, PAUSE * tries))  # noqa: S311  # nosec B311  # no secret

    def _takes(self, entry: AuditEntry) -> bool:
        """Whether the number was free."""
        values = {
            "sequence": entry.sequence,
            "content": entry.content,
            "hash": entry.hash,
            "seal": entry.seal,
        }
        try:
            with self._engine().begin() as connection:
                connection.execute(insert(TABLE), values)
        except IntegrityError:
            return False
        except DBAPIError as error:
            if not (error.connection_invalidated and self._stands(entry)):
                raise
        return True

    def _stands(self, entry: AuditEntry) -> bool:
        """Whether it arrived before the connection was lost: it must not stand there twice."""
        wanted = select(TABLE.c.hash).where(TABLE.c.sequence == entry.sequence)
        with self._engine().connect() as connection:
            return connection.execute(wanted).scalar() == entry.hash

    def _head(self, engine: Engine) -> Head:
        """Read on its own: what is held while it is read would not see what others add."""
        newest = select(TABLE.c.sequence, TABLE.c.hash).order_by(TABLE.c.sequence.desc()).limit(1)
        with engine.connect() as connection:
            row = connection.execute(newest).first()
        return Head(row.sequence, row.hash) if row else START

    def _entries(self, wanted: Select[Any]) -> tuple[AuditEntry, ...]:
        with _asked("it could not be read"), self._engine().connect() as connection:
            rows = connection.execute(wanted).all()
        return tuple(AuditEntry(row.sequence, row.content, row.hash, row.seal) for row in rows)

    def _engine(self) -> Engine:
        engine = self._engine_of()
        if not self._ready:
            _create(engine)
            self._ready = True
        return engine


def unrevealing(deed: Deed) -> Deed:
    """The deed as it may be seen: people write what they should not, and far ends say it again."""
    shown = {name: _shown(getattr(deed, name)) for name in TEXTS}
    return replace(deed, **shown)


TEXTS = (
    "who", "environment", "services", "version", "commit", "reason", "gates", "occasion", "details",
)  # fmt: skip


def _shown(value: Any) -> Any:
    match value:
        case str():
            return hidden(value)
        case tuple():
            return tuple(hidden(text) for text in value)
        case _:
            return {name: hidden(text) for name, text in value.items()}


def _create(engine: Engine) -> None:
    """The table, if it is not there; processes that begin at once may all try."""
    if inspect(engine).has_table(TABLE.name):
        return
    try:
        with engine.begin() as connection:
            TABLE.create(connection)
            for statement in ONLY_ADDED.get(engine.dialect.name, ()):
                connection.exec_driver_sql(statement)
    except DBAPIError:
        if not inspect(engine).has_table(TABLE.name):
            raise


@contextmanager
def _asked(what: str) -> Iterator[None]:
    """A database that gives no answer is Unreachable, one that forbids it is Denied."""
    try:
        yield
    except ProgrammingError as error:
        raise Denied(f"the database refuses the audit trail: {what}: {_said(error)}") from error
    except (SQLAlchemyError, OSError) as error:
        words = f"the audit trail gives no answer: {what}: {_said(error)}"
        raise Unreachable(words) from error


def _said(error: Exception) -> str:
    cause = getattr(error, "orig", None) or error
    return (str(cause).splitlines() or [type(cause).__name__])[0][:200]
