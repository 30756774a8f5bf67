"""The port `Cluster` against the sandbox's Kubernetes and against a real API server."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest

from flowmaster_delivery.adapters.kubernetes import KubernetesClusters
from flowmaster_delivery.adapters.kubernetes.access import connect
from flowmaster_delivery.adapters.kubernetes.api import AlreadyThere, Api
from flowmaster_delivery.flows.goal import Asked, Pace
from flowmaster_delivery.flows.health import look_at
from flowmaster_delivery.flows.incidents.people import Wish, by_person
from flowmaster_delivery.flows.incidents.taking_back import carried_out, close
from flowmaster_delivery.flows.rollout import roll_out
from flowmaster_delivery.flows.work import Work
from flowmaster_delivery.model.catalog import Catalog, Environment, Kind, RefKind, RefRule, Service
from flowmaster_delivery.model.errors import Denied, NotFound, Permanent, Refused, Superseded
from flowmaster_delivery.model.health import HealthObservation, HealthState
from flowmaster_delivery.model.outcome import Outcome
from flowmaster_delivery.model.promotion import Candidate
from flowmaster_delivery.model.rollout import (
    DeploymentRecord,
    Workload,
)
from flowmaster_delivery.policy.rights import rights_of
from flowmaster_delivery.ports import Cluster, Ports
from tests.builders import a_catalog, a_service
from tests.contracts.accounts import Account
from tests.contracts.clusters import CONTEXT, MANIFEST_UNKNOWN, Target
from tests.fakes.fake_audit import FakeAudit
from tests.fakes.fake_forge import FakeForge
from tests.fakes.fake_history import FakeHistory
from tests.fakes.fake_metrics import FakeMetrics
from tests.fakes.fake_notifier import FakeNotifier
from tests.fakes.fake_probe import FakeProbe
from tests.fakes.fake_registry import FakeRegistry

KNOWN = (
    *(a_service(name) for name in ("api", "web", "api-gateway", "ghost")),
    a_service("migrate", kind=Kind.JOB),
    a_service("monitoring", kind=Kind.MANIFESTS, applies=("configmaps",)),
)
"""What the catalog has, as far as rights are concerned."""
REGISTRY = "http://registry.test:5000"


@dataclass
class World:
    """One namespace of its own on a running cluster."""

    target: Target
    account: Account
    """Whose rights `cluster` has: those that the platform needs there."""
    api: Api
    cluster: Cluster
    environment: Environment
    services: dict[str, Service]
    ports: Ports
    history: FakeHistory

    @property
    def catalog(self) -> Catalog:
        name = self.environment.name
        return Catalog("test", "", REGISTRY, {}, {name: self.environment}, self.services)

    def reference(self, digest: str) -> str:
        return f"registry.test:5000/group/api@{digest}"

    def deploy(self, name: str, digest: str, **spec: object) -> Service:
        """A Deployment with a sidecar, and the catalog's service for it; returns when it runs."""
        containers = [
            {"name": "app", "image": self.reference(digest)},
            {"name": "proxy", "image": f"proxy@{a_digest()}"},
        ]
        labels = {"app": name}
        body = {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": name},
            "spec": {
                "replicas": 1,
                "selector": {"matchLabels": labels},
                "template": {"metadata": {"labels": labels}, "spec": {"containers": containers}},
                **spec,
            },
        }
        path = f"/apis/apps/v1/namespaces/{self.environment.namespace}/deployments"
        self.api.once("POST", path, body=body)
        service = Service(name, Kind.DEPLOYMENT, "r", name, "group/api", container="app", port=8080)
        self.services[name] = service
        await_until(lambda: self.cluster.workload(service).available == 1)
        return service

    def candidate(self, service: Service, digest: str) -> Candidate:
        return Candidate(
            service.name, self.environment.name, "r", "c" * 40, digest, f"fp-{digest[7:12]}", "main"
        )

    def roll_out(self, service: Service, digest: str, run: str = "run-1") -> DeploymentRecord:
        record = roll_out(
            self.candidate(service, digest),
            self.catalog,
            self.ports,
            run_id=run,
            asked_by="jane",
            reason="",
            pace=Pace(clock),
        )
        self.history.record(record)
        return record

    def roll_back(self, service: Service, to: str = "previous") -> DeploymentRecord:
        asked = Asked("run-back", "jane", "it is broken")
        work = Work(self.catalog, self.ports, asked, Pace(clock), aside=lambda call: call())
        incident = by_person(service, self.environment, Wish(to), work)
        record = carried_out(incident, work)
        self.history.record(record)
        close(incident, record, work)
        return record

    def seen_healthy(self, service: Service, digest: str) -> None:
        self.history.record(
            HealthObservation(
                service.name, self.environment.name, HealthState.HEALTHY, digest, "fp", clock()
            )
        )


def clock() -> datetime:
    return datetime.now(UTC)


def a_digest() -> str:
    return f"sha256:{uuid.uuid4().hex}{uuid.uuid4().hex}"


def await_until(true: Callable[[], bool], seconds: float = 20.0) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, f"not true after {seconds} s"
        time.sleep(0.03)


@pytest.fixture
def world(target: Target) -> Iterator[World]:
    namespace = f"test-{uuid.uuid4().hex[:8]}"
    api = Api(connect(target.kubeconfig, CONTEXT))
    body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}}
    api.once("POST", "/api/v1/namespaces", body=body)
    environment = Environment(
        "dev",
        namespace,
        RefRule(RefKind.BRANCH, "develop"),
        context=CONTEXT,
        rollout_timeout=timedelta(seconds=20),
    )
    services: dict[str, Service] = {}
    known = a_catalog(services=KNOWN, environments=[environment])
    account = target.account(namespace, rights_of(environment, known, inside=False))
    clusters = KubernetesClusters(account.kubeconfig)
    history = FakeHistory()
    ports = Ports(
        FakeForge(),
        FakeRegistry(),
        clusters,
        FakeProbe(),
        history,
        FakeNotifier(),
        FakeMetrics(),
        FakeAudit(),
    )
    yield World(target, account, api, clusters(environment), environment, services, ports, history)
    clusters.close()
    api.close()


def test_a_workload_is_read_with_its_images_and_its_newest_template(world: World) -> None:
    digest = a_digest()
    service = world.deploy("api", digest)
    found = world.cluster.workload(service)
    assert found.images["app"] == world.reference(digest)
    assert set(found.images) == {"app", "proxy"}
    assert (found.revision, found.desired, found.updated, found.total) == (1, 1, 1, 1)
    assert found.observed_generation == found.generation == 1
    [pod] = world.cluster.pods(service, found.template_hash)
    assert pod.ready
    assert pod.template_hash == found.template_hash


def test_a_pod_says_which_digest_really_runs(world: World) -> None:
    digest = a_digest()
    world.deploy("api", digest)
    clusters = KubernetesClusters(world.account.kubeconfig, world.services.values())
    [pod] = clusters(world.environment).all_pods()["api"]
    clusters.close()
    assert pod.digest == digest


def test_a_service_that_is_not_there_is_named(world: World) -> None:
    absent = Service("ghost", Kind.DEPLOYMENT, "r", "ghost", "group/ghost")
    with pytest.raises(NotFound, match="no Deployment ghost in namespace test-"):
        world.cluster.workload(absent)


def test_setting_the_image_leaves_the_sidecar_alone(world: World) -> None:
    service = world.deploy("api", a_digest())
    before = settled(world, service)
    wanted = world.reference(a_digest())
    after = world.cluster.set_image(
        service,
        wanted,
        resource_version=before.resource_version,
        annotations={"flowmaster.ai/run": "run-1"},
    )
    assert after.images == {**before.images, "app": wanted}
    assert after.generation == before.generation + 1
    assert after.annotations["flowmaster.ai/run"] == "run-1"


def test_a_write_on_an_old_version_is_superseded(world: World) -> None:
    service = world.deploy("api", a_digest())
    before = settled(world, service)
    world.cluster.annotate(
        service, resource_version=before.resource_version, annotations={"flowmaster.ai/x": "1"}
    )
    with pytest.raises(Superseded):
        world.cluster.set_image(
            service,
            world.reference(a_digest()),
            resource_version=before.resource_version,
            annotations={},
        )
    assert world.cluster.workload(service).images == before.images


def test_annotating_makes_no_new_revision_and_none_takes_an_annotation_away(world: World) -> None:
    service = world.deploy("api", a_digest())
    before = settled(world, service)
    noted = world.cluster.annotate(
        service, resource_version=before.resource_version, annotations={"flowmaster.ai/x": "1"}
    )
    assert (noted.revision, noted.images) == (before.revision, before.images)
    read = settled(world, service)
    gone = world.cluster.annotate(
        service, resource_version=read.resource_version, annotations={"flowmaster.ai/x": None}
    )
    assert "flowmaster.ai/x" in noted.annotations
    assert "flowmaster.ai/x" not in gone.annotations


def test_every_workload_and_pod_comes_in_one_look(world: World) -> None:
    for name in ("api", "web", "api-gateway"):
        world.deploy(name, a_digest())
    assert set(world.cluster.workloads()) == {"api", "web", "api-gateway"}
    pods = world.cluster.all_pods()
    assert {name: len(found) for name, found in pods.items()} == {
        "api": 1,
        "web": 1,
        "api-gateway": 1,
    }
    assert all(w.template_hash for w in world.cluster.workloads().values())


def test_waiting_ends_as_soon_as_something_changes(world: World) -> None:
    service = world.deploy("api", a_digest())
    seen = settled(world, service)
    started = time.monotonic()
    timer = threading.Timer(
        0.3,
        lambda: world.cluster.annotate(
            service, resource_version=seen.resource_version, annotations={"flowmaster.ai/x": "1"}
        ),
    )
    timer.start()
    world.cluster.wait_for_change(service, seen.resource_version, 10.0)
    timer.join()
    assert 0.2 < time.monotonic() - started < 3.0


def test_waiting_ends_at_its_time_when_nothing_changes(world: World) -> None:
    service = world.deploy("api", a_digest())
    seen = settled(world, service)
    started = time.monotonic()
    world.cluster.wait_for_change(service, seen.resource_version, 0.5)
    assert 0.4 < time.monotonic() - started < 2.0


def test_a_change_between_two_waits_is_not_missed(world: World) -> None:
    service = world.deploy("api", a_digest())
    seen = settled(world, service)
    world.cluster.annotate(
        service, resource_version=seen.resource_version, annotations={"flowmaster.ai/x": "1"}
    )
    time.sleep(0.3)
    started = time.monotonic()
    world.cluster.wait_for_change(service, seen.resource_version, 5.0)
    assert time.monotonic() - started < 1.0


def test_no_thread_stays_behind(world: World) -> None:
    before = set(threading.enumerate())
    clusters = KubernetesClusters(world.account.kubeconfig)
    absent = Service("ghost", Kind.DEPLOYMENT, "r", "ghost", "group/ghost")
    clusters(world.environment).wait_for_change(absent, "", 0.3)
    assert set(threading.enumerate()) > before
    started = time.monotonic()
    clusters.close()
    assert set(threading.enumerate()) == before
    assert time.monotonic() - started < 3.0


def settled(world: World, service: Service) -> Workload:
    """The workload once its watch runs and nothing changes any more."""
    while True:
        seen = world.cluster.workload(service)
        started = time.monotonic()
        world.cluster.wait_for_change(service, seen.resource_version, 0.4)
        if time.monotonic() - started > 0.35:
            return world.cluster.workload(service)


def test_a_held_lease_is_refused_by_the_holders_name(world: World) -> None:
    world.cluster.acquire("api", "run-1", preempt=False, ttl=30)
    with pytest.raises(Refused, match="being changed by run-1"):
        world.cluster.acquire("api", "run-2", preempt=False, ttl=30)


def test_a_rollback_takes_a_held_lease_with_the_next_token(world: World) -> None:
    first = world.cluster.acquire("api", "run-1", preempt=False, ttl=30)
    second = world.cluster.acquire("api", "run-2", preempt=True, ttl=30)
    assert second.token == first.token + 1
    with pytest.raises(Superseded, match="run-2 has taken over"):
        world.cluster.renew(first, 30)
    world.cluster.renew(second, 30)


def test_an_expired_lease_may_be_taken(world: World) -> None:
    first = world.cluster.acquire("api", "run-1", preempt=False, ttl=1)
    time.sleep(1.2)
    assert world.cluster.acquire("api", "run-2", preempt=False, ttl=30).token > first.token


def test_tokens_grow_across_releases_and_a_stale_release_frees_nobody_elses(world: World) -> None:
    first = world.cluster.acquire("api", "run-1", preempt=False, ttl=30)
    world.cluster.release(first)
    second = world.cluster.acquire("api", "run-2", preempt=False, ttl=30)
    assert second.token > first.token
    world.cluster.release(first)
    with pytest.raises(Refused, match="run-2"):
        world.cluster.acquire("api", "run-3", preempt=False, ttl=30)


def test_of_many_who_want_a_lease_one_gets_it(world: World) -> None:
    got: list[int] = []

    def try_it(number: int) -> None:
        try:
            got.append(world.cluster.acquire("api", f"run-{number}", preempt=False, ttl=30).token)
        except Refused:
            return

    threads = [threading.Thread(target=try_it, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(got) == 1


def test_creating_what_is_there_is_not_a_conflict_of_versions(world: World) -> None:
    world.deploy("api", a_digest())
    with pytest.raises(AlreadyThere):
        world.deploy("api", a_digest())


def test_a_job_is_run_once_per_name_and_says_how_it_ended(world: World) -> None:
    service = Service("migrate", Kind.JOB, "r", "db", "group/api", container="app")
    digest = a_digest()
    assert world.cluster.run_job(service, world.reference(digest), "migrate-1", 20)[0]
    jobs = f"/apis/batch/v1/namespaces/{world.environment.namespace}/jobs/migrate-1"
    before = world.api.get(jobs)["metadata"]["uid"]
    assert world.cluster.run_job(service, world.reference(a_digest()), "migrate-1", 20)[0]
    assert world.api.get(jobs)["metadata"]["uid"] == before


def test_a_job_that_fails_says_so(world: World) -> None:
    service = Service("migrate", Kind.JOB, "r", "db", "group/api", container="app")
    digest = a_digest()
    world.target.fare(digest, "crash", "column exists already")
    succeeded, said = world.cluster.run_job(service, world.reference(digest), "migrate-2", 20)
    assert not succeeded
    assert "column exists already" in said


def test_a_job_is_run_with_the_command_that_is_given(world: World) -> None:
    service = Service("migrate", Kind.JOB, "r", "db", "group/api", container="app")
    down = ("migrate", "down", "--to=41")
    assert world.cluster.run_job(service, world.reference(a_digest()), "down-1", 20, down)[0]
    job = world.api.get(f"/apis/batch/v1/namespaces/{world.environment.namespace}/jobs/down-1")
    [container] = job["spec"]["template"]["spec"]["containers"]
    assert tuple(container["command"]) == down


def config_map(name: str, **data: str) -> dict[str, object]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}


def test_manifests_are_created_then_left_alone_then_updated(world: World) -> None:
    assert world.cluster.apply([config_map("one", a="1")]) == ("ConfigMap/one",)
    assert world.cluster.apply([config_map("one", a="1")]) == ()
    assert world.cluster.apply([config_map("one", a="2")]) == ("ConfigMap/one",)


def test_nothing_is_applied_when_one_manifest_cannot_be(world: World) -> None:
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "other"}}
    with pytest.raises(Refused, match="Namespace other is not of a namespace"):
        world.cluster.apply([config_map("two", a="1"), namespace])
    assert world.cluster.apply([config_map("two", a="1")]) == ("ConfigMap/two",)
    unknown = {"apiVersion": "x.test/v1", "kind": "Thing", "metadata": {"name": "t"}}
    with pytest.raises(Permanent, match=r"knows no x\.test/v1 Thing"):
        world.cluster.apply([unknown])


def test_a_pod_is_asked_through_the_api_server(world: World) -> None:
    service = world.deploy("api", a_digest())
    [pod] = world.cluster.pods(service)
    if world.target.real:  # its pods have no process and no address of their own
        with pytest.raises(Denied, match="cannot be asked"):
            world.cluster.pod_answers(service, pod, 2.0)
        return
    answer = world.cluster.pod_answers(service, pod, 2.0)
    assert answer.ok
    assert pod.name in answer.url


def test_a_rollout_goes_to_its_end_and_the_second_changes_nothing(world: World) -> None:
    old, new = a_digest(), a_digest()
    service = world.deploy("api", old)
    record = world.roll_out(service, new)
    assert record.outcome is Outcome.SUCCESS, record.message
    assert (record.previous_digest, record.changed, record.revision) == (old, True, 2)
    again = world.roll_out(service, new, run="run-2")
    assert (again.outcome, again.changed, again.revision) == (Outcome.SUCCESS, False, 2)
    live = world.cluster.workload(service)
    assert live.annotations["flowmaster.ai/run"] == "run-1"
    assert live.annotations["flowmaster.ai/digest"] == new


def test_an_image_that_cannot_be_pulled_fails_early_and_the_old_one_serves(world: World) -> None:
    old, new = a_digest(), a_digest()
    service = world.deploy("api", old)
    world.target.fare(new, "image_pull", MANIFEST_UNKNOWN)
    started = time.monotonic()
    record = world.roll_out(service, new)
    assert record.outcome is Outcome.FAILURE
    assert "manifest unknown" in record.message
    assert time.monotonic() - started < 15.0
    assert world.cluster.workload(service).available == 1


def test_a_rollback_of_a_failed_rollout_holds_the_service(world: World) -> None:
    old, new = a_digest(), a_digest()
    service = world.deploy("api", old)
    middle = a_digest()
    assert world.roll_out(service, middle).outcome is Outcome.SUCCESS
    world.seen_healthy(service, middle)
    world.target.fare(new, "config_error", 'secret "database" not found')
    assert world.roll_out(service, new, run="run-2").outcome is Outcome.FAILURE
    back = world.roll_back(service)
    assert back.outcome is Outcome.SUCCESS, back.message
    assert back.digest == middle
    [hold] = world.history.holds()
    assert (hold.author, hold.active) == ("jane", True)


def test_a_leftover_deadline_of_the_failed_rollout_does_not_fail_the_rollback(
    world: World,
) -> None:
    old, new = a_digest(), a_digest()
    service = world.deploy("api", old, progressDeadlineSeconds=1)
    world.seen_healthy(service, old)
    assert world.roll_out(service, old).changed is False
    world.target.fare(new, "never_ready")
    failed = world.roll_out(service, new, run="run-2")
    assert failed.outcome is Outcome.FAILURE
    assert "progress deadline" in failed.message
    back = world.roll_back(service)
    assert back.outcome is Outcome.SUCCESS, back.message


def test_a_service_whose_pods_answer_is_healthy_and_one_that_cannot_be_asked_is_unknown(
    world: World,
) -> None:
    digest = a_digest()
    service = world.deploy("api", digest)
    seen = look_at(service, world.environment, world.catalog, world.ports, now=clock)
    expected = HealthState.UNKNOWN if world.target.real else HealthState.HEALTHY
    assert (seen.state, seen.digest) == (expected, digest), seen.reason
