"""A backup is made, the database is lost, and a new server gets it back (docs/operations.md)."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from dagster import DagsterEventType, DagsterInstance, RunsFilter

from flowmaster_delivery.adapters.audit_trail import AuditTable
from flowmaster_delivery.adapters.dagster_history import DagsterHistory
from flowmaster_delivery.policy.audit import verify
from tests.adapters.audit_writer import a_deed
from tests.defs.conftest import SEAL_KEY
from tests.defs.test_retention import RECORDS, answers, launched
from tests.postgres import Postgres, a_server

PAGE = (Path(__file__).parents[2] / "docs" / "operations.md").read_text(encoding="utf-8")


@pytest.fixture
def elsewhere() -> Iterator[Postgres]:
    """Another server, as after the loss of the first."""
    with a_server() as made:
        yield made


def trail_of(instance: DagsterInstance) -> AuditTable:
    return AuditTable(lambda: instance.event_log_storage.engine, lambda: SEAL_KEY)  # type: ignore[attr-defined]


def options(program: str) -> list[str]:
    """The options that the page gives the program, without those that say where the server is."""
    found = re.search(rf"^ *{program} (.*)$", PAGE, flags=re.MULTILINE)
    assert found, f"docs/operations.md does not call {program}"
    words = [word for word in found[1].split() if word.startswith("--")]
    return [word for word in words if not word.startswith(("--host", "--file", "--dbname"))]


@pytest.mark.timeout(120)
def test_what_was_on_record_is_on_record_in_a_new_server(
    postgres: Postgres, elsewhere: Postgres, tmp_path: Path
) -> None:
    database = postgres.database_with_tables()
    (tmp_path / "before").mkdir()
    with postgres.instance(tmp_path / "before", database) as instance:
        history = DagsterHistory(instance, SEAL_KEY)
        for record in RECORDS:
            history.record(record)
        for who in ("dana", "sam"):
            trail_of(instance).append(a_deed(who))
        launched(instance, DagsterEventType.RUN_FAILURE, environment="dev", ref="develop")
        before, noted = answers(history), trail_of(instance).head()

    dump = postgres.folder / "flowmaster.dump"
    postgres.client("pg_dump", *options("pg_dump"), f"--file={dump}", database)
    postgres.client("dropdb", database)
    moved = elsewhere.folder / dump.name
    shutil.copyfile(dump, moved)
    elsewhere.client("createdb", *options("createdb"), "flowmaster")
    elsewhere.client("pg_restore", *options("pg_restore"), "--dbname=flowmaster", str(moved))

    (tmp_path / "after").mkdir()
    with elsewhere.instance(tmp_path / "after", "flowmaster") as instance:
        history = DagsterHistory(instance, SEAL_KEY)
        assert answers(history) == before
        found = verify(trail_of(instance).read(), SEAL_KEY, [noted])
        assert (found.whole, found.entries, found.seals) == (True, 2, True)
        assert len(instance.get_runs(RunsFilter(tags={"flowmaster/ref": "develop"}))) == 1
        _goes_on(instance, history)


def _goes_on(instance: DagsterInstance, history: DagsterHistory) -> None:
    """Numbers go on behind the old ones, and the trail still takes no change."""
    newest = history.images("api-gateway", "dev")
    history.record(RECORDS[0])
    assert history.images("api-gateway", "dev") == (RECORDS[0], *newest)
    trail = trail_of(instance)
    trail.append(a_deed("sofia"))
    assert verify(trail.read(), SEAL_KEY).whole
    launched(instance, DagsterEventType.RUN_CANCELED)
    assert len(instance.get_runs()) == 2


def test_without_the_seal_key_a_restored_record_is_nobodys(
    on_postgres: DagsterInstance,
) -> None:
    """It is in no dump: the page says that it must be kept beside."""
    for record in RECORDS:
        DagsterHistory(on_postgres, SEAL_KEY).record(record)
    lost = DagsterHistory(on_postgres, "a new key that was made instead")
    assert not any(answers(lost).values())
    assert "seal-key" in PAGE


def test_a_restore_that_does_not_go_through_leaves_nothing_half_done(
    postgres: Postgres, elsewhere: Postgres
) -> None:
    """Into a database where something is already: refused as a whole."""
    dump = postgres.folder / "flowmaster.dump"
    source = postgres.database_with_tables()
    postgres.client("pg_dump", *options("pg_dump"), f"--file={dump}", source)
    moved = elsewhere.folder / dump.name
    shutil.copyfile(dump, moved)
    elsewhere.client("createdb", *options("createdb"), "used")
    elsewhere.execute("used", "CREATE TABLE runs (id INTEGER)")
    with pytest.raises(AssertionError, match='relation "runs" already exists'):
        elsewhere.client("pg_restore", *options("pg_restore"), "--dbname=used", str(moved))
    tables = elsewhere.execute(
        "used", "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"
    )
    assert tables == [("runs",)]
