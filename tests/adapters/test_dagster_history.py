"""The history on a real Dagster instance: what was recorded is read, what was forged is not."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from dagster import (
    AssetKey,
    AssetMaterialization,
    AssetObservation,
    AssetRecordsFilter,
    DagsterInstance,
    EventRecordsResult,
    MetadataValue,
)

from flowmaster_delivery.adapters.dagster_history import RECORD_KEY, DagsterHistory
from flowmaster_delivery.model.health import HealthObservation, HealthState
from flowmaster_delivery.model.image import ImageRecord, Origin
from flowmaster_delivery.model.outcome import Outcome
from flowmaster_delivery.model.promotion import (
    Admission,
    Approval,
    ApprovalSource,
    Candidate,
    Hold,
    ReleaseSeen,
)
from flowmaster_delivery.model.rollout import (
    DeploymentRecord,
    Method,
    PodProblem,
)

KEY = "a key that is long enough"
NOW = datetime(2026, 1, 1, 12, 0, tzinfo=UTC)
DIGEST = "sha256:" + "a" * 64


@pytest.fixture(params=["memory", "on_postgres"])
def instance(request: pytest.FixtureRequest) -> DagsterInstance:
    made: DagsterInstance = request.getfixturevalue(request.param)
    return made


@pytest.fixture
def history(instance: DagsterInstance) -> DagsterHistory:
    return DagsterHistory(instance, KEY, page=2)


def a_deployment(outcome: Outcome = Outcome.SUCCESS, minutes: int = 0) -> DeploymentRecord:
    at = NOW + timedelta(minutes=minutes)
    return DeploymentRecord(
        service="api-gateway",
        environment="dev",
        method=Method.ROLLOUT,
        outcome=outcome,
        digest=DIGEST,
        previous_digest=None,
        fingerprint="f",
        commit="c" * 40,
        started_at=at,
        finished_at=at,
        asked_by="dana",
        problems=(PodProblem("p", "c", "ImagePullBackOff", "no such image", 2, 1),),
    )


AN_IMAGE = ImageRecord(
    "api-gateway", "dev", DIGEST, "f", "c" * 40, "b" * 40, "develop", Origin.BUILT, NOW, size=3
)
AN_OBSERVATION = HealthObservation(
    "api-gateway", "dev", HealthState.HEALTHY, DIGEST, "f", NOW, evidence={"/health": "200"}
)
A_HOLD = Hold("h1", "api-gateway", "production", "dana", "broken", NOW)
AN_APPROVAL = Approval(
    "platform", "v1.2.3", "c" * 40, {"api-gateway": DIGEST}, "dana", 7, ApprovalSource.COMMAND, NOW
)
A_RELEASE = ReleaseSeen("platform", "v1.2.3", "c" * 40, NOW, images={"api-gateway": DIGEST})
AN_ADMISSION = Admission(
    Candidate("api-gateway", "dev", "platform", "c" * 40, DIGEST, "f", "develop"),
    ship=True,
    asked_by="dana",
    reason="",
    at=NOW,
)


def test_every_kind_of_record_comes_back_as_it_was(history: DagsterHistory) -> None:
    deployment = a_deployment()
    for record in (AN_IMAGE, AN_ADMISSION, deployment, AN_OBSERVATION, A_HOLD):
        history.record(record)
    history.record(AN_APPROVAL)
    history.record(A_RELEASE)
    assert history.images("api-gateway", "dev") == (AN_IMAGE,)
    assert history.admissions("api-gateway", "dev") == (AN_ADMISSION,)
    assert history.deployments("api-gateway", "dev") == (deployment,)
    assert history.observations("api-gateway", "dev") == (AN_OBSERVATION,)
    assert history.holds() == (A_HOLD,)
    assert history.approvals("platform", "v1.2.3") == (AN_APPROVAL,)
    assert history.releases("platform") == (A_RELEASE,)


def test_other_services_environments_and_versions_are_not_mixed_in(
    history: DagsterHistory,
) -> None:
    for record in (AN_IMAGE, AN_OBSERVATION, AN_APPROVAL, A_RELEASE):
        history.record(record)
    assert history.images("api-gateway", "staging") == ()
    assert history.images("auth-service", "dev") == ()
    assert history.observations("api-gateway", "staging") == ()
    assert history.approvals("platform", "v1.2.4") == ()
    assert history.releases("frontend") == ()


def test_a_failed_deployment_is_no_materialization_but_on_record(
    instance: DagsterInstance, history: DagsterHistory
) -> None:
    failed = a_deployment(Outcome.FAILURE, minutes=1)
    history.record(a_deployment())
    history.record(failed)
    assert history.deployments("api-gateway", "dev") == (failed, a_deployment())
    key = AssetKey(["api-gateway", "deployment"])
    assert len(instance.fetch_materializations(key, limit=10).records) == 1


def test_what_is_reported_by_hand_is_ignored(
    instance: DagsterInstance, history: DagsterHistory
) -> None:
    history.record(AN_IMAGE)
    for metadata in ({}, {RECORD_KEY: MetadataValue.text("{}")}, {RECORD_KEY: 3}):
        instance.report_runless_asset_event(
            AssetMaterialization(["api-gateway", "image"], partition="dev", metadata=metadata)
        )
    assert history.images("api-gateway", "dev") == (AN_IMAGE,)


def test_a_record_sealed_with_another_key_is_ignored(instance: DagsterInstance) -> None:
    DagsterHistory(instance, "another key, as long as that").record(A_HOLD)
    assert DagsterHistory(instance, KEY).holds() == ()


def test_a_sealed_record_that_was_edited_is_ignored(
    instance: DagsterInstance, history: DagsterHistory
) -> None:
    metadata = dict(history.metadata_of(AN_APPROVAL))
    text = str(metadata[RECORD_KEY].value).replace("dana", "devi")
    metadata[RECORD_KEY] = MetadataValue.text(text)
    instance.report_runless_asset_event(
        AssetObservation(["release", "platform"], partition="v1.2.3", metadata=metadata)
    )
    assert history.approvals("platform", "v1.2.3") == ()


def test_a_sealed_deployment_that_is_reported_again_changes_nothing(
    instance: DagsterInstance, history: DagsterHistory
) -> None:
    first, second = a_deployment(), a_deployment(minutes=1)
    history.record(first)
    history.record(second)
    history.record(first)
    assert history.deployments("api-gateway", "dev") == (second, first)


def test_a_released_hold_stays_released_when_its_placing_is_reported_again(
    history: DagsterHistory,
) -> None:
    released = replace(A_HOLD, released_by="devi", released_at=NOW + timedelta(hours=1))
    for record in (A_HOLD, released, A_HOLD):
        history.record(record)
    assert history.holds() == (released,)


def test_observations_are_cut_at_a_time(history: DagsterHistory) -> None:
    now = datetime.now(UTC)
    old = replace(AN_OBSERVATION, at=now - timedelta(hours=2))
    new = replace(AN_OBSERVATION, at=now)
    history.record(old)
    history.record(new)
    assert history.observations("api-gateway", "dev") == (new, old)
    found = history.observations("api-gateway", "dev", since=now - timedelta(hours=1))
    assert found == (new,)


def test_a_hold_behind_many_others_is_found(history: DagsterHistory) -> None:
    history.record(A_HOLD)
    for number in range(5):
        history.record(replace(A_HOLD, id=f"x{number}"))
    assert A_HOLD in history.holds()


def test_more_is_read_than_dagster_gives_at_once(history: DagsterHistory) -> None:
    seen = [replace(AN_OBSERVATION, at=NOW + timedelta(minutes=n)) for n in range(7)]
    for observation in seen:
        history.record(observation)
    newest = tuple(reversed(seen))
    assert history.observations("api-gateway", "dev", limit=20_000) == newest
    assert history.observations("api-gateway", "dev", limit=5) == newest[:5]


def test_another_process_reads_what_this_one_wrote(tmp_path: Path) -> None:
    with DagsterInstance.local_temp(str(tmp_path)) as instance:
        DagsterHistory(instance, KEY).record(A_HOLD)
        script = (
            "import sys; from dagster import DagsterInstance\n"
            "from flowmaster_delivery.adapters.dagster_history import DagsterHistory\n"
            "with DagsterInstance.local_temp(sys.argv[1]) as i:\n"
            "    print(DagsterHistory(i, sys.argv[2]).holds()[0].id)"
        )
        command = [sys.executable, "-c", script, str(tmp_path), KEY]
        done = subprocess.run(command, capture_output=True, text=True, timeout=50)
    assert done.stdout.strip() == "h1", done.stderr


def test_what_is_recorded_outside_of_runs_can_be_read_by_people(
    instance: DagsterInstance, history: DagsterHistory
) -> None:
    history.record(replace(a_deployment(), version="v1.2.3", message="1 of 1"), shown="# Report")
    found = instance.fetch_materializations(AssetKey(["api-gateway", "deployment"]), limit=1)
    event = found.records[0].asset_materialization
    assert event is not None
    told = {name: value.value for name, value in event.metadata.items()}
    assert told["version"] == "v1.2.3"
    assert told["outcome"] == "success"
    assert told["message"] == "1 of 1"
    assert list(told).index("digest") < list(told).index("report") < list(told).index(RECORD_KEY)
    assert "previous digest" not in told


def test_looks_carry_nothing_but_their_record(
    instance: DagsterInstance, history: DagsterHistory
) -> None:
    history.record(
        HealthObservation("api-gateway", "dev", HealthState.HEALTHY, DIGEST, "f", NOW, "fine")
    )
    found = instance.fetch_observations(AssetKey(["api-gateway", "health"]), limit=1)
    event = found.records[0].asset_observation
    assert event is not None
    assert len(event.metadata) == 2


def test_whoever_wants_one_reads_a_few_and_no_whole_log(
    instance: DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    history, read = DagsterHistory(instance, KEY), list[int]()
    for minutes in range(8):
        history.record(
            ReleaseSeen("platform", f"v1.0.{minutes}", "c" * 40, NOW + timedelta(minutes=minutes))
        )
    fetch = instance.fetch_observations

    def counted(where: AssetRecordsFilter, limit: int, cursor: str | None) -> EventRecordsResult:
        found = fetch(where, limit, cursor)
        read.append(len(found.records))
        return found

    monkeypatch.setattr(instance, "fetch_observations", counted)
    (newest,) = history.releases("platform", limit=1)
    assert newest.version == "v1.0.7"
    assert sum(read) == 2
    assert len(history.releases("platform", limit=5)) == 5
