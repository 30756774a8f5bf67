"""Verifications, migrations, canary orders, incidents and overrides on a real Dagster instance."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from dagster import AssetKey, DagsterInstance, EventLogRecord

from flowmaster_delivery.adapters.dagster_history import DagsterHistory
from flowmaster_delivery.model.analysis import Figure, Judgement, Limit, Measurement
from flowmaster_delivery.model.canary import CanaryCommand, CanaryOrder
from flowmaster_delivery.model.catalog import GateName
from flowmaster_delivery.model.health import HealthObservation, HealthState
from flowmaster_delivery.model.incident import Incident, IncidentState, Moment
from flowmaster_delivery.model.migration import (
    Direction,
    Migration,
    MigrationPhase,
    MigrationRecord,
)
from flowmaster_delivery.model.outcome import Outcome
from flowmaster_delivery.model.promotion import Override
from flowmaster_delivery.model.rollback import Action, Trigger
from flowmaster_delivery.model.verification import CheckResult, Validation, Verification

NOW = datetime(2026, 1, 1, 12, 0, tzinfo=UTC)
DIGEST = "sha256:" + "a" * 64
MEASURED = Measurement(Figure.ERROR_RATE, "sum(x)", timedelta(minutes=5), NOW, 0.08, 1200.0)
JUDGED = Judgement(
    MEASURED,
    Limit(Figure.ERROR_RATE, 0.05, timedelta(minutes=5)),
    Outcome.FAILURE,
    "8 % of 1200 requests failed, 5 % may",
    threshold=0.05,
)
A_VERIFICATION = Verification(
    "api",
    "production",
    DIGEST,
    Outcome.SUCCESS,
    NOW,
    "run-1",
    (CheckResult(Validation.SMOKE, Outcome.SUCCESS, "login works", {"login": "200"}),),
    (JUDGED,),
)
A_MIGRATION = MigrationRecord(
    Migration("schema", DIGEST, 11, 12, MigrationPhase.EXPAND, True, ("up",), ("down",)),
    "production",
    Direction.UP,
    Outcome.SUCCESS,
    NOW,
    "sam",
    "run-1",
)
AN_ORDER = CanaryOrder("api", "production", CanaryCommand.ABORT, "sam", "too slow", NOW)
AN_INCIDENT = Incident(
    "i1",
    "production",
    ("api",),
    Trigger.ERROR_RATE,
    Action.AUTOMATIC,
    IncidentState.ROLLING_BACK,
    NOW,
    NOW,
    JUDGED.words,
    judgements=(JUDGED,),
    timeline=(Moment(NOW, "noticed"),),
)
AN_OVERRIDE = Override(
    "o1",
    GateName.SOAK,
    "production",
    "platform",
    "v1.2.3",
    "c" * 40,
    "sam",
    "customers cannot log in",
    NOW,
    NOW + timedelta(hours=4),
)


@pytest.fixture(params=["memory", "on_postgres"])
def instance(request: pytest.FixtureRequest) -> DagsterInstance:
    made: DagsterInstance = request.getfixturevalue(request.param)
    return made


@pytest.fixture
def history(instance: DagsterInstance) -> DagsterHistory:
    return DagsterHistory(instance, "a key that is long enough", page=2)


def test_each_comes_back_as_it_was(history: DagsterHistory) -> None:
    for record in (A_VERIFICATION, A_MIGRATION, AN_ORDER, AN_INCIDENT, AN_OVERRIDE):
        history.record(record)
    assert history.verifications("api", "production") == (A_VERIFICATION,)
    assert history.migrations("schema", "production") == (A_MIGRATION,)
    assert history.canary_orders("api", "production") == (AN_ORDER,)
    assert history.incidents("production") == (AN_INCIDENT,)
    assert history.overrides("platform", "v1.2.3") == (AN_OVERRIDE,)


def test_none_is_found_elsewhere(history: DagsterHistory) -> None:
    for record in (A_VERIFICATION, A_MIGRATION, AN_ORDER, AN_INCIDENT, AN_OVERRIDE):
        history.record(record)
    assert history.verifications("api", "staging") == ()
    assert history.verifications("web", "production") == ()
    assert history.migrations("schema", "staging") == ()
    assert history.canary_orders("web", "production") == ()
    assert history.incidents("staging") == ()
    assert history.overrides("platform", "v1.2.4") == ()


def test_an_incident_is_known_by_its_last_state(history: DagsterHistory) -> None:
    history.record(AN_INCIDENT)
    history.record(replace(AN_INCIDENT, id="i2", opened_at=NOW + timedelta(hours=1)))
    done = replace(AN_INCIDENT, state=IncidentState.ROLLED_BACK)
    history.record(done)
    assert [(i.id, i.state) for i in history.incidents("production")] == [
        ("i2", IncidentState.ROLLING_BACK),
        ("i1", IncidentState.ROLLED_BACK),
    ]
    assert [i.id for i in history.incidents("production", limit=1)] == ["i1"]


def test_a_verification_that_failed_is_on_record_and_no_way_back(
    history: DagsterHistory, instance: DagsterInstance
) -> None:
    failed = replace(A_VERIFICATION, outcome=Outcome.FAILURE, at=NOW + timedelta(hours=1))
    history.record(A_VERIFICATION)
    history.record(failed)
    assert history.verifications("api", "production") == (failed, A_VERIFICATION)
    (materialized,) = instance.fetch_materializations(AssetKey(["api", "verified"]), 10).records
    assert history.read(Verification, _metadata_of(materialized)) == A_VERIFICATION


def test_one_is_found_without_reading_what_the_watch_saw(
    history: DagsterHistory, instance: DagsterInstance
) -> None:
    history.record(A_VERIFICATION)
    for minutes in range(20):
        at = NOW + timedelta(minutes=minutes)
        history.record(HealthObservation("api", "production", HealthState.HEALTHY, DIGEST, "f", at))
    assert history.verifications("api", "production", limit=1) == (A_VERIFICATION,)
    assert not instance.fetch_observations(AssetKey(["api", "verified"]), 10).records


def _metadata_of(event: EventLogRecord) -> Mapping[str, object]:
    assert event.asset_materialization is not None
    return event.asset_materialization.metadata
