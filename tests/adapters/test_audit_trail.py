"""The audit trail in a database: one chain, however many write; changes are refused, and found."""

from __future__ import annotations

import logging
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, create_engine, text
from sqlalchemy.exc import DBAPIError

from flowmaster_delivery.adapters.audit_trail import TABLE, AuditTable
from flowmaster_delivery.adapters.late_entries import PAUSES, LateEntries
from flowmaster_delivery.model.audit import START, Deed, fields_of
from flowmaster_delivery.model.errors import Permanent, Unreachable
from flowmaster_delivery.policy.audit import verify
from tests.adapters.audit_writer import a_deed
from tests.fakes.fake_audit import KEY

ROOT = Path(__file__).parents[2]


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'events.db'}"


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
    command = [sys.executable, "-m", "tests.adapters.audit_writer", url]
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
        process.communicate("go\n", timeout=60)
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
    with engine.begin() as connection:
        for name in ("update", "delete"):
            connection.execute(text(f"DROP TRIGGER flowmaster_audit_no_{name}"))
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
