"""Removing the old from Dagster's storage: what is evidence reads as before."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from dagster import (
    AssetMaterialization,
    AssetObservation,
    DagsterEvent,
    DagsterEventType,
    DagsterInstance,
    DagsterRun,
    DagsterRunStatus,
    job,
)
from dagster._core.definitions.run_request import InstigatorType
from dagster._core.events import AssetObservationData, StepMaterializationData
from dagster._core.remote_origin import (
    RegisteredCodeLocationOrigin,
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
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from flowmaster_delivery.adapters.dagster_history import DagsterHistory
from flowmaster_delivery.defs.retention import sweep_heartbeats, sweep_runs, sweep_ticks
from flowmaster_delivery.model.errors import Unreachable
from flowmaster_delivery.model.health import HealthObservation, HealthState
from flowmaster_delivery.model.promotion import Hold
from flowmaster_delivery.model.retention import Line, RetentionRule
from flowmaster_delivery.ports import Record
from flowmaster_delivery.settings import Settings
from tests.adapters import test_dagster_history as plain
from tests.adapters import test_dagster_history_of_verdicts as verdicts
from tests.adapters.test_dagster_history_away import READS
from tests.defs.conftest import SEAL_KEY
from tests.defs.lab import Lab
from tests.flows.conftest import Platform

RULE = RetentionRule()
LATER = timedelta(days=400)
RECORDS: tuple[Record, ...] = (
    plain.AN_IMAGE,
    plain.a_deployment(),
    verdicts.A_VERIFICATION,
    verdicts.A_MIGRATION,
    verdicts.AN_ORDER,
    verdicts.AN_INCIDENT,
    verdicts.AN_OVERRIDE,
    Hold("h1", "api", "production", "dana", "broken", verdicts.NOW),
)
"""One of every kind that a run may leave or a person may place."""


def later() -> datetime:
    return datetime.now(UTC) + LATER


@job
def a_job() -> None:
    """A job without steps."""


@pytest.fixture(params=["instance", "on_postgres"])
def stored(request: pytest.FixtureRequest) -> DagsterInstance:
    """In SQLite, as one machine has it, and in PostgreSQL."""
    made: DagsterInstance = request.getfixturevalue(request.param)
    return made


@pytest.fixture
def lab(stored: DagsterInstance, settings: Settings) -> Lab:
    made = Lab(stored, settings, Platform())
    made.platform.start()
    return made


def answers(history: DagsterHistory) -> dict[str, object]:
    """Everything that the history says, of every service and environment that tests speak of."""
    found: dict[str, object] = {name: read(history) for name, read in READS.items()}
    for service in ("api", "auth", "web", "api-gateway", "schema"):
        for place in ("dev", "staging", "production"):
            for read in ("images", "admissions", "deployments", "verifications", "migrations",
                         "canary_orders", "observations"):  # fmt: skip
                found[f"{read} {service} {place}"] = getattr(history, read)(service, place)
    return found


def launched(instance: DagsterInstance, status: DagsterEventType, **named: str) -> DagsterRun:
    """A run that ended without having begun."""
    run = instance.create_run_for_job(a_job, tags={f"flowmaster/{n}": v for n, v in named.items()})
    end(instance, run, status)
    return run


def end(instance: DagsterInstance, run: DagsterRun, status: DagsterEventType) -> None:
    event = DagsterEvent(event_type_value=status.value, job_name="a_job", message="ended")
    instance.report_dagster_event(event, run.run_id)


def said(lines: tuple[Line, ...]) -> dict[str, tuple[int, bool]]:
    return {line.why: (line.count, line.removed) for line in lines}


def test_runs_of_ours_that_recorded_something_or_say_why_they_were_refused_stay(lab: Lab) -> None:
    head = lab.platform.forge.push("platform", "develop", "c2", {"services/api": "api-2"})
    lab.platform.build(head, "api")
    lab.platform.history.record(Hold("h2", "api", "dev", "dana", "broken", lab.now))
    delivered = lab.run("dev", ("api",), ("image",), ship=True).run
    refused = lab.run("dev", ("api",), ("promotion",), ship=True).run
    asked = lab.run("staging", ("web",), ("promotion",)).run
    called_off = launched(lab.instance, DagsterEventType.RUN_CANCELED)
    turned_away = launched(lab.instance, DagsterEventType.RUN_FAILURE)
    for record in RECORDS:
        lab.platform.history.record(record)
    before = answers(lab.platform.history)  # type: ignore[arg-type]

    lines = sweep_runs(lab.instance, RULE, later(), remove=False)
    assert len(lab.instance.get_runs()) == 5, "a dry run removes nothing"
    assert said(lines) == {
        "called off before they began": (1, True),
        "refused before they began": (1, True),
        "only asked what would happen": (1, True),
        "evidence: they recorded what was done": (1, False),
        "evidence: they say why something was refused": (1, False),
    }
    assert sweep_runs(lab.instance, RULE, later(), remove=True) == lines
    left = {run.run_id for run in lab.instance.get_runs()}
    assert left == {delivered.run_id, refused.run_id}
    for gone in (asked, called_off, turned_away):
        assert not lab.instance.all_logs(gone.run_id)
    assert answers(lab.platform.history) == before  # type: ignore[arg-type]
    again = sweep_runs(lab.instance, RULE, later(), remove=True)
    assert [line.removed for line in again] == [False, False]


def test_what_is_young_stays(memory: DagsterInstance) -> None:
    launched(memory, DagsterEventType.RUN_CANCELED)
    young = datetime.now(UTC) + timedelta(days=89)
    assert said(sweep_runs(memory, RULE, young, remove=True)) == {"not 90 days old yet": (1, False)}
    assert len(memory.get_runs()) == 1


def test_what_has_not_ended_is_not_looked_at(memory: DagsterInstance) -> None:
    memory.create_run_for_job(a_job, status=DagsterRunStatus.STARTED)
    memory.create_run_for_job(a_job, status=DagsterRunStatus.NOT_STARTED)
    assert sweep_runs(memory, RULE, later(), remove=True) == ()
    assert len(memory.get_runs()) == 2


def test_the_last_commit_of_a_ref_keeps_its_runs_so_that_it_is_not_delivered_again(
    memory: DagsterInstance,
) -> None:
    def run_of(commit: str, ref: str = "develop") -> DagsterRun:
        named = {"environment": "dev", "repository": "platform", "ref": ref, "commit": commit}
        return launched(memory, DagsterEventType.RUN_FAILURE, **named)

    old, *last = run_of("c1"), run_of("c2"), run_of("c2"), run_of("c9", ref="other")
    sweep_runs(memory, RULE, later(), remove=True)
    assert {run.run_id for run in memory.get_runs()} == {run.run_id for run in last}
    assert memory.get_run_by_id(old.run_id) is None


def test_a_run_that_others_were_started_again_from_goes_after_them(
    memory: DagsterInstance,
) -> None:
    first = launched(memory, DagsterEventType.RUN_FAILURE)
    again = memory.create_run_for_job(
        a_job, tags={"dagster/parent_run_id": first.run_id, "dagster/root_run_id": first.run_id}
    )
    end(memory, again, DagsterEventType.RUN_FAILURE)
    sweep_runs(memory, RULE, later(), remove=True)
    assert [run.run_id for run in memory.get_runs()] == [first.run_id]
    sweep_runs(memory, RULE, later(), remove=True)
    assert memory.get_runs() == []


def test_a_run_that_began_to_change_a_service_is_evidence_of_that(memory: DagsterInstance) -> None:
    run = memory.create_run_for_job(a_job)
    began = DagsterEvent(
        event_type_value=DagsterEventType.STEP_START.value,
        job_name="a_job",
        step_key="api_gateway__deployment",
    )
    memory.report_dagster_event(began, run.run_id)
    end(memory, run, DagsterEventType.RUN_FAILURE)
    lines = sweep_runs(memory, RULE, later(), remove=True)
    assert said(lines) == {"evidence: they began to change a service": (1, False)}


Act = Callable[[DagsterInstance, DagsterHistory], None]


def _recorded_by_a_run(record: Record, begins: bool) -> Act:
    """As an asset's step does it: the event is the run's."""

    def act(instance: DagsterInstance, history: DagsterHistory) -> None:
        run = instance.create_run_for_job(a_job)
        if begins:
            end(instance, run, DagsterEventType.RUN_START)
        metadata = history.metadata_of(record)
        if begins:
            made = AssetMaterialization(["api", "deployment"], metadata=metadata, partition="dev")
            event, data = DagsterEventType.ASSET_MATERIALIZATION, StepMaterializationData(made, [])
        else:
            seen = AssetObservation(["api", "health"], metadata=metadata, partition="dev")
            event, data = DagsterEventType.ASSET_OBSERVATION, AssetObservationData(seen)
        said = DagsterEvent(
            event_type_value=event.value, job_name="a_job", event_specific_data=data
        )
        instance.report_dagster_event(said, run.run_id)
        end(instance, run, DagsterEventType.RUN_FAILURE)

    return act


def _recorded_by_a_person(record: Record) -> Act:
    return lambda _, history: history.record(record)


def _of_no_interest(status: DagsterEventType, began: bool) -> Act:
    def act(instance: DagsterInstance, _: DagsterHistory) -> None:
        run = instance.create_run_for_job(a_job)
        if began:
            end(instance, run, DagsterEventType.RUN_START)
        end(instance, run, status)

    return act


A_LOOK = HealthObservation("api", "dev", HealthState.HEALTHY, "d", "f", verdicts.NOW)
ACTS: tuple[Act, ...] = (
    *(_recorded_by_a_person(record) for record in RECORDS),
    _recorded_by_a_run(replace(plain.a_deployment(), service="api"), begins=True),
    _recorded_by_a_run(A_LOOK, begins=False),
    _of_no_interest(DagsterEventType.RUN_CANCELED, began=False),
    _of_no_interest(DagsterEventType.RUN_FAILURE, began=True),
    _of_no_interest(DagsterEventType.RUN_SUCCESS, began=True),
)


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(st.integers(0, len(ACTS) - 1), max_size=14))
def test_whatever_happened_the_history_says_the_same_afterwards(chosen: list[int]) -> None:
    with DagsterInstance.ephemeral(settings={"telemetry": {"enabled": False}}) as instance:
        history = DagsterHistory(instance, SEAL_KEY)
        for number in chosen:
            ACTS[number](instance, history)
        before, runs = answers(history), len(instance.get_runs())
        lines = sweep_runs(instance, RULE, later(), remove=True)
        assert answers(history) == before
        kept = sum(line.count for line in lines if not line.removed)
        assert (len(instance.get_runs()), sum(line.count for line in lines)) == (kept, runs)


def look(minutes: int, state: HealthState = HealthState.HEALTHY) -> HealthObservation:
    return replace(A_LOOK, at=verdicts.NOW + timedelta(minutes=minutes), state=state)


def test_old_looks_at_which_nothing_had_changed_go_and_nothing_else_does(
    stored: DagsterInstance, settings: Settings
) -> None:
    history = DagsterHistory(stored, SEAL_KEY)
    for record in RECORDS:
        history.record(record)
    bad = HealthState.DEGRADED
    for number, state in enumerate([HealthState.HEALTHY] * 5 + [bad] * 3):
        history.record(look(number, state))
    stored.report_runless_asset_event(AssetObservation(["api", "health"], partition="dev"))
    before = answers(history)
    soon = datetime.now(UTC) - timedelta(days=1)
    assert sweep_heartbeats(stored, settings, soon, remove=True).count == 0, "all are young"
    dry = sweep_heartbeats(stored, settings, later(), remove=False)
    assert (dry.count, answers(history)) == (3, before)
    assert sweep_heartbeats(stored, settings, later(), remove=True) == dry
    left = history.observations("api", "dev")
    assert [one.at.minute for one in left] == [7, 6, 5, 4, 0]
    after = answers(history)
    after["observations api dev"] = before["observations api dev"]
    assert after == before
    assert sweep_heartbeats(stored, settings, later(), remove=True).count == 0


def test_what_was_sealed_by_nobody_of_ours_is_left_alone(
    stored: DagsterInstance, settings: Settings
) -> None:
    stranger = DagsterHistory(stored, "another key that is long enough")
    for number in range(5):
        stranger.record(look(number))
    assert sweep_heartbeats(stored, settings, later(), remove=True).count == 0
    assert len(stranger.observations("api", "dev")) == 5


def test_a_storage_that_can_remove_no_event_says_so(
    memory: DagsterInstance, settings: Settings
) -> None:
    line = sweep_heartbeats(memory, settings, later(), remove=True)
    assert (line.count, line.removed) == (0, False)


def test_ticks_go_by_the_days_that_dagster_yaml_says_also_of_sensors_that_are_gone(
    stored: DagsterInstance,
) -> None:
    place = RemoteRepositoryOrigin(RegisteredCodeLocationOrigin("flowmaster"), "__repository__")
    origin = RemoteInstigatorOrigin(place, "a_sensor_of_old")
    stored.add_instigator_state(
        InstigatorState(
            origin, InstigatorType.SENSOR, InstigatorStatus.STOPPED, SensorInstigatorData()
        )
    )
    now = datetime.now(UTC)
    for days in (0, 5, 400):
        stored.create_tick(
            TickData(
                instigator_origin_id=origin.get_id(),
                instigator_name="a_sensor_of_old",
                instigator_type=InstigatorType.SENSOR,
                status=TickStatus.SKIPPED,
                timestamp=(now - timedelta(days=days)).timestamp(),
                selector_id=origin.get_selector().get_id(),
            )
        )
    assert sweep_ticks(stored, now, remove=False).count == 1
    assert len(_ticks(stored, origin)) == 3
    assert sweep_ticks(stored, now, remove=True).count == 1
    assert len(_ticks(stored, origin)) == 2


def _ticks(instance: DagsterInstance, origin: RemoteInstigatorOrigin) -> list[object]:
    return list(instance.get_ticks(origin.get_id(), origin.get_selector().get_id()))


def test_a_database_that_is_away_is_unreachable_and_no_empty_one(
    on_postgres: DagsterInstance,
) -> None:
    with on_postgres.event_log_storage.engine.begin() as connection:  # type: ignore[attr-defined]
        connection.execute(text("ALTER TABLE runs RENAME TO elsewhere"))
    with pytest.raises(Unreachable, match=r"gives no answer: .*runs"):
        sweep_runs(on_postgres, RULE, later(), remove=True)
