"""The history on a database that is taken away, and brought back."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import cast

import pytest
from dagster import DagsterInstance
from sqlalchemy import create_engine

from flowmaster_delivery.adapters.dagster_history import DagsterHistory
from flowmaster_delivery.model.errors import Unreachable
from flowmaster_delivery.model.promotion import Hold

KEY = "a key that is long enough"
HOLD = Hold("h1", "api", "production", "dana", "broken", datetime(2026, 1, 1, tzinfo=UTC))

READS: dict[str, Callable[[DagsterHistory], object]] = {
    "images": lambda history: history.images("api", "production"),
    "admissions": lambda history: history.admissions("api", "production"),
    "deployments": lambda history: history.deployments("api", "production"),
    "observations": lambda history: history.observations("api", "production"),
    "verifications": lambda history: history.verifications("api", "production"),
    "migrations": lambda history: history.migrations("database", "production"),
    "orders": lambda history: history.canary_orders("api", "production"),
    "incidents": lambda history: history.incidents("production"),
    "holds": lambda history: history.holds(),
    "approvals": lambda history: history.approvals("platform", "v1.2.3"),
    "overrides": lambda history: history.overrides("platform", "v1.2.3"),
    "releases": lambda history: history.releases("platform"),
}


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def history(home: Path) -> Iterator[DagsterHistory]:
    home.mkdir()
    with DagsterInstance.local_temp(str(home), {"telemetry": {"enabled": False}}) as instance:
        yield DagsterHistory(instance, KEY)


def test_a_database_that_is_away_is_no_empty_record_of_any_kind(
    home: Path, history: DagsterHistory
) -> None:
    history.record(HOLD)
    home.rename(home.with_name("away"))
    for read in READS.values():
        with pytest.raises(Unreachable, match=r"of Dagster gives no answer: .* could not be read"):
            read(history)


def test_what_cannot_be_written_is_said_and_written_once_it_is_back(
    home: Path, history: DagsterHistory
) -> None:
    home.rename(home.with_name("away"))
    with pytest.raises(Unreachable, match="Hold could not be written: "):
        history.record(HOLD)
    home.with_name("away").rename(home)
    assert history.holds() == ()
    history.record(HOLD)
    assert history.holds() == (HOLD,)


def test_a_database_that_is_broken_is_no_empty_record(home: Path, history: DagsterHistory) -> None:
    history.record(HOLD)
    for file in home.rglob("index.db"):
        file.write_bytes(b"no database" * 1_000)
    with pytest.raises(Unreachable, match="file is not a database"):
        history.holds()


def test_a_postgres_that_refuses_is_unreachable() -> None:
    utils = pytest.importorskip("dagster_postgres.utils")
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
        engine = create_engine(f"postgresql+psycopg2://nobody@127.0.0.1:{port}/dagster")

        class OnPostgres:
            """As Dagster's storage asks: with its own retries, and its own exception after them."""

            def fetch_observations(self, *_: object) -> object:
                return utils.retry_pg_connection_fn(engine.connect, retry_limit=0)

        history = DagsterHistory(cast("DagsterInstance", OnPostgres()), KEY)
        with pytest.raises(Unreachable, match=r"holds could not be read: .*[Cc]onnection refused"):
            history.holds()


def test_a_fault_of_ours_is_not_taken_for_a_database_that_is_away() -> None:
    history = DagsterHistory(cast("DagsterInstance", object()), KEY)
    with pytest.raises(AttributeError):
        history.holds()
