"""Asking Dagster's database: one that gives no answer is Unreachable, for whoever asks."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.exc import SQLAlchemyError

from flowmaster_delivery.model.errors import Unreachable

AWAY = (SQLAlchemyError, sqlite3.Error, OSError)
"""What Dagster's storages raise where their database gives no answer; the one on Postgres wraps it
in an exception of its own, after five tries."""


@contextmanager
def asked(what: str) -> Iterator[None]:
    """A database that gives no answer is Unreachable: what it holds is not known."""
    try:
        yield
    except Exception as error:
        found = next((e for e in (error.__cause__, error) if isinstance(e, AWAY)), None)
        if found is None:
            raise
        said = (str(found).splitlines() or [type(found).__name__])[0]
        raise Unreachable(f"the database of Dagster gives no answer: {what}: {said}") from error
