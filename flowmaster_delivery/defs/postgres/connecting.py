"""Staying connected: one pool per process and database, and patience while the database is away.

An attempt to connect changes nothing and may be repeated freely. So whoever needs a connection
waits for it: through a restart, a failover, a password that is being rotated (its file is read at
every attempt), a server that has no slot left. An outage has one clock for all threads: when it has
lasted for `patience`, everybody gets an error at their next attempt, and not one after the other.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from dagster._core.storage.sql import create_engine
from psycopg2 import Error, OperationalError
from sqlalchemy import event, exc
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.pool import QueuePool

from flowmaster_delivery.defs.postgres.target import Target

T = TypeVar("T")

NOT_NOW = (OperationalError, exc.OperationalError, OSError)
"""What an attempt fails with that may succeed later, as it is or wrapped by SQLAlchemy."""
PAUSE = 0.5
"""Seconds between two attempts."""
IDLE = 1.0
"""A connection that lay unused for so many seconds is tried before it is given out."""
USED = "flowmaster_used_at"

log = logging.getLogger(__name__)


class Patience:
    """Attempts at what may be away for `seconds`; several threads share the clock of an outage."""

    def __init__(
        self,
        what: str,
        seconds: float,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.what, self.seconds = what, seconds
        self._clock, self._sleep, self._lock = clock, sleep, threading.Lock()
        self._since: float | None = None
        self._last = 0.0

    def until_connected(self, attempt: Callable[[], T]) -> T:
        """Raise OperationalError, with the last attempt's words, when patience is at its end."""
        while True:
            try:
                made = attempt()
            except NOT_NOW as error:
                away = self._away(error)
                if away >= self.seconds:
                    raise OperationalError(self._words(error, away)) from error
                self._sleep(PAUSE)
            else:
                with self._lock:
                    self._since = None
                return made

    def _away(self, error: Exception) -> float:
        """For how long already; failures far apart are two outages."""
        with self._lock:
            now = self._clock()
            if self._since is None or now - self._last > max(self.seconds, 10 * PAUSE):
                self._since = now
                log.warning("%s gives no connection: %s", self.what, _first_line(error))
            self._last = now
            return now - self._since

    def _words(self, error: Exception, away: float) -> str:
        return (
            f"{self.what} gave no connection for {away:.0f} s: {_first_line(error)}; check that it "
            "runs, and the storage's hostname, username and password_file in dagster.yaml"
        )


@dataclass(frozen=True, slots=True)
class Web:
    """What the webserver asks of its connections (its options --db-…)."""

    statement_timeout: int
    """Milliseconds."""
    recycle: int
    overflow: int


class Database:
    """The connections of this process to one database."""

    def __init__(self, target: Target, web: Web | None = None) -> None:
        self.target = target
        self.patience = Patience(str(target), target.web_patience if web else target.patience)
        self.most = min(1 + web.overflow, 2 * target.connections) if web else target.connections
        self.tables = frozenset[str]()
        """Known to be there; tables do not go away."""
        self.engine = self._engine(web)
        self.reset()

    def reset(self) -> None:
        """After a fork: the parent's connections are the parent's."""
        self.engine.dispose(close=False)
        self.slots = threading.BoundedSemaphore(self.most)
        self.mine = threading.local()

    def _engine(self, web: Web | None) -> Engine:
        made = create_engine(
            self.target.url,
            isolation_level="AUTOCOMMIT",
            poolclass=QueuePool,
            pool_size=self.target.connections,
            # Sessions bound the number of connections; what overflows is a session in a session.
            max_overflow=-1,
            pool_use_lifo=True,
            pool_recycle=web.recycle if web else 3600,
            # Events are long, and what stands in them belongs into no exception.
            hide_parameters=True,
        )
        event.listen(made, "do_connect", self._connect)
        event.listen(made, "checkin", _remember)
        event.listen(made, "checkout", self._try)
        if web:
            timeout = f"SET statement_timeout = {int(web.statement_timeout)}"
            event.listen(made, "connect", lambda raw, _: _execute(raw, timeout))
        return made

    def take(self, make: Callable[[Engine], Connection]) -> Connection:
        """A connection as soon as there is one: a new one, or one that another thread gives back.

        On a server that has no slot left the second is what helps.
        """
        self.mine.once = True
        try:
            return self.patience.until_connected(lambda: make(self.engine))
        except OperationalError as error:
            raise exc.OperationalError(None, None, error) from error
        finally:
            self.mine.once = False

    def _connect(
        self, dialect: Any, _record: object, args: list[Any], given: dict[str, Any]
    ) -> Any:
        """A copy of `given`: SQLAlchemy keeps it, and a password should not be kept."""

        def attempt() -> Any:
            return dialect.connect(*args, **{**given, **self.target.secret})

        once = getattr(self.mine, "once", False)
        return attempt() if once else self.patience.until_connected(attempt)

    def _try(self, raw: Any, record: Any, _proxy: object) -> None:
        """One that died while it lay unused costs nobody an error, and neither do the others."""
        if time.monotonic() - record.info.get(USED, time.monotonic()) < IDLE:
            return
        try:
            _execute(raw, ";")
        except Error:
            raise exc.InvalidatePoolError from None


class _Databases:
    """Those of this process, by what they are to."""

    def __init__(self) -> None:
        self._made: dict[tuple[Target, Web | None], Database] = {}
        self._lock = threading.Lock()

    def get(self, target: Target, web: Web | None = None) -> Database:
        with self._lock:
            key = (target, web)
            if key not in self._made:
                self._made[key] = Database(target, web)
            return self._made[key]

    def after_fork(self) -> None:
        self._lock = threading.Lock()
        for one in self._made.values():
            one.reset()


_databases = _Databases()
database = _databases.get
"""Dagster makes many instances in a process, one for each tick of a sensor: they share."""

os.register_at_fork(after_in_child=_databases.after_fork)


def _remember(_raw: object, record: Any) -> None:
    record.info[USED] = time.monotonic()


def _execute(raw: Any, statement: str) -> None:
    with raw.cursor() as cursor:
        cursor.execute(statement)


def _first_line(error: Exception) -> str:
    cause = getattr(error, "orig", None) or error
    return (str(cause).strip().splitlines() or [type(cause).__name__])[0]
