"""Deployment as an asset: what was admitted reaches the cluster, and nothing else does."""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import timedelta

import pytest
from dagster import AssetKey, DagsterInstance

from flowmaster_delivery.model.catalog import FreezeWindow, GateName, Service
from flowmaster_delivery.model.errors import Unreachable
from flowmaster_delivery.model.events import Event
from flowmaster_delivery.model.health import HealthState, ProbeResult
from flowmaster_delivery.model.incident import IncidentState
from flowmaster_delivery.model.outcome import Outcome
from flowmaster_delivery.model.promotion import Hold
from flowmaster_delivery.model.rollback import Action, RollbackRule, Trigger, TriggerRule
from flowmaster_delivery.model.rollout import (
    Method,
    PodProblem,
)
from flowmaster_delivery.model.safeguards import Safeguards
from flowmaster_delivery.settings import Settings
from tests.defs.lab import Lab, Ran
from tests.fakes.fake_cluster import FakeCluster
from tests.flows.conftest import NOW, Platform

CLUSTER = ("deployment", "health")


class DevLab(Lab):
    """A lab whose dev runs the first commit of every service."""

    @property
    def dev(self) -> FakeCluster:
        found = self.clusters["dev"]
        assert isinstance(found, FakeCluster)
        return found

    def service(self, name: str) -> Service:
        return self.platform.catalog.services[name]

    def push(self, *services: str) -> str:
        """A commit on develop that changes the services, built by CI."""
        files = {f"services/{name}": f"{name}-2" for name in services}
        head = self.platform.forge.push("platform", "develop", "c2", files)
        self.platform.build(head, *services)
        return head

    def digest(self, name: str) -> str:
        """What the cluster runs."""
        service = self.service(name)
        return self.dev.deployments[name].images[service.container_name].rpartition("@")[2]

    def built(self, name: str, commit: str) -> str:
        found = self.platform.registry.digest_of(self.service(name).image, commit[:8])
        assert found is not None
        return found.digest


def started(instance: DagsterInstance, settings: Settings, platform: Platform) -> DevLab:
    lab = DevLab(instance, settings, platform, {"dev": FakeCluster()})
    commit = platform.start()
    for name, service in platform.catalog.services.items():
        lab.dev.deploy(service, platform.catalog.reference(service, lab.built(name, commit)))
    return lab


@pytest.fixture
def lab(memory: DagsterInstance, settings: Settings) -> DevLab:
    return started(memory, settings, Platform())


def test_a_push_reaches_the_cluster_and_is_healthy(lab: DevLab) -> None:
    head = lab.push("api")
    ran = lab.run("dev", ("api",), ship=True, reason="a push")
    assert ran.status == "SUCCESS", ran.words
    assert ran.materialized == {
        f"api/{chapter}" for chapter in ("image", "promotion", "deployment", "health", "verified")
    }
    assert lab.digest("api") == lab.built("api", head)
    (record, *_) = lab.platform.history.deployments("api", "dev")
    assert (record.outcome, record.asked_by, record.reason) == (Outcome.SUCCESS, "dana", "a push")
    assert (record.run_id, record.commit) == (ran.run.run_id, head)
    (seen, *_) = lab.platform.history.observations("api", "dev")
    assert (seen.state, seen.digest) == (HealthState.HEALTHY, lab.built("api", head))


def test_the_same_again_touches_nothing(lab: DevLab) -> None:
    lab.push("api")
    lab.run("dev", ("api",), ship=True)
    ran = lab.run("dev", ("api",), ship=True)
    assert ran.status == "SUCCESS", ran.words
    assert lab.dev.calls.count("set_image") == 1
    assert lab.platform.history.deployments("api", "dev")[0].changed is False


def test_selecting_the_deployment_alone_goes_round_no_gate(lab: DevLab) -> None:
    lab.push("api")
    ran = lab.run("dev", ("api",), CLUSTER, ship=True)
    assert ran.status == "FAILURE"
    assert "nothing was admitted for api in dev" in ran.words
    assert "set_image" not in lab.dev.calls


def test_a_gate_that_closed_after_the_promotion_stops_the_deployment(lab: DevLab) -> None:
    lab.push("api")
    lab.run("dev", ("api",), ("image", "promotion"), ship=True)
    lab.platform.history.record(Hold("h1", "api", "dev", "devi", "it is broken", NOW))
    ran = lab.run("dev", ("api",), CLUSTER, ship=True)
    assert "the gate of api in dev is closed: hold" in ran.words
    assert "set_image" not in lab.dev.calls


def test_what_was_not_admitted_is_not_shipped_in_its_place(lab: DevLab) -> None:
    lab.push("api")
    lab.run("dev", ("api",), ("image", "promotion"), ship=True)
    ran = lab.run("dev", ("api",), CLUSTER, ship=True, commit="d" * 40)
    assert "dddddddd was not admitted for api in dev" in ran.words


def failed_rollout(lab: DevLab, *services: str) -> Ran:
    """A push whose new pods of the first service never come to run."""
    head = lab.push(*services)
    reference = lab.platform.catalog.reference(
        lab.service(services[0]), lab.built(services[0], head)
    )
    lab.dev.problems[reference] = PodProblem("api-new", "api", "InvalidImageName", "no such name")
    return lab.run("dev", services, ship=True)


def test_a_rollout_that_fails_shows_the_pods_reason_and_goes_back(lab: DevLab) -> None:
    first = lab.digest("api")
    ran = failed_rollout(lab, "api")
    assert ran.status == "FAILURE"
    assert "no such name" in ran.words
    assert "api in dev was rolled back (incident " in ran.words
    assert ran.materialized == {"api/image", "api/promotion"}
    back, failed, _ = lab.platform.history.deployments("api", "dev")
    assert (failed.outcome, back.outcome, back.method) == (
        Outcome.FAILURE,
        Outcome.SUCCESS,
        Method.ROLLBACK,
    )
    assert (back.digest, back.asked_by, lab.digest("api")) == (first, "flowmaster", first)
    (incident,) = lab.platform.history.incidents("dev")
    assert (incident.trigger, incident.state) == (Trigger.ROLLOUT, IncidentState.ROLLED_BACK)
    assert incident.run_id == ran.run.run_id


def test_people_are_told_of_a_failed_rollout_when_it_has_gone_back(lab: DevLab) -> None:
    """A chat server that is slow must not be waited for before."""
    first, tell, seen = lab.digest("api"), lab.platform.notifier.tell, list[str]()

    def told(event: Event) -> None:
        tell(event)
        if event.kind == "rollout_failed":
            seen.append(lab.digest("api"))

    lab.platform.notifier.tell = told  # type: ignore[method-assign]
    failed_rollout(lab, "api")
    assert seen == [first]


def test_dev_quarantines_the_bad_source_and_goes_on_with_the_next(lab: DevLab) -> None:
    failed_rollout(lab, "api")
    again = lab.run("dev", ("api",), ship=True)
    assert again.failed_checks("api") == {"hold": "ERROR"}
    lab.platform.forge.push("platform", "develop", "c3", {"services/api": "api-3"})
    lab.platform.build(lab.platform.forge.branches["platform"]["develop"], "api")
    ran = lab.run("dev", ("api",), ship=True)
    assert ran.status == "SUCCESS", ran.words


def test_every_incident_and_rollback_shows_its_report(lab: DevLab) -> None:
    failed_rollout(lab, "api")
    shown = [
        event.asset_observation.metadata["report"].value
        for event in lab.instance.fetch_observations(AssetKey(["incidents"]), limit=10).records
        if event.asset_observation
    ]
    assert str(shown[0]).startswith("# Incident ")
    assert "api in dev was rolled back" in str(shown[0])
    key = AssetKey(["api", "deployment"])
    (last, *_) = lab.instance.fetch_materializations(key, limit=1).records
    assert last.asset_materialization is not None
    assert "report" in last.asset_materialization.metadata


def test_a_failed_rollout_stays_as_it_is_where_policy_only_tells(
    memory: DagsterInstance, settings: Settings
) -> None:
    platform = Platform()
    rule = RollbackRule(triggers=(TriggerRule(Trigger.ROLLOUT, Action.NEVER),))
    environments = dict(platform.catalog.environments)
    environments["dev"] = replace(environments["dev"], safeguards=Safeguards(rollback=rule))
    platform.catalog = replace(platform.catalog, environments=environments)
    lab = started(memory, settings, platform)
    failed_rollout(lab, "api")
    failed, before = lab.platform.history.deployments("api", "dev")[:2]
    assert (failed.outcome, before.outcome) == (Outcome.FAILURE, Outcome.SUCCESS)
    assert lab.platform.history.holds() == ()
    (incident,) = lab.platform.history.incidents("dev")
    assert incident.state is IncidentState.LEFT


def test_a_service_that_is_not_on_the_cluster_says_so(lab: DevLab) -> None:
    lab.push("api")
    del lab.dev.deployments["api"]
    ran = lab.run("dev", ("api",), ship=True)
    assert "there is no Deployment api" in ran.words


def test_what_does_not_answer_is_not_healthy(lab: DevLab) -> None:
    lab.push("api")
    lab.dev.answers["api"] = ProbeResult("pod://api", 503, 0.01)
    ran = lab.run("dev", ("api",), ship=True)
    assert ran.status == "FAILURE"
    assert ran.failed_checks("api") == {"endpoint": "ERROR"}
    assert "api/deployment" in ran.materialized
    assert lab.platform.history.observations("api", "dev")[0].state is not HealthState.HEALTHY


def test_what_fails_its_verification_goes_back_in_the_same_run(lab: DevLab) -> None:
    first = lab.digest("api")
    lab.push("api")
    lab.dev.answers["api"] = ProbeResult("pod://api", 503, 0.01)
    lab.run("dev", ("api",), ship=True)
    assert lab.digest("api") == first
    (incident,) = lab.platform.history.incidents("dev")
    assert (incident.trigger, incident.state) == (Trigger.HEALTH, IncidentState.ROLLED_BACK)


def test_one_service_that_fails_stops_no_other(lab: DevLab) -> None:
    lab.push("api", "web")
    del lab.dev.deployments["api"]
    ran = lab.run("dev", ("api", "web"), ship=True)
    assert ran.status == "FAILURE"
    assert {"web/deployment", "web/health"} <= ran.materialized


def test_a_later_wave_is_stopped_by_a_failed_one(
    memory: DagsterInstance, settings: Settings
) -> None:
    platform = Platform()
    services = dict(platform.catalog.services)
    services["web"] = replace(services["web"], depends_on=("api",))
    platform.catalog = replace(platform.catalog, services=services)
    lab = started(memory, settings, platform)
    lab.push("api", "web")
    del lab.dev.deployments["api"]
    ran = lab.run("dev", ("api", "web"), ship=True)
    assert "stopped: an earlier wave failed: api/deployment" in ran.words
    assert "set_image" not in lab.dev.calls


def test_a_run_that_was_killed_is_continued_by_the_next(lab: DevLab) -> None:
    head = lab.push("api")
    lab.dev.kill_at = _number_of_the_patch(lab)
    lab.dev.kill_after_effect = True
    killed = lab.run("dev", ("api",), ship=True)
    assert killed.status == "FAILURE"
    lab.dev.revive()
    lab.dev.time.sleep(60)
    lab.dev.calls.clear()
    ran = lab.run("dev", ("api",), ship=True)
    assert ran.status == "SUCCESS", ran.words
    assert "set_image" not in lab.dev.calls
    assert lab.digest("api") == lab.built("api", head)


def _number_of_the_patch(lab: DevLab) -> int:
    """Calls of a rollout before it patches: two looks around the lease."""
    return len(lab.dev.calls) + ["workload", "acquire", "workload", "set_image"].index("set_image")


def test_a_rollback_goes_to_what_was_verified_before_and_leaves_a_hold(lab: DevLab) -> None:
    first = lab.digest("api")
    lab.push("api")
    lab.run("dev", ("api",), ship=True)
    ran = lab.run("dev", ("api",), CLUSTER, rollback_to="previous", reason="it is slow")
    assert ran.status == "SUCCESS", ran.words
    assert lab.digest("api") == first
    assert lab.platform.history.deployments("api", "dev")[0].method is Method.ROLLBACK
    (hold,) = lab.platform.history.holds()
    assert (hold.service, hold.environment, hold.author) == ("api", "dev", "dana")
    assert "it is slow" in hold.reason


def test_a_rollback_waits_for_neither_registry_nor_gitlab(lab: DevLab) -> None:
    lab.push("api")
    lab.run("dev", ("api",), ship=True)
    lab.platform.forge.broken["platform"] = Unreachable("gone")
    lab.platform.registry.images.clear()
    ran = lab.run("dev", ("api",), CLUSTER, rollback_to="previous", reason="it is slow")
    assert ran.status == "SUCCESS", ran.words


def test_a_freeze_keeps_no_rollback_back(lab: DevLab) -> None:
    lab.push("api")
    assert lab.run("dev", ("api",), ship=True).status == "SUCCESS"
    catalog = lab.platform.catalog
    frozen = replace(
        catalog.environments["dev"],
        gates=(*catalog.environments["dev"].gates, GateName.FREEZE),
        freezes=(FreezeWindow("all year", first_day=NOW.date(), until=NOW.date()),),
    )
    lab.platform.catalog = replace(catalog, environments={**catalog.environments, "dev": frozen})
    lab.__post_init__()
    lab.platform.build(
        lab.platform.forge.push("platform", "develop", "c3", {"services/api": "api-3"}), "api"
    )
    shipped = lab.run("dev", ("api",), ("image", "promotion"), ship=True)
    assert shipped.failed_checks("api") == {"freeze": "ERROR"}
    ran = lab.run("dev", ("api",), CLUSTER, rollback_to="previous", reason="it is slow")
    assert ran.status == "SUCCESS", ran.words
    assert lab.digest("api") == lab.built("api", "c1".ljust(40, "0"))


def test_a_rollback_to_a_version_that_never_ran_names_the_others(lab: DevLab) -> None:
    ran = lab.run("dev", ("api",), CLUSTER, rollback_to="v9.9.9", reason="it is slow")
    assert "there is no version of api deployed in dev 'v9.9.9'" in ran.words


def test_production_is_not_rolled_back_for_nobody(lab: DevLab) -> None:
    ran = lab.run("production", ("api",), CLUSTER, by=None, rollback_to="previous", reason="x")
    assert "needs to know who asks" in ran.words


def test_the_watch_records_changes_and_not_every_look(lab: DevLab) -> None:
    lab.clusters["staging"] = lab.clusters["production"] = lab.dev
    lab.tick("health_watch")
    before = lab.platform.history.observations("api", "dev")
    lab.dev.answers["api"] = ProbeResult("pod://api", 503, 0.01)
    lab.tick("health_watch")
    assert lab.platform.history.observations("api", "dev") == before


def test_the_watch_rolls_back_what_turns_bad_after_it_was_verified(lab: DevLab) -> None:
    lab.clusters["staging"] = lab.clusters["production"] = lab.dev
    first = lab.digest("api")
    lab.push("api")
    lab.run("dev", ("api",), ship=True)
    lab.now += timedelta(minutes=10)
    lab.dev.answers["api"] = ProbeResult("pod://api", 503, 0.01)
    for _ in range(3):
        lab.now += timedelta(seconds=20)
        lab.tick("health_watch")
    for thread in [t for t in threading.enumerate() if t.name == "rollback"]:
        thread.join(30)
    assert lab.digest("api") == first
    (incident,) = lab.platform.history.incidents("dev")
    assert (incident.trigger, incident.state) == (Trigger.HEALTH, IncidentState.ROLLED_BACK)
    assert [hold.service for hold in lab.platform.history.holds()] == ["api"]
