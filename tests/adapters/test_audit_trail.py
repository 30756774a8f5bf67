"""The audit trail in a database: one chain, however many write; changes are refused, and found."""

from __future__ import annotations

import logging
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import URL, Engine, create_engine, event, text
from sqlalchemy.engine import Connection
from sqlalchemy.exc import DBAPIError, OperationalError

from flowmaster_delivery.adapters.audit_trail import TABLE, AuditTable
from flowmaster_delivery.adapters.late_entries import PAUSES, LateEntries
from flowmaster_delivery.model.audit import START, Deed, fields_of
from flowmaster_delivery.model.errors import Denied, Permanent, Unreachable
from flowmaster_delivery.policy.audit import verify
from flowmaster_delivery.redaction import learn
from tests.adapters.audit_writer import a_deed
from tests.fakes.fake_audit import KEY
from tests.postgres import PASSWORD, USER, Postgres

ROOT = Path(__file__).parents[2]


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Of an empty database of each kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'events.db'}"
    server: Postgres = request.getfixturevalue("postgres")
    where = URL.create(
        "postgresql+psycopg2", USER, PASSWORD, "127.0.0.1", server.port, server.database()
    )
    return where.render_as_string(hide_password=False)


@pytest.fixture
def engine(url: str) -> Iterator[Engine]:
    made = create_engine(url)
    yield made
    made.dispose()


@pytest.fixture
def trail(engine: Engine) -> AuditTable:
    return AuditTable(lambda: engine, lambda: KEY)


def whos(trail: AuditTable) -> list[object]:
    return [fields_of(entry)["who"] for entry in trail.read()]


def test_a_trail_begins_empty_and_grows_at_its_end(trail: AuditTable) -> None:
    assert (trail.head(), trail.read()) == (START, ())
    first, second = trail.append(a_deed("dana")), trail.append(a_deed("sam"))
    assert trail.head() == second.head
    assert trail.read() == (first, second)
    assert trail.newest() == (second, first)
    assert verify(trail.read(), KEY, noted=[second.head]).whole


def test_it_is_read_in_pages_from_either_end(trail: AuditTable) -> None:
    for number in range(5):
        trail.append(a_deed(str(number)))
    assert [entry.sequence for entry in trail.read(after=2, limit=2)] == [3, 4]
    assert [entry.sequence for entry in trail.newest(before=3, limit=9)] == [2, 1]


def test_another_process_sees_what_this_one_wrote(trail: AuditTable, url: str) -> None:
    trail.append(a_deed("dana"))
    other = create_engine(url)
    AuditTable(lambda: other, lambda: KEY).append(a_deed("sam"))
    other.dispose()
    assert whos(trail) == ["dana", "sam"]


def test_processes_that_add_at_once_make_one_chain(trail: AuditTable, url: str) -> None:
    """Before the table is there, too: all of them begin together."""
    writers, each = 4, 15
    command = [sys.executable, "-m", "tests.adapters.audit_writer"]
    running = [
        subprocess.Popen(
            [*command, f"process-{number}", str(each)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=ROOT,
            text=True,
        )
        for number in range(writers)
    ]
    for process in running:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in running:
        process.communicate(f"{url}\n", timeout=60)
    assert [process.returncode for process in running] == [0] * writers
    entries = trail.read()
    assert verify(entries, KEY).whole
    assert sorted(map(str, whos(trail))) == [
        f"process-{number}" for number in range(writers) for _ in range(each)
    ]


def test_threads_of_one_process_make_one_chain(trail: AuditTable) -> None:
    threads = [
        threading.Thread(target=lambda n=n: [trail.append(a_deed(str(n))) for _ in range(5)])
        for n in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(trail.read()) == 40
    assert verify(trail.read(), KEY).whole


def test_a_role_that_may_only_read_and_add_is_enough(postgres: Postgres) -> None:
    """Once the table is there: made by whoever owns it, who then grants no more than that."""
    name = postgres.database()
    owner = URL.create("postgresql+psycopg2", USER, PASSWORD, "127.0.0.1", postgres.port, name)
    writer = owner.set(username=f"writer_{name}", password="pw")
    made, least = create_engine(owner), create_engine(writer)
    AuditTable(lambda: made, lambda: KEY).append(a_deed("dana"))
    postgres.execute(name, f"CREATE ROLE writer_{name} LOGIN PASSWORD 'pw'")
    postgres.execute(name, f"GRANT SELECT, INSERT ON flowmaster_audit TO writer_{name}")
    trail = AuditTable(lambda: least, lambda: KEY)
    trail.append(a_deed("sam"))
    assert whos(trail) == ["dana", "sam"]
    for statement in (
        "UPDATE flowmaster_audit SET content = 'x'",
        "DELETE FROM flowmaster_audit",
        "TRUNCATE flowmaster_audit",
        "DROP TRIGGER flowmaster_audit_only_added ON flowmaster_audit",
    ):
        with pytest.raises(DBAPIError), least.begin() as connection:
            connection.execute(text(statement))
    made.dispose()
    least.dispose()


def test_what_the_database_forbids_is_denied_and_not_tried_again(postgres: Postgres) -> None:
    name = postgres.database()
    postgres.execute(name, f"CREATE ROLE reader_{name} LOGIN PASSWORD 'pw'")
    where = URL.create("postgresql+psycopg2", f"reader_{name}", "pw", "127.0.0.1", postgres.port)
    engine = create_engine(where.set(database=name))
    with pytest.raises(Denied, match="refuses the audit trail"):
        AuditTable(lambda: engine, lambda: KEY).append(a_deed())
    engine.dispose()


def test_an_entry_that_arrived_before_the_connection_was_lost_stands_once(
    trail: AuditTable, engine: Engine
) -> None:
    lost = list[str]()

    def lose(connection: Connection) -> None:
        """The answer to the first commit never arrives."""
        if lost:
            return
        lost.append("once")
        connection.connection.commit()
        connection.invalidate()
        raise OperationalError("COMMIT", {}, Exception("lost"), connection_invalidated=True)

    trail.append(a_deed("dana"))
    event.listen(engine, "commit", lose)
    trail.append(a_deed("sam"))
    assert lost == ["once"]
    assert whos(trail) == ["dana", "sam"]


def test_a_secret_that_somebody_wrote_into_a_reason_does_not_stand_there(
    trail: AuditTable,
) -> None:
    learn("gitlab_token", "planted-0123456789")
    said = "with planted-0123456789"
    trail.append(a_deed(reason=said, gates=(said,), details={"said": said}, services=(said,)))
    (entry,) = trail.read()
    assert "planted" not in entry.content
    assert fields_of(entry)["reason"] == "with •••"


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE flowmaster_audit SET content = 'x' WHERE sequence = 1",
        "DELETE FROM flowmaster_audit WHERE sequence = 1",
    ],
)
def test_the_database_refuses_to_change_or_remove_an_entry(
    trail: AuditTable, engine: Engine, statement: str
) -> None:
    entry = trail.append(a_deed())
    with pytest.raises(DBAPIError, match="only added to"), engine.begin() as connection:
        connection.execute(text(statement))
    assert trail.read() == (entry,)


def test_what_somebody_changed_who_may_change_tables_is_found(
    trail: AuditTable, engine: Engine
) -> None:
    for number in range(3):
        trail.append(a_deed(str(number)))
    drop = {
        "sqlite": ["DROP TRIGGER flowmaster_audit_no_update"],
        "postgresql": ["DROP TRIGGER flowmaster_audit_only_added ON flowmaster_audit"],
    }
    with engine.begin() as connection:
        for statement in drop[engine.dialect.name]:
            connection.execute(text(statement))
        connection.execute(TABLE.update().where(TABLE.c.sequence == 2).values(content="{}"))
    found = verify(trail.read(), KEY)
    assert [(one.sequence, one.flaw.value) for one in found.findings][:1] == [(2, "changed")]


def test_a_database_that_is_away_is_unreachable_and_what_is_wanted_must_not_happen(
    tmp_path: Path,
) -> None:
    engine = create_engine(f"sqlite:///{tmp_path / 'no such folder' / 'events.db'}")
    trail = AuditTable(lambda: engine, lambda: KEY)
    asked: list[Callable[[], object]] = [
        lambda: trail.append(a_deed()), trail.head, trail.read, trail.newest,
    ]  # fmt: skip
    for ask in asked:
        with pytest.raises(Unreachable, match="audit trail gives no answer"):
            ask()


def test_without_a_key_nothing_is_written(engine: Engine) -> None:
    trail = AuditTable(lambda: engine, lambda: "short")
    with pytest.raises(Permanent, match="too short"):
        trail.append(a_deed())
    assert trail.read() == ()


class Flaky:
    """Where entries are written to: away for so many tries."""

    def __init__(self, away: int) -> None:
        self.away, self.written = away, list[str]()

    def __call__(self, deed: Deed) -> None:
        if self.away > 0:
            self.away -= 1
            raise Unreachable("away")
        self.written.append(deed.who)


def late(write: Flaky, waited: list[float]) -> LateEntries:
    return LateEntries(write, spawn=lambda call: call(), sleep=waited.append)


def test_what_could_not_be_written_is_logged_whole_and_written_later(
    caplog: pytest.LogCaptureFixture,
) -> None:
    write, waited = Flaky(2), list[float]()
    with caplog.at_level(logging.WARNING):
        late(write, waited).keep(a_deed("flowmaster"), Unreachable("gone"))
    assert write.written == ["flowmaster"]
    assert waited == [1.0, 2.0, 4.0]
    logged = caplog.records[0].getMessage()
    assert all(word in logged for word in ("gone", '"hold_placed"', '"flowmaster"'))
    assert "late" in caplog.records[-1].getMessage()


def test_what_is_left_then_comes_with_the_next_entry_in_its_order() -> None:
    write, waited = Flaky(len(PAUSES) * 2), list[float]()
    kept = late(write, waited)
    kept.keep(a_deed("first"), Unreachable("gone"))
    kept.keep(a_deed("second"), Unreachable("gone"))
    assert write.written == []
    assert kept.flush()
    assert write.written == ["first", "second"]


def test_a_late_entry_never_stops_whoever_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flowmaster_delivery.adapters.late_entries.PAUSES", (0.0,))
    folder = tmp_path / "later"
    engine = create_engine(f"sqlite:///{folder / 'events.db'}")
    trail = AuditTable(lambda: engine, lambda: KEY, lambda write: LateEntries(write, (0.0,)))
    trail.append_late(a_deed("flowmaster"))
    folder.mkdir()
    trail.append(a_deed("dana"))
    for thread in threading.enumerate():
        if thread.name == "audit":
            thread.join()
    assert sorted(map(str, whos(trail))) == ["dana", "flowmaster"]
    assert verify(trail.read(), KEY).whole
    engine.dispose()
