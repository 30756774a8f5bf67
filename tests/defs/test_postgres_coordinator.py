"""The rules of submission on a real PostgreSQL: every test of the coordinator, once more."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from dagster import DagsterInstance

from tests.defs.conftest import instance_at
from tests.defs.test_coordinator import *  # noqa: F403  # the tests themselves
from tests.postgres import Postgres


@pytest.fixture
def instance(
    postgres: Postgres, tmp_path: Path, environ: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[DagsterInstance]:
    """In place of the one on files."""
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    storage = postgres.overrides(postgres.database_with_tables())
    with instance_at(tmp_path / "instance", storage) as made:
        yield made
        made.event_log_storage.engine.dispose()  # type: ignore[attr-defined]
