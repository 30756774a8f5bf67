"""A connection that is lost in the middle of a statement: what is done again, and what only once.

The line is cut before the server had the statement, and after it had done it, since whoever asked
cannot tell the two apart.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from dagster import (
    AssetCheckEvaluation,
    AssetKey,
    AssetMaterialization,
    AssetObservation,
    DagsterEvent,
    DagsterEventType,
    DagsterInstance,
    DagsterRun,
    DagsterRunStatus,
    RunsFilter,
    job,
)
from dagster._daemon.types import DaemonHeartbeat
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from flowmaster_delivery.defs.postgres.storages import EventLog
from tests.fakes.cut_line import CutLine
from tests.postgres import Postgres

AT = 1_790_000_000.0
COMMIT = "COMMIT\0"
"""The statement alone, and not the level of isolation that a transaction begins with."""
MATERIALIZED = AssetMaterialization("a", partition="p", tags={"dagster/data_version": "1"})


@job
def a_job() -> None:
    """A job without steps."""


@dataclass
class Stage:
    instance: DagsterInstance
    line: CutLine
    postgres: Postgres
    database: str

    def rows(self, table: str) -> int:
        (row,) = self.postgres.execute(self.database, f"SELECT count(*) FROM {table}")  # noqa: S608
        return int(row[0])

    @property
    def a_run(self) -> DagsterRun:
        return self.instance.get_runs()[0]


@pytest.fixture
def stage(postgres: Postgres, tmp_path: Path) -> Iterator[Stage]:
    """An instance with one run, behind a line that can be cut."""
    line, database = CutLine(postgres.port), postgres.database_with_tables()
    with postgres.instance(tmp_path, database, port=line.port, patience_seconds=20) as instance:
        instance.create_run_for_job(a_job, tags={"first": "1"})
        yield Stage(instance, line, postgres, database)
    line.close()


@dataclass(frozen=True)
class Case:
    """A write, the words at which the line is cut, and the rows that it adds to each table."""

    words: str
    write: Callable[[Stage], object]
    adds: dict[str, int]


def _event(kind: DagsterEventType) -> Callable[[Stage], object]:
    return lambda stage: stage.instance.report_dagster_event(
        DagsterEvent(event_type_value=kind.value, job_name="a_job"), stage.a_run.run_id
    )


def _heartbeat(stage: Stage) -> None:
    stage.instance.add_daemon_heartbeat(DaemonHeartbeat(AT, "SENSOR", "me"))


CASES = {
    "an event of a run": Case(
        "INSERT INTO event_logs",
        lambda stage: stage.instance.report_engine_event("said", stage.a_run),
        {"event_logs": 1},
    ),
    "a materialization": Case(
        "INSERT INTO event_logs",
        lambda stage: stage.instance.report_runless_asset_event(MATERIALIZED),
        {"event_logs": 1, "asset_event_tags": 1, "asset_keys": 1},
    ),
    "the tags of a materialization": Case(
        "INSERT INTO asset_event_tags",
        lambda stage: stage.instance.report_runless_asset_event(MATERIALIZED),
        {"event_logs": 1, "asset_event_tags": 1, "asset_keys": 1},
    ),
    "the last of a materialization": Case(
        COMMIT,
        lambda stage: stage.instance.report_runless_asset_event(MATERIALIZED),
        {"event_logs": 1, "asset_event_tags": 1, "asset_keys": 1},
    ),
    "an observation": Case(
        "INSERT INTO asset_keys",
        lambda stage: stage.instance.report_runless_asset_event(AssetObservation("a")),
        {"event_logs": 1, "asset_keys": 1},
    ),
    "a check's answer": Case(
        "INSERT INTO asset_check_executions",
        lambda stage: stage.instance.report_runless_asset_event(
            AssetCheckEvaluation(AssetKey("a"), check_name="c", passed=True, metadata={})
        ),
        {"event_logs": 1, "asset_check_executions": 1},
    ),
    "a run": Case(
        "INSERT INTO runs",
        lambda stage: stage.instance.create_run_for_job(a_job, tags={"lock": "api", "b": "2"}),
        {"runs": 1, "run_tags": 2},
    ),
    "a run's tags": Case(
        "INSERT INTO run_tags",
        lambda stage: stage.instance.create_run_for_job(a_job, tags={"lock": "api", "b": "2"}),
        {"runs": 1, "run_tags": 2},
    ),
    "the last of a run": Case(
        COMMIT,
        lambda stage: stage.instance.create_run_for_job(a_job, tags={"lock": "api", "b": "2"}),
        {"runs": 1, "run_tags": 2},
    ),
    "tags that are added": Case(
        "INSERT INTO run_tags",
        lambda stage: stage.instance.add_run_tags(stage.a_run.run_id, {"first": "2", "more": "1"}),
        {"run_tags": 1},
    ),
    "a run's status": Case(
        "UPDATE runs", _event(DagsterEventType.PIPELINE_START), {"event_logs": 1}
    ),
    "a run's end": Case(COMMIT, _event(DagsterEventType.PIPELINE_FAILURE), {"event_logs": 1}),
    "a heartbeat": Case("INSERT INTO daemon_heartbeats", _heartbeat, {"daemon_heartbeats": 1}),
    "a cursor": Case(
        "INSERT INTO kvs",
        lambda stage: stage.instance.run_storage.set_cursor_values({"k": "v"}),
        {"kvs": 1},
    ),
    "partitions": Case(
        "INSERT INTO dynamic_partitions",
        lambda stage: stage.instance.add_dynamic_partitions("d", ["1", "2"]),
        {"dynamic_partitions": 2},
    ),
}
TABLES = sorted({table for case in CASES.values() for table in case.adds})


@pytest.mark.parametrize("after_effect", [False, True], ids=["before", "after its effect"])
@pytest.mark.parametrize("name", CASES)
def test_what_is_written_is_there_once(stage: Stage, name: str, after_effect: bool) -> None:
    case = CASES[name]
    before = {table: stage.rows(table) for table in TABLES}
    stage.line.cut(case.words, after_effect=after_effect)
    case.write(stage)
    assert stage.line.cuts == 1
    assert {t: stage.rows(t) - before[t] for t in TABLES} == dict.fromkeys(TABLES, 0) | case.adds


@pytest.mark.parametrize("after_effect", [False, True])
def test_a_run_whose_start_was_cut_has_started(stage: Stage, after_effect: bool) -> None:
    stage.line.cut("UPDATE runs", after_effect=after_effect)
    _event(DagsterEventType.PIPELINE_START)(stage)
    assert stage.line.cuts == 1
    assert stage.a_run.status is DagsterRunStatus.STARTED


@pytest.mark.parametrize("after_effect", [False, True])
def test_tags_that_were_cut_are_found_by_them(stage: Stage, after_effect: bool) -> None:
    stage.line.cut("INSERT INTO run_tags", after_effect=after_effect)
    stage.instance.add_run_tags(stage.a_run.run_id, {"more": "1"})
    assert len(stage.instance.get_runs(RunsFilter(tags={"more": "1", "first": "1"}))) == 1
    assert stage.a_run.tags["more"] == "1"


def test_what_is_read_is_read_again(stage: Stage) -> None:
    stage.instance.report_runless_asset_event(MATERIALIZED)
    stage.line.cut("FROM event_logs", after_effect=True)
    assert len(stage.instance.fetch_materializations(AssetKey("a"), limit=5).records) == 1
    stage.line.cut("FROM runs", after_effect=False)
    assert len(stage.instance.get_runs()) == 1
    assert stage.line.cuts == 2


def test_what_nobody_can_repeat_is_an_error_and_the_next_one_is_none(stage: Stage) -> None:
    """A statement in somebody's own transaction: what came before it is lost with it."""
    log = stage.instance.event_log_storage
    assert isinstance(log, EventLog)
    stage.line.cut("UPDATE runs", after_effect=True)
    with pytest.raises(OperationalError), log.engine.begin() as connection:
        connection.execute(text("UPDATE runs SET status = 'QUEUED'"))
    assert stage.a_run.status is DagsterRunStatus.NOT_STARTED


def test_a_statement_that_takes_the_line_down_each_time_is_not_repeated_for_ever(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    with stage.line.always("FROM runs"), pytest.raises(OperationalError):
        stage.instance.get_runs()
    assert 2 <= stage.line.cuts <= 20
    assert len(stage.instance.get_runs()) == 1
