"""The pulse of Dagster's machinery, read from its database as Dagster itself writes it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from dagster import DagsterInstance, DagsterRunStatus, job
from dagster._core.definitions.run_request import InstigatorType
from dagster._core.remote_origin import (
    GrpcServerCodeLocationOrigin,
    RemoteInstigatorOrigin,
    RemoteRepositoryOrigin,
)
from dagster._core.scheduler.instigation import (
    InstigatorState,
    InstigatorStatus,
    SensorInstigatorData,
    TickData,
    TickStatus,
)
from dagster._daemon.types import DaemonHeartbeat
from dagster._utils.error import SerializableErrorInfo

from flowmaster_delivery.adapters.dagster_pulse import DagsterPulse
from flowmaster_delivery.model.errors import Unreachable
from flowmaster_delivery.model.pulse import SensorBeat

NOON = datetime(2026, 11, 26, 12, tzinfo=UTC)


@pytest.fixture(params=["files", "postgres"])
def on_storage(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[DagsterInstance]:
    """An instance on Dagster's own files, and one on our PostgreSQL storage."""
    if request.param == "postgres":
        yield request.getfixturevalue("on_postgres")
        return
    with DagsterInstance.local_temp(str(tmp_path), {"telemetry": {"enabled": False}}) as made:
        yield made


@job
def a_job() -> None:
    return


def state_of(
    name: str,
    instance: DagsterInstance,
    *ticks: tuple[TickStatus, datetime],
    location: str = "flowmaster-delivery",
    status: InstigatorStatus = InstigatorStatus.DECLARED_IN_CODE,
    every: int | None = 30,
) -> None:
    """A sensor as the daemon stores it, with its ticks."""
    where = GrpcServerCodeLocationOrigin(host="code", port=3030, location_name=location)
    origin = RemoteInstigatorOrigin(RemoteRepositoryOrigin(where, "repository"), name)
    state = InstigatorState(
        origin, InstigatorType.SENSOR, status, SensorInstigatorData(min_interval=every)
    )
    instance.add_instigator_state(state)
    for how, at in ticks:
        error = SerializableErrorInfo("broken", [], None) if how is TickStatus.FAILURE else None
        tick = TickData(
            state.instigator_origin_id,
            name,
            InstigatorType.SENSOR,
            how,
            at.timestamp(),
            run_ids=[],
            error=error,
            selector_id=state.selector_id,
        )
        instance.create_tick(tick)


def test_every_loop_that_is_needed_is_there_whether_or_not_it_beats(
    on_storage: DagsterInstance,
) -> None:
    before = DagsterPulse(on_storage).daemons()
    assert {one.name for one in before} >= {"SENSOR", "SCHEDULER", "BACKFILL"}
    assert {one.at for one in before} == {None}
    on_storage.add_daemon_heartbeat(DaemonHeartbeat(NOON.timestamp(), "SENSOR", "one"))
    found = {one.name: one.at for one in DagsterPulse(on_storage).daemons()}
    assert (found["SENSOR"], found["SCHEDULER"]) == (NOON, None)


def test_a_sensor_has_the_last_tick_that_came_to_its_end_well(on_storage: DagsterInstance) -> None:
    later = NOON + timedelta(seconds=30)
    state_of("intake", on_storage, (TickStatus.SKIPPED, NOON), (TickStatus.STARTED, later))
    state_of("ship", on_storage, (TickStatus.SUCCESS, NOON), (TickStatus.FAILURE, later), every=3)
    state_of("young", on_storage, every=None)
    state_of("off", on_storage, status=InstigatorStatus.STOPPED)
    half, three = timedelta(seconds=30), timedelta(seconds=3)
    assert DagsterPulse(on_storage).sensors() == (
        SensorBeat("intake", True, half, NOON, False),
        SensorBeat("off", False, half, None, False),
        SensorBeat("ship", True, three, NOON, True),
        SensorBeat("young", True, half, None, False),
    )


@pytest.mark.parametrize("order", [("old", "new"), ("new", "old")])
def test_what_a_renamed_code_location_left_is_not_the_sensor_of_today(
    on_storage: DagsterInstance, order: tuple[str, str]
) -> None:
    ticked = {"old": NOON, "new": NOON + timedelta(days=1)}
    for location in order:
        tick = (TickStatus.SKIPPED, ticked[location])
        state_of("intake", on_storage, tick, location=location)
    (found,) = DagsterPulse(on_storage).sensors()
    assert found.ticked == ticked["new"]


def test_runs_on_their_way_are_told_with_their_environment_and_age(
    on_storage: DagsterInstance,
) -> None:
    begun = time.time()
    tags = {"flowmaster/environment": "production", "flowmaster/purpose": "ship"}
    on_storage.create_run_for_job(a_job, tags=tags, status=DagsterRunStatus.STARTING)
    on_storage.create_run_for_job(a_job, status=DagsterRunStatus.STARTED)
    on_storage.create_run_for_job(a_job, tags=tags, status=DagsterRunStatus.SUCCESS)
    started, starting = DagsterPulse(on_storage).active_runs()
    assert (starting.state, starting.environment, starting.purpose) == (
        "starting",
        "production",
        "ship",
    )
    assert (started.state, started.environment, started.purpose) == ("started", "", "")
    assert abs(starting.since.timestamp() - begun) < 60


def test_runs_that_failed_since_then_are_told_and_no_others(on_storage: DagsterInstance) -> None:
    tags = {"flowmaster/environment": "dev", "flowmaster/purpose": "delivery"}
    failed = on_storage.create_run_for_job(a_job, tags=tags, status=DagsterRunStatus.STARTED)
    on_storage.report_run_failed(failed)
    on_storage.create_run_for_job(a_job, tags=tags, status=DagsterRunStatus.CANCELED)
    now = datetime.now(UTC)
    (found,) = DagsterPulse(on_storage).failed_runs(now - timedelta(hours=1))
    assert (found.state, found.environment) == ("failure", "dev")
    assert abs((found.since - now).total_seconds()) < 60
    assert DagsterPulse(on_storage).failed_runs(now + timedelta(hours=1)) == ()


READS: dict[str, Callable[[DagsterPulse], Any]] = {
    "daemons": DagsterPulse.daemons,
    "sensors": DagsterPulse.sensors,
    "active_runs": DagsterPulse.active_runs,
    "failed_runs": lambda pulse: pulse.failed_runs(NOON),
}


@pytest.mark.parametrize("read", READS.values(), ids=READS)
def test_a_database_that_is_away_is_unreachable(
    tmp_path: Path, read: Callable[[DagsterPulse], Any]
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    with DagsterInstance.local_temp(str(home), {"telemetry": {"enabled": False}}) as instance:
        home.rename(home.with_name("away"))
        with pytest.raises(Unreachable, match="the database of Dagster gives no answer"):
            read(DagsterPulse(instance))
        home.with_name("away").rename(home)
        assert isinstance(read(DagsterPulse(instance)), tuple)
