"""Rolling out each kind of service, and rolling back."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta

import pytest

from flowmaster_delivery.flows.goal import Asked, Pace
from flowmaster_delivery.flows.incidents.people import Wish, by_person
from flowmaster_delivery.flows.incidents.taking_back import carried_out, close
from flowmaster_delivery.flows.migrations.jobs import job_name
from flowmaster_delivery.flows.rollback import target
from flowmaster_delivery.flows.rollout import roll_out
from flowmaster_delivery.flows.work import Work
from flowmaster_delivery.model.catalog import (
    Catalog,
    Environment,
    Kind,
    RefKind,
    RefRule,
    Repository,
    Service,
)
from flowmaster_delivery.model.errors import NotFound, Refused, UnknownName, Unreachable
from flowmaster_delivery.model.health import HealthObservation, HealthState
from flowmaster_delivery.model.image import RegistryImage
from flowmaster_delivery.model.outcome import Outcome
from flowmaster_delivery.model.promotion import Admission, Candidate
from flowmaster_delivery.model.rollout import (
    DeploymentRecord,
    Method,
    PodProblem,
)
from flowmaster_delivery.ports import Ports
from tests.fakes.fake_audit import FakeAudit
from tests.fakes.fake_cluster import FakeCluster, Killed
from tests.fakes.fake_forge import FakeForge
from tests.fakes.fake_history import FakeHistory
from tests.fakes.fake_metrics import FakeMetrics
from tests.fakes.fake_notifier import FakeNotifier
from tests.fakes.fake_probe import FakeProbe
from tests.fakes.fake_registry import FakeRegistry

A, B, C = (f"sha256:{letter * 64}" for letter in "abc")
DEV = Environment(
    "dev", "test", RefRule(RefKind.BRANCH, "develop"), rollout_timeout=timedelta(seconds=2)
)
API, MIGRATE, MONITOR, MOBILE = (
    Service(name, kind, "platform", name, f"group/{name}")
    for name, kind in (
        ("api", Kind.DEPLOYMENT),
        ("migrate", Kind.JOB),
        ("monitor", Kind.MANIFESTS),
        ("mobile", Kind.ARTIFACT),
    )
)
SERVICES = (API, MIGRATE, MONITOR, MOBILE)
CATALOG = Catalog(
    "test",
    "",
    "http://registry:5000",
    {"platform": Repository("platform", "group/platform")},
    {"dev": DEV},
    {service.name: service for service in SERVICES},
)


@dataclass
class World:
    cluster: FakeCluster = field(default_factory=FakeCluster)
    forge: FakeForge = field(default_factory=FakeForge)
    history: FakeHistory = field(default_factory=FakeHistory)
    registry: FakeRegistry = field(default_factory=FakeRegistry)

    def __post_init__(self) -> None:
        for digest in (A, B, C):
            self.registry.images[MIGRATE.image, digest] = RegistryImage(digest)

    @property
    def ports(self) -> Ports:
        return Ports(
            self.forge,
            self.registry,
            lambda _: self.cluster,
            FakeProbe(),
            self.history,
            FakeNotifier(),
            FakeMetrics(),
            FakeAudit(),
        )

    def ship(
        self, service: Service, digest: str | None, version: str | None = None
    ) -> DeploymentRecord:
        commit = "c" * 40
        candidate = Candidate(
            service.name, "dev", "platform", commit, digest, f"fp-{digest}", "develop", version
        )
        record = roll_out(
            candidate,
            CATALOG,
            self.ports,
            run_id=f"run-{len(self.history.records)}",
            asked_by="jane",
            reason="because",
            pace=Pace(self.cluster.time.now),
        )
        self.history.record(Admission(candidate, True, "jane", "", record.started_at))
        self.history.record(record)
        return record

    def back(self, service: Service = API, to: str = "previous") -> DeploymentRecord:
        time = self.cluster.time
        work = Work(
            CATALOG,
            self.ports,
            Asked("run-back", "joe", "it is broken"),
            Pace(time.now, monotonic=time.monotonic, sleep=time.sleep),
            aside=lambda call: call(),
        )
        incident = by_person(service, DEV, Wish(to), work)
        record = carried_out(incident, work)
        self.history.record(record)
        close(incident, record, work)
        return record

    def healthy(self, digest: str) -> None:
        now = self.cluster.time.now()
        look = HealthObservation("api", "dev", HealthState.HEALTHY, digest, None, now)
        self.history.record(look)


@pytest.fixture
def world() -> World:
    made = World()
    made.cluster.deploy(API, f"registry:5000/group/api@{A}")
    return made


@pytest.fixture
def shipped(world: World) -> World:
    """A, B and C were rolled out one after the other, with versions; all were seen healthy."""
    for digest, version in ((A, "v1.0.0"), (B, "v1.1.0"), (C, "v1.2.0")):
        world.ship(API, digest, version)
        world.healthy(digest)
    return world


def test_the_record_says_what_was_done_for_whom_and_the_cluster_carries_a_copy(
    world: World,
) -> None:
    record = world.ship(API, B, "v1.1.0")
    assert (record.outcome, record.method) == (Outcome.SUCCESS, Method.ROLLOUT)
    assert (record.digest, record.previous_digest, record.version) == (B, A, "v1.1.0")
    assert (record.asked_by, record.reason, record.fingerprint) == ("jane", "because", f"fp-{B}")
    assert record.finished_at > record.started_at
    live = world.cluster.deployments["api"]
    assert live.images["api"] == f"registry:5000/group/api@{B}"
    assert live.annotations["flowmaster.ai/digest"] == B
    assert live.annotations["flowmaster.ai/version"] == "v1.1.0"
    assert live.annotations["kubernetes.io/change-cause"].startswith("rollout to v1.1.0 by jane")


def test_a_rollout_without_version_takes_the_old_version_off(world: World) -> None:
    world.ship(API, B, "v1.1.0")
    world.ship(API, C)
    assert "flowmaster.ai/version" not in world.cluster.deployments["api"].annotations


def test_a_candidate_without_image_is_refused(world: World) -> None:
    with pytest.raises(Refused, match="has no image"):
        world.ship(API, None)
    assert world.cluster.calls == []


def test_a_job_runs_once_for_its_image(world: World) -> None:
    assert world.ship(MIGRATE, B).outcome is Outcome.SUCCESS
    assert list(world.cluster.jobs) == [job_name(MIGRATE, B)]
    assert world.ship(MIGRATE, C).previous_digest == B


def test_a_failed_job_says_why_and_what_to_do(world: World) -> None:
    name = job_name(MIGRATE, B)
    world.cluster.jobs[name] = (False, "exit code 3 column exists already")
    record = world.ship(MIGRATE, B)
    assert record.outcome is Outcome.FAILURE
    assert "column exists already" in record.message
    assert f"delete job {name}" in record.message
    assert world.cluster.leases["migrate"].holder == ""


def test_a_job_that_has_not_ended_is_an_error_and_no_failure(world: World) -> None:
    world.cluster.failing["run_job"] = [Unreachable("has not ended")] * 100_000
    assert world.ship(MIGRATE, B).outcome is Outcome.ERROR


def test_a_job_that_takes_long_keeps_its_lease(world: World) -> None:
    world.cluster.failing["run_job"] = [Unreachable("has not ended")] * 3
    assert world.ship(MIGRATE, B).outcome is Outcome.SUCCESS
    assert world.cluster.calls.count("renew") == 4, "three times while it runs, once at its end"


def manifests(world: World, plan: str = "resources: [board.yaml]") -> None:
    board = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: board}\n"
    world.forge.trees_at["c" * 40] = {
        "monitor/kustomization.yaml": plan,
        "monitor/board.yaml": board,
    }


def test_manifests_are_applied_and_left_alone_the_second_time(world: World) -> None:
    manifests(world)
    first, second = world.ship(MONITOR, B), world.ship(MONITOR, B)
    assert (first.outcome, first.changed) == (Outcome.SUCCESS, True)
    assert first.message == "changed ConfigMap"
    assert (second.outcome, second.changed) == (Outcome.SUCCESS, False)


def test_manifests_that_are_not_understood_touch_nothing(world: World) -> None:
    manifests(world, "helmCharts: []")
    with pytest.raises(Refused, match="helmCharts"):
        world.ship(MONITOR, B)
    assert world.cluster.applied == []
    assert world.cluster.leases == {}


def test_an_artifact_is_released_and_touches_no_cluster(world: World) -> None:
    record = world.ship(MOBILE, B)
    assert (record.method, record.outcome) == (Method.RELEASE, Outcome.SUCCESS)
    assert world.cluster.calls == []


def test_back_to_the_previous_image_holds_the_service(shipped: World) -> None:
    record = shipped.back()
    assert (record.method, record.outcome, record.digest) == (Method.ROLLBACK, Outcome.SUCCESS, B)
    assert (record.version, record.fingerprint) == ("v1.1.0", f"fp-{B}")
    [hold] = shipped.history.holds()
    assert (hold.author, hold.reason) == ("joe", "rollback to v1.1.0: it is broken")


def test_back_again_goes_further_back_and_not_forth(shipped: World) -> None:
    assert [shipped.back().digest, shipped.back().digest] == [B, A]
    with pytest.raises(NotFound, match="no verified earlier image"):
        shipped.back()


def test_back_waits_for_neither_forge_nor_registry(shipped: World) -> None:
    shipped.forge.broken["platform"] = Unreachable("gone")
    assert shipped.back().outcome is Outcome.SUCCESS
    assert shipped.cluster.deployments["api"].images["api"].endswith(B)


@pytest.mark.parametrize("to", ["v1.0.0", "platform@v1.0.0"])
def test_back_to_a_version_that_a_person_names(shipped: World, to: str) -> None:
    record = shipped.back(to=to)
    assert (record.digest, record.version) == (A, "v1.0.0")


def test_back_to_a_version_that_changed_nothing_is_back_to_its_image(shipped: World) -> None:
    shipped.ship(API, C, "v1.2.1")
    shipped.ship(API, A, "v1.3.0")
    assert target(API, DEV, "v1.2.1", shipped.history).digest == C


def test_back_to_an_unknown_version_names_the_nearest(shipped: World) -> None:
    with pytest.raises(UnknownName, match=r"did you mean 'v1\.1\.0'"):
        shipped.back(to="v1.1.00")
    assert shipped.history.holds() == ()


def test_a_version_that_failed_here_is_no_way_back(shipped: World) -> None:
    bad = f"sha256:{'d' * 64}"
    trouble = PodProblem("api-x", "api", "CreateContainerConfigError", "no secret")
    shipped.cluster.problems[f"registry:5000/group/api@{bad}"] = trouble
    assert shipped.ship(API, bad, "v9.0.0").outcome is Outcome.FAILURE
    with pytest.raises(UnknownName):
        target(API, DEV, "v9.0.0", shipped.history)
    assert shipped.back().digest == C


def test_a_rollback_run_that_is_killed_and_repeated_places_one_hold(shipped: World) -> None:
    shipped.cluster.kill_at = len(shipped.cluster.calls) + 3
    with pytest.raises(Killed):
        shipped.back(to="v1.1.0")
    shipped.cluster.revive()
    assert shipped.back(to="v1.1.0").digest == B
    assert len(shipped.history.holds()) == 1


def test_back_to_what_runs_already_touches_nothing(shipped: World) -> None:
    assert shipped.back(to="v1.2.0").changed is False


def test_the_hold_stands_before_the_cluster_is_touched(shipped: World) -> None:
    shipped.cluster.kill_at = len(shipped.cluster.calls)
    with pytest.raises(Killed):
        shipped.back()
    assert [hold.active for hold in shipped.history.holds()] == [True]


@pytest.mark.parametrize("service", [MIGRATE, MONITOR, MOBILE])
def test_what_has_no_way_back_says_so(world: World, service: Service) -> None:
    with pytest.raises(Refused, match="no way back by itself"):
        world.back(service)
