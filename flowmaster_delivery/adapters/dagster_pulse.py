"""The pulse of Dagster's machinery: heartbeats of its loops, ticks of sensors, runs on their way.

By public methods of the instance, and a number of queries that does not grow with what is stored.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from dagster import DagsterInstance, DagsterRunStatus, RunRecord, RunsFilter
from dagster._core.definitions.run_request import InstigatorType
from dagster._core.scheduler.instigation import (
    InstigatorState,
    SensorInstigatorData,
    TickStatus,
)

from flowmaster_delivery.adapters.dagster_asking import asked
from flowmaster_delivery.model.pulse import DaemonBeat, RunSeen, SensorBeat

MOST_RUNS = 1_000
UNKNOWN_INTERVAL = 30
"""Seconds between two ticks of a sensor that names no interval: Dagster's default."""
ENVIRONMENT = "flowmaster/environment"
PURPOSE = "flowmaster/purpose"
ACTIVE = (
    DagsterRunStatus.NOT_STARTED,
    DagsterRunStatus.QUEUED,
    DagsterRunStatus.STARTING,
    DagsterRunStatus.STARTED,
    DagsterRunStatus.CANCELING,
)
WELL = (TickStatus.SUCCESS, TickStatus.SKIPPED)


class DagsterPulse:
    """Implements `ports.Pulse`."""

    def __init__(self, instance: DagsterInstance) -> None:
        self._instance = instance

    def daemons(self) -> tuple[DaemonBeat, ...]:
        with asked("the heartbeats of the daemon could not be read"):
            beats = self._instance.get_daemon_heartbeats()
        needed = self._instance.get_required_daemon_types()
        return tuple(
            DaemonBeat(name, _time(beats[name].timestamp) if name in beats else None)
            for name in sorted(needed)
        )

    def sensors(self) -> tuple[SensorBeat, ...]:
        with asked("the ticks of the sensors could not be read"):
            states = self._instance.all_instigator_state(instigator_type=InstigatorType.SENSOR)
            return _newest(self._sensor(state) for state in states)

    def active_runs(self) -> tuple[RunSeen, ...]:
        with asked("the runs could not be read"):
            records = self._instance.get_run_records(
                RunsFilter(statuses=list(ACTIVE)), limit=MOST_RUNS
            )
        return tuple(_seen(record, record.create_timestamp.timestamp()) for record in records)

    def failed_runs(self, since: datetime) -> tuple[RunSeen, ...]:
        failed = RunsFilter(statuses=[DagsterRunStatus.FAILURE], updated_after=since)
        with asked("the runs could not be read"):
            records = self._instance.get_run_records(failed, limit=MOST_RUNS)
        ended = [(r, r.end_time or r.update_timestamp.timestamp()) for r in records]
        return tuple(_seen(record, at) for record, at in ended if at >= since.timestamp())

    def _sensor(self, state: InstigatorState) -> SensorBeat:
        of = state.instigator_origin_id, state.selector_id
        newest = self._instance.get_ticks(*of, limit=1)
        well = self._instance.get_ticks(*of, limit=1, statuses=list(WELL))
        told = state.instigator_data
        every = told.min_interval if isinstance(told, SensorInstigatorData) else None
        return SensorBeat(
            name=state.instigator_name,
            running=state.is_running,
            every=timedelta(seconds=every or UNKNOWN_INTERVAL),
            ticked=_time(well[0].timestamp) if well else None,
            failing=bool(newest) and newest[0].status is TickStatus.FAILURE,
        )


def _newest(sensors: Iterable[SensorBeat]) -> tuple[SensorBeat, ...]:
    """One of each name: a code location that was renamed leaves its sensors behind."""
    found: dict[str, SensorBeat] = {}
    for one in sensors:
        known = found.get(one.name)
        if known is None or (one.ticked is not None and not _is_newer(known, one)):
            found[one.name] = one
    return tuple(sorted(found.values(), key=lambda one: one.name))


def _is_newer(known: SensorBeat, other: SensorBeat) -> bool:
    return known.ticked is not None and other.ticked is not None and known.ticked > other.ticked


def _seen(record: RunRecord, since: float) -> RunSeen:
    run = record.dagster_run
    return RunSeen(
        state=run.status.value.lower(),
        environment=run.tags.get(ENVIRONMENT, ""),
        purpose=run.tags.get(PURPOSE, ""),
        since=_time(since),
    )


def _time(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
