"""The event log in one file: what Dagster asks of one, and what two processes see."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from dagster import (
    AssetCheckEvaluation,
    AssetCheckKey,
    AssetKey,
    AssetMaterialization,
    DagsterInstance,
    job,
)
from dagster._core.events.log import EventLogEntry

from flowmaster_delivery.defs.event_log import EventLog


@job
def a_job() -> None:
    """A job without steps."""


def an_instance(folder: Path) -> DagsterInstance:
    log = {
        "module": "flowmaster_delivery.defs.event_log",
        "class": "EventLog",
        "config": {"base_dir": str(folder / "events")},
    }
    overrides = {"event_log_storage": log, "telemetry": {"enabled": False}}
    return DagsterInstance.local_temp(str(folder), overrides)


@pytest.fixture
def two(tmp_path: Path) -> Iterator[tuple[DagsterInstance, DagsterInstance]]:
    """Two instances on one folder, as two processes have them."""
    with an_instance(tmp_path) as one, an_instance(tmp_path) as other:
        yield one, other


def test_what_one_writes_the_other_reads_at_once(
    two: tuple[DagsterInstance, DagsterInstance],
) -> None:
    writer, reader = two
    assert isinstance(writer.event_log_storage, EventLog)
    for number in range(3):
        writer.report_runless_asset_event(AssetMaterialization("a", partition=str(number)))
        found = reader.fetch_materializations(AssetKey("a"), limit=10).records
        assert len(found) == number + 1


def test_threads_and_two_instances_write_side_by_side(
    two: tuple[DagsterInstance, DagsterInstance],
) -> None:
    def write(instance: DagsterInstance, name: str) -> None:
        for number in range(10):
            instance.report_runless_asset_event(AssetMaterialization(name, partition=str(number)))

    names = [f"a{n}" for n in range(6)]
    threads = [
        threading.Thread(target=write, args=(two[n % 2], name)) for n, name in enumerate(names)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for name in names:
        found = two[0].fetch_materializations(AssetKey(name), limit=100).records
        assert len(found) == 10


def test_somebody_who_watches_a_run_hears_of_it(
    two: tuple[DagsterInstance, DagsterInstance],
) -> None:
    writer, reader = two
    run = writer.create_run_for_job(a_job)
    heard = threading.Event()

    def hear(_: EventLogEntry, __: str) -> None:
        heard.set()

    reader.event_log_storage.watch(run.run_id, None, hear)
    writer.report_engine_event("hello", run)
    assert heard.wait(10)
    reader.event_log_storage.end_watch(run.run_id, hear)


def test_a_log_that_is_opened_again_has_what_was_written(tmp_path: Path) -> None:
    with an_instance(tmp_path) as first:
        first.report_runless_asset_event(AssetMaterialization("a"))
    with an_instance(tmp_path) as again:
        assert len(again.fetch_materializations(AssetKey("a"), limit=10).records) == 1


def test_checks_without_a_run_are_read_back(
    two: tuple[DagsterInstance, DagsterInstance],
) -> None:
    writer, reader = two
    writer.report_runless_asset_event(
        AssetCheckEvaluation(AssetKey("a"), check_name="c", passed=False, metadata={})
    )
    key = AssetCheckKey(AssetKey("a"), "c")
    (record,) = reader.event_log_storage.get_asset_check_execution_history(key, limit=5)
    assert record.event is not None
