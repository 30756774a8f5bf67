"""One use of a connection, and what is done again when the connection is lost in the middle of it.

A statement whose connection was lost may have been carried out or not. So it is done again

- when doing it twice is doing it once: a SELECT, an UPDATE, a DELETE, an INSERT … ON CONFLICT;
- outside of a transaction only: within one, what came before is gone too.

Anything else is up to whoever asked (`again`): a transaction as a whole where that is harmless, an
INSERT after a look whether it arrived.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from sqlalchemy.engine import Connection
from sqlalchemy.engine.base import RootTransaction
from sqlalchemy.exc import DBAPIError, TimeoutError  # noqa: A004
from sqlalchemy.sql import Delete, Select, Update

from flowmaster_delivery.defs.postgres.connecting import Database

TIMES = 3
"""A statement that takes the server down each time is not repeated for ever."""
MARGIN = 30.0
"""Seconds that one waits for a slot beyond the patience of those who hold them."""

R = TypeVar("R")


def lost(error: BaseException) -> bool:
    """Whether a connection that had been made broke, and not the statement on it."""
    return isinstance(error, DBAPIError) and error.connection_invalidated


def again(call: Callable[[], R]) -> R:
    """Call, and call again where the connection was lost: for what is harmless twice."""
    for _ in range(TIMES):
        try:
            return call()
        except DBAPIError as error:
            if not lost(error):
                raise
    return call()


def or_find(act: Callable[[], R], find: Callable[[], R | None]) -> R:
    """What must not happen twice: where a connection was lost, look first whether it happened.

    A server that came back says for certain. One that did not go away, and whose answer alone was
    lost, may still be at it: the connection is made anew in a millisecond or more, which is longer
    than the INSERT of one row takes.
    """
    try:
        return act()
    except DBAPIError as error:
        if not lost(error):
            raise

    def second() -> R:
        found = find()
        return act() if found is None else found

    return again(second)


@contextmanager
def session(database: Database) -> Iterator[Connection]:
    """A connection, when the process has one to spare.

    Dagster opens one within another here and there: such a thread has a slot already, and waiting
    for a second one behind others who wait for theirs would never end.
    """
    inner = getattr(database.mine, "depth", 0)
    slots = database.slots
    if not inner and not slots.acquire(timeout=database.patience.seconds + MARGIN):
        raise TimeoutError(
            f"all {database.most} connections of this process to {database.target} are in use"
        )
    database.mine.depth = inner + 1
    try:
        with database.take(_Session) as connection:
            yield connection
    finally:
        database.mine.depth = inner
        if not inner:
            slots.release()


class _Session(Connection):
    """A connection that does again what it may."""

    _executing = False
    _on_purpose = False

    def begin(self) -> RootTransaction:
        """SQLAlchemy begins one by itself before a statement; that is none of ours."""
        self._on_purpose = not self._executing
        return super().begin()

    def execute(self, statement: Any, *args: Any, **given: Any) -> Any:
        alone = not (self._on_purpose and self.in_transaction())
        self._executing = True
        try:
            for _ in range(TIMES):
                try:
                    return super().execute(statement, *args, **given)
                except DBAPIError as error:
                    if not lost(error) or not alone or not _harmless_twice(statement):
                        raise
                    self.rollback()
            return super().execute(statement, *args, **given)
        finally:
            self._executing = False


def _harmless_twice(statement: object) -> bool:
    upsert = getattr(statement, "_post_values_clause", None) is not None
    return upsert or isinstance(statement, Select | Update | Delete)
