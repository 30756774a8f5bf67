"""What every test stands on: an emptied environment. For those that ask, a real PostgreSQL."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from flowmaster_delivery.redaction import forget_all

if TYPE_CHECKING:
    from dagster import DagsterInstance

    from tests.postgres import Postgres

KEPT = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "KUBEBUILDER_ASSETS", "KUBECONFIG")
"""What a test may see of its surroundings: how to find programs, and where real servers are."""

KEPT_PREFIXES = ("FLOWMASTER_TEST_", "PYTEST_")


@pytest.fixture(autouse=True)
def nothing_is_secret_yet() -> Iterator[None]:
    """What one test has read is no secret of the next."""
    yield
    forget_all()


@pytest.fixture(autouse=True)
def emptied_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """A test never depends on what happens to be set on the machine it runs on."""
    for name in [n for n in os.environ if n not in KEPT and not n.startswith(KEPT_PREFIXES)]:
        monkeypatch.delenv(name)


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """One server for all tests of this process; each takes databases of its own."""
    from tests.postgres import a_server

    with a_server() as server:
        yield server


@pytest.fixture
def on_postgres(postgres: Postgres, tmp_path: Path) -> Iterator[DagsterInstance]:
    """An instance whose runs, events and schedules are in an empty database there."""
    with postgres.instance(tmp_path, postgres.database_with_tables()) as made:
        yield made
